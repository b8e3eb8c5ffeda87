# SPDX-License-Identifier: BSD-3-Clause
"""The layers of ONNX: `Conv`, `ConvTranspose`, those of bytes, `BatchNormalization`; and those that keep their weights.

A transposed layer's padding may be negative: its outputs then go on beyond what elements are added to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import nn
from fastconv.onnx.operators import DOMAIN, Operator, Pads, Windows, halves, rank_of, taps_of

CONV: dict[int, Callable[..., NDArray[Any]]] = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
CONV_TRANSPOSE: dict[int, Callable[..., NDArray[Any]]] = {
    1: nn.conv_transpose1d,
    2: nn.conv_transpose2d,
    3: nn.conv_transpose3d,
}
LAYERS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
QLAYERS: dict[int, Any] = {1: nn.QConv1d, 2: nn.QConv2d, 3: nn.QConv3d}


class Kept(NamedTuple):
    """The weights of a node that are constants, with what follows the node and is done in its store."""

    weight: NDArray[Any]
    bias: NDArray[Any] | None
    activation: Any  # of nn.conv2d


class Conv(Operator):
    """A convolution layer: `nn.conv1d`, `conv2d` or `conv3d`."""

    accuracy: ClassVar[Any] = "default"

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x, w, b = (*inputs, None)[:3]
        rank = rank_of(x, taps_of(w, windows))
        how = self.how(windows, windows.padding(x.shape[2:], w.shape[2:]))
        return (CONV[rank](x, w, b, *how, accuracy=self.accuracy),)

    @staticmethod
    def how(windows: Windows, pads: Pads) -> tuple[Any, ...]:
        """The arguments of a layer that follow weights and bias."""
        return windows.steps(len(pads)), pads, windows.spread(len(pads)), windows.group


class ConvTranspose(Operator):
    """A transposed layer: `nn.conv_transpose1d`, `conv_transpose2d` or `conv_transpose3d`."""

    accuracy: ClassVar[Any] = "default"

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x, w, b = (*inputs, None)[:3]
        return (self.transposed(windows, x, Kept(w, b, None)),)

    def transposed(self, windows: Windows, x: NDArray[Any], kept: Kept) -> NDArray[Any]:
        w = kept.weight
        rank = rank_of(x, taps_of(w, windows))
        steps = windows.steps(rank)
        whole = [(n - 1) * s + span for n, s, span in zip(x.shape[2:], steps, windows.spans(w.shape[2:]), strict=True)]
        pads = self.less(windows, x.shape[2:], whole)
        cut = tuple((max(before, 0), max(behind, 0)) for before, behind in pads)
        how = {"activation": kept.activation, "accuracy": self.accuracy}
        y = CONV_TRANSPOSE[rank](x, w, kept.bias, steps, cut, 0, windows.group, windows.spread(rank), **how)
        if cut == pads:
            return y
        result = np.empty((*y.shape[:2], *(n - sum(pair) for n, pair in zip(whole, pads, strict=True))), y.dtype)
        result[...] = self.beyond(kept, y.shape[1]).reshape(-1, *(1,) * rank)
        starts = (max(-before, 0) for before, _ in pads)
        there = [slice(start, start + n) for start, n in zip(starts, y.shape[2:], strict=True)]
        result[:, :, *there] = y
        return result

    @staticmethod
    def beyond(kept: Kept, channels: int) -> NDArray[Any]:
        """What outputs are that no element is added to."""
        nothing = np.zeros((1, 1, 1), kept.weight.dtype)
        w = np.zeros((channels, 1, 1), kept.weight.dtype)
        return nn.conv1d(nothing, w, kept.bias, activation=kept.activation)

    def less(self, windows: Windows, sizes: Sequence[int], whole: Sequence[int]) -> Pads:
        """How much less the result has than the whole one, before and behind; negative: more.

        Of an odd number the larger half is behind for "SAME_UPPER", else before. (The text of version 1 of the operator
        says it the other way round; no engine does it.)
        """
        rank = len(sizes)
        more = windows.output_padding or (0,) * rank
        wanted = windows.output_shape
        if wanted is None and windows.auto_pad.startswith("SAME"):
            wanted = tuple(n * s for n, s in zip(sizes, windows.steps(rank), strict=True))
        if wanted is None:
            pads = windows.padding(sizes, (1,) * rank)
        else:
            totals = (n + m - size for n, m, size in zip(whole, more, wanted, strict=True))
            pads = tuple(halves(total, windows.auto_pad != "SAME_UPPER") for total in totals)
        return tuple((before, behind - m) for (before, behind), m in zip(pads, more, strict=True))


class ConvLayer(Conv):
    """A convolution layer whose weights are constants: an object of `nn` that keeps what it makes of them."""

    op_domain = DOMAIN
    kept: ClassVar[Sequence[Kept]] = ()  # of the nodes of a model, which say their number

    def prepare(self, windows: Windows) -> None:
        self.weights: Kept | None = self.kept[self.number]
        self.taps = taps_of(self.weights.weight, windows)
        self.layers: dict[Pads, Any] = {}
        if not windows.auto_pad.startswith("SAME") or windows.steps(len(self.taps)) == (1,) * len(self.taps):
            self.layer(windows, windows.padding(self.taps, self.taps))
            self.weights = None  # there is no other padding

    def layer(self, windows: Windows, pads: Pads) -> Any:
        layer = self.layers.get(pads)
        if layer is None:
            assert self.weights is not None
            w, bias, activation = self.weights
            how = self.how(windows, pads)
            made = LAYERS[len(pads)].from_weights(w, bias, *how, activation=activation, accuracy=self.accuracy)
            layer = self.layers[pads] = made
        return layer

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        """The layer of x, or of x and of what is added before the activation."""
        x, add = (*inputs, None)[:2]
        rank = rank_of(x, self.taps)
        pads = windows.padding(x.shape[2:], self.taps)
        layer = self.layer(windows, pads)
        if add is None:
            return (layer(x),)
        along = zip(x.shape[2:], pads, windows.spans(self.taps), windows.steps(rank), strict=True)
        if add.shape == (len(x), len(layer.weight), *((n + sum(pair) - span) // s + 1 for n, pair, span, s in along)):
            return (layer(x, add=add),)
        how = self.how(windows, pads)
        y = CONV[rank](x, layer.weight, layer.bias, *how, accuracy=self.accuracy) + add  # they are not of one shape
        return (nn.activate(y, layer.activation),)


class ConvTransposeLayer(ConvTranspose):
    """A transposed layer whose weights are constants."""

    op_domain = DOMAIN
    kept: ClassVar[Sequence[Kept]] = ()

    def prepare(self, windows: Windows) -> None:
        self.weights = self.kept[self.number]
        taps_of(self.weights.weight, windows)

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        return (self.transposed(windows, inputs[0], self.weights),)


class ConvInteger(Operator):
    """A layer of bytes, whose sums are exact int32: `nn.QConv1d`, `QConv2d` or `QConv3d`."""

    made: tuple[Any, Any] | None = None  # what the last layer was made of, and that layer
    has_constants: ClassVar[bool] = False  # whether all of its inputs but x are

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x, w, x_zero, w_zero = (*inputs, None, None)[:4]
        return (self.layer(windows, x, x_zero, w, None, w_zero)(x),)

    def layer(self, windows: Windows, x: NDArray[Any], x_zero: Any, *arrays: Any, **how: Any) -> Any:
        """A layer of weights, bias and zeros. The last is kept for equal arrays, which may change in place."""
        w, bias, w_zero = arrays[:3]
        rank = rank_of(x, taps_of(w, windows))
        pads = windows.padding(x.shape[2:], w.shape[2:])
        given = [np.asarray(a) for a in (x_zero, *arrays) if a is not None and not self.has_constants]
        known = windows, pads, [(a.dtype, a.shape, a.tobytes()) for a in given]
        made = self.made
        if made is not None and made[0] == known:
            return made[1]
        zero = 0 if x_zero is None else int(self.zero(x_zero, 1, "x_zero_point")[0])
        zeros = None if w_zero is None else self.zero(w_zero, len(w), "w_zero_point")
        steps = windows.steps(rank), pads, windows.spread(rank), windows.group
        layer = QLAYERS[rank](w, bias, *steps, x_zero=zero, w_zero=zeros, overflow="wrap", **how)
        self.made = known, layer
        return layer

    def zero(self, point: Any, kernels: int, name: str) -> NDArray[np.int32]:
        """What stands for zero: a number, or one for each kernel."""
        zero = np.asarray(point).reshape(-1).astype(np.int32)
        if len(zero) not in (1, kernels):
            raise ValueError(f"{name} must be a number, or one for each kernel; got {len(zero)} of them")
        return zero


class QLinearConv(ConvInteger):
    """A layer of bytes that stand for numbers: sums are scaled, rounded to even, and saturate."""

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b = (*inputs, None)[:9]
        scale = np.float32(x_scale) * np.asarray(w_scale, np.float32).reshape(-1) / np.float32(y_scale)
        zero = np.asarray(y_zero)
        how = {"scale": scale, "y_zero": int(zero.item()), "dtype": zero.dtype}
        return (self.layer(windows, x, x_zero, w, b, w_zero, w_scale, x_scale, y_scale, y_zero, **how)(x),)


class BatchNormalization(Operator):
    """Normalisation of channels by given means and variances; if it trains, by those of x."""

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x, scale, bias, mean, variance = inputs
        channels = x.shape[1] if x.ndim > 1 else 1
        for array, name in zip(inputs[1:], ("scale", "B", "mean", "var"), strict=True):
            if array.shape != (channels,):
                raise ValueError(f"{name} must have shape ({channels},), one for each channel; got shape {array.shape}")
        version, epsilon = self.run_params["opsets"].get("", 14), attributes["epsilon"]
        if version >= 14:
            trains = bool(attributes["training_mode"])
        else:
            trains = not attributes.get("is_test") if version < 7 else len(self.output) > 1
        if not trains:
            return (_normalised(x, *affine(scale, bias, mean, variance, epsilon)),)
        axes = (0, *range(2, x.ndim))
        wide = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
        own_mean, own_variance = wide.mean(axis=axes), wide.var(axis=axes)
        y = _normalised(x, *affine(scale, bias, own_mean, own_variance, epsilon))
        kept, new = float(attributes["momentum"]), 1 - float(attributes["momentum"])
        running = mean * kept + own_mean * new, variance * kept + own_variance * new
        saved = (own_mean, own_variance) if version < 14 else ()
        return (y, *(a.astype(mean.dtype) for a in (*running, *saved)[: len(self.output) - 1]))


def affine(
    scale: NDArray[Any], bias: NDArray[Any], mean: NDArray[Any], variance: NDArray[Any], epsilon: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The factor of every channel, and what is added to it."""
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + float(epsilon))
    return factor, bias.astype(np.float64) - mean * factor


def _normalised(x: NDArray[Any], factor: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[Any]:
    dtype = np.promote_types(x.dtype, np.float32)
    over_channels = (-1, *(1,) * (x.ndim - 2))
    y: NDArray[Any] = x * factor.astype(dtype).reshape(over_channels)
    y += shift.astype(dtype).reshape(over_channels)
    return y.astype(x.dtype, copy=False)
