# SPDX-License-Identifier: BSD-3-Clause
"""Arrays larger than memory: filtered block by block, from anything that is sliced into anything that is sliced."""

from __future__ import annotations

import contextvars
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv import correlation
from fastconv.arguments.values import as_count, as_listed, as_numbers, is_lazy
from fastconv.blocks import Window, Work, asked_of, is_known, work_of
from fastconv.places import is_shared
from fastconv.records import Record, beside, fingerprint
from fastconv.runtime import _core, get_num_threads, thread_count

__all__ = ["tiled"]

MEMORY = 2**30  # bytes in flight, by default
BLOCK = 2**28  # bytes of a block, by default: around small ones most chunks of src are decoded for their edges


def tiled(
    src: Any,
    what: Any,
    dst: Any,
    *,
    block: Sequence[int] | None = None,
    workers: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    record: str | os.PathLike[str] | None = None,
    **how: Any,
) -> Any:
    """Filter an array that is larger than memory, block by block, with the bits of the call in memory.

    Parameters
    ----------
    src : sliceable
        What has a shape and a dtype, and gives arrays when it is sliced: a memmap, an array of zarr, a dataset of h5py,
        what zarr makes of `tifffile.imread(..., aszarr=True)`, a `tensorstore.TensorStore`, an array.
    what : ndarray, function, or sequence of these
        A kernel, for `corr1d`, `corr2d` or `corr3d` with mode "same"; one of fastconv's functions (those that
        `fastconv.dask` takes, if their result has the axes of x), or a `functools.partial` of one with its other
        arguments; or several, one after the other, with nothing in between but blocks.
    dst : sliceable
        Where the result goes: of its shape and dtype. Not src.
    block : sequence of int, optional
        Outputs of a block, multiples of the chunks of dst, so that no chunk is written twice. Default: some chunks.
    workers : int, optional
        Threads, each of which has a block; default `get_num_threads()`.
    max_memory : int, optional
        Bytes of all blocks that are worked on, at most; default 1 GB.
    progress : callable, optional
        Called with the numbers of blocks that are done, and of all.
    record : path, optional
        Where finished blocks are written down with their checksums, so that the same call goes on behind them if this
        one ends early. It is removed when all is done. Default: beside dst, if that is in a file or a folder.
    **how
        Of a kernel: arguments of `corr2d`, as ``boundary="reflect"``. Its dtype is that of dst by default.

    Returns
    -------
    dst

    Raises
    ------
    ValueError, TypeError
        Masked arrays; a shape or dtype of dst that is not that of the result; dst that is src; blocks that are not made
        of chunks; `max_memory` too small for one block; a record of another call.
    OSError
        A block could not be read or written, which is named. Blocks that are done stay so.

    See Also
    --------
    fastconv.halo : what a part of a result needs.

    Notes
    -----
    A block is recorded once dst has taken it. What is killed in between is done again. So is a block that dst no longer
    holds as it was written, as where dst was made anew. The same call has the same src: an array in memory is known by
    its elements (beyond 256 MB by those of evenly spread rows, along its longest axis), a memmap by the size of its
    file and when that was changed, or as one in memory if dst is in that file, too; an array of zarr in a folder by
    the sizes of its files and the last change of one. What else is sliced is known by where it lies, not by what it
    holds.

    Bits are those of the call in memory but where that transforms (`explain` says so): tiles are other ones then, and
    results within the bound of the method.

    Examples
    --------
    >>> import functools
    >>> import numpy as np
    >>> import fastconv
    >>> picture = np.arange(12.0).reshape(3, 4)
    >>> result = np.empty((3, 4))
    >>> fastconv.tiled(picture, np.ones((1, 3)), result, boundary="edge")[0]
    array([1., 3., 6., 8.])
    >>> soft = functools.partial(fastconv.ndimage.gaussian_filter, sigma=1)
    >>> result = fastconv.tiled(picture, [soft, fastconv.ndimage.sobel], result)
    >>> np.array_equal(result, fastconv.ndimage.sobel(soft(picture)))
    True
    >>> half = np.empty((2, 2))  # the next level of a pyramid
    >>> half = fastconv.tiled(picture, fastconv.kernels.gaussian(3), half, stride=2)
    """
    src, dst, given = _known(src), _known(dst), dst
    for name, value, needed in ("src", src, "__getitem__"), ("dst", dst, "__setitem__"):
        if not all(hasattr(value, attribute) for attribute in ("shape", "dtype", needed)):
            raise TypeError(f"{name} must be an array, or what is sliced like one; got {type(value).__name__}")
        as_numbers(value if isinstance(value, np.ndarray) else np.empty(0, value.dtype), name)
    if is_lazy(dst):
        raise TypeError("dst is a dask array, which cannot be written to: pass an array, as of dst.compute()")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function of two numbers; got {progress!r}")
    chain = _chain(src, what, dst, how)
    threads = get_num_threads() if workers is None else thread_count(workers, "workers")
    most = MEMORY if max_memory is None else as_count(max_memory, "max_memory")
    _check(src, chain[-1], dst)
    sizes = _sizes(chain, src, dst, block, most, threads)
    windows = list(_windows(dst.shape, sizes))
    if record is not None and not isinstance(record, (str, os.PathLike)):
        raise TypeError(f"record must be a path; got {record!r}")
    named = Path(record) if record is not None else beside(dst)
    notes = Record(named, fingerprint(chain, src, dst, sizes)) if named is not None else None
    _all_blocks(_Run(src, chain, dst, windows, notes), threads, progress)
    if notes is not None:
        notes.remove()
    return given


# ---- what is asked --------------------------------------------------------------------------------


class _TensorStore:
    """What tensorstore has, by the names that others give it."""

    def __init__(self, a: Any) -> None:
        self.a, self.shape, self.dtype = a, tuple(a.shape), np.dtype(a.dtype.numpy_dtype)
        self.chunks, self.root = a.chunk_layout.write_chunk.shape, a.kvstore.url.removeprefix("file://")
        self.store = self

    def __getitem__(self, at: Any) -> NDArray[Any]:
        return np.asarray(self.a[at])

    def __setitem__(self, at: Any, made: NDArray[Any]) -> None:
        self.a[at] = made


def _known(a: Any) -> Any:
    return _TensorStore(a) if hasattr(a, "chunk_layout") else a


class _Unread(NamedTuple):
    """What an array is, without its elements."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _chain(src: Any, what: Any, dst: Any, how: dict[str, Any]) -> list[Work]:
    steps = list(what) if isinstance(what, (list, tuple)) and any(map(callable, what)) else [what]
    if how and (len(steps) > 1 or callable(steps[0])):
        raise TypeError(f"{next(iter(how))} is an argument of a kernel; give it to a function by functools.partial")
    x, chain = _Unread(tuple(src.shape), np.dtype(src.dtype)), []
    for step in steps:
        arguments: dict[str, Any] = {}
        if callable(step):
            function = step
            while isinstance(function, functools.partial):
                if function.args:
                    raise TypeError(f"what must take x first: give names to the arguments {function.args!r}")
                arguments = {**function.keywords, **arguments}
                function = function.func
            if not is_known(function):
                raise TypeError(f"what must be a kernel, or a function whose halo is known; got {function!r}")
        else:
            k = as_numbers(step, "what")
            if not 1 <= k.ndim <= min(3, len(x.shape)) or 0 in k.shape:
                raise ValueError(f"what must be a kernel of 1 to 3 dimensions, no more than src has; got {k.shape}")
            function = getattr(correlation, f"corr{k.ndim}d")
            arguments = {"k": k, "mode": "same"} | how
            if step is steps[-1]:
                arguments.setdefault("dtype", dst.dtype)
        work = work_of(function, asked_of(function, x, (), arguments))
        if work.weight is not None:
            raise ValueError("return_weight must be False: there is one dst")
        if work.x_shape != x.shape or work.dropped is not None:
            raise ValueError(f"what must make an array with the axes of x, of shape {x.shape}; got {work.x_shape}")
        chain.append(work._replace(mask=_lain(work.mask, x.shape)))
        x = _Unread(tuple(a.out for a in work.axes), work.dtype)
    return chain


def _lain(mask: Any, shape: tuple[int, ...]) -> Any:
    """A mask with the axes of x, which it broadcasts to."""
    if isinstance(mask, np.ndarray):
        return np.broadcast_to(mask, shape)
    if mask is not None and len(mask.shape) != len(shape):
        raise ValueError(f"mask must have the {len(shape)} axes of x, as it is no NumPy array; got shape {mask.shape}")
    return mask


def _check(src: Any, last: Work, dst: Any) -> None:
    shape = tuple(a.out for a in last.axes)
    if tuple(dst.shape) != shape:
        raise ValueError(
            f"dst has shape {tuple(dst.shape)}; what is made of src, {tuple(src.shape)}, has shape {shape}"
        )
    if np.dtype(dst.dtype).newbyteorder("=") != last.dtype:
        raise TypeError(f"dst has dtype {dst.dtype}; the result has dtype {last.dtype}")
    if is_shared(src, dst):
        raise ValueError("dst must not be src: blocks are read again after their neighbours are written")


# ---- blocks ---------------------------------------------------------------------------------------


def _chunks(dst: Any) -> tuple[int, ...]:
    """That no two blocks write one of; shards where chunks lie in these."""
    chunks = getattr(dst, "shards", None) or getattr(dst, "chunks", None)
    if chunks is None:
        return (1,) * len(dst.shape)
    return tuple(min(int(c), max(n, 1)) for c, n in zip(chunks, dst.shape, strict=True))


def _sizes(
    chain: list[Work], src: Any, dst: Any, block: Sequence[int] | None, most: int, workers: int
) -> tuple[int, ...]:
    """Outputs of a block along each axis."""
    chunks = _chunks(dst)
    if block is not None:
        sizes = tuple(as_count(n, "block") for n in as_listed(block))
        fit = len(sizes) == len(chunks) and all(
            s % c == 0 or s >= n for s, c, n in zip(sizes, chunks, dst.shape, strict=True)
        )
        if not fit:
            raise ValueError(f"block must be made of the chunks of dst, {chunks}; got {sizes}")
    else:
        sizes = chunks
        wanted = min(BLOCK, most // workers)
        while True:  # the axis that is shortest grows first, and of those the last
            order = sorted(range(len(sizes)), key=lambda a: (sizes[a], -a))
            grown = next((a for a in order if sizes[a] < dst.shape[a]), None)
            if grown is None:
                break
            larger = tuple(2 * n if a == grown else n for a, n in enumerate(sizes))
            if _bytes(chain, src, larger) > wanted:
                break
            sizes = larger
    needs = _bytes(chain, src, sizes)
    if needs * workers > most:
        raise ValueError(
            f"max_memory of {most} bytes is too little for {workers} blocks of {sizes}, of {needs} bytes each; "
            "smaller blocks, fewer workers or smaller chunks of dst take less"
        )
    return sizes


def _bytes(chain: list[Work], src: Any, sizes: Sequence[int]) -> int:
    """What a block takes: all that is read, made and written of it."""
    total: int = 0
    window = list(sizes)
    for work in reversed(chain):
        total += 2 * math.prod(window) * max(int(work.dtype.itemsize), 4)
        window = [
            min((n - 1) * a.stride + (a.k - 1) * a.dilation + m, a.n)
            for n, a, m in zip(window, work.axes, work.multiples, strict=True)
        ]
    return total + 2 * math.prod(window) * int(np.dtype(src.dtype).itemsize)


def _windows(shape: Sequence[int], sizes: Sequence[int]) -> Iterator[Window]:
    starts = (range(0, n, size) for n, size in zip(shape, sizes, strict=True))
    for at in itertools.product(*starts):
        yield tuple((first, min(first + size, n)) for first, size, n in zip(at, sizes, shape, strict=True))


def _at(window: Window) -> tuple[slice, ...]:
    return tuple(slice(*w) for w in window)


class _Run(NamedTuple):
    """Blocks that are computed."""

    src: Any
    chain: list[Work]
    dst: Any
    windows: list[Window]
    notes: Record | None

    def block(self, i: int) -> None:
        window = self.windows[i]
        at = _at(window)
        if self.notes is not None and self.notes.has(i, self.dst, at):
            return
        before = _core.threads_here(1) if _core else 0
        doing = "read"
        try:
            plain = isinstance(self.dst, np.ndarray) and self.dst.dtype.isnative
            out = np.asarray(self.dst)[at] if plain else None
            made = self.outputs(len(self.chain), window, out)
            doing = "written"
            if made is not out:
                self.dst[at] = made
            flush = getattr(self.dst, "flush", None) or getattr(getattr(self.dst, "file", None), "flush", None)
            if flush is not None:
                flush()
            if self.notes is not None:
                self.notes.add(i, np.asarray(made, np.dtype(self.dst.dtype)))
        except OSError as error:
            raise OSError(error.errno, f"block {window} could not be {doing}: {error}") from error
        except Exception as error:
            error.add_note(f"of block {window}, which was to be {doing}")
            raise
        finally:
            if _core:
                _core.threads_here(before)

    def outputs(self, level: int, window: Window, out: Any = None) -> NDArray[Any]:
        """That window of what `level` steps make of src, which may go round beyond its ends; in out, where it can."""
        shape = self.src.shape if level == 0 else [a.out for a in self.chain[level - 1].axes]
        pieces = [list(_round(*w, n)) for w, n in zip(window, shape, strict=True)]
        if any(len(p) > 1 for p in pieces):
            return _joined(pieces, [], lambda some: self.outputs(level, tuple(some)))
        inside: Window = tuple(p[0] for p in pieces)
        if level == 0:
            return np.asarray(self.src[_at(inside)])
        work = self.chain[level - 1]
        seen = []
        for a, w, multiple in zip(work.axes, inside, work.multiples, strict=True):
            part = a.part(*w)
            first, end = part.reach()
            if a.boundary != "wrap" or (first >= 0 and end <= a.n):
                first, end = part.needed()
            seen.append((first - first % multiple, end))
        mask = None if work.mask is None else _Run(work.mask, [], None, [], None).outputs(0, tuple(seen))
        begin = [low for low, _ in seen]
        made: NDArray[Any] = work.compute(self.outputs(level - 1, tuple(seen)), mask, begin, inside, out)
        return made


def _round(first: int, end: int, n: int) -> Iterator[tuple[int, int]]:
    """Ranges of an axis of n elements that follow each other in the one that repeats it."""
    while True:
        low = first % n if n else first
        high = min(low + end - first, n)
        yield low, high
        first += high - low
        if first >= end:
            return


def _joined(pieces: list[list[Any]], some: list[Any], make: Callable[[list[Any]], NDArray[Any]]) -> NDArray[Any]:
    if len(some) == len(pieces):
        return make(some)
    parts = [_joined(pieces, [*some, piece], make) for piece in pieces[len(some)]]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=len(some))


def _all_blocks(run: _Run, workers: int, progress: Callable[[int, int], None] | None) -> None:
    """All blocks, by so many threads. After an error, or Ctrl-C, those that have begun are finished."""
    done, total = 0, len(run.windows)
    waiting = iter(range(total))
    if progress is not None:
        progress(done, total)
    with ThreadPoolExecutor(workers, "fastconv-tiled") as pool:
        running: set[Future[None]] = {
            pool.submit(contextvars.copy_context().run, run.block, i) for i in itertools.islice(waiting, workers)
        }
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                done += 1
                if progress is not None:
                    progress(done, total)
            running |= {
                pool.submit(contextvars.copy_context().run, run.block, i) for i in itertools.islice(waiting, len(ended))
            }
