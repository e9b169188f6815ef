"""The terms of the evidence lower bound, in nats, one value an example."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Float


def kl_normal(
    mean: Float[jax.Array, "batch latent"], log_variance: Float[jax.Array, "batch latent"]
) -> Float[jax.Array, "batch latent"]:
    """KL(N(mean, variance) || N(0, 1)) of each latent dimension: (batch, latent), not summed.

    Kingma & Welling 2013, appendix B, with its sign turned.
    """
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance)


def gaussian_nll(
    x: Float[jax.Array, "batch *shape"], mean: Float[jax.Array, "batch *shape"], scale: jax.Array | float
) -> Float[jax.Array, " batch"]:
    """-log N(x; mean, scale^2), summed over an example's pixels and channels: (batch,).

    A density over the units of x, so it may be negative. Kingma & Welling 2013, appendix C.2.
    """
    squared = jnp.sum(jnp.square(x - mean), axis=tuple(range(1, x.ndim)))
    dimensions = math.prod(x.shape[1:])
    log_scale = jnp.log(scale)
    return 0.5 * squared * jnp.exp(-2.0 * log_scale) + dimensions * (log_scale + 0.5 * math.log(2.0 * math.pi))


def bernoulli_nll(
    x: Float[jax.Array, "batch *shape"], logits: Float[jax.Array, "batch *shape"]
) -> Float[jax.Array, " batch"]:
    """-log Bernoulli(x; sigmoid(logits)), summed over an example's pixels and channels: (batch,).

    Kingma & Welling 2013, eq. 11. For x strictly between 0 and 1 this is a cross entropy and no likelihood.
    """
    # log(1 + e^x) without overflow, with slope 1/2 at 0. `log1p` would take longer, and change a sum of pixels by at
    # most 1e-7 each.
    size = jnp.abs(logits)
    softplus = 0.5 * (logits + size) + jnp.log(1 + jnp.exp(-size))
    nll = (softplus - x * logits).reshape(x.shape[0], math.prod(x.shape[1:]))
    # The sum as a matrix product: XLA on CPU would compute everything that leads to a plain sum in one thread, a fifth
    # of the time of mlp_vae's step.
    return jnp.matmul(nll, jnp.ones(nll.shape[1], nll.dtype), precision=jax.lax.Precision.HIGHEST)


def bits_per_dimension(nats: jax.Array, dimensions: int) -> jax.Array:
    """Nats of a discrete example -> bits a pixel and channel.

    For a density over 8-bit pixels scaled to [-1, 1] and made continuous by uniform noise of one level (Theis et al.
    2016, section 3.1), add log(127.5) nats a dimension first: a level is 1/127.5 wide.
    """
    return nats / (dimensions * math.log(2.0))
