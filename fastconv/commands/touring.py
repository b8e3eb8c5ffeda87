# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv tour``: the lecture, printed, and its pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from textwrap import indent

from fastconv import tour
from fastconv.commands import Commands, meant
from fastconv.commands.progress import Progress
from fastconv.lecture import page
from fastconv.pictures import STANDARD, RequestError, file_format, write, write_bytes

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
    task.add_argument("-o", "--output", type=Path, metavar="OUT", help="pictures; default: tour.png, without --html")
    task.add_argument("--html", type=Path, metavar="OUT", help="the lecture as one page, its pictures in it")


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
    if STANDARD in (arguments.html, arguments.output):
        raise RequestError("- is no file, and stdout has the text of the lecture")
    output = arguments.output or (None if arguments.html else Path("tour.png"))
    name = file_format(output) if output else ""
    numbers = arguments.part or range(1, len(tour.PARTS) + 1)
    parts: dict[int, tour.Part] = {}
    with Progress(len(numbers) + 1, "part") as progress:
        for done, number in enumerate(numbers):
            progress.at(done, f"part {number}")
            try:
                part = tour.PARTS[number - 1]()
            except ImportError as error:
                if arguments.part:
                    raise RequestError(f"part {number}: {error}") from error
                progress.print(f"{number}. is left out: {error}\n")
                continue
            parts[number] = part
            progress.print(f"{number}. {part.title}\n\n{indent(part.text, '   ')}\n{_shown(number, part)}")
            if sys.stdout:
                sys.stdout.flush()
        progress.at(len(numbers), "drawing")
        try:
            if arguments.html:
                write_bytes(page(parts).encode(), arguments.html)
                progress.print(f"The lecture: {arguments.html}")
            shown = [
                (
                    f"{number}. {part.title}",
                    [p._replace(title=f"{number}.{i}  {p.title}") for i, p in enumerate(part.panels, 1)],
                )
                for number, part in parts.items()
                if part.panels
            ]
            if output and shown:
                write(tour.sheet(shown), output, name)
                progress.print(f"Pictures: {output}")
        except ImportError as error:
            raise RequestError(str(error)) from error


def _shown(number: int, part: tour.Part) -> str:
    """A line for each picture: its number, what it shows, and the code that made it."""
    lines = [
        f"   Picture {number}.{i}, {panel.title}: {panel.text}\n       {panel.code}\n"
        for i, panel in enumerate(part.panels, 1)
    ]
    return "\n" * bool(lines) + "".join(lines)
