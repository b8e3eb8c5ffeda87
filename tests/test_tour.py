# SPDX-License-Identifier: BSD-3-Clause
"""The lecture: every part computes what it tells, and the command shows it."""

import functools
import re
import sys

import numpy as np
import pytest

from fastconv import tour
from fastconv.__main__ import main

PARTS = {part.__name__: functools.cache(part) for part in tour.PARTS}  # networks are trained once for all tests

TITLES = [
    "Why a kernel",
    "From the fully connected layer to correlation",
    "Correlation and convolution",
    "One dimension, three dimensions",
    "Padding",
    "Learning a kernel",
    "A network that reads digits",
    "The figure in the crowd",
]


@pytest.fixture
def image():
    pytest.importorskip("matplotlib")
    return pytest.importorskip("PIL.Image")


@pytest.mark.deep
def test_whole_tour(image, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tour, "PARTS", tuple(PARTS.values()))
    assert main(["tour"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "Picture 3.3, correlated" in out
    for number, title in enumerate(TITLES, 1):
        assert f"{number}. {title}\n" in out
    for words in (
        "3,600,000,000     14.40 GB",
        "corr2d(X, K) is equal",
        "Translation: X moved to the right by one moves Y by one: True",
    ):
        assert words in out
    with image.open("tour.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] == 1450 and 4000 < len(pixels) < 6000
    for left in range(50, 1450, 350):  # every column shows something, and nothing reaches the next one
        assert (pixels[:, left : left + 300].min(axis=(1, 2)) < 100).mean() > 0.4
        assert (pixels[:, left + 320 : left + 345] > 250).all(axis=(1, 2)).mean() > 0.95


@pytest.mark.deep
def test_digits_are_read():
    pytest.importorskip("sklearn")
    text = PARTS["digits"]().text
    convolution, connected = (float(p) for p in re.findall(r"([\d.]+)%", text))
    assert convolution > 98
    assert convolution > connected > 90
    assert [int(n.replace(",", "")) for n in re.findall(r"(\d+,\d+) ", text)] == [9930, 9610]


def test_kernels_are_recovered():
    errors = re.findall(r"(?:sobel|sharpen|blur) .* (\S+)$", PARTS["learning_kernels"]().text, re.MULTILINE)
    assert len(errors) == 3 and all(float(e) < 1e-3 for e in errors)


def test_figure_is_found():
    places = re.findall(r"row (\d+), column (\d+)", tour.crowd().text)
    assert places == [("228", "428"), ("228", "525"), ("78", "488"), ("278", "228")]


@pytest.mark.parametrize("part", [name for name in PARTS if name != "digits"])
def test_panels_can_be_shown(part):
    panels = PARTS[part]().panels
    assert panels
    for panel in panels:
        assert panel.title and panel.text and panel.code
        shown = (
            [panel.values, *(values for _, values in panel.steps)] if panel.kind != "loss" else panel.values.values()
        )
        for values in shown:
            assert np.isfinite(values).all() and np.ptp(values) > 0.1
            if panel.kind == "picture":
                assert values.shape[2:] in ((), (3,)) and values.min() >= 0 and values.max() <= 1.0001
        assert not panel.steps or any(values is panel.values for _, values in panel.steps)


def test_some_parts(image, tmp_path, capsys):
    output = tmp_path / "some.png"
    assert main(["tour", "--part", "3", "--part", "1", "-o", str(output)]) == 0
    out = capsys.readouterr().out
    assert out.index("3. Correlation and convolution") < out.index("1. Why a kernel")
    assert "Padding" not in out
    first = output.read_bytes()
    assert main(["tour", "--part", "3", "--part", "1", "-o", str(output)]) == 0
    assert output.read_bytes() == first


def test_part_without_pictures_writes_none(image, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tour, "PARTS", (lambda: tour.Part("words", "alone", []),))
    output = tmp_path / "none.png"
    assert main(["tour", "--part", "1", "-o", str(output)]) == 0
    assert "Pictures" not in capsys.readouterr().out and not output.exists()


def test_parts_by_the_names_that_help_lists(image, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        main(["tour", "--help"])
    listed = re.findall(r"(\d) ([a-z_]+)", " ".join(capsys.readouterr().out.split()))
    assert [name for _, name in listed] == [part.__name__ for part in tour.PARTS]
    parts = [lambda i=i: tour.Part(f"part {i}", "", []) for i in range(1, 9)]
    monkeypatch.setattr(tour, "PARTS", parts)
    for number, name in listed:
        for word in (number, name, name.replace("_", "-")):
            assert main(["tour", "--part", word, "-o", str(tmp_path / "none.png")]) == 0
            assert capsys.readouterr().out.startswith(f"{number}. part {number}\n")


@pytest.mark.parametrize("number", ["0", "9", "two", "-1", "", "1.0", "\N{SUPERSCRIPT TWO}"])
def test_no_such_part(capsys, number):
    assert main(["tour", f"--part={number}"]) == 2
    assert "--part: there is no part" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--html", "-o"])
def test_stdout_has_the_text(image, tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    assert main(["tour", "--part", "3", option, "-"]) == 2
    assert "- is no file" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_nearly_a_part(capsys):
    assert main(["tour", "--part", "flp"]) == 2
    assert "; did you mean 'flip'?" in capsys.readouterr().err


def test_without_scikit_learn(image, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(tour, "PARTS", (tour.weights, tour.flip, tour.digits))
    assert main(["tour", "-o", str(tmp_path / "tour.png")]) == 0
    assert 'is left out: digits come with scikit-learn: pip install "fastconv[learn]"' in capsys.readouterr().out
    assert main(["tour", "--part", "3", "-o", str(tmp_path / "digits.png")]) == 2
    assert 'pip install "fastconv[learn]"' in capsys.readouterr().err
