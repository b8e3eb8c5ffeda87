# SPDX-License-Identifier: BSD-3-Clause
"""Pooling side by side: fastconv.nn beside PyTorch and ONNX Runtime; gradients beside PyTorch's autograd.

    python bench/pooling.py                  one thread
    python bench/pooling.py --threads 2
    python bench/pooling.py gradients        of the largest, by their indices, which PyTorch has, too
    python bench/pooling.py found            of the largest, which are looked for once more

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
    """One image of so many channels and elements along each axis."""

    kind: str  # max, avg, or of the whole image global_max ..., or of windows that are not even adaptive_max ...
    channels: int
    size: tuple[int, ...]
    k: int = 1
    stride: int = 1
    padding: int = 0

    def __str__(self) -> str:
        size = "x".join(map(str, self.size))
        how = f"{self.k:2} stride {self.stride} padding {self.padding}"
        return f"{self.kind:12} {self.channels:4} channels of {size:10} {how}"


CASES = [
    *(
        Case(kind, *rest)
        for kind in ("max", "avg")
        for rest in (
            (64, (112, 112), 2, 2),
            (128, (56, 56), 2, 2),
            (512, (28, 28), 2, 2),
            (512, (14, 14), 2, 2),
            (64, (112, 112), 3, 2, 1),
            (64, (56, 56), 3, 1, 1),
            (512, (14, 14), 3, 1, 1),
            (512, (13, 13), 5, 1, 2),
            (512, (13, 13), 9, 1, 4),
            (512, (13, 13), 13, 1, 6),
            (256, (35, 35), 5, 3),
            (32, (16, 56, 56), 2, 2),
            (64, (4096,), 2, 2),
            (64, (4096,), 3, 1, 1),
        )
    ),
    Case("global_avg", 2048, (7, 7)),
    Case("global_avg", 256, (56, 56)),
    Case("global_max", 2048, (7, 7)),
    *(
        Case(kind, *rest)
        for kind in ("adaptive_avg", "adaptive_max")
        for rest in ((256, (13, 13), 6), (512, (16, 16), 7))
    ),
]


def onnx_runtime(case: Case, x: np.ndarray[Any, Any], threads: int) -> layers.Call | None:
    """A session of one node; None: there is no such operator."""
    onnx, ort = importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    rank, f32 = len(case.size), onnx.TensorProto.FLOAT
    names = {"max": "MaxPool", "avg": "AveragePool", "global_max": "GlobalMaxPool", "global_avg": "GlobalAveragePool"}
    if case.kind not in names:
        return None
    how: dict[str, Any] = {}
    if case.kind in ("max", "avg"):
        how = {"kernel_shape": [case.k] * rank, "strides": [case.stride] * rank, "pads": [case.padding] * 2 * rank}
    if case.kind == "avg":
        how["count_include_pad"] = 1
    node = onnx.helper.make_node(names[case.kind], ["x"], ["y"], **how)
    ends = [onnx.helper.make_tensor_value_info("x", f32, x.shape)], [onnx.helper.make_tensor_value_info("y", f32, None)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "pool", *ends), opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]


def function(case: Case) -> tuple[str, tuple[int, ...]]:
    """Its name, and its arguments but x."""
    name = f"{case.kind}_pool{len(case.size)}d"
    if case.kind in ("max", "avg"):
        return name, (case.k, case.stride, case.padding)
    return name.replace("global", "adaptive"), (case.k,)


def calls(case: Case, threads: int) -> dict[str, layers.Call]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    x = np.random.default_rng(1).standard_normal((1, case.channels, *case.size)).astype(np.float32)
    given, (name, args) = torch.from_numpy(x), function(case)
    ours, theirs = getattr(nn, name), getattr(torch.nn.functional, name)
    found: dict[str, layers.Call | None] = {
        "fastconv": lambda: ours(x, *args),
        "torch": lambda: theirs(given, *args).numpy(),
        "onnxruntime": onnx_runtime(case, x, threads),
    }
    return {peer: call for peer, call in found.items() if call}


def gradients(case: Case, threads: int, remembered: bool = True) -> dict[str, layers.Call]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    x = np.random.default_rng(1).standard_normal((1, case.channels, *case.size)).astype(np.float32)
    given, (name, args) = torch.from_numpy(x).requires_grad_(), function(case)
    y = getattr(torch.nn.functional, name)(given, *args)
    ours, dy = getattr(nn, f"{name}_backward"), np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
    grad, second, how = torch.from_numpy(dy), x.shape if "avg" in name else x, {}
    if "max" in name and remembered:
        how["indices"] = getattr(nn, name)(x, *args, return_indices=True)[1]
    return {
        "fastconv": lambda: ours(dy, second, *args, **how),
        "torch": lambda: torch.autograd.grad(y, given, grad, retain_graph=True)[0].numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["forward", "gradients", "found"], default="forward")
    parser.add_argument("--threads", type=int, default=1, help="threads of all")
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on a case")
    options = parser.parse_args()
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    rows: list[dict[str, Any]] = []
    for case in CASES:
        if options.what == "forward":
            by_peer = calls(case, options.threads)
        else:
            by_peer = gradients(case, options.threads, options.what == "gradients")
        for call in by_peer.values():
            np.testing.assert_allclose(call(), by_peer["fastconv"](), rtol=1e-4, atol=1e-5)
        seconds = dict(zip(by_peer, measuring.alternate(list(by_peer.values()), options.seconds), strict=True))
        rows.append({"layer": str(case), "seconds": seconds})
        ratios = "".join(f"  {s / seconds['fastconv']:6.2f} {p}" for p, s in seconds.items() if p != "fastconv")
        print(f"  {case}  {seconds['fastconv'] * 1e3:8.4f} ms{ratios}", flush=True)
    layers.summarize(rows, ["torch", "onnxruntime"] if options.what == "forward" else ["torch"])


if __name__ == "__main__":
    main()
