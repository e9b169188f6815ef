"""Trains a fitting model on each set for a few hundred steps, from the command line to its pictures and test figure.

    python -m benchmarks.data_training mnist avatars:dylan --runs DIR    # without names: all; rows of others are kept

To see that each set is data that a model learns from, not to learn it well: a classifier where a set's first label is
in both splits, a VAE where it is not. Sets that are not built yet are built. The rows are in
benchmarks/results/data_training.json, and the page data_training.md is made of them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

import numpy as np

import genart_jax as ga
from genart_jax.data.build import catalogue

RESULTS = Path(__file__).parent / "results"
CLASSIFIER = "simple_cnn --train.steps 300 --train.batch 32"
VAE = "conv_vae --model.stages 3 --train.steps 300 --train.batch 32"
SOLID = "mlp_vae --model.hidden 64 --train.steps 300 --train.batch 32"
COMMANDS = {
    "emoji:128": "simple_cnn --train.steps 300 --train.batch 32",
    "photos": VAE,
    "photos:free": VAE,
    "paintings": "conv_vae --model.stages 4 --train.steps 300 --train.batch 16",
    "pairs-emoji:flat": VAE,
    "pairs-emoji:relief": VAE,
    "clips": SOLID,
    "moving": SOLID,
    "voxels": SOLID,
    "shapes3d": SOLID,
}
"""Of the sets that a classifier of their first label does not fit."""
HEAD = """# A model trained on each set

`genart train MODEL --data SET` with these options, a few hundred steps each, {machine}; CPU seconds of the whole
command with its start and its evaluation. Written by `python -m benchmarks.data_training`. Figures are of the test
split. Beside an accuracy stands the share of the most frequent class; bits are a dimension's, by the evidence lower
bound, and beside those of volumes stands what independent voxels at their mean over the training split would take.

| set | model and options | CPU, s | figure | without a model | versions | date |
|---|---|---|---|---|---|---|
"""


class Row(TypedDict):
    """A line of the table."""

    command: str
    cpu: float
    figure: str
    without: str
    jax: str
    date: str


def without_a_model(source: str, accuracy: bool) -> str:
    """The most frequent class's share of the test split, or the bits of independent values at their mean."""
    data = ga.open_data(source)
    train, test = data.train.arrays, data.test.arrays
    if accuracy:
        label = next(name for name in train if name in data.class_names)
        common = np.bincount(np.asarray(train[label])[np.asarray(train[label]) >= 0]).argmax()
        own = np.asarray(test[label])
        return f"{100 * np.mean(own[own >= 0] == common):.1f} %"
    images = np.asarray(train["image"])
    if set(np.unique(images[:8])) <= {0, 255}:  # volumes: a coin for each voxel
        mean = np.clip(images.mean(0) / 255, 1e-3, 1 - 1e-3)
        own = np.asarray(test["image"]) / 255
        return f"{float(np.mean(-own * np.log2(mean) - (1 - own) * np.log2(1 - mean))):.3f} bits"
    return "-"


def trained(source: str, runs: Path) -> Row:
    """Trains, in a process of its own, and reads what it left."""
    command = COMMANDS.get(source, CLASSIFIER)
    folder = runs / source.replace(":", "-")
    words = ["train", *command.split(), "--data", source, "--run", str(folder)]
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "genart_jax", *words], check=True)
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads((folder / "summary.json").read_text())
    test = summary["test"]
    accuracy = "accuracy" in test
    name = "accuracy" if accuracy else "bits_per_dim"
    return {
        "command": command,
        "cpu": done.ru_utime + done.ru_stime - begun.ru_utime - begun.ru_stime,
        "figure": f"{100 * test[name]:.1f} %" if accuracy else f"{test[name]:.3f} bits",
        "without": without_a_model(source, accuracy),
        "jax": str(summary["versions"]["jax"]),
        "date": datetime.date.today().isoformat(),
    }


def page(rows: dict[str, Row]) -> str:
    """The page of all rows, in the order of the catalogue."""
    order = list(catalogue.RECIPES)
    names = sorted(rows, key=lambda name: (order.index(catalogue.find(name)[0].name), name))
    lines = [
        f"| `{name}` | `{row['command']}` | {row['cpu']:.0f} | {row['figure']} | {row['without']} | jax {row['jax']} "
        f"| {row['date']} |\n"
        for name in names
        for row in (rows[name],)
    ]
    return HEAD.format(machine=f"{os.cpu_count()} CPU cores") + "".join(lines)


def sets() -> list[str]:
    """Every set by its name, and the parts that are asked for by another."""
    return [name for name in catalogue.RECIPES if name not in ("emoji", "pairs-emoji")] + [
        name for name in COMMANDS if name not in catalogue.RECIPES
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--runs", type=Path, help="where runs are kept (a temporary folder)")
    args = parser.parse_args()
    file = RESULTS / "data_training.json"
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.names or sets():
            subprocess.run([sys.executable, "-m", "genart_jax", "data", "build", name], check=True)
            row = trained(name, args.runs or Path(temporary))
            rows: dict[str, Row] = json.loads(file.read_text()) if file.exists() else {}
            rows[name] = row
            file.write_text(json.dumps(rows, indent=1) + "\n")
            (RESULTS / "data_training.md").write_text(page(rows))
            print(name, row, flush=True)


if __name__ == "__main__":
    main()
