# SPDX-License-Identifier: BSD-3-Clause
"""Files that are written as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end: a neighbour first, then renamed.

    A file that is there keeps its mode and, as far as the process may give files away, its owner. A link stays a link
    to what is written. A device or a pipe gets everything at the end. Raises OSError, as `open` would, where `path`
    cannot be written; whatever is raised inside, nothing is left behind.

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
    try:
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    if old and stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if old and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    if old and not stat.S_ISREG(old.st_mode):
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with open(path, "wb") as device:
                shutil.copyfileobj(file, device)
        return
    target = Path(os.path.realpath(path))
    with contextlib.ExitStack() as stack:
        try:
            # a folder of its own: a new file gets the mode that open() gives, and no two saves meet
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=target.parent))
        except OSError as error:
            error.filename = os.fspath(path)
            raise
        part = Path(folder, "part")
        with part.open("xb") as file:
            yield file
        if old:
            for owner in (-1, old.st_gid), (old.st_uid, -1):
                with contextlib.suppress(PermissionError):
                    os.chown(part, *owner)
            part.chmod(stat.S_IMODE(old.st_mode))
        part.replace(target)
