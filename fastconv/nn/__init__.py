# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers on NumPy arrays: what deep learning calls convolution, which is correlation with channels."""

from fastconv.nn.folding import fold, unfold
from fastconv.nn.functional import Explanation, conv1d, conv2d, conv3d, explain
from fastconv.nn.gradients import (
    Gradients,
    conv1d_backward,
    conv1d_bias,
    conv1d_input,
    conv1d_weight,
    conv2d_backward,
    conv2d_bias,
    conv2d_input,
    conv2d_weight,
    conv3d_backward,
    conv3d_bias,
    conv3d_input,
    conv3d_weight,
)
from fastconv.nn.modules import Conv1d, Conv2d, Conv3d
from fastconv.nn.optim import SGD, Parameter
from fastconv.nn.transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = [
    "SGD",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Explanation",
    "Gradients",
    "Parameter",
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
    "unfold",
]
