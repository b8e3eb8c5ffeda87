# SPDX-License-Identifier: BSD-3-Clause
"""Instruction sets, threads, environment, self-checks, explain(), and what an import brings along."""

from __future__ import annotations

import functools
import itertools
import math
import os
import re
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import cases
import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv import _core, runtime, sums

ISAS = fastconv.isas()


# instruction sets ---------------------------------------------------------------------


def test_isas():
    assert [t["isa"] for t in _core.tables()] == ISAS
    assert len(set(ISAS)) == len(ISAS)
    assert ISAS[-1] in ("base", "neon")


def test_use_isa_as_a_function_and_as_a_context():
    before = _core.table()["isa"]
    for name in ISAS:
        with fastconv.use_isa(name):
            assert _core.table()["isa"] == name
            with fastconv.use_isa(ISAS[0]):
                assert _core.table()["isa"] == ISAS[0]
            assert _core.table()["isa"] == name
        assert _core.table()["isa"] == before
        with pytest.raises(KeyError), fastconv.use_isa(name):
            raise KeyError
        assert _core.table()["isa"] == before
    restore = fastconv.use_isa(ISAS[-1])
    assert _core.table()["isa"] == ISAS[-1]
    with restore:
        pass
    assert _core.table()["isa"] == before


@pytest.mark.parametrize("name", ["avx1024", "AVX2", "", None, 0])
def test_unknown_isa(name):
    before = _core.table()["isa"]
    with pytest.raises(ValueError, match=rf"isa must be one of {', '.join(ISAS)}; got {name!r}"):
        fastconv.use_isa(name)
    assert _core.table()["isa"] == before


# threads ------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = fastconv.get_num_threads()
    yield
    fastconv.set_num_threads(before)


def test_num_threads(threads):
    for n, expected in ((1, 1), (3, 3), (np.int8(5), 5), (256, 256), (10**9, 256)):
        fastconv.set_num_threads(n)
        assert fastconv.get_num_threads() == expected
        told = fastconv.explain((9999, 9999), (9, 9))
        assert told.threads == min(expected, told.chunks)
    for n, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError)):
        with pytest.raises(error, match=f"n must be .*; got {n}"):
            fastconv.set_num_threads(n)
        assert fastconv.get_num_threads() == 256


# environment --------------------------------------------------------------------------

STATE = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastconv
for warning in caught:
    print(warning.category.__name__, warning.message)
from fastconv.runtime import checking
print(fastconv.get_num_threads(), fastconv._core.table()["isa"], checking.get(), fastconv.corr2d([[2.0]], [[3.0]]))
"""


def state(python, **variables):
    """(warnings, last line) of a program that imports the package."""
    done = python(STATE, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    *caught, last = done.stdout.splitlines()
    return caught, last


def test_environment(python):
    caught, default = state(python)
    assert not caught
    n, isa, *rest = default.split()
    assert int(n) >= 1 and isa == ISAS[0] and rest == ["False", "[[6.]]"]
    assert state(python, FASTCONV_SPREAD="0", FASTCONV_NUM_THREADS="") == ([], default)


@pytest.mark.parametrize(("number", "isa"), [*zip(["1", "5", " 3 ", "9999"], itertools.cycle(ISAS), strict=False)])
def test_environment_of_threads(python, isa, number):
    used = f"{min(int(number), 256)} {isa} False [[6.]]"
    assert state(python, FASTCONV_NUM_THREADS=number, FASTCONV_MAX_ISA=isa) == ([], used)


def test_switches_take_words(monkeypatch):
    """FASTCONV_CHECK=false once switched checking on."""
    for words, expected in ("0 false False no off OFF", False), ("1 true TRUE yes Yes on", True):
        for word in (*words.split(), f" {words.split()[0]} "):
            for default in (False, True):
                monkeypatch.setenv("FASTCONV_CHECK", word)
                assert runtime.switch("FASTCONV_CHECK", default) is expected
    for default in (False, True):
        monkeypatch.setenv("FASTCONV_CHECK", "")
        assert runtime.switch("FASTCONV_CHECK", default) is default
        monkeypatch.delenv("FASTCONV_CHECK")
        assert runtime.switch("FASTCONV_CHECK", default) is default


def test_patches_are_switched_off_by_words(monkeypatch):
    pytest.importorskip("scipy")
    for word, patched in (("false", False), ("OFF", False), ("0", False), ("yes", True), ("", True)):
        monkeypatch.setenv("FASTCONV_PATCH", word)
        with fastconv.patched("scipy.ndimage") as count:
            assert (count > 0) == patched


@pytest.mark.parametrize("word", ["false", "on"])
def test_check_by_words(python, word):
    caught, last = state(python, FASTCONV_CHECK=word)
    assert not caught and str(word == "on") in last


@pytest.mark.parametrize("name", ["FASTCONV_CHECK", "FASTCONV_SPREAD"])
@pytest.mark.parametrize("value", ["2", "maybe"])
def test_nonsense_switch(python, name, value):
    (warning,), last = state(python, **{name: value})
    assert warning == (f"RuntimeWarning {name} must be one of 0, false, no, off or 1, true, yes, on; got {value!r}")
    assert last == state(python)[1]


# quotas -------------------------------------------------------------------------------

V2 = "31 23 0:38 / {sys} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 {root} {sys}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct"
OTHER = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n35 31 0:32 / {sys}/memory rw - cgroup cgroup rw,memory\n"
OTHERS = "5:memory:/elsewhere\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    ("mount", "group", "files", "quotas"),
    {
        "none": (V2, "0::/", {}, []),
        "v2, the root": (V2, "0::/", {"cpu.max": "300000 100000"}, [3]),
        "v2, no quota": (V2, "0::/a", {"a/cpu.max": "max 100000"}, []),
        "v2, nested, the group": (V2, "0::/a/b", {"a/b/cpu.max": "200000 100000", "a/cpu.max": "max 100000"}, [2]),
        "v2, nested, above": (V2, "0::/a/b/c", {"a/cpu.max": "50000 10000", "a/b/cpu.max": "max 10000"}, [5]),
        "v2, nested, both": (V2, "0::/a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "400000 100000"}, [4, 3]),
        "v2, a name with a colon": (V2, "0::/a:b", {"a:b/cpu.max": "100000 100000"}, [1]),
        "v2, a sibling's": (V2, "0::/a", {"b/cpu.max": "100000 100000"}, []),
        "v2, seen from outside a namespace": (V2, "0::/../../x", {"cpu.max": "400000 100000"}, [4]),
        "v2, half a CPU": (V2, "0::/", {"cpu.max": "50000 100000"}, [0]),
        "v2, a period of nothing": (V2, "0::/", {"cpu.max": "100000 0"}, []),
        "v2, nonsense": (V2, "0::/", {"cpu.max": "one two three"}, []),
        "v2, empty": (V2, "0::/", {"cpu.max": ""}, []),
        "v1": (V1, "1:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, [2]),
        "v1, no quota": (V1, "1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
        "v1, half of it": (V1, "1:cpu:/", {"cpu/cpu.cfs_quota_us": "200000"}, []),
        "v1, nested": (V1, "1:cpuacct,cpu:/a/b", {"cpu/a/cpu.cfs_quota_us": "7", "cpu/a/cpu.cfs_period_us": "2"}, [3]),
        "v1, in a container": (
            V1.replace("{root}", "/docker/x"),
            "1:cpu:/docker/x",
            {"cpu/cpu.cfs_quota_us": "2", "cpu/cpu.cfs_period_us": "1"},
            [2],
        ),
        "v1, a group of the container": (
            V1.replace("{root}", "/docker/x"),
            "1:cpu:/docker/x/y",
            {"cpu/y/cpu.cfs_quota_us": "2", "cpu/y/cpu.cfs_period_us": "1"},
            [2],
        ),
        "v1, another's": (V1, "1:cpuset:/", {"cpu/cpu.cfs_quota_us": "2", "cpu/cpu.cfs_period_us": "1"}, []),
        "both": (
            V1 + "\n" + V2,
            "1:cpu:/\n0::/a",
            {"cpu/cpu.cfs_quota_us": "2", "cpu/cpu.cfs_period_us": "1", "a/cpu.max": "3 1"},
            [2, 3],
        ),
    }.values(),
)
def test_quotas_of_control_groups(tmp_path, mount, group, files, quotas):
    system, process = tmp_path / "sys", tmp_path / "process"
    process.mkdir()
    (process / "mountinfo").write_text((OTHER + mount).replace("{sys}", str(system)).replace("{root}", "/") + "\n")
    (process / "cgroup").write_text(OTHERS + group + "\n")
    for name, text in files.items():
        (system / name).parent.mkdir(parents=True, exist_ok=True)
        (system / name).write_text(text + "\n")
    assert list(runtime._quotas(process)) == quotas


def test_quotas_and_threads(tmp_path, monkeypatch):
    cpus = len(os.sched_getaffinity(0))
    for quotas, expected in ([], cpus), ([1000, 500], cpus), ([1000, 1], 1), ([0], 1):
        monkeypatch.setattr(runtime, "_quotas", lambda quotas=quotas: iter(quotas))
        assert runtime._usable_cpus() == expected
    for broken in (None, "", "nonsense", "1:2", "a - b\n"):
        if broken is not None:
            (tmp_path / "cgroup").write_text(broken)
            (tmp_path / "mountinfo").write_text(broken)
        monkeypatch.setattr(runtime, "_quotas", functools.partial(QUOTAS, tmp_path))
        assert runtime._usable_cpus() == cpus


QUOTAS = runtime._quotas


@pytest.mark.parametrize("value", ["0", "2.5", *only_deep("-2", "many")])
def test_nonsense_number_of_threads(python, value):
    (warning,), last = state(python, FASTCONV_NUM_THREADS=value)
    assert warning == f"RuntimeWarning FASTCONV_NUM_THREADS must be a positive integer; got {value!r}"
    assert last == state(python)[1]


def test_isa_that_this_cpu_lacks_is_a_cap(python):
    lacking = [isa for isa in runtime.ISAS if isa not in ISAS]
    assert lacking
    for isa in lacking:
        assert state(python, FASTCONV_MAX_ISA=isa)[0] == []


def test_nonsense_isa(python):
    (warning,), last = state(python, FASTCONV_MAX_ISA="mmx")
    assert warning == f"RuntimeWarning FASTCONV_MAX_ISA must be one of {', '.join(runtime.ISAS)}; got 'mmx'"
    assert last == state(python)[1]


# checked() ----------------------------------------------------------------------------


def spoil(monkeypatch, spoiling):
    """Let `spoiling` change compiled results."""

    class Wrong:
        """A plan whose results are spoilt, and that serves no other call."""

        def __init__(self, *call):
            self.right = _core.CorrPlan(*call)

        def __call__(self, x, out):
            asks_again = self.right(x, out)
            spoiling(out)
            return asks_again

        def serve(self, *_):
            return None

    fastconv.clear_cache()  # of plans that are right
    monkeypatch.setattr(sums, "_core", SimpleNamespace(**vars(_core) | {"CorrPlan": Wrong}))


def corrupt(monkeypatch, index, change):
    """Let the compiled result be off at one place."""

    def spoiling(out):
        out[index] += change

    spoil(monkeypatch, spoiling)


@pytest.mark.parametrize("name", ["corr2d", "convolve2d"])
@pytest.mark.parametrize("method", [*cases.METHODS, "numpy"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_checked_passes_what_is_right(isa, rng, dtype, method, name):
    x, k = cases.reals(rng, (2, 20, 40), dtype), cases.reals(rng, (5, 4), dtype)
    x[0, 3, 4], x[1, 5, 6] = np.nan, np.inf
    function = getattr(fastconv, name)
    for mode in cases.MODES:
        plain = function(x, k, mode, "reflect", method=method)
        with fastconv.checked():
            np.testing.assert_array_equal(function(x, k, mode, "reflect", method=method), plain)
            if mode == "same":  # out is x itself: the reference must have seen x before
                copy = x.copy()
                np.testing.assert_array_equal(function(copy, k, mode, "reflect", method=method, out=copy), plain)


@pytest.mark.parametrize("change", [1e-3, -2.0, np.nan, np.inf])
@pytest.mark.parametrize("dtype", cases.FLOATS)
@pytest.mark.parametrize("name", ["corr2d", "convolve2d"])
def test_checked_finds_what_is_wrong(monkeypatch, rng, name, dtype, change):
    x, k = cases.integers(rng, (2, 6, 7), dtype), np.ones((3, 3), dtype)
    function = getattr(fastconv, name)
    right = function(x, k)
    corrupt(monkeypatch, (1, 2, 3), change)
    assert (right != function(x, k)).sum() == 1  # unseen without the check
    with fastconv.checked(), pytest.raises(fastconv.CheckError) as error:
        function(x, k)
    text = str(error.value)
    assert text.startswith(f"{name}: 1 of 40 elements differ from the reference; the worst, at (1, 2, 3), is ")
    assert repr(right[1, 2, 3]) in text
    assert repr(right[1, 2, 3] + np.dtype(dtype).type(change)) in text
    assert function(x, k).shape == right.shape


def test_checked_finds_a_lost_nan(monkeypatch):
    x = np.ones((5, 6))
    x[2, 3] = np.nan

    def deaf(out):
        out[...] = 1

    spoil(monkeypatch, deaf)
    with fastconv.checked(), pytest.raises(fastconv.CheckError, match=r"1 of 30 .* at \(2, 3\)"):
        fastconv.corr2d(x, [[1.0]])


def test_check_error_is_an_assertion_and_the_plain_path_is_checked(monkeypatch):
    assert issubclass(fastconv.CheckError, AssertionError)
    corrupt(monkeypatch, (0, 0), 1)
    x, k = np.ones((5, 6)), np.ones((2, 2))
    fastconv.corr2d(x, k)
    with fastconv.checked(), pytest.raises(fastconv.CheckError):
        fastconv.corr2d(x, k)
    with fastconv.checked(), fastconv.checked():
        pass
    fastconv.corr2d(x, k, "same")


def test_integers_are_checked_to_the_last_unit(monkeypatch):
    corrupt(monkeypatch, (0, 0), 1)
    x, k = np.arange(30).reshape(5, 6), np.ones((2, 2), int)
    with fastconv.checked(), pytest.raises(fastconv.CheckError, match=r"1 of 20 .* is np.int64.15., expected .*14"):
        fastconv.corr2d(x, k)


def test_large_integers_are_checked_to_the_last_unit(monkeypatch):
    """Float64 does not see a unit here."""
    corrupt(monkeypatch, (0, 0), 1)
    with fastconv.checked(), pytest.raises(fastconv.CheckError):
        fastconv.corr2d(np.full((2, 2), 2**60), np.ones((1, 1), int))


def test_the_reference_needs_no_check(monkeypatch):
    corrupt(monkeypatch, (0, 0), 1)
    with fastconv.checked():
        assert fastconv.corr2d(np.arange(30.0).reshape(5, 6), np.ones((2, 2)), method="numpy")[0, 0] == 14


def test_checked_is_of_its_own_thread():
    from fastconv.runtime import checking

    seen = []
    with fastconv.checked():
        other = threading.Thread(target=lambda: seen.append(checking.get()))
        other.start()
        other.join()
        assert checking.get()
    assert (seen, checking.get()) == ([False], False)


def test_check_by_environment(python):
    code = """
import numpy as np, fastconv
from types import SimpleNamespace
from fastconv import _core, runtime, sums
def wrong(*call):
    plan = _core.CorrPlan(*call)
    def spoilt(x, out):
        plan(x, out)
        out[1, 2] += 1
    return spoilt
sums._core = SimpleNamespace(**vars(_core) | {"CorrPlan": wrong})
fastconv.corr2d(np.ones((5, 6)), np.ones((2, 2)))
"""
    done = python(code, FASTCONV_CHECK="1")
    assert done.returncode == 1
    assert re.search(r"CheckError: corr2d: 1 of 20 elements differ .* at \(1, 2\), is np.float64\(5.0\)", done.stderr)


# explain ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", cases.MODES)
@pytest.mark.parametrize("dtype", [*cases.FLOATS, "float16", "int32"])
def test_explain_has_the_result_and_the_method(isa, dtype, mode):
    for image, kernel in (((40, 50), (3, 3)), ((2, 3, 20, 30), (9, 1)), ((0, 20, 30), (17, 17))):
        y = fastconv.corr2d(np.zeros(image, dtype), np.zeros(kernel, dtype), mode)
        for method in ("auto", *cases.METHODS, "numpy"):
            if dtype == "int32" and method == "im2col":
                continue
            told = fastconv.explain(image, kernel, mode, "edge", dtype=dtype, method=method, threads=3)
            assert (told.dtype, told.shape) == (y.dtype, y.shape)
            compiled = method != "numpy"
            assert told.method == {"auto": "direct"}.get(method, method)
            assert told.isa == (isa if compiled else "")
            assert 1 <= told.threads <= 3
            assert math.isnan(told.serial_us) == (not compiled)
            assert str(told).splitlines()[:2] == [
                f"result   {y.dtype} {y.shape}",
                f"method   {told.method}: {told.why}",
            ]
            assert len(str(told).splitlines()) == (5 if compiled else 2)


def test_explain_threads(tiny_chunks):
    for n in (1, 2, 3, 50):
        told = fastconv.explain((61, 200), (3, 3), threads=n)
        assert (told.threads, told.chunks) == (min(n, 8), 8)  # 59 rows, by 8
        assert f"threads  {told.threads}, over 8 chunks" in str(told)
    _core.tune()
    assert fastconv.explain((61, 200), (3, 3), threads=4).threads == 1  # too short for more
    assert fastconv.explain((6100, 2000), (3, 3), threads=4).threads == 4


def test_explain_tile(isa):
    lanes = _core.table()["vector_bytes"] // 4
    rows, vectors = _core.table()["blocks"][0]
    for h in cases.HEIGHTS:
        assert fastconv.explain((40, 50), (h, 3)).tile == f"{rows} x {vectors * lanes} outputs in registers"
    assert f"1 x {8 * lanes} outputs" in fastconv.explain((40, 50), (3, 3), method="im2col").tile


def test_show_config(capsys):
    fastconv.show_config()
    out = capsys.readouterr().out
    for words in (
        f"fastconv {fastconv.__version__}, NumPy {np.__version__}, Python {sys.version_info.major}.",
        _core.__file__,
        f"{_core.table()['isa']} (this CPU: {', '.join(ISAS)})",
        f"threads     {fastconv.get_num_threads()} (usable CPUs: ",
        "checked     False",
        "environment ",
    ):
        assert words in out


def test_show_config_shows_the_environment(python):
    done = python("import fastconv; fastconv.show_config()", FASTCONV_NUM_THREADS="3", FASTCONV_CHECK="1")
    assert "FASTCONV_NUM_THREADS=3" in done.stdout
    assert "checked     True" in done.stdout


# what an import brings ----------------------------------------------------------------


def test_without_the_extension(python):
    code = """
import sys, warnings
sys.modules["fastconv._core"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import numpy as np, fastconv
    x, k = np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2)
    out = np.empty((2, 2))
    for dtype in ("float32", "int8", "float16"):
        for method in ("auto", "direct", "im2col", "numpy"):
            if dtype != "int8" or method in ("auto", "numpy"):
                y = fastconv.corr2d(x.astype(dtype), k.astype(dtype), method=method, threads=2)
                assert y.tolist() == [[19, 25], [37, 43]], (dtype, method)
    assert fastconv.convolve2d(x, k, "same", "wrap", out=np.empty((3, 3))).shape == (3, 3)
    with fastconv.checked():
        assert fastconv.corr2d(x, k, out=out) is out
    assert fastconv.isas() == []
    fastconv.set_num_threads(3)
    assert fastconv.get_num_threads() == 1
    fastconv.show_config()
    print(fastconv.explain((5, 5), (3, 3)))
    try:
        fastconv.use_isa("avx2")
    except ValueError as error:
        print(error)
for warning in caught:
    print(warning.category.__name__, warning.message)
"""
    done = python(code, FASTCONV_MAX_ISA="avx2", FASTCONV_NUM_THREADS="2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "extension   none" in done.stdout
    assert "method   numpy: the compiled extension cannot be imported" in done.stdout
    assert "isa must be one of (none: no extension); got 'avx2'" in done.stdout
    assert len(re.findall("Warning", done.stdout)) == 1
    assert "RuntimeWarning fastconv: the compiled extension cannot be imported" in done.stdout


def test_import_brings_nothing_but_numpy(python):
    code = """
import sys, numpy
before = set(sys.modules)
import fastconv
new = {name.partition(".")[0] for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)}
print(sorted(new - sys.stdlib_module_names - {"numpy"}))
"""
    done = python(code)
    assert (done.stdout.strip(), done.stderr) == ("['fastconv']", "")


def test_public_names():
    assert sorted(fastconv.__all__) == fastconv.__all__
    for name in fastconv.__all__:
        assert getattr(fastconv, name).__doc__


@pytest.mark.parametrize(
    ("told", "bytes_"),
    [(b"32768K\n", 16 << 20), (b"512K", 4 << 20), (b"1048576K\n", 64 << 20), (b"9999999999K\n", 15 << 20)]
    + [(told, 15 << 20) for told in (b"", b"K", b"0K\n", b"-8192K\n", b"32M\n", b"32768", b"\0\xff", None)],
)
def test_results_of_half_the_l3_go_past_it(tmp_path, told, bytes_):
    """What Linux tells of its size is taken within bounds; what it does not tell, or nobody understands, is not."""
    file = tmp_path / "size"
    if told is not None:
        file.write_bytes(told)
    assert _core.stream_from(bytes(file)) == bytes_
    assert 4 << 20 <= _core.stream_from() <= 64 << 20


# the binary ---------------------------------------------------------------------------


BMI2 = {"bzhi", "mulx", "pdep", "pext", "rorx", "sarx", "shlx", "shrx"}


@pytest.mark.skipif(not shutil.which("objdump"), reason="no objdump")
def test_instructions_stay_in_the_kernels_of_their_isa():
    """AVX or BMI2 code outside the functions of that instruction set would stop a CPU that lacks it."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", _core.__file__], capture_output=True, text=True, check=True
    ).stdout
    if "<avx2_" not in listing:
        pytest.skip("the extension of a wheel has no symbols")
    avx, avx512 = set(), set()  # symbols with such instructions
    symbol = None
    for line in listing.splitlines():
        _, _, instruction = line.partition(":\t")
        if line.endswith(">:"):
            symbol = line.partition("<")[2][:-2]
        elif re.match(r"v|k\w+ .*%k\d", instruction) or instruction.partition(" ")[0] in BMI2:
            avx.add(symbol)
            if re.search(r"zmm|%k\d", instruction):
                avx512.add(symbol)
    assert {s for s in avx if "avx" not in s} == set()
    assert {s for s in avx512 if "avx512" not in s} == set()
    if "base" in ISAS:  # x86-64
        assert any("avx2" in s for s in avx) and avx512


@pytest.mark.skipif(not shutil.which("ldd"), reason="no ldd")
def test_the_extension_names_the_libraries_that_it_uses():
    """What is left undefined is Python's own: nothing else need have been loaded before."""
    done = subprocess.run(["ldd", "-r", _core.__file__], capture_output=True, text=True, check=False)
    undefined = re.findall(r"undefined symbol: (\w+)", done.stdout + done.stderr)
    assert {name for name in undefined if not re.match("_?Py", name)} == set()


def test_complex_results_are_checked_part_by_part():
    """An infinite real part leaves the imaginary one to its bound; it was compared bit by bit."""
    from fastconv.runtime import check_result

    a, b = (
        np.array([complex(np.inf, 1), complex(np.nan, 2)]),
        np.array([complex(np.inf, 1 + 1e-15), complex(np.nan, 2)]),
    )
    check_result(a, b, np.full(2, 1e-14), "sums")
    for wrong in (complex(np.inf, 1.1), complex(-np.inf, 1), complex(np.nan, 1), complex(1, 1)):
        with pytest.raises(fastconv.CheckError):
            check_result(np.array([wrong, b[1]]), b, np.full(2, 1e-14), "sums")
    large = np.array([2**63 - 1])
    with pytest.raises(fastconv.CheckError):
        check_result(large - 1, large, np.zeros(1), "integers whose difference floats do not see")
