# SPDX-License-Identifier: BSD-3-Clause
"""Arrays block by block: the bits of the call in memory, bounded memory, and what a call leaves that ends early."""

import errno
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import posix

import fastconv
from fastconv import ndimage

part = functools.partial
BLOCKS = ((13, 17), (100, 100))
SOFT = part(ndimage.gaussian_filter, sigma=1)


def compare(src, what, right, **how):
    for block in BLOCKS:
        dst = np.empty(right.shape, right.dtype)
        fastconv.tiled(src, what, dst, block=block, workers=2, **how)
        np.testing.assert_array_equal(dst, right)


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_kernels(rng, boundary):
    x, k = rng.standard_normal((24, 32)).astype("f4"), rng.standard_normal((4, 5)).astype("f4")
    for mode in "same", "full", "valid":
        right = fastconv.corr2d(x, k, mode, boundary)
        compare(x, k, right, mode=mode, boundary=boundary)
    compare(x, k, fastconv.corr2d(x, k, "same", boundary, stride=(2, 3)), boundary=boundary, stride=(2, 3))


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
def test_filters_and_chains(rng, mode):
    x = rng.integers(0, 255, (40, 50)).astype("u1")
    soft, mean = (
        part(ndimage.gaussian_filter, sigma=1.2, mode=mode),
        part(ndimage.uniform_filter, size=(9, 11), mode=mode),
    )
    sharp = part(ndimage.sobel, mode=mode, output=np.float32)
    compare(x, soft, soft(x))
    compare(x, mean, mean(x))
    compare(x, [soft, mean, sharp], sharp(mean(soft(x))))
    half = part(fastconv.corr2d, k=np.ones((3, 3)), mode="same", boundary="wrap", stride=2)
    compare(x, [half, half], half(half(x)))


def test_the_kernel_may_be_larger_than_the_array(rng):
    x, k = rng.standard_normal((9, 8)), rng.standard_normal((21, 25))
    for boundary in "wrap", "reflect", "edge":
        compare(x, k, fastconv.corr2d(x, k, "same", boundary), boundary=boundary)


def test_what_is_missing(rng):
    x, mask = rng.standard_normal((30, 31)), rng.random((30, 31)) < 0.8
    x[3, 4] = np.nan
    k = np.ones((3, 3))
    compare(x, k, fastconv.corr2d(x, k, "same", nan="ignore", mask=mask), nan="ignore", mask=mask)


def test_bytes_become_bytes(rng):
    x, k = rng.integers(0, 255, (30, 31)).astype("u1"), np.ones((3, 3))
    compare(x, k, fastconv.corr2d(x, k, "same", dtype="u1", overflow="saturate"), overflow="saturate")


# ---- stores ---------------------------------------------------------------------------------------


def stores(tmp_path, x, shape, dtype):
    """Pairs of src and dst, and how to read what was written."""
    np.save(tmp_path / "x.npy", x)
    made = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", dtype, shape)
    yield np.load(tmp_path / "x.npy", mmap_mode="r"), made


def test_memmaps(rng, tmp_path):
    x = rng.standard_normal((60, 70)).astype("f4")
    for src, dst in stores(tmp_path, x, x.shape, x.dtype):
        fastconv.tiled(src, np.ones((3, 3), "f4"), dst, max_memory=2**16)
        np.testing.assert_array_equal(dst, fastconv.corr2d(x, np.ones((3, 3), "f4"), "same"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.npy"]


@pytest.mark.parametrize("view", [np.asarray, np.lib.stride_tricks.as_strided, lambda a: a], ids=["array", "by", "map"])
def test_parts_of_a_file(rng, tmp_path, view):
    k, x = np.ones((3, 3)), rng.standard_normal((20, 20))
    stack = np.lib.format.open_memmap(tmp_path / "stack.npy", "w+", "f8", (3, 20, 20))
    stack[0] = x
    records = set()
    for i in 1, 2:
        how = {"block": (10, 20), "workers": 1, "progress": lambda *_: records.update(tmp_path.glob("*.blocks"))}
        fastconv.tiled(view(stack[0]), k, view(stack[i]), **how)
        np.testing.assert_array_equal(stack[i], fastconv.corr2d(x, k, "same"))
    assert len(records) == 2 and not list(tmp_path.glob("*.blocks"))
    (tmp_path / "other.npy").hardlink_to(tmp_path / "stack.npy")
    for name in "stack.npy", "other.npy":
        flat = np.memmap(tmp_path / name, "f8", "r+", offset=stack.offset)
        for first in 1, 399, 400, 800:
            dst = flat[first : first + 400].reshape(20, 20)
            again = np.memmap(tmp_path / name, "f8", "r+", stack.offset + 8 * first, (20, 20))
            for some in dst, again:
                if first < 400:
                    with pytest.raises(ValueError, match="dst must not be src"):
                        fastconv.tiled(view(stack[0]), k, view(some))
                else:
                    fastconv.tiled(view(stack[0]), k, view(some))
    np.testing.assert_array_equal(stack[0], x)


def test_zarr(rng, tmp_path):
    zarr = pytest.importorskip("zarr")
    x = rng.standard_normal((60, 70)).astype("f4")
    src = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(16, 20), dtype=x.dtype)
    src[...] = x
    group = zarr.open_group(tmp_path / "y.zarr", mode="w")
    for level, chunks, shards in (("0", (8, 8), (16, 16)), ("1", (30, 9), None)):
        dst = group.create_array(level, shape=x.shape, chunks=chunks, shards=shards, dtype=x.dtype)
        fastconv.tiled(src, part(ndimage.gaussian_filter, sigma=1), dst, workers=2)
        np.testing.assert_array_equal(dst[...], ndimage.gaussian_filter(x, 1))
    with pytest.raises(ValueError, match=r"block must be made of the chunks of dst, \(30, 9\)"):
        fastconv.tiled(src, np.ones((3, 3)), dst, block=(31, 9))
    with pytest.raises(ValueError, match="dst must not be src"):
        fastconv.tiled(zarr.open(tmp_path / "x.zarr", mode="r"), np.ones((3, 3)), src)
    half = group.create_array("half", shape=(30, 35), chunks=(16, 16), dtype=x.dtype)
    fastconv.tiled(src, fastconv.kernels.gaussian(5), half, stride=2, boundary="reflect")
    right = fastconv.corr2d(x, fastconv.kernels.gaussian(5), "same", "reflect", stride=2, dtype="f4")
    np.testing.assert_array_equal(half[...], right)
    assert not list(tmp_path.glob("*.blocks"))


def test_a_damaged_chunk_is_named(rng, tmp_path):
    zarr = pytest.importorskip("zarr")
    src = zarr.create_array(tmp_path / "x.zarr", shape=(40, 40), chunks=(20, 20), dtype="f4")
    src[...] = 1
    chunk = next(tmp_path.glob("x.zarr/c/1/1"))
    chunk.write_bytes(chunk.read_bytes()[:9])
    with pytest.raises(Exception) as error:
        fastconv.tiled(src, np.ones((3, 3)), np.empty((40, 40), "f4"), block=(20, 20), workers=1)
    assert "block ((" in str(error.value) + "".join(getattr(error.value, "__notes__", ()))


def test_hdf5(rng, tmp_path):
    h5py = pytest.importorskip("h5py")
    x = rng.standard_normal((60, 70))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        src = file.create_dataset("x", data=x, chunks=(20, 20))
        dst = file.create_dataset("y", shape=x.shape, chunks=(16, 32), dtype=x.dtype)
        fastconv.tiled(src, part(ndimage.laplace, mode="wrap"), dst, workers=2)
        np.testing.assert_array_equal(dst[...], ndimage.laplace(x, mode="wrap"))


class OfTensorStore:
    """An array by the names of tensorstore."""

    def __init__(self, a, path):
        self.a, self.shape, self.dtype = a, a.shape, SimpleNamespace(numpy_dtype=a.dtype)
        self.chunk_layout = SimpleNamespace(write_chunk=SimpleNamespace(shape=(16, 20)))
        self.kvstore = SimpleNamespace(url=f"file://{path}")

    def __getitem__(self, at):
        return self.a[at]

    def __setitem__(self, at, made):
        assert all(s.start % n == 0 for s, n in zip(at, (16, 20), strict=True))
        self.a[at] = made


@pytest.mark.parametrize("real", [False, True])
def test_tensorstore(rng, tmp_path, real):
    x = rng.standard_normal((60, 50)).astype("f4")
    if real:
        ts = pytest.importorskip("tensorstore")
        layout = ts.ChunkLayout(chunk_shape=[16, 20])
        how = {"create": True, "dtype": ts.float32, "shape": x.shape, "chunk_layout": layout}
        spec = [{"driver": "zarr", "kvstore": {"driver": "file", "path": str(tmp_path / name)}} for name in "xy"]
        src, dst = (ts.open(s, **how).result() for s in spec)
        src[...] = x
    else:
        src, dst = OfTensorStore(x, tmp_path / "x"), OfTensorStore(np.zeros_like(x), tmp_path / "y")
    assert fastconv.tiled(src, SOFT, dst, workers=2, max_memory=10**5) is dst
    np.testing.assert_array_equal(dst[...], SOFT(x))
    assert not (tmp_path / "y.blocks").exists()
    with pytest.raises(ValueError, match="dst must not be src"):
        fastconv.tiled(src, SOFT, src)


def test_tiff(rng, tmp_path):
    tifffile, zarr = pytest.importorskip("tifffile"), pytest.importorskip("zarr")
    x = rng.integers(0, 2**16, (64, 80)).astype("u2")
    tifffile.imwrite(tmp_path / "x.tif", x, tile=(16, 32))
    dst = np.empty(x.shape, "u2")
    with tifffile.imread(tmp_path / "x.tif", aszarr=True) as store:
        fastconv.tiled(zarr.open(store, mode="r"), part(ndimage.gaussian_filter, sigma=2), dst)
    np.testing.assert_array_equal(dst, ndimage.gaussian_filter(x, 2))


# ---- bounds ---------------------------------------------------------------------------------------


class Generated:
    """Made when it is looked at; remembers how much was, at most and at once."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.largest = shape, np.dtype(dtype), 0

    def __getitem__(self, at):
        rows, columns = (np.arange(s.start or 0, s.stop) for s in at)
        made = (rows[:, None] * 31 + columns * 17).astype(self.dtype)
        self.largest = max(self.largest, made.nbytes)
        return made


class Counted:
    """Keeps a corner of what is written."""

    def __init__(self, shape, dtype, chunks):
        self.shape, self.dtype, self.chunks, self.written = shape, np.dtype(dtype), chunks, 0
        self.corner = np.zeros((50, 60), dtype)

    def __setitem__(self, at, value):
        assert value.shape == tuple(s.stop - s.start for s in at)
        self.written += value.size
        if at[0].start == at[1].start == 0:
            self.corner[...] = value[:50, :60]


def test_nothing_is_larger_than_a_block():
    src, dst = Generated((3000, 4000), "u1"), Counted((3000, 4000), "u1", (128, 128))
    calls = []
    fastconv.tiled(
        src,
        part(ndimage.gaussian_filter, sigma=2),
        dst,
        workers=2,
        max_memory=2**22,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert src.largest <= 2**22 / 4 and dst.written == 3000 * 4000
    assert calls == [(i, len(calls) - 1) for i in range(len(calls))]
    corner = ndimage.gaussian_filter(src[:200, :200], 2)[:50, :60]
    np.testing.assert_array_equal(dst.corner, corner)
    with pytest.raises(ValueError, match=r"max_memory of 1000 bytes is too little for 2 blocks of \(128, 128\)"):
        fastconv.tiled(src, np.ones((3, 3)), dst, workers=2, max_memory=1000)


# ---- what ends early ------------------------------------------------------------------------------


class Full:
    """An array on a disk that is full after some blocks."""

    def __init__(self, to, blocks):
        self.to, self.left, self.shape, self.dtype = to, blocks, to.shape, to.dtype

    def __setitem__(self, at, value):
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= 1
        self.to[at] = value

    def __getitem__(self, at):
        return self.to[at]


def test_a_full_disk(rng, tmp_path):
    x, k, y = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40))
    how = {"block": (10, 40), "workers": 1, "record": tmp_path / "record"}
    with pytest.raises(
        OSError, match=r"block \(\(20, 30\), \(0, 40\)\) could not be written: .*No space left"
    ) as error:
        fastconv.tiled(x, k, Full(y, 2), **how)
    assert error.value.errno == errno.ENOSPC and not y[20:].any()
    with pytest.raises(ValueError, match="is the record of another call"):
        fastconv.tiled(x, 2 * k, y, **how)
    again = Full(y, 2)  # two are done
    fastconv.tiled(x, k, again, **how)
    assert again.left == 0
    np.testing.assert_array_equal(y, fastconv.corr2d(x, k, "same"))
    assert not (tmp_path / "record").exists()


def test_a_call_with_another_mask_is_another_call(rng, tmp_path):
    x, k, y = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40))
    how = {"block": (10, 40), "workers": 1, "record": tmp_path / "record"}
    masks = rng.random((2, 40, 40)) < 0.8
    with pytest.raises(OSError):
        fastconv.tiled(x, k, Full(y, 2), **how, mask=masks[0])
    for other in (masks[1], None):
        with pytest.raises(ValueError, match="is the record of another call"):
            fastconv.tiled(x, k, y, **how, mask=other)
    fastconv.tiled(x, k, y, **how, mask=masks[0])
    np.testing.assert_array_equal(y, fastconv.corr2d(x, k, "same", mask=masks[0]))


def test_a_call_of_another_file_is_another_call(rng, tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((40, 40)))
    files = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "aba"]
    k, y, how = np.ones((3, 3)), np.zeros((40, 40)), {"block": (10, 40), "workers": 1, "record": tmp_path / "record"}
    with pytest.raises(OSError):
        fastconv.tiled(files[0], k, Full(y, 2), **how)
    with pytest.raises(ValueError, match="is the record of another call"):
        fastconv.tiled(files[1], k, y, **how)
    fastconv.tiled(files[2], k, y, **how)
    np.testing.assert_array_equal(y, fastconv.corr2d(files[0], k, "same"))


def ended_early(x, k, dst, **how):
    """After two of four blocks."""

    def end(done, total):
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastconv.tiled(x, k, dst, block=(10, 40), workers=1, progress=end, **how)


def goes_on(x, k, dst, blocks, record):
    """Only so many blocks are written, and all are right then."""
    counted = Full(dst, blocks)
    fastconv.tiled(x, k, counted, block=(10, 40), workers=1, record=record)
    assert counted.left == 0 and not record.exists()
    np.testing.assert_array_equal(dst, fastconv.corr2d(x, k, "same"))


@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_what_is_made_anew_is_filled(rng, tmp_path, kind):
    x, k = rng.standard_normal((40, 40)), np.ones((3, 3))
    if kind == "npy":
        make = part(np.lib.format.open_memmap, tmp_path / "y.npy", "w+", "f8", x.shape)
    else:
        create = pytest.importorskip("zarr").create_array
        make = part(create, tmp_path / "y.zarr", shape=x.shape, chunks=(10, 40), dtype=x.dtype, overwrite=True)
    ended_early(x, k, make())
    assert len(list(tmp_path.glob("*.blocks"))) == 1
    dst = fastconv.tiled(x, k, make(), block=(10, 40))
    np.testing.assert_array_equal(dst[...], fastconv.corr2d(x, k, "same"))


@pytest.mark.parametrize("dtype", ["f8", ">f8", "c16"])
def test_what_dst_has_lost_is_made_again(rng, tmp_path, dtype):
    x, k, record = rng.standard_normal((40, 40)), np.ones((3, 3)), tmp_path / "record"
    x = x.astype(np.dtype(dtype).newbyteorder("="))
    y = np.zeros((40, 80), dtype)[:, ::2]
    for lost in 0, 1:
        ended_early(x, k, y, record=record)
        y[3, 17] += lost
        goes_on(x, k, y, 2 + lost, record)


def test_a_chunk_of_dst_that_is_damaged_is_made_again(rng, tmp_path):
    zarr = pytest.importorskip("zarr")
    x, k = rng.standard_normal((40, 40)), np.ones((3, 3))
    y = zarr.create_array(tmp_path / "y.zarr", shape=x.shape, chunks=(10, 40), dtype=x.dtype)
    ended_early(x, k, y)
    (tmp_path / "y.zarr" / "c" / "1" / "0").write_bytes(b"damaged")
    fastconv.tiled(x, k, y, block=(10, 40))
    np.testing.assert_array_equal(y[...], fastconv.corr2d(x, k, "same"))


@pytest.mark.parametrize("checked", [2**28, 10 * 40 * 8])  # all rows, or every fourth
def test_a_call_of_another_source_is_another_call(rng, tmp_path, monkeypatch, checked):
    monkeypatch.setattr("fastconv.records.CHECKED", checked)
    monkeypatch.setattr("fastconv.records.PIECE", 1000)
    x, k, y, record = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40)), tmp_path / "record"
    ended_early(x, k, y, record=record)
    other = x.copy()
    other[36, 39] += 1
    for another in other, x[::-1]:
        with pytest.raises(ValueError, match="is the record of another call"):
            fastconv.tiled(another, k, y, block=(10, 40), record=record)
    goes_on(x.copy(), k, y, 2, record)


def test_a_file_that_was_changed_is_another_source(rng, tmp_path):
    x, k, y, record = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40)), tmp_path / "record"
    np.save(tmp_path / "x.npy", x)
    src = np.load(tmp_path / "x.npy", mmap_mode="r")
    ended_early(src, k, y, record=record)
    then = os.stat(tmp_path / "x.npy").st_mtime_ns
    for other, time in (src, then + 10**9), (src[::-1], then):
        os.utime(tmp_path / "x.npy", ns=(time, time))
        with pytest.raises(ValueError, match="is the record of another call"):
            fastconv.tiled(other, k, y, block=(10, 40), record=record)
    goes_on(np.load(tmp_path / "x.npy", mmap_mode="r"), k, y, 2, record)


def test_a_folder_of_chunks_that_was_changed_is_another_source(rng, tmp_path):
    zarr = pytest.importorskip("zarr")
    x, k, y, record = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40)), tmp_path / "record"
    group = zarr.open_group(tmp_path / "both.zarr", mode="w")
    src = group.create_array("x", shape=x.shape, dtype=x.dtype, chunks=(10, 40))
    src[...] = x
    ended_early(src, k, y, record=record)
    then = (tmp_path / "both.zarr" / "x" / "c" / "2" / "0").stat().st_mtime_ns
    src[25, 3] = 7
    with pytest.raises(ValueError, match="is the record of another call"):
        fastconv.tiled(src, k, y, block=(10, 40), record=record)
    src[25, 3] = x[25, 3]
    os.utime(tmp_path / "both.zarr" / "x" / "c" / "2" / "0", ns=(then, then))
    goes_on(src, k, y, 2, record)
    beside = group.create_array("y", shape=x.shape, dtype=x.dtype, chunks=(10, 40))
    ended_early(src, k, beside, record=record)  # what dst changes beside it does not count
    goes_on(src, k, beside, 2, record)


def test_memmaps_that_are_known_by_what_they_hold(rng, tmp_path):
    """One whose file changes with dst, and one that shows what its file does not hold."""
    x, k, path = rng.standard_normal((40, 40)), np.ones((3, 3)), tmp_path / "stack.npy"
    stack = np.lib.format.open_memmap(path, "w+", "f8", (2, 40, 40))
    own = np.load(path, mmap_mode="c")[0]
    stack[0], own[...] = x, 2 * x
    other = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", "f8", x.shape)
    for src, dst in (stack[0], stack[1]), (own, other):
        ended_early(src, k, dst)
        os.utime(path, ns=(1, 1))
        src[0] = -src[0]
        with pytest.raises(ValueError, match="is the record of another call"):
            fastconv.tiled(src, k, dst, block=(10, 40))
        src[0] = -src[0]
        fastconv.tiled(src, k, dst, block=(10, 40))
        np.testing.assert_array_equal(dst, fastconv.corr2d(src, k, "same"))


def test_records_without_checksums_do_not_count(rng, tmp_path):
    x, k, y, record = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40)), tmp_path / "record"
    record.write_text('[[40, 40], "float64", null, [40, 40], "float64", [10, 40], "12ab"]\n0\n1\n')
    goes_on(x, k, y, 4, record)


def test_masks_are_as_in_memory(rng):
    x, k, mask = rng.standard_normal((30, 31)), np.ones((3, 3)), rng.random((30, 31)) < 0.8
    for lain in (mask[0], mask.tolist(), np.True_):
        y = fastconv.tiled(x, k, np.zeros_like(x), block=(15, 31), mask=lain)
        np.testing.assert_array_equal(y, fastconv.corr2d(x, k, "same", mask=lain))
    for error, wrong in ((TypeError, mask.astype(int)), (ValueError, mask[:5, :5]), (ValueError, mask[None])):
        for given in (wrong, Shaped(wrong)):
            with pytest.raises(error, match=r"^mask "):
                fastconv.tiled(x, k, np.zeros_like(x), mask=given)


class Shaped:
    """A mask that is sliced, and no array."""

    def __init__(self, a):
        self.a, self.shape, self.dtype = a, a.shape, a.dtype

    def __getitem__(self, at):
        return self.a[at]


def test_a_line_without_an_end_does_not_count(rng, tmp_path):
    x, k, y = rng.standard_normal((40, 40)), np.ones((3, 3)), np.zeros((40, 40))
    record = tmp_path / "record"
    how = {"block": (10, 40), "workers": 1, "record": record}
    with pytest.raises(OSError):
        fastconv.tiled(x, k, Full(y, 2), **how)
    record.write_text(record.read_text()[:-1])
    fastconv.tiled(x, k, y, **how)
    np.testing.assert_array_equal(y, fastconv.corr2d(x, k, "same"))


KILLED = """
import functools, os, signal, sys
import numpy as np
import fastconv
src, dst = np.load("x.npy", mmap_mode="r"), np.load("y.npy", mmap_mode="r+")
def progress(done, total):
    if done == int(sys.argv[1]):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    if done == total:
        print("all")
soft = functools.partial(fastconv.ndimage.gaussian_filter, sigma=1)
fastconv.tiled(src, soft, dst, block=(8, 64), workers=2, progress=progress)
"""


@posix
@pytest.mark.deep
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_what_is_killed_goes_on(rng, tmp_path, name):
    x = rng.standard_normal((64, 64))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.zeros_like(x))
    environment = {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])}
    for blocks in 3, 6, -1:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(blocks), name],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if blocks < 0:
            assert done.stdout == "all\n", done.stderr
        else:
            assert done.returncode == -getattr(signal, name)
            lines = (tmp_path / "y.npy.128.blocks").read_text().splitlines()[1:]
            assert blocks <= len(lines) < 8
            made = np.load(tmp_path / "y.npy")
            for line in lines:
                first = 8 * int(line.split()[0])
                rows = slice(first, first + 8)
                np.testing.assert_array_equal(made[rows], ndimage.gaussian_filter(x, 1)[rows])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), ndimage.gaussian_filter(x, 1))


# ---- what is refused ------------------------------------------------------------------------------


def test_arguments_that_do_not_do(rng):
    x, k, y = np.zeros((20, 20)), np.ones((3, 3)), np.zeros((20, 20))
    for error, message, what, dst, how in (
        (
            ValueError,
            r"dst has shape \(3, 3\); what is made of src, \(20, 20\), has shape \(20, 20\)",
            k,
            np.zeros((3, 3)),
            {},
        ),
        (TypeError, "dst has dtype float32; the result has dtype float64", ndimage.sobel, np.zeros((20, 20), "f4"), {}),
        (ValueError, "dst must not be src", k, x, {}),
        (ValueError, "dst must not be src", k, x[::-1], {}),
        (TypeError, "what must be a kernel, or a function whose halo is known", np.sort, y, {}),
        (TypeError, "boundary is an argument of a kernel", ndimage.sobel, y, {"boundary": "edge"}),
        (TypeError, "what must take x first", part(ndimage.gaussian_filter, x), y, {}),
        (ValueError, "what must be a kernel of 1 to 3 dimensions", np.ones((1, 1, 1, 1)), y, {}),
        (ValueError, "return_weight must be False", k, y, {"return_weight": True}),
        (ValueError, "workers must be at least 1", k, y, {"workers": 0}),
        (ValueError, "what must make an array with the axes of x", np.ones((2, 3, 3)), y, {}),
        (ValueError, "boundary must be one of", k, y, {"boundary": "edgy"}),
    ):
        if "with the axes of x" in message:
            what = part(fastconv.corr2d, k=what, mode="same")
        with pytest.raises(error, match=message):
            fastconv.tiled(x, what, dst, **how)
    masked = np.ma.masked_array(x, np.eye(20) > 0)
    for src, dst, name in ((masked, y, "src"), (x, masked, "dst")):
        with pytest.raises(TypeError, match=f"{name} is a masked array, whose mask would be ignored"):
            fastconv.tiled(src, k, dst)
    assert not y.any()
