# SPDX-License-Identifier: BSD-3-Clause
"""Random cases of the checks of the C core that are led by what they reach in csrc/, under AddressSanitizer and UBSan.

    python tests/guided.py                      # a million cases
    python tests/guided.py --cases 20000 --only driver --seed 7

`c/guided.c` says how cases are led. Every case is checked as all are: against plain loops, beside guard pages. Built is
the least instruction set, in `build/guided`; what was built is not built again as long as no file of csrc/ changes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from test_c_level import CHECKS, CSRC, ROOT, SANITIZED, extension_flags, run

FOLDER = ROOT / "build" / "guided"
FLAGS = (*SANITIZED.split(), "-w", "-DFASTCONV_LEAST", "-DFC_GUIDED", f"-I{CSRC}")
GUIDE = "-fsanitize-coverage=trace-pc,trace-cmp"


def built() -> Path:
    """The program, brought up to date."""
    compiler = os.environ.get("CC", "gcc").split()
    flags = [flag for flag in extension_flags() if flag != "-O2"]
    newest = max(p.stat().st_mtime for p in CSRC.rglob("*.[ch]"))
    FOLDER.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> Path:
        guides = CSRC in source.parents
        to = FOLDER / f"{source.parent.name}_{source.stem}.o"
        if not guides or not to.exists() or to.stat().st_mtime < newest:
            run(*compiler, *flags, *FLAGS, *([GUIDE] if guides else []), "-c", source, "-o", to)
        return to

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, [*sorted(CSRC.rglob("*.c")), *CHECKS]))
    run(*compiler, *FLAGS, *objects, "-o", FOLDER / "check", "-pthread", "-lm")
    return FOLDER / "check"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="part of the name of what is checked, such as driver or gemm_f32")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    if not shutil.which("gcc"):
        sys.exit("gcc is not installed, whose sanitizers and coverage these are")
    program, begun = built(), time.monotonic()
    command = [str(program), str(asked.seed), asked.only, str(asked.cases)]
    code = subprocess.run(command, check=False).returncode
    print(f"{time.monotonic() - begun:.0f} s, exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
