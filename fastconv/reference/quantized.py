# SPDX-License-Identifier: BSD-3-Clause
"""Layers of bytes: sums of integers, and how they become bytes again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.quantized import QuantizedLayer
from fastconv.reference.windows import continued, under


def quantized(layer: QuantizedLayer) -> NDArray[Any]:
    """What `nn.qconv2d` gives, as (images, kernels, ...): sums of int64, modulo 2**32; times the scale in float32,
    rounded half to even, and brought between what the dtype holds."""
    over_kernels = (-1, *(1,) * len(layer.axes))
    zero = 0 if layer.how.w_zero is None else layer.how.w_zero.reshape(-1, 1, *over_kernels[1:])
    X = continued(layer.x.astype(np.int64) - layer.how.x_zero, layer.axes)
    w = layer.w.astype(np.int64) - zero
    images, kernels, *outputs = layer.shape
    groups, channels = layer.groups, w.shape[1]
    sums = np.zeros((images, groups, kernels // groups, *outputs), np.int64)
    for tap in np.ndindex(*w.shape[2:]):
        seen = X[under(tap, layer.axes)].reshape(images, groups, channels, *outputs)
        taps = w[(slice(None), slice(None), *tap)].reshape(groups, kernels // groups, channels)
        sums += np.einsum("ngc...,gkc->ngk...", seen, taps)
    sums = sums.reshape(layer.shape)
    if layer.bias is not None:
        sums += layer.bias.reshape(over_kernels)
    whole = sums.astype(np.int32)
    if layer.how.scale is None:
        return whole
    limits = np.iinfo(layer.how.dtype)
    steps = np.rint(whole.astype(np.float32) * layer.how.scale.reshape(over_kernels))
    y: NDArray[Any] = np.clip(steps + np.float32(layer.how.y_zero), limits.min, limits.max).astype(layer.how.dtype)
    return y
