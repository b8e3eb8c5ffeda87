# SPDX-License-Identifier: BSD-3-Clause
"""Random calls of fastconv.signal beside scipy.signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import oracles
from calls_corr import DTYPES
from fuzz import MILD, Array, Call, Rng, array, length, pick, rarely
from oracles import Slide
from scipy import signal as original

from fastconv import signal
from fastconv.arguments.axes import MODES
from fastconv.costs import CROSSOVERS

WORK = 300_000  # products of one call at most


def random_call(rng: Rng) -> Call:
    name = pick(rng, FUNCTIONS)
    return FUNCTIONS[name](rng, name)


def _pair(rng: Rng, ndim: int, kind: str, types: Any = DTYPES) -> tuple[Array, Array]:
    """Two arrays, now one and now the other of them longer, often along all axes."""
    longest = {1: 300, 2: 25, 3: 8, 4: 4}[ndim]
    while True:
        n, m = ([pick(rng, [1, 2, 3, length(rng, longest)]) for _ in range(ndim)] for _ in range(2))
        if rarely(rng, 0.4):
            n = [max(a, b) for a, b in zip(n, m, strict=True)]
        outputs, elements = math.prod(a + b for a, b in zip(n, m, strict=True)), max(math.prod(n), math.prod(m))
        if math.prod(n) * math.prod(m) <= WORK and outputs * elements <= 64 * WORK:  # the oracle has an index for each
            break
    x, k = array(rng, n, pick(rng, types), kind), array(rng, m, pick(rng, types), kind)
    return (k, x) if rarely(rng, 0.3) else (x, k)


def _call(
    rng: Rng, name: str, a: dict[str, Any], bound: Any, kind: str, expected: Callable[..., Any] | None = None
) -> Call:
    def scipys(**given: Any) -> Any:
        if kind == "spoilt" and given.get("method") == "auto":  # where it takes no NaN beside integers
            given["method"] = "direct"
        return getattr(original, name)(*given.values())  # positions: compiled ones take no names

    call = Call(f"signal.{name}", getattr(signal, name), a, expected or scipys, bound)
    if rarely(rng, 0.1) and name != "sepfir2d":  # which crashes in SciPy where a filter is longer than the image
        wrong = pick(rng, a)
        call = call._replace(arguments=a | {wrong: pick(rng, MILD)}, expected=scipys, bound=np.inf, wrong=True)
    return call


def _norms(x: Array, k: Array) -> tuple[float, float, int]:
    """What an error of transforms is relative to, of direct sums, and how many points are transformed at most."""
    x, k = (np.where(np.isfinite(v), np.abs(v), 0).astype(float) for v in (x, k))
    both = float(np.linalg.norm(x) * np.linalg.norm(k))
    taps = min(x.size, k.size)
    largest = float(min(x.max(initial=0) * k.sum(), k.max(initial=0) * x.sum()))
    return both, taps * largest, math.prod(2 * (n + m) for n, m in zip(x.shape, k.shape, strict=True))


def _bound(x: Array, k: Array, transforms: bool) -> Callable[[Any], Any]:
    """Of sums in any order, theirs and ours: ``n u sum|x||k|`` each, and of transforms ``16 u log2(N) |x| |k|``
    (Higham, sections 3.1 and 24.1). Complex products are made of four real ones."""

    def bound(got: Any) -> Any:
        dtype = np.asarray(got).dtype
        if dtype.kind not in "fc":
            return 0
        info = np.finfo(np.float32 if dtype == np.float16 else dtype)
        both, sums, points = _norms(x, k)
        times = 4 if dtype.kind == "c" else 1
        most = 2 * times * sums * float(info.eps) + 4 * float(np.finfo(dtype).eps) * sums
        return most + (2 * times * 16 * math.log2(points + 2) * float(info.eps) * both if transforms else 0)

    return bound


def _two_dimensions(rng: Rng, name: str) -> Call:
    kind = pick(rng, ["whole", "whole", "real", "extreme", "spoilt"])
    x, k = _pair(rng, 2, kind, "fd" if kind == "spoilt" else DTYPES)
    a = {"in1": x, "in2": k, "mode": pick(rng, MODES), "boundary": pick(rng, signal.BOUNDARIES)}
    if rarely(rng, 0.4):
        a["fillvalue"] = pick(rng, [1, 2.5, -3, 1j, 2**63 - 1, 2**62, np.nan, True, np.uint8(7)])
    if kind == "extreme" and np.result_type(x, k).kind in "fc":
        return random_call(rng)  # where it overflows depends on the order of sums
    filled = np.append(x.ravel(), np.asarray(a.get("fillvalue", 0)).ravel())
    most = np.abs(np.where(np.isfinite(filled), filled, 0)).astype(float).max()
    padded = np.full(np.add(x.shape, 2 * np.array(k.shape)), most)
    exact = kind == "whole" and k.size < CROSSOVERS["fft taps"] and most < 100
    return _call(rng, name, a, 0 if exact else _bound(padded, k, transforms=True), kind)


def _any_dimensions(rng: Rng, name: str) -> Call:
    kind = pick(rng, ["whole", "whole", "real", "extreme", "spoilt"])
    x, k = _pair(rng, pick(rng, [1, 1, 2, 3, 4]), kind, "fd" if kind == "spoilt" else DTYPES)
    dtype = np.result_type(x, k)
    if (kind == "extreme" and dtype.kind in "fc") or dtype == np.float16 or dtype.kind == "b":
        return random_call(rng)
    a = {"in1": x, "in2": k, "mode": pick(rng, MODES), "method": pick(rng, signal.METHODS)}

    def expected(in1: Array, in2: Array, mode: str, method: str) -> Any:
        """SciPy's sums, which are exact where its transforms are not. What is not finite spoils its windows only."""
        known = getattr(original, name)(in1, in2, mode, "direct")
        if kind == "real":
            known = getattr(original, name)(*(v.astype(_widest(dtype)) for v in (in1, in2)), mode, "direct").astype(
                dtype
            )
        return _sums(name, in1, in2, mode).astype(dtype) if kind == "spoilt" else known

    exact = kind in ("whole", "extreme") and min(x.size, k.size) < CROSSOVERS["fft taps"]
    return _call(rng, name, a, 0 if exact else _bound(x, k, transforms=True), kind, expected)


def _widest(dtype: Any) -> Any:
    return {"f": np.longdouble, "c": np.clongdouble}.get(dtype.kind, dtype)


def _sums(name: str, x: Array, k: Array, mode: str) -> Array:
    """By brute force: no product with the zeros around."""
    x, k = x.astype(np.longdouble), k.astype(np.longdouble)
    if name == "correlate":
        k = np.flip(k)
    swaps = mode == "valid" and any(n < m for n, m in zip(x.shape, k.shape, strict=True))
    x, k = (k, x) if swaps else (x, k)
    first = {"full": lambda m: 0, "same": lambda m: (m - 1) // 2, "valid": lambda m: m - 1}[mode]
    size = {"full": lambda n, m: n + m - 1, "same": lambda n, m: n, "valid": lambda n, m: n - m + 1}[mode]
    slides = [
        Slide(n, m, size(n, m), m - 1 - first(m), 1, 1, "constant") for n, m in zip(x.shape, k.shape, strict=True)
    ]
    at = oracles.seen(slides)
    products = oracles.with_nothing(x, x.ndim)[at] * np.flip(k).ravel()
    return np.where(at < 0, 0, products).sum(-1).reshape([s.out for s in slides])


def _some_axes(rng: Rng, name: str) -> Call:
    kind = pick(rng, ["whole", "real"])
    ndim = pick(rng, [1, 2, 2, 3, 4])
    x, k = _pair(rng, ndim, kind)
    axes: Any = None
    if rarely(rng, 0.5):
        axes = rng.permutation(ndim)[: int(rng.integers(1, ndim + 1))].tolist()
        shape = [k.shape[i] if i in axes else pick(rng, [1, x.shape[i]]) for i in range(ndim)]
        k = array(rng, shape, k.dtype, kind)
        axes = axes[0] if len(axes) == 1 and rarely(rng, 0.5) else axes
    a = {"in1": x, "in2": k, "mode": pick(rng, MODES), "axes": axes}

    def expected(in1: Array, in2: Array, mode: str, axes: Any) -> Any:
        """SciPy transforms each array in its own precision, which may be less than the result's."""
        known = getattr(original, name)(in1, in2, mode, axes)
        wide = _widest(known.dtype)
        return getattr(original, name)(in1.astype(wide), in2.astype(wide), mode, axes).astype(known.dtype)

    return _call(rng, name, a, _bound(x, k, transforms=True), kind, expected)


def _sepfir(rng: Rng, name: str) -> Call:
    kind = pick(rng, ["whole", "real"])
    taps = [2 * int(rng.integers(0, 5)) + 1 for _ in range(2)]
    shape = [int(rng.integers(taps[1 - i], 20)) for i in range(2)]  # SciPy crashes where a filter is longer
    x = array(rng, shape, pick(rng, DTYPES), kind)
    wide = np.result_type(x, np.float32)
    rows, cols = (array(rng, (n,), pick(rng, ["f", "b", wide]), kind) for n in taps)
    largest = float(
        np.abs(x.astype(complex)).max() * np.abs(rows.astype(complex)).sum() * np.abs(cols.astype(complex)).sum()
    )
    most = 4 * (sum(taps) + 4) * float(np.finfo(wide).eps) * largest * (4 if wide.kind == "c" else 1)
    return _call(rng, name, {"input": x, "hrow": rows, "hcol": cols}, 0 if kind == "whole" else most, kind)


def _lags(rng: Rng, name: str) -> Call:
    a = {"in1_len": int(rng.integers(1, 30)), "in2_len": int(rng.integers(1, 30)), "mode": pick(rng, MODES)}
    call = _call(rng, name, a, 0, "whole")
    # of what is no length, as None or 1j, SciPy makes some array
    lengths = call.arguments["in1_len"], call.arguments["in2_len"]
    return call if all(isinstance(n, (int, float)) for n in lengths) else _lags(rng, name)


FUNCTIONS: dict[str, Callable[[Rng, str], Call]] = {
    "convolve": _any_dimensions,
    "convolve2d": _two_dimensions,
    "correlate": _any_dimensions,
    "correlate2d": _two_dimensions,
    "correlation_lags": _lags,
    "fftconvolve": _some_axes,
    "oaconvolve": _some_axes,
    "sepfir2d": _sepfir,
}
assert {*FUNCTIONS, "choose_conv_method"} == {*signal.__all__}  # that one only estimates
