# SPDX-License-Identifier: BSD-3-Clause
"""NaN and infinities in the drop-ins: each spoils what SciPy's sum of it spoils, whatever the size, method or dtype."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import fastconv
from fastconv import ndimage, signal

NOT_FINITE = (np.nan, np.inf, -np.inf)


# ---- zero weights of ndimage ----------------------------------------------------------------------


def row_of_ones(size):
    w = np.zeros((size, size))
    w[size // 2] = 1
    return w


def disc(size):
    y, x = np.mgrid[:size, :size] - size // 2
    return (x**2 + y**2 <= (size // 2) ** 2).astype(float)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("weights", [row_of_ones(7), disc(31), np.eye(9)], ids=["row", "disc", "diagonal"])
@pytest.mark.parametrize("size", [30, 40, 90])
def test_zero_weights_hide_what_is_not_finite_in_images_of_any_size(size, weights, value):
    for dtype in ("f4", "f8"):
        x = np.ones((size, size), dtype)
        x[size // 2, size // 3] = value
        got, expected = ndimage.correlate(x, weights), scipy.ndimage.correlate(x, weights)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        x[0, 0] = value
        np.testing.assert_array_equal(
            np.isfinite(ndimage.convolve(x, weights)), np.isfinite(scipy.ndimage.convolve(x, weights))
        )


@pytest.mark.parametrize("output", ["f8", "i4", "u1", "?"])
def test_zero_weights_hide_nan_along_four_axes(rng, output):
    x = rng.standard_normal((5, 6, 5, 7))
    x[2, 3, 2, 3] = np.nan
    w = rng.integers(-1, 2, (3, 2, 3, 3)).astype(float)
    cases_of_output = {"output": np.dtype(output)}
    got, expected = ndimage.correlate(x, w, **cases_of_output), scipy.ndimage.correlate(x, w, **cases_of_output)
    np.testing.assert_array_equal(got, expected.view(np.uint8) != 0 if output == "?" else expected)


def test_zero_weights_hide_a_fill_that_is_not_finite():
    x, w = np.ones((60, 60)), row_of_ones(9)
    np.testing.assert_array_equal(
        ndimage.correlate(x, w, mode="constant", cval=np.nan),
        scipy.ndimage.correlate(x, w, mode="constant", cval=np.nan),
    )


def test_zero_weights_hide_nan_in_checked_calls(rng):
    x = rng.standard_normal((40, 41))
    x[20, 20] = np.nan
    with fastconv.checked():
        for output in ("f4", "i4", "f8"):
            for weights in (row_of_ones(3), row_of_ones(7)):
                got = ndimage.correlate(x, weights, output=output)
                np.testing.assert_allclose(got, scipy.ndimage.correlate(x, weights, output=output), rtol=1e-6)
