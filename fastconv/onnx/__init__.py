# SPDX-License-Identifier: BSD-3-Clause
"""fastconv in ONNX: the operators with windows, as classes for `onnx.reference.ReferenceEvaluator`, and whole models.

`OPERATORS` are `Conv`, `ConvTranspose`, `ConvInteger`, `QLinearConv`, `MaxPool`, `AveragePool`, `GlobalAveragePool`,
`GlobalMaxPool`, `Col2Im` and `BatchNormalization` in all their versions:
``ReferenceEvaluator(model, new_ops=fastconv.onnx.OPERATORS)`` runs a model with them, and everything else is onnx's.
`session` does so for a file, which it checks first, with layers that keep what they make of their weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

try:
    import onnx
except ImportError as error:
    raise ImportError('fastconv.onnx needs onnx: pip install "fastconv[onnx]"') from error

import numpy as np
from onnx import helper
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from fastconv.arguments.values import as_list, as_word
from fastconv.nn.functional import ACCURACIES
from fastconv.onnx.files import check_tensor, check_types, name_domains, read_external, read_model, tensors
from fastconv.onnx.graphs import rewrite
from fastconv.onnx.layers import (
    BatchNormalization,
    Conv,
    ConvInteger,
    ConvLayer,
    ConvTranspose,
    ConvTransposeLayer,
    QLinearConv,
)
from fastconv.onnx.operators import DOMAIN, Drop, Operator, what_of
from fastconv.onnx.pooling import AveragePool, Col2Im, GlobalAveragePool, GlobalMaxPool, MaxPool
from fastconv.typing import Accuracy

__all__ = ["OPERATORS", "Session", "session"]

OPERATORS: list[type[Operator]] = [
    Conv,
    ConvTranspose,
    ConvInteger,
    QLinearConv,
    MaxPool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    Col2Im,
    BatchNormalization,
]


class Session(ReferenceEvaluator):
    """A model that runs; made by `session`. `run(None, {name: array})` gives its outputs."""

    def _load_impl(self, node: Any, input_types: Any = None) -> Any:
        """The class of a node, whose name an error tells."""
        try:
            return super()._load_impl(node, input_types)
        except NotImplementedError as error:
            raise ValueError(
                f"{what_of(node)}: neither fastconv nor onnx.reference has the operator {node.op_type!r} of domain "
                f"{node.domain!r} ({error})"
            ) from error

    def run(self, output_names: Any, feed_inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The outputs of these names (None: all) for arrays by the names of inputs; see `ReferenceEvaluator.run`.

        Raises
        ------
        ValueError
            An unknown name, an input that is missing, or has another shape.
        TypeError
            An input of another dtype.
        """
        if isinstance(self.proto_, onnx.ModelProto):
            self._check(output_names, feed_inputs)
        return super().run(output_names, feed_inputs, *args, **kwargs)

    def _check(self, output_names: Any, feeds: dict[str, Any]) -> None:
        if not isinstance(feeds, Mapping):
            raise TypeError(f"feed_inputs must be a dict, of arrays by the names of inputs; got {type(feeds).__name__}")
        types = dict(zip(self.input_names, self.input_types, strict=True))
        asked = [] if output_names is None else as_list(output_names, "output_names", "names of outputs")
        for what, names, known in (("output_names", asked, self.output_names), ("feed_inputs", feeds, types)):
            for name in names:
                if not isinstance(name, str) or name not in known:
                    has = ", ".join(map(repr, known)) or "none"
                    raise ValueError(f"{what}: {name!r} is unknown; the model has {has}")
        missing = [name for name in types if name not in feeds and name not in self.rt_inits_]
        if missing:
            raise ValueError(f"inputs {', '.join(map(repr, missing))} are missing")
        for name, value in feeds.items():
            if types[name].HasField("tensor_type"):
                _check_input(name, value, types[name].tensor_type)


def _check_input(name: str, array: Any, declared: Any) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(declared.elem_type)
    if not isinstance(array, np.ndarray | np.generic):
        raise TypeError(f"input {name!r} must be an array of {dtype}; got {type(array).__name__}")
    if dtype.kind != "O" and array.dtype != dtype:
        raise TypeError(f"input {name!r} must have dtype {dtype}; got {array.dtype}")
    if declared.HasField("shape"):
        sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in declared.shape.dim]
        if len(sizes) != array.ndim or any(n not in (None, m) for n, m in zip(sizes, array.shape, strict=True)):
            shape = ", ".join("any" if n is None else str(n) for n in sizes)
            raise ValueError(f"input {name!r} must have shape ({shape}); got {array.shape}")


def session(model: str | os.PathLike[str] | bytes | Any, *, accuracy: Accuracy = "default") -> Session:
    """Make a model ready to run: with fastconv's operators, and onnx's for all others.

    The whole model is checked before anything runs. Layers whose weights are constants keep what they make of them, and
    take in the batch normalisation, the factors and numbers for each channel, the branch that is added, and the
    activation (`Relu`, `Clip`, `HardSwish`, and what else `nn.activate` has) that follow them, where nothing else reads
    what is in between.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        A file, with its external data in the same folder; what one holds; or a model, which is left as it is.
    accuracy : {"exact", "default", "fast"}
        As for `nn.conv2d`, of layers.

    Returns
    -------
    Session
        An `onnx.reference.ReferenceEvaluator`.

    Raises
    ------
    ValueError
        The file is damaged, or no model; a tensor has not the elements that its shape says, or lies outside of the
        model's folder; an operator, an attribute or a dtype is not what ONNX allows, or is known neither to fastconv
        nor to `onnx.reference`. The message names node and attribute.
    OSError, MemoryError
        The file cannot be read.

    Notes
    -----
    Layers may have 1 to 3 axes beside images and channels. Results are dropped when all have read them that do; with
    ``intermediate=True`` `run` gives those that are left.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import helper, numpy_helper, TensorProto
    >>> import fastconv.onnx
    >>> nodes = [
    ...     helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER"),
    ...     helper.make_node("Relu", ["y"], ["z"]),
    ... ]
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "n"])
    >>> z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 1, "n"])
    >>> w = numpy_helper.from_array(np.array([[[-1, 1]]], np.float32), "w")
    >>> model = helper.make_model(helper.make_graph(nodes, "edges", [x], [z], [w]))
    >>> fastconv.onnx.session(model).run(None, {"x": np.array([[[0, 2, 5, 1]]], np.float32)})
    [array([[[2., 3., 0., 0.]]], dtype=float32)]
    """
    word = as_word(accuracy, ACCURACIES, "accuracy")
    read, folder = read_model(model)
    what = "model" if folder is None else str(model)
    try:
        external = []
        for tensor in tensors(read):
            needed = check_tensor(tensor)
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                external.append((tensor, needed))
        for tensor, needed in external:
            read_external(tensor, needed, folder)
        name_domains(read)
        onnx.checker.check_model(read)
        if read.functions:
            read = inline_local_functions(read)
        check_types(read)
        kept = rewrite(read)
        mine = {"accuracy": word, "kept": kept}
        ours = [type(c.__name__, (c,), mine) for c in (ConvLayer, ConvTransposeLayer, Conv, ConvTranspose)]
        constant = {"op_domain": DOMAIN, "has_constants": True}
        ours += [type(c.__name__, (c,), constant) for c in (ConvInteger, QLinearConv)]
        made = Session(read, new_ops=[*ours, *OPERATORS, Drop])
    except (ValueError, onnx.checker.ValidationError) as error:
        raise ValueError(f"{what}: {error}") from error
    kept.clear()  # nodes have what they need
    return made
