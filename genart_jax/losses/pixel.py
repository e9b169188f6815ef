"""Losses on pixels themselves. One value an example."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def total_variation(images: jax.Array) -> jax.Array:
    """Mean squared difference of neighbours, down and to the right: (B, H, W, C) -> (B,).

    Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them", section 3.1, with beta 2
    and means over each direction's pairs in place of the sum.
    """
    down, right = jnp.diff(images, axis=1), jnp.diff(images, axis=2)
    return jnp.mean(jnp.square(down), axis=(1, 2, 3)) + jnp.mean(jnp.square(right), axis=(1, 2, 3))
