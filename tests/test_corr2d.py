# SPDX-License-Identifier: BSD-3-Clause
"""corr2d and convolve2d compute what the reference computes: every engine, dtype, mode, boundary and size."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import reference
from fastconv.arguments.correlation import Options, correlation_arguments

methods = pytest.mark.parametrize("method", cases.METHODS)
floats = pytest.mark.parametrize("dtype", cases.FLOATS)


def assert_exact(x, k, *where, **options):
    """The compiled result has the reference's bits."""
    what = f"{x.shape} {k.shape} {where} {options}"
    for name in ("corr2d", "convolve2d"):
        y = getattr(fastconv, name)(x, k, *where, **options)
        cases.assert_same_bits(y, getattr(reference, name)(x, k, *where), f"{name} {what}")


# every engine -------------------------------------------------------------------------


@pytest.mark.parametrize("h", cases.HEIGHTS)
@methods
@floats
def test_tiles(isa, rng, dtype, method, h):
    for image, kernel in cases.tiles(h, dtype):
        x, k = cases.integers(rng, image, dtype), cases.integers(rng, kernel, dtype)
        y = fastconv.corr2d(x, k, method=method)
        cases.assert_same_bits(y, reference.corr2d(x, k), f"{image} {kernel}")


@methods
@floats
def test_cuts(isa, rng, dtype, method):
    for image, kernel in cases.cuts():
        x, k = cases.integers(rng, image, dtype), cases.integers(rng, kernel, dtype)
        for mode, boundary in (("valid", "constant"), ("same", "reflect"), ("full", "wrap")):
            if mode != "valid" or cases.fits(image, kernel):
                y = fastconv.corr2d(x, k, mode, boundary, method=method)
                expected = reference.corr2d(x, k, mode, boundary)
                cases.assert_same_bits(y, expected, f"{image} {kernel} {mode}")


def test_cuts_are_where_the_driver_cuts():
    """Wide and tall images are more than one chunk, or `test_cuts` tests nothing."""
    wide, tall = (cases.cuts()[i] for i in (0, 4))
    for image, kernel in (wide, tall):
        assert fastconv.explain(image, kernel, method="direct", threads=1).chunks > 1, (image, kernel)


@methods
@floats
def test_random_data_within_the_bound(isa, rng, dtype, method):
    for kernel in cases.KERNEL_SHAPES + cases.SQUARES:
        x, k = cases.reals(rng, (2, 37, 53), dtype), cases.reals(rng, kernel, dtype)
        for mode in cases.MODES:
            c = correlation_arguments(2, x, k, Options(mode, "symmetric"))
            y = fastconv.corr2d(x, k, mode, "symmetric", method=method)
            difference = np.abs(y.astype(float) - reference.run(c).astype(float))
            assert (difference <= reference.error_bound(c)).all(), (kernel, mode)


@methods
@floats
@pytest.mark.parametrize("boundary", cases.BOUNDARIES)
def test_boundaries(isa, rng, boundary, dtype, method):
    pairs = [((9, 12), k) for k in cases.KERNEL_SHAPES] + list(cases.REPEATS)
    for image, kernel in pairs:
        x, k = cases.integers(rng, image, dtype), cases.integers(rng, kernel, dtype)
        for mode in ("same", "full"):
            assert_exact(x, k, mode, boundary, -3, method=method)


# shapes -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", cases.MODES)
@pytest.mark.parametrize("batch", [(1,), (3,), (2, 3), (2, 1, 3), (0,), (2, 0)], ids=str)
def test_batches(rng, batch, mode):
    x, k = cases.integers(rng, (*batch, 7, 20), "float32"), cases.integers(rng, (3, 4), "float32")
    assert_exact(x, k, mode, "edge")
    y = fastconv.corr2d(x, k, mode, "edge")
    for i in np.ndindex(*batch):
        cases.assert_same_bits(y[i], fastconv.corr2d(x[i], k, mode, "edge"))


@pytest.mark.parametrize("image", [(0, 5), (0, 8), (5, 0), (0, 0)], ids=str)
def test_empty_images(image):
    for dtype in ("float32", "int16"):
        x = np.zeros(image, dtype)
        y = fastconv.corr2d(x, np.ones((3, 4), dtype), "full", fillvalue=2)
        assert y.shape == (image[0] + 2, image[1] + 3)
        assert (y == 24).all()
        colours = np.zeros(0, dtype).reshape(*image, 3)  # unlike those of zeros, its strides are not 0
        colours = fastconv.corr2d(colours, np.ones((3, 4), dtype), "full", fillvalue=2, axes=(0, 1))
        assert colours.shape == (*y.shape, 3)
        assert (colours == 24).all()
        assert fastconv.corr2d(x, np.ones((3, 4), dtype), "same", "wrap").shape == image


@pytest.mark.parametrize("fillvalue", [0, 1, -2.5, np.float32(0.5), np.array(3), True, np.inf, np.nan], ids=repr)
def test_fillvalue(rng, fillvalue):
    x, k = cases.integers(rng, (4, 9), "float32"), cases.integers(rng, (3, 3), "float32")
    expected = reference.corr2d(x, k, "full", "constant", fillvalue)
    np.testing.assert_array_equal(fastconv.corr2d(x, k, "full", "constant", fillvalue), expected)
    np.testing.assert_array_equal(fastconv.corr2d(x, k, "full", "fill", fillvalue), expected)


# dtypes -------------------------------------------------------------------------------


def test_float16(isa, rng):
    x, k = cases.integers(rng, (9, 40), "float16"), cases.integers(rng, (3, 5), "float16")
    for mode in cases.MODES:
        assert_exact(x, k, mode, "reflect")
    assert_exact(x.astype("int8"), k)
    x, k = np.full((2, 3), 60000, "float16"), np.full((1, 2), 1, "float16")
    assert np.isinf(fastconv.corr2d(x, k)).all()
    cases.assert_same_bits(fastconv.corr2d(x, k / 2), np.full((2, 2), 60000, "float16"))


@pytest.mark.parametrize("k_dtype", cases.INTEGERS)
@pytest.mark.parametrize("x_dtype", cases.INTEGERS)
def test_integers_are_exact(rng, x_dtype, k_dtype):
    x, k = cases.integers(rng, (6, 9), x_dtype), cases.integers(rng, (3, 2), k_dtype)
    y = fastconv.corr2d(x, k, "same", "edge")
    assert y.dtype == (np.uint64 if x_dtype == k_dtype == "uint64" else np.int64)
    np.testing.assert_array_equal(y, fastconv.corr2d(x.astype(float), k.astype(float), "same", "edge"))


INT64 = np.iinfo(np.int64)
LARGE = {
    "beyond float64": ([[2**53 + 1, 2**53 + 1]], "int64", [[1, 1]], "int64", 2**54 + 2),
    "uint8 does not wrap": ([[200, 200]], "uint8", [[3, 3]], "uint8", 1200),
    "uint64": ([[2**64 - 1, 2**64 - 2]], "uint64", [[1, -1]], "int64", 1),
    "uint64 taps": ([[1, -1]], "int64", [[2**64 - 1, 2**64 - 2]], "uint64", 1),
    "partial sums beyond int64": ([[INT64.max] * 3], "int64", [[1, 1, -1]], "int64", INT64.max),
    "largest": ([[INT64.max]], "int64", [[1]], "int64", INT64.max),
    "smallest": ([[INT64.min]], "int64", [[1]], "int64", INT64.min),
    "smallest tap": ([[1]], "int64", [[INT64.min]], "int64", INT64.min),
    "zero taps": ([[2**64 - 1]], "uint64", [[0]], "int64", 0),
}


@pytest.mark.parametrize("case", LARGE)
def test_large_integers(case):
    x, x_dtype, k, k_dtype, expected = LARGE[case]
    y = fastconv.corr2d(np.array(x, x_dtype), np.array(k, k_dtype))
    assert (y.dtype, y.tolist()) == (np.int64, [[expected]])


@pytest.mark.parametrize(
    ("x", "k", "fillvalue"),
    [
        (np.array([[INT64.max, 1]]), [[1, 1]], 0),
        (np.array([[INT64.min, -1]]), [[1, 1]], 0),
        (np.array([[INT64.min]]), [[-1]], 0),
        (np.array([[2**63]], np.uint64), [[1]], 0),
        (np.array([[1]]), [[1, 1]], INT64.max),
    ],
)
def test_overflow_is_an_error(x, k, fillvalue):
    mode = "full" if fillvalue else "valid"
    out = np.full(reference.corr2d(x * 0, k, mode).shape, 7)
    for function in (fastconv.corr2d, reference.corr2d):
        with pytest.raises(OverflowError, match=r"a sum, -?\d+, does not fit into int64; use overflow="):
            function(x, k, mode, "constant", fillvalue, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("k_dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("x_dtype", [*cases.INTEGERS, "float16", "float32", "float64"])
def test_mixed_dtypes_follow_numpy(rng, x_dtype, k_dtype):
    x, k = cases.integers(rng, (6, 9), x_dtype), cases.integers(rng, (3, 2), k_dtype)
    for a, b in ((x, k), (k, x[:3, :2])):
        y = fastconv.corr2d(a, b, "same", "wrap")
        assert y.dtype == np.result_type(a, b)
        cases.assert_same_bits(y, reference.corr2d(a, b, "same", "wrap"))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i8", "u8"])
def test_big_endian(rng, dtype):
    x, k = cases.integers(rng, (6, 9), dtype), cases.integers(rng, (3, 2), dtype)
    y = fastconv.corr2d(x.astype(f">{dtype}"), k.astype(f">{dtype}"))
    assert y.dtype.isnative
    cases.assert_same_bits(y, fastconv.corr2d(x, k))


class Subclass(np.ndarray):
    """An array whose class the result does not take."""


def test_array_likes(rng):
    x, k = cases.integers(rng, (6, 9), "float64"), cases.integers(rng, (3, 2), "float64")
    expected = reference.corr2d(x, k)
    for a, b in ((x.tolist(), k.tolist()), (x.tolist(), k), (memoryview(x), k), (x.view(Subclass), k)):
        y = fastconv.corr2d(a, b)
        assert type(y) is np.ndarray
        cases.assert_same_bits(y, expected)
    assert fastconv.corr2d([[1, 2], [3, 4]], [[1, 1]]).tolist() == [[3], [7]]


# meaning ------------------------------------------------------------------------------


def test_textbook(isa):
    X, K = np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2)
    for dtype in (*cases.FLOATS, "float16", "int64", "uint8"):
        for method in ("auto", "numpy"):
            assert fastconv.corr2d(X.astype(dtype), K.astype(dtype), method=method).tolist() == [[19, 25], [37, 43]]


def test_an_impulse_shows_the_kernel(isa, rng):
    x, k = np.zeros((7, 40), "float32"), cases.reals(rng, (3, 4), "float32")
    x[3, 20] = 1
    cases.assert_same_bits(fastconv.convolve2d(x, k, "full")[3:6, 20:24], k)
    cases.assert_same_bits(fastconv.corr2d(x, k, "full")[3:6, 20:24], k[::-1, ::-1])


def test_translation(isa, rng):
    """A shifted image gives the shifted result."""
    x, k = cases.reals(rng, (21, 70), "float32"), cases.reals(rng, (5, 4), "float32")
    y = fastconv.corr2d(x, k, "same", "wrap")
    for shift in ((1, 0), (0, 1), (-3, 17), (10, -33)):
        moved = fastconv.corr2d(np.roll(x, shift, (0, 1)), k, "same", "wrap")
        cases.assert_same_bits(moved, np.roll(y, shift, (0, 1)), shift)


def test_linearity(isa, rng):
    x, y = cases.integers(rng, (2, 12, 33), "float64")
    k = cases.integers(rng, (4, 3), "float64")
    both = fastconv.corr2d(3 * x - y, k)
    np.testing.assert_array_equal(both, 3 * fastconv.corr2d(x, k) - fastconv.corr2d(y, k))


@pytest.mark.parametrize(("alias", "name"), [("fill", "constant"), ("symm", "symmetric")])
def test_scipy_names(rng, alias, name):
    x, k = cases.reals(rng, (6, 9), "float32"), cases.reals(rng, (3, 4), "float32")
    for function in (fastconv.corr2d, fastconv.convolve2d, reference.corr2d):
        cases.assert_same_bits(function(x, k, "full", alias, 2), function(x, k, "full", name, 2))


@methods
def test_out(isa, rng, method):
    for dtype in (*cases.FLOATS, "float16"):
        x, k = cases.integers(rng, (6, 40), dtype), cases.integers(rng, (3, 4), dtype)
        out = np.full((6, 40), 99, dtype)
        assert fastconv.corr2d(x, k, "same", "edge", out=out, method=method) is out
        cases.assert_same_bits(out, reference.corr2d(x, k, "same", "edge"))
