# SPDX-License-Identifier: BSD-3-Clause
"""Windows as columns, and back, side by side: fastconv.nn.unfold and fold beside PyTorch's.

    python bench/folding.py                  one thread
    python bench/folding.py --threads 2 --dtype float64

The results are compared, then the calls alternate in one process; a figure is the best time of each.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import measuring, nn

sys.path[:0] = [str(Path(__file__).parent)]
import layers  # noqa: E402


class Case(NamedTuple):
    """Squares of so many channels, and square windows."""

    channels: int
    size: int
    k: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


CASES = [
    Case(64, 56, 3, 1, 1),
    Case(128, 28, 3, 1, 1),
    Case(512, 14, 3, 1, 1),
    Case(512, 7, 3, 1, 1),
    Case(3, 224, 7, 2, 3),
    Case(64, 56, 3, 2, 1),
    Case(256, 14, 3, 2, 1),
    Case(16, 112, 5, 1, 2),
    Case(3, 224, 16, 16),
    Case(3, 512, 4, 4),
    Case(32, 64, 2, 2),
    Case(16, 64, 3, 1, 2, 2),
    Case(1, 512, 3, 1, 1),
    Case(1, 512, 8, 3),
]


def calls(case: Case, options: argparse.Namespace) -> dict[str, tuple[layers.Call, layers.Call]]:
    """Ours and PyTorch's."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(options.threads)
    x = np.random.default_rng(1).random((1, case.channels, case.size, case.size)).astype(options.dtype)
    how = {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}
    columns = nn.unfold(x, case.k, **how)
    tx, ty, size, f = torch.from_numpy(x), torch.from_numpy(columns), (case.size,) * 2, torch.nn.functional
    return {
        "unfold": (lambda: nn.unfold(x, case.k, **how), lambda: f.unfold(tx, case.k, **how).numpy()),
        "fold": (lambda: nn.fold(columns, size, case.k, **how), lambda: f.fold(ty, size, case.k, **how).numpy()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of both")
    parser.add_argument("--seconds", type=float, default=0.2, help="time spent on a case")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    options = parser.parse_args()
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    rows: list[dict[str, Any]] = []
    for case in CASES:
        line = f"  {case.channels:4} channels of {case.size:3}, {case.k:2} x {case.k:<2} "
        line += f"stride {case.stride:2}, padding {case.padding}, dilation {case.dilation}"
        for name, (ours, theirs) in calls(case, options).items():
            np.testing.assert_allclose(ours(), theirs(), rtol=1e-4)
            best = measuring.alternate([ours, theirs], options.seconds)
            seconds = dict(zip(("fastconv", "torch"), best, strict=True))
            rows.append({"layer": f"{name} {case}", "seconds": seconds})
            line += f"  {name} {best[0] * 1e3:8.4f} ms {best[1] / best[0]:6.2f} torch"
        print(line, flush=True)
    for name in ("unfold", "fold"):
        print(f"{name}:")
        layers.summarize([r for r in rows if r["layer"].startswith(name)], ["torch"])


if __name__ == "__main__":
    main()
