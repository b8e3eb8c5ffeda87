# SPDX-License-Identifier: BSD-3-Clause
"""Convolution layers side by side: fastconv.nn beside PyTorch, ONNX Runtime, OpenVINO and ncnn, where installed.

    python bench/layers.py resnet50_v1_5 mobilenet_v2        tables of bench/shapes, one thread
    python bench/layers.py dense --threads 2 --json dense.json --plot dense.png
    python bench/layers.py dense --dtype float64 --batch 8
    python bench/layers.py vgg16 --accuracy fast --learnt    fewer products, and weights that are made ready once
    python bench/layers.py --errors                          errors against float64 instead of times

Every layer is computed by everyone on the same plain arrays, the results are compared, then the calls alternate in one
process; a figure is the best time of each. ONNX Runtime, OpenVINO and ncnn get their weights in advance and may prepare
them. PyTorch takes them as they are, and so does fastconv without --learnt, with which it calls a layer object. GFLOP/s
counts two operations a tap; the peak is measured by the same run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import measuring, nn

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]

Array = NDArray[Any]
Call = Callable[[], Array]
SHAPES = Path(__file__).parent / "shapes"
TABLES = sorted(p.stem for p in SHAPES.glob("*.json"))
ALL = tuple(table for table in TABLES if table != "unet_3d")


class Layer(NamedTuple):
    """A layer and its data."""

    name: str
    x: Array
    w: Array
    b: Array
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and behind, per axis
    dilation: tuple[int, ...]
    groups: int
    count: int  # times that the network has it

    @property
    def rank(self) -> int:
        return len(self.stride)

    @property
    def is_symmetric(self) -> bool:
        return all(before == behind for before, behind in self.padding)

    def flop(self, y: Array) -> float:
        return 2.0 * y.size * math.prod(self.w.shape[1:])


def layers(table: str, dtype: str, batch: int | None) -> Iterator[Layer]:
    """The layers of a table of bench/shapes.

    A row has n, c, (d,) h, w of the input, k outputs, kernel (t,) r, s, strides (sd,) sh, sw, paddings (pd,) ph, pw
    (and pb, pr where there is more of them behind), dilations (dd,) dh, dw, groups, count.
    """
    rng = np.random.default_rng(1)
    for row in json.loads((SHAPES / f"{table}.json").read_text()):
        axes = "dhw" if "d" in row else "w" if row["h"] == row["r"] == 1 else "hw"
        kernel, behind = {"d": "t", "h": "r", "w": "s"}, {"d": "pd", "h": "pb", "w": "pr"}
        x = rng.standard_normal((batch or row["n"], row["c"], *(row[a] for a in axes)))
        w = rng.standard_normal((row["k"], row["c"] // row["groups"], *(row[kernel[a]] for a in axes)))
        w /= math.sqrt(math.prod(w.shape[1:]))
        b = rng.standard_normal(row["k"])
        yield Layer(
            row["name"],
            x.astype(dtype),
            w.astype(dtype),
            b.astype(dtype),
            tuple(row["s" + a] for a in axes),
            tuple((row["p" + a], row["p" + a] + row.get(behind[a], 0) * (a != "d")) for a in axes),
            tuple(row["d" + a] for a in axes),
            row["groups"],
            row["count"],
        )


# ---- everyone's call ----------------------------------------------------------------------------


def ours(layer: Layer, options: argparse.Namespace) -> Call:
    conv = getattr(nn, f"conv{layer.rank}d")
    x, w, b, s, p, d, g = layer.x, layer.w, layer.b, layer.stride, layer.padding, layer.dilation, layer.groups
    padding = tuple(before for before, _ in p) if layer.is_symmetric else p
    if options.learnt:
        made = getattr(nn, f"Conv{layer.rank}d").from_weights(
            w, b, s, padding, d, g, accuracy=options.accuracy, threads=options.threads
        )
        return lambda: made(x)
    return lambda: conv(x, w, b, s, padding, d, g, method=options.method, accuracy=options.accuracy)


def torch(layer: Layer, options: argparse.Namespace) -> Call:
    t = importlib.import_module("torch")
    t.set_num_threads(options.threads)
    conv, pad = getattr(t.nn.functional, f"conv{layer.rank}d"), t.nn.functional.pad
    x, w, b = (t.from_numpy(a) for a in (layer.x, layer.w, layer.b))
    if layer.is_symmetric:
        p = tuple(before for before, _ in layer.padding)
        return lambda: conv(x, w, b, layer.stride, p, layer.dilation, layer.groups).numpy()
    sides = [n for axis in reversed(layer.padding) for n in axis]
    return lambda: conv(pad(x, sides), w, b, layer.stride, 0, layer.dilation, layer.groups).numpy()


def onnxruntime(layer: Layer, options: argparse.Namespace) -> Call:
    onnx, ort = (importlib.import_module(m) for m in ("onnx", "onnxruntime"))
    make, kind = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype(layer.x.dtype)
    node = make.make_node(
        "Conv",
        ["x", "w", "b"],
        ["y"],
        strides=layer.stride,
        pads=[n for side in zip(*layer.padding, strict=True) for n in side],
        dilations=layer.dilation,
        group=layer.groups,
    )
    constants = [onnx.numpy_helper.from_array(a, n) for n, a in (("w", layer.w), ("b", layer.b))]
    inputs = [make.make_tensor_value_info("x", kind, layer.x.shape)]
    graph = make.make_graph([node], "layer", inputs, [make.make_tensor_value_info("y", kind, None)], constants)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    how = ort.SessionOptions()
    how.intra_op_num_threads, how.inter_op_num_threads = options.threads, 1
    session = ort.InferenceSession(model.SerializeToString(), how, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": layer.x})[0]


def openvino(layer: Layer, options: argparse.Namespace) -> Call:
    ov = importlib.import_module("openvino")
    op = importlib.import_module("openvino.opset13")
    x = op.parameter(layer.x.shape, layer.x.dtype)
    before, behind = ([side[i] for side in layer.padding] for i in (0, 1))
    if layer.groups == 1:
        y = op.convolution(x, op.constant(layer.w), layer.stride, before, behind, layer.dilation)
    else:
        w = layer.w.reshape(layer.groups, -1, *layer.w.shape[1:])
        y = op.group_convolution(x, op.constant(w), layer.stride, before, behind, layer.dilation)
    y = op.add(y, op.constant(layer.b.reshape(1, -1, *(1,) * layer.rank)))
    how = {"INFERENCE_NUM_THREADS": options.threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    request = ov.Core().compile_model(ov.Model([y], [x]), "CPU", how).create_infer_request()
    return lambda: request.infer([layer.x], share_inputs=True, share_outputs=True)[0]


def ncnn(layer: Layer, options: argparse.Namespace) -> Call:
    """One image of channels, rows and columns; at its defaults, which are Winograd's convolution, in float32."""
    n = importlib.import_module("ncnn")
    if layer.rank != 2 or len(layer.x) != 1 or options.dtype != "float32":
        raise ValueError("one image in float32 is what is asked of it")
    (k, _, rows, cols), (top, bottom), (left, right) = layer.w.shape, *layer.padding
    kind = "Convolution" if layer.groups == 1 else "ConvolutionDepthWise"
    how = {
        0: k,
        1: cols,
        11: rows,
        2: layer.dilation[1],
        12: layer.dilation[0],
        3: layer.stride[1],
        13: layer.stride[0],
    }
    how |= {4: left, 15: right, 14: top, 16: bottom, 5: 1, 6: layer.w.size, 7: layer.groups}
    words = " ".join(f"{i}={v}" for i, v in how.items())
    net = n.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = options.threads, False
    for narrow in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{narrow}", False)
    with tempfile.TemporaryDirectory() as folder:
        param, model = Path(folder, "param"), Path(folder, "bin")
        param.write_text(f"7767517\n2 2\nInput x 0 1 x\n{kind} y 1 1 x y {words}\n")
        model.write_bytes(bytes(4) + layer.w.tobytes() + layer.b.tobytes())
        net.load_param(str(param))
        net.load_model(str(model))
    x = n.Mat(layer.x[0])

    def call() -> Array:
        extractor = net.create_extractor()
        extractor.input("x", x)
        return np.asarray(extractor.extract("y")[1])[None]

    return call


PEERS = {f.__name__: f for f in (torch, onnxruntime, openvino, ncnn)}


def installed(names: list[str]) -> dict[str, Callable[[Layer, argparse.Namespace], Call]]:
    found = {}
    for name in names:
        try:
            importlib.import_module(name)
            if name == "onnxruntime":
                importlib.import_module("onnx")
            found[name] = PEERS[name]
        except ImportError:
            continue
    return found


# ---- reports ------------------------------------------------------------------------------------


def exact(layer: Layer) -> Array:
    """The layer in float64, by the reference."""
    conv = getattr(nn, f"conv{layer.rank}d")
    x, w, b = (a.astype(np.float64) for a in (layer.x, layer.w, layer.b))
    result: Array = conv(x, w, b, layer.stride, layer.padding, layer.dilation, layer.groups, method="im2col")
    return result


def announce(table: str, options: argparse.Namespace) -> float:
    """The heading of a table; returns the peak in GFLOP/s."""
    arithmetic = "float64" if options.dtype == "float64" else "float32"
    peak = measuring.peak(arithmetic) * options.threads
    print(f"\n{table}, {options.dtype}, {options.threads} thread{'s'[: options.threads > 1]}, peak {peak:.0f} GFLOP/s")
    return peak


def speed(table: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    peers, peak = installed(options.peers), announce(table, options)
    rows = []
    for layer in layers(table, options.dtype, options.batch):
        if options.layers and not any(part in layer.name for part in options.layers):
            continue
        calls, y = {"fastconv": ours(layer, options)}, None
        y = calls["fastconv"]()
        for name, peer in peers.items():
            try:
                calls[name] = peer(layer, options)
                theirs = calls[name]()
            except Exception as error:  # a peer that has no such layer
                print(f"  {layer.name}: {name} cannot: {str(error).splitlines()[0][:80]}")
                calls.pop(name, None)
                continue
            tolerance = 2e-3 if options.dtype == "float16" else 1e-4
            far = float(np.max(np.abs(y.astype("f8") - theirs.astype("f8")), initial=0))
            assert far <= tolerance * 10 * float(np.max(np.abs(theirs), initial=1)), (layer.name, name, far)
        best = measuring.alternate(list(calls.values()), options.seconds, options.spacing)
        row: dict[str, Any] = {"table": table, "layer": layer.name, "count": layer.count, "threads": options.threads}
        row |= {"dtype": options.dtype, "flop": layer.flop(y), "peak": peak}
        row["seconds"] = dict(zip(calls, best, strict=True))
        rows.append(row)
        rate = row["flop"] / best[0] / 1e9
        ratios = "  ".join(f"{t / best[0]:6.2f} {n}" for n, t in zip(list(calls)[1:], best[1:], strict=True))
        of_peak = f"{rate:6.0f} GFLOP/s {100 * rate / peak:4.0f} %"
        print(f"  {layer.name:<30} {best[0] * 1e3:9.4f} ms {of_peak}  {ratios}", flush=True)
    return rows


def summarize(rows: list[dict[str, Any]], names: Sequence[str] = (*PEERS, "best of all")) -> None:
    for name in names:
        ratios = {}
        for row in rows:
            theirs = [s for n, s in row["seconds"].items() if n != "fastconv" and name in (n, "best of all")]
            if theirs:
                ratios[row["layer"]] = min(theirs) / row["seconds"]["fastconv"]
        if ratios:
            mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
            worst = min(ratios, key=ratios.__getitem__)
            line = f"geometric mean {mean:.2f}, worst {ratios[worst]:.2f} ({worst})"
            times = {r["layer"]: r.get("count", 1) * r["seconds"]["fastconv"] for r in rows if r["layer"] in ratios}
            whole = sum(ratios[n] * t for n, t in times.items()) / sum(times.values())
            print(f"  {name + ' / fastconv':<24} {line}, all layers as often as they are there {whole:.2f}")


def errors(table: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Largest and rms error against float64, each relative to the rms of the result."""
    peers = installed(options.peers)
    print(f"\n{table}, {options.dtype}: error / rms of the result, in units of 1e-7: largest, rms")
    rows = []
    for layer in layers(table, options.dtype, options.batch):
        if options.layers and not any(part in layer.name for part in options.layers):
            continue
        y = exact(layer)
        size = float(np.sqrt(np.mean(y**2)))
        of = {}
        for name, peer in {"fastconv": ours, **peers}.items():
            error = (peer(layer, options)() - y) / size
            of[name] = float(np.abs(error).max()), float(np.sqrt(np.mean(error**2)))
        rows.append({"table": table, "layer": layer.name, "errors": of})
        line = "  ".join(f"{n} {1e7 * e[0]:7.1f} {1e7 * e[1]:6.2f}" for n, e in of.items())
        print(f"  {layer.name:<30} {line}", flush=True)
    for which, name in ((0, "largest"), (1, "rms")):
        known = {p: [r["errors"][p][which] for r in rows if p in r["errors"]] for p in ["fastconv", *peers]}
        means = {p: math.exp(sum(map(math.log, e)) / len(e)) for p, e in known.items() if e}
        print(f"  geometric mean, {name}: " + ", ".join(f"{p} {1e7 * m:.2f}" for p, m in means.items()))
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """GFLOP/s of everyone, layer by layer."""
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise SystemExit('--plot needs matplotlib: pip install -e ".[layers]"') from error
    figure, axes = pyplot.subplots(figsize=(max(8, len(rows) / 3), 5), layout="constrained")
    for name in ["fastconv", *PEERS]:
        at = [i for i, r in enumerate(rows) if name in r["seconds"]]
        axes.plot(at, [rows[i]["flop"] / rows[i]["seconds"][name] / 1e9 for i in at], "o-", label=name)
    axes.axhline(rows[0]["peak"], color="gray", linestyle=":", label="fma peak, measured")
    axes.set_xticks(range(len(rows)), [r["layer"] for r in rows], rotation=90, fontsize=7)
    axes.set_ylabel("GFLOP/s")
    axes.set_title(f"{rows[0]['dtype']}, threads: {rows[0]['threads']}")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)} (default: all but unet_3d)")
    parser.add_argument("--threads", type=int, default=1, help="threads of everyone")
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on a layer")
    parser.add_argument("--spacing", type=float, default=0.0, help="seconds of sleep before every call")
    parser.add_argument("--dtype", default="float32", choices=["float16", "float32", "float64"])
    parser.add_argument("--batch", type=int, help="images, instead of what the table says")
    parser.add_argument("--method", default="auto", help="of fastconv")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--layers", nargs="+", help="only layers whose name contains one of these")
    parser.add_argument("--accuracy", default="default", choices=["exact", "default", "fast"], help="of fastconv")
    parser.add_argument(
        "--learnt", action="store_true", help="layer objects of fastconv, which learn their weights once"
    )
    parser.add_argument("--errors", action="store_true", help="errors against float64 instead of times")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument("--plot", type=Path, help="draw GFLOP/s into this picture, too")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"unknown table: {', '.join(sorted(unknown))}")
    fastconv.set_num_threads(options.threads)
    fastconv.show_config()
    rows = []
    for table in options.tables or ALL:
        found = (errors if options.errors else speed)(table, options)
        if not options.errors:
            summarize(found)
        rows += found
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.plot and not options.errors:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
