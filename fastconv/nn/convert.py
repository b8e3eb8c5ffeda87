# SPDX-License-Identifier: BSD-3-Clause
"""Networks of PyTorch's modules as networks of layers here: their weights are copied, their forward() is traced.

`torch.fx` runs forward() once with a stand-in for x, and writes down which modules and functions see it. Each of these
has its line in the tables of `converted.py`; what has none is refused, all of it at once, before a weight is copied.
"""

from __future__ import annotations

import builtins
import importlib
import operator
import sys
from typing import Any

from fastconv.nn import networks, sizes
from fastconv.nn.converted import FUNCTIONS, IN_PLACE, LAYERS, VIEWS, Called
from fastconv.nn.functional import as_engine
from fastconv.nn.module import Module, asked_of
from fastconv.typing import Accuracy

__all__ = ["from_torch"]


def from_torch(module: Any, *, accuracy: Accuracy = "default", threads: int | None = None) -> Module:
    """A network that computes what a PyTorch module does, with copies of its weights.

    Parameters
    ----------
    module : torch.nn.Module
        A layer, a Sequential, or a module whose forward(x) is made of layers and of functions such as sums, products
        and views, like those of ResNet, EfficientNet and U-Net; nested as it may be. Of float16, float32
        or float64; bfloat16 becomes float32.
    accuracy, threads
        As for `conv2d`.

    Returns
    -------
    Module
        A layer; `Sequential`, where each layer takes what the one before it gives; or `Graph`. Called, it gives what
        the module does after `eval()`; its `forward` is for training, as the module after `train()`. What forward()
        does in training alone is refused, but for dropout. The names of `state_dict` are the module's, but for weights
        that PyTorch makes of other parameters (weight and spectral norms, parametrisations): they are as they are now.
        `folded()` of a network makes it faster.

    Raises
    ------
    TypeError
        Modules or functions that are not known here, or a forward() that `torch.fx` cannot trace. The message has
        their paths in the module, and says what is known.
    ValueError
        Arguments of a module or function that are not known here. The message has its path.
    ImportError
        PyTorch is not there.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from fastconv import nn
    >>> convolution, norm = torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)
    >>> network = nn.from_torch(torch.nn.Sequential(convolution, norm, torch.nn.ReLU())).folded()
    >>> len(network), network(np.ones((1, 3, 5, 5), np.float32)).shape
    (1, (1, 8, 3, 3))
    """
    try:
        torch: Any = importlib.import_module("torch")
        fx: Any = importlib.import_module("torch.fx")
    except ImportError as error:
        raise ImportError('from_torch needs PyTorch: pip install "fastconv[torch]"') from error
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module; got {module!r}")
    engine = asked_of(as_engine("auto", accuracy, threads))
    if _is_known(module, torch):
        return _layer(module, "module", engine)
    if altered := _altered(module):
        raise TypeError(f"module {type(module).__name__} cannot be converted: it is one{altered}, which is not traced")
    try:
        graph = _traced(fx, module)
        unsafe = [f"{_path(node)} changes in place what is taken again later" for node in _unsafe(graph, module)]
        unsafe += [f"{_path(node)} is of training; module.eval() first" for node in _trained(graph, fx, module)]
        nodes = _live(graph)
    except Exception as error:  # whatever forward() does with a stand-in
        raise TypeError(f"module: the forward() of {type(module).__name__} cannot be traced: {error}") from error
    if unknown := unsafe + [f"{_path(node)} {why}" for node in nodes if (why := _unknown(node, module, torch))]:
        known = f"Known are {', '.join(LAYERS)} of torch.nn, and the functions {', '.join(sorted(FUNCTIONS))}"
        raise TypeError(f"module {type(module).__name__} cannot be converted: {'; '.join(unknown)}. {known}")
    return _network(nodes, module, engine)


def _tracer(fx: Any) -> Any:
    """One that sees ``y += x``, too, which torch.fx takes for ``y = y + x``."""

    def changes(function: Any) -> Any:
        return lambda self, other: self.tracer.create_proxy("call_function", function, (self, other), {})

    proxy = type("Proxy", (fx.Proxy,), {f"__{name}__": changes(getattr(operator, name)) for name in IN_PLACE})
    return type("Tracer", (fx.Tracer,), {"proxy": lambda self, node: proxy(node, self)})()


def _traced(fx: Any, module: Any) -> Any:
    return fx.GraphModule(module, _tracer(fx).trace(module)).graph


def _live(graph: Any) -> list[Any]:
    """The nodes that its result is made of."""
    graph.eliminate_dead_code()
    return [node for node in graph.nodes if node.users or node.op == "output"]


def _trained(graph: Any, fx: Any, module: Any) -> list[Any]:
    """The first node that forward() has in training alone, but for dropout, which a network leaves out when called."""
    modes = {part: part.training for part in module.modules()}
    if not any(modes.values()):
        return []
    try:
        for part in modes:
            part.training = False
        used = map(_written, _live(_traced(fx, module)))
    finally:
        for part, training in modes.items():
            part.training = training
    return [node for node in _live(graph) if _written(node) != next(used, None)][:1]


def _written(node: Any) -> tuple[Any, ...]:
    """What a node does to which others."""
    drops = "drop" in str(node.target) or "stochastic_depth" in str(node.target)
    return node.op, node.target, str(node.all_input_nodes if drops else (node.args, node.kwargs))


def _path(node: Any) -> str:
    return f"module.{node.target if node.op in ('call_module', 'get_attr') else node.name}"


def _is_known(part: Any, torch: Any) -> bool:
    """Whether a module is one of LAYERS, as PyTorch made it."""
    cls = _class(part, torch)
    return not _altered(part) and cls.__name__ in LAYERS and cls is getattr(torch.nn, cls.__name__, None)


def _class(part: Any, torch: Any) -> Any:
    """A module's class, if it is not one that parametrisations gave it."""
    own: Any = type(part)
    return own.__base__ if torch.nn.utils.parametrize.is_parametrized(part) else own


def _altered(part: Any) -> str:
    """What makes a module do something else than its class does."""
    if part._forward_hooks or not all(hasattr(hook, "compute_weight") for hook in part._forward_pre_hooks.values()):
        return " with hooks"
    return " with a forward() of its own" if "forward" in vars(part) else ""


def _unknown(node: Any, module: Any, torch: Any) -> str | None:
    """What is wrong with a node; None: it can be converted."""
    if node.op == "call_module":
        part = module.get_submodule(node.target)
        if not _is_known(part, torch):
            return f"is a {type(part).__module__}.{type(part).__name__}{_altered(part)}"
        earlier = [n for n in node.graph.nodes if n.target == node.target and n.op == "call_module"]
        if earlier[0] is not node and any(True for _ in part.parameters()):
            return "is called twice"
    elif node.op == "call_method" and node.target not in FUNCTIONS:
        return f"calls the method {node.target} of a tensor"
    elif node.op == "call_function":
        name = getattr(node.target, "__name__", repr(node.target))
        vision = sys.modules.get("torchvision.ops")
        known = (getattr(lib, name, None) for lib in (operator, torch, torch.nn.functional, builtins, vision))
        if name not in FUNCTIONS or not any(node.target is f for f in known):
            return f"calls the function {name}"
    elif node.op == "get_attr":
        return "is taken as a tensor, by no layer"
    elif node.op == "placeholder" and node is not next(iter(node.graph.nodes)):
        return "is a second argument of forward()"
    elif node.op == "output" and not hasattr(node.args[0], "op"):
        return "is not one tensor" + ("; after module.eval() it may be" if module.training else "")
    return None


def _unsafe(graph: Any, module: Any) -> list[Any]:
    """The nodes that change in place what others behind them take, be it by way of a view; dead ones, too."""
    nodes, found = list(graph.nodes), []
    memory: dict[Any, Any] = {}  # of each node, the one in whose memory its result lies
    for node in nodes:
        memory[node] = memory[node.all_input_nodes[0]] if node.all_input_nodes and _shares(node, module) else node
    for number, node in enumerate(nodes):
        if node.all_input_nodes and _changes(node, module):
            results = {node}  # that are changed because they are to be
            for other in nodes[number + 1 :]:
                taken = [i for i in other.all_input_nodes if memory[i] is memory[node]]
                if not results.issuperset(taken):
                    found.append(node)
                    break
                results |= {other} if taken else set()
    return found


def _name(node: Any, module: Any) -> str:
    """Of a module's class, a function or a method."""
    if node.op == "call_module":
        return type(module.get_submodule(node.target)).__name__
    return str(getattr(node.target, "__name__", node.target))


def _changes(node: Any, module: Any) -> bool:
    """Whether a node changes in place what it takes."""
    if node.op == "call_module":
        return bool(getattr(module.get_submodule(node.target), "inplace", False))
    name = _name(node, module)
    in_place = name.endswith("_") or name in IN_PLACE or bool(node.kwargs.get("inplace"))
    return in_place and node.op in ("call_function", "call_method")


def _shares(node: Any, module: Any) -> bool:
    """Whether the result of a node may lie where what it takes does; of what is not known it is assumed."""
    name = _name(node, module)
    return _changes(node, module) or name in VIEWS or name not in (LAYERS if node.op == "call_module" else FUNCTIONS)


def _network(nodes: list[Any], module: Any, engine: dict[str, Any]) -> Module:
    """The layers of nodes that are all known."""
    names: dict[Any, str] = {}
    steps: dict[str, tuple[Any, ...]] = {}
    values: dict[Any, Any] = {}  # of nodes that are no tensors: sizes, and tensors that are parts of one
    paths = {node.target for node in nodes if node.op == "call_module"}  # whose names are theirs
    for node in nodes:
        if node.op == "placeholder":
            names[node] = networks.INPUT
        elif node.op != "output":
            called = _called(node, values, module, engine)
            if not isinstance(called, Called):
                values[node] = called
                continue
            name = str(node.target if node.op == "call_module" else node.name)
            while name in steps or name == networks.INPUT or (name in paths and name != node.target):
                name += "_"  # of a function, or a layer without weights that is called again
            names[node] = name
            steps[name] = called.layer, *(names[i] for i in called.inputs)
            sizes.note(node, called.layer, called.inputs, called.sizes)
        elif node.args[0] in values:
            raise TypeError(f"{_path(node)} is not one tensor")
    if nodes and (unused := _unused(steps, names[nodes[-1].args[0]])):
        steps = {name: step for name, step in steps.items() if name not in unused}
    before = [networks.INPUT, *steps]
    if all(takes == [last] for last, (_, *takes) in zip(before, steps.values(), strict=False)):
        return networks.Sequential({name: layer for name, (layer, _) in steps.items()})
    return networks.Graph(steps)


def _unused(steps: dict[str, tuple[Any, ...]], result: str) -> set[str]:
    """The steps of which only sizes were taken."""
    used = {result}
    for name, (_, *inputs) in reversed(steps.items()):
        used |= set(inputs) if name in used else set()
    return steps.keys() - used


def _called(node: Any, values: dict[Any, Any], module: Any, engine: dict[str, Any]) -> Any:
    """The nodes that a node takes, and its layer; or its value, if it is no tensor."""
    from_values = importlib.import_module("torch.fx").node.map_arg
    args, kwargs = (from_values(given, lambda n: values.get(n, n)) for given in (node.args, node.kwargs))
    if node.op == "call_module":
        layer = _layer(module.get_submodule(node.target), _path(node), engine)
        called: Any = Called([*args, *kwargs.values()], layer)
    else:
        name = node.target if node.op == "call_method" else node.target.__name__
        try:
            called = FUNCTIONS[name](*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{_path(node)} calls {name} with arguments that are not known: {error}") from error
    if isinstance(called, Called) and (wrong := [i for i in called.inputs if not hasattr(i, "op")]):
        raise ValueError(f"{_path(node)} takes {wrong[0]!r} where tensors are known that x becomes")
    return called


def _layer(part: Any, path: str, engine: dict[str, Any]) -> Module:
    try:
        return LAYERS[_class(part, importlib.import_module("torch")).__name__](part, engine)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}, {part}: {error}") from error
