# SPDX-License-Identifier: BSD-3-Clause
"""Filters of `ndimage` that are made of others: of the parts of complex numbers, and sums over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.arguments.filters import axes_of, each, output_of
from fastconv.arguments.values import as_array
from fastconv.plans import Answer
from fastconv.runtime import _core


def by_parts(
    filter: Callable[..., Any], x: NDArray[Any], w: NDArray[Any], out: NDArray[Any], cval: Any, **how: Any
) -> NDArray[Any]:
    """Filters of real and imaginary parts; either of x and w may be real."""
    if x.dtype.kind != "c" and np.iscomplexobj(cval):
        raise ValueError("Cannot provide a complex-valued cval when the input is real.")
    if np.may_share_memory(x, out):
        x = x.copy()
    if w.dtype.kind != "c":
        filter(x.real, w, output=out.real, cval=np.real(cval), **how)
        filter(x.imag, w, output=out.imag, cval=np.imag(cval), **how)
    elif x.dtype.kind != "c":
        filter(x, w.real, output=out.real, cval=cval, **how)
        filter(x, w.imag, output=out.imag, cval=cval, **how)
    else:
        filter(x.real, w.real, output=out.real, cval=np.real(cval), **how)
        out.real -= filter(x.imag, w.imag, cval=np.imag(cval), **how)
        filter(x.real, w.imag, output=out.imag, cval=np.real(cval), **how)
        out.imag += filter(x.imag, w.real, cval=np.imag(cval), **how)
    return out


def sum_over_axes(
    input: Any,
    derivative: Callable[..., Any],
    output: Any,
    mode: Any,
    cval: Any,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any] | None,
    axes: Any,
    *,
    squared: bool,
) -> Answer:
    """The sum of derivatives along axes; or of their squares, and then its root."""
    x = as_array(input, "input")
    out = output_of(output, x)
    over = axes_of(axes, x.ndim)
    if not over:
        out[...] = x
        return Answer(out)
    modes = each(mode, len(over), "mode")
    if keywords is not None and not isinstance(keywords, Mapping):
        raise TypeError(f"extra_keywords must be a mapping; got {keywords!r}")
    if not np.iterable(arguments):
        raise TypeError(f"extra_arguments must be a tuple; got {arguments!r}")
    parts: list[Any] = []
    total = out  # or an array of its own, so that out is left alone until nothing can fail
    if out is output:
        if len(over) > 1:
            total = np.empty(out.shape, out.dtype)
        if np.may_share_memory(x, out):
            x = x if total is not out else x.copy()
            parts.append(None)
    for i, (a, m) in enumerate(zip(over, modes, strict=True)):
        made = derivative(x, a, total if i == 0 else out.dtype, m, cval, *arguments, **(keywords or {}))
        part, plan = made[:2] if type(made) is Answer else (made, None)
        parts.append(plan)
        if i == 0:
            part = total
        if squared:
            np.multiply(part, part, part)
        if i > 0:
            total += part
    if squared:
        np.sqrt(total, out, casting="unsafe")
    elif total is not out:
        out[...] = total
    if _core is None or None in parts:
        return Answer(out)
    return Answer(out, _core.FilterPlan("magnitude" if squared else "sum", parts, out.dtype, out))
