# SPDX-License-Identifier: BSD-3-Clause
"""What a call of `fastconv.tiled` that ends early leaves for the next: which blocks are done, and of what call."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.blocks import Work, name_of
from fastconv.places import is_same, mapped, place_of, span_of

CHECKED = 2**28  # bytes of an array in memory that are looked at, at most
PIECE = 2**22  # bytes that are copied at once, to lie one after the other


def beside(dst: Any) -> Path | None:
    """Where the record is that has no name."""
    place = place_of(dst)
    if place is None:
        return None
    name = place[1].strip("/").replace("/", ".")
    return Path(f"{place[0]}{'.' if name else ''}{name}.blocks")


def fingerprint(chain: list[Work], src: Any, dst: Any, sizes: Sequence[int]) -> str:
    """What makes a call the same as one that ended early."""
    told = [_told(tuple(work)[:3]) + _told((work.compute,)) + [_told_of(work.mask)] for work in chain]
    says = hashlib.sha256(repr(told).encode())
    arrays = list(src.shape), str(src.dtype), _told_of_source(src, dst), list(dst.shape), str(dst.dtype)
    return json.dumps(["crc32", *arrays, list(sizes), says.hexdigest()])


def _told_of_source(src: Any, dst: Any) -> list[Any]:
    """Where it lies; of a file, or a folder of chunks, when it was changed; what it holds, where it is in memory, or
    changes with dst.
    """
    whole, span, other = mapped(src), span_of(src), span_of(dst)
    alone = span is not None and os.path.exists(span.file) and not (other and is_same(span.file, other.file))
    if whole is not None and span is not None and alone and whole.mode != "c":
        now = os.stat(span.file)
        return [place_of(src), src.strides, now.st_size, now.st_mtime_ns]
    if not isinstance(src, np.ndarray):
        return [place_of(src), *_told_of_folder(src, dst)]
    step = max(-(-src.nbytes // CHECKED), 1)
    along = int(np.argmax(src.shape))
    return [place_of(src), checksum(np.asarray(src)[(*[slice(None)] * along, slice(None, None, step))])]


def _told_of_folder(src: Any, dst: Any) -> list[int]:
    """How many files and bytes an array of chunks has, and when one was changed last; nothing if dst is among them."""
    folder, other = (Path(p[0], p[1].strip("/")) if (p := place_of(a)) else None for a in (src, dst))
    if folder is None or not folder.is_dir() or (other is not None and other.is_relative_to(folder)):
        return []
    files = [os.stat(Path(inside, name)) for inside, _, names in os.walk(folder) for name in names]
    return [len(files), sum(f.st_size for f in files), max((f.st_mtime_ns for f in files), default=0)]


def _told_of(mask: Any) -> Any:
    """Of a mask; of one that is larger than memory, where it lies."""
    if mask is None or isinstance(mask, np.ndarray):
        return _told(mask)
    return [*mask.shape, mask.dtype.name, place_of(mask)]


def _told(value: Any) -> Any:
    """The same for the same arguments, in any process."""
    if isinstance(value, np.ndarray):
        says = hashlib.sha256()
        for part in value if value.ndim else [value]:  # no copy of all of it
            says.update(part.tobytes())
        return value.shape, value.dtype.str, says.hexdigest()
    if isinstance(value, dict):
        return sorted((name, _told(v)) for name, v in value.items())
    if isinstance(value, (tuple, list)):
        return [_told(v) for v in value]
    return name_of(value) if callable(value) and hasattr(value, "__qualname__") else repr(value)


def checksum(a: NDArray[Any]) -> int:
    """Of the bytes in C order."""
    rows, says = max(PIECE // max(a[:1].nbytes, 1), 1), 0
    for first in range(0, len(a), rows):
        says = zlib.crc32(a[first : first + rows].ravel().view(np.uint8).data, says)
    return says


class Record:
    """Which blocks are done: a line that says of what, and one for each, with its checksum.

    A line without an end does not count, nor does a block whose checksum is another one in dst.
    """

    def __init__(self, path: Path, of: str) -> None:
        self.path, self.lock = path, threading.Lock()
        text = path.read_text() if path.exists() else ""
        lines = text.split("\n")[:-1]
        if lines and lines[0].startswith("[["):  # records were without checksums
            lines = []
        if lines and lines[0] != of:
            raise ValueError(f"{path} is the record of another call, which ended early; remove it to begin anew")
        self.done = {int(i): int(says) for i, says in map(str.split, lines[1:])}
        whole = "".join(f"{line}\n" for line in lines or [of])
        if whole != text:
            path.write_text(whole)

    def has(self, i: int, dst: Any, at: tuple[slice, ...]) -> bool:
        """Whether a block is recorded, and dst still holds it."""
        if i not in self.done:
            return False
        try:
            return checksum(np.asarray(dst[at], np.dtype(dst.dtype))) == self.done[i]
        except Exception:  # a damaged chunk makes stores raise nearly anything; it is written anew
            return False

    def add(self, i: int, made: NDArray[Any]) -> None:
        line = f"{i} {checksum(made)}\n"
        with self.lock, self.path.open("a") as file:
            file.write(line)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
