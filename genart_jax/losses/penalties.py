"""Penalties on the gradients of a critic and of a generator, and measures of them, one value an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def squared_gradient(
    score: Callable[[jax.Array], jax.Array], images: Float[jax.Array, "batch *shape"]
) -> Float[jax.Array, " batch"]:
    """|d score / d image|^2 of each image: summed over its pixels and channels, (batch,).

    At real images this is the R1 penalty without its factor gamma/2 (Mescheder et al. 2018, eq. 9), at generated ones
    R2 (eq. 10). `score` maps (batch, ...) to (batch,), each score from its own image.
    """
    gradient = jax.grad(lambda x: jnp.sum(score(x)))(images)
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    return jnp.sum(jnp.square(gradient), axis=tuple(range(1, gradient.ndim)))


def slope(
    scores: Float[jax.Array, " batch"],
    other_scores: Float[jax.Array, " batch"],
    images: Float[jax.Array, "batch *shape"],
    other: Float[jax.Array, "batch *shape"],
) -> Float[jax.Array, " batch"]:
    """|s(x) - s(y)| / |x - y| of each pair of images, with the Euclidean distance over pixels and channels: (batch,).

    The critic's Lipschitz constant is the largest over all pairs there are (Miyato et al. 2018, eq. 4), so each of
    these bounds it from below. 0 for a pair of equal images.
    """
    squares = jnp.sum(jnp.square((images - other).astype(jnp.float32)), axis=tuple(range(1, images.ndim)))
    distance = jnp.sqrt(jnp.where(squares > 0, squares, jnp.inf))
    return jnp.abs(scores - other_scores) / distance


def path_lengths(synthesis: Callable[[jax.Array], jax.Array], styles: jax.Array, pixels: jax.Array) -> jax.Array:
    """|J^T y| of each example, (batch,): how far its picture moves with its styles, in a random direction of pixels.

    Karras et al. 2020, eq. 4 and appendix B: J is the Jacobian of the picture with respect to the styles
    (batch, layers, features), y = `pixels` is standard normal noise of the pictures' shape. Squares are summed over
    features, averaged over layers, and y is divided by the root of height times width, so that a weight of 2 is the
    paper's ln 2 / (r^2 (ln r - ln 2)) at resolution r with 2 log2(r) - 2 layers. The penalty is the squared difference
    of a length and a running mean of them. Where a picture does not move at all, its length has the derivative 0.
    """
    pixels = pixels / np.sqrt(pixels.shape[1] * pixels.shape[2])
    gradient = jax.grad(lambda s: jnp.sum(synthesis(s) * pixels))(styles)
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    squares = jnp.mean(jnp.sum(jnp.square(gradient), axis=2), axis=1)
    # The root's own derivative at 0 is infinite, and times 0 it would be NaN in every parameter.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
