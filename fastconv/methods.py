# SPDX-License-Identifier: BSD-3-Clause
"""Which way is fastest? The methods, and when each pays."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple, get_args

import numpy as np

from fastconv import costs, spectrum
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import as_word, is_finite, real_dtype, unrepeated
from fastconv.costs import CROSSOVERS
from fastconv.factors import Factors, factorize, may_be_outer_product, may_be_outer_products
from fastconv.reference.correlation import largest_sum
from fastconv.reference.rounding import TILE_POINTS
from fastconv.runtime import _core
from fastconv.typing import Method

METHODS: tuple[str, ...] = get_args(Method)
MOST_STRIDE = 4  # of columns of outer products: rows of sums are taken apart into so many phases by vectors


class Choice(NamedTuple):
    """The method that runs, and why."""

    method: str
    why: str
    factors: Factors = ()
    points: int = 0  # of method "fft": transformed together, at most
    whole: bool = False  # of method "fft": by NumPy, in parts as large as the kernel needs them
    casts: str = ""  # sums go into `out` of any type: as C casts them, "cast", or rounded: "saturate", "raise"
    any_taps: bool = False  # it is the same for other taps,
    but_outer: bool = False  # unless they may be an outer product
    combine: str = "sum"  # what becomes of the terms of factors: a norm of them, or each is a result, "apart"
    divisor: int = 0  # of whole sums in 16 or 32 bits: results are these divided by it


AS_IT_IS = Choice("direct", "a kernel of one tap")


def choose(c: Correlation, method: str, *, any_kernel: bool = False) -> Choice:
    """Check `method` and choose; `c` is what will be computed, or any_kernel: something of that shape.

    A window is computed as the whole would be, and so has its bits.

    Raises
    ------
    ValueError, TypeError
        A method that is unknown, or that cannot compute this.
    """
    as_word(method, METHODS, "method")
    if method == "numpy":
        return Choice("numpy", "asked for")
    if _core is None:
        return Choice("numpy", "the compiled extension cannot be imported")
    few = min(CROSSOVERS["fft taps"], _box_taps(c))
    if method == "auto" and c.sum_dtype.kind in "fc" and c.k.size < few and _has_few_taps(c) and not _is_of_pixels(c):
        return Choice("direct", f"the fastest here; {c.k.size} taps are few", any_taps=True)
    if method == "auto" and _steps_both_ways(c) and c.k.size < few and not any_kernel and not _may_be_outer(c):
        return Choice("direct", "the fastest here; k is no outer product", any_taps=True, but_outer=True)
    asked, c = c, c.whole()
    if c.sum_dtype.kind in "iu":
        if method == "im2col":
            raise TypeError(
                f"method {method!r} takes floats; got x of dtype {c.x.dtype} and k of dtype {c.k.dtype}: "
                "use method 'auto' or 'direct' for integers"
            )
        limit = np.iinfo(c.sum_dtype).max
        if c.overflow != "wrap" and largest_sum(asked.seen()) > limit:
            if method != "auto":
                raise TypeError(f"method {method!r} sums integers in {c.sum_dtype}, which may be too small: use 'auto'")
            return Choice("numpy", f"the sums may not fit into {c.sum_dtype}: exact in Python's integers")
    if method == "box" or method == "auto":
        why_not = _why_not_box(c, method == "auto")
        if not why_not and not (any_kernel and method == "auto"):
            return Choice("box", "asked for" if method == "box" else "all taps are the same")
        if method == "box":
            raise ValueError(f"method 'box' is not possible: {why_not}")
    if method == "separable" or method == "auto":
        why_not, factors = _separable(c, method == "auto", any_kernel)
        if factors:
            terms = factors[0].shape[0]
            why = "k is an outer product" if terms == 1 else f"k is a sum of {terms} outer products"
            return Choice("separable", "asked for" if method == "separable" else why, factors)
        if method == "separable":
            raise ValueError(f"method 'separable' is not possible: {why_not}")
    if method == "fft" or method == "auto":
        reason, whole = _why_not_fft(c, method == "auto", any_kernel, has_all=not any(a.total for a in asked.axes))
        if not reason:
            points = spectrum.most_points(c) if whole else TILE_POINTS
            why = "asked for" if method == "fft" else f"{c.k.size} taps are many"
            return Choice("fft", why, points=points, whole=whole)
        if method == "fft":
            raise ValueError(f"method 'fft' is not possible: {reason}")
        return Choice("direct", f"the fastest here; {why_not}")
    return Choice(method, "asked for", any_taps=True)


def choose_for_all(c: Correlation, method: str, *, any_kernel: bool = False) -> Choice | None:
    """As `choose`, for all kernels of c alike; None: what is fastest, or possible, differs from kernel to kernel."""
    if not c.has_own_kernels:
        return choose(c, method, any_kernel=any_kernel)
    first = c.with_kernel((0,) * len(c.kernel_axes()))
    as_word(method, METHODS, "method")
    if method in ("numpy", "direct", "im2col"):
        return choose(c, method)
    if _core is None or method in ("box", "separable"):
        return None if _core is not None else choose(first, method)
    few = first.k.size < CROSSOVERS["fft taps"] and _has_few_taps(first) and not _is_of_pixels(first)
    if c.sum_dtype.kind in "iu":
        fits = c.overflow == "wrap" or largest_sum(c.seen()) <= np.iinfo(c.sum_dtype).max
        return choose(first, method, any_kernel=True) if few and fits and method == "auto" else None
    if not (few or any_kernel) and (not is_finite(c.k) or (method == "auto" and _may_have_structure(c))):
        return None
    choice = choose(first, method, any_kernel=not few)
    return None if choice.whole else choice


def choose_for_weights(c: Correlation, choice: Choice) -> Choice:
    """How the weights, c, of a correlation by `choice` are summed: alike, where that is what their sums allow."""
    if choice.method == "separable":
        if choice.factors[0].shape[0] > 1:  # the absolute values of a sum are none
            return Choice("direct", "")
        return choice._replace(factors=tuple(np.abs(f) for f in choice.factors))
    return choose(c, choice.method if np.isfinite(c.k).all() else "direct")


def keeps_faint_sums(c: Correlation, choice: Choice) -> bool:
    """Whether the error of each sum is relative to sum|x||k| over its window, however little of the kernel is there.

    c: of the weights. That of transforms is relative to their tiles, and that of outer products to what these
    differ from k by.
    """
    if choice.method != "separable":
        return choice.method != "fft"
    if choice.factors[0].shape[0] > 1:
        return False
    info = np.finfo(c.sum_dtype)
    factors = [np.abs(f[0], dtype=np.float64) for f in choice.factors]
    is_normal = all(((f == 0) | (f >= info.tiny)).all() for f in factors)
    product = functools.reduce(np.multiply.outer, factors)
    return is_normal and bool((np.abs(product - c.k) <= 16 * float(info.eps) * c.k).all())


def arithmetic(c: Correlation) -> np.dtype[Any]:
    """The dtype of the arithmetic in C: for integers int32 where no sum can be larger, else int64; or what is asked."""
    if c.sum_dtype.kind not in "iu":
        return real_dtype(c.compute_dtype)
    if c.sum_dtype.itemsize < 8:
        return c.sum_dtype
    small = c.x.dtype.itemsize <= 2 and largest_sum(c) <= np.iinfo(np.int32).max
    return np.dtype(np.int32 if small else np.int64)


def plan(c: Correlation, choice: Choice, threads: int, vector_bytes: int = 0) -> tuple[int, int, float]:
    """(threads, chunks, microseconds expected on one thread); vector_bytes: 0, as the instruction set in use has."""
    assert _core is not None
    if choice.whole:
        return 1, 1, spectrum.expected_us(c)
    terms = choice.factors[0].shape[0] if choice.factors else 0
    stored = _core.STORED[arithmetic(c).str[1:]]
    batch, method, vector_bytes = (
        c.shape[: -c.rank],
        _core.METHOD[choice.method],
        vector_bytes or _core.table()["vector_bytes"],
    )
    used, chunks, us = _core.corr_plan(stored, batch, c.axes, method, terms, threads, vector_bytes)
    return used, chunks, us * (2 if c.x.dtype.kind == "c" else 1) * (2 if c.k.dtype.kind == "c" else 1)


# ---- boxes ------------------------------------------------------------------------------------------


def _box_taps(c: Correlation) -> float:
    """Taps from which running sums are faster than what else there is."""
    if c.dtype.kind in "iu" and c.dtype.itemsize <= 2:
        return CROSSOVERS["box taps, small results"]
    return CROSSOVERS["box taps, integers" if c.sum_dtype.kind in "iu" else "box taps"]


def _why_not_box(c: Correlation, only_if_faster: bool) -> str:
    if only_if_faster and c.k.size < _box_taps(c):
        return f"{c.k.size} taps are few"
    if (
        only_if_faster
        and 1 in (1, *c.k.shape)[-2:]
        and (c.sum_dtype.kind not in "iu" or math.prod(c.shape[:-1]) < costs.BOX_LINES)
    ):
        return "running sums of one line after the other take longer"
    if not (unrepeated(c.k) == c.k.flat[0]).all() or not np.isfinite(c.k.flat[0]):
        return "the taps are not all the same finite number"
    if any(a.stride > 1 or a.dilation > 1 for a in c.axes):
        return "stride and dilation must be 1"
    if c.rank == 3 and c.k.shape[0] > 1:
        return "it takes kernels of one or two axes"
    return "it is complex" if c.sum_dtype.kind == "c" else ""


# ---- transforms -------------------------------------------------------------------------------------


def _why_not_fft(c: Correlation, only_if_faster: bool, any_kernel: bool, has_all: bool) -> tuple[str, bool]:
    """(why not, whether all of x has to be transformed at once, which needs all of it)"""
    if only_if_faster and (c.k.size < CROSSOVERS["fft taps"] or 0 in c.shape):
        return f"{c.k.size} taps are few", False
    if any(a.stride > 1 or a.dilation > 1 for a in c.axes):
        return "stride and dilation must be 1", False
    if c.sum_dtype.kind in "iu" and (any_kernel or not _is_exact_transformed(c)):
        return "integers are summed exactly", False
    transformed = c
    if c.sum_dtype.kind in "iu":
        transformed = c._replace(sum_dtype=np.dtype(np.float64))
    tiles, whole = _element_us(transformed, Choice("fft", "")), math.inf
    most = tiles / CROSSOVERS["whole gain"]
    if has_all and most > costs.TRANSFORM_CALL_US:  # else the estimate, which takes long, can be no less
        whole = _element_us(transformed, Choice("fft", "", whole=True))
    by_numpy = whole < most
    if by_numpy and not np.isfinite(unrepeated(c.k)).all():
        by_numpy = False
        if math.isinf(tiles):
            return f"k of shape {c.k.shape} is too large for tiles, and not finite", False
    us = whole if by_numpy else tiles
    if only_if_faster and us * CROSSOVERS["fft gain"] > _element_us(c, Choice("direct", "")):
        return "transforms would take longer", False
    return "", by_numpy


def _element_us(c: Correlation, choice: Choice) -> float:
    """Estimated time of an element of the batch. A choice by it decides bits, which neither the batch nor the
    instruction set do.
    """
    return plan(c._replace(shape=c.shape[len(c.shape) - c.rank :]), choice, 1, vector_bytes=64)[2]


def _is_exact_transformed(c: Correlation) -> bool:
    """Whether the errors of float64 transforms are so far below 1/2 that rounding gives the exact sums of integers."""
    if 0 in c.shape or not c.x.size:
        return False
    points = max(TILE_POINTS, spectrum.most_points(c))
    x = max(abs(int(c.x.min())), abs(int(c.x.max())), abs(int(c.fillvalue.real)))
    k = float(np.sqrt(np.sum(c.k.astype(np.float64) ** 2)))
    unit = float(np.finfo(np.float64).eps) / 2
    return 16 * unit * math.log2(points) * float(x) * math.sqrt(2 * points) * k < 0.125


# ---- factors --------------------------------------------------------------------------------------


def _has_few_taps(c: Correlation) -> bool:
    """Whether factors would save nothing. Along an axis, sums are made for all elements of the axes behind it."""
    if _steps_both_ways(c):
        return False
    strides, shape = [a.stride // a.step for a in c.axes], c.k.shape[-c.rank :]
    sizes = [n * math.prod(strides[i + 1 :]) for i, n in enumerate(shape) if n > 1]
    return len(sizes) < 2 or c.k.size < CROSSOVERS["separable"] * sum(sizes)


def _steps_both_ways(c: Correlation) -> bool:
    """Whether a kernel of rows and columns has strides along both.

    Two passes read x as it lies then (steps.c), where all taps at once need it taken apart into phases.
    """
    if c.rank < 2 or min(c.k.shape[-2:]) < 2 or any(n > 1 for n in c.k.shape[:-2]):
        return False
    rows, cols = (a.stride // a.step for a in c.axes[-2:])
    return rows > 1 and 1 < cols <= MOST_STRIDE


def _may_be_outer(c: Correlation) -> bool:
    """Whether the kernel, of floats, may be an outer product; of others it is not asked."""
    if c.sum_dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        return may_be_outer_product(np.asarray(c.k, c.compute_dtype).reshape(c.k.shape[-2:]))


def _is_of_pixels(c: Correlation) -> bool:
    """Whether small integers are read and stored around the passes of two factors (pixels.c).

    Then these are faster whatever the number of taps. It decides bits, so dtypes, taps and strides alone tell.
    """
    small = all(d.kind == "u" and d.itemsize == c.dtype.itemsize < 3 for d in (c.x.dtype, c.dtype))
    two = len(c.k.shape) > 1 and min(c.k.shape[-2:]) > 2 and all(n == 1 for n in c.k.shape[:-2])
    return small and two and c.sum_dtype == np.float32 and all(a.stride == a.step for a in c.axes)


def _separable(c: Correlation, only_if_faster: bool, any_kernel: bool) -> tuple[str, Factors]:
    """(why not, the factors)"""
    if only_if_faster and _has_few_taps(c) and not _is_of_pixels(c):
        return f"{c.k.size} taps are few", ()
    if c.rank == 1:
        return "it has one axis", ()
    if c.sum_dtype.kind == "c":
        return "the kernel is complex", ()
    if c.axes[-1].stride > MOST_STRIDE:
        return f"the stride of columns is more than {MOST_STRIDE}", ()
    dtype = c.compute_dtype
    if c.factors:
        if not np.isfinite(c.k).all():  # a factor of 0 would hide an infinite one, and what comes between may be finite
            return "the products of the factors are not all finite", ()
        return "", tuple(f.astype(dtype)[None] for f in c.factors)
    nothing = f"k is no {'outer product' if only_if_faster else 'sum of few outer products'}", ()
    if any_kernel:
        return nothing
    k = np.ascontiguousarray(c.k, dtype)
    # Terms of opposite sign make NaN of an infinity in x, which the definition does not: more than one only on demand.
    factors = factorize(k.tobytes(), k.dtype, k.shape, 1 if only_if_faster else min(k.shape))
    return ("", factors) if factors else nothing


def _may_have_structure(c: Correlation) -> bool:
    """Whether some of its kernels may have all taps the same, or be an outer product."""
    kernels = unrepeated(c.k)
    if kernels.shape[kernels.ndim - c.rank :] != tuple(a.k for a in c.axes):  # one element for several taps
        return True
    kernels = kernels.reshape(-1, *kernels.shape[kernels.ndim - c.rank :])
    flat = kernels.reshape(len(kernels), -1)
    if c.taps >= _box_taps(c) and (flat == flat[:, :1]).all(1).any():
        return True
    first = c.with_kernel((0,) * len(c.kernel_axes()))
    if c.rank == 1 or c.sum_dtype.kind != "f" or (_has_few_taps(first) and not _is_of_pixels(first)):
        return False
    with np.errstate(all="ignore"):
        return bool(may_be_outer_products(kernels, c.compute_dtype).any())
