# SPDX-License-Identifier: BSD-3-Clause
"""The command line as a process: pipes that close, disks that are full, signals, memory, and the exit code of each."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv.__main__ import EXIT_CODES, main

Image = pytest.importorskip("PIL.Image")

FILTER = "filter in.png --kernel box -o out.png"
FIND = "find in.png in.png"
TOUR = "tour --part flip -o out.png"
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(7).integers(0, 255, (40, 50), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return tmp_path


@pytest.fixture
def shell(folder):
    """Function that runs a shell command, `fastconv` being this package's; its code, stdout and stderr."""
    path = os.pathsep.join([str(Path(fastconv.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    define = f'fastconv() {{ "{sys.executable}" -m fastconv "$@"; }}; set -o pipefail\n'

    def run(command, stdout=subprocess.PIPE, **variables):
        if stdout == "closed pipe":
            read, stdout = os.pipe()
            os.close(read)
        done = subprocess.run(
            ["bash", "-c", define + command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path} | variables,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_exit_codes_are_documented(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert EXIT_CODES in capsys.readouterr().out
    if README.exists():
        codes = re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE)
        (line,) = (line for line in README.read_text().split("\n\n") if line.startswith("Exit codes: "))
        assert [code for code in codes if not re.search(rf"\b{code}\b", line)] == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["info", FILTER, *only_deep(FIND, TOUR, "--help", "--version", "tour --help", "")])
def test_nobody_reads_the_output(shell, command, unbuffered):
    """A reader that has gone is no error to tell of, and above all not 1, which means a wrong result."""
    assert shell(f"fastconv {command}", stdout="closed pipe", PYTHONUNBUFFERED=unbuffered) == (141, None, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["info", FILTER, *only_deep(FIND, TOUR, "--help", "--version", "")])
def test_the_output_does_not_fit(shell, command, unbuffered):
    code, _, err = shell(f"fastconv {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (code, err) == (2, "fastconv: error: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", *only_deep(">&-", "<&-", "2>&-")])
@pytest.mark.parametrize("command", [FILTER, *only_deep("info", FIND, TOUR)])
def test_no_output_and_no_input(shell, command, closed):
    assert shell(f"fastconv {command} {closed}")[0] == 0


@pytest.mark.parametrize("to", ["2>&-", *only_deep("2>/dev/full", "2> >(true)")])
def test_no_place_for_errors(shell, to):
    code, out, _ = shell(f"fastconv filter in.png --kernel sobl -o out.png {to}")
    assert (code, out) == (2, "")


@pytest.mark.parametrize("command", [FILTER, *only_deep(FIND + " -o out.png", TOUR)])
def test_a_picture_that_does_not_fit(shell, folder, command):
    (folder / "out.png").symlink_to("/dev/full")
    code, _, err = shell(f"fastconv {command}")
    assert (code, err) == (2, "fastconv: error: cannot write out.png: No space left on device\n")
    assert sorted(p.name for p in folder.iterdir()) == ["in.png", "out.png"] and (folder / "out.png").is_symlink()


def test_a_picture_into_a_pipe(shell, folder):
    os.mkfifo(folder / "out.png")
    code, out, _ = shell(f"fastconv {FILTER} >&2 & cat out.png | wc -c; wait $!")
    assert code == 0 and int(out) > 50
    assert shell(f"fastconv {FILTER} & head -c 0 out.png; wait $!")[0] in (0, 2)


def test_names_of_any_bytes(shell, folder):
    os.rename(folder / "in.png", os.fsencode(folder) + b"/\xff \xe9.png")
    code, out, err = shell("fastconv filter $'\\xff \\xe9.png' --kernel box -o out.png")
    assert (code, err) == (0, "") and "\\udcff \\udce9.png" in out
    code, _, err = shell("fastconv filter $'\\xff.png' --kernel box -o out.png")
    assert code == 2 and "cannot read \\udcff.png" in err
    assert shell("fastconv filter $'\\xff \\xe9.png' --kernel box -o \N{SNOWMAN}.png", PYTHONIOENCODING="ascii")[0] == 0


def slow(what, then):
    """Python that runs the command line with something slow in it, which says that it has begun."""
    return textwrap.dedent(f"""
        import sys, time
        import fastconv
        from fastconv import __main__, pictures

        class Slow:
            def write(self, data):
                print("begun", flush=True)
                time.sleep(60)

        def wait(*_, **__):
            Slow().write(b"")

        {what}
        {then}
        """)


WRITING = """
import contextlib
real = pictures.written_whole
@contextlib.contextmanager
def slowly(path):
    with real(path):
        yield Slow()
pictures.written_whole = slowly
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_signals_leave_no_part_of_a_picture(folder, number, code):
    script = slow("", "") + WRITING + f"sys.exit(__main__.main({FILTER.split()}))"
    path = {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | path,
    )
    assert process.stdout.readline() == b"begun\n"
    assert len(list(folder.iterdir())) == 2  # the picture, and a part of the other
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and b"Traceback" not in err
    assert [p.name for p in folder.iterdir()] == ["in.png"]


def test_handlers_of_a_program_stay(folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    assert main(FILTER.split()) == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (MemoryError(), 2, "not enough memory\n"),
        (MemoryError("Unable to allocate 1 TiB"), 2, "not enough memory: Unable to allocate 1 TiB\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (fastconv.CheckError("off by 1"), 1, "the result differs from the reference: off by 1\n"),
        (ZeroDivisionError("oops"), 70, "ZeroDivisionError: oops\n"),
        (OSError(5, "Input/output error"), 2, "Input/output error\n"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, BaseException) else str(x),
)
@pytest.mark.parametrize("command", [FILTER, FIND])
def test_what_goes_wrong_has_its_code(folder, monkeypatch, capsys, command, error, code, says):
    """A traceback ends with 1, which means that a result differs from the reference."""

    def wrong(*_, **__):
        raise error

    monkeypatch.chdir(folder)
    monkeypatch.setattr(fastconv, "corr2d", wrong)
    monkeypatch.setattr(fastconv.feature, "match_template", wrong)
    assert main(command.split()) == code
    assert says in capsys.readouterr().err
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize(
    "error",
    [
        "fastconv.CheckError('mine')",
        *only_deep("ModuleNotFoundError('no', name='PIL')", "MemoryError()", "OSError(5)"),
    ],
)
def test_errors_of_a_program_are_its_own(folder, shell, error):
    (folder / "program.py").write_text(f"import fastconv\nraise {error}\n")
    code, out, err = shell("fastconv run program.py")
    assert (code, out) == (1, "") and err.startswith("Traceback") and "fastconv: error" not in err
    assert error.partition("(")[0].rpartition(".")[2] in err.splitlines()[-1]


@pytest.mark.deep
@pytest.mark.parametrize("code", [0, 1, 70])
def test_exit_codes_of_a_program_are_its_own(folder, shell, code):
    (folder / "program.py").write_text("import sys\nsys.exit(int(sys.argv[1]))\n")
    assert shell(f"fastconv run program.py {code}")[0] == code


@pytest.mark.deep
def test_the_exit_code_of_no_program(shell):
    assert shell("fastconv run missing.py")[0] == 2
