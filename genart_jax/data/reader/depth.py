"""Pictures of more than 8 bits a channel: their whole range, which some files declare, becomes 0 to 255."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from . import ending

Array = np.ndarray[Any, np.dtype[Any]]  # not the package's own name: this folder is copied beside exported classifiers

SMALL = "16 bits a channel, but no value above 16383 and no depth declared: dark (say it in the file, as PNG's sBIT)"
WHOLE = "32-bit whole numbers, taken for a range of 0 to 65535"
_SWAPPED = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}


class UnknownRangeError(ValueError):
    """Pixels without a fixed range; the message says of which kind."""


def to_eight_bits(picture: Image.Image, notes: list[str]) -> Image.Image:
    """The picture with 8 bits a channel, loaded: L, LA, RGB or RGBA where it had more, else as it is.

    16 bits are scaled by the depth that the file declares (PNG: sBIT, TIFF: BitsPerSample, PGM: its largest value),
    else by 65535; nothing is guessed from the values, but where they end low, `notes` gets a line.

    Raises:
      UnknownRangeError: floats, negative or large 32-bit integers.
    """
    raw = _raw_mode(picture)
    wide = _both_bytes(picture) if ";16" in raw else None
    bits = _declared(picture)
    picture.load()
    if picture.mode == "F":
        raise UnknownRangeError("floating-point pixels, whose range is unknown")
    if picture.mode.startswith("I"):  # Pillow's own conversion would clip 16 bits to 255
        wide = np.asarray(picture).astype(np.int64)[..., None]
        if wide.min() < 0 or wide.max() > 65535:
            raise UnknownRangeError("32-bit pixels, whose range is unknown")
        if picture.format == "TIFF" and picture.mode == "I":
            notes.append(WHOLE)
    if wide is None:
        if ";16" in raw and max(high for _, high in extrema(picture)) < 64:
            notes.append(SMALL)
        return picture
    return _scaled(picture, wide, bits, notes)


def sixteen_bits(picture: Image.Image) -> Array:
    """A grey picture of more than 8 bits, loaded: int64 (height, width) from black, 0, to white, 65535.

    Raises:
      UnknownRangeError: negative or large 32-bit integers.
    """
    bits = _declared(picture)
    picture.load()
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnknownRangeError("32-bit pixels, whose range is unknown")
    if bits < 16 and _right_aligned(picture, values, bits):
        values = (values * 65535 + 2 ** (bits - 1)) // (2**bits - 1)
    return 65535 - values if _white_is_0(picture) else values


def _white_is_0(picture: Image.Image) -> bool:
    return picture.format == "TIFF" and _tag(picture, 262) == 0


def _scaled(picture: Image.Image, wide: Array, bits: int, notes: list[str]) -> Image.Image:
    """int64 (height, width, 1, 3 or 4) as a picture; where PNG names a transparent value, with an alpha channel."""
    colors = wide[..., :3]
    if bits == 16 and colors.max() < 2**14 and colors.any() and picture.mode != "I":
        notes.append(SMALL)
    largest = 2**bits - 1 if bits < 16 and _right_aligned(picture, colors, bits) else 65535
    pixels = (colors * 255 + largest // 2) // largest
    if _white_is_0(picture):
        pixels = 255 - pixels
    alpha = (wide[..., 3:] * 255 + 32767) // 65535 if wide.shape[-1] == 4 else None
    clear = picture.info.get("transparency")
    if alpha is None and isinstance(clear, int | tuple):
        alpha = 255 * (colors != np.array(clear)).any(-1, keepdims=True)
    joined = (pixels if alpha is None else np.concatenate([pixels, alpha], -1)).astype(np.uint8)
    out = Image.fromarray(joined[..., 0] if joined.shape[-1] == 1 else joined)
    out.info = {name: value for name, value in picture.info.items() if name != "transparency"}
    return out


def _right_aligned(picture: Image.Image, values: Array, bits: int) -> bool:
    """Whether values of `bits` bits lie in the lower ones.

    A TIFF's do. PNG asks for them in the upper ones, scaled to all 16 (section 11.3.2.4 of its specification): so no
    value may lie between two of its `bits`-bit ones; files of cameras and microscopes that declare sBIT and have such
    values, all of them small, did not scale.
    """
    if picture.format != "PNG":
        return True
    return bool(values.max() < 2**bits and (values % 2 ** (16 - bits) > 1).any())


def _declared(picture: Image.Image) -> int:
    """Bits a channel that the file declares, 16 where it says nothing."""
    if picture.format == "PNG" and ";16" in _raw_mode(picture):
        significant = ending.chunk(_content(picture), b"sBIT")
        colors = significant[: 3 if picture.mode.startswith("RGB") and len(significant) >= 3 else 1]
        return max(colors) if colors and 1 <= max(colors) <= 16 else 16
    if picture.format == "TIFF" and picture.mode.startswith("I;"):
        bits = _tag(picture, 258)
        return bits[0] if isinstance(bits, tuple) and 8 < bits[0] < 16 else 16
    return 16


def is_wide(picture: Image.Image) -> bool:
    """Whether a picture that is not loaded yet has more than 8 bits a channel, in whole numbers."""
    return ";16" in _raw_mode(picture) or picture.mode.startswith("I")


def _raw_mode(picture: Image.Image) -> str:
    """What Pillow calls the layout of the pixels in the file; empty where they are loaded."""
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile:
        return ""
    arguments = picture.tile[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _tag(picture: Image.Image, number: int) -> Any:
    return picture.tag_v2.get(number) if isinstance(picture, TiffImagePlugin.TiffImageFile) else None


def _content(picture: Image.Image) -> bytes:
    file = picture.fp if isinstance(picture, ImageFile.ImageFile) else None
    if file is None:  # it is loaded
        return b""
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    return data


def _both_bytes(picture: Image.Image) -> Array | None:
    """16-bit colours of a PNG as int64, where more than their upper bytes matter; else None.

    Pillow keeps the upper bytes alone. Read as if they were in the other order, it keeps the lower ones.
    """
    raw = _raw_mode(picture)
    if picture.format != "PNG" or raw not in _SWAPPED:
        return None
    if _declared(picture) == 16 and "transparency" not in picture.info:
        return None
    halves = []
    for name in (raw, _SWAPPED[raw]):
        half = PngImagePlugin.PngImageFile(io.BytesIO(_content(picture)))
        half.tile = [tile._replace(args=name) for tile in half.tile]
        half.load()
        halves.append(np.asarray(half).astype(np.int64))
    return halves[0] * 256 + halves[1]


def extrema(picture: Image.Image) -> list[tuple[int, int]]:
    """(lowest, highest) of each channel of colour."""
    found: Any = picture.getextrema()
    pairs = [found] if isinstance(found[0], int | float) else list(found)
    return pairs[: -1 if picture.mode in ("LA", "RGBA", "RGBa") else None]
