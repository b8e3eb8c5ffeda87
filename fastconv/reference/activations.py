# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of the results of layers, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layers import Activated, as_activation, as_floats, delivered
from fastconv.arguments.values import as_out

erfc = np.vectorize(math.erfc, [float])


def activate(x: ArrayLike, activation: Any, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """`fastconv.nn.activate` in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import reference
    >>> reference.activate(np.array([-2.0, 0.0, 1.0]), "silu").round(4)
    array([-0.2384,  0.    ,  0.7311])
    """
    a, asked = as_floats({"x": x}, None, owner="x")[0]["x"], as_activation(activation)
    return delivered(activated(asked, a), a.dtype, as_out(out, a.shape, a.dtype))


def activated(activation: Activated | None, y: NDArray[Any]) -> NDArray[np.float64]:
    """The activation of sums, by the formulas of PyTorch's documentation; of infinite ones, the limits."""
    y = np.array(y, np.float64)  # a new array: `out` of a call may overlap what is given
    if activation is None:
        return y
    name, low, high = activation
    gate = np.maximum(y, -1e4)  # what is multiplied by next to nothing: of minus infinity, the limit
    curves: dict[str, Callable[[], NDArray[np.float64]]] = {
        "clamp": lambda: np.clip(y, low, high),
        "leaky_relu": lambda: np.where(y < 0, low * y, y),
        "hardsigmoid": lambda: np.clip(y + 3, 0, 6) / 6,
        "hardswish": lambda: gate * (np.clip(y + 3, 0, 6) / 6),
        "tanh": lambda: np.tanh(y),
        "sigmoid": lambda: sigmoid(y),
        "silu": lambda: gate * sigmoid(y),
        "gelu": lambda: gate * (erfc(y * -math.sqrt(0.5)) / 2),
        "gelu_tanh": lambda: gate * sigmoid(math.sqrt(8 / math.pi) * y * (1 + 0.044715 * y * y)),
    }
    with np.errstate(all="ignore"):
        return curves[name]()


def sigmoid(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of its own precision where it is small, too."""
    e = np.exp(-np.abs(y))
    s: NDArray[np.float64] = np.where(y < 0, e, 1) / (1 + e)
    return s


def activated_bound(
    activation: Activated | None, bound: NDArray[np.float64], computed: np.dtype[Any], dtype: np.dtype[Any]
) -> NDArray[np.float64]:
    """How far results may be off, where sums are by the bound, which is above their rounding to these dtypes.

    No activation is steeper than 1.5, but for a leaky one that is; its own error is some units in the last place of the
    sum, or of 1.
    """
    if activation is None or activation.name == "clamp":
        return bound
    steepest = max(2.0, abs(activation.low))
    return bound * (steepest + 8) + 8 * float(np.finfo(computed).eps) + float(np.finfo(dtype).eps)
