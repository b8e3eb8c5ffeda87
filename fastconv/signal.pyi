# SPDX-License-Identifier: BSD-3-Clause
"""Types of signal: two arrays of one dtype give another one. One protocol a signature; the documentation is in
signal.py."""

from typing import Any, Literal, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.typing import ConvMethod, IntOrTuple, Mode, SignalBoundary

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
_Chosen = Literal["direct", "fft"]
METHODS: dict[str, str]

class _Convolve(Protocol):
    @overload
    def __call__(
        self, in1: NDArray[_T], in2: NDArray[_T], mode: Mode = "full", method: ConvMethod = "auto"
    ) -> NDArray[_T]: ...
    @overload
    def __call__(self, in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", method: ConvMethod = "auto") -> Any: ...

class _Convolve2d(Protocol):
    @overload
    def __call__(
        self,
        in1: NDArray[_T],
        in2: NDArray[_T],
        mode: Mode = "full",
        boundary: SignalBoundary = "fill",
        fillvalue: complex = 0,
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        in1: ArrayLike,
        in2: ArrayLike,
        mode: Mode = "full",
        boundary: SignalBoundary = "fill",
        fillvalue: complex = 0,
    ) -> NDArray[Any]: ...

class _Transform(Protocol):
    @overload
    def __call__(
        self, in1: NDArray[_F], in2: NDArray[_F], mode: Mode = "full", axes: IntOrTuple | None = None
    ) -> NDArray[_F]: ...
    @overload
    def __call__(self, in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", axes: IntOrTuple | None = None) -> Any: ...

convolve: _Convolve
convolve2d: _Convolve2d
correlate: _Convolve
correlate2d: _Convolve2d
fftconvolve: _Transform
oaconvolve: _Transform

@overload
def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", measure: Literal[False] = False
) -> _Chosen: ...
@overload
def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", *, measure: Literal[True]
) -> tuple[_Chosen, dict[str, float]]: ...
@overload
def choose_conv_method(
    in1: ArrayLike, in2: ArrayLike, mode: Mode = "full", measure: bool = False
) -> _Chosen | tuple[_Chosen, dict[str, float]]: ...
def correlation_lags(in1_len: int, in2_len: int, mode: Mode = "full") -> NDArray[np.int_]: ...
@overload
def sepfir2d(input: NDArray[_F], hrow: ArrayLike, hcol: ArrayLike) -> NDArray[_F]: ...
@overload
def sepfir2d(input: ArrayLike, hrow: ArrayLike, hcol: ArrayLike) -> NDArray[Any]: ...
