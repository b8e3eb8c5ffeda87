# SPDX-License-Identifier: BSD-3-Clause
"""Correlations of pairs of signals at the lags that are asked for, as they are or normalised."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import costs
from fastconv.arguments.correlation import NANS, placed
from fastconv.arguments.values import as_count, as_index, as_numbers, as_word, is_finite
from fastconv.convolved import batch_convolved, partly_convolved
from fastconv.plans import Answer, planned
from fastconv.sums import answered
from fastconv.typing import Nan, Normalize

__all__ = ["xcorr"]

NORMALIZE: tuple[str, ...] = get_args(Normalize)

# A variance that is a smaller part of what all elements have has lost four digits and more to rounding: it is computed
# again from the elements that overlap.
DOUBTFUL = 1e-4


@planned(x="data", y="taps")
def xcorr(
    x: ArrayLike,
    y: ArrayLike,
    max_lag: int | None = None,
    *,
    axis: int = -1,
    normalize: Normalize = "none",
    nan: Nan = "propagate",
) -> NDArray[Any]:
    """Cross-correlation of two signals at the lags from ``-max_lag`` to ``max_lag``.

    ``r[max_lag + l] = sum(x[t + l] * conj(y[t]))`` over the pairs that overlap when one signal is shifted by l. The lag
    of the largest sum is by how much x comes after y. No other lags are computed: their number times the length of a
    signal is the cost, or that of transforms where these are faster.

    Parameters
    ----------
    x, y : array_like, shape (..., N) and (..., M)
        Signals. Leading axes are a batch, and broadcast.
    max_lag : int, optional
        Default max(N, M) - 1, which are all lags.
    axis : int
        Which axis of x and y is time; the one that has fewer axes gets more in front.
    normalize : {"none", "coeff", "pearson"}
        "coeff" divides by ``sqrt(sum |x|**2 * sum |y|**2)``, all elements counted. Of a signal and itself that is 1 at
        lag 0, and less the fewer pairs overlap. Of signals without their means it is the cross-correlation function
        of statistics. "pearson" is the correlation coefficient of the pairs at each lag by itself, with their own means
        and variances, as `numpy.corrcoef` has it.
    nan : {"propagate", "ignore"}
        "ignore" leaves out the pairs of which one is NaN: "none" and "coeff" count them as 0, "pearson" not at all.

    Returns
    -------
    ndarray, shape (..., 2 * max_lag + 1)
        float32, float64 or complex, computed in double precision. The lags are ``numpy.arange(-max_lag, max_lag + 1)``.
        NaN where a pair is not finite; where "coeff" divides by 0; where, for "pearson", pairs are fewer than two, or
        all their x or all their y are equal. Where no pair overlaps, "none" and "coeff" are 0.

    Raises
    ------
    ValueError
        Unknown words, signals without elements, a batch that does not broadcast, an axis out of range, a max_lag below
        0.
    TypeError
        Dtypes other than bool, integers, floats and complex numbers; masked arrays; a max_lag or axis that is no
        integer.

    See Also
    --------
    corr1d : sums only, with strides, masks, boundaries and exact integers; ``window=`` takes a part of its lags.
    fastconv.signal.correlate : SciPy's.

    Notes
    -----
    What others call it, for signals of one length N. MATLAB's ``xcorr(x, y, max_lag, 'coeff')`` and matplotlib's
    ``xcorr(x, y, normed=True)`` are "coeff". The ``ccf(x, y, adjusted=False)`` of statsmodels is "coeff" of
    ``x - x.mean()`` and ``y - y.mean()`` at the lags from 0. The ``x.corr(y.shift(l))`` of pandas is lag l of "pearson"
    with ``nan="ignore"``. MATLAB's 'biased' is "none" divided by N, 'unbiased' by ``N - abs(lags)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import xcorr
    >>> y = np.array([0.0, 1.0, 3.0, 2.0, 0.0, 0.0])
    >>> xcorr(np.roll(y, 1), y, 2)  # comes one later
    array([ 0.,  2.,  9., 14.,  9.])
    >>> xcorr(np.roll(y, 1), y, 2, normalize="coeff").argmax() - 2
    np.int64(1)
    >>> xcorr([1, 2, np.nan, 4, 5], [2, 4, 6, 8, 9], 0, normalize="pearson", nan="ignore").round(3)
    array([0.995])
    """
    as_word(normalize, NORMALIZE, "normalize")
    as_word(nan, NANS, "nan")
    a, b, axis, batch = _signals(x, y, axis)
    longest = max(a.shape[-1], b.shape[-1]) - 1
    lags = longest if max_lag is None else as_count(max_lag, "max_lag", least=0)
    dtype = np.result_type(a.dtype, b.dtype, np.float32) if {a.dtype.kind, b.dtype.kind} <= {*"fc"} else None
    if dtype is None:
        dtype = np.dtype(np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64)
    computed = np.dtype(np.complex128 if dtype.kind == "c" else np.float64)
    a, b = a.astype(computed, copy=False), b.astype(computed, copy=False)
    in_place = axis in (-1, len(batch)) and normalize == "none" and nan == "propagate"
    if in_place and _is_short(a, b, lags, batch) and is_finite(b):
        answer: Any = _directly(a, b, lags, batch, dtype, x, y)
        return answer  # type: ignore[no-any-return]
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)  # whose sums have the same bits however they lay
    with np.errstate(all="ignore"):
        if normalize != "none":
            a, b = _scaled(a), _scaled(b)
        if normalize == "pearson":
            made = _pearson(a, b, lags, batch, ignores=nan == "ignore")
        else:
            if nan == "ignore":
                a, b = (np.where(np.isnan(v), 0, v) for v in (a, b))
            made = _sums(a, b, lags, batch)
            if normalize == "coeff":
                made = made / np.sqrt(_energy(a).sum(-1, keepdims=True) * _energy(b).sum(-1, keepdims=True))
        if normalize != "none":
            length = np.abs(made)
            made = np.where(length > 1, made / length, made)  # by rounding
        made = made.astype(dtype, copy=False)
    return made if axis in (-1, made.ndim - 1) else np.moveaxis(made, -1, axis)


def _signals(x: Any, y: Any, axis: Any) -> tuple[NDArray[Any], NDArray[Any], int, tuple[int, ...]]:
    """Both with time as their last axis; where it is in the result; and the leading axes of that."""
    a, b = as_numbers(x, "x"), as_numbers(y, "y")
    ndim = max(a.ndim, b.ndim)
    try:
        at = as_index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer; got {axis!r}") from None
    for name, v in (("x", a), ("y", b)):
        if v.ndim == 0:
            raise ValueError(f"{name} must have at least 1 dimension (..., N); got shape {v.shape}")
    if not -ndim <= at < ndim:
        raise ValueError(f"axis must lie from {-ndim} to {ndim - 1} for signals of {ndim} dimensions; got {axis!r}")
    first, second = (v.reshape((1,) * (ndim - v.ndim) + v.shape) for v in (a, b))
    if at not in (-1, ndim - 1):
        first, second = np.moveaxis(first, at, -1), np.moveaxis(second, at, -1)
    for name, v, last in (("x", a, first), ("y", b, second)):
        if last.shape[-1] == 0:
            raise ValueError(f"{name} has no elements along axis {axis}; got shape {v.shape}")
    try:
        batch = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    except ValueError:
        raise ValueError(f"x has shape {a.shape} and y {b.shape}: but for axis {axis}, they do not broadcast") from None
    return first, second, at, batch


def _scaled(v: NDArray[Any]) -> NDArray[Any]:
    """v, or by a power of two each signal of it, which coefficients do not see: one whose squares float64 holds."""
    exponents = np.frexp(np.fmax.reduce(np.abs(v), -1, keepdims=True))[1]  # 0 of what is infinite
    if np.abs(exponents).max(initial=0) < 250:
        return v
    scaled: NDArray[Any] = v * np.ldexp(1.0, -exponents.clip(-1000, 1000))
    return scaled


def _energy(v: NDArray[Any]) -> NDArray[np.float64]:
    energy: NDArray[np.float64] = v.real**2 + v.imag**2 if v.dtype.kind == "c" else v**2
    return energy


def _sums(x: NDArray[Any], y: NDArray[Any], lags: int, batch: tuple[int, ...]) -> NDArray[Any]:
    """r[..., lags + l] = sum of x[..., t + l] conj(y[..., t]) over the pairs that overlap; 0 where there are none."""
    n, m = x.shape[-1], y.shape[-1]
    if _is_short(x, y, lags, batch):
        if is_finite(y):
            sums: NDArray[Any] = _planned(x, y, lags, batch)
            return sums
        if batch:  # what is not finite makes no difference to its neighbours
            pairs = [np.broadcast_to(v, (*batch, v.shape[-1])).reshape(-1, v.shape[-1]) for v in (x, y)]
            each = [_sums(a, b, lags, ()) for a, b in zip(*pairs, strict=True)]
            return np.reshape(each, (*batch, 2 * lags + 1)).astype(x.dtype, copy=False)
    if n < m:  # the longer one slides
        return np.flip(_sums(y, x, lags, batch).conj(), -1)
    low, high = max(-lags, 1 - m), min(lags, n - 1)  # of the lags at which some do
    result = np.zeros((*batch, 2 * lags + 1), x.dtype)
    if low > high or 0 in batch:
        return result
    k, start, out = np.flip(y.conj(), -1), (m - 1 + low,), (high - low + 1,)
    made = (
        batch_convolved(x, k, batch, start, out, x.dtype, "xcorr")
        if batch
        else partly_convolved(x, k, start, out, x.dtype)
    )
    result[..., lags + low : lags + high + 1] = made.result
    return result


def _is_short(x: NDArray[Any], y: NDArray[Any], lags: int, batch: tuple[int, ...]) -> bool:
    """Whether there is so little to sum that transforms of signals that are new in every call would take longer."""
    products = (2 * lags + 1) * y.shape[-1]
    return x.dtype.kind == "f" and 0 not in batch and products <= costs.LAGS_PRODUCTS


def _directly(
    x: NDArray[Any],
    y: NDArray[Any],
    lags: int,
    batch: tuple[int, ...],
    dtype: np.dtype[Any],
    asked: Any = None,
    taps: Any = None,
) -> Answer:
    """As `_sums`, tap by tap, of finite y. asked, taps: what x and y are, or copies of in float64."""
    x = np.broadcast_to(x, (*batch, x.shape[-1]))
    y = y.reshape(y.shape[-1]) if y.size == y.shape[-1] else np.broadcast_to(y, (*batch, y.shape[-1]))
    c = placed(x, y, (lags,), (2 * lags + 1,), dtype)
    return answered(c, "direct", None, "xcorr", asked, taps, finite=True)


@planned(x="data", y="taps")
def _planned(x: NDArray[Any], y: NDArray[Any], lags: int, batch: tuple[int, ...]) -> Any:
    return _directly(x, y, lags, batch, x.dtype, x, y)


# ---- the coefficient of each lag -----------------------------------------------------------------


def _pearson(x: NDArray[Any], y: NDArray[Any], lags: int, batch: tuple[int, ...], *, ignores: bool) -> NDArray[Any]:
    """Of what is finite, less its mean, which keeps sums small. Then NaN where something that counts is not finite."""
    finite = np.isfinite(x), np.isfinite(y)
    counts = [f | ~np.isnan(v) if ignores else np.full(v.shape, True) for f, v in zip(finite, (x, y), strict=True)]
    x, y = _centred(x, finite[0]), _centred(y, finite[1])
    there_x, there_y = (_numbers(f, x.dtype) for f in finite)
    pairs = _count(there_x, there_y, lags, batch)
    sum_x, sum_y = _sums(x, there_y, lags, batch), _sums(there_x, y, lags, batch)
    spread_x = _sums(_energy(x).astype(x.dtype), there_y, lags, batch).real - _energy(sum_x) / pairs
    spread_y = _sums(there_x, _energy(y).astype(x.dtype), lags, batch).real - _energy(sum_y) / pairs
    result: NDArray[Any] = (_sums(x, y, lags, batch) - sum_x * sum_y / pairs) / np.sqrt(spread_x * spread_y)
    all_x, all_y = (_energy(v).sum(-1, keepdims=True) for v in (x, y))
    is_doubtful = (spread_x <= DOUBTFUL * all_x) | (spread_y <= DOUBTFUL * all_y)
    for lag in np.flatnonzero(is_doubtful.any(tuple(range(len(batch))))):
        which = is_doubtful[..., lag]
        result[which, lag] = _by_itself(x, y, finite, int(lag) - lags, batch)[which]
    unknown = [c & ~f for c, f in zip(counts, finite, strict=True)]
    if unknown[0].any() or unknown[1].any():
        bad_x, bad_y = (_numbers(u, x.dtype) for u in unknown)
        there_x, there_y = (_numbers(c, x.dtype) for c in counts)
        result[_count(bad_x, there_y, lags, batch) + _count(there_x, bad_y, lags, batch) > 0] = np.nan
    return result


def _numbers(there: NDArray[np.bool], dtype: np.dtype[Any]) -> NDArray[Any]:
    """1 where an element is; the same for the whole batch where all are."""
    return np.ones((1,) * (there.ndim - 1) + there.shape[-1:], dtype) if there.all() else there.astype(dtype)


def _centred(v: NDArray[Any], finite: NDArray[np.bool]) -> NDArray[Any]:
    number = np.maximum(finite.sum(-1, keepdims=True), 1)
    mean = np.where(finite, v, 0).sum(-1, keepdims=True) / number
    centred: NDArray[Any] = np.where(finite, v - mean, 0)
    return centred


def _count(x: NDArray[Any], y: NDArray[Any], lags: int, batch: tuple[int, ...]) -> NDArray[np.float64]:
    """How many pairs there are; x and y are 1 where an element is, and else 0."""
    number: NDArray[np.float64] = np.rint(_sums(x, y, lags, batch).real)
    return number


def _by_itself(
    x: NDArray[Any],
    y: NDArray[Any],
    finite: tuple[NDArray[np.bool], NDArray[np.bool]],
    lag: int,
    batch: tuple[int, ...],
) -> NDArray[Any]:
    """The coefficients of one lag, from the elements that overlap there; NaN where all x or all y are equal."""
    n, m = x.shape[-1], y.shape[-1]
    first, end = max(lag, 0), min(n, m + lag)
    if end - first < 2:
        return np.full(batch, np.nan, x.dtype)
    of_x, of_y = (..., slice(first, end)), (..., slice(first - lag, end - lag))
    both = np.broadcast_to(finite[0][of_x] & finite[1][of_y], (*batch, end - first))
    deviations = []
    for v in (x[of_x], y[of_y]):
        v = np.broadcast_to(v, both.shape)
        one = np.take_along_axis(v, both.argmax(-1)[..., None], -1)  # of the elements that count
        v = np.where(both, v - one, 0)  # exactly 0 where all are equal
        deviations.append(np.where(both, v - v.sum(-1, keepdims=True) / both.sum(-1, keepdims=True), 0))
    energies = [_energy(v).sum(-1) for v in deviations]
    coefficient: NDArray[Any] = (deviations[0] * deviations[1].conj()).sum(-1) / np.sqrt(energies[0] * energies[1])
    return coefficient
