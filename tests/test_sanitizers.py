# SPDX-License-Identifier: BSD-3-Clause
"""The package under AddressSanitizer and UndefinedBehaviorSanitizer: built so in a copy, tested there; and the checks
of the C core with the same objects.

FASTCONV_CANARIES puts canaries between the parts of scratch memory, so that a wrong size shows even where the heap
forgives it. -fno-wrapv comes behind the -fwrapv that Python is built with: signed sizes must not overflow.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import beside
import fuzz
import pytest
from conftest import SEED
from test_c_level import CHECKS, NATIVE, Build, checked

import fastconv

ROOT = Path(__file__).parents[1]
SANITIZERS = "-fsanitize=address,undefined"
# -O1: at -O2 the unrolled kernels take many minutes to compile with these
COMPILE = f"-O1 {SANITIZERS} -fno-sanitize-recover -fno-omit-frame-pointer -fno-wrapv -DFASTCONV_CANARIES"
SECONDS = float(
    os.environ.get("FASTCONV_FUZZ_SECONDS") or 20
)  # of each family, whose calls are several times slower here
FAMILIES = [family for family in fuzz.FAMILIES if family != "dense"]
COPY = tempfile.TemporaryDirectory()  # which goes when the tests have ended


def libraries():
    """The libraries that Python has to load before the sanitized package."""
    found = [beside.run("gcc", f"-print-file-name={name}").strip() for name in ("libasan.so", "libubsan.so")]
    if not all(Path(path).is_absolute() for path in found):
        pytest.skip("gcc's libasan.so and libubsan.so are not installed")
    return " ".join(found)


def sanitized():
    """The folder of a copy of the checkout that is built in this way, and the variables for a Python in it."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    copy, preload = Path(COPY.name), libraries()
    for folder in ("fastconv", "csrc", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.so", "_core.c", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    flags = {"FASTCONV_CFLAGS": COMPILE, "FASTCONV_LDFLAGS": SANITIZERS, "CC": "gcc"}
    beside.run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", cwd=copy, env=os.environ | flags)
    return copy, os.environ | {
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": "detect_leaks=0",  # those of Python at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests'}",
        "FASTCONV_TEST_SEED": str(SEED),
    }


pytestmark = [pytest.mark.deep, pytest.mark.beside.with_args(sanitized)]


@pytest.fixture
def run(outcome):
    """Function that runs Python with the package built under sanitizers, and fails where they or Python complain."""
    copy, variables = outcome
    return lambda *arguments: beside.run(sys.executable, *arguments, cwd=copy, env=variables)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_calls(run, family):
    run("tests/fuzz.py", family, "--seed", SEED, "--seconds", SECONDS, "--verbose")


FILES = ["nn", "gradients", "transposed", "folding", "modules", "signal", "ndimage", "feature"]


@pytest.mark.parametrize("name", FILES)
def test_tests(run, name):
    """On one instruction set: the widest, whose whole vectors reach furthest."""
    others = " and ".join(f"not {isa}" for isa in fastconv.isas()[1:])
    run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/test_{name}.py", "-k", others)


def test_checks(outcome, tmp_path):
    objects = outcome[0].glob("build/temp*/csrc/**/*.o")
    report = checked(Build("gcc", tuple(COMPILE.split())), tmp_path, CHECKS, objects)
    assert f"\n{NATIVE} corr_f32: " in report and report.endswith(" passed, 0 failed\n")
