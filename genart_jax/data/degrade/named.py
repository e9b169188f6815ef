"""Degradations by name, as `step.degradation` takes them: what each restoration learns to undo."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.data.degrade.base import Degraded, draw, per_picture, signed, unit
from genart_jax.data.degrade.chain import Degradation, camera, chain
from genart_jax.data.degrade.jpeg import jpeg
from genart_jax.data.degrade.light import color_cast, gamma, haze, low_light
from genart_jax.data.degrade.masks import free_form
from genart_jax.data.degrade.noise import gaussian_noise
from genart_jax.data.degrade.old import old_photograph
from genart_jax.data.degrade.resample import downsample
from genart_jax.nn.random import stream


def sometimes(degradation: Degradation, probability: float) -> Degradation:
    """The degradation of each example with so much probability, else the example as it is. Parameters: "applied"."""

    def degraded(images: jax.Array, keys: jax.Array) -> Degraded:
        changed, _ = degradation(images, keys)
        applied = draw(keys, "applied", (0.0, 1.0)) < probability
        image = jnp.where(per_picture(applied), changed, images)
        return Degraded(image, {"applied": applied.astype(jnp.float32)})

    return degraded


def flat(images: jax.Array, keys: jax.Array, contrast: tuple[float, float] = (0.6, 1.0)) -> Degraded:
    """Less contrast: pixels drawn towards the picture's mean. Parameters: "contrast" (B,)."""
    x, drawn = unit(images, keys), draw(keys, "contrast", contrast)
    mean = jnp.mean(x, axis=(1, 2, 3), keepdims=True)
    return Degraded(signed(mean + per_picture(drawn) * (x - mean)), {"contrast": drawn})


def _cast(low: float, high: float) -> Degradation:
    """Light of another colour, of pictures that have colours."""
    cast = functools.partial(color_cast, gain=(low, high))
    return lambda images, keys: cast(images, keys) if images.shape[-1] == 3 else Degraded(images, {})


def holes(images: jax.Array, keys: jax.Array) -> Degraded:
    """Strokes of a brush, thin and thick: 4 or 8 of them by turns of chance. Parameters: "mask"."""
    few = free_form(images, keys, strokes=4, thickness=(0.06, 0.16))
    many = free_form(images, stream(keys, "many"), strokes=8, thickness=(0.02, 0.06), length=(0.08, 0.2))
    first = per_picture(draw(keys, "which", (0.0, 1.0)) < 0.5)
    pick = lambda a, b: jnp.where(first, a, b)
    return Degraded(pick(few.image, many.image), {"mask": pick(few.parameters["mask"], many.parameters["mask"])})


def faults(images: jax.Array, keys: jax.Array) -> Degraded:
    """What goes wrong in a cheap camera at night: noise, and in most examples darkness, a cast, blocks."""
    return chain(
        light=sometimes(functools.partial(low_light, gain=(0.6, 1.0), exponent=(1.2, 2.5)), 0.7),
        cast=sometimes(_cast(0.75, 1.25), 0.7),
        noise=functools.partial(gaussian_noise, sigma=(0.005, 0.06)),
        file=sometimes(functools.partial(jpeg, quality=(15.0, 80.0)), 0.5),
    )(images, keys)


def dull(images: jax.Array, keys: jax.Array) -> Degraded:
    """A picture nobody has worked on: flat, a little dark or light, off in colour, with slight noise."""
    return chain(
        contrast=flat,
        tone=sometimes(functools.partial(gamma, exponent=(0.75, 1.5)), 0.8),
        balance=sometimes(_cast(0.88, 1.12), 0.8),
        noise=sometimes(functools.partial(gaussian_noise, sigma=(0.0, 0.03)), 0.8),
    )(images, keys)


NAMED: dict[str, Degradation] = {
    "holes": holes,
    "old": old_photograph,
    "haze": haze,
    "faults": faults,
    "dull": dull,
    "camera": camera,
    "noise": gaussian_noise,
    "jpeg": jpeg,
}


def named(name: str, scale: int = 1) -> Degradation:
    """The degradation of a name; "downsample" is bicubic by `scale`.

    Raises:
      UserError: no such name; pictures that become smaller for a model that does not enlarge them, or the other way.
    """
    if name == "downsample" and scale > 1:
        return lambda images, keys: downsample(images, scale)
    if name not in NAMED:
        there = f"{', '.join(NAMED)}, and downsample for a model that enlarges pictures"
        raise UserError(f"step.degradation {name!r}: there are {there}")
    if scale > 1:
        raise UserError(f"step.degradation {name}: this model enlarges pictures by {scale}; set it to downsample")
    return NAMED[name]
