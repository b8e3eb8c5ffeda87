# SPDX-License-Identifier: BSD-3-Clause
"""Types of ndimage: results have the dtype of the output or, without, of the input. One protocol a signature; the
documentation is in ndimage.py."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from typing_extensions import TypeVar

from fastconv.typing import FilterMode, FilterModes, IntOrTuple

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]

_D = TypeVar("_D", bound=np.generic)
_T = TypeVar("_T", bound=np.generic)
_O = TypeVar("_O", bound=np.generic, default=_T)  # without an output the input's
_Typed: TypeAlias = type[_D] | np.dtype[_D] | NDArray[_D]
_Real: TypeAlias = float | Sequence[_Real] | NDArray[np.floating[Any] | np.integer[Any] | np.bool]  # others: complex
Output: TypeAlias = NDArray[Any] | DTypeLike | None

class _Weighted(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        weights: _Real,
        output: _Typed[_O] | None = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        origin: IntOrTuple = 0,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        weights: ArrayLike,
        output: Output = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        origin: IntOrTuple = 0,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[Any]: ...

class _Weighted1d(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        weights: _Real,
        axis: int = -1,
        output: _Typed[_O] | None = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        origin: int = 0,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        weights: ArrayLike,
        axis: int = -1,
        output: Output = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        origin: int = 0,
    ) -> NDArray[Any]: ...

class _Gaussian(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        sigma: float | Sequence[float],
        order: IntOrTuple = 0,
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        truncate: float = 4.0,
        *,
        radius: IntOrTuple | None = None,
        axes: IntOrTuple | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        sigma: float | Sequence[float],
        order: IntOrTuple = 0,
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        truncate: float = 4.0,
        *,
        radius: IntOrTuple | None = None,
        axes: IntOrTuple | None = None,
    ) -> NDArray[Any]: ...

class _Gaussian1d(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        sigma: float,
        axis: int = -1,
        order: int = 0,
        output: _Typed[_O] | None = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        truncate: float = 4.0,
        *,
        radius: int | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        sigma: float,
        axis: int = -1,
        order: int = 0,
        output: Output = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        truncate: float = 4.0,
        *,
        radius: int | None = None,
    ) -> NDArray[Any]: ...

class _OfGaussian(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        sigma: float | Sequence[float],
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        *,
        axes: IntOrTuple | None = None,
        **kwargs: Any,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        sigma: float | Sequence[float],
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        *,
        axes: IntOrTuple | None = None,
        **kwargs: Any,
    ) -> NDArray[Any]: ...

class _GenericGradient(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        derivative: Callable[..., Any],
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        extra_arguments: tuple[Any, ...] = (),
        extra_keywords: dict[str, Any] | None = None,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        derivative: Callable[..., Any],
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        extra_arguments: tuple[Any, ...] = (),
        extra_keywords: dict[str, Any] | None = None,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[Any]: ...

class _GenericLaplace(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        derivative2: Callable[..., Any],
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        extra_arguments: tuple[Any, ...] = (),
        extra_keywords: dict[str, Any] | None = None,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        derivative2: Callable[..., Any],
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        extra_arguments: tuple[Any, ...] = (),
        extra_keywords: dict[str, Any] | None = None,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[Any]: ...

class _Laplace(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[Any]: ...

class _Derivative(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        axis: int = -1,
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        axis: int = -1,
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
    ) -> NDArray[Any]: ...

class _Mean(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        size: IntOrTuple = 3,
        output: _Typed[_O] | None = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        origin: IntOrTuple = 0,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        size: IntOrTuple = 3,
        output: Output = None,
        mode: FilterModes = "reflect",
        cval: complex = 0.0,
        origin: IntOrTuple = 0,
        *,
        axes: IntOrTuple | None = None,
    ) -> NDArray[Any]: ...

class _Mean1d(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        size: int,
        axis: int = -1,
        output: _Typed[_O] | None = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        origin: int = 0,
    ) -> NDArray[_O]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        size: int,
        axis: int = -1,
        output: Output = None,
        mode: FilterMode = "reflect",
        cval: complex = 0.0,
        origin: int = 0,
    ) -> NDArray[Any]: ...

convolve: _Weighted
convolve1d: _Weighted1d
correlate: _Weighted
correlate1d: _Weighted1d
gaussian_filter: _Gaussian
gaussian_filter1d: _Gaussian1d
gaussian_gradient_magnitude: _OfGaussian
gaussian_laplace: _OfGaussian
generic_gradient_magnitude: _GenericGradient
generic_laplace: _GenericLaplace
laplace: _Laplace
prewitt: _Derivative
sobel: _Derivative
uniform_filter: _Mean
uniform_filter1d: _Mean1d
