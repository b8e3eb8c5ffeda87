# SPDX-License-Identifier: BSD-3-Clause
"""Random calls of fastconv.ndimage beside scipy.ndimage, whose bits they have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from calls_corr import DTYPES
from fuzz import MILD, Also, Array, Call, Rng, array, length, pick, rarely, room
from scipy import ndimage as original

from fastconv import ndimage
from fastconv.arguments.boundaries import NDIMAGE

WORK = 300_000  # products of one call at most
TYPES = [c for c in DTYPES if c != "e"]  # which SciPy refuses
OUTPUTS = ("?", "B", "b", "h", "H", "i", "I", "q", "Q", "f", "d")


def random_call(rng: Rng) -> Call:
    name = pick(rng, ndimage.__all__)
    kind = pick(rng, ["whole", "whole", "real", "spoilt"])
    ndim = pick(rng, [1, 1, 2, 2, 3, 4])
    longest = {1: 300, 2: 40, 3: 14, 4: 6}[ndim]
    shape = [WORK]
    while math.prod(shape) > WORK // 4:
        shape = [pick(rng, [1, 2, 3, length(rng, longest)]) for _ in range(ndim)]
    x = array(rng, shape, pick(rng, TYPES), kind)
    if x.dtype.kind == "c" and kind == "spoilt":
        return random_call(rng)  # what is inf - inf in the other part depends on how parts are taken apart
    a: dict[str, Any] = {"input": x}
    for take in TAKES[name]:
        take(rng, a, kind)
    bound = BOUNDS.get(name, lambda a, kind: 0)(a, kind)
    call = Call(f"ndimage.{name}", getattr(ndimage, name), a, _scipys(name), bound)
    if rarely(rng, 0.1):
        names = [n for n in a if n not in ("input", "axes", "derivative", "derivative2")]
        return call._replace(arguments=a | {pick(rng, names): pick(rng, MILD)}, bound=np.inf, wrong=True)
    if "output" not in a and x.dtype.kind != "c" and "weights" in a and a["weights"].dtype.kind != "c":
        return call._replace(also=(_into(rng, x), _in_place(x)) if x.dtype.kind != "b" else ())
    return call


def _scipys(name: str) -> Callable[..., Any]:
    def expected(**given: Any) -> Any:
        y = getattr(original, name)(**given)
        return y.view(np.uint8) != 0 if y.dtype.kind == "b" else y  # SciPy stores sums of bools as they are

    return expected


def _into(rng: Rng, x: Array) -> Also:
    out = room(rng, x.shape, x.dtype)
    return Also(f"output of strides {out.strides}", {"output": out})


def _in_place(x: Array) -> Also:
    both = x.copy()
    return Also("in place", {"input": both, "output": both})


# ---- arguments, as they are taken in turn ----------------------------------------------------------


def _mode(rng: Rng, a: dict[str, Any], kind: str) -> None:
    a["mode"] = pick(rng, NDIMAGE)
    a["cval"] = pick(rng, [0.0, 0.0, 1, -3.0, 2.5])
    if rarely(rng, 0.3) and a["input"].dtype.kind != "c":
        output = np.dtype(pick(rng, OUTPUTS))
        if kind == "spoilt" and output.kind in "biu":
            return  # what no integer holds is undefined
        a["output"] = output if rarely(rng, 0.5) else output.type


def _modes(rng: Rng, a: dict[str, Any], kind: str) -> None:
    _mode(rng, a, kind)
    if rarely(rng, 0.3):
        a["mode"] = [pick(rng, NDIMAGE) for _ in range(a["input"].ndim)]


def _axis(rng: Rng, a: dict[str, Any], kind: str) -> None:
    a["axis"] = int(rng.integers(-a["input"].ndim, a["input"].ndim))


def _axes(rng: Rng, a: dict[str, Any], kind: str) -> None:
    """Some axes, for all that comes after; other arguments are numbers then."""
    ndim = a["input"].ndim
    if rarely(rng, 0.3):
        a["axes"] = tuple(rng.permutation(ndim)[: int(rng.integers(1, ndim + 1))].tolist())
        a["mode"] = pick(rng, NDIMAGE)


def _over(a: dict[str, Any]) -> tuple[int, ...]:
    return a.get("axes", tuple(range(a["input"].ndim)))


def _taps(rng: Rng, a: dict[str, Any], kind: str) -> None:
    n = pick(rng, [1, 2, 3, 5, int(rng.integers(1, 40))])
    w = array(rng, (n,), pick(rng, "ddddfbD"), kind.replace("spoilt", "whole"))
    if w.dtype.kind != "b" and rarely(rng, 0.5):
        w = w + w[::-1] if rarely(rng, 0.5) else w - w[::-1]
    a["weights"] = w
    if w.dtype.kind == "c":
        a.pop("output", None)
        if a["input"].dtype.kind == "f" and not np.isfinite(a["input"]).all():
            a["input"] = np.ones_like(a["input"])
    a["origin"] = _origin(rng, n)


def _origin(rng: Rng, n: int) -> int:
    return int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) if rarely(rng, 0.5) else 0


def _kernel(rng: Rng, a: dict[str, Any], kind: str) -> None:
    over = _over(a)
    while True:
        # no longer than four times the axis: farther out SciPy's "reflect" is not what its correlate1d has
        longest = [min(4 * a["input"].shape[i], 12) for i in sorted(over)]
        shape = [min(pick(rng, [1, 2, 3, 4, int(rng.integers(1, 12))]), most) for most in longest]
        if math.prod(shape) * a["input"].size <= WORK:
            break
    w = array(rng, shape, pick(rng, "ddddfbD"), kind.replace("spoilt", "whole"))
    if rarely(rng, 0.4):
        w[rng.random(shape) < 0.6] = 0
    a["weights"] = w
    if w.dtype.kind == "c":
        a.pop("output", None)
        if a["input"].dtype.kind == "f" and not np.isfinite(a["input"]).all():
            a["input"] = np.ones_like(a["input"])
    a["origin"] = [_origin(rng, n) for n in shape] if rarely(rng, 0.5) else 0


def _size(rng: Rng, a: dict[str, Any], kind: str) -> None:
    a["size"] = pick(rng, [1, 2, 3, 4, 8, 16, int(rng.integers(1, 60))])
    a["origin"] = _origin(rng, a["size"])


def _sizes(rng: Rng, a: dict[str, Any], kind: str) -> None:
    over = _over(a)
    a["size"] = [pick(rng, [1, 2, 3, 4, 8, 16, int(rng.integers(1, 60))]) for _ in over]
    a["origin"] = [_origin(rng, n) for n in a["size"]]
    if rarely(rng, 0.5):
        a["size"], a["origin"] = a["size"][0], a["origin"][0]


def _sigma(rng: Rng, a: dict[str, Any], kind: str) -> None:
    a["sigma"] = pick(rng, [0.3, 0.7, 1, 1.5, 2.5, 6])


def _sigmas(rng: Rng, a: dict[str, Any], kind: str) -> None:
    a["sigma"] = (
        [pick(rng, [0, 0.3, 0.7, 1, 1.5, 2.5]) for _ in _over(a)] if rarely(rng, 0.4) else pick(rng, [0.7, 1, 2.5])
    )


def _order(rng: Rng, a: dict[str, Any], kind: str) -> None:
    a["order"] = pick(rng, [0, 0, 1, 2, 3, 5])
    if rarely(rng, 0.3):
        a["radius"] = int(rng.integers(0, 9))
    elif rarely(rng, 0.3):
        a["truncate"] = pick(rng, [1, 2.5, 6.0])


def _derivative(rng: Rng, a: dict[str, Any], kind: str) -> None:
    taps = array(rng, (3,), "d", "whole")

    def derivative(input: Any, axis: int, output: Any, mode: str, cval: Any) -> Any:
        return original.correlate1d(input, taps, axis, output, mode, cval)

    a["derivative"] = derivative


def _second(rng: Rng, a: dict[str, Any], kind: str) -> None:
    _derivative(rng, a, kind)
    a["derivative2"] = a.pop("derivative")


TAKES: dict[str, tuple[Callable[[Rng, dict[str, Any], str], None], ...]] = {
    "convolve": (_mode, _axes, _kernel),
    "convolve1d": (_mode, _axis, _taps),
    "correlate": (_mode, _axes, _kernel),
    "correlate1d": (_mode, _axis, _taps),
    "gaussian_filter": (_modes, _axes, _sigmas, _order),
    "gaussian_filter1d": (_mode, _axis, _sigma, _order),
    "gaussian_gradient_magnitude": (_modes, _sigma),
    "gaussian_laplace": (_modes, _axes, _sigmas),
    "generic_gradient_magnitude": (_modes, _axes, _derivative),
    "generic_laplace": (_modes, _axes, _second),
    "laplace": (_modes, _axes),
    "prewitt": (_modes, _axis),
    "sobel": (_modes, _axis),
    "uniform_filter": (_modes, _axes, _sizes),
    "uniform_filter1d": (_mode, _axis, _size),
}


# ---- where not to the bit --------------------------------------------------------------------------


def _largest(a: dict[str, Any]) -> float:
    values = np.append(a["input"].ravel(), a["cval"])
    return float(np.abs(np.where(np.isfinite(values), values, 0)).max())


def _of_kernel(a: dict[str, Any], kind: str) -> Any:
    """Sums of floats in any order, in float64: ``n u sum|x||w|`` each, and the rounding to the result's dtype."""
    w, largest = a["weights"], _largest(a)

    def bound(got: Any) -> Any:
        if got.dtype.kind not in "fc" or kind == "whole":
            return 0
        sums = float(np.abs(w).astype(float).sum()) * largest
        return 2 * (2 if got.dtype.kind == "c" else 1) * (w.size * 2.0**-52 + float(np.finfo(got.dtype).eps)) * sums

    return bound


def _of_mean(a: dict[str, Any], kind: str) -> Any:
    """SciPy's running sum adds up two roundings an element, of sums of ``size`` times the largest element at most. A
    mean of means begins with that error. Its NaN goes on to the end of the line: such calls are left to other tests."""
    if kind == "spoilt":
        return np.inf
    sizes, largest = np.atleast_1d(a["size"]), _largest(a)

    def bound(got: Any) -> Any:
        if got.dtype.kind not in "fc":  # of floats cut off on either side of an error; uint64 is more than doubles hold
            return 0 if a["input"].dtype.kind in "biu" and got.dtype != np.uint64 else np.inf
        longest = max(a["input"].shape) + 2 * int(sizes.max())
        return a["input"].ndim * (2 * longest * 2.0**-52 + float(np.finfo(got.dtype).eps)) * largest

    return bound


BOUNDS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "convolve": _of_kernel,
    "correlate": _of_kernel,
    "uniform_filter": _of_mean,
    "uniform_filter1d": _of_mean,
}
assert {*TAKES} == {*ndimage.__all__}
