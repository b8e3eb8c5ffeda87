# SPDX-License-Identifier: BSD-3-Clause
"""Missing data: nan="ignore", mask= and the weight of what is there."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import missing, reference
from fastconv.arguments.correlation import Options, correlation_arguments

RANKS = (1, 2, 3)
SHAPES = {1: (300,), 2: (40, 50), 3: (9, 12, 15)}
KERNELS = {1: (5,), 2: (4, 3), 3: (2, 3, 2)}


def holes(rng, shape, dtype="float64", share=0.3):
    x = cases.reals(rng, shape, dtype)
    x[rng.random(shape) < share] = np.nan
    return x


def corr(rank, package=fastconv):
    return getattr(package, f"corr{rank}d")


@pytest.mark.skipif(missing._core is None, reason="NumPy reads any array")
def test_what_is_misaligned_is_copied(monkeypatch, rng):
    x, seen = holes(rng, (7, 9)), []
    odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    odd[...] = x
    present = missing._core.present
    monkeypatch.setattr(missing._core, "present", lambda x, *more: seen.append(x.flags.aligned) or present(x, *more))
    results = [fastconv.corr2d(a, np.ones((2, 3)), nan="ignore") for a in (x, odd)]
    cases.assert_same_bits(*results)
    assert seen == [True, True]


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
            bound = reference.error_bound(c)
            for elements in (1, 300, 1 << 20):
                monkeypatch.setattr("fastconv.costs.MISSING_BAND", elements)
                y, ours = corr(rank)(x, k, mode, boundary, 2, **how)
                np.testing.assert_allclose(ours, weight, rtol=1e-5, atol=1e-6)
                np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
                assert (np.abs(np.nan_to_num(y) - np.nan_to_num(expected)) <= bound).all()


def SIZES(rank):
    return {1: (90,), 2: (12, 20), 3: (5, 8, 9)}[rank]


# (x, k, method): every way to sum, with windows of which nearly nothing is there
turned = np.add.outer(np.arange(-6, 7) / 2, 1j * np.arange(-5, 6)) * np.exp(0.3j)
HILL = np.exp(-(turned.real**2) - 3 * turned.imag**2)  # no outer product; 1e-30 in its corners
SLOPE = np.exp(-(np.linspace(-4, 4, 15) ** 2))
WAYS = {
    "transformed": ((2, 60, 70), HILL, "fft"),
    "transformed as a whole": ((50, 40), HILL, "whole"),
    "signal": ((3, 500), np.exp(-(np.linspace(-5, 5, 101) ** 2)), "fft"),
    "volume": ((12, 20, 23), np.multiply.outer(SLOPE[::3], HILL[4:9, 3:8]), "fft"),
    "separable": ((50, 60), np.outer(SLOPE, -SLOPE[::2]), "separable"),
    "separable volume": ((9, 20, 23), np.multiply.outer(SLOPE[::5], np.outer(SLOPE[::3], SLOPE[::2])), "separable"),
    "two terms": ((50, 60), np.outer(SLOPE, SLOPE) - np.outer(SLOPE**4, SLOPE**4), "separable"),
    "nearly separable": ((50, 60), np.outer(SLOPE, SLOPE) + 1e-16 * np.eye(15), "separable"),
    "box": ((50, 60), np.full((9, 12), -0.1), "box"),
    "direct": ((40, 50), HILL[::2, ::2], "direct"),
    "im2col": ((40, 50), HILL[::2, ::2], "im2col"),
}


def whole_transforms(monkeypatch):
    """No tile is large enough."""
    plan = fastconv.methods.plan
    monkeypatch.setattr(
        "fastconv.methods.plan",
        lambda c, choice, *how, **more: (1, 1, np.inf) if choice.method == "fft" else plan(c, choice, *how, **more),
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("way", WAYS)
def test_noise_decides_nothing(monkeypatch, rng, way, dtype):
    """What is NaN, and the weight of a whole window, are exact; the rest is within the bound, window by window."""
    shape, k, method = WAYS[way]
    if method == "whole":
        whole_transforms(monkeypatch)
        method = "fft"
    if (dtype[0] == "c" and method in ("separable", "box")) or (dtype == "float16" and method == "separable"):
        return  # of these kernels they take none
    k = k.astype(dtype) * (1 - 2j if dtype[0] == "c" else 1)
    x = 5 + cases.reals(rng, shape, "float64")
    sizes = shape[-k.ndim :]
    hole = (..., *(slice(n // 5, n - n // 4) for n in sizes))
    x[hole] = np.nan  # larger than the kernel, or nearly
    x[rng.random(shape) < 0.02] = np.nan
    lonely = np.where(rng.random(shape) < 0.002, x, np.nan)
    for data in (x.astype(dtype), lonely.astype(dtype), np.full(shape, np.nan, dtype)):
        for where in (("same", "edge"), ("full", "constant", 2)):
            how = {"nan": "ignore", "return_weight": True}
            c = correlation_arguments(k.ndim, data, k, Options(*where, **how))
            expected, right = corr(k.ndim, reference)(data, k, *where, **how)
            y, weight = corr(k.ndim)(data, k, *where, method=method, **how)
            count = corr(k.ndim)(~np.isnan(data), (k != 0).astype(int), where[0], where[1], int(where[0] == "full"))
            np.testing.assert_array_equal(np.isnan(y), count == 0)
            np.testing.assert_array_equal(weight == 0, count == 0)
            assert len(np.unique(weight[count == np.count_nonzero(k)])) <= 1
            choice = fastconv.methods.choose(c, method)
            bound = reference.error_bound(c, choice.factors, transformed=choice.points)
            assert (np.abs(y - expected)[count > 0] <= bound[count > 0]).all()
            ample = right > 2 * reference.FAINT * np.abs(k).sum()
            close = 1e-10 if dtype == "float64" else 0.05
            assert (bound[ample] <= close * np.abs(expected[ample])).all()
        with fastconv.checked():
            corr(k.ndim)(data, k, "same", "edge", method=method, **how)


@pytest.mark.parametrize("way", WAYS)
def test_windows_and_batches_have_the_bits_of_the_whole(monkeypatch, rng, way):
    shape, k, method = WAYS[way]
    if method == "whole":
        whole_transforms(monkeypatch)
        method = "fft"
    shape = (3, *shape[-k.ndim :])
    x, k = 5 + holes(rng, shape, "float32", 0.1), k.astype("float32")
    x[(0, *(slice(n // 5, n - n // 4) for n in shape[1:]))] = np.nan
    x[1] = 1  # nothing is missing
    monkeypatch.setattr("fastconv.costs.MISSING_BAND", 3000)

    def run(data, **how):
        return corr(k.ndim)(data, k, "same", "wrap", nan="ignore", method=method, return_weight=True, **how)

    whole = run(x)
    plain = corr(k.ndim)(np.nan_to_num(x), k, "same", "wrap", method=method)
    np.testing.assert_array_equal(whole[0][1], plain[1])
    for i in range(3 if k.ndim > 1 else 0):
        for one, all_ in zip(run(x[i]), whole, strict=True):
            np.testing.assert_array_equal(one, all_[i])
    for _ in range(6):
        window = tuple(
            slice(int(a), int(b), int(rng.integers(1, 4)))
            for a, b in (np.sort(rng.integers(0, n + 1, 2)) for n in shape[1:])
        )
        for part, all_ in zip(run(x, window=window if k.ndim > 1 else window[0]), whole, strict=True):
            np.testing.assert_array_equal(part, all_[(slice(None), *window)])


def test_a_hole_larger_than_a_turned_gaussian():
    """A kernel that is transformed: -196 to 40 where there were only 5 and NaN."""
    i, j = np.mgrid[-20:21, -20:21]
    along, across = i * np.cos(0.5) + j * np.sin(0.5), j * np.cos(0.5) - i * np.sin(0.5)
    k = np.exp(-((along / 3) ** 2) - (across / 6) ** 2)
    k /= k.sum()
    image = np.full((300, 300), 5.0)
    image[100:200, 100:200] = np.nan
    for dtype, close in (("float32", 1e-4), ("float64", 1e-12)):
        x, taps = image.astype(dtype), k.astype(dtype)
        assert fastconv.explain(x.shape, taps, "same", "edge", dtype=dtype).method == "fft"
        for y in (
            fastconv.corr2d(x, taps, "same", "edge", nan="ignore"),
            fastconv.corr2d(np.nan_to_num(x), taps, "same", "edge", mask=~np.isnan(x)),
        ):
            there = ~np.isnan(y)
            assert np.abs(y[there] - 5).max() < close
            assert there.sum() == 90000 - 60**2


def test_weights_are_as_wide_as_the_sums():
    """They were kept in float16 with its kernels, and in float32 with complex64 ones."""
    x, k = np.ones(3000), np.full(2500, 40, "f2")
    y, weight = fastconv.corr1d(x.astype("f2"), k, nan="ignore", dtype="i8", return_weight=True)
    assert (y == 100_000).all() and (weight == 100_000).all()
    k = np.array([1 + 1e-4j, 0.1]).astype("c8")
    y, weight = fastconv.corr1d(np.ones(4), k, nan="ignore", dtype="c16", return_weight=True)
    exact = np.abs(k.astype("c16")).sum()
    assert weight.dtype == "f8" and abs(weight[0] - exact) < 1e-15
    y, weight = fastconv.corr1d(np.ones(3), np.int8([-128, -128]), nan="ignore", return_weight=True)
    assert (y == -256).all() and (weight == 256).all()


def test_weights_of_the_smallest_taps():
    """The weight of a whole window divided by what is there may be too large for any float."""
    k = np.float32([1, 1e-39])
    y = fastconv.corr1d(np.float32([np.nan, 5, 5]), k, nan="ignore")
    np.testing.assert_allclose(y, 5, rtol=1e-5)


def test_dilation_costs_no_memory():
    for how in ({"nan": "ignore"}, {"mask": np.True_}):
        y = fastconv.corr1d([1.0, 2.0], [1.0, 1.0, 1.0], "same", dilation=2**20, **how)
        assert y.tolist() == [1, 2]


def test_infinities_stay_in_their_parts():
    y = fastconv.corr1d(np.array([complex(np.inf, 1), 1, complex(np.nan, 0)]), [1.0, 1.0], nan="ignore")
    assert (y.real.tolist(), y.imag.tolist()) == ([np.inf, 2], [1, 0])


def test_nothing_missing_gives_the_plain_bits(isa, rng):
    for kernel in ((3, 3), (9, 9), (25, 25)):
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
            monkeypatch.setattr("fastconv.costs.MISSING_BAND", elements)
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
    pixels = fastconv.corr2d(x[..., None].repeat(2, 2), k, axes=(0, 1), mask=mask[..., None])
    np.testing.assert_array_equal(pixels[..., 1], fastconv.corr2d(x, k, mask=mask))


def test_weights_that_underflow_in_transforms(isa, rng):
    """They are zero where something counts: made up directly, they are none."""
    k = np.full((1, 4, 1), np.finfo(np.float32).smallest_subnormal, np.float32)
    for scale in (1e-3, 1, 1e30):
        for _ in range(20):
            x = (rng.random((6, 3, 12)) * scale).astype("f4")
            x[rng.random(x.shape) < 0.2] = np.nan
            y = fastconv.convolve3d(x, k, "full", "reflect", nan="ignore", method="fft")
            expected = reference.convolve3d(x, k, "full", "reflect", nan="ignore")
            assert (np.isnan(y) == np.isnan(expected)).all()


def test_a_kernel_of_zeros_has_no_weight():
    for x in ([1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [1, 2, 3]):
        y, weight = fastconv.corr1d(np.array(x), np.zeros(2), nan="ignore", return_weight=True)
        assert np.isnan(y).all() and (weight == 0).all()


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
