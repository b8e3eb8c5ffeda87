# SPDX-License-Identifier: BSD-3-Clause
"""fastconv on dask arrays: lazy, chunk by chunk, with the bits of the call in memory whatever the chunks are.

The functions are fastconv's own, which come here when they are given a dask array: correlations, and the linear filters
of `ndimage`. Others take a dask array as an array, which they load.

Bits are those of the call in memory but where that transforms (`explain` says so): transforms are of tiles, which are
not those of the whole. Such results are within the bound of the method. A task has one thread; ``threads=`` asks for
more.
"""

from __future__ import annotations

import functools
import importlib
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

try:
    import dask.array as da
except ImportError as error:
    raise ImportError('fastconv.dask needs dask: pip install "fastconv[dask]"') from error

import numpy as np
from numpy.typing import NDArray

from fastconv import ndimage
from fastconv.arguments.axes import Axis
from fastconv.arguments.filters import axes_of, each, output_of
from fastconv.blocks import WORK, Window, Work, asked_of, name_of, outputs_of, work_of
from fastconv.correlation import convolve1d, convolve2d, convolve3d, corr1d, corr2d, corr3d, sepcorr2d
from fastconv.runtime import _core, thread_count

__all__ = ["convolve1d", "convolve2d", "convolve3d", "corr1d", "corr2d", "corr3d", "ndimage", "register", "sepcorr2d"]


class _Along:
    """An axis of x in chunks: which outputs each has, and which elements of x it is given."""

    def __init__(self, axis: Axis, chunks: Sequence[int], number: int, multiple: int) -> None:
        self.axis, self.outputs = axis, outputs_of(axis, chunks)
        starts = [0, *np.cumsum(chunks).tolist()]
        self.goes_round, before, behind = False, 0, 0
        if len(chunks) > 1:
            parts = [axis.part(*w) for w in self.outputs]
            reaches = [a.reach() if a.out else (start, start) for a, start in zip(parts, starts, strict=False)]
            beyond = min(r[0] for r in reaches) < 0 or max(r[1] for r in reaches) > axis.n
            self.goes_round = axis.boundary == "wrap" and beyond
            if not self.goes_round:
                reaches = [a.needed() if a.out else r for a, r in zip(parts, reaches, strict=True)]
            before = max(0, *(start - low + low % multiple for start, (low, _) in zip(starts, reaches, strict=False)))
            behind = max(0, *(high - end for end, (_, high) in zip(starts[1:], reaches, strict=True)))
            if max(before, behind) > min(chunks):
                raise ValueError(_too_small(number, chunks, max(before, behind)))
        self.depth = before, behind
        self.begins = [start - before if self.goes_round else max(start - before, 0) for start in starts[:-1]]

    def round(self, x: Any, number: int) -> Any:
        """x with what lies beyond its ends, in the first and the last chunk."""
        if not self.goes_round:
            return x
        chunks, (before, behind), all_of = list(x.chunks[number]), self.depth, (slice(None),) * number
        parts = [x[(*all_of, slice(x.shape[number] - before, None))], x, x[(*all_of, slice(0, behind))]]
        chunks[0] += before
        chunks[-1] += behind
        return da.concatenate(parts, number).rechunk({number: tuple(chunks)})


def _too_small(number: int, chunks: Sequence[int], depth: int) -> str:
    n, size = sum(chunks), max(*chunks, 2 * depth)
    while size < n and 0 < n % size < depth:
        size += 1
    return (
        f"x has chunks of {min(chunks)} elements along axis {number}, and each needs {depth} of its neighbours: "
        f"pass x.rechunk({{{number}: {-1 if 2 * size > n else size}}})"
    )


class _Block:
    """What is done in a task."""

    def __init__(self, work: Work, along: Sequence[_Along], threads: int) -> None:
        self.work, self.threads = work, threads
        self.outputs, self.begins = [a.outputs for a in along], [a.begins for a in along]

    def __call__(self, x: NDArray[Any], mask: Any = None, block_id: Any = None) -> Any:
        window: Window = tuple(of_axis[i] for of_axis, i in zip(self.outputs, block_id, strict=True))
        begin = [of_axis[i] for of_axis, i in zip(self.begins, block_id, strict=True)]
        if any(first == end for first, end in window):
            return self.nothing(window)
        before = _core.threads_here(self.threads) if _core else 0
        try:
            return self.work.compute(x, mask, begin, window)
        finally:
            if _core:
                _core.threads_here(before)

    def nothing(self, window: Window) -> Any:
        empty = np.empty([end - first for first, end in window], self.work.dtype)
        return empty if self.work.weight is None else (empty, empty.astype(self.work.weight))


def register() -> None:
    """Let `dask_image.ndfilters` compute linear filters of chunks of NumPy by fastconv.

    What asks of functions that they take dask arrays, as `xarray.apply_ufunc` with ``dask="allowed"``, needs nothing:
    fastconv's do.

    Raises
    ------
    ImportError
        dask-image is not installed.

    Examples
    --------
    >>> import fastconv.dask
    >>> fastconv.dask.register()  # doctest: +SKIP
    """
    dispatch = importlib.import_module("dask_image.dispatch._dispatch_ndfilters")
    for name in ndimage.__all__:
        of_chunks = getattr(dispatch, f"dispatch_{name}", None)
        if of_chunks is not None:
            of_chunks.register(np.ndarray, functools.partial(_for_any, getattr(ndimage, name)))


def _for_any(function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """What dask-image asks for a function with."""
    return function


def _sum_over_axes(function: Callable[..., Any], x: Any, asked: dict[str, Any]) -> Any:
    """`generic_laplace` and `generic_gradient_magnitude`, of what the derivative makes of dask arrays."""
    of_squares = "derivative" in asked
    derivative = asked["derivative" if of_squares else "derivative2"]
    over = axes_of(asked["axes"], x.ndim)
    dtype = output_of(asked["output"], np.empty(0, x.dtype)).dtype
    modes = each(asked["mode"], len(over), "mode")
    more = asked["extra_arguments"], asked["extra_keywords"] or {}
    parts = [derivative(x, a, dtype, m, asked["cval"], *more[0], **more[1]) for a, m in zip(over, modes, strict=True)]
    if not parts:
        return x.astype(dtype)
    squares = [part * part for part in parts] if of_squares else parts
    total = functools.reduce(operator.add, squares)
    return da.sqrt(total).astype(dtype) if of_squares else total


def lazily(function: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """What function makes of a dask array x, as a dask array; of functions that need all of x, as an array."""
    if name_of(function).startswith("fastconv.ndimage.generic"):
        return _sum_over_axes(function, x, asked_of(function, x, args, kwargs))
    if name_of(function) not in WORK:
        return function(np.asarray(x), *args, **kwargs)
    if any(math.isnan(n) for n in x.shape):
        raise ValueError(f"x has chunks of unknown size, {x.chunks}: pass x.compute_chunk_sizes()")
    asked = asked_of(function, x, args, kwargs)
    for name, value in asked.items():
        if isinstance(value, da.Array) and name != "mask":
            raise TypeError(f"{name} is a dask array, of which all is needed: pass its compute()")
        if name in ("out", "output") and isinstance(value, np.ndarray):
            raise ValueError(f"{name} is an array; the result for a dask array is one, too, and to be stored by it")
    threads = asked.get("threads")
    work = work_of(function, asked)
    return _mapped(function.__name__, x, work, 1 if threads is None else thread_count(threads, "threads"))


def _mapped(name: str, x: Any, work: Work, threads: int) -> Any:
    if x.shape != work.x_shape:
        x = da.broadcast_to(x, work.x_shape)
    given = zip(work.axes, x.chunks, range(x.ndim), work.multiples, strict=True)
    along = [_Along(*each) for each in given]
    seen = [_seen(x, along)]
    if work.mask is not None:
        seen.append(_seen(_like(work.mask, x), along))
    chunks = tuple(tuple(end - first for first, end in a.outputs) for a in along)
    how: Any = {"chunks": chunks, "dtype": work.dtype, "meta": np.empty((0,) * x.ndim, work.dtype)}
    made = da.map_blocks(_Block(work, along, threads), *seen, name=None, token=name, **how)
    for i, a in enumerate(along):
        some = [j for j, (first, end) in enumerate(a.outputs) if first < end]
        if 0 < len(some) < len(a.outputs):
            made = made.blocks[(slice(None),) * i + (some,)]
    if work.weight is None:
        return made
    return tuple(
        made.map_blocks(operator.itemgetter(i), dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))
        for i, dtype in enumerate((work.dtype, work.weight))
    )


def _seen(x: Any, along: Sequence[_Along]) -> Any:
    """x with chunks that overlap."""
    for i, a in enumerate(along):
        x = a.round(x, i)
    return da.overlap.overlap(x, {i: a.depth for i, a in enumerate(along)}, "none", allow_rechunk=False)


def _like(mask: Any, x: Any) -> Any:
    """mask in the chunks of x."""
    whole = da.broadcast_to(da.asarray(mask), x.shape)
    if isinstance(mask, da.Array) and whole.chunks != x.chunks:
        raise ValueError(f"mask has chunks {mask.chunks}, x has {x.chunks}: pass mask.rechunk(x.chunks)")
    return whole.rechunk(x.chunks)
