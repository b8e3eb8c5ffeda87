# SPDX-License-Identifier: BSD-3-Clause
"""Boxes by running sums: exact for integers, no drift and no smear for floats, the same bits however cut."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import methods, reference
from fastconv.arguments.correlation import Options, correlation_arguments

SHAPES = [
    ((20, 30), (3, 3)),
    ((2, 100, 300), (5, 70)),
    ((150, 600), (31, 31)),
    ((50, 40), (100, 90)),
    ((40, 90), (1, 20)),
    ((40, 90), (20, 1)),
    ((1000,), (30,)),
    ((2, 30, 40), (1, 7, 9)),
]
shapes = pytest.mark.parametrize(("shape", "kernel"), SHAPES, ids=str)


def corr(k):
    return getattr(fastconv, f"corr{k.ndim}d")


def modes(shape, kernel):
    fits = all(m <= n for n, m in zip(shape[-len(kernel) :], kernel, strict=True))
    return cases.MODES if fits else cases.MODES[1:]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32", "float64"])
@shapes
def test_sums_of_integers_are_exact(isa, rng, shape, kernel, dtype):
    x, k = cases.integers(rng, shape, dtype), np.full(kernel, -3 if np.dtype(dtype).kind != "u" else 3, dtype)
    for mode in modes(shape, kernel):
        y = corr(k)(x, k, mode, "symmetric", method="box")
        cases.assert_same_bits(y + 0, corr(k)(x, k, mode, "symmetric", method="direct") + 0, mode)


@pytest.mark.parametrize("dtype", cases.FLOATS)
@shapes
def test_within_the_bound(isa, rng, shape, kernel, dtype):
    """However large what lies beside the window."""
    x, k = cases.reals(rng, shape, dtype), np.full(kernel, 0.37, dtype)
    x[..., : shape[-1] // 3] *= 1e6
    for mode in modes(shape, kernel):
        c = correlation_arguments(k.ndim, x, k, Options(mode, "edge"))
        y = corr(k)(x, k, mode, "edge", method="box")
        expected = corr(k)(x.astype(float), k.astype(float), mode, "edge", method="direct")
        magnitude = corr(k)(np.abs(x.astype(float)), k.astype(float), mode, "edge", method="direct")
        u = np.finfo(dtype).eps / 2
        additions = sum(kernel) + 8 + (k.size if dtype == "float64" else 0)  # what is expected has its own error
        assert (np.abs(y - expected) <= additions * u * magnitude + 1e-300).all(), (c.shape, mode)


@shapes
def test_bits(isa, tiny_chunks, rng, shape, kernel):
    x, k = cases.reals(rng, shape, "float32"), np.full(kernel, 0.1, "float32")
    whole = corr(k)(x, k, "full", "wrap", method="box", threads=1)
    for threads in (2, 5):
        cases.assert_same_bits(corr(k)(x, k, "full", "wrap", method="box", threads=threads), whole)
    for _ in range(8):
        window = tuple(slice(*np.sort(rng.integers(0, n + 1, 2)).tolist()) for n in whole.shape[whole.ndim - k.ndim :])
        y = corr(k)(x, k, "full", "wrap", method="box", window=window[0] if k.ndim == 1 else window)
        cases.assert_same_bits(y, whole[(..., *window)], window)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_pixels_have_the_bits_of_planes(isa, rng, dtype):
    """Of channels side by side, in and beyond whole vectors of rows and columns, and whatever lies beyond the edges."""
    for channels, shape, kernel in (
        (2, (40, 50), (3, 5)),
        (3, (35, 311), (16, 15)),
        (4, (50, 9), (4, 9)),
        (5, (7, 3), (5, 3)),
    ):
        x, k = cases.reals(rng, (*shape, channels), dtype), np.full(kernel, 0.37, dtype)
        x[3, 2, 1] = np.nan if channels == 4 else 3e30
        for mode, pad, fill in (
            ("valid", "wrap", 0),
            ("same", "reflect", 0),
            ("full", "constant", 0),
            ("same", "constant", 2),
        ):
            y = fastconv.corr2d(x, k, mode, pad, fill, axes=(0, 1), method="box")
            for c in range(channels):
                plane = fastconv.corr2d(x[..., c].copy(), k, mode, pad, fill, method="box")
                cases.assert_same_bits(y[..., c], plane, (channels, mode, pad))
        window = slice(2, 6), slice(1, 3)
        part = fastconv.corr2d(x, k, "same", "edge", axes=(0, 1), method="box", window=window)
        cases.assert_same_bits(part, fastconv.corr2d(x, k, "same", "edge", axes=(0, 1), method="box")[window])


def test_what_a_former_call_has_left_in_scratch_is_no_doubt(isa, rng):
    """Vectors have more rows than there are at the end of a picture."""
    k, how = np.full((5, 40), 0.37, np.float32), {"axes": (0, 1), "method": "box", "threads": 1}
    for rows in range(2, 12):
        x, y = cases.reals(rng, (rows + 4, 100, 3), np.float32), np.empty((rows, 61, 3), np.float32)
        for given in (x, x, np.full_like(x, np.nan), np.full_like(x, np.nan)):
            fastconv.corr2d(given, k, **how, out=y)
        before = fastconv.cache_info().hits
        fastconv.corr2d(x, k, **how, out=y)
        assert fastconv.cache_info().hits == before + 1, rows  # which those whose sums are in doubt are not


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_stay_in_their_windows(isa, rng, value):
    x, k = cases.reals(rng, (200, 300), "float32"), np.full((15, 31), 0.5, "float32")
    x[60, 70] = x[199, 0] = value
    for mode in cases.MODES:
        y, expected = (fastconv.corr2d(x, k, mode, method=m) for m in ("box", "direct"))
        np.testing.assert_array_equal(y[~np.isfinite(y)], expected[~np.isfinite(expected)])
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))


def test_chosen_where_it_is_faster():
    def method(kernel, of="float32", **how):
        x, k = np.zeros((500, 500), of), np.full(kernel, 2, of)
        return methods.choose(correlation_arguments(2, x, k, Options(**how)), "auto").method

    assert (method((13, 13)), method((9, 9)), method((3, 3))) == ("box", "separable", "direct")
    assert (method((5, 5), "int16"), method((3, 3), "int16")) == ("box", "direct")  # sums of integers take longer
    assert method((5, 5), "int16", dtype=np.dtype("int16")) == "separable"  # unless they are made in floats
    assert method((61, 61), stride=2) == "separable"
    with fastconv.checked():
        fastconv.corr2d(np.random.default_rng(0).random((90, 95)), np.full((40, 40), 0.1), "same")
    assert fastconv.explain((500, 500), np.ones((61, 61))).why == "all taps are the same"


BAD = {
    "other taps": (np.arange(9.0).reshape(3, 3), {}, "the taps are not all the same finite number"),
    "NaN taps": (np.full((3, 3), np.nan), {}, "the taps are not all the same finite number"),
    "stride": (np.ones((3, 3)), {"stride": 2}, "stride and dilation must be 1"),
    "three axes": (np.ones((2, 3, 3)), {}, "it takes kernels of one or two axes"),
    "complex": (np.full((3, 3), 1j), {}, "it is complex"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    k, how, message = BAD[case]
    with pytest.raises(ValueError, match=f"method 'box' is not possible: {message}"):
        corr(k)(np.ones((9,) * k.ndim), k, method="box", **how)
    assert reference.corr2d(np.ones((3, 3)), np.ones((3, 3))) == 9


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_running_sums_beyond_the_largest_number(isa, dtype):
    """Means of numbers near the largest one are as the direct method makes them; what is not finite stays so."""
    largest = np.finfo(dtype).max
    x = np.full((60, 70), largest / 4, dtype)
    x[:20] = 1
    x[50, 60] = np.inf
    k = np.full((31, 33), 1 / 1023, dtype)
    with fastconv.checked():
        y, expected = (fastconv.corr2d(x, k, "same", "edge", method=m) for m in ("box", "direct"))
    np.testing.assert_allclose(y, expected, rtol=2 * k.size * np.finfo(dtype).eps)
    assert np.isfinite(y).any() and np.isinf(y).any()
    window = fastconv.corr2d(x, k, "same", "edge", method="box", window=(slice(3, 40), slice(30, 50)))
    cases.assert_same_bits(window, y[3:40, 30:50])


def test_lines_are_not_summed_one_by_one(rng):
    k = np.ones(1001)
    assert fastconv.explain((10**5,), k).method == fastconv.explain((64, 10**5), k).method == "fft"
    x = rng.integers(0, 255, (20, 3000)).astype(np.uint8)  # exact by any method: the batch may choose
    y = fastconv.corr1d(x, np.ones(1001, int))
    cases.assert_same_bits(y[3], fastconv.corr1d(x[3], np.ones(1001, int)))
    cases.assert_same_bits(y, fastconv.corr1d(x, np.ones(1001, int), method="direct"))
