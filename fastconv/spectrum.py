# SPDX-License-Identifier: BSD-3-Clause
"""Correlation by one transform of everything, for kernels too large for the tiles of `csrc/fft.c`.

NumPy's FFT in float64:  y = IDFT(DFT(x) * DFT(flipped k)). Where x goes on forever by itself ("wrap" along every axis)
the transform has the period of x, and no output is computed twice; elsewhere it is as long as what the outputs look at.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments import Correlation
from fastconv.reference import extended

NS_PER_POINT = 1.0  # and doubling of the length, of one transform


def lengths(c: Correlation) -> tuple[int, ...]:
    """Points of the transform along each axis."""
    if _is_periodic(c):
        return tuple(a.n for a in c.axes)
    if _has_zeros_around(c):  # elements beyond x may fall on each other, but not on x
        return tuple(_fast_length(max(a.n + max(a.lead, 0), a.out - a.lead + a.k - 1)) for a in c.axes)
    return tuple(_fast_length(a.out + a.k - 1) for a in c.axes)


def expected_us(c: Correlation) -> float:
    """Estimated time, on one thread."""
    points = math.prod(lengths(c))
    planes = math.prod(c.shape[: -c.rank])
    return (2 * planes + 1) * points * (math.log2(max(points, 2)) + 4) * NS_PER_POINT * 1e-3


def correlate(c: Correlation) -> NDArray[Any]:
    """The sums of c in float64 or complex128. k is finite, and x if it is complex."""
    missing = ~np.isfinite(c.x)
    if not missing.any():
        return _correlate(c, c.x, c.k)
    # A transform would spread what is not finite over everything. The sums without it, and what it makes of them:
    result = _correlate(c, np.where(missing, 0, c.x), c.k)
    infinite = np.isinf(c.x)
    up, down, lost = np.where(infinite, c.x > 0, 0), np.where(infinite, c.x < 0, 0), np.isnan(c.x)

    def meets(x: NDArray[Any], taps: NDArray[Any]) -> NDArray[np.bool]:
        hit: NDArray[np.bool] = _correlate(c._replace(fillvalue=0), x.astype(float), taps.astype(float)) > 0.5
        return hit

    high = meets(up, c.k > 0) | meets(down, c.k < 0)
    low = meets(up, c.k < 0) | meets(down, c.k > 0)
    result[high] = np.inf
    result[low] = -np.inf
    result[(high & low) | meets(lost, np.ones(c.k.shape)) | meets(infinite, c.k == 0)] = np.nan
    return result


def _correlate(c: Correlation, x: NDArray[Any], k: NDArray[Any]) -> NDArray[Any]:
    last, points = tuple(range(-c.rank, 0)), lengths(c)
    if _is_periodic(c) or _has_zeros_around(c):
        first = tuple(-a.lead for a in c.axes)
    else:
        x, first = extended(c, x), (0,) * c.rank
    for axis, n in zip(last, points, strict=True):
        k = _folded(k, axis, n)
    is_complex = x.dtype.kind == "c" or k.dtype.kind == "c"
    forward, back = (np.fft.fftn, np.fft.ifftn) if is_complex else (np.fft.rfftn, np.fft.irfftn)
    wide: Any = np.complex128 if is_complex else np.float64
    taps = forward(k.astype(wide), points, axes=last)
    flipped = np.roll(np.flip(taps, last), 1, last) if is_complex else taps.conj()
    y = back(forward(x.astype(wide), points, axes=last) * flipped, points, axes=last)
    where = [(start + np.arange(a.out)) % n for a, start, n in zip(c.axes, first, points, strict=True)]
    at: tuple[Any, ...] = (..., *np.ix_(*where))
    taken: NDArray[Any] = y[at]
    return taken


def _is_periodic(c: Correlation) -> bool:
    return all(a.boundary == "wrap" for a in c.axes)


def _has_zeros_around(c: Correlation) -> bool:
    return c.fillvalue == 0 and all(a.boundary == "constant" for a in c.axes)


def _folded(k: NDArray[Any], axis: int, n: int) -> NDArray[Any]:
    """k with taps n apart added up: they meet the same points."""
    if k.shape[axis] <= n:
        return k
    parts = [np.take(k, range(i, min(i + n, k.shape[axis])), axis) for i in range(0, k.shape[axis], n)]
    total = parts[0].astype(complex if k.dtype.kind == "c" else float)
    for part in parts[1:]:
        where: list[Any] = [slice(None)] * k.ndim
        where[axis] = slice(0, part.shape[axis])
        total[tuple(where)] += part
    return total


def _fast_length(n: int) -> int:
    """The next product of powers of 2, 3 and 5, which transforms are fast for."""
    best = 1 << max(n - 1, 0).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            least = -(-n // three)
            best = min(best, three << max(least - 1, 0).bit_length())
            three *= 3
        five *= 5
    return best
