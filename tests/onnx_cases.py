# SPDX-License-Identifier: BSD-3-Clause
"""Models of ONNX, and what their operators are by definition, in NumPy."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

UNKNOWN = {"ConvInteger": np.int32}  # dtypes of outputs that are not the input's


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def graph(nodes, inputs, outputs, constants=()):
    """inputs, constants: arrays by name. outputs: dtypes and numbers of dimensions by name."""
    return helper.make_graph(
        nodes,
        "graph",
        [value(name, a.dtype, a.shape) for name, a in inputs.items()],
        [value(name, dtype, [None] * rank) for name, (dtype, rank) in outputs.items()],
        [numpy_helper.from_array(a, name) for name, a in dict(constants).items()],
    )


def model(nodes, inputs, outputs, constants=(), version=17, **how):
    opsets = [helper.make_opsetid("", version), *how.pop("opsets", ())]
    how = {"ir_version": 8} | how
    return helper.make_model(graph(nodes, inputs, outputs, constants), opset_imports=opsets, **how)


def one_node(op, arrays, outputs=("y",), version=17, constant=False, **attributes):
    """A model of a node; constant: of its inputs only the first is given when it runs."""
    node = helper.make_node(op, list(arrays), outputs, "the node", **attributes)
    x = next(iter(arrays.values()))
    dtype = arrays["y_zero"].dtype if "y_zero" in arrays else UNKNOWN.get(op, x.dtype)
    made = {name: (dtype if i == 0 else np.int64, x.ndim) for i, name in enumerate(outputs)}
    first = dict(list(arrays.items())[:1]) if constant else arrays
    rest = {name: a for name, a in arrays.items() if name not in first}
    return model([node], first, made, rest, version), first


# ---- definitions ---------------------------------------------------------------------------------


def pads_of(how, sizes, taps):
    """Before and behind each axis, as ONNX defines them."""
    rank = len(sizes)
    kind, strides, dilations = how.get("auto_pad", "NOTSET"), *steps_of(how, rank)
    if kind == "NOTSET":
        pads = how.get("pads", [0] * 2 * rank)
        return [(pads[i], pads[i + rank]) for i in range(rank)]
    pairs = []
    for n, k, s, d in zip(sizes, taps, strides, dilations, strict=True):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0) if kind != "VALID" else 0
        pairs.append((total // 2, total - total // 2) if kind == "SAME_UPPER" else (total - total // 2, total // 2))
    return pairs


def steps_of(how, rank):
    return how.get("strides", [1] * rank), how.get("dilations", [1] * rank)


def windows(x, taps, how, pads, ceil=False, fill=0):
    """(N, C, outputs..., taps...)"""
    rank = x.ndim - 2
    strides, dilations = steps_of(how, rank)
    for axis in reversed(range(rank)):
        n, k, s, d, (before, behind) = x.shape[2 + axis], taps[axis], strides[axis], dilations[axis], pads[axis]
        room = (n + before + behind - (k - 1) * d - 1) / s + 1
        out = math.ceil(room) if ceil else math.floor(room)
        if ceil and (out - 1) * s >= n + before:
            out -= 1
        at = np.arange(out)[:, None] * s + np.arange(k) * d - before
        inside = ((at >= 0) & (at < n)).reshape(*at.shape, *(1,) * (x.ndim - 3 - axis))
        x = np.where(inside, np.take(x, at.clip(0, n - 1), 2 + axis), fill)
    return np.moveaxis(x, [3 + 2 * axis for axis in range(rank)], range(2 + rank, 2 + 2 * rank))


def conv(x, w, b=None, **how):
    rank, groups = x.ndim - 2, how.get("group", 1)
    seen = windows(x.astype(np.float64), w.shape[2:], how, pads_of(how, x.shape[2:], w.shape[2:]))
    parts = []
    for g in range(groups):
        channels, kernels = w.shape[1], w.shape[0] // groups
        part, k = seen[:, g * channels : (g + 1) * channels], w[g * kernels : (g + 1) * kernels].astype(np.float64)
        axes = range(2 + rank, 2 + 2 * rank)
        parts.append(np.moveaxis(np.tensordot(part, k, ([1, *axes], [1, *range(2, 2 + rank)])), -1, 1))
    y = np.concatenate(parts, 1)
    return (y if b is None else y + b.reshape(-1, *(1,) * rank)).astype(x.dtype)


def conv_transpose(x, w, b=None, **how):
    rank, groups = x.ndim - 2, how.get("group", 1)
    strides, dilations = steps_of(how, rank)
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    whole = [(n - 1) * s + span for n, s, span in zip(x.shape[2:], strides, spans, strict=True)]
    more, size = how.get("output_padding", [0] * rank), how.get("output_shape")
    if size is None and how.get("auto_pad", "").startswith("SAME"):
        size = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if size is None:
        pads = pads_of(how, x.shape[2:], [1] * rank)
        size = [n + m - sum(pair) for n, m, pair in zip(whole, more, pads, strict=True)]
        starts = [pair[0] for pair in pads]
    else:
        totals = [n + m - wanted for n, m, wanted in zip(whole, more, size, strict=True)]
        starts = [t // 2 if how.get("auto_pad") == "SAME_UPPER" else t - t // 2 for t in totals]
    y = np.zeros((len(x), w.shape[1] * groups, *size))
    for at in np.ndindex(*x.shape[2:]):
        for tap in np.ndindex(*w.shape[2:]):
            to = [i * s + t * d - f for i, s, t, d, f in zip(at, strides, tap, dilations, starts, strict=True)]
            if all(0 <= i < n for i, n in zip(to, size, strict=True)):
                kernels = w[(..., *tap)].reshape(groups, -1, w.shape[1])
                pixel = x[(..., *at)].reshape(len(x), groups, 1, -1)
                y[(..., *to)] += (pixel @ kernels).reshape(len(x), -1)
    return (y if b is None else y + b.reshape(-1, *(1,) * rank)).astype(x.dtype)


def max_pool(x, **how):
    taps = how["kernel_shape"]
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    seen = windows(x, taps, how, pads_of(how, x.shape[2:], taps), ceil_of(how), least)
    return seen.max(tuple(range(x.ndim, seen.ndim))).astype(x.dtype)


def average_pool(x, **how):
    taps, rank = how["kernel_shape"], x.ndim - 2
    pads = pads_of(how, x.shape[2:], taps)
    ones = np.ones((1, 1, *x.shape[2:]))
    if how.get("count_include_pad"):
        ones, without = np.pad(ones, [(0, 0), (0, 0), *pads], constant_values=1), [(0, 0)] * rank
        counted = windows(ones, taps, how, without, ceil_of(how))
    else:
        counted = windows(ones, taps, how, pads, ceil_of(how))
    seen = windows(x.astype(np.float64), taps, how, pads, ceil_of(how))
    axes = tuple(range(x.ndim, seen.ndim))
    outputs = tuple(slice(n) for n in seen.shape[2 : 2 + rank])
    with np.errstate(invalid="ignore"):
        return (seen.sum(axes) / counted.sum(axes)[(..., *outputs)]).astype(x.dtype)


def ceil_of(how):
    return bool(how.get("ceil_mode")) and not how.get("auto_pad", "").startswith("SAME")


def conv_integer(x, w, x_zero, w_zero, **how):
    w = w.astype(np.float64) - w_zero.reshape(-1, *(1,) * (w.ndim - 1))
    return conv(x.astype(np.float64) - x_zero, w, **how).astype(np.int32)


def q_linear_conv(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b=None, **how):
    sums = conv_integer(x, w, x_zero, w_zero, **how).astype(np.float64)
    over = (-1, *(1,) * (x.ndim - 2))
    sums = sums if b is None else sums + b.reshape(over)
    y = np.rint(sums * (x_scale * w_scale / y_scale).reshape(over)) + y_zero
    limits = np.iinfo(y_zero.dtype)
    return y.clip(limits.min, limits.max).astype(y_zero.dtype)


def global_average_pool(x):
    return x.mean(tuple(range(2, x.ndim)), keepdims=True)


def global_max_pool(x):
    return x.max(tuple(range(2, x.ndim)), keepdims=True)


def batch_normalization(x, scale, bias, mean, variance, epsilon=1e-5):
    scale, bias, mean, variance = (a.reshape(-1, *(1,) * (x.ndim - 2)) for a in (scale, bias, mean, variance))
    return ((x - mean) / np.sqrt(variance + np.float32(epsilon)) * scale + bias).astype(x.dtype)


DEFINITIONS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "ConvInteger": conv_integer,
    "QLinearConv": q_linear_conv,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "BatchNormalization": batch_normalization,
}


def drawn(op, rng):
    """Arguments at random: inputs by name and attributes."""

    def numbers(low, high, size=None):
        return rng.integers(low, high + 1, size)

    rank, groups = int(numbers(1, 3)), int(numbers(1, 3))
    sizes = numbers(4, 9, rank).tolist() if "Pool" in op else numbers(1, 7, rank).tolist()
    taps = numbers(1, 4, rank).tolist()
    channels, kernels = groups * int(numbers(1, 3)), groups * int(numbers(1, 3))
    dtype = str(rng.choice(["float32", "float64"]))
    x = numbers(-9, 9, (numbers(1, 2), channels, *sizes)).astype(dtype)
    how = {}
    if op.startswith("Global"):
        return {"x": x}, how
    if op == "BatchNormalization":
        return {"x": x} | {name: rng.random(channels).astype(dtype) for name in ("s", "b", "m", "v")}, {"epsilon": 0.25}
    if rng.random() < 0.6:
        how["strides"] = numbers(1, 3, rank).tolist()
    if rng.random() < 0.4:
        how["dilations"] = numbers(1, 2, rank).tolist()
    how["auto_pad"] = str(rng.choice(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if how["auto_pad"] == "NOTSET":
        how["pads"] = numbers(0, 3, 2 * rank).tolist()
    if op.endswith("Pool"):
        if op == "AveragePool":
            how["count_include_pad"] = int(numbers(0, 1))
        return {"x": x}, how | {"kernel_shape": taps, "ceil_mode": int(numbers(0, 1))}
    how["group"] = groups
    w = numbers(-9, 9, (kernels, channels // groups, *taps)).astype(dtype)
    b = {"b": numbers(-9, 9, kernels).astype(dtype)} if rng.random() < 0.5 else {}
    if op == "Conv":
        return {"x": x, "w": w} | b, how
    if op == "ConvTranspose":
        w = numbers(-9, 9, (channels, kernels // groups, *taps)).astype(dtype)
        if rng.random() < 0.3:
            how["output_padding"] = [int(numbers(0, s - 1)) for s in how.get("strides", [1] * rank)]
        if rng.random() < 0.4:
            how["output_shape"] = numbers(1, 20, rank).tolist()
        return {"x": x, "w": w} | b, how
    xd, wd, yd = (np.dtype(str(rng.choice(["int8", "uint8"]))) for _ in range(3))
    bytes_of = {d: lambda size, d=d: numbers(np.iinfo(d).min, np.iinfo(d).max, size).astype(d) for d in (xd, wd, yd)}
    x, w = bytes_of[xd](x.shape), bytes_of[wd](w.shape)
    x_zero, w_zero = bytes_of[xd](()), bytes_of[wd]([(), (kernels,)][numbers(0, 1)])
    if op == "ConvInteger":
        return {"x": x, "w": w, "x_zero": x_zero, "w_zero": w_zero}, how
    scales = [np.array(2.0**-k, np.float32) for k in numbers(1, 5, 2)]  # so that products are exact, and ties occur
    arrays = {"x": x, "x_scale": scales[0], "x_zero": x_zero, "w": w, "w_scale": scales[1], "w_zero": w_zero}
    arrays |= {"y_scale": np.array(64, np.float32), "y_zero": bytes_of[yd](())}
    return arrays | ({"b": numbers(-999, 999, kernels).astype(np.int32)} if rng.random() < 0.5 else {}), how


def close(got, expected, rtol=1e-6):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(got, expected, rtol, 1e-6)


def expected_or_none(op, arrays, how):
    """By definition; None where there are no outputs."""
    try:
        y = DEFINITIONS[op](*arrays.values(), **how)
    except ValueError:
        return None
    return y if y.size else None


# ---- real models ---------------------------------------------------------------------------------


def noise(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def text(height, width):
    """A picture of lines of letters, or of what a detector takes for them."""
    x, rng = np.full((1, 3, height, width), 2, np.float32), np.random.default_rng(0)
    for row in range(16, height - 24, 32):
        for column in range(16, width - 16, 12):
            x[:, :, row : row + 16, column : column + 8][:, :, rng.random((16, 8)) < 0.5] = -2
    return x


def voice(**more):
    return {"input": noise(1, 576) / 10, "state": np.zeros((2, 1, 128), np.float32)} | more


RATE = {"sr": np.array(16000)}
MODELS = {  # package: {file: inputs}
    "rapidocr_onnxruntime": {
        "models/ch_PP-OCRv4_det_infer.onnx": {"x": text(96, 160)},
        "models/ch_PP-OCRv4_rec_infer.onnx": {"x": text(48, 160)},
        "models/ch_ppocr_mobile_v2.0_cls_infer.onnx": {"x": noise(2, 3, 48, 192)},
    },
    "nudenet": {"320n.onnx": {"images": np.abs(noise(1, 3, 320, 320)) / 4}},
    "silero_vad": {
        "data/silero_vad.onnx": voice(**RATE),
        "data/silero_vad_16k_op15.onnx": voice(**RATE),
        "data/silero_vad_half.onnx": voice(),
    },
}


def path_of(package, name):
    """The path of a model; None: the package that brings it is not installed. It is not imported."""
    there = importlib.util.find_spec(package)
    return there and Path(there.submodule_search_locations[0], name)
