# SPDX-License-Identifier: BSD-3-Clause
"""What `ndimage` is made of: passes along one axis after the other, and kernels of several dimensions.

Everything is summed in float64 (or, with the same result, in float32) and cast as C casts it, by the methods of
`csrc/corr/`; without the extension, and to compare with, by `passes_reference`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import costs, methods
from fastconv.arguments.boundaries import BY_NAME
from fastconv.arguments.conversion import cast, cast_magnitude
from fastconv.arguments.correlation import placed
from fastconv.arguments.filters import ONES, Part, Pass, not_supported, real, seen, within
from fastconv.arguments.values import is_finite, native
from fastconv.passes_reference import check_step, compare, in_order, reference_step
from fastconv.plans import Answer
from fastconv.reference.rounding import error_bound
from fastconv.runtime import _core, checking, get_num_threads
from fastconv.sums import run_into

_WIDE = np.dtype(np.float64)


Step = tuple[Pass, Pass | None]
Starts = Sequence[int]  # the output that comes first, along each axis


def passed(x: NDArray[Any], passes: Sequence[Pass], out: NDArray[Any], cval: Any) -> Answer:
    """One pass after the other, the results of each cast to the dtype of the output as in SciPy."""
    chains = seen.get()
    if chains is not None:
        chains.append(passes)
    if not passes:
        out[...] = _looked_at(x, ())[0]
    elif x.dtype.kind == "c":
        if out.dtype.kind != "c":
            raise RuntimeError("output must have complex dtype")
        if np.may_share_memory(x, out):
            x = x.copy()
        passed(x.real, passes, out.real, np.real(cval))
        passed(x.imag, passes, out.imag, np.imag(cval))
    else:
        _supported(x, "input")
        _supported(out, "output")
        dtype = out.dtype  # of what is in between
        if dtype.kind == "b":
            dtype = np.dtype(np.uint8)
        elif not dtype.isnative:
            dtype = dtype.newbyteorder("=")
        x, starts = _looked_at(x, passes)
        steps, fill = _steps(passes, x, out), real(cval, "cval")
        _banded(x, steps, out, dtype, fill, starts)
        return Answer(out, _plan(x, steps, out, dtype, fill))
    return Answer(out)


def _looked_at(x: NDArray[Any], passes: Sequence[Pass]) -> tuple[NDArray[Any], Starts]:
    """What passes look at, and which output of it comes first: all of x, but in `blocks`."""
    part, slides = within.get(), {one.axis for one in passes}
    if part is None:
        return x, [0] * x.ndim
    at = tuple(slice(None) if a in slides else slice(p.first, p.end) for a, p in enumerate(part))
    return x[at], [p.first if a in slides else 0 for a, p in enumerate(part)]


def magnitude(x: NDArray[Any], chains: Sequence[Sequence[Pass]], out: NDArray[Any], cval: Any) -> Answer | None:
    """The root of the sum of squares of what two chains of passes make, from one look at x.

    None: they are not the same two passes with other weights, or compiled code lacks the arithmetic of its dtype.
    """
    if len(chains) != 2 or _core is None or checking.get() or x.dtype.kind == "c" or out.dtype.char not in "fd":
        return None
    if not out.dtype.isnative or [len(passes) for passes in chains] != [2, 2]:
        return None
    _supported(x, "input")
    both: list[Pass] = []
    for one, other in zip(*chains, strict=True):
        if one._replace(weights=None) != other._replace(weights=None) or one.weights is None or other.weights is None:
            return None
        both.append(one._replace(weights=np.stack([one.weights, other.weights])))
    if not _go_together(both[0], both[1], x, out, True):
        return None
    steps, fill = [(both[0], both[1])], real(cval, "cval")
    _banded(x, steps, out, out.dtype, fill, _looked_at(x, both)[1])
    return Answer(out, _plan(x, steps, out, out.dtype, fill))


def _plan(x: NDArray[Any], steps: Sequence[Step], out: NDArray[Any], between: np.dtype[Any], fill: float) -> Any:
    """That of calls with arrays like x and out; None: they go another way."""
    if _core is None or checking.get() or not x.size or out.size > costs.PASSES_BAND or within.get() is not None:
        return None
    if not (x.dtype.isnative and out.dtype.isnative) or out.dtype.kind == "b":
        return None
    if any(_is_wide(one, x.shape) for one, _ in steps):
        return None
    parts = []
    for step in steps:
        to = out if step is steps[-1] else np.empty(out.shape, between)
        parts.append(_lines(x, to, step, between, fill))
        x = to
    return _core.FilterPlan("chain", parts, between, out)


def _banded(
    x: NDArray[Any], steps: Sequence[Step], out: NDArray[Any], between: np.dtype[Any], fill: float, starts: Starts
) -> None:
    """All steps for one band of the results after the other, so that what is in between stays small.

    The bands lie along an axis that only the first step may slide along: it reads x beyond its band. Python looks at
    signals between bands.
    """
    if out.size <= costs.PASSES_BAND or _core is None or checking.get():
        _all_steps(x, steps, out, between, fill, starts)
        return
    axis, size = _bands(steps, out.shape)
    n = out.shape[axis]
    if size < n and np.may_share_memory(x, out):
        whole = np.empty(out.shape, between)
        _banded(x, steps, whole, between, fill, starts)
        out[...] = whole
        return
    x = native(x)
    slides = any(one is not None and one.axis == axis for one in steps[0])
    for first in range(0, n, size):
        at = (slice(None),) * axis + (slice(first, first + size),)
        begin = [s + first if a == axis and slides else s for a, s in enumerate(starts)]
        _all_steps(x if slides else x[at], steps, out[at], between, fill, begin)


def _all_steps(
    x: NDArray[Any],
    steps: Sequence[Step],
    out: NDArray[Any],
    between: np.dtype[Any],
    fill: float,
    starts: Starts,
) -> None:
    """Along an axis that later steps slide along there are results for all elements of x, else those that out has."""
    whole = _core is None or checking.get()  # and what out has of it
    for i, step in enumerate(steps):
        later = range(x.ndim) if whole else {one.axis for more in steps[i + 1 :] for one in more if one is not None}
        own = {one.axis for one in step if one is not None}
        begin = [s if a in own and a not in later else 0 for a, s in enumerate(starts)]
        shape = tuple(n if a in later else m for a, (n, m) in enumerate(zip(x.shape, out.shape, strict=True)))
        to = out if step is steps[-1] and shape == out.shape else np.empty(shape, between)
        x = _step(x, step, to, between, fill, begin)
    if x is not out:
        out[...] = x[tuple(slice(s, s + n) for s, n in zip(starts, out.shape, strict=True))]


def _bands(steps: Sequence[Step], shape: tuple[int, ...]) -> tuple[int, int]:
    """(axis, length along it) of bands"""
    later = {one.axis for step in steps[1:] for one in step if one is not None}
    axis = max((a for a in range(len(shape)) if a not in later), key=lambda a: (a < len(shape) - 1, shape[a]))
    taps = sum(_cost(one) for step in steps for one in step if one is not None)
    elements = min(costs.PASSES_BAND, costs.PASSES_PRODUCTS // taps)
    return axis, max(elements // (math.prod(shape) // shape[axis]), 1)


def _cost(one: Pass) -> int:
    return 8 if one.weights is None else one.weights.size


def _steps(passes: Sequence[Pass], x: NDArray[Any], out: NDArray[Any]) -> list[Step]:
    """Passes by ones and twos."""
    steps: list[Step] = []
    i = 0
    while i < len(passes):
        one, two = passes[i], passes[i + 1] if i + 1 < len(passes) and not checking.get() else None
        if two is not None and not _go_together(one, two, x, out, i == 0):
            two = None
        steps.append((one, two))
        i += 1 if two is None else 2
    return steps


def _go_together(one: Pass, two: Pass, x: NDArray[Any], out: NDArray[Any], is_first: bool) -> bool:
    """Whether two passes are one step: if one is along the last axis, unless that is short, or the halo is most of the
    work; or if they are the first, with weights, over a picture whose pixels are dense."""
    shape, last = x.shape, x.ndim - 1
    if one.axis == two.axis or _is_wide(one, shape) or _is_wide(two, shape):
        return False
    if one.weights is None and min(one.taps, two.taps) > costs.WIDE_MEAN:
        return False
    is_short = shape[last] < min(costs.SHORT_LINE, max(shape))
    if last in (one.axis, two.axis):
        return not is_short
    is_picture = is_short and len(shape) == 3 and x.flags.c_contiguous and out.flags.c_contiguous
    return is_first and is_picture and one.weights is not None and two.weights is not None


def _is_wide(one: Pass, shape: tuple[int, ...]) -> bool:
    """Whether windows repeat a line so often that its sum is worth knowing."""
    return one.weights is None and one.taps > 4 * shape[one.axis] + 64


def _wide_mean(
    x: NDArray[Any], one: Pass, out: NDArray[Any], between: np.dtype[Any], fill: float, starts: Starts
) -> NDArray[Any]:
    """Means over windows that are much longer than the line: of whole periods the sum is known."""
    line = np.ascontiguousarray(np.moveaxis(x, one.axis, -1), _WIDE)  # sums do not depend on the layout
    n, taps, lead, boundary = line.shape[-1], one.taps, one.lead, one.boundary
    with np.errstate(all="ignore"):
        rule = BY_NAME[boundary]
        if rule.once is None or n == 1:
            ends = [fill if i < 0 else line[..., i : i + 1] for i in rule.source(np.array([-1, n]), n)]
            more: Any = np.zeros((*line.shape[:-1], 1))
            for end, beyond in zip(ends, (lead - n, taps - 1 - lead - n), strict=True):
                if beyond > 0:
                    more = more + beyond * end
                    taps -= beyond
            lead = min(lead, n)
        else:
            period = rule.period(n)
            repeats = (taps - 1) // period
            back = line.take(np.sort(rule.source(np.arange(n, period), n)), -1)
            more = repeats * (line.sum(-1, keepdims=True) + back.sum(-1, keepdims=True))
            taps, lead = taps - repeats * period, lead % period
        weights = ONES[taps] if taps < len(ONES) else None
        reduced = Pass(one.axis, weights, taps, lead, boundary)
        sums = _step(x, (reduced, None), np.empty(out.shape), _WIDE, fill, starts)
        sums += np.moveaxis(more, -1, one.axis)
        sums /= one.divisor
    out[...] = cast(sums, out.dtype)
    return out


def _step(
    x: NDArray[Any],
    step: Step,
    out: NDArray[Any],
    between: np.dtype[Any],
    fill: float,
    starts: Starts,
) -> NDArray[Any]:
    """One or two passes over x."""
    if x.size and _is_wide(step[0], x.shape):
        return _wide_mean(x, step[0], out, between, fill, starts)
    if _core is None or checking.get():
        x = x.copy() if np.may_share_memory(x, out) else x  # to be compared with afterwards
        expected = reference_step(x, step, between, fill)
        if _core is None:
            out[...] = cast(expected, out.dtype)
            return out
    to = _apart(x, out)
    x = native(x)
    _lines(x, to, step, between, fill, starts)(x, to)
    if to is not out:
        out[...] = to
    if checking.get():  # one pass at a time
        check_step(x, step[0], to, expected, fill)
    return out


def _lines(
    x: NDArray[Any], to: NDArray[Any], step: Step, between: np.dtype[Any], fill: float, starts: Starts | None = None
) -> Any:
    """One or two passes over x, by compiled code."""
    assert _core is not None
    narrow = x.size >= costs.FLOAT32_FROM and _fits_float32(x.dtype, step, between, fill)
    stored = between.str[1:] if step[1] else "f8"
    return _core.LinesPlan(x, to, *step, fill, stored, narrow, get_num_threads(), starts)


def _fits_float32(dtype: np.dtype[Any], step: tuple[Pass, Pass | None], between: np.dtype[Any], fill: float) -> bool:
    """Whether all sums are integers below 2**24, so that float32 holds them, and their quotients are cut off alike."""
    if dtype.itemsize > 2 or dtype.kind not in "biu" or not fill.is_integer():
        return False
    if between.kind not in "iu" or (between.kind == "u" and between.itemsize > 2):
        return False
    most = max(255.0 if dtype.itemsize == 1 else 65535.0, abs(fill))
    for one in step:
        if one is None:
            break
        if one.weights is not None and not (one.weights == np.rint(one.weights)).all():
            return False
        most *= one.taps if one.weights is None else float(np.abs(one.weights).sum())
        if most >= 2**24:
            return False
        if between.itemsize <= 2:
            most = max(min(most, 65535.0), abs(fill))
    return True


def _supported(a: NDArray[Any], name: str) -> None:
    if a.dtype.char not in "?bBhHiIlLqQfd":
        raise not_supported(a.dtype, name)


def _apart(x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """`out`, or another array where compiled code cannot write it at once."""
    own = x.base is None and out.base is None  # memory of its own
    shared = x is out if own else np.may_share_memory(x, out)
    if shared or out.dtype.kind == "b" or not out.dtype.isnative:
        return np.empty(out.shape, np.uint8 if out.dtype.kind == "b" else out.dtype.newbyteorder("="))
    return out


def slid(
    x: NDArray[Any], w: NDArray[np.float64], out: NDArray[Any], leads: Sequence[int], boundary: str, cval: Any
) -> Answer:
    """Correlate with a kernel of as many dimensions. Taps of zero are left out, whatever they would meet."""
    _supported(x, "input")
    _supported(out, "output")
    fill, chains = real(cval, "cval"), seen.get()
    if chains is not None:
        shape = enumerate(zip(w.shape, leads, strict=True))
        chains.append([Pass(axis, w, taps, lead, boundary) for axis, (taps, lead) in shape])
    if not w.item(0) and not w.any():
        out[...] = 0
        return Answer(out)
    part = within.get()
    size = x.size if part is None else math.prod(p.total for p in part)
    leads = [lead - p.first for lead, p in zip(leads, part, strict=True)] if part else leads
    exact = always = out.dtype.kind != "f" or w.size <= costs.ORDERED_TAPS or size * w.size <= costs.ORDERED_PRODUCTS
    mirrored = out.dtype.kind == "u" and out.dtype.itemsize == 8
    sums = np.empty(out.shape, _WIDE) if mirrored else _apart(x, out)
    if exact and _core is not None and 1 <= x.ndim <= 3 and x.size and not checking.get():
        read = native(x)
        plan = _core.OrderedPlan(read, w, sums, leads, boundary, fill, get_num_threads())
        plan(read, sums)
        if always and sums is out and read is x and part is None:
            return Answer(out, _core.FilterPlan("chain", [plan], out.dtype, out))
    else:
        sums = _slid_otherwise(x, w, sums, leads, boundary, fill, exact, part)
        has_zeros = not exact and bool((w == 0).any())  # other methods multiply by them, too
        if has_zeros and not (np.isfinite(fill) and is_finite(x)):
            ordered = _slid_otherwise(x, w, np.empty_like(sums), leads, boundary, fill, True, part)
            np.copyto(sums, ordered, where=~np.isfinite(sums))
    if mirrored:
        out[...] = cast_magnitude(sums)
    elif sums is not out:
        out[...] = cast(sums, out.dtype) if sums.dtype == _WIDE else sums
    return Answer(out)


def _slid_otherwise(
    x: NDArray[Any],
    w: NDArray[np.float64],
    sums: NDArray[Any],
    leads: Sequence[int],
    boundary: str,
    fill: float,
    exact: bool,
    part: Sequence[Part] | None,
) -> NDArray[Any]:
    """The same in more dimensions, by faster methods, by NumPy, or compared with that; `sums`, or others to be cast."""
    slides = [a for a, n in enumerate(w.shape) if n > 1] or list(range(x.ndim))[-1:]
    if not slides:
        single: NDArray[Any] = _slid_otherwise(x[None], w[None], sums[None], (0,), boundary, fill, exact, None)[0]
        return single
    order = [*(a for a in range(x.ndim) if a not in slides), *slides]
    c = placed(
        x.transpose(order),
        w.reshape([w.shape[a] for a in slides]),
        [leads[a] for a in slides],
        [sums.shape[a] for a in slides],
        _WIDE,
        (boundary,) * len(slides),
        fill,
    )
    if part is not None:
        of = [part[a] for a in slides]
        c = c._replace(
            axes=tuple(
                a._replace(begin=p.begin, total=p.total, start=p.begin + p.first, whole=p.total)
                for a, p in zip(c.axes, of, strict=True)
            )
        )
    if _core is None or len(slides) > 3 or not x.size:
        made: NDArray[Any] = in_order(c).transpose(np.argsort(order))
        return made
    to = sums.transpose(order)
    if not exact:
        run_into(c._replace(out=to), methods.choose(c._replace(out=to), "auto"), "ndimage")
        return sums
    check = checking.set(False)
    try:
        run_into(c._replace(out=to), methods.Choice("ordered", "", casts="cast"), "ndimage")
    finally:
        checking.reset(check)
    if checking.get():
        finite = c._replace(x=np.where(np.isfinite(c.x), c.x, 0).astype(c.x.dtype))
        compare(to, in_order(c), error_bound(finite))
    return sums
