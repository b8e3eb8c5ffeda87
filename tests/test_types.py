# SPDX-License-Identifier: BSD-3-Clause
"""What type checkers see is what comes out: run by pytest, and read by mypy and pyright (strict) in .ci/run."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, assert_type, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

import fastconv
from fastconv import kernels, ndimage, nn, signal, typing
from fastconv.arguments import boundaries
from fastconv.feature import match_template

x: NDArray[np.float32] = np.ones((5, 6), np.float32)
k: NDArray[np.float32] = np.ones((3, 3), np.float32)
row: NDArray[np.float32] = np.ones(5, np.float32)
pixels: NDArray[np.uint8] = np.ones((5, 6), np.uint8)
unsigned: NDArray[np.uint64] = np.ones((3, 3), np.uint64)
is_seen: NDArray[np.bool] = np.ones((5, 6), bool)


def test_correlation() -> None:
    y = fastconv.corr2d(x, k, "same", stride=2)
    assert_type(y, NDArray[np.float32])
    assert y.dtype == np.float32
    wide = fastconv.convolve2d(x, k, dtype=np.float64)
    assert_type(wide, NDArray[np.float64])
    assert wide.dtype == np.float64
    assert_type(fastconv.corr2d(pixels, k), Any)
    assert_type(fastconv.corr1d(row, row, axis=0), NDArray[np.float32])
    assert_type(fastconv.sepcorr2d(x, row, row, "full", axes=(0, 1)), NDArray[np.float32])
    assert_type(fastconv.corr3d(x[None], k[None], boundary=("wrap", "edge", "symm")), NDArray[np.float32])


def test_sums_of_integers() -> None:
    sums = fastconv.corr2d(pixels, unsigned)
    assert_type(sums, NDArray[np.int64])
    assert sums.dtype == np.int64
    large = fastconv.convolve2d(unsigned, unsigned)
    assert_type(large, NDArray[np.uint64])
    assert large.dtype == np.uint64
    counts = fastconv.convolve2d(is_seen, is_seen)
    assert_type(counts, NDArray[np.int64])
    assert counts.dtype == np.int64
    assert_type(fastconv.corr2d(pixels, pixels, dtype=np.uint8, overflow="saturate"), NDArray[np.uint8])
    mean = fastconv.corr2d(pixels, pixels, mask=is_seen)  # float64, as told by no type: weights are no integers
    assert_type(mean, Any)
    assert mean.dtype == np.float64


def test_gradients() -> None:
    y = fastconv.gradient(x, norm="l2")
    assert_type(y, NDArray[np.float32])
    assert y.dtype == np.float32
    derivatives = fastconv.gradient(pixels, "scharr", dtype=np.int16)
    assert_type(derivatives, NDArray[np.int16])
    assert derivatives.dtype == np.int16


def test_words() -> None:
    """Words that no function takes are errors for a type checker, as they are when they are called."""
    with pytest.raises(ValueError, match="mode"):
        fastconv.corr2d(x, k, "smae")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="boundary"):
        fastconv.corr2d(x, k, boundary=("wrap", "egde"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overflow"):
        fastconv.corr1d(row, row, overflow="clip")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="nan"):
        fastconv.corr2d(x, k, nan="omit")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="method"):
        fastconv.sepcorr2d(x, row, row, method="winograd")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="method"):
        fastconv.explain((5, 6), (3, 3), method="winograd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode"):
        signal.fftconvolve(x, k, "smae")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="boundary"):
        signal.convolve2d(x, k, boundary="edge")  # type: ignore[call-overload]
    with pytest.raises(RuntimeError, match="mode"):
        ndimage.sobel(x, mode="edge")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="mode"):
        ndimage.gaussian_filter(x, 1, mode=["wrap", "edge"])  # type: ignore[list-item]
    mode: typing.Mode = "same"
    assert_type(fastconv.corr2d(x, k, mode), NDArray[np.float32])


def test_signal() -> None:
    assert_type(signal.correlate2d(x, k), NDArray[np.float32])
    same = signal.convolve2d(pixels, pixels)
    assert_type(same, NDArray[np.uint8])
    assert same.dtype == np.uint8
    assert_type(signal.fftconvolve(x, k), NDArray[np.float32])
    assert_type(signal.choose_conv_method(x, k), Literal["direct", "fft"])
    times = signal.choose_conv_method(x, k, measure=True)
    assert_type(times, tuple[Literal["direct", "fft"], dict[str, float]])
    assert_type(signal.correlate2d(x, pixels), NDArray[Any])


def test_ndimage() -> None:
    blurred = ndimage.gaussian_filter(pixels, 1)
    assert_type(blurred, NDArray[np.uint8])
    assert blurred.dtype == np.uint8
    assert_type(ndimage.sobel(pixels, output=np.int16), NDArray[np.int16])
    out: NDArray[np.float64] = np.empty((5, 6))
    assert_type(ndimage.correlate(x, k, output=out), NDArray[np.float64])
    assert_type(ndimage.uniform_filter([[1, 2]], 3), NDArray[Any])
    waves = ndimage.correlate1d(x, [1j, 1])
    assert_type(waves, NDArray[Any])
    assert waves.dtype == np.complex64


def test_nn() -> None:
    y = nn.conv2d(x[None], k[None, None], padding="same", activation="relu", layout="NCHW")
    assert_type(y, NDArray[np.float32])
    assert y.dtype == np.float32
    wide = nn.conv2d(pixels[None], [[[[1.0]]]], dtype=np.float64)
    assert_type(wide, NDArray[np.float64])
    assert wide.dtype == np.float64
    assert_type(nn.conv1d([[1.0, 2.0]], [[[1.0]]]), NDArray[Any])
    assert_type(nn.conv_transpose2d(x[None], k[None, None], stride=2), NDArray[np.float32])
    assert_type(nn.conv2d_input((1, 7, 8), k[None, None], x[None]), NDArray[np.float32])
    weight = nn.conv2d_weight(x[None], (1, 1, 3, 4), k[None])
    assert_type(weight, NDArray[np.float32])
    assert_type(nn.conv2d_bias(x[None]), NDArray[np.float32])
    assert_type(nn.fold(nn.unfold(x[None], 3), (5, 6), 3), NDArray[np.float32])
    with pytest.raises(ValueError, match="padding"):
        nn.conv2d(x[None], k[None, None], padding="smae")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="padding_mode"):
        nn.conv2d(x[None], k[None, None], padding_mode="wrap")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="layout"):
        nn.conv2d(x[None], k[None, None], layout="NCW")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="method"):
        nn.unfold(x[None], 3, method="fft")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="padding_mode"):
        nn.Conv2d(1, 1, 3, padding_mode="wrap")  # type: ignore[arg-type]


def test_kernels() -> None:
    blur = kernels.gaussian(5)
    assert_type(blur, NDArray[np.float32])
    assert blur.dtype == np.float32
    assert_type(kernels.sobel(0, dtype=np.int16), NDArray[np.int16])
    assert_type(kernels.gabor(5, dtype=np.dtype(np.float64)), NDArray[np.float64])
    assert_type(kernels.laplacian(dtype="int8"), NDArray[Any])
    assert_type(fastconv.corr2d(x, kernels.scharr()), NDArray[np.float32])


def test_match_template() -> None:
    scores = match_template(x, k)
    assert_type(scores, NDArray[np.float32])
    assert scores.dtype == np.float32
    exact = match_template(pixels, k, pad_input=True, mode="linear_ramp")
    assert_type(exact, NDArray[np.float64])
    assert exact.dtype == np.float64
    assert_type(match_template(pixels, k, dtype=np.float32), NDArray[np.float32])
    assert_type(match_template(x, k, out=scores, axes=(0, 1)), NDArray[np.float32])
    assert_type(match_template([[1, 2]], [[1]]), NDArray[Any])
    with pytest.raises(ValueError, match="method"):
        match_template(x, k, method="ncc")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="mode"):
        match_template(x, k, True, "smae")  # type: ignore[call-overload]


# ---- what type checkers do not compare --------------------------------------------------------------

PACKAGE = Path(fastconv.__file__).parent
STUBS = sorted(path for path in PACKAGE.rglob("*.pyi") if path.stem != "_core")
PROTOCOLS = [
    pytest.param(path, node.target.id, node.annotation.id, id=f"{path.stem}.{node.target.id}")
    for path in STUBS
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.annotation, ast.Name)
    if node.annotation.id.startswith("_")
]


@pytest.mark.parametrize(("path", "name", "protocol"), PROTOCOLS)
def test_protocols_are_the_signatures_of_functions(path: Path, name: str, protocol: str) -> None:
    """Parameters, their order and defaults are the function's, in every overload; those of ** come in any order."""
    module = ".".join(("fastconv", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    right = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    classes = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
    calls = [node for node in classes[protocol].body if isinstance(node, ast.FunctionDef)]
    assert len(calls) > 1
    for call in calls:
        a = call.args
        positional = [(arg.arg, False) for arg in a.args[1:]]
        named = [(arg.arg, True) for arg in a.kwonlyargs]
        defaults = [*([None] * (len(a.args) - len(a.defaults))), *a.defaults][1:] + a.kw_defaults
        if a.kwarg is not None and isinstance(a.kwarg.annotation, ast.Subscript):  # Unpack[...]
            assert isinstance(a.kwarg.annotation.slice, ast.Name)
            more = _fields(classes, a.kwarg.annotation.slice.id)
            named += [(field, True) for field in more]
            assert all(right[field].default is not inspect.Parameter.empty for field in more)
        others = [p for p in right.values() if p.kind is not p.VAR_KEYWORD]
        assert positional == [(p.name, False) for p in others if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert sorted(named) == sorted((p.name, True) for p in others if p.kind is p.KEYWORD_ONLY)
        for (argument, _), default in zip(positional + named, defaults, strict=False):
            if default is not None and not (isinstance(default, ast.Constant) and default.value is Ellipsis):
                assert ast.literal_eval(default) == right[argument].default
            elif default is not None:
                assert right[argument].default is not inspect.Parameter.empty


def _fields(classes: dict[str, ast.ClassDef], name: str) -> list[str]:
    """Of a TypedDict and those that it extends."""
    own = [n.target.id for n in classes[name].body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
    return [field for base in bases if base in classes for field in _fields(classes, base)] + own


@pytest.mark.parametrize(
    ("words", "table"),
    [
        (boundaries.Name, boundaries.NAMES),
        (typing.Boundary, boundaries.BOUNDARIES),
        (typing.SignalBoundary, boundaries.SIGNAL),
        (typing.FilterMode, boundaries.NDIMAGE),
        (typing.PaddingMode, boundaries.PADDING_MODES),
        (typing.ConvMethod, signal.METHODS),
    ],
)
def test_words_are_those_that_are_accepted(words: Any, table: Collection[str]) -> None:
    assert get_args(words) == tuple(table)
