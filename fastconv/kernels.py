# SPDX-License-Identifier: BSD-3-Clause
"""Filter kernels as NumPy arrays.

Every kernel here is a *correlation* kernel: fastconv applies it as it is written,
without flipping. The derivatives follow OpenCV's sign: positive where the brightness
grows along the axis. `NAMED` is the table the command line reads.

Most take a `size`, an int for the same length along each of `ndim` axes or a tuple of
one length per axis, and a `dtype`: an integer type only where the weights are integers
that fit into it. Every argument is checked, and ValueError says what is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "NAMED",
    "box",
    "dog",
    "emboss",
    "gabor",
    "gaussian",
    "identity",
    "laplacian",
    "log",
    "prewitt",
    "scharr",
    "sharpen",
    "sobel",
    "unsharp",
]

Kernel: TypeAlias = NDArray[Any]
Weights: TypeAlias = NDArray[np.floating[Any]]
Size: TypeAlias = int | Sequence[int]
Sigma: TypeAlias = float | Sequence[float]

LARGEST = 2**40  # weights


# identity and averages ----------------------------------------------------------------


def identity(size: Size = 3, *, ndim: int = 2, dtype: DTypeLike = np.float32) -> Kernel:
    """Kernel that leaves the image unchanged: 1 in the centre, 0 around it.

    Parameters
    ----------
    size : int or tuple of int
        Length of every axis, or of each; positive and odd, since an even kernel has no
        centre.
    ndim : {2, 1, 3}
        Number of axes where `size` is an int; a tuple tells it by itself.
    dtype : dtype
        Any numeric type.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        An argument is none of the above.

    Examples
    --------
    >>> from fastconv.kernels import identity
    >>> identity(3, dtype=int)
    array([[0, 0, 0],
           [0, 1, 0],
           [0, 0, 0]])
    """
    return _typed(_identity(_shape(size, ndim, odd=True)), dtype)


def box(size: Size = 3, *, ndim: int = 2, dtype: DTypeLike = np.float32) -> Kernel:
    """Mean of the neighbourhood: every weight is 1 / (number of weights).

    Parameters
    ----------
    size : int or tuple of int
        Length of every axis, or of each; positive.
    ndim : {2, 1, 3}
        Number of axes where `size` is an int.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        An argument is none of the above.

    Notes
    -----
    The kernel of OpenCV's ``blur`` and of ``scipy.ndimage.uniform_filter``.

    Examples
    --------
    >>> from fastconv.kernels import box
    >>> box(2)
    array([[0.25, 0.25],
           [0.25, 0.25]], dtype=float32)
    >>> box((1, 4))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    shape = _shape(size, ndim)
    return _typed(np.full(shape, 1 / math.prod(shape)), dtype, fractions=True)


def gaussian(
    size: Size | None = None, sigma: Sigma | None = None, *, ndim: int = 2, dtype: DTypeLike = np.float32
) -> Kernel:
    """Gaussian blur: samples of ``exp(-x**2 / (2 sigma**2))`` along every axis, of sum 1.

    Parameters
    ----------
    size : int or tuple of int, optional
        Length of every axis, or of each; positive. By default SciPy's of `sigma`,
        ``2 * int(4 * sigma + 0.5) + 1`` along each axis, or 5 without that.
    sigma : float or tuple of float, optional
        Standard deviation in pixels along every axis, or along each; positive. By
        default OpenCV's rule, ``0.3 * ((size - 1) * 0.5 - 1) + 0.8`` along each axis,
        which is 1.1 for the default size.
    ndim : {2, 1, 3}
        Number of axes where neither `size` nor, without it, `sigma` is a tuple.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        An argument is none of the above.

    Notes
    -----
    The formula and the rule are those of OpenCV's ``getGaussianKernel``. When no sigma
    is given OpenCV replaces them by rounded tables for its smallest odd sizes, and with
    even sizes it takes the middle samples for the centre; this function always uses the
    formula. (The tables for 3 and 5 are binomial, ``[1, 2, 1] / 4`` and ``[1, 4, 6, 4, 1] / 16``:
    for images of bytes their sums are exact, and made in integers.) With `sigma` alone these are the weights of
    ``scipy.ndimage.gaussian_filter``, which has them in float64.

    Examples
    --------
    >>> from fastconv.kernels import gaussian
    >>> gaussian(3, sigma=1.0).round(3)
    array([[0.075, 0.124, 0.075],
           [0.124, 0.204, 0.124],
           [0.075, 0.124, 0.075]], dtype=float32)
    >>> gaussian((1, 3), sigma=(1.0, 0.5)).round(3)
    array([[0.107, 0.787, 0.107]], dtype=float32)
    >>> gaussian(sigma=(3, 1)).shape
    (25, 9)
    """
    shape = _shape(_reaching(size, sigma, ndim, 5), ndim)
    return _typed(_gaussian(shape, _sigmas(sigma, shape, _opencv_sigma)), dtype, fractions=True)


# first derivatives --------------------------------------------------------------------


def sobel(axis: int = -1, size: Size = 3, *, ndim: int = 2, dtype: DTypeLike = np.float32) -> Kernel:
    """Sobel derivative: a central difference, smoothed by binomial weights.

    Parameters
    ----------
    axis : int
        The axis to differentiate along. Of two axes, 1 or -1 is d/dx (along a row) and
        0 is d/dy (down a column).
    size : int or tuple of int
        Length of every axis, or of each; odd, and at least 3 along `axis`.
    ndim : {2, 1, 3}
        Number of axes where `size` is an int.
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        An argument is none of the above, or a weight does not fit into `dtype`.

    Notes
    -----
    Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing", 1968.
    For other sizes as OpenCV's ``getDerivKernels``: across `axis` the binomial
    coefficients of ``(1 + t)**(size - 1)``, along it -1 0 1 smoothed by those of
    ``(1 + t)**(size - 3)``. Not normalised: with 3 x 3 a ramp of slope 1 gives 8.

    Examples
    --------
    >>> from fastconv.kernels import sobel
    >>> sobel(axis=1, dtype=int)
    array([[-1,  0,  1],
           [-2,  0,  2],
           [-1,  0,  1]])
    >>> sobel(axis=1, size=(3, 5), dtype=int)
    array([[-1, -2,  0,  2,  1],
           [-2, -4,  0,  4,  2],
           [-1, -2,  0,  2,  1]])
    """
    return _derivative(axis, _shape(size, ndim, odd=True), _central_binomial, _binomial, dtype)


def scharr(axis: int = -1, *, ndim: int = 2, dtype: DTypeLike = np.float32) -> Kernel:
    """Scharr derivative: as `sobel`, smoothed 3 10 3, nearer to rotation invariance.

    Parameters
    ----------
    axis, ndim, dtype
        As in `sobel`; the size is always 3.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        As in `sobel`.

    Notes
    -----
    H. Scharr, "Optimale Operatoren in der digitalen Bildverarbeitung", Heidelberg, 2000.
    Not normalised, as OpenCV's ``Scharr``: in two dimensions a ramp of slope 1 gives 32.

    Examples
    --------
    >>> from fastconv.kernels import scharr
    >>> scharr(axis=1, dtype=int)
    array([[ -3,   0,   3],
           [-10,   0,  10],
           [ -3,   0,   3]])
    """
    return _derivative(axis, _shape(3, ndim), _offsets, lambda _: np.array([3.0, 10.0, 3.0]), dtype)


def prewitt(axis: int = -1, size: Size = 3, *, ndim: int = 2, dtype: DTypeLike = np.float32) -> Kernel:
    """Prewitt derivative: the slope of the plane fitted to the neighbourhood.

    Parameters
    ----------
    axis, size, ndim, dtype
        As in `sobel`.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        As in `sobel`.

    Notes
    -----
    J. Prewitt, "Object enhancement and extraction", 1970. Every weight is its distance
    from the centre along `axis`: -1 0 1, -2 -1 0 1 2, ... in every line. That is the
    least-squares fit but for its divisor, the sum of the squared weights, which is also
    what a ramp of slope 1 gives: 6 with 3 x 3, as ``scipy.ndimage.prewitt``.

    Examples
    --------
    >>> from fastconv.kernels import prewitt
    >>> prewitt(axis=0, dtype=int)
    array([[-1, -1, -1],
           [ 0,  0,  0],
           [ 1,  1,  1]])
    """
    return _derivative(axis, _shape(size, ndim, odd=True), _offsets, np.ones, dtype)


# second derivatives -------------------------------------------------------------------


def laplacian(*, ndim: int = 2, connectivity: int = 1, dtype: DTypeLike = np.float32) -> Kernel:
    """Sum of the differences to the nearest neighbours.

    Parameters
    ----------
    ndim : {2, 1, 3}
        Number of axes.
    connectivity : int
        The coordinates in which a neighbour may differ, 1 to `ndim`. 1 takes the two
        neighbours along each axis, which gives the sum of the second differences; 2
        takes the diagonals too (8 neighbours in two dimensions).
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, of length 3 along every axis

    Raises
    ------
    ValueError
        An argument is none of the above.

    Notes
    -----
    Gonzalez and Woods, "Digital Image Processing", 3.6. The default is the kernel of
    ``scipy.ndimage.laplace`` and of OpenCV's ``Laplacian(ksize=1)``; `connectivity` is
    that of ``scipy.ndimage.generate_binary_structure``. OpenCV's ``ksize=3`` takes the
    diagonals alone, twice: ``2 * (laplacian(connectivity=2) - laplacian())``.

    Examples
    --------
    >>> from fastconv.kernels import laplacian
    >>> laplacian(dtype=int)
    array([[ 0,  1,  0],
           [ 1, -4,  1],
           [ 0,  1,  0]])
    >>> laplacian(connectivity=2, dtype=int)
    array([[ 1,  1,  1],
           [ 1, -8,  1],
           [ 1,  1,  1]])
    """
    return _typed(_laplacian(ndim, connectivity), dtype)


def log(
    size: Size | None = None, sigma: Sigma | None = None, *, ndim: int = 2, dtype: DTypeLike = np.float32
) -> Kernel:
    """Laplacian of Gaussian: the Laplacian of the image blurred by `gaussian`.

    Parameters
    ----------
    size : int or tuple of int, optional
        Length of every axis, or of each; positive. By default that of `gaussian`, or 9
        without `sigma`.
    sigma : float or tuple of float, optional
        Standard deviation in pixels along every axis, or along each; positive. By
        default ``max((size - 1) / 8, 0.5)`` along each axis: the kernel then reaches as
        far as SciPy's default, four sigma.
    ndim : {2, 1, 3}
        As in `gaussian`.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray
        Of sum 0, negative in the centre.

    Raises
    ------
    ValueError
        An argument is none of the above, or every weight would be 0.

    Notes
    -----
    Marr and Hildreth, "Theory of edge detection", 1980; ``scipy.ndimage.gaussian_laplace``.
    With G the Gaussian of sum 1, the sum over the axes of ``G * (x**2 - v) / sigma**4``.
    SciPy has v = sigma**2; here v is the variance of the samples of G, the same but for
    their cut-off and coarseness, and flat areas give 0.

    Examples
    --------
    >>> from fastconv.kernels import log
    >>> log(5, sigma=1.0, ndim=1).round(3)
    array([ 0.168,  0.018, -0.372,  0.018,  0.168], dtype=float32)
    """
    shape = _shape(_reaching(size, sigma, ndim, 9), ndim)
    sigmas = _sigmas(sigma, shape, _quarter_radius)
    blur = list(map(_bell, shape, sigmas))
    curved = [_along(axis, _bell_curvature(*of), blur) for axis, of in enumerate(zip(shape, sigmas, strict=True))]
    weights = np.sum(curved, axis=0)
    return _band(weights, dtype, size if size is not None else shape, sigma)


def dog(
    size: Size | None = None,
    sigma: Sigma | None = None,
    ratio: float = 1.6,
    *,
    ndim: int = 2,
    dtype: DTypeLike = np.float32,
) -> Kernel:
    """Difference of Gaussians: that of `sigma` minus that of ``ratio * sigma``.

    Parameters
    ----------
    size : int or tuple of int, optional
        Length of every axis, or of each; positive. By default as in `gaussian` for the
        wide one, or 9 without `sigma`.
    sigma : float or tuple of float, optional
        Standard deviation of the narrow Gaussian, as in `log`.
    ratio : float
        How many times as wide the other Gaussian is; above 1.
    ndim : {2, 1, 3}
        As in `gaussian`.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray
        Of sum 0, positive in the centre.

    Raises
    ------
    ValueError
        An argument is none of the above, or every weight would be 0.

    Notes
    -----
    Marr and Hildreth, "Theory of edge detection", 1980: near -`log`, times
    ``(ratio - 1) * sigma**2``, and 1.6 is their ratio. The sign and the defaults are
    those of ``skimage.filters.difference_of_gaussians``.

    Examples
    --------
    >>> from fastconv.kernels import dog
    >>> dog(5, sigma=1.0, ndim=1).round(3)
    array([-0.074,  0.013,  0.122,  0.013, -0.074], dtype=float32)
    """
    _number("ratio", ratio, above=1)
    shape = _shape(_reaching(size, sigma, ndim, 9, ratio), ndim)
    sigmas = _sigmas(sigma, shape, _quarter_radius)
    weights = _gaussian(shape, sigmas) - _gaussian(shape, [ratio * s for s in sigmas])
    return _band(weights, dtype, size if size is not None else shape, sigma)


# sharpening and relief ----------------------------------------------------------------


def sharpen(*, ndim: int = 2, connectivity: int = 1, dtype: DTypeLike = np.float32) -> Kernel:
    """Sharpen edges: the image minus its `laplacian`.

    Parameters
    ----------
    ndim, connectivity, dtype
        As in `laplacian`.

    Returns
    -------
    ndarray, of length 3 along every axis

    Raises
    ------
    ValueError
        As in `laplacian`.

    Notes
    -----
    Gonzalez and Woods, "Digital Image Processing", 3.6.

    Examples
    --------
    >>> from fastconv.kernels import sharpen
    >>> sharpen(dtype=int)
    array([[ 0, -1,  0],
           [-1,  5, -1],
           [ 0, -1,  0]])
    """
    change = _laplacian(ndim, connectivity)
    return _typed(_identity(change.shape) - change, dtype)


def unsharp(
    size: Size | None = None,
    sigma: Sigma | None = None,
    amount: float = 1.0,
    *,
    ndim: int = 2,
    dtype: DTypeLike = np.float32,
) -> Kernel:
    """Unsharp mask: the image plus `amount` times what a Gaussian blur takes from it.

    Parameters
    ----------
    size : int or tuple of int, optional
        Length of every axis, or of each; positive and odd. By default that of
        `gaussian`.
    sigma : float or tuple of float, optional
        Standard deviation of the blur, as in `gaussian`.
    amount : float
        0 leaves the image unchanged, a negative amount blurs it.
    ndim : {2, 1, 3}
        As in `gaussian`.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray
        Of sum 1.

    Raises
    ------
    ValueError
        An argument is none of the above.

    Notes
    -----
    ``identity + amount * (identity - gaussian)``: Gonzalez and Woods, "Digital Image
    Processing", 3.6, and ``skimage.filters.unsharp_mask``, but for its clipping.

    Examples
    --------
    >>> from fastconv.kernels import unsharp
    >>> unsharp(3, sigma=1.0, amount=2.0).round(3)
    array([[-0.15 , -0.248, -0.15 ],
           [-0.248,  2.592, -0.248],
           [-0.15 , -0.248, -0.15 ]], dtype=float32)
    """
    shape = _shape(_reaching(size, sigma, ndim, 5), ndim, odd=True)
    _number("amount", amount)
    blur = _gaussian(shape, _sigmas(sigma, shape, _opencv_sigma))
    return _typed((1 + amount) * _identity(shape) - amount * blur, dtype, fractions=True)


def emboss(*, dtype: DTypeLike = np.float32) -> Kernel:
    """Relief lit along the diagonal: the image plus its slope to the lower right.

    Parameters
    ----------
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        `dtype` is none of the above.

    Notes
    -----
    The identity plus x + y, counted from the centre: the emboss of GIMP's manual,
    "Convolution Matrix".

    Examples
    --------
    >>> from fastconv.kernels import emboss
    >>> emboss(dtype=int)
    array([[-2, -1,  0],
           [-1,  1,  1],
           [ 0,  1,  2]])
    """
    return _typed(np.array([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]), dtype)


# texture ------------------------------------------------------------------------------


def gabor(
    size: Size | None = None,
    sigma: float | None = None,
    theta: float = 0.0,
    lambd: float | None = None,
    gamma: float = 0.5,
    psi: float = math.pi / 2,
    *,
    dtype: DTypeLike = np.float32,
) -> Kernel:
    """Gabor filter: a wave under a Gaussian, which finds stripes of one direction.

    Parameters
    ----------
    size : int or tuple of two ints, optional
        Rows and columns; positive. By default as many as the axes of the Gaussian reach
        within four standard deviations, or 21 without `sigma`.
    sigma : float, optional
        Standard deviation of the Gaussian along the wave, in pixels; positive. By
        default that of `log`, for the shorter side.
    theta : float
        Direction of the wave in radians, from right (0) to down (pi/2); the stripes are
        perpendicular to it.
    lambd : float, optional
        Wavelength in pixels; positive. By default ``sigma / 0.56``, a bandwidth of one
        octave (Petkov and Kruizinga, "Computational models of visual neurons
        specialised in the detection of periodic and aperiodic oriented visual stimuli",
        1997).
    gamma : float
        How many times as narrow the Gaussian is along the stripes; positive.
    psi : float
        Phase in radians. 0 makes the wave a cosine, which answers to lines; the default
        makes it a sine, which answers to edges, positively where the brightness grows
        along `theta`.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray, shape (rows, columns)

    Raises
    ------
    ValueError
        An argument is none of the above.

    Notes
    -----
    With x to the right and y down from the centre, u = x cos(theta) + y sin(theta) and
    v = y cos(theta) - x sin(theta)::

        exp(-(u**2 + gamma**2 * v**2) / (2 sigma**2)) * cos(2 pi u / lambd - psi)

    This is the array of OpenCV's ``getGaborKernel``, which has + psi in its formula and
    stores it turned by half a turn. OpenCV takes (columns, rows), and rounds even sizes
    up to odd ones. Not normalised.

    Examples
    --------
    >>> from fastconv.kernels import gabor
    >>> gabor((3, 5), sigma=1.0, lambd=3.0, psi=0.0).round(2)
    array([[-0.06, -0.27,  0.88, -0.27, -0.06],
           [-0.07, -0.3 ,  1.  , -0.3 , -0.07],
           [-0.06, -0.27,  0.88, -0.27, -0.06]], dtype=float32)
    """
    _number("theta", theta)
    _number("gamma", gamma, above=0)
    _number("psi", psi)
    if size is None:
        size = 21
        if sigma is not None:
            along = _number("sigma", sigma, above=0)
            turned = np.abs([[math.sin(theta), math.cos(theta)], [math.cos(theta), math.sin(theta)]])
            size = [_reach(float(s)) for s in (turned * [along, along / gamma]).max(axis=1)]
    shape = _shape(size, 2)
    if len(shape) != 2:
        raise ValueError(f"size must be a positive integer or two of them for a Gabor filter; got {size!r}")
    sigma = _quarter_radius(min(shape)) if sigma is None else _number("sigma", sigma, above=0)
    lambd = sigma / 0.56 if lambd is None else _number("lambd", lambd, above=0)
    if not max(shape) / lambd < math.inf:
        raise ValueError(f"lambd must not be so small that its waves cannot be counted; got {lambd!r}")
    y, x = _offsets(shape[0])[:, None], _offsets(shape[1])
    u = x * math.cos(theta) + y * math.sin(theta)
    v = y * math.cos(theta) - x * math.sin(theta)
    envelope = np.exp(-((u / sigma) ** 2 + (gamma * v / sigma) ** 2) / 2)
    return _typed(envelope * np.cos(2 * math.pi / lambd * u - psi), dtype, fractions=True)


# arguments ----------------------------------------------------------------------------


def _shape(size: Size, ndim: int, *, odd: bool = False) -> tuple[int, ...]:
    if not _is_integer(ndim) or not 1 <= ndim <= 3:
        raise ValueError(f"ndim must be 1, 2 or 3; got {ndim!r}")
    shape = _per_axis(size, ndim)
    if not 1 <= len(shape) <= 3 or not all(_is_integer(n) and n > 0 for n in shape):
        raise ValueError(f"size must be a positive integer or one for each of 1 to 3 axes; got {size!r}")
    if odd and any(n % 2 == 0 for n in shape):
        raise ValueError(f"size must be odd, so that the kernel has a centre; got {size!r}")
    shape = tuple(int(n) for n in shape)
    if math.prod(shape) > LARGEST:
        raise ValueError(f"size must be of at most {LARGEST} weights, which no memory holds; got {size!r}")
    return shape


def _reaching(size: Size | None, sigma: Sigma | None, ndim: int, default: int, ratio: float = 1) -> Size:
    """size, or else as far as a Gaussian of ratio times sigma reaches, or else the default."""
    if size is not None or sigma is None:
        return default if size is None else size
    sigmas = _per_axis(sigma, 1)
    if not 1 <= len(sigmas) <= 3:
        raise ValueError(f"sigma must be positive, one number or one for each of 1 to 3 axes; got {sigma!r}")
    lengths = tuple(_reach(ratio * s) for s in _sigmas(sigma, (0,) * len(sigmas), _opencv_sigma))
    return lengths if np.iterable(sigma) else lengths[0]


def _reach(sigma: float) -> int:
    """SciPy's length: from four standard deviations below to four above."""
    if not 4 * sigma < LARGEST:
        raise ValueError(f"sigma must be below {LARGEST // 4} where there is no size; got {sigma!r}")
    return 2 * int(4 * sigma + 0.5) + 1


def _sigmas(sigma: Sigma | None, shape: tuple[int, ...], default: Callable[[int], float]) -> list[float]:
    if sigma is None:
        return [default(n) for n in shape]
    sigmas = [_real(s) for s in _per_axis(sigma, len(shape))]
    if len(sigmas) != len(shape) or not all(s > 0 for s in sigmas):
        raise ValueError(f"sigma must be positive, one number or one for each axis ({len(shape)}); got {sigma!r}")
    return sigmas


def _per_axis(value: Any, ndim: int) -> tuple[Any, ...]:
    return tuple(value) if np.iterable(value) else (value,) * ndim


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _real(value: Any) -> float:
    """A real number; what is none, or too large for a float, as NaN, which is refused everywhere."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def _number(name: str, value: Any, above: float = -math.inf) -> float:
    number = _real(value)
    if not above < number < math.inf:
        limit = "" if above == -math.inf else f" above {above}"
        raise ValueError(f"{name} must be a finite number{limit}; got {value!r}")
    return number


def _opencv_sigma(n: int) -> float:
    return 0.3 * ((n - 1) * 0.5 - 1) + 0.8


def _quarter_radius(n: int) -> float:
    return max((n - 1) / 8, 0.5)


# results ------------------------------------------------------------------------------


def _typed(weights: Weights, dtype: DTypeLike, *, fractions: bool = False) -> Kernel:
    """Weights in the dtype asked for, which must hold them."""
    try:
        dtype = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be a type of NumPy; got {dtype!r}") from error
    kinds, accepted = ("fc", "floating") if fractions else ("biufc", "numeric")
    if dtype.kind not in kinds:
        raise ValueError(f"dtype must be a {accepted} type; got {dtype}")
    with np.errstate(all="ignore"):  # judged by what comes out
        kernel = weights.astype(dtype)
    held = np.isfinite(kernel) if dtype.kind in "fc" else kernel == weights
    if not held.all():
        raise ValueError(f"dtype must hold weights from {weights.min():g} to {weights.max():g}; got {dtype}")
    return kernel


def _band(weights: Weights, dtype: DTypeLike, size: Size, sigma: Sigma | None) -> Kernel:
    """Weights of a band-pass filter, some of which must be left when rounded."""
    kernel = _typed(weights, dtype, fractions=True)
    if not kernel.any():
        raise ValueError(f"size and sigma must leave weights other than 0; got size={size!r}, sigma={sigma!r}")
    return kernel


# parts: arrays, and profiles along one axis -------------------------------------------


def _identity(shape: tuple[int, ...]) -> Weights:
    weights = np.zeros(shape)
    weights[tuple(n // 2 for n in shape)] = 1
    return weights


def _laplacian(ndim: int, connectivity: int) -> Weights:
    shape = _shape(3, ndim)
    if not _is_integer(connectivity) or not 1 <= connectivity <= ndim:
        raise ValueError(f"connectivity must be an integer from 1 to ndim ({ndim}); got {connectivity!r}")
    coordinates = abs(np.indices(shape) - 1).sum(axis=0)  # in which a neighbour differs
    neighbours = ((coordinates >= 1) & (coordinates <= connectivity)).astype(float)
    weights: Weights = neighbours - neighbours.sum() * _identity(shape)
    return weights


def _gaussian(shape: tuple[int, ...], sigmas: Sequence[float]) -> Weights:
    return _product(map(_bell, shape, sigmas))


def _derivative(
    axis: int,
    shape: tuple[int, ...],
    difference: Callable[[int], Weights],
    smooth: Callable[[int], Weights],
    dtype: DTypeLike,
) -> Kernel:
    """Difference along `axis`, smoothed across it; both tell their profile for a length."""
    ndim = len(shape)
    if not _is_integer(axis) or not -ndim <= axis < ndim:
        raise ValueError(f"axis must be an integer from {-ndim} to {ndim - 1}; got {axis!r}")
    axis %= ndim
    if shape[axis] < 3:
        raise ValueError(f"size must be at least 3 along axis {axis}; got {shape[axis]}")
    return _typed(_along(axis, difference(shape[axis]), [smooth(n) for n in shape]), dtype)


def _along(axis: int, profile: Weights, across: Sequence[Weights]) -> Weights:
    """Product of one profile per axis: of `profile` along that axis, of `across` along the others."""
    return _product([*across[:axis], profile, *across[axis + 1 :]])


def _product(profiles: Iterable[Weights]) -> Weights:
    weights: Weights = reduce(np.multiply.outer, profiles)
    return weights


def _offsets(n: int) -> Weights:
    """Distances from the centre: -1 0 1, or -0.5 0.5."""
    return np.arange(n) - (n - 1) / 2


def _binomial(n: int) -> Weights:
    if n > 1030:
        raise ValueError(f"size must be at most 1030, so that binomial weights are finite; got {n}")
    return np.array([math.comb(n - 1, i) for i in range(n)], float)


def _central_binomial(n: int) -> Weights:
    return np.convolve(_offsets(3), _binomial(n - 2))


def _bell(n: int, sigma: float) -> Weights:
    """Gaussian of sum 1.

    Below a sigma of 0.01 nothing but the nearest sample is left; measured from that one,
    so that there is no 0 / 0.
    """
    square = (_offsets(n) / max(sigma, 0.01)) ** 2
    bell: Weights = np.exp((square.min() - square) / 2)
    bell /= bell.sum()
    return bell


def _bell_curvature(n: int, sigma: float) -> Weights:
    """Second derivative of the Gaussian, of sum 0."""
    bell, square = _bell(n, sigma), _offsets(n) ** 2
    return (square - bell @ square) * bell / sigma / sigma / sigma / sigma  # sigma**4 may overflow


# the table ----------------------------------------------------------------------------


def _gradient(derivative: Callable[..., Kernel]) -> tuple[Callable[..., Kernel], ...]:
    return partial(derivative, axis=1), partial(derivative, axis=0)


#: Name -> functions that make its kernels, of two dimensions unless told otherwise. Several
#: kernels, (d/dx, d/dy), stand for the magnitude of the gradient, which is
#: ``fastconv.gradient`` of that name.
NAMED: dict[str, tuple[Callable[..., Kernel], ...]] = {
    "identity": (identity,),
    "box": (box,),
    "gaussian": (gaussian,),
    "laplacian": (laplacian,),
    "log": (log,),
    "dog": (dog,),
    "sharpen": (sharpen,),
    "unsharp": (unsharp,),
    "emboss": (emboss,),
    "gabor": (gabor,),
    "sobel": _gradient(sobel),
    "sobel-x": (partial(sobel, axis=1),),
    "sobel-y": (partial(sobel, axis=0),),
    "scharr": _gradient(scharr),
    "prewitt": _gradient(prewitt),
}
