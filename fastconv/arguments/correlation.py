# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of a correlation: what corr1d, 2d, 3d and convolve* take, and what they come to."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.axes import MODES, Axis, as_users, geometry, windowed
from fastconv.arguments.boundaries import BOUNDARIES
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import (
    as_array,
    as_flag,
    as_listed,
    as_numbers,
    as_out,
    as_word,
    dtype_of_sums,
    is_supported,
    largest_of,
    native_dtype,
    per_axis,
    real_dtype,
    unrepeated,
)
from fastconv.typing import Boundaries, IntOrTuple, Mode, Nan, Overflow, Window

OVERFLOWS: tuple[str, ...] = get_args(Overflow)
NANS: tuple[str, ...] = get_args(Nan)

# How shapes are written in messages, by rank.
X_AXES = {1: "(..., N)", 2: "(..., H, W)", 3: "(..., D, H, W)"}
K_AXES = {1: "(..., n)", 2: "(..., h, w)", 3: "(..., d, h, w)"}

MOST_CHANNELS = 4  # that a last axis is taken for


class OuterProduct(NamedTuple):
    """A kernel that is given by its factors."""

    ky: ArrayLike
    kx: ArrayLike


class Options(NamedTuple):
    """The arguments that say how, in the order and with the defaults of the public functions."""

    mode: Mode = "valid"
    boundary: Boundaries = "constant"
    fillvalue: Any = 0
    axes: IntOrTuple | None = None
    stride: IntOrTuple = 1
    dilation: IntOrTuple = 1
    window: Window | None = None
    dtype: DTypeLike | None = None
    overflow: Overflow = "raise"
    out: Any = None
    nan: Nan = "propagate"
    mask: ArrayLike | None = None
    return_weight: bool = False


# ---- the whole -----------------------------------------------------------------------------------


def correlation_arguments(
    rank: int, x: ArrayLike, k: ArrayLike | OuterProduct, options: Options, *, convolve: bool = False
) -> Correlation:
    """Check the arguments of corr1d, 2d, 3d or convolve* and derive geometry and dtypes.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    as_word(options.mode, MODES, "mode")
    as_word(options.overflow, OVERFLOWS, "overflow")
    as_word(options.nan, NANS, "nan")
    boundaries = _boundaries(options.boundary, rank)
    xa = as_numbers(x, "x")
    factors: tuple[NDArray[Any], ...] = ()
    if isinstance(k, OuterProduct):
        factors = as_numbers(k.ky, "ky"), as_numbers(k.kx, "kx")
        ka = _outer(factors, xa.dtype)
    else:
        ka = as_numbers(k, "k")
    if xa.ndim < rank:
        raise ValueError(f"x must have at least {rank} dimension{'s'[: rank > 1]} {X_AXES[rank]}; got shape {xa.shape}")
    if ka.ndim < rank:
        raise ValueError(f"k must have at least {rank} dimension{'s'[: rank > 1]} {K_AXES[rank]}; got shape {ka.shape}")
    moved = _axes(options.axes, rank, xa.ndim)
    mask = _mask(options.mask, xa.shape)
    if moved:
        moved_last = (*[i for i in range(xa.ndim) if i not in moved], *moved)
        xa = xa.transpose(moved_last)
        mask = mask.transpose(moved_last) if mask is not None else None
    taps, batch = ka.shape[ka.ndim - rank :], xa.shape[: xa.ndim - rank]
    axes = _geometry(xa.shape, taps, options, boundaries, convolve)
    if options.window is not None:
        axes = windowed(axes, options.window)
    if ka.ndim > rank:
        batch = _common_batch(batch, ka.shape, rank)
        moved = tuple(a + len(batch) + rank - xa.ndim for a in moved)
        xa = np.broadcast_to(xa, (*batch, *xa.shape[-rank:]))
        mask = np.broadcast_to(mask, xa.shape) if mask is not None else None
        if math.prod(ka.shape[:-rank]) > 1:
            ka = np.broadcast_to(ka, (*batch, *taps))
        else:  # one for all, or for none
            ka = ka.reshape(taps) if ka.size else np.zeros(taps, ka.dtype)
    shape = (*batch, *[a.out for a in axes])

    return_weight = as_flag(options.return_weight, "return_weight")
    weighted = mask is not None or options.nan == "ignore" or return_weight
    sum_dtype, dtype = _dtypes(xa.dtype, ka.dtype, options.dtype, weighted)
    if options.overflow != "raise" and dtype.kind not in "iu":
        raise ValueError(f"overflow {options.overflow!r} is for integer results; the result has dtype {dtype}")
    most = sys.maxsize // max(sum_dtype.itemsize, dtype.itemsize, 4)
    for what, size in ("the result", math.prod(shape)), ("x", xa.size), ("k", ka.size):
        if size > most:
            raise ValueError(
                f"{what} would have {size} elements of {sum_dtype}: too large; x has shape {xa.shape}, "
                f"k has shape {ka.shape}, mode is {options.mode!r}"
            )
    if convolve:
        ka, factors = np.flip(ka, tuple(range(-rank, 0))), tuple(np.flip(f) for f in factors)
    elif ka.dtype.kind == "c":
        ka, factors = np.broadcast_to(unrepeated(ka).conj(), ka.shape), tuple(f.conj() for f in factors)
    fillvalue = _fillvalue(options.fillvalue, sum_dtype)
    if fillvalue.imag and xa.dtype.kind != "c":  # continued, x is complex
        xa = xa.astype(sum_dtype)
    asked_out = as_out(options.out, as_users(shape, moved, rank), dtype)
    out = asked_out if asked_out is None or not moved else np.moveaxis(asked_out, moved, range(-rank, 0))
    return Correlation(
        xa,
        ka,
        factors,
        axes,
        shape,
        sum_dtype,
        dtype,
        options.overflow,
        fillvalue,
        moved,
        out,
        asked_out,
        mask,
        options.nan == "ignore",
        return_weight,
    )


def placed(
    x: NDArray[Any],
    k: NDArray[Any],
    lead: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    boundaries: Sequence[str] | None = None,
    fillvalue: complex = 0,
) -> Correlation:
    """The correlation of x (..., n of each axis) with k, whose outputs are where the caller says; nothing is checked.

    k has the leading axes of x, or none. Output o meets tap t at element ``o - lead + t`` of x. Integer sums that do
    not fit into `dtype` wrap.
    """
    rank = len(out)
    names = boundaries or ("constant",) * rank
    sizes = x.shape[x.ndim - rank :], k.shape[k.ndim - rank :]
    axes = tuple(
        Axis(n, taps, size, first, 1, 1, name, 0, size)
        for n, taps, size, first, name in zip(*sizes, out, lead, names, strict=True)
    )
    shape = (*x.shape[: x.ndim - rank], *out)
    sum_dtype = dtype_of_sums(x.dtype, k.dtype)
    return Correlation(x, k, (), axes, shape, sum_dtype, dtype, "wrap", fillvalue, (), None, None)


# ---- single arguments ----------------------------------------------------------------------------


def _outer(factors: tuple[NDArray[Any], ...], x: np.dtype[Any]) -> NDArray[Any]:
    """The kernel that factors stand for, in the dtype its sums with x will have; integers exactly or not at all."""
    for name, factor in zip(OuterProduct._fields, factors, strict=True):
        if factor.ndim != 1:
            raise ValueError(f"{name} must have 1 dimension; got shape {factor.shape}")
        if factor.size == 0:
            raise ValueError(f"{name} must not be empty; got shape {factor.shape}")
    dtype = functools.reduce(dtype_of_sums, (f.dtype for f in factors))
    dtype = dtype if dtype.kind in "iu" else dtype_of_sums(x, dtype)
    wide: Any = object if dtype.kind in "iu" else dtype
    with np.errstate(all="ignore"):
        product = functools.reduce(np.multiply.outer, [f.astype(wide) for f in factors])
    try:
        return np.asarray(product.astype(dtype))
    except OverflowError:
        raise OverflowError(
            f"the product of the factors does not fit into {dtype}; pass one of them as float64"
        ) from None


def _geometry(
    x_shape: tuple[int, ...], taps: tuple[int, ...], options: Options, boundaries: tuple[str, ...], convolve: bool
) -> tuple[Axis, ...]:
    rank = len(taps)
    stride, dilation = per_axis(options.stride, rank, "stride"), per_axis(options.dilation, rank, "dilation")
    try:
        return geometry(x_shape[-rank:], taps, options.mode, boundaries, stride, dilation, convolve)
    except ValueError as error:
        has_channels = len(x_shape) > rank and 1 <= x_shape[-1] <= MOST_CHANNELS and taps[-1] > x_shape[-1]
        if options.axes is None and has_channels:
            where = tuple(range(len(x_shape) - 1 - rank, len(x_shape) - 1))
            how = f"axis={where[0]}" if rank == 1 else f"axes={where}"
            raise ValueError(f"{error}; if the last axis of x is its channels, pass {how}") from None
        raise


def _common_batch(batch: tuple[int, ...], k_shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The leading axes of the result, from those of x, which are `batch`, and of k."""
    try:
        return np.broadcast_shapes(batch, k_shape[:-rank])
    except ValueError:
        raise ValueError(
            f"k has shape {k_shape}, a kernel for each element of its leading axes {k_shape[:-rank]}, which do not "
            f"broadcast against those of x that it does not slide over, {batch}"
        ) from None


def _boundaries(boundary: Any, rank: int) -> tuple[str, ...]:
    names = (boundary,) * rank if isinstance(boundary, str) else boundary
    if isinstance(names, (tuple, list)) and len(names) == rank:
        known = [BOUNDARIES[name] for name in names if isinstance(name, str) and name in BOUNDARIES]
        if len(known) == rank:
            return tuple(known)
    each = f", or a tuple of {rank}" if rank > 1 else ""
    raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}{each}; got {boundary!r}")


def _axes(axes: Any, rank: int, ndim: int) -> tuple[int, ...]:
    """The axes of x that the kernel slides over, as indices from 0; () where they are the last ones."""
    if axes is None:
        return ()
    name = "axis" if rank == 1 else "axes"
    numbers = as_listed(axes)
    if len(numbers) != rank:
        raise ValueError(f"{name} must be {rank} integer{'s'[: rank > 1]}; got {axes!r}")
    try:
        moved = tuple(index(a) for a in numbers)
    except TypeError:
        raise TypeError(f"{name} must be {rank} integer{'s'[: rank > 1]}; got {axes!r}") from None
    if any(not -ndim <= a < ndim for a in moved):
        raise ValueError(f"{name} must lie from {-ndim} to {ndim - 1} for x of {ndim} dimensions; got {axes!r}")
    moved = tuple(a % ndim for a in moved)
    if len(set(moved)) != rank:
        raise ValueError(f"{name} must not repeat an axis; got {axes!r}")
    return () if moved == tuple(range(ndim - rank, ndim)) else moved


def _mask(value: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool] | None:
    if value is None:
        return None
    mask = as_array(value, "mask")
    if mask.dtype != np.bool:
        raise TypeError(f"mask must be an array of bool, True where x counts; got dtype {mask.dtype}")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"mask has shape {mask.shape}, which does not broadcast to that of x, {shape}") from None


def _dtypes(
    x: np.dtype[Any], k: np.dtype[Any], asked: DTypeLike | None, weighted: bool
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """(dtype of the sums, dtype of the result): a wider float that is asked for is also computed in, and weighted sums
    of integers are no integers."""
    sums = dtype_of_sums(x, k)
    if weighted and sums.kind in "iu":
        sums = np.dtype(np.float64)
    if asked is None:
        return sums, sums
    dtype = native_dtype(asked)
    if dtype is None or not is_supported(dtype) or dtype.kind == "b":
        raise TypeError(f"dtype must be an integer, float or complex dtype; got {asked!r}")
    if sums.kind == "c" and dtype.kind != "c":
        raise TypeError(f"dtype must be complex, because the sums are {sums}; got {asked!r}")
    if sums.kind in "fc" and dtype.kind in "fc":
        sums = np.promote_types(sums, real_dtype(dtype))
    return sums, dtype


def _fillvalue(value: Any, dtype: np.dtype[Any]) -> int | float | complex:
    if type(value) is not int and type(value) is not float:
        known = isinstance(value, (bool, int, float, complex, np.generic, np.ndarray))
        scalar = np.asarray(value)[()] if known else None
        kinds = (np.bool, np.integer, np.floating, np.complexfloating)[: 4 if dtype.kind == "c" else 3]
        if not isinstance(scalar, kinds):  # an array, complex, a string, ...
            raise TypeError(f"fillvalue must be a {'' if dtype.kind == 'c' else 'real '}scalar; got {value!r}")
        value = scalar.item()
    if isinstance(value, complex):
        limit = largest_of(dtype)
        if any(abs(part) > limit and not math.isinf(part) for part in (value.real, value.imag)):
            raise ValueError(f"fillvalue does not fit into the result's dtype {dtype}; got {value!r}")
        return complex(dtype.type(value))
    number: int | float = value
    if dtype.kind in "iu":
        if not math.isfinite(number) or number != int(number):
            raise ValueError(f"fillvalue must be an integer, because x and k are; got {number!r}")
        number = int(number)
        info = np.iinfo(dtype)
        fits = int(info.min) <= number <= int(info.max)
    else:
        fits = abs(number) <= largest_of(dtype) or (isinstance(number, float) and not math.isfinite(number))
    if not fits:
        raise ValueError(f"fillvalue does not fit into the result's dtype {dtype}; got {number!r}")
    return number if dtype.kind in "iu" else float(real_dtype(dtype).type(number))
