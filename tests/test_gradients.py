# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of layers: adjoint to the layers, the reference, PyTorch, finite differences, bits, errors."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import integers, reals

import fastconv
from fastconv import nn, reference
from fastconv.arguments import layers
from fastconv.arguments.boundaries import PADDING_MODES
from fastconv.nn import gradients, transposed
from fastconv.plans import Answer

CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
INPUT = {1: nn.conv1d_input, 2: nn.conv2d_input, 3: nn.conv3d_input}
WEIGHT = {1: nn.conv1d_weight, 2: nn.conv2d_weight, 3: nn.conv3d_weight}
BIAS = {1: nn.conv1d_bias, 2: nn.conv2d_bias, 3: nn.conv3d_bias}
BACKWARD = {1: nn.conv1d_backward, 2: nn.conv2d_backward, 3: nn.conv3d_backward}

layer_cases = pytest.mark.parametrize(("x_shape", "w_shape", "how"), cases.LAYERS.values(), ids=cases.LAYERS.keys())
floats = pytest.mark.parametrize("dtype", cases.FLOATS)


def example(rng, make, dtype, x_shape, w_shape, how):
    """x, w, and a gradient of the output."""
    x, w = make(rng, x_shape, dtype), make(rng, w_shape, dtype)
    shape = CONV[w.ndim - 2](x, w, **how).shape
    return x, w, make(rng, shape, dtype)


def inner(a, b):
    return (a.astype(np.float64) * b.astype(np.float64)).sum()


@layer_cases
@pytest.mark.parametrize("dtype", ["float16", *cases.FLOATS])
def test_adjoint(isa, rng, x_shape, w_shape, how, dtype):
    """<conv(x, w), y> = <x, conv_input(y)> = <w, conv_weight(y)>: of small integers all sums are exact, but those that
    float16 cannot hold."""
    rank = len(w_shape) - 2
    x, w, grad = example(rng, integers, dtype, x_shape, w_shape, how)
    dx, dw = INPUT[rank](x.shape, w, grad, **how), WEIGHT[rank](x, w.shape, grad, **how)
    assert (dx.dtype, dx.shape, dw.dtype, dw.shape) == (dtype, x.shape, dtype, w.shape)
    y = CONV[rank](x, w, **how)
    if max(np.abs(a).max() for a in (dx, dw, y)) <= 2048 or dtype != "float16":
        assert inner(y, grad) == inner(x, dx) == inner(w, dw)


@layer_cases
@floats
@pytest.mark.parametrize("make", [integers, reals])
def test_values(isa, rng, make, x_shape, w_shape, how, dtype):
    """Small integers, exactly; reals, within the bound."""
    rank = len(w_shape) - 2
    x, w, grad = example(rng, make, dtype, x_shape, w_shape, how)
    expected = reference_gradients(rank, x, w, grad, how)
    for threads in (1, 3):
        g = BACKWARD[rank](grad, x, w, **how, threads=threads)
        if make is integers:
            for a, b in zip(g, expected, strict=True):
                np.testing.assert_array_equal(a, b)
            continue
        of_input, of_weight = layers.backward_arguments(rank, grad, x, w, layers.Options(**how))
        bound = of_input.as_asked(reference.transposed_error_bound(of_input))
        assert (np.abs(g.input - expected[0]) <= bound).all()
        assert (np.abs(g.weight - expected[1]) <= reference.weight_error_bound(of_weight)).all()
        np.testing.assert_allclose(g.bias, expected[2], rtol=1e-4, atol=1e-4)


def reference_gradients(rank, x, w, grad, how):
    of = f"conv{rank}d"
    dx = getattr(reference, f"{of}_input")(x.shape, w, grad, **how)
    dw = getattr(reference, f"{of}_weight")(x, w.shape, grad, **how)
    batch = grad if grad.ndim == rank + 2 else grad[None]
    return dx, dw, batch.sum((0, *range(2, rank + 2)), dtype=np.float64).astype(grad.dtype)


@layer_cases
def test_second_opinion(rng, x_shape, w_shape, how):
    rank = len(w_shape) - 2
    x, w, grad = example(rng, integers, "float32", x_shape, w_shape, how)
    for method in ("im2col", "numpy"):
        theirs = BACKWARD[rank](grad, x, w, **how, method=method)
        for a, b in zip(BACKWARD[rank](grad, x, w, **how), theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


@layer_cases
def test_torch(rng, x_shape, w_shape, how):
    torch = pytest.importorskip("torch")
    if isinstance(how.get("padding"), tuple) and isinstance(how["padding"][0], tuple):
        pytest.skip("PyTorch has no padding per side")
    rank = len(w_shape) - 2
    x, w, grad = example(rng, integers, "float64", x_shape, w_shape, how)
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w, np.zeros(len(w)))]
    y = getattr(torch.nn.functional, f"conv{rank}d")(*tensors, **how)
    y.backward(torch.from_numpy(grad))
    for ours, theirs in zip(BACKWARD[rank](grad, x, w, **how), tensors, strict=True):
        np.testing.assert_array_equal(ours, theirs.grad.numpy())
    if isinstance(how.get("padding", 0), str) or x.ndim != w.ndim:
        return  # which torch.nn.grad does not know
    of = f"conv{rank}d"
    x, w, grad = map(torch.from_numpy, (x, w, grad))
    dx = getattr(torch.nn.grad, f"{of}_input")(x.shape, w, grad, **how)
    np.testing.assert_array_equal(INPUT[rank](x.shape, w.numpy(), grad.numpy(), **how), dx.numpy())
    dw = getattr(torch.nn.grad, f"{of}_weight")(x, w.shape, grad, **how)
    np.testing.assert_array_equal(WEIGHT[rank](x.numpy(), w.shape, grad.numpy(), **how), dw.numpy())


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_finite_differences(rng, rank, padding_mode):
    """Of a loss that is not linear, along random directions."""
    how = {"stride": 2, "padding": ((2, 1), (3, 0), (0, 4))[:rank], "groups": 2, "padding_mode": padding_mode}
    x = reals(rng, (2, 6, 9, 8, 7)[: rank + 2], "float64")
    w, b = reals(rng, (4, 3, 3, 4, 2)[: rank + 2], "float64"), reals(rng, (4,), "float64")

    def loss(x, w, b):
        return (CONV[rank](x, w, b, **how) ** 3).sum()

    g = BACKWARD[rank](3 * CONV[rank](x, w, b, **how) ** 2, x, w, **how)
    for i, (value, grad) in enumerate(zip((x, w, b), g, strict=True)):
        step = reals(rng, value.shape, "float64") * 1e-5
        there, back = [x, w, b], [x, w, b]
        there[i], back[i] = value + step, value - step
        np.testing.assert_allclose((loss(*there) - loss(*back)) / 2, inner(grad, step), rtol=1e-5)


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 18])
def test_padding_modes(isa, rng, padding_mode, rank, groups):
    channels, kernels, of_kernel = (18, 18, 1) if groups > 1 else (3, 4, 3)
    shapes = (2, channels, 9, 8, 7)[: rank + 2], (kernels, of_kernel, 3, 4, 2)[: rank + 2]
    for stride in (1, 2, 3):
        how = {"stride": stride, "padding": ((2, 1), (3, 0), (0, 4))[:rank], "groups": groups}
        how["padding_mode"] = padding_mode
        x, w, grad = example(rng, integers, "float32", *shapes, how)
        g = BACKWARD[rank](grad, x, w, **how)
        assert inner(CONV[rank](x, w, **how), grad) == inner(x, g.input) == inner(w, g.weight)
        for a, b in zip(g, reference_gradients(rank, x, w, grad, how), strict=True):
            np.testing.assert_array_equal(a, b)


@layer_cases
def test_bits(isa, rng, x_shape, w_shape, how):
    """The same for any number of threads, any layout of the arrays and, but for sums over images, any batch."""
    rank = len(w_shape) - 2
    x, w, grad = example(rng, reals, "float32", x_shape, w_shape, how)
    g = BACKWARD[rank](grad, x, w, **how, threads=1)
    cases.assert_same_bits(INPUT[rank](x.shape, w, grad, **how), g.input)
    cases.assert_same_bits(WEIGHT[rank](x, w.shape, grad, **how), g.weight)
    cases.assert_same_bits(BIAS[rank](grad), g.bias)
    for others in (
        BACKWARD[rank](grad, x, w, **how, threads=2),
        BACKWARD[rank](grad, x, w, **how, threads=5),
        BACKWARD[rank](*map(np.asfortranarray, (grad, x, w)), **how),
        BACKWARD[rank](*(a[..., ::-1].copy()[..., ::-1] for a in (grad, x, w)), **how),
        BACKWARD[rank](*map(misaligned, (grad, x, w)), **how),
    ):
        for a, b in zip(others, g, strict=True):
            cases.assert_same_bits(a, b)
    if x.ndim == w.ndim:
        several = np.concatenate([x] * 3).shape
        cases.assert_same_bits(INPUT[rank](several, w, np.concatenate([grad] * 3), **how)[: len(x)], g.input)
        alone = BACKWARD[rank](grad[-1], x[-1], w, **how)
        cases.assert_same_bits(alone.input, g.input[-1])


def misaligned(a):
    odd = np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    assert not odd.flags.aligned
    return odd


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float16", *cases.FLOATS])
def test_channels_last(isa, rng, rank, dtype):
    shapes, how = ((2, 6, 8, 9, 7)[: rank + 2], (4, 3, 3, 2, 3)[: rank + 2]), {"groups": 2, "stride": 2, "padding": 1}
    x, w, grad = example(rng, integers, dtype, *shapes, how)
    g = BACKWARD[rank](grad, x, w, **how)
    x, grad = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, grad))
    how["layout"] = layers.LAYOUTS[rank][1]
    last = BACKWARD[rank](grad, x, w, **how)
    np.testing.assert_array_equal(np.moveaxis(last.input, -1, 1), g.input)
    np.testing.assert_array_equal(last.weight, g.weight)
    np.testing.assert_array_equal(last.bias, g.bias)
    np.testing.assert_array_equal(INPUT[rank](x.shape, w, grad, **how), last.input)
    np.testing.assert_array_equal(INPUT[rank](x[0].shape, w, grad[0], **how), last.input[0])


def test_steps_and_dilation(isa, rng):
    """Of all combinations, also those in which phases of the stride meet no tap."""
    for stride in range(1, 5):
        for dilation in range(1, 5):
            for padding in (0, (3, (1, 5))):
                how = {"stride": (stride, 5 - stride), "dilation": (dilation, stride), "padding": padding}
                x, w, grad = example(rng, integers, "float32", (1, 5, 17, 16), (3, 5, 3, 2), how)
                g = nn.conv2d_backward(grad, x, w, **how)
                for a, b in zip(g, reference_gradients(2, x, w, grad, how), strict=True):
                    np.testing.assert_array_equal(a, b, str(how))


def test_needs(rng):
    x, w, grad = example(rng, reals, "float32", (1, 2, 6, 6), (3, 2, 3, 3), {})
    for needs in np.ndindex(2, 2, 2):
        g = nn.conv2d_backward(grad, x, w, needs=needs)
        assert tuple(a is not None for a in g) == needs


def test_out(rng):
    x, w, grad = example(rng, integers, "float32", (2, 3, 8, 8), (3, 3, 3, 3), {"padding": 1})
    dx, dw = nn.conv2d_input(x.shape, w, grad, padding=1), nn.conv2d_weight(x, w.shape, grad, padding=1)
    for out in (np.empty_like(x), np.empty((2, 3, 8, 16), "f4")[..., ::2], grad.copy()):
        given = out.copy() if np.array_equal(out, grad) else grad
        assert nn.conv2d_input(x.shape, w, given, padding=1, out=out) is out
        np.testing.assert_array_equal(out, dx)
    own = grad.copy()
    nn.conv2d_input(x.shape, w, own, padding=1, out=own)  # read while it is written
    np.testing.assert_array_equal(own, dx)
    for out in (np.empty_like(w), np.empty((3, 3, 3, 6), "f4")[..., ::2]):
        assert nn.conv2d_weight(x, w.shape, grad, padding=1, out=out) is out
        np.testing.assert_array_equal(out, dw)


def test_nothing_to_do():
    """No images and no channels."""
    ones = np.ones
    g = nn.conv2d_backward(ones((0, 4, 3, 3)), ones((0, 3, 5, 5)), ones((4, 3, 3, 3)))
    assert g.input.shape == (0, 3, 5, 5) and (g.weight == 0).all() and (g.bias == 0).all()
    g = nn.conv2d_backward(ones((1, 0, 3, 3)), ones((1, 0, 5, 5)), ones((4, 0, 3, 3)))
    assert g.input.shape == (1, 0, 5, 5) and g.weight.shape == (4, 0, 3, 3)


@pytest.mark.parametrize("padding_mode", ["replicate", "reflect", "circular", "zeros"])
def test_gradients_of_padding_are_added_in_float32(rng, padding_mode):
    w, dy = (rng.standard_normal(shape).astype(np.float16) for shape in ((5, 4, 3, 3), (2, 5, 9, 9)))
    how = {"padding": 2, "padding_mode": padding_mode}
    dx = nn.conv2d_input((2, 4, 7, 7), w, dy, **how)
    wide = nn.conv2d_input((2, 4, 7, 7), w.astype(np.float32), dy.astype(np.float32), **how)
    cases.assert_same_bits(dx, wide.astype(np.float16))


def test_sums_of_a_bias(rng):
    """2^24 ones and more: what a single float32 sum would lose; float16 is summed in float32."""
    assert nn.conv1d_bias(np.broadcast_to(np.float32(1), (2, 1, 2**24))).tolist() == [2**25]
    assert nn.conv1d_bias(np.array([[[2**24]], [[1]], [[1]]], np.float32)).tolist() == [2**24 + 2]
    bias = nn.conv1d_bias(np.ones((3, 2, 5000), np.float16))
    assert bias.dtype == np.float16 and bias.tolist() == [15000, 15000]


@pytest.mark.parametrize("odd", [np.inf, np.nan])
@pytest.mark.parametrize(
    ("size", "kernel"), [((9, 11), (3, 3)), pytest.param((25, 24), (23, 20), marks=pytest.mark.deep)]
)
@pytest.mark.parametrize("groups", [1, 19])
def test_what_is_not_finite(isa, rng, odd, groups, size, kernel):
    """It spreads as far as it does in the reference; an odd weight may spread in its channel."""
    shapes = (2, 19, *size), (19, 19 // groups, *kernel)
    for stride in (1, 2, 3):
        how = {"stride": stride, "padding": 1, "groups": groups}
        x, w, grad = example(rng, integers, "float32", *shapes, how)
        for a in x, grad, w:
            before, a[0, 0, 1, 2] = a[0, 0, 1, 2], odd
            with np.errstate(invalid="ignore"), fastconv.checked():
                g = nn.conv2d_backward(grad, x, w, **how)
                expected = reference_gradients(2, x, w, grad, how)
            if a is w:
                np.testing.assert_array_equal(g.input[:, 1:], expected[0][:, 1:])
            else:
                np.testing.assert_array_equal(g.input, expected[0])
            np.testing.assert_array_equal(g.weight, expected[1])
            a[0, 0, 1, 2] = before


@pytest.mark.parametrize("size", [7, 4])
def test_products_too_small_have_no_sign_in_any_batch(isa, rng, size):
    """Taps beyond an edge may be left out, or add zeros to a sum that underflowed."""
    grad = np.copysign(np.float32(1e-30), reals(rng, (8, 20, size, size), "float32"))
    w = np.copysign(np.float32(1e-30), reals(rng, (20, 9, 3, 3), "float32"))
    dx = nn.conv2d_input((8, 9, size, size), w, grad, padding=1)
    y = nn.conv2d(grad, w.transpose(1, 0, 2, 3).copy(), padding=1)
    for a in dx, y:
        assert not a.any() and not np.signbit(a).any()
    w[3, 2, 0, 1] = np.inf
    dx = nn.conv2d_input((8, 9, size, size), w, grad, padding=1)
    cases.assert_same_bits(nn.conv2d_input((1, 9, size, size), w, grad[5:6], padding=1)[0], dx[5])
    assert np.isnan(dx[:, 2, -1]).all() and np.isfinite(dx[:, :2]).all()


def test_checked(monkeypatch, rng):
    x, w, grad = example(rng, reals, "float32", (2, 3, 6, 6), (2, 3, 3, 3), {})
    with fastconv.checked():
        nn.conv2d_backward(grad, x, w)
        monkeypatch.setattr(transposed, "_direct", lambda c, *_: Answer(transposed._col2im(c) + np.float32(1e-3)))
        monkeypatch.setattr(gradients, "_direct", lambda c, *_: Answer(gradients._im2col(c) + np.float32(1e-3)))
        with pytest.raises(fastconv.CheckError, match=r"nn\.conv2d_input"):
            nn.conv2d_input(x.shape, w, grad)
        with pytest.raises(fastconv.CheckError, match=r"nn\.conv2d_weight"):
            nn.conv2d_weight(x, w.shape, grad)


def test_memory_runs_short(rng):
    from fastconv import _core

    for shapes in ((1, 8, 30, 30), (8, 8, 3, 3)), ((3, 2, 30, 30), (2, 2, 29, 28)):
        x, w, grad = example(rng, reals, "float32", *shapes, {})
        dx, dw = np.full(x.shape, 7, np.float32), np.full(w.shape, 7, np.float32)
        for call, result in (
            (lambda: nn.conv2d_input(x.shape, w, grad, out=dx, threads=2), dx),
            (lambda: nn.conv2d_weight(x, w.shape, grad, out=dw, threads=2), dw),
        ):
            for allocations in range(1000):
                _core.alloc_fail_after(allocations)
                try:
                    call()
                    break
                except MemoryError:
                    assert (result == 7).all()
                finally:
                    _core.alloc_fail_after(-1)
            assert allocations > 0


X, W, Y = np.zeros((1, 4, 5, 6)), np.zeros((6, 4, 3, 3)), np.zeros((1, 6, 3, 4))
# of both gradients: arguments that replace the right ones, and what is said
ERRORS = {
    "output of another size": (
        dict(grad_output=Y[..., 1:]),
        ValueError,
        r"grad_output.*\(1, 6, 3, 4\).*\(1, 6, 3, 3\)",
    ),
    "output of other kernels": (dict(grad_output=Y[:, 1:]), ValueError, r"grad_output.*\(1, 6, 3, 4\).*\(1, 5, 3, 4\)"),
    "output of no batch": (dict(grad_output=Y[0]), ValueError, r"grad_output.*\(1, 6, 3, 4\).*\(6, 3, 4\)"),
    "output of another stride": (dict(stride=2), ValueError, r"grad_output.*\(1, 6, 2, 2\).*\(1, 6, 3, 4\)"),
    "output of another padding": (dict(padding=1), ValueError, r"grad_output.*\(1, 6, 5, 6\).*\(1, 6, 3, 4\)"),
    "channels": (dict(input=X[:, 1:]), ValueError, r"input.*3 channels.*weight.*4"),
    "groups do not divide": (dict(groups=4), ValueError, r"weight.*groups=4.*\(6, 4, 3, 3\)"),
    "groups of none": (dict(groups=0), ValueError, "groups"),
    "groups a float": (dict(groups=1.0), TypeError, "groups"),
    "input of two dimensions": (dict(input=X[0, 0]), ValueError, r"input.*\(5, 6\)"),
    "weight of three dimensions": (dict(weight=W[0]), ValueError, r"weight.*\(4, 3, 3\)"),
    "no taps": (dict(weight=np.zeros((6, 4, 0, 3))), ValueError, r"weight.*\(0, 3\)"),
    "kernel too large": (dict(weight=np.zeros((6, 4, 7, 3))), ValueError, r"weight.*\(7, 3\).*\(5, 6\).*input"),
    "stride of none": (dict(stride=0), ValueError, "stride"),
    "stride a float": (dict(stride=1.5), TypeError, "stride"),
    "padding negative": (dict(padding=-1), ValueError, "padding"),
    "padding unknown": (dict(padding="full"), ValueError, "padding.*full"),
    "padding_mode": (dict(padding_mode="mirror"), ValueError, "padding_mode.*mirror"),
    "layout": (dict(layout="CHWN"), ValueError, "layout.*CHWN"),
    "integers": (dict(grad_output=Y.astype(int)), TypeError, "grad_output.*int64.*dtype"),
    "complex": (dict(grad_output=Y.astype(complex)), TypeError, "grad_output.*complex"),
    "dtypes differ": (dict(grad_output=Y.astype("f4")), TypeError, "float64.*grad_output float32"),
    "dtype": (dict(dtype="int32"), TypeError, "dtype.*int32"),
    "masked": (dict(grad_output=np.ma.masked_array(Y)), TypeError, "grad_output.*masked"),
    "out of another dtype": (dict(out=np.zeros(X.shape, "f4")), TypeError, "out.*float32"),
    "out of another shape": (dict(out=np.zeros((1, 6, 3, 4))), ValueError, r"out.*\(1, 6, 3, 4\)"),
    "method": (dict(method="winograd"), ValueError, "method.*winograd"),
    "threads": (dict(threads=0), ValueError, "threads"),
}


@pytest.mark.parametrize(("changed", "error", "says"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(changed, error, says):
    how = {"input": X, "weight": W, "grad_output": Y} | changed
    x, w = how.pop("input"), how.pop("weight")
    calls = [
        lambda of: of.conv2d_input(input_size=x.shape, weight=w, **how),
        lambda of: of.conv2d_weight(input=x, weight_size=w.shape, **how),
    ]
    for call in calls:
        with pytest.raises(error, match=says):
            call(nn)
        if not {"method", "threads"} & set(changed):
            with pytest.raises(error, match=says):
                call(reference)
    if "out" not in changed:
        with pytest.raises(error, match=says):
            nn.conv2d_backward(input=x, weight=w, **how)


@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (5, TypeError, "shape.*5"),
        ((1, 4, 5.0, 6), TypeError, "shape"),
        ((1, 4, -5, 6), ValueError, "negative"),
        ((2**62, 4, 5, 6), ValueError, "large"),
        ((1, 4, 5, 2**62), ValueError, "large"),
    ],
)
def test_sizes(size, error, says):
    for of in nn, reference:
        with pytest.raises(error, match=f"input_size.*{says}|{says}.*input_size"):
            of.conv2d_input(size, W, Y)
    with pytest.raises(error, match="weight_size"):
        nn.conv2d_weight(X, (6, 4, -3, 3) if error is ValueError else 3, Y)


def test_other_errors():
    with pytest.raises(ValueError, match=r"grad_output.*\(5,\)"):
        nn.conv2d_bias(np.zeros(5))
    with pytest.raises(TypeError, match=r"grad_output.*int64"):
        nn.conv2d_bias(Y.astype(int))
    for needs in (True, (True, True)):
        with pytest.raises(ValueError, match="needs"):
            nn.conv2d_backward(Y, X, W, needs=needs)
