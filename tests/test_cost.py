# SPDX-License-Identifier: BSD-3-Clause
"""Work and memory are those of what is asked for: of outputs and taps, not of what lies between them."""

from __future__ import annotations

import tracemalloc

import cases
import numpy as np
import pytest

import fastconv
from fastconv import reference
from fastconv.arguments.correlation import Options, correlation_arguments
from fastconv.sums import narrowed

FAR_APART = {
    "stride": {"stride": 2**17},
    "window": {"window": slice(3, None, 2**18)},
    "stride and window": {"stride": 2**10, "window": slice(7, None, 2**8)},
    "dilation": {"dilation": 2**18, "window": slice(0, 3)},
    "part": {"window": slice(10**5, 10**5 + 2)},
}


@pytest.mark.parametrize("how", FAR_APART)
@pytest.mark.parametrize("boundary", cases.BOUNDARIES)
@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "uint8", "int64", "complex64"])
def test_a_few_outputs_of_a_long_signal(rng, dtype, boundary, how):
    """Only what they look at is copied."""
    x = rng.integers(0, 9, 1 << 19).astype(dtype)
    k, options = np.array([1, 2, 3]).astype(dtype), FAR_APART[how]
    c = correlation_arguments(1, x, k, Options("same", boundary, **options))
    assert narrowed(c).x.size <= 3 * c.axes[0].out
    tracemalloc.start()
    y = fastconv.corr1d(x, k, "same", boundary, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    cases.assert_same_bits(y, reference.corr1d(x, k, "same", boundary, **options))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_steps_of_any_size(isa, rng, rank):
    """Far taps and far outputs, along any axes at once, with the bits of the definition."""
    for _ in range(25):
        shape = tuple(int(n) for n in rng.integers(1, (300, 40, 14)[rank - 1], rank))
        k = cases.integers(rng, tuple(int(n) for n in rng.integers(1, 4, rank)), "float32")
        stride, dilation = (tuple(int(2**e) for e in rng.integers(0, 9, rank)) for _ in range(2))
        dtype = str(rng.choice(["float32", "uint8", "float64", "complex64", "int64"]))
        x, boundary = cases.integers(rng, (2, *shape), dtype), tuple(str(b) for b in rng.choice(cases.BOUNDARIES, rank))
        how = {"stride": stride, "dilation": dilation}
        name = f"{rng.choice(['corr', 'convolve'])}{rank}d"
        y = getattr(fastconv, name)(x, k, "same", boundary, 3, **how)
        cases.assert_same_bits(y, getattr(reference, name)(x, k, "same", boundary, 3, **how), (shape, k.shape, how))


def test_taps_far_beyond_the_image(isa):
    """22 seconds and 2 GB, or a MemoryError, for a picture of 10x10."""
    x, k = np.arange(100.0).reshape(10, 10), np.ones((3, 3))
    for dilation in (2**13, 2**40, (1, 2**40), (2**50, 3)):
        for boundary in cases.BOUNDARIES:
            y = fastconv.corr2d(x, k, "same", boundary, dilation=dilation)
            if boundary == "constant" and isinstance(dilation, int):
                np.testing.assert_array_equal(y, x)
            if boundary == "edge" and isinstance(dilation, int):
                np.testing.assert_array_equal(y[5, 5], x[5, 5] + x[[0, 0, 9, 9], [0, 9, 0, 9]].sum()
                                              + x[[0, 9, 5, 5], [5, 5, 0, 9]].sum())  # fmt: skip
    y = fastconv.corr1d([1.0, 2.0], [1.0, 1.0, 1.0], "same", dilation=2**50, nan="ignore")
    assert y.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64", "complex64"])
@pytest.mark.parametrize("method", ["auto", "direct", "fft", "box", "numpy"])
def test_explaining_makes_no_arrays(dtype, method):
    if (method == "fft" and dtype in ("uint8", "int64")) or (method == "box" and dtype == "complex64"):
        return  # refused
    tracemalloc.start()
    fastconv.explain((2**14, 2**14), (2**14, 2**14), "full", dtype=dtype, method=method)
    fastconv.explain((9, 2**17, 2**17), (2**12, 2**13), dtype=dtype, method=method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("shape", [(40, 50, 3), (7, 40, 50, 3), (40, 50, 1), (40, 50, 4)])
def test_pictures_whose_channels_come_last_are_told_about_axes(shape):
    for package in (fastconv, reference):
        with pytest.raises(ValueError, match=rf"if the last axis of x is its channels, pass axes=\({len(shape) - 3}, "):
            package.corr2d(np.ones(shape), np.ones((5, 5)))
    with pytest.raises(ValueError, match="exchange the two") as caught:
        fastconv.corr2d(np.ones((40, 3)), np.ones((5, 5)))
    assert "channels" not in str(caught.value)
    with pytest.raises(ValueError, match=r"pass axis=0$"):
        fastconv.convolve1d(np.ones((40, 3)), np.ones(5))
    with pytest.raises(ValueError, match=r"pass axes=\(0, 1, 2\)$"):
        fastconv.corr3d(np.ones((9, 9, 9, 2)), np.ones((3, 3, 3)))
