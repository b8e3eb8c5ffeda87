# SPDX-License-Identifier: BSD-3-Clause
"""pytest-benchmark suite of gradients: `pytest bench/bench_gradients.py`, optionally `-k weight`.

Groups put fastconv and PyTorch, which must be installed, beside each other on the same gradient, one thread each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

import fastconv

sys.path[:0] = [str(Path(__file__).parent)]
import gradients  # noqa: E402
import layers  # noqa: E402

pytest.importorskip("torch")
OPTIONS = argparse.Namespace(threads=1, dtype="float32", batch=1)
LAYERS = {layer.name: layer for table in ("dense", "depthwise") for layer in layers.layers(table, "float32", 1)}


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("what", gradients.WHAT)
@pytest.mark.parametrize("name", LAYERS)
def bench_gradient(benchmark: Any, name: str, what: str, who: str) -> None:
    fastconv.set_num_threads(1)
    pair = gradients.gradient(LAYERS[name], what, OPTIONS)
    benchmark.group = pair.name
    benchmark(getattr(pair, who))
