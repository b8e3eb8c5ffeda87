# SPDX-License-Identifier: BSD-3-Clause
"""One argument each: arrays, dtypes, words, numbers. What they are named is for the messages."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

FLOATS = ("float16", "float32", "float64")

# ---- arrays --------------------------------------------------------------------------------------


def as_array(value: Any, name: str) -> NDArray[Any]:
    """value as an ndarray, without a copy if it is one for others: by the buffer protocol, `__array__`,
    `__array_interface__` or, of arrays in the memory of the CPU, DLPack.

    Raises
    ------
    TypeError
        A masked array, a dask array.
    ValueError
        Ragged nesting.
    """
    if type(value) is np.ndarray:
        return value
    if is_lazy(value) or is_lazy(getattr(value, "data", None)):  # xarray's
        raise TypeError(f"{name} is a dask array, all of which would be loaded here: pass {name}.compute()")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be ignored; pass {name}.filled(value), or "
            f"leave elements out by fastconv.corr2d({name}.data, ..., mask=~{name}.mask)"
        )
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray) and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from None


def is_lazy(value: Any) -> bool:
    """Whether it is a dask array."""
    return type(value).__module__ == "dask.array.core"


def as_numbers(value: ArrayLike, name: str) -> NDArray[Any]:
    array = as_array(value, name)
    if not is_supported(array.dtype):
        raise TypeError(
            f"{name} has dtype {array.dtype}; bool, integers, float16, float32, float64, complex64 and complex128 "
            "are supported"
        )
    return array


def as_real(value: ArrayLike, name: str) -> NDArray[Any]:
    """An array of floats, integers or bools, in this machine's byte order."""
    array = as_numbers(value, name)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} has dtype {array.dtype}; floats, integers and bools are accepted")
    return native(array)


def as_own_numbers(value: Any, name: str) -> NDArray[Any]:
    """A copy, for the caller to keep: of a tensor that PyTorch differentiates, too, and of bfloat16 in float32."""
    if str(getattr(value, "dtype", None)).rpartition(".")[2] == "bfloat16":  # which holds all of them
        value = value.detach().float() if hasattr(value, "detach") else np.asarray(value).astype(np.float32)
    detach = getattr(value, "detach", None) if getattr(value, "requires_grad", False) is True else None
    return as_numbers(detach() if detach else value, name).copy()


def as_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
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


def native(a: NDArray[Any]) -> NDArray[Any]:
    """a in this machine's byte order: compiled code knows no other. Itself, if it is."""
    return a if a.dtype.isnative else a.astype(a.dtype.newbyteorder("="))


AT_ONCE = 1 << 24  # elements


def contiguous(a: NDArray[Any], dtype: DTypeLike | None = None) -> NDArray[Any]:
    """a in C order, of this dtype or its own; many elements are copied some at a time, so that Python hears Ctrl-C."""
    dtype = a.dtype if dtype is None else dtype
    if a.size <= AT_ONCE or (a.flags.c_contiguous and a.dtype == dtype):
        return np.asarray(a, dtype, "C")
    copy = np.empty(a.shape, dtype)
    axis = int(np.argmax(a.shape))
    step = max(AT_ONCE * a.shape[axis] // a.size, 1)
    for first in range(0, a.shape[axis], step):
        at = (slice(None),) * axis + (slice(first, first + step),)
        copy[at] = a[at]
    return copy


def is_finite(a: NDArray[Any]) -> bool:
    return a.dtype.kind not in "fc" or bool(np.isfinite(a).all())


def unrepeated(a: NDArray[Any]) -> NDArray[Any]:
    """a with one element in place of those that broadcasting repeats."""
    return a[tuple(slice(1) if step == 0 else slice(None) for step in a.strides)]


def left_to_scipy(module: str, has: str) -> Callable[[str], Any]:
    """The `__getattr__` of a drop-in, `has` being what it has of SciPy's module: other names are to be found there."""

    def __getattr__(name: str) -> Any:
        message = f"module 'fastconv.{module}' has no attribute {name!r}"
        if not name.startswith("_"):
            message += f": it has {has}; the rest is SciPy's, from scipy.{module} import {name}"
        raise AttributeError(message, name=name)

    return __getattr__


# ---- dtypes --------------------------------------------------------------------------------------


def is_supported(dtype: np.dtype[Any]) -> bool:
    return (dtype.kind in "biuf" and dtype.itemsize <= 8) or (dtype.kind == "c" and dtype.itemsize <= 16)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """That of the parts of complex numbers."""
    return np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype


@functools.lru_cache(maxsize=64)
def largest_of(dtype: np.dtype[Any]) -> float:
    """The largest finite number of a float dtype, or of the parts of a complex one."""
    return float(np.finfo(dtype).max)


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What the sums are made in: float16 is computed in float32."""
    return np.dtype(np.float32) if dtype.char == "e" else dtype


def native_dtype(asked: Any) -> np.dtype[Any] | None:
    """The dtype that a `dtype` argument asks for, in this machine's byte order: compiled code knows no other. None: it
    is no dtype."""
    try:
        dtype: np.dtype[Any] = np.dtype(asked).newbyteorder("=")
        return dtype
    except (TypeError, ValueError, OverflowError, SyntaxError):  # NumPy refuses in all these ways
        return None


def float_dtype(asked: Any) -> np.dtype[Any]:
    """The dtype of floats that a `dtype` argument asks for."""
    dtype = native_dtype(asked)
    if dtype is None or dtype.name not in FLOATS:
        raise TypeError(f"dtype must be float16, float32 or float64; got {asked if dtype is None else dtype!r}")
    return dtype


def dtype_of_sums(x: np.dtype[Any], k: np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's promotion for floats and complex; like numpy.sum, int64 for bool and integers, or uint64 if both are."""
    if x.kind in "biu" and k.kind in "biu":
        unsigned = x.kind == k.kind == "u" and x.itemsize == k.itemsize == 8
        return np.dtype(np.uint64 if unsigned else np.int64)
    return np.promote_types(x, k)  # in this machine's byte order


# ---- words and numbers ---------------------------------------------------------------------------


def as_word(value: Any, accepted: Collection[str], name: str) -> str:
    """value, if it is one of these words."""
    if not isinstance(value, str) or value not in accepted:
        raise ValueError(f"{name} must be one of {', '.join(accepted)}; got {value!r}")
    return value


def as_flag(value: Any, name: str) -> bool:
    """value as a bool; of what else has a truth only 0 and 1 are taken, so that no argument in a wrong place is."""
    if isinstance(value, (bool, np.bool)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} must be True or False; got {value!r}")


def as_index(value: Any) -> int:
    """An integer as Python's; True is none.

    Raises
    ------
    TypeError
        Without a message: the caller knows the argument's name.
    """
    if isinstance(value, (bool, np.bool)):
        raise TypeError
    return index(value)


def as_count(value: Any, name: str, least: int = 1) -> int:
    """value as one integer of at least `least`."""
    try:
        number = as_index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer; got {value!r}") from None
    return per_axis(number, 1, name, least)[0]


def as_amount(value: Any, name: str) -> float:
    """A finite number of 0 or more as Python's, which promotes no array."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number of 0 or more; got {value!r}")
    return float(value)


def is_listed(value: Any) -> bool:
    """Whether an argument has a number for each axis, or one for all. A mask would be ignored."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and not isinstance(value, np.ma.MaskedArray)
    return isinstance(value, (tuple, list))


def as_listed(value: Any) -> tuple[Any, ...]:
    """The elements of a sequence or an array; or what has none, alone."""
    return tuple(value) if isinstance(value, (tuple, list, np.ndarray)) and getattr(value, "ndim", True) else (value,)


MOST = sys.maxsize // 4  # a stride or the like: a sum of several is no larger than an index may be


def per_axis(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """value as `rank` integers of at least `least`."""
    if type(value) is int and least <= value <= MOST:
        return (value,) * rank
    listed = is_listed(value)
    values = value if listed else (value,) * min(rank, 1)
    if listed and len(values) != rank:
        raise ValueError(f"{name} must be an integer or {rank} of them; got {value!r}")
    try:
        numbers = tuple([as_index(v) for v in values])
    except TypeError:
        raise TypeError(f"{name} must be an integer or {rank} of them; got {value!r}") from None
    if min(numbers, default=least) < least:
        raise ValueError(f"{name} must be at least {least}; got {value!r}")
    if max(numbers, default=0) > MOST:
        raise ValueError(f"{name} is too large; got {value!r}")
    return numbers if listed else numbers * rank


def as_list(values: Any, name: str, of: str) -> list[Any]:
    """What values are; of: what they must be, for the message."""
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{name} must be several {of}; got {values!r}") from None


def generator(seed: Any) -> np.random.Generator:
    """The random numbers that a `seed` argument asks for."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        accepted = "None, an integer of 0 or more, or a numpy.random.Generator"
        raise type(error)(f"seed must be {accepted}; got {seed!r}") from None


def as_size(size: Any, name: str) -> tuple[int, ...]:
    try:
        numbers = tuple(as_index(n) for n in size)
    except TypeError:
        raise TypeError(f"{name} must be a shape, a tuple of integers; got {size!r}") from None
    if min(numbers, default=0) < 0:
        raise ValueError(f"{name} must not be negative; got {size!r}")
    return numbers
