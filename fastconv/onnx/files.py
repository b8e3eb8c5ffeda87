# SPDX-License-Identifier: BSD-3-Clause
"""Models that are read from files and checked, before anything of them runs."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, helper

from fastconv.onnx.operators import DOMAIN, what_of

LARGEST = 2**31 - 1  # bytes of a file in the format of models
UNKNOWN = "tensor(undefined)"
PACKED = {"UINT4": 2, "INT4": 2, "FLOAT4E2M1": 2, "UINT2": 4, "INT2": 4}  # elements in a byte


def subgraphs(node: Any) -> Iterator[Any]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside it."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from graphs(inner)


def read_model(model: Any) -> tuple[Any, Path | None]:
    """A model of one's own, and the folder that it lies in."""
    read, folder = onnx.ModelProto(), None
    if isinstance(model, onnx.ModelProto):
        read.CopyFrom(model)
        return read, None
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        folder, status = path.parent, path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{os.fspath(model)} is no file")
        if status.st_size > LARGEST:
            raise ValueError(f"{os.fspath(model)} has {status.st_size} bytes; a model has less than 2**31")
        content = path.read_bytes()
    elif isinstance(model, bytes):
        content = model
    else:
        raise TypeError(f"model must be a path, bytes or an onnx.ModelProto; got {type(model).__name__}")
    try:
        read.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"{'model' if folder is None else os.fspath(model)} is no ONNX model, or damaged") from error
    return read, folder


def tensors(model: Any) -> Iterator[Any]:
    """Every tensor that a model brings."""
    nodes = [node for function in model.functions for node in function.node]
    inside = [graph for node in nodes for inner in subgraphs(node) for graph in graphs(inner)]
    for graph in (*graphs(model.graph), *inside):
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise ValueError(f"initializer {name!r} is sparse; dense ones are accepted")
        yield from graph.initializer
        nodes += graph.node
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def name_domains(model: Any) -> None:
    """Let ONNX's own domain have but one of its two names.

    Raises
    ------
    ValueError
        Naming a node of the domain that only a rewritten model has.
    """
    functions = list(model.functions)
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    for node in (node for function in functions for node in function.node):
        nodes += [node, *(n for inner in subgraphs(node) for graph in graphs(inner) for n in graph.node)]
    for part in (*nodes, *model.opset_import, *(entry for function in functions for entry in function.opset_import)):
        part.domain = "" if part.domain == "ai.onnx" else part.domain
    for node in nodes:
        if node.domain == DOMAIN and (node.domain, node.op_type) not in {(f.domain, f.name) for f in functions}:
            raise ValueError(f"{what_of(node)}: the domain {DOMAIN!r} is fastconv's own")


def check_tensor(tensor: Any) -> int:
    """See that a tensor holds as many elements as its shape says; how many bytes they take, if packed.

    Raises
    ------
    ValueError
        Naming the tensor.
    """
    what = f"tensor {tensor.name!r} of shape {list(tensor.dims)}"
    if tensor.data_type not in onnx.TensorProto.DataType.values() or tensor.data_type == 0:
        raise ValueError(f"{what} has an unknown dtype, number {tensor.data_type}")
    if min(tensor.dims, default=0) < 0:
        raise ValueError(f"{what} has a negative size")
    elements, dtype = math.prod(tensor.dims), onnx.TensorProto.DataType.Name(tensor.data_type)
    if dtype == "STRING":
        if len(tensor.string_data) != elements:
            raise ValueError(f"{what} has {len(tensor.string_data)} strings")
        return 0
    packed = PACKED.get(dtype, 1)
    size = -(-elements // packed)
    bytes_needed: int = size * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if external_data_helper.uses_external_data(tensor):
        return bytes_needed
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != bytes_needed:
            raise ValueError(f"{what} and dtype {dtype} takes {bytes_needed} bytes; it has {len(tensor.raw_data)}")
        return bytes_needed
    numbers = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))
    if numbers not in (size, elements) and (not dtype.startswith("COMPLEX") or numbers != 2 * elements):
        raise ValueError(f"{what} and dtype {dtype} has {numbers} numbers")
    return bytes_needed


def read_external(tensor: Any, needed: int, folder: Path | None) -> None:
    """Read a tensor that lies in another file, which must be in the model's folder.

    Raises
    ------
    ValueError
        Naming tensor and file.
    OSError
        The file cannot be read.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    what = f"tensor {tensor.name!r} lies in {entries.get('location', '')!r}"
    if folder is None:
        raise ValueError(f"{what}: a model with external data must be given by its path")
    root = folder.resolve()
    path = (root / entries.get("location", "")).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"{what}, outside of the model's folder {str(root)!r}")
    if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{what}, which is no file in the model's folder {str(root)!r}")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", needed))
    except ValueError:
        raise ValueError(f"{what}: offset and length must be integers; got {entries}") from None
    size = path.stat().st_size
    if length != needed or offset < 0 or offset + needed > size:
        raise ValueError(
            f"{what}, {length} bytes at {offset}: its shape and dtype take {needed}, and the file has {size}"
        )
    with path.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(needed)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def check_types(model: Any) -> None:
    """See that every node gets dtypes that ONNX allows it, as far as these are known without running it.

    Raises
    ------
    ValueError
        Naming node and input.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    types: dict[str, str] = {}  # of results, in the words of onnx
    for graph in graphs(model.graph):
        types |= {t.name: _word(t.data_type) for t in graph.initializer}
        types |= {v.name: _word(v.type.tensor_type.elem_type) for v in (*graph.value_info, *graph.input)}
    for graph in graphs(model.graph):
        for node in graph.node:
            if onnx.defs.has(node.op_type, node.domain):
                schema = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain)
                types |= _types_of_outputs(node, schema, types)


def _types_of_outputs(node: Any, schema: Any, types: dict[str, str]) -> dict[str, str]:
    """Of the results of a node, whose inputs are checked."""
    bound: dict[str, str] = {}  # types by what the operator calls them
    for formal, name in _with_formal(schema.inputs, node.input):
        dtype = types.get(name, UNKNOWN)
        if dtype != UNKNOWN and dtype not in formal.types:
            raise ValueError(
                f"{what_of(node)}: input {name!r} has dtype {dtype[7:-1]}; "
                f"accepted are {', '.join(sorted(formal.types))}"
            )
        if dtype != UNKNOWN:
            bound.setdefault(formal.type_str, dtype)
    asked = next((_word(a.i) for a in node.attribute if a.name in ("to", "dtype")), None)
    asked = next((_word(a.t.data_type) for a in node.attribute if a.HasField("t")), asked)
    found = {}
    for formal, name in _with_formal(schema.outputs, node.output):
        only = next(iter(formal.types)) if len(formal.types) == 1 else UNKNOWN
        found[name] = bound.get(formal.type_str) or asked or only
    return found


def _with_formal(formal: Any, names: Any) -> Iterator[tuple[Any, str]]:
    """Names with what an operator says of them; the last may stand for several."""
    for number, name in enumerate(names):
        if name:
            yield formal[min(number, len(formal) - 1)], name


def _word(data_type: int) -> str:
    return f"tensor({onnx.TensorProto.DataType.Name(data_type).lower()})"
