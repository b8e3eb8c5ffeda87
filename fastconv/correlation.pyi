# SPDX-License-Identifier: BSD-3-Clause
"""Types of correlation: which dtype comes out. One protocol a signature; the documentation is in correlation.py."""

from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.typing import Boundaries, Boundary, IntOrTuple, Method, Mode, Nan, Overflow, Window

__all__ = [
    "Explanation",
    "convolve1d",
    "convolve2d",
    "convolve3d",
    "corr1d",
    "corr2d",
    "corr3d",
    "explain",
    "sepcorr2d",
]

_F = TypeVar("_F", np.float16, np.float32, np.float64, np.complex64, np.complex128)
_D = TypeVar("_D", bound=np.generic)
_Unsigned: TypeAlias = NDArray[np.uint64]
_Integers: TypeAlias = NDArray[np.integer[Any] | np.bool]

class _Anyhow(TypedDict, total=False):
    """Arguments that no dtype depends on."""

    overflow: Overflow
    out: NDArray[Any] | None
    method: Method
    threads: int | None

class _Along(_Anyhow, total=False):
    """Those of one dimension."""

    axis: int | None
    stride: int
    dilation: int
    window: slice | None

class _Over(_Anyhow, total=False):
    """Those of several."""

    axes: tuple[int, ...] | None
    stride: IntOrTuple
    dilation: IntOrTuple
    window: Window | None

class _Correlate1d(Protocol):
    """One axis."""

    @overload
    def __call__(
        self,
        x: NDArray[_F],
        k: NDArray[_F],
        mode: Mode = "valid",
        boundary: Boundary = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Along],
    ) -> NDArray[_F]: ...
    @overload
    def __call__(
        self,
        x: _Unsigned,
        k: _Unsigned,
        mode: Mode = "valid",
        boundary: Boundary = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Literal["propagate"] = "propagate",
        mask: None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Along],
    ) -> _Unsigned: ...
    @overload
    def __call__(
        self,
        x: _Integers,
        k: _Integers,
        mode: Mode = "valid",
        boundary: Boundary = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Literal["propagate"] = "propagate",
        mask: None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Along],
    ) -> NDArray[np.int64]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        k: ArrayLike,
        mode: Mode = "valid",
        boundary: Boundary = "constant",
        fillvalue: complex = 0,
        *,
        dtype: type[_D] | np.dtype[_D],
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Along],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        k: ArrayLike,
        mode: Mode = "valid",
        boundary: Boundary = "constant",
        fillvalue: complex = 0,
        *,
        dtype: DTypeLike | None = None,
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: bool = False,
        **how: Unpack[_Along],
    ) -> Any: ...

class _Correlate(Protocol):
    """Two or three axes."""

    @overload
    def __call__(
        self,
        x: NDArray[_F],
        k: NDArray[_F],
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> NDArray[_F]: ...
    @overload
    def __call__(
        self,
        x: _Unsigned,
        k: _Unsigned,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Literal["propagate"] = "propagate",
        mask: None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> _Unsigned: ...
    @overload
    def __call__(
        self,
        x: _Integers,
        k: _Integers,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Literal["propagate"] = "propagate",
        mask: None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> NDArray[np.int64]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        k: ArrayLike,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: type[_D] | np.dtype[_D],
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        k: ArrayLike,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: DTypeLike | None = None,
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: bool = False,
        **how: Unpack[_Over],
    ) -> Any: ...

class _CorrelateFactors(Protocol):
    """Two axes, and a kernel for each."""

    @overload
    def __call__(
        self,
        x: NDArray[_F],
        ky: NDArray[_F],
        kx: NDArray[_F],
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> NDArray[_F]: ...
    @overload
    def __call__(
        self,
        x: _Unsigned,
        ky: _Unsigned,
        kx: _Unsigned,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Literal["propagate"] = "propagate",
        mask: None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> _Unsigned: ...
    @overload
    def __call__(
        self,
        x: _Integers,
        ky: _Integers,
        kx: _Integers,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: None = None,
        nan: Literal["propagate"] = "propagate",
        mask: None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> NDArray[np.int64]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        ky: ArrayLike,
        kx: ArrayLike,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: type[_D] | np.dtype[_D],
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: Literal[False] = False,
        **how: Unpack[_Over],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        ky: ArrayLike,
        kx: ArrayLike,
        mode: Mode = "valid",
        boundary: Boundaries = "constant",
        fillvalue: complex = 0,
        *,
        dtype: DTypeLike | None = None,
        nan: Nan = "propagate",
        mask: ArrayLike | None = None,
        return_weight: bool = False,
        **how: Unpack[_Over],
    ) -> Any: ...

convolve1d: _Correlate1d
convolve2d: _Correlate
convolve3d: _Correlate
corr1d: _Correlate1d
corr2d: _Correlate
corr3d: _Correlate
sepcorr2d: _CorrelateFactors

class Explanation(NamedTuple):
    method: str
    why: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    isa: str
    tile: str
    threads: int
    chunks: int
    serial_us: float

def explain(
    x_shape: tuple[int, ...],
    k: tuple[int, ...] | NDArray[Any],
    mode: Mode = "valid",
    boundary: Boundaries = "constant",
    *,
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    dtype: DTypeLike = ...,
    method: Method = "auto",
    threads: int | None = None,
    rank: int | None = None,
) -> Explanation: ...
