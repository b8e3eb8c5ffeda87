# SPDX-License-Identifier: BSD-3-Clause
"""Put fastconv in the place of SciPy's and scikit-image's functions, for programs that are not to be changed.

`patch` replaces every global of the modules it is given (and of the modules below them) that is one of the original
functions: `scipy.ndimage.correlate1d` and, as `gaussian_filter` finds it there, `scipy.ndimage._filters.correlate1d`.
What a replacement does not take (array-API arrays, masked arrays) is left to the original, and counted. Processes that
multiprocessing starts are patched as the one that starts them, and replaced functions can be sent to them.

Nothing is replaced unless it is asked for, and nothing at all if the environment has ``FASTCONV_PATCH=0``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastconv import feature, ndimage, signal
from fastconv.runtime import switch

__all__ = ["fallbacks", "patch", "patched", "unpatch"]

# Whose functions are replaced, and where the replacements are
REPLACED = {"scipy.signal": signal, "scipy.ndimage": ndimage, "skimage.feature": feature}

Function = Callable[..., Any]
Replaced = tuple[dict[str, Any], str, Function]  # globals of a module, name, original

_lock = threading.RLock()
_stand_ins: dict[int, tuple[Function, Function]] = {}  # by id of the original: the original, its stand-in
_undo: list[Replaced] = []
_fallbacks: Counter[str] = Counter()


def patch(*modules: str) -> int:
    """Replace the functions that fastconv has, in these modules and all below them.

    Parameters
    ----------
    *modules : str
        Names; imported if they are not yet. Default "scipy.signal", "scipy.ndimage" and, where it is installed,
        "skimage.feature". Other modules may be named, too: one that has done ``from scipy.signal import convolve``
        before has a global of its own.

    Returns
    -------
    int
        How many globals were replaced: 0 for those that are replaced already, and if the environment has
        ``FASTCONV_PATCH=0``.

    Raises
    ------
    ImportError
        A module that is named cannot be imported. Nothing is replaced then.
    TypeError
        Something else than a name.

    Examples
    --------
    >>> import fastconv, scipy.ndimage
    >>> replaced = fastconv.patch("scipy.ndimage")
    >>> scipy.ndimage.sobel.__module__
    'fastconv.ndimage'
    >>> fastconv.unpatch()
    >>> scipy.ndimage.sobel.__module__
    'scipy.ndimage._filters'
    """
    if not switch("FASTCONV_PATCH", True):
        return 0
    for name in modules:
        if not isinstance(name, str) or not name.strip(".") or name.startswith("."):
            raise TypeError(f"modules must be names of modules, as 'scipy.signal' is; got {name!r}")
    with _lock:
        named = [importlib.import_module(name) for name in modules]
        for name in REPLACED if not modules else ():
            with contextlib.suppress(ImportError):
                named.append(importlib.import_module(name))
        _find_originals()
        count = 0
        for module in named:
            below = module.__name__ + "."
            for name, part in list(sys.modules.items()):
                if part is module or name.startswith(below):
                    count += _replace(vars(part))
        _tell_workers()
        return count


def unpatch() -> None:
    """Put every original function back.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.unpatch()
    """
    with _lock:
        _restore(_undo[:])


@contextlib.contextmanager
def patched(*modules: str) -> Iterator[int]:
    """`patch` for the length of a with statement.

    What was replaced before stays replaced. The whole process is affected, all threads included.

    Parameters
    ----------
    *modules : str
        As for `patch`.

    Examples
    --------
    >>> import fastconv, scipy.signal
    >>> with fastconv.patched("scipy.signal"):
    ...     scipy.signal.convolve.__module__
    'fastconv.signal'
    """
    with _lock:
        before = len(_undo)
        count = patch(*modules)
        ours = _undo[before:]
    try:
        yield count
    finally:
        with _lock:
            _restore(ours)


def fallbacks() -> dict[str, int]:
    """How often a replaced function has left a call to the original one, by name.

    Returns
    -------
    dict

    Examples
    --------
    >>> import fastconv
    >>> fastconv.fallbacks()
    {}
    """
    return dict(_fallbacks)


def _find_originals() -> None:
    for name, ours in REPLACED.items():
        theirs = sys.modules.get(name)
        for function in ours.__all__ if theirs is not None else ():
            original = getattr(theirs, function, None)  # (scikit-image has its globals where they are made)
            if callable(original) and not hasattr(original, "__fastconv__"):
                stand_in = getattr(ours, function).patched
                stand_in.__fastconv__ = original
                _stand_ins.setdefault(id(original), (original, stand_in))


def _replace(variables: dict[str, Any]) -> int:
    count = 0
    for name, value in list(variables.items()):
        original, stand_in = _stand_ins.get(id(value), (None, None))
        if original is not None and original is value:
            variables[name] = stand_in
            _undo.append((variables, name, original))
            if _is_home(variables, name, original):
                original.__qualname__ = f"{name}.__fastconv__"  # where pickle finds it now
            count += 1
    return count


def _restore(replaced: list[Replaced]) -> None:
    """Put these originals back, but where something else has been put since."""
    gone = set(map(id, replaced))
    _undo[:] = [one for one in _undo if id(one) not in gone]
    for variables, name, original in reversed(replaced):
        if variables.get(name) is _stand_ins[id(original)][1]:
            variables[name] = original
        if _is_home(variables, name, original):
            original.__qualname__ = name
    _tell_workers()


def _is_home(variables: dict[str, Any], name: str, original: Function) -> bool:
    """Whether that is the global by which a function is pickled."""
    known = isinstance(original, types.FunctionType) and variables.get("__name__") == original.__module__
    return known and name == original.__name__


def _stand_in(module: str, ours: Function) -> Function:
    """Ours for what it takes, else the original, which is in that module."""

    @functools.wraps(ours)
    def stand_in(*args: Any, **how: Any) -> Any:
        if not any(map(_is_foreign, (*args, *how.values()))):
            return ours(*args, **how)
        # In a process that has been sent this function, and is not patched, it may not have been looked for.
        original = getattr(stand_in, "__fastconv__", None) or getattr(importlib.import_module(module), ours.__name__)
        _fallbacks[f"{original.__module__}.{original.__name__}"] += 1
        return original(*args, **how)

    stand_in.__qualname__ = f"{ours.__name__}.patched"  # where pickle finds it, patched or not
    return stand_in


for _module, _ours in REPLACED.items():
    for _function in map(_ours.__dict__.get, _ours.__all__):
        if callable(_function):
            _function.patched = _stand_in(_module, _function)


# ---- processes that this one starts --------------------------------------------------------------


class _Patches:
    """What a new process is told first: to replace the functions of these modules, wherever fastconv is."""

    def __init__(self, modules: list[str]) -> None:
        self.modules = modules

    def __reduce__(self) -> tuple[Any, ...]:
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        path = [os.path.abspath(p) for p in sys.path] + [folder]
        code = f"import sys\nsys.path += [p for p in {path!r} if p not in sys.path]\nimport fastconv.patching as p\n"
        return exec, (f"{code}p._patch_as_told({self.modules!r})", {})


def _patch_as_told(modules: list[str]) -> None:
    for name in modules:
        with contextlib.suppress(ImportError):  # made in the process that tells
            patch(name)


def _tell_workers() -> None:
    """Let what multiprocessing sends to a process that does not fork carry the patches, as long as there are some."""
    from multiprocessing import spawn  # which takes as long to import as all of fastconv

    sent = spawn.get_preparation_data
    original = getattr(sent, "__fastconv__", None)
    if original is None and _undo:

        @functools.wraps(sent)
        def get_preparation_data(name: str) -> dict[str, Any]:
            with _lock:
                modules = {str(variables.get("__name__")) for variables, _, _ in _undo}
            return {**sent(name), "fastconv": _Patches(sorted(modules - {"__main__", "__mp_main__"}))}

        get_preparation_data.__fastconv__ = sent  # type: ignore[attr-defined]
        spawn.get_preparation_data = get_preparation_data
    elif original is not None and not _undo:
        spawn.get_preparation_data = original


def _is_foreign(value: Any) -> bool:
    """Masked arrays, and arrays that get results of their own kind from SciPy."""
    if isinstance(value, (np.ndarray, np.generic)):
        return isinstance(value, np.ma.MaskedArray)
    # (SciPy makes NumPy's of PyTorch's, unless it is told not to.)
    of_torch = type(value).__module__.partition(".")[0] == "torch"
    return hasattr(value, "__array_namespace__") or (of_torch and os.environ.get("SCIPY_ARRAY_API", "0") != "0")
