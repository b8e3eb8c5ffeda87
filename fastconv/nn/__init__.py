# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers on NumPy arrays: what deep learning calls convolution, which is correlation with channels."""

from fastconv.nn.functional import conv1d, conv2d, conv3d
from fastconv.nn.modules import Conv1d, Conv2d, Conv3d

__all__ = ["Conv1d", "Conv2d", "Conv3d", "conv1d", "conv2d", "conv3d"]
