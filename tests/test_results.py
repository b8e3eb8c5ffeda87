# SPDX-License-Identifier: BSD-3-Clause
"""Memory of large results: aligned, and kept for the next one when an array goes; NumPy asks for it."""

from __future__ import annotations

import ctypes
import pickle
import sys
import threading

import numpy as np
import pytest

import fastconv

_core = pytest.importorskip("fastconv._core")
TAPS = np.ones((3, 3), np.float32)
RESIDENT = """
import os
import numpy as np
import fastconv

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

"""


def result(rows=2900, cols=2900, threads=1):
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


@pytest.mark.parametrize("size", [128, 300, 2900])
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


def test_memory_may_be_a_little_more_than_is_needed():
    large = result(3700, 3700)
    place = address(large)
    del large
    assert address(result(3700, 3600)) == place


def test_clear_cache_frees_what_is_kept(python):
    code = (
        RESIDENT
        + """
x, k = np.ones((3500, 3502), np.float32), np.ones((3, 3), np.float32)
for _ in range(3):
    y = fastconv.corr2d(x, k)
del y
kept = resident()
fastconv.clear_cache()
print(kept - resident() > 40 << 20)
"""
    )
    if not hasattr(__import__("os"), "sysconf"):
        pytest.skip("no pages here")
    assert python(code).stdout == "True\n"


def test_results_of_several_sizes_are_kept():
    sizes = (300, 900, 2000)
    ys = [result(n, n) for n in sizes]
    places = [address(y) for y in ys]
    ys.clear()
    assert [address(result(n, n)) for n in sizes] == places


def test_no_more_is_kept_than_was_in_use(python):
    """What results of several sizes left behind makes room for one of another size."""
    code = (
        RESIDENT
        + """
import ctypes
k = np.ones((3, 3), np.float32)
x = [np.ones((n + 2, 2050), np.float32) for n in (2000, 1500, 1100, 800)]  # results of 16 MB to 7 MB
for a in x:
    fastconv.corr2d(a, k)
ctypes.CDLL(None).malloc_trim(0)
fastconv.corr2d(x[0], k)
before = resident()
for a in x[1:]:
    fastconv.corr2d(a, k)
print(resident() - before < 8 << 20)
"""
    )
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("what the C library keeps is its own affair")
    assert python(code).stdout == "True\n"


def test_small_results_do_not_take_the_memory_of_large_ones():
    y = result()
    place = address(y)
    del y
    small = [result(200, 200) for _ in range(9)]
    assert (small[0] == 9).all()
    assert address(result()) == place


@pytest.mark.parametrize("rows", ["range(2200, 2400, 20)", "range(500, 540)"])
def test_what_is_kept_is_bounded(python, rows):
    """64 MB at most, or four results: those of 17 MB and more; those of 4 MB."""
    code = (
        f"{RESIDENT}\nROWS = {rows}\n"
        + """
k = np.ones((3, 3), np.float32)
x = [np.ones((n + 2, 2050), np.float32) for n in ROWS]
for a in x:
    fastconv.corr2d(a, k)
y = [fastconv.corr2d(a, k) for a in x]
fastconv.clear_cache()
before = resident()
y.clear()
kept = resident()
fastconv.clear_cache()
print(0 < kept - resident() < 68 << 20, before - kept > 100 << 20)
"""
    )
    if not hasattr(__import__("os"), "sysconf"):
        pytest.skip("no pages here")
    assert python(code).stdout == "True True\n"


def test_arrays_are_numpys_own():
    y = result()
    assert y.flags.owndata and y.base is None and y.flags.c_contiguous
    before = y.copy()
    assert (pickle.loads(pickle.dumps(y)) == before).all()
    y.resize((5800, 2900))  # more memory: what was there stays, zeros follow
    assert (y[:2900] == before).all()
    assert not y[2900:].any()
    y.resize((100, 2900))
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
        for _ in range(5):
            n = int(rng.integers(2900, 3100))
            y = result(n, 2900)
            y += np.float32(seed)
            held.append((y, n))
            if len(held) > 1:
                y, n = held.pop(int(rng.integers(2)))
                if y.shape != (n, 2900) or not (y == 9 + seed).all():
                    wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
