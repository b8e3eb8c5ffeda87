# SPDX-License-Identifier: BSD-3-Clause
"""Good calls of the public functions that are no layers: of correlations, kernels and template matching.

test_any_argument.py calls them with any value in the place of any argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv
from fastconv import feature, kernels

DIMS = {1: (9,), 2: (8, 9), 3: (5, 6, 7)}


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def of_rank(rank: int) -> dict[str, Any]:
    x, k = ones(*DIMS[rank]), ones(*(3,) * rank)
    return {
        f"fastconv.{word}{rank}d": (getattr(fastconv, f"{word}{rank}d"), {"x": x, "k": k})
        for word in ("corr", "convolve")
    }


CALLS: dict[str, Any] = {
    **of_rank(1),
    **of_rank(2),
    **of_rank(3),
    "fastconv.sepcorr2d": (fastconv.sepcorr2d, {"x": ones(8, 9), "ky": ones(3), "kx": ones(3)}),
    "fastconv.xcorr": (fastconv.xcorr, {"x": ones(9), "y": ones(9), "max_lag": 2}),
    "fastconv.gradient": (fastconv.gradient, {"x": ones(8, 9)}),
    "fastconv.explain": (fastconv.explain, {"x_shape": (8, 9), "k": (3, 3)}),
    "fastconv.halo": (fastconv.halo, {"k_shape": (3, 3)}),
    "fastconv.set_num_threads": (fastconv.set_num_threads, {"n": 1}),
    "fastconv.set_cache_limit": (fastconv.set_cache_limit, {"nbytes": 16 << 20}),
    "feature.match_template": (feature.match_template, {"image": ones(8, 9), "template": ones(3, 3)}),
    "kernels.box": (kernels.box, {"size": 3}),
    "kernels.dog": (kernels.dog, {"size": 9}),
    "kernels.emboss": (kernels.emboss, {}),
    "kernels.gabor": (kernels.gabor, {}),
    "kernels.gaussian": (kernels.gaussian, {"size": 3}),
    "kernels.identity": (kernels.identity, {"size": 3}),
    "kernels.laplacian": (kernels.laplacian, {}),
    "kernels.log": (kernels.log, {}),
    "kernels.prewitt": (kernels.prewitt, {}),
    "kernels.scharr": (kernels.scharr, {}),
    "kernels.sharpen": (kernels.sharpen, {}),
    "kernels.sobel": (kernels.sobel, {}),
    "kernels.unsharp": (kernels.unsharp, {"size": 3}),
}

# Wrong kinds of values, beside those of test_any_argument.py.
MORE_VALUES: dict[str, Any] = {
    "inf": float("inf"),
    "2**63": 2**63,
    "-2**63 - 1": -(2**63) - 1,
    "a set": {1, 2},
    "a slice": slice(0, 2),
    "a range": range(3),
    "a memoryview": memoryview(b"zeros"),
    "a bytearray": bytearray(b"zeros"),
    "dates": np.array(["2020-01-01", "2021-01-01"], "M8[D]"),
    "a date": np.datetime64("2020-01-01"),
    "records": np.zeros(2, "f4,f4"),
    "long doubles": np.ones(3, np.longdouble),
    "seven": (1,) * 7,
    "seven dimensions": np.ones((1,) * 7),
    "nested": [[[[1]]]],
    "an object": object(),
    "an ellipsis": ...,
    "NaNs": np.full((8, 9), np.nan),
}
