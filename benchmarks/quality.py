"""Trains the first three models on the embedded art set and writes what they reach as a table.

    python -m benchmarks.quality [--out FILE.md] [--runs DIR] [--seeds N]

Runs that are there already are not trained again. Takes about 15 minutes a seed on 2 cores.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import jax

import genart_jax as ga
from genart_jax.config import UserError
from genart_jax.evaluate import conditional_accuracy, evaluate_run
from genart_jax.train.log import read_rows


def machine() -> str:
    """Processor and cores, or the accelerator."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{device.device_kind} x {jax.device_count()}"
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = lines[0] if lines else model
    return f"{model}, {os.cpu_count()} cores"


def images_per_second(directory: Path) -> float:
    """The median over a run's log, past the rows that wait for compilation."""
    rates = [row["images_per_second"] for row in read_rows(directory / "metrics.jsonl") if "images_per_second" in row]
    return statistics.median(rates[2:] or rates)


def train(name: str, directory: Path, seed: int, **options: Any) -> Path:
    """Trains a default preset, or takes the run that is there."""
    print(f"{directory} ...", flush=True)
    return ga.fit(ga.configure(name, train={"seed": seed}, **options), directory)


def measure(runs: Path, seed: int) -> dict[str, dict[str, float]]:
    """Figures of one seed: row -> {what: value}."""
    style = train("simple_cnn", runs / f"style_{seed}", seed, label="style")
    shape = train("simple_cnn", runs / f"shape_{seed}", seed, label="shape")
    vae = train("conv_vae", runs / f"vae_{seed}", seed)
    gan = train("dcgan", runs / f"gan_{seed}", seed)
    rows: dict[str, dict[str, float]] = {}
    for label, directory in (("style", style), ("shape", shape)):
        figures = evaluate_run(directory)
        rows[f"simple_cnn, {label}"] = {
            "test accuracy": figures["accuracy"],
            "balanced test accuracy": figures["balanced_accuracy"],
            "images/s": images_per_second(directory),
        }
    rows["conv_vae"] = {"test bits/dim": evaluate_run(vae)["bits_per_dim"], "images/s": images_per_second(vae)}
    rows["dcgan"] = {
        f"{label} accuracy of 1,000 samples": conditional_accuracy(gan, judge)[f"{label}_accuracy_of_samples"]
        for label, judge in (("style", style), ("shape", shape))
    } | {"images/s": images_per_second(gan)}
    return rows


def table(results: list[dict[str, dict[str, float]]], seeds: int) -> str:
    """The figures of all seeds as a Markdown table: mean and standard deviation."""
    lines = [
        "# What the first models reach on the embedded art set",
        "",
        f"`python -m benchmarks.quality --seeds {seeds}`: default presets, seeds 0 to {seeds - 1}, float32; 754 test",
        "icons. The classifier that judges the GAN's samples was trained on real icons alone, with the same seed.",
        f"Machine: {machine()}. jax {jax.__version__}, Python {platform.python_version()}. "
        f"Date: {datetime.datetime.now(datetime.UTC).date()}.",
        "",
        f"| model | figure | mean of {seeds} | standard deviation |",
        "|---|---|---|---|",
    ]
    for row, figures in results[0].items():
        for what in figures:
            values = [result[row][what] for result in results]
            digits = 0 if what == "images/s" else 4
            spread = f"{statistics.stdev(values):.{digits}f}" if len(values) > 1 else "one seed"
            lines.append(f"| {row} | {what} | {statistics.mean(values):.{digits}f} | {spread} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.md"))
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"))
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    if args.seeds < 1:
        raise UserError("--seeds must be at least 1")
    text = table([measure(args.runs, seed) for seed in range(args.seeds)], args.seeds)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
