"""Noise of the sensor, and blur of the lens."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.data.degrade.base import Degraded, Range, draw, per_picture, signed, unit
from genart_jax.nn.random import normal, stream


def gaussian_noise(images: jax.Array, keys: jax.Array, sigma: Range = (0.0, 50 / 255)) -> Degraded:
    """Independent normal noise of standard deviation sigma, with pixels in [0, 1]; then clipped.

    Parameters: "sigma" (B,).
    """
    x = unit(images, keys)
    drawn = draw(keys, "sigma", sigma)
    return Degraded(signed(x + per_picture(drawn) * normal(stream(keys, "noise"), x.shape[1:])), {"sigma": drawn})


def poisson_noise(images: jax.Array, keys: jax.Array, peak: Range = (10.0, 200.0)) -> Degraded:
    """Shot noise, Poisson(peak * x) / peak with x in [0, 1]: `peak` is the number of photons of white; then clipped.

    The gradient is that of the mean. Parameters: "peak" (B,).

    Raises:
      UserError: a peak that is not above 0.
    """
    if peak[0] <= 0:
        raise UserError(f"poisson_noise: got the peaks {peak}, wanted more than 0 photons")
    x = unit(images, keys)
    drawn = draw(keys, "peak", peak)
    photons = jax.vmap(jax.random.poisson)(stream(keys, "photons"), jax.lax.stop_gradient(per_picture(drawn) * x))
    noisy = photons.astype(jnp.float32) / per_picture(drawn)
    return Degraded(signed(x + jax.lax.stop_gradient(noisy - x)), {"peak": drawn})


def blur(images: jax.Array, keys: jax.Array, sigma: Range = (0.5, 3.0)) -> Degraded:
    """A Gaussian kernel of standard deviation sigma pixels, cut off beyond four of them; edge pixels are repeated.

    Parameters: "sigma" (B,).

    Raises:
      UserError: a sigma that is not above 0.
    """
    if sigma[0] <= 0:
        raise UserError(f"blur: got sigma {sigma}, wanted more than 0 pixels")
    x = unit(images, keys)
    drawn = draw(keys, "sigma", sigma)
    reach = math.ceil(4.0 * sigma[1])
    steps = jnp.arange(-reach, reach + 1)
    radius = jnp.floor(4.0 * drawn + 0.5)[:, None]  # scipy.ndimage's rule of where to cut
    taps = jnp.where(jnp.abs(steps) <= radius, jnp.exp(-0.5 * (steps / drawn[:, None]) ** 2), 0.0)
    taps = taps / taps.sum(-1, keepdims=True)
    for axis in (1, 2):
        widths = [(reach, reach) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(x, widths, mode="edge")
        shifted = (jax.lax.slice_in_dim(padded, i, i + x.shape[axis], axis=axis) for i in range(2 * reach + 1))
        x = sum((per_picture(taps[:, i]) * part for i, part in enumerate(shifted)), jnp.zeros_like(x))
    return Degraded(signed(x), {"sigma": drawn})
