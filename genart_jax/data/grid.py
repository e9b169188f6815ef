"""Pictures to look at: grids of images of any rank, as PNG, and of videos as an animation too."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from genart_jax.data import media
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.paths import expanded

_LINE = 1.4  # heights of a letter from line to line
_SPACE = "  "  # Pillow's font has a space of a fifth of a letter's height, which small letters run together over


def make_grid(images: ArrayLike, columns: int | None = None, scale: int = 1, caption: str = "") -> Image.Image:
    """Images (n, height, width, 1 or 3), float in [-1, 1] or uint8, as one picture.

    Volumes (n, size, size, size, 1 or 3) are a shaded surface each, videos (n, frames, height, width, 1 or 3) a row.

    Args:
      images: what to show, row by row.
      columns: pictures a row; None: about as many as rows.
      scale: whole number by which pixels are enlarged.
      caption: lines to write below, in letters that grow with the picture; what is too long is wrapped.
    """
    wide = np.ndim(images) == 5
    pixels = media.tiles(images)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width, _ = pixels.shape
    columns = columns or math.ceil(math.sqrt(n * height / width if wide else n))
    rows = math.ceil(n / columns)
    size = columns * (width + media.GAP) + media.GAP, rows * (height + media.GAP) + media.GAP
    letters = max(14, min(28, size[0] // 40))
    lines = wrapped(caption, letters, max(size[0], 24 * letters) - 8)
    text_width = max((math.ceil(text_length(line, letters)) + 8 for line in lines), default=0)
    text_height = math.ceil(_LINE * letters * len(lines)) + 4 if lines else 0
    canvas = Image.new("RGB", (max(size[0], text_width), size[1] + text_height), "white")
    for i, picture in enumerate(pixels):
        row, column = divmod(i, columns)
        place = media.GAP + column * (width + media.GAP), media.GAP + row * (height + media.GAP)
        canvas.paste(Image.fromarray(picture), place)
    for i, line in enumerate(lines):
        write(canvas, (4, size[1] + round(_LINE * letters * i)), line, letters)
    return canvas


def write(canvas: Image.Image, place: tuple[int, int], text: str, letters: int = 14, color: str = "black") -> None:
    """Writes a line of text with its upper left corner at `place`, `letters` pixels high."""
    ImageDraw.Draw(canvas).text(place, text.replace(" ", _SPACE), fill=color, font=_font(letters))


def text_length(text: str, letters: int = 14) -> float:
    """Pixels that `write` needs for a line."""
    return _font(letters).getlength(text.replace(" ", _SPACE))


@functools.cache
def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(letters)
    except (ImportError, OSError):  # a Pillow without FreeType has one small font alone
        return ImageFont.load_default()


def wrapped(text: str, letters: int, width: int) -> list[str]:
    """Lines of words, each at most `width` pixels long where a word allows it."""
    lines: list[str] = []
    for given in text.splitlines():
        line = ""
        for word in given.split(" "):
            longer = f"{line} {word}" if line else word
            if line and text_length(longer, letters) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def save_grid(
    path: str | Path,
    images: ArrayLike,
    columns: int | None = None,
    scale: int = 1,
    caption: str = "",
    about: Provenance | None = None,
) -> tuple[Path, ...]:
    """Writes `make_grid(...)` as PNG, making its folder; of videos, an animation beside it. Returns the files.

    With `about`, such as a loaded model's `provenance`, the files say that they are generated, and by whom.
    """
    draw = lambda one: make_grid(one[""], columns, scale, caption)
    return media.save(expanded(path), {"": np.asarray(images)}, draw, about)


def scale_of(images: ArrayLike, least: int = 96) -> int:
    """By how much to enlarge images so that they are at least so high, or as near as whole numbers come to it."""
    shape = np.shape(images)
    return 1 if media.is_volume(shape[1:]) else max(1, least // int(shape[-3]))  # volumes are drawn large enough
