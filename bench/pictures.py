# SPDX-License-Identifier: BSD-3-Clause
"""Draws README's pictures.

    python bench/pictures.py

speed.png shows the table of pictures in bench/README.md, and so what was measured on the CPU that is named there.
tour.png is a part of the sheet that `python -m fastconv tour` makes. Both need Pillow and Matplotlib:
pip install -e ".[bench]"
"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib import pyplot
from PIL import Image

from fastconv import tour

HERE = Path(__file__).parent
DTYPE = "float32"


def measured() -> tuple[str, list[str], dict[str, list[float]]]:
    """From the table of pictures: the CPU, the kernels of DTYPE, and how many times as long each peer takes."""
    found = re.search(r"^CPU: (.*)\.\n\n((?:\|.*\n)+)", (HERE / "README.md").read_text(), re.MULTILINE)
    assert found is not None
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in found[2].splitlines())
    rows = [row for row in rows if row[0].startswith(DTYPE)]
    kernels = [row[0].removeprefix(DTYPE).strip() for row in rows]
    return (
        f"{found[1]}; {head[0]}",
        kernels,
        {peer: [float(row[i]) for row in rows] for i, peer in enumerate(head) if i >= 3},
    )


def speed() -> None:
    """How many times as long as fastconv each peer takes, kernel by kernel, on a logarithmic scale."""
    where, kernels, ratios = measured()
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    width = 0.8 / len(ratios)
    for i, (peer, times) in enumerate(ratios.items()):
        at = [k + (i - (len(ratios) - 1) / 2) * width for k in range(len(kernels))]
        axes.bar_label(axes.bar(at, times, width, label=peer), fmt="%.3g", fontsize=7, padding=1)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.set_ylim(0.8, 2.5 * max(map(max, ratios.values())))
    axes.set_yticks([1, 10, 100], ["fastconv", "10 x", "100 x"])
    axes.set_xticks(range(len(kernels)), kernels)
    axes.set_title(f"{DTYPE}, {where}: time of others divided by fastconv's", fontsize=9)
    axes.legend(ncols=len(ratios), fontsize=8, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "speed.png", dpi=110)


def sheet() -> None:
    """Edges, the flip and the figure in the crowd, four panels each, at half the size."""
    parts = (tour.layer_to_correlation(), tour.flip(), tour.crowd())
    whole = tour.sheet([(part.title, part.panels[1:5] if len(part.panels) > 4 else part.panels) for part in parts])
    half = whole.resize((whole.width * 5 // 8, whole.height * 5 // 8), Image.Resampling.LANCZOS)
    half.quantize(200).save(HERE / "tour.png", optimize=True)


if __name__ == "__main__":
    speed()
    sheet()
