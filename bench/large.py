# SPDX-License-Identifier: BSD-3-Clause
"""Large arrays, side by side: dask arrays beside the call in memory and dask-image, `tiled` beside a copy by it.

    python bench/large.py                                 dask and tiled: 8192 x 8192, two threads
    python bench/large.py dask --size 16384 --chunk 4096
    python bench/large.py memory --size 30000 --chunk 5000      a process of its own; Linux only

`computed` is a new array, which dask puts together from chunks once all of them are made; `stored` goes into an array
that is there. No call on dask takes less than the call into an array that is there, and what dask takes for tasks that
compute nothing: `allowed` is how near to that it comes. `memory` is by how many chunks a process grows that stores
results as they come. Results are compared first. Needs dask-image, and zarr for `tiled`.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask_image import ndfilters

import fastconv
from fastconv import measuring, ndimage

sys.path[:0] = [str(Path(__file__).parent)]
from memory import resident  # noqa: E402

Filter = Callable[..., Any]

TAPS = np.random.default_rng(0).random((9, 9)).astype(np.float32)
CASES: dict[str, tuple[Filter, Filter, dict[str, Any]]] = {
    **{
        f"gaussian_filter, sigma {s}": (ndimage.gaussian_filter, ndfilters.gaussian_filter, {"sigma": s})
        for s in (1, 3, 10)
    },
    **{
        f"correlate {n}x{n}": (ndimage.correlate, ndfilters.correlate, {"weights": TAPS[:n, :n].copy()}) for n in (5, 9)
    },
    "uniform_filter 15": (ndimage.uniform_filter, ndfilters.uniform_filter, {"size": 15}),
    "sobel": (ndimage.sobel, ndfilters.sobel, {}),
}


def of_dask(options: argparse.Namespace) -> None:
    fastconv.set_num_threads(options.threads)
    how: dict[str, Any] = {"scheduler": "threads", "num_workers": options.threads}
    x = np.random.default_rng(1).random((options.size, options.size), dtype=np.float32)
    out = np.zeros_like(x)
    lazy = da.from_array(x, chunks=(options.rows or options.chunk, options.chunk))
    idle = lazy.map_blocks(lambda block: block, dtype=x.dtype)
    print(f"dask: {options.size} x {options.size} float32, chunks of {lazy.chunksize}, {options.threads} threads")
    for name, (function, theirs, arguments) in CASES.items():
        ours = functools.partial(function, **arguments)
        expected = ours(x)
        assert np.array_equal(ours(lazy).compute(**how), expected), name
        np.testing.assert_allclose(theirs(lazy, **arguments).compute(**how), expected, 1e-4, 1e-4, err_msg=name)
        del expected
        calls: dict[str, Callable[[], Any]] = {
            "in memory": lambda ours=ours: ours(x),
            "into": lambda ours=ours: ours(x, output=out),
            "idle": lambda: idle.compute(**how),
            "computed": lambda ours=ours: ours(lazy).compute(**how),
            "stored": lambda ours=ours: da.store(ours(lazy), out, lock=False, **how),
            "dask-image": lambda theirs=theirs, arguments=arguments: theirs(lazy, **arguments).compute(**how),
        }
        s = dict(zip(calls, measuring.alternate(list(calls.values()), options.seconds), strict=True))
        print(
            f"  {name:24} computed {s['computed']:6.2f} s: {s['in memory'] / s['computed']:5.2f} of the call in memory,"
            f" {(s['into'] + s['idle']) / s['computed']:5.2f} of what is allowed,"
            f" {s['dask-image'] / s['computed']:5.2f} times dask-image;"
            f" stored {s['stored']:6.2f} s: {s['into'] / s['stored']:5.2f} of the call in memory",
            flush=True,
        )


def of_tiles(options: argparse.Namespace) -> None:
    import zarr

    x = np.random.default_rng(1).integers(0, 60000, (options.size, options.size), dtype=np.uint16)
    soft = functools.partial(ndimage.gaussian_filter, sigma=3)
    for store in ("npy", "zarr"):
        with tempfile.TemporaryDirectory() as folder:
            arrays = []
            for name in ("src", "dst"):
                path = str(Path(folder, name))
                if store == "npy":
                    arrays.append(np.lib.format.open_memmap(path, "w+", x.dtype, x.shape))
                else:
                    arrays.append(zarr.create_array(path, shape=x.shape, dtype=x.dtype, chunks=(options.chunk,) * 2))
            src, dst = arrays
            src[:] = x
            tiled = functools.partial(fastconv.tiled, src, dst=dst, workers=options.threads)
            tiled(soft)
            assert np.array_equal(dst[:], soft(x)), store
            copied, filtered = measuring.alternate(
                [lambda tiled=tiled: tiled(np.ones((1, 1), x.dtype)), lambda tiled=tiled: tiled(soft)], options.seconds
            )
            print(
                f"tiled: {store}, {options.size} x {options.size} uint16, {options.threads} workers, "
                f"gaussian_filter, sigma 3: {filtered:.2f} s, {copied / filtered:.2f} of the speed of a copy",
                flush=True,
            )


def of_memory(options: argparse.Namespace) -> None:
    """Chunks are made where they are needed, and results forgotten: nothing but chunks in between is there."""

    class Nowhere:
        def __setitem__(self, where: Any, block: Any) -> None:
            pass

    lazy = da.random.default_rng(1).random(
        (options.size,) * 2, dtype=np.float32, chunks=(options.rows or options.chunk, options.chunk)
    )
    chunk = lazy.chunksize[0] * lazy.chunksize[1] * 4
    soft = ndimage.gaussian_filter(lazy, sigma=10)
    with dask.config.set(scheduler="threads", num_workers=options.threads):
        da.store(soft[: options.chunk, : options.chunk], Nowhere(), lock=False)
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # counts VmHWM anew
        da.store(soft, Nowhere(), lock=False)
    grown = resident("VmHWM") - before
    print(
        f"memory: {options.size} x {options.size} float32, chunks of {lazy.chunksize}, {options.threads} threads, "
        f"gaussian_filter, sigma 10: {grown / chunk:.1f} chunks of {chunk / 1e6:.0f} MB"
    )


SECTIONS = {"dask": of_dask, "tiled": of_tiles, "memory": of_memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=["dask", "tiled"], metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--size", type=int, default=8192, help="rows, and columns")
    parser.add_argument("--chunk", type=int, default=2048, help="columns of a chunk, and rows")
    parser.add_argument("--rows", type=int, help="rows of a chunk of dask, if they are not as many")
    parser.add_argument("--threads", type=int, default=2, help="threads, or workers")
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on a case")
    options = parser.parse_args()
    fastconv.show_config()
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"there is no section {section}: {', '.join(SECTIONS)}")
        SECTIONS[section](options)


if __name__ == "__main__":
    main()
