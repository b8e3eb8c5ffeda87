# SPDX-License-Identifier: BSD-3-Clause
"""Bad arguments of the drop-ins: SciPy's types of exceptions, and messages that name the argument and what it was."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import fastconv
from fastconv import ndimage, signal

X = np.arange(20.0).reshape(4, 5)
ONES = np.ones((3, 3))

# function, arguments, and what the message has to say
OF_NDIMAGE = [
    ("gaussian_filter", (X, "1"), {}, "sigma must be a real number; got '1'"),
    ("gaussian_filter", (X, None), {}, "sigma must be a real number; got None"),
    ("gaussian_filter", (X, [1, "a"]), {}, "sigma must be a real number; got 'a'"),
    ("gaussian_filter", (X, np.inf), {}, "sigma and truncate must be finite; got inf"),
    ("gaussian_filter", (X, 1), {"truncate": "a"}, "truncate must be a real number; got 'a'"),
    ("gaussian_filter", (X, 1), {"order": 1.5}, "order must be an integer; got 1.5"),
    ("gaussian_filter", (X, 1), {"order": "1"}, "order must be an integer; got '1'"),
    ("gaussian_filter", (X, 1), {"axes": 1.5}, "axes must be an integer; got 1.5"),
    ("gaussian_filter", (X, 1), {"axes": (0.5,)}, "axes must be an integer; got 0.5"),
    ("gaussian_filter1d", (X, "1"), {}, "sigma must be a real number; got '1'"),
    ("gaussian_filter1d", (X, "a"), {}, "sigma must be a real number; got 'a'"),
    ("gaussian_filter1d", (X, None), {}, "sigma must be a real number; got None"),
    ("gaussian_filter1d", (X, np.inf), {}, "sigma and truncate must be finite; got inf"),
    ("gaussian_filter1d", (X, np.nan), {}, "sigma and truncate must be finite; got nan"),
    ("gaussian_filter1d", (X, 1), {"order": None}, "order must be an integer; got None"),
    ("gaussian_filter1d", (X, 1), {"axis": None}, "axis must be an integer; got None"),
    ("gaussian_laplace", (X, "1"), {}, "sigma must be a real number; got '1'"),
    ("gaussian_gradient_magnitude", (X, None), {}, "sigma must be a real number; got None"),
    ("uniform_filter", (X, "3"), {}, "size must be a real number; got '3'"),
    ("uniform_filter", (X, None), {}, "size must be a real number; got None"),
    ("uniform_filter1d", (X, 2.5), {}, "size must be an integer; got 2.5"),
    ("uniform_filter1d", (X, "3"), {}, "size must be a real number; got '3'"),
    ("uniform_filter1d", (X, 3), {"axis": 1.5}, "axis must be an integer; got 1.5"),
    ("uniform_filter1d", (X, 3), {"origin": 1.5}, "origin must be an integer; got 1.5"),
    ("uniform_filter1d", (X, 3), {"origin": "1"}, "origin must be a real number; got '1'"),
    ("correlate1d", (X, ["a"]), {}, "weights must be numbers"),
    ("correlate", (X, [["a"]]), {}, "weights must be numbers"),
    ("convolve1d", (X, ["a"]), {}, "weights must be numbers"),
    ("convolve1d", (X, 3), {}, "weights must have 1 dimension; got 3"),
    ("correlate1d", (X, [1]), {"cval": "x"}, "cval must be a real number; got 'x'"),
    ("correlate1d", (X, [1]), {"cval": None}, "cval must be a real number; got None"),
    ("correlate", (X, ONES), {"cval": "x"}, "cval must be a real number; got 'x'"),
    ("correlate", (X, ONES), {"cval": [1, 2]}, "cval must be a real number"),
    ("correlate1d", (X, [1]), {"axis": None}, "axis must be an integer; got None"),
    ("correlate1d", (X, [1, 2, 3]), {"origin": 0.5}, "origin must be an integer; got 0.5"),
    ("convolve1d", (X, [1, 2, 3]), {"origin": "1"}, "origin must be a real number; got '1'"),
    ("correlate", (X, ONES), {"origin": None}, "origin must be a real number; got None"),
    ("correlate", (X, ONES), {"origin": 0.5}, "origin must be an integer; got 0.5"),
    ("correlate", (X, ONES), {"axes": 1.5}, "axes must be an integer; got 1.5"),
    ("correlate", (X.astype("f2"), ONES), {}, "input must be of bool, integers, float32 or float64"),
    ("correlate", (X.astype(object), ONES), {}, "input must be of bool, integers, float32 or float64"),
    ("sobel", (X,), {"output": "f2"}, "output must be of bool, integers, float32 or float64"),
    ("sobel", (X, None), {}, "axis must be an integer; got None"),
    ("sobel", (X, 1.5), {}, "axis must be an integer; got 1.5"),
    ("laplace", (X,), {"axes": 2}, "axes=2: axis 2 is out of range for an array of 2 axes"),
]
OF_SIGNAL = [
    ("convolve", ([1, 2, 3], ["a"]), {}, "in1 and in2 have dtypes int64 and <U1"),
    ("convolve", ([1, 2, 3], ["a"]), {"method": "direct"}, "in1 and in2 have dtypes int64 and <U1"),
    ("correlate", (["a"], [1]), {}, "in1 and in2 have dtypes <U1 and int64"),
    ("convolve2d", (X, [["a"]]), {}, "in1 and in2 have dtypes float64 and <U1"),
    ("convolve", (X, X), {"method": [1]}, r"method flags are .*; got \[1\]"),
    ("fftconvolve", (X, X), {"axes": 1.5}, "axes must be a scalar or iterable of integers; got 1.5"),
]


@pytest.mark.parametrize(
    ("packages", "case"),
    [((scipy.ndimage, ndimage), case) for case in OF_NDIMAGE] + [((scipy.signal, signal), case) for case in OF_SIGNAL],
    ids=lambda value: f"{value[0]}-{value[3]}" if len(value) == 4 else "",
)
def test_messages_name_the_argument(packages, case):
    name, args, how, message = case
    expected = cases.outcome(getattr(packages[0], name), *args, **how)
    assert isinstance(expected, Exception)
    kind = next(t for t in type(expected).__mro__ if t.__module__ == "builtins")
    with pytest.raises(kind, match=message):
        getattr(packages[1], name)(*args, **how)


@pytest.mark.parametrize(
    "call", [ndimage.sobel, lambda x: signal.convolve2d(x, ONES), lambda x: fastconv.corr2d(x, ONES)]
)
def test_masked_arrays_are_refused_with_both_ways_out(call):
    with pytest.raises(TypeError, match=r"\.filled\(value\).* mask=~"):
        call(np.ma.masked_less(X, 3))


@pytest.mark.parametrize(("module", "name"), [(ndimage, "median_filter"), (ndimage, "label"), (signal, "butter")])
def test_what_is_not_here_is_said_to_be_scipys(module, name):
    with pytest.raises(AttributeError, match=f"from scipy.{module.__name__[9:]} import {name}$"):
        getattr(module, name)
    assert not hasattr(module, name) and not hasattr(module, "__path__")
    with pytest.raises(ImportError):
        exec(f"from {module.__name__} import {name}")
    everything: dict[str, object] = {}
    exec(f"from {module.__name__} import *", everything)
    assert set(module.__all__) == set(everything) - {"__builtins__"}
