# SPDX-License-Identifier: BSD-3-Clause
"""Layers that learn: forward and backward, beside PyTorch, steps of SGD, files."""

from __future__ import annotations

import copy
import io
import json
import pickle
import tracemalloc
import zipfile

import cases
import numpy as np
import pytest
from cases import integers, reals

from fastconv import nn
from fastconv.arguments import layers
from fastconv.arguments.boundaries import PADDING_MODES
from fastconv.arguments.values import FLOATS

CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
CLASSES = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_backward(rng, rank, padding_mode, layout):
    """What the functions compute, in any layout, with and without a batch."""
    how = {"stride": 2, "padding": 1, "groups": 2, "padding_mode": padding_mode, "layout": layers.LAYOUTS[rank][layout]}
    layer = CLASSES[rank](6, 8, 3, **how, seed=1)
    x = reals(rng, (2, 6, 9, 8, 7)[: rank + 2], "float32")
    x = np.moveaxis(x, 1, -1) if layout else x
    for image in x, x[0]:
        y = layer.forward(image)
        cases.assert_same_bits(y, layer(image))
        grad = reals(rng, y.shape, "float32")
        backward = {1: nn.conv1d_backward, 2: nn.conv2d_backward, 3: nn.conv3d_backward}[rank]
        expected = backward(grad, image, layer.weight, **how)
        cases.assert_same_bits(layer.backward(grad), expected.input)
        weight, bias = layer.parameters()
        assert (weight.name, bias.name) == ("weight", "bias")
        cases.assert_same_bits(weight.grad, expected.weight)
        cases.assert_same_bits(bias.grad, expected.bias)


@pytest.mark.parametrize("activation", ["relu", "relu6", (-3, 5.5)])
def test_activations(rng, activation):
    """No gradient passes where the activation cuts off, the bounds included, and where it does not cut, all does."""
    layer = nn.Conv2d.from_weights(np.ones((1, 1, 1, 1)), np.zeros(1), activation=activation)
    low, high = {"relu": (0, np.inf), "relu6": (0, 6)}.get(activation, activation)
    x = np.array([[[-np.inf, -7, low, 1, 2, 5, min(high, 1e300), 9, np.inf, np.nan]]])
    layer.forward(x)
    passed = layer.backward(np.full(x.shape, 3.0))
    expected = [[[0, 0, 0, 3, 3, 3, 3 * (high == np.inf), 3 * (high == np.inf), 3 * (high == np.inf), 3]]]
    np.testing.assert_array_equal(passed, expected)
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(x).requires_grad_()
    clamp = torch.nn.functional.relu if high == np.inf else lambda t: torch.nn.functional.hardtanh(t, low, high)
    clamp(tensor).backward(torch.full(x.shape, 3.0, dtype=torch.float64))
    np.testing.assert_array_equal(passed, tensor.grad.numpy())


def test_a_cut_off_gradient_does_not_spread():
    """Where the activation cuts off, an infinite gradient is none."""
    layer = nn.Conv2d.from_weights(np.ones((1, 1, 1, 1)), activation="relu")
    layer.forward(np.array([[[-1.0, 1.0]]]))
    assert layer.backward(np.array([[[np.inf, 1.0]]])).tolist() == [[[0, 1]]]


def test_what_is_remembered(rng):
    x = reals(rng, (1, 2, 6, 6), "float32")
    layer = nn.Conv2d(2, 3, 3, activation="relu", seed=0)
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.ones((1, 3, 4, 4), np.float32))
    y = layer.forward(x)
    y[...] = 0  # the result is the caller's
    layer(x[:, :, 1:])  # and inference remembers nothing
    expected = nn.conv2d_backward((layer(x) > 0).astype("f4"), x, layer.weight)
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), expected.input)
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(np.ones_like(y))
    layer.forward(x)
    assert layer.backward(np.ones_like(y), needs_input=False) is None
    cases.assert_same_bits(layer.parameters()[0].grad, expected.weight)


CURVES = ["gelu", "gelu_tanh", "hardsigmoid", "hardswish", "sigmoid", "silu", "tanh", ("leaky_relu", -1.5)]


@pytest.mark.parametrize("layout", [None, "NHWC"])
@pytest.mark.parametrize("cls", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("activation", CURVES, ids=str)
def test_layers_that_end_with_curves_learn(rng, activation, cls, layout):
    """The gradients are differences of outputs, and the outputs have the bits of those without `forward`."""
    layer = cls(4, 6, (3, 2), 2, 1, groups=2, activation=activation, layout=layout, dtype="float64", seed=0)
    layer.weight *= 3
    x = rng.uniform(-3, 3, (2, 5, 6, 4) if layout else (2, 4, 5, 6))
    y = layer.forward(x)
    cases.assert_same_bits(y, layer(x))
    grad = rng.uniform(-1, 1, y.shape)
    arrays = (x, *(p.value for p in layer.parameters()))
    found = layer.backward(grad), *(p.grad for p in layer.parameters())
    for array, gradient in zip(arrays, found, strict=True):
        assert gradient.shape == array.shape
        for at in rng.integers(0, array.size, 5):
            ends, kept = [], array.flat[at]
            for step in -1e-6, 1e-6:
                array.flat[at] = kept + step
                ends.append(np.sum(grad * layer(x)))
            array.flat[at] = kept
            assert (ends[1] - ends[0]) / 2e-6 == pytest.approx(gradient.flat[at], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("cls", [nn.Conv1d, nn.ConvTranspose3d])
def test_a_curve_in_a_layer_is_one_behind_it(rng, cls, dtype):
    """With a batch and without, for needs_input and not; nothing is remembered after `backward`."""
    one, plain = (cls(2, 3, 2, 2, activation=a, dtype=dtype, seed=0) for a in ("silu", None))
    x = rng.uniform(-2, 2, (2, 2, 4, 5, 3)[: plain.rank + 2]).astype(dtype)
    for image in x, x[0]:
        two = nn.Sequential(plain, nn.SiLU())
        cases.assert_same_bits(one.forward(image), two.forward(image))
        grad = rng.uniform(-1, 1, one(image).shape).astype(dtype)
        cases.assert_same_bits(one.backward(grad), two.backward(grad))
        for p, q in zip(one.parameters(), two.parameters(), strict=True):
            cases.assert_same_bits(p.grad, q.grad)
        with pytest.raises(RuntimeError, match="needs a forward"):
            one.backward(grad)
    copied = copy.deepcopy(one)
    copied.forward(x)
    copied.backward(np.ones_like(one(x)), needs_input=False)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_layers_with_channels_last(rng, rank, tmp_path):
    """What the layer with channels second gives, also where outputs are added that no element is spread to."""
    cls, (second, last) = getattr(nn, f"ConvTranspose{rank}d"), layers.LAYOUTS[rank]
    how = {"output_padding": 2, "dilation": 3, "groups": 2, "activation": "relu", "seed": 0, "padding": 1}
    one, other = cls(4, 6, 2, 1, layout=last, **how), cls(4, 6, 2, 1, layout=second, **how)
    x = reals(rng, (2, 4, 5, 6, 4)[: rank + 2], "float32")
    for image, axis in (x, 1), (x[0], 0):
        y = other.forward(image)
        cases.assert_same_bits(one.forward(np.moveaxis(image, axis, -1)), np.moveaxis(y, axis, -1))
        grad = reals(rng, y.shape, "float32")
        given = one.backward(np.moveaxis(grad, axis, -1))
        np.testing.assert_allclose(given, np.moveaxis(other.backward(grad), axis, -1), rtol=1e-5, atol=1e-6)
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(p.grad, q.grad, rtol=1e-4, atol=1e-5)
    one.save(tmp_path / "layer")
    again = cls.load(tmp_path / "layer")
    assert repr(again) == repr(one) and f"layout='{last}'" in repr(one) and "activation='relu'" in repr(one)
    norm = getattr(nn, f"BatchNorm{rank}d")(6, layout=last)
    assert len(nn.Sequential(cls(4, 6, 2, layout=last, seed=0), norm).folded()) == 1
    with pytest.raises(ValueError, match="layout must be"):
        cls(4, 6, 2, layout="NCTW")


def test_gradients_of_another_shape_change_nothing(rng):
    layer = nn.Conv2d(2, 3, 3, activation="relu", seed=0)
    layer.forward(reals(rng, (1, 2, 6, 6), "float32"))
    for grad in (np.float32(1), np.ones((1, 3, 4, 1), "f4"), np.ones((3, 4, 4), "f4")):
        with pytest.raises(ValueError, match=r"grad_output.*\(1, 3, 4, 4\)"):
            layer.backward(grad)
    with pytest.raises(TypeError, match=r"grad_output has dtype float64 and weight float32"):
        layer.backward(np.ones((1, 3, 4, 4)))
    assert all(p.grad is None for p in layer.parameters())
    layer.backward(np.ones((1, 3, 4, 4), "f4"))  # the input is still there
    assert all(p.grad is not None for p in layer.parameters())


def test_weights_are_the_layers_own(rng):
    """An in-place step takes effect at once; what is given is copied; assignment reaches the parameter."""
    w, x = reals(rng, (3, 2, 2, 2), "float32"), reals(rng, (1, 2, 4, 4), "float32")
    layer = nn.Conv2d.from_weights(w)
    parameter = layer.parameters()[0]
    parameter.value *= 2
    cases.assert_same_bits(layer(x), nn.conv2d(x, 2 * layer.weight / 2))
    np.testing.assert_array_equal(layer.weight, 2 * w)
    layer.weight = w[::-1]
    np.testing.assert_array_equal(parameter.value, w[::-1])
    parameter.value[...] = 0
    assert w.any() and not layer(x).any()
    swapped = nn.Conv2d.from_weights(w.astype(">f4"))
    cases.assert_same_bits(swapped(x), nn.conv2d(x, w))
    parameter = swapped.parameters()[0]
    parameter.value += 1
    cases.assert_same_bits(swapped(x), nn.conv2d(x, w + 1))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_training_beside_torch(rng, rank):
    """Two layers learn the same from the same weights, rates and momentum: losses and weights stay together."""
    torch = pytest.importorskip("torch")
    x = reals(rng, (4, 3, 9, 8, 7)[: rank + 2], "float64")
    ours = [
        CLASSES[rank](3, 6, 3, 1, 1, activation="relu", dtype="float64", seed=0),
        CLASSES[rank](6, 2, 2, 2, groups=2, dtype="float64", seed=1),
    ]
    module = getattr(torch.nn, f"Conv{rank}d")
    theirs = [module(3, 6, 3, 1, 1, dtype=torch.float64), module(6, 2, 2, 2, groups=2, dtype=torch.float64)]
    with torch.no_grad():
        for a, b in zip(ours, theirs, strict=True):
            b.weight.copy_(torch.from_numpy(a.weight))
            b.bias.copy_(torch.from_numpy(a.bias))
    target = reals(rng, ours[1](ours[0](x)).shape, "float64")
    step = nn.SGD([*ours[0].parameters(), *ours[1].parameters()], lr=0.05, momentum=0.9, weight_decay=0.01)
    optimiser = torch.optim.SGD([p for m in theirs for p in m.parameters()], lr=0.05, momentum=0.9, weight_decay=0.01)
    losses = []
    for _ in range(12):
        y = ours[1].forward(ours[0].forward(x))
        losses.append(((y - target) ** 2).mean())
        assert ours[0].backward(ours[1].backward(2 * (y - target) / y.size), needs_input=False) is None
        step.step()
        optimiser.zero_grad()
        theirs_y = theirs[1](torch.nn.functional.relu(theirs[0](torch.from_numpy(x))))
        loss = ((theirs_y - torch.from_numpy(target)) ** 2).mean()
        loss.backward()
        optimiser.step()
        np.testing.assert_allclose(losses[-1], loss.item(), rtol=1e-9)
    assert losses[-1] < 0.9 * losses[0]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.weight, b.weight.detach().numpy(), rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(a.bias, b.bias.detach().numpy(), rtol=1e-7, atol=1e-10)


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "in a tuple": lambda a: copy.deepcopy((a, a.parameters()))[0],
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("how", COPIES)
def test_copies_take_what_is_written_to_them(rng, how, rank, dtype):
    """So do layers whose parameters were given other values."""
    x = reals(rng, (1, 2, 6, 5, 4)[: rank + 2], dtype)
    first = CLASSES[rank](2, 3, 2, dtype=dtype, seed=0)
    first(x)
    layer = COPIES[how](first)
    cases.assert_same_bits(layer(x), first(x))
    w = reals(rng, layer.weight.shape, dtype)
    layer.weight[...] = w
    for one in (layer, first) if how == "copy" else (layer,):  # which share their parameters
        cases.assert_same_bits(one(x), CONV[rank](x, w, one.bias))
    part = reals(rng, (2, *w.shape), dtype)
    first.parameters()[0].value = part[0]
    cases.assert_same_bits(first(x), CONV[rank](x, part[0], first.bias))
    part[...] = 1
    cases.assert_same_bits(first(x), CONV[rank](x, first.weight, first.bias))


def test_copies_go_on_learning(rng):
    """A layer, what backward needs, and the velocities of its optimiser are copied together."""
    x = reals(rng, (1, 2, 6, 5), "float32")
    layer = nn.Conv2d(2, 3, 2, seed=0)
    step = nn.SGD(layer.parameters(), 0.1, 0.9)
    for _ in range(2):
        layer.backward(layer.forward(x))
        step.step()
    y = layer.forward(x)
    pairs = [(layer, step), copy.deepcopy((layer, step)), pickle.loads(pickle.dumps((layer, step)))]
    for one, its in pairs:
        one.backward(y)
        its.step()
        cases.assert_same_bits(one.weight, layer.weight)
        cases.assert_same_bits(one.bias, layer.bias)
    assert len({id(one.weight) for one, _ in pairs}) == 3


# ---- SGD -----------------------------------------------------------------------------------------


def parameters():
    a, b = nn.Parameter("a", np.ones(2)), nn.Parameter("b", np.ones((2, 3), np.float32))
    a.grad, b.grad = np.ones(2), np.ones((2, 3), np.float32)
    return a, b


def test_steps():
    a, b = parameters()
    value = a.value
    step = nn.SGD(iter([a, b]), lr=0.5, momentum=0.5, weight_decay=1)
    step.step()  # g = 1 + 1; v = 2; 1 - 0.5 * 2
    assert a.value is value and (a.value == 0).all() and (b.value == 0).all() and b.value.dtype == np.float32
    step.step()  # g = 1 + 0; v = 1 + 1; 0 - 0.5 * 2
    assert (a.value == -1).all() and (a.grad == 1).all()
    step.lr = 0
    step.step()
    assert (a.value == -1).all()


def test_gradients_may_change_in_place():
    a, _ = parameters()
    step = nn.SGD([a], lr=1, momentum=0.5)
    step.step()
    a.grad[...] = 0
    step.step()
    assert (a.value == 1 - 1 - 0.5).all()


@pytest.mark.parametrize(
    ("grad", "says"),
    [
        (None, "b needs a gradient.*None"),
        (1.0, r"b needs a gradient.*1\.0"),
        (np.ones((3, 2), np.float32), r"b.*\(2, 3\).*\(3, 2\)"),
        (np.ones((2, 3)), "b.*float32.*float64"),
    ],
)
def test_steps_that_cannot_be_taken_change_nothing(grad, says):
    a, b = parameters()
    b.grad = grad
    step = nn.SGD([a, b], lr=0.5, momentum=0.5)
    for _ in range(2):
        with pytest.raises(ValueError, match=says):
            step.step()
    assert (a.value == 1).all()
    b.grad = np.ones((2, 3), np.float32)
    step.step()
    assert (a.value == 0.5).all()


def test_float16_learns():
    """In steps of float16."""
    layer = nn.Conv2d(1, 1, 2, dtype="float16", seed=0)
    layer.forward(np.ones((1, 3, 3), np.float16))
    layer.backward(np.ones((1, 2, 2), np.float16))
    expected = layer.weight - np.float16(0.25) * 4
    nn.SGD(layer.parameters(), lr=0.25).step()
    assert layer.weight.dtype == np.float16
    cases.assert_same_bits(layer.weight, expected)


def test_what_is_read_only_does_not_learn():
    layer = nn.Conv2d(1, 1, 2, seed=0)
    layer.weight.flags.writeable = False
    layer.forward(np.ones((1, 3, 3), np.float32))
    layer.backward(np.ones((1, 2, 2), np.float32))
    with pytest.raises(ValueError, match=r"weight.*read-only"):
        nn.SGD(layer.parameters(), lr=1).step()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (dict(parameters=[]), ValueError, "parameters"),
        (dict(parameters=[np.ones(3)]), TypeError, "parameters"),
        (dict(lr=-1), ValueError, "lr.*-1"),
        (dict(lr=np.nan), ValueError, "lr.*nan"),
        (dict(lr="fast"), TypeError, "lr.*fast"),
        (dict(momentum=np.inf), ValueError, "momentum.*inf"),
        (dict(weight_decay=-0.1), ValueError, "weight_decay"),
    ],
)
def test_sgd_errors(arguments, error, says):
    with pytest.raises(error, match=says):
        nn.SGD(**({"parameters": parameters(), "lr": 0.1} | arguments))


def test_parameters_there_twice():
    a, b = parameters()
    with pytest.raises(ValueError, match="twice"):
        nn.SGD([a, b, a], lr=1)


# ---- files ---------------------------------------------------------------------------------------

SAVED = {
    "plain": (nn.Conv2d, (3, 4, 3), {}),
    "all options": (
        nn.Conv2d,
        (4, 6, (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2), 2, False, "circular"),
        {"activation": (-1, np.inf), "layout": "NHWC", "dtype": "float64"},
    ),
    "words": (nn.Conv1d, (3, 4, 3), {"padding": "same", "activation": "relu6", "dtype": "float16"}),
    "lists": (nn.Conv2d, (3, 4, [3, 2]), {"stride": [1, 2], "padding": [np.int64(1), 0], "activation": [0, 1]}),
    "3-D": (nn.Conv3d, (4, 4, 2), {"stride": np.int64(2), "groups": np.int64(2)}),
}


@pytest.mark.parametrize(("cls", "arguments", "how"), SAVED.values(), ids=SAVED.keys())
def test_files(tmp_path, rng, cls, arguments, how):
    layer = cls(*arguments, **how, seed=0)
    path = tmp_path / "layer"
    layer.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["layer"]
    again = cls.load(str(path))
    assert repr(again) == repr(layer)
    x = reals(rng, (2, *arguments[:1], 9, 8, 7)[: cls.rank + 2], layer.weight.dtype)
    x = np.moveaxis(x, 1, -1) if how.get("layout") else x
    cases.assert_same_bits(again(x), layer(x))
    cases.assert_same_bits(again.weight, layer.weight)
    assert (again.bias is None) == (layer.bias is None)
    again.forward(x)


def spoilt(tmp_path, **changed):
    """A file with other arrays; None: without."""
    path = tmp_path / "layer"
    nn.Conv2d(2, 3, 3).save(path)
    with np.load(path) as file:
        arrays = dict(file) | changed
    np.savez(tmp_path / "other.npz", **{name: a for name, a in arrays.items() if a is not None})
    return tmp_path / "other.npz"


def options(**changed):
    """The options of spoilt's file, changed."""
    o = {"class": "Conv2d", "stride": [1, 1], "padding": 0, "dilation": [1, 1], "groups": 1, "padding_mode": "zeros"}
    return np.array(json.dumps(o | {"activation": None, "layout": None} | changed))


def test_options_are_as_assumed(tmp_path):
    nn.Conv2d.load(spoilt(tmp_path, options=options()))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (dict(options=None), "options"),
        (dict(options=np.array("{")), "Expecting"),
        (dict(options=np.array("[]")), ""),
        (dict(options=options(**{"class": "Conv1d"})), "Conv2d"),
        (dict(options=options(kernel=3)), "options"),
        (dict(options=options(stride=0)), "stride"),
        (dict(options=options(padding="full")), "padding"),
        (dict(weight=None), "weight"),
        (dict(weight=np.ones((3, 2, 3))), "weight"),
        (dict(weight=np.ones((3, 2, 3, 3), int)), "int64"),
        (dict(bias=np.ones(2, np.float32)), "bias"),
        (dict(bias=np.ones(3)), "bias.*float64"),
        (dict(more=np.ones(3)), "more"),
        (dict(weight=np.array([{}], object)), "weight has dtype object"),
        (dict(weight=np.ones((3, 2, 3, 3), complex)), "weight has dtype complex128"),
        (dict(bias=np.array(["one"])), "bias has dtype <U3"),
        (dict(options=np.ones(3)), "options has dtype float64"),
        (dict(weight=np.ones((3, 2, 3, 3), [("re", "f4")])), "weight has dtype"),
    ],
)
def test_files_of_something_else(tmp_path, changed, says):
    path = spoilt(tmp_path, **changed)
    with pytest.raises(ValueError, match=rf"{path.name} is no file of a Conv2d: .*{says}"):
        nn.Conv2d.load(path)


def members(path, compression=zipfile.ZIP_STORED, **changed):
    """A layer's file with other bytes for some of its members."""
    nn.Conv2d(2, 3, 3).save(path)
    with zipfile.ZipFile(path) as file:
        whole = {member: file.read(member) for member in file.namelist()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for member, data in (whole | {f"{name}.npy": data for name, data in changed.items()}).items():
            file.writestr(member, data)
    return path


def header(shape, dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (dict(more=header((2**28,), "|i1") + bytes(2**26)), "compressed"),
        (dict(weight=header((2**24,)) + bytes(2**26)), "compressed"),
        (dict(options=header((), "<U16777216") + bytes(2**26)), "compressed"),
    ],
    ids=["a member that is not a layer's", "weight", "options"],
)
def test_a_small_file_that_unpacks_to_much_is_not_unpacked(tmp_path, changed, says):
    path = members(tmp_path / "bomb", zipfile.ZIP_DEFLATED, **changed)
    assert path.stat().st_size < 10**6
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"bomb is no file of a Conv2d: .*{says}"):
            nn.Conv2d.load(path)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(2**40, 2**10), (2**34,), (2**70,), (3, 2, 3, 4), (-1, 2)], ids=str)
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_file_that_claims_more_than_it_holds(tmp_path, name, shape):
    path = members(tmp_path / "claims", **{name: header(shape) + bytes(72)})
    with pytest.raises(ValueError, match=r"claims is no file of a Conv2d"):
        nn.Conv2d.load(path)


def test_an_array_instead_of_a_layer_is_not_read(tmp_path):
    (tmp_path / "array").write_bytes(header((2**40, 2**10)))
    with pytest.raises(ValueError, match=r"array is no file of a Conv2d"):
        nn.Conv2d.load(tmp_path / "array")


def test_too_little_memory_is_no_damaged_file(tmp_path, monkeypatch):
    nn.Conv2d(2, 3, 3).save(tmp_path / "layer")

    def full(*_, **__):
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr(nn.Conv2d, "from_weights", full)
    with pytest.raises(MemoryError, match="1 TiB"):
        nn.Conv2d.load(tmp_path / "layer")


def test_damaged_files(tmp_path):
    path = tmp_path / "layer"
    nn.Conv2d(2, 3, 3).save(path)
    whole = path.read_bytes()
    np.save(tmp_path / "array.npy", np.ones(3))
    for data in (b"", b"text", whole[:100], whole[: len(whole) // 2], (tmp_path / "array.npy").read_bytes()):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"layer is no file of a Conv2d"):
            nn.Conv2d.load(path)
    flipped = bytearray(whole)
    flipped[whole.index(b"weight.npy") + 200] ^= 1  # in the numbers
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"layer is no file of a Conv2d"):
        nn.Conv2d.load(path)
    with pytest.raises(FileNotFoundError):
        nn.Conv2d.load(tmp_path / "missing")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "layer"
    layer = nn.Conv2d(2, 3, 3, seed=0)
    layer.save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        nn.Conv2d(2, 3, 3, seed=1).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_integers_stay_exact(rng):
    """A step of whole numbers ends where it should, bit by bit."""
    w, x = integers(rng, (2, 3, 3, 3), "float32"), integers(rng, (1, 3, 6, 6), "float32")
    layer = nn.Conv2d.from_weights(w)
    layer.backward(np.ones_like(layer.forward(x)))
    nn.SGD(layer.parameters(), lr=1).step()
    np.testing.assert_array_equal(layer.weight, w - nn.conv2d_weight(x, w.shape, np.ones((1, 2, 4, 4), "f4")))


def test_between_infinities_and_the_largest_numbers():
    """As PyTorch has it: what lies between two infinities is infinite, and between the largest numbers, finite."""
    up = nn.Upsample(scale_factor=2, mode="linear")
    assert up(np.float32([[[np.inf, np.inf, 1]]]))[0, 0, 1:5].tolist() == [np.inf] * 4
    largest = np.finfo(np.float32).max
    np.testing.assert_allclose(up(np.float32([[[largest, -largest]]]))[0, 0], largest * np.array([1, 0.5, -0.5, -1]))
