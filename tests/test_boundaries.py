# SPDX-License-Identifier: BSD-3-Clause
"""The table of boundaries: its rules, and that C and the interfaces say the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

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
