# SPDX-License-Identifier: BSD-3-Clause
"""Builds the one extension, fastconv._core, as an abi3 module; everything else is in pyproject.toml."""

import gzip
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# One wheel serves CPython 3.11 and later. Free-threaded builds have no limited API: theirs is their own.
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")
SYSTEM = sysconfig.get_platform().partition("-")[0]  # that of the wheel, also where another one builds

# A wheel is to stay under 1.5 MB. Symbols are 20 kB of it, and tables of stack frames 30 kB; a checkout keeps them, so
# that profiles can be read. Functions in the order of their names compress to 58 kB less: the variants of a kernel for
# one instruction set, which are alike, become neighbours.
WHEEL = "bdist_wheel" in sys.argv
# CPUs fetch code that is not aligned as fast. And what is computed at several places is left there. Both were measured,
# and make a wheel 21 kB smaller by kernels, and 9 kB by what Cython writes.
OF_KERNELS = ["-fno-align-loops", "-fno-align-jumps", "-fno-align-labels", "-fno-tree-pre"]
# What Cython writes has many small functions. Calls of most of them cost a call's time nothing, and a wheel 17 kB less.
OF_CYTHON = [*OF_KERNELS, "-fno-align-functions", "-fno-gcse", "-fno-code-hoisting", "-finline-limit=10"]
# CPUs without AVX2 have grown rare. For them, kernels are short: at most 1.3 times slower, and a wheel 45 kB less.
OF_LEAST = {"-O2": ["-Os", "-fno-tree-loop-im", "-fno-move-loop-invariants"]}
# Drivers whose time is that of the kernels they call are short, too, and a wheel 16 kB less. (Those that small calls
# meet, or that copy elements, would be up to 1.5 times slower.)
OF_DRIVERS = {"-O2": ["-Os"]}
DRIVERS = re.compile(
    r"corr/(box|fft_roots|fft_sizes|lines|overlap)\.c|match/\w+\.c|layers/(winograd\w*|zones)\.c|"
    r"layers/(across|bands|bottleneck|dots|dots_lanes|dots_weights|lanes|planes|points|slides|transforms|weight)\.c"
)
# clang and zig refuse some of these
ONLY_GCC = {*OF_CYTHON, "-fno-tree-loop-im", "-fno-move-loop-invariants", "-fno-schedule-insns2"}
# clang unrolls and repeats more than gcc, and zig keeps frame pointers. Without, kernels (of float32's correlations and
# products) are 16 % smaller when compressed, and products of three vectors take half the time, that of gcc's.
OF_CLANG = ["-fno-unroll-loops", "-fomit-frame-pointer", "-falign-loops=1", "-Xclang", "-fmerge-functions"]
# Nor does it count in other ways than is written: as fast with AVX-512, 1.02 times with AVX2, and a wheel 33 kB less.
# (ARM's CPUs, for which it was not measured, have addresses that count on.)
if re.search("x86_64|amd64", sysconfig.get_platform()):
    OF_CLANG += ["-Xclang", "-mllvm", "-Xclang", "-disable-lsr"]
# By system: how a wheel is compiled, how the extension is linked, and how that of a wheel is.
OF_SYSTEM = {
    "linux": (
        ["-ffunction-sections", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"],
        ["-pthread", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
        ["-Wl,-s", "-Wl,--sort-section=name"],
    ),
    "macosx": (["-fno-unwind-tables", "-fno-asynchronous-unwind-tables"], [], ["-Wl,-x"]),
    "win": (["-ffunction-sections", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"], [], ["-s"]),
}
# What writes beyond an array of its own, or has the C library do so, ends the program. (Kernels are left out: they call
# nothing, and their arrays are registers.)
HARDENED = [] if SYSTEM == "win" else ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]
COMPILED, LINKED, LINKED_FOR_WHEEL = OF_SYSTEM.get(SYSTEM, ([], ["-pthread"], []))

core = Extension(
    "fastconv._core",
    sources=["fastconv/_core.pyx", *sorted(str(p) for p in Path("csrc").rglob("*.c"))],
    depends=["setup.py", *(str(p) for p in Path("csrc").rglob("*.h"))],
    include_dirs=["csrc", np.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_1_API_VERSION")]
    + ([("Py_LIMITED_API", "0x030B0000")] if ABI3 else []),
    # -ffp-contract=off: an fma is where the code says fma, nowhere else (bit-identical results).
    # -fno-tree-*: the micro-kernels are vectorized by hand; their tails must stay as written.
    # -fno-schedule-insns2: CPUs reorder instructions themselves, and those as written compress to 45 kB less.
    extra_compile_args=[
        "-std=gnu11",
        "-O2",
        "-g0",
        "-fvisibility=hidden",
        "-ffp-contract=off",
        "-fno-tree-vectorize",
        "-fno-tree-slp-vectorize",
        "-fno-schedule-insns2",
        *(COMPILED if WHEEL else []),
        *os.environ.get("FASTCONV_CFLAGS", "").split(),
    ],
    libraries=["m"],
    extra_link_args=[
        *LINKED,
        *(LINKED_FOR_WHEEL if WHEEL else []),
        *os.environ.get("FASTCONV_LDFLAGS", "").split(),
    ],
    py_limited_api=ABI3 and "SETUPTOOLS_EXT_SUFFIX" not in os.environ,  # it names what another system calls it
)


def sort_for_lld(objects, order):
    """Have lld link functions for Windows by their names: it takes them from a file, and the file from LINK."""
    names = {name for path in objects for name in re.findall(rb"\.text\$(\w+)\0", Path(path).read_bytes())}
    order.write_bytes(b"\n".join(sorted(names)))
    os.environ["LINK"] = f"/order:@{order}"


class BuildFilesAtOnce(build_ext):
    """Compiles as many files at a time as there are CPUs; those of instruction sets, which take longest, first."""

    def initialize_options(self):
        super().initialize_options()
        if os.name == "nt":
            self.compiler = "mingw32"  # the compiler that CC names: that of Visual Studio knows no types of vectors

    def get_libraries(self, ext):
        """Windows has no symbols that are left for later: they are those of python3.dll."""
        return [*ext.libraries, "python3"] if SYSTEM == "win" and ABI3 else super().get_libraries(ext)

    def build_extensions(self):
        # Where the Python that builds has its libraries is of no use elsewhere.
        self.compiler.linker_so = [word for word in self.compiler.linker_so if "-rpath" not in word]
        compile_all = self.compiler.compile
        version = [*self.compiler.compiler_so, "--version"]
        is_clang = "clang" in subprocess.run(version, capture_output=True, text=True, check=False).stdout
        unknown, known = (ONLY_GCC, OF_CLANG) if is_clang else (set(), [])

        def compile_each(sources, extra_postargs, **how):
            def compile_one(source):
                parts = Path(source).parts
                own = OF_KERNELS if "isa" in parts else [*HARDENED, *([] if "csrc" in parts else OF_CYTHON)]
                is_driver = DRIVERS.fullmatch("/".join(parts[1:]))
                instead = OF_LEAST if parts[-1] == "base.c" else OF_DRIVERS if is_driver else {}
                flags = [*own, *known, *chain.from_iterable(instead.get(flag, [flag]) for flag in extra_postargs)]
                flags = [flag for flag in flags if flag not in unknown]
                return compile_all([source], extra_postargs=flags, **how)

            sources = sorted(sources, key=lambda source: "isa" not in Path(source).parts)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = [*chain.from_iterable(pool.map(compile_one, sources))]
            if SYSTEM == "win":
                sort_for_lld(objects, Path(self.build_temp, "order.txt"))
            return objects

        self.compiler.compile = compile_each
        super().build_extensions()
        for library in Path(self.build_lib).rglob("*.lib"):  # by which others would link to it, on Windows
            library.unlink()


class SameBytesAgain(sdist):
    """With SOURCE_DATE_EPOCH, the same files make the same archive, whoever owns them, of whatever time."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        if "SOURCE_DATE_EPOCH" not in os.environ or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)
        epoch = int(os.environ["SOURCE_DATE_EPOCH"])

        def without_history(info):
            info.mtime, info.uid, info.gid, info.uname, info.gname = epoch, 0, 0, "", ""
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            return info

        path = f"{base_name}.tar.gz"
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(base_dir, filter=without_history)
        return path


setup(
    cmdclass={"build_ext": BuildFilesAtOnce, "sdist": SameBytesAgain},
    ext_modules=cythonize([core], compiler_directives={"embedsignature": True, "freethreading_compatible": True}),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
