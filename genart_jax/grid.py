"""Pictures to look at: grids of images as PNG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from genart_jax.config import UserError
from genart_jax.types import to_uint8

_GAP = 2  # white pixels between pictures


def make_grid(images: Any, columns: int | None = None, scale: int = 1, caption: str = "") -> Image.Image:
    """Images (n, height, width, 1 or 3), float in [-1, 1] or uint8, as one picture.

    Args:
      images: what to show, row by row.
      columns: pictures a row; None: about as many as rows.
      scale: whole number by which pixels are enlarged.
      caption: lines to write below.
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
    lines = caption.splitlines()
    text_height = 14 * len(lines) + 4 if lines else 0
    size = columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP
    drawing = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    text_width = max((math.ceil(drawing.textlength(line)) + 8 for line in lines), default=0)
    canvas = Image.new("RGB", (max(size[0], text_width), size[1] + text_height), "white")
    for i, picture in enumerate(pixels):
        row, column = divmod(i, columns)
        canvas.paste(Image.fromarray(picture), (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    drawing = ImageDraw.Draw(canvas)
    for i, line in enumerate(lines):
        drawing.text((4, size[1] + 14 * i), line, fill="black")
    return canvas


def save_grid(path: str | Path, images: Any, columns: int | None = None, scale: int = 1, caption: str = "") -> None:
    """Writes `make_grid(...)` as a PNG file, making its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    make_grid(images, columns, scale, caption).save(path, format="PNG")
