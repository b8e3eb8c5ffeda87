# SPDX-License-Identifier: BSD-3-Clause
"""Types of feature: scores are float32 or float64, as image or dtype tell. The documentation is in feature.py."""

from typing import Any, Protocol, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv.arguments.matching import Matching
from fastconv.plans import Answer
from fastconv.typing import Measure, PadMode

__all__ = ["match_template"]

def matched(m: Matching, threads: int, asked: Any) -> Answer: ...

_D = TypeVar("_D", np.float32, np.float64)

class _How(TypedDict, total=False):
    """Arguments that no dtype depends on."""

    method: Measure
    mask: ArrayLike | None
    axes: tuple[int, ...] | None
    out: NDArray[Any] | None
    threads: int | None

class _MatchTemplate(Protocol):
    @overload
    def __call__(
        self,
        image: NDArray[np.float64 | np.integer[Any] | np.bool],
        template: ArrayLike,
        pad_input: bool = False,
        mode: PadMode = "constant",
        constant_values: Any = 0,
        *,
        dtype: None = None,
        **how: Unpack[_How],
    ) -> NDArray[np.float64]: ...
    @overload
    def __call__(
        self,
        image: NDArray[np.floating[Any]],  # float16 or float32: wider ones are refused
        template: ArrayLike,
        pad_input: bool = False,
        mode: PadMode = "constant",
        constant_values: Any = 0,
        *,
        dtype: None = None,
        **how: Unpack[_How],
    ) -> NDArray[np.float32]: ...
    @overload
    def __call__(
        self,
        image: ArrayLike,
        template: ArrayLike,
        pad_input: bool = False,
        mode: PadMode = "constant",
        constant_values: Any = 0,
        *,
        dtype: type[_D] | np.dtype[_D],
        **how: Unpack[_How],
    ) -> NDArray[_D]: ...
    @overload
    def __call__(
        self,
        image: ArrayLike,
        template: ArrayLike,
        pad_input: bool = False,
        mode: PadMode = "constant",
        constant_values: Any = 0,
        *,
        dtype: DTypeLike | None = None,
        **how: Unpack[_How],
    ) -> NDArray[Any]: ...

match_template: _MatchTemplate
