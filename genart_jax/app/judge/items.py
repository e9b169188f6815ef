"""What is judged: pictures of runs, of folders and of files, written anew under numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import picture, whole
from genart_jax.data.reader import BadPictureError
from genart_jax.runtime import packaged
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array

RECORD = "items.json"
_SIDE = 512  # pixels of the longer side, at most
_BLOCKS = 8  # a check's picture is cut in so many parts a side, which are shuffled


class Items(NamedTuple):
    """Pictures of each source: FOLDER/pictures/SOURCE-INDEX.png, and SOURCE-INDEX-check.png with its parts shuffled.

    Attributes:
      folder: where they are.
      names: of the sources, in their order.
      each: pictures of each.
    """

    folder: Path
    names: tuple[str, ...]
    each: int

    def path(self, source: int, index: int, check: bool = False) -> Path:
        """Where a picture is."""
        return self.folder / "pictures" / f"{source}-{index}{'-check' if check else ''}.png"


def prepare(folder: Path, names: Sequence[str], count: int, seed: int) -> Items:
    """Writes the pictures, unless they are there from before.

    Args:
      folder: where.
      names: runs, models of the package, folders or files.
      count: of each, at most; all sources give as many as the smallest has.
      seed: of runs' pictures.

    Raises:
      UserError: a source without pictures, one named twice, or the folder holds others.
    """
    if len(set(names)) < len(names):
        raise UserError("a source is named twice")
    wanted = {"names": list(names), "count": count, "seed": seed}
    record = folder / RECORD
    if record.is_file():
        said = json.loads(record.read_text())
        if {key: said[key] for key in wanted} != wanted:
            raise UserError(f"{folder} holds other pictures and votes on them; choose another --folder")
        return Items(folder, tuple(names), said["each"])
    pictures = [_pictures(name, count, seed) for name in names]
    each = min(map(len, pictures))
    items = Items(folder, tuple(names), each)
    (folder / "pictures").mkdir(mode=0o700, parents=True, exist_ok=True)
    for source, several in enumerate(pictures):
        for index, pixels in enumerate(several[:each]):
            Image.fromarray(pixels).save(items.path(source, index))
            Image.fromarray(_shuffled(pixels, source * each + index)).save(items.path(source, index, True))
    record.write_text(json.dumps(wanted | {"each": each}) + "\n")
    return items


def _pictures(name: str, count: int, seed: int) -> list[Array]:
    """uint8 (height, width, 3) of a source."""
    if (packaged.place(name) / "config.json").is_file():
        return _drawn(name, count, seed)
    place = expanded(name)
    if not place.exists():
        raise UserError(f"{name}: there is no run, folder or picture of that name")
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix.lower() in picture.SUFFIXES)
    order = sorted(files, key=lambda p: hashlib.sha256(p.name.encode()).hexdigest())  # not by what names tell
    out = []
    for file in order[:count]:
        try:
            out.append(_small(whole.read(file, [])))
        except BadPictureError as error:
            raise UserError(f"{file}: {error}") from None
    if not out:
        raise UserError(f"{name}: there are no pictures")
    return out


def _drawn(name: str, count: int, seed: int) -> list[Array]:
    from genart_jax.data import media
    from genart_jax.train.checkpoint import load
    from genart_jax.use.sample import draw_samples

    model = load(name)
    if model.saved is None:
        raise UserError(f"{name} does not know its configuration")
    return list(media.tiles(draw_samples(model, model.saved, count, seed).images))


def _small(given: whole.Whole) -> Array:
    """Over white, in colour, and no larger than a page shows it."""
    colors = given.colors if given.colors.dtype == np.uint8 else (given.colors // 257).astype(np.uint8)
    image = Image.fromarray(colors[..., 0] if colors.shape[-1] == 1 else colors).convert("RGB")
    if given.alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), Image.fromarray(given.alpha))
    image.thumbnail((_SIDE, _SIDE))
    return np.asarray(image)


def _shuffled(pixels: Array, seed: int) -> Array:
    """The same parts in another order: everybody who looks sees that it is broken."""
    height, width = (max(1, n // _BLOCKS) for n in pixels.shape[:2])
    rows, columns = pixels.shape[0] // height, pixels.shape[1] // width
    order = np.random.default_rng(seed).permutation(rows * columns)
    out = pixels.copy()
    for to, source in enumerate(order):
        (a, b), (c, d) = divmod(to, columns), divmod(int(source), columns)
        part = pixels[c * height : (c + 1) * height, d * width : (d + 1) * width]
        out[a * height : (a + 1) * height, b * width : (b + 1) * width] = part
    return out
