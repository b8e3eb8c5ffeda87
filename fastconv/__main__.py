# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``fastconv``, or ``python -m fastconv``.

    fastconv filter photo.jpg --kernel sobel -o edges.png    filter a picture
    fastconv find crowd.jpg face.png -o found.png            find a figure in a picture
    fastconv tour                                            the lecture on convolution
    fastconv bench                                           how fast all this is here, as a page
    fastconv completion bash                                 what makes a shell complete all this
    fastconv run script.py                                   a program, SciPy's filters replaced by these
    fastconv info                                            what this build runs on

Exit codes are those of EXIT_CODES. But for 0 and 141, a line on stderr says why. No picture is half-written.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
from typing import Any, NoReturn

import fastconv
from fastconv.commands import benching, completion, fail, filtering, finding, programs, touring
from fastconv.pictures import MOST_PIXELS, RequestError, reason

EXIT_CODES = """exit codes:
  0    done
  1    --check: a result differs from the reference
  2    the request cannot be met
  3    find: the figure is nowhere in the scene
  70   a fault of fastconv's own, after a traceback
  130  interrupted (Ctrl-C)
  141  nobody reads the output any more
  143  terminated
The exit code of run is that of the program."""


class Parser(argparse.ArgumentParser):
    """Argument parser that reports its errors as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving the process."""
        raise RequestError(message)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and version as everything else is printed: argparse does not tell if it cannot."""
        print(message, end="", file=file)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments, by default those of the process.

    Returns
    -------
    int
        The exit code: ``EXIT_CODES`` says what it means.

    Raises
    ------
    SystemExit
        With code 0, by ``--help`` and ``--version``.

    Examples
    --------
    >>> from fastconv.__main__ import main
    >>> main(["filter", "photo.jpg", "--kernel", "sobol", "-o", "edges.png"])
    2
    """
    task = None
    try:
        try:
            parser = _parser()
            arguments = parser.parse_args(argv)
            task = arguments.run
            if task is programs.run:  # a program's output and errors are its own
                task(arguments)
                return 0
            if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be of any bytes
                sys.stdout.reconfigure(errors="backslashreplace")
            if task is None:
                parser.print_help()
                return 2
            return task(arguments) or 0
        finally:
            if sys.stdout and task is not programs.run:
                sys.stdout.flush()
    except RequestError as error:
        return fail(2, " ".join(str(error).split()))
    except (Exception, KeyboardInterrupt) as error:
        if task is programs.run:
            raise
        return _told(error)


def _told(error: BaseException) -> int:
    """The exit code of what has gone wrong, and a line on stderr."""
    if isinstance(error, fastconv.CheckError):
        return fail(1, f"the result differs from the reference: {error}")
    if isinstance(error, MemoryError):
        return fail(2, f"not enough memory{f': {error}' if str(error) else ''}")
    if isinstance(error, ModuleNotFoundError) and error.name == "PIL":
        return fail(2, 'pictures need Pillow: pip install "fastconv[image]"')
    if isinstance(error, KeyboardInterrupt):
        return fail(130, "interrupted")
    if isinstance(error, OSError):  # of the output: what concerns other files is a RequestError
        with contextlib.suppress(OSError, ValueError):  # or the interpreter would try to write it again, and fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141 if isinstance(error, BrokenPipeError) else fail(2, f"cannot write the output: {reason(error)}")
    traceback.print_exception(error)
    return 70


def _parser() -> Parser:
    parser = Parser(
        prog="fastconv",
        description="Fast convolution on the CPU.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    pictures = Parser(add_help=False)
    pictures.add_argument(
        "--lossy",
        action="store_true",
        help="take the first of several pictures (of an animated one), colours of 16 bits as 8, and a format that "
        "does not keep the colour profile or all colours; without it what would be lost is refused",
    )
    pictures.add_argument(
        "--max-pixels", type=int, default=MOST_PIXELS, metavar="N", help=f"of a picture; default: {MOST_PIXELS}"
    )

    filtering.add(commands, pictures)
    finding.add(commands, pictures)
    touring.add(commands)
    programs.add(commands)
    benching.add(commands)
    completion.add(commands, parser)
    task = commands.add_parser("info", help="versions, instruction sets, threads")
    task.set_defaults(run=lambda _: fastconv.show_config())
    return parser


if __name__ == "__main__":
    sys.exit(main())
