# SPDX-License-Identifier: BSD-3-Clause
"""Calls that are made again: they find their plan, and nothing that matters is forgotten in comparing them."""

from __future__ import annotations

import concurrent.futures
import copy
import inspect
import pickle
import weakref

import numpy as np
import pytest
import scipy.signal
from conftest import posix

import fastconv
from fastconv import corr1d, corr2d, correlation, ndimage, reference, sepcorr2d, signal

pytestmark = pytest.mark.skipif(not fastconv.isas(), reason="plans are those of compiled code")


@pytest.fixture(autouse=True)
def forgotten():
    fastconv.clear_cache()
    yield
    fastconv.set_cache_limit(16 << 20)


def finds_plan(call):
    """Whether the call finds a plan, and returns the same when it is made again."""
    first, before = call(), fastconv.cache_info().hits
    second = call()
    np.testing.assert_array_equal(first, second, strict=True)
    return fastconv.cache_info().hits > before


def test_functions_with_plans_are_functions():
    assert inspect.isroutine(corr2d) and inspect.signature(corr2d) == inspect.signature(corr2d.__wrapped__)
    assert (corr2d.__module__, corr2d.__qualname__, corr2d.__doc__) == (
        "fastconv.correlation",
        "corr2d",
        corr2d.__wrapped__.__doc__,
    )
    assert pickle.loads(pickle.dumps(corr2d)) is copy.deepcopy(corr2d) is weakref.ref(corr2d)() is corr2d

    class Image(list):
        correlated = corr1d

    np.testing.assert_array_equal(Image([1, 2, 4]).correlated([-1, 1]), [1, 2])
    np.testing.assert_array_equal(corr1d.__call__(k=[-1, 1], x=[1, 2, 4]), [1, 2])
    for arguments, named in (((), {"x": 1}), ((1,), {"x": 1}), ((1, 1), {"unknown": 1}), ((1,) * 30, {})):
        for function in (corr2d, corr2d.__call__, corr2d.__wrapped__):
            with pytest.raises(TypeError, match=r"corr2d\(\) (missing|got|takes)"):
                function(*arguments, **named)


OPTIONS = (
    {},
    {"mode": "same"},
    {"mode": "full", "boundary": "edge"},
    {"mode": "same", "boundary": ("wrap", "reflect")},
    {"mode": "full", "fillvalue": -2.5},
    {"stride": 2},
    {"stride": (1, 3), "dilation": [2, 1]},
    {"axes": (1, 0)},
    {"window": (slice(1, 4), slice(2, None, 2))},
    {"dtype": np.float64},
    {"dtype": "float64"},
    {"dtype": np.dtype(np.int32)},
    {"dtype": np.uint8, "overflow": "saturate"},
    {"method": "im2col"},
    {"threads": 2},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_calls_with_options_find_their_plan(rng, isa, options):
    x, k = rng.integers(-9, 10, (9, 8)).astype("f4"), rng.integers(-9, 10, (3, 2)).astype("f4")
    assert finds_plan(lambda: corr2d(x, k, **options))
    again = x + 1  # another array of this layout
    shown = {name: value for name, value in options.items() if name not in ("method", "threads")}
    np.testing.assert_array_equal(corr2d(again, k, **options), reference.corr2d(again, k, **shown), strict=True)


def test_a_result_goes_where_it_is_asked_to(rng):
    x, k = rng.standard_normal((9, 8)), rng.standard_normal((3, 2))
    right = corr2d(x, k)
    for out in (np.empty((7, 7)), np.empty((7, 14))[:, ::2], np.empty((7, 7)).T):
        for _ in range(3):
            out[:] = np.nan
            assert corr2d(x, k, out=out) is out
            np.testing.assert_array_equal(out, right)
    assert fastconv.cache_info().hits == 6
    read_only = np.empty((7, 7))
    corr2d(x, k, out=read_only)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        corr2d(x, k, out=read_only)


@pytest.mark.parametrize("shape", [(9, 9), (80, 150)])
def test_an_out_that_overlaps_x_is_right_each_time(rng, shape):
    k = rng.standard_normal((3, 3))
    for _ in range(3):
        x = rng.standard_normal(shape)
        right = corr2d(x, k, "same", out=np.empty_like(x))  # which has a plan
        np.testing.assert_array_equal(corr2d(x, k, "same", out=x), right)


def test_taps_that_change_change_the_plan(rng):
    x, k = rng.standard_normal((6, 6)), rng.standard_normal((2, 2))
    for _ in range(4):
        np.testing.assert_allclose(corr2d(x, k), reference.corr2d(x, k), rtol=1e-12, atol=1e-12)
        k[rng.integers(2), rng.integers(2)] += 1
    ky, kx = rng.standard_normal(3), rng.standard_normal(2)
    for _ in range(3):
        expected = reference.corr2d(x, np.outer(ky, kx))
        np.testing.assert_allclose(sepcorr2d(x, ky, kx), expected, rtol=1e-12, atol=1e-12)
        kx[0] += 1


@pytest.mark.parametrize("one, other", [(1, True), (1, 1.0), (0, False), (0.0, -0.0), ("valid", "same"), (None, 0)])
def test_values_that_are_equal_or_near_are_not_the_same_option(one, other):
    x, k = np.zeros((4, 4)), np.ones((2, 2))
    for name in ("stride", "fillvalue", "mode", "return_weight", "dtype"):
        outcomes = []
        for value in (one, other, one, other):
            try:
                outcomes.append(repr(corr2d(x, k, **{name: value})))
            except (TypeError, ValueError) as error:
                outcomes.append(repr(error))
        assert outcomes[:2] == outcomes[2:]


def test_layouts_and_dtypes_have_plans_of_their_own(rng):
    k = rng.integers(0, 5, (2, 3)).astype("f4")
    base = rng.integers(0, 9, (12, 14))
    views = [base[:6, :7], base[::2, ::2], base[::-2, 6::-1], base.T[:6, :7], np.broadcast_to(base[0, :7], (6, 7))]
    for _ in range(2):
        for view in views:
            for dtype in ("f4", "f8", "u1", "i8", "f2", ">f4"):
                x = view.astype(dtype, order="K") if dtype != "i8" else view
                np.testing.assert_array_equal(corr2d(x, k), reference.corr2d(x, k), strict=True)
    odd = np.zeros(4 * 42 + 1, "u1")[1:].view("f4").reshape(6, 7)
    for _ in range(2):
        np.testing.assert_array_equal(corr2d(odd, k), np.zeros((5, 5)))


@pytest.mark.parametrize("dtype", ["f2", ">f2", ">f4", ">f8", ">i2", ">i8"])
def test_dtypes_that_are_converted_find_their_plan(rng, dtype):
    x, k = rng.integers(-9, 10, (9, 8)).astype(dtype), rng.integers(-9, 10, (3, 2))
    for kernel in (k.astype(dtype), k.astype("i1"), k.astype("f8")):
        for options in ({}, {"mode": "same", "boundary": "wrap"}, {"stride": 2}, {"dtype": "f8"}):
            assert finds_plan(lambda kernel=kernel, options=options: corr2d(x, kernel, **options))
            x[...] = -x  # the same array, whose dtype is the same object
            expected = reference.corr2d(x, kernel, **options)
            np.testing.assert_array_equal(corr2d(x, kernel, **options), expected, strict=True)
    if dtype == ">i8":
        assert finds_plan(lambda: corr2d(x, k + 9))
        x[3, 3] = 2**62
        with pytest.raises(OverflowError):
            corr2d(x, k + 9)


@pytest.mark.parametrize("dtype", ["f2", "f8"])
@pytest.mark.parametrize("boundary", ["constant", "wrap"])
def test_elements_that_were_gathered_are_gathered_again(rng, boundary, dtype):
    x, k = rng.integers(-9, 10, 10).astype(dtype), rng.integers(1, 9, 5).astype(dtype)
    far = {
        "mode": "full",
        "boundary": boundary,
        "dilation": 100,
        "window": slice(203, 205),
    }  # ten elements under two outputs
    for _ in range(3):
        np.testing.assert_array_equal(corr1d(x, k, **far), reference.corr1d(x, k, **far))


def test_integers_that_become_too_large_are_seen(rng):
    k = np.array([3, -4])
    x = rng.integers(-9, 10, 20)
    assert finds_plan(lambda: corr1d(x, k))
    for x[7] in (-(2**62), 2**62):
        with pytest.raises(OverflowError):
            corr1d(x, k)
    wrapped = (np.correlate(x.astype(object), k.astype(object)) + 2**63) % 2**64 - 2**63
    np.testing.assert_array_equal(corr1d(x, k, overflow="wrap"), wrapped.astype(np.int64))
    unsigned, ones = np.full(5, 2**62, "u8"), np.ones(2, "u8")
    assert finds_plan(lambda: corr1d(unsigned, ones))
    unsigned[2] = 2**64 - 1
    with pytest.raises(OverflowError):
        corr1d(unsigned, ones)


def test_a_box_that_is_not_finite_is_summed_again():
    k = np.ones((40, 40))
    x = np.ones((99, 99))
    assert finds_plan(lambda: corr2d(x, k))
    x[:] = 1e308
    x[::2] *= -1
    assert np.isfinite(corr2d(x, k)).all()


def test_elements_that_are_not_finite(rng):
    x, k = rng.standard_normal((8, 8)), rng.standard_normal((3, 3))
    for name in ("correlate", "convolve", "fftconvolve", "correlate2d"):
        call = getattr(signal, name)
        call(x, k)
        spoilt = x.copy()
        spoilt[4, 4] = np.nan
        assert np.isnan(call(spoilt, k)).sum() == 9
        spoilt[0, 0] = np.inf
        assert (~np.isfinite(call(spoilt, k))).sum() == 18


@pytest.mark.parametrize("n", [2, 9, 40])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_taps_that_are_not_finite(rng, n, value):
    """After calls with others."""
    x, k = rng.standard_normal(500), rng.standard_normal(n)
    calls = [lambda k, f=f: f(x, k) for f in (signal.convolve, signal.correlate, signal.fftconvolve)]
    calls.append(lambda k: fastconv.xcorr(x[:n], k, 3))
    for call in calls:
        assert finds_plan(lambda call=call: call(k))
        spoilt = k.copy()
        spoilt[n // 2] = value
        again = call(spoilt)
        fastconv.clear_cache()
        np.testing.assert_array_equal(again, call(spoilt))


@pytest.mark.parametrize("name", ["correlate", "convolve", "fftconvolve", "oaconvolve", "correlate2d", "convolve2d"])
@pytest.mark.parametrize("dtypes", ["f8f8", "f4f4", "i8i8", "u1u1", "u1f4", "i8u8", "c8c8", "f8c16"])
def test_either_argument_of_signal_may_be_the_larger_one(rng, name, dtypes):
    scipy = pytest.importorskip("scipy.signal")
    kinds = {"u1": "u1", "c16": "c16", **{d: d for d in ("f8", "f4", "i8", "u8", "c8")}}
    first = next(d for d in kinds if dtypes.startswith(d))
    second = dtypes[len(first) :]
    for shapes in (((7, 6), (3, 2)), ((3, 2), (7, 6)), ((5, 5), (5, 5)), ((3, 6), (6, 3))):
        for mode in ("full", "same"):
            for _ in range(3):
                a, b = (rng.integers(0, 9, s).astype(d) for s, d in zip(shapes, (first, second), strict=True))
                got, want = (getattr(module, name)(a, b, mode) for module in (signal, scipy))
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-3)
                assert got.dtype == want.dtype


def test_swapped_arrays_find_their_plan(rng):
    x, k = rng.standard_normal((9, 8)), np.ones((2, 3))
    fastconv.clear_cache()
    for _ in range(5):  # of such dtypes there are many objects
        np.testing.assert_array_equal(corr2d(x.astype(">f8"), k), corr2d(x, k))
    assert fastconv.cache_info()[:3] == (8, 2, 2)


def test_plans_are_of_the_instruction_set_in_use(rng):
    x, k = rng.standard_normal((40, 40)).astype("f4"), rng.standard_normal((5, 5)).astype("f4")
    fresh = {}
    for isa in fastconv.isas():
        fastconv.clear_cache()
        with fastconv.use_isa(isa):
            fresh[isa] = corr2d(x, k)
    for _ in range(2):
        for isa in fastconv.isas():
            with fastconv.use_isa(isa):
                np.testing.assert_array_equal(corr2d(x, k), fresh[isa], strict=True)


def test_what_is_checked_is_not_taken_from_a_plan(rng, monkeypatch):
    x, k = rng.standard_normal((6, 6)), rng.standard_normal((2, 2))
    right = corr2d(x, k)
    monkeypatch.setattr(reference, "run", lambda c: right + 1)
    np.testing.assert_array_equal(corr2d(x, k), right)
    with fastconv.checked(), pytest.raises(fastconv.CheckError):
        corr2d(x, k)


def test_bytes_are_bounded(rng):
    fastconv.set_cache_limit(200_000)
    for n in range(1, 300):
        corr1d(np.ones(1000 + n), rng.standard_normal(n))
        assert fastconv.cache_info().nbytes <= 200_000
    assert fastconv.cache_info().plans > 3
    large = rng.standard_normal((200, 200))
    before = fastconv.cache_info()
    corr2d(np.ones((200, 200)), large, method="direct")
    assert fastconv.cache_info()[2:] == before[2:]
    fastconv.set_cache_limit(0)
    assert fastconv.cache_info()[2:] == (0, 0, 0)
    assert not finds_plan(lambda: corr1d(np.ones(9), np.ones(2)))
    for wrong, error in ((-1, ValueError), (1.5, TypeError), ("1", TypeError)):
        with pytest.raises(error, match="nbytes"):
            fastconv.set_cache_limit(wrong)


def test_the_latest_calls_are_kept(rng):
    calls = [(np.ones(50 + n), rng.standard_normal(3)) for n in range(5000)]
    for x, k in calls:
        corr1d(x, k)
    hits = fastconv.cache_info().hits
    for x, k in calls[-100:]:
        corr1d(x, k)
    assert fastconv.cache_info().hits - hits > 90


def test_threads_share_plans(rng):
    calls = [(rng.standard_normal((9 + n % 7, 8)), rng.standard_normal((3, 1 + n % 3))) for n in range(40)]
    right = [reference.corr2d(x, k) for x, k in calls]

    def work(seed):
        for i in np.random.default_rng(seed).integers(0, len(calls), 3000):
            np.testing.assert_allclose(corr2d(*calls[i]), right[i], rtol=1e-12, atol=1e-12)
            if i == 0:
                fastconv.clear_cache()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, seed) for seed in range(4)]:
            done.result()


@posix
def test_forked_processes_have_the_plans(python):
    code = """
import os, numpy as np, fastconv
x, k = np.ones((9, 9)), np.ones((3, 3))
fastconv.corr2d(x, k)
child = os.fork()
if child == 0:
    ok = (fastconv.corr2d(x, k) == 9).all() and fastconv.cache_info().hits == 1
    os._exit(0 if ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(code).stdout == "0\n"


def test_defaults_of_threads_are_those_of_the_call(rng):
    x, k = rng.standard_normal((300, 300)), rng.standard_normal((9, 9))
    before = fastconv.get_num_threads()
    try:
        results = []
        for n in (1, 2, 1):
            fastconv.set_num_threads(n)
            results.append(corr2d(x, k))
    finally:
        fastconv.set_num_threads(before)
    assert len({r.tobytes() for r in results}) == 1


FILTERS = {
    "correlate1d": ([1.0, -2.0, 0.5],),
    "convolve1d": ([1.0, -2.0, 0.5],),
    "uniform_filter1d": (4,),
    "gaussian_filter1d": (1.5,),
    "gaussian_filter": ((1.0, 0.5),),
    "uniform_filter": ([3, 2],),
    "sobel": (0,),
    "prewitt": (),
    "laplace": (),
    "gaussian_laplace": (1.0,),
    "gaussian_gradient_magnitude": (1.0,),
    "correlate": (np.arange(6.0).reshape(2, 3),),
    "convolve": (np.arange(6.0).reshape(2, 3),),
}


@pytest.mark.parametrize("name", [name for name in ndimage.__all__ if not name.startswith("generic")])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i8"])
def test_filters_find_their_plan(rng, isa, name, dtype):
    scipy = pytest.importorskip("scipy.ndimage")
    ours, theirs = getattr(ndimage, name), getattr(scipy, name)
    arguments = tuple(np.array(a) if name.endswith("late1d") or name.endswith("volve1d") else a for a in FILTERS[name])
    x = rng.integers(0, 99, (9, 8)).astype(dtype)
    out = np.empty((9, 16), dtype)[:, ::2]
    for how in ({}, {"mode": "nearest"}, {"mode": "constant", "cval": 2.0}, {"output": np.float32}, {"output": out}):
        assert finds_plan(lambda how=how: ours(x, *arguments, **how).copy())
        again = rng.integers(0, 99, (9, 8)).astype(dtype)
        got = ours(again, *arguments, **how).copy()
        np.testing.assert_allclose(got, theirs(again, *arguments, **how), rtol=1e-6, atol=1e-4)
    for _ in range(3):  # into x itself
        x = rng.integers(0, 99, (9, 8)).astype(dtype)
        right = ours(x.copy(), *arguments)
        np.testing.assert_array_equal(ours(x, *arguments, output=x), right, strict=True)


def test_sepfir2d_finds_its_plan(rng):
    scipy = pytest.importorskip("scipy.signal")
    for dtype in ("f4", "f8", "i4"):
        x = rng.integers(0, 9, (8, 9)).astype(dtype)
        rows, cols = np.arange(5.0, dtype="f4"), np.array([1, -3, 2], "f4")
        assert finds_plan(lambda x=x, rows=rows, cols=cols: signal.sepfir2d(x, rows, cols))
        np.testing.assert_allclose(signal.sepfir2d(x, rows, cols), scipy.sepfir2d(x, rows, cols), rtol=1e-5)


@pytest.mark.parametrize("convolve", [False, True])
def test_other_taps_of_a_small_kernel_have_the_same_plan(rng, isa, convolve):
    function = fastconv.convolve2d if convolve else corr2d
    x = rng.standard_normal((12, 11)).astype("f4")
    for shape in ((3, 3), (1, 5), (4, 2)):
        for options in ({}, {"mode": "same", "boundary": "reflect"}, {"stride": 2, "dilation": (2, 1)}):
            fastconv.clear_cache()
            kernels = rng.standard_normal((5, *shape)).astype("f4")
            kernels[3, 0, 0] = np.nan
            planned = [function(x, k, **options) for k in kernels] + [function(x, kernels[0], **options)]
            assert fastconv.cache_info()[:3] == (5, 1, 1)
            for k, got in zip([*kernels, kernels[0]], planned, strict=True):
                fastconv.clear_cache()
                np.testing.assert_array_equal(function(x, k, **options), got, strict=True)


def test_an_array_among_the_options_is_no_kernel(rng):
    x, k = rng.standard_normal((12, 12)), rng.standard_normal((3, 3))
    for stride in (1, 2):
        for _ in range(2):
            for kernel in (k, k + 1):
                expected = reference.corr2d(x, kernel, stride=(stride, 1))
                got = corr2d(x, stride=np.array([stride, 1]), k=kernel)
                np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_kernels_of_any_layout_have_plans(rng):
    x, big = rng.standard_normal((12, 12)), rng.standard_normal((9, 9))
    for view in (big[1:4, 2:6], big.T[::2, :3], big[::-1, ::-3], np.broadcast_to(big[0, :3], (3, 3))):
        assert finds_plan(lambda view=view: corr2d(x, view))
        np.testing.assert_allclose(corr2d(x, view), reference.corr2d(x, view), rtol=1e-12, atol=1e-12)
        assert finds_plan(lambda view=view: ndimage.convolve(x, view))


def test_kernels_larger_than_the_limit_are_not_looked_at():
    huge = np.broadcast_to(np.float32(1), (2**31, 2**29))
    with pytest.raises(ValueError, match="too large"):
        corr2d([[1.0]], huge, "full")
    with pytest.raises(ValueError, match="does not fit"):
        corr2d(np.ones((3, 3), "f4"), huge)


def test_names_made_at_run_time_are_names(rng):
    x, k, out = rng.standard_normal((9, 9)), rng.standard_normal((3, 3)), np.empty((7, 7))
    name = "".join(["o", "ut"])
    for _ in range(3):
        x += 1
        assert corr2d(x, k, **{name: out}) is out
        np.testing.assert_array_equal(out, corr2d(x, k))
    assert fastconv.cache_info().hits == 4


def test_a_word_with_zeros_at_its_end_is_another_word():
    x, k = np.ones((6, 6)), np.ones((3, 3))
    corr2d(x, k, "same")
    with pytest.raises(ValueError, match="mode"):
        corr2d(x, k, "same\0")


def test_lists_within_themselves_are_refused():
    endless: list = []
    endless.append(endless)
    for options in ({"stride": endless}, {"boundary": endless}, {"window": [slice(endless)] * 2}):
        with pytest.raises((TypeError, ValueError)):
            corr2d(np.ones((6, 6)), np.ones((3, 3)), **options)


def test_types_may_change_what_they_mean():
    class Changing:
        dtype = np.dtype("f4")

    x, k = np.ones((6, 6), "f4"), np.ones((3, 3), "f4")
    for dtype in ("f4", "f8"):
        Changing.dtype = np.dtype(dtype)
        assert corr2d(x, k, dtype=Changing).dtype == dtype


def test_taps_that_the_call_itself_changes(rng):
    x, given = rng.standard_normal((3, 3)).astype("f4"), rng.standard_normal((3, 3)).astype("f4")
    weights = given.copy()
    made = ndimage.correlate(x, weights, output=weights)
    again = ndimage.correlate(x, made.copy(), output=np.empty_like(x))
    fastconv.clear_cache()
    np.testing.assert_array_equal(ndimage.correlate(x, made.copy()), again)
    room = np.zeros(50)
    kernel, out = room[:2].view("f4")[:3], room[1:41]  # out begins within the kernel
    signal_in, taps = rng.standard_normal(42), rng.standard_normal(3).astype("f4")
    for _ in range(3):
        kernel[:] = taps
        right = corr1d(signal_in, taps.copy())
        np.testing.assert_array_equal(corr1d(signal_in, kernel, out=out), right)
        taps = kernel.copy()  # what a plan must not take for the kernel that it was made of


def test_taps_that_another_thread_changes_meanwhile(rng, monkeypatch):
    x, k = rng.standard_normal((9, 9)), rng.standard_normal((3, 3)).astype("f4")
    answered = correlation.answered

    def interrupted(*args, **how):
        answer = answered(*args, **how)
        k[0, 0] += 1
        return answer

    monkeypatch.setattr(correlation, "answered", interrupted)
    corr2d(x, k)
    monkeypatch.undo()
    expected = reference.corr2d(x, k)
    np.testing.assert_allclose(corr2d(x, k), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtypes", [("c16", "c16"), ("c8", "f4"), ("f8", "c8"), ("i4", "c16"), ("f2", "c8")])
def test_complex_sums_find_their_plans(rng, isa, dtypes):
    def some(shape, dtype):
        parts = rng.integers(-9, 10, (2, *shape))
        return (parts[0] + 1j * parts[1] if dtype[0] == "c" else parts[0]).astype(dtype)

    x, k = some((9, 8), dtypes[0]), some((3, 2), dtypes[1])
    for options in ({}, {"mode": "same", "boundary": "wrap"}, {"mode": "full", "fillvalue": -2.5}, {"dilation": 2}):
        assert finds_plan(lambda options=options: corr2d(x, k, **options))
        x[...] = x[::-1].copy()
        for image in (x, x[:, ::-1], x[:, ::-1]):
            np.testing.assert_array_equal(
                corr2d(image, k, **options), reference.corr2d(image, k, **options), strict=True
            )
        out = np.empty_like(corr2d(x, k, **options))
        for _ in range(3):
            assert corr2d(x, k, out=out, **options) is out
            np.testing.assert_array_equal(out, reference.corr2d(x, k, **options))


def test_an_imaginary_part_is_not_made_of_a_real_x():
    for value in (1.0, 2.0, 3.0):
        x, k, how = np.full((1, 1), value), np.array([[1j, 2.0]]), {"mode": "full", "fillvalue": 1j}
        for _ in range(2):
            np.testing.assert_array_equal(corr2d(x, k, **how), reference.corr2d(x, k, **how))


def test_complex_kernels_of_any_layout(rng):
    parts = rng.standard_normal((2, 4, 9, 9))
    x, kernels = parts[0] + 1j * parts[1], parts[0, 0, :6, :5] + 1j * parts[1, 0, :6, :5]
    for k in (kernels.T, kernels.T.real, kernels[::-1, ::-2], np.asfortranarray(kernels)):
        fastconv.clear_cache()
        for image in x:
            expected = reference.convolve2d(image.copy(), k.copy("C"), "full")
            np.testing.assert_allclose(signal.convolve(image, k), expected, rtol=1e-12, atol=1e-12)
        assert fastconv.cache_info().hits == 3


def test_spectra_of_large_kernels(rng):
    """They are made when a call is made again, where there is room; another kernel is another call."""
    x, k = rng.standard_normal((300, 280)), rng.standard_normal((101, 97))
    first, taken = corr2d(x, k, mode="same"), [fastconv.cache_info().nbytes]
    for _ in range(3):
        np.testing.assert_array_equal(corr2d(x, k, mode="same"), first)
        taken.append(fastconv.cache_info().nbytes)
    assert fastconv.cache_info().hits == 3 and taken[0] < 1 << 19 and 1 << 20 < taken[1] == taken[3] < 1 << 23
    k[50, 50] += 1
    other = corr2d(x, k, mode="same")
    assert np.abs(other - first).max() > 0.1
    np.testing.assert_allclose(other, scipy.signal.correlate(x, k, "same"), rtol=0, atol=1e-10)
    fastconv.set_cache_limit(1 << 20)
    for _ in range(3):
        np.testing.assert_array_equal(corr2d(x, k, mode="same"), other)
    assert fastconv.cache_info().nbytes < 1 << 19
