# SPDX-License-Identifier: BSD-3-Clause
"""pytest-benchmark suite of convolution layers: `pytest bench/bench_layers.py`, optionally `-k dw5`.

Groups put fastconv and those of its peers that are installed beside each other on the same layer, one thread each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

import fastconv

sys.path[:0] = [str(Path(__file__).parent)]
import layers  # noqa: E402

OPTIONS = argparse.Namespace(threads=1, method="auto", accuracy="default", learnt=False, dtype="float32")
LAYERS = {layer.name: layer for table in ("dense", "depthwise") for layer in layers.layers(table, "float32", None)}
CALLS = {"fastconv": layers.ours, **layers.installed(list(layers.PEERS))}


@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize("name", LAYERS)
def bench_layer(benchmark: Any, name: str, who: str) -> None:
    fastconv.set_num_threads(1)
    benchmark.group = name
    try:
        call = CALLS[who](LAYERS[name], OPTIONS)
    except ValueError as error:
        pytest.skip(f"{who}: {error}")
    benchmark(call)
