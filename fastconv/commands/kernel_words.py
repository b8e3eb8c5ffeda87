# SPDX-License-Identifier: BSD-3-Clause
"""Kernels on the command line: by name, from a file, or row by row."""

from __future__ import annotations

import argparse
import math
import re
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import kernels
from fastconv.commands import meant
from fastconv.pictures import RequestError, reason

Array = NDArray[Any]

TAKES = {  # each option that shapes a kernel: the names that have it
    option: [name for name, (make, *_) in kernels.NAMED.items() if option in signature(make).parameters]
    for option in ("size", "sigma", "theta")
}
MOST_TAPS = 2**24  # of a kernel: 4096 x 4096
MOST_SIGMA = 256  # where it decides the size: no kernel that has one reaches further than 16 times as many pixels
MOST_TEXT = 2**26  # characters of a file: /dev/zero is a text, too


def add(task: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a kernel."""
    task.add_argument(
        "-k",
        "--kernel",
        required=True,
        help=f"a name ({', '.join(kernels.NAMED)}), with its size behind a colon if you like (gaussian:5); or a .npy "
        'or .txt file of one matrix; or the matrix itself, rows apart by semicolons ("0 1 0; 1 -4 1; 0 1 0"). '
        "sobel, scharr and prewitt give the magnitude of the gradient",
    )
    task.add_argument("--size", type=int, help=f"rows and columns of the kernel; with {', '.join(TAKES['size'])}")
    task.add_argument(
        "--sigma",
        type=float,
        help=f"standard deviation in pixels; with {', '.join(TAKES['sigma'])}. Without --size the kernel reaches four",
    )
    task.add_argument(
        "--theta", type=float, help=f"direction of the wave in degrees, right is 0, down 90; with {TAKES['theta'][0]}"
    )


def chosen(arguments: argparse.Namespace) -> tuple[str, list[Array]]:
    """The name of the kernel, and what is behind it: one kernel, or the two of a gradient."""
    name, colon, size = arguments.kernel.partition(":")
    if not colon or name not in kernels.NAMED:
        name = arguments.kernel
    elif arguments.size is not None or not size.isdecimal():
        raise RequestError(f"--kernel {arguments.kernel}: one whole number says the size; --size then may not say it")
    how = {option: getattr(arguments, option) for option in TAKES}
    if colon and name != arguments.kernel:
        how["size"] = int(size)
    how = {option: value for option, value in how.items() if value is not None}
    makers = kernels.NAMED.get(name, ())
    bank = [] if makers else [_matrix(name)]
    for option, value in how.items():
        if name not in TAKES[option]:
            accepted = ", ".join(TAKES[option])
            raise RequestError(f"--{option} {value} does not apply to kernel {name!r}; it is accepted with: {accepted}")
    if how.get("size", 0) ** 2 > MOST_TAPS:
        raise RequestError(f"--size {how['size']} is too large; at most {math.isqrt(MOST_TAPS)}")
    if "size" not in how and how.get("sigma", 0) > MOST_SIGMA:
        raise RequestError(f"--sigma {how['sigma']} is too large without --size; at most {MOST_SIGMA}")
    if "theta" in how:
        how["theta"] = math.radians(how["theta"])
    try:
        return name, bank or [make(**how) for make in makers]
    except ValueError as error:
        raise RequestError(str(error)) from error


def _matrix(text: str) -> Array:
    """The kernel that a text is, or that the file of that name holds."""
    path = Path(text)
    if re.fullmatch(r"[-+.\d\seE,;]*\d[-+.\d\seE,;]*", text) and not path.exists():
        return _checked("--kernel", _numbers("--kernel", text.replace(";", "\n")))
    if path.suffix not in (".npy", ".txt"):
        accepted = f"accepted: {', '.join(kernels.NAMED)}, a .npy or .txt file, or rows of numbers"
        raise RequestError(f"unknown kernel {text!r}; {accepted}{meant(text, kernels.NAMED)}")
    try:
        if path.suffix == ".npy":
            # mapped: no more is read than is there
            return _checked(path, np.asarray(np.load(path, allow_pickle=False, mmap_mode="r")))
        with path.open(encoding="utf-8-sig") as file:
            read = file.read(MOST_TEXT + 1)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {reason(error)}") from error
    except (ValueError, EOFError) as error:
        raise RequestError(f"{path} is not a matrix of numbers: {error}") from error
    if len(read) > MOST_TEXT:
        raise RequestError(f"{path} is longer than {MOST_TEXT >> 20} MB; large kernels are for .npy files")
    return _checked(path, _numbers(path, read))


def _numbers(source: Path | str, text: str) -> Array:
    try:
        with warnings.catch_warnings(action="ignore"):
            return np.loadtxt(text.replace(",", " ").splitlines(), ndmin=2)
    except ValueError as error:
        said = str(error).partition("; use")[0]  # what follows is advice to programmers
        raise RequestError(f"{source} is not a matrix of numbers: {said}") from error


def _checked(source: Path | str, kernel: Array) -> Array:
    if kernel.ndim != 2 or kernel.size == 0 or kernel.dtype.kind not in "biuf":
        raise RequestError(
            f"{source} holds a {kernel.dtype} array of shape {kernel.shape}; "
            "accepted: a matrix of real numbers, not empty"
        )
    if kernel.size > MOST_TAPS:
        raise RequestError(f"{source} holds {kernel.size} numbers; a kernel has at most {MOST_TAPS}")
    with np.errstate(over="ignore"):  # of longdouble
        kernel = kernel.astype(np.float64)
    if not (np.abs(kernel) < 1e30).all():
        raise RequestError(f"{source} holds NaN or a number that is not below 1e30")
    return kernel
