# SPDX-License-Identifier: BSD-3-Clause
"""Drop-in for the functions of `scipy.signal` that correlate and convolve: their names, arguments, dtypes and errors.

``from fastconv.signal import correlate2d`` instead of ``from scipy.signal import correlate2d`` is the only change. What
SciPy does with the arguments (which one slides over the other, where "same" begins, which dtype comes out) is here; the
sums are those of `fastconv.corr1d`, `corr2d` and `corr3d`, over as many elements as the outputs need.

Results differ from SciPy's only where that loses data or does what C leaves undefined:

- A fillvalue that does not fit is an error, also where SciPy wraps it.
- Transforms never round integers.
- What is not finite spoils only the outputs that have a product with it. (In `correlate2d` and `convolve2d` products
  with the fill count, as in SciPy.) Nor is it an error beside integers, which SciPy's choice of a method makes it.
- float16 of two and more dimensions is taken whatever its size.
- An empty image with boundary "wrap" is an error. `sepfir2d` with a filter longer than the image has a result.
- A kernel as large as its image takes seconds, whatever the boundary.
- Masked arrays are refused, because their mask would be ignored. Where SciPy is patched, the original takes them.
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import costs, methods
from fastconv.arguments.boundaries import SIGNAL as BOUNDARIES
from fastconv.arguments.correlation import Options, OuterProduct, correlation_arguments, placed
from fastconv.arguments.signals import (
    as_length,
    as_mode,
    axes_of,
    data_of,
    dtypes_of,
    fill_of,
    in_floats,
    needs_swap,
    outputs,
    reversed_conj,
)
from fastconv.arguments.values import as_array, is_finite, left_to_scipy, unrepeated
from fastconv.convolved import batch_convolved, fewest_taps, is_fast, partly_convolved
from fastconv.plans import planned
from fastconv.sums import answered
from fastconv.typing import ConvMethod, IntOrTuple, Mode, SignalBoundary

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "oaconvolve",
    "sepfir2d",
]

__getattr__ = left_to_scipy("signal", "what correlates and convolves of scipy.signal")

METHODS = {"auto": "auto", "direct": "direct", "fft": "auto"}


# ---- two dimensions, with a boundary --------------------------------------------------------------


@planned(in1="either")
def correlate2d(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", boundary: SignalBoundary = "fill", fillvalue: complex = 0
) -> Any:
    """`scipy.signal.correlate2d`: 2-D cross-correlation, with a boundary.

    ``z[i, j] = sum(in1[i+a-h', j+b-w'] * conj(in2[a, b]))``, the corner h', w' being that of `mode`.

    Parameters
    ----------
    in1, in2 : array_like, shape (H, W) and (h, w)
        Integers, float32, float64, complex64, complex128 and long double.
    mode : {"full", "same", "valid"}
        All (H+h-1, W+w-1) outputs; the (H, W) ones that begin at ``(h//2, w//2)`` of those; those whose window lies
        inside in1. With "valid" the arguments are swapped if in2 is the larger one, and the result is reversed (but,
        as in SciPy, not conjugated).
    boundary : {"fill", "wrap", "symm"}
        How in1 continues: with `fillvalue`, periodically, or mirrored on its edge; "pad", "circular" and "symmetric"
        are other names for the same.
    fillvalue : scalar

    Returns
    -------
    ndarray
        Of the dtype ``np.result_type(in1, in2)``; integers wrap.

    Raises
    ------
    ValueError
        Arrays that are not 2-D, of bool, float16 or no numbers; unknown names; "valid" where neither fits into the
        other; a fillvalue that is no scalar or does not fit into the dtype.

    See Also
    --------
    fastconv.corr2d : the same sums without SciPy's conventions, with strides, dilations, masks and threads.

    Examples
    --------
    >>> from fastconv.signal import correlate2d
    >>> correlate2d([[1, 2], [3, 4]], [[1, 10], [100, 1000]], mode="valid")
    array([[4321]])
    >>> correlate2d([[1, 2, 3]], [[1, 1, 1]], mode="same", boundary="wrap")
    array([[6, 6, 6]])
    """
    return _correlate2d(in1, in2, mode, boundary, fillvalue, "correlate2d")


@planned(in1="either")
def convolve2d(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", boundary: SignalBoundary = "fill", fillvalue: complex = 0
) -> Any:
    """`scipy.signal.convolve2d`: 2-D convolution, with a boundary.

    As `correlate2d`, with in2 flipped and not conjugated; "same" begins at ``((h-1)//2, (w-1)//2)`` of "full".

    Parameters
    ----------
    in1, in2 : array_like, shape (H, W) and (h, w)
    mode : {"full", "same", "valid"}
    boundary : {"fill", "wrap", "symm"}
    fillvalue : scalar

    Examples
    --------
    >>> from fastconv.signal import convolve2d
    >>> convolve2d([[1, 2]], [[1, 10]])
    array([[ 1, 12, 20]])
    """
    return _correlate2d(in1, in2, mode, boundary, fillvalue, "convolve2d")


def _correlate2d(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any, what: str) -> Any:
    flips = what == "convolve2d"
    x = in1 if type(in1) is np.ndarray else as_array(in1, "in1")
    k = in2 if type(in2) is np.ndarray else as_array(in2, "in2")
    if not x.ndim == k.ndim == 2:
        raise ValueError(f"{what} inputs must both be 2-D arrays; in1 has {x.ndim} and in2 {k.ndim} dimensions")
    as_mode(mode)
    swapped = needs_swap(mode, x.shape, k.shape)
    if swapped:
        x, k = k, x
    if not isinstance(boundary, str) or boundary not in BOUNDARIES:
        raise ValueError(
            "Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm'); "
            f"got {boundary!r}"
        )
    name = BOUNDARIES[boundary]
    dtype = x.dtype if x.dtype is k.dtype else np.result_type(x, k)
    if dtype.kind not in "iufc" or dtype.char == "e":
        raise ValueError(f"{what} not available for this type, {dtype}: {dtypes_of(x, k)}")
    fill = fill_of(fillvalue, dtype) if name == "constant" and (type(fillvalue) is not int or fillvalue != 0) else 0
    if mode == "full" and 0 in x.shape and 0 in k.shape:
        raise ValueError("in1 and in2 are both empty: negative dimensions are not allowed")
    if mode != "valid" and 0 in x.shape and name != "constant":
        raise ValueError(f"in1 is empty, of shape {x.shape}, and cannot continue by boundary {boundary!r}")
    if not flips:
        k = reversed_conj(k)
    start, out = outputs(mode, x.shape, k.shape)
    if mode == "same" and not flips:
        start = tuple(m // 2 for m in k.shape)
    answer = partly_convolved(x, k, start, out, dtype, "auto", (name,) * 2, fill, what, data_of(x, in1, in2))
    return answer.then(_turned) if swapped and not flips else answer


def _turned(result: NDArray[Any]) -> NDArray[Any]:
    return result[::-1, ::-1]


@planned(input="data", hrow="taps", hcol="taps")
def sepfir2d(input: ArrayLike, hrow: ArrayLike, hcol: ArrayLike) -> Any:
    """`scipy.signal.sepfir2d`: convolution with hrow along the rows and hcol down the columns, mirrored at the edges.

    Parameters
    ----------
    input : array_like, shape (H, W)
    hrow, hcol : array_like, 1-D, of odd length
        May be longer than the image (SciPy then crashes).

    Returns
    -------
    ndarray, shape (H, W)
        float32 for float16 and float32, float64 for integers; complex for complex input.

    Raises
    ------
    ValueError
        An image that is not 2-D, filters that are not 1-D or of even length.
    TypeError
        Complex filters of a real image.

    Examples
    --------
    >>> from fastconv.signal import sepfir2d
    >>> sepfir2d([[1, 2, 3]], [1, 10, 100], [1])
    array([[112., 123., 233.]])
    """
    x, factors = as_array(input, "input"), (as_array(hcol, "hcol"), as_array(hrow, "hrow"))
    if x.dtype.kind in "mMV":
        raise TypeError(f"sepfir2d not available for this type, input has dtype {x.dtype}")
    dtype = np.result_type(x, np.float32)
    checks = ("input", x, input, 2), ("hcol", factors[0], hcol, 1), ("hrow", factors[1], hrow, 1)
    for name, array, given, ndim in checks:
        if array.ndim != ndim:
            depth = "object too deep" if array.ndim > ndim else "object of too small depth"
            raise ValueError(f"{depth}: {name} must have {ndim} dimension{'s'[: ndim > 1]}; got shape {array.shape}")
        if array.dtype.kind == "c" and x.dtype.kind != "c":
            raise TypeError(f"{name} is complex, but input is {x.dtype}")
        if ndim == 1 and isinstance(given, np.ndarray) and not np.can_cast(given.dtype, dtype):
            raise TypeError(f"{name} has dtype {given.dtype}, which does not fit into that of the result, {dtype}")
        if ndim == 1 and array.size % 2 == 0:
            raise ValueError(f"hrow and hcol must be odd length; {name} has length {array.size}")
    if not is_fast(dtype):
        raise (TypeError if dtype.kind == "c" else ValueError)(f"sepfir2d not available for this type, {x.dtype}")
    col, row = (factor.astype(dtype) for factor in factors)
    at_once = dtype.kind == "f" and x.size > 0 and max(col.size, row.size) < costs.CROSSOVERS["fft taps"]
    with np.errstate(all="ignore"):  # one pass has the products of taps, which may be beyond the range
        at_once = at_once and bool(np.isfinite(np.outer(col, row)).all())
    if at_once:
        image = x.astype(dtype, copy=False) if x.dtype.kind == "f" else x
        options = Options("same", "symmetric")
        c = correlation_arguments(2, image, OuterProduct(col[::-1], row[::-1]), options)
        return answered(c, "separable", None, "sepfir2d", x)
    along = convolve2d(x.astype(dtype, copy=False), row[None], "same", "symm")
    return convolve2d(along, col[:, None], "same", "symm")


# ---- any dimensions, zeros around -----------------------------------------------------------------


@planned(in1="either")
def correlate(in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", method: ConvMethod = "auto") -> Any:
    """`scipy.signal.correlate`: cross-correlation in any number of dimensions, zeros around.

    Parameters
    ----------
    in1, in2 : array_like, of equal number of dimensions
    mode : {"full", "same", "valid"}
        As in `correlate2d`, but that "same" begins at ``(n-1)//2`` of "full", n being the length of in2 along an axis;
        and where "valid" swaps, the result is reversed and conjugated.
    method : {"auto", "direct", "fft"}
        "direct" sums tap by tap. Otherwise the fastest method that `fastconv.corr2d` has, never less exact than
        SciPy's transforms: integers are exact, and what is not finite stays in its window.

    Returns
    -------
    ndarray
        Of the dtype ``np.result_type(in1, in2)``; integers wrap.

    Raises
    ------
    ValueError
        Unequal numbers of dimensions; unknown names; empty arrays; "valid" where neither fits into the other.

    Examples
    --------
    >>> from fastconv.signal import correlate
    >>> correlate([1, 2, 3], [0, 1, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    return _convolve(in1, in2, reversed_conj(as_array(in2, "in2")), mode, method)


@planned(in1="either")
def convolve(in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", method: ConvMethod = "auto") -> Any:
    """`scipy.signal.convolve`: convolution in any number of dimensions, zeros around.

    As `correlate`, with in2 flipped and not conjugated.

    Parameters
    ----------
    in1, in2 : array_like
    mode : {"full", "same", "valid"}
    method : {"auto", "direct", "fft"}

    Examples
    --------
    >>> from fastconv.signal import convolve
    >>> convolve([1, 2, 3], [0, 1, 0.5], mode="same")
    array([1. , 2.5, 4. ])
    """
    return _convolve(in1, in2, as_array(in2, "in2"), mode, method)


def _convolve(in1: Any, in2: Any, k: NDArray[Any], mode: Any, method: Any) -> Any:
    x = as_array(in1, "in1")
    if x.ndim != k.ndim:
        raise ValueError(f"in1 and in2 should have the same dimensionality; got {x.ndim} and {k.ndim} dimensions")
    as_mode(mode)
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"Acceptable method flags are 'auto', 'direct', or 'fft'; got {method!r}")
    if x.ndim == 0:
        return x * k
    if needs_swap(mode, x.shape, k.shape):
        x, k = k, x
    if method == "fft" and not (is_finite(unrepeated(x)) and is_finite(k)):
        warnings.warn(
            "Use of fft convolution on input with NAN or inf: SciPy's would spread it over the whole result",
            RuntimeWarning,
            stacklevel=3,
        )
    dtype = np.result_type(x, k)
    if x.ndim > 1 and ((dtype.kind == "b" and method != "fft") or (dtype == np.float16 and method == "direct")):
        raise ValueError(f"Unsupported type {dtype}: {dtypes_of(x, k)}")
    if (not x.size or not k.size) and (x.ndim == 1 or mode == "full" or (mode == "same" and x.size)):
        raise ValueError(f"in1 and in2 cannot be empty; got shapes {x.shape} and {k.shape}")
    if dtype.kind not in "biufcO":
        are_words = dtype.kind in "SU" and (method == "direct" or x.dtype.kind == k.dtype.kind)
        raise (ValueError if are_words else TypeError)(f"Unsupported type {dtype}: {dtypes_of(x, k)}")
    if mode == "full" and k.size > x.size:
        x, k = k, x
    start, out = outputs(mode, x.shape, k.shape)
    asked = data_of(x, in1, in2) if method != "fft" else None  # transforms warn of some elements
    return partly_convolved(x, k, start, out, dtype, METHODS[method], asked=asked)


@planned(in1="either")
def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", axes: IntOrTuple | None = None) -> Any:
    """`scipy.signal.fftconvolve`: convolution along some axes, in floats.

    Despite its name it is computed by the fastest method, transforms or not.

    Parameters
    ----------
    in1, in2 : array_like, of equal number of dimensions
        Along other axes than `axes` their lengths agree, or one of them is 1.
    mode : {"full", "same", "valid"}
        As in `convolve`.
    axes : int or sequence of int, optional
        Default all.

    Returns
    -------
    ndarray
        Floats: integers become float64, float16 becomes float32 (but where every axis has length 1 in one of them, the
        product keeps its dtype).

    Raises
    ------
    ValueError
        Unequal numbers of dimensions, lengths that do not agree, unknown names, axes that are empty, repeated or out of
        range.

    Examples
    --------
    >>> from fastconv.signal import fftconvolve
    >>> fftconvolve([[1, 2, 3], [4, 5, 6]], [[1, 1]], axes=1)
    array([[ 1.,  3.,  5.,  3.],
           [ 4.,  9., 11.,  6.]])
    """
    x, k = as_array(in1, "in1"), as_array(in2, "in2")
    if x.ndim != k.ndim:
        raise ValueError(f"in1 and in2 should have the same dimensionality; got {x.ndim} and {k.ndim} dimensions")
    if x.ndim == 0:
        return x * k
    if x.size == 0 or k.size == 0:
        return np.array([])
    slides = axes_of(axes, x.ndim)
    along = [a for a in slides if x.shape[a] != 1 and k.shape[a] != 1]
    if any(n != m and 1 not in (n, m) for a, (n, m) in enumerate(zip(x.shape, k.shape, strict=True)) if a not in along):
        along_these = "" if axes is None else f"; axes is {axes!r}"
        raise ValueError(f"incompatible shapes for in1 and in2: {x.shape} and {k.shape}{along_these}")
    as_mode(mode, "acceptable mode flags are 'valid', 'same', or 'full'")
    if needs_swap(mode, [x.shape[a] for a in along], [k.shape[a] for a in along]):
        x, k = k, x
    if mode == "full" and math.prod(k.shape[a] for a in along) > math.prod(x.shape[a] for a in along):
        x, k = k, x
    asked = data_of(x, in1, in2)
    if along:
        x, k = in_floats(x), in_floats(k)
    dtype = np.result_type(x, k)
    if len(along) == x.ndim:
        start, out = outputs(mode, x.shape, k.shape)
        return partly_convolved(x, k, start, out, dtype, asked=asked)
    batch = [a for a in range(x.ndim) if a not in along]
    shape = np.broadcast_shapes([x.shape[a] for a in batch], [k.shape[a] for a in batch])
    start, out = outputs(mode, [x.shape[a] for a in along], [k.shape[a] for a in along])
    order = [*batch, *along]
    taps = k if (k is in1 or k is in2) and order == sorted(order) else None
    arrays = x.transpose(order), k.transpose(order)
    answer = batch_convolved(*arrays, shape, start, out, dtype, "fftconvolve", asked, taps)
    back = functools.partial(_placed_back, order=np.argsort(order).tolist(), shape=x.shape if mode == "same" else None)
    return answer.then(back)


def _placed_back(result: NDArray[Any], order: Sequence[int], shape: tuple[int, ...] | None) -> NDArray[Any]:
    """The result with its axes in this order; axes that only one array has keep the length that in1 has, if given."""
    result = result.transpose(order)
    if shape is None or result.shape == shape:
        return result
    return result[tuple([slice((m - n) // 2, (m - n) // 2 + n) for n, m in zip(shape, result.shape, strict=True)])]


@planned(in1="either")
def oaconvolve(in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", axes: IntOrTuple | None = None) -> Any:
    """`scipy.signal.oaconvolve`: another name for `fftconvolve`, which cuts long signals into tiles by itself.

    Parameters
    ----------
    in1, in2 : array_like
    mode : {"full", "same", "valid"}
    axes : int or sequence of int, optional

    Examples
    --------
    >>> from fastconv.signal import oaconvolve
    >>> oaconvolve([1.0, 2.0, 3.0], [1.0, 1.0], mode="valid")
    array([3., 5.])
    """
    return fftconvolve(in1, in2, mode, axes)


def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", measure: bool = False
) -> str | tuple[str, dict[str, float]]:
    """`scipy.signal.choose_conv_method`: whether `convolve` transforms or sums tap by tap.

    Parameters
    ----------
    in1, in2 : array_like
    mode : {"full", "same", "valid"}
    measure : bool
        Time both instead of estimating.

    Returns
    -------
    method : {"fft", "direct"}
        "fft" where transforms are expected to be faster and are as exact as SciPy's: never for bool and long double,
        nor for integers whose sums float64 cannot tell apart.
    times : dict
        Seconds of both methods; only if `measure`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.signal import choose_conv_method
    >>> choose_conv_method(np.ones(8), np.ones(6)), choose_conv_method(np.ones(10**6), np.arange(5000.0))
    ('direct', 'fft')
    """
    x, k = as_array(in1, "in1"), as_array(in2, "in2")
    try:
        is_timed = bool(measure)
    except (TypeError, ValueError):
        raise ValueError(f"measure must be True or False; got {measure!r}") from None
    if is_timed:
        times = {name: _seconds(x, k, mode, name) for name in ("fft", "direct")}
        return min(times, key=times.__getitem__), times
    as_mode(mode)
    if x.ndim != k.ndim or not 1 <= x.ndim <= 3 or not is_fast(np.result_type(x, k)):
        return "direct"
    if needs_swap(mode, x.shape, k.shape):
        x, k = k, x
    start, out = outputs(mode, x.shape, k.shape)
    x, k, start = fewest_taps(x, k, start, out, multiplies_zeros=False)
    c = placed(x, np.flip(k), [m - 1 - s for m, s in zip(k.shape, start, strict=True)], out, np.result_type(x, k))
    return "fft" if methods.choose(c, "auto").method == "fft" else "direct"


def _seconds(x: NDArray[Any], k: NDArray[Any], mode: Any, method: Any) -> float:
    best = math.inf
    for _ in range(3):
        begin = time.perf_counter()
        convolve(x, k, mode, method)
        best = min(best, time.perf_counter() - begin)
    return best


def correlation_lags(in1_len: int, in2_len: int, mode: Mode = "full") -> NDArray[np.int_]:
    """`scipy.signal.correlation_lags`: by how much in2 is shifted against in1 in each output of `correlate`.

    Parameters
    ----------
    in1_len, in2_len : int
        Lengths of the signals.
    mode : {"full", "same", "valid"}

    Returns
    -------
    ndarray of int

    Raises
    ------
    ValueError
        Another mode.

    Examples
    --------
    >>> from fastconv.signal import correlate, correlation_lags
    >>> correlation_lags(4, 2)
    array([-1,  0,  1,  2,  3])
    >>> int(correlation_lags(5, 3)[correlate([0, 0, 0, 2, 1], [0, 2, 1]).argmax()])
    2
    """
    as_mode(mode, f"Mode {mode} is invalid: it must be 'valid', 'same' or 'full'")
    as_length(in1_len, "in1_len"), as_length(in2_len, "in2_len")
    if mode == "valid":
        return np.arange(min(in1_len - in2_len, 0), max(in1_len - in2_len, 0) + 1)
    lags = np.arange(1 - in2_len, in1_len)
    if mode == "full":
        return lags
    first = lags.size // 2 - in1_len // 2
    return lags[first : first + in1_len]
