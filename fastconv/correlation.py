# SPDX-License-Identifier: BSD-3-Clause
"""The scientific face: correlation and convolution in one, two and three dimensions.

Semantics only: which dtype, which shape, which engine. Arithmetic is in `csrc/` (through `_core`) or, for
`method="numpy"`, in `reference`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import costs, methods, reference, spectrum
from fastconv.arguments.axes import as_users
from fastconv.arguments.boundaries import source_index
from fastconv.arguments.conversion import converted
from fastconv.arguments.correlation import Correlation, Options, OuterProduct, correlation_arguments
from fastconv.plans import Answer, planned
from fastconv.reference.correlation import largest_element
from fastconv.runtime import _core, check_result, checking, get_num_threads, thread_count
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
    k : array_like, shape (n,)
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
    k : array_like, shape (n,)
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
    k : array_like, shape (h, w)
        Kernel, used as it is (`convolve2d` flips it); a complex one is conjugated, as SciPy does.
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
        number that fits, or the sum modulo 2**bits.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, any strides. May overlap x and k.
    nan : {"propagate", "ignore"}
        "ignore" leaves NaN in x out and makes up for them: ``y = sum(k x) * sum|k| / weight`` over the elements that
        count, `weight` being the sum of their ``|k|``; NaN where no weight remains. Where nothing is
        missing the result is the plain one. Integers become float64.
    mask : array_like of bool, optional
        Broadcasts to x; True where an element counts. The others are left out in the same way.
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
        are. Every method gives the same bits for any number of threads; "direct" for any crop, alignment
        and FMA-capable instruction set, too. Every method is within `fastconv.reference.error_bound`, for
        "direct" n u sum|x||k| with n taps and unit roundoff u.

    Raises
    ------
    ValueError
        Unknown names, wrong dimensions, an empty kernel, a kernel larger than x in mode "valid", `axes` out
        of range or repeated, stride or dilation below 1, an unfit `fillvalue`, `out` of another shape or read-only,
        NaN that is to become an integer, `overflow` for a float result, a result too large to address.
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
    k : array_like, shape (h, w)
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
    k : array_like, shape (d, h, w)
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
    k : array_like, shape (d, h, w)
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


# ---- engines ------------------------------------------------------------------------------------


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
    answer = answered(c, method, threads, what, x)
    of_floats = answer.plan and c.sum_dtype.kind == "f" and methods.is_direct_for_any_taps(c, method)
    if of_floats and type(k) is np.ndarray and k.dtype == c.compute_dtype and k.flags.c_contiguous and k.flags.aligned:
        answer.plan.with_any(k, convolve)
    return answer


def run(c: Correlation, method: str, threads: int | None, what: str) -> Any:
    return answered(c, method, threads, what).result


def answered(c: Correlation, method: str, threads: int | None, what: str, asked: Any = None) -> Answer:
    """The result of c; and the plan for calls with arrays like `asked`: c.x is a view of it, or a copy in its dtype."""
    choice = methods.choose(c, method)
    n = get_num_threads() if threads is None else thread_count(threads, "threads")
    if choice.method == "numpy":
        return Answer(reference.run(c))
    check = checking.get()
    if check:  # before out is written: it may be x itself
        right = reference.run(c._replace(out=None, asked_out=None, moved=()))
        bound = reference.error_bound(c, choice.factors, transformed=choice.points)
    weight = None
    if c.is_weighted:
        sums, weight = _normalised(c, choice, n)
        plan = None
    else:
        sums, plan = summed(c, choice, n, asked, threads is None)
    result = c.deliver(sums)
    if check:
        check_result(result, right[0] if c.return_weight else right, bound, what)
    if c.return_weight and weight is not None:
        if check:
            weights = reference.counted(c).weights
            weighing = methods.choose_for_weights(weights, choice)
            bound = reference.error_bound(weights, weighing.factors, transformed=weighing.points)
            check_result(weight, right[1], bound, f"weights of {what}")
        return Answer((c.as_asked(result), c._replace(asked_out=None).as_asked(weight)))
    return Answer(c.as_asked(result), plan)


def run_into(c: Correlation, choice: methods.Choice, what: str) -> None:
    """Put the sums of c, made in floats, into c.out; integers need a choice that casts."""
    assert c.out is not None
    check, x = checking.get(), c.x
    sums = _sums(c, choice, get_num_threads())
    if sums is not c.out:
        c.out[...] = sums
    if check:
        probe = _sums(c._replace(x=x, out=None), choice, get_num_threads())
        check_result(probe, reference.run(c._replace(out=None)), reference.error_bound(c, choice.factors), what)


def _normalised(c: Correlation, choice: methods.Choice, threads: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sums over the elements that count, and their weights, band by band: x is never copied as a whole.

    But for transforms, whose tiles would not be those of the whole.
    """
    result = np.empty(c.shape, c.compute_dtype)
    weight = np.empty(c.shape, result.real.dtype)
    if not result.size:
        return result, weight
    if choice.method == "fft":
        return _band_normalised(c, choice, threads)
    for at, part in _bands(c):
        result[at], weight[at] = _band_normalised(part, choice, threads)
    return result, weight


def _bands(c: Correlation) -> Iterator[tuple[tuple[Any, ...], Correlation]]:
    """Where each band of outputs is, and the correlation that it is."""
    outputs = c.axes[0].out
    rows = max(costs.MISSING_BAND * outputs // math.prod(c.shape), 1)
    for first in range(0, outputs, rows):
        end = min(first + rows, outputs)
        yield (..., slice(first, end), *(slice(None),) * (c.rank - 1)), c.band(first, end)


def _band_normalised(c: Correlation, choice: methods.Choice, threads: int) -> tuple[NDArray[Any], NDArray[Any]]:
    parts = reference.counted(c)
    weighing = methods.choose_for_weights(parts.weights, choice)
    direct = methods.Choice("direct", "")
    weight = _sums(parts.weights, weighing, threads)
    total = _sums(parts.window, direct if choice.method == "fft" else weighing, threads).reshape(())
    above = _sums(parts.above, choice, threads)
    if methods.keeps_faint_sums(parts.weights, choice):
        return reference.made_up(above, weight, total), weight
    # Counting is exact, and noise decides nothing: neither what is missing or whole, nor what is faint.
    present = parts.weights._replace(
        k=(c.k != 0).astype(np.uint8), factors=(), sum_dtype=np.dtype(np.int64), dtype=np.dtype(np.int64)
    )
    present = present._replace(fillvalue=int(present.fillvalue.real))
    count = _sums(present, methods.choose(present, "auto"), threads)
    weight[count == 0] = 0
    weight[count == np.count_nonzero(c.k)] = total
    result = reference.made_up(above, weight, total)
    faint = (count > 0) & (weight < reference.FAINT * total)
    for plane in np.argwhere(faint.any(tuple(range(-c.rank, 0)))):
        _redo(c.plane(tuple(plane)), faint[tuple(plane)], result[tuple(plane)], weight[tuple(plane)], threads)
    return result, weight


def _redo(c: Correlation, faint: NDArray[np.bool], result: NDArray[Any], weight: NDArray[Any], threads: int) -> None:
    """Put into result and weight, where `faint`, what the direct method makes of it."""

    def sums(part: Correlation) -> NDArray[Any]:
        return _sums(part, methods.Choice("direct", ""), threads)

    for at, band in _bands(c):
        if faint[at].any():
            ends = [np.flatnonzero(faint[at].any(tuple(set(range(c.rank)) - {i})))[[0, -1]] for i in range(c.rank)]
            cut: tuple[Any, ...] = tuple(slice(int(first), int(last) + 1) for first, last in ends)
            part = band.with_axes(tuple(a.part(w.start, w.stop) for a, w in zip(band.axes, cut, strict=True)))
            y, w = reference.normalised(part, sums)
            asked = faint[at][cut]
            result[at][cut][asked], weight[at][cut][asked] = y[asked], w[asked]


def _sums(c: Correlation, choice: methods.Choice, threads: int) -> NDArray[Any]:
    return summed(c, choice, threads)[0]


def summed(
    c: Correlation, choice: methods.Choice, threads: int, asked: Any = None, default_threads: bool = False
) -> tuple[NDArray[Any], Any]:
    """The sums by compiled code; in c.out where they can be written there at once. And the plan, as in `answered`, or
    None."""
    if choice.method not in ("direct", "im2col") and any(a.step > 1 for a in c.axes):
        dense = _sums(c.without_steps(), choice, threads)
        every: tuple[Any, ...] = (..., *(slice(None, None, a.step) for a in c.axes))
        part: NDArray[Any] = dense[every]
        return part, None
    if choice.method == "fft" and c.sum_dtype.kind in "iu":
        floats = _sums(c._replace(sum_dtype=np.dtype(np.float64), out=None), choice, threads)
        exact: NDArray[Any] = np.rint(floats).astype(np.int64).astype(c.sum_dtype)
        return exact, None
    if choice.whole and (c.sum_dtype.kind != "c" or np.isfinite(c.x).all()):
        window: tuple[Any, ...] = (..., *(slice(a.start, a.start + a.out) for a in c.axes))
        outputs: NDArray[Any] = spectrum.correlate(c.whole())[window].astype(c.compute_dtype, copy=False)
        return outputs, None
    if c.sum_dtype.kind == "c":
        return _complex_sums(c, choice, threads), None
    if choice.method != "fft":  # whose tiles are those of the whole
        c = _narrowed(c)
    arithmetic = methods.arithmetic(c)
    x, k = _readable(c.x, c), c.k.astype(arithmetic, copy=False)
    result_dtype = c.sum_dtype if c.sum_dtype.kind in "iu" else c.compute_dtype
    casts = choice.casts or (c.out is not None and c.out.dtype.char in "fd" and choice.method != "fft")
    fits = c.out is not None and (c.out.dtype == result_dtype or (casts and arithmetic.kind == "f"))
    if c.out is not None and fits and not _may_share_memory(c.out, x, k):
        result = c.out
    else:
        result = np.empty(c.shape, result_dtype)
    if not result.size:
        return result, None
    assert _core is not None
    taps = np.ascontiguousarray(k).reshape((1,) * (3 - c.rank) + k.shape)
    fill: complex = c.fillvalue
    if c.sum_dtype.kind in "iu":  # beyond int64, the same bits
        fill = (int(c.fillvalue.real) + 2**63) % 2**64 - 2**63
    factors = tuple(np.ascontiguousarray(f, arithmetic) for f in choice.factors)
    method = _core.METHOD[choice.method]
    plan = _core.CorrPlan(x, taps, result, c.axes, fill, method, threads, factors)
    if plan(x, result):
        # The sums of a box are scaled at the end: of numbers near the largest, they are too large before.
        scale, again = 2.0 ** c.k.size.bit_length(), np.empty_like(result)
        small = x.astype(arithmetic, copy=False) / arithmetic.type(scale)
        scaled = taps * arithmetic.type(scale)
        _core.CorrPlan(small, scaled, again, c.axes, fill / scale, method, threads)(small, again)
        np.copyto(result, again, where=~np.isfinite(result))
    return result, _serving(c, plan, x, result, asked, default_threads)


def _serving(
    c: Correlation, plan: Any, x: NDArray[Any], result: NDArray[Any], asked: Any, default_threads: bool
) -> Any:
    """The plan, by which result was made of x, for calls with arrays like `asked`; None: it does not suit them all."""
    if type(asked) is not np.ndarray or checking.get() or (c.asked_out is not None and result is not c.out):
        return None
    cast = None
    if not np.may_share_memory(x, asked):
        if c.moved or x.shape != asked.shape or not x.flags.c_contiguous or np.may_share_memory(c.x, asked):
            return None
        cast = x.dtype
    most = None
    if c.sum_dtype.kind in "iu":
        if c.k.size >= costs.CROSSOVERS["fft taps"]:  # what suits these depends on the elements of x
            return None
        if c.overflow != "wrap":
            most = largest_element(c)
            if most == 0:
                return None
    order = finish = None
    if c.asked_out is None:
        if c.moved:
            order = as_users(range(len(c.shape)), c.moved, c.rank)
        if c.dtype != result.dtype:
            finish = functools.partial(converted, dtype=c.dtype, overflow=c.overflow)
    return plan.serve(asked, x, result, order, finish, cast, most, default_threads)


def _complex_sums(c: Correlation, choice: methods.Choice, threads: int) -> NDArray[Any]:
    """Real correlations of the parts; a real x or k has no imaginary part."""
    result = np.empty(c.shape, c.sum_dtype)
    is_complex = c.x.dtype.kind == "c", c.k.dtype.kind == "c"
    part_dtype = result.real.dtype

    def part(x_part: str, k_part: str) -> NDArray[Any]:
        return _sums(
            c._replace(
                x=getattr(c.x, x_part),
                k=getattr(c.k, k_part),
                fillvalue=getattr(c.fillvalue, x_part),
                sum_dtype=part_dtype,
                out=None,
            ),
            choice,
            threads,
        )

    with np.errstate(all="ignore"):
        result.real = part("real", "real")
        result.imag = part("imag", "real") if is_complex[0] else part("real", "imag")
        if all(is_complex):
            result.real -= part("imag", "imag")
            result.imag += part("real", "imag")
    return result


def _narrowed(c: Correlation) -> Correlation:
    """c with no more of x than the outputs look at, where that is little of it: no more is gathered, or converted."""
    c = c.seen()
    if all(a.stride == a.dilation == 1 for a in c.axes):
        return c
    x, axes = c.x, list(c.axes)
    for i, a in enumerate(c.axes):
        sparse = a.sparse() if a.n else None
        if sparse is not None:
            elements, axes[i] = sparse
            source = source_index(elements, a.n, a.boundary)
            along = x.ndim - c.rank + i
            x = x[(slice(None),) * along + (source,)]
            outside = (source < 0).reshape(-1, *(1,) * (c.rank - 1 - i))
            if outside.any():
                x = np.where(outside, np.asarray(c.fillvalue, c.sum_dtype), x)
    return c._replace(x=x, axes=tuple(axes))


def _readable(x: NDArray[Any], c: Correlation) -> NDArray[Any]:
    """x as compiled code reads it: native, and nothing but float16 converted as a whole."""
    if (x.dtype.kind == "f" and x.dtype.itemsize in (2, c.compute_dtype.itemsize)) or not x.dtype.isnative:
        native = c.compute_dtype if x.dtype.kind == "f" else x.dtype.newbyteorder("=")
        return x.astype(native, copy=False)
    return x


def _may_share_memory(out: NDArray[Any], x: NDArray[Any], k: NDArray[Any]) -> bool:
    return np.may_share_memory(out, x) or np.may_share_memory(out, k)


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
) -> Explanation:
    """Say how `corr1d`, `corr2d` or `corr3d` would compute, and why, without computing.

    Parameters
    ----------
    x_shape : tuple of int
        (..., N), (..., H, W) or (..., D, H, W).
    k : tuple of int or ndarray
        The kernel, or the shape of one that has no structure to use. Its dimensions choose the function.
    mode, boundary, stride, dilation, method, threads
        As for `corr2d`.
    dtype : dtype
        Of x, and of k if that is a shape.

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
    tile     ... tap rows x ... columns in registers
    threads  2, over 6 chunks; about ... us on one thread
    >>> explain((1080, 1920), kernels.gaussian(31)).why
    'k is an outer product'
    """
    zero = np.zeros((), dtype)
    known = isinstance(k, np.ndarray)
    x, taps = np.broadcast_to(zero, x_shape), k if isinstance(k, np.ndarray) else np.broadcast_to(zero, k)
    options = Options(mode, boundary, stride=stride, dilation=dilation)
    if taps.ndim > 3:
        raise ValueError(f"k must have 1 to 3 dimensions; got shape {taps.shape}; of layers, fastconv.nn.explain tells")
    c = correlation_arguments(taps.ndim or 2, x, taps, options)
    choice = methods.choose(c, method, any_kernel=not known)
    threads = get_num_threads() if threads is None else thread_count(threads, "threads")
    if choice.method == "numpy":
        return Explanation(choice.method, choice.why, c.dtype, c.shape, "", "", 1, 1, math.nan)
    assert _core is not None
    used, chunks, serial_us = methods.plan(c, choice, threads)
    table = _core.table()
    lanes = table["vector_bytes"] // methods.arithmetic(c).itemsize
    if choice.method == "direct":
        rows, vectors = _core.corr_tile(c.k.shape[-2] if c.rank > 1 else 1)
        tile = f"{rows} tap rows x {vectors * lanes} columns in registers"
    elif choice.method == "separable":
        tile = "blocks of 32 x 1024 outputs in cache"
    elif choice.method == "fft":
        tile = "large transforms, by NumPy" if choice.whole else "pairs of tiles in cache"
    elif choice.method == "box":
        tile = "blocks in cache, no smaller than the kernel"
    else:
        tile = f"panels of windows, 1 x {8 * lanes} outputs in registers"
    return Explanation(choice.method, choice.why, c.dtype, c.shape, table["isa"], tile, used, chunks, serial_us)
