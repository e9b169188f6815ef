"""How many pictures of one's own a classifier needs: a learning curve over 10, 30 and 100 pictures a class.

    genart assets fetch efficientnet_lite0
    genart data build clipart
    python -m benchmarks.own_pictures --runs DIR [--pictures 10 30 100] [--seeds 2] [--source clipart --label category]

Three ways, each on the same few pictures: a small network from nothing, the published EfficientNet-lite0 with a new
last layer and all else as it is (the preset `probe`), and all of it trained further (`finetune`). Accuracy is on the
whole test split, whose names are not among those of the training pictures. What is done to a run here is what `genart
train` does with these presets and `--init-from asset:efficientnet_lite0`. The table goes to
benchmarks/results/own_pictures.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import genart_jax as ga
from benchmarks import machine
from genart_jax.data.open import Dataset

RESULTS = Path(__file__).parent / "results" / "own_pictures.md"
LITE0 = "asset:efficientnet_lite0"
SIDE = 128
"""Pixels to which the published network's pictures are enlarged at most."""
WAYS: dict[str, dict[str, Any]] = {
    "from nothing": {"model": "simple_cnn", "train": {"steps": 300, "batch": 32}},
    "probe": {"model": "efficientnet_lite0", "preset": "probe", "train": {"steps": 300, "batch": 32}},
    "finetune": {"model": "efficientnet_lite0", "preset": "finetune", "train": {"steps": 150, "batch": 32}},
}


def few(data: Dataset, label: str, number: int, seed: int) -> Dataset:
    """A set of at most `number` training pictures of each class, and the whole test split."""
    labels, rng = np.asarray(data.train.arrays[label]), np.random.default_rng(seed)
    rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:number] for c in np.unique(labels)])
    arrays = lambda part, keep: {name: np.asarray(part.arrays[name])[keep] for name in ("image", label)}
    return ga.open_data({"train": arrays(data.train, np.sort(rows)), "test": arrays(data.test, slice(None))})


def trained(way: str, data: Dataset, label: str, seed: int, directory: Path) -> dict[str, float]:
    """Trains, unless it is done, and reads the figures of the test split."""
    result = directory / "result.json"
    if not result.is_file():
        options = dict(WAYS[way])
        train = {"seed": seed, "sample_every": 0, "save_every": 0} | options.pop("train")
        if options.get("preset"):  # the published network is for larger pictures
            side = data.spec.image_shape[0]
            options |= {"enlarge": max(1, SIDE // side), "data": {"image_size": (side,)}}
        run = ga.configure(options.pop("model"), label=label, train=train, **options)
        before = _cpu()
        ga.fit(run, directory, init_from=LITE0 if options.get("preset") else None, data=data)
        test = json.loads((directory / "summary.json").read_text())["test"]
        result.write_text(json.dumps(test | {"cpu": _cpu() - before}))
    found: dict[str, float] = json.loads(result.read_text())
    return found


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(found: dict[tuple[str, int], list[dict[str, float]]], source: str, label: str) -> str:
    """The page."""
    lines = [
        f"# Few pictures of one's own\n\n`python -m benchmarks.own_pictures --runs DIR`: {label} of `{source}`, test "
        f"accuracy in %, balanced accuracy in brackets; means over seeds, and each seed's value. {machine.about()}.\n",
        "| way | pictures a class | accuracy | seeds | CPU seconds of a training |\n|---|---|---|---|---|",
    ]
    for (way, number), runs in found.items():
        accuracy, balanced = (100 * np.array([one[key] for one in runs]) for key in ("accuracy", "balanced_accuracy"))
        seeds = ", ".join(f"{value:.1f}" for value in accuracy)
        cpu = np.mean([one["cpu"] for one in runs])
        lines.append(f"| {way} | {number} | {accuracy.mean():.1f} ({balanced.mean():.1f}) | {seeds} | {cpu:.0f} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept; what is there is not done again")
    parser.add_argument("--pictures", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--source", default="clipart")
    parser.add_argument("--label", default="category")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    data, found = ga.open_data(args.source), {}
    for way in args.ways:
        for number in args.pictures:
            runs = []
            for seed in range(args.seeds):
                directory = args.runs / f"{way.replace(' ', '_')}-{number}-{seed}"
                runs.append(trained(way, few(data, args.label, number, seed), args.label, seed, directory))
                sys.stderr.write(f"{way}, {number} a class, seed {seed}: {100 * runs[-1]['accuracy']:.1f} %\n")
            found[way, number] = runs
    args.out.write_text(table(found, args.source, args.label), encoding="utf-8")


if __name__ == "__main__":
    main()
