"""One picture: encoded bytes, a file or any Pillow image -> uint8 (height, width, channels)."""

from __future__ import annotations

import logging
from pathlib import Path

from genart_jax.config import UserError
from genart_jax.data.reader import (
    FORMATS,
    MAX_BYTES,
    MAX_PIXELS,
    SUFFIXES,
    UNREAD_SUFFIXES,
    BadPictureError,
    decode,
    opened,
    to_uint8_picture,
    upright_size,
)
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array

__all__ = [
    "DEFAULT_SIZE",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "UNREAD_SUFFIXES",
    "BadPictureError",
    "check_channels",
    "decode",
    "opened",
    "picture_size",
    "read",
    "read_file",
    "size_of_file",
    "to_uint8_picture",
    "upright_size",
]

DEFAULT_SIZE = (64, 64)


def picture_size(image_size: tuple[int, ...], default: tuple[int, int] = DEFAULT_SIZE) -> tuple[int, int]:
    """(height, width) that `data.image_size` asks for: empty is `default`, one number a square.

    Raises:
      UserError: more than two numbers, or one below 1.
    """
    if not image_size:
        return default
    if len(image_size) > 2 or min(image_size) < 1:
        raise UserError(f"data.image_size: got {image_size}, wanted one number or height and width, each at least 1")
    return image_size[0], image_size[-1]


def check_channels(channels: int) -> None:
    """Raises UserError unless `channels` is 1 or 3."""
    if channels not in (1, 3):
        raise UserError(f"data.channels: got {channels}, wanted 3 (colour) or 1 (grey)")


def read(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
      OSError: it cannot be read.
      BadPictureError: it is larger than any picture should be.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise BadPictureError(f"{size >> 20} MiB, more than {MAX_BYTES >> 20}")
    return path.read_bytes()


def read_file(path: str | Path, size: tuple[int, int], channels: int) -> Array:
    """A picture file as uint8 (height, width, channels); what is odd about it is logged.

    Raises:
      UserError: it cannot be read.
    """
    notes: list[str] = []
    try:
        pixels = decode(read(expanded(path)), size, channels, notes)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except BadPictureError as error:
        raise UserError(f"{path}: {error}") from None
    for note in notes:
        logging.getLogger(__name__).warning("%s: %s", path, note)
    return pixels


def size_of_file(path: str | Path) -> tuple[int, int]:
    """(height, width) of a picture file as it is to be seen.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return upright_size(read(expanded(path)))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except BadPictureError as error:
        raise UserError(f"{path}: {error}") from None
