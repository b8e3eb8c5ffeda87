# SPDX-License-Identifier: BSD-3-Clause
"""The table of faults fits the code: `spin mutants` puts each of them in, and sees a test fail."""

from __future__ import annotations

import mutants
import pytest
from mutants_table import FAULTS

if not (mutants.ROOT / "fastconv").is_dir():
    pytest.skip("faults are put into a checkout", allow_module_level=True)


def test_every_fault_has_its_line():
    missing = [f"{fault.name}: {fault.file}" for fault in FAULTS if not mutants.is_there(fault)]
    assert not missing, "mutants_table.py has lines that have changed: " + "; ".join(missing)


def test_every_fault_has_a_name_and_tests():
    tests = {p.stem.removeprefix("test_") for p in (mutants.ROOT / "tests").glob("test_*.py")} | {"c"}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 60
    for fault in FAULTS:
        assert fault.tests and set(fault.tests) <= tests, fault.name
