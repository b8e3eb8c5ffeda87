# SPDX-License-Identifier: BSD-3-Clause
"""Wheels for other systems, compiled by zig on Linux, with the headers of NumPy's own wheels for them.

    pip install ziglang abi3info
    spin wheel --target windows-x86_64

Nothing here runs what it builds. .github/RELEASING.md tells which of them were run, and where.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

NUMPY = "2.3.5"  # any that has wheels for all of these: what is used of its headers is that of NumPy 2.1
IGNORED = (".git", "build", "dist", "*.egg-info", "*.so", "*.pyd", "__pycache__", "tests", "bench")


class Target(NamedTuple):
    """What zig, a wheel's name and Python call a system, and which of NumPy's wheels have its headers."""

    zig: str
    wheel: str
    python: str
    numpy: tuple[str, ...]

    @property
    def is_windows(self) -> bool:
        return self.python.startswith("win")


TARGETS = {
    "manylinux-x86_64": Target(
        "x86_64-linux-gnu.2.17",
        "manylinux_2_17_x86_64",
        "linux-x86_64",
        ("manylinux_2_27_x86_64", "manylinux_2_28_x86_64"),
    ),
    "manylinux-aarch64": Target(
        "aarch64-linux-gnu.2.17",
        "manylinux_2_17_aarch64",
        "linux-aarch64",
        ("manylinux_2_27_aarch64", "manylinux_2_28_aarch64"),
    ),
    "musllinux-x86_64": Target("x86_64-linux-musl", "musllinux_1_2_x86_64", "linux-x86_64", ("musllinux_1_2_x86_64",)),
    "musllinux-aarch64": Target(
        "aarch64-linux-musl", "musllinux_1_2_aarch64", "linux-aarch64", ("musllinux_1_2_aarch64",)
    ),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx_11_0_arm64", "macosx-11.0-arm64", ("macosx_11_0_arm64",)),
    "macos-x86_64": Target(
        "x86_64-macos.10.15", "macosx_10_15_x86_64", "macosx-10.15-x86_64", ("macosx_10_15_x86_64",)
    ),
    "windows-x86_64": Target("x86_64-windows-gnu", "win_amd64", "win-amd64", ("win_amd64",)),
    "windows-arm64": Target("aarch64-windows-gnu", "win_arm64", "win-arm64", ("win_arm64",)),
}

# Over the pyconfig.h of Linux: what Windows has differently, and how its Python is linked to
PYCONFIG = """
#include "pyconfig_here.h"
#undef HAVE_SYS_SELECT_H
#undef SIZEOF_LONG
#undef SIZEOF_WCHAR_T
#undef SIZEOF_OFF_T
#define SIZEOF_LONG 4
#define SIZEOF_WCHAR_T 2
#define SIZEOF_OFF_T 4
#define MS_WINDOWS 1
#define MS_WIN64 1
#define HAVE_DECLSPEC_DLL 1
#define Py_ENABLE_SHARED 1
"""


# Functions in the order of their names, as setup.py asks of GNU's linker: that of zig takes it from a script only.
ORDER = "SECTIONS { .text.named : { *(SORT_BY_NAME(.text.*)) } } INSERT AFTER .plt;"


def python_headers(target: Target, folder: Path) -> Path:
    """A copy of Python's headers, as this system's Python would have them."""
    to = folder / "python"
    shutil.copytree(sysconfig.get_path("include"), to)
    if target.is_windows:
        (to / "pyconfig.h").rename(to / "pyconfig_here.h")
        (to / "pyconfig.h").write_text(PYCONFIG)
    return to


def numpy_headers(target: Target, folder: Path) -> Path:
    """Those of NumPy's wheel: they tell the sizes of C's types there."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    platforms = [word for name in target.numpy for word in ("--platform", name)]
    subprocess.run([*pip, *platforms, "--python-version", "3.12", f"numpy=={NUMPY}"], check=True)
    inside = "numpy/_core/include/"
    with ZipFile(next(folder.glob("numpy-*.whl"))) as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if name.startswith(inside)])
    return folder / inside


def import_library(zig: str, target: Target, folder: Path) -> None:
    """python3.lib, by which Windows finds the stable ABI in python3.dll."""
    from abi3info import DATAS, FUNCTIONS

    names = [f"  {symbol.name}" for symbol in FUNCTIONS] + [f"  {symbol.name} DATA" for symbol in DATAS]
    definition = folder / "python3.def"
    definition.write_text("\n".join(["LIBRARY python3.dll", "EXPORTS", *sorted(names)]))
    machine = "arm64" if "arm64" in target.python else "i386:x86-64"
    library = ["-d", str(definition), "-l", str(folder / "python3.lib"), "-m", machine]
    subprocess.run([*shlex.split(zig), "dlltool", *library], check=True)


def build(name: str, dist: Path) -> Path:
    """Build the wheel for a target; returns where it is."""
    target, root, zig = TARGETS[name], Path(__file__).parents[1], f"{sys.executable} -m ziglang"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "fastconv"  # where nothing of another target lies
        shutil.copytree(root, source, ignore=shutil.ignore_patterns(*IGNORED))
        compiler = f"{zig} cc -target {target.zig}"
        linker = f"{compiler} -shared" + " -undefined dynamic_lookup" * target.python.startswith("macosx")
        variables = {
            "CC": compiler,
            "LDSHARED": linker,
            "CFLAGS": f"-I{python_headers(target, folder)} -I{numpy_headers(target, folder)}",
            "LDFLAGS": f"-L{folder}",
            "_PYTHON_HOST_PLATFORM": target.python,
            "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "946684800"),
        }
        if target.is_windows:
            import_library(zig, target, folder)
            variables["SETUPTOOLS_EXT_SUFFIX"] = ".pyd"
        elif target.python.startswith("linux"):
            (folder / "order.ld").write_text(ORDER)
            variables["LDSHARED"] += f" -Wl,-T,{folder}/order.ld"
        command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--plat-name", target.wheel, "-d", str(dist)]
        subprocess.run(command, cwd=source, env=os.environ | variables, check=True)
    return max(dist.glob(f"*{target.wheel}.whl"), key=lambda p: p.stat().st_mtime)
