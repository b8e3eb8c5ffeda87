# SPDX-License-Identifier: BSD-3-Clause
"""Correlation by large transforms, for kernels too large for the tiles of `csrc/corr/fft.c`.

NumPy's FFT in float64:  y = IDFT(DFT(x) * DFT(flipped k)). Where x goes on forever by itself ("wrap" along every axis)
the transform has the period of x, and no output is computed twice; elsewhere it is as long as what the outputs look at.
Where that is much longer than the kernel, outputs are computed in parts (overlap-save), and memory is that of a part.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import costs
from fastconv.arguments.prepared import Correlation
from fastconv.reference.correlation import extended


def lengths(c: Correlation) -> tuple[int, ...]:
    """Points of the transform of all outputs, along each axis."""
    if _is_periodic(c):
        return tuple(a.n for a in c.axes)
    if _has_zeros_around(c):  # elements beyond x may fall on each other, but not on x
        return tuple(_fast_length(max(a.n + max(a.lead, 0), a.out - a.lead + a.k - 1)) for a in c.axes)
    return tuple(_fast_length(a.out + a.k - 1) for a in c.axes)


def part_lengths(c: Correlation) -> tuple[int, ...] | None:
    """Points of the transform of a part of the outputs, along each axis; None: they are no fewer."""
    side = int(costs.PART_POINTS ** (1 / c.rank))
    points = tuple(_fast_length(min(a.out + a.k - 1, max(costs.PART_KERNELS * a.k, side))) for a in c.axes)
    return points if 2 * math.prod(points) < math.prod(lengths(c)) else None


def most_points(c: Correlation) -> int:
    """Transformed together."""
    return math.prod(part_lengths(c) or lengths(c))


def expected_us(c: Correlation) -> float:
    """Estimated time, on one thread."""
    of_part = part_lengths(c)
    n, parts = most_points(c), math.prod(c.shape[: -c.rank])
    if of_part:
        parts *= math.prod(-(-a.out // (size - a.k + 1)) for a, size in zip(c.axes, of_part, strict=True))
    each = n * (math.log2(max(n, 2)) + 4) * costs.TRANSFORM_NS * 1e-3 * (2 if c.sum_dtype.kind == "c" else 1)
    return (2 * parts + 1) * each + costs.TRANSFORM_CALL_US


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
    is_complex = x.dtype.kind == "c" or k.dtype.kind == "c"
    part = part_lengths(c)
    taps = _spectrum(k, part or lengths(c), is_complex)
    every = tuple(range(c.rank))
    flipped = np.roll(np.flip(taps, every), 1, every) if is_complex else taps.conj()
    if not part:
        return _outputs(c, x, flipped, lengths(c), is_complex)
    y = np.empty(c.shape, np.complex128 if is_complex else np.float64)
    sizes = [n - a.k + 1 for a, n in zip(c.axes, part, strict=True)]
    for block in itertools.product(*(range(0, a.out, size) for a, size in zip(c.axes, sizes, strict=True))):
        at = [slice(o, min(o + size, a.out)) for o, size, a in zip(block, sizes, c.axes, strict=True)]
        some = c.with_axes(tuple(a.part(w.start, w.stop) for a, w in zip(c.axes, at, strict=True)))
        for plane in np.ndindex(c.shape[: -c.rank]):
            y[(*plane, *at)] = _outputs(some, x[plane], flipped, part, is_complex)
    return y


def _spectrum(a: NDArray[Any], points: tuple[int, ...], is_complex: bool) -> NDArray[Any]:
    """The transform of the last axes; elements `points` apart are added up first, for they meet the same ones."""
    last = tuple(range(-len(points), 0))
    for axis, n in zip(last, points, strict=True):
        a = _folded(a, axis, n)
    if is_complex:
        return np.fft.fftn(a.astype(np.complex128), points, axes=last)
    return np.fft.rfftn(a.astype(np.float64), points, axes=last)


def _outputs(
    c: Correlation, x: NDArray[Any], taps: NDArray[Any], points: tuple[int, ...], is_complex: bool
) -> NDArray[Any]:
    """All outputs of c by one transform, from the spectrum of its taps."""
    last, is_whole = tuple(range(-c.rank, 0)), points == lengths(c)
    if is_whole and (_is_periodic(c) or _has_zeros_around(c)):
        first = tuple(-a.lead for a in c.axes)
    else:
        x, first = extended(c, x), (0,) * c.rank
    y = _spectrum(x, points, is_complex) * taps
    y = np.fft.ifftn(y, points, axes=last) if is_complex else np.fft.irfftn(y, points, axes=last)
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
