# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of pictures: a correlation for each derivative, and their norm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.derivatives import Gradient, gradient_arguments
from fastconv.reference.correlation import run, wide_sums
from fastconv.reference.rounding import error_bound


def gradient(x: ArrayLike, *where: Any, **how: Any) -> NDArray[Any]:
    """`fastconv.gradient` in plain NumPy; `where` and `how` are its arguments that change the result, and `out`.

    Examples
    --------
    >>> from fastconv import reference
    >>> reference.gradient([[0, 3, 6], [4, 7, 10]], norm="l1")
    array([[28., 40., 28.],
           [28., 40., 28.]])
    """
    return differentiated(gradient_arguments(x, *where, **how))


def differentiated(g: Gradient) -> NDArray[Any]:
    """Compute and deliver one gradient in float64."""
    if not g.norm:
        return np.asarray(run(g.c))
    with np.errstate(all="ignore"):
        parts = np.stack([wide_sums(part) for part in g.parts])
        return g.c.as_asked(g.c.deliver(_norm(parts, g.norm).astype(g.c.compute_dtype)))


def _norm(parts: NDArray[np.float64], norm: str) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.abs(parts).sum(0) if norm == "l1" else np.sqrt((parts**2).sum(0))
    return total


def gradient_error_bound(g: Gradient) -> NDArray[np.float64]:
    """How far a compiled gradient may lie from the reference's, per element.

    Without a norm, that of each correlation. A norm is off by no more than the norm of what its derivatives are off by,
    and n + 2 roundings of its own for n derivatives; a square, or its root, by what subnormal numbers lose. Where the
    squares may overflow the bound is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments.derivatives import gradient_arguments
    >>> bool(reference.gradient_error_bound(gradient_arguments(np.ones((4, 4)))).max() < 1e-13)
    True
    """
    result = np.finfo(g.c.dtype if g.c.dtype.kind == "f" else g.c.sum_dtype)
    compute = np.finfo(g.c.compute_dtype)
    with np.errstate(all="ignore"):
        bounds = [error_bound(part, tuple(f[t : t + 1] for f in g.factors)) for t, part in enumerate(g.parts)]
        bound = np.stack(bounds)
        if g.norm:
            n = len(g.parts)
            parts = np.abs(np.stack([wide_sums(part) for part in g.parts])) + bound
            size, bound = _norm(parts, g.norm), _norm(bound, g.norm)
            bound += (n + 2) * float(compute.eps) * size
            if g.norm == "l2":
                bound += np.sqrt(2 * n * float(compute.smallest_subnormal))
            most = np.sqrt(float(compute.max)) / 2 if g.norm == "l2" else float(compute.max) / 2
            bound = np.where(size >= min(most, float(result.max) * (1 - float(result.eps))), np.inf, bound)
        else:
            size = np.abs(np.stack([wide_sums(part) for part in g.parts]))
        bound += float(result.eps) * size + 2 * float(result.smallest_subnormal)
    return bound + 1 if g.c.dtype.kind in "iu" else bound
