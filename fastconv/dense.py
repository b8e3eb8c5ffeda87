# SPDX-License-Identifier: BSD-3-Clause
"""The fully connected layer that a correlation is: its weights, its matrix, its cost, and the way back to the kernel.

A fully connected layer from a picture X to a picture Y has a weight for every pair of pixels (Zhang, Lipton, Li and
Smola, Dive into Deep Learning, section 7.1):

    Y[i, j] = sum over k, l of W[i, j, k, l] X[k, l]

If it is to treat all places alike (translation), W[i, j, k, l] depends on k - i and l - j only; if it is to look at
a neighbourhood only (locality), it is zero where these are large. What is left is a kernel, and Y the correlation
with it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.conversion import converted
from fastconv.arguments.correlation import Options, correlation_arguments
from fastconv.arguments.layer_geometry import check_size
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import (
    as_amount,
    as_count,
    as_flag,
    as_list,
    as_numbers,
    dtype_of_sums,
    is_listed,
    native,
    native_dtype,
    per_axis,
)
from fastconv.typing import Boundaries, IntOrTuple, Mode

__all__ = [
    "Cost",
    "Recovered",
    "as_kernel",
    "compare_kernel_sizes",
    "count_parameters",
    "dense_matrix",
    "dense_weight",
]

MOST_BYTES = 2**31  # of a 4-D weight


class Cost(NamedTuple):
    """What a layer costs."""

    kernel_size: tuple[int, ...] | None  # None: fully connected
    weights: int
    nbytes: int
    products: int  # of one weight and one element, for one picture
    reach: tuple[int, ...]  # elements along each axis that one output depends on
    stacked_reach: tuple[int, ...]  # the same behind `depth` such layers


def count_parameters(
    shape: tuple[int, ...] = (3000, 4000),
    channels: int = 3,
    units: int = 100,
    kernel_size: IntOrTuple | None = None,
    *,
    bias: bool = False,
    dtype: DTypeLike = np.float32,
    depth: int = 5,
) -> Cost:
    """What it costs to connect a picture to hidden units: fully, or by a kernel.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the picture (any number of axes).
    channels : int
        Of the picture: 3 colours.
    units : int
        Hidden units of a fully connected layer; output channels of a convolution layer, which computes a unit of each
        kind at every place ("same" padding).
    kernel_size : int or tuple of int, optional
        None: fully connected.
    bias : bool
        Whether every unit, or output channel, has one.
    dtype : dtype
        Of the weights, for their size in bytes.
    depth : int
        Layers, for `stacked_reach`.

    Returns
    -------
    Cost

    Raises
    ------
    ValueError, TypeError
        A size that is no integer of at least 1.

    Examples
    --------
    >>> from fastconv import dense
    >>> full = dense.count_parameters((3000, 4000), channels=3, units=100)
    >>> full.weights, full.nbytes / 1e9                     # 12 megapixels: 3.6 billion weights, 14.4 GB
    (3600000000, 14.4)
    >>> dense.count_parameters((3000, 4000), channels=3, units=100, kernel_size=3).weights
    2700
    """
    shape = _shape(shape)
    channels, units, depth = (
        as_count(n, name) for n, name in ((channels, "channels"), (units, "units"), (depth, "depth"))
    )
    bias, asked = as_flag(bias, "bias"), native_dtype(dtype)
    if asked is None or asked.kind not in "biufc":
        raise TypeError(f"dtype must be one of numbers; got {dtype!r}")
    size = asked.itemsize
    pixels = math.prod(shape)
    if kernel_size is None:
        weights = pixels * channels * units
        total = weights + units * bias
        return Cost(None, total, total * size, weights, shape, shape)
    taps = per_axis(kernel_size, len(shape), "kernel_size")
    weights = math.prod(taps) * channels * units
    total = weights + units * bias
    stacked = tuple(min(1 + depth * (k - 1), 2 * n - 1) for k, n in zip(taps, shape, strict=True))
    return Cost(taps, total, total * size, weights * pixels, taps, stacked)


def compare_kernel_sizes(
    sizes: Iterable[IntOrTuple] = (1, 3, 5, 7, 11, 31),
    shape: tuple[int, ...] = (3000, 4000),
    channels: int = 3,
    units: int = 100,
    **how: Any,
) -> list[Cost]:
    """The kernel size as a hyperparameter, the only one of a kernel: its cost and its reach, beside full connection.

    Parameters
    ----------
    sizes : iterable of int or tuple of int
    shape, channels, units, **how
        As for `count_parameters`.

    Returns
    -------
    list of Cost
        Fully connected, then one for each kernel size.

    Examples
    --------
    >>> from fastconv import dense
    >>> [(c.kernel_size, c.weights, c.stacked_reach) for c in dense.compare_kernel_sizes([3, 5], (100, 100), 1, 1)]
    [(None, 10000, (100, 100)), ((3, 3), 9, (11, 11)), ((5, 5), 25, (21, 21))]
    """
    taps = [per_axis(size, len(_shape(shape)), "sizes") for size in as_list(sizes, "sizes", "kernel sizes")]
    return [count_parameters(shape, channels, units, size, **how) for size in (None, *taps)]


def _shape(shape: Any) -> tuple[int, ...]:
    """Elements along every axis."""
    if not is_listed(shape) or len(shape) == 0:
        raise TypeError(f"shape must be a tuple of integers; got {shape!r}")
    return per_axis(shape, len(shape), "shape")


# ---- from the kernel to the fully connected layer ------------------------------------------------


def dense_weight(
    k: ArrayLike, shape: tuple[int, int], mode: Mode = "valid", boundary: Boundaries = "constant"
) -> NDArray[Any]:
    """The weights W[i, j, k, l] of the fully connected layer that ``corr2d(x, k, mode, boundary)`` is.

    Parameters
    ----------
    k : array_like, shape (h, w)
        Kernel of numbers.
    shape : (int, int)
        Rows and columns of x.
    mode, boundary
        As for `fastconv.corr2d`. The fill value of "constant" is zero.

    Returns
    -------
    ndarray, shape (OH, OW, H, W)
        Of k's dtype, or of integers and bools what `corr2d` sums in: int64, or uint64. Complex kernels are conjugated,
        as `corr2d` takes them. ``np.einsum("ijkl,kl", W, x)`` is the correlation. Beyond the border, "edge" and its
        like add weights to elements inside.

    Raises
    ------
    ValueError, TypeError
        What `corr2d` refuses; weights of more than 2 GB, with their number of bytes.
    OverflowError
        Weights of integers that add up to more than their dtype holds.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> W = fastconv.dense.dense_weight([[1, 2]], (1, 4))
    >>> W.reshape(3, 4)
    array([[1, 2, 0, 0],
           [0, 1, 2, 0],
           [0, 0, 1, 2]])
    """
    c = _correlation(k, shape, mode, boundary)
    outputs, inputs = math.prod(c.shape), math.prod(c.x.shape)
    n = outputs * inputs * c.k.dtype.itemsize
    if n > MOST_BYTES:
        raise ValueError(f"shape {c.x.shape} makes weights of {n} bytes; accepted: {MOST_BYTES}. See dense_matrix")
    W = np.zeros((outputs, inputs), c.k.dtype)
    np.add.at(W, *_entries(c))
    return W.reshape(*c.shape, *c.x.shape)


def dense_matrix(
    k: ArrayLike,
    shape: tuple[int, int],
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    *,
    sparse: bool = True,
) -> Any:
    """The same as a matrix: one row for each element of the result, one column for each of x, both in row-major order.

    It is a doubly blocked Toeplitz matrix: constant along diagonals (Goodfellow, Bengio and Courville, Deep Learning,
    section 9.1).

    Parameters
    ----------
    k, shape, mode, boundary
        As for `dense_weight`.
    sparse : bool
        True: as `scipy.sparse.csr_array`, which has room for large pictures; needs SciPy, and of float16 is float32.
        False: as ndarray.

    Returns
    -------
    scipy.sparse.csr_array or ndarray, shape (OH * OW, H * W)

    Raises
    ------
    ImportError
        There is no SciPy and `sparse` is True.
    ValueError, TypeError, OverflowError
        As for `dense_weight`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.arange(12.0).reshape(3, 4)
    >>> A = fastconv.dense.dense_matrix(np.array([[1.0, -1.0]]), x.shape, sparse=False)
    >>> A.shape, bool((A @ x.ravel() == fastconv.corr2d(x, [[1.0, -1.0]]).ravel()).all())
    ((9, 12), True)
    """
    if not as_flag(sparse, "sparse"):
        W = dense_weight(k, shape, mode, boundary)
        return W.reshape(W.shape[0] * W.shape[1], -1)
    try:
        matrices = importlib.import_module("scipy.sparse")
    except ImportError as error:
        raise ImportError(
            'sparse matrices need SciPy: pip install "fastconv[learn]", or ask for sparse=False'
        ) from error
    c = _correlation(k, shape, mode, boundary)
    places, values = _entries(c)
    values = values.astype(np.float32) if values.dtype == np.float16 else values
    matrix = matrices.coo_array((values, places), shape=(math.prod(c.shape), math.prod(c.x.shape))).tocsr()
    matrix.sum_duplicates()
    return matrix


def _correlation(k: ArrayLike, shape: tuple[int, int], mode: Mode, boundary: Boundaries) -> Correlation:
    """The correlation of a picture of that shape with k in the dtype of the weights."""
    ka = as_numbers(k, "k")
    if ka.ndim != 2:
        raise ValueError(f"k must have 2 dimensions (h, w); got shape {ka.shape}")
    sizes = per_axis(_shape(shape), 2, "shape")
    check_size(sizes, "it is the argument shape")
    dtype = dtype_of_sums(ka.dtype, ka.dtype)
    return correlation_arguments(2, np.broadcast_to(dtype.type(0), sizes), ka.astype(dtype), Options(mode, boundary))


def _entries(c: Correlation) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[Any]]:
    """Rows, columns and values of the matrix, some of them more than once, which together fit their dtype."""
    rows, cols = c.axes
    sources = [a.sources() for a in c.axes]  # of the continued axes, from -lead on
    i, j, a, b = np.ogrid[: rows.out, : cols.out, : rows.k, : cols.k]
    down, across = sources[0][i + a], sources[1][j + b]
    to = np.broadcast_to(i * cols.out + j, (rows.out, cols.out, rows.k, cols.k))
    inside = np.broadcast_to((down >= 0) & (across >= 0), to.shape)
    at = np.broadcast_to(down * cols.n + across, to.shape)
    values = np.broadcast_to(c.k, to.shape)[inside]
    places = to[inside], at[inside]
    continued = any(axis.boundary != "constant" for axis in c.axes)
    if continued and c.k.dtype.kind in "iu" and sum(map(abs, c.k.ravel().tolist())) > np.iinfo(c.k.dtype).max:
        pairs, which = np.unique(np.stack(places), axis=1, return_inverse=True)
        sums = np.zeros(pairs.shape[1], object)  # Python's integers hold any
        np.add.at(sums, which.ravel(), values.astype(object))
        places, values = (pairs[0], pairs[1]), converted(sums, c.k.dtype)
    return places, values


# ---- and back ------------------------------------------------------------------------------------


class Recovered(NamedTuple):
    """What `as_kernel` found: a kernel, or which property is broken, and where."""

    kernel: NDArray[Any] | None
    at: tuple[int, int] | None  # output (i, j) sees kernel[a, b] at x[i + at[0] + a, j + at[1] + b]
    broken: str | None  # "translation" or "locality"
    witness: tuple[tuple[int, int, int, int], tuple[int, int, int, int]] | None  # two indices of W
    values: tuple[Any, Any] | None  # the weights there

    def __str__(self) -> str:
        if self.kernel is not None and self.at is not None:
            return f"a kernel of {self.kernel.shape[0]} x {self.kernel.shape[1]}, which begins at {self.at}"
        assert self.witness is not None and self.values is not None
        first, second = (f"W{list(index)} = {value}" for index, value in zip(self.witness, self.values, strict=True))
        if self.broken == "translation":
            return f"no kernel: {first}, but {second}, which is as far from its output"
        return f"no small kernel: {first} and {second} belong to one output and are both not zero"


def as_kernel(W: ArrayLike, size: tuple[int, int] | None = None, *, tolerance: float = 0.0) -> Recovered:
    """The kernel of a fully connected layer, if it has the two properties that make it a correlation.

    Parameters
    ----------
    W : array_like, shape (OH, OW, H, W)
        Weights: W[i, j, k, l] connects output (i, j) with input (k, l).
    size : (int, int), optional
        The largest kernel that counts as local; by default, smaller than the input along both axes.
    tolerance : float
        Weights that differ by no more are equal, and those no larger are zero.

    Returns
    -------
    Recovered
        With `kernel` and `at`; or with `broken`: "translation" if weights with the same (k - i, l - j) differ, and else
        "locality" if weights of one output are farther apart than `size`. `witness` is two indices of W that show it.

    Raises
    ------
    ValueError, TypeError
        W has not 4 dimensions, is empty, or not of numbers; a negative tolerance.

    Examples
    --------
    >>> import fastconv
    >>> W = fastconv.dense.dense_weight([[1, 2], [3, 4]], (4, 5), mode="same")
    >>> found = fastconv.dense.as_kernel(W)
    >>> found.kernel
    array([[1, 2],
           [3, 4]])
    >>> W[2, 2, 2, 2] += 5
    >>> print(fastconv.dense.as_kernel(W))
    no kernel: W[0, 0, 0, 0] = 1, but W[2, 2, 2, 2] = 6, which is as far from its output
    """
    Wa = as_numbers(W, "W")
    if Wa.dtype.kind not in "biufc":
        raise TypeError(f"W has dtype {Wa.dtype}; numbers are accepted")
    Wa = native(Wa)
    if Wa.ndim != 4 or Wa.size == 0:
        raise ValueError(f"W must have 4 dimensions (OH, OW, H, W), none of them 0; got shape {Wa.shape}")
    tolerance = as_amount(tolerance, "tolerance")
    outputs, inputs = Wa.shape[:2], Wa.shape[2:]
    most = (max(inputs[0] - 1, 1), max(inputs[1] - 1, 1)) if size is None else per_axis(size, 2, "size")
    offsets = (outputs[0] + inputs[0] - 1, outputs[1] + inputs[1] - 1)
    weights = np.zeros(offsets, Wa.dtype)  # by (k - i, l - j), from the least on
    owner = np.full((*offsets, 2), -1)  # the output that a weight was first seen at
    for i, j in np.ndindex(*outputs):
        block = (
            slice(outputs[0] - 1 - i, outputs[0] - 1 - i + inputs[0]),
            slice(outputs[1] - 1 - j, outputs[1] - 1 - j + inputs[1]),
        )
        known = owner[block][..., 0] >= 0
        wrong = known & ~(_apart(Wa[i, j], weights[block]) <= tolerance)
        if wrong.any():
            k, m = (int(n) for n in np.argwhere(wrong)[0])
            a, b = (int(n) for n in owner[block][k, m])
            first, second = (a, b, k - i + a, m - j + b), (i, j, k, m)
            return Recovered(None, None, "translation", (first, second), (Wa[first], Wa[second]))
        weights[block] = np.where(known, weights[block], Wa[i, j])
        owner[block] = np.where(known[..., None], owner[block], (i, j))
    used = np.argwhere(_apart(weights, 0) > tolerance)
    if not used.size:
        return Recovered(weights[:1, :1], (0, 0), None, None, None)
    for i, j in np.ndindex(*outputs):
        of_output = np.argwhere(_apart(Wa[i, j], 0) > tolerance)
        for axis in (0, 1):
            if of_output.size and np.ptp(of_output[:, axis]) >= most[axis]:
                ends = of_output[of_output[:, axis].argmin()], of_output[of_output[:, axis].argmax()]
                first, second = ((i, j, int(end[0]), int(end[1])) for end in ends)
                return Recovered(None, None, "locality", (first, second), (Wa[first], Wa[second]))
    low, high = used.min(0), used.max(0) + 1
    at = int(low[0]) - outputs[0] + 1, int(low[1]) - outputs[1] + 1
    return Recovered(weights[low[0] : high[0], low[1] : high[1]], at, None, None, None)


def _apart(a: NDArray[Any], b: ArrayLike) -> NDArray[Any]:
    """|a - b|: of integers, which would wrap, and bools in uint64, where the difference of any two of a dtype fits."""
    if a.dtype.kind not in "biu":
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(a == b, 0, np.abs(a - b)))  # infinite weights may be equal, too
    other = np.asarray(b, a.dtype)
    return np.asarray(np.maximum(a, other).astype(np.uint64) - np.minimum(a, other).astype(np.uint64))
