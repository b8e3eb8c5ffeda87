# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of the command line, read and written by Pillow: what would be lost on the way is refused, or told.

Pillow is the extra "image"; only these functions import it, so that a command which needs no picture needs no Pillow.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastconv.files import written_whole
from fastconv.wide_colours import WideImage, is_wide, opened_wide

if TYPE_CHECKING:
    from PIL import Image, ImageFile

Array = NDArray[Any]

RANGES = ("auto", "clip", "abs", "stretch")  # how results become pixels
MOST_PIXELS = 89_478_485  # of a picture, as Pillow: a small file can claim to be a large picture
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF")  # formats that are meant to change pixels; all of 8 bits
INKS = ("JPEG", "TIFF")  # formats that hold printing colours
STANDARD = Path("-")  # stdin, stdout
FIRST_IS_ALL = ("MPO", "PSD")  # the other pictures are previews or layers of the first
HOLDS = {mode: ".png and .tif hold 16 bits" for mode in ("16-bit RGB", "16-bit RGBA")} | {
    "I;16": ".png and .tif hold 16 bits",
    "I": ".tif holds 32 bits",
    "F": ".tif holds floats",
}


class RequestError(Exception):
    """The user asked for something that cannot be done; the text says why."""


# ---- in ------------------------------------------------------------------------------------------


def read(path: Path, most: int = MOST_PIXELS, lossy: bool = False, inks: bool = False, wide: bool = False) -> Any:
    """Upright picture of mode L, LA, RGB, RGBA, or with one wide channel (I;16, I, F); the path - is stdin.

    Palette, bilevel and printing pictures become grey or RGB, with alpha where they have transparency; with `inks`
    printing pictures stay CMYK; with `wide` colours of 16 bits are a `WideImage`. Refuses a picture of more than `most`
    pixels and, unless `lossy`, one of which Pillow would not read everything.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with _pixels_at_most(most), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # (by its path Pillow would map a file into memory, and then does not turn it right)
            with path.open("rb") if path != STANDARD else _stdin(most) as opened, Image.open(opened) as file:
                wide = wide and not lossy and is_wide(file)
                losses = [] if lossy else list(_losses(file, inks, wide))
                if losses:
                    raise RequestError(f"{path} would lose {' and '.join(losses)}; --lossy takes what is left")
                read_from = str(file.tile)
                if wide:
                    return opened_wide(opened)
                image = ImageOps.exif_transpose(file)
            grey = image.mode in ("1", "L", "LA")
            if image.mode == "I" and re.search(r"'I;16[BLN]?'", read_from):
                image = image.convert("I;16")  # what 16 bits were read into
            elif image.mode[0] not in "IF" and not (inks and image.mode == "CMYK"):
                image = image.convert(("L" if grey else "RGB") + "A" * image.has_transparency_data)
    except (RequestError, MemoryError, ModuleNotFoundError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise RequestError(f"cannot read {path}: more than {most} pixels; --max-pixels allows more") from error
    except UnidentifiedImageError as error:
        raise RequestError(f"cannot read {path}: cannot identify image file") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise RequestError(f"cannot read {path}: {reason(error)}") from error
    for message in dict.fromkeys(str(w.message) for w in told if not issubclass(w.category, DeprecationWarning)):
        say(f"{path}: {' '.join(message.split())}")
    return image


def _stdin(most: int) -> BinaryIO:
    """What stdin holds: at most as many bytes as so many pixels of any kind have."""
    if not sys.stdin:
        raise RequestError("cannot read -: there is no stdin")
    held, most = BytesIO(), 16 * most + 2**20
    while part := sys.stdin.buffer.read(2**20):
        if held.tell() + len(part) > most:
            raise RequestError(f"cannot read -: more than {most} bytes; --max-pixels allows more")
        held.write(part)
    held.seek(0)
    return held


def _losses(file: ImageFile.ImageFile, inks: bool, wide: bool) -> Iterator[str]:
    """What of a file is not in the picture that Pillow makes of it."""
    pictures = getattr(file, "n_frames", 1)
    if pictures > 1 and file.format not in FIRST_IS_ALL:
        yield f"all but the first of its {pictures} pictures"
    for codec, _, _, raw in file.tile:
        of_ppm = codec == "ppm" and isinstance(raw, tuple) and raw[1] > 255
        if not wide and (of_ppm or codec == "SGI16" or re.search(";16[BLN]", str(raw))) and file.mode[0] not in "IF":
            yield "8 of the 16 bits of its colours"
            break
    if file.mode == "CMYK" and file.info.get("icc_profile") and not inks:
        yield "its colour profile, which is one of printing colours"
    if file.mode[0] in "IF" and file.has_transparency_data:
        yield "its transparency"


@contextlib.contextmanager
def _pixels_at_most(most: int | None) -> Iterator[None]:
    """Let Pillow look at the size of a picture before it decodes it."""
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


# ---- out -----------------------------------------------------------------------------------------


def file_format(path: Path, of_stdout: str | None = None) -> str:
    """Pillow's name of the format that the file's extension asks for; of - the one that is given, by default png."""
    from PIL import Image

    if path == STANDARD:
        path = Path(f"stdout.{(of_stdout or 'png').removeprefix('.')}")
        if sys.stdout and sys.stdout.isatty():
            raise RequestError("cannot write -: stdout is a terminal, which shows no picture")
    elif not os.path.isdir(path.parent):  # Path.is_dir raises where it may not look
        raise RequestError(f"cannot write {path}: no folder {path.parent}")
    formats = Image.registered_extensions()
    writable = {ending for ending, name in formats.items() if name in Image.SAVE}
    ending = path.suffix.lower()
    if ending not in writable:
        raise RequestError(
            f"cannot write {path}: unknown extension {ending!r}; accepted: {', '.join(sorted(writable))}"
        )
    return formats[ending]


def write(
    image: Image.Image | WideImage, path: Path, name: str, info: Mapping[Any, Any] | None = None, lossy: bool = False
) -> str:
    """Write the whole picture or nothing, in the format of that name, with the colour profile and resolution of `info`.

    The path - is stdout. What is written is read again: unless `lossy`, a format that does not give back pixels and
    profile is refused. Returns what there is to say about a resolution that is not kept.
    """
    info = info or {}
    keep: dict[str, Any] = {"icc_profile": info.get("icc_profile") or None}  # (without, Pillow takes the image's)
    if all(0 < float(n) < math.inf for n in info.get("dpi") or (0,)):
        keep["dpi"] = info["dpi"]
    written = BytesIO()
    hint = HOLDS.get(image.mode, ".png and .tif hold everything")
    try:
        image.save(written, name, **keep)
    except MemoryError:
        raise
    except Exception as error:  # what a format cannot hold it refuses in its own way
        more = "" if getattr(error, "strerror", None) else f"; {hint}"
        raise RequestError(f"cannot write {path}: {reason(error)}{more}") from error
    lost, kept = _again(image, written, name)
    if kept.get("icc_profile") != keep["icc_profile"]:
        lost += ["colour profile"]
    if lost and not lossy:
        what = " and ".join(lost)
        raise RequestError(f"cannot write {path}: {name} does not keep the picture's {what}; {hint}, --lossy lets go")
    if path == STANDARD:
        if sys.stdout:
            sys.stdout.flush()
            sys.stdout.buffer.write(written.getbuffer())
            sys.stdout.buffer.flush()
        return _resolution(keep, kept)
    write_bytes(written.getbuffer(), path)
    return _resolution(keep, kept)


def write_bytes(content: bytes | memoryview, path: Path) -> None:
    """Write everything or nothing."""
    try:
        with _until_removed(), written_whole(path) as file:
            file.write(content)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {reason(error)}") from error


def _resolution(keep: Mapping[Any, Any], kept: Mapping[Any, Any]) -> str:
    return ", resolution not kept" if "dpi" in keep and "dpi" not in kept else ""


def _again(image: Image.Image | WideImage, written: BytesIO, name: str) -> tuple[list[str], dict[Any, Any]]:
    """Read a picture again: what it has lost, and what Pillow knows of it.

    Pillow does not read all that it writes (.pdf), or only with another program's help (.eps): then nothing is known.
    """
    from PIL import Image

    try:
        with _pixels_at_most(None), Image.open(written) as file:
            if isinstance(image, WideImage):
                same = is_wide(file) and np.array_equal(np.asarray(image), np.asarray(opened_wide(written)))
            elif name in LOSSY:
                same = image.mode[0] not in "IF"
            else:
                try:
                    pixels, again = np.asarray(image), np.asarray(file.convert(image.mode))
                    same = np.array_equal(pixels, again, equal_nan=image.mode == "F")
                except ValueError:  # it is no longer of a mode that is converted to the other
                    same = False
            return [] if same else ["pixels"], file.info
    except OSError:
        return ["pixels"] if name in Image.OPEN and name != "EPS" else [], {}


@contextlib.contextmanager
def _until_removed() -> Iterator[None]:
    """End by an exception where a signal would end the process at once, so that no part of a file is left."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    deadly = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)


# ---- words ---------------------------------------------------------------------------------------


def reason(error: Exception) -> object:
    """Say what went wrong, without the number and the path an OSError adds."""
    return getattr(error, "strerror", None) or error


def say(message: str) -> None:
    """A line for stderr, if there is one."""
    with contextlib.suppress(OSError):
        if sys.stderr:
            print(f"fastconv: {message}", file=sys.stderr, flush=True)


def to_pixels(y: Array, rule: str, dtype: np.dtype[Any]) -> Array:
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
