# SPDX-License-Identifier: BSD-3-Clause
"""What `fastconv.torch` is made of: operations that PyTorch knows, with their derivatives and their mapped forms.

A layer's input x, its weights w and the gradient y of its output meet in one number, linear in each of the three:

    sum of y[n, m, o] w[m, c, t] x[n, c, i]    over images n, kernels m, channels c, outputs o and taps t that meet in i

Its derivative by y is the layer, by x the transposed layer, by w the gradient of the weights: each is the `Product` of
the other two. So the derivatives of a product are products, however often it is differentiated: the gradient of the
result takes the place of the result, and one of the operands is what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd import forward_ad

from fastconv import nn
from fastconv.arguments.layer_geometry import LAYOUTS

Arrays: TypeAlias = Callable[..., NDArray[Any]]
CONV: dict[int, Arrays] = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
CONV_TRANSPOSE: dict[int, Arrays] = {1: nn.conv_transpose1d, 2: nn.conv_transpose2d, 3: nn.conv_transpose3d}
INPUT: dict[int, Arrays] = {1: nn.conv1d_input, 2: nn.conv2d_input, 3: nn.conv3d_input}
WEIGHT: dict[int, Arrays] = {1: nn.conv1d_weight, 2: nn.conv2d_weight, 3: nn.conv3d_weight}
BIAS: dict[int, Arrays] = {1: nn.conv1d_bias, 2: nn.conv2d_bias, 3: nn.conv3d_bias}

X, W, Y = range(3)

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
ORDINARY = torch.Tensor, torch.nn.Parameter
is_legacy_batched = torch._C._functorch.is_legacy_batchedtensor  # by autograd's own vmap

# Several products are one, whose tensors are those of the several side by side along one axis. Which one depends on the
# tensor that they have in common: they are more images, kernels or channels, or groups if there is none.
# tensor in common: {other tensor: (axis, whether it is divided into groups, which stay outside)}
SIDE_BY_SIDE: dict[int | None, dict[int, tuple[int, bool]]] = {
    W: {X: (0, False), Y: (0, False)},
    X: {W: (0, True), Y: (1, True)},
    Y: {X: (1, True), W: (1, False)},
    None: {X: (1, False), W: (0, False), Y: (1, False)},
}


class How(NamedTuple):
    """How x, w and y meet, but for what their shapes say: a number for every axis."""

    stride: Sequence[int]
    padding: Sequence[int]  # before and behind the first axis, the second, ...
    dilation: Sequence[int]
    output_padding: Sequence[int]  # of x, where y is what is given; then x is as long as y and this say
    groups: int
    padding_mode: str
    transposed: bool
    accuracy: str
    channels_last: bool  # where the channels of the result lie in memory, and of all that is derived of it


class Product(torch.autograd.Function):
    """Of x, w and y the one that is None, plus a bias of its channels.

    x has shape (images, channels, ...), w (kernels, channels / groups, ...), y (images, kernels, ...). The shape of the
    result is None where the operands tell it: that of y, and that of the x of a transposed layer.
    """

    @staticmethod
    def forward(
        x: torch.Tensor | None,
        w: torch.Tensor | None,
        y: torch.Tensor | None,
        bias: torch.Tensor | None,
        shape: Sequence[int] | None,
        how: How,
    ) -> torch.Tensor:
        return computed(x, w, y, bias, shape, how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        *three, _, ctx.shape, ctx.how = inputs
        ctx.result_shape = output.shape
        ctx.save_for_backward(*three)
        ctx.save_for_forward(*three)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        gradients: list[torch.Tensor | None] = [None] * 6
        if grad is not None:
            three = [grad if t is None else t for t in ctx.saved_tensors]
            for i in (X, W, Y):
                if ctx.needs_input_grad[i]:
                    shape = None if i == Y or (i == X and ctx.how.transposed) else three[i].shape
                    gradients[i] = product(*_with(three, i, None), None, shape, ctx.how)
            if ctx.needs_input_grad[3]:
                gradients[3] = channel_sums(grad)
        return tuple(gradients)


class TransformableProduct(Product):
    """A product with what torch.func needs and torch.compile does not take."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> torch.Tensor | None:
        """The sum of the products that have one tangent for an operand."""
        bias = tangents[3]
        terms = []
        for i in (X, W, Y):
            if tangents[i] is not None:
                terms.append(product(*_with(ctx.saved_tensors, i, tangents[i]), bias, ctx.shape, ctx.how))
                bias = None
        if bias is not None:
            terms.append(_over_channels(bias, ctx.result_shape).contiguous())
        return sum(terms[1:], terms[0]) if terms else None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[torch.Tensor, int]:
        *three, bias, shape, how = inputs
        n, dims, asked = max(info.batch_size, 1), list(in_dims), three.index(None)
        if dims[3] is not None and dims[W] is None:  # then the result must have a channel for each bias
            three[W], dims[W] = three[W].expand(info.batch_size, *three[W].shape), 0
        common = next((i for i in (X, W, Y) if i != asked and dims[i] is None), None)
        places = {i: (axis, how.groups if divided else 1) for i, (axis, divided) in SIDE_BY_SIDE[common].items()}
        for i in places.keys() - {asked}:
            three[i] = _side_by_side(_stack(three[i], dims[i]), *places[i])
        axis, groups = places[asked]
        if bias is not None and common != W:
            each = bias.expand(n, *bias.shape) if dims[3] is None else _stack(bias, dims[3])
            bias = _side_by_side(each, 0, groups)
        if shape is not None:
            shape = [*shape[:axis], n * shape[axis], *shape[axis + 1 :]]
        result = product(*three, bias, shape, how if common is not None else how._replace(groups=n * how.groups))
        return _apart(result, axis, groups, n)[: info.batch_size], 0


class PlainProduct(TransformableProduct):
    """A product that no transform looks at, which spares PyTorch work that takes as long as a small layer."""

    setup_context = torch.autograd.Function.setup_context

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> torch.Tensor:
        result = Product.forward(*inputs)
        Product.setup_context(ctx, inputs, result)
        return result


def product(*inputs: Any) -> torch.Tensor:
    """`Product`; its arguments by position."""
    function: Any
    if torch.compiler.is_compiling():
        function = Product
    elif torch._C._are_functorch_transforms_active():
        function = TransformableProduct
    elif is_differentiated(*inputs[:4]) and torch._C._get_tracing_state() is None:
        function = PlainProduct
    else:
        return computed(*inputs)
    result: torch.Tensor = function.apply(*inputs)
    return result


def computed(
    x: torch.Tensor | None,
    w: torch.Tensor | None,
    y: torch.Tensor | None,
    bias: torch.Tensor | None,
    shape: Sequence[int] | None,
    how: How,
) -> torch.Tensor:
    """What `Product` computes: by the operation, or at once where nothing looks at it, which takes half the time of a
    small layer."""
    plain = not torch.compiler.is_compiling() and not is_watched(x, w, y, bias)
    if y is None:
        return _conv(x, w, bias, how) if plain else torch.ops.fastconv.conv(x, w, bias, *how)
    if shape is None:
        return _conv_transpose(y, w, bias, how) if plain else torch.ops.fastconv.conv_transpose(y, w, bias, *how)
    return _gradient(x, w, y, shape, how) if plain else torch.ops.fastconv.gradient(x, w, y, shape, *how)


def is_differentiated(*tensors: torch.Tensor | None) -> bool:
    """Whether a derivative of what is computed of the tensors may be asked for, where no transform of torch.func is."""
    if torch.is_grad_enabled():
        for t in tensors:
            if t is not None and t.requires_grad:
                return True
    if forward_ad._current_level < 0 or not torch._C._is_fwd_grad_enabled():
        return False
    return any(t is not None and forward_ad.unpack_dual(t).tangent is not None for t in tensors)


def is_watched(*tensors: torch.Tensor | None) -> bool:
    """Whether a transform, a mode or a tracer has to see what is computed of the tensors, or one is to be resolved."""
    torch_c = torch._C
    if (
        torch_c._are_functorch_transforms_active()
        or torch_c._len_torch_dispatch_stack()
        or torch_c._get_tracing_state()
    ):
        return True
    for t in tensors:
        if t is not None and (type(t) not in ORDINARY or t.is_neg() or t._is_zerotensor() or is_legacy_batched(t)):
            return True
    return False


class ChannelSums(torch.autograd.Function):
    """The sums of (images, channels, ...) for each channel: the gradient of a bias."""

    @staticmethod
    def forward(y: torch.Tensor) -> torch.Tensor:
        return torch.ops.fastconv.channel_sums(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return _over_channels(grad, ctx.shape)

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor) -> torch.Tensor:
        return channel_sums(tangent)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], y: torch.Tensor) -> tuple[torch.Tensor, int]:
        sums = channel_sums(_side_by_side(_stack(y, in_dims[0]), 1, 1))
        return _apart(sums, 0, 1, max(info.batch_size, 1))[: info.batch_size], 0


def channel_sums(y: torch.Tensor) -> torch.Tensor:
    """`ChannelSums`."""
    plain = not torch.compiler.is_compiling() and not is_watched(y) and not is_differentiated(y)
    sums: torch.Tensor = _channel_sums(y) if plain else ChannelSums.apply(y)
    return sums


def _with(three: Sequence[torch.Tensor | None], i: int, t: torch.Tensor | None) -> list[torch.Tensor | None]:
    """The three with another one in place i."""
    return [*three[:i], t, *three[i + 1 :]]


def _over_channels(bias: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return bias.reshape(-1, *(1,) * (len(shape) - 2)).expand(shape)


def _stack(t: torch.Tensor, axis: int) -> torch.Tensor:
    """The tensors along an axis, along the first one; of none a tensor of zeros, so that there is a result to cut."""
    t = t.movedim(axis, 0)
    return t if len(t) else t.new_zeros(1, *t.shape[1:])


def _side_by_side(t: torch.Tensor, axis: int, groups: int) -> torch.Tensor:
    """Tensors stacked along axis 0 as one, longer along an axis: (groups, tensors, elements of a group)."""
    elements = t.shape[axis + 1] // groups
    return t.unflatten(axis + 1, (groups, elements)).movedim(0, axis + 1).flatten(axis, axis + 2)


def _apart(t: torch.Tensor, axis: int, groups: int, n: int) -> torch.Tensor:
    """The inverse of `_side_by_side`, for n tensors."""
    elements = t.shape[axis] // (groups * n)
    return t.unflatten(axis, (groups, n, elements)).movedim(axis + 1, 0).flatten(axis + 1, axis + 2)


# ---- the operations -------------------------------------------------------------------------------


def _conv(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None, how: How) -> torch.Tensor:
    rank, last = len(how.stride), how.channels_last
    xa, wa, ba = _arrays(x, w, bias)
    y = CONV[rank](
        np.moveaxis(xa, 1, -1) if last else xa,
        wa,
        ba,
        how.stride,
        pairs(how.padding),
        how.dilation,
        how.groups,
        padding_mode=how.padding_mode,
        layout=LAYOUTS[rank][last],
        accuracy=how.accuracy,
    )
    y = np.moveaxis(y, -1, 1) if last else y
    if any(how.output_padding):  # of the whole layer's outputs, those that the transposed layer had
        there: tuple[Any, ...] = (..., *map(slice, _shape_of_y(x, w, how)[2:]))
        y = y[there]
    return as_tensor(y, x.dtype, last)


def _conv_transpose(y: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None, how: How) -> torch.Tensor:
    layer = how.stride, pairs(how.padding), how.output_padding, how.groups, how.dilation
    x = CONV_TRANSPOSE[len(how.stride)](*_arrays(y, w, bias), *layer, accuracy=how.accuracy)
    return as_tensor(x, y.dtype, how.channels_last)


def _gradient(
    x: torch.Tensor | None, w: torch.Tensor | None, y: torch.Tensor, shape: Sequence[int], how: How
) -> torch.Tensor:
    rank, last = len(how.stride), how.channels_last
    xa, wa, ya = _arrays(x, w, y)
    layer = how.stride, pairs(how.padding), how.dilation, how.groups
    words = {"padding_mode": how.padding_mode, "accuracy": how.accuracy}
    if xa is None:
        return as_tensor(INPUT[rank](tuple(shape), wa, ya, *layer, **words), y.dtype, last)
    more = [n // step for n, step in zip(how.output_padding, how.stride, strict=True)]
    if any(more):  # zeros for the outputs that the layer has and the transposed layer had not
        ya = np.pad(ya, [(0, 0), (0, 0), *((0, n) for n in more)])
    return as_tensor(WEIGHT[rank](xa, tuple(shape), ya, *layer, **words), y.dtype, last)


def _channel_sums(y: torch.Tensor) -> torch.Tensor:
    return as_tensor(BIAS[y.ndim - 2](as_array(y)), y.dtype)


def _arrays(*tensors: torch.Tensor | None) -> list[Any]:
    return [None if t is None else as_array(t) for t in tensors]


def as_array(t: torch.Tensor) -> NDArray[Any]:
    """The tensor's memory; of bfloat16, which NumPy has not, a copy in float32."""
    t = t.detach() if t.requires_grad else t
    array: NDArray[Any] = (t.float() if t.dtype == torch.bfloat16 else t).numpy()
    return array


def as_tensor(array: NDArray[Any], dtype: torch.dtype, last: bool = False) -> torch.Tensor:
    """A result, whose channels are to lie last or not."""
    t = torch.from_numpy(array)
    if dtype == torch.bfloat16:
        t = t.to(dtype)
    return t.to(memory_format=LAST[t.ndim]) if last else t.contiguous()


def pairs(padding: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(padding[::2], padding[1::2], strict=True))


def _shape_of_y(x: torch.Tensor, w: torch.Tensor, how: How) -> list[int]:
    kernels = w.shape[0] if x.shape[1] else 0  # as in PyTorch
    along = zip(x.shape[2:], _spans(w, how), pairs(how.padding), how.stride, how.output_padding, strict=True)
    return [x.shape[0], kernels, *((n + sum(pads) - more - span) // step + 1 for n, span, pads, step, more in along)]


def _shape_of_x(y: torch.Tensor, w: torch.Tensor, how: How) -> list[int]:
    along = zip(y.shape[2:], _spans(w, how), pairs(how.padding), how.stride, how.output_padding, strict=True)
    sizes = [(n - 1) * step + span - sum(pads) + more for n, span, pads, step, more in along]
    return [y.shape[0], how.groups * w.shape[1], *sizes]


def _spans(w: torch.Tensor, how: How) -> list[int]:
    return [(taps - 1) * apart + 1 for taps, apart in zip(w.shape[2:], how.dilation, strict=True)]


HOW = (
    "int[] stride, int[] padding, int[] dilation, int[] output_padding, int groups, str padding_mode, bool transposed, "
    "str accuracy, bool channels_last"
)


def _room(like: torch.Tensor, shape: Sequence[int], last: bool) -> torch.Tensor:
    """What a result lies in, of which only shape, dtype and strides matter."""
    lies = LAST[len(shape)] if last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=lies)


# Each operation: what computes it, what tells only how its result lies, and what PyTorch is to differentiate
OPERATIONS: dict[str, tuple[Callable[..., torch.Tensor], ...]] = {
    f"conv(Tensor x, Tensor w, Tensor? bias, {HOW}) -> Tensor": (
        lambda x, w, bias, *how: _conv(x, w, bias, _resolved(how)),
        lambda x, w, bias, *how: _room(x, _shape_of_y(x, w, _resolved(how)), how[-1]),
        lambda x, w, bias, *how: product(x, w, None, bias, None, _resolved(how)),
    ),
    f"conv_transpose(Tensor y, Tensor w, Tensor? bias, {HOW}) -> Tensor": (
        lambda y, w, bias, *how: _conv_transpose(y, w, bias, _resolved(how)),
        lambda y, w, bias, *how: _room(y, _shape_of_x(y, w, _resolved(how)), how[-1]),
        lambda y, w, bias, *how: product(None, w, y, bias, None, _resolved(how)),
    ),
    f"gradient(Tensor? x, Tensor? w, Tensor y, SymInt[] shape, {HOW}) -> Tensor": (
        lambda x, w, y, shape, *how: _gradient(x, w, y, shape, _resolved(how)),
        lambda x, w, y, shape, *how: _room(y, shape, how[-1]),
        lambda x, w, y, shape, *how: product(x, w, y, None, shape, _resolved(how)),
    ),
    "channel_sums(Tensor y) -> Tensor": (
        _channel_sums,
        lambda y: y.new_empty(y.shape[1:2]),
        channel_sums,
    ),
}


def _resolved(how: Sequence[Any]) -> How:
    """What an operation was called with: lists, where these are tuples."""
    values: list[Any] = [tuple(v) if isinstance(v, list) else v for v in how]
    return How(*values)


def _differentiable(name: str, function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """An operation for graphs that call it by itself: the function, which calls it, where a derivative is wanted."""

    def called(*inputs: Any) -> torch.Tensor:
        if is_differentiated(*(t for t in inputs if isinstance(t, torch.Tensor))):
            return function(*inputs)
        with torch._C._AutoDispatchBelowAutograd():
            return getattr(torch.ops.fastconv, name)(*inputs)

    return called


# Registered, they are calls of an operation to whatever traces, compiles or exports a model, and their tensors come
# resolved: no sign that is only marked, no tangent that is only known to be zero.
_library = torch.library.Library("fastconv", "DEF")
for _schema, (_computed, _lies, _function) in OPERATIONS.items():
    _name = _schema.partition("(")[0]
    _library.define(_schema)
    _library.impl(_name, _computed, "CPU")
    _library.impl(_name, _lies, "Meta")
    _library.impl(_name, _differentiable(_name, _function), "Autograd")
