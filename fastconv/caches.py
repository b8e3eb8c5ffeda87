# SPDX-License-Identifier: BSD-3-Clause
"""Results that are remembered, bounded by bytes.

`functools.lru_cache` bounds their number, which is enough where keys and results are a few numbers each (shapes, axes).
Where they are arrays, this bounds what they take together.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

ENTRY = 512  # bytes that an entry takes beside its arrays: key, result and their places
P = ParamSpec("P")
R = TypeVar("R")


forget_all: list[Callable[[], None]] = []  # one for each remembered function


def _digest(a: bytes) -> bytes:
    import hashlib  # and OpenSSL with it, which not every program needs

    return hashlib.blake2b(a, digest_size=32).digest()


def remembered(most: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember the latest results of a function, arrays or tuples of them, in at most `most` bytes.

    Arguments are hashable and positional; of bytes a digest is kept. A result larger than that is not remembered.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        kept: OrderedDict[Any, tuple[R, int]] = OrderedDict()  # the latest one last
        total = 0
        lock = threading.Lock()

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            nonlocal total
            key = tuple(_digest(a) if isinstance(a, bytes) else a for a in args)
            # Nobody waits for the lock: a process forked while it was held would wait forever.
            if lock.acquire(blocking=False):
                try:
                    found = kept.get(key)
                    if found is not None:
                        kept.move_to_end(key)
                        return found[0]
                finally:
                    lock.release()
            result = function(*args, **kwargs)
            size = ENTRY + _bytes(result)
            if size <= most and lock.acquire(blocking=False):
                try:
                    if key not in kept:
                        kept[key] = result, size
                        total += size
                    while total > most:
                        total -= kept.popitem(last=False)[1][1]
                finally:
                    lock.release()
            return result

        def forget() -> None:
            nonlocal total
            with lock:
                kept.clear()
                total = 0

        forget_all.append(forget)
        return call

    return decorate


def _bytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    return sum(map(_bytes, value)) if isinstance(value, tuple) else sys.getsizeof(value)
