# SPDX-License-Identifier: BSD-3-Clause
"""Models of ONNX from packages, whole passes: fastconv.onnx beside onnx.reference alone and ONNX Runtime.

    python bench/onnx_models.py                   one thread
    python bench/onnx_models.py --threads 2 --only det cls

The outputs are compared, then the sessions alternate in one process; a figure is the best time of each. How much of
fastconv.onnx's is spent in its own operators, and in which of onnx's most, is what a run tells that watches each node.
`pip install "fastconv[models]"` brings the packages; what is not there is left out.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import measuring

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]


def watched(session: Any, feeds: dict[str, Any]) -> Counter[str]:
    """Seconds in each kind of node, of the fastest of ten runs."""
    spent: Counter[str] = Counter()

    def watch(node: Any) -> None:
        run = node.run

        def timed(*args: Any, **how: Any) -> Any:
            start = time.perf_counter()
            result = run(*args, **how)
            spent[node.op_type] += time.perf_counter() - start
            return result

        node.run = timed

    for node in session.rt_nodes_:
        watch(node)
    runs = []
    for _ in range(10):
        spent.clear()
        session.run(None, feeds)
        runs.append(spent.copy())
    return min(runs, key=lambda run: sum(run.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of all")
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on a model")
    parser.add_argument("--accuracy", default="default", help="of layers")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # onnx's sigmoid overflows
    ort, reference = importlib.import_module("onnxruntime"), importlib.import_module("onnx.reference")
    cases, onnx = importlib.import_module("onnx_cases"), importlib.import_module("onnx")
    bridge = importlib.import_module("fastconv.onnx")
    ours = {operator.__name__ for operator in bridge.OPERATORS} | {"ConvLayer", "ConvTransposeLayer", "Drop"}
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    how = ort.SessionOptions()
    how.intra_op_num_threads, how.log_severity_level = options.threads, 3
    for package, models in cases.MODELS.items():
        for name, feeds in models.items():
            path = cases.path_of(package, name)
            if path is None or not any(part in name for part in options.only):
                continue
            sessions = [
                bridge.session(path, accuracy=options.accuracy),
                reference.ReferenceEvaluator(onnx.load(path)),
                ort.InferenceSession(path, how, providers=["CPUExecutionProvider"]),
            ]
            results = [session.run(None, feeds) for session in sessions]
            for got, expected in zip(results[0], results[2], strict=True):
                np.testing.assert_allclose(got, expected, 1e-2, 1e-3 * np.abs(expected).max())
            calls = [lambda session=session, feeds=feeds: session.run(None, feeds) for session in sessions]
            alone = min(measuring.alternate(calls[1:2], 0.0))  # apart, or it would take all the time
            mine, runtime = measuring.alternate(calls[::2], options.seconds)
            spent = watched(sessions[0], feeds)
            layers = sum(seconds for kind, seconds in spent.items() if kind in ours)
            kind, most = max(((k, s) for k, s in spent.items() if k not in ours), key=lambda item: item[1])
            total = sum(spent.values())
            ratios = f"{alone / mine:6.1f} reference  {runtime / mine:5.2f} onnxruntime"
            shares = f"own operators {layers / total:.0%}, {kind} {most / total:.0%}"
            print(f"  {path.name:35} {mine * 1e3:8.2f} ms  {ratios}  {shares}", flush=True)


if __name__ == "__main__":
    main()
