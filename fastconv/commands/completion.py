# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv completion``: what a shell has to be told to complete commands, options and names of files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from fastconv.commands import Commands, Formatter
from fastconv.pictures import RequestError

SHELLS = ("bash", "zsh", "tcsh")
FILE = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # what shtab is told of names of files
EXAMPLES = """\
examples:
  eval "$(fastconv completion bash)"                                            in ~/.bashrc
  fastconv completion zsh > ~/.zfunc/_fastconv                                  a folder of fpath"""


def add(commands: Commands, parser: argparse.ArgumentParser) -> None:
    """Add the command; parser: that of the whole command line."""
    task = commands.add_parser(
        "completion",
        formatter_class=Formatter,
        help="print what makes a shell complete this command line",
        description="Print a script that makes a shell complete commands, options and names of files.",
        epilog=EXAMPLES,
    )
    task.add_argument("shell", choices=SHELLS)
    task.set_defaults(run=lambda arguments: run(parser, arguments.shell))


def run(parser: argparse.ArgumentParser, shell: str) -> None:
    try:
        import shtab
    except ImportError as error:
        raise RequestError('completion needs shtab: pip install "fastconv[completion]"') from error
    for action in _actions(parser):
        if getattr(action.type, "__name__", "") == "Path":
            action.complete = FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for task in action.choices.values():
                yield from _actions(task)
