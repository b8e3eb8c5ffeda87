# SPDX-License-Identifier: BSD-3-Clause
"""Correlations, layers and their adjoints by brute force: which element every tap of every output sees, in one table.

Nothing of fastconv is used: `numpy.pad` says how arrays continue. (Only a boundary that it has no word for is the
table's.) Sums are made in the dtype of the arrays, which the caller chooses so that it holds them: Python's integers,
or long double.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.boundaries import source_index

Array = NDArray[Any]


class Slide(NamedTuple):
    """How a kernel slides along one axis: tap t of output o sees element ``o * stride - lead + t * dilation``."""

    n: int
    k: int
    out: int
    lead: int
    stride: int
    dilation: int
    pad: str  # numpy.pad's word


def pad_mode(boundary: str) -> Any:
    """What `numpy.pad` takes for a boundary: its word, or a function that continues a line by the table's rule."""
    if boundary in ("constant", "edge", "reflect", "symmetric", "wrap"):
        return boundary

    def continued(line: Array, widths: tuple[int, int], axis: int, options: dict[str, Any]) -> None:
        before, behind = widths
        n = len(line) - before - behind
        line[:] = line[before + source_index(np.arange(-before, n + behind), n, boundary)]

    return continued


def seen(slides: list[Slide]) -> Array:
    """(outputs, taps): which element of the flattened array each sees; -1: none."""
    rows: Array = np.zeros((1, 1), np.intp)
    for s in slides:
        behind = max((s.out - 1) * s.stride - s.lead + (s.k - 1) * s.dilation + 1 - s.n, 0)
        before = max(s.lead, 0)
        how: Any = {"constant_values": -1} if s.pad == "constant" else {}
        line = np.pad(np.arange(s.n), (before, behind), pad_mode(s.pad), **how) if s.out else np.zeros(1, np.intp)
        at = np.arange(s.out)[:, None] * s.stride + np.arange(s.k) * s.dilation - s.lead + before
        element = line[at][None, :, None, :]
        whole = rows[:, None, :, None]
        joined = np.where((whole < 0) | (element < 0), -1, whole * s.n + element)
        rows = joined.reshape(rows.shape[0] * s.out, rows.shape[1] * s.k)
    return rows


def with_nothing(x: Array, rank: int, nothing: Any = 0) -> Array:
    """x with its last axes as one, and behind it what element -1 is."""
    flat = x.reshape(*x.shape[: x.ndim - rank], math.prod(x.shape[x.ndim - rank :]))
    return np.concatenate([flat, np.full((*flat.shape[:-1], 1), nothing, flat.dtype)], -1)


def correlation(x: Array, k: Array, slides: list[Slide], fill: Any = 0) -> Array:
    """Sums over the taps of k, for the last axes of x; in the dtype of the two, which is one that holds them."""
    windows = with_nothing(x, len(slides), fill)[..., seen(slides)]
    sums = (windows * k.reshape(-1)).sum(-1) if windows.size else np.zeros(windows.shape[:-1], windows.dtype)
    return sums.reshape(*x.shape[: x.ndim - len(slides)], *(s.out for s in slides))


def layer(x: Array, w: Array, slides: list[Slide], groups: int) -> Array:
    """(images, kernels, ...) of x (images, channels, ...) and w (kernels, channels / groups, ...)."""
    X = with_nothing(x, len(slides))[..., seen(slides)]
    X = X.reshape(len(x), groups, w.shape[1], *X.shape[2:])
    W = w.reshape(groups, len(w) // groups, w.shape[1], math.prod(w.shape[2:]))
    return np.einsum("ngcot,gmct->ngmo", X, W).reshape(len(x), len(w), *(s.out for s in slides))


def input_gradient(dy: Array, w: Array, slides: list[Slide], groups: int) -> Array:
    """The adjoint of `layer`: (images, channels, ...) of dy (images, kernels, ...)."""
    Y = dy.reshape(len(dy), groups, len(w) // groups, math.prod(dy.shape[2:]))
    W = w.reshape(groups, len(w) // groups, w.shape[1], math.prod(w.shape[2:]))
    return scattered(np.einsum("ngmo,gmct->ngcot", Y, W), slides).reshape(
        len(dy), groups * w.shape[1], *(s.n for s in slides)
    )


def weight_gradient(x: Array, dy: Array, slides: list[Slide], groups: int) -> Array:
    X = with_nothing(x, len(slides))[..., seen(slides)]
    X = X.reshape(len(x), groups, x.shape[1] // groups, *X.shape[2:])
    Y = dy.reshape(len(x), groups, dy.shape[1] // groups, X.shape[-2])
    dw = np.einsum("ngmo,ngcot->gmct", Y, X)
    return dw.reshape(dy.shape[1], x.shape[1] // groups, *(s.k for s in slides))


def scattered(windows: Array, slides: list[Slide]) -> Array:
    """Elements (..., outputs, taps) added to what each of them was seen at."""
    to = seen(slides).ravel()
    x = np.zeros((math.prod(s.n for s in slides) + 1, *windows.shape[:-2]), windows.dtype)
    np.add.at(x, to, np.moveaxis(windows.reshape(*windows.shape[:-2], to.size), -1, 0))
    return np.moveaxis(x[:-1], 0, -1).reshape(*windows.shape[:-2], *(s.n for s in slides))
