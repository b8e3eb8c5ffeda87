# SPDX-License-Identifier: BSD-3-Clause
"""How x goes on beyond its ends: the one table of boundaries, and what each interface calls them.

`TABLE` has a row for each index rule: element i of the continued axis is an element of x, or the fill value. Whatever
continues an axis reads it. To add an index rule, add

1. its row here, behind the others, and its name to the interfaces that have it, the tables and the types of words;
2. its code to the enum in csrc/fastconv.h, which is in the order of the table;
3. its case in fc_source_index of csrc/common/strides.c;
4. its step in the checks of the drivers (`folded`, in C, of the tests), and the number that they draw from.

A value rule computes what lies beyond an end from several elements (numpy.pad's "linear_ramp", its odd reflections).
No engine knows one. It belongs where an axis is made ready for the engines, before any of them sees it: elements out to
`Axis.reach` are computed into a copy, in which the axis then begins further left and continues by "constant", as
`matching_arguments` does for numpy.pad's rules that look at a whole axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


class Boundary(NamedTuple):
    """One index rule."""

    name: str  # numpy.pad's
    source: Callable[[Indices, int], Indices]  # (i, n): where element i lies in an axis of n >= 1; -1: the fill value
    once: Callable[[int], int] | None = None  # as many beyond an end come from different elements; None: from one
    is_near: bool = True  # what is beyond an end is as near to it inside, rather than at the other end

    def period(self, n: int) -> int:
        """After how many elements the continued axis repeats itself; 0: it does not."""
        return max(self.once(n) * (2 if self.is_near else 1), 1) if self.once else 0


def _reflect(i: Indices, n: int) -> Indices:
    i = i % max(2 * (n - 1), 1)
    return np.minimum(i, 2 * (n - 1) - i)


def _symmetric(i: Indices, n: int) -> Indices:
    i = i % (2 * n)
    return np.minimum(i, 2 * n - 1 - i)


TABLE = (
    # f f | 1 2 3 | f f
    Boundary("constant", lambda i, n: np.where((i >= 0) & (i < n), i, -1)),
    # 1 1 | 1 2 3 | 3 3
    Boundary("edge", lambda i, n: np.clip(i, 0, n - 1)),
    # 3 2 | 1 2 3 | 2 1
    Boundary("reflect", _reflect, lambda n: n - 1),
    # 2 1 | 1 2 3 | 3 2
    Boundary("symmetric", _symmetric, lambda n: n),
    # 2 3 | 1 2 3 | 1 2
    Boundary("wrap", lambda i, n: i % n, lambda n: n, is_near=False),
)
BY_NAME = {rule.name: rule for rule in TABLE}
CODES = {rule.name: code for code, rule in enumerate(TABLE)}  # FC_CONSTANT, ... of csrc/fastconv.h
NAMES = tuple(BY_NAME)
Name: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]

# What interfaces call them, in the order in which their messages do; `fastconv.typing` shows the types of these words.
BOUNDARIES = dict(zip(NAMES, NAMES, strict=True)) | {"fill": "constant", "symm": "symmetric"}  # fastconv's own
OwnName: TypeAlias = Literal[Name, "fill", "symm"]
SIGNAL = {  # scipy.signal's
    "fill": "constant",
    "pad": "constant",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "symmetric",
    "symmetric": "symmetric",
}
SignalName: TypeAlias = Literal["fill", "pad", "wrap", "circular", "symm", "symmetric"]
NDIMAGE = {  # scipy.ndimage's
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "constant": "constant",
    "grid-constant": "constant",
}
NdimageName: TypeAlias = Literal[
    "reflect", "grid-mirror", "mirror", "nearest", "wrap", "grid-wrap", "constant", "grid-constant"
]
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # PyTorch's
PaddingName: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]


def source_index(i: Indices, n: int, boundary: str) -> Indices:
    """Where element i of the continued axis lies in an axis of n elements; -1: the fill value.

    The rules are numpy.pad's, repeated as often as needed.
    """
    return BY_NAME[boundary].source(i, n) if n else np.full(i.shape, -1)
