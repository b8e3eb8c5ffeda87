# SPDX-License-Identifier: BSD-3-Clause
"""How it runs: the extension, instruction sets, threads, self-checks, and what explains them.

Environment, read at import: FASTCONV_NUM_THREADS (threads of a call), FASTCONV_MAX_ISA (best instruction
set to use), FASTCONV_CHECK=1 (as if everything ran inside `checked()`), FASTCONV_SPREAD=0 (let worker
threads share the calling thread's CPU). A switch is 0, false, no or off, or else 1, true, yes or on.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import os
import platform
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

__all__ = [
    "CheckError",
    "checked",
    "get_num_threads",
    "isas",
    "set_num_threads",
    "show_config",
    "use_isa",
]

_core: ModuleType | None
try:
    # (a missing module is an error of its own here; `from fastconv import _core` would speak of a circular import)
    _core = importlib.import_module("fastconv._core")
except ImportError as error:
    _core = None
    why = str(error)
    if isinstance(error, ModuleNotFoundError):
        why = f"{os.path.dirname(__file__)} has none; in a checkout, build it by 'pip install -e .', or start Python "
        why += "in another folder, to import the installed package"
    warnings.warn(
        f"fastconv: the compiled extension cannot be imported ({why}); "
        "results come from the NumPy reference, which is right but slow",
        RuntimeWarning,
        stacklevel=2,
    )


class CheckError(AssertionError):
    """A compiled result differs from the NumPy reference by more than the derived bound."""


def switch(name: str, default: bool) -> bool:
    """Whether a variable of the environment is on. A mistake must not break who imports us: it is said and left."""
    given = os.environ.get(name, "").strip().lower()
    for words, on in SWITCH.items():
        if given in words:
            return on
    if given:
        accepted = " or ".join(", ".join(words) for words in SWITCH)
        warnings.warn(f"{name} must be one of {accepted}; got {os.environ[name]!r}", RuntimeWarning, stacklevel=3)
    return default


SWITCH = {("0", "false", "no", "off"): False, ("1", "true", "yes", "on"): True}

checking = contextvars.ContextVar("fastconv.checking", default=switch("FASTCONV_CHECK", False))
if checking.get() and _core is not None:
    _core.ask_first(checking.get)


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """Compare every compiled result inside with the NumPy reference.

    Each result is also computed by `fastconv.reference` and compared element by element with the bound that
    `fastconv.reference.error_bound` derives; integers and non-finite values must be equal.
    Setting the environment variable ``FASTCONV_CHECK=1`` has the same effect for the whole program.

    Raises
    ------
    CheckError
        At the first call whose result differs; it says where and by how much.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> with fastconv.checked():
    ...     fastconv.corr2d(np.ones((3, 3)), np.ones((2, 2)))
    array([[4., 4.],
           [4., 4.]])
    """
    if _core is not None:
        _core.ask_first(checking.get)
    token = checking.set(True)
    try:
        yield
    finally:
        checking.reset(token)


def check_result(result: np.ndarray, expected: np.ndarray, bound: np.ndarray, what: str) -> None:
    """Raise CheckError unless |result - expected| <= bound, or both are the same non-finite value."""
    with np.errstate(all="ignore"):
        difference = _distance(result, expected)
        wrong = ~((difference == 0) | (difference <= bound) | np.isinf(bound))  # a bound may be NaN
    if wrong.any():
        worst = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1)), wrong.shape)
        where = tuple(int(i) for i in worst)
        raise CheckError(
            f"{what}: {int(wrong.sum())} of {wrong.size} elements differ from the reference; the worst, at {where}, "
            f"is {result[worst]!r}, expected {expected[worst]!r} within {bound[worst]:.3g}"
        )


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b|, part by part of complex numbers; 0 where they are equal or both NaN, and nowhere else."""
    if a.dtype.kind == "c":
        apart: np.ndarray = np.hypot(_distance(a.real, b.real), _distance(a.imag, b.imag))
        return apart
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    least = float(np.finfo(np.float64).smallest_subnormal)  # of large integers floats may not see the difference
    return np.where(same, 0.0, np.maximum(np.abs(a.astype(np.float64) - b.astype(np.float64)), least))


# ---- instruction sets ---------------------------------------------------------------------------

ISAS = ("avx512", "avx2", "base", "neon")  # best first; base is the last on x86-64, neon the only one on AArch64


def isas() -> list[str]:
    """The instruction sets that the package has micro-kernels for and this CPU can run, best first.

    Returns
    -------
    list of str
        From "avx512", "avx2", "base" (SSE2) on x86-64 and "neon" on AArch64; empty without the extension.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.isas()[-1] in ("base", "neon")
    True
    """
    return [t["isa"] for t in _core.tables()] if _core else []


def use_isa(name: str) -> contextlib.AbstractContextManager[Any]:
    """Use the micro-kernels of one instruction set from now on, in the whole process.

    Parameters
    ----------
    name : str
        One of `isas()`.

    Returns
    -------
    context manager
        ``with use_isa(name): ...`` restores the former one at the end.

    Raises
    ------
    ValueError
        If `name` is not one of `isas()`.

    Examples
    --------
    >>> import fastconv
    >>> with fastconv.use_isa(fastconv.isas()[-1]):
    ...     pass
    """
    available = isas()
    if name not in available:
        raise ValueError(f"isa must be one of {', '.join(available) or '(none: no extension)'}; got {name!r}")
    assert _core is not None
    before = _core.table()["isa"]
    _core.use(available.index(name))
    restore = contextlib.ExitStack()
    restore.callback(_core.use, available.index(before))
    return restore


# ---- threads ------------------------------------------------------------------------------------


def set_num_threads(n: int) -> None:
    """Set how many threads a call may use at most, for the whole process.

    Results have the same bits for any number. A call that takes less than about 0.2 ms uses one.

    Parameters
    ----------
    n : int
        At least 1.

    Examples
    --------
    >>> import fastconv
    >>> before = fastconv.get_num_threads()
    >>> fastconv.set_num_threads(1)
    >>> fastconv.get_num_threads()
    1
    >>> fastconv.set_num_threads(before)
    """
    n = thread_count(n, "n")
    if _core:
        _core.set_threads(n)


def get_num_threads() -> int:
    """How many threads a call may use at most.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.get_num_threads() >= 1
    True
    """
    return _core.get_threads() if _core else 1


def thread_count(n: Any, name: str) -> int:
    """n as a number of threads; the pool has at most 256."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{name} must be an integer; got {n!r}")
    if n < 1:
        raise ValueError(f"{name} must be at least 1; got {n}")
    return min(int(n), 256)


def _usable_cpus() -> int:
    """CPUs this process may run on, less what the quota of a control group takes away."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # there are no control groups here, or none like Linux's
        for quota in _quotas():
            cpus = min(cpus, max(1, quota))
    return cpus


# By controller, "" for v2: the files of a group with its quota and period; of no quota they say "max" or -1.
QUOTA_FILES = {"": ("cpu.max",), "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us")}


def _quotas(process: str = "/proc/self") -> Iterator[int]:
    """The CPUs, rounded down, that each control group around a process leaves it; the least of them holds.

    A group lies below the mount point as its path lies below the root of that mount. In a container the path may be
    one that is not seen there: then the mount point is the group.
    """
    groups: dict[str, str] = {}
    for line in _text(process, "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    for line in _text(process, "mountinfo").splitlines():
        (*_, root, point), (kind, _, options) = (half.split()[:5] for half in line.split(" - "))
        controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
        if controller is None or controller not in groups or (controller and controller not in options.split(",")):
            continue
        below = os.path.relpath(groups[controller], root)
        folder, last = point if below.startswith("..") else os.path.normpath(os.path.join(point, below)), ""
        while folder != last:  # up to the root
            with contextlib.suppress(OSError, ValueError):
                quota, period = (int(n) for name in QUOTA_FILES[controller] for n in _text(folder, name).split())
                if quota > 0 and period > 0:
                    yield quota // period
            folder, last = os.path.dirname(folder), folder


def _text(folder: str, name: str) -> str:
    with open(os.path.join(folder, name), errors="surrogateescape") as file:
        return file.read()


# ---- what is in use -----------------------------------------------------------------------------


def show_config() -> None:
    """Print version, instruction sets, threads and environment: what a bug report should contain.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.show_config()  # doctest: +ELLIPSIS
    fastconv ...
    """
    from fastconv import __version__

    print(f"fastconv {__version__}, NumPy {np.__version__}, Python {platform.python_version()}, {platform.platform()}")
    if _core:
        print(f"extension   {_core.__file__}")
        print(f"isa         {_core.table()['isa']} (this CPU: {', '.join(isas())})")
        print(f"threads     {get_num_threads()} (usable CPUs: {_usable_cpus()})")
    else:
        print("extension   none: the NumPy reference computes everything")
    print(f"checked     {checking.get()}")
    print("environment " + (" ".join(f"{k}={v}" for k, v in os.environ.items() if k.startswith("FASTCONV_")) or "-"))


# ---- environment --------------------------------------------------------------------------------


def _apply_environment() -> None:
    """A mistake in a variable must not break the program that imports us: it is said and left."""
    threads = os.environ.get("FASTCONV_NUM_THREADS") or str(_usable_cpus())
    try:
        set_num_threads(int(threads))
    except ValueError:
        warnings.warn(f"FASTCONV_NUM_THREADS must be a positive integer; got {threads!r}", RuntimeWarning, stacklevel=4)
        set_num_threads(_usable_cpus())
    if not switch("FASTCONV_SPREAD", True) and _core:
        _core.spread_workers(False)
    cap = os.environ.get("FASTCONV_MAX_ISA")
    if cap and cap not in ISAS:
        warnings.warn(f"FASTCONV_MAX_ISA must be one of {', '.join(ISAS)}; got {cap!r}", RuntimeWarning, stacklevel=4)
    elif cap and _core:
        use_isa(next((isa for isa in ISAS[ISAS.index(cap) :] if isa in isas()), isas()[-1]))


_apply_environment()
