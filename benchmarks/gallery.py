"""Every GAN of the zoo on the embedded icons, at equal CPU time: a table of scores, and a picture of what each draws.

    python -m benchmarks.gallery [MODEL ...] [--seeds 0 1 2] [--cpu-seconds 500] [--runs runs/gallery] [--table-only]

Each model trains with its default preset, for as many steps as fit the CPU seconds (of the process and all its threads,
without compilation), and is scored as `demo_tries` scores: by 2,000 pictures over lite0 and 1,000 over VGG19 at 64
pixels, with conditions as in the training data, and by classifiers of style and shape that saw real icons alone. A run
or a score that is there is taken as it is, so a gallery may be made in parts; the table is of all that is there.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from benchmarks.demo_tries import judges, train
from genart_jax.data.grid import make_grid
from genart_jax.evaluate.scores import accuracy_score, score_run
from genart_jax.train.checkpoint import load, read_config
from genart_jax.use.sample import draw_samples

RESULTS = Path(__file__).parent / "results"
SHOWN = 14
"""Pictures of a model in the gallery."""
SEEN = ("drift", "projected_gan")
"""Models that were trained on lite0's features, which therefore do not judge them."""
COLUMNS = (
    "model", "seed", "steps x batch", "CPU min", "images/s", "FD lite0", "KD lite0", "precision", "recall",
    "FD VGG19, 64 px", "style", "shape", "warnings",
)  # fmt: skip
Row = dict[str, Any]


def models() -> list[str]:
    """All models that play against a critic, and those that drift."""
    return [*ga.list_models("gan"), *ga.list_models("drift")]


def row(model: str, seed: int, seconds: float, runs: Path, judged: dict[str, tuple[Path, str]]) -> Row:
    """A model's line with one seed, kept beside its run."""
    directory = runs / f"{model}_{seed}"
    kept = directory / "gallery.json"
    if kept.exists():
        found: Row = json.loads(kept.read_text())
        return found
    used = train({"model": model}, directory, seed, seconds, None)
    options, summary = read_config(directory).run.train, json.loads((directory / "summary.json").read_text())
    scores = {s.name: s.value for s in score_run(directory, "lite0", 2000)}
    scores |= {s.name: s.value for s in score_run(directory, "vgg19:64", 1000)}
    made: Row = {
        "model": model,
        "seed": seed,
        "steps x batch": f"{options.steps} x {options.batch}",
        "CPU min": None if math.isnan(used) else used / 60,
        "images/s": None if math.isnan(used) else options.steps * options.batch / used,
        "FD lite0": scores["fd_lite0"],
        "KD lite0": scores["kd_lite0"],
        "precision": scores["precision_lite0"],
        "recall": scores["recall_lite0"],
        "FD VGG19, 64 px": scores["fd_vgg19_64"],
        **{label: accuracy_score(directory, judge, 2000).value for label, (judge, _) in judged.items()},
        "warnings": len(summary.get("warnings", ())),
    }
    kept.write_text(json.dumps(made, indent=1) + "\n")
    return made


def cell(name: str, found: Row) -> str:
    """A figure as the table has it."""
    value = found.get(name)
    if value is None:
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


def table(rows: list[Row], judged: dict[str, tuple[Path, str]]) -> str:
    """The page, best distance over VGG19 first."""
    grouped: dict[str, list[Row]] = {}
    for one in sorted(rows, key=lambda r: (r["model"], r["seed"])):
        grouped.setdefault(one["model"], []).append(one)
    lines = [
        "# The GANs of the zoo on the embedded icons",
        "",
        f"By `python -m benchmarks.gallery`. Judges: {'; '.join(text for _, text in judged.values())}.",
        f"{machine.about()}.",
        "",
        "Default presets, 32x32 icons, conditions of style, shape and colour, equal CPU time of training. Distances",
        "and shares of 2,000 pictures against as many training icons, those over VGG19 of 1,000; in brackets where a",
        "model was trained on lite0's features, which then do not judge it.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for found in sorted(grouped.values(), key=lambda rows: mean(rows)["FD VGG19, 64 px"]):
        lines += [f"| {' | '.join(cell(name, r) for name in COLUMNS)} |" for r in found]
        if len(found) > 1:
            lines.append(f"| {' | '.join(cell(name, mean(found)) for name in COLUMNS)} |")
    return "\n".join([*lines, "", "![what each draws](gallery.png)", ""])


def picture(runs: Path, names: list[str]) -> Image.Image:
    """Unselected pictures of each model's first seed, a row a model, with its name below."""
    strips = []
    for name in names:
        directory = runs / f"{name}_0"
        samples = draw_samples(load(directory), read_config(directory), SHOWN, 0)
        strips.append(make_grid(samples.images, SHOWN, 2, name))
    size = max(s.width for s in strips), sum(s.height for s in strips)
    page = Image.new("RGB", size, "white")
    for strip, top in zip(strips, np.cumsum([0, *(s.height for s in strips[:-1])]), strict=True):
        page.paste(strip, (0, int(top)))
    return page


def main() -> None:
    """Trains and scores what is asked for, then writes the page of all that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cpu-seconds", type=float, default=500.0)
    parser.add_argument("--runs", type=Path, default=Path("runs/gallery"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    args = parser.parse_args()
    judged = judges(args.runs)
    for seed in args.seeds if not args.table_only else ():
        for model in args.models or models():
            print(row(model, seed, args.cpu_seconds, args.runs, judged), flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(args.runs.glob("*/gallery.json"))]
    (args.out / "gallery.md").write_text(table(rows, judged))
    drawn = [r["model"] for r in sorted(rows, key=lambda r: float(r["FD VGG19, 64 px"])) if r["seed"] == 0]
    picture(args.runs, drawn).save(args.out / "gallery.png", optimize=True)


if __name__ == "__main__":
    main()
