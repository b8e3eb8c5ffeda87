# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of template matching."""

from __future__ import annotations

from operator import index
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.boundaries import NAMES
from fastconv.arguments.values import as_array, as_flag, as_listed, as_out
from fastconv.typing import Measure, PadMode

MEASURES: tuple[str, ...] = get_args(Measure)
PAD_MODES: tuple[str, ...] = get_args(PadMode)


class Matching(NamedTuple):
    """One template matching, ready to be computed.

    The score at o compares the template with ``X[o - lead : o - lead + size]`` in each axis, X being the image
    continued by `boundary`. Channels are the first axis of three, along which there is one score.
    """

    image: NDArray[Any]
    template: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    measure: str
    dtype: np.dtype[Any]  # of the result
    shape: tuple[int, ...]  # of the result, with one channel
    lead: tuple[int, ...]
    boundary: str
    fillvalue: float
    whole: bool  # image, template and weights are integers, and float64 holds their sums exactly
    has_channels: bool
    asked_out: NDArray[Any] | None  # where the result goes,
    out: NDArray[Any] | None  # with one channel

    @property
    def is_normed(self) -> bool:
        return self.measure.endswith("_normed")

    def delivered(self, result: NDArray[Any]) -> NDArray[Any]:
        """The result in its own dtype, as the user has it: in `out` if there is one."""
        if self.asked_out is None or self.out is None:
            return result.reshape(self.shape[self.has_channels :]).astype(self.dtype, copy=False)
        if result is not self.out:
            self.out[...] = result
        return self.asked_out


def matching_arguments(
    image: ArrayLike,
    template: ArrayLike,
    pad_input: bool = False,
    mode: PadMode = "constant",
    constant_values: Any = 0,
    *,
    method: Measure = "ccoeff_normed",
    mask: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    axes: tuple[int, ...] | None = None,
    out: NDArray[Any] | None = None,
) -> Matching:
    """Check the arguments of match_template and derive geometry and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it was and what is accepted.
    """
    if not isinstance(method, str) or method not in MEASURES:
        raise ValueError(f"method must be one of {', '.join(MEASURES)}; got {method!r}")
    if not isinstance(mode, str) or mode not in PAD_MODES:
        raise ValueError(f"mode must be one of {', '.join(PAD_MODES)}; got {mode!r}")
    picture, figure = _real(image, "image"), _real(template, "template")
    if picture.ndim not in (2, 3):
        raise ValueError(f"image must have 2 or 3 dimensions; got shape {picture.shape}")
    if figure.ndim != picture.ndim:
        raise ValueError(
            f"template must have as many dimensions as image; got shapes {figure.shape} and {picture.shape}"
        )
    if figure.size == 0:
        raise ValueError(f"template must not be empty; got shape {figure.shape}")
    if any(k > n for k, n in zip(figure.shape, picture.shape, strict=True)):
        raise ValueError(f"template of shape {figure.shape} must not be larger than image of shape {picture.shape}")
    slid = _axes(axes, picture.ndim)
    has_channels = len(slid) < picture.ndim
    result = _result_dtype(picture.dtype, dtype)
    weights, binary = _weights(mask, figure.shape, slid)
    if has_channels:
        (channels,) = set(range(3)) - {*slid}
        if figure.shape[channels] != picture.shape[channels]:
            raise ValueError(
                f"template must have as many channels as image, along axis {channels}; got shapes {figure.shape} and "
                f"{picture.shape}"
            )
        picture, figure = np.moveaxis(picture, channels, 0), np.moveaxis(figure, channels, 0)
        weights = None if weights is None else np.ascontiguousarray(np.moveaxis(weights, channels, 0))
    whole = binary and picture.dtype.kind in "biu" and figure.dtype.kind in "biu" and result == np.float64

    shape = tuple(n - k + 1 for n, k in zip(picture.shape, figure.shape, strict=True))
    lead, boundary, fillvalue = (0,) * picture.ndim, "constant", 0.0
    if as_flag(pad_input, "pad_input"):
        shape, lead = picture.shape, tuple(k // 2 for k in figure.shape)
        if has_channels:
            shape, lead = (1, *shape[1:]), (0, *lead[1:])
    asked_out = as_out(out, shape[1:] if has_channels else shape, result)
    if pad_input:
        if mode in NAMES and (mode != "constant" or np.ndim(constant_values) == 0):
            boundary = mode
            if mode == "constant":
                fillvalue = _fillvalue(constant_values)
                whole = whole and fillvalue == int(fillvalue) if np.isfinite(fillvalue) else False
        else:  # numpy.pad's other rules look at a whole axis, and so need a copy
            more: dict[str, Any] = {}
            margins = [0 if has_channels and axis == 0 else k for axis, k in enumerate(figure.shape)]
            if mode == "constant":
                values = _fillvalues(constant_values, len(slid))
                more["constant_values"] = np.pad(values, ((picture.ndim - len(slid), 0), (0, 0)))
            picture = np.pad(picture.astype(result, order="C"), [(k, k) for k in margins], mode=mode, **more)
            lead = tuple(first - k for first, k in zip(lead, margins, strict=True))
            whole = False
    return Matching(
        picture,
        figure.astype(np.float64, order="C"),
        weights,
        method,
        result,
        shape,
        lead,
        boundary,
        fillvalue,
        whole,
        has_channels,
        asked_out,
        asked_out[None] if has_channels and asked_out is not None else asked_out,
    )


def _real(value: ArrayLike, name: str) -> NDArray[Any]:
    array = as_array(value, name)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; bool, integers, float16, float32 and float64 are supported")
    return array


def _result_dtype(image: np.dtype[Any], dtype: DTypeLike | None) -> np.dtype[Any]:
    """float32 for float16 and float32, else float64, as in scikit-image; or what is asked for."""
    if dtype is None:
        return np.dtype(np.float32 if image.kind == "f" and image.itemsize <= 4 else np.float64)
    try:
        asked = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64; got {dtype!r}") from None
    if asked not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64; got {asked}")
    return asked


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    """Those that the template slides over, in order, as indices from 0: all, or all but that of the channels."""
    if axes is None:
        return tuple(range(ndim))
    numbers = as_listed(axes)
    some = f"{ndim} integers" if ndim == 2 else "2 integers, and leave out the channels, or 3"
    try:
        slid = {index(a) for a in numbers}
    except TypeError:
        raise TypeError(f"axes must be {some}; got {axes!r}") from None
    if any(not -ndim <= a < ndim for a in slid):
        raise ValueError(f"axes must lie from {-ndim} to {ndim - 1} for image of {ndim} dimensions; got {axes!r}")
    slid = {a % ndim for a in slid}
    if len(slid) < len(numbers):
        raise ValueError(f"axes must not repeat an axis; got {axes!r}")
    if len(slid) not in (2, ndim):
        raise ValueError(f"axes must be {some}; got {axes!r}")
    return tuple(sorted(slid))


def _weights(
    mask: ArrayLike | None, shape: tuple[int, ...], slid: tuple[int, ...]
) -> tuple[NDArray[np.float64] | None, bool]:
    """Weights, and whether they are all 0 or 1; as in OpenCV, bool and uint8 only say which pixels count."""
    if mask is None:
        return None, True
    array = np.asarray(_real(mask, "mask"), order="C")
    of_channel = tuple(shape[axis] for axis in slid)
    if array.shape == of_channel and array.shape != shape:
        (channels,) = set(range(len(shape))) - {*slid}
        array = np.repeat(np.expand_dims(array, channels), shape[channels], channels)
    if array.shape != shape:
        or_one = f", or {of_channel} for all channels" if of_channel != shape else ""
        raise ValueError(f"mask must have the template's shape {shape}{or_one}; got {array.shape}")
    weights = (array != 0 if array.dtype in (np.bool, np.uint8) else array).astype(np.float64)
    if not ((weights >= 0) & (weights <= 1e100)).all():
        raise ValueError(f"mask must hold weights from 0 to 1e100; it goes from {weights.min()} to {weights.max()}")
    weights[weights < 1e-100] = 0
    if not weights.any():
        raise ValueError("mask must have a weight above 0; got none")
    return weights, bool(((weights == 0) | (weights == 1)).all())


def _fillvalue(value: Any) -> float:
    scalar = np.asarray(value)
    if scalar.dtype.kind not in "biuf":
        raise TypeError(f"constant_values must be a real number; got {value!r}")
    return float(scalar)


def _fillvalues(values: Any, ndim: int) -> NDArray[Any]:
    """Those before and behind each axis, as `numpy.pad` takes them."""
    array = _real(values, "constant_values")
    if array.ndim > 2 or any(n not in (1, most) for n, most in zip(array.shape[::-1], (2, ndim), strict=False)):
        raise ValueError(
            f"constant_values must be a number, a pair (before, behind), or one for each of {ndim} axes; got {values!r}"
        )
    return np.broadcast_to(array, (ndim, 2))
