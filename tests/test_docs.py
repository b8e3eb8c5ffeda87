# SPDX-License-Identifier: BSD-3-Clause
"""Every example in README.md and in the docstrings runs and prints what it shows, and every public function
has one."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import fastconv

MODULES = sorted(m.name for m in pkgutil.walk_packages(fastconv.__path__, "fastconv.") if m.name != "fastconv._core")
ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

NEEDS = {"fastconv.dask": "dask", "fastconv.onnx": "onnx", "fastconv.torch": "torch", "fastconv.nn.convert": "torch"}


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    for start, needed in NEEDS.items():
        if name.startswith(start):
            pytest.importorskip(needed)
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_readme_examples():
    result = doctest.testfile(str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 5 and result.failed == 0


LEFT_OUT = ("fastconv.dask", "fastconv.onnx", "fastconv.torch", "fastconv.__main__")
PUBLIC = {
    f"{name}.{function}": getattr(module, function)
    for name in ("fastconv", *(m for m in MODULES if not m.startswith(LEFT_OUT)))
    for module in [importlib.import_module(name)]
    for function in getattr(module, "__all__", ())
    if inspect.isroutine(getattr(module, function))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_have_examples(name):
    assert ">>>" in inspect.getdoc(PUBLIC[name])


@pytest.mark.parametrize("name", [name for name in PUBLIC if not name.startswith("fastconv.reference")])
def test_public_functions_list_their_parameters(name):
    section = re.search(r"^Parameters\n-+\n((?:.|\n)*?)\n*(?=\w[\w ]*\n---|\Z)", inspect.getdoc(PUBLIC[name]), re.M)
    lines = section[1].splitlines() if section else []
    listed = [word.strip(" *") for line in lines if line[:1].strip() for word in line.split(" : ")[0].split(",")]
    assert sorted(listed) == sorted(inspect.signature(PUBLIC[name]).parameters)


@pytest.mark.parametrize("folder", ["fastconv", "csrc", "bench"])
def test_every_source_file_is_named(folder):
    listed = ROOT / ("bench" if folder == "bench" else "csrc") / "README.md"
    paths = [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".pyx", ".pxi", ".pyi", ".c", ".h")]
    text = listed.read_text() if paths else ""  # the tests of an installed package have few of them beside them
    for path in paths:
        named = re.search(rf"[`/]{re.escape(path.name)}`", text)
        assert named or path.name == "_core.c", f"{listed.relative_to(ROOT)} lacks {path.relative_to(ROOT)}"
