# SPDX-License-Identifier: BSD-3-Clause
"""fastconv in PyTorch: convolutions of CPU tensors that autograd differentiates, and models that use them.

Tensors are read where they are, as NumPy views of any strides. A gradient is computed only for what needs one; it is
made of convolutions itself, and can be differentiated again. `torch.func` (grad, vmap, jvp and what is made of them),
checkpoints, `torch.compile` and `torch.export` work; a transform inside compiled code is refused. bfloat16, and all
under autocast, is computed in float32; results have the dtype of PyTorch's. Channels that lie last in memory do so in
results and gradients, too.
"""

from __future__ import annotations

try:
    import torch
except ImportError as error:
    raise ImportError('fastconv.torch needs PyTorch: pip install "fastconv[torch]"') from error

from fastconv.torch_layers import layer
from fastconv.torch_modules import replace_convs
from fastconv.typing import Accuracy, IntOrTuple, Padding, PaddingMode

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "replace_convs",
]


def conv1d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    accuracy: Accuracy = "default",
) -> torch.Tensor:
    """`torch.nn.functional.conv1d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 3))
    tensor([[[3., 3.]]])
    """
    return layer(1, input, weight, bias, (stride, padding, dilation, groups, padding_mode, 0, accuracy))


def conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    accuracy: Accuracy = "default",
) -> torch.Tensor:
    """`torch.nn.functional.conv2d`, computed and differentiated by `nn.conv2d` and `nn.conv2d_backward`.

    Parameters
    ----------
    input, weight, bias : Tensor
        bfloat16, float16, float32 or float64, on the CPU.
    stride, padding, dilation, groups, padding_mode
        As for `nn.conv2d`, which takes all that `torch.nn.functional.conv2d` does, and more.
    accuracy : {"exact", "default", "fast"}
        How far rounding errors may go for speed, as for `nn.conv2d`; of the gradients, too.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError, TypeError
        A tensor elsewhere or of another dtype, and what `nn.conv2d` raises.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> x, w = torch.ones(1, 2, 3, 3), torch.ones(1, 2, 2, 2, requires_grad=True)
    >>> fastconv.torch.conv2d(x, w).sum().backward()
    >>> w.grad.flatten()
    tensor([4., 4., 4., 4., 4., 4., 4., 4.])
    """
    return layer(2, input, weight, bias, (stride, padding, dilation, groups, padding_mode, 0, accuracy))


def conv3d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    accuracy: Accuracy = "default",
) -> torch.Tensor:
    """`torch.nn.functional.conv3d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2))
    tensor([[[[[8.]]]]])
    """
    return layer(3, input, weight, bias, (stride, padding, dilation, groups, padding_mode, 0, accuracy))


def conv_transpose1d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    accuracy: Accuracy = "default",
) -> torch.Tensor:
    """`torch.nn.functional.conv_transpose1d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv_transpose1d(torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    tensor([[[1., 2., 1.]]])
    """
    asked = stride, padding, dilation, groups, "zeros", output_padding, accuracy
    return layer(1, input, weight, bias, asked, transposed=True)


def conv_transpose2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    accuracy: Accuracy = "default",
) -> torch.Tensor:
    """`torch.nn.functional.conv_transpose2d`, computed by `nn.conv_transpose2d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv_transpose2d(torch.ones(1, 3, 4, 4), torch.ones(3, 5, 2, 2), stride=2).shape
    torch.Size([1, 5, 8, 8])
    """
    asked = stride, padding, dilation, groups, "zeros", output_padding, accuracy
    return layer(2, input, weight, bias, asked, transposed=True)


def conv_transpose3d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    accuracy: Accuracy = "default",
) -> torch.Tensor:
    """`torch.nn.functional.conv_transpose3d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv_transpose3d(torch.ones(1, 3, 2, 2, 2), torch.ones(3, 5, 2, 2, 2), stride=2).shape
    torch.Size([1, 5, 4, 4, 4])
    """
    asked = stride, padding, dilation, groups, "zeros", output_padding, accuracy
    return layer(3, input, weight, bias, asked, transposed=True)
