# SPDX-License-Identifier: BSD-3-Clause
"""The scientific face: correlation and convolution in one, two and three dimensions.

Semantics only: which dtype, which shape, which engine. Arithmetic is in `csrc/` (through `_core`) or, for
`method="numpy"`, in `reference`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import methods
from fastconv.arguments.correlation import Options, OuterProduct, correlation_arguments
from fastconv.arguments.values import as_count, as_size, native_dtype
from fastconv.plans import planned
from fastconv.runtime import _core, get_num_threads, thread_count
from fastconv.sums import answered
from fastconv.typing import Boundaries, Boundary, IntOrTuple, Method, Mode, Nan, Overflow, Window

__all__ = [
    "Explanation",
    "convolve1d",
    "convolve2d",
    "convolve3d",
    "corr1d",
    "corr2d",
    "corr3d",
    "explain",
    "sepcorr2d",
]


@planned(x="data", k="taps", out="out")
def corr1d(
    x: ArrayLike,
    k: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundary = "constant",
    fillvalue: complex = 0,
    *,
    axis: int | None = None,
    stride: int = 1,
    dilation: int = 1,
    window: slice | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """1-D cross-correlation: slide the kernel along one axis and sum the products.

    ``Y[..., i] = sum(X[..., i+a] * k[a] for a in range(n))``. Arguments, result and errors are those of
    `corr2d`.

    Parameters
    ----------
    x : array_like, shape (..., N)
    k : array_like, shape (n,) or (..., n)
    mode : {"valid", "same", "full"}
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"}
    fillvalue : scalar
    axis : int, optional
        Which axis of x the kernel slides along; default the last one.
    stride, dilation : int
    window : slice, optional
    dtype : dtype, optional
    overflow : {"raise", "saturate", "wrap"}
    out : ndarray, optional
    nan : {"propagate", "ignore"}
    mask : array_like of bool, optional
    return_weight : bool
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> from fastconv import corr1d
    >>> corr1d([1, 2, 4, 8, 16], [-1, 1])
    array([1, 2, 4, 8])
    >>> corr1d([[1, 2], [3, 5], [7, 9]], [-1, 1], axis=0)
    array([[2, 3],
           [4, 4]])
    >>> corr1d(range(1000), range(10), "full", window=slice(500, 503))  # three of 1009 lags
    array([22380, 22425, 22470])
    >>> corr1d([[1, 2, 4], [8, 16, 32]], [[-1, 1], [1, 1]])  # a kernel for each signal
    array([[ 1,  2],
           [24, 48]])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(1, False, x, k, mode, boundary, fillvalue, axis, how, method, threads, "corr1d")


@planned(x="data", k="taps", out="out")
def convolve1d(
    x: ArrayLike,
    k: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundary = "constant",
    fillvalue: complex = 0,
    *,
    axis: int | None = None,
    stride: int = 1,
    dilation: int = 1,
    window: slice | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """1-D convolution: `corr1d` with the kernel flipped.

    ``Y[..., i] = sum(X[..., i+n-1-a] * k[a])``, centred in mode "same" as `scipy.signal.convolve`. Arguments,
    result and errors are those of `corr2d`; a complex kernel is not conjugated.

    Parameters
    ----------
    x : array_like, shape (..., N)
    k : array_like, shape (n,) or (..., n)
    mode : {"valid", "same", "full"}
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"}
    fillvalue : scalar
    axis : int, optional
        Which axis of x the kernel slides along; default the last one.
    stride, dilation : int
    window : slice, optional
    dtype : dtype, optional
    overflow : {"raise", "saturate", "wrap"}
    out : ndarray, optional
    nan : {"propagate", "ignore"}
    mask : array_like of bool, optional
    return_weight : bool
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> from fastconv import convolve1d
    >>> convolve1d([1, 1], [1, 2, 1], "full")  # a row of Pascal's triangle
    array([1, 3, 3, 1])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(1, True, x, k, mode, boundary, fillvalue, axis, how, method, threads, "convolve1d")


@planned(x="data", k="taps", out="out")
def corr2d(
    x: ArrayLike,
    k: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    fillvalue: complex = 0,
    *,
    axes: tuple[int, ...] | None = None,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    window: Window | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """2-D cross-correlation: slide the kernel over the image and sum the products.

    ``Y[..., i, j] = sum(X[..., i+a, j+b] * k[a, b] for a in range(h) for b in range(w))``, as in Zhang,
    Lipton, Li and Smola, Dive into Deep Learning, section 7.2.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
        Image, or images: leading axes are a batch. Any strides; never copied as a whole, but for float16 and
        byte-swapped data, and by transforms where elements are missing.
    k : array_like, shape (h, w) or (..., h, w)
        Kernel, used as it is (`convolve2d` flips it); a complex one is conjugated, as SciPy does. Leading axes are a
        batch of kernels. They broadcast against the axes of x that no kernel slides over, by NumPy's rules: each
        element has a kernel of its own.
    mode : {"valid", "same", "full"}
        Which outputs: those whose window lies inside x, shape (H-h+1, W-w+1); as many as x has
        pixels, (H, W), centred as in SciPy; all that meet x, (H+h-1, W+w-1).
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"} or a tuple of one for each axis
        How x continues beyond its edges in modes "same" and "full", in the words of `numpy.pad`; "fill" and
        "symm" are SciPy's names for "constant" and "symmetric". The kernel may be larger than the image.
    fillvalue : scalar
        The value for "constant"; it must fit into the dtype of the sums.
    axes : tuple of int, optional
        Which axes of x the kernel slides over; default the last ones. The result has them in the same places. Of a
        picture (H, W, 3), whose channels come last, they are ``axes=(0, 1)``: without, its rows are a batch.
    stride : int or tuple of int
        Only every so manyth output is computed: ``corr2d(..., stride=s)`` is ``corr2d(...)[..., ::s, ::s]``, by the
        same method to the bit.
    dilation : int or tuple of int
        Distance between neighbouring taps in x; the kernel spans ``(h-1) * dilation + 1`` rows.
    window : tuple of slice, optional
        Only this part of the result, one slice for each axis that the kernel slides over: the bits are those of
        that part of the whole. `fastconv.halo` says which part of x it needs.
    dtype : dtype, optional
        Of the result; default that of the sums. A wider float is also computed in; floats become integers by
        rounding half to even.
    overflow : {"raise", "saturate", "wrap"}
        What becomes of a sum that does not fit into an integer result: an `OverflowError`, the nearest
        number that fits, or the sum modulo 2**bits. NaN is no number: a `ValueError`, "saturate" or not.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, any strides. May overlap x and k.
    nan : {"propagate", "ignore"}
        "ignore" leaves NaN in x out and makes up for them: ``y = sum(k x) * sum|k| / weight`` over the elements that
        count, `weight` being the sum of their ``|k|``; NaN where no weight remains. Where nothing is
        missing the result is the plain one. Integers become float64.
    mask : array_like of bool, optional
        Broadcasts to x, as it is given; True where an element counts. The others are left out in the same way.
    return_weight : bool
        Return ``(y, weight)``.
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
        "direct" slides in registers; "im2col" lays the windows out as columns of a panel and takes a matrix
        product, as a second opinion; "separable" takes k apart into a sum of few outer products, one pass for each
        axis; "box" adds up running sums, for kernels whose taps are all the same, at a cost that does not grow with
        them; "fft" transforms tiles, for large kernels of floats; "numpy" is the reference. "auto" chooses; `explain`
        says what and why.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray
        The dtype of the sums is NumPy's promotion for floats and complex numbers (float16 is computed in
        float32). Like `numpy.sum`, bool and integers are summed exactly, in int64, or in uint64 if both x and k
        are. Every method gives the same bits for any number of threads, and of an element whatever batch it is in;
        "direct" for any crop, alignment and FMA-capable instruction set, too. Every method is within
        `fastconv.reference.error_bound`, for "direct" n u sum|x||k| with n taps and unit roundoff u.

    Raises
    ------
    ValueError
        Unknown names, wrong dimensions, an empty kernel, one larger than x in mode "valid", a batch of kernels that
        does not broadcast, `axes` out of range or repeated, stride or dilation below 1, an unfit `fillvalue`, `out` of
        another shape or read-only, NaN that is to become an integer, `overflow` for a float result, a result too large
        to address.
    TypeError
        Dtypes other than bool, integers, float16, float32, float64, complex64 and complex128; masked arrays;
        `out` of another dtype; stride or dilation that is no integer.
    OverflowError
        A sum that does not fit into the integer result.
    MemoryError
        No memory for the result or for scratch; `out` is untouched.

    See Also
    --------
    convolve2d : the same with the kernel flipped.
    sepcorr2d : the same with a kernel that is given as two factors.
    explain : which method, instruction set, threads and tile would run.

    Notes
    -----
    What OpenCV and IPP have arguments for. Their `anchor`, the tap (a, b) that lies over an output, is a window of the
    "full" result, which begins at ``(h-1-a, w-1-b)`` and is as large as x; "same" has that of ``(h-1)//2, (w-1)//2``.
    Their `divisor` is ``k / divisor``; of 0 that is not finite, and NumPy warns. Their `delta` is added to a float
    result, before it is rounded:

    >>> import numpy as np
    >>> from fastconv import corr2d
    >>> x, k, divisor, (a, b), delta = np.full((3, 4), 9, np.uint8), np.ones((2, 3), np.float32), 2, (0, 2), 240
    >>> window = tuple(slice(m - 1 - at, m - 1 - at + n) for m, at, n in zip(k.shape, (a, b), x.shape))
    >>> y = corr2d(x, k / divisor, "full", "reflect", window=window, dtype=np.float32)
    >>> y += delta
    >>> y.round().clip(0, 255).astype(np.uint8)  # cv2.filter2D(x, -1, k / divisor, anchor=(b, a), delta=delta)
    array([[255, 255, 255, 255],
           [255, 255, 255, 255],
           [255, 255, 255, 255]], dtype=uint8)

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import corr2d
    >>> corr2d(np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2))
    array([[19., 25.],
           [37., 43.]])
    >>> corr2d(np.arange(9).reshape(3, 3), np.ones((3, 3), int), mode="same", boundary="edge")
    array([[12, 18, 24],
           [30, 36, 42],
           [48, 54, 60]])
    >>> corr2d([[1.0, np.nan, 3.0, 4.0]], [[0.5, 0.5]], nan="ignore")
    array([[1. , 3. , 3.5]])
    >>> image = np.full((2, 3), 200, np.uint8)
    >>> corr2d(image, np.array([[1, 1]]), dtype=np.uint8, overflow="saturate")
    array([[255, 255],
           [255, 255]], dtype=uint8)
    >>> colours = np.arange(12.0).reshape(2, 2, 3)
    >>> corr2d(colours, np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1), axes=(0, 1))[0, 1]  # each has its own
    array([  3.,  40., 500.])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(2, False, x, k, mode, boundary, fillvalue, axes, how, method, threads, "corr2d")


@planned(x="data", k="taps", out="out")
def convolve2d(
    x: ArrayLike,
    k: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    fillvalue: complex = 0,
    *,
    axes: tuple[int, ...] | None = None,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    window: Window | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """2-D convolution: `corr2d` with the kernel flipped in both axes.

    ``Y[..., i, j] = sum(X[..., i+h-1-a, j+w-1-b] * k[a, b])``, centred in mode "same" as
    `scipy.signal.convolve2d`. Arguments, result and errors are those of `corr2d`; a complex kernel is not
    conjugated.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
    k : array_like, shape (h, w) or (..., h, w)
    mode : {"valid", "same", "full"}
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"} or a tuple of one for each axis
    fillvalue : scalar
    axes : tuple of int, optional
    stride, dilation : int or tuple of int
    window : tuple of slice, optional
    dtype : dtype, optional
    overflow : {"raise", "saturate", "wrap"}
    out : ndarray, optional
    nan : {"propagate", "ignore"}
    mask : array_like of bool, optional
    return_weight : bool
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import convolve2d
    >>> impulse = np.zeros((3, 3)); impulse[1, 1] = 1
    >>> convolve2d(impulse, np.arange(4.0).reshape(2, 2), mode="same")
    array([[0., 0., 0.],
           [0., 0., 1.],
           [0., 2., 3.]])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(2, True, x, k, mode, boundary, fillvalue, axes, how, method, threads, "convolve2d")


@planned(x="data", ky="taps", kx="taps", out="out")
def sepcorr2d(
    x: ArrayLike,
    ky: ArrayLike,
    kx: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    fillvalue: complex = 0,
    *,
    axes: tuple[int, ...] | None = None,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    window: Window | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """`corr2d` with the outer product of ky and kx, which is not made: one pass down and one across.

    ``Y[..., i, j] = sum(X[..., i+a, j+b] * ky[a] * kx[b])``. Arguments, result and errors are those of
    `corr2d`.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
    ky : array_like, shape (h,)
    kx : array_like, shape (w,)
    mode : {"valid", "same", "full"}
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"} or a tuple of one for each axis
    fillvalue : scalar
    axes : tuple of int, optional
    stride, dilation : int or tuple of int
    window : tuple of slice, optional
    dtype : dtype, optional
    overflow : {"raise", "saturate", "wrap"}
    out : ndarray, optional
    nan : {"propagate", "ignore"}
    mask : array_like of bool, optional
    return_weight : bool
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import sepcorr2d
    >>> sepcorr2d(np.arange(9).reshape(3, 3), [1, 2, 1], [-1, 0, 1])  # Sobel
    array([[8]])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(
        2, False, x, OuterProduct(ky, kx), mode, boundary, fillvalue, axes, how, method, threads, "sepcorr2d"
    )


@planned(x="data", k="taps", out="out")
def corr3d(
    x: ArrayLike,
    k: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    fillvalue: complex = 0,
    *,
    axes: tuple[int, ...] | None = None,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    window: Window | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """3-D cross-correlation: slide the kernel through the volume and sum the products.

    ``Y[..., z, i, j] = sum(X[..., z+c, i+a, j+b] * k[c, a, b])``. Arguments, result and errors are those
    of `corr2d`.

    Parameters
    ----------
    x : array_like, shape (..., D, H, W)
    k : array_like, shape (d, h, w) or (..., d, h, w)
    mode : {"valid", "same", "full"}
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"} or a tuple of one for each axis
    fillvalue : scalar
    axes : tuple of int, optional
    stride, dilation : int or tuple of int
    window : tuple of slice, optional
    dtype : dtype, optional
    overflow : {"raise", "saturate", "wrap"}
    out : ndarray, optional
    nan : {"propagate", "ignore"}
    mask : array_like of bool, optional
    return_weight : bool
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import corr3d
    >>> corr3d(np.arange(27).reshape(3, 3, 3), np.ones((2, 2, 2), int), stride=2)
    array([[[52]]])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(3, False, x, k, mode, boundary, fillvalue, axes, how, method, threads, "corr3d")


@planned(x="data", k="taps", out="out")
def convolve3d(
    x: ArrayLike,
    k: ArrayLike,
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    fillvalue: complex = 0,
    *,
    axes: tuple[int, ...] | None = None,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    window: Window | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    nan: Nan = "propagate",
    mask: ArrayLike | None = None,
    return_weight: bool = False,
    method: Method = "auto",
    threads: int | None = None,
) -> Any:
    """3-D convolution: `corr3d` with the kernel flipped in all three axes.

    Arguments, result and errors are those of `corr2d`; centred in mode "same" as `scipy.signal.convolve`. A complex
    kernel is not conjugated.

    Parameters
    ----------
    x : array_like, shape (..., D, H, W)
    k : array_like, shape (d, h, w) or (..., d, h, w)
    mode : {"valid", "same", "full"}
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"} or a tuple of one for each axis
    fillvalue : scalar
    axes : tuple of int, optional
    stride, dilation : int or tuple of int
    window : tuple of slice, optional
    dtype : dtype, optional
    overflow : {"raise", "saturate", "wrap"}
    out : ndarray, optional
    nan : {"propagate", "ignore"}
    mask : array_like of bool, optional
    return_weight : bool
    method : {"auto", "direct", "im2col", "separable", "box", "fft", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import convolve3d
    >>> convolve3d(np.ones((1, 1, 2)), np.arange(4.0).reshape(1, 2, 2), "full")
    array([[[0., 1., 1.],
            [2., 5., 3.]]])
    """
    how = stride, dilation, window, dtype, overflow, out, nan, mask, return_weight
    return _correlate(3, True, x, k, mode, boundary, fillvalue, axes, how, method, threads, "convolve3d")


def _correlate(
    rank: int,
    convolve: bool,
    x: Any,
    k: Any,
    mode: Any,
    boundary: Any,
    fillvalue: Any,
    axes: Any,
    how: tuple[Any, ...],
    method: Any,
    threads: Any,
    what: str,
) -> Any:
    """What all the functions above do."""
    c = correlation_arguments(rank, x, k, Options(mode, boundary, fillvalue, axes, *how), convolve=convolve)
    return answered(c, method, threads, what, x, k, flips=convolve)


class Explanation(NamedTuple):
    """How a call would run; made by `explain`, printed as a few lines."""

    method: str
    why: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    isa: str
    tile: str
    threads: int
    chunks: int
    serial_us: float

    def __str__(self) -> str:
        lines = [
            f"result   {self.dtype} {self.shape}",
            f"method   {self.method}: {self.why}",
        ]
        if self.isa:
            lines += [
                f"isa      {self.isa}",
                f"tile     {self.tile}",
                f"threads  {self.threads}, over {self.chunks} chunks; about {self.serial_us:.3g} us on one thread",
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from fastconv.tables import html_table

        return html_table(line.split(maxsplit=1) for line in str(self).splitlines())


def _unread(shape: Any, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """An array of that shape, of which no element is read."""
    sizes = as_size((shape,) if isinstance(shape, (int, np.integer)) else shape, name)
    try:
        return np.broadcast_to(np.zeros((), dtype), sizes)
    except ValueError as error:
        raise ValueError(f"{name} is no shape of an array: {error}; got {shape!r}") from None


def explain(
    x_shape: tuple[int, ...],
    k: tuple[int, ...] | NDArray[Any],
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    *,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    dtype: DTypeLike = np.float32,
    method: Method = "auto",
    threads: int | None = None,
    rank: int | None = None,
) -> Explanation:
    """Say how `corr1d`, `corr2d` or `corr3d` would compute, and why, without computing.

    Parameters
    ----------
    x_shape : tuple of int
        (..., N), (..., H, W) or (..., D, H, W).
    k : tuple of int or ndarray
        The kernel, or the shape of one that has no structure to use. Its dimensions choose the function, unless rank
        does. If kernels differ in what is fastest for them, what is told is true of the first one.
    mode, boundary, stride, dilation, method, threads
        As for `corr2d`.
    dtype : dtype
        Of x, and of k if that is a shape.
    rank : int, optional
        How many axes k slides over; those before are a batch of kernels.

    Returns
    -------
    Explanation
        A named tuple that prints as a few lines: method and reason, instruction set, tile, threads and
        chunks, expected time on one thread in microseconds.

    Raises
    ------
    ValueError, TypeError
        What the correlation would raise.

    Examples
    --------
    >>> from fastconv import explain, kernels
    >>> print(explain((1080, 1920), (7, 7), threads=2))  # doctest: +ELLIPSIS
    result   float32 (1074, 1914)
    method   direct: the fastest here; ...
    isa      ...
    tile     ... x ... outputs in registers
    threads  2, over 6 chunks; about ... us on one thread
    >>> explain((1080, 1920), kernels.gaussian(31)).why
    'k is an outer product'
    """
    asked = native_dtype(dtype)
    if asked is None:
        raise TypeError(f"dtype must be one of NumPy's; got {dtype!r}")
    known = isinstance(k, np.ndarray)
    x, taps = _unread(x_shape, asked, "x_shape"), k if isinstance(k, np.ndarray) else _unread(k, asked, "k")
    options = Options(mode, boundary, stride=stride, dilation=dilation)
    if rank is None and taps.ndim > 3:
        raise ValueError(f"k must have 1 to 3 dimensions; got shape {taps.shape}; of layers, fastconv.nn.explain tells")
    rank = None if rank is None else as_count(rank, "rank")
    if rank is not None and rank > 3:
        raise ValueError(f"rank must be 1, 2 or 3; got {rank!r}")
    c = correlation_arguments(rank or taps.ndim or 2, x, taps, options)
    choice, apart = methods.choose_for_all(c, method, any_kernel=not known), ""
    if choice is None:
        c = c.with_kernel((0,) * len(c.kernel_axes()))
        choice, apart = methods.choose(c, method, any_kernel=not known), "each kernel by itself; the first: "
    choice = choice._replace(why=apart + choice.why)
    threads = get_num_threads() if threads is None else thread_count(threads, "threads")
    if choice.method == "numpy":
        return Explanation(choice.method, choice.why, c.dtype, c.shape, "", "", 1, 1, math.nan)
    assert _core is not None
    used, chunks, serial_us = methods.plan(c, choice, threads)
    table = _core.table()
    lanes = table["vector_bytes"] // methods.arithmetic(c).itemsize
    if choice.method == "direct":
        rows, vectors = table["blocks"][0]
        tile = f"{rows} x {vectors * lanes} outputs in registers"
    elif choice.method == "separable":
        tile = "blocks of 32 x 1024 outputs in cache"
    elif choice.method == "fft":
        tile = "large transforms, by NumPy" if choice.whole else "pairs of tiles in cache"
    elif choice.method == "box":
        tile = "blocks in cache, no smaller than the kernel"
    else:
        tile = f"panels of windows, 1 x {8 * lanes} outputs in registers"
    return Explanation(choice.method, choice.why, c.dtype, c.shape, table["isa"], tile, used, chunks, serial_us)
