"""DiffAugment (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", section 4).

Its three parts, in this order: colour, then translation, then cutout. Holes and uncovered edges become 0, which is
middle grey in [-1, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn.random import stream

OPS = ("color", "translation", "cutout")


def check_ops(wanted: tuple[str, ...], known: tuple[str, ...], channels: int) -> None:
    """Raises UserError for an unknown operation, or one on colours where there are not three channels."""
    if unknown := [name for name in wanted if name not in known]:
        raise UserError(f"augmentation {unknown[0]!r} is unknown; there are {', '.join(known)}")
    if "color" in wanted and channels != 3:
        raise UserError(f"augmentation 'color' needs 3 channels, not {channels}; name the others alone")


def diffaugment(
    images: jax.Array, keys: jax.Array, p: jax.Array | float = 1.0, ops: tuple[str, ...] = OPS
) -> jax.Array:
    """Applies each of `ops` to each example with probability `p`, which the paper has always at 1.

    Args:
      images: float (B, height, width, channels) in [-1, 1]; the result may leave the range.
      keys: (B,) typed keys.
      p: scalar or (B,); 0 gives the pictures back to the bit.
      ops: of "color" (3 channels), "translation" and "cutout".

    Raises:
      UserError: an unknown operation, or colour without three channels.
    """
    check_ops(ops, OPS, images.shape[-1])
    p = jnp.broadcast_to(p, keys.shape)
    for name, function in (("color", _color), ("translation", _translate), ("cutout", _cutout)):
        if name in ops:
            images = jax.vmap(functools.partial(_maybe, name, function))(images, keys, p)
    return images


def _maybe(
    name: str, function: Callable[[jax.Array, jax.Array], jax.Array], image: jax.Array, key: jax.Array, p: jax.Array
) -> jax.Array:
    """`function(image, key)` with probability p."""
    key = stream(key, name)
    on = jax.random.uniform(stream(key, "on")) < p
    return jnp.where(on, function(image, stream(key, "amount")), image)


def _color(image: jax.Array, key: jax.Array) -> jax.Array:
    """Brightness + U(-0.5, 0.5), then saturation times U(0, 2), then contrast times U(0.5, 1.5)."""
    brightness, saturation, contrast = jax.random.uniform(key, (3,))
    image = image + (brightness - 0.5)
    grey = jnp.mean(image, axis=-1, keepdims=True)
    image = grey + 2.0 * saturation * (image - grey)
    mean = jnp.mean(image)
    return mean + (0.5 + contrast) * (image - mean)


def _translate(image: jax.Array, key: jax.Array) -> jax.Array:
    """Whole pixels, up to an eighth of each side (rounded) in each direction."""
    most = [int(side / 8 + 0.5) for side in image.shape[:2]]
    low, high = jnp.zeros(2, jnp.int32), jnp.array([2 * m + 1 for m in most])
    top, left = jax.random.randint(key, (2,), low, high)
    padded = jnp.pad(image, [(m, m) for m in most] + [(0, 0)])
    return jax.lax.dynamic_slice(padded, (top, left, jnp.zeros((), top.dtype)), image.shape)


def _cutout(image: jax.Array, key: jax.Array) -> jax.Array:
    """A hole of half of each side, its centre anywhere in the picture, so that it may reach over the edge."""
    inside = []
    for side, place in zip(image.shape[:2], jax.random.uniform(key, (2,)), strict=True):
        hole = int(side / 2 + 0.5)
        first = jnp.floor(place * (side + 1 - hole % 2)).astype(jnp.int32) - hole // 2
        at = jnp.arange(side)
        inside.append((at >= first) & (at < first + hole))
    return jnp.where(inside[0][:, None, None] & inside[1][None, :, None], 0.0, image)
