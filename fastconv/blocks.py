# SPDX-License-Identifier: BSD-3-Clause
"""Functions whose results are computed part by part, each from a part of x, with the bits of the whole.

`dask` and `tiled` ask here what a call comes to: the shape and dtype of its result, for each axis which elements of x
some of its outputs need, and those outputs from these elements.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import methods, ndimage
from fastconv.arguments.axes import Axis, as_users
from fastconv.arguments.correlation import Options, OuterProduct, correlation_arguments
from fastconv.arguments.filters import Part, Pass, seen, within
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import as_array, as_word, real_dtype, unrepeated
from fastconv.plans import Answer
from fastconv.runtime import checking
from fastconv.sums import run

Window = tuple[tuple[int, int], ...]  # the first output along each axis, and the one behind the last


class Work(NamedTuple):
    """A function, called with all but the elements of x."""

    x_shape: tuple[int, ...]  # that x is broadcast to
    axes: tuple[Axis, ...]  # of the result, and of x
    dtype: np.dtype[Any]  # of the result
    weight: np.dtype[Any] | None  # of a second result, if there is one
    mask: Any  # an array that x comes with, or None
    multiples: tuple[int, ...]  # a part of x that begins at one of them, along each axis, is enough
    # (x, mask, begin, window, out): the outputs in the window, from a part of x that begins at those elements; in out,
    # if that is an array
    compute: Any
    dropped: int | None = None  # an axis of the result, of one element, that the user's has not


class Slid(NamedTuple):
    """What computes a correlation."""

    c: Correlation  # of no elements
    k: NDArray[Any]
    kernels: tuple[int, ...]  # the leading axes of c.k
    axes: tuple[Axis, ...]  # in the order of the user's
    method: Any
    what: str

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        rank, c = self.c.rank, self.c
        order = [*(i for i in range(x.ndim) if i not in c.moved), *c.moved] if c.moved else [*range(x.ndim)]
        cut = [a.part(*w).cut(low, low + n) for a, w, low, n in zip(self.axes, window, begin, x.shape, strict=True)]
        x, mask = x.transpose(order), None if mask is None else mask.transpose(order)
        if c.fillvalue.imag and x.dtype.kind != "c":
            x = x.astype(c.sum_dtype)
        k = self.k
        if self.kernels:
            k = np.broadcast_to(k, (*self.kernels, *(a.k for a in c.axes)))
            k = k[tuple(slice(*window[i]) for i in order[:-rank])]
        axes = tuple(cut[i] for i in order[-rank:])
        shape = (*(x.shape[:-rank]), *(a.out for a in axes))
        if out is not None:
            c = c._replace(out=out.transpose(order), asked_out=out)
        return run(c._replace(x=x, k=k, axes=axes, shape=shape, mask=mask), self.method, None, self.what)


def identity(n: int) -> Axis:
    """An axis whose outputs each look at the element in their place."""
    return Axis(n, 1, n, 0, 1, 1, "constant", 0, n)


def _slid(rank: int, convolve: bool, what: str) -> Callable[[dict[str, Any]], Work]:
    def work(a: dict[str, Any]) -> Work:
        x = a["x"]
        k = OuterProduct(a["ky"], a["kx"]) if "ky" in a else a["k"]
        mask = a["mask"]
        if mask is not None and (isinstance(mask, np.ndarray | np.generic) or not hasattr(mask, "dtype")):
            mask = as_array(mask, "mask")
        known = "mode", "boundary", "fillvalue", "stride", "dilation", "window", "dtype", "overflow", "nan"
        options = Options(axes=a["axis" if rank == 1 else "axes"], **{name: a[name] for name in known})
        there = None if mask is None else np.broadcast_to(np.ones((), mask.dtype), mask.shape)
        options = options._replace(mask=there, return_weight=a["return_weight"])
        c = correlation_arguments(rank, x, k, options, convolve=convolve)
        as_word(a["method"], methods.METHODS, "method")
        if c.sum_dtype.kind not in "iu":  # whose sums are exact, by whatever method suits them
            methods.choose_for_all(c, a["method"])
        axes = (*(identity(n) for n in c.shape[:-rank]), *c.axes)
        axes = tuple(axes[i] for i in as_users(range(len(axes)), c.moved, rank))
        own = c.has_own_kernels
        compute = Slid(
            c._replace(x=np.empty(0, x.dtype), k=np.empty(0), mask=None),
            np.ascontiguousarray(unrepeated(c.k) if own else c.k),
            c.k.shape[:-rank] if own else (),
            axes,
            a["method"],
            what,
        )
        weight = real_dtype(c.compute_dtype) if a["return_weight"] else None
        return Work(as_users(c.x.shape, c.moved, rank), axes, c.dtype, weight, mask, (1,) * len(axes), compute)

    return work


class Filtered(NamedTuple):
    """What computes a filter of `ndimage`."""

    filter: Callable[..., Any]
    asked: dict[str, Any]
    shape: tuple[int, ...]
    multiples: tuple[int, ...]  # that parts begin at, along each axis

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, out: Any = None) -> Any:
        skips = [-low % n for low, n in zip(begin, self.multiples, strict=True)]
        x = x[tuple(slice(skip, None) for skip in skips)]
        begin = [low + skip for low, skip in zip(begin, skips, strict=True)]
        more = {} if out is None else {"output": out}
        places = zip(begin, self.shape, window, strict=True)
        answer = within.set([Part(low, n, first - low, end - low) for low, n, (first, end) in places])
        try:
            made = unplanned(self.filter)(input=x, **self.asked | more)
        finally:
            within.reset(answer)
        return made.result if type(made) is Answer else made


def placed_in(out: Any, made: NDArray[Any]) -> NDArray[Any]:
    """What was made, in out if that is an array."""
    if out is None:
        return made
    out[...] = made
    return out  # type: ignore[no-any-return]


def unplanned(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as it is written."""
    plain: Callable[..., Any] = inspect.unwrap(function)
    return plain


def _filtered(function: Callable[..., Any]) -> Callable[[dict[str, Any]], Work]:
    def work(a: dict[str, Any]) -> Work:
        asked = {name: value for name, value in a.items() if name != "input"}
        asked |= asked.pop("kwargs", {})
        x = a["input"]
        chains: list[Sequence[Pass]] = []
        look, check = seen.set(chains), checking.set(True)  # so that none is carried out from memory
        try:
            with np.errstate(all="ignore"):
                made = unplanned(function)(input=np.zeros((1,) * x.ndim, x.dtype), **asked)
        finally:
            seen.reset(look)
            checking.reset(check)
        made = made.result if type(made) is Answer else made
        axes, multiples = [], []
        for axis, n in enumerate(x.shape):
            along = [[p for p in chain if p.axis == axis] for chain in chains]
            boundaries = sorted({p.boundary for some in along for p in some}) or ["constant"]
            if len(boundaries) > 1:
                raise ValueError(f"mode must be one for axis {axis}, where parts are computed; got {a['mode']!r}")
            before = max([sum(p.lead for p in some) for some in along], default=0)
            behind = max([sum(p.taps - 1 - p.lead for p in some) for some in along], default=0)
            axes.append(Axis(n, before + behind + 1, n, before, 1, 1, boundaries[0], 0, n))
            multiples.append(math.lcm(*(p.taps for some in along for p in some if p.weights is None)))
        compute = Filtered(function, asked, x.shape, tuple(multiples))
        return Work(x.shape, tuple(axes), made.dtype, None, None, tuple(multiples), compute)

    return work


# What each function comes to, by its name
WORK: dict[str, Callable[[dict[str, Any]], Work]] = {
    f"fastconv.correlation.{word}{rank}d": _slid(rank, word == "convolve", f"{word}{rank}d")
    for word in ("corr", "convolve")
    for rank in (1, 2, 3)
}
WORK["fastconv.correlation.sepcorr2d"] = _slid(2, False, "sepcorr2d")
WORK |= {
    f"fastconv.ndimage.{name}": _filtered(getattr(ndimage, name))
    for name in ndimage.__all__
    if not name.startswith("generic")
}


def name_of(function: Callable[..., Any]) -> str:
    """By which WORK has it."""
    return f"{function.__module__}.{function.__qualname__}"


def asked_of(function: Callable[..., Any], x: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call with something like x, of whose elements none is read; args begin behind it."""
    unread = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    bound = inspect.signature(function).bind(unread, *args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def is_known(function: Callable[..., Any]) -> bool:
    """Whether its results are computed part by part."""
    return _table_of(function) is not None


def _table_of(function: Callable[..., Any]) -> dict[str, Callable[[dict[str, Any]], Work]] | None:
    name = name_of(function)
    if name in WORK:
        return WORK
    more: Any = importlib.import_module("fastconv.partly").WORK  # which brings layers
    return more if name in more else None


def work_of(function: Callable[..., Any], asked: dict[str, Any]) -> Work:
    """What a call of a public function comes to."""
    table = _table_of(function)
    assert table is not None
    return table[name_of(function)](asked)


def outputs_of(axis: Axis, chunks: Sequence[int]) -> list[tuple[int, int]]:
    """Which outputs each chunk of x has: those whose windows have their middle in it."""
    if len(chunks) == 1:
        return [(0, axis.out)]
    whole = axis.whole_axis()
    fewest = (whole.out - 1) * whole.stride + 1
    fewer = whole.n - min(max(whole.n, fewest), max(whole.out * whole.stride, fewest))  # than there are elements
    middle = min(max(whole.lead + fewer // 2, 0), (axis.k - 1) * axis.dilation)
    ends = np.cumsum(chunks[:-1]) + axis.lead - middle  # output o has its middle at element o * stride - lead + middle
    firsts = [0, *(int(e) for e in np.clip(-(-ends // axis.stride), 0, axis.out)), axis.out]
    return list(itertools.pairwise(firsts))
