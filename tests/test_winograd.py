# SPDX-License-Identifier: BSD-3-Clause
"""Winograd's convolution: its matrices, what it computes on every instruction set, and how accurate that is."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any, ClassVar

import cases
import numpy as np
import pytest
from cases import integers, reals

import fastconv
from fastconv import nn
from fastconv.arguments.boundaries import PADDING_MODES
from fastconv.arguments.layer_geometry import Options
from fastconv.arguments.layers import layer_arguments, weight_gradient_arguments
from fastconv.reference import winograd

CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
INPUT = {1: nn.conv1d_input, 2: nn.conv2d_input, 3: nn.conv3d_input}
WEIGHT = {1: nn.conv1d_weight, 2: nn.conv2d_weight, 3: nn.conv3d_weight}
# Narrow and odd, wider than a block, of many images that share one; channels beyond a part, and those in registers; a
# few tiles more than fill vectors, of kernels that do
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5), (4, 3, 3), {}),
    ((1, 34, 700), (3, 34, 3), {"padding": 1}),
    ((1, 2, 2, 3), (2, 2, 3, 3), {"padding": 1}),
    ((9, 4, 7, 7), (5, 4, 3, 3), {"padding": 1}),
    ((2, 33, 13, 18), (9, 33, 3, 3), {}),
    ((1, 6, 3, 900), (9, 2, 3, 3), {"groups": 3, "padding": ((2, 0), (0, 3))}),
    ((1, 2, 130, 61), (3, 2, 3, 3), {"padding": 1}),
    ((1, 150, 6, 5), (2, 150, 3, 3), {"padding": 2}),
    ((1, 135, 12, 7), (53, 135, 3, 3), {"padding": 1}),
    ((1, 3, 4, 30), (4, 3, 1, 3), {"padding": (0, 1)}),
    ((2, 3, 5, 6, 9), (4, 3, 3, 3, 3), {"padding": 1}),
    ((1, 70, 3, 4, 5), (2, 70, 2, 3, 3), {"padding": (0, 1, 1)}),
]
# Kernels that are the sum of parts: of even and odd taps, of one row or column, in groups, narrow, deep, beyond a part
LONGER = [
    ((2, 19, 14, 37), (5, 19, 5, 5), {"padding": 2}),
    ((1, 3, 30, 33), (9, 3, 7, 4), {"padding": (3, 0)}),
    ((1, 33, 9, 40), (4, 33, 1, 5), {"padding": (0, 2)}),
    ((2, 33, 40, 9), (6, 33, 5, 1), {"padding": (2, 0)}),
    ((1, 6, 50, 3), (9, 2, 3, 1), {"groups": 3, "padding": ((2, 1), (0, 0))}),
    ((3, 5, 8, 8), (4, 5, 2, 2), {"padding": 1}),
    ((1, 130, 7, 9), (3, 130, 6, 3), {"padding": 3}),
    ((1, 4, 70), (3, 4, 9), {}),
    ((1, 3, 4, 9, 12), (2, 3, 2, 5, 2), {"padding": (1, 2, 1)}),
]
# Dilated: phases of one output and more, some of which see nothing; of rows, of depth; more of them than a block holds
DILATED = [
    ((2, 19, 14, 37), (5, 19, 3, 3), {"padding": 2, "dilation": 2}),
    ((1, 17, 9, 40), (5, 17, 3, 3), {"padding": (4, 12), "dilation": (4, 12)}),
    ((3, 6, 21, 20), (9, 2, 5, 2), {"padding": ((3, 0), (0, 5)), "dilation": (1, 5), "groups": 3}),
    ((1, 3, 2, 3), (4, 3, 3, 3), {"padding": 5, "dilation": 4}),
    ((2, 5, 9, 1), (4, 5, 3, 3), {"padding": (1, 18), "dilation": (1, 7)}),
    ((1, 4, 90), (3, 4, 4), {"dilation": 6}),
    ((1, 3, 6, 9, 12), (2, 3, 2, 3, 3), {"padding": (2, 3, 1), "dilation": (3, 3, 1)}),
]


@pytest.mark.parametrize("pairs", [1, 2])
def test_matrices(pairs):
    """Along an axis they give the correlation, in exact numbers: all matrices hold fractions whose parts are small."""
    A, G, B = (np.vectorize(lambda v: Fraction(v).limit_denominator(10**6))(m) for m in winograd.matrices(pairs))
    x, w = (np.array([Fraction(int(v)) for v in np.arange(n) ** 2 - 3]) for n in (len(B), 3))
    expected = [sum(x[i + t] * w[t] for t in range(3)) for i in range(2 * pairs)]
    assert (A @ ((G @ w) * (B @ x))).tolist() == expected


def layer_of(rng, make, shape, kernel):
    return make(rng, shape, "float32"), make(rng, kernel, "float32"), make(rng, kernel[0], "float32")


@pytest.mark.parametrize("layer", SHAPES, ids=[str(s[:2]) for s in SHAPES])
def test_values(isa, rng, layer):
    """Sums of small integers are exact by F(2,3); others are within the bound; gradients likewise."""
    shape, kernel, how = layer
    rank = len(shape) - 2
    x, w, bias = layer_of(rng, integers, shape, kernel)
    clamp = {"activation": (-60, 200)} if rng.random() < 0.5 else {}
    y = CONV[rank](x, w, bias, method="winograd", **how, **clamp)
    np.testing.assert_array_equal(y, CONV[rank](x, w, bias, method="numpy", **how, **clamp))
    grad = integers(rng, y.shape, "float32")
    back = INPUT[rank](shape, w, grad, method="winograd", **how)
    np.testing.assert_array_equal(back, INPUT[rank](shape, w, grad, method="numpy", **how))
    of_w = WEIGHT[rank](x, kernel, grad, method="winograd", **how)
    np.testing.assert_array_equal(of_w, WEIGHT[rank](x, kernel, grad, method="numpy", **how))
    with fastconv.checked():
        for accuracy in "default", "fast":
            asked = {"method": "winograd", "accuracy": accuracy, **how}
            x, w, bias = layer_of(rng, reals, shape, kernel)
            CONV[rank](x, w, bias, **asked)
            INPUT[rank](shape, w, reals(rng, y.shape, "float32"), **asked)
            WEIGHT[rank](x, kernel, reals(rng, y.shape, "float32"), **asked)


@pytest.mark.parametrize("layer", LONGER + DILATED, ids=[str(s[:2]) for s in LONGER + DILATED])
def test_parts_of_kernels_and_phases(isa, rng, layer):
    """The same for kernels of other taps, and dilated ones; bits depend on neither batch nor threads."""
    shape, kernel, how = layer
    rank = len(shape) - 2
    x, w, bias = layer_of(rng, integers, shape, kernel)
    y = CONV[rank](x, w, bias, method="winograd", **how)
    np.testing.assert_array_equal(y, CONV[rank](x, w, bias, method="numpy", **how))
    grad = integers(rng, y.shape, "float32")
    back = INPUT[rank](shape, w, grad, method="winograd", **how)
    np.testing.assert_array_equal(back, INPUT[rank](shape, w, grad, method="numpy", **how))
    x, w, bias = layer_of(rng, reals, shape, kernel)
    for accuracy in "default", "fast":
        asked = {"method": "winograd", "accuracy": accuracy, **how}
        with fastconv.checked():
            y = CONV[rank](x, w, bias, **asked)
            INPUT[rank](shape, w, reals(rng, y.shape, "float32"), **asked)
        cases.assert_same_bits(CONV[rank](x[-1], w, bias, threads=3, **asked), y[-1])
    x[0].flat[x[0].size // 2] = np.nan
    y = CONV[rank](x, w, bias, **asked)
    cases.assert_same_bits(y[0], CONV[rank](x[0], w, bias, method="direct", **how))


def test_parts_have_the_same_bits(rng):
    """On every instruction set that has FMA, and in layers that have learnt them."""
    for taps, padding in ((5, 5), (2, 2)), ((1, 7), (0, 3)), ((4, 1), (2, 0)):
        x, w, bias = layer_of(rng, reals, (2, 40, 30, 31), (50, 40, *taps))
        for accuracy in "default", "fast":
            how = {"padding": padding, "accuracy": accuracy}
            y = nn.conv2d(x, w, bias, method="winograd", **how)
            layer = nn.Conv2d.from_weights(w, bias, **how)
            assert layer.explain(x.shape).tile == (4 if accuracy == "fast" else 2)
            cases.assert_same_bits(layer(x), y)
            for other in fastconv.isas():
                if other != "base":
                    with fastconv.use_isa(other):
                        cases.assert_same_bits(nn.conv2d(x, w, bias, method="winograd", **how), y)


def test_phases_lie_anywhere(rng):
    """x of any strides, an image that is added, an activation: elements of a phase are stored one by one."""
    base = integers(rng, (2, 30, 31, 12), "float32")
    w, bias = integers(rng, (8, 12, 3, 3), "float32"), integers(rng, 8, "float32")
    for x in base.transpose(0, 3, 1, 2), base.transpose(0, 3, 1, 2)[:, :, ::-1, ::2], base[0].T.astype(">f4"):
        for dilation in 2, 3, (1, 4), (3, 1):
            how = {"padding": 2, "dilation": dilation, "method": "winograd"}
            y = nn.conv2d(x, w, bias, **how)
            np.testing.assert_array_equal(y, nn.conv2d(x, w, bias, **how | {"method": "numpy"}))
            branch = integers(rng, y.shape, "float32").astype(y.dtype)
            added = nn.conv2d(x, w, bias, add=branch, activation="relu", **how)
            np.testing.assert_array_equal(added, np.maximum(y + branch, 0))


@pytest.mark.parametrize("taps", [(3, 3), (5, 5), (4, 2)])
def test_float16(isa, rng, taps):
    """Tiles of 4x4 outputs, whose errors are lost among those of rounding to float16."""
    x, w, bias = (reals(rng, shape, "float16") for shape in ((2, 40, 19, 30), (30, 40, *taps), 30))
    w /= np.float16(20)
    exact = nn.conv2d(x.astype("f8"), w.astype("f8"), bias.astype("f8"), padding=1)
    y, direct = (nn.conv2d(x, w, bias, padding=1, method=method) for method in ("winograd", "direct"))

    def errors(of):
        return np.array([np.sqrt(np.mean((of - exact) ** 2)), np.abs(of - exact).max()])

    assert (errors(y) <= errors(direct) * 1.01).all() and y.dtype == np.float16
    cases.assert_same_bits(nn.conv2d(x[1], w, bias, padding=1, method="winograd", threads=3), y[1])
    layer = nn.Conv2d.from_weights(w, bias, padding=1)
    assert layer.explain(x.shape).tile == 4
    cases.assert_same_bits(layer(x), y)
    with fastconv.checked():
        nn.conv2d(x, w, bias, padding=1, method="winograd", activation="relu")
        nn.conv2d_input(x.shape, w, y, padding=1, method="winograd")
    x[0, 3, 5, 5] = np.nan
    y, direct = (nn.conv2d(x, w, bias, padding=1, method=method) for method in ("winograd", "direct"))
    cases.assert_same_bits(y[0], direct[0])


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_boundaries_and_strides(isa, rng, mode):
    """x may lie in any way, and goes on as it is told."""
    base = integers(rng, (2, 17, 23, 6), "float32")
    w = integers(rng, (4, 5, 3, 3), "float32")
    for x in (
        base.transpose(0, 3, 1, 2)[:, 1:],
        base.transpose(0, 3, 1, 2)[:, :5, ::-1, ::2],
        base[0].T[:5].astype(">f4"),
    ):
        asked = {"padding": ((2, 1), (0, 3)), "padding_mode": mode}
        y = nn.conv2d(x, w, method="winograd", **asked)
        np.testing.assert_array_equal(y, nn.conv2d(x, w, method="numpy", **asked))
        grad = integers(rng, y.shape[::-1], "float32").T[..., ::-1].astype(x.dtype)
        for kernel, rows in (w.shape, (2, 1)), ((4, 5, 1, 3), (1, 0)):
            how = asked | {"padding": (rows, (0, 3))}
            of_w = nn.conv2d_weight(x, kernel, grad, method="winograd", **how)
            np.testing.assert_array_equal(of_w, nn.conv2d_weight(x, kernel, grad, method="numpy", **how))


def test_a_bound_that_is_met(rng):
    """Not one that nothing could miss."""
    x, w, _ = layer_of(rng, reals, (1, 40, 12, 12), (4, 40, 3, 3))
    how = {"padding": 1, "method": "winograd", "accuracy": "fast"}
    c = layer_arguments(2, x, w, None, Options(padding=1))
    y, exact = nn.conv2d(x, w, **how), nn.conv2d(x.astype("f8"), w.astype("f8"), padding=1)
    error, bound = np.abs(y - exact), winograd.layer_error_bound(c, 2)
    assert (error < bound).all() and error.max() > bound.max() / 10000


DATA = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "positive": lambda rng, shape: np.abs(rng.standard_normal(shape)),
    "half zeros": lambda rng, shape: np.maximum(rng.standard_normal(shape), 0),
    "large range": lambda rng, shape: rng.standard_normal(shape) * np.exp(2 * rng.standard_normal(shape)),
    "channels apart": lambda rng, shape: rng.standard_normal(shape) * np.exp(2 * rng.standard_normal((shape[1], 1, 1))),
}


@pytest.mark.parametrize(("channels", "taps"), [(64, (3, 3)), (300, (3, 3)), (64, (5, 5)), (300, (1, 5)), (64, (7, 1))])
@pytest.mark.parametrize("data", DATA)
def test_accuracy(data, channels, taps):
    """What `accuracy` promises, beside the direct method: root mean squares within 1.6, the largest error within 2."""
    rng = np.random.default_rng(5)
    x = DATA[data](rng, (1, channels, 24, 24)).astype("f4")
    w = (rng.standard_normal((24, channels, *taps)) / np.sqrt(np.prod(taps) * channels)).astype("f4")
    w = np.abs(w) if data == "positive" else w
    padding = tuple(t // 2 for t in taps)
    exact = nn.conv2d(x.astype("f8"), w.astype("f8"), padding=padding)

    def errors(**how):
        error = nn.conv2d(x, w, padding=padding, **how) - exact
        return np.array([np.sqrt(np.mean(error**2)), np.abs(error).max()])

    direct = errors(method="direct")
    assert (errors(method="winograd") <= direct * [1.6, 2]).all()
    assert (errors(method="winograd", accuracy="fast") <= direct * [7, 8]).all()
    assert (errors(accuracy="exact") == direct).all()


@pytest.mark.parametrize("shape", [(2, 16, 28, 28), (8, 24, 14, 14), (1, 40, 12, 12), (1, 16, 90, 90)], ids=str)
@pytest.mark.parametrize("data", list(DATA)[:4])
def test_accuracy_of_weight_gradients(data, shape):
    """The same, where outputs and images are many; gradients are normal, or positive."""
    rng = np.random.default_rng(7)
    x, grad = (DATA[of](rng, shape).astype("f4") for of in (data, "positive" if data == "positive" else "normal"))
    kernel = shape[1], shape[1], 3, 3
    exact = nn.conv2d_weight(x.astype("f8"), kernel, grad.astype("f8"), padding=1)

    def errors(**how):
        error = nn.conv2d_weight(x, kernel, grad, padding=1, **how) - exact
        return np.array([np.sqrt(np.mean(error**2)), np.abs(error).max()])

    direct = errors(accuracy="exact")
    assert (errors(method="winograd") <= direct * [1.6, 2]).all()
    assert (errors(method="winograd", accuracy="fast") <= direct * [7, 13]).all()


def test_few_outputs_have_direct_weight_gradients(rng):
    """Their sums are short, and errors smaller than tiles can keep them, unless more of them are allowed."""
    x, grad = (reals(rng, (8, 64, 7, 7), "float32") for _ in range(2))
    direct = nn.conv2d_weight(x, (64, 64, 3, 3), grad, padding=1, method="direct")
    cases.assert_same_bits(nn.conv2d_weight(x, (64, 64, 3, 3), grad, padding=1), direct)
    assert not np.array_equal(nn.conv2d_weight(x, (64, 64, 3, 3), grad, padding=1, accuracy="fast"), direct)


def test_weight_gradients(rng):
    """Their bits depend on neither threads, layout nor instruction set; accuracy= is obeyed; their bound is met."""
    x, w, _ = layer_of(rng, reals, (3, 70, 21, 19), (40, 70, 3, 3))
    grad = reals(rng, (3, 40, 21, 19), "float32")
    exact = nn.conv2d_weight(x.astype("f8"), w.shape, grad.astype("f8"), padding=1)
    c = weight_gradient_arguments(2, x, w.shape, grad, Options(padding=1))
    direct = nn.conv2d_weight(x, w.shape, grad, padding=1, method="direct")
    cases.assert_same_bits(nn.conv2d_weight(x, w.shape, grad, padding=1, accuracy="exact"), direct)
    for pairs, accuracy in (1, "default"), (2, "fast"):
        how = {"padding": 1, "accuracy": accuracy}
        y = nn.conv2d_weight(x, w.shape, grad, method="winograd", threads=1, **how)
        assert not np.array_equal(y, direct)
        error, bound = np.abs(y - exact), winograd.weight_error_bound(c, pairs)
        assert (error < bound).all() and error.max() > bound.max() / 1e5
        cases.assert_same_bits(nn.conv2d_weight(x, w.shape, grad, threads=5, **how), y)
        cases.assert_same_bits(nn.conv2d_weight(np.asfortranarray(x), w.shape, grad[::1], **how), y)
        last = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, grad)]
        cases.assert_same_bits(nn.conv2d_weight(last[0], w.shape, last[1], layout="NHWC", **how), y)
        cases.assert_same_bits(nn.conv2d_backward(grad, x, w, **how).weight, y)
        for other in fastconv.isas():
            if other != "base":
                with fastconv.use_isa(other):
                    cases.assert_same_bits(nn.conv2d_weight(x, w.shape, grad, threads=3, **how), y)


def test_weight_gradients_of_what_is_not_finite(isa, rng):
    """They are those of direct sums: a corner of x meets four taps. Values may overflow where no sum does."""
    x, grad = integers(rng, (2, 8, 12, 11), "float32"), integers(rng, (2, 8, 12, 11), "float32")
    grad[grad == 0] = 1
    x[0, 2, 0, 10], grad[1, 5, 11, 0] = np.inf, np.nan
    how = {"padding": 1, "method": "winograd"}
    y = nn.conv2d_weight(x, (8, 8, 3, 3), grad, **how)
    cases.assert_same_bits(y, nn.conv2d_weight(x, (8, 8, 3, 3), grad, padding=1, method="direct"))
    assert np.isfinite(y).sum() == 7 * 7 * 9 + 7 * 5
    for scale in 2.0**100, 2.0**-100, 2.0**117:
        x, grad = integers(rng, (2, 8, 12, 11), "float32"), integers(rng, (2, 8, 12, 11), "float32")
        exact = nn.conv2d_weight(x, (8, 8, 3, 3), grad, padding=1, method="numpy")
        y = nn.conv2d_weight(x * np.float32(scale), (8, 8, 3, 3), grad, **how)
        np.testing.assert_array_equal(y.astype("f8") / scale, exact)


def test_same_bits(rng):
    """For any number of threads, batch, layout and instruction set that has FMA; "direct" is what it was."""
    x, w, bias = layer_of(rng, reals, (7, 40, 29, 31), (20, 40, 3, 3))
    for accuracy in "default", "fast":
        how = {"padding": 1, "accuracy": accuracy, "method": "winograd"}
        y = nn.conv2d(x, w, bias, **how, threads=1)
        cases.assert_same_bits(nn.conv2d(x, w, bias, **how, threads=5), y)
        cases.assert_same_bits(nn.conv2d(np.asfortranarray(x), w, bias, **how), y)
        last = nn.conv2d(np.moveaxis(x, 1, -1), w, bias, **how, layout="NHWC")
        cases.assert_same_bits(np.moveaxis(last, -1, 1), y)
        for image in range(7):
            cases.assert_same_bits(nn.conv2d(x[image], w, bias, **how), y[image])
        for other in fastconv.isas():
            if other != "base":
                with fastconv.use_isa(other):
                    cases.assert_same_bits(nn.conv2d(x, w, bias, **how), y)


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_windows(isa, rng, odd):
    """And the images beside it have the bits that they have alone."""
    x, w, bias = layer_of(rng, integers, (3, 20, 22, 19), (6, 20, 3, 3))
    w[w == 0] = 1
    clean = nn.conv2d(x, w, bias, padding=1, method="winograd")
    x[1, 3, 9, 4] = odd
    for accuracy in "default", "fast":
        how = {"padding": 1, "method": "winograd", "accuracy": accuracy}
        y = nn.conv2d(x, w, bias, **how)
        assert np.isfinite(y[[0, 2]]).all() and (~np.isfinite(y[1])).sum() == 6 * 9
        assert not np.isfinite(y[1, :, 8:11, 3:6]).any()
        cases.assert_same_bits(y[0], nn.conv2d(x[0], w, bias, **how))
        cases.assert_same_bits(y[1], nn.conv2d(x[1], w, bias, padding=1, method="direct"))
        relu = nn.conv2d(x, w, bias, **how, activation="relu6")
        assert (np.isfinite(relu[1]) | ~np.isfinite(y[1])).all()
    cases.assert_same_bits(nn.conv2d(x[[0]], w, bias, padding=1, method="winograd"), clean[[0]])
    w[2, 3, 1, 1] = odd
    y = nn.conv2d(x[[0]], w, bias, padding=1)
    assert not np.isfinite(y[0, 2]).any() and np.isfinite(np.delete(y[0], 2, 0)).all()


@pytest.mark.parametrize(
    ("call", "shape", "kernel", "how"),
    [
        (nn.conv2d, (1, 30, 30, 64), (8, 64, 3, 3), {"padding": 1, "layout": "NHWC"}),
        (nn.conv3d, (1, 6, 12, 12, 1), (4, 6, 3, 3, 1), {}),
        (nn.conv3d, (1, 6, 12, 1, 1), (4, 6, 3, 1, 1), {}),
        (nn.conv_transpose3d, (1, 6, 12, 12, 1), (6, 4, 3, 3, 1), {}),
    ],
)
def test_one_element_among_zeros(call, shape, kernel, how):
    """What it leaks into outputs of its tiles is within the bound, in any layout, and where axes have one element."""
    x, w = np.zeros(shape, "f4"), np.random.default_rng(3).standard_normal(kernel).astype("f4")
    x.reshape(-1)[x.size // 3] = 1e6
    with fastconv.checked():
        for accuracy in "default", "fast":
            call(x, w, method="winograd", accuracy=accuracy, **how)


def test_gradients_of_padding_in_float16():
    """They are summed in float32, by what is asked for."""
    rng = np.random.default_rng(4)
    w, grad = (rng.standard_normal(shape).astype("f2") for shape in ((4, 5, 3, 3), (1, 4, 9, 9)))
    with fastconv.checked():
        nn.conv2d_input((1, 5, 9, 9), w, grad, padding=1, padding_mode="reflect", method="winograd", accuracy="fast")


def test_huge_and_tiny_numbers(isa, rng):
    """Where a tile's values overflow, or are subnormal, and sums are not."""
    x, w, _ = layer_of(rng, integers, (1, 8, 10, 10), (4, 8, 3, 3))
    exact = nn.conv2d(x, w, padding=1, method="numpy")
    for scale in 2.0**100, 2.0**-100, 2.0**114, 2.0**-146:
        for accuracy in "default", "fast":
            y = nn.conv2d(x * np.float32(scale), w, padding=1, method="winograd", accuracy=accuracy)
            assert np.isfinite(y).all()
            error = np.abs(y.astype("f8") / scale - exact).max()
            assert error <= (1e-3 if scale > 2.0**-140 else 400 if accuracy == "fast" else 20)


class TestLearnt:
    """Layers make values of their weights once."""

    how: ClassVar[dict[str, Any]] = {"padding": 1, "accuracy": "fast"}

    def layer(self, rng):
        w, bias = reals(rng, (16, 24, 3, 3), "float32"), reals(rng, 16, "float32")
        return nn.Conv2d.from_weights(w, bias, **self.how), reals(rng, (2, 24, 30, 30), "float32")

    def expected(self, layer, x):
        return nn.conv2d(x, layer.weight, layer.bias, method="winograd", **self.how)

    def test_the_same_results(self, isa, rng):
        layer, x = self.layer(rng)
        for image in x, x[0], x[:, :, :29, :17], x:
            cases.assert_same_bits(layer(image), self.expected(layer, image))
        cases.assert_same_bits(layer.forward(x), layer(x))

    def test_channels_last(self, rng):
        layer, x = self.layer(rng)
        last = nn.Conv2d.from_weights(layer.weight, layer.bias, layout="NHWC", **self.how)
        for image in x, x[0], x:
            cases.assert_same_bits(np.moveaxis(last(np.moveaxis(image, -3, -1)), -1, -3), layer(image))
        single = nn.Conv2d(1, 4, 3, layout="NHWC", seed=0)(np.ones((5, 6, 1), "f4"))
        assert single.shape == (3, 4, 4)

    def test_others_are_seen(self, rng):
        layer, x = self.layer(rng)
        for change in (
            lambda: setattr(layer, "weight", layer.weight * 2),
            lambda: setattr(layer.parameters()[0], "value", layer.weight + 1),
        ):
            before = layer(x)
            change()
            assert not np.array_equal(layer(x), before)
            cases.assert_same_bits(layer(x), self.expected(layer, x))
        layer.weight -= 3
        cases.assert_same_bits(layer(x), self.expected(layer, x))
        layer.weight[:, 1] = 5
        layer.refresh()
        cases.assert_same_bits(layer(x), self.expected(layer, x))

    @pytest.mark.parametrize(
        "change",
        [
            lambda w: np.broadcast_to(np.float32(0.01), w.shape),
            np.asfortranarray,
            lambda w: w[::-1, :, ::-1],
            lambda w: w.astype(">f4"),
        ],
    )
    def test_weights_that_lie_otherwise(self, rng, change):
        layer, x = self.layer(rng)
        layer.parameters()[0].value = change(layer.weight)
        cases.assert_same_bits(layer(x), self.expected(layer, x))

    def test_shapes_are_forgotten(self, rng):
        layer, x = self.layer(rng)
        for n in range(3, 80):
            layer(x[:, :, :n, :9])
        cases.assert_same_bits(layer(x), self.expected(layer, x))

    def test_a_step_is_seen(self, rng):
        layer, x = self.layer(rng)
        layer.backward(np.ones_like(layer.forward(x)))
        nn.SGD(layer.parameters(), lr=0.1).step()
        cases.assert_same_bits(layer(x), self.expected(layer, x))

    def test_copies(self, rng):
        """They learn anew, and files of theirs hold the weights alone."""
        layer, x = self.layer(rng)
        y, pickled = layer(x), pickle.dumps(layer)
        assert len(pickled) < 1.2 * layer.weight.nbytes
        for other in pickle.loads(pickled), copy.deepcopy(layer):
            other.weight *= 2
            assert not np.array_equal(other(x), y)
            cases.assert_same_bits(other(x), self.expected(other, x))
        cases.assert_same_bits(layer(x), y)

    def test_weights_that_are_not_finite(self, rng):
        layer, x = self.layer(rng)
        layer.weight = np.where(np.arange(9).reshape(3, 3) == 4, np.float32(np.nan), layer.weight)
        assert np.isnan(layer(x)).all()


def test_gradients_of_a_layer_keep_its_accuracy(rng):
    x, w, _ = layer_of(rng, reals, (1, 48, 28, 28), (48, 48, 3, 3))
    grad = reals(rng, (1, 48, 28, 28), "float32")
    direct = nn.conv2d_input(x.shape, w, grad, padding=1, method="direct")
    fast = nn.conv2d_input(x.shape, w, grad, padding=1, method="winograd", accuracy="fast")
    assert not np.array_equal(direct, fast)
    cases.assert_same_bits(nn.conv2d_input(x.shape, w, grad, padding=1, accuracy="fast"), fast)
    cases.assert_same_bits(nn.conv2d_input(x.shape, w, grad, padding=1, accuracy="exact"), direct)
    both = nn.conv2d_backward(grad, x, w, padding=1, accuracy="fast")
    cases.assert_same_bits(both.input, fast)
    of_w = nn.conv2d_weight(x, w.shape, grad, padding=1, method="winograd", accuracy="fast")
    cases.assert_same_bits(both.weight, of_w)
    transposed = nn.conv_transpose2d(grad, w, padding=1, accuracy="fast")
    cases.assert_same_bits(transposed, fast)
    layer = nn.Conv2d.from_weights(w, padding=1, accuracy="fast")
    layer.forward(x)
    cases.assert_same_bits(layer.backward(grad), fast)
    cases.assert_same_bits(layer.parameters()[0].grad, of_w)


def test_words(rng):
    x, w, _ = layer_of(rng, reals, (1, 4, 9, 9), (4, 4, 3, 3))
    with pytest.raises(ValueError, match=r"accuracy must be one of exact, default, fast; got 'good'"):
        nn.conv2d(x, w, accuracy="good")
    with pytest.raises(ValueError, match="method='winograd' cannot keep accuracy='exact'"):
        nn.conv2d(x, w, method="winograd", accuracy="exact")
    grad = reals(rng, (1, 4, 7, 7), "float32")
    with pytest.raises(ValueError, match="method='winograd' cannot keep accuracy='exact'"):
        nn.conv2d_weight(x, w.shape, grad, method="winograd", accuracy="exact")
    with pytest.raises(ValueError, match="method='winograd' takes kernels of several taps"):
        nn.conv2d_weight(x, (4, 1, 3, 3), grad, method="winograd", groups=4)
    deep = np.ones((1, 2, 40, 3, 3), "f4")
    with pytest.raises(ValueError, match="method='winograd' takes kernels of several taps"):
        nn.conv3d_weight(deep, deep.shape, np.ones((1, 1, 1, 1, 1), "f4"), method="winograd")
    for bad in {"stride": 2}, {"dilation": 2, "padding": 1, "padding_mode": "reflect"}, {"dtype": "float64"}:
        with pytest.raises(ValueError, match="method='winograd' takes kernels of several taps"):
            nn.conv2d(x, w, method="winograd", **bad)
    many = np.ones((1, 1700, 5, 5), "f4"), np.ones((1, 1700, 3, 3), "f4")
    assert nn.conv2d(*many, method="winograd", accuracy="fast").ravel()[0] == 15300  # by smaller tiles
    for image, taps, groups in ((x, w[:, :, :1, :1], 1), (x, w[:, :1], 4), (*(a.repeat(3, 1) for a in many), 1)):
        with pytest.raises(ValueError, match="method='winograd' takes kernels of several taps"):
            nn.conv2d(image, taps, method="winograd", groups=groups)
    with pytest.raises(ValueError, match="accuracy must be"):
        nn.Conv2d(3, 4, 3, accuracy="more")
    assert nn.Conv2d(3, 4, 3, accuracy="exact", seed=0)(np.ones((3, 5, 5), "f4")).shape == (4, 3, 3)


def test_layers_explain_themselves():
    """Values that are made once pay sooner."""
    shape = 1, 64, 7, 7
    layer = nn.Conv2d(64, 64, 3, padding=1, seed=0)
    assert layer.explain(shape).kind == "winograd" and layer.explain(shape).tile == 2
    assert nn.explain(shape, layer.weight.shape, padding=1).kind == "products"
    last = nn.Conv2d(64, 64, 3, padding=1, layout="NHWC", seed=0)
    assert last.explain((1, 7, 7, 64)) == layer.explain(shape)._replace(shape=(1, 7, 7, 64))
    with pytest.raises(ValueError, match="x_shape"):
        layer.explain((1, 3, 7, 7))


def test_explained():
    """What runs, by accuracy; and where it does not pay, nothing changes."""
    large, small = ((1, 64, 56, 56), (64, 64, 3, 3)), ((1, 4, 5, 5), (4, 4, 3, 3))
    for accuracy, tile in ("exact", 0), ("default", 2), ("fast", 4):
        found = nn.explain(*large, padding=1, accuracy=accuracy, threads=1)
        assert (found.kind, found.tile) == ("winograd" if tile else "products", tile)
        assert (f"tiles    {tile} outputs a side" in str(found)) == (tile > 0)
        assert nn.explain(*small, padding=1, accuracy=accuracy).tile == 0
        assert nn.explain(*large, padding=1, accuracy=accuracy, dtype="float64").tile == 0
