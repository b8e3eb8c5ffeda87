# SPDX-License-Identifier: BSD-3-Clause
"""Random layers: forward, transposed, and all their gradients, beside sums by brute force."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import oracles
from fuzz import Also, Array, Call, Rng, array, length, pick, rarely, spoilt
from oracles import Slide

from fastconv import nn, reference
from fastconv.arguments import layers
from fastconv.arguments.boundaries import PADDING_MODES
from fastconv.arguments.values import FLOATS
from fastconv.nn import functional, transposed

WORK = 400_000  # products of one call at most

# The functions by what they compute, and the arguments that each takes of those below.
OPS = ("conv", "input", "weight", "backward", "bias", "transpose")
TRANSPOSED = (
    "stride",
    "padding",
    "output_padding",
    "groups",
    "dilation",
    "activation",
    "dtype",
    "out",
    "method",
    "accuracy",
)


def random_call(rng: Rng) -> Call:
    while True:
        call = _random_call(rng)
        if call is not None:
            return call


def _random_call(rng: Rng) -> Call | None:
    rank, op = pick(rng, [1, 2, 2, 3]), pick(rng, OPS)
    groups = pick(rng, [1, 1, 1, 2, 3, 8, 17])
    each = [1, 1, 2, 3, 5, 16, 33, 66] if groups <= 3 else [1, 1, 2, 3]
    channels, kernels = groups * pick(rng, each), groups * pick(rng, each)
    longest = {1: 90, 2: 18, 3: 8}[rank]
    k = tuple(pick(rng, [1, 1, 2, 3, 3, 5, int(rng.integers(1, longest))]) for _ in range(rank))
    stride = tuple(pick(rng, [1, 1, 2, 3, 5]) for _ in range(rank))
    dilation = tuple(pick(rng, [1, 1, 1, 2, 3, 4]) for _ in range(rank))
    sides = tuple((pick(rng, [0, 0, 1, 2, 5]), pick(rng, [0, 0, 1, 2, 5])) for _ in range(rank))
    if rarely(rng, 0.4):
        sides = tuple((p, p) for p, _ in sides)
    spans = tuple((a - 1) * d + 1 for a, d in zip(k, dilation, strict=True))
    if stride == (1,) * rank and rarely(rng, 0.2):
        sides = tuple(((s - 1) // 2, s // 2) for s in spans)
    mode = "zeros" if op == "transpose" or rarely(rng, 0.6) else pick(rng, PADDING_MODES)
    least = [max(1, s - sum(p)) for s, p in zip(spans, sides, strict=True)]
    size = tuple(n if rarely(rng, 0.3) else n + length(rng, longest) - 1 for n in least)
    allowed = {"reflect": -1, "circular": 0}
    if mode in allowed and any(max(p) > n + allowed[mode] for p, n in zip(sides, size, strict=True)):
        mode = "replicate"
    images = pick(rng, [0, 1, 1, 2, 3, 5]) if rarely(rng, 0.9) else 0
    outs = tuple((n + sum(p) - s) // t + 1 for n, p, s, t in zip(size, sides, spans, stride, strict=True))
    more = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    if op == "transpose":  # the layer whose outputs are its input
        size = tuple(
            (o - 1) * s + span - sum(p) + m for o, s, span, p, m in zip(outs, stride, spans, sides, more, strict=True)
        )
    if images * kernels * channels // groups * math.prod(outs) * math.prod(k) > WORK or min(size) < 1:
        return None
    if images * max(channels * math.prod(size), kernels * math.prod(outs)) > WORK:
        return None
    pad = PADDING_MODES[mode]
    slides = [
        Slide(n, a, o, p[0], s, d, pad) for n, a, o, p, s, d in zip(size, k, outs, sides, stride, dilation, strict=True)
    ]
    dtype, kind = pick(rng, FLOATS), pick(rng, ["whole", "whole", "real", "spoilt"])
    by_threes = {*stride, *dilation} == {1} and k[-1] == 3 and k[-2:-1] in ((), (1,), (3,))
    several = channels > groups or (op != "conv" and kernels > groups)
    fewer = by_threes and ((op in ("conv", "input", "transpose") and several) or (op == "weight" and channels > groups))
    how: dict[str, Any] = {
        "stride": short(rng, stride),
        "padding": padding_argument(rng, sides, spans, stride),
        "dilation": short(rng, dilation),
        "groups": groups,
        "padding_mode": mode,
        "activation": pick(rng, [None, None, *layers.ACTIVATIONS, (-2.5, 7)]),
        "method": pick(rng, ["auto", "auto", *functional.FOLD_METHODS]),
        "accuracy": pick(rng, ["default", *functional.ACCURACIES]),
        "output_padding": short(rng, more),
    }
    if fewer and min(outs) > 1 and rarely(rng, 0.6):
        dtype, how["method"] = "float32", "winograd"
        how["accuracy"] = pick(rng, ["default", "fast"])
    one_each = (
        (op == "conv" and dtype != "float16" and kernels * channels < 60) or channels == kernels == groups
    ) and {*stride} == {1}
    transforms = op in ("conv", "input", "transpose") and one_each and k[:-2] in ((), (1,)) and min(k[-2:]) > 1
    as_planes = all(n == o and not sum(p) for n, o, p in zip(size[:-2], outs, sides, strict=False))
    if rank > 1 and transforms and as_planes and rarely(rng, 0.6):
        how["method"], how["accuracy"] = "fft", pick(rng, ["default", "fast"])
    x = array(rng, (images, channels, *size), dtype, kind)
    w = array(
        rng, (kernels, channels // groups, *k), dtype, kind if rarely(rng, 0.5) else kind.replace("spoilt", "whole")
    )
    dy = array(rng, (images, kernels, *outs), dtype, kind)
    n = channels if op == "transpose" else kernels
    bias = array(rng, (n,), dtype, kind.replace("spoilt", "real")) if rarely(rng, 0.5) else None
    add = array(rng, dy.shape, dtype, kind.replace("spoilt", "real")) if op == "conv" and rarely(rng, 0.3) else None
    call = _of(op, rank, x, w, dy, bias, add, how, slides)
    if kind == "whole" and how["accuracy"] != "fast" and how["method"] != "fft":
        call = call._replace(bound=0)
    also = [*call.also, *_also(rng, op, rank, call)]
    call = call._replace(also=tuple(also), bits=how["method"] in ("auto", "direct", "winograd", "fft"))
    if rarely(rng, 0.1) and op != "bias":
        refuses = functools.partial(by_reference, call.function)
        call = spoilt(rng, call, refuses, [n for n in call.arguments if n != "method"])
    return call


def by_reference(function: Any, **arguments: Any) -> Any:
    return function(**arguments | {"method": "numpy"})


def short(rng: Rng, values: tuple[int, ...]) -> Any:
    return values[0] if len(set(values)) == 1 and rarely(rng, 0.5) else pick(rng, [tuple, list, np.array])(values)


def padding_argument(rng: Rng, sides: Any, spans: Any, stride: Any) -> Any:
    if set(stride) == {1} and sides == tuple(((s - 1) // 2, s // 2) for s in spans) and rarely(rng, 0.8):
        return "same"
    if all(a == b for a, b in sides):
        if not any(a for a, _ in sides) and rarely(rng, 0.3):
            return "valid"
        return short(rng, tuple(a for a, _ in sides))
    return sides


def _of(
    op: str,
    rank: int,
    x: Array,
    w: Array,
    dy: Array,
    bias: Array | None,
    add: Array | None,
    how: dict[str, Any],
    slides: list[Slide],
) -> Call:
    """The call of one operation, its oracle and its bound."""
    groups, dtype = how["groups"], x.dtype
    wide = [
        None if a is None else a.astype(np.float64 if dtype != np.float64 else np.longdouble) for a in (x, w, dy, bias)
    ]
    X, W, DY, B = wide
    given = {n: how[n] for n in ("stride", "padding", "dilation", "groups", "padding_mode")}
    options = layers.Options(*given.values())
    given["method"], given["accuracy"] = how["method"], how["accuracy"]
    engine = functional.as_engine(how["method"], how["accuracy"], None)
    clamp = layers.ACTIVATIONS.get(how["activation"], how["activation"])

    def biased(y: Array, activate: bool = True) -> Array:
        if B is not None:
            y = y + B.reshape(-1, *(1,) * rank)
        y = y if add is None else y + add
        return y if clamp is None else np.clip(y, *clamp)

    def back() -> Array:
        return oracles.input_gradient(DY, W, slides, groups)

    def weights() -> Array:
        return oracles.weight_gradient(X, DY, slides, groups)

    def input_bound(got: Any) -> Any:
        c = layers.input_gradient_arguments(rank, x.shape, w, dy, options)
        return transposed.error_bound(c, engine)

    def weight_bound(got: Any) -> Any:
        c = layers.weight_gradient_arguments(rank, x, w.shape, dy, options)
        return reference.weight_error_bound(c)

    name = f"conv_transpose{rank}d" if op == "transpose" else f"conv{rank}d" + ("" if op == "conv" else f"_{op}")
    if op == "conv":
        arguments = {"x": x, "w": w, "bias": bias, **given, "activation": how["activation"]}
        arguments |= {} if add is None else {"add": add}
        expected = lambda: biased(oracles.layer(X, W, slides, groups))  # noqa: E731
        bound = lambda got: functional.error_bound(layers.layer_arguments(rank, x, w, bias, options, add=add), engine)  # noqa: E731
    elif op == "transpose":
        arguments = {"x": dy, "w": w, "bias": bias, **{n: how[n] for n in TRANSPOSED if n in how}}
        expected = lambda: biased(back())  # noqa: E731
        bound = lambda got: transposed.error_bound(  # noqa: E731
            layers.transposed_arguments(rank, dy, w, bias, how["output_padding"], options), engine
        )
    elif op == "input":
        arguments = {"input_size": x.shape, "weight": w, "grad_output": dy, **given}
        expected, bound = back, input_bound
    elif op == "weight":
        arguments = {"input": x, "weight_size": w.shape, "grad_output": dy, **given}
        expected, bound = weights, weight_bound
    elif op == "bias":
        arguments = {"grad_output": dy}
        axes = (0, *range(2, 2 + rank))
        expected = lambda: DY.sum(axes)  # noqa: E731
        n = math.prod(dy.shape[i] for i in axes) + 2
        single = np.finfo(np.float32 if dtype == np.float16 else dtype).eps
        bound = lambda got: (n * single + np.finfo(dtype).eps) * np.abs(np.where(np.isfinite(DY), DY, 0)).sum(axes)  # noqa: E731
    else:
        arguments = {"grad_output": dy, "input": x, "weight": w, **given}
        expected = lambda: (back(), weights(), DY.sum((0, *range(2, 2 + rank))))  # noqa: E731
        bound = lambda got: (input_bound(got), weight_bound(got), np.inf)  # noqa: E731

    def result(**_: Any) -> Any:
        with np.errstate(all="ignore"):
            y = expected()
        return tuple(a.astype(dtype) for a in y) if isinstance(y, tuple) else y.astype(dtype)

    return Call(f"nn.{name}", getattr(nn, name), arguments, result, bound)


def _also(rng: Rng, op: str, rank: int, call: Call) -> list[Also]:
    """Batches, single images, channels last, and results put somewhere."""
    a = call.arguments
    also = []
    batched = [n for n in ("x", "input", "grad_output", "add") if n in a]
    images = len(a[batched[0]])
    if op in ("conv", "transpose", "input") and images:
        i = int(rng.integers(images))
        one = {n: a[n][i : i + 1] for n in batched}
        if op == "input":
            one["input_size"] = (1, *a["input_size"][1:])
        also.append(Also(f"image {i} alone", one, lambda y: y[i : i + 1]))
        none = {n: a[n][i] for n in batched}
        if op == "input":
            none["input_size"] = a["input_size"][1:]
        also.append(Also(f"image {i} unbatched", none, lambda y: y[i]))
    if op in ("conv", "input", "weight"):
        last = {n: np.moveaxis(a[n], 1, -1) for n in batched} | {"layout": layers.LAYOUTS[rank][1]}
        if op == "input":
            last["input_size"] = (a["input_size"][0], *a["input_size"][2:], a["input_size"][1])
        also.append(Also("channels last", last, (lambda y: y) if op == "weight" else lambda y: np.moveaxis(y, 1, -1)))
    if op != "bias":
        floats = [v for v in a.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
        foreign = floats[0].dtype.newbyteorder("S")
        also.append(Also("dtype of foreign byte order", {"dtype": foreign}))
    return also
