# SPDX-License-Identifier: BSD-3-Clause
"""pytest-benchmark suite of corr2d: `pytest bench/`.

Groups put fastconv (every instruction set of this CPU), and each installed peer, beside each other on the
same picture and kernel; `--benchmark-group-by=group` is the default order of the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import fastconv
from fastconv import peers

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
import cases  # noqa: E402

PICTURE = (1080, 1920)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = fastconv.get_num_threads()
    peers.set_num_threads(1)
    yield
    fastconv.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [k[0] for k in cases.SQUARES])
@pytest.mark.parametrize("isa", fastconv.isas())
def bench_direct(benchmark: Any, isa: str, size: int, dtype: str) -> None:
    x, k = peers.data(PICTURE, (size, size), dtype)
    benchmark.group = f"{dtype} {size}x{size}"
    with fastconv.use_isa(isa):
        benchmark(fastconv.corr2d, x, k)


@pytest.mark.parametrize("size", [3, 7])
def bench_im2col(benchmark: Any, size: int) -> None:
    x, k = peers.data(PICTURE, (size, size), "float32")
    benchmark.group = f"float32 {size}x{size}"
    benchmark(lambda: fastconv.corr2d(x, k, method="im2col"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("peer", list(peers.installed()))
def bench_peer(benchmark: Any, peer: str, size: int, dtype: str) -> None:
    x, k = peers.data(PICTURE, (size, size), dtype)
    benchmark.group = f"{dtype} {size}x{size}"
    benchmark(peers.installed()[peer][1](x, k))


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def bench_boundary(benchmark: Any, boundary: str) -> None:
    x, k = peers.data(PICTURE, (7, 7), "float32")
    benchmark.group = "float32 7x7 same"
    benchmark(fastconv.corr2d, x, k, "same", boundary)


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "reversed", "channel of RGB"])
def bench_layout(benchmark: Any, layout: str) -> None:
    x, k = peers.data(PICTURE, (7, 7), "float32")
    x = {
        "contiguous": lambda: x,
        "transposed": lambda: x.T.copy().T,
        "reversed": lambda: x[::-1, ::-1],
        "channel of RGB": lambda: x[..., None].repeat(3, axis=2)[..., 1],
    }[layout]()
    benchmark.group = "float32 7x7 layouts"
    benchmark(fastconv.corr2d, x, k)


def bench_call(benchmark: Any) -> None:
    x, k = peers.data((3, 3), (2, 2), "float32")
    benchmark.group = "one call, 3x3"
    benchmark(fastconv.corr2d, x, k)


def bench_batch(benchmark: Any) -> None:
    x, k = peers.data((64 * 28, 28), (3, 3), "float32")
    x = x.reshape(64, 28, 28)
    benchmark.group = "64 images of 28x28, 3x3 same"
    benchmark(fastconv.corr2d, x, k, "same")
