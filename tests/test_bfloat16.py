# SPDX-License-Identifier: BSD-3-Clause
"""bfloat16: computed in float32 and rounded once, by functions, gradients and layers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastconv
from fastconv import nn
from fastconv.runtime import _core

BRAIN = pytest.importorskip("ml_dtypes").bfloat16
CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
CASES = [
    # rank, groups, channels, kernels, n, k, stride, padding, dilation, padding_mode
    (1, 1, 3, 5, 60, 5, 2, 2, 1, "zeros"),
    (1, 1, 1, 2, 1100, 4, 1, 3, 2, "reflect"),
    (2, 1, 5, 9, 14, 3, 1, 1, 1, "zeros"),
    (2, 1, 3, 8, 21, 7, 2, 3, 1, "circular"),
    (2, 6, 1, 1, 17, 3, 1, 1, 1, "zeros"),
    (2, 2, 8, 3, 7, 1, 1, 0, 1, "zeros"),
    (3, 1, 2, 3, 6, 3, 1, 1, 1, "replicate"),
]


def arrays(rng, case, whole):
    rank, groups, channels, kernels, n, k, *_ = case
    shapes = (2, groups * channels, *(n,) * rank), (groups * kernels, channels, *(k,) * rank), (groups * kernels,)
    if whole:
        return [rng.integers(-8, 9, shape).astype(BRAIN) for shape in shapes]
    return [rng.standard_normal(shape).astype(BRAIN) for shape in shapes]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_are_exact(rng, case):
    rank, groups, *_, stride, padding, dilation, mode = case
    x, w, bias = arrays(rng, case, whole=True)
    how = stride, padding, dilation, groups
    wide = CONV[rank](*(a.astype(np.float64) for a in (x, w, bias)), *how, padding_mode=mode, method="numpy")
    for method in ("auto", "numpy"):
        result = CONV[rank](x, w, bias, *how, padding_mode=mode, dtype=np.float32, method=method)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, wide)
        result = CONV[rank](x, w, bias, *how, padding_mode=mode, activation="relu", method=method)
        assert result.dtype == BRAIN
        np.testing.assert_array_equal(result, np.maximum(wide, 0).astype(np.float32).astype(BRAIN))


def test_every_upper_half_is_rounded_to_even(isa):
    """Numbers, infinities, NaN and subnormal ones, below, at and above the middle between two."""
    upper, lower = (
        np.arange(2**16, dtype=np.uint32)[:, None],
        np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32),
    )
    x, bits = ((upper << 16) + lower).view(np.float32), np.empty((2**16, 6), np.uint16)
    _core.round_bfloat16(x, bits)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(bits, x.astype(BRAIN).view(np.uint16))


@pytest.mark.parametrize("case", CASES[:5], ids=str)
def test_sums_are_those_of_float32(rng, case):
    rank, groups, *_, stride, padding, dilation, mode = case
    x, w, bias = arrays(rng, case, whole=False)
    how = stride, padding, dilation, groups
    exact = CONV[rank](*(a.astype(np.float64) for a in (x, w, bias)), *how, padding_mode=mode, method="numpy")
    mass = CONV[rank](*(abs(a.astype(np.float64)) for a in (x, w, bias)), *how, padding_mode=mode, method="numpy")
    sums = CONV[rank](x, w, bias, *how, padding_mode=mode, dtype="float32")
    taps = w[0].size + 1
    assert (np.abs(sums - exact) <= taps * 2.0**-23 * mass).all()
    np.testing.assert_array_equal(CONV[rank](x, w, bias, *how, padding_mode=mode), sums.astype(BRAIN))
    with fastconv.checked():
        CONV[rank](x, w, bias, *how, padding_mode=mode, activation="gelu")


def test_bits_depend_on_no_layout(rng):
    x, w, bias = arrays(rng, CASES[2], whole=False)
    want = nn.conv2d(x, w, bias, 1, 1)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    np.testing.assert_array_equal(nn.conv2d(np.moveaxis(last, -1, 1), w, bias, 1, 1), want)
    np.testing.assert_array_equal(nn.conv2d(last, w, bias, 1, 1, layout="NHWC"), np.moveaxis(want, 1, -1))
    np.testing.assert_array_equal(nn.conv2d(np.repeat(x, 2, -1)[..., ::2], w, bias, 1, 1), want)
    np.testing.assert_array_equal(nn.conv2d(x[0], w, bias, 1, 1), want[0])
    np.testing.assert_array_equal(nn.conv2d(x, w, bias, 1, 1, threads=3), want)
    out = np.empty_like(want)
    assert nn.conv2d(x, w, bias, 1, 1, out=out) is out
    np.testing.assert_array_equal(out, want)


def test_what_is_not_finite():
    x = np.ones((1, 3, 4, 4), BRAIN)
    x[0, 0, 0, 0], x[0, 1, 3, 3] = np.nan, np.inf
    y = nn.conv2d(x, np.ones((2, 3, 2, 2), BRAIN)).astype(np.float32)
    assert np.isnan(y[:, :, 0, 0]).all()
    assert np.isposinf(y[:, :, 2, 2]).all()
    assert (y[:, :, 1, 1] == 12).all()


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        (
            {"w": np.ones((1, 1, 2, 2), np.float32)},
            TypeError,
            "w has dtype float32 and x bfloat16: they must be",
        ),
        ({"add": np.ones((1, 1, 2, 2))}, TypeError, "add has dtype float64 and x bfloat16: they must be"),
        ({"method": "fastest"}, ValueError, "method must be one of"),
        ({"dtype": np.float64}, TypeError, "dtype must be bfloat16 or float32"),
        ({"bias": np.ones(1)}, TypeError, "bias has dtype float64; bfloat16 and float32"),
        ({"out": np.ones((1, 1, 2, 2), np.float32)}, TypeError, "out has dtype float32; the result has dtype bfloat16"),
    ],
)
def test_errors(how, error, says):
    good = {"x": np.ones((1, 1, 3, 3), BRAIN), "w": np.ones((1, 1, 2, 2), BRAIN)}
    with pytest.raises(error, match=says):
        nn.conv2d(**good | how)


def rounds(call, *args):
    """What `call` makes of arrays of bfloat16, and in float32, rounded once."""
    wide = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in args]
    return call(*args), call(*wide).astype(BRAIN)


def test_what_is_added(rng):
    x, w, bias = arrays(rng, CASES[2], whole=False)
    add = rng.standard_normal((2, 9, 14, 14)).astype(BRAIN)
    np.testing.assert_array_equal(*rounds(lambda x, add: nn.conv2d(x, w.astype(x.dtype), padding=1, add=add), x, add))
    own = np.stack([w, w[::-1]])
    each = nn.conv2d(x, own, bias, padding=1)
    np.testing.assert_array_equal(each[1], nn.conv2d(x[1], w[::-1], bias, padding=1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients(rng, case):
    """Against float64, of numbers whose sums float32 holds: only rounded. And as float32 has them, of others."""
    rank, groups, *_, stride, padding, dilation, mode = case
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": mode}
    of_input, of_weight, of_bias, backward = (
        getattr(nn, f"conv{rank}d_{name}") for name in ("input", "weight", "bias", "backward")
    )
    for whole in (True, False):
        x, w, bias = arrays(rng, case, whole)
        y = CONV[rank](x, w, bias, **how)
        grad = rng.integers(-4, 5, y.shape).astype(BRAIN)
        dtype, method = (np.float64, "numpy") if whole else (np.float32, "auto")
        gx, wx, xx = (a.astype(dtype) for a in (grad, w, x))
        want = (
            of_input(x.shape, wx, gx, **how, method=method).astype(BRAIN),
            of_weight(xx, w.shape, gx, **how, method=method).astype(BRAIN),
            of_bias(gx).astype(BRAIN),
        )
        found = of_input(x.shape, w, grad, **how), of_weight(x, w.shape, grad, **how), of_bias(grad)
        for results in (found, backward(grad, x, w, **how)):
            for result, expected in zip(results, want, strict=True):
                assert result.dtype == BRAIN
                np.testing.assert_array_equal(result, expected)
        assert backward(grad, x, w, needs=(False, True, False), **how).input is None
        out = np.empty(w.shape, np.float32)
        assert of_weight(x, w.shape, grad, **how, dtype="float32", out=out) is out
        np.testing.assert_array_equal(out.astype(BRAIN), want[1])
    with pytest.raises(TypeError, match="weight has dtype float32 and grad_output bfloat16: they must be the same"):
        of_input(x.shape, w.astype(np.float32), grad, **how)
    with pytest.raises(TypeError, match="input has dtype float32 and grad_output bfloat16: they must be the same"):
        backward(grad, x.astype(np.float32), w, **how)


def test_transposed(rng):
    x, w, bias = arrays(rng, CASES[2], whole=False)
    y = nn.conv2d(x, w, bias)
    call = {"stride": 2, "padding": 1, "output_padding": 1, "activation": "relu"}
    first = rng.standard_normal(5).astype(BRAIN)
    result = nn.conv_transpose2d(y, w, first, **call)
    wide = nn.conv_transpose2d(*(a.astype(np.float32) for a in (y, w, first)), **call)
    np.testing.assert_array_equal(result, wide.astype(BRAIN))
    with pytest.raises(TypeError, match="w has dtype float32 and x bfloat16"):
        nn.conv_transpose2d(y, w.astype(np.float32))


LAYERS = [
    nn.Conv1d(3, 4, 3, seed=0),
    nn.Conv2d(3, 4, 3, activation="relu", seed=0),
    nn.Conv2d(3, 4, 3, activation="gelu", padding=1, groups=1, seed=0),
    nn.Conv3d(3, 2, 2, seed=0),
    nn.ConvTranspose2d(3, 4, 3, stride=2, activation="silu", seed=0),
    nn.Linear(9, 2, seed=0),
    nn.BatchNorm2d(3),
    nn.ReLU(),
    nn.SiLU(),
    nn.Softmax(1),
    nn.MaxPool2d(2),
    nn.AvgPool2d(2),
    nn.AdaptiveAvgPool2d(2),
    nn.Flatten(),
    nn.Dropout2d(0.5, seed=0),
    nn.Sequential(nn.Conv2d(3, 4, 3, seed=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2, seed=0)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: repr(layer)[:40])
def test_layers(rng, layer):
    """Weights stay float32, and so do their gradients: those of x rounded, of a gradient rounded."""
    x = rng.standard_normal((2, 3, *(9,) * (layer.rank or 2))).astype(BRAIN)
    np.testing.assert_array_equal(*rounds(layer, x))
    copied = pickle.loads(pickle.dumps(layer))
    y = layer.forward(x)
    np.testing.assert_array_equal(y, copied.forward(x.astype(np.float32)).astype(BRAIN))
    grad = rng.standard_normal(y.shape).astype(BRAIN)
    back = layer.backward(grad)
    np.testing.assert_array_equal(back, copied.backward(grad.astype(np.float32)).astype(BRAIN))
    assert back.dtype == y.dtype == BRAIN
    for p, q in zip(layer.parameters(), copied.parameters(), strict=True):
        assert p.grad.dtype == np.float32
        np.testing.assert_array_equal(p.grad, q.grad)
    layer.forward(x)
    assert layer.backward(grad, needs_input=False) is None or not isinstance(layer, nn.Conv2d)


@pytest.mark.parametrize("layer", [nn.SiLU(), nn.ReLU(), nn.Hardtanh()], ids=repr)
def test_arrays_of_no_axes(layer):
    x = np.array([0.7], BRAIN)
    for y, wanted in ((layer.forward(x.reshape(())), layer(x)), (layer.backward(x.reshape(())), None)):
        assert (y.shape, y.dtype) == ((), BRAIN)
        assert wanted is None or y == wanted[0]


def test_layers_with_out_and_add(rng):
    x, w, bias = arrays(rng, CASES[2], whole=False)
    layer = nn.Conv2d.from_weights(w, bias, padding=1)
    assert layer.weight.dtype == np.float32
    want = layer(x)
    out = np.empty_like(want)
    assert layer(x, out) is out
    np.testing.assert_array_equal(out, want)
    for add in (want, want.astype(np.float32)):
        wide = layer(x.astype(np.float32), add=want.astype(np.float32))
        np.testing.assert_array_equal(layer(x, add=add), wide.astype(BRAIN))
    with pytest.raises(TypeError, match="out has dtype float32; the result has dtype bfloat16"):
        layer(x, np.empty(want.shape, np.float32))
    with pytest.raises(ValueError, match="out has shape"):
        layer(x, out[:1])
    with pytest.raises(TypeError, match="x has dtype float32 and weight float64: they must be the same"):
        nn.Conv2d(5, 9, 3, dtype=np.float64)(x)
