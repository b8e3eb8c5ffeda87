# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of `signal`: which array slides over which, outputs, axes, dtypes, as SciPy takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.axes import MODES
from fastconv.arguments.filters import real
from fastconv.arguments.values import as_array

LONGEST = 2.0**60  # an array of as many lags is larger than addresses go


def as_mode(mode: Any, says: str = "Acceptable mode flags are 'valid', 'same', or 'full'") -> None:
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"{says}; got mode={mode!r}")


def as_length(value: Any, name: str) -> Any:
    if not -LONGEST < (value if type(value) is int else real(value, name)) < LONGEST:  # or NaN
        raise ValueError(f"{name} must be the length of a signal; got {value!r}")
    return value


def reversed_conj(k: NDArray[Any]) -> NDArray[Any]:
    reverse: tuple[Any, ...] = (..., *(slice(None, None, -1),) * k.ndim)  # an array, also of no dimensions
    k = k[reverse]
    return k.conj() if k.dtype.kind == "c" else k


def needs_swap(mode: Any, x: Sequence[int], k: Sequence[int]) -> bool:
    """Whether in2 is the one that in1 fits into, for "valid"."""
    if mode != "valid" or all(n >= m for n, m in zip(x, k, strict=True)):
        return False
    if all(n <= m for n, m in zip(x, k, strict=True)):
        return True
    raise ValueError(
        "For 'valid' mode, one must be at least as large as the other in every dimension; "
        f"got shapes {tuple(x)} and {tuple(k)}"
    )


def outputs(mode: str, x: Sequence[int], k: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(first one, how many) of the outputs of a whole convolution, along each axis."""
    pairs = list(zip(x, k, strict=True))
    if mode == "full":
        return (0,) * len(pairs), tuple(max(n + m - 1, 0) for n, m in pairs)
    if mode == "same":
        return tuple(max(m - 1, 0) // 2 for _, m in pairs), tuple(n for n, _ in pairs)
    return tuple(m - 1 for _, m in pairs), tuple(n - m + 1 for n, m in pairs)


def axes_of(axes: Any, ndim: int) -> list[int]:
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


def fill_of(value: Any, dtype: np.dtype[Any]) -> complex:
    """As SciPy casts it: fractions of integers are cut off, None is NaN, and what does not fit is an error."""
    fill = as_array(value, "fillvalue")
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


def dtypes_of(x: NDArray[Any], k: NDArray[Any]) -> str:
    return f"the arrays in1 and in2 have dtypes {x.dtype} and {k.dtype}, numbers are taken"


def in_floats(a: NDArray[Any]) -> NDArray[Any]:
    if a.dtype.kind in "fc":
        return a.astype(np.float32) if a.dtype.itemsize == 2 else a
    if a.dtype.kind in "mM":
        raise TypeError(f"an input has dtype {a.dtype}; numbers are supported")
    return a.astype(np.float64)


def data_of(x: NDArray[Any], in1: Any, in2: Any) -> Any:
    """The argument that x is, if it is the larger one: the next call may have other elements there."""
    if type(in1) is type(in2) is np.ndarray and x is (in1 if in1.size >= in2.size else in2):
        return x
    return None
