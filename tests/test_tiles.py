# SPDX-License-Identifier: BSD-3-Clause
"""Correlations just beyond the sizes at which the C core cuts: second and later tiles, bands, blocks and shares of
depths, by every method, where arrays are adjacent and where they are not. A wrong offset there shows in no smaller
picture."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from cases import integers

import fastconv
from fastconv import ndimage, reference

# boxes.c: tiles of 64 rows and 32768 outputs, 4 depths deep; blocks of 8192 columns
TILES = {
    "tiles": ((150, 1300), (5, 4), {}),
    "tiles, wrapped": ((150, 1300), (3, 9), {"boundary": "wrap"}),
    "tiles, strided": ((203, 1700), (4, 5), {"stride": (2, 3)}),
    "tiles, dilated": ((150, 1300), (3, 4), {"dilation": (5, 7)}),
    "blocks of columns": ((70, 8500), (2, 3), {}),
    "blocks of columns, strided": ((21, 25000), (2, 3), {"stride": (2, 3)}),
    "blocks of columns, dilated": ((21, 8500), (2, 3), {"dilation": (3, 4)}),
    "tiles of volumes": ((9, 70, 300), (2, 3, 3), {"boundary": "reflect"}),
    "tiles of volumes, strided": ((17, 140, 300), (2, 2, 3), {"stride": 2}),
    "tiles of volumes, long rows": ((3, 20, 700), (2, 2, 3), {}),
    "a batch": ((2, 150, 600), (3, 3), {"boundary": "edge"}),
}


@pytest.fixture(params=["tall bands", "low bands"])
def bands(request):
    """As they are, for tiles one below another; and low ones, for shares of threads."""
    if request.param == "low bands":
        request.getfixturevalue("tiny_chunks")


def apart(a):
    """The same elements, no two of which adjoin."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def of_rank_one(rng, shape, dtype):
    k = integers(rng, shape[:1], dtype)
    for n in shape[1:]:
        k = k[..., None] * integers(rng, (n,), dtype)
    return k


@pytest.mark.parametrize("name", TILES)
@pytest.mark.parametrize("dtype", [*cases.FLOATS, "int32", "uint8"])
@pytest.mark.usefixtures("bands")
def test_values(isa, rng, name, dtype):
    x_shape, k_shape, how = TILES[name]
    of = f"corr{len(k_shape)}d"
    x, k = integers(rng, x_shape, dtype), of_rank_one(rng, k_shape, dtype)
    expected = getattr(reference, of)(x, k, "same", **how)
    methods = ("direct", "im2col", "separable") if dtype in cases.FLOATS else ("direct",)
    for method in methods:
        if method == "separable" and how.get("stride"):
            continue
        for laid in (np.asarray, np.asfortranarray, apart):
            y = apart(np.zeros(expected.shape, expected.dtype))
            options = how | {"method": method, "threads": 3}
            for out in (None, y):
                got = getattr(fastconv, of)(laid(x), k, "same", **options, out=out)
                if method == "separable":  # its factors are not whole
                    got = np.rint(got)
                np.testing.assert_array_equal(got, expected, f"{method} {laid.__name__}")


@pytest.mark.parametrize("shape", [(150, 1300), (70, 8500), (9, 70, 300)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16"])
@pytest.mark.usefixtures("bands")
def test_filters_write_apart_what_they_write_adjacent(isa, rng, shape, dtype):
    """Sums, passes along lines and products in SciPy's order, whose results are narrowed row by row."""
    x, k = integers(rng, shape, dtype), integers(rng, (3,) * len(shape), "float64")
    for run in (
        lambda x, out: ndimage.uniform_filter(x, 5, output=out),
        lambda x, out: ndimage.gaussian_filter(x, 1.2, output=out, mode="constant", cval=3),
        lambda x, out: ndimage.gaussian_filter(x, 1.2, order=1, output=out),
        lambda x, out: ndimage.correlate(x, k, output=out, mode="wrap"),
    ):
        expected, y = np.empty_like(x), apart(np.zeros_like(x))
        run(x, expected)
        for laid in (x, np.asfortranarray(x), apart(x)):
            run(laid, y)
            cases.assert_same_bits(np.ascontiguousarray(y), expected)
