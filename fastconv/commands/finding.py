# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv find``: the places of a picture that look most like a smaller one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv.commands import Commands, fail
from fastconv.pictures import RequestError, file_format, read, to_pixels, write

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]


def add(commands: Commands, pictures: argparse.ArgumentParser) -> None:
    """Add the command; pictures: the arguments of all commands that read some."""
    task = commands.add_parser(
        "find",
        parents=[pictures],
        help="find a figure in a picture",
        description="Find the place of a picture that looks most like a smaller one, whatever its brightness and "
        "contrast (normalised correlation: 1 is a perfect match). Two colour pictures are compared in all colours at "
        "once, else luminance is. Where the smaller one is transparent it does not count. Exit code 3: it is nowhere.",
    )
    task.set_defaults(run=run)
    task.add_argument("scene", type=Path, help="any picture Pillow reads")
    task.add_argument("template", type=Path, help="the figure: a picture, no larger than the scene")
    task.add_argument("-o", "--output", type=Path, metavar="OUT", help="the scene with a frame around the figure")
    task.add_argument("--count", type=int, default=1, metavar="N", help="the N best places that do not overlap")
    task.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        metavar="S",
        help="from -1 to 1: places that look less like the figure are none; default: 0.5",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.count < 1:
        raise RequestError(f"--count must be at least 1; got {arguments.count}")
    if not -1 <= arguments.min_score <= 1:
        raise RequestError(f"--min-score must be from -1 to 1; got {arguments.min_score}")
    name = file_format(arguments.output) if arguments.output else ""
    scene, template = (
        read(path, arguments.max_pixels, arguments.lossy) for path in (arguments.scene, arguments.template)
    )
    if template.width > scene.width or template.height > scene.height:
        raise RequestError(
            f"{arguments.template} ({template.width} x {template.height}) is larger than {arguments.scene} "
            f"({scene.width} x {scene.height})"
        )
    in_colour = scene.mode.startswith("RGB") and template.mode.startswith("RGB")
    x, k = _stack(scene, in_colour), _stack(template, in_colour)
    mask = None
    if template.mode.endswith("A"):
        alpha = np.asarray(template)[..., -1]
        if not alpha.any():
            raise RequestError(f"{arguments.template} is transparent everywhere: nothing to find")
        mask = np.broadcast_to(alpha / 255, k.shape)
    counted = k if mask is None else k[mask > 0]
    if (counted == counted.flat[0]).all():
        raise RequestError(f"{arguments.template} has the same value everywhere: nothing to find")

    start = perf_counter()
    scores = fastconv.feature.match_template(x, k, mask=mask, dtype=np.float32)[0]
    milliseconds = (perf_counter() - start) * 1e3
    found = _best_places(scores, (template.height, template.width), arguments.count)
    if not found:
        raise RequestError(f"{arguments.scene} holds NaN or infinity wherever {arguments.template} could be")
    best = scores[found[0]]
    found = [place for place in found if scores[place] >= arguments.min_score]
    if not found:
        return fail(
            3,
            f"{arguments.template} is not in {arguments.scene}: the best score is {best:.4f}, and --min-score is "
            f"{arguments.min_score:g}",
        )
    for row, column in found:
        print(
            f"{arguments.template}: {template.width} x {template.height} at column {column}, row {row} of "
            f"{arguments.scene}, score {scores[row, column]:.4f}"
        )
    where = ""
    if arguments.output:
        info = scene.info if scene.mode.startswith("RGB") else {"dpi": scene.info.get("dpi")}
        note = write(_framed(scene, found, template.size), arguments.output, name, info, arguments.lossy)
        where = f" -> {arguments.output}{note}"
    print(f"{'colours' if in_colour else 'luminance'}, {milliseconds:.2f} ms{where}")
    return 0


def _stack(image: Image.Image, in_colour: bool) -> Array:
    """Pixels as (colours, H, W), colours or luminance."""
    if in_colour:
        return np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    return np.asarray(image if image.mode[0] in "IF" else image.convert("L"))[None]


def _best_places(scores: Array, size: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Row and column of the best scores, each better than all that would overlap it; at most `count`."""
    left = np.where(np.isnan(scores), -np.inf, scores)
    places: list[tuple[int, int]] = []
    while len(places) < count and left.max() > -np.inf:
        row, column = (int(i) for i in np.unravel_index(left.argmax(), left.shape))
        places.append((row, column))
        left[max(row - size[0] + 1, 0) : row + size[0], max(column - size[1] + 1, 0) : column + size[1]] = -np.inf
    return places


def _framed(scene: Image.Image, places: Sequence[tuple[int, int]], size: tuple[int, int]) -> Image.Image:
    """The scene in colour, with red frames around the places, inside the picture where they touch its edge."""
    from PIL import Image, ImageDraw

    if scene.mode[0] in "IF":  # a wide channel has no colours: stretch it over 8 bits
        pixels = np.nan_to_num(np.asarray(scene).astype(np.float64), nan=0, posinf=0, neginf=0)
        scene = Image.fromarray(to_pixels(pixels, "stretch", np.dtype(np.uint8)))
    picture = scene.convert("RGBA" if scene.mode.endswith("A") else "RGB")
    width = max(1, min(picture.size) // 200)
    draw = ImageDraw.Draw(picture)
    for row, column in places:
        corners = (
            max(column - width, 0),
            max(row - width, 0),
            min(column + size[0] + width, picture.width) - 1,
            min(row + size[1] + width, picture.height) - 1,
        )
        draw.rectangle(corners, outline="red", width=width)
    return picture
