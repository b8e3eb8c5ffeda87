# SPDX-License-Identifier: BSD-3-Clause
"""Whole models of ONNX: what layers take in, real ones, and bad ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import public_calls
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_cases import MODELS, close, conv, graph, model, noise, one_node, path_of  # noqa: E402

import fastconv.onnx  # noqa: E402

DATA = Path(onnx.__file__).parent / "backend/test/data"

X = np.random.default_rng(0).standard_normal((2, 4, 6, 7))
W = np.random.default_rng(1).standard_normal((6, 2, 3, 3))
CHANNELS = {name: np.random.default_rng(i).random(6) + 0.5 for i, name in enumerate(("s", "b", "m", "v"))}
CONV = helper.make_node("Conv", ["x", "w"], ["1"], group=2)
RELU = helper.make_node("Relu", ["1"], ["2"])
BATCH = helper.make_node("BatchNormalization", ["1", "s", "b", "m", "v"], ["2"])


BATCH_OF_BRANCH = [
    helper.make_node("Conv", ["x", "w", "b"], ["a"], group=2),
    helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["c"]),
]


def kinds(session):
    return " ".join(node.op_type for node in session.rt_nodes_ if node.op_type != "Drop")


def shaped(*shape):
    return np.random.default_rng(9).standard_normal(shape)


FUSED = {  # nodes, constants beside the weights, what is left
    "Relu": ([CONV, RELU], {}, "ConvLayer"),
    "normalisation": ([CONV, BATCH], CHANNELS, "ConvLayer"),
    "all": (
        [
            helper.make_node("Conv", ["x", "w", "s"], ["1"], group=2, auto_pad="SAME_LOWER", strides=[2, 2]),
            BATCH,
            helper.make_node("Mul", ["f", "2"], ["3"]),
            helper.make_node("Add", ["3", "a"], ["4"]),
            helper.make_node("Clip", ["4", "low", "high"], ["5"]),
            helper.make_node("Relu", ["5"], ["6"]),
        ],
        {**CHANNELS, "f": shaped(6, 1, 1), "a": shaped(1, 6, 1, 1), "low": np.array(-0.5), "high": np.array(1.5)},
        "ConvLayer Relu",
    ),
    "number": ([CONV, helper.make_node("Mul", ["1", "f"], ["2"])], {"f": shaped(1)}, "ConvLayer"),
    "half a clip": ([CONV, helper.make_node("Clip", ["1", "", "high"], ["2"])], {"high": np.array(0.5)}, "ConvLayer"),
    "transposed": (
        [
            helper.make_node("ConvTranspose", ["x", "v"], ["1"], group=2, output_shape=[9, 10]),
            helper.make_node("BatchNormalization", ["1", "s", "b", "m", "b"], ["2"]),
            helper.make_node("Relu", ["2"], ["3"]),
        ],
        {**CHANNELS, "v": shaped(4, 3, 3, 3)},
        "ConvTransposeLayer",
    ),
    "two readers": (
        [CONV, RELU, helper.make_node("Add", ["1", "2"], ["3"])],
        {},
        "ConvLayer Relu Add",
    ),
    "columns": ([CONV, helper.make_node("Add", ["1", "a"], ["2"])], {"a": shaped(5)}, "ConvLayer Add"),
    "more axes": ([CONV, helper.make_node("Add", ["1", "a"], ["2"])], {"a": shaped(1, 1, 6, 1, 1)}, "ConvLayer Add"),
    "branch": (
        [CONV, helper.make_node("Add", ["o", "1"], ["2"]), helper.make_node("Relu", ["2"], ["3"])],
        {"o": None},
        "ConvLayer",
    ),
    "two layers": (
        [
            BATCH_OF_BRANCH[0],
            CONV,
            BATCH_OF_BRANCH[1],
            helper.make_node("Sum", ["1", "c"], ["2"]),
            helper.make_node("Clip", ["2", "low"], ["3"]),
        ],
        {**CHANNELS, "low": np.array(-0.5)},
        "ConvLayer ConvLayer",
    ),
    "three": ([CONV, helper.make_node("Sum", ["o", "1", "1"], ["2"])], {"o": None}, "ConvLayer Sum"),
    "twice": ([CONV, helper.make_node("Mul", ["1", "1"], ["2"])], {}, "ConvLayer Mul"),
    "not finite": ([CONV, helper.make_node("Mul", ["1", "f"], ["2"])], {"f": np.array(np.inf)}, "ConvLayer Mul"),
    "clip of nothing": (
        [CONV, helper.make_node("Clip", ["1", "low", "high"], ["2"])],
        {"low": np.array(1.0), "high": np.array(0.0)},
        "ConvLayer Clip",
    ),
}


@pytest.mark.parametrize("case", FUSED)
def test_layers_take_in_what_follows_them(case):
    nodes, constants, left = FUSED[case]
    last = nodes[-1].output[0]
    used = {name for node in nodes for name in node.input}
    given = {name: a for name, a in {"w": W, **constants}.items() if name in used and a is not None}
    feeds = {"x": X} | ({"o": shaped(2, 6, 4, 5)} if "o" in constants else {})
    made = model(nodes, feeds, {last: (np.float64, 5 if case == "more axes" else 4)}, given)
    before = made.SerializeToString()
    session = fastconv.onnx.session(made)
    assert kinds(session) == left and not session.rt_inits_.keys() & {"w", "m"}
    unfused = ReferenceEvaluator(made, new_ops=fastconv.onnx.OPERATORS)
    close(session.run(None, feeds)[0], unfused.run(None, feeds)[0])
    assert made.SerializeToString() == before


def step(op, *names, **how):
    *inputs, output = names
    return helper.make_node(op, inputs, [output], **how)


NUMBERS = {"three": np.array(3.0), "six": np.array([6.0]), "zero": np.array(0.0), "part": np.array(1 / 6)}
ADD, CUT = step("Add", "1", "three", "p"), step("Clip", "p", "zero", "six", "q")
CURVES = {  # nodes behind a layer, and which are left
    "Sigmoid": ([step("Sigmoid", "1", "2")], ""),
    "Tanh": ([step("Tanh", "1", "2")], ""),
    "LeakyRelu": ([step("LeakyRelu", "1", "2", alpha=0.2)], ""),
    "HardSwish": ([step("HardSwish", "1", "2")], ""),
    "HardSigmoid": ([step("HardSigmoid", "1", "2", alpha=1 / 6)], ""),
    "another HardSigmoid": ([step("HardSigmoid", "1", "2")], "HardSigmoid"),
    "Gelu": ([step("Gelu", "1", "2")], ""),
    "Gelu of tanh": ([step("Gelu", "1", "2", approximate="tanh")], ""),
    "silu": ([step("Sigmoid", "1", "p"), step("Mul", "p", "1", "2")], ""),
    "hardswish": ([step("HardSigmoid", "1", "p", alpha=1 / 6), step("Mul", "1", "p", "2")], ""),
    "in parts": ([ADD, CUT, step("Mul", "1", "q", "3"), step("Div", "3", "six", "2")], ""),
    "in other parts": (
        [step("Add", "three", "1", "p"), CUT, step("Mul", "q", "1", "3"), step("Mul", "part", "3", "2")],
        "",
    ),
    "upside down": ([ADD, CUT, step("Mul", "1", "q", "3"), step("Div", "six", "3", "2")], "Add Clip Mul Div"),
    "other bounds": (
        [ADD, step("Clip", "p", "zero", "three", "q"), step("Mul", "1", "q", "3"), step("Div", "3", "six", "2")],
        "Add Clip Mul Div",
    ),
    "of another": (
        [step("Sigmoid", "1", "p"), step("Mul", "p", "p", "q"), step("Mul", "1", "q", "2")],
        "Sigmoid Mul Mul",
    ),
    "times another": (
        [
            ADD,
            CUT,
            step("Mul", "o", "q", "3"),
            step("Div", "3", "six", "4"),
            step("Neg", "1", "n"),
            step("Add", "4", "n", "2"),
        ],
        "Add Clip Mul Div Neg Add",
    ),
    "read twice": (
        [step("Sigmoid", "1", "p"), step("Mul", "p", "1", "q"), step("Add", "q", "p", "2")],
        "Sigmoid Mul Add",
    ),
    "behind a branch": (
        [step("Add", "1", "o", "3"), step("Sigmoid", "3", "p"), step("Mul", "3", "p", "2")],
        "",
    ),
}


@pytest.mark.filterwarnings("ignore")  # onnx divides by zero
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CURVES)
def test_layers_take_in_activations(case, dtype):
    nodes, left = CURVES[case]
    used = {name for node in nodes for name in node.input}
    constants = {"w": W} | {name: a for name, a in NUMBERS.items() if name in used}
    feeds = {"x": X} | ({"o": shaped(2, 6, 4, 5)} if "o" in used else {})
    constants, feeds = ({name: a.astype(dtype) for name, a in arrays.items()} for arrays in (constants, feeds))
    made = model([CONV, *nodes], feeds, {"2": (dtype, 4)}, constants, version=20)
    session = fastconv.onnx.session(made)
    assert kinds(session) == f"ConvLayer {left}".strip()
    expected = ReferenceEvaluator(made).run(None, feeds)[0]
    close(session.run(None, feeds)[0], expected, 1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 6, 4, 5), (3, 1, 1, 1, 1), (2, 6, 4, 5)])
def test_branches_of_other_shapes(shape):
    """They may be repeated along axes, or let the layer's output be."""
    nodes = [CONV, helper.make_node("Add", ["1", "o"], ["2"]), helper.make_node("Clip", ["2", "", "high"], ["3"])]
    feeds = {"x": X, "o": shaped(*shape)}
    made = model(nodes, feeds, {"3": (np.float64, max(4, len(shape)))}, {"w": W, "high": np.array(0.25)})
    session = fastconv.onnx.session(made)
    assert kinds(session) == "ConvLayer"
    close(session.run(None, feeds)[0], ReferenceEvaluator(made).run(None, feeds)[0])


def test_results_are_dropped_when_all_have_read_them():
    inner = graph([helper.make_node("Neg", ["1"], ["n"])], {}, {"n": (np.float64, 4)})
    nodes = [
        CONV,
        helper.make_node("Abs", ["1"], ["2"]),
        helper.make_node("If", ["which"], ["3"], then_branch=inner, else_branch=inner),
        helper.make_node("Add", ["3", "2"], ["4"]),
        helper.make_node("Relu", ["4"], ["5"]),
    ]
    feeds = {"x": X, "which": np.array(True)}
    made = model(nodes, feeds, {"4": (np.float64, 4)}, {"w": W})
    session = fastconv.onnx.session(made)
    left = session.run(None, feeds, intermediate=True)
    assert left.keys() == {"", "x", "which", "4"}
    close(left["4"], ReferenceEvaluator(made).run(None, feeds)[0])
    order = [" ".join(node.names) if node.op_type == "Drop" else node.op_type for node in session.rt_nodes_]
    assert order == ["ConvLayer", "Abs", "If", "1", "Add", "2 3", "Relu", "5"]


def test_constants_of_nodes_and_outputs_in_between():
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(W)),
        helper.make_node("Identity", ["c"], ["w"]),
        CONV,
        RELU,
    ]
    made = model(nodes, {"x": X}, {"1": (np.float64, 4), "2": (np.float64, 4)})
    session = fastconv.onnx.session(made)
    assert kinds(session) == "ConvLayer Relu"
    for got, expected in zip(session.run(None, {"x": X}), ReferenceEvaluator(made).run(None, {"x": X}), strict=True):
        close(got, expected)


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_graphs_inside_graphs(where):
    """Weights may lie in another graph than a layer; branches may have weights of one name."""
    weights = {} if where == "outside" else {"w": W}
    doubled = {} if where == "outside" else {"w": 2 * W}
    inner = [graph([CONV, RELU], {}, {"2": (np.float64, 4)}, constants) for constants in (weights, doubled)]
    node = helper.make_node("If", ["which"], ["y"], then_branch=inner[0], else_branch=inner[1])
    arrays = {"x": X, "which": np.array(True)}
    made = model([node], arrays, {"y": (np.float64, 4)}, {"w": W} if where == "outside" else {})
    session = fastconv.onnx.session(made)
    for which in (True, False):
        feeds = {"x": X, "which": np.array(which)}
        close(session.run(None, feeds)[0], ReferenceEvaluator(made).run(None, feeds)[0])
    branch = session.rt_nodes_[0].then_branch
    assert kinds(branch) == "ConvLayer"


def test_a_name_that_means_something_else_inside():
    def value(name, dtype=TensorProto.DOUBLE, shape=(None,) * 4):
        return helper.make_tensor_value_info(name, dtype, shape)

    steps = [
        helper.make_node("Conv", ["state", "w"], ["next"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["w", "w"], ["twice"]),
        helper.make_node("Identity", ["go"], ["on"]),
    ]
    inputs = [value("i", TensorProto.INT64, ()), value("go", TensorProto.BOOL, ()), value("state"), value("w")]
    body = helper.make_graph(steps, "body", inputs, [value("on", TensorProto.BOOL, ()), value("next"), value("twice")])
    loop = helper.make_node("Loop", ["n", "yes", "x", "w"], ["y", "last"], body=body)
    constants = {"n": np.array(3), "yes": np.array(True), "w": np.eye(4)[..., None, None]}
    made = model([loop], {"x": X}, {"y": (np.float64, 4), "last": (np.float64, 4)}, constants)
    y, last = fastconv.onnx.session(made).run(None, {"x": X})
    close(y, 8 * X)
    close(last, 8 * constants["w"])


def test_functions_of_a_model():
    function = helper.make_function("mine", "Both", ["x", "w"], ["2"], [CONV, RELU], [helper.make_opsetid("", 17)])
    node = helper.make_node("Both", ["x", "w"], ["y"], domain="mine")
    opsets = [helper.make_opsetid("mine", 1)]
    made = model([node], {"x": X}, {"y": (np.float64, 4)}, {"w": W}, opsets=opsets, functions=[function])
    session = fastconv.onnx.session(made)
    assert kinds(session) == "ConvLayer"
    close(session.run(None, {"x": X})[0], ReferenceEvaluator(made).run(None, {"x": X})[0])


@pytest.mark.parametrize("ir_version", [3, 8])
def test_weights_that_are_inputs(ir_version):
    """Others may be given for them, but in models of the first versions."""
    made = model([CONV], {"x": X, "w": W}, {"1": (np.float64, 4)}, {"w": W}, ir_version=ir_version, version=9)
    session = fastconv.onnx.session(made)
    close(session.run(None, {"x": X})[0], conv(X, W, group=2))
    if ir_version == 3:
        assert session.input_names == ["x"]
    else:
        close(session.run(None, {"x": X, "w": 2 * W})[0], conv(X, 2 * W, group=2))


# ---- bad input -----------------------------------------------------------------------------------

F = np.ones((1, 2, 5, 5), np.float32)
K = np.ones((2, 2, 3, 3), np.float32)
BAD_NODES = {
    "auto_pad": ("Conv", {"x": F, "w": K}, {"auto_pad": "SAME"}, "auto_pad must be one of NOTSET, SAME_UPPER"),
    "strides": ("Conv", {"x": F, "w": K}, {"strides": [0, 1]}, r"strides must be at least 1 .* got \[0, 1\]"),
    "pads": ("Conv", {"x": F, "w": K}, {"pads": [0, 0, -1, 0]}, "pads must be at least 0"),
    "pairs": ("Conv", {"x": F, "w": K}, {"pads": [0, 0, 1]}, "pads must be pairs"),
    "axes": ("Conv", {"x": F, "w": K}, {"strides": [1, 1, 1], "dilations": [1, 1]}, "differ in the number of axes"),
    "kernel": ("Conv", {"x": F, "w": K}, {"kernel_shape": [3, 2]}, r"kernel_shape is \(3, 2\), but weights"),
    "group": ("Conv", {"x": F, "w": K}, {"group": 0}, "group must be at least 1; got 0"),
    "groups": ("Conv", {"x": F, "w": K}, {"group": 3}, "3"),
    "rank": ("Conv", {"x": np.ones((1, 1, *(1,) * 4)), "w": np.ones((1, 1, *(1,) * 4))}, {}, "3 to 5 axes"),
    "unknown": ("Conv", {"x": F, "w": K}, {"stride": [1, 1]}, "stride"),
    "type": ("Conv", {"x": F, "w": K}, {"strides": 1.5}, "strides"),
    "dtype": (
        "Conv",
        {"x": F.astype(np.int32), "w": K.astype(np.int32)},
        {},
        "'x' has dtype int32; accepted are .*float",
    ),
    "bytes": ("ConvInteger", {"x": F, "w": K.astype(np.int8)}, {}, "'x' has dtype float; accepted are"),
    "flag": ("MaxPool", {"x": F}, {"kernel_shape": [2, 2], "storage_order": 2}, "storage_order must be 0 or 1; got 2"),
    "missing": ("MaxPool", {"x": F}, {}, "kernel_shape"),
    "kernels without axes": (
        "Conv",
        {"x": F, "w": K[0, 0, 0, 0]},
        {},
        r"weights must have 3 to 5 axes; got shape \(\)",
    ),
    "few axes": ("ConvTranspose", {"x": F, "w": K[0, 0, 0]}, {}, r"weights must have 3 to 5 axes; got shape \(3,\)"),
    "parts": ("ConvTranspose", {"x": F, "w": K}, {"group": 3}, r"group .* divide the channels .*\(2, 2, 3, 3\); got 3"),
    "less than a part": ("ConvTranspose", {"x": F, "w": K}, {"group": -2}, "group must be at least 1 .* got -2"),
    "size": ("ConvTranspose", {"x": F, "w": K}, {"output_shape": [4, -1]}, "output_shape must be at least 0"),
}


@pytest.mark.parametrize("case", BAD_NODES)
def test_bad_nodes_are_refused_before_anything_runs(case):
    op, arrays, how, message = BAD_NODES[case]
    made, _ = one_node(op, arrays, constant=case != "dtype", **how)
    with pytest.raises(ValueError, match=message) as error:
        fastconv.onnx.session(made)
    assert "node" in str(error.value) or "Node" in str(error.value)


def test_dtypes_are_known_from_node_to_node():
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.INT32),
        helper.make_node("Neg", ["c"], ["n"]),
        helper.make_node("Conv", ["n", "w"], ["y"], "the node"),
    ]
    made = model(nodes, {"x": F}, {"y": (np.float32, 4)}, {"w": K})
    with pytest.raises(ValueError, match="Conv node 'the node': input 'n' has dtype int32"):
        fastconv.onnx.session(made)


def test_unknown_operators_are_refused():
    node = helper.make_node("Other", ["x"], ["y"], "the one", domain="somebody")
    made = model([node], {"x": F}, {"y": (np.float32, 4)}, opsets=[helper.make_opsetid("somebody", 1)])
    with pytest.raises(ValueError, match=r"Other node 'the one': neither .* 'Other' of domain 'somebody'"):
        fastconv.onnx.session(made)
    made = model([helper.make_node("Conw", ["x"], ["y"])], {"x": F}, {"y": (np.float32, 4)})
    with pytest.raises(ValueError, match="Conw"):
        fastconv.onnx.session(made)


def test_any_value():
    """It is right, or the error names the argument."""
    small = model([helper.make_node("Relu", ["x"], ["y"])], {"x": np.ones(3, "f4")}, {"y": (np.float32, 1)})
    run = fastconv.onnx.session(small).run
    for place in ("model", "accuracy"):
        values = {n: v for n, v in public_calls.MORE_VALUES.items() if n != "a string"}  # a name of no file
        public_calls.with_any(fastconv.onnx.session, {"model": small}, place, values)
    for place in ("output_names", "feed_inputs"):
        good = {"output_names": None, "feed_inputs": {"x": np.ones(3, "f4")}}
        public_calls.with_any(run, good, place, public_calls.MORE_VALUES)


def test_what_is_given_to_a_session():
    made, feeds = one_node("Conv", {"x": F, "w": K}, constant=True)
    session = fastconv.onnx.session(made)
    for wrong, error, message in (
        ({}, ValueError, "'x' are missing"),
        ({**feeds, "z": F}, ValueError, "'z' is unknown; the model has 'x'"),
        ({"x": F.astype(np.float64)}, TypeError, "'x' must have dtype float32; got float64"),
        ({"x": F.tolist()}, TypeError, "'x' must be an array of float32; got list"),
        ({"x": F[0]}, ValueError, r"'x' must have shape \(1, 2, 5, 5\); got \(2, 5, 5\)"),
    ):
        with pytest.raises(error, match=message):
            session.run(None, wrong)
    with pytest.raises(ValueError, match="'q' is unknown; the model has 'y'"):
        session.run(["q"], feeds)
    with pytest.raises(ValueError, match="accuracy"):
        fastconv.onnx.session(made, accuracy="exakt")
    with pytest.raises(TypeError, match=r"model must be a path, bytes or an onnx\.ModelProto; got int"):
        fastconv.onnx.session(3)


@pytest.mark.parametrize("weights", [K, K[:1]])
@pytest.mark.parametrize("size", [1, 5])
def test_statistics_of_other_channels_are_refused(size, weights):
    nodes, arrays = [helper.make_node("Conv", ["x", "w"], ["1"]), BATCH], dict.fromkeys("bmv", np.ones(len(weights)))
    arrays = {"w": weights, "s": np.ones(size if size > 1 or len(weights) > 1 else 2), **arrays}
    made = model(nodes, {"x": F}, {"2": (np.float32, 4)}, {n: a.astype(np.float32) for n, a in arrays.items()})
    with pytest.raises(ValueError, match="BatchNormalization node '2': scale must have shape"):
        fastconv.onnx.session(made).run(None, {"x": F})


def test_a_bias_of_other_channels_is_refused():
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["1"]), helper.make_node("Add", ["1", "s"], ["2"])]
    constants = {"w": K, "b": np.ones(1, np.float32), "s": np.ones((2, 1, 1), np.float32)}
    with pytest.raises(ValueError, match=r"Conv node '1': the bias must have shape \(2,\)"):
        fastconv.onnx.session(model(nodes, {"x": F}, {"2": (np.float32, 4)}, constants))


@pytest.mark.parametrize(("op", "how"), [("ConvLayer", {"number": 0}), ("Drop", {"names": ["x"]})])
def test_nodes_that_only_a_rewritten_model_has_are_refused(op, how):
    nodes = [CONV, RELU, helper.make_node(op, ["x"], ["3"], domain="fastconv", **how)]
    opsets = [helper.make_opsetid("fastconv", 1)]
    made = model(nodes, {"x": X}, {"2": (np.float64, 4)}, {"w": W}, opsets=opsets)
    with pytest.raises(ValueError, match="node '3': the domain 'fastconv' is fastconv's own"):
        fastconv.onnx.session(made)


def test_the_long_name_of_onnx_s_domain():
    made, wanted = model([CONV, RELU], {"x": X}, {"2": (np.float64, 4)}, {"w": W}), np.maximum(conv(X, W, group=2), 0)
    for part in (*made.opset_import, *made.graph.node):
        part.domain = "ai.onnx"
    session = fastconv.onnx.session(made)
    assert kinds(session) == "ConvLayer"
    close(session.run(None, {"x": X})[0], wanted)


def test_errors_of_a_run_name_the_node():
    made, feeds = one_node("Conv", {"x": F[..., :2], "w": K})
    with pytest.raises(ValueError, match=r"Conv node 'the node': .* larger than the padded input"):
        fastconv.onnx.session(made).run(None, feeds)


def saved(folder, made, name="model.onnx"):
    path = Path(folder, name)
    path.write_bytes(made.SerializeToString())
    return path


def test_damaged_files_are_refused(tmp_path, rng):
    made, feeds = one_node("Conv", {"x": F, "w": K}, constant=True)
    path = saved(tmp_path, made)
    whole = path.read_bytes()
    expected = conv(F, K)
    close(fastconv.onnx.session(path).run(None, feeds)[0], expected)
    close(fastconv.onnx.session(whole).run(None, feeds)[0], expected)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model\.onnx"):
            fastconv.onnx.session(path)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            session = fastconv.onnx.session(path)
        except ValueError:
            continue
        try:
            session.run(None, {name: F for name in session.input_names})
        except Exception as error:  # whatever it says now, it says so
            assert str(error)
    with pytest.raises(FileNotFoundError):
        fastconv.onnx.session(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="is no file"):
        fastconv.onnx.session(tmp_path)
    with pytest.raises(ValueError, match="is no file"):
        fastconv.onnx.session("/dev/zero")


def test_files_of_absurd_size_are_refused(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=f"{2**40} bytes"):
        fastconv.onnx.session(path)


@pytest.mark.parametrize("dims", [[2**40, 2**20], [-1], [2, 2, 3], [2**62, 2**62]])
def test_tensors_that_are_not_what_they_say(dims):
    made, _ = one_node("Conv", {"x": F, "w": K}, constant=True)
    del made.graph.initializer[0].dims[:]
    made.graph.initializer[0].dims.extend(dims)
    with pytest.raises(ValueError, match="tensor 'w' of shape"):
        fastconv.onnx.session(made)


def test_external_data(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.write_bytes(K.tobytes())
    (folder / "data").write_bytes(b"1234" + K.tobytes())
    (folder / "link").symlink_to(outside)
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe")

    def made(**entries):
        given, _ = one_node("Conv", {"x": F, "w": K}, constant=True)
        tensor = given.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        return given

    good = made(location="data", offset=4, length=K.nbytes)
    close(fastconv.onnx.session(saved(folder, good)).run(None, {"x": F})[0], conv(F, K))
    with pytest.raises(ValueError, match="must be given by its path"):
        fastconv.onnx.session(good)
    for entries, message in (
        ({"location": "../outside"}, "outside of the model's folder"),
        ({"location": str(outside)}, "outside of the model's folder"),
        ({"location": "link"}, "outside of the model's folder"),
        ({"location": "sub"}, "is no file"),
        ({"location": "pipe"}, "is no file"),
        ({"location": "none"}, "is no file"),
        ({}, "is no file"),
        ({"location": "data", "offset": 5}, f"{K.nbytes} bytes at 5: .* the file has {K.nbytes + 4}"),
        ({"location": "data", "offset": -1}, "bytes at -1"),
        ({"location": "data", "length": 2**50}, f"{2**50} bytes"),
        ({"location": "data", "offset": "x"}, "must be integers"),
    ):
        with pytest.raises(ValueError, match=message):
            fastconv.onnx.session(saved(folder, made(**entries)))


def test_external_data_of_graphs_in_functions(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "data").write_bytes(np.ones(4).tobytes())
    monkeypatch.chdir(tmp_path / "here")
    tensor = TensorProto(name="t", data_type=TensorProto.DOUBLE, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="data")
    outputs = [helper.make_tensor_value_info("t", TensorProto.DOUBLE, [4])]
    branch = helper.make_graph([helper.make_node("Constant", [], ["t"], value=tensor)], "branch", [], outputs)
    choice = helper.make_node("If", ["k"], ["y"], then_branch=branch, else_branch=branch)
    function = helper.make_function("mine", "Choice", ["k"], ["y"], [choice], [helper.make_opsetid("", 17)])
    node, opsets = helper.make_node("Choice", ["k"], ["y"], domain="mine"), [helper.make_opsetid("mine", 1)]
    made = model([node], {"k": np.array(True)}, {"y": (np.float64, 1)}, {}, opsets=opsets, functions=[function])
    with pytest.raises(ValueError, match="tensor 't' lies in 'data', which is no file in the model's folder"):
        fastconv.onnx.session(saved(tmp_path, made))


# ---- real models ---------------------------------------------------------------------------------


FILES = [(package, name) for package, names in MODELS.items() for name in names]


def convolutions(made):
    return sum(node.op_type == "Conv" for node in made.graph.node)


@pytest.mark.deep
@pytest.mark.parametrize(("package", "name"), FILES, ids=[name.split("/")[-1] for _, name in FILES])
def test_real_models(package, name):
    runtime = pytest.importorskip("onnxruntime")
    path = path_of(package, name)
    if path is None:
        pytest.skip(f"no {package}, which brings models")
    feeds = MODELS[package][name]
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    expected = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds)
    session = fastconv.onnx.session(path)
    for _ in range(2):
        for ours, theirs in zip(session.run(None, feeds), expected, strict=True):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_allclose(ours, theirs, 1e-3, 1e-4 * np.abs(theirs).max())
            assert np.abs(theirs).max() > 1e-2  # or there is little to compare
    layers = sum(node.op_type == "ConvLayer" for node in session.rt_nodes_)
    assert layers == convolutions(onnx.load(path))


@pytest.mark.deep
@pytest.mark.parametrize("name", ["densenet121", "inception_v2", "resnet50", "shufflenet"])
def test_networks_of_onnx(name):
    """Whole networks, whose weights are made by nodes; with one number for all, but many layers."""
    runtime = pytest.importorskip("onnxruntime")
    path = DATA / f"light/light_{name}.onnx"
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    theirs = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session = fastconv.onnx.session(path)
    (x,) = (value for value in theirs.get_inputs() if len(value.shape) == 4)
    feeds = {x.name: noise(*x.shape)}
    for ours, expected in zip(session.run(None, feeds), theirs.run(None, feeds), strict=True):
        np.testing.assert_allclose(ours, expected, 1e-4, 1e-6)
