# SPDX-License-Identifier: BSD-3-Clause
"""Types of the extension, for type checkers; the documentation is in _core.pyx."""

from typing import Any, TypedDict

from numpy.typing import NDArray

class Table(TypedDict):
    isa: str
    fma: bool
    vector_bytes: int

BOUNDARY: dict[str, int]
METHOD: dict[str, int]

def corr2d(
    x: NDArray[Any],
    k: NDArray[Any],
    out: NDArray[Any],
    top: int,
    left: int,
    boundary: int,
    fill: float,
    method: int,
    threads: int,
) -> None: ...
def corr2d_plain(x: Any, k: Any, mode: Any, boundary: Any, fillvalue: Any, convolve: bool) -> NDArray[Any] | None: ...
def corr2d_plan(
    is_float32: bool,
    planes: int,
    x_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    threads: int,
) -> tuple[int, int, float]: ...
def set_threads(n: int) -> None: ...
def get_threads() -> int: ...
def spread_workers(on: bool) -> None: ...
def tables() -> list[Table]: ...
def table() -> Table: ...
def corr_tile(h: int) -> tuple[int, int]: ...
def use(i: int) -> None: ...
def fma_peak(is_float32: bool, rounds: int) -> float: ...
def alloc_fail_after(allocations: int) -> None: ...
def tune(band_rows: int = ..., threads_from_us: float = ...) -> None: ...
