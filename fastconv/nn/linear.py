# SPDX-License-Identifier: BSD-3-Clause
"""Fully connected layers, and normalisation of batches."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import LAYOUTS, check_size, is_last
from fastconv.arguments.layers import as_activation, as_bias, as_floats
from fastconv.arguments.values import (
    as_amount,
    as_count,
    as_flag,
    as_own_numbers,
    as_real,
    compute_dtype,
    float_dtype,
    generator,
)
from fastconv.nn.bfloat16 import takes_bfloat16
from fastconv.nn.functional import as_engine, conv1d
from fastconv.nn.module import Weighted
from fastconv.nn.modules import output
from fastconv.nn.optim import Parameter
from fastconv.typing import Activation, Layout

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Linear"]

Array = NDArray[Any]


class Linear(Weighted):
    """A fully connected layer ``y = x @ weight.T + bias`` along the last axis: a convolution of one tap.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Whether to have one.
    dtype : {float16, float32, float64}
    seed : int or numpy.random.Generator, optional
        Weights and bias are uniform in +-1 / sqrt(in_features), as in `torch.nn.Linear`.

    See Also
    --------
    Flatten : images as rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Linear(12, 5, seed=0)(np.ones((2, 12), np.float32)).shape
    (2, 5)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        seed: Any = None,
    ) -> None:
        shape = as_count(out_features, "out_features"), as_count(in_features, "in_features")
        check_size(shape, "the weights' by in_features and out_features")
        rng, most, asked = generator(seed), 1 / math.sqrt(shape[1]), float_dtype(dtype)
        wanted = as_flag(bias, "bias")
        weight = rng.uniform(-most, most, shape).astype(asked)
        self._hold(weight, rng.uniform(-most, most, shape[0]).astype(asked) if wanted else None)

    @classmethod
    def from_weights(cls, weight: ArrayLike, bias: ArrayLike | None = None) -> Self:
        """A layer with copies of this weight (outputs, inputs) and bias (outputs,)."""
        w, b = as_own_numbers(weight, "weight"), None if bias is None else as_own_numbers(bias, "bias")
        if w.ndim != 2 or 0 in w.shape:
            raise ValueError(f"weight must have shape (outputs, inputs), one of each at least; got shape {w.shape}")
        arrays, _ = as_floats({"weight": w, "bias": b}, None, "weight")
        layer = cls.__new__(cls)
        layer._hold(arrays["weight"], as_bias(arrays.get("bias"), w.shape[0], "output"))
        return layer

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """The layer's output (..., out_features) for x (..., in_features)."""
        a, inputs = as_real(x, "x"), self.weight.shape[1]
        if a.ndim == 0 or a.shape[-1] != inputs:
            raise ValueError(f"x must have shape (..., {inputs}); got shape {a.shape}")
        shape, dtype = (*a.shape[:-1], len(self.weight)), np.result_type(a, self.weight)
        if a.size == 0:
            return np.zeros(shape, dtype)
        rows, taps = a.reshape(1, -1, inputs), self.weight[:, :, None]
        y: Array = conv1d(rows, taps, self.bias, dtype=dtype, layout="NWC", accuracy="exact").reshape(shape)
        return y

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array | None:
        dtype, (outputs, inputs) = self.weight.dtype, self.weight.shape
        rows = grad.reshape(-1, outputs)
        self._weight.grad = (rows.T @ x.reshape(-1, inputs)).astype(dtype, copy=False)
        if self._bias is not None:
            self._bias.grad = rows.sum(0, dtype=compute_dtype(dtype)).astype(dtype, copy=False)
        return grad @ self.weight if needs_input else None

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        return cls.from_weights(**arrays, **options)

    def __repr__(self) -> str:
        outputs, inputs = self.weight.shape
        return f"Linear({inputs}, {outputs}, bias={self.bias is not None}, dtype={self.weight.dtype})"


class _BatchNorm(Weighted):
    """See BatchNorm2d."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        layout: Layout | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        shape = (as_count(num_features, "num_features"),)
        check_size(shape, "the channels by num_features")
        self.eps, self.momentum = as_amount(eps, "eps"), as_amount(momentum, "momentum")
        self.affine, asked = as_flag(affine, "affine"), float_dtype(dtype)
        self.layout, self._last = layout, is_last(layout, self.rank)
        self._hold(np.ones(shape, asked), np.zeros(shape, asked))
        self._mean = Parameter("running_mean", np.zeros(shape, asked))
        self._var = Parameter("running_var", np.ones(shape, asked))
        self._known: tuple[list[int], Array, Array] | None = None

    def parameters(self) -> list[Parameter]:
        """What is learned: weight and bias, if it is affine."""
        return super().parameters() if self.affine else []

    def _state(self) -> dict[str, Parameter]:
        return super()._state() | {p.name: p for p in (self._mean, self._var)}

    @property
    def running_mean(self) -> Array:
        """The mean of each channel, as training has seen it."""
        return self._mean.value

    @property
    def running_var(self) -> Array:
        """The variance of each channel, as training has seen it."""
        return self._var.value

    def _affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weight, bias, mean, var = (p.value.astype(np.float64) for p in (*super().parameters(), self._mean, self._var))
        scale = weight / np.sqrt(var + self.eps)
        return scale, bias - mean * scale

    def _again(self, weight: Array, bias: Array | None, activation: Activation) -> Self | None:
        if weight is not self.weight:  # two of them in a row
            return None
        layer = self.__new__(type(self))
        layer.__dict__.update(self.__dict__, activation=activation)
        return layer

    @takes_bfloat16
    def __call__(self, x: ArrayLike) -> Array:
        """x with each channel brought to the mean and variance that were learned."""
        a = self._images(x)
        state = (self._weight, self._bias, self._mean, self._var)
        changes = [p.changes for p in state if p is not None]
        if self._known is None or self._known[0] != changes:
            scale, shift = (v.astype(self.weight.dtype) for v in self._affine())
            self._known = changes, scale.reshape(-1, *(1,) * (self.rank + 1)), shift
        _, w, shift = self._known
        wide = np.expand_dims(a, 1 if self._last else 2) if a.ndim == 2 else a
        how = 1, 0, 1, len(shift), "zeros", self.activation, self.layout
        y: Array = output(self.rank, wide, w, shift, None, None, None, how, tuple(ENGINE))
        return y.reshape(a.shape)

    def _images(self, x: ArrayLike) -> Array:
        a, features = as_real(x, "x"), len(self.weight)
        axis = -1 if self._last else 1
        if not (a.ndim == self.rank + 2 or (a.ndim == 2 and self.rank == 1)) or a.shape[axis] != features:
            also = f" or (N, {features})" if self.rank == 1 else ""
            shape = LAYOUTS[self.rank][self._last].replace("C", str(features))
            wanted = ", ".join(shape if features < 10 else [c for c in LAYOUTS[self.rank][self._last]])
            raise ValueError(f"x must have shape ({wanted}){also} with {features} channels; got shape {a.shape}")
        return a

    @takes_bfloat16
    def forward(self, x: ArrayLike) -> Array:
        """x with each channel brought to mean 0 and variance 1 by those of x itself, times weight, plus bias; the
        running mean and variance take a step of `momentum` towards them."""
        if self.activation is not None:
            raise ValueError("forward() is for layers that are not folded; this one ends with an activation")
        a = self._images(x)
        dtype, axes = self.weight.dtype, self._others(a)
        n = a.size // len(self.weight)
        if n < 2:
            raise ValueError(f"x must have more than one element for each channel in training; got shape {a.shape}")
        if a.dtype != dtype:
            raise TypeError(f"x has dtype {a.dtype} and weight {dtype}; both must be of one")
        mean = a.mean(axes, keepdims=True, dtype=np.float64)
        var = np.square(a - mean).mean(axes, keepdims=True)
        inverse = 1 / np.sqrt(var + self.eps)
        normed = ((a - mean) * inverse).astype(dtype)
        for p, seen in (self._mean, mean), (self._var, var * (n / (n - 1))):
            p.value = ((1 - self.momentum) * p.value + self.momentum * seen.ravel()).astype(dtype)
        self._seen = a, a.shape, normed, inverse
        assert self._bias is not None
        y: Array = normed * self._wide(self.weight, a) + self._wide(self._bias.value, a)
        return y

    def gradient(self, x: Array, grad: Array, needs_input: bool) -> Array | None:
        """Ioffe and Szegedy, Batch Normalization, 2015, section 3."""
        assert self._seen is not None
        _, _, normed, inverse = self._seen
        dtype, axes = self.weight.dtype, self._others(x)
        of_weight = np.sum(grad * normed, axes, dtype=np.float64)
        of_bias = np.sum(grad, axes, dtype=np.float64)
        for p, g in zip(super().parameters(), (of_weight, of_bias), strict=True):
            p.grad = g.astype(dtype)
        if not needs_input:
            return None
        n = x.size // len(self.weight)
        centred = grad - (self._wide(of_bias, x) + normed * self._wide(of_weight, x)) / n
        result: Array = (self._wide(self.weight, x) * inverse * centred).astype(dtype)
        return result

    def _others(self, a: Array) -> tuple[int, ...]:
        """The axes that are not the channels'."""
        channels = a.ndim - 1 if self._last else 1
        return tuple(axis for axis in range(a.ndim) if axis != channels)

    def _wide(self, values: Any, a: Array) -> Array:
        wide: Array = np.expand_dims(values, self._others(a))
        return wide

    def _options(self) -> dict[str, Any]:
        how = {name: getattr(self, name) for name in ("eps", "momentum", "affine", "layout")}
        how |= {} if self.activation is None else {"activation": self.activation}
        return {"num_features": len(self.weight)} | how | {"dtype": self.weight.dtype.name}

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        activation = options.pop("activation", None)  # of a folded one
        as_activation(activation)
        features, shape = options.get("num_features"), np.shape(arrays.get("running_mean", ()))
        if shape != (features,):  # so that it takes no more memory than the file
            raise ValueError(f"num_features is {features}, and running_mean has shape {shape}")
        layer = super()._restored(options, arrays, engine)
        layer.activation = activation
        return layer


ENGINE = as_engine("auto", "default", None)


class BatchNorm1d(_BatchNorm):
    """Normalisation of each channel of signals (N, C, W), or of each column of (N, C); see `BatchNorm2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.BatchNorm1d(2, dtype=np.float64).forward(np.array([[1.0, 0.0], [3.0, 0.0]])).round(2)
    array([[-1.,  0.],
           [ 1.,  0.]])
    """

    rank = 1


class BatchNorm2d(_BatchNorm):
    """Normalisation of each channel of images, as `torch.nn.BatchNorm2d` (Ioffe and Szegedy, Batch Normalization,
    2015).

    ``layer(x)`` is ``(x - running_mean) / sqrt(running_var + eps) * weight + bias``; `forward`, which is for training,
    takes mean and variance of x itself, and learns the running ones. `Sequential.folded` takes the layer into a
    convolution before it.

    Parameters
    ----------
    num_features : int
        Channels.
    eps, momentum : float
    affine : bool
        Whether weight and bias are learned.
    layout : {"NCHW", "NHWC"}, optional
    dtype : {float16, float32, float64}

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> layer.load_state_dict(layer.state_dict() | {"running_mean": np.array([1.0, 2.0, 3.0], np.float32)})
    >>> layer(np.full((1, 3, 1, 1), 3, np.float32)).ravel().round(2)
    array([2., 1., 0.], dtype=float32)
    """

    rank = 2


class BatchNorm3d(_BatchNorm):
    """Normalisation of each channel of volumes (N, C, D, H, W); see `BatchNorm2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.BatchNorm3d(2)(np.ones((1, 2, 2, 2, 2), np.float32)).shape
    (1, 2, 2, 2, 2)
    """

    rank = 3
