# SPDX-License-Identifier: BSD-3-Clause
"""The commands of ``fastconv``: each file has the arguments of one, and does it. Here is what they share."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from typing import Any, TypeAlias

from fastconv.pictures import say

Commands: TypeAlias = "argparse._SubParsersAction[Any]"


class Formatter(argparse.HelpFormatter):
    """Help whose examples keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


def fail(code: int, message: str) -> int:
    """The exit code, after a line on stderr that says why."""
    say(f"error: {message}")
    return code


def meant(word: str, accepted: Iterable[str]) -> str:
    """A question about a word that is nearly right."""
    return "".join(f"; did you mean {close!r}?" for close in difflib.get_close_matches(word, accepted, 1))
