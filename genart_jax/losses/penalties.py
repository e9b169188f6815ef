"""Penalties on a critic's gradient and measures of it, one value an example."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def squared_gradient(score: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """|d score / d image|^2 of each image: summed over its pixels and channels, (batch,).

    At real images this is the R1 penalty without its factor gamma/2 (Mescheder et al. 2018, eq. 9), at generated ones
    R2 (eq. 10). `score` maps (batch, ...) to (batch,), each score from its own image.
    """
    gradient = jax.grad(lambda x: jnp.sum(score(x)))(images)
    return jnp.sum(jnp.square(gradient.astype(jnp.float32)), axis=tuple(range(1, gradient.ndim)))


def slope(scores: jax.Array, other_scores: jax.Array, images: jax.Array, other: jax.Array) -> jax.Array:
    """|s(x) - s(y)| / |x - y| of each pair of images, with the Euclidean distance over pixels and channels: (batch,).

    The critic's Lipschitz constant is the largest over all pairs there are (Miyato et al. 2018, eq. 4), so each of
    these bounds it from below. 0 for a pair of equal images.
    """
    squares = jnp.sum(jnp.square((images - other).astype(jnp.float32)), axis=tuple(range(1, images.ndim)))
    distance = jnp.sqrt(jnp.where(squares > 0, squares, jnp.inf))
    return jnp.abs(scores - other_scores) / distance
