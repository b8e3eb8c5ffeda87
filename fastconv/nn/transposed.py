# SPDX-License-Identifier: BSD-3-Clause
"""Transposed convolution layers as functions: arguments, their order and their meaning are those of
`torch.nn.functional.conv_transpose1d`, `conv_transpose2d` and `conv_transpose3d`.

A transposed layer is the adjoint of a layer, and so is what makes the gradient of a layer's input of that of its
output: both are computed here.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import Options
from fastconv.arguments.layers import Layer, transposed_arguments
from fastconv.arguments.values import contiguous
from fastconv.nn.bfloat16 import floats, is_bfloat16, of_rank, rounded
from fastconv.nn.functional import Engine, Ways, as_engine, carried_out, computed, readable, room_for, words_of
from fastconv.plans import Answer, planned
from fastconv.reference import adjoints, windows, winograd
from fastconv.reference.activations import activated, activated_bound
from fastconv.reference.layers import transformed_error_bound
from fastconv.runtime import _core
from fastconv.typing import Accuracy, Activation, IntOrTuple, LayerMethod, Layout1d, Layout2d, Layout3d, Padding

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


@planned(x="data", w="data", bias="data", out="out")
def conv_transpose1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    activation: Activation = None,
    layout: Layout1d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """A 1-D transposed convolution layer: `conv_transpose2d` with one axis.

    Arguments mean what they do there. The result has shape (N, K, OW) or (K, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, W) or (C, W)
    w : array_like, shape (C, K / groups, S)
    bias : array_like, shape (K,), optional
    stride, dilation : int
    padding : int, (int,), ((int, int),), "valid", "same" or "same_lower"
    output_padding : int
    groups : int
    activation : str or (low, high), optional
    layout : str, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv_transpose1d(np.array([[1.0, 2, 3]]), np.array([[[1.0, 1]]]), stride=2)
    array([[1., 1., 2., 2., 3., 3.]])
    """
    options = Options(stride, padding, dilation, groups, "zeros", activation, layout, dtype, out)
    return _conv_transpose(1, x, w, bias, output_padding, options, as_engine(method, accuracy, threads))


@planned(x="data", w="data", bias="data", out="out")
def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    activation: Activation = None,
    layout: Layout2d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """A 2-D transposed convolution layer, as `torch.nn.functional.conv_transpose2d` computes it.

    Every element of x, times every kernel, is added to the outputs ``stride`` apart: as a matrix, the layer is the
    transpose of the convolution layer of these weights and arguments (Dumoulin and Visin, A guide to convolution
    arithmetic for deep learning, 2016, section 4).

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Images, or one. Any strides.
    w : array_like, shape (C, K / groups, R, S)
        Kernels, of x's dtype.
    bias : array_like, shape (K,), optional
    stride, dilation : int or (int, int)
        Step in the result from element to element of x, and from tap to tap.
    padding : int, (int, int), ((int, int), (int, int)), "valid", "same" or "same_lower"
        Rows and columns that the result has less, before and behind; "same" gives ``H * stride`` of them, those of
        which a layer with "same" makes x's, and so does "same_lower".
    output_padding : int or (int, int)
        Rows and columns that the result has more, behind; less than stride or dilation. They tell which of the inputs
        is meant that a layer with a stride brings to the same size.
    groups : int
        Channels and kernels are split into so many groups that do not see each other.
    activation, layout, dtype, out, method, accuracy, threads
        As for `conv2d`; copies with the channels second are made of what has them last.

    Returns
    -------
    ndarray, shape (N, K, OH, OW) or (K, OH, OW)
        ``OH = (H - 1) * stride - padding before - padding behind + (R - 1) * dilation + output_padding + 1``, likewise
        OW. The same bits for any number of threads and any batch that an image is in. float16 is summed in float32.

    Raises
    ------
    ValueError
        Shapes that do not fit each other, `groups` that does not divide C, more padding than there are outputs,
        `output_padding` that is not below stride or dilation, and what `conv2d` raises.
    TypeError, MemoryError
        As for `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv_transpose2d(np.array([[[1.0, 2.0]]]), np.array([[[[1.0, 10.0], [3.0, 30.0]]]]), stride=2)
    array([[[ 1., 10.,  2., 20.],
            [ 3., 30.,  6., 60.]]])
    >>> nn.conv_transpose2d(np.ones((8, 16, 7, 7)), np.ones((16, 4, 3, 3)), None, 2, 1, output_padding=1).shape
    (8, 4, 14, 14)
    """
    options = Options(stride, padding, dilation, groups, "zeros", activation, layout, dtype, out)
    return _conv_transpose(2, x, w, bias, output_padding, options, as_engine(method, accuracy, threads))


@planned(x="data", w="data", bias="data", out="out")
def conv_transpose3d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    activation: Activation = None,
    layout: Layout3d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """A 3-D transposed convolution layer: `conv_transpose2d` with three axes.

    Arguments mean what they do there. The result has shape (N, K, OD, OH, OW) or (K, OD, OH, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    w : array_like, shape (C, K / groups, T, R, S)
    bias : array_like, shape (K,), optional
    stride, dilation : int or (int, int, int)
    padding : int, three of them, three pairs, "valid", "same" or "same_lower"
    output_padding : int or (int, int, int)
    groups : int
    activation : str or (low, high), optional
    layout : str, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv_transpose3d(np.ones((1, 2, 2, 2)), np.ones((1, 3, 2, 2, 2)), stride=2).shape
    (3, 4, 4, 4)
    """
    options = Options(stride, padding, dilation, groups, "zeros", activation, layout, dtype, out)
    return _conv_transpose(3, x, w, bias, output_padding, options, as_engine(method, accuracy, threads))


# ---- how ------------------------------------------------------------------------------------------


def _conv_transpose(
    rank: int,
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    output_padding: IntOrTuple,
    options: Options,
    engine: Engine,
) -> Any:
    if is_bfloat16(x):
        call = of_rank(rank, conv_transpose1d, conv_transpose2d, conv_transpose3d)
        how = words_of(options, engine, "padding_mode") | {"output_padding": output_padding}
        how["bias"] = None if bias is None else floats(bias)
        return rounded(functools.partial(call, **how), {"x": x, "w": w}, options)
    layer = transposed_arguments(rank, x, w, bias, output_padding, options)
    return adjoint(layer, engine, f"nn.conv_transpose{rank}d", (x, w, bias))


def adjoint(
    layer: Layer,
    engine: Engine,
    what: str,
    asked: tuple[Any, ...] = (),
    slots: tuple[int, ...] = (0, 1, 2),
) -> Answer:
    """The result of the adjoint of a layer. what: the function's name. asked, slots: as in carried_out."""
    ways = Ways(
        lambda c: _direct(c, engine, asked, slots), _col2im, adjoints.transposed, lambda c: error_bound(c, engine)
    )
    return computed(layer, engine.method, ways, what)


def error_bound(layer: Layer, engine: Engine) -> NDArray[np.float64]:
    """How far the extension may be off."""
    return activated_bound(layer.activation, _sums_bound(layer, engine), layer.compute_dtype, layer.dtype)


def _sums_bound(layer: Layer, engine: Engine) -> NDArray[np.float64]:
    bound = adjoints.transposed_error_bound(layer)
    if _core is None or engine.method == "im2col":
        return bound
    whole = whole_of(layer)
    plan = engine.plan(whole.x, whole.w, whole, whole.axes, adjoint=True)
    pairs, tile = plan.winograd(), plan.transforms()
    if tile:
        of_tiles = np.broadcast_to(transformed_error_bound(whole, tile, adjoint=True), whole.shape)
    elif pairs:
        of_tiles = winograd.transposed_error_bound(whole, pairs)
    else:
        return bound
    return bound + (of_tiles if whole is layer else windows.added_back(of_tiles, layer.axes))


def whole_of(layer: Layer) -> Layer:
    """The layer whose result is added back where it lies beyond the one asked for; or this one, if that is cut off.

    What is added back is not rounded before: float16 is summed in float32.
    """
    if all(a.boundary == "constant" for a in layer.axes):
        return layer
    sizes, dtype = windows.extents(layer.axes), layer.compute_dtype
    axes = tuple(a._replace(n=n, lead=0, boundary="constant") for a, n in zip(layer.axes, sizes, strict=True))
    x, w = layer.x.astype(dtype, copy=False), layer.w.astype(dtype, copy=False)
    bias = None if layer.bias is None else layer.bias.astype(dtype, copy=False)
    return layer._replace(x=x, w=w, bias=bias, dtype=dtype, axes=axes, shape=(*layer.shape[:2], *sizes), out=None)


def _direct(layer: Layer, engine: Engine, asked: tuple[Any, ...], slots: tuple[int, ...]) -> Answer:
    """With images first and channels second."""
    whole = whole_of(layer)
    cut = whole is layer
    x = contiguous(whole.x) if layer.channels_last else whole.x
    w, bias = readable(whole.w), None if whole.bias is None else readable(whole.bias)
    result = room_for(layer) if cut else np.empty(whole.shape, whole.dtype)
    plan = engine.plan(x, w, whole, whole.axes, adjoint=True)
    answer = carried_out(plan, (x, w, bias), result, layer.out, asked, slots)
    return answer if cut else answer.then(functools.partial(windows.added_back, axes=layer.axes))


def _col2im(layer: Layer) -> NDArray[Any]:
    """The kernels as columns, times x as rows, are what every element adds to the windows."""
    dtype = layer.compute_dtype
    (images, channels), groups, taps = layer.shape[:2], layer.groups, layer.w.shape[2:]
    x = layer.x.astype(dtype, copy=False).swapaxes(0, 1).reshape(groups, layer.w.shape[0] // groups, -1)
    kernels = layer.w.astype(dtype, copy=False).reshape(groups, x.shape[1], -1)
    products = (kernels.swapaxes(1, 2) @ x).reshape(channels, *taps, images, *layer.x.shape[2:])
    X = np.zeros((channels, images, *windows.extents(layer.axes)), dtype)
    for at in np.ndindex(taps):
        X[windows.under(at, layer.axes)] += products[(slice(None), *at)]
    y = windows.added_back(X.swapaxes(0, 1), layer.axes)
    if layer.bias is not None:
        y = y + layer.bias.astype(dtype).reshape(-1, *(1,) * len(layer.axes))
    return activated(layer.activation, y).astype(dtype, copy=False)
