# SPDX-License-Identifier: BSD-3-Clause
"""Files that are written as a whole or not at all: links, devices, owners, threads, and what is left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import only_deep

from fastconv import nn
from fastconv.files import written_whole


def write(path, data=b"new"):
    with written_whole(path) as file:
        file.write(data)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_has_the_mode_that_open_gives(tmp_path, umask):
    write(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert names(tmp_path) == ["new"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_an_old_file_keeps_its_mode(old, umask, mode):
    old.chmod(mode)
    write(old)
    assert stat.S_IMODE(old.stat().st_mode) == mode and old.read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_old_file_keeps_its_owner(old):
    os.chown(old, 12345, 54321)
    old.chmod(0o660)
    write(old)
    status = old.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 54321, 0o660)


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path, old):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    old.rename(folder / "old")
    for link, target in (("link", "elsewhere/old"), ("dangling", "elsewhere/new"), ("chain", "link")):
        (tmp_path / link).symlink_to(target)
        write(tmp_path / link, link.encode())
        assert (tmp_path / link).is_symlink() and (tmp_path / link).read_bytes() == link.encode()
    assert names(folder) == ["new", "old"] and names(tmp_path) == ["chain", "dangling", "elsewhere", "link"]


def test_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        write(tmp_path / "loop")
    assert names(tmp_path) == ["loop"]


def test_a_pipe_stays_and_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    layer, read = nn.Conv2d(2, 3, 3, seed=0), []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    layer.save(tmp_path / "pipe")  # seeks in what it writes
    reader.join(60)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and names(tmp_path) == ["pipe"]
    (tmp_path / "file").write_bytes(read[0])
    np.testing.assert_array_equal(nn.Conv2d.load(tmp_path / "file").weight, layer.weight)


def test_a_pipe_gets_nothing_of_what_failed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyError), written_whole(tmp_path / "pipe") as file:  # opened, it would wait for a reader
        file.write(b"half")
        raise KeyError
    assert names(tmp_path) == ["pipe"]


@pytest.fixture
def device(tmp_path):
    """Function that returns a device that a test may spoil; who may not make one may not spoil the real one either."""

    def make(name, minor):
        try:
            os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            open(tmp_path / name, "wb").close()
            return tmp_path / name
        except PermissionError:
            (tmp_path / name).unlink(missing_ok=True)
            return Path("/dev", name)

    return make


def test_devices_stay_devices(tmp_path, device):
    null, full = device("null", 3), device("full", 7)
    (tmp_path / "link").symlink_to(null)
    for path in (null, tmp_path / "link"):
        write(path)
        assert stat.S_ISCHR(path.stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        nn.Conv1d(1, 1, 3).save(full)
    assert stat.S_ISCHR(full.stat().st_mode) and (tmp_path / "link").is_symlink()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        write(tmp_path)
    assert names(tmp_path) == []


def test_no_such_folder_is_named_as_it_was_given(tmp_path):
    with pytest.raises(FileNotFoundError, match="'no/file'"):
        write("no/file")


def test_names_of_255_bytes(tmp_path):
    for name in ("n" * 255, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 127, "n" * 250 + ".part"):
        write(tmp_path / name)
        assert names(tmp_path) == [name]
        (tmp_path / name).unlink()
    with pytest.raises(OSError, match="too long"):
        write(tmp_path / ("n" * 256))
    assert names(tmp_path) == []


def test_a_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("file")
    os.remove("file")
    nn.Conv1d(1, 1, 1).save("file")
    assert names(tmp_path) == ["file"]


def test_what_another_process_left_behind_is_in_nobodys_way(tmp_path, old):
    (tmp_path / f".old.{os.getpid()}.part").touch()
    write(old)
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("there", [False, True])
def test_threads_that_save_to_one_path(tmp_path, there):
    """The last one wins; none fails, and what is there is always one of them as a whole."""
    path, errors = tmp_path / "file", []
    if there:
        path.touch()

    def save(letter):
        try:
            for _ in range(20):
                write(path, letter * 100_000)
                data = path.read_bytes()
                assert len(data) == 100_000 and len(set(data)) == 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and names(tmp_path) == ["file"]


@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_left_of_what_failed(tmp_path, there):
    if there:
        (tmp_path / "file").write_bytes(b"old")
    for error in (ValueError, KeyboardInterrupt, SystemExit, MemoryError):
        with pytest.raises(error), written_whole(tmp_path / "file") as file:
            file.write(b"half")
            raise error
    assert names(tmp_path) == ["file"] * there
    assert not there or (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), reason="root may write anywhere")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_written_is_not(tmp_path, old, what):
    code = f"from fastconv.files import written_whole\nwith written_whole({str(old)!r}) as f: f.write(b'new')"
    tmp_path.chmod(0o555 if what == "folder" else 0o777)
    old.chmod(0o666 if what == "folder" else 0o444)
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"] if os.geteuid() == 0 else []
    done = subprocess.run([*drop, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    tmp_path.chmod(0o755)
    assert done.returncode == 1 and f"PermissionError: [Errno 13] Permission denied: '{old}'" in done.stderr
    assert old.read_bytes() == b"old" and names(tmp_path) == ["old"]


def test_a_program_that_handles_sigterm_leaves_nothing_behind(tmp_path):
    code = f"""
import os, signal, sys
from fastconv.files import written_whole
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
with written_whole({str(tmp_path / "file")!r}) as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.{signal.SIGTERM.name})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
@pytest.mark.parametrize("there", [True, *only_deep(False)])
def test_a_program_that_is_killed_leaves_the_old_file_or_none(tmp_path, there):
    path = tmp_path / "file"
    if there:
        path.write_bytes(b"old")
    code = f"""
import os
from fastconv.files import written_whole
with written_whole({str(path)!r}) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), {int(getattr(signal, "SIGKILL", 9))})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -getattr(signal, "SIGKILL", 9)
    assert path.exists() == there and (not there or path.read_bytes() == b"old")
