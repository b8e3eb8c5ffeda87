# SPDX-License-Identifier: BSD-3-Clause
"""How far a command has come: a bar on a terminal, once a second has passed. Pipes and files get none.

The bar is tqdm's, of the extra "image"; without tqdm there is none. A thread of its own draws it, so that it moves
while a picture is read or written.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

PATIENCE, PACE = 1.0, 0.2  # seconds: before the bar appears, between two drawings


class Progress:
    """A bar for so many things, inside `with`.

    Examples
    --------
    >>> from fastconv.commands.progress import Progress
    >>> with Progress(2, "picture") as progress:
    ...     progress.at(0.5, "reading photo.jpg")
    ...     progress.print("photo.jpg is read")
    photo.jpg is read
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done, self._what = 0.0, ""
        self._bar: Any = None
        self._over = threading.Event()
        self._drawing = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self) -> Progress:
        if sys.stderr and sys.stderr.isatty():
            self._drawing.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        if self._drawing.ident:
            self._drawing.join()

    def at(self, done: float, what: str) -> None:
        """Say how many of all are done, and what is being done."""
        self._done, self._what = done, what

    def print(self, line: str) -> None:
        """A line for stdout, above the bar."""
        if self._bar is None:
            print(line)
        else:
            self._bar.write(line, file=sys.stdout)

    def _draw(self) -> None:
        if self._over.wait(PATIENCE):
            return
        try:
            from tqdm import tqdm
        except ImportError:
            return
        form = "{percentage:3.0f} %|{bar}| {elapsed}, {desc}"
        with tqdm(total=self._total, unit=self._unit, bar_format=form, leave=False, dynamic_ncols=True) as self._bar:
            self._bar.start_t -= PATIENCE
            while not self._over.wait(PACE):
                self._bar.n = self._done
                self._bar.set_description_str(self._what, refresh=True)
            self._bar = None
