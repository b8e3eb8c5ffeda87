# SPDX-License-Identifier: BSD-3-Clause
"""Plots of kernels, filtered pictures, scores of template matching and losses, by Matplotlib: the extra "plot".

Every function draws into the axes that it is given, or into new ones, and returns them. Nothing is shown or saved:
`matplotlib.pyplot.show()` and `axes.figure.savefig(path)` do that, and notebooks show figures by themselves.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.values import as_size

__all__ = ["filtered", "kernel", "loss", "scores"]

Array = NDArray[Any]
Axes: TypeAlias = Any  # matplotlib.axes.Axes
Losses: TypeAlias = Sequence[float] | NDArray[Any]

MOST_NUMBERS = 11  # along a side of a kernel: more are too small to be read
BEST = "#e8432e"  # what marks the best score


def kernel(k: ArrayLike, *, axes: Axes | None = None, title: str | None = None) -> Axes:
    """Draw a kernel as a grid of its weights, with their numbers where they can be read.

    Parameters
    ----------
    k : array_like, shape (n,) or (rows, columns)
        Real numbers. Zero is white, positive weights are blue, negative ones red.
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    title : str, optional
        By default the shape.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        `k` has another shape, or is not finite.
    ImportError
        Matplotlib is not installed.

    Examples
    --------
    >>> from fastconv import kernels, plot
    >>> axes = plot.kernel(kernels.sobel(axis=1))
    >>> [text.get_text() for text in axes.texts][1:3]
    ['0', '1']
    """
    weights = _numbers(k, "k", (1, 2))
    axes = _axes(axes)
    shown = np.atleast_2d(weights)
    most = float(np.abs(shown).max()) or 1.0
    rows, columns = shown.shape
    edges = {"edgecolors": "#8888", "linewidth": 0.8} if max(rows, columns) <= 4 * MOST_NUMBERS else {}
    axes.pcolormesh(shown, cmap="RdBu", vmin=-1.5 * most, vmax=1.5 * most, **edges)
    if max(rows, columns) <= MOST_NUMBERS:
        digits = 0 if (shown == np.rint(shown)).all() else 2
        size = min(13.0, 70.0 / max(rows, columns), 120.0 / max(rows, columns) / max(digits, 1))
        for (i, j), weight in np.ndenumerate(shown):
            text = f"{round(weight, digits) + 0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=size, color="#111")
    axes.set(aspect="equal", xticks=[], yticks=[], xlim=(0, columns), ylim=(rows, 0))
    axes.set_title(" x ".join(map(str, weights.shape)) if title is None else title)
    return axes


def filtered(x: ArrayLike, y: ArrayLike, *, axes: Sequence[Axes] | None = None) -> Any:
    """Draw a picture and what a filter made of it, side by side.

    Parameters
    ----------
    x, y : array_like, shape (H, W), (H, W, 3) or (H, W, 4)
        Real numbers; colours are bytes, or from 0 to 1. A result with negative numbers is drawn around zero, which is
        white, as blue and red.
    axes : sequence of two matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.random.default_rng(0).random((20, 30))
    >>> before, after = fastconv.plot.filtered(x, fastconv.corr2d(x, fastconv.kernels.sobel(), "same"))
    >>> before.get_title(), after.get_title()
    ('before, 20 x 30', 'after, 20 x 30')
    """
    pictures = [_numbers(x, "x", (2, 3)), _numbers(y, "y", (2, 3))]
    if axes is None:
        axes = _pyplot().subplots(1, 2, figsize=(8, 4), layout="constrained")[1]
    if (not isinstance(axes, (tuple, list)) and getattr(axes, "shape", None) != (2,)) or len(axes) != 2:
        raise ValueError(f"axes must be two, one for x and one for y; got {axes!r}")
    for one in axes:
        _axes(one)
    low, high = float(pictures[0].min()), float(pictures[0].max())
    for where, picture, name in zip(axes, pictures, ("before", "after"), strict=True):
        how: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high}
        if picture.min() < min(low, 0):
            most = float(np.abs(picture).max())
            how = {"cmap": "RdBu", "vmin": -most, "vmax": most}
        where.imshow(picture, **how, interpolation="nearest" if max(picture.shape[:2]) < 64 else "antialiased")
        where.set(title=f"{name}, {picture.shape[0]} x {picture.shape[1]}", xticks=[], yticks=[])
    return axes


def scores(
    scores: ArrayLike,
    *,
    picture: ArrayLike | None = None,
    size: tuple[int, int] | None = None,
    axes: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the scores of `fastconv.feature.match_template`, the best one marked.

    Parameters
    ----------
    scores : array_like, shape (rows, columns)
        NaN is no score.
    picture : array_like, shape (H, W), (H, W, 3) or (H, W, 4), optional
        What was searched: it is drawn, with a frame around the figure, instead of the scores.
    size : tuple of two ints, optional
        Rows and columns of the figure; needed with `picture`.
    axes, title
        As for `kernel`; the title is the best score and its place.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x = np.random.default_rng(0).random((40, 50))
    >>> found = fastconv.feature.match_template(x, x[12:20, 30:41])
    >>> fastconv.plot.scores(found).get_title()
    'best: 1.00 at row 12, column 30'
    """
    values = _numbers(scores, "scores", (2,), finite=False)
    if np.isnan(values).all():
        raise ValueError("scores must have one that is not NaN")
    if (picture is None) != (size is None):
        raise ValueError("picture and size go together: a frame needs both")
    shape = None if size is None else as_size(size, "size")
    if shape is not None and len(shape) != 2:
        raise ValueError(f"size must be two numbers, rows and columns; got {size!r}")
    axes = _axes(axes)
    row, column = (int(i) for i in np.unravel_index(np.nanargmax(values), values.shape))
    if picture is None or shape is None:
        drawn = axes.imshow(values, cmap="viridis", interpolation="nearest")
        axes.figure.colorbar(drawn, ax=axes, shrink=0.8, label="score")
        axes.plot(column, row, "o", markersize=16, markerfacecolor="none", markeredgecolor=BEST, markeredgewidth=2.5)
    else:
        axes.imshow(_numbers(picture, "picture", (2, 3)), cmap="gray")
        frame = importlib.import_module("matplotlib.patches").Rectangle
        axes.add_patch(frame((column - 0.5, row - 0.5), shape[1], shape[0], fill=False, edgecolor=BEST, linewidth=2.5))
    best = f"best: {values[row, column]:.2f} at row {row}, column {column}"
    axes.set(title=best if title is None else title, xticks=[], yticks=[])
    return axes


def loss(losses: Losses | Mapping[str, Losses], *, axes: Axes | None = None, title: str | None = None) -> Axes:
    """Draw losses against the steps of learning, as `fastconv.learning.train` returns them.

    Parameters
    ----------
    losses : sequence of float, or dict of them
        One curve, or one for each name. The axis of losses is logarithmic where all are positive.
    axes, title
        As for `kernel`; by default there is no title.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import fastconv
    >>> axes = fastconv.plot.loss({"slow": [4.0, 2.0, 1.0], "fast": [4.0, 1.0, 0.25]})
    >>> axes.get_xlabel(), axes.get_yscale()
    ('step', 'log')
    """
    given = losses if isinstance(losses, Mapping) else {"": losses}
    curves = {name: _numbers(values, "losses", (1,)) for name, values in given.items()}
    if not curves:
        raise ValueError("losses must be of one curve at least; got none")
    axes = _axes(axes)
    for name, values in curves.items():
        axes.plot(np.arange(1, len(values) + 1), values, label=name, linewidth=2)
    if all(np.min(values) > 0 for values in curves.values()):
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="loss", title=title or "")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if "" not in curves:
        axes.legend(frameon=False)
    return axes


def _pyplot() -> Any:
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError('plots need Matplotlib: pip install "fastconv[plot]"') from error


def _axes(axes: Axes | None) -> Axes:
    if axes is None:
        return _pyplot().subplots(layout="constrained")[1]
    if not isinstance(axes, importlib.import_module("matplotlib.axes").Axes):
        raise TypeError(f"axes must be those of Matplotlib; got {type(axes).__name__}")
    return axes


def _numbers(values: ArrayLike, name: str, dimensions: tuple[int, ...], *, finite: bool = True) -> Array:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers; got {array.dtype}")
    if array.ndim not in dimensions or array.size == 0 or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        accepted: dict[tuple[int, ...], str] = {
            (1, 2): "(n,) or (rows, columns)",
            (2, 3): "(H, W), (H, W, 3) or (H, W, 4)",
        }
        shapes = accepted.get(dimensions, "(rows, columns)" if dimensions == (2,) else "(n,)")
        raise ValueError(f"{name} must have shape {shapes}, and not be empty; got {array.shape}")
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; it has NaN or infinity")
    return array.astype(np.float64) if array.dtype.kind in "bf" and array.dtype != np.float64 else array
