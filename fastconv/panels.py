# SPDX-License-Identifier: BSD-3-Clause
"""Panels, the pictures of the tour: what they hold, how they are drawn, and the sheet that shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import kernels, plot
from fastconv.scenes import SIDE

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]
NAMES = {"np": np, "fastconv": fastconv, "kernels": kernels}  # what the code of panels may speak of


class Panel(NamedTuple):
    """A picture of a part, beside the code that made it."""

    title: str
    text: str
    values: Any  # a picture: (H, W) from 0, black, to 1, white, or (H, W, 3); else what fastconv.plot draws
    code: str = ""
    kind: str = "picture"  # or "kernel", "scores", "loss"
    steps: tuple[tuple[str, Array], ...] = ()  # other pictures, by the names of what was chosen for them
    choice: str = ""  # what is chosen


def computed(
    title: str,
    text: str,
    code: str,
    names: dict[str, Any],
    shade: Callable[[Any], Any] = np.asarray,
    kind: str = "picture",
) -> Panel:
    """A panel that shows what its code gives: the code is run here. shade: values as tones."""
    return Panel(title, text, shade(eval(code, NAMES | names)), code, kind)


def chosen(
    title: str, text: str, code: str, names: dict[str, Any], choice: str, options: dict[str, Any], first: str
) -> Panel:
    """A panel with a picture for each option, by its name; the code speaks of what is chosen as `choice`."""
    steps = tuple((name, eval(code, NAMES | names | {choice: value})) for name, value in options.items())
    return Panel(title, text, dict(steps)[first], code, steps=steps, choice=choice)


def signed(k: Array) -> Array:
    """Weights as greys: zero in the middle."""
    shown: Array = 0.5 + 0.5 * k / np.abs(k).max()
    return shown


def tiles(pictures: Iterable[Array]) -> Array:
    """Sixteen square pictures, four by four, with lines between them."""
    side, line = SIDE // 4 - 8, 4
    framed = []
    for picture in pictures:
        at = np.arange(side) * len(picture) // side
        framed.append(np.pad(picture[np.ix_(at, at)], line, constant_values=1))
    return np.block([framed[i : i + 4] for i in range(0, 16, 4)])


def framed(picture: Array, place: tuple[int, int, int, int]) -> Array:
    """A picture in colour with a frame around a place: row, column, height, width."""
    top, left, height, width = place
    result: Array = picture.copy()
    frame = np.pad(np.zeros((height, width), bool), 4, constant_values=True)
    rows, columns = (
        np.arange(start - 4, start + n + 4).clip(0, most - 1)
        for start, n, most in zip((top, left), (height, width), picture.shape[:2], strict=True)
    )
    i, j = np.nonzero(frame)
    result[rows[i], columns[j]] = (0.95, 0.1, 0.1)
    return result


def draw(panel: Panel, axes: Any) -> None:
    """Draw a panel into axes of Matplotlib."""
    if panel.kind == "picture":
        small = max(panel.values.shape[:2]) <= 64
        axes.imshow(panel.values, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if small else "antialiased")
        axes.set(xticks=[], yticks=[])
    else:
        getattr(plot, panel.kind)(panel.values, axes=axes, title="")


def sheet(parts: Sequence[tuple[str, Sequence[Panel]]], columns: int = 4) -> Image.Image:
    """A contact sheet: the panels of each part under its title, each under its own, its text and its code.

    Needs Matplotlib.

    Parameters
    ----------
    parts : sequence of (title, panels)
    columns : int
        Panels beside each other.

    Examples
    --------
    >>> from fastconv import tour
    >>> tour.sheet([("The flip", tour.flip().panels)]).size
    (1450, 530)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    side, gap, words, head, dots = 3.0, 0.5, 1.0, 0.55, 100  # inches, and dots in one
    parts = [(title, panels) for title, panels in parts if panels]
    width = columns * (side + gap) + gap
    rows = [-(-len(panels) // columns) for _, panels in parts]
    height = sum(head + n * (words + side + gap / 2) for n in rows) + gap
    figure = Figure((width, height), dpi=dots, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    top = height - gap / 2
    for (title, panels), n in zip(parts, rows, strict=True):
        figure.text(gap / width, (top - 0.1) / height, title, fontsize=17, weight="bold", va="top")
        top -= head
        for i, panel in enumerate(panels):
            left, high = gap + i % columns * (side + gap), top - i // columns * (words + side + gap / 2)
            lines = [(panel.title, 11, "bold", "sans-serif", "#000")]
            lines += [(panel.text, 9 if len(panel.text) < 45 else 8, "normal", "sans-serif", "#444")]
            lines += [(line, 7, "normal", "monospace", "#246") for line in textwrap.wrap(panel.code, 47)[:3]]
            for j, (text, size, weight, family, colour) in enumerate(lines):
                at = high - (0.0, 0.24, 0.46, 0.6, 0.74)[j]
                figure.text(
                    left / width, at / height, text, fontsize=size, weight=weight, family=family, color=colour, va="top"
                )
            inset = {"loss": (0.45, 0.45, 0.5, 0.55), "scores": (0, 0, 0.4, 0)}.get(panel.kind, (0, 0, 0, 0))
            box = (left + inset[0], high - words - side + inset[1], side - inset[2], side - inset[3])
            axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height), anchor="NW")
            draw(panel, axes)
        top -= n * (words + side + gap / 2)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
