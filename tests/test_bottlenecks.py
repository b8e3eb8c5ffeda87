# SPDX-License-Identifier: BSD-3-Clause
"""Three convolutions in one pass: values against the reference, bits, layouts, what is folded and what is not."""

from __future__ import annotations

import io
import pickle

import cases
import numpy as np
import pytest
from cases import reals

import fastconv
from fastconv import nn
from fastconv.nn.bottlenecks import Bottleneck
from fastconv.nn.merging import ConvAdd

# x, inner channels, kernels, and what is asked of the layer in between
SHAPES = {
    "as in MobileNetV2": ((2, 16, 14, 14), 96, 16, {"kernel_size": 3, "padding": 1}),
    "by two": ((1, 24, 15, 13), 144, 32, {"kernel_size": 3, "padding": 1, "stride": 2}),
    "few channels": ((3, 1, 7, 5), 3, 1, {"kernel_size": 3, "padding": 1}),
    "lanes left over": ((1, 5, 9, 7), 101, 18, {"kernel_size": 3, "padding": 1}),
    "many inner channels": ((1, 19, 4, 4), 230, 7, {"kernel_size": 3, "padding": 1}),
    "channels summed in parts": ((1, 300, 3, 3), 601, 33, {"kernel_size": 3, "padding": 1}),
    "no padding": ((1, 4, 6, 8), 20, 6, {"kernel_size": 3}),
    "one row, one column": ((1, 3, 1, 1), 16, 4, {"kernel_size": 3, "padding": 1}),
    "uneven kernel and padding": (
        (1, 6, 9, 12),
        33,
        5,
        {"kernel_size": (2, 5), "padding": ((0, 3), (4, 1)), "stride": (3, 2)},
    ),
    "dilated": ((1, 4, 11, 13), 17, 9, {"kernel_size": 3, "padding": (2, 3), "dilation": (2, 3)}),
    "one tap": ((1, 4, 5, 6), 24, 4, {"kernel_size": 1}),
    "rows that see nothing": ((1, 2, 2, 3), 8, 2, {"kernel_size": (5, 3), "padding": (4, 2)}),
    "same": ((1, 4, 9, 8), 24, 4, {"kernel_size": (4, 3), "padding": "same"}),
    "several bands": ((1, 3, 150, 90), 48, 20, {"kernel_size": 3, "padding": 1}),
    "several bands, by two": ((1, 8, 115, 97), 96, 8, {"kernel_size": 5, "padding": 2, "stride": 2}),
}
shapes = pytest.mark.parametrize(("shape", "inner", "kernels", "how"), SHAPES.values(), ids=SHAPES.keys())


def made(rng, channels, inner, kernels, how, dtype="float32", ends=("relu6", "relu6", None), bias=True):
    """The three layers."""
    taps = how["kernel_size"] if isinstance(how["kernel_size"], tuple) else (how["kernel_size"],) * 2
    rest = {name: value for name, value in how.items() if name != "kernel_size"}
    sizes = (inner, channels, 1, 1), (inner, 1, *taps), (kernels, inner, 1, 1)
    options = {}, {"groups": inner, **rest}, {}
    return [
        nn.Conv2d.from_weights(
            reals(rng, size, dtype), reals(rng, size[:1], dtype) if bias else None, activation=end, **option
        )
        for size, option, end in zip(sizes, options, ends, strict=True)
    ]


def fold(layers, adds=False):
    """The network as it is and folded to one layer; x, if it is added, goes through a layer of its own."""
    steps = {"a": (layers[0], "x"), "b": (layers[1], "a"), "c": (layers[2], "b")}
    if adds:
        steps |= {"sum": (nn.Add(), "c", "x"), "end": (nn.ReLU(), "sum")}
    network = nn.Graph(steps)
    folded = network.folded()
    assert [type(layer) for layer in folded.layers] == [Bottleneck]
    return network, folded


def exact(layers, x, add=None):
    """The layers in float64, by the reference."""
    y = x.astype(np.float64)
    for layer in layers:
        o = layer._asked
        w, b = layer.weight.astype(np.float64), None if layer.bias is None else layer.bias.astype(np.float64)
        last = add is not None and layer is layers[-1]
        words = {"add": add.astype(np.float64)} if last else {}
        y = nn.conv2d(y, w, b, *o[:4], padding_mode=o.padding_mode, activation=o.activation, method="numpy", **words)
    return y


@shapes
@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_values(isa, rng, shape, inner, kernels, how, dtype):
    layers = made(rng, shape[1], inner, kernels, how, dtype)
    x = reals(rng, shape, dtype)
    y = fold(layers)[1](x)
    expected = exact(layers, x)
    assert y.shape == expected.shape and y.dtype == np.dtype(dtype)
    np.testing.assert_allclose(y, expected, rtol=0, atol=np.abs(expected).max() * 20 * np.finfo(dtype).eps)


@shapes
def test_bits(isa, rng, tiny_chunks, shape, inner, kernels, how):
    """They depend on neither threads nor the batch nor strides."""
    layers = made(rng, shape[1], inner, kernels, how)
    x = reals(rng, (3, *shape[1:]), "float32")
    block = Bottleneck(*layers)
    y = block(x)
    wide = np.zeros((*x.shape[:2], 2 * x.shape[2], 3 * x.shape[3]), np.float32)
    wide[..., ::-2, 1::3] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(np.float32).reshape(x.shape)
    misaligned[...] = x
    swapped = x.astype(x.dtype.newbyteorder())
    for same in (x[2:], swapped[2:], wide[..., ::-2, 1::3][2:], np.asfortranarray(x)[2:], misaligned[2:], x[2]):
        np.testing.assert_array_equal(block(same), y[2] if same.ndim == 3 else y[2:])
    for threads in (1, 2, 3, 5):
        fastconv.set_num_threads(threads)
        np.testing.assert_array_equal(block(x), y)


@pytest.mark.parametrize("activation", [None, "relu", (-0.25, 0.5), "silu", "leaky_relu"])
def test_ends(isa, rng, activation):
    """What is added, and how the last layer ends; and no bias."""
    x = reals(rng, (2, 12, 9, 10), "float32")
    layers = made(rng, 12, 72, 12, SHAPES["as in MobileNetV2"][3], ends=("relu", None, activation), bias=False)
    block = Bottleneck(*layers)
    np.testing.assert_allclose(block(x), exact(layers, x), rtol=1e-5, atol=1e-4)
    add = reals(rng, (2, 12, 9, 10), "float32")
    summed = Bottleneck(layers[0], layers[1], ConvAdd(layers[2]))
    np.testing.assert_allclose(summed(x, add), exact(layers, x, add), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(summed(x, np.asfortranarray(add)), summed(x, add))


def test_in_networks(rng):
    x = reals(rng, (1, 8, 12, 12), "float32")
    network, folded = fold(made(rng, 8, 48, 8, SHAPES["as in MobileNetV2"][3]), adds=True)
    np.testing.assert_allclose(folded(x), network(x), rtol=1e-5, atol=1e-5)
    with fastconv.checked():
        np.testing.assert_allclose(folded(x), network(x), rtol=1e-5, atol=1e-5)
    file = io.BytesIO()
    folded.save(file)
    file.seek(0)
    np.testing.assert_array_equal(nn.Graph.load(file)(x), folded(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(folded))(x), folded(x))


def test_weights_that_change(rng):
    x = reals(rng, (1, 8, 6, 6), "float32")
    layers = made(rng, 8, 48, 8, SHAPES["as in MobileNetV2"][3])
    block = Bottleneck(*layers)
    before = block(x)
    layers[1].weight = 2 * layers[1].weight
    assert not np.array_equal(block(x), before)
    np.testing.assert_allclose(block(x), exact(layers, x), rtol=1e-5, atol=1e-4)
    layers[2].weight[...] = 0
    layers[2].refresh()
    np.testing.assert_array_equal(block(x), np.broadcast_to(layers[2].bias.reshape(-1, 1, 1), block(x).shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(isa, rng, value):
    """NaN is where it is by the three layers, also where weights that are not finite meet zeros beyond x."""
    how = SHAPES["as in MobileNetV2"][3]
    x = reals(rng, (1, 8, 9, 11), "float32")
    layers = made(rng, 8, 48, 8, how, ends=(None, None, None))
    x[0, 3, 4, 5] = value
    np.testing.assert_array_equal(np.isnan(Bottleneck(*layers)(x)), np.isnan(exact(layers, x)))
    x[0, 3, 4, 5] = 1
    layers[1].weight[7, 0, 0, 2] = value
    layers[1].refresh()
    np.testing.assert_array_equal(np.isfinite(Bottleneck(*layers)(x)), np.isfinite(exact(layers, x)))


@pytest.mark.parametrize(
    ("ends", "what", "folds"),
    [
        (("relu6", "relu", None), {}, True),
        ((None, None, "silu"), {}, True),
        (("silu", "relu", None), {}, False),
        (("relu", "silu", None), {}, False),
        (("relu", "relu", None), {"inner": 12}, False),
        (("relu", "relu", None), {"dtype": "float16"}, False),
        (("relu", "relu", None), {"how": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}}, False),
        (("relu", "relu", None), {"how": {"kernel_size": 13, "padding": 6}}, False),
    ],
)
def test_what_is_folded(rng, ends, what, folds):
    how = what.get("how", {"kernel_size": 3, "padding": 1})
    layers = made(rng, 8, what.get("inner", 32), 8, how, what.get("dtype", "float32"), ends=ends)
    assert [type(layer) for layer in nn.Sequential(*layers).folded().layers] == (
        [Bottleneck] if folds else [nn.Conv2d] * 3
    )


def test_what_others_take_is_not_folded(rng):
    a, b, c = made(rng, 8, 32, 32, {"kernel_size": 3, "padding": 1})
    for inner in ("a", "b"):
        network = nn.Graph({"a": (a, "x"), "b": (b, "a"), "c": (c, "b"), "cat": (nn.Cat(), "c", inner)})
        assert len(network.folded()) == 4
    wide = nn.Conv2d(8, 32, 3, padding=1)
    assert len(nn.Sequential(wide, b, c).folded()) == 3


def test_errors(rng):
    layers = made(rng, 8, 32, 8, {"kernel_size": 5})
    block = Bottleneck(layers[0], layers[1], ConvAdd(layers[2]))
    x, add = reals(rng, (1, 8, 9, 9), "float32"), reals(rng, (1, 8, 5, 5), "float32")
    with pytest.raises(ValueError, match="has 7 channels"):
        block(x[:, :7], add)
    with pytest.raises(ValueError, match="larger than the padded input"):
        block(x[..., :4], add)
    with pytest.raises(ValueError, match="xs must be of one shape, but for axes of one"):
        block(x, add[..., :4])
    with pytest.raises(TypeError, match="dtype"):
        block(x, add.astype(np.float64))
    with pytest.raises(TypeError, match="dtype"):
        block(x.astype(np.float64), add)
    assert block(x[:0], add[:0]).shape == (0, 8, 5, 5)


def test_no_memory(rng):
    core = pytest.importorskip("fastconv._core")
    block = Bottleneck(*made(rng, 8, 32, 8, {"kernel_size": 3}))
    x = reals(rng, (1, 8, 40, 90), "float32")
    y = block(x)
    core.alloc_fail_after(0)
    try:
        fastconv.clear_cache()
        with pytest.raises(MemoryError, match="three layers"):
            block(x)
    finally:
        core.alloc_fail_after(-1)
    np.testing.assert_array_equal(block(x), y)


@pytest.mark.deep
def test_random(isa, rng):
    for _ in range(300):
        channels, inner, kernels = (int(rng.integers(1, most)) for most in (70, 230, 60))
        taps, pad, stride, dilation = (tuple(map(int, rng.integers(1, most, 2))) for most in (6, 5, 4, 4))
        pad = tuple(p - 1 for p in pad)
        least = [max(1, (k - 1) * d + 1 - 2 * p) for k, d, p in zip(taps, dilation, pad, strict=True)]
        sides = (int(rng.integers(n, n + 40)) for n in least)
        how = {"kernel_size": taps, "padding": pad, "stride": stride, "dilation": dilation}
        dtype = cases.FLOATS[int(rng.integers(len(cases.FLOATS)))]
        layers = made(rng, channels, inner, kernels, how, dtype)
        x = reals(rng, (int(rng.integers(1, 3)), channels, *sides), dtype)
        expected = layers[2](layers[1](layers[0](x)))
        y = Bottleneck(*layers)(x)
        np.testing.assert_allclose(
            y, expected, rtol=0, atol=np.abs(expected).max() * 30 * np.finfo(dtype).eps, err_msg=str(how)
        )
