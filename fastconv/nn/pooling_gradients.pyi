# SPDX-License-Identifier: BSD-3-Clause
"""Types of the gradients of pooling: results have grad_output's dtype."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.typing import IntOrTuple, Layout1d, Layout2d, Layout3d, PoolMethod, PoolPadding

__all__ = [
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward",
    "avg_pool1d_backward",
    "avg_pool2d_backward",
    "avg_pool3d_backward",
    "max_pool1d_backward",
    "max_pool2d_backward",
    "max_pool3d_backward",
]

_T = TypeVar("_T", bound=np.generic)
_L_contra = TypeVar("_L_contra", contravariant=True)
_Outputs: TypeAlias = int | Sequence[int | None] | None

class _HowPool(TypedDict, total=False):
    out: NDArray[Any] | None
    method: PoolMethod
    threads: int | None

class _MaxPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        grad_output: NDArray[_T],
        input: ArrayLike,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        *,
        indices: ArrayLike | None = None,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        grad_output: ArrayLike,
        input: ArrayLike,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
        *,
        indices: ArrayLike | None = None,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...

class _AvgPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        grad_output: NDArray[_T],
        input_size: Sequence[int],
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
        grad_output: ArrayLike,
        input_size: Sequence[int],
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

class _AdaptiveMaxPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        grad_output: NDArray[_T],
        input: ArrayLike,
        output_size: _Outputs,
        *,
        indices: ArrayLike | None = None,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        grad_output: ArrayLike,
        input: ArrayLike,
        output_size: _Outputs,
        *,
        indices: ArrayLike | None = None,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...

class _AdaptiveAvgPool(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        grad_output: NDArray[_T],
        input_size: Sequence[int],
        output_size: _Outputs,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        grad_output: ArrayLike,
        input_size: Sequence[int],
        output_size: _Outputs,
        *,
        layout: _L_contra | None = None,
        **how: Unpack[_HowPool],
    ) -> NDArray[Any]: ...

max_pool1d_backward: _MaxPool[Layout1d]
max_pool2d_backward: _MaxPool[Layout2d]
max_pool3d_backward: _MaxPool[Layout3d]
avg_pool1d_backward: _AvgPool[Layout1d]
avg_pool2d_backward: _AvgPool[Layout2d]
avg_pool3d_backward: _AvgPool[Layout3d]
adaptive_max_pool1d_backward: _AdaptiveMaxPool[Layout1d]
adaptive_max_pool2d_backward: _AdaptiveMaxPool[Layout2d]
adaptive_max_pool3d_backward: _AdaptiveMaxPool[Layout3d]
adaptive_avg_pool1d_backward: _AdaptiveAvgPool[Layout1d]
adaptive_avg_pool2d_backward: _AdaptiveAvgPool[Layout2d]
adaptive_avg_pool3d_backward: _AdaptiveAvgPool[Layout3d]
