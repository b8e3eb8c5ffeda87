# SPDX-License-Identifier: BSD-3-Clause
"""fastconv.ndimage beside scipy.ndimage: bits, dtypes, exceptions, and where they differ on purpose."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from scipy import ndimage as original

import fastconv
from fastconv import costs, ndimage, passes

DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "F", "D", ">f4", ">i2")
MODES = ("reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror")


def assert_alike(name, x, *args, rounding=0.0, **how):
    """Both packages return the same bits (or within `rounding`), or raise the same type of exception."""
    output = how.pop("output", None)
    results = []
    for package in (original, ndimage):
        given = output.copy() if isinstance(output, np.ndarray) else output
        more = {} if output is None else {"output": given}
        results.append(cases.outcome(getattr(package, name), x, *args, **how, **more))
        if isinstance(given, np.ndarray) and not isinstance(results[-1], Exception):
            assert results[-1] is given
    expected, got = results
    call = f"{name}({x.dtype}{list(x.shape)}, strides {x.strides}, {args}, {how}, output={output!r})"
    if isinstance(expected, Exception) or isinstance(got, Exception):
        assert isinstance(got, Exception) and isinstance(got, type(expected)), f"{call}: {got!r}, expected {expected!r}"
        return
    assert (type(got), got.shape, got.dtype) == (np.ndarray, expected.shape, expected.dtype), call
    if got.dtype.kind == "b":
        expected = expected.view(np.uint8) != 0  # SciPy stores sums of bools as they are
    if rounding and got.dtype.kind in "fc":
        np.testing.assert_allclose(got, expected, rtol=rounding, atol=rounding * 100, err_msg=call)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=call)


def some(rng, ndim, longest=9):
    """A small array of any type, any layout."""
    array = cases.of_any_type(rng, rng.integers(1, longest, ndim), DTYPES)
    array = array[tuple(slice(None, None, int(rng.choice([-1, 1, 1, 2]))) for _ in range(ndim))]
    return np.asfortranarray(array) if rng.random() < 0.2 else array


def some_how(rng, x, per_axis=False):
    """Mode, cval and output of any kind."""
    modes = [str(rng.choice(MODES)) for _ in range(x.ndim)]
    how = {"mode": modes if per_axis and rng.random() < 0.3 else modes[0]}
    if rng.random() < 0.5:
        how["cval"] = float(rng.choice([0, 1.5, -3]))
    kind = rng.random()
    if kind < 0.3:
        how["output"] = np.dtype(str(rng.choice(["u1", "i2", "i4", "i8", "f4", "f8", "u8", "u4"])))
    elif kind < 0.5:
        how["output"] = np.full(x.shape, 7, x.dtype)
    return how


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", ["correlate1d", "convolve1d"])
def test_one_axis(rng, name):
    for _ in range(200):
        x, taps = some(rng, int(rng.integers(1, 5)), int(rng.choice([9, 9, 40]))), int(rng.integers(1, 9))
        if x.size > 20000:
            continue
        w, kind = rng.standard_normal(taps), rng.random()
        w = w + w[::-1] if kind < 0.3 else w - w[::-1] if kind < 0.5 else np.rint(w * 3) if kind < 0.6 else w
        w = w * 1j + 1 if kind > 0.95 else w
        how = some_how(rng, x)
        how["axis"] = int(rng.integers(-x.ndim, x.ndim))
        if rng.random() < 0.4:
            how["origin"] = int(rng.integers(-(taps // 2), (taps - 1) // 2 + 1))
        assert_alike(name, x, w, **how)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(
    "name", ["gaussian_filter", "gaussian_filter1d", "gaussian_laplace", "gaussian_gradient_magnitude"]
)
def test_gaussians(rng, name):
    for _ in range(100):
        x = some(rng, int(rng.integers(1, 4)), 14)
        how = some_how(rng, x, per_axis=name != "gaussian_filter1d")
        if name.startswith("gaussian_filter"):
            how["order"] = int(rng.integers(0, 4))
            if rng.random() < 0.3:
                how["radius"] = 3
        if name == "gaussian_filter" and rng.random() < 0.3 and isinstance(how["mode"], str):
            how["axes"] = (0,)
        if name == "gaussian_filter1d":
            how["axis"] = int(rng.integers(-x.ndim, x.ndim))
        assert_alike(name, x, float(rng.choice([0.5, 1, 2.5])), **how)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", ["sobel", "prewitt", "laplace"])
def test_differences(rng, name):
    for _ in range(100):
        x = some(rng, int(rng.integers(1, 5)))
        axis = () if name == "laplace" else (int(rng.integers(-x.ndim, x.ndim)),)
        assert_alike(name, x, *axis, **some_how(rng, x, per_axis=True))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_magnitudes(rng, dtype):
    x = (rng.random((50, 70)) * 99).astype(dtype)
    for sigma in (1, 2.5):
        for output in (None, "f4", "f8"):
            assert_alike("gaussian_gradient_magnitude", x, sigma, output=output)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", ["uniform_filter", "uniform_filter1d"])
def test_means(rng, name):
    """Integers to the bit; floats up to the rounding of SciPy's running sum."""
    for _ in range(150):
        x = some(rng, int(rng.integers(1, 4)), 14)
        how = some_how(rng, x, per_axis=name == "uniform_filter")
        longest = 60 if rng.random() < 0.3 else 9
        size = (
            [int(n) for n in rng.integers(1, longest, x.ndim)]
            if name == "uniform_filter"
            else int(rng.integers(1, longest))
        )
        if name == "uniform_filter1d":
            how["axis"] = int(rng.integers(-x.ndim, x.ndim))
        output = how.get("output", x)
        wide = output if isinstance(output, np.dtype) else output.dtype
        if wide.kind in "iu" and (x.dtype.kind in "fc" or wide == np.uint64):
            continue  # cut off on either side of a rounding error; or beyond what doubles hold
        assert_alike(name, x, size, rounding=1e-5 if "f" in wide.char.lower() else 1e-11, **how)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_several_axes(rng, name):
    for _ in range(200):
        x = some(rng, int(rng.integers(1, 5)))
        axes = None
        shape = rng.integers(1, 4 if x.ndim > 2 else 6, x.ndim)
        how = some_how(rng, x)
        if rng.random() < 0.3:
            axes = tuple(int(a) for a in rng.choice(x.ndim, rng.integers(1, x.ndim + 1), replace=False))
            how["axes"], shape = axes, shape[: len(axes)]
        w = rng.standard_normal(shape)
        w = np.rint(w) if rng.random() < 0.3 else w * 1j + 1 if rng.random() < 0.1 else w
        if rng.random() < 0.4:
            how["origin"] = [int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) for n in shape]
        assert_alike(name, x, w, **how)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "i4"])
def test_pictures_of_many_tiles(rng, dtype):
    """Threads and tile borders do not change a bit."""
    x = (rng.random((230, 700)) * 200).astype(dtype)
    volume = (rng.random((20, 50, 90)) * 200).astype(dtype)
    for threads in (1, 3):
        before = fastconv.get_num_threads()
        fastconv.set_num_threads(threads)
        try:
            for a in (x, x.T, volume):
                for mode in ("reflect", "constant"):
                    assert_alike("gaussian_filter", a, 3, mode=mode, cval=7.0)
                    assert_alike("sobel", a, mode=mode, cval=7.0)
                    assert_alike("sobel", a, 0, mode=mode, cval=7.0)
                    assert_alike(
                        "uniform_filter", a, 31, mode=mode, cval=7.0, rounding=1e-5 if dtype == "f4" else 1e-11
                    )
                    assert_alike(
                        "uniform_filter", a, (3,) * a.ndim, mode=mode, rounding=1e-5 if dtype == "f4" else 1e-11
                    )
            assert_alike("correlate", x, rng.standard_normal((9, 8)), rounding=1e-5 if dtype == "f4" else 1e-10)
            assert_alike("correlate", volume, rng.standard_normal((3, 2, 3)))
        finally:
            fastconv.set_num_threads(before)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("shape", [(40, 31, 3), (50, 4), (9, 60, 1), (6, 5, 33, 2), (300, 20), (3, 40, 31)])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_short_last_axes(rng, monkeypatch, dtype, shape):
    """Their lines lie across columns, or they are pixels."""
    x, rank, w = cases.integers(rng, shape, dtype), len(shape), np.array([0.5, -1, 3, 0.25])
    sharp = rng.standard_normal((3,) * (rank - 1) + (1,))
    for band in (costs.PASSES_BAND, 300):
        monkeypatch.setattr(costs, "PASSES_BAND", band)
        for mode in MODES[:5]:
            for y in (x, x[::-1], x[..., ::-1], np.asfortranarray(x)):
                assert_alike("gaussian_filter", y, 1.2, mode=mode, cval=2)
                assert_alike("gaussian_filter", y, 1.2, mode=mode, axes=(0, rank - 2) if rank > 2 else 0)
                assert_alike("uniform_filter", y, 4, mode=mode, rounding=1e-5)
                assert_alike("correlate1d", y, w, 0, mode=mode, cval=2)
                assert_alike("correlate1d", y, w, -1, mode=mode, cval=2)
                assert_alike("correlate", y, sharp, mode=mode)


@pytest.mark.usefixtures("isa", "tiny_chunks")
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_the_same_bits_for_any_number_of_threads(rng, dtype):
    x = (rng.random((150, 260)) * 200 - 100 * (dtype != "u1")).astype(dtype)
    calls = (
        lambda: ndimage.uniform_filter(x, 9),
        lambda: ndimage.uniform_filter(x, (31, 20)),
        lambda: ndimage.uniform_filter(x, 75),
        lambda: ndimage.gaussian_filter(x, 4),
        lambda: ndimage.gaussian_gradient_magnitude(x.astype("f8"), 2),
        lambda: ndimage.correlate(x, np.ones((11, 12)) / 7),
        lambda: fastconv.signal.correlate2d(x, x[:9, :8], "same", "symm"),
    )
    before, results = fastconv.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            fastconv.set_num_threads(threads)
            results.append([call() for call in calls])
    finally:
        fastconv.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("taps", [(9, 9), (31, 31), (3, 3, 3), (5, 5, 5)])
def test_float32_is_no_less_accurate(rng, taps):
    """Sums are made in float64: the error is that of the one rounding to float32 at the end, as SciPy's."""
    x = rng.random((60,) * len(taps)).astype("f4")
    w = rng.standard_normal(taps)
    exact = original.correlate(x.astype(np.longdouble).astype(float), w)
    errors = [np.abs(package.correlate(x, w).astype(float) - exact).max() for package in (original, ndimage)]
    assert errors[1] <= errors[0] * (1 + 1e-6) + 1e-12 * np.abs(exact).max()


def test_centres_of_even_kernels():
    x, w = np.arange(12.0).reshape(3, 4), np.ones((2, 2))
    assert_alike("correlate", x, w, mode="constant")
    assert_alike("convolve", x, w, mode="constant")
    assert ndimage.correlate(x, w, mode="constant")[0].tolist() == [0, 1, 3, 5]
    assert ndimage.convolve(x, w, mode="constant")[0].tolist() == [10, 14, 18, 10]
    same = fastconv.signal.correlate2d(x, w, "same")
    np.testing.assert_array_equal(ndimage.correlate(x, w, mode="constant", origin=-1), same)


def test_the_two_meanings_of_reflect():
    x, w = np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 0, 0, 0])  # what lies two to the left
    beyond = {"reflect": [2, 1], "grid-mirror": [2, 1], "mirror": [3, 2], "nearest": [1, 1], "wrap": [3, 4]}
    for mode, values in beyond.items():
        assert_alike("correlate1d", x, w, mode=mode)
        assert ndimage.correlate1d(x, w, mode=mode)[:2].tolist() == values
    same = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
    for mode, boundary in same.items():
        expected = fastconv.corr1d(x, w, "same", boundary)
        np.testing.assert_array_equal(ndimage.correlate1d(x, w, mode=mode), expected)
    for mode in ("grid-wrap", "grid-constant", np.str_("nearest")):
        assert_alike("correlate1d", x, w, mode=mode)


def test_casts():
    """Cut off towards zero, wrapped; what no integer holds becomes what x86-64 makes of it."""
    ones = [1.0, 1.0, 1.0]
    assert ndimage.correlate1d(np.full(5, 200, "u1"), ones)[0] == 88
    for value in (200.7, -200.7, 3e9, -3e9, 1e20, -1e20, 1.8e19, np.nan, np.inf):
        for dtype in ("i4", "i8", "u4", "u8", "i1", "u1", "i2", "u2"):
            if dtype in ("i1", "u1", "i2", "u2") and abs(value) > 2**31:
                continue  # a C compiler may do anything
            assert_alike("correlate1d", np.full(5, value), [1.0], output=np.dtype(dtype))
            if abs(value) < 2**63:
                assert_alike("correlate", np.full((3, 3), value), [[1.0]], output=np.dtype(dtype))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_sums_that_no_integer_holds(dtype):
    powers = [2.0**n for n in (31, 32, 40, 62, 63, 64, 65, 1000)]
    sums = np.array([s * f for s in powers for f in (1, 1.5, -1, -1.01, -1.5, -1.9)] + [np.nan, np.inf, -np.inf, -0.5])
    for name, weights in (("correlate1d", [1.0]), ("correlate", [1.0]), ("convolve", [1.0]), ("gaussian_filter", 0)):
        assert_alike(name, sums, weights, output=np.dtype(dtype))
    four = sums.reshape(1, -1, 2, 1)
    assert_alike("correlate", four, np.ones((1, 1, 1, 1)), output=np.dtype(dtype))
    for output in (dtype, f">{dtype}"):
        assert_alike("correlate", four, np.ones((2, 2, 2, 2)), output=np.dtype(output), mode="constant")
        assert_alike("correlate", four[0], np.ones((2, 2, 2)), output=np.zeros(four[0].shape, output))


def test_uint64_sums_below_zero_keep_their_magnitude(rng):
    assert int(ndimage.correlate(np.array([[2**63]], np.uint64), [[-1.5]])[0, 0]) == 2**62
    x = rng.integers(0, 2**64, (5, 6, 3, 2), dtype=np.uint64)
    for part in (x, x[0], x[0, 0], x[0, 0, 0]):
        weights = rng.standard_normal((2,) * part.ndim)
        for name in ("correlate", "convolve"):
            assert_alike(name, part, weights)
            assert_alike(name, part, weights, output=part.copy())


def test_bool_results_along_four_axes(rng):
    for x in (rng.random((3, 4, 3, 4)) < 0.5, rng.integers(0, 256, (3, 4, 3, 4)), rng.standard_normal((3, 4, 3, 4))):
        for weights in (np.full((2, 2, 2, 2), 16.0), rng.standard_normal((3, 2, 3, 2)), np.full((2, 2, 2, 2), 0.3)):
            assert_alike("correlate", x, weights, output=np.dtype("?"))
            assert_alike("convolve", x, weights, output=np.zeros(x.shape, "?"))


@pytest.mark.parametrize("number", [float, np.float64, np.float32, np.float16])
def test_the_square_of_sigma_is_rounded_as_sigma_is(rng, number):
    x = rng.standard_normal((30, 40))
    for sigma in map(number, (1.5, 0.7, 3.3)):
        for order in (0, 1, 3):
            assert_alike("gaussian_filter1d", x, sigma, order=order)
    assert_alike("gaussian_filter", x, np.array([1.1, 2.3], number))
    assert_alike("gaussian_gradient_magnitude", x, number(1.1))


def test_flat_areas_keep_their_value():
    """Weights that add up to a little less than 1 make 254 of 255 wherever the order of sums is not SciPy's."""
    x = np.full((40, 50), 255, np.uint8)
    for sigma in (0.5, 0.7, 1, 1.3, 2, 3.3, 5):
        assert_alike("gaussian_filter", x, sigma)
    for size in (3, 5, 7, 9, 11, 31):
        assert_alike("uniform_filter", x, size)
    assert_alike("correlate", x, np.full((3, 3), 1 / 9))
    assert_alike("correlate", x, np.full((7, 7), 1 / 49))


@pytest.mark.usefixtures("isa")
def test_means_of_subnormal_numbers(rng):
    """Whose sums are exact: each mean is their quotient, rounded once."""
    x = rng.integers(-50, 50, (7, 83)) * 5e-324
    for size in (2, 6, 10):
        assert_alike("uniform_filter1d", x, size)
        assert_alike("uniform_filter", x, size, mode="constant")


def test_tiny_weights_count():
    """SciPy drops them from kernels of several dimensions, and takes them for symmetric in those of one."""
    x = np.arange(5.0)
    w = np.array([1e-17, 2e-17, 3e-17])
    assert original.correlate(x, w).tolist() == [0, 0, 0, 0, 0]
    np.testing.assert_allclose(ndimage.correlate(x, w), ndimage.correlate(x, w * 1e17) * 1e-17, rtol=1e-14)
    np.testing.assert_allclose(ndimage.correlate1d(x, w), ndimage.correlate1d(x, w * 1e17) * 1e-17, rtol=1e-14)


def test_zero_weights_hide_nan_in_several_dimensions_only():
    x = np.array([[1.0, np.nan, 3.0]])
    assert_alike("correlate", x, [[1.0, 0.0, 1.0]])
    assert_alike("correlate", x, [[0.0, 0.0, 0.0]])
    assert_alike("correlate", x, [[0.0, 1.0, 1.0]])
    assert_alike("correlate1d", x, [1.0, 0.0, 1.0])
    assert np.isfinite(ndimage.correlate(x, [[0.0, 1.0, 1.0]])[0, 2])
    assert np.isfinite(ndimage.correlate(x, [[1.0, 0.0, 1.0]])[0, 1])


def test_a_nan_stays_in_its_window():
    x = np.zeros(100)
    x[50] = np.nan
    assert np.isnan(original.uniform_filter1d(x, 5)).sum() > 40
    for size in (5, 31):
        assert np.isnan(ndimage.uniform_filter1d(x, size)).sum() == size


def test_in_place(rng):
    for dtype in ("u1", "f4", "f8"):
        x = (rng.random((30, 40)) * 99).astype(dtype)
        for call in (
            lambda package, a: package.gaussian_filter(a, 2, output=a),
            lambda package, a: package.correlate(a, np.ones((3, 3)), output=a),
            lambda package, a: package.sobel(a, output=a),
            lambda package, a: (
                package.laplace(a, output=a) if package is ndimage else package.laplace(a.copy(), output=a)
            ),
            lambda package, a: package.uniform_filter(a, 3, output=a),
        ):
            expected, got = x.copy(), x.copy()
            call(original, expected)
            assert call(ndimage, got) is got
            np.testing.assert_allclose(got, expected, rtol=1e-6)
    z = x + 1j * x  # SciPy reads what it has written
    expected = ndimage.correlate1d(z, [1j, 2, 1])
    np.testing.assert_array_equal(ndimage.correlate1d(z, [1j, 2, 1], output=z), expected)


X = np.arange(12.0).reshape(3, 4)
LOCKED = np.zeros((3, 4))
LOCKED.flags.writeable = False
BAD = {
    "mode": ("correlate1d", X, [1, 2, 3], {"mode": "some"}),
    "modes": ("correlate1d", X, [1, 2, 3], {"mode": ["reflect", "wrap"]}),
    "no mode": ("correlate1d", X, [1, 2, 3], {"mode": None}),
    "axis": ("correlate1d", X, [1, 2, 3], {"axis": 5}),
    "axis of float": ("correlate1d", X, [1, 2, 3], {"axis": 1.0}),
    "origin": ("correlate1d", X, [1, 2, 3], {"origin": 5}),
    "fraction": ("correlate1d", X, [1, 2, 3], {"origin": 1.5}),
    "cval": ("correlate1d", X, [1, 2, 3], {"cval": 1j}),
    "no weights": ("correlate1d", X, [], {}),
    "flat weights": ("correlate1d", X, [[1, 2]], {}),
    "strings": ("correlate1d", X, ["a"], {}),
    "output shape": ("correlate1d", X, [1, 2, 3], {"output": np.zeros(3)}),
    "output bool": ("correlate1d", X, [1, 2, 3], {"output": "?"}),
    "output name": ("correlate1d", X, [1, 2, 3], {"output": "foo"}),
    "read-only": ("correlate1d", X, [1, 2, 3], {"output": LOCKED}),
    "half": ("correlate1d", X.astype("f2"), [1, 2, 3], {}),
    "long double": ("correlate", X.astype("g"), np.ones((2, 2)), {}),
    "objects": ("correlate", X.astype(object), np.ones((2, 2)), {}),
    "output half": ("correlate1d", X, [1, 2, 3], {"output": np.float16}),
    "output complex": ("correlate1d", X, [1, 2, 3], {"output": complex}),
    "complex weights": ("correlate1d", X, [1j, 2], {"output": "f4"}),
    "complex cval": ("correlate1d", X, [1j, 2], {"cval": 1j, "mode": "constant"}),
    "0-d": ("correlate1d", np.array(3.0), [1, 2], {}),
    "several modes": ("correlate", X, np.ones((2, 2)), {"mode": ["reflect", "wrap"]}),
    "origins": ("correlate", X, np.ones((2, 2)), {"origin": [1, 0]}),
    "few origins": ("correlate", X, np.ones((2, 2)), {"origin": [1]}),
    "one axis": ("correlate", X, np.ones((2, 2)), {"axes": 0}),
    "far axis": ("correlate", X, np.ones((2, 2)), {"axes": (0, 5)}),
    "same axes": ("correlate", X, np.ones((2, 2)), {"axes": (0, 0)}),
    "axes of letters": ("correlate", X, np.ones((2, 2)), {"axes": "a"}),
    "few dimensions": ("correlate", X, [1, 2, 3], {}),
    "empty weights": ("correlate", X, np.ones((2, 0)), {}),
    "size": ("uniform_filter1d", X, 0, {}),
    "size of float": ("uniform_filter1d", X, 2.5, {}),
    "sizes": ("uniform_filter", X, [3], {}),
    "mean's origin": ("uniform_filter", X, 3, {"origin": 2}),
    "sigmas": ("gaussian_filter", X, [1], {}),
    "sigma": ("gaussian_filter1d", X, -1, {}),
    "sigma 0": ("gaussian_filter1d", X, 0, {}),
    "order": ("gaussian_filter", X, 1, {"order": -1}),
    "order of float": ("gaussian_filter", X, 1, {"order": 1.5}),
    "radius": ("gaussian_filter", X, 1, {"radius": -1}),
    "radius of float": ("gaussian_filter", X, 1, {"radius": 1.5}),
    "sobel's modes": ("sobel", X, 0, {"mode": ["reflect"]}),
    "complex into float": ("gaussian_filter", X + 1j, 1, {"output": float}),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_as_by_scipy(case):
    name, x, argument, how = BAD[case]
    assert isinstance(cases.outcome(getattr(ndimage, name), x, argument, **how), Exception)
    assert isinstance(cases.outcome(getattr(original, name), x, argument, **how), Exception)
    assert_alike(name, x, argument, **how)


def test_masked_arrays_are_refused_with_advice():
    with pytest.raises(TypeError, match="filled"):
        ndimage.gaussian_filter(np.ma.ones((3, 3)), 1)


def test_edge_sizes():
    for shape in ((), (0,), (0, 3), (1,), (1, 1), (1, 5)):
        x = np.ones(shape)
        for name, argument in (("gaussian_filter", 1), ("uniform_filter", 3), ("correlate", np.ones((3,) * x.ndim))):
            for mode in MODES:
                assert_alike(name, x, argument, mode=mode, rounding=1e-15 if name == "uniform_filter" else 0)


def test_kernels_longer_than_the_axis(rng):
    x = rng.standard_normal((3, 4))
    for mode in MODES:
        assert_alike("correlate1d", x, rng.standard_normal(29), mode=mode)
        assert_alike("uniform_filter", x, 41, mode=mode, rounding=1e-11)
        assert_alike("correlate", x, rng.standard_normal((9, 11)), mode=mode)


def test_generic_functions_take_other_derivatives(rng):
    x = rng.standard_normal((6, 7))

    def second(package):
        def derivative(a, axis, output, mode, cval, scale, shift=0):
            return package.correlate1d(a, [scale, -2 * scale, scale], axis, output, mode, cval, shift)

        return derivative

    for name in ("generic_laplace", "generic_gradient_magnitude"):
        for how in ({}, {"axes": (1,)}, {"mode": ["wrap", "mirror"]}, {"output": np.float32}):
            expected, got = (
                getattr(p, name)(x, second(p), extra_arguments=(3.0,), extra_keywords={"shift": 1}, **how)
                for p in (original, ndimage)
            )
            np.testing.assert_array_equal(got, expected)


def test_complex_output_is_promoted_with_a_warning():
    with pytest.warns(UserWarning, match="promoting"):
        assert ndimage.correlate1d(X, [1j, 2], output=float).dtype == np.complex128


def test_short_of_memory_nothing_is_written(rng):
    from fastconv import _core

    x, out = rng.random((50, 60)).astype("f4"), np.full((50, 60), 7, "f4")
    for call in (
        lambda: ndimage.gaussian_filter(x, 1, output=out),
        lambda: ndimage.uniform_filter(x, 9, output=out),
        lambda: ndimage.correlate(x, np.ones((3, 3)), output=out),
        lambda: ndimage.correlate1d(x, np.ones(999), output=out),
    ):
        for allocations in range(2):
            _core.alloc_fail_after(allocations)
            try:
                call()
            except MemoryError:
                assert (out == 7).all()
            else:
                out[:] = 7
            finally:
                _core.alloc_fail_after(-1)
    _core.alloc_fail_after(0)
    try:
        with pytest.raises(MemoryError):
            ndimage.sobel(x)
    finally:
        _core.alloc_fail_after(-1)


@pytest.mark.parametrize("axes", [2, -3, (2,), (0, -3)])
@pytest.mark.parametrize("name", ["gaussian_filter", "laplace", "correlate", "gaussian_gradient_magnitude"])
def test_axes_out_of_range(name, axes):
    """SciPy raises an AxisError, an IndexError or a ValueError: the first is both others."""
    args = {"laplace": (), "correlate": (np.ones(3),)}.get(name, (1,))
    assert_alike(name, np.ones((3, 3)), *args, axes=axes)
    with pytest.raises(np.exceptions.AxisError, match=r"axes=.*: axis (2|-3) is out of range"):
        getattr(ndimage, name)(np.ones((3, 3)), *args, axes=axes)


def test_reference(rng):
    """The same without the compiled extension, and checked against it."""
    with fastconv.checked():
        for name in ("correlate1d", "gaussian_filter", "uniform_filter", "correlate", "sobel"):
            for _ in range(20):
                x = some(rng, 2)
                argument = {"correlate1d": [1.5, 2, -1], "correlate": rng.standard_normal((3, 2)), "sobel": 0}.get(
                    name, 2
                )
                if np.dtype(x.dtype).kind != "c":
                    getattr(ndimage, name)(x, argument, **some_how(rng, x))


@pytest.mark.parametrize("cval", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", ["reflect", "constant"])
def test_reference_beside_a_fill_that_is_not_finite(monkeypatch, rng, mode, cval):
    x = rng.standard_normal((9, 11))
    with fastconv.checked():
        ndimage.gaussian_filter(x, 1, mode=mode, cval=cval)
        ndimage.correlate(x, np.arange(9.0).reshape(3, 3), mode=mode, cval=cval)
        wrong = lambda x, to, *how: lambda x, to: to.fill(0.5)  # noqa: E731
        monkeypatch.setattr(passes, "_lines", wrong)
        with pytest.raises(fastconv.CheckError, match="elements differ"):
            ndimage.gaussian_filter(x, 1, mode=mode, cval=cval)


WITHOUT = """
import sys
sys.modules["fastconv._core"] = None
import warnings; warnings.simplefilter("ignore")
import numpy as np, fastconv.ndimage as ours, scipy.ndimage as theirs, fastconv.signal, scipy.signal
x = (np.random.default_rng(0).random((9, 11)) * 200)
for dtype in ("u1", "i4", "u8", "f4", "f8"):
    a = x.astype(dtype)
    for name, argument in (("gaussian_filter", 1.3), ("uniform_filter", 3), ("correlate", np.eye(3)), ("sobel", 0)):
        got, expected = (getattr(p, name)(a, argument).astype(float) for p in (ours, theirs))
        if dtype != "u8":
            assert np.abs(got - expected).max() <= (1 if dtype in ("u1", "i4") else 1e-4), (name, dtype)
np.testing.assert_allclose(fastconv.signal.correlate2d(x, x[:3, :3]), scipy.signal.correlate2d(x, x[:3, :3]))
print("done")
"""


def test_without_the_extension(python):
    ended = python(WITHOUT)
    assert ended.stdout.strip() == "done", ended.stderr


@pytest.mark.parametrize("dtype", ["uint8", "int16", "bool"])
@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: m.gaussian_filter(x, 1.2, mode="constant", cval=3),
        lambda m, x: m.uniform_filter(x, 5, mode="constant", cval=7),
        lambda m, x: m.correlate1d(x, [1, 2, 1], mode="constant", cval=2),
        lambda m, x: m.sobel(x, mode="constant", cval=1),
    ],
)
def test_a_cval_may_be_an_integer_where_images_of_integers_are_large(rng, run, dtype):
    """An int has no is_integer() before Python 3.12."""
    x = cases.integers(rng, (200, 300), dtype)
    np.testing.assert_array_equal(run(ndimage, x), run(original, x))
