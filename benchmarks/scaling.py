"""What steps on many devices send and compute, and the efficiency that published figures of links predict.

    python -m benchmarks.scaling [MODEL ...] [--limit SECONDS] [--out benchmarks/results/scaling]

For every GAN and VAE of the registry, at its largest preset, the trainer's step is compiled for 2 and 8 fake devices,
data-parallel and fully sharded, each in a process of its own with a time limit; FLOPs and collectives are read from the
optimised HLO. OUT.json keeps what was read, so that models can be done one by one; OUT.md and OUT.png are made from it.
`python -m benchmarks.weak_scaling` adds what real processes on this machine reach.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.partitioned import DEVICES, ENVIRONMENT
from genart_jax import registry

LAYOUTS = {"data parallel": lambda n: (n, 1), "fully sharded": lambda n: (1, n)}
COMPILED = (2, DEVICES)
PLOTTED = "data parallel"
SHOWN = (8, 64, 256)
WANTED = 0.9
FRACTION = 0.4
OUT = Path(__file__).parent / "results" / "scaling"


@dataclasses.dataclass(frozen=True)
class Link:
    """A kind of device and what joins many of it: published peak FLOP/s, and bytes a second in each direction."""

    name: str
    flops: float
    bandwidth: float
    source: str


_H100 = "989 TFLOP/s of bfloat16 without sparsity (NVIDIA H100 SXM data sheet)"
_TPU = "Google Cloud documentation, docs.cloud.google.com/tpu/docs"
LINKS = (
    Link("H100, NVLink", 989e12, 450e9, f"{_H100}; NVLink 4: 900 GB/s in both directions together (same data sheet)"),
    Link(
        "H100, InfiniBand NDR", 989e12, 50e9, f"{_H100}; NDR: 400 Gb/s (NVIDIA ConnectX-7 data sheet), one port a GPU"
    ),
    Link("TPU v5e, ICI", 197e12, 200e9, f"197 TFLOP/s of bfloat16, 400 GB/s in both directions ({_TPU}/v5e)"),
    Link("TPU v5p, ICI", 459e12, 600e9, f"459 TFLOP/s of bfloat16, 1200 GB/s in both directions ({_TPU}/v5p)"),
)


def wire_bytes(kind: str, payload: float, n: int) -> float:
    """Bytes that each of `n` devices in a ring sends for one collective whose whole array has `payload` bytes.

    Ring algorithms (Patarasuk & Yuan 2009): a reduce-scatter and an all-gather send (n-1)/n of the array each, an
    all-reduce is one after the other. Of an all-to-all and a permutation the payload is one device's.
    """
    if n == 1:
        return 0.0
    return payload * {"all-reduce": 2 * (n - 1) / n, "collective-permute": 1.0}.get(kind, (n - 1) / n)


def sent(program: Mapping[str, Any], compiled_for: int, n: int) -> float:
    """Bytes that a device sends in a step on `n` devices; groups of all devices grow with them, others stay."""
    return sum(
        times * wire_bytes(kind, payload, n if group == compiled_for else group)
        for kind, group, payload, times in program["collectives"]
    )


def efficiency(flops: float, wire: float, link: Link, fraction: float = FRACTION) -> tuple[float, float]:
    """The share of a step that computes: where nothing overlaps, and where everything does."""
    compute, send = flops / (fraction * link.flops), wire / link.bandwidth
    return compute / (compute + send), compute / max(compute, send)


def batch_for(flops: float, wire: float, link: Link, batch: int, wanted: float = WANTED) -> float:
    """The batch a device from which a step is as efficient as `wanted` though nothing overlaps.

    Work grows with the batch and what is sent does not: compute / (compute + send) = wanted.
    """
    send = wire / link.bandwidth
    return batch * send * wanted / (1 - wanted) / (flops / (FRACTION * link.flops))


def measure(results: dict[str, Any], name: str, limit: float, devices: Sequence[int] = COMPILED) -> Iterator[None]:
    """Reads one model into `results`, and yields after each program; what has been read before is kept.

    A program that is not finished by the limit says so in its place.
    """
    preset, batch, sizes, shape = json.loads(_child("-m", "benchmarks.partitioned", name, timeout=limit))
    batch = max(1, batch // DEVICES)
    facts = {"preset": preset, "batch": batch, "parameters": sizes, "image_shape": shape}
    row = results["models"].get(name, {})
    if any(row.get(key) != value for key, value in facts.items()):
        row = facts | {"programs": {}}
    results["models"][name] = row
    for layout, mesh in LAYOUTS.items():
        for n in sorted(devices, reverse=True):
            where = f"{layout}/{n}"
            if "flops" in row["programs"].get(where, {}):
                continue
            data, model = mesh(n)
            case = json.dumps({"name": name, "preset": preset, "batch": batch, "data": data, "model": model})
            try:
                found = json.loads(_child("-m", "benchmarks.partitioned", case, timeout=limit))
            except subprocess.TimeoutExpired:
                found = {"error": f"not compiled within {limit:.0f} s"}
            except subprocess.CalledProcessError as error:
                found = {"error": (error.stderr.strip().splitlines() or ["failed"])[-1][:200]}
            row["programs"][where] = found
            row |= {"date": str(datetime.datetime.now(datetime.UTC).date()), "jax": version("jax")}
            print(name, where, {key: value for key, value in found.items() if key != "collectives"}, flush=True)
            yield


def _child(*arguments: str, timeout: float) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=True
    ).stdout


def rows_of(results: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any] | None]]:
    """(model, layout, the model's facts, the program for the most devices, that for the fewest) of what was read."""
    out = []
    for name, facts in results["models"].items():
        for layout in LAYOUTS:
            few, most = (facts["programs"].get(f"{layout}/{n}", {"error": "not run"}) for n in COMPILED)
            out.append((name, layout, facts, most, None if "error" in few else few))
    return out


def table(results: Mapping[str, Any]) -> str:
    """The page."""
    read = [
        "| model (preset) | parameters | batch a device | layout | GFLOP a device | all-reduce | all-gather | others |"
        " collectives | payload, 8 against 2 devices | sent a device: 8, 64, 256 |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---|---|",
    ]
    predicted = [
        f"| model | layout | {' | '.join(link.name for link in LINKS)} |",
        "|---|---|" + "---|" * len(LINKS),
    ]
    mb = lambda count: f"{count / 1e6:,.2f} MB"
    for name, layout, facts, most, few in rows_of(results):
        head = f"{name} ({facts['preset']}) | {sum(facts['parameters'].values()):,} | {facts['batch']}"
        if "error" in most:
            read.append(f"| {head} | {layout} | {most['error']} | | | | | | |")
            predicted.append(f"| {name} | {layout} | {' | '.join([most['error']] * len(LINKS))} |")
            continue
        payloads = {kind: _payload(most, kind) for kind in ("all-reduce", "all-gather", "")}
        others = payloads[""] - payloads["all-reduce"] - payloads["all-gather"]
        wires = [sent(most, DEVICES, n) for n in SHOWN]
        same = "not read" if few is None else f"{_payload(most) / _payload(few):.2f} times"
        read.append(
            f"| {head} | {layout} | {most['flops'] / 1e9:,.2f} | {mb(payloads['all-reduce'])} |"
            f" {mb(payloads['all-gather'])} | {mb(others)} | {sum(c[3] for c in most['collectives']):,.0f} | {same} |"
            f" {', '.join(mb(w) for w in wires)} |"
        )
        cells = []
        for link in LINKS:
            ends = [_percent(*efficiency(most["flops"], w, link)) for w in (wires[0], wires[-1])]
            cells.append(f"{', '.join(ends)}; {batch_for(most['flops'], wires[-1], link, facts['batch']):,.0f}")
        predicted.append(f"| {name} | {layout} | {' | '.join(cells)} |")
    of = lambda key: ", ".join(sorted({facts[key] for facts in results["models"].values() if key in facts}))
    setting = [f"jax {of('jax')}, {of('date')}.", ""]
    return "\n".join([*_INTRODUCTION, *setting, *read, "", *_MODEL, *predicted, "", *_WEAK, *_weak(results)]) + "\n"


def _percent(low: float, high: float) -> str:
    a, b = (f"{100 * x:.0f}" if x >= 0.1 else f"{100 * x:.2g}" for x in (low, high))
    return f"{a} %" if a == b else f"{a} to {b} %"


def _payload(program: Mapping[str, Any], kind: str = "") -> float:
    return float(sum(times * payload for k, _, payload, times in program["collectives"] if kind in ("", k)))


_INTRODUCTION = [
    "# Scaling: what a step sends, and what that predicts",
    "",
    "`python -m benchmarks.scaling`. The trainer's step of each model's largest preset,"
    f" compiled for {' and '.join(map(str, COMPILED))} fake CPU devices with the convolutions that accelerators run,"
    " and read from the optimised HLO (`benchmarks/hlo.py`). The batch a device is an eighth of the preset's, so that 8"
    " devices take the preset's step and more devices a larger batch: weak scaling. Lazy terms count in their true"
    " mixture. Payloads are whole arrays, float32. Collectives over all devices keep their payload when devices are"
    " added (the column compares 2 with 8), and a ring sends 2 (n-1)/n of an all-reduce's and (n-1)/n of an"
    " all-gather's; so the figures for 64 and 256 devices are that formula, not programs that were compiled.",
    "",
    "Two things an accelerator's compiler does are not in these programs, so what is sent is an upper bound: sums of"
    " two all-reduces become one (a critic that sees real and generated pictures in batches of their own), and in the"
    " fully sharded layout an all-reduce whose parts are kept becomes a reduce-scatter of half the bytes.",
    "",
]
_MODEL = [
    "## Efficiency predicted",
    "",
    "On 8 and on 256 devices; each from nothing overlapping, compute / (compute + send), to everything, compute /"
    " max(compute, send). Then the batch a device from which 256 devices reach"
    f" {100 * WANTED:.0f} % though nothing overlaps: work grows with the batch, what is sent does not. An eighth of a"
    " preset's batch is little work for an accelerator, so small models want larger batches or fewer devices.",
    "",
    f"Compute is FLOPs / ({FRACTION:g} of the published bfloat16 peak), an assumption: small models reach less, and"
    " then sending weighs less than here. Sending is a ring's bytes / the bandwidth of one direction, all devices by"
    " the same link. (H100s by NVLink alone: up to 8 in a server, up to 256 with NVLink switches; a usual cluster lies"
    " between its NVLink and its NDR column. ICI: all links of a chip at once.) Latency, some microseconds a"
    " collective, and the host's time are left out: where a step takes less than a millisecond they decide instead.",
    "",
    *(f"- {link.name}: {link.source}." for link in LINKS),
    "",
]
_WEAK = ["## Measured over processes of one machine", ""]


def _weak(results: Mapping[str, Any]) -> list[str]:
    weak = results.get("weak")
    if not weak:
        return ["Not yet: `python -m benchmarks.weak_scaling`."]
    lines = [
        f"`{weak['command']}`, {weak['processor']}, {weak['date']}. `genart train` in 1, 2 and 4 processes over"
        " loopback (gloo), the batch a process held fixed, each process bound to one core. The machine has"
        f" {weak['cores']} cores: 2 processes have one each, and share its caches and memory; 4 have half a core each,"
        " so that half the efficiency is the most that they can reach. This shows that processes work together and"
        " what gloo costs here, and nothing about a cluster.",
        "",
        "| model | batch a process | processes | images/s | of as many times one process |",
        "|---|---:|---:|---:|---:|",
    ]
    alone = {row["model"]: row["images_per_second"] for row in weak["rows"] if row["processes"] == 1}
    for row in sorted(weak["rows"], key=lambda r: (r["model"], r["processes"])):
        rate, times = row["images_per_second"], row["processes"]
        share = f"{rate / (times * alone[row['model']]):.0%}" if row["model"] in alone else ""
        lines.append(f"| {row['model']} | {row['batch']} | {times} | {rate:,.0f} | {share} |")
    return lines + (["", weak["note"]] if "note" in weak else [])


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Efficiency over devices, a panel a link: lines where nothing overlaps; the dots above, where everything does."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    sizes = [2**i for i in range(9)]
    figure, panels = plt.subplots(2, 2, figsize=(11, 9), sharex=True, sharey=True, layout="constrained")
    shown = [(name, most) for name, layout, _, most, _ in rows_of(results) if layout == PLOTTED and "error" not in most]
    colors = mpl.colormaps["tab20"]
    for link, axes in zip(LINKS, panels.flat, strict=True):
        for i, (name, most) in enumerate(shown):
            bounds = [efficiency(most["flops"], sent(most, DEVICES, n), link) for n in sizes]
            style: dict[str, Any] = {"color": colors(2 * i % 20 + i // 10 % 2), "linewidth": 1.5}
            axes.plot(sizes, [low for low, _ in bounds], ("-", "--")[i // 10 % 2], label=name, **style)
            axes.plot(sizes, [high for _, high in bounds], ":", **style | {"linewidth": 0.8})
        axes.set_title(link.name)
        axes.set_xscale("log", base=2)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
    for axes in panels[1]:
        axes.set_xlabel("devices")
    for axes in panels[:, 0]:
        axes.set_ylabel("predicted efficiency")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7, fontsize=8)
    figure.suptitle(f"Weak scaling predicted, {PLOTTED}: no overlap (lines), full overlap (dotted)")
    figure.savefig(path, dpi=70)
    plt.close(figure)


def load(out: Path) -> dict[str, Any]:
    """What OUT.json holds."""
    path = out.with_suffix(".json")
    return dict(json.loads(path.read_text())) if path.exists() else {"models": {}}


def write(results: Mapping[str, Any], out: Path) -> None:
    """OUT.json, and the page and the plot made from it."""
    out.with_suffix(".json").write_text(json.dumps(results, separators=(",", ":")) + "\n")
    out.with_suffix(".md").write_text(table(results))
    plot(results, out.with_suffix(".png"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the models that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="which (every GAN and VAE)")
    parser.add_argument("--devices", type=int, nargs="*", choices=COMPILED, default=COMPILED)
    parser.add_argument("--limit", type=float, default=600, help="seconds for each layout and number of devices")
    parser.add_argument("--render", action="store_true", help="make page and plot from OUT.json alone")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    results = load(args.out)
    every = [*registry.list_models("gan"), *registry.list_models("vae")]
    for name in () if args.render else args.models or every:
        for _ in measure(results, name, args.limit, args.devices):
            results["models"] = {n: results["models"][n] for n in every if n in results["models"]}
            write(results, args.out)
    write(results, args.out)


if __name__ == "__main__":
    main()
