"""What `genart sample` does: pictures of a run, or of every member of a sweep."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from genart_jax.config import UserError
from genart_jax.data import media
from genart_jax.data.conditions import parse_conditions
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.packaged import results
from genart_jax.steps import sweep
from genart_jax.train.checkpoint import Model, described, load, member_directory
from genart_jax.use import places, sheet
from genart_jax.use.latent import Space, codes_bytes, read_codes
from genart_jax.use.sample import Samples, draw_samples, extend_samples, file_names, write_samples

_LONGEST = 100  # letters of a file's name that conditions make


class Asked(NamedTuple):
    """What `genart sample` is asked for; see its options."""

    num: int
    seed: int
    words: Sequence[str]
    truncation: float
    step: int | Literal["best"] | None
    out: Path | None
    provenance: bool = True
    sheet: bool = False
    frames: Literal["hash", "array"] = "hash"
    save: Path | None = None
    source: Path | None = None
    first: Path | None = None
    length: int = 0
    numbers: Mapping[str, float] = {}


def draw(run: str, member: int | None, asked: Asked) -> Iterator[Path]:
    """Draws and writes pictures, and yields each file or folder.

    Without `out`, a grid in RUN/samples (see `packaged.results`) whose name says what was asked
    for; none that is there already and shows something else is overwritten. Of a sweep without `member`, each member
    has its own, and one that has diverged is told of on stderr.

    Raises:
      UserError: what is wrong with the run or the options; of a sweep, if no member has pictures.
    """
    if asked.save is not None and asked.save.suffix != ".npz":
        raise UserError(f"--save {asked.save}: name FILE.npz")
    if asked.sheet and asked.out is not None and asked.out.suffix != ".png":
        raise UserError(f"--sheet writes a PNG and its JSON: --out {asked.out} must be FILE.png")
    members = range(len(sweep.runs(described(run).run))) if member is None else ()
    if not members:
        yield from _one(member_directory(run, member), asked)
        return
    drawn, failed = 0, None
    of = lambda path, i: (
        None if path is None else path / str(i) if not path.suffix else path.with_stem(f"{path.stem}_member{i}")
    )
    for i in members:
        own = asked._replace(out=of(asked.out, i), save=of(asked.save, i))
        try:
            yield from _one(member_directory(run, i), own)
        except UserError as error:
            failed = error
            print(f"genart: {error}", file=sys.stderr)
            continue
        drawn += 1
    if not drawn and failed is not None:
        raise failed


def _one(run: Path, asked: Asked) -> Iterator[Path]:
    """The pictures of a run; the latents first, if they are to be saved."""
    saved = described(run)
    names = saved.data["class_names"]
    if asked.out is None and run.is_file():
        raise UserError(f"{run} is a file of weights; say where the pictures go: --out FILE.png")
    given = parse_conditions(asked.words, names)
    numbers = {"truncation": asked.truncation} if asked.truncation != 1.0 else {}
    numbers |= {"frames": float(asked.length)} if asked.length else {}
    numbers |= asked.numbers
    if asked.numbers and (asked.source is not None or asked.first is not None):
        raise UserError(f"--{min(asked.numbers)} says how pictures are drawn; leave --from and --first out")
    if asked.length and (asked.source is not None or asked.save is not None):
        raise UserError("--length draws other latents than --from and --save have; leave one of them out")
    if asked.length and media.is_volume((asked.length, *saved.run.model.image_shape[1:])):
        raise UserError(f"--length {asked.length}: a grey clip of as many frames as pixels would be a volume; one more")
    model = load(run, asked.step)
    if asked.first is not None and "extend" not in model.algorithm.uses:
        raise UserError(
            f"--first is for models of videos, such as video_gan; {saved.run.name} draws pictures: leave it out"
        )
    if asked.first is not None:
        if asked.source is not None or asked.save is not None or asked.truncation != 1.0:
            raise UserError("--first goes on from given frames: leave --from, --save and --truncation out")
        samples = extend_samples(model, saved, asked.first, asked.num, asked.seed, given, asked.length)
    elif asked.source is None:
        samples = draw_samples(model, saved, asked.num, asked.seed, given, numbers)
    else:
        samples = _recalled(model, asked, given)
    if asked.save is not None:
        yield from _latents(model, asked, given)
    about = model.provenance if asked.provenance else None
    if asked.sheet:
        yield from _sheet(run, samples, names, asked, about)
    elif asked.out is not None:
        yield write_samples(asked.out, samples, names, asked.seed, about=about)
    else:
        place = results(run) / "samples" / f"{_name(asked)}.png"
        yield write_samples(place, samples, names, asked.seed, overwrite=False, about=about)


def _name(asked: Asked) -> str:
    """Of a file without its suffix: what was asked for."""
    first = f"sample_seed{asked.seed}" if asked.source is None else f"sample_{asked.source.stem}"
    words = [*asked.words, *([f"truncation={asked.truncation:g}"] if asked.truncation != 1.0 else ())]
    words += [f"length={asked.length}"] if asked.length else []
    words += [f"{name}={value:g}" for name, value in asked.numbers.items()]
    words += [f"from={asked.first.stem}"] if asked.first is not None else []
    words += [f"step={asked.step}"] if asked.step is not None else []
    return "_".join([first, *(re.sub(r"[^\w.=+-]", "-", word) for word in words)])[:_LONGEST]


def _recalled(model: Model, asked: Asked, given: Mapping[str, int]) -> Samples:
    """Pictures of the latents of a file, with the conditions that it says, or that are given."""
    space = Space(model)
    codes = read_codes(asked.source or "", space).told(given)
    return Samples(space.show(codes, asked.truncation), codes.condition)


def _latents(model: Model, asked: Asked, given: Mapping[str, int]) -> Iterator[Path]:
    """Writes z of the pictures, whatever is made of it then."""
    space = Space(model, "z")
    source = asked.source
    codes = (
        read_codes(source, space).told(given)
        if source
        else space.draw([(asked.seed, i) for i in range(asked.num)], given)
    )
    yield from places.write({asked.save or Path(): codes_bytes(space, codes)})


def _sheet(
    run: Path, samples: Samples, names: Mapping[str, Sequence[str]], asked: Asked, about: Provenance | None
) -> Iterator[Path]:
    """Writes a sprite sheet and its JSON, which names it."""
    images, condition = samples
    words = file_names(condition, names, len(images))
    meta = {"seed": asked.seed} if asked.source is None else {}
    make = lambda stem: sheet.files(images, words, f"{stem}.png", asked.frames, meta, about)
    if asked.out is not None:
        files, made = make(asked.out.stem)
        written = places.write({asked.out.with_suffix(suffix): content for suffix, content in files.items()})
    else:
        stem = _name(asked).replace("sample_", "sheet_", 1)
        made = make(stem)[1]
        written = places.place(results(run) / "samples" / stem, lambda stem: make(stem)[0])
    if made.opaque:
        print(
            f"genart: {made.opaque} of {len(images)} pictures have no white at their border, and stay opaque",
            file=sys.stderr,
        )
    yield from written
