# SPDX-License-Identifier: BSD-3-Clause
"""Small filter kernels as NumPy arrays.

Every kernel here is a *correlation* kernel: `fastconv.corr2d` applies it as it is
written, without flipping. The derivatives follow OpenCV's sign: positive where the
brightness grows along the axis. `NAMED` is the table the command line reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "NAMED",
    "box",
    "emboss",
    "gaussian",
    "identity",
    "laplacian",
    "prewitt",
    "scharr",
    "sharpen",
    "sobel",
]

Kernel: TypeAlias = NDArray[Any]


def identity(size: int = 3, *, dtype: DTypeLike = np.float32) -> Kernel:
    """Kernel that leaves the image unchanged: 1 in the centre, 0 around it.

    Parameters
    ----------
    size : int
        Rows and columns; positive and odd, since an even kernel has no centre.
    dtype : dtype
        Any numeric type.

    Returns
    -------
    ndarray, shape (size, size)

    Raises
    ------
    ValueError
        `size` is not a positive odd integer.

    Examples
    --------
    >>> from fastconv.kernels import identity
    >>> identity(3, dtype=int)
    array([[0, 0, 0],
           [0, 1, 0],
           [0, 0, 0]])
    """
    if _checked_size(size) % 2 == 0:
        raise ValueError(f"size must be odd for the identity, got {size!r}")
    kernel = np.zeros((size, size), dtype)
    kernel[size // 2, size // 2] = 1
    return kernel


def box(size: int = 3, *, dtype: DTypeLike = np.float32) -> Kernel:
    """Mean of the neighbourhood: every weight is ``1 / size**2``.

    Parameters
    ----------
    size : int
        Rows and columns, positive.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray, shape (size, size)

    Raises
    ------
    ValueError
        `size` is not a positive integer, or `dtype` is not a floating type.

    Examples
    --------
    >>> from fastconv.kernels import box
    >>> box(2)
    array([[0.25, 0.25],
           [0.25, 0.25]], dtype=float32)
    """
    return _average(np.ones(_checked_size(size)), dtype)


def gaussian(size: int = 5, sigma: float | None = None, *, dtype: DTypeLike = np.float32) -> Kernel:
    """Gaussian blur: samples of ``exp(-(x**2 + y**2) / (2 sigma**2))``, of sum 1.

    Parameters
    ----------
    size : int
        Rows and columns, positive.
    sigma : float, optional
        Standard deviation in pixels, positive. By default OpenCV's rule,
        ``0.3 * ((size - 1) * 0.5 - 1) + 0.8``, which is 1.1 for the default size.
    dtype : dtype
        A floating type.

    Returns
    -------
    ndarray, shape (size, size)

    Raises
    ------
    ValueError
        `size` is not a positive integer, `sigma` is not positive, or `dtype` is not a
        floating type.

    Notes
    -----
    The formula and the rule are those of OpenCV's ``getGaussianKernel``. When no sigma
    is given OpenCV replaces them by rounded tables for its smallest odd sizes; this
    function always uses the formula.

    Examples
    --------
    >>> from fastconv.kernels import gaussian
    >>> gaussian(3, sigma=1.0).round(3)
    array([[0.075, 0.124, 0.075],
           [0.124, 0.204, 0.124],
           [0.075, 0.124, 0.075]], dtype=float32)
    """
    square = (np.arange(_checked_size(size)) - (size - 1) / 2) ** 2
    if sigma is None:
        sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma!r}")
    # Measured from the nearest sample, so that a tiny sigma cannot give 0 / 0.
    return _average(np.exp((square.min() - square) / (2 * sigma**2)), dtype)


def sobel(axis: int = 1, *, dtype: DTypeLike = np.float32) -> Kernel:
    """Sobel derivative: a central difference, smoothed 1 2 1 across it.

    Parameters
    ----------
    axis : {1, 0}
        1 for d/dx (along a row), 0 for d/dy (down a column).
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        `axis` is neither 0 nor 1.

    Notes
    -----
    Not normalised, as OpenCV's ``Sobel``: a ramp of slope 1 gives 8.

    Examples
    --------
    >>> from fastconv.kernels import sobel
    >>> sobel(axis=1, dtype=int)
    array([[-1,  0,  1],
           [-2,  0,  2],
           [-1,  0,  1]])
    """
    return _derivative([1, 2, 1], axis, dtype)


def scharr(axis: int = 1, *, dtype: DTypeLike = np.float32) -> Kernel:
    """Scharr derivative: as `sobel`, smoothed 3 10 3, nearer to rotation invariance.

    Parameters
    ----------
    axis : {1, 0}
        1 for d/dx (along a row), 0 for d/dy (down a column).
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        `axis` is neither 0 nor 1.

    Notes
    -----
    Not normalised, as OpenCV's ``Scharr``: a ramp of slope 1 gives 32.

    Examples
    --------
    >>> from fastconv.kernels import scharr
    >>> scharr(axis=1, dtype=int)
    array([[ -3,   0,   3],
           [-10,   0,  10],
           [ -3,   0,   3]])
    """
    return _derivative([3, 10, 3], axis, dtype)


def prewitt(axis: int = 1, *, dtype: DTypeLike = np.float32) -> Kernel:
    """Prewitt derivative: as `sobel`, smoothed 1 1 1.

    Parameters
    ----------
    axis : {1, 0}
        1 for d/dx (along a row), 0 for d/dy (down a column).
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        `axis` is neither 0 nor 1.

    Notes
    -----
    Not normalised, as ``scipy.ndimage.prewitt``: a ramp of slope 1 gives 6.

    Examples
    --------
    >>> from fastconv.kernels import prewitt
    >>> prewitt(axis=0, dtype=int)
    array([[-1, -1, -1],
           [ 0,  0,  0],
           [ 1,  1,  1]])
    """
    return _derivative([1, 1, 1], axis, dtype)


def laplacian(*, dtype: DTypeLike = np.float32) -> Kernel:
    """Sum of the second differences along both axes (four neighbours).

    Parameters
    ----------
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Notes
    -----
    The kernel of ``scipy.ndimage.laplace`` and of OpenCV's ``Laplacian(ksize=1)``.

    Examples
    --------
    >>> from fastconv.kernels import laplacian
    >>> laplacian(dtype=int)
    array([[ 0,  1,  0],
           [ 1, -4,  1],
           [ 0,  1,  0]])
    """
    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype)


def sharpen(*, dtype: DTypeLike = np.float32) -> Kernel:
    """Sharpen edges: the image minus its Laplacian.

    Parameters
    ----------
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Examples
    --------
    >>> from fastconv.kernels import sharpen
    >>> sharpen(dtype=int)
    array([[ 0, -1,  0],
           [-1,  5, -1],
           [ 0, -1,  0]])
    """
    return identity(dtype=dtype) - laplacian(dtype=dtype)


def emboss(*, dtype: DTypeLike = np.float32) -> Kernel:
    """Relief lit along the diagonal: the image plus its slope to the lower right.

    Parameters
    ----------
    dtype : dtype
        Any signed numeric type.

    Returns
    -------
    ndarray, shape (3, 3)

    Examples
    --------
    >>> from fastconv.kernels import emboss
    >>> emboss(dtype=int)
    array([[-2, -1,  0],
           [-1,  1,  1],
           [ 0,  1,  2]])
    """
    return np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype)


def _checked_size(size: int) -> int:
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size must be a positive integer, got {size!r}")
    return int(size)


def _average(profile: NDArray[np.float64], dtype: DTypeLike) -> Kernel:
    """Separable kernel of sum 1 with the given profile along both axes."""
    if not np.issubdtype(dtype, np.inexact):
        raise ValueError(f"dtype must be a floating type, got {np.dtype(dtype)}")
    profile = profile / profile.sum()
    return np.outer(profile, profile).astype(dtype)


def _derivative(smooth: list[int], axis: int, dtype: DTypeLike) -> Kernel:
    """Difference along `axis`, smoothed across it."""
    if axis not in (0, 1):
        raise ValueError(f"axis must be 0 (d/dy) or 1 (d/dx), got {axis!r}")
    kernel = np.outer(smooth, [-1, 0, 1]).astype(dtype)
    return kernel if axis == 1 else kernel.T.copy()


def _gradient(derivative: Callable[..., Kernel]) -> tuple[Callable[..., Kernel], ...]:
    return partial(derivative, axis=1), partial(derivative, axis=0)


#: Name -> functions that make its kernels. Several kernels, (d/dx, d/dy), stand for the
#: magnitude of the gradient: ``numpy.hypot`` of their results.
NAMED: dict[str, tuple[Callable[..., Kernel], ...]] = {
    "identity": (identity,),
    "box": (box,),
    "gaussian": (gaussian,),
    "laplacian": (laplacian,),
    "sharpen": (sharpen,),
    "emboss": (emboss,),
    "sobel": _gradient(sobel),
    "sobel-x": (partial(sobel, axis=1),),
    "sobel-y": (partial(sobel, axis=0),),
    "scharr": _gradient(scharr),
    "prewitt": _gradient(prewitt),
}
