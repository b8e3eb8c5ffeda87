# SPDX-License-Identifier: BSD-3-Clause
"""What is refused, with which exception, naming the argument; the reference refuses the same in the same words."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import fastconv
from fastconv import reference

X, K = np.ones((5, 6), np.float32), np.ones((3, 2), np.float32)
OUT = np.full((3, 5), 7, np.float32)  # what X and K give in mode "valid"
INTS = {"x": X.astype(int), "k": K.astype(int)}


def huge(*shape, dtype=np.float32):
    """An array of that shape which lies in one element."""
    return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


def read_only(a):
    a.flags.writeable = False
    return a


# what it is called -> the arguments that differ from (X, K), the exception, what its message holds
BAD = {
    # x and k
    "x of rank 0": ({"x": 3.0}, ValueError, r"x must have at least 2 dimensions .*got shape \(\)"),
    "x of rank 1": ({"x": X[0]}, ValueError, r"x must have at least 2 dimensions .*got shape \(6,\)"),
    "k of rank 0": ({"k": 3.0}, ValueError, r"k must have at least 2 dimensions .*got shape \(\)"),
    "k of rank 1": ({"k": K[0]}, ValueError, r"k must have at least 2 dimensions .*got shape \(2,\)"),
    "a batch of k": (
        {"x": np.ones((4, 5, 6)), "k": np.ones((3, 3, 2))},
        ValueError,
        r"k has shape \(3, 3, 2\), .* leading axes \(3,\), which do not broadcast against those of x .*, \(4,\)",
    ),
    "k without rows": ({"k": K[:0]}, ValueError, r"k must not be empty; got shape \(0, 2\)"),
    "k without columns": ({"k": K[:, :0]}, ValueError, r"k must not be empty; got shape \(3, 0\)"),
    "k without rows, full": ({"k": K[:0], "mode": "full"}, ValueError, r"k must not be empty"),
    "k too tall": ({"k": np.ones((6, 2))}, ValueError, r"k of shape \(6, 2\) does not fit into x of shape \(5, 6\)"),
    "k too wide": ({"k": np.ones((2, 7))}, ValueError, r"k of shape \(2, 7\) does not fit into x of shape \(5, 6\)"),
    "x and k exchanged": ({"x": K, "k": X}, ValueError, r"does not fit .*'valid'; exchange the two.*'same' or 'full'"),
    "x empty": ({"x": X[:0]}, ValueError, r"k of shape \(3, 2\) does not fit into x of shape \(0, 6\)"),
    "clongdouble x": ({"x": X.astype(np.clongdouble)}, TypeError, r"x has dtype complex256; .* are supported"),
    "object x": ({"x": X.astype(object)}, TypeError, r"x has dtype object"),
    "object k": ({"k": [[None]]}, TypeError, r"k has dtype object"),
    "str x": ({"x": [["a"]]}, TypeError, r"x has dtype <U1"),
    "bytes k": ({"k": [[b"a"]]}, TypeError, r"k has dtype \|S1"),
    "datetime x": ({"x": X.astype("M8[s]")}, TypeError, r"x has dtype datetime64\[s\]"),
    "timedelta k": ({"k": K.astype("m8[s]")}, TypeError, r"k has dtype timedelta64\[s\]"),
    "record x": ({"x": np.zeros((3, 3), "f4,f4")}, TypeError, r"x has dtype \[\('f0'"),
    "longdouble x": ({"x": X.astype(np.longdouble)}, TypeError, r"x has dtype float128"),
    "longdouble k": ({"k": K.astype(np.longdouble)}, TypeError, r"k has dtype float128"),
    "x missing": ({"x": None}, TypeError, r"x has dtype object"),
    "masked x": ({"x": np.ma.masked_less(X, 0)}, TypeError, r"x is a masked array.*x\.filled"),
    "masked k": ({"k": np.ma.masked_less(K, 0)}, TypeError, r"k is a masked array.*k\.filled"),
    "ragged x": ({"x": [[1, 2], [3]]}, ValueError, r"x is not an array of numbers"),
    "ragged k": ({"k": [[1, 2], [3]]}, ValueError, r"k is not an array of numbers"),
    # names
    "mode": ({"mode": "half"}, ValueError, r"mode must be one of valid, same, full; got 'half'"),
    "mode in capitals": ({"mode": "Same"}, ValueError, r"mode must be one of .*got 'Same'"),
    "mode 3": ({"mode": 3}, ValueError, r"mode must be one of .*got 3"),
    "mode None": ({"mode": None}, ValueError, r"mode must be one of .*got None"),
    "mode a list": ({"mode": ["same"]}, ValueError, r"mode must be one of .*got \['same'\]"),
    "mode bytes": ({"mode": b"same"}, ValueError, r"mode must be one of .*got b'same'"),
    "boundary": ({"boundary": "mirror"}, ValueError, r"boundary must be one of constant, .*wrap.*; got 'mirror'"),
    "boundary None": ({"boundary": None}, ValueError, r"boundary must be one of .*got None"),
    "boundary a list": ({"boundary": ["edge"]}, ValueError, r"boundary must be one of .*got \['edge'\]"),
    "boundary 3": ({"boundary": 3}, ValueError, r"boundary must be one of .*got 3"),
    # boundaries without anything to continue
    "no rows": ({"x": X[:0], "mode": "full", "boundary": "edge"}, ValueError, r"x of shape \(0, 6\) is empty.*'edge'"),
    "no columns": ({"x": X[:, :0], "mode": "full", "boundary": "symm"}, ValueError, r"x .*is empty.*'symmetric'"),
    # out
    "out a list": ({"out": [[0] * 5] * 3}, TypeError, r"out must be a numpy.ndarray; got list"),
    "out masked": ({"out": np.ma.zeros((3, 5), "f4")}, TypeError, r"out must be a numpy.ndarray; got MaskedArray"),
    "out of float64": ({"out": OUT.astype(float)}, TypeError, r"out has dtype float64; the result has dtype float32"),
    "out of float32": ({**INTS, "out": OUT}, TypeError, r"out has dtype float32; the result has dtype int64"),
    "out big-endian": ({"out": OUT.astype(">f4")}, TypeError, r"out has dtype >f4; the result has dtype float32"),
    "out too large": ({"out": np.ones_like(X)}, ValueError, r"out has shape \(5, 6\); the result has shape \(3, 5\)"),
    "out of another rank": (
        {"out": OUT[None]},
        ValueError,
        r"out has shape \(1, 3, 5\); the result has shape \(3, 5\)",
    ),
    "out read-only": ({"out": read_only(OUT.copy())}, ValueError, r"out is read-only"),
    # fillvalue
    "fillvalue an array": ({"fillvalue": np.zeros(2)}, TypeError, r"fillvalue must be a real scalar"),
    "fillvalue of one element": ({"fillvalue": np.zeros(1)}, TypeError, r"fillvalue must be a real scalar"),
    "fillvalue a list": ({"fillvalue": [0]}, TypeError, r"fillvalue must be a real scalar; got \[0\]"),
    "fillvalue complex": ({"fillvalue": 1j}, TypeError, r"fillvalue must be a real scalar; got 1j"),
    "fillvalue NumPy complex": ({"fillvalue": np.complex64(1)}, TypeError, r"fillvalue must be a real scalar"),
    "fillvalue str": ({"fillvalue": "0"}, TypeError, r"fillvalue must be a real scalar; got '0'"),
    "fillvalue NumPy str": ({"fillvalue": np.str_("0")}, TypeError, r"fillvalue must be a real scalar"),
    "fillvalue None": ({"fillvalue": None}, TypeError, r"fillvalue must be a real scalar; got None"),
    "fillvalue a date": ({"fillvalue": np.datetime64(0, "s")}, TypeError, r"fillvalue must be a real scalar"),
    "fillvalue 2.5": ({**INTS, "fillvalue": 2.5}, ValueError, r"fillvalue must be an integer.*got 2\.5"),
    "fillvalue NaN": ({**INTS, "fillvalue": np.nan}, ValueError, r"fillvalue must be an integer.*got nan"),
    "fillvalue inf": ({**INTS, "fillvalue": -np.inf}, ValueError, r"fillvalue must be an integer.*got -inf"),
    "fillvalue 2**63": (
        {**INTS, "fillvalue": 2**63},
        ValueError,
        r"fillvalue does not fit .*int64; got 9223372036854775808",
    ),
    "fillvalue 1e300": ({"fillvalue": 1e300}, ValueError, r"fillvalue does not fit .*float32; got 1e\+300"),
    "fillvalue 10**39": ({"fillvalue": 10**39}, ValueError, r"fillvalue does not fit .*float32; got 10{39}"),
    "fillvalue 10**400": (
        {"x": X.astype(float), "fillvalue": 10**400},
        ValueError,
        r"fillvalue does not fit .*float64",
    ),
    "fillvalue 70000": (
        {"x": X.astype("f2"), "k": [[True]], "fillvalue": 70000},
        ValueError,
        r"does not fit .*float16",
    ),
    # steps, axes, windows
    "stride 0": ({"stride": 0}, ValueError, r"stride must be at least 1; got 0"),
    "stride 1.5": ({"stride": 1.5}, TypeError, r"stride must be an integer or 2 of them; got 1\.5"),
    "three strides": ({"stride": (1, 1, 1)}, ValueError, r"stride must be an integer or 2 of them; got \(1, 1, 1\)"),
    "dilation -1": ({"dilation": (1, -1)}, ValueError, r"dilation must be at least 1; got \(1, -1\)"),
    "dilation True": ({"dilation": True}, TypeError, r"dilation must be an integer"),
    "dilated beyond x": (
        {"dilation": 3},
        ValueError,
        r"k of shape \(3, 2\), spread to \(7, 4\) by dilation, does not fit",
    ),
    "axes out of range": (
        {"axes": (0, 2)},
        ValueError,
        r"axes must lie from -2 to 1 for x of 2 dimensions; got \(0, 2\)",
    ),
    "axes repeated": ({"axes": (1, -1)}, ValueError, r"axes must not repeat an axis; got \(1, -1\)"),
    "one axis": ({"axes": (0,)}, ValueError, r"axes must be 2 integers; got \(0,\)"),
    "axes of str": ({"axes": ("a", "b")}, TypeError, r"axes must be 2 integers"),
    "boundary of three": ({"boundary": ("edge",) * 3}, ValueError, r"boundary must be one of .*, or a tuple of 2; got"),
    "window of one": ({"window": (slice(2),)}, ValueError, r"window must be 2 slices, one for each axis; got"),
    "window of integers": ({"window": (1, 2)}, ValueError, r"window must be 2 slices"),
    "window backwards": (
        {"window": (slice(2), slice(None, None, -1))},
        ValueError,
        r"window must have steps of at least 1",
    ),
    "window step 0": ({"window": (slice(2), slice(0, 3, 0))}, ValueError, r"window must have steps of at least 1"),
    "window of floats": ({"window": (slice(2), slice(0.5))}, TypeError, r"window must be slices of integers"),
    # sizes
    "too large, valid": ({"x": huge(2**31, 2**30, dtype=bool), "k": [[1]]}, ValueError, r"result would .*too large"),
    "too large, same": ({"x": huge(2**31, 2**30, dtype="f2"), "mode": "same"}, ValueError, r"too large; x has shape"),
    "too large, full": ({"x": huge(2**31, 2**30 - 1), "mode": "full"}, ValueError, r"result would .*too large"),
    "too large by k": ({"k": huge(2**31, 2**30 - 1), "mode": "full"}, ValueError, r"result would .*too large.*'full'"),
    "too large by both": ({"x": huge(2**60, 1), "k": huge(1, 2**60), "mode": "full"}, ValueError, r"too large"),
    "too large by batch": (
        {"x": huge(2**20, 2**20, 2**21, dtype="i1"), "mode": "full"},
        ValueError,
        r"result would .*too large",
    ),
}

# The same for options that the reference does not have.
BAD_OPTIONS = {
    "method": ({"method": "dft"}, ValueError, r"method must be one of auto, direct, .*, numpy; got 'dft'"),
    "method None": ({"method": None}, ValueError, r"method must be one of .*got None"),
    "method a list": ({"method": ["auto"]}, ValueError, r"method must be one of .*got \['auto'\]"),
    "im2col integers": ({**INTS, "method": "im2col"}, TypeError, r"method 'im2col' takes floats; got x of dtype int64"),
    "large integers": (
        {"x": [[2**62] * 6] * 5, "k": [[2, 2]] * 3, "method": "direct", "out": np.zeros((3, 5), int)},
        TypeError,
        r"method 'direct' sums integers in int64, which may be too small: use 'auto'",
    ),
    "separable complex": (
        {"x": X + 0j, "method": "separable", "out": OUT + 0j},
        ValueError,
        r"'separable' is not possible: .*complex",
    ),
    "separable strided": (
        {"stride": (2, 5), "method": "separable", "out": OUT[:2, :1]},
        ValueError,
        r"'separable' is not possible: the stride of columns is more than 4",
    ),
    "no threads": ({"threads": 0}, ValueError, r"threads must be at least 1; got 0"),
    "negative threads": ({"threads": -1}, ValueError, r"threads must be at least 1; got -1"),
    "threads 2.5": ({"threads": 2.5}, TypeError, r"threads must be an integer; got 2\.5"),
    "threads True": ({"threads": True}, TypeError, r"threads must be an integer; got True"),
    "threads '2'": ({"threads": "2"}, TypeError, r"threads must be an integer; got '2'"),
    "threads of the reference": ({"threads": 0, "method": "numpy"}, ValueError, r"threads must be at least 1; got 0"),
    "threads of integers": ({**INTS, "threads": 0}, ValueError, r"threads must be at least 1; got 0"),
}


def raised(function, arguments):
    """(type, message) of what the call raises."""
    try:
        function(**{"x": X, "k": K, **arguments})
    except Exception as error:  # any: the test looks at it
        return type(error), str(error)
    return None, "nothing was raised"


def assert_refused(function, arguments, exception, message):
    kind, text = raised(function, arguments)
    assert (kind, bool(re.search(message, text))) == (exception, True), f"{kind}: {text}"
    dtype = np.int64 if "x" in arguments and arguments["x"] is INTS["x"] else np.float32
    out = arguments.get("out", OUT.astype(dtype))
    before = np.array(out)
    assert raised(function, arguments | {"out": out}) == (kind, text)
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("name", ["corr2d", "convolve2d"])
@pytest.mark.parametrize("case", BAD)
def test_refused(case, name):
    for package in (reference, fastconv):
        assert_refused(getattr(package, name), *BAD[case])
    arguments = BAD[case][0]
    assert raised(getattr(fastconv, name), arguments) == raised(getattr(reference, name), arguments)


@pytest.mark.parametrize("name", ["corr2d", "convolve2d"])
@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_options_refused(case, name):
    assert_refused(getattr(fastconv, name), *BAD_OPTIONS[case])


@pytest.mark.parametrize("package", [fastconv, reference])
@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_results_that_no_memory_can_hold(package, mode):
    with pytest.raises(MemoryError):
        package.corr2d(huge(2**30, 2**29), K, mode)


@pytest.mark.parametrize(
    ("arguments", "exception", "message"),
    [
        (((5,), (3, 3)), ValueError, "x must have at least 2 dimensions"),
        (((), (3,)), ValueError, "x must have at least 1 dimension "),
        (((5, 5), ()), ValueError, "k must have at least 2 dimensions"),
        (((5, 5, 5, 5), (3, 3, 3, 3)), ValueError, "k must have 1 to 3 dimensions.*layers"),
        (((5, 5), (6, 1)), ValueError, "k of shape"),
        (((5, 5), (3, 3), "half"), ValueError, "mode must be"),
        (((5, 5), (3, 3), "same", "mirror"), ValueError, "boundary must be"),
        (((2**31, 2**30 - 1), (3, 3), "full"), ValueError, "too large"),
    ],
)
def test_explain_refuses_the_same(arguments, exception, message):
    with pytest.raises(exception, match=message):
        fastconv.explain(*arguments)
    for option, (wrong, kind, text) in {
        "dtype": (str, TypeError, "x has dtype <U"),
        "method": ("dft", ValueError, "method must be"),
        "threads": (0, ValueError, "threads must be"),
    }.items():
        with pytest.raises(kind, match=text):
            fastconv.explain((5, 5), (3, 3), **{option: wrong})
