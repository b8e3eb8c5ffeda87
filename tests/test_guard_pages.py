# SPDX-License-Identifier: BSD-3-Clause
"""Every operation, of arrays amid pages that cannot be touched: before the first element, behind the last one, and
between all rows.

What is read outside the elements of an array ends the process. (test_memory.py has all sizes around the tiles of
correlations, and what is written.)
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import long_calls
import numpy as np
import pytest

import fastconv

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no pages of one's own here")
PAGE = mmap.PAGESIZE


def amid_pages(a, at_end):
    """Copy of a whose rows lie at the end of pages, or at the beginning, each between two that cannot be touched."""
    rows, row = int(np.prod(a.shape[:-1])), a.shape[-1] * a.itemsize
    pitch = (-(-row // PAGE) + 1) * PAGE
    pages = mmap.mmap(-1, PAGE + rows * pitch, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    everything = np.frombuffer(pages, np.uint8)
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for guard in (0, *range(pitch, PAGE + rows * pitch, pitch)):
        assert mprotect(everything.ctypes.data + guard, PAGE, 0) == 0, ctypes.get_errno()
    strides = [a.itemsize]
    for n in a.shape[-1:0:-1]:
        strides.insert(0, pitch if len(strides) == 1 else strides[0] * n)
    first = PAGE + (pitch - PAGE - row if at_end else 0)
    copy = np.ndarray(a.shape, a.dtype, pages, first, strides)
    copy[...] = a
    return copy


def alike(got, want):
    if isinstance(want, (tuple, list)):
        return all(alike(p, q) for p, q in zip(got, want, strict=True))
    return got.dtype == want.dtype and np.allclose(got, want, 1e-3, 1e-3)


def walk(isa):
    """All operations; prints each before it runs."""
    with fastconv.use_isa(isa):
        for name, make in long_calls.calls(small=True).items():
            call = make()
            want = call()
            for at_end in (False, True):
                print(isa, name, at_end, flush=True)

                def there(a, at_end=at_end):
                    is_array = isinstance(a, np.ndarray) and a.size > 0 and a.ndim > 0
                    return amid_pages(a, at_end) if is_array else a

                assert alike(call.of(there)(), want), (isa, name)


def test_pages_between_rows_guard(python):
    code = "a = test_guard_pages.amid_pages(np.zeros((2, 3)), {}); ctypes.string_at(a[0].ctypes.data + {}, 1)"
    within = (True, 23), (False, 0)
    for places in within, (*within, (False, -1)), (*within, (True, 24)):
        done = python("; ".join(["import ctypes, numpy as np, test_guard_pages", *(code.format(*p) for p in places)]))
        assert (done.returncode == 0) == (places is within), done.stderr


def test_every_operation(python):
    done = python("import fastconv, test_guard_pages; [test_guard_pages.walk(isa) for isa in fastconv.isas()]")
    assert done.returncode == 0, f"exit code {done.returncode} at {done.stdout[-200:]}\n{done.stderr[-3000:]}"
