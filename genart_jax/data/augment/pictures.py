"""Augmentations of training pictures: pure, batched, one key per example, so that the device layout changes nothing."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn.random import stream


def flip(images: jax.Array, keys: jax.Array) -> jax.Array:
    """Mirrors each example left to right with probability one half.

    Args:
      images: (B, ..., width, channels), any dtype.
      keys: (B,) typed keys; the same keys mirror the same examples of another array.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.where(jax.random.bernoulli(stream(key, "flip")), jnp.flip(image, -2), image)

    return jax.vmap(one)(images, keys)


def crop(images: jax.Array, keys: jax.Array, pad: int) -> jax.Array:
    """Repeats the edge pixels `pad` times and cuts the original size out again, at a place drawn for each example.

    Args:
      images: (B, ..., height, width, channels), any dtype; the frames of a video move together.
      keys: (B,) typed keys; the same keys move other arrays by as much.
      pad: largest shift in pixels, in each direction.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        rank = image.ndim
        top, left = jax.random.randint(stream(key, "crop"), (2,), 0, 2 * pad + 1)
        widths = [(0, 0)] * (rank - 3) + [(pad, pad), (pad, pad), (0, 0)]
        start = [jnp.zeros((), top.dtype)] * (rank - 3) + [top, left, jnp.zeros((), top.dtype)]
        return jax.lax.dynamic_slice(jnp.pad(image, widths, mode="edge"), start, image.shape)

    return jax.vmap(one)(images, keys)


def check_jitter(amounts: tuple[float, ...], channels: int) -> None:
    """Raises UserError where there are not three channels, or not four amounts."""
    if channels != 3:
        raise UserError(f"data.jitter needs 3 channels, not {channels}")
    if len(amounts) != 4 or min(amounts) < 0:
        raise UserError(f"data.jitter {amounts}: wanted four amounts, of brightness, contrast, saturation and hue")


def jitter(images: jax.Array, keys: jax.Array, amounts: tuple[float, ...]) -> jax.Array:
    """Changes brightness, then contrast, saturation and hue of each example.

    Intensities are scaled by a factor drawn from [1 - b, 1 + b]; contrast, around the picture's mean luma, by one from
    [1 - c, 1 + c]; saturation, around each pixel's luma, by one from [1 - s, 1 + s]; colours are turned around the grey
    axis by an angle from +- h of a full circle. Luma is that of ITU-R 601. What leaves the range is clipped each time.

    Args:
      images: float (B, height, width, 3) in [-1, 1].
      keys: (B,) typed keys; the same keys change the same examples of another array alike.
      amounts: (b, c, s, h), not negative.

    Raises:
      UserError: there are not three channels, or not four amounts.
    """
    check_jitter(amounts, images.shape[-1])
    largest = jnp.array(amounts, jnp.float32)
    luma = jnp.array([0.299, 0.587, 0.114])
    cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    clip = lambda image: jnp.clip(image, 0.0, 1.0)

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        drawn = largest * jax.random.uniform(stream(key, "jitter"), (4,), minval=-1.0, maxval=1.0)
        brightness, contrast, saturation = jnp.maximum(0.0, 1.0 + drawn[:3])
        angle = 2.0 * math.pi * drawn[3]
        grey = lambda x: jnp.sum(x * luma, axis=-1, keepdims=True)
        x = clip(brightness * 0.5 * (image + 1.0))
        mean = jnp.mean(grey(x))
        x = clip(mean + contrast * (x - mean))
        x = clip(grey(x) + saturation * (x - grey(x)))
        axis = jnp.full((3, 3), 1 / 3)
        turn = axis + jnp.cos(angle) * (jnp.eye(3) - axis) + jnp.sin(angle) * cross
        return 2.0 * clip(jnp.sum(x[..., None, :] * turn, axis=-1)) - 1.0

    return jax.vmap(one)(images, keys)


def cutout(images: jax.Array, keys: jax.Array, side: int) -> jax.Array:
    """Fills a square of each example with 0 (DeVries & Taylor 2017).

    Args:
      images: float (B, ..., height, width, channels); the frames of a video lose the same square.
      keys: (B,) typed keys; the same keys cut other arrays alike.
      side: of the square, in pixels; its centre is anywhere in the picture, so that a part may lie outside.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        size = image.shape[-3:-1]
        first = jax.random.randint(stream(key, "cutout"), (2,), 0, jnp.array(size)) - side // 2
        rows, columns = ((jnp.arange(n) >= first[i]) & (jnp.arange(n) < first[i] + side) for i, n in enumerate(size))
        return jnp.where(rows[:, None, None] & columns[:, None], 0.0, image)

    return jax.vmap(one)(images, keys)
