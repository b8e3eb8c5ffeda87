# SPDX-License-Identifier: BSD-3-Clause
"""Activations that are curves, as layers: `activate` makes them, and their slopes are here."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments import layers
from fastconv.arguments.layers import as_activation
from fastconv.arguments.values import as_real, as_word
from fastconv.nn.activations import floats
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.module import Activated
from fastconv.nn.pointwise import activate
from fastconv.typing import Activation

__all__ = ["GELU", "Hardsigmoid", "Hardswish", "LeakyReLU", "SiLU", "Sigmoid", "Tanh"]

Array = NDArray[Any]


class Curve(Activated):
    """See Sigmoid."""

    activation: Activation

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """The curve's value for every element, of x's dtype; integers are taken as float64."""
        a = as_real(x, "x")
        y: Array = activate(a if a.dtype.kind == "f" else a.astype(np.float64), self.activation)
        return y

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        a, _ = floats(x)
        result: Array = (grad * self._slope(a)).astype(grad.dtype, copy=False)
        return result

    def _slope(self, x: Array) -> Any:
        raise NotImplementedError


class Sigmoid(Curve):
    """``1 / (1 + exp(-x))``, without overflow.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Sigmoid()(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """

    activation = "sigmoid"

    def _slope(self, x: Array) -> Any:
        y = self(x)
        return y * (1 - y)


class SiLU(Curve):
    """``x / (1 + exp(-x))`` (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.SiLU()(np.array([-2.0, 0.0, 1.0])).round(4)
    array([-0.2384,  0.    ,  0.7311])
    """

    activation = "silu"

    def _slope(self, x: Array) -> Any:
        y = activate(x, "sigmoid")
        return y * (1 + np.where(y == 0, 0, x) * (1 - y))


class Tanh(Curve):
    """``tanh(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Tanh()(np.array([-1000.0, 0.0, 1000.0]))
    array([-1.,  0.,  1.])
    """

    activation = "tanh"

    def _slope(self, x: Array) -> Any:
        y = self(x)
        return (1 - y) * (1 + y)


class Hardsigmoid(Curve):
    """x + 3 brought between 0 and 6, divided by 6.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Hardsigmoid()(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """

    activation = "hardsigmoid"

    def _slope(self, x: Array) -> Any:
        return (np.abs(x) < 3) / x.dtype.type(6)


class Hardswish(Curve):
    """x times that of `Hardsigmoid` (Howard and others, Searching for MobileNetV3, 2019).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Hardswish()(np.array([-4.0, 0.0, 1.5, 4.0]))
    array([-0.   ,  0.   ,  1.125,  4.   ])
    """

    activation = "hardswish"

    def _slope(self, x: Array) -> Any:
        return np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + x.dtype.type(0.5)))


class LeakyReLU(Curve):
    """x, or `negative_slope` times x where that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.LeakyReLU(0.25)(np.array([-2.0, 0.0, 1.0]))
    array([-0.5,  0. ,  1. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.activation = "leaky_relu", negative_slope
        try:
            asked = as_activation(self.activation)
        except TypeError:
            raise TypeError(f"negative_slope must be a number; got {negative_slope!r}") from None
        assert asked is not None
        self.negative_slope = asked[1]

    def _slope(self, x: Array) -> Any:
        return np.where(x > 0, 1, x.dtype.type(self.negative_slope))

    def _options(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}


class GELU(Curve):
    """``x * (1 + erf(x / sqrt(2))) / 2``, or what is near it (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh": ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.GELU()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = as_word(approximate, ("none", "tanh"), "approximate")
        self.activation = "gelu" if self.approximate == "none" else "gelu_tanh"

    def _slope(self, x: Array) -> Any:
        near = np.clip(x, -40, 40)  # further out it is 0 or 1
        if self.approximate == "none":
            part = np.divide(self(near), near, out=np.full_like(near, 0.5), where=near != 0)
            return part + near * np.exp(near * near / -2) / math.sqrt(2 * math.pi)
        scale, bend = math.sqrt(2 / math.pi), 0.044715
        t = activate(scale * (near + bend * near**3), "tanh")
        return (1 + t) / 2 + near / 2 * (1 - t) * (1 + t) * scale * (1 + 3 * bend * near * near)

    def _options(self) -> dict[str, Any]:
        return {"approximate": self.approximate}


CURVES: dict[str, Callable[..., Curve]] = {  # by the names of activations
    "gelu": GELU,
    "gelu_tanh": functools.partial(GELU, "tanh"),
    "hardsigmoid": Hardsigmoid,
    "hardswish": Hardswish,
    "leaky_relu": LeakyReLU,
    "sigmoid": Sigmoid,
    "silu": SiLU,
    "tanh": Tanh,
}


def curve_of(activation: layers.Activated) -> Curve:
    """The layer that does the same."""
    make = CURVES[activation.name]
    return make(activation.low) if make is LeakyReLU else make()
