# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv tour``: the lecture, printed, and its pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from textwrap import indent

from fastconv import tour
from fastconv.commands import Commands, meant
from fastconv.pictures import RequestError, file_format, write

PARTS = [part.__name__ for part in tour.PARTS]


def add(commands: Commands) -> None:
    """Add the command."""
    task = commands.add_parser("tour", help="the lecture that introduces convolution, in eight parts")
    task.set_defaults(run=run)
    task.add_argument(
        "--part",
        type=_part,
        action="append",
        metavar="PART",
        help="only this part, by number or name (may be repeated): "
        + ", ".join(f"{i} {name}" for i, name in enumerate(PARTS, 1)),
    )
    task.add_argument("-o", "--output", type=Path, default=Path("tour.png"), help="pictures; default: tour.png")


def _part(word: str) -> int:
    """The number of a part that is given by number or name."""
    name = word.replace("-", "_")
    if name in PARTS:
        return PARTS.index(name) + 1
    if word.isdecimal() and 1 <= int(word) <= len(PARTS):
        return int(word)
    accepted = ", ".join(f"{i} {name}" for i, name in enumerate(PARTS, 1))
    raise argparse.ArgumentTypeError(f"there is no part {word!r}; accepted: {accepted}{meant(name, PARTS)}")


def run(arguments: argparse.Namespace) -> None:
    name = file_format(arguments.output)
    numbers = arguments.part or range(1, len(tour.PARTS) + 1)
    panels: list[tour.Panel] = []
    for number in numbers:
        try:
            part = tour.PARTS[number - 1]()
        except ImportError as error:
            if arguments.part:
                raise RequestError(f"part {number}: {error}") from error
            print(f"{number}. is left out: {error}\n")
            continue
        print(f"{number}. {part.title}\n\n{indent(part.text, '   ')}\n", flush=True)
        panels += [panel._replace(title=f"{number}. {panel.title}") for panel in part.panels]
    if panels:
        write(tour.sheet(panels), arguments.output, name)
        print(f"Pictures: {arguments.output}")
