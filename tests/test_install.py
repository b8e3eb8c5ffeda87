# SPDX-License-Identifier: BSD-3-Clause
"""The first minutes of a new user: what an install brings, and what a checkout that is not built says and does."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv

PACKAGE, TESTS = Path(fastconv.__file__).parent, Path(__file__).parent


@pytest.fixture
def unbuilt(tmp_path):
    """Function that runs Python in a checkout without a compiled extension.

    ``-S`` leaves out what an editable install adds to the import system: it would find the extension of that install.
    """
    shutil.copytree(PACKAGE, tmp_path / "fastconv", ignore=shutil.ignore_patterns("_core.*", "__pycache__"))
    (tmp_path / "tests").mkdir()
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests")

    def run(*arguments, **variables):
        path = [
            *variables.pop("path", ()),
            *(p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")),
        ]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(path)} | variables
        env.pop("PYTHONSAFEPATH", None)
        command = [sys.executable, "-S", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_a_checkout_that_is_not_built_says_what_to_do(unbuilt, tmp_path):
    done = unbuilt("-c", "import fastconv; print(fastconv.corr1d([1, 2, 3], [1, 1]))")
    assert (done.returncode, done.stdout) == (0, "[3 5]\n")
    assert done.stderr.count("Warning") == 1 and "circular" not in done.stderr
    for words in (f"{tmp_path / 'fastconv'} has none", "pip install -e .", "another folder"):
        assert words in done.stderr


def test_an_extension_that_cannot_be_loaded_says_why(unbuilt, tmp_path):
    (tmp_path / "fastconv" / "_core.abi3.so").write_bytes(b"no library")
    done = unbuilt("-c", "import fastconv; print(fastconv.corr1d([1, 2, 3], [1, 1]))")
    assert (done.returncode, done.stdout) == (0, "[3 5]\n")
    assert "_core.abi3.so: file too short" in done.stderr and "has none" not in done.stderr


@pytest.mark.deep
def test_the_tests_of_a_checkout_that_is_not_built_take_the_installed_package(unbuilt, tmp_path):
    (tmp_path / "tests" / "test_it.py").write_text(
        "import subprocess, sys, fastconv\n"
        "def test_it():\n"
        f"    assert fastconv.__file__ == {str(PACKAGE / '__init__.py')!r} and fastconv.isas()\n"
        "    code = 'import fastconv; print(fastconv.__file__)'\n"
        "    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)\n"
        "    assert (done.stdout.strip(), done.stderr) == (fastconv.__file__, '')\n"
    )
    done = unbuilt("-m", "pytest", "-q", "-p", "no:cacheprovider", path=[str(PACKAGE.parent)])
    assert done.returncode == 0, done.stdout + done.stderr
    done = unbuilt("-m", "pytest", "-q", "-p", "no:cacheprovider")
    if done.returncode:  # the package that runs this is not one that is installed
        assert "neither built here nor installed: pip install -e" in done.stdout + done.stderr


def test_public_modules_are_there_without_being_imported(python):
    code = """
import sys
import fastconv
names = "learning", "nn", "dense", "kernels", "dask", "onnx", "torch"
lazy = [name for name in names if f"fastconv.{name}" in sys.modules]
print(lazy, sorted({"dask", "onnx", "torch"} & {*sys.modules}) != [])
for name in ("dense", "feature", "kernels", "learning", "ndimage", "nn", "reference", "signal"):
    assert getattr(fastconv, name) is sys.modules[f"fastconv.{name}"], name
    assert name in dir(fastconv) and name in fastconv.__all__
from fastconv import *
print(learning.__name__)
"""
    done = python(code)
    assert (done.stdout, done.stderr) == ("[] False\nfastconv.learning\n", "")


def test_internal_modules_do_not_show():
    needed = {"dask": "dask", "onnx": "onnx", "plot": "matplotlib", "torch": "torch"}
    assert set(dir(fastconv)) - set(needed) == {*fastconv.__all__, "__version__", "typing"}
    for name, package in needed.items():
        assert (name in dir(fastconv)) == (importlib.util.find_spec(package) is not None)
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    modules = readme[readme.index("What is public is what `help` shows") :].partition("A public name")[0]
    named = set(re.findall("`([a-z]+)`", modules)) - {"help", "fastconv"}
    assert named - set(needed) == {name for name in dir(fastconv) if inspect.ismodule(getattr(fastconv, name))} - set(
        needed
    )


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'fastconv' has no attribute 'cor2d'") as error:
        _ = fastconv.cor2d
    assert (error.value.name, error.value.obj) == ("cor2d", fastconv)
    assert not hasattr(fastconv, "scipy")


@pytest.mark.parametrize(("name", "function"), [("torch", "conv2d"), ("onnx", "session")])
def test_extras_where_they_are(python, name, function):
    pytest.importorskip(name)
    done = python(f"import fastconv; print(fastconv.{name}.{function}.__module__)")
    assert (done.stdout, done.stderr) == (f"fastconv.{name}\n", "")


def test_a_second_interpreter_is_refused(python):
    """By NumPy, with an ImportError, or by the extension where NumPy only warns; the first interpreter goes on."""
    code = """
import fastconv
try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
code = "try: import fastconv\\nexcept ImportError: print('refused', flush=True)"
print(fastconv.corr1d([1, 2, 3], [1, 1]), flush=True)
run(interpreters.create(), code)
print(fastconv.corr1d([1, 2, 3], [1, 1]))
"""
    done = python(code)
    refused = "refused\n" if "only be loaded into one interpreter" not in done.stderr else ""
    assert (done.returncode, done.stdout) == (0, f"[3 5]\n{refused}[3 5]\n"), done.stderr
