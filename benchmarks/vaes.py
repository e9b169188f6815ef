"""VAEs and their kin, each trained for real: a table of what they reach on icons, clothes and avatars, and a picture.

    python -m benchmarks.vaes [--only NAME ...] [--seconds N] [--runs DIR] [--out FILE.md]

A recipe is trained into RUNS/NAME, for as many CPU seconds of this call as --seconds says (0: to its end); what was cut
off is scored where it is, and goes on in a later call. The table has all recipes that RUNS holds, so that a call for
one leaves the others' rows. Beside FILE.md goes FILE.jpg: of each recipe test pictures, below them what it makes of
them, and samples. Fashion-MNIST and avatars are built first: genart data build fashion_mnist, avatars.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

import genart_jax as ga
from benchmarks import machine
from genart_jax.data import grid
from genart_jax.evaluate import evaluate_run, pictures
from genart_jax.evaluate.bounds import importance_bound
from genart_jax.evaluate.perceptual import make_perceptual
from genart_jax.evaluate.pictures import Trained, open_run
from genart_jax.evaluate.restoration import measures_in_parts
from genart_jax.evaluate.scores import score_run
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array

DRAWS, BOUNDED, NEAR, DRAWN = 20, 100, 256, 1000
"""Draws of the weighted bound, its pictures, those that are reconstructed, and samples for the distance."""
SHOWN, SIDE, GAP, LETTERS = 8, 40, 2, 12


class Recipe(NamedTuple):
    """What is trained: `options` as `ga.configure` takes them; `first` names the recipe of the first stage."""

    model: str
    steps: int
    data: str = ""
    preset: str = "default"
    options: Mapping[str, Any] = {}
    first: str = ""


_OPEN = {"likelihood": "discrete_gaussian"}


def _judged(batch: int, **options: Any) -> dict[str, Any]:
    """Options of vae_gan and vqgan: small batches, and a critic nearly from the start."""
    return {"step": {"critic_start": 200}, "train": {"batch": batch}, **options}


def _batch(batch: int, **options: Any) -> dict[str, Any]:
    return {"train": {"batch": batch}, **options}


RECIPES = {
    "icons_mlp_vae": Recipe("mlp_vae", 3000, preset="400-32", options={"step": _OPEN}),
    "icons_conv_vae": Recipe("conv_vae", 4000, preset="residual"),
    "icons_hvae": Recipe("hvae", 3000, options=_batch(8, step={"mixtures": 3})),
    "icons_swap": Recipe("conv_vae", 9000, preset="residual", options={"conditions": ("style", "shape")}),
    "icons_kl_autoencoder": Recipe("kl_autoencoder", 1500, options=_batch(16)),
    "icons_vae_gan": Recipe("vae_gan", 2000, options=_judged(16, conditions=("style", "shape", "color"))),
    "icons_latent_gan": Recipe("latent_gan", 1500, options=_batch(64), first="icons_conv_vae"),
    "icons_vqvae": Recipe("vqvae", 5000, options=_batch(32)),
    "icons_vqgan": Recipe("vqgan", 2000, options=_judged(16)),
    "icons_code_prior": Recipe("code_prior", 2500, first="icons_vqvae"),
    "clothes_mlp_vae": Recipe("mlp_vae", 3000, "fashion_mnist", options={"step": _OPEN}),
    "clothes_conv_vae": Recipe("conv_vae", 2000, "fashion_mnist", "residual", _batch(32)),
    "clothes_hvae": Recipe("hvae", 4000, "fashion_mnist", options=_batch(8, step={"mixtures": 3}, layers=(3, 2, 1))),
    "clothes_kl_autoencoder": Recipe("kl_autoencoder", 1500, "fashion_mnist", options=_batch(16)),
    "clothes_vae_gan": Recipe("vae_gan", 1000, "fashion_mnist", options=_judged(16)),
    "clothes_latent_gan": Recipe("latent_gan", 1500, "fashion_mnist", options=_batch(64), first="clothes_conv_vae"),
    "clothes_vqvae": Recipe("vqvae", 5000, "fashion_mnist", options=_batch(32)),
    "clothes_vqgan": Recipe("vqgan", 1000, "fashion_mnist", options=_judged(16)),
    "clothes_code_prior": Recipe("code_prior", 1000, "fashion_mnist", options=_batch(32), first="clothes_vqvae"),
    "avatars_mlp_vae": Recipe("mlp_vae", 1500, "avatars", "12288-400-32", {"step": _OPEN}),
    "avatars_conv_vae": Recipe("conv_vae", 3200, "avatars", "residual", {"stages": 3}),
    "avatars_hvae": Recipe("hvae", 1200, "avatars", options=_batch(8, step={"mixtures": 3})),
    "avatars_kl_autoencoder": Recipe("kl_autoencoder", 1000, "avatars", options=_batch(8)),
    "avatars_vae_gan": Recipe("vae_gan", 700, "avatars", options=_judged(8)),
    "avatars_latent_gan": Recipe("latent_gan", 1500, "avatars", options=_batch(64), first="avatars_conv_vae"),
    "avatars_vqvae": Recipe("vqvae", 5000, "avatars", options=_batch(16, stages=3)),
    "avatars_vqgan": Recipe("vqgan", 700, "avatars", options=_judged(8, widths=(32, 64, 64, 64))),
    "avatars_code_prior": Recipe("code_prior", 1000, "avatars", options=_batch(32), first="avatars_vqvae"),
}


class Budget:
    """A callback of the trainer that ends it, with a checkpoint, after so many CPU seconds (0: never)."""

    def __init__(self, seconds: float) -> None:
        self.begun, self.seconds = cpu_seconds(), seconds

    def used(self) -> float:
        """CPU seconds since it was made, of all threads."""
        return cpu_seconds() - self.begun

    def __call__(self, event: str, values: Mapping[str, Any]) -> None:
        """Takes one event; see `trainer.Callback`."""
        if event == "log":
            figures = {name: round(float(values["metrics"][name]), 3) for name in ("loss", "bits_per_dim", "kl", "mse")
                       if name in values["metrics"]}  # fmt: skip
            print(values["step"], figures, f"{self.used():.0f} s", flush=True)
        if event == "progress" and self.seconds and self.used() > self.seconds:
            self.seconds = 0.0
            signal.raise_signal(signal.SIGTERM)


def cpu_seconds() -> float:
    """Of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def configured(name: str, runs: Path) -> ga.Run:
    """A recipe's configuration, as it is trained; what is saved and drawn on the way is left out."""
    recipe = RECIPES[name]
    options = dict(recipe.options)
    train = {"steps": recipe.steps, "sample_every": 0, "save_every": 0, "log_every": 50} | options.pop("train", {})
    if recipe.first:
        options["tokenizer"] = str(runs / recipe.first)
    return ga.configure(recipe.model, preset=recipe.preset, data={"source": recipe.data}, train=train, **options)


def result(name: str, runs: Path, seconds: float) -> dict[str, Any]:
    """Trains a recipe as far as it is let, and returns its figures; those of the same step are not made again."""
    directory, run, found = runs / name, configured(name, runs), kept(runs / name)
    if found.get("steps") == run.train.steps:
        return found
    budget = Budget(seconds)
    ga.fit(run, directory, budget)
    minutes = {"minutes": found.get("minutes", 0.0) + budget.used() / 60}
    (directory / "result.json").write_text(json.dumps(minutes))  # a call that ends before the figures has cost them too
    found = minutes | figures(directory)
    (directory / "result.json").write_text(json.dumps(found, indent=1))
    return found


def kept(directory: Path) -> dict[str, Any]:
    """What is known of a recipe that was trained here before."""
    file = directory / "result.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def figures(directory: Path) -> dict[str, Any]:
    """What a run reaches, as far as its model has it."""
    trained = open_run(directory)
    algorithm, state = trained.model
    out: dict[str, Any] = {
        "steps": int(state.step),
        "batch": trained.saved.run.train.batch,
        "parameters": sum(x.size for params in state.params.values() for x in jax.tree.leaves(params)),
    }
    own = evaluate_run(directory)
    out |= {name: value for name, value in own.items() if isinstance(value, float)}
    if "weigh" in algorithm.uses:
        found = importance_bound(directory, DRAWS, BOUNDED)
        out["gain"] = found["iw_elbo"] - found["iw_elbo_of_one"]
    if "transform" in algorithm.uses:
        given, made = reconstructions(trained, NEAR)
        near = measures_in_parts(given, made, 0) | {"lpips": make_perceptual("vgg19")(given, made)}
        out |= {name: float(np.mean(near[key])) for name, key in
                (("psnr", "psnr_rgb"), ("ssim", "ssim_rgb"), ("lpips", "lpips"))}  # fmt: skip
    if algorithm.sample is not None:
        scores = {score.name: score for score in score_run(directory, "lite0", DRAWN)}
        out["fd"], out["fd_floor"] = scores["fd_lite0"].value, scores["fd_lite0"].details.get("floor", float("nan"))
    return out


def reconstructions(trained: Trained, num: int, batch: int = 64) -> tuple[Array, Array]:
    """Test pictures, always the same, and what a run makes of them: uint8."""
    algorithm, state = trained.model
    rows = pictures.choose_rows(trained.source.test, min(num, trained.source.test.size))
    compiled, made, given = compiler.jit(algorithm.use("transform").function), [], []
    told = [name for name, _ in algorithm.batch_spec.conditions]
    for start in range(0, len(rows), batch):
        some = pictures.read_rows(trained.source.test, np.resize(rows[start : start + batch], batch))
        condition = {name: np.asarray(some.condition[name], np.int32) for name in told}
        inputs = (condition,) if told else ()
        made.append(np.asarray(ga.to_uint8(compiled(state, ga.to_float(some.images), jax.random.key(start), *inputs))))
        given.append(some.images)
    return np.concatenate(given)[: len(rows)], np.concatenate(made)[: len(rows)]


def band(directory: Path, name: str) -> Image.Image:
    """Of a run, two lines below its name: test pictures over reconstructions, and samples."""
    trained = open_run(directory)
    lines: list[list[Array]] = [[], []]
    if "transform" in trained.model.algorithm.uses:
        lines = [list(one) for one in reconstructions(trained, SHOWN, SHOWN)]
    if trained.model.algorithm.sample is not None:
        samples = pictures.draw(trained, 2 * SHOWN, 0).images
        for line, half in zip(lines, (samples[:SHOWN], samples[SHOWN:]), strict=True):
            line.extend(half)
    out = Image.new("RGB", (2 * SHOWN * (SIDE + GAP), LETTERS + 4 + 2 * (SIDE + GAP)), "white")
    grid.write(out, (0, 0), name, LETTERS)
    for j, line in enumerate(lines):
        for i, one in enumerate(line):
            picture = Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one).convert("RGB")
            place = i * (SIDE + GAP), LETTERS + 4 + j * (SIDE + GAP)
            out.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), place)
    return out


COLUMNS = (
    ("CPU minutes", "minutes", 1), ("parameters", "parameters", 0), ("ELBO, nats", "elbo", 0),
    ("bits/dim", "bits_per_dim", 2), (f"gain by {DRAWS} draws, nats", "gain", 1), ("PNG", "png_bits_per_dim", 2),
    ("WebP", "webp_bits_per_dim", 2), ("PSNR, dB", "psnr", 1), ("SSIM", "ssim", 3), ("LPIPS", "lpips", 3),
    ("FD", "fd", 0), ("floor", "fd_floor", 0), ("active units", "active_units", 0),
)  # fmt: skip


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page."""
    lines = [
        "# What VAEs and their kin reach\n",
        f"`python -m benchmarks.vaes`: {machine.about()}.",
        "Each recipe is in the script; CPU minutes are those of its process while it trains, compiling with it. Bits a",
        f"dimension of 8-bit levels by the evidence lower bound, and what that gains by {DRAWS} draws, on {BOUNDED}",
        "pictures; beside them those of PNG and lossless WebP files of single pictures. PSNR, SSIM and LPIPS (over",
        f"VGG19, every channel with the weight 1) of {NEAR} test pictures and what is made of them. FD: over lite0, of",
        f"{DRAWN} samples to as many training pictures, with what as many others of these have as floor. Active units:",
        "latents whose mean's variance over test pictures is above 0.01.\n",
        f"| recipe | steps x batch | {' | '.join(head for head, _, _ in COLUMNS)} |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for name, row in found.items():
        cells = [f"{row[key]:,.{digits}f}" if key in row else "" for _, key, digits in COLUMNS]
        lines.append(f"| {name} | {row['steps']:,} x {row['batch']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(out: Path, runs: Path) -> None:
    """The table and the picture of all recipes that there are."""
    found = {name: scored for name in RECIPES if "steps" in (scored := kept(runs / name))}
    done = list(found)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(table(found))
    bands = [band(runs / name, name) for name in done]
    page = Image.new("RGB", (bands[0].width, sum(one.height for one in bands)), "white")
    for i, one in enumerate(bands):
        page.paste(one, (0, sum(before.height for before in bands[:i])))
    page.save(out.with_suffix(".jpg"), quality=85)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(RECIPES), metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--seconds", type=float, default=0.0, help="CPU seconds of each training in this call")
    parser.add_argument("--runs", type=Path, default=Path("runs/vaes"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/vaes.md"))
    args = parser.parse_args(argv)
    try:
        for name in args.only or RECIPES:
            print(f"{args.runs / name} ...", flush=True)
            print(json.dumps(result(name, args.runs, args.seconds)), flush=True)
            write(args.out, args.runs)
    except ga.UserError as error:
        print(f"vaes: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
