# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers as functions: arguments, their order and their meaning are those of `torch.nn.functional.conv1d`,
`conv2d` and `conv3d`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.layer_geometry import NAMES, Names, Options, layer_geometry
from fastconv.arguments.layers import (
    Columns,
    Layer,
    WeightGradient,
    as_floats,
    delivered,
    layer_arguments,
)
from fastconv.arguments.pooling import Pool, PoolGradient
from fastconv.arguments.values import as_numbers, as_out, as_word, contiguous
from fastconv.nn.bfloat16 import floats, is_bfloat16, of_rank, rounded
from fastconv.plans import Answer, planned
from fastconv.reference import layers as exact
from fastconv.reference import winograd
from fastconv.reference.activations import activated, activated_bound
from fastconv.reference.windows import continued
from fastconv.runtime import _core, check_result, checking, thread_count
from fastconv.typing import (
    Accuracy,
    Activation,
    FoldMethod,
    GradientMethod,
    IntOrTuple,
    LayerMethod,
    Layout1d,
    Layout2d,
    Layout3d,
    Padding,
    PaddingMode,
)

__all__ = ["conv1d", "conv2d", "conv3d"]

METHODS: tuple[str, ...] = get_args(LayerMethod)
SUM_METHODS: tuple[str, ...] = get_args(GradientMethod)
FOLD_METHODS: tuple[str, ...] = get_args(FoldMethod)
ACCURACIES: tuple[str, ...] = get_args(Accuracy)
Asked = TypeVar("Asked", Layer, WeightGradient, Columns, Pool, PoolGradient)


@planned(x="data", w="data", bias="data", add="data", out="out")
def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    add: ArrayLike | None = None,
    activation: Activation = None,
    layout: Layout1d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """A 1-D convolution layer: `conv2d` with one axis.

    Arguments mean what they do there. The result has shape (N, K, OW) or (K, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, W) or (C, W)
    w : array_like, shape (K, C / groups, S) or (N, K, C / groups, S)
    bias : array_like, shape (K,), optional
    stride, dilation : int
    padding : int, (int,), ((int, int),), "valid", "same" or "same_lower"
    groups : int
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    add : array_like, shape of the result, optional
    activation : str or (low, high), optional
    layout : {"NCW", "NWC"}, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv1d(np.array([[[1.0, 2, 4, 8]]]), np.array([[[-1.0, 1]]]))
    array([[[1., 2., 4.]]])
    """
    how = stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out
    if _are_of_images(1, x, w):
        return conv_each(conv1d, x, w, bias, add, how, {"method": method, "accuracy": accuracy, "threads": threads})
    return conv(1, x, w, bias, how, as_engine(method, accuracy, threads), add=add)


@planned(x="data", w="data", bias="data", add="data", out="out")
def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    add: ArrayLike | None = None,
    activation: Activation = None,
    layout: Layout2d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """A 2-D convolution layer, as `torch.nn.functional.conv2d` computes it.

    ``Y[n, o] = bias[o] + sum over channels c of X[n, c] (*) w[o, c]``, where ``(*)`` is the cross-correlation: the
    kernel is not flipped (Goodfellow, Bengio and Courville, Deep Learning, section 9.1; Zhang, Lipton, Li and Smola,
    Dive into Deep Learning, section 7.4).

    Arrays of bfloat16, a dtype of ml_dtypes and others, are computed in float32, and the result is rounded once: to
    bfloat16, or to none if dtype is float32. The bias may be of either. Gradients and transposed layers take them, too.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or (C, H, W)
        Images, or one. Any strides; never copied as a whole, but for byte-swapped data, channels last, and float16
        where groups of several channels end with `add` or a curve.
    w : array_like, shape (K, C / groups, R, S) or (N, K, C / groups, R, S)
        Kernels, of x's dtype; or those of every image of N, which are as many calls (dynamic convolution: Chen and
        others, Attention over Convolution Kernels, 2020).
    bias : array_like, shape (K,), optional
        Or (N, K), where every image has its kernels.
    stride, dilation : int or (int, int)
        Step from output to output, and from tap to tap.
    padding : int, (int, int), ((int, int), (int, int)), "valid", "same" or "same_lower"
        Elements added before and behind rows and columns. "same" gives as many outputs as there are windows that begin
        within x, ``ceil(H / stride)``: half of what that takes is added on either side, and of an odd number one more
        behind, or before for "same_lower" (as TensorFlow and ONNX do; PyTorch's "same", for stride 1).
    groups : int
        Channels and kernels are split into so many groups that do not see each other; C groups of one channel make a
        depthwise layer.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is added: zeros, or x mirrored at its edge elements, its edge elements, x again and again.
    add : array_like, shape and layout of the result, optional
        Is added to the sums and the bias before the activation, while they are in cache: the other branch of a residual
        block (He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016). float16 is rounded once,
        behind all of it. If it overlaps `out`, the result is made elsewhere and copied.
    activation : str or (low, high), optional
        What becomes of every result, as `activate` says: at no cost, if it is brought between two numbers, by a pair of
        them, "relu" or "relu6". The others are applied to what was just computed, while it is in cache.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels are in x and in the result; w stays as it is. Depthwise layers with one kernel a channel, and
        layers of one tap without padding or groups, read and write NHWC as it is; others make copies with the channels
        second.
    dtype : dtype, optional
        float16, float32 or float64: what x, w and bias are converted to. Without it they must be of one such dtype.
    out : ndarray, optional
        Where to put the result: of its shape and dtype. May overlap the others; filled directly if C-contiguous.
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
        "direct" computes in registers; "winograd" makes fewer products, of several taps along rows or columns (of any
        depth), without stride, in float32 and float16; "fft" transforms tiles, of layers with large kernels, one
        channel a group or few, and no stride; "im2col" lays the windows out as columns and leaves the product to
        `numpy.matmul`, as a second opinion; "numpy" is the reference. "auto" is "direct", "winograd" or, from 100 taps
        on, "fft" ("fast": from 49 taps on): what is faster, within the accuracy that is asked for.
    accuracy : {"exact", "default", "fast"}
        How far rounding errors may go for speed. "exact": they are those of "direct". "default": on random numbers of
        several kinds their root mean square is at most 1.6 times as large, and the largest of them twice; mostly there
        is no difference. "fast": three to seven times as large, by "winograd"; or up to twice, by "fft". They are
        relative to the elements that a tile of outputs sees, not to those of a window alone. `explain` says what runs.
    threads : int, optional
        At most so many; default `get_num_threads()`.

    Returns
    -------
    ndarray, shape (N, K, OH, OW) or (K, OH, OW)
        ``OH = (H + padding before + padding behind - (R - 1) * dilation - 1) // stride + 1``, likewise OW. The same
        bits for any number of threads and any batch that an image is in. float16 is summed in float32. Sums are
        made in parts of about 128 taps (of one channel with more taps than that: up to 1024), or of 32 products by
        "winograd", so that errors grow little with the number of channels.

    Raises
    ------
    ValueError
        Shapes that do not fit each other, w larger than the padded input, `groups` that does not divide C or K,
        stride, dilation or groups below 1, negative padding, unknown names, `out` of another
        shape or read-only, sizes that overflow.
    TypeError
        Integers or complex numbers without `dtype`, dtypes that differ, masked arrays, parameters that are no
        integers, `out` of another dtype.
    MemoryError
        No memory for the result or for scratch.

    Notes
    -----
    Besides the result a call takes at most 4 MB of scratch for each thread (kernels of more than 3000 taps: what they
    see of one channel; float16: also the sums of up to 1024 outputs of every kernel), kept for the next call, and
    "winograd" of some hundred tiles and more 1.8 times the memory of w, or 4 times if it is "fast" (of 3x3 taps; up to
    4 and 9 times of others), for what it makes of w in every call, with channels rounded up to 16. `Conv2d` makes that
    once. So it does with the spectra of large kernels, two numbers for every two elements of a tile. Scratch of "fft"
    is a few times a tile of at most 2**20 points, and with several channels up to 5 MB more a thread.

    "winograd" is Winograd's minimal filtering, F(2, 3) or F(4, 3) along each axis (Lavin and Gray, Fast Algorithms for
    Convolutional Neural Networks, 2016; at the points 0, +-1 and infinity, or 0, +-3/4, +-3/2 and infinity): tiles of
    outputs share products. Longer kernels are the sum of parts of two and three taps. An image in which something is
    not finite, or overflows, is computed by sums over taps; by "fft" a plane. Weights below 1e-36, or by "fft" 1e-32,
    lose bits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> x = np.arange(18.0).reshape(1, 2, 3, 3)
    >>> w = np.stack([np.full((2, 2), 1.0), np.full((2, 2), -1.0)])[None]
    >>> nn.conv2d(x, w, np.array([30.0]))
    array([[[[-6., -6.],
             [-6., -6.]]]])
    >>> nn.conv2d(x, w, np.array([30.0]), padding="same", activation="relu").shape
    (1, 1, 3, 3)
    """
    how = stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out
    if _are_of_images(2, x, w):
        return conv_each(conv2d, x, w, bias, add, how, {"method": method, "accuracy": accuracy, "threads": threads})
    return conv(2, x, w, bias, how, as_engine(method, accuracy, threads), add=add)


@planned(x="data", w="data", bias="data", add="data", out="out")
def conv3d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    add: ArrayLike | None = None,
    activation: Activation = None,
    layout: Layout3d | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    method: LayerMethod = "auto",
    accuracy: Accuracy = "default",
    threads: int | None = None,
) -> Any:
    """A 3-D convolution layer: `conv2d` with three axes.

    Arguments mean what they do there. The result has shape (N, K, OD, OH, OW) or (K, OD, OH, OW).

    Parameters
    ----------
    x : array_like, shape (N, C, D, H, W) or (C, D, H, W)
    w : array_like, shape (K, C / groups, T, R, S) or (N, K, C / groups, T, R, S)
    bias : array_like, shape (K,), optional
    stride, dilation : int or (int, int, int)
    padding : int, three of them, three pairs, "valid", "same" or "same_lower"
    groups : int
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    add : array_like, shape of the result, optional
    activation : str or (low, high), optional
    layout : {"NCDHW", "NDHWC"}, optional
    dtype : dtype, optional
    out : ndarray, optional
    method : {"auto", "direct", "winograd", "fft", "im2col", "numpy"}
    accuracy : {"exact", "default", "fast"}
    threads : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> nn.conv3d(np.ones((1, 2, 3, 3, 3)), np.ones((1, 2, 3, 3, 3)))
    array([[[[[54.]]]]])
    """
    how = stride, padding, dilation, groups, padding_mode, activation, layout, dtype, out
    if _are_of_images(3, x, w):
        return conv_each(conv3d, x, w, bias, add, how, {"method": method, "accuracy": accuracy, "threads": threads})
    return conv(3, x, w, bias, how, as_engine(method, accuracy, threads), add=add)


# ---- how ------------------------------------------------------------------------------------------


def conv(
    rank: int,
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    how: tuple[Any, ...],
    engine: Engine,
    names: Names = NAMES,
    learnt: NDArray[Any] | None = None,
    add: ArrayLike | None = None,
) -> Any:
    """An Answer. how: as in Options. names: for messages. learnt: what `learn` made of w."""
    if is_bfloat16(x) and names is NAMES:
        options, named = Options(*how), {"x": x, "w": w} | ({} if add is None else {"add": add})
        words = words_of(options, engine) | {"bias": None if bias is None else floats(bias)}
        call = of_rank(rank, conv1d, conv2d, conv3d)
        return rounded(lambda x, w, add=None: call(x, w, add=add, **words), named, options)
    layer = layer_arguments(rank, x, w, bias, Options(*how), names, add)
    return layered(layer, engine, (x, w, bias, add, learnt))


def layered(layer: Layer, engine: Engine, asked: tuple[Any, ...]) -> Answer:
    """The result of a layer. asked: the arrays that were given, and what `learn` made of w."""
    ways = Ways(lambda c: _direct(c, engine, asked), _im2col, exact.layer, lambda c: error_bound(c, engine, asked[-1]))
    return computed(layer, engine.method, ways, f"nn.conv{len(layer.axes)}d")


def _are_of_images(rank: int, x: ArrayLike, w: ArrayLike) -> bool:
    """Whether every image has kernels of its own."""
    if is_bfloat16(x):
        return False
    as_numbers(x, "x")  # what is wrong with x is said first
    return as_numbers(w, "w").ndim == rank + 3


def conv_each(
    function: Callable[..., NDArray[Any]],
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None,
    add: ArrayLike | None,
    how: tuple[Any, ...],
    engine: dict[str, Any],
) -> NDArray[Any]:
    """Every image by kernels of its own: with the bits of calls for each."""
    named = {"x": x, "w": w, "bias": bias, "add": add}
    arrays, dtype = as_floats(named, how[-2])
    xa, wa, ba, aa = (arrays.get(name) for name in named)
    assert xa is not None and wa is not None
    if xa.ndim != wa.ndim - 1 or len(xa) != len(wa):
        raise ValueError(f"w of shape {wa.shape} has kernels for {len(wa)} images; got x of shape {xa.shape}")
    options, rank = Options(*how), wa.ndim - 3
    g = layer_geometry(rank, xa.shape, wa.shape[1:], options)
    shape, out = g.asked(g.y_shape), as_out(options.out, g.asked(g.y_shape), dtype)
    if aa is not None and aa.shape != shape:
        raise ValueError(f"add must have shape {shape}, that of the result; got shape {aa.shape}")
    if ba is not None and ba.shape not in ((wa.shape[1],), wa.shape[:2]):
        raise ValueError(f"bias must have shape {wa.shape[1:2]} or {wa.shape[:2]}; got shape {ba.shape}")
    apart = out is not None and fillable(out, dtype, (xa, wa, ba, aa))
    result = out if apart and out is not None else np.empty(shape, dtype)
    for i in range(len(xa)):
        of_image = None if ba is None else ba if ba.ndim == 1 else ba[i]
        added = None if aa is None else aa[i : i + 1]
        words = options._replace(dtype=None, out=result[i : i + 1])._asdict()
        function(xa[i : i + 1], wa[i], of_image, **words, add=added, **engine)
    return delivered(result, dtype, out)


class Ways(NamedTuple, Generic[Asked]):
    """How something that is asked of a layer can be computed: functions of it."""

    direct: Callable[[Asked], Answer]
    im2col: Callable[[Asked], NDArray[Any]]
    exact: Callable[[Asked], NDArray[Any]]
    error_bound: Callable[[Asked], NDArray[np.float64]]


def computed(c: Asked, method: str, ways: Ways[Asked], what: str) -> Answer:
    """The result, compared with the exact one if that is asked for; what: the function's name, for messages."""
    if 0 in c.shape or 0 in c.x.shape:
        return Answer(c.deliver(np.zeros(c.shape, c.dtype)))
    if method == "numpy" or _core is None:
        return Answer(c.deliver(ways.exact(c)))
    result, plan, done = Answer(ways.im2col(c)) if method == "im2col" else ways.direct(c)
    if checking.get():
        check_result(result.astype(c.dtype), ways.exact(c).astype(c.dtype), ways.error_bound(c), what)
        plan = None
    delivered = c.deliver(result)
    if plan and c.out is None and not done and delivered is not result:
        plan.then(c.without_arrays().deliver)
    return Answer(delivered, plan)


def carried_out(
    plan: Any,
    arrays: tuple[NDArray[Any] | None, ...],
    result: NDArray[Any],
    out: NDArray[Any] | None,
    asked: tuple[Any, ...],
    slots: tuple[int, ...] = (0, 1, 2, 3, 4),
) -> Answer:
    """The result of a plan for arrays that are read, and the plan if it serves calls with arrays like those asked.

    slots: the parameters of these, of those that are data. out: where the result is to be, in the end.
    """
    plan(arrays, result)
    is_there = out is None or np.may_share_memory(out, result)
    return Answer(result, plan.serve(asked, arrays, result, slots) if is_there else None)


class Engine(NamedTuple):
    """What is asked for of how a layer is computed."""

    method: str
    accuracy: str
    threads: int  # 0: as many as are the default then

    def plan(self, x: NDArray[Any], w: NDArray[Any], layer: Layer, axes: tuple[Axis, ...], **how: bool) -> Any:
        """A `_core.LayerPlan` of the layer with these arrays and axes.

        Raises
        ------
        ValueError
            It cannot be computed by the method that is asked for.
        """
        assert _core is not None
        plan = _core.LayerPlan(
            x, w, axes, layer.groups, layer.activation, layer.add is not None, self.threads, **self.words(), **how
        )
        if self.method == "fft" and plan.transforms() is None:
            raise ValueError(
                "method='fft' takes layers with few channels, whose kernels' spectra fit into 4 MB, or one a group "
                "(gradients: and one kernel), without stride, and kernels of several rows and columns, one deep; got "
                f"kernels of shape {w.shape}, stride {tuple(a.stride for a in axes)} and groups {layer.groups}"
            )
        return self.obeyed(plan, w.shape, axes, layer.groups, layer.dtype)

    def words(self) -> dict[str, Any]:
        """Which methods a plan may choose."""
        return {"accuracy": "exact" if self.method == "direct" else self.accuracy, "forced": self.method}

    def obeyed(
        self, plan: Any, kernels: tuple[int, ...], axes: tuple[Axis, ...], groups: int, dtype: np.dtype[Any]
    ) -> Any:
        """The plan of a layer with kernels of this shape, or of their gradient, or ValueError as `plan`."""
        if self.method == "winograd" and plan.winograd() == 0:
            raise ValueError(
                "method='winograd' takes kernels of several taps along rows or columns (gradients of weights: of 3x3, "
                "or of one row of 3) without stride, dilated ones among zeros, in float32 or float16 (dilated, or with "
                "add=: float32), for 2 to some thousand channels and parts of kernels a group, and gradients of more "
                "than one output along each axis of several taps; got "
                f"kernels of shape {kernels}, stride {tuple(a.stride for a in axes)}, dilation "
                f"{tuple(a.dilation for a in axes)}, groups {groups} and {dtype}"
            )
        return plan


def as_engine(method: str, accuracy: str, threads: int | None, methods: tuple[str, ...] = METHODS) -> Engine:
    """What is asked for, if there is such a thing."""
    as_word(method, methods, "method")
    as_word(accuracy, ACCURACIES, "accuracy")
    if method in ("winograd", "fft") and accuracy == "exact":
        raise ValueError(f"method={method!r} cannot keep accuracy='exact'; 'default' and 'fast' are what it can")
    return Engine(method, accuracy, 0 if threads is None else thread_count(threads, "threads"))


def words_of(options: Options, engine: Engine, without: str = "") -> dict[str, Any]:
    """What functions of layers take by name, but for dtype, out, and what some do not take."""
    asked = options._asdict() | engine._asdict() | {"threads": engine.threads or None}
    return {name: value for name, value in asked.items() if name not in ("dtype", "out", without)}


def learn(
    rank: int,
    x: ArrayLike,
    w: NDArray[Any],
    how: tuple[Any, ...],
    engine: Engine,
    names: Names,
    known: dict[Any, NDArray[Any]],
) -> NDArray[Any] | None:
    """What a layer with weights of its own makes of them once, before it meets arrays like x; None: nothing.

    known: what it has made, by what that depends on, which is added to.
    """
    layer = layer_arguments(rank, x, w, None, Options(*how), names)
    if _core is None or 0 in layer.shape or 0 in layer.x.shape or plan_of_last(layer, engine) is not None:
        return None
    plan = engine.plan(layer.x, layer.w, layer, layer.axes)
    way = plan.learns()
    if way and way not in known and (made := plan.learn(readable(layer.w))) is not None:
        known[way] = made
    return known.get(way)


def error_bound(layer: Layer, engine: Engine, learnt: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """How far the extension may be off."""
    return activated_bound(layer.activation, _sums_bound(layer, engine, learnt), layer.compute_dtype, layer.dtype)


def _sums_bound(layer: Layer, engine: Engine, learnt: NDArray[Any] | None) -> NDArray[np.float64]:
    bound = exact.layer_error_bound(layer)
    if _core is None or engine.method == "im2col":
        return bound
    plan = engine.plan(layer.x, layer.w, layer, layer.axes)
    pairs, tile = plan.winograd(learnt is not None), plan.transforms(learnt is not None)
    if tile:
        return bound + exact.transformed_error_bound(layer, tile)
    return np.maximum(bound, winograd.layer_error_bound(layer, pairs)) if pairs else bound


def plan_of_last(layer: Layer, engine: Engine) -> Any:
    """A `_core.LayerPlan` of a layer whose channels come last in x and the result; None: they come second there."""
    if not layer.channels_last or engine.method in ("winograd", "fft"):
        return None
    x, w = readable(layer.x, dense=False), readable(layer.w)
    plan = engine.plan(x, w, layer, layer.axes, last=True)
    return plan if plan.takes_last(x, w) else None


def _direct(layer: Layer, engine: Engine, asked: tuple[Any, ...]) -> Answer:
    """With images first; channels second, or last where x is so and the extension can."""
    *_, learnt = asked
    x, w, bias = layer.x, readable(layer.w), None if layer.bias is None else readable(layer.bias)
    if (plan := plan_of_last(layer, engine)) is not None:
        x, add = readable(x, dense=False), None if layer.add is None else readable(np.moveaxis(layer.add, 1, -1))
        result, made, _ = carried_out(plan, (x, w, bias, add), room_for(layer, last=True), layer.out, asked)
        if made and not layer.batched:
            made.then(operator.itemgetter(0))
        return Answer(np.moveaxis(result, -1, 1), made, done=True)
    x = contiguous(x) if layer.channels_last else x
    plan, add = engine.plan(x, w, layer, layer.axes), None if layer.add is None else readable(layer.add)
    return carried_out(plan, (x, w, bias, add, learnt), room_for(layer), layer.out, asked)


def readable(a: NDArray[Any], dense: bool = True) -> NDArray[Any]:
    """a as the extension reads it: aligned, and C-contiguous if it is to be dense."""
    if dense and not a.flags.c_contiguous:
        return contiguous(a)
    return a if a.flags.aligned else np.require(a, None, ["A"])


def room_for(layer: Layer | Pool | PoolGradient, last: bool = False) -> NDArray[Any]:
    """Where the extension puts the result, with channels second or last: `out` itself, if it can be filled directly."""
    if layer.out is None or layer.channels_last != last or not fillable(layer.out, layer.dtype, layer.reads):
        images, kernels, *outputs = layer.shape
        return np.empty((images, *outputs, kernels) if last else layer.shape, layer.dtype)
    return layer.out if layer.batched else layer.out[None]


def fillable(out: NDArray[Any], dtype: np.dtype[Any], inputs: tuple[NDArray[Any] | None, ...]) -> bool:
    """Whether results of this dtype can be written to `out` while the inputs are read."""
    plain = out.dtype == dtype and out.flags.c_contiguous and out.flags.aligned
    return plain and not any(a is not None and np.may_share_memory(out, a) for a in inputs)


def _im2col(layer: Layer) -> NDArray[Any]:
    """The windows as columns of a matrix, times the kernels as rows."""
    dtype, rank = layer.compute_dtype, len(layer.axes)
    rows = layer.w.astype(dtype, copy=False).reshape(layer.groups, layer.w.shape[0] // layer.groups, -1)
    y: NDArray[Any] = rows @ columns(layer.x.astype(dtype, copy=False), layer.axes, layer.groups)
    y = y.reshape(layer.w.shape[0], layer.shape[0], *layer.shape[2:]).swapaxes(0, 1)
    if layer.bias is not None:
        y = y + layer.bias.astype(dtype).reshape(-1, *(1,) * rank)
    if layer.add is not None:
        y = y + layer.add.astype(dtype)
    return activated(layer.activation, y).astype(dtype, copy=False)


def columns(x: NDArray[Any], axes: tuple[Axis, ...], groups: int) -> NDArray[Any]:
    """What each output sees: (groups, channels of a group x taps, images x outputs)."""
    rank = len(axes)
    X = continued(x, axes)
    spans = tuple((a.k - 1) * a.dilation + 1 for a in axes)
    windows = np.lib.stride_tricks.sliding_window_view(X, spans, tuple(range(2, 2 + rank)))
    outputs = tuple(slice(None, None, a.stride) for a in axes)
    taps = tuple(slice(None, None, a.dilation) for a in axes)
    windows = windows[:, :, *outputs, *taps]  # (images, channels, outputs ..., taps ...)
    order = (1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank))
    return windows.transpose(order).reshape(groups, -1, math.prod((len(x), *(a.out for a in axes))))
