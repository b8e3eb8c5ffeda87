# SPDX-License-Identifier: BSD-3-Clause
"""Memory of large results: aligned, and kept for the next one when an array goes; NumPy asks for it."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

import fastconv

_core = pytest.importorskip("fastconv._core")
MOST = 64 << 20  # bytes that are kept
TAPS = np.ones((3, 3), np.float32)


def result(rows=1500, cols=1500, threads=1):
    """Of a call that was made before."""
    x = np.broadcast_to(np.float32(1), (rows + 2, cols + 2))
    fastconv.corr2d(x, TAPS, threads=threads)
    return fastconv.corr2d(x, TAPS, threads=threads)


def address(a):
    return a.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    fastconv.clear_cache()
    yield
    fastconv.clear_cache()


@pytest.mark.parametrize("size", [128, 300, 1500])
def test_vectors_do_not_cross_lines(size):
    results = [result(size, size) for _ in range(5)]
    assert all(address(y) % 64 == 0 for y in results)
    assert len({address(y) for y in results}) == 5
    assert all((y == 9).all() for y in results)


def test_the_memory_of_one_that_goes_is_that_of_the_next():
    y = result()
    place = address(y)
    del y
    assert address(result()) == place


def test_memory_of_a_view_is_not_given_away():
    view = result()[5:, 5]
    others = [result() for _ in range(3)]
    assert (view == 9).all()
    for y in others:
        y.fill(0)
    assert (view == 9).all()


def test_a_much_larger_block_is_not_taken():
    large = result(2100, 2100)
    place = address(large)
    del large
    assert address(result()) != place
    assert address(result(2100, 2000)) == place  # little is left over


def test_the_latest_is_taken_first():
    a, b = result(), result()
    places = address(a), address(b)
    del a
    del b
    assert (address(result()), places[0]) == (places[1], places[0])


def test_clear_cache_frees_what_is_kept(python):
    code = """
import os
import numpy as np
import fastconv

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

x, k = np.ones((3500, 3502), np.float32), np.ones((3, 3), np.float32)
for _ in range(3):
    y = fastconv.corr2d(x, k)
del y
kept = resident()
fastconv.clear_cache()
print(kept - resident() > 40 << 20)
"""
    if not hasattr(__import__("os"), "sysconf"):
        pytest.skip("no pages here")
    assert python(code).stdout == "True\n"


def test_not_more_than_a_limit_is_kept():
    """Results of 40 MB: the second that goes takes the place of the first."""
    a, b = result(3200, 3200), result(3200, 3200)
    places = address(a), address(b)
    assert 2 * a.nbytes > MOST
    del a
    del b
    c, d = result(3200, 3200), result(3200, 3200)
    assert address(c) == places[1]
    assert (c == 9).all() and (d == 9).all()


def test_arrays_are_numpys_own():
    y = result()
    assert y.flags.owndata and y.base is None and y.flags.c_contiguous
    before = y.copy()
    assert (pickle.loads(pickle.dumps(y)) == before).all()
    y.resize((3000, 1500))  # more memory: what was there stays, zeros follow
    assert (y[:1500] == before).all()
    assert not y[1500:].any()
    y.resize((100, 1500))
    assert (y == before[:100]).all()
    assert np.zeros(1 << 20).ctypes.data  # other arrays are as ever
    names = {np._core.multiarray.get_handler_name(a) for a in (np.empty(1 << 20), np.empty(3))}
    assert names == {"default_allocator"}


def test_failing_memory():
    result()
    fastconv._core.alloc_fail_after(0)
    try:
        with pytest.raises(MemoryError):
            for _ in range(3):  # scratch is not needed
                result()
    finally:
        fastconv._core.alloc_fail_after(-1)
    assert (result() == 9).all()


def test_threads_share_what_is_kept():
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        held = []
        for _ in range(20):
            n = int(rng.integers(1400, 1700))
            y = result(n, 1500)
            y += np.float32(seed)
            held.append((y, n))
            if len(held) > 4:
                y, n = held.pop(int(rng.integers(5)))
                if y.shape != (n, 1500) or not (y == 9 + seed).all():
                    wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
