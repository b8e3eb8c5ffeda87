# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``fastconv``, or ``python -m fastconv``.

    fastconv filter photo.jpg --kernel sobel -o edges.png    filter a picture
    fastconv find crowd.jpg face.png -o found.png            find a figure in a picture
    fastconv tour                                            the lecture on convolution
    fastconv run script.py                                   a program, SciPy's filters replaced by these
    fastconv info                                            what this build runs on

Exit codes are those of EXIT_CODES. But for 0 and 141, a line on stderr says why. No picture is half-written.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from inspect import signature
from pathlib import Path
from textwrap import indent
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import kernels, tour
from fastconv.arguments.boundaries import NAMES
from fastconv.pictures import MOST_PIXELS, RequestError, file_format, read, reason, say, write
from fastconv.running import NoProgramError, run_program

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]

MODES = ("same", "valid", "full")
BOUNDARIES = sorted(NAMES, key="edge".__ne__)  # the default first
RANGES = ("auto", "clip", "abs", "stretch")
PARTS = [part.__name__ for part in tour.PARTS]
SIZED = [name for name, (make, *_) in kernels.NAMED.items() if "size" in signature(make).parameters]


MOST_TAPS = 2**24  # of a kernel: 4096 x 4096
MOST_TEXT = 2**26  # characters of one: /dev/zero is a text, too

EXIT_CODES = """exit codes:
  0    done
  1    --check: a result differs from the reference
  2    the request cannot be met
  3    find: the figure is nowhere in the scene
  70   a fault of fastconv's own, after a traceback
  130  interrupted (Ctrl-C)
  141  nobody reads the output any more
  143  terminated
The exit code of run is that of the program."""


class Parser(argparse.ArgumentParser):
    """Argument parser that reports its errors as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving the process."""
        raise RequestError(message)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and version as everything else is printed: argparse does not tell if it cannot."""
        print(message, end="", file=file)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments, by default those of the process.

    Returns
    -------
    int
        The exit code: ``EXIT_CODES`` says what it means.

    Raises
    ------
    SystemExit
        With code 0, by ``--help`` and ``--version``.

    Examples
    --------
    >>> from fastconv.__main__ import main
    >>> main(["filter", "photo.jpg", "--kernel", "sobol", "-o", "edges.png"])
    2
    """
    task = None
    try:
        try:
            parser = _parser()
            arguments = parser.parse_args(argv)
            task = arguments.run
            if task is _run:  # a program's output and errors are its own
                task(arguments)
                return 0
            if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be of any bytes
                sys.stdout.reconfigure(errors="backslashreplace")
            if task is None:
                parser.print_help()
                return 2
            return task(arguments) or 0
        finally:
            if sys.stdout and task is not _run:
                sys.stdout.flush()
    except RequestError as error:
        return _fail(2, " ".join(str(error).split()))
    except (Exception, KeyboardInterrupt) as error:
        if task is _run:
            raise
        return _told(error)


def _told(error: BaseException) -> int:
    """The exit code of what has gone wrong, and a line on stderr."""
    if isinstance(error, fastconv.CheckError):
        return _fail(1, f"the result differs from the reference: {error}")
    if isinstance(error, MemoryError):
        return _fail(2, f"not enough memory{f': {error}' if str(error) else ''}")
    if isinstance(error, ModuleNotFoundError) and error.name == "PIL":
        return _fail(2, 'pictures need Pillow: pip install "fastconv[image]"')
    if isinstance(error, KeyboardInterrupt):
        return _fail(130, "interrupted")
    if isinstance(error, OSError):  # of the output: what concerns other files is a RequestError
        with contextlib.suppress(OSError, ValueError):  # or the interpreter would try to write it again, and fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141 if isinstance(error, BrokenPipeError) else _fail(2, f"cannot write the output: {reason(error)}")
    traceback.print_exception(error)
    return 70


def _fail(code: int, message: str) -> int:
    say(f"error: {message}")
    return code


def _meant(word: str, accepted: Iterable[str]) -> str:
    """A question about a word that is nearly right."""
    return "".join(f"; did you mean {close!r}?" for close in difflib.get_close_matches(word, accepted, 1))


def _parser() -> Parser:
    parser = Parser(
        prog="fastconv",
        description="Fast convolution on the CPU.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    pictures = Parser(add_help=False)
    pictures.add_argument(
        "--lossy",
        action="store_true",
        help="take the first of several pictures, 16-bit colours as 8 bits, and a format that does not keep the colour "
        "profile or all colours; without it what would be lost is refused",
    )
    pictures.add_argument(
        "--max-pixels", type=int, default=MOST_PIXELS, metavar="N", help=f"of a picture; default: {MOST_PIXELS}"
    )

    task = commands.add_parser(
        "filter",
        parents=[pictures],
        help="filter a picture with a small kernel",
        description="Correlate a picture with a small kernel, each colour by itself. Alpha, resolution and colour "
        "profile are kept as they are.",
    )
    task.set_defaults(run=_filter)
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

    task = commands.add_parser(
        "find",
        parents=[pictures],
        help="find a figure in a picture",
        description="Find the place of a picture that looks most like a smaller one, whatever its brightness and "
        "contrast (normalised correlation: 1 is a perfect match). Two colour pictures are compared in all colours at "
        "once, else luminance is. Where the smaller one is transparent it does not count. Exit code 3: it is nowhere.",
    )
    task.set_defaults(run=_find)
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

    task = commands.add_parser("tour", help="the lecture that introduces convolution, in eight parts")
    task.set_defaults(run=_tour)
    task.add_argument(
        "--part",
        type=_part,
        action="append",
        metavar="PART",
        help="only this part, by number or name (may be repeated): "
        + ", ".join(f"{i} {name}" for i, name in enumerate(PARTS, 1)),
    )
    task.add_argument("-o", "--output", type=Path, default=Path("tour.png"), help="pictures; default: tour.png")

    task = commands.add_parser(
        "run",
        help="run a Python program, SciPy's and scikit-image's filters replaced",
        description="Run an unmodified program as python would, with the functions of scipy.signal, scipy.ndimage and "
        "skimage.feature that fastconv has replaced by them. FASTCONV_PATCH=0 switches that off.",
    )
    task.set_defaults(run=_run)
    task.add_argument("--report", action="store_true", help="say at the end which calls were left to the originals")
    task.add_argument("-m", dest="module", action="store_true", help="PROGRAM is the name of a module")
    task.add_argument("program", metavar="PROGRAM", help="a script, a folder or zip with __main__.py, or - for stdin")
    task.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="for the program")

    task = commands.add_parser("info", help="versions, instruction sets, threads")
    task.set_defaults(run=lambda _: fastconv.show_config())
    return parser


# fastconv filter ----------------------------------------------------------------------


def _filter(arguments: argparse.Namespace) -> None:
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
            y = _apply(fastconv.corr2d, x, bank, **where)
        except ValueError as error:
            raise RequestError(str(error)) from error
    milliseconds = (perf_counter() - start) * 1e3

    rule = arguments.range
    if rule == "auto":
        rule = "abs" if _sums_to_zero(bank[0]) else "clip"
    result = _to_pixels(y, rule, pixels.dtype)
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
        accepted = f"accepted: {', '.join(kernels.NAMED)}, or a .npy or .txt file{_meant(name, kernels.NAMED)}"
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


def _apply(corr2d: Callable[..., Array], x: Array, bank: Sequence[Array], **where: Any) -> Array:
    """Correlate with one kernel; of a pair, take the gradient's magnitude."""
    return reduce(np.hypot, [corr2d(x, kernel, **where) for kernel in bank])


def _sums_to_zero(kernel: Array) -> bool:
    """Whether flat areas give 0, but for the rounding of the weights."""
    return bool(abs(kernel.sum()) <= 1e-5 * np.abs(kernel).sum())


def _to_pixels(y: Array, rule: str, dtype: np.dtype[Any]) -> Array:
    """Results as pixels of the given type: ranged by the rule, rounded to nearest; overwrites them.

    Floating pixels have no range: clip leaves them alone and stretch takes 0 to 1.
    """
    whole = dtype.kind in "iu"
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if whole else (0, 1)
    if (whole or rule == "stretch") and not np.isfinite(y).all():
        raise RequestError("results are NaN or infinite: numbers of the picture or the kernel are, or are too large")
    if rule == "abs":
        y = np.abs(y, out=y)
    elif rule == "stretch":
        y = y - np.float64(y.min())
        y = low + y * ((high - low) / (y.max() or 1))
    return (np.rint(y, out=y).clip(low, high, out=y) if whole else y).astype(dtype)


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


# fastconv find ------------------------------------------------------------------------


def _find(arguments: argparse.Namespace) -> int:
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
        return _fail(
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
        scene = Image.fromarray(_to_pixels(pixels, "stretch", np.dtype(np.uint8)))
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


# fastconv tour ------------------------------------------------------------------------


def _part(word: str) -> int:
    """The number of a part that is given by number or name."""
    name = word.replace("-", "_")
    if name in PARTS:
        return PARTS.index(name) + 1
    if word.isdecimal() and 1 <= int(word) <= len(PARTS):
        return int(word)
    accepted = ", ".join(f"{i} {name}" for i, name in enumerate(PARTS, 1))
    raise argparse.ArgumentTypeError(f"there is no part {word!r}; accepted: {accepted}{_meant(name, PARTS)}")


def _tour(arguments: argparse.Namespace) -> None:
    name = file_format(arguments.output)
    numbers = arguments.part or range(1, len(tour.PARTS) + 1)
    panels: list[tour.Panel] = []
    for number in numbers:
        try:
            part = tour.PARTS[number - 1]()
        except ImportError as error:
            if arguments.part:
                raise RequestError(f"part {number}: {error}") from error
            print(f"{number}. is left out: {error}\n")
            continue
        print(f"{number}. {part.title}\n\n{indent(part.text, '   ')}\n", flush=True)
        panels += [panel._replace(title=f"{number}. {panel.title}") for panel in part.panels]
    if panels:
        write(tour.sheet(panels), arguments.output, name)
        print(f"Pictures: {arguments.output}")


# fastconv run -------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> None:
    count = fastconv.patch()
    try:
        run_program(arguments.program, arguments.arguments, module=arguments.module)
    except NoProgramError as error:
        raise RequestError(f"cannot run {arguments.program}: {error}") from error
    finally:
        if arguments.report:
            left = ", ".join(f"{name} {times}x" for name, times in sorted(fastconv.fallbacks().items()))
            print(f"fastconv: {count} globals replaced; left to the originals: {left or 'none'}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
