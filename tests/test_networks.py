# SPDX-License-Identifier: BSD-3-Clause
"""Layers beside convolutions, and networks of them: beside PyTorch, folded, in files."""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import cases
import numpy as np
import pytest
from cases import reals

from fastconv import learning, nn
from fastconv.nn import activations, merging, reshaping

MEMORY = Path(__file__).parent.parent / "bench" / "memory.py"
SIZE = {1: (9,), 2: (9, 8), 3: (6, 5, 7)}

# Of each layer: how to make it, and the shape of an x.
LAYERS = {
    "Identity": (lambda lib, **_: lib.Identity(), (2, 3)),
    "ReLU": (lambda lib, **_: lib.ReLU(), (2, 3, 4)),
    "ReLU6": (lambda lib, **_: lib.ReLU6(), (2, 3, 4)),
    "Hardtanh": (lambda lib, **_: lib.Hardtanh(-0.5, 0.25), (2, 3, 4)),
    **{name: (lambda lib, name=name, **_: getattr(lib, name)(), (2, 3, 40))
       for name in ("GELU", "Hardsigmoid", "Hardswish", "LeakyReLU", "SiLU", "Sigmoid", "Tanh")},
    "GELU, tanh": (lambda lib, **_: lib.GELU("tanh"), (2, 3, 40)),
    "LeakyReLU, steep": (lambda lib, **_: lib.LeakyReLU(-1.5), (2, 3, 40)),
    "Softmax": (lambda lib, **_: lib.Softmax(1), (2, 3, 4)),
    "Softmax, last": (lambda lib, **_: lib.Softmax(-1), (2, 3, 4)),
    "Flatten": (lambda lib, **_: lib.Flatten(), (2, 3, 4, 5)),
    "Flatten, some": (lambda lib, **_: lib.Flatten(0, 2), (2, 3, 4, 5)),
    "Dropout": (lambda lib, **_: lib.Dropout(0.3), (2, 3)),
    "Dropout1d": (lambda lib, **_: lib.Dropout1d(0.3), (2, 3, 4)),
    "Dropout2d": (lambda lib, **_: lib.Dropout2d(0.3), (2, 3, 4, 2)),
    "Dropout3d": (lambda lib, **_: lib.Dropout3d(0.3), (2, 3, 4, 2, 2)),
    "ChannelShuffle": (lambda lib, **_: lib.ChannelShuffle(3), (2, 12, 4, 5)),
    "PixelShuffle": (lambda lib, **_: lib.PixelShuffle(3), (2, 18, 4, 5)),
    "PixelShuffle, unbatched": (lambda lib, **_: lib.PixelShuffle(2), (4, 4, 5)),
    **{f"Upsample, {mode}, {size or scale}, {corners}": (
        lambda lib, size=size, scale=scale, mode=mode, corners=corners, **_: lib.Upsample(size, scale, mode, corners),
        (2, 3, *SIZE[rank]))
       for mode, rank, corners in [("nearest", 2, None), ("nearest", 3, None), ("nearest-exact", 2, None),
                                   ("linear", 1, False), ("linear", 1, True), ("bilinear", 2, False),
                                   ("bilinear", 2, True), ("trilinear", 3, None)]
       for size, scale in [(None, 2), (None, 1.7), (None, 0.45), (13, None), (1, None)]},
    "Upsample, again": (lambda lib, **_: lib.Upsample(None, (1.7, 0.6), "bilinear", False, True), (2, 3, 9, 8)),
    "Linear": (lambda lib, **how: lib.Linear(6, 4, **how), (3, 6)),
    "Linear, more axes": (lambda lib, **how: lib.Linear(6, 4, False, **how), (2, 3, 6)),
    "BatchNorm1d of rows": (lambda lib, **how: lib.BatchNorm1d(3, **how), (4, 3)),
    **{f"BatchNorm{r}d": (lambda lib, r=r, **how: getattr(lib, f"BatchNorm{r}d")(3, 1e-3, **how), (2, 3, *SIZE[r]))
       for r in (1, 2, 3)},
    "BatchNorm2d, not affine": (lambda lib, **how: lib.BatchNorm2d(3, affine=False, **how), (2, 3, 5, 4)),
    **{f"ConvTranspose{r}d": (
        lambda lib, r=r, **how: getattr(lib, f"ConvTranspose{r}d")(4, 6, 3, 2, 1, 1, 2, True, 2, **how),
        (2, 4, *SIZE[r])) for r in (1, 2, 3)},
    "ConvTranspose2d, far output": (
        lambda lib, **how: lib.ConvTranspose2d(2, 3, 3, (1, 2), 1, (1, 2), dilation=(2, 3), **how), (2, 2, 4, 5)),
    "ConvTranspose2d, uneven": (
        lambda lib, **how: lib.ConvTranspose2d(4, 6, (3, 2), (1, 2), (0, 1), (0, 1), bias=False, **how), (2, 4, 5, 6)),
    **{f"MaxPool{r}d": (lambda lib, r=r, **_: getattr(lib, f"MaxPool{r}d")(3, 2, 1, ceil_mode=True), (2, 3, *SIZE[r]))
       for r in (1, 2, 3)},
    **{f"AvgPool{r}d": (lambda lib, r=r, **_: getattr(lib, f"AvgPool{r}d")(2, 1, 1, True, False), (2, 3, *SIZE[r]))
       for r in (1, 2, 3)},
    **{f"Adaptive{k}Pool{r}d": (lambda lib, r=r, k=k, **_: getattr(lib, f"Adaptive{k}Pool{r}d")(2), (2, 3, *SIZE[r]))
       for r in (1, 2, 3) for k in ("Avg", "Max")},
}  # fmt: skip


def pair(name, torch):
    """A layer and PyTorch's, in float64, with the same arrays by the same names."""
    make, shape = LAYERS[name]
    ours, theirs = make(nn, dtype="float64"), make(torch.nn, dtype=torch.float64).eval()
    rng = np.random.default_rng(3)
    state = {key: torch.from_numpy(rng.uniform(0.5, 2, a.shape)) for key, a in ours.state_dict().items()}
    theirs.load_state_dict(state)  # the names are PyTorch's
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs, rng.uniform(-2, 2, shape)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_beside_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs, x = pair(name, torch)
    y = ours(x)
    np.testing.assert_allclose(y, theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-9, atol=1e-12)
    assert y.dtype == np.float64


LEARNING = [name for name in LAYERS if "Dropout" not in name]


@pytest.mark.parametrize("name", LEARNING)
def test_gradients_beside_torch(name):
    """In training: normalisation takes the statistics of the batch, and its running ones move."""
    torch = pytest.importorskip("torch")
    ours, theirs, x = pair(name, torch)
    tensor = torch.from_numpy(x).requires_grad_()
    y, expected = ours.forward(x), theirs.train()(tensor)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    grad = np.random.default_rng(4).uniform(-1, 1, y.shape)
    expected.backward(torch.from_numpy(grad))
    with pytest.raises(ValueError, match="grad_output must have the output's shape"):
        ours.backward(grad[..., None])
    near = 1e-7 if name == "Hardsigmoid" else 1e-8  # PyTorch has 1 / 6 in float32
    np.testing.assert_allclose(ours.backward(grad), tensor.grad.numpy(), rtol=near, atol=1e-11)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, other.grad.numpy(), rtol=1e-8, atol=1e-11)
    for key, a in ours.state_dict().items():
        np.testing.assert_allclose(a, theirs.state_dict()[key].numpy(), rtol=1e-12)
    with pytest.raises(RuntimeError, match="forward"):
        ours.backward(grad)


def test_dropout_learns():
    layer, x = nn.Dropout(0.25, seed=0), np.ones((100, 100))
    y = layer.forward(x)
    assert set(np.unique(y)) == {0, 1 / 0.75} and 0.2 < np.mean(y == 0) < 0.3
    np.testing.assert_array_equal(layer.backward(x), y)
    assert not nn.Dropout(1).forward(x).any()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels_are_dropped_as_a_whole(rank):
    layer, x = getattr(nn, f"Dropout{rank}d")(0.25, seed=0), np.ones((9, 40, *SIZE[rank]))
    y = layer.forward(x)
    assert {tuple(np.unique(channel)) for channel in y.reshape(360, -1)} == {(0,), (1 / 0.75,)}
    assert 0.15 < np.mean(y == 0) < 0.35
    np.testing.assert_array_equal(layer.backward(x), y)
    assert {len(np.unique(channel)) for channel in layer.forward(x[0]).reshape(-1, x[0, 0, 0].size)} == {1}


def test_samples_are_dropped_as_a_whole():
    x = np.ones((200, 3, 2))
    for layer, kinds in (nn.StochasticDepth(0.5, seed=0), 2), (nn.StochasticDepth(0.5, "batch", seed=0), 1):
        y = layer.forward(x)
        assert len({tuple(sample.ravel()) for sample in y}) == kinds
        np.testing.assert_array_equal(layer.backward(x), y)
        np.testing.assert_array_equal(layer(x), x)


# Layers that take several arrays, or that from_torch makes of functions, and shapes for them.
OTHERS = {
    "Add": (nn.Add(), [(2, 1, 4), (3, 1), (2, 3, 4)]),
    "Mul": (nn.Mul(), [(2, 3, 4, 5), (2, 3, 1, 1)]),
    "Mul of three": (nn.Mul(), [(2, 1, 4), (3, 1), (2, 3, 4)]),
    "ExpandAs": (merging.ExpandAs(), [(2, 3, 1), (2, 3, 4)]),
    "Affine": (activations.Affine(-2, 0.5), [(2, 3)]),
    "View": (reshaping.View([(1, 2, (1,)), -1, (2, 1, (0, 2))]), [(2, 6, 5)]),
    "Squeeze": (reshaping.Squeeze((0, 1, -1)), [(1, 3, 1)]),
    "Permute": (reshaping.Permute((2, 0, -2)), [(2, 3, 4)]),
    "Swap": (reshaping.Swap(0, -1), [(2, 3, 4)]),
    "Part": (reshaping.Part([0, "...", None, (1, None, 2)]), [(2, 3, 4)]),
    "Chunk": (reshaping.Chunk(2, 1, -1), [(2, 5)]),
    "Mean": (reshaping.Mean((2, 3)), [(2, 3, 4, 5)]),
    "Mean, kept": (reshaping.Mean((-1, 0), True), [(2, 3, 4)]),
    "Mean of all": (reshaping.Mean(), [(2, 3, 4)]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_are_differences(name, tmp_path):
    layer, shapes = OTHERS[name]
    rng = np.random.default_rng(0)
    xs = [rng.uniform(0.5, 2, shape) for shape in shapes]
    y = layer.forward(*xs)
    grad = rng.uniform(-1, 1, y.shape)
    found = layer.backward(grad)
    for x, g in zip(xs, found if len(xs) > 1 else [found], strict=True):
        assert g.shape == x.shape
        for at in np.ndindex(x.shape):
            ends, kept = [], x[at]
            for step in -1e-6, 1e-6:
                x[at] = kept + step
                ends.append(np.sum(grad * layer(*xs)))
            x[at] = kept
            assert (ends[1] - ends[0]) / 2e-6 == pytest.approx(g[at], abs=1e-7)
    layer.save(tmp_path / "layer")
    again = type(layer).load(tmp_path / "layer")
    assert repr(again) == repr(layer)
    np.testing.assert_array_equal(again(*xs), y)
    half = layer(*(x.astype("float16") for x in xs))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, y, rtol=4e-3)


@pytest.mark.deep
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("accuracy", ["default", "exact"])
def test_a_network_takes_little_memory_beyond_outputs(tmp_path, accuracy, threads):
    """At most 8 MB a thread; and outputs are gone when the last layer that takes them has run: two are alive here."""
    deep = [layer for i in range(8) for layer in (nn.Conv2d(16 if i else 3, 16, 3, padding=1, seed=i), nn.ReLU())]
    nn.Sequential(*deep).save(tmp_path / "network.npz")
    how = [str(tmp_path / "network.npz"), "1,3,512,512", "--threads", str(threads), "--accuracy", accuracy]
    line = subprocess.run([sys.executable, str(MEMORY), *how], check=True, capture_output=True, text=True).stdout
    found = json.loads(line)
    assert found["outputs"] == 2 * 16 * 512 * 512 * 4
    assert found["beyond"] <= threads * 8 * 2**20, found


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_dtypes_and_layouts_of_memory(name, dtype):
    """Results have x's dtype; strides and byte orders do not matter."""
    make, shape = LAYERS[name]
    layer = make(nn, dtype=dtype)
    x = reals(np.random.default_rng(0), shape, dtype)
    y = layer(x)
    assert y.dtype == dtype
    for other in (x.astype(x.dtype.newbyteorder()), np.repeat(x, 2, -1)[..., ::2]):
        cases.assert_same_bits(layer(other), y)


def test_normalisation_of_rows_with_channels_last(rng):
    ours, x = nn.BatchNorm1d(3, layout="NWC"), reals(rng, (2, 3), "float32")
    stirred(ours)
    same = nn.BatchNorm1d(3)
    same.load_state_dict(ours.state_dict())
    cases.assert_same_bits(ours(x), same(x))
    cases.assert_same_bits(ours.forward(x), same.forward(x))


def test_sums_of_float16_are_made_in_float32():
    layer = nn.Linear(1, 2, dtype="float16")
    layer.forward(np.ones((8192, 1), np.float16))
    layer.backward(np.ones((8192, 2), np.float16))
    assert [p.grad.ravel().tolist() for p in layer.parameters()] == [[8192, 8192]] * 2


def test_slopes_at_the_ends_of_curves():
    """As PyTorch has them: those of the straight parts."""
    layer, ends = nn.Hardswish(), np.array([-3.0, 3.0])
    layer.forward(ends)
    assert layer.backward(np.ones(2)).tolist() == [0, 1]


def test_dropout_of_integers():
    assert set(nn.Dropout(0.2, seed=0).forward(np.full(50, 4))) == {0, 5}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_normalisation_with_channels_last(rank):
    layout = ("NWC", "NHWC", "NDHWC")[rank - 1]
    first, last = (getattr(nn, f"BatchNorm{rank}d")(3, layout=given, dtype="float64") for given in (None, layout))
    x = np.random.default_rng(0).random((2, 3, *SIZE[rank]))
    moved = np.moveaxis(x, 1, -1)
    np.testing.assert_allclose(last(moved), np.moveaxis(first(x), 1, -1), rtol=1e-14)
    np.testing.assert_allclose(last.forward(moved), np.moveaxis(first.forward(x), 1, -1), rtol=1e-12)
    np.testing.assert_allclose(last.backward(moved), np.moveaxis(first.backward(x), 1, -1), atol=1e-12)
    np.testing.assert_allclose(last.running_var, first.running_var)
    with pytest.raises(ValueError, match="with 3 channels"):
        last(x)


def test_normalisation_sees_what_changes():
    layer, x = nn.BatchNorm2d(2), np.ones((1, 2, 3, 3), np.float32)
    layer(x)
    layer.weight = [2, 3]
    assert layer(x).ravel()[[0, -1]].round(2).tolist() == [2, 3]
    layer.bias[...] = 1
    layer.refresh()
    assert layer(x).ravel()[[0, -1]].round(2).tolist() == [3, 4]


# ---- networks ------------------------------------------------------------------------------------


def everything(dtype="float32"):
    """One of every kind, nested."""
    how = {"dtype": dtype}
    block = nn.Graph(
        {
            "conv": (nn.Conv2d(4, 4, 3, padding=1, seed=1, **how), "x"),
            "norm": (nn.BatchNorm2d(4, **how), "conv"),
            "add": (nn.Add(), "norm", "x"),
            "relu": (nn.ReLU(), "add"),
            "cat": (nn.Cat(), "relu", "norm"),
        }
    )
    stem = nn.Sequential({"conv": nn.Conv2d(2, 4, 3, padding=1, bias=False, seed=0, **how), "act": nn.ReLU6()})
    up = nn.ConvTranspose2d(8, 6, 2, 2, groups=2, seed=2, **how)
    return nn.Sequential(
        stem,
        block,
        nn.AvgPool2d(2, 1),
        up,
        nn.BatchNorm2d(6, **how),
        nn.Hardtanh(-0.5, 0.5),
        nn.Dropout(0.2),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d((2, None)),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Identity(),
        nn.Linear(24, 5, seed=3, **how),
        nn.Sigmoid(),
        nn.Softmax(1),
    )


def stirred(network):
    """With statistics as training leaves them."""
    rng = np.random.default_rng(7)
    state = {key: rng.uniform(0.5, 1.5, a.shape) for key, a in network.state_dict().items() if "running" in key}
    network.load_state_dict(network.state_dict() | state)
    return network


def test_names_are_those_of_nested_layers():
    network = everything()
    assert list(network.state_dict())[:5] == [
        "0.conv.weight",
        "1.conv.weight",
        "1.conv.bias",
        "1.norm.weight",
        "1.norm.bias",
    ]
    assert len(network) == 20 and isinstance(network["1.add"], nn.Add) and isinstance(network[-1], nn.Softmax)
    assert network.count_parameters() == sum(p.value.size for p in network.parameters()) == 467
    text = network.summary((1, 2, 9, 9))
    assert "Sequential of 20 layers, 467 parameters" in text and "(1, 8, 9, 9)" in text and "of 1.relu, 1.norm" in text
    assert "(4, 2, 3, 3)" in repr(network)
    assert len({len(line) for line in repr(network).splitlines()[1:]}) == 1


def test_gradients_of_a_graph_are_differences():
    """Where an output is taken twice, both gradients count."""
    how = {"dtype": "float64"}
    network = nn.Graph(
        {
            "a": (nn.Conv1d(2, 3, 3, padding=1, seed=0, **how), "x"),
            "n": (nn.Hardtanh(-9, 9), "a"),
            "add": (nn.Add(), "n", "a", "a"),
            "pool": (nn.MaxPool1d(3, 1, 1), "n"),
            "cat": (nn.Cat(), "add", "x", "pool"),
            "up": (nn.ConvTranspose1d(8, 2, 2, 2, seed=1, **how), "cat"),
            "flat": (nn.Flatten(), "up"),
            "out": (nn.Linear(20, 2, seed=2, **how), "flat"),
        }
    )
    x = np.random.default_rng(0).standard_normal((3, 2, 5))
    target = np.zeros((3, 2))
    _, gradient = learning.squared_error(network.forward(x), target)
    of_x = network.backward(gradient)
    arrays = [(x, of_x), *((p.value, p.grad) for p in network.parameters())]
    for a, grad in arrays:
        at = tuple(n // 2 for n in a.shape)
        kept, step = a[at], 1e-6
        ends = []
        for a[at] in (kept + step, kept - step):
            network.refresh()
            ends.append(learning.squared_error(network(x), target)[0])
        a[at] = kept
        assert grad.shape == a.shape and grad[at] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)
    network.refresh()
    network.forward(x)
    assert network.backward(gradient, needs_input=False) is None
    np.testing.assert_array_equal(network.parameters()[0].grad, arrays[1][1])


def test_folded_networks_give_the_same():
    network = stirred(everything("float64"))
    folded = network.folded()
    x = np.random.default_rng(0).standard_normal((2, 2, 9, 9))
    np.testing.assert_allclose(folded(x), network(x), rtol=1e-12)
    kinds = [type(layer).__name__ for layer in folded.layers]
    assert kinds.count("BatchNorm2d") == 0 and "ReLU6" not in kinds and "Identity" not in kinds
    assert kinds.count("Add") == 1  # the normalisation before it is taken by another, too
    assert isinstance(folded, nn.Sequential)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("bias", [False, True])
def test_folded_normalisation(kind, rank, groups, bias):
    conv = getattr(nn, f"{kind}{rank}d")(4, 6, 3, 2, 1, groups=groups, bias=bias, dtype="float64", seed=0)
    norm = getattr(nn, f"BatchNorm{rank}d")(6, dtype="float64")
    network = stirred(nn.Sequential(conv, norm, nn.ReLU()))
    norm.weight, norm.bias = np.linspace(-2, 3, 6), np.linspace(1, -1, 6)
    x = np.random.default_rng(0).standard_normal((2, 4, *SIZE[rank]))
    folded = network.folded()
    assert len(folded) == 1 and len(network) == 3
    np.testing.assert_allclose(folded(x), network(x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.2, 0.3), nn.SiLU()], ids=repr)
def test_folded_activations_have_the_same_bits(isa, activation):
    x = reals(np.random.default_rng(0), (2, 3, 7, 9), "float32")
    convs = nn.Conv2d(3, 4, 3, seed=0), nn.ConvTranspose2d(3, 4, 3, 2, seed=0), nn.BatchNorm2d(3)
    for conv in convs:
        folded = nn.Sequential(conv, activation).folded()
        assert len(folded) == 1
        cases.assert_same_bits(folded(x), activation(conv(x)))
    trained = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()).folded()
    with pytest.raises(ValueError, match="not folded"):
        trained.forward(x)


def test_what_is_not_folded():
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 4))
    how = {"dtype": "float64"}
    conv, norm, relu = nn.Conv2d(4, 4, 3, padding=1, seed=0, **how), nn.BatchNorm2d(4, **how), nn.ReLU()
    last = nn.BatchNorm2d(4, layout="NHWC", **how)
    norm.weight = last.weight = [1, 2, 3, 4]
    networks = [
        nn.Sequential(nn.Conv2d(4, 4, 1, activation="relu", **how), norm),  # behind an activation
        nn.Sequential(conv, last),  # of other channels
        nn.Sequential(relu, norm),
        nn.Sequential(norm, last),
        nn.Sequential(nn.Linear(4, 4, **how), relu),
        nn.Graph({"c": (conv, "x"), "r": (relu, "c"), "add": (nn.Add(), "r", "c")}),  # another takes it
        nn.Graph({"c": (conv, "x"), "r": (relu, "x"), "add": (nn.Add(), "c", "r", "r")}),  # more than two
        nn.Graph({"c": (conv, "x"), "add": (nn.Add(), "c", "c")}),
    ]
    for network in networks:
        folded = network.folded()
        assert len(folded) == len(network), network
        cases.assert_same_bits(folded(x), network(x))
    small = nn.Sequential(nn.Conv2d(4, 4, 1, dtype="float16"), nn.BatchNorm2d(4, eps=1e-8, dtype="float16"))
    small[1].load_state_dict(small[1].state_dict() | {"running_var": np.zeros(4), "weight": np.full(4, 1e3)})
    assert len(small.folded()) == 2  # the weights would be infinite
    dropped = nn.Graph({"d": (nn.Dropout(), "x"), "add": (nn.Add(), "d", "x"), "i": (nn.Identity(), "add")}).folded()
    assert len(dropped) == 1 and (dropped(x) == 2 * x).all()
    assert nn.Sequential(nn.Identity()).folded()(x) is x


def test_a_network_of_none_gives_x():
    x = np.ones((2, 3))
    network = nn.Sequential()
    assert network.forward(x) is x and network.backward(x) is x and network.parameters() == []
    assert "of 0 layers" in repr(network)


def test_what_is_wrong_in_a_network_is_named():
    network = nn.Sequential(nn.Flatten(), nn.Sequential({"dense": nn.Linear(4, 2)}))
    with pytest.raises(ValueError, match=r"x must have shape \(..., 4\); got shape \(2, 3\)") as caught:
        network(np.ones((2, 3)))
    assert caught.value.__notes__ == ["in layer '1.dense' of a network, Linear(4, 2, bias=True, dtype=float32)"]


CONV = nn.Conv1d(1, 1, 1)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nn.Sequential(3), TypeError, "layers.* must be of type nn.Module; got 3 for '0'"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, "layers.* must be of type nn.Module"),
        (lambda: nn.Sequential({"x": nn.ReLU()}), ValueError, "other than 'x'"),
        (lambda: nn.Sequential({1: nn.ReLU()}), ValueError, "names, strings"),
        (lambda: nn.Sequential(CONV, CONV), ValueError, "there twice"),
        (lambda: nn.Sequential(nn.Sequential(CONV), CONV), ValueError, "there twice"),
        (
            lambda: nn.Sequential({"a.b": nn.ReLU(), "a": nn.Sequential({"b": nn.ReLU()})}),
            ValueError,
            r"name twice; got \{'a.b'\}",
        ),
        (lambda: nn.Graph({"a": (CONV, "b")}), ValueError, "'a' takes 'b', which is not the name of a step before it"),
        (lambda: nn.Graph({"a": (CONV, "a")}), ValueError, "'a' takes 'a'"),
        (lambda: nn.Graph({"a": (CONV,)}), ValueError, "'a' must take one output; got 0"),
        (lambda: nn.Graph({"a": (CONV, "x", "x")}), ValueError, "'a' must take one output; got 2"),
        (lambda: nn.Graph({"a": (nn.Add(),)}), ValueError, "'a' must take one output; got 0"),
        (lambda: nn.Graph({"a": (nn.ReLU(), "x"), "b": (CONV, "x")}), ValueError, "the output of 'a' is not used"),
        (lambda: nn.Graph({"a": nn.ReLU()}), ValueError, "'a' must take one output; got 0"),
        (lambda: nn.Add()(np.ones(2), np.ones(3)), ValueError, r"xs must be of one shape, .*; got \(2,\), \(3,\)"),
        (lambda: nn.Cat()(np.ones(2), np.ones(3)), ValueError, "xs must fit along axis dim=1"),
        (lambda: nn.Flatten(2)(np.ones((2, 2))), ValueError, r"x of shape \(2, 2\) has no axes from 2 to -1"),
        (lambda: nn.Softmax(2)(np.ones((2, 2))), ValueError, r"x of shape \(2, 2\) has no axis 2"),
        (lambda: nn.MaxPool2d(2, padding=2), ValueError, "padding must be at most half"),
        (lambda: nn.MaxPool2d(0), ValueError, "kernel_size must be at least 1"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), ValueError, "divisor_override"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), ValueError, "output_size"),
        (lambda: nn.ConvTranspose2d(2, 2, 3, output_padding=1), ValueError, "output_padding"),
        (lambda: nn.ConvTranspose2d(2, 3, 3, groups=2), ValueError, "groups=2 must divide"),
        (lambda: nn.ConvTranspose2d.from_weights(np.ones((2, 2, 3))), ValueError, "weight must have 4 dimensions"),
        (lambda: nn.BatchNorm2d(3)(np.ones((3, 4, 4), "f4")), ValueError, "with 3 channels"),
        (lambda: nn.BatchNorm2d(3).forward(np.ones((1, 3, 1, 1), "f4")), ValueError, "more than one element"),
        (lambda: nn.Module()(3), NotImplementedError, "Module has no __call__"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"0.weight": None}, ValueError, r"state lacks 0\.weight$"),
        ({"more": 1}, ValueError, "state must not have more"),
        ({3: 1}, ValueError, "state must not have 3"),
        ({"1.bias": np.ones(3)}, ValueError, r"state\['1.bias'\] must have shape \(2,\); got \(3,\)"),
        ({"1.bias": np.ones(2, complex)}, TypeError, r"state\['1.bias'\] must be of float32; got dtype complex128"),
        ({"1.bias": ["a", "b"]}, TypeError, r"state\['1.bias'\] has dtype <U1"),
    ],
)
def test_states_that_do_not_fit_change_nothing(changed, error, says):
    network = nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), nn.BatchNorm2d(2))
    before = {key: a.copy() for key, a in network.state_dict().items()}
    state = {key: a for key, a in ({key: a + 1 for key, a in before.items()} | changed).items() if a is not None}
    with pytest.raises(error, match=says):
        network.load_state_dict(state)
    for key, a in network.state_dict().items():
        np.testing.assert_array_equal(a, before[key])
    with pytest.raises(TypeError, match="state must be a mapping"):
        network.load_state_dict([1])


def test_states_are_copied():
    first, second = everything(), stirred(everything())
    x = np.ones((1, 2, 9, 9), np.float32)
    first(x)
    first.load_state_dict(second.state_dict())
    cases.assert_same_bits(first(x), second(x))
    assert not any(np.shares_memory(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))


@pytest.mark.parametrize("how", ["path", "file", "pickle", "copy", "Module"])
def test_networks_in_files(tmp_path, how):
    network, x = stirred(everything()), np.ones((1, 2, 9, 9), np.float32)
    if how in ("path", "Module"):
        network.save(tmp_path / "network")
        again = (nn.Module if how == "Module" else nn.Sequential).load(tmp_path / "network", threads=1)
    elif how == "file":
        file = io.BytesIO()
        network.save(file)
        file.seek(0)
        again = nn.Sequential.load(file, accuracy="default")
    else:
        again = copy.deepcopy(network) if how == "copy" else pickle.loads(pickle.dumps(network))
    assert repr(again) == repr(network) and again.state_dict().keys() == network.state_dict().keys()
    cases.assert_same_bits(again(x), network(x))
    assert again.folded()(x).shape == (1, 5)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_files(name, tmp_path):
    make, shape = LAYERS[name]
    layer = make(nn, dtype="float32")
    layer.save(tmp_path / "layer")
    again = type(layer).load(tmp_path / "layer")
    x = reals(np.random.default_rng(0), shape, "float32")
    cases.assert_same_bits(again(x), layer(x))
    assert repr(again) == repr(layer)


def test_folded_networks_in_files(tmp_path):
    conv, x = nn.Conv2d(1, 2, 3, bias=False), reals(np.random.default_rng(0), (1, 1, 5, 5), "float32")
    for layers in ([conv, nn.BatchNorm2d(2)], [conv], [nn.BatchNorm2d(1)], [nn.ConvTranspose2d(1, 2, 3)]):
        network = stirred(nn.Sequential(*layers, nn.ReLU6())).folded()
        assert len(network) == 1
        network.save(tmp_path / "network")
        cases.assert_same_bits(nn.Sequential.load(tmp_path / "network")(x), network(x))


def options(**changed):
    one = {"class": "Linear"}
    return {"class": "Sequential", "steps": [["0", one, ["x"]]]} | changed


@pytest.mark.parametrize(
    ("how", "arrays", "says"),
    [
        (options(), {}, "weight"),
        (options(), {"0.weight": np.ones((2, 3)), "1.weight": np.ones(3)}, "it has arrays of 1, which are no steps"),
        (options(), {"0.weight": np.ones((2, 3)), "0.more": np.ones(3)}, "more"),
        (options(), {"0.weight": np.ones((2, 3), np.int8)}, "int8"),
        (options(steps=[["0", {"class": "os.system"}, ["x"]]]), {}, "its options are those of 'os.system'"),
        (options(steps=[["0", {"class": "Module"}, ["x"]]]), {}, "Module"),
        (options(steps=[["0", {"class": "ReLU", "more": 1}, ["x"]]]), {}, "more"),
        (options(steps=[["0", {"class": "ReLU"}, ["y"]]]), {}, "'0' takes 'y'"),
        (options(steps=3), {}, "not iterable"),
        (options(**{"class": "Linear"}), {}, "no Sequential"),
        ([], {}, ""),
    ],
)
def test_files_of_something_else(tmp_path, how, arrays, says):
    np.savez(tmp_path / "other.npz", options=np.array(json.dumps(how)), **arrays)
    with pytest.raises(ValueError, match=rf"other.npz is no file of a Sequential: .*{says}"):
        nn.Sequential.load(tmp_path / "other.npz")


def test_a_user_s_layer_in_files(tmp_path):
    """Files name no classes but those of nn, and the one that is asked to load them."""

    class Twice(nn.Module):
        def __call__(self, x):
            return 2 * x

    class Linear(nn.Linear):
        """Of a name that a file would take for another."""

    for layer in Twice(), Linear(1, 1):
        with pytest.raises(TypeError, match=f"is of a class of its own, .*{type(layer).__name__}, which no file can"):
            nn.Sequential(layer).save(tmp_path / "network")
    assert not (tmp_path / "network").exists()
    Twice().save(tmp_path / "layer")
    assert Twice.load(tmp_path / "layer")(3) == 6


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(np.int64(2), np.array([1, 2])),
        nn.AvgPool1d(np.int32(2), None, np.int64(1), np.bool_(True), divisor_override=np.int64(3)),
        nn.AdaptiveAvgPool2d((np.int64(2), None)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_numpy_s_numbers_in_files(tmp_path, layer):
    layer.save(tmp_path / "layer")
    x = np.random.default_rng(0).random((2, *SIZE[layer.rank]))
    cases.assert_same_bits(type(layer).load(tmp_path / "layer")(x), layer(x))


def test_a_small_file_of_many_features_takes_no_memory(tmp_path):
    how = {"class": "BatchNorm2d", "num_features": 2**34, "dtype": "float32"}
    arrays = {name: np.ones(2, np.float32) for name in nn.BatchNorm2d(2).state_dict()}
    np.savez(tmp_path / "norm.npz", options=np.array(json.dumps(how)), **arrays)
    with pytest.raises(ValueError, match=r"num_features is 17179869184, and running_mean has shape \(2,\)"):
        nn.BatchNorm2d.load(tmp_path / "norm.npz")


# ---- weights of others ---------------------------------------------------------------------------


def test_weights_in_npz(tmp_path):
    network = everything()
    np.savez(tmp_path / "w.npz", **network.state_dict(), count=np.int64(3))
    for file in (tmp_path / "w.npz", (tmp_path / "w.npz").open("rb")):
        arrays = nn.read_weights(file)
        assert arrays.pop("count") == 3
        other = everything()
        other.load_state_dict(arrays)
        assert all((a == arrays[key]).all() for key, a in other.state_dict().items())


def test_npz_files_that_are_not_read(tmp_path):
    path = tmp_path / "w.npz"
    np.savez_compressed(path, a=np.zeros(10**7))
    with pytest.raises(ValueError, match=r"w.npz is no .npz file of weights: a.* is compressed"):
        nn.read_weights(path)
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(ValueError, match="a has dtype object"):
        nn.read_weights(path)
    np.savez(path, a=np.ones(100), b=np.ones(3))
    whole = path.read_bytes()
    for data in (whole[:50], whole[: len(whole) // 2], whole[:-5]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"w.npz is no .npz file"):
            nn.read_weights(path)
    with zipfile.ZipFile(path, "w") as file:  # the same bytes claimed by many names
        file.writestr("a.npy", bytes(10**6))
        first = file.infolist()[0]
        for i in range(100):
            info = copy.copy(first)
            info.filename = info.orig_filename = f"b{i}.npy"
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
    with pytest.raises(ValueError, match=r"w.npz is no .npz file.*claim more"):
        nn.read_weights(path)
    with pytest.raises(FileNotFoundError):
        nn.read_weights(tmp_path / "none")


def test_weights_in_safetensors(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    network = everything()
    numpy.save_file(network.state_dict(), tmp_path / "w.safetensors")
    other = everything()
    other.load_state_dict(nn.read_weights(tmp_path / "w.safetensors"))
    x = np.ones((1, 2, 9, 9), np.float32)
    cases.assert_same_bits(other(x), network(x))
    whole = (tmp_path / "w.safetensors").read_bytes()
    bomb = (2**60).to_bytes(8, "little") + b"{}"
    wide = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    claims = len(wide).to_bytes(8, "little") + wide
    brain = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    brain = len(brain).to_bytes(8, "little") + brain + b"ab"
    for data in (b"", b"text", whole[:9], whole[: len(whole) // 2], whole + b"more", bomb, claims, brain):
        (tmp_path / "w").write_bytes(data)
        with pytest.raises(ValueError, match=r"w is neither .npz nor safetensors"):
            nn.read_weights(tmp_path / "w")


def test_safetensors_are_an_extra(tmp_path, monkeypatch):
    (tmp_path / "w").write_bytes(b"text")
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ImportError, match=r'pip install "fastconv\[safetensors\]"'):
        nn.read_weights(tmp_path / "w")
