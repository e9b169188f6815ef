"""Holes in pictures: boxes, strokes of a brush, scratches. A hole is filled with 0, the middle grey."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.data.degrade.base import Degraded, Range, draw, signed, unit
from genart_jax.nn.random import randint, stream

_VERTICES = 6  # of a stroke


def boxes(images: jax.Array, keys: jax.Array, count: int = 3, side: Range = (0.1, 0.4)) -> Degraded:
    """`count` rectangles an example, each side of it a share of the picture's, wholly inside.

    Parameters: "mask".
    """
    x = unit(images, keys)
    height, width = x.shape[1:3]
    sides = draw(keys, "sides", side, (count, 2))
    corners = draw(keys, "corners", (0.0, 1.0), (count, 2)) * (1.0 - sides)

    def one(corner: jax.Array, extent: jax.Array) -> jax.Array:
        inside = [
            (at >= corner[:, i, None]) & (at < (corner + extent)[:, i, None])
            for i, at in enumerate((jnp.arange(n) + 0.5) / n for n in (height, width))
        ]
        return jnp.any(inside[0][:, :, None] & inside[1][:, None, :], axis=0)

    return _cut(x, jax.vmap(one)(corners, sides))


def free_form(
    images: jax.Array, keys: jax.Array, strokes: int = 4, thickness: Range = (0.04, 0.12), length: Range = (0.1, 0.3)
) -> Degraded:
    """Strokes of a round brush along lines that bend, as an eraser leaves them (in the manner of Yu et al. 2019).

    Each of the `strokes` has five pieces; thickness and the pieces' lengths are shares of the picture's shorter side.
    Parameters: "mask".
    """
    x = unit(images, keys)
    height, width = x.shape[1:3]
    shorter, pieces = min(height, width), _VERTICES - 1
    start = draw(keys, "start", (0.0, 1.0), (strokes, 1, 2)) * jnp.array([height, width])
    angle = draw(keys, "angle", (0.0, 2.0 * jnp.pi), (strokes, 1))
    angle = angle + jnp.cumsum(draw(keys, "turns", (-1.2, 1.2), (strokes, pieces)), axis=-1)
    reach = draw(keys, "length", length, (strokes, pieces)) * shorter
    moves = reach[..., None] * jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    ends = jnp.concatenate([start, start + jnp.cumsum(moves, axis=-2)], axis=-2)
    radius = 0.5 * shorter * draw(keys, "thickness", thickness, (strokes,))
    rows, columns = jnp.arange(height)[:, None] + 0.5, jnp.arange(width) + 0.5

    def one(ends: jax.Array, radius: jax.Array) -> jax.Array:
        first, last = (part.reshape(-1, 2) for part in (ends[:, :-1], ends[:, 1:]))

        def add(mask: jax.Array, piece: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            a, b, r = piece
            along = b - a
            dy, dx = rows - a[0], columns - a[1]
            share = jnp.clip((dy * along[0] + dx * along[1]) / (along @ along + 1e-6), 0.0, 1.0)
            return mask | ((dy - share * along[0]) ** 2 + (dx - share * along[1]) ** 2 <= r**2), None

        nothing = jnp.broadcast_to(
            radius[0] < 0, (height, width)
        )  # of the example, for devices that each have their own
        return jax.lax.scan(add, nothing, (first, last, jnp.repeat(radius, pieces)))[0]

    return _cut(x, jax.vmap(one)(ends, radius))


def scratches(images: jax.Array, keys: jax.Array, count: int = 4, thickness: Range = (0.005, 0.02)) -> Degraded:
    """Up to `count` thin lines an example, nearly upright and slightly curved, over a part of the height.

    At least one; thickness is a share of the picture's shorter side, and at least one pixel. Parameters: "mask".
    """
    x = unit(images, keys)
    return _cut(x, scratch_mask(keys, (x.shape[1], x.shape[2]), count, thickness))


def scratch_mask(keys: jax.Array, size: tuple[int, int], count: int, thickness: Range) -> jax.Array:
    """Where the scratches are: bool (B, height, width)."""
    height, width = size
    at = draw(keys, "at", (0.0, 1.0), (count,)) * width
    slope = draw(keys, "slope", (-0.15, 0.15), (count,)) * width
    bend = draw(keys, "bend", (-0.05, 0.05), (count,)) * width
    first = draw(keys, "first", (0.0, 0.6), (count,))
    last = first + draw(keys, "reach", (0.2, 1.0), (count,))
    half = 0.5 * jnp.maximum(1.0, draw(keys, "thickness", thickness, (count,)) * min(size))
    used = jnp.arange(count) <= randint(stream(keys, "count"), count)[:, None]
    down = (jnp.arange(height) + 0.5) / height
    each = lambda values: values[..., None]  # (B, count, 1), against the rows
    middle = each(at) + each(slope) * down + each(bend) * jnp.sin(jnp.pi * down)
    rows = each(used) & (down >= each(first)) & (down <= each(last))
    near = jnp.abs(jnp.arange(width) + 0.5 - middle[..., None]) <= half[..., None, None]
    return jnp.any(near & rows[..., None], axis=1)


def _cut(x: jax.Array, holes: jax.Array) -> Degraded:
    mask = holes.astype(jnp.float32)[..., None]
    return Degraded(signed(jnp.where(mask > 0, 0.5, x)), {"mask": mask})
