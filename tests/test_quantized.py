# SPDX-License-Identifier: BSD-3-Clause
"""Layers of bytes: exact sums on every instruction set, zeros, and how sums become bytes again."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

import fastconv
from fastconv import _core, nn

QCONV = {1: nn.qconv1d, 2: nn.qconv2d, 3: nn.qconv3d}
LAYER = {1: nn.QConv1d, 2: nn.QConv2d, 3: nn.QConv3d}
PADS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.fixture(params=[True, False], ids=["native", "plain"])
def native(request):
    """With and without instructions that not all CPUs of an instruction set have."""
    _core.native_dots(request.param)
    yield
    _core.native_dots(True)


def integers(rng, dtype, *shape):
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def expected(x, w, bias=0, stride=1, pad=0, dilation=1, groups=1, mode="zeros", x_zero=0, w_zero=0):
    """Sums of int64, window by window."""
    rank = x.ndim - 2
    centred = x.astype(np.int64) - x_zero
    centred = np.pad(centred, ((0, 0), (0, 0), *[(pad, pad)] * rank), PADS[mode])
    w = w.astype(np.int64) - np.reshape(w_zero, (-1, *(1,) * (rank + 1)))
    spans = tuple((k - 1) * dilation + 1 for k in w.shape[2:])
    windows = np.lib.stride_tricks.sliding_window_view(centred, spans, tuple(range(2, 2 + rank)))
    windows = windows[:, :, *[slice(None, None, stride)] * rank, *[slice(None, None, dilation)] * rank]
    outputs = windows.shape[2 : 2 + rank]
    result = np.zeros((len(x), len(w), *outputs), np.int64)
    each, channels = len(w) // groups, w.shape[1]
    for m, kernel in enumerate(w):
        first = m // each * channels
        seen = windows[:, first : first + channels]
        result[:, m] = (seen * kernel.reshape(1, channels, *(1,) * rank, *kernel.shape[1:])).sum(
            axis=(1, *range(2 + rank, 2 + 2 * rank))
        )
    return result + np.reshape(bias, (-1, *(1,) * rank))


CASES = [
    # rank, images, groups, channels, kernels, n, k, stride, pad, dilation, mode
    (1, 2, 1, 3, 5, 50, 4, 1, 1, 1, "zeros"),
    (1, 1, 1, 1, 3, 1500, 7, 1, 3, 2, "reflect"),
    (2, 2, 1, 3, 8, 19, 7, 2, 3, 1, "zeros"),
    (2, 1, 1, 17, 9, 14, 3, 1, 1, 1, "zeros"),
    (2, 1, 2, 4, 5, 9, 3, 1, 2, 2, "replicate"),
    (2, 2, 6, 1, 1, 17, 3, 1, 1, 1, "zeros"),
    (2, 1, 5, 1, 2, 18, 5, 2, 2, 1, "circular"),
    (2, 3, 1, 8, 33, 7, 1, 1, 0, 1, "zeros"),
    (2, 1, 1, 6, 2, 9, 1, 2, 0, 1, "zeros"),
    (3, 1, 1, 2, 3, 5, 3, 1, 1, 1, "zeros"),
    (2, 1, 2, 70, 2, 6, 3, 1, 1, 1, "zeros"),  # weights that are turned
    (2, 2, 21, 1, 1, 9, 3, 1, 1, 1, "zeros"),  # lanes: of one block that is not full,
    (2, 1, 70, 1, 1, 7, 5, 2, 2, 1, "reflect"),  # of several,
    (1, 1, 9, 1, 2, 300, 4, 1, 2, 3, "replicate"),  # rows that are cut,
    (3, 1, 16, 1, 1, 4, 2, 1, 1, 1, "circular"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtypes", [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8"), ("int8", "uint8")])
def test_sums_are_exact(isa, native, rng, case, dtypes):
    rank, images, groups, channels, kernels, n, k, stride, pad, dilation, mode = case
    x = integers(rng, dtypes[0], images, groups * channels, *(n,) * rank)
    w = integers(rng, dtypes[1], groups * kernels, channels, *(k,) * rank)
    bias = rng.integers(-1000, 1000, len(w))
    how = stride, pad, dilation, groups
    zeros = {"x_zero": int(integers(rng, dtypes[0])), "w_zero": integers(rng, dtypes[1], len(w))}
    for given in ({}, zeros, {"x_zero": zeros["x_zero"]}, {"w_zero": int(zeros["w_zero"][0])}):
        want = expected(x, w, bias, *how, mode, **given)
        result = QCONV[rank](x, w, bias, *how, padding_mode=mode, **given)
        assert result.dtype == np.int32
        np.testing.assert_array_equal(result, want)
        np.testing.assert_array_equal(LAYER[rank](w, bias, *how, mode, **given)(x), want)
        np.testing.assert_array_equal(QCONV[rank](x, w, bias, *how, padding_mode=mode, method="numpy", **given), want)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_sums_become_bytes(isa, native, rng, dtype):
    x, w = integers(rng, np.uint8, 2, 5, 9, 11), integers(rng, np.int8, 6, 5, 3, 3)
    limits = np.iinfo(dtype)
    sums = expected(x, w, pad=1, x_zero=100).astype(np.float32)
    for scale in (np.float32(0.001), rng.uniform(1e-4, 1e-2, 6).astype(np.float32), -0.01, 0.0):
        want = np.rint(sums * np.reshape(np.float32(scale), (-1, 1, 1))) + 7
        how = {"x_zero": 100, "scale": scale, "y_zero": 7, "dtype": dtype}
        result = nn.qconv2d(x, w, None, 1, 1, **how)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, np.clip(want, limits.min, limits.max).astype(dtype))
        np.testing.assert_array_equal(nn.QConv2d(w, None, 1, 1, **how)(x), result)


@pytest.mark.parametrize("size", [(3, 1), (1, 1), (2, 2), (1, 17)], ids=str)
def test_few_pixels_of_kernels_of_their_own(isa, rng, size):
    x, w = integers(rng, np.uint8, 2, 20, *size), integers(rng, np.int8, 20, 1, 3, 3)
    sums = expected(x, w, pad=1, groups=20, x_zero=3)
    np.testing.assert_array_equal(nn.qconv2d(x, w, None, 1, 1, groups=20, x_zero=3), sums)
    want = np.clip(np.rint(sums.astype(np.float32) * np.float32(0.1)), 0, 255)
    np.testing.assert_array_equal(nn.qconv2d(x, w, None, 1, 1, groups=20, x_zero=3, scale=0.1), want)


@pytest.mark.parametrize("groups", [1, 40])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("scale", [None, 0.01])
def test_out_and_again(isa, rng, groups, layout, batched, scale):
    """Twice, as the second call takes a plan: into new arrays, into out, into one that shares memory with x."""
    x, w = integers(rng, np.uint8, 2, 40, 6, 7), integers(rng, np.int8, 40, 40 // groups, 3, 3)
    bias, how = rng.integers(-99, 99, 40).astype(np.int32), {"x_zero": 3, "scale": scale, "layout": layout}
    want = expected(x, w, bias, 1, 1, groups=groups, x_zero=3)
    want = want if scale is None else np.clip(np.rint(want.astype(np.float32) * np.float32(scale)), 0, 255)
    if layout == "NHWC":
        x, want = np.ascontiguousarray(np.moveaxis(x, 1, -1)), np.moveaxis(want, 1, -1)
    x, want = (x, want) if batched else (x[0], want[0])
    layer = nn.QConv2d(w, bias, 1, 1, groups=groups, **how)
    for call in (lambda x, out: nn.qconv2d(x, w, bias, 1, 1, groups=groups, out=out, **how), layer):
        for _ in range(2):
            result = call(x, None)
            np.testing.assert_array_equal(result, want)
            assert result.flags.c_contiguous
            out = np.zeros_like(result)
            assert call(x, out) is out
            np.testing.assert_array_equal(out, want)
            apart = np.zeros((*want.shape[:-1], 2 * want.shape[-1]), result.dtype)[..., ::2]
            assert call(x, apart) is apart
            np.testing.assert_array_equal(apart, want)
            if scale is not None:
                same = x.copy()
                np.testing.assert_array_equal(call(same, same), want)
    with pytest.raises(ValueError, match="out has shape"):
        layer(x, out[..., :2])
    with pytest.raises(TypeError, match="out has dtype"):
        layer(x, out.astype(np.int16))


def test_what_a_call_is_remembered_by(rng):
    """Not by values of x and w; by those of bias, zeros and scales; and sums are looked at where they might not fit."""
    x, w = integers(rng, np.uint8, 1, 9, 5, 5), integers(rng, np.int8, 9, 1, 3, 3)
    for _ in range(3):
        x, w, bias = x[..., ::-1].copy(), w[::-1].copy(), rng.integers(-99, 99, 9).astype(np.int32)
        zero = integers(rng, np.int8, 9).astype(np.int32)
        want = expected(x, w, bias, groups=9, w_zero=zero)
        np.testing.assert_array_equal(nn.qconv2d(x, w, bias, groups=9, w_zero=zero), want)
        np.testing.assert_array_equal(nn.QConv2d(w, bias, groups=9, w_zero=zero)(x), want)
    long, few, many = (
        np.full((1, 40000), 255, np.uint8),
        np.ones((1, 1, 40000), np.uint8),
        np.full((1, 1, 40000), 255, np.uint8),
    )
    for _ in range(2):
        assert nn.qconv1d(long, few).item() == 255 * 40000
        with pytest.raises(OverflowError):
            nn.qconv1d(long, many)
    with pytest.raises(OverflowError):
        nn.qconv2d(x, w, np.full(9, 2**31 - 1, np.int32), groups=9, w_zero=zero)


def test_halves_are_rounded_to_even(isa, native):
    x = np.arange(40, dtype=np.uint8).reshape(1, 40)
    result = nn.qconv1d(x, np.ones((1, 1, 1), np.int8), scale=0.5)
    np.testing.assert_array_equal(result[0], np.rint(np.arange(40) / 2))


def test_the_largest_sums(isa, native):
    """What saturates in instructions of 16 bits does not here."""
    x, w = np.full((1, 64, 6, 6), 255, np.uint8), np.full((3, 64, 3, 3), -128, np.int8)
    assert (nn.qconv2d(x, w) == -255 * 128 * 64 * 9).all()
    assert (nn.qconv2d(x, np.full(w.shape, 255, np.uint8)) == 255 * 255 * 64 * 9).all()
    low = np.full(x.shape, -128, np.int8)
    assert (nn.qconv2d(low, w, x_zero=127, w_zero=127) == 255 * 255 * 64 * 9).all()


@pytest.mark.parametrize("layout", ["moved", "reversed", "strided", "read-only", "NHWC"])
def test_any_layout_and_threads(isa, native, rng, layout):
    x, w = integers(rng, np.uint8, 2, 8, 30, 33), integers(rng, np.int8, 5, 8, 3, 3)
    want = expected(x, w)
    if layout == "moved":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    elif layout == "reversed":
        x = np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    elif layout == "strided":
        x = np.repeat(x, 3, -1)[..., ::3]
    elif layout == "read-only":
        x.flags.writeable = False
    else:
        last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        np.testing.assert_array_equal(nn.qconv2d(last, w, layout="NHWC"), np.moveaxis(want, 1, -1))
    _core.tune(threads_from_us=0)
    try:
        for threads in (1, 2, 3):
            np.testing.assert_array_equal(nn.qconv2d(x, w, threads=threads), want)
    finally:
        _core.tune()


def test_large_planes_are_cut(isa, native, rng):
    x, w = integers(rng, np.uint8, 1, 40, 90, 1100), integers(rng, np.int8, 3, 40, 3, 3)
    result = nn.qconv2d(x, w, None, 1, 1)
    for rows, cols in (
        (slice(0, 4), slice(0, 5)),
        (slice(40, 44), slice(1020, 1030)),
        (slice(86, 90), slice(1095, 1100)),
    ):
        first, begin = max(rows.start - 1, 0), max(cols.start - 1, 0)
        part = expected(x[..., first : rows.stop + 1, begin : cols.stop + 1], w, pad=1)
        y = part[..., rows.start - first :, cols.start - begin :][
            ..., : rows.stop - rows.start, : cols.stop - cols.start
        ]
        np.testing.assert_array_equal(result[..., rows, cols], y)


def test_sums_that_do_not_fit(rng):
    x, w = np.full((40000, 1), 255, np.uint8), np.full((1, 40000, 1), 255, np.uint8)
    with pytest.raises(OverflowError, match=r"might be as large as 2601000000.*overflow='wrap'"):
        nn.qconv1d(x, w)
    assert nn.qconv1d(x, w, overflow="wrap").item() == 2601000000 - 2**32
    assert nn.qconv1d(x, w // 2).item() == 255 * 127 * 40000  # which fit
    with pytest.raises(OverflowError):
        nn.qconv1d(x[:1], w[:, :1], [2**31 - 1])


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"x": np.ones((1, 1, 3, 3), np.float32)}, TypeError, "x has dtype float32; uint8 and int8 are accepted"),
        ({"w": np.ones((1, 1, 3, 3), np.int16)}, TypeError, "w has dtype int16; uint8 and int8"),
        ({"bias": [0.5]}, TypeError, "bias must be of integers; got dtype float64"),
        ({"bias": [2**40]}, ValueError, "bias must be of integers that int32 holds"),
        ({"bias": [1, 2]}, ValueError, r"bias must have shape \(1,\)"),
        ({"x_zero": 256}, ValueError, "x_zero must be a number that uint8 holds.*256"),
        ({"x_zero": 1.5}, TypeError, "x_zero must be an integer"),
        ({"w_zero": 200}, ValueError, "w_zero must be of numbers that int8 holds"),
        ({"w_zero": [1, 2]}, ValueError, r"w_zero must be a number, or have shape \(1,\)"),
        ({"scale": np.nan}, ValueError, "scale must be of finite numbers"),
        ({"scale": [0.5, 0.5]}, ValueError, r"scale must be a number, or have shape \(1,\)"),
        ({"scale": 0.5, "y_zero": -1}, ValueError, "y_zero must be a number that uint8 holds"),
        ({"y_zero": 3}, ValueError, "y_zero is for results with a scale"),
        ({"dtype": np.uint8}, TypeError, "dtype must be int32 without a scale"),
        (
            {"scale": 0.5, "dtype": np.int32},
            TypeError,
            "dtype must be int32 without a scale, and uint8 or int8 with one",
        ),
        ({"overflow": "saturate"}, ValueError, "overflow must be one of raise, wrap"),
        ({"method": "fft"}, ValueError, "method must be one of auto, numpy"),
        ({"groups": 2}, ValueError, "groups"),
        ({"padding": -1}, ValueError, "padding must not be negative"),
    ],
)
def test_errors(how, error, says):
    good = {"x": np.ones((1, 1, 3, 3), np.uint8), "w": np.ones((1, 1, 2, 2), np.int8)}
    with pytest.raises(error, match=says):
        nn.qconv2d(**good | how)


def test_layers_in_files_and_elsewhere(isa, rng):
    x, w = integers(rng, np.uint8, 1, 3, 8, 8), integers(rng, np.int8, 4, 3, 3, 3)
    layer = nn.QConv2d(w, [1, 2, 3, 4], 2, 1, w_zero=[1, 0, -3, 4], scale=[0.1, 0.2, 0.3, 0.4], x_zero=5, y_zero=6)
    want = layer(x)
    file = io.BytesIO()
    layer.save(file)
    file.seek(0)
    again = nn.QConv2d.load(file)
    assert repr(again) == repr(layer)
    np.testing.assert_array_equal(again(x), want)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x), want)
    np.testing.assert_array_equal(nn.Sequential(layer)(x), want)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[...] = 0
    with pytest.raises(TypeError, match="make another"):
        layer.load_state_dict(layer.state_dict())
    with pytest.raises(NotImplementedError):
        nn.Sequential(layer).backward(np.ones_like(nn.Sequential(layer).forward(x)))


def test_a_layer_serves_every_instruction_set(rng):
    x, w = integers(rng, np.int8, 1, 9, 8, 8), integers(rng, np.uint8, 4, 9, 3, 3)
    layer, want = nn.QConv2d(w), expected(x, w)
    before = fastconv.isas()[0]
    try:
        for name in (*fastconv.isas(), *fastconv.isas()):
            fastconv.use_isa(name)
            for native in (True, False):
                _core.native_dots(native)
                np.testing.assert_array_equal(layer(x), want)
                np.testing.assert_array_equal(layer(x.view(np.uint8)), expected(x.view(np.uint8), w))
    finally:
        fastconv.use_isa(before)
        _core.native_dots(True)


def test_checked(rng):
    x, w = integers(rng, np.uint8, 1, 3, 8, 8), integers(rng, np.int8, 4, 3, 3, 3)
    with fastconv.checked():
        nn.qconv2d(x, w, scale=0.01)
        nn.QConv2d(w)(x)


def test_nothing_to_compute():
    assert nn.qconv2d(np.empty((0, 3, 4, 4), np.uint8), np.ones((2, 3, 2, 2), np.int8)).shape == (0, 2, 3, 3)
    assert nn.QConv2d(np.ones((2, 3, 2, 2), np.int8))(np.empty((0, 3, 4, 4), np.uint8)).shape == (0, 2, 3, 3)
    with pytest.raises(ValueError, match="larger than the padded input"):
        nn.qconv2d(np.ones((1, 1, 2, 2), np.uint8), np.ones((1, 1, 3, 3), np.int8))
