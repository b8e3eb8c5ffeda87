# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: calls of fastconv beside the same results asked of its peers, by section.

Peers that are not installed are left out. `pictures` has its own peers (fastconv/peers.py); here every case brings
those that are best at it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import cases
import numpy as np

import fastconv
from fastconv import kernels
from fastconv.feature import match_template
from fastconv.measuring import Call, Case


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


cv2, torch, signal, ndimage, feature, filters, astropy = (
    _module(m)
    for m in (
        "cv2",
        "torch",
        "scipy.signal",
        "scipy.ndimage",
        "skimage.feature",
        "skimage.filters",
        "astropy.convolution",
    )
)
rng = np.random.default_rng(1)


def _data(shape: tuple[int, ...], dtype: str) -> Any:
    return rng.random(shape).astype(dtype) if np.dtype(dtype).kind == "f" else rng.integers(0, 256, shape).astype(dtype)


def _kernel(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    k = rng.random(shape) + 0.1
    return (k / k.sum()).astype(dtype)


def _only(**peers: tuple[Any, Call]) -> dict[str, Call]:
    return {name.replace("_", ".", 1): call for name, (module, call) in peers.items() if module is not None}


def large(dtypes: list[str]) -> Iterator[Case]:
    """Large kernels on a picture."""
    for dtype in dtypes:
        for size in cases.LARGE_SQUARES:
            x, k = _data(cases.PICTURE, dtype), _kernel((size, size), dtype)
            peers = _only(
                signal_oaconvolve=(signal, lambda x=x, k=k: signal.oaconvolve(x, k[::-1, ::-1], "valid")),
                signal_fftconvolve=(signal, lambda x=x, k=k: signal.fftconvolve(x, k[::-1, ::-1], "valid")),
                cv2_filter2D=(cv2, lambda x=x, k=k, m=size // 2: cv2.filter2D(x, -1, k)[m:-m, m:-m]),
            )
            flop = 2.0 * size**2 * (1081 - size) * (1921 - size)
            yield Case(f"{dtype} {size}x{size}", lambda x=x, k=k: fastconv.corr2d(x, k), peers, flop)


def gaussians(dtypes: list[str]) -> Iterator[Case]:
    """Gaussian blur by corr2d, which finds out that the kernel is separable."""
    for dtype in dtypes:
        for size in cases.GAUSSIANS:
            x, k = _data(cases.PICTURE, dtype), kernels.gaussian(size, dtype=dtype)
            profile = kernels.gaussian(size, ndim=1, dtype=dtype)
            peers = _only(cv2_sepFilter2D=(cv2, lambda x=x, p=profile: cv2.sepFilter2D(x, -1, p, p)))
            yield Case(f"{dtype} {size}x{size}", lambda x=x, k=k: fastconv.corr2d(x, k, "same", "reflect"), peers)


def bytes(dtypes: list[str]) -> Iterator[Case]:
    """Images of small integers with a float32 kernel, to float32 and to themselves."""
    for dtype in ("uint8", "uint16", "int16"):
        for size, _ in cases.SQUARES:
            x, k = _data(cases.PICTURE, dtype), _kernel((size, size))
            peers = _only(cv2_filter2D=(cv2, lambda x=x, k=k: cv2.filter2D(x, cv2.CV_32F, k)))
            yield Case(f"{dtype} {size}x{size}", lambda x=x, k=k: fastconv.corr2d(x, k, "same", "reflect"), peers)
            how = {"dtype": dtype, "overflow": "saturate"}
            peers = _only(cv2_filter2D=(cv2, lambda x=x, k=k: cv2.filter2D(x, -1, k)))
            ours: Call = lambda x=x, k=k, h=how: fastconv.corr2d(x, k, "same", "reflect", **h)  # noqa: E731
            yield Case(f"{dtype} to itself {size}x{size}", ours, peers, tolerance=1e-2)


def integers(dtypes: list[str]) -> Iterator[Case]:
    """Images of bytes, of one and three channels, by kernels whose sums are whole, and derivatives to int16."""
    binomial = {3: np.array([1, 2, 1]) / 4, 5: np.array([1, 4, 6, 4, 1]) / 16}
    for channels in ((), (3,)):
        x, names = _data((*cases.PICTURE, *channels), "uint8"), "uint8" + "x3" * len(channels)
        for size, taps in binomial.items():
            peers = _only(cv2_GaussianBlur=(cv2, lambda x=x, n=size: cv2.GaussianBlur(x, (n, n), 0)))
            yield Case(f"{names} binomial {size}", _to_integers(x, np.outer(taps, taps)), peers, tolerance=5e-3)
        for size in (3, 5, 9, 15, 31, 101):
            peers = _only(cv2_blur=(cv2, lambda x=x, n=size: cv2.blur(x, (n, n))))
            yield Case(f"{names} box {size}", _to_integers(x, np.full((size, size), size**-2.0)), peers, tolerance=5e-3)
        for size in (3, 5):
            peers = _only(cv2_Sobel=(cv2, lambda x=x, n=size: cv2.Sobel(x, cv2.CV_16S, 1, 0, ksize=n)))
            k = kernels.sobel(size=size, dtype=np.float64)
            yield Case(f"{names} Sobel {size}", _to_integers(x, k, "int16"), peers)


def _to_integers(x: Any, k: Any, dtype: str = "uint8") -> Call:
    return lambda: fastconv.corr2d(x, k, "same", "reflect", axes=(0, 1), dtype=dtype, overflow="saturate")


def colours(dtypes: list[str]) -> Iterator[Case]:
    """Pictures (H, W, 3): filters and Gaussians, to the dtype of the picture."""
    for dtype in ("float32", "uint8"):
        how = {"axes": (0, 1)} | ({"dtype": dtype, "overflow": "saturate"} if dtype == "uint8" else {})
        x = _data((*cases.PICTURE, 3), dtype)
        for size, _ in cases.SQUARES:
            k = _kernel((size, size))
            peers = _only(cv2_filter2D=(cv2, lambda x=x, k=k: cv2.filter2D(x, -1, k)))
            ours: Call = lambda x=x, k=k, h=how: fastconv.corr2d(x, k, "same", "reflect", **h)  # noqa: E731
            yield Case(f"{dtype} {size}x{size}", ours, peers, tolerance=1e-2)
        for size in cases.GAUSSIANS:
            k, profile = kernels.gaussian(size, dtype="float32"), kernels.gaussian(size, ndim=1, dtype="float32")
            peers = _only(cv2_sepFilter2D=(cv2, lambda x=x, p=profile: cv2.sepFilter2D(x, -1, p, p)))
            ours = lambda x=x, k=k, h=how: fastconv.corr2d(x, k, "same", "reflect", **h)  # noqa: E731
            yield Case(f"{dtype} Gaussian {size}x{size}", ours, peers, tolerance=1e-2)


def gradients(dtypes: list[str]) -> Iterator[Case]:
    """Sobel's derivatives, both, and the magnitude."""
    for shape, dtype in product(((250, 333), (512, 512), cases.PICTURE, (2160, 3840)), ("uint8", *dtypes)):
        x, depth = _data(shape, dtype), 6 if dtype == "float64" else 5  # CV_64F, CV_32F
        label = f"{dtype} {shape[0]}x{shape[1]}"

        def sobels(x: Any = x, depth: int = depth) -> Any:
            return cv2.Sobel(x, depth, 0, 1), cv2.Sobel(x, depth, 1, 0)

        def magnitude(sobels: Call = sobels) -> Any:
            return cv2.magnitude(*sobels())

        how = {"boundary": "reflect", "norm": "l2"}
        yield Case(
            f"{label}, magnitude", lambda x=x, h=how: fastconv.gradient(x, **h), _only(cv2_Sobel=(cv2, magnitude))
        )
        if dtype != "uint8":  # of which it takes fractions
            skimage = {"skimage": lambda x=x: filters.sobel(x, mode="mirror") * np.sqrt(32)} if filters else {}
            yield Case(f"{label}, scikit-image", lambda x=x, h=how: fastconv.gradient(x, **h), skimage)
        yield Case(
            f"{label}, both", lambda x=x: fastconv.gradient(x, boundary="reflect"), _only(cv2_Sobel=(cv2, sobels))
        )


def signals(dtypes: list[str]) -> Iterator[Case]:
    """1-D."""
    for dtype in dtypes:
        for n in cases.SIGNALS:
            for taps in cases.TAPS:
                x, k = _data((n,), dtype), _kernel((taps,), dtype)
                peers = _only(signal_oaconvolve=(signal, lambda x=x, k=k: signal.oaconvolve(x, k[::-1], "valid")))
                if n * taps < 5e8:
                    peers["np.correlate"] = lambda x=x, k=k: np.correlate(x, k)
                if ndimage is not None and taps < 100:
                    inside = slice(taps // 2, n - taps + taps // 2 + 1)
                    peers["ndimage.correlate1d"] = lambda x=x, k=k, i=inside: ndimage.correlate1d(x, k)[i]
                yield Case(f"{dtype} {n} x {taps}", lambda x=x, k=k: fastconv.corr1d(x, k), peers, 2.0 * n * taps)


def volumes(dtypes: list[str]) -> Iterator[Case]:
    """3-D, float32."""
    for n in cases.VOLUMES:
        for size in (3, 5, 7):
            x, k = _data((n,) * 3, "float32"), _kernel((size,) * 3)
            peers = _only(signal_fftconvolve=(signal, lambda x=x, k=k: signal.fftconvolve(x, np.flip(k), "valid")))
            if torch is not None:
                tx, tk = torch.from_numpy(x)[None, None], torch.from_numpy(k)[None, None]
                peers["torch.conv3d"] = lambda tx=tx, tk=tk: torch.nn.functional.conv3d(tx, tk).numpy()[0, 0]
            flop = 2.0 * size**3 * (n - size + 1) ** 3
            yield Case(f"valid {n}^3 x {size}^3", lambda x=x, k=k: fastconv.corr3d(x, k), peers, flop)
            peers = _only(ndimage_correlate=(ndimage, lambda x=x, k=k: ndimage.correlate(x, k, mode="mirror")))
            yield Case(f"same {n}^3 x {size}^3", lambda x=x, k=k: fastconv.corr3d(x, k, "same", "reflect"), peers, flop)


def steps(dtypes: list[str]) -> Iterator[Case]:
    """Strides and dilations, float32, one channel; and levels of pyramids, which OpenCV has a function for."""
    line = np.float32([1, 4, 6, 4, 1]) / 16
    narrow = {"dtype": "uint8", "overflow": "saturate"}
    for (dtype, how), channels in product((("float32", {}), ("uint8", narrow)), ((), (3,))):
        how = {"mode": "same", "boundary": "reflect", "stride": 2, "axes": (0, 1), **how}
        x = _data(cases.PICTURE + channels, dtype)
        ours: Call = lambda x=x, how=how: fastconv.corr2d(x, np.outer(line, line), **how)  # noqa: E731
        peers = _only(cv2_pyrDown=(cv2, lambda x=x: cv2.pyrDown(x)))
        label = f"{dtype} pyramid 5x5" + (" of pixels" if channels else "")
        yield Case(label, ours, peers, tolerance=0.01)  # of halves, OpenCV takes the upper ones
    for size in (3, 5, 7):
        for name in ("stride", "dilation"):
            for step in (2, 3, 4):
                x, k = _data(cases.PICTURE, "float32"), _kernel((size, size))
                peers = {}
                if torch is not None:
                    tx, tk = torch.from_numpy(x)[None, None], torch.from_numpy(k)[None, None]
                    how = {name: step}
                    peers["torch.conv2d"] = lambda tx=tx, tk=tk, h=how: torch.nn.functional.conv2d(tx, tk, **h).numpy()[
                        0, 0
                    ]
                ours = lambda x=x, k=k, h={name: step}: fastconv.corr2d(x, k, **h)  # noqa: E731
                yield Case(f"{size}x{size} {name} {step}", ours, peers)


def match(dtypes: list[str]) -> Iterator[Case]:
    """Template matching on pictures of one channel or three by the normed correlation coefficient, in float32."""
    for dtype, channels in product(("float32", "uint8"), ((), (3,))):
        for size in cases.TEMPLATES:
            x, how = _data(cases.PICTURE + channels, dtype), {"dtype": "float32", "axes": (0, 1)}
            t = x[100 : 100 + size, 200 : 200 + size].copy()
            peers = _only(
                cv2_matchTemplate=(cv2, lambda x=x, t=t: cv2.matchTemplate(x, t, cv2.TM_CCOEFF_NORMED)),
                skimage_match_template=(None if channels else feature, lambda x=x, t=t: feature.match_template(x, t)),
            )
            name = f"{dtype} {size}x{size}{'x3' if channels else ''}"
            yield Case(name, lambda x=x, t=t, how=how: match_template(x, t, **how), peers, tolerance=1e-2)


def missing(dtypes: list[str]) -> Iterator[Case]:
    """A picture of float64 without one pixel in a hundred; astropy's own threads are those of OMP_NUM_THREADS."""
    x = _data(cases.PICTURE, "float64")
    x[rng.random(x.shape) < 0.01] = np.nan
    named = {f"{n}x{n}": _kernel((n, n), "float64") for n in (3, 7, 15)} | {
        "Gaussian 15x15": kernels.gaussian(15, dtype="float64")
    }
    for label, k in named.items():
        peers = _only(astropy_convolve=(astropy, lambda k=k: astropy.convolve(x, k, boundary="extend")))
        yield Case(label, lambda k=k: fastconv.convolve2d(x, k, "same", "edge", nan="ignore"), peers, tolerance=1e-12)


def dropin(dtypes: list[str]) -> Iterator[Case]:
    """Calls of scipy.signal and scipy.ndimage, by the same names."""
    if signal is None or ndimage is None:
        return

    def case(module: str, name: str, label: str, *args: Any, tolerance: float = 1e-5, **how: Any) -> Case:
        ours, theirs = (getattr(importlib.import_module(f"{p}.{module}"), name) for p in ("fastconv", "scipy"))
        peers = {f"scipy.{module}.{name}": lambda: theirs(*args, **how)}
        return Case(f"{name} {label}", lambda: ours(*args, **how), peers, tolerance=tolerance)

    for dtype in ("uint8", *dtypes):
        picture, volume = _data((1080, 1920), dtype), _data((128, 128, 128), dtype)
        for sigma in (1, 2, 4, 8):
            yield case("ndimage", "gaussian_filter", f"{dtype} {sigma}", picture, sigma, tolerance=0)
        for sigma in (1, 2):
            yield case("ndimage", "gaussian_filter", f"{dtype} 128^3 {sigma}", volume, sigma, tolerance=0)
        for size in (3, 9, 31, 101):
            yield case("ndimage", "uniform_filter", f"{dtype} {size}", picture, size)
        yield case("ndimage", "sobel", f"{dtype} 4K", _data((2160, 3840), dtype), tolerance=0)
        yield case("ndimage", "gaussian_gradient_magnitude", f"{dtype} 1.5", picture, 1.5, tolerance=0)
        for size in (3, 5, 9, 15, 31):
            yield case("signal", "correlate2d", f"{dtype} {size}x{size}", picture, _data((size, size), dtype), "same")
        for size in (3, 7, 15):
            yield case("ndimage", "correlate", f"{dtype} {size}x{size}", picture, rng.random((size, size)))
    for dtype in dtypes:
        x = _data((10**6,), dtype)
        for taps in (5, 50, 200, 1000, 10000):
            yield case("signal", "convolve", f"{dtype} 10^6 by {taps}", x, _data((taps,), dtype), tolerance=1e-4)
        small = _data((96, 96), dtype)
        yield case("signal", "correlate2d", f"{dtype} 96x96 with itself, wrapped", small, small, boundary="wrap")
    for shape in ((3, 3), (16, 16), (64, 64)):
        x, k = _data(shape, "float64"), _data((3, 3), "float64")
        size = "x".join(map(str, shape))
        yield case("signal", "correlate2d", f"{size} by 3x3", x, k)
        yield case("signal", "convolve", f"{size} by 3x3", x, k)
        yield case("ndimage", "correlate", f"{size} by 3x3", x, k, tolerance=0)
        yield case("ndimage", "gaussian_filter", size, x, 1, tolerance=0)
        yield case("ndimage", "uniform_filter", size, x, 3)
        yield case("ndimage", "sobel", size, x, tolerance=0)


SECTIONS = {
    f.__name__: f
    for f in (large, gaussians, bytes, integers, colours, gradients, signals, volumes, steps, match, missing, dropin)
}
