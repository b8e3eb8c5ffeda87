# SPDX-License-Identifier: BSD-3-Clause
"""One implementation over rank: corr1d, 2d, 3d with stride, dilation, axes, windows and boundaries per axis."""

from __future__ import annotations

import tracemalloc

import cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
from fastconv import reference

RANKS = (1, 2, 3)
NAMES = tuple(f"{verb}{rank}d" for verb in ("corr", "convolve") for rank in RANKS)
FAST = {name: getattr(fastconv, name) for name in NAMES}
SPEC = {name: getattr(reference, name) for name in NAMES}
SIZES = {1: (60,), 2: (14, 45), 3: (6, 9, 23)}
KERNELS = {1: ((1,), (4,), (13,)), 2: ((1, 3), (4, 2), (9, 5)), 3: ((1, 1, 2), (2, 3, 1), (3, 2, 5))}

ranks = pytest.mark.parametrize("rank", RANKS)
names = pytest.mark.parametrize("name", NAMES)


def rank_of(name):
    return int(name[-2])


def each(rank, *values):
    """One of the values for each axis, in turn."""
    return tuple(values[i % len(values)] for i in range(rank))


# modes, strides, dilations -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*cases.FLOATS, "int16", "int64"])
@pytest.mark.parametrize("mode", cases.MODES)
@names
def test_steps(isa, rng, name, mode, dtype):
    rank = rank_of(name)
    for i, kernel in enumerate(KERNELS[rank]):
        x, k = cases.integers(rng, (2, *SIZES[rank]), dtype), cases.integers(rng, kernel, dtype)
        boundary = each(rank, *cases.BOUNDARIES[i:])
        for stride in (1, 2, 3, 4, 5, each(rank, 3, 1, 2)):
            for dilation in (1, 2, each(rank, 1, 3)):
                if mode == "valid" and any(
                    (n - 1) * d >= s
                    for n, d, s in zip(kernel, np.broadcast_to(dilation, rank), SIZES[rank], strict=True)
                ):
                    continue
                how = {"stride": stride, "dilation": dilation}
                y = FAST[name](x, k, mode, boundary, 2, **how)
                cases.assert_same_bits(y, SPEC[name](x, k, mode, boundary, 2, **how), (kernel, how))


@names
def test_a_stride_is_a_slice(isa, rng, name):
    """To the bit, whatever the data."""
    rank = rank_of(name)
    for dtype in cases.FLOATS:
        for kernel in KERNELS[rank]:
            x, k = cases.reals(rng, SIZES[rank], dtype), cases.reals(rng, kernel, dtype)
            for mode in cases.MODES:
                whole = FAST[name](x, k, mode, "reflect", method="direct")
                for stride in (2, 3, 4, 7, each(rank, 1, 2)):
                    steps = tuple(slice(None, None, s) for s in np.broadcast_to(stride, rank).tolist())
                    y = FAST[name](x, k, mode, "reflect", stride=stride, method="direct")
                    cases.assert_same_bits(y, whole[steps], (kernel, mode, stride))


def test_strides_far_beyond_the_array(isa, rng):
    x, k = cases.integers(rng, (30, 40), "float32"), cases.integers(rng, (3, 4), "float32")
    for stride in (39, 1000, 2**40, 2**60):
        for mode in cases.MODES:
            y = fastconv.corr2d(x, k, mode, "edge", stride=stride)
            cases.assert_same_bits(y, reference.corr2d(x, k, mode, "edge")[::stride, ::stride], (stride, mode))


def test_one_row_of_many_taps(isa, rng):
    """Folded like a signal, with steps along the other axis."""
    x, k = cases.integers(rng, (9, 3000), "float32"), cases.integers(rng, (1, 300), "float32")
    for stride in ((1, 1), (2, 1), (3, 2)):
        y = fastconv.corr2d(x, k, "same", "wrap", stride=stride, method="direct")
        cases.assert_same_bits(y, reference.corr2d(x, k, "same", "wrap", stride=stride), stride)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_long_kernels_of_one_axis(isa, rng, dtype):
    """Signals are folded into rows, in as many ways as there are lengths."""
    for taps in (*range(1, 40, 5), 63, 64, 65, 100, 127, 128, 129, 200, 255, 256, 400, 700):
        x, k = cases.integers(rng, (2, 9000), dtype), cases.integers(rng, (taps,), dtype)
        for n in (taps, taps + 1, 3000, 8999, 9000):
            y = fastconv.corr1d(x[:, :n], k, method="direct")
            cases.assert_same_bits(y, reference.corr1d(x[:, :n], k), (taps, n))
        parts = [fastconv.corr1d(x[0, i : i + 500 + taps - 1], k, method="direct") for i in range(0, 2000, 500)]
        cases.assert_same_bits(np.concatenate(parts), fastconv.corr1d(x[0], k, method="direct")[:2000], taps)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_signals_of_any_length(isa, rng, dtype):
    """Rows of a fold, and what is left of one."""
    x, k = cases.integers(rng, (1100,), dtype), cases.integers(rng, (97,), dtype)
    whole = reference.corr1d(x, k)
    for n in range(1000, 1066):
        cases.assert_same_bits(fastconv.corr1d(x[:n], k, method="direct"), whole[: n - 96], n)


@ranks
def test_kernels_larger_than_x(rng, rank):
    x, k = cases.integers(rng, each(rank, 2, 5, 3), "float32"), cases.integers(rng, each(rank, 7, 4, 9), "float32")
    for name in (f"corr{rank}d", f"convolve{rank}d"):
        for boundary in cases.BOUNDARIES:
            for mode in ("same", "full"):
                y = FAST[name](x, k, mode, boundary, -1, dilation=2)
                cases.assert_same_bits(y, SPEC[name](x, k, mode, boundary, -1, dilation=2), (mode, boundary))


# axes and batches -----------------------------------------------------------------------------


@ranks
def test_axes(rng, rank):
    for ndim in range(rank, 5):
        shape = (4, 7, 5, 6)[:ndim]
        for _ in range(10):
            axes = tuple(int(a) for a in rng.permutation(ndim)[:rank])
            x, k = cases.reals(rng, shape, "float32"), cases.reals(rng, each(rank, 2, 3), "float32")
            moved = np.moveaxis(x, axes, range(-rank, 0))
            expected = np.moveaxis(FAST[f"corr{rank}d"](moved, k, "full", "edge"), range(-rank, 0), axes)
            how = {"axis": axes[0] - ndim} if rank == 1 else {"axes": axes}
            cases.assert_same_bits(FAST[f"corr{rank}d"](x, k, "full", "edge", **how), expected, axes)
            out = np.empty(expected.shape, "float32")
            assert FAST[f"corr{rank}d"](x, k, "full", "edge", out=out, **how) is out
            cases.assert_same_bits(out, expected, axes)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 19])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "complex64"])
@ranks
def test_channels_side_by_side(isa, rng, rank, dtype, channels):
    x = cases.reals(rng, (2, *SIZES[rank], channels), "float32").astype(dtype)
    axes, corr = tuple(range(1, rank + 1)), FAST[f"corr{rank}d"]
    kernels = [cases.reals(rng, shape, "float32") for shape in KERNELS[rank]]
    kernels.append(np.outer(np.arange(1, 8), np.arange(2, 9)).astype("f4") if rank == 2 else kernels[-1])
    for k, mode, boundary in zip(
        kernels, ("valid", "same", "full", "same"), ("edge", "reflect", "wrap", "constant"), strict=True
    ):
        how = {"mode": mode, "boundary": boundary, "fillvalue": 2, "dilation": each(rank, 1, 2)}
        if dtype == "uint8":
            how |= {"dtype": dtype, "overflow": "saturate"}
        expected = np.stack([corr(x[..., c].copy(), k, **how) for c in range(channels)], -1)
        where = {"axis": axes[0]} if rank == 1 else {"axes": axes}
        for _ in range(2):
            y = corr(x, k, **how, **where)
            cases.assert_same_bits(y, expected)
            assert y.flags.c_contiguous
        out = np.empty(expected.shape, expected.dtype)
        assert corr(x, k, **how, **where, out=out) is out
        cases.assert_same_bits(out, expected)
        window = tuple(slice(n // 3, n // 2 + 1) for n in expected.shape[1:-1])
        cases.assert_same_bits(corr(x, k, **how, **where, window=window), expected[(slice(None), *window)])


def test_many_channels_side_by_side(rng):
    """A kernel that sees much of a row goes by planes: tiles of pixels would be as long as the row."""
    x = rng.standard_normal((3, 4, 40_000)).astype("f4")
    k = rng.standard_normal((3, 7)).astype("f4")
    tracemalloc.start()
    y = fastconv.corr2d(x, k, "full", axes=(0, 1), threads=1)
    assert tracemalloc.get_traced_memory()[1] < 2 * y.nbytes
    tracemalloc.stop()
    cases.assert_same_bits(y[..., 77], fastconv.corr2d(x[..., 77].copy(), k, "full"))
    far = fastconv.corr2d(np.ones((4, 4, 16)), np.ones((2, 1)), "same", dilation=(1, 2**59), axes=(0, 1))
    assert far.shape == (4, 4, 16)


@ranks
def test_batches_without_a_common_stride(isa, rng, rank):
    x = cases.integers(rng, (6, 5, 4, *SIZES[rank]), "float32")[::2, 1:4, ::-1]
    k = cases.integers(rng, KERNELS[rank][1], "float32")
    out = np.zeros((3, 4, 3, *SIZES[rank]), "float32").swapaxes(1, 2)
    y = FAST[f"corr{rank}d"](x, k, "same", "wrap", out=out)
    cases.assert_same_bits(y, reference.__dict__[f"corr{rank}d"](x, k, "same", "wrap"))


# windows --------------------------------------------------------------------------------------


WAYS = [(n, m) for n in NAMES for m in ("direct", "im2col", "separable") if "1d" not in n or m != "separable"]


@pytest.mark.parametrize(("name", "method"), WAYS)
def test_a_window_is_that_part_of_the_whole(isa, rng, name, method):
    rank = rank_of(name)
    for dtype in cases.FLOATS:
        for _ in range(12):
            kernel = KERNELS[rank][rng.integers(3)]
            x, k = cases.reals(rng, (2, *SIZES[rank]), dtype), cases.reals(rng, kernel, dtype)
            if method == "separable":
                k = np.ones(kernel, dtype) / 3
            stride = 1 if method == "separable" else each(rank, int(rng.integers(1, 4)), 1)
            where = str(rng.choice(cases.MODES)), str(rng.choice(cases.BOUNDARIES))
            whole = FAST[name](x, k, *where, stride=stride, method=method)
            ends = [np.sort(rng.integers(-3, n + 3, 2)).tolist() for n in whole.shape[1:]]
            step = 1 if method == "separable" else int(rng.integers(1, 4))
            window = tuple(slice(a, b, step) for a, b in ends)
            y = FAST[name](x, k, *where, stride=stride, window=window[0] if rank == 1 else window, method=method)
            cases.assert_same_bits(y, whole[(slice(None), *window)], (kernel, where, stride, window))


@names
def test_a_halo_is_what_a_window_needs(rng, name):
    """A window computed from no more of x than that has the same bits."""
    rank, corr = rank_of(name), FAST[name]
    for _ in range(30):
        kernel = tuple(int(n) for n in rng.integers(1, 5, rank))
        x, k = cases.reals(rng, SIZES[rank], "float32"), cases.reals(rng, kernel, "float32")
        stride, dilation = (tuple(int(n) for n in rng.integers(1, 3, rank)) for _ in range(2))
        if any((n - 1) * d >= s for n, d, s in zip(kernel, dilation, SIZES[rank], strict=True)):
            continue
        mode = str(rng.choice(cases.MODES))
        whole = corr(x, k, mode, stride=stride, dilation=dilation)
        around = fastconv.halo(kernel, mode, stride, dilation, convolve=name.startswith("convolve"))
        inside, part = [], []
        for n, out, s, (before, after) in zip(x.shape, whole.shape, stride, around, strict=True):
            interior = [o for o in range(out) if o * s - before >= 0 and o * s + after < n]
            if interior:
                first, last = np.sort(rng.choice(interior, 2)).tolist()
                inside.append(slice(first, last + 1))
                part.append(slice(first * s - before, last * s + after + 1))
        if len(inside) == rank:
            y = corr(x[tuple(part)], k, stride=stride, dilation=dilation)
            cases.assert_same_bits(y, whole[tuple(inside)], (kernel, mode, stride, dilation))


@pytest.mark.parametrize("name", ["direct", "separable", "box", "fft"])
def test_a_window_is_computed_as_the_whole_would_be(rng, name):
    """Whatever method that is, however small the window, and whatever its steps leave out."""
    size = {"direct": 3, "separable": 9, "box": 61, "fft": 31}[name]
    x, k = cases.reals(rng, (300, 400), "float32"), cases.reals(rng, (size, size), "float32")
    k = {"separable": np.outer(k[0], k[0]), "box": np.full_like(k, 0.1)}.get(name, k)
    assert fastconv.explain(x.shape, k).method == name
    for where in (("valid",), ("full", "reflect")):
        whole = fastconv.corr2d(x, k, *where)
        for window in ((slice(50, 51), slice(70, 75)), (slice(3, 200, 7), slice(5, None, 2)), (slice(9, 9), slice(3))):
            cases.assert_same_bits(fastconv.corr2d(x, k, *where, window=window), whole[window], window)


def test_few_lags_of_a_long_signal(rng):
    x, k = cases.reals(rng, 5000, "float64"), cases.reals(rng, 5000, "float64")
    lags = fastconv.corr1d(x, k, "full", window=slice(4990, 5010))
    np.testing.assert_allclose(lags, np.correlate(x, k, "full")[4990:5010], rtol=0, atol=1e-9)


# bits -----------------------------------------------------------------------------------------


@names
def test_threads(isa, tiny_chunks, rng, name):
    rank = rank_of(name)
    x = cases.reals(rng, (2, *(3 * n for n in SIZES[rank])), "float32")
    for kernel in KERNELS[rank]:
        k = cases.reals(rng, kernel, "float32")
        for how in ({}, {"stride": 2}, {"dilation": 2}):
            one = FAST[name](x, k, "same", "reflect", threads=1, **how)
            for threads in (2, 3, 50):
                cases.assert_same_bits(FAST[name](x, k, "same", "reflect", threads=threads, **how), one, (kernel, how))


# whatever the arguments -------------------------------------------------------------------------


@st.composite
def calls(draw):
    rank = draw(st.sampled_from(RANKS))
    verb = draw(st.sampled_from(["corr", "convolve"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.tuples(*[st.integers(1, {1: 40, 2: 8, 3: 4}[rank])] * rank))
    steps = {name: draw(st.tuples(*[st.integers(1, 4)] * rank)) for name in ("stride", "dilation")}
    mode = draw(st.sampled_from(cases.MODES))
    spans = [(n - 1) * d + 1 for n, d in zip(kernel, steps["dilation"], strict=True)]
    shape = [draw(st.integers(s if mode == "valid" else 1, s + {1: 200, 2: 30, 3: 8}[rank])) for s in spans]
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    dtypes = [draw(st.sampled_from(["f4", "f8", "u1", "i2", "i8", "?", "c8", "f2"])) for _ in range(2)]
    x, k = cases.integers(rng, (*batch, *shape), dtypes[0]), cases.integers(rng, kernel, dtypes[1])
    where = mode, draw(st.tuples(*[st.sampled_from(cases.BOUNDARIES)] * rank)), draw(st.integers(0, 1))
    if draw(st.booleans()):
        window = tuple(slice(*sorted(draw(st.tuples(*[st.integers(0, 20)] * 2)))) for _ in range(rank))
        steps["window"] = window[0] if rank == 1 else window
    return f"{verb}{rank}d", x, k, where, steps


@given(call=calls(), isa=st.sampled_from(fastconv.isas()), threads=st.integers(1, 3))
def test_anything(call, isa, threads):
    name, x, k, where, how = call
    with fastconv.use_isa(isa):
        y = FAST[name](x, k, *where, method="direct", threads=threads, **how)
    cases.assert_same_bits(y, SPEC[name](x, k, *where, **how))
