"""A network from pictures to pictures, applied to a picture of any size: in tiles that overlap by what it looks at.

So a tile is what the whole picture would be there, and there is no seam. What must be known of all of the picture is
measured once, on a small copy (the use `overview`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from genart_jax.data.reader import BadPictureError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array, Json
from genart_jax.runtime.watch import watched
from genart_jax.train.checkpoint import Model
from genart_jax.types import Translation
from genart_jax.use.tiles import windows

_CORE = 256  # pixels of a tile that are kept, along each side
_ROUND = 64  # sides of small pictures become multiples of it, so that a few programs serve all
_LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R 601
_SMALL = 128  # side of the copy that the overview sees


class Span(NamedTuple):
    """A tile along one axis: where it begins, and which part of it, from `low` to `high`, is kept."""

    start: int
    low: int
    high: int


def spans(length: int, about: Translation, core: int = _CORE) -> tuple[int, list[Span]]:
    """The length of tiles, and the tiles along an axis of so many pixels: together they keep all of it."""
    reach, multiple = about.reach or 0, about.multiple
    whole = math.lcm(multiple, _ROUND)
    longest = -(-(core + 2 * reach) // multiple) * multiple
    if length <= longest:
        return min(-(-length // whole) * whole, longest), [Span(0, 0, length)]
    pieces = windows(-(-length // multiple) * multiple, longest, reach, multiple)
    return longest, [Span(w.begin, w.kept.start - w.begin, min(w.kept.stop, length) - w.begin) for w in pieces]


class Tiled:
    """A model's `transform` for pictures of any size.

    Args:
      model: which has the use.
      core: how many pixels of a tile are kept, along each side.
      use: another use of this kind, such as "back".
    """

    def __init__(self, model: Model, core: int = _CORE, use: str = "transform") -> None:
        self._algorithm, self._state = model
        self.use = self._algorithm.use(use)
        self.about = self.use.translation or Translation()
        self._core = core
        self._names = {one.name for one in self.use.inputs}
        self.channels = self.use.inputs[0].shape[-1]

    @property
    def takes_mask(self) -> bool:
        """Whether it is told what is missing."""
        return "mask" in self._names

    @functools.cached_property
    def _compiled(self) -> Callable[..., jax.Array]:
        return compiler.jit(lambda state, images, key, told: self.use.function(state, images, key, **told))

    @functools.cached_property
    def _overview(self) -> Callable[..., jax.Array]:
        return compiler.jit(self._algorithm.uses["overview"].function)

    def __call__(self, colors: Array, mask: Array | None = None, strength: float = 1.0, seed: int = 0) -> Array:
        """(height, width, 1 or 3) uint8 or uint16 -> the same type, larger by the model's scale.

        `mask` (height, width) bool is where the picture is lost. One tile at a time is on the device.
        """
        given: Json = {"strength": np.float32(strength)} if "strength" in self._names else {}
        if self.about.reach is None:
            return self._at_one_size(colors, given, seed)
        if "overview" in self._names:
            given["overview"] = self._overview(self._state, self._float(_small(colors)))
        scale, (height, width) = self.about.scale, colors.shape[:2]
        out = np.empty((height * scale, width * scale, colors.shape[-1]), colors.dtype)
        for rows, columns, sides in self._places(height, width):
            cut = lambda x, r=rows, c=columns, s=sides: _tile(x, r.start, c.start, *s)
            if mask is not None:
                given["mask"] = cut(mask[..., None])[None].astype(np.float32)
            made = np.asarray(self._compiled(self._state, self._float(cut(colors)), jax.random.key(seed), given))[0]
            kept = made[rows.low * scale : rows.high * scale, columns.low * scale : columns.high * scale]
            top, left = (rows.start + rows.low) * scale, (columns.start + columns.low) * scale
            out[top : top + len(kept), left : left + kept.shape[1]] = self._back(kept, colors)
        return out

    def _places(self, height: int, width: int) -> Iterator[tuple[Span, Span, tuple[int, int]]]:
        (tall, rows), (wide, columns) = (spans(n, self.about, self._core) for n in (height, width))
        places = [(r, c, (tall, wide)) for r, c in itertools.product(rows, columns)]
        yield from watched(places, len(places), "tiles done")

    def _at_one_size(self, colors: Array, given: Json, seed: int) -> Array:
        """Of a model that sees all of a picture, at the size that it was trained on, and back."""
        if colors.dtype != np.uint8:
            raise BadPictureError("this model takes pictures of one size and 8 bits alone")
        height, width = self.use.inputs[0].shape[:2]
        sized = lambda x, size: np.asarray(
            Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).resize(size, Image.Resampling.LANCZOS)
        ).reshape(size[1], size[0], -1)
        images = self._float(sized(colors, (width, height)))
        made = np.asarray(self._compiled(self._state, images, jax.random.key(seed), given))[0]
        return sized(self._back(made, colors), colors.shape[1::-1])

    def _float(self, colors: Array) -> Array:
        """(height, width, .) -> (1, height, width, the model's channels) float32 in [-1, 1]."""
        half = 32767.5 if colors.dtype == np.uint16 else 127.5
        x = colors.astype(np.float32)[None] / np.float32(half) - 1.0
        if x.shape[-1] != self.channels:
            x = np.repeat(x, 3, axis=-1) if self.channels == 3 else x @ _LUMA
        return np.clip(x, -1.0, 1.0)

    def _back(self, made: Array, colors: Array) -> Array:
        """Float pixels in [-1, 1] as the picture has them: grey ones stay grey, coloured ones have three channels."""
        if made.shape[-1] != colors.shape[-1]:
            grey = made @ _LUMA if made.shape[-1] == 3 else made
            made = grey if colors.shape[-1] == 1 else np.repeat(grey, 3, axis=-1)
        half = 32767.5 if colors.dtype == np.uint16 else 127.5
        return np.rint(np.clip((made + 1.0) * half, 0.0, 2.0 * half)).astype(colors.dtype)


def _tile(x: Array, top: int, left: int, tall: int, wide: int) -> Array:
    """A tile of (height, width, .); beyond the edge its pixels are repeated."""
    cut = x[top : top + tall, left : left + wide]
    fill = [(0, tall - cut.shape[0]), (0, wide - cut.shape[1]), (0, 0)]
    return np.pad(cut, fill, mode="edge") if fill[0][1] or fill[1][1] else cut


def _small(colors: Array) -> Array:
    """A copy of (height, width, .) with few pixels, uint8."""
    every = [max(1, n // (8 * _SMALL)) for n in colors.shape[:2]]  # so that little is copied
    thin = colors[:: every[0], :: every[1]]
    thin = (thin >> 8).astype(np.uint8) if thin.dtype == np.uint16 else np.ascontiguousarray(thin)
    image = Image.fromarray(thin[..., 0] if thin.shape[-1] == 1 else thin)
    small = np.asarray(image.resize((_SMALL, _SMALL), Image.Resampling.BOX))
    return small.reshape(_SMALL, _SMALL, -1)
