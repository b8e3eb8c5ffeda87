# SPDX-License-Identifier: BSD-3-Clause
"""Images made larger or smaller: `torch.nn.Upsample` and `torch.nn.functional.interpolate`.

Along each axis an output is an element of x, or lies between two: y[o] = (1 - t[o]) x[low[o]] + t[o] x[high[o]].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layer_geometry import check_size
from fastconv.arguments.values import as_count, as_flag, as_word, is_listed
from fastconv.nn.activations import floats
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.module import Module

__all__ = ["Upsample"]

Array = NDArray[Any]
LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}  # and the axes of x that each is for
MODES = "nearest", "nearest-exact", *LINEAR


class Upsample(Module):
    """Signals, images and volumes in another size, as `torch.nn.Upsample` makes them.

    Parameters
    ----------
    size : int or tuple of int, optional
        Of the outputs, along every axis or each.
    scale_factor : float or tuple of float, optional
        How many times as large the outputs are, instead.
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "trilinear"}
        The nearest element; or means of the nearest 2, 4 or 8, of x with 3, 4 or 5 axes. For "nearest" images that stay
        as large as they are, or become twice as large, a factor is 1 or 2, as in PyTorch.
    align_corners : bool, optional
        Whether the centres of the outermost elements are those of outputs, instead of their borders; of means.
    recompute_scale_factor : bool, optional
        Whether the ratio of sizes counts, instead of a `scale_factor` that is no ratio of sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
    array([[[1., 1., 2., 2.]]])
    >>> nn.Upsample(size=3, mode="linear", align_corners=True)(np.array([[[1.0, 2.0]]]))
    array([[[1. , 1.5, 2. ]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ValueError(f"size or scale_factor must be given, not both; got {size!r} and {scale_factor!r}")
        self.mode = as_word(mode, MODES, "mode")
        self.align_corners = None if align_corners is None else as_flag(align_corners, "align_corners")
        if self.align_corners is not None and mode not in LINEAR:
            raise ValueError(f"align_corners must be None where mode is {mode!r}; got {align_corners!r}")
        again = recompute_scale_factor
        self.recompute_scale_factor = None if again is None else as_flag(again, "recompute_scale_factor")
        self.size: int | tuple[int, ...] | None = None
        self.scale_factor: float | tuple[float, ...] | None = None
        if size is None:
            self.scale_factor = tuple(map(_factor, scale_factor)) if is_listed(scale_factor) else _factor(scale_factor)
        else:
            self.size = tuple(as_count(n, "size") for n in size) if is_listed(size) else as_count(size, "size")

    def _axes(self, shape: tuple[int, ...], dtype: Any) -> list[tuple[NDArray[np.intp], NDArray[np.intp], Array]]:
        """Of each axis behind the channels: low, high and t."""
        rank = len(shape) - 2
        if rank not in (1, 2, 3) or LINEAR.get(self.mode, rank + 2) != rank + 2:
            wanted = LINEAR.get(self.mode, "3 to 5")
            raise ValueError(f"x must have {wanted} axes (N, C, ...) for mode {self.mode!r}; got shape {shape}")
        given: Any = self.size if self.scale_factor is None else self.scale_factor
        each = given if isinstance(given, tuple) else (given,) * rank
        name = "size" if self.scale_factor is None else "scale_factor"
        if len(each) != rank:
            raise ValueError(f"x of shape {shape} must have as many axes behind the channels as {name}={given!r}")
        outs = list(each) if self.scale_factor is None else [math.floor(n * f) for n, f in zip(shape[2:], each)]
        if 0 in shape[2:] or 0 in outs:
            raise ValueError(f"x of shape {shape} gives no outputs for {name}={given!r}")
        check_size((*shape[:2], *outs), f"the outputs of x by {name}")
        exact = self.scale_factor is None or self.recompute_scale_factor
        is_picture = self.mode == "nearest" and rank == 2  # of which PyTorch takes 1 or 2 for factors that come to it
        steps = [
            n / out if exact or (is_picture and out in (n, 2 * n)) else 1 / each[i]
            for i, (n, out) in enumerate(zip(shape[2:], outs, strict=True))
        ]
        return [self._axis(n, out, step, dtype) for n, out, step in zip(shape[2:], outs, steps, strict=True)]

    def _axis(self, n: int, out: int, step: float, dtype: Any) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
        at = np.arange(out)
        if self.mode not in LINEAR:  # PyTorch makes them in float32
            half = np.float32(0.5 if self.mode == "nearest-exact" else 0)
            low = np.minimum(np.floor((at.astype(np.float32) + half) * np.float32(step)), n - 1).astype(np.intp)
            return low, low, np.zeros(out, dtype)
        if self.align_corners:
            where = at * ((n - 1) / (out - 1) if out > 1 else 0.0)
        else:
            where = np.maximum((at + 0.5) * step - 0.5, 0)
        low = np.minimum(where.astype(np.intp), n - 1)
        return low, np.minimum(low + 1, n - 1), np.minimum(where - low, 1).astype(dtype)

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """The images, of x's dtype; integers are taken as float64."""
        y, dtype = floats(x)
        for axis, (low, high, t) in enumerate(self._axes(y.shape, y.dtype), 2):
            if self.mode in LINEAR:
                part = t.reshape(-1, *(1,) * (y.ndim - axis - 1))
                first = y.take(low, axis)
                with np.errstate(invalid="ignore"):  # of 0 times infinity
                    y = (1 - part) * first + part * y.take(high, axis)
            else:
                y = y.take(low, axis)
        return y.astype(dtype, copy=False)

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        """Each element has the gradients of the outputs that it is part of."""
        wide, _ = floats(grad)
        for axis, (low, high, t) in enumerate(self._axes(x.shape, wide.dtype), 2):
            parts = np.zeros((len(low), x.shape[axis]), wide.dtype)
            at = np.arange(len(low))
            np.add.at(parts, (at, low), 1 - t)
            np.add.at(parts, (at, high), t)
            wide = np.moveaxis(np.moveaxis(wide, axis, -1) @ parts, -1, axis)
        return wide.astype(grad.dtype, copy=False)

    def _options(self) -> dict[str, Any]:
        names = "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"
        return {name: getattr(self, name) for name in names}


def _factor(value: Any) -> float:
    try:
        factor = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"scale_factor must be a number or one for each axis; got {value!r}") from None
    if not 0 < factor < math.inf:
        raise ValueError(f"scale_factor must be a number above 0; got {value!r}")
    return factor
