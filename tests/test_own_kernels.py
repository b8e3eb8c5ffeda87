# SPDX-License-Identifier: BSD-3-Clause
"""Batches of kernels: leading axes of k, which broadcast against those of x."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import scipy.signal

import fastconv
from fastconv import factors, methods, reference
from fastconv.arguments.correlation import Options, correlation_arguments

# leading axes of (x, k)
BATCHES = (
    ((3,), (3,)),
    ((1,), (4,)),
    ((), (2, 3)),
    ((2, 1), (3,)),
    ((2, 3), (2, 1)),
    ((5, 1, 2), (3, 1)),
    ((3, 2), (1, 1)),
)
SIZES = {1: ((40,), (5,)), 2: ((9, 13), (3, 2)), 3: ((5, 6, 7), (2, 3, 2))}


def by_loop(corr, x, k, *where, **how):
    """A call for each element."""
    rank = int(corr.__name__[-2])
    batch = np.broadcast_shapes(x.shape[:-rank], k.shape[:-rank])
    x, k = (np.broadcast_to(a, (*batch, *a.shape[-rank:])) for a in (x, k))
    made = [corr(x[at], k[at], *where, **how) for at in np.ndindex(batch)]
    return np.stack(made).reshape(*batch, *made[0].shape)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "uint8", "int64"])
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_each_element_by_itself(isa, rng, rank, batches, dtype):
    """To the bit; SciPy has the same sums."""
    size, taps = SIZES[rank]
    x, k = (cases.integers(rng, (*b, *s), dtype) for b, s in zip(batches, (size, taps), strict=True))
    for verb in ("corr", "convolve"):
        f = getattr(fastconv, f"{verb}{rank}d")
        for where in (("valid",), ("same", "reflect"), ("full", "constant", 2)):
            y = f(x, k, *where)
            cases.assert_same_bits(y, by_loop(f, x, k, *where), (verb, where))
            cases.assert_same_bits(f(x, k, *where), y)  # by its plan
            cases.assert_same_bits(y, getattr(reference, f.__name__)(x, k, *where), (verb, where))
    over = np.broadcast_shapes(*batches)
    x, k = (np.broadcast_to(a, (*over, *a.shape[-rank:])).astype("complex128") for a in (x, k))
    expected = [scipy.signal.convolve(x[at], k[at], "valid") for at in np.ndindex(over)]
    np.testing.assert_array_equal(f(x, k).reshape(len(expected), *expected[0].shape), expected)


OPTIONS = {
    "stride": {"stride": 2},
    "dilation": {"dilation": (2, 1)},
    "window": {"window": (slice(1, 6), slice(0, 9, 2))},
    "nan": {"nan": "ignore", "return_weight": True},
    "direct": {"method": "direct"},
    "im2col": {"method": "im2col"},
    "fft": {"method": "fft"},
    "fft, nan": {"method": "fft", "nan": "ignore"},
    "dtype": {"dtype": np.float64},
    "integers": {"dtype": np.int16, "overflow": "saturate"},
    "threads": {"threads": 3},
    "numpy": {"method": "numpy"},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options(tiny_chunks, monkeypatch, rng, option):
    monkeypatch.setattr("fastconv.costs.MISSING_BAND", int(rng.choice([50, 400, 10000])))
    x, k = cases.reals(rng, (2, 1, 12, 15), "float32"), 20 * cases.reals(rng, (3, 4, 5), "float32")
    x[rng.random(x.shape) < 0.1] = np.nan if "nan" in option else 0
    how = OPTIONS[option]
    y, expected = fastconv.corr2d(x, k, "same", "wrap", **how), []
    for i in range(2):
        expected += [fastconv.corr2d(x[i, 0], k[j], "same", "wrap", **how) for j in range(3)]
    if not isinstance(y, tuple):
        y, expected = (y,), [(e,) for e in expected]
    for got, *parts in zip(y, *expected, strict=True):
        cases.assert_same_bits(got, np.stack(parts).reshape(got.shape), option)
    out = np.zeros(y[0].shape[::-1], y[0].dtype).T
    fastconv.corr2d(x, k, "same", "wrap", out=out, **how)
    np.testing.assert_array_equal(out, y[0])


def test_methods_of_each(rng):
    """Each kernel gets what is fastest for it: an outer product, a box, neither; one plan for all that have none."""
    plain, outer, box = (
        cases.reals(rng, (31, 31), "float32"),
        np.outer(np.hanning(31), np.hanning(31)),
        np.ones((31, 31)),
    )
    x = cases.reals(rng, (3, 64, 70), "float32")
    k = np.stack([plain, outer, box]).astype("float32")
    for f in (fastconv.corr2d, fastconv.convolve2d):
        for how in ({}, {"nan": "ignore"}):
            y = f(x, k, "same", "edge", **how)
            for i in range(3):
                cases.assert_same_bits(y[i], f(x[i], k[i], "same", "edge", **how), (i, how))

    def common(k):
        c = correlation_arguments(2, np.zeros((500, 500), "float32"), k.astype("float32"), Options("same"))
        return methods.choose_for_all(c, "auto")

    assert common(k) is None
    for structured in (outer, box, np.full((31, 31), np.nan)):
        assert common(np.stack([plain, structured])) is None
    assert common(np.stack([plain, plain + 1])).method == "fft"
    assert common(np.stack([plain, plain + 1])[:, :9, :9]).method == "direct"


@pytest.mark.parametrize("shape", [(7, 7), (5, 6, 7)])
def test_outer_products_are_found_among_others(rng, shape):
    for dtype in ("float32", "float64"):
        k = cases.reals(rng, (40, *shape), dtype)
        for i in range(0, 40, 2):
            vectors = [rng.standard_normal(n) * 10.0 ** rng.integers(-9, 9) for n in shape]
            k[i] = np.multiply.outer(vectors[0], vectors[1] if len(shape) == 2 else np.multiply.outer(*vectors[1:]))
        found = factors.may_be_outer_products(k, k.dtype)
        taken = [bool(factors.factorize(one.tobytes(), one.dtype, one.shape, 1)) for one in k]
        assert (found == (np.arange(40) % 2 == 0)).all() and (found | ~np.array(taken)).all() and sum(taken) > 10


def test_axes(rng):
    """The kernel's own axes are its last ones; the result has those of x in their places, and more in front."""
    pixels, k = cases.reals(rng, (9, 11, 3), "float32"), cases.reals(rng, (3, 2, 4), "float32")
    y = fastconv.corr2d(pixels, k, axes=(0, 1))
    assert y.shape == (8, 8, 3) and y.flags.c_contiguous
    for i in range(3):
        cases.assert_same_bits(y[..., i], fastconv.corr2d(np.ascontiguousarray(pixels[..., i]), k[i]))
    for axes in ((0, 1), (-3, -2)):
        bank = fastconv.corr2d(pixels, cases.reals(rng, (5, 1, 2, 4), "float32"), axes=axes)
        assert bank.shape == (5, 8, 8, 3)
    out = np.empty((5, 11, 9), "float32")
    x, k = cases.reals(rng, (11, 9), "float32"), cases.reals(rng, (5, 3), "float32")
    assert fastconv.corr1d(x, k[:, None], "same", axis=0, out=out) is out
    cases.assert_same_bits(out[2], fastconv.corr1d(x, k[2], "same", axis=0))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_no_kernels(shape):
    y = fastconv.corr1d(np.ones(8), np.ones(shape))
    assert y.shape == (*shape[:-1], 6)
    assert fastconv.corr1d(np.ones((0, 8)), np.ones((1, 3))).shape == (0, 6)


def test_mask_has_the_axes_of_x(rng):
    x, k, mask = (
        cases.reals(rng, (2, 30), "float64"),
        np.abs(cases.reals(rng, (3, 1, 4), "float64")),
        rng.random(30) < 0.7,
    )
    y = fastconv.corr1d(x, k, mask=mask)
    for i in range(3):
        np.testing.assert_array_equal(y[i], fastconv.corr1d(x, k[i, 0], mask=mask))


def test_integers_that_do_not_fit(rng):
    """The heaviest kernel decides; out is untouched."""
    x, out = np.full((2, 9), 200, np.uint8), np.full((2, 8), 7, np.uint8)
    with pytest.raises(OverflowError, match="does not fit into uint8"):
        fastconv.corr1d(x, np.array([[1, 0], [1, 1]]), dtype=np.uint8, out=out)
    assert (out == 7).all()
    y = fastconv.corr1d(np.full((2, 3), 2**62), np.array([[1, 0], [1, -1]]))
    assert y.tolist() == [[2**62] * 2, [0] * 2]
    with pytest.raises(OverflowError):
        fastconv.corr1d(np.full((2, 3), 2**62), np.array([[1, 0], [1, 1]]))


def test_an_error_of_another_element_is_raised_before_a_sum_that_does_not_fit(rng):
    """Transformed elements are stored one by one; the reference stores all at once, and sees a NaN first."""
    x, k, mask = rng.random((3, 9)), np.ones((3, 2)), np.ones((3, 9), bool)
    x[0], k[2], mask[:, 4] = 1e6, np.nan, False
    out = np.full((3, 8), 7, np.uint8)
    for method in ("fft", "numpy"):
        for kernels, error in ((k, ValueError), (np.ones((3, 2)), OverflowError)):
            with pytest.raises(error, match="a sum"):
                fastconv.corr1d(x, kernels, dtype="uint8", mask=mask, out=out, method=method)
            assert (out == 7).all()


def test_out_is_untouched_where_memory_is_short(monkeypatch, rng):
    core = pytest.importorskip("fastconv._core")
    x, k = cases.reals(rng, (40, 300), "float64"), cases.reals(rng, (40, 100), "float64")
    expected = fastconv.corr1d(x, k, method="fft")
    out = np.zeros_like(expected)
    for allocations in range(40):
        core.alloc_fail_after(allocations)
        try:
            fastconv.corr1d(x, k, method="fft", out=out)
            break
        except MemoryError:
            assert not out.any()
        finally:
            core.alloc_fail_after(-1)
    assert allocations > 2
    cases.assert_same_bits(out, expected)


def test_checked(rng):
    x, k = cases.reals(rng, (4, 30, 31), "float32"), cases.reals(rng, (4, 12, 11), "float32")
    k[1] = 1
    with fastconv.checked():
        for how in ({}, {"method": "fft"}, {"nan": "ignore", "return_weight": True}, {"dtype": np.int32}):
            fastconv.corr2d(x, k[:1], **how)
            fastconv.corr2d(x, k, **how)


def test_explain():
    told = fastconv.explain((100, 64), (100, 5), rank=1)
    assert (told.method, told.shape) == ("direct", (100, 60))
    assert fastconv.explain((100, 64, 64), np.ones((2, 1, 40, 40)), rank=2).why.startswith("each kernel by itself")
    for rank in (0, 4, "1"):
        with pytest.raises((ValueError, TypeError), match="rank must be"):
            fastconv.explain((9, 9), (3, 3), rank=rank)
