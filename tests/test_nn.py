# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers: values against the reference, PyTorch's meaning, bits, errors, memory, layer objects."""

from __future__ import annotations

import math
import threading

import cases
import numpy as np
import pytest
from cases import integers, reals
from conftest import only_deep

import fastconv
from fastconv import nn, reference
from fastconv.arguments import layers
from fastconv.arguments.boundaries import PADDING_MODES
from fastconv.arguments.layer_geometry import LAYOUTS
from fastconv.nn import functional
from fastconv.plans import Answer

CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
REFERENCE = {1: reference.conv1d, 2: reference.conv2d, 3: reference.conv3d}

layer_cases = pytest.mark.parametrize(("x_shape", "w_shape", "how"), cases.LAYERS.values(), ids=cases.LAYERS.keys())
floats = pytest.mark.parametrize("dtype", cases.FLOATS)


def conv(w):
    return CONV[w.ndim - 2]


@layer_cases
@floats
def test_values(isa, rng, x_shape, w_shape, how, dtype):
    """Small integers, whose sums are exact; then reals, within the bound."""
    for make in integers, reals:
        x, w, bias = make(rng, x_shape, dtype), make(rng, w_shape, dtype), make(rng, w_shape[:1], dtype)
        expected = REFERENCE[w.ndim - 2](x, w, bias, **how)
        for threads in (1, 3):
            y = conv(w)(x, w, bias, **how, threads=threads)
            assert y.dtype == dtype and y.flags.c_contiguous
            if make is integers:
                np.testing.assert_array_equal(y, expected)
            else:
                layer = layers.layer_arguments(w.ndim - 2, x, w, bias, layers.Options(**how))
                bound = layer.as_asked(reference.layer_error_bound(layer))
                assert (np.abs(y - expected) <= bound).all()
        plain = conv(w)(x, w, bias, **how)  # by its plan, where there is one
        cases.assert_same_bits(plain, y)


@layer_cases
def test_im2col(rng, x_shape, w_shape, how):
    x, w = integers(rng, x_shape, "float32"), integers(rng, w_shape, "float32")
    np.testing.assert_array_equal(conv(w)(x, w, **how, method="im2col"), conv(w)(x, w, **how))


@layer_cases
def test_torch(rng, x_shape, w_shape, how):
    torch = pytest.importorskip("torch")
    if isinstance(how.get("padding"), tuple) and isinstance(how["padding"][0], tuple):
        pytest.skip("PyTorch has no padding per side")
    x, w, bias = (integers(rng, s, "float64") for s in (x_shape, w_shape, w_shape[:1]))
    theirs = getattr(torch.nn.functional, f"conv{w.ndim - 2}d")(*map(torch.from_numpy, (x, w, bias)), **how)
    np.testing.assert_array_equal(conv(w)(x, w, bias, **how), theirs.numpy())


@layer_cases
def test_bits(isa, rng, x_shape, w_shape, how):
    """The same for any number of threads, any layout of x, and any batch that an image is in."""
    x, w = reals(rng, x_shape, "float32"), reals(rng, w_shape, "float32")
    y = conv(w)(x, w, **how, threads=1)
    for threads in (2, 5):
        cases.assert_same_bits(conv(w)(x, w, **how, threads=threads), y)
    cases.assert_same_bits(conv(w)(np.asfortranarray(x), w, **how), y)
    cases.assert_same_bits(conv(w)(x[..., ::-1].copy()[..., ::-1], w, **how), y)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    assert not odd.flags.aligned
    cases.assert_same_bits(conv(w)(odd, w, **how), y)
    if x.ndim == w.ndim:
        cases.assert_same_bits(conv(w)(x[-1], w, **how), y[-1])
        cases.assert_same_bits(conv(w)(np.concatenate([x, x, x, x, x]), w, **how)[-x_shape[0] :], y)


MANY_TAPS = [
    (name, of)
    for name, (_, w, how) in cases.LAYERS.items()
    if w[1] == 1 and np.prod(w[2:]) > 256
    for of in ("output", "input")
    if of == "output" or w[0] == how.get("groups", 1)  # else gradients are sums over kernels
]


@pytest.mark.parametrize(("name", "of"), MANY_TAPS)
def test_many_taps_of_one_channel_are_summed_in_parts(isa, name, of):
    """Once a product of one has come by, a sum loses every product of 0.4 units of its last place. A sum in turn
    loses all others; sums of at most 256 taps lose no more than those of their own."""
    x_shape, w_shape, how = cases.LAYERS[name]
    unit = 2.0**-24
    w = np.full(w_shape, 0.4 * unit, np.float32)
    w.reshape(len(w), -1)[:, [0, -1]] = 1
    x = np.ones(x_shape, np.float32)
    grad = np.ones(conv(w)(x, w, **how).shape, np.float32)
    run = getattr(nn, f"conv{w.ndim - 2}d_input")

    def result(dtype, method):
        if of == "output":
            return conv(w)(x.astype(dtype), w.astype(dtype), **how, method=method)
        return run(x.shape, w.astype(dtype), grad.astype(dtype), **how, method=method)

    exact = result("float64", "numpy")
    assert (np.abs(result("float32", "auto") - exact) <= (0.4 * 256 + 4) * unit).all()


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 18])
def test_padding_modes(isa, rng, padding_mode, rank, groups):
    """Of whole layers, and with a group for each channel."""
    channels, kernels, of_kernel = (18, 18, 1) if groups > 1 else (3, 4, 3)
    x = integers(rng, (2, channels, 9, 8, 7)[: rank + 2], "float64")
    w = integers(rng, (kernels, of_kernel, 3, 4, 2)[: rank + 2], "float64")
    pads = ((2, 1), (3, 0), (0, 4))[:rank]
    words = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    padded = np.pad(x, ((0, 0), (0, 0), *pads), words[padding_mode])
    for stride in (1, 2):
        expected = REFERENCE[rank](padded, w, stride=stride, groups=groups)
        y = CONV[rank](x, w, None, stride, pads, groups=groups, padding_mode=padding_mode)
        np.testing.assert_array_equal(y, expected)


SAME = {  # x, taps, stride, dilation: elements before and behind, and outputs, as TensorFlow has them
    "even": ((8, 3, 2, 1), (0, 1, 4)),
    "odd": ((7, 3, 2, 1), (1, 1, 4)),
    "wide": ((7, 4, 2, 1), (1, 2, 4)),
    "no stride": ((7, 4, 1, 1), (1, 2, 7)),
    "far": ((10, 3, 4, 2), (1, 2, 3)),
    "apart": ((9, 1, 3, 1), (0, 0, 3)),
    "one": ((1, 4, 3, 1), (1, 2, 1)),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("lower", [False, True])
def test_same_with_strides(rng, name, lower):
    """Of layers, their gradients, and transposed ones, which are their adjoints."""
    (n, k, stride, dilation), (before, behind, outs) = SAME[name]
    before, behind = (behind, before) if lower else (before, behind)
    x, w = integers(rng, (2, 3, n, n), "float64"), integers(rng, (4, 3, k, 1), "float64")
    how = {"stride": (stride, 1), "dilation": (dilation, 1)}
    word = "same_lower" if lower else "same"
    y = nn.conv2d(x, w, padding=word, **how)
    assert y.shape == (2, 4, outs, n)
    np.testing.assert_array_equal(y, nn.conv2d(x, w, padding=((before, behind), (0, 0)), **how))
    grad = integers(rng, y.shape, "float64")
    assert (nn.conv2d_input(x.shape, w, grad, padding=word, **how) * x).sum() == (grad * y).sum()
    whole = nn.conv_transpose2d(grad, w, padding=word, **how)
    assert whole.shape == (2, 3, outs * stride, n)
    other = integers(rng, whole.shape, "float64")
    assert (whole * other).sum() == (grad * nn.conv2d(other, w, padding=word, **how)).sum()
    layers_of = nn.Conv2d.from_weights(w, padding=word, **how), nn.ConvTranspose2d.from_weights(w, padding=word, **how)
    np.testing.assert_array_equal(layers_of[0](x), y)
    np.testing.assert_array_equal(layers_of[1](grad), whole)


@pytest.mark.parametrize("groups", [1, 18])
def test_circular_padding_of_several_rounds(isa, rng, groups):
    x, w = integers(rng, (2, 18, 3, 4), "float32"), integers(rng, (18, 18 // groups, 3, 2), "float32")
    padded = np.pad(x, ((0, 0), (0, 0), (7, 11), (9, 0)), "wrap")
    how = {"padding": ((7, 11), (9, 0)), "padding_mode": "circular", "groups": groups}
    y = nn.conv2d(x, w, **how)
    np.testing.assert_array_equal(y, nn.conv2d(padded, w, groups=groups))
    grad = integers(rng, y.shape, "float32")
    assert (nn.conv2d_input(x.shape, w, grad, **how).astype("f8") * x).sum() == (grad.astype("f8") * y).sum()
    slid = nn.conv2d_weight(x, w.shape, grad, **how)
    np.testing.assert_array_equal(slid, nn.conv2d_weight(padded, w.shape, grad, groups=groups))


def test_circular_padding_of_long_rows(isa, rng):
    """What lies left of the first column is at the far end of the row, in no block that this one sees."""
    x, w = integers(rng, (1, 17, 2, 15000), "float32"), integers(rng, (17, 1, 1, 5), "float32")
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (2, 2)), "wrap")
    for stride in (1, 2):
        y = nn.conv2d(x, w, None, stride, (0, 2), groups=17, padding_mode="circular")
        np.testing.assert_array_equal(y, reference.conv2d(padded, w, stride=stride, groups=17))


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_zeros_times_what_is_not_finite(isa, rng, odd):
    """Padding is multiplied, too: where it meets an infinite weight, the result is NaN, as in the reference."""
    x, w = integers(rng, (1, 19, 6, 7), "float32"), integers(rng, (19, 1, 5, 5), "float32")
    w[4, 0, 0, 2] = w[18, 0, 3, 4] = odd
    x[0, 2, 3, 3] = odd
    how = {"groups": 19, "padding": 2}
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(nn.conv2d(x, w, **how), reference.conv2d(x, w, **how))
    x_shape, w_shape, how = cases.LAYERS["dilated into wide padding"]
    x, w = integers(rng, x_shape, "float32"), integers(rng, w_shape, "float32")
    w[47, 39, 0, 2] = odd
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(nn.conv2d(x, w, **how), reference.conv2d(x, w, **how))


@pytest.mark.parametrize("odd", [np.inf, -np.inf])
def test_zeros_times_what_is_not_finite_beside_what_is_added(isa, rng, odd):
    """A sum that is clamped no longer tells that a weight is infinite: it is looked at before that."""
    x, add = np.ones((2, 9, 7, 8), np.float32), integers(rng, (2, 16, 7, 8), "float32")
    w = integers(rng, (16, 9, 3, 1), "float32")
    w[3, 2, 0] = w[12, 8, 2] = odd
    with np.errstate(invalid="ignore"):
        sums = np.clip(reference.conv2d(x, w, padding=(1, 0)) + add, 0, 6)
        np.testing.assert_array_equal(nn.conv2d(x, w, None, 1, (1, 0), add=add, activation="relu6"), sums)


@floats
def test_planes_that_are_read_where_they_lie(isa, rng, dtype):
    """Rows have the bits of those that are turned; a weight that is not finite meets the zeros around them."""
    for rows, cols, padding in ((1, 2, 1), (9, 13, (1, 0)), (14, 14, ((0, 1), (2, 0))), (17, 33, 2), (4, 64, 1)):
        x, w, bias = (reals(rng, shape, dtype) for shape in ((2, 18, rows, cols), (36, 1, 3, 3), (36,)))
        how = {"stride": 2, "padding": padding, "groups": 18, "activation": (-1, 2)}
        turned = nn.conv2d(np.asfortranarray(x), w, bias, **how)
        cases.assert_same_bits(nn.conv2d(x, w, bias, **how), turned, (rows, cols))
        cases.assert_same_bits(nn.conv2d(x[:, :, ::-1].copy()[:, :, ::-1], w, bias, **how), turned, (rows, cols))
        w[3, 0, 0, 0], w[20, 0, 2, 1] = np.inf, np.nan
        y, expected = (conv2d(x, w, bias, **how | {"activation": None}) for conv2d in (nn.conv2d, reference.conv2d))
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))


@pytest.mark.parametrize("activation", [None, "relu", "relu6", (-3, 5.5), (2, 2)])
def test_activation(isa, rng, activation):
    for channels in (5, 1200):
        x, w, bias = (integers(rng, s, "float32") for s in ((2, channels, 9, 9), (6, channels, 1, 3), (6,)))
        y = nn.conv2d(x, w, bias, activation=activation)
        low, high = {"relu": (0, np.inf), "relu6": (0, 6), None: (-np.inf, np.inf)}.get(activation, activation)
        np.testing.assert_array_equal(y, np.clip(nn.conv2d(x, w, bias), low, high))


def test_nan_passes_the_activation(isa):
    x = np.ones((1, 1, 4, 20), np.float32)
    x[0, 0, 2, 3] = np.nan
    y = nn.conv2d(x, np.ones((2, 1, 1, 2), np.float32), activation="relu")
    assert np.isnan(y[0, :, 2, 2:4]).all() and np.isnan(y).sum() == 4


@pytest.mark.parametrize("rank", [1, 2, 3])
@floats
def test_channels_last(isa, rng, rank, dtype):
    x, w, bias = (integers(rng, s, dtype) for s in ((2, 6, 8, 9, 7)[: rank + 2], (4, 3, 3, 2, 3)[: rank + 2], (4,)))
    how = {"groups": 2, "stride": 2, "padding": 1, "activation": "relu"}
    expected = np.moveaxis(CONV[rank](x, w, bias, **how), 1, -1)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    y = CONV[rank](last, w, bias, **how, layout=layers.LAYOUTS[rank][1])
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, expected)
    out = np.empty_like(expected)
    assert CONV[rank](last[0], w, bias, **how, layout=layers.LAYOUTS[rank][1], out=out[0]).base is out
    np.testing.assert_array_equal(out[0], expected[0])


LAST = {  # images, channels, kernels, size; kernel; how
    "one tap": ((2, 37, 70, 9, 7), (1, 1), {}),
    "one tap, strided": ((1, 19, 33, 40, 23), (1, 1), {"stride": (2, 3)}),
    "one tap, few pixels, parts": ((2, 300, 90, 7, 7), (1, 1), {}),
    "one tap, many pixels": ((1, 3, 5, 70, 30), (1, 1), {"activation": "relu"}),
    "one pixel": ((3, 40, 50, 1, 1), (1, 1), {}),
    "one channel": ((2, 1, 3, 5, 6), (1, 1), {}),
    "depthwise": ((2, 21, 21, 9, 12), (3, 3), {"padding": 1}),
    "depthwise, long rows": ((1, 33, 33, 5, 90), (3, 5), {"padding": (1, 2), "activation": "relu6"}),
    "depthwise, strided": ((2, 32, 32, 11, 14), (5, 3), {"padding": (2, 0), "stride": 2}),
    "depthwise, many taps": ((1, 18, 18, 30, 90), (17, 18), {"padding": 4, "dilation": 2}),
    "depthwise, reflected": ((1, 16, 16, 8, 60), (3, 3), {"padding": 2, "padding_mode": "reflect"}),
}


@pytest.mark.parametrize("name", LAST)
@floats
def test_channels_last_bits(isa, rng, name, dtype):
    """Those of channels second, whatever is between the pixels, and whoever is asked."""
    (images, channels, kernels, *size), taps, how = LAST[name]
    depthwise = taps != (1, 1)
    how = how | {"groups": channels if depthwise else 1}
    x, w = (
        reals(rng, (images, channels, *size), dtype),
        reals(rng, (kernels, 1 if depthwise else channels, *taps), dtype),
    )
    bias = reals(rng, (kernels,), dtype)
    expected = np.moveaxis(nn.conv2d(x, w, bias, **how), 1, -1).copy()
    wide = np.zeros((images, *size, channels + 3), dtype)[..., 1 : 1 + channels]
    wide[...] = np.moveaxis(x, 1, -1)
    for last in (wide.copy(), wide, wide[:, ::-1].copy()[:, ::-1]):
        for threads in (None, None, 3):  # planned; by its plan; by threads
            y = nn.conv2d(last, w, bias, **how, layout="NHWC", threads=threads)
            assert y.flags.c_contiguous
            cases.assert_same_bits(y, expected)
        one = nn.conv2d(last[-1], w, bias, **how, layout="NHWC")
        cases.assert_same_bits(one, expected[-1])
    out = np.empty_like(expected)
    for _ in range(2):
        out[...] = 7
        assert nn.conv2d(wide, w, bias, **how, layout="NHWC", out=out) is out
        cases.assert_same_bits(out, expected)


@pytest.mark.parametrize("channels", [5, 16, 21])
@floats
def test_channels_last_depthwise(isa, rng, channels, dtype):
    x, w = integers(rng, (2, channels, 9, 20), dtype), integers(rng, (2 * channels, 1, 3, 5), dtype)
    how = {"groups": channels, "padding": (1, 2), "stride": (1, 2)}
    expected = np.moveaxis(nn.conv2d(x, w, **how), 1, -1)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    np.testing.assert_array_equal(nn.conv2d(last, w, **how, layout="NHWC"), expected)
    expected = np.moveaxis(nn.conv2d(x[..., ::-1], w, **how), 1, -1)
    np.testing.assert_array_equal(nn.conv2d(last[:, :, ::-1], w, **how, layout="NHWC"), expected)


def test_dtype(rng):
    x, w = integers(rng, (1, 2, 5, 5), "uint8"), integers(rng, (3, 2, 2, 2), "int64")
    y = nn.conv2d(x, w, dtype="float32")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, nn.conv2d(x.astype("f4"), w.astype("f4")))
    swapped = x.astype(">f4")
    np.testing.assert_array_equal(nn.conv2d(swapped, w.astype("f4")), y)


def test_sums_are_flushed(rng):
    """2^24 + 1 - 2^24 over channels far apart: what a single float32 sum would lose."""
    channels = 40_000
    x, w = np.ones((1, channels, 1, 1), np.float32), np.full((1, channels, 1, 1), 0.1, np.float32)
    exact = channels * float(np.float32(0.1))
    assert abs(float(nn.conv2d(x, w)[0, 0, 0, 0]) - exact) < 2e-5 * exact
    one_by_one = np.cumsum(w.ravel(), dtype=np.float32)[-1]
    assert abs(float(one_by_one) - exact) > 1e-4 * exact


def test_out(rng):
    x, w = integers(rng, (2, 3, 8, 8), "float32"), integers(rng, (3, 3, 3, 3), "float32")
    expected = nn.conv2d(x, w, padding=1)
    for out in (np.empty_like(expected), np.empty((2, 3, 8, 16), "f4")[..., ::2], x):
        assert nn.conv2d(x.copy(), w, padding=1, out=out) is out
        np.testing.assert_array_equal(out, expected)
    x = integers(rng, (2, 3, 8, 8), "float32")
    expected = nn.conv2d(x, w, padding=1)
    nn.conv2d(x, w, padding=1, out=x)
    np.testing.assert_array_equal(x, expected)


def test_nothing_to_do():
    """What PyTorch gives for no images and no channels."""
    ones = np.ones
    assert nn.conv2d(ones((0, 3, 5, 5)), ones((4, 3, 3, 3))).shape == (0, 4, 3, 3)
    assert nn.conv2d(ones((1, 0, 5, 5)), ones((4, 0, 3, 3))).shape == (1, 0, 3, 3)


X, W = np.zeros((1, 4, 5, 6)), np.zeros((6, 4, 3, 3))
ERRORS = {
    "channels": (dict(w=np.zeros((6, 3, 3, 3))), ValueError, r"\(1, 4, 5, 6\).*\(6, 3, 3, 3\)"),
    "groups do not divide": (dict(w=np.zeros((6, 1, 3, 3)), groups=4), ValueError, r"groups=4.*\(6, 1, 3, 3\)"),
    "groups and channels": (dict(groups=2), ValueError, r"groups=2.*8"),
    "groups of none": (dict(groups=0), ValueError, "groups"),
    "groups a float": (dict(groups=1.0), TypeError, "groups"),
    "bias": (dict(bias=np.zeros(4)), ValueError, r"bias.*\(6,\).*\(4,\)"),
    "x of two dimensions": (dict(x=np.zeros((5, 5))), ValueError, r"x.*\(5, 5\)"),
    "w of three dimensions": (dict(w=np.zeros((6, 4, 3))), ValueError, r"w.*\(6, 4, 3\)"),
    "no taps": (dict(w=np.zeros((6, 4, 0, 3))), ValueError, r"w.*\(0, 3\)"),
    "no kernels": (dict(w=np.zeros((0, 4, 3, 3))), ValueError, "w"),
    "no rows": (dict(x=np.zeros((1, 4, 0, 6)), padding=3), ValueError, "x"),
    "kernel too large": (dict(w=np.zeros((6, 4, 7, 3))), ValueError, r"\(7, 3\).*\(5, 6\)"),
    "dilation too large": (dict(dilation=3), ValueError, r"\(7, 7\).*dilation.*\(5, 6\)"),
    "dilation huge": (dict(dilation=2**61), ValueError, "dilation"),
    "stride of none": (dict(stride=0), ValueError, "stride"),
    "stride negative": (dict(stride=(1, -1)), ValueError, "stride"),
    "stride a float": (dict(stride=1.5), TypeError, "stride"),
    "three strides": (dict(stride=(1, 1, 1)), ValueError, "stride"),
    "padding negative": (dict(padding=-1), ValueError, "padding"),
    "padding a float": (dict(padding=(1.0, 1)), TypeError, "padding"),
    "padding unknown": (dict(padding="full"), ValueError, "padding.*full"),
    "padding of three": (dict(padding=(1, 1, 1)), ValueError, "padding"),
    "padding of triples": (dict(padding=((1, 1, 1), (1, 1, 1))), ValueError, "padding"),
    "padding huge": (dict(padding=2**62), ValueError, "padding"),
    "padding true": (dict(padding=True), TypeError, "padding.*True"),
    "padding of no number": (dict(padding={1}), TypeError, "padding"),
    "padding and dilation huge": (dict(padding=(2**29, 2**29), dilation=2**28), ValueError, "too large"),
    "padding_mode": (dict(padding_mode="mirror"), ValueError, "padding_mode.*mirror"),
    "reflect too far": (dict(padding_mode="reflect", padding=5), ValueError, "padding.*reflect"),
    "activation": (dict(activation="swish"), ValueError, "activation.*swish"),
    "activation a number": (dict(activation=3), TypeError, "activation"),
    "activation upside down": (dict(activation=(1, 0)), ValueError, "activation"),
    "layout": (dict(layout="CHWN"), ValueError, "layout.*CHWN"),
    "integers": (dict(x=X.astype(int), w=W.astype(int)), TypeError, "x.*int64.*dtype"),
    "complex": (dict(x=X.astype(complex)), TypeError, "x.*complex"),
    "dtypes differ": (dict(w=W.astype("f4")), TypeError, "w.*float32.*float64"),
    "dtype": (dict(dtype="int32"), TypeError, "dtype.*int32"),
    "masked": (dict(x=np.ma.masked_array(X)), TypeError, "x.*masked"),
    "out of another shape": (dict(out=np.zeros((1, 6, 3, 3))), ValueError, r"out.*\(1, 6, 3, 3\).*\(1, 6, 3, 4\)"),
    "out of another dtype": (dict(out=np.zeros((1, 6, 3, 4), "f4")), TypeError, "out.*float32"),
    "method": (dict(method="winograd"), ValueError, "method.*winograd"),
    "threads": (dict(threads=0), ValueError, "threads"),
}


@pytest.mark.parametrize(("arguments", "error", "says"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(arguments, error, says):
    with pytest.raises(error, match=says):
        nn.conv2d(**({"x": X, "w": W} | arguments))
    if not {"method", "threads"} & set(arguments):
        with pytest.raises(error, match=says):
            reference.conv2d(**({"x": X, "w": W} | arguments))


def test_words_do_not_hide_in_the_cache():
    """1.0 and True are equal to 1, which has just been accepted."""
    nn.conv2d(X, W, padding=(1, 1), threads=1)
    for padding in ((1.0, 1), (True, 1)):
        with pytest.raises(TypeError, match="padding"):
            nn.conv2d(X, W, padding=padding, threads=1)


def test_far_taps(isa):
    """Taps that lie far outside x, or of which there is but one output: nothing that matters is large."""
    ones = np.ones
    for groups in (1, 16):
        x, w = ones((1, groups, 3, 3), "f4"), ones((groups, 1, 2, 1), "f4")
        y = nn.conv2d(x, w, padding=(2**20, 0), dilation=(2**21, 1), groups=groups, threads=2)
        assert y.shape == (1, groups, 3, 3) and (y == 0).all()
    assert (nn.conv2d(ones((1, 2, 3, 3)), ones((1, 2, 1, 1)), stride=2**60) == 2).all()
    assert (nn.conv2d(ones((1, 2, 3, 3)), ones((1, 2, 1, 1)), stride=2**60, threads=1) == 2).all()


def test_misaligned_weights(rng):
    x, w = reals(rng, (1, 3, 8, 8), "float32"), reals(rng, (4, 3, 3, 3), "float32")
    odd = np.frombuffer(b"\0" + w.tobytes(), np.uint8)[1:].view(w.dtype).reshape(w.shape)
    cases.assert_same_bits(nn.conv2d(x, odd), nn.conv2d(x, w))


def test_a_result_too_large():
    x = np.broadcast_to(np.float32(0), (2**20, 1, 2**20, 2**20))
    with pytest.raises(ValueError, match="too large"):
        nn.conv2d(x, np.zeros((1, 1, 1, 1), np.float32))


def test_memory_runs_short(rng):
    from fastconv import _core

    x, w = reals(rng, (1, 8, 30, 30), "float32"), reals(rng, (8, 8, 3, 3), "float32")
    out = np.full((1, 8, 28, 28), 7, np.float32)
    _core.alloc_fail_after(0)
    try:
        with pytest.raises(MemoryError):
            nn.conv2d(x, w, out=out, threads=2)
    finally:
        _core.alloc_fail_after(-1)
    assert (out == 7).all()


def test_checked(monkeypatch, rng):
    x, w = reals(rng, (1, 3, 6, 6), "float32"), reals(rng, (2, 3, 3, 3), "float32")
    with fastconv.checked():
        y = nn.conv2d(x, w, activation="relu")
        monkeypatch.setattr(functional, "_direct", lambda *a: Answer(functional._im2col(a[0]) + np.float32(1e-3)))
        with pytest.raises(fastconv.CheckError, match=r"nn\.conv2d"):
            nn.conv2d(x, w)
    assert (y >= 0).all()


# ---- layer objects -------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_layer_objects(cls, rng):
    rank = cls.rank
    layer = cls(6, 8, 3, 2, 1, groups=2, activation="relu", seed=3)
    x = reals(rng, (2, 6, 9, 8, 7)[: rank + 2], "float32")
    assert layer.weight.shape == (8, 3, *(3,) * rank) and layer.weight.dtype == np.float32
    assert np.abs(layer.weight).max() <= 1 / math.sqrt(3 * 3**rank) and layer.weight.std() > 0
    expected = CONV[rank](x, layer.weight, layer.bias, 2, 1, groups=2, activation="relu")
    cases.assert_same_bits(layer(x), expected)
    out = np.empty_like(expected)
    assert layer(x, out=out) is out
    again = cls.from_weights(layer.weight, layer.bias, 2, 1, groups=2, activation="relu")
    cases.assert_same_bits(again(x), expected)
    np.testing.assert_array_equal(cls(6, 8, 3, groups=2, seed=3).weight, layer.weight)
    assert cls(6, 8, 3, bias=False).bias is None


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_layer_weights_change_as_a_whole(dtype, rng):
    layer = nn.Conv2d(2, 3, 2, dtype=dtype, seed=1)
    x, w = reals(rng, (1, 2, 4, 4), dtype), reals(rng, (3, 2, 2, 2), dtype)
    with pytest.raises(ValueError, match=r"\(3, 2, 2, 2\)"):
        layer.weight = w[:2]
    layer.weight, layer.bias = w, np.ones(3)
    cases.assert_same_bits(layer(x), nn.conv2d(x, w, np.ones(3, dtype)))
    bare = nn.Conv2d(2, 3, 2, bias=False)
    with pytest.raises(ValueError, match="bias"):
        bare.bias = np.zeros(3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((4, 6, 3, 1, 0, 1, 4), ValueError),
        ((4, 6, 0), ValueError),
        ((4, 6, 3, 0), ValueError),
        ((4, 6, 3, 2, "sane"), ValueError),
        ((4.0, 6, 3), TypeError),
        ((4, 6, 3, 1, 0, 1, 1, True, "mirror"), ValueError),
    ],
)
def test_layer_errors(arguments, error):
    with pytest.raises(error):
        nn.Conv2d(*arguments)


def test_layers_padded_beyond_their_kernel(rng):
    x = reals(rng, (1, 1, 8, 8), "float32")
    for mode, padding in (("reflect", 3), ("circular", ((4, 1), (0, 4))), ("replicate", 9), ("reflect", (2, (0, 5)))):
        layer = nn.Conv2d(1, 2, 3, padding=padding, padding_mode=mode, seed=0)
        expected = nn.conv2d(x, layer.weight, layer.bias, padding=padding, padding_mode=mode)
        cases.assert_same_bits(layer(x), expected)


def test_layers_take_no_masks():
    masked = np.ma.masked_array(np.ones((1, 1, 2, 2)), mask=True)
    with pytest.raises(TypeError, match=r"weight.*masked"):
        nn.Conv2d.from_weights(masked)
    layer = nn.Conv2d(1, 1, 2)
    with pytest.raises(TypeError, match=r"weight.*masked"):
        layer.weight = masked


def test_a_layer_in_several_threads(rng):
    layer = nn.Conv2d(16, 16, 3, padding=1, seed=2)
    x = reals(rng, (8, 16, 40, 40), "float32")
    expected, results = [layer(image) for image in x], [None] * len(x)

    def run(i):
        for _ in range(5):
            results[i] = layer(x[i])

    crowd = [threading.Thread(target=run, args=(i,)) for i in range(len(x))]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    for y, want in zip(results, expected, strict=True):
        cases.assert_same_bits(y, want)


RESIDUAL = {  # what computes the sums: x, w, how
    "products": ((2, 5, 9, 8), (40, 5, 3, 3), {"padding": 1, "accuracy": "exact"}),
    "products, several blocks": ((1, 300, 33, 40), (9, 300, 1, 1), {}),
    "products, some as dots": ((1, 300, 7, 7), (19, 300, 1, 1), {}),
    "products, planes adjoin": ((9, 16, 7, 7), (17, 16, 3, 3), {"padding": 1, "accuracy": "exact"}),
    "zones": ((1, 24, 14, 14), (64, 24, 3, 3), {"padding": 6, "dilation": 6}),
    "one output": ((3, 8, 4, 4), (9, 8, 4, 4), {}),
    "winograd": ((2, 16, 15, 14), (24, 16, 3, 3), {"padding": 1, "method": "winograd"}),
    "lanes": ((2, 20, 9, 8), (20, 1, 3, 3), {"padding": 1, "groups": 20}),
    "slides": ((2, 2, 9, 80), (4, 1, 3, 3), {"padding": 1, "groups": 2, "stride": (2, 1)}),
    "fft": ((1, 3, 40, 40), (3, 1, 13, 13), {"groups": 3, "padding": 6, "method": "fft"}),
    "im2col": ((2, 4, 9), (6, 2, 3), {"stride": 2, "groups": 2, "method": "im2col"}),
    "volumes": ((2, 3, 4, 5, 6), (4, 3, 2, 3, 2), {"stride": (1, 2, 1)}),
}


@pytest.mark.parametrize("name", RESIDUAL)
@pytest.mark.parametrize("dtype", ["float32", *only_deep("float16", "float64")])
def test_add(isa, rng, name, dtype):
    """A second array is added before the activation: in any layout, into itself, and with the bits of other calls."""
    x_shape, w_shape, how = RESIDUAL[name]
    if dtype != "float32" and how.get("method") == "winograd":
        pytest.skip("winograd is of float32")
    x, w, bias = (integers(rng, shape, dtype) for shape in (x_shape, w_shape, w_shape[:1]))
    sums = conv(w)(
        x.astype("f8"), w.astype("f8"), bias.astype("f8"), **how | {"method": "numpy", "accuracy": "default"}
    )
    add = integers(rng, sums.shape, dtype)
    expected = np.clip(sums + add, -20, 30)
    how = how | {"activation": (-20, 30)}
    y = conv(w)(x, w, bias, add=add, **how)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, 0, 1e-3 if how.get("method") == "fft" else 0)
    for threads in (1, 3):
        cases.assert_same_bits(conv(w)(x, w, bias, add=add, threads=threads, **how), y)
    into = add.copy()
    assert conv(w)(x, w, bias, add=into, out=into, **how) is into
    cases.assert_same_bits(into, y)
    last, here = LAYOUTS[w.ndim - 2][1], np.moveaxis(add, 1, -1)
    if "method" not in how:
        other = conv(w)(np.moveaxis(x, 1, -1).copy(), w, bias, add=here.copy(), layout=last, **how)
        cases.assert_same_bits(np.moveaxis(other, -1, 1), y)
    strided = np.repeat(add, 2, -1)[..., ::2]
    cases.assert_same_bits(conv(w)(x, w, bias, add=strided, **how), y)


def test_add_is_rounded_once(isa):
    """float16: the sum, what is added and the activation are of float32."""
    x, w, add = (np.full((1, 1, 4), value, np.float16) for value in (2048, 1, -2048))
    assert (nn.conv1d(x, w[..., :1], np.ones(1, np.float16), add=add) == 1).all()


def test_add_of_what_is_not_finite(isa, rng):
    """NaN stays, and images that fewer products cannot take get theirs once."""
    x, w = integers(rng, (2, 16, 9, 9), "float32"), integers(rng, (16, 16, 3, 3), "float32")
    x[1, 0, 3, 3] = np.inf
    add = integers(rng, (2, 16, 7, 7), "float32")
    add[0, 0, 0, 0] = np.nan
    y = nn.conv2d(x, w, add=add, method="winograd", activation="relu")
    np.testing.assert_array_equal(y, nn.conv2d(x, w, add=add, method="numpy", activation="relu"))
    x, add = integers(rng, (1, 16, 5, 32), "float32"), np.zeros((1, 16, 5, 32), np.float32)
    how = {"padding": 1, "activation": (-20, 30), "add": add}
    w[3, 2, 0, 1] = -np.inf  # times the zeros beyond x is NaN, which the clamp does not hide
    y = nn.conv2d(x, w, accuracy="exact", **how)
    np.testing.assert_array_equal(y, nn.conv2d(x, w, method="numpy", **how))


def test_add_is_checked(rng):
    x, w, add = reals(rng, (1, 3, 8, 8), "float32"), reals(rng, (4, 3, 3, 3), "float32"), np.ones((1, 4, 6, 6), "f")
    with fastconv.checked():
        nn.conv2d(x, w, add=1e6 * add)
        nn.conv2d(x, w, add=1e6 * add, method="winograd")
    with pytest.raises(
        ValueError, match=r"add must have shape \(1, 4, 6, 6\), that of the result; got shape \(4, 6, 6\)"
    ):
        nn.conv2d(x, w, add=add[0])
    with pytest.raises(TypeError, match="add has dtype float64 and x float32"):
        nn.conv2d(x, w, add=add.astype(float))
    with pytest.raises(TypeError, match="add has dtype object"):
        nn.conv2d(x, w, add=object())
    assert nn.conv2d(x, w, add=add.astype(int), dtype="f").shape == add.shape
    layer = nn.Conv2d.from_weights(w)
    for _ in range(2):
        cases.assert_same_bits(layer(x, add=add), nn.conv2d(x, w, add=add))
        cases.assert_same_bits(layer(x), nn.conv2d(x, w))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("how", [{}, {"groups": 2, "padding": 1}, {"method": "im2col"}], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_a_kernel_for_each_image(rng, rank, how, last):
    x = reals(rng, (3, 4, 7, 6, 5)[: rank + 2], "float32")
    w = reals(rng, (3, 8, 4 // how.get("groups", 1), 3, 3, 3)[: rank + 3], "float32")
    bias = reals(rng, (3, 8), "float32")
    expected = np.stack([CONV[rank](x[i], w[i], bias[i], **how) for i in range(3)])
    add = reals(rng, expected.shape, "float32")
    if last:
        how = how | {"layout": LAYOUTS[rank][1]}
        x, expected, add = (np.moveaxis(a, 1, -1) for a in (x, expected, add))
    y = CONV[rank](x, w, bias, **how)
    assert y.flags.c_contiguous
    np.testing.assert_allclose(y, expected, 0, 1e-6 if last else 0)
    cases.assert_same_bits(CONV[rank](x, w, bias, add=add, activation="relu", **how), np.maximum(y + add, 0))
    out = np.empty_like(y)
    assert CONV[rank](x, w, bias, out=out, **how) is out
    cases.assert_same_bits(out, y)
    one = CONV[rank](x, w, bias[0], **how)
    cases.assert_same_bits(one[:1], y[:1])
    assert CONV[rank](x[:0], w[:0], **how).shape == (0, *y.shape[1:])
    wide = CONV[rank](x.astype(int), w.astype(int), dtype="f", **how)
    assert wide.dtype == np.float32 and wide.shape == y.shape


def test_errors_of_a_kernel_for_each_image(rng):
    x, w = reals(rng, (3, 4, 7, 7), "float32"), reals(rng, (3, 8, 4, 3, 3), "float32")
    into = np.concatenate([x, x])  # each image's result lies where the next one is
    y = nn.conv2d(x[:, :1], w[:, :1, :1], padding=1)
    nn.conv2d(into[1:4, :1], w[:, :1, :1], padding=1, out=into[:3, :1])
    np.testing.assert_array_equal(into[:3, :1], nn.conv2d(x[[1, 2, 0], :1], w[:, :1, :1], padding=1))
    assert y.shape == (3, 1, 7, 7)
    for arguments, match in (
        ((x[:2], w), r"w of shape \(3, 8, 4, 3, 3\) has kernels for 3 images; got x of shape \(2, 4, 7, 7\)"),
        ((x[0], w), "has kernels for 3 images"),
        ((x, w[:, :, :3]), "has 4 channels"),
        ((x, w, np.ones((2, 8), "f")), r"bias must have shape \(8,\) or \(3, 8\); got shape \(2, 8\)"),
    ):
        with pytest.raises(ValueError, match=match):
            nn.conv2d(*arguments)
    with pytest.raises(ValueError, match="out has shape"):
        nn.conv2d(x, w, out=np.ones((3, 8, 4, 4), "f"))
