# SPDX-License-Identifier: BSD-3-Clause
"""Modules of PyTorch side by side: as they are, and computing with fastconv (`fastconv.torch.replace_convs`).

    python bench/modules.py                               one thread
    python bench/modules.py --dtype bfloat16 --channels-last --accuracy fast

For each layer: its output where nothing is differentiated, as in inference; and a step of training, which is the output
and the gradients of input, weights and bias. The first two are so small that the time is that of a call. The results
are compared, then the calls alternate in one process; a figure is the best time of each.
"""

from __future__ import annotations

import argparse
import copy
import functools
import importlib
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import fastconv
from fastconv import measuring

sys.path[:0] = [str(Path(__file__).parent)]
import layers  # noqa: E402


class Case(NamedTuple):
    """A layer with square kernels, and images of so many rows and columns."""

    size: int
    channels: int
    kernels: int
    taps: int
    stride: int = 1
    groups: int = 1
    transposed: bool = False


CASES = [
    Case(8, 4, 4, 3),
    Case(8, 4, 4, 2, 2, transposed=True),
    Case(224, 3, 64, 7, 2),
    Case(56, 64, 64, 3),
    Case(28, 128, 128, 3),
    Case(14, 256, 256, 3),
    Case(7, 512, 512, 3),
    Case(56, 256, 64, 1),
    Case(56, 64, 128, 3, 2),
    Case(56, 96, 96, 3, 1, 96),
    Case(28, 64, 32, 2, 2, transposed=True),
]


def calls(case: Case, options: argparse.Namespace) -> dict[str, list[layers.Call]]:
    """Ours and PyTorch's."""
    torch: Any = importlib.import_module("torch")
    replace_convs = importlib.import_module("fastconv.torch").replace_convs
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    dtype = getattr(torch, options.dtype)
    if case.transposed:
        theirs = torch.nn.ConvTranspose2d(case.channels, case.kernels, case.taps, case.stride, groups=case.groups)
    else:
        how = {"padding": case.taps // 2, "groups": case.groups}
        theirs = torch.nn.Conv2d(case.channels, case.kernels, case.taps, case.stride, **how)
    theirs = theirs.to(dtype)
    x = torch.randn(options.batch, case.channels, case.size, case.size).to(dtype)
    if options.channels_last:
        theirs, x = theirs.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    wanted = x.clone().requires_grad_()
    grad = torch.randn_like(theirs(x))

    def inference(module: Any) -> Any:
        with torch.inference_mode():
            return module(x)

    def step(module: Any) -> Any:
        return torch.autograd.grad(module(wanted), (wanted, *module.parameters()), grad)

    ours = replace_convs(copy.deepcopy(theirs), accuracy=options.accuracy)
    error = (inference(ours).double() - inference(theirs).double()).abs().max()
    assert error <= 64 * math.sqrt(case.channels) * torch.finfo(dtype).eps, error
    return {f.__name__: [functools.partial(f, module) for module in (ours, theirs)] for f in (inference, step)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of both")
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on a case")
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--dtype", default="float32", choices=["bfloat16", "float16", "float32", "float64"])
    parser.add_argument("--channels-last", action="store_true", help="where they lie in images and weights")
    parser.add_argument("--accuracy", default="default", choices=["exact", "default", "fast"])
    options = parser.parse_args()
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    rows: list[dict[str, Any]] = []
    for case in CASES:
        kind = "transposed" if case.transposed else "layer"
        line = f"  {kind:10} {case.channels:3} to {case.kernels:3} of {case.size:3}, {case.taps} x {case.taps} "
        line += f"stride {case.stride}, groups {case.groups:2}"
        for name, both in calls(case, options).items():
            best = measuring.alternate(both, options.seconds)
            rows.append({"layer": f"{name} {case}", "seconds": dict(zip(("fastconv", "torch"), best, strict=True))})
            line += f"  {name} {best[0] * 1e3:8.4f} ms {best[1] / best[0]:6.2f} torch"
        print(line, flush=True)
    for name in ("inference", "step"):
        print(f"{name}:")
        layers.summarize([r for r in rows if r["layer"].startswith(name)], ["torch"])


if __name__ == "__main__":
    main()
