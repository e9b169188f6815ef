"""`genart stylize CONTENT STYLE...`: pictures in the style of others."""

from __future__ import annotations

import dataclasses
import sys
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

USAGE = "stylize CONTENT STYLE... [--method M] [--out FILE] ..."
SUMMARY = "pictures in the style of others"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart stylize`."""

    method: Literal["gatys", "adain", "multistyle"] = "gatys"
    """gatys descends on the picture, for minutes. adain (the style of any pictures) and multistyle (styles that its
    network has learnt, by name or number) make one pass of a network, and take a folder of contents as well."""
    out: Path | None = None
    """The picture's file, of any format that Pillow writes, or the pictures' folder; None: stylized.png in the run
    directory, or CONTENT-STYLE.png here."""
    size: int | None = None
    """Longer side of the picture in pixels; its proportions are the content's. None: 256 for gatys, else its own."""
    strength: float = 1.0
    """Weight of the style. gatys: 0 gives the content back, 10 little of it. Others: 0 to 1."""
    keep_color: bool = False
    """Keep the content's colours: change luminance alone."""
    mix: tuple[float, ...] = ()
    """adain, multistyle: a weight for each of several styles; empty: equal parts."""
    mask: tuple[Path, ...] = ()
    """A picture for each style, white where the style is; elsewhere the content stays."""
    network: str | None = None
    """adain, multistyle: a run of its model, or multistyle26; None: the run that is called as the method."""
    steps: int = 100
    """gatys: steps at each scale."""
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    """gatys: what descends."""
    scales: int = 3
    """gatys: sizes gone through, each twice the one before (fewer where the first would be below 64 pixels)."""
    every: int = 20
    """gatys: steps between intermediate pictures and checkpoints (0: no pictures)."""
    compare: bool = False
    """Also write a strip of before and after, PICTURE-compare.png."""
    provenance: bool = True
    """Write into the file that it is generated, and how."""
    seed: int = 0
    """gatys: seed of the noise that the picture starts with."""
    run: Path | None = None
    """gatys: run directory; None: runs/CONTENT-STYLE, or with a number behind it where that holds another picture, of
    other files, weights or options. What was begun there goes on."""


_DESCENT = ("steps", "optimizer", "scales", "every", "seed", "run")
_ONE_PASS = ("mix", "network")
"""Options that the other methods do not take."""


def run(args: Sequence[str]) -> None:
    """The command.

    Raises:
      UserError: what is wrong with the pictures or the options.
    """
    until_told(_stylize, args)


def _stylize(args: Sequence[str]) -> None:
    prog = "genart stylize CONTENT STYLE..."
    text = (
        "Pictures in the style of others: by descent, coarse to fine (Gatys et al. 2016), or by one pass of a network."
    )
    words, rest = leading(args)
    options: Options = parse(Options, rest, prog, text)
    others = _ONE_PASS if options.method == "gatys" else _DESCENT
    for field in dataclasses.fields(Options):
        if field.name in others and getattr(options, field.name) != field.default:
            raise UserError(f"--{field.name} is no option of --method {options.method}; leave it out")
    if options.method == "gatys":
        _descend(words, options)
    else:
        _paint(words, options)


def _descend(words: Sequence[str], options: Options) -> None:
    """By `gatys`: a run that goes on where it was."""
    if len(words) != 2:
        more = "; several styles: --method adain" if len(words) > 2 else ""
        raise UserError(
            f"stylize needs two pictures, not {len(words)}: genart stylize CONTENT STYLE [--out FILE]{more}"
        )
    content, style = map(expanded, words)
    out = options.out and expanded(options.out)

    from genart_jax.app.progress import Progress
    from genart_jax.data import picture
    from genart_jax.use import several, styles, stylize

    masks = [expanded(one) for one in options.mask]
    styles.shares(1, masks=masks)
    if out is not None:
        stylize.check_out(out, (content, style, *masks))
    plan = stylize.plan(
        content, style, 256 if options.size is None else options.size, options.steps, options.strength,
        options.keep_color, options.optimizer, options.scales, options.every, options.seed,
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
    pixels = styles.within(masks, picture.read_file(content, pixels.shape[:2], 3), pixels)
    about = stylize.provenance_of(stylize.last_place(plan, directory)) if options.provenance else None
    notes: list[str] = []
    several.save(out, content, pixels, notes, about, options.compare)
    for note in notes:
        print(f"{content}: {note}", file=sys.stderr)
    print(out)


def _paint(words: Sequence[str], options: Options) -> None:
    """By one pass of a network: a picture, or all of a folder."""
    if len(words) < 2:
        raise UserError("stylize needs a content and a style: genart stylize CONTENT STYLE... [--out FILE]")

    from genart_jax.use import several

    out = options.out and expanded(options.out)
    given, *style = words
    content = expanded(given)
    contents = several.contents_of(content)
    order = several.Order(
        options.method, tuple(style), options.strength, options.mix, options.mask, options.keep_color, options.size,
        options.network, options.provenance, options.compare,
    )  # fmt: skip
    keep_programs()
    made = 0
    for done in several.run(order, contents, several.places(contents, content, style, out)):
        made += not done.problem
        for note in done.notes:
            print(f"{done.content}: {note}", file=sys.stderr)
        print(done.problem or done.place, flush=True)
    if not made:
        raise UserError("no picture was made")
