# SPDX-License-Identifier: BSD-3-Clause
"""Where arrays lie: in which file or folder, and whether two of them share what they lie in."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds


class Span(NamedTuple):
    """A file, the first byte in it, and the one behind the last."""

    file: str
    first: int
    end: int


def mapped(a: Any) -> np.memmap[Any, Any] | None:
    """The memmap of a file that shows the elements of an array, as it was opened."""
    base = a if isinstance(a, np.ndarray) else None
    while base is not None:
        if isinstance(base, np.memmap) and base.filename is not None and not isinstance(base.base, np.memmap):
            return base
        base = getattr(base, "base", None)
    return None


def span_of(a: Any) -> Span | None:
    """The part of a file that an array shows, gaps and all; None: it shows none, or one without a name."""
    whole = mapped(a)
    if whole is None:
        return None
    start = whole.offset - byte_bounds(whole)[0]  # parts have the offset of the whole
    first, end = byte_bounds(a)
    return Span(os.path.realpath(str(whole.filename)), start + first, start + end)


def place_of(a: Any) -> tuple[str, str] | None:
    """The file or folder that an array lies in, and its name there; None: it is not known to lie in one."""
    span = span_of(a)
    if span is not None:
        return span.file, str(span.first)
    if hasattr(a, "file") and hasattr(a.file, "filename"):  # h5py
        return os.path.realpath(a.file.filename), a.name
    store = getattr(a, "store", None)
    root = getattr(store, "root", None) or getattr(store, "path", None)  # zarr's
    return None if root is None else (os.path.realpath(str(root)), str(getattr(a, "path", "")))


def is_same(file: str, other: str) -> bool:
    """Whether two names are those of one file, of which there may be none any more."""
    return file == other or (os.path.exists(file) and os.path.exists(other) and os.path.samefile(file, other))


def is_shared(a: Any, b: Any) -> bool:
    """Whether what is written to one array may show in the other."""
    if a is b or (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b)):
        return True
    one, other = span_of(a), span_of(b)
    if one is not None and other is not None:
        return one.first < other.end and other.first < one.end and is_same(one.file, other.file)
    place = place_of(a)
    return place is not None and place == place_of(b)
