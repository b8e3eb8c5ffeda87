# SPDX-License-Identifier: BSD-3-Clause
"""Models rewritten for `fastconv.onnx`: layers keep weights that are constants, and take in the nodes behind them.

A layer and what follows it are one layer, where nothing else reads what is in between: factors and numbers for each
channel (`BatchNormalization`, `Mul` and `Add` of a constant) change its weights and bias, in float64; the other branch
of an `Add` is added in its store; `Relu`, `Clip`, `Sigmoid` and others become its activation, also where it takes
several nodes, as x * Sigmoid(x). Constant nodes become initializers, and results are dropped behind the last node that
reads them. Only the graph is rewritten; the nodes are run by `onnx.reference.ReferenceEvaluator`.
"""

from __future__ import annotations

import math
from collections import ChainMap, Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from fastconv.onnx.files import subgraphs
from fastconv.onnx.layers import Kept, affine
from fastconv.onnx.operators import DOMAIN, RANKS, Naming, what_of

CURVES = {"Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hardswish"}
GATES = {"sigmoid": "silu", "hardsigmoid": "hardswish"}  # what x times an activation is
LAYERS = {"Conv": "ConvLayer", "ConvTranspose": "ConvTransposeLayer"}
OF_BYTES = "ConvInteger", "QLinearConv"


def rewrite(model: Any) -> list[Kept]:
    """Let layers whose weights are constants be nodes that keep them; what these are, by number."""
    kept: list[Kept] = []
    version = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    if model.ir_version < 4:  # then what has a value is no input that others may be given for
        given = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in given]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
    _Rewriter(model.graph, {}, kept, version).run()
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return kept


class _Rewriter:
    """Of one graph. outer: the constants of those that it is in."""

    def __init__(self, graph: Any, outer: Mapping[str, Any], kept: list[Kept], version: int) -> None:
        self.graph, self.kept, self.version = graph, kept, version
        self.taken: set[int] = set()  # nodes that layers have taken in
        inputs = {value.name for value in graph.input}
        own = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in inputs}
        local = inputs.union(*(node.output for node in graph.node))  # what these names are here
        self.constants: ChainMap[str, Any] = ChainMap(own, {n: t for n, t in outer.items() if n not in local})
        self.readers: dict[str, list[int]] = defaultdict(list)
        for number, node in enumerate(graph.node):
            for name in node.input:
                self.readers[name].append(number)
            value = _value(node)
            if value is not None:
                own[node.output[0]] = value
            elif node.op_type == "Identity" and node.domain == "" and node.input[0] in self.constants:
                own[node.output[0]] = self.constants[node.input[0]]
        self.uses = _uses(graph)

    def run(self) -> None:
        nodes: dict[int, Any] = dict(enumerate(self.graph.node))
        for number, node in enumerate(self.graph.node):
            for inner in subgraphs(node):
                _Rewriter(inner, self.constants, self.kept, self.version).run()
            if node.op_type in LAYERS and node.domain == "" and self.has_constants(node.input[1:]):
                with Naming(what_of(node)):
                    layer, last = self.layer(number, node)
                del nodes[number]
                nodes[last] = layer
            elif node.op_type in OF_BYTES and node.domain == "" and self.has_constants(node.input[1:]):
                node.domain = DOMAIN  # where they know it
        _set(self.graph.node, [nodes[n] for n in sorted(nodes) if n not in self.taken or nodes[n].domain == DOMAIN])
        self.place_constants()
        _set(self.graph.node, self.with_drops())

    def place_constants(self) -> None:
        """Let constants be initializers, but for those that nothing reads any more."""
        inputs = {value.name for value in self.graph.input}
        made = {name for name in self.constants.maps[0] for node in self.graph.node if name in node.output}
        nodes = [node for node in self.graph.node if not made.intersection(node.output)]
        _set(self.graph.node, nodes)
        uses, initializers = _uses(self.graph), list(self.graph.initializer)
        for name in made:
            initializers.append(type(self.constants[name])())
            initializers[-1].CopyFrom(self.constants[name])
            initializers[-1].name = name
        _set(self.graph.initializer, [t for t in initializers if uses[t.name] or t.name in inputs])

    def with_drops(self) -> Iterator[Any]:
        """The nodes, and behind the last that reads a result one that drops it."""
        last: dict[str, int] = {}
        kept = {value.name for value in self.graph.output}
        for number, node in enumerate(self.graph.node):
            read = set(node.input).union(*map(_uses, subgraphs(node)))
            last |= dict.fromkeys(last.keys() & read | set(node.output), number)
        dead = defaultdict(list)
        for name in last.keys() - kept - {""}:
            dead[last[name]].append(name)
        for number, node in enumerate(self.graph.node):
            yield node
            if number in dead:
                yield helper.make_node("Drop", [], [], domain=DOMAIN, names=sorted(dead[number]))

    def has_constants(self, names: Iterable[str]) -> bool:
        return all(name in self.constants for name in names if name)

    def array(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = numpy_helper.to_array(self.constants[name])
        return array

    def layer(self, number: int, node: Any) -> tuple[Any, int]:
        """A node that keeps the weights of one, and the place of the last that it takes in."""
        given, bias = self.array(node.input[1]), self.array(node.input[2]) if any(node.input[2:]) else None
        dtype = np.dtype(np.float32) if given.dtype.name == "bfloat16" else given.dtype
        groups = _attribute(node, "group", 1) if node.op_type == "ConvTranspose" else 0
        weights = _Weights(given, bias, groups)
        reads, output = [node.input[0]], node.output[0]
        while not (activation := self.activation(output)):
            behind = self.sole(output)
            if behind is None:
                break
            other = self.graph.node[behind]
            if len(reads) > 1 or not self.changes(weights, other, output, dtype):
                branch = self.branch(other, output)
                if groups or len(reads) > 1 or branch is None:
                    break
                reads.append(branch)
            number, output = behind, other.output[0]
            self.taken.add(behind)
        if activation:
            number, output = activation.nodes[-1], self.graph.node[activation.nodes[-1]].output[0]
            self.taken.update(activation.nodes)
        layer = helper.make_node(
            LAYERS[node.op_type], reads, [output], node.name or output, domain=DOMAIN, number=len(self.kept)
        )
        layer.attribute.extend(node.attribute)
        first = None if weights.bias is None else weights.bias.astype(dtype)
        self.kept.append(Kept(weights.weight.astype(dtype), first, activation and activation.word))
        return layer, number

    def sole(self, name: str) -> int | None:
        """The number of the node that alone reads a result, and is not taken in yet."""
        readers = self.readers[name]
        return readers[0] if len(readers) == self.uses[name] == 1 and readers[0] not in self.taken else None

    def changes(self, weights: _Weights, node: Any, name: str, dtype: np.dtype[Any]) -> bool:
        """Whether weights can do what a node does with a layer's output; then they do it."""
        change = self.change(node, name, weights)
        return change is not None and weights.take(*change, dtype)

    def branch(self, node: Any, name: str) -> str | None:
        """What a node adds to a layer's output, if that is what it does."""
        others = [other for other in node.input if other != name]
        if node.domain != "" or node.op_type not in ("Add", "Sum") or node.attribute or len(node.input) != 2:
            return None
        return others[0] if others and others[0] not in self.constants else None

    def change(self, node: Any, name: str, weights: _Weights) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """The factor of every channel of a layer's output, and what is added, if this is what a node does with it."""
        others = [other for other in node.input if other != name]
        if node.domain != "" or not self.has_constants(others):
            return None
        if node.op_type == "BatchNormalization" and node.input[0] == name and self.infers(node):
            scale, bias, mean, variance = arrays = [self.array(other) for other in others]
            if any(a.shape != (weights.channels,) for a in arrays):
                return None  # the node says so when it runs
            return affine(scale, bias, mean, variance, _attribute(node, "epsilon", 1e-5))
        if node.op_type not in ("Mul", "Add") or node.attribute or len(others) != 1:
            return None
        values, rank = self.array(others[0]).astype(np.float64), weights.weight.ndim
        if values.ndim > rank or values.size not in (1, weights.channels):
            return None
        if values.size > 1 and (values.ndim < rank - 1 or values.shape[values.ndim - rank + 1] != values.size):
            return None  # not along the axis of channels
        values = np.broadcast_to(values.reshape(-1), weights.channels)
        plain = np.ones(weights.channels)
        return (values, 0 * plain) if node.op_type == "Mul" else (plain, values)

    def infers(self, node: Any) -> bool:
        """Whether a BatchNormalization takes means and variances as they are given, of each channel."""
        if _attribute(node, "training_mode", 0) or not _attribute(node, "spatial", 1):
            return False
        return sum(map(bool, node.output)) == 1 and (self.version >= 7 or bool(_attribute(node, "is_test", 0)))

    def bounds(self, node: Any, name: str) -> tuple[float, float] | None:
        """Between what numbers a node brings a layer's output, if that is what it does."""
        if node.domain != "" or node.op_type not in ("Relu", "Clip") or not self.has_constants(node.input[1:]):
            return None
        if node.op_type == "Relu":
            return 0.0, math.inf
        low, high = _attribute(node, "min", -math.inf), _attribute(node, "max", math.inf)
        given = [float(self.array(other).reshape(())) if other else None for other in node.input[1:]]
        low, high = (bound if other is None else other for bound, other in zip((low, high), (*given, None, None)))
        return (low, high) if low <= high else None

    def activation(self, name: str) -> _Activation | None:
        """What nodes do with every element of a result, if that is an activation of `nn`."""
        readers = self.readers[name]
        if len(readers) == 1 and self.sole(name) is not None:
            word = self.curve(self.graph.node[readers[0]], name)
            return word and _Activation(word, readers)
        if len(readers) == self.uses[name] == 2:  # a result that is multiplied by what is made of it
            for first in readers:
                word = GATES.get(self.curve(self.graph.node[first], name))
                product = self.following(first)
                if word and product in readers and self.graph.node[product].op_type == "Mul":
                    return _Activation(word, [first, product])
                parts = self.hardswish(name, first)
                if parts:
                    return _Activation("hardswish", parts)
        return None

    def curve(self, node: Any, name: str) -> Any:
        """What a node does with each element by itself, in the words of `nn`."""
        if node.domain != "" or not node.input or node.input[0] != name:
            return None
        if node.op_type == "LeakyRelu":
            return "leaky_relu", float(_attribute(node, "alpha", 0.01))
        if node.op_type == "HardSigmoid":
            slope, middle = _attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5)
            return "hardsigmoid" if abs(slope - 1 / 6) < 1e-6 and middle == 0.5 else None
        if node.op_type == "Gelu":
            return {b"none": "gelu", b"tanh": "gelu_tanh"}.get(_attribute(node, "approximate", b"none"))
        return CURVES.get(node.op_type) or self.bounds(node, name)

    def hardswish(self, name: str, first: int) -> list[int] | None:
        """The nodes of x * clip(x + 3, 0, 6) / 6, as models have it that are older than the operator."""
        clip = self.following(first)
        product = self.following(clip)
        share = self.following(product)
        if clip is None or product is None or share is None or not self.is_with(first, "Add", name, 3):
            return None
        more, cut, times = (self.graph.node[number] for number in (first, clip, product))
        if self.bounds(cut, more.output[0]) != (0, 6):
            return None
        if times.op_type != "Mul" or set(times.input) != {name, cut.output[0]}:
            return None
        whole = times.output[0]
        if not (self.is_with(share, "Div", whole, 6) or self.is_with(share, "Mul", whole, 1 / 6)):
            return None
        return [first, clip, product, share]

    def following(self, number: int | None) -> int | None:
        """The number of the node that alone reads what a node gives."""
        return None if number is None else self.sole(self.graph.node[number].output[0])

    def is_with(self, number: int, op_type: str, name: str, value: float) -> bool:
        """Whether a node does this with a result and a number, in this order if it matters."""
        node = self.graph.node[number]
        others = [other for other in node.input if other != name]
        if (node.op_type, node.domain) != (op_type, "") or len(node.input) != 2 or len(others) != 1 or node.attribute:
            return False
        if not self.has_constants(others) or (op_type == "Div" and node.input[0] != name):
            return False
        array = self.array(others[0])
        return array.size == 1 and array.ndim <= 1 and abs(float(array.reshape(())) - value) < 1e-6


class _Activation(NamedTuple):
    word: Any  # of nn.conv2d
    nodes: list[int]  # that do it, the last of which gives the result


class _Weights:
    """Of a layer, in float64. groups: of a transposed layer, whose weights have the channels second; 0: of another."""

    def __init__(self, weight: NDArray[Any], bias: NDArray[Any] | None, groups: int) -> None:
        self.weight, self.groups = weight, groups
        self.bias = None if bias is None else bias.astype(np.float64)
        if weight.ndim - 2 not in RANKS:
            raise ValueError(f"weights must have 3 to 5 axes; got shape {weight.shape}")
        if groups < 0 or (groups and weight.shape[0] % groups):
            raise ValueError(
                f"group must be at least 1 and divide the channels of the weights {weight.shape}; got {groups}"
            )
        self.channels = weight.shape[1] * groups if groups else weight.shape[0]
        if bias is not None and bias.shape != (self.channels,):
            raise ValueError(
                f"the bias must have shape ({self.channels},), one for each kernel; got shape {bias.shape}"
            )

    def take(self, factor: NDArray[Any], shift: NDArray[Any], dtype: np.dtype[Any]) -> bool:
        """Let the output be multiplied and added to; not, and False, where that does not fit into the dtype."""
        w = self.weight.astype(np.float64)
        with np.errstate(all="ignore"):
            if self.groups:
                grouped = w.reshape(self.groups, -1, *w.shape[1:])
                w = (grouped * factor.reshape(self.groups, 1, -1, *(1,) * (w.ndim - 2))).reshape(w.shape)
            else:
                w = w * factor.reshape(-1, *(1,) * (w.ndim - 1))
            bias = shift if self.bias is None else self.bias * factor + shift
            if not all(np.isfinite(a.astype(dtype)).all() for a in (w, bias)):
                return False
        self.weight, self.bias = w, bias
        return True


def _attribute(node: Any, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _value(node: Any) -> Any:
    """The tensor that a node is; None if it is none."""
    if node.op_type != "Constant" or node.domain != "":
        return None
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return value
        if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
            dtype = np.float32 if "float" in attribute.name else np.int64
            return numpy_helper.from_array(np.asarray(value, dtype), node.output[0])
    return None


def _set(repeated: Any, values: Iterable[Any]) -> None:
    values = list(values)
    del repeated[:]
    repeated.extend(values)


def _uses(graph: Any) -> Counter[str]:
    """How often a name is read, in a graph, inside it, and by what it returns."""
    uses = Counter(value.name for value in graph.output)
    for node in graph.node:
        uses.update(node.input)
        for inner in subgraphs(node):
            uses.update(_uses(inner))
    return uses
