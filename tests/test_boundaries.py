# SPDX-License-Identifier: BSD-3-Clause
"""The table of boundaries: its rules, and that C and the interfaces say the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import only_deep

import fastconv
from fastconv.arguments import boundaries
from fastconv.arguments.boundaries import BY_NAME, CODES, NAMES, source_index

HEADER = Path(__file__).parents[1] / "csrc" / "fastconv.h"
INTERFACES = ("BOUNDARIES", "NDIMAGE", "PADDING_MODES", "SIGNAL")
LENGTHS = (1, 2, 3, 7)


def test_codes_are_those_of_c():
    enum = re.search(r"enum \{ (FC_CONSTANT[^}]*) \}", HEADER.read_text())
    assert enum and enum[1].split(", ") == [f"FC_{name.upper()}" for name in CODES]


@pytest.mark.parametrize("name", INTERFACES)
def test_interfaces_name_rules_of_the_table(name):
    assert set(getattr(boundaries, name).values()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_elements_stay_and_their_number_is_that_of_a_period(name):
    rule = BY_NAME[name]
    for n in LENGTHS:
        i = np.arange(-20, n + 20)
        source = source_index(i, n, name)
        np.testing.assert_array_equal(source[20:-20], np.arange(n))
        if period := rule.period(n):
            np.testing.assert_array_equal(source_index(i + period, n, name), source)
        else:
            assert len(set(source[:20])) == len(set(source[-20:])) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if BY_NAME[name].once])
def test_elements_beyond_an_end_are_there_once(name):
    for n in LENGTHS:
        once = BY_NAME[name].once(n)
        before, behind = source_index(np.arange(-once, 0), n, name), source_index(n + np.arange(once), n, name)
        assert len(set(before)) == len(set(behind)) == once


@pytest.mark.parametrize("boundary", ["wrap", *only_deep("constant")])
def test_rows_of_millions_are_gathered_in_parts(rng, boundary):
    """Parts follow each other, also where they lie beyond an edge."""
    taps = 8_400_000
    x, k, at = rng.integers(0, 9, taps + 11).astype("u1"), np.zeros(taps, "f4"), rng.choice(taps, 50, replace=False)
    k[at] = 1
    first = len(x) // 2
    seen = first + np.arange(9)[:, None] + at - (taps - 1) // 2
    there = (seen >= 0) & (seen < len(x)) if boundary == "constant" else True
    expected = np.where(there, x[seen % len(x)], 0).sum(1)
    result = fastconv.corr1d(x, k, "same", boundary, method="direct", window=(slice(first, first + 9),))
    np.testing.assert_array_equal(result, expected)
