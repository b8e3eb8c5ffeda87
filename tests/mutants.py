# SPDX-License-Identifier: BSD-3-Clause
"""Faults that are put into the code on purpose, one at a time, to see that a test fails.

    python tests/mutants.py                     # all; minutes, and seconds for each fault
    python tests/mutants.py pool bias           # those whose names or files hold a word
    python tests/mutants.py --list
    python tests/mutants.py --survivors         # of the last runs, those that no test saw
    python tests/mutants.py --own               # only the tests that should know, not all quick ones behind them

`FAULTS` (`mutants_table.py`) says what is changed, and which test files would know. A copy of the checkout, in
`build/mutants`, is built with -O1 for the least instruction set, once; for each fault what includes the changed file is
compiled anew. Faults in lines that only AVX-512 has are put into another copy, on a CPU that has it. What saw a fault
last runs first, by itself; then the tests that would know, and then all quick ones until one fails. A fault that none
sees is a survivor: it needs a test. One that makes a test hang is seen after `HANGS` seconds. Tests that fail in that
copy without any fault, as they need another instruction set, count for nothing; which they are is found once for each
file.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mutants_core import Fault
from mutants_table import FAULTS

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutants"
SEEN = COPY / "seen.json"  # which test saw a fault, of the last runs
UNSOUND = "unsound.json"  # in a copy: tests that fail there without any fault: they see nothing
ISA = ""  # the best instruction set that the copy is built for; the least one
# A fault that makes a test hang is seen: pytest ends with a test that takes so many seconds, and the checks in C with
# so many of CPU time. Quick tests take some; those of several processes, beside others' load, may take many.
HANGS = 100
SECONDS = 1800  # that all tests of a run may take, or the checks, which beside others' load take minutes
SEED = "20261129"  # of all random data: a fault is seen always, or never
# What the build of a copy with one instruction set cannot pass, and tests of files that are no part of it
WITHOUT = (
    "test_install",
    "test_house",
    "test_docs",
    "test_sanitizers",
    "test_types",
    "test_mutants",
    "test_crossovers",
)
BUT = ("instructions_stay_in_the_kernels", "isa_that_this_cpu_lacks", "test_checks", "test_as_a_program")


def is_there(fault: Fault, root: Path = ROOT) -> bool:
    """Whether the line that a fault changes is there, once."""
    return (root / fault.file).read_text().count(fault.old) == 1 and fault.old != fault.new


# ---- the build -------------------------------------------------------------------------------------


def flags() -> list[str]:
    """What the extension is compiled with, but for speed."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "extra_compile_args":
            of_setup = [e.value for e in node.value.elts if isinstance(e, ast.Constant) and e.value != "-O2"]
    paths = sysconfig.get_path("include"), np.get_include(), COPY / "csrc"
    defined = ["FASTCONV_CANARIES", "NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION", *([] if ISA else ["FASTCONV_LEAST"])]
    abi = [] if sysconfig.get_config_var("Py_GIL_DISABLED") else ["-DPy_LIMITED_API=0x030B0000"]
    return ["-O1", "-fPIC", "-w", "-MMD", *of_setup, *(f"-I{p}" for p in paths), *(f"-D{d}" for d in defined), *abi]


def compile_one(source: Path, to: Path) -> str:
    """The compiler's complaints."""
    to.parent.mkdir(parents=True, exist_ok=True)
    how = ["-finline-limit=10"] if source.name == "_core.c" else []
    command = [*os.environ.get("CC", "cc").split(), *flags(), *how, "-c", str(source), "-o", str(to)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def object_of(source: Path) -> Path:
    return COPY / "o" / source.relative_to(COPY).with_suffix(".o")


def is_stale(source: Path) -> bool:
    made = object_of(source)
    if not made.exists() or not made.with_suffix(".d").exists():
        return True
    words = made.with_suffix(".d").read_text().replace("\\\n", " ").split()[1:]
    return any(not Path(w).exists() or Path(w).stat().st_mtime > made.stat().st_mtime for w in words)


def build() -> str:
    """Bring the copy's extension up to date. What went wrong, or nothing."""
    pyx, core = COPY / "fastconv" / "_core.pyx", COPY / "fastconv" / "_core.c"
    inputs = [pyx, *pyx.parent.glob("*.pxi")]
    if not core.exists() or any(p.stat().st_mtime > core.stat().st_mtime for p in inputs):
        made = subprocess.run(
            [sys.executable, "-m", "cython", "-X", "embedsignature=True", str(pyx), "-o", str(core)],
            capture_output=True, text=True, check=False, cwd=COPY,
        )  # fmt: skip
        if made.returncode:
            core.unlink(missing_ok=True)
            return made.stderr
    of_isas = {"avx512_256"} if ISA else {"avx2", "avx512", "avx512_256"}
    sources = [core, *(p for p in sorted((COPY / "csrc").rglob("*.c")) if p.stem not in of_isas)]
    sources += sorted((COPY / "tests" / "c").glob("*.c"))
    stale = [p for p in sources if is_stale(p)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(lambda p: compile_one(p, object_of(p)), stale))
    if wrong := "".join(said):
        for p in stale:
            object_of(p).unlink(missing_ok=True)
        return wrong
    objects = {p: str(object_of(p)) for p in sources}
    checks = [o for p, o in objects.items() if "tests" in p.relative_to(COPY).parts]
    own = [o for o in objects.values() if o not in checks]
    cc = os.environ.get("CC", "cc").split()
    suffix = ".abi3.so" if "-DPy_LIMITED_API=0x030B0000" in flags() else sysconfig.get_config_var("EXT_SUFFIX")
    links = [
        [*cc, "-shared", *own, "-o", str(COPY / "fastconv" / f"_core{suffix}"), "-pthread", "-lm"],
        [*cc, *checks, *(o for o in own if not o.endswith("_core.o")), "-o", str(COPY / "check"), "-pthread", "-lm"],
    ]
    return "".join(subprocess.run(c, capture_output=True, text=True, check=False).stderr for c in links)


def choose(isa: str) -> None:
    """The copy that is built for an instruction set, and those that it is better than."""
    global COPY, ISA
    COPY, ISA = ROOT / "build" / ("mutants_" + isa if isa else "mutants"), isa


def make_copy() -> None:
    """The checkout as it is now. Files that are as before keep their times, so that nothing is compiled again."""
    for name in ("fastconv", "csrc", "tests"):
        unwanted = {"__pycache__"}
        for there in sorted((ROOT / name).rglob("*")):
            here = COPY / there.relative_to(ROOT)
            if there.is_dir() or unwanted & set(there.parts) or there.suffix == ".so" or there.name == "_core.c":
                continue
            if not here.exists() or here.read_bytes() != there.read_bytes():
                here.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(there, here)
        for here in (COPY / name).rglob("*.*"):
            is_source = here.suffix in (".c", ".h", ".py", ".pxi") and here.name != "_core.c"
            if is_source and not (ROOT / here.relative_to(COPY)).exists():
                here.unlink()
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, COPY)


# ---- the tests -------------------------------------------------------------------------------------


PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
PYTEST += ["-k", " and ".join(f"not {word}" for word in BUT)]
LIMITED = ["-o", f"faulthandler_timeout={HANGS}", "-o", "faulthandler_exit_on_timeout=true"]


def run(command: list[str], *, whole: bool = False, cpu: int | None = None) -> str | None:
    """None if it ends well, or how it does not; whole: all that it says; cpu: seconds of CPU time that it may take."""
    variables = {"PYTHONPATH": f"{COPY}{os.pathsep}{COPY / 'tests'}", "FASTCONV_TEST_SEED": SEED, "CI": "1"}
    program = subprocess.Popen(
        command, cwd=COPY, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    if cpu is not None:
        import resource  # which Windows has not

        resource.prlimit(program.pid, resource.RLIMIT_CPU, (cpu, cpu))
    try:
        said, _ = program.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "it hangs"
    finally:
        end_all_of(program)
    if program.returncode == 0:
        return None
    if cpu is not None and program.returncode == -signal.SIGKILL:
        return "it hangs"
    if whole:
        return said
    lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "FAIL", "Fatal"))]
    hung = [line.strip() for line in said.splitlines() if "/tests/test_" in line and " in test_" in line]
    if "Timeout (" in said and hung:
        return f"it hangs: {hung[0]}"[:150]
    return (lines or said.splitlines()[-1:] or [f"exit code {program.returncode}"])[0][:250]


def end_all_of(program: subprocess.Popen[str]) -> None:
    """And the programs that it has begun: what hangs there is not waited for by who ends first."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def pytest(files: list[str], *, shared: bool = False) -> str | None:
    """All quick tests of some files, until one fails; shared: among CPUs, if pytest-xdist is there"""
    split = ["-n", "2"] if shared and importlib.util.find_spec("xdist") else []
    deselected = [word for test in unsound(files) for word in ("--deselect", test)]
    return run([*PYTEST, *LIMITED, *split, *deselected, *(f"tests/test_{name}.py" for name in files), "-x"])


def checked() -> str | None:
    """The checks of the C core"""
    return run([str(COPY / "check"), SEED], cpu=HANGS)


def unsound(files: list[str]) -> list[str]:
    return [test for name in files for test in known_unsound().get(name, [])]


def known_unsound() -> dict[str, list[str]]:
    """Of each file that was looked at: the tests that fail in the copy without any fault."""
    return json.loads((COPY / UNSOUND).read_text()) if (COPY / UNSOUND).exists() else {}


def is_new(files: list[str]) -> bool:
    return bool(set(files) - set(known_unsound()) - {"c"})


def find_unsound(files: list[str]) -> None:
    known = known_unsound()
    for name in set(files) - set(known) - {"c"}:
        said = run([*PYTEST, f"tests/test_{name}.py", "--maxfail=9999"], whole=True) or ""
        known[name] = [line.split()[1] for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
        (COPY / UNSOUND).write_text(json.dumps(known, indent=1))


def all_files() -> list[str]:
    return sorted(p.stem.removeprefix("test_") for p in (COPY / "tests").glob("test_*.py") if p.stem not in WITHOUT)


def can_be_repeated(what: str) -> bool:
    """Whether what saw a fault is one test, or one check of the C core"""
    return what.startswith("FAIL ") or (what.startswith("FAILED ") and " - " in what)


def once_more(what: str) -> str | None:
    """The same, if it sees the fault again."""
    words = what.split()
    if words[0] == "FAIL":
        said = run([str(COPY / "check"), SEED, words[2]], cpu=HANGS)
    else:
        said = run([*PYTEST, *LIMITED, what.removeprefix("FAILED ").split(" - ")[0]])
    return said if said and said.startswith(words[0]) else None


def first_to_see(fault: Fault, *, own: bool) -> str | None:
    """The test that sees it, or None. own: only those that should know are asked."""
    named = list(fault.tests)
    for name in named:
        seen = checked() if name == "c" else pytest([name])
        if seen:
            return seen
    if own:
        return None
    if "c" not in named and (seen := checked()):
        return seen
    return pytest([name for name in all_files() if name not in named], shared=True)


def put(fault: Fault, ask: Callable[[], str | None]) -> tuple[str, str]:
    """(how it goes, what sees it), with the fault in the copy: "seen", "survives" or "does not compile"."""
    path = COPY / fault.file
    before = path.read_text()
    path.write_text(before.replace(fault.old, fault.new))
    try:
        if wrong := build():
            return "does not compile", wrong[:400]
        seen = ask()
        return ("seen", seen) if seen else ("survives", "")
    finally:
        path.write_text(before)
        if path.suffix in (".pyx", ".pxi"):
            (COPY / "fastconv" / "_core.c").unlink(missing_ok=True)


def attempt(fault: Fault, *, own: bool, last: str = "") -> tuple[str, str]:
    """How a fault goes, and what sees it. last: what saw it before"""
    if can_be_repeated(last):
        went = put(fault, lambda: once_more(last))
        if went[0] != "survives":
            return went
    files = list(fault.tests) if own else all_files()
    if is_new(files):
        build()  # without the last fault
        find_unsound(files)
    return put(fault, lambda: first_to_see(fault, own=own))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", help="of names or files; default: all faults")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--survivors", action="store_true", help="those that no test saw in the last runs")
    parser.add_argument("--new", action="store_true", help="those that were not tried yet, or survived")
    parser.add_argument("--own", action="store_true", help="ask only the tests that the table names")
    asked = parser.parse_args()
    known = json.loads(SEEN.read_text()) if SEEN.exists() else {}
    faults = [f for f in FAULTS if not asked.words or any(w in f.name or w in f.file for w in asked.words)]
    if asked.survivors:
        faults = [f for f in faults if known.get(f.name, ["survives"])[0] == "survives" and f.name in known]
    if asked.new:
        faults = [f for f in faults if known.get(f.name, [""])[0] != "seen"]
    if asked.list:
        for f in faults:
            print(f"{f.name:48} {f.file:36} {known.get(f.name, ['not tried'])[0]}")
        return 0
    survivors: list[str] = []
    SEEN.parent.mkdir(parents=True, exist_ok=True)
    for isa in sorted({f.isa for f in faults}):
        choose(isa)
        make_copy()
        if wrong := build():
            print(wrong)
            return 2
        if isa and run([sys.executable, "-c", f"import sys, fastconv; sys.exit({isa!r} not in fastconv.isas())"]):
            print(f"no {isa} here: {', '.join(f.name for f in faults if f.isa == isa)}")
            continue
        for f in (f for f in faults if f.isa == isa):
            begun = time.monotonic()
            how, what = (
                attempt(f, own=asked.own, last=known.get(f.name, ["", ""])[1])
                if is_there(f, COPY)
                else ("is not there", "the line has changed: see mutants_table.py")
            )
            known[f.name] = [how, what]
            SEEN.write_text(json.dumps(known, indent=1))
            print(f"{f.name:48} {how:10} {time.monotonic() - begun:4.0f} s  {what}", flush=True)
            survivors += [f.name] if how != "seen" else []
    print(f"{len(faults) - len(survivors)} of {len(faults)} are seen" + "".join(f"\n  not: {s}" for s in survivors))
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
