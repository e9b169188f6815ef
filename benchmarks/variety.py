"""Whether a conditional GAN keeps its variety: tries of a few minutes, by how far apart pictures of one class are.

    python -m benchmarks.variety train LABEL [--options JSON] [--steps 800] [--seed 0] [--runs DIR]
    python -m benchmarks.variety table LABEL ... [--runs DIR] [--condition style]
    python -m benchmarks.variety groups [--seed 0]

A try's options are those of `benchmarks.demo_tries`. The table has, for each class of a condition, the mean difference
of two generated pictures over that of two training pictures: 0 where all are one picture. Other conditions are drawn as
they occur with the class, for both.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import genart_jax as ga
from genart_jax.config import UserError
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import load, read_config
from genart_jax.use.sample import draw_samples

PICTURES = 64
"""Of each class, generated and real."""


def recipe(options: dict[str, Any], steps: int, seed: int) -> ga.Run:
    """A try's configuration; it draws nothing on the way."""
    options = dict(options)
    run = ga.configure(options.pop("model", "stylegan2"), preset=options.pop("preset", "default"), **options)
    return ga.configure(run, train={"seed": seed, "steps": steps, "sample_every": 0, "save_every": steps})


def apart(images: Array) -> float:
    """Mean |a - b| over all pairs of pictures (n, ...) in [0, 255], in units of the whole range."""
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    pairs = [np.abs(flat[i + 1 :] - flat[i]).mean(axis=1) for i in range(len(flat) - 1)]
    return float(np.concatenate(pairs).mean())


def ratios(directory: Path, condition: str, seed: int = 0) -> dict[str, float]:
    """Class -> how far apart its generated pictures are, over its training pictures."""
    saved, model = read_config(directory), load(directory)
    split = ga.open_data(saved.run.data.source).train
    out = {}
    for index, name in enumerate(saved.data["class_names"][condition]):
        samples = draw_samples(model, saved, PICTURES, seed, {condition: index})
        where = np.flatnonzero(split.arrays[condition] == index)
        chosen = np.random.default_rng(seed).choice(where, min(PICTURES, len(where)), replace=False)
        out[name] = apart(samples.images) / apart(np.asarray(split.arrays["image"])[chosen])
    return out


def row(directory: Path, condition: str) -> str:
    """A run's line of the table."""
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    latest = {name: value for r in rows for name, value in r.items()}  # a look may stand in a row of its own
    said = json.loads((directory / "summary.json").read_text()).get("warnings", [])
    figures = [f"{value:.2f}" for value in ratios(directory, condition).values()]
    share = latest["held_out/variety"] / latest["spread"]
    return f"| {directory.name} | {latest['step']} | {share:.2f} | {' | '.join(figures)} | {len(said)} |"


def collapsed(codes: Array, rng: np.random.Generator) -> Array:
    """For each picture the number of one that stands for all of its code; of code -1 the picture itself."""
    out = np.arange(len(codes))
    for code in np.unique(codes[codes >= 0]):
        where = np.flatnonzero(codes == code)
        out[where] = rng.choice(where)
    return out


def seen(images: Array, instead: Array, groups: Array) -> tuple[float, float, float]:
    """Mean deviation over groups (n, size) of pictures, the same with others `instead`, and their distance.

    The distance is in standard deviations of a group's value, over groups.
    """
    value = lambda index: np.array([images[group].std(axis=0).mean() for group in index])
    real, other = value(groups), value(instead[groups])
    distance = (real.mean() - other.mean()) / np.sqrt((real.var() + other.var()) / 2)
    return float(real.mean()), float(other.mean()), float(distance)


def groups(seed: int, count: int = 1000) -> None:
    """Prints what the deviation over groups sees of collapses of the art set."""
    split, rng = ga.open_data("emoji").train, np.random.default_rng(seed)
    images = np.asarray(split.arrays["image"], np.float32) / 127.5 - 1
    style, shape, color = (np.asarray(split.arrays[name], int) for name in ("style", "shape", "color"))
    collapses = {
        "a style": style,
        "a style and shape": 10 * style + shape,
        "a style, shape and colour": 100 * style + 10 * shape + color,
        "the style of line drawings, the others as they are": np.where(style == style.max(), 0, -1),
    }
    print("| one picture for | groups of | size | as they are | collapsed | deviations between |")
    print("|---|---|---|---|---|---|")
    for name, codes in collapses.items():
        instead = collapsed(codes, rng)
        for kind in ("any pictures", "one style"):
            for size in (4, 16):
                pools = [np.arange(len(images))] if kind == "any pictures" else [
                    np.flatnonzero(style == i) for i in range(style.max() + 1)
                ]  # fmt: skip
                chosen = np.stack([rng.choice(pools[i % len(pools)], size) for i in range(count)])
                real, other, distance = seen(images, instead, chosen)
                print(f"| {name} | {kind} | {size} | {real:.3f} | {other:.3f} | {distance:.2f} |")


def main() -> None:
    """Trains a try, or prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "table", "groups"))
    parser.add_argument("labels", nargs="*", metavar="LABEL")
    parser.add_argument("--options", default="{}", help="JSON, as benchmarks.demo_tries takes it")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/variety"))
    parser.add_argument("--condition", default="style")
    args = parser.parse_args()
    if args.what == "groups":
        groups(args.seed)
        return
    if not args.labels:
        raise UserError(f"variety {args.what}: name a try")
    if args.what == "train":
        try:
            options = json.loads(args.options)
        except json.JSONDecodeError as error:
            raise UserError(f"--options is no JSON: {error}") from None
        ga.fit(recipe(options, args.steps, args.seed), args.runs / args.labels[0])
        return
    names = read_config(args.runs / args.labels[0]).data["class_names"][args.condition]
    print(f"| try | step | two of equal conditions, over two real | {' | '.join(names)} | warnings |")
    print("|---" * (4 + len(names)) + "|")
    for label in args.labels:
        print(row(args.runs / label, args.condition))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
