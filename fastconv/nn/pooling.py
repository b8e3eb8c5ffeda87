# SPDX-License-Identifier: BSD-3-Clause
"""Pooling: the largest element, or the mean, of every window. Arguments, their order and their meaning are those of
`torch.nn.functional.max_pool2d`, `avg_pool2d`, `adaptive_max_pool2d` and `adaptive_avg_pool2d`."""

from __future__ import annotations

import operator
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.pooling import Pool, adaptive_arguments, avg_pool_arguments, max_pool_arguments
from fastconv.arguments.values import contiguous
from fastconv.nn.functional import Ways, as_engine, carried_out, computed, readable, room_for
from fastconv.plans import Answer, planned
from fastconv.reference import pooling as exact
from fastconv.runtime import _core
from fastconv.typing import IntOrTuple, Layout1d, Layout2d, Layout3d, PoolMethod, PoolPadding

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

METHODS: tuple[str, ...] = get_args(PoolMethod)


@planned(x="data", out="out")
def max_pool1d(
    x: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The largest element of every window of signals: `max_pool2d` with one axis.

    Arguments mean what they do there. The result has shape (N, C, OW) or (C, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, W) or (C, W)
    kernel_size, stride, dilation : int
    padding : int, one for each axis, or pairs of them
    ceil_mode, return_indices : bool
    layout : {"NCW", "NWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.max_pool1d(np.array([[1.0, 3, 2, 0]]), 2)
    array([[3., 2.]])
    """
    how = kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out
    return _pooled(max_pool_arguments(1, x, *how), method, threads, "nn.max_pool1d", x)


@planned(x="data", out="out")
def max_pool2d(
    x: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The largest element of every window, as `torch.nn.functional.max_pool2d` computes it.

    Pooling makes a layer's answer depend less on where in a window something is, and pictures smaller (Goodfellow,
    Bengio and Courville, Deep Learning, section 9.3; Zhang, Lipton, Li and Smola, Dive into Deep Learning, section
    7.5).

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Images, or one, of integers, float16, float32 or float64. Any strides; copied where neither rows nor, with
        the channels last, pixels adjoin, and of other dtypes than float32 and float64. int64 and uint64 are left to
        NumPy.
    kernel_size : int or (int, int)
        Rows and columns of a window.
    stride : int or (int, int), optional
        Step from window to window; default `kernel_size`.
    padding : int, (int, int) or ((int, int), (int, int))
        Elements added before and behind rows and columns, at most half of `kernel_size`. None is ever the largest.
    dilation : int or (int, int)
        Step from element to element of a window.
    ceil_mode : bool
        Windows that reach beyond the padded x count, too, if they begin in x or in the padding before it.
    return_indices : bool
        Return where the largest elements are, too.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels are in x and in the results. Both are read and written as they are.
    out : ndarray, optional
        Where to put the result: of its shape and dtype. May overlap x; filled directly if C-contiguous.
    method : {"auto", "direct", "numpy"}
        "numpy" is the reference.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray, shape (N, C, OH, OW) or (C, OH, OW)
        ``OH = (H + padding before + padding behind - (kernel - 1) * dilation - 1) // stride + 1``, or rounded up with
        `ceil_mode`; likewise OW. Of x's dtype, and NaN where a window has one. The least number of the dtype where a
        window sees nothing of x, as dilated ones may amid padding.
    indices : ndarray of int64, of the same shape
        If asked for: ``row * W + column`` of the largest element, the first of equals, or of the last NaN. (0.0 and
        -0.0 are equal; without indices the largest may be either.) -1 of a window that sees nothing of x, where
        PyTorch's lies beyond x; no gradient goes there.

    Raises
    ------
    ValueError
        Windows larger than the padded input, padding of more than half of them, x without elements, numbers below 1,
        unknown names, `out` of another shape or read-only.
    TypeError
        Booleans, complex numbers, masked arrays, parameters that are no integers, `out` of another dtype.
    MemoryError
        No memory for the result or for scratch.

    See Also
    --------
    avg_pool2d : their mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.arange(16.0).reshape(1, 4, 4)
    >>> nn.max_pool2d(x, 2)
    array([[[ 5.,  7.],
            [13., 15.]]])
    >>> nn.max_pool2d(x, 3, stride=2, padding=1, return_indices=True)[1]
    array([[[ 5,  7],
            [13, 15]]])
    """
    how = kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out
    return _pooled(max_pool_arguments(2, x, *how), method, threads, "nn.max_pool2d", x)


@planned(x="data", out="out")
def max_pool3d(
    x: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: PoolPadding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The largest element of every window of volumes: `max_pool2d` with three axes.

    Arguments mean what they do there. The result has shape (N, C, OD, OH, OW) or (C, OD, OH, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    kernel_size, stride, dilation : int or (int, int, int)
    padding : int, one for each axis, or pairs of them
    ceil_mode, return_indices : bool
    layout : {"NCDHW", "NDHWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[7.]]]])
    """
    how = kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out
    return _pooled(max_pool_arguments(3, x, *how), method, threads, "nn.max_pool3d", x)


@planned(x="data", out="out")
def avg_pool1d(
    x: ArrayLike,
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
    """The mean of every window of signals: `avg_pool2d` with one axis.

    Arguments mean what they do there. The result has shape (N, C, OW) or (C, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, W) or (C, W)
    kernel_size, stride : int
    padding : int, one for each axis, or pairs of them
    ceil_mode, count_include_pad : bool
    divisor_override : int, optional
    layout : {"NCW", "NWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.avg_pool1d(np.array([[1.0, 3, 2, 0]]), 2)
    array([[2., 1.]])
    """
    how = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, out
    return _pooled(avg_pool_arguments(1, x, *how), method, threads, "nn.avg_pool1d", x)


@planned(x="data", out="out")
def avg_pool2d(
    x: ArrayLike,
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
    """The mean of every window, as `torch.nn.functional.avg_pool2d` computes it.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Images, or one, of float16, float32 or float64, as for `max_pool2d`.
    kernel_size, stride, padding, ceil_mode
        As for `max_pool2d`; padding is zeros.
    count_include_pad : bool
        Whether the zeros of the padding count. What `ceil_mode` adds beyond them never does.
    divisor_override : int, optional
        What sums are divided by instead of how many elements count.
    layout, out, method, threads
        As for `max_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, OH, OW) or (C, OH, OW)
        As for `max_pool2d`. The same bits for any number of threads, any layout and any batch that an image is in.
        Columns of a window are summed, and then these sums; windows of whole rows in 16 parts, which are added two by
        two. float16 is summed in float32.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `max_pool2d`; TypeError also for integers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.ones((1, 3, 3))
    >>> nn.avg_pool2d(x, 3, stride=2, padding=1).round(2)
    array([[[0.44, 0.44],
            [0.44, 0.44]]])
    >>> nn.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    array([[[1., 1.],
            [1., 1.]]])
    """
    how = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, out
    return _pooled(avg_pool_arguments(2, x, *how), method, threads, "nn.avg_pool2d", x)


@planned(x="data", out="out")
def avg_pool3d(
    x: ArrayLike,
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
    """The mean of every window of volumes: `avg_pool2d` with three axes.

    Arguments mean what they do there. The result has shape (N, C, OD, OH, OW) or (C, OD, OH, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    kernel_size, stride : int or (int, int, int)
    padding : int, one for each axis, or pairs of them
    ceil_mode, count_include_pad : bool
    divisor_override : int, optional
    layout : {"NCDHW", "NDHWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])
    """
    how = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, out
    return _pooled(avg_pool_arguments(3, x, *how), method, threads, "nn.avg_pool3d", x)


@planned(x="data", out="out")
def adaptive_avg_pool1d(
    x: ArrayLike,
    output_size: Any,
    *,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The means of as many windows of signals as are asked for: `adaptive_avg_pool2d` with one axis.

    Arguments mean what they do there. The result has shape (N, C, OW) or (C, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, W) or (C, W)
    output_size : int, None, or one of them for each axis
    layout : {"NCW", "NWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_avg_pool1d(np.array([[1.0, 3, 2]]), 2)
    array([[2. , 2.5]])
    """
    c = adaptive_arguments(1, x, output_size, True, False, layout, out)
    return _pooled(c, method, threads, "nn.adaptive_avg_pool1d", x)


@planned(x="data", out="out")
def adaptive_avg_pool2d(
    x: ArrayLike,
    output_size: Any,
    *,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The means of as many windows as are asked for, as `torch.nn.functional.adaptive_avg_pool2d` computes them.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        As for `avg_pool2d`.
    output_size : int, None or a pair of them
        Rows and columns of the result; None: as many as x has. Output o of O sees the elements from ``o * H // O`` to
        ``(o + 1) * H / O``, rounded up: 1 makes a global mean.
    layout, out, method, threads
        As for `max_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, OH, OW) or (C, OH, OW)

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `avg_pool2d`; ValueError also for sizes below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_avg_pool2d(np.arange(16.0).reshape(1, 4, 4), (1, 2))
    array([[[6.5, 8.5]]])
    """
    c = adaptive_arguments(2, x, output_size, True, False, layout, out)
    return _pooled(c, method, threads, "nn.adaptive_avg_pool2d", x)


@planned(x="data", out="out")
def adaptive_avg_pool3d(
    x: ArrayLike,
    output_size: Any,
    *,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The means of as many windows of volumes as are asked for: `adaptive_avg_pool2d` with three axes.

    Arguments mean what they do there. The result has shape (N, C, OD, OH, OW) or (C, OD, OH, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    output_size : int, None, or one of them for each axis
    layout : {"NCDHW", "NDHWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    array([[[[3.5]]]])
    """
    c = adaptive_arguments(3, x, output_size, True, False, layout, out)
    return _pooled(c, method, threads, "nn.adaptive_avg_pool3d", x)


@planned(x="data", out="out")
def adaptive_max_pool1d(
    x: ArrayLike,
    output_size: Any,
    return_indices: bool = False,
    *,
    layout: Layout1d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The largest elements of as many windows of signals as are asked for: `adaptive_max_pool2d` with one axis.

    Arguments mean what they do there. The result has shape (N, C, OW) or (C, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, W) or (C, W)
    output_size : int, None, or one of them for each axis
    return_indices : bool
    layout : {"NCW", "NWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_max_pool1d(np.array([[1.0, 3, 2]]), 2)
    array([[3., 3.]])
    """
    c = adaptive_arguments(1, x, output_size, False, return_indices, layout, out)
    return _pooled(c, method, threads, "nn.adaptive_max_pool1d", x)


@planned(x="data", out="out")
def adaptive_max_pool2d(
    x: ArrayLike,
    output_size: Any,
    return_indices: bool = False,
    *,
    layout: Layout2d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The largest elements of as many windows as are asked for, as `torch.nn.functional.adaptive_max_pool2d` computes
    them.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        As for `max_pool2d`.
    output_size : int, None or a pair of them
        As for `adaptive_avg_pool2d`.
    return_indices : bool
        As for `max_pool2d`.
    layout, out, method, threads
        As for `max_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, OH, OW) or (C, OH, OW), and indices if asked for

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `max_pool2d`; ValueError also for sizes below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_max_pool2d(np.arange(16.0).reshape(1, 4, 4), (1, 2), return_indices=True)
    (array([[[13., 15.]]]), array([[[13, 15]]]))
    """
    c = adaptive_arguments(2, x, output_size, False, return_indices, layout, out)
    return _pooled(c, method, threads, "nn.adaptive_max_pool2d", x)


@planned(x="data", out="out")
def adaptive_max_pool3d(
    x: ArrayLike,
    output_size: Any,
    return_indices: bool = False,
    *,
    layout: Layout3d | None = None,
    out: NDArray[Any] | None = None,
    method: PoolMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The largest elements of as many windows of volumes as are asked for: `adaptive_max_pool2d` with three axes.

    Arguments mean what they do there. The result has shape (N, C, OD, OH, OW) or (C, OD, OH, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    output_size : int, None, or one of them for each axis
    return_indices : bool
    layout : {"NCDHW", "NDHWC"}, optional
    out : ndarray, optional
    method : {"auto", "direct", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.adaptive_max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    array([[[[7.]]]])
    """
    c = adaptive_arguments(3, x, output_size, False, return_indices, layout, out)
    return _pooled(c, method, threads, "nn.adaptive_max_pool3d", x)


def _pooled(c: Pool, method: str, threads: int | None, what: str, asked: Any) -> Any:
    """An Answer; with indices, both arrays."""
    n = as_engine(method, "exact", threads, METHODS).threads
    found: list[NDArray[np.int64]] = []

    def direct(c: Pool) -> Answer:
        return _direct(c, n, asked, found)

    def reference(c: Pool) -> NDArray[Any]:
        if not c.finds:
            return exact.pooled(c)
        values, indices = exact.largest(c)
        found.append(indices)
        return values

    left = (c.dtype.kind != "f" and c.dtype.itemsize == 8) or (c.finds and c.far)
    ways = Ways(direct, exact.pooled, reference, exact.error_bound)
    answer = computed(c, "numpy" if left else method, ways, what)
    if not c.finds:
        return answer
    indices = found[0] if found else np.zeros(c.shape, np.int64)
    both = answer.result, np.ascontiguousarray(c.as_asked(indices))
    return Answer(both, answer.plan if c.batched else None)


def _direct(c: Pool, threads: int, asked: Any, found: list[NDArray[np.int64]]) -> Answer:
    """With images first; channels second, or last where x is so."""
    assert _core is not None
    x = readable_x(c)
    divisor, last = float(c.divisor), c.channels_last
    plan = _core.PoolPlan(x, c.axes, c.behind, c.average, c.adaptive, c.whole, c.padded, divisor, last, threads)
    converts = c.compute_dtype != c.dtype
    room = np.empty(_moved(c), c.compute_dtype) if converts else room_for(c, last)
    indices = np.empty(_moved(c), np.int64) if c.finds else None
    result, made, _ = carried_out(plan, (x, indices), room, c.out, (asked,))
    if indices is not None:
        found.append(np.moveaxis(indices, -1, 1) if last else indices)
    if converts and c.dtype.kind != "f":
        result = np.maximum(result, np.iinfo(c.dtype).min)  # a window without elements
    if not last:
        return Answer(result, made)
    if made and not c.batched:
        made.then(operator.itemgetter(0))
    return Answer(np.moveaxis(result, -1, 1), made, done=True)


def _moved(c: Pool) -> tuple[int, ...]:
    """The shape of what the extension makes."""
    images, channels, *outputs = c.shape
    return (images, *outputs, channels) if c.channels_last else c.shape


def readable_x(c: Pool) -> NDArray[Any]:
    """x as the extension reads it: aligned, with columns or channels that adjoin; of whole windows, all of it."""
    x = np.moveaxis(c.x, 1, -1) if c.channels_last else c.x
    x = readable(x if x.dtype == c.compute_dtype else contiguous(x, c.compute_dtype), dense=False)
    size = x.itemsize
    adjoins = x.flags.c_contiguous or (
        not c.whole and x.strides[-1] == size and all(step % size == 0 for step in x.strides)
    )
    x = x if adjoins else contiguous(x)
    return np.moveaxis(x, -1, 1) if c.channels_last else x
