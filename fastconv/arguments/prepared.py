# SPDX-License-Identifier: BSD-3-Clause
"""One correlation, ready to be computed: arrays, axes, dtypes, and the parts of it that are one, too."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.axes import Axis, as_users
from fastconv.arguments.conversion import converted
from fastconv.arguments.values import compute_dtype


class Correlation(NamedTuple):
    """One correlation, ready to be computed; arrays have the axes that the kernel slides over last."""

    x: NDArray[Any]
    k: NDArray[Any]  # already flipped for a convolution, conjugated for a correlation; leading axes: those of x
    factors: tuple[NDArray[Any], ...]  # k as an outer product of one vector per axis; (): not known to be one
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    sum_dtype: np.dtype[Any]  # what x, k and the exact sums have in common
    dtype: np.dtype[Any]  # of the result
    overflow: str
    fillvalue: int | float | complex
    moved: tuple[int, ...]  # where the last axes are in the user's arrays; (): last
    out: NDArray[Any] | None
    asked_out: NDArray[Any] | None  # out with the user's axes
    mask: NDArray[np.bool] | None = None  # of x: True where an element counts
    ignore_nan: bool = False
    return_weight: bool = False

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def has_own_kernels(self) -> bool:
        """Whether elements of the leading axes have kernels of their own."""
        return self.k.ndim > self.rank

    @property
    def taps(self) -> int:
        """Of a kernel."""
        return math.prod([a.k for a in self.axes])

    @property
    def is_weighted(self) -> bool:
        """Whether elements may be missing, so that results are normalised by the weight of those that are there."""
        return self.mask is not None or self.ignore_nan or self.return_weight

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """What the sums are made in: float16 is computed in float32."""
        return compute_dtype(self.sum_dtype)

    def room(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array for the result, which lies as the user's axes do."""
        if not self.moved:
            return np.empty(self.shape, dtype)
        return np.moveaxis(
            np.empty(as_users(self.shape, self.moved, self.rank), dtype), self.moved, range(-self.rank, 0)
        )

    def deliver(self, sums: NDArray[Any]) -> NDArray[Any]:
        """The result in its own dtype, in `out` when there is one.

        Raises
        ------
        OverflowError, ValueError
            If a sum does not fit into the dtype, and that is to be an error. `out` is untouched.
        """
        result = converted(sums, self.dtype, self.overflow)
        if self.out is None:
            return result
        if result is not self.out:
            self.out[...] = result
        return self.out

    def with_axes(self, axes: tuple[Axis, ...]) -> Correlation:
        shape = (*self.shape[: len(self.shape) - self.rank], *(a.out for a in axes))
        return self._replace(axes=axes, shape=shape, out=None, asked_out=None)

    def whole(self) -> Correlation:
        """Without the window."""
        if not [a for a in self.axes if a.out != a.whole or a.step != 1 or a.total]:
            return self
        return self.with_axes(tuple([a.whole_axis() for a in self.axes]))

    def without_steps(self) -> Correlation:
        """With all that the window's steps leave out."""
        return self.with_axes(
            tuple(
                a._replace(out=max(a.out - 1, 0) * a.step + min(a.out, 1), stride=a.stride // a.step, step=1)
                for a in self.axes
            )
        )

    def seen(self) -> Correlation:
        """With no more of x than the outputs look at, along axes where that lies inside it."""
        axes = tuple([a.seen() for a in self.axes])
        if axes == self.axes:
            return self
        pairs = zip(self.axes, axes, strict=True)
        cut: list[Any] = [slice(None) if new is a else slice(-a.lead, new.n - a.lead) for a, new in pairs]
        return self._replace(x=self.x[(..., *cut)], axes=axes)

    def kernel_axes(self) -> tuple[int, ...]:
        """The leading axes along which kernels differ."""
        leading = range(self.k.ndim - self.rank)
        return tuple(i for i in leading if self.k.shape[i] > 1 and self.k.strides[i] != 0)

    def with_kernel(self, index: tuple[int, ...]) -> Correlation:
        """Of the kernels, the one at this place along `kernel_axes`, and the elements that it is for."""
        at: list[Any] = [slice(None)] * (self.k.ndim - self.rank)
        for axis, i in zip(self.kernel_axes(), index, strict=True):
            at[axis] = i
        return self._part(tuple(at), self.k[tuple(0 if i == slice(None) else i for i in at)])

    def leading(self, index: tuple[Any, ...]) -> Correlation:
        """Some elements of the leading axes, or one."""
        return self._part(index, self.k[index] if self.has_own_kernels else self.k)

    def _part(self, index: tuple[Any, ...], k: NDArray[Any]) -> Correlation:
        x = self.x[index]
        return self._replace(
            x=x,
            k=k,
            mask=None if self.mask is None else self.mask[index],
            shape=(*x.shape[: x.ndim - self.rank], *self.shape[len(self.shape) - self.rank :]),
            out=None,
            asked_out=None,
            moved=(),
        )

    def band(self, first: int, end: int) -> Correlation:
        """Outputs first ... end of the first axis that the kernel slides over, from no more of x than they look at."""
        part = self.axes[0].part(first, end)
        low, high = part.needed()
        part = part.cut(low, high)
        cut: tuple[Any, ...] = (..., slice(low, high), *(slice(None),) * (self.rank - 1))
        rows: tuple[Any, ...] = (..., slice(first, end), *(slice(None),) * (self.rank - 1))
        return self._replace(
            x=self.x[cut],
            mask=None if self.mask is None else self.mask[cut],
            axes=(part, *self.axes[1:]),
            shape=(*self.shape[: -self.rank], end - first, *self.shape[len(self.shape) - self.rank + 1 :]),
            out=None if self.out is None else self.out[rows],
            asked_out=None,
            moved=(),
        )

    def as_asked(self, result: NDArray[Any]) -> NDArray[Any]:
        """The delivered result with the user's axes, which it lies in memory in the order of."""
        if self.asked_out is not None:
            return self.asked_out
        if not self.moved:
            return result
        return np.ascontiguousarray(result.transpose(as_users(range(result.ndim), self.moved, self.rank)))
