# SPDX-License-Identifier: BSD-3-Clause
"""Correlations of pairs of signals at limited lags, beside sums over slices."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import scipy.signal

import fastconv


def pairs(x, y, lag):
    """Those that overlap."""
    first, end = max(lag, 0), min(x.size, y.size + lag)
    return (x[first:end], y[first - lag : end - lag]) if first < end else (x[:0], y[:0])


def expected(x, y, lags, normalize, nan):
    """By the definition, lag by lag."""
    made = []
    for lag in range(-lags, lags + 1):
        a, b = (v.astype(complex) for v in pairs(x, y, lag))
        counts = ~(np.isnan(a) | np.isnan(b)) if nan == "ignore" else np.full(a.shape, True)
        a, b = a[counts], b[counts]
        if normalize == "pearson":
            if a.size < 2 or (a == a[0]).all() or (b == b[0]).all():
                made.append(np.nan)
                continue
            a, b = a - a.mean(), b - b.mean()
        r = (a * b.conj()).sum()
        energy = np.abs(x) ** 2, np.abs(y) ** 2
        if normalize == "pearson":
            energy = np.abs(a) ** 2, np.abs(b) ** 2
        if normalize != "none":
            r = r / np.sqrt(np.prod([np.nansum(e) if nan == "ignore" else e.sum() for e in energy]))
        made.append(r)
    return np.array(made)


@pytest.mark.parametrize("nan", ["propagate", "ignore"])
@pytest.mark.parametrize("normalize", ["none", "coeff", "pearson"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int16", "bool"])
def test_definition(rng, dtype, normalize, nan):
    for n, m, lags in ((1, 1, 2), (2, 2, 3), (40, 40, 7), (40, 12, 45), (9, 50, 12), (300, 280, None), (3000, 3000, 5)):
        x, y = (20 + 5 * cases.reals(rng, n, "float64") for n in (n, m))
        if dtype[0] == "c":
            x, y = x * (1 + 2j), y + 3j * y[::-1]
        if dtype == "bool":
            x, y = x > 20, y > 20
        x, y = x.astype(dtype), y.astype(dtype)
        for holes in (0, 0.1):
            if holes and x.dtype.kind in "fc":
                x[rng.random(n) < holes] = np.nan
                y[rng.random(m) < holes] = np.nan
            r = fastconv.xcorr(x, y, lags, normalize=normalize, nan=nan)
            assert r.dtype == ("float32" if dtype == "float32" else "complex128" if dtype[0] == "c" else "float64")
            with np.errstate(all="ignore"):
                right = expected(x, y, max(n, m) - 1 if lags is None else lags, normalize, nan)
            np.testing.assert_array_equal(np.isnan(r), np.isnan(right), err_msg=f"{n} {m} {lags}")
            scale = 1 if normalize != "none" else np.abs(np.nan_to_num(right)).max(initial=1)
            close = 1e-6 if dtype == "float32" else 1e-11
            np.testing.assert_allclose(r, right, rtol=0, atol=close * scale, err_msg=f"{n} {m} {lags}")
            if normalize != "none":
                assert not (np.abs(r) > 1 + 1e-15).any()


def test_beside_others(rng):
    x, y = rng.standard_normal(200), rng.standard_normal(170)
    full, lags = scipy.signal.correlate(x, y), scipy.signal.correlation_lags(200, 170)
    np.testing.assert_allclose(fastconv.xcorr(x, y, 30), full[np.abs(lags) <= 30], atol=1e-12)
    np.testing.assert_allclose(fastconv.xcorr(x, y, 180)[180 - 169 : 180 + 181], full[lags <= 180], atol=1e-12)
    assert (fastconv.xcorr(x, y, 180)[: 180 - 169] == 0).all()
    np.testing.assert_allclose(fastconv.xcorr(x, x), np.correlate(x, x, "full"), atol=1e-12)
    part = fastconv.xcorr(x, y, 30, normalize="pearson")
    for lag in (-30, -1, 0, 17):
        np.testing.assert_allclose(part[lag + 30], np.corrcoef(*pairs(x, y, lag))[0, 1], atol=1e-13)
    for normalize in ("coeff", "pearson"):
        np.testing.assert_allclose(fastconv.xcorr(x, x, 0, normalize=normalize), [1], rtol=1e-14)


def test_means_that_dwarf_what_varies(rng):
    """And parts that do: the variance of a quiet stretch beside a loud one."""
    x = 1e8 + rng.standard_normal(500)
    y = np.where(np.arange(500) < 400, 1e-5, 1e5) * rng.standard_normal(500)
    r = fastconv.xcorr(x, y, 450, normalize="pearson")
    for lag in (-450, -120, -100, 0, 99, 100, 101, 130, 440):
        a, b = (v - v.mean() for v in pairs(x, y, lag))
        right = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
        np.testing.assert_allclose(r[450 + lag], right, atol=3e-8 if abs(right) else 0)


@pytest.mark.parametrize("normalize", ["coeff", "pearson"])
def test_signals_whose_squares_float64_does_not_hold(rng, normalize):
    x, y = rng.standard_normal((3, 50)), rng.standard_normal(60) + 1j
    expected = fastconv.xcorr(x, y, 9, normalize=normalize)
    for large, small in (700, -600), (-900, 0), (1000, 1000):
        made = fastconv.xcorr(np.ldexp(x, large), y * 2.0**small, 9, normalize=normalize)
        np.testing.assert_array_equal(made, expected)


def test_constant_signals(rng):
    """0 / 0: no correlation is known, whatever rounding says."""
    x = rng.standard_normal(50)
    for value in (0.0, 1.0, 0.1, 1e300, 1e-300):
        y = np.full(50, value)
        assert np.isnan(fastconv.xcorr(x, y, 9, normalize="pearson")).all()
        assert np.isnan(fastconv.xcorr(y, x, 9, normalize="pearson")).all()
    assert np.isnan(fastconv.xcorr(x, np.zeros(50), 9, normalize="coeff")).all()
    late = np.where(np.arange(50) < 40, 0.1, x)  # constant where it overlaps at the last lags
    r = fastconv.xcorr(x, late, 49, normalize="pearson")
    assert np.isnan(r[49 + 10 :]).all() and not np.isnan(r[2 : 49 + 10]).any()


def test_nan_spoils_its_pairs_only(rng):
    x, y = rng.standard_normal((2, 100))
    for bad in (np.nan, np.inf):
        for first in (True, False):
            a, b = x.copy(), y.copy()
            (a if first else b)[3] = bad
            for normalize in ("none", "pearson"):
                r, clean = (fastconv.xcorr(*v, 99, normalize=normalize) for v in ((a, b), (x, y)))
                lags = np.arange(-99, 100) if first else -np.arange(-99, 100)
                meets = (lags >= -96) & (lags <= 3)
                assert not np.isfinite(r[meets]).any()
                if normalize == "none":
                    np.testing.assert_allclose(r[~meets], clean[~meets], atol=1e-12)
                assert np.isnan(r[~meets]).sum() == (0 if normalize == "none" else 2)  # of a single pair


@pytest.mark.parametrize("normalize", ["none", "coeff", "pearson"])
def test_batches_and_axes(rng, normalize):
    x, y = rng.standard_normal((4, 1, 30)), rng.standard_normal((3, 25))
    x[0, 0, 4] = y[1, 7] = np.nan
    for nan in ("propagate", "ignore"):
        r = fastconv.xcorr(x, y, 6, normalize=normalize, nan=nan)
        assert r.shape == (4, 3, 13)
        for i in range(4):
            for j in range(3):
                one = fastconv.xcorr(x[i, 0], y[j], 6, normalize=normalize, nan=nan)
                np.testing.assert_allclose(r[i, j], one, atol=1e-12)
        across = fastconv.xcorr(x.transpose(0, 2, 1), y.T, 6, axis=1, normalize=normalize, nan=nan)
        np.testing.assert_array_equal(across, r.transpose(0, 2, 1))
    assert fastconv.xcorr(x[:0], y, 6, normalize=normalize).shape == (0, 3, 13)


def test_checked(rng):
    with fastconv.checked():
        for normalize in ("none", "coeff", "pearson"):
            fastconv.xcorr(*rng.standard_normal((2, 3, 200)), 20, normalize=normalize)


BAD = {
    "normalize": ({"normalize": "biased"}, ValueError, "normalize must be one of none, coeff, pearson; got 'biased'"),
    "nan": ({"nan": "omit"}, ValueError, "nan must be one of propagate, ignore; got 'omit'"),
    "max_lag": ({"max_lag": -1}, ValueError, "max_lag must be at least 0; got -1"),
    "max_lag of another type": ({"max_lag": 2.5}, TypeError, "max_lag must be an integer; got 2.5"),
    "axis": ({"axis": 2}, ValueError, "axis must lie from -2 to 1 .*; got 2"),
    "axis of another type": ({"axis": None}, TypeError, "axis must be an integer; got None"),
    "batch": ({"y": np.ones((3, 5))}, ValueError, r"x has shape \(2, 5\) and y \(3, 5\): .* do not broadcast"),
    "rank 0": ({"x": 3.0}, ValueError, r"x must have at least 1 dimension .*; got shape \(\)"),
    "empty": ({"y": np.ones((2, 0))}, ValueError, r"y has no elements along axis -1; got shape \(2, 0\)"),
    "dtype": ({"x": np.array(["a"])}, TypeError, "x has dtype <U1"),
    "masked": ({"x": np.ma.masked_less(np.ones(5), 0)}, TypeError, "x is a masked array"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    how, exception, message = BAD[case]
    with pytest.raises(exception, match=message):
        fastconv.xcorr(**{"x": np.ones((2, 5)), "y": np.ones((2, 5)), **how})


@pytest.mark.parametrize("normalize", ["none", "coeff", "pearson"])
@pytest.mark.parametrize(("n", "m", "lags"), [(40, 40, 7), (900, 300, 1100), (3000, 2000, None)])
def test_bits(rng, normalize, n, m, lags):
    """An element has the bits that it has by itself, however it lies, and whatever was called before."""
    x, y = rng.standard_normal((3, n)), rng.standard_normal((3, m))
    for lost in (None, (1, 5)):
        if lost:
            y[lost] = np.nan
        r = fastconv.xcorr(x, y, lags, normalize=normalize)
        apart = [np.moveaxis(np.repeat(v[..., None], 2, -1), 1, 0)[..., 0].T for v in (x[:, ::-1], y[:, ::-1])]
        cases.assert_same_bits(fastconv.xcorr(*(v[:, ::-1] for v in apart), lags, normalize=normalize), r)
        for i in (0, 2, 1, 0):
            cases.assert_same_bits(fastconv.xcorr(x[i], y[i], lags, normalize=normalize), r[i], (lost, i))


def test_the_next_call(rng):
    """One plan serves other signals, but none that is not finite."""
    x, y = rng.standard_normal((2, 5, 100))
    fastconv.clear_cache()
    for a, b in zip(x, y, strict=True):
        np.testing.assert_allclose(fastconv.xcorr(a, b), np.correlate(a, b, "full"), atol=1e-12)
    assert fastconv.cache_info().hits == 4
    y[0, 3] = np.inf
    np.testing.assert_array_equal(
        np.isfinite(fastconv.xcorr(x[0], y[0])), np.isfinite(np.correlate(x[0], y[0], "full"))
    )
