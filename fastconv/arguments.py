# SPDX-License-Identifier: BSD-3-Clause
"""What is asked? The arguments of a correlation, checked once and put into the form every engine takes.

`correlation.py` and `reference.py` both start here, so they accept the same input and raise the same
errors.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Collection, Sequence
from operator import index
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

MODES = ("valid", "same", "full")
BOUNDARIES = {
    "constant": "constant",
    "edge": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "fill": "constant",  # scipy.signal's names
    "symm": "symmetric",
}
OVERFLOWS = ("raise", "saturate", "wrap")
NANS = ("propagate", "ignore")

# How shapes are written in messages, by rank.
X_AXES = {1: "(..., N)", 2: "(..., H, W)", 3: "(..., D, H, W)"}
K_AXES = {1: "(n,)", 2: "(h, w)", 3: "(d, h, w)"}

MOST_CHANNELS = 4  # that a last axis is taken for
FAR = 4  # times as long as what outputs look at has what lies between to be, for that to be copied instead

IntOrTuple: TypeAlias = int | Sequence[int]
Window: TypeAlias = slice | Sequence[slice]


class Axis(NamedTuple):
    """One axis that the kernel slides over.

    Tap t of output o meets element ``o * stride - lead + t * dilation`` of the axis continued by `boundary`.
    """

    n: int  # elements of x
    k: int  # taps
    out: int  # outputs that are asked for
    lead: int
    stride: int
    dilation: int
    boundary: str
    start: int  # which output of the whole result the first one is
    whole: int  # how many outputs that has
    step: int = 1  # part of the stride that comes from the window

    def reach(self) -> tuple[int, int]:
        """First element that the outputs look at, and the one behind the last, as if x went on."""
        first = -self.lead
        return first, first + (self.out - 1) * self.stride + (self.k - 1) * self.dilation + 1

    def sparse(self) -> tuple[NDArray[np.intp], Axis] | None:
        """Which elements the outputs look at, and the axis that has them side by side, if that is far fewer.

        They come in pieces: around each tap where these are further apart than the outputs, or under each output.
        """
        outputs, taps = (self.out - 1) * self.stride + 1, (self.k - 1) * self.dilation + 1
        if self.out == 0 or outputs + taps < FAR * min(self.k * outputs, self.out * taps):
            return None
        if self.k * outputs < self.out * taps:
            pieces, each, far = self.k, outputs, self.dilation
            dense = self._replace(dilation=outputs)
        else:
            pieces, each, far = self.out, taps, self.stride
            dense = self._replace(stride=taps, step=1)
        elements = (np.arange(pieces)[:, None] * far + np.arange(each)).ravel() - self.lead
        return elements, dense._replace(n=elements.size, lead=0)

    def part(self, first: int, end: int) -> Axis:
        """Outputs first ... end of those that are asked for."""
        lead, start = self.lead - first * self.stride, self.start + first * self.step
        return self._replace(out=end - first, lead=lead, start=start)


class OuterProduct(NamedTuple):
    """A kernel that is given by its factors."""

    ky: ArrayLike
    kx: ArrayLike


class Options(NamedTuple):
    """The arguments that say how, in the order and with the defaults of the public functions."""

    mode: str = "valid"
    boundary: str | Sequence[str] = "constant"
    fillvalue: Any = 0
    axes: IntOrTuple | None = None
    stride: IntOrTuple = 1
    dilation: IntOrTuple = 1
    window: Window | None = None
    dtype: DTypeLike | None = None
    overflow: str = "raise"
    out: Any = None
    nan: str = "propagate"
    mask: ArrayLike | None = None
    return_weight: bool = False


class Correlation(NamedTuple):
    """One correlation, ready to be computed; arrays have the axes that the kernel slides over last."""

    x: NDArray[Any]
    k: NDArray[Any]  # already flipped for a convolution, conjugated for a correlation
    factors: tuple[NDArray[Any], ...]  # k as an outer product of one vector per axis; (): not known to be one
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    sum_dtype: np.dtype[Any]  # what x, k and the exact sums have in common
    dtype: np.dtype[Any]  # of the result
    overflow: str
    fillvalue: int | float | complex
    moved: tuple[int, ...]  # where the last axes are in the user's arrays; (): last
    out: NDArray[Any] | None
    asked_out: NDArray[Any] | None  # out with the user's axes
    mask: NDArray[np.bool] | None = None  # of x: True where an element counts
    ignore_nan: bool = False
    return_weight: bool = False

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def is_weighted(self) -> bool:
        """Whether elements may be missing, so that results are normalised by the weight of those that are there."""
        return self.mask is not None or self.ignore_nan or self.return_weight

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """What the sums are made in: float16 is computed in float32."""
        return np.dtype(np.float32) if self.sum_dtype == np.float16 else self.sum_dtype

    def deliver(self, sums: NDArray[Any]) -> NDArray[Any]:
        """The result in its own dtype, in `out` when there is one.

        Raises
        ------
        OverflowError, ValueError
            If a sum does not fit into the dtype, and that is to be an error. `out` is untouched.
        """
        result = converted(sums, self.dtype, self.overflow)
        if self.out is None:
            return result
        if result is not self.out:
            self.out[...] = result
        return self.out

    def with_axes(self, axes: tuple[Axis, ...]) -> Correlation:
        shape = (*self.shape[: len(self.shape) - self.rank], *(a.out for a in axes))
        return self._replace(axes=axes, shape=shape, out=None, asked_out=None)

    def whole(self) -> Correlation:
        """Without the window."""
        return self.with_axes(
            tuple(
                a._replace(
                    out=a.whole, stride=a.stride // a.step, lead=a.lead + a.start * a.stride // a.step, start=0, step=1
                )
                for a in self.axes
            )
        )

    def without_steps(self) -> Correlation:
        """With all that the window's steps leave out."""
        return self.with_axes(
            tuple(
                a._replace(out=max(a.out - 1, 0) * a.step + min(a.out, 1), stride=a.stride // a.step, step=1)
                for a in self.axes
            )
        )

    def seen(self) -> Correlation:
        """With no more of x than the outputs look at, along axes where that lies inside it."""
        cut: list[Any] = [...]
        axes = []
        for a in self.axes:
            first, end = a.reach()
            less = a.out > 0 and first >= 0 and end <= a.n and end - first < a.n
            cut.append(slice(first, end) if less else slice(None))
            axes.append(a._replace(n=end - first, lead=0) if less else a)
        if cut.count(slice(None)) == self.rank:
            return self
        return self._replace(x=self.x[tuple(cut)], axes=tuple(axes))

    def plane(self, index: tuple[int, ...]) -> Correlation:
        """One element of the leading axes."""
        return self._replace(
            x=self.x[index],
            mask=None if self.mask is None else self.mask[index],
            shape=self.shape[len(self.shape) - self.rank :],
            out=None,
            asked_out=None,
            moved=(),
        )

    def band(self, first: int, end: int) -> Correlation:
        """Outputs first ... end of the first axis that the kernel slides over, from no more of x than they look at."""
        axis = self.axes[0]
        part = axis.part(first, end)
        low, high = part.reach()
        beyond = max(-low, high - axis.n, 0)  # how far the windows reach beyond x: as far inside a boundary may look
        low, high = max(low, 0), min(high, axis.n)
        if beyond:
            if axis.boundary == "wrap" or beyond >= axis.n:
                low, high = 0, axis.n
            else:
                low, high = (0, max(high, beyond + 1)) if part.lead > 0 else (min(low, axis.n - beyond - 1), axis.n)
                if part.reach()[0] < 0 and part.reach()[1] > axis.n:
                    low, high = 0, axis.n
        part = part._replace(n=high - low, lead=part.lead + low)
        cut: tuple[Any, ...] = (..., slice(low, high), *(slice(None),) * (self.rank - 1))
        rows: tuple[Any, ...] = (..., slice(first, end), *(slice(None),) * (self.rank - 1))
        return self._replace(
            x=self.x[cut],
            mask=None if self.mask is None else self.mask[cut],
            axes=(part, *self.axes[1:]),
            shape=(*self.shape[: -self.rank], end - first, *self.shape[len(self.shape) - self.rank + 1 :]),
            out=None if self.out is None else self.out[rows],
            asked_out=None,
            moved=(),
        )

    def as_asked(self, result: NDArray[Any]) -> NDArray[Any]:
        """The delivered result with the user's axes."""
        if self.asked_out is not None:
            return self.asked_out
        return np.moveaxis(result, range(-self.rank, 0), self.moved) if self.moved else result


# ---- the whole -----------------------------------------------------------------------------------


def correlation_arguments(
    rank: int, x: ArrayLike, k: ArrayLike | OuterProduct, options: Options, *, convolve: bool = False
) -> Correlation:
    """Check the arguments of corr1d, 2d, 3d or convolve* and derive geometry and dtypes.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    _word(options.mode, MODES, "mode")
    _word(options.overflow, OVERFLOWS, "overflow")
    _word(options.nan, NANS, "nan")
    boundaries = _boundaries(options.boundary, rank)
    xa = _array(x, "x")
    factors: tuple[NDArray[Any], ...] = ()
    if isinstance(k, OuterProduct):
        factors = _array(k.ky, "ky"), _array(k.kx, "kx")
        ka = _outer(factors, xa.dtype)
    else:
        ka = _array(k, "k")
    if xa.ndim < rank:
        raise ValueError(f"x must have at least {rank} dimension{'s'[: rank > 1]} {X_AXES[rank]}; got shape {xa.shape}")
    if ka.ndim != rank:
        raise ValueError(f"k must have {rank} dimension{'s'[: rank > 1]} {K_AXES[rank]}; got shape {ka.shape}")
    moved = _axes(options.axes, rank, xa.ndim)
    mask = _mask(options.mask, xa.shape)
    if moved:
        xa = np.moveaxis(xa, moved, range(-rank, 0))
        mask = np.moveaxis(mask, moved, range(-rank, 0)) if mask is not None else None
    batch = xa.shape[: xa.ndim - rank]
    stride, dilation = (
        _per_axis(v, rank, name) for v, name in ((options.stride, "stride"), (options.dilation, "dilation"))
    )
    try:
        axes = geometry(xa.shape[-rank:], ka.shape, options.mode, boundaries, stride, dilation, convolve)
    except ValueError as error:
        if (
            options.axes is None
            and xa.ndim > rank
            and 1 <= xa.shape[-1] <= MOST_CHANNELS
            and ka.shape[-1] > xa.shape[-1]
        ):
            where = tuple(range(xa.ndim - 1 - rank, xa.ndim - 1))
            how = f"axis={where[0]}" if rank == 1 else f"axes={where}"
            raise ValueError(f"{error}; if the last axis of x is its channels, pass {how}") from None
        raise
    if options.window is not None:
        axes = _windowed(axes, options.window)
    shape = (*batch, *(a.out for a in axes))

    weighted = mask is not None or options.nan == "ignore" or options.return_weight
    sum_dtype, dtype = _dtypes(xa.dtype, ka.dtype, options.dtype, weighted)
    if options.overflow != "raise" and dtype.kind not in "iu":
        raise ValueError(f"overflow {options.overflow!r} is for integer results; the result has dtype {dtype}")
    for what, size in ("the result", math.prod(shape)), ("x", xa.size), ("k", ka.size):
        if size * max(sum_dtype.itemsize, dtype.itemsize, 4) > sys.maxsize:
            raise ValueError(
                f"{what} would have {size} elements of {sum_dtype}: too large; x has shape {xa.shape}, "
                f"k has shape {ka.shape}, mode is {options.mode!r}"
            )
    if convolve:
        ka, factors = np.flip(ka), tuple(np.flip(f) for f in factors)
    elif ka.dtype.kind == "c":
        ka, factors = np.broadcast_to(unrepeated(ka).conj(), ka.shape), tuple(f.conj() for f in factors)
    fillvalue = _fillvalue(options.fillvalue, sum_dtype)
    if fillvalue.imag and xa.dtype.kind != "c":  # continued, x is complex
        xa = xa.astype(sum_dtype)
    asked_out = _out(options.out, _user_shape(shape, moved, rank), dtype)
    out = np.moveaxis(asked_out, moved, range(-rank, 0)) if asked_out is not None and moved else asked_out
    return Correlation(
        xa,
        ka,
        factors,
        axes,
        shape,
        sum_dtype,
        dtype,
        options.overflow,
        fillvalue,
        moved,
        out,
        asked_out,
        mask,
        options.nan == "ignore",
        bool(options.return_weight),
    )


def placed(
    x: NDArray[Any],
    k: NDArray[Any],
    lead: Sequence[int],
    out: Sequence[int],
    dtype: np.dtype[Any],
    boundaries: Sequence[str] | None = None,
    fillvalue: complex = 0,
) -> Correlation:
    """The correlation of x (..., n of each axis) with k, whose outputs are where the caller says; nothing is checked.

    Output o meets tap t at element ``o - lead + t`` of x. Integer sums that do not fit into `dtype` wrap.
    """
    rank = k.ndim
    names = boundaries or ("constant",) * rank
    axes = tuple(
        Axis(n, taps, size, first, 1, 1, name, 0, size)
        for n, taps, size, first, name in zip(x.shape[x.ndim - rank :], k.shape, out, lead, names, strict=True)
    )
    shape = (*x.shape[: x.ndim - rank], *out)
    sum_dtype = _sum_dtype(x.dtype, k.dtype)
    return Correlation(x, k, (), axes, shape, sum_dtype, dtype, "wrap", fillvalue, (), None, None)


# ---- geometry ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def geometry(
    x_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    mode: str,
    boundaries: tuple[str, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    convolve: bool,
) -> tuple[Axis, ...]:
    """The axes that the kernel slides over, from their lengths in x and k; names and numbers are known to be good."""
    if 0 in k_shape:
        raise ValueError(f"k must not be empty; got shape {k_shape}")
    spans = tuple((k - 1) * d + 1 for k, d in zip(k_shape, dilation, strict=True))
    if max(spans) > sys.maxsize // 4:
        raise ValueError(f"dilation {dilation} spreads k of shape {k_shape} too far")
    if mode == "valid" and any(span > n for span, n in zip(spans, x_shape, strict=True)):
        spread = f", spread to {spans} by dilation," if spans != k_shape else ""
        raise ValueError(
            f"k of shape {k_shape}{spread} does not fit into x of shape {x_shape} in mode 'valid'; "
            "exchange the two, or use mode 'same' or 'full'"
        )
    axes = []
    for n, k, span, boundary, s, d in zip(x_shape, k_shape, spans, boundaries, stride, dilation, strict=True):
        if mode == "valid":
            dense, lead = n - span + 1, 0
        elif mode == "same":
            # SciPy's centring: correlate2d at (span-1)//2, convolve2d (of the flipped kernel) at span//2.
            dense, lead = n, span // 2 if convolve else (span - 1) // 2
        else:
            dense, lead = n + span - 1, span - 1
        out = -(-dense // s)
        axes.append(Axis(n, k, out, lead, s, d, boundary, 0, out))
    if 0 in x_shape and 0 not in [a.out for a in axes] and any(a.n == 0 and a.boundary != "constant" for a in axes):
        continued = next(a.boundary for a in axes if a.n == 0 and a.boundary != "constant")
        raise ValueError(f"x of shape {x_shape} is empty: boundary {continued!r} has nothing to continue")
    return tuple(axes)


@functools.lru_cache(maxsize=256)
def plain_geometry(
    x_shape: tuple[int, ...], k_shape: tuple[int, ...], mode: str, boundary: str, convolve: bool
) -> tuple[int, ...]:
    """outputs and lead of every axis in turn, of a dense correlation of one array"""
    ones, names = (1,) * len(x_shape), (BOUNDARIES[boundary],) * len(x_shape)
    axes = geometry(x_shape, k_shape, mode, names, ones, ones, convolve)
    return tuple(number for a in axes for number in (a.out, a.lead))


def halo(
    k_shape: IntOrTuple,
    mode: str = "valid",
    stride: IntOrTuple = 1,
    dilation: IntOrTuple = 1,
    *,
    convolve: bool = False,
) -> tuple[tuple[int, int], ...]:
    """How much input a window of the result needs beyond its own place.

    The outputs from `start` to `stop` (stop not included) along an axis look at elements
    ``start * stride - before`` to ``(stop - 1) * stride + after`` (included) of x along that axis.

    Parameters
    ----------
    k_shape : int or tuple of int
        Shape of the kernel; an int for a 1-D kernel.
    mode : {"valid", "same", "full"}
    stride, dilation : int or tuple of int
    convolve : bool
        For the `convolve*` functions, which centre an even kernel on the other side.

    Returns
    -------
    tuple of (before, after) per axis
        `after` may be below zero.

    Raises
    ------
    ValueError, TypeError
        What the correlation itself would raise.

    Examples
    --------
    >>> from fastconv import halo
    >>> halo((3, 5), "same")
    ((1, 1), (2, 2))
    >>> halo(4, "same"), halo(4, "same", convolve=True), halo(4)
    (((1, 2),), ((2, 1),), ((0, 3),))
    """
    _word(mode, MODES, "mode")
    shape = (k_shape,) if isinstance(k_shape, (int, np.integer)) else tuple(k_shape)
    rank = len(shape)
    taps, strides, dilations = (
        _per_axis(v, rank, name, least)
        for v, name, least in ((shape, "k_shape", 0), (stride, "stride", 1), (dilation, "dilation", 1))
    )
    room = tuple((k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True))
    axes = geometry(room, taps, mode, ("constant",) * rank, strides, dilations, convolve)
    return tuple((a.lead, (a.k - 1) * a.dilation - a.lead) for a in axes)


def _windowed(axes: tuple[Axis, ...], window: Window) -> tuple[Axis, ...]:
    slices = (window,) if isinstance(window, slice) else window
    if not isinstance(slices, Sequence) or len(slices) != len(axes) or not all(isinstance(s, slice) for s in slices):
        raise ValueError(f"window must be {len(axes)} slice{'s'[: len(axes) > 1]}, one for each axis; got {window!r}")
    cut = []
    for axis, part in zip(axes, slices, strict=True):
        try:
            start, stop, step = part.indices(axis.out)
        except TypeError:
            raise TypeError(f"window must be slices of integers; got {part!r}") from None
        except ValueError:  # a step of 0
            raise ValueError(f"window must have steps of at least 1; got {part!r}") from None
        if step < 1:
            raise ValueError(f"window must have steps of at least 1; got {part!r}")
        cut.append(
            axis._replace(
                out=len(range(start, stop, step)),
                lead=axis.lead - start * axis.stride,
                stride=axis.stride * step,
                start=start,
                step=step,
            )
        )
    return tuple(cut)


# ---- single arguments ----------------------------------------------------------------------------


def unrepeated(a: NDArray[Any]) -> NDArray[Any]:
    """a with one element in place of those that broadcasting repeats."""
    return a[tuple(slice(1) if step == 0 else slice(None) for step in a.strides)]


def as_array(value: Any, name: str) -> NDArray[Any]:
    """value as an ndarray, without a copy if it is one for others: by the buffer protocol, `__array__`,
    `__array_interface__` or, of arrays in the memory of the CPU, DLPack.

    Raises
    ------
    TypeError
        A masked array.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be ignored; pass {name}.filled(value), or "
            f"leave elements out by fastconv.corr2d({name}.data, ..., mask=~{name}.mask)"
        )
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray) and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def left_to_scipy(module: str, has: str) -> Callable[[str], Any]:
    """The `__getattr__` of a drop-in, `has` being what it has of SciPy's module: other names are to be found there."""

    def __getattr__(name: str) -> Any:
        message = f"module 'fastconv.{module}' has no attribute {name!r}"
        if not name.startswith("_"):
            message += f": it has {has}; the rest is SciPy's, from scipy.{module} import {name}"
        raise AttributeError(message, name=name)

    return __getattr__


def _even_array(value: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return as_array(value, name)
    except ValueError as error:  # ragged nesting
        raise ValueError(f"{name} is not an array of numbers: {error}") from None


def _array(value: ArrayLike, name: str) -> NDArray[Any]:
    array = _even_array(value, name)
    if not _is_supported(array.dtype):
        raise TypeError(
            f"{name} has dtype {array.dtype}; bool, integers, float16, float32, float64, complex64 and complex128 "
            "are supported"
        )
    return array


def _is_supported(dtype: np.dtype[Any]) -> bool:
    return (dtype.kind in "biuf" and dtype.itemsize <= 8) or (dtype.kind == "c" and dtype.itemsize <= 16)


def _outer(factors: tuple[NDArray[Any], ...], x: np.dtype[Any]) -> NDArray[Any]:
    """The kernel that factors stand for, in the dtype its sums with x will have; integers exactly or not at all."""
    for name, factor in zip(OuterProduct._fields, factors, strict=True):
        if factor.ndim != 1:
            raise ValueError(f"{name} must have 1 dimension; got shape {factor.shape}")
        if factor.size == 0:
            raise ValueError(f"{name} must not be empty; got shape {factor.shape}")
    dtype = functools.reduce(_sum_dtype, (f.dtype for f in factors))
    dtype = dtype if dtype.kind in "iu" else _sum_dtype(x, dtype)
    wide: Any = object if dtype.kind in "iu" else dtype
    with np.errstate(all="ignore"):
        product = functools.reduce(np.multiply.outer, [f.astype(wide) for f in factors])
    try:
        return np.asarray(product.astype(dtype))
    except OverflowError:
        raise OverflowError(
            f"the product of the factors does not fit into {dtype}; pass one of them as float64"
        ) from None


def _boundaries(boundary: Any, rank: int) -> tuple[str, ...]:
    names = (boundary,) * rank if isinstance(boundary, str) else boundary
    if (
        not isinstance(names, (tuple, list))
        or len(names) != rank
        or not all(isinstance(name, str) and name in BOUNDARIES for name in names)
    ):
        each = f", or a tuple of {rank}" if rank > 1 else ""
        raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}{each}; got {boundary!r}")
    return tuple(BOUNDARIES[name] for name in names)


def _is_listed(value: Any) -> bool:
    """Whether an argument has a number for each axis, or one for all. A mask would be ignored."""
    is_array = isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)
    return isinstance(value, (tuple, list)) or (is_array and value.ndim > 0)


def _index(value: Any) -> int:
    """An integer as Python's; True is none.

    Raises
    ------
    TypeError
        Without a message: the caller knows the argument's name.
    """
    if isinstance(value, (bool, np.bool)):
        raise TypeError
    return index(value)


def _flag(value: Any, name: str) -> bool:
    """value as a bool; of what else has a truth only 0 and 1 are taken, so that no argument in a wrong place is."""
    if isinstance(value, (bool, np.bool)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} must be True or False; got {value!r}")


def _several(values: Any, name: str, of: str) -> list[Any]:
    """What values are; of: what they must be, for the message."""
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{name} must be several {of}; got {values!r}") from None


def _amount(value: Any, name: str) -> float:
    """A finite number of 0 or more as Python's, which promotes no array."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number of 0 or more; got {value!r}")
    return float(value)


def _word(value: Any, accepted: Collection[str], name: str) -> str:
    """value, if it is one of these words."""
    if not isinstance(value, str) or value not in accepted:
        raise ValueError(f"{name} must be one of {', '.join(accepted)}; got {value!r}")
    return value


def _per_axis(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """value as `rank` integers of at least `least`."""
    values = tuple(value) if _is_listed(value) else (value,) * rank
    if len(values) != rank:
        raise ValueError(f"{name} must be an integer or {rank} of them; got {value!r}")
    try:
        numbers = tuple(_index(v) for v in values)
    except TypeError:
        raise TypeError(f"{name} must be an integer or {rank} of them; got {value!r}") from None
    if min(numbers, default=least) < least:
        raise ValueError(f"{name} must be at least {least}; got {value!r}")
    if max(numbers, default=0) > sys.maxsize // 4:
        raise ValueError(f"{name} is too large; got {value!r}")
    return numbers


def _count(value: Any, name: str, least: int = 1) -> int:
    """value as one integer of at least `least`."""
    try:
        number = _index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer; got {value!r}") from None
    return _per_axis(number, 1, name, least)[0]


def _axes(axes: Any, rank: int, ndim: int) -> tuple[int, ...]:
    """The axes of x that the kernel slides over, as indices from 0; () where they are the last ones."""
    if axes is None:
        return ()
    name = "axis" if rank == 1 else "axes"
    numbers = tuple(axes) if isinstance(axes, (tuple, list, np.ndarray)) else (axes,)
    if len(numbers) != rank:
        raise ValueError(f"{name} must be {rank} integer{'s'[: rank > 1]}; got {axes!r}")
    try:
        moved = tuple(index(a) for a in numbers)
    except TypeError:
        raise TypeError(f"{name} must be {rank} integer{'s'[: rank > 1]}; got {axes!r}") from None
    if any(not -ndim <= a < ndim for a in moved):
        raise ValueError(f"{name} must lie from {-ndim} to {ndim - 1} for x of {ndim} dimensions; got {axes!r}")
    moved = tuple(a % ndim for a in moved)
    if len(set(moved)) != rank:
        raise ValueError(f"{name} must not repeat an axis; got {axes!r}")
    return () if moved == tuple(range(ndim - rank, ndim)) else moved


def _user_shape(shape: tuple[int, ...], moved: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """shape with its last axes where the user has them"""
    if not moved:
        return shape
    at = dict(zip(moved, shape[-rank:], strict=True))
    batch = iter(shape[:-rank])
    return tuple(at[i] if i in at else next(batch) for i in range(len(shape)))


def _sum_dtype(x: np.dtype[Any], k: np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's promotion for floats and complex; like numpy.sum, int64 for bool and integers, or uint64 if both are."""
    if x.kind in "biu" and k.kind in "biu":
        unsigned = x.kind == k.kind == "u" and x.itemsize == k.itemsize == 8
        return np.dtype(np.uint64 if unsigned else np.int64)
    return np.result_type(x, k).newbyteorder("=")


def _mask(value: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool] | None:
    if value is None:
        return None
    mask = np.asarray(value)
    if mask.dtype != np.bool:
        raise TypeError(f"mask must be an array of bool, True where x counts; got dtype {mask.dtype}")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"mask has shape {mask.shape}, which does not broadcast to that of x, {shape}") from None


def _dtypes(
    x: np.dtype[Any], k: np.dtype[Any], asked: DTypeLike | None, weighted: bool
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """(dtype of the sums, dtype of the result): a wider float that is asked for is also computed in, and weighted sums
    of integers are no integers."""
    sums = _sum_dtype(x, k)
    if weighted and sums.kind in "iu":
        sums = np.dtype(np.float64)
    if asked is None:
        return sums, sums
    dtype = native_dtype(asked)
    if dtype is None or not _is_supported(dtype) or dtype.kind == "b":
        raise TypeError(f"dtype must be an integer, float or complex dtype; got {asked!r}")
    if sums.kind == "c" and dtype.kind != "c":
        raise TypeError(f"dtype must be complex, because the sums are {sums}; got {asked!r}")
    if sums.kind in "fc" and dtype.kind in "fc":
        sums = np.promote_types(sums, np.empty(0, dtype).real.dtype)
    return sums, dtype


def native_dtype(asked: Any) -> np.dtype[Any] | None:
    """The dtype that a `dtype` argument asks for, in this machine's byte order: compiled code knows no other. None: it
    is no dtype."""
    try:
        dtype: np.dtype[Any] = np.dtype(asked).newbyteorder("=")
        return dtype
    except (TypeError, ValueError, OverflowError, SyntaxError):  # NumPy refuses in all these ways
        return None


def _fillvalue(value: Any, dtype: np.dtype[Any]) -> int | float | complex:
    if type(value) is not int and type(value) is not float:
        known = isinstance(value, (bool, int, float, complex, np.generic, np.ndarray))
        scalar = np.asarray(value)[()] if known else None
        kinds = (np.bool, np.integer, np.floating, np.complexfloating)[: 4 if dtype.kind == "c" else 3]
        if not isinstance(scalar, kinds):  # an array, complex, a string, ...
            raise TypeError(f"fillvalue must be a {'' if dtype.kind == 'c' else 'real '}scalar; got {value!r}")
        value = scalar.item()
    if isinstance(value, complex):
        limit = float(np.finfo(dtype).max)
        if any(abs(part) > limit and not math.isinf(part) for part in (value.real, value.imag)):
            raise ValueError(f"fillvalue does not fit into the result's dtype {dtype}; got {value!r}")
        return complex(dtype.type(value))
    number: int | float = value
    if dtype.kind in "iu":
        if not math.isfinite(number) or number != int(number):
            raise ValueError(f"fillvalue must be an integer, because x and k are; got {number!r}")
        number = int(number)
        info = np.iinfo(dtype)
        fits = int(info.min) <= number <= int(info.max)
    else:
        fits = abs(number) <= float(np.finfo(dtype).max) or (isinstance(number, float) and not math.isfinite(number))
    if not fits:
        raise ValueError(f"fillvalue does not fit into the result's dtype {dtype}; got {number!r}")
    return number if dtype.kind in "iu" else float(np.empty(0, dtype).real.dtype.type(number))


def _out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    if out is None:
        return None
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a numpy.ndarray; got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}; the result has dtype {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; the result has shape {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out


# ---- results in another dtype ---------------------------------------------------------------------


def converted(sums: NDArray[Any], dtype: np.dtype[Any], overflow: str = "raise") -> NDArray[Any]:
    """Exact sums (integers may be Python's) as `dtype`; floats become integers by rounding half to even.

    Raises
    ------
    OverflowError
        `overflow` is "raise" and a sum does not fit.
    ValueError
        A sum that is to become an integer is NaN, or infinite and not to be saturated.
    """
    if sums.dtype == dtype or dtype.kind in "fc":
        with np.errstate(over="ignore"):
            return sums.astype(dtype, copy=False)
    info = np.iinfo(dtype)
    low, high = int(info.min), int(info.max)
    if sums.dtype.kind == "f":
        sums = np.rint(
            sums.astype(np.float64, copy=False)
        )  # whose numbers lie close enough to compare with low and high
        if np.isnan(sums).any():
            raise ValueError(f"a sum is NaN and has no value in {dtype}; ask for a float dtype")
        if overflow == "wrap":
            if np.isinf(sums).any():
                raise ValueError(f"a sum is infinite and has no value in {dtype}; use overflow='saturate'")
            small = np.abs(sums) < 2.0**63  # int64 holds these; the others are multiples of 2**11, which mod keeps
            modulo = np.mod(np.where(small, 0, sums), 2.0**info.bits).astype(np.uint64)
            wrapped: NDArray[Any] = np.where(small, np.where(small, sums, 0).astype(np.int64).view(np.uint64), modulo)
            return wrapped.astype(dtype)
        high_float = np.nextafter(float(high) + 1, 0, dtype=sums.dtype) if float(high) > high else sums.dtype.type(high)
        fits = (sums >= low) & (sums <= high_float)
        if overflow == "raise" and not fits.all():
            _raise_overflow(sums[~fits][0], dtype)
        inside = np.where(fits, sums, 0).astype(dtype)
        return np.where(fits, inside, np.where(sums < 0, low, high).astype(dtype)) if not fits.all() else inside
    if overflow == "wrap":
        return (sums % 2**info.bits).astype(np.uint64).astype(dtype) if sums.dtype == object else sums.astype(dtype)
    if sums.dtype != object:
        here = np.iinfo(sums.dtype)
        low, high = max(low, int(here.min)), min(high, int(here.max))
    if overflow == "raise" and sums.size and not (low <= sums.min() and sums.max() <= high):
        _raise_overflow(sums[(sums < low) | (sums > high)][0], dtype)
    if overflow == "saturate":
        sums = np.clip(sums, low, high)
    return sums.astype(dtype)


def _raise_overflow(value: Any, dtype: np.dtype[Any]) -> None:
    raise OverflowError(
        f"a sum, {value}, does not fit into {dtype}; use overflow='saturate' or 'wrap', or a wider dtype"
    )
