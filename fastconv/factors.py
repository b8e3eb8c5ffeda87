# SPDX-License-Identifier: BSD-3-Clause
"""Kernels taken apart: as outer products of factors, as whole numbers over a divisor."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.values import compute_dtype, unrepeated
from fastconv.caches import remembered

Factors = tuple[NDArray[Any], ...]  # per axis: terms x taps


# ---- outer products -------------------------------------------------------------------------------


@remembered(2**20)
def factorize(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], most: int) -> Factors:
    """k as a sum of at most `most` outer products (of rank 3: one), as exact as k itself; () if it is none."""
    k = np.frombuffer(data, dtype).reshape(shape)
    if not k.any() or not np.isfinite(k).all():
        return ()
    if dtype.kind in "iu":
        return _integer_factors(k)
    factors = _cross_factors(k)
    if factors:
        return _binary_factors(k) or factors
    return _low_rank(k, most) if k.ndim == 2 and (most > 1 or may_be_outer_product(k)) else ()


def _lines(k: NDArray[Any], pivot: tuple[int, ...]) -> list[NDArray[Any]]:
    """The vector along each axis through one element."""
    return [np.moveaxis(k, a, -1)[(*pivot[:a], *pivot[a + 1 :])] for a in range(k.ndim)]


def _integer_factors(k: NDArray[Any]) -> Factors:
    """The vectors through a nonzero element; all but the last without their common divisor, single ones as 1.

    In Python's integers: of a kernel that is no outer product, products of its taps fit into no dtype.
    """
    pivot = tuple(int(i[0]) for i in np.nonzero(k))
    lines = [line.astype(object) for line in _lines(k, pivot)]
    factors = [line // (math.gcd(*line) if line.size > 1 else line) for line in lines[:-1]]
    scale = math.prod(f[i] for f, i in zip(factors, pivot, strict=False))
    factors.append(lines[-1] // scale)
    info = np.iinfo(k.dtype)
    fits = all(info.min <= f.min() and f.max() <= info.max for f in factors)
    if not fits or (functools.reduce(np.multiply.outer, factors) != k).any():
        return ()
    return tuple(f.astype(k.dtype)[None] for f in factors)


def _binary_factors(k: NDArray[Any]) -> Factors:
    """Of whole numbers times a power of two: factors that are such numbers, too, so that sums that were exact stay so.

    All but the last sum to at most one in absolute value, as in `_cross_factors`; single ones are 1.
    """
    wide = k.astype(np.float64)
    unit = _lowest_bit(wide)
    if np.frexp(np.abs(wide).max())[1] - unit > 53:
        return ()
    exact: Factors = ()
    for factor in _integer_factors(np.ldexp(wide, -unit).astype(np.int64)):
        is_last = len(exact) == k.ndim - 1
        shift = unit if is_last else -math.ceil(math.log2(sum(abs(int(f)) for f in factor[0])))
        exact += (np.ldexp(factor.astype(np.float64), shift),)
        unit -= 0 if is_last else shift
    rounded = tuple(f.astype(k.dtype) for f in exact)
    return rounded if all((r == f).all() for r, f in zip(rounded, exact, strict=True)) else ()


def _cross_factors(k: NDArray[Any]) -> Factors:
    """The vectors through the largest element: of an outer product each has its rounding and no more.

    Every element of their product must agree with k to 8 units in the last place; what subnormal elements are off by
    beyond that may not be seen in the sum of all. All but the last sum to one in absolute value, so that no
    intermediate result is larger than x; single ones are 1.
    """
    wide = k.astype(np.float64)
    pivot = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(wide)), k.shape))
    lines = _lines(wide, pivot)
    factors = [line / (np.abs(line).sum() if line.size > 1 else line) for line in lines[:-1]]
    scale = math.prod(float(f[i]) for f, i in zip(factors, pivot, strict=False))
    rounded = [f.astype(k.dtype) for f in (*factors, lines[-1] / scale)]
    product = functools.reduce(np.multiply.outer, [f.astype(np.float64) for f in rounded])
    info = np.finfo(k.dtype)
    eps = float(info.eps)
    beyond = np.abs(product - wide) - 8 * eps * np.abs(wide)
    close = (beyond <= 4 * float(info.smallest_subnormal)).all()
    return tuple(f[None] for f in rounded) if close and beyond.clip(0).sum() <= eps * np.abs(wide).sum() else ()


def may_be_outer_product(k: NDArray[Any]) -> bool:
    """False only where `_low_rank` finds no single term, which takes far longer to find out."""
    return bool(may_be_outer_products(k[None], k.dtype)[0])


def may_be_outer_products(k: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool]:
    """Of kernels one after the other: False where a tap is not that of the cross through the largest one."""
    wide = k.astype(np.float64)
    shape, each = wide.shape[1:], np.arange(len(wide))
    pivot = np.unravel_index(np.argmax(np.abs(wide).reshape(len(wide), -1), 1), shape)
    largest = wide[(each, *pivot)].reshape(-1, *(1,) * len(shape))
    product = largest
    for axis, n in enumerate(shape):
        at = [p[:, None] for p in pivot]
        at[axis] = np.arange(n)[None]
        line = wide[(each[:, None], *at)]
        product = product * (line.reshape(-1, *(n if a == axis else 1 for a in range(len(shape)))) / largest)
    eps, least = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    over = tuple(range(1, wide.ndim))
    norm = np.sqrt((wide**2).sum(over, keepdims=True))
    close = np.abs(product - wide) <= 16 * (eps * np.abs(wide) + eps * norm + least)
    return np.asarray(close.all(over))


def _low_rank(k: NDArray[Any], most: int) -> Factors:
    """The first terms of the singular value decomposition, if what they leave out is rounding.

    That is, if the bound of the error (`fastconv.reference.error_bound`) for an image of one brightness is not
    larger than that of the direct method. (For a single bright pixel it may be.)
    """
    wide = k.astype(np.float64)
    u, s, v = np.linalg.svd(wide, full_matrices=False)
    eps = float(np.finfo(k.dtype).eps)
    terms = int((s > 2 * eps * s[0]).sum())
    if terms > most:
        return ()
    scale = np.abs(u[:, :terms]).sum(0)
    rows, cols = (u[:, :terms] / scale).T.astype(k.dtype), (v[:terms].T * s[:terms] * scale).T.astype(k.dtype)
    weight = (np.abs(rows[:, :, None], dtype=np.float64) * np.abs(cols[:, None, :])).sum()
    left_out = np.abs(np.einsum("th,tw->hw", rows.astype(float), cols.astype(float)) - wide).sum()
    taps = terms * sum(k.shape)
    if (taps + 16) * eps / 2 * weight + left_out > k.size * eps / 2 * np.abs(wide).sum():
        return ()
    return np.ascontiguousarray(rows), np.ascontiguousarray(cols)


# ---- whole numbers ---------------------------------------------------------------------------------


def as_whole(k: NDArray[Any]) -> tuple[NDArray[np.int64] | None, int]:
    """k as whole numbers, and what they are divided by, a power of two or an odd number; None: it is no such kernel."""
    most = 2**15
    if k.dtype.kind in "iu":
        fits = k.size == 0 or (-most <= int(k.min()) and int(k.max()) <= most)
        return k.astype(np.int64) if fits else None, 1
    wide = unrepeated(k).astype(np.float64)
    if not (np.abs(wide) <= most).all() or not wide.any():  # or NaN
        return None, 1
    divisor = 2 ** max(-_lowest_bit(wide), 0)
    if divisor > most:
        least, eps = float(np.abs(wide[wide != 0]).min()), 4 * float(np.finfo(compute_dtype(k.dtype)).eps)
        divisor = round(min(1 / least, most))
        whole = np.rint(wide / least)
        if divisor % 2 == 0 or not (np.abs(wide * divisor - whole) <= eps * np.abs(whole)).all():
            return None, 1
    else:
        whole = wide * divisor
    if not (np.abs(whole) <= most).all():
        return None, 1
    return np.ascontiguousarray(np.broadcast_to(whole.astype(np.int64), k.shape)), divisor


def _lowest_bit(k: NDArray[np.float64]) -> int:
    """The exponent of the lowest bit that is set in an element; some are not 0, all finite."""
    mantissas, exponents = np.frexp(k)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    there = whole != 0
    return int((exponents + np.frexp((whole & -whole).astype(np.float64))[1] - 54)[there].min())
