# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers that hold their weights."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments import IntOrTuple, _array, _per_axis
from fastconv.layers import Activation, Options, Padding, _padding, _pads, layer_arguments
from fastconv.nn.functional import _conv

__all__ = ["Conv1d", "Conv2d", "Conv3d"]


class _Conv:
    """A layer with weights of its own; see Conv2d."""

    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        activation: Activation = None,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
        seed: Any = None,
        threads: int | None = None,
    ) -> None:
        taps = _per_axis(kernel_size, self.rank, "kernel_size")
        for name, n in ("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups):
            _per_axis(n, 1, name)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")
        shape = (out_channels, in_channels // groups, *taps)
        most = 1 / math.sqrt(math.prod(shape[1:]))
        rng = np.random.default_rng(seed)
        weight = rng.uniform(-most, most, shape).astype(dtype)
        first = rng.uniform(-most, most, out_channels).astype(dtype) if bias else None
        self._set(weight, first, Options(stride, padding, dilation, groups, padding_mode, activation, layout), threads)

    @classmethod
    def from_weights(
        cls,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        *,
        activation: Activation = None,
        layout: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """A layer with copies of these weights (K, C / groups, ...) and bias (K,)."""
        layer = cls.__new__(cls)
        first = None if bias is None else _array(bias, "bias").copy()
        options = Options(stride, padding, dilation, groups, padding_mode, activation, layout)
        layer._set(_array(weight, "weight").copy(), first, options, threads)
        return layer

    def _set(self, w: NDArray[Any], bias: NDArray[Any] | None, options: Options, threads: int | None) -> None:
        if w.ndim != self.rank + 2:
            raise ValueError(f"weight must have {self.rank + 2} dimensions; got shape {w.shape}")
        w = np.ascontiguousarray(w)
        dilation = _per_axis(options.dilation, self.rank, "dilation")
        spans = tuple((k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
        pads = _pads(_padding(options.padding), spans, _per_axis(options.stride, self.rank, "stride"))
        channels = w.shape[1] * options.groups
        large = (span + max(pair) for span, pair in zip(spans, pads, strict=True))  # enough for every padding_mode
        x = np.broadcast_to(w.dtype.type(0), (1, channels, *large))
        last = np.moveaxis(x, 1, -1) if options.layout is not None and not options.layout.startswith("NC") else x
        layer_arguments(self.rank, last, w, bias, options)  # so that bad arguments are reported here
        self._parts = w, bias
        self._wide = tuple(a if a is None or a.dtype != np.float16 else a.astype(np.float32) for a in self._parts)
        for a in (*self._parts, *self._wide):
            if a is not None:
                a.flags.writeable = False
        self._options, self._threads = options, threads

    @property
    def weight(self) -> NDArray[Any]:
        """The kernels (K, C / groups, ...), read-only; assign others of the same shape and dtype to change them."""
        return self._parts[0]

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._set(self._like(value, self._parts[0], "weight"), self._parts[1], self._options, self._threads)

    @property
    def bias(self) -> NDArray[Any] | None:
        """One number for each kernel, read-only; None: there is none."""
        return self._parts[1]

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        if self._parts[1] is None:
            raise ValueError("bias cannot be set: this layer was made without")
        self._set(self._parts[0], self._like(value, self._parts[1], "bias"), self._options, self._threads)

    @staticmethod
    def _like(value: ArrayLike, old: NDArray[Any], name: str) -> NDArray[Any]:
        new = _array(value, name).astype(old.dtype, casting="same_kind")
        if new.shape != old.shape:
            raise ValueError(f"{name} must have shape {old.shape}; got {new.shape}")
        return new

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The layer's output for x."""
        w, bias = self._parts
        how = self._options if out is None else self._options._replace(out=out)
        return _conv(self.rank, x, w, bias, how, "auto", self._threads, self._wide)

    def __repr__(self) -> str:
        o, w = self._options, self._parts[0]
        how = f"kernel_size={w.shape[2:]}, stride={o.stride}, padding={o.padding!r}, dilation={o.dilation}"
        how += f", groups={o.groups}, dtype={w.dtype}"
        return f"{type(self).__name__}({w.shape[1] * o.groups}, {w.shape[0]}, {how})"


class Conv1d(_Conv):
    """A 1-D convolution layer that holds its weights; see `Conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Conv1d(8, 4, 3, padding=1)(np.ones((2, 8, 10), np.float32)).shape
    (2, 4, 10)
    """

    rank = 1


class Conv2d(_Conv):
    """A 2-D convolution layer that holds its weights, with the arguments and the initialisation of `torch.nn.Conv2d`.

    Arguments are checked, and weights brought into the form that the arithmetic wants, once. A layer may be called from
    several threads at a time.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
    padding, padding_mode, groups, activation, layout, threads
        As for `conv2d`.
    bias : bool
        Whether to have one.
    dtype : {float16, float32, float64}
    seed : int or numpy.random.Generator, optional
        Weights and bias are uniform in +-1 / sqrt(taps of a kernel), which is what He, Zhang, Ren and Sun (Delving
        Deep into Rectifiers, 2015) propose, with the constant that PyTorch uses.

    See Also
    --------
    Conv2d.from_weights : a layer with given weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.Conv2d(3, 16, 3, padding="same", activation="relu", seed=0)
    >>> layer(np.ones((3, 32, 32), np.float32)).shape
    (16, 32, 32)
    >>> edges = nn.Conv2d.from_weights(np.array([[[[-1.0, 1.0]]]]))
    >>> edges(np.array([[[0.0, 0.0, 1.0]]]))
    array([[[0., 1.]]])
    """

    rank = 2


class Conv3d(_Conv):
    """A 3-D convolution layer that holds its weights; see `Conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Conv3d(1, 2, 3)(np.ones((1, 4, 5, 6), np.float32)).shape
    (2, 2, 3, 4)
    """

    rank = 3
