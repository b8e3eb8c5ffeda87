# SPDX-License-Identifier: BSD-3-Clause
"""Several pictures in one call: where the results go, and what becomes of the others where one cannot be done."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from fastconv.commands import fail
from fastconv.commands.progress import Progress
from fastconv.pictures import STANDARD, RequestError

Tell = Callable[[float, str], None]  # the fraction of a picture that is done, and what is being done


def add(task: argparse.ArgumentParser, what: str, required: bool) -> None:
    """Add the arguments that say where results go."""
    task.add_argument(
        "-o",
        "--output",
        required=required,
        type=Path,
        metavar="OUT",
        help=f"{what}; the folder where they go, by the names of the pictures, if there are several; - is stdout",
    )
    task.add_argument("--format", metavar="EXT", help="of -o -, such as tif; default: png")


def outputs(sources: list[Path], arguments: argparse.Namespace) -> list[Path | None]:
    """The file that each result goes to."""
    output: Path | None = arguments.output
    if arguments.format is not None and output != STANDARD:
        raise RequestError(f"--format {arguments.format} is for -o -; a file has its format from its name")
    if sources.count(STANDARD) > 1:
        raise RequestError("- is stdin, which can be read once")
    if output is None or len(sources) == 1:
        return [output] * len(sources)
    if not output.is_dir():
        raise RequestError(f"-o {output} is no folder; {len(sources)} pictures need one")
    targets = [output / source.name for source in sources]
    for source, target in zip(sources, targets, strict=True):
        if source == STANDARD:
            raise RequestError("stdin has no name for a file in a folder; - is accepted as the only picture")
        if target.exists() and target.resolve() in {other.resolve() for other in sources}:
            raise RequestError(f"-o {output} is the folder of {source}, which would be replaced")
        if targets.count(target) > 1:
            raise RequestError(f"{targets.count(target)} of the pictures would become {target}")
    return list(targets)


def each(sources: list[Path], work: Callable[[int, Path, Tell, Callable[[str], None]], int]) -> int:
    """Do the work for each picture: its number, its path, how to tell of progress, how to print a line.

    Where there are several, one that cannot be done does not keep the others from being done. The exit code is 2 if
    there was one, else the lowest that the work has returned.
    """
    codes = []
    with Progress(len(sources), "picture") as progress:
        for i, source in enumerate(sources):

            def tell(fraction: float, what: str, i: int = i, source: Path = source) -> None:
                progress.at(i + fraction, f"{what} {source}")

            try:
                codes.append(work(i, source, tell, progress.print))
            except RequestError as error:
                if len(sources) == 1:
                    raise
                codes.append(fail(2, " ".join(str(error).split())))
    return 2 if 2 in codes else min(codes)
