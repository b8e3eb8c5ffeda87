# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of bytes and of 16 bits to such pictures, by outer products of floats."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv

PADS = ("reflect", "symmetric", "edge", "wrap", "constant")
HOW = {"overflow": "saturate"}


def pixels(rng, shape, dtype="uint8"):
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def taps(rng, h, w, scale=1.0):
    """Some of them below zero."""
    a, b = rng.random(h) - 0.1, rng.random(w) - 0.1
    return np.outer(a / np.abs(a).sum(), scale * b / np.abs(b).sum()).astype(np.float32)


def exact(x, k, boundary, fill=0.0):
    """Sums over windows of the padded picture, in float64."""
    pads = [((n - 1) // 2, n - 1 - (n - 1) // 2) for n in k.shape]
    more = {"constant_values": fill} if boundary == "constant" else {}
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x.astype(float), pads, mode=boundary, **more), k.shape)
    info = np.iinfo(x.dtype)
    return np.einsum("ijab,ab->ij", windows, k.astype(float)).clip(info.min, info.max)


def check(y, x, k, boundary="reflect", fill=0.0, what=""):
    """Beside sums in float64, and the bits of sums that stay floats."""
    info = np.iinfo(x.dtype)
    assert y.dtype == x.dtype
    assert np.abs(y - exact(x, k, boundary, fill)).max(initial=0) <= 0.5 + 1e-5 * info.max, what
    sums = fastconv.corr2d(x, k, "same", boundary, fill, method="separable")
    np.testing.assert_array_equal(y, np.rint(sums).clip(info.min, info.max), what)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 5), (7, 9), (17, 3)])
def test_every_boundary_and_width(isa, rng, dtype, shape):
    k = taps(rng, *shape)
    for boundary, width in zip([*PADS, *PADS], (*range(127, 132), 160, 191, 256, 257, 333), strict=True):
        for rows in (1, 2, 23):
            x = pixels(rng, (rows, width), dtype)
            if boundary == "reflect" and rows == 1:
                x = np.repeat(x, 2, 0)
            y = fastconv.corr2d(x, k, "same", boundary, 7, dtype=dtype, **HOW)
            check(y, x, k, boundary, 7, f"{rows}x{width} {boundary}")


def test_of_brighter_pictures(isa, rng):
    """What is more than the type holds, or less than 0, and halves, which become even numbers."""
    x = pixels(rng, (40, 300))
    steep = np.outer([0.3, 0.4, 0.3], [1e3, -2e3, 1e3]).astype(np.float32)
    for k in (taps(rng, 3, 3, 5.0), taps(rng, 7, 7, -2.0), steep):
        check(fastconv.corr2d(x, k, "same", "reflect", dtype=np.uint8, **HOW), x, k)
    half = np.outer([0, 1, 0], [1 / 3, 0.5, 0]).astype(np.float32)
    y = fastconv.corr2d(2 * (x // 2) + 1, half * [0, 1, 0], "same", dtype=np.uint8, **HOW)
    np.testing.assert_array_equal(y, np.rint((2 * (x // 2) + 1) / 2))


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_colours(isa, rng, channels):
    k = taps(rng, 5, 7)
    for dtype in ("uint8", "uint16"):
        x = pixels(rng, (21, 90, channels), dtype)
        for boundary in PADS:
            y = fastconv.corr2d(x, k, "same", boundary, 9, axes=(0, 1), dtype=dtype, **HOW)
            for c in range(channels):
                check(y[..., c], x[..., c], k, boundary, 9, f"{boundary} {c}")


def test_layouts(isa, rng, tiny_chunks):
    """Batches, views, windows, modes, out=, foreign byte orders, threads, columns further apart: the same as planes."""
    k, how = taps(rng, 5, 3), {"dtype": np.uint16, **HOW}
    x = pixels(rng, (2, 70, 301), "uint16")
    y = fastconv.corr2d(x, k, "same", "symmetric", **how)
    for plane, result in zip(x, y, strict=True):
        check(result, plane, k, "symmetric")
    for same in (x[:, ::-1], x[:, :, ::-1], x.astype(">u2"), np.repeat(x, 2, -1)[..., ::2]):
        planes = [np.ascontiguousarray(plane, "uint16") for plane in same]
        expected = np.stack([fastconv.corr2d(plane, k, "same", "symmetric", **how) for plane in planes])
        np.testing.assert_array_equal(fastconv.corr2d(same, k, "same", "symmetric", threads=3, **how), expected)
    np.testing.assert_array_equal(fastconv.corr2d(x, k, **how), y[:, 2:-2, 1:-1])
    part = slice(3, 60), slice(5, 290)
    np.testing.assert_array_equal(fastconv.corr2d(x, k, "same", "symmetric", window=part, **how), y[:, 3:60, 5:290])
    out = np.zeros((2, 70, 602), "uint16")
    fastconv.corr2d(x, k, "same", "symmetric", out=out[..., 1::2], **how)
    np.testing.assert_array_equal(out[..., 1::2], y)
    assert not out[..., ::2].any()
    for dilation in ((1, 4), (3, 2)):
        apart = fastconv.corr2d(x[0], k, "same", "edge", dilation=dilation, **how)
        spread = np.zeros((4 * dilation[0] + 1, 2 * dilation[1] + 1), np.float32)
        spread[:: dilation[0], :: dilation[1]] = k
        assert np.abs(apart - exact(x[0], spread, "edge")).max() <= 0.7
    shared = x[0].copy()
    fastconv.corr2d(shared, k, "same", "symmetric", out=shared, **how)
    np.testing.assert_array_equal(shared, y[0])


def test_errors(isa, rng):
    """Sums that do not fit, fill values that are no bytes, taps that are not finite."""
    x = pixels(rng, (30, 200))
    x[10:20, 50:60] = 255
    smooth, sharp = np.abs(taps(rng, 3, 3)), np.abs(taps(rng, 3, 3, 9.0))
    smooth /= smooth.sum() * np.float32(1 + 1e-6)
    np.testing.assert_array_equal(
        fastconv.corr2d(x, smooth, "same", dtype=np.uint8), fastconv.corr2d(x, smooth, "same", dtype=np.uint8, **HOW)
    )
    with pytest.raises(OverflowError):
        fastconv.corr2d(x, sharp, "same", dtype=np.uint8)
    for fill in (-3, 2.5, 300, 1e9):
        y = fastconv.corr2d(x, smooth, "same", "constant", fill, dtype=np.uint8, **HOW)
        sums = fastconv.corr2d(x, smooth, "same", "constant", fill, method="separable")
        np.testing.assert_array_equal(y, np.rint(sums).clip(0, 255))
    for bad in (np.nan, np.inf):
        k = smooth.copy()
        k[1, 1] = bad
        if np.isnan(bad):
            with pytest.raises(ValueError, match="NaN"):
                fastconv.corr2d(x, k, "same", dtype=np.uint8, **HOW)


def test_separable_factors(isa, rng):
    """Of sepcorr2d, whatever they sum to."""
    x = pixels(rng, (33, 257))
    for scale in (1.0, 1e-20, 1e20):
        ky, kx = (rng.random(5) * scale / 2.5).astype(np.float32), (rng.random(9) / scale / 4.5).astype(np.float32)
        y = fastconv.sepcorr2d(x, ky, kx, "same", "edge", dtype=np.uint8, **HOW)
        sums = fastconv.sepcorr2d(x, ky, kx, "same", "edge")
        np.testing.assert_array_equal(y, np.rint(sums).clip(0, 255))


def test_one_method_decides_bits(rng):
    """What else is asked for, or which batch a picture is in, does not: sums near a half are rounded alike."""
    x, a, b = pixels(rng, (3, 90, 300), "uint16"), rng.random((3, 3)), rng.random((3, 3))
    kernels = np.stack([np.outer(u / u.sum(), v / v.sum()) for u, v in zip(a, b, strict=True)]).astype(np.float32)
    how = {"mode": "same", "boundary": "edge", "dtype": "uint16"}
    one = np.stack([fastconv.corr2d(image, k, **how, **HOW) for image, k in zip(x, kernels, strict=True)])
    np.testing.assert_array_equal(fastconv.corr2d(x, kernels, **how, **HOW), one)
    for more in {"overflow": "wrap"}, {"nan": "ignore"}, {"mask": np.ones(x[0].shape, bool)}:
        np.testing.assert_array_equal(fastconv.corr2d(x[0], kernels[0], **how, **more), one[0], str(more))
