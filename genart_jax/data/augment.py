"""Augmentations of training pictures: pure, batched, one key per example, so that the device layout changes nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.nn.random import stream


def flip(images: jax.Array, keys: jax.Array) -> jax.Array:
    """Mirrors each example left to right with probability one half.

    Args:
      images: (B, ..., width, channels), any dtype.
      keys: (B,) typed keys; the same keys mirror the same examples of another array.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.where(jax.random.bernoulli(stream(key, "flip")), jnp.flip(image, -2), image)

    return jax.vmap(one)(images, keys)


def crop(images: jax.Array, keys: jax.Array, pad: int) -> jax.Array:
    """Repeats the edge pixels `pad` times and cuts the original size out again, at a place drawn for each example.

    Args:
      images: (B, ..., height, width, channels), any dtype; the frames of a video move together.
      keys: (B,) typed keys; the same keys move other arrays by as much.
      pad: largest shift in pixels, in each direction.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        rank = image.ndim
        top, left = jax.random.randint(stream(key, "crop"), (2,), 0, 2 * pad + 1)
        widths = [(0, 0)] * (rank - 3) + [(pad, pad), (pad, pad), (0, 0)]
        start = [jnp.zeros((), top.dtype)] * (rank - 3) + [top, left, jnp.zeros((), top.dtype)]
        return jax.lax.dynamic_slice(jnp.pad(image, widths, mode="edge"), start, image.shape)

    return jax.vmap(one)(images, keys)
