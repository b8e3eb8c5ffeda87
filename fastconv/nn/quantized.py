# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers of bytes: exact sums, and bytes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import Names, Options
from fastconv.arguments.layers import as_bias, delivered
from fastconv.arguments.quantized import (
    OVERFLOWS,
    Quantized,
    QuantizedLayer,
    as_bytes,
    as_int32,
    as_quantized,
    as_users,
    quantized_arguments,
)
from fastconv.arguments.values import as_word
from fastconv.nn.functional import fillable, readable
from fastconv.nn.module import Module
from fastconv.nn.modules import SAVED, as_asked
from fastconv.plans import Answer, planned
from fastconv.reference import quantized as exact
from fastconv.runtime import _core, check_result, checking, thread_count
from fastconv.typing import IntOrTuple, Layout, Layout1d, Layout2d, Layout3d, Padding, PaddingMode

__all__ = ["QConv1d", "QConv2d", "QConv3d", "qconv1d", "qconv2d", "qconv3d"]

METHODS = ("auto", "numpy")
MOST_LEARNT = 32  # dtypes and shapes of x, and instruction sets, that a layer arranges its weights for
NAMES = Names("x", "weight")


@planned(x="data", w="data", bias="taps", out="out")
def qconv1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    x_zero: int = 0,
    w_zero: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    y_zero: int = 0,
    layout: Layout1d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    overflow: str = "raise",
    method: str = "auto",
    threads: int | None = None,
) -> Any:
    """A 1-D convolution layer of bytes: `qconv2d` with one axis.

    Arguments mean what they do there.

    Parameters
    ----------
    x : array_like of uint8 or int8, shape (N, C, W) or (C, W)
    w : array_like of uint8 or int8, shape (K, C / groups, S)
    bias : array_like of integers, shape (K,), optional
    stride, padding, dilation, groups, padding_mode, layout
        As for `conv1d`.
    x_zero, y_zero : int
    w_zero : int or array_like of integers, shape (K,), optional
    scale : float or array_like of floats, shape (K,), optional
    dtype : dtype, optional
    out : ndarray, optional
    overflow : {"raise", "wrap"}
    method : {"auto", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.qconv1d(np.array([[1, 2, 200]], np.uint8), np.array([[[-1, 1]]], np.int8))
    array([[  1, 198]], dtype=int32)
    """
    how = x_zero, w_zero, scale, y_zero, dtype
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, None, out)
    return _computed(1, x, w, bias, options, how, overflow, method, threads)


@planned(x="data", w="data", bias="taps", out="out")
def qconv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    x_zero: int = 0,
    w_zero: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    y_zero: int = 0,
    layout: Layout2d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    overflow: str = "raise",
    method: str = "auto",
    threads: int | None = None,
) -> Any:
    """A 2-D convolution layer of bytes, which stand for numbers: ``(byte - zero) * step``.

    The sums are exact, on every instruction set: ``s = sum (x - x_zero) (w - w_zero) + bias``. They are the result, of
    int32; or, given a scale, ``s * scale``, in float32, rounded half to even, plus y_zero, and no more than the dtype
    holds: what `QLinearConv` of ONNX and the quantised layers of PyTorch compute. What lies beyond x is x_zero.

    Parameters
    ----------
    x : array_like of uint8 or int8, shape (N, C, H, W) or (C, H, W)
    w : array_like of uint8 or int8, shape (K, C / groups, R, S)
    bias : array_like of integers that int32 holds, shape (K,), optional
    stride, padding, dilation, groups, padding_mode, layout
        As for `conv2d`.
    x_zero : int
        What stands for zero in x.
    w_zero : int or array_like of integers, shape (K,), optional
        What stands for zero in w.
    scale : float or array_like of floats, shape (K,), optional
        The steps of x and of w over that of the result.
    y_zero : int
        What stands for zero in the result.
    dtype : dtype, optional
        Of the result: uint8, or int8, if there is a scale.
    out : ndarray, optional
        Where the result goes: of its shape and dtype.
    overflow : {"raise", "wrap"}
        What becomes of sums that int32 may not hold, which takes some 33 000 taps: an error, or they are computed
        modulo 2**32.
    method : {"auto", "numpy"}
        "numpy": the reference computes it.
    threads : int, optional

    Returns
    -------
    ndarray
        Of shape (N, K, OH, OW) or (K, OH, OW).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    OverflowError
        A sum might not fit into int32.

    See Also
    --------
    QConv2d : a layer that holds its weights, and arranges them once.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x, w = np.full((1, 3, 3), 200, np.uint8), np.ones((1, 1, 2, 2), np.int8)
    >>> nn.qconv2d(x, w)
    array([[[800, 800],
            [800, 800]]], dtype=int32)
    >>> nn.qconv2d(x, w, x_zero=128, scale=0.25, y_zero=10)
    array([[[82, 82],
            [82, 82]]], dtype=uint8)
    """
    how = x_zero, w_zero, scale, y_zero, dtype
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, None, out)
    return _computed(2, x, w, bias, options, how, overflow, method, threads)


@planned(x="data", w="data", bias="taps", out="out")
def qconv3d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    x_zero: int = 0,
    w_zero: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    y_zero: int = 0,
    layout: Layout3d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    overflow: str = "raise",
    method: str = "auto",
    threads: int | None = None,
) -> Any:
    """A 3-D convolution layer of bytes: `qconv2d` with three axes.

    Arguments mean what they do there.

    Parameters
    ----------
    x : array_like of uint8 or int8, shape (N, C, D, H, W) or (C, D, H, W)
    w : array_like of uint8 or int8, shape (K, C / groups, T, R, S)
    bias : array_like of integers, shape (K,), optional
    stride, padding, dilation, groups, padding_mode, layout
        As for `conv3d`.
    x_zero, y_zero : int
    w_zero : int or array_like of integers, shape (K,), optional
    scale : float or array_like of floats, shape (K,), optional
    dtype : dtype, optional
    out : ndarray, optional
    overflow : {"raise", "wrap"}
    method : {"auto", "numpy"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.qconv3d(np.ones((1, 2, 2, 2), np.uint8), np.ones((1, 1, 2, 2, 2), np.int8))
    array([[[[8]]]], dtype=int32)
    """
    how = x_zero, w_zero, scale, y_zero, dtype
    options = Options(stride, padding, dilation, groups, padding_mode, None, layout, None, out)
    return _computed(3, x, w, bias, options, how, overflow, method, threads)


# ---- how ------------------------------------------------------------------------------------------


def _computed(
    rank: int,
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    options: Options,
    how: tuple[Any, ...],
    overflow: str,
    method: str,
    threads: int | None,
) -> Any:
    as_word(method, METHODS, "method")
    count = 0 if threads is None else thread_count(threads, "threads")
    wa = as_bytes(w, "w")
    asked = as_quantized(wa.shape[0] if wa.ndim else 0, wa.dtype, *how)
    layer = quantized_arguments(rank, x, wa, bias, options, asked, overflow)
    if method == "numpy" or is_empty(layer):
        return layer.deliver(exact.quantized(layer))
    return _carried_out(plan_of(layer, count), layer, None, (x, w, None), f"nn.qconv{rank}d")


def is_empty(layer: QuantizedLayer) -> bool:
    """Whether there is nothing to compute, or nothing that computes it."""
    return _core is None or 0 in layer.shape or 0 in layer.x.shape


def plan_of(layer: QuantizedLayer, threads: int) -> Any:
    """A `_core.DotsPlan`."""
    assert _core is not None
    how, w = layer.how, layer.w
    names = layer.x.dtype.name, w.dtype.name, how.dtype.name
    zeros = how.x_zero, how.y_zero, how.w_zero
    return _core.DotsPlan(
        layer.x, w, layer.axes, layer.groups, threads, names, layer.bias, *zeros, how.scale, layer.channels_last
    )


def _carried_out(
    plan: Any, layer: QuantizedLayer, learnt: NDArray[Any] | None, asked: tuple[Any, ...], what: str
) -> Answer:
    """The result, and the plan if it serves calls with arrays like those asked."""
    shape, dtype, moves, out = layer.shape, layer.how.dtype, layer.channels_last and not plan.last, layer.out
    shape = (shape[0], *shape[2:], shape[1]) if plan.last else shape
    fills = out is not None and not moves and fillable(out, dtype, (layer.x, layer.w))
    made = out.reshape(shape) if fills and out is not None else np.empty(shape, dtype)
    arrays = layer.x, readable(layer.w), learnt
    plan(arrays, made)
    known = plan.serve(asked, arrays, made) if (fills or out is None) and not layer.depends else None
    if checking.get():
        check_result(
            np.moveaxis(made, -1, 1) if plan.last else made, exact.quantized(layer), np.zeros(layer.shape), what
        )
        known = None
    result = delivered(as_users(made, moves, layer.batched), dtype, out)
    if known and out is None and result is not made:
        batched = layer.batched
        known.then(lambda made: delivered(as_users(made, moves, batched), dtype, None))
    return Answer(result, known)


@planned(x="data", weight="data", learnt="data", bias="taps", out="out")
def output(
    rank: int,
    x: ArrayLike,
    weight: NDArray[Any],
    learnt: NDArray[Any] | None,
    bias: NDArray[Any] | None,
    out: NDArray[Any] | None,
    options: tuple[Any, ...],
    how: tuple[Any, ...],
    engine: tuple[str, int],
) -> Any:
    """What a layer gives for x. learnt: what it made of its weights. options: as in Options. how: as in Quantized."""
    overflow, threads = engine
    asked = Options(*options)._replace(out=out)
    layer = quantized_arguments(rank, x, weight, bias, asked, Quantized(*how), overflow, NAMES)
    if is_empty(layer):
        return layer.deliver(exact.quantized(layer))
    return _carried_out(plan_of(layer, threads), layer, learnt, (x, weight, learnt), f"nn.QConv{rank}d")


class _QConv(Module):
    """A layer of bytes with weights of its own; see QConv2d."""

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        padding_mode: PaddingMode = "zeros",
        *,
        x_zero: int = 0,
        w_zero: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        y_zero: int = 0,
        layout: Layout | None = None,
        dtype: DTypeLike | None = None,
        overflow: str = "raise",
        threads: int | None = None,
    ) -> None:
        w = as_bytes(weight, "weight").copy()
        how = x_zero, w_zero, scale, y_zero, dtype
        self._how: Quantized = as_quantized(w.shape[0] if w.ndim else 0, w.dtype, *how)
        self._asked = as_asked(
            self.rank, w.shape, Options(stride, padding, dilation, groups, padding_mode, None, layout)
        )
        self._overflow = as_word(overflow, OVERFLOWS, "overflow")
        self._threads = 0 if threads is None else thread_count(threads, "threads")
        self.weight = np.ascontiguousarray(w)
        self.bias = None if bias is None else as_bias(as_int32(bias, "bias"), w.shape[0], "kernel")
        self.layout = layout
        self.weight.flags.writeable = False  # what is made of them is kept
        self._words = tuple(getattr(self._asked, name) for name in SAVED)
        self._learnt: dict[Any, NDArray[Any]] = {}

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The layer's output for x."""
        engine = self._overflow, self._threads
        learnt, how = self._learn(as_bytes(x, "x")), tuple(self._how)
        y: NDArray[Any] = output(self.rank, x, self.weight, learnt, self.bias, out, self._words, how, engine)
        return y

    def _learn(self, x: NDArray[Any]) -> NDArray[Any] | None:
        """The weights as this instruction set multiplies them by arrays like x; None: it does not."""
        if _core is None or 0 in x.shape:
            return None
        key = x.dtype, x.shape, _core.table()["isa"]
        learnt = self._learnt.get(key)
        if learnt is None:
            named = quantized_arguments(
                self.rank, x, self.weight, self.bias, self._asked, self._how, self._overflow, NAMES
            )
            if is_empty(named):
                return None
            plan = plan_of(named, self._threads)
            form = x.dtype, plan.learns()
            if len(self._learnt) >= MOST_LEARNT:
                self._learnt.clear()
            learnt = self._learnt.get(form)
            learnt = self._learnt[key] = self._learnt[form] = plan.learn(self.weight) if learnt is None else learnt
        return learnt

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """The arrays that the layer has: weight, and bias, w_zero and scale if there are any. No copies."""
        arrays = {"weight": self.weight, "bias": self.bias, "w_zero": self._how.w_zero, "scale": self._how.scale}
        return {name: a for name, a in arrays.items() if a is not None}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Bytes do not change: make another layer of these arrays."""
        raise TypeError(f"{type(self).__name__} keeps the weights that it was made of; make another of others")

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made again of the weights."""
        return self.__dict__ | {"_learnt": {}}

    def _options(self) -> dict[str, Any]:
        options = {name: getattr(self._asked, name) for name in SAVED if name != "activation"}
        how = self._how
        return options | {
            "x_zero": how.x_zero,
            "y_zero": how.y_zero,
            "dtype": how.dtype.name,
            "overflow": self._overflow,
        }

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        return cls(**arrays, **options, threads=engine["threads"])

    def __repr__(self) -> str:
        w, o = self.weight, self._options()
        how = ", ".join(f"{name}={value!r}" for name, value in o.items() if value is not None)
        return f"{type(self).__name__}({w.shape[1] * self._asked.groups}, {w.shape[0]}, {w.shape[2:]}, {how})"


class QConv1d(_QConv):
    """A 1-D convolution layer of bytes that holds its weights; see `QConv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.QConv1d(np.ones((4, 8, 3), np.int8))(np.ones((2, 8, 10), np.uint8)).shape
    (2, 4, 8)
    """

    rank = 1


class QConv2d(_QConv):
    """A 2-D convolution layer of bytes that holds its weights, of which it has copies and arranges them once.

    ``layer(x)`` is the output, and may be asked for from several threads at a time. It does not learn.

    Parameters
    ----------
    weight : array_like of uint8 or int8, shape (K, C / groups, R, S)
    bias, stride, padding, dilation, groups, padding_mode, x_zero, w_zero, scale, y_zero, layout, dtype, overflow
        As for `qconv2d`.
    threads : int, optional
        As for `qconv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.QConv2d(np.ones((1, 1, 2, 2), np.int8), scale=0.25, x_zero=128, y_zero=10)
    >>> layer(np.full((1, 3, 3), 200, np.uint8))
    array([[[82, 82],
            [82, 82]]], dtype=uint8)
    """

    rank = 2


class QConv3d(_QConv):
    """A 3-D convolution layer of bytes that holds its weights; see `QConv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.QConv3d(np.ones((2, 1, 3, 3, 3), np.int8))(np.ones((1, 4, 5, 6), np.uint8)).shape
    (2, 2, 3, 4)
    """

    rank = 3
