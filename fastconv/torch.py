# SPDX-License-Identifier: BSD-3-Clause
"""fastconv in PyTorch: convolutions of CPU tensors that autograd differentiates, and models that use them.

Tensors are read where they are, as NumPy views of any strides. A gradient is computed only for what needs one; it is
made of convolutions itself, and can be differentiated again. `torch.func` (grad, vmap, jvp and what is made of them),
checkpoints, `torch.compile` and `torch.export` work; a transform inside compiled code is refused. Under autocast
everything is computed in float16 if that is its dtype, else (bfloat16) in float32.
"""

from __future__ import annotations

import functools
from typing import Any

try:
    import torch
except ImportError as error:
    raise ImportError('fastconv.torch needs PyTorch: pip install "fastconv[torch]"') from error

from fastconv.arguments.layer_geometry import (
    GRADIENT_NAMES,
    Options,
    as_groups,
    as_padding,
    layer_geometry,
    pads_of,
    spans_of,
    transposed_geometry,
)
from fastconv.arguments.values import as_word, per_axis
from fastconv.nn.functional import ACCURACIES
from fastconv.torch_ops import How, product
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
    return _conv(1, input, weight, bias, Options(stride, padding, dilation, groups, padding_mode), accuracy)


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
        float16, float32 or float64, on the CPU.
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
    return _conv(2, input, weight, bias, Options(stride, padding, dilation, groups, padding_mode), accuracy)


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
    return _conv(3, input, weight, bias, Options(stride, padding, dilation, groups, padding_mode), accuracy)


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
    options = Options(stride, padding, dilation, groups)
    return _conv_transpose(1, input, weight, bias, output_padding, options, accuracy)


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
    options = Options(stride, padding, dilation, groups)
    return _conv_transpose(2, input, weight, bias, output_padding, options, accuracy)


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
    options = Options(stride, padding, dilation, groups)
    return _conv_transpose(3, input, weight, bias, output_padding, options, accuracy)


def replace_convs(model: torch.nn.Module, *, accuracy: Accuracy = "default") -> torch.nn.Module:
    """Let every Conv1d, Conv2d and Conv3d of a model compute with fastconv.

    The modules stay what they are but for their class, a subclass of their own: parameters, hooks and the keys of
    `state_dict` are the same. Optimisers that hold the parameters go on.

    Parameters
    ----------
    model : torch.nn.Module
        On the CPU. May be such a module itself.
    accuracy : {"exact", "default", "fast"}
        Of all of them, as for `nn.conv2d`. Modules keep it as an attribute of this name.

    Returns
    -------
    torch.nn.Module
        The model, changed in place.

    Raises
    ------
    TypeError, ValueError
        A parameter is elsewhere or of another dtype than float16, float32 or float64; a module is of a subclass (lazy,
        quantised, parametrised) of the three; unknown accuracy. No module is changed then.

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
    as_word(accuracy, ACCURACIES, "accuracy")
    found = []
    for path, module in model.named_modules():
        is_conv = isinstance(module, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d))
        if not is_conv:
            continue
        if type(module) in REPLACED.values():
            found.append(module)
            continue
        if type(module) not in REPLACED:
            raise TypeError(
                f"{path or 'model'} is a {type(module).__name__}; of convolutions, torch.nn.Conv1d, Conv2d and Conv3d "
                "themselves are accepted"
            )
        for name, parameter in module.named_parameters(path, recurse=False):
            _check(parameter, name)
        found.append(module)
    for module in found:
        module.__class__ = REPLACED.get(type(module), type(module))
        module.accuracy = accuracy
    return model


class Conv1d(torch.nn.Conv1d):
    """A torch.nn.Conv1d that computes with fastconv."""

    accuracy: Accuracy = "default"

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv1d(input, weight, bias, **_options(self))


class Conv2d(torch.nn.Conv2d):
    """A torch.nn.Conv2d that computes with fastconv."""

    accuracy: Accuracy = "default"

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv2d(input, weight, bias, **_options(self))


class Conv3d(torch.nn.Conv3d):
    """A torch.nn.Conv3d that computes with fastconv."""

    accuracy: Accuracy = "default"

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv3d(input, weight, bias, **_options(self))


REPLACED: dict[Any, Any] = {torch.nn.Conv1d: Conv1d, torch.nn.Conv2d: Conv2d, torch.nn.Conv3d: Conv3d}


OPTIONS = "stride", "padding", "dilation", "groups", "padding_mode", "accuracy"


def _options(module: torch.nn.Module) -> dict[str, Any]:
    return {name: getattr(module, name) for name in OPTIONS}


# ---- what is asked -------------------------------------------------------------------------------


def _conv(
    rank: int, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, options: Options, accuracy: str
) -> torch.Tensor:
    input, weight, bias = _tensors(input, weight, bias)
    how = _how(rank, input, weight, bias, options, 0, accuracy, False)
    batched = input.ndim == rank + 2
    y = product(input if batched else input[None], weight, None, bias, None, how)
    return y if batched else y[0]


def _conv_transpose(
    rank: int,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    output_padding: IntOrTuple,
    options: Options,
    accuracy: str,
) -> torch.Tensor:
    """The layer that this is the adjoint of has `input` for its output."""
    input, weight, bias = _tensors(input, weight, bias)
    how = _how(rank, input, weight, bias, options, output_padding, accuracy, True)
    batched = input.ndim == rank + 2
    x = product(None, weight, input if batched else input[None], bias, None, how)
    return x if batched else x[0]


def _how(
    rank: int,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    options: Options,
    output_padding: IntOrTuple,
    accuracy: str,
    transposed: bool,
) -> How:
    """The options of a layer, or of a transposed one, if the shapes fit."""
    asked = *options[:5], output_padding, accuracy
    shapes = tuple(input.shape), tuple(weight.shape), None if bias is None else tuple(bias.shape)
    if torch.compiler.is_compiling() or not all(map(_plain, shapes)):
        return _normal(rank, shapes[1], transposed, *asked)  # sizes are not known yet: they are checked where they are
    how_if_fit = _how_if_fit if all(map(_plain, asked)) else _how_if_fit.__wrapped__
    return how_if_fit(rank, *shapes, transposed, *asked)


def _plain(value: Any) -> bool:
    """Whether equal values mean the same (1.0 and True are equal to 1)."""
    if type(value) is tuple:
        return all(type(n) is int for n in value)
    return value is None or type(value) in (int, str)


@functools.lru_cache(maxsize=1024)
def _how_if_fit(
    rank: int, x: tuple[int, ...], w: tuple[int, ...], b: tuple[int, ...] | None, transposed: bool, *asked: Any
) -> How:
    options, output_padding, names = Options(*asked[:5]), asked[5], GRADIENT_NAMES
    if transposed:
        channels = transposed_geometry(rank, x, w, output_padding, options, names).x_shape[1]
    else:
        layer_geometry(rank, x, w, options, names)
        channels = w[0]
    if b is not None and b != (channels,):
        raise ValueError(f"bias must have shape ({channels},), one for each channel of the result; got {b}")
    return _normal(rank, w, transposed, *asked)


def _normal(
    rank: int,
    w: tuple[int, ...],
    transposed: bool,
    stride: IntOrTuple,
    padding: Padding,
    dilation: IntOrTuple,
    groups: int,
    padding_mode: str,
    output_padding: IntOrTuple,
    accuracy: str,
) -> How:
    """What is asked, with a number for every axis."""
    steps, spread = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    pads = pads_of(as_padding(padding), spans_of(w[2:], spread, "weight"), steps)
    more = per_axis(output_padding, rank, "output_padding", least=0)
    sides = [n for pair in pads for n in pair]
    as_word(accuracy, ACCURACIES, "accuracy")
    return How(steps, sides, spread, more, as_groups(groups, w, "weight"), padding_mode, transposed, accuracy)


def _tensors(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The three in one dtype: under autocast its own, or float32 where that is none of ours; else theirs."""
    named = {"input": input, "weight": weight, "bias": bias}
    if torch.is_autocast_enabled("cpu"):
        fast = torch.get_autocast_dtype("cpu")
        fast = fast if fast in FLOATS else torch.float32
        for name, t in named.items():
            if isinstance(t, torch.Tensor) and t.is_floating_point() and t.dtype != torch.float64:
                named[name] = t.to(fast)
    for name, t in named.items():
        if t is not None or name != "bias":
            _check(t, name)
            if t.dtype != named["input"].dtype:
                raise TypeError(
                    f"{name} has dtype {t.dtype} and input {named['input'].dtype}: they must be the same; "
                    f"{name}.to(input.dtype) converts"
                )
    return named["input"], named["weight"], named["bias"]


def _check(tensor: Any, name: str) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor; got {type(tensor).__name__}")
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor on the CPU; got one of {tensor.layout} on {tensor.device}")
    if tensor.dtype not in FLOATS:
        raise TypeError(f"{name} must have dtype float16, float32 or float64; got {tensor.dtype}")
