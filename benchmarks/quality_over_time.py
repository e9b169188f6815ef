"""How a GAN's pictures get better: scores of each checkpoint of a run over the minutes of its training.

    python -m benchmarks.quality_over_time RUN [--classifiers icons_style icons_shape] [--vgg] [--truncation 1]
        [--out FILE.md]

A run keeps its checkpoints where it says so: `genart train modgan --train.save-every 30000 --train.keep 12`. Scores are
those of `genart evaluate --step`, of 2,000 pictures with conditions as in the training data. Minutes are those of the
run's log. Beside FILE.md go FILE.json, whose steps are not scored again, FILE.png, the curves (it needs matplotlib),
and FILE_samples.png, the same eight latents at each checkpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from genart_jax.data.grid import make_grid
from genart_jax.evaluate.scores import Score, accuracy_score, score_run
from genart_jax.train.checkpoint import open_checkpoints, read_config
from genart_jax.train.log import read_rows
from genart_jax.use.sample import draw_samples

RESULTS = Path(__file__).parent / "results" / "quality_over_time.md"
SHOWN, NUM, NUM_VGG, ACROSS = 8, 2000, 1000, 4
"""Pictures of a checkpoint, generated ones of its scores, and panels of the figure in a row."""
WANTED = 0.8
"""The share of pictures that show the style asked for, of which the page says when it was reached."""
FIGURES = {
    "fd_lite0": "FD lite0", "precision_lite0": "precision", "recall_lite0": "recall", "fd_vgg19_64": "FD VGG19, 64 px",
}  # fmt: skip
Row = dict[str, float]


def minutes(rows: Iterable[Mapping[str, float]], step: int) -> float:
    """Minutes of training until a step, by the log; in old runs its seconds begin anew where they were resumed."""
    before = last = 0.0
    for row in rows:
        if row.get("step", 0) > step:
            break
        if "seconds" in row:
            before += last if row["seconds"] < last else 0.0
            last = row["seconds"]
    return (before + last) / 60


def scored(model: ga.Model, classifiers: Sequence[str], vgg: bool, numbers: Mapping[str, float]) -> Row:
    """A checkpoint's figures by the table's columns."""
    found = score_run(model, "lite0", NUM, numbers=numbers)
    found += score_run(model, "vgg19:64", NUM_VGG, numbers=numbers) if vgg else []
    row = {FIGURES[s.name]: s.value for s in found if s.name in FIGURES}
    judged: list[Score] = [accuracy_score(model, name, NUM, numbers=numbers) for name in classifiers]
    return row | {column(name): s.value for name, s in zip(classifiers, judged, strict=True)}


def column(classifier: str) -> str:
    """What a classifier's column is called."""
    return f"as asked, by {Path(classifier).name}"


def reached(found: Mapping[int, Row], name: str, wanted: float = WANTED) -> str:
    """Between which minutes a share was reached first."""
    before = 0.0
    for row in found.values():
        if row[name] >= wanted:
            return f"reached between {before:.0f} and {row['minutes']:.0f} minutes"
        before = row["minutes"]
    return "not reached"


def table(run: Path, found: Mapping[int, Row], numbers: Mapping[str, float], out: Path) -> str:
    """The page."""
    names = list(next(iter(found.values())))
    digits = {"minutes": 0, "FD lite0": 1, "FD VGG19, 64 px": 0}
    cells = lambda row: " | ".join(f"{row[name]:.{digits.get(name, 3)}f}" for name in names)
    saved = read_config(run).run
    train = saved.train
    style = next((name for name in names if "style" in name), None)
    said = "".join(f", {name} {value:g}" for name, value in numbers.items())
    lines = [
        "# Pictures over the time of training",
        "",
        f"`python -m benchmarks.quality_over_time RUN`, of `{saved.name}`, {train.steps:,} steps of {train.batch}, seed"
        f" {train.seed}:",
        f"scores of its checkpoints, of {NUM:,} pictures each (VGG19: {NUM_VGG:,}){said}. Minutes are those of the",
        f"training's log. {machine.about()}.",
        "",
        f"| step | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {step:,} | {cells(row)} |" for step, row in found.items()),
        "",
        *([f"Of pictures {style}, {WANTED:.0%}: {reached(found, style)} of training.", ""] if style else []),
        f"![Scores over minutes]({out.stem}.png)",
        "",
        f"The same latents at each checkpoint, the first above:\n\n![Samples]({out.stem}_samples.png)",
    ]
    return "\n".join(lines) + "\n"


def plot(found: Mapping[int, Row], path: Path) -> None:
    """Each figure over minutes, a panel each."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    names = [name for name in next(iter(found.values())) if name != "minutes"]
    rows = -(-len(names) // ACROSS)
    figure, panels = plt.subplots(rows, ACROSS, figsize=(3 * ACROSS, 2.5 * rows), layout="constrained", squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    for name, axes in zip(names, panels.flat, strict=False):
        axes.plot([row["minutes"] for row in found.values()], [row[name] for row in found.values()], marker="o", ms=3)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("minutes")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def picture(run: Path, steps: Iterable[int], numbers: Mapping[str, float]) -> Image.Image:
    """The same latents and conditions at each step, a row each."""
    saved = read_config(run)
    draw = lambda step: draw_samples(ga.load(run, step), saved, SHOWN, 0, numbers=numbers).images
    images = np.concatenate([draw(step) for step in steps])
    return make_grid(images, SHOWN, 2)


def main(argv: Sequence[str] | None = None) -> None:
    """Scores the checkpoints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--classifiers", nargs="*", default=["icons_style", "icons_shape"], metavar="RUN")
    parser.add_argument("--vgg", action="store_true", help="a distance over VGG19 as well")
    parser.add_argument("--truncation", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    numbers = {} if args.truncation == 1 else {"truncation": args.truncation}
    rows = read_rows(args.run / "metrics.jsonl")
    with open_checkpoints(args.run, read_config(args.run)) as checkpoints:
        steps = sorted(checkpoints.steps())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    kept = args.out.with_suffix(".json")
    found: dict[int, Row] = (
        {int(step): row for step, row in json.loads(kept.read_text()).items()} if kept.exists() else {}
    )
    for step in steps:
        if step not in found:
            row = scored(ga.load(args.run, step), args.classifiers, args.vgg, numbers)
            found[step] = {"minutes": minutes(rows, step)} | row
            kept.write_text(json.dumps(found, indent=1) + "\n")
        print(step, found[step], flush=True)
    args.out.write_text(table(args.run, found, numbers, args.out))
    plot(found, args.out.with_suffix(".png"))
    picture(args.run, steps, numbers).save(args.out.with_stem(f"{args.out.stem}_samples").with_suffix(".png"))


if __name__ == "__main__":
    main()
