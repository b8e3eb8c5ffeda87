# SPDX-License-Identifier: BSD-3-Clause
"""What pooling gives, and its gradient, tap by tap: every step is NumPy's, over all outputs at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.pooling import Pool, PoolGradient


def pooled(c: Pool) -> NDArray[Any]:
    """The results, as (images, channels, ...)."""
    return means(c) if c.average else largest(c)[0]


def places(c: Pool) -> list[tuple[NDArray[np.intp], NDArray[np.bool]]]:
    """Of every axis: which elements outputs see under taps (outputs, taps), and whether there are such elements."""
    return [_places(a, c.adaptive) for a in c.axes]


def _places(a: Axis, adaptive: bool) -> tuple[NDArray[np.intp], NDArray[np.bool]]:
    outputs, taps = np.arange(a.out)[:, None], np.arange(a.k)
    if adaptive:
        first, end = outputs * a.n // a.out, -(-(outputs + 1) * a.n // a.out)
        return first + taps, first + taps < end
    at = outputs * a.stride - a.lead + taps * a.dilation
    return at, (at >= 0) & (at < a.n)


def largest(c: Pool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The largest elements, and where in their planes they are: the first of equals, or the last NaN; -1: nowhere."""
    lowest = -np.inf if c.dtype.kind == "f" else np.iinfo(c.dtype).min
    values, indices = np.full(c.shape, lowest, c.dtype), np.full(c.shape, -1)
    none = np.ones(c.shape, bool)
    for x, there, index in _taps(c):
        better = there & ((x > values) | (x != x) | none)
        values, indices = np.where(better, x, values), np.where(better, index, indices)
        none &= ~there
    return values, indices


def means(c: Pool) -> NDArray[Any]:
    """The means: the sum of what is there, divided by how many elements count."""
    sums = np.zeros(c.shape, c.compute_dtype)
    with np.errstate(all="ignore"):
        for x, there, _ in _taps(c):
            sums += np.where(there, x, 0).astype(sums.dtype)
        sums /= _counts(c).astype(sums.dtype)
    return sums


def _counts(c: Pool) -> NDArray[np.int64]:
    if c.divisor:
        return np.full((1,) * len(c.axes), c.divisor)
    counts = np.ones((1,) * len(c.axes), np.int64)
    for i, (a, behind, (at, there)) in enumerate(zip(c.axes, c.behind, places(c), strict=True)):
        counted = (at >= -a.lead) & (at < a.n + behind) if c.padded else there
        counts = counts * counted.sum(1).reshape(-1, *(1,) * (len(c.axes) - 1 - i))
    return counts


def _taps(c: Pool) -> Any:
    """Under every tap what outputs see, whether it is there, and its index."""
    seen, sizes = places(c), [a.n for a in c.axes]
    for tap in np.ndindex(*(a.k for a in c.axes)):
        at = [np.clip(p[:, t], 0, n - 1) for (p, _), t, n in zip(seen, tap, sizes, strict=True)]
        there = np.ones((), bool)
        for (_, inside), t in zip(seen, tap, strict=True):
            there = there[..., None] & inside[:, t]
        index = np.ravel_multi_index(np.ix_(*at), tuple(sizes))
        picked: Any = (slice(None), slice(None), *np.ix_(*at))
        yield c.x[picked], there, index


def error_bound(c: Pool) -> NDArray[np.float64]:
    """How far a compiled result may lie from `pooled`: the largest not at all.

    A mean of n elements in any order is off by at most ``(n + 1) u sum|x| / n + eta`` to first order, u being the unit
    roundoff and eta the smallest subnormal number: by n - 1 additions (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., section 4.2), and by two roundings where the sum is multiplied by a reciprocal. So are both,
    and rounded to the result's dtype.
    """
    if not c.average:
        return np.zeros(c.shape)
    terms = math.prod(a.k for a in c.axes) + 1
    return _rounding(c, terms, means(c._replace(x=np.abs(c.x).astype(np.float64), divisor=abs(c.divisor))))


def _rounding(c: Pool | PoolGradient, terms: int, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """What two sums with so many roundings differ by, relative to the sums of sizes, and what is stored of them."""
    compute, stored = np.finfo(c.compute_dtype), np.finfo(c.dtype)
    u = terms * float(compute.eps) + (float(stored.eps) if c.dtype != c.compute_dtype else 0)
    return 1.0625 * u * sizes + 2 * float(stored.smallest_subnormal) + terms * float(compute.smallest_subnormal)


def gradient(c: PoolGradient) -> NDArray[Any]:
    """The gradient of what is pooled: that of an output goes to the largest element of its window, or, divided, to all
    that there are."""
    images, channels, *_ = c.shape
    pool, result = c.pool, np.zeros((images * channels, math.prod(c.shape[2:])), c.compute_dtype)
    grad = c.grad_output.astype(result.dtype).reshape(len(result), -1)
    planes = np.arange(len(result))[:, None]
    with np.errstate(all="ignore"):
        if not pool.average:
            at = (largest(pool)[1] if c.indices is None else c.indices).reshape(grad.shape)
            if at.min(initial=0) < -1 or at.max(initial=0) >= result.shape[1]:
                raise ValueError("indices must be of elements of x's planes, or -1: one is below that, or too large")
            np.add.at(result, (np.broadcast_to(planes, at.shape)[at >= 0], at[at >= 0]), grad[at >= 0])
            return result.reshape(c.shape)
        grad = grad / np.broadcast_to(_counts(pool).astype(result.dtype), pool.shape[2:]).reshape(-1)
        for _, there, index in _taps(pool):
            seen = there.ravel()
            np.add.at(result, (planes, index.ravel()[seen]), grad[:, seen])
    return result.reshape(c.shape)


def gradient_error_bound(c: PoolGradient) -> NDArray[np.float64]:
    """How far a compiled result may lie from `gradient`: of the largest not at all, as sums have its order.

    That of means is a sum of divided gradients, whose bound is that of the means, n being how many windows meet.
    """
    if not c.pool.average:
        return np.zeros(c.shape)
    terms = math.prod(min(a.out, a.k) for a in c.pool.axes) + 2
    pool = c.pool._replace(divisor=abs(c.pool.divisor), dtype=np.dtype(np.float64))
    sums = gradient(c._replace(pool=pool, grad_output=np.abs(c.grad_output).astype(np.float64)))
    return _rounding(c, terms, sums)
