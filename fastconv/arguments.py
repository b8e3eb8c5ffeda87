# SPDX-License-Identifier: BSD-3-Clause
"""What is asked? The arguments of a correlation, checked once and put into the form every engine takes.

`correlation.py` and `reference.py` both start here, so they accept the same input and raise the same
errors.
"""

from __future__ import annotations

import functools
import math
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MODES = ("valid", "same", "full")
BOUNDARIES = {
    "constant": "constant",
    "edge": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "fill": "constant",  # scipy.signal's names
    "symm": "symmetric",
}


class Correlation(NamedTuple):
    """One 2-D correlation, ready to be computed.

    Output pixel (i, j) is the sum of ``k * X[i - top : i - top + h, j - left : j - left + w]``, X being x
    continued by `boundary`.
    """

    x: NDArray[Any]  # (..., H, W)
    k: NDArray[Any]  # (h, w), already flipped for a convolution
    dtype: np.dtype[Any]  # of the result
    shape: tuple[int, ...]  # of the result
    top: int
    left: int
    boundary: str
    fillvalue: int | float  # to be rounded to `dtype`
    out: NDArray[Any] | None

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """What the sums are made in: float16 is computed in float32."""
        return np.dtype(np.float32) if self.dtype == np.float16 else self.dtype

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its own dtype, in `out` when there is one."""
        if self.out is None:
            return result.astype(self.dtype, copy=False)
        if result is not self.out:
            self.out[...] = result
        return self.out


def correlation_arguments(
    x: ArrayLike,
    k: ArrayLike,
    mode: str,
    boundary: str,
    fillvalue: Any,
    out: Any,
    *,
    convolve: bool = False,
) -> Correlation:
    """Check the arguments of corr2d (or convolve2d) and derive geometry and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    if not isinstance(boundary, str) or boundary not in BOUNDARIES:
        raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}; got {boundary!r}")
    boundary = BOUNDARIES[boundary]
    x, k = _array(x, "x"), _array(k, "k")
    shape, top, left = geometry(x.shape, k.shape, mode, boundary, convolve)
    dtype = _result_dtype(x.dtype, k.dtype)
    for what, size in ("the result", math.prod(shape)), ("x", x.size), ("k", k.size):
        if size * max(dtype.itemsize, 4) > sys.maxsize:  # float16 is computed in float32
            raise ValueError(
                f"{what} would have {size} elements of {dtype}: too large; x has shape {x.shape}, "
                f"k has shape {k.shape}, mode is {mode!r}"
            )
    return Correlation(
        x,
        k[::-1, ::-1] if convolve else k,
        dtype,
        shape,
        top,
        left,
        boundary,
        _fillvalue(fillvalue, dtype),
        _out(out, shape, dtype),
    )


@functools.lru_cache(maxsize=256)
def geometry(
    x_shape: tuple[int, ...], k_shape: tuple[int, ...], mode: str, boundary: str, convolve: bool
) -> tuple[tuple[int, ...], int, int]:
    """Shape of the result, and how far the window of its first pixel begins above and left of x.

    `mode` and `boundary` are known to be names; what does not fit raises the errors of `corr2d`.
    """
    if len(x_shape) < 2:
        raise ValueError(f"x must have at least 2 dimensions (..., H, W); got shape {x_shape}")
    if len(k_shape) != 2:
        raise ValueError(f"k must have 2 dimensions (h, w); got shape {k_shape}")
    (H, W), (h, w) = x_shape[-2:], k_shape
    if h == 0 or w == 0:
        raise ValueError(f"k must not be empty; got shape {k_shape}")
    if mode == "valid":
        if h > H or w > W:
            raise ValueError(
                f"k of shape {k_shape} does not fit into x of shape {x_shape} in mode 'valid'; "
                "exchange the two, or use mode 'same' or 'full'"
            )
        OH, OW, top, left = H - h + 1, W - w + 1, 0, 0
    elif mode == "same":
        # SciPy's centring: correlate2d at (h-1)//2, convolve2d (of the flipped kernel) at h//2.
        OH, OW = H, W
        top, left = (h // 2, w // 2) if convolve else ((h - 1) // 2, (w - 1) // 2)
    else:
        OH, OW, top, left = H + h - 1, W + w - 1, h - 1, w - 1
    shape = (*x_shape[:-2], OH, OW)
    if boundary != "constant" and 0 in (H, W) and 0 not in shape:
        raise ValueError(f"x of shape {x_shape} is empty: boundary {boundary!r} has nothing to continue")
    return shape, top, left


def _array(value: ArrayLike, name: str) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; pass {name}.filled(value)")
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged nesting
        raise ValueError(f"{name} is not an array of numbers: {error}") from None
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; bool, integers, float16, float32 and float64 are supported")
    return array


def _result_dtype(x: np.dtype[Any], k: np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's promotion for floats; like numpy.sum, int64 for bool and integers."""
    if x.kind in "biu" and k.kind in "biu":
        return np.dtype(np.int64)
    return np.result_type(x, k).newbyteorder("=")


def _fillvalue(value: Any, dtype: np.dtype[Any]) -> int | float:
    if type(value) is not int and type(value) is not float:
        scalar = np.asarray(value)[()] if isinstance(value, (bool, int, float, np.generic, np.ndarray)) else None
        if not isinstance(scalar, (np.bool, np.integer, np.floating)):  # an array, complex, a string, ...
            raise TypeError(f"fillvalue must be a real scalar; got {value!r}")
        value = scalar.item()
    if dtype.kind == "i":
        if not math.isfinite(value) or value != int(value):
            raise ValueError(f"fillvalue must be an integer, because x and k are; got {value!r}")
        value = int(value)
    number: int | float = value
    limit = int(np.iinfo(dtype).max) if dtype.kind == "i" else float(np.finfo(dtype).max)
    if abs(number) > limit and not (isinstance(number, float) and math.isinf(number)):
        raise ValueError(f"fillvalue does not fit into the result's dtype {dtype}; got {value!r}")
    return number


def _out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    if out is None:
        return None
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a numpy.ndarray; got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}; the result has dtype {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; the result has shape {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out
