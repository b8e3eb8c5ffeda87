# SPDX-License-Identifier: BSD-3-Clause
"""Pooling: values, indices and gradients against the reference and PyTorch, bits, layouts, dtypes, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import reals
from conftest import only_deep

import fastconv
from fastconv import nn

# Shape of x, kernel_size, and the rest
WINDOWS = {
    "2x2": ((2, 3, 8, 10), 2, {}),
    "2x2, odd": ((1, 17, 9, 37), 2, {}),
    "2x2, ceil": ((1, 2, 9, 37), 2, {"ceil_mode": True}),
    "3x3, by two": ((2, 16, 13, 70), 3, {"stride": 2, "padding": 1}),
    "3x3, by two, ceil": ((1, 3, 12, 64), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    "3x3": ((1, 40, 14, 14), 3, {"stride": 1, "padding": 1}),
    "3x3, wide": ((1, 2, 30, 300), 3, {"stride": 1, "padding": 1}),
    "13x13": ((1, 3, 13, 13), 13, {"stride": 1, "padding": 6}),
    "5x4, by three and five": ((1, 5, 35, 41), (5, 4), {"stride": (3, 5), "padding": (2, 1)}),
    "gaps": ((1, 2, 20, 90), 2, {"stride": (4, 7)}),
    "gaps of rows": ((1, 2, 60, 20), 2, {"stride": (9, 1)}),
    "one side": ((1, 3, 9, 11), 3, {"stride": 2, "padding": ((1, 0), (0, 1))}),
    "all": ((2, 18, 7, 7), 7, {}),
    "channels of long rows": ((1, 40, 3, 300), 3, {"stride": 1, "padding": 1}),
    "rows": ((1, 3, 9, 21), (2, 21), {"stride": 1}),
    "beyond, ceil": ((1, 3, 5, 6), (7, 8), {"stride": (3, 3), "ceil_mode": True}),
    "beyond one row, ceil": ((1, 3, 1, 7), (2, 1), {"stride": 2, "ceil_mode": True}),
    "unbatched": ((3, 8, 9), 3, {}),
    "no image": ((0, 3, 8, 9), 3, {}),
    "no channel": ((2, 0, 8, 9), 3, {}),
    "1-D": ((2, 9, 50), (4,), {"stride": 3, "padding": 2}),
    "1-D, long": ((1, 2, 9000), (3,), {"stride": 1, "padding": 1}),
    "1-D, all": ((2, 9, 50), (50,), {}),
    "3-D": ((2, 3, 4, 6, 10), (2, 2, 2), {}),
    "3-D, padded": ((1, 3, 5, 6, 21), (3, 2, 3), {"stride": (1, 2, 2), "padding": 1, "ceil_mode": True}),
    "3-D, all": ((1, 18, 3, 4, 5), (3, 4, 5), {}),
}
DILATED = {
    "dilated": ((1, 3, 15, 40), 3, {"dilation": (2, 3), "stride": (1, 2), "padding": 1}),
    "dilated, by three": ((1, 2, 15, 40), (2, 4), {"dilation": (4, 2), "stride": 3, "padding": (1, 2)}),
    "nothing seen": ((1, 2, 3, 9), (2, 1), {"dilation": (4, 1), "padding": (1, 0)}),
    "nothing seen in a column": ((1, 18, 3, 9), (1, 2), {"dilation": (1, 10), "padding": (0, 1), "stride": 1}),
    "1-D, dilated": ((1, 2, 90), (5,), {"dilation": 4, "stride": 2, "padding": 1}),
}
SIZES = {
    "one": ((2, 18, 7, 7), 1),
    "even": ((1, 3, 14, 21), (7, 3)),
    "uneven": ((2, 17, 13, 40), (6, 7)),
    "more than there are": ((1, 2, 3, 5), (7, 9)),
    "as many": ((1, 2, 5, 6), (None, 4)),
    "none": ((1, 2, 5, 6), (0, 4)),
    "a column": ((1, 18, 7, 10), (3, 1)),
    "1-D": ((2, 3, 20), 6),
    "3-D": ((1, 3, 5, 6, 7), (2, 1, 4)),
    "3-D, one": ((1, 3, 5, 6, 7), 1),
}
LASTS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def rank_of(shape, kernel):
    return len(kernel) if isinstance(kernel, tuple) and len(kernel) != 2 else 2


def special(rng, shape, dtype):
    """Numbers with many equals, and NaN and -inf among floats."""
    x = np.round(reals(rng, shape, "float64") * 9)
    x[rng.random(shape) < 0.05] = np.nan
    x[rng.random(shape) < 0.3] = -np.inf
    return x.astype(dtype)


def last(x):
    """x with its channels last."""
    return np.moveaxis(x, -1 - (x.ndim - 2), -1)


def same(function, x, *args, **how):
    """Results by the extension, compared with the reference, and with those of any number of threads and layout."""
    result, expected = function(x, *args, **how), function(x, *args, **how, method="numpy")
    both = (result, expected) if isinstance(result, tuple) else ((result,), (expected,))
    average = "avg" in function.__name__
    for a, b in zip(*both, strict=True):
        if average:
            eps = np.finfo(x.dtype).eps
            np.testing.assert_allclose(a, b, rtol=30 * eps, atol=30 * eps * np.abs(x).max(initial=1), strict=True)
        else:
            np.testing.assert_array_equal(a, b, strict=True)
    rank = int(function.__name__[-2])
    others = [function(x, *args, **how, threads=t) for t in (1, 2, 5)]
    if x.ndim == rank + 2:
        y = function(np.ascontiguousarray(np.moveaxis(x, 1, -1)), *args, **how, layout=LASTS[rank])
        others.append(tuple(np.moveaxis(a, -1, 1) for a in y) if isinstance(y, tuple) else np.moveaxis(y, -1, 1))
    for other in others:
        for a, b in zip(both[0], other if isinstance(other, tuple) else (other,), strict=True):
            np.testing.assert_array_equal(a, b)
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("shape", "kernel", "how"), {**WINDOWS, **DILATED}.values(), ids={**WINDOWS, **DILATED}.keys())
def test_max(isa, rng, shape, kernel, how, dtype):
    function = getattr(nn, f"max_pool{rank_of(shape, kernel)}d")
    for x in (reals(rng, shape, dtype), special(rng, shape, dtype)):
        values = same(function, x, kernel, **how)
        found, indices = same(function, x, kernel, **how, return_indices=True)
        np.testing.assert_array_equal(values, found, strict=True)
        assert indices.dtype == np.int64 and values.dtype == x.dtype
    with fastconv.checked():
        function(x, kernel, **how)


@pytest.mark.parametrize("counts", [{}, {"count_include_pad": False}, {"divisor_override": -3}])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("shape", "kernel", "how"), WINDOWS.values(), ids=WINDOWS.keys())
def test_avg(isa, rng, shape, kernel, how, dtype, counts):
    function = getattr(nn, f"avg_pool{rank_of(shape, kernel)}d")
    x = reals(rng, shape, dtype)
    same(function, x, kernel, **how, **counts)
    with fastconv.checked():
        function(x, kernel, **how, **counts)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize(("shape", "size"), SIZES.values(), ids=SIZES.keys())
def test_adaptive(isa, rng, shape, size, dtype):
    rank = len(shape) - 2
    x = reals(rng, shape, "float64").__mul__(100).astype(dtype)
    values = same(getattr(nn, f"adaptive_max_pool{rank}d"), x, size)
    found, _ = same(getattr(nn, f"adaptive_max_pool{rank}d"), x, size, True)
    np.testing.assert_array_equal(values, found, strict=True)
    if x.dtype.kind == "f":
        same(getattr(nn, f"adaptive_avg_pool{rank}d"), x, size)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers(rng, dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = rng.integers(low, high, (2, 3, 9, 20), dtype, endpoint=True)
    x[0, 0] = low
    same(nn.max_pool2d, x, 3, 2, 1)
    values, indices = same(nn.max_pool2d, x, 3, 2, 1, return_indices=True)
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(
        values, np.take_along_axis(x.reshape(2, 3, -1), indices.reshape(2, 3, -1), 2).reshape(values.shape)
    )
    x = np.full((1, 1, 3, 9), 5, dtype)
    np.testing.assert_array_equal(nn.max_pool2d(x, (2, 1), dilation=(4, 1), padding=(1, 0)), np.full((1, 1, 1, 9), low))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", [n for n in {**WINDOWS, **DILATED} if n not in ("one side", "no channel")])
def test_values_of_pytorch(rng, name, dtype):
    torch = pytest.importorskip("torch")
    shape, kernel, how = {**WINDOWS, **DILATED}[name]
    rank = rank_of(shape, kernel)
    x = special(rng, shape, dtype)
    theirs = getattr(torch.nn.functional, f"max_pool{rank}d")(torch.from_numpy(x), kernel, **how, return_indices=True)
    for a, b in zip(getattr(nn, f"max_pool{rank}d")(x, kernel, **how, return_indices=True), theirs, strict=True):
        expected = np.full(b.shape, -1) if "nothing" in name and a.dtype == np.int64 else b.numpy()
        np.testing.assert_array_equal(a, expected, strict=True)
    if name in DILATED:
        return
    x = reals(rng, shape, dtype)
    for counts in ({}, {"count_include_pad": False}, {"divisor_override": 7}):
        if rank == 1 and "divisor_override" in counts:
            continue
        theirs = getattr(torch.nn.functional, f"avg_pool{rank}d")
        try:
            b = theirs(torch.from_numpy(x), kernel, **how, **counts).numpy()
        except RuntimeError as error:  # its avg_pool3d has no float16, nor kernels that x alone does not hold
            assert "smaller than kernel size" in str(error) or "not implemented" in str(error)
            continue
        tolerance = 40 * float(np.finfo(dtype).eps)
        a = getattr(nn, f"avg_pool{rank}d")(x, kernel, **how, **counts)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, strict=True)


@pytest.mark.parametrize("name", SIZES)
def test_adaptive_values_of_pytorch(rng, name):
    torch = pytest.importorskip("torch")
    shape, size = SIZES[name]
    rank = len(shape) - 2
    x = special(rng, shape, "float32")
    theirs = getattr(torch.nn.functional, f"adaptive_max_pool{rank}d")(torch.from_numpy(x), size, return_indices=True)
    for a, b in zip(getattr(nn, f"adaptive_max_pool{rank}d")(x, size, True), theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy(), strict=True)
    x = reals(rng, shape, "float32")
    b = getattr(torch.nn.functional, f"adaptive_avg_pool{rank}d")(torch.from_numpy(x), size).numpy()
    np.testing.assert_allclose(getattr(nn, f"adaptive_avg_pool{rank}d")(x, size), b, rtol=1e-5, atol=1e-6, strict=True)


def test_any_isa_has_the_same_bits(rng):
    x = reals(rng, (2, 19, 29, 31), "float32")
    calls = [
        lambda: nn.avg_pool2d(x, 3, 2, 1),
        lambda: nn.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        lambda: nn.adaptive_avg_pool2d(x, 1),
        lambda: nn.adaptive_avg_pool2d(x, (5, 1)),
        lambda: nn.adaptive_avg_pool2d(x, 5),
    ]
    for call in calls:
        results = []
        for name in fastconv.isas():
            with fastconv.use_isa(name):
                results.append(call().tobytes())
        assert len(set(results)) <= 1


@pytest.mark.parametrize("axes", [(2,), (1,), (1, 2)])
def test_axes_of_one_element_have_any_stride(isa, rng, axes):
    """NumPy calls an array with such axes C-contiguous."""
    x = np.expand_dims(reals(rng, (2, *[7] * (3 - len(axes) - 1), 20), "float32"), axes)
    far = np.lib.stride_tricks.as_strided(x, strides=[s or 10**9 for s in x.strides])
    for picture in x, far:
        for function in nn.adaptive_avg_pool2d, nn.adaptive_max_pool2d:
            y = function(picture, 1, layout="NHWC")
            np.testing.assert_allclose(y, function(picture, 1, layout="NHWC", method="numpy"), rtol=1e-6, atol=1e-6)


def test_large_kernels(isa, rng):
    """Their taps that see nothing take no memory."""
    x = reals(rng, (2, 3, 50), "float64")
    for k, pad in (10**9, 5 * 10**8), (10**9 + 1, 49), (120, 60):
        pad = max(pad, (k - 50) // 2 + 1)
        out = 50 + 2 * pad - k + 1
        values, indices = nn.max_pool1d(x, k, 1, pad, return_indices=True)
        starts = np.arange(out) - pad
        expected = np.stack([x[..., max(s, 0) : max(s + k, 0)].max(-1) for s in starts], -1)
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(np.take_along_axis(x, indices, -1), expected)
        sums = np.stack([x[..., max(s, 0) : max(s + k, 0)].sum(-1) for s in starts], -1)
        np.testing.assert_allclose(nn.avg_pool1d(x, k, 1, pad), sums / k, rtol=1e-9, atol=1e-20)
        grad = reals(rng, sums.shape, "float64")
        seen = np.array([(np.arange(50) >= s) & (np.arange(50) < s + k) for s in starts])
        np.testing.assert_allclose(
            nn.avg_pool1d_backward(grad, x.shape, k, 1, pad), grad @ seen / k, rtol=1e-9, atol=1e-20
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planes_of_more_elements_than_32_bits_count(isa, dtype):
    tall, wide, dilation = 2**17, 2**15, 2**16 + 5
    ramp = np.arange(tall + wide, dtype=dtype)
    x = np.lib.stride_tricks.as_strided(
        ramp, (1, 1, tall, wide), (0, 0, ramp.itemsize, ramp.itemsize)
    )  # takes no memory
    how = {"kernel_size": (2, 1), "stride": (2**14, wide - 1), "dilation": (dilation, 1)}
    values, indices = nn.max_pool2d(x, **how, return_indices=True)
    rows, cols = np.arange(4)[:, None] * 2**14 + dilation, np.array([0, wide - 1])
    np.testing.assert_array_equal(values[0, 0], rows + cols)
    np.testing.assert_array_equal(indices[0, 0], rows * wide + cols)


def test_what_overflows_is_silent():
    with np.errstate(all="raise"):
        for method in "direct", "numpy":
            nn.avg_pool1d(np.array([[np.inf, -np.inf]]), 2, method=method)
            nn.avg_pool1d(np.full((1, 4), 60000, "f2"), 2, 1, divisor_override=1, method=method)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_layouts(rng, dtype):
    """Strides of any sign and size, misaligned, read-only, byte-swapped; `out`."""
    x = (reals(rng, (2, 3, 9, 10), "float64") * 100).astype(dtype)
    expected = nn.max_pool2d(x, 3, 2, 1)
    wide = np.zeros((2, 3, 18, 30), dtype)
    wide[..., ::-2, 1::3] = x
    rows = np.zeros((2, 3, 27, 13), dtype)
    rows[:, :, ::-3, 2:12] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(dtype).reshape(x.shape)
    misaligned[...] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    swapped = x.astype(np.dtype(dtype).newbyteorder())
    for y in (wide[..., ::-2, 1::3], rows[:, :, ::-3, 2:12], misaligned, frozen, swapped, np.asfortranarray(x)):
        np.testing.assert_array_equal(nn.max_pool2d(y, 3, 2, 1), expected, strict=True)
        np.testing.assert_array_equal(
            nn.max_pool2d(np.moveaxis(y, 1, -1), 3, 2, 1, layout="NHWC"), np.moveaxis(expected, 1, -1)
        )
        np.testing.assert_array_equal(nn.max_pool2d(y[1], 3, 2, 1), expected[1])
    out = np.zeros_like(expected)
    assert nn.max_pool2d(x, 3, 2, 1, out=out) is out
    np.testing.assert_array_equal(out, expected)
    inside = x.copy()
    nn.max_pool2d(inside, 3, 2, 1, out=inside[:, :, :5, :5])
    np.testing.assert_array_equal(inside[:, :, :5, :5], expected)
    for _ in range(2):  # the second by its plan
        np.testing.assert_array_equal(nn.max_pool2d(x[0], 3, 2, 1, layout="NCHW"), expected[0])
        np.testing.assert_array_equal(
            nn.max_pool2d(np.moveaxis(x[0], 0, -1), 3, 2, 1, layout="NHWC"), np.moveaxis(expected[0], 0, -1)
        )


# ---- gradients -------------------------------------------------------------------------------------

GRADIENTS = {
    **{f"max, {name}": ("max_pool", *case) for name, case in {**WINDOWS, **DILATED}.items()},
    **{f"avg, {name}": ("avg_pool", *case) for name, case in WINDOWS.items()},
    **{f"max, {name}": ("adaptive_max_pool", *case, {}) for name, case in SIZES.items()},
    **{f"avg, {name}": ("adaptive_avg_pool", *case, {}) for name, case in SIZES.items()},
}
QUICK = (
    "2x2, odd",
    "2x2, ceil",
    "3x3, by two",
    "13x13",
    "gaps",
    "dilated",
    "3-D, padded",
    "uneven",
    "one",
    "no image",
    "all",
)
COUNTED = {"avg, 3x3, by two, ceil": {"count_include_pad": False}, "avg, 3-D, padded": {"divisor_override": -3}}


def gradient_case(name):
    """The name of the function, the shape, and the options."""
    kind, shape, size, how = GRADIENTS[name]
    rank = 2 if "unbatched" in name else len(shape) - 2
    return f"{kind}{rank}d", shape, size, how | COUNTED.get(name, {})


def backward(function, x, grad, *args, **how):
    """The gradient of a pooling function by its name, and what it was asked for but grad."""
    second = x.shape if "avg" in function else x
    return getattr(nn, f"{function}_backward")(grad, second, *args, **how)


LEFT_OUT = ("one side", "no channel", "nothing seen", "nothing seen in a column", "none")  # by PyTorch


@pytest.mark.parametrize("dtype", ["float32", *only_deep("float64", "float16")])
@pytest.mark.parametrize("name", [n if n.partition(", ")[2] in QUICK else only_deep(n)[0] for n in GRADIENTS])
def test_gradients(isa, rng, name, dtype):
    """As the reference has them; the same bits for any number of threads, layout and batch."""
    function, shape, size, how = gradient_case(name)
    rank = int(function[-2])
    x = special(rng, shape, dtype)
    grad = reals(rng, getattr(nn, function)(x, size, **how).shape, dtype)
    result, expected = (backward(function, x, grad, size, **how, method=method) for method in ("auto", "numpy"))
    if "max" in function:
        np.testing.assert_array_equal(result, expected, strict=True)
    else:
        eps = 30 * np.finfo(dtype).eps
        np.testing.assert_allclose(result, expected, rtol=eps, atol=eps, strict=True)
    same = [backward(function, x, grad, size, **how, threads=t) for t in (1, 2, 5)]
    if x.ndim == rank + 2:
        moved = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, grad)]
        same.append(np.moveaxis(backward(function, *moved, size, **how, layout=LASTS[rank]), -1, 1))
        if len(x):
            np.testing.assert_array_equal(backward(function, x[:1], grad[:1], size, **how), result[:1])
    if "max" in function:
        _, indices = getattr(nn, function)(x, size, **how, return_indices=True)
        same += [backward(function, x, grad, size, **how, indices=indices, threads=t) for t in (1, 5)]
        same.append(backward(function, x, grad, size, **how, indices=indices, method="numpy"))
        if x.ndim == rank + 2:
            moved.append(np.ascontiguousarray(np.moveaxis(indices, 1, -1)))
            last = backward(function, *moved[:2], size, **how, layout=LASTS[rank], indices=moved[2])
            same.append(np.moveaxis(last, -1, 1))
    for other in same:
        np.testing.assert_array_equal(other, result)
    with fastconv.checked():
        backward(function, x, grad, size, **how)


@pytest.mark.parametrize("name", [n for n in GRADIENTS if n.partition(", ")[2] not in LEFT_OUT])
def test_gradients_of_pytorch(rng, name):
    torch = pytest.importorskip("torch")
    function, shape, size, how = gradient_case(name)
    x = special(rng, shape, "float64")
    given = torch.from_numpy(x).requires_grad_()
    theirs = getattr(torch.nn.functional, function)
    try:
        y = theirs(given, size, **how)
    except RuntimeError as error:
        assert "smaller than kernel size" in str(error) or "no channel" in name
        return
    grad = reals(rng, y.shape, "float64")
    y.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(backward(function, x, grad, size, **how), given.grad, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["max, 3x3, by two", "avg, 3x3, by two, ceil", "max, uneven", "avg, 3-D, padded"])
def test_gradients_are_differences(rng, name):
    """What a small step in x changes of the sum of weighted outputs."""
    function, shape, size, how = gradient_case(name)
    x, step = rng.permutation(np.prod(shape)).reshape(shape) / 1.0, rng.standard_normal(shape) * 1e-3
    pool = getattr(nn, function)
    grad = rng.standard_normal(pool(x, size, **how).shape)
    change = np.vdot(grad, pool(x + step, size, **how) - pool(x - step, size, **how)) / 2
    np.testing.assert_allclose(np.vdot(backward(function, x, grad, size, **how), step), change, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_layouts_of_gradients(rng, dtype):
    x, grad = reals(rng, (2, 3, 9, 10), dtype), reals(rng, (2, 3, 5, 5), dtype)
    for function in "max_pool2d", "avg_pool2d":
        expected = backward(function, x, grad, 3, 2, 1)
        wide = np.zeros((2, 3, 18, 30), dtype)
        wide[..., ::-2, 1::3] = x
        swapped = (a.astype(np.dtype(dtype).newbyteorder()) for a in (x, grad))
        frozen = grad.copy()
        frozen.flags.writeable = False
        for a, b in [(wide[..., ::-2, 1::3], grad), swapped, map(np.asfortranarray, (x, grad)), (x, frozen)]:
            np.testing.assert_array_equal(backward(function, a, b, 3, 2, 1), expected, strict=True)
        out = np.empty_like(x)
        for _ in range(2):  # the second by its plan
            assert backward(function, x, grad, 3, 2, 1, out=out) is out
            np.testing.assert_array_equal(out, expected)
            np.testing.assert_array_equal(backward(function, x[1], grad[1], 3, 2, 1), expected[1])
            moved = [np.moveaxis(a[1], 0, -1) for a in (x, grad)]
            np.testing.assert_array_equal(
                backward(function, *moved, 3, 2, 1, layout="NHWC"), np.moveaxis(expected[1], 0, -1)
            )
        inside = x.copy()
        backward(function, inside, grad, 3, 2, 1, out=inside)
        np.testing.assert_array_equal(inside, expected)


def test_gradients_of_channels_in_slices(isa, rng):
    """The last slice of channels is narrower, and the next image begins with a wide one again."""
    x, how = (
        rng.standard_normal((2, 9, 77, 34)),
        {"stride": 3, "padding": ((0, 0), (1, 0)), "dilation": 4, "layout": "NHWC"},
    )
    grad = rng.standard_normal(nn.max_pool2d(x, 3, **how).shape)
    expected = nn.max_pool2d_backward(grad, x, 3, **how, method="numpy")
    np.testing.assert_array_equal(nn.max_pool2d_backward(grad, x, 3, **how), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_in_uneven_windows_of_short_lines(dtype):
    for n, nan in itertools.product(range(2, 8), range(7)):
        x = np.where(np.arange(n) == nan, np.nan, np.arange(n)[::-1]).astype(dtype)[None]
        for out in range(1, n):
            same(nn.adaptive_max_pool1d, x, out)
            same(nn.adaptive_max_pool2d, x[None] * np.ones((1, 3, 1), dtype), (2, out))


def test_equals_and_nan():
    """The first of equals, whatever their signs, has the gradient, and of NaN the last."""
    x = np.array([[[-0.0, 0, np.nan, 1], [0, -0.0, np.nan, -np.inf]]])
    grad = np.array([[[3.0, 5]]])
    expected = [[[3, 0, 0, 0], [0, 0, 5, 0]]]
    np.testing.assert_array_equal(nn.max_pool2d_backward(grad, x, 2), expected)


X = np.ones((1, 2, 6, 8))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nn.max_pool2d(X, 7), ValueError, r"kernel_size \(7, 7\) is larger than the padded input \(6, 8\)"),
        (
            lambda: nn.max_pool2d(X, 3, padding=2),
            ValueError,
            r"padding must be at most half of kernel_size \(3, 3\); got 2",
        ),
        (lambda: nn.max_pool2d(X, 3, padding=((0, 2), (0, 0))), ValueError, "padding must be at most half"),
        (lambda: nn.avg_pool2d(X, 3, padding="same"), TypeError, "padding must be an integer, one for each axis, or"),
        (lambda: nn.max_pool2d(X, 2, stride=0), ValueError, "stride must be at least 1; got 0"),
        (lambda: nn.max_pool2d(X, 2.0), TypeError, "kernel_size must be an integer or 2 of them"),
        (lambda: nn.max_pool2d(X, 2, ceil_mode=2), TypeError, "ceil_mode must be True or False"),
        (lambda: nn.max_pool2d(X[0, 0], 2), ValueError, "x must have 4 dimensions"),
        (lambda: nn.max_pool2d(np.ones((1, 2, 0, 8)), 2), ValueError, "x of shape .* has no elements to pool"),
        (lambda: nn.max_pool2d(X > 0, 2), TypeError, "x has dtype bool; integers, float16.*uint8"),
        (lambda: nn.max_pool2d(X * 1j, 2), TypeError, "x has dtype complex128"),
        (lambda: nn.max_pool2d(X, 2, layout="NWC"), ValueError, "layout must be one of NCHW, NHWC"),
        (lambda: nn.max_pool2d(X, 2, method="fft"), ValueError, "method must be one of auto, direct, numpy"),
        (lambda: nn.max_pool2d(X, 2, out=np.ones((1, 2, 3, 3))), ValueError, r"out has shape"),
        (lambda: nn.avg_pool2d(X.astype(int), 2), TypeError, "x has dtype int64; float16, float32 and float64"),
        (lambda: nn.avg_pool2d(X, 2, divisor_override=0), ValueError, "divisor_override must not be 0"),
        (lambda: nn.avg_pool2d(X, 2, divisor_override=1.5), TypeError, "divisor_override must be an integer"),
        (lambda: nn.adaptive_avg_pool2d(X, -1), ValueError, "output_size must not be negative; got -1"),
        (lambda: nn.adaptive_avg_pool2d(X, (1, 2, 3)), ValueError, "output_size must be an integer, None, or 2"),
        (lambda: nn.adaptive_max_pool2d(X, 2.5), TypeError, "output_size must be an integer, None, or 2"),
        (lambda: nn.adaptive_max_pool2d(X, 2**40), ValueError, "output_size .* is too large"),
        (
            lambda: nn.max_pool2d_backward(X, X, 2),
            ValueError,
            r"grad_output must have shape \(1, 2, 3, 4\), as input of",
        ),
        (
            lambda: nn.avg_pool2d_backward(X, X.shape, 2),
            ValueError,
            r"must have shape \(1, 2, 3, 4\), as input_size of shape \(1, 2, 6, 8\)",
        ),
        (lambda: nn.max_pool2d_backward(X, X.astype("f4"), 1), TypeError, "grad_output has dtype float64 and input"),
        (lambda: nn.max_pool2d_backward(X, X.astype(int), 1), TypeError, "input has dtype int64; float16, float32"),
        (lambda: nn.avg_pool2d_backward(X > 0, X.shape, 1), TypeError, "grad_output has dtype bool"),
        (lambda: nn.avg_pool2d_backward(X, 3, 1), TypeError, "input_size must be a shape"),
        (lambda: nn.avg_pool2d_backward(X, (1, 2, 0, 8), 1), ValueError, "input_size of shape .* has no elements"),
        (lambda: nn.avg_pool2d_backward(X, X.shape, 7), ValueError, "larger than the padded input .* of input_size"),
        (lambda: nn.max_pool2d_backward(X, X, 1, out=X[0]), ValueError, "out has shape"),
        (lambda: nn.max_pool2d_backward(X, X, 1, indices=X), TypeError, "indices must be integers"),
        (lambda: nn.max_pool2d_backward(X, X, 1, indices=X[0].astype(int)), ValueError, "indices must have grad_out"),
        (lambda: nn.max_pool2d_backward(X, X, 1, indices=(X * 48).astype(int)), ValueError, "indices must be of elem"),
        (lambda: nn.max_pool2d_backward(X, X, 1, indices=(X - 3).astype(int)), ValueError, "indices must be of elem"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_indices_of_rows_that_are_found_in_parts(rng):
    """Of millions of outputs, some are found at a time; their indices go on."""
    x = rng.integers(0, 99, (1, 1, 400_000)).astype("f4")
    values, indices = nn.max_pool1d(x, 99, 1, padding=49, return_indices=True)
    for first in (0, 150_000, 200_000):
        there, where = nn.max_pool1d(x[..., first : first + 200_000], 99, 1, return_indices=True)
        at = slice(first + 49, first + 49 + there.shape[-1])
        np.testing.assert_array_equal(values[..., at], there)
        np.testing.assert_array_equal(indices[..., at], where + first)


def test_long_windows_of_pixels_are_met_in_parts(rng):
    """Of few channels, channels last, and thousands of taps, some rows of outputs are met at a time."""
    x, taps = rng.integers(0, 9, (1, 6600, 16)).astype("f4"), 6000
    x[0, :, 0] = np.arange(6600)  # of which each window has its largest last
    values, indices = nn.max_pool1d(x, taps, 1, layout="NWC", return_indices=True)
    outs = np.arange(6600 - taps + 1)
    np.testing.assert_array_equal(values[0, :, 0], outs + taps - 1)
    np.testing.assert_array_equal(indices[0, :, 0], outs + taps - 1)
    np.testing.assert_array_equal(np.take_along_axis(x, indices, 1), values)
    assert (indices >= outs[:, None]).all()
    means = nn.avg_pool1d(x, taps, 1, divisor_override=1, layout="NWC")
    sums = np.cumsum(np.pad(x[0], ((1, 0), (0, 0))), 0, dtype=float)
    np.testing.assert_allclose(means[0], sums[taps:] - sums[:-taps], rtol=1e-4)
    back = nn.avg_pool1d_backward(x[:, : outs.size], x.shape, taps, 1, divisor_override=1, layout="NWC")
    first = np.clip(np.arange(6600) - taps + 1, 0, None)
    whole = np.cumsum(np.pad(x[0, : outs.size], ((1, taps - 1), (0, 0))), 0, dtype=float)
    np.testing.assert_allclose(back[0], whole[np.arange(6600) + 1] - whole[first], rtol=1e-4)
