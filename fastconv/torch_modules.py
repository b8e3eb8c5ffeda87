# SPDX-License-Identifier: BSD-3-Clause
"""Models of PyTorch whose layers compute with fastconv."""

from typing import Any

import torch
from torch.nn.utils import parametrize

from fastconv.arguments.values import as_word
from fastconv.nn.functional import ACCURACIES
from fastconv.torch_layers import check, layer
from fastconv.torch_learnt import Learnt
from fastconv.typing import Accuracy

# What TorchScript is to ignore it calls by way of Python, with a module that has lost methods and what it knows no type
# of. It reads annotations as objects, not as text.

_output_padding = torch.nn.ConvTranspose1d._output_padding  # of any rank


class _Conv(torch.nn.Module):
    """What a replaced layer has beside that of PyTorch."""

    accuracy = "default"

    @torch.jit.ignore
    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        asked = self.stride, self.padding, self.dilation, self.groups, self.padding_mode, 0, self.accuracy
        return layer(len(self.kernel_size), input, weight, bias, asked, learnt=getattr(self, "_learnt", None))


class _ConvTranspose(torch.nn.Module):
    """What a replaced transposed layer has beside that of PyTorch."""

    accuracy = "default"

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        return self._transposed(input, output_size)

    @torch.jit.ignore
    def _transposed(self, input: torch.Tensor, output_size: list[int] | None) -> torch.Tensor:
        rank, size = len(self.kernel_size), self.kernel_size
        more = _output_padding(self, input, output_size, self.stride, self.padding, size, rank, self.dilation)
        asked = self.stride, self.padding, self.dilation, self.groups, "zeros", tuple(more), self.accuracy
        return layer(rank, input, self.weight, self.bias, asked, transposed=True)


class Conv1d(_Conv, torch.nn.Conv1d):
    """A torch.nn.Conv1d that computes with fastconv."""


class Conv2d(_Conv, torch.nn.Conv2d):
    """A torch.nn.Conv2d that computes with fastconv."""


class Conv3d(_Conv, torch.nn.Conv3d):
    """A torch.nn.Conv3d that computes with fastconv."""


class ConvTranspose1d(_ConvTranspose, torch.nn.ConvTranspose1d):
    """A torch.nn.ConvTranspose1d that computes with fastconv."""


class ConvTranspose2d(_ConvTranspose, torch.nn.ConvTranspose2d):
    """A torch.nn.ConvTranspose2d that computes with fastconv."""


class ConvTranspose3d(_ConvTranspose, torch.nn.ConvTranspose3d):
    """A torch.nn.ConvTranspose3d that computes with fastconv."""


REPLACED: dict[Any, Any] = {
    torch.nn.Conv1d: Conv1d,
    torch.nn.Conv2d: Conv2d,
    torch.nn.Conv3d: Conv3d,
    torch.nn.ConvTranspose1d: ConvTranspose1d,
    torch.nn.ConvTranspose2d: ConvTranspose2d,
    torch.nn.ConvTranspose3d: ConvTranspose3d,
}


def replace_convs(model: torch.nn.Module, *, accuracy: Accuracy = "default") -> torch.nn.Module:
    """Let every Conv1d, Conv2d and Conv3d of a model, and every ConvTranspose1d, 2d and 3d, compute with fastconv.

    The modules stay what they are but for their class, a subclass of their own: parameters, parametrisations (weight
    and spectral norms among them), hooks and the keys of `state_dict` are the same. Optimisers that hold the parameters
    go on. Models can be compiled, exported, copied and saved.

    Where nothing is differentiated (`torch.no_grad`, `torch.inference_mode`), a Conv1d, 2d or 3d keeps what it makes of
    its parameters, as `nn.Conv2d` does: it takes up to 4 times their memory, and may be rounded differently. It is made
    anew when PyTorch counts a change of theirs, which every operation in place is. Of changes past PyTorch's notice, by
    `data` or NumPy, only large ones are seen; ``torch.autograd.graph.increment_version(weight)`` tells of others.

    Parameters
    ----------
    model : torch.nn.Module
        On the CPU, in bfloat16 (computed in float32), float16, float32 or float64. May be such a module itself.
    accuracy : {"exact", "default", "fast"}
        Of all of them, as for `nn.conv2d`. Modules keep it as an attribute of this name.

    Returns
    -------
    torch.nn.Module
        The model, changed in place.

    Raises
    ------
    TypeError, ValueError
        A parameter is elsewhere or of another dtype; a module is of another subclass (lazy, quantised) of the six;
        unknown accuracy. No module is changed then.

    Examples
    --------
    >>> import torch
    >>> import fastconv.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(4, 1, 3))
    >>> fastconv.torch.replace_convs(model)(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 1, 5, 5])
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    as_word(accuracy, ACCURACIES, "accuracy")
    found: list[tuple[Any, Any]] = []
    kinds = tuple(REPLACED)
    for path, module in model.named_modules():
        if isinstance(module, kinds):
            for name, parameter in module.named_parameters(path):
                check(parameter, name)
            found.append((module, _replaced(path, module)))
    for module, ours in found:
        module.__class__ = ours
        module.accuracy = accuracy
        if issubclass(ours, _Conv):
            module._learnt = Learnt()
    return model


def _replaced(path: str, module: torch.nn.Module) -> Any:
    """The class that a module gets."""
    own: Any = type(module)
    base = own.__base__ if parametrize.is_parametrized(module) else own  # such a module has a class for itself
    if base in REPLACED.values():
        return own
    if base not in REPLACED:
        raise TypeError(
            f"{path or 'model'} is a {own.__name__}; of convolutions, torch.nn.Conv1d, Conv2d and Conv3d, and "
            "ConvTranspose1d, 2d and 3d themselves are accepted"
        )
    if base is own:
        return REPLACED[base]
    members = {name: value for name, value in vars(own).items() if name not in ("__dict__", "__weakref__")}
    return type(own)(own.__name__, (REPLACED[base],), members)
