# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of other libraries are taken as they are, without a copy."""

from __future__ import annotations

import array

import numpy as np
import pytest

import fastconv
from fastconv import feature, ndimage, nn, signal
from fastconv.arguments.values import as_array


class Array:
    """__array__ and nothing else."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class Interface:
    """__array_interface__ and nothing else."""

    def __init__(self, values):
        self.__array_interface__ = values.__array_interface__
        self.values = values


class Tensor:
    """DLPack and nothing else."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **how):
        return self.values.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


WRAPPERS = {
    "memoryview": memoryview,
    "array": Array,
    "interface": Interface,
    "dlpack": Tensor,
    "subclass": np.ndarray.view,
}
CALLS = {
    "corr2d": lambda x, k: fastconv.corr2d(x, k),
    "correlate2d": lambda x, k: signal.correlate2d(x, k),
    "convolve": lambda x, k: signal.convolve(x, k),
    "ndimage": lambda x, k: ndimage.correlate(x, k),
    "gaussian": lambda x, k: ndimage.gaussian_filter(x, 1),
    "match_template": lambda x, k: feature.match_template(x, k),
    "layer": lambda x, k: nn.conv2d(x, k),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_no_copy(rng, wrapper):
    x = rng.random((6, 7))
    assert np.shares_memory(as_array(WRAPPERS[wrapper](x), "x"), x)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_same_result(rng, wrapper, call):
    x, k = rng.random((9, 10)), rng.random((3, 3))
    if call == "layer":
        x, k = x[None], k[None, None]
    wrap = WRAPPERS[wrapper]
    np.testing.assert_array_equal(CALLS[call](wrap(x), wrap(k)), CALLS[call](x, k))


def test_memory_maps_and_buffers(rng, tmp_path):
    x = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=(20, 30))
    x[:] = rng.random((20, 30))
    np.testing.assert_array_equal(ndimage.sobel(x), ndimage.sobel(np.array(x)))
    assert type(ndimage.sobel(x)) is np.ndarray
    samples = array.array("d", [1, 2, 3, 4])
    assert signal.convolve(samples, array.array("d", [1, 1])).tolist() == [1, 3, 5, 7, 4]


@pytest.mark.parametrize("name", ["torch", "jax.numpy", "pandas", "xarray"])
def test_of_other_libraries(rng, name):
    library = pytest.importorskip(name)
    x, k = rng.random((9, 10)).astype(np.float32), rng.random((3, 3)).astype(np.float32)
    make = {"torch": "from_numpy", "jax.numpy": "asarray", "pandas": "DataFrame", "xarray": "DataArray"}[name]
    other = getattr(library, make)(x)
    for call in ("corr2d", "correlate2d", "ndimage", "gaussian"):
        np.testing.assert_array_equal(CALLS[call](other, k), CALLS[call](x, k))
