# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers that hold their weights, and learn them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.layer_geometry import (
    Names,
    Options,
    as_padding,
    is_last,
    layer_geometry,
    pads_of,
    spans_of,
)
from fastconv.arguments.layers import as_bias, as_floats
from fastconv.arguments.values import (
    as_count,
    as_numbers,
    as_own_numbers,
    per_axis,
)
from fastconv.nn.bfloat16 import is_bfloat16, of_floats
from fastconv.nn.endings import Ending
from fastconv.nn.explaining import Explanation, explained
from fastconv.nn.functional import Engine, as_engine, conv, learn
from fastconv.nn.gradients import backward
from fastconv.nn.module import asked_of
from fastconv.plans import planned
from fastconv.typing import Accuracy, Activation, Explained, IntOrTuple, Layout, Padding, PaddingMode

__all__ = ["Conv1d", "Conv2d", "Conv3d"]

NAMES = Names("x", "weight", owner="weight")
SAVED = ("stride", "padding", "dilation", "groups", "padding_mode", "activation", "layout")

MOST_SHAPES = 64  # of x, that a layer remembers,
MOST_VALUES = 4  # and how many times what it made of its weights
UNKNOWN: Any = object()  # whether it made something; None: there was nothing to make


class _Known(NamedTuple):
    """What a layer has made of its weights."""

    changes: int  # of the weights, so far
    weight: NDArray[Any]
    by_shape: dict[tuple[int, ...], NDArray[Any] | None]  # of x
    values: dict[Any, NDArray[Any]]  # the same by what it depends on, as many shapes have one


class _Conv(Ending):
    """A layer with weights of its own; see Conv2d."""

    adds = True
    fills = True
    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        activation: Activation = None,
        layout: Layout | None = None,
        dtype: DTypeLike = np.float32,
        seed: Any = None,
        accuracy: Accuracy = "default",
        threads: int | None = None,
    ) -> None:
        channels = in_channels, out_channels
        weight, first, parts = self._initial(channels, kernel_size, groups, bias, dtype, seed)
        self._set(
            weight,
            first,
            Options(stride, padding, dilation, parts, padding_mode, activation, layout),
            accuracy,
            threads,
        )

    @classmethod
    def from_weights(
        cls,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        padding_mode: PaddingMode = "zeros",
        *,
        activation: Activation = None,
        layout: Layout | None = None,
        accuracy: Accuracy = "default",
        threads: int | None = None,
    ) -> Self:
        """A layer with copies of these weights (K, C / groups, ...) and bias (K,): arrays, or parameters of PyTorch;
        bfloat16 becomes float32."""
        layer = cls.__new__(cls)
        first = None if bias is None else as_own_numbers(bias, "bias")
        options = Options(stride, padding, dilation, groups, padding_mode, activation, layout)
        layer._set(as_own_numbers(weight, "weight"), first, options, accuracy, threads)
        return layer

    def _set(
        self, w: NDArray[Any], bias: NDArray[Any] | None, options: Options, accuracy: Accuracy, threads: int | None
    ) -> None:
        """Bad arguments are reported here, not by the first call."""
        how = as_asked(self.rank, w.shape, options)
        arrays, _ = as_floats({"weight": w, "bias": bias}, None, NAMES.owner)
        first = as_bias(arrays.get("bias"), w.shape[0], "kernel")
        self._end_with(options.activation)
        self._asked = how._replace(activation=self.activation)
        self._how = self._asked[: SAVED.index("activation")]
        self.layout = options.layout
        self._engine = as_engine("auto", accuracy, threads)
        self._known: _Known | None = None
        self._hold(arrays["weight"], first)

    @property
    def out_channels(self) -> int:
        """How many channels the output has."""
        return len(self.weight)

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None, *, add: ArrayLike | None = None) -> NDArray[Any]:
        """The layer's output for x; nothing is remembered. add: as for `conv2d`."""
        if is_bfloat16(x):
            rounded: NDArray[Any] = of_floats(self, x, out, add=add)
            return rounded
        return self._computed(x, self.activation, out, add)

    def _computed(
        self,
        x: ArrayLike,
        activation: Activation,
        out: NDArray[Any] | None = None,
        add: ArrayLike | None = None,
    ) -> NDArray[Any]:
        w, learnt = self._learn(x)
        how = *self._how, activation, self.layout
        y: NDArray[Any] = output(self.rank, x, w, self.bias, add, out, learnt, how, tuple(self._engine))
        return y

    def _learn(self, x: ArrayLike) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The weights, and what the layer makes of them for arrays of this shape: once, until they change."""
        known, shape = self._known, as_numbers(x, "x").shape
        if known is None or known.changes != self._weight.changes:
            known = self._known = _Known(self._weight.changes, self._weight.value, {}, {})
        learnt = known.by_shape.get(shape, UNKNOWN)  # which other threads may clear
        if learnt is UNKNOWN:
            if len(known.by_shape) == MOST_SHAPES or len(known.values) == MOST_VALUES:
                known.by_shape.clear()
                known.values.clear()
            how = *self._how, None, self.layout, None, None
            learnt = known.by_shape[shape] = learn(self.rank, x, known.weight, how, self._engine, NAMES, known.values)
        return known.weight, learnt

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made again of the weights."""
        return self.__dict__ | {"_known": None}

    def explain(self, x_shape: Sequence[int], of: Explained = "output") -> Explanation:
        """Say how the layer would compute its output for arrays of this shape, or a gradient; see `nn.explain`.

        Other ways may pay than for a function, as values of the weights are made once.
        """
        weight, options = self._weight.value, self._asked._replace(activation=None)
        return explained(x_shape, weight.shape, options, weight.dtype, self._engine, of, learnt=True)

    def gradient(self, x: NDArray[Any], grad: NDArray[Any], needs_input: bool) -> NDArray[Any] | None:
        grad = self._before_end(grad)
        options = self._asked._replace(activation=None)
        needs = needs_input, True, self._bias is not None
        gradients = backward(self.rank, grad, x, self.weight, options, needs, self._engine, NAMES)
        self._weight.grad = gradients.weight
        if self._bias is not None:
            self._bias.grad = gradients.bias
        return gradients.input

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self._asked, name) for name in SAVED}

    @classmethod
    def _restored(cls, options: dict[str, Any], arrays: dict[str, Any], engine: dict[str, Any]) -> Self:
        if set(options) != set(SAVED):
            raise ValueError(f"its options are not those of a {cls.__name__}")
        return cls.from_weights(**arrays, **options, **engine)

    def _again(self, weight: NDArray[Any], bias: NDArray[Any] | None, activation: Activation) -> Self:
        layer = self.__new__(type(self))
        layer._set(weight, bias, self._asked._replace(activation=activation), **asked_of(self._engine))
        return layer

    def __repr__(self) -> str:
        o, w = self._asked, self.weight
        how = f"kernel_size={w.shape[2:]}, stride={o.stride}, padding={o.padding!r}, dilation={o.dilation}"
        how += f", groups={o.groups}, dtype={w.dtype}"
        how += "".join(f", {name}={v!r}" for name in SAVED[-2:] if (v := getattr(o, name)) is not None)
        return f"{type(self).__name__}({w.shape[1] * o.groups}, {w.shape[0]}, {how})"


def as_asked(rank: int, w_shape: tuple[int, ...], options: Options) -> Options:
    """The options of a layer with weights of this shape, checked without any x."""
    if len(w_shape) != rank + 2:
        raise ValueError(f"weight must have {rank + 2} dimensions; got shape {w_shape}")
    dilation = per_axis(options.dilation, rank, "dilation")
    stride = per_axis(options.stride, rank, "stride")
    padding = as_padding(options.padding)
    spans = spans_of(w_shape[2:], dilation, NAMES.w)
    pads = pads_of(padding, spans, (1,) * rank)
    large = (span + max(pair) for span, pair in zip(spans, pads, strict=True))  # enough for every padding_mode
    x_shape = 1, w_shape[1] * as_count(options.groups, "groups"), *large
    if is_last(options.layout, rank):
        x_shape = x_shape[0], *x_shape[2:], x_shape[1]
    how = options._replace(stride=stride, padding=padding, dilation=dilation)
    return how._replace(groups=layer_geometry(rank, x_shape, w_shape, how, NAMES).groups)


@planned(x="data", weight="data", bias="data", add="data", learnt="data", out="out")
def output(
    rank: int,
    x: ArrayLike,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    add: ArrayLike | None,
    out: NDArray[Any] | None,
    learnt: NDArray[Any] | None,
    how: tuple[Any, ...],
    engine: tuple[Any, ...],
) -> Any:
    """What a layer gives for x. learnt: what it made of its weights. how: the options of SAVED."""
    return conv(rank, x, weight, bias, (*how, None, out), Engine(*engine), NAMES, learnt, add)


class Conv1d(_Conv):
    """A 1-D convolution layer that holds its weights; see `Conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Conv1d(8, 4, 3, padding=1)(np.ones((2, 8, 10), np.float32)).shape
    (2, 4, 10)
    """

    rank = 1


class Conv2d(_Conv):
    """A 2-D convolution layer that holds its weights, with the arguments and the initialisation of `torch.nn.Conv2d`.

    Arguments are checked once. ``layer(x)`` is the output, and may be asked for from several threads at a time. To
    train, ``y = layer.forward(x)``, then ``layer.backward(grad_y)`` with the gradient of a loss, which sets the
    gradients of `parameters()` for `SGD`.

    What the layer makes of its weights is kept until they change. So more layers are computed by Winograd's algorithm
    than by `conv2d`, whose results may then differ in their last bits: ``layer.explain(x.shape)`` says which are.

    A layer of float32 takes x of bfloat16, as all layers and networks do: it is computed in float32, and the output is
    rounded once, and so is the gradient of x. Weights and their gradients stay float32.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
    padding, padding_mode, groups, activation, layout, accuracy, threads
        As for `conv2d`.
    bias : bool
        Whether to have one.
    dtype : {float16, float32, float64}
    seed : int or numpy.random.Generator, optional
        Weights and bias are uniform in +-1 / sqrt(taps of a kernel), which is what He, Zhang, Ren and Sun (Delving
        Deep into Rectifiers, 2015) propose, with the constant that PyTorch uses.

    See Also
    --------
    Conv2d.from_weights : a layer with given weights.
    Conv2d.save, Conv2d.load : a layer in a file.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.Conv2d(3, 16, 3, padding="same", activation="relu", seed=0)
    >>> layer(np.ones((3, 32, 32), np.float32)).shape
    (16, 32, 32)
    >>> edges = nn.Conv2d.from_weights(np.array([[[[-1.0, 1.0]]]]))
    >>> edges(np.array([[[0.0, 0.0, 1.0]]]))
    array([[[0., 1.]]])

    Learn the same from one example:

    >>> x, y = np.array([[[0.0, 0.0, 1.0, 1.0]]]), np.array([[[0.0, 1.0, 0.0]]])
    >>> layer = nn.Conv2d(1, 1, (1, 2), bias=False, dtype=np.float64, seed=0)
    >>> optimiser = nn.SGD(layer.parameters(), lr=0.3)
    >>> for _ in range(100):
    ...     _ = layer.backward(layer.forward(x) - y)
    ...     optimiser.step()
    >>> layer.weight.round(3)
    array([[[[-1.,  1.]]]])
    """

    rank = 2


class Conv3d(_Conv):
    """A 3-D convolution layer that holds its weights; see `Conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.Conv3d(1, 2, 3)(np.ones((1, 4, 5, 6), np.float32)).shape
    (2, 2, 3, 4)
    """

    rank = 3
