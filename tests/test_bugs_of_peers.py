# SPDX-License-Identifier: BSD-3-Clause
"""What went wrong in SciPy, NumPy, OpenCV, PyTorch, oneDNN and astropy is right here.

A test for each report that concerns what fastconv does, named after what went wrong, with the case of the report, or
the smallest like it, and an oracle that shares no code with fastconv.
"""

from __future__ import annotations

import warnings

import cases
import numpy as np
import pytest
import scipy.signal
from conftest import only_deep
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import fastconv
from fastconv import nn, signal


def diagonals(rows, cols, dtype):
    """(rows, cols) of which element (i, j) is (i + j) % 7, in rows + cols elements of memory."""
    line = (np.arange(rows + cols) % 7).astype(dtype)
    return as_strided(line, (rows, cols), (line.itemsize, line.itemsize))


def sums_of_windows(x, k):
    """The correlation of the elements that there are, by NumPy."""
    windows = sliding_window_view(x, k.shape, tuple(range(-k.ndim, 0)))
    return np.tensordot(windows, k, k.ndim)


# ---- SciPy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["i8", *only_deep("u1", "f4")])
def test_indices_of_more_than_31_bits(dtype):
    """scipy#10761: values were wrong from the 268436th of 300 000 rows of 1000 int64 on."""
    rows = 300_000 if dtype == "i8" else 2_200_000
    x, k = diagonals(rows, 1000, dtype), np.array([[1, 2], [3, 1]]).astype(dtype)
    for first in (268_434, rows - 9):
        window = slice(first, first + 7), slice(None)
        got = fastconv.corr2d(x, k, window=window)
        np.testing.assert_array_equal(got, sums_of_windows(x[first : first + 8].astype("i8"), k.astype("i8")))


@pytest.mark.parametrize("boundary", ["symm", "wrap"])
@pytest.mark.parametrize(
    ("shape", "taps"), [((1, 4), (1, 21)), ((10, 3), (10, 10)), ((3, 3), (6, 6)), ((2, 5), (31, 40))]
)
def test_kernels_that_reach_round_the_image_more_than_once(isa, rng, shape, taps, boundary):
    """scipy#8684, scipy#8814, scipy#12686: memory beside the image was read."""
    x, k = rng.integers(-9, 9, shape).astype(float), rng.integers(-9, 9, taps).astype(float)
    pad = {"symm": "symmetric", "wrap": "wrap"}[boundary]
    around = np.pad(x, [(t - 1, t - 1) for t in taps], pad)
    full = sums_of_windows(around, k[::-1, ::-1])
    np.testing.assert_allclose(signal.convolve2d(x, k, "full", boundary), full, rtol=1e-12, atol=1e-9)
    same = tuple(slice((t - 1) // 2, (t - 1) // 2 + n) for t, n in zip(taps, shape, strict=True))
    np.testing.assert_allclose(signal.convolve2d(x, k, "same", boundary), full[same], rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(fastconv.convolve2d(x, k, "full", pad, method="direct"), full)


def test_one_pixel_and_a_tap_far_from_the_centre():
    """scipy#8684: the sum was a number from somewhere else."""
    k = np.zeros((4, 4), int)
    k[3, 3] = 1
    assert signal.convolve2d([[0]], k, "same", "symm").tolist() == [[0]]
    assert signal.convolve2d([[5]], k, "same", "symm").tolist() == [[5]]


def test_a_kernel_of_thousands_of_times_the_image():
    """scipy#8814: the process ended with 300x300 pixels and 700 000 taps."""
    x, k = np.ones((3, 30), "f4"), np.ones((1, 70_000), "f4")
    np.testing.assert_array_equal(signal.convolve2d(x, k, "same", "symm"), np.full(x.shape, 70_000))


@pytest.mark.parametrize("dtype", ["u2", *only_deep("i2", "u1", "i4")])
def test_sums_that_the_dtype_of_the_arrays_does_not_hold(dtype):
    """scipy#8757: the correlation of a picture of uint16 with its crop was 0 everywhere."""
    most = np.iinfo(dtype).max
    x = np.full((9, 9), most, dtype)
    expected = 16 * int(most) ** 2
    if expected < 2**63:
        assert (fastconv.corr2d(x, x[:4, :4]) == expected).all()
        assert fastconv.corr2d(x, x[:4, :4]).dtype == (np.uint64 if expected >= 2**63 else np.int64)
    else:
        with pytest.raises((OverflowError, ValueError), match="overflow"):
            fastconv.corr2d(x, x[:4, :4])


@pytest.mark.parametrize("shapes", [((0,), (0,)), ((0,), (3,)), ((3,), (0,)), ((0,), (1000,)), ((1000,), (0,))])
def test_empty_arrays_end_no_process(shapes):
    """scipy#25849, numpy#7625: empty arrays ended the process, now and then."""
    x, k = (np.zeros(shape) for shape in shapes)
    for mode in ("valid", "same", "full"):
        if 0 in k.shape:
            with pytest.raises(ValueError, match="k must not be empty"):
                fastconv.corr1d(x, k, mode)
        for name in ("convolve", "correlate", "fftconvolve", "oaconvolve"):
            got, expected = (cases.outcome(getattr(package, name), x, k, mode) for package in (signal, scipy.signal))
            assert isinstance(got, ValueError) or got.shape == expected.shape == (0,)
    with pytest.raises(ValueError, match=r"[xy] has no elements"):
        fastconv.xcorr(x, k, 2)


def test_batches_are_what_one_by_one_is(rng):
    """scipy#9872: what was convolved together took longer than one by one; here it is one call, of the same bits."""
    x, k = rng.standard_normal((200, 300)), rng.standard_normal(40)
    together = fastconv.convolve1d(x, k, "full")
    np.testing.assert_array_equal(together, [fastconv.convolve1d(one, k, "full") for one in x])
    np.testing.assert_allclose(together, [np.convolve(one, k) for one in x], rtol=1e-12, atol=1e-12)


# ---- NumPy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("dtype", ["f4", "c16", "i8", *only_deep("f8", "c8")])
def test_a_result_right_behind_its_argument(rng, dtype, step):
    """numpy#26940: whether memory overlaps was off by one element, and results depended on it."""
    for n in (3, 17, 64, 257):
        room = rng.integers(-9, 9, 3 * n).astype(dtype)
        x, k = room[n : 2 * n][::step], np.array([3, -1, 2], dtype)
        expected = np.correlate(np.pad(x.copy(), 1), k.conj())
        for start in (2 * n, 2 * n - 1, 0, 1):
            again = room.copy()
            x, out = again[n : 2 * n][::step], again[start : start + n][::step]
            fastconv.corr1d(x, k, "same", out=out)
            np.testing.assert_array_equal(out, expected)


def test_nan_survives_any_place_and_warns_nobody(isa):
    """numpy#10370: compilers moved where the FPU's state is asked for: warnings came, or NaN were lost."""
    for n in (2, 8, 33):
        for dtype in ("f2", "f4", "f8"):
            for row in np.diagflat(np.full(n, np.nan, dtype)):
                x = row.reshape(1, 1, n)
                with warnings.catch_warnings(), np.errstate(all="raise"):
                    warnings.simplefilter("error")
                    pooled = nn.max_pool1d(x, n), nn.avg_pool1d(x, n), nn.adaptive_max_pool1d(x, 1)
                    sums = fastconv.corr1d(row, np.ones(n, dtype))
                assert np.isnan(pooled).all() and np.isnan(sums).all()


# ---- OpenCV --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [13, *only_deep(3, 11)])
def test_blocks_of_a_picture_see_what_lies_around_them(rng, size):
    """opencv#10683: with kernels of more than 11x11, pixels beyond a region were not taken for its filter."""
    x, k = rng.integers(0, 9, (70, 75)).astype("f4"), rng.integers(0, 9, (size, size)).astype("f4")
    whole = fastconv.corr2d(x, k, "same", "reflect", method="direct")
    np.testing.assert_array_equal(whole, sums_of_windows(np.pad(x, size // 2, "reflect").astype("f8"), k.astype("f8")))
    for window in ((slice(0, 16), slice(16, 32)), (slice(64, 70), slice(60, 75)), (slice(31, 32), slice(0, 75))):
        part = fastconv.corr2d(x, k, "same", "reflect", window=window, method="direct")
        np.testing.assert_array_equal(part, whole[window])
        np.testing.assert_allclose(fastconv.corr2d(x, k, "same", "reflect", window=window), part, rtol=1e-5)


@pytest.mark.parametrize("size", [9, 13, *only_deep(11, 31)])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_a_region_of_a_picture_is_a_picture(rng, dtype, size):
    """opencv#13179: kernels of more than 11x11 (of bytes, 9x9) ended the process if a region was filtered."""
    room, k = rng.integers(0, 9, (80, 200)).astype(dtype), rng.integers(0, 2, (size, size)).astype(dtype)
    x, place = room[:50, :60], np.full((90, 90), 7, np.result_type(dtype, np.int64) if dtype == "u1" else dtype)
    out = place[20:70, 10:70]
    fastconv.corr2d(x, k, "same", "reflect", out=out, method="direct")
    np.testing.assert_array_equal(out, sums_of_windows(np.pad(x, size // 2, "reflect").astype("i8"), k.astype("i8")))
    assert (np.delete(place, slice(20, 70), 0) == 7).all() and (place[:, :10] == 7).all() and (place[:, 70:] == 7).all()


@pytest.mark.parametrize("boundary", ["reflect", "wrap", *only_deep("edge", "symmetric")])
@pytest.mark.parametrize("size", [9, *only_deep(13, 31)])
@pytest.mark.parametrize("dtype", ["u1", "f4", *only_deep("u2")])
def test_kernels_wider_than_the_image(isa, dtype, size, boundary):
    """opencv#28233: an image of one pixel and a kernel of 9 read beyond the pixel."""
    x, box = np.array([[123]], dtype), fastconv.kernels.box(size)
    assert np.allclose(fastconv.corr2d(x, box, "same", boundary), 123)
    if dtype != "f4":
        assert fastconv.corr2d(x, box, "same", boundary, dtype=dtype, overflow="saturate") == 123
    assert fastconv.corr2d(x, np.ones((size, size), dtype), "same", boundary) == 123 * size**2


@pytest.mark.parametrize("dtype", ["u2", *only_deep("f4")])
def test_regions_of_pictures_of_gigabytes(dtype):
    """opencv#28385: 50 000 x 50 000 pixels of 16 bits ended the process, and so did 100 columns of them."""
    x, k = diagonals(50_000, 50_000, dtype), np.arange(9).reshape(3, 3).astype(dtype)
    last = slice(49_990, 49_998), slice(49_900, 49_998)
    expected = sums_of_windows(x[last[0].start :, last[1].start :].astype("i8"), k.astype("i8"))
    np.testing.assert_array_equal(fastconv.corr2d(x, k, window=last), expected)
    columns = fastconv.corr2d(x[:, :100], k, "same", "reflect", stride=(9970, 1))
    around = np.pad(x[:, :100], 1, "reflect").astype("i8")
    np.testing.assert_array_equal(
        columns, [sums_of_windows(around[i : i + 3], k.astype("i8"))[0] for i in range(0, 50_000, 9970)]
    )


# ---- PyTorch and oneDNN --------------------------------------------------------------------------


def test_same_padding_of_a_dilation_of_31_bits(rng):
    """pytorch#143480: the process ended."""
    x, w = rng.integers(-9, 9, (10, 10, 9)).astype("f4"), rng.integers(-9, 9, (2, 10, 9)).astype("f4")
    expected = np.einsum("nct,kc->nkt", x, w[:, :, 4])  # the other taps see zeros
    for dilation in (2**31 - 1, 2**31, 2**40):
        np.testing.assert_array_equal(nn.conv1d(x, w, padding="same", dilation=dilation), expected)


@pytest.mark.parametrize("padding", [9223372036854775803, 2**62, 2**63, 2**31])
def test_padding_that_no_memory_holds(padding):
    """pytorch#161875: the process ended."""
    x = np.ones((1, 3, 32), "f4")
    for call in (
        lambda: nn.Conv1d(3, 16, 3, padding=padding)(x),
        lambda: nn.conv1d(x, np.ones((16, 3, 3), "f4"), padding=padding),
        lambda: nn.conv_transpose1d(x, np.ones((3, 16, 3), "f4"), padding=padding),
        lambda: nn.max_pool1d(x, 3, padding=padding),
    ):
        with pytest.raises((ValueError, MemoryError)) as error:
            call()
        assert isinstance(error.value, MemoryError) or "padding" in str(error.value)


@pytest.mark.parametrize("last", [False, True])
def test_a_large_kernel_of_stride_2_over_one_pixel(isa, rng, last):
    """pytorch#195394, the process ended: 64 channels of one pixel, channels last, under 125x64 taps, padded by 63."""
    x, w = rng.integers(-4, 5, (3, 64, 1, 1)).astype("f4"), rng.integers(-4, 5, (1, 64, 125, 64)).astype("f4")
    expected = np.zeros((3, 1, 2, 32))
    for i, j in np.ndindex(2, 32):  # which tap meets the pixel
        expected[:, 0, i, j] = x[:, :, 0, 0] @ w[0, :, 63 - 2 * i, 63 - 2 * j]
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    np.testing.assert_array_equal(nn.conv2d(x, w, stride=2, padding=63), expected)


@pytest.mark.parametrize("dtype", ["i1", "u1"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_bytes_at_the_padded_edges(isa, rng, layout, dtype):
    """oneDNN#5080: sums were wrong in columns whose windows reach into the padding."""
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, (1, 16, 8, 32), dtype, endpoint=True)
    w = rng.integers(-128, 127, (32, 16, 5, 5), np.int8, endpoint=True)
    around = np.pad(x.astype("i8"), [(0, 0), (0, 0), (2, 2), (2, 2)])
    windows = sliding_window_view(around, (5, 5), (2, 3))
    expected = np.einsum("ncijab,kcab->nkij", windows, w.astype("i8"))
    if layout == "NHWC":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    np.testing.assert_array_equal(nn.qconv2d(x, w, padding=2), expected)


@pytest.mark.parametrize("channels", [4, 5, 64, 300])
def test_products_of_bytes_beyond_16_bits(isa, channels):
    """oneDNN#1354: without VNNI pairs of products were saturated to 16 bits, so that results depended on the CPU."""
    x, w = np.full((1, channels, 1, 1), 255, "u1"), np.full((3, channels, 1, 1), 127, "i1")
    w[1], w[2, ::2] = -128, -128
    expected = 255 * w.astype("i8").sum((1, 2, 3))
    np.testing.assert_array_equal(nn.qconv2d(x, w)[0, :, 0, 0], expected)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("last", [False, True])
def test_weight_gradients_of_one_tap_stride_2_and_few_channels(isa, rng, last, threads):
    """oneDNN#6035: memory was written beyond its end, results were wrong, or two threads waited for each other."""
    x, dy = rng.integers(-4, 5, (8, 4, 32, 32)).astype("f4"), rng.integers(-4, 5, (8, 8, 16, 16)).astype("f4")
    expected = np.einsum("ncij,nkij->kc", x[:, :, ::2, ::2], dy)
    if last:
        x, dy = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in (x, dy))
    got = nn.conv2d_weight(x, (8, 4, 1, 1), dy, stride=2, threads=threads)
    np.testing.assert_array_equal(got[:, :, 0, 0], expected)


# ---- astropy -------------------------------------------------------------------------------------


def made_up(x, k, at):
    """What the elements that there are make of an output: their weighted mean, times the weight of all taps."""
    h, w = k.shape
    window = np.pad(x, [(h // 2,) * 2, (w // 2,) * 2], "wrap")[at[0] : at[0] + h, at[1] : at[1] + w]
    there = ~np.isnan(window)
    return (window[there] * k[there]).sum() * np.abs(k).sum() / np.abs(k[there]).sum()


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_missing_data_elsewhere_changes_nothing(method):
    """astropy#16497: whether any element was NaN decided what the edges were."""
    x, k = np.ones((10, 10)), fastconv.kernels.gaussian(5)
    for boundary in ("constant", "edge"):
        how = {"nan": "ignore", "method": method}
        whole = fastconv.convolve2d(x, k, "same", boundary, fillvalue=np.nan, **how)
        np.testing.assert_allclose(whole, 1, rtol=1e-6)
        spoilt = x.copy()
        spoilt[5, 5] = np.nan
        np.testing.assert_allclose(
            fastconv.convolve2d(spoilt, k, "same", boundary, fillvalue=np.nan, **how), 1, rtol=1e-6
        )


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_missing_data_under_negative_taps(method):
    """astropy#20403: where a kernel has negative taps, the transformed result was 0 at a missing element."""
    x = np.arange(49.0).reshape(7, 7)
    x[3, 3] = np.nan
    k = np.array([[1, -2, 1], [-2, 5, -2], [1, -2, 2.0]])
    got = fastconv.corr2d(x, k, "same", "wrap", nan="ignore", method=method)
    expected = [[made_up(x, k, (i, j)) for j in range(7)] for i in range(7)]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
