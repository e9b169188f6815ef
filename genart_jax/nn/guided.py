"""Edge-preserving smoothing: the guided filter of a picture by itself (He, Sun & Tang 2013, TPAMI 35(6))."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.nn.pool import avg_pool

RADIUS = 4
"""Of the square windows, in pixels."""
EPSILON = 0.01
"""What the variance of a window is compared with, for values in [-1, 1]: a tenth of half of their range, squared."""


def smoothed(images: jax.Array, radius: int = RADIUS, epsilon: float = EPSILON) -> jax.Array:
    """Pictures (batch, height, width, channels) in [-1, 1], each channel smoothed by itself: the same shape and range.

    In each window the output is a line of the input, of slope variance / (variance + epsilon) (equations 5 and 6), and
    each pixel is the mean of the lines of all windows that it is in (equation 8): what varies less than the root of
    epsilon is smoothed, an edge that varies more stays where it is. Windows are cut at the picture's border.
    """
    side = 2 * radius + 1
    mean = lambda x: avg_pool(x, (side, side), padding="SAME", count_include_pad=False)
    x = images.astype(jnp.float32)
    middle = mean(x)
    variance = jnp.maximum(mean(jnp.square(x)) - jnp.square(middle), 0.0)
    slope = variance / (variance + epsilon)
    return (mean(slope) * x + mean((1.0 - slope) * middle)).astype(images.dtype)
