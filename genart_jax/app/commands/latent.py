"""`genart latent RUN interpolate|traverse|project|directions|mix`: what lies between and beside a model's samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from genart_jax.app.arguments import named, near, parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs

USAGE = "latent RUN interpolate|traverse|project|..."
SUMMARY = "ways through what pictures are made of"


@dataclasses.dataclass(frozen=True)
class Common:
    """Options of all of them."""

    condition: tuple[str, ...] = ()
    """Words such as style=noto shape=food, for all pictures; the others are as `genart sample` has them."""
    space: Literal["", "z", "w"] = ""
    """z, which is drawn, or w, which a mapping network makes of it; empty: w where there is one."""
    truncation: float = 1.0
    """Below 1: nearer to the middle by this factor (the mean of w, or z = 0), less varied and more typical."""
    save: Path | None = None
    """FILE.npz for the latents of the pictures (of `directions`: for these), to be read by --from (by --along)."""
    step: str = ""
    """Which checkpoint: its step, or best (by train.best); empty: the newest."""
    out: Path | None = None
    """FILE.png, and FILE.gif where something moves; None: in RUN/latent, beside those that were drawn before."""
    provenance: bool = True
    """Write into the files that they are generated, by which model and run, and the licence of its data."""


@dataclasses.dataclass(frozen=True)
class From(Common):
    """Which pictures to begin with."""

    seeds: tuple[str, ...] = ("0",)
    """SEED, or SEED:INDEX for that picture of `genart sample RUN --seed SEED`, counted from 0, row by row."""
    source: Annotated[Path | None, named("from")] = None
    """FILE.npz of latents that --save wrote, in place of seeds."""
    pick: tuple[int, ...] = ()
    """Which of that file's, counted from 0; none: all."""


@dataclasses.dataclass(frozen=True)
class InterpolateOptions(From):
    """Options of `genart latent RUN interpolate`."""

    seeds: tuple[str, ...] = ("0:0", "0:1", "0:2", "0:3")
    """SEED, or SEED:INDEX for that picture of `genart sample RUN --seed SEED`, counted from 0; each to the next."""
    way: Literal["auto", "slerp", "lerp"] = "auto"
    """Along the sphere, or straight; auto: along the sphere in z, straight in w."""
    frames: int = 9
    """Pictures from one to the next, both among them."""


@dataclasses.dataclass(frozen=True)
class Along(From):
    """How to move."""

    frames: int = 7
    """Pictures of a row."""
    reach: float = 3.0
    """How far to both sides, in standard deviations of drawn latents along the direction."""
    layers: str = ""
    """FIRST:END, the layers that are moved, where the model has styles (space w); empty: all."""
    num: int = 2000
    """Latents that are drawn, or pictures that are encoded, to find a direction by."""
    method: Literal["logistic", "mean"] = "logistic"
    """How latents with a label are parted from the others: by logistic regression, or by the difference of means."""


@dataclasses.dataclass(frozen=True)
class TraverseOptions(Along):
    """Options of `genart latent RUN traverse`."""

    along: tuple[str, ...] = ("sefa:0",)
    """Directions: sefa:0, ganspace:0, dim:0 (a dimension), NAME=CLASS (a condition), RUN=CLASS (a class of a
    classifier's run), FILE.npz:0 (saved by `directions`), or truncation. Without a number, the first five."""


@dataclasses.dataclass(frozen=True)
class DirectionsOptions(Along):
    """Options of `genart latent RUN directions`."""

    by: str = "sefa"
    """sefa (of the weights), ganspace (of activations), dim (dimensions that change most), NAME=CLASS or RUN=CLASS."""
    count: int = 5
    """How many, the strongest first."""


@dataclasses.dataclass(frozen=True)
class MixOptions(From):
    """Options of `genart latent RUN mix`."""

    seeds: tuple[str, ...] = ("0:0", "0:1", "0:2")
    """Of the rows: SEED, or SEED:INDEX for that picture of `genart sample RUN --seed SEED`, counted from 0."""
    columns: tuple[str, ...] = ("1:0", "1:1", "1:2", "1:3")
    """Seeds of what is mixed in: styles of some layers, or, without a mapping network, conditions."""
    layers: str = ""
    """FIRST:END, the layers whose styles come from the columns; empty: the first half."""
    add: tuple[str, ...] = ()
    """Seeds, or of VAEs words such as style=noto, whose (mean) latent is added to each picture, in place of columns."""
    subtract: tuple[str, ...] = ()
    """Seeds, or words of VAEs, whose (mean) latent is subtracted."""
    num: int = 2000
    """Training pictures that are encoded for a mean."""


@dataclasses.dataclass(frozen=True)
class ProjectOptions(Common):
    """Options of `genart latent RUN project PICTURE`."""

    starts: int = 4
    """From how many of the nearest candidates to descend."""
    steps: int = 200
    """Of Adam."""
    learning_rate: float = 0.1
    """In standard deviations of drawn latents; it falls to 0."""
    candidates: int = 256
    """Latents that are drawn to find starts, and conditions where none are given."""
    perceptual: Literal["", "lite0", "vgg19", "none"] = ""
    """The network that looks beside the pixels; empty: lite0 where its weights are, else none."""
    weight: float = 0.1
    """Of its distance beside the mean squared error of pixels."""
    prior: float = 1e-3
    """Of the latents' mean square, which keeps them where drawn ones are."""
    each_layer: bool = False
    """Each layer may go its own way, where the model has styles (space w): nearer, and less the model's own."""
    seed: int = 0
    """Of the draw."""


ACTIONS = {
    "interpolate": (InterpolateOptions, "From each picture to the next, as a strip and a GIF."),
    "traverse": (TraverseOptions, "From a picture along directions to both sides, as a strip and a GIF."),
    "project": (ProjectOptions, "The latent whose picture is nearest to a given one: target | projection."),
    "directions": (DirectionsOptions, "Directions along which pictures change, each as a row."),
    "mix": (MixOptions, "Styles or conditions of pictures mixed, as a table; or arithmetic with means of classes."),
}


def run(args: Sequence[str]) -> None:
    """The command.

    Raises:
      UserError: what is wrong with the run, the model or the options.
    """
    lines = "\n".join(f"  {word:<14}{text}" for word, (_, text) in ACTIONS.items())
    if wants_help(args):
        print(f"usage: genart latent RUN ACTION ...\n\n{lines}\n\nEach has --help: genart latent RUN ACTION --help")
        return
    run, rest = peel(args, "latent", "run")
    if not rest or rest[0] not in ACTIONS:
        said = f"{rest[0]!r} is unknown; {near(rest[0], ACTIONS)}" if rest else f"there are {', '.join(ACTIONS)}"
        raise UserError(f"say what to do, as in genart latent {run} interpolate: {said}")
    action, rest = rest[0], rest[1:]
    prog, (cls, text) = f"genart latent RUN {action}", ACTIONS[action]
    if wants_help(rest):
        parse(cls, ["--help"], prog, text)
    pictures, rest = _pictures(action, rest)
    options = parse(cls, rest, prog, text)

    from genart_jax.app import latent

    keep_programs()
    for line in latent.DOES[action](run, options, *pictures):
        print(line)


def _pictures(action: str, args: list[str]) -> tuple[list[str], list[str]]:
    """The picture that is to be projected, and the options."""
    if action != "project":
        return [], args
    if not args or args[0].startswith("-"):
        raise UserError("project needs a picture: genart latent RUN project PICTURE")
    return [args[0]], args[1:]
