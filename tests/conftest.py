# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: every instruction set, seeded random data, tiny chunks, a fresh interpreter.

What is tested is the package of the checkout if it is built there (``pip install -e .``), else the installed one.
Without the extension the fixtures that need it raise: the tests of compiled code fail, none is skipped.
"""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

CHECKOUT = Path(__file__).parents[1]
if not any((CHECKOUT / "fastconv" / f"_core{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    # `python -m pytest` would import it all the same, and so would the interpreters that tests start
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != CHECKOUT]
    os.environ["PYTHONSAFEPATH"] = "1"
    if importlib.util.find_spec("fastconv") is None:
        pytest.exit('fastconv is neither built here nor installed: pip install -e ".[test]"', 2)

import fastconv  # noqa: E402

gc.disable()  # until all tests are collected, which are garbage to nobody: a third of the time that it takes

# A run in the background ignores what a terminal sends. The programs that tests interrupt would ignore it, too.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, signal.SIGINT)  # Windows has no SIGHUP
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

settings.register_profile("local", deadline=None, max_examples=40)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.register_profile("release", deadline=None, max_examples=15_000)
settings.load_profile("ci" if "CI" in os.environ else "local")

SEED = int(os.environ.get("FASTCONV_TEST_SEED") or np.random.SeedSequence().generate_state(1)[0])


LONG = ("test_sanitizers", "test_c_level", "test_wheel")  # they compile: the first one as long as the others

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no fork, alarm, mprotect or getrusage")


def only_deep(*values):
    """Values of a parameter that the deep tier adds to those of the quick one."""
    return [pytest.param(value, marks=pytest.mark.deep) for value in values]


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Share all tests among the CPUs, where pytest-xdist is installed; tests that are named run in this process."""
    options = config.option
    alone = options.usepdb or config.args_source is not config.ArgsSource.TESTPATHS
    shares = "PYTEST_XDIST_WORKER" in os.environ  # one of those that the tests are shared among
    if not alone and not shares and getattr(options, "numprocesses", 0) is None:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        options.numprocesses, options.dist = cpus, "worksteal"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave to the quick tier what shows each value of each parameter on each instruction set and number of threads.

    The other cases of a test are deep: those in which no value is seen for the first time where it is. Which they are
    depends on the test alone.
    """
    tests = defaultdict(list)
    for item in items:
        if hasattr(item, "callspec") and not item.get_closest_marker("deep"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for name, cases in tests.items():
        shown = set()
        shuffled = random.Random(name).sample(cases, len(cases))  # in order, a value would meet few values of others
        quick = set()
        for enough in (all, any):  # first the cases in which everything is new, so that there are few of the others
            for case in shuffled:
                values = [(parameter, id(value)) for parameter, value in case.callspec.params.items()]
                where = [value for value in values if value[0] in ("isa", "threads")] or [None]
                pairs = set(itertools.product(values, where))
                if enough(pair not in shown for pair in pairs):
                    shown |= pairs
                    quick.add(case)
        for case in set(cases) - quick:
            case.add_marker("deep")
    yield
    begin_with_long(items)


def begin_with_long(items):
    """Put tests that take longest first in the equal parts that CPUs begin with, so that none is left in the end."""
    cpus = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    parts = [[] for _ in range(cpus)]
    for item in items:
        if item.path.stem in LONG:
            parts[min(LONG.index(item.path.stem), cpus - 1)].append(item)
    short = [item for item in items if item.path.stem not in LONG]
    each = -(-len(items) // cpus)
    for part in parts:
        more = max(each - len(part), 0)
        part += short[:more]
        short = short[more:]
    items[:] = itertools.chain(*parts)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter):
    """One line on what did not run, and why."""
    left_out = len(terminalreporter.stats.get("deselected", ()))
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    parts = [f"{left_out} deselected (deep ones run with -m deep)"] if left_out else []
    parts += [f"{count} skipped ({reason})" for reason, count in reasons.items()]
    terminalreporter.write_line("did not run: " + ("; ".join(parts) or "none"))


@pytest.fixture(params=fastconv.isas() or ["no extension"])
def isa(request):
    """Each instruction set of this CPU in turn."""
    with fastconv.use_isa(request.param):
        yield request.param


@pytest.fixture
def rng():
    """Random numbers; set FASTCONV_TEST_SEED to what a failed test printed to see them again."""
    print(f"FASTCONV_TEST_SEED={SEED}")
    return np.random.default_rng(SEED)


@pytest.fixture
def tiny_chunks():
    """Bands of 8 rows; threads and stores past the caches, however small the call."""
    from fastconv import _core

    _core.tune(8, 0.0, 0.0)
    yield
    _core.tune()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of all processes that share the tests of this run."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture
def python():
    """Function that runs code in a fresh interpreter, with FASTCONV_* as given, and returns how it ended."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(Path(fastconv.__file__).parents[1]), str(here)])
    quiet = "ignore:This process:DeprecationWarning"  # of forks where there are threads, by CPython 3.12 and later

    def run(code, timeout=120, **variables):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTCONV_")}
        return subprocess.run(
            [sys.executable, "-W", quiet, "-c", code],
            env=clean | {"PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
