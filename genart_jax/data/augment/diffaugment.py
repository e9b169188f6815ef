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


# Each operation gets whether it is on, and where it is not takes the amounts that change nothing: to choose between
# the old picture and the new one would add a second path to the gradient.
_Operation = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def _maybe(name: str, function: _Operation, image: jax.Array, key: jax.Array, p: jax.Array) -> jax.Array:
    """`function(image, key, on)`, where `on` has probability p."""
    key = stream(key, name)
    return function(image, stream(key, "amount"), jax.random.uniform(stream(key, "on")) < p)


def _color(image: jax.Array, key: jax.Array, on: jax.Array) -> jax.Array:
    """Brightness + U(-0.5, 0.5), then saturation times U(0, 2), then contrast times U(0.5, 1.5)."""
    amounts = jax.random.uniform(key, (3,)) * jnp.array([1.0, 2.0, 1.0]) + jnp.array([-0.5, 0.0, 0.5])
    brightness, saturation, contrast = jnp.where(on, amounts, jnp.array([0.0, 1.0, 1.0]))
    # Saturation keeps the mean, so that all three are one affine map. Channel by channel: sums over
    # an axis of three are slow on CPU, there and back.
    channels = [image[..., c] for c in range(3)]
    grey = sum(channels) / 3
    rest = contrast * (1.0 - saturation) * grey + (1.0 - contrast) * jnp.mean(grey) + brightness
    return jnp.stack([contrast * saturation * channel + rest for channel in channels], axis=-1)


def _translate(image: jax.Array, key: jax.Array, on: jax.Array) -> jax.Array:
    """Whole pixels, up to an eighth of each side (rounded) in each direction."""
    most = [int(side / 8 + 0.5) for side in image.shape[:2]]
    low, high = jnp.zeros(2, jnp.int32), jnp.array([2 * m + 1 for m in most])
    top, left = jnp.where(on, jax.random.randint(key, (2,), low, high), jnp.array(most))
    padded = jnp.pad(image, [(m, m) for m in most] + [(0, 0)])
    return jax.lax.dynamic_slice(padded, (top, left, jnp.zeros((), top.dtype)), image.shape)


def _cutout(image: jax.Array, key: jax.Array, on: jax.Array) -> jax.Array:
    """A hole of half of each side, its centre anywhere in the picture, so that it may reach over the edge."""
    inside = []
    for side, place in zip(image.shape[:2], jax.random.uniform(key, (2,)), strict=True):
        hole = int(side / 2 + 0.5)
        first = jnp.floor(place * (side + 1 - hole % 2)).astype(jnp.int32) - hole // 2
        at = jnp.arange(side)
        inside.append((at >= first) & (at < first + hole))
    return jnp.where(on & inside[0][:, None, None] & inside[1][None, :, None], 0.0, image)
