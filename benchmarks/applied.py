"""A table over trained runs: distances with their floors, precision and recall, conditions, and tests for copies.

    python -m benchmarks.applied RUN ... [--classifier RUN] [--num 2000] [--extractor lite0] [--copies lite0:112]
        [--out FILE.md]

Runs that differ by their seed alone share a row: mean and standard deviation over seeds, with n. A run's scores and
originality report are kept in its directory, and are not made again where they are there already.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from genart_jax.evaluate.compare import seed_groups
from genart_jax.evaluate.extractors import make_extractor
from genart_jax.evaluate.originality import originality
from genart_jax.evaluate.scores import FILE, Score, accuracy_score, read_scores, score_run
from genart_jax.train.checkpoint import load, read_config

COLUMNS = ("FD", "FD floor", "KD x 1000", "precision", "recall", "accuracy", "three-sample z", "findings")


def scores_of(run: Path, extractor: str, num: int, seed: int) -> dict[str, Score]:
    """The run's scores, made where they are not there yet."""
    name, step = make_extractor(extractor).name, int(load(run).state.step)
    kept = read_scores(run) if (run / FILE).exists() else []
    mine = [
        s
        for s in kept
        if (s.contract["extractor"], s.contract["num_fake"], s.contract["split"]) == (name, num, "train")
        and (s.seeds["samples"], s.model["step"]) == (seed, step)
    ]
    return {s.name: s for s in mine or score_run(run, extractor, num, seed)}


def copies_of(run: Path, extractor: str, num: int, seed: int) -> dict[str, Any]:
    """The run's originality report, made where it is not there yet."""
    path, step = run / "originality.json", int(load(run).state.step)
    if path.exists():
        report: dict[str, Any] = json.loads(path.read_text())
        same = (report["seed"], report["model"]["step"], report["contract"]["num_fake"]) == (seed, step, num)
        if same and report["contract"]["extractor"] == make_extractor(extractor).name:
            return report
    return originality(run, extractor, num, seed)


def measure(
    run: Path, extractor: str, num: int, seed: int, judge: Path | None, copies: str, checked: int
) -> dict[str, Any]:
    """One run's columns: (value, error) or text."""
    name = make_extractor(extractor).name
    scores = scores_of(run, extractor, num, seed)
    pair = lambda s: (s.value, s.standard_error)
    distance, kernel = scores[f"fd_{name}"], scores[f"kd_{name}"]
    report = copies_of(run, copies, checked, seed)
    out: dict[str, Any] = {
        "FD": pair(distance),
        "FD floor": (distance.details["floor"], None) if "floor" in distance.details else "no second real set",
        "KD x 1000": (1000 * kernel.value, 1000 * (kernel.standard_error or math.nan)),
        "precision": pair(scores[f"precision_{name}"]),
        "recall": pair(scores[f"recall_{name}"]),
        "three-sample z": (report["spaces"][make_extractor(copies).name]["three_sample_z"], None),
        "findings": "; ".join(report["findings"]) or "none",
    }
    known = [name for name, _ in load(run).algorithm.batch_spec.conditions]
    out["accuracy"] = "no condition"
    if judge is not None and load(judge).algorithm.batch_spec.conditions[0][0] in known:
        out["accuracy"] = pair(accuracy_score(run, judge, num, seed))
    return out


def cell(values: Sequence[Any]) -> str:
    """One run: value and its error; several: mean and standard deviation over seeds."""
    if isinstance(values[0], str):
        return "; ".join(dict.fromkeys(values))
    if len(values) > 1:
        each = [value for value, _ in values]
        return f"{statistics.mean(each):.3g}, sd {round(statistics.stdev(each), 9):.2g}"
    value, error = values[0]
    return f"{value:.3g}" if error is None else f"{value:.3g} +- {error:.2g}"


def table(rows: dict[str, list[dict[str, Any]]], seeds: dict[str, list[int]], facts: str) -> str:
    """The Markdown table."""
    lines = ["# The models on the art set, by the same yardstick", "", facts, ""]
    lines += [f"| model | training seeds | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    for label, measured in rows.items():
        cells = " | ".join(cell([m[column] for m in measured]) for column in COLUMNS)
        lines.append(f"| {label} | {', '.join(map(str, seeds[label]))} (n = {len(measured)}) | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--classifier", type=Path, help="a run that judges whether pictures show what was asked for")
    parser.add_argument("--extractor", default="lite0")
    parser.add_argument("--copies", default="lite0:112", help="extractor for the search for copies")
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--checked", type=int, default=500, help="pictures that are searched for copies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/applied.md"))
    args = parser.parse_args()
    groups: dict[str, list[Path]] = {}
    for group in seed_groups(args.runs):
        config = read_config(group[0]).run
        label = f"{config.name}, {int(load(group[0]).state.step)} steps"
        label += "" if config.train.precision == "float32" else f", {config.train.precision}"
        if label in groups:
            parser.error(f"{group[0]} is a second configuration of {label}; make a table of its own for it")
        groups[label] = list(group)
    rows: dict[str, list[dict[str, Any]]] = {}
    for label, group in groups.items():
        for run in group:
            print(f"{run} ...", flush=True)
            figures = measure(run, args.extractor, args.num, args.seed, args.classifier, args.copies, args.checked)
            rows.setdefault(label, []).append(figures)
    seeds = {label: [read_config(run).run.train.seed for run in group] for label, group in groups.items()}
    words = f" --classifier {args.classifier.name}" if args.classifier else ""
    command = f"python -m benchmarks.applied {' '.join(run.name for run in args.runs)}{words}"
    network = make_extractor(args.extractor)
    judged = f" of {load(args.classifier).algorithm.batch_spec.conditions[0][0]}" if args.classifier else ""
    facts = (
        f"`{command} --num {args.num} --extractor {args.extractor}`: {args.num} generated pictures (sample seed"
        f" {args.seed}, moving averages where there are any, conditions as in the training data) against as many of the"
        f" training split; features of {network.name} (SHA-256 {network.weights[:12]}) at"
        f" {'x'.join(map(str, network.size))}, {network.resize}. +- is a standard error over pictures; the floor is the"
        f" distance between two sets of real pictures of that size. Accuracy is that of conditional samples, by the"
        f" classifier{judged}; KD, precision and recall as in `genart evaluate`; the last two columns as in"
        f" `genart originality`, on {args.checked} pictures, over {args.copies}."
        f" {machine.about()}."
    )
    text = table(rows, seeds, facts)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
