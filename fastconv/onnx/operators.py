# SPDX-License-Identifier: BSD-3-Clause
"""What the operators of `fastconv.onnx` have in common: nodes of windows, whose attributes are checked.

A class is all versions of its operator: what a version has not, is an attribute at its default. Attributes are checked
when a node is made, so before anything runs; what depends on arrays, when it runs. bfloat16 is computed in float32.

Padding is more general than a layer's: it may be negative (a transposed layer's outputs then go on beyond what elements
are added to), and more than half of what is pooled. Such windows take a way of their own, made of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

DOMAIN = "fastconv"  # of nodes that only a rewritten model has
RANKS = (1, 2, 3)  # the numbers of axes that windows slide along
AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
LEAST = {  # of the lists that say something of each axis
    "kernel_shape": 1,
    "strides": 1,
    "dilations": 1,
    "pads": 0,
    "output_padding": 0,
    "output_shape": 0,
}
FLAGS = ("ceil_mode", "count_include_pad", "storage_order", "training_mode", "is_test")

Pads = tuple[tuple[int, int], ...]  # before and behind every axis


class Windows(NamedTuple):
    """The attributes of a node that say where windows lie; of what it has not, None."""

    kernel_shape: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    dilations: tuple[int, ...] | None
    pads: tuple[int, ...] | None
    output_padding: tuple[int, ...] | None
    output_shape: tuple[int, ...] | None
    auto_pad: str
    group: int

    def steps(self, rank: int) -> tuple[int, ...]:
        return self.strides or (1,) * rank

    def spread(self, rank: int) -> tuple[int, ...]:
        return self.dilations or (1,) * rank

    def spans(self, taps: Sequence[int]) -> tuple[int, ...]:
        return tuple((k - 1) * d + 1 for k, d in zip(taps, self.spread(len(taps)), strict=True))

    def padding(self, sizes: Sequence[int], taps: Sequence[int]) -> Pads:
        """For an input of these sizes; "same" are as many outputs as strides fit into it."""
        rank = len(sizes)
        if self.auto_pad == "NOTSET":
            pads = self.pads or (0,) * (2 * rank)
            return tuple(zip(pads[:rank], pads[rank:], strict=True))
        if self.auto_pad == "VALID":
            return ((0, 0),) * rank
        along = zip(sizes, self.spans(taps), self.steps(rank), strict=True)
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, span, s in along]
        return tuple(halves(total, self.auto_pad == "SAME_LOWER") for total in totals)


def halves(total: int, larger_first: bool) -> tuple[int, int]:
    """A number of elements in two parts, which differ by one at most."""
    less, more = total // 2, total - total // 2
    return (more, less) if larger_first else (less, more)


def windows_of(attributes: dict[str, Any]) -> Windows:
    """Check a node's attributes.

    Raises
    ------
    ValueError
        Naming the attribute, what it was and what is accepted.
    """
    lists: dict[str, tuple[int, ...] | None] = {}
    lengths: dict[str, int] = {}
    for name, least in LEAST.items():
        values = attributes.get(name)
        lists[name] = tuple(values) if values else None
        if values and min(values) < least:
            raise ValueError(f"{name} must be at least {least} along each axis; got {list(values)}")
        if values and name == "pads" and len(values) % 2:
            raise ValueError(f"pads must be pairs, those before all axes first; got {list(values)}")
        if values:
            lengths[name] = len(values) // (2 if name == "pads" else 1)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"attributes differ in the number of axes: {lengths}")
    auto_pad, group = attributes.get("auto_pad") or "NOTSET", attributes.get("group")
    if auto_pad not in AUTO_PADS:
        raise ValueError(f"auto_pad must be one of {', '.join(AUTO_PADS)}; got {auto_pad!r}")
    if group is not None and group < 1:
        raise ValueError(f"group must be at least 1; got {group}")
    for name in FLAGS:
        if attributes.get(name) not in (None, 0, 1):
            raise ValueError(f"{name} must be 0 or 1; got {attributes[name]}")
    return Windows(**lists, auto_pad=auto_pad, group=1 if group is None else group)


class Naming:
    """Errors raised inside say where they come from."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, ValueError):
            raise ValueError(f"{self.what}: {error}") from error
        if isinstance(error, TypeError | MemoryError):
            error.add_note(f"in {self.what}")


def what_of(node: Any) -> str:
    """What errors call a node."""
    return f"{node.op_type.removesuffix('Layer')} node {node.name or (*node.output, '')[0]!r}"


class Operator(OpRun):
    """A node whose attributes are checked when it is made."""

    windows: Windows | None = None

    def __init__(self, onnx_node: Any, run_params: dict[str, Any], schema: Any = None) -> None:
        super().__init__(onnx_node, run_params, schema)
        self.naming = Naming(what_of(onnx_node))
        if not self.has_linked_attribute:  # else a function's caller tells their values
            with self.naming:
                self.attributes = {name: getattr(self, name) for name in self.attributes_names_}
                self.windows = self.checked(self.attributes)
                self.prepare(self.windows)

    def checked(self, attributes: dict[str, Any]) -> Windows:
        return windows_of(attributes)

    def prepare(self, windows: Windows) -> None:
        """Do what can be done before anything runs."""

    def run(self, *inputs: Any, **how: Any) -> tuple[Any, ...]:
        """The outputs; without what a small layer would wait for, where attributes are known."""
        return self._run(*inputs, **self.attributes) if self.windows else super().run(*inputs, **how)

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
        narrow = inputs[0].dtype if inputs[0].dtype.kind == "V" else None  # bfloat16
        if narrow:
            inputs = tuple(a.astype(np.float32) if a is not None and a.dtype == narrow else a for a in inputs)
        with self.naming:
            outputs = self.computed(self.windows or self.checked(attributes), attributes, *inputs)
        return tuple(a.astype(narrow) if narrow and a.dtype == np.float32 else a for a in outputs)

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        raise NotImplementedError


class Drop(OpRun):
    """A node behind the last that reads some results: `ReferenceEvaluator` would keep them until the end."""

    op_domain = DOMAIN

    def need_context(self) -> bool:
        return True

    def run(self, *inputs: Any, context: Any = None, **how: Any) -> tuple[Any, ...]:
        for name in self.names:
            del context[name]
        return ()

    _run = run


def rank_of(x: NDArray[Any], taps: Sequence[int]) -> int:
    """The number of axes that windows slide along."""
    rank = x.ndim - 2
    if rank not in RANKS or len(taps) != rank:
        raise ValueError(
            f"the input must have 1 to 3 axes beside images and channels, and windows as many; got shape {x.shape} and "
            f"windows of {tuple(taps)}"
        )
    return rank


def taps_of(w: NDArray[Any], windows: Windows) -> tuple[int, ...]:
    """Those of kernels, which `kernel_shape` may repeat."""
    if w.ndim - 2 not in RANKS:
        raise ValueError(f"weights must have 3 to 5 axes; got shape {w.shape}")
    if windows.kernel_shape not in (None, w.shape[2:]):
        raise ValueError(f"kernel_shape is {windows.kernel_shape}, but weights have shape {w.shape}")
    return w.shape[2:]
