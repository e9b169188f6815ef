"""Every GAN of the zoo on the embedded icons, each by its default preset: a table of scores, and what each draws.

    python -m benchmarks.gallery [MODEL ...] [--seeds 0 1 2] [--runs runs/gallery]

A run is `genart train MODEL --seed SEED`. It is scored by 2,000 pictures over lite0 and 1,000 over VGG19 at 64 pixels,
with conditions as in the training data, and by the classifiers of style and shape that come with the package. CPU
minutes are those of the process and all its threads in training steps, without compilation. What was found is kept in
gallery.json, and of each model's first seed pictures in the folder gallery, so that a gallery can be made in parts, on
several machines; a model that is there with a seed is not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import genart_jax as ga
from benchmarks import machine
from benchmarks.demo_tries import train
from genart_jax.api import build
from genart_jax.data.grid import make_grid
from genart_jax.evaluate.scores import accuracy_score, score_run
from genart_jax.train.checkpoint import load, read_config
from genart_jax.use.sample import draw_samples

RESULTS = Path(__file__).parent / "results" / "gallery.md"
SHOWN = 14
"""Pictures of a model."""
ELSEWHERE = ("gan3d", "video_gan")
"""Models of volumes and of videos, which have pages of their own."""
SEEN = ("drift", "projected_gan")
"""Models that were trained on lite0's features, which therefore do not judge them."""
JUDGES = {"style": "icons_style", "shape": "icons_shape"}
COLUMNS = (
    "model", "seed", "steps x batch", "CPU min", "images/s", "FD lite0", "KD lite0", "precision", "recall",
    "FD VGG19, 64 px", "style", "shape", "warnings",
)  # fmt: skip
Row = dict[str, Any]
Found = dict[str, dict[str, Row]]
"""By model and seed."""


def models() -> list[str]:
    """All models that play against a critic, and those that drift, of pictures."""
    return [name for name in (*ga.list_models("gan"), *ga.list_models("drift")) if name not in ELSEWHERE]


def row(model: str, seed: int, directory: Path) -> Row:
    """A model's line with one seed."""
    used = train({"model": model}, directory, seed, 0.0, ga.get_config(model, "default").train.steps)
    timed = not math.isnan(used)  # it is of a run that was there already
    options, summary = read_config(directory).run.train, json.loads((directory / "summary.json").read_text())
    images = options.steps * options.batch * build(read_config(directory).run).batches_per_step
    scores = {s.name: s.value for s in score_run(directory, "lite0", 2000)}
    scores |= {s.name: s.value for s in score_run(directory, "vgg19:64", 1000)}
    return {
        "model": model,
        "seed": seed,
        "steps x batch": f"{options.steps:,} x {options.batch}",
        "CPU min": used / 60 if timed else None,
        "images/s": images / used if timed else None,
        "FD lite0": scores["fd_lite0"],
        "KD lite0": scores["kd_lite0"],
        "precision": scores["precision_lite0"],
        "recall": scores["recall_lite0"],
        "FD VGG19, 64 px": scores["fd_vgg19_64"],
        **{label: accuracy_score(directory, judge, 2000).value for label, judge in JUDGES.items()},
        "warnings": ", ".join(summary.get("warnings", ())) or "none",
        "machine": machine.about(),
    }


def cell(name: str, found: Row) -> str:
    """A figure as the table has it."""
    value = found.get(name)
    if value is None or value != value:
        return "-"
    if name in ("FD lite0", "KD lite0", "precision", "recall") and found["model"] in SEEN:
        return f"({value:.3g})"
    digits = {"CPU min": 1, "images/s": 0, "FD lite0": 1, "KD lite0": 2, "FD VGG19, 64 px": 0}
    return f"{value:.{digits.get(name, 3)}f}" if isinstance(value, float) else str(value)


def mean(rows: list[Row]) -> Row:
    """The mean of a model's seeds."""
    out: Row = {"model": rows[0]["model"], "seed": f"mean of {len(rows)}"}
    for name in COLUMNS[3:]:
        if all(isinstance(r.get(name), int | float) for r in rows):
            out[name] = float(statistics.mean(r[name] for r in rows))
    return out


def table(found: Found) -> str:
    """The page, best distance over VGG19 first."""
    grouped = sorted(([*seeds.values()] for seeds in found.values()), key=lambda rows: mean(rows)["FD VGG19, 64 px"])
    lines = [
        "# The GANs of the zoo on the embedded icons",
        "",
        "By `python -m benchmarks.gallery`: `genart train MODEL --seed SEED`, the default presets, 32x32 icons with",
        "their style, shape and colour. Distances and shares of 2,000 pictures against as many training icons, those",
        "over VGG19 of 1,000; in brackets where a model was trained on lite0's features, which then do not judge it.",
        "`style` and `shape`: the share of pictures in which `icons_style` and `icons_shape`, which come with the",
        "package, see what was asked for. Warnings are those of training. CPU minutes compare only within one machine,",
        "and are too many where other programs ran. Images a second are real ones over those, all of a step's batches.",
        "A dash: not measured, as the run was there already.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for rows in grouped:
        lines += [f"| {' | '.join(cell(name, r) for name in COLUMNS)} |" for r in rows]
        if len(rows) > 1:
            lines.append(f"| {' | '.join(cell(name, mean(rows)) for name in COLUMNS)} |")
    names = [rows[0]["model"] for rows in grouped]
    where: dict[str, list[str]] = {}
    for one in (r for rows in grouped for r in rows):
        where.setdefault(one["machine"], []).append(f"{one['model']} {one['seed']}")
    lines += ["", *(f"- {', '.join(them)}: {said}" for said, them in where.items())]
    lines += ["", "Unselected pictures of each model's first seed, best first:"]
    return "\n".join([*lines, *(f"\n`{name}`\n\n![{name}](gallery/{name}.png)" for name in names), ""])


def known(path: Path) -> Found:
    """The rows that are kept."""
    found: Found = json.loads(path.read_text()) if path.exists() else {}
    return found


def main() -> None:
    """Trains and scores what is asked for, and writes the page after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/gallery"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    kept, pictures = args.out.with_suffix(".json"), args.out.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    for seed, model in ((seed, model) for seed in args.seeds for model in args.models or models()):
        if str(seed) in known(kept).get(model, {}):
            continue
        directory = args.runs / f"{model}_{seed}"
        made = row(model, seed, directory)
        found = known(kept)  # again: another process may have written meanwhile
        found.setdefault(model, {})[str(seed)] = made
        kept.write_text(json.dumps(found, indent=1) + "\n")
        args.out.write_text(table(found))
        if seed == args.seeds[0]:
            samples = draw_samples(load(directory), read_config(directory), SHOWN, 0)
            make_grid(samples.images, SHOWN, 2).save(pictures / f"{model}.png", optimize=True)
        print(made, flush=True)


if __name__ == "__main__":
    main()
