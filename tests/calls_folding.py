# SPDX-License-Identifier: BSD-3-Clause
"""Random windows as columns, and columns added back, beside the table of which element is seen by which window."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import oracles
from calls_nn import by_reference, padding_argument, short
from fuzz import Also, Array, Call, Rng, array, length, pick, rarely, spoilt
from oracles import Slide

from fastconv import nn
from fastconv.arguments import layers
from fastconv.arguments.values import FLOATS
from fastconv.nn import functional
from fastconv.reference.windows import folded

WORK = 400_000  # elements of columns at most


def random_call(rng: Rng) -> Call:
    while True:
        rank = pick(rng, [1, 2, 2, 3])
        longest = {1: 400, 2: 90, 3: 20}[rank]
        k = tuple(pick(rng, [1, 2, 3, 4, 7, int(rng.integers(1, 40))]) for _ in range(rank))
        stride = tuple(pick(rng, [1, 1, 2, 2, 3, 4, 7, 20]) for _ in range(rank))
        dilation = tuple(pick(rng, [1, 1, 1, 2, 5]) for _ in range(rank))
        sides = tuple((pick(rng, [0, 0, 1, 3, 9]),) * 2 for _ in range(rank))
        if rarely(rng, 0.3):
            sides = tuple((p, pick(rng, [0, 1, 6])) for p, _ in sides)
        spans = tuple((a - 1) * d + 1 for a, d in zip(k, dilation, strict=True))
        size = tuple(
            max(1, s - sum(p)) + (0 if rarely(rng, 0.3) else length(rng, longest) - 1)
            for s, p in zip(spans, sides, strict=True)
        )
        outs = tuple((n + sum(p) - s) // t + 1 for n, p, s, t in zip(size, sides, spans, stride, strict=True))
        images, channels = pick(rng, [0, 1, 1, 2, 3]), pick(rng, [0, 1, 1, 2, 5])
        if max(images * channels, 1) * max(math.prod(k) * math.prod(outs), math.prod(size)) <= WORK:
            break
    slides = [
        Slide(n, a, o, p[0], s, d, "constant")
        for n, a, o, p, s, d in zip(size, k, outs, sides, stride, dilation, strict=True)
    ]
    dtype, kind = pick(rng, FLOATS), pick(rng, ["whole", "real", "spoilt"])
    how = {
        "kernel_size": k[0] if rank == 2 and k[0] == k[1] else k,
        "dilation": short(rng, dilation),
        "padding": padding_argument(rng, sides, spans, stride),
        "stride": short(rng, stride),
        "method": pick(rng, functional.FOLD_METHODS),
    }
    call = (_fold if rarely(rng, 0.5) else _unfold)(rng, (images, channels), size, slides, dtype, kind, how)
    if images:
        i = int(rng.integers(images))
        x = call.arguments["x"]
        alone = Also("one image, unbatched", {"x": x[i]}, lambda y: y[i])
        call = call._replace(also=(alone, Also("its batch cut", {"x": x[i : i + 1]}, lambda y: y[i : i + 1])))
    if rarely(rng, 0.1):
        names = [n for n in call.arguments if n != "method"]
        call = spoilt(rng, call, functools.partial(by_reference, call.function), names)
    return call


def _unfold(rng: Rng, batch: Any, size: Any, slides: list[Slide], dtype: str, kind: str, how: dict[str, Any]) -> Call:
    x = array(rng, (*batch, *size), dtype, kind)

    def expected(**_: Any) -> Array:
        columns = oracles.with_nothing(x, len(size))[..., oracles.seen(slides)]
        return np.swapaxes(columns, -1, -2).reshape(batch[0], batch[1] * columns.shape[-1], columns.shape[-2])

    return Call("nn.unfold", nn.unfold, {"x": x, **how}, expected)


def _fold(rng: Rng, batch: Any, size: Any, slides: list[Slide], dtype: str, kind: str, how: dict[str, Any]) -> Call:
    taps, outputs = math.prod(s.k for s in slides), math.prod(s.out for s in slides)
    columns = array(rng, (batch[0], batch[1] * taps, outputs), dtype, kind)

    def expected(**_: Any) -> Array:
        windows = np.swapaxes(columns.reshape(*batch, taps, outputs).astype(np.longdouble), -1, -2)
        return oracles.scattered(windows, slides).astype(dtype)

    def bound(got: Any) -> Any:
        if kind == "whole":
            return 0
        c = layers.fold_arguments(columns, size, *(how[n] for n in ("kernel_size", "dilation", "padding", "stride")))
        largest = folded(c._replace(x=np.where(np.isfinite(c.x), np.abs(c.x), 0).astype(np.float64)))
        eps = float(np.finfo(c.compute_dtype).eps)
        return taps * eps * largest + float(np.finfo(dtype).eps) * largest + float(np.finfo(dtype).smallest_subnormal)

    return Call(
        "nn.fold",
        nn.fold,
        {"x": columns, "output_size": short(rng, size) if len(size) == 2 else size, **how},
        expected,
        bound,
    )
