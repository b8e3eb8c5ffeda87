# SPDX-License-Identifier: BSD-3-Clause
"""Memory that a network in a file takes for one pass: for its outputs, and beyond.

    python bench/memory.py network.npz 1,3,224,224 --threads 1

Says in JSON, in bytes: the weights; what layers make of them once (`prepared`); the most that outputs take that are
alive at a time (`outputs`); by how much the process has grown where a second pass needs most (`grown`); what of that
is none of these (`beyond`): scratch, copies, code that was not run before. Linux only. `networks.py --memory` does so
for its networks, each in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import nn

FIXED = "MALLOC_MMAP_THRESHOLD_"  # of large arrays, which then are the system's again as soon as they are freed


def resident(what: str) -> int:
    """Bytes: VmRSS, those of now, or VmHWM, the most since they were counted anew."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def outputs(network: Any, x: Any) -> int:
    """The most bytes of outputs that are alive at a time."""
    made: list[Any] = []
    most = 0

    def compute(name: str, layer: Any, inputs: list[Any]) -> Any:
        nonlocal most
        y = layer(*inputs)
        made.append(weakref.ref(y if y.base is None else y.base))
        alive = {id(a): a.nbytes for ref in made if (a := ref()) is not None and a is not x}
        most = max(most, sum(alive.values()))
        return y

    network._run(x, compute)
    return most


def prepared(network: Any) -> int:
    """Bytes of what layers made of their weights."""
    known = [getattr(getattr(layer, "conv", layer), "_known", None) for layer in network.layers]
    made = [k.values.values() if hasattr(k, "values") else (k.array,) for k in known if k is not None]
    return sum(a.nbytes for arrays in made for a in arrays if a is not None)


def measured(file: str, shape: Sequence[int], accuracy: Any) -> dict[str, int]:
    network: Any = nn.Graph.load(file, accuracy=accuracy)
    x = np.random.default_rng(0).standard_normal(tuple(shape), dtype=np.float32)
    gc.collect()
    before = resident("VmRSS")
    network(x)
    Path("/proc/self/clear_refs").write_text("5")  # counts VmHWM anew
    network(x)
    grown = resident("VmHWM") - before
    found = {"weights": sum(a.nbytes for a in network.state_dict().values()), "prepared": prepared(network)}
    found |= {"outputs": outputs(network, x), "grown": grown}
    return found | {"beyond": grown - found["prepared"] - found["outputs"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="that a network was saved to")
    parser.add_argument("shape", help="of x, with commas between")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--accuracy", default="default", choices=["exact", "default", "fast"])
    options = parser.parse_args()
    if FIXED not in os.environ:  # it is read when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {FIXED: "65536"})
    fastconv.set_num_threads(options.threads)
    print(json.dumps(measured(options.file, [int(n) for n in options.shape.split(",")], options.accuracy)))


if __name__ == "__main__":
    main()
