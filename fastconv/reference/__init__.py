# SPDX-License-Identifier: BSD-3-Clause
"""The specification in NumPy: what every fast path must compute, and how far it may be off.

It is the test oracle, and what `method="numpy"` and `fastconv.checked()` run. Each function reads like
the formula; speed is no concern here.
"""

from fastconv.reference.activations import activate
from fastconv.reference.adjoints import (
    conv1d_input,
    conv1d_weight,
    conv2d_input,
    conv2d_weight,
    conv3d_input,
    conv3d_weight,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    transposed_error_bound,
    weight_error_bound,
)
from fastconv.reference.correlation import Counted as Counted
from fastconv.reference.correlation import convolve1d, convolve2d, convolve3d, corr1d, corr2d, corr3d, sepcorr2d
from fastconv.reference.correlation import counted as counted
from fastconv.reference.correlation import made_up as made_up
from fastconv.reference.correlation import normalised as normalised
from fastconv.reference.correlation import run as run
from fastconv.reference.correlation import taken_apart as taken_apart
from fastconv.reference.derivatives import differentiated as differentiated
from fastconv.reference.derivatives import gradient, gradient_error_bound
from fastconv.reference.layers import conv1d, conv2d, conv3d, layer_error_bound
from fastconv.reference.matching import match_error_bound, match_template
from fastconv.reference.rounding import FAINT as FAINT
from fastconv.reference.rounding import error_bound

__all__ = [
    "activate",
    "conv1d",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "conv3d",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve1d",
    "convolve2d",
    "convolve3d",
    "corr1d",
    "corr2d",
    "corr3d",
    "error_bound",
    "gradient",
    "gradient_error_bound",
    "layer_error_bound",
    "match_error_bound",
    "match_template",
    "sepcorr2d",
    "transposed_error_bound",
    "weight_error_bound",
]
