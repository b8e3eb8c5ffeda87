# SPDX-License-Identifier: BSD-3-Clause
"""Winograd's convolution, ``A' [(G w G') * (B' x B)] A``: its matrices, made of the points, and how far it may be off.

A tile of m = 2 q outputs along an axis is a product of polynomials, which is known by its values at q pairs of points
+-a, at 0 and at infinity (Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, 2016). Kernels of more than three taps along an axis are the sum of parts, which have
two, and at the end up to three, and are like channels.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments import layers
from fastconv.arguments.axes import Axis
from fastconv.reference.rounding import absolute, sum_bound
from fastconv.reference.windows import continued

TAPS = 3
POINTS = {1: (Fraction(1),), 2: (Fraction(3, 4), Fraction(3, 2))}  # by number of pairs; those of csrc/layers/winograd.c
STEPS = 24  # roundings in and after the transforms of an element, of a weight and of a sum along two axes
PART, DEPTH = 32, 128  # channels that are summed apart, and these sums: as in csrc/costs.h


def matrices(pairs: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A' (m x n), G (n x 3) and B' (n x n) of so many pairs of points, n = m + 2; of none, all are 1.

    Of a point p, A' has its powers, G these over M'(p), and B' the polynomial M / (x - p), where M is the product of
    all x - p; at infinity there are the last output, the last tap, and M.

    Examples
    --------
    >>> from fastconv.reference import winograd
    >>> winograd.matrices(1)[1]
    array([[-1. ,  0. ,  0. ],
           [ 0.5,  0.5,  0.5],
           [ 0.5, -0.5,  0.5],
           [ 0. ,  0. ,  1. ]])
    """
    if pairs == 0:
        one = np.ones((1, 1))
        return one, one, one
    points = [Fraction(0), *(sign * a for a in POINTS[pairs] for sign in (1, -1))]
    m, n = 2 * pairs, 2 * pairs + 2
    whole = np.array([Fraction(1)])
    A, G, B = ([[Fraction(0)] * size for _ in range(n)] for size in (m, TAPS, n))
    for i, p in enumerate(points):
        others = np.array([Fraction(1)])
        for q in points[:i] + points[i + 1 :]:
            others = np.convolve(others, np.array([-q, Fraction(1)]))
        value = sum(c * p**j for j, c in enumerate(others))
        A[i], G[i] = [p**j for j in range(m)], [p**j / value for j in range(TAPS)]
        B[i][: len(others)] = others
        whole = np.convolve(whole, np.array([-p, Fraction(1)]))
    A[-1][-1], G[-1][-1], B[-1][:] = Fraction(1), Fraction(1), whole
    a, g, b = (np.array(M, np.float64) for M in (A, G, B))
    return a.T, g, b


def layer_error_bound(c: layers.Layer, pairs: int) -> NDArray[np.float64]:
    """How far a result of c by so many pairs of points may lie from the reference's, per output element, before the
    activation.

    It is that of a sum (see `reference.layer_error_bound`), whose magnitude is that of the absolute values of all
    elements of a tile, transformed by those of the matrices, and whose roundings are those of a sum of 32 channels, of
    such sums, and of the transforms. (Barabasz, Anderson, Soodhalter and Gregg, Error Analysis and Improving the
    Accuracy of Winograd Convolution for Deep Neural Networks, ACM Transactions on Mathematical Software 46, no. 4,
    2020, analyse such errors; this bound is derived here.)

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.arguments import layer_geometry, layers
    >>> from fastconv.reference import winograd
    >>> x, w = np.ones((1, 4, 9, 9), "f"), np.ones((1, 4, 3, 3), "f")
    >>> c = layers.layer_arguments(2, x, w, None, layer_geometry.Options())
    >>> bool((winograd.layer_error_bound(c, 1) < 1e-2).all())
    True
    """
    bound = _bound(c, c.x, c.w, c.axes, pairs)
    return bound if c.add is None else bound + sum_bound(1, absolute(c.add), c.compute_dtype, c.dtype)


def transposed_error_bound(c: layers.Layer, pairs: int) -> NDArray[np.float64]:
    """The same for the adjoint of a layer without stride: a layer of turned kernels, whose channels and
    kernels have exchanged their roles.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.arguments import layer_geometry, layers
    >>> from fastconv.reference import winograd
    >>> x, w = np.ones((1, 4, 9, 9), "f"), np.ones((4, 1, 3, 3), "f")
    >>> c = layers.transposed_arguments(2, x, w, None, 0, layer_geometry.Options())
    >>> bool((winograd.transposed_error_bound(c, 1) < 1e-2).all())
    True
    """
    w = c.w.reshape(c.groups, -1, *c.w.shape[1:]).swapaxes(1, 2)
    turned = np.flip(w.reshape(-1, *w.shape[2:]), tuple(range(2, 2 + len(c.axes))))
    axes = tuple(a._replace(n=a.out, out=a.n, lead=(a.k - 1) * a.dilation - a.lead) for a in c.axes)
    return _bound(c, c.x, turned, axes, pairs)


def _bound(
    c: layers.Layer, x: NDArray[np.float64], w: NDArray[np.float64], axes: tuple[Axis, ...], pairs: int
) -> NDArray[np.float64]:
    # Axes of one element come first, as a signal in a column is as good as one in a row
    order = sorted(range(len(axes)), key=lambda i: (axes[i].n, axes[i].k, axes[i].out, axes[i].lead) != (1, 1, 1, 0))
    turn = (0, 1, *(2 + i for i in order))
    bound = _bound_of_last(c, x.transpose(turn), w.transpose(turn), tuple(axes[i] for i in order), pairs)
    return bound.transpose(np.argsort(turn))


def _bound_of_last(
    c: layers.Layer, x: NDArray[np.float64], w: NDArray[np.float64], axes: tuple[Axis, ...], pairs: int
) -> NDArray[np.float64]:
    """Of tiles of the last two axes. Under dilated taps, every so many outputs are a layer of as many elements of x."""
    for i, a in list(enumerate(axes))[-2:]:
        if a.dilation == 1 or a.k == 1:
            continue
        bound = np.empty((len(x), len(w), *(b.out for b in axes)))
        n = max(a.n, a.dilation)  # every phase has an element
        x = np.pad(x, [(0, n - a.n if axis == 2 + i else 0) for axis in range(x.ndim)])
        for phase in range(min(a.dilation, a.out)):
            first = (phase - a.lead) % a.dilation
            every = (*(slice(None),) * (2 + i), slice(first, None, a.dilation))
            seen = a._replace(
                n=-(-(n - first) // a.dilation),
                out=-(-(a.out - phase) // a.dilation),
                lead=(first + a.lead - phase) // a.dilation,
                dilation=1,
            )
            to = (*(slice(None),) * (2 + i), slice(phase, None, a.dilation))
            bound[to] = _bound_of_last(c, x[every], w, (*axes[:i], seen, *axes[i + 1 :]), pairs)
        return bound
    rank, size = len(axes), 2 * pairs
    ways = [matrices(pairs if a.k > 1 and i >= rank - 2 else 0) for i, a in enumerate(axes)]
    tiled = tuple(
        a._replace(out=-(-a.out // size) * size) if len(A) > 1 else a for a, (A, _, _) in zip(axes, ways, strict=True)
    )
    with np.errstate(all="ignore"):
        X, W = continued(absolute(x), tiled), absolute(w)
        V, deep = X.reshape(len(X), c.groups, w.shape[1], *X.shape[2:]), rank == 3
        U = W.reshape(c.groups, len(W) // c.groups, *W.shape[1:])
        for i, (A, G, B) in enumerate(ways[int(deep) :], 3 + int(deep)):
            V, U = _values(V, U, i, A, G, B)
        Y = _summed(U, V, axes[0] if deep else None)
        for i, (A, _, _) in reversed([*enumerate(ways[int(deep) :], 3 + int(deep))]):
            Y = np.moveaxis(Y @ np.abs(A).T, -1, i + 1)
            Y = Y.reshape(*Y.shape[:i], Y.shape[i] * Y.shape[i + 1], *Y.shape[i + 2 :])
        cut: tuple[Any, ...] = (..., *(slice(a.out) for a in axes))
        Y = Y.reshape(len(X), len(W), *Y.shape[3:])[cut]
        if c.bias is not None:
            Y += absolute(c.bias).reshape(-1, *(1,) * rank)
    channels = V.shape[2] * (axes[0].k if deep else 1)
    ends = 2  # parts of which not all values are multiplied begin and end amid DEPTH channels
    return sum_bound(STEPS + PART + DEPTH // PART + channels // DEPTH + ends, Y, c.compute_dtype, c.dtype)


def _values(
    V: NDArray[np.float64],
    U: NDArray[np.float64],
    axis: int,
    A: NDArray[np.float64],
    G: NDArray[np.float64],
    B: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of magnitudes of x and taps those of their values along an axis; parts of kernels become channels (axis 2)."""
    m, n, taps = len(A), len(B), U.shape[axis]
    outputs = V.shape[axis] - taps + 1
    if n == 1:
        return V[..., None], U
    V = np.pad(V, [(0, int(i == axis and taps % 2 == 0)) for i in range(V.ndim)])  # no tap meets this element
    windows = np.lib.stride_tricks.sliding_window_view(V, n, axis)
    V_parts, U_parts = [], []
    for first in range(0, taps - 1, 2):
        end = first + 2 if first + 3 < taps else taps
        every: tuple[slice, ...] = (*(slice(None),) * axis, slice(first, first + outputs, m))
        part = np.moveaxis(U, axis, -1)[..., first:end]
        V_parts.append(windows[every] @ np.abs(B).T)
        U_parts.append(np.moveaxis(part @ np.abs(G[:, : end - first]).T, -1, axis))
    return np.concatenate(V_parts, 2), np.concatenate(U_parts, 2)


def weight_error_bound(c: layers.WeightGradient, pairs: int) -> NDArray[np.float64]:
    """The same for the gradient of a layer's weights, ``G' [sum over tiles of (A dy A') * (B' x B)] G``: the magnitude
    is that of absolute values, and the roundings are at most one for each tile, and those of the transforms.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.arguments import layer_geometry, layers
    >>> from fastconv.reference import winograd
    >>> x, grad = np.ones((1, 4, 9, 9), "f"), np.ones((1, 4, 7, 7), "f")
    >>> c = layers.weight_gradient_arguments(2, x, (4, 4, 3, 3), grad, layer_geometry.Options())
    >>> bool((winograd.weight_error_bound(c, 1) < 1e-2).all())
    True
    """
    rank, kernels = len(c.axes), c.grad_output.shape[1] // c.groups
    ways = [matrices(pairs if a.k == TAPS and i >= rank - 2 else 0) for i, a in enumerate(c.axes)]
    tiles = [-(-a.out // len(A)) for a, (A, _, _) in zip(c.axes, ways, strict=True)]
    tiled = tuple(a._replace(out=n * len(A)) for a, n, (A, _, _) in zip(c.axes, tiles, ways, strict=True))
    beyond = [(0, b.out - a.out) for a, b in zip(c.axes, tiled, strict=True)]
    with np.errstate(all="ignore"):
        V, U = continued(absolute(c.x), tiled), np.pad(absolute(c.grad_output), [(0, 0), (0, 0), *beyond])
        V, U = (v.reshape(len(v), c.groups, -1, *v.shape[2:]) for v in (V, U))
        depth = c.axes[0].k if rank == 3 else 1
        for i, (A, _, B) in list(enumerate(ways, 3))[rank == 3 :]:
            every: tuple[slice, ...] = (*(slice(None),) * i, slice(None, None, len(A)))
            V = np.lib.stride_tricks.sliding_window_view(V, len(B), i)[every] @ np.abs(B).T
            U = np.lib.stride_tricks.sliding_window_view(U, len(A), i)[every] @ np.abs(A)
        names = "zhw"[-rank:] + "rs"[: min(rank, 2)]
        seen = [V[:, :, :, t : t + tiles[0]] for t in range(depth)] if rank == 3 else [V]
        sums = np.stack([np.einsum(f"ngm{names},ngc{names}->gmc{names[rank:]}", U, v) for v in seen], 3)
        for i, (_, G, _) in enumerate(ways[rank == 3 :], 4):
            sums = np.moveaxis(np.moveaxis(sums, i, -1) @ np.abs(G), -1, i)
    return sum_bound(
        STEPS + len(c.x) * math.prod(tiles), sums.reshape(c.groups * kernels, *c.shape[1:]), c.compute_dtype, c.dtype
    )


def _summed(U: NDArray[np.float64], V: NDArray[np.float64], depth: Axis | None) -> NDArray[np.float64]:
    """Of values of kernels (groups, m, c, [depth,] values) and of tiles (images, groups, c, [planes,] tiles, values)
    the sums of products over channels and depth: (images, groups, m, [planes,] tiles, values)."""
    values = "rs"[: U.ndim - 3 - (depth is not None)]
    tiles = values.upper()
    if depth is None:
        sums: NDArray[np.float64] = np.einsum(f"gmc{values},ngc{tiles}{values}->ngm{tiles}{values}", U, V)
        return sums
    planes = [
        np.einsum(f"gmc{values},ngcz{tiles}{values}->ngmz{tiles}{values}", U[:, :, :, t], V[:, :, :, t : t + depth.out])
        for t in range(depth.k)
    ]
    total: NDArray[np.float64] = np.sum(planes, axis=0)
    return total
