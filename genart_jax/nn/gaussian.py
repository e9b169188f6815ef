"""Normal distributions that networks speak of."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def kl_normals(mean: jax.Array, log_variance: jax.Array, at: jax.Array, log_spread: jax.Array) -> jax.Array:
    """KL(N(mean, variance) || N(at, spread)) of each number, the second's variance given as its logarithm too."""
    apart = log_spread - log_variance
    return 0.5 * (apart - 1.0 + jnp.exp(-apart) + jnp.square(mean - at) * jnp.exp(-log_spread))
