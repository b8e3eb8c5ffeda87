# SPDX-License-Identifier: BSD-3-Clause
"""Types of kernels: they have the dtype that is asked for, or float32. One protocol a signature; the documentation is
in kernels.py."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

__all__ = [
    "NAMED",
    "box",
    "dog",
    "emboss",
    "gabor",
    "gaussian",
    "identity",
    "laplacian",
    "log",
    "prewitt",
    "scharr",
    "sharpen",
    "sobel",
    "unsharp",
]

_D = TypeVar("_D", bound=np.generic, default=np.float32)
Kernel: TypeAlias = NDArray[Any]
Weights: TypeAlias = NDArray[np.floating[Any]]
Size: TypeAlias = int | Sequence[int]
Sigma: TypeAlias = float | Sequence[float]
NAMED: dict[str, tuple[Callable[..., Kernel], ...]]
LARGEST: int

class _Sized(Protocol):
    @overload
    def __call__(self, size: Size = 3, *, ndim: int = 2, dtype: type[_D] | np.dtype[_D] = ...) -> NDArray[_D]: ...
    @overload
    def __call__(self, size: Size = 3, *, ndim: int = 2, dtype: DTypeLike) -> NDArray[Any]: ...

class _Blur(Protocol):
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: Sigma | None = None,
        *,
        ndim: int = 2,
        dtype: type[_D] | np.dtype[_D] = ...,
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self, size: Size | None = None, sigma: Sigma | None = None, *, ndim: int = 2, dtype: DTypeLike
    ) -> NDArray[Any]: ...

class _Derivative(Protocol):
    @overload
    def __call__(
        self, axis: int = -1, size: Size = 3, *, ndim: int = 2, dtype: type[_D] | np.dtype[_D] = ...
    ) -> NDArray[_D]: ...
    @overload
    def __call__(self, axis: int = -1, size: Size = 3, *, ndim: int = 2, dtype: DTypeLike) -> NDArray[Any]: ...

class _Scharr(Protocol):
    @overload
    def __call__(self, axis: int = -1, *, ndim: int = 2, dtype: type[_D] | np.dtype[_D] = ...) -> NDArray[_D]: ...
    @overload
    def __call__(self, axis: int = -1, *, ndim: int = 2, dtype: DTypeLike) -> NDArray[Any]: ...

class _Laplacian(Protocol):
    @overload
    def __call__(
        self, *, ndim: int = 2, connectivity: int = 1, dtype: type[_D] | np.dtype[_D] = ...
    ) -> NDArray[_D]: ...
    @overload
    def __call__(self, *, ndim: int = 2, connectivity: int = 1, dtype: DTypeLike) -> NDArray[Any]: ...

class _Difference(Protocol):
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: Sigma | None = None,
        ratio: float = 1.6,
        *,
        ndim: int = 2,
        dtype: type[_D] | np.dtype[_D] = ...,
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: Sigma | None = None,
        ratio: float = 1.6,
        *,
        ndim: int = 2,
        dtype: DTypeLike,
    ) -> NDArray[Any]: ...

class _Unsharp(Protocol):
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: Sigma | None = None,
        amount: float = 1.0,
        *,
        ndim: int = 2,
        dtype: type[_D] | np.dtype[_D] = ...,
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: Sigma | None = None,
        amount: float = 1.0,
        *,
        ndim: int = 2,
        dtype: DTypeLike,
    ) -> NDArray[Any]: ...

class _Emboss(Protocol):
    @overload
    def __call__(self, *, dtype: type[_D] | np.dtype[_D] = ...) -> NDArray[_D]: ...
    @overload
    def __call__(self, *, dtype: DTypeLike) -> NDArray[Any]: ...

class _Gabor(Protocol):
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: float | None = None,
        theta: float = 0.0,
        lambd: float | None = None,
        gamma: float = 0.5,
        psi: float = ...,
        *,
        dtype: type[_D] | np.dtype[_D] = ...,
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        size: Size | None = None,
        sigma: float | None = None,
        theta: float = 0.0,
        lambd: float | None = None,
        gamma: float = 0.5,
        psi: float = ...,
        *,
        dtype: DTypeLike,
    ) -> NDArray[Any]: ...

box: _Sized
dog: _Difference
emboss: _Emboss
gabor: _Gabor
gaussian: _Blur
identity: _Sized
laplacian: _Laplacian
log: _Blur
prewitt: _Derivative
scharr: _Scharr
sharpen: _Laplacian
sobel: _Derivative
unsharp: _Unsharp
