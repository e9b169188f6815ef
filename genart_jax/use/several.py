"""One picture file, or a folder of them, in a style: which are made, where they are written, and what went wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import picture, whole
from genart_jax.data.provenance import Provenance
from genart_jax.data.reader import BadPictureError
from genart_jax.data.whole import Whole
from genart_jax.runtime.values import Array
from genart_jax.use import styles, trained
from genart_jax.use.given import pixels_of
from genart_jax.use.stylize import check_out
from genart_jax.use.transform import free, strip_of


class Order(NamedTuple):
    """What is to be made of each content: see `styles.stylize`."""

    method: str
    style: tuple[str, ...]
    strength: float = 1.0
    mix: tuple[float, ...] = ()
    mask: tuple[Path, ...] = ()
    keep_color: bool = False
    size: int | None = None
    network: str | None = None
    provenance: bool = True
    compare: bool = False


class Done(NamedTuple):
    """A content, the file that was made of it, and what went wrong instead; "" if nothing.

    `notes`: lines of what is odd about the content, or was not kept.
    """

    content: Path
    place: Path
    problem: str = ""
    notes: tuple[str, ...] = ()


def contents_of(path: Path) -> list[Path]:
    """The picture itself, or those of a folder by name; whatever they hold, which is seen when they are read.

    Raises:
      UserError: there is nothing, or no picture.
    """
    if not path.is_dir():
        picture.size_of_file(path)
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in picture.SUFFIXES and not p.name.startswith("."))
    if not found:
        raise UserError(f"{path}: there is no picture in this folder")
    return found


def places(contents: Sequence[Path], given: Path, style: Sequence[str], out: Path | None) -> list[Path]:
    """Where each picture is written. A folder is made; what is there already is never written over.

    Args:
      contents: the pictures.
      given: what they are from: one of them, or their folder.
      style: the styles, whose names are in the names that are chosen here.
      out: a file for one picture, a folder for those of a folder; None: a new one here.

    Raises:
      UserError: the file is there already, or cannot be one.
    """
    words = "-".join(re.sub(r"\W+", "_", Path(one).stem if Path(one).is_file() else one).strip("_") for one in style)
    if not given.is_dir():
        if out is None:
            named = (Path(f"{given.stem}-{words}{f'-{i}' if i > 1 else ''}.png") for i in range(1, 10_000))
            return [next(path for path in named if not path.exists())]
        check_out(out)
        if out.exists():
            raise UserError(f"--out {out} is there already; name another, or remove it")
        return [out]
    folder = out or Path(f"{given.resolve().name}-{words}")
    if folder.is_file() or folder.resolve() == given.resolve():
        raise UserError(f"--out {folder}: {'a file' if folder.is_file() else 'where the contents are'}; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    stems = Counter(path.stem for path in contents)
    return [folder / f"{path.stem if stems[path.stem] == 1 else path.name}.png" for path in contents]


def run(order: Order, contents: Sequence[Path], places: Sequence[Path]) -> Iterator[Done]:
    """Makes the pictures one by one. Of several, what is there already and what cannot be read is passed over.

    Raises:
      UserError: what is wrong with the order, or with the only picture.
    """
    styles.check_strength(order.strength)
    given = styles.shares(len(order.style), order.mix, order.mask)
    painter = trained.painter(order.method, order.style, order.network, order.keep_color)
    for content, place in zip(contents, places, strict=True):
        if place.exists():
            yield Done(content, place, f"{place} is there already: passed over")
            continue
        notes: list[str] = []
        try:
            made = styles.paint(painter, pixels_of(content, order.size), given, order.strength)
            save(place, content, made, notes, painter.about if order.provenance else None, order.compare)
        except UserError as error:
            if len(contents) == 1:
                raise
            yield Done(content, place, f"{error}: passed over")
            continue
        yield Done(content, place, "", tuple(notes))


def save(
    place: Path, content: Path, made: Array, notes: list[str], about: Provenance | None = None, compare: bool = False
) -> None:
    """Writes a painted picture with the transparency and the Exif of its content, and a strip of both beside it.

    Args:
      place: the file.
      content: the file that it was made of.
      made: uint8 (height, width, 3), sRGB.
      notes: gets a line for what is odd about the content, or not kept.
      about: what the file is to say of itself.
      compare: write PLACE-compare.png, too; with a number behind it where that is there.

    Raises:
      UserError: the content cannot be read any more, or the file not written.
    """
    try:
        given = whole.read(content, notes)
    except BadPictureError as error:
        raise UserError(f"{content}: {error}") from None
    alpha = given.alpha
    if alpha is not None and alpha.shape != made.shape[:2]:
        alpha = np.asarray(Image.fromarray(alpha).resize(made.shape[1::-1], Image.Resampling.BICUBIC))
    if given.colors.dtype == np.uint16:
        notes.append("more than 8 bits a channel: painted with 8")
    result = Whole(made, alpha, None, given.exif)
    del given  # large ones are not to be in memory three times
    whole.write(place, result, notes, about)
    if compare:
        (beside,) = free([place.with_name(f"{place.stem}-compare.png")], {place})
        whole.write(beside, strip_of(Whole(pixels_of(content)), result), notes, about)
