# SPDX-License-Identifier: BSD-3-Clause
"""The fully connected layer that a correlation is: weights, matrix, cost, and the way back."""

import sys

import numpy as np
import pytest

import fastconv
from fastconv import dense

BOUNDARIES = ("constant", "edge", "reflect", "symmetric", "wrap", ("edge", "wrap"))
KERNELS = {
    "2x3": np.array([[1, -2, 3], [4, 5, -6]]),
    "even": np.array([[1.5, 2.5], [-3.5, 4.5]]),
    "complex": np.array([[1 + 2j, -1j, 3.0]]),
    "small": np.array([[100, 27]], np.int8),
}


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("name", KERNELS)
def test_product_is_the_correlation(name, mode, boundary):
    k, rng = KERNELS[name], np.random.default_rng(0)
    x = rng.integers(-9, 9, (5, 6)).astype(np.result_type(k, np.int64))
    W = dense.dense_weight(k, x.shape, mode, boundary)
    y = fastconv.corr2d(x, k, mode, boundary)
    assert W.dtype == (np.int64 if k.dtype.kind == "i" else k.dtype) and W.shape == (*y.shape, *x.shape)
    np.testing.assert_array_equal(np.einsum("ijkl,kl", W, x), y)
    A = dense.dense_matrix(k, x.shape, mode, boundary, sparse=False)
    np.testing.assert_array_equal(A, W.reshape(y.size, x.size))


@pytest.mark.parametrize("boundary", ["constant", "reflect"])
def test_sparse_matrix_is_the_same(boundary):
    pytest.importorskip("scipy.sparse")
    sparse = dense.dense_matrix(KERNELS["2x3"], (7, 8), "same", boundary)
    assert sparse.shape == (56, 56) and sparse.nnz < 56 * 7
    np.testing.assert_array_equal(
        sparse.toarray(), dense.dense_matrix(KERNELS["2x3"], (7, 8), "same", boundary, sparse=False)
    )


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("boundary", ["edge", "wrap", "reflect", "constant"])
def test_integers_neither_wrap_nor_or(boundary, dtype):
    """Weights that meet in one element are added: in k's dtype they wrapped, and of bools two were one."""
    pytest.importorskip("scipy.sparse")
    k = np.full((3, 3), dtype == "bool" or min(np.iinfo(dtype).max, 2**58), dtype)
    x = np.array([[1, -2], [3, 5]], object)
    for matrix in (
        dense.dense_matrix(k, x.shape, "same", boundary, sparse=False),
        dense.dense_matrix(k, x.shape, "same", boundary).toarray(),
    ):
        assert matrix.dtype == ("uint64" if dtype == "uint64" else "int64")
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, 1, boundary), (3, 3))
        np.testing.assert_array_equal(
            matrix.astype(object) @ x.ravel(), (windows * k.astype(object)).sum((2, 3)).ravel()
        )


@pytest.mark.parametrize("k", [[[2**62, 2**62]], np.array([[2**63, 2**63]], np.uint64), [[-(2**63), -1]]], ids=str)
def test_weights_that_do_not_fit(k):
    pytest.importorskip("scipy.sparse")
    for sparse in (False, True):
        with pytest.raises(OverflowError, match="does not fit"):
            dense.dense_matrix(k, (1, 1), "same", "edge", sparse=sparse)
    assert dense.dense_weight(k, (1, 3)).shape == (1, 2, 1, 3)  # where none meet
    assert dense.dense_weight([[2**62, 2**62, -(2**62)]], (1, 1), "same", "edge").item() == 2**62


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "uint64", "float32"])
def test_way_back_from_any_dtype(dtype):
    """Differences of unsigned weights wrapped, and so did |-128|; those of bools were an error."""
    low, high = {"bool": (0, 1), "float32": (-3, 4)}.get(dtype) or (np.iinfo(dtype).min, np.iinfo(dtype).max)
    W = np.zeros((2, 2, 4, 4), dtype)
    for i, j in np.ndindex(2, 2):
        W[i, j, i, j], W[i, j, i, j + 1] = low, high
    np.testing.assert_array_equal(dense.as_kernel(W).kernel, [[high]] if low == 0 else [[low, high]])
    W[0, 0, 0, 1] = high - 1
    assert dense.as_kernel(W).broken == "translation"
    if dtype != "bool":  # all of which are zero to this tolerance
        assert dense.as_kernel(W, tolerance=1).broken is None


def test_infinite_weights_are_equal():
    W = dense.dense_weight([[np.inf, 1.0]], (1, 4))
    np.testing.assert_array_equal(dense.as_kernel(W).kernel, [[np.inf, 1]])


def test_matrix_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"fastconv\[learn\]"):
        dense.dense_matrix([[1]], (2, 2))


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_comes_back(name, mode):
    k = KERNELS[name]
    found = dense.as_kernel(dense.dense_weight(k, (6, 7), mode))
    assert found.broken is None and found.witness is None
    np.testing.assert_array_equal(found.kernel, k.conj())
    starts = {"valid": (0, 0), "same": (-((k.shape[0] - 1) // 2), -((k.shape[1] - 1) // 2))}
    starts["full"] = (1 - k.shape[0], 1 - k.shape[1])
    assert found.at == starts[mode]
    assert str(k.shape[0]) in str(found)


def test_kernel_without_weights():
    found = dense.as_kernel(np.zeros((2, 2, 3, 3)))
    assert found.kernel.tolist() == [[0.0]]


@pytest.mark.parametrize("place", [(0, 0, 2, 2), (1, 2, 1, 2), (2, 3, 1, 1)])
def test_broken_translation_has_a_witness(place):
    W = dense.dense_weight(KERNELS["even"], (4, 5))
    W[place] += 1
    found = dense.as_kernel(W)
    assert found.kernel is None and found.broken == "translation"
    (i, j, k, m), (a, b, c, d) = found.witness
    assert (k - i, m - j) == (c - a, d - b)
    assert found.values == (W[found.witness[0]], W[found.witness[1]]) and found.values[0] != found.values[1]
    assert "is as far from its output" in str(found)


def test_broken_locality_has_a_witness():
    W = dense.dense_weight(np.ones((3, 4)), (3, 4))
    found = dense.as_kernel(W)
    assert found.broken == "locality"
    first, second = found.witness
    assert first[:2] == second[:2] and all(v != 0 for v in found.values)
    small = dense.dense_weight(np.ones((3, 3)), (8, 8))
    assert dense.as_kernel(small).broken is None
    assert dense.as_kernel(small, size=(2, 3)).broken == "locality"
    assert dense.as_kernel(small, size=(3, 3)).broken is None


def test_tolerance():
    W = dense.dense_weight(np.ones((2, 2)), (4, 4)) + np.random.default_rng(0).uniform(-1e-9, 1e-9, (3, 3, 4, 4))
    assert dense.as_kernel(W).broken == "translation"
    found = dense.as_kernel(W, tolerance=1e-8)
    np.testing.assert_allclose(found.kernel, np.ones((2, 2)), atol=1e-8)
    W[0, 0, 0, 0] = np.nan
    assert dense.as_kernel(W, tolerance=1e-8).broken == "translation"


def test_costs_of_the_lecture():
    full = dense.count_parameters()
    assert (full.weights, full.nbytes, full.kernel_size) == (3_600_000_000, 14_400_000_000, None)
    assert dense.count_parameters(bias=True).weights == 3_600_000_100
    small = dense.count_parameters((10, 20), 3, 4, (3, 5), bias=True, dtype=np.float64, depth=2)
    assert small == ((3, 5), 184, 184 * 8, 180 * 200, (3, 5), (5, 9))
    assert dense.count_parameters((4,), 1, 1, 9).stacked_reach == (7,)
    table = dense.compare_kernel_sizes([1, (3, 5)], (10, 10))
    assert [c.kernel_size for c in table] == [None, (1, 1), (3, 5)]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: dense.dense_weight([["a"]], (2, 2)), TypeError, "k has dtype"),
        (lambda: dense.dense_weight([[1]], (2,)), ValueError, "shape"),
        (lambda: dense.dense_weight([[1, 2, 3]], (1, 2)), ValueError, "does not fit"),
        (lambda: dense.dense_weight([[1]], (2, 2), "some"), ValueError, "mode"),
        (lambda: dense.dense_weight([[1.0]], (1000, 1000)), ValueError, "dense_matrix"),
        (lambda: dense.as_kernel(np.zeros((2, 2))), ValueError, "4 dimensions"),
        (lambda: dense.as_kernel(np.zeros((2, 0, 2, 2))), ValueError, "none of them 0"),
        (lambda: dense.as_kernel(np.full((1, 1, 1, 1), "a")), TypeError, "W has dtype"),
        (lambda: dense.as_kernel(np.zeros((1, 1, 1, 1)), tolerance=-1), ValueError, "tolerance"),
        (lambda: dense.as_kernel(np.zeros((1, 1, 1, 1)), (0, 1)), ValueError, "size"),
        (lambda: dense.count_parameters((0, 3)), ValueError, "shape"),
        (lambda: dense.count_parameters(units=1.5), TypeError, "units"),
        (lambda: dense.count_parameters(channels=0), ValueError, "channels"),
        (lambda: dense.count_parameters(kernel_size=(3, 3, 3)), ValueError, "kernel_size"),
        (lambda: dense.count_parameters(depth=0), ValueError, "depth"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
