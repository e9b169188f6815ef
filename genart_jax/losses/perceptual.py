"""Distances between activations of a network (Gatys et al. 2016, "Image style transfer using convolutional neural
networks"). The sums over positions and channels of the paper are means here, so that the balance of the losses does
not depend on the picture's size. One value an example.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def gram(features: jax.Array) -> jax.Array:
    """Gram matrices, equation 3 over the number of positions: (B, H, W, C) -> float32 (B, C, C)."""
    positions = features.shape[1] * features.shape[2]
    product = jnp.einsum("bhwi,bhwj->bij", features, features, preferred_element_type=jnp.float32)
    return product / positions


def content(features: jax.Array, target: jax.Array) -> jax.Array:
    """Half the squared distance of activations, equation 1 as a mean: (B, H, W, C) twice -> (B,)."""
    difference = features.astype(jnp.float32) - target.astype(jnp.float32)
    return 0.5 * jnp.mean(jnp.square(difference), axis=(1, 2, 3))


def style(gram: jax.Array, target: jax.Array) -> jax.Array:
    """A quarter of the squared distance of Gram matrices, equation 4 (its 1/M^2 is in `gram`): (B, C, C) -> (B,)."""
    return 0.25 * jnp.mean(jnp.square(gram - target), axis=(1, 2))
