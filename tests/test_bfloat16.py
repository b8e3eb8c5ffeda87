# SPDX-License-Identifier: BSD-3-Clause
"""Layers of bfloat16: sums of float32, results of either, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import _core, nn

BRAIN = pytest.importorskip("ml_dtypes").bfloat16
CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
CASES = [
    # rank, groups, channels, kernels, n, k, stride, padding, dilation, padding_mode
    (1, 1, 3, 5, 60, 5, 2, 2, 1, "zeros"),
    (1, 1, 1, 2, 1100, 4, 1, 3, 2, "reflect"),
    (2, 1, 5, 9, 14, 3, 1, 1, 1, "zeros"),
    (2, 1, 3, 8, 21, 7, 2, 3, 1, "circular"),
    (2, 6, 1, 1, 17, 3, 1, 1, 1, "zeros"),
    (2, 2, 8, 3, 7, 1, 1, 0, 1, "zeros"),
    (3, 1, 2, 3, 6, 3, 1, 1, 1, "replicate"),
]


@pytest.fixture(params=[True, False], ids=["native", "plain"])
def native(request):
    """With and without instructions that not all CPUs of an instruction set have."""
    _core.native_dots(request.param)
    yield
    _core.native_dots(True)


def arrays(rng, case, whole):
    rank, groups, channels, kernels, n, k, *_ = case
    shapes = (2, groups * channels, *(n,) * rank), (groups * kernels, channels, *(k,) * rank), (groups * kernels,)
    if whole:
        return [rng.integers(-8, 9, shape).astype(BRAIN) for shape in shapes]
    return [rng.standard_normal(shape).astype(BRAIN) for shape in shapes]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_are_exact(isa, native, rng, case):
    rank, groups, *_, stride, padding, dilation, mode = case
    x, w, bias = arrays(rng, case, whole=True)
    how = stride, padding, dilation, groups
    wide = CONV[rank](*(a.astype(np.float64) for a in (x, w, bias)), *how, padding_mode=mode, method="numpy")
    for method in ("auto", "numpy"):
        result = CONV[rank](x, w, bias, *how, padding_mode=mode, dtype=np.float32, method=method)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, wide)
        result = CONV[rank](x, w, bias, *how, padding_mode=mode, activation="relu", method=method)
        assert result.dtype == BRAIN
        np.testing.assert_array_equal(result, np.maximum(wide, 0).astype(np.float32).astype(BRAIN))


@pytest.mark.parametrize("case", CASES[:5], ids=str)
def test_sums_are_those_of_float32(isa, native, rng, case):
    rank, groups, *_, stride, padding, dilation, mode = case
    x, w, bias = arrays(rng, case, whole=False)
    how = stride, padding, dilation, groups
    exact = CONV[rank](*(a.astype(np.float64) for a in (x, w, bias)), *how, padding_mode=mode, method="numpy")
    mass = CONV[rank](*(abs(a.astype(np.float64)) for a in (x, w, bias)), *how, padding_mode=mode, method="numpy")
    sums = CONV[rank](x, w, bias, *how, padding_mode=mode, dtype="float32")
    taps = w[0].size + 1
    assert (np.abs(sums - exact) <= taps * 2.0**-23 * mass).all()
    np.testing.assert_array_equal(CONV[rank](x, w, bias, *how, padding_mode=mode), sums.astype(BRAIN))
    with fastconv.checked():
        CONV[rank](x, w, bias, *how, padding_mode=mode, activation="gelu")


def test_bits_depend_on_no_layout(isa, native, rng):
    x, w, bias = arrays(rng, CASES[2], whole=False)
    want = nn.conv2d(x, w, bias, 1, 1)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    np.testing.assert_array_equal(nn.conv2d(np.moveaxis(last, -1, 1), w, bias, 1, 1), want)
    np.testing.assert_array_equal(nn.conv2d(last, w, bias, 1, 1, layout="NHWC"), np.moveaxis(want, 1, -1))
    np.testing.assert_array_equal(nn.conv2d(np.repeat(x, 2, -1)[..., ::2], w, bias, 1, 1), want)
    np.testing.assert_array_equal(nn.conv2d(x[0], w, bias, 1, 1), want[0])
    _core.tune(threads_from_us=0)
    try:
        np.testing.assert_array_equal(nn.conv2d(x, w, bias, 1, 1, threads=3), want)
    finally:
        _core.tune()
    out = np.empty_like(want)
    assert nn.conv2d(x, w, bias, 1, 1, out=out) is out
    np.testing.assert_array_equal(out, want)


def test_what_is_not_finite(isa, native):
    x = np.ones((1, 3, 4, 4), BRAIN)
    x[0, 0, 0, 0], x[0, 1, 3, 3] = np.nan, np.inf
    y = nn.conv2d(x, np.ones((2, 3, 2, 2), BRAIN)).astype(np.float32)
    assert np.isnan(y[:, :, 0, 0]).all()
    assert np.isposinf(y[:, :, 2, 2]).all()
    assert (y[:, :, 1, 1] == 12).all()


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        (
            {"w": np.ones((1, 1, 2, 2), np.float32)},
            TypeError,
            "w has dtype float32 and x bfloat16: they must be",
        ),
        ({"add": np.ones((1, 1, 2, 2), BRAIN)}, ValueError, "add is for layers of float16"),
        ({"method": "winograd"}, ValueError, "method must be auto, direct or numpy for x of bfloat16"),
        ({"dtype": np.float64}, TypeError, "dtype must be bfloat16 or float32"),
        ({"bias": np.ones(1)}, TypeError, "bias has dtype float64; bfloat16 and float32"),
        ({"out": np.ones((1, 1, 2, 2), np.float32)}, TypeError, "out has dtype float32; the result has dtype bfloat16"),
    ],
)
def test_errors(how, error, says):
    good = {"x": np.ones((1, 1, 3, 3), BRAIN), "w": np.ones((1, 1, 2, 2), BRAIN)}
    with pytest.raises(error, match=says):
        nn.conv2d(**good | how)
