# SPDX-License-Identifier: BSD-3-Clause
"""The operators of ONNX: each beside its definition in NumPy, and onnx's own tests."""

from __future__ import annotations

import importlib
import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import only_deep

onnx = pytest.importorskip("onnx")
ml_dtypes = pytest.importorskip("ml_dtypes")  # which onnx needs

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_cases import (  # noqa: E402
    DEFINITIONS,
    batch_normalization,
    close,
    conv_integer,
    drawn,
    expected_or_none,
    max_pool,
    model,
    one_node,
    windows,
)

import fastconv.onnx  # noqa: E402


@pytest.mark.parametrize("seed", [*range(4), *only_deep(*range(4, 60))])
@pytest.mark.parametrize("op", DEFINITIONS)
def test_operators_at_random(op, seed, rng):
    for _ in range(3):
        arrays, how = drawn(op, rng)
        if (expected := expected_or_none(op, arrays, how)) is None:
            continue
        version = 21 if op == "AveragePool" else 13
        plain, feeds = one_node(op, arrays, version=version, **how)
        close(ReferenceEvaluator(plain, new_ops=fastconv.onnx.OPERATORS).run(None, feeds)[0], expected)
        kept, first = one_node(op, arrays, version=version, constant=True, **how)
        session = fastconv.onnx.session(kept)
        close(session.run(None, first)[0], expected)
        close(session.run(None, first)[0], expected)  # what was made of the weights is kept


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "QLinearConv"])
def test_every_instruction_set(op, isa):
    rng = np.random.default_rng(3)
    arrays, how = drawn(op, rng)
    while (expected := expected_or_none(op, arrays, how)) is None:
        arrays, how = drawn(op, rng)
    kept, first = one_node(op, arrays, constant=True, **how)
    close(fastconv.onnx.session(kept).run(None, first)[0], expected)


def test_sums_of_bytes_beyond_those_of_float32(rng):
    x = rng.integers(200, 256, (1, 301, 3, 3)).astype(np.uint8)
    w = rng.integers(100, 128, (2, 301, 2, 2)).astype(np.int8)
    arrays = {"x": x, "w": w, "x_zero": np.uint8(0), "w_zero": np.int8(-9)}
    made, feeds = one_node("ConvInteger", {name: np.asarray(a) for name, a in arrays.items()})
    (got,) = fastconv.onnx.session(made).run(None, feeds)
    assert got.max() > 2**24 and (got % 2).any()
    np.testing.assert_array_equal(got, conv_integer(*feeds.values()))


@pytest.mark.parametrize("op", ["ConvInteger", "QLinearConv"])
def test_weights_that_are_inputs_and_change_in_place(op, rng):
    arrays = {"x": np.full((1, 1, 3, 3), 7, np.uint8), "w": np.ones((2, 1, 2, 2), np.int8)}
    zeros = {"x_zero": np.array(1, np.uint8), "w_zero": np.zeros(2, np.int8)}
    x, w = {"x": arrays["x"]}, {"w": arrays["w"]}
    if op == "QLinearConv":
        scales = {name: np.array(1, np.float32) for name in ("x_scale", "w_scale", "y_scale")}
        x, w = x | {"x_scale": scales["x_scale"]}, w | {"w_scale": scales["w_scale"]}
        last = {"y_scale": scales["y_scale"], "y_zero": np.array(3, np.uint8), "b": np.ones(2, np.int32)}
        arrays = x | {"x_zero": zeros["x_zero"]} | w | {"w_zero": zeros["w_zero"]} | last
    else:
        arrays = x | w | zeros
    made, feeds = one_node(op, arrays)
    session = fastconv.onnx.session(made)
    for name in feeds:
        before = session.run(None, feeds)[0]
        feeds[name] += 1
        close(session.run(None, feeds)[0], DEFINITIONS[op](*feeds.values()))
        assert (session.run(None, feeds)[0] != before).any(), name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "BatchNorm..."])
def test_dtypes(op, dtype, rng):
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, {"float64": "DOUBLE"}.get(dtype, dtype.upper())))
    arrays = {"x": rng.integers(-4, 5, (1, 2, 5, 6)).astype(np.float32)}
    how = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]} if op in ("MaxPool", "AveragePool") else {}
    if op.startswith("Conv"):
        arrays["w"] = rng.integers(-4, 5, (2, 2, 3, 3)).astype(np.float32)
    if op.startswith("Batch"):
        op = "BatchNormalization"
        arrays |= {name: np.array([1, 2], np.float32) for name in ("s", "b", "m", "v")}
    expected = DEFINITIONS[op](*arrays.values(), **how).astype(dtype)
    made, first = one_node(op, {n: a.astype(dtype) for n, a in arrays.items()}, version=22, constant=True, **how)
    (got,) = fastconv.onnx.session(made).run(None, first)
    close(got.astype(np.float64), expected.astype(np.float64), 2 * float(ml_dtypes.finfo(dtype).eps))
    assert got.dtype == dtype


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [2, 3, 3, 0]])
@pytest.mark.parametrize("order", [0, 1])
def test_where_the_largest_elements_are(order, pads, rng):
    x = rng.permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7).astype(np.float32)
    how = {"kernel_shape": [3, 2], "strides": [2, 3], "pads": pads}
    made, feeds = one_node("MaxPool", {"x": x}, ("y", "i"), storage_order=order, **how)
    y, where = fastconv.onnx.session(made).run(None, feeds)
    close(y, max_pool(x, **how))
    flat = x.reshape(-1) if order == 0 else x.swapaxes(2, 3).reshape(-1)
    inside = np.isfinite(y)
    assert where.dtype == np.int64 and inside.any()
    np.testing.assert_array_equal(flat[where][inside], y[inside])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "complex64"])
def test_col2im(dtype, rng):
    size, taps, how = (5, 6), (2, 3), {"dilations": [2, 1], "strides": [1, 2], "pads": [1, 0, 0, 1]}
    x = rng.integers(0, 9, (2, 3, *size)).astype(dtype)
    pads = [(1, 0), (0, 1)]
    seen = windows(x, taps, how, pads)
    columns = np.moveaxis(seen, [4, 5], [2, 3]).reshape(2, 3 * 6, -1).astype(dtype)
    counts = np.zeros(size)
    for at in np.argwhere(np.isfinite(windows(np.zeros((1, 1, *size)), taps, how, pads, fill=np.nan)[0, 0])):
        counts[at[0] + 2 * at[2] - 1, 2 * at[1] + at[3]] += 1
    arrays = {"x": columns, "size": np.array(size), "taps": np.array(taps)}
    node = helper.make_node("Col2Im", list(arrays), ["y"], **how)
    made = model([node], arrays, {"y": (dtype, 4)}, version=18)
    (got,) = fastconv.onnx.session(made).run(None, arrays)
    close(got, (x * counts).astype(dtype))


@pytest.mark.parametrize("version", [6, 9, 15])
def test_normalisation_that_trains(version, rng):
    x = rng.standard_normal((3, 2, 4)).astype(np.float32)
    arrays = {"x": x} | {name: rng.random(2).astype(np.float32) for name in ("s", "b", "m", "v")}
    outputs = ["y", "mean", "variance"] + ["saved", "saved too"] * (version < 14)
    how = {"training_mode": 1} if version > 13 else {}
    node = helper.make_node("BatchNormalization", list(arrays), outputs, momentum=0.75, **how)
    made = model([node], arrays, {n: (np.float32, 3 if n == "y" else 1) for n in outputs}, version=version)
    y, *got = fastconv.onnx.session(made).run(None, arrays)
    mean, variance = x.mean((0, 2)), x.var((0, 2))
    close(y, batch_normalization(x, arrays["s"], arrays["b"], mean, variance), 1e-4)
    close(got[0], arrays["m"] * 0.75 + mean * 0.25, 1e-5)
    close(got[1], arrays["v"] * 0.75 + variance * 0.25, 1e-5)


# ---- onnx's own tests ----------------------------------------------------------------------------

CASES = [
    *("averagepool", "batch_normalization", "causal_conv_with_state", "col2im", "conv", "convinteger", "convtranspose"),
    *("globalaveragepool", "globalmaxpool", "maxpool", "qlinearconv"),
]
DATA = Path(onnx.__file__).parent / "backend/test/data"


def compared(made, inputs, expected, rtol=1e-3, atol=1e-7):
    session = fastconv.onnx.session(made)
    got = session.run(None, dict(zip(session.input_names, inputs, strict=True)))
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol, atol)


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_nodes_of_onnx(name):
    from onnx.backend.test.case import node

    if importlib.util.find_spec(f"onnx.backend.test.case.node.{name}") is None:
        pytest.skip(f"this onnx has no tests of {name}")
    before = len(node._NodeTestCases)
    importlib.import_module(f"onnx.backend.test.case.node.{name}")
    cases = node._NodeTestCases[before:]
    assert cases
    for case in cases:
        for inputs, expected in case.data_sets:
            compared(case.model, inputs, expected, case.rtol, case.atol)


CONVERTED = sorted(DATA.glob("pytorch-*/*/model.onnx"))
OURS = {operator.__name__ for operator in fastconv.onnx.OPERATORS}


@pytest.mark.deep
def test_layers_of_pytorch_in_onnx():
    tried = Counter()
    for path in CONVERTED:
        made = onnx.load(path)
        if not OURS & {node.op_type for node in made.graph.node}:
            continue
        for folder in path.parent.glob("test_data_set_*"):
            inputs, outputs = (
                [
                    numpy_helper.to_array(TensorProto.FromString(file.read_bytes()))
                    for file in sorted(folder.glob(f"{kind}_*.pb"))
                ]
                for kind in ("input", "output")
            )
            compared(made, inputs, outputs, 1e-3, 1e-6)
            tried.update(node.op_type for node in made.graph.node)
    assert tried["Conv"] >= 20 and tried["MaxPool"] >= 5
