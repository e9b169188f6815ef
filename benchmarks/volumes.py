"""Trains models of volumes on parametric furniture and writes what they reach, with pictures.

    python -m benchmarks.volumes [--out FILE.md] [--runs DIR] [--seeds N ...] [--data SOURCE] [--gan PRESET[:STEPS] ...]
        [--no-vae]

The judge is `simple_cnn` on volumes, trained on real ones alone; it has to be right on 95 % of held-out real ones. Of
`gan3d`, each preset named: class accuracy of 1,000 samples, and over the judge's features the Frechet distance,
precision and recall, and their IoU with the nearest training volume beside that of held-out ones. Of `conv_vae`, the
IoU of reconstructions of test volumes, and of their missing half (the back half of the depth), completed. Beside
FILE.md go FILE_GAN.png, samples of each class in a row, and FILE_vae.png: volumes, their halves, what became of these;
FILE.json keeps the figures of each seed, so that seeds can be measured one at a time. Runs that are there already are
not trained again. A preset with a number of steps is trained for so many, to choose between presets. Meant for at most
30 minutes a seed and model on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from benchmarks import machine
from benchmarks.quality import images_per_second, minutes
from genart_jax.config import UserError
from genart_jax.data import media
from genart_jax.data.grid import save_grid
from genart_jax.evaluate import accuracy_score, evaluate_run
from genart_jax.evaluate.scores import score_run
from genart_jax.metrics.overlap import iou
from genart_jax.runtime.values import Array
from genart_jax.use.complete import complete
from genart_jax.use.sample import draw_samples

Figures = dict[str, dict[str, float]]  # by the names of rows and of figures
LABEL = "kind"
_LEAST = 0.95  # of a judge on held-out real volumes
_SCORES = ("fd", "precision", "recall")
_COPIES = "IoU with the nearest training volume"
_JUDGE = {"features": (8, 16, 32), "hidden": 64}
_ROUNDS = 20  # of a completion
HEAD = (
    "Volumes: parametric furniture, 32 voxels a side",
    "The judge was trained on real volumes alone; distances over its features compare models on this data and are no"
    " FID. Samples that were copies would have a larger IoU with training volumes than held-out ones have. The VAE is"
    " told the true class and turn.",
)


def train(name: str, directory: Path, seed: int, source: str, preset: str = "default", **options: Any) -> Path:
    """Trains a preset, or takes the run that is there."""
    print(f"{directory} ...", flush=True)
    sections = {"data": {"source": source}, "train": {"seed": seed} | options.pop("train", {})}
    return ga.fit(ga.configure(name, preset=preset, **sections, **options), directory)


def judge(runs: Path, seed: int, source: str, **options: Any) -> tuple[Path, dict[str, float]]:
    """The classifier's run, and how often it is right on real volumes that it has not seen."""
    steps = {"steps": 500, "batch": 32} | options.pop("train", {})
    shape: dict[str, Any] = _JUDGE | options
    directory = train("simple_cnn", runs / f"judge_{seed}", seed, source, label=LABEL, train=steps, **shape)
    accuracy = evaluate_run(directory)["accuracy"]
    if accuracy < _LEAST:
        print(f"the judge is right on {accuracy:.1%} of real volumes alone: it is none", file=sys.stderr)
    return directory, {"accuracy on held-out real volumes": accuracy}


def of_gan(directory: Path, by: Path, num: int, seed: int) -> dict[str, float]:
    """What a GAN reaches."""
    scores = score_run(directory, f"classifier:{by}", num, seed)
    own = {score.name.partition("_")[0]: score for score in reversed(scores)}
    rows = {f"class accuracy of {num} samples": accuracy_score(directory, by, num, seed).value}
    rows |= {f"{name}, over the judge's features": own[name].value for name in _SCORES if name in own}
    model = ga.load(directory)
    assert model.saved is not None
    data = ga.open_data(model.saved.run.data.source)
    known = data.train.arrays["image"]
    made = draw_samples(model, model.saved, num, seed).images
    rows[_COPIES] = nearest(made, known)
    rows[f"{_COPIES}: held-out real ones"] = nearest(data.test.arrays["image"][:num], known)
    return rows | {"volumes/s": images_per_second(directory), "minutes of training": minutes(directory)}


def nearest(volumes: Array, known: Array) -> float:
    """The mean over volumes of their IoU with the most alike of the known ones: uint8 (n, ...) and (m, ...)."""
    a, b = (np.reshape(x > 127, (len(x), -1)).astype(np.float32) for x in (volumes, known))
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return float(np.mean((both / np.maximum(either, 1.0)).max(axis=1)))


def halves(volumes: Array) -> Array:
    """Where volumes are known: the front half of their depth; (1, size, 1, 1, 1)."""
    known = np.zeros((1, volumes.shape[1], 1, 1, 1), np.float32)
    known[:, : volumes.shape[1] // 2] = 1.0
    return known


def completed(directory: Path, num: int, seed: int) -> tuple[dict[str, Array], float]:
    """Test volumes, their halves and completions as uint8; and the mean IoU of the missing halves."""
    model = ga.load(directory)
    assert model.saved is not None
    data = ga.open_data(model.saved.run.data.source)
    raw = {name: values[:num] for name, values in data.test.arrays.items()}
    told = {name: np.asarray(raw[name], np.int32) for name, _ in model.algorithm.batch_spec.conditions}
    whole, known = np.asarray(ga.to_float(raw["image"])), halves(raw["image"])
    fill = jax.jit(
        lambda state, x: complete(
            model.algorithm, state, x, jnp.asarray(known), jax.random.key(seed), told, rounds=_ROUNDS
        )
    )
    made = np.asarray(fill(model.state, whole))
    missing = slice(whole.shape[1] // 2, None)
    overlap = float(np.mean(iou(jnp.asarray(made[:, missing]), jnp.asarray(whole[:, missing]))))
    shown = {"whole": whole, "half": np.where(known > 0, whole, -1.0).astype(np.float32), "completed": made}
    return {name: media.to_pixels(x) for name, x in shown.items()}, overlap


def of_vae(directory: Path, num: int, seed: int) -> dict[str, float]:
    """What a VAE reaches."""
    found = evaluate_run(directory)
    rows = {"IoU of reconstructions": found["iou"], "bits a voxel": found["bits_per_dim"]}
    rows["IoU of missing halves, completed"] = completed(directory, num, seed)[1]
    return rows | {"volumes/s": images_per_second(directory), "minutes of training": minutes(directory)}


def of_classes(directory: Path, each: int, seed: int) -> Array:
    """Samples of each class, class by class: uint8."""
    model = ga.load(directory)
    assert model.saved is not None
    classes = dict(model.algorithm.batch_spec.conditions)[LABEL]
    return np.concatenate(
        [draw_samples(model, model.saved, each, seed, {LABEL: number}).images for number in range(classes)]
    )


def table(results: dict[int, Figures], command: str, head: tuple[str, str] = HEAD) -> str:
    """The figures of all seeds as a Markdown table; `head`: its title, and what is to be known of the figures."""
    title, about = head
    words = f"`{command}`: seeds {', '.join(map(str, results))}. {about} {machine.about()}."
    lines = [
        f"# {title}",
        "",
        *textwrap.wrap(words, 120, break_long_words=False, break_on_hyphens=False),
        "",
        "| model | figure | mean | standard deviation |",
        "|---|---|---|---|",
    ]
    names = {(row, what): None for rows in results.values() for row, figures in rows.items() for what in figures}
    for row, what in names:
        values = [rows[row][what] for rows in results.values() if what in rows.get(row, {})]
        spread = f"{statistics.stdev(values):.4g}" if len(values) > 1 else "one seed"
        lines.append(f"| {row} | {what} | {statistics.mean(values):.4g} | {spread} |")
        if row.startswith("judge") and min(values) < _LEAST:
            lines[-1] += f"\n| {row} | **that is below {_LEAST:.0%}: it is no judge** | | |"
    return "\n".join(lines) + "\n"


def measure(
    runs: Path, seed: int, source: str, gans: Sequence[str], vae: bool = True, num: int = 1000, **options: Any
) -> Figures:
    """All figures of a seed, by the names of rows. `options`: of the trainings but the judge's."""
    by, rows = judge(runs, seed, source)
    found = {"judge": rows}
    for preset in gans:
        name, _, steps = preset.partition(":")
        told = options.get("train", {}) | ({"steps": int(steps)} if steps else {})
        directory = train("gan3d", runs / f"gan3d_{preset}_{seed}", seed, source, name, **options | {"train": told})
        found[f"gan3d {preset}"] = of_gan(directory, by, num, seed)
    if vae:
        directory = train("conv_vae", runs / f"vae_{seed}", seed, source, "volumes", **options)
        found["conv_vae volumes"] = of_vae(directory, min(num, 100), seed)
    return found


def gather(out: Path, found: dict[int, Figures]) -> dict[int, Figures]:
    """The figures of seeds added to those that FILE.json beside the table has already: by seed and row."""
    path = out.with_suffix(".json")
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for seed, rows in found.items():
        known.setdefault(str(seed), {}).update(rows)
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return {int(seed): known[seed] for seed in sorted(known, key=int)}


def pictures(out: Path, runs: Path, gans: Sequence[str], seed: int, vae: bool = True) -> None:
    """Of a seed, beside the table."""
    for preset in gans:
        images = of_classes(runs / f"gan3d_{preset}_{seed}", 8, 0)
        save_grid(out.with_name(f"{out.stem}_{preset}.png".replace(":", "_")), images, columns=8)
    if not vae:
        return
    columns, _ = completed(runs / f"vae_{seed}", 6, 0)
    media.save(out.with_name(f"{out.stem}_vae.png"), columns, lambda one: media.sheet(one, per_row=2))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/volumes.md"))
    parser.add_argument("--runs", type=Path, default=Path("runs/volumes"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--data", default="shapes3d")
    parser.add_argument("--gan", nargs="+", default=["default"], metavar="PRESET[:STEPS]")
    parser.add_argument("--no-vae", action="store_true", help="leave conv_vae out")
    args = parser.parse_args(argv)
    try:
        found = {seed: measure(args.runs, seed, args.data, args.gan, not args.no_vae) for seed in args.seeds}
    except UserError as error:
        print(f"volumes: {error}", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m benchmarks.volumes", *(sys.argv[1:] if argv is None else argv)])
    args.out.write_text(table(gather(args.out, found), command), encoding="utf-8")
    pictures(args.out, args.runs, args.gan, args.seeds[0], not args.no_vae)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
