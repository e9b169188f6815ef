"""From files to pictures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from genart_jax.data import picture
from genart_jax.runtime.values import Array, Json


def icon(pack: Json, one: Json, size: int) -> str:
    """An icon of an Iconify package as an SVG document of a square: an oblong one keeps its proportions."""
    width, height = (one.get(side, pack.get(side, 16)) for side in ("width", "height"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{size}" height="{size}" '
        f'viewBox="{one.get("left", 0)} {one.get("top", 0)} {width} {height}">{one["body"]}</svg>'
    )


def vector(svg: str, size: int) -> Array:
    """An SVG document on white: uint8 (size, size, 3)."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as image:
        canvas = Image.new("RGBA", (size, size), "white")
        canvas.alpha_composite(image.convert("RGBA"))
    return np.asarray(canvas.convert("RGB"))


def rgba(content: bytes) -> Image.Image:
    """An encoded picture with its transparency.

    Raises:
      picture.BadPictureError: it cannot be read.
    """
    with picture.opened(content) as image:
        return image.convert("RGBA")


def whole(content: bytes) -> Image.Image:
    """An encoded picture over white, RGB.

    Raises:
      picture.BadPictureError: it cannot be read.
    """
    shown = rgba(content)
    canvas = Image.new("RGBA", shown.size, "white")
    canvas.alpha_composite(shown)
    return canvas.convert("RGB")


def boxed(content: bytes, size: int) -> Array:
    """All of a picture in the middle of a white square, without its transparent border: uint8 (size, size, 3).

    Raises:
      picture.BadPictureError: it cannot be read, or all of it is transparent.
    """
    shown = rgba(content)
    box = shown.getchannel("A").getbbox()
    if box is None:
        raise picture.BadPictureError("all of it is transparent")
    shown = shown.crop(box)
    side = max(shown.size)
    canvas = Image.new("RGBA", (side, side), "white")
    canvas.alpha_composite(shown, ((side - shown.width) // 2, (side - shown.height) // 2))
    return np.asarray(canvas.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))


def patches(image: Image.Image, size: int) -> Array:
    """Squares side by side that do not overlap, from the middle of a picture: uint8 (N, size, size, 3)."""
    pixels = np.asarray(image)
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    top, left = (pixels.shape[0] - rows * size) // 2, (pixels.shape[1] - columns * size) // 2
    cut = pixels[top : top + rows * size, left : left + columns * size]
    return cut.reshape(rows, size, columns, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)


def encoded(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
