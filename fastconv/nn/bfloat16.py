# SPDX-License-Identifier: BSD-3-Clause
"""Layers of bfloat16, the upper half of float32: a dtype that ml_dtypes and others bring, known by name.

All is computed in float32, and rounded once. (AVX512-BF16 rounds otherwise, and takes subnormal numbers for zeros.
Layers that were made of it were slower in 14 of 15 cases, and as fast in one: Intel Xeon with AMX.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layer_geometry import Options
from fastconv.arguments.layers import delivered
from fastconv.arguments.values import as_out
from fastconv.runtime import _core

NAME = "bfloat16"
Method = TypeVar("Method", bound=Callable[..., Any])


def is_bfloat16(a: Any) -> TypeGuard[NDArray[Any]]:
    """Whether it is an array of bfloat16."""
    return isinstance(a, np.ndarray) and a.dtype.kind == "V" and a.dtype.name == NAME


def of_floats(call: Callable[..., Any], x: NDArray[Any], out: NDArray[Any] | None = None, **how: Any) -> Any:
    """What a layer makes of x of bfloat16: computed in float32, and rounded once. how: of float32, or bfloat16, too."""
    given = {name: a.astype(np.float32) if is_bfloat16(a) else a for name, a in how.items()}
    y = call(x.astype(np.float32), **given)
    return None if y is None else _delivered(y, x.dtype, out)


def _delivered(y: NDArray[Any], dtype: np.dtype[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """y, of float32, in this dtype, and in `out` when there is one."""
    result, to = np.asarray(y, order="C"), as_out(out, y.shape, dtype)
    if _core is not None and dtype.name == NAME:
        bits = np.empty(y.shape, np.uint16)
        _core.round_bfloat16(result, bits)
        result = bits.view(dtype)
    return delivered(result, dtype, to)


def takes_bfloat16(method: Method) -> Method:
    """A method of a layer that takes x, or its gradient, of bfloat16, too."""

    @functools.wraps(method)
    def taking(self: Any, x: Any, *args: Any, **how: Any) -> Any:
        if is_bfloat16(x):
            return of_floats(functools.partial(method, self), x, *args, **how)
        return method(self, x, *args, **how)

    return cast(Method, taking)


def widened(named: Mapping[str, ArrayLike], asked: Any = None) -> tuple[list[NDArray[np.float32]], np.dtype[Any]]:
    """These arrays of bfloat16 in float32, and the dtype of what is made of them, if `asked` is."""
    first, arrays = next(iter(named)), [np.asarray(a) for a in named.values()]
    own = arrays[0].dtype
    for name, a in zip(named, arrays, strict=True):
        if a.dtype != own:
            raise TypeError(f"{name} has dtype {a.dtype} and {first} {own}: they must be the same")
    return [a.astype(np.float32) for a in arrays], own if asked is None else _asked(asked, own)


def rounded(call: Callable[..., Any], named: Mapping[str, ArrayLike], options: Options) -> NDArray[Any]:
    """What a function makes of these arrays of bfloat16: computed in float32, and rounded once."""
    wide, dtype = widened(named, options.dtype)
    y = call(*wide)
    return _delivered(y, dtype, options.out)


def of_rank(rank: int, *calls: Any) -> Any:
    """The function with so many axes, of one to three."""
    return calls[rank - 1]


def floats(bias: ArrayLike) -> NDArray[np.float32]:
    """A bias of a layer of bfloat16, which may be of float32, too."""
    array = np.asarray(bias)
    if array.dtype.name not in (NAME, "float32"):
        raise TypeError(f"bias has dtype {array.dtype}; {NAME} and float32 are accepted for x of {NAME}")
    return np.asarray(array, np.float32, "C")


def _asked(dtype: Any, own: np.dtype[Any]) -> np.dtype[Any]:
    for known in (own, np.dtype(np.float32)):
        if dtype in (known, known.name, known.type):
            return known
    raise TypeError(f"dtype must be {NAME} or float32 for x of {NAME}; got {dtype!r}")
