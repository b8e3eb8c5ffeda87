# SPDX-License-Identifier: BSD-3-Clause
"""pytest-benchmark suite of every section of workloads.py: `pytest bench/bench_workloads.py`.

Groups put fastconv and its peers beside each other on the same case.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fastconv import peers

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
import workloads  # noqa: E402

CASES = {
    f"{name} {case.label}": case
    for name, generate in workloads.SECTIONS.items()
    for case in generate(["float32"])
}  # fmt: skip
CALLS = [(label, who) for label, case in CASES.items() for who in ("fastconv", *case.peers)]


@pytest.mark.parametrize(("label", "who"), CALLS)
def bench_workload(benchmark: Any, label: str, who: str) -> None:
    peers.set_num_threads(1)
    case = CASES[label]
    benchmark.group = label
    benchmark(case.ours if who == "fastconv" else case.peers[who])
