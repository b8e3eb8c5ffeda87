# SPDX-License-Identifier: BSD-3-Clause
"""Types of signal: two arrays of one dtype give another one. The documentation is in signal.py."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

_T = TypeVar(
    "_T",
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.int64,
    np.uint64,
    np.float16,
    np.float32,
    np.float64,
    np.complex64,
    np.complex128,
)
_F = TypeVar("_F", np.float32, np.float64, np.complex64, np.complex128)
MODES: tuple[str, ...]
BOUNDARIES: dict[str, str]
METHODS: dict[str, str]
LITTLE_WORK: int

@overload
def choose_conv_method(in1: ArrayLike, in2: ArrayLike, mode: str = ..., measure: Literal[False] = ...) -> str: ...
@overload
def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: str = ..., *, measure: Literal[True]
) -> tuple[str, dict[str, float]]: ...
@overload
def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: str = ..., measure: bool = ...
) -> str | tuple[str, dict[str, float]]: ...
@overload
def convolve(in1: NDArray[_T], in2: NDArray[_T], mode: str = ..., method: str = ...) -> NDArray[_T]: ...
@overload
def convolve(in1: ArrayLike, in2: ArrayLike, mode: str = ..., method: str = ...) -> Any: ...
@overload
def convolve2d(
    in1: NDArray[_T], in2: NDArray[_T], mode: str = ..., boundary: str = ..., fillvalue: complex = ...
) -> NDArray[_T]: ...
@overload
def convolve2d(
    in1: ArrayLike, in2: ArrayLike, mode: str = ..., boundary: str = ..., fillvalue: complex = ...
) -> NDArray[Any]: ...
@overload
def correlate(in1: NDArray[_T], in2: NDArray[_T], mode: str = ..., method: str = ...) -> NDArray[_T]: ...
@overload
def correlate(in1: ArrayLike, in2: ArrayLike, mode: str = ..., method: str = ...) -> Any: ...
@overload
def correlate2d(
    in1: NDArray[_T], in2: NDArray[_T], mode: str = ..., boundary: str = ..., fillvalue: complex = ...
) -> NDArray[_T]: ...
@overload
def correlate2d(
    in1: ArrayLike, in2: ArrayLike, mode: str = ..., boundary: str = ..., fillvalue: complex = ...
) -> NDArray[Any]: ...
def correlation_lags(in1_len: int, in2_len: int, mode: str = ...) -> NDArray[np.int_]: ...
@overload
def fftconvolve(
    in1: NDArray[_F], in2: NDArray[_F], mode: str = ..., axes: int | Sequence[int] | None = ...
) -> NDArray[_F]: ...
@overload
def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = ..., axes: int | Sequence[int] | None = ...) -> Any: ...
@overload
def oaconvolve(
    in1: NDArray[_F], in2: NDArray[_F], mode: str = ..., axes: int | Sequence[int] | None = ...
) -> NDArray[_F]: ...
@overload
def oaconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = ..., axes: int | Sequence[int] | None = ...) -> Any: ...
@overload
def sepfir2d(input: NDArray[_F], hrow: ArrayLike, hcol: ArrayLike) -> NDArray[_F]: ...
@overload
def sepfir2d(input: ArrayLike, hrow: ArrayLike, hcol: ArrayLike) -> NDArray[Any]: ...
