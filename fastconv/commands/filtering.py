# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv filter``: correlate a picture with a small kernel."""

from __future__ import annotations

import argparse
import contextlib
import math
import warnings
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import kernels
from fastconv.arguments.boundaries import NAMES
from fastconv.commands import Commands, meant
from fastconv.pictures import RANGES, RequestError, file_format, read, reason, to_pixels, write

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]

MODES = ("same", "valid", "full")
BOUNDARIES = sorted(NAMES, key="edge".__ne__)  # the default first
SIZED = [name for name, (make, *_) in kernels.NAMED.items() if "size" in signature(make).parameters]
MOST_TAPS = 2**24  # of a kernel: 4096 x 4096
MOST_TEXT = 2**26  # characters of one: /dev/zero is a text, too


def add(commands: Commands, pictures: argparse.ArgumentParser) -> None:
    """Add the command; pictures: the arguments of all commands that read some."""
    task = commands.add_parser(
        "filter",
        parents=[pictures],
        help="filter a picture with a small kernel",
        description="Correlate a picture with a small kernel, each colour by itself. Alpha, resolution and colour "
        "profile are kept as they are.",
    )
    task.set_defaults(run=run)
    task.add_argument("photo", type=Path, help="any picture Pillow reads")
    task.add_argument(
        "--kernel",
        required=True,
        help=f"a name ({', '.join(kernels.NAMED)}) or a .npy or .txt file of one "
        "matrix; sobel, scharr and prewitt give the magnitude of the gradient",
    )
    task.add_argument("-o", "--output", required=True, type=Path, metavar="OUT")
    task.add_argument("--size", type=int, help=f"rows and columns of the kernel; with {', '.join(SIZED)}")
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


def run(arguments: argparse.Namespace) -> None:
    where = _where(arguments)
    bank = _kernels(arguments.kernel, arguments.size)
    name = file_format(arguments.output)
    image = read(arguments.photo, arguments.max_pixels, arguments.lossy)

    # (H, W) or (H, W, C) pixels are seen as C planes, which corr2d takes as a batch.
    pixels = np.atleast_3d(np.asarray(image))
    planes = np.moveaxis(pixels, -1, 0)
    colours = len(planes) - image.mode.endswith("A")
    x = planes[:colours].astype(np.result_type(pixels, np.float32))
    bank = [kernel.astype(x.dtype) for kernel in bank]

    start = perf_counter()
    with fastconv.checked() if arguments.check else contextlib.nullcontext():
        try:
            if len(bank) > 1:
                y = fastconv.gradient(x, arguments.kernel, size=arguments.size, norm="l2", **where)
            else:
                y = fastconv.corr2d(x, bank[0], **where)
        except ValueError as error:
            raise RequestError(str(error)) from error
    milliseconds = (perf_counter() - start) * 1e3

    rule = arguments.range
    if rule == "auto":
        rule = "abs" if _sums_to_zero(bank[0]) else "clip"
    result = to_pixels(y, rule, pixels.dtype)
    alpha = _follow(planes[colours:], result.shape, bank[0].shape, where["mode"])
    result = np.concatenate([result, alpha])
    note = write(_image(result), arguments.output, name, image.info, arguments.lossy)

    print(
        f"{arguments.photo}: {image.mode} {image.width} x {image.height}, "
        f"{arguments.kernel} {bank[0].shape[0]} x {bank[0].shape[1]}, "
        f"{', '.join(f'{key} {value}' for key, value in where.items())}, range {rule}"
        f" -> {arguments.output}: {result.shape[2]} x {result.shape[1]}, "
        f"{milliseconds:.2f} ms{' with the check' if arguments.check else ''}{note}"
    )


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


def _kernels(name: str, size: int | None) -> list[Array]:
    """Kernels of that name, or the one in that file."""
    makers = kernels.NAMED.get(name, ())
    path = Path(name)
    if not makers and path.suffix not in (".npy", ".txt"):
        accepted = f"accepted: {', '.join(kernels.NAMED)}, or a .npy or .txt file{meant(name, kernels.NAMED)}"
        raise RequestError(f"unknown kernel {name!r}; {accepted}")
    if size is None:
        return [make() for make in makers] or [_kernel_file(path)]
    if name not in SIZED:
        raise RequestError(f"--size {size} does not apply to kernel {name!r}; it is accepted with: {', '.join(SIZED)}")
    if size * size > MOST_TAPS:
        raise RequestError(f"--size {size} is too large; at most {math.isqrt(MOST_TAPS)}")
    try:
        return [make(size=size) for make in makers]
    except ValueError as error:
        raise RequestError(str(error)) from error


def _kernel_file(path: Path) -> Array:
    """Two-dimensional kernel from a .npy file, or from rows of numbers in a .txt."""
    try:
        if path.suffix == ".npy":
            kernel = np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))  # mapped: read no more than is there
        else:
            with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings(action="ignore"):
                text = file.read(MOST_TEXT + 1)
                if len(text) > MOST_TEXT:
                    raise RequestError(f"{path} is longer than {MOST_TEXT >> 20} MB; large kernels are for .npy files")
                kernel = np.loadtxt(text.replace(",", " ").splitlines(), ndmin=2)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {reason(error)}") from error
    except (ValueError, EOFError) as error:
        raise RequestError(f"{path} is not a matrix of numbers: {error}") from error
    if kernel.ndim != 2 or kernel.size == 0 or kernel.dtype.kind not in "biuf":
        raise RequestError(
            f"{path} holds a {kernel.dtype} array of shape {kernel.shape}; "
            "accepted: a matrix of real numbers, not empty"
        )
    if kernel.size > MOST_TAPS:
        raise RequestError(f"{path} holds {kernel.size} numbers; a kernel has at most {MOST_TAPS}")
    with np.errstate(over="ignore"):  # of longdouble
        kernel = kernel.astype(np.float64)
    if not (np.abs(kernel) < 1e30).all():
        raise RequestError(f"{path} holds NaN or a number that is not below 1e30")
    return kernel


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


def _image(planes: Array) -> Image.Image:
    from PIL import Image

    return Image.fromarray(planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1))
