# SPDX-License-Identifier: BSD-3-Clause
"""Where the outputs lie: the axes that a kernel slides over, from lengths, mode, stride and dilation."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from operator import gt
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from fastconv import costs
from fastconv.arguments.boundaries import source_index
from fastconv.arguments.values import as_flag, as_size, as_word, per_axis
from fastconv.typing import IntOrTuple, Mode, Window

MODES: tuple[str, ...] = get_args(Mode)


class Axis(NamedTuple):
    """One axis that the kernel slides over.

    Tap t of output o meets element ``o * stride - lead + t * dilation`` of the axis continued by `boundary`.
    """

    n: int  # elements of x
    k: int  # taps
    out: int  # outputs that are asked for
    lead: int
    stride: int
    dilation: int
    boundary: str
    start: int  # which output of the whole result the first one is
    whole: int  # how many outputs that has
    step: int = 1  # part of the stride that comes from the window
    unit: int = 1  # elements of memory, side by side, that an element of the axis is
    begin: int = 0  # where the n elements begin in an axis
    total: int = 0  # of so many, which the outputs belong to; 0: there are no others

    def reach(self) -> tuple[int, int]:
        """First element that the outputs look at, and the one behind the last, as if x went on."""
        first = -self.lead
        return first, first + (self.out - 1) * self.stride + (self.k - 1) * self.dilation + 1

    def seen(self) -> Axis:
        """With no more elements than the outputs look at, where these lie inside it."""
        first, end = self.reach()
        less = self.out > 0 and first >= 0 and end <= self.n and end - first < self.n
        return self._replace(n=end - first, lead=0) if less else self

    def whole_axis(self) -> Axis:
        """With all outputs, and all elements, of which there may be more than these n."""
        first = self.lead + self.start * self.stride // self.step - self.begin
        stride, n = self.stride // self.step, self.total or self.n
        return self._replace(n=n, out=self.whole, lead=first, stride=stride, start=0, step=1, begin=0, total=0)

    def needed(self) -> tuple[int, int]:
        """The first element of x that the outputs look at, and the one behind the last: an axis that is cut to these
        goes on beyond its ends as this one does."""
        first, end = self.reach()
        low, high = min(max(first, 0), self.n - 1), max(min(end, self.n), 1)
        if (first >= 0 and end <= self.n) or self.out == 0 or self.n == 0 or self.boundary == "constant":
            return min(low, high), high
        if first < -self.n or end > 2 * self.n:  # all of x once more, at least; it may be further than memory is long
            return 0, self.n
        beyond = np.concatenate([np.arange(first, min(end, 0)), np.arange(max(first, self.n), end)])
        source = source_index(beyond, self.n, self.boundary)
        inside = source[source >= 0]
        low, high = min(low, int(inside.min(initial=low))), max(high, int(inside.max(initial=0)) + 1)
        cut = source_index(beyond - low, high - low, self.boundary)
        return (low, high) if np.array_equal(np.where(cut < 0, cut, cut + low), source) else (0, self.n)

    def cut(self, low: int, high: int) -> Axis:
        """With elements low ... high alone."""
        return self._replace(n=high - low, lead=self.lead + low, begin=self.begin + low, total=self.total or self.n)

    def sources(self) -> NDArray[np.intp]:
        """Which elements of x the outputs look at, over their whole reach; -1: the fill value."""
        return source_index(np.arange(*self.reach()) if self.out else np.arange(0), self.n, self.boundary)

    def sparse(self) -> tuple[NDArray[np.intp], Axis] | None:
        """Which elements the outputs look at, and the axis that has them side by side, if that is far fewer.

        They come in pieces: around each tap where these are further apart than the outputs, or under each output.
        """
        outputs, taps = (self.out - 1) * self.stride + 1, (self.k - 1) * self.dilation + 1
        if self.out == 0 or outputs + taps < costs.FAR * min(self.k * outputs, self.out * taps):
            return None
        if self.k * outputs < self.out * taps:
            pieces, each, far = self.k, outputs, self.dilation
            dense = self._replace(dilation=outputs)
        else:
            pieces, each, far = self.out, taps, self.stride
            dense = self._replace(stride=taps, step=1)
        elements = (np.arange(pieces)[:, None] * far + np.arange(each)).ravel() - self.lead
        return elements, dense._replace(n=elements.size, lead=0)

    def part(self, first: int, end: int) -> Axis:
        """Outputs first ... end of those that are asked for."""
        lead, start = self.lead - first * self.stride, self.start + first * self.step
        return self._replace(out=end - first, lead=lead, start=start)


@functools.lru_cache(maxsize=256)
def geometry(
    x_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    mode: str,
    boundaries: tuple[str, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    convolve: bool,
) -> tuple[Axis, ...]:
    """The axes that the kernel slides over, from their lengths in x and k; names and numbers are known to be good."""
    if 0 in k_shape:
        raise ValueError(f"k must not be empty; got shape {k_shape}")
    spans = tuple([(k - 1) * d + 1 for k, d in zip(k_shape, dilation, strict=True)])
    if max(spans) > sys.maxsize // 4:
        raise ValueError(f"dilation {dilation} spreads k of shape {k_shape} too far")
    if mode == "valid" and any(map(gt, spans, x_shape)):
        spread = f", spread to {spans} by dilation," if spans != k_shape else ""
        raise ValueError(
            f"k of shape {k_shape}{spread} does not fit into x of shape {x_shape} in mode 'valid'; "
            "exchange the two, or use mode 'same' or 'full'"
        )
    axes = []
    for n, k, span, boundary, s, d in zip(x_shape, k_shape, spans, boundaries, stride, dilation, strict=True):
        if mode == "valid":
            dense, lead = n - span + 1, 0
        elif mode == "same":
            # SciPy's centring: correlate2d at (span-1)//2, convolve2d (of the flipped kernel) at span//2.
            dense, lead = n, span // 2 if convolve else (span - 1) // 2
        else:
            dense, lead = n + span - 1, span - 1
        out = -(-dense // s)
        axes.append(Axis(n, k, out, lead, s, d, boundary, 0, out))
    if 0 in x_shape and 0 not in [a.out for a in axes] and any(a.n == 0 and a.boundary != "constant" for a in axes):
        continued = next(a.boundary for a in axes if a.n == 0 and a.boundary != "constant")
        raise ValueError(f"x of shape {x_shape} is empty: boundary {continued!r} has nothing to continue")
    return tuple(axes)


def halo(
    k_shape: IntOrTuple,
    mode: Mode = "valid",
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    *,
    convolve: bool = False,
) -> tuple[tuple[int, int], ...]:
    """How much input a window of the result needs beyond its own place.

    The outputs from `start` to `stop` (stop not included) along an axis look at elements
    ``start * stride - before`` to ``(stop - 1) * stride + after`` (included) of x along that axis.

    Parameters
    ----------
    k_shape : int or tuple of int
        Shape of the kernel; an int for a 1-D kernel.
    mode : {"valid", "same", "full"}
    stride, dilation : int or tuple of int
    convolve : bool
        For the `convolve*` functions, which centre an even kernel on the other side.

    Returns
    -------
    tuple of (before, after) per axis
        `after` may be below zero.

    Raises
    ------
    ValueError, TypeError
        What the correlation itself would raise.

    Examples
    --------
    >>> from fastconv import halo
    >>> halo((3, 5), "same")
    ((1, 1), (2, 2))
    >>> halo(4, "same"), halo(4, "same", convolve=True), halo(4)
    (((1, 2),), ((2, 1),), ((0, 3),))
    """
    as_word(mode, MODES, "mode")
    shape = as_size((k_shape,) if isinstance(k_shape, (int, np.integer)) else k_shape, "k_shape")
    if not shape or 0 in shape:
        raise ValueError(f"k_shape must have one tap at least; got {k_shape!r}")
    rank = len(shape)
    taps, strides, dilations = (
        per_axis(v, rank, name, least)
        for v, name, least in ((shape, "k_shape", 0), (stride, "stride", 1), (dilation, "dilation", 1))
    )
    room = tuple((k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True))
    axes = geometry(room, taps, mode, ("constant",) * rank, strides, dilations, as_flag(convolve, "convolve"))
    return tuple((a.lead, (a.k - 1) * a.dilation - a.lead) for a in axes)


def windowed(axes: tuple[Axis, ...], window: Window) -> tuple[Axis, ...]:
    slices = (window,) if isinstance(window, slice) else window
    if not isinstance(slices, Sequence) or len(slices) != len(axes) or not all(isinstance(s, slice) for s in slices):
        raise ValueError(f"window must be {len(axes)} slice{'s'[: len(axes) > 1]}, one for each axis; got {window!r}")
    cut = []
    for axis, part in zip(axes, slices, strict=True):
        try:
            start, stop, step = part.indices(axis.out)
        except TypeError:
            raise TypeError(f"window must be slices of integers; got {part!r}") from None
        except ValueError:  # a step of 0
            raise ValueError(f"window must have steps of at least 1; got {part!r}") from None
        if step < 1:
            raise ValueError(f"window must have steps of at least 1; got {part!r}")
        cut.append(
            axis._replace(
                out=len(range(start, stop, step)),
                lead=axis.lead - start * axis.stride,
                stride=axis.stride * step,
                start=start,
                step=step,
            )
        )
    return tuple(cut)


def as_users(of_axes: Sequence[int], moved: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Numbers of axes (lengths, or which ones they are), the last ones where the user has them."""
    if not moved:
        return tuple(of_axes)
    at = dict(zip(moved, of_axes[-rank:], strict=True))
    batch = iter(of_axes[:-rank])
    return tuple(at[i] if i in at else next(batch) for i in range(len(of_axes)))
