# SPDX-License-Identifier: BSD-3-Clause
"""How long calls take, and how long they would at the limits of this machine, which are measured in the same run.

No call takes less than max(operations / fma peak, bytes / copy speed): what is not bound by arithmetic has to read its
array and write as much. Both limits are those of one core.
"""

from __future__ import annotations

import math
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import _core

Array = NDArray[Any]
Call = Callable[[], Any]


class Case(NamedTuple):
    """A call of fastconv, and those of peers that give the same."""

    label: str
    ours: Call
    peers: dict[str, Call]
    flop: float = 0.0  # of the direct method
    tolerance: float = 1e-4  # of the results, relative to the largest


class Reached(NamedTuple):
    """How near a call comes to the limits of the machine."""

    seconds: float
    bound: str  # "fma" or "copy"
    fraction: float


def alternate(calls: list[Call], seconds: float, spacing: float = 0.0) -> list[float]:
    """Best seconds of each call, called in turn until `seconds` have passed, five times at least (slow ones: twice).

    Examples
    --------
    >>> from fastconv.measuring import alternate
    >>> best = alternate([lambda: sum(range(10)), lambda: sum(range(10**5))], 0.0)
    >>> best[0] < best[1]
    True
    """
    best = [math.inf] * len(calls)
    start, rounds = time.perf_counter(), 0
    while rounds < 2 or (time.perf_counter() - start < seconds and rounds < 10000):
        for i, call in enumerate(calls):
            if spacing:
                time.sleep(spacing)
            t = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - t)
        rounds += 1
    return best


def peak(dtype: str) -> float:
    """Measured fma limit of one core, GFLOP/s."""
    rates = []
    for _ in range(20):
        t = time.perf_counter()
        rates.append(_core.fma_peak(dtype == "float32", 300_000) / (time.perf_counter() - t))
    return max(rates) / 1e9


def reached(into: Call, x: Array, multiply_adds: float, gflops: float, seconds: float) -> Reached:
    """The fraction of the limit that a call with out= reaches, which writes as much as x holds.

    multiply_adds: of an output.
    """
    copy = x.copy()  # whose pages are there before it is timed
    own, moved = alternate([into, lambda: np.copyto(copy, x)], seconds)
    limits = {"fma": 2 * multiply_adds * x.size / gflops / 1e9, "copy": moved}
    bound = max(limits, key=lambda name: limits[name])
    return Reached(own, bound, limits[bound] / own)


def cpu() -> str:
    """The name of the CPU, and the instruction set that runs."""
    try:
        names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {fastconv.isas()[0]}"
