# SPDX-License-Identifier: BSD-3-Clause
"""Types of arguments: the words that they take, and a few that several functions share.

A type checker reports a word that is none of these, ``corr2d(x, k, mode="smae")``, and a `str` that could be any word,
as with SciPy's types: a variable that holds a word is declared as one, and what comes from outside is cast.

>>> from typing import cast
>>> from fastconv.typing import Mode
>>> mode: Mode = "same"
>>> mode = cast(Mode, "valid")
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from fastconv.arguments import boundaries

__all__ = [
    "Accuracy",
    "Activation",
    "Boundaries",
    "Boundary",
    "ConvMethod",
    "Derivative",
    "Explained",
    "FilterMode",
    "FilterModes",
    "FoldMethod",
    "GradientMethod",
    "IntOrTuple",
    "LayerMethod",
    "Layout",
    "Layout1d",
    "Layout2d",
    "Layout3d",
    "Measure",
    "Method",
    "Mode",
    "Nan",
    "Norm",
    "Normalize",
    "Overflow",
    "PadMode",
    "Padding",
    "PaddingMode",
    "PoolMethod",
    "PoolPadding",
    "SignalBoundary",
    "Window",
]

IntOrTuple: TypeAlias = int | Sequence[int]

# Correlation
Mode: TypeAlias = Literal["valid", "same", "full"]
Boundary: TypeAlias = boundaries.OwnName
Boundaries: TypeAlias = Boundary | tuple[Boundary, ...]
Window: TypeAlias = slice | Sequence[slice]
Overflow: TypeAlias = Literal["raise", "saturate", "wrap"]
Nan: TypeAlias = Literal["propagate", "ignore"]
Derivative: TypeAlias = Literal["sobel", "scharr", "prewitt"]
Norm: TypeAlias = Literal["l1", "l2"]
Normalize: TypeAlias = Literal["none", "coeff", "pearson"]
Method: TypeAlias = Literal["auto", "direct", "im2col", "separable", "box", "fft", "numpy"]

# signal and ndimage, in SciPy's words
SignalBoundary: TypeAlias = boundaries.SignalName
ConvMethod: TypeAlias = Literal["auto", "direct", "fft"]
FilterMode: TypeAlias = boundaries.NdimageName
FilterModes: TypeAlias = FilterMode | Sequence[FilterMode]

# nn
Padding: TypeAlias = int | Literal["valid", "same", "same_lower"] | Sequence[int] | Sequence[Sequence[int]]
PoolPadding: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]]
PaddingMode: TypeAlias = boundaries.PaddingName
Activation: TypeAlias = (
    Literal["relu", "relu6", "leaky_relu", "hardsigmoid", "hardswish", "sigmoid", "silu", "tanh", "gelu", "gelu_tanh"]
    | tuple[Literal["leaky_relu"], float]
    | Sequence[float]
    | None
)
Layout1d: TypeAlias = Literal["NCW", "NWC"]
Layout2d: TypeAlias = Literal["NCHW", "NHWC"]
Layout3d: TypeAlias = Literal["NCDHW", "NDHWC"]
Layout: TypeAlias = Layout1d | Layout2d | Layout3d
LayerMethod: TypeAlias = Literal["auto", "direct", "winograd", "fft", "im2col", "numpy"]
Explained: TypeAlias = Literal["output", "input", "weight"]
GradientMethod: TypeAlias = Literal["auto", "direct", "winograd", "im2col", "numpy"]
FoldMethod: TypeAlias = Literal["auto", "direct", "im2col", "numpy"]
PoolMethod: TypeAlias = Literal["auto", "direct", "numpy"]
Accuracy: TypeAlias = Literal["exact", "default", "fast"]

# feature
Measure: TypeAlias = Literal["ccoeff_normed", "ccoeff", "ccorr_normed", "ccorr", "sqdiff_normed", "sqdiff"]
PadMode: TypeAlias = Literal[boundaries.Name, "linear_ramp", "maximum", "mean", "median", "minimum"]
