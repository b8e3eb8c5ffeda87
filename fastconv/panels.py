# SPDX-License-Identifier: BSD-3-Clause
"""Panels, the pictures of the tour: how they are drawn, and the sheet that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]
SIDE = 512  # of a panel, pixels


class Panel(NamedTuple):
    """A picture of a part."""

    title: str
    text: str
    values: Array  # (H, W) from 0, black, to 1, white


def signed(k: Array) -> Array:
    """Weights as greys: zero in the middle."""
    shown: Array = 0.5 + 0.5 * k / np.abs(k).max()
    return shown


def enlarged(values: Array) -> Array:
    """Pixels as squares, as large as fit."""
    times = max(SIDE // max(values.shape), 1)
    return np.repeat(np.repeat(np.asarray(values, float), times, 0), times, 1)


def tiles(pictures: Iterable[Array]) -> Array:
    """Sixteen square pictures, four by four, with lines between them."""
    side, line = SIDE // 4 - 8, 4
    framed = []
    for picture in pictures:
        at = np.arange(side) * len(picture) // side
        framed.append(np.pad(picture[np.ix_(at, at)], line, constant_values=1))
    return np.block([framed[i : i + 4] for i in range(0, 16, 4)])


def curve(losses: Sequence[float]) -> Array:
    """A falling loss, drawn with logarithms upwards."""
    heights = np.log(np.maximum(losses, 1e-30))
    heights = (heights - heights.min()) / (np.ptp(heights) or 1)
    columns = np.interp(np.linspace(0, len(losses) - 1, SIDE), np.arange(len(losses)), heights)
    rows = (1 - columns) * (SIDE - 40) + 20
    drawn = np.ones((SIDE, SIDE))
    drawn[:, 0] = drawn[-1] = 0.6
    previous = rows[0]
    for j, row in enumerate(rows):
        low, high = sorted((previous, row))
        drawn[int(low) : int(high) + 3, j] = 0.1
        previous = row
    return drawn


def scene() -> Array:
    """A scene of 512 x 512 in [0, 1]: shading, edges of every direction, fine detail, a waving figure.

    Each shape is a signed distance, negative inside, painted with a soft edge.

    Examples
    --------
    >>> from fastconv import tour
    >>> tour.scene().shape
    (512, 512)
    """
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    scene: Array = 0.85 - 0.5 * y / 512

    def paint(distance: Array, tone: float | Array) -> None:
        scene[:] += (tone - scene) * (0.5 - distance / 2).clip(0, 1)

    def disc(cx: float, cy: float, radius: float, tone: float | Array) -> None:
        paint(np.hypot(x - cx, y - cy) - radius, tone)

    def block(cx: float, cy: float, w: float, h: float, tone: float | Array) -> None:
        paint(np.maximum(abs(x - cx) - w / 2, abs(y - cy) - h / 2), tone)

    def line(ax: float, ay: float, dx: float, dy: float, width: float) -> None:
        along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clip(0, 1)
        paint(np.hypot(x - ax - along * dx, y - ay - along * dy) - width / 2, 0.06)

    paint(330 + 14 * np.sin(x / 60) - y, 0.3 + (y - 330) / 900)  # a hill
    disc(120, 120, 78, 1 - np.hypot(x - 92, y - 92) / 170)  # a ball in the light
    block(100, 420, 120, 120, 0.06 + 0.88 * ((x // 20 + y // 20) % 2))  # a checkerboard
    for i, width in enumerate((12, 9, 6, 4, 3, 2)):  # bars, finer and finer
        block(360 + 22 * i, 420, width, 120, 0.94)
    for angle in np.linspace(0, np.pi / 2, 10):  # a fan of thin lines
        line(480, 32, -190 * np.cos(angle), 190 * np.sin(angle), 1.4)
    for dx in (-1, 1):  # a figure, waving
        line(256, 340, 30 * dx, 72, 12)
        line(256, 288, 44 * dx, -32, 12)
    line(256, 260, 0, 80, 12)
    disc(256, 236, 24, 0.06)
    disc(256, 236, 18, 0.94)
    return scene


def sheet(panels: Sequence[Panel]) -> Image.Image:
    """A contact sheet, three panels to a row, each under its title and text; needs Pillow.

    Parameters
    ----------
    panels : sequence of Panel

    Examples
    --------
    >>> from fastconv import tour
    >>> tour.sheet(tour.flip().panels).size
    (1664, 640)
    """
    from PIL import Image, ImageDraw, ImageFont

    columns, margin, caption = 3, 32, 64
    right, down = SIDE + margin, caption + SIDE + margin
    rows = -(-len(panels) // columns)
    drawn = Image.new("L", (margin + columns * right, margin + rows * down), 250)
    draw = ImageDraw.Draw(drawn)
    title_font, text_font = ImageFont.load_default(26), ImageFont.load_default(18)
    for i, panel in enumerate(panels):
        left = margin + i % columns * right
        top = margin + i // columns * down
        draw.text((left, top), panel.title, 0, title_font)
        draw.text((left, top + 34), panel.text, 90, text_font)
        pixels = np.rint(255 * enlarged(panel.values)).clip(0, 255).astype(np.uint8)
        drawn.paste(Image.fromarray(pixels), (left, top + caption))
    return drawn
