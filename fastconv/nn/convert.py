# SPDX-License-Identifier: BSD-3-Clause
"""Networks of PyTorch's modules as networks of layers here: their weights are copied, their forward() is traced.

`torch.fx` runs forward() once with a stand-in for x, and writes down which modules and functions see it. Each of these
has its line in LAYERS or FUNCTIONS; what has none is refused, all of it at once, before a weight is copied.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.values import as_own_numbers
from fastconv.nn import activations, curves, linear, modules, networks, pools, transposed_layers
from fastconv.nn.functional import as_engine
from fastconv.nn.module import Module, asked_of
from fastconv.typing import Accuracy

__all__ = ["from_torch"]

RANKS = (1, 2, 3)
VIEWS = ("Identity", "Dropout", "Flatten", "dropout", "flatten")  # whose results may be what they take


def from_torch(module: Any, *, accuracy: Accuracy = "default", threads: int | None = None) -> Module:
    """A network that computes what a PyTorch module does, with copies of its weights.

    Parameters
    ----------
    module : torch.nn.Module
        A layer, a Sequential, or a module whose forward(x) is made of layers and of functions such as sums and
        concatenations, like those of ResNet and U-Net; nested as it may be. Of float16, float32 or float64; bfloat16
        becomes float32.
    accuracy, threads
        As for `conv2d`.

    Returns
    -------
    Module
        A layer; `Sequential`, where each layer takes what the one before it gives; or `Graph`. Called, it gives what
        the module does after `eval()`; its `forward` is for training, as the module after `train()`. The names of
        `state_dict` are the module's. `folded()` of a network makes it faster.

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
        graph = fx.symbolic_trace(module).graph
        unsafe = [f"{_path(node)} changes in place what is taken again later" for node in _unsafe(graph, module)]
        graph.eliminate_dead_code()
        nodes = [node for node in graph.nodes if node.users or node.op == "output"]
    except Exception as error:  # whatever forward() does with a stand-in
        raise TypeError(f"module: the forward() of {type(module).__name__} cannot be traced: {error}") from error
    if unknown := unsafe + [f"{_path(node)} {why}" for node in nodes if (why := _unknown(node, module, torch))]:
        known = f"Known are {', '.join(LAYERS)} of torch.nn, and the functions {', '.join(sorted(FUNCTIONS))}"
        raise TypeError(f"module {type(module).__name__} cannot be converted: {'; '.join(unknown)}. {known}")
    return _network(nodes, module, engine)


def _path(node: Any) -> str:
    return f"module.{node.target if node.op in ('call_module', 'get_attr') else node.name}"


def _is_known(part: Any, torch: Any) -> bool:
    """Whether a module is one of LAYERS, as PyTorch made it."""
    name = type(part).__name__
    return not _altered(part) and name in LAYERS and type(part) is getattr(torch.nn, name)


def _altered(part: Any) -> str:
    """What makes a module do something else than its class does."""
    if part._forward_hooks or part._forward_pre_hooks:
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
        known = (getattr(lib, name, None) for lib in (operator, torch, torch.nn.functional))
        if name not in FUNCTIONS or not any(node.target is f for f in known):
            return f"calls the function {name}"
    elif node.op == "get_attr":
        return "is taken as a tensor, by no layer"
    elif node.op == "placeholder" and node is not next(iter(node.graph.nodes)):
        return "is a second argument of forward()"
    elif node.op == "output" and not hasattr(node.args[0], "op"):
        return "is not one tensor"
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
    in_place = _name(node, module).endswith("_") or bool(node.kwargs.get("inplace"))
    return in_place and node.op in ("call_function", "call_method")


def _shares(node: Any, module: Any) -> bool:
    """Whether the result of a node may lie where what it takes does; of what is not known it is assumed."""
    name = _name(node, module)
    return _changes(node, module) or name in VIEWS or name not in (LAYERS if node.op == "call_module" else FUNCTIONS)


def _network(nodes: list[Any], module: Any, engine: dict[str, Any]) -> Module:
    """The layers of nodes that are all known."""
    names: dict[Any, str] = {}
    steps: dict[str, tuple[Any, ...]] = {}
    paths = {node.target for node in nodes if node.op == "call_module"}  # whose names are theirs
    for node in nodes:
        if node.op == "placeholder":
            names[node] = networks.INPUT
        elif node.op != "output":
            inputs, layer = _step(node, module, engine)
            name = str(node.target if node.op == "call_module" else node.name)
            while name in steps or name == networks.INPUT or (name in paths and name != node.target):
                name += "_"  # of a function, or a layer without weights that is called again
            names[node] = name
            steps[name] = layer, *(names[i] for i in inputs)
    before = [networks.INPUT, *steps]
    if all(takes == [last] for last, (_, *takes) in zip(before, steps.values(), strict=False)):
        return networks.Sequential({name: layer for name, (layer, _) in steps.items()})
    return networks.Graph(steps)


def _step(node: Any, module: Any, engine: dict[str, Any]) -> tuple[list[Any], Module]:
    """The nodes that a node takes, and its layer."""
    if node.op == "call_module":
        inputs = [*node.args, *node.kwargs.values()]
        layer = _layer(module.get_submodule(node.target), _path(node), engine)
    else:
        name = node.target if node.op == "call_method" else node.target.__name__
        try:
            inputs, layer = FUNCTIONS[name](*node.args, **node.kwargs)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{_path(node)} calls {name} with arguments that are not known: {error}") from error
    if wrong := [i for i in inputs if not hasattr(i, "op")]:
        raise ValueError(f"{_path(node)} takes {wrong[0]!r} where tensors are known that x becomes")
    return inputs, layer


def _layer(part: Any, path: str, engine: dict[str, Any]) -> Module:
    try:
        return LAYERS[type(part).__name__](part, engine)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}, {part}: {error}") from error


# ---- PyTorch's layers, by name -------------------------------------------------------------------

Of = Callable[[Any, dict[str, Any]], Module]


def _array(tensor: Any) -> NDArray[Any] | None:
    return None if tensor is None else as_own_numbers(tensor.detach().cpu(), "weight")


def _conv(m: Any, engine: dict[str, Any]) -> Module:
    how = m.stride, m.padding, m.dilation, m.groups, m.padding_mode
    layer: Module = getattr(modules, type(m).__name__).from_weights(_array(m.weight), _array(m.bias), *how, **engine)
    return layer


def _conv_transpose(m: Any, engine: dict[str, Any]) -> Module:
    how = m.stride, m.padding, m.output_padding, m.groups, m.dilation
    cls = getattr(transposed_layers, type(m).__name__)
    layer: Module = cls.from_weights(_array(m.weight), _array(m.bias), *how, **engine)
    return layer


def _linear(m: Any, engine: dict[str, Any]) -> Module:
    weight = _array(m.weight)
    assert weight is not None
    return linear.Linear.from_weights(weight, _array(m.bias))


def _batch_norm(m: Any, engine: dict[str, Any]) -> Module:
    if m.running_mean is None:
        raise ValueError("track_running_stats must be True; got False")
    state = {name: _array(tensor) for name, tensor in m.state_dict().items()}
    dtype = np.asarray(state["running_mean"]).dtype
    cls = getattr(linear, type(m).__name__)
    layer: Module = cls(m.num_features, m.eps, m.momentum, m.affine, dtype=dtype)
    layer.load_state_dict(state)  # type: ignore[arg-type]
    return layer


def _curve(m: Any, engine: dict[str, Any]) -> Module:
    how = {name: getattr(m, name) for name in ("negative_slope", "approximate") if hasattr(m, name)}
    layer: Module = getattr(curves, type(m).__name__)(**how)
    return layer


def _pool(*names: str) -> Of:
    """names: of the arguments, which are those of attributes."""

    def made(m: Any, engine: dict[str, Any]) -> Module:
        if getattr(m, "return_indices", False):
            raise ValueError("return_indices must be False; got True")
        how = {name: getattr(m, name) for name in names if hasattr(m, name)}
        layer: Module = getattr(pools, type(m).__name__)(**how)
        return layer

    return made


MAX = _pool("kernel_size", "stride", "padding", "dilation", "ceil_mode")
AVG = _pool("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
LAYERS: dict[str, Of] = {
    **{f"Conv{rank}d": _conv for rank in RANKS},
    **{f"ConvTranspose{rank}d": _conv_transpose for rank in RANKS},
    **{f"BatchNorm{rank}d": _batch_norm for rank in RANKS},
    **{f"MaxPool{rank}d": MAX for rank in RANKS},
    **{f"AvgPool{rank}d": AVG for rank in RANKS},
    **{f"Adaptive{kind}Pool{rank}d": _pool("output_size") for kind in ("Avg", "Max") for rank in RANKS},
    "Linear": _linear,
    "ReLU": lambda m, _: activations.ReLU(),
    "ReLU6": lambda m, _: activations.ReLU6(),
    "Hardtanh": lambda m, _: activations.Hardtanh(m.min_val, m.max_val),
    **{name: _curve for name in curves.__all__},
    "Softmax": lambda m, _: activations.Softmax(m.dim),
    "Flatten": lambda m, _: activations.Flatten(m.start_dim, m.end_dim),
    "Identity": lambda m, _: activations.Identity(),
    "Dropout": lambda m, _: activations.Dropout(m.p),
}

# ---- functions and methods, by name: with PyTorch's arguments, what they take and the layer that they are ------------

Called = tuple[list[Any], Module]


def _add(input: Any, other: Any, *, alpha: float = 1) -> Called:
    if alpha != 1:
        raise ValueError(f"alpha must be 1; got {alpha}")
    return [input, other], networks.Add()


def _softmax(input: Any, dim: int, _stacklevel: int = 3, dtype: Any = None) -> Called:
    if dtype is not None:
        raise ValueError(f"dtype must be None; got {dtype}")
    return [input], activations.Softmax(dim)


def _of_one(make: Callable[..., Module]) -> Callable[..., Called]:
    """A function of one tensor whose other arguments are those of a layer."""

    def made(input: Any, *how: Any, inplace: bool = False, return_indices: bool = False, **named: Any) -> Called:
        if return_indices:
            raise ValueError("return_indices must be False; got True")
        return [input], make(*how, **named)

    return made


def _max_pool(rank: int) -> Callable[..., Called]:
    """With all arguments in PyTorch's order."""
    order = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    made = _of_one(getattr(pools, f"MaxPool{rank}d"))
    return lambda input, *how, **named: made(input, **dict(zip(order, how, strict=False)), **named)


FUNCTIONS: dict[str, Callable[..., Called]] = {
    "add": _add,
    "cat": lambda tensors, dim=0: (list(tensors), networks.Cat(dim)),
    "dropout": lambda input, p=0.5, training=True, inplace=False: (
        [input],
        activations.Dropout(p) if training else activations.Identity(),
    ),
    "flatten": lambda input, start_dim=0, end_dim=-1: ([input], activations.Flatten(start_dim, end_dim)),
    "hardtanh": _of_one(activations.Hardtanh),
    "relu": _of_one(activations.ReLU),
    "relu6": _of_one(activations.ReLU6),
    "sigmoid": _of_one(curves.Sigmoid),
    "tanh": _of_one(curves.Tanh),
    "silu": _of_one(curves.SiLU),
    "gelu": _of_one(curves.GELU),
    "hardsigmoid": _of_one(curves.Hardsigmoid),
    "hardswish": _of_one(curves.Hardswish),
    "leaky_relu": _of_one(curves.LeakyReLU),
    "softmax": _softmax,
    **{f"max_pool{rank}d": _max_pool(rank) for rank in RANKS},
    **{f"avg_pool{rank}d": _of_one(getattr(pools, f"AvgPool{rank}d")) for rank in RANKS},
    **{
        f"adaptive_{kind.lower()}_pool{rank}d": _of_one(getattr(pools, f"Adaptive{kind}Pool{rank}d"))
        for kind in ("Avg", "Max")
        for rank in RANKS
    },
}
