# SPDX-License-Identifier: BSD-3-Clause
"""Random template matchings, beside the formulas window by window in long double."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracles
from calls_corr import DTYPES
from fuzz import Also, Array, Call, Rng, array, length, pick, rarely, room, spoilt
from oracles import Slide

from fastconv import feature, reference
from fastconv.arguments import matching
from fastconv.arguments.boundaries import BOUNDARIES

WORK = 60_000  # elements of windows at most
TYPES = [c for c in DTYPES if np.dtype(c).kind in "biuf"]


def random_call(rng: Rng) -> Call:
    ndim = pick(rng, [2, 2, 2, 3])
    longest = {2: 30, 3: 9}[ndim]
    while True:
        template = [pick(rng, [1, 2, 3, 5, int(rng.integers(1, longest))]) for _ in range(ndim)]
        image = [n + (0 if rarely(rng, 0.2) else length(rng, 2 * longest) - 1) for n in template]
        if np.prod(image) * np.prod(template) <= WORK:
            break
    kind = pick(rng, ["whole", "real", "real", "spoilt"])
    dtype = pick(rng, TYPES)
    x, t = (
        array(rng, image, dtype, kind),
        array(rng, template, pick(rng, [dtype, "d"]), kind.replace("spoilt", "whole")),
    )
    a: dict[str, Any] = {"image": x, "template": t}
    if rarely(rng, 0.5):
        place = tuple(slice(n - m, n) for n, m in zip(image, template, strict=True))
        t[...] = x[place]  # found, to the bit
    if rarely(rng, 0.5):
        a |= {"pad_input": True, "mode": pick(rng, matching.PAD_MODES)}
        if a["mode"] == "constant":
            a["constant_values"] = pick(rng, [0, 1, -2.5])
        if a["mode"] not in BOUNDARIES and not np.isfinite(x.astype(float)).all():
            a["mode"] = "edge"
    if rarely(rng, 0.6):
        a["method"] = pick(rng, matching.MEASURES)
    if rarely(rng, 0.3):
        mask = rng.random(template) < 0.7 if rarely(rng, 0.5) else rng.integers(0, 4, template).astype(float)
        mask.flat[0] = 1
        a["mask"] = mask
    if rarely(rng, 0.2):
        a["dtype"] = pick(rng, ["f", "d", ">f4"])

    def bound(got: Any) -> Any:
        return reference.match_error_bound(matching.matching_arguments(**a))

    call = Call("feature.match_template", feature.match_template, a, _expected, bound)
    if ndim == 3 and rarely(rng, 0.6):
        a["axes"] = pick(rng, [(0, 1), (1, 2), (2, 0)])
        (channels,) = {0, 1, 2} - {*a["axes"]}
        cut = (slice(None),) * channels + (slice(template[channels]),)
        a["image"] = x[cut]
        if "mask" in a and rarely(rng, 0.3):
            a["mask"] = a["mask"].take(0, channels)
            a["mask"].flat[0] = 1

    if rarely(rng, 0.1):
        return spoilt(rng, call, reference.match_template, [*a])
    m = matching.matching_arguments(**a)
    out = room(rng, m.shape[m.has_channels :], m.dtype)
    return call._replace(also=(Also(f"out of strides {out.strides}", {"out": out}),))


def _expected(image: Array, template: Array, **how: Any) -> Array:
    dtype = np.dtype(how.get("dtype") or ("f" if image.dtype.kind == "f" and image.dtype.itemsize <= 4 else "d"))
    size, out, lead = (
        image.shape,
        [n - m + 1 for n, m in zip(image.shape, template.shape, strict=True)],
        [0] * image.ndim,
    )
    pad, fill, x = "constant", 0, image.astype(np.longdouble)
    channels = next(iter({*range(image.ndim)} - {*how.get("axes", range(image.ndim))}), None)
    if how.get("pad_input"):
        out, lead = list(size), [m // 2 for m in template.shape]
        pad, fill = how["mode"], how.get("constant_values", 0)
        if channels is not None:
            out[channels], lead[channels] = 1, 0
        if pad not in BOUNDARIES:
            sides = [(0 if axis == channels else m,) * 2 for axis, m in enumerate(template.shape)]
            x = np.pad(image.astype(dtype.newbyteorder("=")), sides, pad).astype(np.longdouble)
            lead, pad = [p - m for p, (m, _) in zip(lead, sides, strict=True)], "constant"
    slides = [Slide(n, m, o, p, 1, 1, pad) for n, m, o, p in zip(x.shape, template.shape, out, lead, strict=True)]
    X, T = oracles.with_nothing(x, x.ndim, fill)[oracles.seen(slides)], template.astype(np.longdouble).ravel()
    mask = how.get("mask", np.ones(template.shape))
    if mask.ndim < template.ndim and channels is not None:
        mask = np.broadcast_to(np.expand_dims(mask, channels), template.shape)
    M = mask.astype(np.longdouble).ravel()
    part = np.zeros(template.shape, int) if channels is None else np.indices(template.shape)[channels]
    X, T, part, M = X[:, M > 0], T[M > 0], part.ravel()[M > 0], M[M > 0]
    spoilt = ~(np.isfinite(X).all(1) & np.isfinite(T).all())
    scores = _scores(X, T, M, part, how.get("method", "ccoeff_normed"))
    if channels is not None:
        del out[channels]
    return np.where(spoilt, np.nan, scores).reshape(out).astype(dtype.newbyteorder("="))


def _scores(X: Array, T: Array, M: Array, part: Array, measure: str) -> Array:
    """Of windows X, which are overwritten, as T is. part: which pixels have a mean of their own."""
    name, _, normed = measure.partition("_")
    with np.errstate(all="ignore"):
        for p in np.unique(part) if name == "ccoeff" else ():
            of = np.flatnonzero(part == p)
            for a in X, T[None]:
                even = (a[:, of[:1]] == a[:, of]).all(1)
                a[:, of] -= (a[:, of] * M[of]).sum(1, keepdims=True) / M[of].sum()
                a[np.ix_(even, of)] = 0
        X, T = M * X, M * T
        scores = ((T - X) ** 2).sum(1) if name == "sqdiff" else (T * X).sum(1)
        if normed:
            norms = np.sqrt((T**2).sum()) * np.sqrt((X**2).sum(1))
            least, undefined = (0, scores > 0) if name == "sqdiff" else (-1, 0)
            scores = np.where(norms == 0, undefined, np.clip(scores / norms, least, 1))
    return scores
