# SPDX-License-Identifier: BSD-3-Clause
"""The tour as one page: text, pictures, and the code that made them, which fill `lecture.html`.

The page needs nothing but itself. Sliders choose among pictures that are all there; without a script the page shows one
of them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from html import escape
from io import BytesIO
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.pages import filled, svg
from fastconv.panels import Panel, draw
from fastconv.tables import html_table
from fastconv.tour import Part

Array = NDArray[Any]

TITLE = "Convolution, a lecture that computes itself"
FEW_PIXELS = 64  # along a side: such pictures are shown as squares


def page(parts: Mapping[int, Part]) -> str:
    """The page of these parts, by their numbers.

    Examples
    --------
    >>> from fastconv import lecture, tour
    >>> '<section id="part-3"' in lecture.page({3: tour.flip()})
    True
    """
    contents = "\n".join(
        f'<li><a href="#part-{number}"><span class="number">{number}</span> {escape(part.title)}</a></li>'
        for number, part in parts.items()
    )
    return filled(
        "lecture.html",
        title=TITLE,
        contents=contents,
        sections="\n".join(_section(number, part) for number, part in parts.items()),
    )


def _section(number: int, part: Part) -> str:
    figures = "\n".join(_figure(f"{number}.{i}", panel) for i, panel in enumerate(part.panels, 1))
    return (
        f'<section id="part-{number}" aria-labelledby="title-{number}">\n'
        f'<h2 id="title-{number}"><span class="number">{number}</span>{escape(part.title)}</h2>\n'
        f"{''.join(_blocks(part.text))}"
        f'<div class="figures">{figures}</div>\n</section>'
    )


# ---- text ----------------------------------------------------------------------------------------


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, and lists of lines that begin with -; what is indented is a table, or else is shown as it is."""
    for blank, group in groupby(text.splitlines(), lambda line: not line.strip()):
        lines = [] if blank else list(group)
        for indented, some in groupby(lines, lambda line: line.startswith("   ")):
            block = list(some)
            table = _table(block) if indented else None
            if table:
                yield table
            elif indented:
                yield f'<pre class="wide" tabindex="0">{escape(_dedented(block))}</pre>\n'
            elif block[0].startswith("- "):
                items = " ".join(block).removeprefix("- ").split(" - ")
                yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>\n"
            else:
                yield f"<p>{escape(' '.join(block))}</p>\n"


def _dedented(lines: list[str]) -> str:
    depth = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[depth:] for line in lines)


def _table(lines: list[str]) -> str | None:
    """Lines of equally many columns, two spaces apart, as a table; the first line may lack the first column."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    columns = len(rows[-1])
    if len(rows) < 3 or columns < 2 or any(len(row) != columns for row in rows[1:]):
        return None
    if len(rows[0]) == columns - 1:
        rows[0] = ["", *rows[0]]
    if len(rows[0]) != columns:
        return None
    head: list[str] = []
    if not re.search(r"\d", rows[0][-1]) or rows[0][0] == "":
        head, *rows = rows
    return f'<div class="wide" tabindex="0">{html_table(rows, head)}</div>\n'


# ---- pictures ------------------------------------------------------------------------------------


def _figure(number: str, panel: Panel) -> str:
    said = f"{panel.title}: {panel.text}"
    kinds = ["large"] * (panel.kind in ("loss", "scores"))
    if panel.kind == "picture":
        height, width = panel.values.shape[:2]
        kinds = ["large"] * (width > 1.3 * height) + ["portrait"] * (height > 1.3 * width)
    choice = ""
    if panel.steps:
        names = [name for name, _ in panel.steps]
        first = next(i for i, (_, values) in enumerate(panel.steps) if values is panel.values)
        shown = "".join(
            _image(values, f"{said}; {panel.choice}: {name}", name, hidden=i != first)
            for i, (name, values) in enumerate(panel.steps)
        )
        choice = (
            f'<div class="choice"><label for="choice-{number}">{escape(panel.choice)} '
            f"<output>{escape(names[first])}</output></label>"
            f'<input id="choice-{number}" type="range" min="0" max="{len(names) - 1}" step="1" value="{first}"></div>'
        )
    elif panel.kind == "picture":
        shown = _image(panel.values, said)
    else:
        shown = f'<div class="drawn" role="img" aria-label="{escape(said)}">{_plot(panel, number)}</div>'
    code = "<code>" + re.sub(r"([(.])", r"\1<wbr>", escape(panel.code)) + "</code>"
    return (
        f'<figure class="{" ".join(kinds)}"><div class="picture">{shown}</div>{choice}\n'
        f'<figcaption><strong><span class="number">{number}</span>{escape(panel.title)}</strong>'
        f'<span class="text">{escape(panel.text)}</span>{code}</figcaption></figure>'
    )


def _image(values: Array, said: str, step: str = "", *, hidden: bool = False) -> str:
    from PIL import Image

    pixels = np.rint(255 * np.asarray(values, np.float64)).clip(0, 255).astype(np.uint8)
    few = max(pixels.shape[:2]) <= FEW_PIXELS
    written = BytesIO()
    Image.fromarray(pixels).save(written, *(["PNG"] if few else ["JPEG"]), optimize=True, quality=88)
    data = base64.b64encode(written.getvalue()).decode()
    more = ' class="pixels"' * few + (f' data-step="{escape(step)}"' if step else "") + " hidden" * hidden
    return (
        f'<img src="data:image/{"png" if few else "jpeg"};base64,{data}" alt="{escape(said)}" '
        f'width="{pixels.shape[1]}" height="{pixels.shape[0]}"{more}>'
    )


def _plot(panel: Panel, number: str) -> str:
    width = 3.6 if panel.kind == "kernel" else 6.0  # inches
    rows, columns = {"scores": (1, 2), "loss": (1, 2)}.get(panel.kind) or np.atleast_2d(panel.values).shape
    return svg(lambda axes: draw(panel, axes), (width, width * rows / columns + 0.1), f"plot-{number}")
