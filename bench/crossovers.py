# SPDX-License-Identifier: BSD-3-Clause
"""What the fitted numbers of `csrc/costs.h` and `fastconv/costs.py` are worth on this machine.

    python bench/crossovers.py                 where one method overtakes another: what `CROSSOVERS` stands for
    python bench/crossovers.py NAME ...        calls that depend on NAME, with it halved, as it is, and doubled
    python bench/crossovers.py --list          the names, and what is called for each

The three ways run in processes of their own, in turn; each figure is the best of many. For a number of the C core,
three extensions are built in a directory that is thrown away. A number that is close to its best has ratios above one
on both sides. (The gain that "fft gain" asks for is what the estimates of `explain` may be wrong by; they are printed
beside the times.)
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv.measuring import alternate

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests")]
import cases  # noqa: E402

Calls = dict[str, Callable[[], Any]]

SIZES = (3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 21)
FACTORS = (0.5, 1, 2)
TABLES = (ROOT / "csrc/costs.h", ROOT / "fastconv/costs.py")


def floats(*shape: int) -> Any:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


def layer(function: str, x: tuple[int, ...], w: tuple[int, ...], **how: Any) -> tuple[str, Callable[[], Any]]:
    """A call of nn.conv2d or of a gradient of it."""
    image, taps = floats(*x), floats(*w)
    grad = fastconv.nn.conv2d(image, taps, **how)
    calls = {
        "conv2d": partial(fastconv.nn.conv2d, image, taps, **how),
        "conv2d_input": partial(fastconv.nn.conv2d_input, x, taps, grad, **how),
        "conv2d_weight": partial(fastconv.nn.conv2d_weight, image, w, grad, **how),
    }
    return f"{function} {x} by {w} {how or ''}", calls[function]


def products() -> Calls:
    layers = [
        ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
        ((1, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
        ((1, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
        ((8, 512, 7, 7), (256, 512, 1, 1), {}),
    ]
    calls = [layer("conv2d", x, w, **how, method="direct") for x, w, how in layers]
    calls += [layer("conv2d_input", (8, c, 7, 7), (c, c, 3, 3), padding=1, accuracy="exact") for c in (16, 128)]
    return dict([*calls, layer("conv2d_input", (1, 64, 56, 56), (128, 64, 3, 3), padding=1, stride=2)])


def winograd() -> Calls:
    sides = ((64, 56), (256, 14), (512, 7), (128, 7), (32, 14), (16, 20), (8, 28), (3, 56))
    hows = [{"padding": 1, "accuracy": accuracy} for accuracy in ("default", "fast")]
    calls = [layer("conv2d", (1, c, n, n), (max(c, 16), c, 3, 3), **how) for how in hows for c, n in sides]
    longer = ((64, 28, 5, 5), (192, 14, 5, 5), (192, 17, 1, 7), (64, 28, 5, 1), (128, 28, 2, 2), (64, 56, 7, 7))
    calls += [layer("conv2d", (1, c, n, n), (c, c, *taps), **how) for how in hows for c, n, *taps in longer]
    for c, n, d in ((64, 56, 2), (128, 28, 2), (64, 56, 4), (256, 33, 6), (32, 112, 4)):
        calls.append(layer("conv2d", (1, c, n, n), (c, c, 3, 3), padding=d, dilation=d, accuracy="fast"))
    return dict(calls)


def large_kernels() -> Calls:
    sides = ((64, 56, 31), (64, 28, 29), (64, 28, 13), (64, 14, 27), (64, 56, 11), (8, 224, 13), (1, 512, 63))
    calls = [layer("conv2d", (1, c, n, n), (c, 1, k, k), padding=k // 2, groups=c) for c, n, k in sides]
    dense = ((3, 64, 112, 7), (4, 4, 56, 7), (8, 8, 56, 11), (16, 16, 56, 7), (3, 3, 256, 31))
    return dict([*calls, *[layer("conv2d", (1, c, n, n), (m, c, k, k), padding=k // 2) for c, m, n, k in dense]])


def zones() -> Calls:
    sides = ((256, 28, 2), (256, 28, 4), (256, 33, 12), (64, 56, 2), (32, 112, 4), (16, 16, 8))
    return dict(layer("conv2d", (1, c, n, n), (c, c, 3, 3), padding=d, dilation=d) for c, n, d in sides)


def bottlenecks() -> Calls:
    conv, shapes = fastconv.nn.Conv2d, ((16, 96, 112), (24, 144, 56), (64, 384, 14), (160, 960, 7), (96, 192, 28))
    every = {(c, m, n): (conv(c, m, 1), conv(m, m, 3, 1, 1, 1, m), conv(m, c, 1)) for c, m, n in shapes}
    return {str(s): partial(fastconv.nn.Sequential(*y).folded(), floats(1, s[0], s[2], s[2])) for s, y in every.items()}


def planes() -> Calls:
    at = (32, 112), (96, 56), (256, 14), (512, 7), (6, 300)
    calls = [layer("conv2d", (1, c, n, n), (c, 1, 3, 3), padding=1, groups=c, stride=s) for s in (1, 2) for c, n in at]
    return dict([*calls, layer("conv2d", (1, 4, 20, 20), (64, 1, 5, 5), groups=4)])


def few_outputs() -> Calls:
    shapes = (((8, 64, 14, 14), (64, 64, 13, 13)), ((1, 16, 30, 30), (16, 16, 25, 25)))
    return dict(layer("conv2d_input", x, w) for x, w in shapes)


def weights() -> Calls:
    calls = [layer("conv2d_weight", (2, 64, 56, 56), (64, 64, 3, 3), padding=1)]
    calls.append(layer("conv2d_weight", (1, 3, 224, 224), (64, 3, 7, 7), padding=3, stride=2))
    calls.append(layer("conv2d_weight", (4, 512, 7, 7), (256, 512, 1, 1)))
    sides = ((128, 28, 1), (512, 7, 1), (512, 7, 8), (16, 14, 1), (8, 28, 8), (32, 7, 1))
    for accuracy in "default", "fast":
        hows = {"padding": 1, "accuracy": accuracy}
        calls += [layer("conv2d_weight", (images, c, n, n), (c, c, 3, 3), **hows) for c, n, images in sides]
    return dict([*calls, layer("conv2d_weight", (2, 96, 56, 56), (96, 1, 3, 3), padding=1, groups=96)])


def folds() -> Calls:
    x, how = floats(2, 32, 56, 56), {"stride": 2, "padding": 1}
    unfold = partial(fastconv.nn.unfold, x, (3, 3), **how)
    return {"unfold 3x3": unfold, "fold 3x3": partial(fastconv.nn.fold, unfold(), (56, 56), (3, 3), **how)}


def pictures() -> Calls:
    x, small = floats(*cases.PICTURE), floats(64, 64)
    calls: Calls = {}
    for n in (3, 7):
        k, outer = floats(n, n), np.outer(floats(n), floats(n))
        calls |= {
            f"corr2d {n}x{n}": partial(fastconv.corr2d, x, k),
            f"corr2d {n}x{n} of every third column": partial(fastconv.corr2d, x[:, ::3], k, boundary="reflect"),
            f"corr2d {n}x{n} stride 2, separable": partial(fastconv.corr2d, x, outer, stride=2),
            f"corr2d {n}x{n} separable": partial(fastconv.corr2d, x, outer, method="separable"),
            f"corr2d {n}x{n} narrow": partial(fastconv.corr2d, x[:250, :200], k, "same", "reflect"),
            f"corr2d {n}x{n} small": partial(fastconv.corr2d, small, k, boundary="edge"),
        }
    return calls


def images_of_bytes() -> Calls:
    calls: Calls = {}
    for taps in ([1, 2, 1], [1, 4, 6, 4, 1]):
        k = np.outer(taps, taps) / sum(taps) ** 2
        call = partial(fastconv.corr2d, k=k, mode="same", boundary="reflect", dtype=np.uint8, overflow="saturate")
        for shape in (250, 333), (512, 512), (1080, 1920), (2160, 3840):
            calls |= {f"{len(k)} of bytes {shape}, {s}": partial(call, np.zeros(shape, "u1"), stride=s) for s in (1, 2)}
    return calls


def averages() -> Calls:
    calls: Calls = {}
    for n in (9, 31, 101):
        call = partial(
            fastconv.corr2d, k=np.full((n, n), 1 / n**2), mode="same", boundary="reflect", overflow="saturate"
        )
        for dtype in (np.uint8, np.uint16):
            x = np.zeros((1080, 1920), dtype)
            calls[f"corr2d, box {n} of {x.dtype}"] = partial(call, x, dtype=dtype)
    return calls


def transforms() -> Calls:
    calls: Calls = {}
    for x, k in (((512, 512), (31, 31)), ((1080, 1920), (15, 15)), ((10**5,), (1000,)), ((64, 64, 64), (9, 9, 9))):
        function = (fastconv.corr1d, fastconv.corr2d, fastconv.corr3d)[len(k) - 1]
        calls[f"{x} by {k}"] = partial(function, floats(*x), floats(*k), "same", method="fft")
    return calls


def choices() -> Calls:
    x = floats(512, 512)
    calls: Calls = {f"corr2d {n}x{n}": partial(fastconv.corr2d, x, floats(n, n)) for n in (5, 9, 10, 11, 13, 15, 21)}
    calls |= {f"corr2d {n}x{n}, all the same": partial(fastconv.corr2d, x, np.ones((n, n), "f4")) for n in (9, 13, 31)}
    return calls | {f"corr2d {n}x{n} of 1024x1024": partial(fastconv.corr2d, floats(1024, 1024), floats(n, n), "same")
                    for n in (300, 600, 900)}  # fmt: skip


def lags() -> Calls:
    calls: Calls = {}
    for n in (300, 700, 1500):
        x, ys = floats(n).astype(float), itertools.cycle(floats(40, n).astype(float))
        calls[f"xcorr {n}, a new y in every call"] = lambda x=x, ys=ys: fastconv.xcorr(x, next(ys))
    return calls


def matches() -> Calls:
    x, volume, match = floats(512, 512), floats(200, 200, 20), fastconv.feature.match_template
    calls: Calls = {f"match_template {n}x{n}": partial(match, x, x[:n, :n]) for n in (8, 12, 24, 64)}
    return calls | {f"match_template, rows of {21 - n}": partial(match, volume, volume[:5, :5, :n]) for n in (2, 8, 17)}


def filters() -> Calls:
    import dask.array

    nd, k, x, small, lost = fastconv.ndimage, floats(7, 7), floats(1080, 1920), floats(40, 40), floats(512, 512)
    lost[::7, ::5] = np.nan
    lazy = dask.array.from_array(floats(4096, 4096), chunks=1024)
    return {
        "gaussian_filter": partial(nd.gaussian_filter, x, 2),
        "gaussian_filter in chunks": partial(nd.gaussian_filter(lazy, 2).compute, scheduler="sync"),
        "uniform_filter 31": partial(nd.uniform_filter, x, 31),
        "uniform_filter 63": partial(nd.uniform_filter, x, 63),
        "gaussian_filter, small": partial(nd.gaussian_filter, small, 1),
        "gaussian_filter, channels last": partial(nd.gaussian_filter, floats(300, 300, 3), 2),
        "gaussian_filter, short lines": partial(nd.gaussian_filter, floats(2000, 20), 2),
        "correlate 7x7, small": partial(nd.correlate, small, k),
        "corr2d 7x7, elements missing": partial(fastconv.corr2d, lost, k, nan="ignore"),
        "signal.convolve, small": partial(fastconv.signal.convolve, small, k),
        "corr2d, rows far apart": partial(fastconv.corr2d, x, floats(3, 3), stride=(200, 1)),
    }


def colours() -> Calls:
    shapes = ((16, 16, 1000), (64, 64, 256), (300, 300, 64), (1080, 1920, 3))
    corr2d = partial(fastconv.corr2d, k=floats(15, 15), mode="same", method="direct", axes=(0, 1))
    return {f"corr2d 15x15 of {shape}": partial(corr2d, floats(*shape)) for shape in shapes}


def layers_of_bytes() -> Calls:
    x, w = np.ones((1, 64, 56, 56), np.uint8), np.ones((64, 64, 3, 3), np.int8)
    return {f"{g} groups": partial(fastconv.nn.QConv2d(w[:, : 64 // g], None, 1, 1, groups=g), x) for g in (1, 64)}


def threads() -> Calls:
    call = partial(fastconv.corr2d, k=floats(5, 5), threads=2)
    calls: Calls = {f"corr2d 5x5 of {n}x{n}, two threads": partial(call, floats(n, n)) for n in (64, 200, 400, 1000)}
    name, call = layer("conv2d", (1, 32, 20, 20), (32, 32, 3, 3), padding=1, threads=2)
    return calls | {name: call} | {f"{k}, two threads": v for k, v in folds().items()}


def pools() -> Calls:
    pool = fastconv.nn.max_pool2d
    shapes = {"3x3, small": (256, 14, 3, 1, 1), "3x3": (64, 56, 3, 1, 1), "2x2, by two": (64, 112, 2, 2, 0)}
    shapes |= {f"{name}, indices": shape for name, shape in shapes.items()}
    return {
        f"max_pool2d {k}": partial(pool, floats(1, *s[:2], s[1]), *s[2:], return_indices="indices" in k)
        for k, s in shapes.items()
    }


# Numbers, and the calls that they decide
GROUPS: dict[str, Callable[[], Calls]] = {
    "PRODUCTS_*": products, "CYCLES_*": products, "VECTORS_*": products, "UNEVEN": products, "ZONES_*": zones,
    "WINOGRAD_*": winograd, "TRANSFORMS_*": large_kernels, "RATE_TRANSFORMS": large_kernels, "FOLDED_*": large_kernels,
    "TAPS_*": planes, "SLIDES_*": planes, "LANES_*": planes, "PLANES_*": planes, "EXCHANGE_*": few_outputs,
    "WEIGHT_*": weights, "FOLD_*": folds, "POOL_*": pools, "FFT_*": transforms, "TRANSFORM_*": choices,
    "PART_*": choices, "RATE_DIRECT": choices, "BOTTLENECK_*": bottlenecks, "CROSSOVERS": choices, "BOX_*": choices,
    "RATE_INTEGERS": choices, "GATHER_*_US": choices, "MATCH_*": matches, "RATE_MATCH": matches, "LINES_*": filters,
    "ORDERED_*": filters, "PASSES_*": filters, "WIDE_MEAN": filters, "SHORT_LINE": filters, "PIXELS_*": colours,
    "PLAIN_BELOW": filters, "LAGS_PRODUCTS": lags, "MISSING_BAND": filters, "FLOAT32_FROM": filters, "FAR": filters,
    "FC_THREADS_FROM_US": threads, "KEEP_GIL_BELOW": threads, "*_CHUNK_US": threads, "CHUNK_*": filters,
    "RATE_*": threads, "FC_*": pictures, "CORR_*": pictures, "GATHER_*": pictures, "SEPARABLE_*": pictures,
    "ST*P*_*": pictures, "KEPT_*": pictures, "BYTE*": images_of_bytes, "THREES_*": images_of_bytes,
    "COLUMNS_*": averages, "ACROSS_*": products, "DOTS_*": layers_of_bytes, "SPIN_US": threads, "LISTEN_US": threads,
}  # fmt: skip


def calls_of(name: str) -> Callable[[], Calls]:
    """The first group that a number belongs to."""
    return next(calls for pattern, calls in GROUPS.items() if fnmatch(name, pattern))


# ---- other numbers -------------------------------------------------------------------------------


def names() -> dict[str, Path]:
    """Every fitted number, and where it stands."""
    found = {}
    for table in TABLES:
        for line in table.read_text().splitlines():
            code = re.split(r"/\*|#", line)[0]
            for name in re.findall(r"\b([A-Z][A-Z0-9_]+)(?:\[\w*\])? = ", code):
                found[name] = table
    return found


def scaled(name: str, factor: float) -> str:
    """costs.h with one number, or all of an array, so many times as large."""

    def times(number: re.Match[str]) -> str:
        whole = re.fullmatch(r"\d+(?: << \d+)?", number[0])
        return f"(({number[0]}) * {int(2 * factor)} / 2)" if whole else f"(({number[0]}) * {factor})"

    def replaced(match: re.Match[str]) -> str:
        return match[1] + re.sub(r"[\d.]+(?:e-?\d+)?(?: << \d+)?", times, match[2])

    pattern = rf"(\b{name}(?:\[\w*\])? = )(\{{[^}}]*\}}|[\d.]+(?:e-?\d+)?(?: << \d+)?)"
    text, count = re.subn(pattern, replaced, TABLES[0].read_text())
    assert count == 1, name
    return text


def worker(name: str, factor: float, build: Path) -> subprocess.Popen[str]:
    """A process that times the calls of a number whenever it is told to."""
    if names()[name] == TABLES[0]:
        for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, build)
        for part in ("csrc", "fastconv"):
            shutil.copytree(ROOT / part, build / part, ignore=shutil.ignore_patterns("*.so", "_core.c", "__pycache__"))
        (build / "csrc/costs.h").write_text(scaled(name, factor))
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=build, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{done.stderr}\nthe extension with another {name} cannot be built")
        factor, path = 1, build
    else:
        path = ROOT
    command = [sys.executable, __file__, "--work", name, str(factor)]
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def work(name: str, factor: float) -> None:
    """What a worker does: a line in, the best times out."""
    if factor != 1:
        from fastconv import costs

        value = getattr(costs, name)
        many = {k: v * factor for k, v in value.items()} if isinstance(value, dict) else type(value)(value * factor)
        if isinstance(value, dict):
            value.update(many)
        else:
            setattr(costs, name, many)
    fastconv.set_num_threads(1)
    calls = calls_of(name)()
    for _ in sys.stdin:
        print(json.dumps({label: alternate([call], 0.05)[0] for label, call in calls.items()}), flush=True)


def vary(name: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        workers = []
        for factor in FACTORS:
            build = Path(directory) / str(factor)
            build.mkdir()
            workers.append(worker(name, factor, build))
        best: list[dict[str, float]] = [{} for _ in workers]
        for _ in range(rounds):
            for i, process in enumerate(workers):
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                for label, seconds in json.loads(process.stdout.readline()).items():
                    best[i][label] = min(best[i].get(label, seconds), seconds)
        for process in workers:
            process.communicate()
    print(f"\n{name:<72} as it is, ms   halved  doubled")
    for label, seconds in best[1].items():
        print(f"  {label:<70} {1e3 * seconds:12.3f} {best[0][label] / seconds:8.2f} {best[2][label] / seconds:8.2f}")


# ---- where one method overtakes another ----------------------------------------------------------


def overtakes() -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*names(), []])
    parser.add_argument("--list", action="store_true", help="name every number, and what is called for it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", nargs=2, metavar=("NAME", "FACTOR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], float(options.work[1]))
    elif options.list:
        for name, table in names().items():
            print(f"{name:<22} {table.name:<9} {calls_of(name).__name__}")
    elif options.names:
        for name in options.names:
            vary(name, options.rounds)
    else:
        overtakes()


if __name__ == "__main__":
    main()
