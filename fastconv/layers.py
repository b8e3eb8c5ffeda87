# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of a convolution layer? The arguments of layers, transposed layers and gradients, checked once.

`nn` and `reference.py` both start here, so they accept the same input and raise the same errors.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments import (
    Axis,
    IntOrTuple,
    _array,
    _count,
    _index,
    _is_listed,
    _out,
    _per_axis,
    _word,
    native_dtype,
)

Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
Activation: TypeAlias = str | Sequence[float] | None

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
ACTIVATIONS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
FLOATS = ("float16", "float32", "float64")
LARGEST = 2**44  # elements of a padded channel, so that no size in bytes overflows


class Options(NamedTuple):
    """The arguments that say how, in the order of the public functions."""

    stride: IntOrTuple = 1
    padding: Padding = 0
    dilation: IntOrTuple = 1
    groups: int = 1
    padding_mode: str = "zeros"
    activation: Activation = None
    layout: str | None = None
    dtype: DTypeLike | None = None
    out: Any = None


class Names(NamedTuple):
    """What messages call the arguments of a layer."""

    x: str
    w: str
    owner: str | None = None  # which has the dtype that the others must have; None: there is an argument dtype


NAMES = Names("x", "w")
GRADIENT_NAMES = Names("input", "weight")


class Layer(NamedTuple):
    """One convolution layer, ready to be computed: arrays have images first and channels second.

    It also describes the adjoint of a layer, which is a transposed layer, or the gradient of a layer's input: x then
    has the kernels, the result and bias the channels, and axes are those of the layer.
    """

    x: NDArray[Any]  # (images, channels, ...), any strides
    w: NDArray[Any]  # (kernels, channels / groups, ...)
    bias: NDArray[Any] | None
    axes: tuple[Axis, ...]
    groups: int
    clamp: tuple[float, float] | None
    shape: tuple[int, ...]  # of the result: (images, kernels, ...)
    dtype: np.dtype[Any]
    batched: bool
    channels_last: bool
    out: NDArray[Any] | None  # with the user's axes

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        return compute_dtype(self.dtype)

    def as_asked(self, result: NDArray[Any]) -> NDArray[Any]:
        """A result of (images, kernels, ...) with the user's axes."""
        result = np.moveaxis(result, 1, -1) if self.channels_last else result
        return result if self.batched else result[0]

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its dtype, with the user's axes, in `out` when there is one."""
        return delivered(self.as_asked(result), self.dtype, self.out)


class WeightGradient(NamedTuple):
    """The gradient of a layer's weights, ready to be computed."""

    x: NDArray[Any]  # (images, channels, ...), any strides
    grad_output: NDArray[Any]  # (images, kernels, ...), any strides
    axes: tuple[Axis, ...]
    groups: int
    shape: tuple[int, ...]  # of the result: (kernels, channels / groups, ...)
    dtype: np.dtype[Any]
    out: NDArray[Any] | None

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        return compute_dtype(self.dtype)

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its dtype, in `out` when there is one."""
        return delivered(result, self.dtype, self.out)


class Columns(NamedTuple):
    """What is unfolded, (images, channels, ...), or folded, (images, channels, taps, outputs)."""

    x: NDArray[Any]
    axes: tuple[Axis, ...]
    batched: bool
    folds: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result: the one of these two that x is not."""
        taps, outputs = math.prod(a.k for a in self.axes), math.prod(a.out for a in self.axes)
        return self.x.shape[:2] + (tuple(a.n for a in self.axes) if self.folds else (taps, outputs))

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.x.dtype

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """Copies stay as they are."""
        return compute_dtype(self.dtype) if self.folds else self.dtype

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """As it was asked for: columns are (images, channels x taps, outputs)."""
        if not self.folds:
            images, channels, taps, outputs = result.shape
            result = result.reshape(images, channels * taps, outputs)
        return (result if self.batched else result[0]).astype(self.dtype, copy=False)


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What the sums are made in: float16 is computed in float32."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def delivered(result: NDArray[Any], dtype: np.dtype[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """The result in its dtype, in `out` when there is one."""
    if out is None:
        return np.ascontiguousarray(result, dtype)
    if not np.may_share_memory(out, result):
        out[...] = result
    return out


def layer_arguments(
    rank: int, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, options: Options, names: Names = NAMES
) -> Layer:
    """Check the arguments of a convolution layer and derive its geometry.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    arrays, dtype = _arrays({names.x: x, names.w: w, "bias": bias}, options.dtype, names.owner)
    xa, wa = arrays[names.x], arrays[names.w]
    g = layer_geometry(rank, xa.shape, wa.shape, options, names)
    ba = _bias(arrays.get("bias"), wa.shape[0], "kernel")
    clamp, out = _clamp(options.activation), _out(options.out, g.asked(g.y_shape), dtype)
    return Layer(g.first(xa), wa, ba, g.axes, g.groups, clamp, g.y_shape, dtype, g.batched, g.channels_last, out)


def transposed_arguments(
    rank: int, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, output_padding: IntOrTuple, options: Options
) -> Layer:
    """Check the arguments of a transposed convolution layer: the adjoint of the layer of these weights and options."""
    arrays, dtype = _arrays({"x": x, "w": w, "bias": bias}, options.dtype)
    xa, wa = arrays["x"], arrays["w"]
    g = transposed_geometry(rank, xa.shape, wa.shape, output_padding, options)
    ba = _bias(arrays.get("bias"), g.x_shape[1], "channel")
    clamp, out = _clamp(options.activation), _out(options.out, g.asked(g.x_shape), dtype)
    return Layer(g.first(xa), wa, ba, g.axes, g.groups, clamp, g.x_shape, dtype, g.batched, False, out)


def input_gradient_arguments(
    rank: int, input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, options: Options
) -> Layer:
    """Check the arguments of the gradient of a layer's input: the adjoint of the layer."""
    arrays, dtype = _arrays({"grad_output": grad_output, "weight": weight}, options.dtype)
    names = Names("input_size", "weight")
    g = layer_geometry(rank, _size(input_size, "input_size"), arrays["weight"].shape, options, names)
    grad = _grad_output(arrays["grad_output"], g, names)
    return _adjoint(g, grad, arrays["weight"], dtype, _out(options.out, g.asked(g.x_shape), dtype))


def weight_gradient_arguments(
    rank: int, input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, options: Options
) -> WeightGradient:
    """Check the arguments of the gradient of a layer's weights."""
    arrays, dtype = _arrays({"grad_output": grad_output, "input": input}, options.dtype)
    names = Names("input", "weight_size")
    shape = _size(weight_size, "weight_size")
    g = layer_geometry(rank, arrays["input"].shape, shape, options, names)
    grad = _grad_output(arrays["grad_output"], g, names)
    return WeightGradient(
        g.first(arrays["input"]), grad, g.axes, g.groups, shape, dtype, _out(options.out, shape, dtype)
    )


def backward_arguments(
    rank: int,
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    options: Options,
    names: Names = GRADIENT_NAMES,
) -> tuple[Layer, WeightGradient]:
    """Check the arguments of both gradients."""
    named = {"grad_output": grad_output, names.x: input, names.w: weight}
    arrays, dtype = _arrays(named, options.dtype, names.owner)
    x, w = arrays[names.x], arrays[names.w]
    g = layer_geometry(rank, x.shape, w.shape, options, names)
    grad = _grad_output(arrays["grad_output"], g, names)
    return _adjoint(g, grad, w, dtype, None), WeightGradient(g.first(x), grad, g.axes, g.groups, w.shape, dtype, None)


def unfold_arguments(x: ArrayLike, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Columns:
    """Of how many dimensions the windows are, is what kernel_size says."""
    xa = _arrays({"x": x}, None, owner="x")[0]["x"]
    rank = _window_rank(kernel_size=kernel_size)
    batched = _batched(rank, xa.shape, "x")
    xa = xa if batched else xa[None]
    c = Columns(xa, _window_axes(xa.shape[2:], "x", kernel_size, dilation, padding, stride), batched, False)
    _check_size(c.shape, f"x has shape {xa.shape}")
    return c


def fold_arguments(
    x: ArrayLike, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Columns:
    """Of how many dimensions the windows are, is what kernel_size says, or output_size."""
    xa = _arrays({"x": x}, None, owner="x")[0]["x"]
    rank = _window_rank(kernel_size=kernel_size, output_size=output_size)
    taps = _per_axis(kernel_size, rank, "kernel_size")
    size = _per_axis(output_size, rank, "output_size")
    axes = _window_axes(size, "output_size", taps, dilation, padding, stride)
    if xa.ndim not in (2, 3):
        raise ValueError(f"x must have 3 dimensions (N, C x taps, L), or one less; got shape {xa.shape}")
    rows, columns = math.prod(a.k for a in axes), math.prod(a.out for a in axes)
    if xa.shape[-2] % rows or xa.shape[-1] != columns:
        raise ValueError(
            f"x must have C x {rows} rows and {columns} columns, for output_size {output_size!r}, kernel_size "
            f"{kernel_size!r}, dilation {dilation!r}, padding {padding!r} and stride {stride!r}; got shape {xa.shape}"
        )
    xa, batched = (xa, True) if xa.ndim == 3 else (xa[None], False)
    c = Columns(xa.reshape(len(xa), xa.shape[1] // rows, rows, columns), axes, batched, True)
    _check_size(c.shape, f"output_size is {output_size!r}")
    return c


def _window_rank(**sizes: Any) -> int:
    """Along how many axes windows slide: as many as the first size has that is not one number; of squares two."""
    for name, size in sizes.items():
        if _is_listed(size):
            if len(size) not in LAYOUTS:
                raise ValueError(f"{name} must be an integer or one to three; got {size!r}")
            return len(size)
    return 2


def _window_axes(
    shape: tuple[int, ...], name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Axis, ...]:
    """Those of pictures, whose size goes by a name."""
    rank = len(shape)
    kernel, steps = _per_axis(kernel_size, rank, "kernel_size"), _per_axis(stride, rank, "stride")
    spread = _per_axis(dilation, rank, "dilation")
    return layer_axes(shape, kernel, steps, _padding(padding), spread, "zeros", Names(name, "kernel_size"))


def bias_gradient_arguments(rank: int, grad_output: ArrayLike) -> NDArray[Any]:
    """The gradient of a layer's output, as (images, kernels, ...)."""
    grad = _arrays({"grad_output": grad_output}, None, owner="grad_output")[0]["grad_output"]
    return grad if _batched(rank, grad.shape, "grad_output") else grad[None]


def _adjoint(g: Geometry, grad: NDArray[Any], w: NDArray[Any], dtype: np.dtype[Any], out: NDArray[Any] | None) -> Layer:
    return Layer(grad, w, None, g.axes, g.groups, None, g.x_shape, dtype, g.batched, g.channels_last, out)


# ---- one argument each ---------------------------------------------------------------------------


def _arrays(
    named: Mapping[str, ArrayLike | None], dtype: DTypeLike | None, owner: str | None = None
) -> tuple[dict[str, NDArray[Any]], np.dtype[Any]]:
    """In the dtype asked for or else their own, which must be one; only a bias may be None.

    owner: as in Names.
    """
    given: dict[str, Any] = {name: a for name, a in named.items() if a is not None or name != "bias"}
    arrays = {name: _array(a, name) for name, a in given.items()}
    first = owner or next(iter(arrays))
    asked = arrays[first].dtype.newbyteorder("=") if dtype is None else float_dtype(dtype)
    for name, a in arrays.items():
        wanted = asked if asked.kind == "f" and name != owner else "float32"
        converts = f"numpy.asarray({name}, '{wanted}') converts" if owner else "dtype='float32' converts"
        if a.dtype.kind == "c" or (dtype is None and a.dtype.kind != "f"):
            advice = "" if a.dtype.kind == "c" else f"; {converts}"
            raise TypeError(f"{name} has dtype {a.dtype}; float16, float32 and float64 are accepted{advice}")
        if dtype is None and a.dtype.newbyteorder("=") != asked:
            advice = f"; {converts}" if owner else ", or dtype be given"
            raise TypeError(f"{name} has dtype {a.dtype} and {first} {asked}: they must be the same{advice}")
    return {name: a.astype(asked, copy=False) for name, a in arrays.items()}, asked


def float_dtype(asked: Any) -> np.dtype[Any]:
    """The dtype of floats that a `dtype` argument asks for."""
    dtype = native_dtype(asked)
    if dtype is None or dtype.name not in FLOATS:
        raise TypeError(f"dtype must be float16, float32 or float64; got {asked if dtype is None else dtype!r}")
    return dtype


def generator(seed: Any) -> np.random.Generator:
    """The random numbers that a `seed` argument asks for."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        accepted = "None, an integer of 0 or more, or a numpy.random.Generator"
        raise type(error)(f"seed must be {accepted}; got {seed!r}") from None


def _batched(rank: int, shape: tuple[int, ...], name: str, layout: str | None = None) -> bool:
    """Whether there is an axis of images."""
    if len(shape) not in (rank + 1, rank + 2):
        axes = tuple(layout or LAYOUTS[rank][0])
        raise ValueError(f"{name} must have {rank + 2} dimensions {axes}, or one less; got shape {shape}")
    return len(shape) == rank + 2


def _bias(bias: NDArray[Any] | None, n: int, each: str) -> NDArray[Any] | None:
    if bias is not None and bias.shape != (n,):
        raise ValueError(f"bias must have shape ({n},), one for each {each}; got shape {bias.shape}")
    return bias


def _size(size: Any, name: str) -> tuple[int, ...]:
    try:
        numbers = tuple(_index(n) for n in size)
    except TypeError:
        raise TypeError(f"{name} must be a shape, a tuple of integers; got {size!r}") from None
    if min(numbers, default=0) < 0:
        raise ValueError(f"{name} must not be negative; got {size!r}")
    return numbers


def _grad_output(grad: NDArray[Any], g: Geometry, names: Names) -> NDArray[Any]:
    """As (images, kernels, ...), if it is what the layer gives."""
    asked = g.asked(g.y_shape)
    if grad.shape != asked:
        raise ValueError(
            f"grad_output must have shape {asked}, as {names[0]} of shape {g.asked(g.x_shape)} and {names[1]} give "
            f"with this stride, padding and dilation; got shape {grad.shape}"
        )
    return g.first(grad)


def _groups(groups: Any, w_shape: tuple[int, ...], w: str) -> int:
    """The number of groups, if w's first axis can be split into so many."""
    number = _count(groups, "groups")
    if w_shape[0] == 0 or w_shape[0] % number:
        raise ValueError(
            f"the first axis of {w} must have a multiple of groups={number} elements, and some; got shape {w_shape}"
        )
    return number


def _padding(padding: Any) -> Any:
    """A word, or Python's integers in tuples: 1.0 and True would be found in the cache of layer_axes as 1."""

    def integers(value: Any) -> Any:
        return tuple(map(integers, value)) if _is_listed(value) else _index(value)

    try:
        return padding if isinstance(padding, str) else integers(padding)
    except TypeError:
        accepted = "'valid', 'same', an integer, one for each axis, or pairs (before, behind)"
        raise TypeError(f"padding must be {accepted}; got {padding!r}") from None


def _clamp(activation: Any) -> tuple[float, float] | None:
    """What results are brought between."""
    if activation is None:
        return None
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be None, {', '.join(ACTIVATIONS)} or (low, high); got {activation!r}")
        return ACTIVATIONS[activation]
    try:
        low, high = map(float, activation if _is_listed(activation) else ())
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"activation must be None, a name or (low, high); got {activation!r}") from None
    if not low <= high:
        raise ValueError(f"activation must be (low, high) with low <= high; got {activation!r}")
    return low, high


# ---- geometry ------------------------------------------------------------------------------------


class Geometry(NamedTuple):
    """What the shapes of x and w, and the options, say."""

    axes: tuple[Axis, ...]
    groups: int
    x_shape: tuple[int, ...]  # (images, channels, ...)
    y_shape: tuple[int, ...]  # (images, kernels, ...)
    batched: bool
    channels_last: bool

    def first(self, a: NDArray[Any]) -> NDArray[Any]:
        """An array with the user's axes, with images first and channels second."""
        a = a if self.batched else a[None]
        return np.moveaxis(a, -1, 1) if self.channels_last else a

    def asked(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape with images first and channels second, with the user's axes."""
        shape = (shape[0], *shape[2:], shape[1]) if self.channels_last else shape
        return shape if self.batched else shape[1:]


def layer_geometry(
    rank: int,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    options: Options,
    names: Names = NAMES,
) -> Geometry:
    """The geometry of a layer; names: what messages call x and w."""
    x, w = names[:2]
    layout = LAYOUTS[rank][0] if options.layout is None else _word(options.layout, LAYOUTS[rank], "layout")
    if len(w_shape) != rank + 2:
        raise ValueError(
            f"{w} must have {rank + 2} dimensions (kernels, channels / groups, {', '.join(layout.strip('NC'))} taps); "
            f"got shape {w_shape}"
        )
    batched, channels_last = _batched(rank, x_shape, x, layout), layout == LAYOUTS[rank][1]
    x_shape = x_shape if batched else (1, *x_shape)
    x_shape = (x_shape[0], x_shape[-1], *x_shape[1:-1]) if channels_last else x_shape
    groups = _groups(options.groups, w_shape, w)
    if x_shape[1] != groups * w_shape[1]:
        raise ValueError(
            f"{x} of shape {x_shape} has {x_shape[1]} channels; {w} of shape {w_shape} with groups={groups} takes "
            f"{groups * w_shape[1]}"
        )
    axes = layer_axes(
        x_shape[2:],
        w_shape[2:],
        _per_axis(options.stride, rank, "stride"),
        _padding(options.padding),
        _per_axis(options.dilation, rank, "dilation"),
        _word(options.padding_mode, PADDING_MODES, "padding_mode"),
        names,
    )
    kernels = w_shape[0] if x_shape[1] else 0  # as in PyTorch
    y_shape = (x_shape[0], kernels, *(a.out for a in axes))
    for shape in (x_shape, y_shape):
        _check_size(shape, f"{x} has shape {x_shape}, {w} {w_shape}")
    return Geometry(axes, groups, x_shape, y_shape, batched, channels_last)


def transposed_geometry(
    rank: int,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    output_padding: IntOrTuple,
    options: Options,
    names: Names = NAMES,
) -> Geometry:
    """The geometry of the layer that a transposed layer is the adjoint of: x has its y_shape, the result its x_shape.

    names: what messages call x and w.
    """
    x, w = names.x, names.w
    if len(w_shape) != rank + 2:
        raise ValueError(
            f"{w} must have {rank + 2} dimensions (channels, kernels / groups, taps ...); got shape {w_shape}"
        )
    batched = _batched(rank, x_shape, x)
    x_shape = x_shape if batched else (1, *x_shape)
    groups = _groups(options.groups, w_shape, w)
    if x_shape[1] != w_shape[0]:
        raise ValueError(f"{x} of shape {x_shape} has {x_shape[1]} channels; {w} of shape {w_shape} takes {w_shape[0]}")
    axes = transposed_axes(
        x_shape[2:],
        w_shape[2:],
        _per_axis(options.stride, rank, "stride"),
        _padding(options.padding),
        _per_axis(options.dilation, rank, "dilation"),
        _per_axis(output_padding, rank, "output_padding", least=0),
        names,
    )
    shape = (x_shape[0], groups * w_shape[1], *(a.n for a in axes))
    _check_size(shape, f"{x} has shape {x_shape}, {w} {w_shape}")
    return Geometry(axes, groups, shape, x_shape, batched, False)


def _check_size(shape: tuple[int, ...], because: str) -> None:
    if math.prod(shape) * 8 > sys.maxsize:
        raise ValueError(f"shape {shape} is too large; {because}")


@functools.lru_cache(maxsize=1024)
def layer_axes(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    padding_mode: str,
    names: Names = NAMES,
) -> tuple[Axis, ...]:
    """The axes of x that w slides over, padded; names: what messages call x and w."""
    x, w = names[:2]
    spans = _spans(w_shape, dilation, w)
    pads = _pads(padding, spans, stride)
    padded = tuple(n + sum(p) for n, p in zip(x_shape, pads, strict=True))
    if math.prod(max(s, n) for s, n in zip(spans, padded, strict=True)) > LARGEST:
        raise ValueError(f"padding {padding!r} or dilation {dilation} is too large for {x} of {x_shape}")
    if any(span > n for span, n in zip(spans, padded, strict=True)):
        spread = f", spread to {spans} by dilation {dilation}," if spans != w_shape else ""
        raise ValueError(f"{w} of {w_shape} taps{spread} is larger than the padded input {padded} of {x} of {x_shape}")
    _check_elements(x_shape, x)
    axes = []
    for n, k, span, s, d, (before, behind) in zip(x_shape, w_shape, spans, stride, dilation, pads, strict=True):
        most = {"zeros": sys.maxsize, "replicate": sys.maxsize, "reflect": n - 1, "circular": n}[padding_mode]
        if max(before, behind) > most:
            raise ValueError(f"padding {padding!r} is more than {n} elements allow with padding_mode {padding_mode!r}")
        out = (n + before + behind - span) // s + 1
        axes.append(Axis(n, k, out, before, s, d, PADDING_MODES[padding_mode], 0, out))
    return tuple(axes)


@functools.lru_cache(maxsize=1024)
def transposed_axes(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...],
    names: Names = NAMES,
) -> tuple[Axis, ...]:
    """The axes of the layer that has x for its output, and `output_padding` elements more than that needs.

    names: what messages call x and w.
    """
    x, w = names.x, names.w
    spans = _spans(w_shape, dilation, w)
    _check_elements(x_shape, x)
    pads = _pads(padding, spans, stride)
    if any(more >= max(s, d) for more, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ValueError(
            f"output_padding must be smaller than stride {stride} or dilation {dilation}; got {output_padding}"
        )
    axes = []
    for n, k, span, s, d, more, (before, behind) in zip(
        x_shape, w_shape, spans, stride, dilation, output_padding, pads, strict=True
    ):
        size = (n - 1) * s + span - before - behind + more
        axes.append(Axis(size, k, n, before, s, d, "constant", 0, n))
    sizes = tuple(a.n for a in axes)
    if min(sizes) < 1:
        raise ValueError(f"padding {padding!r} takes more than {x} of {x_shape} gives: the result would be {sizes}")
    if math.prod(a.n + sum(p) for a, p in zip(axes, pads, strict=True)) > LARGEST:
        steps = f"stride {stride}, padding {padding!r} or dilation {dilation}"
        raise ValueError(f"{steps} is too large for {x} of {x_shape}")
    return tuple(axes)


def _spans(w_shape: tuple[int, ...], dilation: tuple[int, ...], w: str) -> tuple[int, ...]:
    """Elements from the first tap to the last."""
    if 0 in w_shape:
        raise ValueError(f"{w} must have one tap at least along every axis; got {w_shape} taps")
    return tuple((k - 1) * d + 1 for k, d in zip(w_shape, dilation, strict=True))


def _check_elements(x_shape: tuple[int, ...], x: str) -> None:
    if 0 in x_shape:
        raise ValueError(f"{x} of {x_shape} elements has none; only images and channels may be none")


def _pads(padding: Any, spans: tuple[int, ...], stride: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Elements before and behind every axis."""
    rank = len(spans)
    accepted = f"'valid', 'same', an integer, {rank} of them, or {rank} pairs (before, behind)"
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"padding must be {accepted}; got {padding!r}")
        if padding == "valid":
            return ((0, 0),) * rank
        if stride != (1,) * rank:
            raise ValueError(f"padding 'same' is for stride 1; got stride {stride}")
        return tuple(((span - 1) // 2, span // 2) for span in spans)
    values = padding if isinstance(padding, tuple) else (padding,) * rank
    if len(values) != rank:
        raise ValueError(f"padding must be {accepted}; got {padding!r}")
    pairs = tuple(v if isinstance(v, tuple) else (v, v) for v in values)
    if any(len(p) != 2 or any(isinstance(n, tuple) for n in p) for p in pairs):
        raise ValueError(f"padding must be {accepted}; got {padding!r}")
    if any(n < 0 for p in pairs for n in p):
        raise ValueError(f"padding must not be negative; got {padding!r}")
    return pairs
