# SPDX-License-Identifier: BSD-3-Clause
"""Types of pooling: results have x's dtype, and come with indices where `return_indices` is True."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.pooling import Pool
from fastconv.typing import IntOrTuple, Layout1d, Layout2d, Layout3d, PoolMethod, PoolPadding

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

METHODS: tuple[str, ...]

_T = TypeVar("_T", bound=np.generic)
_L_contra = TypeVar("_L_contra", contravariant=True)

class _HowPool(TypedDict, total=False):
    out: NDArray[Any] | None
    method: PoolMethod
    threads: int | None

class _MaxPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        return_indices: Literal[False] = False,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        return_indices: Literal[False] = False,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        *,
        return_indices: Literal[True],
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> tuple[NDArray[_T], NDArray[np.int64]]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        *,
        return_indices: Literal[True],
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> tuple[NDArray[Any], NDArray[np.int64]]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> Any: ...

class _AvgPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...

_Outputs: TypeAlias = int | Sequence[int | None] | None

class _AdaptiveAvgPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        output_size: _Outputs,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        output_size: _Outputs,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...

class _AdaptiveMaxPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        output_size: _Outputs,
        return_indices: Literal[False] = False,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        output_size: _Outputs,
        return_indices: Literal[False] = False,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        output_size: _Outputs,
        return_indices: Literal[True],
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> tuple[NDArray[_T], NDArray[np.int64]]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        output_size: _Outputs,
        return_indices: Literal[True],
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> tuple[NDArray[Any], NDArray[np.int64]]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        output_size: _Outputs,
        return_indices: bool = False,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> Any: ...

max_pool1d: _MaxPool[Layout1d]
max_pool2d: _MaxPool[Layout2d]
max_pool3d: _MaxPool[Layout3d]
avg_pool1d: _AvgPool[Layout1d]
avg_pool2d: _AvgPool[Layout2d]
avg_pool3d: _AvgPool[Layout3d]
adaptive_max_pool1d: _AdaptiveMaxPool[Layout1d]
adaptive_max_pool2d: _AdaptiveMaxPool[Layout2d]
adaptive_max_pool3d: _AdaptiveMaxPool[Layout3d]
adaptive_avg_pool1d: _AdaptiveAvgPool[Layout1d]
adaptive_avg_pool2d: _AdaptiveAvgPool[Layout2d]
adaptive_avg_pool3d: _AdaptiveAvgPool[Layout3d]

def readable_x(c: Pool) -> NDArray[Any]: ...
