# SPDX-License-Identifier: BSD-3-Clause
"""Filter kernels: their numbers, their orientation, and what they refuse."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fastconv import kernels

RAMP = np.tile(np.arange(3.0), (3, 1))  # brightness grows to the right

LITERALS = {
    "identity": (kernels.identity, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "box": (partial(kernels.box, 2), [[0.25, 0.25], [0.25, 0.25]]),
    "gaussian-1": (partial(kernels.gaussian, 1), [[1]]),
    "gaussian-tiny-sigma": (
        partial(kernels.gaussian, 2, 1e-3),
        [[0.25, 0.25], [0.25, 0.25]],
    ),
    "sobel-x": (kernels.sobel, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "sobel-y": (partial(kernels.sobel, 0), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "scharr-x": (kernels.scharr, [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]),
    "scharr-y": (partial(kernels.scharr, 0), [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]),
    "prewitt-x": (kernels.prewitt, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
    "prewitt-y": (partial(kernels.prewitt, 0), [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
    "laplacian": (kernels.laplacian, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "sharpen": (kernels.sharpen, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "emboss": (kernels.emboss, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LITERALS)
def test_literals(name, dtype):
    make, expected = LITERALS[name]
    kernel = make(dtype=dtype)
    assert kernel.dtype == dtype
    assert kernel.flags.c_contiguous
    np.testing.assert_array_equal(kernel, expected)
    assert make().dtype == np.float32


def test_integer_dtypes():
    for make in (
        kernels.identity,
        kernels.sobel,
        kernels.scharr,
        kernels.prewitt,
        kernels.laplacian,
        kernels.sharpen,
        kernels.emboss,
    ):
        kernel = make(dtype=np.int16)
        assert kernel.dtype == np.int16
        np.testing.assert_array_equal(kernel, make())


def test_gaussian_formula():
    x = np.arange(-2, 3)
    expected = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.1**2))
    kernel = kernels.gaussian(5, dtype=np.float64)  # the rule gives sigma 1.1
    np.testing.assert_allclose(kernel, expected / expected.sum(), rtol=1e-14)
    np.testing.assert_array_equal(kernel, kernels.gaussian(5, 1.1, dtype=np.float64))


@pytest.mark.parametrize("size", [1, 2, 5, 8, 31])
@pytest.mark.parametrize("make", [kernels.box, kernels.gaussian])
def test_averages_sum_to_one(make, size):
    kernel = make(size, dtype=np.float64)
    assert kernel.shape == (size, size)
    assert kernel.sum() == pytest.approx(1, rel=1e-14)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1].T)


@pytest.mark.parametrize("make", [kernels.sobel, kernels.scharr, kernels.prewitt])
def test_derivatives_are_positive_where_brightness_grows(make):
    assert (make(axis=1) * RAMP).sum() > 0
    assert (make(axis=0) * RAMP.T).sum() > 0
    assert (make(axis=1) * RAMP.T).sum() == 0


@pytest.mark.parametrize("size", [0, -3, 2.0, "3", None])
@pytest.mark.parametrize("make", [kernels.identity, kernels.box, kernels.gaussian])
def test_bad_size(make, size):
    with pytest.raises(ValueError, match=rf"size must be a positive .*got {size!r}"):
        make(size)


def test_even_identity():
    with pytest.raises(ValueError, match=r"size must be odd.* got 4"):
        kernels.identity(4)


@pytest.mark.parametrize("sigma", [0, -1.5, float("nan")])
def test_bad_sigma(sigma):
    with pytest.raises(ValueError, match=f"sigma must be positive, got {sigma!r}"):
        kernels.gaussian(5, sigma)


@pytest.mark.parametrize("axis", [2, -1, None])
@pytest.mark.parametrize("make", [kernels.sobel, kernels.scharr, kernels.prewitt])
def test_bad_axis(make, axis):
    with pytest.raises(ValueError, match=rf"axis must be 0 .* or 1 .*got {axis!r}"):
        make(axis)


@pytest.mark.parametrize("make", [kernels.box, kernels.gaussian])
def test_averages_refuse_integers(make):
    with pytest.raises(ValueError, match="dtype must be a floating type, got int32"):
        make(dtype=np.int32)


def test_named():
    for name, makers in kernels.NAMED.items():
        for make in makers:
            assert make().ndim == 2, name
    for name in ("sobel", "scharr", "prewitt"):
        across, down = kernels.NAMED[name]
        np.testing.assert_array_equal(across(), getattr(kernels, name)(axis=1))
        np.testing.assert_array_equal(down(), getattr(kernels, name)(axis=0))
    assert len(kernels.NAMED["sobel-x"]) == len(kernels.NAMED["sobel-y"]) == 1
    np.testing.assert_array_equal(kernels.NAMED["sobel-x"][0](), kernels.sobel(1))
    np.testing.assert_array_equal(kernels.NAMED["sobel-y"][0](), kernels.sobel(0))


def test_against_opencv():
    cv2 = pytest.importorskip("cv2")
    for size, sigma in ((3, 0.5), (5, 1.1), (7, 2.0), (31, 4.0)):
        profile = cv2.getGaussianKernel(size, sigma, cv2.CV_64F)
        np.testing.assert_allclose(
            kernels.gaussian(size, sigma, dtype=np.float64),
            profile @ profile.T,
            rtol=1e-12,
        )
    profile = cv2.getGaussianKernel(31, 0, cv2.CV_64F)  # 0 asks for the rule
    np.testing.assert_allclose(kernels.gaussian(31, dtype=np.float64), profile @ profile.T, rtol=1e-12)
    for ksize, make in ((3, kernels.sobel), (cv2.FILTER_SCHARR, kernels.scharr)):
        for axis in (0, 1):
            across, down = cv2.getDerivKernels(axis, 1 - axis, ksize)
            np.testing.assert_array_equal(make(axis), down @ across.T)
    impulse = np.zeros((5, 5), np.float32)
    impulse[2, 2] = 1
    response = cv2.Laplacian(impulse, cv2.CV_32F, ksize=1)[1:4, 1:4]
    np.testing.assert_array_equal(kernels.laplacian(), response)


def test_against_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 1
    # The response to an impulse is the kernel, turned by half a turn.
    for ours, theirs in (
        (kernels.sobel(0), ndimage.sobel(impulse, 0)),
        (kernels.sobel(1), ndimage.sobel(impulse, 1)),
        (kernels.prewitt(0), ndimage.prewitt(impulse, 0)),
        (kernels.prewitt(1), ndimage.prewitt(impulse, 1)),
        (kernels.laplacian(), ndimage.laplace(impulse)),
        (kernels.box(3, dtype=float), ndimage.uniform_filter(impulse, 3)),
        (
            kernels.gaussian(3, 0.8, dtype=float),
            ndimage.gaussian_filter(impulse, 0.8, radius=1),
        ),
    ):
        np.testing.assert_allclose(ours, theirs[3:0:-1, 3:0:-1], atol=1e-15)
