# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv run``: a program whose filters are replaced."""

from __future__ import annotations

import argparse
import sys

import fastconv
from fastconv.commands import Commands
from fastconv.pictures import RequestError
from fastconv.running import NoProgramError, run_program


def add(commands: Commands) -> None:
    """Add the command."""
    task = commands.add_parser(
        "run",
        help="run a Python program, SciPy's and scikit-image's filters replaced",
        description="Run an unmodified program as python would, with the functions of scipy.signal, scipy.ndimage and "
        "skimage.feature that fastconv has replaced by them. FASTCONV_PATCH=0 switches that off.",
    )
    task.set_defaults(run=run)
    task.add_argument("--report", action="store_true", help="say at the end which calls were left to the originals")
    task.add_argument("-m", dest="module", action="store_true", help="PROGRAM is the name of a module")
    task.add_argument("program", metavar="PROGRAM", help="a script, a folder or zip with __main__.py, or - for stdin")
    task.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="for the program")


def run(arguments: argparse.Namespace) -> None:
    count = fastconv.patch()
    try:
        run_program(arguments.program, arguments.arguments, module=arguments.module)
    except NoProgramError as error:
        raise RequestError(f"cannot run {arguments.program}: {error}") from error
    finally:
        if arguments.report:
            left = ", ".join(f"{name} {times}x" for name, times in sorted(fastconv.fallbacks().items()))
            print(f"fastconv: {count} globals replaced; left to the originals: {left or 'none'}", file=sys.stderr)
