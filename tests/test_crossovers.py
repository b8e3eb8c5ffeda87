# SPDX-License-Identifier: BSD-3-Clause
"""No cliff: whatever the shapes, the method that is chosen is expected to take little longer than the best of them.

And every fitted number can be measured: bench/crossovers.py knows what to call with other values of it.
"""

from __future__ import annotations

import importlib.util
import re
from fnmatch import fnmatch
from pathlib import Path

import cases
import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv import methods, reference, spectrum
from fastconv.arguments.correlation import Options, correlation_arguments

SIDES = (3, 5, 9, 15, 31, 63, 100, 127, 255, 400, 600, 800, 850, 900, 950, 990, 1000, 1020, 1024, 1025, 1100, 2000)
LENGTHS = (31, 100, 999, 5000, 10**5, 9 * 10**5, 10**6, 1040000, 2**20, 1100000, 2 * 10**6)
BLOCKS = (3, 5, 9, 15, 31, 50, 80, 90, 99, 100, 101, 102, 110, 128)

# x, and kernels that grow
SWEEPS = {
    "pictures": [(n, [(k, k) for k in SIDES]) for n in ((300, 300), (1024, 1024), (2048, 2048), (10**4, 10**4))],
    "tiny pictures": [(n, [(k, k) for k in SIDES]) for n in ((1, 1), (5, 5), (20, 30, 31))],
    "tall": [(n, [(k, w) for k in SIDES]) for n in ((1000, 1000), (10**5, 3)) for w in (1, 3)],
    "flat": [(n, [(h, k) for k in SIDES]) for n in ((1000, 1000), (3, 10**5)) for h in (1, 3)],
    "signals": [(n, [(k,) for k in LENGTHS]) for n in ((10,), (10**6,), (3 * 10**6,), (50, 1000))],
    "volumes": [(n, [(k, k, k) for k in BLOCKS]) for n in ((40, 40, 40), (128, 128, 128), (4, 8, 8, 8))],
    "slices": [(n, [(1, k, k) for k in SIDES]) for n in ((100, 100, 100),)],
}


def described(x, k, mode, dtype):
    zero = np.zeros((), dtype)
    return correlation_arguments(len(k), np.broadcast_to(zero, x), np.broadcast_to(zero, k), Options(mode))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("mode", cases.MODES)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_choice_is_never_far_from_the_best(isa, sweep, mode, dtype):
    for x, growing in SWEEPS[sweep]:
        for k in growing:
            if mode == "valid" and any(m > n for m, n in zip(k, x[-len(k) :], strict=True)):
                continue
            element = x[len(x) - len(k) :]  # of a batch, which is computed as each of its elements is by itself
            c = described(element, k, mode, dtype)
            chosen = fastconv.explain(element, k, mode, dtype=dtype)
            ways = [methods.Choice("direct", ""), methods.Choice("fft", ""), methods.Choice("fft", "", whole=True)]
            best = min(methods.plan(c, way, 1)[2] for way in ways)
            allowed = 2 if isa == "avx512" else 2 * 64 / _vector_bytes()  # NumPy is as fast as ever
            assert chosen.serial_us <= allowed * best, (x, k, chosen)


def _vector_bytes():
    return fastconv.runtime._core.table()["vector_bytes"]


@pytest.mark.parametrize("n", [300, 1024, 2048])
@pytest.mark.parametrize("dtype", cases.FLOATS)
def test_larger_kernels_never_go_back(dtype, n):
    """From direct to tiles to whole transforms, and expected times grow but for a tile that fits better."""
    rank, longest = -1, 0.0
    for side in sorted({*SIDES, *range(850, 1040, 5)}):
        c = described((n, n), (side, side), "same", dtype)
        choice = methods.choose(c, "auto", any_kernel=True)
        step = {"direct": 0, "fft": 1}[choice.method] + choice.whole
        us = methods.plan(c, choice, 1)[2]
        assert step >= rank and us >= longest / 1.5, (side, choice, us)
        rank, longest = step, max(longest, us)


def test_choices_are_the_same_for_every_instruction_set():
    """They decide bits."""
    chosen = []
    for isa in fastconv.isas():
        with fastconv.use_isa(isa):
            chosen.append(
                [
                    methods.choose(described((n, n), (k, k), "same", "float32"), "auto", any_kernel=True)[::5]
                    for n in (300, 1024, 2048)
                    for k in range(600, 1040, 10)
                ]
            )
    assert all(one == chosen[0] for one in chosen)


@pytest.mark.parametrize("dtype", ["float32", *only_deep("float64", "complex64")])
def test_kernels_nearly_as_large_as_a_tile_end(rng, dtype):
    """They took minutes: a tile of 1024x1024 holds one output of a kernel of 1024x1024."""
    for side in (950, 1024):
        x, k = (rng.standard_normal((side, side)).astype(dtype) for _ in range(2))
        window = slice(side // 2, side // 2 + 2), slice(side // 3, side // 3 + 2)
        y = fastconv.corr2d(x, k, "same", window=window)
        expected = fastconv.corr2d(x, k, "same", window=window, method="direct")
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    y = fastconv.signal.fftconvolve(x, x, "same")
    assert y.shape == x.shape


@pytest.mark.parametrize(("shape", "kernel"), [((2, 900), (50,)), ((70, 80), (9, 12)), ((15, 20, 22), (3, 4, 5))])
def test_parts_of_a_large_transform(monkeypatch, rng, shape, kernel):
    """With the bits of one part wherever it is seen from, and the sums of the definition."""
    for points in (1 << 22, 64, 1):
        monkeypatch.setattr("fastconv.costs.PART_POINTS", points)
        for mode, boundary in (("same", "wrap"), ("full", "constant"), ("valid", "edge"), ("same", "reflect")):
            for is_complex in (False, True):
                x, k = (
                    rng.standard_normal(n) + (1j * rng.standard_normal(n) if is_complex else 0) for n in (shape, kernel)
                )
                if not is_complex:
                    x[(..., *(n // 3 for n in shape[-len(kernel) :]))] = np.inf
                c = correlation_arguments(len(kernel), x, k, Options(mode, boundary))
                y, expected = spectrum.correlate(c), reference.run(c)
                np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
        assert (spectrum.part_lengths(c) is None) == (points == 1 << 22)


def test_explaining_a_large_transform():
    told = fastconv.explain((2048, 2048), (1024, 1024), "same")
    assert (told.method, told.threads, told.chunks) == ("fft", 1, 1)
    assert np.isfinite(told.serial_us) and "NumPy" in told.tile


@pytest.fixture(scope="module")
def crossovers():
    path = Path(__file__).parents[1] / "bench/crossovers.py"
    if not path.exists():
        pytest.skip("bench/ is not here")
    spec = importlib.util.spec_from_file_location("crossovers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_fitted_number_can_be_measured(crossovers):
    names = crossovers.names()
    used = {next(p for p in crossovers.GROUPS if fnmatch(name, p)) for name in names}
    assert used == set(crossovers.GROUPS)
    original = crossovers.TABLES[0].read_text()
    for name, table in names.items():
        if table == crossovers.TABLES[0]:
            changed = crossovers.scaled(name, 2)
            assert re.sub(r"\(\(([^()]+)\) \* [\d./ ]+\)", r"\1", changed) == original != changed


def test_every_fitted_number_is_used(crossovers):
    root = Path(__file__).parents[1]
    paths = [
        *(root / "csrc").rglob("*.[ch]"),
        *(p for s in ("py", "pyx", "pxi") for p in root.glob(f"fastconv/**/*.{s}")),
    ]
    words = re.findall(r"\w+", "".join(path.read_text() for path in paths))
    assert [name for name in crossovers.names() if words.count(name) < 2] == []
