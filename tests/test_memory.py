# SPDX-License-Identifier: BSD-3-Clause
"""Nothing is read outside x and k or written outside out; layouts, overlap, and calls that run out of memory."""

from __future__ import annotations

import ctypes
import faulthandler
import itertools
import mmap
import tracemalloc

import cases
import numpy as np
import pytest
from conftest import only_deep, posix

import fastconv
from fastconv import _core, nn, reference

methods = pytest.mark.parametrize("method", cases.METHODS)
floats = pytest.mark.parametrize("dtype", cases.FLOATS)

# guard pages --------------------------------------------------------------------------

CANARY = 0xA5


class Room:
    """Memory between two pages that cannot be touched: guard | canaries, array | guard."""

    def __init__(self, capacity: int) -> None:
        page = mmap.PAGESIZE
        self.size = -(-capacity // page) * page
        pages = mmap.mmap(-1, self.size + 2 * page, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        everything = np.frombuffer(pages, np.uint8)
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        for guard in (0, page + self.size):
            if mprotect(everything.ctypes.data + guard, page, 0) != 0:  # PROT_NONE
                raise OSError(ctypes.get_errno(), "mprotect")
        self.bytes = everything[page : page + self.size]

    def place(self, a, end, *, reverse=False):
        """Copy of a at the end, or the beginning, of the room; with its axes reversed in memory on demand."""
        start = self.size - a.nbytes if end else 0
        self.rest = np.delete(np.arange(self.size), slice(start, start + a.nbytes))
        self.bytes[:] = CANARY
        copy = self.bytes[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
        if reverse:
            copy = copy[(slice(None, None, -1),) * a.ndim]
        copy[...] = a
        return copy

    def assert_canaries(self, case):
        assert (self.bytes[self.rest] == CANARY).all(), f"written outside out: {case}"


def walk(isa, dtype, method, heights):
    """Correlate arrays that begin and that end at a guard page; prints each case before it runs."""
    faulthandler.enable()
    rng = np.random.default_rng(0)
    rooms = [Room(n) for n in (40_000, 4_000, 40_000)]
    with fastconv.use_isa(isa):
        for h in heights:
            for image, kernel in cases.tiles(h, dtype):
                data = cases.integers(rng, image, dtype), cases.integers(rng, kernel, dtype)
                where = [("valid", "constant", False)]
                if image[0] == kernel[0]:  # one output row says enough of these
                    where += [("same", "reflect", False), ("full", "constant", False), ("valid", "constant", True)]
                for mode, boundary, reverse in where:
                    expected = reference.corr2d(*data, mode, boundary)
                    for end in (False, True):
                        case = f"{isa} {dtype} {method} {image} {kernel} {mode} reverse={reverse} end={end}"
                        print(case, flush=True)
                        x, k, out = (
                            room.place(a, end, reverse=reverse)
                            for room, a in zip(rooms, (*data, np.zeros_like(expected)), strict=True)
                        )
                        fastconv.corr2d(x, k, mode, boundary, out=out, method=method)
                        rooms[2].assert_canaries(case)
                        cases.assert_same_bits(out, expected, case)


def walk_points(isa):
    """Layers of one tap, which read images where they are, that begin and that end at a guard page.

    By many kernels, those that cross lines may be packed."""
    faulthandler.enable()
    rng = np.random.default_rng(0)
    room = Room(40_000)
    with fastconv.use_isa(isa):
        for shape in (2, 3, 4, 8), (1, 5, 7, 7), (2, 3, 5, 13), (1, 2, 33, 64), (3, 4, 1, 16):
            for kernels in (3, 17, 450):
                w = cases.integers(rng, (kernels, shape[1], 1, 1), "float32")
                for end in (False, True):
                    print(isa, shape, kernels, end, flush=True)
                    x = room.place(cases.integers(rng, shape, "float32"), end)
                    cases.assert_same_bits(nn.conv2d(x, w), np.einsum("ncij,kc->nkij", x, w[:, :, 0, 0]))


@posix
@pytest.mark.parametrize("offset", [mmap.PAGESIZE - 1, mmap.PAGESIZE, *only_deep(0, -1)])
def test_guard_pages_guard(python, offset):
    code = "import ctypes; room = test_memory.Room(1); ctypes.string_at(room.bytes.ctypes.data + {}, 1)"
    done = python("import test_memory; " + code.format(offset))
    assert (done.returncode == 0) == (0 <= offset < mmap.PAGESIZE), done.stderr


@posix
def test_guard_pages_of_points(python):
    done = python("import fastconv, test_memory; [test_memory.walk_points(isa) for isa in fastconv.isas()]")
    assert done.returncode == 0, f"exit code {done.returncode} at {done.stdout}\n{done.stderr}"


@posix
@pytest.mark.parametrize("heights", [(2, 9), *only_deep((1, 3, 5, 7, 17))], ids=str)
def test_guard_pages(python, isa, heights):
    ways = [*itertools.product(cases.FLOATS, cases.METHODS)]
    if heights == (2, 9):  # both of each on every instruction set: in half of the time
        ways = ways[::3] if fastconv.isas().index(isa) % 2 else ways[1:3]
    done = python(f"import test_memory; [test_memory.walk({isa!r}, *way, {heights}) for way in {ways!r}]")
    last = done.stdout.rpartition("\n")[0].rpartition("\n")[2]
    assert done.returncode == 0, f"exit code {done.returncode} at {last}\n{done.stderr}"


@methods
@floats
def test_canaries_around_strided_out(isa, rng, dtype, method):
    for image, kernel in (((9, 40), (3, 3)), ((70, 530), (2, 4)), ((20, 33), (9, 2))):
        x, k = cases.integers(rng, (2, *image), dtype), cases.integers(rng, kernel, dtype)
        for mode in cases.MODES:
            expected = reference.corr2d(x, k, mode, "edge")
            n, OH, OW = expected.shape
            for steps in ((1, 1, 2), (1, 3, 1), (2, 1, 1), (2, 2, -3), (1, -1, 1)):
                room = np.full([abs(s) * m + 2 for s, m in zip(steps, (n, OH, OW), strict=True)], 1e30, dtype)
                inside = tuple(slice(1 if s > 0 else -1, None, s) for s in steps)
                out = room[inside][:n, :OH, :OW]
                fastconv.corr2d(x, k, mode, "edge", out=out, method=method)
                cases.assert_same_bits(out, expected, f"{image} {kernel} {mode} {steps}")
                out[...] = 1e30
                assert (room == np.array(1e30, dtype)).all(), f"written between: {image} {kernel} {mode} {steps}"


# layouts ------------------------------------------------------------------------------


def packed(a):
    """Copy of a that is a field of packed records: misaligned, steps no multiple of the element."""
    records = np.zeros(a.shape, [("pad", "u1"), ("a", a.dtype)])
    records["a"] = a
    return records["a"]


def odd_rows(a):
    """Copy of a whose rows are one byte apart, so that every second one is misaligned."""
    room = np.zeros((len(a), a[0].nbytes + 1), np.uint8)
    room[:, :-1] = a.view(np.uint8)
    return np.ndarray(a.shape, a.dtype, room, strides=(room.shape[1], a.itemsize))


LAYOUTS = {
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "misaligned": packed,
    "misaligned, reversed": lambda a: packed(a[..., ::-1])[..., ::-1],
    "negative steps": lambda a: a[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "transposed": lambda a: a.swapaxes(-1, -2).copy().swapaxes(-1, -2),
    "rows of odd bytes": odd_rows,
    "one row, repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "one column, repeated": lambda a: np.broadcast_to(a[:, :1], a.shape),
    "one pixel, repeated": lambda a: np.broadcast_to(a[0, 0], a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@methods
@floats
def test_input_layouts(isa, rng, dtype, method, layout):
    x, k = cases.integers(rng, (20, 70), dtype), cases.integers(rng, (4, 3), dtype)
    laid_x, laid_k = LAYOUTS[layout](x), LAYOUTS[layout](k)
    for mode in cases.MODES:
        expected = reference.corr2d(laid_x, laid_k, mode, "wrap")
        y = fastconv.corr2d(laid_x, laid_k, mode, "wrap", method=method)
        cases.assert_same_bits(y, expected, mode)


@methods
@floats
def test_misaligned_out(isa, rng, dtype, method):
    x, k = cases.integers(rng, (20, 70), dtype), cases.integers(rng, (4, 3), dtype)
    for mode in cases.MODES:
        expected = reference.corr2d(x, k, mode)
        out = packed(np.zeros_like(expected))
        assert not out.flags.aligned
        fastconv.corr2d(x, k, mode, out=out, method=method)
        cases.assert_same_bits(out, expected, mode)
        assert not out.base["pad"].any()


@pytest.mark.parametrize("function", [fastconv.corr2d, fastconv.convolve2d, reference.corr2d, reference.convolve2d])
@pytest.mark.parametrize("dtype", [*cases.FLOATS, "float16", "int64"])
def test_out_overlaps(rng, function, dtype):
    """out may be x, or share memory with x, k or both: as if they had been copied."""

    def view(room, start, shape):
        return room[start : start + shape[0] * shape[1]].reshape(shape)

    starts = (0, 500, 0), (0, 500, 1), (5, 500, 0), (0, 500, 490), (0, 30, 20), (3, 0, 0), (600, 3, 0)
    for x_start, k_start, out_start in starts:
        room = cases.integers(rng, 1100, dtype)
        x, k, out = view(room, x_start, (20, 25)), view(room, k_start, (3, 3)), view(room, out_start, (20, 25))
        expected = function(x.copy(), k.copy(), "same", "reflect")
        assert function(x, k, "same", "reflect", out=out) is out
        cases.assert_same_bits(out, expected, f"{x_start} {k_start} {out_start}")
    x = cases.integers(rng, (20, 20), dtype)
    k = x[:3, :3]
    expected = function(x.copy(), k.copy(), "same")
    cases.assert_same_bits(function(x, k, "same", out=x.T), expected)
    images, room = np.moveaxis(cases.integers(rng, (2, 20, 3, 25), dtype), 2, 1), np.zeros((2, 3, 20, 25), dtype)
    for k in (room[0, 0, :3, :3], images[1, 1, :3, :3]):  # k in the first result, and in x, of several
        k[...] = cases.integers(rng, (3, 3), dtype)
        expected = function(images.copy(), k.copy(), "same")
        cases.assert_same_bits(function(images, k, "same", out=room), expected)


# running out of memory ----------------------------------------------------------------


@pytest.fixture
def failing():
    """Sets how many scratch allocations succeed before they fail."""
    yield _core.alloc_fail_after
    _core.alloc_fail_after(-1)


NEEDS_SCRATCH = {
    "boundary": ((30, 40), (3, 3), "same", "direct", {}),
    "many taps": ((60, 70), (40, 30), "valid", "direct", {}),
    "many taps and boundary": ((60, 70), (40, 30), "full", "direct", {}),
    "panel": ((30, 40), (3, 3), "valid", "im2col", {}),
    "strided x": ((30, 40), (3, 3), "valid", "direct", {"x": (1, 2)}),
    "strided out": ((30, 40), (3, 3), "valid", "direct", {"out": (1, 2)}),
    "a batch in several calls": ((2, 3, 30, 40), (3, 3), "same", "direct", {"x": (1, 2, 1, 1)}),
    "a batch of strided x": ((2, 3, 30, 40), (3, 3), "valid", "direct", {"x": (1, 2, 1, 2)}),
}


def spread(a, steps):
    """View of a's shape whose axes have these steps and cannot be merged, filled with a."""
    room = np.zeros([n * s + 1 for n, s in zip(a.shape, steps, strict=True)], a.dtype)
    view = room[tuple(slice(0, n * s, s) for n, s in zip(a.shape, steps, strict=True))]
    view[...] = a
    return view


@pytest.mark.parametrize("case", NEEDS_SCRATCH)
@floats
def test_out_of_memory(rng, failing, case, dtype):
    x_shape, kernel, mode, method, steps = NEEDS_SCRATCH[case]
    x, k = cases.integers(rng, x_shape, dtype), cases.integers(rng, kernel, dtype)
    expected = reference.corr2d(x, k, mode)
    x = spread(x, steps["x"]) if "x" in steps else x
    for allocations in range(20):
        out = np.full_like(expected, 99)
        if "out" in steps:
            out = spread(out, steps["out"])
        failing(allocations)
        try:
            fastconv.corr2d(x, k, mode, out=out, method=method)
            break
        except MemoryError as error:
            assert "scratch" in str(error)
        assert (out == 99).all(), f"out is touched when allocation {allocations + 1} fails"
        failing(-1)
        cases.assert_same_bits(fastconv.corr2d(x, k, mode, method=method), expected)
    assert allocations > 0, "this case is here because it allocates"
    cases.assert_same_bits(out, expected)


def test_threads_share_one_allocation(rng, failing, tiny_chunks):
    x, k = cases.integers(rng, (100, 40), "float32"), cases.integers(rng, (3, 3), "float32")
    failing(1)
    y = fastconv.corr2d(x, k, "same", threads=3)
    failing(-1)
    cases.assert_same_bits(y, reference.corr2d(x, k, "same"))


@floats
def test_valid_takes_no_scratch(isa, rng, failing, dtype):
    failing(0)
    for kernel in ((1, 1), (3, 3), (7, 7), (11, 11)):
        for x in (cases.reals(rng, (40, 300), dtype), cases.reals(rng, (3, 40, 300), dtype)):
            out = np.empty((*x.shape[:-2], 41 - kernel[0], 301 - kernel[1]), dtype)
            fastconv.corr2d(x, cases.reals(rng, kernel, dtype), out=out)
            fastconv.corr2d(x[..., 1:, 2:-1], cases.reals(rng, kernel, dtype))


@pytest.mark.parametrize("method", ["direct", "im2col"])
def test_numpy_allocates_nothing_of_the_image_size(rng, method):
    x, k = cases.reals(rng, (2, 500, 700), "float32"), cases.reals(rng, (3, 3), "float32")
    for where in (("valid", "constant"), ("same", "reflect")):
        out = fastconv.corr2d(x, k, *where, method=method)
        tracemalloc.start()
        try:
            fastconv.corr2d(x, k, *where, out=out, method=method)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 10_000, where


@posix
def test_a_call_takes_little_extra_memory(python):
    """Peak resident memory of a call on a 100 MB picture, beyond the picture and the result."""
    code = """
import resource, numpy as np, fastconv
x, k = np.ones((5000, 5000), "float32"), np.ones((7, 7), "float32")
out = np.ones_like(x)
fastconv.corr2d(x[:300, :300], k, "same", "wrap", threads=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fastconv.corr2d(x, k, "same", "wrap", out=out, threads=2)
fastconv.corr2d(x[::-1, ::-1], k, "same", "wrap", out=out, threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8_000  # kB
