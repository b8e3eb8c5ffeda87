# SPDX-License-Identifier: BSD-3-Clause
"""Functions whose results are computed part by part, each from a part of x, with the bits of the whole.

`dask` and `tiled` ask here what a call comes to: the shape and dtype of its result, for each axis which elements of x
some of its outputs need, and those outputs from these elements.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import methods
from fastconv.arguments.axes import Axis, as_users
from fastconv.arguments.correlation import Options, OuterProduct, correlation_arguments
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import as_word, real_dtype, unrepeated
from fastconv.sums import run

Window = tuple[tuple[int, int], ...]  # the first output along each axis, and the one behind the last


class Work(NamedTuple):
    """A function, called with all but the elements of x."""

    x_shape: tuple[int, ...]  # that x is broadcast to
    axes: tuple[Axis, ...]  # of the result, and of x
    dtype: np.dtype[Any]  # of the result
    weight: np.dtype[Any] | None  # of a second result, if there is one
    mask: Any  # an array that x comes with, or None
    # (x, mask, begin, window, threads): the outputs in the window, from a part of x that begins at those elements
    compute: Any


class Slid(NamedTuple):
    """What computes a correlation."""

    c: Correlation  # of no elements
    k: NDArray[Any]
    kernels: tuple[int, ...]  # the leading axes of c.k
    axes: tuple[Axis, ...]  # in the order of the user's
    method: Any
    what: str

    def __call__(self, x: NDArray[Any], mask: Any, begin: Sequence[int], window: Window, threads: int) -> Any:
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
        return run(c._replace(x=x, k=k, axes=axes, shape=shape, mask=mask), self.method, threads, self.what)


def identity(n: int) -> Axis:
    """An axis whose outputs each look at the element in their place."""
    return Axis(n, 1, n, 0, 1, 1, "constant", 0, n)


def _slid(rank: int, convolve: bool, what: str) -> Callable[[dict[str, Any]], Work]:
    def work(a: dict[str, Any]) -> Work:
        x = a["x"]
        k = OuterProduct(a["ky"], a["kx"]) if "ky" in a else a["k"]
        mask = a["mask"]
        known = "mode", "boundary", "fillvalue", "stride", "dilation", "window", "dtype", "overflow", "nan"
        options = Options(axes=a["axis" if rank == 1 else "axes"], **{name: a[name] for name in known})
        there = None if mask is None else np.broadcast_to(np.True_, x.shape)
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
        return Work(as_users(c.x.shape, c.moved, rank), axes, c.dtype, weight, mask, compute)

    return work


# What each function comes to, by its name
WORK: dict[str, Callable[[dict[str, Any]], Work]] = {
    f"fastconv.correlation.{word}{rank}d": _slid(rank, word == "convolve", f"{word}{rank}d")
    for word in ("corr", "convolve")
    for rank in (1, 2, 3)
} | {"fastconv.correlation.sepcorr2d": _slid(2, False, "sepcorr2d")}


def name_of(function: Callable[..., Any]) -> str:
    """By which WORK has it."""
    return f"{function.__module__}.{function.__qualname__}"


def asked_of(function: Callable[..., Any], x: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call with something like x, of whose elements none is read; args begin behind it."""
    unread = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    bound = inspect.signature(function).bind(unread, *args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def work_of(function: Callable[..., Any], asked: dict[str, Any]) -> Work:
    """What a call of a public function comes to."""
    return WORK[name_of(function)](asked)


def outputs_of(axis: Axis, chunks: Sequence[int]) -> list[tuple[int, int]]:
    """Which outputs each chunk of x has: those whose windows have their middle in it."""
    whole = axis.whole_axis()
    fewest = (whole.out - 1) * whole.stride + 1
    fewer = whole.n - min(max(whole.n, fewest), max(whole.out * whole.stride, fewest))  # than there are elements
    middle = min(max(whole.lead + fewer // 2, 0), (axis.k - 1) * axis.dilation)
    ends = np.cumsum(chunks[:-1]) + axis.lead - middle  # output o has its middle at element o * stride - lead + middle
    firsts = [0, *(int(e) for e in np.clip(-(-ends // axis.stride), 0, axis.out)), axis.out]
    return list(itertools.pairwise(firsts))
