# SPDX-License-Identifier: BSD-3-Clause
"""fastconv on dask arrays: lazy, chunk by chunk, with the bits of the call in memory whatever the chunks are.

The functions are fastconv's own, which come here when they are given a dask array: correlations, `gradient`, the linear
filters of `ndimage`, `signal` where the second array is the smaller one, `feature.match_template`, and the layers
`nn.conv1d`, `conv2d` and `conv3d`. All others refuse a dask array, and say so: none loads it.

Bits are those of the call in memory, but for what depends on the whole: transforms (`explain` says where) are of tiles,
scores are made about the means of tiles, and layers choose their way by the sizes of planes. There, results are within
the bound of the method; ``method="direct"`` keeps the bits of correlations, and chunks of whole images those of layers.
A task has one thread; ``threads=`` asks for more.

A task reads a large chunk where it lies, and copies of strips of the chunks around, so that memory is that of the
chunks that wait for their neighbours: two and a result, where they are bands of rows; a row of chunks and five more,
where they are squares, and dask stores the result as it comes. Beyond ten squares a side it is three rows: dask begins
with the name that sorts last, which is amid the others then.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

try:
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph
except ImportError as error:
    raise ImportError('fastconv.dask needs dask: pip install "fastconv[dask]"') from error

import numpy as np
from numpy.typing import NDArray

from fastconv import costs, feature, ndimage, nn, signal
from fastconv.arguments.axes import Axis
from fastconv.arguments.filters import axes_of, each, output_of
from fastconv.arguments.values import unrepeated
from fastconv.blocks import Window, Work, asked_of, is_known, name_of, outputs_of, work_of
from fastconv.correlation import convolve1d, convolve2d, convolve3d, corr1d, corr2d, corr3d, sepcorr2d
from fastconv.derivatives import gradient
from fastconv.runtime import _core, thread_count

__all__ = [
    "convolve1d",
    "convolve2d",
    "convolve3d",
    "corr1d",
    "corr2d",
    "corr3d",
    "feature",
    "gradient",
    "ndimage",
    "nn",
    "register",
    "sepcorr2d",
    "signal",
]


class _Along:
    """An axis of x in chunks: which outputs each has, and which elements of x it is given."""

    def __init__(self, axis: Axis, chunks: Sequence[int], number: int, multiple: int) -> None:
        if len(chunks) > 1 and axis.stride == 0:
            raise ValueError(
                f"x has {len(chunks)} chunks along axis {number}, and each output needs all of them: "
                f"pass x.rechunk({{{number}: -1}})"
            )
        self.axis, self.multiple, self.outputs = axis, multiple, outputs_of(axis, chunks)
        self.edges = [0, *np.cumsum(chunks).tolist()]
        self.goes_round, before, behind = False, 0, 0
        if len(chunks) > 1:
            parts = [axis.part(*w) for w in self.outputs]
            reaches = [a.reach() if a.out else (start, start) for a, start in zip(parts, self.edges, strict=False)]
            beyond = min(r[0] for r in reaches) < 0 or max(r[1] for r in reaches) > axis.n
            self.goes_round = axis.boundary == "wrap" and beyond
            if not self.goes_round:
                reaches = [a.needed() if a.out else r for a, r in zip(parts, reaches, strict=True)]
            pairs = list(zip(self.edges, self.edges[1:], reaches, strict=False))
            before = max(0, *(start - low + low % multiple for start, _, (low, _) in pairs))
            behind = max(0, *(high - end for _, end, (_, high) in pairs))
            if max(before, behind) > min(chunks):
                raise ValueError(_too_small(number, chunks, max(before, behind)))
        self.depth = before, behind
        self.pieces = [self._pieces(i) for i in range(len(chunks))]

    def neighbour(self, i: int, side: int) -> int | None:
        """The chunk before chunk i, or behind it, or i, if anything of it is needed."""
        at, count = i + side, len(self.outputs)
        if side and not self.depth[side > 0]:
            return None
        return at % count if self.goes_round or 0 <= at < count else None

    def sees(self, window: tuple[int, int]) -> tuple[int, int]:
        """Elements that outputs look at, from one at which parts may begin."""
        part = self.axis.part(*window)
        low, high = part.reach() if self.goes_round else part.needed()
        return low - low % self.multiple, high

    def _pieces(self, i: int) -> list[tuple[int, int]]:
        """Outputs of chunk i: those before, of, and behind those that look at no other chunk."""
        (first, last), (start, end), a = self.outputs[i], self.edges[i : i + 2], self.axis
        low, high = first, last
        if self.neighbour(i, -1) is not None:
            low = -(-(start + a.lead + self.multiple - 1) // a.stride)
        if self.neighbour(i, 1) is not None:
            high = (end + a.lead - (a.k - 1) * a.dilation - 1) // a.stride + 1
        low = min(max(low, first), last)
        high = min(max(high, low), last)
        if low < high:
            seen = self.sees((low, high))
            if seen[0] < start - start % self.multiple or seen[1] > end:
                high = low
        return [(first, low), (low, high), (high, last)]


def _too_small(number: int, chunks: Sequence[int], depth: int) -> str:
    n, size = sum(chunks), max(*chunks, 2 * depth)
    while size < n and 0 < n % size < depth:
        size += 1
    return (
        f"x has chunks of {min(chunks)} elements along axis {number}, and each needs {depth} of its neighbours: "
        f"pass x.rechunk({{{number}: {-1 if 2 * size > n else size}}})"
    )


class _Block:
    """What is done in a task: outputs that look at one large chunk are made of it where it lies, others of copies."""

    def __init__(self, work: Work, along: Sequence[_Along], threads: int) -> None:
        self.work, self.along, self.threads = work, along, threads

    def __call__(self, index: Sequence[int], x: _Parts, mask: _Parts | None) -> Any:
        before = _core.threads_here(self.threads) if _core else 0
        try:
            return self._outputs(index, x, mask)
        finally:
            if _core:
                _core.threads_here(before)

    def _outputs(self, index: Sequence[int], x: _Parts, mask: _Parts | None) -> Any:
        starts = [a.edges[i] for a, i in zip(self.along, index, strict=True)]
        window: Window = tuple(a.outputs[i] for a, i in zip(self.along, index, strict=True))
        pieces = [a.pieces[i] for a, i in zip(self.along, index, strict=True)]
        inner: Window = tuple(middle for _, middle, _ in pieces)
        is_small = x.middle.nbytes < costs.CHUNK_APART and bool(x.strips)
        if self.work.weight is not None or is_small or any(first == end for first, end in inner):
            return self._assembled(starts, x, mask, window)
        out = _room(tuple(end - first for first, end in window), self.work.dtype)
        self.work.compute(x.middle, mask and mask.middle, starts, inner, _within(out, window, inner))
        for i, (before, _, behind) in enumerate(pieces):
            for side in before, behind:
                if side[0] < side[1]:
                    piece = (*inner[:i], side, *window[i + 1 :])
                    self._assembled(starts, x, mask, piece, _within(out, window, piece))
        return out

    def _assembled(self, starts: Sequence[int], x: _Parts, mask: _Parts | None, window: Window, out: Any = None) -> Any:
        """Outputs from a copy of what they look at."""
        seen = [a.sees(w) for a, w in zip(self.along, window, strict=True)]
        at = [(low - start, high - start) for (low, high), start in zip(seen, starts, strict=True)]
        return self.work.compute(x.cut(at), mask and mask.cut(at), [low for low, _ in seen], window, out)


def _room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array with nothing in it yet, whose pages are not new in each task."""
    nbytes = math.prod(shape) * dtype.itemsize
    return np.ndarray(shape, dtype, _core.block(nbytes)) if _core else np.empty(shape, dtype)


def _within(out: NDArray[Any], window: Window, piece: Window) -> NDArray[Any]:
    """Where outputs lie in those of a window."""
    at = (slice(first - w[0], end - w[0]) for (first, end), w in zip(piece, window, strict=True))
    return out[tuple(at)]


class _Parts:
    """A chunk, and what lies around it."""

    def __init__(self, middle: NDArray[Any], strips: dict[tuple[int, ...], NDArray[Any]]) -> None:
        self.middle, self.strips = middle, strips

    def cut(self, at: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """Elements from ... to of each axis, counted from the first one of the chunk."""
        made = np.empty([high - low for low, high in at], self.middle.dtype)
        for sides, part in {(0,) * len(at): self.middle, **self.strips}.items():
            to, of = [], []
            for side, n, size, (low, high) in zip(sides, part.shape, self.middle.shape, at, strict=True):
                begin = -n if side < 0 else size if side else 0
                first, end = max(low, begin), max(min(high, begin + n), max(low, begin))
                to.append(slice(first - low, end - low))
                of.append(slice(first - begin, end - begin))
            made[tuple(to)] = part[tuple(of)]
        return made


def _strips(x: NDArray[Any], cuts: dict[tuple[int, int], slice]) -> dict[tuple[int, int], NDArray[Any]]:
    """Copies, so that x need not stay. With all of a chunk in one task, dask finds an order that holds few chunks."""
    return {(axis, side): x[(slice(None),) * axis + (at,)].copy() for (axis, side), at in cuts.items()}


def _computed(block: _Block, *chunks: list[Any], index: Sequence[int], sides: Sequence[tuple[int, ...]]) -> Any:
    """A task. chunks: of x, and of mask if there is one: the one in the middle, and strips of those around."""
    first = [next((i, side) for i, side in enumerate(s) if side) for s in sides]  # a corner is the end of such a strip
    around = [[strips[at] for strips, at in zip(some, first, strict=True)] for _, *some in chunks]
    x, *mask = (_Parts(c[0], dict(zip(sides, strips, strict=True))) for c, strips in zip(chunks, around, strict=True))
    return block(index, x, mask[0] if mask else None)


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
    """What function makes of a dask array x, as a dask array."""
    if name_of(function).startswith("fastconv.ndimage.generic"):
        return _sum_over_axes(function, x, asked_of(function, x, args, kwargs))
    if not is_known(function):
        first = next(iter(inspect.signature(function).parameters))
        raise TypeError(f"{function.__name__} does not compute {first} chunk by chunk: pass {first}.compute()")
    if any(math.isnan(n) for n in x.shape):
        raise ValueError(f"x has chunks of unknown size, {x.chunks}: pass x.compute_chunk_sizes()")
    asked = asked_of(function, x, args, kwargs)
    for name, value in asked.items():
        if isinstance(value, da.Array) and name != "mask":
            raise TypeError(f"{name} is a dask array, of which all is needed: pass its compute()")
        if name in ("out", "output") and isinstance(value, np.ndarray):
            raise ValueError(f"{name} is an array; the result for a dask array is one, too, and to be stored by it")
    threads = asked.get("threads")
    # dask itself copies a mask, chunk by chunk
    work = work_of(function, {n: value if n == "mask" else _copied(value) for n, value in asked.items()})
    return _mapped(function.__name__, x, work, 1 if threads is None else thread_count(threads, "threads"))


def _copied(value: Any) -> Any:
    """An argument as it is now, whatever is written to it before it is needed."""
    if type(value) is np.ndarray:
        return np.broadcast_to(unrepeated(value).copy(), value.shape)
    return copy.deepcopy(value)


def _mapped(name: str, x: Any, work: Work, threads: int) -> Any:
    if x.shape != work.x_shape:
        x = da.broadcast_to(x, work.x_shape)
    given = zip(work.axes, x.chunks, range(x.ndim), work.multiples, strict=True)
    along = [_Along(*each) for each in given]
    sources = [x] if work.mask is None else [x, _like(work.mask, x)]
    block = _Block(work._replace(mask=None), along, threads)
    token = tokenize(block, *sources)
    graph = _graph(f"{name}-{token}", block, sources)
    chunks = tuple(tuple(end - first for first, end in a.outputs if first < end) or (0,) for a in along)
    layers = HighLevelGraph.from_collections(f"{name}-{token}", graph, sources)
    made = da.Array(layers, f"{name}-{token}", chunks, meta=np.empty((0,) * x.ndim, work.dtype))
    if work.weight is not None:
        return tuple(
            made.map_blocks(operator.itemgetter(i), dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))
            for i, dtype in enumerate((work.dtype, work.weight))
        )
    return made if work.dropped is None else made[(slice(None),) * work.dropped + (0,)]


def _graph(name: str, block: _Block, sources: Sequence[Any]) -> dict[Any, Any]:
    """A task for each chunk that has outputs, and one for the copies of its strips that go to neighbours."""
    along, known = block.along, f"block-{name}"
    graph: dict[Any, Any] = {known: block}
    every = [s for s in itertools.product((-1, 0, 1), repeat=len(along)) if any(s)]
    cuts = {
        (axis, side): slice(-n, None) if side < 0 else slice(n)
        for axis, a in enumerate(along)
        for side, n in zip((-1, 1), a.depth, strict=True)
        if n
    }
    of_strips = functools.partial(_strips, cuts=cuts)
    with_outputs = [[i for i, (first, end) in enumerate(a.outputs) if first < end] or [0] for a in along]
    for place in itertools.product(*(enumerate(some) for some in with_outputs)):
        index = tuple(i for _, i in place)
        around = {sides: [a.neighbour(i, s) for a, i, s in zip(along, index, sides, strict=True)] for sides in every}
        around = {sides: at for sides, at in around.items() if None not in at}
        given = []
        for source in sources:
            keys = [(f"strips-{source.name}-{name}", *at) for at in around.values()]
            graph |= {key: (of_strips, (source.name, *key[1:])) for key in keys}
            given.append([(source.name, *index), *keys])
        task = functools.partial(_computed, index=index, sides=tuple(around))
        graph[(name, *(to for to, _ in place))] = task, known, *given
    return graph


def _like(mask: Any, x: Any) -> Any:
    """mask in the chunks of x."""
    whole = da.broadcast_to(da.asarray(mask), x.shape)
    if isinstance(mask, da.Array) and whole.chunks != x.chunks:
        raise ValueError(f"mask has chunks {mask.chunks}, x has {x.chunks}: pass mask.rechunk(x.chunks)")
    return whole.rechunk(x.chunks)
