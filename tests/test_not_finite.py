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


# ---- taps of signal -------------------------------------------------------------------------------


def over_pairs(x, k, mode):
    """The convolution as a sum over pairs of elements that exist: nothing is multiplied by zeros around."""
    y = np.zeros([n + m - 1 for n, m in zip(x.shape, k.shape, strict=True)], np.result_type(x, k))
    with np.errstate(invalid="ignore"):
        for at in np.ndindex(k.shape):
            y[tuple(slice(t, t + n) for t, n in zip(at, x.shape, strict=True))] += x * k[at]
    sizes = {"full": y.shape, "same": x.shape}.get(
        mode, [abs(n - m) + 1 for n, m in zip(x.shape, k.shape, strict=True)]
    )
    return y[tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(y.shape, sizes, strict=True))]


def some_of_it_not_finite(rng, shape, dtype, count):
    a = rng.integers(-4, 5, shape).astype(dtype)
    for _ in range(count):
        part = a.real if a.dtype.kind != "c" or rng.random() < 0.5 else a.imag
        part[tuple(rng.integers(0, n) for n in shape)] = rng.choice(NOT_FINITE)
    return a


@pytest.mark.usefixtures("isa")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "g"])
@pytest.mark.parametrize("where", ["in1", "in2", "both"])
@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((2, 2), (5, 5)),
        ((40, 1), (1, 60)),
        ((70,), (9,)),
        ((9,), (400,)),
        ((8, 40), (9, 7)),
        ((60, 60), (30, 3)),
        ((4, 5, 6), (3, 2, 7)),
        ((3, 2, 3, 4), (2, 3, 2, 2)),
        ((1, 1), (1, 1)),
    ],
)
def test_taps_that_are_not_finite_spoil_what_they_meet(rng, first, second, mode, where, dtype):
    x = some_of_it_not_finite(rng, first, dtype, 2 * (where != "in2"))
    k = some_of_it_not_finite(rng, second, dtype, 2 * (where != "in1"))
    flipped = k[(slice(None, None, -1),) * k.ndim].conj()
    results = [(signal.fftconvolve(x, k, mode), k)]
    for method in ("auto", "direct", "fft"):
        results += [(signal.convolve(x, k, mode, method), k), (signal.correlate(x, k, mode, method), flipped)]
    for got, taps in results:
        np.testing.assert_allclose(got, over_pairs(x, taps, mode), rtol=1e-4, atol=1e-2)


def test_a_nan_among_the_taps_spoils_no_whole_result():
    k = np.ones((5, 5))
    k[0, 0] = np.nan
    assert np.isnan(signal.convolve(np.ones((2, 2)), k)).sum() == 4
    long = np.ones((1, 300))
    long[0, 7] = np.nan
    assert np.isnan(signal.convolve(np.ones((200, 1)), long)).sum() == 200
    assert np.isnan(signal.correlate(np.ones((200, 1)), long)).sum() == 200


@pytest.mark.usefixtures("isa")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_with_a_boundary_what_is_not_finite_spoils_what_it_does_in_scipy(rng, dtype):
    """Which part of a complex product is NaN, and which infinite, the compiler decides that SciPy was built with."""
    for first, second in (((5, 6), (3, 4)), ((2, 2), (5, 5)), ((40, 1), (1, 60)), ((60, 50), (7, 9))):
        for boundary in ("fill", "wrap", "symm"):
            x = some_of_it_not_finite(rng, first, dtype, 1)
            k = some_of_it_not_finite(rng, second, str(rng.choice([dtype, "f4"])), int(rng.integers(0, 2)))
            for name in ("convolve2d", "correlate2d"):
                expected, got = (
                    cases.outcome(getattr(package, name), x, k, "same", boundary) for package in (scipy.signal, signal)
                )
                if dtype.startswith("c"):
                    got, expected = (np.where(np.isfinite(a), a, np.nan) for a in (got, expected))
                np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-2)
