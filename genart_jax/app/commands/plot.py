"""`genart plot RUN ...`: losses, norms, scores and samples of runs as a picture and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from genart_jax.app.arguments import leading, parse
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "plot RUN ... [--out FILE.png]"
SUMMARY = "losses, scores and samples as a picture and a page"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart plot`."""

    out: Path | None = None
    """FILE.png; None: plot.png in the first run. FILE.html, the report, is written beside it."""


def run(args: Sequence[str]) -> None:
    """The command."""
    runs, rest = leading(args)
    text = "Losses, norms, scores and sample grids of runs as one picture, and a report in one HTML file."
    options: Options = parse(Options, rest, "genart plot RUN ...", text)
    if not runs:
        raise UserError("plot needs run first: genart plot RUN ...")

    from genart_jax.app import plots

    out = expanded(options.out or Path(runs[0]) / "plot.png")
    if out.suffix != ".png":
        raise UserError(f"--out {out}: name FILE.png; the report is written to FILE.html beside it")
    keep_programs()
    for path in plots.write(runs, out):
        print(path)
