"""Flat icons made into icons in relief: runs of pix2pix and cyclegan on the test names of `pairs-emoji`.

    python -m benchmarks.translation RUN ... [--out benchmarks/results/translation.md] [--picture FILE.png]

Each flat icon of the test split, whose name no run was trained on, goes through a run's `transform`; what comes out is
held against the same icon in relief: LPIPS over VGG19 with equal weights of all channels, SSIM and PSNR on RGB. Beside
that stand a picture of one colour (the mean of the training set's reliefs; the mean of the flat icon itself), the
relief of the nearest flat icon of the training set (squared distance of pixels), and the flat icon as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import machine
from genart_jax.config.saved import read_config
from genart_jax.data.built import open_stored
from genart_jax.evaluate.perceptual import make_perceptual
from genart_jax.evaluate.restoration import measures_in_parts
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.values import Array
from genart_jax.train.checkpoint import Model, load
from genart_jax.types import to_float, to_uint8

BATCH = 16
Fields = Mapping[str, Array]
"""`image` and `target` of a split, uint8 (n, height, width, 3) each, and `name`."""


def nearest(images: Array, known: Array) -> Array:
    """The index of the nearest of the known pictures, by squared distance of pixels, for each: (n,)."""
    flat = [x.reshape(len(x), -1).astype(np.float64) for x in (images, known)]
    squares = [np.square(x).sum(1) for x in flat]
    return np.argmin(squares[0][:, None] + squares[1] - 2 * flat[0] @ flat[1].T, axis=1)


def baselines(train: Fields, test: Fields) -> dict[str, Array]:
    """What is done without learning, by name."""
    given, plain = test["image"], lambda colors: np.broadcast_to(np.rint(colors).astype(np.uint8), given.shape)
    return {
        "one colour, of the training set": plain(train["target"].mean((0, 1, 2))),
        "one colour, of the flat icon": plain(given.mean((1, 2), keepdims=True)),
        "nearest flat icon's relief": train["target"][nearest(given, train["image"])],
        "the flat icon itself": given,
    }


def translated(model: Model, images: Array) -> Array:
    """Pictures through a model, uint8 to uint8, some at a time."""
    transform = jax.jit(model.algorithm.use("transform").function)
    parts = []
    for start in range(0, len(images), BATCH):
        part = np.resize(images[start : start + BATCH], (BATCH, *images.shape[1:]))
        made = to_uint8(transform(model.state, to_float(part), jax.random.key(start)))
        parts.append(made[: len(images) - start])
    return np.concatenate(parts)


def row(name: str, values: Mapping[str, Array]) -> str:
    """A line of the table: means and their standard errors."""
    cells = [f"{x.mean():.{digits}f} ± {x.std(ddof=1) / len(x) ** 0.5:.{digits}f}" for digits, x in
             ((4, values["lpips"]), (4, values["ssim_rgb"]), (2, values["psnr_rgb"]))]  # fmt: skip
    return f"| {name} | {' | '.join(cells)} |"


def page(kinds: Mapping[str, Array], chosen: list[int], scale: int = 2, gap: int = 6) -> Image.Image:
    """A row of each kind, of these of its pictures."""
    side = next(iter(kinds.values())).shape[1] * scale
    out = Image.new("RGB", (len(chosen) * (side + gap) - gap, len(kinds) * (side + gap) - gap), "white")
    for j, pictures in enumerate(kinds.values()):
        for i, at in enumerate(chosen):
            one = Image.fromarray(pictures[at]).resize((side, side), Image.Resampling.LANCZOS)
            out.paste(one, (i * (side + gap), j * (side + gap)))
    return out


def main() -> None:
    """Scores the runs and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--picture", type=Path, help="a page: in, what each run makes, wanted")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/translation.md"))
    args = parser.parse_args()
    keep_programs()
    splits = open_stored("pairs-emoji").splits
    train, test = splits["train"], splits["test"]
    ways, about, given = baselines(train, test), [], test["image"]
    for run in args.runs:
        saved, model = read_config(run), load(run)
        ways[saved.run.name] = translated(model, given)
        parameters = sum(x.size for params in model.state.params.values() for x in jax.tree.leaves(params))
        step, train_of = int(model.state.step), saved.run.train
        about.append(
            f"{saved.run.name}: {parameters:,} parameters with its critics, {step:,} steps of {train_of.batch}."
        )
    distance = make_perceptual("vgg19")
    lines = []
    for name, made in ways.items():
        found = {**measures_in_parts(test["target"], made, 0), "lpips": distance(test["target"], made)}
        lines.append(row(name, found))
        print(lines[-1], flush=True)
    head = [
        "# Flat icons made into icons in relief",
        "",
        f"`python -m benchmarks.translation RUN ...` on the {len(given)} test names of `pairs-emoji`, of 64",
        f"pixels, none of which a run was trained on. {machine.about()}.",
        f"{' '.join(about)} `cyclegan` was shown no pairs.",
        "Means over pictures and their standard errors. LPIPS: over VGG19, every channel with the weight 1.",
        "",
        "| | LPIPS (lower is better) | SSIM | PSNR, dB |",
        "|---|---|---|---|",
    ]
    args.out.write_text("\n".join([*head, *lines, ""]))
    if args.picture:
        names = [read_config(run).run.name for run in args.runs]
        kinds = {"in": given, **{name: ways[name] for name in names}, "wanted": test["target"]}
        chosen = np.random.default_rng(0).permutation(len(given))[:8]
        page(kinds, sorted(chosen.tolist())).save(args.picture, quality=90)


if __name__ == "__main__":
    main()
