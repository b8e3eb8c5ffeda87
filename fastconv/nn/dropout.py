# SPDX-License-Identifier: BSD-3-Clause
"""Layers that are nothing but in training, where parts of what they are given are zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.values import as_word, generator
from fastconv.nn.activations import Identity
from fastconv.nn.bfloat16 import takes_bfloat16

__all__ = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "StochasticDepth"]

Array = NDArray[Any]


class Dropout(Identity):
    """x as it is; in training, `forward`, a part `p` of its elements are zero and the others larger (Srivastava and
    others, Dropout, 2014).

    Parameters
    ----------
    p : float
        From 0 to 1, how probable a zero is.
    seed : int or numpy.random.Generator, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.Dropout(0.5, seed=0)
    >>> layer(np.ones(4)), layer.forward(np.ones(4))
    (array([1., 1., 1., 1.]), array([2., 0., 0., 0.]))
    """

    def __init__(self, p: float = 0.5, *, seed: Any = None) -> None:
        if not isinstance(p, (int, float, np.integer, np.floating)):
            raise TypeError(f"p must be a number; got {p!r}")
        if not 0 <= p <= 1:
            raise ValueError(f"p must be a number from 0 to 1; got {p!r}")
        self.p, self._rng = float(p), generator(seed)

    @takes_bfloat16
    def forward(self, x: ArrayLike) -> Array:
        """x with some elements zero, remembered for `backward`."""
        a = super().forward(x)
        dtype = a.dtype if a.dtype.kind == "f" else np.dtype(np.float64)
        kept = (self._rng.random(self._parts(a)) >= self.p) * dtype.type(0 if self.p == 1 else 1 / (1 - self.p))
        self._seen = a, a.shape, kept
        y: Array = a * kept
        return y

    def _parts(self, a: Array) -> tuple[int, ...]:
        """The shape of what is drawn: a number for each part of x that is zero as a whole."""
        return a.shape

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array:
        assert self._seen is not None
        result: Array = grad * self._seen[2]
        return result

    def _options(self) -> dict[str, Any]:
        return {"p": self.p}


class _ChannelDropout(Dropout):
    """Whole channels are zero."""

    def _parts(self, a: Array) -> tuple[int, ...]:
        lead = 2 if self.rank == 2 else max(a.ndim - self.rank, 1)  # PyTorch takes (N, C, W) for images, too
        return (*a.shape[:lead], *(1,) * (a.ndim - lead))


class Dropout1d(_ChannelDropout):
    """`Dropout` of whole channels of signals (N, C, W) or (C, W).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Dropout1d(0.5, seed=0).forward(np.ones((1, 3, 2)))
    array([[[2., 2.],
            [0., 0.],
            [0., 0.]]])
    """

    rank = 1


class Dropout2d(_ChannelDropout):
    """`Dropout` of whole channels of images (N, C, H, W) (Tompson and others, Efficient Object Localization Using
    Convolutional Networks, 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Dropout2d(0.5, seed=0).forward(np.ones((1, 3, 1, 2)))
    array([[[[2., 2.]],
    <BLANKLINE>
            [[0., 0.]],
    <BLANKLINE>
            [[0., 0.]]]])
    """

    rank = 2


class Dropout3d(_ChannelDropout):
    """`Dropout` of whole channels of volumes (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Dropout3d(0.5, seed=0).forward(np.ones((1, 3, 1, 1, 2))).reshape(3, 2)
    array([[2., 2.],
           [0., 0.],
           [0., 0.]])
    """

    rank = 3


class StochasticDepth(Dropout):
    """x as it is; in training, `forward`, whole samples are zero, with a probability of `p`, and the others larger: of
    a residual block, only the sum is left (Huang and others, Deep Networks with Stochastic Depth, 2016).

    Parameters
    ----------
    p : float
        From 0 to 1, how probable a zero is.
    mode : {"row", "batch"}
        Whether every sample has its own chance, or all of a batch have one.
    seed : int or numpy.random.Generator, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.StochasticDepth(0.5, "row", seed=0).forward(np.ones((3, 2)))
    array([[2., 2.],
           [0., 0.],
           [0., 0.]])
    """

    def __init__(self, p: float, mode: str = "row", *, seed: Any = None) -> None:
        super().__init__(p, seed=seed)
        self.mode = as_word(mode, ("row", "batch"), "mode")

    def _parts(self, a: Array) -> tuple[int, ...]:
        first = a.shape[:1] if self.mode == "row" else (1,)[: a.ndim]
        return (*first, *(1,) * (a.ndim - len(first)))

    def _options(self) -> dict[str, Any]:
        return {"p": self.p, "mode": self.mode}
