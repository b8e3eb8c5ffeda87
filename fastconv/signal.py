# SPDX-License-Identifier: BSD-3-Clause
"""Drop-in for the functions of `scipy.signal` that correlate and convolve: their names, arguments, dtypes and errors.

``from fastconv.signal import correlate2d`` instead of ``from scipy.signal import correlate2d`` is the only change. What
SciPy does with the arguments (which one slides over the other, where "same" begins, which dtype comes out) is here; the
sums are those of `fastconv.corr1d`, `corr2d` and `corr3d`, over as many elements as the outputs need.

Results differ from SciPy's only where that loses data or does what C leaves undefined:

- A fillvalue that does not fit is an error, also where SciPy wraps it.
- Transforms never round integers.
- What is not finite spoils only the outputs that have a product with it. (In `correlate2d` and `convolve2d` products
  with the fill count, as in SciPy.)
- float16 of two and more dimensions is taken whatever its size.
- An empty image with boundary "wrap" is an error. `sepfir2d` with a filter longer than the image has a result.
- A kernel as large as its image takes seconds, whatever the boundary.
- Masked arrays are refused, because their mask would be ignored. Where SciPy is patched, the original takes them.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import costs, methods
from fastconv.arguments.axes import MODES
from fastconv.arguments.boundaries import SIGNAL as BOUNDARIES
from fastconv.arguments.correlation import placed
from fastconv.arguments.values import as_array, left_to_scipy
from fastconv.correlation import answered, run, summed
from fastconv.plans import Answer, planned
from fastconv.reference.correlation import slide
from fastconv.runtime import _core, checking, get_num_threads
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
        raise ValueError(f"{what} inputs must both be 2-D arrays; got {x.ndim} and {k.ndim} dimensions")
    swapped = _needs_swap(mode, x.shape, k.shape)
    if swapped:
        x, k = k, x
    if mode not in MODES:
        raise ValueError(f"Acceptable mode flags are 'valid', 'same', or 'full'; got {mode!r}")
    if boundary not in BOUNDARIES:
        raise ValueError(
            "Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm'); "
            f"got {boundary!r}"
        )
    name = BOUNDARIES[boundary]
    dtype = x.dtype if x.dtype is k.dtype else np.result_type(x, k)
    if dtype.kind not in "iufc" or dtype.char == "e":
        raise ValueError(f"{what} not available for this type, {dtype}: {_types(x, k)}")
    fill = _fillvalue(fillvalue, dtype) if name == "constant" and (type(fillvalue) is not int or fillvalue != 0) else 0
    if mode == "full" and 0 in x.shape and 0 in k.shape:
        raise ValueError("in1 and in2 are both empty: negative dimensions are not allowed")
    if mode != "valid" and 0 in x.shape and name != "constant":
        raise ValueError(f"in1 is empty, of shape {x.shape}, and cannot continue by boundary {boundary!r}")
    if not flips:
        k = _reversed_conj(k)
    start, out = _outputs(mode, x.shape, k.shape)
    if mode == "same" and not flips:
        start = tuple(m // 2 for m in k.shape)
    answer = _answered(x, k, start, out, dtype, "auto", (name,) * 2, fill, what, _data(x, in1, in2))
    return answer.then(_turned) if swapped and not flips else answer


def _turned(result: NDArray[Any]) -> NDArray[Any]:
    return result[::-1, ::-1]


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
    if not _is_fast(dtype):
        raise (TypeError if dtype.kind == "c" else ValueError)(f"sepfir2d not available for this type, {x.dtype}")
    col, row = (factor.astype(dtype) for factor in factors)
    down = convolve2d(x.astype(dtype, copy=False), col[:, None], "same", "symm")
    return convolve2d(down, row[None], "same", "symm")


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
    return _convolve(in1, in2, _reversed_conj(as_array(in2, "in2")), mode, method)


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
    if mode not in MODES:
        raise ValueError(f"Acceptable mode flags are 'valid', 'same', or 'full'; got {mode!r}")
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"Acceptable method flags are 'auto', 'direct', or 'fft'; got {method!r}")
    if x.ndim == 0:
        return x * k
    if _needs_swap(mode, x.shape, k.shape):
        x, k = k, x
    if method == "fft" and not (_is_finite(x) and _is_finite(k)):
        warnings.warn(
            "Use of fft convolution on input with NAN or inf: SciPy's would spread it over the whole result",
            RuntimeWarning,
            stacklevel=3,
        )
    dtype = np.result_type(x, k)
    if x.ndim > 1 and ((dtype.kind == "b" and method != "fft") or (dtype == np.float16 and method == "direct")):
        raise ValueError(f"Unsupported type {dtype}: {_types(x, k)}")
    if (not x.size or not k.size) and (x.ndim == 1 or mode == "full" or (mode == "same" and x.size)):
        raise ValueError(f"in1 and in2 cannot be empty; got shapes {x.shape} and {k.shape}")
    if dtype.kind not in "biufcO":
        are_words = dtype.kind in "SU" and (method == "direct" or x.dtype.kind == k.dtype.kind)
        raise (ValueError if are_words else TypeError)(f"Unsupported type {dtype}: {_types(x, k)}")
    if mode == "full" and k.size > x.size:
        x, k = k, x
    start, out = _outputs(mode, x.shape, k.shape)
    asked = _data(x, in1, in2) if method != "fft" else None  # transforms warn of some elements
    return _answered(x, k, start, out, dtype, METHODS[method], asked=asked)


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
    slides = _axes(axes, x.ndim)
    along = [a for a in slides if x.shape[a] != 1 and k.shape[a] != 1]
    if any(n != m and 1 not in (n, m) for a, (n, m) in enumerate(zip(x.shape, k.shape, strict=True)) if a not in along):
        raise ValueError(f"incompatible shapes for in1 and in2: {x.shape} and {k.shape}")
    if mode not in MODES:
        raise ValueError(f"acceptable mode flags are 'valid', 'same', or 'full'; got {mode!r}")
    if _needs_swap(mode, [x.shape[a] for a in along], [k.shape[a] for a in along]):
        x, k = k, x
    if mode == "full" and len(along) == x.ndim and k.size > x.size:
        x, k = k, x
    asked = _data(x, in1, in2)
    if along:
        x, k = _floats(x), _floats(k)
    dtype = np.result_type(x, k)
    if len(along) == x.ndim:
        start, out = _outputs(mode, x.shape, k.shape)
        return _answered(x, k, start, out, dtype, asked=asked)
    batch = [a for a in range(x.ndim) if a not in along]
    shape = np.broadcast_shapes([x.shape[a] for a in batch], [k.shape[a] for a in batch])
    start, out = _outputs(mode, [x.shape[a] for a in along], [k.shape[a] for a in along])
    result = _batch_convolved(x.transpose(*batch, *along), k.transpose(*batch, *along), shape, start, out, dtype)
    result = result.transpose(np.argsort([*batch, *along]))
    if mode == "same":  # an axis that only one of them has keeps the length of in1
        result = result[
            tuple(slice((m - n) // 2, (m - n) // 2 + n) for n, m in zip(x.shape, result.shape, strict=True))
        ]
    return result


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
    if measure:
        times = {name: _seconds(x, k, mode, name) for name in ("fft", "direct")}
        return min(times, key=times.__getitem__), times
    if mode not in MODES:
        raise ValueError(f"Acceptable mode flags are 'valid', 'same', or 'full', not mode={mode}")
    if x.ndim != k.ndim or not 1 <= x.ndim <= 3 or not _is_fast(np.result_type(x, k)):
        return "direct"
    if _needs_swap(mode, x.shape, k.shape):
        x, k = k, x
    start, out = _outputs(mode, x.shape, k.shape)
    x, k, start = _fewest_taps(x, k, start, out, multiplies_zeros=False)
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
    if mode not in MODES:
        raise ValueError(f"Mode {mode} is invalid: it must be 'valid', 'same' or 'full'")
    if mode == "valid":
        return np.arange(min(in1_len - in2_len, 0), max(in1_len - in2_len, 0) + 1)
    lags = np.arange(1 - in2_len, in1_len)
    if mode == "full":
        return lags
    first = lags.size // 2 - in1_len // 2
    return lags[first : first + in1_len]


# ---- arguments ------------------------------------------------------------------------------------


def _reversed_conj(k: NDArray[Any]) -> NDArray[Any]:
    reverse: tuple[Any, ...] = (..., *(slice(None, None, -1),) * k.ndim)  # an array, also of no dimensions
    k = k[reverse]
    return k.conj() if k.dtype.kind == "c" else k


def _needs_swap(mode: Any, x: Sequence[int], k: Sequence[int]) -> bool:
    """Whether in2 is the one that in1 fits into, for "valid"."""
    if mode != "valid" or all(n >= m for n, m in zip(x, k, strict=True)):
        return False
    if all(n <= m for n, m in zip(x, k, strict=True)):
        return True
    raise ValueError(
        "For 'valid' mode, one must be at least as large as the other in every dimension; "
        f"got shapes {tuple(x)} and {tuple(k)}"
    )


def _outputs(mode: str, x: Sequence[int], k: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(first one, how many) of the outputs of a whole convolution, along each axis."""
    pairs = list(zip(x, k, strict=True))
    if mode == "full":
        return (0,) * len(pairs), tuple(max(n + m - 1, 0) for n, m in pairs)
    if mode == "same":
        return tuple(max(m - 1, 0) // 2 for _, m in pairs), tuple(n for n, _ in pairs)
    return tuple(m - 1 for _, m in pairs), tuple(n - m + 1 for n, m in pairs)


def _axes(axes: Any, ndim: int) -> list[int]:
    if axes is None:
        return list(range(ndim))
    numbers = list(axes) if np.iterable(axes) else [axes]
    if not all(isinstance(a, (int, np.integer)) for a in numbers):
        raise ValueError(f"axes must be a scalar or iterable of integers; got {axes!r}")
    if not numbers:
        raise ValueError("when provided, axes cannot be empty")
    if any(not -ndim <= a < ndim for a in numbers):
        raise ValueError(f"axes exceeds dimensionality of input, {ndim}; got {axes!r}")
    moved = [int(a) % ndim for a in numbers]
    if len(set(moved)) != len(moved):
        raise ValueError(f"all axes must be unique; got {axes!r}")
    return moved


def _fillvalue(value: Any, dtype: np.dtype[Any]) -> complex:
    """As SciPy casts it: fractions of integers are cut off, None is NaN, and what does not fit is an error."""
    fill = np.asarray(value)
    if fill.size != 1:
        raise ValueError(f"`fillvalue` must be scalar or an array with one element; got shape {fill.shape}")
    item: Any = math.nan if value is None else fill.reshape(()).item()
    if isinstance(item, bytes):
        item = item.decode(errors="replace")
    try:  # integers as exact as they were given
        number: Any = item if isinstance(item, int) and dtype.kind in "iu" else complex(item)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"fillvalue must be a number that {dtype} holds; got {value!r}") from None
    fits = not (isinstance(value, np.ndarray) and not np.can_cast(fill.dtype, dtype))
    if dtype.kind != "c":
        fits = fits and not number.imag
        number = number.real
    if fits and dtype.kind in "iu":
        info = np.iinfo(dtype)
        fits = math.isfinite(number) and info.min <= int(number) <= info.max
    if not fits:
        raise ValueError(f"could not cast `fillvalue` directly to the output type, {dtype}; got {value!r}")
    return int(number) if dtype.kind in "iu" else number


def _types(x: NDArray[Any], k: NDArray[Any]) -> str:
    return f"the arrays in1 and in2 have dtypes {x.dtype} and {k.dtype}, numbers are taken"


def _floats(a: NDArray[Any]) -> NDArray[Any]:
    if a.dtype.kind in "fc":
        return a.astype(np.float32) if a.dtype.itemsize == 2 else a
    if a.dtype.kind in "mM":
        raise TypeError(f"an input has dtype {a.dtype}; numbers are supported")
    return a.astype(np.float64)


def _data(x: NDArray[Any], in1: Any, in2: Any) -> Any:
    """The argument that x is, if it is the larger one: the next call may have other elements there."""
    if type(in1) is type(in2) is np.ndarray and x is (in1 if in1.size >= in2.size else in2):
        return x
    return None


# ---- sums -----------------------------------------------------------------------------------------


def _is_fast(dtype: np.dtype[Any]) -> bool:
    """Whether `fastconv.corr2d` computes in it; all else is summed tap by tap in NumPy."""
    return dtype.kind in "iu" or (dtype.kind in "fc" and np.empty(0, dtype).real.dtype.itemsize <= 8)


def _is_finite(a: NDArray[Any]) -> bool:
    return a.dtype.kind not in "fc" or bool(np.isfinite(a).all())


def _convolved(
    x: NDArray[Any],
    k: NDArray[Any],
    start: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    method: str = "auto",
) -> NDArray[Any]:
    """As `_answered`, however little there is to do."""
    result: NDArray[Any] = _answered(x, k, start, out, dtype, method, may_be_little=False).result
    return result


def _answered(
    x: NDArray[Any],
    k: NDArray[Any],
    start: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    method: str = "auto",
    boundaries: tuple[str, ...] | None = None,
    fill: complex = 0,
    what: str = "convolve",
    asked: Any = None,
    *,
    may_be_little: bool = True,
) -> Answer:
    """Outputs `start` ... of the whole convolution of x and k, `out` along each axis; leading axes of x are a batch.

    asked: what x is, or a copy of as floats; it may have any elements the next time.
    """
    dtype = dtype.newbyteorder("=")
    if 0 in out or not x.size or not k.size:
        return Answer(np.full((*x.shape[: x.ndim - k.ndim], *out), k.sum() * fill if fill else 0).astype(dtype))
    if dtype.kind == "b":
        return Answer(
            _convolved(x.astype(np.uint8), k.astype(np.uint8), start, out, np.dtype(np.int64), method).astype(bool)
        )
    is_little = may_be_little and x.size * k.size < costs.PLAIN_BELOW and x.ndim == k.ndim <= 3 and _is_fast(dtype)
    if is_little and boundaries is None:
        is_little = _is_finite(k)  # products with the zeros around are zero
    lead = tuple(m - 1 - first for m, first in zip(k.shape, start, strict=True))
    if is_little and dtype.kind == "c" and fill == 0 and k.ndim < 3 and _core is not None and not checking.get():
        return _complex_at_once(x, np.flip(k), lead, out, dtype, boundaries, asked)
    if dtype.kind in "fc" and _is_fast(dtype):  # 64-bit integers of both signs have a float in common
        x, k = (a.astype(dtype) if a.dtype.kind in "iu" and a.dtype.itemsize == 8 else a for a in (x, k))
    if not is_little or dtype.kind == "c":
        is_real_fill = np.imag(fill) == 0 and np.isfinite(fill)
        if dtype.kind == "c" and not (is_real_fill and _is_finite(k) and _is_finite(x)):
            x, k = x.astype(dtype), k.astype(dtype)  # NaN times 0j is NaN
        if boundaries is None or (fill == 0 and set(boundaries) == {"constant"}):
            x, k, start = _fewest_taps(x, k, start, out, multiplies_zeros=boundaries is not None)
        if boundaries is None and not _is_finite(k):
            return Answer(_convolved_apart(x, k, start, out, dtype, method))
        lead = tuple(m - 1 - first for m, first in zip(k.shape, start, strict=True))
        if k.ndim > 3:
            return Answer(_sum_of_volumes(x, np.flip(k), lead, out, dtype, method))
    elif not x.dtype == k.dtype == dtype:
        method = "direct"
    c = placed(x, np.flip(k), lead, out, dtype, boundaries, fill)
    if not _is_fast(dtype):
        return Answer(slide(c, x.astype(dtype), c.k.astype(dtype), dtype))
    floats = methods.as_floats(c) if dtype.kind in "iu" and not checking.get() else None
    if floats is not None:
        return Answer(*summed(floats, methods.Choice("direct", "", casts=True), get_num_threads(), asked, True))
    return answered(c, method, None, what, asked)


def _convolved_apart(
    x: NDArray[Any], k: NDArray[Any], start: Sequence[int], out: Sequence[int], dtype: np.dtype[Any], method: str
) -> NDArray[Any]:
    """`_convolved` where taps are not finite, zeros being around x: products with those zeros would be NaN.

    The sums of what is finite; then NaN or an infinity where a product is one. Elements under no tap are no product.
    """
    if dtype.kind == "c":
        part = x.real.dtype
        rr, ri, ir, ii = (
            _convolved(a, b, start, out, part, method) for a in (x.real, x.imag) for b in (k.real, k.imag)
        )
        both = np.empty(rr.shape, dtype)
        with np.errstate(invalid="ignore"):
            both.real, both.imag = rr - ii, ri + ir
        return both

    def meets(elements: NDArray[np.bool], taps: NDArray[np.bool]) -> NDArray[np.bool]:
        if not (elements.any() and taps.any()):
            return np.zeros(result.shape, bool)
        pairs = _convolved(elements.astype(np.uint8), taps.astype(np.uint8), start, out, np.dtype(np.int64), method)
        found: NDArray[np.bool] = pairs > 0
        return found

    finite = [np.isfinite(a) for a in (x, k)]
    result = _convolved(np.where(finite[0], x, 0), np.where(finite[1], k, 0), start, out, dtype, method)
    lost = meets(np.isnan(x), ~np.isnan(k)) | meets(np.full(x.shape, True), np.isnan(k))
    lost |= meets(np.isinf(x), k == 0) | meets(x == 0, np.isinf(k))
    signs = [(a > 0, a < 0) for a in (x, k)]
    infinite = []
    for turned in (0, 1):  # products above 0, then below
        pairs = [(signs[0][i], signs[1][i ^ turned]) for i in (0, 1)]
        met = [meets(a & ~finite[0], b) | meets(a & finite[0], b & ~finite[1]) for a, b in pairs]
        infinite.append(met[0] | met[1])
    result[infinite[0]] = np.inf
    result[infinite[1]] = -np.inf
    result[lost | (infinite[0] & infinite[1])] = np.nan
    return result


def _complex_at_once(
    x: NDArray[Any],
    k: NDArray[Any],
    lead: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    boundaries: tuple[str, ...] | None,
    asked: Any,
) -> Answer:
    """A correlation of complex numbers, which are an axis of two elements that a kernel of three slides over.

    out[re] = re * k[re] - im * k[im]                  elements      0  re  im   0
    out[im] = re * k[im] + im * k[re]                  taps          im  re -im    and one further
    """
    assert _core is not None
    y, k = np.empty(tuple(out), dtype), k.astype(dtype)
    parts = [np.moveaxis(a[..., None].view(y.real.dtype), -1, 0) for a in (np.ascontiguousarray(x, dtype), y)]
    taps = np.stack((k.imag, k.real, -k.imag)).reshape((1,) * (2 - k.ndim) + (3, *k.shape))
    names = ("constant", *(boundaries or ("constant",) * k.ndim))
    c = placed(parts[0], taps.reshape(3, *k.shape), (1, *lead), (2, *out), y.real.dtype, names)
    plan = _core.CorrPlan(parts[0], taps, parts[1], c.axes, 0, _core.METHOD["direct"], 1)
    plan(*parts)
    serves = asked is not None and np.may_share_memory(asked, parts[0])
    return Answer(y, plan.serve(asked, parts[0], y) if serves else None)


def _fewest_taps(
    x: NDArray[Any], k: NDArray[Any], start: Sequence[int], out: Sequence[int], *, multiplies_zeros: bool
) -> tuple[NDArray[Any], NDArray[Any], tuple[int, ...]]:
    """x and k without what no output meets, zeros being around x, and the smaller one as the kernel: (x, k, start).

    multiplies_zeros: NaN among the taps makes NaN of those zeros, too, as in SciPy's functions that have a boundary.
    """
    sizes = x.shape[x.ndim - k.ndim :]
    if all(n >= m for n, m in zip(sizes, k.shape, strict=True)):
        return x, k, tuple(start)
    if multiplies_zeros and not (_is_finite(x) and _is_finite(k)):
        return x, k, tuple(start)
    cuts = [_met(n, m, first, last) for n, m, first, last in zip(sizes, k.shape, start, out, strict=True)]
    start = tuple(first - cut.start for first, cut in zip(start, cuts, strict=True))
    k = k[tuple(cuts)]
    cuts = [_met(m, n, first, last) for n, m, first, last in zip(sizes, k.shape, start, out, strict=True)]
    start = tuple(first - cut.start for first, cut in zip(start, cuts, strict=True))
    within: tuple[Any, ...] = (..., *cuts)
    x = x[within]
    return (k, x, start) if x.ndim == k.ndim and x.size < k.size else (x, k, start)


def _met(n: int, m: int, start: int, out: int) -> slice:
    """Which of m taps meet an element of n in outputs start ... start + out of the whole convolution"""
    low = min(max(start - n + 1, 0), m - 1)
    return slice(low, max(min(start + out, m), low + 1))


def _sum_of_volumes(
    x: NDArray[Any], k: NDArray[Any], lead: Sequence[int], out: Sequence[int], dtype: np.dtype[Any], method: str
) -> NDArray[Any]:
    """More than three dimensions: a sum of 3-D correlations, one for each tap of the axes before the last three."""
    first, sums = k.ndim - 3, np.zeros(out, dtype)
    for at in np.ndindex(k.shape[:first]):
        pairs = [(n, size, t - p) for n, size, t, p in zip(x.shape, out, at, lead, strict=False)]
        to = [slice(max(-by, 0), max(min(size, n - by), max(-by, 0))) for n, size, by in pairs]
        under = tuple(slice(s.start + by, s.stop + by) for s, (_, _, by) in zip(to, pairs, strict=True))
        part = x[under]
        if part.size:
            shape = out[first:]
            c = placed(part, k[at], lead[first:], shape, dtype)
            taken = run(c, method, None, "convolve") if _is_fast(dtype) else slide(c, part, k[at], dtype)
            sums[tuple(to)] += taken
    return sums


def _batch_convolved(
    x: NDArray[Any],
    k: NDArray[Any],
    batch: tuple[int, ...],
    start: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """`_convolved` for each element of the leading axes, which x and k are broadcast along."""
    rank = len(out)
    if rank == 0:
        product: NDArray[Any] = (x * k).astype(dtype)
        return product
    if k.size != math.prod(k.shape[k.ndim - rank :]):
        x, k = k, x
    if k.size == math.prod(k.shape[k.ndim - rank :]) and rank <= 3:
        x = np.broadcast_to(x, (*batch, *x.shape[x.ndim - rank :]))
        return _convolved(x, k.reshape(k.shape[k.ndim - rank :]), start, out, dtype)
    x, k = (np.broadcast_to(a, (*batch, *a.shape[a.ndim - rank :])) for a in (x, k))
    result = np.empty((*batch, *out), dtype)
    for at in np.ndindex(batch):
        result[at] = _convolved(x[at], k[at], start, out, dtype)
    return result
