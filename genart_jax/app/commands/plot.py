"""`genart plot RUN ...`: figures of runs, one for each kind of quantity, and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from genart_jax.app.arguments import leading, parse
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.paths import expanded

USAGE = "plot RUN ... [--out FOLDER]"
SUMMARY = "losses, scores and samples as figures and a page"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart plot`."""

    out: Path | None = None
    """A folder; None: plots in the run. The page, report.html, lies there too."""
    format: str = "png"
    """png, svg or pdf, or several with commas in between."""
    captions: bool = True
    """Write below each figure what it shows: model, data, step, seeds."""


def run(args: Sequence[str]) -> None:
    """The command."""
    runs, rest = leading(args)
    text = "Losses, norms, scores and samples of runs, a figure for each kind, and a report in one HTML file."
    options: Options = parse(Options, rest, "genart plot RUN ...", text)
    if not runs:
        raise UserError("plot needs a run first: genart plot RUN ...")

    from genart_jax.app import plots

    out = plots.folder_of(runs) if options.out is None else expanded(options.out)
    if out.suffix in (".png", ".html", ".svg", ".pdf"):
        raise UserError(f"--out {out}: name a folder, as there are several figures; their kind is said by --format")
    keep_programs()
    for path in plots.write(runs, out, options.format.split(","), options.captions):
        print(path)
