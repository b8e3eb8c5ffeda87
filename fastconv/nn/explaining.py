# SPDX-License-Identifier: BSD-3-Clause
"""What would compute a layer, said without computing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastconv.arguments.layer_geometry import LAYOUTS, Names, Options, layer_geometry
from fastconv.arguments.layers import Layer
from fastconv.arguments.values import as_size, as_word, float_dtype
from fastconv.nn.functional import Engine, as_engine, plan_of_last
from fastconv.nn.transposed import whole_of
from fastconv.runtime import _core
from fastconv.typing import Accuracy, Explained, IntOrTuple, Layout, Padding, PaddingMode

__all__ = ["Explanation", "explain"]


class Explanation(NamedTuple):
    """How a layer would run; made by `explain`, printed as a few lines."""

    kind: str  # of WHY
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    isa: str
    part: int  # taps, of all channels of a group, that are summed in one go; of tiles, channels
    threads: int
    chunks: int
    tile: int = 0  # outputs a side of a tile, of Winograd's convolution
    points: tuple[int, int] | None = None  # of a tile that is transformed, rows and columns
    of: str = "output"  # of OF

    def __str__(self) -> str:
        lines = [f"result   {self.dtype} {self.shape}{OF[self.of]}", f"kind     {self.kind}: {WHY[self.kind]}"]
        if self.tile:
            lines += [f"tiles    {self.tile} outputs a side: {ERRORS[self.tile]}"]
        if self.points:
            lines += ["tiles    {} x {} elements: rounding errors are relative to all of them".format(*self.points)]
        if self.isa:
            lines += [f"isa      {self.isa}"]
            if not self.points:
                words = ("tiles", "outputs") if self.of == "weight" else ("channels", "taps")
                lines += [f"sums     of {self.part} {words[not self.tile]} at a time"]
            lines += [
                f"threads  {self.threads}, over {self.chunks} chunks",
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from fastconv.tables import html_table

        return html_table(line.split(maxsplit=1) for line in str(self).splitlines())


WHY = {
    "products": "of weights and packed pixels",
    "winograd": "fewer products, of tiles' and kernels' values",
    "fft": "tiles and kernels are transformed",
    "lanes": "depthwise, a lane of a vector for each channel",
    "slides": "depthwise, the kernel slides over each plane",
    "numpy": "by the reference",
    "nothing": "there is nothing to compute",
}

OF = {"output": "", "input": ", the gradient of the input", "weight": ", the gradient of the weights"}

ERRORS = {  # by outputs a side of a tile
    2: "rounding errors of random numbers are about those of direct sums",
    4: "rounding errors of random numbers are three to seven times those of direct sums",
}


def explain(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    of: Explained = "output",
    padding_mode: PaddingMode = "zeros",
    layout: Layout | None = None,
    dtype: DTypeLike = np.float32,
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Explanation:
    """Say how `conv1d`, `conv2d` or `conv3d` would compute a layer, or its gradients be computed; nothing is.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C, H, W) or (C, H, W), or with the axes of a signal or a volume.
    w_shape : tuple of int
        (K, C / groups, R, S). Its number of axes chooses the function.
    of : {"output", "input", "weight"}
        What is computed: the layer's output, by `conv2d`; or the gradient of its input, by `conv2d_input`, or of its
        weights, by `conv2d_weight`, both of which `conv2d_backward` computes.
    stride, padding, dilation, groups, padding_mode, layout, dtype, accuracy, threads
        As for `conv2d`.

    Returns
    -------
    Explanation
        A named tuple that prints as a few lines.

    Raises
    ------
    ValueError, TypeError
        What the layer would raise.

    Examples
    --------
    >>> from fastconv import nn
    >>> print(nn.explain((1, 64, 56, 56), (64, 64, 3, 3), padding=1, threads=1))  # doctest: +ELLIPSIS
    result   float32 (1, 64, 56, 56)
    kind     winograd: fewer products, of tiles' and kernels' values
    tiles    2 outputs a side: rounding errors of random numbers are about those of direct sums
    isa      ...
    sums     of 32 channels at a time
    threads  1, over ... chunks
    >>> nn.explain((1, 64, 14, 14), (64, 1, 3, 3), groups=64).kind
    'lanes'
    >>> nn.explain((8, 64, 56, 56), (64, 64, 3, 3), padding=1, of="weight").kind
    'winograd'
    """
    w_size, asked = as_size(w_shape, "w_shape"), float_dtype(dtype)
    if len(w_size) - 2 not in LAYOUTS:
        raise ValueError(f"w_shape must have three to five numbers; got {w_shape!r}")
    how = Options(stride, padding, dilation, groups, padding_mode, None, layout)
    return explained(x_shape, w_size, how, asked, as_engine("auto", accuracy, threads), of)


def explained(
    x_shape: Sequence[int],
    w_shape: tuple[int, ...],
    how: Options,
    dtype: np.dtype[Any],
    engine: Engine,
    of: Explained = "output",
    learnt: bool = False,
) -> Explanation:
    """What `explain` says. learnt: of a layer that prepares its weights."""
    g = layer_geometry(len(w_shape) - 2, as_size(x_shape, "x_shape"), w_shape, how, Names("x_shape", "w_shape"))
    as_word(of, tuple(OF), "of")
    shape = {"output": g.asked(g.y_shape), "input": g.asked(g.x_shape), "weight": w_shape}[of]
    if 0 in g.x_shape or 0 in g.y_shape:
        return Explanation("nothing", dtype, shape, "", 0, 1, 0, of=of)
    if _core is None:
        return Explanation("numpy", dtype, shape, "", 0, 1, 0, of=of)
    zero = np.zeros((), dtype)
    x, y, w = np.broadcast_to(zero, g.x_shape), np.broadcast_to(zero, g.y_shape), np.zeros(w_shape, dtype)
    if of == "weight":
        plan: Any = _core.WeightPlan(x, y, w, g.axes, g.groups, engine.threads, **engine.words())
        read, points = (x, y), None
    else:
        back = of == "input"
        sizes = g.x_shape if back else g.y_shape
        last = g.channels_last
        layer = Layer(y if back else x, w, None, g.axes, g.groups, None, sizes, dtype, g.batched, last, None)
        layer = whole_of(layer) if back else layer
        plan, read = engine.plan(layer.x, layer.w, layer, layer.axes, adjoint=back), (layer.x, layer.w)
        learnt = learnt and not back and plan_of_last(layer, engine) is None
        points = plan.transforms(learnt)
    kind, used, chunks, part = plan.explain(*read, learnt)
    return Explanation(
        kind, dtype, shape, _core.table()["isa"], part, used, chunks, 2 * plan.winograd(learnt), points, of
    )
