# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv filter`` of files that are larger than memory: zarr, NumPy and TIFF, block by block."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv.pictures import RequestError, say, to_pixels

SUFFIXES = (".zarr", ".npy")  # no picture; .tif is one, unless --memory, --workers or --resume is given
TIFF = (".tif", ".tiff")
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def add(task: argparse.ArgumentParser) -> None:
    """Add the arguments of large files."""
    large = task.add_argument_group("files larger than memory", "of .zarr, .npy and .tif, computed block by block")
    large.add_argument("--memory", metavar="SIZE", help="of all blocks together, as 500MB; default: 1GB")
    large.add_argument("--workers", type=int, metavar="N", help="threads; default: one a CPU")
    large.add_argument("--resume", action="store_true", help="go on where the same command ended early")


def is_meant(arguments: argparse.Namespace) -> bool:
    names = [*arguments.photo, *([arguments.output] if arguments.output else [])]
    asked = arguments.memory is not None or arguments.workers is not None or arguments.resume
    return asked or any(Path(name).suffix.lower() in SUFFIXES for name in names)


def run(arguments: argparse.Namespace, step: functools.partial[Any], rule: str, where: dict[str, Any]) -> int:
    """Filter one file into another, which has its name once it is whole. A link stays a link to it."""
    if len(arguments.photo) != 1 or not arguments.output:
        raise RequestError("large files are filtered one at a time, into the file that -o names")
    if rule == "stretch" or arguments.compare:
        raise RequestError(
            "--range stretch and --compare look at the whole result, and large files are computed block by block; "
            "accepted: --range auto, clip, abs"
        )
    source, target = Path(arguments.photo[0]), Path(arguments.output)
    whole, suffix = Path(os.path.realpath(target)), target.suffix.lower()
    part = whole.with_name(f"{whole.name}.part")
    record = part.with_name(f"{part.name}.blocks")
    if target.exists() and source.resolve() == whole:
        raise RequestError(f"cannot write {target}: it is the input")
    if target.exists() and not target.is_file():
        raise RequestError(f"cannot write {target}: it is there already")
    if suffix not in (*SUFFIXES, *TIFF):
        raise RequestError(f"cannot write {target} block by block; accepted: .zarr, .npy, .tif")
    src = _opened(source)
    axes = (0, 1) if len(src.shape) == 3 and src.shape[-1] <= 4 else None
    most = None if arguments.memory is None else _bytes(arguments.memory)
    try:
        planes = src.shape if axes is None else (src.shape[2], *src.shape[:2])
        shape = fastconv.explain(planes, _taps(step), where["mode"]).shape
        shape = shape if axes is None else (*shape[1:], shape[0])
        goes_on = arguments.resume and part.exists()
        if not goes_on:
            _remove(part, record)
        dst = _made(part, suffix, src, shape, goes_on)
        check = fastconv.checked() if arguments.check else contextlib.nullcontext()
        with check, _bar() as tell:
            what = _steps(step, rule, np.dtype(src.dtype), axes)
            fastconv.tiled(src, what, dst, workers=arguments.workers, max_memory=most, progress=tell, record=record)
    except KeyboardInterrupt:
        say(f"{part} is not whole yet: --resume goes on")
        raise
    except (ValueError, TypeError, OSError) as error:
        if not record.exists():  # no block has been begun: nothing is there to go on with
            with contextlib.suppress(OSError):  # nor may there be anything
                _remove(part)
        raise RequestError(str(error)) from error
    del dst
    os.replace(part, whole)
    print(f"{source}: {src.dtype} {tuple(src.shape)} -> {target}: {shape}")
    return 0


def _steps(step: functools.partial[Any], rule: str, dtype: np.dtype[Any], axes: Any) -> list[Any]:
    """What makes pixels of pixels: the command's step, and what becomes of its numbers."""
    floats = np.result_type(dtype, np.float32)
    words = {"axes": axes, **({"k": step.keywords["k"].astype(floats)} if "k" in step.keywords else {})}
    if "k" in step.keywords and rule == "abs":
        return [functools.partial(step, **words, dtype=floats), functools.partial(to_pixels, rule=rule, dtype=dtype)]
    overflow = {"overflow": "saturate"} if dtype.kind in "iu" else {}
    return [functools.partial(step, **words, dtype=dtype, **overflow)]


def _taps(step: functools.partial[Any]) -> Any:
    """Of a kernel that gives results of as many rows and columns."""
    return step.keywords.get("k", np.ones((step.keywords.get("size") or 3,) * 2))


def _needed(name: str, suffix: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RequestError(f'{suffix} needs {name}: pip install "fastconv[large]"') from error


def _opened(path: Path) -> Any:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if suffix in TIFF:
            store = _needed("tifffile", suffix).imread(path, aszarr=True)
            opened = _needed("zarr", suffix).open(store, mode="r")
        elif suffix == ".zarr":
            opened = _needed("zarr", suffix).open(path, mode="r")
        else:
            raise RequestError(f"cannot read {path} block by block; accepted: .zarr, .npy, .tif")
        return opened if hasattr(opened, "shape") else opened["0"]  # the largest level of a pyramid
    except RequestError:
        raise
    except Exception as error:  # a damaged file makes them raise nearly anything
        raise RequestError(f"cannot read {path}: {error}") from error


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _made(path: Path, suffix: str, src: Any, shape: tuple[int, ...], goes_on: bool) -> Any:
    """The array that is filled, in a file that has not its last name yet."""
    if suffix == ".npy":
        return np.lib.format.open_memmap(path, "r+" if goes_on else "w+", src.dtype, shape)
    if suffix in TIFF:
        tifffile = _needed("tifffile", suffix)
        return (
            tifffile.memmap(path, mode="r+")
            if goes_on
            else tifffile.memmap(path, shape=shape, dtype=src.dtype, bigtiff=True)
        )
    zarr = _needed("zarr", suffix)
    if goes_on:
        return zarr.open_array(path, mode="r+")
    chunks = getattr(src, "chunks", None) or tuple(min(n, 1024) for n in shape)
    return zarr.create_array(path, shape=shape, chunks=chunks, dtype=src.dtype)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise RequestError(f"--memory must be a size, as 500MB; got {text!r}")
    return int(float(match[1]) * UNITS[match[2].upper()])


class _bar:
    """A progress bar on stderr, if that is a terminal."""

    def __enter__(self) -> Any:
        self.bar: Any = None
        if sys.stderr and sys.stderr.isatty():
            try:
                self.bar = importlib.import_module("tqdm").tqdm(unit="block")
            except ModuleNotFoundError:
                return None
        return self.tell if self.bar is not None else None

    def tell(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
