"""`genart stylize CONTENT STYLE`: one picture in another's style."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genart_jax.app.arguments import leading, parse
from genart_jax.app.preempt import until_told
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

if TYPE_CHECKING:
    from genart_jax.runtime.values import Json

USAGE = "stylize CONTENT STYLE [--out FILE] ..."
SUMMARY = "one picture in another's style"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart stylize`."""

    out: Path | None = None
    """The picture's file, of any format that Pillow writes; None: stylized.png in the run directory."""
    size: int = 256
    """Longer side of the picture in pixels; its proportions are the content's."""
    steps: int = 100
    """Steps at each scale."""
    strength: float = 1.0
    """Weight of the style: 0 gives the content back, 10 little of it."""
    keep_color: bool = False
    """Keep the content's colours: change luminance alone."""
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    """What descends."""
    scales: int = 3
    """Sizes gone through, each twice the one before (fewer where the first would be below 64 pixels)."""
    every: int = 20
    """Steps between intermediate pictures and checkpoints (0: no pictures)."""
    provenance: bool = True
    """Write into the file that it is generated, and how."""
    seed: int = 0
    """Seed of the noise that the picture starts with."""
    run: Path | None = None
    """Run directory; None: runs/CONTENT-STYLE, or with a number behind it where that holds another picture, of other
    files, weights or options. What was begun there goes on."""


def run(args: Sequence[str]) -> None:
    """The command.

    Raises:
      UserError: what is wrong with the pictures or the options.
    """
    until_told(_stylize, args)


def _stylize(args: Sequence[str]) -> None:
    prog, text = "genart stylize CONTENT STYLE", "One picture in another's style (Gatys et al. 2016), coarse to fine."
    words, rest = leading(args)
    options: Options = parse(Options, rest, prog, text)
    if len(words) != 2:
        raise UserError(f"stylize needs two pictures, not {len(words)}: genart stylize CONTENT STYLE [--out FILE]")
    content, style = map(expanded, words)
    out = options.out and expanded(options.out)

    from genart_jax.app.progress import Progress
    from genart_jax.use import stylize

    if out is not None:
        stylize.check_out(out)
    plan = stylize.plan(
        content, style, options.size, options.steps, options.strength, options.keep_color, options.optimizer,
        options.scales, options.every, options.seed,
    )  # fmt: skip
    directory = expanded(options.run) if options.run else None
    directory = directory or stylize.place_for(plan, Path("runs") / f"{content.stem}-{style.stem}")
    keep_programs()
    with Progress() as progress:

        def tell(event: str, values: Json) -> None:
            if event not in ("data", "evaluate", "end"):  # of each scale; here they are parts of one picture
                progress(event, values)

        pixels = stylize.stylize(plan, directory, tell)
    if pixels is None:
        print(f"stopped with a checkpoint in {directory}; the same command goes on from there")
        return
    out = out or directory / "stylized.png"
    about = stylize.provenance_of(stylize.last_place(plan, directory)) if options.provenance else None
    stylize.write(out, pixels, about)
    print(out)
