"""What keeps encodings near their codes, and how evenly codes are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def commitment(
    z: Float[jax.Array, "batch *shape"], quantized: Float[jax.Array, "batch *shape"]
) -> Float[jax.Array, " batch"]:
    """|z - sg(e)|^2, averaged over an example's positions and features: (batch,).

    The last term of van den Oord et al. 2017, eq. 3, without its weight; sg stops the gradient.
    """
    return jnp.mean(jnp.square(z - jax.lax.stop_gradient(quantized)), axis=tuple(range(1, z.ndim)))


def usage(codes: Int[jax.Array, "batch *grid"], num: int) -> Float[jax.Array, "batch num"]:
    """The share of an example's positions that takes each of `num` codes: codes (batch, ...) -> (batch, num)."""
    flat = codes.reshape(len(codes), -1)
    rows = jnp.arange(len(flat))[:, None]
    return jnp.zeros((len(flat), num)).at[rows, flat].add(1.0 / flat.shape[1])


def perplexity(share: Float[jax.Array, " num"]) -> Float[jax.Array, ""]:
    """exp(-sum p log p) of shares (num,) that add up to 1: `num` where all are equal, 1 where one is all."""
    return jnp.exp(-jnp.sum(xlogy(share, share)))
