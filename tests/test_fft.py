# SPDX-License-Identifier: BSD-3-Clause
"""Correlation by transforms: within its bound, the same bits however cut, non-finite values in their windows."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import methods, reference
from fastconv.arguments.correlation import Options, correlation_arguments

floats = pytest.mark.parametrize("dtype", cases.FLOATS)
SHAPES = [
    ((200,), (17,)),
    ((3, 5000), (300,)),
    ((70000,), (2047,)),
    ((50, 60), (7, 7)),
    ((90, 300), (3, 40)),
    ((2, 130, 200), (40, 31)),
    ((20, 30), (45, 50)),
    ((3, 40, 50), (1, 11, 12)),
    ((20, 30, 40), (5, 6, 7)),
    ((2, 9, 50, 30), (3, 1, 5)),
    ((40, 4, 9), (33, 2, 1)),
]


def corr(k):
    return getattr(fastconv, f"corr{k.ndim}d")


@floats
@pytest.mark.parametrize(("shape", "kernel"), SHAPES, ids=str)
def test_within_the_bound(isa, rng, shape, kernel, dtype):
    x, k = cases.reals(rng, shape, dtype), cases.reals(rng, kernel, dtype)
    for mode in cases.MODES:
        if mode == "valid" and any(m > n for m, n in zip(kernel, shape[-len(kernel) :], strict=True)):
            continue
        c = correlation_arguments(len(kernel), x, k, Options(mode, "symmetric"))
        y = corr(k)(x, k, mode, "symmetric", method="fft")
        error = np.abs(y.astype(float) - corr(k)(x.astype(float), k.astype(float), mode, "symmetric", method="direct"))
        bound = (
            reference.error_bound(c, transformed=methods.TILE_POINTS)
            if x.size < 5000
            else 1e-5
            if dtype == "float32"
            else 1e-13
        )
        assert (error <= bound * (1 if x.size < 5000 else np.abs(y).max())).all()
        assert y.dtype == dtype


def test_checked(rng):
    x, k = cases.reals(rng, (60, 70), "float32"), cases.reals(rng, (20, 20), "float32")
    with fastconv.checked():
        fastconv.corr2d(x, k, "same", method="fft")


@pytest.mark.parametrize(
    ("shape", "kernel", "method"),
    [
        ((4, 5104), (255,), "fft"),
        ((2, 3, 120), (9,), "fft"),
        ((3, 2090), (1104,), "auto"),
        ((40, 1000), (128,), "auto"),
        ((5, 70, 60), (20, 9), "fft"),
        ((30, 90, 40), (13, 12), "auto"),
    ],
)
def test_batch(rng, shape, kernel, method):
    """An element has the bits that it has by itself, whatever lies beside it, and it is computed by the same method."""
    x, k = cases.reals(rng, shape, "float32"), cases.reals(rng, kernel, "float32")
    for taps in (k, np.broadcast_to(k, (*shape[: -k.ndim], *kernel)).copy()):
        if taps is k or shape[0] < 6:
            y = corr(k)(x, taps, "same", "edge", method=method)
            for at in np.ndindex(shape[: -k.ndim]):
                cases.assert_same_bits(y[at], corr(k)(x[at], k, "same", "edge", method=method), at)


@pytest.mark.parametrize(("shape", "kernel"), SHAPES, ids=str)
def test_bits(isa, tiny_chunks, rng, shape, kernel):
    """Threads, layout and windows change nothing: tiles are those of the whole result."""
    x, k = cases.reals(rng, shape, "float32"), cases.reals(rng, kernel, "float32")
    whole = corr(k)(x, k, "full", "edge", method="fft", threads=1)
    for threads in (2, 3, 7):
        cases.assert_same_bits(corr(k)(x, k, "full", "edge", method="fft", threads=threads), whole, threads)
    out = np.zeros(whole.shape[::-1], "float32").T
    cases.assert_same_bits(corr(k)(np.asfortranarray(x), k, "full", "edge", method="fft", out=out), whole)
    for value in (None, np.inf):  # which not every axis of a transform spreads
        if value is not None:
            x.flat[x.size // 2] = value
            whole = corr(k)(x, k, "full", "edge", method="fft")
        for _ in range(8):
            sizes = whole.shape[whole.ndim - k.ndim :]
            window = tuple(slice(*np.sort(rng.integers(0, n + 1, 2)).tolist()) for n in sizes)
            y = corr(k)(x, k, "full", "edge", method="fft", window=window[0] if k.ndim == 1 else window)
            cases.assert_same_bits(y, whole[(..., *window)], window)


@floats
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_stay_in_their_windows(isa, rng, value, dtype):
    x, k = cases.reals(rng, (200, 300), dtype), cases.reals(rng, (15, 11), dtype)
    for at in ((0, 0), (60, 70), (199, 299), (100, 150)):
        x[at] = value
    for mode in cases.MODES:
        y, expected = (fastconv.corr2d(x, k, mode, method=m) for m in ("fft", "direct"))
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        np.testing.assert_array_equal(y[~np.isfinite(y)], expected[~np.isfinite(y)])
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


def test_large_values_do_not_overflow_in_between(rng):
    """A transform sums the whole tile; where that is too much the direct method steps in."""
    x, k = np.full((100, 100), 3e36, "float32"), np.full((12, 12), 0.1, "float32")
    np.testing.assert_allclose(fastconv.corr2d(x, k, method="fft"), 3e36 * 14.4, rtol=1e-5)


def test_small_integers_and_other_dtypes(rng):
    x = rng.integers(0, 255, (120, 130), dtype=np.uint8)
    k = cases.reals(rng, (20, 20), "float32")
    y = fastconv.corr2d(x, k, "same", "reflect", method="fft")
    cases.assert_same_bits(y, fastconv.corr2d(x.astype("f4"), k, "same", "reflect", method="fft"))
    z = (x + 1j * x.T[:120, :1]).astype("complex64")
    np.testing.assert_allclose(
        fastconv.corr2d(z, k * 1j, method="fft"), fastconv.corr2d(z, k * 1j, method="direct"), rtol=0, atol=0.1
    )


def test_chosen_where_it_is_faster():
    def method(x, k, **how):
        c = correlation_arguments(len(k), np.zeros(x, "float32"), np.ones(k, "float32"), Options(**how))
        return methods.choose(c._replace(k=np.random.default_rng(0).random(k, np.float32)), "auto").method

    assert method((1080, 1920), (63, 63)) == "fft"
    assert method((1080, 1920), (7, 7)) == "direct"
    assert method((10**6,), (2047,)) == "fft"
    assert method((10**6,), (31,)) == "direct"
    assert method((1080, 1920), (63, 63), stride=2) == "direct"
    assert method((70, 70), (63, 63)) == "direct"
    assert method((128, 128, 128), (9, 9, 9)) == "fft"
    assert method((128, 128, 128), (5, 5, 5)) == "direct"
    assert fastconv.explain((1080, 1920), (63, 63)).why == "3969 taps are many"


BAD = {
    "integers": ({"dtype": "int64"}, ValueError, "method 'fft' is not possible: integers are summed exactly"),
    "stride": ({"how": {"stride": 2}}, ValueError, "method 'fft' is not possible: stride and dilation must be 1"),
    "dilation": ({"how": {"dilation": 2}}, ValueError, "'fft' is not possible: stride and dilation"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    what, exception, message = BAD[case]
    k = np.full((3, 3), 2**40 if "dtype" in what else 1, what.get("dtype", "float32"))
    with pytest.raises(exception, match=message):
        corr(k)(np.ones((9,) * k.ndim, k.dtype), k, "full", method="fft", **what.get("how", {}))
