# SPDX-License-Identifier: BSD-3-Clause
"""Layers and weights in files: .npz, which `numpy.savez` writes, and safetensors.

A file is not trusted: nothing in it is executed, and what is read of it takes no more memory than it is long, whatever
it claims.
"""

from __future__ import annotations

import importlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastconv.files import written_whole

__all__ = ["read_weights"]

File = str | os.PathLike[str] | BinaryIO
OPTIONS = "options"  # the array of a layer's file that says, in JSON, what layer it is
NUMBERS = "fiub"  # kinds of dtypes
Made = TypeVar("Made")


def write_layer(file: File, options: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write what a layer is made of to a path, as a whole or not at all, or to an open file."""
    plain = json.dumps(options, default=lambda value: value.tolist())  # NumPy's numbers and arrays
    named: dict[str, Any] = {OPTIONS: np.array(plain)} | arrays
    if hasattr(file, "write"):
        np.savez(file, **named)
    else:
        with written_whole(Path(file)) as whole:
            np.savez(whole, **named)


def read_layer(file: File, kind: str, make: Callable[[dict[str, Any], dict[str, NDArray[Any]]], Made]) -> Made:
    """What `make` makes of the options and arrays in a file; kind: of what, for the message.

    Raises
    ------
    ValueError
        The file holds something else.
    OSError, MemoryError
        It cannot be read.
    """
    try:
        arrays = _arrays(file, {OPTIONS: "U"}, "fiu")
        if OPTIONS not in arrays:
            raise ValueError(f"it holds {', '.join(arrays) or 'nothing'}, and no {OPTIONS}")
        options = json.loads(str(arrays.pop(OPTIONS)))
        return make(_tuples(options), arrays)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # what is no such file is refused in many ways
        raise ValueError(f"{_name(file)} is no file of a {kind}: {error}") from error


def read_weights(file: str | os.PathLike[str] | BinaryIO) -> dict[str, NDArray[Any]]:
    """The arrays in a file of weights, by name, for `load_state_dict`.

    Parameters
    ----------
    file : path or open file
        Of .npz, as `numpy.savez` writes it: not compressed, and without Python objects. Or a path of safetensors,
        which needs the package of that name: ``pip install "fastconv[safetensors]"``.

    Raises
    ------
    ValueError
        The file is damaged, of another kind, compressed, or holds something else than numbers.
    OSError, MemoryError, ImportError
        It cannot be read.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from fastconv import nn
    >>> layer = nn.Linear(3, 2, seed=0)
    >>> file = io.BytesIO()
    >>> np.savez(file, **layer.state_dict())
    >>> again = nn.Linear(3, 2, seed=1)
    >>> again.load_state_dict(nn.read_weights(file))
    >>> bool((again.weight == layer.weight).all())
    True
    """
    if not hasattr(file, "read") and not _is_zip(file):
        return _safetensors(os.fspath(file))
    try:
        return _arrays(file, {}, NUMBERS)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{_name(file)} is no .npz file of weights: {error}") from error


def _name(file: File) -> str:
    return str(getattr(file, "name", "the open file")) if hasattr(file, "read") else os.fspath(file)


def _is_zip(path: str | os.PathLike[str]) -> bool:
    with Path(path).open("rb") as file:
        return file.read(2) == b"PK"


def _arrays(file: File, kinds: dict[str, str], others: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file. kinds, others: the kinds of their dtypes, by name and of the rest."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        assert archive.fp is not None
        if sum(member.file_size for member in members) > archive.fp.seek(0, os.SEEK_END):
            packed = next((m.filename for m in members if m.compress_type != zipfile.ZIP_STORED), None)
            raise ValueError(f"{packed} is compressed" if packed else "its members claim more than it holds")
        arrays = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed; numpy.savez writes what can be read")
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                if version != (1, 0):
                    raise ValueError(f"{name} has a header of version {version}")
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
                if dtype.kind not in kinds.get(name, others):
                    raise ValueError(f"{name} has dtype {dtype}")
                arrays[name] = np.ndarray(shape, dtype, stream.read(), order="F" if fortran else "C")
        return arrays


def _safetensors(path: str) -> dict[str, NDArray[Any]]:
    try:
        safetensors = importlib.import_module("safetensors")
    except ImportError as error:
        raise ImportError(
            f'{path} is no .npz file; safetensors need their package: pip install "fastconv[safetensors]"'
        ) from error
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, MemoryError):
        raise
    except Exception as error:  # SafetensorError, and of dtypes that NumPy has not, TypeError or another
        raise ValueError(f"{path} is neither .npz nor safetensors of NumPy's dtypes: {error}") from error
    if wrong := [f"{name} has dtype {a.dtype}" for name, a in arrays.items() if a.dtype.kind not in NUMBERS]:
        raise ValueError(f"{path} is neither .npz nor safetensors of NumPy's dtypes: {wrong[0]}")
    return arrays


def _tuples(value: Any) -> Any:
    """Of JSON's lists."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
