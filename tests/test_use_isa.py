# SPDX-License-Identifier: BSD-3-Clause
"""Which instruction sets there are; a call keeps the one it began with, whatever a thread puts to use meanwhile."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from conftest import only_deep

import fastconv

# Flags, as Linux shows them, that each instruction set needs
FLAGS = {"avx2": {"avx2", "fma", "f16c", "bmi2"}}
FLAGS["avx512"] = FLAGS["avx2"] | {"avx512f", "avx512vl", "avx512dq", "avx512bw"}


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
def test_the_instruction_sets_are_those_that_the_system_tells_of():
    """A wheel whose compiler gets this wrong computes with the least of them, and says nothing."""
    if platform.machine() == "aarch64":
        assert fastconv.isas() == ["neon"]
        return
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    flags = next(set(value.split()) for name, _, value in lines if name.strip() == "flags")
    assert set(fastconv.isas()) - {"avx512_256"} == {"base", *(isa for isa in FLAGS if FLAGS[isa] <= flags)}


# The sizes are such that the extension lets go of the GIL, and panels and tiles of the instruction sets differ.
CALLS = """
import sys, threading, time
import numpy as np
import fastconv
from fastconv import feature, ndimage, nn

sys.setswitchinterval(1e-5)
rng = np.random.default_rng(0)
f4 = lambda *shape: rng.standard_normal(shape).astype("f4")
image, small, kernel = f4(300, 300), f4(60, 61), f4(15, 15)
x, w, dy = f4(2, 19, 23, 21), f4(33, 19, 3, 3), f4(2, 33, 12, 11)
deep, own, deep_dy = f4(1, 40, 20, 19), f4(40, 1, 3, 3), f4(1, 40, 10, 10)
wide, own_two, large = f4(1, 2, 30, 300), f4(4, 1, 3, 3), f4(31, 33)
bytes_ = rng.integers(0, 255, (60, 61)).astype("u1")
columns = nn.unfold(x, 3, stride=2)
CALLS = {
    "im2col": lambda: fastconv.corr2d(image, kernel, "same", method="im2col"),
    "direct": lambda: fastconv.corr2d(image, kernel, "same", "reflect"),
    "1-D": lambda: fastconv.corr1d(image.ravel(), kernel.ravel()),
    "separable": lambda: fastconv.corr2d(image, np.outer(kernel[0], kernel[1]), "same", method="separable"),
    "box": lambda: fastconv.corr2d(image, np.ones((9, 9), "f4"), "same", method="box"),
    "fft": lambda: fastconv.corr2d(image, large, "same", "edge", method="fft"),
    "bytes": lambda: fastconv.corr2d(bytes_, np.arange(49).reshape(7, 7), "full"),
    "conv2d": lambda: nn.conv2d(x, w, padding=1),
    "conv2d, one channel a group": lambda: nn.conv2d(deep, own, padding=1, groups=40, stride=2),
    "conv2d, two kernels": lambda: nn.conv2d(wide, own_two, padding=1, groups=2),
    "conv2d_input": lambda: nn.conv2d_input(x.shape, w, dy, 2, 1),
    "conv2d_input, one channel a group": lambda: nn.conv2d_input(deep.shape, own, deep_dy, 2, 1, groups=40),
    "conv2d_weight": lambda: nn.conv2d_weight(x, w.shape, dy, 2, 1),
    "conv2d_weight, one channel a group": lambda: nn.conv2d_weight(deep, own.shape, deep_dy, 2, 1, groups=40),
    "match_template": lambda: feature.match_template(small, small[5:11, 5:12]),
    "match_template, fft": lambda: feature.match_template(image, image[5:45, 5:45]),
    "gaussian_filter": lambda: ndimage.gaussian_filter(image, 2),
    "uniform_filter": lambda: ndimage.uniform_filter(image, 7),
    "correlate": lambda: ndimage.correlate(small, kernel),
    "unfold": lambda: nn.unfold(x, 3, stride=2),
    "fold": lambda: nn.fold(columns, (23, 21), 3, stride=2),
}
"""

# Each call alone under every instruction set, then from two threads while a third one switches
CODE = (
    CALLS
    + """
right = {}
for name in CALLS:
    right[name] = set()
    for isa in fastconv.isas():
        fastconv.use_isa(isa)
        right[name].add(CALLS[name]().tobytes())

end = time.monotonic() + SECONDS
def switch():
    while time.monotonic() < end:
        for isa in fastconv.isas():
            fastconv.use_isa(isa)

wrong = {}
def compute(order):
    while time.monotonic() < end:
        for name in order:
            wrong[name] = wrong.get(name, 0) + (CALLS[name]().tobytes() not in right[name])

workers = [threading.Thread(target=compute, args=(order,)) for order in (list(CALLS), list(CALLS)[::-1])]
workers += [threading.Thread(target=switch)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print({name: count for name, count in wrong.items() if count})
"""
)


@pytest.mark.parametrize("seconds", ["1", *only_deep("5")])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_call_keeps_the_instruction_set_it_began_with(python, threads, seconds):
    done = python(CODE.replace("SECONDS", seconds), FASTCONV_NUM_THREADS=threads)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{}\n", "")
