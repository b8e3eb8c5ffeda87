# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers: for every tap, its weights times what all outputs see under it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments import layer_geometry, layers
from fastconv.reference.activations import activated
from fastconv.reference.rounding import absolute, norm, sum_bound, transform_error
from fastconv.reference.windows import continued, under


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
    names, add = layer_geometry.Options._fields, how.pop("add", None)
    options = layer_geometry.Options(**(dict(zip(names, where, strict=False)) | how))
    c = layers.layer_arguments(rank, x, w, bias, options, add=add)
    return c.deliver(layer(c).astype(c.dtype))


def layer(c: layers.Layer) -> NDArray[Any]:
    """One convolution layer in float64, as (images, kernels, ...)."""
    y = _products(c, c.x.astype(np.float64), c.w.astype(np.float64))
    if c.bias is not None:
        y += c.bias.astype(np.float64).reshape(-1, *(1,) * len(c.axes))
    if c.add is not None:
        y += c.add
    return activated(c.activation, y)


def _products(c: layers.Layer, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """The formula: for every tap, kernels (groups, m, c) times shifted images (groups, c, ...)."""
    X = continued(x, c.axes)
    X = X.reshape(X.shape[0], c.groups, w.shape[1], *X.shape[2:])
    W = w.reshape(c.groups, len(w) // c.groups, *w.shape[1:])
    y = np.zeros((c.shape[0], c.groups, W.shape[1], *c.shape[2:]))
    for at in np.ndindex(w.shape[2:]):
        y += np.einsum("ngc...,gmc->ngm...", X[under(at, c.axes)], W[(..., *at)])
    return y.reshape(c.shape)


def layer_error_bound(c: layers.Layer) -> NDArray[np.float64]:
    """How far a compiled result of c may lie from the reference's, per output element, before the activation.

    With n taps, unit roundoff u of the arithmetic and eta its smallest subnormal number, a sum of products in any
    order is off by at most ``n u sum|x||w| + n eta`` to first order (Higham, section 3.1); the bias is one more term,
    and so is what is added to it. To it are added the error of the reference's own sum and the rounding to the result's
    dtype on both sides. Where an intermediate value can overflow the bound is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> from fastconv.arguments import layer_geometry, layers
    >>> c = layers.layer_arguments(1, np.ones((1, 1, 9)), np.ones((1, 1, 3)), None, layer_geometry.Options())
    >>> bool((reference.layer_error_bound(c) < 1e-14).all())
    True
    """
    n = int(np.prod(c.w.shape[1:])) + 2 + (c.add is not None)
    with np.errstate(all="ignore"):
        magnitude = _products(c, absolute(c.x), absolute(c.w))
        if c.bias is not None:
            magnitude += absolute(c.bias).reshape(-1, *(1,) * len(c.axes))
        if c.add is not None:
            magnitude += absolute(c.add)
    return sum_bound(n, magnitude, c.compute_dtype, c.dtype)


def transformed_error_bound(c: layers.Layer, tile: tuple[int, int], *, adjoint: bool = False) -> NDArray[np.float64]:
    """What a layer, or the adjoint of one with one channel and kernel a group, may be off by besides, where tiles of
    so many rows and columns are transformed: (images, kernels, 1, ...).

    As for correlations (`reference.error_bound`), it is ``16 u log2(N) |x| |w|``, the norms being roots of sums of
    squares of a plane and a kernel, and N the points of a tile; and ``8 N eta (1 + sum|x| + sum|w|)``: of all channels,
    whose sum rounds as often as there are.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.arguments import layer_geometry, layers
    >>> from fastconv.reference.layers import transformed_error_bound
    >>> x, w = np.ones((1, 1, 99, 99), "f"), np.ones((1, 1, 31, 31), "f")
    >>> c = layers.layer_arguments(2, x, w, None, layer_geometry.Options())
    >>> bool((transformed_error_bound(c, (160, 128)) < 0.05).all())
    True
    """
    points, info = math.prod(tile), np.finfo(c.compute_dtype)
    x, w = absolute(c.x), absolute(c.w)
    if not adjoint:
        x = continued(x, c.axes)
    channels = w.shape[1]
    planes = np.array([(norm(plane), plane.sum()) for image in x for plane in image])
    kernels = np.array([(norm(kernel), kernel.sum()) for of_channels in w for kernel in of_channels])
    planes = planes.reshape(len(x), c.groups, 1, channels, 2)
    kernels = kernels.reshape(c.groups, len(w) // c.groups, channels, 2)
    u, eta = float(info.eps) / 2, float(info.smallest_subnormal)
    bound = (transform_error(points, u) + 4 * channels * u) * planes[..., 0] * kernels[..., 0]
    bound += 8 * points * eta * (1 + planes[..., 1] + kernels[..., 1])
    total: NDArray[np.float64] = bound.sum(-1).reshape(len(x), len(w), *(1,) * len(c.axes))
    return total
