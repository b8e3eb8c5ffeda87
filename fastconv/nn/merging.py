# SPDX-License-Identifier: BSD-3-Clause
"""Layers that take several outputs: sums, products, and what lies behind each other."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.values import as_real, compute_dtype
from fastconv.nn.activations import as_axis
from fastconv.nn.module import Activated, Module, options_of, restored
from fastconv.nn.optim import Parameter
from fastconv.nn.pointwise import activate

__all__ = ["Add", "Cat", "Mul"]

Array = NDArray[Any]


class Merge(Module):
    """A layer that takes several outputs."""

    def forward(self, *xs: ArrayLike) -> Array:
        """The output, with the shapes of what it was made of remembered."""
        y = self(*xs)
        self._seen = [as_real(x, "x").shape for x in xs], y.shape
        return y


class Add(Merge):
    """The sum of arrays, of one shape or with axes that are broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Add()(np.ones(2), np.ones(2))
    array([2., 2.])
    """

    def __call__(self, *xs: ArrayLike) -> Array:
        """The sum."""
        return _broadcast(operator.add, xs)

    def gradient(self, x: Any, grad: Array, needs_input: bool) -> Any:
        """Of each array: the gradient, summed where it was broadcast."""
        return [_summed(grad, shape) for shape in x]


class Mul(Merge):
    """The product of arrays, of one shape or with axes of one element that are broadcast, as the gates of squeeze and
    excitation are (Hu, Shen and Sun, Squeeze-and-Excitation Networks, 2018).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Mul()(np.ones((1, 2, 3)), np.array([[[2.0], [3.0]]]))
    array([[[2., 2., 2.],
            [3., 3., 3.]]])
    """

    def __call__(self, *xs: ArrayLike) -> Array:
        """The product."""
        return _broadcast(operator.mul, xs)

    def forward(self, *xs: ArrayLike) -> Array:
        """The product, with the arrays remembered."""
        arrays = _several(xs)
        y = self(*arrays)
        self._seen = arrays, y.shape
        return y

    def gradient(self, x: Any, grad: Array, needs_input: bool) -> Any:
        """Of each array: the gradient times the others, summed where it was broadcast."""
        others = [functools.reduce(operator.mul, [a for j, a in enumerate(x) if j != i], grad) for i in range(len(x))]
        return [_summed(g, a.shape) for g, a in zip(others, x, strict=True)]


class ExpandAs(Merge):
    """The first array with the shape of the second: axes of one element are repeated, without a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.merging import ExpandAs
    >>> ExpandAs()(np.array([[1.0], [2.0]]), np.ones((2, 3)))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """

    def __call__(self, *xs: ArrayLike) -> Array:
        """The wider array, read-only."""
        x, other = _several(xs)
        return np.broadcast_to(x, other.shape)

    def gradient(self, x: Any, grad: Array, needs_input: bool) -> Any:
        """Nothing of the second matters but its shape."""
        return _summed(grad, x[0]), np.zeros_like(grad)


class Cat(Merge):
    """Arrays behind each other along an axis: channels, by default.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Cat()(np.ones((1, 2, 4)), np.ones((1, 3, 4))).shape
    (1, 5, 4)
    """

    fills = True

    def __init__(self, dim: int = 1) -> None:
        self.dim = as_axis(dim, "dim")

    def __call__(self, *xs: ArrayLike) -> Array:
        """The longer array."""
        arrays = _several(xs)
        try:
            return np.concatenate(arrays, self.dim)
        except ValueError as error:
            shapes = ", ".join(str(a.shape) for a in arrays)
            raise ValueError(f"xs must fit along axis dim={self.dim}; got {shapes}") from error

    def _into(self, out: Array, *xs: Any) -> Array:
        """What lies where it belongs is not copied."""
        ends = itertools.accumulate(a.shape[self.dim] for a in xs)
        for a, part in zip(xs, np.split(out, list(ends)[:-1], self.dim), strict=True):
            if (a.shape, a.dtype) != (part.shape, part.dtype):
                raise ValueError(f"xs must fill {out.dtype}{out.shape}; got {a.dtype}{a.shape} for {part.shape}")
            if a.__array_interface__["data"] != part.__array_interface__["data"]:
                part[...] = a
        return out

    def gradient(self, x: Any, grad: Array, needs_input: bool) -> Any:
        return np.split(grad, np.cumsum([shape[self.dim] for shape in x[:-1]]), self.dim)

    def _options(self) -> dict[str, Any]:
        return {"dim": self.dim}


class ConvAdd(Merge):
    """A convolution and the sum with what comes second, in one pass: what `folded` makes of both. It does not learn.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.ones((1, 2, 4, 4), np.float32)
    >>> network = nn.Graph({"conv": (nn.Conv2d(2, 2, 1, seed=0), "x"), "add": (nn.Add(), "conv", "x")})
    >>> len(network.folded()), bool(np.allclose(network.folded()(x), network(x)))
    (1, True)
    """

    fills = True

    def __init__(self, conv: Module) -> None:
        self.conv, self.activation = conv, conv.activation

    def __call__(self, *xs: ArrayLike) -> Array:
        """The sum."""
        x, add = xs
        conv: Any = self.conv
        try:
            y: Array = conv(x, add=add)
        except ValueError:  # shapes differ: they are broadcast, or Add says what is wrong
            y = activate(Add()(conv._computed(x, None), add), self.activation)
        return y

    def _into(self, out: Array, *xs: Any) -> Array:
        x, add = xs
        try:
            return self.conv(x, out, add=add)
        except ValueError:
            y = self(x, add)
            if y.shape != out.shape:
                raise
        out[...] = y
        return out

    def parameters(self) -> list[Parameter]:
        """Those of the convolution."""
        return self.conv.parameters()

    def _with(self, after: Module) -> Module | None:
        whole = self.conv._with(after) if isinstance(after, Activated) else None
        return None if whole is None else ConvAdd(whole)

    def _options(self) -> dict[str, Any]:
        return {"conv": options_of(self.conv)}

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        return cls(restored(Module, options["conv"], arrays, engine))

    def __repr__(self) -> str:
        return f"{self.conv!r} + another"


def _broadcast(operation: Callable[[Array, Array], Array], xs: tuple[ArrayLike, ...]) -> Array:
    """What arrays come to, element by element."""
    arrays = _several(xs)
    try:
        return functools.reduce(operation, arrays)
    except ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(f"xs must be of one shape, but for axes of one element; got {shapes}") from None


def _several(xs: tuple[ArrayLike, ...]) -> list[Array]:
    if not xs:
        raise ValueError("xs must be one array at least; got none")
    return [as_real(x, "xs") for x in xs]


def _summed(grad: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an array of this shape that was broadcast."""
    lead = grad.ndim - len(shape)
    axes = *range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 and grad.shape[lead + i] != 1)
    return grad.sum(axes, dtype=compute_dtype(grad.dtype)).reshape(shape).astype(grad.dtype) if axes else grad
