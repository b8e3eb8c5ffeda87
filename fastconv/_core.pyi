# SPDX-License-Identifier: BSD-3-Clause
"""Types of the extension, for type checkers; the documentation is in _core.pyx."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypedDict, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastconv.arguments.axes import Axis
from fastconv.arguments.layers import Activated

__test__: dict[str, Any]

class _Table(TypedDict):
    isa: str
    fma: bool
    vector_bytes: int
    blocks: list[tuple[int, int]]

BOUNDARY: dict[str, int]
METHOD: dict[str, int]
ROUNDING: dict[str, int]
COMBINE: dict[str, int]
STORED: dict[str, int]
STORED_BY_NUMBER: dict[int, int]
MEASURE: dict[str, int]
ACTIVATIONS: dict[str, int]
ACCURACIES: dict[str, int]
FORCED: dict[str, int]
DOTS: dict[str, int]
TILE_POINTS: int

@disjoint_base
class Plan:
    nbytes: int
    def then(self, finish: Callable[[NDArray[Any]], NDArray[Any]]) -> Self: ...

@disjoint_base
class JointPlan(Plan):
    def __init__(self, parts: list[Plan], join: Callable[[list[NDArray[Any]]], Any]) -> None: ...
    def if_finite(self) -> JointPlan: ...

def divides(divisor: int, most: int, bits: int = ..., in_floats: bool = ...) -> bool: ...
def present(
    x: NDArray[Any], there: NDArray[np.bool] | None, ignores_nan: bool, above: NDArray[Any], counts: NDArray[Any]
) -> int: ...
def make_up(sums: NDArray[Any], weight: NDArray[Any], totals: NDArray[np.float64]) -> None: ...

@disjoint_base
class CorrPlan(Plan):
    def __init__(
        self,
        x: NDArray[Any],
        k: NDArray[Any],
        out: NDArray[Any],
        axes: tuple[Axis, ...],
        fill: complex,
        method: int,
        threads: int,
        factors: tuple[NDArray[Any], ...] = ...,
        rounding: int = ...,
        combine: int = ...,
        result_step: int = ...,
        divisor: int = ...,
    ) -> None: ...
    def __call__(self, x: NDArray[Any], out: NDArray[Any]) -> bool: ...
    def serve(
        self,
        asked: NDArray[Any],
        x: NDArray[Any],
        result: NDArray[Any],
        finish: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        cast: np.dtype[Any] | None = None,
        most: int | None = None,
        any_threads: bool = True,
    ) -> CorrPlan: ...
    def with_any(self, taps: NDArray[Any], flips: bool, finite: bool = False, but_outer: bool = False) -> CorrPlan: ...

@disjoint_base
class ArraysPlan(Plan):
    def __call__(self, arrays: tuple[NDArray[Any] | None, ...], out: NDArray[Any]) -> None: ...
    def serve(
        self,
        asked: tuple[Any, ...],
        arrays: tuple[NDArray[Any] | None, ...],
        result: NDArray[Any],
        slots: tuple[int, ...] = ...,
    ) -> Self | None: ...

@disjoint_base
class LayerPlan(ArraysPlan):
    def __init__(
        self,
        x: NDArray[Any],
        w: NDArray[Any],
        axes: tuple[Axis, ...],
        groups: int,
        activation: Activated | None,
        adds: bool,
        threads: int,
        adjoint: bool = ...,
        last: bool = ...,
        accuracy: str = ...,
        forced: str | None = ...,
    ) -> None: ...
    def winograd(self, learnt: bool = ...) -> int: ...
    def transforms(self, learnt: bool = ...) -> tuple[int, int] | None: ...
    def learns(self) -> int | tuple[int, int, int, int] | None: ...
    def learn(self, w: NDArray[Any]) -> NDArray[np.uint8] | None: ...
    def takes_last(self, x: NDArray[Any], w: NDArray[Any]) -> bool: ...
    def explain(self, x: NDArray[Any], w: NDArray[Any], learnt: bool = ...) -> tuple[str, int, int, int]: ...

@disjoint_base
class DotsPlan(LayerPlan):
    def __init__(
        self,
        x: NDArray[Any],
        w: NDArray[Any],
        axes: tuple[Axis, ...],
        groups: int,
        threads: int,
        names: tuple[str, str, str],
        bias: NDArray[Any] | None = ...,
        x_zero: int = ...,
        y_zero: int = ...,
        w_zero: NDArray[np.int32] | None = ...,
        scale: NDArray[np.float32] | None = ...,
        last: bool = ...,
    ) -> None: ...
    @property
    def last(self) -> bool: ...
    def learns(self) -> int: ...
    def learn(self, w: NDArray[Any]) -> NDArray[np.uint8]: ...

class WeightPlan(LayerPlan):
    def __init__(
        self,
        x: NDArray[Any],
        grad_output: NDArray[Any],
        w: NDArray[Any],
        axes: tuple[Axis, ...],
        groups: int,
        threads: int,
        accuracy: str = "exact",
        forced: str | None = None,
    ) -> None: ...

@disjoint_base
class BottleneckPlan(ArraysPlan):
    def __init__(
        self,
        x: NDArray[Any],
        inner: int,
        kernels: int,
        axes: tuple[Axis, ...],
        activations: tuple[Activated | None, ...],
        adds: bool,
        threads: int,
    ) -> None: ...
    def learn(self, weights: list[NDArray[Any]], biases: list[NDArray[Any] | None]) -> NDArray[np.uint8]: ...

@disjoint_base
class ActivationPlan(ArraysPlan):
    def __init__(self, x: NDArray[Any], activation: Activated, threads: int) -> None: ...

@disjoint_base
class FoldPlan(ArraysPlan):
    def __init__(
        self, x: NDArray[Any], out: NDArray[Any], axes: tuple[Axis, ...], folds: bool, threads: int
    ) -> None: ...

@disjoint_base
class PoolPlan(ArraysPlan):
    def __init__(
        self,
        x: NDArray[Any],
        axes: tuple[Axis, ...],
        behind: tuple[int, ...],
        average: bool,
        adaptive: bool,
        whole: bool,
        padded: bool,
        divisor: float,
        last: bool,
        threads: int,
    ) -> None: ...

class PoolBackPlan(PoolPlan): ...

@disjoint_base
class MatchPlan(ArraysPlan):
    def __init__(
        self,
        image: NDArray[Any],
        result: NDArray[Any],
        t: NDArray[np.float64],
        masks: tuple[NDArray[np.float64], ...] | None,
        lead: tuple[int, ...],
        measure: str,
        boundary: str,
        fill: float,
        threads: int,
        whole: bool,
        numbers: tuple[float, ...],
    ) -> None: ...

class LinesPlan(CorrPlan):
    def __init__(
        self,
        x: NDArray[Any],
        out: NDArray[Any],
        first: _Pass,
        second: _Pass | None,
        fill: float,
        between: str,
        narrow: bool,
        threads: int,
        starts: Sequence[int] | None = None,
    ) -> None: ...

class OrderedPlan(CorrPlan):
    def __init__(
        self,
        x: NDArray[Any],
        w: NDArray[np.float64],
        out: NDArray[Any],
        leads: Sequence[int],
        boundary: str,
        fill: float,
        threads: int,
    ) -> None: ...

@disjoint_base
class FilterPlan(Plan):
    def __init__(
        self, how: str, parts: Sequence[CorrPlan | FilterPlan], between: np.dtype[Any], out: NDArray[Any]
    ) -> None: ...

@disjoint_base
class _Function:
    def __init__(self, function: Callable[..., Any], roles: dict[str, str], answer: type) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...

@final
class Function(_Function): ...

def ask_first(get: Callable[[], bool]) -> None: ...
def plans_info() -> tuple[int, int, int, int, int]: ...
def round_bfloat16(x: NDArray[np.float32], bits: NDArray[np.uint16]) -> None: ...
def block(nbytes: int) -> NDArray[np.uint8]: ...
def limit_plans(nbytes: int) -> None: ...
def forget_plans() -> None: ...

ROLES: dict[str, int]
RESULTS: dict[str, int]

_Pass = tuple[int, NDArray[np.float64] | None, int, int, str, float]

def corr_plan(
    type: int,
    batch: tuple[int, ...],
    axes: tuple[Axis, ...],
    method: int,
    terms: int,
    threads: int,
    vector_bytes: int,
) -> tuple[int, int, float]: ...
def set_threads(n: int) -> None: ...
def get_threads() -> int: ...
def threads_here(n: int) -> int: ...
def spread_workers(on: bool) -> None: ...
def this_is_main() -> None: ...
def tables() -> list[_Table]: ...
def table() -> _Table: ...
def use(i: int) -> None: ...
def fma_peak(is_float32: bool, rounds: int) -> float: ...
def alloc_fail_after(allocations: int) -> None: ...
def stream_from(size_file: bytes = ...) -> float: ...
def native_dots(on: bool) -> None: ...
def tune(band_rows: int = ..., threads_from_us: float = ..., stream_from: float = ...) -> None: ...
