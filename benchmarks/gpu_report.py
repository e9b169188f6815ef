"""Tables and plots of what `benchmarks.gpu` wrote.

    python -m benchmarks.gpu_report runs/gpu/results.jsonl [--markdown FILE.md] [--chart FILE.png]

Without --markdown the tables are printed. The chart (which needs matplotlib) has, for each model that was measured at
several batch sizes, its share of the device's peak, or of the rate of matrix products where no peak is known, and the
judge's accuracy over the seconds of training.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.cells import OURS, TORCH
from benchmarks.gpu.results import read
from benchmarks.report import check_chart, mib
from genart_jax.config import UserError

Row = dict[str, Any]
_NONE = "-"
_PYTORCH = "PyTorch: torch.compile, channels last, bfloat16 by autocast, TensorFloat-32 for what is left."
_MINIATURE = (
    "On a CPU, with networks and pictures that are small, and PyTorch's compiler for the first alone (the others "
    "channels last): it shows that the command runs to its end and what it writes. **No figure here says anything of a "
    "GPU**, nor of these models on a CPU: [throughput](throughput.md) has those. Of networks so small PyTorch's time "
    "is that of calling its operations one by one, so the ratio to it least of all."
)
_SHARES = (
    "A share of the peak is FLOPs of products and convolutions (2 a multiplication, nothing else counted) over the "
    "device's data sheet; of matmul, over the rate of products that was measured beside. Memory of the program is what "
    "it was compiled for; of the device, the most that it says was in use."
)


def newest(rows: Sequence[Row]) -> dict[tuple[str, str, str], Row]:
    """The last line of each name that is a result, or else the last that is an error; of several moments, all."""
    out: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        name = row["name"] + (f" at {row['training_seconds']:.1f}" if "training_seconds" in row else "")
        key = row["part"], name, row["side"]
        if "error" not in row or "error" in out.get(key, {"error": ""}):
            out[key] = row
    return out


def share(row: Row) -> float:
    """Of the peak where one is known, else of the rate of matrix products."""
    return float(row["of_peak"] or row["mfu"])


def _memory(row: Row) -> str:
    return mib(row["device_memory_bytes"]) if row.get("device_memory_bytes") else _NONE


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        "|---|" + "---:|" * (len(heads) - 1),
        *(f"| {' | '.join(r)} |" for r in rows),
        "",
    ]


def throughput(found: dict[tuple[str, str, str], Row]) -> list[str]:
    """Steps next to PyTorch's."""
    heads = (
        "step", "images/s", "s/kimg", "of the peak", "of matmul", "PyTorch, images/s", "of matmul",
        "times PyTorch's speed", "memory of the program", "of the device", "PyTorch's", "compiled in, s",
    )  # fmt: skip
    rows = []
    for (part, name, side), row in found.items():
        if part != "throughput" or side != OURS or "error" in row:
            continue
        other = found.get((part, name, TORCH), {"error": ""})
        cells = [name, f"{row['images_per_second']:,.0f}", f"{1000 / row['images_per_second']:.3g}",
                 f"{row['of_peak']:.1%}" if row["of_peak"] else _NONE, f"{row['mfu']:.1%}"]  # fmt: skip
        if "error" in other:
            cells += [_NONE] * 3
        else:
            ratio = row["images_per_second"] / other["images_per_second"]
            cells += [f"{other['images_per_second']:,.0f}", f"{other['mfu']:.1%}", f"{ratio:.2f}"]
        cells += [mib(row["memory"]["peak_bytes"]), _memory(row), _memory(other), f"{row['compile_seconds']:.1f}"]
        rows.append(cells)
    return ["## Steps in bfloat16", "", *_table(heads, rows)] if rows else []


def variants(found: dict[tuple[str, str, str], Row]) -> list[str]:
    """Rematerialisation and precisions, next to the same step in bfloat16 as it is."""
    rows = []
    for (part, name, _), row in found.items():
        if part not in ("remat", "precision") or "error" in row:
            continue
        plain = found.get(("throughput", name.rpartition(", ")[0], OURS), {})
        times = row["step_seconds"][1] / plain["step_seconds"][1] if "step_seconds" in plain else None
        least = row["memory"]["peak_bytes"] / plain["memory"]["peak_bytes"] if "memory" in plain else None
        rows.append([name, f"{1e3 * row['step_seconds'][1]:.4g}", f"{times:.2f}" if times else _NONE,
                     mib(row["memory"]["peak_bytes"]), f"{least:.2f}" if least else _NONE, _memory(row)])  # fmt: skip
    heads = ("step", "ms", "of bfloat16 as it is", "memory of the program", "of bfloat16 as it is", "of the device")
    return ["## Rematerialisation and precisions", "", *_table(heads, rows)] if rows else []


def alike(found: dict[tuple[str, str, str], Row]) -> list[str]:
    """That all ways to run a step give the same."""
    out = []
    for (part, name, _), row in found.items():
        if part == "alike" and "error" not in row:
            apart = ", ".join(f"{way} {value:.1e}" for way, value in row["apart"].items())
            said = "alike" if row["alike"] else "NOT alike"
            out += [
                f"{name} of plain descent on {row['devices']} device(s): {said}. Parameters are within {apart} of "
                f"those of jit, each leaf relative to its largest entry (limit {row['limit']:.0e}), and have moved by "
                f"{row['moved']:.1%} of their length.", "",
            ]  # fmt: skip
    return ["## jit, shard_map and pmap", "", *out] if out else []


def quality(found: dict[tuple[str, str, str], Row]) -> list[str]:
    """The demo's pictures over time."""
    rows = [row for (part, *_), row in found.items() if part == "quality" and "error" not in row]
    if not rows:
        return []
    about = (f"The recipe of `{rows[0]['model']}`; the share of {rows[0]['pictures']} pictures in which "
             f"`{rows[0]['judge']}` (SHA-256 {rows[0]['judge_sha256']}) sees the style that was asked for. Seconds are "
             "of training, without compilation.")  # fmt: skip
    cells = [[f"{r['training_seconds']:.1f}", str(r["steps"]), f"{r['style_accuracy']:.1%}"] for r in rows]
    return ["## The demo's quality over time", "", about, "", *_table(("seconds", "steps", "style as asked"), cells)]


def failed(found: dict[tuple[str, str, str], Row]) -> list[str]:
    """What went wrong."""
    lines = [f"- {' / '.join(key)}: {row['error']}" for key, row in found.items() if "error" in row]
    return ["## Failed", "", *lines, ""] if lines else []


SECTIONS: tuple[Callable[[dict[tuple[str, str, str], Row]], list[str]], ...] = (
    throughput, alike, quality, variants, failed,
)  # fmt: skip


def markdown(abouts: Sequence[Row], rows: Sequence[Row]) -> str:
    """A page of all that is there."""
    about, found = abouts[-1], newest(rows)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    device = about["device"] if about["platform"] != "cpu" else about["machine"]["processor"]
    commits = ", ".join(dict.fromkeys(one["commit"] or "unknown" for one in abouts))
    head = ["# One GPU, one command" if not about["miniature"] else "# A rehearsal in miniature", ""]
    place = f"{about['devices']} x {device}, {about['machine']['cores']} cores. {versions}."
    head += [f"`{about['command']}`", "", f"{place} Commit {commits}, {about['date']}.", ""]
    head += [_MINIATURE if about["miniature"] else _PYTORCH, "", _SHARES, ""]
    lines = [*head, *(line for section in SECTIONS for line in section(found))]
    wrap = lambda line: line if line.startswith(("|", "#", "`")) else textwrap.fill(line, 120, break_on_hyphens=False)
    return "\n".join(map(wrap, lines)).rstrip() + "\n"


def chart(rows: Sequence[Row], path: Path) -> None:
    """Shares of the peak over batch sizes, and the demo's accuracy over seconds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    found = newest(rows)
    for (part, name, side), row in found.items():
        if part == "throughput" and "error" not in row:
            model, _, batch = name.rpartition(", batch ")
            lines.setdefault((model, side), []).append((int(batch), share(row)))
    colours = {model: f"C{i % 10}" for i, model in enumerate(dict.fromkeys(model for model, _ in lines))}
    for (model, side), points in lines.items():
        style = "o-" if side == OURS else "x:"
        left.plot(*zip(*sorted(points), strict=True), style, color=colours[model], label=f"{model}, {side}")
    left.set(xscale="log", xlabel="batch", ylabel="share of the peak, or of the matmul rate")
    left.legend(fontsize=6)
    points = [(r["training_seconds"], r["style_accuracy"]) for r in found.values() if "style_accuracy" in r]
    right.plot(*zip(*sorted(points), strict=True), "o-") if points else None
    right.set(xlabel="seconds of training", ylabel="style as asked", ylim=(0, 1))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 done, 2 the command or the file is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE.png")
    args = parser.parse_args(argv)
    try:
        if args.chart:
            check_chart()
        abouts, rows = read(args.file)
    except UserError as error:
        print(f"gpu_report: {error}", file=sys.stderr)
        return 2
    if args.chart:
        chart(rows, args.chart)
    text = markdown(abouts, rows)
    if args.markdown:
        args.markdown.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
