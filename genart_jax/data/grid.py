"""Pictures to look at: grids of images as PNG."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded
from genart_jax.types import to_uint8

_GAP = 2  # white pixels between pictures
_LINE = 1.4  # heights of a letter from line to line
_SPACE = "  "  # Pillow's font has a space of a fifth of a letter's height, which small letters run together over


def make_grid(images: ArrayLike, columns: int | None = None, scale: int = 1, caption: str = "") -> Image.Image:
    """Images (n, height, width, 1 or 3), float in [-1, 1] or uint8, as one picture.

    Args:
      images: what to show, row by row.
      columns: pictures a row; None: about as many as rows.
      scale: whole number by which pixels are enlarged.
      caption: lines to write below, in letters that grow with the picture; what is too long is wrapped.
    """
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or not len(pixels):
        raise UserError(f"a grid shows images (n, height, width, 1 or 3), not {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = to_uint8(pixels)
    pixels = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width, _ = pixels.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    size = columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP
    letters = max(14, min(28, size[0] // 40))
    lines = _wrapped(caption, letters, max(size[0], 24 * letters) - 8)
    text_width = max((math.ceil(text_length(line, letters)) + 8 for line in lines), default=0)
    text_height = math.ceil(_LINE * letters * len(lines)) + 4 if lines else 0
    canvas = Image.new("RGB", (max(size[0], text_width), size[1] + text_height), "white")
    for i, picture in enumerate(pixels):
        row, column = divmod(i, columns)
        canvas.paste(Image.fromarray(picture), (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    for i, line in enumerate(lines):
        write(canvas, (4, size[1] + round(_LINE * letters * i)), line, letters)
    return canvas


def write(canvas: Image.Image, place: tuple[int, int], text: str, letters: int = 14) -> None:
    """Writes a line of text with its upper left corner at `place`, black, `letters` pixels high."""
    ImageDraw.Draw(canvas).text(place, text.replace(" ", _SPACE), fill="black", font=_font(letters))


def text_length(text: str, letters: int = 14) -> float:
    """Pixels that `write` needs for a line."""
    return _font(letters).getlength(text.replace(" ", _SPACE))


@functools.cache
def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(letters)
    except (ImportError, OSError):  # a Pillow without FreeType has one small font alone
        return ImageFont.load_default()


def _wrapped(text: str, letters: int, width: int) -> list[str]:
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
    path: str | Path, images: ArrayLike, columns: int | None = None, scale: int = 1, caption: str = ""
) -> None:
    """Writes `make_grid(...)` as a PNG file, making its folder."""
    path = expanded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    make_grid(images, columns, scale, caption).save(path, format="PNG")
