"""Restoration of icons three ways: a network trained for it, and a GAN and a VAE that know what icons look like.

    python -m benchmarks.priors [RUN ...] [--pictures N] [--steps N] [--out benchmarks/results/priors]

Test icons of the embedded set (32 pixels), degraded as `benchmarks.restoration` degrades scenes: half and a quarter of
the size, and holes. The models `icons` and `icons_vae` of the package are inverted (`ga.latent.project` with the known
degradation); where there are holes, what is known of the picture is kept. RUN: runs of super_resolution and inpaint on
the same set, each beside the priors at what it was trained to undo:

    genart train super_resolution --data emoji --step.crop 0 --train.steps 1500 --run runs/icons_x2
    genart train super_resolution --preset x4 --data emoji --step.crop 0 --train.steps 1500 --run runs/icons_x4
    genart train inpaint --data emoji --step.crop 0 --train.steps 1200 --run runs/icons_holes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from benchmarks.restoration import Row, baselines, degraded, figures, table
from genart_jax.config.saved import read_config
from genart_jax.data.degrade import named
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.values import Array
from genart_jax.use import latent
from genart_jax.use.anysize import Tiled

TASKS = ("downsample", 2), ("downsample", 4), ("holes", 1)
MOST = 60.0  # decibels of a picture: a hole in what is white is often filled without an error
PRIORS = {"GAN prior, icons": "icons", "VAE prior, icons_vae": "icons_vae"}


def inverted(space: latent.Space, given: Array, mask: Array | None, scale: int, steps: int) -> Array:
    """The prior's picture that is nearest to what is given of one; what is known of it stays."""
    options = latent.Options(steps=steps, perceptual="none", prior=0.01)
    if mask is None:
        key = jax.random.split(jax.random.key(0), 1)
        shrink = named("downsample", scale)
        through = lambda x: shrink(jnp.clip(x, -1.0, 1.0), jnp.broadcast_to(key, (len(x),))).image
        return latent.project(space, given, options=options, through=through).images[0]
    known = jnp.asarray(~mask, jnp.float32)[..., None]
    seen = np.where(mask[..., None], np.uint8(128), given)
    grey = float(ga.to_float(np.full((1, 1), 128, np.uint8))[0, 0])
    through = lambda x: known * x + (1 - known) * grey
    found = latent.project(space, seen, options=options, through=through).images[0]
    return np.where(mask[..., None], found, given)


def _enlarged(given: Array, scale: int) -> Array:
    size = given.shape[1] * scale, given.shape[0] * scale
    return given if scale == 1 else np.asarray(Image.fromarray(given).resize(size, Image.Resampling.BICUBIC))


def compare(
    kind: str, scale: int, run: Path | None, pictures: dict[str, Array], steps: int
) -> tuple[dict[str, Row], dict[str, list[Array]]]:
    """The row of each way, and the pictures of each example by its name: degraded, by each way, as it was."""
    spaces = {name: latent.Space(ga.load(model)) for name, model in PRIORS.items()}
    trained = None if run is None else Tiled(ga.load(run))
    names = ["bicubic" if scale > 1 else "degraded", *baselines(kind), *spaces]
    rows = {name: Row([], []) for name in [*names, *(["trained for it"] if trained else [])]}
    shown: dict[str, list[Array]] = {}
    for name, picture in pictures.items():
        given, mask = degraded(kind, scale, picture, name)
        if mask is not None and not mask.any():  # no stroke came across so small a picture
            continue
        made = [_enlarged(given, scale), *(restore(given, mask) for restore in baselines(kind).values())]
        made += [inverted(space, given, mask, scale, steps) for space in spaces.values()]
        if trained is not None:
            made.append(trained(given, mask if trained.takes_mask else None))
        for row, image in zip(rows.values(), made, strict=True):
            psnr, ssim = figures(kind, scale, picture, image, mask)
            row.psnr.append(min(psnr, MOST))
            row.ssim.append(ssim)
        shown[name] = [*made, picture]
        print(kind, scale, name, *(f"{way} {row.psnr[-1]:.2f}" for way, row in rows.items()), flush=True)
    return rows, shown


def page(shown: list[list[Array]], enlarge: int = 2) -> Image.Image:
    """A column an example, a row a way."""
    cells = np.stack([np.concatenate(column, axis=0) for column in shown], axis=1)
    flat = cells.reshape(cells.shape[0], -1, 3)
    image = Image.fromarray(flat)
    return image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST)


def main() -> None:
    """Scores all and writes the table and the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/priors"))
    args = parser.parse_args()
    keep_programs()
    images = ga.open_data("emoji").test.arrays["image"]
    chosen = range(0, len(images), len(images) // args.pictures)
    pictures = {f"{i}": images[i] for i in list(chosen)[: args.pictures]}
    runs = {}
    for run in args.runs:
        saved = read_config(run).run
        runs[saved.step.degradation, getattr(saved.model, "scale", 1)] = run
    lines = [
        "# Restoration of icons: trained for it, or by what a GAN or a VAE knows",
        "",
        f"`python -m benchmarks.priors RUN ... --pictures {args.pictures} --steps {args.steps}`:",
        f"{len(pictures)} test icons of 32 pixels. {machine.about()}.",
        "PSNR and SSIM: super-resolution on luma, with a border of the scale cut off; holes: PSNR inside of them, SSIM",
        f"of all of the picture; at most {MOST:.0f} dB a picture. Rows of a page, from above: as in its table, then",
        "the icon itself.",
        "",
    ]
    for kind, scale in TASKS:
        rows, shown = compare(kind, scale, runs.get((kind, scale)), pictures, args.steps)
        title = f"x{scale}" if scale > 1 else kind
        file = args.out.with_name(f"{args.out.name}_{title}.png")
        page([*shown.values()]).save(file)
        lines += [*table(title, rows, [*shown])[:-1], "", f"![{title}]({file.name})", ""]
        args.out.with_suffix(".md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
