"""`genart explain RUN PICTURE ...`: which pixels matter to a network, and what it looks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from genart_jax.app.arguments import leading, parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "explain RUN|efficientnet_lite0 [PICTURE ...]"
SUMMARY = "what a network sees"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart explain`."""

    method: Literal[
        "saliency", "smooth_grad", "integrated_gradients", "grad_cam", "grad_cam++", "occlusion", "dream", "visualise",
        "filters", "ablate", "neighbours", "map", "sanity",
    ] = "integrated_gradients"  # fmt: skip
    """Which pixels matter: saliency, smooth_grad, integrated_gradients, grad_cam, grad_cam++, occlusion. What is looked
    for: dream (a picture with more of it), visualise, filters. What a generator's channels draw: ablate. Its features:
    neighbours (of a picture, in the training data), map (of the test pictures). Whether maps are honest: sanity."""
    what: str = ""
    """Of a classifier, the class's name (style=noto, where it has several conditions); of an encoder, a dimension.
    Empty: the likeliest class, of the first condition."""
    role: str = ""
    """Which network: classifier, critic or encoder; empty: the first of these that there is."""
    stage: str = ""
    """Which intermediate, for grad_cam, dream, visualise, ablate, neighbours and map; empty: the last with places."""
    condition: tuple[str, ...] = ()
    """For a critic or encoder that is told classes: words such as style=noto."""
    channels: tuple[int, ...] = ()
    """For visualise with a stage: which of its channels; empty: the first sixteen."""
    num: int = 16
    """How many pictures, for visualise, ablate and neighbours; how many of the test split, for map, at least 64."""
    seed: int = 0
    """Of noise, shifts and latents."""
    provenance: bool = True
    """Write into a generated picture's file which model and run made it, and the licence of its data."""
    out: Path | None = None
    """FILE.png; None: RUN/explain/METHOD.png, or with a number where another lies (METHOD.png here, for published
    weights)."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = "genart explain RUN PICTURE ...", "Which pixels matter to a network, and what it looks for."
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    name, rest = peel(args, "explain", "run")
    pictures, rest = leading(rest)
    options: Options = parse(Options, rest, prog, text)
    if options.out is not None and options.out.suffix != ".png":
        raise UserError(f"--out {options.out}: name FILE.png")

    from genart_jax.app import explained

    keep_programs()
    (canvas, words), about = explained.answer(name, pictures, options)
    place = options.out and expanded(options.out)
    for line in words:
        print(line)
    print(explained.save(canvas, place, name, options.method, about))
