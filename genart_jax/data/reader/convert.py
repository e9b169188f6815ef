"""One picture: encoded bytes or any Pillow image -> uint8 (height, width, channels)."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from . import depth, ending, opening, profile
from .depth import Array

NO_END = "the end marker is missing, nothing else: kept"
CLEAR = "wholly transparent, so all white"
BLANK = "an animation whose first picture, the one that is taken, is blank"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the orientation of Exif."""
_STRIP = 256  # rows


def decode(
    data: bytes, size: tuple[int, int], channels: int, notes: list[str] | None = None, fast: bool = False
) -> Array:
    """An encoded picture as uint8 (height, width, channels); see `to_uint8_picture`.

    Args:
      notes: gets a line for what is odd about a picture that can be used.
      fast: see `to_uint8_picture`.

    Raises:
      BadPictureError: it cannot be read.
    """
    notes = [] if notes is None else notes
    try:
        pixels = _decode(data, size, channels, notes, fast)
    except opening.CutShortError:
        mended = ending.with_jpeg_end(data)
        if mended is None:
            raise
        pixels = _decode(mended, size, channels, notes, fast)
        notes.append(NO_END)
        return pixels
    if ending.lacks_end(data):
        notes.append(NO_END)
    return pixels


def _decode(data: bytes, size: tuple[int, int], channels: int, notes: list[str], fast: bool) -> Array:
    with opening.opened(data) as picture:
        return to_uint8_picture(picture, size, channels, notes, fast)


def to_uint8_picture(
    picture: Image.Image, size: tuple[int, int], channels: int, notes: list[str] | None = None, fast: bool = False
) -> Array:
    """A Pillow image of any mode as uint8 (height, width, channels): upright, sRGB over white, cropped and resized.

    The largest centred part of the wanted aspect is kept and resized with an antialiasing (Lanczos) filter; a picture
    that has the wanted size already is not resampled. Colours are those that its ICC profile means.

    Args:
      size: (height, width).
      channels: 3 (RGB) or 1 (ITU-R 601 luma).
      notes: gets a line for what is odd about it.
      fast: a JPEG is decoded at the least of 1/1, 1/2, 1/4 and 1/8 of its size that is large enough, and resized with a
        linear filter (antialiasing too); else at twice the wanted size or more.

    Raises:
      BadPictureError: pixels without a fixed range (floats, 32-bit integers), or too many.
    """
    notes = [] if notes is None else notes
    height, width = size
    # A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is much faster; twice the wanted size loses nothing.
    picture.draft(None, _turned(picture, size) if fast else (2 * max(size), 2 * max(size)))
    if picture.width * picture.height > opening.MAX_PIXELS:
        raise opening.BadPictureError(f"{picture.width}x{picture.height} is too large, even decoded at a fraction")
    try:
        whole = depth.to_eight_bits(picture, notes)
    except depth.UnknownRangeError as error:
        raise opening.BadPictureError(str(error)) from None
    flat = _over_white(whole, notes)
    if (turn := TURNS.get(picture.getexif().get(0x0112, 1))) is not None:
        flat = flat.transpose(turn)
    # Files that hold several pictures have `n_frames`, for which some look through all of them.
    several = lambda: getattr(picture, "n_frames", 1) > 1
    if picture.format != "JPEG" and all(low == high for low, high in depth.extrema(flat)) and several():
        notes.append(BLANK)
    if flat.mode != (mode := "L" if channels == 1 else "RGB"):
        flat = flat.convert(mode)
    if flat.size != (width, height):
        flat = ImageOps.fit(flat, (width, height), Image.Resampling.BILINEAR if fast else Image.Resampling.LANCZOS)
    return pixels(flat)


def _turned(picture: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """Pillow's (width, height) of `size` as a JPEG lies in its file; other formats are not asked, a PNG would load."""
    height, width = size
    on_its_side = picture.format in ("JPEG", "MPO") and picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if on_its_side else (width, height)


def pixels(image: Image.Image) -> Array:
    """(height, width, channels) uint8, taken in strips: Pillow would make two copies more of the whole on the way."""
    out = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        out[top : top + _STRIP] = np.asarray(strip).reshape(strip.height, strip.width, -1)
    return out


def _over_white(picture: Image.Image, notes: list[str]) -> Image.Image:
    """RGB or L in sRGB, transparency over white."""
    icc = picture.info.get("icc_profile")
    if not picture.has_transparency_data:
        if picture.mode not in ("1", "L", "RGB", "CMYK"):
            picture = picture.convert("RGB")
        return profile.to_srgb(picture, icc, notes)
    picture = picture.convert("RGBA")
    alpha = picture.getchannel("A")
    if alpha.getextrema()[1] == 0:
        notes.append(CLEAR)
    picture = profile.to_srgb(picture.convert("RGB"), icc, notes)
    picture.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
