# SPDX-License-Identifier: BSD-3-Clause
"""Types of ndimage: results have the dtype of the input or of the output. The documentation is in ndimage.py."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

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

_T = TypeVar("_T", bound=np.generic)
Output = NDArray[Any] | DTypeLike | None
Modes = str | Sequence[str]
BOUNDARIES: dict[str, str]

@overload
def convolve(
    input: NDArray[_T],
    weights: ArrayLike,
    output: None = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def convolve(
    input: ArrayLike,
    weights: ArrayLike,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: str = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def convolve(
    input: ArrayLike,
    weights: ArrayLike,
    output: Output = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def convolve1d(
    input: NDArray[_T],
    weights: ArrayLike,
    axis: int = ...,
    output: None = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[_T]: ...
@overload
def convolve1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: int = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[_T]: ...
@overload
def convolve1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: int = ...,
    output: Output = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[Any]: ...
@overload
def correlate(
    input: NDArray[_T],
    weights: ArrayLike,
    output: None = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def correlate(
    input: ArrayLike,
    weights: ArrayLike,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: str = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def correlate(
    input: ArrayLike,
    weights: ArrayLike,
    output: Output = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def correlate1d(
    input: NDArray[_T],
    weights: ArrayLike,
    axis: int = ...,
    output: None = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[_T]: ...
@overload
def correlate1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: int = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[_T]: ...
@overload
def correlate1d(
    input: ArrayLike,
    weights: ArrayLike,
    axis: int = ...,
    output: Output = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[Any]: ...
@overload
def gaussian_filter(
    input: NDArray[_T],
    sigma: float | Sequence[float],
    order: int | Sequence[int] = ...,
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    truncate: float = ...,
    *,
    radius: int | Sequence[int] | None = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def gaussian_filter(
    input: ArrayLike,
    sigma: float | Sequence[float],
    order: int | Sequence[int] = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    truncate: float = ...,
    radius: int | Sequence[int] | None = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def gaussian_filter(
    input: ArrayLike,
    sigma: float | Sequence[float],
    order: int | Sequence[int] = ...,
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    truncate: float = ...,
    *,
    radius: int | Sequence[int] | None = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def gaussian_filter1d(
    input: NDArray[_T],
    sigma: float,
    axis: int = ...,
    order: int = ...,
    output: None = ...,
    mode: str = ...,
    cval: complex = ...,
    truncate: float = ...,
    *,
    radius: int | None = ...,
) -> NDArray[_T]: ...
@overload
def gaussian_filter1d(
    input: ArrayLike,
    sigma: float,
    axis: int = ...,
    order: int = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: str = ...,
    cval: complex = ...,
    truncate: float = ...,
    radius: int | None = ...,
) -> NDArray[_T]: ...
@overload
def gaussian_filter1d(
    input: ArrayLike,
    sigma: float,
    axis: int = ...,
    order: int = ...,
    output: Output = ...,
    mode: str = ...,
    cval: complex = ...,
    truncate: float = ...,
    *,
    radius: int | None = ...,
) -> NDArray[Any]: ...
@overload
def gaussian_gradient_magnitude(
    input: NDArray[_T],
    sigma: float | Sequence[float],
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    *,
    axes: int | Sequence[int] | None = ...,
    **kwargs: Any,
) -> NDArray[_T]: ...
@overload
def gaussian_gradient_magnitude(
    input: ArrayLike,
    sigma: float | Sequence[float],
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    axes: int | Sequence[int] | None = ...,
    **kwargs: Any,
) -> NDArray[_T]: ...
@overload
def gaussian_gradient_magnitude(
    input: ArrayLike,
    sigma: float | Sequence[float],
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    *,
    axes: int | Sequence[int] | None = ...,
    **kwargs: Any,
) -> NDArray[Any]: ...
@overload
def gaussian_laplace(
    input: NDArray[_T],
    sigma: float | Sequence[float],
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    *,
    axes: int | Sequence[int] | None = ...,
    **kwargs: Any,
) -> NDArray[_T]: ...
@overload
def gaussian_laplace(
    input: ArrayLike,
    sigma: float | Sequence[float],
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    axes: int | Sequence[int] | None = ...,
    **kwargs: Any,
) -> NDArray[_T]: ...
@overload
def gaussian_laplace(
    input: ArrayLike,
    sigma: float | Sequence[float],
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    *,
    axes: int | Sequence[int] | None = ...,
    **kwargs: Any,
) -> NDArray[Any]: ...
@overload
def generic_gradient_magnitude(
    input: NDArray[_T],
    derivative: Callable[..., Any],
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    extra_arguments: tuple[Any, ...] = ...,
    extra_keywords: dict[str, Any] | None = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def generic_gradient_magnitude(
    input: ArrayLike,
    derivative: Callable[..., Any],
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    extra_arguments: tuple[Any, ...] = ...,
    extra_keywords: dict[str, Any] | None = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def generic_gradient_magnitude(
    input: ArrayLike,
    derivative: Callable[..., Any],
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    extra_arguments: tuple[Any, ...] = ...,
    extra_keywords: dict[str, Any] | None = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def generic_laplace(
    input: NDArray[_T],
    derivative2: Callable[..., Any],
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    extra_arguments: tuple[Any, ...] = ...,
    extra_keywords: dict[str, Any] | None = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def generic_laplace(
    input: ArrayLike,
    derivative2: Callable[..., Any],
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    extra_arguments: tuple[Any, ...] = ...,
    extra_keywords: dict[str, Any] | None = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def generic_laplace(
    input: ArrayLike,
    derivative2: Callable[..., Any],
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    extra_arguments: tuple[Any, ...] = ...,
    extra_keywords: dict[str, Any] | None = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def laplace(
    input: NDArray[_T],
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def laplace(
    input: ArrayLike,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def laplace(
    input: ArrayLike,
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def prewitt(
    input: NDArray[_T], axis: int = ..., output: None = ..., mode: Modes = ..., cval: complex = ...
) -> NDArray[_T]: ...
@overload
def prewitt(
    input: ArrayLike,
    axis: int = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
) -> NDArray[_T]: ...
@overload
def prewitt(
    input: ArrayLike, axis: int = ..., output: Output = ..., mode: Modes = ..., cval: complex = ...
) -> NDArray[Any]: ...
@overload
def sobel(
    input: NDArray[_T], axis: int = ..., output: None = ..., mode: Modes = ..., cval: complex = ...
) -> NDArray[_T]: ...
@overload
def sobel(
    input: ArrayLike,
    axis: int = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
) -> NDArray[_T]: ...
@overload
def sobel(
    input: ArrayLike, axis: int = ..., output: Output = ..., mode: Modes = ..., cval: complex = ...
) -> NDArray[Any]: ...
@overload
def uniform_filter(
    input: NDArray[_T],
    size: int | Sequence[int] = ...,
    output: None = ...,
    mode: Modes = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def uniform_filter(
    input: ArrayLike,
    size: int | Sequence[int] = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: Modes = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[_T]: ...
@overload
def uniform_filter(
    input: ArrayLike,
    size: int | Sequence[int] = ...,
    output: Output = ...,
    mode: Modes = ...,
    cval: complex = ...,
    origin: int | Sequence[int] = ...,
    *,
    axes: int | Sequence[int] | None = ...,
) -> NDArray[Any]: ...
@overload
def uniform_filter1d(
    input: NDArray[_T],
    size: int,
    axis: int = ...,
    output: None = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[_T]: ...
@overload
def uniform_filter1d(
    input: ArrayLike,
    size: int,
    axis: int = ...,
    *,
    output: type[_T] | np.dtype[_T] | NDArray[_T],
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[_T]: ...
@overload
def uniform_filter1d(
    input: ArrayLike,
    size: int,
    axis: int = ...,
    output: Output = ...,
    mode: str = ...,
    cval: complex = ...,
    origin: int = ...,
) -> NDArray[Any]: ...
