# SPDX-License-Identifier: BSD-3-Clause
"""Missing data: nan="ignore", mask= and the weight of what is there."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import reference
from fastconv.arguments import Options, correlation_arguments

RANKS = (1, 2, 3)
SHAPES = {1: (300,), 2: (40, 50), 3: (9, 12, 15)}
KERNELS = {1: (5,), 2: (4, 3), 3: (2, 3, 2)}


def holes(rng, shape, dtype="float64", share=0.3):
    x = cases.reals(rng, shape, dtype)
    x[rng.random(shape) < share] = np.nan
    return x


def corr(rank, package=fastconv):
    return getattr(package, f"corr{rank}d")


@pytest.mark.parametrize("rank", RANKS)
def test_the_formula(rng, rank):
    """Written out for valid windows."""
    x, k = holes(rng, SHAPES[rank]), cases.reals(rng, KERNELS[rank], "float64")
    y, weight = corr(rank)(x, k, nan="ignore", return_weight=True)
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape)
    over = tuple(range(-rank, 0))
    there = ~np.isnan(windows)
    np.testing.assert_allclose(weight, (np.abs(k) * there).sum(over), atol=1e-14)
    with np.errstate(all="ignore"):
        expected = np.nansum(k * windows, over) * np.abs(k).sum() / (np.abs(k) * there).sum(over)
    expected[~there.any(over)] = np.nan
    np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("boundary", cases.BOUNDARIES)
@pytest.mark.parametrize("mode", cases.MODES)
@pytest.mark.parametrize("rank", RANKS)
def test_against_the_reference(monkeypatch, rng, rank, mode, boundary):
    """In bands of every size."""
    for dtype in ("float32", "complex128"):
        x, k = holes(rng, (2, *SIZES(rank)), "float64"), cases.reals(rng, KERNELS[rank], "float32")
        x = (x + 1j * x[..., ::-1]).astype(dtype) if dtype == "complex128" else x.astype(dtype)
        for how in ({}, {"stride": 2, "dilation": 2}):
            how = {**how, "nan": "ignore", "return_weight": True}
            c = correlation_arguments(rank, x, k, Options(mode, boundary, 2, **how))
            expected, weight = corr(rank, reference)(x, k, mode, boundary, 2, **how)
            bound = (
                reference.error_bound(c) * np.where(weight > 0, np.abs(k).sum() / np.maximum(weight, 1e-9), 1) + 1e-6
            )
            for elements in (1, 300, 1 << 20):
                monkeypatch.setattr("fastconv.correlation.BAND_ELEMENTS", elements)
                y, ours = corr(rank)(x, k, mode, boundary, 2, **how)
                np.testing.assert_allclose(ours, weight, rtol=1e-5, atol=1e-6)
                np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
                assert (np.abs(np.nan_to_num(y) - np.nan_to_num(expected)) <= bound).all()


def SIZES(rank):
    return {1: (90,), 2: (12, 20), 3: (5, 8, 9)}[rank]


def test_nothing_missing_gives_the_plain_bits(isa, rng):
    for kernel in ((3, 3), (9, 9)):
        x, k = cases.reals(rng, (60, 70), "float32"), cases.reals(rng, kernel, "float32")
        for where in (("valid",), ("same", "reflect"), ("full", "wrap"), ("same", "constant", 3)):
            plain = fastconv.corr2d(x, k, *where)
            cases.assert_same_bits(fastconv.corr2d(x, k, *where, nan="ignore"), plain)
            cases.assert_same_bits(fastconv.corr2d(x, k, *where, mask=np.ones((60, 70), bool)), plain)


def test_bands_and_threads_change_nothing(monkeypatch, tiny_chunks, rng):
    x, k = holes(rng, (90, 70), "float32"), cases.reals(rng, (5, 4), "float32")
    for boundary in cases.BOUNDARIES:
        whole = fastconv.corr2d(x, k, "full", boundary, nan="ignore")
        for elements in (1, 500, 3000):
            monkeypatch.setattr("fastconv.correlation.BAND_ELEMENTS", elements)
            for threads in (1, 3):
                y = fastconv.corr2d(x, k, "full", boundary, nan="ignore", threads=threads)
                np.testing.assert_array_equal(y, whole)
        window = slice(30, 60), slice(2, 40)
        y = fastconv.corr2d(x, k, "full", boundary, nan="ignore", window=window)
        np.testing.assert_array_equal(y, whole[window])


def test_mask(rng):
    x, k = cases.reals(rng, (20, 30), "float64"), np.ones((3, 3)) / 9
    mask = rng.random((20, 30)) < 0.6
    with_nan = np.where(mask, x, np.nan)
    for mode in cases.MODES:
        expected = fastconv.corr2d(with_nan, k, mode, "edge", nan="ignore")
        np.testing.assert_array_equal(fastconv.corr2d(x, k, mode, "edge", mask=mask), expected)
    np.testing.assert_array_equal(fastconv.corr2d(with_nan, k, mask=np.array(True))[~mask[1:-1, 1:-1]], np.nan)
    columns = np.arange(30) % 2 == 0  # broadcasts
    expected = fastconv.corr2d(np.where(columns, x, np.nan), k, nan="ignore")
    np.testing.assert_array_equal(fastconv.corr2d(x, k, mask=columns), expected)
    moved = fastconv.corr2d(x[None].repeat(2, 0), k, axes=(1, 2), mask=mask)
    np.testing.assert_array_equal(moved[1], fastconv.corr2d(x, k, mask=mask))


def test_integers_become_floats():
    y = fastconv.corr1d(np.array([1, 2, 4]), np.array([1, 1]), mask=[True, False, True])
    assert (y.dtype, y.tolist()) == (np.float64, [2, 8])


def test_a_missing_fill():
    y = fastconv.corr1d([1.0, 2.0], [1.0, 1.0], "full", fillvalue=np.nan, nan="ignore")
    assert y.tolist() == [2, 3, 4]
    assert np.isnan(fastconv.corr1d([np.nan], [1.0, 1.0], nan="ignore", mode="same")).tolist() == [False]


def test_out_and_dtype(rng):
    x, k = holes(rng, (20, 30)), np.ones((3, 3))
    out = np.zeros((18, 28), np.float32)
    y, weight = fastconv.corr2d(x, k, dtype=np.float32, out=out, nan="ignore", return_weight=True)
    assert y is out and weight.shape == out.shape
    np.testing.assert_allclose(out, fastconv.corr2d(x, k, nan="ignore"), rtol=1e-6)


def test_checked(rng):
    with fastconv.checked():
        fastconv.corr2d(holes(rng, (20, 30), "float32", 0.05), np.ones((5, 5), "float32"), "same", nan="ignore")


BAD = {
    "nan": ({"nan": "omit"}, ValueError, "nan must be one of propagate, ignore; got 'omit'"),
    "mask of numbers": ({"mask": np.ones((5, 6))}, TypeError, "mask must be an array of bool.*got dtype float64"),
    "mask of another shape": (
        {"mask": np.ones((5, 5), bool)},
        ValueError,
        r"mask has shape \(5, 5\), .*of x, \(5, 6\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    how, exception, message = BAD[case]
    for package in (fastconv, reference):
        with pytest.raises(exception, match=message):
            package.corr2d(np.ones((5, 6)), np.ones((2, 2)), **how)
