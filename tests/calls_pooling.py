# SPDX-License-Identifier: BSD-3-Clause
"""Random pooling and its gradients, beside the table of which element is seen by which window."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import oracles
from calls_nn import by_reference, short
from fuzz import Also, Array, Call, Rng, array, length, pick, rarely, spoilt
from oracles import Slide

from fastconv import nn
from fastconv.arguments.values import FLOATS
from fastconv.nn import pooling

WORK = 400_000  # elements that windows see, at most
INTEGERS = ("int8", "uint8", "int16", "uint32", "int64")


class Windows(NamedTuple):
    """Which elements of a plane windows see, -1: none, (outputs, taps); and by how many their sums are divided."""

    seen: Array
    counts: Array
    outs: tuple[int, ...]


def random_call(rng: Rng) -> Call:
    while True:
        rank = pick(rng, [1, 2, 2, 3])
        longest = {1: 400, 2: 60, 3: 14}[rank]
        size = tuple(length(rng, longest) for _ in range(rank))
        images, channels = pick(rng, [0, 1, 1, 2, 3]), pick(rng, [0, 1, 1, 2, 5, 18])
        made = (_adaptive if rarely(rng, 0.3) else _sliding)(rng, size)
        if made is None:
            continue
        kind, windows, how = made
        if max(images * channels, 1) * max(windows.seen.size, math.prod(size)) <= WORK:
            break
    largest, back = kind.endswith("max"), rarely(rng, 0.6)
    dtype = pick(rng, INTEGERS) if largest and not back and rarely(rng, 0.3) else pick(rng, FLOATS)
    x = array(rng, (images, channels, *size), dtype, pick(rng, ["whole", "real", "spoilt"]))
    how["method"] = pick(rng, pooling.METHODS)
    if back:
        call = _backward(rng, f"{kind}_pool{rank}d_backward", x, windows, how)
    else:
        if largest and rarely(rng, 0.5):
            how["return_indices"] = True
        call = _forward(f"{kind}_pool{rank}d", x, windows, how)
    if images:
        call = call._replace(also=(_alone(rng, call),))
    if rarely(rng, 0.1):
        names = [n for n in call.arguments if n != "method"]
        call = spoilt(rng, call, functools.partial(by_reference, call.function), names)
    return call


def _sliding(rng: Rng, size: tuple[int, ...]) -> tuple[str, Windows, dict[str, Any]] | None:
    kind = pick(rng, ["max", "avg"])
    k = tuple(int(pick(rng, [1, 2, 2, 3, 3, 5, int(rng.integers(1, n + 2))])) for n in size)
    stride = k if rarely(rng, 0.3) else tuple(pick(rng, [1, 1, 2, 3, 4, 7]) for _ in size)
    dilation = tuple(pick(rng, [1, 1, 1, 2, 4]) if kind == "max" else 1 for _ in size)
    sides = tuple((int(rng.integers(0, a // 2 + 1)),) * 2 for a in k)
    if rarely(rng, 0.2):
        sides = tuple((p, int(rng.integers(0, a // 2 + 1))) for (p, _), a in zip(sides, k, strict=True))
    ceil, counted, divisor = rarely(rng, 0.4), rarely(rng, 0.5), pick(rng, [None, None, 3, -2])
    spans = [(a - 1) * d + 1 for a, d in zip(k, dilation, strict=True)]
    if any(n + sum(p) < s for n, p, s in zip(size, sides, spans, strict=True)):
        return None
    slides, counts = [], np.ones(1, np.int64)
    for n, a, (before, behind), s, d, span in zip(size, k, sides, stride, dilation, spans, strict=True):
        out = (n + before + behind - span + (s - 1 if ceil else 0)) // s + 1
        out -= ceil and (out - 1) * s >= n + before
        slides.append(Slide(n, a, out, before, s, d, "constant"))
        at = np.arange(out)[:, None] * s - before + np.arange(a) * d
        there = (at >= -before) & (at < n + behind) if counted else (at >= 0) & (at < n)
        counts = np.outer(counts, there.sum(1)).ravel()
    seen = oracles.seen(slides)
    if (seen < 0).all(1).any():
        return None  # such windows have no index
    how: dict[str, Any] = {"kernel_size": short(rng, k), "stride": short(rng, stride)}
    plain = all(a == b for a, b in sides)
    how |= {"padding": short(rng, tuple(a for a, _ in sides)) if plain else sides, "ceil_mode": ceil}
    if kind == "max":
        how["dilation"] = short(rng, dilation)
    else:
        how |= {"count_include_pad": counted, "divisor_override": divisor}
    return kind, Windows(seen, counts if divisor is None else np.full_like(counts, divisor), outs_of(slides)), how


def outs_of(slides: list[Slide]) -> tuple[int, ...]:
    return tuple(s.out for s in slides)


def _adaptive(rng: Rng, size: tuple[int, ...]) -> tuple[str, Windows, dict[str, Any]]:
    outs = tuple(int(pick(rng, [1, 2, 3, 7, n, int(rng.integers(1, n + 3))])) for n in size)
    rows: list[list[int]] = [[0]]
    for n, out in zip(size, outs, strict=True):
        pieces = [range(o * n // out, -(-(o + 1) * n // out)) for o in range(out)]
        rows = [[i * n + j for i in row for j in piece] for row in rows for piece in pieces]
    most = max(map(len, rows))
    seen = np.array([row + [-1] * (most - len(row)) for row in rows], np.intp)
    how = {"output_size": short(rng, outs)}
    return f"adaptive_{pick(rng, ['max', 'avg'])}", Windows(seen, np.array([len(row) for row in rows]), outs), how


def _best(x: Array, windows: Windows) -> tuple[Array, Array]:
    """The largest of every window (images, channels, outputs), and where it is: the first of equals, the last NaN."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    rank = x.ndim - 2
    found = oracles.with_nothing(x, rank, lowest)[..., windows.seen]
    nan = found != found
    there = np.where(nan.any(-1), found.shape[-1] - 1 - nan[..., ::-1].argmax(-1), 0)
    equal = (found == np.where(nan, lowest, found).max(-1, keepdims=True)) & (windows.seen >= 0)
    there = np.where(nan.any(-1), there, equal.argmax(-1))
    values = np.take_along_axis(found, there[..., None], -1)[..., 0]
    return values, np.take_along_axis(np.broadcast_to(windows.seen, found.shape), there[..., None], -1)[..., 0]


def _rounding(dtype: Any, taps: int) -> float:
    return (taps + 2) * float(np.finfo(np.promote_types(dtype, "f")).eps) + float(np.finfo(dtype).eps)


def _forward(name: str, x: Array, windows: Windows, how: dict[str, Any]) -> Call:
    shape = (*x.shape[:2], *windows.outs)

    def expected(**_: Any) -> Any:
        if "max" in name:
            values, indices = _best(x, windows)
            values, indices = values.reshape(shape), indices.reshape(shape).astype(np.int64)
            return (values, indices) if how.get("return_indices") else values
        with np.errstate(all="ignore"):
            sums = oracles.with_nothing(x.astype("g"), x.ndim - 2)[..., windows.seen].sum(-1)
            return (sums / windows.counts).reshape(shape).astype(x.dtype)

    def bound(got: Any) -> Any:
        sizes = np.where(np.isfinite(x), np.abs(x), 0).astype("g")
        sums = oracles.with_nothing(sizes, x.ndim - 2)[..., windows.seen].sum(-1) / np.abs(windows.counts)
        return (sums * _rounding(x.dtype, windows.seen.shape[1])).reshape(shape) + np.finfo(x.dtype).smallest_subnormal

    return Call(f"nn.{name}", getattr(nn, name), {"x": x, **how}, expected, 0 if "max" in name else bound)


def _backward(rng: Rng, name: str, x: Array, windows: Windows, how: dict[str, Any]) -> Call:
    grad = array(rng, (*x.shape[:2], *windows.outs), x.dtype, pick(rng, ["whole", "real", "spoilt"]))
    flat = (*x.shape[:2], len(windows.seen))

    def added(dy: Array, counts: Array) -> Array:
        """The gradient of x; that of means, if counts are given."""
        to = np.zeros((*x.shape[:2], math.prod(x.shape[2:]) + 1), dy.dtype)
        at = np.ix_(*map(np.arange, x.shape[:2]))
        with np.errstate(all="ignore"):
            if "max" in name:
                np.add.at(to, (*(i[..., None] for i in at), _best(x, windows)[1]), dy)
            else:
                share = np.broadcast_to((dy / counts)[..., None], (*flat, windows.seen.shape[1]))
                np.add.at(to, (*(i[..., None, None] for i in at), windows.seen), share)
        return to[..., :-1].reshape(x.shape)

    def expected(**_: Any) -> Array:
        return added(grad.reshape(flat).astype("g"), windows.counts).astype(x.dtype)

    def bound(got: Any) -> Any:
        sizes = np.where(np.isfinite(grad), np.abs(grad), 0).astype("g").reshape(flat)
        terms = np.bincount(windows.seen[windows.seen >= 0], minlength=1).max()
        sums = added(sizes, np.abs(windows.counts))
        return sums * _rounding(x.dtype, int(terms)) + np.finfo(x.dtype).smallest_subnormal

    second = {"input": x} if "max" in name else {"input_size": x.shape}
    return Call(f"nn.{name}", getattr(nn, name), {"grad_output": grad, **second, **how}, expected, bound)


def _alone(rng: Rng, call: Call) -> Also:
    """One image of the batch."""
    given = call.arguments
    i = int(rng.integers(len(given.get("x", given.get("grad_output")))))
    changed = {n: given[n][i] for n in ("x", "grad_output", "input") if n in given}
    if "input_size" in given:
        changed["input_size"] = given["input_size"][1:]
    return Also("one image, unbatched", changed, lambda y: tuple(a[i] for a in y) if isinstance(y, tuple) else y[i])
