# SPDX-License-Identifier: BSD-3-Clause
"""fastconv in the place of SciPy and scikit-image: reversible, complete, counted; SciPy's own tests run with it."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import fastconv


@pytest.fixture(autouse=True)
def originals():
    """Every test ends as it began."""
    modules = ("scipy.signal", "scipy.signal._signaltools", "scipy.ndimage", "scipy.ndimage._filters")
    before = {(m, name): value for m in modules for name, value in vars(sys.modules[m]).items() if callable(value)}
    yield
    fastconv.unpatch()
    for (module, name), value in before.items():
        assert vars(sys.modules[module])[name] is value, (module, name)


def test_replaced_where_other_functions_find_them():
    gaussian_filter = scipy.ndimage.gaussian_filter
    with fastconv.patched("scipy.ndimage", "scipy.signal"):
        assert scipy.ndimage.gaussian_filter.__module__ == "fastconv.ndimage"
        assert scipy.ndimage._filters.correlate1d.__module__ == "fastconv.ndimage"
        assert scipy.signal.convolve2d.__module__ == "fastconv.signal"
        assert scipy.signal._signaltools.fftconvolve.__module__ == "fastconv.signal"
        # the original itself calls the replacement
        assert gaussian_filter(np.ones((5, 5)), 1).shape == (5, 5)
    assert scipy.ndimage.gaussian_filter is gaussian_filter


def test_idempotent_and_reversible():
    original = scipy.signal.convolve
    assert fastconv.patch("scipy.signal") > 9
    replaced = scipy.signal.convolve
    assert fastconv.patch("scipy.signal") == 0
    assert scipy.signal.convolve is replaced is not original
    with fastconv.patched("scipy.signal", "scipy.ndimage") as count:
        assert count > 0
    assert scipy.signal.convolve is replaced  # as it was before
    assert scipy.ndimage.sobel.__module__.startswith("scipy")
    fastconv.unpatch()
    fastconv.unpatch()
    assert scipy.signal.convolve is original


def test_what_was_put_there_since_stays():
    fastconv.patch("scipy.signal")
    replaced = scipy.signal.convolve

    def mine():
        """Another program's."""

    original = replaced.__fastconv__
    scipy.signal.convolve = mine
    fastconv.unpatch()
    assert scipy.signal.convolve is mine
    scipy.signal.convolve = original


def test_a_module_with_globals_of_its_own(monkeypatch):
    module = type(sys)("program")
    module.convolve = scipy.signal.convolve
    module.other = len
    monkeypatch.setitem(sys.modules, "program", module)
    with fastconv.patched("scipy.signal", "program"):
        assert module.convolve.__module__ == "fastconv.signal"
        assert module.other is len
    assert module.convolve is scipy.signal.convolve


def test_unknown_modules_change_nothing():
    with pytest.raises(ImportError):
        fastconv.patch("scipy.signal", "scipy.no_such_module")
    assert scipy.signal.convolve.__module__.startswith("scipy")


def test_switched_off(monkeypatch):
    monkeypatch.setenv("FASTCONV_PATCH", "0")
    assert fastconv.patch() == 0
    assert scipy.signal.convolve.__module__.startswith("scipy")


def test_not_on_import(python):
    ended = python("import scipy.signal, fastconv; print(scipy.signal.convolve.__module__)")
    assert ended.stdout.startswith("scipy."), ended.stderr


class Foreign:
    """An array that wants results of its own kind."""

    def __array_namespace__(self):
        return np

    def __array__(self, dtype=None, copy=None):
        return np.ones(3, dtype)


def test_fallbacks_are_counted():
    before = fastconv.fallbacks()
    with fastconv.patched("scipy.signal", "scipy.ndimage"):
        x = np.ma.masked_array([1.0, 2, 3], [False, True, False])
        scipy.signal.convolve(x, np.ones(2))
        scipy.ndimage.correlate1d(np.ones(3), weights=np.ma.ones(2))
        scipy.ndimage.correlate1d(np.ones(3), np.ones(2))
        scipy.ndimage.sobel(Foreign())
    new = {name: n - before.get(name, 0) for name, n in fastconv.fallbacks().items()}
    assert {name.split(".")[-1]: n for name, n in new.items() if n} == {"convolve": 1, "correlate1d": 1, "sobel": 1}


def test_command(python, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np\n"
        "from scipy.signal import convolve\n"
        "from scipy import ndimage\n"
        "print(__name__, sys.argv[1:], convolve.__module__, ndimage.sobel.__module__)\n"
        "convolve(np.ma.ones(3), np.ones(2))\n"
    )
    arguments = ["run", "--report", str(script), "-x", "y"]
    command = f"import sys; from fastconv.__main__ import main; sys.exit(main({arguments}))"
    ended = python(command)
    assert ended.stdout.strip() == "__main__ ['-x', 'y'] fastconv.signal fastconv.ndimage", ended.stderr
    assert "convolve 1x" in ended.stderr
    ended = python(command, FASTCONV_PATCH="0")
    assert "scipy.signal" in ended.stdout
    assert "0 globals replaced" in ended.stderr


SCIPY_TESTS = """
import os, sys, pytest, scipy.signal, scipy.ndimage, scipy._lib._array_api as api, fastconv
originals = {(m, n): getattr(m, n) for m in (scipy.signal, scipy.ndimage) for n in
             getattr(fastconv, m.__name__.split(".")[-1]).__all__}
assert fastconv.patch("scipy.signal", "scipy.ndimage") > 40
table = getattr(api, "xp_capabilities_table", {})
for (module, name), original in originals.items():  # what SciPy's tests look up by function
    if original in table:
        table[getattr(module, name)] = table[original]
os.chdir(DIRECTORY)  # out of reach of this project's configuration
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-W", "ignore", "-rfE", "--pyargs", *sys.argv[1:]]))
"""


@pytest.mark.deep
@pytest.mark.parametrize(
    ("module", "chosen"),
    [
        (
            "scipy.signal.tests.test_signaltools",
            "(Convolve or Correlate or convolve or correlat or choose_conv) and not complex_manylens",
        ),
        ("scipy.signal.tests.test_bsplines", "sepfir or Sepfir"),
        ("scipy.ndimage.tests.test_filters", ""),
    ],
)
def test_scipys_own_tests(python, tmp_path, module, chosen):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    arguments = [module, *(["-k", chosen] if chosen else [])]
    code = SCIPY_TESTS.replace("DIRECTORY", repr(str(tmp_path))).replace("*sys.argv[1:]", repr(arguments)[1:-1])
    ended = python(code, timeout=600)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout


def test_scikit_image(rng):
    """Filters and template matching of scikit-image, which call scipy.ndimage and scipy.signal."""
    filters = pytest.importorskip("skimage.filters")
    feature = pytest.importorskip("skimage.feature")
    x = rng.random((40, 50))
    calls = (
        lambda: filters.sobel(x),
        lambda: filters.gaussian(x, 2),
        lambda: filters.gaussian((x * 255).astype("u1"), 1.5),
        lambda: filters.unsharp_mask(x),
        lambda: filters.laplace(x),
        lambda: filters.gabor(x, 0.3)[0],
        lambda: feature.canny(x).astype(float),
        lambda: feature.corner_harris(x),
        lambda: feature.match_template(x, x[10:20, 10:22]),
    )
    expected = [call() for call in calls]
    before = fastconv.fallbacks()
    original = feature.match_template
    with fastconv.patched("scipy.signal", "scipy.ndimage", "skimage.feature"):
        assert feature.match_template.__module__ == "fastconv.feature"
        got = [call() for call in calls]
    assert feature.match_template is original
    assert fastconv.fallbacks() == before
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
