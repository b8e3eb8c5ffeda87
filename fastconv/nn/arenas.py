# SPDX-License-Identifier: BSD-3-Clause
"""One block of memory for what lies between the layers of a network: where each output lies in it, and for how long.

    block   | output of "0" | output of "1" |        a place belongs to others once nobody takes its output any more
            | output of "2"                 | ...

A block is taken for each call, and given back with its last array: calls of other threads have their own, and what a
layer or a caller holds on to is never written over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastconv.nn.merging import Cat, ConvAdd
from fastconv.nn.module import Module, is_known
from fastconv.runtime import _core

Array = NDArray[Any]
Steps = Mapping[str, tuple[Module, tuple[str, ...]]]
LINE = 64
LEAST = 2**12  # bytes of an output, below which it is made where NumPy puts it


class Output(NamedTuple):
    """What a layer has put out."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    takes: tuple[str, ...]  # those of its inputs that share memory with it
    is_dense: bool = False  # C-contiguous, as its place would be: what shares memory with it does so there, too

    @classmethod
    def of(cls, y: Any, inputs: Sequence[str] = (), arrays: Sequence[Array] = ()) -> Output:
        """What y is, made of these inputs."""
        if not isinstance(y, np.ndarray):  # of a layer that others have written
            return cls((), np.dtype(object), tuple(inputs))
        takes = (name for name, a in zip(inputs, arrays, strict=True) if np.may_share_memory(y, a))
        return cls(y.shape, y.dtype, tuple(takes), y.flags.c_contiguous)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Arena(NamedTuple):
    """Where outputs lie in a block of so many bytes."""

    nbytes: int
    places: Mapping[str, tuple[int, Output]]

    def rooms(self) -> dict[str, Array]:
        """Arrays for outputs, in a block of their own."""
        if not self.places:
            return {}
        assert _core is not None
        block = _core.block(self.nbytes)
        return {name: np.ndarray(o.shape, o.dtype, block, at) for name, (at, o) in self.places.items()}


def arena_of(steps: Steps, made: Mapping[str, Output]) -> Arena:
    """Places for the outputs of steps. made: what they were in a call for such an x, and x itself."""
    left = {i for o in made.values() for i in o.takes}  # whose memory is found in other outputs
    left |= {i for layer, inputs in steps.values() if not is_known(layer) for i in inputs}  # or may be kept
    left |= set(list(steps)[-1:])
    fills = (name for name, (layer, _) in steps.items() if _core and name not in left and _fills(layer))
    sizes = {name: made[name].nbytes for name in fills if made[name].is_dense and made[name].nbytes >= LEAST}
    within = _within(steps, made, sizes)
    lives = _lives(steps, sizes, within)
    at = _packed({name: (sizes[name], life) for name, life in lives.items()})
    for name in reversed(sizes):  # of those within each other, the outer ones come later
        if name in within:
            outer, before = within[name]
            at[name] = at[outer] + before
    nbytes = max((at[name] + sizes[name] for name in lives), default=0)
    return Arena(nbytes, {name: (at[name], made[name]) for name in sizes})


def _fills(layer: Module) -> bool:
    return layer.fills and is_known(layer) and (type(layer) is not ConvAdd or is_known(layer.conv))


def _within(steps: Steps, made: Mapping[str, Output], sizes: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Outputs that lie in that of the first `Cat` that takes them, which then copies nothing: in which, and where."""
    within: dict[str, tuple[str, int]] = {}
    for name, (layer, inputs) in steps.items():
        whole = made[name]
        if not isinstance(layer, Cat) or name not in sizes:
            continue
        if any(n > 1 for n in whole.shape[: layer.dim % len(whole.shape)]):
            continue
        before = 0
        for i in inputs:
            if i in sizes and i not in within and made[i].dtype == whole.dtype and before % LINE == 0:
                within[i] = name, before
            before += math.prod(made[i].shape) * whole.dtype.itemsize
    return within


def _lives(steps: Steps, names: Iterable[str], within: Mapping[str, tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """The first and the last step that an output is there in, or one that lies within it."""
    turn = {name: i for i, name in enumerate(steps)}
    last = {i: turn[name] for name, (_, inputs) in steps.items() for i in inputs}
    lives: dict[str, tuple[int, int]] = {}
    for name in names:
        outer = name
        while outer in within:
            outer = within[outer][0]
        first, end = lives.get(outer, (turn[name], last[name]))
        lives[outer] = min(first, turn[name]), max(end, last[name])
    return lives


def _packed(blocks: Mapping[str, tuple[int, tuple[int, int]]]) -> dict[str, int]:
    """Where blocks of these sizes and lives lie, the largest first: in the first gap between those alive meanwhile."""
    at: dict[str, int] = {}
    for name, (size, (first, last)) in sorted(blocks.items(), key=lambda block: (-block[1][0], block[1][1])):
        others = ((at[o], *blocks[o]) for o in at)
        taken = sorted((start, start + n) for start, n, (a, b) in others if a <= last and first <= b)
        place = 0
        for start, end in taken:
            if start - place >= size:
                break
            place = max(place, -(-end // LINE) * LINE)
        at[name] = place
    return at
