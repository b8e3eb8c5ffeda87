# SPDX-License-Identifier: BSD-3-Clause
"""Builds and runs check_kernels.c, the check of the C core by itself: natively and, with ``-m deep``, by clang, under
sanitizers, for AArch64.

The cross compiler and emulator may be missing, unless FASTCONV_REQUIRE_CROSS=1. To see a failure again, set
FASTCONV_TEST_SEED to the seed that was printed.
"""

from __future__ import annotations

import ast
import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import SEED

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
NATIVE = ["neon"] if platform.machine() in ("aarch64", "arm64") else ["base"]


def extension_flags():
    """What setup.py compiles the extension with (its literal flags)."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "extra_compile_args":
            return [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
    raise LookupError("setup.py has no extra_compile_args")


def tool(*names, required=False):
    """The first of these programs that is installed; none: skip, or fail if one is required."""
    for name in names:
        if path := shutil.which(name):
            return path
    (pytest.fail if required else pytest.skip)(f"{' or '.join(names)} is not installed")


def run(*command, timeout=1200):  # seconds; an emulated machine takes 6 minutes on a slow one
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{done.returncode} from {' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def check(*program, isas=(), unit=""):
    report = run(*program, str(SEED), unit)
    print(report)
    for isa in isas:
        assert f"\n{isa} corr_f32: " in report
    assert report.endswith(" passed, 0 failed\n")


@pytest.fixture
def build(tmp_path):
    """Function that compiles check_kernels with a compiler and more flags."""

    def compiled(cc, *flags):
        sources = [ROOT / "tests/check_kernels.c", *sorted(CSRC.rglob("*.c"), key=lambda p: p.parent.name != "isa")]
        objects = [str(tmp_path / f"{p.stem}.o") for p in sources]
        flags = (*extension_flags(), "-DFASTCONV_CANARIES", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}", *flags)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # the files of instruction sets, which take longest, first
            list(pool.map(lambda p, to: run(cc, *flags, "-c", str(p), "-o", to), sources, objects))
        program = str(tmp_path / "check_kernels")
        run(cc, *flags, *objects, "-o", program, "-pthread", "-lm")
        return program

    return compiled


@pytest.fixture
def sanitizer(tmp_path):
    """Function that skips the test where programs built with this compiler and sanitizer do not run."""

    def probe(cc, flag, *launcher):
        source, program = tmp_path / "empty.c", str(tmp_path / "empty")
        source.write_text("int main(void) { return 0; }\n")
        for command in ([cc, flag, str(source), "-o", program], [*launcher, program]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode:
                pytest.skip(f"{flag} does not work here: {done.stderr.strip()[:200]}")

    return probe


def test_native(build):
    check(build(tool("cc")), isas=NATIVE)


@pytest.mark.deep
@pytest.mark.skipif(NATIVE != ["base"], reason="not x86-64")
def test_an_instruction_set_is_not_a_width(build, tmp_path):
    """AVX-512 with vectors of 256 bits, which no wheel has: with mask registers and the tiles of 32 registers."""
    check(build(tool("cc"), "-DFASTCONV_AVX512_256"), isas=NATIVE)
    code = {}
    listing = run(tool("objdump"), "-d", "--no-show-raw-insn", str(tmp_path / "avx512_256.o"))
    for symbol, instructions in re.findall(r"^\w+ <(\w+)_avx512_256.*>:\n((?:.+\n)+)", listing, re.MULTILINE):
        code[symbol] = code.get(symbol, "") + instructions
    assert {symbol for symbol in code if "%zmm" in code[symbol]} <= {  # numbers of eight bytes for those of four
        *("narrow_f32", "settle_f32", "widen_f32", "widen_i32"),
    }
    assert {"corr_8_partial_f32", "gemm_8_wide_f64", "lanes_14_each_f32"} <= set(code)  # tiles of 32 registers
    for symbol in ("corr_8_partial_f32", "corr_8_partial_f64", "corr_4_partial_i32", "corr_4_partial_i64"):
        assert re.search(r"vmov\w+ .*%ymm\d.*\{%k[1-7]\}", code[symbol])
    assert re.search(r"vfmadd\w+ .*%ymm31", code["gemm_8_wide_f64"]) and "vpermt2ps" in code["pack_f32"]


@pytest.mark.deep
def test_clang(build):
    check(build(tool("clang")), isas=NATIVE)


@pytest.mark.deep
def test_address_and_undefined(build, sanitizer):
    cc, flag = tool("cc"), "-fsanitize=address,undefined"
    sanitizer(cc, flag)
    # -O1: at -O2 the unrolled kernels take a minute to compile with these; -fwrapv would hide signed overflow
    check(build(cc, "-O1", flag, "-fno-wrapv", "-fno-sanitize-recover"), isas=NATIVE)


@pytest.mark.deep
def test_threads(build, sanitizer):
    """Pool and driver; the kernels know of no threads, and are slow here."""
    cc, flag = tool("cc"), "-fsanitize=thread"
    launcher = (tool("setarch"), "-R")  # recent kernels randomize addresses more than the sanitizer can bear
    sanitizer(cc, flag, *launcher)
    check(*launcher, build(cc, flag), unit="driver")


@pytest.mark.deep
def test_aarch64(build):
    required = os.environ.get("FASTCONV_REQUIRE_CROSS") == "1"
    cc = tool("aarch64-linux-gnu-gcc", required=required)
    qemu = tool("qemu-aarch64-static", "qemu-aarch64", required=required)
    check(qemu, build(cc, "-static"), isas=["neon"])
