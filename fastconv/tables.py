# SPDX-License-Identifier: BSD-3-Clause
"""Tables of HTML: what notebooks show, and the page of the tour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(rows: Iterable[Sequence[object]], head: Sequence[str] = (), caption: str = "") -> str:
    """A table of these cells; the first one of a row is its name.

    Examples
    --------
    >>> from fastconv.tables import html_table
    >>> html_table([("a", 1)])
    '<table><tbody><tr><th scope="row">a</th><td>1</td></tr></tbody></table>'
    """
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = f"<thead><tr>{_cells(head, 'th', 'col')}</tr></thead>" if head else ""
    body = "".join(f"<tr>{_cells(row[:1], 'th', 'row')}{_cells(row[1:], 'td')}</tr>" for row in rows)
    return f"<table>{said}{top}<tbody>{body}</tbody></table>"


def _cells(cells: Sequence[object], tag: str, scope: str = "") -> str:
    opened = f'{tag} scope="{scope}"' if scope else tag
    return "".join(f"<{opened}>{escape(str(cell))}</{tag}>" for cell in cells)
