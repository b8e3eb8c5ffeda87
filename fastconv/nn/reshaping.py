# SPDX-License-Identifier: BSD-3-Clause
"""Layers that hand on the elements of x in another shape or order, or some of them, or their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.values import as_count, as_flag, as_real
from fastconv.nn import pooling
from fastconv.nn.activations import as_axis, floats
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.module import Module

__all__ = ["ChannelShuffle", "Flatten", "PixelShuffle"]

Array = NDArray[Any]
Size = (
    int | tuple[int, int, tuple[int, ...]]
)  # a number, -1 for what is left, or sizes of axes of x times a / b: (a, b, axes)
Index = int | str | tuple[int | None, int | None, int | None] | None  # "...", or what slice() takes


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

    @takes_bfloat16
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


class View(Module):
    """x in another shape, whose sizes may be made of those of x.

    Parameters
    ----------
    sizes : sequence of int or (int, int, tuple of int)
        Of each axis: a number; -1 for the one that is left; or (a, b, axes), the sizes of these axes of x times a / b.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import View
    >>> View([(1, 1, (0,)), 2, (1, 2, (1,))])(np.ones((3, 8))).shape
    (3, 2, 4)
    """

    def __init__(self, sizes: Sequence[Size]) -> None:
        self.sizes = tuple(sizes)

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """x in another shape: no copy, if it is contiguous."""
        a = as_real(x, "x")
        shape = [size if isinstance(size, int) else self._of(a.shape, *size) for size in self.sizes]
        try:
            return a.reshape(shape)
        except ValueError:
            raise ValueError(f"x of shape {a.shape} cannot have shape {tuple(shape)}") from None

    def _of(self, shape: tuple[int, ...], times: int, by: int, axes: tuple[int, ...]) -> int:
        if not all(-len(shape) <= axis < len(shape) for axis in axes):
            raise ValueError(f"x of shape {shape} must have axes {axes}")
        size, left = divmod(math.prod(shape[axis] for axis in axes) * times, by)
        if left:
            raise ValueError(f"x of shape {shape} cannot be divided by {by} along axes {axes}")
        return size

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient in x's shape."""
        return grad.reshape(x.shape)

    def _options(self) -> dict[str, Any]:
        return {"sizes": self.sizes}


class Squeeze(Module):
    """x without axes of one element: those that are named, if they are such, or all.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import Squeeze
    >>> Squeeze((0, 1))(np.ones((1, 2, 1))).shape
    (2, 1)
    """

    def __init__(self, dim: int | Sequence[int] | None = None) -> None:
        self.dim = None if dim is None else as_axes(dim)

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """x with fewer axes."""
        a = as_real(x, "x")
        axes = range(a.ndim) if self.dim is None else placed(self.dim, a)
        return a.squeeze(tuple(axis for axis in axes if a.shape[axis] == 1))

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient in x's shape."""
        return grad.reshape(x.shape)

    def _options(self) -> dict[str, Any]:
        return {"dim": self.dim}


class Permute(Module):
    """x with its axes in another order: no copy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import Permute
    >>> Permute((0, 2, 1))(np.ones((1, 2, 3))).shape
    (1, 3, 2)
    """

    def __init__(self, dims: Sequence[int]) -> None:
        self.dims = as_axes(dims, "dims")

    def _order(self, a: Array) -> tuple[int, ...]:
        order = placed(self.dims, a)
        if sorted(order) != list(range(a.ndim)):
            raise ValueError(f"x of shape {a.shape} must have as many axes as dims={self.dims}")
        return order

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """x in another order."""
        a = as_real(x, "x")
        return a.transpose(self._order(a))

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient with its axes where they were."""
        return grad.transpose(np.argsort(self._order(x)))

    def _options(self) -> dict[str, Any]:
        return {"dims": self.dims}


class Swap(Permute):
    """x with two axes in each other's place: no copy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import Swap
    >>> Swap(1, -1)(np.ones((1, 2, 3))).shape
    (1, 3, 2)
    """

    def __init__(self, dim0: int, dim1: int) -> None:
        super().__init__((dim0, dim1))

    def _order(self, a: Array) -> tuple[int, ...]:
        one, other = placed(self.dims, a)
        order = list(range(a.ndim))
        order[one], order[other] = other, one
        return tuple(order)

    def _options(self) -> dict[str, Any]:
        return dict(zip(("dim0", "dim1"), self.dims, strict=True))


class Part(Module):
    """Some elements of x: ``x[index]``.

    Parameters
    ----------
    index : sequence
        Of each axis a number, or (start, stop, step); "..." for all axes between; None for a new one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import Part
    >>> Part(["...", (1, None, None)])(np.array([[1.0, 2.0, 3.0]]))
    array([[2., 3.]])
    """

    def __init__(self, index: Sequence[Index]) -> None:
        self.index = tuple(index)

    def _of(self, a: Array) -> Any:
        return tuple(slice(*i) if isinstance(i, tuple) else Ellipsis if i == "..." else i for i in self.index)

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """These elements: no copy."""
        a = as_real(x, "x")
        try:
            return np.asarray(a[self._of(a)])
        except IndexError as error:
            raise ValueError(f"x of shape {a.shape} has no such elements: {error}") from None

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient where the elements were, and zeros."""
        result = np.zeros(x.shape, grad.dtype)
        result[self._of(x)] = grad
        return result

    def _options(self) -> dict[str, Any]:
        return {"index": self.index}


class Chunk(Part):
    """One of some parts of x along an axis that are of one size, but for the last.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import Chunk
    >>> Chunk(2, 1, 0)(np.arange(5.0))
    array([3., 4.])
    """

    def __init__(self, chunks: int, number: int, dim: int) -> None:
        self.chunks, self.number, self.dim = as_count(chunks, "chunks"), as_axis(number, "number"), as_axis(dim, "dim")

    def _of(self, a: Array) -> Any:
        (axis,) = placed((self.dim,), a)
        size = max(1, -(-a.shape[axis] // self.chunks))
        if not 0 <= self.number * size < max(a.shape[axis], 1):
            raise ValueError(f"x of shape {a.shape} has no chunk {self.number} of {self.chunks} along axis {self.dim}")
        return (*(slice(None),) * axis, slice(self.number * size, (self.number + 1) * size))

    def _options(self) -> dict[str, Any]:
        return {"chunks": self.chunks, "number": self.number, "dim": self.dim}


class Mean(Module):
    """The mean along axes, or of all elements.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.nn.reshaping import Mean
    >>> Mean((1, 2))(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([2.5])
    """

    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None:
        self.dim, self.keepdim = None if dim is None else as_axes(dim), as_flag(keepdim, "keepdim")

    def _axes(self, a: Array) -> tuple[int, ...]:
        return tuple(range(a.ndim)) if not self.dim else placed(self.dim, a)

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """Means of x's dtype; integers are taken as float64."""
        a, dtype = floats(x)
        axes, rank = self._axes(a), a.ndim - 2
        if rank in (1, 2, 3) and sorted(axes) == list(range(2, a.ndim)) and 0 not in a.shape:
            pool = getattr(pooling, f"adaptive_avg_pool{rank}d")
            y: Array = pool(a, (1,) * rank)
            y = y if self.keepdim else y.reshape(a.shape[:2])
        else:
            y = np.asarray(a.mean(axes, keepdims=self.keepdim))
        return y.astype(dtype, copy=False)

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """Each element has its part."""
        axes = self._axes(x)
        part = grad / grad.dtype.type(math.prod(x.shape[axis] for axis in axes))
        wide = part if self.keepdim else np.expand_dims(part, axes)
        return np.broadcast_to(wide, x.shape).astype(grad.dtype)

    def _options(self) -> dict[str, Any]:
        return {"dim": self.dim, "keepdim": self.keepdim}


class ChannelShuffle(Module):
    """The channels of groups by turns: the first of each group, then the second of each (Zhang and others, ShuffleNet,
    2018).

    Parameters
    ----------
    groups : int
        It must divide the channels, axis 1 of x.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.ChannelShuffle(2)(np.arange(6.0).reshape(1, 6, 1)).ravel()
    array([0., 3., 1., 4., 2., 5.])
    """

    def __init__(self, groups: int) -> None:
        self.groups = as_count(groups, "groups")

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """x with its channels in another order."""
        a = as_real(x, "x")
        if a.ndim < 3 or a.shape[1] % self.groups:
            raise ValueError(f"x must have shape (N, C, ...) with groups={self.groups} dividing C; got {a.shape}")
        return self._shuffled(a, self.groups)

    @staticmethod
    def _shuffled(a: Array, groups: int) -> Array:
        return a.reshape(len(a), groups, a.shape[1] // groups, *a.shape[2:]).swapaxes(1, 2).reshape(a.shape)

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient with its channels where they were."""
        return self._shuffled(grad, x.shape[1] // self.groups)

    def _options(self) -> dict[str, Any]:
        return {"groups": self.groups}


class PixelShuffle(Module):
    """Channels as pixels of larger images: (..., C * r * r, H, W) becomes (..., C, H * r, W * r) (Shi and others,
    Real-Time Single Image and Video Super-Resolution, 2016).

    Parameters
    ----------
    upscale_factor : int
        r, whose square must divide the channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.PixelShuffle(2)(np.arange(4.0).reshape(1, 4, 1, 1))
    array([[[[0., 1.],
             [2., 3.]]]])
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = as_count(upscale_factor, "upscale_factor")

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """The larger images."""
        a, r = as_real(x, "x"), self.upscale_factor
        if a.ndim < 3 or a.shape[-3] % (r * r):
            raise ValueError(f"x must have shape (..., C * {r * r}, H, W) for upscale_factor={r}; got {a.shape}")
        *lead, channels, h, w = a.shape
        parts = np.moveaxis(a.reshape(*lead, channels // (r * r), r, r, h, w), (-4, -3), (-3, -1))
        return parts.reshape(*lead, channels // (r * r), h * r, w * r)

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """The gradient of the smaller images."""
        r, (*lead, channels, h, w) = self.upscale_factor, x.shape
        parts = grad.reshape(*lead, channels // (r * r), h, r, w, r)
        return np.moveaxis(parts, (-3, -1), (-4, -3)).reshape(x.shape)

    def _options(self) -> dict[str, Any]:
        return {"upscale_factor": self.upscale_factor}


def as_axes(dim: Any, name: str = "dim") -> tuple[int, ...]:
    return tuple(as_axis(d, name) for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))


def placed(dims: tuple[int, ...], a: Array) -> tuple[int, ...]:
    """The axes of an array that are meant."""
    if not all(-a.ndim <= d < a.ndim for d in dims):
        raise ValueError(f"x of shape {a.shape} has no axes {dims}")
    return tuple(d % a.ndim for d in dims)
