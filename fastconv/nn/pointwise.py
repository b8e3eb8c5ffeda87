# SPDX-License-Identifier: BSD-3-Clause
"""Activations as functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layers import as_activation, as_floats, delivered
from fastconv.arguments.values import as_out, compute_dtype
from fastconv.nn.functional import fillable, readable
from fastconv.plans import Answer, planned
from fastconv.reference.activations import activated
from fastconv.runtime import _core, check_result, checking, thread_count
from fastconv.typing import Activation

__all__ = ["activate"]


@planned(x="data", out="out")
def activate(
    x: ArrayLike, activation: Activation, *, out: NDArray[Any] | None = None, threads: int | None = None
) -> Any:
    """Apply an activation to every element: what ``activation=`` of layers does to their results, to the same bits.

    Parameters
    ----------
    x : array_like
        float16 (computed in float32), float32 or float64, of any shape.
    activation : str or (low, high) or None
        ===================== ================================================================================
        "relu", "relu6"       brought between 0 and infinity, 0 and 6
        (low, high)           brought between these numbers
        "leaky_relu"          x, or 0.01 x where that is negative; ``("leaky_relu", slope)`` for another slope
        "hardsigmoid"         x + 3 brought between 0 and 6, divided by 6
        "hardswish"           x times that
        "sigmoid"             ``1 / (1 + exp(-x))``
        "silu"                x times that
        "tanh"                ``tanh(x)``
        "gelu"                ``x * (1 + erf(x / sqrt(2))) / 2``
        "gelu_tanh"           ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``
        ===================== ================================================================================
    out : ndarray, optional
        Where to put the result: of x's shape and dtype; x itself, if that is to be replaced.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray
        Of x's shape and dtype. NaN stays NaN. The same bits for any number of threads, and on all instruction sets
        that have fused multiply-add. Errors are at most 3 units in the last place, of numbers of any size; those
        of the two gelus 6, times ``1 + x**2`` where x is negative, for there rounding x changes as much.

    Raises
    ------
    ValueError
        Names that are not in the table, low above high, `out` of another shape or read-only.
    TypeError
        Integers or complex numbers, masked arrays, `out` of another dtype.

    Notes
    -----
    Formulas are those of `torch.nn.functional` (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016; Howard and
    others, Searching for MobileNetV3, 2019). Minus infinity gives the limit, 0 where x is multiplied (PyTorch: NaN).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.activate(np.array([-2.0, 0.0, 1.0]), "silu").round(4)
    array([-0.2384,  0.    ,  0.7311])
    >>> nn.activate(np.array([-2.0, 0.0, 1.0]), ("leaky_relu", 0.25))
    array([-0.5,  0. ,  1. ])
    """
    a, asked = as_floats({"x": x}, None, owner="x")[0]["x"], as_activation(activation)
    to, most = as_out(out, a.shape, a.dtype), 0 if threads is None else thread_count(threads, "threads")
    if asked is None or _core is None or a.size == 0:
        return delivered(activated(asked, a), a.dtype, to)
    dtype = compute_dtype(a.dtype)
    read = readable(a.astype(dtype, copy=False))
    in_place = to is not None and (to is read or fillable(to, dtype, (read,)))
    result = to if in_place and to is not None else np.empty(a.shape, dtype)
    plan = _core.ActivationPlan(read, asked, most)
    exact = activated(asked, read) if checking.get() else None  # before x is replaced
    plan((read,), result)
    if exact is not None:
        slack = (4 + 4 * read.astype(np.float64) ** 2) * np.abs(exact) * np.finfo(dtype).eps
        check_result(result, exact.astype(dtype), slack + 1e3 * np.finfo(dtype).smallest_subnormal, "nn.activate")
    answer = Answer(result, plan.serve((x,), (read,), result) if to is None or in_place else None)
    return answer if a.dtype == dtype and (to is None or in_place) else delivered(result, a.dtype, to)
