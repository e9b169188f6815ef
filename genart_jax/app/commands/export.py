"""`genart export RUN OUT`: a model as a folder that runs without this package."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from genart_jax.app.arguments import parse, peel, wants_help

USAGE = "export RUN OUT"
SUMMARY = "a model as a folder that runs without this package"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart export`."""

    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu")
    """What the exported program runs on."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = (
        "genart export RUN OUT",
        "Writes a model to a folder that needs jax alone (to classify picture files also Pillow).",
    )
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    run, rest = peel(args, "export", "run")
    out, rest = peel(rest, "export RUN", "out")
    options: Options = parse(Options, rest, prog, text)

    from genart_jax.use.export import export_run

    print(export_run(run, out, options.platforms))
