# SPDX-License-Identifier: BSD-3-Clause
"""The pool of threads, seen from outside: how many there are, what they may be sent and where they run; forks, threads
that cannot be created, the end of the interpreter; and what a call leaves as it was.

The bits are in test_bits.py; from inside, the pool is seen in c/pool.c.
"""

from __future__ import annotations

import os
import textwrap

import numpy as np
import pytest

from fastconv import _core, nn

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="/proc does not tell of threads")

PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
import fastconv
from fastconv import _core, nn

_core.tune(8, 0.0, 0.0)  # bands of 8 rows; threads in every call
x, k = np.arange(61 * 203, dtype=np.float32).reshape(61, 203) % 7, np.ones((5, 5), np.float32)
right = fastconv.corr2d(x, k, "same", threads=1)

def compute(threads=4):
    assert (fastconv.corr2d(x, k, "same", threads=threads) == right).all()

def tasks():
    return {int(t) for t in os.listdir("/proc/self/task")}

def status(task, name):
    with open(f"/proc/self/task/{task}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith(name)), 16)

def wait_for_child(pid):
    for _ in range(3000):
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            assert code == 0, code
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    raise AssertionError("the child hangs")

def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    wait_for_child(pid)

before = tasks()
"""


@pytest.fixture
def program(python):
    """Function that runs a program behind the prelude, which has to end well."""

    def run(code, **variables):
        done = python(PRELUDE + textwrap.dedent(code), **variables)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    return run


def test_an_import_starts_no_thread(python):
    """Nor does it bring anything but NumPy, and what costs nothing. (Old NumPys do not bring inspect by themselves.)"""
    code = """
import inspect, os, sys, numpy
before, modules = os.listdir("/proc/self/task"), {*sys.modules}
import fastconv
more = {name for name in sys.modules if name.partition(".")[0] not in ("fastconv", "numpy")} - modules
assert more <= {"__future__", "threading", "cython_runtime", "importlib.util", "importlib._abc"} | {
    name for name in more if name.startswith("_cython_")
}, more
import fastconv.nn, fastconv.signal, fastconv.ndimage
fastconv.corr2d([[1.0, 2.0]], [[3.0]])
assert os.listdir("/proc/self/task") == before
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_workers_have_scratch_of_their_own(rng):
    """More of them than CPUs: two are amid a chunk at once, or one is stopped there."""
    x, w = rng.standard_normal((8, 32, 100, 100)).astype("f4"), rng.standard_normal((32, 32, 3, 3)).astype("f4")
    alone = nn.conv2d(x, w, padding=1, accuracy="exact", threads=1)
    _core.tune(8, 0.0, 0.0)  # threads in every call
    try:
        for _ in range(4):
            np.testing.assert_array_equal(nn.conv2d(x, w, padding=1, accuracy="exact", threads=6), alone)
    finally:
        _core.tune()


def test_as_many_workers_as_a_call_wants(program):
    program("""
        compute(2)
        assert len(tasks() - before) == 1
        for threads in (4, 3, 1, 4):
            compute(threads)
        assert len(tasks() - before) == 3
    """)


def test_workers_take_all_calls(program):
    """They have work in the second call, too, and in a child: time that they have been given grows; of no more of them
    than a call asks for."""
    program("""
        def used():
            return sum(int(open(f"/proc/self/task/{t}/stat").read().rpartition(")")[2].split()[11])
                       for t in tasks() if t != os.getpid())

        def busy():
            compute(3)
            big, taps = np.ones((1500, 1500), np.float32), np.ones((9, 9), np.float32)
            then, until = used(), time.monotonic() + 60
            while used() == then and time.monotonic() < until:
                fastconv.corr2d(big, taps, threads=3, method="direct")
            assert used() > then, "no worker has worked"

        def ran(task):  # ns
            return int(open(f"/proc/self/task/{task}/schedstat").read().split()[0])

        def one_beside_the_caller():
            big, taps, workers = np.ones((1500, 1500), np.float32), np.ones((15, 15), np.float32), tasks() - before
            assert len(workers) == 2
            for _ in range(4):
                then = {t: ran(t) for t in workers}
                fastconv.corr2d(big, taps, threads=2, method="direct")
                assert sum(ran(t) > then[t] + 1_000_000 for t in workers) <= 1, "another worker has scratch of its own"

        busy()
        if os.path.exists("/proc/self/schedstat"):
            one_beside_the_caller()
        in_child(busy)
        busy()
    """)


def test_workers_take_no_signals_and_callers_keep_theirs(program):
    program("""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        compute()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
        faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
        workers = tasks() - before
        assert workers
        for task in workers:
            for _ in range(2000):  # a thread that has just been made blocks all of them until it runs
                blocked = status(task, "SigBlk:")
                if not blocked >> (signal.SIGFPE - 1) & 1:
                    break
                time.sleep(0.01)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD):
                assert blocked >> (number - 1) & 1, number
            for number in faults:
                assert not blocked >> (number - 1) & 1, number
    """)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU")
def test_workers_keep_off_the_callers_cpu(program):
    program("""
        cpu = min(os.sched_getaffinity(0))
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpu})  # so that the caller stays there
        compute(2)
        (worker,) = tasks() - before
        assert os.sched_getaffinity(worker) == {cpu}  # there is no other that it may run on
        os.sched_setaffinity(0, allowed)
        def here():
            return int(open("/proc/self/stat").read().rpartition(")")[2].split()[36])

        keeps_off = False
        for _ in range(50):
            cpu = here()
            compute(2)
            assert os.sched_getaffinity(0) == allowed
            keeps_off |= here() == cpu and cpu not in os.sched_getaffinity(worker)
        assert keeps_off and len(os.sched_getaffinity(worker)) == len(allowed) - 1
    """)
    program(
        """
        for _ in range(5):
            compute(2)
        (worker,) = tasks() - before
        assert os.sched_getaffinity(worker) == os.sched_getaffinity(0)
    """,
        FASTCONV_SPREAD="0",
    )


def test_forks_amid_calls_of_others(program):
    program("""
        stop = threading.Event()

        def others():
            while not stop.is_set():
                compute()

        threads = [threading.Thread(target=others) for _ in range(2)]
        for t in threads:
            t.start()
        for _ in range(20):
            in_child(compute)
        stop.set()
        for t in threads:
            t.join()
        compute()
    """)


def test_a_handler_forks_amid_a_call(program):
    """The child goes on with the call, without the workers."""
    program("""
        big, taps = np.ones((600, 1500), np.float32), np.ones((31, 31), np.float32)
        children = []

        def fork(*_):
            if not children:
                children.append(os.fork())

        signal.signal(signal.SIGALRM, fork)
        for _ in range(3):
            children.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            until = time.monotonic() + 60
            while not children and time.monotonic() < until:
                y = fastconv.corr2d(big, taps, "same", threads=3, method="direct")
            assert children
            if children[0] == 0:
                ok = (y[20:-20, 20:-20] == 961).all()
                compute()
                os._exit(0 if ok else 1)
            wait_for_child(children[0])
            assert (y[20:-20, 20:-20] == 961).all()
    """)


def test_threads_that_cannot_be_created(program):
    """No stack for another thread: the work goes on with those that there are."""
    program("""
        import resource
        compute(2)
        with open("/proc/self/statm") as f:
            used = int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + (6 << 20), resource.RLIM_INFINITY))
        for _ in range(3):
            compute(40)
        assert len(tasks() - before) < 39
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        compute(4)
        assert len(tasks() - before) >= 3
    """)


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_end_of_the_interpreter_amid_a_call(python, end):
    code = f"""
big, taps = np.ones((3000, 3000), np.float32), np.ones((15, 15), np.float32)
def endless():
    while True:
        fastconv.corr2d(big, taps, threads=3)
for _ in range(2):
    threading.Thread(target=endless, daemon=True).start()
compute()
time.sleep(0.05)
print("ends", flush=True)
{end}
"""
    done = python(PRELUDE + code)
    assert (done.returncode, done.stdout) == (-9 if "kill" in end else 0, "ends\n"), done.stderr


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_multiprocessing(tmp_path, python, method):
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing, sys, warnings
import numpy as np
import fastconv
from fastconv import _core

def compute(n):
    _core.tune(8, 0.0, 0.0)
    return fastconv.corr2d(np.full((61, 203), n, np.float32), np.ones((3, 3), np.float32), threads=3)[0, 0]

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads
    compute(1)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert pool.map_async(compute, range(8)).get(60) == [9 * n for n in range(8)]
    compute(1)
""")
    done = python(f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, {str(script)!r}]).returncode)")
    assert (done.returncode, done.stderr) == (0, "")


def test_calls_leave_the_process_as_it_was(program):
    """Rounding, subnormal numbers, signal masks and handlers, environment, affinity, folder, random numbers."""
    program("""
        from long_calls import calls

        def state():
            random = np.random.get_state()[1].sum()
            tiny = np.float32(1e-40) * np.float32(1)  # 0, if subnormal numbers are flushed
            third = [np.float64(sign) / np.float64(3) for sign in (1, -1)]  # of another rounding: others
            handlers = [signal.getsignal(n) for n in signal.valid_signals()]
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            return (random, float(tiny), third, handlers, mask, dict(os.environ), os.getcwd(),
                    os.sched_getaffinity(0), np.geterr(), signal.getitimer(signal.ITIMER_REAL))

        first = state()
        assert first[1] > 0
        for name, make in calls(small=True).items():
            make()()
            assert state() == first, name
    """)
