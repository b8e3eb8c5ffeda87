# SPDX-License-Identifier: BSD-3-Clause
"""What `signal` is made of: some outputs of the whole convolution of two arrays, by the fastest method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import costs, methods
from fastconv.arguments.correlation import placed
from fastconv.arguments.values import is_finite, real_dtype
from fastconv.plans import Answer
from fastconv.reference.correlation import slide
from fastconv.runtime import _core, checking, get_num_threads
from fastconv.small_results import as_floats
from fastconv.sums import answered, run, summed


class Asked(NamedTuple):
    """What `partly_convolved` is called with, or `batch_convolved`."""

    x: NDArray[Any]
    k: NDArray[Any]
    start: Sequence[int]
    out: Sequence[int]
    dtype: np.dtype[Any]
    method: str = "auto"
    boundaries: tuple[str, ...] | None = None
    fill: complex = 0


seen: ContextVar[list[Asked] | None] = ContextVar("seen", default=None)  # what functions ask for; see `partly`


def is_fast(dtype: np.dtype[Any]) -> bool:
    """Whether `fastconv.corr2d` computes in it; all else is summed tap by tap in NumPy."""
    return dtype.kind in "iu" or (dtype.kind in "fc" and real_dtype(dtype).itemsize <= 8)


def partly_convolved(
    x: NDArray[Any],
    k: NDArray[Any],
    start: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    method: str = "auto",
    boundaries: tuple[str, ...] | None = None,
    fill: complex = 0,
    what: str = "convolve",
    asked: Any = None,
    *,
    may_be_little: bool = True,
) -> Answer:
    """Outputs `start` ... of the whole convolution of x and k, `out` along each axis; leading axes of x are a batch, of
    which each element has the bits that it has by itself. (Of those that are smaller than k, `batch_convolved` sees to
    that.)

    asked: what x is, or a copy of as floats; it may have any elements the next time.
    """
    dtype = dtype.newbyteorder("=")
    if (found := seen.get()) is not None:
        found.append(Asked(x, k, start, out, dtype, method, boundaries, fill))
        return Answer(np.broadcast_to(dtype.type(0), (*x.shape[: x.ndim - k.ndim], *out)))
    if 0 in out or not x.size or not k.size:
        return Answer(np.full((*x.shape[: x.ndim - k.ndim], *out), k.sum() * fill if fill else 0).astype(dtype))
    if dtype.kind == "b":
        return Answer(
            _convolved(x.astype(np.uint8), k.astype(np.uint8), start, out, np.dtype(np.int64), method).astype(bool)
        )
    products = math.prod(x.shape[x.ndim - k.ndim :]) * k.size
    is_little = may_be_little and is_little_work(products, k.ndim) and is_fast(dtype)
    if is_little and boundaries is None:
        is_little = is_finite(k)  # products with the zeros around are zero
    lead = tuple(m - 1 - first for m, first in zip(k.shape, start, strict=True))
    if is_little and fill == 0 and fits_complex(dtype, k.ndim):
        return complex_at_once(x, np.flip(k), lead, out, dtype, boundaries, asked)
    if dtype.kind in "fc" and is_fast(dtype):  # 64-bit integers of both signs have a float in common
        x, k = (a.astype(dtype) if a.dtype.kind in "iu" and a.dtype.itemsize == 8 else a for a in (x, k))
    if not is_little or dtype.kind == "c":
        is_real_fill = np.imag(fill) == 0 and np.isfinite(fill)
        if dtype.kind == "c" and not (is_real_fill and is_finite(k) and is_finite(x)):
            x, k = x.astype(dtype), k.astype(dtype)  # NaN times 0j is NaN
        if boundaries is None or (fill == 0 and set(boundaries) == {"constant"}):
            x, k, start = fewest_taps(x, k, start, out, multiplies_zeros=boundaries is not None)
        if boundaries is None and not is_finite(k):
            return Answer(_convolved_apart(x, k, start, out, dtype, method))
        lead = tuple(m - 1 - first for m, first in zip(k.shape, start, strict=True))
        if k.ndim > 3:
            return Answer(_sum_of_volumes(x, np.flip(k), lead, out, dtype, method))
    elif {x.dtype.newbyteorder("="), k.dtype.newbyteorder("=")} != {dtype}:
        method = "direct"
    c = placed(x, np.flip(k), lead, out, dtype, boundaries, fill)
    if not is_fast(dtype):
        return Answer(slide(c, x.astype(dtype), c.k.astype(dtype), dtype))
    may_be_direct = c.k.size < costs.CROSSOVERS["fft taps"] and dtype.kind in "iu" and not checking.get()
    floats = as_floats(c) if may_be_direct else None
    if floats is not None:
        floats = floats._replace(out=np.empty(c.shape, dtype))
        return Answer(*summed(floats, methods.Choice("direct", "", casts="cast"), get_num_threads(), asked, True))
    answer = answered(c, method, None, what, asked)
    if answer.plan and dtype.kind == "c" and x.dtype.kind != k.dtype.kind:
        return answer._replace(plan=answer.plan.if_finite())  # what is not finite makes complex numbers of reals
    return answer


def _convolved(
    x: NDArray[Any],
    k: NDArray[Any],
    start: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    method: str = "auto",
) -> NDArray[Any]:
    """As `partly_convolved`, however little there is to do."""
    result: NDArray[Any] = partly_convolved(x, k, start, out, dtype, method, may_be_little=False).result
    return result


def _convolved_apart(
    x: NDArray[Any], k: NDArray[Any], start: Sequence[int], out: Sequence[int], dtype: np.dtype[Any], method: str
) -> NDArray[Any]:
    """`_convolved` where taps are not finite, zeros being around x: products with those zeros would be NaN.

    The sums of what is finite; then NaN or an infinity where a product is one. Elements under no tap are no product.
    """
    if dtype.kind == "c":
        part = x.real.dtype
        rr, ri, ir, ii = (
            _convolved(a, b, start, out, part, method) for a in (x.real, x.imag) for b in (k.real, k.imag)
        )
        both = np.empty(rr.shape, dtype)
        with np.errstate(invalid="ignore"):
            both.real, both.imag = rr - ii, ri + ir
        return both

    def meets(elements: NDArray[np.bool], taps: NDArray[np.bool]) -> NDArray[np.bool]:
        if not (elements.any() and taps.any()):
            return np.zeros(result.shape, bool)
        pairs = _convolved(elements.astype(np.uint8), taps.astype(np.uint8), start, out, np.dtype(np.int64), method)
        found: NDArray[np.bool] = pairs > 0
        return found

    finite = [np.isfinite(a) for a in (x, k)]
    result = _convolved(np.where(finite[0], x, 0), np.where(finite[1], k, 0), start, out, dtype, method)
    lost = meets(np.isnan(x), ~np.isnan(k)) | meets(np.full(x.shape, True), np.isnan(k))
    lost |= meets(np.isinf(x), k == 0) | meets(x == 0, np.isinf(k))
    signs = [(a > 0, a < 0) for a in (x, k)]
    infinite = []
    for turned in (0, 1):  # products above 0, then below
        pairs = [(signs[0][i], signs[1][i ^ turned]) for i in (0, 1)]
        met = [meets(a & ~finite[0], b) | meets(a & finite[0], b & ~finite[1]) for a, b in pairs]
        infinite.append(met[0] | met[1])
    result[infinite[0]] = np.inf
    result[infinite[1]] = -np.inf
    result[lost | (infinite[0] & infinite[1])] = np.nan
    return result


def complex_at_once(
    x: NDArray[Any],
    k: NDArray[Any],
    lead: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    boundaries: tuple[str, ...] | None = None,
    asked: Any = None,
) -> Answer:
    """A correlation of complex numbers, which are an axis of two elements that a kernel of three slides over.

    x has leading axes that are a batch, or x and k have the same.

    out[re] = re * k[re] - im * k[im]                  elements      0  re  im   0
    out[im] = re * k[im] + im * k[re]                  taps          im  re -im    and one further
    """
    assert _core is not None
    y, k = np.empty((*x.shape[: x.ndim - len(out)], *out), dtype), k.astype(dtype)
    pair = -1 - len(out)  # the axis of two
    parts = [np.moveaxis(a[..., None].view(y.real.dtype), -1, pair) for a in (np.ascontiguousarray(x, dtype), y)]
    taps = np.stack((k.imag, k.real, -k.imag), pair)
    names = ("constant", *(boundaries or ("constant",) * len(out)))
    c = placed(parts[0], taps, (1, *lead), (2, *out), y.real.dtype, names)
    plan = _core.CorrPlan(parts[0], taps, parts[1], c.axes, 0, _core.METHOD["direct"], 1)
    plan(*parts)
    serves = asked is not None and np.may_share_memory(asked, parts[0])
    return Answer(y, plan.serve(asked, parts[0], y) if serves else None)


def fits_complex(dtype: np.dtype[Any], rank: int) -> bool:
    """Whether little work may be done by `complex_at_once`."""
    return dtype.kind == "c" and is_fast(dtype) and rank < 3 and _core is not None and not checking.get()


def fewest_taps(
    x: NDArray[Any], k: NDArray[Any], start: Sequence[int], out: Sequence[int], *, multiplies_zeros: bool
) -> tuple[NDArray[Any], NDArray[Any], tuple[int, ...]]:
    """x and k without what no output meets, zeros being around x, and the smaller one as the kernel: (x, k, start).

    Leading axes of either are a batch; where only x has some, k remains the kernel.
    multiplies_zeros: NaN among the taps makes NaN of those zeros, too, as in SciPy's functions that have a boundary.
    """
    rank = len(out)
    sizes, taps = x.shape[x.ndim - rank :], k.shape[k.ndim - rank :]
    if all(n >= m for n, m in zip(sizes, taps, strict=True)):
        return x, k, tuple(start)
    if multiplies_zeros and not (is_finite(x) and is_finite(k)):
        return x, k, tuple(start)
    cuts = [_met(n, m, first, last) for n, m, first, last in zip(sizes, taps, start, out, strict=True)]
    start = tuple(first - cut.start for first, cut in zip(start, cuts, strict=True))
    within: tuple[Any, ...] = (..., *cuts)
    k = k[within]
    taps = k.shape[k.ndim - rank :]
    cuts = [_met(m, n, first, last) for n, m, first, last in zip(sizes, taps, start, out, strict=True)]
    start = tuple(first - cut.start for first, cut in zip(start, cuts, strict=True))
    within = (..., *cuts)
    x = x[within]
    swaps = x.ndim == k.ndim and math.prod(x.shape[x.ndim - rank :]) < math.prod(taps)
    return (k, x, start) if swaps else (x, k, start)


def _met(n: int, m: int, start: int, out: int) -> slice:
    """Which of m taps meet an element of n in outputs start ... start + out of the whole convolution"""
    low = min(max(start - n + 1, 0), m - 1)
    return slice(low, max(min(start + out, m), low + 1))


def _sum_of_volumes(
    x: NDArray[Any], k: NDArray[Any], lead: Sequence[int], out: Sequence[int], dtype: np.dtype[Any], method: str
) -> NDArray[Any]:
    """More than three dimensions: a sum of 3-D correlations, one for each tap of the axes before the last three."""
    first, sums = k.ndim - 3, np.zeros(out, dtype)
    for at in np.ndindex(k.shape[:first]):
        pairs = [(n, size, t - p) for n, size, t, p in zip(x.shape, out, at, lead, strict=False)]
        to = [slice(max(-by, 0), max(min(size, n - by), max(-by, 0))) for n, size, by in pairs]
        under = tuple(slice(s.start + by, s.stop + by) for s, (_, _, by) in zip(to, pairs, strict=True))
        part = x[under]
        if part.size:
            shape = out[first:]
            c = placed(part, k[at], lead[first:], shape, dtype)
            taken = run(c, method, None, "convolve") if is_fast(dtype) else slide(c, part, k[at], dtype)
            sums[tuple(to)] += taken
    return sums


def batch_convolved(
    x: NDArray[Any],
    k: NDArray[Any],
    batch: tuple[int, ...],
    start: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    what: str,
    asked: Any = None,
    taps: Any = None,
) -> Answer:
    """`partly_convolved` for each element of the leading axes, which x and k are broadcast along.

    asked, taps: what x and k are, or are a view of, if these may have other elements the next time.
    """
    rank = len(out)
    if (found := seen.get()) is not None:
        found.append(Asked(x, k, start, out, dtype))
        return Answer(np.broadcast_to(dtype.type(0), (*batch, *out)))
    if rank == 0:
        return Answer(_products(x, k).astype(dtype))
    sizes = x.shape[x.ndim - rank :], k.shape[k.ndim - rank :]
    is_little = is_little_work(math.prod(sizes[0]) * math.prod(sizes[1]), rank)
    if (
        rank <= 3 and is_finite(k) and (dtype.kind != "c" or is_finite(x))
    ):  # else it depends on the element how it is done
        a, b, first = (x, k, tuple(start)) if is_little else fewest_taps(x, k, start, out, multiplies_zeros=False)
        a = np.broadcast_to(a, (*batch, *a.shape[a.ndim - rank :]))
        if b.size == math.prod(b.shape[b.ndim - rank :]):
            b = b.reshape(b.shape[b.ndim - rank :])
            return partly_convolved(a, b, first, out, dtype, may_be_little=is_little)
        b = np.broadcast_to(b, (*batch, *b.shape[b.ndim - rank :]))
        if is_little and fits_complex(dtype, rank):
            lead = [m - 1 - by for m, by in zip(sizes[1], first, strict=True)]
            return complex_at_once(a, np.flip(b, tuple(range(-rank, 0))), lead, out, dtype)
        if _is_one_correlation(a, b, out, dtype, is_little=is_little):
            lead = [m - 1 - by for m, by in zip(b.shape[b.ndim - rank :], first, strict=True)]
            if a.shape[a.ndim - rank :] != sizes[0] or b.shape[b.ndim - rank :] != sizes[1]:
                asked = taps = None
            c = placed(a, np.flip(b, tuple(range(-rank, 0))), lead, out, dtype)
            return answered(c, "auto", None, what, asked, taps, flips=True, finite=True)
    x, k = (np.broadcast_to(a, (*batch, *a.shape[a.ndim - rank :])) for a in (x, k))
    result = np.empty((*batch, *out), dtype)
    for at in np.ndindex(batch):
        result[at] = partly_convolved(x[at], k[at], start, out, dtype).result
    return Answer(result)


def is_little_work(products: int, rank: int) -> bool:
    """Whether to find out which taps and elements no output meets would take longer than to multiply them."""
    return products < costs.PLAIN_BELOW and rank <= 3


def _products(x: NDArray[Any], k: NDArray[Any]) -> NDArray[Any]:
    """x * k, of whose complex numbers NumPy has other bits where they lie otherwise."""
    products: NDArray[Any] = np.empty(np.broadcast_shapes(x.shape, k.shape), np.result_type(x, k))
    if x.dtype.kind != "c" or k.dtype.kind != "c":
        np.multiply(x, k, out=products)
        return products
    with np.errstate(all="ignore"):
        products.real = x.real * k.real - x.imag * k.imag
        products.imag = x.real * k.imag + x.imag * k.real
    return products


def _is_one_correlation(
    x: NDArray[Any], k: NDArray[Any], out: Sequence[int], dtype: np.dtype[Any], *, is_little: bool
) -> bool:
    """Whether each element of the leading axes of x and k is convolved as `partly_convolved` would, if it is done so at
    once."""
    if not (is_fast(dtype) and x.size and k.size and 0 not in out and is_finite(k)):
        return False
    if is_little:
        return dtype.kind == "f" and x.dtype == k.dtype == dtype
    return dtype.kind in "fc"
