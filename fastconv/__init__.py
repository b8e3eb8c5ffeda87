# SPDX-License-Identifier: BSD-3-Clause
"""Cross-correlation and convolution on the CPU: fast, checked, the same bits for any thread count."""

from fastconv import dense, feature, kernels, ndimage, nn, reference, signal
from fastconv.arguments import halo
from fastconv.correlation import (
    Explanation,
    convolve1d,
    convolve2d,
    convolve3d,
    corr1d,
    corr2d,
    corr3d,
    explain,
    sepcorr2d,
)
from fastconv.patching import fallbacks, patch, patched, unpatch
from fastconv.runtime import (
    CheckError,
    checked,
    get_num_threads,
    isas,
    set_num_threads,
    show_config,
    use_isa,
)

__version__ = "0.1.0"

__all__ = [
    "CheckError",
    "Explanation",
    "checked",
    "convolve1d",
    "convolve2d",
    "convolve3d",
    "corr1d",
    "corr2d",
    "corr3d",
    "dense",
    "explain",
    "fallbacks",
    "feature",
    "get_num_threads",
    "halo",
    "isas",
    "kernels",
    "ndimage",
    "nn",
    "patch",
    "patched",
    "reference",
    "sepcorr2d",
    "set_num_threads",
    "show_config",
    "signal",
    "unpatch",
    "use_isa",
]
