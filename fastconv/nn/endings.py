# SPDX-License-Identifier: BSD-3-Clause
"""Layers with weights that may end with an activation, and learn past it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import check_size
from fastconv.arguments.layers import as_activation
from fastconv.arguments.values import as_count, as_flag, as_real, float_dtype, generator, per_axis
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.curves import Curve, curve_of
from fastconv.nn.module import Weighted, masked, passed
from fastconv.typing import Activation, IntOrTuple

Array = NDArray[Any]


class Ending(Weighted):
    """A convolution, which may end with an activation."""

    _clamp: tuple[float, float] | None = None  # what the activation brings outputs between, if that is all,
    _curve: Curve | None = None  # or the layer that it is

    transposed: ClassVar[bool] = False  # whether the weight's first axis is that of inputs

    @property
    def out_channels(self) -> int:
        """How many channels the output has."""
        raise NotImplementedError

    def _initial(
        self, channels: tuple[int, int], kernel_size: IntOrTuple, groups: int, bias: bool, dtype: DTypeLike, seed: Any
    ) -> tuple[Array, Array | None, int]:
        """Random weights and bias, and the groups. channels: of x and of the output."""
        taps = per_axis(kernel_size, self.rank, "kernel_size")
        names = "in_channels", "out_channels"
        counts = [as_count(n, name) for n, name in zip(channels, names, strict=True)]
        parts, wanted, asked = as_count(groups, "groups"), as_flag(bias, "bias"), float_dtype(dtype)
        if any(n % parts for n in counts):
            raise ValueError(f"groups={groups} must divide in_channels={channels[0]} and out_channels={channels[1]}")
        first, second = counts if self.transposed else counts[::-1]
        shape = (first, second // parts, *taps)
        check_size(shape, "the weights' by in_channels, out_channels and kernel_size")
        most = 1 / math.sqrt(math.prod(shape[1:]))
        rng = generator(seed)
        weight = rng.uniform(-most, most, shape).astype(asked)
        return weight, rng.uniform(-most, most, counts[1]).astype(asked) if wanted else None, parts

    def _end_with(self, activation: Activation) -> None:
        asked = as_activation(activation)
        self.activation = None if asked is None else asked.word
        self._clamp = None if asked is None else asked.clamp
        self._curve = None if asked is None or self._clamp else curve_of(asked)

    def _computed(self, x: ArrayLike, activation: Activation) -> Array:
        """The layer's output for x with this activation."""
        raise NotImplementedError

    @takes_bfloat16
    def forward(self, x: ArrayLike) -> Array:
        """The layer's output for x, with what `backward` needs remembered: x itself, which must not change until then;
        and of an activation that brings outputs between two numbers, which of them it left alone: of the others, the
        bounds included, no gradient passes; of another one, what it was handed, an array as large as the output."""
        if self._curve is None:
            y = super().forward(x)
            kept: Any = None if self._clamp is None else passed(y, *self._clamp)
        else:
            kept = self._computed(seen := as_real(x, "x"), None)
            y = self._curve(kept)
            self._seen = seen, y.shape
        assert self._seen is not None
        self._seen = *self._seen, kept
        return y

    def _before_end(self, grad: Array) -> Array:
        """The gradient of what the activation was handed, given that of the output."""
        assert self._seen is not None
        kept = self._seen[2]
        if self._curve is not None:
            return self._curve.gradient(kept, grad, True)
        return grad if kept is None else masked(grad, kept)
