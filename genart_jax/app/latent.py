"""What `genart latent` does: finds latents, draws pictures of them, and writes both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genart_jax.app.arguments import checkpoint_word
from genart_jax.config import UserError
from genart_jax.data import media, picture
from genart_jax.data.conditions import parse_conditions
from genart_jax.data.grid import scale_of
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.packaged import results
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.use import latent, places
from genart_jax.use.latent import draw

if TYPE_CHECKING:
    from PIL import Image

    from genart_jax.app.commands.latent import (
        Along,
        Common,
        DirectionsOptions,
        From,
        InterpolateOptions,
        MixOptions,
        ProjectOptions,
        TraverseOptions,
    )

_LONGEST = 80  # letters of a file's name

Row = tuple[int, latent.Direction | None]
"""Which code a row begins with, and its direction; None: truncation."""


def open_space(run: str, options: Common) -> latent.Space:
    """The space that the options name."""
    if (options.save or Path("x.npz")).suffix != ".npz":
        raise UserError(f"--save {options.save}: name FILE.npz")
    if (options.out or Path("x.png")).suffix != ".png":
        raise UserError(f"--out {options.out}: name FILE.png")
    if options.out is None and expanded(run).is_file():
        raise UserError(f"{run} is a file of weights; say where the pictures go: --out FILE.png")
    return latent.open_space(run, options.space, checkpoint_word(options.step))


def given(space: latent.Space, options: Common) -> dict[str, int]:
    """Classes by name, of --condition."""
    return parse_conditions(options.condition, space.saved.data["class_names"])


def parse_seeds(words: Sequence[str]) -> list[tuple[int, int]]:
    """SEED or SEED:INDEX each.

    Raises:
      UserError: a word of another form.
    """
    return [latent.seed_of(word) for word in words]


def parse_layers(space: latent.Space, word: str) -> list[int] | None:
    """FIRST:END as numbers; None for an empty word.

    Raises:
      UserError: a word of another form, or layers that there are not.
    """
    if not word:
        return None
    if not space.layers:
        raise UserError(f"--layers: {space.saved.run.name} in space {space.name} has no layers with codes of their own")
    found = re.fullmatch(r"(\d+)(?::(\d+))?", word)
    first, end = (int(found[1]), int(found[2] or int(found[1]) + 1)) if found else (0, 0)
    if not 0 <= first < end <= space.layers:
        raise UserError(f"--layers {word}: write FIRST:END, from 0 to {space.layers}, such as 0:{space.layers // 2}")
    return list(range(first, end))


def codes_of(space: latent.Space, options: From) -> latent.Codes:
    """The codes to begin with, of seeds or of a file."""
    if options.source is None:
        if options.pick:
            raise UserError("--pick chooses from the latents of --from FILE.npz; seeds are chosen as SEED:INDEX")
        return space.draw(parse_seeds(options.seeds), given(space, options))
    codes = latent.read_codes(options.source, space)
    codes = codes.take(options.pick) if options.pick else codes
    return codes.told(given(space, options))


def interpolate(run: str, options: InterpolateOptions) -> Iterator[str]:
    """Draws the ways, and yields what was written."""
    space = open_space(run, options)
    codes = codes_of(space, options)
    kind = ("slerp" if space.name == "z" else "lerp") if options.way == "auto" else options.way
    rows = latent.path(codes, options.frames, kind)
    images = [space.show(row, options.truncation) for row in rows]
    captions = [f"{a}  to  {b}  ({kind} in {space.name}{_truncated(options)})"
                for a, b in zip(codes.words, codes.words[1:], strict=False)]  # fmt: skip
    name = f"interpolate_{_name(options)}"
    files = _moving(space, options, images, captions, True)
    yield from _written(run, options, name, files, space, _joined(rows))


def traverse(run: str, options: TraverseOptions) -> Iterator[str]:
    """Draws rows along directions, and yields what was written."""
    space = open_space(run, options)
    codes = codes_of(space, options)
    known: dict[tuple[str, str], list[latent.Direction] | list[None]] = {}
    found: list[Row] = []
    for i, words in enumerate(space.words(codes)):
        for word in options.along:
            key = word, words if "=" in word or word.startswith(("ganspace", "dim")) else ""  # what is drawn for it
            known[key] = known.get(key) or _directions(space, codes.take([i]), word, options, 5)
            found += [(i, one) for one in known[key]]
    yield from _moved(run, options, space, codes, found, f"traverse_{'_'.join(options.along)}_{_name(options)}")


def directions(run: str, options: DirectionsOptions) -> Iterator[str]:
    """Draws each direction from the first picture, and yields what is known of them and what was written."""
    space = open_space(run, options)
    codes = codes_of(space, options).take([0])
    found = _directions(space, codes, options.by, options, options.count)
    for one in found:
        assert one is not None
        yield f"{one.name:<16} spread {one.spread:<8.3g}{one.note}"
    rows = [(0, one) for one in found]
    yield from _moved(run, options, space, codes, rows, f"directions_{options.by}_{_name(options)}")


def _directions(
    space: latent.Space, code: latent.Codes, word: str, options: Along, count: int
) -> list[latent.Direction] | list[None]:
    """The directions of a word, for pictures of the code's conditions where z is beside them."""
    if word == "truncation":
        return [None]
    fixed: Mapping[str, int] = {name: int(value[0]) for name, value in code.condition.items()}
    told = given(space, options) if space.name == "w" else fixed
    layers = parse_layers(space, options.layers)
    return latent.find(space, word, count, options.num, 0, told, layers, options.method)


def _moved(
    run: str, options: Along, space: latent.Space, codes: latent.Codes, rows: Sequence[Row], name: str
) -> Iterator[str]:
    """Rows of pictures from codes along directions."""
    if options.frames < 2 or options.reach <= 0:
        raise UserError("--frames must be 2 or more, and --reach positive")
    amounts = [float(x) for x in np.linspace(-options.reach, options.reach, options.frames)]
    images, captions, places_ = [], [], []
    for index, direction in rows:
        code = codes.take([index])
        if direction is None:
            shares = [float(x) for x in np.linspace(0.0, 1.0, options.frames)]
            images.append(np.concatenate([space.show(code, share) for share in shares]))
            captions.append(f"{code.words[0]}  truncation 0 to 1")
            places_.append(code)
            continue
        moved = latent.move(code, direction, amounts)
        images.append(space.show(moved, options.truncation))
        note = f" ({direction.note})" if direction.note else ""
        captions.append(
            f"{code.words[0]}  {direction.name} {amounts[0]:+g} to {amounts[-1]:+g}{note}{_truncated(options)}"
        )
        places_.append(moved)
    files = _moving(space, options, images, captions, False)
    content = None
    if options.save is not None:
        known = [direction for _, direction in rows if direction is not None]
        content = latent.directions_bytes(space, known) if name.startswith("directions") else None
    yield from _written(run, options, name, files, space, _joined(places_), content)


def mix(run: str, options: MixOptions) -> Iterator[str]:
    """Draws a table of mixed pictures, or rows of arithmetic, and yields what was written."""
    space = open_space(run, options)
    rows = codes_of(space, options)
    if options.add or options.subtract:
        done = latent.arithmetic(space, rows, options.add, options.subtract, options.num)
        said = done.words[0].removeprefix(rows.words[0]).strip()
        drawn = [word for word in (*options.add, *options.subtract) if "=" not in word]
        others = [space.draw(parse_seeds(drawn), given(space, options))] if drawn else []
        images = [space.show(one, options.truncation) for one in (rows, *others, done)]
        captions = ["; ".join(rows.words), *("; ".join(one.words) for one in others), f"the first {said}"]
        picture_ = draw.strips(images, [*captions[:-1], f"{captions[-1]}{_truncated(options)}"])
        name, moving = f"mix_{said}_{_name(options)}", None
    else:
        columns = space.draw(parse_seeds(options.columns), given(space, options))
        layers = parse_layers(space, options.layers)
        done = latent.cross(space, rows, columns, layers)
        what = f"styles of layers {options.layers or f'0:{space.layers // 2}'}" if space.layers else "conditions"
        tops, left, cells = (space.show(one, options.truncation) for one in (columns, rows, done))
        said = f"left: {'; '.join(rows.words)}\nabove, whose {what} are taken: {'; '.join(columns.words)}"
        said += _truncated(options)
        picture_ = draw.table(tops, left, cells, said)
        moving = draw.moving_table(tops, left, cells, said, _about(space, options))
        name = f"mix_{_name(options)}_{'_'.join(options.columns)}"
    files = {".png": draw.png(picture_, _about(space, options))} | ({} if moving is None else {".gif": moving})
    yield from _written(run, options, name, files, space, done)


def project(run: str, options: ProjectOptions, path: str) -> Iterator[str]:
    """Projects a picture, and yields the distances and what was written."""
    space = open_space(run, options)
    height, width, channels = _flat(space)
    target = picture.read_file(path, (height, width), channels)
    names = "starts", "steps", "learning_rate", "candidates", "perceptual", "weight", "prior", "each_layer", "seed"
    how = latent.Options(**{name: getattr(options, name) for name in names})
    found = latent.project(space, target, given(space, options), how)
    for i, words in enumerate(found.codes.words):
        felt = "" if found.network == "none" else f", {found.network} {found.perceptual[i]:.4f}"
        yield f"{words}: pixels {found.pixel[i]:.4f}{felt}"
    pair = np.stack([target, found.images[0]])
    felt = "" if found.network == "none" else f", {found.network} {found.perceptual[0]:.4f}"
    caption = f"{Path(path).name} | projection\npixels {found.pixel[0]:.4f}{felt}; {space.words(found.codes)[0]}"
    files = {".png": draw.png(_pair(pair, caption), _about(space, options))}
    yield from _written(run, options, f"project_{Path(path).stem}", files, space, found.codes)


def _pair(pair: Array, caption: str) -> Image.Image:
    return draw.strips([pair.repeat(scale_of(pair, 192), 1).repeat(scale_of(pair, 192), 2)], [caption])


def _flat(space: latent.Space) -> tuple[int, int, int]:
    shape = space.model.algorithm.batch_spec.image_shape
    if media.is_volume(shape) or media.is_video(shape):
        raise UserError(f"project takes a picture; {space.saved.run.name} makes examples of {shape}")
    height, width, channels = shape
    return height, width, channels


def _about(space: latent.Space, options: Common) -> Provenance | None:
    return space.model.provenance if options.provenance else None


def _moving(
    space: latent.Space, options: Common, rows: Sequence[Array], captions: Sequence[str], one_after_the_other: bool
) -> dict[str, bytes]:
    """The strip and the moving picture of rows, by suffix."""
    about = _about(space, options)
    strip = draw.png(draw.strips(rows, captions), about)
    return {".png": strip, ".gif": draw.gif(rows, one_after_the_other, about)}


def _joined(rows: Sequence[latent.Codes]) -> latent.Codes:
    condition = {name: np.concatenate([row.condition[name] for row in rows]) for name in rows[0].condition}
    words = tuple(word for row in rows for word in row.words)
    return latent.Codes(np.concatenate([row.values for row in rows]), condition, words)


def _truncated(options: Common) -> str:
    return f", truncation {options.truncation:g}" if options.truncation != 1.0 else ""


def _name(options: From) -> str:
    """Of a file: what the pictures begin with."""
    of = list(options.seeds) if options.source is None else [options.source.stem, *map(str, options.pick)]
    return "_".join([*of, *options.condition])


def _written(
    run: str, options: Common, name: str, files: Mapping[str, bytes], space: latent.Space, codes: latent.Codes,
    content: bytes | None = None,
) -> Iterator[str]:  # fmt: skip
    """Writes pictures, and with --save the latents (or other `content`); yields the paths."""
    saved = {} if options.save is None else {options.save: content or latent.codes_bytes(space, codes)}
    if options.out is None:
        if saved:
            yield from map(str, places.write(saved))
        safe = re.sub(r"[^\w.=+-]", "-", name)[:_LONGEST]
        yield from map(str, places.place(results(run) / "latent" / safe, lambda _: files))
        return
    out = {options.out.with_suffix(suffix): made for suffix, made in files.items()}
    yield from map(str, places.write(saved | out))


DOES: Mapping[str, Callable[..., Iterator[str]]] = {
    "interpolate": interpolate,
    "traverse": traverse,
    "project": project,
    "directions": directions,
    "mix": mix,
}
"""Of each action, what it does."""
