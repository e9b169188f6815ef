"""Distances between activations of a network (Gatys et al. 2016, "Image style transfer using convolutional neural
networks"). The sums over positions and channels of the paper are means here, so that the balance of the losses does
not depend on the picture's size. One value an example.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.nn.instance import Moments
from genart_jax.types import Tree


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


def moments(found: Moments, target: Moments) -> jax.Array:
    """Squared distance of means plus that of deviations, means over channels: (B, 1, 1, C) each -> (B,).

    Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization", equation 13 at
    one layer, with squares in place of norms, as in its authors' code.
    """
    return sum((jnp.mean(jnp.square(a - b), axis=(1, 2, 3)) for a, b in zip(found, target, strict=True)), jnp.zeros(()))


def relative(loss: Callable[[Tree, Tree], jax.Array], found: Tree, target: Tree) -> jax.Array:
    """A distance as a share of that of nothing at all from the target: (B,).

    So the scale of a network, and which of its layers is looked at, do not change the balance of losses.
    """
    nothing = jax.tree.map(jnp.zeros_like, target)
    return loss(found, target) / (loss(nothing, target) + 1e-12)
