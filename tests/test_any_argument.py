# SPDX-License-Identifier: BSD-3-Clause
"""Any value for any argument of public functions: a right result, or an error that names it.

Every public function, class and method is called with every value of public_calls.py in the place of every argument of
its signature, the others being good. A new function that CALLS does not know makes a test fail. Those of
`fastconv.torch` and `fastconv.onnx` are called so in their own tests.
"""

from __future__ import annotations

import inspect

import numpy as np
import public_calls
import pytest

import fastconv
from fastconv import dense, feature, kernels, learning, ndimage, nn, signal


def floats(*shape):
    return np.ones(shape, np.float32)


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 2, seed=0), nn.Flatten(), nn.Linear(8, 3, seed=0))


def forwarded(layer, *shape):
    layer.forward(floats(*shape))
    return layer


DIMS = {1: (6,), 2: (6, 5), 3: (4, 5, 3)}
TAPS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


def of_rank(rank):
    """The calls of one rank, each with good arguments."""
    n, k = DIMS[rank], TAPS[rank]
    x, w = floats(2, 4, *n), floats(6, 4, *k)
    outputs = tuple(a - b + 1 for a, b in zip(n, k, strict=True))
    dy = floats(2, 6, *outputs)
    layer, of_bytes = getattr(nn, f"Conv{rank}d"), getattr(nn, f"QConv{rank}d")
    bytes_of_x, bytes_of_w = x.astype(np.uint8), w.astype(np.int8)
    quantized = of_bytes(bytes_of_w)
    name = f"nn.conv{rank}d"
    made = layer.from_weights(w)
    return {
        name: (getattr(nn, f"conv{rank}d"), {"x": x, "w": w}),
        f"nn.qconv{rank}d": (getattr(nn, f"qconv{rank}d"), {"x": bytes_of_x, "w": bytes_of_w}),
        f"nn.QConv{rank}d": (of_bytes, {"weight": bytes_of_w}),
        f"nn.QConv{rank}d.__call__": (quantized, {"x": bytes_of_x}),
        f"nn.QConv{rank}d.forward": (quantized.forward, {"x": bytes_of_x}),
        f"{name}_input": (
            getattr(nn, f"conv{rank}d_input"),
            {"input_size": x.shape, "weight": w, "grad_output": dy},
        ),
        f"{name}_weight": (
            getattr(nn, f"conv{rank}d_weight"),
            {"input": x, "weight_size": w.shape, "grad_output": dy},
        ),
        f"{name}_bias": (getattr(nn, f"conv{rank}d_bias"), {"grad_output": dy}),
        f"{name}_backward": (getattr(nn, f"conv{rank}d_backward"), {"grad_output": dy, "input": x, "weight": w}),
        f"nn.max_pool{rank}d": (getattr(nn, f"max_pool{rank}d"), {"x": x, "kernel_size": 2}),
        f"nn.avg_pool{rank}d": (getattr(nn, f"avg_pool{rank}d"), {"x": x, "kernel_size": 2}),
        f"nn.adaptive_max_pool{rank}d": (getattr(nn, f"adaptive_max_pool{rank}d"), {"x": x, "output_size": 2}),
        f"nn.adaptive_avg_pool{rank}d": (getattr(nn, f"adaptive_avg_pool{rank}d"), {"x": x, "output_size": 2}),
        **{
            f"nn.{kind}_pool{rank}d_backward": (
                getattr(nn, f"{kind}_pool{rank}d_backward"),
                {
                    "grad_output": getattr(nn, f"{kind}_pool{rank}d")(x, 2),
                    **({"input_size": x.shape} if "avg" in kind else {"input": x}),
                    "output_size" if "adaptive" in kind else "kernel_size": 2,
                },
            )
            for kind in ("max", "avg", "adaptive_max", "adaptive_avg")
        },
        f"nn.conv_transpose{rank}d": (getattr(nn, f"conv_transpose{rank}d"), {"x": dy, "w": w}),
        f"nn.Conv{rank}d": (layer, {"in_channels": 4, "out_channels": 6, "kernel_size": 3}),
        f"nn.Conv{rank}d.from_weights": (layer.from_weights, {"weight": w}),
        f"nn.Conv{rank}d.__call__": (made, {"x": x}),
        f"nn.Conv{rank}d.forward": (made.forward, {"x": x}),
        f"nn.Conv{rank}d.explain": (made.explain, {"x_shape": x.shape}),
        f"nn.Conv{rank}d.backward": (
            lambda grad_output, needs_input=True: forwarded(made, *x.shape).backward(
                grad_output, needs_input=needs_input
            ),
            {"grad_output": dy},
        ),
    }


# Layers with good arguments, and the shape of an x that they take.
MADE = {
    "Cat": ({}, (4, 3)),
    "Dropout": ({"p": 0}, (4, 3)),
    **{f"Dropout{rank}d": ({"p": 0}, (2, 4, *DIMS[rank])) for rank in DIMS},
    "StochasticDepth": ({"p": 0, "mode": "row"}, (4, 3)),
    "ChannelShuffle": ({"groups": 2}, (2, 4, 3)),
    "PixelShuffle": ({"upscale_factor": 2}, (2, 4, 3, 3)),
    "Upsample": ({"scale_factor": 2}, (2, 4, 3)),
    "Flatten": ({}, (4, 3)),
    "Hardtanh": ({"min_val": -1, "max_val": 1}, (4, 3)),
    "Identity": ({}, (4, 3)),
    "Linear": ({"in_features": 8, "out_features": 3}, (4, 8)),
    "ReLU": ({}, (4, 3)),
    "ReLU6": ({}, (4, 3)),
    "GELU": ({"approximate": "tanh"}, (4, 3)),
    "Hardsigmoid": ({}, (4, 3)),
    "Hardswish": ({}, (4, 3)),
    "LeakyReLU": ({"negative_slope": 0.1}, (4, 3)),
    "SiLU": ({}, (4, 3)),
    "Sigmoid": ({}, (4, 3)),
    "Tanh": ({}, (4, 3)),
    "Softmax": ({"dim": 1}, (4, 3)),
    **{f"BatchNorm{rank}d": ({"num_features": 4}, (2, 4, *DIMS[rank])) for rank in DIMS},
    **{
        f"ConvTranspose{rank}d": ({"in_channels": 4, "out_channels": 6, "kernel_size": 2}, (2, 4, *DIMS[rank]))
        for rank in DIMS
    },
    **{f"{kind}Pool{rank}d": ({"kernel_size": 2}, (2, 4, *DIMS[rank])) for rank in DIMS for kind in ("Avg", "Max")},
    **{
        f"Adaptive{kind}Pool{rank}d": ({"output_size": 2}, (2, 4, *DIMS[rank]))
        for rank in DIMS
        for kind in ("Avg", "Max")
    },
}


def of_layer(name):
    """The calls of a layer."""
    cls, (how, shape) = getattr(nn, name), MADE[name]
    layer, x = cls(**how), floats(*shape)
    calls = {
        f"nn.{name}": (cls, how),
        f"nn.{name}.__call__": (layer, {"x": x}),
        f"nn.{name}.forward": (layer.forward, {"x": x}),
    }
    calls[f"nn.{name}.backward"] = (
        lambda grad_output, needs_input=True: forwarded(layer, *shape).backward(grad_output, needs_input=needs_input),
        {"grad_output": layer(x)},
    )
    if hasattr(cls, "from_weights"):
        calls[f"nn.{name}.from_weights"] = (cls.from_weights, {"weight": layer.weight})
    return calls


# Layers, and what none of them is asked here.
LAYERS = [name for name in nn.__all__ if isinstance(thing := getattr(nn, name), type) and issubclass(thing, nn.Module)]
UNASKED = ("count_parameters", "gradient", "load", "load_state_dict", "parameters", "refresh", "save", "state_dict")

LOSSES = {"x": floats(4, 1, 3, 3), "target": np.array([0, 1, 2, 0])}
CALLS = {
    **of_rank(1),
    **of_rank(2),
    **of_rank(3),
    "nn.explain": (nn.explain, {"x_shape": (2, 4, 6, 5), "w_shape": (6, 4, 3, 2)}),
    "nn.activate": (nn.activate, {"x": floats(1, 2, 6, 5), "activation": "silu"}),
    "nn.unfold": (nn.unfold, {"x": floats(1, 2, 6, 5), "kernel_size": 2}),
    "nn.fold": (nn.fold, {"x": floats(1, 8, 20), "output_size": (6, 5), "kernel_size": 2}),
    **{call: how for name in MADE if name != "Cat" for call, how in of_layer(name).items()},
    "nn.Cat": (nn.Cat, {}),
    "nn.Graph": (nn.Graph, {"steps": {"a": (nn.ReLU(), "x")}}),
    "nn.Sequential.__call__": (network(), {"x": floats(4, 1, 3, 3)}),
    "nn.Sequential.forward": (network().forward, {"x": floats(4, 1, 3, 3)}),
    "nn.Sequential.backward": (
        lambda grad_output, needs_input=True: forwarded(network(), 4, 1, 3, 3).backward(
            grad_output, needs_input=needs_input
        ),
        {"grad_output": floats(4, 3)},
    ),
    "nn.Parameter": (nn.Parameter, {"name": "p", "value": floats(2)}),
    "nn.SGD": (nn.SGD, {"parameters": [nn.Parameter("p", floats(2))], "lr": 0.1}),
    "nn.SGD.step": (lambda: None, {}),
    "nn.Gradients": (nn.Gradients, {"input": None, "weight": None, "bias": None}),
    "dense.count_parameters": (dense.count_parameters, {}),
    "dense.compare_kernel_sizes": (dense.compare_kernel_sizes, {}),
    "dense.dense_weight": (dense.dense_weight, {"k": [[1, 2]], "shape": (3, 4)}),
    "dense.dense_matrix": (dense.dense_matrix, {"k": [[1, 2]], "shape": (3, 4), "sparse": False}),
    "dense.as_kernel": (dense.as_kernel, {"W": floats(1, 1, 1, 1)}),
    "learning.cross_entropy": (
        learning.cross_entropy,
        {"scores": floats(4, 3), "labels": np.array([0, 1, 2, 0])},
    ),
    "learning.squared_error": (learning.squared_error, {"y": floats(4, 3), "target": floats(4, 3)}),
    "learning.train": (learning.train, {"network": network(), **LOSSES, "epochs": 1}),
    **public_calls.CALLS,
    "learning.accuracy": (
        learning.accuracy,
        {"network": network(), "x": floats(4, 1, 3, 3), "labels": np.array([0, 1, 2, 0])},
    ),
}

# What is not called here: records and exceptions, whose arguments nothing reads; what takes any number of arrays or
# layers, or is asked of each layer alike; files and modules of PyTorch, which have tests of their own.
NOT_CALLED = {
    "dense.Cost",
    *(f"fastconv.{name}" for name in ("CacheInfo", "CheckError", "Explanation")),
    # what takes no argument, names of modules or of instruction sets
    *(f"fastconv.{name}" for name in ("cache_info", "clear_cache", "checked", "fallbacks", "get_num_threads", "isas")),
    *(f"fastconv.{name}" for name in ("patch", "patched", "unpatch", "show_config", "use_isa")),
    "dense.Recovered",
    "nn.Explanation",
    "learning.NonFiniteLossError",
    "nn.Gradients",
    "nn.SGD.step",
    "nn.read_weights",
    "nn.from_torch",
    "nn.Add",
    "nn.Mul",
    "nn.Module",
    "nn.Sequential",
    *(f"nn.{name}.{m}" for name in LAYERS for m in UNASKED),
    *(
        f"nn.{name}.{m}"
        for name in ("Add", "Cat", "Graph", "Module", "Mul")
        for m in ("__call__", "forward", "backward", "gradient")
    ),
    *(f"nn.QConv{rank}d.{m}" for rank in DIMS for m in ("backward", "gradient")),  # they learn nothing
    *(f"nn.{name}.{m}" for name in ("Graph", "Sequential") for m in ("folded", "summary", "layers")),
}
# Good arguments of another kind: as many epochs never end, and what a loss raises comes through.
ACCEPTED = {
    ("fastconv.explain", "k"): {"a range"},
    ("fastconv.tiled", "progress"): {"a function", "a class"},
    ("fastconv.tiled", "record"): {"strings", "a string", "text"},
    ("learning.train", "epochs"): {"2**62"},
    ("learning.train", "loss"): {"a function", "a class"},
    ("ndimage.generic_laplace", "derivative2"): {"a function", "a class"},
    ("ndimage.generic_gradient_magnitude", "derivative"): {"a function", "a class"},
}


def public():
    """Functions, classes and the methods of classes."""
    for module in (nn, dense, learning, fastconv, feature, kernels, signal, ndimage):
        for name in module.__all__:
            thing = getattr(module, name)
            called = f"{module.__name__.removeprefix('fastconv.')}.{name}"
            if not callable(thing):
                continue
            yield called
            if inspect.isclass(thing) and not issubclass(thing, (tuple, Exception)):
                for method, _ in inspect.getmembers(thing, callable):
                    if method == "__call__" or not method.startswith("_"):
                        yield f"{called}.{method}"


def test_all_that_is_public_is_called():
    assert set(public()) - set(CALLS) - NOT_CALLED == set()


def arguments_of(function):
    return [
        name
        for name, p in inspect.signature(function).parameters.items()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]


PLACES = [
    (name, place) for name, (function, _) in CALLS.items() for place in arguments_of(function) if name not in NOT_CALLED
]


@pytest.fixture
def settings():
    """What calls change for all that follow is as it was."""
    threads, limit = fastconv.get_num_threads(), fastconv.cache_info().max_nbytes
    yield
    fastconv.set_num_threads(threads)
    fastconv.set_cache_limit(limit)


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_any_value(settings, name, place):
    function, good = CALLS[name]
    module = name.partition(".")[0]
    values = public_calls.MORE_VALUES if name in public_calls.CALLS else public_calls.VALUES
    values = {value: wrong for value, wrong in values.items() if value not in ACCEPTED.get((name, place), ())}
    errors = public_calls.ERRORS.get(module, (ValueError, TypeError))
    public_calls.with_any(function, good, place, values, errors, may_warn=module in ("signal", "ndimage"))


# ---- messages that once named another argument, or none ------------------------------------------

X = floats(1, 1, 6, 8)
FLOATS = "dtype must be float16, float32 or float64"


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: nn.Conv2d(1, 1, (1, 2))(X.astype(float)),
            TypeError,
            r"x .* float64 and weight float32.*asarray\(x",
        ),
        (lambda: nn.Conv2d(1, 1, 2)(X.astype(int)), TypeError, r"x has dtype int64.*asarray\(x, 'float32'\) converts"),
        (lambda: nn.conv2d_bias(X.astype(int)), TypeError, r"grad_output has dtype int64.*asarray\(grad_output"),
        (lambda: nn.conv2d(None, None), TypeError, "x has dtype object"),
        (lambda: nn.conv2d(X, None), TypeError, "w has dtype object"),
        (lambda: nn.Conv2d(1, 1, 3, padding=2**40), ValueError, "padding 1099511627776"),
        (lambda: nn.Conv2d(1, 1, 3, padding=2**62), ValueError, "padding 4611686018427387904"),
        (lambda: nn.conv2d(X, X, layout=1), ValueError, "layout must be one of NCHW, NHWC; got 1"),
        (lambda: nn.Conv2d(1, 1, 3, layout=1), ValueError, "layout must be one of NCHW, NHWC; got 1"),
        (lambda: nn.conv2d(X, X, padding_mode=["zeros"]), ValueError, r"padding_mode must be one of .*\['zeros'\]"),
        (lambda: nn.Conv2d([3], 1, 3), TypeError, r"in_channels must be an integer; got \[3\]"),
        (lambda: nn.Conv2d(1, 2, 3, bias=np.ones(2)), TypeError, "bias must be True or False"),
        (
            lambda: nn.Conv2d(1, 1, 3, dtype="bfloat16"),
            TypeError,
            rf"{FLOATS}.*bfloat16",
        ),
        (lambda: nn.conv2d(X, X, dtype="bfloat16"), TypeError, rf"{FLOATS}.*bfloat16"),
        (lambda: nn.Conv2d(1, 1, 3, dtype=int), TypeError, rf"{FLOATS}.*int64"),
        (
            lambda: nn.Conv2d.from_weights(X.astype(int)),
            TypeError,
            "weight has dtype int64.*asarray.weight",
        ),
        (lambda: nn.Conv2d.from_weights(3), ValueError, r"weight must have 4 dimensions; got shape \(\)"),
        (lambda: nn.Conv2d.from_weights(floats(1, 1, 0, 2)), ValueError, "weight must have one tap"),
        (lambda: nn.Linear(0, 3), ValueError, "in_features must be at least 1; got 0"),
        (lambda: nn.Linear(3, 3, dtype=int), TypeError, rf"{FLOATS}.*int64"),
        (lambda: nn.Sequential(*[nn.Linear(3, 3)] * 2), ValueError, "layers must not be there twice"),
    ],
)
def test_messages(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---- byte orders ---------------------------------------------------------------------------------


def assert_same(result, expected):
    """The same bits in this machine's byte order, inside whatever was returned."""
    if isinstance(expected, tuple):
        for a, b in zip(result, expected, strict=True):
            assert_same(a, b)
    elif isinstance(expected, np.ndarray):
        assert result.dtype == expected.dtype and result.dtype.isnative
        np.testing.assert_array_equal(result, expected)
    elif hasattr(expected, "parameters"):
        parameters = expected.parameters() if callable(expected.parameters) else expected.parameters
        others = result.parameters() if callable(result.parameters) else result.parameters
        assert_same(tuple(p.value for p in others), tuple(p.value for p in parameters))
    else:
        assert result == expected or isinstance(expected, (nn.Parameter, float))


CONVERTING = [  # qconv has bytes, scores no float16; kernels are arrays of the dtype that is asked for
    name
    for name, place in PLACES
    if place == "dtype" and "qconv" not in name.lower() and "kernels." not in name and "match" not in name
]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("name", CONVERTING)
def test_dtypes_of_foreign_byte_order(isa, name, dtype):
    """They were handed to compiled code, which read and wrote them as its own."""
    function, good = CALLS[name]
    seeded = good | ({"seed": 0} if "seed" in arguments_of(function) else {})
    for foreign in (np.dtype(dtype).newbyteorder(), f">{dtype}", f"<{dtype}"):
        assert_same(function(**seeded, dtype=foreign), function(**seeded, dtype=dtype))


@pytest.mark.parametrize("name", [n for n in CALLS if n not in NOT_CALLED])
def test_arrays_of_foreign_byte_order(isa, rng, name):
    function, good = CALLS[name]
    random = {
        place: rng.uniform(-1, 1, a.shape).astype(a.dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for place, a in good.items()
    }
    swapped = {p: a.astype(a.dtype.newbyteorder()) if isinstance(a, np.ndarray) else a for p, a in random.items()}
    if name == "fastconv.tiled":
        swapped["dst"] = np.empty_like(random["dst"])  # which is the result
    if name == "learning.train":
        random["network"], swapped["network"] = network(), network()
    if name != "nn.Parameter" and "seed" not in arguments_of(function):
        assert_same(function(**swapped), function(**random))
