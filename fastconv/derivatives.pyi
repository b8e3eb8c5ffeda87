# SPDX-License-Identifier: BSD-3-Clause
"""Types of gradients: floats, as x or dtype tell. The documentation is in derivatives.py."""

from typing import Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.derivatives import Gradient
from fastconv.plans import Answer
from fastconv.typing import Boundaries, Derivative, Mode, Norm, Overflow

__all__ = ["gradient"]

METHODS: tuple[str, str]

def differentiated(g: Gradient, method: str, threads: int | None, asked: Any) -> Answer: ...

_D = TypeVar("_D", bound=np.generic)
_Kernel: TypeAlias = Derivative | tuple[ArrayLike, ArrayLike]

class _How(TypedDict, total=False):
    """Arguments that no dtype depends on."""

    size: int | None
    norm: Norm | None
    axes: tuple[int, ...] | None
    overflow: Overflow
    out: NDArray[Any] | None
    method: Literal["auto", "numpy"]
    threads: int | None

class _Gradient(Protocol):
    @overload
    def __call__(
        self,
        x: NDArray[np.float64],
        kernel: _Kernel = "sobel",
        mode: Mode = "same",
        boundary: Boundaries = "edge",
        fillvalue: float = 0,
        *,
        dtype: None = None,
        **how: Unpack[_How],
    ) -> NDArray[np.float64]: ...
    @overload
    def __call__(
        self,
        x: NDArray[np.floating[Any]],  # float16 or float32: wider ones are refused
        kernel: _Kernel = "sobel",
        mode: Mode = "same",
        boundary: Boundaries = "edge",
        fillvalue: float = 0,
        *,
        dtype: None = None,
        **how: Unpack[_How],
    ) -> NDArray[np.float32]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel: _Kernel = "sobel",
        mode: Mode = "same",
        boundary: Boundaries = "edge",
        fillvalue: float = 0,
        *,
        dtype: type[_D] | np.dtype[_D],
        **how: Unpack[_How],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel: _Kernel = "sobel",
        mode: Mode = "same",
        boundary: Boundaries = "edge",
        fillvalue: float = 0,
        *,
        dtype: DTypeLike | None = None,
        **how: Unpack[_How],
    ) -> NDArray[Any]: ...

gradient: _Gradient
