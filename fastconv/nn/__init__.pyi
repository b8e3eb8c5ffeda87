# SPDX-License-Identifier: BSD-3-Clause
"""Types of nn: results have the dtype that is asked for or, without, of the array that comes first. One protocol a
signature; the documentation is where the functions are."""

from collections.abc import Sequence
from typing import Any, Protocol, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from typing_extensions import TypeVar as TypeVarWithDefault

from fastconv.nn.activations import Hardtanh, Identity, ReLU, ReLU6, Softmax
from fastconv.nn.convert import from_torch
from fastconv.nn.curves import GELU, Hardsigmoid, Hardswish, LeakyReLU, Sigmoid, SiLU, Tanh
from fastconv.nn.dropout import Dropout, Dropout1d, Dropout2d, Dropout3d, StochasticDepth
from fastconv.nn.explaining import Explanation, explain
from fastconv.nn.files import read_weights
from fastconv.nn.gradients import Gradients, conv1d_backward, conv2d_backward, conv3d_backward
from fastconv.nn.linear import BatchNorm1d, BatchNorm2d, BatchNorm3d, Linear
from fastconv.nn.merging import Add, Cat, Mul
from fastconv.nn.module import Module
from fastconv.nn.modules import Conv1d, Conv2d, Conv3d
from fastconv.nn.networks import Graph, Sequential
from fastconv.nn.optim import SGD, Parameter
from fastconv.nn.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from fastconv.nn.pooling_gradients import (
    adaptive_avg_pool1d_backward,
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d_backward,
    adaptive_max_pool1d_backward,
    adaptive_max_pool2d_backward,
    adaptive_max_pool3d_backward,
    avg_pool1d_backward,
    avg_pool2d_backward,
    avg_pool3d_backward,
    max_pool1d_backward,
    max_pool2d_backward,
    max_pool3d_backward,
)
from fastconv.nn.pools import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from fastconv.nn.quantized import QConv1d, QConv2d, QConv3d, qconv1d, qconv2d, qconv3d
from fastconv.nn.reshaping import ChannelShuffle, Flatten, PixelShuffle
from fastconv.nn.resizing import Upsample
from fastconv.nn.transposed_layers import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from fastconv.typing import (
    Accuracy,
    Activation,
    FoldMethod,
    GradientMethod,
    IntOrTuple,
    LayerMethod,
    Layout,
    Layout1d,
    Layout2d,
    Layout3d,
    Padding,
    PaddingMode,
)

__all__ = [
    "GELU",
    "SGD",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Cat",
    "ChannelShuffle",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Explanation",
    "Flatten",
    "Gradients",
    "Graph",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Module",
    "Mul",
    "Parameter",
    "PixelShuffle",
    "QConv1d",
    "QConv2d",
    "QConv3d",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "StochasticDepth",
    "Tanh",
    "Upsample",
    "activate",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_backward",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
    "conv1d",
    "conv1d_backward",
    "conv1d_bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_backward",
    "conv2d_bias",
    "conv2d_input",
    "conv2d_weight",
    "conv3d",
    "conv3d_backward",
    "conv3d_bias",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "explain",
    "fold",
    "from_torch",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
    "qconv1d",
    "qconv2d",
    "qconv3d",
    "read_weights",
    "unfold",
]

_T = TypeVar("_T", bound=np.generic)
_D = TypeVarWithDefault("_D", bound=np.generic, default=_T)
_L_contra = TypeVar("_L_contra", contravariant=True)

class _HowAny(TypedDict, total=False):
    """Arguments that no dtype depends on."""

    out: NDArray[Any] | None
    accuracy: Accuracy
    threads: int | None

class _How(_HowAny, total=False):
    method: LayerMethod

class _HowSums(_HowAny, total=False):
    """Of sums over outputs."""

    method: GradientMethod

class _Activate(Protocol):
    @overload
    def __call__(
        self, x: NDArray[_T], activation: Activation, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self, x: ArrayLike, activation: Activation, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]: ...

class _Conv(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        w: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        add: ArrayLike | None = None,
        activation: Activation = None,
        layout: _L_contra | None = None,
        dtype: type[_D] | np.dtype[_D] | None = None,
        **how: Unpack[_How],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        w: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        add: ArrayLike | None = None,
        activation: Activation = None,
        layout: _L_contra | None = None,
        dtype: DTypeLike | None = None,
        **how: Unpack[_How],
    ) -> NDArray[Any]: ...

class _Transposed(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        w: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        output_padding: IntOrTuple = 0,
        groups: int = 1,
        dilation: IntOrTuple = 1,
        *,
        activation: Activation = None,
        layout: _L_contra | None = None,
        dtype: type[_D] | np.dtype[_D] | None = None,
        **how: Unpack[_How],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        w: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        output_padding: IntOrTuple = 0,
        groups: int = 1,
        dilation: IntOrTuple = 1,
        *,
        activation: Activation = None,
        layout: _L_contra | None = None,
        dtype: DTypeLike | None = None,
        **how: Unpack[_How],
    ) -> NDArray[Any]: ...

class _Input(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        input_size: Sequence[int],
        weight: NDArray[_T],
        grad_output: ArrayLike,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        layout: _L_contra | None = None,
        dtype: type[_D] | np.dtype[_D] | None = None,
        **how: Unpack[_How],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        input_size: Sequence[int],
        weight: ArrayLike,
        grad_output: ArrayLike,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        layout: _L_contra | None = None,
        dtype: DTypeLike | None = None,
        **how: Unpack[_How],
    ) -> NDArray[Any]: ...

class _Weight(Protocol[_L_contra]):
    @overload
    def __call__(
        self,
        input: NDArray[_T],
        weight_size: Sequence[int],
        grad_output: ArrayLike,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        layout: _L_contra | None = None,
        dtype: type[_D] | np.dtype[_D] | None = None,
        **how: Unpack[_HowSums],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        weight_size: Sequence[int],
        grad_output: ArrayLike,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        *,
        padding_mode: PaddingMode = "zeros",
        layout: _L_contra | None = None,
        dtype: DTypeLike | None = None,
        **how: Unpack[_HowSums],
    ) -> NDArray[Any]: ...

class _Bias(Protocol):
    @overload
    def __call__(self, grad_output: NDArray[_T]) -> NDArray[_T]: ...
    @overload
    def __call__(self, grad_output: ArrayLike) -> NDArray[Any]: ...

class _Unfold(Protocol):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        kernel_size: IntOrTuple,
        dilation: IntOrTuple = 1,
        padding: Padding = 0,
        stride: IntOrTuple = 1,
        *,
        layout: Layout | None = None,
        method: FoldMethod = "auto",
        threads: int | None = None,
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        kernel_size: IntOrTuple,
        dilation: IntOrTuple = 1,
        padding: Padding = 0,
        stride: IntOrTuple = 1,
        *,
        layout: Layout | None = None,
        method: FoldMethod = "auto",
        threads: int | None = None,
    ) -> NDArray[Any]: ...

class _Fold(Protocol):
    @overload
    def __call__(
        self,
        x: NDArray[_T],
        output_size: IntOrTuple,
        kernel_size: IntOrTuple,
        dilation: IntOrTuple = 1,
        padding: Padding = 0,
        stride: IntOrTuple = 1,
        *,
        layout: Layout | None = None,
        method: FoldMethod = "auto",
        threads: int | None = None,
    ) -> NDArray[_T]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        output_size: IntOrTuple,
        kernel_size: IntOrTuple,
        dilation: IntOrTuple = 1,
        padding: Padding = 0,
        stride: IntOrTuple = 1,
        *,
        layout: Layout | None = None,
        method: FoldMethod = "auto",
        threads: int | None = None,
    ) -> NDArray[Any]: ...

activate: _Activate
conv1d: _Conv[Layout1d]
conv2d: _Conv[Layout2d]
conv3d: _Conv[Layout3d]
conv1d_bias: _Bias
conv2d_bias: _Bias
conv3d_bias: _Bias
conv1d_input: _Input[Layout1d]
conv2d_input: _Input[Layout2d]
conv3d_input: _Input[Layout3d]
conv1d_weight: _Weight[Layout1d]
conv2d_weight: _Weight[Layout2d]
conv3d_weight: _Weight[Layout3d]
conv_transpose1d: _Transposed[Layout1d]
conv_transpose2d: _Transposed[Layout2d]
conv_transpose3d: _Transposed[Layout3d]
fold: _Fold
unfold: _Unfold
