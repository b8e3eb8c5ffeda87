# SPDX-License-Identifier: BSD-3-Clause
"""The adjoints of layers: transposed layers, and the gradients of inputs and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments import layer_geometry, layers
from fastconv.reference.activations import activated
from fastconv.reference.rounding import absolute, sum_bound
from fastconv.reference.windows import added_back, continued, extents, under


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
    return activated(c.activation, y)


def _scattered(c: layers.Layer, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """The formula: for every tap, kernels (groups, m, c) times outputs (groups, m, ...), added to what they saw."""
    images, groups, channels = c.shape[0], c.groups, w.shape[1]
    Y = x.reshape(images, groups, len(w) // groups, *x.shape[2:])
    W = w.reshape(groups, len(w) // groups, *w.shape[1:])
    X = np.zeros((images, groups, channels, *extents(c.axes)))
    for at in np.ndindex(w.shape[2:]):
        X[under(at, c.axes)] += np.einsum("ngm...,gmc->ngc...", Y, W[(..., *at)])
    return added_back(X.reshape(images, groups * channels, *X.shape[3:]), c.axes)


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
        magnitude = _scattered(c, absolute(c.x), absolute(c.w))
        if c.bias is not None:
            magnitude += absolute(c.bias).reshape(-1, *(1,) * len(c.axes))
    bound = sum_bound(kernels // c.groups * math.prod(taps) * added + 2, magnitude, c.compute_dtype, c.dtype)
    is_finite = np.isfinite(c.w).reshape(c.groups, kernels // c.groups, -1, math.prod(taps)).all((1, 3)).ravel()
    bound[:, ~is_finite] = np.inf
    return bound


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
        magnitude = _inner_products(c, absolute(c.x), absolute(c.grad_output))
    return sum_bound(images * math.prod(outs) + 2, magnitude, c.compute_dtype, c.dtype)
