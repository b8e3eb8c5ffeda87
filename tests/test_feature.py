# SPDX-License-Identifier: BSD-3-Clause
"""Template matching: against hard-coded scores, the reference, scikit-image and OpenCV where they are installed."""

from __future__ import annotations

from itertools import product

import cases
import numpy as np
import pytest
from conftest import only_deep, posix

import fastconv
from fastconv import _core, reference
from fastconv.arguments.matching import MEASURES, PAD_MODES, matching_arguments
from fastconv.feature import match_template
from fastconv.plans import Answer
from fastconv.runtime import check_result

measures = pytest.mark.parametrize("method", MEASURES)
floats = pytest.mark.parametrize("dtype", cases.FLOATS)
NORMED = [m for m in MEASURES if m.endswith("_normed")]

# (image, template): one tile and several, direct and by transform, thin, full, 3-D
SHAPES = (
    ((1, 1), (1, 1)),
    ((9, 9), (9, 9)),
    ((30, 41), (4, 5)),
    ((120, 90), (20, 30)),
    ((110, 30), (3, 1)),
    ((12, 1200), (2, 9)),
    ((9, 490), (3, 2)),  # rows that would be 4096 bytes apart
    ((70, 600), (13, 12)),
    ((9, 10, 40), (3, 4, 5)),
    ((6, 31, 36), (2, 14, 15)),
    ((30, 41, 3), (4, 5, 3)),
)
shapes = pytest.mark.parametrize(("image", "template"), SHAPES)
LARGE = ((120, 90), (70, 600), (6, 31, 36), (30, 41, 3))  # the reference takes long for these
mostly_small = pytest.mark.parametrize(
    ("image", "template"), [pytest.param(*s, marks=[pytest.mark.deep] if s[0] in LARGE else []) for s in SHAPES]
)


def check(*arguments, **options):
    """match_template within the reference's bound; returns the result."""
    with fastconv.checked():
        result = match_template(*arguments, **options)
    if options.get("method", MEASURES[0]) in NORMED:
        finite = result[~np.isnan(result)]
        assert (abs(finite) <= 1).all()
    return result


def on_each_isa(*arguments, **options):
    """What `check` returns, of each instruction set and while it is in use. The reference, which takes long, computes
    once."""
    expected = reference.match_template(*arguments, **options)
    bound = reference.match_error_bound(matching_arguments(*arguments, **options))
    assert fastconv.isas()
    for isa in fastconv.isas():
        with fastconv.use_isa(isa):
            result = match_template(*arguments, **options)
            check_result(result, expected, bound, isa)
            if options.get("method", MEASURES[0]) in NORMED:
                assert (abs(result[~np.isnan(result)]) <= 1).all()
            yield result


def textured(rng, shape, dtype="float64", offset=0.0, contrast=1.0):
    return (offset + contrast * rng.random(shape)).astype(dtype)


# what is computed ---------------------------------------------------------------------


def test_by_hand():
    x = [[1, 2, 4], [0, 3, 1]]
    t = [[1, 3]]
    expected = {
        "ccorr": [[7, 14], [9, 6]],
        "sqdiff": [[1, 2], [1, 8]],
        "ccoeff": [[1, 2], [3, -2]],
        "ccoeff_normed": [[1, 1], [1, -1]],
        "ccorr_normed": np.array([[7, 14], [9, 6]]) / np.sqrt([[50, 200], [90, 100]]),
        "sqdiff_normed": np.array([[1, 2], [1, 8]]) / np.sqrt([[50, 200], [90, 100]]),
    }
    for method, scores in expected.items():
        np.testing.assert_allclose(match_template(x, t, method=method), scores, atol=1e-15, err_msg=method)
        np.testing.assert_allclose(reference.match_template(x, t, method=method), scores, atol=1e-15, err_msg=method)


def test_masks_by_hand():
    """OpenCV's formulas: weights of window and template, both."""
    x, t, weights = np.array([[1.0, 2, 4, 9]]), np.array([[1.0, 7, 3]]), np.array([[1.0, 0, 2]])
    scores = {
        "ccorr": [[1 * 1 + 4 * 4 * 3, 2 * 1 + 4 * 9 * 3]],
        "sqdiff": [[0 + 4 * 1, 1 + 4 * 36]],
        # means 3, 20/3 of the windows and 7/3 of the template
        "ccoeff": [[(-4 / 3) * -2 + 4 * (2 / 3) * 1, (-4 / 3) * (-14 / 3) + 4 * (2 / 3) * (7 / 3)]],
    }
    for method, expected in scores.items():
        np.testing.assert_allclose(match_template(x, t, mask=weights, method=method), expected, err_msg=method)


@measures
@shapes
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_reference(rng, image, template, dtype, method):
    high = 250 if dtype == "uint8" else 1
    x, t = textured(rng, image, dtype, contrast=high), textured(rng, template, dtype, contrast=high)
    for y in on_each_isa(x, t, method=method):
        assert y.dtype == (np.float64 if dtype == "uint8" else dtype)


@shapes
@pytest.mark.parametrize(
    ("mode", "method"), [*((mode, MEASURES[0]) for mode in PAD_MODES), *product(("reflect", "median"), MEASURES[1:])]
)
def test_padding(rng, image, template, mode, method):
    assert check(textured(rng, image), textured(rng, template), True, mode, method=method).shape == image


@measures
@mostly_small
def test_padding_and_masks(rng, image, template, method):
    x, t = textured(rng, image), textured(rng, template)
    weights = np.maximum(rng.random(template) - 0.4, 0)
    weights.flat[0] = 1
    assert check(x, t, True, constant_values=0.7, method=method).shape == image
    check(x, t, method=method, mask=weights)
    check(x.astype("float32"), t, True, "edge", method=method, mask=weights > 0.2)
    check(x, t, method=method, mask=weights.astype("float32"))


@shapes
@pytest.mark.parametrize("method", ["ccorr", "sqdiff"])
@pytest.mark.parametrize("dtype", cases.INTEGERS)
def test_integers_are_exact(rng, dtype, method, image, template):
    x, t = (cases.integers(rng, shape, dtype) for shape in (image, template))
    for mask in (None, rng.random(template) < 0.9):
        if mask is None or mask.any():
            y = match_template(x, t, method=method, mask=mask)
            cases.assert_same_bits(y + 0.0, reference.match_template(x, t, method=method, mask=mask) + 0.0)


@pytest.mark.parametrize("dtype", ["float16", ">f4", ">f8", ">u2"])
def test_other_dtypes(rng, dtype):
    x = textured(rng, (30, 40), dtype, contrast=200)
    y = check(x, x[3:9, 4:11])
    assert y.dtype == (np.float64 if dtype in (">f8", ">u2") else np.float32)
    assert np.unravel_index(y.argmax(), y.shape) == (3, 4)


def test_dtype_can_be_asked_for(rng):
    x = textured(rng, (40, 50), "uint8", contrast=250)
    y = check(x, x[:8, :9], dtype="float32")
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, match_template(x, x[:8, :9]), atol=1e-6)
    assert check(x.astype("float32"), x[:8, :9], dtype=np.float64).dtype == np.float64


@floats
def test_layouts(isa, rng, dtype):
    x, t = textured(rng, (70, 90), dtype), textured(rng, (6, 5), dtype)
    for options in ({}, {"pad_input": True, "mode": "wrap"}):
        y = match_template(x, t, **options)
        for lay in (
            np.asfortranarray,
            lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
            lambda a: a.repeat(3, 1)[:, 1::3],
            lambda a: np.pad(a, 1)[1:-1, 1:-1],
        ):
            cases.assert_same_bits(match_template(lay(x), lay(t), **options), y)
        x.flags.writeable = False
        cases.assert_same_bits(match_template(x, t, **options), y)
        x.flags.writeable = True
    packed = np.zeros(x.size * x.itemsize + 1, np.uint8)[1:].view(dtype).reshape(x.shape)
    packed[...] = x
    cases.assert_same_bits(match_template(packed, t), match_template(x, t))


def rooms(shape, dtype):
    """Where results may go: dense, rows and columns apart, backwards, columns first, at odd addresses; filled."""
    yield np.full(shape, 7, dtype)
    yield np.full(tuple(2 * n for n in shape), 7, dtype)[tuple(slice(None, None, 2) for _ in shape)]
    yield np.full(shape, 7, dtype)[..., ::-1, ::-1]
    yield np.full(shape[::-1], 7, dtype).T
    packed = np.zeros(np.prod(shape) * np.dtype(dtype).itemsize + 1, np.uint8)[1:]
    yield packed.view(dtype).reshape(shape)


@mostly_small
@pytest.mark.parametrize("options", [{}, {"pad_input": True, "mode": "edge"}, {"dtype": "float32", "method": "sqdiff"}])
def test_out(rng, isa, image, template, options):
    x, t = textured(rng, image), textured(rng, template)
    expected = match_template(x, t, **options)
    for out in rooms(expected.shape, expected.dtype):
        for _ in range(2):  # the second one by its plan
            out[...] = 7
            assert match_template(x, t, **options, out=out) is out
            cases.assert_same_bits(out, expected)
    out = np.empty_like(expected)
    assert reference.match_template(x, t, **options, out=out) is out
    cases.assert_same_bits(out, reference.match_template(x, t, **options))
    with fastconv.checked():
        assert match_template(x, t, **options, out=out) is out
    cases.assert_same_bits(out, expected)


def test_out_leaves_its_surroundings_alone(rng):
    x, t = textured(rng, (40, 50)), textured(rng, (4, 5))
    room = np.full((39, 48), 7.0)
    match_template(x, t, out=room[1:-1, 1:-1])
    assert (room[[0, -1]] == 7).all() and (room[:, [0, -1]] == 7).all()


def test_out_may_overlap_what_is_read(rng):
    for _ in range(2):
        x, t, mask = textured(rng, (40, 50)), textured(rng, (40, 50)), np.ones((40, 50))
        small = np.ones((37, 46))
        expected = match_template(x, t[:4, :5])
        cases.assert_same_bits(match_template(x, t[:4, :5], out=t[1:38, 1:47]), expected)
        t = textured(rng, (40, 50))
        expected = match_template(x, t[:4, :5], mask=small[:4, :5])
        cases.assert_same_bits(match_template(x, t[:4, :5], mask=small[:4, :5], out=small), expected)
        expected = match_template(x, t[:4, :5], True)
        with fastconv.checked():
            match_template(x.copy(), t[:4, :5], True, out=mask)
            cases.assert_same_bits(match_template(x.copy(), t[:4, :5], True, out=mask), expected)
        whole = x[::-1].copy()
        cases.assert_same_bits(match_template(whole[::-1], t[:4, :5], True, out=whole), expected)
        cases.assert_same_bits(match_template(x, t[:4, :5], True, out=x), expected)
    t[1, 1] = np.nan
    assert np.isnan(match_template(x, t[:4, :5], True, out=x)).all() and np.isnan(x).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16"])
@pytest.mark.parametrize("options", [{}, {"pad_input": True, "mode": "mean"}, {"method": "sqdiff"}])
def test_foreign_byte_order_and_strides_of_all_arrays(rng, dtype, options):
    """Sums over template, mask and what padding looks at do not follow the order in memory."""
    x, t = (cases.reals(rng, shape, "float64") * 20 for shape in ((30, 40, 5), (4, 7, 3)))
    x, t, mask = x.astype(dtype), t.astype(dtype), rng.random(t.shape)
    foreign = [np.asfortranarray(a).astype(a.dtype.newbyteorder()) for a in (x, t, mask)]
    for m, other in ((None, None), (mask, foreign[2])):
        y = match_template(x, t, mask=m, **options)
        cases.assert_same_bits(match_template(foreign[0], foreign[1], mask=other, **options), y)
    cases.assert_same_bits(match_template(x, t, dtype=">f4"), match_template(x, t, dtype="f4"))


# channels -----------------------------------------------------------------------------

# (image, template), both (H, W, C): direct and by transform, thin, short rows, one channel
PICTURES = (
    ((30, 41, 3), (4, 5, 3)),
    ((120, 90, 3), (20, 30, 3)),
    ((40, 9, 4), (3, 2, 4)),
    ((7, 60, 2), (7, 1, 2)),
    ((20, 30, 1), (5, 6, 1)),
)
pictures = pytest.mark.parametrize(("image", "template"), PICTURES)


def in_colours(rng, shape, dtype="float64"):
    """Channels of other brightness and contrast."""
    channels = np.arange(shape[-1])
    high = 60 if dtype == "uint8" else 1
    return (high * (rng.random(shape) * (1 + channels % 2) + channels % 3)).astype(dtype)


def test_channels_by_hand():
    x = np.array([[[1, 5], [2, 5], [4, 9]]])
    t = np.array([[[1, 0], [3, 4]]])
    expected = {
        "ccorr": [[1 + 6 + 0 + 20, 2 + 12 + 0 + 36]],
        "sqdiff": [[0 + 25 + 1 + 1, 1 + 25 + 1 + 25]],
        "ccoeff": [[1 * 1 + 0, 1 * 2 + 2 * 4]],  # means 2, 2 of the template
        "ccoeff_normed": [[1 / np.sqrt(10 * 0.5), 10 / np.sqrt(10 * 10)]],
    }
    for method, scores in expected.items():
        for function in (match_template, reference.match_template):
            np.testing.assert_allclose(function(x, t, method=method, axes=(0, 1)), scores, atol=1e-14, err_msg=method)


@measures
@pictures
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_channels(rng, image, template, dtype, method):
    x, t = in_colours(rng, image, dtype), in_colours(rng, template, dtype)
    planes = np.moveaxis(x, 2, 0).copy(), np.moveaxis(t, 2, 0).copy()
    mask = rng.random(template)
    mask[..., 0] = mask[..., -1] if template[-1] == 1 else 0  # a channel that does not count
    for options in ({}, {"pad_input": True, "mode": "wrap"}, {"mask": mask > 0.3}, {"mask": mask}):
        of_planes = options | ({"mask": np.moveaxis(options["mask"], 2, 0)} if "mask" in options else {})
        for y in on_each_isa(x, t, method=method, axes=(0, 1), **options):
            assert y.shape == (image[:2] if "mode" in options else tuple(np.subtract(image, template)[:2] + 1))
            cases.assert_same_bits(match_template(*planes, method=method, axes=(1, 2), **of_planes), y)


@pictures
@pytest.mark.parametrize("mode", ["median", "linear_ramp", "constant", "reflect"])
def test_channels_are_not_padded(rng, image, template, mode):
    x, t = in_colours(rng, image), in_colours(rng, template)
    values = {"constant_values": ((1, 2), (3, 4))} if mode == "constant" else {}
    y = match_template(x, t, True, mode, axes=(1, 0), method="ccorr", **values)
    each = [match_template(x[..., c], t[..., c], True, mode, method="ccorr", **values) for c in range(image[-1])]
    np.testing.assert_allclose(y, sum(each), rtol=1e-10)


def test_all_axes_and_one_mask_for_all_channels(rng):
    x, t = in_colours(rng, (30, 40, 3)), in_colours(rng, (5, 6, 3))
    cases.assert_same_bits(match_template(x, t, axes=(0, 1, 2)), match_template(x, t))
    cases.assert_same_bits(match_template(x[..., 0], t[..., 0], axes=[-1, -2]), match_template(x[..., 0], t[..., 0]))
    for mask in (rng.random((5, 6)), rng.random((5, 6)) < 0.5):
        alike = np.repeat(mask[..., None], 3, 2)
        y = match_template(x, t, axes=(0, 1), mask=alike)
        cases.assert_same_bits(match_template(x, t, axes=(0, 1), mask=mask), y)
    square, figure = in_colours(rng, (9, 9, 9)), in_colours(rng, (3, 9, 3))
    mask = rng.random((3, 3))
    middle = np.repeat(mask[:, None], 9, 1)
    expected = match_template(square, figure, axes=(0, 2), mask=middle)
    cases.assert_same_bits(match_template(square, figure, axes=(0, 2), mask=mask), expected)


@floats
@pytest.mark.parametrize("template", [(4, 5, 3), (16, 15, 3)])
def test_channels_may_be_flat_or_missing(isa, rng, dtype, template):
    x = in_colours(rng, (50, 60, 3), dtype)
    t = x[: template[0], : template[1]].copy()
    x[..., 1] = 0.1
    x[10:40, 20:50, 0], x[10:40, 20:50, 2] = 1 / 3, 7e5
    y = check(x, t, axes=(0, 1))
    h, w = template[:2]
    assert (y[10 : 41 - h, 20 : 51 - w] == 0).all() and (y[0] != 0).all()
    x[45, 55, 2] = np.nan
    y = check(x, t, axes=(0, 1))
    assert np.isnan(y).sum() == np.isnan(y[46 - h : 46, 56 - w : 56]).sum() > 0
    assert np.isnan(match_template(x, np.where(t == t.max(), np.inf, t), axes=(0, 1))).all()
    assert (match_template(x[:30], np.full(template, [1.0, 2, 3]), axes=(0, 1)) == 0).all()


@pytest.mark.parametrize("offset", [1e5, 1e9])
def test_channels_far_apart(isa, rng, offset):
    x = in_colours(rng, (60, 70, 3)) + np.array([0, offset, -3 * offset])
    for h, w in ((5, 6), (20, 16)):
        y = check(x, x[7 : 7 + h, 9 : 9 + w], axes=(0, 1))
        assert y[7, 9] == pytest.approx(1, abs=1e-9)
        check(x.astype("float32"), x[7 : 7 + h, 9 : 9 + w], axes=(0, 1))


@pytest.mark.parametrize("out", [None, np.empty((27, 36))])
def test_threads_and_out_of_channels(rng, out):
    x, t = in_colours(rng, (30, 41, 3)), in_colours(rng, (4, 6, 3))
    y = match_template(x, t, axes=(0, 1), threads=1)
    for _ in range(2):
        got = match_template(x, t, axes=(0, 1), threads=3, out=out)
        assert out is None or got is out
        cases.assert_same_bits(got, y)
    with fastconv.checked():
        got = match_template(x, t, axes=(0, 1), out=out)
        assert out is None or got is out
        cases.assert_same_bits(got, y)
    room = np.zeros((40, 36, 2))
    room[:30, :, 0] = x[:, :36, 0]
    shared, figure = np.moveaxis(room[:30], 2, 0), np.moveaxis(t[..., :2], 2, 0)
    y = match_template(shared.copy(), figure, axes=(1, 2))
    cases.assert_same_bits(match_template(shared, figure, axes=(1, 2), out=room[2:29, :31, 1]), y)


# what it promises ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ccoeff_normed", "sqdiff"])
@pytest.mark.parametrize(
    ("image", "template"), [((300, 700), (5, 6)), ((300, 700), (20, 20)), ((9, 120, 90), (2, 5, 7))]
)
@floats
def test_threads(isa, rng, dtype, image, template, method):
    x = textured(rng, image, dtype)
    x[..., :40] = 0.5  # flat
    x[..., 60:, 50:90] *= 1e-6  # in doubt
    t = textured(rng, template, dtype)
    for mask in (None, rng.random(template)):
        one = match_template(x, t, True, method=method, mask=mask, threads=1)
        for threads in (2, 3, 16):
            y = match_template(x, t, True, method=method, mask=mask, threads=threads)
            cases.assert_same_bits(y, one, threads)


@floats
def test_isas_with_fma(rng, dtype):
    x, t = textured(rng, (150, 200), dtype), textured(rng, (7, 9), dtype)
    results = []
    for table in _core.tables():
        if table["fma"]:
            with fastconv.use_isa(table["isa"]):
                results.append(match_template(x, t))
    for y in results[1:]:
        cases.assert_same_bits(y, results[0])


@pytest.mark.parametrize("template", [(7, 9), (24, 20), (3, 5, 5)])
@pytest.mark.parametrize(
    ("dtype", "offset", "contrast"),
    [("float32", 1e6, 16), ("float64", 1e9, 1), ("uint16", 60000, 9), ("int64", 2**40, 9)],
)
def test_large_offset(isa, rng, dtype, offset, contrast, template):
    """An offset of the picture changes nothing but what its storage rounds away."""
    x = textured(rng, (60, 110) if len(template) == 2 else (5, 30, 40), dtype, offset, contrast)
    t = x[tuple(slice(2, 2 + k) for k in template)]
    y = check(x, t)
    plain = reference.match_template((x - x.min()).astype("float64"), (t - x.min()).astype("float64"))
    np.testing.assert_allclose(y, plain, atol=2e-6 if dtype == "float32" else 1e-9)
    check(x, t, method="sqdiff_normed")
    check(x, t, method="ccorr_normed")


@pytest.mark.parametrize("step", [1e-1, 1e-3, 1e-6, 1e-9])
@floats
def test_low_contrast_beside_high(rng, dtype, step):
    x = np.where(np.arange(120) < 60, 0, 1) + step * rng.random((90, 120))
    x = x.astype(dtype)
    for template in ((6, 7), (20, 16)):
        y = check(x, x[10 : 10 + template[0], 5 : 5 + template[1]])
        assert y[10, 5] == pytest.approx(1, abs=1e-5)
        expected = reference.match_template(x, x[10 : 10 + template[0], 5 : 5 + template[1]])
        np.testing.assert_allclose(y, expected, atol=1e-4 if dtype == "float32" else 1e-6)


@pytest.mark.parametrize("method", NORMED)
@pytest.mark.parametrize("template", [(5, 6), (20, 21)])
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [*(("float32", s) for s in (1e-40, 1e-30, 1e30, 1e38)), *(("float64", s) for s in (1e-310, 1e-200, 1e200, 1e307))],
)
def test_any_scale(rng, dtype, scale, template, method):
    x = (rng.random((50, 60)) * scale).astype(dtype)
    y = check(x, x[: template[0], : template[1]], method=method)
    np.testing.assert_allclose(y[0, 0], 0 if method == "sqdiff_normed" else 1, atol=1e-5)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("value", [0.1, 1e6 / 7, -3e-9, *only_deep(1 / 3, 7.0)])
@pytest.mark.parametrize("template", [(4, 5), (16, 15)])
@floats
def test_flat_windows_score_zero(isa, rng, dtype, template, value):
    x = textured(rng, (80, 100), dtype)
    x[10:60, 20:70] = value
    y = check(x, x[:4, :5] if template == (4, 5) else x[60:76, 70:85])
    h, w = template
    assert (y[10 : 61 - h, 20 : 71 - w] == 0).all()
    assert (y[:9] != 0).all()
    nearly = x.copy()
    nearly[30, 40] = np.nextafter(x[30, 40], np.array(np.inf, dtype))
    assert (check(nearly, x[:h, :w])[31 - h : 31, 41 - w : 41] != 0).all()


@pytest.mark.parametrize("method", NORMED)
@pytest.mark.parametrize("value", [0, 1e-7, 3e-5])
@pytest.mark.parametrize("template", [(4, 5), (16, 15)])
@floats
def test_flat_windows_beside_large_values(rng, dtype, template, value, method):
    x = 1000 + textured(rng, (60, 50), dtype)
    x[:30, :30] = value
    t = x[40 : 40 + template[0], 20 : 20 + template[1]]
    y = check(x, t, method=method)
    undefined = {"ccoeff_normed": 0, "ccorr_normed": float(value > 0), "sqdiff_normed": 1}
    assert y[0, 0] == pytest.approx(undefined[method], abs=1e-6)


def test_flat_in_every_way(rng):
    x, even, zero = textured(rng, (20, 30)), np.full((4, 5), 0.3), np.zeros((4, 5))
    assert (match_template(x, even) == 0).all()
    assert (match_template(np.full((20, 30), 0.1), x[:4, :5]) == 0).all()
    assert (match_template(x, zero, method="ccorr_normed") == 0).all()
    assert (match_template(x, zero, method="sqdiff_normed") == 1).all()
    assert (match_template(x * 0, zero, method="sqdiff_normed") == 0).all()
    assert (match_template(x * 0, even, method="sqdiff_normed") == 1).all()
    assert (match_template(np.full((20, 30), 0.1), even, method="ccorr_normed") == 1).all()
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:3] = True
    holes = np.where(mask, 0.3, x[:4, :5])
    assert (match_template(x, holes, mask=mask) == 0).all()  # the template is flat where it counts
    windows = np.tile(np.where(np.arange(5) % 5 == 0, 0.7, 0.3), (8, 2))[:, :6]
    assert match_template(windows, x[:4, :5], mask=mask)[0, 0] == 0  # and so is this window


@measures
@pytest.mark.parametrize("template", [(4, 5), (16, 15), (2, 4, 5)])
def test_nan_stays_in_its_windows(isa, rng, method, template):
    image = (60, 70) if len(template) == 2 else (5, 30, 40)
    clean = textured(rng, image, "float32")
    t = textured(rng, template, "float32")
    for value in (np.nan, np.inf, -np.inf):
        x = clean.copy()
        hit = tuple(n // 2 for n in image)
        x[hit] = value
        y = check(x, t, method=method)
        near = tuple(slice(max(i - k + 1, 0), i + 1) for i, k in zip(hit, template, strict=True))
        assert np.isnan(y[near]).all()
        y[near] = 0
        expected = match_template(clean, t, method=method)
        expected[near] = 0
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(match_template(clean, np.where(t == t.max(), np.nan, t), method=method)).all()
    assert np.isnan(match_template(np.full(image, np.nan), t, method=method)).all()


def test_missing_pixels_without_weight_do_not_matter(rng):
    x, t, mask = textured(rng, (30, 40)), textured(rng, (5, 6)), np.ones((5, 6))
    mask[2, 3] = 0
    t[2, 3] = np.nan
    x[12, 13] = np.inf
    y = check(x, t, mask=mask)
    assert np.isfinite(y[10, 10]) and np.isnan(y[10, 11]) and np.isnan(y).sum() == 29
    assert np.isfinite(match_template(x[:9], t, mask=mask)).all()
    for method in MEASURES:
        bound = reference.match_error_bound(matching_arguments(x, t, method=method, mask=mask))
        assert np.isfinite(bound).all()


@pytest.mark.parametrize("at", [(0, 0), (0, 37), (41, 0), (41, 37), (20, 20)])
def test_finds_a_figure_wherever_it_stands(rng, at):
    x = textured(rng, (50, 50), "float32")
    figure = textured(rng, (9, 13), "float32")
    x[at[0] : at[0] + 9, at[1] : at[1] + 13] = 0.2 * figure + 3
    y = match_template(x, figure)
    assert np.unravel_index(y.argmax(), y.shape) == at
    assert y.max() == pytest.approx(1, abs=1e-5)
    y = match_template(x, figure, pad_input=True)
    assert np.unravel_index(y.argmax(), y.shape) == (at[0] + 4, at[1] + 6)


@pytest.mark.parametrize("template", [(5, 6), (30, 30), (2, 5, 6)])
def test_out_of_memory(rng, template):
    image = (60, 70) if len(template) == 2 else (4, 20, 30)
    x, t = textured(rng, image, "float32"), textured(rng, template, "float32")
    y = match_template(x, t)
    out, failures = np.full_like(y, 7), 0
    try:
        for allocations in range(60):
            _core.alloc_fail_after(allocations)
            try:
                cases.assert_same_bits(match_template(x, t, out=out), y)
                break
            except MemoryError as error:
                assert (out == 7).all()
                failures += 1
                assert "match_template" in str(error)
    finally:
        _core.alloc_fail_after(-1)
    assert 0 < failures < 59
    cases.assert_same_bits(match_template(x, t), y)


@posix
def test_little_memory(python):
    """On a picture of 100 MB: no more than a few tiles beyond picture and result."""
    code = """
import resource, numpy as np
from fastconv.feature import match_template
x = np.ones((5000, 5000), "float32"); x[::3, ::5] = 2
match_template(x[:400, :900], x[:32, :33], threads=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = match_template(x, x[:32, :33], threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before - y.nbytes // 1024)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16_000  # kB


def test_a_wrong_result_is_caught(monkeypatch):
    monkeypatch.setattr("fastconv.feature._run", lambda m, *_: Answer(np.full(m.shape, 0.5)))
    with fastconv.checked(), pytest.raises(fastconv.CheckError, match="match_template"):
        match_template(np.eye(4), np.eye(2))


def test_without_the_extension(monkeypatch, rng):
    x = textured(rng, (20, 30))
    expected = match_template(x, x[:4, :5])
    monkeypatch.setattr("fastconv.feature._core", None)
    np.testing.assert_allclose(match_template(x, x[:4, :5]), expected, atol=1e-12)


# errors -------------------------------------------------------------------------------

IMAGE, TEMPLATE, COLOURS = np.ones((5, 6)), np.ones((2, 3)), np.ones((5, 6, 3))
ERRORS = {
    "template larger": ((IMAGE, np.ones((6, 2))), {}, ValueError, r"\(6, 2\) must not be larger than .*\(5, 6\)"),
    "1-D": ((np.ones(5), np.ones(2)), {}, ValueError, r"image must have 2 or 3 dimensions; got shape \(5,\)"),
    "4-D": ((np.ones((2, 2, 2, 2)), np.ones((1, 1, 1, 1))), {}, ValueError, "image must have 2 or 3 dimensions"),
    "other ndim": ((np.ones((5, 6, 7)), TEMPLATE), {}, ValueError, "as many dimensions as image"),
    "empty": ((IMAGE, np.ones((0, 3))), {}, ValueError, "template must not be empty"),
    "mode": ((IMAGE, TEMPLATE), {"mode": "mirror"}, ValueError, "mode must be one of constant, .*; got 'mirror'"),
    "method": ((IMAGE, TEMPLATE), {"method": "TM_SQDIFF"}, ValueError, "method must be one of .*; got 'TM_SQDIFF'"),
    "method type": ((IMAGE, TEMPLATE), {"method": 5}, ValueError, "method must be one of .*; got 5"),
    "complex": ((IMAGE * 1j, TEMPLATE), {}, TypeError, "image has dtype complex128"),
    "strings": ((IMAGE, [["a"]]), {}, TypeError, "template has dtype <U1"),
    "ragged": (([[1], [1, 2]], TEMPLATE), {}, ValueError, "image is not an array of numbers"),
    "masked array": ((np.ma.array(IMAGE), TEMPLATE), {}, TypeError, "image is a masked array"),
    "mask shape": (
        (IMAGE, TEMPLATE),
        {"mask": np.ones((3, 2))},
        ValueError,
        r"mask must have .* \(2, 3\); got \(3, 2\)",
    ),
    "mask negative": ((IMAGE, TEMPLATE), {"mask": -TEMPLATE}, ValueError, "mask must hold weights from 0"),
    "mask NaN": ((IMAGE, TEMPLATE), {"mask": TEMPLATE * np.nan}, ValueError, "mask must hold weights from 0"),
    "mask zero": ((IMAGE, TEMPLATE), {"mask": TEMPLATE * 0}, ValueError, "mask must have a weight above 0"),
    "dtype": ((IMAGE, TEMPLATE), {"dtype": int}, TypeError, "dtype must be float32 or float64; got int64"),
    "axes": ((IMAGE, TEMPLATE), {"axes": (0, 2)}, ValueError, r"axes must lie from -2 to 1 .* got \(0, 2\)"),
    "axes, one": ((IMAGE, TEMPLATE), {"axes": 0}, ValueError, "axes must be 2 integers; got 0"),
    "axes, none": ((COLOURS, COLOURS), {"axes": ()}, ValueError, "axes must be 2 integers, .* or 3; got"),
    "axes, one of three": ((COLOURS, COLOURS), {"axes": (1,)}, ValueError, "axes must be 2 integers, .* or 3; got"),
    "axes, twice": ((COLOURS, COLOURS), {"axes": (0, -3)}, ValueError, "axes must not repeat an axis; got"),
    "axes, real": ((COLOURS, COLOURS), {"axes": (0, 1.0)}, TypeError, "axes must be 2 integers, .* or 3; got"),
    "axes, word": ((COLOURS, COLOURS), {"axes": "01"}, TypeError, "axes must be 2 integers, .* or 3; got"),
    "channels": (
        (COLOURS, COLOURS[..., :2]),
        {"axes": (0, 1)},
        ValueError,
        r"template must have as many channels as image, along axis 2; got shapes \(5, 6, 2\) and \(5, 6, 3\)",
    ),
    "channels of a plane": ((COLOURS, TEMPLATE), {"axes": (0, 1)}, ValueError, "as many dimensions as image"),
    "mask of channels": (
        (COLOURS, COLOURS[:2]),
        {"axes": (0, 1), "mask": np.ones((2, 3))},
        ValueError,
        r"mask must have .* \(2, 6, 3\), or \(2, 6\) for all channels; got \(2, 3\)",
    ),
    "mask of a plane": ((COLOURS, COLOURS), {"mask": IMAGE}, ValueError, r"mask must have .* \(5, 6, 3\); got"),
    "out of channels": ((COLOURS, COLOURS), {"axes": (0, 1), "out": np.ones((1, 1, 1))}, ValueError, "out has shape"),
    "values of channels": (
        (COLOURS, COLOURS, True),
        {"axes": (0, 1), "constant_values": ((1, 2), (3, 4), (5, 6))},
        ValueError,
        "constant_values must be .* each of 2 axes",
    ),
    "out": ((IMAGE, TEMPLATE), {"out": [[1.0]]}, TypeError, "out must be a numpy.ndarray; got list"),
    "out dtype": ((IMAGE, TEMPLATE), {"out": np.ones((4, 4), "f4")}, TypeError, "out has dtype float32; .* float64"),
    "out order": ((IMAGE, TEMPLATE), {"out": np.ones((4, 4), ">f8")}, TypeError, "out has dtype >f8; .* float64"),
    "out shape": ((IMAGE, TEMPLATE), {"out": np.ones((5, 6))}, ValueError, r"out has shape \(5, 6\); .* \(4, 4\)"),
    "out padded": ((IMAGE, TEMPLATE, True), {"out": np.ones((4, 4))}, ValueError, r"the result has shape \(5, 6\)"),
    "out read-only": (
        (IMAGE, TEMPLATE),
        {"out": np.broadcast_to(np.ones(4), (4, 4))},
        ValueError,
        "out is read-only",
    ),
    "value": ((IMAGE, TEMPLATE, True), {"constant_values": "1"}, TypeError, "constant_values must be a real number"),
    "values": ((IMAGE, TEMPLATE, True), {"constant_values": (1, 2, 3)}, ValueError, "constant_values must be a number"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    arguments, options, error, match = ERRORS[case]
    for function in (match_template, reference.match_template):
        with pytest.raises(error, match=match):
            function(*arguments, **options)


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (1.5, TypeError)])
def test_wrong_threads(threads, error):
    with pytest.raises(error, match="threads"):
        match_template(IMAGE, TEMPLATE, threads=threads)


# peers --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16", "float16", "bool"])
def test_drop_in_for_scikit_image(rng, dtype):
    theirs = pytest.importorskip("skimage.feature").match_template
    for image, template in SHAPES[1:]:
        x, t = (textured(rng, s, "float64", contrast=200) for s in (image, template))
        x, t = (a > 100 if dtype == "bool" else a.astype(dtype) for a in (x, t))
        if dtype == "bool":
            t.flat[0], t.flat[-1] = 0, 1
        for where in ((), (True,), (True, "edge"), (True, "linear_ramp"), (True, "median"), (True, "wrap")):
            ours = match_template(x, t, *where)
            assert ours.dtype == (np.float32 if dtype in ("float16", "float32") else np.float64)
            expected = theirs(*(a.astype(float) for a in (x, t)), *where)  # in float32 it is off by up to 0.1
            np.testing.assert_allclose(ours, expected, atol=1e-4 if ours.dtype == np.float32 else 1e-5)
    x = textured(rng, (20, 30))
    for values in (0.5, (1, 2), ((1, 2), (3, 4))):
        ours, expected = (f(x, x[:4, :7], True, "constant", values) for f in (match_template, theirs))
        np.testing.assert_allclose(ours, expected, atol=1e-9)


@measures
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_opencv(rng, dtype, method):
    cv2 = pytest.importorskip("cv2")

    def theirs(x, t, mask=None):
        scores = cv2.matchTemplate(x, t, getattr(cv2, f"TM_{method.upper()}"), mask=mask)
        return np.minimum(scores, 1) if method == "sqdiff_normed" else scores  # with a mask they forget to

    sizes = ((40, 50), (5, 7)), ((120, 90), (20, 30))
    for (image, template), channels in product(sizes, ((), (3,), (4,))):
        high, how = 250 if dtype == "uint8" else 1, {"method": method, "axes": (0, 1)}
        x, t = (textured(rng, shape + channels, dtype, contrast=high) for shape in (image, template))
        masks = [None, (rng.random(template) < 0.6).astype(np.uint8) * 7]
        masks += [rng.random(template + channels).astype("float32")] if dtype == "float32" else []
        for mask in masks:
            expected = theirs(x, t, mask)
            ours = match_template(x, t, mask=mask, **how)
            np.testing.assert_allclose(ours, expected, atol=2e-4 * abs(expected).max())
