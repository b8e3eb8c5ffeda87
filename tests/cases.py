# SPDX-License-Identifier: BSD-3-Clause
"""The one list of shapes, shared by tests/ and bench/, and the data that fills them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.boundaries import NAMES

Array = NDArray[Any]
Shape = tuple[int, int]

MODES = ("valid", "same", "full")
BOUNDARIES = NAMES
METHODS = ("direct", "im2col")
FLOATS = ("float32", "float64")
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")

# Pictures and kernels that are measured.
IMAGES = ((512, 512), (1080, 1920), (2160, 3840))
SQUARES = ((3, 3), (5, 5), (7, 7), (9, 9), (11, 11), (15, 15))

PICTURE = (1080, 1920)
LARGE_SQUARES = (21, 31, 63, 127)
GAUSSIANS = (3, 5, 7, 9, 15, 21, 31)
SIGNALS = (10**4, 10**5, 10**6)
TAPS = (5, 31, 255, 2047)
VOLUMES = (64, 128)
TEMPLATES = (8, 16, 32, 64, 128)

# Kernel heights: one slice of tap rows (up to 6 or 8), the first height that takes two, and three.
HEIGHTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17)
KERNEL_SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (2, 5), (5, 4), (7, 7), (9, 1), (1, 9), (17, 3))


@cache
def c_sizes() -> dict[str, int]:
    """The sizes at which the C core cuts, by name: of tiles, blocks, bands and chunks. So tests stay beyond them."""
    sizes = {}
    for path in sorted((Path(__file__).parents[1] / "csrc").rglob("*.[ch]")):
        for listed in re.findall(r"enum \{(.*?)\}", path.read_text(), re.DOTALL):
            for name, number, shift in re.findall(r"\b([A-Z_]+) = (\d+)(?: << (\d+))?\b", listed):
                sizes[f"{path.name} {name}"] = int(number) << int(shift or 0)
    return sizes


def cuts() -> tuple[tuple[Shape, Shape], ...]:
    """(image, kernel) around the sizes at which the driver cuts: blocks of columns, scratch tiles of 64 x 512, bands of
    rows, taps that do not fit on the stack, panels of im2col."""
    block, band, stack = (c_sizes()[n] for n in ("costs.h CORR_COLS", "costs.h FC_BAND_ROWS", "call.h FC_SMALL"))
    return (
        ((3, block + 3), (2, 3)),
        ((5, block), (1, 1)),
        ((67, 517), (3, 5)),
        ((64, 512), (5, 5)),
        ((band + 8, 40), (4, 4)),
        ((2 * band + 88, 9), (3, 2)),
        ((40, 300), (17, 17)),
        ((20, 100), (40, stack // 64)),
    )


# (image, kernel) where the continued image repeats: kernels larger than the image, images of one pixel.
REPEATS: tuple[tuple[Shape, Shape], ...] = (
    ((1, 1), (1, 1)),
    ((1, 1), (4, 5)),
    ((1, 7), (5, 2)),
    ((7, 1), (2, 5)),
    ((2, 9), (7, 3)),
    ((9, 2), (3, 7)),
    ((3, 2), (11, 12)),
    ((4, 5), (4, 5)),
)

# Convolution layers, (x, w, how): every regime of the drivers, each at its smallest.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1x1": ((2, 5, 6, 7), (9, 5, 1, 1), {}),
    "1x1, many channels": ((1, 700, 3, 5), (17, 700, 1, 1), {}),
    "1x1, strided": ((1, 4, 9, 8), (3, 4, 1, 1), {"stride": 2}),
    "1x1, padded": ((1, 3, 4, 4), (2, 3, 1, 1), {"padding": 1}),
    "3x3": ((1, 6, 12, 11), (33, 6, 3, 3), {"padding": 1}),
    "3x3, batch of small maps": ((5, 3, 4, 3), (8, 3, 3, 3), {"padding": 1}),
    "3x3, small maps that adjoin": ((6, 20, 7, 7), (15, 20, 3, 3), {"padding": 1}),
    "3x3, several parts": ((1, 150, 5, 6), (10, 150, 3, 3), {"padding": 1}),
    "3x3, wide": ((1, 2, 5, 2100), (4, 2, 3, 3), {"padding": (1, 0)}),
    "first layer": ((1, 3, 40, 37), (16, 3, 7, 7), {"stride": 2, "padding": 3}),
    "patches": ((1, 3, 16, 16), (7, 3, 4, 4), {"stride": 4}),
    "wide patches": ((2, 3, 20, 125), (7, 3, 6, 5), {"stride": (6, 5)}),
    "patches that overlap": ((1, 2, 21, 127), (5, 2, 7, 7), {"stride": 5}),
    "patches of several parts": ((1, 2, 119, 119), (17, 2, 17, 17), {"stride": 17}),
    "stride beyond the kernel": ((1, 3, 17, 16), (7, 3, 2, 2), {"stride": (3, 5)}),
    "dilated": ((1, 4, 15, 14), (5, 4, 3, 3), {"dilation": (2, 3), "padding": (2, 1)}),
    "dilated into wide padding": ((2, 40, 17, 30), (48, 40, 3, 3), {"dilation": (9, 12), "padding": (9, 12)}),
    "dilated and strided": ((1, 4, 25, 24), (5, 4, 3, 3), {"dilation": (2, 3), "stride": (2, 3)}),
    "strides far beyond the kernel": ((2, 3, 42, 89), (7, 3, 2, 3), {"stride": (33, 40), "padding": 3}),
    "1-D, a step of a megabyte": ((1, 5, 2**18 + 3), (4, 5, 3), {"stride": 2**18, "padding": 1}),
    "depthwise, strides far beyond the kernel": (
        (2, 18, 40, 99),
        (18, 1, 3, 2),
        {"groups": 18, "stride": (19, 31), "padding": 2},
    ),
    "groups": ((2, 12, 7, 9), (18, 4, 3, 3), {"groups": 3}),
    "groups of one row": ((1, 6, 8, 8), (6, 2, 3, 3), {"groups": 3, "padding": 1}),
    "depthwise": ((2, 7, 11, 19), (7, 1, 3, 3), {"groups": 7, "padding": 1}),
    "depthwise, strided": ((2, 7, 11, 35), (7, 1, 3, 3), {"groups": 7, "padding": 1, "stride": 2}),
    "depthwise, 5x5": ((1, 3, 30, 33), (3, 1, 5, 5), {"groups": 3, "padding": 2}),
    "depthwise, 7x7, small": ((1, 19, 7, 7), (19, 1, 7, 7), {"groups": 19, "padding": 3}),
    "depthwise, dilated": ((1, 3, 20, 20), (3, 1, 3, 3), {"groups": 3, "dilation": 2}),
    "depthwise, one channel": ((1, 1, 9, 11), (1, 1, 3, 3), {"padding": 1}),
    "depthwise, 5x5, strided": ((1, 16, 13, 15), (16, 1, 5, 5), {"groups": 16, "padding": 2, "stride": 2}),
    "depthwise, 3x4, strided": ((2, 17, 12, 30), (17, 1, 3, 4), {"groups": 17, "padding": (0, 1), "stride": (1, 2)}),
    "depthwise, 6x9, stride 3": ((1, 33, 16, 18), (33, 1, 6, 9), {"groups": 33, "padding": (3, 4), "stride": 3}),
    "one channel, many kernels": ((3, 1, 9, 8), (17, 1, 3, 3), {"padding": 1}),
    "one channel, many kernels, strided": ((2, 1, 24, 75), (9, 1, 5, 3), {"stride": 2, "padding": 1}),
    "depthwise, two kernels each": ((2, 18, 9, 10), (36, 1, 3, 3), {"groups": 18, "padding": 1, "stride": 2}),
    "depthwise, dilated, strided": (
        (1, 18, 15, 17),
        (18, 1, 3, 5),
        {"groups": 18, "dilation": (3, 2), "stride": (2, 3), "padding": (2, 3)},
    ),
    "depthwise, all dilated": ((1, 20, 15, 16), (20, 1, 3, 5), {"groups": 20, "dilation": (3, 2), "padding": 2}),
    "depthwise, far dilated": ((1, 18, 2, 9000), (18, 1, 1, 3), {"groups": 18, "dilation": (1, 4000), "stride": 2}),
    "depthwise, dilated beyond scratch": (
        (1, 8, 1, 40000),
        (8, 1, 1, 2),
        {"groups": 8, "dilation": 39000, "stride": 2},
    ),
    "depthwise, sides": ((1, 16, 9, 10), (16, 1, 3, 3), {"groups": 16, "padding": ((0, 2), (3, 0)), "stride": 2}),
    "depthwise, tall": ((1, 16, 300, 9), (16, 1, 3, 3), {"groups": 16, "padding": 1}),
    "depthwise, wide": ((1, 16, 12, 1500), (16, 1, 3, 3), {"groups": 16, "padding": 1}),
    "depthwise, wide, strided": ((1, 16, 23, 1500), (16, 1, 3, 3), {"groups": 16, "padding": 1, "stride": 2}),
    "depthwise, planes of 4 KB": ((1, 16, 32, 32), (16, 1, 3, 3), {"groups": 16, "padding": 1}),
    "depth multiplier": ((1, 5, 10, 10), (15, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depth multiplier, many groups": ((2, 20, 10, 9), (60, 1, 3, 3), {"groups": 20, "padding": 1, "stride": 2}),
    "one output": ((1, 20, 5, 5), (30, 20, 5, 5), {}),
    "one pixel": ((3, 40, 1, 1), (70, 40, 1, 1), {}),
    "one output, groups": ((3, 76, 2, 3), (42, 38, 2, 3), {"groups": 2}),
    "leftover pixels": ((2, 80, 7, 7), (70, 80, 3, 3), {"padding": 1}),
    "kernel beyond the image": ((1, 2, 3, 3), (2, 2, 7, 7), {"padding": 3}),
    "large kernel": ((1, 1, 41, 60), (2, 1, 37, 41), {}),
    "large kernel, strided": ((1, 1, 30, 41), (2, 1, 20, 17), {"stride": 2, "dilation": (1, 2), "padding": 3}),
    "large kernel, many kernels": ((1, 1, 25, 24), (9, 1, 19, 20), {}),
    "tall kernel, dilated": ((1, 1, 640, 4), (1, 1, 301, 2), {"dilation": (2, 1)}),
    "depthwise, large kernel": ((1, 17, 21, 22), (17, 1, 18, 19), {"groups": 17, "padding": 5}),
    "1-D, depthwise, long kernel": ((1, 17, 700), (17, 1, 601), {"groups": 17}),
    "sides": ((1, 3, 8, 9), (4, 3, 3, 2), {"padding": ((0, 2), (1, 0))}),
    "same, even": ((1, 3, 8, 9), (4, 3, 4, 2), {"padding": "same"}),
    "unbatched": ((3, 8, 9), (4, 3, 3, 3), {}),
    "1-D": ((2, 3, 50), (5, 3, 4), {"padding": 2, "stride": 2}),
    "1-D, long": ((1, 2, 5000), (3, 2, 9), {"dilation": 4}),
    "1-D, unbatched": ((3, 20), (4, 3, 3), {"padding": "same"}),
    "1-D, depthwise": ((2, 6, 90), (6, 1, 5), {"groups": 6, "padding": 2}),
    "1-D, depthwise, long": ((1, 19, 20000), (19, 1, 7), {"groups": 19, "padding": 3, "stride": 2}),
    "3-D": ((2, 3, 5, 6, 7), (4, 3, 2, 3, 2), {"padding": (1, 0, 1)}),
    "3-D, strided": ((1, 3, 7, 8, 9), (4, 3, 3, 3, 3), {"stride": 2, "dilation": (1, 2, 1), "padding": 1}),
    "3-D, 1x1x1": ((1, 30, 3, 4, 5), (12, 30, 1, 1, 1), {}),
    "a phase that begins late": ((1, 64, 28, 5), (64, 64, 1, 1), {"stride": 2, "padding": 1}),
    "a phase that begins late, dilated": ((2, 3, 9, 7), (4, 3, 3, 3), {"stride": 2, "padding": 1, "dilation": 2}),
    "phases of few taps, many channels": ((6, 5, 14, 14), (256, 5, 3, 3), {"stride": 2, "padding": 1}),
    "few outputs of a large kernel": ((2, 3, 43, 40), (8, 3, 41, 36), {"padding": ((0, 1), (2, 0))}),
    "few outputs, groups, strided": ((3, 6, 39, 37), (8, 3, 23, 19), {"stride": (9, 17), "groups": 2}),
    "3-D, one output": ((2, 3, 9, 17, 16), (2, 3, 9, 17, 16), {}),
    "3-D, a phase that begins late": (
        (1, 16, 7, 7, 7),
        (66, 8, 3, 3, 1),
        {"stride": (1, 1, 3), "padding": ((2, 2), (0, 0), (1, 5)), "dilation": (1, 2, 4), "groups": 2},
    ),
    "3-D, depthwise": ((1, 4, 5, 6, 20), (4, 1, 3, 3, 3), {"groups": 4, "padding": 1}),
    "3-D, depthwise, strided": (
        (2, 18, 5, 7, 8),
        (18, 1, 3, 3, 5),
        {"groups": 18, "padding": (2, 1, 2), "stride": (2, 1, 2)},
    ),
}


def fits(image: Shape, kernel: Shape) -> bool:
    """Whether mode "valid" has a result."""
    return kernel[0] <= image[0] and kernel[1] <= image[1]


def widths(dtype: DTypeLike) -> list[int]:
    """Output widths around one vector and around every block of the sliding kernel."""
    from fastconv import _core

    lanes = _core.table()["vector_bytes"] // np.dtype(dtype).itemsize
    blocks = {vectors * lanes for _, vectors in _core.table()["blocks"]}
    around = {n + d for n in {lanes, *blocks} for d in (-1, 0, 1)}
    return sorted({1, *around, 2 * max(blocks) + lanes + 1} - {0})


def tiles(h: int, dtype: DTypeLike) -> Iterator[tuple[Shape, Shape]]:
    """(image, kernel) whose valid output has fewer and more rows than the kernel, and is as wide as a block +-1."""
    for w in (1, 3):
        for rows in sorted({1, max(h // 2, 1), h, h + 3}):
            for cols in widths(dtype):
                yield (rows + h - 1, cols + w - 1), (h, w)


def integers(rng: np.random.Generator, shape: ArrayLike, dtype: DTypeLike) -> Array:
    """Integers so small that every sum of products of them is exact in the dtype (float16: up to 512 taps)."""
    dtype = np.dtype(dtype)
    most = {"b": 1, "u": 8}.get(dtype.kind, 2 if dtype == np.float16 else 8)
    if dtype.kind == "c":
        return (rng.integers(-most, most + 1, shape) + 1j * rng.integers(-most, most + 1, shape)).astype(dtype)
    return rng.integers(0 if dtype.kind in "bu" else -most, most + 1, shape).astype(dtype)


def reals(rng: np.random.Generator, shape: ArrayLike, dtype: DTypeLike) -> Array:
    """Normal random numbers."""
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def of_any_type(rng: np.random.Generator, shape: ArrayLike, dtypes: Sequence[str]) -> Array:
    """Numbers of about 40 in one of these dtypes."""
    dtype = np.dtype(str(rng.choice(dtypes)))
    values: Any = rng.standard_normal(shape) * 40
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(values.shape) * 40
    if dtype.kind == "u":
        values = np.abs(values)
    return np.asarray(values).astype(dtype)


def outcome(function: Callable[..., Any], *args: Any, **how: Any) -> Any:
    """What a call returns, or the exception it ends in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **how)
        except Exception as error:  # whatever it is, the other side has to raise the same
            return error


def assert_same_bits(actual: Array, expected: Array, what: object = "") -> None:
    """Equal in dtype, shape and every bit, so that 0 is not -0."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    actual, expected = (np.ascontiguousarray(a).view(np.uint8) for a in (actual, expected))
    np.testing.assert_array_equal(actual, expected, err_msg=str(what))
