# SPDX-License-Identifier: BSD-3-Clause
"""The specification in NumPy: what every fast path must compute, and how far it may be off.

It is the test oracle, and what `method="numpy"` and `fastconv.checked()` run. Each function reads like
the formula; speed is no concern here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments import layer_geometry, layers
from fastconv.arguments.axes import Axis
from fastconv.arguments.boundaries import source_index
from fastconv.arguments.correlation import Correlation, Options, OuterProduct, correlation_arguments
from fastconv.arguments.matching import Matching, matching_arguments
from fastconv.arguments.values import unrepeated

__all__ = [
    "conv1d",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "conv3d",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve1d",
    "convolve2d",
    "convolve3d",
    "corr1d",
    "corr2d",
    "corr3d",
    "error_bound",
    "layer_error_bound",
    "match_error_bound",
    "match_template",
    "sepcorr2d",
    "transposed_error_bound",
    "weight_error_bound",
]


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


class Counted(NamedTuple):
    """The correlations that one over the elements that count is made of."""

    above: Correlation  # of x, what does not count being zero
    weights: Correlation  # of what counts with |k|
    window: Correlation  # the weight of a whole window: one output, by the same sum and so of the same bits


def counted(c: Correlation) -> Counted:
    valid = np.ones(c.x.shape, np.bool) if c.mask is None else c.mask
    if c.ignore_nan and c.x.dtype.kind in "fc":
        valid = valid & ~np.isnan(c.x)
    fill_counts = not (c.ignore_nan and np.isnan(c.fillvalue))
    dtype = c.compute_dtype
    plain = c._replace(
        mask=None, ignore_nan=False, return_weight=False, out=None, sum_dtype=dtype, dtype=dtype, overflow="raise"
    )
    x = np.where(valid, c.x, c.x.dtype.type(0))
    above = plain._replace(x=x, fillvalue=c.fillvalue if fill_counts else 0.0)
    real = np.empty(0, dtype).real.dtype
    weights = plain._replace(
        x=valid,
        k=np.abs(c.k.astype(dtype)),
        factors=tuple(np.abs(f.astype(dtype)) for f in c.factors),
        sum_dtype=real,
        dtype=real,
        fillvalue=float(fill_counts),
    )
    axes = tuple(a._replace(n=a.k, out=1, lead=0, stride=1, dilation=1, start=0, whole=1, step=1) for a in c.axes)
    ones = np.ones(c.k.shape, np.bool)
    return Counted(above, weights, weights._replace(x=ones, axes=axes, shape=(1,) * c.rank))


def normalised(c: Correlation, sums: Callable[[Correlation], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(result, weight) of a correlation over the elements that count.

    ``y = sum(k x) * sum|k| / weight`` with ``weight = sum|k|``, the sums with x and of the weight being over the
    elements that count; NaN where the weight is zero. Where all elements count it is the plain correlation. For a
    kernel that sums to one it is the weighted mean (Knutsson and Westin, "Normalized and differential convolution",
    1993).
    """
    parts = counted(c)
    weight, total = sums(parts.weights), sums(parts.window).reshape(())
    return made_up(sums(parts.above), weight, total), weight.astype(parts.weights.sum_dtype, copy=False)


def made_up(above: NDArray[Any], weight: NDArray[Any], total: NDArray[Any]) -> NDArray[Any]:
    """above * total / weight; above itself, to the bit, where the weight is that of a whole window."""
    if above.dtype.kind == "c":  # part by part: times a complex number infinity would be NaN
        result = np.empty_like(above)
        result.real, result.imag = made_up(above.real, weight, total), made_up(above.imag, weight, total)
        return result
    partial = ~((weight == total) & (weight > 0))
    if not partial.any():
        return above
    result, above, weight = above.copy(), above[partial], weight[partial]
    with np.errstate(all="ignore"):
        ratio = total.astype(np.float64) / weight
        made = np.where(np.isinf(ratio), above / weight * total, above * ratio)
        result[partial] = np.where(weight > 0, made, np.nan)
    return result


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
    for at, tap in np.ndenumerate(k.astype(dtype)):
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
    taps = unrepeated(c.k)
    heaviest: int = sum(abs(tap) for tap in taps.ravel().tolist()) * (c.k.size // taps.size)  # in Python's integers
    fill = max(abs(int(c.fillvalue.real)), 1)
    allowed = 1 if c.x.dtype.kind == "b" else max(-int(np.iinfo(c.x.dtype).min), int(np.iinfo(c.x.dtype).max))
    if max(allowed, fill) * heaviest <= np.iinfo(np.int64).max:
        return max(allowed, fill) * heaviest
    x = unrepeated(c.x)
    return max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0))), fill) * heaviest


# ---- the error ------------------------------------------------------------------------------------


TILE_POINTS = 1 << 20  # the most that csrc/fft.c transforms together
FAINT = 1 / 16  # of the weight of a whole window: where less is there, the errors of transforms are not made up for


def error_bound(c: Correlation, factors: tuple[NDArray[Any], ...] = (), *, transformed: int = 0) -> NDArray[np.float64]:
    """How far a compiled result of c may lie from the reference's, per output element.

    With n taps, unit roundoff u of the arithmetic and eta its smallest subnormal number, a sum of
    products in any order, fused or not, is off by at most ``n u sum|x||k| + n eta`` to first order in u
    (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1). A kernel that is taken apart
    into `factors` (per axis, terms x taps) has the sum of their absolute outer products in place of ``|k|``, and
    for n the taps of all factors and 16 for their own rounding; what eta adds to one pass is multiplied by the sums of
    the factors after it, and what the outer products differ from k by is an error, too. Where at most N = `transformed`
    elements are transformed together (as a pair of tiles, say), the error is relative to all of them:
    ``16 u log2(N) |x| |k|``, the norms being roots of sums of squares (ibid., theorem 24.2), and the bound of the
    direct sum is added. So is ``8 N eta (1 + sum|x| + sum|k|)``: every step may be off by eta, and each result is a sum
    of N products with spectra. To the bound of the compiled sum are added that of the reference's own float64 sum, and
    the rounding to the result's dtype on both sides. Where an intermediate value can overflow the bound is infinite. Of
    complex results it holds for the absolute value of the difference; to results rounded to integers one is added.

    Where elements may be missing (``nan="ignore"``, `mask`), it is that of ``above * total / weight``: the bound of
    each of the three, relative to its value, times the result.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments.correlation import Options, correlation_arguments
    >>> c = correlation_arguments(2, np.ones((3, 3)), np.ones((3, 3)), Options())
    >>> bool(reference.error_bound(c) < 3e-14)
    True
    """
    if c.sum_dtype.kind in "iu":
        return np.zeros(c.shape)
    if c.is_weighted:
        return _normalised_error_bound(c, factors, transformed)
    K = _magnitude(c.k)
    result_dtype = c.dtype if c.dtype.kind in "fc" else c.sum_dtype
    compute, result, float64 = (np.finfo(t) for t in (c.compute_dtype, result_dtype, np.float64))
    parts = 2 if c.sum_dtype.kind == "c" else 1
    n, etas, left_out = c.k.size, float(c.k.size), np.zeros(())
    with np.errstate(all="ignore"):
        if factors:
            n = sum(f.shape[1] for f in factors) + 16
            terms = [*zip(*(f.astype(float) for f in factors), strict=True)]
            K = np.maximum(K, np.sum([reduce(np.multiply.outer, [np.abs(f) for f in term]) for term in terms], axis=0))
            left_out = np.abs(np.sum([reduce(np.multiply.outer, term) for term in terms], axis=0) - c.k)
            etas = sum(reduce(lambda before, f: before * np.abs(f).sum() + f.size, term, 0.0) for term in terms)
        n *= parts
        u = (n * float(compute.eps) + c.k.size * float(float64.eps) + 2 * float(result.eps)) / 2
        filled = c._replace(fillvalue=float(_magnitude(np.asarray(c.fillvalue))))
        x = _magnitude(c.x)
        magnitude = slide(filled, x, K, np.dtype(np.float64))
        bound = 1.0625 * u * magnitude + 2 * float(result.smallest_subnormal)
        bound += parts * (etas * float(compute.smallest_subnormal) + c.k.size * float(float64.smallest_subnormal))
        if left_out.any():
            bound += slide(filled, x, left_out, np.dtype(np.float64))
        if transformed:
            X = extended(filled, x)
            largest = float(np.max(X, initial=0))
            norms = min(_norm(X), math.sqrt(2.0 * transformed) * largest) * _norm(K)
            bound += transform_error(transformed, float(compute.eps) / 2) * norms
            reached = 1 + min(float(np.sum(X)), 2.0 * transformed * largest) + float(np.sum(K))
            bound += parts * 8 * transformed * float(compute.smallest_subnormal) * reached
        between = max((float(_magnitude(f).sum()) for f in factors), default=0.0)  # of a pass along one axis
        between *= float(np.max(x, initial=filled.fillvalue))
        overflow = np.maximum(magnitude, between) >= float(min(compute.max, result.max)) * (1 - n * float(compute.eps))
        bound = np.where(overflow, np.inf, bound)
    return bound + 1 if c.dtype.kind in "iu" else bound


def _norm(a: NDArray[np.float64]) -> float:
    """The root of the sum of squares, none of which overflows or vanishes."""
    largest = float(np.max(a, initial=0))
    return largest * float(np.sqrt(np.sum((a / largest) ** 2))) if largest else 0.0


def transform_error(points: int, u: float) -> float:
    """What a correlation by transforms of that many points together is off by, relative to the norms of both."""
    return 16 * u * math.log2(max(points, 2))


def _normalised_error_bound(c: Correlation, factors: tuple[NDArray[Any], ...], transformed: int) -> NDArray[np.float64]:
    above, weights, window = counted(c)
    absolute = tuple(np.abs(f) for f in factors if f.shape[0] == 1)  # with several, weights are summed directly
    with np.errstate(all="ignore"):
        weight, total = wide_sums(weights), wide_sums(window).reshape(())
        y = np.abs(made_up(wide_sums(above), weight, total))
        y[~np.isfinite(y)] = 0

        def bound(factors: Any, absolute: Any, transformed: int) -> Any:
            of_weight = error_bound(weights, absolute, transformed=transformed) / weight
            of_total = error_bound(window, absolute) / total
            of_above = error_bound(above, factors, transformed=transformed) * (total / weight)
            return (of_above + y * of_weight + y * of_total) * (1 + of_weight + of_total)

        made = bound((), (), 0)
        if factors or transformed:
            made = np.where(weight < FAINT / 2 * total, made, np.maximum(made, bound(factors, absolute, transformed)))
        result = np.finfo(c.dtype if c.dtype.kind in "fc" else c.sum_dtype)
        made = made + 4 * float(result.eps) * y + 2 * float(result.smallest_subnormal)
        made = np.where(weight == 0, 0, np.where(np.isnan(made), np.inf, made))
    return made + 1 if c.dtype.kind in "iu" else made


def _magnitude(a: NDArray[Any]) -> NDArray[np.float64]:
    """|a| with non-finite elements as zero; of complex numbers |real| + |imag|."""
    parts = (a.real, a.imag) if a.dtype.kind == "c" else (a,)
    total: NDArray[np.float64] = np.sum([np.abs(np.where(np.isfinite(p), p, 0).astype(float)) for p in parts], axis=0)
    return total


# template matching ----------------------------------------------------------------------------------


def match_template(image: ArrayLike, template: ArrayLike, *where: Any, **how: Any) -> NDArray[Any]:
    """`fastconv.feature.match_template` in plain NumPy; `where` and `how` are its arguments that change the result.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.match_template(np.array([[1, 2, 4, 9, 9]]), np.array([[1, 3]]))
    array([[1., 1., 1., 0.]])
    """
    return match(matching_arguments(image, template, *where, **how))


def match(m: Matching) -> NDArray[Any]:
    """Compute one template matching in float64, window by window, row of results by row."""
    result = np.empty(m.shape, np.float64)
    with np.errstate(all="ignore"):
        for row, windows in _rows_of_windows(m):
            result[row] = _scores(m, windows)
    return result.astype(m.dtype)


def _rows_of_windows(m: Matching) -> Iterator[tuple[tuple[int, ...], NDArray[np.float64]]]:
    """Index of each row of results, and its windows (n, pixels)."""
    at = [
        source_index(np.arange(-lead, n + k - 1 - lead), size, m.boundary)
        for lead, n, k, size in zip(m.lead, m.shape, m.template.shape, m.image.shape, strict=True)
    ]
    for row in np.ndindex(m.shape[:-1]):
        near = [i[o : o + k] for i, o, k in zip(at, row, m.template.shape, strict=False)]
        grid = np.ix_(*near, at[-1])
        inside = np.logical_and.reduce(np.broadcast_arrays(*(i >= 0 for i in grid)))
        slab = np.where(inside, m.image[grid].astype(np.float64), m.fillvalue)
        windows = np.lib.stride_tricks.sliding_window_view(slab, m.template.shape[-1], axis=-1)
        yield row, np.moveaxis(windows, -2, 0).reshape(m.shape[-1], m.template.size)


def _about_one(*arrays: NDArray[np.float64]) -> float:
    """Power of two that makes the largest finite magnitude about one."""
    most = max(float(np.abs(np.where(np.isfinite(a), a, 0)).max(initial=0)) for a in arrays)
    return float(np.ldexp(1.0, -int(np.clip(np.frexp(most)[1], -1000, 1000))))


def _scales(m: Matching, windows: NDArray[np.float64]) -> tuple[float, float]:
    """What template and windows are multiplied by, so that no square overflows or vanishes. Scores stay the same."""
    if not m.is_normed:
        return 1.0, 1.0
    if m.measure.startswith("sqdiff"):
        return (_about_one(windows, m.template),) * 2
    return _about_one(m.template), _about_one(windows)


def _scores(m: Matching, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The formulas of `fastconv.feature.match_template` for windows (n, pixels)."""
    T, X, missing = _vectors(m, windows)
    scores = ((T - X) ** 2).sum(1) if m.measure.startswith("sqdiff") else (T * X).sum(1)
    if m.is_normed:
        norms = np.sqrt((T**2).sum()) * np.sqrt((X**2).sum(1))
        least, undefined = (0, scores > 0) if m.measure.startswith("sqdiff") else (-1, 0)
        scores = np.where(norms == 0, undefined, np.clip(scores / norms, least, 1))
    return np.where(missing, np.nan, scores)


def _vectors(m: Matching, X: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """What a score compares: template and windows (n, pixels) with their weights, for ccoeff without their means.
    And whether a window holds what is not finite."""
    M = np.ones(m.template.size) if m.weights is None else m.weights.ravel()
    of_template, of_windows = _scales(m, X)
    T, X, M = m.template.ravel()[M > 0] * of_template, X[:, M > 0] * of_windows, M[M > 0]
    missing = ~np.asarray((np.isfinite(X) & np.isfinite(T)).all(1))
    if m.measure.startswith("ccoeff"):
        flat, even = np.ptp(X, axis=1) == 0, np.ptp(T) == 0
        T, X = (a - a[..., :1] for a in (T, X))
        T, X = (a - (a * M).sum(-1, keepdims=True) / M.sum() for a in (T, X))
        X[flat] = 0
        T = T * 0 if even else T
    return M * T, M * X, missing


def match_error_bound(m: Matching) -> NDArray[np.float64]:
    """How far a compiled result of m may lie from the reference's, per score.

    Window and template as vectors i and t without their means, with V the sum of squared weights, R the range of the
    image and u the unit roundoff: the compiled numerator is off by at most ``u K |t| R sqrt(V)``, as no element of a
    centred tile is larger than R. K is the number n of pixels for a sum of n products; for transforms it is that of
    `transform_error`, relative to the norm of a pair of tiles of at most `TILE_POINTS`, and to the largest weight. The
    sums in float64 add as much with n for K; where no mean is subtracted from t and i (ccorr, sqdiff), they are
    relative to the largest values. The reference's own products may each be off by the smallest number. Divided by
    ``|t| |i|``, this is relative to ``q = R sqrt(V) / |i|``. It is no larger than 2^12 in float32 and 2^24 in float64:
    where it is, the window is looked at again. The norm ``|i|`` itself is off by ``n u q`` or, where it is the
    difference of two sums, ``n u q^2``, u being that of float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments import matching
    >>> m = matching.matching_arguments(np.eye(3, 4), np.eye(2))
    >>> bool((reference.match_error_bound(m) < 1e-10).all())
    True
    """
    n, wide = m.template.size, float(np.finfo(np.float64).eps) / 2
    single = m.dtype == np.float32 and m.weights is None
    final = float(np.finfo(m.dtype).eps) / 2
    u, most = (final, 2.0**12) if single else (wide, 2.0**24)
    V = float(n if m.weights is None else (m.weights**2).sum())
    finite = m.image[np.isfinite(m.image)].astype(np.float64)
    values = np.append(finite, m.fillvalue if np.isfinite(m.fillvalue) else 0)
    bound = np.empty(m.shape)
    with np.errstate(all="ignore"):
        *deep, rows, cols = (o + k - 1 for o, k in zip(m.shape, m.template.shape, strict=True))
        pair = 2.0 * min(TILE_POINTS, rows * cols) * (m.template.shape[0] if deep else 1)
        heaviest = 1.0 if m.weights is None else float(m.weights.max())
        K = n + 8 + transform_error(TILE_POINTS, 1) * heaviest * math.sqrt(pair / V)
        for row, windows in _rows_of_windows(m):
            T, X, missing = _vectors(m, windows)
            of_template, of_windows = _scales(m, windows)
            t, i, R = np.sqrt((T**2).sum()), np.sqrt((X**2).sum(1)), np.ptp(values) * of_windows
            error = 2 * (u * K + 16 * wide * n) * t * R * np.sqrt(V)
            if not m.measure.startswith("ccoeff"):
                most_of = np.abs(m.template).max() * of_template + np.abs(values).max() * of_windows
                error += 16 * wide * n * V * most_of**2
            error += (4 * heaviest * np.abs(T).sum() + 2 * n) * float(np.finfo(np.float64).smallest_subnormal)
            scores = np.abs(_scores(m, windows))
            if m.is_normed:
                q = np.minimum(R * np.sqrt(V) / i, most)
                q = np.where(np.isnan(q), most, q)
                of_norm = n * wide * (q if m.weights is None and not single else q**2)
                error = np.minimum(error / (t * i), 2 * (u * K + 16 * wide * n) * most) + of_norm
                error = np.where(t * i > 0, error, 0)  # what is flat is known exactly
            error = error + 4 * final * scores + 2 * float(np.finfo(m.dtype).smallest_subnormal)
            bound[row] = np.where(missing, 0, error)
    return bound


# convolution layers ---------------------------------------------------------------------------------


def conv1d(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, *where: Any, **how: Any) -> NDArray[Any]:
    """`fastconv.nn.conv1d` in plain NumPy; `where` and `how` are its arguments that change the result, and `out`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv1d(np.array([[1.0, 2, 4]]), np.array([[[-1.0, 1]]]), [0.5])
    array([[1.5, 2.5]])
    """
    return _layer(1, x, w, bias, where, how)


def conv2d(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, *where: Any, **how: Any) -> NDArray[Any]:
    """`fastconv.nn.conv2d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv2d(np.ones((2, 3, 3)), np.ones((1, 2, 2, 2)), stride=2)
    array([[[8.]]])
    """
    return _layer(2, x, w, bias, where, how)


def conv3d(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, *where: Any, **how: Any) -> NDArray[Any]:
    """`fastconv.nn.conv3d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv3d(np.ones((1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2)))
    array([[[[8.]]]])
    """
    return _layer(3, x, w, bias, where, how)


def _layer(
    rank: int, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, where: tuple[Any, ...], how: dict[str, Any]
) -> NDArray[Any]:
    names = layer_geometry.Options._fields
    options = layer_geometry.Options(**(dict(zip(names, where, strict=False)) | how))
    c = layers.layer_arguments(rank, x, w, bias, options)
    return c.deliver(layer(c).astype(c.dtype))


def layer(c: layers.Layer) -> NDArray[Any]:
    """One convolution layer in float64, as (images, kernels, ...)."""
    y = _products(c, c.x.astype(np.float64), c.w.astype(np.float64))
    if c.bias is not None:
        y += c.bias.astype(np.float64).reshape(-1, *(1,) * len(c.axes))
    return y if c.clamp is None else np.clip(y, *c.clamp)


def _products(c: layers.Layer, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """The formula: for every tap, kernels (groups, m, c) times shifted images (groups, c, ...)."""
    X = continued(x, c.axes)
    X = X.reshape(X.shape[0], c.groups, w.shape[1], *X.shape[2:])
    W = w.reshape(c.groups, len(w) // c.groups, *w.shape[1:])
    y = np.zeros((c.shape[0], c.groups, W.shape[1], *c.shape[2:]))
    for at in np.ndindex(w.shape[2:]):
        y += np.einsum("ngc...,gmc->ngm...", X[under(at, c.axes)], W[(..., *at)])
    return y.reshape(c.shape)


def under(tap: tuple[int, ...], axes: tuple[Axis, ...]) -> tuple[Any, ...]:
    """Which elements of a continued array the outputs see under a tap."""
    first = [t * a.dilation for t, a in zip(tap, axes, strict=True)]
    return (..., *(slice(f, f + (a.out - 1) * a.stride + 1, a.stride) for f, a in zip(first, axes, strict=True)))


def continued(x: NDArray[Any], axes: tuple[Axis, ...]) -> NDArray[Any]:
    """x with its last axes padded as far as the windows of all outputs reach."""
    X = x
    for i, a in enumerate(axes, x.ndim - len(axes)):
        source = a.sources()
        X = np.where((source >= 0).reshape(-1, *(1,) * (x.ndim - 1 - i)), X.take(source, i), X.dtype.type(0))
    return X


def layer_error_bound(c: layers.Layer) -> NDArray[np.float64]:
    """How far a compiled result of c may lie from the reference's, per output element, before the activation.

    With n taps, unit roundoff u of the arithmetic and eta its smallest subnormal number, a sum of products in any
    order is off by at most ``n u sum|x||w| + n eta`` to first order (Higham, section 3.1); the bias is one more term.
    To it are added the error of the reference's own sum and the rounding to the result's dtype on both sides. Where an
    intermediate value can overflow the bound is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments import layer_geometry, layers
    >>> c = layers.layer_arguments(1, np.ones((1, 1, 9)), np.ones((1, 1, 3)), None, layer_geometry.Options())
    >>> bool((reference.layer_error_bound(c) < 1e-14).all())
    True
    """
    n = int(np.prod(c.w.shape[1:])) + 2
    with np.errstate(all="ignore"):
        magnitude = _products(c, _magnitude(c.x), _magnitude(c.w))
        if c.bias is not None:
            magnitude += _magnitude(c.bias).reshape(-1, *(1,) * len(c.axes))
    return _bound(n, magnitude, c.compute_dtype, c.dtype)


def _bound(
    n: int, magnitude: NDArray[np.float64], compute_dtype: np.dtype[Any], dtype: np.dtype[Any]
) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        compute, result, float64 = (np.finfo(t) for t in (compute_dtype, dtype, np.float64))
        u = (n * float(compute.eps) + n * float(float64.eps) + 2 * float(result.eps)) / 2
        eta = (n + 2) * float(max(compute.smallest_subnormal, result.smallest_subnormal))
        overflow = magnitude >= float(min(compute.max, result.max)) * (1 - n * float(compute.eps))
        return np.where(overflow, np.inf, 1.0625 * u * magnitude + eta)


# their adjoints: gradients and transposed layers ------------------------------------------------------


def conv1d_input(
    input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv1d_input` in plain NumPy; `where` and `how` are its arguments that change the result, and `out`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv1d_input((1, 4), np.array([[[-1.0, 1]]]), np.array([[1.0, 2, 4]]))
    array([[-1., -1., -2.,  4.]])
    """
    return _input_gradient(1, input_size, weight, grad_output, where, how)


def conv2d_input(
    input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv2d_input` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv2d_input((1, 3, 3), np.ones((1, 1, 2, 2)), np.ones((1, 1, 1)), stride=2)
    array([[[1., 1., 0.],
            [1., 1., 0.],
            [0., 0., 0.]]])
    """
    return _input_gradient(2, input_size, weight, grad_output, where, how)


def conv3d_input(
    input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv3d_input` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv3d_input((1, 1, 1, 3), np.ones((1, 1, 1, 1, 2)), np.ones((1, 1, 1, 2)))
    array([[[[1., 2., 1.]]]])
    """
    return _input_gradient(3, input_size, weight, grad_output, where, how)


def conv1d_weight(
    input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv1d_weight` in plain NumPy; `where` and `how` are its arguments that change the result, and
    `out`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv1d_weight(np.array([[1.0, 2, 4, 8]]), (1, 1, 2), np.ones((1, 3)))
    array([[[ 7., 14.]]])
    """
    return _weight_gradient(1, input, weight_size, grad_output, where, how)


def conv2d_weight(
    input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv2d_weight` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv2d_weight(np.arange(9.0).reshape(1, 3, 3), (1, 1, 2, 2), np.ones((1, 2, 2)))
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _weight_gradient(2, input, weight_size, grad_output, where, how)


def conv3d_weight(
    input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv3d_weight` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv3d_weight(np.ones((1, 3, 3, 3)), (1, 1, 1, 1, 2), np.ones((1, 3, 3, 2)))
    array([[[[[18., 18.]]]]])
    """
    return _weight_gradient(3, input, weight_size, grad_output, where, how)


def conv_transpose1d(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv_transpose1d` in plain NumPy; `where` and `how` are its arguments that change the result, and
    `out`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv_transpose1d(np.array([[1.0, 2]]), np.array([[[1.0, 1, 1]]]), [0.5], stride=2)
    array([[1.5, 1.5, 3.5, 2.5, 2.5]])
    """
    return _transposed(1, x, w, bias, where, how)


def conv_transpose2d(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv_transpose2d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv_transpose2d(np.ones((1, 2, 2)), np.ones((1, 1, 2, 2)))
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """
    return _transposed(2, x, w, bias, where, how)


def conv_transpose3d(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, *where: Any, **how: Any
) -> NDArray[Any]:
    """`fastconv.nn.conv_transpose3d` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.conv_transpose3d(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1, 2)))
    array([[[[1., 1.]]]])
    """
    return _transposed(3, x, w, bias, where, how)


def _input_gradient(
    rank: int,
    input_size: Sequence[int],
    weight: ArrayLike,
    grad_output: ArrayLike,
    where: tuple[Any, ...],
    how: dict[str, Any],
) -> NDArray[Any]:
    options = layer_geometry.Options(*where, **how)
    c = layers.input_gradient_arguments(rank, input_size, weight, grad_output, options)
    return c.deliver(transposed(c).astype(c.dtype))


def _weight_gradient(
    rank: int,
    input: ArrayLike,
    weight_size: Sequence[int],
    grad_output: ArrayLike,
    where: tuple[Any, ...],
    how: dict[str, Any],
) -> NDArray[Any]:
    c = layers.weight_gradient_arguments(rank, input, weight_size, grad_output, layer_geometry.Options(*where, **how))
    return c.deliver(weight_gradient(c).astype(c.dtype))


def _transposed(
    rank: int, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, where: tuple[Any, ...], how: dict[str, Any]
) -> NDArray[Any]:
    names = "stride", "padding", "output_padding", "groups", "dilation"
    asked = dict(zip(names, where, strict=False)) | how
    more = asked.pop("output_padding", 0)
    c = layers.transposed_arguments(rank, x, w, bias, more, layer_geometry.Options(**asked))
    return c.deliver(transposed(c).astype(c.dtype))


def transposed(c: layers.Layer) -> NDArray[Any]:
    """The adjoint of a layer in float64, as (images, channels, ...)."""
    y = _scattered(c, c.x.astype(np.float64), c.w.astype(np.float64))
    if c.bias is not None:
        y += c.bias.astype(np.float64).reshape(-1, *(1,) * len(c.axes))
    return y if c.clamp is None else np.clip(y, *c.clamp)


def _scattered(c: layers.Layer, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """The formula: for every tap, kernels (groups, m, c) times outputs (groups, m, ...), added to what they saw."""
    images, groups, channels = c.shape[0], c.groups, w.shape[1]
    Y = x.reshape(images, groups, len(w) // groups, *x.shape[2:])
    W = w.reshape(groups, len(w) // groups, *w.shape[1:])
    X = np.zeros((images, groups, channels, *extents(c.axes)))
    for at in np.ndindex(w.shape[2:]):
        X[under(at, c.axes)] += np.einsum("ngm...,gmc->ngc...", Y, W[(..., *at)])
    return added_back(X.reshape(images, groups * channels, *X.shape[3:]), c.axes)


def weight_gradient(c: layers.WeightGradient) -> NDArray[Any]:
    """The gradient of a layer's weights in float64, as (kernels, channels / groups, ...)."""
    return _inner_products(c, c.x.astype(np.float64), c.grad_output.astype(np.float64))


def _inner_products(c: layers.WeightGradient, x: NDArray[Any], grad: NDArray[Any]) -> NDArray[Any]:
    """The formula: for every tap, outputs (groups, m, p) times the elements (groups, c, p) that they saw under it."""
    images, kernels, *outs = grad.shape
    p = math.prod(outs)
    X = continued(x, c.axes)
    X = X.reshape(images, c.groups, c.shape[1], *X.shape[2:])
    Y = grad.reshape(images, c.groups, kernels // c.groups, p)
    dw = np.zeros((c.groups, c.shape[0] // c.groups, *c.shape[1:]))
    for at in np.ndindex(c.shape[2:]):
        seen = X[under(at, c.axes)].reshape(images, c.groups, c.shape[1], p)
        dw[(..., *at)] = np.einsum("ngmp,ngcp->gmc", Y, seen)
    return dw.reshape(c.shape)


def extents(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """The shape of what `continued` returns."""
    return tuple(end - first for first, end in (a.reach() for a in axes))


def added_back(X: NDArray[Any], axes: tuple[Axis, ...]) -> NDArray[Any]:
    """The adjoint of `continued`: every element of X is added to the element of x that it stands for, if any."""
    for i, a in enumerate(axes, X.ndim - len(axes)):
        X = np.moveaxis(X, i, 0)
        source = a.sources()
        at = np.arange(*a.reach())
        inside = (at >= 0) & (at < a.n)
        x = np.zeros((a.n, *X.shape[1:]), X.dtype)
        x[source[inside]] = X[inside]
        for j in np.flatnonzero(~inside & (source >= 0)):
            x[source[j]] += X[j]
        X = np.moveaxis(x, 0, i)
    return X


def columns(c: layers.Columns) -> NDArray[Any]:
    """What `nn.unfold` gives, as (images, channels, taps, outputs)."""
    X = continued(c.x, c.axes)
    return np.stack([X[under(at, c.axes)] for at in np.ndindex(*(a.k for a in c.axes))], 2).reshape(c.shape)


def folded(c: layers.Columns) -> NDArray[Any]:
    """What `nn.fold` gives, as (images, channels, ...): taps ascend."""
    X = np.zeros((*c.x.shape[:2], *extents(c.axes)), c.compute_dtype)
    outputs = tuple(a.out for a in c.axes)
    for i, at in enumerate(np.ndindex(*(a.k for a in c.axes))):
        X[under(at, c.axes)] += c.x[:, :, i].reshape(*c.x.shape[:2], *outputs)
    return added_back(X, c.axes)


def columns_error_bound(c: layers.Columns) -> NDArray[np.float64]:
    """How far a compiled result may lie from that of `columns` or `folded`: copies not at all."""
    if not c.folds:
        return np.zeros(c.shape)
    taps = math.prod(a.k for a in c.axes)
    magnitudes = folded(c._replace(x=np.abs(c.x).astype(np.float64)))
    return 2 * taps * float(np.finfo(c.compute_dtype).eps) * magnitudes


def transposed_error_bound(c: layers.Layer) -> NDArray[np.float64]:
    """How far a compiled result may lie from that of `transposed`, per element, before the activation: the bound of
    `layer_error_bound`, whose n is the number of kernels of a group times taps, times that of elements added back.
    It is infinite in channels with weights that are not finite: fast paths multiply them by zeros beyond x, too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments import layer_geometry, layers
    >>> c = layers.transposed_arguments(1, np.ones((1, 1, 9)), np.ones((1, 1, 3)), None, 0, layer_geometry.Options())
    >>> bool((reference.transposed_error_bound(c) < 1e-14).all())
    True
    """
    kernels, _, *taps = c.w.shape
    added = math.prod(int(np.bincount(i[i >= 0], minlength=1).max()) for i in (a.sources() for a in c.axes))
    with np.errstate(all="ignore"):
        magnitude = _scattered(c, _magnitude(c.x), _magnitude(c.w))
        if c.bias is not None:
            magnitude += _magnitude(c.bias).reshape(-1, *(1,) * len(c.axes))
    bound = _bound(kernels // c.groups * math.prod(taps) * added + 2, magnitude, c.compute_dtype, c.dtype)
    is_finite = np.isfinite(c.w).reshape(c.groups, kernels // c.groups, -1, math.prod(taps)).all((1, 3)).ravel()
    bound[:, ~is_finite] = np.inf
    return bound


def weight_error_bound(c: layers.WeightGradient) -> NDArray[np.float64]:
    """How far a compiled result may lie from that of `weight_gradient`, per element: the bound of `layer_error_bound`,
    whose n is the number of images times outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments import layer_geometry, layers
    >>> x, grad = np.ones((1, 1, 9)), np.ones((1, 1, 7))
    >>> c = layers.weight_gradient_arguments(1, x, (1, 1, 3), grad, layer_geometry.Options())
    >>> bool((reference.weight_error_bound(c) < 1e-13).all())
    True
    """
    images, _, *outs = c.grad_output.shape
    with np.errstate(all="ignore"):
        magnitude = _inner_products(c, _magnitude(c.x), _magnitude(c.grad_output))
    return _bound(images * math.prod(outs) + 2, magnitude, c.compute_dtype, c.dtype)
