# SPDX-License-Identifier: BSD-3-Clause
"""What a wheel must be to work elsewhere: the extension's libraries and protection, the same bytes again."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from fastconv import _core

ROOT = Path(__file__).parents[1]
LOADERS = {"ld-linux-x86-64", "ld-linux-aarch64"}


@pytest.fixture(scope="module")
def dynamic():
    """What readelf tells of the extension."""
    if not shutil.which("readelf") or not sys.platform.startswith("linux"):
        pytest.skip("no readelf, or no ELF")
    return subprocess.run(["readelf", "-dlW", _core.__file__], capture_output=True, text=True, check=True).stdout


def test_libraries_are_those_of_every_system(dynamic):
    """Nor does it look for them where the Python that built it has its own."""
    needed = {name.partition(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)}
    assert needed <= {
        "libm",
        "libc",
        "libpthread",
        "libc.musl-x86_64",
        "libc.musl-aarch64",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    }
    assert not re.findall(r"R(?:UN)?PATH", dynamic)


def test_what_is_relocated_is_read_only_and_no_stack_is_executable(dynamic):
    assert "GNU_RELRO" in dynamic and re.search(r"BIND_NOW|FLAGS.*NOW", dynamic)
    assert re.search(r"GNU_STACK.* RW ", dynamic)


def test_functions_with_arrays_look_after_their_ends():
    """Of compiled code, as setup.py asks; a build for tests may have asked for something else."""
    if not shutil.which("readelf") or not sys.platform.startswith("linux"):
        pytest.skip("no readelf, or no ELF")
    command = ["readelf", "--dyn-syms", "-W", _core.__file__]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "__stack_chk_fail" in symbols
    exported = {line.split()[-1] for line in symbols.splitlines() if re.search(r" (?:FUNC|OBJECT) .* \d+ \w+$", line)}
    assert exported == {"PyInit__core"}


def test_what_windows_lacks_is_not_needed():
    """An import there failed once, for want of os.register_at_fork."""
    program = """
        import os
        for name in ("fork", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "sysconf"):
            if hasattr(os, name):
                delattr(os, name)
        import fastconv
        print(fastconv.corr1d([1, 2, 3], [1, 1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[3", "5]"]


@pytest.fixture
def packer():
    """The module .spin/pack.py, where it is and has what it needs."""
    pytest.importorskip("deflate")
    spec = importlib.util.spec_from_file_location("pack", ROOT / ".spin" / "pack.py")
    if not (ROOT / ".spin" / "pack.py").exists():
        pytest.skip("no checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def members(wheel):
    with ZipFile(wheel) as archive:
        return [(i.filename, i.date_time, i.external_attr, i.CRC, archive.read(i)) for i in archive.infolist()]


def test_a_packed_wheel_has_the_same_files(packer, tmp_path):
    """Their order, times and modes, too; whoever reads it needs nothing but zlib. Packed again, it is the same."""
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with ZipFile(wheel, "w", ZIP_DEFLATED) as archive:
        for path in (Path(__file__), Path(pytest.__file__), Path(__file__).with_name("conftest.py")):
            archive.write(path, path.name)
            archive.infolist()[-1].external_attr = 0o100755 << 16
        archive.writestr("empty", b"")
    before, size = members(wheel), wheel.stat().st_size
    packer.main([str(wheel)])
    assert members(wheel) == before
    assert wheel.stat().st_size < size
    packed = wheel.read_bytes()
    packer.main([str(wheel)])
    assert wheel.read_bytes() == packed
    assert [p.name for p in tmp_path.iterdir()] == [wheel.name]


def test_a_wheel_that_is_too_large_is_refused(packer, tmp_path, monkeypatch):
    monkeypatch.setattr(packer, "LIMIT", 9_000)
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("noise", os.urandom(9_000))
    with pytest.raises(SystemExit, match=r"below 9,000 bytes: a-1-py3-none-any\.whl"):
        packer.main([str(wheel)])


SOON_BUILT = "-O0 -U_FORTIFY_SOURCE -DFASTCONV_LEAST"


@pytest.mark.deep
@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="no checkout")
def test_two_builds_are_the_same_bytes(tmp_path):
    """The wheel and the source distribution, in folders of other names, with other files' times."""
    sums = set()
    for name in ("first", "the second"):
        folder = tmp_path / name
        ignored = shutil.ignore_patterns(".git", "build", "dist", "*.egg-info", "_core.c", "*.so", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=ignored, copy_function=shutil.copyfile)
        variables = {"SOURCE_DATE_EPOCH": "946684800", "FASTCONV_CFLAGS": SOON_BUILT}
        command = [sys.executable, "setup.py", "-q", "bdist_wheel", "sdist"]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        sums |= {(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in (folder / "dist").iterdir()}
    assert len(sums) == 2
