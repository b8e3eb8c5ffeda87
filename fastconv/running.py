# SPDX-License-Identifier: BSD-3-Clause
"""Run a program as python would: a script, a folder or zip with ``__main__.py``, a module, or what stdin says.

It runs as the module ``__main__``, which stays when it has ended: threads, functions for the exit and workers of
multiprocessing look for it there.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import pkgutil
import sys
from importlib.machinery import BuiltinImporter, ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any


class NoProgramError(Exception):
    """There is nothing to run; the text says why."""


def run_program(name: str, arguments: list[str], *, module: bool = False) -> None:
    """Run it with these arguments.

    Parameters
    ----------
    name : str
        A file, a folder, a zip, "-" for stdin, or the name of a module.
    arguments : list of str
        For ``sys.argv``.
    module : bool
        Whether it is the name of a module, as after ``python -m``.

    Raises
    ------
    NoProgramError
        There is no such program.
    """
    sys.argv[:] = ["-m" if module else name, *arguments]
    if module:
        _set_path(os.getcwd())
        code, variables = _of_spec(_module(name))
        sys.argv[0] = variables["__file__"]
    elif name == "-":
        _set_path("")
        code = compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True)
        variables = {"__file__": "<stdin>", "__cached__": None, "__loader__": BuiltinImporter}
    elif (importer := pkgutil.get_importer(os.path.abspath(name))) is not None:
        _set_path(os.path.abspath(name))
        spec = importer.find_spec("__main__")
        if spec is None:
            raise NoProgramError("there is no __main__.py in it")
        code, variables = _of_spec(spec)
    else:
        path = os.path.abspath(name)
        code, variables = _script(path)
        _set_path(os.path.dirname(os.path.realpath(path)))
    main = ModuleType("__main__")
    vars(main).update({"__builtins__": builtins, "__package__": None, "__spec__": None} | variables)
    sys.modules["__main__"] = main
    exec(code, vars(main))


def _set_path(first: str) -> None:
    """Import from there first, instead of from where this command was found."""
    if not sys.flags.safe_path:
        sys.path[:1] = [first]


def _script(path: str) -> tuple[CodeType, dict[str, Any]]:
    try:
        with io.open_code(path) as file:
            code = pkgutil.read_code(file)  # of a .pyc
        if code is None:
            with io.open_code(path) as file:
                source = file.read()
    except FileNotFoundError as error:
        raise NoProgramError("there is no such file") from error
    except OSError as error:
        raise NoProgramError(str(error.strerror)) from error
    if code is None:
        code = compile(source, path, "exec", dont_inherit=True)
    loader = SourceFileLoader("__main__", path)
    return code, {"__file__": path, "__cached__": None, "__loader__": loader}


def _module(name: str) -> ModuleSpec:
    """Of a package, that of its __main__."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    except ValueError:  # __main__ itself, or no name
        spec = None
    if spec is None:
        raise NoProgramError("there is no such module")
    return spec if spec.submodule_search_locations is None else _module(f"{name}.__main__")


def _of_spec(spec: ModuleSpec) -> tuple[CodeType, dict[str, Any]]:
    loader: Any = spec.loader
    code = loader.get_code(spec.name) if hasattr(loader, "get_code") else None
    if code is None:
        raise NoProgramError("it is no program in Python")
    return code, {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }
