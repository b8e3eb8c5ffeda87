# SPDX-License-Identifier: BSD-3-Clause
"""Layers, their gradients, windows as columns and template matching, called again: they find their plan, whatever the
values of arrays are then, and nothing that matters is forgotten."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import _core, nn, reference
from fastconv.feature import match_template

pytestmark = pytest.mark.skipif(not fastconv.isas(), reason="plans are those of compiled code")


@pytest.fixture(autouse=True)
def forgotten():
    fastconv.clear_cache()


def hits(call):
    """How many plans the call finds when it is made again; its bits are those of a call that finds none."""
    first, before = call(), fastconv.cache_info().hits
    np.testing.assert_array_equal(first, call(), strict=True)
    found = fastconv.cache_info().hits - before
    fastconv.clear_cache()
    np.testing.assert_array_equal(first, call(), strict=True)
    return found


def arrays(rng, dtype="f4", batched=True):
    """x, w, bias and the gradient of the output of a layer of groups, whose result has padding 1 and no stride."""
    shapes = (2, 4, 6, 7), (6, 2, 3, 3), (6,), (2, 6, 6, 7)
    x, w, bias, grad = (rng.standard_normal(s).astype(dtype) for s in shapes)
    return (x, w, bias, grad) if batched else (x[0], w, bias, grad[0])


OPTIONS = (
    {},
    {"padding_mode": "reflect"},
    {"padding_mode": "circular"},
    {"dilation": (1, 1)},
    {"threads": 2},
    {"method": "direct"},
)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layers_and_gradients_find_their_plan(rng, isa, options, dtype, batched):
    x, w, bias, grad = arrays(rng, dtype, batched)
    options = {"padding": 1, "groups": 2} | options
    assert hits(lambda: nn.conv2d(x, w, bias, activation="relu", **options)) == 1
    assert hits(lambda: nn.conv2d(x, w, **options)) == 1
    assert hits(lambda: nn.conv2d(x, w, add=grad, **options)) == 1
    assert hits(lambda: nn.conv2d_input(x.shape, w, grad, **options)) == 1
    assert hits(lambda: nn.conv2d_weight(x, w.shape, grad, **options)) == 1
    if "padding_mode" not in options:
        assert hits(lambda: nn.conv_transpose2d(grad, w, None, activation=(-1, 1), **options)) == 1


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_rank(rng, rank):
    x, w = rng.standard_normal((2, 3, *(5, 6, 4)[:rank])), rng.standard_normal((4, 3, *(2, 3, 1)[:rank]))
    conv, transposed = getattr(nn, f"conv{rank}d"), getattr(nn, f"conv_transpose{rank}d")
    of_input, of_weight = getattr(nn, f"conv{rank}d_input"), getattr(nn, f"conv{rank}d_weight")
    y, options = conv(x, w, stride=2), {"stride": 2}
    assert hits(lambda: conv(x, w, **options)) == 1
    assert hits(lambda: transposed(y, w, **options)) == 1
    assert hits(lambda: of_input(x.shape, w, y, **options)) == 1
    assert hits(lambda: of_weight(x, w.shape, y, **options)) == 1
    columns = nn.unfold(x, w.shape[2:], padding=1)
    assert hits(lambda: nn.unfold(x, w.shape[2:], padding=1)) == 1
    assert hits(lambda: nn.fold(columns, x.shape[2:], w.shape[2:], padding=1)) == 1
    assert hits(lambda: nn.fold(columns[0], x.shape[2:], w.shape[2:], padding=1)) == 1


def test_layouts_and_dtypes_that_are_converted_are_right_each_time(rng):
    x, w, _, _ = arrays(rng)
    for dtype in ("f2", ">f4", "f4", "f8"):
        for _ in range(3):
            x = rng.standard_normal(x.shape).astype(dtype)
            last, kernels = np.ascontiguousarray(np.moveaxis(x, 1, -1)), w.astype(dtype)
            shown = {"padding": 1, "groups": 2}
            y = nn.conv2d(x, kernels, **shown, method="numpy")
            tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype == "f2" else {"rtol": 1e-4, "atol": 1e-4}
            np.testing.assert_allclose(nn.conv2d(x, kernels, **shown), y, **tolerance)
            np.testing.assert_allclose(
                nn.conv2d(last, kernels, layout="NHWC", **shown), np.moveaxis(y, 1, -1), **tolerance
            )
            for view in (x[:, :, ::-1], x[:, :, :, ::2], x.transpose(0, 1, 3, 2)):
                right = nn.conv2d(view, kernels, **shown, method="numpy")
                np.testing.assert_allclose(nn.conv2d(view, kernels, **shown), right, **tolerance)


def test_weights_that_change_need_no_other_plan(rng):
    x, w, bias, _ = arrays(rng)
    nn.conv2d(x, w, bias, groups=2)
    before = fastconv.cache_info().hits
    for _ in range(5):
        w += 1
        bias -= 1
        expected = nn.conv2d(x, w, bias, groups=2, method="numpy")
        np.testing.assert_allclose(nn.conv2d(x, w, bias, groups=2), expected, rtol=1e-4, atol=1e-4)
    assert fastconv.cache_info().hits == before + 5


def test_which_argument_is_which_does_not_depend_on_their_order(rng):
    x, w, other = (rng.standard_normal((3, 3, 3, 3)) for _ in range(3))  # of one shape
    bias = rng.standard_normal(3)
    right = nn.conv2d(x, w, bias, padding=1)
    for _ in range(2):
        np.testing.assert_array_equal(nn.conv2d(w=w, bias=bias, x=x, padding=1), right)
        np.testing.assert_array_equal(nn.conv2d(bias=bias, x=x, padding=1, w=w), right)
        np.testing.assert_array_equal(nn.conv2d(x, bias=bias, w=w, padding=1), right)
    assert fastconv.cache_info().hits == 3
    right = nn.conv2d_input(x.shape, w, other, padding=1)
    for _ in range(2):
        np.testing.assert_array_equal(
            nn.conv2d_input(grad_output=other, input_size=x.shape, weight=w, padding=1), right
        )
    right = nn.conv2d_weight(x, w.shape, other, padding=1)
    for _ in range(2):
        np.testing.assert_array_equal(
            nn.conv2d_weight(grad_output=other, weight_size=w.shape, input=x, padding=1), right
        )


def test_names_made_at_run_time_are_names(rng):
    x, w, bias, _ = arrays(rng)
    right = nn.conv2d(x, w, bias, groups=2)
    name = "".join(["bi", "as"])
    for _ in range(3):
        np.testing.assert_array_equal(nn.conv2d(x, w, groups=2, **{name: bias}), right)
    bias += 1
    expected = nn.conv2d(x, w, bias, groups=2, method="numpy")
    np.testing.assert_allclose(nn.conv2d(x, w, groups=2, **{name: bias}), expected, rtol=1e-4, atol=1e-4)


def test_one_array_in_two_places_is_not_one_argument(rng):
    a, b = rng.standard_normal((2, 3, 3, 3, 3))
    nn.conv2d(a, a, padding=1)
    for x, w in ((a, b), (b, a), (b, b)):
        np.testing.assert_allclose(nn.conv2d(x, w, padding=1), nn.conv2d(x, w, padding=1, method="numpy"), atol=1e-12)
    nn.conv2d_input(a.shape, a, a, padding=1)
    for w, grad in ((a, b), (b, a)):
        right = nn.conv2d_input(a.shape, w, grad, padding=1, method="numpy")
        np.testing.assert_allclose(nn.conv2d_input(a.shape, w, grad, padding=1), right, atol=1e-12)


def test_a_result_goes_where_it_is_asked_to(rng):
    x, w, bias, grad = arrays(rng)
    calls = (
        (nn.conv2d, (x, w, bias)),
        (nn.conv2d_input, (x.shape, w, grad)),
        (nn.conv2d_weight, (x, w.shape, grad)),
        (nn.conv_transpose2d, (grad, w)),
    )
    for function, arguments in calls:
        right = function(*arguments, padding=1, groups=2)
        found = fastconv.cache_info().hits
        strided = np.empty((*right.shape[:-1], 2 * right.shape[-1]), "f4")[..., ::2]
        for out in (np.empty_like(right), strided):
            for _ in range(3):
                out[:] = np.nan
                assert function(*arguments, padding=1, groups=2, out=out) is out
                np.testing.assert_array_equal(out, right)
        assert fastconv.cache_info().hits == found + 2
        read_only = np.empty_like(right)
        read_only.flags.writeable = False
        for _ in range(2):
            with pytest.raises(ValueError, match="out is read-only"):
                function(*arguments, padding=1, groups=2, out=read_only)
    single = np.empty((6, 6, 7), "f4")
    for _ in range(2):
        assert nn.conv2d(x[0], w, bias, padding=1, groups=2, out=single) is single
        np.testing.assert_array_equal(single, nn.conv2d(x, w, bias, padding=1, groups=2)[0])


def test_an_out_that_overlaps_what_is_read_is_right_each_time(rng):
    w = rng.standard_normal((2, 2, 3, 3))
    for _ in range(2):
        room = rng.standard_normal((1, 3, 6, 6))
        x, out = room[:, :2], room[:, 1:]
        right = nn.conv2d(x.copy(), w, padding=1)
        for _ in range(2):  # the second call reads what the first one wrote
            again = nn.conv2d(x.copy(), w, padding=1)
            nn.conv2d(x, w, padding=1, out=out)
            np.testing.assert_array_equal(out, again)
        apart = np.empty_like(right)  # of that layout
        np.testing.assert_array_equal(nn.conv2d(x, w, padding=1, out=apart), nn.conv2d(x, w, padding=1))
    square = rng.standard_normal((2, 2, 3, 3))
    x = rng.standard_normal((2, 2, 3, 3))
    for _ in range(3):
        right = nn.conv2d(x, square, padding=1)
        np.testing.assert_array_equal(nn.conv2d(x, square, padding=1, out=square), right)


def test_elements_that_are_not_finite_after_a_call_of_others(rng):
    x, w = rng.standard_normal((1, 1, 6, 6)), rng.standard_normal((1, 1, 2, 2))
    grad = nn.conv2d(x, w)
    nn.conv2d_input(x.shape, w, grad)
    x[0, 0, 2, 2] = np.nan
    assert np.isnan(nn.conv2d(x, w)).sum() == 4
    x[0, 0, 2, 2] = 1
    w[0, 0, 0, 0] = np.inf
    assert not np.isfinite(nn.conv2d(x, w)).any()
    w[0, 0, 0, 0] = 1
    grad[0, 0, 0, 0] = np.nan
    np.testing.assert_array_equal(np.isnan(nn.conv2d_input(x.shape, w, grad)[0, 0, :2, :2]), True)


def test_plans_are_of_the_instruction_set_in_use(rng):
    x, w = rng.standard_normal((1, 8, 20, 20)).astype("f4"), rng.standard_normal((8, 8, 3, 3)).astype("f4")
    picture = rng.standard_normal((30, 30))
    calls = (lambda: nn.conv2d(x, w), lambda: match_template(picture, picture[:4, :5].copy()))
    for call in calls:
        fresh = {}
        for isa in fastconv.isas():
            fastconv.clear_cache()
            with fastconv.use_isa(isa):
                fresh[isa] = call()
        for _ in range(2):
            for isa in fastconv.isas():
                with fastconv.use_isa(isa):
                    np.testing.assert_array_equal(call(), fresh[isa], strict=True)


def test_defaults_of_threads_are_those_of_the_call(rng):
    x, w = rng.standard_normal((2, 8, 60, 60)), rng.standard_normal((16, 8, 3, 3))
    before = fastconv.get_num_threads()
    try:
        results = []
        for n in (1, 2, 1):
            fastconv.set_num_threads(n)
            results.append(nn.conv2d(x, w))
    finally:
        fastconv.set_num_threads(before)
    assert len({r.tobytes() for r in results}) == 1
    assert fastconv.cache_info().plans == 1


def test_what_is_checked_is_not_taken_from_a_plan(rng, monkeypatch):
    x, w, _, _ = arrays(rng)
    nn.conv2d(x, w, groups=2)
    picture, figure = rng.standard_normal((9, 9)), rng.standard_normal((3, 3))
    match_template(picture, figure)
    found = fastconv.cache_info().hits
    with fastconv.checked():
        nn.conv2d(x, w, groups=2)
        match_template(picture, figure)
    assert fastconv.cache_info().hits == found


def test_other_methods_and_empty_arrays_have_no_plan(rng):
    x, w, _, _ = arrays(rng)
    for method in ("im2col", "numpy"):
        assert hits(lambda method=method: nn.conv2d(x, w, groups=2, method=method)) == 0
    assert hits(lambda: nn.conv2d(x[:0], w, groups=2)) == 0
    assert nn.conv2d(x[:0], w, groups=2).shape == (0, 6, 4, 5)
    assert fastconv.cache_info().plans == 0


def test_layer_objects_find_their_plan(rng):
    x = rng.standard_normal((2, 4, 6, 7)).astype("f4")
    for options in (
        {},
        {"padding": "same", "activation": "relu6", "bias": False},
        {"threads": 1, "padding": ((1, 0), 2)},
    ):
        layer = nn.Conv2d(4, 6, 3, groups=2, seed=0, **options)
        assert hits(lambda layer=layer: layer(x)) == 1
        out = np.empty_like(layer(x))
        assert hits(lambda layer=layer, out=out: layer(x, out=out).copy()) == 1
        shown = {name: value for name, value in options.items() if name not in ("bias", "threads")}
        layer.weight[:] += 1
        expected = nn.conv2d(x, layer.weight, layer.bias, groups=2, **shown)
        np.testing.assert_array_equal(layer(x), expected)
        layer.weight = layer.weight * 2
        np.testing.assert_array_equal(layer(x), nn.conv2d(x, layer.weight, layer.bias, groups=2, **shown))


# ---- template matching ---------------------------------------------------------------------------

MATCHING = (
    {},
    {"pad_input": True},
    {"pad_input": True, "mode": "edge"},
    {"pad_input": True, "constant_values": 2.5},
    {"method": "sqdiff"},
    {"method": "ccorr_normed", "dtype": np.float32},
    {"mask": np.eye(3)},
    {"mask": np.eye(3, dtype=bool), "method": "ccoeff"},
    {"threads": 2},
)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "i8", "?"])
@pytest.mark.parametrize("options", MATCHING, ids=lambda o: "-".join(o))
def test_matching_finds_its_plan(rng, isa, options, dtype):
    image, template = rng.integers(0, 9, (9, 8)).astype(dtype), rng.integers(0, 9, (3, 3)).astype(dtype)
    assert hits(lambda: match_template(image, template, **options)) == 1
    other = rng.integers(0, 9, (9, 8)).astype(dtype)  # of this layout
    again = match_template(other, template, **options)
    fastconv.clear_cache()
    np.testing.assert_array_equal(match_template(other, template, **options), again, strict=True)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_scores_go_where_they_are_to(rng, dtype):
    image, template = rng.integers(0, 9, (9, 8)).astype(dtype), rng.integers(0, 9, (3, 3)).astype(dtype)
    out = np.empty((7, 6), dtype)
    assert hits(lambda: match_template(image, template, out=out)) == 1
    expected = match_template(image, template)
    for place in (np.empty((7, 6), dtype), np.empty((6, 7), dtype).T, np.empty((7, 12), dtype)[:, ::2], image[2:, 2:]):
        before = image.copy()
        assert match_template(image, template, out=place) is place
        np.testing.assert_array_equal(place, expected, strict=True)
        image[...] = before
    with pytest.raises(ValueError, match="out has shape"):
        match_template(image, template, out=np.empty((6, 7), dtype))


@pytest.mark.parametrize("shape", [(30, 30), (2, 20, 24)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
def test_transforms_of_templates_are_kept(rng, isa, dtype, shape):
    """Whether they are made for the call, or were by the one before; by each instruction set its own."""
    image = rng.integers(0, 99, (3, 150, 160)[-len(shape) :]).astype(dtype)
    template, out = rng.integers(0, 99, shape).astype(dtype), None
    expected = match_template(image, template)
    for _ in range(3):
        np.testing.assert_array_equal(match_template(image, template), expected, strict=True)
        with fastconv.use_isa("base"):
            again = match_template(image, template)
            assert out is None or (again == out).all()
            out = again
    image[..., :80] = 3  # in doubt
    image[..., 100:, 90:] *= 0
    flat = match_template(image, template)
    fastconv.clear_cache()
    np.testing.assert_array_equal(match_template(image, template), flat, strict=True)


def test_transforms_of_templates_are_made_again_where_memory_is_short(rng):
    image, template = rng.standard_normal((150, 160)), rng.standard_normal((30, 30))
    expected = match_template(image, template)
    for allocations in range(4):
        fastconv.clear_cache()
        match_template(image, template)
        _core.alloc_fail_after(allocations)
        try:
            with pytest.raises(MemoryError, match=r"match_template|Unable to allocate"):
                match_template(image, template)
        finally:
            _core.alloc_fail_after(-1)
        for _ in range(2):
            np.testing.assert_array_equal(match_template(image, template), expected, strict=True)


def test_volumes_and_views_are_matched(rng):
    image, template = rng.standard_normal((6, 9, 8)), rng.standard_normal((2, 3, 3))
    assert hits(lambda: match_template(image, template)) == 1
    assert hits(lambda: match_template(image[:, ::-1, ::2], template)) == 1
    assert hits(lambda: match_template(image[:2], template, axes=(1, 2))) == 1
    out = np.empty((5, 7))
    assert hits(lambda: match_template(image[..., 3:6], template, axes=(0, 1), out=out)) == 1


def test_templates_and_masks_that_change_change_the_plan(rng):
    image, template, mask = rng.standard_normal((9, 8)), rng.standard_normal((3, 3)), np.ones((3, 3))
    for value in (1.0, 2.0, 0.5, np.nan, 1.0):
        template[1, 1] = value
        expected = reference.match_template(image, template)
        np.testing.assert_allclose(match_template(image, template), expected, atol=1e-12)
    for weight in (1, 0, 2):
        mask[0, 0] = weight
        expected = reference.match_template(image, template, mask=mask)
        np.testing.assert_allclose(match_template(image, template, mask=mask), expected, atol=1e-12)


def test_images_that_are_converted_or_not_finite_are_right_each_time(rng):
    template = rng.standard_normal((3, 3))
    for dtype in ("f2", ">f8", "f8"):
        for _ in range(3):
            image = rng.standard_normal((9, 8)).astype(dtype)
            expected = reference.match_template(image, template)
            np.testing.assert_allclose(match_template(image, template), expected, atol=1e-5)
    image[4, 4] = np.nan
    assert np.isnan(match_template(image, template)).sum() == 9
    for _ in range(2):
        ramp = match_template(image, template, True, "linear_ramp")
        assert ramp.shape == image.shape and np.isnan(ramp).sum() == 9


def test_a_layer_behind_another_finds_its_plan_at_once(rng):
    """A result may have a dtype object of its own, when it was made without a plan."""
    layers = [nn.Conv2d(8, 8, 3, padding=n, dtype=dtype) for n, dtype in enumerate(["f2", "f4", "f8"] * 2)]
    x = rng.standard_normal((1, 8, 9, 9))
    for _ in range(2):
        before = fastconv.cache_info().misses
        y = {dtype: x.astype(dtype) for dtype in ("f2", "f4", "f8")}
        for layer in layers:
            y[layer.weight.dtype.str[1:]] = layer(y[layer.weight.dtype.str[1:]])
    assert fastconv.cache_info().misses == before
