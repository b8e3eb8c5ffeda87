# SPDX-License-Identifier: BSD-3-Clause
"""The one list of shapes, shared by tests/ and bench/, and the data that fills them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]
Shape = tuple[int, int]

MODES = ("valid", "same", "full")
BOUNDARIES = ("constant", "edge", "reflect", "symmetric", "wrap")
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

# (image, kernel) around the sizes at which the driver cuts: scratch tiles of 64 x 512, blocks of 8192 columns,
# bands of 128 rows, taps beyond 1 kB, im2col panels of 128 kB.
CUTS: tuple[tuple[Shape, Shape], ...] = (
    ((3, 8195), (2, 3)),
    ((5, 8192), (1, 1)),
    ((67, 517), (3, 5)),
    ((64, 512), (5, 5)),
    ((131, 40), (4, 4)),
    ((600, 9), (3, 2)),
    ((40, 300), (17, 17)),
    ((20, 100), (40, 60)),
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


def fits(image: Shape, kernel: Shape) -> bool:
    """Whether mode "valid" has a result."""
    return kernel[0] <= image[0] and kernel[1] <= image[1]


def widths(h: int, dtype: DTypeLike) -> list[int]:
    """Output widths around one vector and around every strip that a kernel of h rows, or a slice of it, can use."""
    from fastconv import _core

    lanes = _core.table()["vector_bytes"] // np.dtype(dtype).itemsize
    strips = {_core.corr_tile(rows)[1] * lanes for rows in range(1, h + 1)}
    around = {n + d for n in {lanes, *strips} for d in (-1, 0, 1)}
    return sorted({1, *around, 2 * max(strips) + lanes + 1} - {0})


def tiles(h: int, dtype: DTypeLike) -> Iterator[tuple[Shape, Shape]]:
    """(image, kernel) whose valid output is as tall as a slice of h rows or less, as wide as a strip +-1."""
    for w in (1, 3):
        for rows in sorted({1, max(h // 2, 1), h, h + 3}):
            for cols in widths(h, dtype):
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


def assert_same_bits(actual: Array, expected: Array, what: object = "") -> None:
    """Equal in dtype, shape and every bit, so that 0 is not -0."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    actual, expected = (np.ascontiguousarray(a).view(np.uint8) for a in (actual, expected))
    np.testing.assert_array_equal(actual, expected, err_msg=str(what))
