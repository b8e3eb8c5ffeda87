# SPDX-License-Identifier: BSD-3-Clause
"""The command line: pipes, several pictures, kernels of any kind, JSON, comparison, progress, completion."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from fastconv import kernels
from fastconv.__main__ import main
from fastconv.commands import filtering, progress

Image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.filterwarnings("error")  # they would reach stderr


def noise(*shape, dtype=np.uint8, seed=7):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.fixture
def fc(tmp_path, capsysbinary, monkeypatch):
    """Function that runs a command in a folder of its own; stdin and stdout are bytes."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(9, 13)).save("in.png")

    def run(*words, stdin=None):
        monkeypatch.setattr(sys, "stdin", None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(word) for line in words for word in (line.split() if isinstance(line, str) else line)])
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run


def pixels(source):
    with Image.open(source if isinstance(source, str | Path) else io.BytesIO(source)) as image:
        return np.asarray(image)


# pipes --------------------------------------------------------------------------------


def test_stdin_and_stdout(fc, tmp_path):
    assert fc("filter in.png -k sharpen -o out.png")[0] == 0
    held = (tmp_path / "in.png").read_bytes()
    for format, kind in (("", "PNG"), (" --format tif", "TIFF"), (" --format .BMP", "BMP")):
        code, out, err = fc(f"filter - -k sharpen -o -{format}", stdin=held)
        assert (code, err) == (0, "")
        with Image.open(io.BytesIO(out)) as image:
            assert image.format == kind
        np.testing.assert_array_equal(pixels(out), pixels("out.png"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "out.png"]


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (None, "cannot read -: there is no stdin"),
        (b"", "cannot read -: cannot identify image file"),
        (b"no picture", "cannot read -: cannot identify image file"),
        (bytes(3 * 2**20), "cannot read -: more than 1048736 bytes; --max-pixels allows more"),
    ],
)
def test_bad_stdin(fc, stdin, says):
    code, out, err = fc("filter - -k box -o - --max-pixels 10", stdin=stdin)
    assert (code, out, err) == (2, b"", f"fastconv: error: {says}\n")


def test_a_picture_that_ends_too_early(fc, tmp_path):
    held = (tmp_path / "in.png").read_bytes()
    code, out, err = fc("filter - -k box -o -", stdin=held[:-30])
    assert (code, out) == (2, b"") and err.startswith("fastconv: error: cannot read -: ")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("filter - in.png - -k box -o .", "- is stdin, which can be read once"),
        ("filter in.png - -k box -o folder", "stdin has no name"),
        ("find - - -o x.png", "- is stdin, which can be read once"),
        ("find in.png in.png --json -o -", "--json and -o - would both"),
        ("filter in.png -k box -o out.png --format png", "--format png is for -o -"),
        ("filter in.png -k box -o - --format nix", "unknown extension '.nix'"),
    ],
)
def test_what_cannot_be_piped(fc, tmp_path, command, says):
    (tmp_path / "folder").mkdir()
    code, out, err = fc(command, stdin=b"")
    assert (code, out) == (2, b"") and says in err


def test_no_picture_for_a_terminal(fc, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, _, err = fc("filter in.png -k box -o -")
    assert code == 2 and "stdout is a terminal" in err


# several pictures ---------------------------------------------------------------------


def test_several_pictures(fc, tmp_path):
    Image.fromarray(noise(8, 8, 3)).save("b.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    code, out, err = fc("filter in.png bad.png b.jpg -k box -o out")
    assert (code, err) == (2, "fastconv: error: cannot read bad.png: cannot identify image file\n")
    assert [line.split(b":")[0] for line in out.splitlines()] == [b"in.png", b"b.jpg"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["b.jpg", "in.png"]
    fc("filter in.png -k box -o alone.png")
    np.testing.assert_array_equal(pixels("out/in.png"), pixels("alone.png"))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("filter in.png b.png -k box -o c.png", "c.png is no folder; 2 pictures need one"),
        ("filter in.png b.png -k box -o -", "- is no folder; 2 pictures need one"),
        ("filter in.png b.png -k box -o .", "-o . is the folder of in.png, which would be replaced"),
        ("filter in.png folder/in.png -k box -o other", "2 of the pictures would become other/in.png"),
    ],
)
def test_nothing_is_replaced_by_chance(fc, tmp_path, command, says):
    for name in ("folder", "other"):
        (tmp_path / name).mkdir()
    before = (tmp_path / "in.png").read_bytes()
    code, out, err = fc(command)
    assert (code, out) == (2, b"") and says in err
    assert (tmp_path / "in.png").read_bytes() == before


# kernels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("gaussian:5", lambda: kernels.gaussian(5)),
        ("gaussian --sigma 0.8", lambda: kernels.gaussian(sigma=0.8)),
        ("log --size 5 --sigma 1", lambda: kernels.log(5, 1.0)),
        ("gabor:7 --theta 30 --sigma 2", lambda: kernels.gabor(7, 2.0, math.radians(30))),
        (["0 1 0; 1 -4 1; 0 1 0"], lambda: kernels.laplacian()),
        (["-1, 0, 1"], lambda: np.array([[-1, 0, 1]])),
        (["1;2e0\n;.5"], lambda: np.array([[1], [2], [0.5]])),
    ],
    ids=lambda x: "" if callable(x) else str(x),
)
def test_kernels(fc, words, made):
    np.save("k.npy", np.float64(made()))
    kernel = words.split() if isinstance(words, str) else words
    assert fc("filter in.png -o out.png -k", kernel)[0] == 0
    assert fc("filter in.png -k k.npy -o again.png")[0] == 0
    np.testing.assert_array_equal(pixels("out.png"), pixels("again.png"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("gaussian:5 --size 5", "one whole number says the size"),
        ("gaussian:five", "one whole number says the size"),
        ("sharpen:5", "--size 5 does not apply to kernel 'sharpen'"),
        ("gaussian:9999", "--size 9999 is too large; at most 4096"),
        ("box --sigma 2", "--sigma 2.0 does not apply to kernel 'box'; it is accepted with: gaussian, log"),
        ("sobel --theta 2", "--theta 2.0 does not apply to kernel 'sobel'; it is accepted with: gabor"),
        ("gaussian --sigma 1e9", "--sigma 1000000000.0 is too large without --size; at most 256"),
        ("gaussian --sigma 0", "sigma must be"),
        ("gaussian --sigma nan", "sigma must be"),
        (["1 2; 3"], "--kernel is not a matrix of numbers"),
        (["1 1e30"], "--kernel holds NaN or a number that is not below 1e30"),
        ([";"], "unknown kernel ';'"),
        ("guassian", "did you mean 'gaussian'?"),
    ],
    ids=str,
)
def test_no_kernels(fc, tmp_path, words, says):
    code, _, err = fc("filter in.png -o out.png -k", words.split() if isinstance(words, str) else words)
    assert code == 2 and says in err and not (tmp_path / "out.png").exists()


# what is kept -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.tif", "out.jpg"])
def test_printing_colours_are_kept_with_their_profile(fc, name):
    x = noise(16, 24, 4)
    x[...] = x[:1, :1]  # even: JPEG keeps it
    Image.frombytes("CMYK", (24, 16), x.tobytes()).save("ink.tif", icc_profile=b"a profile", dpi=(300, 300))
    assert fc(f"filter ink.tif -k identity -o {name} --lossy")[0] == 0
    with Image.open(name) as image:
        assert image.mode == "CMYK" and image.info["icc_profile"] == b"a profile"
        assert np.abs(np.asarray(image).astype(int) - x).max() <= 3 * name.endswith("jpg")
    code, _, err = fc("filter ink.tif -k identity -o out.png")
    assert code == 2 and "would lose its colour profile, which is one of printing colours" in err


@pytest.mark.parametrize(
    "x",
    [noise(6, 7), noise(6, 7, 3), noise(6, 7, 4), noise(6, 7, dtype=np.uint16)],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_compare(fc, x):
    Image.fromarray(x).save("x.png")
    assert fc("filter x.png -k sharpen -o one.png")[0] == fc("filter x.png -k sharpen -o two.png --compare")[0] == 0
    two = pixels("two.png")
    assert two.shape[1] == 15
    np.testing.assert_array_equal(two[:, :7], x)
    assert (two[:, 7] == np.iinfo(x.dtype).max).all()
    np.testing.assert_array_equal(two[:, 8:], pixels("one.png"))


def test_nothing_to_compare(fc):
    code, _, err = fc("filter in.png -k box -o out.png --compare --mode valid")
    assert code == 2 and "--compare is for results as large as the picture" in err


@pytest.mark.parametrize("mode", ["same", "valid", "full"])
def test_bands_are_the_whole(fc, monkeypatch, mode):
    Image.fromarray(noise(60, 31, 3)).save("x.png")
    command = f"filter x.png -k gaussian:5 --mode {mode} -o"
    assert fc(f"{command} whole.png")[0] == 0
    monkeypatch.setattr(filtering, "BAND", 31)
    assert fc(f"{command} bands.png")[0] == 0
    np.testing.assert_array_equal(pixels("whole.png"), pixels("bands.png"))
    assert fc("filter in.png -k box:15 --mode valid -o no.png")[0] == 2


# find ---------------------------------------------------------------------------------


def test_json(fc):
    Image.fromarray(pixels("in.png")[2:7, 3:9]).save("figure.png")
    Image.fromarray(noise(30, 30, seed=1)).save("other.png")
    code, out, err = fc("find in.png other.png figure.png --json --min-score 0.9")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 0 and err.startswith("fastconv: figure.png is not in other.png: the best score is ")
    assert (first["scene"], first["template"], first["compared"]) == ("in.png", "figure.png", "luminance")
    assert (first["width"], first["height"], first["output"]) == (6, 5, None)
    (found,) = first["found"]
    assert (found["row"], found["column"]) == (2, 3) and found["score"] == pytest.approx(1)
    assert second["found"] == [] and 0 < second["best"] < 0.9
    code, out, err = fc("find other.png figure.png --json --min-score 0.9")
    assert code == 3 and json.loads(out)["found"] == [] and err.startswith("fastconv: error: figure.png is not in")


def test_find_in_several(fc, tmp_path):
    Image.fromarray(pixels("in.png")[2:7, 3:9]).save("figure.png")
    Image.fromarray(noise(30, 30, seed=1)).save("other.png")
    (tmp_path / "out").mkdir()
    code, out, _ = fc("find in.png other.png figure.png -o out --min-score 0.9")
    assert code == 0 and out.count(b" at column ") == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["in.png"]
    assert fc("find in.png missing.png figure.png")[0] == 2
    code, out, _ = fc("find in.png figure.png -o -")
    assert code == 0 and pixels(out).shape == (9, 13, 3)


# progress, completion, help -----------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_for_terminals(fc, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "PACE", 0.001)
    assert fc("filter in.png -k box -o out.png")[2] == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(2, "picture") as bar:
        bar.at(1.0, "reading photo.jpg")
        while "reading photo.jpg" not in terminal.getvalue():
            pass
        bar.print("a line")
    assert " 50 %|" in terminal.getvalue()


def test_progress_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(progress, "PATIENCE", 0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(2, "picture") as bar:
        bar.print("a line")
    assert terminal.getvalue() == "" and capsys.readouterr().out == "a line\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(fc, shell):
    pytest.importorskip("shtab")
    code, out, err = fc(f"completion {shell}")
    assert (code, err) == (0, "") and b"filter" in out and b"completion" in out


def test_completion_without_shtab(fc, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, _, err = fc("completion bash")
    assert code == 2 and 'pip install "fastconv[completion]"' in err


@pytest.mark.parametrize("command", ["filter", "find", "completion"])
def test_help_has_examples(fc, capsysbinary, command):
    with pytest.raises(SystemExit):
        fc(f"{command} --help")
    assert b"\nexamples:\n  " in capsysbinary.readouterr().out
