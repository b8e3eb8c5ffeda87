# SPDX-License-Identifier: BSD-3-Clause
"""The package under AddressSanitizer and UndefinedBehaviorSanitizer: built so in a copy, tested there; and the checks
of the C core with the same objects.

FASTCONV_CANARIES puts canaries between the parts of scratch memory, so that a wrong size shows even where the heap
forgives it. -fno-wrapv comes behind the -fwrapv that Python is built with: signed sizes must not overflow.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

import fuzz
import pytest
from conftest import SEED
from test_c_level import CHECKS, FEW, NATIVE, SANITIZED, SANITIZERS, Build, checked, run

import fastconv

ROOT = Path(__file__).parents[1]
# By a call at each access, the kernels of AVX-512 take a quarter of the time to compile.
COMPILE = f"{SANITIZED} --param asan-instrumentation-with-call-threshold=0"
# One text makes the kernels of all instruction sets. Undefined behaviour is looked for in those of the least one alone,
# without which the others take half as long to compile.
COMPILER = """#!/bin/sh
case "$*" in */isa/avx*) exec gcc "$@" -fno-sanitize=undefined ;; *) exec gcc "$@" ;; esac
"""
SECONDS = float(
    os.environ.get("FASTCONV_FUZZ_SECONDS") or 20
)  # of each family, whose calls are several times slower here
FAMILIES = [family for family in fuzz.FAMILIES if family != "dense"]

pytestmark = pytest.mark.deep


def libraries():
    """The libraries that Python has to load before the sanitized package."""
    found = [run("gcc", f"-print-file-name={name}").strip() for name in ("libasan.so", "libubsan.so")]
    if not all(Path(path).is_absolute() for path in found):
        pytest.skip("gcc's libasan.so and libubsan.so are not installed")
    return " ".join(found)


@pytest.fixture(scope="module")
def copy(shared):
    """The folder of a copy of the checkout that is built in this way, once for all processes of this run."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    libraries()
    folder, built = shared / "sanitized", shared / "sanitized" / "built"
    with open(shared / "sanitized.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            for name in ("fastconv", "csrc", "tests"):
                unwanted = shutil.ignore_patterns("*.so", "_core.c", "__pycache__")
                shutil.copytree(ROOT / name, folder / name, ignore=unwanted, dirs_exist_ok=True)
            for name in ("setup.py", "pyproject.toml", "README.md"):
                shutil.copy(ROOT / name, folder)
            compiler = folder / "compiler"
            compiler.write_text(COMPILER)
            compiler.chmod(0o755)
            flags = {"FASTCONV_CFLAGS": COMPILE, "FASTCONV_LDFLAGS": SANITIZERS, "CC": str(compiler)}
            run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", cwd=folder, env=os.environ | flags)
            built.touch()
    return folder


@pytest.fixture
def python(copy):
    """Function that runs Python with the package built under sanitizers, and fails where they or Python complain."""
    variables = {
        "LD_PRELOAD": libraries(),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # leaks of Python at its end; sizes nobody has
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests'}",
        "FASTCONV_TEST_SEED": str(SEED),
    }
    return lambda *arguments: run(sys.executable, *arguments, cwd=copy, env=os.environ | variables)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_calls(python, family):
    python("tests/fuzz.py", family, "--seed", SEED, "--seconds", SECONDS, "--verbose")


FILES = [  # of each process; random calls are enough of what computes as slowly in its reference (signal, feature)
    ("nn", "winograd", "pixels"),
    ("gradients", "transposed", "folding"),
    ("modules", "pooling", "layer_transforms", "ndimage"),
    ("any_argument", "errors", "messages", "quantized"),  # the table of bad input
]


@pytest.mark.parametrize("names", FILES, ids=", ".join)
def test_tests(python, names):
    """On one instruction set: the widest, whose whole vectors reach furthest."""
    others = " and ".join(f"not {isa}" for isa in fastconv.isas()[1:])
    files = [f"tests/test_{name}.py" for name in names]
    python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files, "-k", others)


def test_checks(copy, tmp_path):
    """The checks themselves, which compute what they expect, are as fast as elsewhere."""
    objects = copy.glob("build/temp*/csrc/**/*.o")
    report = checked(Build("gcc", (FEW,), libraries=tuple(SANITIZERS.split())), tmp_path, CHECKS, objects)
    assert f"\n{NATIVE} corr_f32: " in report and report.endswith(" passed, 0 failed\n")
