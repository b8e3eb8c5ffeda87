# SPDX-License-Identifier: BSD-3-Clause
"""Where the outputs of a layer lie: its axes, from shapes, stride, padding and dilation."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.boundaries import BY_NAME, PADDING_MODES
from fastconv.arguments.values import as_count, as_index, as_word, is_listed, per_axis
from fastconv.typing import Activation, IntOrTuple, Layout, Layout1d, Layout2d, Layout3d, Padding, PaddingMode

LAYOUTS: dict[int, tuple[str, ...]] = {1: get_args(Layout1d), 2: get_args(Layout2d), 3: get_args(Layout3d)}
SAME = ("same", "same_lower")
LARGEST = 2**44  # elements of a padded channel, so that no size in bytes overflows


class Options(NamedTuple):
    """The arguments that say how, in the order of the public functions."""

    stride: IntOrTuple = 1
    padding: Padding = 0
    dilation: IntOrTuple = 1
    groups: int = 1
    padding_mode: PaddingMode = "zeros"
    activation: Activation = None
    layout: Layout | None = None
    dtype: DTypeLike | None = None
    out: Any = None


class Names(NamedTuple):
    """What messages call the arguments of a layer."""

    x: str
    w: str
    owner: str | None = None  # which has the dtype that the others must have; None: there is an argument dtype


NAMES = Names("x", "w")
GRADIENT_NAMES = Names("input", "weight")


class Geometry(NamedTuple):
    """What the shapes of x and w, and the options, say."""

    axes: tuple[Axis, ...]
    groups: int
    x_shape: tuple[int, ...]  # (images, channels, ...)
    y_shape: tuple[int, ...]  # (images, kernels, ...)
    batched: bool
    channels_last: bool

    def first(self, a: NDArray[Any]) -> NDArray[Any]:
        """An array with the user's axes, with images first and channels second."""
        a = a if self.batched else a[None]
        return np.moveaxis(a, -1, 1) if self.channels_last else a

    def asked(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape with images first and channels second, with the user's axes."""
        shape = (shape[0], *shape[2:], shape[1]) if self.channels_last else shape
        return shape if self.batched else shape[1:]


def is_last(layout: Any, rank: int) -> bool:
    """Whether channels come last; None: they do not."""
    return layout is not None and as_word(layout, LAYOUTS[rank], "layout") == LAYOUTS[rank][1]


def layer_geometry(
    rank: int,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    options: Options,
    names: Names = NAMES,
) -> Geometry:
    """The geometry of a layer; names: what messages call x and w."""
    x, w = names[:2]
    layout = LAYOUTS[rank][0] if options.layout is None else as_word(options.layout, LAYOUTS[rank], "layout")
    if len(w_shape) != rank + 2:
        raise ValueError(
            f"{w} must have {rank + 2} dimensions (kernels, channels / groups, {', '.join(layout.strip('NC'))} taps); "
            f"got shape {w_shape}"
        )
    batched, channels_last = is_batched(rank, x_shape, x, layout), layout == LAYOUTS[rank][1]
    x_shape = x_shape if batched else (1, *x_shape)
    x_shape = (x_shape[0], x_shape[-1], *x_shape[1:-1]) if channels_last else x_shape
    groups = as_groups(options.groups, w_shape, w)
    if x_shape[1] != groups * w_shape[1]:
        raise ValueError(
            f"{x} of shape {x_shape} has {x_shape[1]} channels; {w} of shape {w_shape} with groups={groups} takes "
            f"{groups * w_shape[1]}"
        )
    axes = layer_axes(
        x_shape[2:],
        w_shape[2:],
        per_axis(options.stride, rank, "stride"),
        as_padding(options.padding),
        per_axis(options.dilation, rank, "dilation"),
        as_word(options.padding_mode, PADDING_MODES, "padding_mode"),
        names,
    )
    kernels = w_shape[0] if x_shape[1] else 0  # as in PyTorch
    y_shape = (x_shape[0], kernels, *(a.out for a in axes))
    for shape in (x_shape, y_shape):
        check_size(shape, f"{x} has shape {x_shape}, {w} {w_shape}")
    return Geometry(axes, groups, x_shape, y_shape, batched, channels_last)


def transposed_geometry(
    rank: int,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    output_padding: IntOrTuple,
    options: Options,
    names: Names = NAMES,
) -> Geometry:
    """The geometry of the layer that a transposed layer is the adjoint of: x has its y_shape, the result its x_shape.

    names: what messages call x and w.
    """
    x, w = names.x, names.w
    layout = LAYOUTS[rank][0] if options.layout is None else as_word(options.layout, LAYOUTS[rank], "layout")
    if len(w_shape) != rank + 2:
        raise ValueError(
            f"{w} must have {rank + 2} dimensions (channels, kernels / groups, taps ...); got shape {w_shape}"
        )
    batched, channels_last = is_batched(rank, x_shape, x, layout), layout == LAYOUTS[rank][1]
    x_shape = x_shape if batched else (1, *x_shape)
    x_shape = (x_shape[0], x_shape[-1], *x_shape[1:-1]) if channels_last else x_shape
    groups = as_groups(options.groups, w_shape, w)
    if x_shape[1] != w_shape[0]:
        raise ValueError(f"{x} of shape {x_shape} has {x_shape[1]} channels; {w} of shape {w_shape} takes {w_shape[0]}")
    axes = transposed_axes(
        x_shape[2:],
        w_shape[2:],
        per_axis(options.stride, rank, "stride"),
        as_padding(options.padding),
        per_axis(options.dilation, rank, "dilation"),
        per_axis(output_padding, rank, "output_padding", least=0),
        names,
    )
    shape = (x_shape[0], groups * w_shape[1], *(a.n for a in axes))
    check_size(shape, f"{x} has shape {x_shape}, {w} {w_shape}")
    return Geometry(axes, groups, shape, x_shape, batched, channels_last)


def is_batched(rank: int, shape: tuple[int, ...], name: str, layout: str | None = None) -> bool:
    """Whether there is an axis of images."""
    if len(shape) not in (rank + 1, rank + 2):
        axes = tuple(layout or LAYOUTS[rank][0])
        raise ValueError(f"{name} must have {rank + 2} dimensions {axes}, or one less; got shape {shape}")
    return len(shape) == rank + 2


def as_groups(groups: Any, w_shape: tuple[int, ...], w: str) -> int:
    """The number of groups, if w's first axis can be split into so many."""
    number = as_count(groups, "groups")
    if w_shape[0] == 0 or w_shape[0] % number:
        raise ValueError(
            f"the first axis of {w} must have a multiple of groups={number} elements, and some; got shape {w_shape}"
        )
    return number


def check_size(shape: tuple[int, ...], because: str) -> None:
    if math.prod(shape) * 8 > sys.maxsize:
        raise ValueError(f"shape {shape} is too large; {because}")


# ---- axes ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def layer_axes(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    padding_mode: str,
    names: Names = NAMES,
) -> tuple[Axis, ...]:
    """The axes of x that w slides over, padded; names: what messages call x and w."""
    x, w = names[:2]
    spans = spans_of(w_shape, dilation, w)
    pads = pads_of(padding, spans, stride, x_shape)
    padded = tuple(n + sum(p) for n, p in zip(x_shape, pads, strict=True))
    if math.prod(max(s, n) for s, n in zip(spans, padded, strict=True)) > LARGEST:
        raise ValueError(f"padding {padding!r} or dilation {dilation} is too large for {x} of {x_shape}")
    if any(span > n for span, n in zip(spans, padded, strict=True)):
        spread = f", spread to {spans} by dilation {dilation}," if spans != w_shape else ""
        raise ValueError(f"{w} of {w_shape} taps{spread} is larger than the padded input {padded} of {x} of {x_shape}")
    _check_elements(x_shape, x)
    boundary = PADDING_MODES[padding_mode]
    axes, once = [], None if boundary == "wrap" else BY_NAME[boundary].once  # x may lie there several times
    for n, k, span, s, d, (before, behind) in zip(x_shape, w_shape, spans, stride, dilation, pads, strict=True):
        if once is not None and max(before, behind) > once(n):
            raise ValueError(f"padding {padding!r} is more than {n} elements allow with padding_mode {padding_mode!r}")
        out = (n + before + behind - span) // s + 1
        axes.append(Axis(n, k, out, before, s, d, boundary, 0, out))
    return tuple(axes)


@functools.lru_cache(maxsize=1024)
def transposed_axes(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...],
    names: Names = NAMES,
) -> tuple[Axis, ...]:
    """The axes of the layer that has x for its output, and `output_padding` elements more than that needs.

    names: what messages call x and w.
    """
    x, w = names.x, names.w
    spans = spans_of(w_shape, dilation, w)
    _check_elements(x_shape, x)
    pads = pads_of(padding, spans, stride, tuple(n * s for n, s in zip(x_shape, stride, strict=True)))
    if padding in SAME:  # what lies between windows that do not meet
        output_padding = tuple(
            more + max(s - span, 0) for more, s, span in zip(output_padding, stride, spans, strict=True)
        )
    if any(more >= max(s, d) for more, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ValueError(
            f"output_padding must be smaller than stride {stride} or dilation {dilation}; got {output_padding}"
        )
    axes = []
    for n, k, span, s, d, more, (before, behind) in zip(
        x_shape, w_shape, spans, stride, dilation, output_padding, pads, strict=True
    ):
        size = (n - 1) * s + span - before - behind + more
        axes.append(Axis(size, k, n, before, s, d, "constant", 0, n))
    sizes = tuple(a.n for a in axes)
    if min(sizes) < 1:
        raise ValueError(f"padding {padding!r} takes more than {x} of {x_shape} gives: the result would be {sizes}")
    if math.prod(a.n + sum(p) for a, p in zip(axes, pads, strict=True)) > LARGEST:
        steps = f"stride {stride}, padding {padding!r} or dilation {dilation}"
        raise ValueError(f"{steps} is too large for {x} of {x_shape}")
    return tuple(axes)


def spans_of(w_shape: tuple[int, ...], dilation: tuple[int, ...], w: str) -> tuple[int, ...]:
    """Elements from the first tap to the last."""
    if 0 in w_shape:
        raise ValueError(f"{w} must have one tap at least along every axis; got {w_shape} taps")
    return tuple((k - 1) * d + 1 for k, d in zip(w_shape, dilation, strict=True))


def _check_elements(x_shape: tuple[int, ...], x: str) -> None:
    if 0 in x_shape:
        raise ValueError(f"{x} of {x_shape} elements has none; only images and channels may be none")


def as_padding(padding: Any) -> Any:
    """A word, or Python's integers in tuples: 1.0 and True would be found in the cache of layer_axes as 1."""

    def integers(value: Any) -> Any:
        return tuple(map(integers, value)) if is_listed(value) else as_index(value)

    try:
        return padding if isinstance(padding, str) else integers(padding)
    except TypeError:
        accepted = "'valid', 'same', 'same_lower', an integer, one for each axis, or pairs (before, behind)"
        raise TypeError(f"padding must be {accepted}; got {padding!r}") from None


def pads_of(
    padding: Any, spans: tuple[int, ...], stride: tuple[int, ...], size: tuple[int, ...] | None = None
) -> tuple[tuple[int, int], ...]:
    """Elements before and behind every axis of so many; None: it is not known yet of how many."""
    rank = len(spans)
    accepted = f"'valid', 'same', 'same_lower', an integer, {rank} of them, or {rank} pairs (before, behind)"
    if isinstance(padding, str):
        if padding not in ("valid", *SAME):
            raise ValueError(f"padding must be {accepted}; got {padding!r}")
        if padding == "valid":
            return ((0, 0),) * rank
        if size is None and stride != (1,) * rank:
            raise ValueError(f"padding {padding!r} is for stride 1 here; got stride {stride}")
        rests = (1,) * rank if size is None else tuple(n - (n - 1) // s * s for n, s in zip(size, stride, strict=True))
        totals = [
            max(span - rest, 0) for span, rest in zip(spans, rests, strict=True)
        ]  # rest: of x, for the last window
        return tuple((t // 2, t - t // 2) if padding == "same" else (t - t // 2, t // 2) for t in totals)
    values = padding if isinstance(padding, tuple) else (padding,) * rank
    if len(values) != rank:
        raise ValueError(f"padding must be {accepted}; got {padding!r}")
    pairs = tuple(v if isinstance(v, tuple) else (v, v) for v in values)
    if any(len(p) != 2 or any(isinstance(n, tuple) for n in p) for p in pairs):
        raise ValueError(f"padding must be {accepted}; got {padding!r}")
    if any(n < 0 for p in pairs for n in p):
        raise ValueError(f"padding must not be negative; got {padding!r}")
    return pairs
