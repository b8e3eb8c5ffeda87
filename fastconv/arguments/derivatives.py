# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of `gradient`, and what they come to: a correlation along each axis, and what becomes of these."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.correlation import Options, correlation_arguments
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import as_count, as_numbers, as_word, native_dtype
from fastconv.typing import Boundaries, Derivative, Mode, Norm, Overflow

NORMS: tuple[str, ...] = get_args(Norm)
NAMED: tuple[str, ...] = get_args(Derivative)  # of fastconv.kernels
RANK = 2  # axes of a picture


class Gradient(NamedTuple):
    """A gradient, ready to be computed."""

    c: Correlation  # what is delivered; without a norm, each axis of x that is slid over has a kernel, in front
    parts: tuple[Correlation, ...]  # the derivatives along these axes
    factors: tuple[NDArray[Any], ...]  # per axis, the taps of each derivative: derivatives x taps
    norm: str  # "": none


def gradient_arguments(
    x: ArrayLike,
    kernel: Derivative | tuple[ArrayLike, ArrayLike] = "sobel",
    mode: Mode = "same",
    boundary: Boundaries = "edge",
    fillvalue: float = 0,
    *,
    size: int | None = None,
    axes: tuple[int, ...] | None = None,
    norm: Norm | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "raise",
    out: NDArray[Any] | None = None,
) -> Gradient:
    """Check the arguments of `gradient`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    xa = as_numbers(x, "x")
    if xa.dtype.kind == "c":
        raise TypeError(f"x must be real; got dtype {xa.dtype}: take the gradients of x.real and x.imag")
    if norm is not None:
        as_word(norm, NORMS, "norm")
    taps = np.promote_types(xa.dtype, np.float32)
    asked = None if dtype is None else native_dtype(dtype)
    if asked is not None and asked.kind == "c":
        raise TypeError(f"dtype must be an integer or float dtype; got {dtype!r}")
    if asked is not None and asked.kind == "f":
        taps = np.promote_types(taps, asked)
    slope, smooth = (profile.astype(taps) for profile in _profiles(kernel, size))
    down, across = (slope, smooth), (smooth, slope)
    each = np.stack(down)[:, :, None] * np.stack(across)[:, None]
    how = Options(mode, boundary, fillvalue, axes, dtype=dtype, overflow=overflow, out=out)
    of_stack = each.reshape(RANK, *(1,) * max(xa.ndim - RANK, 0), *each.shape[1:])
    c = correlation_arguments(RANK, xa, each[0] if norm else of_stack, how)
    plain = how._replace(dtype=c.sum_dtype, overflow="raise", out=None)
    parts = tuple(correlation_arguments(RANK, xa, one, plain) for one in each)
    factors = np.stack(down).astype(c.compute_dtype), np.stack(across).astype(c.compute_dtype)
    return Gradient(c, parts, factors, norm or "")


def _profiles(kernel: Any, size: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The taps along the axis that is differentiated along, and across it, in float64."""
    if isinstance(kernel, str):
        from fastconv import kernels  # only who asks for them pays for importing them

        make = getattr(kernels, as_word(kernel, NAMED, "kernel"))
        if size is not None and make is kernels.scharr:
            raise ValueError(f"size must be None for kernel 'scharr', which has 3; got {size!r}")
        how = {"dtype": np.float64} if size is None else {"dtype": np.float64, "size": as_count(size, "size")}
        slope = make(ndim=1, **how)
        return slope, make(axis=1, **how)[:, -1] / slope[-1]
    if size is not None:
        raise ValueError(f"size must be None for a kernel of given taps; got {size!r}")
    if not isinstance(kernel, (tuple, list)) or len(kernel) != 2:
        raise ValueError(f"kernel must be one of {', '.join(NAMED)}, or two arrays of taps; got {kernel!r}")
    taps = tuple(as_numbers(one, "kernel") for one in kernel)
    shapes = [one.shape for one in taps]
    if any(one.ndim != 1 or not one.size for one in taps) or shapes[0] != shapes[1]:
        raise ValueError(
            f"kernel must be two arrays of taps of shape (n,), n > 0; got shapes {shapes[0]} and {shapes[1]}"
        )
    if any(one.dtype.kind == "c" for one in taps):
        raise TypeError(f"kernel must be real; got dtypes {taps[0].dtype} and {taps[1].dtype}")
    return taps[0].astype(np.float64), taps[1].astype(np.float64)
