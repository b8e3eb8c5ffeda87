# SPDX-License-Identifier: BSD-3-Clause
"""The reference itself: against its formula written out, numpy.pad and SciPy. Independent of the extension."""

from __future__ import annotations

import cases
import numpy as np
import oracles
import pytest
from scipy import signal

from fastconv import reference
from fastconv.arguments.boundaries import source_index
from fastconv.arguments.correlation import Options, correlation_arguments

SCIPY = {"constant": "fill", "symmetric": "symm", "wrap": "wrap"}
PAIRS = [((6, 8), k) for k in cases.KERNEL_SHAPES] + [((1, 9), (1, 4)), ((9, 1), (3, 1)), ((4, 4), (4, 4))]


def formula(X, k):
    """Y[i, j] = sum over a, b of X[i+a, j+b] k[a, b], one product at a time, in X's dtype."""
    (H, W), (h, w) = X.shape, k.shape
    Y = np.zeros((H - h + 1, W - w + 1), X.dtype)
    for i, j in np.ndindex(Y.shape):
        for a, b in np.ndindex(k.shape):
            Y[i, j] += X[i + a, j + b] * k[a, b]
    return Y


def padded(x, k, mode, boundary, fillvalue=0):
    """x continued by numpy.pad so that the valid correlation is the one of that mode."""
    (h, w) = k.shape
    before, after = {
        "valid": ((0, 0), (0, 0)),
        "same": (((h - 1) // 2, (w - 1) // 2), (h // 2, w // 2)),
        "full": ((h - 1, w - 1), (h - 1, w - 1)),
    }[mode]
    constant = {"constant_values": fillvalue} if boundary == "constant" else {}
    return np.pad(x, list(zip(before, after, strict=True)), oracles.pad_mode(boundary), **constant)


@pytest.mark.parametrize("boundary", cases.BOUNDARIES)
@pytest.mark.parametrize("mode", cases.MODES)
def test_formula_over_a_padded_image(rng, mode, boundary):
    for shape, kernel in [*PAIRS, *cases.REPEATS]:
        if mode == "valid" and not cases.fits(shape, kernel):
            continue
        x, k = cases.integers(rng, shape, float), cases.integers(rng, kernel, float)
        y = reference.corr2d(x, k, mode, boundary, 3)
        expected = formula(padded(x, k, mode, boundary, 3), k)
        np.testing.assert_array_equal(y, expected, err_msg=f"{shape} {kernel}")


@pytest.mark.parametrize("boundary", SCIPY)
@pytest.mark.parametrize("mode", cases.MODES)
@pytest.mark.parametrize("name", ["corr2d", "convolve2d"])
def test_scipy(rng, name, mode, boundary):
    theirs = {"corr2d": signal.correlate2d, "convolve2d": signal.convolve2d}[name]
    for shape, kernel in [*PAIRS, *cases.REPEATS]:
        if mode == "valid" and not cases.fits(shape, kernel):
            continue  # SciPy exchanges the two
        for dtype in (np.float64, np.int64):
            x, k = cases.integers(rng, shape, dtype), cases.integers(rng, kernel, dtype)
            y = getattr(reference, name)(x, k, mode, boundary, 5)
            expected = theirs(x, k, mode, SCIPY[boundary], 5)
            np.testing.assert_array_equal(y, expected, err_msg=f"{shape} {kernel}")


def test_textbook():
    X, K = np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2)
    np.testing.assert_array_equal(reference.corr2d(X, K), [[19, 25], [37, 43]])
    np.testing.assert_array_equal(reference.convolve2d(X, K), [[5, 11], [23, 29]])


def test_source_index_is_numpy_pad():
    for n in (1, 2, 3, 7):
        for boundary in cases.BOUNDARIES[1:]:
            expected = np.pad(np.arange(n), 20, oracles.pad_mode(boundary))
            i = source_index(np.arange(-20, n + 20), n, boundary)
            np.testing.assert_array_equal(i, expected, err_msg=f"{boundary} {n}")


def test_batch_and_out(rng):
    x, k = cases.reals(rng, (2, 3, 6, 7), "float32"), cases.reals(rng, (3, 2), "float32")
    out = np.empty((2, 3, 4, 6), np.float32)
    assert reference.corr2d(x, k, out=out) is out
    for i in np.ndindex(2, 3):
        np.testing.assert_array_equal(out[i], reference.corr2d(x[i], k))


# error_bound --------------------------------------------------------------------------


def errors(c):
    """How far sums in the compute dtype lie from the reference's result, and both from the exact one."""
    dtype, exact = c.compute_dtype, formula(c.x.astype(np.longdouble), c.k.astype(np.longdouble))
    sums = formula(c.x.astype(dtype), c.k.astype(dtype)).astype(c.dtype)
    backwards = formula(c.x[::-1, ::-1].astype(dtype), c.k[::-1, ::-1].astype(dtype)).astype(c.dtype)[::-1, ::-1]
    right, *sums = (y.astype(np.longdouble) for y in (reference.run(c), sums, backwards))
    return [np.abs(a - b) for a in sums for b in (right, exact)] + [np.abs(right - exact)]


@pytest.mark.parametrize("scale", [1, 1e-3, 1e3])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_error_bound_bounds(rng, dtype, scale):
    for shape, kernel in filter(lambda pair: cases.fits(*pair), PAIRS):
        x, k = cases.reals(rng, shape, dtype), (scale * cases.reals(rng, kernel, float)).astype(dtype)
        c = correlation_arguments(2, x, k, Options("valid", "constant", 0))
        bound = reference.error_bound(c)
        assert bound.shape == c.shape
        for error in errors(c):
            assert (error <= bound).all()


def test_error_bound_at_the_edge_of_the_range(rng):
    for dtype in cases.FLOATS:
        info = np.finfo(dtype)
        x, k = cases.integers(rng, (5, 6), dtype), np.ones((2, 2), dtype)
        small = correlation_arguments(2, x * info.smallest_subnormal, k / 2, Options("valid", "constant", 0))
        for error in errors(small):
            assert (error <= reference.error_bound(small)).all()
        large = correlation_arguments(2, np.full((2, 2), info.max / 2), k, Options("valid", "constant", 0))
        large = large._replace(dtype=np.dtype(dtype))
        assert np.isinf(reference.error_bound(large)).all()


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_error_bound_is_not_vacuous(rng, dtype):
    x, k = cases.reals(rng, (9, 10), dtype), cases.reals(rng, (5, 5), dtype)
    c = correlation_arguments(2, x, k, Options("same", "reflect", 0))
    bound, right = reference.error_bound(c), reference.run(c)
    assert (bound < 100 * np.finfo(dtype).eps * np.abs(x).max() * np.abs(k).sum()).all()
    for tap in np.ndindex(k.shape):
        nearly = k.copy()
        nearly[tap] += 1e3 * np.finfo(dtype).eps
        wrong = reference.run(c._replace(k=nearly))
        assert (np.abs(wrong - right) > bound).any(), tap


def test_error_bound_leaves_non_finite_values_out(rng):
    x, k = cases.reals(rng, (5, 6), "float32"), cases.reals(rng, (2, 2), "float32")
    x[2, 3], x[0, 0] = np.nan, np.inf
    c = correlation_arguments(2, x, k, Options("full", "constant", np.nan))
    assert np.isfinite(reference.error_bound(c)).all()


def test_layers_without_images_or_channels():
    x, w = np.zeros((0, 4, 5, 6)), np.ones((6, 2, 3, 2))
    assert reference.conv2d(x, w, groups=2).shape == (0, 6, 3, 5)
    assert reference.conv2d_input(x.shape, w, np.zeros((0, 6, 3, 5)), groups=2).shape == x.shape
    assert reference.conv_transpose2d(np.zeros((0, 6, 3, 5)), w, groups=2).shape == x.shape
    assert reference.conv2d_weight(x, w.shape, np.zeros((0, 6, 3, 5)), groups=2).tolist() == np.zeros(w.shape).tolist()
