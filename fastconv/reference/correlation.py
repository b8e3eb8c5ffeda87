# SPDX-License-Identifier: BSD-3-Clause
"""Correlations: one shifted, weighted copy of the continued array per tap; floats in float64, integers exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.correlation import Options, OuterProduct, correlation_arguments
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import real_dtype, unrepeated


def corr1d(x: ArrayLike, k: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.corr1d` in plain NumPy; `where` and `how` are its arguments that change the result, and `out`.

    Examples
    --------
    >>> from fastconv import reference
    >>> reference.corr1d([1, 2, 3, 4], [1, -1])
    array([-1, -1, -1])
    """
    return run(correlation_arguments(1, x, k, _options(where, how, "axis")))


def convolve1d(x: ArrayLike, k: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.convolve1d` in plain NumPy.

    Examples
    --------
    >>> from fastconv import reference
    >>> reference.convolve1d([1, 1], [1, 2, 1], "full")
    array([1, 3, 3, 1])
    """
    return run(correlation_arguments(1, x, k, _options(where, how, "axis"), convolve=True))


def corr2d(x: ArrayLike, k: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.corr2d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.corr2d(np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2))
    array([[19., 25.],
           [37., 43.]])
    """
    return run(correlation_arguments(2, x, k, _options(where, how)))


def convolve2d(x: ArrayLike, k: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.convolve2d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.convolve2d(np.eye(3), np.arange(4.0).reshape(2, 2))
    array([[3., 1.],
           [2., 3.]])
    """
    return run(correlation_arguments(2, x, k, _options(where, how), convolve=True))


def sepcorr2d(x: ArrayLike, ky: ArrayLike, kx: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.sepcorr2d` in plain NumPy: `corr2d` with the outer product of ky and kx.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.sepcorr2d(np.arange(9).reshape(3, 3), [1, 2, 1], [-1, 0, 1])
    array([[8]])
    """
    return run(correlation_arguments(2, x, OuterProduct(ky, kx), _options(where, how)))


def corr3d(x: ArrayLike, k: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.corr3d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.corr3d(np.arange(8).reshape(2, 2, 2), np.ones((2, 2, 2), int))
    array([[[28]]])
    """
    return run(correlation_arguments(3, x, k, _options(where, how)))


def convolve3d(x: ArrayLike, k: ArrayLike, *where: Any, **how: Any) -> Any:
    """`fastconv.convolve3d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.convolve3d(np.arange(2).reshape(1, 1, 2), np.arange(2).reshape(1, 1, 2), "full")
    array([[[0, 0, 1]]])
    """
    return run(correlation_arguments(3, x, k, _options(where, how), convolve=True))


def _options(where: tuple[Any, ...], how: dict[str, Any], axes: str = "axes") -> Options:
    if axes in how:
        how = {"axes" if name == axes else name: value for name, value in how.items()}
    return Options(*where, **how)


# ---- the formula ---------------------------------------------------------------------------------


def run(c: Correlation) -> Any:
    """Compute and deliver one correlation: floats are summed in float64, integers exactly."""
    with np.errstate(all="ignore"):
        if not c.is_weighted:
            return c.as_asked(c.deliver(sums(c)))
        result, weight = normalised(c, wide_sums)
        delivered = c.as_asked(c.deliver(result))
        return (delivered, c._replace(asked_out=None).as_asked(weight)) if c.return_weight else delivered


def sums(c: Correlation) -> NDArray[Any]:
    """The sums themselves: floats rounded to the dtype of sums, or exact integers."""
    if c.sum_dtype.kind in "iu":
        return _integers(c)
    is_rounded = c.sum_dtype.kind == "c" or c.dtype.kind in "fc"
    return wide_sums(c).astype(c.sum_dtype if is_rounded else c.compute_dtype, copy=False)


def wide_sums(c: Correlation) -> NDArray[Any]:
    """The sums of floats in float64 or complex128."""
    if c.sum_dtype.kind == "f":
        return slide(c, c.x, c.k, np.dtype(np.float64))
    # Of real and complex numbers the real ones have no imaginary part (rather than one of zero, which times
    # infinity would be NaN).
    y = np.zeros(c.shape, np.complex128)
    for part, x_part, k_part, sign in (
        ("real", "real", "real", 1),
        ("real", "imag", "imag", -1),
        ("imag", "imag", "real", 1),
        ("imag", "real", "imag", 1),
    ):
        if (x_part == "real" or c.x.dtype.kind == "c") and (k_part == "real" or c.k.dtype.kind == "c"):
            fill = getattr(c.fillvalue, x_part)
            x, k = getattr(c.x, x_part), getattr(c.k, k_part)
            target = getattr(y, part)
            target += sign * slide(c._replace(fillvalue=fill), x, k, np.dtype(np.float64))
    return y


def slide(c: Correlation, x: NDArray[Any], k: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The formula: one shifted, weighted copy of the continued array per tap."""
    X = extended(c, x.astype(dtype, copy=False))
    y = np.zeros(c.shape, dtype)
    k = k.astype(dtype)
    for at in np.ndindex(k.shape[k.ndim - c.rank :]):
        tap = k[(..., *at, *(None,) * c.rank)]  # or one for each element of the leading axes
        under: list[Any] = [
            slice(t * a.dilation, t * a.dilation + (a.out - 1) * a.stride + 1 if a.out else 0, a.stride)
            for t, a in zip(at, c.axes, strict=True)
        ]
        y += tap * X[(..., *under)]
    return y


def extended(c: Correlation, x: NDArray[Any]) -> NDArray[Any]:
    """x continued by the boundary rule, to cover every window of the output."""
    indices = [a.sources() for a in c.axes]
    X = np.full((*x.shape[: -c.rank], *(i.size for i in indices)), c.fillvalue, x.dtype)
    inside = [np.flatnonzero(i >= 0) for i in indices]
    to: tuple[Any, ...] = np.ix_(*inside)
    source: tuple[Any, ...] = np.ix_(*(i[j] for i, j in zip(indices, inside, strict=True)))
    X[(..., *to)] = x[(..., *source)]
    return X


def _integers(c: Correlation) -> NDArray[Any]:
    """Exact sums: in int64 where no partial sum can overflow, else in Python's integers."""
    if largest_sum(c) <= np.iinfo(np.int64).max:
        return slide(c, c.x, c.k, np.dtype(np.int64))
    return slide(c, c.x, c.k, np.dtype(object))


def largest_sum(c: Correlation) -> int:
    """No sum of integers, partial or whole, is larger than this. The elements are looked at only if they matter."""
    heaviest, allowed, fill = _weights(c)
    if max(allowed, fill) * heaviest <= np.iinfo(np.int64).max:
        return max(allowed, fill) * heaviest
    x = unrepeated(c.x)
    return max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0))), fill) * heaviest


def largest_element(c: Correlation) -> int | None:
    """The largest magnitude in x for which no sum of integers is too large for its dtype; None: any; 0: none."""
    heaviest, allowed, fill = _weights(c)
    limit = int(np.iinfo(c.sum_dtype).max)
    if max(allowed, fill) * heaviest <= limit:
        return None
    return min(limit // heaviest, 2**63 - 1) if fill * heaviest <= limit else 0


def _weights(c: Correlation) -> tuple[int, int, int]:
    """Of integers: (sum of |k|, the largest magnitude that the dtype of x holds, |fillvalue| or 1)"""
    taps = unrepeated(c.k)
    times = c.taps // math.prod(taps.shape[taps.ndim - c.rank :])  # in Python's integers
    heaviest = max(_magnitude(one) * times for one in taps.reshape(-1, c.taps // times))
    fill = max(abs(int(c.fillvalue.real)), 1)
    allowed = 1 if c.x.dtype.kind == "b" else max(-int(np.iinfo(c.x.dtype).min), int(np.iinfo(c.x.dtype).max))
    return heaviest, allowed, fill


def _magnitude(taps: NDArray[Any], block: int = 1 << 16) -> int:
    """The sum of |taps| in Python's integers, of which there are never more than a block."""
    return sum(sum(map(abs, taps[i : i + block].tolist())) for i in range(0, len(taps), block))


# ---- over the elements that count ----------------------------------------------------------------


class Counted(NamedTuple):
    """The correlations that one over the elements that count is made of."""

    above: Correlation  # of x, what does not count being zero
    weights: Correlation  # of what counts with |k|
    window: Correlation  # the weight of a whole window: one output, by the same sum and so of the same bits


def counted(c: Correlation) -> Counted:
    valid = np.ones(c.x.shape, np.bool) if c.mask is None else c.mask
    if c.ignore_nan and c.x.dtype.kind in "fc":
        valid = valid & ~np.isnan(c.x)
    return taken_apart(c, np.where(valid, c.x, c.x.dtype.type(0)), valid)


def taken_apart(c: Correlation, x: NDArray[Any], valid: NDArray[Any]) -> Counted:
    """As `counted`, from x with zeros for what does not count, and 1 or 0 for each of its elements."""
    fill_counts = not (c.ignore_nan and np.isnan(c.fillvalue))
    dtype = c.compute_dtype
    plain = c._replace(
        mask=None, ignore_nan=False, return_weight=False, out=None, sum_dtype=dtype, dtype=dtype, overflow="raise"
    )
    above = plain._replace(x=x, fillvalue=c.fillvalue if fill_counts else 0.0)
    real = real_dtype(dtype)
    weights = plain._replace(
        x=valid,
        k=np.broadcast_to(np.abs(unrepeated(c.k).astype(dtype)), c.k.shape),
        factors=tuple(np.abs(f.astype(dtype)) for f in c.factors),
        sum_dtype=real,
        dtype=real,
        fillvalue=float(fill_counts),
    )
    axes = tuple(a._replace(n=a.k, out=1, lead=0, stride=1, dilation=1, start=0, whole=1, step=1) for a in c.axes)
    shape = (*c.k.shape[: c.k.ndim - c.rank], *(1,) * c.rank)
    return Counted(above, weights, weights._replace(x=np.ones(c.k.shape, np.bool), axes=axes, shape=shape, moved=()))


def normalised(c: Correlation, sums: Callable[[Correlation], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(result, weight) of a correlation over the elements that count.

    ``y = sum(k x) * sum|k| / weight`` with ``weight = sum|k|``, the sums with x and of the weight being over the
    elements that count; NaN where the weight is zero. Where all elements count it is the plain correlation. For a
    kernel that sums to one it is the weighted mean (Knutsson and Westin, "Normalized and differential convolution",
    1993).
    """
    parts = counted(c)
    weight, total = sums(parts.weights), sums(parts.window)
    return made_up(sums(parts.above), weight, total), weight.astype(parts.weights.sum_dtype, copy=False)


def made_up(above: NDArray[Any], weight: NDArray[Any], total: NDArray[Any]) -> NDArray[Any]:
    """above * total / weight; above itself, to the bit, where the weight is that of a whole window.

    total: broadcasts to the others.
    """
    if above.dtype.kind == "c":  # part by part: times a complex number infinity would be NaN
        result = np.empty_like(above)
        result.real, result.imag = made_up(above.real, weight, total), made_up(above.imag, weight, total)
        return result
    partial = ~((weight == total) & (weight > 0))
    if not partial.any():
        return above
    total = np.broadcast_to(total, weight.shape)[partial]
    result, above, weight = above.copy(), above[partial], weight[partial]
    with np.errstate(all="ignore"):
        ratio = total.astype(np.float64) / weight
        made = np.where(np.isinf(ratio), above / weight * total, above * ratio)
        result[partial] = np.where(weight > 0, made, np.nan)
    return result
