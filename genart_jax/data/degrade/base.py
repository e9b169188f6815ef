"""What all degradations share: their result, the check of their input, draws from a range."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn.random import stream, uniform
from genart_jax.types import check_images

Range = tuple[float, float]
"""Lowest and highest value; each example draws its own, uniformly. Equal ends fix it."""


class Degraded(NamedTuple):
    """A degraded batch.

    Attributes:
      image: float32 (B, height, width, channels) in [-1, 1]; smaller than the original after `downsample`.
      parameters: what was drawn, each with the batch first; "mask" is float32 (B, height, width, 1), 1 where the
        picture is lost.
    """

    image: jax.Array
    parameters: dict[str, jax.Array]


def unit(images: jax.Array, keys: jax.Array | None = None) -> jax.Array:
    """The images with [-1, 1] as [0, 1], once they and the keys are checked.

    Raises:
      UserError: no float32 batch (B, height, width, 1 or 3) in [-1, 1], or not one key an example.
    """
    if getattr(images, "ndim", 0) != 4 or images.shape[-1] not in (1, 3):
        raise UserError(f"image: got shape {getattr(images, 'shape', None)}, wanted (batch, height, width, 1 or 3)")
    check_images(images, images.shape[1:])
    if keys is not None and keys.shape != images.shape[:1]:
        raise UserError(f"keys: got shape {keys.shape}, wanted one key an example, {images.shape[:1]}")
    return 0.5 * (jnp.asarray(images) + 1.0)


def signed(images: jax.Array) -> jax.Array:
    """[0, 1] as [-1, 1]; what leaves the range is clipped."""
    return 2.0 * jnp.clip(images, 0.0, 1.0) - 1.0


def draw(keys: jax.Array, name: str, between: Range, shape: tuple[int, ...] = ()) -> jax.Array:
    """Uniform numbers of (B, *shape) from the named stream of each key.

    Raises:
      UserError: the range is upside down.
    """
    low, high = between
    if low > high:
        raise UserError(f"{name}: got the range {between}, wanted the lower end first")
    return uniform(stream(keys, name), shape, low, high)


def per_picture(values: jax.Array) -> jax.Array:
    """(B,) as (B, 1, 1, 1)."""
    return values[:, None, None, None]
