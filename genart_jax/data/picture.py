"""One picture: encoded bytes or any Pillow image -> uint8 (height, width, channels)."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genart_jax.config import UserError
from genart_jax.data.source import Array

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Pillow's names of what is opened; its rarer plugins are not let near files from outside."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
MAX_PIXELS = 100_000_000
"""Larger pictures are refused: a small file can claim any size, and Pillow only warns."""
MAX_BYTES = 512 * 2**20
"""Larger files are refused unread."""
DEFAULT_SIZE = (64, 64)
_LARGE = 10_000_000  # pixels
_one_at_a_time = threading.Lock()


class BadPictureError(ValueError):
    """A picture that cannot be read; the message says why, in a few words."""


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


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Opens an encoded picture; whatever goes wrong inside the `with` becomes a BadPictureError."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise BadPictureError(f"{picture.width}x{picture.height} is more than {MAX_PIXELS // 10**6} megapixels")
            # However many threads decode, one large picture is in memory.
            with _one_at_a_time if picture.width * picture.height > _LARGE else contextlib.nullcontext():
                yield picture
    except BadPictureError:
        raise
    except UnidentifiedImageError as error:
        raise BadPictureError("not a picture" if data else "empty file") from error
    except Exception as error:  # on damaged files Pillow's decoders raise almost anything
        raise BadPictureError(" ".join(str(error).split()) or type(error).__name__) from error


def read(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
      OSError: it cannot be read.
      BadPictureError: it is larger than any picture should be.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise BadPictureError(f"{size >> 20} MiB, more than {MAX_BYTES >> 20}")
    return path.read_bytes()


def decode(data: bytes, size: tuple[int, int], channels: int) -> Array:
    """An encoded picture as uint8 (height, width, channels).

    Raises:
      BadPictureError: it cannot be read.
    """
    with opened(data) as picture:
        return to_uint8_picture(picture, size, channels)


def read_file(path: str | Path, size: tuple[int, int], channels: int) -> Array:
    """A picture file as uint8 (height, width, channels).

    Raises:
      UserError: it cannot be read.
    """
    try:
        return decode(read(Path(path)), size, channels)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except BadPictureError as error:
        raise UserError(f"{path}: {error}") from None


def to_uint8_picture(picture: Image.Image, size: tuple[int, int], channels: int) -> Array:
    """A Pillow image of any mode as uint8 (height, width, channels), upright, over white, cropped and resized.

    The largest centred part of the wanted aspect is kept and resized with an antialiasing (Lanczos) filter; a picture
    that has the wanted size already is not resampled.

    Args:
      size: (height, width).
      channels: 3 (RGB) or 1 (ITU-R 601 luma).

    Raises:
      BadPictureError: pixels without a fixed range (floats, 32-bit integers).
    """
    height, width = size
    # A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is much faster; twice the wanted size loses nothing.
    picture.draft(None, (2 * max(size), 2 * max(size)))
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise BadPictureError("floating-point pixels, whose range is unknown")
    if picture.mode.startswith("I"):  # Pillow's own conversion would clip 16 bits to 255
        values = np.asarray(picture).astype(np.int32)
        if values.min() < 0 or values.max() > 65535:
            raise BadPictureError("32-bit pixels, whose range is unknown")
        picture = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("L" if channels == 1 else "RGB")
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(height, width, channels)
