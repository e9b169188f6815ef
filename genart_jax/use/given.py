"""Pictures as callers have them: files, images of Pillow, arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import picture
from genart_jax.runtime.values import Array

Picture = str | Path | Array | Image.Image

LEAST = 16
"""Pixels that a side must have."""


def pixels_of(given: Picture, size: int | None = None, channels: int = 3, least: int = LEAST) -> Array:
    """A picture, upright, in sRGB and over white, as uint8 (height, width, channels).

    Args:
      given: a file, an image of Pillow, or uint8 (height, width, 3).
      size: of its longer side; None: its own.
      channels: 3 or 1.
      least: pixels that a side must have.

    Raises:
      UserError: it cannot be read, or is no picture.
    """
    if isinstance(given, str | Path):
        height, width = picture.size_of_file(given)
        return picture.read_file(given, scaled((height, width), size, least), channels)
    if not isinstance(given, Image.Image):
        array = np.asarray(given)
        if (
            array.dtype != np.uint8
            or array.ndim not in (2, 3)
            or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4))
        ):
            raise UserError(f"a picture: got {array.shape} {array.dtype}, wanted uint8 (height, width, 3), or a file")
        given = Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
    turned = given.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    height, width = (given.width, given.height) if turned else (given.height, given.width)
    try:
        return picture.to_uint8_picture(given, scaled((height, width), size, least), channels)
    except picture.BadPictureError as error:
        raise UserError(f"a picture: {error}") from None


def scaled(size: tuple[int, int], longest: int | None, least: int = LEAST) -> tuple[int, int]:
    """(height, width) with the longer side as wanted and the proportions kept.

    Raises:
      UserError: it would be too small.
    """
    out = size if longest is None else tuple(max(1, round(longest * n / max(size))) for n in size)
    if min(out) < least:
        raise UserError(
            f"a picture of {size[0]}x{size[1]} at size {longest or max(size)} is too small; wanted {least} pixels"
        )
    return out[0], out[1]


def square(given: Picture, side: int) -> Array:
    """The largest square in the middle of a picture, resized: uint8 (side, side, 3)."""
    if isinstance(given, str | Path):
        return picture.read_file(given, (side, side), 3)
    return picture.to_uint8_picture(Image.fromarray(pixels_of(given, least=1)), (side, side), 3)
