# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of pictures: beside SciPy's, OpenCV's and scikit-image's, by both derivatives and by norms of them."""

from __future__ import annotations

import contextlib

import cases
import numpy as np
import pytest
import scipy.ndimage

import fastconv
from fastconv import corr2d, gradient, kernels, ndimage, reference
from fastconv.arguments.derivatives import gradient_arguments
from fastconv.runtime import _core

NORMS = (None, "l1", "l2")
NAMED = {"sobel": kernels.sobel, "scharr": kernels.scharr, "prewitt": kernels.prewitt}
SCIPY = {"edge": "nearest", "reflect": "mirror", "symmetric": "reflect", "wrap": "wrap", "constant": "constant"}


def normed(parts, norm):
    """What is asked for, of derivatives in float64."""
    if norm is None:
        return parts
    return np.abs(parts).sum(0) if norm == "l1" else np.sqrt((parts**2).sum(0))


def whole(rng, shape, dtype="f4"):
    """Small integers, whose sums are exact."""
    return rng.integers(0, 20, shape).astype(dtype)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 5), (7, 3), (3, 17), (40, 33), (9, 300), (70, 150)])
def test_beside_scipy(rng, isa, norm, shape):
    for dtype, boundary in zip(["f4", "f8", "u1", "i2", "?"], SCIPY, strict=True):
        x = whole(rng, shape, dtype)
        parts = [scipy.ndimage.sobel(x.astype(float), axis, mode=SCIPY[boundary]) for axis in (0, 1)]
        got = gradient(x, "sobel", "same", boundary, norm=norm)
        assert got.dtype == (dtype if dtype in ("f4", "f8") else "f4")
        np.testing.assert_allclose(got, normed(np.array(parts), norm), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", NAMED)
def test_named_kernels(rng, name):
    x = whole(rng, (20, 30))
    for size in (None, 3, 5, 7) if name != "scharr" else (None,):
        make = NAMED[name]
        pair = [make(axis, **({} if size is None else {"size": size})) for axis in (0, 1)]
        for mode in ("same", "valid", "full"):
            parts = np.array([corr2d(x, k, mode, "edge") for k in pair], float)
            for norm in NORMS:
                np.testing.assert_allclose(
                    gradient(x, name, mode, size=size, norm=norm), normed(parts, norm), rtol=1e-6
                )


def test_taps_of_ones_own(rng):
    x = rng.random((12, 15))
    np.testing.assert_allclose(
        gradient(x, ([-0.5, 0, 0.5], [0, 1, 0]), "valid"),
        np.array(np.gradient(x))[:, 1:-1, 1:-1],
        rtol=1e-12,
        atol=1e-12,
    )
    dy, dx = gradient(x, ([-1, 1], [1, 1]), "valid", axes=(1, 0))  # an even kernel; axes exchanged
    np.testing.assert_allclose(dy, corr2d(x, np.array([[-1.0, 1], [-1, 1]])), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, corr2d(x, np.array([[-1.0, -1], [1, 1]])), rtol=1e-12, atol=1e-12)
    long = rng.random(40), rng.random(40)
    expected = np.array([corr2d(x, np.outer(*two), "same", "reflect") for two in (long, long[::-1])])
    np.testing.assert_allclose(gradient(x, long, boundary="reflect"), expected, rtol=1e-11)
    assert gradient(x.astype("f4"), long).dtype == np.float32


@pytest.mark.parametrize("norm", NORMS)
def test_batches_and_channels(rng, isa, norm):
    x = whole(rng, (2, 9, 40, 3))
    got = gradient(x, norm=norm, axes=(1, 2))
    assert got.flags.c_contiguous
    for n, c in np.ndindex(2, 3):
        np.testing.assert_array_equal(got[..., n, :, :, c], gradient(np.ascontiguousarray(x[n, ..., c]), norm=norm))
    np.testing.assert_array_equal(gradient(x.transpose(3, 0, 1, 2), norm=norm), np.moveaxis(got, -1, -4))


@pytest.mark.parametrize("norm", NORMS)
def test_integers_are_rounded_and_saturated(rng, isa, norm):
    x = rng.integers(0, 256, (40, 90)).astype("u1")
    wide = gradient(x, "scharr", norm=norm).astype(float)
    for dtype in ("u1", "i1", "u2", "i2", "i4", "i8"):
        info = np.iinfo(dtype)
        expected = np.rint(wide).clip(info.min, info.max)
        np.testing.assert_array_equal(gradient(x, "scharr", norm=norm, dtype=dtype, overflow="saturate"), expected)
        does_fit = np.rint(wide).min() >= info.min and np.rint(wide).max() <= info.max
        out = np.full(wide.shape, 77, dtype)
        with contextlib.nullcontext() if does_fit else pytest.raises(OverflowError):
            gradient(x, "scharr", norm=norm, dtype=dtype, out=out)
        np.testing.assert_array_equal(out, expected if does_fit else 77)


@pytest.mark.parametrize("kernel", ["sobel", "scharr", ([-60, 0, 60], [1, 3, 1])])
def test_bytes_are_summed_in_integers(rng, isa, kernel):
    """Both derivatives, and their absolute values, in 16 bits where these hold them; narrow, wide, into views."""
    for (h, w), boundary in zip([(1, 1), (9, 40), (6, 63), (30, 131), (7, 1100)], SCIPY, strict=True):
        x = rng.integers(0, 256, (h, w, 3), np.uint8)
        x[h // 2 :, w // 2 :] = 255
        parts = gradient(x.astype(float), kernel, "same", boundary, 9, axes=(0, 1))
        for dtype in (np.int16, np.uint16, np.uint8):
            asked = {"axes": (0, 1), "dtype": dtype, "overflow": "saturate"}
            info = np.iinfo(dtype)
            for norm in (None, "l1"):
                expected = normed(parts, norm).clip(info.min, info.max)
                np.testing.assert_array_equal(gradient(x, kernel, "same", boundary, 9, norm=norm, **asked), expected)
                alone = gradient(x[..., 1], kernel, "same", boundary, 9, norm=norm, **(asked | {"axes": None}))
                np.testing.assert_array_equal(alone, expected[..., 1])
                out = np.zeros((*expected.shape[:-1], 6), dtype)[..., ::2]
                gradient(x, kernel, "same", boundary, 9, norm=norm, out=out, **asked)
                np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("norm", NORMS)
def test_layouts_and_out(rng, isa, norm):
    x = rng.random((40, 70)).astype("f4")
    right = gradient(x, norm=norm)
    foreign = x.astype(">f4")
    odd = np.empty(x.nbytes + 1, np.uint8)[1:].view("f4").reshape(x.shape)
    odd[...] = x
    for same in (x[::-1][::-1], np.asfortranarray(x), foreign, odd, x.repeat(2, 1)[:, ::2]):
        np.testing.assert_array_equal(gradient(same, norm=norm), right)
    for out in (
        np.empty(right.shape, "f4"),
        np.empty(right.shape[::-1], "f4").T,
        np.empty((*right.shape, 2), "f4")[..., 0],
        np.empty(right.nbytes + 1, np.uint8)[1:].view("f4").reshape(right.shape),
    ):
        assert gradient(x, norm=norm, out=out) is out
        np.testing.assert_array_equal(out, right)
    if norm:
        both = x.copy()
        assert gradient(both, norm=norm, out=both) is both
        np.testing.assert_array_equal(both, right)
    stacked = np.concatenate([x[None], x[None]])
    gradient(stacked[1], out=stacked)
    np.testing.assert_array_equal(stacked, gradient(x))


@pytest.mark.parametrize("norm", NORMS)
def test_bits_do_not_depend_on_how_it_is_cut(rng, isa, norm):
    x = rng.random((300, 200)).astype("f4")
    right = gradient(x, "scharr", norm=norm, threads=1)
    np.testing.assert_array_equal(gradient(x[20:90, 31:150], "scharr", "valid", norm=norm), right[..., 21:89, 32:149])
    if _core is None:
        return
    _core.tune(7, 0, 0)  # small bands, threads and stores past the caches
    try:
        np.testing.assert_array_equal(gradient(x, "scharr", norm=norm, threads=3), right)
    finally:
        _core.tune()
    if isa != "base":
        with fastconv.use_isa("avx2") if "avx2" in fastconv.isas() else contextlib.nullcontext():
            np.testing.assert_array_equal(gradient(x, "scharr", norm=norm), right)


def test_not_finite_and_extreme(rng, isa):
    x = rng.random((9, 12)).astype("f4")
    x[4, 5], x[1, 1] = np.nan, np.inf
    for norm in NORMS:
        with fastconv.checked():
            got = gradient(x, norm=norm)
        assert np.isnan(got[..., 3:6, 4:7]).all()
        assert np.isfinite(got[..., 6:, 8:]).all()
        with pytest.raises(ValueError, match="NaN"):
            gradient(x, norm=norm, dtype=np.uint8, overflow="saturate")
    for scale in (1e-40, 1e-25, 1e18, 1e30):
        with fastconv.checked():
            gradient(np.nan_to_num(x, posinf=1) * np.float32(scale), norm="l2")


@pytest.mark.parametrize("norm", NORMS)
def test_within_the_bound(rng, isa, norm):
    for dtype, asked in (("f4", None), ("f8", None), ("f2", "f2"), ("f4", "f8"), ("f8", "f4"), ("i4", None)):
        x = (rng.random((30, 50)) * 100).astype(dtype)
        for kernel in ("sobel", (rng.random(9) - 0.5, rng.random(9))):
            how = {"norm": norm, "dtype": asked, "boundary": "wrap"}
            got, right = gradient(x, kernel, **how), gradient(x, kernel, method="numpy", **how)
            bound = reference.gradient_error_bound(gradient_arguments(x, kernel, **how))
            assert (np.abs(got.astype(float) - right) <= bound).all()
            assert bound.max() < (1e-3 if "f2" not in (asked, dtype) else 10) * max(float(np.abs(right).max()), 1)
            with fastconv.checked():
                np.testing.assert_array_equal(gradient(x, kernel, **how), got)


def test_plans_are_found(rng):
    x, y = rng.random((2, 20, 30)).astype("f4")
    for how in ({}, {"norm": "l2"}, {"norm": "l2", "dtype": np.int16}, {"kernel": ([-1, 1], [1, 1])}):
        gradient(x, **how)
        before = fastconv.cache_info().hits
        np.testing.assert_array_equal(gradient(y, **how), np.asarray(gradient(y.copy(), method="auto", **how)))
        assert _core is None or fastconv.cache_info().hits > before


def test_beside_opencv_and_scikit_image(rng):
    cv2, filters = pytest.importorskip("cv2"), pytest.importorskip("skimage.filters")
    x = rng.integers(0, 256, (60, 80)).astype("u1")
    dy, dx = gradient(x, boundary="reflect", dtype=np.int16)
    for ours, theirs in zip((dx, dy), cv2.spatialGradient(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    floats = x.astype("f8")
    for name, divisor in (("sobel", 4), ("scharr", 16), ("prewitt", 3)):
        theirs = getattr(filters, name)(floats, mode="reflect")
        ours = gradient(floats, name, boundary="symmetric", norm="l2") / (divisor * np.sqrt(2))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "how"),
    [
        (ValueError, "kernel must be one of sobel, scharr, prewitt", {"kernel": "roberts"}),
        (ValueError, "two arrays of taps", {"kernel": [1, 0, -1]}),
        (ValueError, r"shape \(n,\)", {"kernel": ([1, -1], [1, 2, 1])}),
        (ValueError, r"shape \(n,\)", {"kernel": ([], [])}),
        (TypeError, "kernel must be real", {"kernel": ([1j, -1], [1, 1])}),
        (ValueError, "size must be None for kernel 'scharr'", {"kernel": "scharr", "size": 5}),
        (ValueError, "size must be None for a kernel of given taps", {"kernel": ([1, -1], [1, 1]), "size": 2}),
        (ValueError, "size must be odd", {"size": 4}),
        (TypeError, "size must be an integer", {"size": (3, 5)}),
        (ValueError, "norm must be one of", {"norm": "l3"}),
        (ValueError, "method must be one of auto, numpy", {"method": "direct"}),
        (ValueError, "mode must be one of", {"mode": "smae"}),
        (ValueError, "axes must not repeat", {"axes": (0, 0)}),
        (ValueError, "at least 2 dimensions", {"x": np.ones(5)}),
        (TypeError, "x must be real", {"x": np.ones((4, 4), complex)}),
        (TypeError, "dtype must be an integer or float dtype", {"dtype": complex}),
        (ValueError, "does not fit into x", {"mode": "valid", "size": 9}),
        (ValueError, "out has shape", {"out": np.empty((6, 7), "f4")}),
        (TypeError, "out has dtype", {"out": np.empty((2, 6, 7))}),
    ],
)
def test_errors(error, message, how):
    with pytest.raises(error, match=message):
        gradient(**{"x": np.ones((6, 7), "f4")} | how)


def test_no_memory(rng):
    if _core is None:
        pytest.skip("allocations of compiled code")
    x = rng.random((300, 400)).astype("f4")
    for norm in NORMS:
        out = np.full(gradient(x, norm=norm).shape, 7, "f4")
        fastconv.clear_cache()
        _core.alloc_fail_after(0)
        try:
            with pytest.raises(MemoryError):
                gradient(x, norm=norm, out=out)
        finally:
            _core.alloc_fail_after(-1)
        assert (out == 7).all()


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i4", ">f4"])
def test_magnitude_of_gaussians_has_the_bits_of_scipy(rng, isa, dtype):
    calls = [
        ((70, 150), 1.5, {}),
        ((9, 300), (0.7, 2), {"mode": "wrap"}),
        ((1, 5), 1, {"mode": "mirror"}),
        ((40, 90), 2, {"mode": ["nearest", "constant"], "cval": 3.0}),
        ((40, 90), 2, {"mode": "constant", "cval": -2.5, "truncate": 2}),
        ((40, 90), 1, {"axes": (1, 0)}),
        ((40, 90), (0, 1), {"radius": 3}),
        ((12, 14, 16), 1, {"axes": (0, 2)}),
        ((30, 40, 3), (1, 1, 0), {"axes": (0, 1)}),
        ((40, 90), 1.2, {"output": "f4"}),
        ((40, 90), 1.2, {"output": "f8"}),
    ]
    for shape, sigma, how in calls:
        x = (rng.standard_normal(shape) * 50).astype(dtype)
        theirs = scipy.ndimage.gaussian_gradient_magnitude(x, sigma, **how)
        for _ in range(2):  # planned, and again
            assert ndimage.gaussian_gradient_magnitude(x, sigma, **how).tobytes() == theirs.tobytes(), (shape, how)
        if "output" not in how:
            inside = x.copy()
            ndimage.gaussian_gradient_magnitude(inside, sigma, output=inside, **how)
            np.testing.assert_array_equal(inside, theirs)


@pytest.mark.parametrize("dtype", ["f4", "i4"])
def test_outputs_are_left_alone_where_memory_is_short(rng, dtype):
    if _core is None:
        pytest.skip("allocations of compiled code")
    x = (rng.random((60, 70)) * 100).astype(dtype)
    for is_planned in (False, True):
        for allocations in range(40):
            fastconv.clear_cache()
            out = np.full_like(x, 7)
            if is_planned:
                ndimage.gaussian_gradient_magnitude(x, 1, output=out.copy())
            _core.alloc_fail_after(allocations)
            try:
                ndimage.gaussian_gradient_magnitude(x, 1, output=out)
                assert allocations > 0
                break
            except MemoryError:
                assert (out == 7).all()
            finally:
                _core.alloc_fail_after(-1)
        else:
            pytest.fail("it never succeeds")


@pytest.mark.parametrize("norm", [None, "l1", "l2"])
def test_bits_of_wide_pictures(isa, rng, norm):
    """Where rows are long, both derivatives are made at once of each row, beside pieces of which they are not."""
    for dtype in ("float32", "float64"):
        x = cases.reals(rng, (21, 407), dtype)
        whole = fastconv.gradient(x, mode="valid", norm=norm)
        for at in (slice(0, 200), slice(210, 405)):
            piece = fastconv.gradient(x[:, at.start : at.stop + 2], mode="valid", norm=norm)
            cases.assert_same_bits(piece, whole[..., at], (dtype, at))
