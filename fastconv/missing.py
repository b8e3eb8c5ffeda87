# SPDX-License-Identifier: BSD-3-Clause
"""Correlations over the elements that count: sums of these, their weights, and what is made up for the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import costs, methods, reference
from fastconv.arguments.prepared import Correlation
from fastconv.runtime import _core

Sums = Callable[[Correlation, methods.Choice], NDArray[Any]]  # by compiled code, in `out` where that is free


class _Weighing(NamedTuple):
    """How weights are summed, whatever is missing."""

    choice: methods.Choice
    total: NDArray[Any]  # that of a whole window
    keeps_faint_sums: bool


def normalised(c: Correlation, choice: methods.Choice, sums: Sums) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sums over the elements that count, and their weights, band by band: x is never copied as a whole.

    But for transforms, whose tiles would not be those of the whole.
    """
    result = np.empty(c.shape, c.compute_dtype)
    weight = np.empty(c.shape if c.return_weight else 0, result.real.dtype)
    if not result.size:
        return result, weight
    how, room = None, _Room()
    for at, part in [((), c)] if choice.method == "fft" else _bands(c):
        parts, missing = _taken_apart(part, room)
        made = weight[at] if c.return_weight else room.array("weight", part.shape, weight.dtype)
        if how is None or c.has_own_kernels:
            how = _weighing(parts, choice, sums)
        if missing == 0 and parts.weights.fillvalue == 1 and (how.total > 0).all():
            _sums_into(result[at], parts.above._replace(x=part.x), choice, sums)
            made[...] = how.total
        else:
            _band_normalised(part, parts, choice, how, sums, result[at], made)
    return result, weight


def _bands(c: Correlation) -> Iterator[tuple[tuple[Any, ...], Correlation]]:
    """Where each band of outputs is, and the correlation that it is: several planes, or rows of one."""
    if len(c.shape) > c.rank:
        each = math.prod(c.shape[1:])
        some = max(costs.MISSING_BAND // each, 1)
        for first in range(0, c.shape[0], some):
            if each <= costs.MISSING_BAND:
                planes = slice(first, first + some)
                yield (planes,), c.leading((planes,))
            else:
                yield from (((first, *at), band) for at, band in _bands(c.leading((first,))))
        return
    outputs = c.axes[0].out
    rows = max(costs.MISSING_BAND * outputs // math.prod(c.shape), 1)
    for first in range(0, outputs, rows):
        end = min(first + rows, outputs)
        yield (slice(first, end),), c.band(first, end)


class _Room:
    """Scratch that band after band has: fresh memory would take as long as what is done in it."""

    def __init__(self) -> None:
        self.parts: dict[str, NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = math.prod(shape)
        if name not in self.parts or self.parts[name].size < size:
            self.parts[name] = np.empty(size, dtype)
        return self.parts[name][:size].reshape(shape)


def _taken_apart(c: Correlation, room: _Room) -> tuple[reference.Counted, int]:
    """What c is made of, and how many elements do not count."""
    if _core is None or c.x.dtype.char not in "fd" or c.x.dtype != c.compute_dtype:
        parts = reference.counted(c)
        return parts, parts.weights.x.size - int(np.count_nonzero(parts.weights.x))
    x, there = np.require(c.x, None, ["C", "A"]), None if c.mask is None else np.ascontiguousarray(c.mask)
    above, counts = (room.array(name, x.shape, x.dtype) for name in ("above", "counts"))
    missing = _core.present(x, there, c.ignore_nan, above, counts)
    return reference.taken_apart(c, above, counts), missing


def _weighing(parts: reference.Counted, choice: methods.Choice, sums: Sums) -> _Weighing:
    weighing = methods.choose_for_weights(parts.weights, choice)
    alike = methods.Choice("direct", "") if choice.method == "fft" else weighing
    total = sums(parts.window, alike)
    return _Weighing(weighing, total, methods.keeps_faint_sums(parts.weights, choice))


def _sums_into(out: NDArray[Any], c: Correlation, choice: methods.Choice, sums: Sums) -> None:
    made = sums(c._replace(out=out), choice)
    if made is not out:
        out[...] = made


def _band_normalised(
    c: Correlation,
    parts: reference.Counted,
    choice: methods.Choice,
    how: _Weighing,
    sums: Sums,
    result: NDArray[Any],
    weight: NDArray[Any],
) -> None:
    """Put sums of c, of which `parts` are what counts, into result, and their weights into weight."""
    _sums_into(weight, parts.weights, how.choice, sums)
    _sums_into(result, parts.above, choice, sums)
    if how.keeps_faint_sums:
        _make_up(result, weight, how.total)
        return
    total = how.total.reshape(())  # there is one kernel
    # Counting is exact, and noise decides nothing: neither what is missing or whole, nor what is faint.
    present = parts.weights._replace(
        k=(c.k != 0).astype(np.uint8), factors=(), sum_dtype=np.dtype(np.int64), dtype=np.dtype(np.int64)
    )
    present = present._replace(x=parts.weights.x.astype(np.bool), fillvalue=int(present.fillvalue.real))
    count = sums(present, methods.choose(present, "auto"))
    weight[count == 0] = 0
    weight[count == np.count_nonzero(c.k)] = total
    _make_up(result, weight, how.total)
    faint = (count > 0) & (weight <= reference.FAINT * total)
    for plane in np.argwhere(faint.any(tuple(range(-c.rank, 0)))):
        _redo(c.leading(tuple(plane)), faint[tuple(plane)], result[tuple(plane)], weight[tuple(plane)], sums)


def _make_up(sums: NDArray[Any], weight: NDArray[Any], total: NDArray[Any]) -> None:
    """sums * total / weight, in place; total: one, or one for each element of the leading axes."""
    if _core is None or sums.dtype.kind == "c":
        sums[...] = reference.made_up(sums, weight, total)
        return
    _core.make_up(sums, weight, total.astype(np.float64).ravel())


def _redo(c: Correlation, faint: NDArray[np.bool], result: NDArray[Any], weight: NDArray[Any], sums: Sums) -> None:
    """Put into result and weight, where `faint`, what the direct method makes of it."""
    direct = methods.Choice("direct", "")
    for at, band in _bands(c):
        if faint[at].any():
            ends = [np.flatnonzero(faint[at].any(tuple(set(range(c.rank)) - {i})))[[0, -1]] for i in range(c.rank)]
            cut: tuple[Any, ...] = tuple(slice(int(first), int(last) + 1) for first, last in ends)
            part = band.with_axes(tuple(a.part(w.start, w.stop) for a, w in zip(band.axes, cut, strict=True)))
            y, w = reference.normalised(part, lambda some: sums(some, direct))
            asked = faint[at][cut]
            result[at][cut][asked], weight[at][cut][asked] = y[asked], w[asked]
