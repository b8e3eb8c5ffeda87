# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of convolution layers: names, arguments and meaning are those of `torch.nn.grad`.

With the layer ``Y = X (*) w + b`` and a loss L, `grad_output` is dL/dY, and the functions return dL/dX, dL/dw, dL/db.
The layer is linear in each, so they are its adjoints (Goodfellow, Bengio and Courville, Deep Learning, section 9.5).
With i the element of the padded X that output o sees under tap t:

    dX[n, c, i] = sum of dY[n, m, o] w[m, c, t]    over kernels m, and outputs o and taps t that meet in i
    dw[m, c, t] = sum of dY[n, m, o] X[n, c, i]    over images n and outputs o
    db[m]       = sum of dY[n, m, o]               over images n and outputs o
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import GRADIENT_NAMES, Names, Options
from fastconv.arguments.layers import (
    WeightGradient,
    backward_arguments,
    bias_gradient_arguments,
    input_gradient_arguments,
    weight_gradient_arguments,
)
from fastconv.arguments.values import as_flag
from fastconv.nn.bfloat16 import is_bfloat16, of_rank, rounded, widened
from fastconv.nn.functional import (
    SUM_METHODS,
    Engine,
    Ways,
    as_engine,
    carried_out,
    columns,
    computed,
    fillable,
    readable,
    words_of,
)
from fastconv.nn.transposed import adjoint
from fastconv.plans import Answer, planned
from fastconv.reference import adjoints, winograd
from fastconv.runtime import _core
from fastconv.typing import (
    Accuracy,
    GradientMethod,
    IntOrTuple,
    LayerMethod,
    Layout1d,
    Layout2d,
    Layout3d,
    Padding,
    PaddingMode,
)

__all__ = [
    "Gradients",
    "conv1d_backward",
    "conv1d_bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_backward",
    "conv2d_bias",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_backward",
    "conv3d_bias",
    "conv3d_input",
    "conv3d_weight",
]


class Gradients(NamedTuple):
    """The gradients of a layer; None where one was not asked for."""

    input: NDArray[Any] | None
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None


@planned(weight="data", grad_output="data", out="out")
def conv1d_input(
    input_size: Sequence[int],
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout1d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """The gradient of a 1-D layer's input: `conv2d_input` with one axis.

    Parameters
    ----------
    input_size : tuple of int
        (N, C, W) or (C, W).
    weight : array_like, shape (K, C / groups, S)
    grad_output : array_like, shape (N, K, OW) or (K, OW)
    stride, padding, dilation, groups, padding_mode
        The layer's.
    layout : {"NCW", "NWC"}, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv1d_input((1, 4), np.array([[[-1.0, 1.0]]]), np.array([[1.0, 2.0, 4.0]]))
    array([[-1., -1., -2.,  4.]])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype, out)
    return _input(1, input_size, weight, grad_output, options, as_engine(method, accuracy, threads))


@planned(weight="data", grad_output="data", out="out")
def conv2d_input(
    input_size: Sequence[int],
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout2d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """The gradient of a 2-D layer's input, as `torch.nn.grad.conv2d_input` computes it.

    Parameters
    ----------
    input_size : tuple of int
        Shape of the layer's input, (N, C, H, W) or (C, H, W): with a stride, inputs of several sizes have outputs of
        one.
    weight : array_like, shape (K, C / groups, R, S)
        The layer's kernels.
    grad_output : array_like, shape (N, K, OH, OW) or (K, OH, OW)
        The gradient of the layer's output, of weight's dtype. Any strides.
    stride, padding, dilation, groups, padding_mode
        The layer's; where elements are padded with others, their gradients are added to those of the others.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels are in `input_size`, `grad_output` and the result.
    dtype : dtype, optional
        float16, float32 or float64: what the arrays are converted to. Without it they must be of one such dtype.
    out : ndarray, optional
        Where to put the result: of its shape and dtype. May overlap the others; filled directly if C-contiguous.
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
        "im2col" is made of `numpy.matmul`, as a second opinion; "numpy" is the reference. "auto" is "direct",
        "winograd" or "fft", as for `conv2d`.
    accuracy : {"exact", "default", "fast"}
        As for `conv2d`.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray, shape input_size
        The same bits for any number of threads and any batch that an image is in. float16 is summed in float32. A
        weight that is not finite may make any element of its channel NaN.

    Raises
    ------
    ValueError
        `grad_output` has another shape than the layer's output, and what `conv2d` raises.
    TypeError, MemoryError
        As for `conv2d`.

    See Also
    --------
    conv2d_backward : all gradients at once.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv2d_input((1, 3, 4), np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.ones((1, 2, 2)), stride=(1, 2))
    array([[[1., 2., 1., 2.],
            [4., 6., 4., 6.],
            [3., 4., 3., 4.]]])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype, out)
    return _input(2, input_size, weight, grad_output, options, as_engine(method, accuracy, threads))


@planned(weight="data", grad_output="data", out="out")
def conv3d_input(
    input_size: Sequence[int],
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout3d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """The gradient of a 3-D layer's input: `conv2d_input` with three axes.

    Parameters
    ----------
    input_size : tuple of int
        (N, C, D, H, W) or (C, D, H, W).
    weight : array_like, shape (K, C / groups, T, R, S)
    grad_output : array_like, shape (N, K, OD, OH, OW) or (K, OD, OH, OW)
    stride, padding, dilation, groups, padding_mode
        The layer's.
    layout : {"NCDHW", "NDHWC"}, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv3d_input((1, 1, 1, 3), np.ones((1, 1, 1, 1, 2)), np.ones((1, 1, 1, 2)))
    array([[[[1., 2., 1.]]]])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype, out)
    return _input(3, input_size, weight, grad_output, options, as_engine(method, accuracy, threads))


@planned(input="data", grad_output="data", out="out")
def conv1d_weight(
    input: ArrayLike,
    weight_size: Sequence[int],
    grad_output: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout1d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: GradientMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """The gradient of a 1-D layer's weights: `conv2d_weight` with one axis.

    Parameters
    ----------
    input : array_like, shape (N, C, W) or (C, W)
    weight_size : tuple of int
        (K, C / groups, S).
    grad_output : array_like, shape (N, K, OW) or (K, OW)
    stride, padding, dilation, groups, padding_mode
        The layer's.
    layout : {"NCW", "NWC"}, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv1d_weight(np.array([[1.0, 2.0, 4.0, 8.0]]), (1, 1, 2), np.array([[1.0, 0.0, 1.0]]))
    array([[[ 5., 10.]]])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype, out)
    return _weight(1, input, weight_size, grad_output, options, as_engine(method, accuracy, threads, SUM_METHODS))


@planned(input="data", grad_output="data", out="out")
def conv2d_weight(
    input: ArrayLike,
    weight_size: Sequence[int],
    grad_output: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout2d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: GradientMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """The gradient of a 2-D layer's weights, as `torch.nn.grad.conv2d_weight` computes it.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (C, H, W)
        The layer's input. Any strides.
    weight_size : tuple of int
        Shape of the layer's kernels, (K, C / groups, R, S).
    grad_output : array_like, shape (N, K, OH, OW) or (K, OH, OW)
        The gradient of the layer's output, of input's dtype. Any strides.
    stride, padding, dilation, groups, padding_mode, layout, dtype, out, method, accuracy, threads
        As for `conv2d_input`. Of few outputs "auto" is "direct" unless `accuracy` is "fast": their sums are short, and
        "winograd" up to twice as far off.

    Returns
    -------
    ndarray, shape weight_size
        The same bits for any number of threads. float16 is summed in float32. Where "winograd" meets what is not
        finite, all is computed once more by "direct".

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `conv2d_input`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.arange(9.0).reshape(1, 3, 3)
    >>> nn.conv2d_weight(x, (1, 1, 2, 2), np.array([[[1.0, 0.0], [0.0, 1.0]]]))
    array([[[[ 4.,  6.],
             [10., 12.]]]])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype, out)
    return _weight(2, input, weight_size, grad_output, options, as_engine(method, accuracy, threads, SUM_METHODS))


@planned(input="data", grad_output="data", out="out")
def conv3d_weight(
    input: ArrayLike,
    weight_size: Sequence[int],
    grad_output: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout3d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: GradientMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """The gradient of a 3-D layer's weights: `conv2d_weight` with three axes.

    Parameters
    ----------
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    weight_size : tuple of int
        (K, C / groups, T, R, S).
    grad_output : array_like, shape (N, K, OD, OH, OW) or (K, OD, OH, OW)
    stride, padding, dilation, groups, padding_mode
        The layer's.
    layout : {"NCDHW", "NDHWC"}, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv3d_weight(np.ones((1, 3, 3, 3)), (1, 1, 1, 1, 2), np.ones((1, 3, 3, 2)))
    array([[[[[18., 18.]]]]])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype, out)
    return _weight(3, input, weight_size, grad_output, options, as_engine(method, accuracy, threads, SUM_METHODS))


def conv1d_bias(grad_output: ArrayLike) -> NDArray[Any]:
    """The gradient of a 1-D layer's bias: `conv2d_bias` with one axis.

    Parameters
    ----------
    grad_output : array_like, shape (N, K, OW) or (K, OW)
        The gradient of the layer's output.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv1d_bias(np.arange(6.0).reshape(2, 3))
    array([ 3., 12.])
    """
    return _bias(1, grad_output)


def conv2d_bias(grad_output: ArrayLike) -> NDArray[Any]:
    """The gradient of a 2-D layer's bias: the sum over images and outputs.

    Parameters
    ----------
    grad_output : array_like, shape (N, K, OH, OW) or (K, OH, OW)
        The gradient of the layer's output: float16 (summed in float32), float32 or float64.

    Returns
    -------
    ndarray, shape (K,)

    Raises
    ------
    ValueError, TypeError
        Another number of dimensions, another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv2d_bias(np.ones((8, 3, 5, 5)))
    array([200., 200., 200.])
    """
    return _bias(2, grad_output)


def conv3d_bias(grad_output: ArrayLike) -> NDArray[Any]:
    """The gradient of a 3-D layer's bias: `conv2d_bias` with three axes.

    Parameters
    ----------
    grad_output : array_like, shape (N, K, OD, OH, OW) or (K, OD, OH, OW)
        The gradient of the layer's output.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv3d_bias(np.ones((8, 3, 5, 5, 2)))
    array([400., 400., 400.])
    """
    return _bias(3, grad_output)


def conv1d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    needs: tuple[bool, bool, bool] = (True, True, True),
    padding_mode: PaddingMode = "zeros",
    layout: Layout1d | None = None,
    dtype: DTypeLike | None = None,
    method: GradientMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Gradients:
    """All gradients of a 1-D layer: `conv2d_backward` with one axis.

    Parameters
    ----------
    grad_output : array_like, shape (N, K, OW) or (K, OW)
    input : array_like, shape (N, C, W) or (C, W)
    weight : array_like, shape (K, C / groups, S)
    needs : (bool, bool, bool)
        Which gradients are wanted: of the input, the weights, the bias.
    stride, padding, dilation, groups, padding_mode
        The layer's.
    layout : {"NCW", "NWC"}, optional
    dtype : dtype, optional
    method : {"auto", "direct", "winograd", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv1d_backward(np.array([[1.0, 1.0]]), np.array([[1.0, 2.0, 4.0]]), np.array([[[-1.0, 1.0]]]))
    Gradients(input=array([[-1.,  0.,  1.]]), weight=array([[[3., 6.]]]), bias=array([2.]))
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype)
    return backward(1, grad_output, input, weight, options, needs, as_engine(method, accuracy, threads, SUM_METHODS))


def conv2d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    needs: tuple[bool, bool, bool] = (True, True, True),
    padding_mode: PaddingMode = "zeros",
    layout: Layout2d | None = None,
    dtype: DTypeLike | None = None,
    method: GradientMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Gradients:
    """All gradients of a 2-D layer, with its arguments checked and converted once.

    Parameters
    ----------
    grad_output : array_like, shape (N, K, OH, OW) or (K, OH, OW)
        The gradient of the layer's output.
    input : array_like, shape (N, C, H, W) or (C, H, W)
        The layer's input.
    weight : array_like, shape (K, C / groups, R, S)
        The layer's kernels.
    needs : (bool, bool, bool)
        Which gradients are wanted: of the input, the weights, the bias.
    stride, padding, dilation, groups, padding_mode, layout, dtype, method, accuracy, threads
        As for `conv2d_input`.

    Returns
    -------
    Gradients
        (input, weight, bias): what `conv2d_input`, `conv2d_weight` and `conv2d_bias` return, or None.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `conv2d_input`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x, w = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3))
    >>> g = nn.conv2d_backward(np.ones((1, 3, 5, 5)), x, w, padding=1, needs=(False, True, True))
    >>> g.input, g.weight.shape, g.bias
    (None, (3, 2, 3, 3), array([25., 25., 25.]))
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype)
    return backward(2, grad_output, input, weight, options, needs, as_engine(method, accuracy, threads, SUM_METHODS))


def conv3d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    needs: tuple[bool, bool, bool] = (True, True, True),
    padding_mode: PaddingMode = "zeros",
    layout: Layout3d | None = None,
    dtype: DTypeLike | None = None,
    method: GradientMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Gradients:
    """All gradients of a 3-D layer: `conv2d_backward` with three axes.

    Parameters
    ----------
    grad_output : array_like, shape (N, K, OD, OH, OW) or (K, OD, OH, OW)
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    weight : array_like, shape (K, C / groups, T, R, S)
    needs : (bool, bool, bool)
        Which gradients are wanted: of the input, the weights, the bias.
    stride, padding, dilation, groups, padding_mode
        The layer's.
    layout : {"NCDHW", "NDHWC"}, optional
    dtype : dtype, optional
    method : {"auto", "direct", "winograd", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> g = nn.conv3d_backward(np.ones((1, 2, 2, 2)), np.ones((1, 3, 3, 3)), np.ones((1, 1, 2, 2, 2)))
    >>> g.weight.ravel()
    array([8., 8., 8., 8., 8., 8., 8., 8.])
    """
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, dtype)
    return backward(3, grad_output, input, weight, options, needs, as_engine(method, accuracy, threads, SUM_METHODS))


# ---- how ------------------------------------------------------------------------------------------


def _input(
    rank: int, input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, options: Options, engine: Engine
) -> Any:
    if is_bfloat16(grad_output):
        call, how = of_rank(rank, conv1d_input, conv2d_input, conv3d_input), words_of(options, engine, "activation")
        named = {"grad_output": grad_output, "weight": weight}
        return rounded(lambda grad, w: call(input_size, w, grad, **how), named, options)
    layer = input_gradient_arguments(rank, input_size, weight, grad_output, options)
    return adjoint(layer, engine, f"nn.conv{rank}d_input", (grad_output, weight), (1, 0))


def _weight(
    rank: int, input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, options: Options, engine: Engine
) -> Any:
    if is_bfloat16(grad_output):
        call, how = (
            of_rank(rank, conv1d_weight, conv2d_weight, conv3d_weight),
            words_of(options, engine, "activation"),
        )
        named = {"grad_output": grad_output, "input": input}
        return rounded(lambda grad, x: call(x, weight_size, grad, **how), named, options)
    gradient = weight_gradient_arguments(rank, input, weight_size, grad_output, options)
    return _sums(gradient, engine, f"nn.conv{rank}d_weight", (input, grad_output))


def _bias(rank: int, grad_output: ArrayLike) -> NDArray[Any]:
    if is_bfloat16(grad_output):
        return rounded(lambda grad: _bias(rank, grad), {"grad_output": grad_output}, Options())
    grad = bias_gradient_arguments(rank, grad_output)
    return _sum(grad).astype(grad.dtype)


def backward(
    rank: int,
    grad_output: ArrayLike,
    input: ArrayLike,
    weight: ArrayLike,
    options: Options,
    needs: tuple[bool, bool, bool],
    engine: Engine,
    names: Names = GRADIENT_NAMES,
) -> Gradients:
    if not isinstance(needs, (tuple, list)) or len(needs) != 3:
        raise ValueError(f"needs must be three bools: of the input, the weights, the bias; got {needs!r}")
    wanted = [word for word, one in zip(("input", "weight", "bias"), needs, strict=True) if as_flag(one, "needs")]
    if is_bfloat16(grad_output):
        (grad, x, w), dtype = widened({"grad_output": grad_output, names.x: input, names.w: weight}, options.dtype)
        all_three = backward(rank, grad, x, w, options._replace(dtype=None), needs, engine, names)
        return Gradients(*(g if g is None else g.astype(dtype, copy=False) for g in all_three))
    how = tuple(options), tuple(engine), tuple(names)
    found = {word: of_both(rank, input, grad_output, weight, (*how, word)) for word in wanted or ["none"]}
    return Gradients(found.get("input"), found.get("weight"), found.get("bias"))


@planned(input="data", grad_output="data", weight="data")
def of_both(rank: int, input: ArrayLike, grad_output: ArrayLike, weight: ArrayLike, how: tuple[Any, ...]) -> Any:
    """One of the gradients that are asked for together."""
    what, (options, engine, names, of) = f"nn.conv{rank}d_backward", how
    of_input, of_weight = backward_arguments(rank, grad_output, input, weight, Options(*options), Names(*names))
    if of == "input":
        return adjoint(of_input, Engine(*engine), what, (grad_output, weight), (1, 2))
    if of == "weight":
        return _sums(of_weight, Engine(*engine), what, (input, grad_output))
    return _sum(of_input.x).astype(of_input.dtype) if of == "bias" else None


def _sums(gradient: WeightGradient, engine: Engine, what: str, asked: tuple[Any, ...] = ()) -> Answer:
    """The gradient of the weights; asked: as in carried_out."""
    ways = Ways(
        lambda c: _direct(c, engine, asked), _im2col, adjoints.weight_gradient, lambda c: error_bound(c, engine)
    )
    return computed(gradient, engine.method, ways, what)


def _plan(c: WeightGradient, x: NDArray[Any], grad: NDArray[Any], result: NDArray[Any], engine: Engine) -> Any:
    assert _core is not None
    plan = _core.WeightPlan(x, grad, result, c.axes, c.groups, engine.threads, **engine.words())
    return engine.obeyed(plan, c.shape, c.axes, c.groups, c.dtype)


def error_bound(c: WeightGradient, engine: Engine) -> NDArray[np.float64]:
    """How far the extension may be off."""
    bound = adjoints.weight_error_bound(c)
    if _core is None or engine.method == "im2col":
        return bound
    pairs = _plan(c, c.x, c.grad_output, np.empty(c.shape, c.dtype), engine).winograd()
    return np.maximum(bound, winograd.weight_error_bound(c, pairs)) if pairs else bound


def _direct(gradient: WeightGradient, engine: Engine, asked: tuple[Any, ...]) -> Answer:
    dtype, result = gradient.dtype, gradient.out
    x, grad = (readable(a, dense=False) for a in (gradient.x, gradient.grad_output))
    if result is None or not fillable(result, dtype, (x, grad)):
        result = np.empty(gradient.shape, dtype)
    plan = _plan(gradient, x, grad, result, engine)
    return carried_out(plan, (x, grad), result, gradient.out, asked)


def _im2col(gradient: WeightGradient) -> NDArray[Any]:
    """grad_output as rows, times what each output sees as columns."""
    dtype, groups = gradient.compute_dtype, gradient.groups
    rows = (
        gradient.grad_output.astype(dtype, copy=False).swapaxes(0, 1).reshape(groups, gradient.shape[0] // groups, -1)
    )
    seen = columns(gradient.x.astype(dtype, copy=False), gradient.axes, groups)
    product: NDArray[Any] = rows @ seen.swapaxes(1, 2)
    return product.reshape(gradient.shape)


def _sum(grad: NDArray[Any], most: int = 1 << 20) -> NDArray[Any]:
    """The gradient of the bias, of (images, kernels, ...): pairwise over the outputs of an image, then in float64, in
    one order whatever the strides. Of more elements: the sum of two halves. So few are copied, and signals heard."""
    images, kernels, *outputs = grad.shape
    long = next((axis for axis, n in enumerate(grad.shape) if axis != 1 and n > 1), None)
    if grad.size > most and long is not None:
        first, second = np.split(grad, [grad.shape[long] // 2], long)
        both: NDArray[Any] = _sum(first) + _sum(second)
        return both
    wide = np.require(grad, np.result_type(grad, np.float32), ["C", "A"])
    total: NDArray[Any] = wide.reshape(images, kernels, math.prod(outputs)).sum(2).sum(0, dtype=np.float64)
    return total
