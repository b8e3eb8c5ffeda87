# SPDX-License-Identifier: BSD-3-Clause
"""Draws README's picture of the tour.

    python bench/pictures.py

tour.png is a part of the sheet that `python -m fastconv tour` makes. It needs Matplotlib: pip install -e ".[plot]"
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from fastconv import tour

HERE = Path(__file__).parent


def sheet() -> None:
    """Edges, the flip and the figure in the crowd, four panels each, at half the size."""
    parts = (tour.layer_to_correlation(), tour.flip(), tour.crowd())
    whole = tour.sheet([(part.title, part.panels[1:5] if len(part.panels) > 4 else part.panels) for part in parts])
    half = whole.resize((whole.width * 5 // 8, whole.height * 5 // 8), Image.Resampling.LANCZOS)
    half.quantize(200).save(HERE / "tour.png", optimize=True)


if __name__ == "__main__":
    sheet()
