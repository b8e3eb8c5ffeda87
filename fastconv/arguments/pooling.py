# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of pooling layers, and of their gradients."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.arguments.axes import Axis
from fastconv.arguments.layer_geometry import LARGEST, LAYOUTS, as_padding, check_size, is_batched, pads_of, spans_of
from fastconv.arguments.layers import NOTHING, as_floats, delivered
from fastconv.arguments.values import as_flag, as_index, as_numbers, as_out, as_size, as_word, is_listed, per_axis
from fastconv.typing import IntOrTuple, Layout, PoolPadding

MOST_OUTPUTS = 2**31  # of an adaptive axis: a product of two such numbers is an index


class Pool(NamedTuple):
    """Pooling, ready to be computed: arrays have images first and channels second."""

    x: NDArray[Any]  # (images, channels, ...), any strides
    axes: tuple[Axis, ...]
    behind: tuple[int, ...]  # elements beyond each axis, whose first are the axes' leads
    average: bool
    adaptive: bool  # output o sees elements o * n // out to (o + 1) * n / out, rounded up
    padded: bool  # means are of what lies beyond x, too
    divisor: int  # of sums; 0: by how many elements there are
    finds: bool  # indices, too
    dtype: np.dtype[Any]
    batched: bool
    channels_last: bool
    out: NDArray[Any] | None  # with the user's axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return (*self.x.shape[:2], *(a.out for a in self.axes))

    @property
    def reads(self) -> tuple[NDArray[Any], ...]:
        return (self.x,)

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """Floats that hold all numbers of the dtype; int64, which none do, stays."""
        size = self.dtype.itemsize
        if self.dtype.kind == "f":
            return np.dtype(np.float32) if size == 2 else self.dtype
        return self.dtype if size == 8 else np.dtype(np.float64 if size == 4 else np.float32)

    @property
    def whole(self) -> bool:
        """Whether the elements of any window adjoin in a dense plane: all columns of one plane, or of whole planes."""
        depth, rows, cols = ((Axis(1, 1, 1, 0, 1, 1, "constant", 0, 1),) * 2 + self.axes)[-3:]
        return (
            not self.finds
            and _sees_all(cols)
            and _dense(rows)
            and (depth.k == 1 or (_sees_all(rows) and _dense(depth)))
        )

    @property
    def far(self) -> bool:
        """Whether places in a plane are more than integers count that are as large as an element."""
        return self.compute_dtype.itemsize == 4 and math.prod(self.x.shape[2:]) > np.iinfo(np.int32).max

    def first(self, a: NDArray[Any]) -> NDArray[Any]:
        """An array with the user's axes, with images first and channels second."""
        a = a if self.batched else a[None]
        return np.moveaxis(a, -1, 1) if self.channels_last else a

    def as_asked(self, result: NDArray[Any]) -> NDArray[Any]:
        """A result of (images, channels, ...) with the user's axes."""
        result = np.moveaxis(result, 1, -1) if self.channels_last else result
        return result if self.batched else result[0]

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its dtype, with the user's axes, in `out` when there is one."""
        with np.errstate(over="ignore"):
            return delivered(self.as_asked(result), self.dtype, self.out)

    def without_arrays(self) -> Pool:
        """What delivers other results."""
        return self._replace(x=NOTHING[:, None, None], out=None)


class PoolGradient(NamedTuple):
    """The gradient of what is pooled, ready to be computed."""

    pool: Pool  # of means, x has its shape and no elements
    grad_output: NDArray[Any]  # (images, channels, outputs ...), any strides
    indices: NDArray[np.int64] | None  # of the largest elements, likewise; None: they are looked for
    out: NDArray[Any] | None  # with the user's axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return self.pool.x.shape

    @property
    def x(self) -> NDArray[Any]:
        return self.grad_output

    @property
    def reads(self) -> tuple[NDArray[Any], ...]:
        return self.grad_output, self.pool.x

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pool.dtype

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        return self.pool.compute_dtype

    @property
    def batched(self) -> bool:
        return self.pool.batched

    @property
    def channels_last(self) -> bool:
        return self.pool.channels_last

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its dtype, with the user's axes, in `out` when there is one."""
        with np.errstate(over="ignore"):
            return delivered(self.pool.as_asked(result), self.dtype, self.out)

    def without_arrays(self) -> PoolGradient:
        """What delivers other results."""
        return PoolGradient(self.pool.without_arrays(), NOTHING, None, None)


def _sees_all(a: Axis) -> bool:
    return a.out == 1 and _dense(a) and a.lead >= 0 and a.k - a.lead >= a.n


def _dense(a: Axis) -> bool:
    return a.dilation == 1 or a.k == 1


def max_pool_arguments(
    rank: int,
    x: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None,
    padding: PoolPadding,
    dilation: IntOrTuple,
    ceil_mode: bool,
    return_indices: bool,
    layout: Layout | None,
    out: Any,
    name: str = "x",
) -> Pool:
    """Check the arguments of the largest elements of windows. name: what messages call x."""
    xa = _ordered(x, name)
    given, last, batched = _images(rank, xa, layout, name)
    axes, behind = _axes(given, rank, kernel_size, stride, padding, dilation, ceil_mode, name)
    finds = as_flag(return_indices, "return_indices")
    return _made(given, axes, behind, False, False, False, 0, finds, batched, last, out)


def avg_pool_arguments(
    rank: int,
    x: ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None,
    padding: PoolPadding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    layout: Layout | None,
    out: Any,
    name: str = "x",
) -> Pool:
    """Check the arguments of the means of windows. name: what messages call x."""
    xa = as_floats({name: x}, None, owner=name)[0][name]
    given, last, batched = _images(rank, xa, layout, name)
    axes, behind = _axes(given, rank, kernel_size, stride, padding, 1, ceil_mode, name)
    padded, divisor = as_flag(count_include_pad, "count_include_pad"), _divisor(divisor_override)
    return _made(given, axes, behind, True, False, padded, divisor, False, batched, last, out)


def adaptive_arguments(
    rank: int,
    x: ArrayLike,
    output_size: Any,
    average: bool,
    return_indices: bool,
    layout: Layout | None,
    out: Any,
    name: str = "x",
) -> Pool:
    """Check the arguments of pooling to a given size. name: what messages call x."""
    xa = as_floats({name: x}, None, owner=name)[0][name] if average else _ordered(x, name)
    given, last, batched = _images(rank, xa, layout, name)
    finds = as_flag(return_indices, "return_indices")
    size = _output_size(output_size, given.shape[2:])
    if max(*given.shape[2:], *size) >= MOST_OUTPUTS:
        raise ValueError(
            f"output_size {output_size!r} or {name} of shape {xa.shape} is too large: an axis has 2**31 or more"
        )
    even = all(n % o == 0 for n, o in zip(given.shape[2:], size, strict=True) if o)
    axes = tuple(_adaptive(n, o, even) for n, o in zip(given.shape[2:], size, strict=True))
    return _made(given, axes, (0,) * rank, average, not even, False, 0, finds, batched, last, out)


def gradient_arguments(
    pool: Pool, names: tuple[str, str], grad_output: ArrayLike, indices: ArrayLike | None, out: Any
) -> PoolGradient:
    """Check the arguments of the gradient of what is pooled. names: what messages call it, and what gives windows."""
    name, windows = names
    grad = as_numbers(grad_output, "grad_output")
    if pool.dtype.kind != "f" or grad.dtype.newbyteorder("=") != pool.dtype:
        as_floats({name: pool.x, "grad_output": grad}, None, owner=name)
    grad = grad.astype(pool.dtype, copy=False)
    asked = pool.as_asked(_shapeless(pool.shape, pool.dtype)).shape
    if grad.shape != asked:
        raise ValueError(
            f"grad_output must have shape {asked}, as {name} of shape {pool.as_asked(pool.x).shape} and {windows} "
            f"give; got shape {grad.shape}"
        )
    given = None if indices is None else _indices(indices, asked)
    return PoolGradient(
        pool,
        pool.first(grad),
        given if given is None else pool.first(given),
        as_out(out, pool.as_asked(pool.x).shape, pool.dtype),
    )


def _indices(indices: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Of an element for each of so many outputs."""
    given = as_numbers(indices, "indices")
    if given.dtype.kind not in "iu" or given.dtype == np.uint64:
        raise TypeError(f"indices must be integers that int64 holds, as return_indices=True gives; got {given.dtype}")
    if given.shape != shape:
        raise ValueError(f"indices must have grad_output's shape {shape}; got shape {given.shape}")
    return given.astype(np.int64, copy=False)


def as_input(input_size: Sequence[int], grad_output: ArrayLike) -> NDArray[Any]:
    """An array of this shape and of the gradient's dtype, that takes no memory."""
    grad = as_floats({"grad_output": grad_output}, None, owner="grad_output")[0]["grad_output"]
    size = as_size(input_size, "input_size")
    check_size(size, f"input_size is {input_size!r}")
    return _shapeless(size, grad.dtype)


def _shapeless(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.broadcast_to(np.zeros((), dtype), shape)


def _adaptive(n: int, out: int, even: bool) -> Axis:
    """Windows that share an axis; even: all are of one length."""
    k = n // max(out, 1) if even or out == 1 else n // max(out, 1) + 2
    return Axis(n, k, out, 0, k if even else 1, 1, "constant", 0, out)


def _made(
    x: NDArray[Any],
    axes: tuple[Axis, ...],
    behind: tuple[int, ...],
    average: bool,
    adaptive: bool,
    padded: bool,
    divisor: int,
    finds: bool,
    batched: bool,
    last: bool,
    out: Any,
) -> Pool:
    c = Pool(x, axes, behind, average, adaptive, padded, divisor, finds, x.dtype, batched, last, None)
    check_size(c.shape, f"x has shape {x.shape}")
    asked = c.as_asked(_shapeless(c.shape, x.dtype)).shape
    return c._replace(out=as_out(out, asked, x.dtype))


def _ordered(x: ArrayLike, name: str) -> NDArray[Any]:
    """An array of numbers that have a largest one."""
    xa = as_numbers(x, name)
    if xa.dtype.kind not in "iuf":
        advice = (
            f"numpy.asarray({name}, 'uint8') converts"
            if xa.dtype.kind == "b"
            else "of complex numbers none is the largest"
        )
        raise TypeError(f"{name} has dtype {xa.dtype}; integers, float16, float32 and float64 are accepted; {advice}")
    return xa.astype(xa.dtype.newbyteorder("="), copy=False)


def _images(rank: int, x: NDArray[Any], layout: Layout | None, name: str) -> tuple[NDArray[Any], bool, bool]:
    """x as (images, channels, ...); whether the channels come last; whether there is an axis of images."""
    word = LAYOUTS[rank][0] if layout is None else as_word(layout, LAYOUTS[rank], "layout")
    batched, last = is_batched(rank, x.shape, name, word), word == LAYOUTS[rank][1]
    first = x if batched else x[None]
    first = np.moveaxis(first, -1, 1) if last else first
    if 0 in first.shape[2:]:
        raise ValueError(f"{name} of shape {x.shape} has no elements to pool; only images and channels may be none")
    return first, last, batched


def _axes(
    x: NDArray[Any], rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, name: str
) -> tuple[tuple[Axis, ...], tuple[int, ...]]:
    kernel = per_axis(kernel_size, rank, "kernel_size")
    none = stride is None or (is_listed(stride) and len(stride) == 0)
    steps = kernel if none else per_axis(stride, rank, "stride")
    spread, ceil = per_axis(dilation, rank, "dilation"), as_flag(ceil_mode, "ceil_mode")
    if isinstance(padding, str):
        raise TypeError(f"padding must be an integer, one for each axis, or pairs of them; got {padding!r}")
    return _pool_axes(x.shape[2:], kernel, steps, as_padding(padding), spread, ceil, name)


@functools.lru_cache(maxsize=256)
def _pool_axes(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    ceil: bool,
    name: str,
) -> tuple[tuple[Axis, ...], tuple[int, ...]]:
    """The axes, and elements beyond them."""
    spans = spans_of(kernel, dilation, "kernel_size")
    pads = pads_of(padding, spans, stride, size)
    if any(2 * p > k for k, pair in zip(kernel, pads, strict=True) for p in pair):
        raise ValueError(f"padding must be at most half of kernel_size {kernel}; got {padding!r}")
    if math.prod(max(s, n) for s, n in zip(spans, size, strict=True)) > LARGEST:
        raise ValueError(f"kernel_size {kernel} or dilation {dilation} is too large for {name} of {size}")
    axes = []
    for n, k, span, s, d, (before, behind) in zip(size, kernel, spans, stride, dilation, pads, strict=True):
        room = n + before + behind - span
        out = (-(-room // s) if ceil else room // s) + 1
        if ceil and (out - 1) * s >= n + before:  # it would begin beyond x
            out -= 1
        if out < 1:
            padded = tuple(m + sum(p) for m, p in zip(size, pads, strict=True))
            spread = f", spread to {spans} by dilation {dilation}," if spans != kernel else ""
            raise ValueError(
                f"kernel_size {kernel}{spread} is larger than the padded input {padded} of {name} of {size}"
            )
        axes.append(Axis(n, k, out, before, s, d, "constant", 0, out))
    return tuple(axes), tuple(p[1] for p in pads)


def _divisor(value: Any) -> int:
    """0: none."""
    if value is None:
        return 0
    try:
        number = as_index(value)
    except TypeError:
        raise TypeError(f"divisor_override must be an integer or None; got {value!r}") from None
    if number == 0 or abs(number) >= 2**63:
        raise ValueError(f"divisor_override must not be 0, nor need more than 64 bits; got {value!r}")
    return number


def _output_size(value: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """Numbers of outputs; None: as many as there are elements."""
    rank = len(size)
    values = value if is_listed(value) else (value,) * rank
    if len(values) != rank:
        raise ValueError(f"output_size must be an integer, None, or {rank} of them; got {value!r}")
    try:
        numbers = tuple(n if v is None else as_index(v) for v, n in zip(values, size, strict=True))
    except TypeError:
        raise TypeError(f"output_size must be an integer, None, or {rank} of them; got {value!r}") from None
    if min(numbers) < 0:
        raise ValueError(f"output_size must not be negative; got {value!r}")
    return numbers
