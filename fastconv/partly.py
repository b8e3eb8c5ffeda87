# SPDX-License-Identifier: BSD-3-Clause
"""What calls of `gradient`, `match_template`, layers and `signal` come to, part by part: see `blocks`.

Parts of gradients and of what `signal` sums have the bits of the whole, but where that transforms. Scores are centred
about the means of tiles, and layers choose their way by the sizes of planes: parts of these are within the bounds that
the whole is within. Parts of a batch of images have its bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import convolved, derivatives, feature, methods, signal
from fastconv.arguments.axes import Axis, as_users
from fastconv.arguments.boundaries import NAMES
from fastconv.arguments.correlation import placed
from fastconv.arguments.derivatives import Gradient, gradient_arguments
from fastconv.arguments.layer_geometry import Options
from fastconv.arguments.layers import NOTHING, Layer, layer_arguments
from fastconv.arguments.matching import Matching, matching_arguments
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.signals import axes_of, in_floats
from fastconv.arguments.values import as_array, as_word, float_dtype, is_finite
from fastconv.blocks import Slid, Window, Work, identity, placed_in, unplanned
from fastconv.nn import functional
from fastconv.pictures import to_pixels


def mixing(n: int, out: int) -> Axis:
    """An axis whose outputs each look at all elements."""
    return Axis(n, n, out, 0, 0, 1, "constant", 0, out)


def cropped(axes: Sequence[Axis], x: NDArray[Any], begin: Sequence[int], window: Window) -> tuple[Any, list[Axis]]:
    """No more of a part of x than the outputs in the window look at, and its axes."""
    seen, cut = [], []
    for a, w, low, n in zip(axes, window, begin, x.shape, strict=True):
        part = a.part(*w).cut(low, low + n)
        first, end = part.needed()
        seen.append(slice(first, end))
        cut.append(part.cut(first, end))
    return x[tuple(seen)], cut


def moved_last(c: Correlation, ndim: int) -> list[int]:
    """The order of axes of x in which those that the kernel slides over are the last."""
    moved = c.moved or range(ndim - c.rank, ndim)
    return [*(i for i in range(ndim) if i not in moved), *moved]


def refused(what: str, x: str, why: str) -> ValueError:
    return ValueError(f"{what} is not computed in parts where {why}: pass {x}.compute()")


def like(x: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Something of the shape of x, without its elements."""
    return np.broadcast_to(np.zeros((), dtype), x.shape)


# ---- gradients ------------------------------------------------------------------------------------


class Differentiated(NamedTuple):
    """What computes a gradient."""

    g: Gradient  # of no elements
    axes: tuple[Axis, ...]  # in the order of the user's, of the derivatives first where they are apart
    method: str

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        x, cut = cropped(self.axes, x, begin, window)
        made = self._of(x, cut) if self.g.norm else self._of(x[0], cut[1:])[slice(*window[0])]
        return placed_in(out, made)

    def _of(self, x: NDArray[Any], cut: list[Axis]) -> Any:
        c, apart = self.g.c, not self.g.norm
        last = moved_last(self.g.parts[0], x.ndim)
        x, axes = x.transpose(last), tuple(cut[i] for i in last[-2:])
        batch = x.shape[:-2]
        shape = (*batch, *(a.out for a in axes))
        parts = tuple(p._replace(x=x, axes=axes, shape=shape) for p in self.g.parts)
        k = c.k
        if apart:
            k = np.broadcast_to(k, (2, *batch, *k.shape[-2:]))
            x, shape = np.broadcast_to(x, (2, *x.shape)), (2, *shape)
        c = c._replace(x=x, k=k, axes=axes, shape=shape)
        return derivatives.differentiated(self.g._replace(c=c, parts=parts), self.method, None, None).result


def _gradient(a: dict[str, Any]) -> Work:
    x = a["x"]
    as_word(a["method"], derivatives.METHODS, "method")
    more = {name: a[name] for name in ("size", "axes", "norm", "dtype", "overflow")}
    g = gradient_arguments(x, a["kernel"], a["mode"], a["boundary"], a["fillvalue"], **more)
    c = g.c
    axes = (*(identity(n) for n in c.shape[:-2]), *c.axes)
    if not g.norm:
        axes = (mixing(1, 2), *axes[1:])
    axes = tuple(axes[i] for i in as_users(range(len(axes)), c.moved, 2))
    k = c.k if g.norm else c.k[(slice(None), *(slice(1),) * (c.k.ndim - 3))].copy()
    none = g._replace(c=c._replace(x=NOTHING, k=k), parts=tuple(p._replace(x=NOTHING) for p in g.parts))
    shape = x.shape if g.norm else (1, *x.shape)
    return Work(shape, axes, c.dtype, None, None, (1,) * len(axes), Differentiated(none, axes, a["method"]))


# ---- template matching ----------------------------------------------------------------------------


class Matched(NamedTuple):
    """What computes scores."""

    m: Matching  # of no image
    axes: tuple[Axis, ...]
    channels: int | None  # which axis of the image they are

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        x, cut = cropped(self.axes, x, begin, window)
        if self.channels is not None:
            x = np.moveaxis(x, self.channels, 0)
            cut.insert(0, cut.pop(self.channels))
        shape, lead = tuple(a.out for a in cut), tuple(a.lead for a in cut)
        scores = feature.matched(self.m._replace(image=x, shape=shape, lead=lead), 0, None).result
        return placed_in(out, scores if self.channels is None else np.expand_dims(scores, self.channels))


def _match_template(a: dict[str, Any]) -> Work:
    x, mode, fill = a["image"], a["mode"], a["constant_values"]
    names = "method", "mask", "axes", "dtype"
    if a["pad_input"] and isinstance(mode, str) and (mode not in NAMES or (mode == "constant" and np.ndim(fill))):
        checked: Any = {name: a[name] for name in names}
        matching_arguments(x, a["template"], **checked)
        raise refused("match_template", "image", f"mode is {mode!r}, which looks at whole axes")
    m = matching_arguments(x, a["template"], a["pad_input"], mode, fill, **{name: a[name] for name in names})
    places = list(zip(m.image.shape, m.template.shape, m.shape, m.lead, strict=True))
    axes = [Axis(n, k, out, lead, 1, 1, m.boundary, 0, out) for n, k, out, lead in places]
    channels = None
    if m.has_channels:
        (channels,) = {*range(x.ndim)} - {i % x.ndim for i in a["axes"]}
        axes[0] = mixing(axes[0].n, 1)
        axes.insert(channels, axes.pop(0))
    compute = Matched(m._replace(image=NOTHING), tuple(axes), channels)
    return Work(x.shape, tuple(axes), m.dtype, None, None, (1,) * len(axes), compute, dropped=channels)


# ---- layers ---------------------------------------------------------------------------------------


class Layered(NamedTuple):
    """What computes a layer."""

    layer: Layer  # of no images
    axes: tuple[Axis, ...]
    engine: functional.Engine
    bias: Any

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        x, cut = cropped(self.axes, x, begin, window)
        layer, windows = self.layer, list(window)
        if not layer.batched:
            x, cut, windows = x[None], [identity(1), *cut], [(0, 1), *windows]
        if layer.channels_last:
            x = np.moveaxis(x, -1, 1)
            cut.insert(1, cut.pop())
            windows.insert(1, windows.pop())
        kernels = slice(*windows[1])
        windows[1] = (0, layer.shape[1])
        x = x.astype(layer.dtype, copy=False)
        axes = tuple(a._replace(start=0, whole=a.out, begin=0, total=0) for a in cut[2:])
        add = None if layer.add is None else layer.add[tuple(slice(*w) for w in windows)]
        shape = (len(x), layer.shape[1], *(a.out for a in axes))
        layer = layer._replace(x=x, axes=axes, shape=shape, add=add)
        made = functional.layered(layer, self.engine, (x, layer.w, layer.bias, add, None)).result
        along = len(self.axes) - 1 if layer.channels_last else int(layer.batched)
        return placed_in(out, made[(slice(None),) * along + (kernels,)])


def _layer(rank: int) -> Callable[[dict[str, Any]], Work]:
    def work(a: dict[str, Any]) -> Work:
        asked = a["dtype"]
        x = like(a["x"], a["x"].dtype.newbyteorder("=") if asked is None else float_dtype(asked))
        if a["x"].dtype.kind == "c":
            x = a["x"]  # which is refused
        names = "stride", "padding", "dilation", "groups", "padding_mode", "activation", "layout", "dtype"
        how = Options(*(a[name] for name in names))
        engine = functional.as_engine(a["method"], a["accuracy"], None)
        if np.ndim(a["w"]) == rank + 3:
            raise refused(f"nn.conv{rank}d", "x", "each image has kernels of its own")
        layer = layer_arguments(rank, x, a["w"], a["bias"], how, add=a["add"])
        (images, channels), kernels = layer.x.shape[:2], layer.shape[1]
        axes = [identity(images), mixing(channels, kernels), *layer.axes]
        if layer.channels_last:
            axes.append(axes.pop(1))
        of_user = tuple(axes if layer.batched else axes[1:])
        compute = Layered(layer._replace(x=NOTHING), of_user, engine, a["bias"])
        return Work(x.shape, of_user, layer.dtype, None, None, (1,) * len(of_user), compute)

    return work


# ---- signal ---------------------------------------------------------------------------------------


class Convolved(NamedTuple):
    """What computes sums of `signal`."""

    slid: Slid
    dtype: np.dtype[Any]  # of the sums
    boundaries: tuple[str, ...] | None
    is_little: bool  # so that complex numbers are summed at once

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        if self.is_little:
            x, cut = cropped(self.slid.axes, x, begin, window)
            last = moved_last(self.slid.c, x.ndim)
            over = [cut[i] for i in last[-self.slid.c.rank :]]
            where = [a.lead for a in over], [a.out for a in over]
            made = convolved.complex_at_once(x.transpose(last), self.slid.k, *where, self.dtype, self.boundaries)
            return placed_in(out, made.result.transpose(np.argsort(last)))
        slid = self.slid
        if self.dtype.kind == "c" and not is_finite(x):  # NaN times 0j is NaN
            x, slid = x.astype(self.dtype), slid._replace(k=slid.k.astype(self.dtype))
        return slid(x, mask, begin, window, out)


def _signal(name: str) -> Callable[[dict[str, Any]], Work]:
    def work(a: dict[str, Any]) -> Work:
        x, k = a["in1"], as_array(a["in2"], "in2")
        of_axes = "axes" in a
        if of_axes:
            x = like(x, in_floats(np.empty(0, x.dtype)).dtype)
        found: list[convolved.Asked] = []
        look = convolved.seen.set(found)
        try:
            unplanned(getattr(signal, name.replace("oa", "fft")))(**{**a, "in1": x, "in2": k})
        finally:
            convolved.seen.reset(look)
        if not found or not found[0].out:
            raise refused(name, "in1", "nothing is summed")
        f = found[0]
        rank = len(f.out)
        moved: list[int] = []
        if rank < x.ndim:
            moved = [i for i in axes_of(a["axes"], x.ndim) if x.shape[i] != 1 and k.shape[i] != 1]
            moved = [] if moved == list(range(x.ndim - rank, x.ndim)) else moved
        taps = f.k.shape[f.k.ndim - rank :]
        if not (f.x.ndim == x.ndim and np.may_share_memory(f.x, x)):
            raise refused(name, "in1", f"in2, of shape {k.shape}, is the larger array")
        if any(m > n for m, n in zip(taps, f.x.shape[x.ndim - rank :], strict=True)):
            raise refused(name, "in1", f"in2, of shape {k.shape}, is longer along an axis")
        if f.k.size != math.prod(taps):
            raise refused(name, "in1", f"in2, of shape {k.shape}, has several kernels")
        if rank > 3 or not convolved.is_fast(f.dtype) or f.dtype.kind == "b":
            raise refused(name, "in1", f"{rank} axes of {f.dtype} are summed")
        if f.boundaries is None and not is_finite(k):
            raise refused(name, "in1", "in2 is not finite")
        return _placed(name, f, tuple(moved), f.k.reshape(taps))

    return work


def _placed(name: str, f: convolved.Asked, moved: tuple[int, ...], k: NDArray[Any]) -> Work:
    rank, dtype = len(f.out), f.dtype
    if dtype.kind in "fc" and k.dtype.kind in "iu" and k.dtype.itemsize == 8:
        k = k.astype(dtype)
    sizes = f.x.shape[f.x.ndim - rank :]
    is_little = convolved.is_little_work(math.prod(sizes) * k.size, rank) and (f.boundaries is not None or is_finite(k))
    differ = {f.x.dtype.newbyteorder("="), k.dtype.newbyteorder("=")} != {dtype}
    k = np.ascontiguousarray(np.flip(k))
    lead = tuple(m - 1 - first for m, first in zip(k.shape, f.start, strict=True))
    c = placed(f.x, k, lead, f.out, dtype, f.boundaries, f.fill)._replace(moved=moved)
    axes = (*(identity(n) for n in c.shape[:-rank]), *c.axes)
    axes = tuple(axes[i] for i in as_users(range(len(axes)), moved, rank))
    method = "direct" if is_little and dtype.kind != "c" and differ else f.method
    if dtype.kind in "fc":
        methods.choose(c, method)
    slid = Slid(c._replace(x=np.empty(0, f.x.dtype), k=np.empty(0)), k, (), axes, method, name)
    at_once = is_little and f.fill == 0 and convolved.fits_complex(dtype, rank)
    shape = as_users(f.x.shape, moved, rank)
    return Work(shape, axes, dtype, None, None, (1,) * len(axes), Convolved(slid, dtype, f.boundaries, at_once))


# ---- pixels ---------------------------------------------------------------------------------------


class Pixels(NamedTuple):
    """What makes pixels of numbers."""

    rule: str
    dtype: np.dtype[Any]

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        return placed_in(out, to_pixels(x, self.rule, self.dtype))


def _to_pixels(a: dict[str, Any]) -> Work:
    axes = tuple(identity(n) for n in a["y"].shape)
    return Work(a["y"].shape, axes, a["dtype"], None, None, (1,) * len(axes), Pixels(a["rule"], a["dtype"]))


# As blocks.WORK
WORK: dict[str, Callable[[dict[str, Any]], Work]] = {
    "fastconv.derivatives.gradient": _gradient,
    "fastconv.feature.match_template": _match_template,
    "fastconv.pictures.to_pixels": _to_pixels,
    **{f"fastconv.nn.functional.conv{rank}d": _layer(rank) for rank in (1, 2, 3)},
    **{
        f"fastconv.signal.{name}": _signal(name)
        for name in ("convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", "oaconvolve")
    },
}
