# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of a convolution layer? The arguments of `nn.conv1d`, `conv2d`, `conv3d`, checked once.

`nn.py` and `reference.py` both start here, so they accept the same input and raise the same errors.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments import Axis, IntOrTuple, _array, _out, _per_axis

Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
Activation: TypeAlias = str | Sequence[float] | None

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
ACTIVATIONS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
FLOATS = ("float16", "float32", "float64")
LARGEST = 2**44  # elements of a padded channel, so that no size in bytes overflows


class Options(NamedTuple):
    """The arguments that say how, in the order of the public functions."""

    stride: IntOrTuple = 1
    padding: Padding = 0
    dilation: IntOrTuple = 1
    groups: int = 1
    padding_mode: str = "zeros"
    activation: Activation = None
    layout: str | None = None
    dtype: DTypeLike | None = None
    out: Any = None


class Layer(NamedTuple):
    """One convolution layer, ready to be computed: arrays have images first and channels second."""

    x: NDArray[Any]  # (images, channels, ...), any strides
    w: NDArray[Any]  # (kernels, channels / groups, ...)
    bias: NDArray[Any] | None
    axes: tuple[Axis, ...]
    groups: int
    clamp: tuple[float, float] | None
    shape: tuple[int, ...]  # of the result: (images, kernels, ...)
    dtype: np.dtype[Any]
    batched: bool
    channels_last: bool
    out: NDArray[Any] | None  # with the user's axes

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """What the sums are made in: float16 is computed in float32."""
        return np.dtype(np.float32) if self.dtype == np.float16 else self.dtype

    def as_asked(self, result: NDArray[Any]) -> NDArray[Any]:
        """A result of (images, kernels, ...) with the user's axes."""
        result = np.moveaxis(result, 1, -1) if self.channels_last else result
        return result if self.batched else result[0]

    def deliver(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its dtype, with the user's axes, in `out` when there is one."""
        result = self.as_asked(result)
        if self.out is None:
            return np.ascontiguousarray(result, self.dtype)
        if not np.may_share_memory(self.out, result):
            self.out[...] = result
        return self.out


def layer_arguments(rank: int, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, options: Options) -> Layer:
    """Check the arguments of a convolution layer and derive its geometry.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    xa, wa, ba, dtype = _arrays(x, w, bias, options.dtype)
    layout = LAYOUTS[rank][0] if options.layout is None else options.layout
    if layout not in LAYOUTS[rank]:
        raise ValueError(f"layout must be {' or '.join(LAYOUTS[rank])}; got {layout!r}")
    channels_last = layout == LAYOUTS[rank][1]
    if wa.ndim != rank + 2:
        raise ValueError(
            f"w must have {rank + 2} dimensions (kernels, channels / groups, {', '.join(layout.strip('NC'))} taps); "
            f"got shape {wa.shape}"
        )
    if xa.ndim not in (rank + 1, rank + 2):
        raise ValueError(f"x must have {rank + 2} dimensions {tuple(layout)}, or one less; got shape {xa.shape}")
    batched = xa.ndim == rank + 2
    xa = xa if batched else xa[None]
    xa = np.moveaxis(xa, -1, 1) if channels_last else xa
    groups = _groups(options.groups, xa.shape, wa.shape)
    if ba is not None and ba.shape != wa.shape[:1]:
        raise ValueError(f"bias must have shape ({wa.shape[0]},), one for each kernel of w; got shape {ba.shape}")
    axes = layer_axes(
        xa.shape[2:],
        wa.shape[2:],
        _per_axis(options.stride, rank, "stride"),
        _padding(options.padding),
        _per_axis(options.dilation, rank, "dilation"),
        options.padding_mode,
    )
    kernels = wa.shape[0] if xa.shape[1] else 0  # as in PyTorch
    shape = (xa.shape[0], kernels, *(a.out for a in axes))
    if math.prod(shape) * 8 > sys.maxsize:
        raise ValueError(f"the result would have shape {shape}: too large; x has shape {xa.shape}, w {wa.shape}")
    layer = Layer(xa, wa, ba, axes, groups, _clamp(options.activation), shape, dtype, batched, channels_last, None)
    asked = shape if batched else shape[1:]
    if channels_last:
        asked = (*asked[: -rank - 1], *asked[-rank:], asked[-rank - 1])
    return layer._replace(out=_out(options.out, asked, dtype))


# ---- one argument each ---------------------------------------------------------------------------


def _arrays(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, dtype: DTypeLike | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, np.dtype[Any]]:
    arrays = {"x": _array(x, "x"), "w": _array(w, "w")}
    if bias is not None:
        arrays["bias"] = _array(bias, "bias")
    asked = arrays["x"].dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
    if dtype is not None and asked.name not in FLOATS:
        raise TypeError(f"dtype must be float16, float32 or float64; got {asked}")
    for name, a in arrays.items():
        if a.dtype.kind == "c" or (dtype is None and a.dtype.kind != "f"):
            advice = "" if a.dtype.kind == "c" else "; dtype='float32' converts"
            raise TypeError(f"{name} has dtype {a.dtype}; float16, float32 and float64 are accepted{advice}")
        if dtype is None and a.dtype.newbyteorder("=") != asked:
            raise TypeError(f"{name} has dtype {a.dtype} and x {asked}: they must be the same, or dtype be given")
    converted = {name: a.astype(asked, copy=False) for name, a in arrays.items()}
    return converted["x"], converted["w"], converted.get("bias"), asked


def _groups(groups: Any, x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> int:
    """The number of groups, if channels and kernels agree with it."""
    try:
        if isinstance(groups, (bool, np.bool)):
            raise TypeError
        number = index(groups)
    except TypeError:
        raise TypeError(f"groups must be an integer; got {groups!r}") from None
    if number < 1:
        raise ValueError(f"groups must be at least 1; got {number}")
    if w_shape[0] == 0 or w_shape[0] % groups:
        raise ValueError(f"w must have a multiple of groups={groups} kernels, and one at least; got shape {w_shape}")
    if x_shape[1] != groups * w_shape[1]:
        raise ValueError(
            f"x of shape {x_shape} has {x_shape[1]} channels; w of shape {w_shape} with groups={groups} takes "
            f"{groups * w_shape[1]}"
        )
    return number


def _padding(padding: Any) -> Any:
    """A word, or Python's integers in tuples: 1.0 and True would be found in the cache of layer_axes as 1."""

    def integers(value: Any) -> Any:
        if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
            return tuple(map(integers, value))
        if isinstance(value, (bool, np.bool)):
            raise TypeError
        return index(value)

    try:
        return padding if isinstance(padding, str) else integers(padding)
    except TypeError:
        accepted = "'valid', 'same', an integer, one for each axis, or pairs (before, behind)"
        raise TypeError(f"padding must be {accepted}; got {padding!r}") from None


def _clamp(activation: Any) -> tuple[float, float] | None:
    """What results are brought between."""
    if activation is None:
        return None
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be None, {', '.join(ACTIVATIONS)} or (low, high); got {activation!r}")
        return ACTIVATIONS[activation]
    try:
        low, high = map(float, activation)
    except (TypeError, ValueError):
        raise TypeError(f"activation must be None, a name or (low, high); got {activation!r}") from None
    if not low <= high:
        raise ValueError(f"activation must be (low, high) with low <= high; got {activation!r}")
    return low, high


# ---- geometry ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def layer_axes(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Any,
    dilation: tuple[int, ...],
    padding_mode: str,
) -> tuple[Axis, ...]:
    """The axes of x that w slides over, padded."""
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}; got {padding_mode!r}")
    if 0 in w_shape:
        raise ValueError(f"w must have one tap at least along every axis; got {w_shape} taps")
    spans = tuple((k - 1) * d + 1 for k, d in zip(w_shape, dilation, strict=True))
    pads = _pads(padding, spans, stride)
    padded = tuple(n + sum(p) for n, p in zip(x_shape, pads, strict=True))
    if math.prod(max(s, n) for s, n in zip(spans, padded, strict=True)) > LARGEST:
        raise ValueError(f"padding {padding!r} or dilation {dilation} is too large for x of {x_shape}")
    if any(span > n for span, n in zip(spans, padded, strict=True)):
        spread = f", spread to {spans} by dilation {dilation}," if spans != w_shape else ""
        raise ValueError(f"w of {w_shape} taps{spread} is larger than the padded input {padded} of x of {x_shape}")
    if 0 in x_shape:
        raise ValueError(f"x of {x_shape} elements has none; only images and channels may be none")
    axes = []
    for n, k, span, s, d, (before, behind) in zip(x_shape, w_shape, spans, stride, dilation, pads, strict=True):
        most = {"zeros": sys.maxsize, "replicate": sys.maxsize, "reflect": n - 1, "circular": n}[padding_mode]
        if max(before, behind) > most:
            raise ValueError(f"padding {padding!r} is more than {n} elements allow with padding_mode {padding_mode!r}")
        out = (n + before + behind - span) // s + 1
        axes.append(Axis(n, k, out, before, s, d, PADDING_MODES[padding_mode], 0, out))
    return tuple(axes)


def _pads(padding: Any, spans: tuple[int, ...], stride: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Elements before and behind every axis."""
    rank = len(spans)
    accepted = f"'valid', 'same', an integer, {rank} of them, or {rank} pairs (before, behind)"
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"padding must be {accepted}; got {padding!r}")
        if padding == "valid":
            return ((0, 0),) * rank
        if stride != (1,) * rank:
            raise ValueError(f"padding 'same' is for stride 1; got stride {stride}")
        return tuple(((span - 1) // 2, span // 2) for span in spans)
    values = padding if isinstance(padding, tuple) else (padding,) * rank
    if len(values) != rank:
        raise ValueError(f"padding must be {accepted}; got {padding!r}")
    pairs = tuple(v if isinstance(v, tuple) else (v, v) for v in values)
    if any(len(p) != 2 or any(isinstance(n, tuple) for n in p) for p in pairs):
        raise ValueError(f"padding must be {accepted}; got {padding!r}")
    if any(n < 0 for p in pairs for n in p):
        raise ValueError(f"padding must not be negative; got {padding!r}")
    return pairs
