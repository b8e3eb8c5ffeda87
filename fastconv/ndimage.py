# SPDX-License-Identifier: BSD-3-Clause
"""Drop-in for the linear filters of `scipy.ndimage`: their names, arguments, modes, dtypes and errors.

``from fastconv import ndimage`` instead of ``from scipy import ndimage`` is the only change. As in SciPy, results have
the shape of the input, sums are made in float64 and then cast to the dtype of the output. Filters along one axis, and
all that consist of them, add up in SciPy's own order without fused multiply-adds, so results of every dtype are SciPy's
to the bit; so are integer results of `correlate` and `convolve`. Float results of those two come from the fastest
method that `fastconv.corr2d` has, within its bound of the exact sum, unless there is little to do.

Results differ from SciPy's only where that loses data or does what C leaves undefined:

- Means are sums. SciPy's running sum drifts along a line of floats, and is NaN to its end once a NaN has come by.
- `correlate` and `convolve` drop only weights that are 0. SciPy's drop weights up to 2.2e-16 and NaN.
- `correlate1d` compares the differences of mirrored taps with the largest tap. SciPy's takes taps for symmetric that
  differ by 2.2e-16, however small they are.
- Filters of complex data, `laplace`, `gaussian_laplace` and `gaussian_gradient_magnitude` may work in place. SciPy's
  read there what they have written.
- `correlate` and `convolve` of mode "reflect" are those of `correlate1d` also where a kernel reaches beyond an axis by
  four times its length. SciPy's read wrong elements there.
- Bool results are True or False.
- Masked arrays are refused, because their mask would be ignored. Where SciPy is patched, the original takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.filters import (
    Pass,
    as_callable,
    axes_of,
    axis_of,
    boundary_of,
    cut_off,
    each,
    gaussian_taps,
    gaussians,
    integer,
    kernel_of,
    mean,
    number,
    on_every_axis,
    output_of,
    real,
    weighted,
)
from fastconv.arguments.values import as_array, left_to_scipy
from fastconv.combined import by_parts, sum_over_axes
from fastconv.passes import magnitude, passed, slid
from fastconv.plans import Answer, planned
from fastconv.typing import FilterMode, FilterModes, IntOrTuple

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]

__getattr__ = left_to_scipy("ndimage", "the linear filters of scipy.ndimage")

_CENTRAL, _SECOND = np.array([-1.0, 0.0, 1.0]), np.array([1.0, -2.0, 1.0])
_ONE_TWO_ONE, _ONES = np.array([1.0, 2.0, 1.0]), np.array([1.0, 1.0, 1.0])

Output = NDArray[Any] | DTypeLike | None


# ---- one axis -------------------------------------------------------------------------------------


@planned(input="data", weights="taps", output="out")
def correlate1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: int = -1,
    output: Output = None,
    mode: FilterMode = "reflect",
    cval: complex = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.correlate1d`: correlation along one axis.

    Parameters
    ----------
    input : array_like
        Of any number of dimensions; bool, integers, float32, float64, complex64 and complex128.
    weights : array_like, shape (n,)
    axis : int
    output : dtype or ndarray, optional
        The dtype of the result, or where to put it, of the shape of the input; may be the input itself. Default: the
        dtype of the input, complex if the weights are.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}
        How the input continues: ``2 1 | 1 2 3 | 3 2``, ``3 2 | 1 2 3 | 2 1``, ``1 1 | 1 2 3 | 3 3``,
        ``2 3 | 1 2 3 | 1 2``, or with `cval`. (`numpy.pad` and `fastconv.corr2d` call the first one "symmetric" and the
        second one "reflect".) "grid-mirror" is another name for "reflect".
    cval : scalar
    origin : int
        By how many elements the kernel, whose centre is tap ``n // 2``, is moved to the left.

    Returns
    -------
    ndarray
        `output`, if it is an array. Sums are cast as C does: integers are cut off, and wrap.

    Raises
    ------
    RuntimeError
        No weights, an unknown mode, an output of another shape, a dtype that is not supported.
    ValueError
        An origin outside of the kernel, a read-only output, a complex cval for a real input.

    Examples
    --------
    >>> from fastconv.ndimage import correlate1d
    >>> correlate1d([2, 8, 0, 4, 1, 9, 9, 0], weights=[1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    """
    return _along(input, weights, axis, output, mode, cval, origin)


def _along(input: Any, weights: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any) -> Any:
    x, w = as_array(input, "input"), as_array(weights, "weights")
    if w.dtype.kind == "c":
        w = w.conj().astype(np.complex128, copy=False)
        out = output_of(output, x, is_complex=True)
        return by_parts(correlate1d, x, w, out, cval, axis=axis, mode=mode, origin=origin)
    out = output_of(output, x, is_complex=x.dtype.kind == "c")
    return passed(x, [weighted(w, axis, x.ndim, boundary_of(mode), origin)], out, cval)


@planned(input="data", weights="taps", output="out")
def convolve1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: int = -1,
    output: Output = None,
    mode: FilterMode = "reflect",
    cval: complex = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.convolve1d`: convolution along one axis.

    As `correlate1d`, with the weights flipped, the centre of an even kernel at tap ``(n - 1) // 2`` of the flipped one
    and `origin` the other way round.

    Parameters
    ----------
    input : array_like
    weights : array_like, shape (n,)
    axis : int
    output : dtype or ndarray, optional
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}
    cval : scalar
    origin : int
        By how many elements the kernel, flipped, is moved to the right.

    Examples
    --------
    >>> from fastconv.ndimage import convolve1d
    >>> convolve1d([2, 8, 0, 4, 1, 9, 9, 0], weights=[1, 3])
    array([14, 24,  4, 13, 12, 36, 27,  0])
    """
    w = as_array(weights, "weights")
    if w.ndim == 0:
        raise IndexError(f"too few dimensions: weights must have 1 dimension; got {weights!r}")
    w = w[::-1]
    if w.dtype.kind == "c":
        w = w.conj()  # correlate1d does it again
    return _along(input, w, axis, output, mode, cval, -number(origin) - (1 - len(w) % 2))


@planned(input="data", output="out")
def uniform_filter1d(
    input: ArrayLike,
    size: int,
    axis: int = -1,
    output: Output = None,
    mode: FilterMode = "reflect",
    cval: complex = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.uniform_filter1d`: the mean of `size` neighbours along one axis.

    Parameters
    ----------
    size : int
        At least 1.
    input, axis, output, mode, cval, origin
        As for `correlate1d`.

    Raises
    ------
    RuntimeError, ValueError
        As in `correlate1d`; a size below 1.

    Notes
    -----
    Means are sums divided by `size`, of integers exact. SciPy keeps a running sum instead, whose rounding errors add up
    along a line of floats, and which is NaN to the end of the line once a NaN has come by.

    Examples
    --------
    >>> from fastconv.ndimage import uniform_filter1d
    >>> uniform_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    x = as_array(input, "input")
    passes = [mean(size, axis, x.ndim, boundary_of(mode), origin)]
    return passed(x, passes, output_of(output, x, is_complex=x.dtype.kind == "c"), cval)


@planned(input="data", output="out")
def gaussian_filter1d(
    input: ArrayLike,
    sigma: float,
    axis: int = -1,
    order: int = 0,
    output: Output = None,
    mode: FilterMode = "reflect",
    cval: complex = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
) -> Any:
    """`scipy.ndimage.gaussian_filter1d`: a Gaussian, or a derivative of it, along one axis.

    Parameters
    ----------
    sigma : float
        Standard deviation, in elements.
    order : int
        Which derivative; 0 smooths.
    truncate : float
        The kernel reaches so many standard deviations to either side, rounded,
    radius : int, optional
        or so many elements.
    input, axis, output, mode, cval
        As for `correlate1d`.

    Raises
    ------
    RuntimeError, ValueError
        As in `correlate1d`; an order or radius that is negative or no integer.

    Notes
    -----
    Taps are samples of ``exp(-x**2 / (2 sigma**2))``, divided by their sum, times the polynomial q of the derivative:
    that of ``q exp(p)`` is ``(q' + q p') exp(p)`` with ``p' = -x / sigma**2``.

    Examples
    --------
    >>> from fastconv.ndimage import gaussian_filter1d
    >>> gaussian_filter1d([1.0, 2.0, 3.0, 4.0, 5.0], 1).round(4)
    array([1.427 , 2.0678, 3.    , 3.9322, 4.573 ])
    """
    return _along(input, gaussian_taps(sigma, order, truncate, radius), axis, output, mode, cval, 0)


# ---- several axes, one after the other ------------------------------------------------------------


@planned(input="data", output="out")
def gaussian_filter(
    input: ArrayLike,
    sigma: float | Sequence[float],
    order: IntOrTuple = 0,
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    truncate: float = 4.0,
    *,
    radius: IntOrTuple | None = None,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.gaussian_filter`: `gaussian_filter1d` along several axes.

    Parameters
    ----------
    sigma, order, mode, radius : one, or a sequence of one for each axis
        Axes whose sigma is 0 are left as they are.
    axes : int or sequence of int, optional
        Default all.
    input, output, cval, truncate
        As for `gaussian_filter1d`.

    Returns
    -------
    ndarray
        After each axis the result is cast to the dtype of the output, as in SciPy: of integers it is cut off.

    Raises
    ------
    RuntimeError, ValueError
        As in `gaussian_filter1d`; sequences of another length; axes that are out of range or repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import gaussian_filter
    >>> gaussian_filter(np.arange(0, 50, 2).reshape(5, 5), sigma=1)[0]
    array([ 4,  6,  8,  9, 11])
    """
    return _smoothed(input, sigma, order, output, mode, cval, truncate, radius=radius, axes=axes)


def _smoothed(
    input: Any,
    sigma: Any,
    order: Any,
    output: Any,
    mode: Any,
    cval: Any,
    truncate: Any = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> Answer:
    x = as_array(input, "input")
    out = output_of(output, x)
    return passed(x, gaussians(x.ndim, sigma, order, mode, truncate, radius=radius, axes=axes), out, cval)


@planned(input="data", output="out")
def uniform_filter(
    input: ArrayLike,
    size: IntOrTuple = 3,
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    origin: IntOrTuple = 0,
    *,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.uniform_filter`: `uniform_filter1d` along several axes.

    Parameters
    ----------
    size, mode, origin : one, or a sequence of one for each axis
        Axes whose size is 1 or less are left as they are.
    axes : int or sequence of int, optional
        Default all.
    input, output, cval
        As for `uniform_filter1d`.

    Returns
    -------
    ndarray
        After each axis the result is cast to the dtype of the output, as in SciPy.

    Raises
    ------
    RuntimeError, ValueError
        As in `uniform_filter1d`; sequences of another length; axes that are out of range or repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import uniform_filter
    >>> uniform_filter(np.arange(9.0).reshape(3, 3), 3)[1]
    array([3.33333333, 4.        , 4.66666667])
    """
    x = as_array(input, "input")
    out = output_of(output, x, is_complex=x.dtype.kind == "c")
    over = axes_of(axes, x.ndim)
    columns = [each(v, len(over), name) for name, v in (("size", size), ("origin", origin), ("mode", mode))]
    passes = [
        mean(cut_off(s, "size"), a, x.ndim, boundary_of(m), o)
        for a, s, o, m in zip(over, *columns, strict=True)
        if real(s, "size") > 1
    ]
    return passed(x, passes, out, cval)


@planned(input="data", output="out")
def sobel(
    input: ArrayLike, axis: int = -1, output: Output = None, mode: FilterModes = "reflect", cval: complex = 0.0
) -> Any:
    """`scipy.ndimage.sobel`: the derivative along one axis, smoothed by 1 2 1 along the others.

    Parameters
    ----------
    axis : int
    mode : one, or a sequence of one for each axis of the input
    input, output, cval
        As for `correlate1d`.

    Raises
    ------
    RuntimeError, ValueError
        As in `correlate1d`; a sequence of another length.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import sobel
    >>> sobel(np.arange(9).reshape(3, 3))
    array([[4, 8, 4],
           [4, 8, 4],
           [4, 8, 4]])
    """
    return _derivative(input, axis, output, mode, cval, _ONE_TWO_ONE)


@planned(input="data", output="out")
def prewitt(
    input: ArrayLike, axis: int = -1, output: Output = None, mode: FilterModes = "reflect", cval: complex = 0.0
) -> Any:
    """`scipy.ndimage.prewitt`: `sobel` smoothed by 1 1 1.

    Parameters
    ----------
    axis : int
    mode : one, or a sequence of one for each axis of the input
    input, output, cval
        As for `sobel`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import prewitt
    >>> prewitt(np.arange(9).reshape(3, 3), axis=0)[1]
    array([18, 18, 18])
    """
    return _derivative(input, axis, output, mode, cval, _ONES)


def _derivative(input: Any, axis: int, output: Any, mode: Any, cval: Any, across: NDArray[np.float64]) -> Answer:
    x = as_array(input, "input")
    where = axis_of(axis, x.ndim)
    out = output_of(output, x)
    modes = each(mode, x.ndim, "mode")
    passes = [Pass(where, _CENTRAL, 3, 1, boundary_of(modes[where]))]
    passes += [Pass(a, across, 3, 1, boundary_of(modes[a])) for a in range(x.ndim) if a != where]
    return passed(x, passes, out, cval)


# ---- sums over axes -------------------------------------------------------------------------------


@planned(input="data", output="out")
def generic_laplace(
    input: ArrayLike,
    derivative2: Callable[..., Any],
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    extra_arguments: tuple[Any, ...] = (),
    extra_keywords: dict[str, Any] | None = None,
    *,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.generic_laplace`: the sum of second derivatives along several axes.

    Parameters
    ----------
    derivative2 : callable
        ``derivative2(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, where output is an array
        or a dtype.
    mode : one, or a sequence of one for each axis
    extra_arguments, extra_keywords : tuple and dict, optional
        Passed on.
    axes : int or sequence of int, optional
        Default all.
    input, output, cval
        As for `correlate1d`.

    Raises
    ------
    RuntimeError, ValueError
        Sequences of another length; axes that are out of range or repeated.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import correlate1d, generic_laplace
    >>> def second(input, axis, output, mode, cval):
    ...     return correlate1d(input, [1, -2, 1], axis, output, mode, cval)
    >>> generic_laplace(np.arange(5.0) ** 2, second)
    array([ 1.,  2.,  2.,  2., -7.])
    """
    return sum_over_axes(
        input,
        as_callable(derivative2, "derivative2"),
        output,
        mode,
        cval,
        extra_arguments,
        extra_keywords,
        axes,
        squared=False,
    )


@planned(input="data", output="out")
def generic_gradient_magnitude(
    input: ArrayLike,
    derivative: Callable[..., Any],
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    extra_arguments: tuple[Any, ...] = (),
    extra_keywords: dict[str, Any] | None = None,
    *,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.generic_gradient_magnitude`: the root of the sum of squared derivatives along several axes.

    Parameters
    ----------
    derivative : callable
        ``derivative(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, the first derivative.
    mode : one, or a sequence of one for each axis
    extra_arguments, extra_keywords : tuple and dict, optional
        Passed on.
    axes : int or sequence of int, optional
        Default all.
    input, output, cval
        As for `correlate1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import generic_gradient_magnitude, sobel
    >>> generic_gradient_magnitude(np.arange(9.0).reshape(3, 3), sobel)[1].round(2)
    array([24.33, 25.3 , 24.33])
    """
    return sum_over_axes(
        input,
        as_callable(derivative, "derivative"),
        output,
        mode,
        cval,
        extra_arguments,
        extra_keywords,
        axes,
        squared=True,
    )


@planned(input="data", output="out")
def laplace(
    input: ArrayLike,
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    *,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.laplace`: the sum of second differences, 1 -2 1, along several axes.

    Parameters
    ----------
    mode : one, or a sequence of one for each axis
    axes : int or sequence of int, optional
        Default all.
    input, output, cval
        As for `correlate1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import laplace
    >>> impulse = np.zeros((3, 3), int); impulse[1, 1] = 1
    >>> laplace(impulse)
    array([[ 0,  1,  0],
           [ 1, -4,  1],
           [ 0,  1,  0]])
    """

    def second(x: Any, axis: int, out: Any, mode: Any, cval: Any) -> Answer:
        out = output_of(out, x, is_complex=x.dtype.kind == "c")
        return passed(x, [Pass(axis, _SECOND, 3, 1, boundary_of(mode))], out, cval)

    return sum_over_axes(input, second, output, mode, cval, (), None, axes, squared=False)


@planned(input="data", output="out")
def gaussian_laplace(
    input: ArrayLike,
    sigma: float | Sequence[float],
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    *,
    axes: IntOrTuple | None = None,
    **kwargs: Any,
) -> Any:
    """`scipy.ndimage.gaussian_laplace`: the sum of second derivatives of a Gaussian along several axes.

    Parameters
    ----------
    sigma : float, or a sequence of one for each axis
    **kwargs
        For `gaussian_filter`.
    input, output, mode, cval, axes
        As for `generic_laplace`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import gaussian_laplace
    >>> gaussian_laplace([0, 0, 0, 1.0, 0, 0, 0], 1).round(2)
    array([ 0.04,  0.16,  0.  , -0.4 ,  0.  ,  0.16,  0.04])
    """
    x = as_array(input, "input")
    over = axes_of(axes, x.ndim)
    sigmas = on_every_axis(each(sigma, len(over), "sigma"), over, x.ndim)
    second = _gaussian_derivative(x.ndim, 2)
    return sum_over_axes(x, second, output, mode, cval, (sigmas,), kwargs, axes, squared=False)


@planned(input="data", output="out")
def gaussian_gradient_magnitude(
    input: ArrayLike,
    sigma: float | Sequence[float],
    output: Output = None,
    mode: FilterModes = "reflect",
    cval: complex = 0.0,
    *,
    axes: IntOrTuple | None = None,
    **kwargs: Any,
) -> Any:
    """`scipy.ndimage.gaussian_gradient_magnitude`: the magnitude of the gradient, by derivatives of a Gaussian.

    Parameters
    ----------
    sigma : float, or a sequence of one for each axis of the input
    **kwargs
        For `gaussian_filter`.
    input, output, mode, cval, axes
        As for `generic_laplace`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import gaussian_gradient_magnitude
    >>> gaussian_gradient_magnitude(np.arange(9.0) * 2, 1).round(2)
    array([0.73, 1.7 , 1.97, 2.  , 2.  , 2.  , 1.97, 1.7 , 0.73])
    """
    x = as_array(input, "input")
    over = axes_of(axes, x.ndim)
    if len(over) == 2:
        out, modes = output_of(output, x), each(mode, 2, "mode")
        chains = [gaussians(x.ndim, sigma, _order(x.ndim, a, 1), m, **kwargs) for a, m in zip(over, modes, strict=True)]
        answer = magnitude(x, chains, out, cval)
        if answer is not None:
            return answer
    first = _gaussian_derivative(x.ndim, 1)
    return sum_over_axes(x, first, output, mode, cval, (sigma,), kwargs, axes, squared=True)


def _gaussian_derivative(ndim: int, order: int) -> Callable[..., Answer]:
    def derivative(x: Any, axis: int, out: Any, mode: Any, cval: Any, sigma: Any, **how: Any) -> Answer:
        return _smoothed(x, sigma, _order(ndim, axis, order), out, mode, cval, **how)

    return derivative


def _order(ndim: int, axis: int, order: int) -> list[int]:
    """Of a derivative along one axis."""
    return [order if a == axis else 0 for a in range(ndim)]


# ---- kernels of several dimensions ----------------------------------------------------------------


@planned(input="data", weights="taps", output="out")
def correlate(
    input: ArrayLike,
    weights: ArrayLike,
    output: Output = None,
    mode: FilterMode = "reflect",
    cval: complex = 0.0,
    origin: IntOrTuple = 0,
    *,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.correlate`: correlation with a kernel of as many dimensions as the input.

    Parameters
    ----------
    weights : array_like
        Of as many dimensions as there are `axes`, in the order that these have in the input, not in `axes`, as in
        SciPy; conjugated if it is complex.
    origin : int, or a sequence of one for each axis
    axes : int or sequence of int, optional
        Default all.
    input, output, mode, cval
        As for `correlate1d`.

    Raises
    ------
    RuntimeError
        Weights of another number of dimensions or without elements, an unknown mode or several, an output of another
        shape, a dtype that is not supported.
    ValueError
        An origin outside of the kernel, axes that are out of range or repeated, a read-only output.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import correlate
    >>> correlate(np.arange(12).reshape(3, 4), np.ones((2, 2)), mode="constant")  # an even kernel: centre at n // 2
    array([[ 0,  1,  3,  5],
           [ 4, 10, 14, 18],
           [12, 26, 30, 34]])
    """
    return _over_axes(input, weights, output, mode, cval, origin, axes=axes, flips=False)


@planned(input="data", weights="taps", output="out")
def convolve(
    input: ArrayLike,
    weights: ArrayLike,
    output: Output = None,
    mode: FilterMode = "reflect",
    cval: complex = 0.0,
    origin: IntOrTuple = 0,
    *,
    axes: IntOrTuple | None = None,
) -> Any:
    """`scipy.ndimage.convolve`: `correlate` with the kernel flipped, its centre and `origin` the other way round.

    Parameters
    ----------
    input : array_like
    weights : array_like, of as many dimensions
    output : dtype or ndarray, optional
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}
    cval : scalar
    axes : int or sequence of int, optional
    origin : int or sequence of int
        By how many elements the kernel, flipped, is moved to the right.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.ndimage import convolve
    >>> convolve(np.arange(12).reshape(3, 4), np.ones((2, 2)), mode="constant")
    array([[10, 14, 18, 10],
           [26, 30, 34, 18],
           [17, 19, 21, 11]])
    """
    return _over_axes(input, weights, output, mode, cval, origin, axes=axes, flips=True)


def _over_axes(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: Any = "",
    cval: Any = 0,
    origin: Any = 0,
    *,
    axes: Any,
    flips: bool,
) -> Any:
    x, w = as_array(input, "input"), as_array(weights, "weights")
    if x.dtype.kind == "c" or w.dtype.kind == "c":
        if w.dtype.kind == "c" and not flips:
            w = w.conj()
        out = output_of(output, x, is_complex=True)
        how = {"mode": mode, "origin": origin, "axes": axes, "flips": flips}
        return by_parts(lambda *args, **more: _over_axes(*args, **more).result, x, w, out, cval, **how)
    over = axes_of(axes, x.ndim)
    w, origins = kernel_of(w, origin, over, x.ndim, flips)
    out = output_of(output, x)
    if not isinstance(mode, str) and isinstance(mode, Iterable):
        raise RuntimeError(f"A sequence of modes is not supported; got mode={mode!r}")
    leads = [n // 2 + integer(o, "origin") for n, o in zip(w.shape, origins, strict=True)]
    return slid(x, w, out, leads, boundary_of(mode), cval)
