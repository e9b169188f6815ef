"""Strips and sheets of pictures along ways through a latent space, and the same as a moving picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from genart_jax.data import media, provenance
from genart_jax.data.grid import make_grid, scale_of
from genart_jax.data.provenance import Provenance
from genart_jax.runtime.values import Array

_DURATION = 90  # milliseconds of a frame
_LARGEST = 512  # pixels of a moving picture's longer side, as far as whole numbers enlarge to it


def strips(rows: Sequence[Array], captions: Sequence[str]) -> Image.Image:
    """Rows of pictures, each with its caption below.

    Args:
      rows: uint8 (n, ..., height, width, channels) each.
      captions: as many lines.
    """
    scale = max(1, min(scale_of(rows[0]), 2400 // max(1, len(rows[0]) * rows[0].shape[-2])))
    drawn = [make_grid(row, len(row), scale, words) for row, words in zip(rows, captions, strict=True)]
    canvas = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        canvas.paste(one, (0, top))
        top += one.height
    return canvas


def table(top: Array, left: Array, cells: Array, caption: str) -> Image.Image:
    """Cells (rows * columns, ...) with their columns' pictures above and their rows' at the left."""
    top, left, cells = map(media.tiles, (top, left, cells))  # before the blank: a volume of 255 is a solid cube
    blank = np.full_like(top[:1], 255)
    rows = [np.concatenate([blank, top])]
    rows += [np.concatenate([left[i : i + 1], cells[i * len(top) : (i + 1) * len(top)]]) for i in range(len(left))]
    return make_grid(np.concatenate(rows), len(top) + 1, scale_of(top, 64), caption)


def moving_table(top: Array, left: Array, cells: Array, caption: str, about: Provenance | None) -> bytes | None:
    """The same of videos, as a GIF that plays over and over; None where nothing moves."""
    moments = media.moments({"top": top, "left": left, "cells": cells})
    frames = [table(one["top"], one["left"], one["cells"], caption) for one in moments]
    return _gif(frames, about) if frames else None


def png(picture: Image.Image, about: Provenance | None) -> bytes:
    """The file, which says where it comes from if it is told."""
    content = io.BytesIO()
    provenance.save(picture, content, about, format="PNG")
    return content.getvalue()


def gif(rows: Sequence[Array], one_after_the_other: bool, about: Provenance | None) -> bytes:
    """A GIF that plays forth and back: of one row after the other, or of all rows beside each other."""
    if one_after_the_other:
        moments = [
            frame[None] for i, row in enumerate(rows) for frame in (row[1:] if i else row)
        ]  # an end is a beginning
    else:
        moments = [np.stack(together) for together in zip(*rows, strict=True)]
    one = make_grid(moments[0])
    scale = max(1, _LARGEST // max(one.size) if len(moments[0]) > 1 else scale_of(moments[0], 192))
    frames = [make_grid(moment, scale=scale) for moment in moments]
    return _gif(frames + frames[-2:0:-1], about)


def _gif(frames: Sequence[Image.Image], about: Provenance | None) -> bytes:
    content = io.BytesIO()
    moving = {"save_all": True, "append_images": frames[1:], "duration": _DURATION, "loop": 0, "optimize": False}
    provenance.save(frames[0], content, about, format="GIF", **moving)
    return content.getvalue()
