# SPDX-License-Identifier: BSD-3-Clause
"""Images of small integers to small integers, by kernels whose sums are whole numbers, exact and divided exactly."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv import methods, small_results
from fastconv.arguments.correlation import Options, correlation_arguments

PADS = {"reflect": "reflect", "symmetric": "symmetric", "edge": "edge", "wrap": "wrap", "constant": "constant"}
BINOMIAL = np.array([1, 4, 6, 4, 1])
# taps as whole numbers, and what they are divided by
KERNELS = {
    "binomial 3": (np.outer([1, 2, 1], [1, 2, 1]), 16),
    "binomial 5": (np.outer(BINOMIAL, BINOMIAL), 256),
    "binomial 1x5": (BINOMIAL[None], 16),
    "box 3": (np.ones((3, 3), int), 9),
    "box 5x3": (np.ones((5, 3), int), 15),
    "box 15": (np.ones((15, 15), int), 225),
    "box 4": (np.ones((4, 4), int), 16),
    "box 1x7": (np.ones((1, 7), int), 7),
    "box 33x31": (np.ones((33, 31), int), 33 * 31),
    "box 17x1": (np.ones((17, 1), int), 17),
    "no outer product": (np.array([[1, 0, 2], [0, 3, 1], [5, 1, 0]]), 16),
    "tent, brighter": (np.outer([1, 2, 1], [1, 2, 1]), 9),
    "one tap": (np.array([[3]]), 2),
}


def pixels(rng, shape, dtype="uint8"):
    """All values that the dtype has."""
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape, dtype)


def exact(x, k, divisor, boundary="constant", fill=0, dtype=np.uint8):
    """Sums over windows of the padded image, in Python's order of magnitude; half to even."""
    pads = [((n - 1) // 2, n - 1 - (n - 1) // 2) for n in k.shape]
    more = {"constant_values": fill} if boundary == "constant" else {}
    wide = np.pad(x.astype(np.int64), pads, mode=PADS[boundary], **more)
    windows = np.lib.stride_tricks.sliding_window_view(wide, k.shape)
    info = np.iinfo(dtype)
    return np.rint((windows * k).sum((-2, -1)) / divisor).clip(info.min, info.max).astype(dtype)


@pytest.mark.parametrize("name", KERNELS)
def test_quotients(isa, rng, name):
    k, divisor = KERNELS[name]
    for (h, w), boundary in zip([(17, 40), (33, 70), (16, 131), (20, 1100)], PADS, strict=False):
        x = pixels(rng, (h, w))
        for dtype in ("uint8", "int8", "uint16", "int16"):
            y = fastconv.corr2d(x, k / divisor, "same", boundary, 7, dtype=dtype, overflow="saturate")
            np.testing.assert_array_equal(y, exact(x, k, divisor, boundary, 7, dtype), f"{name} {x.shape} {dtype}")


@pytest.mark.parametrize("name", KERNELS)
def test_float32_taps_and_every_width(isa, rng, name):
    k, divisor = KERNELS[name]
    x = pixels(rng, (19, 80))
    for width in (*range(16, 36), 63, 64, 65, 80):
        part = x[:, 80 - width :]
        taps = (k / divisor).astype("float32")
        y = fastconv.corr2d(part, taps, "same", "reflect", dtype="uint8", overflow="saturate")
        np.testing.assert_array_equal(y, exact(part, k, divisor, "reflect"), f"{name} {width}")


@pytest.mark.parametrize("x_dtype", ["uint8", "int8"])
def test_derivatives(isa, rng, x_dtype):
    """Signed sums, which are stored as they are."""
    x = pixels(rng, (23, 90), x_dtype)
    for k in (fastconv.kernels.sobel(axis=0), fastconv.kernels.scharr(axis=1), fastconv.kernels.laplacian()):
        for boundary in PADS:
            y = fastconv.corr2d(x, k.astype(int), "same", boundary, 5, dtype=np.int16)
            np.testing.assert_array_equal(y, exact(x, k.astype(int), 1, boundary, 5, np.int16))


def test_taps_of_float16_are_what_they_are(rng):
    """What they lack to thirds shows in bytes: it is no rounding of sums, which are made in float32."""
    x, how = pixels(rng, (40, 60)), {"dtype": np.uint8, "overflow": "saturate"}
    k = np.full((5, 27), 1 / 135, np.float16)
    y = fastconv.corr2d(x, k, "same", **how)
    np.testing.assert_array_equal(y, fastconv.corr2d(x, k.astype(np.float64), "same", method="numpy", **how))
    every_other = fastconv.corr2d(x, k, "same", window=(slice(None, None, 2), slice(None)), **how)
    np.testing.assert_array_equal(every_other, y[::2])


def test_layouts(isa, rng, tiny_chunks):
    """Colours, batches, views, windows, out=, threads: the same as planes."""
    k, divisor = KERNELS["binomial 5"]
    image = pixels(rng, (40, 33, 3))
    how = {"dtype": np.uint8, "overflow": "saturate"}
    colours = fastconv.corr2d(image, k / divisor, "same", "reflect", axes=(0, 1), threads=3, **how)
    for c in range(3):
        plane = exact(image[..., c], k, divisor, "reflect")
        np.testing.assert_array_equal(colours[..., c], plane)
        np.testing.assert_array_equal(fastconv.corr2d(image[..., c], k / divisor, "same", "reflect", **how), plane)
        upside = fastconv.corr2d(image[::-1, ::-1, c], k / divisor, "same", "reflect", **how)
        np.testing.assert_array_equal(upside, exact(image[::-1, ::-1, c], k, divisor, "reflect"))
        out = np.zeros((40, 66), np.uint8)
        fastconv.corr2d(image[..., c], k / divisor, "same", "reflect", out=out[:, ::2], **how)
        np.testing.assert_array_equal(out[:, ::2], plane)
        assert not out[:, 1::2].any()
        part = slice(3, 30), slice(5, 9)
        window = fastconv.corr2d(image[..., c], k / divisor, "same", "reflect", window=part, **how)
        np.testing.assert_array_equal(window, plane[part])
    x, k3 = pixels(rng, (7, 9, 70)), KERNELS["binomial 3"]
    smooth = fastconv.corr2d(x, k3[0] / k3[1], "same", "reflect", axes=(0, 1), **how)
    np.testing.assert_array_equal(np.moveaxis(smooth, -1, 0), [exact(x[..., c], *k3, "reflect") for c in range(70)])
    for channels in (2, 3, 4, 5):
        many, box = pixels(rng, (24, 70, channels)), np.ones((5, 9), int)
        average = fastconv.corr2d(many, box / 45, "same", "symmetric", axes=(0, 1), **how)
        wide = fastconv.corr2d(many, np.full((21, 19), 1 / 399), "same", "symmetric", axes=(0, 1), **how)
        for c in range(channels):
            np.testing.assert_array_equal(average[..., c], exact(many[..., c], box, 45, "symmetric"))
            np.testing.assert_array_equal(wide[..., c], exact(many[..., c], np.ones((21, 19), int), 399, "symmetric"))
    batch = fastconv.corr2d(np.moveaxis(image, -1, 0), k / divisor, "same", "reflect", threads=2, **how)
    np.testing.assert_array_equal(batch, np.moveaxis(colours, -1, 0))
    apart = fastconv.corr2d(image[..., 0], k / divisor, "same", dilation=(3, 2), **how)
    spread = np.zeros((13, 9), int)
    spread[::3, ::2] = k
    np.testing.assert_array_equal(apart, exact(image[..., 0], spread, divisor))


def test_out_that_overlaps(rng):
    """Results wait elsewhere; those above 32767 are no less than what 16 bits hold."""
    for k, divisor, dtype in (
        (np.ones((31, 33), int), 1023, np.uint8),
        (np.ones((5, 9), int), 45, np.uint8),
        (np.full((3, 3), 28), 1, np.uint8),
        (np.full((3, 3), 28), 1, np.uint16),
        (np.outer([14, 28, 14], [1, 2, 1]), 1, np.uint16),
    ):
        room = np.zeros((40, 50), dtype)
        x = room.view(np.uint8)[:, :50]
        x[...] = pixels(rng, x.shape)
        expected = exact(x, k, divisor, dtype=dtype)
        fastconv.corr2d(x, k / divisor, "same", dtype=dtype, overflow="saturate", out=room)
        np.testing.assert_array_equal(room, expected, f"{k.shape} {dtype}")


def test_three_axes(isa, rng):
    x = pixels(rng, (5, 9, 40))
    k = np.ones((3, 3, 3)) / 27
    wide = np.lib.stride_tricks.sliding_window_view(x.astype(int), k.shape).sum((-3, -2, -1))
    np.testing.assert_array_equal(fastconv.corr3d(x, k, dtype=np.uint8), np.rint(wide / 27))


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (8, 8), (1, 9), (9, 9), (31, 17), *only_deep((32, 32), (101, 101))])
def test_boxes_of_16_bits(isa, rng, shape):
    """Divided in floats, or by multiplication with whole numbers; colours, and rows and columns beyond all edges."""
    n = shape[0] * shape[1]
    for (h, w), boundary in zip([(17, 40), (33, 70), (16, 131), (1, 5), (120, 110)], PADS, strict=True):
        x = pixels(rng, (h, w, 3), "uint16")
        x[: h // 3] = 65535
        how = {"dtype": np.uint16, "overflow": "saturate"}
        colours = fastconv.corr2d(x, np.full(shape, 1 / n), "same", boundary, 700, axes=(0, 1), **how)
        for c in range(3):
            expected = exact(x[..., c], np.ones(shape, int), n, boundary, 700, np.uint16)
            np.testing.assert_array_equal(colours[..., c], expected, f"{x.shape} {boundary}")
        plane = fastconv.corr2d(np.ascontiguousarray(x[..., 0]), np.full(shape, 1 / n), "same", boundary, 700, **how)
        np.testing.assert_array_equal(plane, colours[..., 0])


@pytest.mark.parametrize("boundary", PADS)
def test_boxes_look_where_the_boundary_says(isa, rng, boundary, tiny_chunks):
    """Windows larger than pictures, pictures that chunks cut, rows that go on at the other end."""
    for dtype, size in (("uint8", (3, 31)), ("uint8", (31, 33)), ("uint16", (9, 15))):
        k = np.ones(size, int)
        for shape in (1, 1), (3, 70), (30, 7), *[(2, 8300)] * (k.size < 100):
            x = pixels(rng, shape, dtype)
            y = fastconv.corr2d(x, k / k.size, "same", boundary, 9, dtype=dtype, overflow="saturate", threads=2)
            np.testing.assert_array_equal(y, exact(x, k, k.size, boundary, 9, dtype), f"{dtype} {shape}")


@pytest.mark.parametrize("boundary", PADS)
def test_three_taps_look_where_the_boundary_says(isa, rng, boundary, tiny_chunks):
    """Pictures narrower than vectors, pixels of three channels, taps further apart than a vector is wide."""
    k = np.outer([1, 2, 1], [-1, 0, 1])
    for shape, dilation in (((1, 1), 1), ((3, 70), (2, 1)), ((70, 3), 1), ((40, 200), (1, 70)), ((9, 330), (3, 5))):
        x = pixels(rng, (*shape, 3))
        how = {"axes": (0, 1), "dtype": "int16", "fillvalue": 9, "dilation": dilation}
        y = fastconv.corr2d(x, k, "same", boundary, threads=2, **how)
        np.testing.assert_array_equal(y, fastconv.corr2d(x, k, "same", boundary, method="numpy", **how), f"{shape}")
        how.pop("dilation")
        y = fastconv.gradient(x, "sobel", "full", boundary, threads=2, **how)
        np.testing.assert_array_equal(y, fastconv.gradient(x, "sobel", "full", boundary, method="numpy", **how))


def asked(x, k, dtype, overflow="saturate", fill=0):
    c = correlation_arguments(2, x, k, Options("same", fillvalue=fill, dtype=dtype, overflow=overflow))
    return small_results.stored(c, methods.choose(c, "auto"))


def test_only_where_16_bits_hold_all_sums(rng):
    x = pixels(rng, (20, 50))
    for k, dtype, overflow, is_short in (
        (np.ones((3, 3)) / 9, np.uint8, "raise", True),
        (np.ones((3, 3)) / 8, np.uint8, "saturate", True),
        (np.ones((3, 3)) / 8, np.uint8, "raise", False),  # some may not fit
        (np.ones((3, 3)) / 10, np.uint8, "saturate", False),  # ties, and no power of two
        (np.ones((17, 17)) / 288, np.uint8, "saturate", False),  # 289 * 255 is more than 65535
        (np.full((3, 3), 0.1234), np.uint8, "saturate", False),
        (np.array([[1, -1]]), np.int16, "raise", True),
        (np.array([[1, -1]]) / 2, np.int16, "raise", False),  # negative, and divided
        (np.array([[100, 100]]), np.int16, "saturate", False),
        (np.array([[100, 100]]), np.uint16, "raise", True),
        (np.array([[np.nan, 1]]), np.uint8, "saturate", False),
        (np.array([[0, 0]]) / 1, np.uint8, "saturate", False),
    ):
        ways = asked(x, k, dtype, overflow)
        assert (ways is not None and ways[0].sum_dtype == np.int16) == is_short, (k, dtype, overflow)
    for shape, in_integers in ((17, 17), True), ((101, 101), True), ((259, 3), False), ((129, 129), False):
        assert (asked(x, np.full(shape, 1 / np.prod(shape)), np.uint8)[0].sum_dtype == np.int32) == in_integers, shape
    assert asked(x, np.ones((3, 3)) / 9, np.uint8, fill=0.5)[0].sum_dtype != np.int16
    assert asked(x.astype(np.int16), np.ones((3, 3)) / 9, np.uint8)[0].sum_dtype != np.int16


def test_float32_where_it_holds_all_sums(isa, rng):
    seven = np.array([4, 14, 28, 36, 28, 14, 4])
    for x_dtype, taps in (("uint8", seven), ("uint16", BINOMIAL), ("int16", BINOMIAL)):
        x, k, divisor = pixels(rng, (21, 40), x_dtype), np.outer(taps, taps), int(taps.sum()) ** 2
        assert asked(x, k / divisor, x.dtype)[0].sum_dtype == np.float32
        y = fastconv.corr2d(x, k / divisor, "same", "reflect", dtype=x.dtype, overflow="saturate")
        np.testing.assert_array_equal(y, exact(x, k, divisor, "reflect", dtype=x.dtype))
    assert asked(x, np.outer(seven, seven) / 2**14, x.dtype)[0].sum_dtype == np.float64


@pytest.mark.parametrize("fill", [np.nan, np.inf, 0.5, 1e300, -1, 300])
def test_any_fillvalue(rng, fill):
    x, k = pixels(rng, (6, 40)), np.outer([1, 2, 1], [1, 2, 1]) / 16
    how = {"dtype": np.uint8, "overflow": "saturate"}
    for method in ("auto", "numpy"):
        if np.isnan(fill):
            with pytest.raises(ValueError, match="NaN"):
                fastconv.corr2d(x, k, "same", fillvalue=fill, method=method, **how)
        else:
            y = fastconv.corr2d(x, k, "same", fillvalue=fill, method=method, **how)
            np.testing.assert_array_equal(y[1:-1, 1:-1], exact(x, (16 * k).astype(int), 16)[1:-1, 1:-1])
    if np.isfinite(fill):
        np.testing.assert_array_equal(y, fastconv.corr2d(x, k, "same", fillvalue=fill, **how))


def test_a_plan_serves_no_other_taps(rng):
    x = pixels(rng, (30, 40))
    for _ in range(3):
        for k in (np.ones((3, 3)) / 9, np.full((3, 3), 0.1234), np.outer([1, 2, 1], [1, 2, 1]) / 16):
            y = fastconv.corr2d(x, k, "same", dtype=np.uint8, overflow="saturate")
            expected = fastconv.corr2d(x, k, "same", dtype=np.uint8, overflow="saturate", method="numpy")
            np.testing.assert_array_equal(y, expected)
