# SPDX-License-Identifier: BSD-3-Clause
"""Side by side: fastconv and its peers, called alternately in one process; ratios, mean and worst.

    python bench/side_by_side.py                       pictures, one thread
    python bench/side_by_side.py --threads 2
    python bench/side_by_side.py large gaussians bytes integers colours gradients signals volumes steps match
    python bench/side_by_side.py call scaling memory startup

Machines are shared and noisy, so only ratios taken in one run mean something. Every case first compares
the two results, then alternates the two calls and takes the best time of each; plain arrays in and out,
allocation of the result included. GFLOP/s counts two operations a tap and output pixel; the peak is
measured by the same run, with nothing but fma in registers.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import peers
from fastconv.measuring import alternate, peak

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
import cases  # noqa: E402
import workloads  # noqa: E402


def pictures(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every picture size x kernel x dtype against every peer."""
    peers.set_num_threads(options.threads)
    rows = []
    for dtype in options.dtypes:
        limit = peak(dtype)
        print(f"\n{dtype}, {options.threads} thread(s); one core's fma peak {limit:.0f} GFLOP/s\n")
        print(f"{'picture':>10} {'kernel':>7} {'fastconv':>10} {'GFLOP/s':>8} {'of peak':>8}   ratio peer (its ms)")
        for shape in options.pictures:
            for size in options.sizes:
                x, k = peers.data(shape, (size, size), dtype)
                line = []
                flop = 2 * size * size * (shape[0] - size + 1) * (shape[1] - size + 1)
                own = math.inf
                for name, (peer, factory) in peers.installed().items():
                    if options.peer and options.peer not in name:
                        continue
                    ours, theirs = peer.ours(x, k), factory(x, k)
                    np.testing.assert_allclose(ours(), theirs(), rtol=0, atol=1e-4)
                    t_ours, t_theirs = alternate([ours, theirs], options.seconds)
                    own = min(own, t_ours)
                    line.append(f"{t_theirs / t_ours:.2f} {name} ({t_theirs * 1e3:.2f})")
                    rows.append(
                        {
                            "peer": name,
                            "dtype": dtype,
                            "shape": shape,
                            "kernel": size,
                            "threads": options.threads,
                        }
                        | {"ms": t_ours * 1e3, "peer_ms": t_theirs * 1e3, "ratio": t_theirs / t_ours}
                    )
                own = min(own, *alternate([lambda: fastconv.corr2d(x, k)], options.seconds))
                rate = flop / own / 1e9
                print(
                    f"{shape[0]:>5}x{shape[1]:<4} {size:>3}x{size:<3} {own * 1e3:>7.3f} ms {rate:>8.1f} "
                    f"{rate / limit / options.threads:>8.0%}   {', '.join(line)}"
                )
    return rows


def summarize(rows: list[dict[str, Any]]) -> None:
    """Geometric mean and worst ratio per peer and dtype, with the worst case."""
    print("\npeer / fastconv: geometric mean, worst (case)")
    for key in sorted({(r["peer"], r["dtype"]) for r in rows}):
        mine = [r for r in rows if (r["peer"], r["dtype"]) == key]
        worst = min(mine, key=lambda r: r["ratio"])
        mean = math.exp(sum(math.log(r["ratio"]) for r in mine) / len(mine))
        H, W = worst["shape"]
        print(f"  {key[0]:<26} {key[1]}  {mean:7.2f}  {worst['ratio']:7.2f} ({H}x{W}, kernel {worst['kernel']})")


def call(options: argparse.Namespace) -> None:
    """What one call costs: 3x3 image, 2x2 kernel."""
    x, k = peers.data((3, 3), (2, 2), "float32")
    inner = 2000

    def many(f: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(inner):
                f()

        return run

    print("\none call, 3x3 float32 image, 2x2 kernel")
    for name, (peer, factory) in peers.installed().items():
        ours, theirs = alternate([many(peer.ours(x, k)), many(factory(x, k))], options.seconds)
        print(f"  fastconv {ours / inner * 1e6:6.3f} us   {name} {theirs / inner * 1e6:6.3f} us   {theirs / ours:.2f}x")


def scaling(options: argparse.Namespace) -> None:
    """Two threads against one, calls back to back and spaced by 1 ms."""
    print("\ntwo threads against one, fastconv, 1080x1920")
    for dtype in options.dtypes:
        for size in options.sizes:
            x, k = peers.data((1080, 1920), (size, size), dtype)
            calls = [lambda n=n: fastconv.corr2d(x, k, threads=n) for n in (1, 2)]
            line = []
            for label, spacing in (("back to back", 0.0), ("spaced by 1 ms", 1e-3)):
                one, two = alternate(calls, 2 * options.seconds, spacing)
                line.append(f"{label} {one / two:.2f}x ({one * 1e3:.3f} -> {two * 1e3:.3f} ms)")
            print(f"  {dtype} {size:>3}x{size:<3} {'   '.join(line)}")


def memory(options: argparse.Namespace) -> None:
    """Peak memory of a valid call on 8000x8000 float32 beyond its input and output."""
    x, k = np.ones((8000, 8000), np.float32), np.ones((7, 7), np.float32)
    out = np.ones((7994, 7994), np.float32)
    fastconv.corr2d(x[:64, :64], k)  # start what starts once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fastconv.corr2d(x, k, out=out)
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"\nmemory: valid 7x7 on 8000x8000 float32 takes {extra} kB beyond input and output")


def startup(options: argparse.Namespace) -> None:
    """What `import fastconv` adds to `import numpy`, best of several fresh interpreters."""
    code = "import time, numpy; t = time.perf_counter(); import fastconv; print(time.perf_counter() - t)"
    best = min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(10))
    print(f"\nstartup: import fastconv takes {best * 1e3:.1f} ms after NumPy")


def workload(name: str, options: argparse.Namespace) -> None:
    """The cases of a section of workloads.py: each peer alternating with us, ratio to each and to the best."""
    peers.set_num_threads(options.threads)
    generate = workloads.SECTIONS[name]
    print(f"\n{name}: {generate.__doc__} {options.threads} thread(s)\n")
    ratios = {}
    for case in generate(options.dtypes):
        if options.cases and not any(word in case.label for word in options.cases):
            continue
        ours_result, own, best, line = case.ours(), math.inf, math.inf, []
        for peer, theirs in case.peers.items():
            error = np.max(
                np.abs(np.subtract(ours_result, theirs(), dtype=np.result_type(ours_result, float))), initial=0
            )
            assert error <= case.tolerance * np.max(np.abs(ours_result), initial=1e-30), (case.label, peer, error)
            ours, other = alternate([case.ours, theirs], options.seconds)
            own, best = min(own, ours), min(best, other / ours)
            line.append(f"{other / ours:.2f} {peer} ({other * 1e3:.3f})")
        if not case.peers:
            (own,) = alternate([case.ours], options.seconds)
        ratios[case.label] = best
        rate = f"{case.flop / own / 1e9:7.0f} GFLOP/s" if case.flop else ""
        print(f"  {case.label:<24} {own * 1e3:9.3f} ms {rate}   {', '.join(line)}", flush=True)
    known = {label: r for label, r in ratios.items() if math.isfinite(r)}
    if known:
        worst = min(known, key=known.__getitem__)
        mean = math.exp(sum(map(math.log, known.values())) / len(known))
        print(f"  best peer / fastconv: geometric mean {mean:.2f}, worst {known[worst]:.2f} ({worst})")


SECTIONS = {f.__name__: f for f in (pictures, call, scaling, memory, startup)}
SECTIONS |= {name: partial(workload, name) for name in workloads.SECTIONS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)} (default: pictures)")
    parser.add_argument("--threads", type=int, default=1, help="threads of everyone")
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on a pair of calls")
    parser.add_argument("--sizes", type=int, nargs="+", default=[k[0] for k in cases.SQUARES], help="kernel sizes")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--cases", nargs="+", help="only cases of workloads.py whose label contains one of these")
    parser.add_argument("--peer", help="only peers whose name contains this")
    parser.add_argument("--all-pictures", action="store_true", help=f"{cases.IMAGES} instead of 1080x1920")
    parser.add_argument("--json", type=Path, help="write the rows of `pictures` to this file too")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section: {', '.join(sorted(unknown))}")
    options.pictures = cases.IMAGES if options.all_pictures else [(1080, 1920)]

    fastconv.show_config()
    for section in options.sections or ["pictures"]:
        rows = SECTIONS[section](options)
        if rows:
            summarize(rows)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
