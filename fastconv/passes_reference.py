# SPDX-License-Identifier: BSD-3-Clause
"""What `passes` computes without compiled code, and compares with: the same sums by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.conversion import cast
from fastconv.arguments.correlation import placed
from fastconv.arguments.filters import Pass
from fastconv.arguments.prepared import Correlation
from fastconv.reference.correlation import extended, slide
from fastconv.runtime import check_result


def _reference_pass(x: NDArray[Any], one: Pass, fill: float) -> Correlation:
    return placed(
        np.moveaxis(x, one.axis, -1),
        np.ones(one.taps) if one.weights is None else one.weights,
        (one.lead,),
        (x.shape[one.axis],),
        np.dtype(np.float64),
        (one.boundary,),
        fill,
    )


def reference_step(
    x: NDArray[Any], step: tuple[Pass, Pass | None], between: np.dtype[Any], fill: float
) -> NDArray[np.float64]:
    """Sums of the last pass, by NumPy."""
    first, second = step
    sums: NDArray[np.float64] = np.moveaxis(_reference(_reference_pass(x, first, fill)), -1, first.axis)
    sums = sums / (first.divisor or 1)
    return sums if second is None else reference_step(cast(sums, between), (second, None), between, fill)


def check_step(x: NDArray[Any], one: Pass, out: NDArray[Any], expected: NDArray[np.float64], fill: float) -> None:
    """Compare a pass with the reference, whose order of sums is another: integers may be cut off to the one beside."""
    weight = one.taps if one.weights is None else float(np.abs(one.weights).sum())
    beyond = abs(fill) if one.boundary == "constant" and np.isfinite(fill) else 0.0
    largest = float(np.abs(np.where(np.isfinite(x), x, 0).astype(float)).max(initial=beyond))
    error = 2 * (one.taps + 4) * float(np.finfo(np.float64).eps) * weight * largest
    compare(out, expected, np.full(expected.shape, error))


def compare(out: NDArray[Any], expected: NDArray[np.float64], error: NDArray[np.float64]) -> None:
    """Raise if `out` is not what sums that are off by `error` are cast to."""
    if out.dtype.kind == "f":
        bound = np.abs(expected) * float(np.finfo(out.dtype).eps) + error
        check_result(out, cast(expected, out.dtype), bound, "ndimage")
    elif out.dtype.kind in "iu":
        width = f"i{out.dtype.itemsize}"
        with np.errstate(over="ignore"):
            off = (out.astype(width) - cast(expected, out.dtype).astype(width)).astype(float)
        in_range = np.abs(expected) < 2.0 ** (63 if out.dtype.itemsize == 8 else 31) - error - 1
        check_result(np.where(in_range, off, 0), np.zeros(out.shape), error + 1, "ndimage")


def in_order(c: Correlation) -> NDArray[np.float64]:
    """Sums in float64 by NumPy, in SciPy's order and without taps of zero."""
    beyond, sums = extended(c, c.x.astype(np.float64)), np.zeros(c.shape)
    with np.errstate(all="ignore"):
        for at in zip(*np.nonzero(c.k), strict=True):
            under: tuple[Any, ...] = (..., *(slice(t, t + a.out) for t, a in zip(at, c.axes, strict=True)))
            sums += c.k[at] * beyond[under]
    return sums


def _reference(c: Correlation) -> NDArray[np.float64]:
    """Sums in float64, by NumPy."""
    with np.errstate(all="ignore"):
        sums: NDArray[np.float64] = slide(c, c.x.astype(np.float64), c.k, np.dtype(np.float64))
        return sums
