# SPDX-License-Identifier: BSD-3-Clause
"""Columns of windows, and their adjoint: values against the reference and PyTorch, bits, layouts, errors."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import integers, reals
from conftest import posix

import fastconv
from fastconv import nn

FOLDS = {
    "2x2": ((2, 3, 6, 7), 2, {}),
    "3x3, padded": ((1, 4, 12, 19), 3, {"padding": 1}),
    "7x7, padded": ((1, 2, 20, 33), 7, {"padding": 3}),
    "by two": ((2, 3, 9, 40), (3, 4), {"stride": 2, "padding": (1, 2)}),
    "no overlap": ((1, 2, 8, 12), (2, 4), {"stride": (2, 4)}),
    "gaps": ((1, 2, 11, 35), 2, {"stride": (4, 3)}),
    "dilated": ((1, 2, 11, 14), (3, 2), {"dilation": (2, 5), "padding": (0, 3)}),
    "dilated, by two": ((2, 1, 15, 40), 3, {"dilation": (2, 3), "stride": (3, 2), "padding": 2}),
    "more padding than kernel": ((1, 2, 5, 5), 2, {"padding": 4}),
    "one window": ((1, 2, 3, 5), (3, 5), {"stride": 7}),
    "one side": ((1, 2, 6, 6), 3, {"padding": ((0, 2), (1, 0)), "stride": 2}),
    "unbatched": ((3, 8, 9), 3, {}),
    "no image": ((0, 3, 8, 9), 3, {}),
    "no channel": ((2, 0, 8, 9), 3, {}),
    "1-D": ((2, 3, 50), (4,), {"padding": 2, "stride": 3}),
    "1-D, unbatched": ((3, 20), (3,), {"dilation": 2}),
    "3-D": ((2, 3, 4, 5, 6), (2, 3, 2), {"stride": (1, 2, 2), "padding": (1, 0, 1), "dilation": (2, 1, 1)}),
    # beyond the sizes of fold.c: chunks of 64 kB of columns, blocks of 65536 elements of a row
    "many rows": ((2, 2, 130, 50), 3, {"padding": 1}),
    "many rows, apart": ((1, 2, 150, 90), (5, 4), {"stride": (3, 5)}),
    "many rows, by two": ((1, 2, 140, 100), 3, {"padding": 1, "stride": 2}),
    "many rows, phases": ((1, 1, 150, 130), 7, {"stride": 3, "dilation": 2}),
    "long rows": ((1, 1, 2, 70000), (2, 3), {"padding": 1}),
    "long rows, by two": ((1, 1, 2, 140000), (1, 3), {"stride": (1, 2)}),
    "long rows, apart": ((1, 1, 1, 70000), (1, 3), {"stride": 5, "padding": (0, 4)}),
    "long rows, phases": ((1, 1, 2, 131075), (1, 300), {"stride": (1, 128)}),
    "long rows, few outputs": ((1, 1, 1, 140000), (1, 1500), {"stride": 1400}),
    "a column": ((2, 1, 70000, 1), (40, 1), {"stride": (32, 1)}),
    "a column, padded aside": ((1, 1, 700, 1), (40, 1), {"stride": (16, 1), "padding": (3, 1)}),
    "columns": ((1, 2, 900, 2), (40, 1), {"stride": (16, 1)}),
    "steps with a common divisor": ((1, 2, 90, 5), (9, 2), {"stride": (4, 1), "dilation": (6, 2), "padding": (7, 1)}),
    "steps that miss elements": ((1, 2, 90, 5), (4, 2), {"stride": (9, 1), "dilation": (3, 1)}),
    "taps beyond the picture": ((1, 1, 3, 4), (9, 2), {"padding": (20, 0), "dilation": (4, 1), "stride": (3, 1)}),
    "3-D, a column": ((1, 2, 500, 1, 1), (40, 1, 1), {"stride": (16, 1, 1)}),
    "3-D, planes": ((1, 1, 60, 1, 9), (7, 1, 2), {"stride": (4, 1, 1), "dilation": (2, 1, 1)}),
    "3-D, many planes": ((1, 1, 24, 3, 4), (5, 2, 2), {}),
    "3-D, tall kernel": ((1, 1, 3, 31, 3), (2, 15, 2), {}),
    "very many rows": ((1, 1, 1100, 3), 2, {"padding": (0, 1)}),
    "long rows, three blocks": ((1, 1, 1, 140000), (1, 2), {}),
    "3-D, far steps": ((1, 1, 40, 30, 3), (5, 7, 2), {"stride": (6, 4, 1), "dilation": (4, 6, 1), "padding": 5}),
}
fold_cases = pytest.mark.parametrize(("shape", "kernel", "how"), FOLDS.values(), ids=FOLDS.keys())


FEW = ["2x2", "3x3, padded", "by two", "unbatched", "no image", "1-D", "1-D, unbatched", "3-D", "many rows"]


@pytest.mark.parametrize("method", ["auto", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "complex64"])
@pytest.mark.parametrize("name", FEW)
def test_channels_last(rng, name, dtype, method):
    """Images with their channels last have the same columns, and columns give these images, call after call."""
    shape, kernel, how = FOLDS[name]
    size, x = size_of(shape, kernel), reals(rng, shape, dtype)
    second = x.ndim - len(size) - 1
    how = how | {"layout": {1: "NWC", 2: "NHWC", 3: "NDHWC"}[len(size)], "method": method}
    plain = {n: v for n, v in how.items() if n != "layout"}
    for _ in range(2):
        columns = nn.unfold(np.ascontiguousarray(np.moveaxis(x, second, -1)), kernel, **how)
        np.testing.assert_array_equal(columns, nn.unfold(x, kernel, **plain), strict=True)
        y = nn.fold(columns, size, kernel, **how)
        expected = np.moveaxis(nn.fold(columns, size, kernel, **plain), second, -1)
        np.testing.assert_array_equal(y, expected, strict=True)
        assert y.flags.c_contiguous
    with pytest.raises(ValueError, match="layout must be"):
        nn.unfold(x, kernel, layout="CHWN")


def size_of(shape, kernel):
    return shape[-(len(kernel) if isinstance(kernel, tuple) else 2) :]


@fold_cases
@pytest.mark.parametrize("dtype", [*cases.FLOATS, "float16"])
def test_values(isa, rng, tiny_chunks, shape, kernel, how, dtype):
    """Copies, and sums in a known order, have the bits of the reference."""
    x = reals(rng, shape, dtype)
    columns = nn.unfold(x, kernel, **how)
    expected = nn.unfold(x, kernel, **how, method="numpy")
    assert columns.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(columns, expected, strict=True)
    y = reals(rng, columns.shape, dtype)
    size = size_of(shape, kernel)
    expected = nn.fold(y, size, kernel, **how, method="numpy")
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(nn.unfold(x, kernel, **how, threads=threads), columns)
        np.testing.assert_array_equal(nn.fold(y, size, kernel, **how, threads=threads), expected, strict=True)
    with fastconv.checked():
        nn.unfold(x, kernel, **how)
        nn.fold(y, size, kernel, **how)


@fold_cases
def test_adjoint(rng, shape, kernel, how):
    x = integers(rng, shape, "float64")
    columns = nn.unfold(x, kernel, **how)
    y = integers(rng, columns.shape, "float64")
    assert (columns * y).sum() == (x * nn.fold(y, size_of(shape, kernel), kernel, **how)).sum()


@pytest.mark.parametrize("name", [n for n in FOLDS if "D" not in n and n not in ("one side", "no image", "no channel")])
def test_values_of_pytorch(rng, name):
    torch = pytest.importorskip("torch")
    shape, kernel, how = FOLDS[name]
    x = reals(rng, shape, "float32")
    columns = nn.unfold(x, kernel, **how)
    np.testing.assert_array_equal(columns, torch.nn.functional.unfold(torch.from_numpy(x), kernel, **how).numpy())
    theirs = torch.nn.functional.fold(torch.from_numpy(columns), shape[-2:], kernel, **how).numpy()
    np.testing.assert_allclose(nn.fold(columns, shape[-2:], kernel, **how), theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_layouts(rng, dtype):
    """Strides of any sign and size, misaligned, read-only, byte-swapped."""
    x = reals(rng, (2, 3, 9, 10), dtype)
    expected = nn.unfold(x, 3, padding=1, stride=2)
    back = nn.fold(expected, (9, 10), 3, padding=1, stride=2)
    wide = np.zeros((2, 3, 18, 30), dtype)
    wide[..., ::-2, 1::3] = x
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(dtype).reshape(x.shape)
    misaligned[...] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (wide[..., ::-2, 1::3], last, misaligned, frozen, x.astype(np.dtype(dtype).newbyteorder())):
        np.testing.assert_array_equal(nn.unfold(same, 3, padding=1, stride=2), expected)
    swapped = expected.astype(expected.dtype.newbyteorder())
    for same in (np.asfortranarray(expected), expected[:, ::-1][:, ::-1], swapped):
        np.testing.assert_array_equal(nn.fold(same, (9, 10), 3, padding=1, stride=2), back)


LITTLE_ROOM = """
import resource, numpy as np
from fastconv import nn
x = np.ones((1, 4096, {outputs}), np.float32)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, -1))
y = nn.fold(x, {size}, (4096, 1), stride=(4096, 1), threads=1)
assert (y == 1).all()
assert (nn.unfold(y, (4096, 1), stride=(4096, 1), threads=1) == 1).all()
"""


@posix
@pytest.mark.parametrize("width", [1, 2])
def test_long_columns_need_no_more_room_than_rows(python, width):
    """Tables had an entry for every element and tap: 1.3 GB for a column of 160000 samples and 1024 taps."""
    rows = 1_000_000 // 4096
    code = LITTLE_ROOM.format(outputs=rows * width, size=(1_000_000 // 4096 * 4096, width), room=100 << 20)
    result = python(code, FASTCONV_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr


def test_layer_is_a_product(rng):
    x, w = integers(rng, (2, 3, 9, 10), "float64"), integers(rng, (4, 3, 3, 3), "float64")
    y = w.reshape(4, -1) @ nn.unfold(x, 3, padding=1, stride=2)
    np.testing.assert_array_equal(y.reshape(2, 4, 5, 5), nn.conv2d(x, w, padding=1, stride=2))


X, Y = np.zeros((1, 2, 5, 6)), np.zeros((1, 8, 20))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda **m: nn.unfold(X, 6, **m), ValueError, "kernel_size of .* larger than the padded input"),
        (lambda **m: nn.unfold(X, 0, **m), ValueError, "kernel_size must be at least 1; got 0"),
        (lambda **m: nn.unfold(X, (2, 2, 2, 2), **m), ValueError, "kernel_size must be an integer or one to three"),
        (lambda **m: nn.unfold(X, (), **m), ValueError, "kernel_size"),
        (lambda **m: nn.unfold(X, 1.5, **m), TypeError, "kernel_size"),
        (lambda **m: nn.unfold(X[0, 0], 2, **m), ValueError, "x must have 4 dimensions"),
        (lambda **m: nn.unfold(X, 2, stride=0, **m), ValueError, "stride must be at least 1"),
        (lambda **m: nn.unfold(X, 2, dilation=(1, 2, 3), **m), ValueError, "dilation"),
        (lambda **m: nn.unfold(X, 2, padding=-1, **m), ValueError, "padding must not be negative"),
        (lambda **m: nn.unfold(X, 2, padding=2**60, **m), ValueError, "too large"),
        (lambda **m: nn.unfold(X.astype(object), 2, **m), TypeError, "x has dtype object"),
        (lambda **m: nn.unfold(np.zeros((1, 1, 0, 3)), 2, padding=2, **m), ValueError, "has none"),
        (lambda **m: nn.fold(Y[:, :7], (5, 6), 2, **m), ValueError, "x must have C x 4 rows"),
        (lambda **m: nn.fold(Y[..., :19], (5, 6), 2, **m), ValueError, "and 20 columns"),
        (lambda **m: nn.fold(Y[0, 0], (5, 6), 2, **m), ValueError, "x must have 3 dimensions"),
        (lambda **m: nn.fold(Y, (5, 6, 7), 2, **m), ValueError, "and 120 columns"),
        (lambda **m: nn.fold(Y, (5, 6, 1, 1), 2, **m), ValueError, "output_size must be an integer or one to three"),
        (lambda **m: nn.fold(Y, (5, 6), (2, 2, 1), **m), ValueError, "output_size must be an integer or 3 of them"),
        (lambda **m: nn.fold(Y, (1, 6), 2, **m), ValueError, "larger than the padded input"),
        (lambda **m: nn.fold(Y, (5.0, 6), 2, **m), TypeError, "output_size"),
        (lambda **m: nn.fold(Y.astype("M8[s]"), (5, 6), 2, **m), TypeError, "x has dtype datetime64"),
    ],
)
def test_errors(call, error, words):
    for how in ({}, {"method": "numpy"}):
        with pytest.raises(error, match=words):
            call(**how)
    with pytest.raises(ValueError, match="method must be one of"):
        nn.unfold(X, 2, method="fast")


@pytest.mark.parametrize("dtype", [*"?bBhHiIlLqQFD", "float16"])
@pytest.mark.parametrize("method", ["auto", "numpy"])
def test_any_dtype(isa, rng, dtype, method):
    """Windows are copied bit by bit; integers are summed modulo their range."""
    x = rng.integers(0, 256, (2, 3, 7, 8, np.dtype(dtype).itemsize), np.uint8)
    x = rng.integers(0, 2, (2, 3, 7, 8)) > 0 if dtype == "?" else x.view(dtype)[..., 0]
    x = x if x.dtype.kind not in "fc" else integers(rng, x.shape, "float64").astype(dtype)
    expected = np.lib.stride_tricks.sliding_window_view(x, (3, 2), (2, 3))[:, :, ::2]
    expected = expected.transpose(0, 1, 4, 5, 2, 3).reshape(2, 18, -1)
    how = {"stride": (2, 1), "method": method}
    columns = nn.unfold(x, (3, 2), **how)
    assert columns.dtype == x.dtype
    assert columns.tobytes() == expected.tobytes()
    assert nn.unfold(x.astype(x.dtype.newbyteorder()), (3, 2), **how).tobytes() == expected.tobytes()
    with fastconv.checked():
        folded = nn.fold(columns, (7, 8), (3, 2), **how)
    ones = nn.fold(nn.unfold(np.ones((7, 8))[None], (3, 2), stride=(2, 1)), (7, 8), (3, 2), stride=(2, 1))
    assert folded.dtype == x.dtype
    np.testing.assert_array_equal(folded, x if dtype == "?" else x * ones.astype(dtype))
