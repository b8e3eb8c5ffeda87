# SPDX-License-Identifier: BSD-3-Clause
"""What outputs see of continued axes, and the way back: what layers are made of, and unfold and fold themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.layers import Columns


def under(tap: tuple[int, ...], axes: tuple[Axis, ...]) -> tuple[Any, ...]:
    """Which elements of a continued array the outputs see under a tap."""
    first = [t * a.dilation for t, a in zip(tap, axes, strict=True)]
    return (..., *(slice(f, f + (a.out - 1) * a.stride + 1, a.stride) for f, a in zip(first, axes, strict=True)))


def extents(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """The shape of what `continued` returns."""
    return tuple(end - first for first, end in (a.reach() for a in axes))


def continued(x: NDArray[Any], axes: tuple[Axis, ...]) -> NDArray[Any]:
    """x with its last axes padded as far as the windows of all outputs reach."""
    X = x
    for i, a in enumerate(axes, x.ndim - len(axes)):
        source = a.sources()
        X = np.where((source >= 0).reshape(-1, *(1,) * (x.ndim - 1 - i)), X.take(source, i), X.dtype.type(0))
    return X


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


def columns(c: Columns) -> NDArray[Any]:
    """What `nn.unfold` gives, as (images, channels, taps, outputs)."""
    X = continued(c.x, c.axes)
    return np.stack([X[under(at, c.axes)] for at in np.ndindex(*(a.k for a in c.axes))], 2).reshape(c.shape)


def folded(c: Columns) -> NDArray[Any]:
    """What `nn.fold` gives, as (images, channels, ...): taps ascend."""
    X = np.zeros((*c.x.shape[:2], *extents(c.axes)), c.compute_dtype)
    outputs = tuple(a.out for a in c.axes)
    for i, at in enumerate(np.ndindex(*(a.k for a in c.axes))):
        X[under(at, c.axes)] += c.x[:, :, i].reshape(*c.x.shape[:2], *outputs)
    return added_back(X, c.axes)


def columns_error_bound(c: Columns) -> NDArray[np.float64]:
    """How far a compiled result may lie from that of `columns` or `folded`: copies not at all,
    and neither do integers."""
    if not c.folds or c.dtype.kind not in "fc":
        return np.zeros(c.shape)
    taps = math.prod(a.k for a in c.axes)
    magnitudes = folded(c._replace(x=np.abs(c.x).astype(np.float64), dtype=np.dtype(np.float64)))
    return 2 * taps * float(np.finfo(c.compute_dtype).eps) * magnitudes
