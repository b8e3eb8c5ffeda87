# SPDX-License-Identifier: BSD-3-Clause
"""Layers without weights whose outputs have the shape of x: activations, and numbers times x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layers import as_clamp
from fastconv.arguments.values import as_index, as_real, compute_dtype
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.module import Activated, Module, masked, passed

__all__ = ["Hardtanh", "Identity", "ReLU", "ReLU6", "Softmax"]

Array = NDArray[Any]


class Identity(Module):
    """x as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Identity()(np.ones(2))
    array([1., 1.])
    """

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """x."""
        return as_real(x, "x")

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        return grad


class Hardtanh(Activated):
    """Elements brought between two bounds, which may be infinite: ``numpy.clip(x, min_val, max_val)``.

    Where x is cut off, the bounds included, no gradient passes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Hardtanh()(np.array([-2.0, 0.5, np.nan, 3.0]))
    array([-1. ,  0.5,  nan,  1. ])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        try:
            clamp = as_clamp((min_val, max_val))
        except (TypeError, ValueError) as error:
            bounds = f"got {min_val!r} and {max_val!r}"
            raise type(error)(f"min_val and max_val must be numbers, the first not the larger; {bounds}") from None
        assert clamp is not None
        self.activation = self._clamp = clamp

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """The clamped elements, of x's dtype."""
        a, (low, high) = as_real(x, "x"), self._clamp
        if a.dtype.kind != "f":
            a = a.astype(np.float64)
        if low == 0 and high == math.inf:
            y: Array = np.maximum(a, a.dtype.type(0))
            return y
        clipped: Array = np.clip(a, a.dtype.type(low), a.dtype.type(high))
        return clipped

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        return masked(grad, passed(x, *self._clamp))

    def _options(self) -> dict[str, Any]:
        return dict(zip(("min_val", "max_val"), self._clamp, strict=True))


class ReLU(Hardtanh):
    """The larger of an element and 0 (Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, 2011).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.ReLU()(np.array([-2.0, 3.0]))
    array([0., 3.])
    """

    def __init__(self) -> None:
        super().__init__(0.0, math.inf)
        self.activation = "relu"

    def _options(self) -> dict[str, Any]:
        return {}


class ReLU6(Hardtanh):
    """Elements brought between 0 and 6.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.ReLU6()(np.array([-2.0, 3.0, 8.0]))
    array([0., 3., 6.])
    """

    def __init__(self) -> None:
        super().__init__(0.0, 6.0)
        self.activation = "relu6"

    def _options(self) -> dict[str, Any]:
        return {}


class Softmax(Module):
    """``exp(x) / exp(x).sum(dim)``, of x's dtype, without overflow.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Softmax(dim=1)(np.array([[1000.0, 1000.0]]))
    array([[0.5, 0.5]])
    """

    def __init__(self, dim: int) -> None:
        self.dim = as_axis(dim, "dim")

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """Numbers that sum to 1 along `dim`."""
        a, dtype = floats(x)
        if not -a.ndim <= self.dim < a.ndim:
            raise ValueError(f"x of shape {a.shape} has no axis {self.dim}")
        e = np.exp(a - a.max(self.dim, keepdims=True, initial=-math.inf))
        y: Array = e / e.sum(self.dim, keepdims=True)
        return y.astype(dtype, copy=False)

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        y = self(x)
        total = (grad * y).sum(self.dim, keepdims=True)
        result: Array = y * (grad - total)
        return result

    def _options(self) -> dict[str, Any]:
        return {"dim": self.dim}


class Affine(Module):
    """x times a number, and another added: what a network does with constants.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.activations import Affine
    >>> Affine(2, -1)(np.array([1.0, 3.0]))
    array([1., 5.])
    """

    def __init__(self, factor: float = 1.0, shift: float = 0.0) -> None:
        try:
            self.factor, self.shift = float(factor), float(shift)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"factor and shift must be numbers; got {factor!r} and {shift!r}") from None

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """Numbers of x's dtype; integers are taken as float64."""
        y, dtype = floats(x)
        y = y if self.factor == 1 else y * y.dtype.type(self.factor)
        y = y if self.shift == 0 else y + y.dtype.type(self.shift)
        return y.astype(dtype, copy=False)

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient times the factor."""
        result: Array = grad * grad.dtype.type(self.factor)
        return result

    def _options(self) -> dict[str, Any]:
        return {"factor": self.factor, "shift": self.shift}


def floats(x: ArrayLike) -> tuple[Array, np.dtype[Any]]:
    """An array to compute with, and the dtype of the result; integers are taken as float64."""
    a = as_real(x, "x")
    dtype = a.dtype if a.dtype.kind == "f" else np.dtype(np.float64)
    return a.astype(compute_dtype(dtype), copy=False), dtype


def as_axis(value: Any, name: str) -> int:
    try:
        axis = as_index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer; got {value!r}") from None
    if not -64 <= axis < 64:
        raise ValueError(f"{name} must be that of an axis; got {value!r}")
    return axis
