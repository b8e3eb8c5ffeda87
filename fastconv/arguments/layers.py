# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of a convolution layer, a transposed layer, their gradients, and of windows as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.layer_geometry import (
    GRADIENT_NAMES,
    LAYOUTS,
    NAMES,
    Geometry,
    Names,
    Options,
    as_padding,
    check_size,
    is_batched,
    is_last,
    layer_axes,
    layer_geometry,
    transposed_geometry,
)
from fastconv.arguments.values import (
    as_numbers,
    as_out,
    as_size,
    compute_dtype,
    float_dtype,
    is_listed,
    native,
    per_axis,
)
from fastconv.typing import IntOrTuple

NOTHING: NDArray[Any] = np.empty(0)
ACTIVATIONS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}  # what they bring results between
CURVES: tuple[str, ...] = ("leaky_relu", "hardsigmoid", "hardswish", "sigmoid", "silu", "tanh", "gelu", "gelu_tanh")
SLOPE = 0.01  # of leaky_relu, where it is not said


class Activated(NamedTuple):
    """What becomes of results."""

    name: str  # "clamp", or one of CURVES
    low: float = 0.0  # bounds; low is the slope of leaky_relu
    high: float = 0.0

    @property
    def clamp(self) -> tuple[float, float] | None:
        """What they are brought between, if that is all."""
        return self[1:] if self.name == "clamp" else None

    @property
    def word(self) -> Any:
        """An argument that asks for it."""
        if self.name == "clamp":
            return next((name for name, bounds in ACTIVATIONS.items() if bounds == self[1:]), self[1:])
        return (self.name, self.low) if self.name == "leaky_relu" and self.low != SLOPE else self.name


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
    activation: Activated | None
    shape: tuple[int, ...]  # of the result: (images, kernels, ...)
    dtype: np.dtype[Any]
    batched: bool
    channels_last: bool
    out: NDArray[Any] | None  # with the user's axes
    add: NDArray[Any] | None = None  # (images, kernels, ...), any strides

    @property
    def reads(self) -> tuple[NDArray[Any] | None, ...]:
        return *self[:3], self.add

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

    def without_arrays(self) -> Layer:
        """What delivers other results."""
        return self._replace(x=NOTHING, w=NOTHING, bias=None, out=None, add=None)


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

    def without_arrays(self) -> WeightGradient:
        """What delivers other results."""
        return self._replace(x=NOTHING, grad_output=NOTHING, out=None)


class Columns(NamedTuple):
    """What is unfolded, (images, channels, ...), or folded, (images, channels, taps, outputs)."""

    x: NDArray[Any]
    axes: tuple[Axis, ...]
    batched: bool
    folds: bool
    dtype: np.dtype[Any]
    channels_last: bool  # of images, as they are given or asked for
    out: None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result: the one of these two that x is not."""
        taps, outputs = math.prod(a.k for a in self.axes), math.prod(a.out for a in self.axes)
        return self.x.shape[:2] + (tuple(a.n for a in self.axes) if self.folds else (taps, outputs))

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """Copies stay as they are, and integers are summed modulo their range."""
        return compute_dtype(self.dtype) if self.folds and self.dtype.kind == "f" else self.dtype

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """As it was asked for: columns are (images, channels x taps, outputs)."""
        if not self.folds:
            images, channels, taps, outputs = result.shape
            result = result.reshape(images, channels * taps, outputs)
        elif self.channels_last:
            result = np.ascontiguousarray(np.moveaxis(result, 1, -1))
        return (result if self.batched else result[0]).astype(self.dtype, copy=False)

    def without_arrays(self) -> Columns:
        """What delivers other results."""
        return self._replace(x=NOTHING)


def delivered(result: NDArray[Any], dtype: np.dtype[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """The result in its dtype, in `out` when there is one."""
    if out is None:
        return np.asarray(result, dtype, "C")  # of no axes, too
    if not np.may_share_memory(out, result):
        out[...] = result
    return out


# ---- the whole -----------------------------------------------------------------------------------


def layer_arguments(
    rank: int,
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    options: Options,
    names: Names = NAMES,
    add: ArrayLike | None = None,
) -> Layer:
    """Check the arguments of a convolution layer and derive its geometry.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    arrays, dtype = as_floats({names.x: x, names.w: w, "bias": bias, "add": add}, options.dtype, names.owner)
    xa, wa = arrays[names.x], arrays[names.w]
    g = layer_geometry(rank, xa.shape, wa.shape, options, names)
    ba = as_bias(arrays.get("bias"), wa.shape[0], "kernel")
    activation, out = as_activation(options.activation), as_out(options.out, g.asked(g.y_shape), dtype)
    layer = Layer(g.first(xa), wa, ba, g.axes, g.groups, activation, g.y_shape, dtype, g.batched, g.channels_last, out)
    return layer if add is None else layer._replace(add=g.first(_as_result(arrays["add"], g.asked(g.y_shape))))


def transposed_arguments(
    rank: int, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, output_padding: IntOrTuple, options: Options
) -> Layer:
    """Check the arguments of a transposed convolution layer: the adjoint of the layer of these weights and options."""
    arrays, dtype = as_floats({"x": x, "w": w, "bias": bias}, options.dtype)
    xa, wa = arrays["x"], arrays["w"]
    g = transposed_geometry(rank, xa.shape, wa.shape, output_padding, options)
    ba = as_bias(arrays.get("bias"), g.x_shape[1], "channel")
    activation, out = as_activation(options.activation), as_out(options.out, g.asked(g.x_shape), dtype)
    return Layer(g.first(xa), wa, ba, g.axes, g.groups, activation, g.x_shape, dtype, g.batched, g.channels_last, out)


def input_gradient_arguments(
    rank: int, input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, options: Options
) -> Layer:
    """Check the arguments of the gradient of a layer's input: the adjoint of the layer."""
    arrays, dtype = as_floats({"grad_output": grad_output, "weight": weight}, options.dtype)
    names = Names("input_size", "weight")
    g = layer_geometry(rank, as_size(input_size, "input_size"), arrays["weight"].shape, options, names)
    grad = _grad_output(arrays["grad_output"], g, names)
    return _adjoint(g, grad, arrays["weight"], dtype, as_out(options.out, g.asked(g.x_shape), dtype))


def weight_gradient_arguments(
    rank: int, input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, options: Options
) -> WeightGradient:
    """Check the arguments of the gradient of a layer's weights."""
    arrays, dtype = as_floats({"grad_output": grad_output, "input": input}, options.dtype)
    names = Names("input", "weight_size")
    shape = as_size(weight_size, "weight_size")
    g = layer_geometry(rank, arrays["input"].shape, shape, options, names)
    grad = _grad_output(arrays["grad_output"], g, names)
    return WeightGradient(
        g.first(arrays["input"]), grad, g.axes, g.groups, shape, dtype, as_out(options.out, shape, dtype)
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
    arrays, dtype = as_floats(named, options.dtype, names.owner)
    x, w = arrays[names.x], arrays[names.w]
    g = layer_geometry(rank, x.shape, w.shape, options, names)
    grad = _grad_output(arrays["grad_output"], g, names)
    return _adjoint(g, grad, w, dtype, None), WeightGradient(g.first(x), grad, g.axes, g.groups, w.shape, dtype, None)


def bias_gradient_arguments(rank: int, grad_output: ArrayLike) -> NDArray[Any]:
    """The gradient of a layer's output, as (images, kernels, ...)."""
    grad = as_floats({"grad_output": grad_output}, None, owner="grad_output")[0]["grad_output"]
    return grad if is_batched(rank, grad.shape, "grad_output") else grad[None]


def unfold_arguments(
    x: ArrayLike, kernel_size: Any, dilation: Any, padding: Any, stride: Any, layout: Any = None
) -> Columns:
    """Of how many dimensions the windows are, is what kernel_size says."""
    xa = native(as_numbers(x, "x"))
    rank = _window_rank(kernel_size=kernel_size)
    batched = is_batched(rank, xa.shape, "x")
    xa, last = xa if batched else xa[None], is_last(layout, rank)
    xa = np.moveaxis(xa, -1, 1) if last else xa
    axes = _window_axes(xa.shape[2:], "x", kernel_size, dilation, padding, stride)
    c = Columns(xa, axes, batched, False, xa.dtype, last)
    check_size(c.shape, f"x has shape {xa.shape}")
    return c


def fold_arguments(
    x: ArrayLike, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any, layout: Any = None
) -> Columns:
    """Of how many dimensions the windows are, is what kernel_size says, or output_size."""
    xa = native(as_numbers(x, "x"))
    rank = _window_rank(kernel_size=kernel_size, output_size=output_size)
    taps = per_axis(kernel_size, rank, "kernel_size")
    size = per_axis(output_size, rank, "output_size")
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
    parted = xa.reshape(len(xa), xa.shape[1] // rows, rows, columns)
    c = Columns(parted, axes, batched, True, xa.dtype, is_last(layout, rank))
    check_size(c.shape, f"output_size is {output_size!r}")
    return c


# ---- parts ---------------------------------------------------------------------------------------


def _as_result(add: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if add.shape != shape:
        raise ValueError(f"add must have shape {shape}, that of the result; got shape {add.shape}")
    return add


def _adjoint(g: Geometry, grad: NDArray[Any], w: NDArray[Any], dtype: np.dtype[Any], out: NDArray[Any] | None) -> Layer:
    return Layer(grad, w, None, g.axes, g.groups, None, g.x_shape, dtype, g.batched, g.channels_last, out)


def _window_rank(**sizes: Any) -> int:
    """Along how many axes windows slide: as many as the first size has that is not one number; of squares two."""
    for name, size in sizes.items():
        if is_listed(size):
            if len(size) not in LAYOUTS:
                raise ValueError(f"{name} must be an integer or one to three; got {size!r}")
            return len(size)
    return 2


def _window_axes(
    shape: tuple[int, ...], name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Axis, ...]:
    """Those of pictures, whose size goes by a name."""
    rank = len(shape)
    kernel, steps = per_axis(kernel_size, rank, "kernel_size"), per_axis(stride, rank, "stride")
    spread = per_axis(dilation, rank, "dilation")
    return layer_axes(shape, kernel, steps, as_padding(padding), spread, "zeros", Names(name, "kernel_size"))


def as_floats(
    named: Mapping[str, ArrayLike | None], dtype: DTypeLike | None, owner: str | None = None
) -> tuple[dict[str, NDArray[Any]], np.dtype[Any]]:
    """In the dtype asked for or else their own, which must be one; only what is added may be None.

    owner: as in Names.
    """
    given: dict[str, Any] = {name: a for name, a in named.items() if a is not None or name not in ("bias", "add")}
    arrays = {name: as_numbers(a, name) for name, a in given.items()}
    first = owner or next(iter(arrays))
    asked = arrays[first].dtype.newbyteorder("=") if dtype is None else float_dtype(dtype)
    for name, a in arrays.items():
        if (asked.kind == "f" and a.dtype.newbyteorder("=") == asked) or (dtype is not None and a.dtype.kind != "c"):
            continue
        wanted = asked if asked.kind == "f" and name != owner else "float32"
        converts = f"numpy.asarray({name}, '{wanted}') converts" if owner else "dtype='float32' converts"
        if a.dtype.kind != "f":
            advice = "" if a.dtype.kind == "c" else f"; {converts}"
            raise TypeError(f"{name} has dtype {a.dtype}; float16, float32 and float64 are accepted{advice}")
        advice = f"; {converts}" if owner else ", or dtype be given"
        raise TypeError(f"{name} has dtype {a.dtype} and {first} {asked}: they must be the same{advice}")
    return {name: a.astype(asked, copy=False) for name, a in arrays.items()}, asked


def as_bias(bias: NDArray[Any] | None, n: int, each: str) -> NDArray[Any] | None:
    if bias is not None and bias.shape != (n,):
        raise ValueError(f"bias must have shape ({n},), one for each {each}; got shape {bias.shape}")
    return bias


def _grad_output(grad: NDArray[Any], g: Geometry, names: Names) -> NDArray[Any]:
    """As (images, kernels, ...), if it is what the layer gives."""
    asked = g.asked(g.y_shape)
    if grad.shape != asked:
        raise ValueError(
            f"grad_output must have shape {asked}, as {names[0]} of shape {g.asked(g.x_shape)} and {names[1]} give "
            f"with this stride, padding and dilation; got shape {grad.shape}"
        )
    return g.first(grad)


def as_activation(activation: Any) -> Activated | None:
    """What becomes of results, if anything does."""
    if activation is None:
        return None
    name, *more = activation if is_listed(activation) and len(activation) else (activation,)
    if not isinstance(name, str):
        return Activated("clamp", *as_clamp(activation))
    names = *ACTIVATIONS, *CURVES
    if name not in names or (more and name != "leaky_relu"):
        raise ValueError(
            f"activation must be None, {', '.join(names)}, ('leaky_relu', slope) or (low, high); got {activation!r}"
        )
    if name in ACTIVATIONS:
        return Activated("clamp", *ACTIVATIONS[name])
    try:
        (slope,) = map(float, more or [SLOPE])
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"activation must be ('leaky_relu', slope), a number; got {activation!r}") from None
    return Activated(name, slope) if name == "leaky_relu" else Activated(name)


def as_clamp(activation: Any) -> tuple[float, float]:
    """What results are brought between."""
    try:
        low, high = map(float, activation if is_listed(activation) else ())
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"activation must be None, a name or (low, high); got {activation!r}") from None
    if not low <= high:
        raise ValueError(f"activation must be (low, high) with low <= high; got {activation!r}")
    return low, high
