# SPDX-License-Identifier: BSD-3-Clause
"""The verbs of `spin`: each runs the commands that it names, from the root of a checkout, and prints them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
sys.path.append(str(Path(__file__).parent))
from cross import TARGETS  # noqa: E402
from cross import build as cross_build  # noqa: E402

REPORTS = sorted(p.stem for p in (ROOT / "bench").glob("*.py") if "def main" in p.read_text())
PROPERTIES = ["tests/test_properties.py", "tests/test_ranks.py"]
anything = {"ignore_unknown_options": True}


def run(*command: str, **variables: str) -> None:
    """Run a command to its end, with more environment variables; where it fails, end with its exit code.

    What it imports is the package of the checkout, also where that is built but not installed.
    """
    shown = [f"{name}={value!r}" for name, value in variables.items()] + [*command]
    click.secho("$ " + " ".join(shown).replace(sys.executable, "python"), bold=True)
    sys.stdout.flush()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    code = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path} | variables, check=False).returncode
    if code:
        raise SystemExit(code)


def python(*arguments: str, **variables: str) -> None:
    run(sys.executable, *arguments, **variables)


@click.command()
@click.option("--clang", is_flag=True, help="Compile with clang.")
@click.option("--debug", is_flag=True, help="For a debugger: -O0 -g3, and canaries in scratch memory.")
def build(*, clang: bool, debug: bool) -> None:
    """Build the extension in place; what changed is compiled anew."""
    variables = {"CC": "clang"} if clang else {}
    if debug:
        variables["FASTCONV_CFLAGS"] = "-O0 -g3 -U_FORTIFY_SOURCE -DFASTCONV_CANARIES"
    python("setup.py", "-q", "build_ext", "--inplace", *(["--force"] if variables else []), **variables)


@click.command(context_settings=anything)
@click.option("--deep", is_flag=True, help="What takes long, and only that.")
@click.option("--sanitize", is_flag=True, help="A copy that is built with AddressSanitizer and UBSan; takes minutes.")
@click.option("--release", is_flag=True, help="Those of all properties, with 15 000 examples each; takes minutes.")
@click.option("--isa", metavar="NAME", help="At most this instruction set, such as avx2.")
@click.argument("pytest_args", nargs=-1)
def test(*, deep: bool, sanitize: bool, release: bool, isa: str | None, pytest_args: tuple[str, ...]) -> None:
    """Run the quick tests, or those named: spin test --isa avx2 tests/test_nn.py -k stride"""
    variables = {"FASTCONV_MAX_ISA": isa} if isa else {}
    which = ["-m", "deep"] if deep or sanitize else []
    which += ["tests/test_sanitizers.py"] if sanitize else []
    which += ["-m", "", "--hypothesis-profile", "release", *PROPERTIES] if release else []
    python("-m", "pytest", *which, *pytest_args, **variables)


@click.command(context_settings=anything)
@click.argument("arguments", nargs=-1)
def mutants(*, arguments: tuple[str, ...]) -> None:
    """Put faults into a copy, one at a time, and see that a quick test fails: spin mutants pool bias"""
    python("tests/mutants.py", *arguments)


@click.command(context_settings=anything)
@click.argument("arguments", nargs=-1)
def coverage(*, arguments: tuple[str, ...]) -> None:
    """Which lines and branches of csrc/ the quick tests reach: spin coverage c nn pooling"""
    python("tests/covered.py", *arguments)


@click.command(context_settings=anything)
@click.argument("arguments", nargs=-1)
def guided(*, arguments: tuple[str, ...]) -> None:
    """Check a million cases that are led by what they reach in csrc/, under sanitizers: spin guided --only driver"""
    python("tests/guided.py", *arguments)


@click.command(context_settings=anything)
@click.argument("arguments", nargs=-1)
def interrupts(*, arguments: tuple[str, ...]) -> None:
    """How long after a signal each operation ends: spin interrupts winograd --threads 2"""
    python("tests/interrupts.py", *arguments)


@click.command(context_settings=anything)
@click.option("--isa", metavar="NAME", help="At most this instruction set, such as avx2.")
@click.argument("report", type=click.Choice(REPORTS), default="side_by_side")
@click.argument("arguments", nargs=-1)
def bench(*, isa: str | None, report: str, arguments: tuple[str, ...]) -> None:
    """Run a report of bench/: spin bench side_by_side large --threads 2"""
    python(f"bench/{report}.py", *arguments, **({"FASTCONV_MAX_ISA": isa} if isa else {}))


@click.command()
@click.option("--fix", is_flag=True, help="Change the files.")
def lint(*, fix: bool) -> None:
    """Check style: ruff, clang-format and cython-lint."""
    run("ruff", "check", *(["--fix"] if fix else []), ".")
    run("ruff", "format", *([] if fix else ["--check"]), ".")
    c_files = (str(p.relative_to(ROOT)) for p in sorted((ROOT / "csrc").rglob("*.[ch]")))
    run("clang-format", "--style=file", *(["-i"] if fix else ["--dry-run", "-Werror"]), *c_files)
    run(
        "cython-lint",
        *(str(p.relative_to(ROOT)) for p in (ROOT / "fastconv").iterdir() if p.suffix in (".pyx", ".pxi")),
    )


@click.command()
def types() -> None:
    """Check types: mypy, stubs against modules, and pyright where node is installed."""
    run("mypy")
    stubs = sorted(p.relative_to(ROOT).with_suffix("") for p in (ROOT / "fastconv").rglob("*.pyi"))
    for stub in stubs:
        if (ROOT / stub).with_suffix(".py").exists():  # which its stub hides
            run("mypy", str(stub.with_suffix(".py")))
    run("mypy", "--strict", "tests/test_types.py")
    modules = [".".join(stub.parts).removesuffix(".__init__") for stub in stubs]
    modules = [name for name in modules if name.rpartition(".")[0] not in modules]  # a package's come with it
    python("-m", "mypy.stubtest", "--allowlist", ".spin/stubtest", "--ignore-unused-allowlist", *modules)
    if shutil.which("node"):
        run("pyright")
    else:
        click.echo("node: not on this machine, pyright is not tried")


@click.command()
@click.option("--pictures", is_flag=True, help="Make README's pictures anew.")
def docs(*, pictures: bool) -> None:
    """Run the examples of README and docstrings."""
    if pictures:
        python("bench/pictures.py")
    python("-m", "pytest", "-q", "tests/test_docs.py")


@click.command()
@click.option("--target", type=click.Choice([*TARGETS, "all"]), help="For another system, compiled by zig.")
def wheel(*, target: str | None) -> None:
    """Build a wheel into dist/, pack its files again, and say how large it is; fails where it is too large."""
    dist = ROOT / "dist"
    if target is None:
        python("-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", ".")
        built = [max(dist.glob("*.whl"), key=lambda p: p.stat().st_mtime)]
    else:
        built = [cross_build(name, dist) for name in (TARGETS if target == "all" else [target])]
    python(".spin/pack.py", *(str(path.relative_to(ROOT)) for path in built))
