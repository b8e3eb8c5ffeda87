# SPDX-License-Identifier: BSD-3-Clause
"""Calls and errors, a hundred thousand of them: memory does not grow."""

from __future__ import annotations

import pytest

MEASURED = """
import copy, gc, itertools, os, sys, tracemalloc, warnings
import fastconv, long_calls, public_calls, test_any_argument

warnings.simplefilter("ignore")
PAGES = os.sysconf("SC_PAGE_SIZE")

def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * PAGES

def failing():
    for name, (function, good) in public_calls.CALLS.items():
        for place in test_any_argument.arguments_of(function):
            for wrong in (object(), "zero", -1, [[1, 2], [3]], 2**62):
                arguments = good | {place: wrong}
                try:
                    function(**arguments)
                except Exception:
                    yield function, arguments

def fails(function, arguments):
    try:
        function(**arguments)
    except Exception:
        return
    raise AssertionError(function)

calls = WHICH
once = len(calls)
rounds = MANY // once
for call in calls * 3:  # plans are made, and memory that is kept is there
    call()
def measured(rounds, memory):
    for _ in range(4):
        for call in calls * (rounds // 4):
            call()
        yield memory()

tracemalloc.start()
python = list(measured(rounds // 10, lambda: (gc.collect(), tracemalloc.get_traced_memory()[0])[1]))
tracemalloc.stop()
pages = list(measured(rounds, resident))

assert python[-1] - python[1] < 32 << 10, python
assert pages[-1] - pages[1] < 128 << 10, pages  # two bytes a call would be more
"""

SMALL = "[make() for make in long_calls.calls(small=True).values()]"
FAILING = "[lambda f=f, a=a: fails(f, a) for f, a in failing()]"


@pytest.mark.deep
@pytest.mark.parametrize(("calls", "count"), [(SMALL, 100_000), (FAILING, 100_000)], ids=["calls", "errors"])
def test_nothing_is_left_of_calls(python, calls, count):
    """As many more, but for a tenth of them, while Python's allocations are traced."""
    code = MEASURED.replace("WHICH", calls).replace("MANY", str(count))
    done = python(code, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
