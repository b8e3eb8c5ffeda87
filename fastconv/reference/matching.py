# SPDX-License-Identifier: BSD-3-Clause
"""Template matching: the scores of every window, one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.boundaries import source_index
from fastconv.arguments.matching import Matching, matching_arguments
from fastconv.reference.rounding import TILE_POINTS, transform_error


def match_template(image: ArrayLike, template: ArrayLike, *where: Any, **how: Any) -> NDArray[Any]:
    """`fastconv.feature.match_template` in plain NumPy; `where` and `how` are its arguments that change the result, and
    `out`.

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
            result[row] = _scores(m, *_vectors(m, windows))
    return m.delivered(result)


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


def _scores(m: Matching, T: NDArray[Any], X: NDArray[Any], missing: NDArray[Any]) -> NDArray[np.float64]:
    """The formulas of `fastconv.feature.match_template` for what `_vectors` makes of windows."""
    scores = ((T - X) ** 2).sum(1) if m.measure.startswith("sqdiff") else (T * X).sum(1)
    if m.is_normed:
        norms = np.sqrt((T**2).sum()) * np.sqrt((X**2).sum(1))
        least, undefined = (0, scores > 0) if m.measure.startswith("sqdiff") else (-1, 0)
        scores = np.where(norms == 0, undefined, np.clip(scores / norms, least, 1))
    return np.where(missing, np.nan, scores)


def _vectors(m: Matching, X: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """What a score compares: template and windows (n, pixels) with their weights, for ccoeff without their means,
    or those of each channel.
    And whether a window holds what is not finite."""
    M = np.ones(m.template.size) if m.weights is None else m.weights.ravel()
    of_template, of_windows = _scales(m, X)
    channels = len(m.template) if m.has_channels else 1
    part = np.repeat(np.arange(channels), M.size // channels)
    T, X, part, M = m.template.ravel()[M > 0] * of_template, X[:, M > 0] * of_windows, part[M > 0], M[M > 0]
    missing = ~np.asarray((np.isfinite(X) & np.isfinite(T)).all(1))
    if m.measure.startswith("ccoeff"):
        for channel in np.unique(part):
            of = np.flatnonzero(part == channel)
            X[:, of], T[of] = _centred(X[:, of], M[of]), _centred(T[None, of], M[of])[0]
    return M * T, M * X, missing


def _centred(X: NDArray[Any], M: NDArray[Any]) -> NDArray[Any]:
    """Windows (n, pixels) without their means; exactly 0 where all elements are equal."""
    flat = np.ptp(X, axis=1) == 0
    X = X - X[:, :1]
    X = X - (X * M).sum(1, keepdims=True) / M.sum()
    X[flat] = 0
    return X


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
                counted = m.template if m.weights is None else m.template[m.weights > 0]
                most_of = np.abs(counted).max() * of_template + np.abs(values).max() * of_windows
                error += 16 * wide * n * V * most_of**2
            error += (4 * heaviest * np.abs(T).sum() + 2 * n) * float(np.finfo(np.float64).smallest_subnormal)
            scores = np.abs(_scores(m, T, X, missing))
            if m.is_normed:
                q = np.minimum(R * np.sqrt(V) / i, most)
                q = np.where(np.isnan(q), most, q)
                of_norm = n * wide * (q if m.weights is None and not single else q**2)
                error = np.minimum(error / (t * i), 2 * (u * K + 16 * wide * n) * most) + of_norm
                error = np.where(t * i > 0, error, 0)  # what is flat is known exactly
            error = error + 4 * final * scores + 2 * float(np.finfo(m.dtype).smallest_subnormal)
            bound[row] = np.where(missing, 0, error)
    return bound.reshape(m.shape[m.has_channels :])
