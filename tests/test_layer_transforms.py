# SPDX-License-Identifier: BSD-3-Clause
"""Layers with large kernels by transforms: what they compute on every instruction set, and how accurately."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import scipy.signal
from cases import integers, reals

import fastconv
from fastconv import nn
from fastconv.arguments.boundaries import PADDING_MODES
from fastconv.arguments.layer_geometry import Options
from fastconv.arguments.layers import layer_arguments
from fastconv.reference import layers

# One tile and several, along either axis; kernels larger than planes, narrow, even; padding beyond the kernel, or none
SHAPES = [
    ((2, 3, 17, 23), (3, 1, 13, 13), {"padding": 6, "groups": 3}),
    ((1, 2, 7, 5), (6, 1, 13, 12), {"padding": ((6, 8), (7, 9)), "groups": 2}),
    ((1, 1, 150, 37), (1, 1, 60, 2), {"padding": (59, 4)}),
    ((1, 2, 20, 333), (2, 1, 3, 50), {"groups": 2}),
    ((2, 2, 31, 29), (2, 1, 5, 4), {"padding": (9, 0), "dilation": (3, 7), "groups": 2}),
    ((1, 2, 3, 25, 30), (2, 1, 1, 11, 11), {"padding": (0, 5, 5), "groups": 2}),
    ((2, 3, 29, 40), (5, 3, 7, 8), {"padding": (3, 4)}),
    ((1, 6, 70, 21), (4, 3, 9, 5), {"groups": 2}),
    ((1, 3, 2, 25, 30), (2, 3, 1, 5, 4), {"padding": (0, 5, 5)}),
]


def layer_of(rng, make, shape, kernel, dtype="float32"):
    return make(rng, shape, dtype), make(rng, kernel, dtype), make(rng, kernel[0], dtype)


def functions(shape):
    return (nn.conv2d, nn.conv2d_input) if len(shape) == 4 else (nn.conv3d, nn.conv3d_input)


@pytest.mark.parametrize("layer", SHAPES, ids=[str(s[:2]) for s in SHAPES])
def test_values(isa, rng, layer):
    """They are within the bound, which is far below one for small integers; gradients likewise."""
    shape, kernel, how = layer
    conv, conv_input = functions(shape)
    how = {"groups": 1} | how | {"method": "fft"}
    with fastconv.checked():
        for dtype in "float32", "float64":
            x, w, bias = layer_of(rng, reals, shape, kernel, dtype)
            y = conv(x, w, bias, **how, activation=(-1, 5))
            if kernel[:2] == (how["groups"], 1):
                conv_input(shape, w, reals(rng, y.shape, dtype), **how)
    x, w, _ = layer_of(rng, integers, shape, kernel)
    y = conv(x, w, **how)
    np.testing.assert_array_equal(np.rint(y), conv(x, w, **how | {"method": "numpy"}))
    if kernel[:2] == (how["groups"], 1):
        grad = integers(rng, y.shape, "float32")
        expected = conv_input(shape, w, grad, **how | {"method": "numpy"})
        np.testing.assert_array_equal(np.rint(conv_input(shape, w, grad, **how)), expected)


@pytest.mark.parametrize("method", ["auto", "fft"])
@pytest.mark.parametrize(("n", "padding"), [((60, 60), 20), ((40, 60), ((20, 20), (0, 0))), ((33, 30), (12, 30))])
def test_more_padding_than_the_kernel_spans(isa, rng, n, padding, method):
    """Outputs that see nothing but zeros are written, too."""
    x, w, _ = layer_of(rng, reals, (1, 2, *n), (2, 2, 11, 11))
    y = nn.conv2d(x, w, padding=padding, method="direct")
    for before in 7, np.nan:
        out = np.full_like(y, before)
        np.testing.assert_allclose(nn.conv2d(x, w, padding=padding, method=method, out=out), y, rtol=0, atol=1e-4)


def test_beside_scipy(rng):
    x, w, _ = layer_of(rng, reals, (1, 1, 300, 200), (1, 1, 41, 35), "float64")
    y = nn.conv2d(x, w, padding="same", method="fft")
    np.testing.assert_allclose(y[0, 0], scipy.signal.correlate(x[0, 0], w[0, 0], "same"), rtol=0, atol=1e-11)


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_boundaries_and_strides(isa, rng, mode):
    """x may lie in any way, and goes on as it is told."""
    base = integers(rng, (2, 47, 53, 6), "float32")
    w = integers(rng, (5, 1, 9, 12), "float32")
    for x in (
        base.transpose(0, 3, 1, 2)[:, 1:],
        base.transpose(0, 3, 1, 2)[:, :5, ::-1, ::2],
        base[0].T[:5].astype(">f4"),
    ):
        asked = {"padding": ((2, 7), (11, 3)), "padding_mode": mode, "groups": 5}
        y = nn.conv2d(x, w, method="fft", **asked)
        np.testing.assert_array_equal(np.rint(y), nn.conv2d(x, w, method="numpy", **asked))


def test_same_bits(rng):
    """For any number of threads, batch, layout and instruction set that has FMA; and by "auto"."""
    x, w, bias = layer_of(rng, reals, (5, 3, 60, 70), (6, 1, 31, 31))
    how = {"padding": 15, "groups": 3}
    y = nn.conv2d(x, w, bias, **how, method="fft", threads=1)
    cases.assert_same_bits(nn.conv2d(x, w, bias, **how, threads=5), y)
    cases.assert_same_bits(nn.conv2d(np.asfortranarray(x), w, bias, **how, accuracy="fast"), y)
    for method in "auto", "fft":
        last = nn.conv2d(np.moveaxis(x, 1, -1), w, bias, **how, method=method, layout="NHWC")
        cases.assert_same_bits(np.moveaxis(last, -1, 1), y)
    last = nn.conv2d(np.moveaxis(x, 1, -1), w[::2], bias[::2], **how, layout="NHWC")
    cases.assert_same_bits(np.moveaxis(last, -1, 1), y[:, ::2])
    for image in range(5):
        cases.assert_same_bits(nn.conv2d(x[image], w, bias, **how), y[image])
    for channel in range(3):
        its = slice(2 * channel, 2 * channel + 2)
        cases.assert_same_bits(nn.conv2d(x[:, [channel]], w[its], bias[its], padding=15), y[:, its])
    for other in fastconv.isas():
        if other != "base":
            with fastconv.use_isa(other):
                cases.assert_same_bits(nn.conv2d(x, w, bias, **how), y)


def test_same_bits_of_several_channels(rng):
    x, w, bias = layer_of(rng, reals, (3, 6, 80, 70), (8, 3, 11, 11))
    how = {"padding": 5, "groups": 2}
    y = nn.conv2d(x, w, bias, **how, method="fft", threads=1)
    assert nn.explain(x.shape, w.shape, **how).kind == "fft"
    cases.assert_same_bits(nn.conv2d(x, w, bias, **how, threads=5), y)
    cases.assert_same_bits(nn.conv2d(x[1], w, bias, **how, threads=5), y[1])
    cases.assert_same_bits(nn.conv2d(np.asfortranarray(x), w, bias, **how), y)
    cases.assert_same_bits(nn.conv2d(x[:, 3:], w[4:], bias[4:], padding=5), y[:, 4:])
    cases.assert_same_bits(nn.Conv2d.from_weights(w, bias, **how)(x), y)
    last = nn.conv2d(np.moveaxis(x, 1, -1), w, bias, **how, layout="NHWC")
    cases.assert_same_bits(np.moveaxis(last, -1, 1), y)
    for other in fastconv.isas():
        if other != "base":
            with fastconv.use_isa(other):
                cases.assert_same_bits(nn.conv2d(x, w, bias, **how), y)
    x[1, 4, 40, 30] = np.nan
    spoilt = nn.conv2d(x, w, bias, **how)
    cases.assert_same_bits(spoilt[[0, 2]], y[[0, 2]])
    cases.assert_same_bits(spoilt[1, :4], y[1, :4])
    assert np.isnan(spoilt).sum() == 4 * 121


@pytest.mark.parametrize("groups", [1, 2])
def test_spectra_that_a_layer_keeps_are_of_an_instruction_set(rng, groups):
    """By others they are made anew: each lays them out in its own way."""
    x, w, bias = layer_of(rng, reals, (1, 2, 64, 60), (2, 2 // groups, 15, 15))
    layer = nn.Conv2d.from_weights(w, bias, padding=7, groups=groups)
    assert layer.explain(x.shape).kind == "fft"
    for isa in fastconv.isas() * 2:
        with fastconv.use_isa(isa):
            cases.assert_same_bits(layer(x), nn.Conv2d.from_weights(w, bias, padding=7, groups=groups)(x))


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_windows(isa, rng, odd):
    """And the planes beside it have the bits that they have alone."""
    x, w, bias = layer_of(rng, integers, (2, 2, 40, 50), (2, 1, 11, 11))
    w[w == 0] = 1
    how = {"padding": 5, "groups": 2, "method": "fft"}
    clean = nn.conv2d(x, w, bias, **how)
    x[1, 0, 9, 40] = odd
    y = nn.conv2d(x, w, bias, **how)
    assert (~np.isfinite(y)).sum() == 121 and not np.isfinite(y[1, 0, 4:15, 35:46]).any()
    cases.assert_same_bits(y[0], clean[0])
    cases.assert_same_bits(y[1, 1], clean[1, 1])
    relu = nn.conv2d(x, w, bias, **how, activation="relu6")
    np.testing.assert_array_equal(np.isnan(relu), np.isnan(y))
    w[1, 0, 3, 3] = odd
    y = nn.conv2d(x[[0]], w, bias, **how)
    assert not np.isfinite(y[0, 1, 5:-5, 5:-5]).any() and np.isfinite(y[0, 0]).all()


def test_huge_and_tiny_numbers(isa, rng):
    """Where a tile's values overflow, or are subnormal, and sums are not."""
    x, w, _ = layer_of(rng, integers, (1, 1, 40, 40), (1, 1, 11, 11))
    exact = nn.conv2d(x, w, padding=5, method="numpy")
    for scale in 2.0**100, 2.0**-100, 2.0**115, 2.0**-140:
        y = nn.conv2d(x * np.float32(scale), w, padding=5, method="fft")
        assert np.isfinite(y).all()
        assert np.abs(y.astype("f8") / scale - exact).max() <= (1e-2 if scale > 2.0**-130 else 50)


DATA = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "positive": lambda rng, shape: np.abs(rng.standard_normal(shape)),
    "half zeros": lambda rng, shape: np.maximum(rng.standard_normal(shape), 0),
    "large range": lambda rng, shape: rng.standard_normal(shape) * np.exp(2 * rng.standard_normal(shape)),
    "channels apart": lambda rng, shape: rng.standard_normal(shape) * np.exp(2 * rng.standard_normal((shape[1], 1, 1))),
}


@pytest.mark.parametrize("data", DATA)
def test_accuracy(data):
    """What `accuracy` promises, beside the direct method: root mean squares within 1.6, the largest error within 2."""
    rng = np.random.default_rng(5)
    for size, k in (56, 31), (150, 17), (28, 11):
        x = DATA[data](rng, (1, 4, size, size)).astype("f4")
        w = rng.standard_normal((4, 1, k, k)).astype("f4")
        w = np.abs(w) if data == "positive" else w
        exact = nn.conv2d(x.astype("f8"), w.astype("f8"), padding=k // 2, groups=4, method="direct")
        errors = []
        for method in "direct", "fft":
            error = nn.conv2d(x, w, padding=k // 2, groups=4, method=method) - exact
            errors.append((np.sqrt(np.mean(error**2)), np.abs(error).max()))
        assert errors[1][0] <= 1.6 * errors[0][0] and errors[1][1] <= 2 * errors[0][1]
    x, w = DATA[data](rng, (1, 3, 60, 60)).astype("f4"), rng.standard_normal((16, 3, 11, 11)).astype("f4")
    w = np.abs(w) if data == "positive" else w
    exact = nn.conv2d(x.astype("f8"), w.astype("f8"), padding=5, method="direct")
    rms = [np.sqrt(np.mean((nn.conv2d(x, w, padding=5, method=m) - exact) ** 2)) for m in ("direct", "fft")]
    assert rms[1] <= 1.6 * rms[0]


def test_a_bound_that_is_met(rng):
    """Not one that nothing could miss."""
    x, w, _ = layer_of(rng, reals, (1, 1, 60, 60), (1, 1, 21, 21))
    how = {"padding": 10}
    c, exact = layer_arguments(2, x, w, None, Options(**how)), nn.conv2d(x.astype("f8"), w.astype("f8"), **how)
    bound = layers.transformed_error_bound(c, nn.explain(x.shape, w.shape, **how).points)
    error = np.abs(nn.conv2d(x, w, method="fft", **how) - exact)
    assert bound.max() / 3000 < error.max() < bound.min()


class TestLearnt:
    """Layers transform their kernels once."""

    def layer(self, rng):
        x, w, bias = layer_of(rng, reals, (2, 3, 50, 60), (3, 1, 25, 25))
        return nn.Conv2d.from_weights(w, bias, padding=12, groups=3), x

    def expected(self, layer, x):
        return nn.conv2d(x, layer.weight, layer.bias, padding=12, groups=3, method="fft")

    def test_the_same_results(self, isa, rng):
        layer, x = self.layer(rng)
        for image in x, x[0], x[:, :, :49, :37], x:
            cases.assert_same_bits(layer(image), self.expected(layer, image))

    @pytest.mark.parametrize("sizes", [(76, 157, 76), (157, 76), (45, 101), (101, 45)])
    def test_sizes_whose_tiles_are_alike(self, rng, sizes):
        """One tile holds all of the smaller one, and kernels begin before it; of the larger one tiles overlap."""
        dense = min(sizes) < 50
        w = reals(rng, (2, 2, 13, 13) if dense else (8, 1, 13, 13), "float32")
        groups = 1 if dense else 8
        layer = nn.Conv2d.from_weights(w, padding=6, groups=groups)
        for n in sizes:
            x = reals(rng, (1, groups * w.shape[1], n, n), "float32")
            y = nn.conv2d(x, w, padding=6, groups=groups, method="direct")
            np.testing.assert_allclose(layer(x), y, rtol=0, atol=1e-4)

    def test_memory_is_bounded(self, rng):
        layer, _ = self.layer(rng)
        for n in range(30, 150, 5):
            layer(reals(rng, (1, 3, n, n), "float32"))
            assert len(layer._known.values) <= 4

    def test_others_are_seen(self, rng):
        layer, x = self.layer(rng)
        before = layer(x)
        layer.weight = layer.weight * 2
        cases.assert_same_bits(layer(x), self.expected(layer, x))
        assert not np.array_equal(layer(x), before)
        layer.weight[:, 0, 3] = 5
        layer.refresh()
        cases.assert_same_bits(layer(x), self.expected(layer, x))
        layer.backward(np.ones_like(layer.forward(x)))
        nn.SGD(layer.parameters(), lr=0.1).step()
        cases.assert_same_bits(layer(x), self.expected(layer, x))

    def test_weights_that_are_not_finite(self, rng):
        layer, x = self.layer(rng)
        layer.weight = np.where(np.arange(25) == 12, np.float32(np.nan), layer.weight)
        assert np.isnan(layer(x)).all()


def test_explained(isa):
    """What runs, by accuracy; where it does not pay, sums are direct."""
    x, w, how = (1, 8, 56, 56), (8, 1, 31, 31), {"padding": 15, "groups": 8, "threads": 1}
    found = nn.explain(x, w, **how)
    assert found.kind == "fft" and found.points == (96, 80) and "tiles    96 x 80 elements" in str(found)
    assert nn.explain(x, w, **how, accuracy="fast") == found
    for direct in (
        nn.explain(x, w, **how, accuracy="exact"),
        nn.explain((1, 8, 56, 56), (8, 1, 5, 5), padding=2, groups=8),
        nn.explain(x, w, **how, stride=2),
    ):
        assert direct.kind != "fft" and direct.points is None
    assert nn.Conv2d(8, 8, 31, padding=15, groups=8, seed=0).explain(x).points == (96, 80)


def test_words(rng):
    x, w, _ = layer_of(rng, reals, (1, 4, 30, 30), (4, 1, 5, 5))
    with pytest.raises(ValueError, match="method='fft' cannot keep accuracy='exact'"):
        nn.conv2d(x, w, groups=4, method="fft", accuracy="exact")
    many = np.ones((1, 64, 30, 30), "f4"), np.ones((64, 64, 5, 5), "f4")
    for image, taps, bad in ((x, w, {"stride": 2}), (x, w[:, :, :1], {}), (*many, {})):
        with pytest.raises(ValueError, match="method='fft' takes layers with few channels"):
            nn.conv2d(image, taps, groups=len(image[0]) // taps.shape[1], method="fft", **bad)
    with pytest.raises(ValueError, match="method='fft' takes"):
        nn.conv1d(x[:, :, 0], w[:, :, 0], groups=4, method="fft")
