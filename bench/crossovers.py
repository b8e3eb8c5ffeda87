# SPDX-License-Identifier: BSD-3-Clause
"""Where one method overtakes another: measures what `fastconv.methods.CROSSOVERS` stands for.

    python bench/crossovers.py

For every kernel size the direct method is timed beside the separable one and beside transforms, alternating in one
process; the last lines say from where on each is faster, in the words of the table. (The gain that "fft gain" asks for
is what the estimates of `explain` may be wrong by; they are printed beside the times.)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import fastconv

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
import cases  # noqa: E402
from side_by_side import alternate  # noqa: E402

SIZES = (3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 21)


def main() -> None:
    fastconv.set_num_threads(1)
    fastconv.show_config()
    rng = np.random.default_rng(1)
    for dtype in ("float32", "float64"):
        x = rng.random(cases.PICTURE).astype(dtype)
        print(f"\n{dtype} {cases.PICTURE}, ms      direct   separable   fft (estimates: direct, fft)")
        separable, transforms = [], []
        for size in SIZES:
            k = rng.random((size, size)).astype(dtype)
            outer = np.outer(k[0], k[1])
            times = alternate(
                [
                    lambda: fastconv.corr2d(x, k, method="direct"),
                    lambda: fastconv.corr2d(x, outer, method="separable"),
                    lambda: fastconv.corr2d(x, k, method="fft"),
                ],
                0.5,
            )
            direct, two_passes, fft = (1e3 * t for t in times)
            told = [fastconv.explain(x.shape, k, method=m, threads=1).serial_us / 1e3 for m in ("direct", "fft")]
            print(
                f"  {size:>2} x {size:<2} {direct:24.3f} {two_passes:11.3f} {fft:9.3f}   ({told[0]:.3f}, {told[1]:.3f})"
            )
            separable.append(two_passes < direct)
            transforms.append(fft < direct)
        first = {name: next((s for i, s in enumerate(SIZES) if all(faster[i:])), None)
                 for name, faster in (("separable", separable), ("fft", transforms))}  # fmt: skip
        if first["separable"]:
            print(f'  "separable": {first["separable"] / 2:.1f}  (taps per tap of the factors)')
        if first["fft"]:
            print(f'  "fft taps": at most {first["fft"] ** 2}')


if __name__ == "__main__":
    main()
