# SPDX-License-Identifier: BSD-3-Clause
"""How long after a signal a call ends that would take minutes, of every operation.

    python tests/interrupts.py                  # seconds of CPU time until each has ended, after a signal amid it
    python tests/interrupts.py winograd --threads 2

long_calls.py has the calls. test_interrupts.py sends real signals.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from long_calls import calls

import fastconv

LIMIT = 25  # seconds of CPU time until a call that does not end is given up


class Ctrl_C(BaseException):
    """What the signal's handler raises here, so that nobody takes it for something else."""


def seconds_late(call: Callable[[], Any], after: float, which: int) -> float | None:
    """How long a call goes on after a signal, in real or in CPU time; None: it was done before, or cannot be made."""
    clock = time.monotonic if which == signal.ITIMER_REAL else time.process_time
    sent = clock() + after

    def handler(*_: object) -> None:
        raise Ctrl_C

    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, handler)
    signal.setitimer(which, after)
    try:
        call()
    except Ctrl_C:
        return clock() - sent
    except MemoryError:
        pass
    finally:
        signal.setitimer(which, 0)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", help="of names; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--after", type=float, default=0.4, help="seconds of CPU time until the signal")
    asked = parser.parse_args()
    fastconv.set_num_threads(asked.threads)
    for name, call in calls().items():
        if asked.words and not any(w in name for w in asked.words):
            continue
        pid = os.fork()
        if pid == 0:
            late = seconds_late(call(), asked.after, signal.ITIMER_PROF)
            print(f"{name:40} " + ("not met" if late is None else f"{late:.3f} s"), flush=True)
            os._exit(0)
        ended = 0
        while not ended:
            time.sleep(0.02)
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            with open(f"/proc/{pid}/stat") as f:
                spent = sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
            if spent > LIMIT:
                os.kill(pid, signal.SIGKILL)
                ended, _ = os.waitpid(pid, 0)
                print(f"{name:40} has not ended", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
