# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of a layer of PyTorch's tensors: their dtypes, their shapes and the options, checked before anything is
computed."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch._prims_common import suggest_memory_format

from fastconv.arguments.layer_geometry import (
    GRADIENT_NAMES,
    Options,
    as_groups,
    as_padding,
    layer_geometry,
    pads_of,
    spans_of,
    transposed_geometry,
)
from fastconv.arguments.values import as_word, per_axis
from fastconv.nn.functional import ACCURACIES
from fastconv.torch_learnt import Learnt
from fastconv.torch_ops import LAST, How, product
from fastconv.typing import IntOrTuple, Padding

FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
INT = {int}
PLAIN = {int, str, type(None)}


def layer(
    rank: int,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    asked: tuple[Any, ...],
    transposed: bool = False,
    learnt: Learnt | None = None,
) -> torch.Tensor:
    """A layer's output. asked: stride, padding, dilation, groups, padding_mode, output_padding and accuracy."""
    input, weight, bias, result = _tensors(input, weight, bias)
    how = _how(rank, input, weight, bias, transposed, asked)
    x = input if input.ndim == rank + 2 else input[None]
    y = None if learnt is None else learnt.output(x, weight, bias, how)
    if y is None:  # a transposed layer is the adjoint of one that has `input` for its output
        y = product(None, weight, x, bias, None, how) if transposed else product(x, weight, None, bias, None, how)
    y = y if x is input else y[0]
    return y if result is None else y.to(result)


def _how(
    rank: int,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    transposed: bool,
    asked: tuple[Any, ...],
) -> How:
    """The options of a layer, or of a transposed one, if the shapes fit."""
    shapes = input.shape, weight.shape, None if bias is None else bias.shape
    asked = *asked, _is_last(rank, input, weight)
    if torch.compiler.is_compiling() or not all(map(_is_plain, shapes)):
        return _normal(rank, shapes[1], transposed, *asked)  # sizes are not known yet: they are checked where they are
    how_if_fit = _how_if_fit if all(map(_is_plain, asked[:-1])) else _how_if_fit.__wrapped__
    return how_if_fit(rank, *shapes, transposed, *asked)


def _is_last(rank: int, input: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether PyTorch lets channels lie last in the result: where they do in the input or the weights."""
    if rank == 1:
        return False
    for t in (input, weight):
        # what the second condition lets through is rare, as the third takes longer than all others
        if (
            rank < t.ndim <= rank + 2
            and t.stride(-1) >= t.stride(-1 - rank)
            and suggest_memory_format(t if t.ndim == rank + 2 else t[None]) == LAST[rank + 2]
        ):
            return rank == 2 or t.dtype in (torch.bfloat16, torch.float32)
    return False


def _is_plain(value: Any) -> bool:
    """Whether equal values mean the same (1.0 and True are equal to 1)."""
    return type(value) in PLAIN or (isinstance(value, tuple) and INT.issuperset(map(type, value)))


@functools.lru_cache(maxsize=1024)
def _how_if_fit(
    rank: int, input: torch.Size, weight: torch.Size, bias: torch.Size | None, transposed: bool, *asked: Any
) -> How:
    x, w, b = tuple(input), tuple(weight), None if bias is None else tuple(bias)
    options, output_padding, names = Options(*asked[:5]), asked[5], GRADIENT_NAMES
    if transposed:
        channels = transposed_geometry(rank, x, w, output_padding, options, names).x_shape[1]
    else:
        layer_geometry(rank, x, w, options, names)
        channels = w[0]
    if b is not None and b != (channels,):
        raise ValueError(f"bias must have shape ({channels},), one for each channel of the result; got {b}")
    return _normal(rank, w, transposed, *asked)


def _normal(
    rank: int,
    w: tuple[int, ...],
    transposed: bool,
    stride: IntOrTuple,
    padding: Padding,
    dilation: IntOrTuple,
    groups: int,
    padding_mode: str,
    output_padding: IntOrTuple,
    accuracy: str,
    last: bool,
) -> How:
    """What is asked, with a number for every axis."""
    steps, spread = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    pads = pads_of(as_padding(padding), spans_of(w[2:], spread, "weight"), steps)
    more = per_axis(output_padding, rank, "output_padding", least=0)
    sides = tuple(n for pair in pads for n in pair)
    as_word(accuracy, ACCURACIES, "accuracy")
    return How(steps, sides, spread, more, as_groups(groups, w, "weight"), padding_mode, transposed, accuracy, last)


def _tensors(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.dtype | None]:
    """The three in one dtype: theirs, or float32 under autocast, and the dtype that the result is to get there."""
    result = None
    if torch.is_autocast_enabled("cpu"):
        input, weight, bias = _widened(input), _widened(weight), _widened(bias)
        if isinstance(input, torch.Tensor) and input.dtype == torch.float32:
            result = torch.get_autocast_dtype("cpu")
    check(input, "input")
    others: tuple[tuple[Any, str], ...] = (weight, "weight"), (bias, "bias")
    for tensor, name in others:
        if tensor is not None or name != "bias":
            check(tensor, name)
            if tensor.dtype != input.dtype:
                raise TypeError(
                    f"{name} has dtype {tensor.dtype} and input {input.dtype}: they must be the same; "
                    f"{name}.to(input.dtype) converts"
                )
    return input, weight, bias, result


def _widened(tensor: Any) -> Any:
    """In float32, what autocast would make smaller."""
    if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.dtype != torch.float64:
        return tensor.to(torch.float32)
    return tensor


def check(tensor: Any, name: str) -> None:
    """Raise if a tensor is none that layers are computed of."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor; got {type(tensor).__name__}")
    if not tensor.is_cpu or tensor.layout != torch.strided or tensor.is_nested:
        raise ValueError(f"{name} must be a dense tensor on the CPU; got one of {tensor.layout} on {tensor.device}")
    if tensor.dtype not in FLOATS:
        raise TypeError(f"{name} must have dtype bfloat16, float16, float32 or float64; got {tensor.dtype}")
