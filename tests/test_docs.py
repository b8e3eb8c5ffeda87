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
README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    if name.startswith("fastconv.torch"):
        pytest.importorskip("torch")
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_readme_examples():
    result = doctest.testfile(str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 5 and result.failed == 0


PUBLIC = {
    f"{name}.{function}": getattr(module, function)
    for name in ("fastconv", *(m for m in MODULES if not m.startswith(("fastconv.torch", "fastconv.__main__"))))
    for module in [importlib.import_module(name)]
    for function in getattr(module, "__all__", ())
    if inspect.isfunction(getattr(module, function))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_have_examples(name):
    assert ">>>" in inspect.getdoc(PUBLIC[name])


def test_readme_lists_every_source_file():
    text = README.read_text()
    root = README.parent
    for folder in ("fastconv", "csrc"):
        for path in (root / folder).rglob("*.[cph]*"):
            if path.suffix in (".py", ".pyx", ".pyi", ".c", ".h") and path.name != "_core.c":
                named = re.search(rf"[`/]{re.escape(path.name)}`", text)
                assert named, f"README.md's table lacks {path.relative_to(root)}"
