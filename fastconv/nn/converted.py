# SPDX-License-Identifier: BSD-3-Clause
"""What each of PyTorch's layers and functions is here, by name: the tables that `convert.py` goes by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastconv.arguments.values import as_own_numbers
from fastconv.nn import (
    activations,
    curves,
    dropout,
    linear,
    merging,
    modules,
    pools,
    reshaping,
    resizing,
    transposed_layers,
)
from fastconv.nn.module import Module
from fastconv.nn.sizes import Shape, as_product, shape_of, view_of

RANKS = (1, 2, 3)
IN_PLACE = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor")
VIEWS = (  # whose results may be, or lie in, what they take
    *("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Flatten", "Upsample", "dropout", "dropout1d"),
    *("dropout2d", "dropout3d", "stochastic_depth", "flatten", "view", "reshape", "contiguous", "getitem", "chunk"),
    *("split", "squeeze", "unsqueeze", "transpose", "permute", "expand_as", "interpolate", "getattr"),
)


class Called(NamedTuple):
    """A layer, and the nodes that it takes. sizes: those that a view was asked for."""

    inputs: list[Any]
    layer: Module
    sizes: Sequence[Any] = ()


# ---- PyTorch's layers ----------------------------------------------------------------------------

Of = Callable[[Any, dict[str, Any]], Module]


def _array(m: Any, name: str) -> NDArray[Any] | None:
    """A parameter of a module; or what it makes of others in its place, as after eval()."""
    for hook in m._forward_pre_hooks.values():  # of torch.nn.utils.weight_norm and spectral_norm
        if hook.name == name:
            how = {"do_power_iteration": False} if hasattr(hook, "n_power_iterations") else {}
            return as_own_numbers(hook.compute_weight(m, **how).detach().cpu(), name)
    makers = [part for part in getattr(m, "parametrizations", {}).values() if part.training]
    try:
        for part in makers:
            part.eval()  # or spectral norms take a step
        tensor = getattr(m, name)
    finally:
        for part in makers:
            part.train()
    return None if tensor is None else as_own_numbers(tensor.detach().cpu(), name)


def _ours(lib: Any, m: Any) -> Any:
    """The class here with the name of a module's, which parametrisations alter."""
    return getattr(lib, type(m).__name__.removeprefix("Parametrized"))


def _conv(m: Any, engine: dict[str, Any]) -> Module:
    how = m.stride, m.padding, m.dilation, m.groups, m.padding_mode
    layer: Module = _ours(modules, m).from_weights(_array(m, "weight"), _array(m, "bias"), *how, **engine)
    return layer


def _conv_transpose(m: Any, engine: dict[str, Any]) -> Module:
    how = m.stride, m.padding, m.output_padding, m.groups, m.dilation
    cls = _ours(transposed_layers, m)
    layer: Module = cls.from_weights(_array(m, "weight"), _array(m, "bias"), *how, **engine)
    return layer


def _linear(m: Any, engine: dict[str, Any]) -> Module:
    weight = _array(m, "weight")
    assert weight is not None
    return linear.Linear.from_weights(weight, _array(m, "bias"))


def _batch_norm(m: Any, engine: dict[str, Any]) -> Module:
    if m.running_mean is None:
        raise ValueError("track_running_stats must be True; got False")
    names = ("weight", "bias", "running_mean", "running_var") if m.affine else ("running_mean", "running_var")
    state: dict[str, Any] = {name: _array(m, name) for name in names}
    dtype = state["running_mean"].dtype
    cls = _ours(linear, m)
    layer: Module = cls(m.num_features, m.eps, m.momentum, m.affine, dtype=dtype)
    layer.load_state_dict(layer.state_dict() | state)
    return layer


def _curve(m: Any, engine: dict[str, Any]) -> Module:
    how = {name: getattr(m, name) for name in ("negative_slope", "approximate") if hasattr(m, name)}
    layer: Module = _ours(curves, m)(**how)
    return layer


def _pool(*names: str) -> Of:
    """names: of the arguments, which are those of attributes."""

    def made(m: Any, engine: dict[str, Any]) -> Module:
        if getattr(m, "return_indices", False):
            raise ValueError("return_indices must be False; got True")
        how = {name: getattr(m, name) for name in names if hasattr(m, name)}
        layer: Module = _ours(pools, m)(**how)
        return layer

    return made


def _dropout(m: Any, engine: dict[str, Any]) -> Module:
    layer: Module = _ours(dropout, m)(m.p)
    return layer


def _upsample(m: Any, engine: dict[str, Any]) -> Module:
    again = getattr(m, "recompute_scale_factor", None)
    return resizing.Upsample(m.size, m.scale_factor, m.mode, m.align_corners, again)


MAX = _pool("kernel_size", "stride", "padding", "dilation", "ceil_mode")
AVG = _pool("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
LAYERS: dict[str, Of] = {
    **{f"Conv{rank}d": _conv for rank in RANKS},
    **{f"ConvTranspose{rank}d": _conv_transpose for rank in RANKS},
    **{f"BatchNorm{rank}d": _batch_norm for rank in RANKS},
    **{f"MaxPool{rank}d": MAX for rank in RANKS},
    **{f"AvgPool{rank}d": AVG for rank in RANKS},
    **{f"Adaptive{kind}Pool{rank}d": _pool("output_size") for kind in ("Avg", "Max") for rank in RANKS},
    "Linear": _linear,
    "ReLU": lambda m, _: activations.ReLU(),
    "ReLU6": lambda m, _: activations.ReLU6(),
    "Hardtanh": lambda m, _: activations.Hardtanh(m.min_val, m.max_val),
    **{name: _curve for name in curves.__all__},
    "Softmax": lambda m, _: activations.Softmax(m.dim),
    "Flatten": lambda m, _: reshaping.Flatten(m.start_dim, m.end_dim),
    "Identity": lambda m, _: activations.Identity(),
    "Dropout": lambda m, _: dropout.Dropout(m.p),
    **{f"Dropout{rank}d": _dropout for rank in RANKS},
    "ChannelShuffle": lambda m, _: reshaping.ChannelShuffle(m.groups),
    "PixelShuffle": lambda m, _: reshaping.PixelShuffle(m.upscale_factor),
    **{name: _upsample for name in ("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")},
}

# ---- functions and methods, by name: with PyTorch's arguments, what they take and the layer that they are ------------


def _numbers(*values: Any) -> bool:
    """Whether they are sizes, or numbers that sizes are made of."""
    return all(as_product(v) is not None for v in values)


def _constant(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _add(input: Any, other: Any, *, alpha: float = 1) -> Called:
    if alpha != 1:
        raise ValueError(f"alpha must be 1; got {alpha}")
    for one, number in (input, other), (other, input):
        if (c := _constant(number)) is not None:
            return Called([one], activations.Affine(1, c))
    return Called([input, other], merging.Add())


def _sub(input: Any, other: Any, *, alpha: float = 1) -> Called:
    if alpha != 1:
        raise ValueError(f"alpha must be 1; got {alpha}")
    first, second = _constant(input), _constant(other)
    if second is not None:
        return Called([input], activations.Affine(1, -second))
    if first is not None:
        return Called([other], activations.Affine(-1, first))
    raise ValueError("one of both must be a number")


def _mul(input: Any, other: Any) -> Any:
    if _numbers(input, other):
        return as_product(input).times(as_product(other))  # type: ignore[union-attr, arg-type]
    for one, number in (input, other), (other, input):
        if (c := _constant(number)) is not None:
            return Called([one], activations.Affine(c))
    return Called([input, other], merging.Mul())


def _div(input: Any, other: Any, *, rounding_mode: Any = None) -> Called:
    number = _constant(other)
    if not number or rounding_mode is not None:
        raise ValueError(f"the second must be a number other than 0, and rounding_mode None; got {other!r}")
    return Called([input], activations.Affine(1 / number))


def _floordiv(input: Any, other: Any) -> Any:
    if not _numbers(input, other):
        raise ValueError("both must be sizes")
    return as_product(input).over(as_product(other))  # type: ignore[union-attr, arg-type]


def _size(input: Any, dim: int | None = None) -> Any:
    shape = shape_of(input)
    return shape if dim is None else shape[dim]


def _attribute(input: Any, name: str) -> Any:
    if name != "shape" or not hasattr(input, "op"):
        raise ValueError(f"the only attribute that is known is shape; got {name!r}")
    return shape_of(input)


def _getitem(input: Any, index: Any) -> Any:
    if isinstance(input, Shape):
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop = index.start or 0, index.stop
            if (start < 0 and stop is None) or (None not in (start, stop) and (start < 0) == (stop < 0)):
                return tuple(input[i] for i in range(start, 0 if stop is None else stop))
        if not isinstance(index, int):
            raise ValueError(f"sizes are known one by one, or from one to another; got {index!r}")
        return input[index]
    if isinstance(input, Parts):
        if not isinstance(index, int) or index < 0:
            raise ValueError(f"parts are known by their numbers, from 0 on; got {index!r}")
        return Called([input.input], input.part(index))
    if isinstance(input, tuple):
        return input[index]
    listed = index if isinstance(index, tuple) else (index,)
    for i in listed:
        numbers = (i.start, i.stop, i.step) if isinstance(i, slice) else (i,)
        known = all(n is None or n is Ellipsis or (isinstance(n, int) and not isinstance(n, bool)) for n in numbers)
        if not known or (isinstance(i, slice) and (i.step or 1) < 1):
            raise ValueError(f"indices must be whole numbers, None, ... and slices of them; got {index!r}")
    plain = [(i.start, i.stop, i.step) if isinstance(i, slice) else "..." if i is Ellipsis else i for i in listed]
    return Called([input], reshaping.Part(plain))


class Parts(NamedTuple):
    """Tensors along an axis of one."""

    input: Any
    part: Callable[[int], Module]


def _chunk(input: Any, chunks: int, dim: int = 0) -> Parts:
    return Parts(input, lambda i: reshaping.Chunk(chunks, i, dim))


def _split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> Parts:
    given = split_size_or_sections

    def part(i: int) -> Module:
        sizes = list(given) if isinstance(given, (list, tuple)) else [given] * (i + 1)
        if i >= len(sizes) or not all(isinstance(n, int) for n in sizes):
            raise ValueError(f"sizes must be numbers, and {i} must be one of theirs; got {given!r}")
        cut = sum(sizes[:i]), sum(sizes[: i + 1]), None
        every = (None, None, None)
        return reshaping.Part([*[every] * dim, cut] if dim >= 0 else ["...", cut, *[every] * (-dim - 1)])

    return Parts(tensor, part)


def _listed(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Numbers that are given one by one, or as one list."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _view(input: Any, *shape: Any) -> Called:
    sizes = _listed(shape)
    return Called([input], view_of(input, sizes), sizes)


def _unsqueeze(input: Any, dim: int) -> Called:
    every = (None, None, None)
    index: list[Any] = [*[every] * dim, None] if dim >= 0 else ["...", None, *[every] * (-dim - 1)]
    return Called([input], reshaping.Part(index))


def _mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Called:
    if dtype is not None:
        raise ValueError(f"dtype must be None; got {dtype}")
    return Called([input], reshaping.Mean(dim, keepdim))


def _clamp(input: Any, min: Any = None, max: Any = None) -> Called:
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    return Called([input], activations.Hardtanh(low, high))


def _interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Called:
    if antialias:
        raise ValueError("antialias must be False; got True")
    how = size, scale_factor, mode, align_corners, recompute_scale_factor
    return Called([input], resizing.Upsample(*how))


def _dropped(make: Callable[[float], Module]) -> Callable[..., Called]:
    def made(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Called:
        return Called([input], make(p) if training else activations.Identity())

    return made


def _stochastic_depth(input: Any, p: float, mode: str, training: bool = True) -> Called:
    return Called([input], dropout.StochasticDepth(p, mode) if training else activations.Identity())


def _softmax(input: Any, dim: int, _stacklevel: int = 3, dtype: Any = None) -> Called:
    if dtype is not None:
        raise ValueError(f"dtype must be None; got {dtype}")
    return Called([input], activations.Softmax(dim))


def _of_one(make: Callable[..., Module]) -> Callable[..., Called]:
    """A function of one tensor whose other arguments are those of a layer."""

    def made(input: Any, *how: Any, inplace: bool = False, return_indices: bool = False, **named: Any) -> Called:
        if return_indices:
            raise ValueError("return_indices must be False; got True")
        return Called([input], make(*how, **named))

    return made


def _max_pool(rank: int) -> Callable[..., Called]:
    """With all arguments in PyTorch's order."""
    order = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    made = _of_one(getattr(pools, f"MaxPool{rank}d"))
    return lambda input, *how, **named: made(input, **dict(zip(order, how, strict=False)), **named)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "cat": lambda tensors, dim=0: Called(list(tensors), merging.Cat(dim)),
    "channel_shuffle": _of_one(reshaping.ChannelShuffle),
    "chunk": _chunk,
    "clamp": _clamp,
    "contiguous": lambda input, memory_format=None: Called([input], activations.Identity()),
    "div": _div,
    "dropout": _dropped(dropout.Dropout),
    **{f"dropout{rank}d": _dropped(getattr(dropout, f"Dropout{rank}d")) for rank in RANKS},
    "expand_as": lambda input, other: Called([input, other], merging.ExpandAs()),
    "flatten": lambda input, start_dim=0, end_dim=-1: Called([input], reshaping.Flatten(start_dim, end_dim)),
    "floordiv": _floordiv,
    "getattr": _attribute,
    "getitem": _getitem,
    "iadd": _add,
    "imul": _mul,
    "interpolate": _interpolate,
    "isub": _sub,
    "itruediv": _div,
    "mean": _mean,
    "mul": _mul,
    "multiply": _mul,
    "neg": lambda input: Called([input], activations.Affine(-1)),
    "permute": lambda input, *dims: Called([input], reshaping.Permute(_listed(dims))),
    "pixel_shuffle": _of_one(reshaping.PixelShuffle),
    "reshape": _view,
    "size": _size,
    "split": _split,
    "squeeze": _of_one(reshaping.Squeeze),
    "stochastic_depth": _stochastic_depth,
    "sub": _sub,
    "transpose": lambda input, dim0, dim1: Called([input], reshaping.Swap(dim0, dim1)),
    "truediv": _div,
    "unsqueeze": _unsqueeze,
    "view": _view,
    "hardtanh": _of_one(activations.Hardtanh),
    "relu": _of_one(activations.ReLU),
    "relu6": _of_one(activations.ReLU6),
    "sigmoid": _of_one(curves.Sigmoid),
    "tanh": _of_one(curves.Tanh),
    "silu": _of_one(curves.SiLU),
    "gelu": _of_one(curves.GELU),
    "hardsigmoid": _of_one(curves.Hardsigmoid),
    "hardswish": _of_one(curves.Hardswish),
    "leaky_relu": _of_one(curves.LeakyReLU),
    "softmax": _softmax,
    **{f"max_pool{rank}d": _max_pool(rank) for rank in RANKS},
    **{f"avg_pool{rank}d": _of_one(getattr(pools, f"AvgPool{rank}d")) for rank in RANKS},
    **{
        f"adaptive_{kind.lower()}_pool{rank}d": _of_one(getattr(pools, f"Adaptive{kind}Pool{rank}d"))
        for kind in ("Avg", "Max")
        for rank in RANKS
    },
}
