# SPDX-License-Identifier: BSD-3-Clause
"""Windows as columns of a matrix (im2col), and columns added back (col2im): `torch.nn.functional.unfold` and `fold`.

A layer is then a matrix product, ``w.reshape(K, -1) @ unfold(x, ...)`` (Chellapilla, Puri and Simard, High Performance
Convolutional Neural Networks for Document Processing, 2006), and `fold` the adjoint of `unfold`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layers import Columns, fold_arguments, unfold_arguments
from fastconv.nn.functional import FOLD_METHODS, Ways, as_engine, carried_out, computed, readable
from fastconv.plans import Answer, planned
from fastconv.reference import windows
from fastconv.runtime import _core
from fastconv.typing import FoldMethod, IntOrTuple, Layout, Padding

__all__ = ["fold", "unfold"]


@planned(x="data")
def unfold(
    x: ArrayLike,
    kernel_size: IntOrTuple,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
    *,
    layout: Layout | None = None,
    method: FoldMethod = "auto",
    threads: int | None = None,
) -> Any:
    """The windows of images, one column each, as `torch.nn.functional.unfold`; also of signals and volumes.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Images, or one, of any dtype that is supported; any strides. With a `kernel_size` of one number in a tuple
        signals (N, C, W) or (C, W), of three volumes.
    kernel_size : int or tuple of int
        Taps along each axis. An integer means a square.
    dilation, stride : int or tuple of int
        Step from tap to tap, and from window to window.
    padding : int or tuple
        Zeros added, as for `conv2d`.
    layout : {"NCHW", "NHWC"}, optional
        Of the images, or "NWC" of signals and "NDHWC" of volumes, say. Columns are the same, of images with channels
        last, too.
    method : {"auto", "direct", "im2col", "numpy"}
        "numpy" is the reference.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray, shape (N, C * taps, L) or (C * taps, L)
        L windows, row by row; of x's dtype.

    Raises
    ------
    ValueError
        No window fits, wrong number of dimensions, parameters below 1, negative padding.
    TypeError
        x is of another dtype; parameters that are no integers.
    MemoryError
        No memory for the result.

    See Also
    --------
    fold : the adjoint.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.arange(9.0).reshape(1, 3, 3)
    >>> nn.unfold(x, 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    >>> nn.unfold(np.array([[1.0, 2, 4]]), (2,), padding=1)
    array([[0., 1., 2., 4.],
           [1., 2., 4., 0.]])
    """
    n = as_engine(method, "exact", threads, FOLD_METHODS).threads
    columns = unfold_arguments(x, kernel_size, dilation, padding, stride, layout)
    return _computed(columns, windows.columns, method, n, "nn.unfold", x)


@planned(x="data")
def fold(
    x: ArrayLike,
    output_size: IntOrTuple,
    kernel_size: IntOrTuple,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
    *,
    layout: Layout | None = None,
    method: FoldMethod = "auto",
    threads: int | None = None,
) -> Any:
    """Columns of windows added back to images, as `torch.nn.functional.fold`; also to signals and volumes.

    Parameters
    ----------
    x : array_like, shape (N, C * taps, L) or (C * taps, L)
        Columns, of any dtype that is supported.
    output_size : int or tuple of int
        Of the images, without padding: (H, W), or one number or three. An integer means a square.
    kernel_size, dilation, padding, stride, layout, method, threads
        As for `unfold`, whose adjoint it is.

    Returns
    -------
    ndarray, shape (N, C, H, W) or (C, H, W), or as `layout` says
        Every element is the sum of those of x that came from it, taps ascending: the same bits for any number of
        threads. Of x's dtype; float16 is summed in float32, integers modulo their range, and of bools any one counts.

    Raises
    ------
    ValueError
        x has no such columns: their number or length differs from what the sizes give; and what `unfold` raises.
    TypeError, MemoryError
        As for `unfold`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.fold(np.ones((4, 4)), 3, 2)                  # how many windows see each element
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """
    n = as_engine(method, "exact", threads, FOLD_METHODS).threads
    columns = fold_arguments(x, output_size, kernel_size, dilation, padding, stride, layout)
    return _computed(columns, windows.folded, method, n, "nn.fold", x)


def _of_floats(
    c: Columns, direct: Callable[[Columns], NDArray[Any]], exact: Callable[[Columns], NDArray[Any]]
) -> NDArray[Any]:
    """Other dtypes: copies are those of floats as large, and complex sums those of both parts."""
    size = c.dtype.itemsize
    if not c.folds and size in (2, 4, 8):
        alike = np.dtype(f"f{size}")
        return direct(c._replace(x=readable(c.x, dense=False).view(alike), dtype=alike)).view(c.dtype)
    if c.dtype.kind != "c":
        return exact(c)
    result = np.empty(c.shape, c.dtype)
    for part, of_x in (result.real, c.x.real), (result.imag, c.x.imag):
        part[...] = direct(c._replace(x=of_x, dtype=of_x.dtype))
    return result


def _computed(
    columns: Columns,
    exact: Callable[[Columns], NDArray[Any]],
    method: str,
    threads: int,
    what: str,
    asked: Any,
) -> Any:
    """There is no other way by NumPy than the reference, so the direct one serves for im2col, too."""

    def direct(c: Columns) -> Answer:
        assert _core is not None
        if c.dtype.kind != "f":
            return Answer(_of_floats(c, lambda floats: direct(floats).result, exact))
        x, result = readable(c.x, dense=c.folds), np.empty(c.shape, c.dtype)
        return carried_out(_core.FoldPlan(x, result, c.axes, c.folds, threads), (x,), result, None, (asked,))

    ways = Ways(direct, lambda c: direct(c).result, exact, windows.columns_error_bound)
    return computed(columns, method, ways, what)
