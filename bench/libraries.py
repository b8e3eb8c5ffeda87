# SPDX-License-Identifier: BSD-3-Clause
"""Libraries of picture filters beside fastconv: Intel IPP, libvips and Halide, each if it is installed (README.md).

A library is a function (x, k, profile) -> callable that correlates x with k, and returns a fresh result as large as x;
or None where it has no such filter. profile: k is the outer product of it and itself; or None. At the border, IPP and
Halide do what OpenCV does, and libvips repeats the edge.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Call = Callable[[], Array]


def installed() -> dict[str, Callable[[Array, Array, Any], Call | None]]:
    found = {}
    for name, load in (("IPP", _ipp), ("libvips", _vips), ("Halide", _halide)):
        try:
            found[name] = load()
        except (ImportError, OSError):
            continue
    return found


# ---- IPP: functions of ippi.h and ippcv.h --------------------------------------------------------

IPP_TYPES = {"float32": (13, "32f", ctypes.c_float), "float64": (19, "64f", ctypes.c_double)}  # IppDataType
IPP_MIRROR = 3  # IppiBorderType: as "reflect"


class Size(ctypes.Structure):
    _fields_ = (("width", ctypes.c_int), ("height", ctypes.c_int))


def _ipp() -> Any:
    """Where LD_LIBRARY_PATH leads to it; there IPP itself looks for its part for this CPU."""
    core, pictures, vision = (ctypes.CDLL(f"lib{name}.so.12") for name in ("ippcore", "ippi", "ippcv"))
    core.ippInit()
    return functools.partial(_ipp_filter, pictures, vision)


def _at(a: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(a.ctypes.data)


def _succeed(status: int) -> None:
    if status < 0:
        raise RuntimeError(f"IPP returned status {status}")


def _ipp_filter(pictures: Any, vision: Any, x: Array, k: Array, profile: Any) -> Call | None:
    kind, name, real = IPP_TYPES[x.dtype.name]
    picture, taps = Size(x.shape[1], x.shape[0]), Size(k.shape[1], k.shape[0])
    sizes = ctypes.c_int(), ctypes.c_int()
    of_spec, of_buffer = (ctypes.byref(n) for n in sizes)
    if profile is None:
        _succeed(pictures.ippiFilterBorderGetSize(taps, picture, kind, kind, 1, of_spec, of_buffer))
    elif name == "32f":
        _succeed(vision.ippiFilterSeparableGetBufferSize(picture, taps, kind, kind, 1, of_buffer))
        _succeed(vision.ippiFilterSeparableGetSpecSize(taps, kind, 1, of_spec))
    else:
        return None
    spec, buffer = (np.zeros(n.value // 8 + 1) for n in sizes)
    if profile is None:
        _succeed(getattr(pictures, f"ippiFilterBorderInit_{name}")(_at(k), taps, kind, 1, 1, _at(spec)))
        run = getattr(pictures, f"ippiFilterBorder_{name}_C1R")
        border: Any = ctypes.byref(real(0))
    else:
        _succeed(vision.ippiFilterSeparableInit_32f(_at(profile), _at(profile), taps, kind, 1, _at(spec)))
        run, border = vision.ippiFilterSeparable_32f_C1R, real(0)

    def call() -> Array:
        out = np.empty_like(x)
        _succeed(
            run(_at(x), x.strides[0], _at(out), out.strides[0], picture, IPP_MIRROR, border, _at(spec), _at(buffer))
        )
        return out

    return call


# ---- libvips -------------------------------------------------------------------------------------


def _vips() -> Any:
    os.environ["VIPS_CONCURRENCY"] = "1"  # read when it is loaded
    pyvips = importlib.import_module("pyvips")
    pyvips.cache_set_max(0)  # else the result is remembered

    def library(x: Array, k: Array, profile: Any) -> Call:
        kind = {4: "float", 8: "double"}[x.itemsize]
        picture = pyvips.Image.new_from_memory(x.data, x.shape[1], x.shape[0], 1, kind)
        mask = pyvips.Image.new_from_array((k if profile is None else profile[None]).tolist())
        filtered = picture.conv if profile is None else picture.convsep

        def call() -> Array:
            data = filtered(mask, precision="float").write_to_memory()
            return np.frombuffer(data, x.dtype).reshape(x.shape)

        return call

    return library


# ---- Halide --------------------------------------------------------------------------------------


def _halide() -> Any:
    """Compiled for sizes and taps. In strips of 32 rows: the picture with its border, then sums of 4 rows and 4 vectors
    in registers, or one pass after the other."""
    hl = importlib.import_module("halide")

    def library(x: Array, k: Array, profile: Any) -> Call:
        at, row, strip, four, inner, block, column = (hl.Var() for _ in range(7))
        real = hl.f32 if x.itemsize == 4 else hl.f64
        lanes = hl.get_host_target().natural_vector_size(hl.Float(8 * x.itemsize))
        around, sums, result = hl.Func(), hl.Func(), hl.Func()
        around[at, row] = hl.BoundaryConditions.mirror_interior(hl.Buffer(x))[at, row]
        (h, w), shift = k.shape, hl.TailStrategy.ShiftInwards
        if profile is None:
            taps, r = hl.Buffer(k), hl.RDom([(0, w), (0, h)])
            sums[at, row] = real(0.0)
            sums[at, row] += taps[r.x, r.y] * around[at + r.x - (w - 1) // 2, row + r.y - (h - 1) // 2]
            result[at, row] = sums[at, row]
            result.tile(at, row, block, four, column, inner, 4 * lanes, 4, shift).split(four, strip, four, 8, shift)
            result.vectorize(column, lanes).unroll(column).unroll(inner)
            sums.compute_at(result, block).vectorize(at, lanes).unroll(at).unroll(row)
            sums.update().reorder(at, row, r.x, r.y).vectorize(at, lanes).unroll(at).unroll(row)
        else:
            sums[at, row] = sum(real(float(profile[i])) * around[at, row + i - (h - 1) // 2] for i in range(h))
            result[at, row] = sum(real(float(profile[j])) * sums[at + j - (w - 1) // 2, row] for j in range(w))
            result.split(row, strip, inner, 32, shift).vectorize(at, lanes)
            sums.compute_at(result, strip).vectorize(at, lanes)
        around.compute_at(result, strip).vectorize(at, lanes)
        result.compile_jit()

        def call() -> Array:
            out = np.empty_like(x)
            result.realize(hl.Buffer(out))
            return out

        return call

    return library
