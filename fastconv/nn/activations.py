# SPDX-License-Identifier: BSD-3-Clause
"""Layers without weights: activations, and those that hand x on in another shape, or in part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layers import as_clamp
from fastconv.arguments.values import as_index, as_real, compute_dtype, generator
from fastconv.nn.module import Activated, Module, masked, passed

__all__ = ["Dropout", "Flatten", "Hardtanh", "Identity", "ReLU", "ReLU6", "Softmax"]

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


class Flatten(Module):
    """The axes from `start_dim` to `end_dim` as one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = as_axis(start_dim, "start_dim"), as_axis(end_dim, "end_dim")

    def __call__(self, x: ArrayLike) -> Array:
        """x in another shape: no copy, if it is contiguous."""
        a = as_real(x, "x")
        first, last = (d + a.ndim if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < a.ndim:
            raise ValueError(f"x of shape {a.shape} has no axes from {self.start_dim} to {self.end_dim}")
        return a.reshape(*a.shape[:first], math.prod(a.shape[first : last + 1]), *a.shape[last + 1 :])

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        return grad.reshape(x.shape)

    def _options(self) -> dict[str, Any]:
        return {"start_dim": self.start_dim, "end_dim": self.end_dim}


class Dropout(Identity):
    """x as it is; in training, `forward`, a part `p` of its elements are zero and the others larger (Srivastava and
    others, Dropout, 2014).

    Parameters
    ----------
    p : float
        From 0 to 1, how probable a zero is.
    seed : int or numpy.random.Generator, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.Dropout(0.5, seed=0)
    >>> layer(np.ones(4)), layer.forward(np.ones(4))
    (array([1., 1., 1., 1.]), array([2., 0., 0., 0.]))
    """

    def __init__(self, p: float = 0.5, *, seed: Any = None) -> None:
        if not isinstance(p, (int, float, np.integer, np.floating)):
            raise TypeError(f"p must be a number; got {p!r}")
        if not 0 <= p <= 1:
            raise ValueError(f"p must be a number from 0 to 1; got {p!r}")
        self.p, self._rng = float(p), generator(seed)

    def forward(self, x: ArrayLike) -> Array:
        """x with some elements zero, remembered for `backward`."""
        a = super().forward(x)
        dtype = a.dtype if a.dtype.kind == "f" else np.dtype(np.float64)
        kept = (self._rng.random(a.shape) >= self.p) * dtype.type(0 if self.p == 1 else 1 / (1 - self.p))
        self._seen = a, a.shape, kept
        y: Array = a * kept
        return y

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        assert self._seen is not None
        result: Array = grad * self._seen[2]
        return result

    def _options(self) -> dict[str, Any]:
        return {"p": self.p}


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
