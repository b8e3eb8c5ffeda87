# SPDX-License-Identifier: BSD-3-Clause
"""Pooling as layers: what the functions do, with arguments that are checked once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.layer_geometry import is_last
from fastconv.arguments.pooling import adaptive_arguments, avg_pool_arguments, max_pool_arguments
from fastconv.arguments.values import as_real, per_axis
from fastconv.nn import pooling, pooling_gradients
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.module import Module
from fastconv.typing import IntOrTuple, Layout, PoolPadding

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]

Array = NDArray[Any]
MOST = 2**12  # elements along an axis of the x that arguments are tried with


class Pool(Module):
    """A function of the windows of x. `how`: its arguments."""

    function: str
    how: dict[str, Any]
    fills = True

    @takes_bfloat16
    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> Array:
        """The pooled x."""
        y: Array = getattr(pooling, f"{self.function}{self.rank}d")(x, **self.how, out=out)
        return y

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array | None:
        if not needs_input:
            return None
        backward = getattr(pooling_gradients, f"{self.function}{self.rank}d_backward")
        result: Array = backward(grad, x.shape, **self.how)
        return result

    def _tried(self, layout: Layout | None, sizes: tuple[int, ...] | None = None) -> Array:
        """Zeros to try arguments with, in no memory."""
        spans = tuple(min(n, MOST) for n in sizes) if sizes else (1,) * self.rank
        return np.broadcast_to(np.float32(0), (1, *spans, 1) if is_last(layout, self.rank) else (1, 1, *spans))

    def _options(self) -> dict[str, Any]:
        return self.how


class _Largest(Pool):
    @takes_bfloat16
    def forward(self, x: ArrayLike) -> Array:
        """The pooled x, with what `backward` needs remembered: x itself, and where the largest elements are."""
        seen = as_real(x, "x")
        y: Array
        y, indices = getattr(pooling, f"{self.function}{self.rank}d")(seen, **self.how, return_indices=True)
        self._seen = seen, y.shape, indices
        return y

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array | None:
        if not needs_input:
            return None
        assert self._seen is not None
        backward = getattr(pooling_gradients, f"{self.function}{self.rank}d_backward")
        result: Array = backward(grad, x, **self.how, indices=self._seen[2])
        return result


class _MaxPool(_Largest):
    function = "max_pool"

    def __init__(
        self,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        dilation: IntOrTuple = 1,
        *,
        ceil_mode: bool = False,
        layout: Layout | None = None,
    ) -> None:
        self.how = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        self.how |= {"ceil_mode": ceil_mode, "layout": layout}
        taps, steps = (per_axis(v, self.rank, n) for n, v in list(self.how.items())[::3])
        x = self._tried(layout, tuple((k - 1) * d + 1 for k, d in zip(taps, steps, strict=True)))
        max_pool_arguments(self.rank, x, **self.how, return_indices=False, out=None)


class _AvgPool(Pool):
    function = "avg_pool"

    def __init__(
        self,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: PoolPadding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        layout: Layout | None = None,
    ) -> None:
        self.how = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        self.how |= {"count_include_pad": count_include_pad, "divisor_override": divisor_override, "layout": layout}
        x = self._tried(layout, per_axis(kernel_size, self.rank, "kernel_size"))
        avg_pool_arguments(self.rank, x, **self.how, out=None)


class _Adaptive(Pool):
    def __init__(self, output_size: Any, *, layout: Layout | None = None) -> None:
        self.how = {"output_size": output_size, "layout": layout}
        average = self.function == "adaptive_avg_pool"
        adaptive_arguments(self.rank, self._tried(layout), output_size, average, False, layout, None)


class _AdaptiveMaxPool(_Largest, _Adaptive):
    function = "adaptive_max_pool"


class _AdaptiveAvgPool(_Adaptive):
    function = "adaptive_avg_pool"


class MaxPool1d(_MaxPool):
    """The largest element of every window of signals: `max_pool1d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.MaxPool1d(2)(np.ones((1, 3, 4), np.float32)).shape
    (1, 3, 2)
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest element of every window of images: `max_pool2d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.MaxPool2d(2)(np.ones((1, 3, 4, 4), np.float32)).shape
    (1, 3, 2, 2)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest element of every window of volumes: `max_pool3d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.MaxPool3d(2)(np.ones((1, 3, 4, 4, 4), np.float32)).shape
    (1, 3, 2, 2, 2)
    """

    rank = 3


class AvgPool1d(_AvgPool):
    """The mean of every window of signals: `avg_pool1d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AvgPool1d(2)(np.ones((1, 3, 4), np.float32)).shape
    (1, 3, 2)
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """The mean of every window of images: `avg_pool2d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AvgPool2d(2)(np.ones((1, 3, 4, 4), np.float32)).shape
    (1, 3, 2, 2)
    """

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of every window of volumes: `avg_pool3d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AvgPool3d(2)(np.ones((1, 3, 4, 4, 4), np.float32)).shape
    (1, 3, 2, 2, 2)
    """

    rank = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of as many windows of signals as are asked for: `adaptive_max_pool1d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AdaptiveMaxPool1d(2)(np.ones((1, 3, 4), np.float32)).shape
    (1, 3, 2)
    """

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of as many windows of images as are asked for: `adaptive_max_pool2d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AdaptiveMaxPool2d(2)(np.ones((1, 3, 4, 4), np.float32)).shape
    (1, 3, 2, 2)
    """

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of as many windows of volumes as are asked for: `adaptive_max_pool3d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AdaptiveMaxPool3d(2)(np.ones((1, 3, 4, 4, 4), np.float32)).shape
    (1, 3, 2, 2, 2)
    """

    rank = 3


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of as many windows of signals as are asked for: `adaptive_avg_pool1d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AdaptiveAvgPool1d(2)(np.ones((1, 3, 4), np.float32)).shape
    (1, 3, 2)
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of as many windows of images as are asked for: `adaptive_avg_pool2d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AdaptiveAvgPool2d(2)(np.ones((1, 3, 4, 4), np.float32)).shape
    (1, 3, 2, 2)
    """

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of as many windows of volumes as are asked for: `adaptive_avg_pool3d` as a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.AdaptiveAvgPool3d(2)(np.ones((1, 3, 4, 4, 4), np.float32)).shape
    (1, 3, 2, 2, 2)
    """

    rank = 3
