"""How much each pixel matters to a network's number, by its gradient and by covering places.

Each returns maps (batch, height, width), one a picture, and may be compiled, whole, by `genart_jax.jit`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.use.explain.seen import Seen

Gradient = Callable[[jax.Array], jax.Array]


def gradient(seen: Seen) -> Gradient:
    """Images -> the gradient of each one's score by its own pixels."""
    return jax.grad(lambda images: jnp.sum(seen.score(images)))


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
    copy = lambda i: images + 2 * noise * random.normal(_keys(key, i, len(images)), images.shape[1:])
    return jnp.max(jnp.abs(_mean_gradient(seen, images, copy, num)), axis=-1)


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
    slope = _mean_gradient(seen, images, lambda i: start + (i + 0.5) / steps * (images - start), steps)
    maps = jnp.sum((images - start) * slope, axis=-1)
    return maps, seen.score(images) - seen.score(start) - jnp.sum(maps, axis=(1, 2))


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
    cover = jnp.full((len(images), window, window, images.shape[3]), fill, images.dtype)
    places = jnp.array(
        [(top, left) for top in _starts(height, window, stride) for left in _starts(width, window, stride)]
    )
    whole = seen.score(images)

    def fall(place: jax.Array) -> jax.Array:
        return whole - seen.score(jax.lax.dynamic_update_slice(images, cover, (0, place[0], place[1], 0)))

    falls = jax.lax.map(fall, places)  # (squares, batch): one after the other, as all at once are too much memory
    rows, columns = (jnp.arange(side) - places[:, i : i + 1] for i, side in enumerate((height, width)))
    inside = [((at >= 0) & (at < window)).astype(falls.dtype) for at in (rows, columns)]
    total = jnp.einsum("sb,sh,sw->bhw", falls, *inside)
    return total / jnp.einsum("sh,sw->hw", *inside)


def _mean_gradient(seen: Seen, images: jax.Array, copy: Callable[[jax.Array], jax.Array], num: int) -> jax.Array:
    """Over `num` copies, one after the other, as all at once are too much memory."""
    slope = gradient(seen)
    total = jax.lax.fori_loop(0, num, lambda i, total: total + slope(copy(i)), jnp.zeros_like(images))
    return total / num


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Where squares begin, the last at the border."""
    return sorted({*range(0, side - window, stride), side - window})


def _keys(key: jax.Array, index: jax.Array, batch: int) -> jax.Array:
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, index), i))(jnp.arange(batch))
