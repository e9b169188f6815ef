"""RandAugment on the device (Cubuk et al. 2020, "RandAugment: practical automated data augmentation with a reduced
search space", arXiv:1909.13719, table 1 and section 3): of fourteen operations a few, all equally strong.

What moves a picture is put together into one affine map, by which it is looked up once; then come the changes of
colour in the order in which they were drawn. In the paper the two take turns.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn.random import stream
from genart_jax.nn.warp import warp

MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
COLOURS = (
    "auto_contrast", "equalize", "solarize", "posterize", "color", "contrast", "brightness", "sharpness"
)  # fmt: skip
OPERATIONS = ("identity", *MOVES, *COLOURS)
_ANGLE, _SHEAR, _SHIFT, _FACTOR = math.radians(30), 0.3, 0.3, 0.9
"""Of strength 10: radians, a slope, a share of the side, and how far a factor is from 1."""


def check_randaugment(given: tuple[float, ...]) -> None:
    """Raises UserError unless these are a number of operations and a strength."""
    if len(given) != 2 or given[0] < 1 or given[0] != int(given[0]) or not 0 <= given[1] <= 30:
        raise UserError(f"data.randaugment {given}: wanted how many operations, and how strong from 0 to 30, as in 2 9")


def randaugment(images: jax.Array, keys: jax.Array, count: int, strength: float, colours: bool = True) -> jax.Array:
    """Changes each example by `count` operations, each drawn anew.

    Args:
      images: float (B, height, width, 1 or 3), pictures in [-1, 1], or masks.
      keys: (B,) typed keys; the same keys draw the same for another array.
      count: how many operations.
      strength: 0 to 30; 10 is an angle of 30 degrees, say.
      colours: whether colours are changed too, and not only places (of masks).
    """
    size = images.shape[1], images.shape[2]
    drawn = jax.vmap(lambda key: _drawn(stream(key, "randaugment"), count))(keys)
    operations, signs = drawn
    share = strength / 10
    maps = jax.vmap(lambda chosen, sign: _map(chosen, sign * share, size))(operations, signs)
    images = warp(images, maps)
    if not colours:
        return images

    def one(image: jax.Array, chosen: jax.Array, sign: jax.Array) -> jax.Array:
        x = jnp.clip(0.5 * (image + 1.0), 0.0, 1.0)
        for i in range(count):
            place = jnp.clip(chosen[i] - OPERATIONS.index(COLOURS[0]) + 1, 0, len(COLOURS))
            changed = [colour(name, x, share, sign[i]) for name in COLOURS]
            x = jax.lax.select_n(place, x, *changed)
        return 2.0 * x - 1.0

    return jax.vmap(one)(images, operations, signs)


def _drawn(key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Numbers of operations, and signs."""
    operations = jax.random.randint(stream(key, "operation"), (count,), 0, len(OPERATIONS))
    return operations, jax.random.rademacher(stream(key, "sign"), (count,), jnp.float32)


def _map(chosen: jax.Array, amounts: jax.Array, size: tuple[int, int]) -> jax.Array:
    """The affine map (2, 3) of all that moves, from places of the result to places of the picture."""
    whole = jnp.eye(3)
    for i in range(len(chosen)):
        on = [jnp.where(chosen[i] == OPERATIONS.index(name), amounts[i], 0.0) for name in MOVES]
        angle = _ANGLE * on[0]
        cos, sin, one, none = jnp.cos(angle), jnp.sin(angle), jnp.ones(()), jnp.zeros(())
        turn = jnp.array([[cos, -sin, none], [sin, cos, none], [none, none, one]])
        x, y = _SHIFT * size[1] * on[3], _SHIFT * size[0] * on[4]
        rest = jnp.array([[one, _SHEAR * on[1], x], [_SHEAR * on[2], one, y], [none, none, one]])
        whole = turn @ rest @ whole  # at most one of them is no identity
    return whole[:2]


def colour(name: str, x: jax.Array, share: float, sign: jax.Array | float) -> jax.Array:
    """One change of colours.

    Args:
      name: of `COLOURS`.
      x: one picture (height, width, 1 or 3) in [0, 1].
      share: of the range of strength 10.
      sign: whether a factor is above 1 or below.
    """
    factor = jnp.maximum(1.0 + sign * _FACTOR * share, 0.0)
    if name == "auto_contrast":
        low, high = (f(x, axis=(0, 1), keepdims=True) for f in (jnp.min, jnp.max))
        return jnp.where(high > low, (x - low) / jnp.maximum(high - low, 1e-6), x)
    if name == "equalize":
        return jnp.stack([_equalized(x[..., i]) for i in range(x.shape[-1])], axis=-1)
    if name == "solarize":
        return jnp.where(x >= 1.0 - share, 1.0 - x, x)
    if name == "posterize":
        step = 2.0 ** min(7, round(4 * share))
        return jnp.floor(jnp.round(255.0 * x) / step) * step / 255.0
    if name == "brightness":
        return jnp.clip(factor * x, 0.0, 1.0)
    luma = jnp.sum(x * jnp.array([0.299, 0.587, 0.114]), -1, keepdims=True) if x.shape[-1] == 3 else x
    middle = {"color": lambda: luma, "contrast": lambda: jnp.mean(luma), "sharpness": lambda: _smooth(x)}[name]()
    return jnp.clip(middle + factor * (x - middle), 0.0, 1.0)


def _equalized(x: jax.Array) -> jax.Array:
    """One channel (height, width) whose values are spread evenly: each becomes the share of those up to it."""
    flat = jnp.round(255.0 * x.ravel())
    ordered = jnp.sort(flat)
    up_to = jnp.searchsorted(ordered, flat, side="right")
    lowest = jnp.searchsorted(ordered, ordered[0], side="right")
    spread = (up_to - lowest) / jnp.maximum(len(flat) - lowest, 1)
    return jnp.where(lowest < len(flat), spread, flat / 255.0).reshape(x.shape)


def _smooth(x: jax.Array) -> jax.Array:
    """The mean of 3x3 neighbours, of which the middle counts five times; pixels at the edge stay."""
    height, width = x.shape[:2]
    parts = [x[i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3)]
    inner = (sum(parts[1:], parts[0]) + 4.0 * x[1:-1, 1:-1]) / 13.0
    return x.at[1:-1, 1:-1].set(inner)
