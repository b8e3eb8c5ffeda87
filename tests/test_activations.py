# SPDX-License-Identifier: BSD-3-Clause
"""Activations: accuracy over numbers of any size, bits, what layers do with them, errors."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import integers, reals

import fastconv
from fastconv import nn, reference
from fastconv.arguments.layers import ACTIVATIONS, CURVES, as_activation
from fastconv.reference.activations import activated

WORDS = (*ACTIVATIONS, *CURVES, ("leaky_relu", -1.5), (-2, 3.5))
GELUS = ("gelu", "gelu_tanh")
words = pytest.mark.parametrize("word", WORDS, ids=str)


def of_any_size(rng, dtype):
    fi = np.finfo(dtype)
    sizes = np.exp(rng.uniform(np.log(float(fi.tiny)), np.log(float(fi.max) / 4), 20_000)) * rng.choice([-1, 1], 20_000)
    falls = rng.uniform(-1.05, 0.2, 20_000) * abs(np.log(float(fi.smallest_subnormal)))
    return np.concatenate([sizes, falls, rng.uniform(-9, 9, 20_000)]).astype(dtype)


@words
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracy(isa, rng, word, dtype):
    """Within 3 units in the last place, of gelu 6; of float64 the formulas in NumPy have errors of their own."""
    x = of_any_size(rng, dtype)
    y, exact = nn.activate(x, word), activated(as_activation(word), x)
    assert y.dtype == dtype
    unit = np.spacing(np.abs(exact).astype(dtype)).astype("f8")
    bound = np.full(x.shape, 3.0 if dtype == "float32" else 8.0)
    if word in GELUS:
        bound = 2 * bound * (1 + np.where(x < 0, np.minimum(np.abs(x), 1e4).astype("f8"), 0) ** 2)
    lost = 800 * np.finfo("f8").smallest_subnormal if dtype == "float64" else 0  # by the factors of the formulas
    assert (np.abs(y - exact) <= bound * unit + lost).all()


@words
def test_special_values(isa, word):
    x = np.array([-np.inf, np.inf, np.nan, -0.0, 0.0, 3e38, -3e38, 1e-45], "f")
    with np.errstate(over="ignore"):
        expected = activated(as_activation(word), x).astype("f")
    np.testing.assert_array_equal(nn.activate(x, word), expected)


@pytest.mark.parametrize("word", CURVES)
def test_torch(rng, word):
    torch = pytest.importorskip("torch")
    x = rng.uniform(-20, 20, 1000)
    names = {"gelu_tanh": lambda t: torch.nn.functional.gelu(t, approximate="tanh")}
    theirs = names.get(word, getattr(torch.nn.functional, word, None))(torch.from_numpy(x))
    np.testing.assert_allclose(nn.activate(x, word), theirs.numpy(), 1e-12, 1e-14)


@words
@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_arrays(isa, rng, word, dtype):
    """Of any length and layout; into `out`, which may be x; on any number of threads."""
    x = reals(rng, (40_003,), dtype)
    y = nn.activate(x, word)
    for n in (0, 1, 5, 17, 33):
        cases.assert_same_bits(nn.activate(x[:n], word), y[:n])
    cases.assert_same_bits(nn.activate(x, word, threads=3), y)
    cases.assert_same_bits(nn.activate(x[::-1], word)[::-1], y)
    cases.assert_same_bits(nn.activate(x.astype(x.dtype.newbyteorder()), word), y)
    cases.assert_same_bits(nn.activate(x[:12].reshape(3, 4), word), y[:12].reshape(3, 4))
    for _ in range(2):
        out = np.empty_like(x)
        assert nn.activate(x, word, out=out) is out
        cases.assert_same_bits(out, y)
    into = x.copy()
    assert nn.activate(into, word, out=into) is into
    cases.assert_same_bits(into, y)
    ahead = np.concatenate([x, x[:1]])
    cases.assert_same_bits(nn.activate(ahead[:-1], word, out=ahead[1:]), y)


@words
@pytest.mark.parametrize("dtype", ["float16", *cases.FLOATS])
def test_arrays_of_no_axes(isa, word, dtype):
    x = np.array([-0.5], dtype)
    for activate in (nn.activate, reference.activate):
        y = activate(x.reshape(()), word)
        assert y.shape == ()
        cases.assert_same_bits(y.reshape(1), activate(x, word))


@pytest.mark.parametrize("layer", [nn.SiLU(), nn.GELU(), nn.ReLU(), nn.ReLU6(), nn.Hardtanh()], ids=repr)
@pytest.mark.parametrize("dtype", ["float16", *cases.FLOATS])
def test_layers_of_arrays_of_no_axes(layer, dtype):
    x = np.array([0.5], dtype)
    wanted = layer.forward(x), layer.backward(x)
    got = layer.forward(x[0]), layer.backward(x[0])
    for y, expected in zip(got, wanted, strict=True):
        assert (y.shape, y.dtype) == ((), dtype) and y == expected


@pytest.mark.parametrize("activate", [nn.activate, reference.activate])
def test_none_is_a_copy(activate):
    """Into `out`, too, which may overlap x."""
    x = np.arange(6.0)
    assert not np.shares_memory(activate(x, None), x)
    assert activate(x[:-1], None, out=x[1:]).tolist() == [0, 1, 2, 3, 4]


LAYERS = {  # what computes the sums
    "products": ((2, 5, 9, 8), (40, 5, 3, 3), {"padding": 1, "accuracy": "exact"}),
    "winograd": ((2, 16, 15, 14), (24, 16, 3, 3), {"padding": 1, "method": "winograd"}),
    "lanes": ((2, 20, 9, 8), (20, 1, 3, 3), {"padding": 1, "groups": 20}),
    "slides": ((2, 2, 9, 80), (4, 1, 3, 3), {"padding": 1, "groups": 2}),
    "fft": ((1, 3, 40, 40), (3, 1, 13, 13), {"groups": 3, "padding": 6, "method": "fft"}),
    "channels last": ((2, 9, 8, 20), (20, 1, 3, 3), {"groups": 20, "layout": "NHWC"}),
    "one tap, last": ((2, 9, 8, 20), (33, 20, 1, 1), {"layout": "NHWC"}),
    "one output": ((3, 8, 4, 4), (9, 8, 4, 4), {}),
    "one output of many images": ((20, 8, 3, 3), (24, 8, 3, 3), {}),
}


@pytest.mark.parametrize("word", CURVES)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(isa, rng, name, word):
    """Have the bits of `activate`, behind their sums and what is added."""
    x_shape, w_shape, how = LAYERS[name]
    x, w, bias = (reals(rng, shape, "float32") / 2 for shape in (x_shape, w_shape, w_shape[:1]))
    sums = nn.conv2d(x, w, bias, **how)
    for _ in range(2):
        cases.assert_same_bits(nn.conv2d(x, w, bias, activation=word, **how), nn.activate(sums, word))
    add = reals(rng, sums.shape, "float32")
    cases.assert_same_bits(nn.conv2d(x, w, bias, add=add, activation=word, **how), nn.activate(sums + add, word))


@pytest.mark.parametrize(
    "how", [{}, {"stride": 2, "output_padding": 1}, {"groups": 4}, {"stride": 3, "dilation": 2}], ids=str
)
def test_transposed_layers(isa, rng, how):
    """Those of phases, of few outputs, and flipped ones."""
    for x_shape, taps in (((2, 4, 9, 8), 3), ((2, 4, 2, 2), 9)):
        x, w = reals(rng, x_shape, "float32"), reals(rng, (4, 1 if "groups" in how else 3, taps, taps), "float32")
        sums = nn.conv_transpose2d(x, w, **how)
        cases.assert_same_bits(nn.conv_transpose2d(x, w, activation="silu", **how), nn.activate(sums, "silu"))


def test_float16_is_rounded_once(isa, rng):
    x, w = integers(rng, (1, 4, 9, 9), "float16"), integers(rng, (5, 4, 3, 3), "float16")
    sums = nn.conv2d(x, w, dtype="f", accuracy="exact")
    for word in CURVES:
        expected = nn.activate(sums, word).astype("float16")
        cases.assert_same_bits(nn.conv2d(x, w, activation=word), expected)


@pytest.mark.parametrize("method", ["auto", "im2col", "winograd", "numpy"])
def test_checked(rng, method):
    x, w = reals(rng, (1, 8, 9, 9), "float32"), reals(rng, (8, 8, 3, 3), "float32")
    with fastconv.checked():
        for word in WORDS:
            nn.conv2d(x, w, activation=word, method=method)
            nn.activate(x, word)
    expected = reference.conv2d(x, w, activation="gelu")
    np.testing.assert_allclose(nn.conv2d(x, w, activation="gelu", method=method), expected, 1e-3, 1e-4)


def test_layer_objects(rng, tmp_path):
    x, w = reals(rng, (1, 3, 9, 9), "float32"), reals(rng, (4, 3, 3, 3), "float32")
    for word in ("silu", ("leaky_relu", 0.2), "leaky_relu"):
        layer = nn.Conv2d.from_weights(w, activation=word)
        expected = nn.conv2d(x, w, activation=word)
        cases.assert_same_bits(layer(x), expected)
        layer.save(tmp_path / "layer.npz")
        cases.assert_same_bits(nn.Conv2d.load(tmp_path / "layer.npz")(x), expected)
        cases.assert_same_bits(layer.forward(x), expected)


@pytest.mark.parametrize(
    ("word", "error", "match"),
    [
        ("swish", ValueError, r"activation must be None, relu, .*gelu_tanh, \('leaky_relu', slope\).*got 'swish'"),
        (("silu", 1), ValueError, "activation must be None, .*got"),
        (("leaky_relu", "a"), TypeError, "activation must be .*leaky_relu.*got"),
        (("leaky_relu", 1, 2), TypeError, "activation must be .*leaky_relu.*got"),
        ((3, 2), ValueError, "low <= high"),
        (7, TypeError, "activation must be None, a name or"),
        ((), TypeError, "activation must be None, a name or"),
    ],
    ids=str,
)
def test_errors(word, error, match):
    with pytest.raises(error, match=match):
        nn.activate(np.ones(3), word)
    with pytest.raises(error, match=match):
        nn.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 1)), activation=word)


def test_errors_of_arrays():
    with pytest.raises(TypeError, match=r"x has dtype int64.*asarray\(x, 'float32'\)"):
        nn.activate(np.arange(3), "relu")
    with pytest.raises(ValueError, match="out has shape"):
        nn.activate(np.ones(3), "relu", out=np.ones(2))
