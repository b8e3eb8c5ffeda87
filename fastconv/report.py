# SPDX-License-Identifier: BSD-3-Clause
"""What ``fastconv bench`` has measured, drawn and told: charts by Matplotlib, and one page, `report.html`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from fastconv.pages import filled, svg
from fastconv.tables import html_table

Result = Mapping[str, Any]  # what is kept as JSON
COLOURS = ("#3b6fb6", "#e08a2e", "#4c9a5b", "#b8473d", "#7a5ca8", "#8a6d5a")


def families(result: Result) -> dict[str, list[dict[str, Any]]]:
    """Rows by family."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        found.setdefault(row["family"], []).append(row)
    return found


def ratios(rows: list[dict[str, Any]], axes: Any) -> None:
    """How many times as long as fastconv each peer takes, case by case, on a logarithmic scale."""
    names = list(dict.fromkeys(name for row in rows for name in row["peers"]))
    width = 0.8 / max(len(names), 1)
    highest = max((peer["ratio"] for row in rows for peer in row["peers"].values()), default=1.0)
    for i, name in enumerate(names):
        known = [(at, row["peers"][name]["ratio"]) for at, row in enumerate(rows) if name in row["peers"]]
        bars = axes.bar(
            [at + (i - (len(names) - 1) / 2) * width for at, _ in known],
            [ratio for _, ratio in known],
            width * 0.92,
            label=name,
            color=COLOURS[i % len(COLOURS)],
        )
        if len(rows) * len(names) <= 28:
            axes.bar_label(bars, fmt=lambda x: f"{x:.3g}" if x < 1000 else f"{x:.0f}", fontsize=7, padding=1)
    axes.axhline(1, linewidth=1, color="#888")
    axes.set_yscale("log")
    lowest = min((peer["ratio"] for row in rows for peer in row["peers"].values()), default=1.0)
    axes.set_ylim(min(0.5, 0.8 * lowest), 3 * max(highest, 2))
    ticks = [1, *(10**n for n in range(1, 4) if 10**n < 3 * highest)]
    axes.set_yticks(ticks, ["fastconv", *(f"{n} x" for n in ticks[1:])])
    axes.minorticks_off()
    slanted = (
        {"rotation": 20 if len(rows) < 12 else 60, "ha": "right", "rotation_mode": "anchor"}
        if max(len(row["label"]) for row in rows) * len(rows) > 60
        else {}
    )
    axes.set_xticks(range(len(rows)), [row["label"] for row in rows], fontsize=8, **slanted)
    if names:
        axes.legend(ncols=len(names), fontsize=8, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


def roofline(result: Result, axes: Any) -> None:
    """GFLOP/s against the operations for each byte that is moved, under the two limits of the machine."""
    rows = [row for row in result["rows"] if row.get("fraction")]
    limits = result["limits"]
    for i, (dtype, limit) in enumerate(limits.items()):
        intensities = [10 ** (n / 20) for n in range(-10, 50)]
        roof = [min(limit["gflops"], limit["copy"] * intensity) for intensity in intensities]
        axes.plot(intensities, roof, color="#888", linewidth=1.5, linestyle=("-", "--")[i % 2], label=f"limit, {dtype}")
    for i, (family, mine) in enumerate(families({"rows": rows}).items()):
        at = [row["operations"] / row["bytes"] for row in mine]
        axes.plot(at, [row["gflops"] for row in mine], "o", color=COLOURS[i % len(COLOURS)], label=family)
        for x, row in zip(at, mine, strict=True):
            if len(mine) < 8:
                axes.annotate(row["label"], (x, row["gflops"]), (4, -9), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte read or written", ylabel="GFLOP/s, one core")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def chart(rows: list[dict[str, Any]], title: str) -> Any:
    """A figure with the ratios of a family alone."""
    from matplotlib.figure import Figure

    figure = Figure((8, 3.6), layout="constrained", dpi=110)
    axes = figure.subplots()
    ratios(rows, axes)
    axes.set_title(title, fontsize=9)
    return figure


def page(result: Result) -> str:
    """The page of a result."""
    found = families(result)
    sections = [_section(0, "The limits of this machine", _limits(result))]
    for number, (family, rows) in enumerate(found.items(), 1):
        drawn = svg(lambda axes, rows=rows: ratios(rows, axes), (8, 3.4), f"family-{number}")  # type: ignore[misc]
        said = f"{family}: the time of others divided by fastconv's"
        sections.append(_section(number, family, f"{_chart(drawn, said)}{_table(rows)}"))
    sections.append(
        _section(len(found) + 1, "What ran", f'<div class="facts">{html_table(_ran(result).items())}</div>')
    )
    names = ["The limits of this machine", *found, "What ran"]
    contents = "\n".join(f'<li><a href="#part-{i}">{escape(name)}</a></li>' for i, name in enumerate(names))
    return filled(
        "report.html",
        title="How fast convolution is here",
        cpu=escape(result["cpu"]),
        threads="one thread" if result["threads"] == 1 else f"{result['threads']} threads",
        contents=contents,
        sections="\n".join(sections),
        command=escape(result["command"]),
    )


def _section(number: int, title: str, inner: str) -> str:
    return (
        f'<section id="part-{number}" aria-labelledby="title-{number}"><h2 id="title-{number}">{escape(title)}</h2>\n'
        f"{inner}</section>"
    )


def _chart(drawn: str, said: str) -> str:
    return f'<figure class="chart" tabindex="0"><div role="img" aria-label="{escape(said)}">{drawn}</div></figure>'


def _limits(result: Result) -> str:
    limits = "; ".join(
        f"{dtype}: {limit['gflops']:.0f} GFLOP/s of fused multiply-adds, {limit['copy']:.1f} GB/s of a copy"
        for dtype, limit in result["limits"].items()
    )
    drawn = svg(lambda axes: roofline(result, axes), (8, 4.2), "roofline")
    said = "GFLOP/s of filters against operations for each byte, under the limits of the machine"
    told = (
        f"One core: {escape(limits)}. Both were measured in this run. A filter can be no faster than its multiply-adds "
        "(fma), nor than a copy of its picture; the tables say how much of the nearer limit it reaches."
    )
    return f"<p>{told}</p>{_chart(drawn, said)}"


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["peers"]))
    limited = any(row.get("fraction") for row in rows)
    cells = []
    for row in rows:
        peers = [_told(row["peers"].get(name)) for name in names]
        fraction = f"{row['fraction']:.0%} of {row['bound']}" if row.get("fraction") else ""
        cells.append((row["label"], f"{row['ms']:.3g}", *([fraction] if limited else []), *peers))
    head = ("", "fastconv, ms", *(["of the limit"] if limited else []), *(f"{name}, times as long" for name in names))
    means = ", ".join(f"{name} {mean(rows, name):.2f}" for name in names) or "no peer is installed"
    return f"<p>Geometric means: {escape(means)}.</p>{_wide(html_table(cells, head))}"


def _wide(table: str) -> str:
    return f'<div class="wide" tabindex="0">{table}</div>'


def _told(peer: Mapping[str, Any] | None) -> str:
    return "" if peer is None else f"{peer['ratio']:.2f}{'' if peer['agrees'] else ' (another result)'}"


def mean(rows: list[dict[str, Any]], name: str) -> float:
    """The geometric mean of a peer's ratios."""
    logs = [math.log(row["peers"][name]["ratio"]) for row in rows if name in row["peers"]]
    return math.exp(sum(logs) / len(logs))


def _ran(result: Result) -> dict[str, str]:
    return {"CPU": result["cpu"], "threads": str(result["threads"]), "system": result["system"], **result["versions"]}
