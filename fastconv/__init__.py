# SPDX-License-Identifier: BSD-3-Clause
"""Cross-correlation and convolution on the CPU: fast, checked, the same bits for any thread count."""

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from fastconv.arguments.axes import halo
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
from fastconv.derivatives import gradient
from fastconv.lags import xcorr
from fastconv.patching import fallbacks, patch, patched, unpatch
from fastconv.plans import CacheInfo, cache_info, clear_cache, set_cache_limit
from fastconv.runtime import (
    CheckError,
    checked,
    get_num_threads,
    isas,
    set_num_threads,
    show_config,
    use_isa,
)

if TYPE_CHECKING:
    from fastconv.tiling import tiled

if TYPE_CHECKING:
    from fastconv import dense, feature, kernels, learning, ndimage, nn, reference, signal

__version__ = "0.1.0"

__all__ = [
    "CacheInfo",
    "CheckError",
    "Explanation",
    "cache_info",
    "checked",
    "clear_cache",
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
    "gradient",
    "halo",
    "isas",
    "kernels",
    "learning",
    "ndimage",
    "nn",
    "patch",
    "patched",
    "reference",
    "sepcorr2d",
    "set_cache_limit",
    "set_num_threads",
    "show_config",
    "signal",
    "tiled",
    "unpatch",
    "use_isa",
    "xcorr",
]

MODULES = {
    "dask",
    "dense",
    "feature",
    "kernels",
    "learning",
    "ndimage",
    "nn",
    "onnx",
    "plot",
    "reference",
    "signal",
    "torch",
}

NEEDED = {
    "dask": "dask",
    "onnx": "onnx",
    "plot": "matplotlib",
    "torch": "torch",
}  # by modules of which not all can be used

if not TYPE_CHECKING:  # or a type checker would find every name here

    def __getattr__(name: str) -> Any:
        """Import a public module when it is first asked for, and what `tiled` needs: few programs need all of them."""
        if name in MODULES:
            return importlib.import_module(f"fastconv.{name}")
        if name == "tiled":
            return importlib.import_module("fastconv.tiling").tiled
        raise AttributeError(f"module 'fastconv' has no attribute {name!r}", name=name, obj=sys.modules[__name__])

    def __dir__() -> list[str]:
        """Public names: no module of the package's own, and those that need another package where that is."""
        there = (name for name, needed in NEEDED.items() if importlib.util.find_spec(needed))
        return sorted({*__all__, "__version__", "typing", *there})
