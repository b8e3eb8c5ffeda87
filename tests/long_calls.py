# SPDX-License-Identifier: BSD-3-Clause
"""Calls of every operation: ones that would take minutes, and the same of few elements.

Arrays that need no memory of their own (strides of 0) have up to 2^31 elements. `calls(small=True)` has the calls of
few elements. They are for promises that hold whatever is called: that Ctrl-C ends it (interrupts.py), that nothing else
is read (test_guard_pages.py), that the process stays as it was (test_pool.py), that memory may run out at any
point of it (test_allocations.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv
from fastconv import feature, ndimage, nn


class Ready:
    """A call of arrays that are there, once or again and again."""

    def __init__(
        self, times: int, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self.times, self.function, self.arguments, self.named = times, function, arguments, named

    def __call__(self) -> Any:
        for _ in range(self.times - 1):
            self.function(*self.arguments, **self.named)
        return self.function(*self.arguments, **self.named)

    def of(self, other: Callable[[Any], Any]) -> Ready:
        """The same call of others in the place of its arguments"""
        named = {name: other(a) for name, a in self.named.items()}
        return Ready(self.times, self.function, tuple(map(other, self.arguments)), named)


def part(function: Callable[..., Any], *arguments: Any, **named: Any) -> Ready:
    return Ready(1, function, arguments, named)


def again(times: int, function: Callable[..., Any], *arguments: Any, **named: Any) -> Ready:
    return Ready(times, function, arguments, named)


class Arrays:
    """Of many elements, or of few"""

    def __init__(self, *, small: bool) -> None:
        self.small, self.rng = small, np.random.default_rng(0)
        n = self.n
        self.line, self.c = n(1 << 31, 99), n(512, 4)
        self.pixels = self.one(n(400, 2), n(2000, 40), n(2000, 40))
        self.volume = self.one(n(300, 9), n(300, 9), n(300, 9))

    def n(self, large: int, few: int) -> int:
        return few if self.small else large

    def one(self, *shape: int, dtype: Any = np.float32) -> Any:
        """Ones that lie in one place"""
        return np.broadcast_to(np.ones((), dtype), shape)

    def some(self, *shape: int, dtype: Any = np.float32) -> Any:
        return self.rng.random(shape, dtype=np.float32).astype(dtype)

    def taps(self, side: int) -> Any:
        return self.some(self.n(side, 3), self.n(side, 3))

    def picture(self) -> Any:
        return self.some(self.n(4000, 40), self.n(4000, 40))

    def images(self) -> Any:
        return self.some(self.n(4, 1), self.n(16, 2), self.n(1500, 20), self.n(1500, 20))

    def deep(self) -> Any:
        return self.some(self.n(32, 2), self.c, self.n(28, 7), self.n(28, 7))


Table = dict[str, Callable[[], Ready]]


def correlations(a: Arrays) -> Table:
    """Of correlations"""
    n, one, some, taps, rng, picture, pixels, volume = a.n, a.one, a.some, a.taps, a.rng, a.picture, a.pixels, a.volume
    f4 = np.float32
    u1 = np.uint8
    corr2d = fastconv.corr2d
    sized = {"dtype": np.uint8, "overflow": "saturate"}
    return {
        "corr2d direct": lambda: part(corr2d, picture(), taps(101), method="direct"),
        "corr2d edges": lambda: part(corr2d, picture(), taps(101), "full", "edge", method="direct"),
        "corr2d strided": lambda: part(corr2d, picture()[:, ::2], taps(101), stride=2, method="direct"),
        "corr2d im2col": lambda: part(corr2d, picture(), taps(51), method="im2col"),
        "corr2d fft": lambda: part(corr2d, pixels, taps(101), method="fft"),
        "corr2d separable": lambda: part(
            corr2d, pixels, np.outer(some(n(301, 3)), some(n(301, 3))), method="separable"
        ),
        "corr2d box": lambda: part(corr2d, pixels, np.ones((n(301, 3), n(301, 3)), f4), "same"),
        "corr2d of large kernels": lambda: part(corr2d, one(n(3000, 40), n(3000, 40)), taps(1500), method="direct"),
        "corr2d of millions of taps": lambda: part(
            corr2d,
            one(n(4400, 40), n(4400, 40), dtype=float),
            one(n(4096, 3), n(4096, 3), dtype=float),
            method="direct",
        ),
        "corr2d of a kernel each": lambda: part(
            corr2d, one(n(1000, 2), n(400, 20), n(400, 20)), one(n(1000, 2), 3, n(61, 3)), method="direct"
        ),
        "corr2d of integers": lambda: part(
            corr2d, one(n(4000, 40), n(4000, 40), dtype=np.int64), rng.integers(0, 9, (n(61, 3), 3))
        ),
        "corr2d of bytes": lambda: part(
            corr2d,
            one(n(9000, 40), n(9000, 40), dtype=u1),
            rng.integers(0, 3, (n(61, 3), n(61, 3))).astype(u1),
            **sized,
        ),
        "corr2d of bytes, separable": lambda: part(
            corr2d,
            one(n(200, 2), n(6000, 40), n(6000, 40), dtype=u1),
            fastconv.kernels.gaussian(n(31, 5), dtype=f4),
            "same",
            "reflect",
            **sized,
        ),
        "corr2d of bytes, 3x3": lambda: part(
            corr2d,
            one(n(200, 2), n(6000, 40), n(6000, 40), dtype=u1),
            np.outer([1, 2, 1], [1, 2, 1]).astype(u1),
            "same",
            "reflect",
            **sized,
        ),
        "corr2d of bytes, boxes": lambda: part(
            corr2d,
            one(n(200, 2), n(6000, 40), n(6000, 40), dtype=u1),
            fastconv.kernels.box(n(31, 3)),
            "same",
            "reflect",
            **sized,
        ),
        "corr2d of complex numbers": lambda: part(
            corr2d, one(n(4000, 40), n(4000, 40), dtype=np.complex64), taps(61), method="direct"
        ),
        "corr2d of missing data": lambda: part(
            corr2d, some(n(4, 2), n(3000, 40), n(3000, 40)), taps(61), "same", nan="ignore", method="direct"
        ),
        "corr3d": lambda: part(fastconv.corr3d, volume, some(n(21, 3), n(21, 3), n(21, 3)), method="direct"),
        "sepcorr2d": lambda: part(fastconv.sepcorr2d, pixels, some(n(301, 3)), some(n(301, 3)), "same"),
        "corr2d of missing data, transformed": lambda: part(
            corr2d, some(n(2, 1), n(3000, 40), n(3000, 40)), taps(301), "same", nan="ignore", method="fft"
        ),
        "gradient": lambda: again(n(20, 1), fastconv.gradient, one(n(20, 2), n(3000, 40), n(3000, 40)), norm="l2"),
    }


def signals(a: Arrays) -> Table:
    """Of correlations along lines"""
    n, one, some = a.n, a.one, a.some
    return {
        "corr1d of many taps": lambda: part(fastconv.corr1d, one(n(1 << 23, 99)), some(n(1 << 20, 9)), method="direct"),
        "corr1d of a long line": lambda: part(
            fastconv.corr1d, one(n(1 << 29, 99)), some(n(1 << 10, 9)), method="direct"
        ),
        "corr1d of a line, long steps": lambda: part(
            fastconv.corr1d,
            one(a.line, dtype=np.uint8),
            np.ones(n(1 << 28, 9), np.uint8),
            stride=n(1 << 27, 9),
            method="direct",
        ),
        "corr1d of many taps, long steps": lambda: part(
            fastconv.corr1d, one(a.line), one(n(1 << 20, 9)), stride=n(1 << 20, 9), method="direct"
        ),
        "xcorr": lambda: part(fastconv.xcorr, one(n(1 << 24, 99)), one(n(1 << 24, 99)), n(9000, 5)),
    }


def filters(a: Arrays) -> Table:
    """Of drop-ins, and template matching"""
    n, one, some, taps, picture, line, volume = a.n, a.one, a.some, a.taps, a.picture, a.line, a.volume
    f4 = np.float32
    f8 = np.float64
    u1 = np.uint8
    fs = fastconv.signal
    return {
        "signal.convolve2d": lambda: part(fs.convolve2d, picture().astype(f8), taps(101).astype(f8)),
        "signal.convolve": lambda: part(fs.convolve, one(line), np.ones(n(99, 9), f4), "valid"),
        "signal.correlate": lambda: part(fs.correlate, one(n(1 << 28, 99), dtype=np.int64), np.arange(n(2000, 9))),
        "signal.correlate2d": lambda: part(
            fs.correlate2d, one(n(20000, 40), n(20000, 40), dtype=u1), one(n(99, 3), n(99, 3), dtype=u1), "same", "wrap"
        ),
        "signal.fftconvolve": lambda: part(
            fs.fftconvolve, one(n(9000, 40), n(9000, 40)), one(n(999, 9), n(999, 9)), "valid"
        ),
        "signal.oaconvolve": lambda: part(fs.oaconvolve, one(n(1 << 28, 99)), some(n(9999, 9)), "valid"),
        "signal.sepfir2d": lambda: part(fs.sepfir2d, one(n(9000, 40), n(9000, 40)), some(n(301, 9)), some(n(301, 9))),
        "ndimage.correlate": lambda: part(ndimage.correlate, picture(), taps(51)),
        "ndimage.correlate1d": lambda: part(ndimage.correlate1d, one(line, dtype=u1), np.ones(n(51, 5))),
        "ndimage.gaussian_filter1d": lambda: part(ndimage.gaussian_filter1d, one(line, dtype=u1), 20.0),
        "ndimage.uniform_filter1d": lambda: part(ndimage.uniform_filter1d, one(line, dtype=u1), n(51, 5)),
        "ndimage.gaussian_filter": lambda: part(ndimage.gaussian_filter, one(n(20000, 40), n(20000, 40)), n(30, 1)),
        "ndimage.sobel": lambda: again(n(99, 1), ndimage.sobel, one(n(20000, 40), n(20000, 40), dtype=u1)),
        "ndimage.gaussian_laplace": lambda: part(ndimage.gaussian_laplace, volume, n(30, 1)),
        "ndimage.uniform_filter": lambda: part(ndimage.uniform_filter, one(n(9, 3), *(n(9000, 20),) * 2), n(99, 3)),
        "ndimage.gaussian_gradient_magnitude": lambda: part(ndimage.gaussian_gradient_magnitude, volume, n(30, 1)),
        "match_template": lambda: part(feature.match_template, one(n(6000, 40), n(6000, 40)), taps(200)),
        "match_template, directly": lambda: part(feature.match_template, picture(), some(n(3, 2), n(999, 7))),
        "match_template, masked": lambda: part(feature.match_template, picture(), taps(100), mask=taps(100)),
    }


def forward(a: Arrays) -> Table:
    """Of layers"""
    n, one, some, deep, c = a.n, a.one, a.some, a.deep, a.c
    many = a.n(64, 3)
    return {
        "conv2d, products": lambda: part(nn.conv2d, deep(), some(n(4096, 5), c, 3, 3), accuracy="exact"),
        "conv2d, one block": lambda: again(
            n(99, 1), nn.conv2d, one(1, n(8192, 8), 8, 8), some(n(8192, 8), n(8192, 8), 1, 1)
        ),
        "conv2d, Winograd": lambda: part(
            nn.conv2d, some(n(32, 1), c, n(56, 9), n(56, 9)), some(n(2048, 4), c, 3, 3), padding=1, accuracy="fast"
        ),
        "conv2d, transforms": lambda: again(
            n(99, 1), nn.conv2d, some(n(16, 2), 4, n(200, 20), n(200, 20)), some(4, 4, n(51, 9), n(51, 9))
        ),
        "conv2d, transforms of planes": lambda: again(
            n(99, 1),
            nn.conv2d,
            some(n(16, 2), many, n(200, 20), n(200, 20)),
            some(many, 1, n(51, 9), n(51, 9)),
            groups=many,
        ),
        "conv2d, lanes": lambda: part(
            nn.conv2d,
            some(n(64, 2), many, n(200, 20), n(200, 20)),
            some(many, 1, n(11, 5), n(11, 5)),
            groups=many,
            accuracy="exact",
        ),
        "conv2d, planes": lambda: again(
            n(99, 1),
            nn.conv2d,
            one(n(64, 2), many, n(400, 20), n(400, 20)),
            some(many, 1, 3, 3),
            groups=many,
            stride=2,
            padding=1,
        ),
        "conv2d, dilated": lambda: part(
            nn.conv2d, deep(), some(n(2048, 4), c, 3, 3), padding=12, dilation=12, accuracy="exact"
        ),
        "conv2d of float16": lambda: part(
            nn.conv2d, deep().astype("f2"), some(n(2048, 4), c, 5, 5).astype("f2"), padding=1
        ),
        "conv2d of many images": lambda: part(nn.conv2d, one(n(1 << 27, 9), 4, 2, 2), some(4, 4, 2, 2)),
        "conv2d, channels last": lambda: part(
            nn.conv2d,
            np.moveaxis(one(n(32, 2), n(56, 5), n(56, 5), n(2048, 8)), -1, 1),
            some(n(2048, 8), n(2048, 8), 1, 1),
        ),
        "conv1d, slides": lambda: part(nn.conv1d, one(many, 2, n(1 << 20, 99)), some(2, 1, n(301, 9)), groups=2),
        "conv2d of a kernel each": lambda: part(
            nn.conv2d, one(n(999, 2), c, n(28, 7), n(28, 7)), one(n(999, 2), n(512, 3), c, 3, 3), padding=1
        ),
        "conv3d": lambda: part(
            nn.conv3d, some(1, n(64, 2), *(n(60, 6),) * 3), some(n(512, 3), n(64, 2), 3, 3, 3), accuracy="exact"
        ),
        "conv1d of a line": lambda: again(
            n(99, 1), nn.conv1d, one(1, 1, a.line), one(1, 1, n(1 << 14, 9)), stride=n(1 << 13, 9)
        ),
        "linear": lambda: part(nn.conv2d, one(n(1 << 15, 9), n(4096, 8), 1, 1), some(n(4096, 8), n(4096, 8), 1, 1)),
    }


def small_numbers(a: Arrays) -> Table:
    """Of layers of bytes, and of several layers in one pass"""
    n, one, c = a.n, a.one, a.c
    u1 = np.uint8
    i1 = np.int8

    def bottleneck() -> Ready:
        inner = a.n(768, 16)
        w = [a.some(inner, c, 1, 1), a.some(inner, 1, 3, 3), a.some(c, inner, 1, 1)]
        layers = [nn.Conv2d.from_weights(w[0]), nn.Conv2d.from_weights(w[1], groups=inner, padding=1)]
        network = nn.Sequential(*layers, nn.Conv2d.from_weights(w[2])).folded()
        return part(network, one(n(999, 2), c, n(28, 7), n(28, 7)))

    return {
        "qconv2d": lambda: part(
            nn.qconv2d, one(n(99, 2), c, n(56, 7), n(56, 7), dtype=u1), one(n(2048, 5), c, 3, 3, dtype=i1)
        ),
        "qconv2d, one block": lambda: again(
            n(999, 1),
            nn.qconv2d,
            one(1, n(16384, 8), 8, 8, dtype=u1),
            one(n(8192, 8), n(16384, 8), 1, 1, dtype=i1),
        ),
        "qconv2d, one output": lambda: again(
            n(99, 1), nn.qconv2d, one(1, 1, *(n(4000, 9),) * 2, dtype=u1), one(1, 1, *(n(4000, 9),) * 2, dtype=i1)
        ),
        "qconv2d of many images": lambda: part(
            nn.qconv2d, one(n(1 << 27, 9), 4, 2, 2, dtype=u1), one(4, 4, 2, 2, dtype=i1)
        ),
        "a bottleneck": bottleneck,
    }


def backward(a: Arrays) -> Table:
    """Of gradients and windows"""
    n, one, some, images, deep, line, c = a.n, a.one, a.some, a.images, a.deep, a.line, a.c
    return {
        "conv_transpose2d": lambda: part(nn.conv_transpose2d, deep(), some(c, n(2048, 4), 4, 4), stride=2),
        "conv2d_input": lambda: part(
            nn.conv2d_input, (n(32, 2), n(1024, 4), n(30, 9), n(30, 9)), some(c, n(1024, 4), 3, 3), deep()
        ),
        "conv2d_weight": lambda: part(
            nn.conv2d_weight,
            some(n(64, 2), n(512, 4), n(58, 9), n(58, 9)),
            (c, n(512, 4), 3, 3),
            some(n(64, 2), c, n(56, 7), n(56, 7)),
        ),
        "conv2d_weight of a batch": lambda: part(
            nn.conv2d_weight, one(line, 1, 1, 1), (1, 1, 1, 1), one(line, 1, 1, 1)
        ),
        "conv2d_weight of planes": lambda: part(
            nn.conv2d_weight, one(n(1 << 24, 9), 16, 5, 5), (16, 1, 3, 3), one(n(1 << 24, 9), 16, 3, 3), groups=16
        ),
        "conv2d_weight of lines": lambda: part(
            nn.conv1d_weight, one(1, 1, a.line), (1, 1, n(9, 3)), one(1, 1, a.line - n(9, 3) + 1)
        ),
        "conv2d_weight, Winograd": lambda: part(
            nn.conv2d_weight,
            one(n(256, 2), n(256, 4), n(58, 9), n(58, 9)),
            (n(256, 4), n(256, 4), 3, 3),
            one(n(256, 2), n(256, 4), n(56, 7), n(56, 7)),
            accuracy="fast",
        ),
        "conv2d_bias": lambda: part(nn.conv2d_bias, one(line, 1, 1, 1)),
        "conv2d_backward": lambda: part(
            nn.conv2d_backward, deep(), one(n(32, 2), n(1024, 4), n(30, 9), n(30, 9)), some(c, n(1024, 4), 3, 3)
        ),
        "unfold": lambda: again(n(99, 1), nn.unfold, images()[:1], n(9, 3)),
        "fold": lambda: again(
            n(999, 1),
            nn.fold,
            images()[:, : n(8, 2), :9, : n(1500, 16)]
            .reshape(n(4, 1), -1, n(1500, 16))
            .repeat(n(20, 1), 2)[:, : n(72, 18), : n(19600, 16)],
            (n(142, 6), n(142, 6)),
            3,
        ),
    }


def pooling(a: Arrays) -> Table:
    """Of pooling and its gradients, and activations"""
    n, one, images = a.n, a.one, a.images
    return {
        "max_pool2d": lambda: again(n(9, 1), nn.max_pool2d, images(), n(101, 3), 1),
        "max_pool2d, indices": lambda: again(n(9, 1), nn.max_pool2d, images(), n(31, 3), 1, return_indices=True),
        "avg_pool2d": lambda: again(n(99, 1), nn.avg_pool2d, images(), n(101, 3), 1),
        "avg_pool1d": lambda: again(n(99, 1), nn.avg_pool1d, one(1, 1, n(1 << 24, 99)), n(1 << 20, 9)),
        "max_pool1d": lambda: again(n(99, 1), nn.max_pool1d, one(1, 1, n(1 << 24, 99)), n(1 << 20, 9)),
        "max_pool1d of a line": lambda: part(
            nn.max_pool1d, one(1, 1, n(1 << 28, 99)), 9, n(4096, 4), return_indices=True
        ),
        "max_pool1d, indices": lambda: again(
            n(99, 1), nn.max_pool1d, one(1, 1, n(1 << 24, 99)), n(1 << 20, 9), return_indices=True
        ),
        "max_pool3d of bytes": lambda: again(
            n(999, 1), nn.max_pool3d, one(1, 2, *(n(200, 9),) * 3, dtype=np.uint8), n(9, 3), 1
        ),
        "avg_pool2d_backward": lambda: again(
            n(99, 1),
            nn.avg_pool2d_backward,
            one(n(4, 1), n(16, 2), n(1400, 18), n(1400, 18)),
            (n(4, 1), n(16, 2), n(1500, 20), n(1500, 20)),
            n(101, 3),
            1,
        ),
        "max_pool2d_backward": lambda: again(
            n(99, 1), nn.max_pool2d_backward, one(n(4, 1), n(16, 2), n(1490, 18), n(1490, 18)), images(), n(11, 3), 1
        ),
        "max_pool1d, channels last": lambda: part(
            nn.max_pool1d, one(1, n(1 << 20, 40), 16), n(1 << 16, 5), 1, layout="NWC", return_indices=True
        ),
        "avg_pool1d_backward of long steps": lambda: again(
            n(99, 1), nn.avg_pool1d_backward, one(1, 1, n(1 << 16, 9)), (1, 1, n(1 << 28, 41)), 9, n(4096, 4)
        ),
        "avg_pool1d_backward, channels last": lambda: part(
            nn.avg_pool1d_backward,
            one(1, n(1 << 19, 6), 16),
            (1, n((1 << 20) - 1, 11), 16),
            n(1 << 19, 6),
            1,
            layout="NWC",
        ),
        "max_pool1d_backward of long steps": lambda: again(
            n(99, 1), nn.max_pool1d_backward, one(1, 1, n(1 << 16, 9)), one(1, 1, n(1 << 28, 41)), 9, n(4096, 4)
        ),
        "adaptive_avg_pool1d_backward": lambda: again(
            n(99, 1), nn.adaptive_avg_pool1d_backward, one(1, 1, 1), (1, 1, n(1 << 28, 99)), 1
        ),
        "adaptive_avg_pool2d": lambda: again(n(999, 1), nn.adaptive_avg_pool2d, images(), 1),
        "adaptive_max_pool2d": lambda: again(n(999, 1), nn.adaptive_max_pool2d, images(), 7),
        "activate": lambda: again(n(999, 1), nn.activate, images(), "gelu"),
    }


def calls(*, small: bool = False) -> Table:
    """Functions that make arrays, and then the call of them"""
    a = Arrays(small=small)
    return correlations(a) | signals(a) | filters(a) | forward(a) | small_numbers(a) | backward(a) | pooling(a)
