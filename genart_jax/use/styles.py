"""Contents in styles by one pass of a network: any size, several styles at once, each where its mask says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image

from genart_jax.config import UserError
from genart_jax.runtime.values import Array
from genart_jax.steps.pixels import luminance
from genart_jax.types import to_float, to_uint8
from genart_jax.use import tiles
from genart_jax.use.given import Picture, pixels_of
from genart_jax.use.painters import Brush, Painter

_WHOLE = 1024
"""Sides up to which a picture is painted in one piece; above, in pieces of `_PIECE`, with moments of the whole, which
is reduced to this."""
_PIECE = 768
_ALL = slice(None), slice(None)


class Shares(NamedTuple):
    """How much of each style there is.

    Attributes:
      weights: (K,), float32, with the sum 1.
      masks: uint8 (height, width), where each style is; none: all of them everywhere.
    """

    weights: Array
    masks: tuple[Array, ...] = ()

    def sized(self, size: tuple[int, int]) -> Shares:
        """The same with masks of (height, width)."""
        return self._replace(masks=tuple(_resized(mask, size) for mask in self.masks))

    def at(self, place: tuple[slice, slice], multiple: int = 1) -> tuple[Array, Array | None]:
        """Of a piece: each style's share, (K,) or (height, width, K), and what is painted at all.

        The latter is (height, width) in [0, 1], None where that is everything. Sides are padded to multiples.
        """
        if not self.masks:
            return self.weights, None
        pieces = np.stack([mask[place] for mask in self.masks], axis=-1)
        there = tiles.padded(pieces, multiple).astype(np.float32) / 255
        share = there * self.weights
        total = share.sum(-1, keepdims=True)
        share = np.where(total > 1e-6, share / np.maximum(total, 1e-6), self.weights)
        return share.astype(np.float32), (there * (self.weights > 0)).max(-1)


def shares(count: int, weights: Sequence[float] = (), masks: Sequence[Picture] = ()) -> Shares:
    """The shares of so many styles.

    Raises:
      UserError: another number of weights or masks, or weights that are no shares.
    """
    given = np.asarray(weights if len(weights) else np.ones(count), np.float32)
    if len(given) != count or not np.isfinite(given).all() or given.min() < 0 or given.sum() <= 0:
        raise UserError(f"mix {', '.join(map(str, weights))}: wanted {count} numbers of 0 and more, one a style")
    if not len(masks):
        return Shares(given / given.sum())
    if len(masks) != count:
        raise UserError(f"{len(masks)} masks for {count} styles: wanted one for each, white where the style is")
    read = [pixels_of(mask, channels=1, least=1)[..., 0] for mask in masks]
    size = max(one.shape for one in read)
    return Shares(given / given.sum(), tuple(_resized(one, size) for one in read))


def _resized(mask: Array, size: tuple[int, int]) -> Array:
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.BILINEAR))


def paint(painter: Painter, pixels: Array, given: Shares, strength: float = 1.0) -> Array:
    """A content painted: uint8 (height, width, 3) -> the same.

    Where masks leave it, it stays as it is. With a painter of greys its colours stay: what changes is luminance alone.

    Args:
      painter: the network with its styles.
      pixels: the content; of any size from 16 pixels on.
      given: how much of each style.
      strength: 0 to 1.
    """
    reduced = _reduced(pixels, painter.multiple)
    content = to_float(reduced[None])
    content = luminance(content) if painter.grey else content
    own = None
    if max(pixels.shape[:2]) > _WHOLE:
        share, _ = given.sized(reduced.shape[:2]).at(_ALL)
        own = painter.measure(content, jnp.asarray(share.reshape(-1, share.shape[-1]).mean(0)[None]))
    brush, given = Brush(painter.styles(content), own), given.sized(pixels.shape[:2])

    def piece(part: Array, place: tuple[slice, slice]) -> Array:
        before = to_float(part[None])
        grey = luminance(before) if painter.grey else before
        share, cover = given.at(place, painter.multiple)
        after = painter.paint(grey, jnp.asarray(share[None]), strength, brush)
        painted = to_uint8(before + luminance(after) - grey if painter.grey else after)[0]
        return painted if cover is None else _covered(part, painted, cover)

    longest = _PIECE if own is not None else _WHOLE
    return tiles.tiled(piece, pixels, longest, painter.reach, painter.multiple)


def within(masks: Sequence[Picture], before: Array, after: Array) -> Array:
    """What is painted where the one mask is white, and the content elsewhere; without a mask all of it.

    Args:
      masks: one picture of any size, or none.
      before: the content, uint8 (height, width, 3).
      after: the content painted, the same.

    Raises:
      UserError: several masks.
    """
    cover = shares(1, masks=masks).sized(after.shape[:2]).at(_ALL)[1]
    return after if cover is None else _covered(before, after, cover)


def _covered(before: Array, after: Array, cover: Array) -> Array:
    """`after` by `cover`, (height, width) in [0, 1]; `before` by what is left."""
    return np.rint(before + cover[..., None] * (after.astype(np.float32) - before)).astype(np.uint8)


def _reduced(pixels: Array, multiple: int) -> Array:
    """The whole with sides of at most `_WHOLE`, multiples of `multiple`."""
    if (longest := max(pixels.shape[:2])) <= _WHOLE:
        return tiles.padded(pixels, multiple)
    height, width = (max(multiple, round(n * _WHOLE / longest / multiple) * multiple) for n in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def check_strength(strength: float) -> None:
    """Raises UserError unless it is from 0 to 1."""
    if not 0 <= strength <= 1:
        raise UserError(f"strength {strength}: wanted 0 to 1")
