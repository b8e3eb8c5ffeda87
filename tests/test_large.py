# SPDX-License-Identifier: BSD-3-Clause
"""``fastconv filter`` of files that are larger than memory."""

import contextlib
import glob
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import posix

import fastconv
from fastconv.__main__ import main

K = np.float32(fastconv.kernels.gaussian(5))


def soft(x, mode="same"):
    boundary = {} if mode == "valid" else {"boundary": "edge"}
    return fastconv.corr2d(
        x, K, mode, dtype=x.dtype, overflow="saturate" if x.dtype.kind in "iu" else "raise", **boundary
    )


def run(*words):
    return main(["filter", *map(str, words)])


def test_npy(rng, tmp_path, capsys):
    x = rng.integers(0, 255, (300, 400)).astype("u1")
    np.save(tmp_path / "x.npy", x)
    for mode in "same", "valid":
        code = run(tmp_path / "x.npy", "-k", "gaussian:5", "-o", tmp_path / "y.npy", "--memory", "1MB", "--mode", mode)
        assert code == 0 and capsys.readouterr().err == ""
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), soft(x, mode))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.npy"]


def test_zarr_and_tiff(rng, tmp_path):
    zarr, tifffile = pytest.importorskip("zarr"), pytest.importorskip("tifffile")
    x = rng.standard_normal((60, 70)).astype("f4")
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(16, 20), dtype=x.dtype)[...] = x
    assert run(tmp_path / "x.zarr", "-k", "gaussian:5", "-o", tmp_path / "y.zarr", "--workers", 2) == 0
    np.testing.assert_array_equal(zarr.open(tmp_path / "y.zarr")[...], soft(x))
    assert run(tmp_path / "x.zarr", "-k", "gaussian:5", "-o", tmp_path / "y.zarr") == 2  # it is there
    assert run(tmp_path / "x.zarr", "-k", "gaussian:5", "-o", tmp_path / "y.tif") == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "y.tif"), soft(x))
    colours = rng.integers(0, 2**16, (40, 50, 3)).astype("u2")
    tifffile.imwrite(tmp_path / "c.tif", colours, tile=(16, 16))
    assert run(tmp_path / "c.tif", "-k", "gaussian:5", "-o", tmp_path / "c.npy") == 0
    right = np.moveaxis(soft(np.moveaxis(colours, -1, 0)), 0, -1)
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), right)


@pytest.mark.parametrize("how", [("-k", "sobel"), ("-k", "laplacian"), ("-k", "sobel:5", "--range", "abs", "--check")])
def test_results_are_those_of_pictures(rng, tmp_path, how):
    image = pytest.importorskip("PIL.Image")
    x = rng.integers(0, 255, (90, 80, 3)).astype("u1")
    for a, name in (x[..., 0], "grey"), (x, "colours"):
        np.save(tmp_path / f"{name}.npy", a)
        image.fromarray(a).save(tmp_path / f"{name}.png")
        assert run(tmp_path / f"{name}.npy", *how, "-o", tmp_path / "large.npy", "--memory", "1MB") == 0
        assert run(tmp_path / f"{name}.png", *how, "-o", tmp_path / "small.png") == 0
        np.testing.assert_array_equal(np.load(tmp_path / "large.npy"), np.asarray(image.open(tmp_path / "small.png")))
    np.save(tmp_path / "floats.npy", x[..., 1] - np.float32(9.5))
    assert run(tmp_path / "floats.npy", *how, "-o", tmp_path / "large.npy") == 0
    assert np.load(tmp_path / "large.npy").min() >= 0


BAR = """
import sys, numpy as np
from fastconv.__main__ import main
np.save("x.npy", np.zeros((300, 400), "u1"))
main(["filter", "x.npy", "-k", "gaussian:5", "-o", "y.npy", "--memory", "300KB"])
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_for_terminals(tmp_path, terminal):
    pytest.importorskip("tqdm")
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        pytest.importorskip("termios").tcsetwinsize(ours, (24, 80))
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", BAR], cwd=tmp_path, env=environment, stderr=theirs, stdout=-3) as ran:
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # a terminal whose other end is closed
            while some := os.read(ours, 4096):
                told += some
        assert ran.wait() == 0
    os.close(ours)
    assert (b"100%" in told and b"block" in told) if terminal else told == b""


def interrupt(monkeypatch, words):
    """Ctrl-C after two blocks."""
    whole = fastconv.tiled

    def interrupted(*args, progress=None, **how):
        def tell(done, total):
            if done == 2:
                raise KeyboardInterrupt

        return whole(*args, progress=tell, **how)

    with monkeypatch.context() as patched:
        patched.setattr(fastconv, "tiled", interrupted)
        assert run(*words) == 130


def test_interrupted_and_resumed(rng, tmp_path, capsys, monkeypatch):
    x = rng.standard_normal((200, 300))
    np.save(tmp_path / "x.npy", x)
    words = tmp_path / "x.npy", "-k", "gaussian:5", "-o", tmp_path / "y.npy", "--memory", "300KB", "--workers", 1
    interrupt(monkeypatch, words)
    assert "y.npy.part is not whole yet: --resume goes on" in capsys.readouterr().err
    assert not (tmp_path / "y.npy").exists() and (tmp_path / "y.npy.part.blocks").exists()
    assert run(*words, "--resume") == 0
    right = fastconv.corr2d(x, K.astype(x.dtype), "same", "edge")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), right, 1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.npy"]


def test_without_resume_a_run_begins_anew(rng, tmp_path, monkeypatch):
    x = rng.standard_normal((200, 300))
    np.save(tmp_path / "x.npy", x)
    words = [tmp_path / "x.npy", "-k", "gaussian:5", "--memory", "300KB", "--workers", 1]
    others = tmp_path / "y1.npy.part.npy", tmp_path / "y[1].npy.part.npy"  # which these names match, or begin
    for other in others:
        interrupt(monkeypatch, [*words, "-o", other])
    for name in ("y[1].npy", "y*.npy", "y?.npy")[: 1 if os.name == "nt" else 3]:
        interrupt(monkeypatch, [*words, "-o", tmp_path / name])
        assert run(*words, "-o", tmp_path / name) == 0
        right = fastconv.corr2d(x, K.astype(x.dtype), "same", "edge")
        np.testing.assert_allclose(np.load(tmp_path / name), right, 1e-6)
    for other in others:
        assert list(tmp_path.glob(f"{glob.escape(other.name)}.part.*blocks"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-k", "sobel", "--compare"), "look at the whole result"),
        (("-k", "sobel", "--range", "stretch"), "look at the whole result"),
        (("-k", "gaussian:5", "--memory", "much"), "--memory must be a size"),
        (("-k", "gaussian:5", "--memory", "10"), "max_memory of 10 bytes is too little"),
        (("-k", "gaussian:5", "--workers", "0"), "workers must be at least 1"),
    ],
)
def test_what_is_refused(tmp_path, capsys, words, says):
    np.save(tmp_path / "x.npy", np.zeros((9, 9)))
    assert run(tmp_path / "x.npy", *words, "-o", tmp_path / "y.npy") == 2
    assert says in capsys.readouterr().err and [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(("suffix", "library"), [("npy", "numpy"), ("tif", "tifffile"), ("zarr", "zarr")])
def test_a_request_that_is_refused_leaves_nothing(rng, tmp_path, capsys, suffix, library):
    pytest.importorskip(library)
    np.save(tmp_path / "x.npy", rng.random((20, 30)) < 0.5)
    assert run(tmp_path / "x.npy", "-k", "box:3", "-o", tmp_path / f"y.{suffix}") == 2
    assert "fastconv: error: " in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_a_request_that_is_refused_leaves_what_can_be_gone_on_with(rng, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", rng.standard_normal((200, 300)))
    words = [tmp_path / "x.npy", "-k", "gaussian:5", "-o", tmp_path / "y.npy", "--workers", 1, "--memory"]
    interrupt(monkeypatch, [*words, "300KB"])
    assert run(*words, "10", "--resume") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.npy.part", "y.npy.part.blocks"]


@posix
def test_links_stay_links(rng, tmp_path, monkeypatch):
    x = rng.standard_normal((200, 300))
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "there").mkdir()
    words = [tmp_path / "x.npy", "-k", "gaussian:5", "-o", tmp_path / "y.npy", "--memory", "300KB", "--workers", 1]
    (tmp_path / "y.npy").symlink_to("there/data.bin")
    for old in None, b"old":
        if old:
            (tmp_path / "there" / "data.bin").write_bytes(old)
        interrupt(monkeypatch, words)
        assert (tmp_path / "there" / "data.bin").exists() == bool(old)
        assert run(*words, "--resume") == 0
        right = fastconv.corr2d(x, K.astype(x.dtype), "same", "edge")
        np.testing.assert_allclose(np.load(tmp_path / "there" / "data.bin"), right, 1e-6)
        assert (tmp_path / "y.npy").is_symlink()
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["data.bin"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there", "x.npy", "y.npy"]
    (tmp_path / "y.npy").unlink()
    (tmp_path / "y.npy").symlink_to("x.npy")
    assert run(*words) == 2  # it is the input
    (tmp_path / "y.npy").unlink()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "y.npy").symlink_to("pipe")
    assert run(*words) == 2 and (tmp_path / "pipe").is_fifo()


def test_files_that_do_not_do(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((9, 9)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:200])
    for source, target, says in (
        ("cut.npy", "y.npy", "cannot read"),
        ("none.npy", "y.npy", "cannot read"),
        ("x.npy", "x.npy", "it is the input"),
        ("x.npy", "y.png", "block by block; accepted: .zarr, .npy, .tif"),
        ("x.npy", "folder/y.npy", "folder"),
    ):
        assert run(tmp_path / source, "-k", "gaussian:5", "-o", tmp_path / target) == 2
        assert says in capsys.readouterr().err
