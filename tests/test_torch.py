# SPDX-License-Identifier: BSD-3-Clause
"""The bridge to PyTorch: values and gradients of tensors, models whose layers are replaced, errors."""

from __future__ import annotations

import copy
import inspect
import re
import warnings

import cases
import numpy as np
import public_calls
import pytest
from conftest import only_deep

torch = pytest.importorskip("torch")

import fastconv.torch  # noqa: E402
from fastconv import nn, torch_modules  # noqa: E402

OURS = {1: fastconv.torch.conv1d, 2: fastconv.torch.conv2d, 3: fastconv.torch.conv3d}
TRANSPOSED = {
    1: fastconv.torch.conv_transpose1d,
    2: fastconv.torch.conv_transpose2d,
    3: fastconv.torch.conv_transpose3d,
}
CONVS = {
    "plain": ((2, 3, 6, 5), (4, 3, 3, 2), {}),
    "strided": ((1, 2, 7, 6), (3, 2, 3, 3), {"stride": (2, 3), "padding": 1}),
    "dilated": ((1, 2, 7, 6), (3, 2, 2, 2), {"dilation": (2, 3), "padding": (0, 2)}),
    "both": ((1, 2, 9, 8), (3, 2, 3, 2), {"dilation": 2, "stride": (3, 2)}),
    "groups": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": "same"}),
    "depthwise": ((1, 4, 5, 6), (4, 1, 3, 3), {"groups": 4, "padding": 1, "stride": 2}),
    "unbatched": ((2, 5, 5), (3, 2, 2, 2), {}),
    "1-D": ((2, 3, 9), (4, 3, 3), {"stride": 2, "padding": 1}),
    "3-D": ((1, 2, 3, 4, 4), (2, 2, 2, 2, 3), {"padding": (0, 1, 1)}),
}
conv_cases = pytest.mark.parametrize(("x_shape", "w_shape", "how"), CONVS.values(), ids=CONVS.keys())
TRANSPOSED_CASES = {
    "plain": ((2, 3, 4, 5), (3, 4, 3, 2), {}),
    "strided": ((1, 4, 3, 4), (4, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": (1, 0), "groups": 2}),
    "more outputs": ((1, 2, 4, 3), (2, 3, 2, 2), {"dilation": (2, 3), "output_padding": (1, 2)}),
    "unbatched": ((2, 4, 3), (2, 3, 2, 2), {"stride": 3}),
    "1-D": ((2, 3, 5), (3, 4, 3), {"stride": 2, "padding": 1}),
    "3-D": ((1, 2, 2, 3, 3), (2, 2, 2, 2, 3), {"stride": (1, 2, 1)}),
}
transposed_cases = pytest.mark.parametrize(
    ("x_shape", "w_shape", "how"), TRANSPOSED_CASES.values(), ids=TRANSPOSED_CASES.keys()
)


def tensors(rng, shapes, dtype="float64", make=cases.integers):
    return [torch.from_numpy(make(rng, shape, dtype)).requires_grad_() for shape in shapes]


def same(ours, theirs, arguments, how):
    """Values and gradients of small integers are equal."""
    ours, theirs = ours(*arguments, **how), theirs(*arguments, **how)
    assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
    grad = torch.arange(theirs.numel(), dtype=theirs.dtype).reshape(theirs.shape) % 7 - 3
    wanted = [a for a in arguments if a is not None and a.requires_grad]
    for a, b in zip(torch.autograd.grad(ours, wanted, grad), torch.autograd.grad(theirs, wanted, grad), strict=True):
        assert torch.equal(a, b)


@conv_cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conv(rng, x_shape, w_shape, how, dtype):
    rank = len(w_shape) - 2
    theirs = getattr(torch.nn.functional, f"conv{rank}d")
    x, w, b = tensors(rng, (x_shape, w_shape, w_shape[:1]), dtype)
    same(OURS[rank], theirs, (x, w, b), how)
    same(OURS[rank], theirs, (x, w, None), how)
    same(OURS[rank], theirs, (x.detach(), w, b), how)
    same(OURS[rank], theirs, (x, w.detach(), b.detach()), how)
    far = x.transpose(-1, -2).contiguous().transpose(-1, -2)  # of other strides
    same(OURS[rank], theirs, (far, w, b), how)


@transposed_cases
def test_transposed(rng, x_shape, w_shape, how):
    rank = len(w_shape) - 2
    theirs = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    x, w, b = tensors(rng, (x_shape, w_shape, (w_shape[1] * how.get("groups", 1),)))
    same(TRANSPOSED[rank], theirs, (x, w, b), how)
    same(TRANSPOSED[rank], theirs, (x.detach(), w, None), how)
    same(TRANSPOSED[rank], theirs, (x, w.detach(), b.detach()), how)


@conv_cases
def test_gradcheck(rng, x_shape, w_shape, how):
    arguments = tensors(rng, (x_shape, w_shape, w_shape[:1]), make=cases.reals)
    rank = len(w_shape) - 2
    assert torch.autograd.gradcheck(lambda *a: OURS[rank](*a, **how), arguments)


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "circular"])
def test_gradcheck_of_padding_modes(rng, padding_mode):
    how = {"stride": 2, "padding": (2, 1), "padding_mode": padding_mode}
    arguments = tensors(rng, ((1, 2, 5, 6), (3, 2, 3, 3), (3,)), make=cases.reals)
    assert torch.autograd.gradcheck(lambda *a: OURS[2](*a, **how), arguments)


@transposed_cases
def test_gradcheck_transposed(rng, x_shape, w_shape, how):
    arguments = tensors(rng, (x_shape, w_shape, (w_shape[1] * how.get("groups", 1),)), make=cases.reals)
    rank = len(w_shape) - 2
    assert torch.autograd.gradcheck(lambda *a: TRANSPOSED[rank](*a, **how), arguments)


def test_a_sum_has_a_gradient_without_strides(rng):
    x, w = tensors(rng, ((2, 3, 6, 6), (4, 3, 3, 3)))
    OURS[2](x, w).sum().backward()
    expected = torch.autograd.grad(torch.nn.functional.conv2d(x, w).sum(), (x, w))
    assert torch.equal(x.grad, expected[0]) and torch.equal(w.grad, expected[1])


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False), torch.nn.ReLU()),
        torch.nn.Conv2d(8, 4, 3, stride=2),
        torch.nn.Flatten(2),
        torch.nn.Conv1d(4, 2, 5),
    ).double()


def test_replace_convs(rng):
    theirs = model()
    ours = copy.deepcopy(theirs)
    parameters, keys = list(ours.parameters()), list(ours.state_dict())
    called = []
    ours[3].register_forward_hook(lambda *a: called.append(a[0]))
    assert fastconv.torch.replace_convs(ours) is ours
    assert all(a is b for a, b in zip(ours.parameters(), parameters, strict=True)) and list(ours.state_dict()) == keys
    assert {type(m) for m in ours.modules() if hasattr(m, "kernel_size")} == {
        torch_modules.Conv1d,
        torch_modules.Conv2d,
    }
    x = torch.from_numpy(cases.reals(rng, (2, 3, 9, 8), "float64"))
    for m in ours, theirs:
        m(x).square().sum().backward()
    assert called == [ours[3]]
    torch.testing.assert_close(ours(x), theirs(x))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert fastconv.torch.replace_convs(ours) is ours  # again
    torch.testing.assert_close(copy.deepcopy(ours)(x), theirs(x))
    alone = torch.nn.Conv3d(1, 2, 3)
    volume = torch.rand(1, 1, 4, 4, 4)
    torch.testing.assert_close(fastconv.torch.replace_convs(copy.deepcopy(alone))(volume), alone(volume))


def test_replaced_models_compute_with_fastconv(rng, monkeypatch):
    m = fastconv.torch.replace_convs(model())
    monkeypatch.setattr(torch.nn.functional, "conv2d", None)
    monkeypatch.setattr(torch.nn.functional, "conv1d", None)
    m(torch.zeros(1, 3, 9, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (lambda: torch.nn.LazyConv2d(4, 3), TypeError, "1 is a LazyConv2d"),
        (
            lambda: torch.nn.Conv2d(1, 1, 1, dtype=torch.complex64),
            TypeError,
            r"1\.weight.*float64; got torch.complex64",
        ),
        (lambda: type("Mine", (torch.nn.ConvTranspose1d,), {})(1, 1, 1), TypeError, "1 is a Mine.*ConvTranspose1d"),
        (lambda: torch.nn.Conv2d(1, 1, 1, device="meta"), ValueError, r"1\.weight.*CPU.*meta"),
    ],
)
def test_models_that_cannot_be_replaced_stay(bad, error, says):
    m = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), bad())
    with pytest.raises(error, match=says):
        fastconv.torch.replace_convs(m)
    assert type(m[0]) is torch.nn.Conv2d


X, W = torch.zeros(1, 4, 5, 6), torch.zeros(6, 4, 3, 3)


@pytest.mark.parametrize("accuracy", ["exact", "default", "fast"])
def test_accuracy(rng, accuracy):
    """It is that of the layer, of its gradients, of the transposed layer, and of a module."""
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 64, 28, 28), (64, 64, 3, 3)))
    X, W = torch.from_numpy(x).requires_grad_(), torch.from_numpy(w).requires_grad_()
    y = fastconv.torch.conv2d(X, W, padding=1, accuracy=accuracy)
    y.backward(y.detach())
    wanted = nn.conv2d(x, w, padding=1, accuracy=accuracy)
    np.testing.assert_array_equal(y.detach().numpy(), wanted)
    np.testing.assert_array_equal(X.grad, nn.conv2d_input(x.shape, w, wanted, padding=1, accuracy=accuracy))
    np.testing.assert_array_equal(W.grad, nn.conv2d_weight(x, w.shape, wanted, padding=1, accuracy=accuracy))
    W = W.detach()
    transposed = fastconv.torch.conv_transpose2d(X.detach(), W, padding=1, accuracy=accuracy)
    np.testing.assert_array_equal(transposed, nn.conv_transpose2d(x, w, padding=1, accuracy=accuracy))
    module = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)
    module.weight.data = W
    again = fastconv.torch.replace_convs(fastconv.torch.replace_convs(module), accuracy=accuracy)
    np.testing.assert_array_equal(again(X.detach()).detach(), wanted)
    if nn.explain(x.shape, w.shape, padding=1, accuracy=accuracy).tile:
        assert (wanted != nn.conv2d(x, w, padding=1, accuracy="exact")).any()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (dict(input=np.zeros((1, 4, 5, 6))), TypeError, "input must be a torch.Tensor; got ndarray"),
        (dict(input=X.to("meta")), ValueError, "input.*CPU.*meta"),
        (dict(weight=W.bfloat16()), TypeError, "weight.*bfloat16 and input torch.float32"),
        (dict(input=X.cfloat()), TypeError, "input must have dtype .* got torch.complex64"),
        (dict(weight=W.to_sparse()), ValueError, "weight.*dense.*sparse"),
        (dict(input=X.int()), TypeError, "input.*int32"),
        (dict(weight=W.double()), TypeError, r"^weight .*float64 and input torch.float32.*weight\.to\(input\.dtype\)"),
        (dict(bias=torch.zeros(6).double()), TypeError, r"^bias .*float64 and input torch.float32"),
        (dict(weight=W[:, 1:]), ValueError, r"^input of shape .* weight of shape \(6, 3, 3, 3\)"),
        (dict(input=X[0, 0]), ValueError, r"^input must have 4 dimensions"),
        (dict(input=X[..., :2]), ValueError, r"^weight of \(3, 3\) taps is larger .* input of \(5, 2\)"),
        (dict(input=None), TypeError, "^input must be a torch.Tensor; got NoneType"),
        (dict(weight=W[0]), ValueError, "^weight must have 4 dimensions"),
        (dict(bias=0.0), TypeError, "^bias must be a torch.Tensor; got float"),
        (dict(groups=4), ValueError, "first axis of weight .* groups=4"),
        (dict(stride=(True, 1)), TypeError, "^stride must be"),
        (dict(stride=(1.0, 1)), TypeError, "^stride must be"),
        (dict(dilation=[1, 2, 3]), ValueError, "^dilation must be"),
        (dict(padding=-1), ValueError, "^padding must not be negative"),
        (dict(bias=torch.zeros(5)), ValueError, r"bias.*\(6,\).*\(5,\)"),
        (dict(stride=0), ValueError, "stride"),
        (dict(padding="full"), ValueError, "padding.*full"),
        (dict(padding_mode="mirror"), ValueError, "padding_mode.*mirror"),
        (dict(accuracy="best"), ValueError, "accuracy.*exact.*default.*fast.*best"),
    ],
)
def test_errors(arguments, error, says):
    with pytest.raises(error, match=says):
        fastconv.torch.conv2d(**({"input": X, "weight": W} | arguments))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (dict(input=None), TypeError, "^input must be a torch.Tensor; got NoneType"),
        (dict(weight=W.double()), TypeError, "^weight .*float64 and input torch.float32"),
        (dict(weight=W[1:]), ValueError, "^input of shape .* weight of shape"),
        (dict(weight=W[0]), ValueError, "^weight must have 4 dimensions"),
        (dict(input=X[0, 0]), ValueError, "^input must have 4 dimensions"),
        (dict(input=X[..., :0]), ValueError, r"^input of \(5, 0\) elements has none"),
        (dict(bias=torch.zeros(5)), ValueError, r"^bias must have shape \(3,\)"),
        (dict(output_padding=None), TypeError, "^output_padding must be"),
        (dict(output_padding=2), ValueError, "^output_padding must be smaller"),
        (dict(padding=9), ValueError, r"^padding 9 takes more than input of"),
    ],
)
def test_errors_of_transposed_layers(arguments, error, says):
    with pytest.raises(error, match=says):
        fastconv.torch.conv_transpose2d(**({"input": X, "weight": W.transpose(0, 1)[:, :3]} | arguments))


@pytest.mark.parametrize("name", fastconv.torch.__all__)
@pytest.mark.parametrize("wrong", ["input", "weight", "bias"])
def test_errors_name_pytorchs_arguments(name, wrong):
    """They spoke of x and w, and of a dtype= that no call takes."""
    if name == "replace_convs":
        return
    rank = int(name[-2])
    arguments = {"input": torch.ones(1, 2, *[4] * rank), "weight": torch.ones(2, 2, *[2] * rank), "bias": torch.ones(2)}
    takes = set(inspect.signature(getattr(fastconv.torch, name)).parameters)
    for bad in (None, 3, "x", arguments[wrong].double(), arguments[wrong][..., None, None], arguments[wrong][..., :0]):
        if bad is None and wrong == "bias":
            continue
        with pytest.raises((TypeError, ValueError)) as caught:
            getattr(fastconv.torch, name)(**(arguments | {wrong: bad}))
        words = set(re.findall(r"\w+", str(caught.value)))
        assert words & {"input", "weight", "bias"} and not words & {"x", "w"}
        assert all(argument in takes for argument in re.findall(r"(\w+)=", str(caught.value)))


def test_models_of_something_else():
    with pytest.raises(TypeError, match=r"model.*list"):
        fastconv.torch.replace_convs([torch.nn.Conv2d(1, 1, 1)])


@pytest.mark.parametrize("name", fastconv.torch.__all__)
def test_functions_have_examples(name):
    assert ">>>" in getattr(fastconv.torch, name).__doc__


# ---- any value for any argument ------------------------------------------------------------------


def wrong_tensors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested ones are new
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    return {
        "a tensor of integers": torch.ones(2, 3, dtype=torch.int64),
        "a complex tensor": torch.ones(2, 3, dtype=torch.complex64),
        "a sparse tensor": torch.ones(2, 2).to_sparse(),
        "a tensor elsewhere": torch.ones(2, 4, 6, 5, device="meta"),
        "a tensor of no dimension": torch.tensor(1.0),
        "an empty tensor": torch.empty(0),
        "a tensor of eight dimensions": torch.ones((1,) * 8),
        "nested tensors": nested,
    }


QUICK = "conv2d", "replace_convs"


@pytest.mark.parametrize("name", [*QUICK, *only_deep(*[n for n in fastconv.torch.__all__ if n not in QUICK])])
def test_any_value(name):
    """It is right, or the error names the argument."""
    function, rank = getattr(fastconv.torch, name), re.search(r"\d|$", name)[0]
    good = {"model": torch.nn.Sequential(torch.nn.Conv2d(1, 1, 2))}
    if rank:
        channels = (2, 3) if "transpose" in name else (3, 2)
        good = {"input": torch.ones(1, 2, *(4,) * int(rank)), "weight": torch.ones(*channels, *(2,) * int(rank))}
    for place in inspect.signature(function).parameters:
        public_calls.with_any(function, good, place, public_calls.MORE_VALUES | wrong_tensors())
