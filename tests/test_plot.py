# SPDX-License-Identifier: BSD-3-Clause
"""Plots: what is drawn, and what cannot be; and what notebooks show without any."""

from __future__ import annotations

import sys

import numpy as np
import public_calls
import pytest

import fastconv
from fastconv import kernels, nn, plot

matplotlib = pytest.importorskip("matplotlib")
figures = pytest.importorskip("matplotlib.figure")


@pytest.fixture
def axes():
    return figures.Figure().subplots()


@pytest.mark.parametrize(
    ("k", "numbers"),
    [
        (kernels.sobel(axis=1), ["-1", "0", "1", "-2", "0", "2", "-1", "0", "1"]),
        (np.array([1, -2]), ["1", "-2"]),
        ([[0.125], [-0.001]], ["0.12", "0.00"]),
        (np.ones((12, 3)), []),
    ],
    ids=["sobel", "line", "fractions", "large"],
)
def test_kernel(axes, k, numbers):
    assert plot.kernel(k, axes=axes) is axes
    assert [text.get_text().replace("\N{MINUS SIGN}", "-") for text in axes.texts] == numbers
    mesh = axes.collections[0]
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).ravel(), np.ravel(k))
    assert mesh.norm.vmin == -mesh.norm.vmax  # zero is white
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is at the top
    axes.figure.canvas.draw()


def test_filtered():
    x = np.random.default_rng(0).random((20, 30, 3))
    before, after = plot.filtered(x, x[..., 0] - 0.5, axes=figures.Figure().subplots(1, 2))
    np.testing.assert_array_equal(before.images[0].get_array(), x)
    assert after.images[0].get_clim() == pytest.approx((-np.abs(x[..., 0] - 0.5).max(), np.abs(x[..., 0] - 0.5).max()))
    before, after = plot.filtered(x[..., 0], x[..., 1], axes=figures.Figure().subplots(1, 2))
    assert before.images[0].get_clim() == after.images[0].get_clim()
    with pytest.raises(ValueError, match="axes must be two"):
        plot.filtered(x, x, axes=[before])


def test_scores(axes):
    x = np.random.default_rng(0).random((30, 40))
    scores = fastconv.feature.match_template(x, x[12:20, 25:30])
    scores[0, 0] = np.nan
    plot.scores(scores, axes=axes)
    (mark,) = axes.lines
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (25, 12)
    assert axes.get_title() == "best: 1.00 at row 12, column 25"
    framed = figures.Figure().subplots()
    plot.scores(scores, picture=x, size=(8, 5), axes=framed, title="found")
    (frame,) = framed.patches
    assert (frame.get_xy(), frame.get_height(), frame.get_width()) == ((24.5, 11.5), 8, 5)
    assert framed.get_title() == "found"


def test_loss(axes):
    plot.loss({"a": [3, 2, 1], "b": np.array([3.0, 0.1])}, axes=axes)
    first, second = axes.lines
    assert list(first.get_xdata()) == [1, 2, 3] and list(second.get_ydata()) == [3.0, 0.1]
    assert axes.get_yscale() == "log" and (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    linear = plot.loss([1.0, 0.0], axes=figures.Figure().subplots())
    assert linear.get_yscale() == "linear" and linear.get_legend() is None


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda a: plot.kernel(np.ones((2, 2, 2)), axes=a),
            ValueError,
            r"k must have shape \(n,\) or \(rows, columns\)",
        ),
        (lambda a: plot.kernel(np.ones((0, 2)), axes=a), ValueError, "not be empty"),
        (lambda a: plot.kernel([[np.nan]], axes=a), ValueError, "k must be finite"),
        (lambda a: plot.kernel([[1j]], axes=a), TypeError, "k must be real numbers; got complex128"),
        (lambda a: plot.kernel("sobel", axes=a), TypeError, "k must be real numbers"),
        (lambda a: plot.filtered(np.ones((2, 2, 5)), np.ones((2, 2)), axes=[a, a]), ValueError, "x must have shape"),
        (lambda a: plot.scores(np.full((2, 2), np.nan), axes=a), ValueError, "one that is not NaN"),
        (lambda a: plot.scores(np.ones((2, 2)), size=(1, 1), axes=a), ValueError, "picture and size go together"),
        (lambda a: plot.loss([], axes=a), ValueError, "losses must have shape"),
        (lambda a: plot.loss({}, axes=a), ValueError, "losses must be of one curve"),
    ],
)
def test_what_cannot_be_drawn(axes, call, error, says):
    with pytest.raises(error, match=says):
        call(axes)


GOOD = {
    "kernel": {"k": np.ones((5, 6))},
    "filtered": {"x": np.ones((5, 6)), "y": np.ones((5, 6))},
    "scores": {"scores": np.ones((5, 6)), "picture": np.ones((5, 6)), "size": (2, 3)},
    "loss": {"losses": [1.0, 2.0]},
}
PLACES = [(name, place) for name, good in GOOD.items() for place in (*good, "axes")]


@pytest.mark.deep
@pytest.mark.parametrize(("name", "place"), PLACES)
def test_any_value(name, place):
    """A plot, or an error that names the argument."""

    def call(axes="new", **arguments):
        figure = figures.Figure()
        new = figure.subplots(1, 2) if name == "filtered" else figure.subplots()
        return getattr(plot, name)(axes=new if isinstance(axes, str) and axes == "new" else axes, **arguments)

    public_calls.with_any(call, GOOD[name], place, public_calls.MORE_VALUES)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "fastconv\[plot\]"'):
        plot.kernel([1.0])


def test_notebooks():
    said = fastconv.explain((100, 100), (3, 3))._repr_html_()
    assert said.startswith("<table>") and '<th scope="row">method</th>' in said
    said = nn.explain((1, 8, 16, 16), (8, 8, 3, 3))._repr_html_()
    assert '<th scope="row">kind</th>' in said
    said = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())._repr_html_()
    assert "<caption>Sequential of 2 layers, 20 parameters</caption>" in said
    assert '<th scope="row">0</th><td>Conv2d(1, 2, ' in said
