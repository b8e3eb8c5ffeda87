# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers of bfloat16, the upper half of float32: a dtype that ml_dtypes and others bring, known by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layer_geometry import Options, layer_geometry
from fastconv.arguments.layers import as_activation, as_bias, delivered, layer_arguments
from fastconv.arguments.values import as_out
from fastconv.reference import layers as exact
from fastconv.reference.activations import activated_bound
from fastconv.runtime import _core, check_result, checking

NAME = "bfloat16"


def is_brain(a: Any) -> bool:
    """Whether it is an array of bfloat16."""
    return isinstance(a, np.ndarray) and a.dtype.name == NAME


def conv_brain(
    rank: int,
    x: NDArray[Any],
    w: ArrayLike,
    bias: ArrayLike | None,
    add: ArrayLike | None,
    how: tuple[Any, ...],
    method: str,
    threads: int,
) -> NDArray[Any]:
    """A layer of bfloat16, summed in float32. how: as in Options."""
    options = Options(*how)
    if not is_brain(w):
        raise TypeError(f"w has dtype {getattr(w, 'dtype', type(w).__name__)} and x {NAME}: they must be the same")
    if add is not None:
        raise ValueError(f"add is for layers of float16, float32 and float64; x has dtype {NAME}")
    if method not in ("auto", "direct", "numpy"):
        raise ValueError(f"method must be auto, direct or numpy for x of {NAME}; got {method!r}")
    dtype = x.dtype if options.dtype is None else _asked(options.dtype, x.dtype)
    weights = np.asarray(w)
    g = layer_geometry(rank, x.shape, weights.shape, options)
    first = None if bias is None else _bias(bias, weights.shape[0])
    out, activation = as_out(options.out, g.asked(g.y_shape), dtype), as_activation(options.activation)
    result = np.empty(g.y_shape, dtype)
    is_empty = 0 in g.y_shape or 0 in g.x_shape
    if method != "numpy" and _core is not None and not is_empty:
        seen, of_w = g.first(x).view(np.uint16), np.ascontiguousarray(weights).view(np.uint16)
        names = NAME, NAME, dtype.name
        plan = _core.DotsPlan(seen, of_w, g.axes, g.groups, activation, threads, names, first)
        plan((seen, of_w, None), result if dtype.name != NAME else result.view(np.uint16))
    if method == "numpy" or _core is None or is_empty or checking.get():
        wide = options._replace(dtype=None, out=None)
        same = layer_arguments(rank, x.astype(np.float32), weights.astype(np.float32), first, wide)
        expected = exact.layer(same).astype(np.float32).astype(dtype)
        if method == "numpy" or _core is None or is_empty:
            result = expected
        else:
            bound = activated_bound(
                activation, exact.layer_error_bound(same), np.dtype(np.float32), np.dtype(np.float32)
            )
            rounded = 2.0**-7 * np.abs(expected.astype(np.float64)) if dtype.name == NAME else 0
            check_result(result.astype(np.float32), expected.astype(np.float32), bound + rounded, f"nn.conv{rank}d")
    result = np.moveaxis(result, 1, -1) if g.channels_last else result
    return delivered(result if g.batched else result[0], dtype, out)


def _asked(dtype: Any, own: np.dtype[Any]) -> np.dtype[Any]:
    for known in (own, np.dtype(np.float32)):
        if dtype in (known, known.name, known.type):
            return known
    raise TypeError(f"dtype must be {NAME} or float32 for x of {NAME}; got {dtype!r}")


def _bias(bias: ArrayLike, kernels: int) -> NDArray[np.float32] | None:
    array = np.asarray(bias)
    if array.dtype.name not in (NAME, "float32"):
        raise TypeError(f"bias has dtype {array.dtype}; {NAME} and float32 are accepted for x of {NAME}")
    return as_bias(np.ascontiguousarray(array.astype(np.float32)), kernels, "kernel")
