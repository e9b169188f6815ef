"""A few images at a time, so that what a form writes out in between stays in the cache."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from genart_jax.nn.conv.direct import weight_lax
from genart_jax.nn.conv.geometry import Form, Geometry
from genart_jax.nn.conv.matmul import transpose_matmul

POSITIONS = 1024
"""Output positions of one chunk; 512 to 4096 are about as fast."""
SHARED_POSITIONS = 8192
"""The same for kernel gradients by Eigen, which needs enough for all threads; four times it with few input channels."""


def _chunks(x: jax.Array, g: Geometry, positions: int) -> tuple[int, int] | None:
    """How many parts of the batch x has, and the images that a chunk takes from each: a divisor of a part.

    So each device has its share of every chunk. None where one chunk is enough, or the batch's size is not known
    (`jax.export`).
    """
    if not isinstance(x.shape[0], int):
        return None
    parts = g.parts if x.shape[0] % g.parts == 0 else 1
    part, most = x.shape[0] // parts, max(2, positions // max(1, math.prod(g.out)))
    return None if part <= most else (parts, max(c for c in range(1, most + 1) if part % c == 0))


def _cut(x: jax.Array, parts: int, size: int) -> jax.Array:
    """(batch, ...) -> (chunks, parts * size, ...)."""
    return jnp.moveaxis(x.reshape(parts, -1, size, *x.shape[1:]), 1, 0).reshape(-1, parts * size, *x.shape[1:])


def each_chunk(function: Callable[[jax.Array], jax.Array], a: jax.Array, g: Geometry, positions: int) -> jax.Array:
    """What `function` gives for a few images at a time."""
    if (cut := _chunks(a, g, positions)) is None:
        return function(a)
    b = lax.map(function, _cut(a, *cut))
    return jnp.moveaxis(b.reshape(-1, *cut, *b.shape[2:]), 0, 1).reshape(a.shape[0], *b.shape[2:])


def transpose_chunks(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x by `transpose_matmul`, a few images at a time."""
    return each_chunk(lambda part: transpose_matmul(part, w, g), y, g, POSITIONS)


def weight_chunks(
    x: jax.Array, y: jax.Array, g: Geometry, each: Form = weight_lax, positions: int | None = None
) -> jax.Array:
    """x, y -> w: the sum of what the form `each` gives for a few images at a time.

    On several devices at once: theirs would be added up after every chunk, which takes longer than chunks save.
    `positions` are those of one chunk; None: what is usual for the form.
    """
    if positions is None:
        positions = POSITIONS
        if g.eigen and each is weight_lax:
            positions = SHARED_POSITIONS if x.shape[-1] >= 8 else 4 * SHARED_POSITIONS
    if (cut := _chunks(x, g, positions)) is None or g.parts > 1:
        return each(x, y, g)
    xs, ys = _cut(x, *cut), _cut(y, *cut)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        x, y = (lax.dynamic_index_in_dim(v, i, keepdims=False) for v in (xs, ys))
        return total + each(x, y, g)

    # It starts from the first chunk and not from zeros, which would not vary over the axes of a `shard_map`; and it
    # takes the others by their number, as a `scan` over the rest would first copy that.
    return lax.fori_loop(1, len(xs), add, each(xs[0], ys[0], g))
