"""Trains a VQ-VAE and the prior over its codes on the embedded art set, and writes what they reach.

    python -m benchmarks.two_stage [--out FILE.md] [--runs DIR] [--seeds N]

Beside FILE.md goes FILE.png: test pictures with their reconstructions, and samples, of seed 0. The classifiers that
judge were trained on real pictures alone. Runs that are there already are not trained again. Takes about 25 minutes a
seed on 2 cores.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from benchmarks.quality import images_per_second, minutes, train
from genart_jax.config import UserError
from genart_jax.data.source import example, open_source
from genart_jax.evaluate import accuracy_score, evaluate_run
from genart_jax.train.checkpoint import read_config
from genart_jax.use.sample import draw_samples

_COLUMNS, _SCALE = 16, 2


def figures(runs: Path, seed: int) -> tuple[dict[str, dict[str, Any]], Path, Path]:
    """Rows of the table, and the two runs."""
    judges = {label: train("simple_cnn", runs / f"{label}_{seed}", seed, label=label) for label in ("style", "shape")}
    first = train("vqvae", runs / f"vqvae_{seed}", seed)
    second = train("code_prior", runs / f"prior_{seed}", seed, tokenizer=str(first))
    found = evaluate_run(first)
    rows: dict[str, dict[str, Any]] = {
        "vqvae": {
            "test mean squared error, pixels in [-1, 1]": found["mse"],
            "test PSNR of the mean error, dB": 10 * math.log10(4 / found["mse"]),
            "test perplexity of the codes": found["perplexity"],
        }
    }
    found = evaluate_run(second)
    rows["code_prior"] = {"test bits a code": found["bits_per_code"], "test accuracy of a code": found["accuracy"]}
    for label, judge in judges.items():
        rows["code_prior"][f"{label} accuracy of 1,000 samples"] = accuracy_score(second, judge).value
        rows["code_prior"][f"{label} accuracy on the real test split"] = evaluate_run(judge)["accuracy"]
    for name, directory in (("vqvae", first), ("code_prior", second)):
        rows[name]["images/s"] = images_per_second(directory)
        rows[name]["minutes of training"] = minutes(directory)
    return rows, first, second


def picture(first: Path, second: Path, seed: int) -> Image.Image:
    """Three pairs of rows of test pictures above their reconstructions, and four rows of samples."""
    algorithm, state = ga.load(first)
    split = open_source(read_config(first).run.data).test
    real = np.stack([example(split, i)["image"] for i in range(3 * _COLUMNS)])
    assert algorithm.transform is not None
    made = ga.to_uint8(algorithm.transform(state, ga.to_float(real), jax.random.key(seed)))
    rows = [block[i * _COLUMNS : (i + 1) * _COLUMNS] for i in range(3) for block in (real, made)]
    samples = draw_samples(ga.load(second), read_config(second), 4 * _COLUMNS, seed).images
    grids = [
        ga.make_grid(np.concatenate(rows), _COLUMNS, _SCALE, "test pictures, each row above its reconstructions"),
        ga.make_grid(
            samples, _COLUMNS, _SCALE, f"samples of the prior, seed {seed}, conditions as in the training data"
        ),
    ]
    whole = Image.new("RGB", (max(g.width for g in grids), sum(g.height for g in grids)), "white")
    for i, grid in enumerate(grids):
        whole.paste(grid, (0, sum(g.height for g in grids[:i])))
    return whole


def table(results: list[dict[str, dict[str, Any]]]) -> str:
    """The figures of all seeds as Markdown: mean and standard deviation."""
    seeds = len(results)
    lines = [
        "# A VQ-VAE and a prior over its codes on the embedded art set",
        "",
        f"`python -m benchmarks.two_stage --seeds {seeds}`: default presets, seeds 0 to {seeds - 1}, float32, 754 test"
        " icons.",
        f"{machine.about()}.",
        "",
        f"| model | figure | mean of {seeds} | standard deviation |",
        "|---|---|---|---|",
    ]
    for name, figures in results[0].items():
        for what in figures:
            values = [result[name][what] for result in results]
            spread = f"{statistics.stdev(values):.2g}" if seeds > 1 else "one seed"
            lines.append(f"| {name} | {what} | {statistics.mean(values):.4g} | {spread} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/vqvae.md"))
    parser.add_argument("--runs", type=Path, default=Path("runs/two_stage"))
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    if args.seeds < 1:
        raise UserError("--seeds must be at least 1")
    results = [figures(args.runs, seed) for seed in range(args.seeds)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text := table([rows for rows, _, _ in results]))
    _, first, second = results[0]
    picture(first, second, 0).save(args.out.with_suffix(".png"), optimize=True)
    print(text)


if __name__ == "__main__":
    main()
