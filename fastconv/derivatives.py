# SPDX-License-Identifier: BSD-3-Clause
"""The gradient of pictures: both derivatives, or the magnitude, from one look at the picture."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import methods, reference
from fastconv.arguments.derivatives import Gradient, gradient_arguments
from fastconv.arguments.values import as_word
from fastconv.plans import Answer, planned
from fastconv.runtime import _core, check_result, checking
from fastconv.sums import answered_by
from fastconv.typing import Boundaries, Derivative, Mode, Norm, Overflow

__all__ = ["gradient"]

METHODS = ("auto", "numpy")


@planned(x="data", out="out")
def gradient(
    x: ArrayLike,
    kernel: Derivative | tuple[ArrayLike, ArrayLike] = "sobel",
    mode: Mode = "same",
    boundary: Boundaries = "edge",
    fillvalue: float = 0,
    *,
    size: int | None = None,
    norm: Norm | None = None,
    axes: tuple[int, ...] | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
    method: str = "auto",
    threads: int | None = None,
) -> Any:
    """The gradient of pictures: the derivatives along both axes, or its magnitude.

    ``G[0] = sum(X[..., i+a, j+b] * d[a] * s[b])`` is the derivative from row to row, ``G[1] = sum(X[..., i+a, j+b] *
    s[a] * d[b])`` that from column to column; d is a difference, and s smooths across it. With a norm,
    ``sqrt(G[0]**2 + G[1]**2)`` or ``abs(G[0]) + abs(G[1])``. The picture is read once for both, and no derivative is
    stored where their norm is asked for.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
        Picture, or pictures: leading axes are a batch. Bool, integers or floats, of any strides.
    kernel : {"sobel", "scharr", "prewitt"} or (d, s)
        The kernels of `fastconv.kernels`: not normalised, positive where the brightness grows along the axis. Or the
        taps of d and s, two arrays of shape (n,): ``([-0.5, 0, 0.5], [0, 1, 0])`` are the central differences of
        `numpy.gradient`. They have no say in the dtype.
    mode : {"same", "valid", "full"}
        Which outputs, as in `corr2d`.
    boundary : {"edge", "constant", "reflect", "symmetric", "wrap"} or a tuple of one for each axis
        How x continues beyond its edges, as in `corr2d`. OpenCV's default is "reflect", that of scikit-image
        "symmetric", which is "edge" for 3 taps.
    fillvalue : scalar
        The value for "constant".
    size : int, optional
        Taps of "sobel" and "prewitt": odd, at least 3, which is the default.
    norm : {"l2", "l1"}, optional
        The magnitude of the gradient, or the cheaper sum of absolute values; default neither.
    axes : tuple of two int, optional
        Which axes of x are rows and columns; default the last ones. Of a picture (H, W, 3), whose channels come last,
        ``axes=(0, 1)``: each channel has a gradient of its own.
    dtype : dtype, optional
        Of the result; default that of x, if it is float32 or float64, float32 for float16, bool and integers of up to
        16 bits, else float64. A wider float is also computed in; results become integers by rounding half to even.
    overflow : {"raise", "saturate", "wrap"}
        What becomes of a result that does not fit into an integer dtype, as in `corr2d`.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, any strides. May overlap x.
    method : {"auto", "numpy"}
        "numpy" is the reference.
    threads : int, optional
        At most so many; default `get_num_threads()`. The bits are the same for any number, crop and instruction set
        with FMA.

    Returns
    -------
    ndarray, shape (2, ..., H, W), or (..., H, W) with a norm
        One derivative for each of `axes`, in their order: ``dy, dx = gradient(x)``. NaN and infinity spread as in
        `corr2d`, by taps of zero, too.

    Raises
    ------
    ValueError
        Unknown words, wrong dimensions, an even size, taps of different lengths, a picture smaller than the kernel in
        mode "valid", `out` of another shape or read-only, NaN that is to become an integer.
    TypeError
        x or taps that are complex or no numbers; masked arrays; `out` of another dtype.
    OverflowError
        A result that does not fit into the integer dtype.
    MemoryError
        No memory for the result or for scratch; `out` is untouched.

    See Also
    --------
    corr2d : a single derivative, by the arrays of `fastconv.kernels`.
    fastconv.ndimage.gaussian_gradient_magnitude : of a picture that is blurred.

    Notes
    -----
    Squares are summed as they are, not scaled as by `numpy.hypot`: in float32 magnitudes above 1.8e19 are infinite, and
    below 1e-22 they are 0. What others call it: ``cv2.spatialGradient(x)`` is ``dtype=np.int16, boundary="reflect"`` in
    the order dx, dy; ``skimage.filters.sobel(x)`` is ``gradient(x, norm="l2") / (4 * sqrt(2))`` inside of the picture.

    References
    ----------
    .. [1] I. Sobel and G. Feldman, A 3x3 isotropic gradient operator for image processing, 1968.
    .. [2] H. Scharr, Optimale Operatoren in der digitalen Bildverarbeitung, Heidelberg, 2000.
    .. [3] J. Prewitt, Object enhancement and extraction, 1970.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import gradient
    >>> picture = np.array([[0, 0, 0, 0], [0, 0, 9, 9], [0, 0, 9, 9]], np.uint8)
    >>> dy, dx = gradient(picture, dtype=np.int16)
    >>> dx
    array([[ 0,  9,  9,  0],
           [ 0, 27, 27,  0],
           [ 0, 36, 36,  0]], dtype=int16)
    >>> gradient(picture, norm="l2", dtype=np.uint8, overflow="saturate")
    array([[ 0, 13, 28, 36],
           [ 0, 28, 38, 36],
           [ 0, 36, 36,  0]], dtype=uint8)
    >>> gradient(np.arange(9.0).reshape(3, 3) ** 2, ([-0.5, 0, 0.5], [0, 1, 0]), "valid").ravel()  # numpy.gradient
    array([24.,  8.])
    """
    as_word(method, METHODS, "method")
    how: Any = {"size": size, "axes": axes, "norm": norm, "dtype": dtype, "overflow": overflow, "out": out}
    g = gradient_arguments(x, kernel, mode, boundary, fillvalue, **how)
    return differentiated(g, method, threads, x)


def differentiated(g: Gradient, method: str, threads: int | None, asked: Any) -> Answer:
    """The gradient. asked: the x that was given."""
    if method == "numpy" or _core is None:
        return Answer(reference.differentiated(g))
    choice = methods.Choice("separable", "one look at the picture", g.factors, combine=g.norm or "apart")
    check = checking.get()
    if check:  # before out is written: it may be x itself
        alone = g._replace(c=g.c._replace(out=None, asked_out=None))
        right, bound = reference.differentiated(alone), alone.c.as_asked(reference.gradient_error_bound(g))
    answer = answered_by(g.c, choice, threads, asked)
    if check:
        check_result(answer.result, right, bound, "gradient")
    return answer
