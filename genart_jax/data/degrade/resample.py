"""Fewer pixels."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.data.degrade.base import Degraded, signed, unit

FACTORS = (2, 3, 4, 8)


def downsample(images: jax.Array, factor: int, method: Literal["bicubic", "bilinear", "area"] = "bicubic") -> Degraded:
    """Each side divided by 2, 3, 4 or 8; nothing is drawn, so there are no keys and no parameters.

    "bicubic" (Keys 1981, a = -1/2) and "bilinear" widen their kernels by the factor (antialiasing), as Pillow's
    filters of these names do; "area" is the mean of each block. What bicubic overshoots is clipped.

    Raises:
      UserError: another factor or method, or sides that it does not divide.
    """
    x = unit(images)
    batch, height, width, channels = x.shape
    if factor not in FACTORS or height % factor or width % factor:
        raise UserError(f"downsample: got {height}x{width} by {factor}, wanted sides that 2, 3, 4 or 8 divides")
    small = (batch, height // factor, width // factor, channels)
    if method == "area":
        return Degraded(signed(x.reshape(batch, small[1], factor, small[2], factor, channels).mean((2, 4))), {})
    if method not in ("bicubic", "bilinear"):
        raise UserError(f"downsample: method {method!r} is unknown; choose bicubic, bilinear or area")
    how = {"bicubic": jax.image.ResizeMethod.CUBIC, "bilinear": jax.image.ResizeMethod.LINEAR}[method]
    with jax.default_matmul_precision("float32"):
        return Degraded(signed(jnp.asarray(jax.image.resize(x, small, how, antialias=True))), {})
