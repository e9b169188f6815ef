"""Whether an embedding tells drawn faces apart that it has never seen: verification, and who the nearest picture shows.

    genart data build avatars
    python -m benchmarks.identities --runs DIR [--ways softmax cosface arcface] [--seeds 2] [--steps 1200]

Trained on the identities of the training split, four drawings each, with the classes as identities; tested on those of
the test split, which are other ones: all pairs of their pictures, by the cosine of their embeddings. `softmax` is the
same network and scale without a margin (Wang et al. 2017, NormFace). The floor is the cosine of the pixels.

Drawn faces alone: they are nobody's, so nothing here recognises a person, and no photograph of one was looked at.
The table and its curve go to benchmarks/results/identities.md and .png.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import genart_jax as ga
from benchmarks import machine
from genart_jax.data.open import Dataset, Part
from genart_jax.metrics import verification
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model

RESULTS = Path(__file__).parent / "results" / "identities.md"
MODEL: dict[str, Any] = {"features": (16, 32, 64, 128), "norm": True, "hidden": 0, "dropout": 0.0}
WAYS: dict[str, dict[str, Any]] = {
    "softmax": {"embedding": 64, "step": {"margin": "cosface", "margin_size": 0.0}},
    "cosface": {"embedding": 64, "step": {"margin": "cosface"}},
    "arcface": {"embedding": 64, "step": {"margin": "arcface"}},
}
RULE = {
    "name": "sgd", "learning_rate": 0.1, "b1": 0.9, "nesterov": True, "schedule": "cosine", "warmup_steps": 50,
    "l2": 5e-4,
}  # fmt: skip


def numbered(part: Part) -> dict[str, Array]:
    """Pictures with their identities as classes from 0 on."""
    _, classes = np.unique(part.arrays["identity"], return_inverse=True)
    return {"image": np.asarray(part.arrays["image"]), "identity": classes.astype(np.int32)}


def prepared(data: Dataset) -> Dataset:
    """A set whose classes are the identities of the training split; a tenth of its pictures is held out of it.

    Raises:
      ValueError: an identity is on both sides.
    """
    if np.intersect1d(data.train.arrays["identity"], data.test.arrays["identity"]).size:
        raise ValueError("an identity is in both splits")
    return ga.open_data(numbered(data.train), test_fraction=0.02)


def embeddings(model: Model, images: Array) -> Array:
    """(n, d) of uint8 pictures, by parts."""
    algorithm, state = model
    see = ga.jit(lambda x: ga.run(algorithm, state, "classifier", x, capture=("embedding",))[1]["embedding"])
    size, parts = 250, []
    for start in range(0, len(images), size):
        rows = np.minimum(np.arange(start, start + size), len(images) - 1)
        parts.append(np.asarray(see(ga.to_float(images[rows])))[: min(size, len(images) - start)])
    return np.concatenate(parts)


def trained(way: str, seed: int, steps: int, data: Dataset, directory: Path) -> Model:
    """The model, trained unless it is there."""
    options = MODEL | dict(WAYS[way])
    train = {"steps": steps, "batch": 64, "seed": seed, "sample_every": 0, "save_every": 0}
    run = ga.configure("simple_cnn", label="identity", train=train, optimizer=RULE, data={"crop": 4}, **options)
    if not (directory / "summary.json").is_file():
        ga.fit(run, directory, data=data)
    return ga.load(directory)


def figures(vectors: Array, identities: Array) -> tuple[dict[str, float], verification.Roc]:
    """What the table says, and the curve."""
    curve = verification.roc(*verification.pairs(vectors, identities))
    found = {"area": curve.area, "equal_error": curve.equal_error, "at_1_percent": curve.accepted_at(0.01)}
    return found | {"top_1": verification.top_1(vectors, identities)}, curve


def draw(curves: dict[str, verification.Roc], path: Path) -> None:
    """The curves, with the share of false pairs on a logarithmic axis."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4))
    for name, curve in curves.items():
        axes.plot(np.maximum(curve.false_accept, 1e-5), curve.true_accept, label=name)
    axes.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 1), xlabel="false pairs accepted", ylabel="true pairs accepted")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def table(rows: dict[str, list[dict[str, float]]], test: int, identities: int, steps: int) -> str:
    """The page."""
    lines = [
        "# Identities never seen\n",
        f"`python -m benchmarks.identities --runs DIR`: {test} drawings of {identities} identities of `avatars` that "
        f"were not trained on, {steps} steps of 64; means over seeds, each in brackets. {machine.about()}.\n\n"
        "Drawn faces alone: they are nobody's, so nothing here recognises a person.\n",
        "| embedding | area under the curve | equal error, % | true pairs at 1 % of false ones, % | nearest is the "
        "same, % |\n|---|---|---|---|---|",
    ]
    for name, runs in rows.items():
        cells = []
        for key, factor in (("area", 1), ("equal_error", 100), ("at_1_percent", 100), ("top_1", 100)):
            values = [factor * one[key] for one in runs]
            form = (lambda v: f"{v:.4f}") if key == "area" else (lambda v: f"{v:.1f}")
            cells.append(f"{form(float(np.mean(values)))} ({', '.join(map(form, values))})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "\n![curves](identities.png)\n"])


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    whole = ga.open_data("avatars")
    data, test = prepared(whole), numbered(whole.test)
    pixels = test["image"].reshape(len(test["image"]), -1).astype(np.float32)
    first, curve = figures(pixels - pixels.mean(0), test["identity"])
    rows, curves = {"pixels": [first]}, {"pixels": curve}
    for way in args.ways:
        rows[way] = []
        for seed in range(args.seeds):
            model = trained(way, seed, args.steps, data, args.runs / f"{way}-{seed}")
            found, curves[way] = figures(embeddings(model, test["image"]), test["identity"])
            rows[way].append(found)
            sys.stderr.write(f"{way}, seed {seed}: {json.dumps(found)}\n")
            jax.clear_caches()
    args.out.write_text(table(rows, len(pixels), int(test["identity"].max()) + 1, args.steps), encoding="utf-8")
    draw(curves, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
