# SPDX-License-Identifier: BSD-3-Clause
"""Transposed layers: values against the reference and PyTorch, adjoint to the layers, bits, errors."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import integers, reals

import fastconv
from fastconv import nn, reference
from fastconv.arguments import layers
from fastconv.nn import transposed
from fastconv.plans import Answer

CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
TRANSPOSED = {1: nn.conv_transpose1d, 2: nn.conv_transpose2d, 3: nn.conv_transpose3d}
REFERENCE = {1: reference.conv_transpose1d, 2: reference.conv_transpose2d, 3: reference.conv_transpose3d}

LAYERS = {
    "1x1": ((2, 5, 6, 7), (5, 9, 1, 1), {}),
    "1x1, strided": ((1, 4, 5, 6), (4, 3, 1, 1), {"stride": 2, "output_padding": 1}),
    "3x3": ((1, 33, 12, 11), (33, 6, 3, 3), {"padding": 1}),
    "2x2, up by two": ((2, 8, 6, 7), (8, 5, 2, 2), {"stride": 2}),
    "4x4, up by two": ((1, 16, 7, 9), (16, 3, 4, 4), {"stride": 2, "padding": 1}),
    "3x3, up by two": ((1, 16, 7, 9), (16, 3, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    "stride beyond the kernel": ((1, 3, 5, 6), (3, 7, 2, 2), {"stride": (3, 5), "output_padding": (2, 0)}),
    "dilated": ((1, 4, 9, 8), (4, 5, 3, 3), {"dilation": (2, 3), "padding": (2, 1)}),
    "dilated, more outputs": ((1, 4, 9, 8), (4, 5, 3, 3), {"dilation": 3, "output_padding": (2, 1)}),
    "dilated and strided": (
        (1, 4, 9, 8),
        (4, 5, 3, 2),
        {"dilation": (3, 2), "stride": (2, 4), "output_padding": 2},
    ),
    "groups": ((2, 12, 7, 9), (12, 4, 3, 3), {"groups": 3, "stride": 2}),
    "depthwise": ((2, 19, 7, 9), (19, 1, 3, 3), {"groups": 19, "padding": 1, "stride": 2, "output_padding": 1}),
    "more padding than kernel": ((1, 3, 9, 9), (3, 2, 2, 2), {"padding": 3}),
    "unbatched": ((3, 8, 9), (3, 4, 3, 3), {"stride": 2}),
    "one element": ((2, 3, 1, 1), (3, 4, 5, 4), {"stride": 7}),
    "few elements, a large kernel": ((2, 6, 2, 3), (6, 4, 31, 33), {"groups": 2, "stride": 5, "padding": (3, 0)}),
    "1-D": ((2, 3, 50), (3, 5, 4), {"padding": 2, "stride": 2}),
    "1-D, unbatched": ((3, 20), (3, 4, 3), {"stride": 3, "output_padding": 2}),
    "a phase that begins late": (
        (3, 6, 3, 3),
        (6, 1, 5, 1),
        {"stride": (1, 3), "padding": ((1, 1), (2, 0)), "dilation": (1, 2), "groups": 2, "output_padding": (0, 2)},
    ),
    "phases of few taps, many channels": (
        (6, 256, 7, 7),
        (256, 5, 3, 3),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    "3-D": ((2, 3, 4, 3, 5), (3, 4, 2, 3, 2), {"stride": (1, 2, 2), "padding": (1, 0, 1), "output_padding": (0, 1, 1)}),
}
layer_cases = pytest.mark.parametrize(("x_shape", "w_shape", "how"), LAYERS.values(), ids=LAYERS.keys())


def example(rng, make, dtype, x_shape, w_shape, how):
    kernels = w_shape[1] * how.get("groups", 1)
    return make(rng, x_shape, dtype), make(rng, w_shape, dtype), make(rng, (kernels,), dtype)


@layer_cases
@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_values(isa, rng, x_shape, w_shape, how, dtype):
    """Small integers, whose sums are exact; then reals, within the bound."""
    rank = len(w_shape) - 2
    for make in integers, reals:
        x, w, bias = example(rng, make, dtype, x_shape, w_shape, how)
        expected = REFERENCE[rank](x, w, bias, **how)
        for threads in (1, 3):
            y = TRANSPOSED[rank](x, w, bias, **how, threads=threads)
            assert y.dtype == dtype and y.flags.c_contiguous
            if make is integers:
                np.testing.assert_array_equal(y, expected)
                np.testing.assert_array_equal(TRANSPOSED[rank](x, w, bias, **how, method="im2col"), expected)
                continue
            options = {name: value for name, value in how.items() if name != "output_padding"}
            more = how.get("output_padding", 0)
            layer = layers.transposed_arguments(rank, x, w, bias, more, layers.Options(**options))
            assert (np.abs(y - expected) <= layer.as_asked(reference.transposed_error_bound(layer))).all()


@layer_cases
def test_torch(rng, x_shape, w_shape, how):
    torch = pytest.importorskip("torch")
    if isinstance(how.get("padding"), tuple) and isinstance(how["padding"][0], tuple):
        pytest.skip("PyTorch has no padding per side")
    x, w, bias = example(rng, integers, "float64", x_shape, w_shape, how)
    function = getattr(torch.nn.functional, f"conv_transpose{len(w_shape) - 2}d")
    theirs = function(*map(torch.from_numpy, (x, w, bias)), **how).numpy()
    np.testing.assert_array_equal(TRANSPOSED[len(w_shape) - 2](x, w, bias, **how), theirs)


@layer_cases
def test_adjoint(rng, x_shape, w_shape, how):
    """<transposed(x), y> = <x, conv(y)>, where more outputs than x has are left aside."""
    rank = len(w_shape) - 2
    x, w, _ = example(rng, integers, "float64", x_shape, w_shape, how)
    there = TRANSPOSED[rank](x, w, **how)
    y = integers(rng, there.shape, "float64")
    back = CONV[rank](y, w, **{name: value for name, value in how.items() if name != "output_padding"})
    back = back[(..., *(slice(n) for n in x.shape[-rank:]))]
    assert (there * y).sum() == (x * back).sum()


@layer_cases
def test_bits(isa, rng, x_shape, w_shape, how):
    """The same for any number of threads, any layout of x, and any batch that an image is in."""
    run = TRANSPOSED[len(w_shape) - 2]
    x, w, bias = example(rng, reals, "float32", x_shape, w_shape, how)
    y = run(x, w, bias, **how, threads=1)
    for threads in (2, 5):
        cases.assert_same_bits(run(x, w, bias, **how, threads=threads), y)
    cases.assert_same_bits(run(np.asfortranarray(x), np.asfortranarray(w), bias, **how), y)
    cases.assert_same_bits(run(x[..., ::-1].copy()[..., ::-1], w, bias, **how), y)
    if x.ndim == w.ndim:
        cases.assert_same_bits(run(x[-1], w, bias, **how), y[-1])
        cases.assert_same_bits(run(np.concatenate([x] * 5), w, bias, **how)[-len(x) :], y)


@pytest.mark.parametrize("activation", ["relu", "relu6", (-3, 5.5)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_activation(isa, rng, activation, stride):
    """Of outputs that meet a tap, and of those that are nothing but bias."""
    x, w, bias = (integers(rng, s, "float32") for s in ((2, 5, 9, 9), (5, 20, 2, 2), (20,)))
    y = nn.conv_transpose2d(x, w, bias, stride, activation=activation)
    low, high = {"relu": (0, np.inf), "relu6": (0, 6)}.get(activation, activation)
    np.testing.assert_array_equal(y, np.clip(nn.conv_transpose2d(x, w, bias, stride), low, high))


def test_padding(rng):
    """What the result has less: of each side, and as words."""
    x, w = integers(rng, (1, 2, 6, 7), "float32"), integers(rng, (2, 3, 4, 3), "float32")
    whole = nn.conv_transpose2d(x, w)
    np.testing.assert_array_equal(nn.conv_transpose2d(x, w, padding=((1, 3), (0, 2))), whole[:, :, 1:-3, :-2])
    np.testing.assert_array_equal(nn.conv_transpose2d(x, w, padding="same"), whole[:, :, 1:-2, 1:-1])
    np.testing.assert_array_equal(nn.conv_transpose2d(x, w, padding="valid"), whole)


def test_float16(isa, rng):
    """Summed in float32: 3000 ones are 3000, which sums in float16 do not reach."""
    y = nn.conv_transpose2d(np.ones((1, 3000, 2, 2), np.float16), np.ones((3000, 1, 1, 1), np.float16))
    assert y.dtype == np.float16 and (y == 3000).all()


def test_out(rng):
    x, w = integers(rng, (2, 3, 8, 8), "float32"), integers(rng, (3, 3, 3, 3), "float32")
    expected = nn.conv_transpose2d(x, w, padding=1)
    for out in (np.empty_like(expected), np.empty((2, 3, 8, 16), "f4")[..., ::2]):
        assert nn.conv_transpose2d(x, w, padding=1, out=out) is out
        np.testing.assert_array_equal(out, expected)
    nn.conv_transpose2d(x, w, padding=1, out=x)
    np.testing.assert_array_equal(x, expected)
    one = np.empty_like(expected[0])
    assert nn.conv_transpose2d(x[0], w, padding=1, out=one) is one
    np.testing.assert_array_equal(one, nn.conv_transpose2d(x, w, padding=1)[0])


def test_nothing_to_do():
    assert nn.conv_transpose2d(np.ones((0, 3, 5, 5)), np.ones((3, 4, 3, 3))).shape == (0, 4, 7, 7)


def test_checked(monkeypatch, rng):
    x, w = reals(rng, (2, 3, 6, 6), "float32"), reals(rng, (3, 2, 3, 3), "float32")
    with fastconv.checked():
        nn.conv_transpose2d(x, w, stride=2, activation="relu")
        monkeypatch.setattr(transposed, "_direct", lambda c, *_: Answer(transposed._col2im(c) + np.float32(1e-3)))
        with pytest.raises(fastconv.CheckError, match=r"nn\.conv_transpose2d"):
            nn.conv_transpose2d(x, w)


X, W = np.zeros((1, 4, 5, 6)), np.zeros((4, 6, 3, 3))
ERRORS = {
    "channels": (dict(w=W[1:]), ValueError, r"\(1, 4, 5, 6\).*4 channels.*\(3, 6, 3, 3\).*3"),
    "groups do not divide": (dict(groups=3), ValueError, r"w.*groups=3.*\(4, 6, 3, 3\)"),
    "groups of none": (dict(groups=0), ValueError, "groups"),
    "no channels": (dict(x=X[:, :0], w=W[:0]), ValueError, r"w.*\(0, 6, 3, 3\)"),
    "bias": (dict(bias=np.zeros(4)), ValueError, r"bias.*\(6,\).*\(4,\)"),
    "bias of groups": (dict(bias=np.zeros(6), groups=2), ValueError, r"bias.*\(12,\).*\(6,\)"),
    "x of two dimensions": (dict(x=X[0, 0]), ValueError, r"x.*\(5, 6\)"),
    "w of three dimensions": (dict(w=W[0]), ValueError, r"w.*\(6, 3, 3\)"),
    "no taps": (dict(w=np.zeros((4, 6, 0, 3))), ValueError, r"w.*\(0, 3\)"),
    "no rows": (dict(x=np.zeros((1, 4, 0, 6))), ValueError, r"x.*\(0, 6\)"),
    "stride of none": (dict(stride=0), ValueError, "stride"),
    "stride huge": (dict(stride=2**60), ValueError, "stride.*too large"),
    "dilation huge": (dict(dilation=2**60), ValueError, "dilation.*too large"),
    "padding negative": (dict(padding=-1), ValueError, "padding"),
    "padding too much": (dict(padding=4), ValueError, r"padding 4.*\(5, 6\).*\(-1, 0\)"),
    "padding huge": (dict(padding=2**62), ValueError, "padding"),
    "padding unknown": (dict(padding="full"), ValueError, "padding.*full"),
    "output_padding of a step": (dict(stride=2, output_padding=2), ValueError, r"output_padding.*\(2, 2\).*\(2, 2\)"),
    "output_padding without a step": (dict(output_padding=1), ValueError, "output_padding"),
    "output_padding negative": (dict(stride=2, output_padding=-1), ValueError, "output_padding.*0.*-1"),
    "output_padding a float": (dict(stride=2, output_padding=1.0), TypeError, "output_padding"),
    "output_padding of three": (dict(stride=2, output_padding=(1, 1, 1)), ValueError, "output_padding"),
    "activation": (dict(activation="swish"), ValueError, "activation.*swish"),
    "integers": (dict(x=X.astype(int), w=W.astype(int)), TypeError, "x.*int64.*dtype"),
    "dtypes differ": (dict(w=W.astype("f4")), TypeError, "w.*float32.*float64"),
    "out of another shape": (dict(out=np.zeros((1, 6, 3, 3))), ValueError, r"out.*\(1, 6, 3, 3\).*\(1, 6, 7, 8\)"),
    "method": (dict(method="winograd"), ValueError, "method.*winograd"),
    "threads": (dict(threads=0), ValueError, "threads"),
}


@pytest.mark.parametrize(("arguments", "error", "says"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(arguments, error, says):
    with pytest.raises(error, match=says):
        nn.conv_transpose2d(**({"x": X, "w": W} | arguments))
    if not {"method", "threads"} & set(arguments):
        with pytest.raises(error, match=says):
            reference.conv_transpose2d(**({"x": X, "w": W} | arguments))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("how", [{}, {"stride": 2, "groups": 2, "activation": "relu"}, {"method": "im2col"}], ids=str)
@pytest.mark.parametrize("batched", [True, False])
def test_channels_last(rng, rank, how, batched):
    x = integers(rng, (2, 4, 5, 6, 3)[: rank + 2], "float32")
    w = integers(rng, (4, 6 // how.get("groups", 1), 3, 2, 2)[: rank + 2], "float32")
    x = x if batched else x[0]
    function, layout = getattr(nn, f"conv_transpose{rank}d"), ("NWC", "NHWC", "NDHWC")[rank - 1]
    expected = np.moveaxis(function(x, w, **how), -1 - rank, -1)
    last = np.moveaxis(x, -1 - rank, -1).copy()
    for _ in range(2):
        y = function(last, w, layout=layout, **how)
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(y, expected)
        out = np.empty_like(y)
        assert function(last, w, layout=layout, out=out, **how) is out
        np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match="layout must be one of"):
        function(last, w, layout="NC")
