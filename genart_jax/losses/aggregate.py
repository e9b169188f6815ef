"""What an objective says of the aggregate posterior q(z), the mean of all examples' posteriors: one value an example.

Both measures take the batch for the whole set.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Float


def total_correlation(
    z: Float[jax.Array, "batch latent"],
    mean: Float[jax.Array, "all latent"],
    log_variance: Float[jax.Array, "all latent"],
) -> Float[jax.Array, " batch"]:
    """An estimate of log q(z) - sum_d log q(z_d) in nats, whose mean is the total correlation of q(z).

    Chen et al. 2018, "Isolating sources of disentanglement in variational autoencoders", arXiv:1802.04942, eq. 2, by
    minibatch-weighted sampling (eq. 5): q is the mixture of these posteriors. Their constant for the size of the data
    set is left out, for it has no gradient.

    Args:
      z: a draw of each example.
      mean: of all posteriors, the examples' own among them.
      log_variance: the same.
    """
    apart = jnp.square(z[:, None] - mean) * jnp.exp(-log_variance)
    each = -0.5 * (apart + log_variance + math.log(2.0 * math.pi))  # (batch, all, latent)
    joint = jax.nn.logsumexp(jnp.sum(each, axis=-1), axis=1)
    alone = jnp.sum(jax.nn.logsumexp(each, axis=1), axis=-1)
    return joint - alone + (z.shape[1] - 1) * math.log(len(mean))


def _likeness(a: jax.Array, b: jax.Array) -> jax.Array:
    """The mean of exp(-|a - b|^2 / 2 latent) over all b: (len(a),)."""
    apart = jnp.sum(jnp.square(a[:, None] - b), axis=-1)
    return jnp.mean(jnp.exp(-apart / (2.0 * a.shape[1])), axis=1)


def discrepancy(
    z: Float[jax.Array, "batch latent"],
    drawn: Float[jax.Array, "batch latent"],
    all_z: Float[jax.Array, "all latent"],
    all_drawn: Float[jax.Array, "all latent"],
) -> Float[jax.Array, " batch"]:
    """k(z, all z) + k(p, all p) - 2 k(z, all p) in means, whose mean is the squared maximum mean discrepancy of z and
    of draws p of the prior.

    Zhao, Song & Ermon 2019, "InfoVAE: balancing learning and inference in variational autoencoders", arXiv:1706.02262,
    eq. 8, with a Gaussian kernel whose variance is the number of latent dimensions; pairs of an example with itself
    count.

    Args:
      z: a draw of each example's posterior.
      drawn: as many of the prior.
      all_z: those of all examples, these among them.
      all_drawn: the same.
    """
    return _likeness(z, all_z) + _likeness(drawn, all_drawn) - 2.0 * _likeness(z, all_drawn)
