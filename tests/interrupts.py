# SPDX-License-Identifier: BSD-3-Clause
"""Calls of every operation that would take minutes, and how long after a signal they end.

    python tests/interrupts.py                  # seconds of CPU time until each has ended, after a signal amid it
    python tests/interrupts.py winograd --threads 2

Arrays that need no memory of their own (strides of 0) have up to 2^31 elements. `calls(small=True)` has the same calls
of few elements. test_interrupts.py sends real signals.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv
from fastconv import feature, ndimage, nn

LIMIT = 25  # seconds of CPU time until a call that does not end is given up


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
    n = a.n
    one = a.one
    some = a.some
    taps = a.taps
    rng = a.rng
    picture = a.picture
    pixels = a.pixels
    volume = a.volume
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
        "corr1d of many taps": lambda: part(fastconv.corr1d, one(n(1 << 23, 99)), some(n(1 << 20, 9)), method="direct"),
        "corr1d of a long line": lambda: part(
            fastconv.corr1d, one(n(1 << 29, 99)), some(n(1 << 10, 9)), method="direct"
        ),
        "corr3d": lambda: part(fastconv.corr3d, volume, some(n(21, 3), n(21, 3), n(21, 3)), method="direct"),
        "sepcorr2d": lambda: part(fastconv.sepcorr2d, pixels, some(n(301, 3)), some(n(301, 3)), "same"),
        "xcorr": lambda: part(fastconv.xcorr, one(n(1 << 24, 99)), one(n(1 << 24, 99)), n(9000, 5)),
        "gradient": lambda: again(n(20, 1), fastconv.gradient, one(n(20, 2), n(3000, 40), n(3000, 40)), norm="l2"),
    }


def filters(a: Arrays) -> Table:
    """Of drop-ins, and template matching"""
    n = a.n
    one = a.one
    some = a.some
    taps = a.taps
    picture = a.picture
    line = a.line
    volume = a.volume
    f4 = np.float32
    f8 = np.float64
    u1 = np.uint8
    fs = fastconv.signal
    return {
        "signal.convolve2d": lambda: part(fs.convolve2d, picture().astype(f8), taps(101).astype(f8)),
        "signal.convolve": lambda: part(fs.convolve, one(line), np.ones(n(99, 9), f4), "valid"),
        "signal.correlate": lambda: part(fs.correlate, one(n(1 << 28, 99), dtype=np.int64), np.arange(n(2000, 9))),
        "ndimage.correlate": lambda: part(ndimage.correlate, picture(), taps(51)),
        "ndimage.correlate1d": lambda: part(ndimage.correlate1d, one(line, dtype=u1), np.ones(n(51, 5))),
        "ndimage.gaussian_filter1d": lambda: part(ndimage.gaussian_filter1d, one(line, dtype=u1), 20.0),
        "ndimage.uniform_filter1d": lambda: part(ndimage.uniform_filter1d, one(line, dtype=u1), n(51, 5)),
        "ndimage.gaussian_filter": lambda: part(ndimage.gaussian_filter, one(n(20000, 40), n(20000, 40)), n(30, 1)),
        "ndimage.sobel": lambda: again(n(99, 1), ndimage.sobel, one(n(20000, 40), n(20000, 40), dtype=u1)),
        "ndimage.gaussian_gradient_magnitude": lambda: part(ndimage.gaussian_gradient_magnitude, volume, n(30, 1)),
        "match_template": lambda: part(feature.match_template, one(n(6000, 40), n(6000, 40)), taps(200)),
        "match_template, directly": lambda: part(feature.match_template, picture(), some(n(3, 2), n(999, 7))),
        "match_template, masked": lambda: part(feature.match_template, picture(), taps(100), mask=taps(100)),
    }


def forward(a: Arrays) -> Table:
    """Of layers"""
    n = a.n
    one = a.one
    some = a.some
    deep = a.deep
    c = a.c
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
        "linear": lambda: part(nn.conv2d, one(n(1 << 15, 9), n(4096, 8), 1, 1), some(n(4096, 8), n(4096, 8), 1, 1)),
    }


def backward(a: Arrays) -> Table:
    """Of gradients, windows and activations"""
    n = a.n
    one = a.one
    some = a.some
    images = a.images
    deep = a.deep
    line = a.line
    c = a.c
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
        "max_pool2d": lambda: again(n(9, 1), nn.max_pool2d, images(), n(101, 3), 1),
        "max_pool2d, indices": lambda: again(n(9, 1), nn.max_pool2d, images(), n(31, 3), 1, return_indices=True),
        "avg_pool2d": lambda: again(n(99, 1), nn.avg_pool2d, images(), n(101, 3), 1),
        "adaptive_avg_pool2d": lambda: again(n(999, 1), nn.adaptive_avg_pool2d, images(), 1),
        "adaptive_max_pool2d": lambda: again(n(999, 1), nn.adaptive_max_pool2d, images(), 7),
        "activate": lambda: again(n(999, 1), nn.activate, images(), "gelu"),
    }


def calls(*, small: bool = False) -> Table:
    """Functions that make arrays, and then the call of them"""
    a = Arrays(small=small)
    return correlations(a) | filters(a) | forward(a) | backward(a)


class Ctrl_C(BaseException):
    """What the signal's handler raises here, so that nobody takes it for something else."""


def seconds_late(call: Callable[[], Any], after: float, which: int) -> float | None:
    """How long a call goes on after a signal, in real or in CPU time; None: it was done before, or cannot be made."""
    clock = time.monotonic if which == signal.ITIMER_REAL else time.process_time
    sent = clock() + after

    def handler(*_: object) -> None:
        raise Ctrl_C

    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, handler)
    signal.setitimer(which, after)
    try:
        call()
    except Ctrl_C:
        return clock() - sent
    except MemoryError:
        pass
    finally:
        signal.setitimer(which, 0)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", help="of names; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--after", type=float, default=0.4, help="seconds of CPU time until the signal")
    asked = parser.parse_args()
    fastconv.set_num_threads(asked.threads)
    for name, call in calls().items():
        if asked.words and not any(w in name for w in asked.words):
            continue
        pid = os.fork()
        if pid == 0:
            late = seconds_late(call(), asked.after, signal.ITIMER_PROF)
            print(f"{name:40} " + ("not met" if late is None else f"{late:.3f} s"), flush=True)
            os._exit(0)
        ended = 0
        while not ended:
            time.sleep(0.02)
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            with open(f"/proc/{pid}/stat") as f:
                spent = sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
            if spent > LIMIT:
                os.kill(pid, signal.SIGKILL)
                ended, _ = os.waitpid(pid, 0)
                print(f"{name:40} has not ended", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
