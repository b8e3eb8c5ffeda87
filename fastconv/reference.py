# SPDX-License-Identifier: BSD-3-Clause
"""The specification in NumPy: what every fast path must compute, and how far it may be off.

It is the test oracle, and what `method="numpy"` and `fastconv.checked()` run. Each function reads like
the formula; speed is no concern here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments import Correlation, correlation_arguments

__all__ = ["convolve2d", "corr2d"]


def corr2d(
    x: ArrayLike,
    k: ArrayLike,
    mode: str = "valid",
    boundary: str = "constant",
    fillvalue: float = 0,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """2-D cross-correlation, as in `fastconv.corr2d`, in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.corr2d(np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2))
    array([[19., 25.],
           [37., 43.]])
    """
    return run(correlation_arguments(x, k, mode, boundary, fillvalue, out))


def convolve2d(
    x: ArrayLike,
    k: ArrayLike,
    mode: str = "valid",
    boundary: str = "constant",
    fillvalue: float = 0,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """2-D convolution, as in `fastconv.convolve2d`, in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.convolve2d(np.eye(3), np.arange(4.0).reshape(2, 2))
    array([[3., 1.],
           [2., 3.]])
    """
    return run(correlation_arguments(x, k, mode, boundary, fillvalue, out, convolve=True))


def run(c: Correlation) -> NDArray[Any]:
    """Compute and deliver one correlation: floats are summed in float64, integers exactly."""
    with np.errstate(all="ignore"):
        result = _integers(c) if c.dtype.kind == "i" else _slide(c, c.x, c.k, np.dtype(np.float64))
        return c.deliver(result)


def _slide(c: Correlation, x: NDArray[Any], k: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The formula: one shifted, weighted copy of the continued image per tap."""
    X = _continued(c, x.astype(dtype, copy=False))
    OH, OW = c.shape[-2:]
    y = np.zeros(c.shape, dtype)
    for (a, b), tap in np.ndenumerate(k.astype(dtype)):
        y += tap * X[..., a : a + OH, b : b + OW]
    return y


def _continued(c: Correlation, x: NDArray[Any]) -> NDArray[Any]:
    """x continued by the boundary rule, to cover every window of the output."""
    (H, W), (OH, OW), (h, w) = x.shape[-2:], c.shape[-2:], c.k.shape
    rows = source_index(np.arange(-c.top, OH + h - 1 - c.top), H, c.boundary)
    cols = source_index(np.arange(-c.left, OW + w - 1 - c.left), W, c.boundary)
    X = np.full((*x.shape[:-2], rows.size, cols.size), c.dtype.type(c.fillvalue), x.dtype)
    i, j = np.flatnonzero(rows >= 0), np.flatnonzero(cols >= 0)
    X[..., i[:, None], j] = x[..., rows[i][:, None], cols[j]]
    return X


def source_index(i: NDArray[np.intp], n: int, boundary: str) -> NDArray[np.intp]:
    """Where element i of the continued axis lies in an axis of n elements; -1: the fill value.

    The rules are numpy.pad's, repeated as often as needed:
    edge ``1 1 | 1 2 3 | 3 3``, reflect ``3 2 | 1 2 3 | 2 1``, symmetric ``2 1 | 1 2 3 | 3 2``,
    wrap ``2 3 | 1 2 3 | 1 2``.
    """
    if boundary == "constant" or n == 0:
        return np.where((i >= 0) & (i < n), i, -1)
    if boundary == "edge":
        return np.clip(i, 0, n - 1)
    if boundary == "wrap":
        return i % n
    if boundary == "symmetric":
        i = i % (2 * n)
        return np.minimum(i, 2 * n - 1 - i)
    i = i % max(2 * (n - 1), 1)  # reflect
    return np.minimum(i, 2 * (n - 1) - i)


def _integers(c: Correlation) -> NDArray[Any]:
    """Exact sums: in int64 where no partial sum can overflow, else in Python's integers.

    Raises
    ------
    OverflowError
        If a sum does not fit into int64.
    """
    int64 = np.iinfo(np.int64)
    largest = max(_magnitude(c.x), abs(c.fillvalue))
    heaviest = sum(abs(tap) for tap in c.k.ravel().tolist())  # in Python's integers
    if max(largest, 1) * heaviest <= int64.max:
        return _slide(c, c.x, c.k, np.dtype(np.int64))
    exact = _slide(c, c.x, c.k, np.dtype(object))
    if exact.size and not (int64.min <= exact.min() and exact.max() <= int64.max):
        raise OverflowError(
            f"a sum of x ({c.x.dtype}) times k ({c.k.dtype}) does not fit into int64; pass one of them as float64"
        )
    return exact


def _magnitude(a: NDArray[Any]) -> int:
    return max(abs(int(a.min())), abs(int(a.max()))) if a.size else 0


def error_bound(c: Correlation) -> NDArray[np.float64]:
    """How far a compiled result of c may lie from the reference's, per output element.

    With n taps, unit roundoff u of the arithmetic and eta its smallest subnormal number, a sum of
    products in any order, fused or not, is off by at most ``n u sum|x||k| + n eta`` to first order in u
    (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1). To the bound
    of the compiled sum are added that of the reference's own float64 sum, and the rounding to the result's
    dtype on both sides. Where an intermediate value can overflow the bound is infinite.
    """
    n = c.k.size
    with np.errstate(all="ignore"):
        X = np.abs(np.where(np.isfinite(c.x), c.x, 0))
        K = np.abs(np.where(np.isfinite(c.k), c.k, 0))
        fill = abs(c.fillvalue) if np.isfinite(c.fillvalue) else 0.0
        magnitude = _slide(c._replace(fillvalue=fill), X, K, np.dtype(np.float64))
        compute, result, float64 = (np.finfo(t) for t in (c.compute_dtype, c.dtype, np.float64))
        u = (n * float(compute.eps) + n * float(float64.eps) + 2 * float(result.eps)) / 2
        eta = (n + 2) * float(max(compute.smallest_subnormal, result.smallest_subnormal))
        overflow = magnitude >= float(min(compute.max, result.max)) * (1 - n * float(compute.eps))
        bound: NDArray[np.float64] = np.where(overflow, np.inf, 1.0625 * u * magnitude + eta)
    return bound
