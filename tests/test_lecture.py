# SPDX-License-Identifier: BSD-3-Clause
"""The lecture as a page: what it holds; and, in a real browser, what it shows, its sliders, its width on a phone."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browsers import CHROMIUM, browsed

from fastconv import lecture, pages, tour
from fastconv.__main__ import main

pytest.importorskip("matplotlib")
pytest.importorskip("PIL.Image")
EMPTY = {"meta", "img", "input", "link", "br", "wbr", "use", "path", "image"}

STEPS = tuple((f"{n} steps", np.full((8, 8), n / 10)) for n in range(3))
PART = tour.Part(
    "Nuts & <bolts>",
    "Two lines of\na paragraph.\n\n"
    "    name  first  last\n    a        1     2\n    b        3     4\n\n- one\n- two\n\n    x = [1]",
    [
        tour.Panel("kernel", "a < b", np.array([[1.0, -2.0]]), "k[0] < 1", "kernel"),
        tour.Panel("chosen", "of three", STEPS[1][1], "f(n)", steps=STEPS, choice="n"),
        tour.Panel("losses", "they fall", {"one": [3.0, 1.0], "two": [2.0, 0.5]}, "train()", "loss"),
        tour.Panel("scores", "best", np.eye(9)[:5], "match()", "scores"),
    ],
)


class Checked(HTMLParser):
    """Tags that are closed as they were opened, names that are there once."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.tags, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page():
    return lecture.page({1: PART, 4: tour.Part("Words", "alone", [])})


def test_the_page_is_whole_and_alone(page):
    checked = Checked()
    checked.feed(page)
    assert checked.open == [] and len(set(checked.ids)) == len(checked.ids)
    assert "$" not in page
    addresses = re.findall(r"""(?:src|href|url)(?:=["']?|\()([^"')>]+)""", page)
    assert all(a.startswith(("data:image/", "#")) for a in addresses) and len(addresses) > 5
    assert {a[1:] for a in addresses if a[0] == "#"} <= {*checked.ids}


def test_what_the_page_says(page):
    checked = Checked()
    checked.feed(page)
    text = "".join(checked.text)
    assert "Nuts & <bolts>" in text and "Two lines of a paragraph." in text and "k[0] < 1" in text
    assert '<thead><tr><th scope="col">name</th>' in page and '<th scope="row">b</th><td>3</td><td>4</td>' in page
    assert "<li>one</li><li>two</li>" in page and '<pre class="wide" tabindex="0">x = [1]</pre>' in page
    images = checked.all("img")
    assert [image["data-step"] for image in images] == ["0 steps", "1 steps", "2 steps"]
    assert ["hidden" in image for image in images] == [True, False, True]
    assert all("chosen: of three; n: " in image["alt"] for image in images)
    (slider,) = checked.all("input")
    assert (slider["value"], slider["max"]) == ("1", "2") and f'for="{slider["id"]}"' in page
    drawn = [attributes["aria-label"] for attributes in checked.all("div") if attributes.get("role") == "img"]
    assert drawn == ["kernel: a < b", "losses: they fall", "scores: best"]
    assert "currentColor" in page and pages.INK not in page


def test_the_page_is_the_same_each_time(page):
    assert lecture.page({1: PART, 4: tour.Part("Words", "alone", [])}) == page


def test_the_command_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tour, "PARTS", (lambda: PART,))
    assert main(["tour", "--html", "out.html"]) == 0
    assert "The lecture: out.html" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]
    assert main(["tour", "--html", "no/out.html"]) == 2
    assert "cannot write no/out.html: No such file or directory" in capsys.readouterr().err


# ---- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """The parts in which nothing is learned for long, and one with a loss."""
    slow = (tour.learning_kernels, tour.digits)
    return {i: part() for i, part in enumerate(tour.PARTS, 1) if part not in slow} | {9: PART}


@pytest.mark.deep
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(whole, tmp_path, width, scheme):
    options = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    said = browsed(lecture.page(whole), tmp_path, width, *options)
    figures = sum(len(part.panels) for part in whole.values())
    assert said["errors"] == []
    assert said["width"] <= said["inner"] == width  # nothing to be scrolled sideways but what says so
    assert (said["sections"], said["figures"], said["shown"]) == (len(whole), figures, figures)
    assert (said["empty"], said["broken"], said["unnamed"], said["unreachable"]) == (0, 0, 0, 0)
    assert said["headings"] == "H1" + " H2" * len(whole) and said["lang"] == "en"
    assert said["contrast"] >= 4.5  # WCAG 2, level AA
    assert (said["back"] < 0.1) == (scheme == "dark")
    assert len(said["sliders"]) >= 4
    for seen in said["sliders"]:
        assert len(seen) >= 3 and all(count == 1 and step == out == told for count, step, out, told in seen)
        assert len({step for _, step, _, _ in seen}) == len(seen)


@pytest.mark.deep
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_browser_would_tell(page, tmp_path):
    """What is wrong on purpose is seen."""
    wrong = page.replace("<main", "<script>nothing.here()</script><main").replace(
        "<h2 ", '<p style="width: 50rem">x</p><h2 '
    )
    said = browsed(wrong.replace("--soft: #5b6472", "--soft: #bbb"), tmp_path, 390)
    assert said["errors"] and said["width"] > 390 and said["contrast"] < 4.5
