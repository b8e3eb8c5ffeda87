# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C ends a call that would take minutes, whatever it computes, and leaves the package usable.

`long_calls.py` has the calls, and `interrupts.py` says how long after the signal each of them ends. No test asserts a
time, but none has minutes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import long_calls
import numpy as np
import pytest
from conftest import only_deep

import fastconv

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")

QUICK = [
    *("corr2d fft", "corr2d of bytes", "ndimage.correlate1d", "signal.convolve", "conv2d_weight of a batch"),
    *("conv2d of many images", "adaptive_avg_pool2d"),
]
OTHERS = [name for name in long_calls.calls(small=True) if name not in QUICK]
PRELUDE = """
import os, signal, sys, threading, time
import interrupts
import long_calls
import numpy as np
import fastconv
from fastconv import nn

long, taps = np.broadcast_to(np.float32(1), (400, 2000, 2000)), np.ones((9, 9), np.float32)

def check():
    for threads in (1, 2):
        assert (fastconv.corr2d(long[0], taps, threads=threads) == 81).all()
        assert (nn.conv2d(long[:1, None, :50, :50], taps[None, None]) == 81).all()
"""


def ends_well(python, code, **how):
    done = python(PRELUDE + textwrap.dedent(code), **how)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.fixture
def sent():
    """Function that sends this process a signal in so many seconds of CPU time, whose handler raises it."""

    class Sent(Exception):
        pass

    def handler(*_):
        raise Sent

    before = signal.signal(signal.SIGPROF, handler)

    def send(seconds):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return Sent

    yield send
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def test_a_call_of_seconds_is_given_up(sent):
    """If nobody is asked, it ends all the same: a fault does not take minutes to be seen."""
    x, k = np.broadcast_to(np.float32(1), (3000, 3000)), np.ones((51, 51), np.float32)
    with pytest.raises(sent(0.02)):
        fastconv.corr2d(x, k, method="direct", threads=1)
    assert (fastconv.corr2d(x[:99, :99], k, method="direct", threads=1) == 51 * 51).all()


@pytest.mark.parametrize("names", [QUICK, *only_deep(*(OTHERS[i::8] for i in range(8)))], ids=lambda names: names[0])
def test_every_operation_is_given_up(python, names):
    code = f"""
        for i, name in enumerate({names!r}):
            fastconv.set_num_threads(1 + i % 2)
            late = interrupts.seconds_late(long_calls.calls()[name](), 0.05, signal.ITIMER_PROF)
            assert late is not None, f"{{name}} was done before, or there is no memory for it"
        check()
    """
    ends_well(python, code, timeout=600, FASTCONV_NUM_THREADS="2")


def test_the_same_calls_of_few_elements(rng):
    """They are right elsewhere; here, they can be made."""
    for make in long_calls.calls(small=True).values():
        make()()


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_from_outside(threads):
    code = (
        PRELUDE
        + f"""
print("begins", flush=True)
try:
    fastconv.corr2d(long, np.ones((31, 31), np.float32), threads={threads}, method="direct")
except KeyboardInterrupt:
    check()
    print("ended", flush=True)
"""
    )
    here = os.path.dirname(__file__)
    path = os.pathsep.join([os.path.dirname(here), here])
    command, variables = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as program:
        assert program.stdout.readline() == "begins\n"
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=120)
    assert (program.returncode, said) in ((0, "ended\n"), (-signal.SIGINT, ""))  # or before the call has begun


def test_a_handler_that_raises_nothing_changes_nothing(python):
    """It may itself call, and be given up."""
    ends_well(python, """
        heard = []

        class Enough(Exception):
            pass

        def handler(*_):
            heard.append((fastconv.corr2d(long[0], taps) == 81).all())
            signal.setitimer(signal.ITIMER_REAL, 0.05 if len(heard) < 3 else 0)

        def inner(*_):
            raise Enough

        def outer(*_):
            signal.signal(signal.SIGALRM, inner)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                fastconv.corr2d(long, np.ones((101, 101), np.float32), method="direct")
            except Enough:
                heard.append(True)

        for threads in (1, 2):
            for how, least in ((handler, 3), (outer, 1)):
                heard.clear()
                signal.signal(signal.SIGALRM, how)
                signal.setitimer(signal.ITIMER_REAL, 0.06)
                until = time.monotonic() + 100
                while len(heard) < least and time.monotonic() < until:
                    y = fastconv.corr2d(long[:4], np.ones((31, 31), np.float32), threads=threads, method="direct")
                    assert (y == 961).all()
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert len(heard) >= least and all(heard), heard
        check()
    """)  # fmt: skip


def test_calls_of_other_threads_go_on(python):
    ends_well(python, """
        results = []

        def other():
            y = fastconv.corr2d(long[:4], np.ones((31, 31), np.float32), threads=2, method="direct")
            results.append((y == 961).all())

        def handler(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, handler)
        others = [threading.Thread(target=other) for _ in range(2)]
        for t in others:
            t.start()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            fastconv.corr2d(long, np.ones((101, 101), np.float32), method="direct")
            raise AssertionError("it was not given up")
        except KeyboardInterrupt:
            pass
        for t in others:
            t.join()
        assert results == [True, True]
        check()
    """)  # fmt: skip


def test_in_a_child_of_another_thread(python):
    """Its main thread is another one than that of the parent."""
    ends_well(python, """
        def handler(*_):
            raise KeyboardInterrupt

        def fork():
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGALRM, handler)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                try:
                    fastconv.corr2d(long, np.ones((101, 101), np.float32), method="direct")
                except KeyboardInterrupt:
                    check()
                    os._exit(0)
                os._exit(1)
            codes.append(os.waitpid(pid, 0)[1])

        codes = []
        t = threading.Thread(target=fork)
        t.start()
        t.join()
        assert codes == [0], codes
    """)  # fmt: skip
