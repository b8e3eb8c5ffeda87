# SPDX-License-Identifier: BSD-3-Clause
"""The package under AddressSanitizer and UndefinedBehaviorSanitizer: built so in a copy, tested there.

FASTCONV_CANARIES puts canaries between the parts of scratch memory, so that a wrong size shows even where the heap
forgives it. -fno-wrapv comes behind the -fwrapv that Python is built with: signed sizes must not overflow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest
from conftest import SEED

import fastconv

ROOT = Path(__file__).parents[1]
SANITIZERS = "-fsanitize=address,undefined"
# -O1: at -O2 the unrolled kernels take many minutes to compile with these
COMPILE = f"-O1 {SANITIZERS} -fno-omit-frame-pointer -fno-wrapv -DFASTCONV_CANARIES"
SECONDS = 20  # of random calls for each family, which are several times slower here
FAMILIES = [family for family in fuzz.FAMILIES if family != "dense"]

pytestmark = [pytest.mark.deep]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Function that runs Python with the package built under sanitizers, and fails where they or Python complain."""
    libraries = []
    for name in ("libasan.so", "libubsan.so"):
        found = (
            shutil.which("gcc")
            and subprocess.run(
                ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
            ).stdout.strip()
        )
        if not found or not Path(found).is_absolute():
            pytest.skip(f"{name} of gcc is not installed")
        libraries.append(found)
    copy = tmp_path_factory.mktemp("sanitized")
    for folder in ("fastconv", "csrc", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.so", "_core.c", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    flags = {"FASTCONV_CFLAGS": COMPILE, "FASTCONV_LDFLAGS": SANITIZERS, "CC": "gcc"}
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=copy,
        env=os.environ | flags,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-4000:]

    def python(*arguments, timeout=3600):
        ended = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=copy,
            env=os.environ
            | {
                "LD_PRELOAD": " ".join(libraries),
                "ASAN_OPTIONS": "detect_leaks=0",  # those of Python at its end
                "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
                "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tests'}",
                "FASTCONV_TEST_SEED": str(SEED),
            },
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert ended.returncode == 0, f"{ended.returncode}: {ended.stdout[-3000:]}{ended.stderr[-6000:]}"

    return python


@pytest.mark.parametrize("family", FAMILIES)
def test_random_calls(run, family):
    run("tests/fuzz.py", family, "--seed", SEED, "--seconds", SECONDS, "--verbose")


FILES = ["nn", "gradients", "transposed", "folding", "modules", "signal", "ndimage", "feature"]


@pytest.mark.parametrize("name", FILES)
def test_tests(run, name):
    """On one instruction set: the widest, whose whole vectors reach furthest."""
    others = " and ".join(f"not {isa}" for isa in fastconv.isas()[1:])
    run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/test_{name}.py", "-k", others)
