# SPDX-License-Identifier: BSD-3-Clause
"""What the tour looks at: a scene in grey and a crowd in colour, both drawn by formulas.

Each shape is a signed distance, negative inside, painted with a soft edge. There is one light, and no picture file.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SIDE = 512  # of the scene, pixels
CROWD = (400, 640)  # rows and columns of the crowd

SKINS = ((0.98, 0.83, 0.7), (0.87, 0.67, 0.5), (0.66, 0.46, 0.32), (0.42, 0.28, 0.2))
HAIRS = ((0.12, 0.1, 0.1), (0.35, 0.2, 0.1), (0.75, 0.55, 0.25), (0.6, 0.25, 0.1), (0.8, 0.8, 0.8))
CLOTHES = (
    (0.16, 0.42, 0.7),
    (0.95, 0.75, 0.2),
    (0.2, 0.55, 0.35),
    (0.9, 0.9, 0.88),
    (0.5, 0.3, 0.6),
    (0.95, 0.55, 0.3),
    (0.3, 0.65, 0.7),
    (0.25, 0.25, 0.3),
    (0.85, 0.45, 0.6),
)
RED, WHITE, BLUE = (0.85, 0.15, 0.15), (0.97, 0.97, 0.95), (0.15, 0.25, 0.55)
HEIGHT, WIDTH = 76, 44  # of a figure with its arms up, pixels


class _Canvas:
    """A picture, (H, W) or (H, W, 3), that shapes are painted into."""

    def __init__(self, picture: Array) -> None:
        self.picture = picture
        self.y, self.x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)

    def paint(self, distance: Array, tone: Any) -> None:
        cover = (0.5 - distance / 2).clip(0, 1)
        self.picture[:] += (tone - self.picture) * (cover[..., None] if self.picture.ndim == 3 else cover)

    def disc(self, cx: float, cy: float, radius: float, tone: Any) -> None:
        self.paint(np.hypot(self.x - cx, self.y - cy) - radius, tone)

    def block(self, cx: float, cy: float, w: float, h: float, tone: Any) -> None:
        self.paint(np.maximum(abs(self.x - cx) - w / 2, abs(self.y - cy) - h / 2), tone)

    def line(self, ax: float, ay: float, dx: float, dy: float, width: float, tone: Any) -> None:
        x, y = self.x - ax, self.y - ay
        along = ((x * dx + y * dy) / (dx * dx + dy * dy)).clip(0, 1)
        self.paint(np.hypot(x - along * dx, y - along * dy) - width / 2, tone)


def scene() -> Array:
    """A scene of 512 x 512 in [0, 1]: shading, edges of every direction, fine detail, a waving figure.

    Examples
    --------
    >>> from fastconv.scenes import scene
    >>> scene().shape
    (512, 512)
    """
    y = np.mgrid[:SIDE, :SIDE][0].astype(np.float32)
    canvas = _Canvas(0.85 - 0.5 * y / SIDE)
    x, y = canvas.x, canvas.y
    canvas.paint(330 + 14 * np.sin(x / 60) - y, 0.3 + (y - 330) / 900)  # a hill
    canvas.disc(120, 120, 78, 1 - np.hypot(x - 92, y - 92) / 170)  # a ball in the light
    canvas.block(100, 420, 120, 120, 0.06 + 0.88 * ((x // 20 + y // 20) % 2))  # a checkerboard
    for i, width in enumerate((12, 9, 6, 4, 3, 2)):  # bars, finer and finer
        canvas.block(360 + 22 * i, 420, width, 120, 0.94)
    for angle in np.linspace(0, np.pi / 2, 10):  # a fan of thin lines
        canvas.line(480, 32, -190 * np.cos(angle), 190 * np.sin(angle), 1.4, 0.06)
    for dx in (-1, 1):  # a figure, waving
        canvas.line(256, 340, 30 * dx, 72, 12, 0.06)
        canvas.line(256, 288, 44 * dx, -32, 12, 0.06)
    canvas.line(256, 260, 0, 80, 12, 0.06)
    canvas.disc(256, 236, 24, 0.06)
    canvas.disc(256, 236, 18, 0.94)
    return canvas.picture


@cache
def crowd() -> tuple[Array, tuple[int, int, int, int]]:
    """People on a meadow, (400, 640, 3) in [0, 1], and where the one who is wanted stands: row, column, height, width.

    Examples
    --------
    >>> from fastconv.scenes import crowd
    >>> picture, place = crowd()
    >>> picture.shape, place
    ((400, 640, 3), (228, 428, 76, 44))
    """
    rng = np.random.default_rng(5)
    rows, columns = CROWD
    y = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    sky, grass = np.array([[0.62, 0.82, 0.95]]), np.array([[0.45, 0.68, 0.35]])
    picture = np.broadcast_to(np.where(y < 0.2, sky + 0.5 * y, grass - 0.25 * (y - 0.2)), (rows, columns, 3)).copy()
    picture = (picture + rng.normal(0, 0.012, (rows, columns, 1))).astype(np.float32)
    canvas = _Canvas(picture)
    for cx, radius in ((70, 40), (150, 28), (560, 44), (480, 30), (330, 24)):  # trees behind them
        canvas.line(cx, 92, 0, -30, 8, (0.35, 0.25, 0.15))
        canvas.disc(cx, 50, radius, (0.2, 0.45 + cx / 4000, 0.25))
    wanted = (304, 450)  # where the feet of the one who is wanted are
    feet = [
        (row + int(rng.integers(-4, 5)), column + int(rng.integers(-7, 8)))
        for row in range(112, rows, 24)
        for column in range(18 + row % 3 * 11, columns - 12, 38)
    ]
    # nobody hides the face of the one who is wanted
    free = [(r, c) for r, c in feet if not (abs(c - wanted[1]) < 32 and -14 < r - wanted[0] < 48)]
    for row, column in sorted([*free, wanted]):
        top, left = row - HEIGHT, column - WIDTH // 2
        box = picture[max(top, 0) : row + 3, max(left, 0) : left + WIDTH]
        _figure(box, column - max(left, 0), row - max(top, 0), rng, wanted=(row, column) == wanted)
    picture = picture.clip(0, 1)
    picture.setflags(write=False)  # it is drawn once
    return picture, (wanted[0] - HEIGHT, wanted[1] - WIDTH // 2, HEIGHT, WIDTH)


def _figure(picture: Array, x: float, feet: float, rng: np.random.Generator, *, wanted: bool) -> None:
    """A person whose feet are there; one who is wanted has a striped shirt, and waves with both arms."""
    canvas = _Canvas(picture)
    skin, hair, shirt, trousers = (c[rng.integers(len(c))] for c in (SKINS, HAIRS, CLOTHES, CLOTHES))
    poses = (int(rng.integers(3)), int(rng.integers(3)))
    hat = rng.random() < 0.25
    if wanted:
        skin, hair, trousers, poses, hat = SKINS[0], HAIRS[1], BLUE, (2, 2), True
    canvas.paint(np.hypot((canvas.x - x) / 12, (canvas.y - feet) / 3) * 3 - 3, canvas.picture * 0.75)  # the shadow
    hip, neck = feet - 24, feet - 46
    for side in (-1, 1):
        canvas.line(x + 3 * side, hip, 3 * side, 22, 6, trousers)
        canvas.line(x + 6 * side, feet - 1, 3 * side, 0, 4, (0.15, 0.12, 0.1))
    tone: Any = shirt
    if wanted:
        tone = np.where((canvas.y // 4 % 2 == 0)[..., None], np.array(RED), np.array(WHITE)).astype(np.float32)
    canvas.line(x, neck + 4, 0, 20, 15, tone)
    for side, pose in zip((-1, 1), poses, strict=True):
        across, down = ((5, 17), (11, 8), (11, -18))[pose]
        canvas.line(x + 7 * side, neck + 2, across * side, down, 5, tone)
        canvas.disc(x + (7 + across) * side, neck + 2 + down, 3, skin)
    canvas.line(x, neck, 0, -3, 5, skin)
    canvas.disc(x, neck - 11, 10, hair)
    canvas.disc(x, neck - 9, 8.5, skin)
    for side in (-1, 1):
        canvas.disc(x + 3 * side, neck - 10, 1, (0.1, 0.1, 0.1))
    canvas.line(x - 2, neck - 5, 4, 0, 1, (0.6, 0.25, 0.25))
    if hat:
        colour = RED if wanted else CLOTHES[rng.integers(len(CLOTHES))]
        canvas.line(x - 8, neck - 16, 16, 0, 3, WHITE if wanted else colour)
        canvas.line(x - 5, neck - 20, 10, 0, 6, colour)
