# SPDX-License-Identifier: BSD-3-Clause
"""Which lines and branches of csrc/ the quick tests reach.

    python tests/covered.py                     # all quick tests; minutes
    python tests/covered.py c nn pooling        # the checks of the C core, and these files
    python tests/covered.py --only layers/      # tables and lines of these files alone
    python tests/covered.py --report            # of what ran before

A copy of the checkout, in `build/covered`, is built as that of `mutants.py` is, for the least instruction set, with
gcov's counters. Kernels are templates, so that what is reached of them on one set is reached on all; what only others
compile (`#if`) does not count. A line counts once, however many kernels are made of it. What a process did that was
killed, as tests of crashes and forks do, is not seen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import mutants

mutants.COPY = mutants.ROOT / "build" / "covered"
# Counts of several threads may lose some, but none is 0 where one of them was. Atomic ones take ten times as long.
os.environ["CC"] = os.environ.get("CC", "cc") + " --coverage"
# Tests of Python: what they reach of csrc/, others do
# fmt: off
OF_PYTHON = {
    "bench", "command_line", "dask", "exit_codes", "files", "from_torch", "interop", "large",
    "learning", "lecture", "main", "messages", "networks", "onnx", "onnx_models", "patching", "plot", "running",
    "tiling", "torch", "torch_derivatives", "torch_models", "tour", "wheel",
}
# fmt: on


# Words of a file, words of a function or a line of it, and why no quick test reaches what is not reached of them.
REASONS = [
    ("common/pool.c", "pool_forget", FORKED := "forked children end by os._exit, which writes no counters"),
    ("common/pool.c", "fc_pool_run", FORKED),
    ("common/platform.c", "fc_lock_init", FORKED),
    ("common/platform.c", "fc_bell_init", FORKED),
    ("common/platform.c", "    return NULL;", "workers never end"),
    ("common/platform.c", "fc_keep_off_cpu", "no system here has so many CPUs, or hides which a process may have"),
    ("common/platform.c", "kilobytes = 0;", "Linux tells the size of a cache in kilobytes"),
    ("common/alloc.c", "fc_guard", FAULTY := "only a fault of the code gets there"),
    ("common/alloc.c", "fc_close", FAULTY),
    ("corr/direct.c", "direct_folded", LEAST := "the least instruction set has no code for it, or never gains by it"),
    ("corr/separable.c", "separable_turn", LEAST),
    ("corr/separable.c", "separable_rows", LEAST),
    ("corr/separable.c", "separable_columns", LEAST),
    ("corr/separable.c", "separable_share", LEAST),
    ("corr/separable.c", "separable_strip", LEAST),
    ("corr/separable.c", "separable_band", LEAST),
    ("corr/separable.c", "separable_pixels", LEAST),
    ("corr/direct.c", "fc_direct_compute", LEAST),
    ("layers/across.c", "across_dot", LEAST),
    ("layers/tile.c", "tile_gather", LEAST),
    ("layers/taps.c", "taps_run_flipped", LEAST),
    ("layers/dots.c", "fc_dots_describe", LEAST),
    ("layers/dots.c", "dots_multiply", LEAST),
    ("layers/dots_weights.c", "dots_", LEAST),
    ("layers/dots_lanes.c", "lanes_arrange", LEAST),
    ("layers/dots_lanes.c", "lanes_copy", LEAST),
    ("layers/planes.c", "planes_", LEAST),
    ("kernels/weave_tmpl.h", "weave", LEAST),
    ("kernels/weave_tmpl.h", "element", LEAST),
    ("kernels/weave_tmpl.h", "to += 4, from += g->step", LEAST),
    ("kernels/winograd_tmpl.h", "vstoren(to + r * C", LEAST),
    ("corr/boxes.c", "boxes_sum", LONG := "sums of millions of taps take too long: deep tests of Ctrl-C make them"),
    ("corr/direct.c", "direct_gives_up", LONG),
    ("corr/gather.c", "fc_gather", LONG),
    ("layers/pooling_means.c", "across", LONG),
    ("layers/pooling.h", "return fc_gives_up();", LONG),
    ("layers/pooling_find.c", "i < n; i++)", LONG),  # of float64; those of float32 are reached
    ("layers/pooling_find.c", "(int64_t *)which", LONG),
    ("layers/dots_lanes.c", "lanes_describe", LARGE := "what is larger than caches takes too long"),
    ("match/match.c", "match_size_tiles", LARGE),
    ("corr/columns.c", "fc_columns_back", LARGE),
    ("kernels/quotient_tmpl.h", "v += (v >>", COMPILED := "the compiler has made it one with its neighbour"),
    ("layers/weight.c", "for (ptrdiff_t most", COMPILED),
    ("corr/fft_sizes.c", "radix[passes++] = 1", "no plan has transforms of one element"),
]


class Line(NamedTuple):
    """Of all objects together."""

    ran: bool = False
    taken: tuple[bool, ...] = ()  # which of its branches were
    function: str = ""


def reached() -> dict[str, dict[int, Line]]:
    """What is known of each line, by file and number."""
    found: dict[str, dict[int, Line]] = defaultdict(dict)
    for counts in sorted((mutants.COPY / "o" / "csrc").rglob("*.gcno")):
        command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(counts)]
        told = subprocess.run(command, capture_output=True, check=True, cwd=counts.parent).stdout
        for source in json.loads(told)["files"]:
            path = Path(os.path.normpath(source["file"]))
            if mutants.COPY / "csrc" not in path.parents:
                continue
            lines = found[str(path.relative_to(mutants.COPY))]
            for line in source["lines"]:
                known = lines.get(line["line_number"], Line())
                now = tuple(branch["count"] > 0 for branch in line["branches"])
                both = tuple(any(pair) for pair in zip(known.taken, now, strict=False))
                rest = max(known.taken, now, key=len)[len(both) :]
                function = line.get("function_name") or known.function
                lines[line["line_number"]] = Line(known.ran or line["count"] > 0, both + rest, function)
    return found


def why(file: str, function: str, line: str) -> str:
    """The reason that is known for what is not reached of a function, or for a line, or nothing."""
    return next((reason for of, word, reason in REASONS if of in file and (word in function or word in line)), "")


def ranges(numbers: list[int]) -> str:
    """As 3, 5-7"""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def table(only: list[str]) -> None:
    print(f"{'file':44} {'lines':>6} {'reached':>8} {'branches':>9} {'taken':>7}")
    missed, all_lines, all_branches = [], [], []
    for name, lines in sorted(reached().items()):
        if only and not any(word in name for word in only):
            continue
        ran = [line.ran for line in lines.values()]
        taken = [was for line in lines.values() for was in line.taken]
        all_lines += ran
        all_branches += taken
        print(f"{name:44} {len(ran):6} {share(ran):>8} {len(taken):9} {share(taken):>7}")
        text = ["", *(mutants.COPY / name).read_text().splitlines()]
        never = {n: why(name, line.function, text[n]) for n, line in sorted(lines.items()) if not line.ran}
        missed += [(reason, name, ranges([n for n in never if never[n] == reason])) for reason in {*never.values()}]
    print(f"{'all':44} {len(all_lines):6} {share(all_lines):>8} {len(all_branches):9} {share(all_branches):>7}")
    for reason, of_reason in groupby(sorted(missed), lambda one: one[0]):
        print(
            f"\nnot reached: {reason or 'nobody has said why'}",
            *(f"  {name}: {which}" for _, name, which in of_reason),
            sep="\n",
        )


def share(which: list[bool]) -> str:
    return f"{100 * sum(which) / len(which):.1f} %" if which else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tests", nargs="*", help='files without test_; "c": the checks of the C core; default: all')
    parser.add_argument("--only", nargs="*", default=[], help="files of csrc/ whose names hold one of these words")
    parser.add_argument("--report", action="store_true", help="build and run nothing")
    asked = parser.parse_args()
    if not asked.report:
        mutants.make_copy()
        if wrong := mutants.build():
            print(wrong)
            return 2
        for counts in mutants.COPY.rglob("*.gcda"):
            counts.unlink()
        if "c" in asked.tests or not asked.tests:
            print(mutants.run([str(mutants.COPY / "check"), mutants.SEED]) or "the C core's checks pass")
        files = [name for name in asked.tests or mutants.all_files() if name != "c"]
        if not asked.tests:
            files = [name for name in files if name not in OF_PYTHON]
        if files:  # in one process: those of pytest-xdist do not write what they counted
            print(mutants.run([*mutants.PYTEST, *(f"tests/test_{name}.py" for name in files)]) or "tests pass")
    table(asked.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
