# SPDX-License-Identifier: BSD-3-Clause
"""How near fastconv comes to the limits of this machine, which are measured in the same run.

    python bench/roofline.py                       filters, lines and Gaussians of pictures, one thread
    python bench/roofline.py --json zen4.json      and kept
    python bench/roofline.py --diff zen4.json zen5.json
    python bench/roofline.py --plot roofline.png   the fraction against the size, a curve a kernel

No call can take less than max(operations / fma peak, bytes / copy speed): what is not bound by arithmetic has to read
the picture and write as much. Both limits are those of one core, the copy by numpy.copyto of the picture itself. The
fraction is that limit divided by the time of a call with out=. The last column is a call with a fresh result, beside
the best peer that is installed: OpenCV, SciPy and PyTorch (fastconv/peers.py), IPP, libvips and Halide
(libraries.py). --json has the times of all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import kernels, peers
from fastconv.measuring import alternate, cpu, peak, reached

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
import libraries  # noqa: E402

PICTURES = ((64, 64), (250, 333), (512, 512), (1080, 1920), (2160, 3840), (3000, 5003))
FILTERS = ((3, 3), (5, 5), (3, 9), (9, 3), (7, 7), (9, 9), (11, 11))
LINES = ((1, 3), (1, 9), (1, 15), (3, 1), (9, 1), (15, 1))
GAUSSIANS = (5, 9, 15, 31)


def kernel(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(2)
    return (rng.standard_normal(shape) / math.prod(shape)).astype(dtype)


def rivals(x: Any, k: Any, profile: Any) -> dict[str, Callable[[], Any]]:
    """What does the same, by name; of large pictures without those that are never the fastest there."""
    installed = peers.installed()
    calls = {name: factory(x, k) for name, (_, factory) in installed.items() if x.size < 10**5 or "cv2" in name}
    if "cv2.filter2D" in installed and profile is not None:
        cv2 = importlib.import_module("cv2")
        calls["cv2.sepFilter2D"] = lambda: cv2.sepFilter2D(x, -1, profile, profile)
    made = {name: library(x, k, profile) for name, library in libraries.installed().items()}
    return calls | {name: call for name, call in made.items() if call}


def case(x: Any, label: str, k: Any, taps: int, gflops: float, seconds: float, profile: Any = None) -> dict[str, Any]:
    """taps: multiply-adds of an output. gflops: the arithmetic limit."""
    out = np.empty_like(x)
    near = reached(lambda: fastconv.corr2d(x, k, "same", "reflect", out=out), x, taps, gflops, seconds)
    others = rivals(x, k, profile)
    # Peer by peer: the memory and the threads of one are not to slow down whoever comes behind it.
    pairs = {
        name: alternate([lambda: fastconv.corr2d(x, k, "same", "reflect"), call], seconds)
        for name, call in others.items()
    }
    ratios = {name: theirs / ours for name, (ours, theirs) in pairs.items()}
    return {
        "dtype": str(x.dtype),
        "picture": list(x.shape),
        "kernel": label,
        "ms": near.seconds * 1e3,
        "bound": near.bound,
        "fraction": near.fraction,
        "peer": min(ratios, key=lambda name: ratios[name], default=""),
        "ratio": min(ratios.values(), default=math.nan),
        "peers": {name: theirs * 1e3 for name, (_, theirs) in pairs.items()},  # ms
    }


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for dtype in options.dtypes:
        gflops = peak(dtype)
        print(f"\n{cpu()}; {dtype}, one thread, fma peak {gflops:.0f} GFLOP/s\n")
        print(f"{'picture':>10} {'kernel':>10} {'ms':>8} {'bound by':>9} {'fraction':>9}   ratio peer")
        for shape in PICTURES:
            if not re.search(options.pictures, "x".join(map(str, shape))):
                continue
            x = np.random.default_rng(1).random(shape).astype(dtype)
            cases = [(f"{h}x{w}", kernel((h, w), dtype), h * w, None) for h, w in (*FILTERS, *LINES)]
            for n in GAUSSIANS:
                k, profile = kernels.gaussian(n, dtype=dtype), kernels.gaussian(n, ndim=1, dtype=dtype)
                cases.append((f"Gaussian {n}", k, 2 * n, profile))
            for label, k, taps, profile in cases:
                if not re.search(options.kernels, label):
                    continue
                row = case(x, label, k, taps, gflops, options.seconds, profile)
                rows.append(row)
                picture = "x".join(map(str, shape))
                print(
                    f"{picture:>10} {label:>10} {row['ms']:>8.3f} {row['bound']:>9} {row['fraction']:>9.2f}   "
                    f"{row['ratio']:.2f} {row['peer']}",
                    flush=True,
                )
    return rows


def summarize(rows: list[dict[str, Any]]) -> None:
    print("\nworst and mean fraction, worst and mean ratio (geometric), by kernel")
    for label in dict.fromkeys(row["kernel"] for row in rows):
        mine = [row for row in rows if row["kernel"] == label]
        figures = []
        for what in ("fraction", "ratio"):
            values = [row[what] for row in mine]
            figures.append(f"{min(values):.2f} {math.exp(sum(map(math.log, values)) / len(values)):.2f}")
        print(f"{label:>12}   {'   '.join(figures)}")


def plot(rows: list[dict[str, Any]], where: str, path: str) -> None:
    from matplotlib import pyplot

    figure, every = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    groups = {"filters": FILTERS, "lines and Gaussians": LINES}
    rows = [row for row in rows if row["dtype"] == rows[0]["dtype"]]
    for axes, (title, shapes) in zip(every, groups.items(), strict=True):
        labels = [f"{h}x{w}" for h, w in shapes]
        labels += [f"Gaussian {n}" for n in GAUSSIANS] if shapes is LINES else []
        for label in labels:
            mine = [row for row in rows if row["kernel"] == label]
            axes.plot([math.prod(row["picture"]) for row in mine], [row["fraction"] for row in mine], "o-", label=label)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.1)
        axes.axhline(1, color="black", linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("elements of the picture")
        axes.legend(fontsize=7, ncols=2)
    every[0].set_ylabel("fraction of the limit of this machine")
    figure.suptitle(f"{rows[0]['dtype']}, one thread; {where}", fontsize=9)
    figure.savefig(path, dpi=110)


def difference(first: str, second: str) -> None:
    """Fractions of two machines, or of two commits on one, side by side."""
    found = [json.loads(Path(name).read_text()) for name in (first, second)]
    print(" / ".join(one["cpu"] for one in found))
    tables = [{(r["dtype"], tuple(r["picture"]), r["kernel"]): r["fraction"] for r in one["rows"]} for one in found]
    for key in tables[0].keys() & tables[1].keys():
        a, b = (table[key] for table in tables)
        print(f"{key[0]:>8} {key[1][0]:>5}x{key[1][1]:<5} {key[2]:>12} {a:6.2f} {b:6.2f} {b / a:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"], metavar="DTYPE")
    parser.add_argument("--pictures", default="", metavar="REGEX", help="those whose size matches")
    parser.add_argument("--kernels", default="", metavar="REGEX", help="those whose name matches")
    parser.add_argument("--seconds", type=float, default=0.3, help="for a case and each pair of calls (default: 0.3)")
    parser.add_argument("--json", metavar="FILE", help="keep what was measured")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the first dtype; needs Matplotlib")
    parser.add_argument("--diff", nargs=2, metavar="FILE", help="compare two files of --json, and measure nothing")
    options = parser.parse_args()
    if options.diff:
        difference(*options.diff)
        return
    fastconv.set_num_threads(1)
    peers.set_num_threads(1)
    rows = measure(options)
    summarize(rows)
    if options.json:
        Path(options.json).write_text(json.dumps({"cpu": cpu(), "rows": rows}, indent=1))
    if options.plot:
        plot(rows, cpu(), options.plot)


if __name__ == "__main__":
    main()
