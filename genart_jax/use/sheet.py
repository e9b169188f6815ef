"""Sprite sheets: pictures with a transparent background on one canvas, with their places in the JSON that games read.

The JSON is TexturePacker's, which Phaser, PixiJS and others load: "frames" by file name (hash), or as a list (array).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import media, provenance
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.values import Array, Json

_GAP = 2  # transparent pixels between sprites, so that none shows at another's edge when it is scaled
_NEAR = 24  # levels: how far from white a background may be, noise and compression included
_LARGEST = 8192  # pixels of a side that most graphics cards take

Layout = Literal["hash", "array"]


class Sheet(NamedTuple):
    """A sprite sheet.

    Attributes:
      pixels: uint8 (height, width, 4), red, green, blue and alpha.
      frames: (left, top) of each sprite.
      opaque: how many sprites have no white at their border, and so nothing transparent.
    """

    pixels: Array
    frames: list[tuple[int, int]]
    opaque: int


def cut_out(images: Array) -> Array:
    """Pictures on white -> with alpha: uint8 (n, height, width, 1 or 3) -> (n, height, width, 4).

    Background is what is white, to within 24 of 255 levels in each channel, and hangs together with the border: white
    within a drawing stays. The pixels beside it, where a drawing's edge is blended with white, are unmixed: alpha is
    how far the pixel lies on the way from white to the mean colour of the drawing near it, and the white is taken out
    of its colour, so that no pale seam shows on another background. All else is opaque.
    """
    return np.stack([_cut(picture) for picture in media.tiles(images)])


def _cut(picture: Array) -> Array:
    from scipy.ndimage import binary_dilation, label, uniform_filter

    regions, _ = label((picture >= 255 - _NEAR).all(axis=-1))
    border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    background = np.isin(regions, border[border > 0])
    edge = binary_dilation(background, np.ones((3, 3), bool)) & ~background
    inner = (~background & ~edge)[..., None].astype(np.float64)
    ink = 255.0 - picture  # what is taken away from white
    mean = lambda x: uniform_filter(x, size=(5, 5, 1), mode="constant")
    share = mean(inner)
    near = np.where(share > 1e-6, mean(inner * ink) / np.maximum(share, 1e-6), ink)
    alpha = np.clip(np.sum(ink * near, -1) / np.maximum(np.sum(near * near, -1), 1.0), 1 / 255, 1.0)
    alpha = np.where(background, 0.0, np.where(edge, alpha, 1.0))[..., None]
    pure = 255.0 - ink / np.maximum(alpha, 1 / 255)
    colour = np.where(edge[..., None], pure, np.where(background[..., None], 255.0, picture))
    return np.rint(np.clip(np.concatenate([colour, 255.0 * alpha], axis=-1), 0, 255)).astype(np.uint8)


def pack(images: Array) -> Sheet:
    """Pictures of one size, cut out and laid out in rows, about as high as wide, two pixels apart.

    Raises:
      UserError: a sheet so large that games cannot load it.
    """
    n, (height, width) = len(images), media.tiles(images[:1]).shape[1:3]
    columns = max(1, round(math.sqrt(n * height / width)))
    rows = -(-n // columns)
    size = rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP
    if max(size) > _LARGEST:
        raise UserError(
            f"a sheet of {n} pictures would be {size[1]}x{size[0]}, above {_LARGEST}; ask for fewer, by --num"
        )
    sprites, pixels = cut_out(images), np.zeros((*size, 4), np.uint8)
    places = [((i % columns) * (width + _GAP), (i // columns) * (height + _GAP)) for i in range(n)]
    for sprite, (left, top) in zip(sprites, places, strict=True):
        pixels[top : top + height, left : left + width] = sprite
    return Sheet(pixels, places, int(np.sum(sprites[..., 3].min(axis=(1, 2)) > 0)))


def files(
    images: Array, names: Sequence[str], image: str, layout: Layout, meta: Json, about: Provenance | None = None
) -> tuple[dict[str, bytes], Sheet]:
    """A sheet's files by suffix, .png and .json, and the sheet.

    Args:
      images: uint8 (n, height, width, 1 or 3).
      names: of the sprites, each another.
      image: the PNG's name, which the JSON says.
      layout: "hash" or "array".
      meta: what the JSON's "meta" says besides.
      about: what the PNG says of where it comes from.
    """
    sheet = pack(images)
    height, width = media.tiles(images[:1]).shape[1:3]
    whole = {"x": 0, "y": 0, "w": width, "h": height}
    entries = [
        {
            "frame": {"x": left, "y": top, "w": width, "h": height},
            "rotated": False,
            "trimmed": False,
            "spriteSourceSize": whole,
            "sourceSize": {"w": width, "h": height},
        }
        for left, top in sheet.frames
    ]
    frames: Json | list[Json] = dict(zip(names, entries, strict=True))
    if layout == "array":
        frames = [{"filename": name, **entry} for name, entry in zip(names, entries, strict=True)]
    size = {"w": sheet.pixels.shape[1], "h": sheet.pixels.shape[0]}
    first = {"app": "genart_jax", "version": "1.0", "image": image, "format": "RGBA8888", "size": size, "scale": "1"}
    content = io.BytesIO()
    provenance.save(Image.fromarray(sheet.pixels), content, about, format="PNG")
    text = json.dumps({"frames": frames, "meta": first | meta}, indent=2) + "\n"
    return {".png": content.getvalue(), ".json": text.encode()}, sheet
