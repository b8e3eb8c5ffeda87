# SPDX-License-Identifier: BSD-3-Clause
"""Results in another dtype than that of the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def converted(sums: NDArray[Any], dtype: np.dtype[Any], overflow: str = "raise") -> NDArray[Any]:
    """Exact sums (integers may be Python's) as `dtype`; floats become integers by rounding half to even.

    Raises
    ------
    OverflowError
        `overflow` is "raise" and a sum does not fit.
    ValueError
        A sum that is to become an integer is NaN, or infinite and not to be saturated.
    """
    if sums.dtype == dtype:
        return sums
    if dtype.kind in "fc":
        with np.errstate(over="ignore"):
            return sums.astype(dtype, copy=False)
    info = np.iinfo(dtype)
    low, high = int(info.min), int(info.max)
    if sums.dtype.kind == "f":
        sums = np.rint(
            sums.astype(np.float64, copy=False)
        )  # whose numbers lie close enough to compare with low and high
        if np.isnan(sums).any():
            raise ValueError(f"a sum is NaN and has no value in {dtype}; ask for a float dtype")
        if overflow == "wrap":
            if np.isinf(sums).any():
                raise ValueError(f"a sum is infinite and has no value in {dtype}; use overflow='saturate'")
            small = np.abs(sums) < 2.0**63  # int64 holds these; the others are multiples of 2**11, which mod keeps
            modulo = np.mod(np.where(small, 0, sums), 2.0**info.bits).astype(np.uint64)
            wrapped: NDArray[Any] = np.where(small, np.where(small, sums, 0).astype(np.int64).view(np.uint64), modulo)
            return wrapped.astype(dtype)
        high_float = np.nextafter(float(high) + 1, 0, dtype=sums.dtype) if float(high) > high else sums.dtype.type(high)
        fits = (sums >= low) & (sums <= high_float)
        if overflow == "raise" and not fits.all():
            _raise_overflow(sums[~fits][0], dtype)
        inside = np.where(fits, sums, 0).astype(dtype)
        return np.where(fits, inside, np.where(sums < 0, low, high).astype(dtype)) if not fits.all() else inside
    if overflow == "wrap":
        return (sums % 2**info.bits).astype(np.uint64).astype(dtype) if sums.dtype == object else sums.astype(dtype)
    if sums.dtype != object:
        here = np.iinfo(sums.dtype)
        low, high = max(low, int(here.min)), min(high, int(here.max))
    if overflow == "raise" and sums.size and not (low <= sums.min() and sums.max() <= high):
        _raise_overflow(sums[(sums < low) | (sums > high)][0], dtype)
    if overflow == "saturate":
        sums = np.clip(sums, low, high)
    return sums.astype(dtype)


def _raise_overflow(value: Any, dtype: np.dtype[Any]) -> None:
    raise OverflowError(
        f"a sum, {value}, does not fit into {dtype}; use overflow='saturate' or 'wrap', or a wider dtype"
    )


def cast(sums: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Sums as C casts them, and as csrc/kernels/narrow_tmpl.h does it."""
    if dtype.kind == "f":
        with np.errstate(all="ignore"):
            return sums.astype(dtype)
    if dtype.kind == "b":  # of the byte that SciPy stores
        return cast(sums, np.dtype(np.uint8)).astype(bool)
    dtype = dtype.newbyteorder("=")
    if dtype == np.uint64:
        upper = sums >= 2.0**63
        lower: NDArray[Any] = cast(np.where(upper, sums - 2.0**63, sums), np.dtype(np.int64)).astype(np.uint64)
        lower ^= upper.astype(np.uint64) << np.uint64(63)
        return lower
    bits = 63 if dtype.itemsize == 8 or dtype == np.uint32 else 31
    fits = (sums > -(2.0**bits) - (bits == 31)) & (sums < 2.0**bits)
    whole = np.where(fits, sums, -(2.0**bits)).astype(np.int64)
    result: NDArray[Any] = whole.astype(dtype)
    return result


def cast_magnitude(sums: NDArray[np.float64]) -> NDArray[np.uint64]:
    """To uint64 as SciPy's kernels of several dimensions do it: the magnitude is cast, and then has its sign."""
    whole: NDArray[np.uint64] = cast(np.abs(sums), np.dtype(np.uint64)).astype(np.uint64)
    np.negative(whole, out=whole, where=sums < 0)
    return whole
