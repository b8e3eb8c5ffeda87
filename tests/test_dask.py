# SPDX-License-Identifier: BSD-3-Clause
"""fastconv on dask arrays: the bits of the call in memory whatever the chunks, lazily, and what is refused."""

import copy
import importlib
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from public_calls import CALLS
from test_any_argument import CALLS as LAYER_CALLS

import fastconv
from fastconv import costs, methods, nn
from fastconv.arguments.correlation import Options, correlation_arguments

da = pytest.importorskip("dask.array")
import dask  # noqa: E402

import fastconv.dask  # noqa: E402

BOUNDARIES = ("constant", "edge", "reflect", "symmetric", "wrap")


@pytest.fixture(autouse=True)
def one_thread():
    """No pool of dask's outlives a test."""
    with dask.config.set(scheduler="sync"):
        yield


def compare(function, x, chunks, *args, **kwargs):
    """Compare with the call in memory. Returns False where both refuse it, or the chunks are too small."""
    lazy = da.from_array(x, chunks=chunks)
    try:
        right = function(x, *args, **kwargs)
    except (ValueError, TypeError) as error:
        with pytest.raises(type(error)):
            function(lazy, *args, **kwargs)
        return False
    try:
        made = function(lazy, *args, **kwargs)
    except ValueError as error:
        assert "x.rechunk(" in str(error), error
        return False
    for a, b in zip(*(r if type(r) is tuple else (r,) for r in (right, made)), strict=True):
        assert isinstance(b, da.Array)
        for apart in 0, costs.CHUNK_APART:  # of chunks where they lie, and of copies
            with mock.patch.object(costs, "CHUNK_APART", apart):
                computed = b.compute()
            assert (a.shape, a.dtype) == (b.shape, b.dtype) == (computed.shape, computed.dtype)
            assert b._meta.dtype == a.dtype
            np.testing.assert_array_equal(a, computed)
        assert not a.size or all(min(sizes) > 0 for sizes in b.chunks)
    return True


def random_call(rng):
    """A function, x, and its other arguments."""
    rank = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.integers(6, (40, 26, 12)[rank - 1], rank + int(rng.integers(0, 2))))
    x = rng.standard_normal(shape).astype(rng.choice(["f4", "f8"]))
    if rng.random() < 0.3:
        x = rng.integers(0, 255, shape).astype(rng.choice(["u1", "i4"]))
    k = rng.standard_normal(tuple(rng.integers(1, 6, rank))).astype(x.dtype if x.dtype.kind == "f" else "f4")
    if rng.random() < 0.3:
        k = rng.integers(-9, 9, k.shape)
    if rng.random() < 0.15 and x.ndim > rank:
        k = rng.standard_normal((x.shape[0], *k.shape))
    how = {"mode": str(rng.choice(["valid", "same", "full"])), "boundary": str(rng.choice(BOUNDARIES))}
    some = {
        "stride": int(rng.integers(2, 5)),
        "dilation": 2,
        "nan": "ignore",
        "mask": rng.random(shape) < 0.8,
        "return_weight": True,
        "window": (slice(2, int(rng.integers(3, 30)), int(rng.integers(1, 3))),) * rank,
    }
    if rank > 1 and x.ndim > rank and k.ndim == rank:
        some["axes"] = tuple(int(a) for a in rng.permutation(x.ndim)[:rank])
    if rank == 1:
        some["window"] = some["window"][0]
    how |= {name: value for name, value in some.items() if rng.random() < 0.25}
    return getattr(fastconv, f"{rng.choice(['corr', 'convolve'])}{rank}d"), x, k, how


@pytest.mark.parametrize("calls", [12, pytest.param(200, marks=pytest.mark.deep)])
def test_correlations(rng, calls):
    compared = 0
    for _ in range(calls):
        function, x, k, how = random_call(rng)
        chunks = tuple(int(rng.integers(-(-n // (4, 3, 2, 2)[x.ndim - 1]), n + 1)) for n in x.shape)
        print(function.__name__, x.shape, x.dtype, k.shape, k.dtype, chunks, {**how, "mask": "mask" in how})
        compared += compare(function, x, chunks, k, **how)
    assert compared > calls / 4


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("mode", ["same", "full"])
def test_boundaries_are_true_at_true_edges_only(rng, boundary, mode):
    x, k = rng.standard_normal((24, 32)), rng.standard_normal((4, 5))
    for chunks in ((6, 7), (24, 7), ((4, 16, 4), (5, 22, 5)), -1):
        assert compare(fastconv.corr2d, x, chunks, k, mode, boundary)
        assert compare(fastconv.convolve2d, x, chunks, k, mode, (boundary, "edge"), stride=(3, 1))


def test_batches_channels_and_kernels_of_their_own(rng):
    x = rng.standard_normal((3, 20, 22)).astype("f4")
    assert compare(fastconv.corr2d, x, (2, 10, 9), rng.standard_normal((3, 3)), "same")
    assert compare(fastconv.corr2d, x, (2, 10, 9), rng.standard_normal((3, 3, 3)), "same", "wrap")
    assert compare(fastconv.corr2d, x[0], (10, 9), rng.standard_normal((4, 2, 3)))
    assert compare(fastconv.corr2d, x, (2, 10, 9), rng.standard_normal((2, 2)), "full", "edge", axes=(2, 0))
    assert compare(fastconv.sepcorr2d, x, (1, 9, 9), [1.0, 2, 1], [1, 0, -1], "same", "reflect")
    assert compare(fastconv.corr2d, x, (3, 20, 22), np.broadcast_to(0.5, (3, 5, 5)), "same")


@pytest.mark.parametrize("method", ["direct", "im2col", "separable", "box", "numpy"])
def test_methods(rng, method):
    k = np.full((9, 7), 0.3, "f4")
    assert compare(fastconv.corr2d, rng.standard_normal((60, 50)).astype("f4"), (23, 20), k, "same", method=method)


def test_integers_overflow_as_in_memory():
    x = da.full((40, 40), 2**62, chunks=20)
    lazy = fastconv.corr2d(x, np.array([[2]]))
    with pytest.raises(OverflowError):
        lazy.compute()
    small = da.full((40, 40), 200, dtype=np.uint8, chunks=20)
    made = fastconv.corr2d(small, np.ones((3, 3), np.uint8), "same", dtype=np.uint8, overflow="saturate")
    assert made.dtype == np.uint8 and (made.compute() == 255).all()


def test_nothing_is_computed_before_it_is_asked_for():
    def never(block):
        raise AssertionError

    x = da.zeros((64, 64), chunks=16).map_blocks(never, dtype=float, meta=np.empty((0, 0)))
    made = fastconv.corr2d(x, np.ones((3, 3)), "same")
    assert made.chunks == x.chunks and len(made.__dask_graph__()) < 20 * x.npartitions
    names = {fastconv.corr2d(x, np.full((3, 3), tap), "same").name for tap in (1.0, 2.0, 1.0)}
    assert len(names) == 2 and made.name in names  # what is the same is computed once


@pytest.mark.parametrize(
    ("function", "x", "how"),
    [
        (fastconv.corr2d, (9, 9), {"k": np.full((3, 3), 2.0), "mode": "same"}),
        (fastconv.corr2d, (2, 9, 9), {"k": np.ones((2, 3, 3)), "boundary": "wrap"}),
        (fastconv.corr2d, (9, 9), {"k": np.ones((3, 3)), "mask": np.ones((9, 9), bool)}),
        (fastconv.sepcorr2d, (9, 9), {"ky": np.ones(3), "kx": np.ones(3), "method": "separable"}),
        (fastconv.gradient, (9, 9), {"kernel": [np.arange(3.0), np.ones(3)]}),
        (fastconv.ndimage.correlate, (9, 9), {"weights": np.full((3, 3), 2.0)}),
        (fastconv.ndimage.correlate1d, (9, 9), {"weights": [1.0, 2, 3]}),
        (fastconv.ndimage.gaussian_filter, (9, 9), {"sigma": [0.5, 0.7]}),
        (fastconv.signal.convolve2d, (9, 9), {"in2": np.full((1, 1), 2.0)}),
        (fastconv.feature.match_template, (9, 9), {"template": np.eye(3), "mask": np.ones((3, 3)), "method": "sqdiff"}),
        (nn.conv1d, (2, 3, 9), {"w": np.ones((2, 3, 3)), "bias": np.ones(2), "add": np.ones((2, 2, 7))}),
        (nn.conv2d, (1, 1, 9, 9), {"w": np.ones((1, 1, 3, 3)), "add": np.full((1, 1, 7, 7), 2.0)}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_arguments_that_change_before_it_is_computed(function, x, how):
    x, how = np.arange(float(np.prod(x))).reshape(x), copy.deepcopy(how)
    right = function(x, **how)
    lazy = function(da.from_array(x, chunks=(*x.shape[:-2], 3, 3) if function is not nn.conv1d else (2, 3, 3)), **how)
    for value in how.values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, np.ndarray):
                part[...] = 0
        if isinstance(value, list):
            value[:] = value[:1] * len(value)
    np.testing.assert_allclose(lazy.compute(), right, 1e-12)


def test_chunks_that_do_not_do():
    x, k = da.zeros((60, 60), chunks=(20, 6)), np.ones((15, 15))
    with pytest.raises(ValueError, match=r"chunks of 6 elements along axis 1.* needs 7 .*x\.rechunk\(\{1: \d+\}\)"):
        fastconv.corr2d(x, k, "same")
    assert fastconv.corr2d(x.rechunk({1: 15}), k, "same").shape == x.shape
    with pytest.raises(ValueError, match=r"x\.rechunk\(\{1: 16\}\)"):  # of 14, the last would have 5
        fastconv.corr2d(da.zeros((9, 61), chunks=(9, 6)), np.ones((1, 15)), "same")
    with pytest.raises(ValueError, match=r"unknown size.*compute_chunk_sizes"):
        fastconv.corr2d(x[x[:, 0] > 0], k)
    with pytest.raises(ValueError, match=r"mask has chunks .*mask\.rechunk\(x\.chunks\)"):
        fastconv.corr2d(x, np.ones((3, 3)), mask=da.ones((60, 60), dtype=bool, chunks=30))


def test_arguments_that_do_not_do():
    x, k = da.zeros((60, 60), chunks=30), np.ones((3, 3))
    with pytest.raises(TypeError, match="k is a dask array"):
        fastconv.corr2d(x, da.ones((3, 3)))
    with pytest.raises(ValueError, match="out is an array"):
        fastconv.corr2d(x, k, out=np.empty((58, 58)))
    with pytest.raises(ValueError, match="method must be one of"):
        fastconv.corr2d(x, k, method="dirct")
    with pytest.raises(ValueError, match="'separable' is not possible"):
        fastconv.corr2d(x, np.eye(3) + np.ones((3, 3)), method="separable", stride=2)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        fastconv.corr2d(x, k, threads=0)


def test_called_by_names():
    x, k = np.arange(30.0).reshape(5, 6), np.ones((2, 2))
    made = fastconv.dask.corr2d(k=k, x=da.from_array(x, chunks=3), mode="same")
    np.testing.assert_array_equal(made.compute(), fastconv.corr2d(x, k, "same"))


# ---- gradients, layers, template matching, signal -------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"norm": "l2", "mode": "full"}, {"axes": (2, 0), "boundary": "wrap"}])
def test_gradients(rng, how):
    x = rng.standard_normal((20, 22, 24)).astype("f4")
    assert compare(fastconv.gradient, x, (8, 11, 7), **how)
    assert compare(fastconv.gradient, x[0], (9, 8), dtype=np.uint8, overflow="saturate", **{**how, "axes": (1, 0)})
    assert compare(fastconv.gradient, x[0], (9, 8), ([-0.5, 0, 0.5, 1], [0, 1, 0, 1]), method="numpy")


SUMS = ("convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", "oaconvolve")


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", SUMS)
def test_signal(rng, name, mode):
    function = getattr(fastconv.signal, name)
    x = rng.standard_normal((60, 64)) * 100
    for dtype in "f4", "u1", "c8":  # many and few products are summed in different ways
        for k in np.ones((3, 2)), rng.standard_normal((4, 5)).astype("f4"), np.arange(6).reshape(2, 3):
            assert compare(function, x.astype(dtype), (60, 23), k, mode)
            assert compare(function, x[:20, :16].astype(dtype), (12, 16), k, mode)
    if name.endswith("2d"):
        assert compare(function, x, (25, 23), np.ones((6, 7)), mode, boundary="wrap")
        assert compare(function, x, (25, 23), np.ones((6, 7)), mode, fillvalue=3, boundary="fill")
    if name in ("fftconvolve", "oaconvolve"):
        assert compare(function, x.astype("i2"), (25, 23), np.ones((4, 1)), mode, axes=0)


def test_signal_of_what_is_not_finite(rng):
    x = rng.standard_normal((60, 64))
    x[30, 20] = np.nan
    assert compare(fastconv.signal.correlate, x, (25, 23), rng.standard_normal((4, 5)))
    assert compare(fastconv.signal.convolve, x, (25, 23), rng.standard_normal((4, 5)) + 1j)


def test_transforms_are_within_their_bound(rng):
    x, k = rng.standard_normal((300, 310)).astype("f4"), rng.standard_normal((41, 43)).astype("f4")
    assert fastconv.explain(x.shape, k, dtype=np.float32).method == "fft"
    lazy = da.from_array(x, chunks=110)
    c = correlation_arguments(2, x, k, Options("same"))
    bound = fastconv.reference.error_bound(c, (), transformed=methods.choose(c, "auto").points)
    exact = fastconv.corr2d(x, k, "same", method="numpy", dtype=np.float64)
    assert (np.abs(fastconv.corr2d(lazy, k, "same").compute() - exact) <= bound).all()
    assert compare(fastconv.corr2d, x, 110, k, "same", method="direct")


LAYERS = (
    {},
    {"stride": 2, "padding": 2, "padding_mode": "reflect", "activation": "silu"},
    {"dilation": 2, "padding": "same", "padding_mode": "circular"},
    {"padding": ((1, 2), (0, 3)), "groups": 2, "bias": np.arange(6.0)},
)


@pytest.mark.parametrize("how", LAYERS)
def test_layers(rng, how):
    x = rng.standard_normal((3, 4, 40, 44))
    w = rng.standard_normal((6, 4 // how.get("groups", 1), 3, 4))
    for chunks in ((1, 4, 40, 44), (2, 4, 14, 22)):
        assert close(nn.conv2d, x, chunks, w, exact=chunks[2] == 40, **how)
    assert close(nn.conv2d, x[0], (4, 20, 22), w, **how)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    assert close(nn.conv2d, last, (2, 20, 22, 4), w, layout="NHWC", **how)
    assert close(nn.conv2d, x.astype("i4"), (3, 4, 20, 22), w, dtype="f4", **how)
    y = nn.conv2d(x, w, **how)
    assert close(nn.conv2d, x, (3, 4, 20, 22), w, add=rng.standard_normal(y.shape), **how)
    assert close(nn.conv1d, x[..., 0, :], (3, 4, 22), w[:, :, 0], groups=how.get("groups", 1))
    assert close(nn.conv3d, x[:, :, None], (3, 4, 1, 20, 22), w[:, :, None], groups=how.get("groups", 1))


def close(function, x, chunks, *args, exact=False, **how):
    """As compare, of what chooses its way by the sizes of planes, or centres tiles."""
    right = function(x, *args, **how)
    made = function(da.from_array(x, chunks=chunks), *args, **how)
    computed = made.compute()
    assert (right.shape, right.dtype) == (made.shape, made.dtype) == (computed.shape, computed.dtype)
    unit = 2e-6 if right.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(computed, right, 0 if exact else unit, 0 if exact else unit * np.abs(right).max())
    return True


@pytest.mark.parametrize("method", ["ccoeff_normed", "sqdiff", "ccorr"])
def test_template_matching(rng, method):
    x, match = rng.random((50, 60, 3)) * 255, fastconv.feature.match_template
    assert close(match, x[..., 0], (20, 23), x[3:9, 4:9, 0], method=method)
    assert close(match, x, (20, 23, 3), x[3:9, 4:9], method=method, axes=(0, 1))
    for mode in "constant", "wrap", "reflect":
        assert close(match, x[..., 1], (20, 23), x[3:9, 4:9, 0], True, mode, method=method, mask=rng.random((6, 5)))
    assert close(match, x[..., 0], (20, 23), np.full((3, 3), np.nan), method=method)


def test_what_is_not_computed_by_chunks_is_refused(rng):
    x = da.zeros((30, 40), chunks=15)
    for call, says in (
        (lambda: fastconv.signal.convolve(x, np.ones((31, 2)), "same"), "in2, of shape .* is longer along an axis"),
        (lambda: fastconv.signal.convolve2d(x, np.ones((41, 42))), "in2, of shape .* longer"),
        (lambda: fastconv.signal.correlate(x, np.full((3, 3), np.inf)), "in2 is not finite"),
        (lambda: fastconv.signal.fftconvolve(x, np.ones((1, 1))), "nothing is summed"),
        (lambda: fastconv.signal.fftconvolve(x, np.ones((30, 2)), axes=1), "in2, of shape .* has several kernels"),
        (lambda: fastconv.feature.match_template(x, np.ones((3, 3)), True, "mean"), "mode is 'mean'"),
        (lambda: nn.conv1d(x[None], np.ones((1, 2, 30, 3))), "each image has kernels of its own"),
    ):
        with pytest.raises(ValueError, match=says + r".*pass (in1|image|x)\.compute\(\)"):
            call()
    with pytest.raises(
        ValueError, match=r"2 chunks along axis 0, and each output needs all of .*x\.rechunk\(\{0: -1\}\)"
    ):
        nn.conv1d(x, np.ones((1, 30, 3)))


def never(block):
    raise AssertionError


LOADED = {("fastconv.tiled", "src"), ("nn.Parameter", "value")}  # block by block; and what takes nothing but an array


def test_no_public_function_loads_a_dask_array_silently():
    """Of all arguments that may be arrays: a dask array comes back, or an error that says how to load it."""
    answered = set()
    for name, (function, good) in {**CALLS, **LAYER_CALLS}.items():
        for argument, value in good.items():
            if isinstance(value, np.ndarray) and (name, argument) not in LOADED:
                lazy = da.from_array(value, chunks=-1).map_blocks(never, meta=np.empty((0,) * value.ndim, value.dtype))
                try:
                    assert isinstance(function(**{**good, argument: lazy}), da.Array)
                    answered.add(name)
                except TypeError as error:
                    assert ".compute()" in str(error), (name, argument, error)
    assert {f"signal.{name}" for name in SUMS} | {"nn.conv2d", "feature.match_template", "fastconv.gradient"} < answered
    xarray = pytest.importorskip("xarray")
    with pytest.raises(TypeError, match=r"x is a dask array.*x\.compute\(\)"):
        fastconv.corr2d(xarray.DataArray(da.zeros((6, 6)).map_blocks(never, meta=np.empty((0, 0)))), np.ones((3, 3)))


# ---- filters of ndimage ---------------------------------------------------------------------------

FILTERS = {
    "convolve": {"weights": np.arange(12.0).reshape(3, 4)},
    "convolve1d": {"weights": [1.0, 2, 4, 8], "axis": 0, "origin": 1},
    "correlate": {"weights": np.arange(1.0, 57).reshape(7, 8), "origin": (-2, 1)},
    "correlate1d": {"weights": [1.0, 2, 4, 8, 3]},
    "gaussian_filter": {"sigma": (1, 0.6), "order": (0, 1)},
    "gaussian_filter1d": {"sigma": 1.5, "axis": 0},
    "gaussian_gradient_magnitude": {"sigma": 1},
    "gaussian_laplace": {"sigma": (0.7, 1), "truncate": 3.0},
    "generic_gradient_magnitude": {"derivative": fastconv.ndimage.sobel},
    "generic_laplace": {"derivative2": fastconv.ndimage.prewitt},
    "laplace": {},
    "prewitt": {"axis": 0},
    "sobel": {},
    "uniform_filter": {"size": (9, 2), "origin": (1, 0)},
    "uniform_filter1d": {"size": 11},
}
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


def test_all_filters_are_here():
    assert set(FILTERS) == set(fastconv.ndimage.__all__)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FILTERS)
def test_filters(rng, name, mode):
    function = getattr(fastconv.ndimage, name)
    x = rng.standard_normal((60, 64)) * 100
    for dtype in "f4", "f8", "u1", "i4":
        assert compare(function, x.astype(dtype), (25, 23), mode=mode, cval=3, **FILTERS[name])
    assert compare(function, x.astype("u1"), (60, 32), output=np.float64, mode=mode, **FILTERS[name])
    if not name.startswith("generic"):
        assert compare(function, (x + 1j * x[::-1]).astype("c8"), (60, 32), mode=mode, **FILTERS[name])


@pytest.mark.parametrize("mode", MODES)
def test_filters_of_many_taps(rng, mode):
    """Methods that are faster for them count their blocks from where the whole begins."""
    x, w = rng.standard_normal((120, 90)), rng.integers(-4, 5, (15, 15)).astype(float)
    assert compare(fastconv.ndimage.correlate, x.astype("f4"), (40, 35), np.ones((15, 15)), mode=mode)
    lazy = fastconv.ndimage.correlate(da.from_array(np.rint(x * 9), chunks=(40, 35)), w, mode=mode)
    np.testing.assert_allclose(lazy, fastconv.ndimage.correlate(np.rint(x * 9), w, mode=mode), 0, 1e-9)


def test_filters_of_what_is_not_finite(rng):
    """A kernel with zeros, which SciPy leaves out, whatever they meet: windows decide, not arrays."""
    w = rng.standard_normal((9, 9))
    w[::2, 1::2] = 0
    x = rng.standard_normal((90, 80))
    x[70, 60], x[3, 4] = np.nan, np.inf
    assert compare(fastconv.ndimage.correlate, x, (40, 35), w)
    assert compare(fastconv.ndimage.convolve, x.astype("f4"), (40, 35), w, mode="mirror")
    made = fastconv.ndimage.correlate(x, w)
    np.testing.assert_allclose(made, scipy_ndimage().correlate(x, w), 1e-12, 1e-12)


def scipy_ndimage():
    return pytest.importorskip("scipy.ndimage")


def test_modes_that_differ_for_an_axis():
    x = da.zeros((60, 60), chunks=30)
    with pytest.raises(ValueError, match="mode must be one for axis 0"):
        fastconv.ndimage.gaussian_laplace(x, 1, mode=["reflect", "wrap"])
    with pytest.raises(RuntimeError, match="boundary mode not supported"):
        fastconv.ndimage.gaussian_filter(x, 1, mode="reflec")


# ---- what others build on -------------------------------------------------------------------------


def test_dask_image(rng):
    ndfilters = pytest.importorskip("dask_image.ndfilters")
    dispatch = importlib.import_module("dask_image.dispatch._dispatch_ndfilters")
    x = rng.standard_normal((40, 40))
    x[7, 7] = np.nan  # of which SciPy's running means are not free again
    lazy = da.from_array(x, chunks=20)
    fastconv.dask.register()
    assert dispatch.dispatch_sobel(lazy) is fastconv.ndimage.sobel
    np.testing.assert_array_equal(ndfilters.uniform_filter(lazy, 3), fastconv.ndimage.uniform_filter(x, 3))


def test_xarray(rng):
    xarray = pytest.importorskip("xarray")
    x = rng.standard_normal((40, 40))
    lazy = xarray.DataArray(da.from_array(x, chunks=20), dims=("y", "x"))
    made = xarray.apply_ufunc(fastconv.ndimage.gaussian_filter, lazy, 1.0, dask="allowed")
    assert isinstance(made.data, da.Array)
    np.testing.assert_array_equal(made.compute().data, fastconv.ndimage.gaussian_filter(x, 1.0))


# ---- several processes ----------------------------------------------------------------------------

DISTRIBUTED = """
import functools, os, signal, sys
import numpy as np
import dask, dask.array as da
import fastconv, fastconv.dask
from dask.distributed import Client, LocalCluster

def layer(x):
    return fastconv.nn.conv2d(x[None, None], np.ones((2, 1, 3, 3)), padding=1, activation="relu")

def die_once(block, folder=None):
    try:
        os.close(os.open(os.path.join(folder, "died"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return block
    os.kill(os.getpid(), signal.SIGKILL)

def spilled(dask_worker):
    return len(dask_worker.data.slow)

k = np.random.default_rng(1).standard_normal((5, 4))
OTHERS = [
    (fastconv.gradient, (), {"norm": "l2"}, True),
    (fastconv.signal.correlate2d, (k,), {"mode": "same"}, True),
    (fastconv.feature.match_template, (np.abs(k),), {}, False),
    (layer, (), {}, False),
]

if __name__ == "__main__":
    dask.config.set({"distributed.worker.memory.target": 0.2, "distributed.worker.memory.spill": 0.3})
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="400MB", dashboard_address=None) as cluster:
        with Client(cluster) as client:
            x = np.random.default_rng(0).standard_normal((3000, 3000))
            lazy = da.from_array(x, chunks=750)
            lazy = lazy.map_blocks(die_once, folder=sys.argv[1], dtype=x.dtype, meta=np.empty((0, 0)))
            soft = fastconv.ndimage.gaussian_filter(lazy, 3, mode="wrap")
            edges = fastconv.corr2d(soft, np.ones((5, 4)), "same", "reflect", stride=2)
            right = fastconv.ndimage.gaussian_filter(x, 3, mode="wrap")
            right = fastconv.corr2d(right, np.ones((5, 4)), "same", "reflect", stride=2)
            assert np.array_equal(edges.compute(), right)
            large = da.random.random((6000, 6000), chunks=1000).persist()  # 288 MB: more than both keep in memory
            total = fastconv.ndimage.uniform_filter(large, 9).sum().compute()
            assert abs(total / 36e6 - 0.5) < 1e-3
            assert sum(client.run(spilled).values()) > 0
            part = large[:1500, :1500].rechunk(500)
            image = part.compute()
            for function, args, how, exact in OTHERS:
                got = function(part, *args, **how).compute()
                right = function(image, *args, **how)
                assert got.shape == right.shape
                assert np.array_equal(got, right) if exact else np.allclose(got, right, 1e-10, 1e-12), function
            assert os.path.exists(os.path.join(sys.argv[1], "died"))
            print("done")
"""


@pytest.mark.deep
def test_two_processes_that_spill_and_one_that_is_killed(tmp_path):
    pytest.importorskip("distributed")
    script = tmp_path / "script.py"
    script.write_text(DISTRIBUTED)
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr
