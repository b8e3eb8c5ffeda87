# SPDX-License-Identifier: BSD-3-Clause
"""What ``fastconv bench`` measures, family by family, beside what is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import kernels, nn, peers
from fastconv.measuring import Call

Array = NDArray[Any]
PICTURE = (1080, 1920)


class Contest(NamedTuple):
    """A case of a family: each peer's call beside fastconv's that gives the same."""

    family: str
    label: str
    pairs: dict[str, tuple[Call, Call]]  # peer: ours, theirs
    into: Callable[[Array], Call] | None = None  # fastconv's with out=, where limits are known
    x: Array | None = None
    multiply_adds: float = 0.0  # of an output


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _against(ours: Call, **theirs: tuple[Any, Call]) -> dict[str, tuple[Call, Call]]:
    """Those whose module is installed; names have _ for the first dot."""
    return {name.replace("_", ".", 1): (ours, call) for name, (module, call) in theirs.items() if module is not None}


@cache
def _picture(shape: tuple[int, int], dtype: str) -> Array:
    """One for all cases of that shape."""
    return np.random.default_rng(1).random(shape).astype(dtype)


def _kernel(size: int, dtype: str) -> Array:
    k = np.random.default_rng(2).random((size, size))
    taps: Array = (k / k.sum()).astype(dtype)
    return taps


def contests(full: bool) -> Iterator[Contest]:
    """All cases, those of a family together."""
    for family in (_filters, _gaussians, _derivatives, _templates, _signals, _layers):
        yield from family(full)


def _filters(full: bool) -> Iterator[Contest]:
    found = peers.installed()
    for dtype in ("float32", "float64")[: 1 + full]:
        for shape in ((250, 333), (512, 512), PICTURE, (2160, 3840)) if full else (PICTURE,):
            for size in (3, 5, 7, 9, 11, 15) if full else (3, 5, 9, 15):
                x, k = _picture(shape, dtype), _kernel(size, dtype)
                pairs = {
                    name: (peer.ours(x, k), make(x, k))
                    for name, (peer, make) in found.items()
                    if shape == PICTURE or name == "cv2.filter2D"
                }
                label = f"{size}x{size}" + (f", {shape[0]}x{shape[1]}" if full else "")
                yield Contest(f"filters, {dtype}", label, pairs, into(x, k), x, size * size)


def _gaussians(full: bool) -> Iterator[Contest]:
    x = _picture(PICTURE, "float32")
    for size in (3, 5, 9, 15, 31, 63) if full else (5, 15, 31):
        yield _gaussian(x, size)


def _gaussian(x: Array, size: int) -> Contest:
    cv2, ndimage = _module("cv2"), _module("scipy.ndimage")
    k, profile = kernels.gaussian(size), kernels.gaussian(size, ndim=1)

    def scipys() -> Any:
        return ndimage.correlate1d(ndimage.correlate1d(x, profile, 0, mode="mirror"), profile, 1, mode="mirror")

    pairs = _against(
        lambda: fastconv.corr2d(x, k, "same", "reflect"),
        cv2_sepFilter2D=(cv2, lambda: cv2.sepFilter2D(x, -1, profile, profile)),
        scipy_ndimage=(ndimage, scipys),
    )
    return Contest("Gaussians, float32", f"{size}x{size}", pairs, into(x, k), x, 2 * size)


def _derivatives(full: bool) -> Iterator[Contest]:
    for dtype in ("float32", "uint8")[: 1 + full]:
        for shape in ((512, 512), PICTURE, (2160, 3840)) if full else (PICTURE,):
            yield _magnitude((255 * _picture(shape, "float32")).astype(dtype))


def _magnitude(x: Array) -> Contest:
    cv2, ndimage = _module("cv2"), _module("scipy.ndimage")

    def scipys() -> Any:
        wide = x.astype(np.float32)
        return np.hypot(*(ndimage.sobel(wide, axis, mode="mirror") for axis in (0, 1)))

    pairs = _against(
        lambda: fastconv.gradient(x, boundary="reflect", norm="l2", dtype=np.float32),
        cv2_Sobel=(cv2, lambda: cv2.magnitude(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1))),
        scipy_sobel=(ndimage, scipys),
    )
    return Contest("Sobel's magnitude", f"{x.dtype}, {x.shape[0]}x{x.shape[1]}", pairs)


def _templates(full: bool) -> Iterator[Contest]:
    x = _picture(PICTURE, "float32")
    for size in (8, 16, 32, 64, 128) if full else (16, 64):
        yield _template(x, x[100 : 100 + size, 200 : 200 + size].copy())


def _template(x: Array, t: Array) -> Contest:
    cv2, skimage = _module("cv2"), _module("skimage.feature")
    pairs = _against(
        lambda: fastconv.feature.match_template(x, t),
        cv2_matchTemplate=(cv2, lambda: cv2.matchTemplate(x, t, cv2.TM_CCOEFF_NORMED)),
        skimage_match_template=(skimage, lambda: skimage.match_template(x, t)),
    )
    return Contest("template matching, float32", f"{len(t)}x{len(t)}", pairs)


def _signals(full: bool) -> Iterator[Contest]:
    for n in (10**4, 10**5, 10**6) if full else (10**5,):
        for taps in (5, 31, 255, 2047) if full else (31, 1023):
            yield _signal(n, taps)


def _signal(n: int, taps: int) -> Contest:
    signal = _module("scipy.signal")
    x, k = (np.random.default_rng(i).random(m, np.float32) for i, m in enumerate((n, taps)))
    pairs = _against(
        lambda: fastconv.corr1d(x, k),
        scipy_oaconvolve=(signal, lambda: signal.oaconvolve(x, k[::-1], "valid")),
        numpy_correlate=(np if n * taps < 5e8 else None, lambda: np.correlate(x, k)),
    )
    return Contest("signals, float32", f"{n:,} by {taps}", pairs)


def _layers(full: bool) -> Iterator[Contest]:
    shapes = [
        (64, 64, 56, 3),
        (256, 64, 56, 1),
        (128, 128, 28, 3),
        (256, 256, 14, 3),
        (512, 512, 7, 3),
        (3, 64, 224, 7),
    ]
    for shape in shapes if full else shapes[:2]:
        yield _layer(*shape)


def _layer(channels: int, units: int, side: int, size: int) -> Contest:
    torch = _module("torch")
    x = np.random.default_rng(0).standard_normal((1, channels, side, side), np.float32)
    layer = nn.Conv2d(channels, units, size, padding=size // 2, bias=False, seed=0)

    def torchs() -> Any:
        with torch.no_grad():
            given = torch.from_numpy(x), torch.from_numpy(layer.weight)
            return torch.nn.functional.conv2d(*given, padding=size // 2).numpy()

    pairs = _against(lambda: layer(x), torch_conv2d=(torch, torchs))
    return Contest("layers, float32", f"{channels} to {units}, {side}x{side} by {size}x{size}", pairs)


def into(x: Array, k: Array) -> Callable[[Array], Call]:
    """The call of fastconv into a given array."""
    return lambda out: lambda: fastconv.corr2d(x, k, "same", "reflect", out=out)
