# SPDX-License-Identifier: BSD-3-Clause
"""Every pair of dtypes, complex numbers by SciPy's rules, results in another dtype."""

from __future__ import annotations

import re
import tracemalloc
from fractions import Fraction

import cases
import numpy as np
import pytest
from scipy import signal

import fastconv
from fastconv import reference
from fastconv.arguments import conversion

ALL = (*cases.INTEGERS, "float16", *cases.FLOATS, "complex64", "complex128")


@pytest.mark.parametrize("k_dtype", ALL)
@pytest.mark.parametrize("x_dtype", ALL)
def test_pairs(isa, rng, x_dtype, k_dtype):
    x, k = cases.integers(rng, (2, 9, 40), x_dtype), cases.integers(rng, (3, 4), k_dtype)
    integers = x.dtype.kind in "biu" and k.dtype.kind in "biu"
    expected = np.int64 if integers else np.result_type(x, k)
    if x_dtype == k_dtype == "uint64":
        expected = np.uint64
    for mode, boundary, stride in (("valid", "constant", 1), ("same", "reflect", 2), ("full", "constant", 1)):
        y = fastconv.corr2d(x, k, mode, boundary, 1, stride=stride)
        assert y.dtype == expected
        cases.assert_same_bits(y, reference.corr2d(x, k, mode, boundary, 1, stride=stride), (mode, stride))


# complex --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", cases.MODES)
def test_complex_is_scipys(rng, mode):
    x, k = cases.integers(rng, (8, 9), "complex128"), cases.integers(rng, (3, 4), "complex128")
    for a, b in ((x, k), (x.real, k), (x, k.real)):
        np.testing.assert_array_equal(fastconv.corr2d(a, b, mode), signal.correlate2d(a, b, mode))
        np.testing.assert_array_equal(fastconv.convolve2d(a, b, mode), signal.convolve2d(a, b, mode))
    a, b = x[0], k[0, :3]  # of odd length: for "same" scipy.signal.correlate centres others than correlate2d does
    np.testing.assert_array_equal(fastconv.corr1d(a, b, mode), signal.correlate(a, b, mode, "direct"))
    np.testing.assert_array_equal(fastconv.convolve1d(a, b, mode), np.convolve(a, b, mode))
    fill = 2 - 3j
    np.testing.assert_array_equal(
        fastconv.corr2d(x, k, "full", "fill", fill), signal.correlate2d(x, k, "full", "fill", fill)
    )


def test_conjugation():
    assert fastconv.corr1d([1j], [1j]) == 1
    assert fastconv.convolve1d([1j], [1j]) == -1


def test_a_complex_fillvalue_continues_a_real_image():
    for package in (fastconv, reference):
        y = package.corr1d(np.ones(1), np.array([1 + 0j, 1]), "full", fillvalue=1j)
        assert y.tolist() == [1 + 1j, 1 + 1j]


def test_real_numbers_have_no_imaginary_part():
    """Infinity times a real weight is infinite in one part only."""
    y = fastconv.corr1d(np.array([complex(np.inf, 1)]), np.array([2.0]))
    assert (y.real, y.imag) == (np.inf, 2)


def test_complex_within_the_bound(isa, rng):
    from fastconv.arguments.correlation import Options, correlation_arguments

    for dtype in ("complex64", "complex128"):
        x = (rng.standard_normal((20, 30)) + 1j * rng.standard_normal((20, 30))).astype(dtype)
        k = (rng.standard_normal((5, 4)) + 1j * rng.standard_normal((5, 4))).astype(dtype)
        c = correlation_arguments(2, x, k, Options("same", "reflect"))
        y = fastconv.corr2d(x, k, "same", "reflect")
        assert (np.abs(y - reference.run(c)) <= reference.error_bound(c)).all()
        with fastconv.checked():
            fastconv.corr2d(x, k, "same", "reflect")


# integers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("k_dtype", cases.INTEGERS)
@pytest.mark.parametrize("x_dtype", cases.INTEGERS)
def test_integers_are_exact_to_their_limits(isa, rng, x_dtype, k_dtype):
    """Against Python's integers; sums that do not fit raise."""

    def extreme(shape, dtype):
        info = np.iinfo(dtype) if dtype != "bool" else None
        values = [0, 1] if info is None else [info.min, info.max, 0, 1, info.max - 1, info.min + 1]
        return np.array(rng.choice(np.array(values, object), shape), dtype)

    for _ in range(4):
        x, k = extreme((3, 24), x_dtype), extreme((2, 2), k_dtype)
        X, K = x.astype(object), k.astype(object)
        exact = sum(K[a, b] * X[a : a + 2, b : b + 23] for a in range(2) for b in range(2))
        info = np.iinfo(np.uint64 if x_dtype == k_dtype == "uint64" else np.int64)
        if info.min <= exact.min() and exact.max() <= info.max:
            assert fastconv.corr2d(x, k).tolist() == exact.tolist()
        else:
            with pytest.raises(OverflowError, match="does not fit into"):
                fastconv.corr2d(x, k)
        for dtype in ("int8", "uint16", "int32", "uint64"):
            limits = np.iinfo(dtype)
            saturated = fastconv.corr2d(x, k, dtype=dtype, overflow="saturate")
            assert saturated.tolist() == np.clip(exact, limits.min, limits.max).tolist()
            wrapped = fastconv.corr2d(x, k, dtype=dtype, overflow="wrap")
            assert wrapped.tolist() == ((exact - limits.min) % 2**limits.bits + limits.min).tolist()
            cases.assert_same_bits(wrapped, reference.corr2d(x, k, dtype=dtype, overflow="wrap"))


def test_fillvalue_counts_for_the_limits(isa):
    x, k = np.ones((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    assert fastconv.corr2d(x, k, "full", fillvalue=2**40).max() == 3 * 2**40 + 1


# results in another dtype -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("taps", ["float32", "float64"])
def test_sums_half_beyond(isa, dtype, taps):
    """Half to even: above the largest number, which is odd, is too large; below the smallest, it is that."""
    info, k, kind = np.iinfo(dtype), np.ones(1, taps), np.dtype(taps).type
    high, low = kind(info.max + 0.5), kind(info.min - 0.5)
    for at in 0, 7, 38:
        x = np.zeros(39, taps)
        for x[at], nearest in (np.nextafter(high, kind(0)), info.max), (low, info.min):
            assert fastconv.corr1d(x, k, dtype=dtype)[at] == nearest
        for x[at] in high, np.nextafter(low, kind(-np.inf)):
            with pytest.raises(OverflowError, match="does not fit"):
                fastconv.corr1d(x, k, dtype=dtype)


def test_floats_become_integers_by_rounding_half_to_even():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 254.5, 255.4])
    assert fastconv.corr1d(x, [1.0], dtype=np.int8, overflow="saturate").tolist() == [0, 2, 2, 0, -2, 127, 127]
    assert fastconv.corr1d(x, [1.0], dtype=np.uint8, overflow="saturate").tolist() == [0, 2, 2, 0, 0, 254, 255]
    assert fastconv.corr1d([-1.0, 256.0, 1e6], [1.0], dtype=np.uint8, overflow="wrap").tolist() == [255, 0, 64]
    assert fastconv.corr1d([-28.0, 2.0**70], [1.0], dtype=np.int64, overflow="wrap").tolist() == [-28, 0]
    assert fastconv.corr1d([2.0**63], [1.0], dtype=np.uint64).tolist() == [2**63]
    assert fastconv.corr1d([1e30, -1e30], [1.0], dtype=np.int64, overflow="saturate").tolist() == [2**63 - 1, -(2**63)]


def test_a_float32_that_is_just_too_large_for_int32():
    x = np.float32([2.0**31])
    with pytest.raises(OverflowError):
        fastconv.corr1d(x, np.float32([1]), dtype=np.int32)
    assert fastconv.corr1d(x, np.float32([1]), dtype=np.int32, overflow="saturate") == 2**31 - 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_integers_become_floats_by_one_rounding(dtype):
    y = fastconv.corr1d(np.array([2**53, 1]), np.array([1, 1]), dtype=dtype)
    assert y.dtype == dtype
    assert Fraction(float(y[0].real)) == Fraction(float(np.dtype(dtype).type(2**53 + 1).real))


def test_a_wider_float_is_computed_in(rng):
    x, k = cases.reals(rng, (9, 9), "float32"), cases.reals(rng, (3, 3), "float32")
    y = fastconv.corr2d(x, k, dtype=np.float64)
    cases.assert_same_bits(y, fastconv.corr2d(x.astype(float), k.astype(float)))
    cases.assert_same_bits(fastconv.corr2d(x, k, dtype=np.complex128), y.astype(complex))
    cases.assert_same_bits(
        fastconv.corr2d(x.astype(float), k, dtype="f4"), fastconv.corr2d(x.astype(float), k).astype("f4")
    )


BAD = {
    "overflow raises": (np.uint8([200, 100]), {"dtype": "u1"}, OverflowError, r"a sum, 300, does not fit into uint8"),
    "negative": (np.int8([-1, 0]), {"dtype": "u8"}, OverflowError, r"a sum, -1, does not fit into uint64"),
    "float overflow": ([200.0, 100.0], {"dtype": "u1"}, OverflowError, r"a sum, 300.0, does not fit into uint8"),
    "NaN": ([np.nan, 1.0], {"dtype": "i4"}, ValueError, r"a sum is NaN and has no value in int32"),
    "NaN saturated": ([np.nan, 1.0], {"dtype": "i4", "overflow": "saturate"}, ValueError, r"a sum is NaN"),
    "infinite wrapped": ([np.inf, 1.0], {"dtype": "i4", "overflow": "wrap"}, ValueError, r"a sum is infinite"),
    "infinite": ([np.inf, 1.0], {"dtype": "i4"}, OverflowError, r"a sum, inf, does not fit into int32"),
    "overflow of floats": ([1.0, 1.0], {"overflow": "wrap"}, ValueError, r"overflow 'wrap' is for integer results"),
    "overflow unknown": (
        [1.0, 1.0],
        {"overflow": "clip"},
        ValueError,
        r"overflow must be one of raise, saturate, wrap",
    ),
    "dtype str": (
        [1.0, 1.0],
        {"dtype": "U3"},
        TypeError,
        r"dtype must be an integer, float or complex dtype; got 'U3'",
    ),
    "dtype bool": ([1.0, 1.0], {"dtype": bool}, TypeError, r"dtype must be an integer, .*got <class 'bool'>"),
    "dtype nonsense": ([1.0, 1.0], {"dtype": "nonsense"}, TypeError, r"dtype must be .*got 'nonsense'"),
    "complex to real": ([1j, 1.0], {"dtype": "f8"}, TypeError, r"dtype must be complex, .*got 'f8'"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    x, how, exception, message = BAD[case]
    for package in (fastconv, reference):
        with pytest.raises(exception, match=message):
            package.corr1d(x, np.ones(2, np.asarray(x).dtype), **how)


def test_out_is_untouched_when_a_sum_does_not_fit():
    out = np.full(1, 7, np.uint8)
    with pytest.raises(OverflowError):
        fastconv.corr1d(np.uint8([200, 100]), np.uint8([1, 1]), dtype="u1", out=out)
    assert out == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_out_is_untouched_by_taps_that_earlier_calls_did_not_have(rng, bad):
    x, k = rng.integers(0, 256, (20, 30), dtype=np.uint8), rng.random((3, 3), dtype=np.float32)
    how = {"dtype": np.uint8, "overflow": "saturate", "out": np.empty((18, 28), np.uint8)}
    expected = np.rint(fastconv.corr2d(x, k)).clip(0, 255).astype(np.uint8)
    for _ in range(3):
        cases.assert_same_bits(fastconv.corr2d(x, k, **how), expected)
    k[1, 1], k[2, 2] = bad, -bad  # whose sum is NaN
    how["out"][...] = 7
    with pytest.raises(ValueError, match="NaN"):
        fastconv.corr2d(x, k, **how)
    assert (how["out"] == 7).all()


@pytest.mark.parametrize("overflow", ["raise", "saturate", "wrap"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("k_dtype", ["int64", "float32", "float64"])
@pytest.mark.parametrize("x_dtype", ["uint8", "int16", ">u2", "float32", "float64"])
def test_small_integers_are_the_sums_converted(isa, rng, x_dtype, k_dtype, dtype, overflow):
    for k_shape, scale in (((3, 3), 0.1), ((1, 1), 1), ((1, 12, 12), 0.2), ((2, 2), 300)):
        x = (rng.standard_normal((2, 30, 41)) * 20).clip(0).astype(x_dtype)
        k = (rng.standard_normal(k_shape[-2:]) * scale).astype(k_dtype)
        if len(k_shape) == 3:
            k[...] = k[0, 0]  # a box
        how = {"mode": "same", "boundary": "edge", "dtype": dtype, "overflow": overflow}
        floats = fastconv.corr2d(x, k, "same", "edge")
        out = np.full(floats.shape, 7, dtype)
        try:
            expected = conversion.converted(floats, np.dtype(dtype), overflow)
        except OverflowError as error:
            for _ in range(2):
                with pytest.raises(OverflowError, match=re.escape(str(error))):
                    fastconv.corr2d(x, k, **how)
                with pytest.raises(OverflowError, match=re.escape(str(error))):
                    fastconv.corr2d(x, k, **how, out=out)
            assert (out == 7).all()
        else:
            for _ in range(2):
                cases.assert_same_bits(fastconv.corr2d(x, k, **how), expected)
            assert fastconv.corr2d(x, k, **how, out=out) is out
            cases.assert_same_bits(out, expected)


@pytest.mark.parametrize("overflow", ["raise", "saturate", "wrap"])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_small_integers_of_transforms(isa, rng, dtype, overflow):
    x, out = cases.reals(rng, (40, 50, 3), "float32") * 60, np.full((40, 50, 3), 7, dtype)
    for scale in (0.01, 1):
        k = cases.reals(rng, (12, 11), "float32") * scale
        how = {"mode": "same", "boundary": "wrap", "axes": (0, 1), "method": "fft"}
        sums = fastconv.corr2d(x, k, **how)
        try:
            expected = conversion.converted(sums, np.dtype(dtype), overflow)
        except OverflowError:
            with pytest.raises(OverflowError, match="does not fit into"):  # which one depends on the axes
                fastconv.corr2d(x, k, **how, dtype=dtype, overflow=overflow, out=out)
            assert (out == 7).all()
        else:
            cases.assert_same_bits(fastconv.corr2d(x, k, **how, dtype=dtype, overflow=overflow), expected)


@pytest.mark.parametrize("overflow", ["raise", "saturate", "wrap"])
def test_nan_is_no_small_integer(overflow):
    x, out = np.ones((40, 50), np.float32), np.full((38, 48), 7, np.uint8)
    x[20, 30] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match="a sum is NaN and has no value in uint8"):
            fastconv.corr2d(x, np.ones((3, 3), np.float32), dtype=np.uint8, overflow=overflow, out=out)
    assert (out == 7).all()


# memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_small_types_are_not_converted_as_a_whole(rng, dtype):
    x, k = cases.integers(rng, (1000, 1000), dtype), np.ones((3, 3), "float64" if dtype == "float32" else "float32")
    out = fastconv.corr2d(x, k)
    tracemalloc.start()
    try:
        fastconv.corr2d(x, k, out=out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000


@pytest.mark.parametrize("fillvalue", [np.nan, np.inf])
def test_a_fillvalue_that_no_output_sees(fillvalue):
    """It need not fit into the results."""
    x, k = np.arange(9, dtype="i2"), np.array([-1.0, 2.0])
    y = fastconv.corr1d(x, k, fillvalue=fillvalue, dtype="i2")
    np.testing.assert_array_equal(y, np.correlate(x, k.astype(int)))
