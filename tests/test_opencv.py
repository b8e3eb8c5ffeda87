# SPDX-License-Identifier: BSD-3-Clause
"""What OpenCV's filters have arguments for, and how to do without; NaN that is to become an integer; bad axes."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import reference

BORDERS = {"reflect": "BORDER_REFLECT_101", "symmetric": "BORDER_REFLECT", "edge": "BORDER_REPLICATE"}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("boundary", BORDERS)
def test_anchor_delta_and_divisor(isa, rng, boundary, dtype):
    """As the notes of corr2d say."""
    cv2 = pytest.importorskip("cv2")
    x = cases.integers(rng, (23, 31), dtype)
    for shape in ((1, 1), (2, 3), (4, 4), (5, 2)):
        k, divisor, delta = cases.integers(rng, shape, "float32"), 4, 3.5
        for a in {0, shape[0] // 2, shape[0] - 1}:
            for b in {0, shape[1] // 2, shape[1] - 1}:
                where = zip(shape, (a, b), x.shape, strict=True)
                window = tuple(slice(m - 1 - at, m - 1 - at + n) for m, at, n in where)
                y = fastconv.corr2d(x, k / divisor, "full", boundary, window=window, dtype=np.float32)
                y += delta
                if dtype == "uint8":
                    y = y.round().clip(0, 255).astype(np.uint8)
                border = getattr(cv2, BORDERS[boundary])
                expected = cv2.filter2D(x, -1, k / divisor, anchor=(b, a), delta=delta, borderType=border)
                np.testing.assert_array_equal(y, expected, err_msg=f"{shape} {a} {b}")
    same = fastconv.corr2d(x, k, "same", boundary)
    anchor = (shape[1] - 1) // 2, (shape[0] - 1) // 2
    expected = cv2.filter2D(x.astype("float32"), -1, k, anchor=anchor, borderType=getattr(cv2, BORDERS[boundary]))
    np.testing.assert_array_equal(same, expected)


@pytest.mark.parametrize("overflow", ["raise", "saturate", "wrap"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint64"])
def test_nan_is_no_integer(isa, dtype, overflow):
    """Of both packages, whatever becomes of what does not fit; out is untouched."""
    x, k = np.ones((20, 30)), np.ones((3, 3))
    x[15, 20] = np.nan
    for package in (fastconv, reference):
        for bad in (
            (x, k),
            (np.ones((20, 30)), np.where(k == 1, np.nan, 0)),
            (np.ones((2, 20, 30)), np.stack([k, k * np.nan])),
        ):
            out = np.full((*np.broadcast_shapes(bad[0].shape[:-2], bad[1].shape[:-2]), 18, 28), 7, dtype)
            with pytest.raises(ValueError, match=f"a sum is NaN and has no value in {dtype}"):
                package.corr2d(*bad, dtype=dtype, overflow=overflow, out=out)
            assert (out == 7).all()


def test_divisors_of_zero():
    """They are NumPy's: it warns, and what is no number does not become one."""
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        k = np.ones((3, 3)) / np.float64(0)
    assert np.isinf(fastconv.corr2d(np.ones((5, 5)), k)).all()
    assert np.isnan(fastconv.corr2d(np.zeros((5, 5)), k)).all()
    with pytest.raises(ValueError, match="a sum is NaN"):
        fastconv.corr2d(np.zeros((5, 5)), k, dtype=np.uint8, overflow="saturate")


@pytest.mark.parametrize("axes", [(0, 0), (1, -1), (-2, 0)])
def test_repeated_axes(axes):
    out = np.full((4, 4), 7.0)
    for package in (fastconv, reference):
        with pytest.raises(ValueError, match="axes must not repeat an axis"):
            package.corr2d(np.ones((5, 5)), np.ones((2, 2)), axes=axes, out=out)
    assert (out == 7).all()
