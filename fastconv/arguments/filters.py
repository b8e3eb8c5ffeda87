# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of `ndimage`: one for each axis, where results go, and filters along an axis as passes."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
from numpy.exceptions import AxisError
from numpy.typing import NDArray

from fastconv.arguments.boundaries import NDIMAGE
from fastconv.arguments.values import as_array
from fastconv.caches import remembered

ONES = [np.ones(n) for n in range(8)]  # weights of means: of more elements, sums that do not grow with them are taken
FARTHEST = 2**58  # twice as many taps fit into no memory
MOST_DERIVATIVES = 2**16  # they take its square
_WIDE = np.dtype(np.float64)


class Pass(NamedTuple):
    """Correlation along one axis."""

    axis: int
    weights: NDArray[np.float64] | None  # None: all of them are 1
    taps: int
    lead: int
    boundary: str
    divisor: int = 0  # of the sums; 0: none


seen: ContextVar[list[Sequence[Pass]] | None] = ContextVar("seen", default=None)  # what filters do; see `blocks`


class Part(NamedTuple):
    """What x is of an array, along an axis, and which outputs there are to be."""

    begin: int  # where x begins
    total: int  # elements of the array
    first: int  # output, counted from the first element of x
    end: int


within: ContextVar[Sequence[Part] | None] = ContextVar("within", default=None)  # for each axis; None: x is no part


def shape_of_result(x: NDArray[Any]) -> tuple[int, ...]:
    part = within.get()
    return x.shape if part is None else tuple(p.end - p.first for p in part)


def weighted(w: NDArray[Any], axis: Any, ndim: int, boundary: str, origin: Any = 0) -> Pass:
    """Correlation with w, the arguments checked."""
    taps = w if w.dtype is _WIDE and w.flags.c_contiguous else float_weights(w)
    if w.ndim != 1 or not taps.size:
        raise RuntimeError(f"no filter weights given: weights must have 1 dimension; got shape {w.shape}")
    where = axis_of(axis, ndim)
    if not -(taps.size // 2) <= real(origin, "origin") <= (taps.size - 1) // 2:
        raise ValueError(
            "Invalid origin; origin must satisfy -(len(weights) // 2) <= origin <= (len(weights)-1) // 2; "
            f"got {origin!r} for {taps.size} weights"
        )
    return Pass(where, taps, taps.size, taps.size // 2 + integer(origin, "origin"), boundary)


def mean(size: Any, axis: Any, ndim: int, boundary: str, origin: Any) -> Pass:
    """The mean of `size` elements, the arguments checked."""
    where = axis_of(axis, ndim)
    if real(size, "size") < 1:
        raise RuntimeError(f"incorrect filter size: size must be at least 1; got {size!r}")
    length = integer(size, "size")
    if not 0 <= length // 2 + real(origin, "origin") < length:
        raise ValueError(f"invalid origin; it must satisfy 0 <= size // 2 + origin < size; got {origin!r}")
    weights = ONES[length] if length < len(ONES) else None
    return Pass(where, weights, length, length // 2 + integer(origin, "origin"), boundary, length)


def gaussians(
    ndim: int, sigma: Any, order: Any, mode: Any, truncate: Any = 4.0, *, radius: Any = None, axes: Any = None
) -> list[Pass]:
    """The passes of a Gaussian along several axes."""
    over = axes_of(axes, ndim)
    named = {"sigma": sigma, "order": order, "mode": mode, "radius": radius}
    columns = [each(v, len(over), name) for name, v in named.items()]
    return [
        weighted(gaussian_taps(s, o, truncate, r), a, ndim, boundary_of(m))
        for a, s, o, m, r in zip(over, *columns, strict=True)
        if real(s, "sigma") > 1e-15
    ]


def axis_of(axis: Any, ndim: int) -> int:
    where = integer(axis, "axis")
    if not -ndim <= where < ndim:
        raise AxisError(where, ndim, "input")
    return where % ndim


def integer(value: Any, name: str) -> int:
    if type(value) is int:
        return value
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer; got {value!r}, which cannot be interpreted as an integer"
        ) from None


def cut_off(value: Any, name: str) -> int:
    """A number without its fraction."""
    try:
        return int(value)
    except OverflowError:
        raise OverflowError(f"{name} must be finite; got {value!r}") from None


def as_callable(value: Any, name: str) -> Any:
    if not callable(value):
        raise TypeError(f"{name} must be callable; got {value!r}, and a {type(value).__name__} object is not callable")
    return value


def real(value: Any, name: str) -> float:
    if type(value) is float:
        return value
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except OverflowError as error:
        raise OverflowError(f"{name} must be a number that float64 holds: {error}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number; got {value!r}") from None


def float_weights(w: NDArray[Any]) -> NDArray[np.float64]:
    """w in float64, C-contiguous; itself if it is."""
    try:
        return np.asarray(w, _WIDE, "C")
    except (TypeError, ValueError, OverflowError) as error:
        raise type(error)(f"weights must be numbers; got an array of dtype {w.dtype}: {error}") from None


def boundary_of(mode: Any) -> str:
    if isinstance(mode, str) and mode in NDIMAGE:
        return NDIMAGE[mode]
    raise RuntimeError(f"boundary mode not supported; got {mode!r}, accepted are {', '.join(NDIMAGE)}")


def each(value: Any, count: int, name: str) -> list[Any]:
    """value for each of `count` axes"""
    if type(value) in (str, int, float) or value is None or isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise RuntimeError(f"sequence argument must have length equal to input rank, {count}; got {name}={value!r}")
    return values


def on_every_axis(values: list[Any], over: list[int], ndim: int) -> list[Any]:
    """The values of these axes, and 0 for the others; as they are where they are for all axes, as in SciPy."""
    if len(over) == ndim:
        return values
    where = dict(zip(over, values, strict=True))
    return [where.get(a, 0) for a in range(ndim)]


def number(origin: Any) -> Any:
    """Checked to be a number; that it is an integer in range is checked where the weights are known."""
    real(origin, "origin")
    return origin


def axes_of(axes: Any, ndim: int) -> list[int]:
    if axes is None:
        return list(range(ndim))
    try:
        given = [axes] if np.isscalar(axes) else list(axes)
    except TypeError:
        raise ValueError(f"axes must be an integer, iterable of integers, or None; got {axes!r}") from None
    numbers = [integer(a, "axes") for a in given]
    for a in numbers:
        if not -ndim <= a < ndim:
            raise AxisError(f"axes={axes!r}: axis {a} is out of range for an array of {ndim} axes")
    numbers = [a % ndim for a in numbers]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"axes must be unique; got {axes!r}")
    return numbers


def output_of(output: Any, x: NDArray[Any], *, is_complex: bool = False) -> NDArray[Any]:
    """The array that the result goes to."""
    if output is None:
        if is_complex:
            dtype = np.promote_types(x.dtype, np.complex64)
        else:
            dtype = x.dtype if x.dtype.isnative else x.dtype.newbyteorder("=")
        if dtype.kind not in "biufc":
            raise not_supported(dtype, "input")
    elif isinstance(output, (type, np.dtype)):
        dtype = np.dtype(output)
        if is_complex and dtype.kind != "c":
            warnings.warn("promoting specified output dtype to complex", stacklevel=3)
            dtype = np.promote_types(dtype, np.complex64)
    elif isinstance(output, str):
        try:
            dtype = np.dtype(output)
        except TypeError as error:
            raise TypeError(f"output must be an array or a dtype; got {output!r}: {error}") from None
        if is_complex and dtype.kind != "c":
            raise RuntimeError(f"output must have complex dtype; got {output!r}")
        if not issubclass(dtype.type, np.number):
            raise RuntimeError(f"output must have numeric dtype; got {output!r}")
    else:
        given = as_array(output, "output")
        if given.shape != shape_of_result(x):
            raise RuntimeError(f"output shape not correct: it has shape {given.shape}, input has {x.shape}")
        if is_complex and given.dtype.kind != "c":
            raise RuntimeError(f"output must have complex dtype; got {given.dtype}")
        if not given.flags.writeable:
            raise ValueError("output array is read-only")
        return given
    return np.empty(shape_of_result(x), dtype)


def not_supported(dtype: np.dtype[Any], name: str) -> RuntimeError:
    return RuntimeError(
        f"array type dtype({dtype.name!r}) not supported: {name} must be of bool, integers, float32 or float64"
    )


def kernel_of(
    weights: NDArray[Any], origin: Any, over: list[int], ndim: int, flips: bool
) -> tuple[NDArray[np.float64], list[Any]]:
    """A kernel over these axes as one of as many dimensions as the input, for correlation, and its origins."""
    w = float_weights(weights)
    if w.ndim != len(over) or 0 in w.shape:
        sizes = [n for n in w.shape if n > 0]
        raise RuntimeError(
            f"weights.ndim ({len(sizes)}) must match len(axes) ({len(over)}); weights have shape {w.shape}, "
            f"and input has {ndim} dimensions"
        )
    origins = [number(o) for o in each(origin, len(over), "origin")]
    if len(over) < ndim:  # axes of the kernel are in the order of those of the input; origins in that of `axes`
        w = np.expand_dims(w, tuple(a for a in range(ndim) if a not in over))
        origins = on_every_axis(origins, over, ndim)
    if flips:
        w = np.flip(w)
        origins = [-o - (1 - n % 2) for o, n in zip(origins, w.shape, strict=True)]
    for o, n in zip(origins, w.shape, strict=True):
        if not -(n // 2) <= o <= (n - 1) // 2:
            raise ValueError(
                "Invalid origin; origin must satisfy -(weights.shape[k] // 2) <= origin[k] <= "
                f"(weights.shape[k]-1) // 2; got {origin!r} for weights of shape {w.shape}"
            )
    return w, origins


def gaussian_taps(sigma: float, order: int, truncate: float, radius: int | None) -> NDArray[np.float64]:
    """Taps for correlation, the arguments checked."""
    try:
        deviation = real(sigma, "sigma")
    except TypeError as error:
        raise (ValueError if isinstance(sigma, str) and not sigma.isnumeric() else TypeError)(str(error)) from None
    if radius is None:
        try:
            reach: Any = int(real(truncate, "truncate") * deviation + 0.5)
        except (OverflowError, ValueError) as error:
            raise type(error)(f"sigma and truncate must be finite; got {sigma!r} and {truncate!r}") from None
    else:
        reach = radius
    if not isinstance(reach, (int, np.integer)) or not 0 <= reach < FARTHEST:
        of = f"radius={radius!r}" if radius is not None else f"{reach!r} from sigma {sigma!r} and truncate {truncate!r}"
        raise ValueError(f"Radius must be a nonnegative integer below 2**58; got {of}")
    derivative = integer(order, "order")
    if derivative < 0:
        raise ValueError(f"order must be non-negative; got {order!r}")
    if derivative >= MOST_DERIVATIVES:
        raise ValueError(f"order must be less than {MOST_DERIVATIVES}; got {order!r}")
    try:
        rounded = isinstance(sigma, (np.float16, np.float32)) and sigma * sigma != 0  # SciPy squares it as it is
        return _gaussian(deviation, derivative, int(reach), type(sigma) if rounded else float)
    except ZeroDivisionError as error:
        raise ZeroDivisionError(f"sigma must not be 0, nor its square; got {sigma!r}: {error}") from None


@remembered(2**20)
def _gaussian(sigma: float, order: int, radius: int, number: type[Any]) -> NDArray[np.float64]:
    x, square = np.arange(-radius, radius + 1), number(sigma) * number(sigma)
    bell = np.exp(-0.5 / square * x**2)
    bell = bell / bell.sum()
    q = np.zeros(order + 1)  # coefficients of powers of x
    q[0] = 1
    powers = np.arange(order + 1)
    step = np.diag(powers[1:], 1) + np.diag(np.ones(order) / -square, -1)
    for _ in range(order):
        q = step.dot(q)
    taps = (x[:, None] ** powers).dot(q) * bell if order else bell
    taps = np.ascontiguousarray(taps[::-1])
    taps.flags.writeable = False
    return taps
