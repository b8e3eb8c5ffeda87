# SPDX-License-Identifier: BSD-3-Clause
"""Pages that need nothing but themselves: their templates, and plots that have the colour of the text around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from string import Template
from typing import Any

import fastconv

HERE = Path(__file__).parent
INK = "#010203"  # of plots: it becomes the colour of the text


def filled(template: str, **fields: str) -> str:
    """A page: the template of that name with these fields, one of them its title, and what all pages share."""
    fields["version"] = fastconv.__version__
    fields["body"] = Template(_text(template)).substitute(fields)
    return Template(_text("page.html")).substitute(fields, style=_text("page.css"))


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").rstrip()


def svg(draw: Callable[[Any], object], size: tuple[float, float], name: str) -> str:
    """What is drawn into axes of so many inches. Names in it are those that it uses, with this one before them."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
    written = StringIO()
    with rc_context({"svg.hashsalt": "fastconv", "svg.fonttype": "none", **dict.fromkeys(inks, INK)}):
        figure = Figure(size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return text.replace("<svg ", '<svg aria-hidden="true" ', 1)
