# SPDX-License-Identifier: BSD-3-Clause
"""What fastconv is measured against: the same correlation, asked of each installed peer in its own words.

A peer is a function (x, k) -> callable that computes it, beside the fastconv call with the same result.
Peers that are not installed are left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastconv

Array = NDArray[Any]
Call = Callable[[], Array]


class Peer(NamedTuple):
    name: str
    ours: Callable[[Array, Array], Call]
    theirs: Callable[[Any], Callable[[Array, Array], Call]]  # of the imported module
    module: str
    dtypes: tuple[str, ...] = ("float32", "float64")


def _valid(x: Array, k: Array) -> Call:
    return lambda: fastconv.corr2d(x, k)


def _same(x: Array, k: Array) -> Call:
    return lambda: fastconv.corr2d(x, k, "same", "reflect")


def _torch(torch: Any) -> Callable[[Array, Array], Call]:
    def call(x: Array, k: Array) -> Call:
        tx, tk = torch.from_numpy(x)[None, None], torch.from_numpy(k)[None, None]
        return lambda: torch.nn.functional.conv2d(tx, tk).numpy()[0, 0]

    return call


PEERS = [
    Peer("cv2.filter2D", _same, lambda cv2: lambda x, k: lambda: cv2.filter2D(x, -1, k), "cv2"),
    Peer(
        "scipy.signal.correlate2d",
        _valid,
        lambda s: lambda x, k: lambda: s.correlate2d(x, k, "valid"),
        "scipy.signal",
    ),
    Peer(
        "scipy.ndimage.correlate",
        _same,
        lambda n: lambda x, k: lambda: n.correlate(x, k, mode="mirror"),
        "scipy.ndimage",
    ),
    Peer("torch conv2d", _valid, _torch, "torch"),
]


def installed() -> dict[str, tuple[Peer, Callable[[Array, Array], Call]]]:
    """The peers that can be imported: name -> (peer, factory of its calls)."""
    found = {}
    for peer in PEERS:
        try:
            found[peer.name] = peer, peer.theirs(importlib.import_module(peer.module))
        except ImportError:
            continue
    return found


def set_num_threads(n: int) -> None:
    """The same number of threads for everyone that has threads."""
    fastconv.set_num_threads(n)
    for module, setter in (("cv2", "setNumThreads"), ("torch", "set_num_threads")):
        try:
            getattr(importlib.import_module(module), setter)(n)
        except ImportError:
            continue


def data(shape: tuple[int, int], kernel: tuple[int, int], dtype: str) -> tuple[Array, Array]:
    """A random picture and a kernel that sums to about one."""
    rng = np.random.default_rng(1)
    x = rng.random(shape).astype(dtype)
    k = rng.random(kernel)
    return x, (k / k.sum()).astype(dtype)
