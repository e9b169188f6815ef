"""`genart transform RUN PICTURE ...`: pictures restored, enlarged or translated."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from genart_jax.app.arguments import leading, parse, peel, wants_help
from genart_jax.config import UserError
from genart_jax.runtime.cache import keep_programs
from genart_jax.runtime.packaged import at_scale, names
from genart_jax.runtime.paths import expanded

USAGE = "transform RUN PICTURE ... [--out FILE]"
SUMMARY = "restore, enlarge or translate pictures"


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `genart transform`."""

    out: Path | None = None
    """FILE.png (or .jpg, ...) of one picture, or a folder; None: beside each picture, as PICTURE-MODEL, with its suffix
    where that can be written."""
    mask: Path | None = None
    """A picture of the same size that is white where something is missing, or a folder of masks by name."""
    scale: int = 0
    """How many times larger pictures become (0: as the model does at once): a power of what it does, or what its sister
    NAME_xSCALE does, of models that come with the package."""
    strength: float = 1.0
    """Share of the change: 0 leaves a picture as it is."""
    back: bool = False
    """The way back, of a model that maps both ways: from its second set of pictures to its first."""
    compare: bool = False
    """Also write a strip of before and after, PICTURE-compare.png."""
    provenance: bool = True
    """Write into the files which model and run made them, and the licence of its data."""
    seed: int = 0
    """Of what is drawn, where the model draws anything."""


def run(args: Sequence[str]) -> None:
    """The command."""
    prog, text = "genart transform RUN PICTURE ...", "Restores, enlarges or translates pictures by a run."
    if wants_help(args):
        parse(Options, ["--help"], prog, text)
    name, rest = peel(args, "transform", "run")
    pictures, rest = leading(rest)
    if not pictures:
        raise UserError(f"transform needs pictures: genart transform {name} PICTURE ...")
    options: Options = parse(Options, rest, prog, text)

    from genart_jax.train.checkpoint import described, load
    from genart_jax.use.transform import Job, transform_files

    keep_programs()
    word, name = name, at_scale(name, options.scale)
    saved = described(name)
    model = load(name)
    mask = options.mask and expanded(options.mask)
    if options.back and "back" not in model.algorithm.uses:
        raise UserError(f"--back is for models that map both ways, such as cyclegan; {saved.run.name} does not")
    job = Job(options.scale, options.strength, mask, options.compare, options.seed, options.back)
    model.algorithm.use(job.use, f"{name}, a run of {saved.run.name},")
    written, out = 0, options.out and expanded(options.out)
    about = model.provenance if options.provenance else None
    called = word if word in names() else saved.run.name
    for done in transform_files(model, called, pictures, out, job, about):
        for note in done.notes:
            print(f"{done.path}: {'' if done.out else 'passed over: '}{note}", file=sys.stderr)
        if done.out is not None:
            written += 1
            print(done.out, flush=True)
    if not written:
        raise UserError("no picture could be read")
