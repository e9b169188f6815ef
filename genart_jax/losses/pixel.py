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


def absolute(images: jax.Array, target: jax.Array) -> jax.Array:
    """Mean |x - y| over pixels and channels (L1): (B, ...) twice -> (B,)."""
    return jnp.mean(jnp.abs(images - target), axis=tuple(range(1, images.ndim)))


def squared(images: jax.Array, target: jax.Array) -> jax.Array:
    """Mean (x - y)^2 over pixels and channels (L2): (B, ...) twice -> (B,)."""
    return jnp.mean(jnp.square(images - target), axis=tuple(range(1, images.ndim)))


def charbonnier(images: jax.Array, target: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    """Mean sqrt((x - y)^2 + epsilon^2) over pixels and channels, L1 without its kink: (B, ...) twice -> (B,).

    Charbonnier et al. 1994, "Two deterministic half-quadratic regularization algorithms for computed imaging";
    epsilon in units of [-1, 1].
    """
    return jnp.mean(jnp.sqrt(jnp.square(images - target) + epsilon**2), axis=tuple(range(1, images.ndim)))


DISTANCES = {"l1": absolute, "l2": squared, "charbonnier": charbonnier}
"""What `step.pixel` may name."""
