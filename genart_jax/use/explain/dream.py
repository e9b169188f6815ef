"""Pictures that a network's intermediates ask for: feature visualisation, and DeepDream."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.use.explain.seen import Seen

Ascent = Callable[[jax.Array, jax.Array], jax.Array]


def visualise(
    seen: Seen,
    key: jax.Array,
    num: int = 1,
    stage: str = "",
    channels: tuple[int, ...] = (),
    steps: int = 128,
    rate: float = 0.05,
    smooth: float = 0.01,
    jitter: int = 2,
) -> jax.Array:
    """Pictures that raise a number, by gradient ascent from weak noise, with the usual priors.

    Erhan et al. 2009; Olah, Mordvintsev & Schubert 2017, "Feature visualization", doi:10.23915/distill.00007: small
    shifts (transformation robustness), total variation (frequency penalisation), and values kept in [-1, 1].

    Args:
      seen: the network, and the number that is raised where no stage is named.
      key: of the noise and the shifts.
      num: pictures; with channels, one for each.
      stage: name of an intermediate, the mean of whose channels is raised; "": the network's own number.
      channels: which; () with a stage: its first `num`.
      steps: of ascent. Each moves a pixel by `rate` times the gradient over its root mean square.
      rate: see there.
      smooth: weight of the total variation.
      jitter: pixels by which a picture is shifted at random before it is looked at.

    Returns:
      (num or channels, height, width, channels) in [-1, 1].
    """
    if steps < 1 or num < 1:
        raise UserError(f"visualise: steps {steps} and num {num}: wanted at least 1")
    chosen = jnp.asarray(channels or tuple(range(num))) if stage else jnp.zeros(num, int)
    images = 0.05 * random.normal(random.example_keys(key, len(chosen)), seen.shape)

    def objective(images: jax.Array, shift: jax.Array) -> jax.Array:
        looked_at = jnp.roll(images, shift, axis=(1, 2))
        if not stage:
            value = seen.score(looked_at)
        else:
            found = seen.stage(looked_at, stage)
            value = jnp.take_along_axis(found.reshape(len(found), -1, found.shape[-1]).mean(1), chosen[:, None], 1)
        return jnp.sum(value) - smooth * jnp.sum(_variation(images))

    ascend = _ascent(objective, rate)
    for i in range(steps):
        shift = jax.random.randint(jax.random.fold_in(key, i), (2,), -jitter, jitter + 1)
        images = ascend(images, shift)
    return images


def deep_dream(
    seen: Seen,
    picture: jax.Array,
    key: jax.Array,
    stage: str = "",
    steps: int = 10,
    rate: float = 0.02,
    octaves: int = 3,
    ratio: float = 1.4,
) -> jax.Array:
    """Whatever a stage sees in a picture, more of it (Mordvintsev, Olah & Tyka 2015, "Inceptionism").

    The mean square of the stage is raised at several sizes, from small to large, and the detail that one size added is
    carried to the next. A picture of any size is looked at in squares of the network's own size, which lie elsewhere at
    each step, so that no seam stays.

    Args:
      seen: the network.
      picture: (height, width, channels) in [-1, 1].
      key: of the squares' places.
      stage: name of the intermediate; "": the last that has places.
      steps: of ascent at each size.
      rate: how far a step goes; see `visualise`.
      octaves: sizes.
      ratio: of a size to the one before.

    Returns:
      A picture of the same shape.
    """
    if octaves < 1 or ratio <= 1:
        raise UserError(f"deep_dream: octaves {octaves}, ratio {ratio:g}: wanted at least 1, and above 1")
    name = stage or seen.last_map()
    ascend = _ascent(lambda tiles, _: jnp.sum(jnp.mean(jnp.square(seen.stage(tiles, name)), axis=(1, 2, 3))), rate)
    whole, detail = picture.shape[:2], jnp.zeros_like(picture)
    for octave in range(octaves):
        share = ratio ** (octave - octaves + 1)
        size = tuple(max(least, round(share * side)) for least, side in zip(seen.shape, whole, strict=False))
        size = whole if octave == octaves - 1 else size
        base = jax.image.resize(picture, (*size, picture.shape[-1]), "linear")
        image = base + jax.image.resize(detail, base.shape, "linear")
        for i in range(steps):
            image = _in_squares(image, seen.shape[:2], jax.random.fold_in(key, octave * steps + i), ascend)
        detail = image - base
    return jnp.clip(picture + detail, -1, 1)


def _ascent(objective: Callable[[jax.Array, jax.Array], jax.Array], rate: float) -> Ascent:
    """A step up, of the same length however steep: each picture's gradient over its root mean square."""

    def step(images: jax.Array, given: jax.Array) -> jax.Array:
        slope = jax.grad(objective)(images, given)
        steepness = jnp.sqrt(jnp.mean(jnp.square(slope), axis=(1, 2, 3), keepdims=True))
        return jnp.clip(images + rate * slope / (steepness + 1e-8), -1, 1)

    return compiler.jit(step)


def _in_squares(image: jax.Array, size: tuple[int, ...], key: jax.Array, ascend: Ascent) -> jax.Array:
    """A step on a picture of any size, by squares of `size` that begin at a random place."""
    (height, width), (tall, wide) = image.shape[:2], size
    rows, columns = math.ceil(height / tall), math.ceil(width / wide)
    shift = jax.random.randint(key, (2,), 0, jnp.array(size))
    padding = ((0, rows * tall - height), (0, columns * wide - width), (0, 0))
    padded = jnp.roll(jnp.pad(image, padding, "symmetric"), shift, axis=(0, 1))
    tiles = padded.reshape(rows, tall, columns, wide, -1).swapaxes(1, 2).reshape(rows * columns, tall, wide, -1)
    tiles = ascend(tiles, shift)
    back = tiles.reshape(rows, columns, tall, wide, -1).swapaxes(1, 2).reshape(padded.shape)
    return jnp.roll(back, -shift, axis=(0, 1))[:height, :width]


def _variation(images: jax.Array) -> jax.Array:
    """Mean absolute difference of neighbouring pixels, (batch,)."""
    down = jnp.abs(jnp.diff(images, axis=1)).mean(axis=(1, 2, 3))
    return down + jnp.abs(jnp.diff(images, axis=2)).mean(axis=(1, 2, 3))
