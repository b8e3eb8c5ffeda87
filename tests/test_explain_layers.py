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


def test_the_other_explain_points_here():
    with pytest.raises(ValueError, match=r"nn\.explain"):
        fastconv.explain((1, 64, 56, 56), (64, 64, 3, 3))
