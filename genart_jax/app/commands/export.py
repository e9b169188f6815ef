"""`genart export RUN OUT`: a model as a folder that runs without this package."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from genart_jax.app.arguments import parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded

USAGE = "export RUN OUT [--hub | --onnx]"
SUMMARY = "a model as a folder: to run without this package, or to share"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart export`."""

    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu")
    """What the exported program runs on."""
    hub: bool = False
    """In the layout of Hugging Face's hub instead: model.safetensors, config.json and a card. `ga.load` reads it, and
    all commands that take a run."""
    onnx: bool = False
    """As ONNX instead, for onnxruntime and its like; needs pip install 'genart_jax[onnx]'."""
    dtype: Literal["float16", "float32"] = "float16"
    """Of the parameters, with --hub."""
    keep: str = ""
    """With --hub, of a classifier of several conditions: the one that is kept, such as style."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = (
        "genart export RUN OUT",
        "Writes a model to a folder that needs jax alone (to classify picture files also Pillow); or --hub, or --onnx.",
    )
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    run, rest = peel(args, "export", "run")
    out, rest = peel(rest, "export RUN", "folder")
    options: Options = parse(Options, rest, prog, text)

    if options.keep and not options.hub:
        raise UserError("--keep cuts a classifier for --hub; add --hub")
    if options.hub and options.onnx:
        raise UserError("--hub and --onnx make different folders; run the command twice")
    if options.onnx:
        from genart_jax.use.onnx import export_onnx

        print(export_onnx(run, out))
        return
    if options.hub:
        from genart_jax.app import tables
        from genart_jax.evaluate.scores import FILE, read_scores
        from genart_jax.use.hub import export_folder

        measured = tables.scores(read_scores(run)) if (expanded(run) / FILE).is_file() else ""
        print(export_folder(run, out, options.dtype, scores=measured, keep=options.keep))
        return
    from genart_jax.use.export import export_run

    print(export_run(run, out, options.platforms))
