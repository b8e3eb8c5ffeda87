# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv bench``: how fast it is on this machine, beside what is installed, as a page, pictures and JSON."""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import peers, report
from fastconv.commands import Commands, Formatter
from fastconv.commands.contests import PICTURE, Contest, contests
from fastconv.commands.progress import Progress
from fastconv.measuring import alternate, cpu, peak, reached
from fastconv.pictures import RequestError, write_bytes

PACKAGES = ("numpy", "scipy", "opencv-python-headless", "opencv-python", "scikit-image", "torch", "matplotlib")
SECONDS = {False: 0.2, True: 1.0}  # for a case, by --full
EXAMPLES = """\
examples:
  fastconv bench                                 half a minute; fastconv-bench/report.html
  fastconv bench --full -o zen5                  minutes: more sizes, dtypes and time for each"""


def add(commands: Commands) -> None:
    """Add the command."""
    task = commands.add_parser(
        "bench",
        formatter_class=Formatter,
        help="measure it on this machine, beside what is installed",
        description="Measure filters, Gaussians, gradients, template matching, signals and layers beside OpenCV, "
        "SciPy, scikit-image and PyTorch, those that are installed, and against the limits of this machine. Writes a "
        "page, pictures and JSON.",
        epilog=EXAMPLES,
    )
    task.set_defaults(run=run)
    task.add_argument("--full", action="store_true", help="more sizes and dtypes, and more time for each")
    task.add_argument("--threads", type=int, default=1, metavar="N", help="of everyone; default: 1")
    task.add_argument("--seconds", type=float, metavar="S", help="for each case; default: 0.2, with --full 1")
    task.add_argument("--only", default="", metavar="WORD", help="families whose name has this word, such as filters")
    task.add_argument(
        "-o", "--output", type=Path, default=Path("fastconv-bench"), metavar="DIR", help="default: fastconv-bench"
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.threads < 1:
        raise RequestError(f"--threads must be at least 1; got {arguments.threads}")
    seconds = SECONDS[arguments.full] if arguments.seconds is None else arguments.seconds
    if not 0 <= seconds < math.inf:
        raise RequestError(f"--seconds must not be negative; got {seconds}")
    chosen = [contest for contest in contests(arguments.full) if arguments.only.lower() in contest.family.lower()]
    if not chosen:
        raise RequestError(f"--only {arguments.only}: there is no such family")
    try:
        import matplotlib  # noqa: F401  (before minutes are spent)

        arguments.output.mkdir(exist_ok=True)
    except ImportError as error:
        raise RequestError('reports need Matplotlib: pip install "fastconv[plot]"') from error
    except OSError as error:
        raise RequestError(f"cannot write to {arguments.output}: {error.strerror}") from error

    before = fastconv.get_num_threads()
    peers.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    try:
        with Progress(len(chosen), "case") as progress:
            limits = {dtype: _limit(dtype, seconds) for dtype in ("float32", "float64")[: 1 + arguments.full]}
            for done, contest in enumerate(chosen):
                progress.at(done, f"{contest.family} {contest.label}")
                row = measured(contest, limits, seconds, arguments.threads)
                rows.append(row)
                others = ", ".join(f"{name} {peer['ratio']:.2f}" for name, peer in row["peers"].items())
                progress.print(f"{row['family']:24} {row['label']:24} {row['ms']:9.3f} ms   {others}")
    finally:
        fastconv.set_num_threads(before)
    result = {
        "cpu": cpu(),
        "threads": arguments.threads,
        "system": platform.platform(),
        "versions": {"fastconv": fastconv.__version__, "python": platform.python_version(), **_versions()},
        "command": f"fastconv bench{' --full' * arguments.full} --threads {arguments.threads} --seconds {seconds:g}"
        + (f" --only {arguments.only}" if arguments.only else ""),
        "limits": limits,
        "rows": rows,
    }
    for path in _written(result, arguments.output):
        print(path)


def measured(contest: Contest, limits: dict[str, Any], seconds: float, threads: int) -> dict[str, Any]:
    """A row: milliseconds, and how many times as long each peer takes for the same result."""
    row: dict[str, Any] = {"family": contest.family, "label": contest.label, "ms": math.nan, "peers": {}}
    best = math.inf
    for name, (ours, theirs) in contest.pairs.items():
        *own, other = alternate([ours, ours, ours, theirs], seconds / len(contest.pairs))  # (others may be slow)
        best = min(best, *own)
        row["peers"][name] = {"ms": other * 1e3, "ratio": other / min(own), "agrees": alike(ours(), theirs())}
    if contest.pairs:
        row["ms"] = best * 1e3
    if contest.into is not None and contest.x is not None:
        x, dtype = contest.x, str(contest.x.dtype)
        near = reached(contest.into(x.copy()), x, contest.multiply_adds, limits[dtype]["gflops"], seconds / 2)
        operations = 2 * contest.multiply_adds * x.size
        row |= {
            "ms": row["ms"] if contest.pairs else near.seconds * 1e3,
            "bound": near.bound,
            "fraction": near.fraction / threads,
            "operations": operations,
            "bytes": 2 * x.nbytes,
            "gflops": operations / near.seconds / 1e9 / threads,
        }
    return row


def _limit(dtype: str, seconds: float) -> dict[str, float]:
    """Both limits of a core: GFLOP/s, and GB/s of a copy of a picture, read and written."""
    x = np.ones(PICTURE, dtype)
    copy = x.copy()
    (moved,) = alternate([lambda: np.copyto(copy, x)], seconds)
    return {"gflops": peak(dtype), "copy": 2 * x.nbytes / moved / 1e9}


def alike(a: Any, b: Any) -> bool:
    """Whether two results are the same up to rounding."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return a.shape == b.shape and bool(np.abs(a - b).max() <= 1e-2 * np.abs(b).max())


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _written(result: dict[str, Any], folder: Path) -> list[Path]:
    """The page, the pictures and the JSON."""
    from matplotlib.figure import Figure

    families = report.families(result)
    where = f"{result['cpu']}, {result['threads']} thread{'s' * (result['threads'] > 1)}"
    contents = {"report.json": json.dumps(result, indent=1).encode(), "report.html": report.page(result).encode()}
    figures = {}
    for family, rows in families.items():
        if any(row["peers"] for row in rows):
            title = f"{family}; {where}: time of others divided by fastconv's"
            figures[f"{re.sub(r'[^a-z0-9]+', '-', family.lower())}.png"] = report.chart(rows, title)
    if any(row.get("fraction") for row in result["rows"]):
        figure = Figure((8, 4.2), layout="constrained", dpi=110)
        axes = figure.subplots()
        report.roofline(result, axes)
        axes.set_title(where, fontsize=9)
        figures["roofline.png"] = figure
    for name, figure in figures.items():
        drawn = BytesIO()
        figure.savefig(drawn, format="png")
        contents[name] = drawn.getvalue()
    for name, content in contents.items():
        write_bytes(content, folder / name)
    return [folder / name for name in contents]
