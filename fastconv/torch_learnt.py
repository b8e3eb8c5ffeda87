# SPDX-License-Identifier: BSD-3-Clause
"""What layers of PyTorch's modules make of their weights once: as layer objects do (`nn.Conv2d`), but of weights that
PyTorch changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastconv.arguments.layer_geometry import GRADIENT_NAMES, LAYOUTS
from fastconv.nn.functional import Engine, as_engine, learn
from fastconv.nn.modules import output
from fastconv.torch_ops import LAST, How, as_array, as_tensor, is_differentiated, is_watched, pairs

MOST_SHAPES = 64  # of inputs, that what is learnt of weights is remembered for,
MOST_VALUES = 4  # and how many times it may be learnt
UNKNOWN: Any = object()  # whether something was learnt; None: there was nothing to learn
SEEN = 64  # elements of weights, about, by which it is noticed that PyTorch was not told of a change


class _Made(NamedTuple):
    """What was made of weights, and which these were."""

    weight: torch.Tensor
    how: How
    version: int
    place: int
    elements: NDArray[Any]  # some of the weights, where they lie,
    seen: bytes  # and what they were
    array: NDArray[Any]  # all of them, dense
    options: tuple[Any, ...]
    engine: Engine
    is_copy: bool
    by_shape: dict[tuple[int, ...], NDArray[Any] | None]  # of inputs
    values: dict[Any, NDArray[Any]]  # the same by what it depends on, as many shapes have one

    def is_of(self, weight: torch.Tensor, how: How) -> bool:
        """Whether nothing has changed. PyTorch counts what is written to tensors, unless by way of `data` or NumPy."""
        return (
            self.weight is weight
            and self.version == weight._version
            and self.place == weight.data_ptr()
            and self.how == how
            and self.seen == self.elements.tobytes()
        )

    def learn(self, rank: int, x: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
        """What helps arrays like x, or None."""
        if len(self.by_shape) >= MOST_SHAPES or len(self.values) >= MOST_VALUES:
            self.by_shape.clear()
            self.values.clear()
        how = *self.options, None, None
        values = learn(rank, x, self.array, how, self.engine, GRADIENT_NAMES, self.values)
        self.by_shape[shape] = values
        return values


class Learnt:
    """What a module makes of its weights, where nothing is differentiated; copies and files begin anew."""

    def __init__(self) -> None:
        self._made: _Made | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Learnt, ()

    def output(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, how: How) -> torch.Tensor | None:
        """The layer's output; None: it is to be computed in another way, as nothing is known that would help."""
        if torch.compiler.is_compiling() or is_watched(x, weight, bias) or is_differentiated(x, weight, bias):
            return None
        made, rank, last = self._made, x.ndim - 2, how.channels_last
        if made is None or not made.is_of(weight, how):
            made = self._made = _made_of(weight, how)
        if made is None:
            return None
        values = made.by_shape.get(x.shape, UNKNOWN)
        if values is None and not made.is_copy:
            return None
        array: NDArray[Any] = np.moveaxis(as_array(x), 1, -1) if last else as_array(x)
        if values is UNKNOWN:
            values = made.learn(rank, array, x.shape)
        first = None if bias is None else as_array(bias)
        y = output(rank, array, made.array, first, None, None, values, made.options, tuple(made.engine))
        return as_tensor(np.moveaxis(y, -1, 1) if last else y, x.dtype, last)


def _made_of(weight: torch.Tensor, how: How) -> _Made | None:
    """Nothing yet, of parameters whose changes can be seen; None: of other weights."""
    if type(weight) is not torch.nn.Parameter or weight.is_inference():
        return None
    dense = weight.is_contiguous()
    if not dense and not (weight.ndim in LAST and weight.is_contiguous(memory_format=LAST[weight.ndim])):
        return None
    memory = weight.detach().as_strided((weight.numel(),), (1,))
    if weight.dtype == torch.bfloat16:
        memory = memory.view(torch.int16)
    elements = memory.numpy()[:: weight.numel() // SEEN | 1]
    array = np.ascontiguousarray(as_array(weight))
    is_copy = not dense or weight.dtype == torch.bfloat16
    layout = LAYOUTS[len(how.stride)][how.channels_last]
    options = how.stride, pairs(how.padding), how.dilation, how.groups, how.padding_mode, None, layout
    return _Made(
        weight,
        how,
        weight._version,
        weight.data_ptr(),
        elements,
        elements.tobytes(),
        array,
        options,
        as_engine("auto", how.accuracy, None),
        is_copy,
        {},
        {},
    )
