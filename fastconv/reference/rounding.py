# SPDX-License-Identifier: BSD-3-Clause
"""How far a compiled sum may lie from the reference's: the bound of correlations, and what all bounds are made of."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.prepared import Correlation
from fastconv.reference.correlation import counted, extended, made_up, slide, wide_sums

TILE_POINTS = 1 << 20  # the most that csrc/corr/fft.c transforms together
FAINT = 1 / 16  # of the weight of a whole window: where less is there, the errors of transforms are not made up for


def error_bound(c: Correlation, factors: tuple[NDArray[Any], ...] = (), *, transformed: int = 0) -> NDArray[np.float64]:
    """How far a compiled result of c may lie from the reference's, per output element.

    With n taps, unit roundoff u of the arithmetic and eta its smallest subnormal number, a sum of
    products in any order, fused or not, is off by at most ``n u sum|x||k| + n eta`` to first order in u
    (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1). A kernel that is taken apart
    into `factors` (per axis, terms x taps) has the sum of their absolute outer products in place of ``|k|``, and
    for n the taps of all factors and 16 for their own rounding; what eta adds to one pass is multiplied by the sums of
    the factors after it. What the outer products differ from k by, and may be off by where they are subnormal, is an
    error, too. Where at most N = `transformed` elements are transformed together (as a pair of tiles, say), the error
    is relative to all of them:
    ``16 u log2(N) |x| |k|``, the norms being roots of sums of squares (ibid., theorem 24.2), and the bound of the
    direct sum is added. So is ``8 N eta (1 + sum|x| + sum|k|)``: every step may be off by eta, and each result is a sum
    of N products with spectra. To the bound of the compiled sum are added that of the reference's own float64 sum, and
    the rounding to the result's dtype on both sides. Where an intermediate value can overflow the bound is infinite. Of
    complex results it holds for the absolute value of the difference; to results rounded to integers one is added.

    Where elements may be missing (``nan="ignore"``, `mask`), it is that of ``above * total / weight``: the bound of
    each of the three, relative to its value, times the result.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments.correlation import Options, correlation_arguments
    >>> c = correlation_arguments(2, np.ones((3, 3)), np.ones((3, 3)), Options())
    >>> bool(reference.error_bound(c) < 3e-14)
    True
    """
    if c.sum_dtype.kind in "iu":
        return np.zeros(c.shape)
    if c.has_own_kernels:
        bounds = np.empty(c.shape)
        for at in np.ndindex(c.shape[: -c.rank]):
            bounds[at] = error_bound(c.leading(at), factors, transformed=transformed)
        return bounds
    if c.is_weighted:
        return _normalised_error_bound(c, factors, transformed)
    K = absolute(c.k)
    result_dtype = c.dtype if c.dtype.kind in "fc" else c.sum_dtype
    compute, result, float64 = (np.finfo(t) for t in (c.compute_dtype, result_dtype, np.float64))
    parts = 2 if c.sum_dtype.kind == "c" else 1
    n, etas, left_out = c.k.size, float(c.k.size), np.zeros(())
    with np.errstate(all="ignore"):
        if factors:
            n = sum(f.shape[1] for f in factors) + 16
            terms = [*zip(*(f.astype(float) for f in factors), strict=True)]
            K = np.maximum(K, np.sum([reduce(np.multiply.outer, [np.abs(f) for f in term]) for term in terms], axis=0))
            left_out = np.abs(np.sum([reduce(np.multiply.outer, term) for term in terms], axis=0) - c.k)
            left_out = left_out + _faint(terms) * float(float64.smallest_subnormal)
            etas = sum(reduce(lambda before, f: before * np.abs(f).sum() + f.size, term, 0.0) for term in terms)
        n *= parts
        u = (n * float(compute.eps) + c.k.size * float(float64.eps) + 2 * float(result.eps)) / 2
        filled = c._replace(fillvalue=float(absolute(np.asarray(c.fillvalue))))
        x = absolute(c.x)
        magnitude = slide(filled, x, K, np.dtype(np.float64))
        bound = 1.0625 * u * magnitude + 2 * float(result.smallest_subnormal)
        bound += parts * (etas * float(compute.smallest_subnormal) + c.k.size * float(float64.smallest_subnormal))
        if left_out.any():
            bound += slide(filled, x, left_out, np.dtype(np.float64))
        if transformed:
            X = extended(filled, x)
            largest = float(np.max(X, initial=0))
            norms = min(norm(X), math.sqrt(2.0 * transformed) * largest) * norm(K)
            bound += transform_error(transformed, float(compute.eps) / 2) * norms
            reached = 1 + min(float(np.sum(X)), 2.0 * transformed * largest) + float(np.sum(K))
            bound += parts * 8 * transformed * float(compute.smallest_subnormal) * reached
        between = max((float(absolute(f).sum()) for f in factors), default=0.0)  # of a pass along one axis
        between *= float(np.max(x, initial=filled.fillvalue))
        overflow = np.maximum(magnitude, between) >= float(min(compute.max, result.max)) * (1 - n * float(compute.eps))
        bound = np.where(overflow, np.inf, bound)
    return bound + 1 if c.dtype.kind in "iu" else bound


def _faint(terms: list[tuple[NDArray[np.float64], ...]]) -> NDArray[np.int64]:
    """How many of the outer products are too small at each tap to be known to the last place of a normal number."""
    count = []
    for term in terms:
        product = np.abs(reduce(np.multiply.outer, term))
        is_there = reduce(np.logical_and.outer, [f != 0 for f in term])
        count.append(is_there & (product < np.finfo(np.float64).tiny))
    total: NDArray[np.int64] = np.sum(count, axis=0, dtype=np.int64)
    return total


def _normalised_error_bound(c: Correlation, factors: tuple[NDArray[Any], ...], transformed: int) -> NDArray[np.float64]:
    above, weights, window = counted(c)
    absolute = tuple(np.abs(f) for f in factors if f.shape[0] == 1)  # with several, weights are summed directly
    with np.errstate(all="ignore"):
        weight, total = wide_sums(weights), wide_sums(window)
        y = np.abs(made_up(wide_sums(above), weight, total))
        y[~np.isfinite(y)] = 0

        def bound(factors: Any, absolute: Any, transformed: int) -> Any:
            of_weight = error_bound(weights, absolute, transformed=transformed) / weight
            of_total = error_bound(window, absolute) / total
            of_above = error_bound(above, factors, transformed=transformed) * (total / weight)
            return (of_above + y * of_weight + y * of_total) * (1 + of_weight + of_total)

        made = bound((), (), 0)
        if factors or transformed:
            made = np.where(weight < FAINT / 2 * total, made, np.maximum(made, bound(factors, absolute, transformed)))
        result = np.finfo(c.dtype if c.dtype.kind in "fc" else c.sum_dtype)
        made = made + 4 * float(result.eps) * y + 2 * float(result.smallest_subnormal)
        made = np.where(weight == 0, 0, np.where(np.isnan(made), np.inf, made))
    return made + 1 if c.dtype.kind in "iu" else made


def transform_error(points: int, u: float) -> float:
    """What a correlation by transforms of that many points together is off by, relative to the norms of both."""
    return 16 * u * math.log2(max(points, 2))


def norm(a: NDArray[np.float64]) -> float:
    """The root of the sum of squares, none of which overflows or vanishes."""
    largest = float(np.max(a, initial=0))
    return largest * float(np.sqrt(np.sum((a / largest) ** 2))) if largest else 0.0


def absolute(a: NDArray[Any]) -> NDArray[np.float64]:
    """|a| with non-finite elements as zero; of complex numbers |real| + |imag|."""
    parts = (a.real, a.imag) if a.dtype.kind == "c" else (a,)
    total: NDArray[np.float64] = np.sum([np.abs(np.where(np.isfinite(p), p, 0).astype(float)) for p in parts], axis=0)
    return total


def sum_bound(
    n: int, magnitude: NDArray[np.float64], compute_dtype: np.dtype[Any], dtype: np.dtype[Any]
) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        compute, result, float64 = (np.finfo(t) for t in (compute_dtype, dtype, np.float64))
        u = (n * float(compute.eps) + n * float(float64.eps) + 2 * float(result.eps)) / 2
        eta = (n + 2) * float(max(compute.smallest_subnormal, result.smallest_subnormal))
        overflow = magnitude >= float(min(compute.max, result.max)) * (1 - n * float(compute.eps))
        return np.where(overflow, np.inf, 1.0625 * u * magnitude + eta)
