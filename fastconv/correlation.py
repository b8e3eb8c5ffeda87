# SPDX-License-Identifier: BSD-3-Clause
"""The scientific face: correlation and convolution of images.

Semantics only: which dtype, which shape, which engine. Arithmetic is in `csrc/` (through `_core`) or, for
integers and `method="numpy"`, in `reference`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import reference
from fastconv.arguments import Correlation, correlation_arguments
from fastconv.runtime import _core, check_result, checking, get_num_threads, thread_count

__all__ = ["Explanation", "convolve2d", "corr2d", "explain"]

METHODS = ("auto", "direct", "im2col", "numpy")


def corr2d(
    x: ArrayLike,
    k: ArrayLike,
    mode: str = "valid",
    boundary: str = "constant",
    fillvalue: float = 0,
    *,
    out: NDArray[Any] | None = None,
    method: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    """2-D cross-correlation: slide the kernel over the image and sum the products.

    ``Y[..., i, j] = sum(X[..., i+a, j+b] * k[a, b] for a in range(h) for b in range(w))``, as in Zhang,
    Lipton, Li and Smola, Dive into Deep Learning, section 7.2.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
        Image, or images: leading axes are a batch. Any strides; never copied as a whole for
        float32 and float64.
    k : array_like, shape (h, w)
        Kernel, used as it is (`convolve2d` flips it).
    mode : {"valid", "same", "full"}
        Which outputs: those whose window lies inside x, shape (H-h+1, W-w+1); as many as x has
        pixels, (H, W), centred as in SciPy; all that meet x, (H+h-1, W+w-1).
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"}
        How x continues beyond its edges in modes "same" and "full", in the words of `numpy.pad`; "fill" and
        "symm" are SciPy's names for "constant" and "symmetric". The kernel may be larger than the image.
    fillvalue : scalar
        The value for "constant"; it must fit into the result's dtype.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, any strides. May overlap x and k.
    method : {"auto", "direct", "im2col", "numpy"}
        "direct" slides in registers; "im2col" lays the windows out as columns of a panel and takes a matrix
        product, as a second opinion; "numpy" is the reference. "auto" takes "direct" for floats and "numpy"
        for integers.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray
        Its dtype is NumPy's promotion for floats (float16 is computed in float32); bool and integers are
        summed exactly and returned as int64. "direct" gives the same bits for any number of threads,
        crop, alignment and FMA-capable instruction set. Every method is within
        `fastconv.reference.error_bound`, n u sum|x||k| for n taps and unit roundoff u.

    Raises
    ------
    ValueError
        Unknown names, wrong dimensions, an empty kernel, a kernel larger than x in mode "valid", an unfit
        `fillvalue`, `out` of another shape or read-only, a result too large to address.
    TypeError
        Dtypes other than bool, integers, float16, float32 and float64; masked arrays; `out` of another dtype.
    OverflowError
        A sum of integers that does not fit into int64.
    MemoryError
        No memory for the result or for scratch; `out` is untouched.

    See Also
    --------
    convolve2d : the same with the kernel flipped.
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
    """
    if out is None and method == "auto" and threads is None and _core is not None and not checking.get():
        result: NDArray[Any] | None = _core.corr2d_plain(x, k, mode, boundary, fillvalue, False)
        if result is not None:
            return result
    return _run(correlation_arguments(x, k, mode, boundary, fillvalue, out), method, threads, "corr2d")


def convolve2d(
    x: ArrayLike,
    k: ArrayLike,
    mode: str = "valid",
    boundary: str = "constant",
    fillvalue: float = 0,
    *,
    out: NDArray[Any] | None = None,
    method: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    """2-D convolution: `corr2d` with the kernel flipped in both axes.

    ``Y[..., i, j] = sum(X[..., i+h-1-a, j+w-1-b] * k[a, b])``, centred in mode "same" as
    `scipy.signal.convolve2d`. Parameters, result and errors are those of `corr2d`.

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
    if out is None and method == "auto" and threads is None and _core is not None and not checking.get():
        result: NDArray[Any] | None = _core.corr2d_plain(x, k, mode, boundary, fillvalue, True)
        if result is not None:
            return result
    arguments = correlation_arguments(x, k, mode, boundary, fillvalue, out, convolve=True)
    return _run(arguments, method, threads, "convolve2d")


def _choose(c: Correlation, method: str) -> tuple[str, str]:
    """The method that runs, and why."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if method == "numpy":
        return "numpy", "asked for"
    if _core is None:
        return "numpy", "the compiled extension cannot be imported"
    if c.dtype.kind == "i":
        if method != "auto":
            raise TypeError(
                f"method {method!r} takes float16, float32 and float64; got x of dtype {c.x.dtype} and k of dtype "
                f"{c.k.dtype}: use method 'auto' or 'numpy' for integers"
            )
        return "numpy", "integers are summed exactly by the reference"
    if method == "auto":
        return "direct", "the fastest for floats"
    return method, "asked for"


def _run(c: Correlation, method: str, threads: int | None, what: str) -> NDArray[Any]:
    method, _ = _choose(c, method)
    threads = get_num_threads() if threads is None else thread_count(threads, "threads")
    if method == "numpy":
        return reference.run(c)
    check = checking.get()
    if check:  # before out is written: it may be x itself
        expected, bound = reference.run(c._replace(out=None)), reference.error_bound(c)

    dtype = c.compute_dtype
    x, k = c.x.astype(dtype, copy=False), c.k.astype(dtype, copy=False)
    x3 = _stack(x)
    if c.out is not None and c.out.dtype == dtype and _writable_at_once(c.out, x, k):
        result = c.out
    else:
        result = np.empty(c.shape, dtype)
    if result.size:
        assert _core is not None
        geometry = c.top, c.left, _core.BOUNDARY[c.boundary], float(c.fillvalue), _core.METHOD[method], threads
        if x3 is not None:
            _core.corr2d(x3, k, _stack(result), *geometry)
        else:
            for i in np.ndindex(x.shape[:-2]):
                _core.corr2d(x[i][None], k, result[i][None], *geometry)
    with np.errstate(over="ignore"):
        result = c.deliver(result)
    if check:
        check_result(result, expected, bound, what)
    return result


def _writable_at_once(out: NDArray[Any], x: NDArray[Any], k: NDArray[Any]) -> bool:
    """Whether one call of C can fill out: it neither changes the input on the way nor can stop half-way."""
    shared = np.may_share_memory(out, x) or np.may_share_memory(out, k)
    return not shared and _stack(x) is not None and _stack(out) is not None


def _stack(a: NDArray[Any]) -> NDArray[Any] | None:
    """a (..., H, W) as (n, H, W) without a copy; None when its batch axes have no common stride."""
    if a.ndim == 2:
        return a[None]
    try:
        return np.reshape(a, (-1, *a.shape[-2:]), copy=False)
    except ValueError:
        return None


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
    k_shape: tuple[int, ...],
    mode: str = "valid",
    boundary: str = "constant",
    *,
    dtype: DTypeLike = np.float32,
    method: str = "auto",
    threads: int | None = None,
) -> Explanation:
    """Say how `corr2d` would compute arrays of these shapes, and why, without computing.

    Parameters
    ----------
    x_shape, k_shape : tuple of int
        (..., H, W) and (h, w).
    mode, boundary, method, threads
        As for `corr2d`.
    dtype : dtype
        Of both arrays.

    Returns
    -------
    Explanation
        A named tuple that prints as a few lines: method and reason, instruction set, tile, threads and
        chunks, expected time on one thread in microseconds.

    Raises
    ------
    ValueError, TypeError
        What `corr2d` would raise.

    Examples
    --------
    >>> from fastconv import explain
    >>> print(explain((1080, 1920), (7, 7), threads=2))  # doctest: +ELLIPSIS
    result   float32 (1074, 1914)
    method   direct: the fastest for floats
    isa      ...
    tile     ... tap rows x ... columns in registers
    threads  2, over 6 chunks; about ... us on one thread
    """
    zero = np.zeros((), dtype)
    x, k = np.broadcast_to(zero, x_shape), np.broadcast_to(zero, k_shape)
    c = correlation_arguments(x, k, mode, boundary, 0, None)
    method, why = _choose(c, method)
    threads = get_num_threads() if threads is None else thread_count(threads, "threads")
    if method == "numpy":
        return Explanation(method, why, c.dtype, c.shape, "", "", 1, 1, math.nan)
    assert _core is not None
    used, chunks, serial_us = _core.corr2d_plan(
        c.compute_dtype == np.float32,
        math.prod(c.shape[:-2]),
        c.x.shape[-2:],
        c.k.shape,
        c.shape[-2:],
        threads,
    )
    table = _core.table()
    lanes = table["vector_bytes"] // c.compute_dtype.itemsize
    h, _ = c.k.shape
    if method == "direct":
        rows, vectors = _core.corr_tile(h)
        tile = f"{rows} tap rows x {vectors * lanes} columns in registers"
    else:
        tile = f"panels of windows, 1 x {8 * lanes} outputs in registers"
    return Explanation(method, why, c.dtype, c.shape, table["isa"], tile, used, chunks, serial_us)
