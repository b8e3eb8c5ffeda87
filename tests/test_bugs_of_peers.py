# SPDX-License-Identifier: BSD-3-Clause
"""What went wrong in SciPy, CuPy, NumPy, OpenCV, PyTorch, oneDNN and astropy is right here.

A test for each report that concerns what fastconv does, named after what went wrong, with the case of the report, or
the smallest like it, and an oracle that shares no code with fastconv.
"""

from __future__ import annotations

import itertools
import warnings

import cases
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from conftest import only_deep
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import fastconv
from fastconv import feature, ndimage, nn, signal


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


@pytest.mark.parametrize("method", ["direct", "fft", "auto"])
def test_signals_that_are_seen_backwards(rng, method):
    """cupy#10303: the first one was read as if it had no negative strides."""
    for shape in ((31,), (9, 12)):
        a, b = rng.integers(-9, 9, shape).astype(float), rng.integers(-9, 9, shape).astype(float)
        for name in ("convolve", "correlate"):
            backwards = getattr(signal, name)(np.flip(np.flip(a).copy()), np.flip(np.flip(b).copy()), method=method)
            theirs = getattr(scipy.signal, name)(a, b, method="direct")
            np.testing.assert_allclose(backwards, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [2, 40, *only_deep(3000)])
def test_nan_in_both_signals(size):
    """cupy#8803: [1, NaN] by [1, NaN] was NaN everywhere, also where only the ones meet."""
    a, b = np.zeros(size), np.zeros(size // 2 + 1)
    a[[0, -1]], b[[0, -1]] = (1, np.nan), (1, np.nan)
    expected = np.convolve(a, b)
    assert expected[0] == 1 and np.isnan(expected).sum() == size
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Use of fft convolution", RuntimeWarning)
        for name, more in (("convolve", "direct"), ("convolve", "fft"), ("fftconvolve", None), ("oaconvolve", None)):
            got = getattr(signal, name)(a, b, **({"method": more} if more else {}))
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(signal.correlate(a, b[::-1]), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(fastconv.convolve1d(a, [1.0, 2.0], "full"), np.convolve(a, [1, 2]))


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


@pytest.mark.parametrize("name", ["correlate", "convolve", "correlate1d", "convolve1d"])
def test_origins_at_the_end_of_the_kernel(name):
    """scipy#822: the process ended with an origin that is one too far."""
    apply, x = getattr(ndimage, name), list(range(6))
    for origin in (-1, 0, 1):
        np.testing.assert_array_equal(
            apply(x, [0, 1, 2], origin=origin), getattr(scipy.ndimage, name)(x, [0, 1, 2], origin=origin)
        )
    for origin in (-3, -2, 2, 3):
        with pytest.raises(ValueError, match="origin"):
            apply(x, [0, 1, 2], origin=origin)


@pytest.mark.parametrize("sizes", [{0: 3, 1: 1}, {2: 2, 0: 5}, {0: 4, 1: 3, 2: 2}])
def test_each_size_belongs_to_the_axis_in_its_place(rng, sizes):
    """scipy#22576: sizes (1, 3) of axes (1, 0) were not sizes (3, 1) of axes (0, 1)."""
    x = rng.integers(5, 10, (4, 5, 6)).astype(float)
    mean = gauss = x
    for axis, size in sizes.items():
        around = np.pad(mean, [(size // 2, size - 1 - size // 2) if a == axis else (0, 0) for a in range(3)])
        mean = sliding_window_view(around, size, axis).mean(-1)
        gauss = scipy.ndimage.gaussian_filter1d(gauss, size / 2, axis, mode="constant")
    for axes in itertools.permutations(sizes):
        given = [sizes[axis] for axis in axes]
        got = ndimage.uniform_filter(x, given, mode="constant", axes=axes)
        np.testing.assert_allclose(got, mean, rtol=1e-12)
        got = ndimage.gaussian_filter(x, [size / 2 for size in given], mode="constant", axes=axes)
        np.testing.assert_allclose(got, gauss, rtol=1e-12)


@pytest.mark.parametrize("mode", ["mirror", "reflect", "wrap", "nearest"])
def test_axes_of_one_element_are_continued(mode):
    """scipy#11661: mirrored, what lies beyond one element was whatever there was in memory."""
    x = np.arange(24, dtype="i4").reshape(1, 2, 3, 4)
    for name in ("convolve1d", "correlate1d"):
        np.testing.assert_array_equal(getattr(ndimage, name)(x, np.ones(3, "i4"), axis=0, mode=mode), 3 * x)


@pytest.mark.parametrize("name", ["convolve", "fftconvolve", "oaconvolve"])
def test_same_is_as_long_as_the_first_array(name):
    """scipy#11973: one element with two taps had two results."""
    assert getattr(signal, name)([1.0], [1.0, -1.0], "same").shape == (1,)
    assert getattr(signal, name)([1.0, -1.0], [1.0], "same").tolist() == [1, -1]


@pytest.mark.parametrize("dtype", ["f8", *only_deep("u1", "f4", "c16")])
def test_separable_filters_longer_than_the_image(isa, rng, dtype):
    """scipy#24681: memory before and behind the image was read, and for 7 taps over 2 pixels written, too."""
    taps = np.array([1, 2, 4, 2, 1, 3, 2], "f4")
    for shape in ((4, 4), (5, 5), (1, 8), (8, 1), (2, 2), (1, 1)):
        x = rng.integers(0, 9, shape).astype(dtype)
        for row, col in ((taps, taps[::3]), (taps[::3], taps), (taps, taps)):
            around = np.pad(x.astype(np.result_type(x, "f8")), [(len(t) // 2,) * 2 for t in (col, row)], "symmetric")
            expected = sums_of_windows(around, np.outer(col[::-1], row[::-1]))
            np.testing.assert_array_equal(signal.sepfir2d(x, row, col), expected)


@pytest.mark.parametrize("taps", [[1, 2], [3, 1, 2, 5]])
def test_separable_filters_of_even_length(rng, taps):
    """scipy#12691: memory beside the image was read. They have no centre, and are refused; a 0 gives them one."""
    x = rng.integers(0, 9, (6, 5)).astype(float)
    for row, col, name in ((taps, [1], "hrow"), ([1], taps, "hcol")):
        with pytest.raises(ValueError, match=rf"odd length; {name} has length {len(taps)}"):
            signal.sepfir2d(x, row, col)
    longer = [*taps, 0]
    around = np.pad(x, [(0, 0), (len(taps) // 2,) * 2], "symmetric")
    np.testing.assert_array_equal(signal.sepfir2d(x, longer, [1]), sums_of_windows(around, np.array([longer[::-1]])))


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


@pytest.mark.parametrize("sigma", [8, 9, 10])
def test_flat_pictures_of_bytes_stay_flat_under_wide_gaussians(isa, sigma):
    """opencv#15015, opencv#20121: sums of white pixels went beyond 16 bits, and lines were seen at both ends."""
    k = fastconv.kernels.gaussian(5, sigma)
    for width in (3, 5, 33, 200):
        x = np.full((9, width), 255, "u1")
        got = fastconv.corr2d(x, k, "same", "reflect", dtype="u1", overflow="saturate")
        np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (1, 2)])
def test_pictures_of_one_row(isa, rng, shape):
    """opencv#10000: their borders were wrong under 3x3 taps."""
    x, k = rng.integers(0, 200, shape).astype("u1"), np.outer([1, 2, 1], [1, 2, 1])
    expected = sums_of_windows(np.pad(x.astype(int), 1, "edge"), k)
    np.testing.assert_array_equal(fastconv.corr2d(x, k, "same", "edge"), expected)
    rounded = fastconv.corr2d(x, k / 16, "same", "edge", dtype="u1", overflow="saturate")
    np.testing.assert_array_equal(rounded, np.rint(expected / 16))


@pytest.mark.parametrize("channels", [1, *only_deep(3)])
def test_masked_templates_that_fit_at_four_places_of_one_column(isa, rng, channels):
    """opencv#26389: an exception where the template was 3 rows lower than the picture, and as wide."""
    x = rng.integers(0, 256, (10, 7, channels)).astype("u1")
    for places in ((4, 1), (1, 4), (3, 1), (1, 1)):
        template = x[: 11 - places[0], : 8 - places[1]].copy()
        mask = rng.integers(0, 2, template.shape[:2]).astype(float)
        mask[2, 2:] = 1

        def centred(a, mask=mask):  # (..., channels, rows, columns) less the mean of every channel, under the mask
            return mask * (a - (mask * a).sum((-2, -1), keepdims=True) / mask.sum())

        t = centred(np.moveaxis(template, -1, 0).astype(float))
        windows = centred(sliding_window_view(x, template.shape[:2], (0, 1)).astype(float))
        sums = (t * windows).sum((-3, -2, -1))
        normed = sums / np.sqrt((t**2).sum() * (windows**2).sum((-3, -2, -1)))
        for method, expected in (("ccoeff", sums), ("ccoeff_normed", normed)):
            got = feature.match_template(x, template, method=method, mask=mask, axes=(0, 1))
            assert got.shape == places
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


# ---- PyTorch and oneDNN --------------------------------------------------------------------------


def test_same_padding_of_a_dilation_of_31_bits(rng):
    """pytorch#143480: the process ended."""
    x, w = rng.integers(-9, 9, (10, 10, 9)).astype("f4"), rng.integers(-9, 9, (2, 10, 9)).astype("f4")
    expected = np.einsum("nct,kc->nkt", x, w[:, :, 4])  # the other taps see zeros
    for dilation in (2**31 - 1, 2**31, 2**40):
        np.testing.assert_array_equal(nn.conv1d(x, w, padding="same", dilation=dilation), expected)


def test_same_padding_of_volumes_and_dilations_of_31_bits(rng):
    """pytorch#143481: the process ended."""
    x = rng.integers(-9, 9, (3, 1, 3, 4, 3)).astype("f4")
    w = rng.integers(-9, 9, (3, 1, 3, 1, 3)).astype("f4")
    windows = sliding_window_view(np.pad(x, [(0, 0)] * 4 + [(1, 1)]), 3, -1)
    expected = np.einsum("ncijkt,mct->nmijk", windows, w[:, :, 1, 0])  # the other taps see zeros
    dilation = 3046875451
    got = nn.conv3d(x, w, padding="same", dilation=(dilation, dilation, 1))
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match=f"padding 'same' or dilation .*{dilation}.* is too large"):
        nn.conv3d(x, w, padding="same", dilation=dilation)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_layers_without_taps_and_with_steps_that_no_memory_holds(rank):
    """pytorch#142209: the process ended."""
    x, steps = np.full((3, 10, *(6, 1, 1)[:rank]), 1.11111e15, "f4"), {"stride": 498444555, "dilation": 4}
    for taps, padding in ((0, 1610637938), (0, 0), (8, 1610637938), (8, 0)):
        w = np.zeros((10, 2, *(1, 1, taps)[-rank:]), "f4")
        how = {**steps, "padding": padding, "output_padding": 1, "groups": 2}
        with pytest.raises((ValueError, MemoryError)) as error:
            getattr(nn, f"conv_transpose{rank}d")(x, w, **how)
        assert isinstance(error.value, MemoryError) or any(word in str(error.value) for word in ("tap", "padding"))


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


@pytest.mark.parametrize("each", [(2, 2, 8), *only_deep((2, 2, 3), (3, 1, 16), (4, 3, 8), (2, 5, 17))])
@pytest.mark.parametrize("last", [False, True])
def test_groups_of_few_channels_and_more_kernels_under_one_tap(isa, last, each):
    """pytorch#19912: of 2 groups of 2 channels and 8 kernels under 1x1 taps, sums were 0 instead of 1."""
    groups, channels, kernels = each
    w = np.ones((groups * kernels, channels, 1, 1), "f4")
    for side, channel in np.ndindex(5, groups * channels):
        line = 1 + np.arange(side + 1)
        x = np.zeros((1, groups * channels, side + 1, side + 1), "f4")
        x[0, channel] = line
        if last:
            x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        expected = np.zeros((1, groups, kernels, side + 1, side + 1))
        expected[0, channel // channels] = line
        np.testing.assert_array_equal(nn.conv2d(x, w, groups=groups), expected.reshape(1, -1, side + 1, side + 1))


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


@pytest.mark.parametrize("stride", [1, 2])
def test_float16_sums_beyond_its_range_are_infinite(isa, stride):
    """pytorch#153700: of sums that were too large for float16, a transposed layer made NaN, now and then."""
    rng = np.random.default_rng(2186)
    x, w = rng.uniform(-3.998, 5, (2, 7, 6, 8)).astype("f2"), np.full((7, 3, 5, 6), -9990, "f2")
    with np.errstate(all="ignore"):
        got = nn.conv_transpose2d(x, w, stride=stride, padding=2)
        expected = nn.conv_transpose2d(x.astype("f8"), w.astype("f8"), stride=stride, padding=2, method="numpy")
    assert np.isinf(got).any() and not np.isnan(got).any()
    large = np.abs(expected) > 66_000
    np.testing.assert_array_equal(got[large], np.copysign(np.inf, expected[large]).astype("f2"))
    assert np.isfinite(got[np.abs(expected) < 65_000]).all()


def test_bfloat16_of_one_output(isa):
    """pytorch#163347: of four ones under four ones there was one, with bfloat16."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for side in (2, 3):
        x = np.ones((1, 1, side, side), ml_dtypes.bfloat16)
        assert (
            nn.conv2d(x, np.ones((1, 1, 2, 2), ml_dtypes.bfloat16)).tolist()
            == np.full((1, 1, side - 1, side - 1), 4).tolist()
        )


def test_an_image_is_not_changed_by_those_beside_it(isa, rng):
    """pytorch#134908: what an image gave depended on how many there were."""
    x, w = rng.standard_normal((5, 4, 8, 6)).astype("f4"), rng.standard_normal((3, 4, 3, 3)).astype("f4")
    whole = nn.conv2d(x, w, padding=1)
    for first, end in ((0, 1), (2, 4), (1, 5)):
        np.testing.assert_array_equal(nn.conv2d(x[first:end], w, padding=1), whole[first:end])


def test_a_stride_of_0():
    """pytorch#27598, pytorch#136722: the process ended."""
    x, w = np.ones((1, 1, 8, 8), "f4"), np.ones((1, 1, 3, 3), "f4")
    for call in (
        lambda: nn.conv2d(x, w, stride=0),
        lambda: nn.conv_transpose2d(x, w, stride=0),
        lambda: nn.Conv2d(1, 1, 3, stride=0),
        lambda: nn.qconv2d(x.astype("u1"), w.astype("i1"), stride=(1, 0)),
        lambda: nn.avg_pool2d(x, 2, 0),
    ):
        with pytest.raises(ValueError, match="stride"):
            call()


@pytest.mark.parametrize("stride", [2**63 - 1, 2**62, 2**61])
def test_columns_added_back_with_steps_that_no_memory_holds(stride):
    """pytorch#188959: memory elsewhere was read."""
    x = np.zeros((1, 1, 1), "f4")
    with pytest.raises(ValueError, match=r"padding|stride"):
        nn.fold(x, (100, 100), 1, dilation=100, padding=2**63 - 2, stride=stride)
    assert nn.fold(x + 3, (1, 1), 1, stride=2**60) == 3


@pytest.mark.parametrize("output_padding", [1, (1, 0)])
def test_more_outputs_than_stride_1_leaves_and_dilated_taps(isa, rng, output_padding):
    """pytorch#5112: memory beyond the gradient was read where output_padding is as large as the stride."""
    x, w = np.ones((1, 4, 1, 1), "f4"), rng.integers(-4, 5, (4, 1, 3, 3)).astype("f4")
    got = nn.conv_transpose2d(x, w, output_padding=output_padding, dilation=2)
    expected = np.zeros((1, 1, 5, 5))
    expected[0, 0, ::2, ::2] = w.sum((0, 1))
    np.testing.assert_array_equal(got[:, :, :5, :5], expected)
    assert (got[:, :, 5:] == 0).all() and (got[:, :, :, 5:] == 0).all()


@pytest.mark.parametrize("shape", [(0, 9, 2**57), (9, 0, 2**57), (2, 3, 0)])
def test_pooling_of_arrays_without_elements(shape):
    """pytorch#94698, pytorch#94696, pytorch#96277: the process ended where one length is 0, and another one large."""
    x = np.broadcast_to(np.zeros((), "f4"), shape)
    for call in (
        lambda: nn.avg_pool1d(x, 1, 1),
        lambda: nn.max_pool1d(x, 2, 1, 1, return_indices=True),
        lambda: nn.adaptive_max_pool1d(x, 1),
        lambda: nn.adaptive_avg_pool1d(x, 1),
    ):
        got = cases.outcome(call)
        assert isinstance(got, (ValueError, MemoryError)) or np.asarray(got[0] if type(got) is tuple else got).size == 0


@pytest.mark.parametrize("size", [9132760301568586890, 4799942556533499770])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pooling_to_sizes_that_no_memory_holds(rank, size):
    """pytorch#50960: the process ended."""
    for kind in ("max", "avg"):
        with pytest.raises((ValueError, MemoryError)):
            getattr(nn, f"adaptive_{kind}_pool{rank}d")(np.ones((2, 2, *(2,) * rank), "f4"), size)


@pytest.mark.deep
@pytest.mark.parametrize(("size", "to"), [((5877, 3697), (2855, 1)), ((4757, 560), (3527, 2219))])
def test_means_of_uneven_windows_of_large_images(rng, size, to):
    """pytorch#81409: the process ended."""
    x = rng.integers(0, 256, (1, 1, *size)).astype("f4")
    got = nn.adaptive_avg_pool2d(x, to)[0, 0]
    for i, j in ((0, 0), (to[0] - 1, to[1] - 1), (to[0] // 3, to[1] // 2)):
        at = tuple(slice(o * n // m, -(-(o + 1) * n // m)) for o, n, m in zip((i, j), size, to, strict=True))
        np.testing.assert_allclose(got[i, j], x[0, 0][at].astype("f8").mean(), rtol=1e-5)


@pytest.mark.deep
def test_volumes_of_gigabytes_under_one_tap(rng):
    """pytorch#84488: the first sums were wrong, in a volume of 28 channels and 7.6 GB."""
    x, w, bias = np.zeros((1, 28, 514, 514, 256), np.float32), rng.integers(-9, 9, (12, 28)), np.arange(12.0)
    for at in ((0, 0, 0), (512, 512, 192)):
        x[0, :, *at] = np.arange(28) - at[0]
    y = nn.conv3d(x, w[:, :, None, None, None].astype("f4"), bias.astype("f4"), stride=64)
    expected = np.zeros((1, 12, 9, 9, 4)) + bias[:, None, None, None]
    expected[0, :, 0, 0, 0] += w @ np.arange(28)
    expected[0, :, 8, 8, 3] += w @ (np.arange(28) - 512)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.deep
@pytest.mark.parametrize("rank", [2, 3])
def test_columns_of_dilated_layers_beyond_31_bits(rank):
    """pytorch#9404, pytorch#9264: the process ended where windows laid out as columns have 2^31 bytes and more."""
    size, channels = ((1200, 1201), 64) if rank == 2 else ((111, 63, 111), 96)
    x = np.broadcast_to(np.arange(size[-1], dtype="f4") % 7, (1, channels, *size))
    w = np.ones((1, channels, *(5 if rank == 2 else 4,) * rank), "f4")
    got = getattr(nn, f"conv{rank}d")(x, w, dilation=2)
    line = sum(x[0, 0, ..., 2 * t : size[-1] - 2 * (w.shape[-1] - 1) + 2 * t] for t in range(w.shape[-1]))
    expected = line[..., : got.shape[-1]] * channels * w.shape[-1] ** (rank - 1)
    where = tuple(slice(n) for n in got.shape[2:])
    np.testing.assert_array_equal(got[0, 0], expected[where])


@pytest.mark.parametrize("channels", [17, 64])
def test_data_gradients_of_strides_channels_and_narrow_images(isa, rng, channels):
    """oneDNN of Fujitsu, #43: wrong where the stride is more than 1, channels more than 16 and columns less than 17."""
    w, dy = rng.integers(-4, 5, (17, channels, 3)).astype("f4"), rng.integers(-4, 5, (1, 17, 4)).astype("f4")
    expected = np.zeros((1, channels, 8 + 2))
    for t in range(3):
        expected[:, :, t : t + 8 : 2] += np.einsum("nmj,mc->ncj", dy, w[:, :, t])
    got = nn.conv1d_input((1, channels, 8), w, dy, stride=2, padding=1)
    np.testing.assert_array_equal(got, expected[:, :, 1:9])


def test_pooling_with_windows_that_no_memory_holds():
    """pytorch#142454: the process ended."""
    for pool in (nn.max_pool1d, nn.avg_pool1d):
        with pytest.raises(ValueError, match=r"kernel_size|padding"):
            pool(np.ones((1, 2, 3)), 8608480567731124087, padding=1250999896764, ceil_mode=True)


@pytest.mark.parametrize("groups", [23, 24, 25])
def test_weight_gradients_of_24_planes_of_stride_2(isa, groups):
    """pytorch#50042, oneDNN#4124: gradients of the last row of taps were too small, with 24 planes of 6x6."""
    x, dy = np.ones((1, groups, 6, 6), "f4"), np.ones((1, groups, 3, 3), "f4")
    slope = nn.conv2d_weight(x, (groups, 1, 3, 3), dy, stride=2, padding=1, groups=groups)
    np.testing.assert_array_equal(slope, np.broadcast_to([[4, 6, 6], [6, 9, 9], [6, 9, 9]], slope.shape))


def test_data_gradients_beside_columns_that_a_stride_leaves_over(isa):
    """pytorch#25101: gradients at the last columns were wrong, with 5x5 taps, stride 3 and padding 1."""
    dy, w = np.ones((1, 3, 10, 10), "f4"), np.ones((3, 9, 5, 5), "f4")
    seen = np.zeros((35, 35))
    for i, j in np.ndindex(10, 10):
        seen[3 * i : 3 * i + 5, 3 * j : 3 * j + 5] += 3
    slope = nn.conv2d_input((1, 9, 32, 32), w, dy, stride=3, padding=1)
    np.testing.assert_array_equal(slope, np.broadcast_to(seen[1:33, 1:33], slope.shape))


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
