"""What `genart sample` does: pictures of a run, or of every member of a sweep."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from genart_jax.config import UserError
from genart_jax.data.conditions import parse_conditions
from genart_jax.runtime.packaged import results
from genart_jax.steps import sweep
from genart_jax.train.checkpoint import described, load, member_directory
from genart_jax.use.sample import draw_samples, write_samples

_LONGEST = 100  # letters of a file's name that conditions make


def draw(
    run: str,
    member: int | None,
    step: int | Literal["best"] | None,
    num: int,
    seed: int,
    words: Sequence[str],
    truncation: float,
    out: Path | None,
    provenance: bool,
) -> Iterator[Path]:
    """Draws and writes pictures, and yields each file or folder.

    Without `out`, a grid in RUN/samples (see `packaged.results`) whose name says what was asked
    for; none that is there already and shows something else is overwritten. Of a sweep without `member`, each member
    has its own, and one that has diverged is told of on stderr.

    Raises:
      UserError: what is wrong with the run or the options; of a sweep, if no member has pictures.
    """
    members = range(len(sweep.runs(described(run).run))) if member is None else ()
    if not members:
        yield _one(member_directory(run, member), step, num, seed, words, truncation, out, provenance)
        return
    drawn, failed = 0, None
    for i in members:
        place = None if out is None else out / str(i) if not out.suffix else out.with_stem(f"{out.stem}_member{i}")
        try:
            path = _one(member_directory(run, i), step, num, seed, words, truncation, place, provenance)
        except UserError as error:
            failed = error
            print(f"genart: {error}", file=sys.stderr)
            continue
        drawn += 1
        yield path
    if not drawn and failed is not None:
        raise failed


def _one(
    run: Path,
    step: int | Literal["best"] | None,
    num: int,
    seed: int,
    words: Sequence[str],
    truncation: float,
    out: Path | None,
    provenance: bool,
) -> Path:
    saved = described(run)
    names = saved.data["class_names"]
    if out is None and run.is_file():
        raise UserError(f"{run} is a file of weights; say where the pictures go: --out FILE.png")
    given = parse_conditions(words, names)
    numbers = {"truncation": truncation} if truncation != 1.0 else {}
    model = load(run, step)
    samples = draw_samples(model, saved, num, seed, given, numbers)
    about = model.provenance if provenance else None
    if out is not None:
        return write_samples(out, samples, names, seed, about=about)
    asked = [*words, *([f"truncation={truncation:g}"] if truncation != 1.0 else ())]
    asked += [f"step={step}"] if step is not None else []
    name = "_".join([f"sample_seed{seed}", *(re.sub(r"[^\w.=+-]", "-", word) for word in asked)])[:_LONGEST]
    place = results(run) / "samples" / f"{name}.png"
    return write_samples(place, samples, names, seed, overwrite=False, about=about)
