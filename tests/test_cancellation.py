# SPDX-License-Identifier: BSD-3-Clause
"""Sums that cancel, within the bound of every method, beside exact results.

Elements are whole numbers that use all digits of their dtype, in pairs that cancel but for the last ones: what is left
is smaller than the errors of a sum may be, and any digit that is lost where the bound does not know of it is seen.
Exact are Python's integers. Where the bounds come from, the docstrings of `fastconv.reference` say.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastconv
from fastconv import methods, nn, reference
from fastconv.arguments import layers, pooling
from fastconv.arguments.correlation import Options, correlation_arguments
from fastconv.arguments.layer_geometry import Options as LayerOptions
from fastconv.nn import functional, gradients, transposed
from fastconv.reference import pooling as exact_pooling

DTYPES = "f4", "f8"
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def whole(rng, shape, dtype, digits=None):
    most = 2 ** (digits or np.finfo(dtype).nmant + 1) - 64
    return rng.integers(-most, most, shape).astype(dtype)


def in_pairs(rng, a, axis, sign):
    """The second of each pair along an axis is the first, or its negative but for the last digits."""
    along = np.moveaxis(a, axis, 0)
    seconds = along[1::2]
    seconds[...] = sign * along[::2][: len(seconds)]
    if sign < 0:
        seconds += rng.integers(-9, 10, seconds.shape)
    return a


def opposite(rng, shape, dtype, axis=-1):
    return in_pairs(rng, whole(rng, shape, dtype), axis, -1)


def alike(rng, shape, dtype, axis=-1, digits=None):
    return in_pairs(rng, whole(rng, shape, dtype, digits), axis, 1)


def exact(a):
    """Python's integers."""
    return np.array([int(v) for v in a.ravel()], object).reshape(a.shape)


def exact_layer(x, w, padding=0):
    pads = [(0, 0), (0, 0), *((padding, padding),) * (x.ndim - 2)]
    windows = sliding_window_view(exact(np.pad(x, pads)), w.shape[2:], tuple(range(2, x.ndim)))
    return np.moveaxis(np.tensordot(windows, exact(w), ([1, 4, 5], [1, 2, 3])), -1, 1)


def assert_within(got, known, bound):
    """It is off somewhere, and nowhere by more than the bound."""
    assert got.shape == known.shape
    off = [abs(Fraction(float(g)) - k) for g, k in zip(got.ravel(), known.ravel(), strict=True)]
    off = np.array([float(v) for v in off]).reshape(got.shape)
    assert (off <= bound).all(), (off / bound).max()
    assert off.any()


# ---- correlations --------------------------------------------------------------------------------

KERNELS = {
    "direct": lambda rng, dtype: alike(rng, (5, 6), dtype),
    "im2col": lambda rng, dtype: alike(rng, (5, 6), dtype),
    "box": lambda rng, dtype: np.full((6, 8), whole(rng, (1,), dtype)[0]),
    "separable": lambda rng, dtype: np.outer(whole(rng, 7, dtype, 11), alike(rng, 8, dtype, digits=12)),
    "fft": lambda rng, dtype: alike(rng, (15, 18), dtype),
}


@dtypes
@pytest.mark.parametrize("method", KERNELS)
def test_correlations(isa, rng, method, dtype):
    x, k = opposite(rng, (30, 40), dtype), KERNELS[method](rng, dtype)
    c = correlation_arguments(2, x, k, Options())
    choice = methods.choose(c, method)
    bound = reference.error_bound(c, choice.factors, transformed=choice.points)
    known = exact_layer(x[None, None], k[None, None])[0, 0]
    assert_within(fastconv.corr2d(x, k, method=method), known, bound)


@dtypes
def test_signals(isa, rng, dtype):
    x, k = opposite(rng, 900, dtype), alike(rng, 300, dtype)
    windows = sliding_window_view(exact(x), k.shape)
    for method in ("direct", "fft"):
        c = correlation_arguments(1, x, k, Options())
        bound = reference.error_bound(c, transformed=methods.choose(c, method).points)
        assert_within(fastconv.corr1d(x, k, method=method), windows @ exact(k), bound)


@dtypes
def test_factors(isa, rng, dtype):
    """Of `sepcorr2d`, and of the derivatives of a picture, which are passes of both."""
    x = opposite(rng, (30, 40), dtype)
    ky, kx = whole(rng, 7, dtype, 11), alike(rng, 8, dtype, digits=12)
    k = np.outer(ky, kx)
    c = correlation_arguments(2, x, k, Options())
    bound = reference.error_bound(c, (ky[None], kx[None]))
    assert_within(fastconv.sepcorr2d(x, ky, kx), exact_layer(x[None, None], k[None, None])[0, 0], bound)
    smooth, steep = np.array([1, 2, 1], dtype), np.array([-1, 0, 1], dtype)
    for factors, got in zip(
        ((steep, smooth), (smooth, steep)), fastconv.gradient(x, mode="same", norm=None), strict=True
    ):
        k = np.outer(*factors)
        bound = reference.error_bound(correlation_arguments(2, x, k, Options()), (factors[0][None], factors[1][None]))
        assert_within(got[1:-1, 1:-1], exact_layer(x[None, None], k[None, None])[0, 0], bound)


# ---- layers --------------------------------------------------------------------------------------

WAYS = {
    "exact": {"accuracy": "exact"},
    "im2col": {"method": "im2col"},
    "default": {"method": "winograd", "accuracy": "default"},
    "fast": {"method": "winograd", "accuracy": "fast"},
    "fft": {"method": "fft", "accuracy": "fast"},
}
ways = pytest.mark.parametrize(  # Winograd's is of float32
    ("way", "dtype"),
    [(way, dtype) for way in [*WAYS][:-1] for dtype in DTYPES if dtype == "f4" or "winograd" not in WAYS[way].values()],
)


def engine(way):
    way = WAYS[way]
    return functional.as_engine(way.get("method", "auto"), way.get("accuracy", "default"), None)


@ways
def test_layers(isa, rng, way, dtype):
    x, w = opposite(rng, (1, 8, 9, 10), dtype, 1), alike(rng, (4, 8, 3, 3), dtype, 1)
    c = layers.layer_arguments(2, x, w, None, LayerOptions(padding=1))
    bound = functional.error_bound(c, engine(way))
    assert_within(nn.conv2d(x, w, padding=1, **WAYS[way]), exact_layer(x, w, 1), bound)


@ways
def test_data_gradients(isa, rng, way, dtype):
    dy, w = opposite(rng, (1, 8, 9, 10), dtype, 1), alike(rng, (8, 4, 3, 3), dtype, 0)
    size = 1, 4, 9, 10
    c = layers.input_gradient_arguments(2, size, w, dy, LayerOptions(padding=1))
    bound = transposed.error_bound(c, engine(way))
    known = exact_layer(dy, np.flip(w, (2, 3)).swapaxes(0, 1), 1)
    assert_within(nn.conv2d_input(size, w, dy, padding=1, **WAYS[way]), known, bound)


@ways
def test_weight_gradients(isa, rng, way, dtype):
    x, dy = alike(rng, (4, 4, 8, 9), dtype, 0), opposite(rng, (4, 6, 8, 9), dtype, 0)
    c = layers.weight_gradient_arguments(2, x, (6, 4, 3, 3), dy, LayerOptions(padding=1))
    bound = gradients.error_bound(c, engine(way))
    known = exact_layer(x.swapaxes(0, 1), dy.swapaxes(0, 1), 1).swapaxes(0, 1)
    assert_within(nn.conv2d_weight(x, (6, 4, 3, 3), dy, padding=1, **WAYS[way]), known, bound)


@dtypes
@pytest.mark.parametrize("way", ["exact", "fft"])
def test_layers_with_a_kernel_for_each_channel(isa, rng, way, dtype):
    x, w = opposite(rng, (1, 2, 24, 26), dtype), alike(rng, (2, 1, 9, 10), dtype)
    c = layers.layer_arguments(2, x, w, None, LayerOptions(groups=2))
    bound = functional.error_bound(c, engine(way))
    known = np.concatenate([exact_layer(x[:, i : i + 1], w[i : i + 1]) for i in range(2)], 1)
    assert_within(nn.conv2d(x, w, groups=2, **WAYS[way]), known, bound)


# ---- means ---------------------------------------------------------------------------------------


def pool(x, side):
    return pooling.avg_pool_arguments(2, x, side, 1, 0, False, True, None, None, None)


@dtypes
def test_means(isa, rng, dtype):
    x, ones = opposite(rng, (1, 2, 12, 14), dtype), np.ones((1, 1, 6, 6))
    c = pool(x, 6)
    known = np.concatenate([exact_layer(x[:, i : i + 1], ones) for i in range(2)], 1)
    known = np.vectorize(lambda v: Fraction(v, 36), otypes=[object])(known)
    assert_within(nn.avg_pool2d(x, 6, 1), known, exact_pooling.error_bound(c))
    whole = np.array([[[[Fraction(int(sum(exact(x[0, i]).ravel())), 12 * 14)]] for i in range(2)]], object)
    c = pooling.adaptive_arguments(2, x, 1, True, False, None, None)
    assert_within(nn.adaptive_avg_pool2d(x, 1), whole, exact_pooling.error_bound(c))


@dtypes
def test_gradients_of_means(isa, rng, dtype):
    dy, size, ones = opposite(rng, (1, 1, 12, 14), dtype), (1, 1, 16, 18), np.ones((1, 1, 5, 5))
    x = np.broadcast_to(np.zeros((), dtype), size)
    c = pooling.gradient_arguments(pool(x, 5), ("input_size", "kernel_size"), dy, None, None)
    known = np.vectorize(lambda v: Fraction(v, 25), otypes=[object])(exact_layer(dy, ones, 4))
    assert_within(nn.avg_pool2d_backward(dy, size, 5, 1), known, exact_pooling.gradient_error_bound(c))
