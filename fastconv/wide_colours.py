# SPDX-License-Identifier: BSD-3-Clause
"""Colours of 16 bits, which Pillow has no mode for: read by it in two halves, written here as .png and .tif.

Pillow keeps the high byte of each number. If it is told that the bytes are the other way round, it keeps the low one.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import ImageFile

Array = NDArray[Any]
OTHER = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}  # the other order of bytes; N is the machine's own
DEEP = re.compile(r"RGBA?;16[BLN]")


class WideImage:
    """A picture of 16-bit colours: what is used of an image of Pillow's."""

    def __init__(self, pixels: Array, info: Mapping[Any, Any]) -> None:
        self.pixels, self.info = pixels, info
        self.height, self.width = pixels.shape[:2]
        self.mode = "16-bit RGBA" if pixels.shape[2] == 4 else "16-bit RGB"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.pixels, dtype, copy=copy)

    def save(self, file: BinaryIO, name: str, icc_profile: bytes | None = None, dpi: Any = None) -> None:
        """Write it in the format of that name."""
        writers = {"PNG": _png, "TIFF": _tiff}
        if name not in writers:
            raise OSError(f"cannot write mode {self.mode} as {name}")
        file.write(writers[name](self.pixels, icc_profile, dpi))


def is_wide(file: ImageFile.ImageFile) -> bool:
    """Whether all of an opened picture is colours of 16 bits, without losses on the way."""
    raw: list[Any] = [tile[3] for tile in file.tile]
    modes = [str(how if isinstance(how, str) else how[0]) if how else "" for how in raw]
    return bool(modes) and all(DEEP.fullmatch(mode) for mode in modes)


def opened_wide(opened: BinaryIO) -> WideImage:
    """The picture in a file, upright."""
    from PIL import Image, ImageOps

    halves = []
    for low in (False, True):
        opened.seek(0)
        with Image.open(opened) as file:
            if low:
                file.tile = [tile._replace(args=_turned(tile.args)) for tile in file.tile]
            turned = ImageOps.exif_transpose(file)
            halves.append(np.asarray(turned))
    return WideImage(halves[0] * np.uint16(256) + halves[1], turned.info)


def _turned(how: Any) -> Any:
    if isinstance(how, str):
        return how[:-1] + OTHER[how[-1]]
    return (_turned(how[0]), *how[1:])


def _png(pixels: Array, icc_profile: bytes | None, dpi: Any) -> bytes:
    """Each row less the one above, which compresses well."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, colours = pixels.shape
    rows = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(height, -1)
    filtered = np.full((height, rows.shape[1] + 1), 2, np.uint8)
    filtered[:, 1:] = rows
    filtered[1:, 1:] -= rows[:-1]
    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6 if colours == 4 else 2, 0, 0, 0))]
    if icc_profile:
        chunks.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile)))
    if dpi:
        chunks.append(chunk(b"pHYs", struct.pack(">IIB", *(round(float(n) / 0.0254) for n in dpi), 1)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [*chunks, chunk(b"IDAT", zlib.compress(filtered.tobytes())), chunk(b"IEND", b"")]
    )


def _tiff(pixels: Array, icc_profile: bytes | None, dpi: Any) -> bytes:
    """One strip, deflated."""
    height, width, colours = pixels.shape
    data = zlib.compress(pixels.astype("<u2").tobytes())
    short, long, rational, undefined = 3, 4, 5, 7
    tags: list[tuple[int, int, int, bytes]] = [  # number, type, count, value
        (256, long, 1, struct.pack("<I", width)),
        (257, long, 1, struct.pack("<I", height)),
        (258, short, colours, struct.pack("<H", 16) * colours),
        (259, short, 1, struct.pack("<H", 8)),  # deflate
        (262, short, 1, struct.pack("<H", 2)),  # RGB
        (273, long, 1, struct.pack("<I", 8)),  # the strip begins behind the header
        (277, short, 1, struct.pack("<H", colours)),
        (278, long, 1, struct.pack("<I", height)),
        (279, long, 1, struct.pack("<I", len(data))),
    ]
    if dpi:
        tags += [
            (tag, rational, 1, struct.pack("<II", round(float(n) * 10000), 10000))
            for tag, n in zip((282, 283), dpi, strict=True)
        ]
        tags.append((296, short, 1, struct.pack("<H", 2)))  # inches
    if colours == 4:
        tags.append((338, short, 1, struct.pack("<H", 2)))  # alpha that colours are not multiplied by
    if icc_profile:
        tags.append((34675, undefined, len(icc_profile), icc_profile))
    strip = data + b"\0" * (len(data) % 2)
    at = 8 + len(strip)
    later = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for number, kind, count, value in tags:
        where = value.ljust(4, b"\0")
        if len(value) > 4:
            where = struct.pack("<I", later + len(values))
            values += value + b"\0" * (len(value) % 2)
        entries += struct.pack("<HHI", number, kind, count) + where
    return b"II*\0" + struct.pack("<I", at) + strip + struct.pack("<H", len(tags)) + entries + bytes(4) + values
