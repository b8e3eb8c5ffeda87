# SPDX-License-Identifier: BSD-3-Clause
"""Cross-correlation and convolution on the CPU: fast, checked, the same bits for any thread count."""

from fastconv import kernels, reference
from fastconv.correlation import Explanation, convolve2d, corr2d, explain
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
    "convolve2d",
    "corr2d",
    "explain",
    "get_num_threads",
    "isas",
    "kernels",
    "reference",
    "set_num_threads",
    "show_config",
    "use_isa",
]
