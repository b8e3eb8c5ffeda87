# SPDX-License-Identifier: BSD-3-Clause
"""Filter kernels: their numbers, their orientation, and what they refuse."""

from __future__ import annotations

import inspect
import itertools
import math
from functools import partial

import numpy as np
import pytest
from scipy import ndimage

import fastconv
from fastconv import kernels

MAKERS = {name: getattr(kernels, name) for name in kernels.__all__ if name != "NAMED"}
DERIVATIVES = [kernels.sobel, kernels.scharr, kernels.prewitt]
FRACTIONS = [kernels.box, kernels.gaussian, kernels.log, kernels.dog, kernels.unsharp, kernels.gabor]
SIZED = [make for make in MAKERS.values() if "size" in inspect.signature(make).parameters]
ANY_RANK = [make for make in MAKERS.values() if "ndim" in inspect.signature(make).parameters]
RAMP = np.tile(np.arange(3.0), (3, 1))  # brightness grows to the right

INTEGERS = {
    "identity": (kernels.identity, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "identity-3x1": (partial(kernels.identity, (3, 1)), [[0], [1], [0]]),
    "identity-1d": (partial(kernels.identity, 5, ndim=1), [0, 0, 1, 0, 0]),
    "sobel-x": (kernels.sobel, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "sobel-y": (partial(kernels.sobel, 0), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "sobel-1d": (partial(kernels.sobel, ndim=1), [-1, 0, 1]),
    "sobel-1d-7": (partial(kernels.sobel, size=7, ndim=1), [-1, -4, -5, 0, 5, 4, 1]),
    "sobel-3x1": (partial(kernels.sobel, 0, (3, 1)), [[-1], [0], [1]]),
    "sobel-5": (
        partial(kernels.sobel, size=5),
        [[-1, -2, 0, 2, 1], [-4, -8, 0, 8, 4], [-6, -12, 0, 12, 6], [-4, -8, 0, 8, 4], [-1, -2, 0, 2, 1]],
    ),
    "sobel-3d": (
        partial(kernels.sobel, 0, ndim=3),
        [
            [[-1, -2, -1], [-2, -4, -2], [-1, -2, -1]],
            [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
        ],
    ),
    "scharr-x": (kernels.scharr, [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]),
    "scharr-y": (partial(kernels.scharr, 0), [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]),
    "scharr-1d": (partial(kernels.scharr, ndim=1), [-1, 0, 1]),
    "scharr-3d": (
        partial(kernels.scharr, 2, ndim=3),
        [
            [[-9, 0, 9], [-30, 0, 30], [-9, 0, 9]],
            [[-30, 0, 30], [-100, 0, 100], [-30, 0, 30]],
            [[-9, 0, 9], [-30, 0, 30], [-9, 0, 9]],
        ],
    ),
    "prewitt-x": (kernels.prewitt, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
    "prewitt-y": (partial(kernels.prewitt, 0), [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
    "prewitt-1x5": (partial(kernels.prewitt, size=(1, 5)), [[-2, -1, 0, 1, 2]]),
    "prewitt-5x3": (
        partial(kernels.prewitt, 0, (5, 3)),
        [[-2, -2, -2], [-1, -1, -1], [0, 0, 0], [1, 1, 1], [2, 2, 2]],
    ),
    "laplacian": (kernels.laplacian, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "laplacian-1d": (partial(kernels.laplacian, ndim=1), [1, -2, 1]),
    "laplacian-8": (partial(kernels.laplacian, connectivity=2), [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
    "laplacian-3d": (
        partial(kernels.laplacian, ndim=3),
        [
            [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
            [[0, 1, 0], [1, -6, 1], [0, 1, 0]],
            [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        ],
    ),
    "laplacian-3d-18": (
        partial(kernels.laplacian, ndim=3, connectivity=2),
        [
            [[0, 1, 0], [1, 1, 1], [0, 1, 0]],
            [[1, 1, 1], [1, -18, 1], [1, 1, 1]],
            [[0, 1, 0], [1, 1, 1], [0, 1, 0]],
        ],
    ),
    "sharpen": (kernels.sharpen, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "sharpen-1d": (partial(kernels.sharpen, ndim=1), [-1, 3, -1]),
    "sharpen-8": (partial(kernels.sharpen, connectivity=2), [[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]),
    "emboss": (kernels.emboss, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}

# Fractions, as their formulas give them by hand or the named function printed them. A profile g stands
# for the 2-D kernel g[:, None] * g.
EXACT = {
    "box": (partial(kernels.box, 2), [[0.25, 0.25], [0.25, 0.25]]),
    "box-1x4": (partial(kernels.box, (1, 4)), [[0.25, 0.25, 0.25, 0.25]]),
    "box-3d": (partial(kernels.box, 2, ndim=3), np.full((2, 2, 2), 0.125)),
    "gaussian-1": (partial(kernels.gaussian, 1), [[1]]),
    "gaussian-tiny-sigma": (partial(kernels.gaussian, 2, 1e-3), [[0.25, 0.25], [0.25, 0.25]]),
    "gaussian-tiniest-sigma": (partial(kernels.gaussian, 3, 1e-300, ndim=1), [0, 1, 0]),
    "gaussian-huge-sigma": (partial(kernels.gaussian, 4, 1e300, ndim=1), [0.25] * 4),
    "unsharp-0": (partial(kernels.unsharp, 3, amount=0), [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
}
G3 = np.array([0.106507, 0.786986, 0.106507])  # cv2.getGaussianKernel(3, 0.5)
G4 = np.array([0.134471, 0.365529, 0.365529, 0.134471])  # 1 and exp(-1), over their sum
ROUNDED = {
    "gaussian-1d": (partial(kernels.gaussian, 4, 1.0, ndim=1), G4),
    "gaussian": (partial(kernels.gaussian, (4, 3), (1.0, 0.5)), G4[:, None] * G3),
    "gaussian-3d": (partial(kernels.gaussian, (1, 3, 4), (9, 0.5, 1.0)), (G3[:, None] * G4)[None]),
    # scipy.ndimage.gaussian_laplace(impulse, 2.0, truncate=8), from the centre
    "log-1d": (
        lambda dtype: kernels.log(33, 2.0, ndim=1, dtype=dtype)[16:22],
        [-0.049868, -0.033006, 0, 0.020237, 0.020247, 0.011503],
    ),
    "log": (
        lambda dtype: kernels.log(33, 2.0, dtype=dtype)[16:19, 16:19],
        [[-0.019894, -0.015362, -0.006033], [-0.015362, -0.01162, -0.003993], [-0.006033, -0.003993, 0]],
    ),
    # g = G3 has the variance v = 0.213014: g * ((-1, 0, 1)**2 - v) * 16
    "log-3": (partial(kernels.log, 3, ndim=1), [1.341114, -2.682228, 1.341114]),
    # scipy.ndimage.gaussian_filter(impulse, 1.0, radius=4) less that of 1.6, from the centre
    "dog-1d": (
        lambda dtype: kernels.dog(9, ndim=1, dtype=dtype)[4:],
        [0.148539, 0.035994, -0.060652, -0.038743, -0.010868],
    ),
    "unsharp": (
        partial(kernels.unsharp, 3, 0.5, 2.0),
        np.diag([0, 3, 0]) - 2 * G3[:, None] * G3,
    ),
    # cv2.getGaborKernel((5, 3), 2.0, 0.3, 4.0, 0.5, 0.2)
    "gabor": (
        partial(kernels.gabor, (3, 5), 2.0, 0.3, 4.0, 0.5, 0.2),
        [
            [-0.469275, -0.454068, 0.756960, 0.604336, -0.464460],
            [-0.625607, -0.115203, 0.980067, 0.237460, -0.590780],
            [-0.615717, 0.295952, 0.927973, -0.156432, -0.537809],
        ],
    ),
}


# values -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*INTEGERS, *EXACT])
def test_literals(name, dtype):
    make, expected = (INTEGERS | EXACT)[name]
    kernel = make(dtype=dtype)
    assert kernel.dtype == dtype
    assert kernel.flags.c_contiguous
    np.testing.assert_array_equal(kernel, expected)
    assert make().dtype == np.float32


@pytest.mark.parametrize("name", ROUNDED)
def test_rounded_literals(name):
    make, expected = ROUNDED[name]
    np.testing.assert_allclose(make(dtype=np.float64), expected, atol=4e-6)


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float16, np.complex64])
@pytest.mark.parametrize("name", INTEGERS)
def test_dtypes_that_hold_integers(name, dtype):
    make, expected = INTEGERS[name]
    kernel = make(dtype=dtype)
    assert kernel.dtype == dtype
    np.testing.assert_array_equal(kernel, expected)


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


@pytest.mark.parametrize(
    ("size", "sigma", "ndim"),
    [
        *itertools.product([3, 4, 11], [None, 0.3, 1.7, 40.0], [1, 2, 3]),
        *itertools.product([(5, 2), (1, 9), (7, 5)], [None, 0.3, (0.8, 2.0)], [2]),
        ((7, 5, 9), (0.8, 2.0, 1.1), 3),
    ],
)
@pytest.mark.parametrize(("make", "centre"), [(kernels.log, -1), (kernels.dog, 1)])
def test_band_passes_sum_to_zero(make, centre, size, sigma, ndim):
    kernel = make(size, sigma, ndim=ndim, dtype=np.float64)
    assert abs(kernel.sum()) < 1e-10 * abs(kernel).sum()
    assert np.sign(kernel[tuple(n // 2 for n in kernel.shape)]) == centre
    np.testing.assert_allclose(kernel, np.flip(kernel), atol=1e-10 * abs(kernel).max())


def test_log_is_the_laplacian_of_smooth_images():
    y, x = np.mgrid[-12:13, -12:13]
    for image, expected in ((x**2, 2), (y**2, 2), (x * y, 0), (3 * x + y, 0), (x**2 + 2 * y**2, 6)):
        assert (kernels.log(25, 1.5, dtype=float) * image).sum() == pytest.approx(expected, abs=1e-9)


def test_dog_is_near_minus_log():
    dog, log = (make(33, 2.0, dtype=float) for make in (partial(kernels.dog, ratio=1.001), kernels.log))
    np.testing.assert_allclose(dog, -0.001 * 2.0**2 * log, atol=0.002 * dog.max())


def test_default_sigmas():
    for make, rule in (
        (kernels.gaussian, lambda n: 0.3 * ((n - 1) * 0.5 - 1) + 0.8),
        (kernels.unsharp, lambda n: 0.3 * ((n - 1) * 0.5 - 1) + 0.8),
        (kernels.log, lambda n: max((n - 1) / 8, 0.5)),
        (kernels.dog, lambda n: max((n - 1) / 8, 0.5)),
    ):
        np.testing.assert_array_equal(make((3, 17)), make((3, 17), (rule(3), rule(17))))
    np.testing.assert_array_equal(kernels.gabor((17, 33)), kernels.gabor((17, 33), 2.0, lambd=2 / 0.56))


@pytest.mark.parametrize("make", DERIVATIVES)
def test_derivatives_are_positive_where_brightness_grows(make):
    assert (make(axis=1) * RAMP).sum() > 0
    assert (make(axis=0) * RAMP.T).sum() > 0
    assert (make(axis=1) * RAMP.T).sum() == 0
    np.testing.assert_array_equal(make(), make(axis=1))


@pytest.mark.parametrize("make", DERIVATIVES)
def test_derivatives_turn_with_their_axis(make):
    for axis in range(3):
        kernel = make(axis, ndim=3)
        np.testing.assert_array_equal(kernel, np.moveaxis(make(0, ndim=3), 0, axis))
        np.testing.assert_array_equal(kernel, make(axis - 3, ndim=3))


def test_prewitt_is_a_least_squares_fit():
    kernel = kernels.prewitt(0, (7, 5, 3), dtype=float)
    z, y, x = np.indices(kernel.shape)
    image = np.random.default_rng(0).random(kernel.shape)
    plane = np.stack([z.ravel(), y.ravel(), x.ravel(), np.ones(z.size)], 1)
    slope = np.linalg.lstsq(plane, image.ravel(), rcond=None)[0][0]
    assert (kernel * image).sum() / (kernel**2).sum() == pytest.approx(slope, rel=1e-12)


def test_gabor_answers_to_its_direction():
    y, x = np.mgrid[-10:11, -10:11]
    for theta in np.linspace(0, np.pi, 7):
        u = x * math.cos(theta) + y * math.sin(theta)  # from right to down
        edges = kernels.gabor(21, theta=theta, dtype=float)
        assert (edges * u).sum() > 0
        assert abs(edges.sum()) < 1e-12
        np.testing.assert_allclose(edges, -edges[::-1, ::-1], atol=1e-12)
        waves = kernels.gabor(21, 3.0, theta, 6.0, 0.5, 0.0, dtype=float)
        v = y * math.cos(theta) - x * math.sin(theta)
        along, across = (abs((waves * np.cos(2 * np.pi * w / 6)).sum()) for w in (u, v))
        assert along > 10 * across


# shapes -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ANY_RANK)
def test_rank(make):
    for ndim in (1, 2, 3):
        assert make(ndim=ndim).ndim == ndim
    np.testing.assert_array_equal(make(ndim=2), make())


@pytest.mark.parametrize("make", SIZED)
def test_size_per_axis(make):
    np.testing.assert_array_equal(make(size=(5, 5)), make(size=5))
    assert make(size=np.array([3, 5])).shape == (3, 5)
    assert make(size=np.int8(7)).shape == (7, 7)
    if make is not kernels.gabor:
        assert make(size=(3, 5, 7)).shape == (3, 5, 7)
        assert make(size=[7]).shape == (7,)


# size from sigma ----------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1, 2.5, 3, np.float32(1.2), (3, 0.4), (1, 2, 0.7), [2.0]])
@pytest.mark.parametrize("make", [kernels.gaussian, kernels.log, kernels.dog, kernels.unsharp])
def test_size_follows_from_sigma(make, sigma):
    """gaussian(sigma=3) had 5 x 5 weights, far from what it is to reach."""
    widest = 1.6 if make is kernels.dog else 1
    sigmas = sigma if np.iterable(sigma) else (sigma, sigma)
    shape = tuple(2 * int(4 * (widest * float(s)) + 0.5) + 1 for s in sigmas)
    if shape == (1,) * len(shape) and make in (kernels.log, kernels.dog):
        return
    kernel = make(sigma=sigma)
    assert kernel.shape == shape
    assert np.array_equal(kernel, make(shape, sigma))


def test_size_of_gabor_filters_follows_from_sigma():
    assert kernels.gabor(sigma=2).shape == (33, 17)  # the stripes are twice as long as the Gaussian is wide
    assert kernels.gabor(sigma=2, theta=math.pi / 2).shape == (17, 33)
    assert np.array_equal(
        kernels.gabor(sigma=2, theta=0.3), kernels.gabor(kernels.gabor(sigma=2, theta=0.3).shape, 2, 0.3)
    )


def test_sizes_without_sigma_stay():
    shapes = {"gaussian": (5, 5), "log": (9, 9), "dog": (9, 9), "unsharp": (5, 5), "gabor": (21, 21)}
    assert {name: getattr(kernels, name)().shape for name in shapes} == shapes


@pytest.mark.parametrize("sigma", [0.5, 2, (1.5, 0.8)])
def test_gaussian_is_that_of_scipys_filter_in_float64(rng, sigma):
    """README's row for gaussian_filter."""
    x = rng.random((40, 30))
    got = fastconv.corr2d(x, kernels.gaussian(sigma=sigma, dtype=x.dtype), "same", "symmetric")
    np.testing.assert_allclose(got, ndimage.gaussian_filter(x, sigma), rtol=0, atol=1e-14)


# what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [10**9, 10**30, (2**20, 2**21), (3, 10**12)])
@pytest.mark.parametrize("make", SIZED)
def test_huge_sizes_are_refused_before_anything_is_made(make, size):
    with pytest.raises(ValueError, match=r"^size must be .*; got"):
        make(size=size if make is not kernels.sobel or isinstance(size, tuple) else size + 1)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: kernels.gaussian(sigma=1e300), ValueError, "^sigma must be below"),
        (lambda: kernels.gaussian(sigma=10**400), ValueError, "^sigma must be positive"),
        (lambda: kernels.gaussian(sigma=(1, math.nan)), ValueError, "^sigma must be positive"),
        (lambda: kernels.gaussian(sigma=()), ValueError, "^sigma must be"),
        (lambda: kernels.gaussian(5, True), ValueError, "^sigma must be positive"),
        (lambda: kernels.log(sigma=0.1), ValueError, r"^size and sigma must leave .* size=\(1, 1\)"),
        (lambda: kernels.dog(sigma=1, ratio=10**400), ValueError, "^ratio must be"),
        (lambda: kernels.gabor(sigma="3"), ValueError, "^sigma must be"),
        (lambda: kernels.gabor(lambd=1e-320), ValueError, "^lambd must"),
        (lambda: kernels.sobel(size=2001), ValueError, "^size must be at most 1030"),
        (lambda: kernels.box(dtype="float17"), TypeError, "^dtype must be a type of NumPy; got 'float17'"),
        (lambda: kernels.box(dtype=3), TypeError, "^dtype must be"),
        (lambda: kernels.box(ndim=True), ValueError, "^ndim must be"),
        (lambda: kernels.sobel(axis=True), ValueError, "^axis must be"),
        (lambda: kernels.laplacian(connectivity=True), ValueError, "^connectivity must be"),
    ],
)
def test_refused_too(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("size", [0, -3, 2.0, "3", True, (), (3, 0), (3, 3, 3, 3), np.array(3.0)])
@pytest.mark.parametrize("make", SIZED)
def test_bad_size(make, size):
    with pytest.raises(ValueError) as error:
        make(size=size)
    assert str(error.value) == f"size must be a positive integer or one for each of 1 to 3 axes; got {size!r}"


@pytest.mark.parametrize("size", [4, (3, 4)])
@pytest.mark.parametrize("make", [kernels.identity, kernels.sobel, kernels.prewitt, kernels.unsharp])
def test_even_size(make, size):
    with pytest.raises(ValueError) as error:
        make(size=size)
    assert str(error.value) == f"size must be odd, so that the kernel has a centre; got {size!r}"


@pytest.mark.parametrize("ndim", [0, 4, -1, 2.0, "2", None])
@pytest.mark.parametrize("make", ANY_RANK)
def test_bad_ndim(make, ndim):
    with pytest.raises(ValueError) as error:
        make(ndim=ndim)
    assert str(error.value) == f"ndim must be 1, 2 or 3; got {ndim!r}"


@pytest.mark.parametrize("sigma", [0, -1.5, float("nan"), "1", (1, 0), (1,), (1, 2, 3), np.array([1, 1j])])
@pytest.mark.parametrize("make", [kernels.gaussian, kernels.log, kernels.dog, kernels.unsharp])
def test_bad_sigma(make, sigma):
    with pytest.raises(ValueError) as error:
        make(5, sigma)
    assert str(error.value) == f"sigma must be positive, one number or one for each axis (2); got {sigma!r}"


@pytest.mark.parametrize("axis", [2, -3, None, 1.0, "x"])
@pytest.mark.parametrize("make", DERIVATIVES)
def test_bad_axis(make, axis):
    with pytest.raises(ValueError) as error:
        make(axis)
    assert str(error.value) == f"axis must be an integer from -2 to 1; got {axis!r}"


@pytest.mark.parametrize("connectivity", [0, 3, 1.0, None])
@pytest.mark.parametrize("make", [kernels.laplacian, kernels.sharpen])
def test_bad_connectivity(make, connectivity):
    with pytest.raises(ValueError) as error:
        make(connectivity=connectivity)
    assert str(error.value) == f"connectivity must be an integer from 1 to ndim (2); got {connectivity!r}"


INF = float("inf")


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (kernels.sobel, {"size": (3, 1)}, "size must be at least 3 along axis 1; got 1"),
        (kernels.prewitt, {"size": 1, "axis": 0}, "size must be at least 3 along axis 0; got 1"),
        (kernels.gabor, {"size": (3, 3, 3)}, "size must be .* two of them for a Gabor filter; got \\(3, 3, 3\\)"),
        (kernels.gabor, {"sigma": 0}, "sigma must be a finite number above 0; got 0"),
        (kernels.gabor, {"sigma": (1, 1)}, "sigma must be a finite number above 0; got \\(1, 1\\)"),
        (kernels.gabor, {"theta": None}, "theta must be a finite number; got None"),
        (kernels.gabor, {"lambd": -1.0}, "lambd must be a finite number above 0; got -1.0"),
        (kernels.gabor, {"gamma": 0}, "gamma must be a finite number above 0; got 0"),
        (kernels.gabor, {"psi": INF}, "psi must be a finite number; got inf"),
        (kernels.dog, {"ratio": 1}, "ratio must be a finite number above 1; got 1"),
        (kernels.unsharp, {"amount": -INF}, "amount must be a finite number; got -inf"),
        (kernels.log, {"size": 1}, "size and sigma must leave weights other than 0; got size=1, sigma=None"),
        (kernels.dog, {"size": 1}, "size and sigma must leave weights other than 0; got size=1, sigma=None"),
        (kernels.log, {"size": 9, "sigma": 1e-300}, "other than 0; got size=9, sigma=1e-300"),
        (kernels.log, {"size": 9, "sigma": INF}, "other than 0; got size=9, sigma=inf"),
        (kernels.sobel, {"dtype": np.uint8}, "dtype must hold weights from -2 to 2; got uint8"),
        (kernels.sobel, {"size": 9, "dtype": np.int8}, "dtype must hold weights from -980 to 980; got int8"),
        (kernels.sobel, {"size": 99}, "dtype must hold weights from -.*e.*; got float32"),
        (kernels.sharpen, {"dtype": np.uint8}, "dtype must hold weights from -1 to 5; got uint8"),
        (kernels.emboss, {"dtype": bool}, "dtype must hold weights from -2 to 2; got bool"),
        (kernels.unsharp, {"amount": 1e300}, "dtype must hold weights .*; got float32"),
        (kernels.identity, {"dtype": object}, "dtype must be a numeric type; got object"),
        (kernels.laplacian, {"dtype": str}, "dtype must be a numeric type; got <U0"),
    ],
)
def test_refused(make, arguments, message):
    with pytest.raises(ValueError, match=f"{message}$"):
        make(**arguments)


@pytest.mark.parametrize("make", FRACTIONS)
def test_fractions_refuse_integers(make):
    with pytest.raises(ValueError, match="dtype must be a floating type; got int32"):
        make(dtype=np.int32)


# the table ----------------------------------------------------------------------------


def test_named():
    assert list(kernels.__all__) == sorted(kernels.__all__)
    assert set(MAKERS) <= set(kernels.NAMED)
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


# peers --------------------------------------------------------------------------------


def test_against_opencv():
    cv2 = pytest.importorskip("cv2")
    for size, sigma in ((3, 0.5), (5, 1.1), (7, 2.0), (31, 4.0)):
        profile = cv2.getGaussianKernel(size, sigma, cv2.CV_64F)
        kernel = kernels.gaussian(size, sigma, dtype=np.float64)
        np.testing.assert_allclose(kernel, profile @ profile.T, rtol=1e-12)
    profile = cv2.getGaussianKernel(31, 0, cv2.CV_64F)  # 0 asks for the rule
    np.testing.assert_allclose(kernels.gaussian(31, dtype=np.float64), profile @ profile.T, rtol=1e-12)

    scharr = (cv2.FILTER_SCHARR, kernels.scharr)
    for ksize, make in (scharr, *((n, partial(kernels.sobel, size=n)) for n in range(3, 32, 2))):
        for axis in (0, 1):
            across, down = cv2.getDerivKernels(axis, 1 - axis, ksize, ktype=cv2.CV_64F)
            np.testing.assert_array_equal(make(axis, dtype=float), down @ across.T)
    across, down = cv2.getDerivKernels(1, 0, 1)
    np.testing.assert_array_equal(kernels.sobel(size=(1, 3)), down @ across.T)

    impulse = np.zeros((5, 5), np.float32)
    impulse[2, 2] = 1
    four, eight = kernels.laplacian(), kernels.laplacian(connectivity=2)
    np.testing.assert_array_equal(four, cv2.Laplacian(impulse, cv2.CV_32F, ksize=1)[1:4, 1:4])
    np.testing.assert_array_equal(2 * (eight - four), cv2.Laplacian(impulse, cv2.CV_32F, ksize=3)[1:4, 1:4])


def test_gabor_against_opencv():
    cv2 = pytest.importorskip("cv2")
    for rows, columns in ((21, 21), (5, 9), (1, 7)):
        for theta in (0, 0.3, math.pi / 2, 2.5, -1):
            for psi in (0, 0.2, math.pi / 2, -1.3):
                expected = cv2.getGaborKernel((columns, rows), 2.0, theta, 5.0, 0.7, psi, cv2.CV_64F)
                kernel = kernels.gabor((rows, columns), 2.0, theta, 5.0, 0.7, psi, dtype=float)
                np.testing.assert_allclose(kernel, expected, atol=1e-14)
    default = cv2.getGaborKernel((21, 21), 2.5, 0, 2.5 / 0.56, 0.5, ktype=cv2.CV_64F)
    np.testing.assert_allclose(kernels.gabor(dtype=float), default, atol=1e-14)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_against_scipy(ndim):
    ndimage = pytest.importorskip("scipy.ndimage")
    # The response to an impulse is the kernel, turned by half a turn.
    impulse = np.zeros((5,) * ndim)
    impulse[(2,) * ndim] = 1
    inner = (slice(3, 0, -1),) * ndim
    pairs = [
        (kernels.laplacian(ndim=ndim), ndimage.laplace(impulse)),
        (kernels.box(3, ndim=ndim, dtype=float), ndimage.uniform_filter(impulse, 3)),
        (kernels.gaussian(3, 0.8, ndim=ndim, dtype=float), ndimage.gaussian_filter(impulse, 0.8, radius=1)),
    ]
    for axis in range(ndim):
        pairs.append((kernels.sobel(axis, ndim=ndim), ndimage.sobel(impulse, axis)))
        pairs.append((kernels.prewitt(axis, ndim=ndim), ndimage.prewitt(impulse, axis)))
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs[inner], atol=1e-15)

    size = (41, 39, 33)[:ndim]
    sigma = (2.5, 2.0, 1.5)[:ndim]
    impulse = np.zeros(size)
    impulse[tuple(n // 2 for n in size)] = 1
    narrow = ndimage.gaussian_filter(impulse, sigma, truncate=8)
    wide = ndimage.gaussian_filter(impulse, [1.2 * s for s in sigma], truncate=8)
    for make, theirs in (
        (kernels.gaussian, narrow),
        (kernels.log, ndimage.gaussian_laplace(impulse, sigma, truncate=8)),
        (partial(kernels.dog, ratio=1.2), narrow - wide),
        (partial(kernels.unsharp, amount=3), impulse + 3 * (impulse - narrow)),
    ):
        np.testing.assert_allclose(make(size, sigma, dtype=float), theirs, atol=1e-9 * abs(theirs).max())
