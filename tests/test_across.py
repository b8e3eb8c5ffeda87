# SPDX-License-Identifier: BSD-3-Clause
"""Small planes of a batch, whose products run across kernels (csrc/layers/across.c): the bits of each image alone, and
the values of the reference."""

import numpy as np
import pytest

from fastconv import nn

# images, channels, kernels, rows, columns, taps, padding, stride, dilation, groups
LAYERS = [
    (8, 5, 20, 7, 7, (5, 5), 2, 1, 1, 1),
    (4, 16, 16, 7, 7, (3, 3), 1, 1, 1, 1),
    (9, 32, 33, 6, 5, (3, 2), (1, 2), 1, 1, 1),
    (11, 20, 48, 5, 7, (4, 5), (3, 4), 1, 1, 1),
    (33, 6, 48, 7, 7, (3, 3), 1, 1, 1, 3),
    (5, 30, 40, 9, 8, (3, 3), 1, 2, 1, 1),
    (6, 8, 64, 6, 6, (3, 3), 2, 1, 2, 1),
    (8, 3, 17, 1, 12, (1, 7), (0, 3), 1, 1, 1),
    (4, 9, 80, 3, 3, (5, 5), 4, 1, 1, 1),
]


def arrays(rng, layer, dtype):
    n, channels, kernels, rows, cols, taps, *_, groups = layer
    x = rng.standard_normal((n, channels, rows, cols)).astype(dtype)
    return x, rng.standard_normal((kernels, channels // groups, *taps)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_each_image_alone(isa, rng, layer, dtype):
    x, w = arrays(rng, layer, dtype)
    padding, stride, dilation, groups = how = layer[6:]
    bias, low = rng.standard_normal(len(w)).astype(dtype), {"activation": (-0.5, 4.0)}
    for keywords in ({}, low, {"threads": 3}):
        y = nn.conv2d(x, w, bias, stride, padding, dilation, groups, **keywords)
        alone = [nn.conv2d(image[None], w, bias, stride, padding, dilation, groups, **keywords) for image in x]
        np.testing.assert_array_equal(y.view(f"u{y.itemsize}"), np.concatenate(alone).view(f"u{y.itemsize}"), str(how))
    exact = nn.conv2d(x, w, bias, stride, padding, dilation, groups, method="numpy")
    y = nn.conv2d(x, w, bias, stride, padding, dilation, groups)
    np.testing.assert_allclose(y, exact, rtol=0, atol=(1e-4 if dtype == "f4" else 1e-12) * np.abs(exact).max())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer[7] == 1], ids=str)
def test_gradients_of_each_image_alone(isa, rng, layer, dtype):
    x, w = arrays(rng, layer, dtype)
    padding, stride, dilation, groups = layer[6:]
    dy = rng.standard_normal(nn.conv2d(x, w, None, stride, padding, dilation, groups).shape).astype(dtype)
    dx = nn.conv2d_input(x.shape, w, dy, stride, padding, dilation, groups)
    for i in range(len(x)):
        alone = nn.conv2d_input(x[:1].shape, w, dy[i : i + 1], stride, padding, dilation, groups)
        np.testing.assert_array_equal(dx[i : i + 1].view(f"u{dx.itemsize}"), alone.view(f"u{dx.itemsize}"))
    exact = nn.conv2d_input(x.shape, w, dy, stride, padding, dilation, groups, method="numpy")
    np.testing.assert_allclose(dx, exact, rtol=0, atol=(1e-4 if dtype == "f4" else 1e-12) * np.abs(exact).max())


def test_views_and_what_is_added(isa, rng):
    x, w = arrays(rng, LAYERS[0], "f4")
    spread = np.zeros((8, 9, 14, 21), "f4")
    spread[:, 1:6, ::2, ::3] = x
    y = nn.conv2d(x, w, None, 1, 2)
    np.testing.assert_array_equal(nn.conv2d(spread[:, 1:6, ::2, ::3], w, None, 1, 2), y)
    np.testing.assert_array_equal(nn.conv2d(x[::-1, :, ::-1, ::-1].copy()[::-1, :, ::-1, ::-1], w, None, 1, 2), y)
    other = rng.standard_normal(y.shape).astype("f4")
    np.testing.assert_array_equal(nn.conv2d(x, w, None, 1, 2, add=other), y + other)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_not_finite(isa, rng, value):
    """Zeros of padding times an infinite weight are NaN; an infinite x spoils its windows only."""
    x, w = arrays(rng, LAYERS[0], "f4")
    w[3, 2, 0, 0] = value
    y, one = nn.conv2d(x, w, None, 1, 2), nn.conv2d(x[5:6], w, None, 1, 2)
    np.testing.assert_array_equal(y[5:6], one)
    assert np.isnan(y[:, 3, 0, 0]).all()
    assert np.isfinite(np.delete(y, 3, axis=1)).all()
    w[3, 2, 0, 0], x[2, 1, 6, 6] = 1, value
    y = nn.conv2d(x, w, None, 1, 2)
    np.testing.assert_array_equal(y[2:3], nn.conv2d(x[2:3], w, None, 1, 2))
    assert np.isfinite(y[:, :, :4, :4]).all()
