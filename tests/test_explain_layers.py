# SPDX-License-Identifier: BSD-3-Clause
"""What `nn.explain` says of layers: every kind, and the same errors as the layers themselves."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import fastconv
from fastconv import nn

KINDS = {
    "products": ((1, 16, 14, 14), (8, 16, 3, 3), {}),
    "lanes": ((1, 64, 14, 14), (64, 1, 3, 3), {"groups": 64, "stride": 2}),
    "slides": ((1, 3, 200, 300), (3, 1, 3, 3), {"groups": 3}),
    "nothing": ((0, 3, 20, 30), (3, 3, 3, 3), {}),
}


@pytest.mark.parametrize(("kind", "layer"), KINDS.items(), ids=KINDS)
def test_kinds(isa, kind, layer):
    x, w, how = layer
    found = nn.explain(x, w, **how, threads=1)
    assert found.kind == kind and f"kind     {kind}: " in str(found)
    assert found.isa == ("" if kind == "nothing" else isa) and found.threads == 1
    assert found.shape == nn.conv2d(np.zeros(x, "f4"), np.zeros(w, "f4"), **how).shape


@pytest.mark.parametrize("name", cases.LAYERS)
def test_every_layer_is_explained(isa, name):
    """Parts divide the taps, threads are no more than asked for, and nothing is computed or left behind."""
    x, w, how = cases.LAYERS[name]
    for dtype in ("float16", "float32", "float64"):
        found = nn.explain(x, w, **how, dtype=dtype, threads=3)
        assert found.dtype == dtype and 1 <= found.threads <= 3 and found.threads <= found.chunks
        assert 1 <= found.part <= np.prod(w[1:])


GRADIENTS = {  # of the input and of the weights
    "products": ((2, 16, 14, 14), (8, 16, 3, 3), {"stride": 2}, "products", "products"),
    "fewer products": ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}, "winograd", "winograd"),
    "exact": ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "accuracy": "exact"}, "products", "products"),
    "float64": ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "dtype": "float64"}, "products", "products"),
    "depthwise": ((2, 64, 14, 14), (64, 1, 3, 3), {"groups": 64, "padding": 1}, "lanes", "lanes"),
    "large kernels": ((1, 64, 64, 64), (64, 1, 25, 25), {"groups": 64, "padding": 12}, "fft", "lanes"),
    "nothing": ((0, 3, 20, 30), (3, 3, 3, 3), {}, "nothing", "nothing"),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_kinds_of_gradients(name):
    x, w, how, *kinds = GRADIENTS[name]
    for of, kind in zip(("input", "weight"), kinds, strict=True):
        found = nn.explain(x, w, **how, of=of, threads=1)
        assert found.kind == kind and found.shape == (x if of == "input" else w) and found.threads == 1
        assert f", the gradient of the {of}" in str(found)
        assert ("tiles    2 outputs" in str(found)) == (kind == "winograd")
        layer = nn.Conv2d.from_weights(
            np.zeros(w, how.get("dtype", "f4")), threads=1, **{n: v for n, v in how.items() if n != "dtype"}
        )
        assert layer.explain(x, of) == found


@pytest.mark.parametrize("name", cases.LAYERS)
def test_every_gradient_is_explained(isa, name):
    """Threads are no more than asked for, and the gradients that are computed then have the bits of before."""
    x, w, how = cases.LAYERS[name]
    for dtype in ("float16", "float32", "float64"):
        for of in ("input", "weight"):
            found = nn.explain(x, w, **how, of=of, dtype=dtype, threads=3)
            assert found.dtype == dtype and found.shape == (x if of == "input" else w)
            assert 1 <= found.threads <= 3 and found.threads <= found.chunks and found.part >= 1
    with pytest.raises(ValueError, match="of must be"):
        nn.explain(x, w, **how, of="bias")


def test_the_other_explain_points_here():
    with pytest.raises(ValueError, match=r"nn\.explain"):
        fastconv.explain((1, 64, 56, 56), (64, 64, 3, 3))
