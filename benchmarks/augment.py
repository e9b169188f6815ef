"""`dcgan` on few icons with and without augmentation of the critic's pictures: overfitting, style, pictures.

    python -m benchmarks.augment [--steps N] [--width N] [--ramp N] [--seeds N] [--minutes M] [--runs DIR] [--out FILE]

Each run's figures go into a file of their own as soon as it is done, and runs that are there are not made again; after
`--minutes` no new run is begun. The table is of what there is. A classifier of the style, trained on all icons of the
training split, judges the samples.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from genart_jax.data.source import Split, open_source
from genart_jax.evaluate import accuracy_score
from genart_jax.train.checkpoint import load, read_config
from genart_jax.train.evaluation import make_evaluator
from genart_jax.train.log import read_rows
from genart_jax.train.parallel import make_mesh

METHODS = ("none", "diffaugment", "ada")
LIMITS = (100, 1000)


def scores(directory: Path) -> dict[str, float]:
    """The critic's mean scores of training icons, of held-out icons and of generated ones, without augmentation.

    `r_v` is how far its scores of held-out icons have gone from those of training icons to those of generated ones:
    0 for no overfitting, 1 for complete (Karras et al. 2020b, eq. 1).
    """
    run = read_config(directory).run
    algorithm, state = load(directory)
    source = open_source(run.data)
    evaluate = make_evaluator(algorithm, run.data, make_mesh(dataclasses.replace(run.parallel, data=1), 1))

    def figures(split: Split) -> dict[str, float]:
        return evaluate(state, split, jax.random.key(0))

    train, test = figures(source.train), figures(source.test)
    gap = train["real_score"] - test["real_score"]
    return {
        "train_score": train["real_score"],
        "held_out_score": test["real_score"],
        "fake_score": test["fake_score"],
        "gap": gap,
        "r_v": gap / (train["real_score"] - test["fake_score"]),
    }


def measure(directory: Path, judge: Path) -> dict[str, Any]:
    """All figures of one finished run."""
    rows = [row for row in read_rows(directory / "metrics.jsonl") if "critic_loss" in row]
    summary = json.loads((directory / "summary.json").read_text())
    if summary["interrupted"]:
        raise SystemExit(f"{directory} was interrupted; start again to go on")
    return scores(directory) | {
        "style_accuracy": accuracy_score(directory, judge).value,
        "p": rows[-1].get("augment_p", 0.0),
        "real_sign": rows[-1].get("real_sign"),
        "seconds": summary["seconds"],
    }


def train(method: str, limit: int, seed: int, args: argparse.Namespace) -> Path:
    """Trains one run, or goes on with it."""
    directory: Path = args.runs / f"{method}_{limit}_{seed}"
    run = ga.configure(
        "dcgan", preset="non_saturating", width=args.width, data={"limit": limit},
        step={"augment": method, "augment_images": args.ramp},
        train={"steps": args.steps, "seed": seed, "sample_every": 0, "save_every": 0, "samples": 24},
    )  # fmt: skip
    return ga.fit(run, directory)


def table(args: argparse.Namespace) -> str:
    """The figures there are as a Markdown table: means over seeds, and standard deviations."""
    lines = [
        "# Augmentation of the critic's pictures on few icons",
        "",
        f"`python -m benchmarks.augment --steps {args.steps} --width {args.width} --ramp {args.ramp}"
        f" --seeds {args.seeds}`: preset `non_saturating` at width {args.width}, {args.steps} steps of 64 icons."
        f" DiffAugment has p = 1; ADA's p can go from 0 to 1 in {args.ramp:,} icons (the paper's 500,000 would end"
        f" at {args.steps * 64 / 500_000:.2f} here).",
        f"{machine.about()}.",
        "",
        "The gap is the critic's mean score of its training icons less that of the 754 held-out ones; r_v is the gap as"
        " a share of the distance to generated pictures (1: held-out icons look as false as those). Style accuracy:"
        " 1,000 samples. Means over seeds, standard deviations in brackets.",
        "",
        "| icons | augmentation | seeds | gap | r_v | style accuracy | p at the end |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for limit, method in itertools.product(LIMITS, METHODS):
        files = [args.runs / f"{method}_{limit}_{seed}.json" for seed in range(args.seeds)]
        results = [json.loads(file.read_text()) for file in files if file.exists()]
        if results:
            cells = [_mean([r[name] for r in results]) for name in ("gap", "r_v", "style_accuracy", "p")]
            lines.append(f"| {limit} | {method} | {len(results)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean(values: list[float]) -> str:
    spread = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def picture(args: argparse.Namespace, path: Path) -> None:
    """Seed 0's samples: a block of 24 for each method, one row of blocks for each number of icons."""
    rows = []
    for limit in LIMITS:
        grids = [sorted((args.runs / f"{m}_{limit}_0" / "samples").glob("*.png")) for m in METHODS]
        if all(grids):
            blocks = [np.asarray(Image.open(g[-1]).convert("RGB")) for g in grids]
            rows.append(np.concatenate([np.pad(b, ((0, 6), (0, 6), (0, 0))) for b in blocks], axis=1))
    if rows:
        image = Image.fromarray(np.concatenate(rows))
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        image.quantize(128).save(path, optimize=True)


def main() -> None:
    """Trains what is missing, then writes the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/augment"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/augment.md"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--ramp", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    jax.config.update("jax_compilation_cache_dir", os.fspath(args.runs / "cache"))  # the same few programs 18 times
    judge = args.runs / "judge"
    if not (judge / "summary.json").exists():
        ga.fit(ga.configure("simple_cnn", label="style"), judge)
    for seed, limit, method in itertools.product(range(args.seeds), LIMITS, METHODS):
        file = args.runs / f"{method}_{limit}_{seed}.json"
        if not file.exists() and time.monotonic() < end:
            start = time.perf_counter()
            figures = measure(train(method, limit, seed, args), judge)
            file.write_text(json.dumps(figures, indent=2) + "\n")
            print(f"{file.stem}: {figures} ({time.perf_counter() - start:.0f} s)", flush=True)
    text = table(args)
    args.out.write_text(text)
    picture(args, args.out.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    main()
