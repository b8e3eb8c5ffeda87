# SPDX-License-Identifier: BSD-3-Clause
"""Layers just beyond the sizes at which the C core cuts: second and later blocks, parts, packs, chunks and shares, and
what is left over at their ends. A wrong offset there shows in no smaller layer."""

from __future__ import annotations

from functools import cache

import cases
import numpy as np
import pytest
from cases import integers
from conftest import SEED

import fastconv
from fastconv import nn, reference

# (x, w, how) of layers; their gradients are computed, too, and transposed layers
EDGES = {
    # blocks.c, products.c: blocks of 1024 outputs of a phase, packs of 16 parts or 320 kB, shares of the kernels
    "blocks of rows": ((2, 3, 40, 37), (5, 3, 3, 3), {"padding": 1}),
    "blocks of rows, reflected": ((1, 3, 40, 37), (5, 3, 3, 3), {"padding": (3, 1), "padding_mode": "reflect"}),
    "blocks of rows, shares": ((1, 3, 40, 37), (67, 3, 2, 2), {}),
    "blocks of rows, groups": ((1, 6, 40, 37), (6, 3, 3, 2), {"padding": 1, "groups": 2}),
    "blocks of rows, by two": ((1, 3, 73, 80), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "blocks of rows, down by two": ((1, 2, 79, 41), (4, 2, 3, 3), {"stride": (2, 1), "padding": 1}),
    "blocks of rows, across by two": ((1, 2, 35, 81), (4, 2, 3, 3), {"stride": (1, 2), "padding": 1}),
    "blocks of rows, by three, dilated": ((1, 2, 110, 107), (3, 2, 3, 3), {"stride": 3, "dilation": 2, "padding": 2}),
    "blocks of rows, beyond the kernel": ((1, 2, 116, 108), (3, 2, 2, 2), {"stride": 3}),
    "blocks of rows, 1x1 by two": ((1, 5, 80, 75), (3, 5, 1, 1), {"stride": 2}),
    "blocks of rows, 1x1 by two, begun late": ((1, 5, 80, 75), (3, 5, 1, 1), {"stride": 2, "padding": 1}),
    "blocks of rows, dilated": ((1, 2, 50, 47), (3, 2, 3, 3), {"dilation": (9, 5)}),
    "blocks of rows, 3-D": ((2, 2, 3, 40, 37), (3, 2, 2, 3, 2), {"padding": 1}),
    "blocks of rows, 3-D by two": ((1, 2, 5, 71, 73), (3, 2, 3, 3, 3), {"stride": 2, "padding": 1}),
    "blocks of rows, 3-D beyond the kernel": ((1, 2, 7, 68, 70), (2, 2, 2, 2, 2), {"stride": (3, 2, 2)}),
    "blocks of columns": ((1, 2, 4, 2100), (3, 2, 3, 3), {"padding": 1}),
    "blocks of columns, wrapped": ((1, 2, 4, 2100), (3, 2, 3, 3), {"padding": 2, "padding_mode": "circular"}),
    "blocks of columns, by two": ((1, 2, 5, 4203), (3, 2, 3, 3), {"stride": 2, "padding": 1}),
    "blocks of columns, across by two": ((1, 2, 3, 4202), (3, 2, 3, 3), {"stride": (1, 2), "padding": 1}),
    "blocks of columns, down by two": ((1, 2, 5, 2101), (3, 2, 3, 3), {"stride": (2, 1), "padding": 1}),
    "blocks of columns, by three": ((1, 2, 7, 6305), (3, 2, 3, 3), {"stride": 3, "padding": 1}),
    "blocks of columns, beyond the kernel": ((1, 2, 8, 3305), (3, 2, 2, 2), {"stride": 3}),
    "blocks of columns, dilated": ((1, 2, 3, 2400), (3, 2, 1, 3), {"dilation": (1, 140)}),
    "blocks of columns, groups": ((1, 4, 2, 2100), (6, 2, 1, 3), {"groups": 2}),
    "blocks of columns, shares": ((1, 2, 1, 1100), (67, 2, 1, 3), {}),
    "blocks of columns, 3-D": ((1, 2, 2, 3, 1100), (3, 2, 2, 2, 3), {"padding": (0, 1, 1)}),
    "blocks of columns, 3-D by two": ((1, 2, 5, 3, 2202), (3, 2, 2, 2, 3), {"stride": (3, 2, 2), "padding": (0, 1, 1)}),
    "blocks of both, by two": ((1, 1, 141, 2202), (2, 1, 3, 3), {"stride": 2, "padding": 1}),
    "blocks of planes": ((5, 3, 20, 20), (5, 3, 3, 3), {"padding": 1}),
    "blocks of planes, groups": ((5, 6, 20, 20), (6, 3, 3, 3), {"padding": 1, "groups": 2}),
    "blocks of planes, by two": ((5, 3, 40, 39), (5, 3, 3, 3), {"padding": 1, "stride": 2}),
    "blocks of planes, 3-D": ((3, 2, 3, 20, 19), (3, 2, 3, 2, 3), {"padding": 1}),
    "blocks of planes, 3-D by two": ((3, 2, 7, 33, 31), (3, 2, 3, 2, 3), {"padding": 1, "stride": 2}),
    "packs": ((1, 600, 5, 3), (18, 600, 3, 3), {"padding": 1}),
    "packs, by two": ((2, 500, 7, 7), (3, 500, 3, 3), {"padding": 1, "stride": 2}),
    "packs of kernels, by two": ((2, 3, 7, 7), (1100, 3, 3, 3), {"padding": 1, "stride": 2}),
    "packs, shares": ((1, 300, 3, 3), (67, 300, 3, 3), {"padding": 1}),
    "packs, shares of the gradient": ((1, 67, 5, 5), (300, 67, 3, 3), {"padding": 1, "stride": 2}),
    "packs, groups": ((1, 600, 3, 3), (4, 300, 3, 3), {"padding": 1, "groups": 2}),
    "parts of one channel": ((1, 3, 20, 19), (4, 3, 17, 17), {}),
    "shares, groups": ((1, 6, 5, 5), (134, 3, 3, 3), {"groups": 2}),
    # blocks.c: a quarter of a vector that is left over
    "dots": ((2, 8, 12, 33), (18, 8, 3, 3), {"padding": 1}),
    "dots, two of doubles": ((2, 8, 6, 18), (17, 8, 3, 3), {"padding": 1}),
    "dots, blocks of rows": ((1, 4, 34, 33), (17, 4, 3, 3), {"padding": 1}),
    "dots, blocks of columns": ((1, 14, 2, 1057), (16, 14, 1, 3), {"padding": (0, 1)}),
    "dots, blocks of planes": ((3, 14, 20, 33), (16, 14, 1, 3), {"padding": (0, 1)}),
    "dots, packs": ((1, 600, 7, 7), (17, 600, 3, 3), {"padding": 1}),
    "dots, groups": ((2, 16, 7, 7), (34, 8, 3, 3), {"padding": 1, "groups": 2}),
    "dots, one channel a part": ((2, 3, 19, 19), (17, 3, 13, 13), {}),
    # lanes.c: blocks of 384 kB of pixels, parts of 256 taps
    "lanes, blocks of rows": ((1, 17, 300, 40), (17, 1, 3, 3), {"groups": 17, "stride": (2, 3)}),
    "lanes, blocks of rows, reflected": (
        (1, 17, 300, 24),
        (17, 1, 3, 3),
        {"groups": 17, "padding": (2, 3), "padding_mode": "reflect"},
    ),
    "lanes, blocks of rows, dilated": (
        (1, 17, 300, 40),
        (17, 1, 2, 3),
        {"groups": 17, "stride": (2, 3), "dilation": (3, 5)},
    ),
    "lanes, blocks of rows, two kernels": (
        (2, 17, 300, 12),
        (34, 1, 3, 2),
        {"groups": 17, "padding": 1, "stride": (1, 2)},
    ),
    "lanes, blocks of rows, 3-D": ((1, 17, 3, 70, 20), (17, 1, 3, 3, 3), {"groups": 17, "padding": (0, 1, 1)}),
    "lanes, blocks of rows, 3-D by two": (
        (1, 17, 4, 160, 37),
        (17, 1, 2, 3, 3),
        {"groups": 17, "padding": (0, 1, 1), "stride": 2},
    ),
    "lanes, blocks of columns": ((1, 17, 9, 1500), (34, 1, 3, 2), {"groups": 17, "padding": 1, "stride": (1, 2)}),
    "lanes, blocks of columns, wrapped": (
        (1, 17, 8, 1500),
        (17, 1, 3, 3),
        {"groups": 17, "padding": 2, "stride": (1, 2), "padding_mode": "circular"},
    ),
    "lanes, blocks of columns, 3-D": (
        (1, 17, 2, 9, 700),
        (17, 1, 2, 2, 3),
        {"groups": 17, "padding": (0, 1, 1), "stride": (1, 1, 2)},
    ),
    "lanes, parts": ((1, 17, 4, 310), (17, 1, 3, 300), {"groups": 17}),
    "lanes, parts, dilated": ((1, 17, 4, 640), (17, 1, 3, 300), {"groups": 17, "stride": (1, 2), "dilation": (1, 2)}),
    "lanes, parts, 3-D": ((1, 17, 3, 18, 19), (17, 1, 3, 16, 17), {"groups": 17}),
    # slides.c: blocks of 20 kB and 1024 columns, parts of 256 taps
    "sliding, blocks": ((2, 2, 21, 1100), (4, 1, 3, 3), {"groups": 2, "padding": 1}),
    "sliding, blocks of columns": ((1, 2, 5, 1100), (4, 1, 3, 3), {"groups": 2, "padding": 1}),
    "sliding, blocks, reflected": (
        (1, 2, 21, 1100),
        (2, 1, 3, 3),
        {"groups": 2, "padding": (2, 3), "padding_mode": "reflect"},
    ),
    "sliding, blocks, by two": ((1, 1, 43, 2201), (2, 1, 3, 3), {"padding": 1, "stride": 2}),
    "sliding, blocks, dilated": ((1, 2, 27, 1104), (2, 1, 3, 3), {"groups": 2, "padding": (0, 1), "dilation": (3, 2)}),
    "sliding, blocks, 3-D": ((2, 2, 3, 21, 1100), (2, 1, 2, 2, 3), {"groups": 2, "padding": (0, 1, 1)}),
    "sliding, fewer rows than between taps": ((1, 2, 50, 9), (2, 1, 3, 3), {"groups": 2, "dilation": (20, 1)}),
    "sliding, parts of tall kernels": ((1, 1, 532, 3), (1, 1, 529, 2), {}),
    "sliding, parts, blocks": ((2, 2, 20, 1100), (2, 1, 17, 17), {"groups": 2}),
    "sliding, parts, 3-D": ((1, 1, 4, 12, 13), (1, 1, 3, 10, 10), {}),
    # weight.c: parts of 256 outputs, blocks of 192 kB, chunks of 1 MB of sums
    "weights, lanes of x": ((2, 17, 64, 60), (2, 17, 3, 2), {"padding": 1}),
    "weights, lanes of x, reflected": ((1, 17, 20, 600), (2, 17, 2, 2), {"padding": (0, 2), "padding_mode": "reflect"}),
    "weights, lanes of x, by two": ((1, 17, 121, 123), (2, 17, 2, 3), {"stride": 2}),
    "weights, lanes of x, chunks": ((1, 40, 60, 40), (2, 40, 3, 3), {"padding": 1}),
    "weights, lanes of x, chunks of kernels": ((1, 16, 21, 22), (81, 16, 20, 20), {}),
    "weights, lanes of x, chunks of both": ((1, 32, 21, 22), (49, 32, 20, 20), {}),
    "weights, lanes of x, chunks of kernels, groups": ((1, 32, 21, 22), (98, 16, 20, 20), {"groups": 2}),
    "weights, lanes of x, groups": ((1, 34, 64, 60), (4, 17, 2, 2), {"groups": 2}),
    "weights, lanes of x, groups, columns": ((1, 34, 4, 600), (4, 17, 2, 2), {"groups": 2}),
    "weights, lanes of x, columns, chunks": ((1, 40, 4, 600), (2, 40, 3, 3), {"padding": 1, "stride": (1, 2)}),
    "weights, lanes of x, 1x1": ((2, 17, 64, 60), (4, 17, 1, 1), {}),
    "weights, lanes of x, 1x1, columns": ((1, 16, 3, 610), (4, 16, 1, 1), {}),
    "weights, lanes of x, 1x1, chunks of kernels": ((1, 128, 2, 2), (2049, 128, 1, 1), {}),
    "weights, lanes of x, 3-D": ((1, 17, 4, 50, 30), (2, 17, 2, 2, 2), {"padding": (0, 1, 0)}),
    "weights, lanes of x, 3-D, columns": ((1, 17, 3, 4, 300), (2, 17, 2, 2, 2), {}),
    "weights, lanes of x, all apart": ((1, 17, 46, 82), (3, 17, 3, 3), {"dilation": (13, 31)}),
    "weights, lanes of x, rows apart": ((1, 17, 57, 41), (3, 17, 2, 1), {"dilation": (17, 1)}),
    "weights, lanes of x, columns apart": ((1, 17, 45, 111), (3, 17, 1, 2), {"dilation": (1, 70)}),
    "weights, lanes of x, long rows apart": ((1, 17, 50, 441), (3, 17, 2, 2), {"dilation": (17, 140)}),
    "weights, lanes of x, far strides": ((1, 16, 700, 41), (2, 16, 2, 2), {"stride": (17, 1), "padding": 1}),
    "weights, lanes of x, far strides of columns": (
        (1, 16, 2, 5200),
        (2, 16, 1, 2),
        {"stride": (1, 17), "padding": (0, 1)},
    ),
    "weights, lanes of dy": ((2, 3, 64, 60), (17, 3, 3, 2), {"padding": 1}),
    "weights, lanes of dy, wrapped": ((1, 3, 12, 600), (17, 3, 2, 2), {"padding": (0, 2), "padding_mode": "circular"}),
    "weights, lanes of dy, by two": ((1, 3, 121, 123), (17, 3, 2, 3), {"stride": 2, "padding": 1}),
    "weights, lanes of dy, by two, inside": ((1, 3, 121, 123), (17, 3, 3, 3), {"stride": 2}),
    "weights, lanes of dy, inside": ((2, 3, 64, 63), (40, 3, 2, 2), {}),
    "weights, lanes of dy, columns": ((1, 3, 8, 800), (17, 3, 2, 3), {"padding": 1}),
    "weights, lanes of dy, columns, inside": ((1, 3, 14, 800), (17, 3, 2, 3), {}),
    "weights, lanes of dy, chunks": ((1, 3, 41, 40), (140, 3, 2, 2), {"padding": (0, 1)}),
    "weights, lanes of dy, chunks, inside": ((1, 2, 41, 40), (140, 2, 2, 2), {}),
    "weights, lanes of dy, chunks, columns, inside": ((1, 2, 3, 600), (140, 2, 1, 2), {}),
    "weights, lanes of dy, chunks, groups": ((1, 4, 9, 9), (280, 2, 3, 3), {"groups": 2, "padding": 1}),
    "weights, lanes of dy, groups": ((1, 6, 64, 60), (34, 3, 2, 2), {"groups": 2, "padding": 1}),
    "weights, lanes of dy, groups, inside": ((1, 6, 64, 63), (34, 3, 2, 2), {"groups": 2}),
    "weights, lanes of dy, groups, columns": ((1, 6, 4, 600), (34, 3, 2, 2), {"groups": 2, "padding": 1}),
    "weights, lanes of dy, 1x1": ((2, 3, 64, 60), (18, 3, 1, 1), {}),
    "weights, lanes of dy, 1x1, padded": ((2, 3, 60, 60), (16, 3, 1, 1), {"padding": 1}),
    "weights, lanes of dy, 1x1, padded, columns": ((1, 3, 4, 600), (16, 3, 1, 1), {"padding": 1}),
    "weights, lanes of dy, 3-D": ((1, 3, 4, 50, 63), (17, 3, 2, 2, 2), {"padding": (0, 1, 0)}),
    "weights, lanes of dy, 3-D, inside": ((1, 3, 3, 52, 63), (17, 3, 2, 2, 2), {}),
    "weights, lanes of dy, 3-D, columns": ((1, 3, 3, 4, 600), (17, 3, 2, 2, 2), {"padding": (0, 1, 0)}),
    "weights, lanes of dy, all apart": ((1, 3, 66, 82), (17, 3, 3, 3), {"dilation": (13, 31), "padding": 1}),
    "weights, lanes of dy, long rows apart": (
        (1, 3, 50, 441),
        (17, 3, 2, 2),
        {"dilation": (17, 140), "padding": (0, 1)},
    ),
    "weights, lanes of dy, columns apart": ((1, 3, 45, 441), (17, 3, 1, 2), {"dilation": (1, 140), "padding": (0, 1)}),
    "weights, lanes of dy, far strides": ((1, 3, 1100, 45), (17, 3, 2, 2), {"stride": (17, 1), "padding": 1}),
    "weights, lanes of dy, far strides, inside": ((1, 3, 1100, 61), (16, 3, 2, 2), {"stride": (17, 1)}),
    "weights, lanes of dy, far strides of columns": (
        (1, 3, 9, 5300),
        (17, 3, 1, 2),
        {"stride": (1, 17), "padding": (0, 1)},
    ),
    "weights, a lane for each group": ((2, 17, 64, 61), (17, 1, 3, 2), {"groups": 17, "padding": 1}),
    "weights, a lane for each group, reflected": (
        (1, 17, 20, 601),
        (17, 1, 3, 2),
        {"groups": 17, "padding": 2, "padding_mode": "reflect"},
    ),
    "weights, a lane for each group, 1x1": ((1, 17, 64, 61), (17, 1, 1, 1), {"groups": 17}),
    "weights, a lane for each group, 1x1, columns": ((1, 17, 20, 601), (34, 1, 1, 1), {"groups": 17}),
    "weights, a lane for each group, 3-D": ((2, 17, 4, 64, 61), (17, 1, 2, 2, 2), {"groups": 17, "padding": (0, 1, 0)}),
    "weights, a lane for each group, all apart": ((1, 17, 46, 82), (17, 1, 3, 3), {"groups": 17, "dilation": (13, 31)}),
    "weights, a lane for each group, rows apart": ((1, 17, 57, 41), (17, 1, 2, 1), {"groups": 17, "dilation": (17, 1)}),
    "weights, a lane for each group, long rows apart": (
        (1, 17, 37, 441),
        (17, 1, 2, 2),
        {"groups": 17, "dilation": (17, 140)},
    ),
    "weights, a lane for each group, columns apart": (
        (1, 17, 25, 441),
        (17, 1, 1, 2),
        {"groups": 17, "dilation": (1, 140)},
    ),
    "weights, a lane for each group, far strides": ((1, 17, 900, 41), (17, 1, 2, 2), {"groups": 17, "stride": (17, 1)}),
    "weights, a lane for each group, far strides of columns": (
        (1, 17, 2, 5200),
        (17, 1, 1, 2),
        {"groups": 17, "stride": (1, 17)},
    ),
    # conv.c: few outputs of a large kernel
    "few outputs, 3-D": ((2, 2, 9, 14, 13), (2, 2, 8, 13, 12), {}),
    "few outputs, groups": ((3, 6, 43, 40), (8, 3, 41, 36), {"groups": 2}),
}


def misaligned(a):
    odd = np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    assert not odd.flags.aligned
    return odd


def turned(a):
    return a[..., ::-1].copy()[..., ::-1]


def channels_last(a):
    return a if a.ndim == 1 else np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


@cache
def in_float64(name):
    """What is asked of a layer, its gradients and transposed: function, arguments, options and the reference's result.

    Sums of small integers are exact, and so they are the same in each dtype and on each instruction set."""
    x_shape, w_shape, how = EDGES[name]
    rng, rank = np.random.default_rng(SEED), len(w_shape) - 2
    x, w = (integers(rng, shape, "float64") for shape in (x_shape, w_shape))
    conv, dx, dw, transposed = (f"conv{rank}d", f"conv{rank}d_input", f"conv{rank}d_weight", f"conv_transpose{rank}d")
    bias, bounds = integers(rng, w_shape[:1], "float64"), (-300, 200)
    y = getattr(reference, conv)(x, w, bias, **how)
    grad = integers(rng, y.shape, "float64")
    calls = [
        (conv, (x, w, bias), how | {"activation": bounds}, np.clip(y, *bounds)),
        (dx, (x.shape, w, grad), how, getattr(reference, dx)(x.shape, w, grad, **how)),
        (dw, (x, w.shape, grad), how, getattr(reference, dw)(x, w.shape, grad, **how)),
    ]
    if "padding_mode" not in how:
        bias = integers(rng, x_shape[1:2], "float64")
        back = getattr(reference, transposed)(grad, w, bias, **how)
        calls.append((transposed, (grad, w, bias), how | {"activation": bounds}, np.clip(back, *bounds)))
    return calls


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("dtype", cases.FLOATS)
@pytest.mark.usefixtures("tiny_chunks")
def test_values(isa, name, dtype):
    """Of small integers, with bias and bounds, in any layout, for one thread and several."""
    print(f"FASTCONV_TEST_SEED={SEED}")
    for of, arguments, options, expected in in_float64(name):
        arguments = [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in arguments]

        def agrees(result, how, of=of, expected=expected):
            assert result.dtype == dtype and result.shape == expected.shape
            if not (result == expected).all():  # NumPy's own words take longer than a layer
                np.testing.assert_array_equal(result, expected, f"{of} {how}")

        for threads in (1, 3):
            agrees(getattr(nn, of)(*arguments, **options, threads=threads), threads)
        layouts = np.asfortranarray, misaligned, channels_last, turned
        some = min(len(fastconv.isas()), 2)  # on each set half of them: what arranges elements knows of no set
        for laid in layouts[fastconv.isas().index(isa) % some :: some]:
            same = [laid(a) if isinstance(a, np.ndarray) else a for a in arguments]
            agrees(getattr(nn, of)(*same, **options), laid.__name__)


@pytest.mark.parametrize("name", [n for n in EDGES if n.startswith(("lanes, blocks", "few outputs"))])
def test_not_finite(isa, rng, name):
    """In the last image, weight and output: what these meet is spoilt, and the padding of infinite weights; no more."""
    x_shape, w_shape, how = EDGES[name]
    rank = len(w_shape) - 2
    x, w, bias = (integers(rng, s, "float32") for s in (x_shape, w_shape, x_shape[1:2]))
    conv, dx, transposed = f"conv{rank}d", f"conv{rank}d_input", f"conv_transpose{rank}d"
    grad = integers(rng, getattr(reference, conv)(x, w, **how).shape, "float32")
    bad_x, bad_w, bad_grad = x.copy(), w.copy(), grad.copy()
    for bad in (bad_x, bad_w, bad_grad):
        bad[(-1,) * bad.ndim] = np.inf
    calls = [(conv, (bad_x, w)), (conv, (x, bad_w)), (dx, (x_shape, w, bad_grad))]
    if "padding_mode" not in how:
        calls.append((transposed, (bad_grad, w, bias)))
    for of, arguments in calls:
        with np.errstate(invalid="ignore"):
            expected = getattr(reference, of)(*arguments, **how)
        np.testing.assert_array_equal(getattr(nn, of)(*arguments, **how), expected, of)


# What the cases above are beyond
SIZES = {
    "costs.h PRODUCTS_PART": 128,
    "costs.h PRODUCTS_PACKED": 320 << 10,
    "costs.h PRODUCTS_PIXELS": 1024,
    "costs.h PRODUCTS_REGION": 1 << 16,
    "costs.h PRODUCTS_MOST_PARTS": 16,
    "costs.h PRODUCTS_DOT_ROWS": 16,
    "layer.h LONGEST_PART": 256,
    "costs.h LANES_BLOCK": 384 << 10,
    "costs.h SLIDES_BLOCK": 20 << 10,
    "costs.h SLIDES_COLUMNS": 1024,
    "costs.h WEIGHT_PART": 256,
    "costs.h WEIGHT_BLOCK": 192 << 10,
    "costs.h WEIGHT_SUMS": 1 << 20,
    "costs.h WEIGHT_VECTORS": 8,
    "costs.h WEIGHT_TAP_VECTORS": 18,
    "costs.h WEIGHT_WIDE": 16,
}


@pytest.mark.parametrize("size", SIZES)
def test_cases_are_beyond_the_sizes_of_the_core(size):
    """Larger blocks need larger cases."""
    assert cases.c_sizes()[size] <= SIZES[size]
