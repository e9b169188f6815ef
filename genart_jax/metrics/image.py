"""Distances between two pictures of the same thing: peak signal-to-noise ratio and structural similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError

if TYPE_CHECKING:
    from jaxtyping import Float

RANGE = 2.0
"""Of pictures in [-1, 1]."""


def psnr(a: Float[jax.Array, "batch *shape"], b: Float[jax.Array, "batch *shape"]) -> Float[jax.Array, "batch"]:
    """10 log10(range^2 / mean squared error) in decibels: (batch,), of images (batch, ...) in [-1, 1]."""
    _check(a, b)
    error = jnp.mean(jnp.square(a - b), axis=tuple(range(1, a.ndim)))
    return 10 * jnp.log10(RANGE**2 / error)


def ssim(
    a: Float[jax.Array, "batch height width channels"],
    b: Float[jax.Array, "batch height width channels"],
    sigma: float = 1.5,
    radius: int = 5,
) -> Float[jax.Array, "batch"]:
    """Mean structural similarity (Wang et al. 2004, eq. 13) of images (batch, height, width, channels) in [-1, 1].

    Gaussian windows of 2 * radius + 1 pixels that lie wholly inside; (batch,), the mean over places and channels.
    Intensities there begin at 0, so the means are taken of `a` + 1 and `b` + 1: that of two greys is as of their bytes.

    Raises:
      UserError: shapes differ, or a side is smaller than the window.
    """
    _check(a, b)
    size = 2 * radius + 1
    if a.ndim != 4 or min(a.shape[1:3]) < size:
        raise UserError(f"ssim: got {a.shape}, wanted (batch, height, width, channels) with sides of at least {size}")
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-0.5 * (offsets / sigma) ** 2)
    window = window / window.sum()

    def blur(x: jax.Array) -> jax.Array:
        for axis in (1, 2):
            length = x.shape[axis] - size + 1
            parts = [w * jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i, w in enumerate(window.tolist())]
            x = sum(parts[1:], parts[0])
        return x

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    mean_a, mean_b = mean_a + 1.0, mean_b + 1.0  # variances, which a shift leaves alone, are more exact without it
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return jnp.mean(top / bottom, axis=(1, 2, 3))


def _check(a: jax.Array, b: jax.Array) -> None:
    if a.shape != b.shape:
        raise UserError(f"pictures of different shapes: {a.shape} and {b.shape}")
