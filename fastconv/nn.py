# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers on NumPy arrays: what deep learning calls convolution, which is correlation with channels.

Arguments, their order and their meaning are those of `torch.nn.functional.conv1d`, `conv2d` and `conv3d`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import reference
from fastconv.arguments import IntOrTuple, _array, _per_axis
from fastconv.layers import ACTIVATIONS, Activation, Layer, Options, Padding, _padding, _pads, layer_arguments
from fastconv.runtime import _core, check_result, checking, get_num_threads, thread_count

__all__ = ["Conv1d", "Conv2d", "Conv3d", "conv1d", "conv2d", "conv3d"]

METHODS = ("auto", "direct", "im2col", "numpy")
LANES_BELOW = 32  # outputs in a row up to which depthwise layers like channels last as they are; others, a copy


def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    activation: Activation = None,
    layout: str | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    """A 1-D convolution layer: `conv2d` with one axis.

    x has shape (N, C, W) or (C, W), w (K, C / groups, S), the result (N, K, OW) or (K, OW); `layout` is "NCW" or "NWC".

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv1d(np.array([[[1.0, 2, 4, 8]]]), np.array([[[-1.0, 1]]]))
    array([[[1., 2., 4.]]])
    """
    how = stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out
    return _conv(1, x, w, bias, how, method, threads)


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    activation: Activation = None,
    layout: str | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    """A 2-D convolution layer, as `torch.nn.functional.conv2d` computes it.

    ``Y[n, o] = bias[o] + sum over channels c of X[n, c] (*) w[o, c]``, where ``(*)`` is the cross-correlation: the
    kernel is not flipped (Goodfellow, Bengio and Courville, Deep Learning, section 9.1; Zhang, Lipton, Li and Smola,
    Dive into Deep Learning, section 7.4).

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Images, or one. Any strides; never copied as a whole, but for float16, byte-swapped data and channels last.
    w : array_like, shape (K, C / groups, R, S)
        Kernels, of x's dtype.
    bias : array_like, shape (K,), optional
    stride, dilation : int or (int, int)
        Step from output to output, and from tap to tap.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Elements added before and behind rows and columns; "same", for stride 1, keeps their number (an odd one goes
        behind).
    groups : int
        Channels and kernels are split into so many groups that do not see each other; C groups of one channel make a
        depthwise layer.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is added: zeros, or x mirrored at its edge elements, its edge elements, x again.
    activation : {None, "relu", "relu6"} or (low, high)
        Bring every result between two numbers, at no cost: NaN stays NaN.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels are in x and in the result; w stays as it is. Depthwise layers of short rows read NHWC as it
        is, others make a copy with the channels first, which is faster.
    dtype : dtype, optional
        float16, float32 or float64: what x, w and bias are converted to. Without it they must be of one such dtype.
    out : ndarray, optional
        Where to put the result: of its shape and dtype. May overlap the others; filled directly if C-contiguous.
    method : {"auto", "direct", "im2col", "numpy"}
        "direct" computes in registers; "im2col" lays the windows out as columns and leaves the product to
        `numpy.matmul`, as a second opinion; "numpy" is the reference. "auto" is "direct".
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray, shape (N, K, OH, OW) or (K, OH, OW)
        ``OH = (H + padding before + padding behind - (R - 1) * dilation - 1) // stride + 1``, likewise OW. The same
        bits for any number of threads and any batch that an image is in. float16 is summed in float32. Sums are
        made in parts of about 128 taps (of one channel with more taps than that: up to 1024), so that errors grow
        little with the number of channels.

    Raises
    ------
    ValueError
        Shapes that do not fit each other, w larger than the padded input, `groups` that does not divide C or K,
        stride, dilation or groups below 1, negative padding, "same" with a stride, unknown names, `out` of another
        shape or read-only, sizes that overflow.
    TypeError
        Integers or complex numbers without `dtype`, dtypes that differ, masked arrays, parameters that are no
        integers, `out` of another dtype.
    MemoryError
        No memory for the result or for scratch.

    Notes
    -----
    Besides the result a call takes at most 4 MB of scratch for each thread (kernels of more than 3000 taps: what they
    see of one channel), kept for the next call.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.arange(18.0).reshape(1, 2, 3, 3)
    >>> w = np.stack([np.full((2, 2), 1.0), np.full((2, 2), -1.0)])[None]
    >>> nn.conv2d(x, w, np.array([30.0]))
    array([[[[-6., -6.],
             [-6., -6.]]]])
    >>> nn.conv2d(x, w, np.array([30.0]), padding="same", activation="relu").shape
    (1, 1, 3, 3)
    """
    how = stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out
    return _conv(2, x, w, bias, how, method, threads)


def conv3d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    activation: Activation = None,
    layout: str | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    """A 3-D convolution layer: `conv2d` with three axes.

    x has shape (N, C, D, H, W) or (C, D, H, W), w (K, C / groups, T, R, S); `layout` is "NCDHW" or "NDHWC".

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv3d(np.ones((1, 2, 3, 3, 3)), np.ones((1, 2, 3, 3, 3)))
    array([[[[[54.]]]]])
    """
    how = stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out
    return _conv(3, x, w, bias, how, method, threads)


# ---- layers that hold their weights ----------------------------------------------------------------


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


# ---- how ------------------------------------------------------------------------------------------


def _conv(
    rank: int,
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    how: tuple[Any, ...],
    method: str,
    threads: int | None,
    wide: tuple[NDArray[Any] | None, ...] | None = None,
) -> NDArray[Any]:
    """how: as in Options. wide: w and bias in the dtype of the arithmetic, if they are there already."""
    stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out = how
    if padding_mode == "zeros" and layout is dtype is out is threads is None and method == "auto":
        clamp = ACTIVATIONS.get(activation) if isinstance(activation, str) else None
        if (clamp or activation is None) and _core and not checking.get():
            y: NDArray[Any] | None = _core.conv_plain(rank, x, w, bias, stride, padding, dilation, groups, clamp)
            if y is not None:
                return y
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    n = get_num_threads() if threads is None else thread_count(threads, "threads")
    layer = layer_arguments(rank, x, w, bias, Options(*how))
    if 0 in layer.shape:
        return layer.deliver(np.empty(layer.shape, layer.dtype))
    if method == "numpy" or _core is None:
        return layer.deliver(reference.layer(layer))
    result = _im2col(layer) if method == "im2col" else _direct(layer, n, wide)
    if checking.get():
        expected, bound = reference.layer(layer), reference.layer_error_bound(layer)
        check_result(result.astype(layer.dtype), expected.astype(layer.dtype), bound, f"nn.conv{rank}d")
    return layer.deliver(result)


def _direct(layer: Layer, threads: int, wide: tuple[NDArray[Any] | None, ...] | None) -> NDArray[Any]:
    """In the compute dtype, with images first and channels second."""
    assert _core is not None
    dtype = layer.compute_dtype
    x = layer.x.astype(dtype, copy=False)
    if layer.channels_last and (layer.w.shape[1] > 1 or layer.axes[-1].out > LANES_BELOW):
        x = np.ascontiguousarray(x)
    w, bias = wide or (layer.w, layer.bias)
    w = np.require(w, dtype, ["C", "A"])
    bias = None if bias is None else np.require(bias, dtype, ["C", "A"])
    result = layer.out
    if result is not None and not layer.batched:
        result = result[None]
    inputs = [a for a in (layer.x, layer.w, layer.bias) if a is not None]
    if (
        result is None
        or layer.channels_last
        or result.dtype != dtype
        or not (result.flags.c_contiguous and result.flags.aligned)
        or any(np.may_share_memory(result, a) for a in inputs)
    ):
        result = np.empty(layer.shape, dtype)
    _core.conv(x, w, bias, result, layer.axes, layer.groups, layer.clamp, threads)
    return result


def _im2col(layer: Layer) -> NDArray[Any]:
    """The windows as columns of a matrix, times the kernels as rows."""
    dtype, rank = layer.compute_dtype, len(layer.axes)
    X = reference.continued(layer.x.astype(dtype, copy=False), layer.axes)
    spans = tuple((a.k - 1) * a.dilation + 1 for a in layer.axes)
    windows = np.lib.stride_tricks.sliding_window_view(X, spans, tuple(range(2, 2 + rank)))
    outputs = tuple(slice(None, None, a.stride) for a in layer.axes)
    taps = tuple(slice(None, None, a.dilation) for a in layer.axes)
    windows = windows[:, :, *outputs, *taps]  # (images, channels, outputs ..., taps ...)
    images = windows.shape[0]
    order = (1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank))
    columns = windows.transpose(order).reshape(layer.groups, -1, math.prod((images, *layer.shape[2:])))
    rows = layer.w.astype(dtype, copy=False).reshape(layer.groups, layer.w.shape[0] // layer.groups, -1)
    y: NDArray[Any] = (rows @ columns).reshape(layer.w.shape[0], images, *layer.shape[2:]).swapaxes(0, 1)
    if layer.bias is not None:
        y = y + layer.bias.astype(dtype).reshape(-1, *(1,) * rank)
    return y if layer.clamp is None else np.clip(y, *map(dtype.type, layer.clamp))
