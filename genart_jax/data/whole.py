"""Whole pictures, as they come and as they go: their size, depth, transparency, profile and Exif are kept.

What training reads is cut, resized and made sRGB over white (`data.picture`); what is to be given back to its owner is
not.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import picture, provenance
from genart_jax.data.provenance import Provenance
from genart_jax.data.reader import BadPictureError, depth, ending, opened, profile
from genart_jax.data.reader.convert import NO_END, TURNS, pixels
from genart_jax.data.reader.opening import CutShortError
from genart_jax.runtime.values import Array, Json

FIRST = "an animation or several pictures: the first alone"
EIGHT = "16 bits a channel are kept in grey PNG and TIFF alone: written with 8"
OPAQUE = "this format holds no transparency: laid over white"
_ORIENTATION = 0x0112
_KEPT = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".avif")
"""Suffixes that an output takes over from its input, where this Pillow writes them; others become PNG."""
_CLEAR = ("PNG", "WEBP", "TIFF", "AVIF", "JPEG2000")
_DEEP = ("PNG", "TIFF")


class Whole(NamedTuple):
    """A picture, upright.

    Attributes:
      colors: (height, width, 1 or 3) uint8, or uint16 with the whole range; grey, or RGB as the file has it.
      alpha: (height, width) uint8, 255 where it is opaque; None: everywhere.
      icc: what the colours mean, an ICC profile; None: sRGB, or not said.
      exif: the file's Exif without the orientation; empty where there is none.
    """

    colors: Array
    alpha: Array | None = None
    icc: bytes | None = None
    exif: bytes = b""


def read(path: Path, notes: list[str]) -> Whole:
    """A picture file of any size and mode; `notes` gets a line for what is odd about it, or not kept.

    Raises:
      BadPictureError: it cannot be read; says why.
    """
    try:
        data = picture.read(path)
    except OSError as error:
        raise BadPictureError(error.strerror or str(error)) from None
    try:
        with opened(data) as image:
            whole = of_image(image, notes)
    except CutShortError:
        if (mended := ending.with_jpeg_end(data)) is None:
            raise
        with opened(mended) as image:
            whole = of_image(image, [*notes])
        notes.append(NO_END)
    if ending.lacks_end(data):
        notes.append(NO_END)
    return whole


def of_image(image: Image.Image, notes: list[str]) -> Whole:
    """What Pillow has opened, of any size and mode; `notes` as in `read`.

    Raises:
      BadPictureError: pixels without a fixed range.
    """
    if getattr(image, "n_frames", 1) > 1:  # of files that can hold several
        notes.append(FIRST)
    colors, alpha, icc = _planes(image, image.info.get("icc_profile"), notes)
    exif = image.getexif()  # of a PNG it loads the pixels, and then no one can tell how deep they were
    turn = TURNS.get(exif.pop(_ORIENTATION, 1))
    if turn is not None:
        colors, alpha = _turned(colors, turn), None if alpha is None else _turned(alpha, turn)
    return Whole(colors, alpha, icc, exif.tobytes() if len(exif) else b"")


def _turned(plane: Array, turn: Image.Transpose) -> Array:
    """An array (height, width, ...) turned as Pillow turns pictures."""
    axes = plane.swapaxes(0, 1)
    ways = {
        Image.Transpose.FLIP_LEFT_RIGHT: plane[:, ::-1], Image.Transpose.FLIP_TOP_BOTTOM: plane[::-1],
        Image.Transpose.ROTATE_180: plane[::-1, ::-1], Image.Transpose.TRANSPOSE: axes,
        Image.Transpose.TRANSVERSE: axes[::-1, ::-1], Image.Transpose.ROTATE_270: axes[:, ::-1],
        Image.Transpose.ROTATE_90: axes[::-1],
    }  # fmt: skip
    return np.ascontiguousarray(ways[turn])


def _planes(image: Image.Image, icc: bytes | None, notes: list[str]) -> tuple[Array, Array | None, bytes | None]:
    """Colours, transparency, and the profile that is still right for them."""
    wide = depth.is_wide(image)
    try:
        if image.mode.startswith("I") and not image.has_transparency_data:
            return depth.sixteen_bits(image).astype(np.uint16)[..., None], None, icc
        image = depth.to_eight_bits(image, notes)
    except depth.UnknownRangeError as error:
        raise BadPictureError(str(error)) from None
    if wide:
        notes.append(EIGHT)
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        alpha = pixels(image.getchannel("A"))[..., 0]
    if image.mode == "CMYK":
        return pixels(profile.to_srgb(image, icc, notes).convert("RGB")), alpha, None
    if image.mode in ("YCbCr", "LAB", "HSV"):
        icc = None
    mode = "L" if grey else "RGB"
    return pixels(image if image.mode == mode else image.convert(mode)), alpha, icc


def suffix_for(path: Path) -> str:
    """The suffix of what is made of a file: its own, or .png where this Pillow cannot write such files."""
    Image.init()
    suffix = path.suffix.lower()
    known = suffix in _KEPT and Image.registered_extensions().get(suffix) in Image.SAVE
    return path.suffix if known else ".png"


def check_writable(path: Path) -> None:
    """Raises UserError unless Pillow writes files of such a name."""
    Image.init()
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise UserError(f"--out {path}: name a picture file, such as FILE.png or FILE.jpg, or a folder")


def write(path: Path, whole: Whole, notes: list[str], about: Provenance | None = None) -> None:
    """Writes a picture in the format that its name says, whole or not at all; `notes` gets what that format lacks.

    With `about`, the file says which model made it.

    Raises:
      UserError: it cannot be written.
    """
    check_writable(path)
    kind = Image.registered_extensions()[path.suffix.lower()]
    colors, alpha = whole.colors, whole.alpha
    if colors.dtype == np.uint16 and (colors.shape[-1] != 1 or alpha is not None or kind not in _DEEP):
        notes.append(EIGHT)
        colors = (colors // 257).astype(np.uint8)
    image = Image.fromarray(colors[..., 0] if colors.shape[-1] == 1 else colors)
    if alpha is not None and kind in _CLEAR:
        image.putalpha(Image.fromarray(alpha))
    elif alpha is not None:
        notes.append(OPAQUE)
        white = Image.new(image.mode, image.size, "white")
        image = Image.composite(image, white, Image.fromarray(alpha))
    options: Json = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    options |= {name: value for name, value in (("icc_profile", whole.icc), ("exif", whole.exif)) if value}
    temporary = path.with_name(f".{path.name}.part")
    try:
        provenance.save(image, temporary, about, format=kind, **options)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
