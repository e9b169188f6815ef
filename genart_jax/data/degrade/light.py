"""Haze, darkness and coloured light."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.data.degrade.base import Degraded, Range, draw, per_picture, signed, unit


def haze(images: jax.Array, keys: jax.Array, beta: Range = (0.6, 1.8), airlight: Range = (0.7, 1.0)) -> Degraded:
    """The atmospheric model, I = J t + A (1 - t) with t = exp(-beta d) (Koschmieder 1924), over a smooth depth d.

    The depth in [0, 1] is made up: it grows towards the top of the picture and varies smoothly, and has nothing to do
    with the scene. Say "synthetic haze of a smooth depth" where a figure rests on it.

    Parameters: "depth" and "transmission" (B, height, width, 1), "beta" and "airlight" (B,).
    """
    x = unit(images, keys)
    batch, height, width, _ = x.shape
    coarse = draw(keys, "depth", (0.0, 1.0), (4, 4, 1))
    waves = jax.image.resize(coarse, (batch, height, width, 1), "cubic")
    upwards = 1.0 - (jnp.arange(height, dtype=jnp.float32) + 0.5)[:, None, None] / height
    depth = jnp.clip(0.5 * upwards + 0.5 * waves, 0.0, 1.0)
    density, light = draw(keys, "beta", beta), draw(keys, "airlight", airlight)
    transmission = jnp.exp(-per_picture(density) * depth)
    image = x * transmission + per_picture(light) * (1.0 - transmission)
    return Degraded(signed(image), {"depth": depth, "transmission": transmission, "beta": density, "airlight": light})


def low_light(
    images: jax.Array,
    keys: jax.Array,
    gain: Range = (0.5, 1.0),
    exponent: Range = (1.5, 5.0),
    exposure: Range = (0.9, 1.0),
) -> Degraded:
    """Darkness, gain * (exposure * x) ** exponent with x in [0, 1] (Lv et al. 2021, "Attention guided low-light").

    Parameters: "gain", "exponent", "exposure" (B,).
    """
    x = unit(images, keys)
    drawn = {name: draw(keys, name, between)
             for name, between in (("gain", gain), ("exponent", exponent), ("exposure", exposure))}  # fmt: skip
    dark = _power(per_picture(drawn["exposure"]) * x, per_picture(drawn["exponent"]))
    return Degraded(signed(per_picture(drawn["gain"]) * dark), drawn)


def gamma(images: jax.Array, keys: jax.Array, exponent: Range = (0.5, 2.0)) -> Degraded:
    """Each pixel x of [0, 1] to x ** exponent: above 1 darker, below 1 lighter. Parameters: "exponent" (B,)."""
    x = unit(images, keys)
    drawn = draw(keys, "exponent", exponent)
    return Degraded(signed(_power(x, per_picture(drawn))), {"exponent": drawn})


def color_cast(images: jax.Array, keys: jax.Array, gain: Range = (0.7, 1.3)) -> Degraded:
    """Light of another colour: each channel by a gain of its own (von Kries 1902), then clipped.

    Parameters: "gains" (B, 3).

    Raises:
      UserError: the pictures are grey.
    """
    x = unit(images, keys)
    if x.shape[-1] != 3:
        raise UserError(f"color_cast needs 3 channels, not {x.shape[-1]}")
    gains = draw(keys, "gains", gain, (3,))
    return Degraded(signed(x * gains[:, None, None, :]), {"gains": gains})


def _power(x: jax.Array, exponent: jax.Array) -> jax.Array:
    """The power with a finite gradient at 0."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1.0) ** exponent, 0.0)
