"""With which probability a critic's pictures are augmented: from its own overfitting, or on a schedule."""

from __future__ import annotations

import jax
import jax.numpy as jnp

EVERY = 4
"""Minibatches of the critic between adjustments (Karras et al. 2020b, section 3.1)."""

Controller = dict[str, jax.Array]
"""`p`, and since the last adjustment the sum of the signs (`signs`) and the number of minibatches (`count`)."""


def start() -> Controller:
    """The probability begins at 0."""
    return {"p": jnp.zeros(()), "signs": jnp.zeros(()), "count": jnp.zeros((), jnp.int32)}


def adapt(c: Controller, sign: jax.Array, images: int, target: float, ramp: int, most: float = 1.0) -> Controller:
    """The controller after one more minibatch of the critic (Karras et al. 2020b, section 3.1).

    Every `EVERY` minibatches, p rises by a fixed amount where r_t = E[sign(D(real))] (eq. 1) is above the target, and
    falls by as much where it is below.

    Args:
      sign: the mean sign of the critic's scores of this minibatch's real pictures.
      images: real pictures in a minibatch, over all devices.
      target: of r_t; 0.6 in the paper.
      ramp: real pictures that p takes from 0 to 1; 500,000 in the paper.
      most: p stays from 0 to this.
    """
    signs, count = c["signs"] + sign, c["count"] + 1
    due = count == EVERY
    change = jnp.sign(signs / EVERY - target) * (EVERY * images / ramp)
    p = jnp.where(due, jnp.clip(c["p"] + change, 0.0, most), c["p"])
    return {"p": p, "signs": jnp.where(due, 0.0, signs), "count": jnp.where(due, 0, count)}


def cosine(seen: jax.Array, ramp: int, final: float) -> jax.Array:
    """From 0 to `final` along half a cosine over the first `ramp` pictures, then constant.

    The shape of R3GAN's schedules (Huang et al. 2024, "The GAN is dead; long live the GAN!", appendix).

    Args:
      seen: real pictures that the critic has seen so far.
    """
    return final * 0.5 * (1.0 - jnp.cos(jnp.pi * jnp.clip(seen / ramp, 0.0, 1.0)))
