# SPDX-License-Identifier: BSD-3-Clause
"""Sums that compiled code stores as integers of up to 16 bits: in which arithmetic, and whether they are exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import largest_of, unrepeated
from fastconv.factors import as_whole, factorize
from fastconv.methods import Choice, choose
from fastconv.reference.correlation import largest_sum
from fastconv.runtime import _core


def as_floats(c: Correlation) -> Correlation | None:
    """c, sums of integers, in the smallest float that holds all of them; None: int32 could not."""
    if c.x.dtype.itemsize > 2 or c.x.dtype.kind == "b" or _core is None:
        return None
    most = largest_sum(c)
    dtype = np.dtype(np.float32 if most <= 2**24 else np.float64)
    return c._replace(k=c.k.astype(dtype), sum_dtype=dtype) if most < 2**31 else None


def stored(c: Correlation, choice: Choice) -> tuple[Correlation, Choice] | None:
    """c and choice by which compiled code stores sums of floats, or exact ones of 16 bits, as integers of up to 16.

    Into the user's array only where nothing can be wrong with a sum: else into another. None: there is no such way.
    """
    small = c.dtype.kind in "iu" and c.dtype.itemsize <= 2
    if not small or c.is_weighted or choice.method == "fft" or any(a.step > 1 for a in c.axes):
        return None
    whole, divisor = as_whole(c.k) if _is_of_integers(c) else (None, 1)
    exact = None if whole is None else _exactly(c, choice, whole, divisor)
    if exact is not None:
        return exact
    floats: Correlation | None = c
    if c.sum_dtype.kind in "iu":
        floats = as_floats(c)
    elif c.sum_dtype.kind == "c" or c.overflow == "wrap":
        return None
    elif c.sum_dtype == np.float64 and whole is not None and _is_plain(c, choice) and divisor & (divisor - 1) == 0:
        smallest = as_floats(c._replace(k=whole))
        if smallest is not None and smallest.sum_dtype == np.float32:  # exact by any method
            floats = c._replace(k=c.k.astype(np.float32), sum_dtype=smallest.sum_dtype, factors=())
            choice = choose(floats, "auto")
    if floats is None:
        return None
    out = c.out
    if out is None or c.overflow == "raise" or not (c.sum_dtype.kind in "iu" or _is_always_finite(c, choice)):
        out = c.room(c.dtype)
    return floats._replace(out=out), choice._replace(casts="cast" if c.overflow == "wrap" else c.overflow)


def _exactly(c: Correlation, choice: Choice, k: NDArray[np.int64], divisor: int) -> tuple[Correlation, Choice] | None:
    """As `stored`, of bytes, by whole sums, which are exact, and divided exactly, whatever method makes them.

    k, divisor: c.k, as `as_whole` has it.
    """
    combined = choice.combine in ("apart", "l1")
    strided = any(a.stride > 1 for a in c.axes)
    if _core is None or c.x.dtype.itemsize > 2 or (strided and not _takes_steps(c, choice)):
        return None
    if not (_is_plain(c, choice) or combined):
        return None
    info, fits, fill = np.iinfo(c.x.dtype), np.iinfo(c.dtype), int(c.fillvalue.real)
    low, high = int(info.min), int(info.max)
    if not low <= fill <= high:  # tiles are of the dtype of x
        return None
    each = k.reshape(-1, c.taps)
    above, below = int(each.clip(0).sum(1).max()), int(each.clip(None, 0).sum(1).min())
    least, most = low * above + high * below, high * above + low * below
    is_box = not strided and c.x.dtype.kind == "u" and bool((k == 1).all()) and _is_flat(c)
    of_bytes = c.x.dtype.itemsize == 1
    as_they_are = of_bytes and divisor == 1 and c.dtype.itemsize == 2 and fits.min <= least and most <= fits.max
    divided = of_bytes and least >= 0 and (divisor > 1 or c.dtype.itemsize == 1) and _core.divides(divisor, most)
    if (most + divisor // 2) // divisor > fits.max and c.overflow != "saturate":
        divided = False
    if choice.combine == "l1":
        as_they_are = divisor == 1 and _sums_norms(c, choice, high)
    dtype: np.dtype[Any] = np.dtype(np.int16)
    method, factors = "box" if is_box else "direct", tuple(f.astype(dtype) for f in choice.factors if combined)
    if combined and not (as_they_are and all((a == b).all() for a, b in zip(factors, choice.factors, strict=True))):
        return None
    if not (as_they_are or divided):
        if not (is_box and c.dtype == c.x.dtype and _is_divided_as_box(divisor, most, k.shape[-2], high)):
            return None
        dtype = np.dtype(np.int32)
    elif not (is_box or combined) and sum(n > 1 for n in k.shape) > 1:
        factors = factorize(k.tobytes(), k.dtype, k.shape, 1)
    if strided and not factors:
        return None
    if factors:
        method = "separable"
    out = c.room(c.dtype) if c.out is None else c.out
    sums = c._replace(k=k.astype(dtype), sum_dtype=dtype, fillvalue=fill, out=out)
    return sums, Choice(method, choice.why, factors, casts="saturate", combine=choice.combine, divisor=divisor)


def _takes_steps(c: Correlation, choice: Choice) -> bool:
    """Whether two passes of bytes take strides (byte_steps.c)."""
    return choice.method == "separable" and _is_plain(c, choice) and c.rank == 2 and c.x.dtype.itemsize == 1


def _sums_norms(c: Correlation, choice: Choice, high: int) -> bool:
    """Whether compiled code sums the absolute values of derivatives of bytes up to high, by three taps, in 16 bits."""
    if c.x.dtype != np.uint8 or any(f.shape != (2, 3) for f in choice.factors):
        return False
    weights = np.prod([np.abs(f.astype(np.float64)).sum(1) for f in choice.factors], 0)
    most, limit = high * float(weights.sum()), int(np.iinfo(c.dtype).max)
    return bool(high * weights.max() < 2**15) and (most <= limit or (limit < 256 and c.overflow == "saturate"))


def _is_divided_as_box(divisor: int, most: int, rows: int, high: int) -> bool:
    """Whether sums of boxes in 32 bits, up to most, are divided exactly, to the unsigned dtype of x, up to high."""
    assert _core is not None
    if (most + divisor // 2) // divisor > high:
        return False
    if high == 255:
        return rows <= 257 and _core.divides(divisor, most, in_floats=True)
    return divisor > 1 and _core.divides(divisor, most, 32)


def _is_plain(c: Correlation, choice: Choice) -> bool:
    """Whether one kernel makes one result."""
    return choice.combine == "sum" and not c.has_own_kernels


def _is_of_integers(c: Correlation) -> bool:
    """Whether real kernels meet nothing but integers."""
    fill = c.fillvalue.real
    whole = math.isfinite(fill) and fill == int(fill)
    return c.x.dtype.kind in "iu" and c.sum_dtype.kind != "c" and whole


def _is_flat(c: Correlation) -> bool:
    """Whether the kernel has two axes of adjacent taps."""
    return c.rank > 1 and all(n == 1 for n in c.k.shape[:-2]) and all(a.dilation == 1 for a in c.axes)


def _is_always_finite(c: Correlation, choice: Choice) -> bool:
    """Whether no sum of floats, partial or whole, can be NaN or infinite, whatever integers are in x."""
    if c.x.dtype.kind not in "biu":
        return False
    ends = (1,) if c.x.dtype.kind == "b" else (np.iinfo(c.x.dtype).min, np.iinfo(c.x.dtype).max)
    largest = max(abs(float(v)) for v in (*ends, c.fillvalue.real))
    limit = largest_of(c.sum_dtype) / 2
    for taps in choice.factors or (unrepeated(c.k),):
        largest *= max(c.taps, taps.size) * float(np.abs(taps).max(initial=0))
        if not largest < limit:  # or NaN
            return False
    return True
