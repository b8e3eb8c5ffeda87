# SPDX-License-Identifier: BSD-3-Clause
"""Filters of ndimage in bands: the same bits, bounded scratch, signals looked at in between; means of long windows."""

from __future__ import annotations

import os
import signal
import tracemalloc

import numpy as np
import pytest
from scipy import ndimage as original

from fastconv import costs, ndimage, passes

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8", "c8", ">f4", "?"])
def test_bands_have_the_bits_of_the_whole(rng, monkeypatch, dtype):
    for shape in ((150,), (40, 50), (3, 200), (12, 9, 14), (20, 3, 4, 5), (3, 5, 40, 2)):
        x = (rng.random(shape) * 200).astype(dtype)
        axes = tuple(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)].tolist())
        axis = int(rng.integers(len(shape)))
        calls = [
            ("gaussian_filter", (1.7,), {"axes": axes}),
            ("gaussian_filter", (1.2,), {"order": 1}),
            ("uniform_filter", (9,), {"axes": axes}),
            ("uniform_filter", (60,), {}),  # along one axis after the other
            ("uniform_filter1d", (int(rng.integers(300, 3000)),), {"axis": axis}),
            ("correlate1d", (rng.standard_normal(6),), {"axis": axis, "origin": 1}),
            ("sobel", (axis,), {}),
            ("prewitt", (), {}),
            ("laplace", (), {}),
            ("gaussian_gradient_magnitude", (1.1,), {}),
        ]
        for name, args, how in calls:
            mode, filter = str(rng.choice(MODES)), getattr(ndimage, name)
            if name == "gaussian_gradient_magnitude" and dtype == "?":
                continue
            whole = filter(x, *args, mode=mode, cval=3.5, **how)
            monkeypatch.setattr(costs, "PASSES_BAND", int(rng.integers(1, x.size)))
            banded, inside = filter(x, *args, mode=mode, cval=3.5, **how), x.copy()
            filter(inside, *args, mode=mode, cval=3.5, output=inside, **how)
            monkeypatch.undo()
            assert banded.tobytes() == whole.tobytes(), f"{name} {shape} {args} {how} {mode}"
            if inside.dtype == whole.dtype:
                assert inside.tobytes() == whole.tobytes(), f"{name} {shape} {args} {how} {mode}, in place"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("gaussian_filter", (2,)),
        ("gaussian_filter", (1, (0, 1, 2))),
        ("uniform_filter", (5,)),
        ("uniform_filter", (60,)),
        ("sobel", (1,)),
        ("prewitt", (2,)),
    ],
)
def test_what_is_between_passes_takes_little_memory(rng, name, args):
    x = rng.random((130, 256, 256), dtype=np.float32)
    out = np.empty_like(x)
    getattr(ndimage, name)(x[:3], *args)
    tracemalloc.start()
    try:
        getattr(ndimage, name)(x, *args, output=out)
        assert tracemalloc.get_traced_memory()[1] < 2 * 8 * costs.PASSES_BAND < x.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("name", "args"), [("gaussian_filter", (2,)), ("uniform_filter1d", (5,)), ("sobel", ())])
def test_signals_are_looked_at_between_bands(rng, monkeypatch, name, args):
    steps = 0
    step = passes._step

    def interrupted(*args):
        nonlocal steps
        steps += 1
        if steps == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args)

    monkeypatch.setattr(costs, "PASSES_BAND", 100)
    monkeypatch.setattr(passes, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(ndimage, name)(rng.random((50, 100)), *args)
    assert steps == 2


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("output", ["f8", "i4"])
def test_means_of_windows_longer_than_the_line(rng, output, n, mode):
    for size in (*range(60, 80), 1000, 1001):
        for origin in (0, -(size // 2), (size - 1) // 2, 3, -5):
            x = rng.integers(-50, 50, (2, n, 3))
            how = {"axis": 1, "mode": mode, "cval": 5, "origin": origin, "output": output}
            expected = original.uniform_filter1d(x, size, **how)
            got = ndimage.uniform_filter1d(x, size, **how)
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12, err_msg=f"{size} {how}")


@pytest.mark.parametrize("mode", MODES)
def test_means_of_windows_that_no_memory_holds(mode):
    """An implementation whose time or memory grows with the size does not end."""
    for size in (10**7, 2**40 + 1):
        x = np.arange(10.0)
        got = ndimage.uniform_filter1d(x, size, mode=mode, cval=2)
        np.testing.assert_allclose(got, {"nearest": 4.5, "constant": 2}.get(mode, 4.5), atol=1e-3)
        np.testing.assert_array_equal(ndimage.uniform_filter(x, size, mode=mode, cval=2), got)
        square = ndimage.uniform_filter(np.outer(x, x), (size, 3), mode=mode)
        assert square.shape == (10, 10) and np.isfinite(square).all()


@pytest.mark.parametrize("mode", MODES)
def test_in_long_windows_what_is_not_finite_counts_once(mode):
    for value in (np.inf, -np.inf, np.nan):
        x = np.ones((3, 9))
        x[1, 4] = value
        got = ndimage.uniform_filter1d(x, 1000, mode=mode, cval=value)
        spoiled = np.full(x.shape, value if mode == "constant" else 1.0)
        spoiled[1] = value
        np.testing.assert_allclose(got, spoiled)
