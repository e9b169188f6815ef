"""Class activation maps: which places of an intermediate speak for a network's number."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.use.explain.seen import Seen


def grad_cam(seen: Seen, images: jax.Array, stage: str = "") -> jax.Array:
    """Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2: channels weighed by their mean derivative, positive part.

    Args:
      seen: the network.
      images: (batch, height, width, channels) in [-1, 1].
      stage: name of the intermediate; "": the last that has places.

    Returns:
      Maps (batch, height, width), enlarged to the pictures bilinearly.
    """
    values, slope = _derivatives(seen, images, stage)
    weights = jnp.mean(slope, axis=(1, 2), keepdims=True)
    return _enlarged(jax.nn.relu(jnp.sum(weights * values, axis=-1)), images)


def grad_cam_plus_plus(seen: Seen, images: jax.Array, stage: str = "") -> jax.Array:
    """Chattopadhyay et al. 2018, arXiv:1710.11063, eq. 10, 12 and 19, where the score is taken through exp as there.

    Arguments and maps as in `grad_cam`. With derivatives g of the score and an intermediate A, a place's share is
    g^2 / (2 g^2 + sum(A) g^3), and a channel's weight the sum of shares times relu(g).
    """
    values, slope = _derivatives(seen, images, stage)
    square = jnp.square(slope)
    below = 2 * square + jnp.sum(values, axis=(1, 2), keepdims=True) * square * slope
    share = jnp.where(below == 0, 0.0, square / jnp.where(below == 0, 1.0, below))
    weights = jnp.sum(share * jax.nn.relu(slope), axis=(1, 2), keepdims=True)
    return _enlarged(jax.nn.relu(jnp.sum(weights * values, axis=-1)), images)


def _derivatives(seen: Seen, images: jax.Array, stage: str) -> tuple[jax.Array, jax.Array]:
    """An intermediate, and the derivative of each picture's score by it."""
    name = stage or seen.last_map()
    values = seen.stage(images, name)
    scores = seen.after(images, name)
    return values, jax.grad(lambda v: jnp.sum(scores(v)))(values)


def _enlarged(maps: jax.Array, images: jax.Array) -> jax.Array:
    return jax.image.resize(maps, images.shape[:3], "linear")
