"""`genart sample RUN`: pictures from a trained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from genart_jax.app.arguments import checkpoint_word, named, parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "sample RUN [--condition style=noto] ..."
SUMMARY = "draw pictures from a run"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart sample`."""

    num: int = 64
    """How many pictures."""
    seed: int = 0
    """The same seed gives the same pictures."""
    condition: tuple[str, ...] = ()
    """Words such as style=noto shape=food; the others are drawn as in the training data. style=none hides it, if the
    model was trained with step.condition-dropout."""
    truncation: float = 1.0
    """Of GANs. Below 1, pictures are less varied and more typical: latents, or styles about their mean, are scaled by
    this factor; of biggan, drawn from this share of their distribution."""
    temperature: float | None = None
    """Of priors over codes: below 1, the likelier codes are drawn more often still; None: as the run says."""
    guidance: float | None = None
    """Of priors over codes: above 1, pictures show what --condition asks for more clearly, and vary less; None: as the
    run says."""
    step: str = ""
    """Which checkpoint: its step, or best (by train.best); empty: the newest."""
    member: int | None = None
    """Which member of a sweep; None: all of them, each with pictures of its own."""
    out: Path | None = None
    """FILE.png for a grid, FILE.npz for arrays, a folder for single pictures, FILE.gif or FILE.webp for videos and
    volumes that move, or FILE.obj, FILE.stl or FILE.glb for a mesh of volumes; None: a grid in RUN/samples, beside
    those that were drawn before."""
    first: Path | None = None
    """Of models of videos that go on from given frames: a picture, or a video, that each sample begins with."""
    length: int = 0
    """Frames of a video, of models that make videos of any length (0: as many as in training)."""
    sheet: bool = False
    """A sprite sheet with a transparent background, and its JSON as games read it, in place of a grid."""
    frames: Literal["hash", "array"] = "hash"
    """How the JSON of a sheet lists its frames: by name, or one after the other."""
    save: Path | None = None
    """FILE.npz for the latents of the pictures, to draw them again by --from here and in `genart latent`."""
    source: Annotated[Path | None, named("from")] = None
    """FILE.npz of latents that --save wrote: their pictures, in place of drawn ones."""
    provenance: bool = True
    """Write into the files that they are generated, by which model and run, and the licence of its data."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = "genart sample RUN", "Draws pictures from a run, or from StyleGAN2's published .safetensors."
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    run, rest = peel(args, "sample", "run")
    if sum(arg.partition("=")[0] == "--condition" for arg in rest) > 1:
        raise UserError("--condition is given twice; write all words after one: --condition style=noto shape=food")
    options: Options = parse(Options, rest, prog, text)

    from genart_jax.app.draw import Asked, draw

    keep_programs()
    places = "out", "save", "source", "first"
    paths = {name: path and expanded(path) for name, path in vars(options).items() if name in places}
    asked = Asked(
        options.num, options.seed, options.condition, options.truncation, checkpoint_word(options.step),
        provenance=options.provenance, sheet=options.sheet, frames=options.frames, length=options.length,
        numbers={name: value for name in ("temperature", "guidance") if (value := getattr(options, name)) is not None},
        **paths,
    )  # fmt: skip
    for path in draw(run, options.member, asked):
        print(path)
