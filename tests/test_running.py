# SPDX-License-Identifier: BSD-3-Clause
"""Programs under `fastconv run` see what python shows them, and their processes are patched as they are."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import zipfile
from multiprocessing import spawn
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from conftest import only_deep

import fastconv

REPLACED = [("scipy.signal", name) for name in fastconv.signal.__all__]
REPLACED += [("scipy.ndimage", name) for name in fastconv.ndimage.__all__]


@pytest.fixture
def run(tmp_path):
    """Function that runs a command line of python, or of `fastconv run`, in a folder of its own."""

    def run(arguments, patched, given="", **environment):
        command = [sys.executable, *(["-m", "fastconv", "run"] if patched else []), *arguments]
        path = os.pathsep.join([str(Path(fastconv.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        # PYTHONSAFEPATH keeps the folder of a program from its path
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FASTCONV_", "PYTHONSAFE"))}
        environment = clean | {"PYTHONPATH": path.strip(os.pathsep)} | environment
        options = dict(cwd=tmp_path, env=environment, input=given, capture_output=True, text=True, timeout=120)
        return subprocess.run(command, check=False, **options)

    return run


PROGRAM = """
import atexit, os, sys, threading
import scipy.signal
def show(when):
    import __main__
    spec = __spec__ and (__spec__.name, __spec__.origin, __spec__.parent)
    gone = () if when == "now" else ("__file__", "__cached__") # CPython 3.13 forgets them when a script has ended
    names = sorted(n for n in globals() if n.startswith("__") and n not in ("__annotations__", *gone))
    file = "gone" if gone else globals().get("__file__")
    print(when, __name__, file, __package__, spec, type(__loader__).__name__, names)
    print(sys.argv, sys.path[0], vars(__main__) is globals(), sys.modules["__main__"] is __main__, __builtins__)
    print(sys._getframe().f_code.co_filename)
show("now")
atexit.register(show, "at exit")
threading.Timer(0.2, show, ["later"]).start()
from beside import here
print(here)
print("patched:", scipy.signal.convolve.__module__, file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def programs(tmp_path):
    """The same program in every form that python runs."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "pkg").mkdir()
    for file in ("script.py", "dir/__main__.py", "pkg/__main__.py", "pkg/sub.py"):
        (tmp_path / file).write_text(PROGRAM)
    (tmp_path / "pkg" / "__init__.py").write_text("")
    for folder in (".", "dir"):
        (tmp_path / folder / "beside.py").write_text(f"here = {folder!r}")
    (tmp_path / "link.py").symlink_to("dir/__main__.py")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.write(tmp_path / "dir" / "__main__.py", "__main__.py")
        archive.write(tmp_path / "dir" / "beside.py", "beside.py")


FORMS = {
    "script": ["script.py"],
    "below": ["dir/__main__.py"],
    "absolute": ["ABSOLUTE"],
    "link": ["link.py"],
    "folder": ["dir"],
    "zip": ["app.zip"],
    "module": ["-m", "script"],
    "package": ["-m", "pkg"],
    "submodule": ["-m", "pkg.sub"],
    "stdin": ["-"],
}


@pytest.mark.parametrize("form", ["zip", *only_deep(*sorted(FORMS.keys() - {"zip"}))])
def test_programs_see_what_python_shows(run, programs, tmp_path, form):
    form = [str(tmp_path / "script.py") if part == "ABSOLUTE" else part for part in FORMS[form]]
    plain, ours = (run([*form, "3", "--x", "-m"], patched, PROGRAM) for patched in (False, True))
    assert ours.stdout == plain.stdout
    assert ours.returncode == plain.returncode == 3, ours.stderr
    assert plain.stderr.endswith("patched: scipy.signal._signaltools\n")
    assert ours.stderr.endswith("patched: fastconv.signal\n")


@pytest.mark.parametrize(
    "form", [["-m", "pkg.no"], *only_deep(["no.py"], ["empty"], ["-m", "no_module"], ["-m", "math"])]
)
def test_no_program(run, programs, tmp_path, form):
    (tmp_path / "empty").mkdir()
    ended = run(form, True)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"fastconv: error: cannot run {form[-1]}: ") and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("form", [["program.py"], *only_deep(["-m", "program"])])
@pytest.mark.parametrize("error", ["SyntaxError", *only_deep("ModuleNotFoundError")])
def test_errors_of_programs_are_theirs(run, tmp_path, form, error):
    code = {"SyntaxError": "def", "ModuleNotFoundError": "import no_such_module"}[error]
    (tmp_path / "program.py").write_text(code)
    ended = run(form, True)
    assert ended.returncode == 1 and error in ended.stderr and "fastconv: error" not in ended.stderr


WORKERS = """
import concurrent.futures, multiprocessing, sys
import numpy as np
import scipy.ndimage
from scipy.signal import convolve

def whose(_):
    return convolve.__module__, scipy.ndimage.sobel.__module__, __name__.strip("_")[-4:]

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(1) as pool:
        print(pool.map(whose, [0]))
        print(pool.starmap(convolve, [(np.ones(3), np.ones(2))])[0])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        print(list(executor.map(whose, [0])), executor.submit(scipy.ndimage.sobel, np.arange(3.0)).result())
    process = context.Process(target=scipy.ndimage.correlate1d, args=(np.ones(3), np.ones(2)))
    process.start()
    process.join()
    print(process.exitcode)
"""


@pytest.mark.deep
def test_workers_are_patched(run, tmp_path):
    (tmp_path / "program.py").write_text(
        "import multiprocessing, scipy.signal\n"
        "def whose(_): return scipy.signal.convolve.__module__\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(*pool.map(whose, [0]))\n"
    )
    ended = run(["program.py"], True)
    assert (ended.returncode, ended.stdout) == (0, "fastconv.signal\n"), ended.stderr


@pytest.mark.deep
@pytest.mark.parametrize(
    ("form", "method"),
    [(["program.py"], method) for method in multiprocessing.get_all_start_methods()] + [(["-m", "program"], "spawn")],
)
def test_workers_are_patched_as_the_program_is(run, tmp_path, method, form):
    """They could not be sent a replaced function, and ran SciPy's."""
    (tmp_path / "program.py").write_text(WORKERS)
    plain, ours = (run([*form, method], patched) for patched in (False, True))
    assert ours.returncode == plain.returncode == 0, ours.stderr
    expected = plain.stdout.replace("scipy.signal._signaltools", "fastconv.signal")
    assert ours.stdout == expected.replace("scipy.ndimage._filters", "fastconv.ndimage") != plain.stdout
    switched_off = run([*form, method], True, FASTCONV_PATCH="0")
    assert switched_off.stdout == plain.stdout, switched_off.stderr


@pytest.mark.deep
def test_workers_follow_unpatch(run, tmp_path):
    (tmp_path / "program.py").write_text(
        "import multiprocessing, scipy.signal, fastconv\n"
        "def whose(_): return scipy.signal.convolve.__module__, scipy.signal.correlate2d.__module__\n"
        "def ask():\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(*pool.map(whose, [0])[0])\n"
        "if __name__ == '__main__':\n"
        "    fastconv.patch('scipy.signal'); ask(); fastconv.unpatch(); ask()\n"
        "    with fastconv.patched('scipy.signal'): ask()\n"
        "    ask()\n"
    )
    ended = run(["program.py"], False)
    ours, theirs = "fastconv.signal fastconv.signal", "scipy.signal._signaltools scipy.signal._signaltools"
    assert ended.stdout.splitlines() == [ours, theirs, ours, theirs], ended.stderr


def test_nothing_is_left_in_multiprocessing():
    before = spawn.get_preparation_data
    fastconv.patch("scipy.signal")
    with fastconv.patched("scipy.ndimage"):
        pass
    assert spawn.get_preparation_data is not before
    fastconv.unpatch()
    assert spawn.get_preparation_data is before


@pytest.mark.parametrize(("module", "name"), REPLACED)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_functions_pickle_patched_or_not(module, name, protocol):
    original = getattr(sys.modules[module], name)
    ours = getattr(getattr(fastconv, module.partition(".")[2]), name)
    with fastconv.patched(module):
        replaced = getattr(sys.modules[module], name)
        for function in (replaced, ours):
            assert pickle.loads(pickle.dumps(function, protocol)) is function
        if hasattr(original, "__code__"):  # of a name that a program took before
            assert pickle.loads(pickle.dumps(original, protocol)) is original
        sent = pickle.dumps(replaced, protocol)
    assert getattr(sys.modules[module], name) is original
    assert pickle.loads(pickle.dumps(original, protocol)) is original
    assert pickle.loads(sent) is replaced  # computes still


def test_cloudpickle():
    cloudpickle = pytest.importorskip("cloudpickle")
    with fastconv.patched("scipy.signal"):
        convolve = scipy.signal.convolve
        assert pickle.loads(cloudpickle.dumps(convolve)) is convolve
        both = pickle.loads(cloudpickle.dumps(lambda x: convolve(x, x)))
    assert both(np.ones(2)).tolist() == [1, 2, 1]


def test_a_process_that_is_not_patched_can_be_sent_one(python):
    with fastconv.patched("scipy.signal"):
        sent = pickle.dumps(scipy.signal.convolve)
    ended = python(
        f"import pickle, numpy as np; f = pickle.loads({sent!r}); print(f.__module__, f(np.ones(2), np.ones(2)))\n"
        "print(f(np.ma.ones(2), np.ones(2)))\n"
        "import scipy.signal; print(scipy.signal.convolve.__module__)"
    )
    assert ended.stdout.splitlines() == ["fastconv.signal [1. 2. 1.]", "[1. 2. 1.]", "scipy.signal._signaltools"]


@pytest.mark.parametrize("bad", [3, None, "", ".signal", b"scipy.signal", scipy.signal, ["scipy.signal"]])
def test_modules_are_named(bad):
    for function in (fastconv.patch, lambda *names: fastconv.patched(*names).__enter__()):
        with pytest.raises(TypeError, match=r"^modules must be names of modules, as 'scipy.signal' is; got "):
            function("scipy.ndimage", bad)
    assert scipy.ndimage.sobel.__module__.startswith("scipy")
