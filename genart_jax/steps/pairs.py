"""What the steps from picture to picture share: cutting and turning what is trained on, evaluation in parts, losses."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.losses.adversarial import LOSSES, Adversarial
from genart_jax.nn import random
from genart_jax.types import Batch

_PART = 16  # pairs evaluated at a time


def in_parts(figures: Callable[[Batch], dict[str, jax.Array]], pair: Batch) -> dict[str, jax.Array]:
    """Figures (batch,) of pairs, of a few at a time: evaluation's batches are long, and activations are large."""
    num = len(jax.tree.leaves(pair)[0])
    if num <= _PART or num % _PART:
        return figures(pair)
    parts = jax.tree.map(lambda x: x.reshape(num // _PART, _PART, *x.shape[1:]), pair)
    return {name: values.reshape(num) for name, values in jax.lax.map(figures, parts).items()}


def adversarial(name: str) -> Adversarial:
    """The losses of a name.

    Raises:
      UserError: there are none of that name.
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(LOSSES)}"
        raise UserError(f"step.loss {name!r} is unknown; {hint}")
    return LOSSES[name]


def cut(planes: dict[str, jax.Array], factors: dict[str, int], keys: jax.Array, side: int) -> dict[str, jax.Array]:
    """Squares at a random place of each example, the same in all: `side` pixels of the input, times the factors.

    Raises:
      UserError: the pictures are smaller.
    """
    height, width = planes["input"].shape[1:3]
    if side > min(height, width):
        raise UserError(
            f"step.crop {side}: the inputs are of {height}x{width} pixels; choose at most {min(height, width)}"
        )
    at = random.uniform(keys, (2,)) * jnp.array([height - side + 1, width - side + 1])
    places = jnp.minimum(at.astype(jnp.int32), jnp.array([height - side, width - side]))

    def one(x: jax.Array, place: jax.Array, factor: int) -> jax.Array:
        start = (place[0] * factor, place[1] * factor, jnp.zeros((), place.dtype))
        return jax.lax.dynamic_slice(x, start, (side * factor, side * factor, x.shape[-1]))

    return {name: jax.vmap(lambda x, place, f=factors[name]: one(x, place, f))(x, places) for name, x in planes.items()}


def turned(images: jax.Array, keys: jax.Array) -> jax.Array:
    """Squares mirrored and turned in one of eight ways, by each example's key.

    Raises:
      UserError: they are no squares.
    """
    if images.shape[1] != images.shape[2]:
        raise UserError(f"step.turns: pairs of {images.shape[1]}x{images.shape[2]} are no squares; set step.crop")
    way = random.randint(keys, 8)[:, None, None, None]
    images = jnp.where(way & 1, jnp.flip(images, 1), images)
    images = jnp.where(way & 2, jnp.flip(images, 2), images)
    return jnp.where(way & 4, jnp.swapaxes(images, 1, 2), images)
