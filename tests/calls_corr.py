# SPDX-License-Identifier: BSD-3-Clause
"""Random correlations and convolutions of the top level, beside sums by brute force."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import oracles
from fuzz import Also, Array, Call, Rng, array, length, pick, rarely, room, spoilt
from oracles import Slide

import fastconv
from fastconv import methods, reference
from fastconv.arguments.axes import MODES
from fastconv.arguments.boundaries import BOUNDARIES
from fastconv.arguments.correlation import NANS, OVERFLOWS, Options, OuterProduct, correlation_arguments
from fastconv.arguments.prepared import Correlation
from fastconv.arguments.values import is_supported

WORK = 200_000  # products of one call at most
DTYPES = [c for c in np.typecodes["All"] if is_supported(np.dtype(c))]


class Function(NamedTuple):
    rank: int
    convolve: bool = False
    factors: bool = False


FUNCTIONS = {f"corr{r}d": Function(r) for r in (1, 2, 3)}
FUNCTIONS |= {f"convolve{r}d": Function(r, convolve=True) for r in (1, 2, 3)}
FUNCTIONS["sepcorr2d"] = Function(2, factors=True)


def random_call(rng: Rng) -> Call:
    name = pick(rng, FUNCTIONS)
    rank = FUNCTIONS[name].rank
    while True:
        widest = {1: 200, 2: 16, 3: 6}[rank]
        kernel = tuple(pick(rng, [1, 2, 3, 4, 5, int(rng.integers(1, widest))]) for _ in range(rank))
        dilation = tuple(pick(rng, [1, 1, 1, 2, 3]) for _ in range(rank)) if rarely(rng, 0.3) else (1,) * rank
        mode = pick(rng, MODES)
        least = spans = [(n - 1) * d + 1 for n, d in zip(kernel, dilation, strict=True)]
        if mode != "valid" or rarely(rng, 0.03):
            least = [pick(rng, [1, 1, 2, 3, n]) for n in least]
        size = tuple(n + (0 if rarely(rng, 0.3) else length(rng, 4 * widest) - 1) for n in least)
        batch = pick(rng, [(), (), (), (1,), (3,), (2, 2), (0,)])
        if math.prod(batch) * math.prod(n + m for n, m in zip(size, spans, strict=True)) * math.prod(kernel) <= WORK:
            break
    kind = pick(rng, ["whole", "whole", "real", "real", "extreme", "spoilt"])
    types = pick(rng, [DTYPES, "fd", "fd"])
    x, k = array(rng, (*batch, *size), pick(rng, types), kind), _kernel(rng, kernel, pick(rng, types), kind)
    a: dict[str, Any] = {"x": x, "k": k}
    if batch and rarely(rng, 0.3):  # kernels of their own
        own = tuple(pick(rng, [n, n, 1]) for n in batch)[pick(rng, [0, 0, len(batch) - 1]) :]
        kernels = [_kernel(rng, kernel, k.dtype, kind) for _ in range(math.prod(own))]
        a["k"] = k = np.array(kernels, k.dtype).reshape(*own, *kernel)
    if FUNCTIONS[name].factors:
        k0, k1 = (array(rng, (n,), k.dtype, kind) for n in kernel)
        a = {"x": x, "ky": k0, "kx": k1}
    a |= {"mode": mode, "boundary": pick(rng, BOUNDARIES)}
    if rank > 1 and rarely(rng, 0.2):
        a["boundary"] = tuple(pick(rng, BOUNDARIES) for _ in range(rank))
    a["fillvalue"] = pick(rng, [0, 0, 1, -2.0, 2.5, True, 1j, np.float32(3), np.nan, 2**62])
    if dilation != (1,) * rank:
        a["dilation"] = dilation if rank > 1 else dilation[0]
    _options(rng, a, rank, kind)
    if kind == "spoilt" and {"mask", "nan", "return_weight"} & {*a}:
        a |= {n: array(rng, a[n].shape, a[n].dtype, "whole") for n in ("k", "ky", "kx") if n in a}  # weights are finite
    call = Call(f"fastconv.{name}", getattr(fastconv, name), a, Oracle(name).result, 0)
    if rarely(rng, 0.1):
        return spoilt(rng, call, Oracle(name).of_reference, [n for n in a if n != "method"])
    return call._replace(bound=Oracle(name).bound(a, kind), also=tuple(_also(rng, Oracle(name), a)))


def _kernel(rng: Rng, shape: tuple[int, ...], dtype: str, kind: str) -> Array:
    """Of any structure that a method is made for: all taps the same, an outer product, zeros."""
    k = array(rng, shape, dtype, kind)
    structure = rng.random()
    if structure < 0.15:
        k[...] = k.flat[0]
    elif structure < 0.3:
        k[...] = 1
        for axis, n in enumerate(shape):
            k *= array(rng, (n, *(1,) * (k.ndim - 1 - axis)), dtype, "whole")
    elif structure < 0.4:
        k[rng.random(shape) < 0.7] = 0
    return k


def _options(rng: Rng, a: dict[str, Any], rank: int, kind: str) -> None:
    x = a["x"]
    if rarely(rng, 0.3):
        stride = [pick(rng, [1, 2, 3, 7]) for _ in range(rank)]
        a["stride"] = stride[0] if rank == 1 or rarely(rng, 0.3) else stride
    if rarely(rng, 0.2):
        moved = tuple(int(i) for i in rng.permutation(x.ndim)[:rank])
        a["axis" if rank == 1 else "axes"] = moved[0] if rank == 1 else moved
        where = [*(i for i in range(x.ndim) if i not in moved), *moved]
        a["x"] = x = np.ascontiguousarray(x.transpose(np.argsort(where)))
    if rarely(rng, 0.2) and kind != "extreme":
        a["dtype"] = pick(rng, DTYPES)
        a["overflow"] = pick(rng, OVERFLOWS) if rarely(rng, 0.7) else "raise"
    if rarely(rng, 0.15):
        a["nan"] = pick(rng, NANS)
        a["return_weight"] = rarely(rng, 0.5)
        if x.dtype.kind in "fc" and x.size and rarely(rng, 0.7):
            x[rng.random(x.shape) < 0.3] = np.nan
    if rarely(rng, 0.1):
        a["mask"] = rng.random(x.shape) < 0.7
    if rarely(rng, 0.5):
        a["method"] = pick(rng, methods.METHODS)


class Oracle(NamedTuple):
    """What must come out of one of FUNCTIONS."""

    name: str

    def options(self, a: dict[str, Any]) -> Options:
        names = {"axis": "axes"}
        left_out = ("x", "k", "ky", "kx", "method", "out")
        return Options(**{names.get(n, n): v for n, v in a.items() if n not in left_out})

    def asked(self, a: dict[str, Any]) -> Correlation:
        rank, convolve, factors = FUNCTIONS[self.name]
        k = OuterProduct(a["ky"], a["kx"]) if factors else a["k"]
        return correlation_arguments(rank, a["x"], k, self.options(a), convolve=convolve)

    def each(self, a: dict[str, Any]) -> list[Correlation]:
        """Those that have a kernel of their own."""
        c = self.asked(a)
        return [c.leading(at) for at in np.ndindex(c.shape[: -c.rank])] if c.has_own_kernels else [c]

    def of_reference(self, **a: Any) -> Any:
        if a.get("method", "auto") not in ("auto", "numpy"):
            for c in self.each(a):
                methods.choose(c, a["method"])  # not every method can do all
        return getattr(reference, self.name)(**{n: v for n, v in a.items() if n != "method"})

    def result(self, **a: Any) -> Any:
        """By brute force, where the reference has a result."""
        known = self.of_reference(**a)
        rank, convolve, factors = FUNCTIONS[self.name]
        if not factors and a["k"].ndim > rank:
            return self.apart(a)
        k = _outer(a["x"], a["ky"], a["kx"]) if factors else wide(a["k"])
        k = np.flip(k) if convolve else np.conj(k) if k.dtype != object else k
        dtype = (known[0] if isinstance(known, tuple) else known).dtype
        moved = a.get("axes", a.get("axis"))
        moved = tuple(range(-rank, 0)) if moved is None else np.atleast_1d(moved)
        x = np.moveaxis(wide(a["x"]), moved, range(-rank, 0))
        slides = self.slides(a, x.shape[-rank:], k.shape)
        fill = a["fillvalue"]
        if "mask" in a or a.get("nan") == "ignore" or a.get("return_weight"):
            counts = np.broadcast_to(a.get("mask", True), a["x"].shape)
            if a.get("nan") == "ignore" and a["x"].dtype.kind in "fc":
                counts = counts & ~np.isnan(a["x"])
            counts = np.moveaxis(counts, moved, range(-rank, 0))
            counts_beyond = not (a.get("nan") == "ignore" and np.isnan(fill))
            x, k = (v.astype(np.longdouble) if v.dtype == object else v for v in (x, k))
            above = _sums(np.where(counts, x, 0), k, slides, fill if counts_beyond else 0)
            weight = _sums(counts.astype(np.longdouble), np.abs(k).astype(np.longdouble), slides, float(counts_beyond))
            missing = _sums((~counts).astype(np.longdouble), np.ones(k.shape), slides, float(not counts_beyond))
            ratio = np.where(missing, np.abs(k).astype(np.longdouble).sum() / np.where(weight > 0, weight, np.nan), 1)
            scaled = above.copy()
            for part in (scaled.real, scaled.imag) if scaled.dtype.kind == "c" else (scaled,):
                part *= ratio  # a real number has no imaginary part
            y = np.where(weight > 0, scaled, complex(np.nan, np.nan) if scaled.dtype.kind == "c" else np.nan)
            y, weight = (np.moveaxis(v, range(-rank, 0), moved) for v in (y, weight))
            y = _cast(y, dtype, a.get("overflow", "raise"))
            return (y, weight.astype(known[1].dtype)) if a.get("return_weight") else y
        return np.moveaxis(_cast(_sums(x, k, slides, fill), dtype, a.get("overflow", "raise")), range(-rank, 0), moved)

    def apart(self, a: dict[str, Any]) -> Any:
        """Kernel by kernel."""
        rank = FUNCTIONS[self.name].rank
        moved = a.get("axes", a.get("axis", tuple(range(-rank, 0))))
        x, mask = (np.moveaxis(v, moved, range(-rank, 0)) for v in (a["x"], a.get("mask", np.full(a["x"].shape, True))))
        batch = np.broadcast_shapes(x.shape[:-rank], a["k"].shape[:-rank])
        x, mask, k = (np.broadcast_to(v, (*batch, *v.shape[v.ndim - rank :])) for v in (x, mask, a["k"]))
        rest = {n: v for n, v in a.items() if n not in ("axes", "axis")}
        made = []
        for at in np.ndindex(batch):
            of_one = {**rest, "x": x[at], "k": k[at]} | ({"mask": mask[at]} if "mask" in a else {})
            made.append(self.result(**of_one))
        if not made:
            return self.of_reference(**a)
        back = np.atleast_1d(moved) % a["x"].ndim + len(batch) + rank - a["x"].ndim

        def together(parts: Any) -> Array:
            whole = np.stack(parts)
            return np.moveaxis(whole.reshape(*batch, *whole.shape[1:]), range(-rank, 0), back)

        return tuple(map(together, zip(*made, strict=True))) if isinstance(made[0], tuple) else together(made)

    def slides(self, a: dict[str, Any], size: Any, kernel: Any) -> list[Slide]:
        rank, convolve, _ = FUNCTIONS[self.name]
        every = [np.broadcast_to(a.get(name, 1), rank).tolist() for name in ("stride", "dilation")]
        names = a["boundary"] if isinstance(a["boundary"], tuple) else (a["boundary"],) * rank
        slides = []
        for n, m, s, d, boundary in zip(size, kernel, *every, names, strict=True):
            span = (m - 1) * d + 1
            dense, lead = {
                "valid": (n - span + 1, 0),
                "same": (n, span // 2 if convolve else (span - 1) // 2),
                "full": (n + span - 1, span - 1),
            }[a["mode"]]
            pad = {"fill": "constant", "symm": "symmetric"}.get(boundary, boundary)
            slides.append(Slide(n, m, -(-dense // s), lead, s, d, pad))
        return slides

    def bound(self, a: dict[str, Any], kind: str) -> Any:
        def bound(got: Any) -> Any:
            c, each = self.asked(a), self.each(a)
            choices = [methods.choose(one, a.get("method", "auto")) for one in each]
            exact = all(choice.method in ("direct", "im2col", "numpy", "box") for choice in choices)
            if exact and kind == "whole" and not c.is_weighted and a["fillvalue"] in (0, 1, -2, 3):
                return 0
            if c.dtype.kind in "iu" and c.sum_dtype.kind == "f" and c.overflow == "wrap":
                return np.inf  # of large sums a small error is seen in all that is left
            most = [
                reference.error_bound(one, choice.factors, transformed=choice.points)
                for one, choice in zip(each, choices, strict=True)
            ]
            most = np.stack(most).reshape(c.shape) if most else np.zeros(c.shape)
            most = c._replace(out=None, asked_out=None).as_asked(most)
            if not c.return_weight:
                return most
            info = np.finfo(got[1].dtype)
            taps = np.abs(np.where(np.isfinite(c.k), c.k, 0)).astype(float)
            off = max((_left_out(one, choice) for one, choice in zip(each, choices, strict=True)), default=0.0)
            return most, (c.taps + 1) * (float(info.eps) * taps.sum() + float(info.smallest_subnormal)) + off

        return bound


def _left_out(c: Correlation, choice: methods.Choice) -> float:
    """What weights of one outer product are off by: its factors may be wider than the kernel, and are not rounded."""
    if not choice.factors or choice.factors[0].shape[0] > 1:
        return 0.0
    product = functools.reduce(np.multiply.outer, [f[0].astype(float) for f in choice.factors])
    return float(np.abs(product - c.k).sum())


def wide(a: Array) -> Array:
    """In what holds every sum: Python's integers, or long double."""
    if a.dtype.kind in "biu":
        return a.astype(np.int64 if a.dtype.kind == "b" else a.dtype).astype(object)
    return a.astype(np.clongdouble if a.dtype.kind == "c" else np.longdouble)


def _outer(x: Array, ky: Array, kx: Array) -> Array:
    """The kernel of two factors in the dtype that they have in common with x; of integers exactly."""
    common = np.result_type(x, ky, kx)
    exact = ky.dtype.kind in "biu" and kx.dtype.kind in "biu"
    with np.errstate(all="ignore"):
        if exact:
            return np.multiply.outer(wide(ky), wide(kx))
        return wide(np.multiply.outer(ky.astype(common), kx.astype(common)))


def _sums(x: Array, k: Array, slides: list[Slide], fill: Any) -> Array:
    """Of complex numbers part by part: a real one has no imaginary part."""
    fill = np.asarray(fill)[()]
    if not any(a.dtype.kind == "c" for a in (x, k)) and not (np.iscomplexobj(fill) and fill.imag):
        floats = object if x.dtype == k.dtype == object else np.longdouble
        return oracles.correlation(
            x.astype(floats), k.astype(floats), slides, int(fill.real) if floats is object else fill.real
        )

    def part(a: Any, imaginary: bool) -> Any:
        if np.asarray(a).dtype == object:
            a = np.asarray(a).astype(np.longdouble)
        return np.imag(a) if imaginary else np.real(a)

    is_complex = x.dtype.kind == "c" or (np.iscomplexobj(fill) and bool(fill.imag)), k.dtype.kind == "c"
    out = {True: 0, False: 0}
    for i in (False, True):
        for j in (False, True):
            if (not i or is_complex[0]) and (not j or is_complex[1]):
                term = oracles.correlation(part(x, i), part(k, j), slides, part(fill, i))
                out[i != j] = out[i != j] + (-term if i and j else term)
    y = np.empty(np.shape(out[False]), np.clongdouble)
    y.real, y.imag = out[False], out[True]
    return y


def _cast(y: Array, dtype: Any, overflow: str) -> Array:
    if dtype.kind in "fc":
        return y.astype(dtype)
    if y.dtype != object:
        y = np.rint(y)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if overflow == "saturate":
        return (
            np.array([min(max(v, low), high) for v in y.ravel()], object).astype(dtype).reshape(y.shape)
            if y.size
            else y.astype(dtype)
        )
    return np.array([(int(v) - low) % (high - low + 1) + low for v in y.ravel()], object).astype(dtype).reshape(y.shape)


def _also(rng: Rng, oracle: Oracle, a: dict[str, Any]) -> list[Also]:
    """Windows, and results put somewhere."""
    rank = FUNCTIONS[oracle.name].rank
    try:
        c = oracle.asked(a)
    except Exception:  # the call will end in the same
        return []
    cut = []
    for axis in c.axes:
        start, end = sorted(int(i) for i in rng.integers(0, axis.out + 1, 2))
        cut.append(slice(start, end, pick(rng, [1, 1, 2, 5])))
    moved = c.moved or tuple(range(len(c.shape) - rank, len(c.shape)))
    at: list[Any] = [slice(None)] * len(c.shape)
    for i, s in zip(moved, cut, strict=True):
        at[i] = s

    def part(y: Any) -> Any:
        return tuple(v[tuple(at)] for v in y) if isinstance(y, tuple) else y[tuple(at)]

    also = [Also(f"window {cut}", {"window": cut[0] if rank == 1 else cut}, part)]
    if c.dtype.kind in "iufc":
        shape = np.moveaxis(np.broadcast_to(0, c.shape), range(-rank, 0), moved).shape
        out = room(rng, shape, c.dtype)
        also.append(Also(f"out of strides {out.strides}", {"out": out}))
    return also
