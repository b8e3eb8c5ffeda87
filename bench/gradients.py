# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of layers, transposed layers and a step of training side by side: fastconv.nn beside PyTorch.

    python bench/gradients.py resnet50_v1_5 vgg16            tables of bench/shapes, one thread
    python bench/gradients.py dense --what weight --batch 8
    python bench/gradients.py transposed                     the decoder of a U-Net, the generator of a DCGAN
    python bench/gradients.py step                           one step of training a network that reads digits

Both compute the same gradient of the same arrays, which are compared; then the calls alternate in one process, and a
figure is the best time of each. GFLOP/s counts two operations a tap; the peak is measured by the same run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import learning, measuring, nn

sys.path[:0] = [str(Path(__file__).parent)]
import layers  # noqa: E402
from layers import Array, Call, Layer  # noqa: E402

WHAT = ("input", "weight", "backward")
MASKS = {"input": (True, False, False), "weight": (False, True, False), "backward": (True, True, True)}


class Pair(NamedTuple):
    """The same work of fastconv and of PyTorch."""

    name: str
    ours: Call
    theirs: Call
    flop: float


def torch(options: argparse.Namespace) -> Any:
    try:
        t = importlib.import_module("torch")
    except ImportError as error:
        raise SystemExit('gradients are compared with PyTorch: pip install -e ".[layers]"') from error
    t.set_num_threads(options.threads)
    return t


# ---- what is compared ----------------------------------------------------------------------------


def gradients(table: str, options: argparse.Namespace) -> Iterator[Pair]:
    """Of every layer of a table, but for padding that only one side has: PyTorch's gradients know none."""
    for layer in layers.layers(table, options.dtype, options.batch):
        if layer.is_symmetric:
            yield from (gradient(layer, what, options) for what in options.what)


def gradient(layer: Layer, what: str, options: argparse.Namespace) -> Pair:
    t, padding = torch(options), tuple(before for before, _ in layer.padding)
    how = layer.stride, padding, layer.dilation, layer.groups
    x, w = layer.x, layer.w
    dy = getattr(nn, f"conv{layer.rank}d")(x, w, None, *how)
    dy = np.random.default_rng(2).standard_normal(dy.shape).astype(x.dtype)
    ours = getattr(nn, f"conv{layer.rank}d_{what}")
    calls = {
        "input": lambda: ours(x.shape, w, dy, *how),
        "weight": lambda: ours(x, w.shape, dy, *how),
        "backward": lambda: ours(dy, x, w, *how)[:2],
    }
    tx, tw, tdy = (t.from_numpy(a) for a in (x, w, dy))
    backward, rest = t.ops.aten.convolution_backward, ([0] * layer.rank, layer.groups, MASKS[what])

    def theirs() -> Any:
        found = backward(tdy, tx, tw, [len(w)], *how[:3], False, *rest)
        return [g.numpy() for g in found[:2]] if what == "backward" else found[what == "weight"].numpy()

    flop = layer.flop(dy) * (2 if what == "backward" else 1)
    return Pair(f"{layer.name} {what}", calls[what], theirs, flop)


class Up(NamedTuple):
    """A transposed layer of squares."""

    name: str
    channels: int
    kernels: int
    size: int
    k: int
    stride: int
    padding: int


UPS = [
    Up("unet_1024_16", 1024, 512, 16, 2, 2, 0),
    Up("unet_512_32", 512, 256, 32, 2, 2, 0),
    Up("unet_256_64", 256, 128, 64, 2, 2, 0),
    Up("unet_128_128", 128, 64, 128, 2, 2, 0),
    Up("dcgan_100_1", 100, 1024, 1, 4, 1, 0),
    Up("dcgan_1024_4", 1024, 512, 4, 4, 2, 1),
    Up("dcgan_512_8", 512, 256, 8, 4, 2, 1),
    Up("dcgan_256_16", 256, 128, 16, 4, 2, 1),
    Up("dcgan_128_32", 128, 3, 32, 4, 2, 1),
]


def transposed(options: argparse.Namespace) -> Iterator[Pair]:
    rng, t = np.random.default_rng(1), torch(options)
    for up in UPS:
        x = rng.standard_normal((options.batch or 1, up.channels, up.size, up.size)).astype(options.dtype)
        w = (rng.standard_normal((up.channels, up.kernels, up.k, up.k)) / up.channels**0.5).astype(options.dtype)
        b = rng.standard_normal(up.kernels).astype(options.dtype)
        yield transposed_pair(t, up, x, w, b)


def transposed_pair(t: Any, up: Up, x: Array, w: Array, b: Array) -> Pair:
    tx, tw, tb = (t.from_numpy(a) for a in (x, w, b))
    theirs = t.nn.functional.conv_transpose2d
    return Pair(
        up.name,
        lambda: nn.conv_transpose2d(x, w, b, up.stride, up.padding),
        lambda: theirs(tx, tw, tb, up.stride, up.padding).numpy(),
        2.0 * x[:, 0].size * w.size,
    )


def step(options: argparse.Namespace) -> Iterator[Pair]:
    """Forward, backward and a step of gradient descent of 1 -> 16 -> 32 channels, pooled between, and a dense layer;
    digits are 8x8."""
    t, batch = torch(options), options.batch or 64
    rng = np.random.default_rng(1)
    x, labels = rng.random((batch, 1, 8, 8)).astype(options.dtype), rng.integers(0, 10, batch)
    first = nn.Conv2d(1, 16, 3, padding=1, activation="relu", dtype=options.dtype, seed=0)
    second = nn.Conv2d(16, 32, 3, padding=1, activation="relu", dtype=options.dtype, seed=1)
    dense = nn.Linear(512, 10, dtype=options.dtype, seed=2)
    network = nn.Sequential(first, nn.MaxPool2d(2), second, nn.Flatten(), dense)
    convs = t.nn.Conv2d(1, 16, 3, padding=1), t.nn.Conv2d(16, 32, 3, padding=1)
    relu, pool, flat = t.nn.ReLU(), t.nn.MaxPool2d(2), t.nn.Flatten()
    model = t.nn.Sequential(convs[0], relu, pool, convs[1], relu, flat, t.nn.Linear(512, 10))
    model.to(getattr(t, options.dtype))
    with t.no_grad():
        for to, parameter in zip(model.parameters(), network.parameters(), strict=True):
            to.copy_(t.from_numpy(parameter.value))
    descent = nn.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    their_descent = t.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    tx, tlabels = t.from_numpy(x), t.from_numpy(labels)

    def ours() -> Array:
        loss, slope = learning.cross_entropy(network.forward(x), labels)
        network.backward(slope, needs_input=False)
        descent.step()
        return np.array(loss)

    def theirs() -> Array:
        their_descent.zero_grad()
        loss = t.nn.functional.cross_entropy(model(tx), tlabels)
        loss.backward()
        their_descent.step()
        return np.array(loss.item())

    flop = 2.0 * batch * (9 * 16 * 64 * 2 + 9 * 16 * 32 * 16 * 3 + 512 * 10 * 3)
    yield Pair("digits", ours, theirs, flop)


# ---- reports -------------------------------------------------------------------------------------


def compare(table: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    peak, rows = layers.announce(table, options), []
    for pair in {"transposed": transposed, "step": step}.get(table, lambda o: gradients(table, o))(options):
        if options.layers and not any(part in pair.name for part in options.layers):
            continue
        for ours, theirs in zip(*(r if isinstance(r := f(), (list, tuple)) else [r] for f in pair[1:3]), strict=True):
            far, size = np.max(np.abs(ours - theirs), initial=0), np.max(np.abs(theirs), initial=0)
            assert far <= 1e-4 * size, (pair.name, far, size)
        best = measuring.alternate([pair.ours, pair.theirs], options.seconds)
        seconds = dict(zip(("fastconv", "torch"), best, strict=True))
        rows.append({"table": table, "layer": pair.name, "flop": pair.flop, "peak": peak, "seconds": seconds})
        rate = pair.flop / best[0] / 1e9
        of_peak = f"{rate:6.0f} GFLOP/s {100 * rate / peak:4.0f} %"
        print(f"  {pair.name:<42} {best[0] * 1e3:9.4f} ms {of_peak}  {best[1] / best[0]:6.2f} torch", flush=True)
    for what in options.what if table in layers.TABLES else ("",):
        print(f"  {what or table}:")
        layers.summarize([r for r in rows if r["layer"].endswith(what)], ["torch"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = [*layers.TABLES, "transposed", "step"]
    parser.add_argument("tables", nargs="+", metavar="TABLE", choices=tables, help=", ".join(tables))
    parser.add_argument("--what", nargs="+", default=WHAT[:2], choices=WHAT, help="gradients (default: input weight)")
    parser.add_argument("--threads", type=int, default=1, help="threads of both")
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on a layer")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--batch", type=int, help="images, instead of what the table says")
    parser.add_argument("--layers", nargs="+", help="only layers whose name contains one of these")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    options = parser.parse_args()
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    rows = [row for table in options.tables for row in compare(table, options)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
