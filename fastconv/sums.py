# SPDX-License-Identifier: BSD-3-Clause
"""The sums of a correlation whose arguments are checked: by which method, in how many runs of compiled code, over which
elements; checked against the reference where that is asked for; and the plan by which they were made.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import costs, methods, missing, reference, spectrum
from fastconv.arguments.axes import Axis
from fastconv.arguments.boundaries import source_index
from fastconv.arguments.conversion import converted
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import native, real_dtype
from fastconv.plans import Answer
from fastconv.reference.correlation import largest_element
from fastconv.runtime import _core, check_result, checking, get_num_threads, thread_count
from fastconv.small_results import stored


def run(c: Correlation, method: str, threads: int | None, what: str) -> Any:
    return answered(c, method, threads, what).result


def answered(
    c: Correlation,
    method: str,
    threads: int | None,
    what: str,
    asked: Any = None,
    taps: Any = None,
    *,
    flips: bool = False,
    finite: bool = False,
) -> Answer:
    """The result of c; and the plan for calls with arrays like `asked`: c.x is a view of it, or a copy in its dtype.

    taps: what c.k is, or, if it flips, is the flip of; finite: as plans hold for finite ones only.
    """
    choice = methods.choose_for_all(c, method)
    if choice is None or (c.has_own_kernels and c.is_weighted and choice.method == "fft"):
        return _kernel_by_kernel(c, method, threads, what)
    n = get_num_threads() if threads is None else thread_count(threads, "threads")
    if choice.method == "numpy":
        return Answer(reference.run(c))
    check = checking.get()
    if check:  # before out is written: it may be x itself
        right = reference.run(c._replace(out=None, asked_out=None, moved=()))
        bound = reference.error_bound(c, choice.factors, transformed=choice.points)
    weight = None
    if c.is_weighted:
        sums, weight = missing.normalised(c, choice, lambda part, how: _sums(part, how, n))
        plan = None
    else:
        sums, plan, used = _as_stored(c, choice, n, asked, threads is None)
        plain = type(taps) is np.ndarray and taps.dtype == c.compute_dtype and taps.flags.c_contiguous
        any_taps = used.any_taps and (c.asked_out is None or c.dtype.kind == "f")  # into out only what can be stored
        if plan is not None and any_taps and c.sum_dtype.kind == "f" and plain and taps.flags.aligned:
            plan.with_any(taps, flips, finite, used.but_outer)
    result = c.deliver(sums)
    if check:
        check_result(result, right[0] if c.return_weight else right, bound, what)
    if c.return_weight and weight is not None:
        if check:
            weights = reference.counted(c).weights
            weighing = methods.choose_for_weights(weights, choice)
            bound = reference.error_bound(weights, weighing.factors, transformed=weighing.points)
            check_result(weight, right[1], bound, f"weights of {what}")
        return Answer((c.as_asked(result), c._replace(asked_out=None).as_asked(weight)))
    return Answer(c.as_asked(result), plan)


def answered_by(c: Correlation, choice: methods.Choice, threads: int | None, asked: Any) -> Answer:
    """As `answered`, by this choice, unchecked."""
    n = get_num_threads() if threads is None else thread_count(threads, "threads")
    sums, plan, _ = _as_stored(c, choice, n, asked, threads is None)
    return Answer(c.as_asked(c.deliver(sums)), plan)


def _kernel_by_kernel(c: Correlation, method: str, threads: int | None, what: str) -> Answer:
    """As `answered`, for kernels that each want a method of their own.

    A sum that does not fit is an error where no other element has another: the reference looks for those first.
    """
    result, weight = c.room(c.dtype), c.room(real_dtype(c.compute_dtype)) if c.return_weight else None
    axes = c.kernel_axes()
    made = [result] if weight is None else [result, weight]
    made = [np.moveaxis(a, axes, range(len(axes))) for a in made]
    overflow = None
    for at in np.ndindex(made[0].shape[: len(axes)]):
        try:
            parts = run(c.with_kernel(at), method, threads, what)
        except OverflowError as error:
            overflow = overflow or error
            continue
        for a, part in zip(made, parts if c.return_weight else [parts], strict=True):
            a[at] = part
    if overflow:
        raise overflow
    delivered = c.as_asked(c.deliver(result))
    return Answer(delivered if weight is None else (delivered, c._replace(asked_out=None).as_asked(weight)))


def run_into(c: Correlation, choice: methods.Choice, what: str) -> None:
    """Put the sums of c, made in floats, into c.out; integers need a choice that casts."""
    assert c.out is not None
    check, x = checking.get(), c.x
    sums = _sums(c, choice, get_num_threads())
    if sums is not c.out:
        c.out[...] = sums
    if check:
        probe = _sums(c._replace(x=x, out=None), choice, get_num_threads())
        check_result(probe, reference.run(c._replace(out=None)), reference.error_bound(c, choice.factors), what)


def _as_stored(
    c: Correlation, choice: methods.Choice, threads: int, asked: Any, default_threads: bool
) -> tuple[NDArray[Any], Any, methods.Choice]:
    """As `summed`; in the dtype of the result where compiled code can store it so, and every sum fits. And how."""
    ways = stored(c, choice)
    if ways is not None:
        if c.asked_out is not None and ways[0].out is not c.out:
            asked = None  # a plan would write to it before it is known whether all sums fit
        with contextlib.suppress(OverflowError):
            return *summed(*ways, threads, asked, default_threads), ways[1]
    sums, plan = summed(c, choice, threads, asked, default_threads)
    if choice.method == "fft" and sums.dtype.kind == "f" and c.dtype.kind in "iu":
        axes = tuple(Axis(a.out, 1, a.out, 0, 1, 1, "constant", 0, a.out) for a in c.axes)
        one = np.ones((1,) * c.rank, sums.dtype)
        ways = stored(c._replace(x=sums, k=one, axes=axes, sum_dtype=sums.dtype, fillvalue=0), methods.AS_IT_IS)
        if ways is not None:
            with contextlib.suppress(OverflowError):
                return summed(*ways, threads)[0], None, choice
    return sums, plan, choice


def _sums(c: Correlation, choice: methods.Choice, threads: int) -> NDArray[Any]:
    return summed(c, choice, threads)[0]


def summed(
    c: Correlation, choice: methods.Choice, threads: int, asked: Any = None, default_threads: bool = False
) -> tuple[NDArray[Any], Any]:
    """The sums by compiled code; in c.out where they can be written there at once. And the plan, as in `answered`, or
    None.

    Raises
    ------
    OverflowError
        A sum that is to be stored as an integer does not fit. c.out is overwritten.
    """
    strided = choice.method == "separable" and c.axes[-1].stride <= methods.MOST_STRIDE
    if choice.method not in ("direct", "im2col") and not strided and any(a.step > 1 for a in c.axes):
        dense = _sums(c.without_steps(), choice, threads)
        every: tuple[Any, ...] = (..., *(slice(None, None, a.step) for a in c.axes))
        part: NDArray[Any] = dense[every]
        return part, None
    if choice.method == "fft" and c.sum_dtype.kind in "iu":
        floats = _sums(c._replace(sum_dtype=np.dtype(np.float64), out=None), choice, threads)
        exact: NDArray[Any] = np.rint(floats).astype(np.int64).astype(c.sum_dtype)
        return exact, None
    if choice.whole and (c.sum_dtype.kind != "c" or np.isfinite(c.x).all()):
        window: tuple[Any, ...] = (..., *(slice(a.start, a.start + a.out) for a in c.axes))
        outputs: NDArray[Any] = spectrum.correlate(c.whole())[window].astype(c.compute_dtype, copy=False)
        return outputs, None
    if c.sum_dtype.kind == "c":
        return _complex_sums(c, choice, threads, asked, default_threads)
    given = c.x
    if choice.method != "fft":  # whose tiles are those of the whole
        c = narrowed(c)
    arithmetic, apart = methods.arithmetic(c), choice.combine == "apart"
    one = c.leading((0,))._replace(k=np.multiply.outer(*[f[0] for f in choice.factors])) if apart else c
    x, k = _readable(one.x, one), one.k.astype(arithmetic, copy=False)
    own = one.kernel_axes() if one.has_own_kernels else ()
    if one.has_own_kernels:
        k = np.moveaxis(k, own, range(len(own)))[(slice(None),) * len(own) + (0,) * (k.ndim - c.rank - len(own))]
        x = x if x.flags.aligned else x.copy()
    result_dtype = c.dtype if choice.divisor > 0 else c.sum_dtype if c.sum_dtype.kind in "iu" else c.compute_dtype
    casts = bool(choice.casts) or (c.out is not None and c.out.dtype.char in "fd" and choice.method != "fft")
    casts &= arithmetic.kind == "f" or choice.divisor > 0
    fits = c.out is not None and (casts or c.out.dtype == result_dtype)
    is_free = c.out is not None and fits and not _may_share_memory(c.out, x, k)
    result = c.out if c.out is not None and is_free and (c.out.flags.aligned or not own) else c.room(result_dtype)
    if not result.size:
        return result, None
    assert _core is not None
    taps = np.ascontiguousarray(k)
    fill: complex = c.fillvalue
    if c.sum_dtype.kind in "iu":  # beyond int64, the same bits
        fill = (int(c.fillvalue.real) + 2**63) % 2**64 - 2**63
    factors = tuple([np.ascontiguousarray(f, arithmetic) for f in choice.factors])
    method = _core.METHOD[choice.method]
    rounding = _core.ROUNDING[choice.casts or "cast"]
    if own:  # elements with kernels of their own come first
        lain = _Rows(np.moveaxis(x, own, range(len(own))), np.moveaxis(result, own, range(len(own))), c.axes)
    else:
        lain = _as_rows(one, choice, x, result[0] if apart else result)
    stores = rounding, _core.COMBINE[choice.combine], result.strides[0] if apart else 0, choice.divisor
    plan = _core.CorrPlan(lain.x, taps, lain.result, lain.axes, fill, method, threads, factors, *stores)
    if plan(x, result):
        if rounding:
            raise OverflowError("a sum does not fit")
        # The sums of a box are scaled at the end: of numbers near the largest, they are too large before.
        scale, again = 2.0 ** c.k.size.bit_length(), np.empty_like(result)
        small = x.astype(arithmetic, copy=False) / arithmetic.type(scale)
        scaled = taps * arithmetic.type(scale)
        _core.CorrPlan(small, scaled, again, c.axes, fill / scale, method, threads)(small, again)
        np.copyto(result, again, where=~np.isfinite(result))
    return result, _serving(c, plan, x, given, result, asked, default_threads)


class _Rows(NamedTuple):
    """Arrays as compiled code sees them."""

    x: NDArray[Any]
    result: NDArray[Any]
    axes: tuple[Axis, ...]


def _as_rows(c: Correlation, choice: methods.Choice, x: NDArray[Any], result: NDArray[Any]) -> _Rows:
    """Pixels whose channels lie side by side, in x and result, as rows of elements that the taps meet a pixel apart."""
    channels = x.shape[-c.rank - 1] if x.ndim > c.rank else 1
    strided = choice.method == "separable" and any(a.stride > 1 for a in c.axes[-2:])

    def lies_so(a: NDArray[Any]) -> bool:
        return a.strides[-c.rank - 1] == a.itemsize and a.strides[-1] == channels * a.itemsize

    def rows(a: NDArray[Any]) -> NDArray[Any]:
        pixels = np.moveaxis(a, -c.rank - 1, -1)
        return pixels.reshape(*pixels.shape[:-2], pixels.shape[-2] * channels)

    if (
        channels == 1
        or not (
            choice.method in ("direct", "separable")
            or choice.divisor > 0
            or (choice.method == "box" and c.sum_dtype.kind == "f")
        )
        or (c.axes[-1].stride > 1 and not strided)
        or (choice.method != "box" and not strided and not _gathers_few(c.axes[-1], channels))
        or not (lies_so(x) and lies_so(result))
    ):
        return _Rows(x, result, c.axes)
    return _Rows(rows(x), rows(result), (*c.axes[:-1], c.axes[-1]._replace(unit=channels)))


def _gathers_few(columns: Axis, channels: int) -> bool:
    """Whether tiles at an edge, which gather all pixels that their windows look at beyond it, gather few elements."""
    halo = (columns.k - 1) * columns.dilation
    reaches_beyond = max(columns.out, 2 * halo) > columns.n
    return halo * channels <= (costs.PIXELS_NARROW if reaches_beyond else costs.PIXELS_HALO)


def _serving(
    c: Correlation, plan: Any, x: NDArray[Any], given: Any, result: NDArray[Any], asked: Any, default_threads: bool
) -> Any:
    """The plan, by which result was made of x, for calls with arrays like `asked`; None: it does not suit them all.

    given: what c was narrowed from: `asked`, a view of it, or a copy in another dtype.
    """
    if type(asked) is not np.ndarray or checking.get() or (c.asked_out is not None and result is not c.out):
        return None
    cast = None
    if x is not asked and not np.may_share_memory(x, asked):
        copied = c.x is given and (given is asked or not np.may_share_memory(given, asked))
        if not copied or c.moved or x.shape != asked.shape or not x.flags.c_contiguous:
            return None
        cast = x.dtype
    most = None
    if c.sum_dtype.kind in "iu" and c.sum_dtype.itemsize == 8:  # smaller ones hold whatever is in x
        if c.taps >= costs.CROSSOVERS["fft taps"]:  # what suits these depends on the elements of x
            return None
        if c.overflow != "wrap":
            most = largest_element(c)
            if most == 0:
                return None
    finish = None
    if c.asked_out is None and c.dtype != result.dtype:
        finish = functools.partial(converted, dtype=c.dtype, overflow=c.overflow)
    return plan.serve(asked, x, c.as_asked(result), finish, cast, most, default_threads)


def _complex_sums(
    c: Correlation, choice: methods.Choice, threads: int, asked: Any, default_threads: bool
) -> tuple[NDArray[Any], Any]:
    """Real correlations of the parts; a real x or k has no imaginary part."""
    parts = [("real", "real"), ("imag", "real"), ("imag", "imag"), ("real", "imag")]  # of x, of k
    if c.x.dtype.kind != "c" or c.k.dtype.kind != "c":
        parts = parts[:2] if c.x.dtype.kind == "c" else parts[::3]
    real = c._replace(sum_dtype=real_dtype(c.sum_dtype), dtype=real_dtype(c.compute_dtype), out=None)
    if type(asked) is np.ndarray and not np.may_share_memory(c.x, asked):
        asked = None  # the imaginary part of a copy in another dtype is no such copy
    made = []
    with np.errstate(all="ignore"):
        for of_x, of_k in parts:
            part = real._replace(x=getattr(c.x, of_x), k=getattr(c.k, of_k), fillvalue=getattr(c.fillvalue, of_x))
            made.append(summed(part, choice, threads, asked, default_threads))
    join = functools.partial(_joined, dtype=c.sum_dtype)
    plans = [plan for _, plan in made]
    serves = None not in plans and c.dtype == c.sum_dtype
    return join([sums for sums, _ in made]), _core.JointPlan(plans, join) if _core and serves else None


def _joined(parts: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Complex numbers: a real part, an imaginary one, and what the former loses and the latter gains, if anything."""
    result = np.empty_like(parts[0], dtype)
    result.real, result.imag = parts[:2]
    if parts[2:]:
        with np.errstate(all="ignore"):
            result.real -= parts[2]
            result.imag += parts[3]
    return result


def narrowed(c: Correlation) -> Correlation:
    """c with no more of x than the outputs look at, where that is little of it: no more is gathered, or converted."""
    c = c.seen()
    x, axes = c.x, list(c.axes)
    for i, a in enumerate(c.axes):
        sparse = a.sparse() if a.n and a.stride * a.dilation > 1 else None
        if sparse is not None:
            elements, axes[i] = sparse
            source = source_index(elements, a.n, a.boundary)
            along = x.ndim - c.rank + i
            x = x[(slice(None),) * along + (source,)]
            outside = (source < 0).reshape(-1, *(1,) * (c.rank - 1 - i))
            if outside.any():
                x = np.where(outside, np.asarray(c.fillvalue, c.sum_dtype), x)
    return c if x is c.x else c._replace(x=x, axes=tuple(axes))


def _readable(x: NDArray[Any], c: Correlation) -> NDArray[Any]:
    """x as compiled code reads it: native, and nothing but float16 converted as a whole."""
    return x.astype(c.compute_dtype) if x.dtype.kind == "f" and x.dtype.itemsize == 2 else native(x)


def _may_share_memory(out: NDArray[Any], x: NDArray[Any], k: NDArray[Any]) -> bool:
    return np.may_share_memory(out, x) or np.may_share_memory(out, k)
