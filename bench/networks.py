# SPDX-License-Identifier: BSD-3-Clause
"""Whole networks side by side: fastconv.nn beside PyTorch and ONNX Runtime; one image, forward.

    python bench/networks.py                                 all of models.py, one thread
    python bench/networks.py resnet50 unet --threads 2
    python bench/networks.py --memory                        what a pass takes beside weights and outputs
    python bench/networks.py --accuracy fast --plot bench/networks.png --json networks.json

A network is a module of PyTorch with random weights. PyTorch runs it as it is, ONNX Runtime what PyTorch exports of it,
with all its optimisations, and fastconv `nn.from_torch(module).folded()`. The results are compared, then whole passes
alternate in one process; a figure is the best time of each. With one thread these are times of the CPU, which other
programs lengthen less.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import nn

sys.path[:0] = [str(Path(__file__).parent)]
import layers  # noqa: E402
import models  # noqa: E402

PEERS = ("torch", "onnxruntime")


def onnx_runtime(module: Any, x: layers.Array, threads: int) -> layers.Call:
    """A session of what PyTorch exports."""
    torch, ort = importlib.import_module("torch"), importlib.import_module("onnxruntime")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its exporter is the old one, which needs no more packages
        torch.onnx.export(module, (torch.from_numpy(x),), file, input_names=["x"], dynamo=False, opset_version=17)
    how = ort.SessionOptions()
    how.intra_op_num_threads, how.inter_op_num_threads = threads, 1
    how.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or others would have one core less
    session = ort.InferenceSession(file.getvalue(), how, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]


def calls(name: str, options: argparse.Namespace) -> dict[str, layers.Call]:
    """Everyone's pass through a network."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    module, size = models.made(name), models.MODELS[name].size
    x = np.random.default_rng(1).standard_normal((1, 3, size, size)).astype(np.float32)
    network: Any = nn.from_torch(module, accuracy=options.accuracy, threads=options.threads)
    given, folded = torch.from_numpy(x), network.folded()
    found = {"fastconv": lambda: folded(x), "torch": lambda: module(given).numpy()}
    if "onnxruntime" in options.peers:
        found["onnxruntime"] = onnx_runtime(module, x, options.threads)
    return found


def alternate(by_peer: dict[str, layers.Call], options: argparse.Namespace) -> dict[str, float]:
    """The best time of each, of passes in turn: of the CPU, if a single thread is all it takes."""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    best = dict.fromkeys(by_peer, math.inf)
    end = time.perf_counter() + options.seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        rounds += 1
        for peer, call in by_peer.items():
            start = clock()
            call()
            best[peer] = min(best[peer], clock() - start)
    return best


def report(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compare and measure everyone on a network."""
    by_peer = calls(name, options)
    results = {peer: call() for peer, call in by_peer.items()}
    size = float(np.abs(results["torch"]).max())
    far = {peer: float(np.abs(y - results["torch"]).max()) / size for peer, y in results.items()}
    assert max(far.values()) < 1e-3, far
    seconds = alternate(by_peer, options)
    ratios = "".join(f"  {s / seconds['fastconv']:5.2f} {peer}" for peer, s in seconds.items() if peer != "fastconv")
    print(f"  {name:14}{seconds['fastconv'] * 1e3:8.1f} ms{ratios}  differs by {far['fastconv']:.0e}", flush=True)
    return {"layer": name, "threads": options.threads, "accuracy": options.accuracy, "seconds": seconds}


def memory(name: str, options: argparse.Namespace) -> None:
    """Measure what fastconv's pass takes, in a process of its own."""
    size = models.MODELS[name].size
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "network.npz")
        nn.from_torch(models.made(name)).folded().save(file)  # type: ignore[attr-defined]
        program = str(Path(__file__).with_name("memory.py"))
        how = ["--threads", str(options.threads), "--accuracy", options.accuracy]
        line = subprocess.run(
            [sys.executable, program, file, f"1,3,{size},{size}", *how], check=True, capture_output=True, text=True
        ).stdout
    found = "".join(f"{n / 2**20:9.1f} {what}" for what, n in json.loads(line).items())
    print(f"  {name:14}{found}   MB", flush=True)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """How many times as long as fastconv the others take."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(7, 3), layout="constrained")
    for i, peer in enumerate(PEERS):
        at = [n + (i - 0.5) * 0.4 for n in range(len(rows))]
        ratios = [row["seconds"].get(peer, 0) / row["seconds"]["fastconv"] for row in rows]
        axes.bar_label(axes.bar(at, ratios, 0.4, label=peer), fmt="%.2f", fontsize=8)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xticks(range(len(rows)), [f"{row['layer']}\n{row['seconds']['fastconv'] * 1e3:.0f} ms" for row in rows])
    axes.set_title(f"threads: {rows[0]['threads']}; time of others divided by fastconv's", fontsize=9)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(models.MODELS))
    parser.add_argument("--threads", type=int, default=1, help="threads of all")
    parser.add_argument("--seconds", type=float, default=6.0, help="time spent on a network")
    parser.add_argument("--accuracy", default="default", choices=["exact", "default", "fast"], help="of fastconv")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument("--plot", type=Path, help="draw the ratios into this picture, too")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(models.MODELS):
        parser.error(f"unknown network: {', '.join(sorted(unknown))}")
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    if options.memory:
        for name in options.networks or models.MODELS:
            memory(name, options)
        return
    rows = [report(name, options) for name in options.networks or models.MODELS]
    layers.summarize(rows, PEERS)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
