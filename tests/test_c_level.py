# SPDX-License-Identifier: BSD-3-Clause
"""Builds and runs the checks of the C core by itself (c/): natively and, with ``-m deep``, by clang, with
ThreadSanitizer and for AArch64. (With the other sanitizers: test_sanitizers.py.)

The cross compiler and emulator may be missing, unless FASTCONV_REQUIRE_CROSS=1. To see a failure again, set
FASTCONV_TEST_SEED to the seed that was printed.
"""

from __future__ import annotations

import ast
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import SEED, only_deep

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
CHECKS = sorted((ROOT / "tests/c").glob("*.c"))
NATIVE = "neon" if platform.machine() in ("aarch64", "arm64") else "base"


SANITIZERS = "-fsanitize=address,undefined"
# -O1: at -O2 the unrolled kernels take many minutes to compile with these
SANITIZED = f"-O1 {SANITIZERS} -fno-sanitize-recover -fno-omit-frame-pointer -fno-wrapv -DFASTCONV_CANARIES"

FEW = "-DFC_SHARE=8"  # an eighth of the random calls, where each is slow


class Build(NamedTuple):
    """A compiler, its flags, and how what it builds is run."""

    compiler: str
    flags: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    isa: str = NATIVE
    unit: str = ""  # what is checked; "": everything
    libraries: tuple[str, ...] = ()  # that objects need


BUILDS = {
    # The least instruction set, in half the time; the others are those of "optimized".
    "native": Build("cc", ("-Og", "-DFASTCONV_LEAST")),
    "optimized": Build("cc"),
    "clang": Build("clang", ("-O0",)),  # with -O1 it takes minutes for each instruction set
    # Pool and driver; the kernels know of no threads, and are slow here. -R: else addresses may be too random for it.
    "threads": Build("cc", ("-O1", "-fsanitize=thread", "-DFASTCONV_LEAST", FEW), ("setarch", "-R"), unit="driver"),
    "aarch64": Build("aarch64-linux-gnu-gcc", ("-static", FEW), ("qemu-aarch64-static",), "neon"),
}


def run(*command, **how):
    """What a program printed, which has to end well."""
    command = [str(word) for word in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **how)
    assert done.returncode == 0, f"{done.returncode} from {' '.join(command)}\n{done.stdout[-9000:]}"
    return done.stdout


def extension_flags():
    """What setup.py compiles the extension with (its literal flags)."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "extra_compile_args":
            return [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
    raise LookupError("setup.py has no extra_compile_args")


def checked(build, folder, sources, objects=()):
    """What the checks report that are built in this folder of these C files, and of these objects."""
    flags = (*extension_flags(), "-DFASTCONV_CANARIES", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}", *build.flags)
    program = Path(folder) / "check"

    def compiled(source):
        built = program.with_name(f"{source.parent.name}_{source.stem}.o")
        run(build.compiler, *flags, "-c", source, "-o", built)
        return built

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = [*objects, *pool.map(compiled, sources)]
    run(build.compiler, *flags, *objects, "-o", program, "-pthread", "-lm", *build.libraries)
    return run(*build.launcher, program, SEED, build.unit)


def needs(build):
    """Skip the test, or fail if it is required, where a program that this build needs is missing or does not work."""
    missing = pytest.fail if build.isa != NATIVE and os.environ.get("FASTCONV_REQUIRE_CROSS") == "1" else pytest.skip
    for program in (build.compiler, *build.launcher[:1]):
        if not shutil.which(program):
            missing(f"{program} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "empty.c"), Path(folder, "empty")
        source.write_text("int main(void) { return 0; }\n")
        for command in ([build.compiler, *build.flags, source, "-o", program], [*build.launcher, program]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                missing(f"{' '.join(build[1])} does not work here: {done.stderr.strip()[:200]}")


@pytest.mark.parametrize("name", ["native", *only_deep(*sorted(BUILDS.keys() - {"native"}))])
def test_checks(tmp_path, name):
    build = BUILDS[name]
    needs(build)
    report = checked(build, tmp_path, [*CHECKS, *sorted(CSRC.rglob("*.c"))])
    print(report)
    assert f"\n{build.isa} corr_f32: " in report or build.unit
    assert report.endswith(" passed, 0 failed\n")
