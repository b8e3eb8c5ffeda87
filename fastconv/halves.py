# SPDX-License-Identifier: BSD-3-Clause
"""float16 to float32, in which it is computed, and back: NumPy's `astype`, by the extension's vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.runtime import _core

PAIRS = {(np.dtype(np.float16), np.dtype(np.float32)), (np.dtype(np.float32), np.dtype(np.float16))}


def recast(a: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """a itself if it has that dtype; else a copy, whose axes lie in memory as a's do where a has no gaps."""
    if a.dtype == dtype:
        return a
    order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
    dense = a.transpose(order)
    if _core is None or (a.dtype, dtype) not in PAIRS or not (dense.flags.c_contiguous and a.flags.aligned):
        return a.astype(dtype)
    to: NDArray[Any] = np.empty(dense.shape, dtype)
    _core.recast(to, dense)
    return to.transpose(np.argsort(order))
