# SPDX-License-Identifier: BSD-3-Clause
"""What learns: parameters, and the step that gradient descent takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.values import FLOATS, as_amount, as_list

__all__ = ["SGD", "Parameter"]


class Parameter:
    """An array that is learned: `name`, `value`, which a step changes in place, and `grad`, its gradient or None.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Parameter("weight", np.zeros((2, 3)))
    Parameter('weight', shape (2, 3), float64)
    """

    def __init__(self, name: str, value: NDArray[Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a string; got {name!r}")
        if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"value must be a numpy.ndarray; got {type(value).__name__}")
        if value.dtype.name not in FLOATS:
            raise TypeError(f"value must be of float16, float32 or float64; got dtype {value.dtype}")
        self.name, self.changes = name, 0
        self.value = value
        self.grad: NDArray[Any] | None = None

    @property
    def value(self) -> NDArray[Any]:
        """The array. An assignment, which ``p.value -= step`` is, too, counts as a change."""
        return self._value

    @value.setter
    def value(self, value: NDArray[Any]) -> None:
        self._value = value
        self.changes += 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, shape {self.value.shape}, {self.value.dtype})"


class SGD:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD` takes its steps.

    With gradient g, velocity v (of the first step: g) and parameter p (Sutskever, Martens, Dahl and Hinton, On the
    importance of initialization and momentum in deep learning, 2013; in PyTorch's form, where the rate is outside v):

        g = grad + weight_decay * p;    v = momentum * v + g;    p = p - lr * v

    Parameters
    ----------
    parameters : iterable of Parameter
        For example ``[*first.parameters(), *second.parameters()]``.
    lr : float
        Learning rate, 0 or more. May be assigned between steps.
    momentum, weight_decay : float
        0 or more.

    Raises
    ------
    ValueError, TypeError
        No parameters, one twice, or none of these; a negative or non-finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> p = nn.Parameter("p", np.array([1.0, 2.0]))
    >>> p.grad = np.array([10.0, -10.0])
    >>> nn.SGD([p], lr=0.1).step()
    >>> p.value
    array([0., 3.])
    """

    def __init__(
        self, parameters: Iterable[Parameter], lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.parameters: list[Parameter] = as_list(parameters, "parameters", "of type Parameter")
        if not self.parameters:
            raise ValueError("parameters must have one at least; got none")
        for p in self.parameters:
            if not isinstance(p, Parameter):
                raise TypeError(f"parameters must be of type Parameter; got {p!r}")
        if len({id(p.value) for p in self.parameters}) < len(self.parameters):
            raise ValueError(f"parameters must not be there twice; got {self.parameters}")
        self.lr, self.momentum, self.weight_decay = (
            as_amount(number, name)
            for number, name in ((lr, "lr"), (momentum, "momentum"), (weight_decay, "weight_decay"))
        )
        self._velocities: list[NDArray[Any] | None] = [None] * len(self.parameters)

    def step(self) -> None:
        """Change every parameter in place.

        Raises
        ------
        ValueError
            A gradient is missing or has another shape or dtype than its parameter, or a parameter is read-only. No
            parameter is changed then.
        """
        gradients = [_checked(p) for p in self.parameters]
        for i, (p, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            if self.weight_decay:
                g = g + self.weight_decay * p.value
            if self.momentum:
                v = self._velocities[i]
                if v is None:
                    v = self._velocities[i] = g.copy()
                else:
                    np.add(np.multiply(v, self.momentum, v), g, v)
                g = v
            p.value -= self.lr * g


def _checked(p: Parameter) -> NDArray[Any]:
    """The gradient, if a step can be taken."""
    if not p.value.flags.writeable:
        raise ValueError(f"{p.name} of dtype {p.value.dtype} is read-only")
    if not isinstance(p.grad, np.ndarray):
        raise ValueError(f"{p.name} needs a gradient of shape {p.value.shape}, as backward() sets; got {p.grad!r}")
    if p.grad.shape != p.value.shape or p.grad.dtype != p.value.dtype:
        raise ValueError(
            f"{p.name} has shape {p.value.shape} and dtype {p.value.dtype}; its gradient has shape {p.grad.shape} and "
            f"dtype {p.grad.dtype}"
        )
    return p.grad
