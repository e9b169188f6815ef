"""Pooling of windows that do not overlap."""

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array, window_shape: tuple[int, int], strides: tuple[int, int]) -> jax.Array:
    """(batch, height, width, channels): the largest of each window."""
    n, h, w, c = x.shape
    a, b = window_shape
    return jnp.max(x[:, : h // a * a, : w // b * b].reshape(n, h // a, a, w // b, b, c), axis=(2, 4))
