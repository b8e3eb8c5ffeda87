# SPDX-License-Identifier: BSD-3-Clause
"""Random kernels as fully connected layers, and back, beside the table of which output sees which element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracles
from calls_corr import DTYPES, Oracle, wide
from fuzz import Array, Call, Rng, array, pick, rarely

from fastconv import dense
from fastconv.arguments.axes import MODES
from fastconv.arguments.boundaries import BOUNDARIES


def random_call(rng: Rng) -> Call:
    return pick(rng, [_weight, _weight, _matrix, _kernel, _cost])(rng)


def _given(rng: Rng) -> dict[str, Any]:
    kind = pick(rng, ["whole", "extreme"])
    k = array(rng, (int(rng.integers(1, 6)), int(rng.integers(1, 6))), pick(rng, DTYPES), kind)
    if k.dtype.kind in "fc":
        k = array(rng, k.shape, k.dtype, "whole")
    mode = pick(rng, MODES)
    shape = tuple(int(rng.integers(n if mode == "valid" else 1, 12)) for n in k.shape)
    boundary = pick(rng, BOUNDARIES)
    return {"k": k, "shape": shape, "mode": mode, "boundary": boundary}


def _entries(k: Array, shape: Any, mode: str, boundary: str) -> Array:
    """The weights W[i, j, k, l]: of integers exact in 64 bits, or an error."""
    slides = Oracle("corr2d").slides({"mode": mode, "boundary": boundary}, shape, k.shape)
    at = oracles.seen(slides)
    W = np.zeros((len(at), math.prod(shape) + 1), object if k.dtype.kind in "biu" else k.dtype)
    for row, elements in zip(W, at, strict=True):
        np.add.at(row, elements, np.conj(wide(k)).astype(W.dtype).ravel())
    W = W[:, :-1].reshape(*(s.out for s in slides), *shape)
    if W.dtype != object:
        return W
    dtype = np.dtype(np.uint64 if k.dtype == np.uint64 else np.int64)
    if W.size and not (np.iinfo(dtype).min <= W.min() and W.max() <= np.iinfo(dtype).max):
        raise OverflowError
    return W.astype(dtype)


def _weight(rng: Rng) -> Call:
    return Call("dense.dense_weight", dense.dense_weight, _given(rng), _entries)


def _matrix(rng: Rng) -> Call:
    a = _given(rng)
    if a["k"].dtype == np.float16:
        a["k"] = a["k"].astype("f")  # scipy.sparse has no float16
    sparse = rarely(rng, 0.5)

    def matrix(**a: Any) -> Array:
        A = dense.dense_matrix(**a, sparse=sparse)
        return A.toarray() if sparse else A

    return Call(f"dense.dense_matrix, sparse={sparse}", matrix, a, lambda **a: _flat(_entries(**a)))


def _flat(W: Array) -> Array:
    return W.reshape(W.shape[0] * W.shape[1], -1)


def _kernel(rng: Rng) -> Call:
    """The way back: a kernel smaller than the picture, and whether one weight breaks it."""
    k = array(rng, (int(rng.integers(1, 4)), int(rng.integers(1, 4))), pick(rng, "bhifd"), "whole")
    k[k == 0] = 1
    shape = tuple(n + int(rng.integers(3, 8)) for n in k.shape)
    W = _entries(k, shape, "valid", "constant").astype(k.dtype)
    breaks = rarely(rng, 0.5)
    if breaks:
        at = tuple(int(rng.integers(n)) for n in W.shape)
        W[at] += 50

    def found(W: Array) -> Any:
        kernel = dense.as_kernel(W).kernel
        return np.array(0) if kernel is None else kernel

    return Call("dense.as_kernel", found, {"W": W}, lambda W: np.array(0) if breaks else k)


def _cost(rng: Rng) -> Call:
    shape = tuple(int(n) for n in rng.integers(1, 4000, pick(rng, [1, 2, 3])))
    channels, units, size = (int(n) for n in rng.integers(1, 300, 3))
    a = {"shape": shape, "channels": channels, "units": units, "kernel_size": pick(rng, [None, size])}
    bias = rarely(rng, 0.5)

    def expected(**_: Any) -> Any:
        taps = math.prod(shape) if a["kernel_size"] is None else size ** len(shape)
        return np.array([units * (taps * channels + bias), 4 * units * (taps * channels + bias)])

    def cost(**a: Any) -> Any:
        c = dense.count_parameters(**a, bias=bias)
        return np.array([c.weights, c.nbytes])

    return Call("dense.count_parameters", cost, a, expected)
