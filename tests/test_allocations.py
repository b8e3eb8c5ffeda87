# SPDX-License-Identifier: BSD-3-Clause
"""Memory that runs out at any point of a call: a MemoryError, nothing leaks, and the next call is right.

Every operation of long_calls.py is called with the allocations of the C core failing from the first, second, third ...
on, and with single ones of Python failing. (Of a call that was made before. The first one makes lists, of which the
code that Cython 3.3 writes drops a reference too many where they cannot grow; and it asks functions of NumPy, some of
which raise SystemError then, or end the process: as_strided does.)
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import sys

import long_calls
import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv import _core

CALLS = long_calls.calls(small=True)
QUICK = ("corr2d edges", "corr2d fft", "gradient", "conv2d, Winograd", "conv2d, transforms", "qconv2d", "max_pool2d")
NAMES = [*QUICK, *only_deep(*(name for name in CALLS if name not in QUICK))]
MOST = 400  # allocations of a call


@pytest.fixture
def failing():
    """Sets how many allocations of the C core succeed before they fail."""
    yield _core.alloc_fail_after
    _core.alloc_fail_after(-1)


def alike(got, want):
    if isinstance(want, (tuple, list)):
        return all(alike(p, q) for p, q in zip(got, want, strict=True))
    return got.dtype == want.dtype and np.array_equal(got, want, equal_nan=got.dtype.kind == "f")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_allocations_of_the_core(failing, tiny_chunks, name, threads):
    fastconv.set_num_threads(threads)
    try:
        call = CALLS[name]()
        want = call()
        for n in range(MOST):
            fastconv.clear_cache()
            failing(n)
            try:
                got = call()
                break
            except MemoryError:
                pass
            failing(-1)
            assert alike(call(), want), f"the call after one whose allocation {n + 1} failed"
        failing(-1)
        assert alike(got, want)
    finally:
        fastconv.set_num_threads(1)


class Malloc(ctypes.Structure):
    _words = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _words]


@pytest.mark.deep
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no mallinfo2")
@pytest.mark.parametrize("name", CALLS)
def test_nothing_leaks_where_allocations_fail(failing, name):
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        pytest.skip("no mallinfo2")
    library.mallinfo2.restype = Malloc
    call = CALLS[name]()
    gc.freeze()  # what pytest holds takes long to look through

    def bytes_after(times):
        for _, n in itertools.product(range(times), range(6)):
            fastconv.clear_cache()
            failing(n)
            with contextlib.suppress(MemoryError):
                call()
            failing(-1)
        fastconv.clear_cache()
        gc.collect()
        told = library.mallinfo2()
        return told.uordblks + told.hblkhd

    try:
        bytes_after(5)
        least = min(bytes_after(5) for _ in range(2))
        assert min(bytes_after(20) for _ in range(2)) - least < 20_000
    finally:
        gc.unfreeze()


OF_PYTHON = """
import os, warnings
import _testcapi
import long_calls
from test_allocations import alike

warnings.simplefilter("ignore")
for name, make in long_calls.calls(small=True).items():
    pid = os.fork()
    if pid == 0:
        call = make()
        want = [call() for _ in range(3)][-1]
        wrong = []
        for n in range(25):
            got = want
            _testcapi.set_nomemory(n, n + 1)
            try:
                got = call()
            except (MemoryError, SystemError):  # the latter: some functions of NumPy, of integers whose range they find
                pass
            finally:
                _testcapi.remove_mem_hooks()
            if not (alike(got, want) and alike(call(), want)):
                wrong.append(n)
        os._exit(len(wrong))
    _, status = os.waitpid(pid, 0)
    assert status == 0, (name, status)
"""


@pytest.mark.deep
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_allocations_of_python(python):
    """A single one fails, of a call that was made before: it meets little of NumPy."""
    pytest.importorskip("_testcapi")
    done = python(OF_PYTHON, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
