# SPDX-License-Identifier: BSD-3-Clause
"""Files that are written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end: a neighbour first, then renamed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastconv.files import written_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder, "numbers")) as file:
    ...         _ = file.write(b"123")
    ...     Path(folder, "numbers").read_bytes()
    b'123'
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    file = part.open("xb")
    try:
        with file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink()
        raise
