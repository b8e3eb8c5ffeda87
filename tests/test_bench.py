# SPDX-License-Identifier: BSD-3-Clause
"""`fastconv bench`: what it measures, writes and refuses."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from browsers import CHROMIUM, browsed

import fastconv
from fastconv import report
from fastconv.__main__ import main
from fastconv.commands import benching, contests

pytest.importorskip("matplotlib")


def few(full):
    """Two families: one with limits and two peers, one of which is wrong; one without any peer."""
    x, k = np.ones((40, 50), np.float32), np.ones((3, 3), np.float32)
    ours = lambda: fastconv.corr2d(x, k, "same", "reflect")  # noqa: E731
    pairs = {"right.peer": (ours, lambda: 9 * x), "wrong.peer": (ours, lambda: 8 * x)}
    for label in ("3x3", "again") if full else ("3x3",):
        yield contests.Contest("filters, float32", label, pairs, contests.into(x, k), x, 9)
    yield contests.Contest("alone", "nobody", {})


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benching, "contests", few)
    monkeypatch.setattr(benching, "PICTURE", (40, 50))
    monkeypatch.setattr(benching.peers, "set_num_threads", fastconv.set_num_threads)  # or all peers are imported

    def run(command=""):
        code = main(["bench", "--seconds", "0", *command.split()])
        return code, *capsys.readouterr()

    return run


def test_what_is_written(bench, tmp_path):
    threads = fastconv.get_num_threads()
    code, out, err = bench()
    assert (code, err) == (0, "") and "filters, float32" in out
    assert fastconv.get_num_threads() == threads
    files = sorted(path.name for path in (tmp_path / "fastconv-bench").iterdir())
    assert files == ["filters-float32.png", "report.html", "report.json", "roofline.png"]
    result = json.loads((tmp_path / "fastconv-bench/report.json").read_text())
    first, second = result["rows"]
    assert first["peers"]["right.peer"]["agrees"] and not first["peers"]["wrong.peer"]["agrees"]
    assert first["peers"]["right.peer"]["ratio"] > 0 and first["fraction"] > 0 and second["peers"] == {}
    assert result["versions"]["numpy"] == np.__version__ and result["limits"]["float32"]["gflops"] > 0
    page = (tmp_path / "fastconv-bench/report.html").read_text()
    assert "(another result)" in page and "fastconv bench --threads 1 --seconds 0" in page
    assert (
        result["cpu"].split(",")[0] in page and "src=" not in page and "http" not in page.replace("http://www.w3", "")
    )


def test_more(bench, tmp_path):
    code, out, _ = bench("--full --threads 2 -o here --only FILT")
    assert code == 0 and "again" in out and "alone" not in out
    result = json.loads((tmp_path / "here/report.json").read_text())
    assert result["threads"] == 2 and {*result["limits"]} == {"float32", "float64"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--threads 0", "--threads must be at least 1; got 0"),
        ("--seconds -1", "--seconds must not be negative"),
        ("--only nothing", "there is no such family"),
        ("-o no/where", "cannot write to no/where: No such file or directory"),
        ("-o file", "cannot write to file: File exists"),
    ],
)
def test_refused(bench, tmp_path, command, says):
    (tmp_path / "file").touch()
    code, out, err = bench(command)
    assert (code, out) == (2, "") and says in err


def test_without_matplotlib(bench, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = bench()
    assert code == 2 and 'pip install "fastconv[plot]"' in err and not list(tmp_path.iterdir())


def test_means():
    rows = [{"peers": {"a": {"ratio": 2.0}}}, {"peers": {"a": {"ratio": 8.0}, "b": {"ratio": 1.0}}}]
    assert report.mean(rows, "a") == pytest.approx(4) and report.mean(rows, "b") == 1


@pytest.mark.deep
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(bench, tmp_path, width):
    assert bench("--full")[0] == 0
    said = browsed((tmp_path / "fastconv-bench/report.html").read_text(), tmp_path, width)
    assert said["errors"] == [] and said["width"] <= said["inner"] == width and said["contrast"] >= 4.5
    assert (said["sections"], said["figures"], said["empty"], said["unreachable"]) == (4, 3, 0, 0)


@pytest.mark.deep
@pytest.mark.parametrize("full", [False, True])
def test_peers_agree(full):
    """Each call of a peer gives what fastconv gives: the first case of each family or, with `full`, small ones, too."""
    seen = set()
    for contest in contests.contests(full):
        if contest.family in seen and (not full or contest.x is None or contest.x.size > 3e5):
            continue
        seen.add(contest.family)
        for name, (ours, theirs) in contest.pairs.items():
            assert benching.alike(ours(), theirs()), (contest.family, contest.label, name)
    assert len(seen) >= 6
