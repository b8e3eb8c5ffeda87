# SPDX-License-Identifier: BSD-3-Clause
"""Sizes that no memory holds: what is computed is right, or refused; nothing wraps, nothing is written beyond scratch.

Products of the dilations, steps and sizes here with the size of an element, with the length of a row or with each other
pass 2**63 or 2**64, or come just to it. All run in other processes: what wraps there may end them.
"""

from __future__ import annotations

import signal

import pytest
from conftest import only_deep

PRELUDE = """
import itertools
import numpy as np
import fastconv
from fastconv import corr1d, corr2d, corr3d, feature, ndimage, nn, signal

REFUSED = (MemoryError, ValueError, OverflowError)

def continued(x, i, boundary):
    n = len(x)
    if 0 <= i < n:
        return x[i]
    if boundary == "constant":
        return 0
    if boundary == "edge":
        return x[min(max(i, 0), n - 1)]
    period = {"wrap": n, "symmetric": 2 * n, "reflect": max(2 * n - 2, 1)}[boundary]
    i %= period
    return x[i if i < n else period - i - (boundary == "symmetric")]

def expected(x, k, dilation, boundary, window, lead):
    return [sum(continued(x, o - lead + t * dilation, boundary) * w for t, w in enumerate(k)) for o in window]
"""


def assert_it_ended_well(done):
    said = [line for line in done.stderr.splitlines() if "AddressSanitizer failed to allocate" not in line]
    assert (done.returncode, said) == (0, [])


# Around what the checks of arguments accept, and what times 4, 8 or 16 bytes, or times a row, wraps.
FAR = [2**e + d for e in (40, 58, 59, 60, 61) for d in (-2, -1, 0, 1)]

ONE_AXIS = """
x, k = np.arange(3, dtype=DTYPE) + 1, np.arange(3, dtype=DTYPE)[TAPS] + 2
for dilation, boundary in itertools.product(FAR, ("constant", "edge", "wrap", "reflect", "symmetric")):
    span = (len(k) - 1) * dilation + 1
    for mode, how in itertools.product(("same", "full"), HOW):
        lead = (span - 1) // 2 if mode == "same" else span - 1
        size = 3 if mode == "same" else 3 + span - 1
        for start in (0, 1) if mode == "same" else (0, size // 2, size - 2):
            window = range(size)[start : start + 2]
            try:
                got = corr1d(x, k, mode, boundary, dilation=dilation, window=slice(start, start + 2), **how)
            except REFUSED:
                continue
            want = expected(x.tolist(), k.tolist(), dilation, boundary, window, lead)
            if how.get("nan"):
                continue
            assert got.tolist() == want, (dilation, boundary, mode, how, start, got, want)
"""


@pytest.mark.parametrize("taps", ["slice(2)", "slice(3)"])
@pytest.mark.parametrize("dtype", ["float32", "complex64", "int64", *only_deep("float64", "complex128", "uint8")])
def test_far_taps_of_a_signal(python, dtype, taps):
    methods = '[{"method": "direct"}, {"method": "im2col"}]' if dtype.startswith("float") else "[{}]"
    how = methods[:-1] + ', {"nan": "ignore"}]' if "i" not in dtype[:4] or dtype.startswith("f") else methods
    code = PRELUDE + ONE_AXIS.replace("DTYPE", repr(dtype)).replace("TAPS", taps).replace("HOW", how)
    done = python(code.replace("FAR", str(FAR)))
    assert_it_ended_well(done)


MORE_AXES = """
for dtype, mode, method in itertools.product(("float32", "float64", "int64", "uint8", "complex128"), ("same", "full"),
                                             ("auto", "direct", "im2col", "separable")):
    for far, boundary in itertools.product(FAR, ("constant", "wrap")):
        for shape in ((3, 5), (5, 3), (2, 3, 4)):
            rank = len(shape)
            call = corr2d if rank == 2 else corr3d
            x, k = np.ones(shape, dtype), np.ones((2, 3, 2)[:rank], dtype)
            for axis in range(rank):
                dilation = [2] * rank
                dilation[axis] = far
                window = (slice(1, 3),) * rank
                try:
                    call(x, k, mode, boundary, dilation=tuple(dilation), method=method, window=window)
                except (*REFUSED, TypeError):
                    pass
"""


def test_far_taps_of_pictures_and_volumes(python):
    done = python((PRELUDE + MORE_AXES).replace("FAR", str(FAR)), timeout=300)
    assert_it_ended_well(done)


# An array that is one element over and over may be as long as addresses go.
REPEATED = """
for dtype in ("float32", "float64", "complex64"):
    for e in (55, 57, 59):
        n = 2**e
        x = np.lib.stride_tricks.as_strided(np.ones(1, dtype), (n,), (0,))
        rows, cols = np.broadcast_to(x[:1], (n, 1)), np.broadcast_to(x[:1], (1, n))
        k = np.ones(2, dtype)
        for call in (
            lambda: corr1d(x, k, stride=n // 2),
            lambda: corr1d(x, k, stride=n // 4, dilation=n // 8, mode="full", boundary="wrap"),
            lambda: corr1d(x, k, window=slice(n // 2, n // 2 + 3)),
            lambda: corr1d(x, k, window=slice(0, n, n // 2)),
            lambda: corr1d(k, x, "same"),
            lambda: corr1d(k, x, "full", window=slice(3)),
            lambda: corr1d(k, x, "full", window=slice(3), method="fft"),
            lambda: corr1d(k, x, "full", window=slice(3), method="box"),
            lambda: corr2d(rows, k[:, None], stride=(n // 2, 1)),
            lambda: corr2d(rows, k[:, None], stride=(n // 2, 1), dilation=(n // 4, 1), boundary="edge", mode="full"),
            lambda: corr2d(cols, k[None], stride=(1, n // 2), dilation=(1, n // 4)),
            lambda: corr2d(np.ones((3, 3), dtype), rows, "same"),
            lambda: corr2d(np.ones((3, 3), dtype), cols, "same", method="direct"),
            lambda: corr2d(np.ones((3, 3), dtype), np.broadcast_to(k[:1], (n // 8, 4)), "same", "wrap"),
        ):
            try:
                call()
            except (*REFUSED, TypeError):
                pass
"""


def test_arrays_of_one_element(python):
    done = python(PRELUDE + REPEATED, timeout=300)
    assert_it_ended_well(done)


FILTERS = """
x = np.arange(12.0).reshape(3, 4)
for far, kind in itertools.product(FAR, ("f4", "f8", "u1")):
    a = x.astype(kind)
    for mode in ("reflect", "constant", "wrap", "nearest", "mirror"):
        for call in (
            lambda: ndimage.uniform_filter1d(a, far, mode=mode),
            lambda: ndimage.uniform_filter(a, (far, 3), mode=mode),
            lambda: ndimage.uniform_filter(a, (3, far), mode=mode),
            lambda: ndimage.correlate(a, np.ones((2, 2)), origin=(0, -1), mode=mode),
        ):
            try:
                call()
            except REFUSED:
                pass
"""


def test_filters_of_any_size(python):
    done = python((PRELUDE + FILTERS).replace("FAR", str([f for f in FAR if f > 2**50])), timeout=300)
    assert_it_ended_well(done)


LAYERS = """
for far in FAR:
    for rank, axis in ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)):
        numbers = [1] * rank
        numbers[axis] = far
        numbers = tuple(numbers)
        x, w = np.ones((2, 4) + (3,) * rank, "f4"), np.ones((4, 4) + (2,) * rank, "f4")
        own = w[:, :1]
        conv, transposed = getattr(nn, f"conv{rank}d"), getattr(nn, f"conv_transpose{rank}d")
        dx, dw = getattr(nn, f"conv{rank}d_input"), getattr(nn, f"conv{rank}d_weight")
        for kernel, groups in ((w, 1), (own, 4)):
            for which in itertools.product((False, True), repeat=3):
                how = {name: numbers for name, far in zip(("stride", "padding", "dilation"), which) if far}
                for call in (
                    lambda: conv(x, kernel, groups=groups, **how),
                    lambda: transposed(x, kernel, groups=groups, **how),
                    lambda: dx(x.shape, kernel, x, groups=groups, **how),
                    lambda: dw(x, kernel.shape, x, groups=groups, **how),
                    lambda: nn.unfold(x, 2, **how) if rank == 2 else None,
                    lambda: nn.fold(np.ones((2, 16, 4), "f4"), numbers, 2, **how) if rank == 2 else None,
                ):
                    try:
                        call()
                    except REFUSED:
                        pass
"""


def test_layers_of_any_geometry(python):
    done = python((PRELUDE + LAYERS).replace("FAR", str([f for f in FAR if f > 2**50])), timeout=300)
    assert_it_ended_well(done)


# Every size, radius, lag and scale of what is no layer, and lines as long as addresses go.
THE_REST = """
import signal as signals
from fastconv import dense, kernels
from fastconv.signal import choose_conv_method, correlation_lags, sepfir2d

def late(*_):
    raise TimeoutError

x, k, image = np.ones((3, 4)), np.ones((2, 2)), np.ones((1, 1, 4, 4), "f4")
signals.signal(signals.SIGALRM, late)
for far in FAR:
    calls = [
        lambda: ndimage.gaussian_filter1d(x, float(far)),
        lambda: ndimage.gaussian_filter1d(x, 1.0, radius=far),
        lambda: ndimage.gaussian_filter1d(x, 1.0, truncate=far),
        lambda: ndimage.gaussian_filter1d(x, 1.0, order=far),
        lambda: ndimage.gaussian_filter(x, (1, far)),
        lambda: ndimage.gaussian_gradient_magnitude(x, far),
        lambda: ndimage.gaussian_laplace(x, far),
        lambda: ndimage.uniform_filter1d(x, 3, origin=far),
        lambda: ndimage.uniform_filter1d(x, far, origin=-(far // 2)),
        lambda: ndimage.correlate(x, k, origin=far),
        lambda: ndimage.correlate1d(x, [1, 2], axis=far),
        lambda: ndimage.correlate(x, k, axes=(far, 0)),
        lambda: correlation_lags(far, 3),
        lambda: correlation_lags(3, far, "same"),
        lambda: correlation_lags(far, far, "valid"),
        lambda: signal.fftconvolve(x, k, axes=far),
        lambda: fastconv.xcorr(np.ones(9), np.ones(9), far),
        lambda: fastconv.gradient(x, "gaussian", size=far),
        lambda: fastconv.halo((3, 3), dilation=far),
        lambda: fastconv.explain((far, far), (3, 3)),
        lambda: fastconv.explain((8, 8), (far, 3)),
        lambda: kernels.gaussian(sigma=far),
        lambda: kernels.log(sigma=far),
        lambda: dense.dense_matrix(k, (far, far)),
        lambda: dense.count_parameters((far, far)),
        lambda: nn.max_pool2d(image, far),
        lambda: nn.max_pool2d(image, far, 1, far // 2),
        lambda: nn.max_pool2d(image, 2, far, 0, far),
        lambda: nn.adaptive_avg_pool2d(image, far),
        lambda: nn.avg_pool2d_backward(image, (1, 1, far, far), 2),
        lambda: nn.Linear(far, 3),
        lambda: nn.Conv2d(3, 3, far),
        lambda: nn.BatchNorm2d(far),
        lambda: nn.Upsample(far)(image),
        lambda: nn.PixelShuffle(far)(image),
        lambda: nn.qconv2d(image.astype("u1"), np.ones((1, 1, 2, 2), "i1"), padding=far),
    ]
    for make in (kernels.box, kernels.gaussian, kernels.sobel, kernels.log, kernels.gabor, kernels.unsharp):
        calls.append(lambda make=make: make(size=far))
    line = np.lib.stride_tricks.as_strided(np.ones(1), (min(far, 2**59),), (0,))
    column = np.broadcast_to(line[:1], (len(line), 1))
    for sums in (signal.convolve, signal.correlate, signal.fftconvolve, signal.oaconvolve):
        for a, b in ((line, np.ones(3)), (np.ones(3), line), (line, line)):
            calls.append(lambda sums=sums, a=a, b=b: sums(a, b))
    for sums in (signal.convolve2d, signal.correlate2d):
        calls.append(lambda sums=sums: sums(line[None], np.ones((2, 3)), "same", "wrap"))
        calls.append(lambda sums=sums: sums(column, np.ones((2, 1)), "valid"))
    for filter in (ndimage.sobel, ndimage.laplace, lambda a: ndimage.correlate(a, np.ones(3))):
        calls.append(lambda filter=filter: filter(line))
    calls += [
        lambda: sepfir2d(line[None], np.ones(3), np.ones(3)),
        lambda: choose_conv_method(line, line),
        lambda: ndimage.correlate1d(np.ones(3), line),
        lambda: ndimage.gaussian_filter(line, 1, output=np.float32),
        lambda: feature.match_template(np.broadcast_to(line[:1], (far // 8, 4)), k),
    ]
    for number, call in enumerate(calls):
        signals.alarm(20)  # a hundred times as long as the slowest takes
        try:
            call()
        except REFUSED:
            pass
        except TimeoutError:
            raise AssertionError((far, number)) from None
    signals.alarm(0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no alarm")
@pytest.mark.deep
def test_what_cannot_be_addressed_is_refused_at_once(python):
    assert_it_ended_well(python((PRELUDE + THE_REST).replace("FAR", str([*FAR, 2**62 - 1, 2**62, 2**63])), timeout=300))
