"""Trains one recipe for the demo at a time, scores its pictures, and adds a row to a table of all that was tried.

    python -m benchmarks.demo_tries LABEL [--options JSON] [--cpu-seconds 240] [--seed 0] [--vgg]
        [--truncation 1] [--runs DIR] [--out benchmarks/results/demo_tries.md]

A recipe is data: `--options '{"model": "modgan", "critic_width": 48, "step": {"r1_gamma": 2.0}}'`, as `ga.configure`
takes them. It trains for as many steps as fit the CPU seconds (of the process and all its threads, without
compilation), by what steps cost at the start; `--steps` says how many instead. A run that is there is taken as it is,
so that it can be scored again with its latents at another truncation.

Judges are classifiers of style and shape that saw real icons alone; they are trained once, into RUNS/judges, and the
table says which they were. Each try leaves RUNS/LABEL_SEED, with a sheet of 64 unselected pictures to be looked at.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

import genart_jax as ga
from benchmarks import machine
from genart_jax.config import Run, UserError
from genart_jax.evaluate.scores import accuracy_score, score_run
from genart_jax.train.checkpoint import load, read_config
from genart_jax.use.sample import draw_samples, write_samples

LABELS = ("style", "shape")
COLUMNS = (
    "try", "seed", "steps x batch", "CPU s", "FD lite0", "precision", "recall", "style", "shape", "FD VGG19, 64 px",
    "options", "said of its sheet",
)  # fmt: skip
PROBE = 200
"""Steps that are timed to say how many fit."""


def cpu_seconds() -> float:
    """CPU seconds of this process so far, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Clock:
    """A callback of the trainer: CPU seconds since the second row of the log, before which it compiles."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float]] = []

    def __call__(self, event: str, values: dict[str, Any]) -> None:
        """Takes one event; see `trainer.Callback`."""
        if event == "progress":
            self.rows.append((values["step"], cpu_seconds()))

    def per_step(self) -> float:
        """CPU seconds of a step."""
        (first, begun), (last, ended) = self.rows[len(self.rows) // 3], self.rows[-1]
        return (ended - begun) / (last - first)

    def usual(self) -> float:
        """CPU seconds of a step where nothing else is done: in a short run a late compilation is much of the mean."""
        steps, seconds = np.diff(np.array(self.rows[len(self.rows) // 3 :]), axis=0).T
        return float(np.median(seconds / steps))


def recipe(options: dict[str, Any], seed: int, steps: int | None) -> Run:
    """The configuration of a try; what it saves and draws on the way is left out, unless its options say so."""
    options = dict(options)
    told = {"sample_every": 0, "save_every": 3000} | options.get("train", {})
    run = ga.configure(options.pop("model", "modgan"), preset=options.pop("preset", "default"), **options)
    length: dict[str, Any] = {} if steps is None else {"steps": steps}
    return ga.configure(run, train={**told, "seed": seed, **length})


def train(options: dict[str, Any], directory: Path, seed: int, budget: float, steps: int | None) -> float:
    """Trains a try, and returns the CPU seconds that its steps took; NaN of a run that is there already."""
    summary = directory / "summary.json"
    if summary.exists() and not json.loads(summary.read_text())["interrupted"]:
        return math.nan
    if steps is None:
        probe = Clock()
        ga.fit(recipe(options, seed, PROBE), directory.with_name(f"{directory.name}_probe"), callback=probe)
        steps = round(budget / probe.usual())
        print(f"{directory}: {1000 * probe.usual():.1f} CPU ms a step, so {steps} steps", flush=True)
    clock = Clock()
    ga.fit(recipe(options, seed, steps), directory, callback=clock)
    if json.loads(summary.read_text())["interrupted"]:
        raise SystemExit(f"{directory} was interrupted; call again to go on")
    return clock.per_step() * steps


def judges(runs: Path) -> dict[str, tuple[Path, str]]:
    """Condition -> a classifier's run, and what the table says of it."""
    from genart_jax.evaluate import evaluate_run
    from genart_jax.evaluate.extractors import make_extractor

    found = {}
    for label in LABELS:
        directory = runs / "judges" / label
        ga.fit(ga.configure("simple_cnn", label=label), directory)
        accuracy = evaluate_run(directory)["accuracy"]
        network = make_extractor(f"classifier:{directory}")
        found[label] = directory, f"{label} SHA-256 {network.weights[:12]}, {accuracy:.3f} of the test icons"
    return found


def sheet(directory: Path, truncation: float, seed: int = 0) -> Path:
    """64 pictures with conditions drawn as in the training data, none left out."""
    saved = read_config(directory)
    samples = draw_samples(load(directory), saved, 64, seed, numbers={"truncation": truncation})
    return write_samples(directory / f"sheet_{truncation:g}.png", samples, saved.data["class_names"], seed)


def score(directory: Path, judged: dict[str, tuple[Path, str]], vgg: bool, truncation: float) -> dict[str, str]:
    """The table's columns."""
    numbers = {"truncation": truncation}
    scores = {s.name: s for s in score_run(directory, "lite0", 2000, numbers=numbers)}
    row = {"FD lite0": f"{scores['fd_lite0'].value:.1f}"}
    row |= {name: f"{scores[f'{name}_lite0'].value:.3f}" for name in ("precision", "recall")}
    for label, (judge, _) in judged.items():
        row[label] = f"{accuracy_score(directory, judge, 2000, numbers=numbers).value:.3f}"
    row["FD VGG19, 64 px"] = "-"
    if vgg:
        (distance,) = (s for s in score_run(directory, "vgg19:64", 1000, numbers=numbers) if s.name == "fd_vgg19_64")
        row["FD VGG19, 64 px"] = f"{distance.value:.0f}"
    return row


def add_row(out: Path, row: dict[str, str], judged: dict[str, tuple[Path, str]]) -> None:
    """Appends a row to the table, which is begun where it is not there yet."""
    if not out.exists():
        words = "; ".join(text for _, text in judged.values())
        head = [
            "# Tries for the demo's recipe",
            "",
            f"By `python -m benchmarks.demo_tries`. Judges: {words}.",
            f"{machine.about()}.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
        ]
        out.write_text("\n".join(head) + "\n")
    with out.open("a") as file:
        file.write(f"| {' | '.join(row.get(name, '') for name in COLUMNS)} |\n")


def main() -> None:
    """Makes one try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label")
    parser.add_argument("--options", default="{}", help="JSON: fields of dcgan's Config, sections, preset")
    parser.add_argument("--cpu-seconds", type=float, default=240.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vgg", action="store_true", help="a distance over VGG19 as well")
    parser.add_argument("--truncation", type=float, default=1.0, help="of the latents that are drawn")
    parser.add_argument("--runs", type=Path, default=Path("runs/demo_tries"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/demo_tries.md"))
    args = parser.parse_args()
    try:
        options = json.loads(args.options)
    except json.JSONDecodeError as error:
        raise UserError(f"--options is no JSON: {error}") from None
    directory, begun = args.runs / f"{args.label}_{args.seed}", time.monotonic()
    judged = judges(args.runs)
    seconds = train(options, directory, args.seed, args.cpu_seconds, args.steps)
    minutes = (time.monotonic() - begun) / 60
    train_options = read_config(directory).run.train
    row = {
        "try": args.label if args.truncation == 1 else f"{args.label}, truncation {args.truncation:g}",
        "seed": str(args.seed),
        "steps x batch": f"{train_options.steps} x {train_options.batch}",
        "CPU s": "not counted" if math.isnan(seconds) else f"{seconds:.0f}",
        "options": f"`{json.dumps(options)}`",
        **score(directory, judged, args.vgg, args.truncation),
    }
    print(sheet(directory, args.truncation))
    add_row(args.out, row, judged)
    print(f"{row} in {minutes:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
