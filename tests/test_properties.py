# SPDX-License-Identifier: BSD-3-Clause
"""Whatever the shapes, strides, dtypes and options: the compiled result is the reference's, to the bit."""

from __future__ import annotations

from itertools import islice

import cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
from fastconv import _core, reference

ISAS = fastconv.isas()


@pytest.fixture(scope="module", autouse=True)
def tiny_chunks():
    """Threads in every call."""
    _core.tune(8, 0.0, 0.0)
    yield
    _core.tune()


@st.composite
def views(draw, shape, dtype):
    """Integer-valued array of that shape, in memory in any order, direction, step and alignment."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1, -3])) for _ in shape]
    margins = [draw(st.integers(0, 2)) for _ in shape]
    room = [abs(s) * n + m for s, n, m in zip(steps, shape, margins, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a = cases.integers(rng, [room[i] for i in order], dtype)
    if draw(st.booleans()):  # misaligned
        records = np.zeros(a.shape, [("pad", "u1"), ("a", a.dtype)])
        records["a"] = a
        a = records["a"]
    a = a.transpose(np.argsort(order))
    a = a[tuple(slice(None, None, s) for s in steps)]
    return a[tuple(slice(n) for n in shape)]


@st.composite
def calls(draw, dtypes):
    """Arguments and options of one call that has a result, and an `out` of the result's shape or None."""
    h, w = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    mode = draw(st.sampled_from(cases.MODES))
    least = (h, w) if mode == "valid" else (1, 1)
    H, W = draw(st.integers(least[0], least[0] + 30)), draw(st.integers(least[1], least[1] + 70))
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    x = draw(views((*batch, H, W), draw(st.sampled_from(dtypes))))
    k = draw(views((h, w), draw(st.sampled_from(dtypes))))
    where = mode, draw(st.sampled_from(cases.BOUNDARIES)), draw(st.integers(-3, 3))
    method = draw(st.sampled_from(cases.METHODS if np.result_type(x, k).kind == "f" else ["auto"]))
    options = {"method": method, "threads": draw(st.integers(1, 4))}
    expected = reference.corr2d(x, k, *where)
    if draw(st.booleans()):
        options["out"] = draw(views(expected.shape, expected.dtype))
    return x, k, where, options, expected


@given(call=calls(cases.FLOATS), isa=st.sampled_from(ISAS))
def test_floats(call, isa):
    x, k, where, options, expected = call
    with fastconv.use_isa(isa):
        y = fastconv.corr2d(x, k, *where, **options)
    cases.assert_same_bits(y, expected)


@given(call=calls(["float16", "float32", "int8", "bool", "uint16", "float64", "int64"]))
def test_dtypes(call):
    x, k, where, options, expected = call
    cases.assert_same_bits(fastconv.corr2d(x, k, *where, **options), expected)


@given(call=calls(cases.FLOATS))
def test_convolution_is_correlation_with_the_flipped_kernel(call):
    x, k, where, options, expected = call
    if where[0] != "same":  # there even kernels are centred differently
        cases.assert_same_bits(fastconv.convolve2d(x, k[::-1, ::-1], *where, **options), expected)
    y = fastconv.convolve2d(x, k, *where, **options)
    cases.assert_same_bits(y, reference.convolve2d(x, k, *where))


@given(call=calls(cases.FLOATS), isa=st.sampled_from(ISAS), data=st.data())
def test_non_finite_values_spread_as_far_as_their_windows(call, isa, data):
    x, k, where, options, _ = call
    for a in (x, k) if data.draw(st.booleans()) else (x,):
        if a.size:
            for _ in range(data.draw(st.integers(1, 3))):
                index = tuple(data.draw(st.integers(0, n - 1)) for n in a.shape)
                a[index] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    with fastconv.use_isa(isa):
        y = fastconv.corr2d(x, k, *where, **options)
    np.testing.assert_array_equal(y, reference.corr2d(x, k, *where))


@given(call=calls(cases.FLOATS), seed=st.integers(0, 2**32 - 1))
def test_direct_has_the_same_bits_on_any_data(call, seed):
    """Layout, threads, FMA instruction set and `out` are not seen in the result."""
    x, k, where, options, _ = call
    rng = np.random.default_rng(seed)
    x[...], k[...] = cases.reals(rng, x.shape, x.dtype), cases.reals(rng, k.shape, k.dtype)
    results = []
    for table in islice((t for t in _core.tables() if t["fma"] or len(ISAS) == 1), 2):
        with fastconv.use_isa(table["isa"]):
            results.append(fastconv.corr2d(x, k, *where, **{**options, "method": "direct"}).copy())
            results.append(fastconv.corr2d(x.copy(), k.copy(), *where, threads=1))
    for y in results[1:]:
        cases.assert_same_bits(y, results[0])


@given(call=calls(cases.FLOATS))
def test_checked_passes(call):
    x, k, where, options, expected = call
    with fastconv.checked():
        cases.assert_same_bits(fastconv.corr2d(x, k, *where, **options), expected)
