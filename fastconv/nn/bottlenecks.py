# SPDX-License-Identifier: BSD-3-Clause
"""Three convolutions in one pass: many channels of few, seen by a kernel each, and few again (the inverted residual of
Sandler, Howard, Zhu, Zhmoginov and Chen, MobileNetV2, 2018)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layer_geometry import Options, layer_geometry, pads_of
from fastconv.arguments.layers import Activated, as_activation
from fastconv.arguments.values import as_real
from fastconv.costs import BOTTLENECK_WIDER
from fastconv.nn.functional import carried_out, readable
from fastconv.nn.merging import ConvAdd, Merge
from fastconv.nn.module import Module, options_of, restored
from fastconv.nn.modules import NAMES, Conv2d
from fastconv.nn.optim import Parameter
from fastconv.plans import planned
from fastconv.runtime import _core, checking

Array = NDArray[Any]
Steps = dict[str, tuple[Module, tuple[str, ...]]]
MOST_TAPS = 128  # of a channel, which are summed in one go
SWAPPED = {np.dtype(name): np.dtype(name).newbyteorder() for name in ("f4", "f8")}


class _Learnt(NamedTuple):
    """What is read of the weights."""

    changes: list[int]  # of them, so far
    array: NDArray[np.uint8]


class Bottleneck(Merge):
    """What `folded` makes of three convolutions whose channels become many and then few again. It does not learn.

    Results are those of the three layers up to rounding, with the same bits for any number of threads and any batch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> network = nn.Sequential(
    ...     nn.Conv2d(4, 24, 1, activation="relu6", seed=0),
    ...     nn.Conv2d(24, 24, 3, padding=1, groups=24, activation="relu6", seed=1),
    ...     nn.Conv2d(24, 4, 1, seed=2),
    ... )
    >>> x = np.ones((1, 4, 5, 5), np.float32)
    >>> len(network.folded()), bool(np.allclose(network.folded()(x), network(x)))
    (1, True)
    """

    parts: ClassVar[tuple[str, ...]] = ("expand", "slide", "project")

    def __init__(self, expand: Any, slide: Any, project: Any) -> None:
        self.layers = expand, slide, project
        self.convs = expand, slide, _conv_of(project)
        self.activation = project.activation
        self._held = [p for conv in self.convs for p in conv.parameters()]
        self._known: _Learnt | None = None
        activations = (as_activation(conv.activation) for conv in self.convs)
        self._how = (
            *(conv.weight.shape[0] for conv in self.convs[1:]),
            slide.weight.shape,
            slide._how,
            tuple(None if a is None else tuple(a) for a in activations),
            expand._engine.threads,
        )

    def __call__(self, *xs: ArrayLike) -> Array:
        """What the last of the layers puts out."""
        x, *add = (as_real(a, name) for a, name in zip(xs, ("x", "add"), strict=False))
        weight = self.convs[0].weight
        if x.ndim == 3:
            y: Array = self(x[None], *(a[None] for a in add))[0]
            return y
        if _core is None or checking.get() or x.ndim != 4 or 0 in x.shape or x.shape[1] != weight.shape[1]:
            return self._apart(x, *add)
        x, *add = (a.astype(weight.dtype) if a.dtype == SWAPPED[weight.dtype] else a for a in (x, *add))
        if any(a.dtype != weight.dtype for a in (x, *add)):
            return self._apart(x, *add)  # which says what is wrong
        try:
            y = bottleneck(x, self._learn(x), add[0] if add else None, self._how)
        except ValueError:
            return self._apart(x, *add)  # where shapes may be broadcast
        return y

    def _apart(self, x: ArrayLike, *add: ArrayLike) -> Array:
        """Layer by layer."""
        expand, slide, project = self.layers
        y: Array = project(slide(expand(x)), *add)
        return y

    def _learn(self, x: Array) -> NDArray[np.uint8]:
        """The weights as they are read, until they change."""
        changes = [p.changes for p in self._held]
        if (known := self._known) is None or known.changes != changes:
            weights = [readable(conv.weight) for conv in self.convs]
            biases = [None if conv.bias is None else readable(conv.bias) for conv in self.convs]
            known = self._known = _Learnt(changes, _plan(x, False, self._how)[0].learn(weights, biases))
        return known.array

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made again of the weights."""
        return self.__dict__ | {"_known": None}

    def parameters(self) -> list[Parameter]:
        """Those of the convolutions."""
        return list(self._held)

    def _state(self) -> dict[str, Parameter]:
        return {
            f"{part}_{p.name}": p for part, conv in zip(self.parts, self.convs, strict=True) for p in conv.parameters()
        }

    def _options(self) -> dict[str, Any]:
        return {part: options_of(layer) for part, layer in zip(self.parts, self.layers, strict=True)}

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        own: Mapping[str, dict[str, Array]] = {part: {} for part in cls.parts}
        for name, array in arrays.items():
            part, _, key = name.partition("_")
            own[part][key] = array
        layers = [restored(Module, options[part], own[part], engine) for part in cls.parts]
        if not _fit(*layers):
            raise ValueError("its options are those of layers that are no Bottleneck together")
        return cls(*layers)

    def __repr__(self) -> str:
        return f"Bottleneck({', '.join(map(repr, self.layers))})"


def _plan(x: Array, adds: bool, how: tuple[Any, ...]) -> tuple[Any, tuple[int, ...]]:
    """A `_core.BottleneckPlan`, and the shape of its result."""
    inner, kernels, taps, options, activations, threads = how
    axes = layer_geometry(2, (len(x), inner, *x.shape[2:]), taps, Options(*options), NAMES).axes
    ends = tuple(None if a is None else Activated(*a) for a in activations)
    assert _core is not None
    plan = _core.BottleneckPlan(x, inner, kernels, axes, ends, adds, threads)
    return plan, (len(x), kernels, *(a.out for a in axes))


@planned(x="data", learnt="data", add="data")
def bottleneck(x: Array, learnt: NDArray[np.uint8], add: Array | None, how: tuple[Any, ...]) -> Any:
    """The output for x (images, channels, rows, columns). how: as `Bottleneck` says it."""
    seen = readable(x, dense=False)
    plan, shape = _plan(seen, add is not None, how)
    if add is not None and add.shape != shape:
        raise ValueError(f"add must have shape {shape}, that of the result; got shape {add.shape}")
    arrays = seen, learnt, None if add is None else readable(add)
    return carried_out(plan, arrays, np.empty(shape, x.dtype), None, (x, learnt, add))


def with_bottlenecks(steps: Steps) -> Steps:
    """Steps with three layers as one wherever they make a bottleneck and nothing else takes what lies between them."""
    uses = Counter(i for _, inputs in steps.values() for i in inputs)
    made = dict(steps)
    for name, (project, (before, *others)) in steps.items():
        if uses[before] > 1 or before not in made or uses[made[before][1][0]] > 1:
            continue
        slide, (first, *_) = made[before]
        if first in made and _fit(expand := made[first][0], slide, project):
            made[name] = Bottleneck(expand, slide, project), (made[first][1][0], *others)
            del made[first], made[before]
    return made


def _fit(expand: Any, slide: Any, project: Any) -> bool:
    """Whether they make a bottleneck, which is worth it if it is wide."""
    convs = expand, slide, last = expand, slide, _conv_of(project)
    if not all(type(conv) is Conv2d for conv in convs):
        return False
    inner, channels = expand.weight.shape[:2]
    asked = [as_activation(conv.activation) for conv in convs[:2]]
    return (
        all(a is None or a.clamp is not None for a in asked)
        and len({(conv.weight.dtype, conv._engine) for conv in convs}) == 1
        and expand.weight.dtype != np.float16
        and all(conv.layout in (None, "NCHW") for conv in convs)
        and all(_is_point(conv) for conv in (expand, last))
        and slide.weight.shape[:2] == (inner, 1)
        and slide._asked.groups == inner == last.weight.shape[1]
        and slide._asked.padding_mode == "zeros"
        and math.prod(slide.weight.shape[2:]) <= MOST_TAPS
        and inner >= BOTTLENECK_WIDER * channels
    )


def _conv_of(layer: Any) -> Any:
    return layer.conv if isinstance(layer, ConvAdd) else layer


def _is_point(conv: Conv2d) -> bool:
    """Whether its outputs see one pixel each, and all channels of it."""
    o = conv._asked
    if conv.weight.shape[2:] != (1, 1) or o.stride != (1, 1) or o.groups > 1:
        return False
    return not any(map(any, pads_of(o.padding, (1, 1), (1, 1))))
