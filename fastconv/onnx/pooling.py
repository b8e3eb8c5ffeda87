# SPDX-License-Identifier: BSD-3-Clause
"""The pooling of ONNX, and `Col2Im`: windows that `nn` knows, and those that it does not.

Padding may be more than half of a window, and windows of means may have dilation: they are made of other calls.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import nn
from fastconv.onnx.operators import RANKS, Operator, Pads, Windows, rank_of

CONV: dict[int, Callable[..., NDArray[Any]]] = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
MAX_POOL: dict[int, Callable[..., Any]] = {1: nn.max_pool1d, 2: nn.max_pool2d, 3: nn.max_pool3d}
AVG_POOL: dict[int, Callable[..., NDArray[Any]]] = {1: nn.avg_pool1d, 2: nn.avg_pool2d, 3: nn.avg_pool3d}


class Pool(Operator):
    """Windows that are pooled: those that `nn` pools, and others."""

    def checked(self, attributes: dict[str, Any]) -> Windows:
        windows = super().checked(attributes)
        if windows.kernel_shape is None:
            raise ValueError("kernel_shape is missing")
        return windows

    def pooled(self, windows: Windows, x: NDArray[Any], ceil: bool) -> Pooled:
        taps = windows.kernel_shape or ()
        rank = rank_of(x, taps)
        pads = windows.padding(x.shape[2:], taps)
        ceil = ceil and not windows.auto_pad.startswith("SAME")
        return Pooled(taps, windows.steps(rank), pads, windows.spread(rank), windows.spans(taps), ceil)


class Pooled(NamedTuple):
    """Windows along the axes of an input."""

    taps: tuple[int, ...]
    steps: tuple[int, ...]
    pads: Pads
    spread: tuple[int, ...]
    spans: tuple[int, ...]
    ceil: bool

    @property
    def narrow(self) -> bool:
        """Whether padding is what `nn` pools: at most half of a window's elements."""
        return all(2 * max(pair) <= k for k, pair in zip(self.taps, self.pads, strict=True))

    def ends(self, sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Of every axis the number of windows, and how far beyond the input's end the last reaches (negative: not)."""
        ends = []
        for n, step, (before, behind), span in zip(sizes, self.steps, self.pads, self.spans, strict=True):
            room = n + before + behind - span
            out = (-(-room // step) if self.ceil else room // step) + 1
            if self.ceil and (out - 1) * step >= n + before:  # it would begin beyond the input
                out -= 1
            if out < 1:
                raise ValueError(
                    f"windows that span {self.spans} are larger than the input of {tuple(sizes)} with padding "
                    f"{self.pads}"
                )
            ends.append((out, (out - 1) * step + span - before - n))
        return tuple(ends)


class MaxPool(Pool):
    """The largest element of every window, and where it is: `nn.max_pool2d`."""

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x = inputs[0]
        p = self.pooled(windows, x, bool(attributes.get("ceil_mode")))
        finds = len([name for name in self.output if name]) > 1
        pool, sizes = MAX_POOL[len(p.taps)], x.shape[2:]
        if p.narrow:
            largest = pool(x, p.taps, p.steps, p.pads, p.spread, p.ceil, finds)
            starts = (0,) * len(sizes)
        else:
            starts = tuple(before for before, _ in p.pads)
            x = _padded(x, starts, p.ends(sizes))
            largest = pool(x, p.taps, p.steps, 0, p.spread, False, finds)
        if not finds:
            return (largest,)
        y, where = largest
        at = [axis - start for axis, start in zip(np.unravel_index(where, x.shape[2:]), starts, strict=True)]
        order: Any = "F" if attributes.get("storage_order") else "C"
        where = np.asarray(np.ravel_multi_index(tuple(at), sizes, "clip", order), np.int64)
        planes = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(sizes))
        return y, where + planes * math.prod(sizes)


def _seen(sizes: Sequence[int], ends: Sequence[tuple[int, int]]) -> tuple[Any, ...]:
    """Where elements are that windows see, as far as they end."""
    return (..., *(slice(n + min(more, 0)) for n, (_, more) in zip(sizes, ends, strict=True)))


def _padded(x: NDArray[Any], starts: Sequence[int], ends: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """x with elements that are never the largest, so that the windows are those without padding."""
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    seen = x[_seen(x.shape[2:], ends)]
    beyond = [(before, max(more, 0)) for before, (_, more) in zip(starts, ends, strict=True)]
    return np.pad(seen, [(0, 0), (0, 0), *beyond], constant_values=least)


class AveragePool(Pool):
    """The mean of every window: `nn.avg_pool2d`; of windows with dilation or wide padding, a layer's sums."""

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x = inputs[0]
        p = self.pooled(windows, x, bool(attributes.get("ceil_mode")))
        padded = bool(attributes.get("count_include_pad"))
        if p.narrow and p.spans == p.taps:
            return (AVG_POOL[len(p.taps)](x, p.taps, p.steps, p.pads, p.ceil, padded),)
        sizes, dtype = x.shape[2:], np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
        ends = p.ends(sizes)
        seen = x[_seen(sizes, ends)].astype(dtype)
        pads = tuple((before, max(more, 0)) for (before, _), (_, more) in zip(p.pads, ends, strict=True))
        ones = np.ones((x.shape[1], 1, *p.taps), dtype)
        sums = CONV[len(sizes)](seen, ones, None, p.steps, pads, p.spread, x.shape[1])
        counts = np.ones((), dtype)
        for (out, _), n, k, step, d, (before, behind) in zip(
            ends, sizes, p.taps, p.steps, p.spread, p.pads, strict=True
        ):
            at = np.arange(out)[:, None] * step + np.arange(k) * d - before
            inside = (at >= -before) & (at < n + behind) if padded else (at >= 0) & (at < n)
            counts = counts[..., None] * inside.sum(1, dtype=dtype)
        with np.errstate(invalid="ignore", divide="ignore"):  # windows of padding alone have no mean
            sums /= counts
        return (sums.astype(x.dtype),)


class GlobalAveragePool(Operator):
    """The mean of every plane, of any number of axes."""

    pool: ClassVar[Callable[..., NDArray[Any]]] = staticmethod(nn.adaptive_avg_pool1d)

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x = inputs[0]
        return (self.pool(x.reshape(*x.shape[:2], -1), 1).reshape(*x.shape[:2], *(1,) * (x.ndim - 2)),)


class GlobalMaxPool(GlobalAveragePool):
    """The largest element of every plane."""

    pool = staticmethod(nn.adaptive_max_pool1d)


class Col2Im(Operator):
    """Columns of windows added back to images: `nn.fold`, and NumPy for what is no float and for more axes."""

    def computed(self, windows: Windows, attributes: dict[str, Any], *inputs: Any) -> tuple[Any, ...]:
        x, *shapes = inputs
        image, taps = (tuple(int(n) for n in shape) for shape in shapes)
        rank = len(image)
        steps, spread = windows.steps(rank), windows.spread(rank)
        pads = windows.padding(image, taps)
        if x.dtype.kind == "f" and rank in RANKS:
            folded = nn.fold(x, image, taps, spread, pads, steps)
            return (folded.reshape(*folded.shape[:2], *image),)
        if x.dtype.kind not in "iufc":
            raise TypeError(f"integers, floats and complex numbers are added; got dtype {x.dtype}")
        along = list(zip(image, windows.spans(taps), steps, pads, strict=True))
        outputs = tuple((n + sum(pair) - span) // step + 1 for n, span, step, pair in along)
        rows = math.prod(taps)
        if x.ndim != 3 or min(outputs) < 1 or x.shape[1] % rows or x.shape[2] != math.prod(outputs):
            raise ValueError(f"the input must have shape (N, C x {rows}, {math.prod(outputs)}); got {x.shape}")
        columns = x.reshape(len(x), -1, rows, *outputs)
        whole = np.zeros((*columns.shape[:2], *(n + sum(pair) for n, _, _, pair in along)), x.dtype)
        for tap, at in enumerate(itertools.product(*map(range, taps))):
            starts = [i * d for i, d in zip(at, spread, strict=True)]
            under = [slice(i, i + (n - 1) * s + 1, s) for i, n, s in zip(starts, outputs, steps, strict=True)]
            whole[:, :, *under] += columns[:, :, tap]
        inner = [slice(before, before + n) for n, _, _, (before, _) in along]
        return (np.ascontiguousarray(whole[:, :, *inner]),)
