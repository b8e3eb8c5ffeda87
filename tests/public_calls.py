# SPDX-License-Identifier: BSD-3-Clause
"""Good calls of the public functions that are no layers: of correlations, drop-ins, kernels and template matching; and
values that are wrong in the place of most arguments.

test_any_argument.py, test_torch.py and test_onnx_models.py call what is public with any value for any argument.
"""

from __future__ import annotations

import contextlib
import copy
import re
import signal as signals
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import feature, kernels, ndimage, nn, signal

DIMS = {1: (9,), 2: (8, 9), 3: (5, 6, 7)}


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def of_rank(rank: int) -> dict[str, Any]:
    x, k = ones(*DIMS[rank]), ones(*(3,) * rank)
    return {
        f"fastconv.{word}{rank}d": (getattr(fastconv, f"{word}{rank}d"), {"x": x, "k": k})
        for word in ("corr", "convolve")
    }


def derivative(input: Any, axis: int, output: Any, mode: str, cval: float, *more: Any, **named: Any) -> Any:
    return ndimage.sobel(input, axis, output, mode, cval)


def filters() -> dict[str, Any]:
    """Those of `ndimage`."""
    more: dict[str, Any] = {name: {"sigma": 1.0} for name in ndimage.__all__ if name.startswith("gaussian")}
    more |= {"correlate": {"weights": ones(3, 2)}, "convolve": {"weights": ones(3, 2)}}
    more |= {"correlate1d": {"weights": ones(3)}, "convolve1d": {"weights": ones(3)}, "uniform_filter1d": {"size": 3}}
    more |= {"generic_laplace": {"derivative2": derivative}}
    more |= {"generic_gradient_magnitude": {"derivative": derivative}}
    return {
        f"ndimage.{name}": (getattr(ndimage, name), {"input": ones(6, 5), **more.get(name, {})})
        for name in ndimage.__all__
    }


def sums() -> dict[str, Any]:
    """Those of `signal`."""
    pair = {"in1": ones(6, 5), "in2": ones(3, 2)}
    others = {
        "sepfir2d": {"input": ones(6, 5), "hrow": ones(3), "hcol": ones(3)},
        "correlation_lags": {"in1_len": 5, "in2_len": 3},
    }
    return {f"signal.{name}": (getattr(signal, name), others.get(name, pair)) for name in signal.__all__}


CALLS: dict[str, Any] = {
    **of_rank(1),
    **of_rank(2),
    **of_rank(3),
    **filters(),
    **sums(),
    "fastconv.sepcorr2d": (fastconv.sepcorr2d, {"x": ones(8, 9), "ky": ones(3), "kx": ones(3)}),
    "fastconv.xcorr": (fastconv.xcorr, {"x": ones(9), "y": ones(9), "max_lag": 2}),
    "fastconv.gradient": (fastconv.gradient, {"x": ones(8, 9)}),
    "fastconv.explain": (fastconv.explain, {"x_shape": (8, 9), "k": (3, 3)}),
    "fastconv.halo": (fastconv.halo, {"k_shape": (3, 3)}),
    "fastconv.tiled": (fastconv.tiled, {"src": ones(8, 9), "what": ones(3, 3), "dst": ones(8, 9)}),
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

OBJECTS = np.array([None, "a", 3], object)
VALUES: dict[str, Any] = {
    "None": None,
    "a string": "zero",
    "strings": ["zeros", "same"],
    "NaN": float("nan"),
    "-1": -1,
    "0": 0,
    "2**62": 2**62,
    "10**400": 10**400,
    "1.5": 1.5,
    "complex": 1j,
    "bool": True,
    "objects": OBJECTS,
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "masked integers": np.ma.masked_array([1, 2], [True, False]),
    "empty": np.empty(0),
    "an array of no dimension": np.array(2),
    "floats": np.ones(3),
    "ragged": [[1, 2], [3]],
    "words": np.array(["zeros", "zeros"]),
    "a function": len,
    "a class": nn.Conv2d,
    "bytes": b"zeros",
    "a dict": {"a": 1},
}
# Beside them, for what is no layer.
MORE_VALUES: dict[str, Any] = VALUES | {
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

# What else than ValueError and TypeError may be raised: SciPy's errors, where it raises them.
ERRORS = {"ndimage": (ValueError, TypeError, RuntimeError, IndexError, OverflowError, ZeroDivisionError)}


@contextlib.contextmanager
def in_seconds(most: int) -> Iterator[None]:
    """It takes no longer: the alarm is an error."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"the call takes longer than {most} seconds")

    if not hasattr(signals, "SIGALRM"):
        pytest.skip("Windows has no alarm")
    before = signals.signal(signals.SIGALRM, late)
    signals.alarm(most)
    try:
        yield
    finally:
        signals.alarm(0)
        signals.signal(signals.SIGALRM, before)


def with_any(
    function: Callable[..., Any],
    good: dict[str, Any],
    place: str,
    values: dict[str, Any],
    errors: tuple[type[Exception], ...] = (ValueError, TypeError),
    *,
    may_warn: bool = False,
) -> None:
    """Call it with each value for one argument: it has a result, or raises an error that names the argument."""
    for value, wrong in values.items():
        wrong = wrong if value in ("a memoryview", "nested tensors") else copy.deepcopy(wrong)  # which have no copies
        try:
            with warnings.catch_warnings(), in_seconds(5):  # a second, on a machine with four others to serve
                warnings.simplefilter("ignore" if may_warn else "error")
                function(**copy.deepcopy(good) | {place: wrong})
        except errors as error:
            named = rf"\b({place}|{place.removesuffix('_shape')})\b"
            assert re.search(named, str(error)), f"{place}={value}: {type(error).__name__}: {error}"
        except fastconv.learning.NonFiniteLossError:
            assert place in ("lr", "momentum", "weight_decay")
        except BaseException as error:
            raise AssertionError(f"{place}={value}: {type(error).__name__}: {error}") from error
