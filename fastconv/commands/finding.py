# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv find``: the places of pictures that look most like a smaller one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv.commands import Commands, Formatter, batches
from fastconv.pictures import STANDARD, RequestError, file_format, read, say, to_pixels, write

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]


EXAMPLES = """\
examples:
  fastconv find crowd.jpg face.png -o found.png
  fastconv find crowd.jpg face.png --count 5 --min-score 0.8
  fastconv find pages/*.png stamp.png --json | jq -c 'select(.found != []) | .scene'"""


def add(commands: Commands, pictures: argparse.ArgumentParser) -> None:
    """Add the command; pictures: the arguments of all commands that read some."""
    task = commands.add_parser(
        "find",
        parents=[pictures],
        formatter_class=Formatter,
        help="find a figure in pictures",
        description="Find the place of a picture that looks most like a smaller one, whatever its brightness and "
        "contrast (normalised correlation: 1 is a perfect match). Two colour pictures are compared in all colours at "
        "once, else luminance is. Where the smaller one is transparent it does not count. Exit code 3: it is nowhere.",
        epilog=EXAMPLES,
    )
    task.set_defaults(run=run)
    task.add_argument("scene", type=Path, nargs="+", help="any picture Pillow reads; - is stdin")
    task.add_argument("template", type=Path, help="the figure: a picture, no larger than the scene")
    batches.add(task, "the scene with a frame around the figure", required=False)
    task.add_argument("--json", action="store_true", help="places and scores as JSON, a line for each scene")
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
    if arguments.json and arguments.output == STANDARD:
        raise RequestError("--json and -o - would both be written to stdout")
    if STANDARD in arguments.scene and arguments.template == STANDARD:
        raise RequestError("- is stdin, which can be read once")
    targets = batches.outputs(arguments.scene, arguments)
    formats = [file_format(target, arguments.format) if target else "" for target in targets]
    template = read(arguments.template, arguments.max_pixels, arguments.lossy)
    nowhere: list[str] = []

    def work(i: int, source: Path, tell: batches.Tell, told: Callable[[str], None]) -> int:
        tell(0, "reading")
        scene = read(source, arguments.max_pixels, arguments.lossy)
        tell(0.3, "searching")
        answer = searched(source, scene, template, arguments)
        target = targets[i] if answer["found"] else None
        answer["output"] = str(target) if target else None
        note = ""
        if target:
            tell(0.6, "writing")
            info = scene.info if scene.mode.startswith("RGB") else {"dpi": scene.info.get("dpi")}
            framed = _framed(scene, [(at["row"], at["column"]) for at in answer["found"]], template.size)
            note = write(framed, target, formats[i], info, arguments.lossy)
        if not answer["found"]:
            nowhere.append(
                f"{arguments.template} is not in {source}: the best score is {answer['best']:.4f}, and --min-score is "
                f"{arguments.min_score:g}"
            )
        if arguments.json:
            told(json.dumps(answer))
        elif target != STANDARD and answer["found"]:
            for at in answer["found"]:
                told(
                    f"{arguments.template}: {template.width} x {template.height} at column {at['column']}, "
                    f"row {at['row']} of {source}, score {at['score']:.4f}"
                )
            told(f"{answer['compared']}, {answer['milliseconds']:.2f} ms{f' -> {target}{note}' if target else ''}")
        return 0 if answer["found"] else 3

    code = batches.each(arguments.scene, work)
    for message in nowhere:
        say(message if code == 0 else f"error: {message}")
    return code


def searched(source: Path, scene: Image.Image, template: Image.Image, arguments: argparse.Namespace) -> dict[str, Any]:
    """The places of the template, best first, and how they were found."""
    if template.width > scene.width or template.height > scene.height:
        raise RequestError(
            f"{arguments.template} ({template.width} x {template.height}) is larger than {source} "
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
    places = _best_places(scores, (template.height, template.width), arguments.count)
    if not places:
        raise RequestError(f"{source} holds NaN or infinity wherever {arguments.template} could be")
    found = [{"row": row, "column": column, "score": float(scores[row, column])} for row, column in places]
    return {
        "scene": str(source),
        "template": str(arguments.template),
        "width": template.width,
        "height": template.height,
        "compared": "colours" if in_colour else "luminance",
        "milliseconds": round(milliseconds, 3),
        "best": found[0]["score"],
        "found": [at for at in found if at["score"] >= arguments.min_score],
    }


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
