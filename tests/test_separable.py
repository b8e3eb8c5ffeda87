# SPDX-License-Identifier: BSD-3-Clause
"""Kernels taken apart into factors: found where they exist, within the bound, the same bits however cut."""

from __future__ import annotations

import functools
import math
from itertools import product

import cases
import numpy as np
import pytest
import scipy.signal
from conftest import only_deep

import fastconv
import fastconv.signal
from fastconv import kernels, methods, reference
from fastconv.arguments.correlation import Options, correlation_arguments

x31 = np.linspace(-1, 1, 31)
HILL = np.exp(-4 * x31**2)
RANK_ONE = {
    "gaussian": np.outer(HILL, HILL) / np.outer(HILL, HILL).sum(),
    "box": np.full((11, 13), 1 / 143),
    "signed": np.outer(x31, HILL),
    "with zeros": np.outer([0, 1, 0, -2, 0, 3, 0, 0, 1, 1, 1, 1], np.arange(12) % 3),
    "rank 3": np.multiply.outer(np.outer(HILL[::4], HILL[::4]), -HILL[::4]),
    "tiny": 1e-30 * np.outer(HILL, HILL),
}
RANK_TWO = {
    "laplacian of gaussian": np.add.outer(4 * x31**2, 4 * x31**2 - 1) * np.outer(HILL, HILL),
    "difference of gaussians": np.outer(HILL, HILL) - np.outer(HILL**4, HILL**4),
}
FULL_RANK = {
    "disc": (np.add.outer(x31**2, x31**2) < 0.8).astype(float),
    "nearly": RANK_ONE["gaussian"] * (1 + 1e-4 * np.cos(np.add.outer(9 * x31, 3 * x31) ** 2)),
    "identity": np.eye(20),
    "zero": np.zeros((12, 12)),
    "not finite": np.full((12, 12), np.inf),
}


def choice(k, method="auto", dtype="float32", **how):
    x = np.zeros((64,) * k.ndim, dtype)
    return methods.choose(correlation_arguments(k.ndim, x, k.astype(dtype), Options(**how)), method)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_taps_of_few_bits_are_not_taken_for_rounding(rng, dtype):
    """Any kernel of the smallest numbers there are was taken for an outer product, and its sums were anything."""
    least = np.finfo(dtype).smallest_subnormal
    whole = rng.integers(0, 4, (15, 17)).astype(dtype)
    assert choice(whole * least, dtype=dtype).method != "separable"
    assert choice(np.outer(whole[0], whole[1]) * least, dtype=dtype).method == "separable"
    x = np.ones((20, 20), dtype)
    assert (fastconv.corr2d(x, whole * least) == whole.sum() * least).all()


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_what_is_found(dtype):
    for terms, found in ((1, RANK_ONE), (2, RANK_TWO)):
        for name, k in found.items():
            assert terms == 1 or choice(k, dtype=dtype).method != "separable", name
            chosen = choice(k, "auto" if terms == 1 else "separable", dtype=dtype)
            assert (chosen.method, [f.shape for f in chosen.factors]) == (
                "separable",
                [(terms, n) for n in k.shape],
            ), name
    for name, k in FULL_RANK.items():
        assert choice(k, dtype=dtype).method in ("direct", "fft"), name
    for size in (9, 15, 31):
        assert choice(kernels.gaussian(size, dtype=dtype), dtype=dtype).method == "separable"


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_plain_calls_choose_alike(rng, dtype):
    """Calls whose kernels look alike have each the method that suits its own taps."""
    x = rng.standard_normal((60, 181)).astype(dtype)
    few = 0
    for h, w in ((7, 7), (7, 13), (9, 9), (12, 11), (2, 30), (1, 160), (20, 20)):
        for exponent in (-320, -308, -45, -38, -9, 0, 20):
            outer = np.multiply.outer(rng.standard_normal(h), rng.standard_normal(w) * 10.0 ** max(exponent, -300))
            outer *= 10.0 ** min(exponent + 300, 0)
            nearly = outer * (1 + rng.standard_normal((h, w)) * rng.integers(0, 9) * np.finfo(dtype).eps)
            for k in (outer, nearly, rng.standard_normal((h, w)), outer * 0, np.where(outer > 0, np.nan, outer)):
                k = k.astype(dtype)
                method = fastconv.explain(x.shape, k, "same").method
                few += method == "separable"
                plain, asked = fastconv.corr2d(x, k, "same"), fastconv.corr2d(x, k, "same", method=method)
                cases.assert_same_bits(plain, asked, (h, w, exponent, method))
    assert few > 20


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", *only_deep("float64", "int32", "int64")])
def test_strides(isa, rng, rank, dtype):
    """The bits of every so many outputs, of whatever boundary, and of windows that leave some out."""
    corr, made = getattr(fastconv, f"corr{rank}d"), 0
    while made < 24:
        x = rng.integers(-20, 21, rng.integers(1, 44 if rank == 2 else 13, rank))
        factors = [rng.integers(1, 4, n) * rng.choice([-1, 1], n) for n in rng.integers(1, 8, rank)]
        k = functools.reduce(np.multiply.outer, factors)
        stride, dilation = (tuple(rng.integers(1, most, rank).tolist()) for most in (5, 3))
        how = {"boundary": str(rng.choice(["constant", "edge", "symmetric", "wrap"])), "dilation": dilation}
        how |= {"mode": str(rng.choice(["same", "full"])), "method": "separable"}
        every = tuple(slice(None, None, s) for s in stride)
        x, k = x.astype(dtype), k.astype(dtype)
        exact = corr(x, k, **how | {"method": "numpy"})[every]
        np.testing.assert_array_equal(corr(x, k, **how, stride=stride), exact, f"{x.shape} {k.shape} {stride} {how}")
        if np.dtype(dtype).kind == "f":
            x, k = rng.standard_normal(x.shape).astype(dtype), k * np.dtype(dtype).type(0.37)
        dense = corr(x, k, **how)
        cases.assert_same_bits(corr(x, k, **how, stride=stride), dense[every])
        cases.assert_same_bits(corr(x, k, **how, window=every), dense[every])
        made += 1


def test_strides_of_pictures(isa, rng):
    """Blocks of outputs, chunks, batches, colours, bytes; and which way is chosen."""
    g = kernels.gaussian(11)
    x = rng.random((2, 70, 1100), np.float32)
    assert choice(g, stride=(2, 2)).method == "separable"
    assert choice(kernels.gaussian(3), stride=(2, 2)).method == "separable"
    assert choice(kernels.gaussian(5), stride=(1, 2)).method == "direct"
    for stride in (2, 1), (1, 2), (3, 4):
        every = (..., slice(None, None, stride[0]), slice(None, None, stride[1]))
        for threads in 1, 3:
            y = fastconv.corr2d(x, g, "same", "reflect", stride=stride, threads=threads, method="separable")
            cases.assert_same_bits(y, fastconv.corr2d(x, g, "same", "reflect")[every])
    two = np.outer(HILL[::3], HILL[::3]) - np.outer(HILL[::3] ** 4, HILL[::3] ** 4)
    y = fastconv.corr2d(x, two.astype("f4"), "same", "edge", stride=(3, 2), method="separable")
    cases.assert_same_bits(y, fastconv.corr2d(x, two.astype("f4"), "same", "edge", method="separable")[:, ::3, ::2])
    colours = np.moveaxis(rng.random((3, 40, 50), np.float32), 0, -1).copy()
    y = fastconv.corr2d(colours, g, "same", "wrap", axes=(0, 1), stride=2)
    for c in range(3):
        cases.assert_same_bits(y[..., c], fastconv.corr2d(colours[..., c].copy(), g, "same", "wrap")[::2, ::2])
    pixels = rng.integers(0, 256, (50, 90), np.uint8)
    how = {"dtype": np.uint8, "overflow": "saturate"}
    y = fastconv.corr2d(pixels, g, "same", "edge", stride=(3, 2), **how)
    off = y.astype(int) - np.rint(fastconv.corr2d(pixels, g.astype("f8"), "same", "edge")[::3, ::2])
    assert np.abs(off).max() <= 1 and (off != 0).mean() < 0.01  # halves, but for rounding
    with pytest.raises(ValueError, match="the stride of columns is more than 4"):
        fastconv.corr2d(x, g, stride=(1, 5), method="separable")


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_strides_of_pixels(isa, rng, boundary):
    """Pixels, whose channels lie side by side, have the bits of planes: blocks, chunks, narrow pictures, types."""
    for channels, dtype in (1, "f4"), (2, "f8"), (3, "f4"), (3, "u1"), (4, "u2"), (7, "f4"):
        shapes = ((5, 3), 2), ((40, 31), (2, 3)), ((33, 1500), (3, 2)), ((9, 60), (1, 4)), ((2, 9000), (2, 2))
        for shape, stride in shapes:
            x = (rng.random((*shape, channels)) * 200).astype(dtype)
            k = np.outer(rng.random(rng.integers(2, 8)) + 0.1, rng.random(rng.integers(2, 8)) + 0.1)
            k = (k / k.sum()).astype("f8" if dtype == "f8" else "f4")
            how = {"mode": "full", "boundary": boundary, "stride": stride, "threads": int(rng.integers(1, 4))}
            if dtype[0] == "u":
                how |= {"dtype": dtype, "overflow": "saturate"}
            y = fastconv.corr2d(x, k, axes=(0, 1), **how)
            for c in range(channels):
                plane = np.ascontiguousarray(x[..., c])
                cases.assert_same_bits(y[..., c], fastconv.corr2d(plane, k, **how), (shape, channels, dtype, stride))
                dense = fastconv.corr2d(plane, k, method="separable", **how | {"stride": 1})
                every = tuple(slice(None, None, s) for s in np.broadcast_to(stride, 2))
                if how["stride"] != (1, 4):  # which is direct, for its few taps
                    cases.assert_same_bits(y[..., c], dense[every])


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_strides_of_whole_sums(isa, rng, boundary):
    """Bytes by whole numbers, divided by a power of two: planes and pixels, narrow and wide, of any results."""
    binomial = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    shapes = ((5, 3), 2), ((40, 31), (2, 3)), ((23, 1300), (3, 2)), ((9, 60), (1, 4)), ((2, 5000), (2, 2)), ((1, 1), 2)
    for channels, (shape, stride) in product((0, 1, 2, 3, 4, 5), shapes):
        x = rng.integers(0, 256, shape + ((channels,) if channels else ()), np.uint8)
        x = x.astype(np.int8) if rng.integers(4) == 0 else x
        k = np.outer(rng.integers(1, 4, rng.integers(2, 6)), rng.integers(1, 4, rng.integers(2, 6))) / 16
        k = binomial if rng.integers(2) else k.astype("f4") - (0.5 if x.dtype == np.int8 else 0)
        how = {"mode": str(rng.choice(["same", "full"])), "boundary": boundary, "stride": stride}
        how |= {"fillvalue": 7, "axes": (0, 1)} if boundary == "constant" else {"axes": (0, 1)}
        right = fastconv.corr2d(x.astype("f8"), k, method="numpy", **how)
        for dtype in (np.uint8, np.int16):
            info = np.iinfo(dtype)
            y = fastconv.corr2d(x, k, dtype=dtype, overflow="saturate", threads=int(rng.integers(1, 4)), **how)
            np.testing.assert_array_equal(y, np.rint(right).clip(info.min, info.max), f"{x.shape} {k.shape} {how}")
            out = np.full((*y.shape, 2), 9, dtype)[..., 1]
            fastconv.corr2d(x, k, dtype=dtype, overflow="saturate", out=out, **how)
            np.testing.assert_array_equal(y, out)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_strided_taps_that_change(rng, dtype):
    """A plan for other taps, too, is none for outer products, nor for what comes near to one."""
    x, eps = rng.random((20, 30)).astype(dtype), np.finfo(dtype).eps
    ways = set()
    for trial in range(200):
        k = np.outer(rng.standard_normal(3), rng.standard_normal(4)).astype(dtype)
        if trial % 4 == 0:
            k = rng.standard_normal((3, 4)).astype(dtype)
        if trial % 4 == 1:
            k[1, 2] *= 1 + dtype_steps(rng) * eps
        if trial % 40 == 2:
            k[:] = 0
        if trial % 40 == 6:
            k[2, 0] = rng.choice([np.nan, np.inf])
        method = fastconv.explain(x.shape, k, stride=2).method
        ways.add(method)
        with np.errstate(all="ignore"):
            y = fastconv.corr2d(x, k, stride=2)
        cases.assert_same_bits(y, fastconv.corr2d(x, k, stride=2, method=method), method)
    assert ways == {"direct", "separable"}


def dtype_steps(rng):
    """So many units in the last place: few, as rounding leaves, some, and many."""
    return float(rng.choice([1, 8, 20, 30, 60, 200, 1e4]))


def test_integers_are_found_exactly():
    for factors in (([1, 2, 1], [-1, 0, 1]), ([6, 4, 0, -2], [9, 3, 3]), (np.ones(9, int), np.ones(9, int))):
        k = np.outer(*factors)
        rows, cols = choice(k, "separable", "int64").factors
        np.testing.assert_array_equal(np.outer(rows, cols), k)
    nearly = np.outer([100, 200, 100], [1, 2, 1])
    nearly[1, 1] += 1
    with pytest.raises(ValueError, match="k is no sum of few outer products"):
        choice(nearly, "separable", "int64")


@pytest.mark.parametrize("rank", [2, 3])
def test_integers_of_any_size_are_taken_apart_or_left(rng, rank):
    """Products of taps, which no integer of C may hold, decide nothing; sums are those of Python's integers."""
    x = rng.integers(-9, 10, (7, 8, 9)[-rank:])
    shape, least = (3, 3, 4)[-rank:], -(2**63)
    sparse = np.where(rng.random(shape) < 0.2, rng.integers(least, 2**63 - 1, shape), 0)
    outer = np.multiply.outer(rng.integers(1, 2**20, shape[:-1]), rng.integers(-(2**42), 2**42, shape[-1:]))
    corner = np.zeros(shape, "i8")
    corner.flat[0] = corner.flat[-1] = least
    for k in (rng.integers(1, 2**40, shape), sparse, outer, corner, np.full(shape, least), -np.ones(shape, int)):
        windows = np.lib.stride_tricks.sliding_window_view(x.astype(object), shape)
        exact = (windows * k.astype(object)).sum(tuple(range(-rank, 0)))
        y = getattr(fastconv, f"corr{rank}d")(x, k, dtype=np.int64, overflow="wrap")
        assert y.tolist() == ((exact + 2**63) % 2**64 - 2**63).tolist()


def test_integer_volumes_that_raised():
    k = np.random.default_rng(0).integers(1, 2**40, (3, 3, 4))
    assert fastconv.corr3d(np.ones((9, 9, 9), "u1"), k)[0, 0, 0] == k.sum() == 20670942439474
    x, tall = np.arange(60).reshape(3, 4, 5), k[..., :1] << 22
    for dtypes in (("i8", "i8"), ("u4", "u4"), ("u8", "u8")):
        for taps in (k % 2**31, tall % 2**31):
            a, b = x.astype(dtypes[0]), taps.astype(dtypes[1])
            expected = scipy.signal.convolve(a, b, method="direct")
            cases.assert_same_bits(fastconv.signal.convolve(a, b), expected)


@pytest.mark.parametrize("dtype", cases.FLOATS)
@pytest.mark.parametrize("mode", cases.MODES)
@pytest.mark.parametrize("name", RANK_ONE | RANK_TWO)
def test_within_the_bound(isa, rng, name, mode, dtype):
    k = (RANK_ONE | RANK_TWO)[name].astype(dtype)
    x = cases.reals(rng, (40, 45, 20)[: k.ndim], dtype)
    corr = getattr(fastconv, f"corr{k.ndim}d")
    c = correlation_arguments(k.ndim, x, k, Options(mode, "reflect"))
    y = corr(x, k, mode, "reflect", method="separable")
    error = np.abs(y.astype(float) - reference.run(c).astype(float))
    assert (error <= reference.error_bound(c, methods.choose(c, "separable").factors)).all()
    with fastconv.checked():
        corr(x, k, mode, "reflect")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 5, 5), (1, 23, 3), (2, 9, 4), (3, 3, 3)])
def test_sums_of_whole_numbers_are_exact_in_floats(isa, rng, shape, dtype):
    """As they are by the direct method: factors of whole numbers, and of these times a power of two, are such, too."""
    for power in (0, -8, 40):
        lines = [rng.integers(1, 7, n) * rng.choice([-1, 1], n) for n in shape]
        k = functools.reduce(np.multiply.outer, lines) * 2.0**power
        x = rng.integers(-20, 20, (4, 30, 25)).astype(dtype)
        how = {"mode": "full", "method": "separable"}
        result = fastconv.corr3d(x, k.astype(dtype), **how)
        expected = fastconv.corr3d(
            x.astype(np.int64), np.rint(k / 2.0**power).astype(np.int64), "full", method="direct"
        )
        np.testing.assert_array_equal(result / 2.0**power, expected)


def test_integers_are_exact(isa, rng):
    for dtype in ("uint8", "int16", "int64"):
        x = cases.integers(rng, (70, 90), dtype)
        k = np.outer(rng.integers(-4, 5, 13), rng.integers(1, 5, 17))
        for how in ({}, {"dilation": 2}):
            y = fastconv.corr2d(x, k, "same", "wrap", method="separable", **how)
            cases.assert_same_bits(y, reference.corr2d(x, k, "same", "wrap", **how))


@pytest.mark.parametrize("k", [RANK_ONE["gaussian"], RANK_TWO["difference of gaussians"]], ids=["one", "two"])
def test_bits(isa, tiny_chunks, rng, k):
    """Threads, windows, layout and dilation of interior and border tiles change nothing."""
    x, k = cases.reals(rng, (150, 1100), "float32"), k.astype("float32")
    for how in ({}, {"dilation": (2, 3)}):
        one = fastconv.corr2d(x, k, "same", "symmetric", method="separable", threads=1, **how)
        for threads in (2, 5):
            y = fastconv.corr2d(x, k, "same", "symmetric", method="separable", threads=threads, **how)
            cases.assert_same_bits(y, one, threads)
        laid = np.asfortranarray(x)
        cases.assert_same_bits(fastconv.corr2d(laid, k, "same", "symmetric", method="separable", **how), one)
        window = slice(3, 90), slice(500, 1090)
        y = fastconv.corr2d(x, k, "same", "symmetric", method="separable", window=window, **how)
        cases.assert_same_bits(y, one[window])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_of_large_pictures(isa, rng, dtype):
    """Which are read once for both passes, beside those of pieces, which are not."""
    x = cases.reals(rng, (263, 1101), dtype)
    for size in (3, 5, 7):
        k = kernels.gaussian(size, ndim=1, dtype=dtype)
        y = fastconv.sepcorr2d(x, k, k, method="separable")
        for at in (slice(0, 40), slice(230, 263 - size + 1)):
            piece = fastconv.sepcorr2d(x[at.start : at.stop + size - 1], k, k, method="separable")
            cases.assert_same_bits(piece, y[at], size)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_pixels_have_the_bits_of_planes(isa, rng, dtype):
    """Of channels side by side: by turned sums, whose columns are channels, in bands and strips, and otherwise."""
    for channels, shape in ((2, (40, 50)), (3, (35, 411)), (4, (16, 4)), (17, (19, 5))):
        x, k = cases.reals(rng, (*shape, channels), dtype), np.outer(*cases.reals(rng, (2, 9), dtype))
        x[3, 2, 1] = np.nan
        for mode, pad, fill in (("full", "wrap", 0), ("same", "symmetric", 0), ("same", "constant", 2)):
            y = fastconv.corr2d(x, k, mode, pad, fill, axes=(0, 1), method="separable")
            planes = np.moveaxis(x, -1, 0).copy()
            if isa != "base":  # without fma, how passes follow each other shows
                cases.assert_same_bits(
                    np.moveaxis(y, -1, 0), fastconv.corr2d(planes, k, mode, pad, fill, method="separable")
                )
            expected = fastconv.corr2d(planes, k, mode, pad, fill, method="direct")
            np.testing.assert_allclose(np.moveaxis(y, -1, 0), expected, 1e-3, 1e-3)


def test_non_finite_values_stay_in_their_windows(rng):
    x, k = cases.reals(rng, (60, 80), "float32"), RANK_ONE["gaussian"].astype("float32")
    x[20, 30], x[45, 70] = np.nan, np.inf
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            np.isfinite(fastconv.corr2d(x, k, "same", method="separable")),
            np.isfinite(fastconv.corr2d(x, k, "same", method="direct")),
        )


def test_sepcorr2d(isa, rng):
    for dtype in ("float32", "float64", "int16", "uint8", "complex64"):
        x, ky, kx = (cases.integers(rng, n, dtype) for n in ((2, 30, 40), 7, 4))
        for mode in cases.MODES:
            y = fastconv.sepcorr2d(x, ky, kx, mode, "edge")
            cases.assert_same_bits(
                y, fastconv.corr2d(x, np.outer(ky, kx), mode, "edge", method="direct"), (dtype, mode)
            )
            cases.assert_same_bits(y, reference.sepcorr2d(x, ky, kx, mode, "edge"))
    large = cases.integers(rng, 25, "float32")
    assert_close = np.testing.assert_allclose
    x = cases.reals(rng, (60, 60), "float32")
    assert_close(fastconv.sepcorr2d(x, large, large), fastconv.corr2d(x, np.outer(large, large)), rtol=1e-3, atol=1e-2)


BAD = {
    "ky of rank 2": (([[1]], [1]), ValueError, r"ky must have 1 dimension; got shape \(1, 1\)"),
    "kx empty": (([1], []), ValueError, r"kx must not be empty; got shape \(0,\)"),
    "product too large": (([2**40], [2**40]), OverflowError, r"the product of the factors does not fit into int64"),
    "ky of strings": ((["a"], [1]), TypeError, r"ky has dtype <U1"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    factors, exception, message = BAD[case]
    for package in (fastconv, reference):
        with pytest.raises(exception, match=message):
            package.sepcorr2d(np.ones((9, 9), int), *factors)


@pytest.mark.parametrize(("x_type", "dtype"), [("f8", "f4"), ("i4", "f2"), ("u2", "f2"), ("f4", "f2"), ("i8", "F")])
def test_the_product_of_factors_is_not_rounded_to_their_dtype(rng, x_type, dtype):
    """It is made in the dtype that the sums have, so small factors do not vanish and large ones do not overflow."""
    x = (rng.standard_normal((20, 30)) * 50).astype(x_type)
    for scale in (1.0, 1e-3, 1e3):
        ky, kx = ((rng.standard_normal(n) * scale).astype(dtype) for n in (4, 3))
        common = np.result_type(x, ky)
        expected = fastconv.corr2d(x, np.multiply.outer(ky.astype(common), kx.astype(common)), method="direct")
        for method in ("direct", "auto"):
            got = fastconv.sepcorr2d(x, ky, kx, method=method)
            assert got.dtype == expected.dtype
            eps = np.finfo(expected.dtype).eps
            largest = float(np.abs(x).max()) * math.prod(float(np.abs(f).astype("d").sum()) for f in (ky, kx))
            assert np.abs(got - expected).max() <= 4 * (ky.size * kx.size + 16) * eps * largest
    assert np.isfinite(fastconv.sepcorr2d(np.ones((3, 3)), np.float32([1e30]), np.float32([1e30]))).all()
