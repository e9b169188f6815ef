"""How much each pixel matters to a network's number, by its gradient and by covering places.

Each returns maps (batch, height, width), one a picture.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.use.explain.seen import Seen

Gradient = Callable[[jax.Array], jax.Array]


def gradient(seen: Seen) -> Gradient:
    """Images -> the gradient of each one's score by its own pixels; compiled."""
    return compiler.jit(jax.grad(lambda images: jnp.sum(seen.score(images))))


def saliency(seen: Seen, images: jax.Array) -> jax.Array:
    """The largest of a pixel's absolute derivatives (Simonyan et al. 2014, arXiv:1312.6034, section 3.1)."""
    return jnp.max(jnp.abs(gradient(seen)(images)), axis=-1)


def smooth_grad(seen: Seen, images: jax.Array, key: jax.Array, num: int = 32, noise: float = 0.15) -> jax.Array:
    """Saliency of the mean gradient over noisy copies (Smilkov et al. 2017, arXiv:1706.03825, section 3.1).

    Args:
      seen: the network.
      images: (batch, height, width, channels) in [-1, 1].
      key: of the noise; a picture's noise depends on its place in the batch alone.
      num: copies.
      noise: standard deviation, as a share of the range of [-1, 1].
    """
    if num < 1 or noise < 0:
        raise UserError(f"smooth_grad: num {num} and noise {noise:g}: wanted at least 1, and not below 0")
    slope, total = gradient(seen), jnp.zeros_like(images)
    for i in range(num):
        total = total + slope(images + 2 * noise * random.normal(_keys(key, i, len(images)), images.shape[1:]))
    return jnp.max(jnp.abs(total / num), axis=-1)


def integrated_gradients(
    seen: Seen, images: jax.Array, baseline: float | jax.Array = 1.0, steps: int = 64
) -> tuple[jax.Array, jax.Array]:
    """Sundararajan et al. 2017, arXiv:1703.01365, eq. 1, by the midpoint rule; a pixel's channels are summed.

    Args:
      seen: the network.
      images: (batch, height, width, channels) in [-1, 1].
      baseline: the picture that counts as nothing, or its grey; white by default, as the icons' background is.
      steps: points on the way from the baseline.

    Returns:
      Signed maps; and what is left of completeness, (batch,): the score less the baseline's less the map's sum, which
      goes to 0 with more steps (there, proposition 1).
    """
    if steps < 1:
        raise UserError(f"integrated_gradients: steps {steps}: wanted at least 1")
    start = jnp.broadcast_to(jnp.asarray(baseline, images.dtype), images.shape)
    slope, total = gradient(seen), jnp.zeros_like(images)
    for i in range(steps):
        total = total + slope(start + (i + 0.5) / steps * (images - start))
    maps = jnp.sum((images - start) * total / steps, axis=-1)
    score = compiler.jit(seen.score)
    return maps, score(images) - score(start) - jnp.sum(maps, axis=(1, 2))


def occlusion(seen: Seen, images: jax.Array, window: int = 0, stride: int = 0, fill: float = 1.0) -> jax.Array:
    """How much the score falls where a square is covered (Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2).

    Args:
      seen: the network.
      images: (batch, height, width, channels) in [-1, 1].
      window: side of the square; 0: a quarter of the shorter side.
      stride: from square to square; 0: half a window.
      fill: the grey that covers.

    Returns:
      For each pixel, the mean fall over the squares that cover it.
    """
    height, width = images.shape[1:3]
    window = window or max(1, min(height, width) // 4)
    stride = stride or max(1, window // 2)
    if not 1 <= window <= min(height, width) or not 1 <= stride <= window:
        raise UserError(f"occlusion: window {window}, stride {stride}: a square inside, and steps of at most its side")
    score = compiler.jit(seen.score)
    whole, total, count = score(images), jnp.zeros(images.shape[:3]), jnp.zeros((height, width))
    for top in _starts(height, window, stride):
        for left in _starts(width, window, stride):
            box = (slice(top, top + window), slice(left, left + window))
            fall = whole - score(images.at[:, box[0], box[1]].set(fill))
            total, count = total.at[:, box[0], box[1]].add(fall[:, None, None]), count.at[box].add(1)
    return total / count


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Where squares begin, the last at the border."""
    return sorted({*range(0, side - window, stride), side - window})


def _keys(key: jax.Array, index: int, batch: int) -> jax.Array:
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, index), i))(jnp.arange(batch))
