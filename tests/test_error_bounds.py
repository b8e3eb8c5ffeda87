# SPDX-License-Identifier: BSD-3-Clause
"""Every method within its bound where the bound is all that is left: subnormal numbers, single pixels, whole tiles."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import _core, feature, reference
from fastconv.arguments import matching
from fastconv.arguments.correlation import Options, correlation_arguments
from fastconv.reference.rounding import TILE_POINTS

SHAPES = [((9, 9), (3, 3)), ((40, 50), (11, 11)), ((200,), (31,)), ((9, 10, 11), (3, 3, 3)), ((3000,), (300,))]


def kernel(rng, shape, method):
    k = rng.standard_normal(shape)
    if method == "box":
        return np.full(shape, k.flat[0])
    if method == "separable":
        lines = [rng.standard_normal(n) for n in shape]
        k = lines[0]
        for line in lines[1:]:
            k = np.multiply.outer(k, line)
    return k


def methods_for(rank):
    """Those that take kernels of this rank."""
    refused = {1: ("separable",), 2: (), 3: ("box",)}[rank]
    return [m for m in ("direct", "im2col", "separable", "box", "fft") if m not in refused]


@pytest.mark.parametrize("dtype", [*cases.FLOATS, "complex64", "complex128"])
@pytest.mark.parametrize(("shape", "taps"), SHAPES, ids=str)
@pytest.mark.parametrize("scale", ["least", "few", "tiny"])
def test_subnormal_numbers(isa, rng, scale, shape, taps, dtype):
    """Of x, of k and in between: every step may be off by the smallest number there is."""
    info, rank = np.finfo(dtype), len(taps)
    corr = getattr(fastconv, f"corr{rank}d")
    unit = {"least": info.smallest_subnormal, "few": 1000 * info.smallest_subnormal, "tiny": info.tiny}[scale]
    x = (rng.integers(-99, 99, shape) * float(unit)).astype(dtype)
    for method in methods_for(rank):
        if dtype[0] == "c" and method in ("separable", "box", "im2col"):
            continue
        for size in (1e-3, 1e6):
            k = (size * kernel(rng, taps, method)).astype(dtype)
            with fastconv.checked():
                corr(x, k, "same", "edge", method=method)
                corr(x, k, "same", "edge", method=method, mask=rng.random(shape) < 0.9)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_one_bright_pixel_shows_what_factors_leave_out(rng, dtype):
    """A kernel that is an outer product but for noise is taken apart; its faint taps are nothing but noise."""
    hill = np.exp(-(np.linspace(-4, 4, 31) ** 2))
    for terms in (1, 2):
        k = sum(np.outer(hill**n, hill[::-1] ** n) for n in range(1, terms + 1))
        k = (k + np.finfo(dtype).eps / 4 * rng.standard_normal(k.shape)).astype(dtype)
        x = np.zeros((70, 70), dtype)
        x[35, 35] = 3
        with fastconv.checked():
            fastconv.corr2d(x, k, "same")
            fastconv.corr2d(x, k, "same", method="separable")
            fastconv.corr2d(x, k, "same", mask=rng.random(x.shape) < 0.5)


def test_factors_that_do_not_sum_to_one(rng):
    """What underflows in one pass is multiplied by the next."""
    x = (rng.standard_normal((40, 40)) * np.finfo("f4").tiny).astype("f4")
    for ky, kx in ((1e-3, 1e6), (1e6, 1e-3), (1e-30, 1e30)):
        with fastconv.checked():
            fastconv.sepcorr2d(x, ky * np.ones(9, "f4"), kx * np.ones(11, "f4"), "same")


def test_factors_whose_products_are_subnormal(rng):
    """Their taps have few digits, and those of two passes all."""
    x = rng.standard_normal((20, 30))
    for ky, kx, scale in ((1e-160, 1e-160, 1), (1e-165, 1e-160, 1e290), (1e-30, 1e-290, 1e9)):
        with fastconv.checked():
            fastconv.sepcorr2d(x * scale, ky * rng.standard_normal(7), kx * rng.standard_normal(9), "same", "edge")


@pytest.mark.parametrize("lost", [np.inf, np.nan, 1e200])
def test_factors_that_are_not_finite(rng, lost):
    """The kernel is their product, in which infinity times 0 is NaN; 1e200 times 1e200 is infinite."""
    x, ky, kx = rng.standard_normal((20, 30)), rng.standard_normal(7), rng.standard_normal(9)
    ky[2], kx[4:6] = lost, (0, 1e200)
    with fastconv.checked(), np.errstate(all="ignore"):
        y = fastconv.sepcorr2d(x, ky, kx, "same", "edge")
        np.testing.assert_array_equal(np.isnan(y), np.isnan(fastconv.corr2d(x, np.outer(ky, kx), "same", "edge")))
    with pytest.raises(ValueError, match="not all finite"):
        fastconv.sepcorr2d(x, ky, kx, method="separable")


@pytest.mark.parametrize("method", matching.MEASURES)
@pytest.mark.parametrize("size", [5, 20])
@pytest.mark.parametrize("scale", ["smallest_subnormal", "tiny"])
@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_subnormal_pictures(rng, dtype, scale, size, method):
    image = (rng.integers(0, 99, (60, 70)) * getattr(np.finfo(dtype), scale)).astype(dtype)
    with fastconv.checked():
        feature.match_template(image, image[9 : 9 + size, 9 : 9 + size], method=method)
        feature.match_template(image, rng.standard_normal((size, size)), method=method)


def test_the_bounds_know_the_tiles():
    """One constant says how many points are transformed together; every bound that speaks of transforms follows it."""
    assert _core.TILE_POINTS == TILE_POINTS
    image, template = np.where(np.indices((400, 400)).sum(0) % 2, -1, 1).astype("f4"), np.ones((8, 8), "f4")
    c = correlation_arguments(2, image, template, Options())
    m = matching.matching_arguments(image, template, method="ccorr")
    of_sums = reference.error_bound(c, transformed=TILE_POINTS)
    assert (reference.match_error_bound(m) >= of_sums).all()


def test_bounds_of_numbers_whose_squares_overflow_or_vanish():
    """Each was NaN, and so an error under `checked`: squares of one factor are infinite, those of the other zero."""
    x, k = np.arange(1.0, 301) * 1e-170, np.arange(1.0, 41) * 1e170
    for a, b in ((x, k), (k.repeat(8), x[:40])):
        with fastconv.checked():
            y = fastconv.corr1d(a, b, method="fft")
        np.testing.assert_allclose(y, reference.corr1d(a, b), rtol=1e-10)


def test_a_pass_along_one_axis_may_overflow():
    """Where the sums after both axes are finite, but those after one need not be, the bound says so."""
    ky, kx = np.array([1e305, 1e305]), np.array([1e-300, 2e-300])
    with fastconv.checked():
        fastconv.sepcorr2d(np.full((30, 40), 5e3), ky, kx, method="separable")
