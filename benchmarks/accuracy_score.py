"""Classification accuracy scores: what a classifier that saw a generator's pictures alone knows of real ones.

    python -m benchmarks.accuracy_score --runs DIR [MODEL ...] [--seeds 0 1] [--steps 3000]

Ravuri & Vinyals 2019 (arXiv:1905.10887): as many pictures as there are training pictures are drawn, with conditions as
in the training data, a classifier is trained on them alone, and its accuracy on the real test split is the score. What
a generator leaves out, or draws under the wrong class, lowers it. MODEL is a run of icons with a style and a shape, or
a name that comes with the package. The line of real pictures is the same classifier on the training split itself. What
is in DIR is not done again. The table goes to benchmarks/results/accuracy_score.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import genart_jax as ga
from benchmarks import machine
from genart_jax.data.open import Dataset
from genart_jax.runtime.values import Array
from genart_jax.use.sample import draw_samples

RESULTS = Path(__file__).parent / "results" / "accuracy_score.md"
LABELS = ("style", "shape")
REAL = "real pictures"
PACKAGED = ("icons", "icons_vae")
FIGURES = {"style": "accuracy_style", "shape": "accuracy_shape", "both": "joint_accuracy"}


def drawn(name: str, number: int, seed: int) -> dict[str, Array]:
    """Pictures of a run, and what was asked for, under the names of the training data.

    Raises:
      UserError: the run knows no style or no shape.
    """
    saved, model = ga.read_config(name), ga.load(name)
    known = saved.data["class_names"]
    if missing := [label for label in LABELS if label not in known]:
        raise ga.UserError(f"{name} was not told {' and '.join(missing)}; a score needs runs with {', '.join(LABELS)}")
    samples = draw_samples(model, saved, number, seed)
    return {"image": samples.images} | {label: samples.condition[label] for label in LABELS}


def replaced(whole: Dataset, made: Mapping[str, Array]) -> Dataset:
    """The set with these training pictures, and its own test split."""
    test = {name: np.asarray(whole.test.arrays[name]) for name in ("image", *LABELS)}
    return ga.open_data({"train": dict(made), "test": test}, {label: whole.class_names[label] for label in LABELS})


def scored(name: str, seed: int, steps: int, folder: Path) -> dict[str, float]:
    """The test accuracy of a classifier that was trained on a generator's pictures."""
    result = folder / "accuracy.json"
    if not result.is_file():
        whole = ga.open_data("emoji")
        own = {key: np.asarray(whole.train.arrays[key]) for key in ("image", *LABELS)}
        data = replaced(whole, own if name == REAL else drawn(name, len(whole.train), seed))
        train = {"steps": steps, "seed": seed, "sample_every": 0, "save_every": 0}
        ga.fit(ga.configure("simple_cnn", preset="normed", conditions=LABELS, train=train), folder, data=data)
        test = json.loads((folder / "summary.json").read_text()).get("test")
        if test is None:
            raise ga.UserError(f"{folder} was interrupted; call again to go on")
        result.write_text(json.dumps({label: test[key] for label, key in FIGURES.items()}))
    found: dict[str, float] = json.loads(result.read_text())
    return found


def table(found: Mapping[str, Sequence[Mapping[str, float]]], steps: int) -> str:
    """The page: each generator, means over seeds with the least and the most in brackets, in %."""
    lines = [
        "# Classification accuracy scores\n",
        f"`python -m benchmarks.accuracy_score --runs DIR`, {machine.about()}. `simple_cnn --preset normed`, "
        f"{steps:,} steps of 64 pictures of the generator, as many as there are training pictures; "
        "accuracy on real test icons in %, the mean over seeds, the least and the most of them in brackets.\n",
        f"| trained on | seeds | {' | '.join(FIGURES)} |\n|---|---|{'---|' * len(FIGURES)}",
    ]
    for name, seeds in found.items():
        cells = []
        for label in FIGURES:
            values = [100 * one[label] for one in seeds]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        lines.append(f"| {name} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(PACKAGED))
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    found: dict[str, list[Any]] = {}
    for name in (REAL, *args.models):
        for seed in args.seeds:
            short = Path(name).name.replace(" ", "_")
            found.setdefault(Path(name).name, []).append(scored(name, seed, args.steps, args.runs / f"{short}_{seed}"))
            args.out.write_text(table(found, args.steps), encoding="utf-8")


if __name__ == "__main__":
    main()
