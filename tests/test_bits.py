# SPDX-License-Identifier: BSD-3-Clause
"""The direct method's bits do not depend on threads, crop, alignment, layout, instruction set or caller."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cases
import numpy as np
import pytest
from conftest import only_deep, posix

import fastconv

floats = pytest.mark.parametrize("dtype", cases.FLOATS)
KERNELS = ((1, 1), (3, 3), (4, 2), (7, 7), (9, 5), (17, 3))
WHERE = (("valid", "constant"), ("same", "reflect"), ("full", "wrap"))


@pytest.fixture
def four_threads():
    before = fastconv.get_num_threads()
    fastconv.set_num_threads(4)
    yield
    fastconv.set_num_threads(before)


@floats
def test_threads(isa, tiny_chunks, rng, dtype):
    for batch, kernel in zip(((), (3,), (2, 1), (), (5,), ()), KERNELS, strict=True):
        x, k = cases.reals(rng, (*batch, 61, 203), dtype), cases.reals(rng, kernel, dtype)
        for where in WHERE:
            one = fastconv.corr2d(x, k, *where, threads=1)
            for threads in (2, 3, 7, 2000):
                y = fastconv.corr2d(x, k, *where, threads=threads)
                cases.assert_same_bits(y, one, (kernel, where, threads))


def test_bands(rng):
    """Chunks of another height change nothing."""
    x, k = cases.reals(rng, (300, 40), "float32"), cases.reals(rng, (9, 4), "float32")
    y = fastconv.corr2d(x, k, "full", "edge")
    for rows in (1, 3, 50, 1000):
        fastconv._core.tune(rows, 0.0, 0.0)
        try:
            cases.assert_same_bits(fastconv.corr2d(x, k, "full", "edge", threads=3), y, rows)
        finally:
            fastconv._core.tune()


@floats
def test_crops(isa, rng, dtype):
    """Part of the image gives that part of the result."""
    H, W = 33, 210
    for h, w in KERNELS:
        x, k = cases.reals(rng, (H, W), dtype), cases.reals(rng, (h, w), dtype)
        whole = fastconv.corr2d(x, k)
        same = fastconv.corr2d(x, k, "same")
        inner = same[(h - 1) // 2 :, (w - 1) // 2 :][: H - h + 1, : W - w + 1]
        cases.assert_same_bits(inner, whole, f"same {(h, w)}")
        for _ in range(30):
            i, j = rng.integers(0, (H - h + 1, W - w + 1))
            m, n = rng.integers(1, (H - h + 2 - i, W - w + 2 - j))
            crop = x[i : i + m + h - 1, j : j + n + w - 1]
            part = whole[i : i + m, j : j + n]
            cases.assert_same_bits(fastconv.corr2d(crop, k), part, f"{(h, w)} {(i, j)} {(m, n)}")
            cases.assert_same_bits(fastconv.corr2d(crop.copy(), k), part, f"copy {(h, w)} {(i, j)} {(m, n)}")


def shifted(a, offset):
    """Copy of a that begins `offset` bytes after a multiple of 64."""
    room = np.empty(a.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    copy = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


@floats
def test_alignment(isa, rng, dtype):
    x, k = cases.reals(rng, (12, 75), dtype), cases.reals(rng, (5, 3), dtype)
    y = fastconv.corr2d(x, k)
    size = x.itemsize
    for offset in (*range(0, 64, size), 1, size - 1, 63):
        out = shifted(np.zeros_like(y), 64 - offset)
        cases.assert_same_bits(fastconv.corr2d(shifted(x, offset), shifted(k, offset), out=out), y, offset)


LAYOUTS = {
    "transposed": lambda a: a.swapaxes(-1, -2).copy().swapaxes(-1, -2),
    "Fortran": np.asfortranarray,
    "rows reversed": lambda a: a[..., ::-1, :].copy()[..., ::-1, :],
    "columns reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "every third column": lambda a: a.repeat(3, -1)[..., 1::3],
    "every second row": lambda a: a.repeat(2, -2)[..., ::2, :],
    "batch last": lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0),
    "batch reversed": lambda a: a[::-1].copy()[::-1],
    "part of a larger array": lambda a: np.pad(a, [(1, 1)] * a.ndim)[(slice(1, -1),) * a.ndim],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@floats
def test_layout(isa, rng, layout, dtype):
    lay = LAYOUTS[layout]
    for batch, kernel in (((2,), (3, 3)), ((3, 2), (9, 4)), ((2, 2), (2, 7))):
        x, k = cases.reals(rng, (*batch, 19, 83), dtype), cases.reals(rng, kernel, dtype)
        for where in WHERE:
            y = fastconv.corr2d(x, k, *where)
            laid_x, laid_k, out = lay(x), lay(k), lay(np.zeros_like(y))
            np.testing.assert_array_equal(laid_x, x)
            cases.assert_same_bits(fastconv.corr2d(laid_x, laid_k, *where), y, where)
            cases.assert_same_bits(fastconv.corr2d(x, k, *where, out=out), y, where)
            cases.assert_same_bits(fastconv.corr2d(laid_x, k, *where, out=out), y, where)


@pytest.mark.parametrize("dtype", [*cases.FLOATS, *only_deep("int64")])
def test_sides_of_tall_images(isa, rng, dtype):
    """Left and right, where vectors run down, outputs are those of an image that goes on."""
    make = cases.reals if dtype in cases.FLOATS else cases.integers
    for kernel, dilation in (((3, 3), 1), ((5, 4), (2, 3)), ((1, 9), 1), ((2, 3, 2), (1, 2, 1))):
        x = make(rng, (4, 270, 41)[-len(kernel) :], dtype)
        k, corr = make(rng, kernel, dtype), fastconv.corr2d if len(kernel) == 2 else fastconv.corr3d
        reach = (np.array(kernel) - 1) * dilation
        for boundary in ("constant", "edge", "reflect", "symmetric", "wrap"):
            more = np.pad(x, [(n, n) for n in reach], boundary)
            inside = corr(more, k, dilation=dilation, method="direct")
            y = corr(x, k, "full", boundary, dilation=dilation, method="direct")
            cases.assert_same_bits(y, inside, (kernel, boundary))
            out = np.zeros((*y.shape, 2), y.dtype)[..., 0]
            cases.assert_same_bits(corr(x, k, "full", boundary, dilation=dilation, method="direct", out=out), y)


@floats
def test_isas_with_fma(rng, dtype):
    fma = [t["isa"] for t in fastconv._core.tables() if t["fma"]]
    for kernel in KERNELS:
        x, k = cases.reals(rng, (33, 210), dtype), cases.reals(rng, kernel, dtype)
        for where in WHERE:
            results = []
            for name in fma:
                with fastconv.use_isa(name):
                    results.append(fastconv.corr2d(x, k, *where))
            for a, b in pairwise(results):
                cases.assert_same_bits(a, b, (kernel, where))


# callers ------------------------------------------------------------------------------


@pytest.fixture
def work(tiny_chunks, four_threads, rng):
    """A computation on four threads, and its result."""
    x, k = cases.reals(rng, (61, 203), "float32"), cases.reals(rng, (5, 5), "float32")
    return lambda: fastconv.corr2d(x, k, "same", "reflect"), fastconv.corr2d(x, k, "same", "reflect", threads=1)


def test_concurrent_callers(work):
    compute, expected = work
    with ThreadPoolExecutor(5) as callers:
        for future in [callers.submit(compute) for _ in range(300)]:
            cases.assert_same_bits(future.result(), expected)


def test_nested_call(work):
    """An argument that itself correlates when it is asked for its array."""
    compute, expected = work

    class Lazy:
        def __array__(self, dtype=None, copy=None):
            return compute()

    cases.assert_same_bits(fastconv.corr2d(Lazy(), np.ones((1, 1), "float32")), expected)


def in_child(compute, seconds=30):
    """Bytes that compute() returns in a forked child; fails if there are none in time."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(compute().tobytes())
        finally:
            os._exit(0)
    os.close(writer)
    received = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], seconds)[0] and (part := pipe.read(1 << 20)):
            received += part
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return received


forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@posix
@forks
def test_fork(work):
    compute, expected = work
    compute()  # the parent has workers, which the child does not inherit
    for _ in range(5):
        assert in_child(compute) == expected.tobytes()
        cases.assert_same_bits(compute(), expected)


@posix
@forks
def test_fork_of_a_fork(work):
    compute, expected = work

    def and_grandchild():
        compute()
        return np.frombuffer(in_child(compute), "float32")

    assert in_child(and_grandchild) == expected.tobytes()


@posix
@forks
def test_fork_while_others_compute(work):
    compute, expected = work
    with ThreadPoolExecutor(2) as callers:
        futures = [callers.submit(compute) for _ in range(400)]
        for _ in range(5):
            assert in_child(compute) == expected.tobytes()
        for future in futures:
            cases.assert_same_bits(future.result(), expected)


@posix
@forks
def test_concurrent_callers_in_a_fork(work):
    compute, expected = work
    compute()

    def concurrently():
        with ThreadPoolExecutor(3) as callers:
            futures = [callers.submit(compute) for _ in range(20)]
            return np.stack([future.result() for future in futures])

    assert in_child(concurrently) == expected.tobytes() * 20


def correlate(pair):
    return fastconv.corr2d(*pair)


@posix
@forks
def test_multiprocessing(tiny_chunks, four_threads, rng):
    pairs = [(cases.reals(rng, (61, 203), "float32"), cases.reals(rng, (5, 5), "float32")) for _ in range(8)]
    expected = [correlate(pair) for pair in pairs]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for y, right in zip(pool.map_async(correlate, pairs).get(30), expected, strict=True):
            cases.assert_same_bits(y, right)


@pytest.mark.parametrize("function", [fastconv.corr2d, fastconv.convolve2d])
def test_plain_calls(rng, function):
    """Plain arrays and method "auto", which find their plans."""
    for image, kernel in (*cases.REPEATS, ((20, 70), (5, 4))):
        x, k = cases.reals(rng, image, "float32"), cases.reals(rng, kernel, "float32")
        for mode in cases.MODES:
            for boundary in cases.BOUNDARIES:
                if mode != "valid" or cases.fits(image, kernel):
                    short, long = (function(x, k, mode, boundary, 2.5, method=m) for m in ("auto", "direct"))
                    cases.assert_same_bits(short, long, (image, kernel, mode, boundary))
