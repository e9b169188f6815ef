"""How a prior over codes draws best: its pictures' scores by guidance and temperature, none of which is trained anew.

    python -m benchmarks.guidance RUN ... [--guidance 1 1.5 2 3] [--temperature 1] [--num 1000] [--out FILE.md]

RUN is of code_prior, trained with step.unconditional on icons. Conditions are drawn as in the training data; distances
are over lite0, to as many training pictures; the classifiers of style and shape are those that come with the package.
Beside FILE.md goes FILE.png: a line of samples of each guidance at the first temperature, of the last RUN, with the
same seed and conditions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from genart_jax.data import grid
from genart_jax.evaluate import pictures
from genart_jax.evaluate.extractors import Extractor, fitted, make_extractor
from genart_jax.evaluate.measures import measure
from genart_jax.evaluate.pictures import Trained, open_run
from genart_jax.use.sample import chosen_numbers

RESULTS = Path(__file__).parent / "results" / "guidance.md"
JUDGES = {"style": "icons_style", "shape": "icons_shape"}
FIGURES = "fd_lite0", "precision_lite0", "recall_lite0"
SHOWN, SIDE, LETTERS = 16, 64, 14


def drawing(trained: Trained, guidance: float, temperature: float) -> Trained:
    """The same model, which draws otherwise."""
    numbers = {"guidance": guidance, "temperature": temperature}
    return trained._replace(numbers=chosen_numbers(trained.model, trained.saved, numbers))


def figures(trained: Trained, num: int, networks: Mapping[str, Extractor]) -> dict[str, float]:
    """What the table says of one way to draw."""
    lite0 = networks["lite0"]
    fake = pictures.draw_features(trained, lite0, num, 0)
    (real,) = pictures.real_sets(lite0, trained.source, "train", num, 1)
    found = measure(lite0.name, real, fake, None, trained.saved.data["class_names"])
    out = {name: found[name].value for name in FIGURES}
    for label in JUDGES:
        seen = pictures.draw_features(trained, networks[label], num, 0)
        assert seen.logits is not None  # a classifier's
        out[label] = float(np.mean(seen.logits.argmax(1) == seen.condition[label]))
    return out


def page(rows: Mapping[tuple[str, float, float], Mapping[str, float]], num: int) -> str:
    """The table."""
    lines = [
        "# Priors over codes, by how they draw\n",
        f"`python -m benchmarks.guidance`: {num} samples of each, seed 0, conditions as in the training data; FD, "
        f"precision and recall over lite0, against as many training pictures; style and shape: the share in which "
        f"{' and '.join(JUDGES.values())} see what was asked for. {machine.about()}.\n",
        "| run | guidance | temperature | FD lite0 | precision | recall | style, % | shape, % |",
        "|---" * 8 + "|",
    ]
    for (run, guidance, temperature), one in rows.items():
        distance, precision, recall = (one[name] for name in FIGURES)
        lines.append(
            f"| {run} | {guidance:g} | {temperature:g} | {distance:.1f} | {precision:.3f} | {recall:.3f} | "
            f"{100 * one['style']:.1f} | {100 * one['shape']:.1f} |"
        )
    return "\n".join([*lines, "\n![Samples, a line of each guidance](guidance.png)\n"])


def sheet(trained: Trained, guidances: Sequence[float], temperature: float) -> Image.Image:
    """A line of samples of each guidance."""
    out = Image.new("RGB", (SHOWN * SIDE, len(guidances) * (SIDE + LETTERS + 4)), "white")
    for row, guidance in enumerate(guidances):
        top = row * (SIDE + LETTERS + 4)
        grid.write(out, (0, top), f"guidance {guidance:g}", LETTERS)
        for i, one in enumerate(pictures.draw(drawing(trained, guidance, temperature), SHOWN, 0).images):
            picture = Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            out.paste(picture, (i * SIDE, top + LETTERS + 4))
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--guidance", nargs="+", type=float, default=[1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--temperature", nargs="+", type=float, default=[1.0])
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    rows: dict[tuple[str, float, float], dict[str, float]] = {}
    try:
        for path in args.runs:
            trained = open_run(path)
            shape = trained.model.algorithm.batch_spec.image_shape
            named = {"lite0": "lite0"} | {label: f"classifier:{judge}" for label, judge in JUDGES.items()}
            networks = {label: fitted(make_extractor(name), shape) for label, name in named.items()}
            for guidance in args.guidance:
                for temperature in args.temperature:
                    one = figures(drawing(trained, guidance, temperature), args.num, networks)
                    rows[path.name, guidance, temperature] = one
                    print(path.name, guidance, temperature, one, flush=True)
                    args.out.write_text(page(rows, args.num), encoding="utf-8")
        sheet(trained, args.guidance, args.temperature[0]).save(args.out.with_suffix(".png"))
    except ga.UserError as error:
        print(f"guidance: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
