# SPDX-License-Identifier: BSD-3-Clause
"""Layers of float16: sums of float32, read and stored as NumPy casts, wherever they are converted."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import reals

from fastconv import nn


def test_float16_is_read_and_stored_as_numpy_casts_it(isa):
    """All numbers there are; and products of them: half way between two, beside that, and beyond the largest."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    w = np.array([1, -1, 65, 2**-10, 1 + 2**-10, 0.333, 1000, 6e-8], np.float16)
    y = nn.conv2d(every.reshape(1, 1, 256, 256), w.reshape(8, 1, 1, 1)).reshape(8, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(y, np.multiply.outer(w, every, dtype=np.float32).astype(np.float16))


@pytest.mark.parametrize("groups", [1, 6])
def test_float16_of_any_strides(isa, rng, groups):
    """What products and planes read as it is, and what is widened as a whole."""
    x, w = reals(rng, (2, 6, 7, 9), "float16"), reals(rng, (6, 6 // groups, 3, 3), "float16")
    grad = reals(rng, (2, 6, 4, 5), "float16")
    how = {"stride": 2, "padding": 1, "groups": groups}
    wide = [a.astype(np.float32) for a in (x, w, grad)]
    expected = (
        nn.conv2d(wide[0], wide[1], **how),
        nn.conv2d_input(x.shape, wide[1], wide[2], **how),
        nn.conv2d_weight(wide[0], w.shape, wide[2], **how),
    )
    layouts = (
        lambda a: a.transpose(3, 0, 2, 1).copy().transpose(1, 3, 2, 0),
        lambda a: np.repeat(a, 2, 3)[..., ::2],
        lambda a: a[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
        lambda a: np.frombuffer(b"0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    )
    for lay in layouts:
        X, G = lay(x), lay(grad)
        results = nn.conv2d(X, w, **how), nn.conv2d_input(x.shape, w, G, **how), nn.conv2d_weight(X, w.shape, G, **how)
        for y, z in zip(results, expected, strict=True):
            cases.assert_same_bits(y, z.astype(np.float16))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("stride", [1, 2])
def test_float16_planes_have_the_sums_of_float32(isa, rng, stride, layout):
    """Where every plane has a kernel: read and stored where it lies, whoever computes it, rounded once."""
    shapes = [
        (20, 1, 30, 29, 3),
        (4, 1, 150, 59, 3),
        (5, 2, 6, 70, 3),
        (33, 1, 7, 7, 5),
        (3, 9, 4, 5, 3),
        (1, 1, 20, 40, 11),
    ]
    for groups, kernels, rows, cols, taps in shapes:
        x, w = reals(rng, (2, groups, rows, cols), "float16"), reals(rng, (groups * kernels, 1, taps, taps), "float16")
        bias = reals(rng, (groups * kernels,), "float16")
        x = np.moveaxis(x, 1, -1).copy() if layout == "NHWC" else x
        how = {"stride": stride, "padding": taps // 2, "groups": groups, "layout": layout}
        for more in ({}, {"activation": "relu"}, {"activation": "silu"}, {"add": True, "activation": "hardswish"}):
            added = reals(rng, nn.conv2d(x, w, **how).shape, "float16") if "add" in more else None
            wide = [None if a is None else a.astype(np.float32) for a in (x, w, bias, added)]
            y = nn.conv2d(x, w, bias, **how | more | {"add": added})
            expected = nn.conv2d(*wide[:3], **how | more | {"add": wide[3]}).astype(np.float16)
            cases.assert_same_bits(y, expected)


def test_float16(isa, rng):
    """Summed in float32: 3000 ones are 3000, which sums in float16 do not reach."""
    x, w = np.ones((1, 3000, 2, 2), np.float16), np.ones((1, 3000, 1, 1), np.float16)
    assert nn.conv2d(x, w).dtype == np.float16 and (nn.conv2d(x, w) == 3000).all()
    x, w, b = reals(rng, (1, 8, 9, 9), "float16"), reals(rng, (4, 8, 3, 3), "float16"), reals(rng, (4,), "float16")
    wide = nn.conv2d(*(a.astype("float32") for a in (x, w, b)))
    cases.assert_same_bits(nn.conv2d(x, w, b), wide.astype("float16"))
