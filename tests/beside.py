# SPDX-License-Identifier: BSD-3-Clause
"""Work that is done beside the tests, in threads: what takes long to compile, and what then runs by itself.

Tests that are marked ``beside(work, "parameter", ...)`` come last in a run. ``work`` begins before the first test, with
these parameters of the test; the fixture ``outcome`` is what it returned, or raises what it raised. The same work is
done once.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

POOL = ThreadPoolExecutor(os.cpu_count())
begun: dict[tuple[Any, ...], Future] = {}
programs: set[subprocess.Popen] = set()


def run(*command, **how):
    """What a program printed, which has to end well. It is ended where the tests end before it."""
    command = [str(word) for word in command]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)
    programs.add(program)
    printed, _ = program.communicate()
    programs.discard(program)
    assert program.returncode == 0, f"{program.returncode} from {' '.join(command)}\n{printed[-9000:]}"
    return printed


def begin(items):
    """Begin the work of these tests."""
    for item in items:
        for mark in item.iter_markers("beside"):
            work, *names = mark.args
            key = (work, *(item.callspec.params[name] for name in names))
            if key not in begun:
                begun[key] = POOL.submit(*key)
            item.work = begun[key]


def end():
    """End what still runs."""
    POOL.shutdown(wait=False, cancel_futures=True)
    for program in list(programs):
        program.kill()
