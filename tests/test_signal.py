# SPDX-License-Identifier: BSD-3-Clause
"""fastconv.signal beside scipy.signal: values, dtypes, shapes, exceptions, and where they differ on purpose."""

from __future__ import annotations

import warnings

import cases
import numpy as np
import pytest
from scipy import signal as original

import fastconv
from fastconv import signal

DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g", "F", "D", ">f4", ">i2")
TOLERANCE = {"e": 4e-3, "f": 3e-6, "F": 3e-6}


def assert_alike(name, *args, rounding=0.0, **how):
    """Both packages return the same, or raise the same type of exception."""
    expected, got = (cases.outcome(getattr(package, name), *args, **how) for package in (original, signal))
    call = f"{name}({', '.join(f'{a.dtype}{list(a.shape)}' for a in args[:2])}, {args[2:]}, {how})"
    if isinstance(expected, Exception) or isinstance(got, Exception):
        assert isinstance(got, Exception) and isinstance(got, type(expected)), f"{call}: {got!r}, expected {expected!r}"
        return
    assert (type(got), np.shape(got), got.dtype) == (type(expected), np.shape(expected), expected.dtype), call
    if got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, expected, err_msg=call)
    else:
        tolerance = max(TOLERANCE.get(got.dtype.char, 1e-12), rounding)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * 1e5, err_msg=call)


def some(rng, ndim, dtypes=DTYPES):
    """A small array of any type, any layout."""
    array = cases.of_any_type(rng, rng.integers(1, 7, ndim), dtypes)
    steps = tuple(slice(None, None, int(rng.choice([-1, 1, 2]))) for _ in range(ndim))
    return array[steps] if rng.random() < 0.3 else array


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_on_both_sides(rng, dtype):
    """Every element has its own kernel, and the bits that it has by itself."""
    for n, m in (((40,), (7,)), ((300,), (120,)), ((2000,), (31,)), ((9, 30), (3, 4)), ((5, 6, 7), (2, 3, 2))):
        axes = tuple(range(-len(n), 0))
        for batch_x, batch_k in (((5,), (5,)), ((3, 1), (1, 4)), ((2, 3), (2, 1))):
            x, k = (rng.standard_normal((*b, *size)).astype(dtype) for b, size in ((batch_x, n), (batch_k, m)))
            lost = x.copy()
            lost.flat[1] = np.nan
            flat = np.broadcast_to(k.dtype.type(0.5), k.shape)  # has one element
            for y, v in ((x, k), (x[..., ::-1], k), (x, k[::-1]), (lost, k), (x, flat)):
                for mode in ("full", "valid"):
                    got = signal.fftconvolve(y, v, mode, axes=axes)
                    batch = got.shape[: -len(n)]
                    each = np.broadcast_to(y, (*batch, *n)), np.broadcast_to(v, (*batch, *m))
                    for at in np.ndindex(*batch):
                        cases.assert_same_bits(
                            got[at], signal.fftconvolve(each[0][at], each[1][at], mode), (n, m, mode)
                        )
                    if y is not lost:
                        expected = original.fftconvolve(y, v, mode, axes=axes)
                        np.testing.assert_allclose(got, expected, atol=1e-4 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("dtype", ["f", "D", "h"])
@pytest.mark.parametrize(
    ("n", "m"),
    [((40,), (60,)), ((1500,), (2800,)), ((2000,), (94,)), ((3, 40), (30, 4)), ((5, 6), (7, 8)), ((9,), (4,))],
)
def test_elements_by_themselves(rng, n, m, dtype):
    """The smaller one is the kernel, in a batch as without one; what is not finite makes no difference to its
    neighbours, or to the next call."""
    for batch_x, batch_k in (((3,), (3,)), ((1,), (1,)), ((3,), (1,)), ((1,), (3,))):
        x, k = cases.reals(rng, (*batch_x, *n), "float64") * 9, cases.reals(rng, (*batch_k, *m), "float64") * 9
        x = (x * (1 + 1j) if dtype == "D" else x).astype(dtype)
        k = k.astype("f" if dtype == "D" and batch_k == (1,) and len(n) == 1 else dtype)
        for value in (None, np.nan) if dtype != "h" else (None,):
            if value is not None:
                x.flat[1] = value
            for mode in ("full", "same"):
                y = signal.fftconvolve(x, k, mode, axes=tuple(range(-len(n), 0)))
                for i in range(max(len(x), len(k)) if y.shape[0] == max(len(x), len(k)) else 0):
                    one = signal.fftconvolve(x[min(i, len(x) - 1)], k[min(i, len(k) - 1)], mode)
                    cases.assert_same_bits(y[i], one, (batch_x, batch_k, mode, value, i))


@pytest.mark.parametrize("name", ["correlate2d", "convolve2d"])
def test_two_dimensions(rng, name):
    for _ in range(400):
        how = {
            "mode": str(rng.choice(["full", "same", "valid"])),
            "boundary": str(rng.choice(["fill", "wrap", "symm", "pad", "circular", "symmetric"])),
        }
        if rng.random() < 0.4:
            how["fillvalue"] = float(rng.choice([1, 2.5]))
        assert_alike(name, some(rng, 2), some(rng, 2), **how)


@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_any_dimensions(rng, name):
    for _ in range(400):
        ndim, method = int(rng.integers(1, 5)), str(rng.choice(["direct", "auto", "fft"]))
        mode = str(rng.choice(["full", "same", "valid"]))
        x, k = some(rng, ndim), some(rng, ndim)
        if np.result_type(x, k).kind == "b" or np.result_type(x, k).char == "e":
            continue  # see test_half_and_bool
        assert_alike(name, x, k, mode, method, rounding=0 if method == "direct" else 3e-6)


@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
def test_some_axes(rng, name):
    for _ in range(300):
        ndim = int(rng.integers(1, 5))
        x, k = some(rng, ndim), some(rng, ndim)
        axes = None
        if rng.random() < 0.5:
            axes = tuple(int(a) for a in rng.choice(ndim, rng.integers(1, ndim + 1), replace=False))
            shape = [
                k.shape[a] if a in axes else x.shape[a] if rng.random() < 0.5 else int(rng.choice([1, 2]))
                for a in range(ndim)
            ]
            k = np.resize(k, shape)
        mode = str(rng.choice(["full", "same", "valid"]))
        assert_alike(name, x, k, mode, axes, rounding=3e-6)


def test_half_and_bool():
    x, k = np.array([True, True, False]), np.array([True, False])
    for name in ("convolve", "correlate"):
        assert_alike(name, x, k)
        assert_alike(name, np.ones((2, 2), bool), np.ones((2, 2), bool))
        assert_alike(name, x.astype("f2"), k.astype("f2"))
        assert_alike(name, np.ones((2, 2), "f2"), np.ones((2, 2), "f2"), "full", "direct")
    # differs: SciPy's answer depends on the sizes
    assert signal.convolve(np.ones((2, 2), "f2"), np.ones((2, 2), "f2")).dtype == np.float16


def test_centres_of_even_kernels():
    """ "same" begins at another place in each of the four, and each as in SciPy."""
    x, k = np.arange(12.0).reshape(3, 4), np.array([[1, 10], [100, 1000.0]])
    for name in ("correlate2d", "convolve2d", "correlate", "convolve"):
        assert_alike(name, x, k, "same")
    assert signal.correlate2d(x, k, "same")[0, 0] == 5410
    assert signal.correlate(x, k, "same")[1, 1] == 5410


def test_swapped_complex_is_reversed_but_conjugated_in_one_of_them():
    x, k = np.array([[1 + 2j, 3]]), np.array([[1j, 2, 3 - 1j, 5]])
    assert_alike("correlate2d", x, k, "valid")
    assert_alike("correlate", x, k, "valid")
    np.testing.assert_array_equal(signal.correlate2d(x, k, "valid"), signal.correlate(x, k, "valid").conj())


def test_integers_wrap():
    assert signal.convolve2d(np.uint8([[200]]), np.uint8([[3]])) == 88
    for x, k in (("u1", "u1"), ("i1", "u1"), ("i8", "u8"), ("i4", "f4"), ("u1", "f4")):
        a, b = np.full((5, 5), 100).astype(x), np.full((3, 3), 101).astype(k)
        for name in ("correlate2d", "convolve2d", "correlate", "convolve"):
            assert_alike(name, a, b)


def test_large_integers_are_exact(rng):
    """SciPy's transforms round; float64 cannot hold these sums, so they are summed as they are."""
    x, k = rng.integers(-(2**40), 2**40, 3000), rng.integers(-(2**40), 2**40, 1000)
    expected = original.convolve(x, k, "same", "direct")
    np.testing.assert_array_equal(signal.convolve(x, k, "same"), expected)
    np.testing.assert_array_equal(signal.convolve(x, k, "same", "fft"), expected)


@pytest.mark.parametrize("dtype", ["u1", "i2"])
def test_integers_by_transforms_are_exact(rng, dtype):
    x, k = (rng.integers(0, 120, shape).astype(dtype) for shape in ((150, 170), (40, 41)))
    assert fastconv.explain(x.shape, k.astype("i8"), dtype=x.dtype).method == "fft"
    np.testing.assert_array_equal(fastconv.corr2d(x, k), fastconv.corr2d(x, k, method="direct"))
    assert_alike("correlate2d", x, k, "full", "symm")


FILLS = (2.5, 300, -1, 1j, [1], [1, 2], "a", "1", b"1", None, np.array(3), np.array([3]), True, [], np.nan, object())
FILLS += (np.array(3, "u1"), np.array(2.5), np.float32(2.5), np.array(1j), 3 + 1j, 2**70)


@pytest.mark.parametrize("fillvalue", FILLS, ids=lambda value: "object" if type(value) is object else str(value))
def test_fillvalue(fillvalue):
    for dtype in ("u1", "i8", "f4", "f8", "c8", "c16"):
        x = np.ones((2, 2), dtype)
        assert_alike("convolve2d", x, x, fillvalue=fillvalue)


@pytest.mark.parametrize("size", [2, 60])
@pytest.mark.parametrize("fillvalue", [2**53 + 1, -(2**53) - 1, 2**62 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1])
def test_integer_fillvalues_are_exact(size, fillvalue):
    for dtype in ("i8", "u8"):
        x, k = np.ones((size, size), dtype), np.ones((3, 5), dtype)
        for name in ("convolve2d", "correlate2d"):
            assert_alike(name, x, k, "same", "fill", fillvalue)
            assert_alike(name, x.astype("u1"), k, "full", "fill", fillvalue)


@pytest.mark.parametrize("size", [2, 60])
@pytest.mark.parametrize("fillvalue", [1j, 3 - 2j, complex(0, np.nan), complex(np.inf, 1)])
def test_fillvalues_keep_their_imaginary_part(rng, size, fillvalue):
    for x_type, k_type in (("f8", "c16"), ("c16", "f8"), ("i4", "c16"), ("f4", "c8"), ("c16", "i1")):
        x, k = (rng.integers(1, 5, shape).astype(t) for shape, t in (((size, size + 1), x_type), ((3, 2), k_type)))
        k = k * k.dtype.type(1j) if k.dtype.kind == "c" else k
        for name in ("convolve2d", "correlate2d"):
            for mode in ("full", "same"):
                assert_alike(name, x, k, mode, "fill", fillvalue)


def test_a_fillvalue_that_would_overflow_is_an_error():
    for dtype, fillvalue in (("u4", -1), ("u8", -1), ("i1", 300.0)):
        with pytest.raises(ValueError, match="could not cast `fillvalue`"):
            signal.correlate2d(np.ones((2, 2), dtype), np.ones((2, 2), dtype), fillvalue=fillvalue)


BAD = {
    "not 2-D": ("correlate2d", np.ones(2), np.ones((2, 2))),
    "bool": ("correlate2d", np.ones((2, 2), bool), np.ones((2, 2), bool)),
    "half": ("convolve2d", np.ones((2, 2), "f2"), np.ones((2, 2), "f2")),
    "mode": ("correlate2d", np.ones((2, 2)), np.ones((2, 2)), "some"),
    "mode number": ("correlate2d", np.ones((2, 2)), np.ones((2, 2)), 1),
    "boundary": ("correlate2d", np.ones((2, 2)), np.ones((2, 2)), "full", "reflect"),
    "neither fits": ("correlate2d", np.ones((2, 3)), np.ones((3, 2)), "valid"),
    "dimensions": ("correlate", np.ones(2), np.ones((2, 2))),
    "empty": ("convolve", np.ones(0), np.ones(2)),
    "method": ("convolve", np.ones(3), np.ones(2), "full", "quick"),
    "flags": ("fftconvolve", np.ones(3), np.ones(2), "chips"),
    "no axes": ("fftconvolve", np.ones(3), np.ones(2), "full", []),
    "far axes": ("oaconvolve", np.ones(3), np.ones(2), "full", 1),
    "same axes": ("fftconvolve", np.ones(3), np.ones(2), "full", [0, 0]),
    "broken axes": ("fftconvolve", np.ones(3), np.ones(2), "full", [0.5]),
    "shapes": ("fftconvolve", np.ones((3, 3)), np.ones((2, 2)), "full", [0]),
    "strings": ("convolve", np.array(["a"]), np.array(["b"])),
    "dates": ("convolve", np.array(["2000-01-01"], "M8[D]"), np.ones(1)),
    "even": ("sepfir2d", np.ones((3, 3)), np.ones(2), np.ones(3)),
    "complex filter": ("sepfir2d", np.ones((3, 3)), np.ones(3) * 1j, np.ones(3)),
    "wide filter": ("sepfir2d", np.ones((3, 3), "f4"), np.ones(3), np.ones(3)),
    "flat image": ("sepfir2d", np.ones(3), np.ones(3), np.ones(3)),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_as_by_scipy(case):
    assert isinstance(cases.outcome(getattr(signal, BAD[case][0]), *BAD[case][1:]), Exception)
    assert_alike(*BAD[case])


def test_masked_arrays_are_refused_with_advice():
    with pytest.raises(TypeError, match="filled"):
        signal.correlate2d(np.ma.ones((3, 3)), np.ones((2, 2)))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_become_arrays():
    assert_alike("correlate2d", np.matrix([[1, 2], [3, 4]]), np.ones((2, 2)))


def test_what_is_not_finite_stays_in_its_window():
    x = np.ones(1000)
    x[300] = np.nan
    for method in ("auto", "fft", "direct"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = signal.convolve(x, np.ones(200) / 200, "same", method)
        assert np.isnan(y).sum() == 200
    with pytest.warns(RuntimeWarning, match="Use of fft convolution"):
        signal.convolve(x, np.ones(200), method="fft")
    assert_alike("convolve", np.array([1.0, 2, 3]), np.array([np.nan, 1]))
    assert_alike("correlate2d", np.ones((3, 3)), np.array([[np.nan, 1], [1, 1]]))


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_what_is_not_finite_beside_integers(lost):
    """SciPy's choice of a method makes an integer of the largest element."""
    for x, k in (([1, 2, 3], [lost, 1]), ([1.0, lost, 2], [1, 2])):
        with pytest.raises((ValueError, OverflowError)):
            original.correlate(x, k)
        for name in ("correlate", "convolve"):
            np.testing.assert_array_equal(getattr(signal, name)(x, k), getattr(original, name)(x, k, method="direct"))


def test_empty():
    for shapes in (((0, 3), (2, 2)), ((2, 2), (0, 3)), ((0, 3), (0, 3))):
        for mode in ("full", "same", "valid"):
            assert_alike("convolve2d", *(np.ones(s) for s in shapes), mode)
            assert_alike("fftconvolve", *(np.ones(s) for s in shapes), mode)
    with pytest.raises(ValueError, match="is empty"):  # SciPy crashes
        signal.convolve2d(np.ones((0, 3)), np.ones((2, 2)), "full", "wrap")


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8", "c8", "c16"])
def test_sepfir2d(rng, dtype):
    for taps in ((1, 3), (5, 7), (3, 1)):
        x = (rng.standard_normal((9, 8)) * 20).astype("i4").astype(dtype)
        filters = [rng.standard_normal(n).astype("f4" if dtype in ("u1", "f4", "c8") else "f8") for n in taps]
        assert_alike("sepfir2d", x, *filters)
    assert signal.sepfir2d(x, [1] * 99, [1]).shape == x.shape  # SciPy writes out of bounds


@pytest.mark.parametrize(
    ("dtype", "scale", "row", "col"),
    [
        ("f8", 2.0**-999, [2.0**999], [2.0**999]),
        ("f8", 2.0**-999, [2.0**999, -(2.0**998), 2.0**999], [2.0**990]),
        ("f4", 2.0**-99, [2.0**99], [2.0**99]),
        ("i4", 1, [1e300, 0, 1], [1e300]),
        ("f8", 1, [np.nan, 1, 2], [1]),
        ("f8", 1, [1, 0, 2], [np.inf]),
        ("f4", 1, [1, np.nan, 2], [1, -np.inf, 2]),
    ],
)
def test_sepfir2d_of_products_beyond_the_range(rng, dtype, scale, row, col):
    x = (rng.integers(-4, 5, (6, 7)) * scale).astype(dtype)
    row, col = (np.array(k, "f4" if dtype == "f4" else "f8") for k in (row, col))
    signal.sepfir2d(x, np.ones_like(row), np.ones_like(col))  # whose plan is not theirs
    with np.errstate(all="ignore"):
        assert_alike("sepfir2d", x, row, col)


def test_correlation_lags():
    for mode in ("full", "same", "valid"):
        for n in range(1, 9):
            for m in range(1, 9):
                expected = original.correlation_lags(n, m, mode)
                np.testing.assert_array_equal(signal.correlation_lags(n, m, mode), expected, f"{n} {m} {mode}")
    with pytest.raises(ValueError, match="some"):
        signal.correlation_lags(3, 2, "some")


def test_choose_conv_method(rng):
    x, k = rng.standard_normal(20000), rng.standard_normal(3000)
    assert signal.choose_conv_method(x, k) == "fft"
    assert signal.choose_conv_method(x[:8], k[:6]) == "direct"
    assert signal.choose_conv_method(np.array([2**51]), np.array([2**51])) == "direct"
    method, seconds = signal.choose_conv_method(x[:500], k[:300], measure=True)
    assert method in seconds and set(seconds) == {"fft", "direct"}


@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize("boundary", ["constant", "wrap", "symmetric", "edge"])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "c16"])
def test_kernels_as_large_as_images(rng, dtype, boundary, mode):
    """One transform of everything, against the definition."""
    from fastconv import reference, spectrum
    from fastconv.arguments.correlation import Options, correlation_arguments

    for shapes in (((40, 50), (39, 41)), ((20, 30), (50, 70)), ((7,), (100,))):
        x, k = ((rng.standard_normal(s) * 50).astype("i4").astype(dtype) for s in shapes)
        for fillvalue in (0, 3):
            c = correlation_arguments(k.ndim, x, k, Options(mode, boundary, fillvalue))
            y, expected = spectrum.correlate(c), reference.run(c)
            np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12 * float(np.abs(expected).max() + 1))
            if dtype == "f8":
                x[3], k[2] = np.nan, 0
                x[1], x[5] = np.inf, -np.inf
                np.testing.assert_allclose(spectrum.correlate(c), reference.run(c), rtol=1e-9, atol=1e-6)
                x[[1, 3, 5]], k[2] = 1, 1


def test_a_kernel_too_large_for_tiles_is_transformed_as_a_whole(rng):
    x = rng.standard_normal((1200, 1100)).astype("f4")
    with fastconv.checked():
        window = slice(1190, 1210), slice(1090, 1110)
        part = fastconv.corr2d(x[:, :4], x[:, :4], "full", window=(window[0], slice(0, 7)))
    whole = fastconv.corr2d(x, x, "full")
    np.testing.assert_array_equal(fastconv.corr2d(x, x, "full", window=window), whole[window])
    np.testing.assert_allclose(whole[1199, 1099], np.sum(x.astype(float) ** 2), rtol=1e-6)
    assert part.shape == (20, 7)


def test_half_floats_of_foreign_byte_order_become_float32(rng):
    x, k = rng.standard_normal((2, 9)).astype("f2"), rng.standard_normal((2, 3)).astype("f2")
    for name in ("fftconvolve", "oaconvolve"):
        native = getattr(signal, name)(x, k)
        cases.assert_same_bits(getattr(signal, name)(x.astype(">f2"), k.astype(">f2")), native)


def test_what_has_no_dimensions_is_refused():
    for nothing in (None, object()):
        for name in ("correlate", "convolve"):
            with pytest.raises(ValueError, match="dimensionality"):
                getattr(signal, name)(np.ones((3, 4)), nothing)


def test_byte_order_does_not_choose_the_method(rng):
    x, k = rng.standard_normal((3, 2)).astype("f4"), rng.standard_normal((23, 15)).astype("f4")
    for function in (signal.correlate2d, signal.convolve2d, signal.convolve, signal.fftconvolve):
        native = function(x, k)
        np.testing.assert_array_equal(function(x.astype(">f4"), k.astype(">f4")), native, strict=True)
        np.testing.assert_array_equal(function(x, k.astype(">f4")), native, strict=True)
