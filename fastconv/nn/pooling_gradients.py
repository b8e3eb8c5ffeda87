# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of pooling: with y the pooled x and a loss L, `grad_output` is dL/dy, and the functions return dL/dx.

of the largest   dx[n, c, i] = sum of dy[n, c, o]           over outputs o whose window's largest element is i
of means         dx[n, c, i] = sum of dy[n, c, o] / m[o]    over outputs o that see i; m: how many elements count
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.pooling import (
    Pool,
    PoolGradient,
    adaptive_arguments,
    as_input,
    avg_pool_arguments,
    gradient_arguments,
    max_pool_arguments,
)
from fastconv.arguments.values import contiguous
from fastconv.nn.functional import Ways, as_engine, carried_out, computed, readable, room_for
from fastconv.nn.pooling import METHODS, readable_x
from fastconv.plans import Answer, planned
from fastconv.reference import pooling as exact
from fastconv.runtime import _core
from fastconv.typing import IntOrTuple, Layout1d, Layout2d, Layout3d, PoolMethod, PoolPadding

__all__ = [
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward",
    "avg_pool1d_backward",
    "avg_pool2d_backward",
    "avg_pool3d_backward",
    "max_pool1d_backward",
    "max_pool2d_backward",
    "max_pool3d_backward",
]

WINDOWS = "kernel_size, stride, padding, dilation and ceil_mode"  # what says how many there are


@planned(grad_output="data", input="data", indices="data", out="out")
def max_pool1d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    *,
    indices: ArrayLike | None = None,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `max_pool1d`: `max_pool2d_backward` with one axis.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OW) or (C, OW)
    input : array_like, shape (N, C, W) or (C, W)
    kernel_size, stride, padding, dilation, ceil_mode, layout
        As they were for `max_pool1d`.
    indices : array_like of int64, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.max_pool1d_backward(np.array([[5.0, 6]]), np.array([[1.0, 3, 2, 0]]), 2)
    array([[0., 5., 6., 0.]])
    """
    how = kernel_size, stride, padding, dilation, ceil_mode, False, layout, None, "input"
    pool = max_pool_arguments(1, input, *how)
    return _backward(pool, (grad_output, input, indices), out, method, threads, "nn.max_pool1d_backward")


@planned(grad_output="data", input="data", indices="data", out="out")
def max_pool2d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    *,
    indices: ArrayLike | None = None,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `max_pool2d`: that of an output goes to the largest element of its window.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OH, OW) or (C, OH, OW)
        The gradient of the result, of input's dtype. Any strides.
    input : array_like, shape (N, C, H, W) or (C, H, W)
        What was pooled, of float16, float32 or float64.
    kernel_size, stride, padding, dilation, ceil_mode, layout
        As they were for `max_pool2d`.
    indices : array_like of int64, of grad_output's shape, optional
        Where the largest elements are, as `return_indices=True` says: they are not looked for again. -1: nowhere.
    out : ndarray, optional
        Where to put the result: of its shape and dtype. May overlap the others; filled directly if C-contiguous.
    method : {"auto", "direct", "numpy"}
        "numpy" is the reference.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray, shape of input
        Of equals, the first in the order of rows has the gradient, and of NaN the last: what `return_indices=True`
        finds. The same bits for any number of threads, any layout and any batch: gradients that meet in an element
        are added in the order of outputs. float16 is summed in float32.

    Raises
    ------
    ValueError
        `grad_output` has another shape than the result of `max_pool2d`, or an index is none, and what that raises.
    TypeError, MemoryError
        As for `max_pool2d`; TypeError also for integers.

    See Also
    --------
    avg_pool2d_backward : of the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.array([[[1.0, 3, 2, 0], [0, 2, 5, 5]]])
    >>> nn.max_pool2d_backward(np.array([[[1.0, 2]]]), x, 2)
    array([[[0., 1., 0., 0.],
            [0., 0., 2., 0.]]])
    """
    how = kernel_size, stride, padding, dilation, ceil_mode, False, layout, None, "input"
    pool = max_pool_arguments(2, input, *how)
    return _backward(pool, (grad_output, input, indices), out, method, threads, "nn.max_pool2d_backward")


@planned(grad_output="data", input="data", indices="data", out="out")
def max_pool3d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    *,
    indices: ArrayLike | None = None,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `max_pool3d`: `max_pool2d_backward` with three axes.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OD, OH, OW) or (C, OD, OH, OW)
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    kernel_size, stride, padding, dilation, ceil_mode, layout
        As they were for `max_pool3d`.
    indices : array_like of int64, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.max_pool3d_backward(np.ones((1, 1, 1, 1)), np.arange(8.0).reshape(1, 2, 2, 2), 2).ravel()
    array([0., 0., 0., 0., 0., 0., 0., 1.])
    """
    how = kernel_size, stride, padding, dilation, ceil_mode, False, layout, None, "input"
    pool = max_pool_arguments(3, input, *how)
    return _backward(pool, (grad_output, input, indices), out, method, threads, "nn.max_pool3d_backward")


@planned(grad_output="data", out="out")
def avg_pool1d_backward(
    grad_output: ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `avg_pool1d`: `avg_pool2d_backward` with one axis.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OW) or (C, OW)
    input_size : tuple of int
        (N, C, W) or (C, W).
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout
        As they were for `avg_pool1d`.
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.avg_pool1d_backward(np.array([[4.0, 8]]), (1, 4), 2)
    array([[2., 2., 4., 4.]])
    """
    how = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, None, "input_size"
    pool = avg_pool_arguments(1, as_input(input_size, grad_output), *how)
    return _backward(pool, (grad_output,), out, method, threads, "nn.avg_pool1d_backward")


@planned(grad_output="data", out="out")
def avg_pool2d_backward(
    grad_output: ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `avg_pool2d`: that of an output is divided among the elements of its window.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OH, OW) or (C, OH, OW)
        The gradient of the result, of float16, float32 or float64. Any strides.
    input_size : tuple of int
        Shape of what was pooled, (N, C, H, W) or (C, H, W).
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout
        As they were for `avg_pool2d`.
    out, method, threads
        As for `max_pool2d_backward`.

    Returns
    -------
    ndarray, shape input_size
        Of grad_output's dtype. The same bits for any number of threads, any layout and any batch: quotients are added
        down columns, and then these sums. float16 is summed in float32.

    Raises
    ------
    ValueError
        `grad_output` has another shape than the result of `avg_pool2d`, and what that raises.
    TypeError, MemoryError
        As for `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.avg_pool2d_backward(np.array([[[4.0, 8]]]), (1, 2, 4), 2)
    array([[[1., 1., 2., 2.],
            [1., 1., 2., 2.]]])
    """
    how = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, None, "input_size"
    pool = avg_pool_arguments(2, as_input(input_size, grad_output), *how)
    return _backward(pool, (grad_output,), out, method, threads, "nn.avg_pool2d_backward")


@planned(grad_output="data", out="out")
def avg_pool3d_backward(
    grad_output: ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `avg_pool3d`: `avg_pool2d_backward` with three axes.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OD, OH, OW) or (C, OD, OH, OW)
    input_size : tuple of int
        (N, C, D, H, W) or (C, D, H, W).
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout
        As they were for `avg_pool3d`.
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.avg_pool3d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 2), 2).ravel()
    array([0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125])
    """
    how = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, None, "input_size"
    pool = avg_pool_arguments(3, as_input(input_size, grad_output), *how)
    return _backward(pool, (grad_output,), out, method, threads, "nn.avg_pool3d_backward")


@planned(grad_output="data", input="data", indices="data", out="out")
def adaptive_max_pool1d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    output_size: Any,
    *,
    indices: ArrayLike | None = None,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `adaptive_max_pool1d`: `adaptive_max_pool2d_backward` with one axis.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OW) or (C, OW)
    input : array_like, shape (N, C, W) or (C, W)
    output_size, layout
        As they were for `adaptive_max_pool1d`.
    indices : array_like of int64, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_max_pool1d_backward(np.array([[5.0, 6]]), np.array([[1.0, 3, 2]]), 2)
    array([[ 0., 11.,  0.]])
    """
    pool = adaptive_arguments(1, input, output_size, False, False, layout, None, "input")
    return _backward(pool, (grad_output, input, indices), out, method, threads, "nn.adaptive_max_pool1d_backward")


@planned(grad_output="data", input="data", indices="data", out="out")
def adaptive_max_pool2d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    output_size: Any,
    *,
    indices: ArrayLike | None = None,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `adaptive_max_pool2d`: that of an output goes to the largest element of its window.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OH, OW) or (C, OH, OW)
        The gradient of the result, of input's dtype.
    input : array_like, shape (N, C, H, W) or (C, H, W)
        What was pooled, of float16, float32 or float64.
    output_size, layout
        As they were for `adaptive_max_pool2d`.
    indices, out, method, threads
        As for `max_pool2d_backward`.

    Returns
    -------
    ndarray, shape of input
        As for `max_pool2d_backward`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `max_pool2d_backward`; ValueError also for sizes below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_max_pool2d_backward(np.array([[[7.0]]]), np.array([[[1.0, 3], [2, 0]]]), 1)
    array([[[0., 7.],
            [0., 0.]]])
    """
    pool = adaptive_arguments(2, input, output_size, False, False, layout, None, "input")
    return _backward(pool, (grad_output, input, indices), out, method, threads, "nn.adaptive_max_pool2d_backward")


@planned(grad_output="data", input="data", indices="data", out="out")
def adaptive_max_pool3d_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    output_size: Any,
    *,
    indices: ArrayLike | None = None,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `adaptive_max_pool3d`: `adaptive_max_pool2d_backward` with three axes.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OD, OH, OW) or (C, OD, OH, OW)
    input : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    output_size, layout
        As they were for `adaptive_max_pool3d`.
    indices : array_like of int64, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_max_pool3d_backward(np.ones((1, 1, 1, 1)), np.arange(8.0).reshape(1, 2, 2, 2), 1).ravel()
    array([0., 0., 0., 0., 0., 0., 0., 1.])
    """
    pool = adaptive_arguments(3, input, output_size, False, False, layout, None, "input")
    return _backward(pool, (grad_output, input, indices), out, method, threads, "nn.adaptive_max_pool3d_backward")


@planned(grad_output="data", out="out")
def adaptive_avg_pool1d_backward(
    grad_output: ArrayLike,
    input_size: Sequence[int],
    output_size: Any,
    *,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `adaptive_avg_pool1d`: `adaptive_avg_pool2d_backward` with one axis.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OW) or (C, OW)
    input_size : tuple of int
        (N, C, W) or (C, W).
    output_size, layout
        As they were for `adaptive_avg_pool1d`.
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_avg_pool1d_backward(np.array([[4.0, 8]]), (1, 3), 2)
    array([[2., 6., 4.]])
    """
    x = as_input(input_size, grad_output)
    pool = adaptive_arguments(1, x, output_size, True, False, layout, None, "input_size")
    return _backward(pool, (grad_output,), out, method, threads, "nn.adaptive_avg_pool1d_backward")


@planned(grad_output="data", out="out")
def adaptive_avg_pool2d_backward(
    grad_output: ArrayLike,
    input_size: Sequence[int],
    output_size: Any,
    *,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `adaptive_avg_pool2d`: that of an output is divided among the elements of its window.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OH, OW) or (C, OH, OW)
        The gradient of the result, of float16, float32 or float64.
    input_size : tuple of int
        Shape of what was pooled, (N, C, H, W) or (C, H, W).
    output_size, layout
        As they were for `adaptive_avg_pool2d`.
    out, method, threads
        As for `max_pool2d_backward`.

    Returns
    -------
    ndarray, shape input_size
        As for `avg_pool2d_backward`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `avg_pool2d_backward`; ValueError also for sizes below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_avg_pool2d_backward(np.array([[[8.0]]]), (1, 2, 2), 1)
    array([[[2., 2.],
            [2., 2.]]])
    """
    x = as_input(input_size, grad_output)
    pool = adaptive_arguments(2, x, output_size, True, False, layout, None, "input_size")
    return _backward(pool, (grad_output,), out, method, threads, "nn.adaptive_avg_pool2d_backward")


@planned(grad_output="data", out="out")
def adaptive_avg_pool3d_backward(
    grad_output: ArrayLike,
    input_size: Sequence[int],
    output_size: Any,
    *,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of `adaptive_avg_pool3d`: `adaptive_avg_pool2d_backward` with three axes.

    Parameters
    ----------
    grad_output : array_like, shape (N, C, OD, OH, OW) or (C, OD, OH, OW)
    input_size : tuple of int
        (N, C, D, H, W) or (C, D, H, W).
    output_size, layout
        As they were for `adaptive_avg_pool3d`.
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_avg_pool3d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 2), 1).ravel()
    array([0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125])
    """
    x = as_input(input_size, grad_output)
    pool = adaptive_arguments(3, x, output_size, True, False, layout, None, "input_size")
    return _backward(pool, (grad_output,), out, method, threads, "nn.adaptive_avg_pool3d_backward")


def _backward(pool: Pool, asked: tuple[Any, ...], out: Any, method: str, threads: int | None, what: str) -> Any:
    """An Answer. asked: the gradient of the outputs, and what was pooled and indices, if these are read."""
    n = as_engine(method, "exact", threads, METHODS).threads
    windows = "output_size" if "adaptive" in what else WINDOWS
    c = gradient_arguments(
        pool, ("input_size" if pool.average else "input", windows), asked[0], None if pool.average else asked[2], out
    )
    ways = Ways(lambda c: _direct(c, n, asked), exact.gradient, exact.gradient, exact.gradient_error_bound)
    left = not pool.average and c.indices is None and pool.far
    return computed(c, "numpy" if left else method, ways, what)


def _direct(c: PoolGradient, threads: int, asked: tuple[Any, ...]) -> Answer:
    """With images first; channels second, or last where the others are so."""
    assert _core is not None
    pool, last = c.pool, c.channels_last
    grad = np.moveaxis(c.grad_output, 1, -1) if last else c.grad_output
    grad = readable(contiguous(grad, c.compute_dtype))
    indices = None if c.indices is None else readable(np.moveaxis(c.indices, 1, -1) if last else c.indices)
    reads = not pool.average and indices is None
    x = readable_x(pool) if reads else np.broadcast_to(np.zeros((), c.compute_dtype), c.shape)
    divisor = float(pool.divisor)
    plan = _core.PoolBackPlan(
        x, pool.axes, pool.behind, pool.average, pool.adaptive, False, pool.padded, divisor, last, threads
    )
    images, channels, *size = c.shape
    shape = (images, *size, channels) if last else c.shape
    apart = c.compute_dtype != c.dtype or indices is not None  # of which one may be none: then `out` stays as it is
    room = np.empty(shape, c.compute_dtype) if apart else room_for(c, last)
    result, made, _ = carried_out(plan, (grad, x if reads else None, indices), room, c.out, asked)
    if not last:
        return Answer(result, made)
    if made and not c.batched:
        made.then(operator.itemgetter(0))
    return Answer(np.moveaxis(result, -1, 1), made, done=True)
