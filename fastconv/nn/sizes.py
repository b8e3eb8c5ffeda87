# SPDX-License-Identifier: BSD-3-Clause
"""Sizes that a forward() asks its tensors for, while nobody knows them: numbers times sizes of axes.

What views make of them is a layer that asks its own x instead: ``x.view(n, g, c // g)`` is a `View` of the first size,
g, and the second divided by g. So each node that is a tensor has a `Shape`, which says what is known of its sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from fastconv.nn import activations, linear, merging, pools, reshaping, resizing
from fastconv.nn.endings import Ending
from fastconv.nn.module import Activated, Module

MOST = 6  # axes that are looked at
ALIKE = (  # layers whose outputs have the shape of x
    *(Activated, activations.Affine, activations.Identity, activations.Softmax),
    *(linear.BatchNorm1d, linear.BatchNorm2d, linear.BatchNorm3d),
    reshaping.ChannelShuffle,
)


class Product(NamedTuple):
    """A size."""

    factor: Fraction
    axes: tuple[tuple[Any, int], ...] = ()  # nodes, and which of their axes

    def __repr__(self) -> str:
        factor = [str(self.factor)] if self.factor != 1 or not self.axes else []
        return " * ".join([*factor, *(f"{node}.shape[{axis}]" for node, axis in self.axes)])

    def times(self, other: Product) -> Product:
        """Both multiplied, where neither may have been rounded before."""
        factor = self.factor * other.factor
        if factor.denominator < self.factor.denominator * other.factor.denominator:
            raise ValueError(f"sizes that were divided are not multiplied again; got {self} and {other}")
        return Product(factor, self.axes + other.axes)

    def over(self, other: Product) -> Product:
        """This one divided, where that is known to be a size."""
        left = list(self.axes)
        for axis in other.axes:
            if axis not in left:
                raise ValueError("sizes are divided by others that they are not made of")
            left.remove(axis)
        return Product(self.factor / other.factor, tuple(left))


class Shape:
    """The sizes of a node. known: those that are made of others'; the rest are its own. rank: how many there are."""

    def __init__(self, node: Any, known: dict[int, Product] | None = None, rank: int | None = None) -> None:
        self.node, self.known, self.rank = node, known or {}, rank

    def at(self, axis: int) -> int:
        """An axis counted from the first, if that can be."""
        return axis + self.rank if axis < 0 and self.rank is not None else axis

    def __getitem__(self, axis: int) -> Product:
        axis = self.at(axis)
        return self.known.get(axis, Product(Fraction(1), ((self.node, axis),)))

    def some(self, axes: Sequence[int]) -> dict[int, Product]:
        """These, by axis."""
        return {axis: self[axis] for axis in axes}

    def asked(self, size: Product) -> Any:
        """A size as `View` has it, of a tensor of this shape; None: it cannot be said."""
        left, axes, factor = list(size.axes), [], size.factor
        own = {axis: p for axis, p in self.known.items() if p.axes}
        own |= {axis: self[axis] for node, axis in left if node is self.node and axis not in self.known}
        for axis, p in own.items():
            if all(left.count(a) >= p.axes.count(a) for a in p.axes):
                for a in p.axes:
                    left.remove(a)
                axes.append(axis)
                factor /= p.factor
        if left:
            return None
        if not axes:
            return int(factor) if factor.denominator == 1 else None
        return factor.numerator, factor.denominator, tuple(axes)


def shape_of(node: Any) -> Shape:
    """What is known of a node's."""
    shape: Shape = node.meta.setdefault("sizes", Shape(node))
    return shape


def as_product(size: Any) -> Product | None:
    """A size, or a number; None: something else."""
    if isinstance(size, int) and not isinstance(size, bool):
        return Product(Fraction(size))
    return size if isinstance(size, Product) else None


def view_of(input: Any, sizes: Sequence[Any]) -> reshaping.View:
    """The layer that gives a tensor these sizes, one of which may be -1."""
    shape, asked = shape_of(input), []
    for size in sizes:
        product = as_product(size)
        if product is None:
            raise ValueError(f"sizes must be numbers, or made of those of tensors; got {size!r}")
        asked.append(-1 if size == -1 else shape.asked(product))
    if None in asked and (asked.count(None) > 1 or -1 in asked):
        raise ValueError("sizes must be those of the tensor itself, or of one whose sizes it is known to have")
    return reshaping.View([-1 if size is None else size for size in asked])  # a single one is what is left


def _broadcast(sizes: Sequence[Product]) -> Product:
    """The size of an axis that these are broadcast to: the first that is not known to be 1, numbers before others."""
    wide = [size for size in sizes if size != Product(Fraction(1))] or [*sizes]
    return min(wide, key=lambda size: bool(size.axes))


def note(node: Any, layer: Module, inputs: Sequence[Any], sizes: Sequence[Any] = ()) -> None:
    """Remember what is known of the sizes of a layer's output. sizes: of a view."""
    x = shape_of(inputs[0])
    known: dict[int, Product] = {}
    rank = None
    if isinstance(layer, ALIKE):
        node.meta["sizes"] = x
        return
    if isinstance(layer, Ending):
        known = {0: x[0], 1: Product(Fraction(layer.out_channels))}
    elif isinstance(layer, (pools.Pool, resizing.Upsample)):
        known = x.some((0, 1))
    elif isinstance(layer, linear.Linear) or (isinstance(layer, reshaping.Flatten) and layer.start_dim > 0):
        known = x.some((0,))
    elif isinstance(layer, reshaping.View):
        known = {axis: p for axis, size in enumerate(sizes) if size != -1 and (p := as_product(size)) is not None}
        rank = len(sizes)
    elif isinstance(layer, reshaping.Swap) and min(map(x.at, layer.dims)) >= 0:
        one, other = map(x.at, layer.dims)
        rank, known = x.rank, x.some(range(x.rank or MOST)) | {one: x[other], other: x[one]}
    elif type(layer) is reshaping.Permute and min(layer.dims) >= 0:
        rank, known = len(layer.dims), {axis: x[of] for axis, of in enumerate(layer.dims)}
    elif isinstance(layer, (merging.Cat, reshaping.Chunk)) and layer.dim >= 0:
        known = x.some([axis for axis in range(MOST) if axis != layer.dim])
    elif isinstance(layer, (merging.Add, merging.Mul)):
        shapes = [shape_of(i) for i in inputs]
        rank = x.rank if all(s.rank == x.rank for s in shapes) else None
        known = {axis: _broadcast([s[axis] for s in shapes]) for axis in range(rank or MOST)}
    elif isinstance(layer, reshaping.Mean) and layer.dim and min(layer.dim) > 1:
        known = x.some((0, 1))
    node.meta["sizes"] = Shape(node, known, rank)
