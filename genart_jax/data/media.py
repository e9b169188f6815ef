"""Examples of any rank as pictures: volumes as shaded surfaces, videos as a strip of frames and as an animation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, features

from genart_jax.config import UserError
from genart_jax.data import isosurface, provenance
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.values import Array
from genart_jax.types import to_uint8

Columns = Mapping[str, Array]
"""Label -> examples (n, ...), all of one height: what is drawn side by side, in this order."""

GAP = 2
"""White pixels between pictures."""
_SPACE = 8  # between examples on a sheet
_LINE = 12  # from line to line of a sheet's words
_WIDE = 1400  # pixels of a sheet
_MOST = 5  # lines below an example
_DURATION = 125  # milliseconds of a frame
_VIEWS = 24  # of a turntable


def is_volume(shape: Sequence[int]) -> bool:
    """Whether examples of this shape are volumes, cubes of one channel, (n, n, n, 1); others of four axes are videos.

    Grey videos of as many frames as pixels a side would be volumes; whoever makes or reads videos refuses those.
    """
    return len(shape) == 4 and shape[0] == shape[1] == shape[2] and shape[3] == 1


def is_video(shape: Sequence[int]) -> bool:
    """Whether an example of this shape is a video, (frames, height, width, channels)."""
    return len(shape) == 4 and not is_volume(shape)


def to_pixels(images: ArrayLike) -> Array:
    """Examples of any rank, float in [-1, 1] or uint8, as uint8.

    Raises:
      UserError: they are no pictures, volumes or videos.
    """
    pixels = np.asarray(images)
    if pixels.ndim not in (4, 5) or pixels.shape[-1] not in (1, 3) or not len(pixels):
        wanted = "(n, height, width, 1 or 3), or with frames or depth behind n"
        raise UserError(f"a grid shows images {wanted}, not {pixels.shape}")
    return pixels if pixels.dtype == np.uint8 else to_uint8(pixels)


def tiles(images: ArrayLike) -> Array:
    """Each example as one picture: uint8 (n, height, width, 3).

    A volume is the shaded surface of what is solid in it (`isosurface`), a video is a row of frames.

    Args:
      images: (n, height, width, 1 or 3), (n, size, size, size, 1 or 3) or (n, frames, height, width, 1 or 3), float in
        [-1, 1] or uint8.
    """
    pixels = to_pixels(images)
    if is_volume(pixels.shape[1:]):
        pixels = isosurface.shaded(pixels)
    elif is_video(pixels.shape[1:]):
        pixels = np.concatenate(list(np.moveaxis(pixels, 1, 0)), axis=2)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def moments(columns: Columns) -> list[dict[str, Array]]:
    """What is to be seen at each moment, where some of it are videos: one `Columns` a frame; else none.

    Shorter videos stay at their last frame.
    """
    pixels = {label: to_pixels(images) for label, images in columns.items()}
    lengths = {label: x.shape[1] for label, x in pixels.items() if is_video(x.shape[1:])}
    at = lambda label, t: pixels[label][:, min(t, lengths[label] - 1)] if label in lengths else pixels[label]
    return [{label: at(label, t) for label in pixels} for t in range(max(lengths.values(), default=0))]


def turntable(columns: Columns) -> list[dict[str, Array]]:
    """What is seen of volumes from all around, where there are some: one `Columns` a view; else none."""
    pixels = {label: to_pixels(images) for label, images in columns.items()}
    if not any(is_volume(x.shape[1:]) for x in pixels.values()):
        return []
    turned = lambda x, i: isosurface.shaded(x, isosurface.AZIMUTH + 360 * i / _VIEWS) if is_volume(x.shape[1:]) else x
    return [{label: turned(x, i) for label, x in pixels.items()} for i in range(_VIEWS)]


def save(
    path: Path,
    columns: Columns,
    draw: Callable[[Columns], Image.Image],
    about: Provenance | None = None,
    turn: bool = False,
) -> tuple[Path, ...]:
    """Writes what `draw` makes of examples as PNG and, where there are videos, beside it as an animation.

    See `beside`; it is a WebP, or a GIF where Pillow has none. With `turn`, volumes turn in a GIF beside it. Generated
    ones say so, if `about` is given. Returns the files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance.save(draw(columns), path, about, format="PNG")
    views = turntable(columns) if turn else []
    if not (drawn := [draw(one) for one in views or moments(columns)]):
        return (path,)
    return path, _animation(path.with_suffix(".gif") if views else beside(path), drawn, about)


MOVING = (".gif", ".webp")
"""The animations that `animate` writes."""


def animate(
    path: Path, columns: Columns, draw: Callable[[Columns], Image.Image], about: Provenance | None = None
) -> Path:
    """Writes videos as they move, and volumes as they turn, as a GIF or an animated WebP (by the path's suffix).

    Raises:
      UserError: there is nothing that moves, or Pillow has no WebP.
    """
    if path.suffix == ".webp" and not features.check("webp"):
        raise UserError(f"{path}: this Pillow was built without WebP; write FILE.gif")
    drawn = [draw(one) for one in turntable(columns) or moments(columns)]
    if not drawn:
        raise UserError(f"{path}: a {path.suffix[1:]} is of videos and volumes; write FILE.png of pictures")
    path.parent.mkdir(parents=True, exist_ok=True)
    return _animation(path, drawn, about)


def _animation(path: Path, drawn: Sequence[Image.Image], about: Provenance | None) -> Path:
    options: dict[str, bool] = {"lossless": True} if path.suffix == ".webp" else {}
    rest = {"append_images": drawn[1:], "duration": _DURATION, "loop": 0}
    provenance.save(drawn[0], path, about, save_all=True, **rest, **options)
    return path


def beside(path: Path) -> Path:
    """Where the animation that belongs to a PNG file goes."""
    return path.with_suffix(".webp" if features.check("webp") else ".gif")


def sheet(columns: Columns, words: Sequence[Sequence[str]] | None = None, per_row: int | None = None) -> Image.Image:
    """Examples as labelled pictures side by side, each with its words below.

    Args:
      columns: the pictures of each label; a heading names them, unless there is one alone.
      words: of each example, such as names of its classes; at most five are shown.
      per_row: examples a row; None: as many as fit.
    """
    pictures = {label: tiles(images) for label, images in columns.items()}
    tallest = max(x.shape[1] for x in pictures.values())
    scale = max(1, -(-64 // tallest))
    pictures = {label: x.repeat(scale, axis=1).repeat(scale, axis=2) for label, x in pictures.items()}
    height, widths = scale * tallest, [x.shape[2] for x in pictures.values()]
    width = sum(widths) + GAP * (len(widths) - 1)
    number, lines = len(next(iter(pictures.values()))), min(_MOST, max(map(len, words or [()]), default=0))
    per_row = per_row or max(1, min(number, _WIDE // (width + _SPACE)))
    head = _LINE + 2 if len(pictures) > 1 else 0
    step = width + _SPACE, height + _LINE * lines + (10 if lines else _SPACE)
    canvas = Image.new("RGB", (per_row * step[0] + _SPACE, head + -(-number // per_row) * step[1] + _SPACE), "white")
    drawing = ImageDraw.Draw(canvas)
    for i in range(number):
        x, y = _SPACE + i % per_row * step[0], head + _SPACE + i // per_row * step[1]
        left = x
        for label, own in pictures.items():
            canvas.paste(Image.fromarray(own[i]), (left, y))
            if head and i < per_row:
                _write(drawing, (left, 4), label, own.shape[2])
            left += own.shape[2] + GAP
        for j, word in enumerate((words[i] if words else ())[:_MOST]):
            _write(drawing, (x, y + height + _LINE * j), word, width)
    return canvas


def _write(drawing: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    while text and drawing.textlength(text) > width:
        text = text[:-1]
    drawing.text(place, text, fill="black")
