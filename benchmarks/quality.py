"""Trains models on the embedded art set and writes what they reach as a table, with a picture of samples.

    python -m benchmarks.quality [MODEL ...] [--out FILE.md] [--picture FILE.png] [--runs DIR] [--seeds N]

A MODEL is a name of the registry, at its default preset; without any, the first three. Pictures that were asked for by
condition are judged by `simple_cnn`, trained for this on real icons alone. Runs that are there already are not trained
again. Each model takes 2 to 12 minutes a seed on 2 cores.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from pathlib import Path
from typing import Any

import genart_jax as ga
from benchmarks import machine
from genart_jax import registry
from genart_jax.config import UserError
from genart_jax.evaluate import accuracy_score, evaluate_run
from genart_jax.train.checkpoint import load, read_config
from genart_jax.train.log import read_rows
from genart_jax.use.sample import draw_samples, write_samples

_FIRST = ("simple_cnn", "conv_vae", "dcgan")
_LABELS = ("style", "shape")
_FIGURES = {
    "accuracy": "test accuracy",
    "balanced_accuracy": "balanced test accuracy",
    "bits_per_dim": "test bits/dim",
    "critic_lipschitz": "critic's Lipschitz estimate, real and generated pairs",
}


def images_per_second(directory: Path) -> float:
    """The median over a run's log, past the rows that wait for compilation."""
    rates = [row["images_per_second"] for row in read_rows(directory / "metrics.jsonl") if "images_per_second" in row]
    return statistics.median(rates[2:] or rates)


def train(name: str, directory: Path, seed: int, **options: Any) -> Path:
    """Trains a default preset, or takes the run that is there."""
    print(f"{directory} ...", flush=True)
    return ga.fit(ga.configure(name, train={"seed": seed}, **options), directory)


def judges(runs: Path, seed: int) -> dict[str, Path]:
    """Condition -> the run of a classifier of it."""
    return {label: train("simple_cnn", runs / f"{label}_{seed}", seed, label=label) for label in _LABELS}


def measure(name: str, runs: Path, seed: int) -> dict[str, dict[str, float]]:
    """Figures of one model and seed: row -> {what: value}."""
    rows: dict[str, dict[str, float]] = {}
    if registry.find(name).family == "cnn":
        for label in _LABELS:
            directory = train(name, runs / f"{label}_{seed}", seed, label=label)
            rows[f"{name}, {label}"] = _own_figures(directory)
        return rows
    directory = train(name, runs / f"{name}_{seed}", seed)
    figures = _own_figures(directory)
    known = read_config(directory).data["class_names"]
    for label, judge in judges(runs, seed).items() if known else ():
        if label in known:
            figures[f"{label} accuracy of 1,000 samples"] = accuracy_score(directory, judge).value
    return {name: figures}


def _own_figures(directory: Path) -> dict[str, float]:
    """Those of the run's own evaluation that mean something beside another model's, and its speed."""
    figures = evaluate_run(directory)
    own = {text: figures[key] for key, text in _FIGURES.items() if key in figures}
    return own | {"images/s": images_per_second(directory), "minutes of training": minutes(directory)}


def minutes(directory: Path) -> float:
    """Of training alone, over all the parts that a run was made in: the clock begins anew with each."""
    clock = [row["seconds"] for row in read_rows(directory / "metrics.jsonl") if "seconds" in row]
    return sum(b - a if b >= a else b for a, b in itertools.pairwise([0.0, *clock])) / 60


def picture(path: Path, directory: Path, seed: int) -> None:
    """64 samples with conditions drawn as in the training data, as `genart sample` draws them."""
    saved = read_config(directory)
    write_samples(path, draw_samples(load(directory), saved, 64, seed), saved.data["class_names"], seed)


def table(results: list[dict[str, dict[str, float]]], command: str) -> str:
    """The figures of all seeds as a Markdown table: mean and standard deviation."""
    seeds = len(results)
    lines = [
        "# What default presets reach on the embedded art set",
        "",
        f"`{command}`: seeds 0 to {seeds - 1}, float32; 754 test icons. The classifiers that judge samples were",
        "trained on real icons alone, with the same seed; theirs is the share of samples that show what was asked for.",
        f"{machine.about()}.",
        "",
        f"| model | figure | mean of {seeds} | standard deviation |",
        "|---|---|---|---|",
    ]
    for row, figures in results[0].items():
        for what in figures:
            values = [result[row][what] for result in results]
            digits = {"images/s": 0, "minutes of training": 1}.get(what, 4)
            spread = f"{statistics.stdev(values):.{digits}f}" if len(values) > 1 else "one seed"
            lines.append(f"| {row} | {what} | {statistics.mean(values):.{digits}f} | {spread} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="names of the registry; none: the first three")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.md"))
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="samples of the last MODEL, seed 0")
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"))
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    if args.seeds < 1:
        raise UserError("--seeds must be at least 1")
    models = args.models or _FIRST
    results: list[dict[str, dict[str, float]]] = []
    for seed in range(args.seeds):
        results.append({})
        for name in models:
            results[-1] |= measure(name, args.runs, seed)
    if args.picture:
        picture(args.picture, args.runs / f"{models[-1]}_0", 0)
    text = table(results, " ".join(["python -m benchmarks.quality", *sys.argv[1:]]))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
