# SPDX-License-Identifier: BSD-3-Clause
"""What type checkers see is what comes out: run by pytest, and read by mypy and pyright (strict) in .ci/run."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import ndimage, signal

x: NDArray[np.float32] = np.ones((5, 6), np.float32)
k: NDArray[np.float32] = np.ones((3, 3), np.float32)
row: NDArray[np.float32] = np.ones(5, np.float32)
pixels: NDArray[np.uint8] = np.ones((5, 6), np.uint8)


def test_correlation() -> None:
    y = fastconv.corr2d(x, k, "same", stride=2)
    assert_type(y, NDArray[np.float32])
    assert y.dtype == np.float32
    wide = fastconv.convolve2d(x, k, dtype=np.float64)
    assert_type(wide, NDArray[np.float64])
    assert wide.dtype == np.float64
    assert_type(fastconv.corr2d(pixels, k), Any)
    assert_type(fastconv.corr1d(row, row), NDArray[np.float32])
    assert_type(fastconv.sepcorr2d(x, row, row), NDArray[np.float32])


def test_signal() -> None:
    assert_type(signal.correlate2d(x, k), NDArray[np.float32])
    same = signal.convolve2d(pixels, pixels)
    assert_type(same, NDArray[np.uint8])
    assert same.dtype == np.uint8
    assert_type(signal.fftconvolve(x, k), NDArray[np.float32])
    assert_type(signal.choose_conv_method(x, k), str)
    assert_type(signal.choose_conv_method(x, k, measure=True), tuple[str, dict[str, float]])
    assert_type(signal.correlate2d(x, pixels), NDArray[Any])


def test_ndimage() -> None:
    blurred = ndimage.gaussian_filter(pixels, 1)
    assert_type(blurred, NDArray[np.uint8])
    assert blurred.dtype == np.uint8
    assert_type(ndimage.sobel(pixels, output=np.int16), NDArray[np.int16])
    out: NDArray[np.float64] = np.empty((5, 6))
    assert_type(ndimage.correlate(x, k, output=out), NDArray[np.float64])
    assert_type(ndimage.uniform_filter([[1, 2]], 3), NDArray[Any])
