# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of a layer of bytes, which stand for numbers: counted from a zero, in steps of a scale."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.layer_geometry import Names, Options, layer_geometry
from fastconv.arguments.layers import as_bias, delivered
from fastconv.arguments.values import as_array, as_index, as_out, as_word, native_dtype

BYTES = ("uint8", "int8")
OVERFLOWS = ("raise", "wrap")
LARGEST_SUM = 2**31 - 1


class Quantized(NamedTuple):
    """How results of a layer become bytes again; or they stay int32."""

    x_zero: int
    w_zero: NDArray[np.int32] | None  # one, or one for each kernel; None: 0
    scale: NDArray[np.float32] | None  # likewise; None: sums are the results
    y_zero: int
    dtype: np.dtype[Any]  # of results


class QuantizedLayer(NamedTuple):
    """One layer of bytes, ready to be computed: arrays have images first and channels second."""

    x: NDArray[Any]  # (images, channels, ...), any strides
    w: NDArray[Any]  # (kernels, channels / groups, ...)
    bias: NDArray[np.int32] | None
    axes: tuple[Axis, ...]
    groups: int
    how: Quantized
    shape: tuple[int, ...]  # of the result: (images, kernels, ...)
    batched: bool
    channels_last: bool
    out: NDArray[Any] | None
    depends: bool  # on values of the weights, whether sums fit

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """A result of (images, kernels, ...) with the user's axes, in `out` when there is one."""
        return delivered(as_users(result, self.channels_last, self.batched), self.how.dtype, self.out)


def as_users(result: NDArray[Any], moves: bool, batched: bool) -> NDArray[Any]:
    """A result with the user's axes. moves: kernels go from the second axis to the last."""
    result = np.moveaxis(result, 1, -1) if moves else result
    return result if batched else result[0]


def quantized_arguments(
    rank: int,
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    options: Options,
    how: Quantized,
    overflow: str = "raise",
    names: Names = Names("x", "w"),
) -> QuantizedLayer:
    """Check the arguments of a layer of bytes and derive its geometry. how: of `as_quantized`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    OverflowError
        A sum might not fit into int32.
    """
    xa, wa = as_bytes(x, names.x), as_bytes(w, names.w)
    g = layer_geometry(rank, xa.shape, wa.shape, options, names)
    ba = as_bias(as_int32(bias, "bias"), wa.shape[0], "kernel") if bias is not None else None
    out = as_out(options.out, g.asked(g.y_shape), how.dtype)
    layer = QuantizedLayer(
        g.first(xa), wa, ba, g.axes, g.groups, how, g.y_shape, g.batched, g.channels_last, out, False
    )
    if as_word(overflow, OVERFLOWS, "overflow") == "raise":
        layer = layer._replace(depends=_check_sums(layer))
    limits = np.iinfo(xa.dtype)
    if not limits.min <= how.x_zero <= limits.max:
        raise ValueError(f"x_zero must be a number that {xa.dtype} holds, the dtype of {names.x}; got {how.x_zero}")
    return layer


def as_quantized(
    kernels: int,
    w: np.dtype[Any],
    x_zero: Any,
    w_zero: Any,
    scale: Any,
    y_zero: Any,
    dtype: DTypeLike | None,
) -> Quantized:
    """What is asked of so many kernels of bytes."""
    zeros = None if w_zero is None else _each(as_int32(w_zero, "w_zero"), kernels, "w_zero")
    if zeros is not None:
        limits = np.iinfo(w)
        if zeros.min(initial=0) < limits.min or zeros.max(initial=0) > limits.max:
            raise ValueError(f"w_zero must be of numbers that {w} holds, the dtype of the weights; got {w_zero!r}")
        zeros = zeros if zeros.any() else None
    asked = np.dtype(np.int32 if scale is None else np.uint8) if dtype is None else native_dtype(dtype)
    accepted = ("int32",) if scale is None else BYTES
    if asked is None or asked.name not in accepted:
        known = "int32 without a scale, and uint8 or int8 with one"
        raise TypeError(f"dtype must be {known}; got {dtype if asked is None else asked!r}")
    steps = None if scale is None else _each(_scales(scale), kernels, "scale")
    zero = _number(y_zero, "y_zero")
    limits = np.iinfo(asked)
    if scale is None and zero:
        raise ValueError(f"y_zero is for results with a scale; got y_zero={y_zero!r} and scale=None")
    if not limits.min <= zero <= limits.max:
        raise ValueError(f"y_zero must be a number that {asked} holds, the dtype of the result; got {zero}")
    return Quantized(_number(x_zero, "x_zero"), zeros, steps, zero, asked)


def as_bytes(value: ArrayLike, name: str) -> NDArray[Any]:
    """An array of uint8 or int8."""
    array = as_array(value, name)
    if array.dtype.name not in BYTES:
        raise TypeError(f"{name} has dtype {array.dtype}; uint8 and int8 are accepted")
    return array


def _number(value: Any, name: str) -> int:
    try:
        return as_index(value.item() if isinstance(value, np.ndarray) and value.size == 1 else value)
    except TypeError:
        raise TypeError(f"{name} must be an integer; got {value!r}") from None


def as_int32(value: ArrayLike, name: str) -> NDArray[np.int32]:
    array = as_array(value, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be of integers; got dtype {array.dtype}")
    result = array.astype(np.int32)
    if not np.array_equal(result, array):
        raise ValueError(f"{name} must be of integers that int32 holds; got {value!r}")
    return result


def _scales(value: ArrayLike) -> NDArray[np.float32]:
    array = as_array(value, "scale")
    if array.dtype.kind != "f":
        raise TypeError(f"scale must be of floats; got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if not np.isfinite(result).all():
        raise ValueError(f"scale must be of finite numbers that float32 holds; got {value!r}")
    return result


def _each(array: NDArray[Any], kernels: int, name: str) -> NDArray[Any]:
    if array.shape not in ((), (1,), (kernels,)):
        raise ValueError(f"{name} must be a number, or have shape ({kernels},), one for each kernel; got {array.shape}")
    return np.ascontiguousarray(array.reshape(-1))


def _check_sums(layer: QuantizedLayer) -> bool:
    """Raise if a sum might not fit: quickly, if none of so many could. Returns whether weights were looked at."""
    bias = 0 if layer.bias is None else int(np.abs(layer.bias.astype(np.int64)).max(initial=0))
    if math.prod(layer.w.shape[1:]) * 255 * 255 + bias <= LARGEST_SUM:
        return False
    limits, zero, over_kernels = np.iinfo(layer.x.dtype), layer.how.w_zero, (-1, *(1,) * (layer.w.ndim - 1))
    w = layer.w.astype(np.int64) - (0 if zero is None else zero.reshape(over_kernels))
    largest = max(limits.max - layer.how.x_zero, layer.how.x_zero - limits.min)
    most = np.abs(w).sum(axis=tuple(range(1, w.ndim))) * largest
    if layer.bias is not None:
        most = most + np.abs(layer.bias.astype(np.int64))
    if (worst := int(most.max(initial=0))) > LARGEST_SUM:
        raise OverflowError(
            f"a sum of these weights might be as large as {worst}, which int32 does not hold; overflow='wrap' computes "
            "modulo 2**32"
        )
    return True
