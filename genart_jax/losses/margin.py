"""Losses of identities: a class's score is the cosine between a picture's embedding and the class's direction, and that
of the true class is made worse by a margin in training.

- Wang et al. 2018, "CosFace: large margin cosine loss for deep face recognition", arXiv:1801.09414, eq. 4: cos - m.
- Deng et al. 2019, "ArcFace: additive angular margin loss for deep face recognition", arXiv:1801.07698, eq. 3:
  cos(angle + m).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

Margin = Callable[[jax.Array, float], jax.Array]


def cosface(cosine: jax.Array, margin: float) -> jax.Array:
    """Cosines - m, any shape."""
    return cosine - margin


def arcface(cosine: jax.Array, margin: float) -> jax.Array:
    """cos(angle + m), any shape; where the angle is above pi - m and this would rise again, the line that goes on."""
    cos_m, sin_m = jnp.cos(margin), jnp.sin(margin)
    inside = jnp.clip(1.0 - jnp.square(cosine), 1e-6)  # its root has no derivative at 0
    turned = cosine * cos_m - jnp.sqrt(inside) * sin_m
    return jnp.where(cosine > -cos_m, turned, cosine - margin * sin_m)


MARGINS: Mapping[str, Margin] = {"cosface": cosface, "arcface": arcface}


def with_margin(cosines: jax.Array, targets: jax.Array, name: str, margin: float, scale: float) -> jax.Array:
    """Scores to take a cross entropy of: (batch, classes).

    Args:
      cosines: (batch, classes) in [-1, 1].
      targets: (batch, classes); the margin is that of the largest entry's class.
      name: of `MARGINS`.
      margin: radians (arcface), or of the cosine (cosface).
      scale: by which cosines are multiplied.
    """
    own = jax.nn.one_hot(jnp.argmax(targets, axis=-1), cosines.shape[-1])
    return scale * jnp.where(own > 0, MARGINS[name](cosines, margin), cosines)
