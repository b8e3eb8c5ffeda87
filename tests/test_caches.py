# SPDX-License-Identifier: BSD-3-Clause
"""What the package remembers from call to call: a few MB, whatever it was called with."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv import factors, ndimage, nn, signal
from fastconv.caches import ENTRY, remembered

A_FEW_MB = 6 << 20


def kept_after(calls):
    """Bytes that are still allocated after the calls; the first one is not counted."""
    calls = iter(calls)
    next(calls)()
    gc.collect()
    tracemalloc.start()
    try:
        for call in calls:
            call()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def kernels_of_many_sizes(rng):
    for n in range(40):
        k = np.outer(rng.random(300 + n), rng.random(300)) + (n % 2) * np.eye(300 + n, 300)
        yield lambda k=k: factors.factorize(k.tobytes(), k.dtype, k.shape, 1)


def signals_and_kernels(rng):
    for n in range(30):
        x, k = rng.random((40, 40 + n)), rng.random((200, 201))
        yield lambda x=x, k=k: fastconv.corr2d(x, k, "same", method="direct")
        yield lambda x=x, k=k: signal.convolve(x, k[:9], "same")


def gaussians(rng):
    for n in range(70):
        yield lambda n=n: ndimage.gaussian_filter1d(np.ones(3), 1.0, radius=40_000 + n)


def gaussians_of_few_taps(rng):
    for n in range(6000):
        yield lambda n=n: ndimage.gaussian_filter1d(np.ones(3), 1.0 + n / 6000)


def shapes(rng):
    for n in range(3000):
        yield lambda n=n: fastconv.corr1d(np.ones(9 + n), np.ones(9))
        yield lambda n=n: nn.conv1d(np.ones((1, 1, 9 + n)), np.ones((1, 1, 9)), padding=[1])


@pytest.mark.parametrize(
    "calls", [kernels_of_many_sizes, signals_and_kernels, gaussians, *only_deep(gaussians_of_few_taps, shapes)]
)
def test_memory_that_is_kept_does_not_grow_with_arguments(rng, calls):
    fastconv.set_cache_limit(4 << 20)
    assert kept_after(calls(rng)) < A_FEW_MB
    fastconv.set_cache_limit(16 << 20)


def test_kernels_of_several_megabytes_are_remembered_by_their_factors(rng):
    k = np.outer(rng.random(800), rng.random(800))
    first, again = (factors.factorize(k.tobytes(), k.dtype, k.shape, 1) for _ in range(2))
    assert first and first is again


def test_the_latest_results_stay_within_the_bound():
    asked = []

    @remembered(10 * (ENTRY + 800))
    def zeros(n):
        asked.append(n)
        return (np.zeros(n),)

    for n in (100, 100, *range(90, 100), 100, 99, 98):
        zeros(n)
    assert asked == [100, *range(90, 100), 100]  # the first one was forgotten, as the oldest
    assert zeros(10**5)[0] is not zeros(10**5)[0]
    assert zeros(100) is zeros(100)


def test_threads_remember_together():
    @remembered(50 * (ENTRY + 80))
    def tens(n):
        return np.full(10, n)

    wrong = []

    def ask(seed):
        numbers = np.random.default_rng(seed).integers(0, 100, 2000)
        wrong.extend(n for n in numbers.tolist() if tens(n)[0] != n)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
