# SPDX-License-Identifier: BSD-3-Clause
"""fastconv in PyTorch: convolutions of CPU tensors that autograd differentiates, and models that use them.

Tensors are read where they are, as NumPy views of any strides. A gradient is computed only for what needs one, and
cannot be differentiated again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import nn
from fastconv.arguments import IntOrTuple, _per_axis
from fastconv.layers import Padding

try:
    import torch
    from torch.autograd.function import once_differentiable
except ImportError as error:
    raise ImportError('fastconv.torch needs PyTorch: pip install "fastconv[torch]"') from error

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "replace_convs",
]

CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
BACKWARD = {1: nn.conv1d_backward, 2: nn.conv2d_backward, 3: nn.conv3d_backward}
TRANSPOSED = {1: nn.conv_transpose1d, 2: nn.conv_transpose2d, 3: nn.conv_transpose3d}
WEIGHT = {1: nn.conv1d_weight, 2: nn.conv2d_weight, 3: nn.conv3d_weight}
BIAS = {1: nn.conv1d_bias, 2: nn.conv2d_bias, 3: nn.conv3d_bias}
FLOATS = (torch.float16, torch.float32, torch.float64)


def conv1d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> torch.Tensor:
    """`torch.nn.functional.conv1d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 3))
    tensor([[[3., 3.]]])
    """
    return _Conv.apply(1, input, weight, bias, (stride, padding, dilation, groups), padding_mode)


def conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> torch.Tensor:
    """`torch.nn.functional.conv2d`, computed and differentiated by `nn.conv2d` and `nn.conv2d_backward`.

    Parameters
    ----------
    input, weight, bias : Tensor
        float16, float32 or float64, on the CPU.
    stride, padding, dilation, groups, padding_mode
        As for `nn.conv2d`, which takes all that `torch.nn.functional.conv2d` does, and more.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError, TypeError
        A tensor elsewhere or of another dtype, and what `nn.conv2d` raises.
    RuntimeError
        A gradient is to be differentiated.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> x, w = torch.ones(1, 2, 3, 3), torch.ones(1, 2, 2, 2, requires_grad=True)
    >>> fastconv.torch.conv2d(x, w).sum().backward()
    >>> w.grad.flatten()
    tensor([4., 4., 4., 4., 4., 4., 4., 4.])
    """
    return _Conv.apply(2, input, weight, bias, (stride, padding, dilation, groups), padding_mode)


def conv3d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> torch.Tensor:
    """`torch.nn.functional.conv3d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2))
    tensor([[[[[8.]]]]])
    """
    return _Conv.apply(3, input, weight, bias, (stride, padding, dilation, groups), padding_mode)


def conv_transpose1d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> torch.Tensor:
    """`torch.nn.functional.conv_transpose1d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv_transpose1d(torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    tensor([[[1., 2., 1.]]])
    """
    return _Transposed.apply(1, input, weight, bias, (stride, padding, dilation, groups), output_padding)


def conv_transpose2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> torch.Tensor:
    """`torch.nn.functional.conv_transpose2d`, computed by `nn.conv_transpose2d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv_transpose2d(torch.ones(1, 3, 4, 4), torch.ones(3, 5, 2, 2), stride=2).shape
    torch.Size([1, 5, 8, 8])
    """
    return _Transposed.apply(2, input, weight, bias, (stride, padding, dilation, groups), output_padding)


def conv_transpose3d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> torch.Tensor:
    """`torch.nn.functional.conv_transpose3d`; see `conv2d`.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> fastconv.torch.conv_transpose3d(torch.ones(1, 3, 2, 2, 2), torch.ones(3, 5, 2, 2, 2), stride=2).shape
    torch.Size([1, 5, 4, 4, 4])
    """
    return _Transposed.apply(3, input, weight, bias, (stride, padding, dilation, groups), output_padding)


def replace_convs(model: torch.nn.Module) -> torch.nn.Module:
    """Let every Conv1d, Conv2d and Conv3d of a model compute with fastconv.

    The modules stay what they are but for their class, a subclass of their own: parameters, hooks and the keys of
    `state_dict` are the same. Optimisers that hold the parameters go on.

    Parameters
    ----------
    model : torch.nn.Module
        On the CPU. May be such a module itself.

    Returns
    -------
    torch.nn.Module
        The model, changed in place.

    Raises
    ------
    TypeError, ValueError
        A parameter is elsewhere or of another dtype than float16, float32 or float64; a module is of a subclass (lazy,
        quantised, parametrised) of the three. No module is changed then.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> fastconv.torch.replace_convs(model)(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 4, 3, 3])
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    found = []
    for path, module in model.named_modules():
        is_conv = isinstance(module, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d))
        if not is_conv or type(module) in REPLACED.values():
            continue
        if type(module) not in REPLACED:
            raise TypeError(
                f"{path or 'model'} is a {type(module).__name__}; of convolutions, torch.nn.Conv1d, Conv2d and Conv3d "
                "themselves are accepted"
            )
        for name, parameter in module.named_parameters(path, recurse=False):
            _array(parameter, name)
        found.append(module)
    for module in found:
        module.__class__ = REPLACED[type(module)]
    return model


class Conv1d(torch.nn.Conv1d):
    """A torch.nn.Conv1d that computes with fastconv."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv1d(input, weight, bias, **_options(self))


class Conv2d(torch.nn.Conv2d):
    """A torch.nn.Conv2d that computes with fastconv."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv2d(input, weight, bias, **_options(self))


class Conv3d(torch.nn.Conv3d):
    """A torch.nn.Conv3d that computes with fastconv."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv3d(input, weight, bias, **_options(self))


REPLACED: dict[Any, Any] = {torch.nn.Conv1d: Conv1d, torch.nn.Conv2d: Conv2d, torch.nn.Conv3d: Conv3d}


def _options(module: torch.nn.Module) -> dict[str, Any]:
    return {name: getattr(module, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")}


# ---- nodes of the graph --------------------------------------------------------------------------


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rank: int,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        how: tuple[Any, ...],
        padding_mode: str,
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.rank, ctx.how, ctx.padding_mode = rank, how, padding_mode
        arrays = _arrays(input, weight, bias)
        return torch.from_numpy(CONV[rank](*arrays, *how, padding_mode=padding_mode))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        arrays = _array(grad_output, "grad_output"), _array(input, "input"), _array(weight, "weight")
        needs = ctx.needs_input_grad[1:4]
        gradients = BACKWARD[ctx.rank](*arrays, *ctx.how, padding_mode=ctx.padding_mode, needs=needs)
        return None, *(None if g is None else torch.from_numpy(g) for g in gradients), None, None


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rank: int,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        how: tuple[Any, ...],
        output_padding: IntOrTuple,
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.rank, ctx.how, ctx.output_padding = rank, how, output_padding
        stride, padding, dilation, groups = how
        arrays = _arrays(input, weight, bias)
        return torch.from_numpy(TRANSPOSED[rank](*arrays, stride, padding, output_padding, groups, dilation))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """By the layer that this is the adjoint of: grad_output is its input, `input` the gradient of its output, but
        for outputs that output_padding may add."""
        rank, how, needs = ctx.rank, ctx.how, ctx.needs_input_grad[1:4]
        grad = _array(grad_output, "grad_output")
        x, w = (_array(t, name) for t, name in zip(ctx.saved_tensors, ("input", "weight"), strict=True))
        gradients: list[NDArray[Any] | None] = [None, None, None]
        if needs[0]:
            there: tuple[Any, ...] = (..., *map(slice, x.shape[-rank:]))
            gradients[0] = np.ascontiguousarray(CONV[rank](grad, w, None, *how)[there])
        if needs[1]:
            gradients[1] = WEIGHT[rank](grad, w.shape, _with_added(x, rank, ctx.output_padding, how[0]), *how)
        if needs[2]:
            gradients[2] = BIAS[rank](grad)
        return None, *(None if g is None else torch.from_numpy(g) for g in gradients), None, None


def _with_added(x: NDArray[Any], rank: int, output_padding: IntOrTuple, stride: IntOrTuple) -> NDArray[Any]:
    """x and zeros for the outputs of the layer that output_padding adds: some, where it is no less than the stride."""
    more = _per_axis(output_padding, rank, "output_padding", least=0)
    added = [n // s for n, s in zip(more, _per_axis(stride, rank, "stride"), strict=True)]
    return np.pad(x, [(0, 0)] * (x.ndim - rank) + [(0, n) for n in added]) if any(added) else x


def _arrays(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    return _array(input, "input"), _array(weight, "weight"), None if bias is None else _array(bias, "bias")


def _array(tensor: torch.Tensor, name: str) -> NDArray[Any]:
    """A view of the tensor's elements."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor; got {type(tensor).__name__}")
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor on the CPU; got one of {tensor.layout} on {tensor.device}")
    if tensor.dtype not in FLOATS:
        raise TypeError(f"{name} must have dtype float16, float32 or float64; got {tensor.dtype}")
    view: NDArray[Any] = tensor.detach().resolve_neg().numpy()
    return view
