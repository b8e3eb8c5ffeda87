# SPDX-License-Identifier: BSD-3-Clause
"""fastconv on dask arrays: the bits of the call in memory whatever the chunks, lazily, and what is refused."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastconv

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


def test_what_does_not_know_of_dask_takes_it_as_an_array():
    x = da.arange(9.0, chunks=3)
    np.testing.assert_array_equal(fastconv.xcorr(x, np.ones(9), 2), fastconv.xcorr(np.arange(9.0), np.ones(9), 2))


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

def die_once(block, folder=None):
    try:
        os.close(os.open(os.path.join(folder, "died"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return block
    os.kill(os.getpid(), signal.SIGKILL)

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
