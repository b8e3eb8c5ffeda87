# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv filter``: correlate pictures with a small kernel."""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv.arguments.boundaries import NAMES
from fastconv.commands import Commands, Formatter, batches, kernel_words, large
from fastconv.pictures import INKS, RANGES, STANDARD, RequestError, file_format, read, say, to_pixels, write
from fastconv.wide_colours import WideImage

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]

MODES = ("same", "valid", "full")
BOUNDARIES = sorted(NAMES, key="edge".__ne__)  # the default first
BAND = 2**22  # sums between two looks at the clock


EXAMPLES = """\
examples:
  fastconv filter photo.jpg -k sobel -o edges.png
  fastconv filter photo.jpg -k gaussian --sigma 3 -o soft.png --compare
  fastconv filter photo.jpg -k gabor --sigma 4 --theta 45 --range stretch -o stripes.png
  fastconv filter photo.jpg -k "0 1 0; 1 -4 1; 0 1 0" -o lines.png
  fastconv filter *.jpg -k sharpen -o sharp/
  fastconv filter big.zarr -k gaussian:5 -o soft.zarr --memory 500MB
  curl -s https://example.org/photo.jpg | fastconv filter - -k box:9 -o - | display"""


def add(commands: Commands, pictures: argparse.ArgumentParser) -> None:
    """Add the command; pictures: the arguments of all commands that read some."""
    task = commands.add_parser(
        "filter",
        parents=[pictures],
        formatter_class=Formatter,
        help="filter pictures with a small kernel",
        description="Correlate pictures with a small kernel, each colour, or each ink, by itself. Alpha, resolution, "
        "colour profile and 16 bits are kept, printing colours where the format has them (.jpg, .tif). Pictures are "
        "turned upright. What would be lost is refused: an animated picture, for one.",
        epilog=EXAMPLES,
    )
    task.set_defaults(run=run)
    task.add_argument("photo", type=Path, nargs="+", help="any picture Pillow reads; - is stdin")
    kernel_words.add(task)
    batches.add(task, "the result", required=True)
    task.add_argument("--compare", action="store_true", help="the picture and its result, side by side")
    task.add_argument("--mode", choices=MODES, default="same", help="default: same")
    task.add_argument("--boundary", choices=BOUNDARIES, help="beyond the border; default: edge")
    task.add_argument("--fillvalue", type=float, help="of --boundary constant; default: 0")
    task.add_argument(
        "--range",
        choices=RANGES,
        default="auto",
        help="how results become pixels: clip them, clip their magnitude (abs), or "
        "stretch them over the whole range; auto is abs for a kernel of sum 0, else "
        "clip",
    )
    task.add_argument("--check", action="store_true", help="compare with the reference as it runs")
    large.add(task)


def run(arguments: argparse.Namespace) -> int:
    where = _where(arguments)
    name, bank = kernel_words.chosen(arguments)
    if large.is_meant(arguments):
        return large.run(arguments, _step(name, bank, where), _rule(arguments, bank), where)
    targets = batches.outputs(arguments.photo, arguments)
    formats = [file_format(target, arguments.format) for target in targets if target]
    if arguments.compare and arguments.mode != "same":
        raise RequestError(f"--compare is for results as large as the picture; --mode {arguments.mode} gives others")

    def work(i: int, source: Path, tell: batches.Tell, told: Callable[[str], None]) -> int:
        target = targets[i]
        assert target is not None
        tell(0, "reading")
        image = read(source, arguments.max_pixels, arguments.lossy, inks=formats[i] in INKS, wide=True)
        start = perf_counter()
        with fastconv.checked() if arguments.check else contextlib.nullcontext():
            pixels, rule = filtered(image, name, bank, where, arguments, lambda done: tell(0.2 + done / 3, "filtering"))
        milliseconds = (perf_counter() - start) * 1e3
        result = _image(_beside(np.asarray(image), pixels, image.mode) if arguments.compare else pixels, image.mode)
        tell(0.6, "writing")
        note = write(result, target, formats[i], image.info, arguments.lossy)
        line = (
            f"{source}: {image.mode} {image.width} x {image.height}, "
            f"{name} {bank[0].shape[0]} x {bank[0].shape[1]}, "
            f"{', '.join(f'{key} {value}' for key, value in where.items())}, range {rule}"
            f" -> {target}: {result.width} x {result.height}, "
            f"{milliseconds:.2f} ms{' with the check' if arguments.check else ''}{note}"
        )
        if target != STANDARD:
            told(line)
        elif note:
            say(line)
        return 0

    return batches.each(arguments.photo, work)


def filtered(
    image: Image.Image | WideImage,
    name: Any,
    bank: list[Array],
    where: dict[str, Any],
    arguments: argparse.Namespace,
    tell: Callable[[float], None],
) -> tuple[Array, str]:
    """Pixels of the result, (H, W) or (H, W, C), and the rule by which they were made of numbers."""
    # (H, W) or (H, W, C) pixels are seen as C planes, which corr2d takes as a batch.
    pixels = np.atleast_3d(np.asarray(image))
    planes = np.moveaxis(pixels, -1, 0)
    colours = len(planes) - image.mode.endswith("A")
    x = planes[:colours].astype(np.result_type(pixels, np.float32))
    bank = [kernel.astype(x.dtype) for kernel in bank]
    try:
        y = _step(name, bank, where)(x) if len(bank) > 1 else _sums(x, bank[0], where, tell)
    except ValueError as error:
        raise RequestError(str(error)) from error
    rule = _rule(arguments, bank)
    result = to_pixels(y, rule, pixels.dtype)
    result = np.concatenate([result, _follow(planes[colours:], result.shape, bank[0].shape, where["mode"])])
    return result[0] if len(result) == 1 else np.moveaxis(result, 0, -1), rule


def _step(name: Any, bank: list[Array], where: dict[str, Any]) -> functools.partial[Any]:
    """What is computed of a picture: sums by a kernel, or the magnitude of two of them."""
    if len(bank) == 1:
        return functools.partial(fastconv.corr2d, k=bank[0], **where)
    size = bank[0].shape[0] if name in kernel_words.TAKES["size"] else None
    return functools.partial(fastconv.gradient, kernel=name, size=size, norm="l2", **where)


def _rule(arguments: argparse.Namespace, bank: list[Array]) -> str:
    rule: str = arguments.range
    if rule == "auto":
        rule = "abs" if _sums_to_zero(bank[0]) else "clip"
    return rule


def _sums(x: Array, kernel: Array, where: dict[str, Any], tell: Callable[[float], None]) -> Array:
    """Sums, a band of rows at a time where there are many, so that there is progress to tell; the bits of the whole."""
    grown = {"same": 0, "valid": -1, "full": 1}[where["mode"]]
    rows, columns = (n + grown * (k - 1) for n, k in zip(x.shape[1:], kernel.shape, strict=True))
    band = max(BAND // max(columns, 1), 4 * len(kernel))  # (rows that neighbours read, too, cost little then)
    if columns < 1 or rows <= band:
        whole: Array = fastconv.corr2d(x, kernel, **where)
        return whole
    y = np.empty((len(x), rows, columns), x.dtype)
    for c, first in np.ndindex(len(x), -(-rows // band)):
        some = slice(first * band, min((first + 1) * band, rows))
        fastconv.corr2d(x[c], kernel, **where, window=(some, slice(0, columns)), out=y[c, some])
        tell((c + some.stop / rows) / len(x))
    return y


def _where(arguments: argparse.Namespace) -> dict[str, Any]:
    """Mode and boundary as corr2d's keywords; refuses what would be ignored."""
    if arguments.mode == "valid":
        if arguments.boundary is not None:
            raise RequestError(
                f"--boundary {arguments.boundary} has no meaning with --mode valid, "
                "which never looks beyond the border; accepted with: same, full"
            )
        where = {"mode": "valid"}
    else:
        where = {"mode": arguments.mode, "boundary": arguments.boundary or "edge"}
    if arguments.fillvalue is not None:
        if where.get("boundary") != "constant":
            raise RequestError(f"--fillvalue {arguments.fillvalue:g} needs --boundary constant")
        if not math.isfinite(arguments.fillvalue):
            raise RequestError(f"--fillvalue {arguments.fillvalue} is not finite")
        where["fillvalue"] = arguments.fillvalue
    return where


def _sums_to_zero(kernel: Array) -> bool:
    """Whether flat areas give 0, but for the rounding of the weights."""
    return bool(abs(kernel.sum()) <= 1e-5 * np.abs(kernel).sum())


def _follow(alpha: Array, size: Sequence[int], kernel: Sequence[int], mode: str) -> Array:
    """Unfiltered alpha for a result of that size: cropped in valid, grown in full."""
    for axis in (1, 2):
        k = kernel[axis - 1]
        start = {"same": 0, "valid": (k - 1) // 2, "full": -(k // 2)}[mode]
        source = np.arange(start, start + size[axis])
        alpha = alpha.take(source.clip(0, alpha.shape[axis] - 1), axis)
    return alpha


def _beside(before: Array, after: Array, mode: str) -> Array:
    """Two pictures of one size, a white line between them."""
    white = np.iinfo(after.dtype).max if after.dtype.kind == "u" else max(before.max(), after.max())
    if mode == "CMYK":
        white = 0
    line = np.full((len(after), max(after.shape[1] // 100, 1), *after.shape[2:]), white, after.dtype)
    return np.concatenate([before, line, after], axis=1)


def _image(pixels: Array, mode: str) -> Image.Image | WideImage:
    from PIL import Image

    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim == 3 and pixels.dtype == np.uint16:
        return WideImage(pixels, {})
    if mode == "CMYK":
        return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    return Image.fromarray(pixels)
