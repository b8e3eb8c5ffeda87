# SPDX-License-Identifier: BSD-3-Clause
"""Random calls of every public function beside independent oracles: seconds here, minutes with ``-m deep``.

FASTCONV_FUZZ_SECONDS is how many of each family in the deep run. Calls are made in a process of their own, so that one
that ends the process is told like any other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import fuzz
import pytest
from conftest import SEED

HERE = Path(__file__).parent


def call(families: Sequence[str], seconds: float) -> None:
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    ended = subprocess.run(
        [sys.executable, HERE / "fuzz.py", *families, "--seed", str(SEED), "--seconds", str(seconds), "--verbose"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=len(families) * (seconds + fuzz.PATIENCE),
        check=False,
    )
    assert ended.returncode == 0, f"{ended.returncode}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}"


@pytest.mark.parametrize("families", [fuzz.FAMILIES[::2], fuzz.FAMILIES[1::2]], ids=", ".join)
def test_a_few_calls(families):
    call(families, 0.25)


@pytest.mark.deep
@pytest.mark.parametrize("family", fuzz.FAMILIES)
def test_many_calls(family):
    call([family], float(os.environ.get("FASTCONV_FUZZ_SECONDS") or 60))
