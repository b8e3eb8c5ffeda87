# SPDX-License-Identifier: BSD-3-Clause
"""Transposed convolution layers that hold their weights, and learn them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import (
    Names,
    Options,
    as_padding,
    is_last,
    pads_of,
    spans_of,
    transposed_geometry,
)
from fastconv.arguments.layers import as_bias, as_floats
from fastconv.arguments.values import as_count, as_own_numbers, per_axis
from fastconv.nn import functional, gradients, transposed
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.endings import Ending
from fastconv.nn.module import asked_of
from fastconv.typing import Accuracy, Activation, IntOrTuple, Layout, Padding

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

NAMES = Names("x", "weight", owner="weight")
SAVED = ("stride", "padding", "output_padding", "groups", "dilation", "activation", "layout")


class _ConvTranspose(Ending):
    """See ConvTranspose2d."""

    transposed = True
    fills = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        output_padding: IntOrTuple = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrTuple = 1,
        *,
        activation: Activation = None,
        layout: Layout | None = None,
        dtype: DTypeLike = np.float32,
        seed: Any = None,
        accuracy: Accuracy = "default",
        threads: int | None = None,
    ) -> None:
        channels = in_channels, out_channels
        weight, first, parts = self._initial(channels, kernel_size, groups, bias, dtype, seed)
        how = stride, padding, output_padding, parts, dilation, activation, layout
        self._set(weight, first, dict(zip(SAVED, how, strict=True)), accuracy, threads)

    @classmethod
    def from_weights(
        cls,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        output_padding: IntOrTuple = 0,
        groups: int = 1,
        dilation: IntOrTuple = 1,
        *,
        activation: Activation = None,
        layout: Layout | None = None,
        accuracy: Accuracy = "default",
        threads: int | None = None,
    ) -> Self:
        """A layer with copies of these weights (C, K / groups, ...) and bias (K,)."""
        layer = cls.__new__(cls)
        first = None if bias is None else as_own_numbers(bias, "bias")
        how = stride, padding, output_padding, groups, dilation, activation, layout
        w = as_own_numbers(weight, "weight")
        layer._set(w, first, dict(zip(SAVED, how, strict=True)), accuracy, threads)
        return layer

    def _set(
        self,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        how: dict[str, Any],
        accuracy: Accuracy,
        threads: int | None,
    ) -> None:
        """Bad arguments are reported here, not by the first call."""
        if w.ndim != self.rank + 2:
            raise ValueError(f"weight must have {self.rank + 2} dimensions; got shape {w.shape}")
        stride, dilation = (per_axis(how[name], self.rank, name) for name in ("stride", "dilation"))
        padding, groups = as_padding(how["padding"]), as_count(how["groups"], "groups")
        pads = pads_of(padding, spans_of(w.shape[2:], dilation, NAMES.w), (1,) * self.rank)
        x_shape = 1, w.shape[0], *(sum(pair) + 2 for pair in pads)  # enough for an output
        self.layout, self._last = how["layout"], is_last(how["layout"], self.rank)
        options = Options(stride, padding, dilation, groups)
        transposed_geometry(self.rank, x_shape, w.shape, how["output_padding"], options, NAMES)
        arrays, _ = as_floats({"weight": w, "bias": bias}, None, NAMES.owner)
        first = as_bias(arrays.get("bias"), groups * w.shape[1], "kernel")
        self._end_with(how["activation"])
        more = per_axis(how["output_padding"], self.rank, "output_padding", least=0)
        made = stride, padding, more, groups, dilation, self.activation, self.layout
        self._how = dict(zip(SAVED, made, strict=True))
        self._engine = functional.as_engine("auto", accuracy, threads)
        self._hold(arrays["weight"], first)

    @property
    def out_channels(self) -> int:
        """How many channels the output has."""
        return int(self.weight.shape[1] * self._how["groups"])

    @takes_bfloat16
    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The layer's output for x."""
        return self._computed(x, self.activation, out)

    def _computed(self, x: ArrayLike, activation: Activation, out: NDArray[Any] | None = None) -> NDArray[Any]:
        function = getattr(transposed, f"conv_transpose{self.rank}d")
        how = self._how | {"activation": activation}
        y: NDArray[Any] = function(x, self.weight, self.bias, **how, out=out, **asked_of(self._engine))
        return y

    def gradient(self, x: NDArray[Any], grad: NDArray[Any], needs_input: bool) -> NDArray[Any] | None:
        """A transposed layer is linear in x, with the layer of its weights as its adjoint, and in its weights, with the
        gradient that this layer's weights have where it reads grad and x is its output's gradient."""
        grad = self._before_end(grad)
        how = {name: self._how[name] for name in ("stride", "padding", "dilation", "groups", "layout")}
        engine = asked_of(self._engine)
        first = x.ndim - self.rank - self._last  # of the axes that windows slide along
        inner = *(slice(None),) * first, *(slice(n) for n in x.shape[first : first + self.rank])
        more = [m // s for m, s in zip(self._how["output_padding"], self._how["stride"], strict=True)]
        if any(more):  # grad has windows that no element of x is spread to
            x = np.pad(x, [(0, m) for m in (*(0,) * first, *more, *(0,) * x.ndim)[: x.ndim]])
        weight = getattr(gradients, f"conv{self.rank}d_weight")(grad, self.weight.shape, x, **how, **engine)
        result: NDArray[Any] | None = None
        if needs_input:
            result = getattr(functional, f"conv{self.rank}d")(grad, self.weight, **how, **engine)[inner]
        if self._bias is not None:
            second = grad if first + self.rank == grad.ndim else np.moveaxis(grad, -1, first)
            self._bias.grad = getattr(gradients, f"conv{self.rank}d_bias")(second)
        self._weight.grad = weight
        return result

    def _scaled(self, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        groups, w = self._how["groups"], self.weight
        parted = w.reshape(groups, -1, *w.shape[1:])
        factors = scale.reshape(groups, 1, -1, *(1,) * self.rank)
        return np.multiply(factors, parted, dtype=np.float64).reshape(w.shape)

    def _again(self, weight: NDArray[Any], bias: NDArray[Any] | None, activation: Activation) -> Self:
        layer = self.__new__(type(self))
        layer._set(weight, bias, self._how | {"activation": activation}, **asked_of(self._engine))
        return layer

    def _options(self) -> dict[str, Any]:
        return self._how

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        return cls.from_weights(**arrays, **options, **engine)

    def __repr__(self) -> str:
        w, how = self.weight, ", ".join(f"{name}={self._how[name]!r}" for name in SAVED[:-2])
        channels = f"{w.shape[0]}, {w.shape[1] * self._how['groups']}"
        how += f", dtype={w.dtype}"
        how += "".join(f", {name}={v!r}" for name in SAVED[-2:] if (v := self._how[name]) is not None)
        return f"{type(self).__name__}({channels}, kernel_size={w.shape[2:]}, {how})"


class ConvTranspose1d(_ConvTranspose):
    """A 1-D transposed convolution layer that holds its weights; see `ConvTranspose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.ConvTranspose1d(8, 4, 2, stride=2)(np.ones((2, 8, 10), np.float32)).shape
    (2, 4, 20)
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """A 2-D transposed convolution layer that holds its weights, with the arguments and the initialisation of
    `torch.nn.ConvTranspose2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation, output_padding : int or (int, int)
    padding, groups, activation, layout, accuracy, threads
        As for `conv_transpose2d`.
    bias : bool
        Whether to have one.
    dtype : {float16, float32, float64}
    seed : int or numpy.random.Generator, optional
        Of weights and bias, as for `Conv2d`.

    See Also
    --------
    ConvTranspose2d.from_weights : a layer with given weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.ConvTranspose2d(16, 8, 2, stride=2, seed=0)(np.ones((1, 16, 7, 7), np.float32)).shape
    (1, 8, 14, 14)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """A 3-D transposed convolution layer that holds its weights; see `ConvTranspose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.ConvTranspose3d(1, 2, 2, stride=2)(np.ones((1, 2, 3, 4), np.float32)).shape
    (2, 4, 6, 8)
    """

    rank = 3
