"""Spectral normalisation (Miyato et al. 2018, "Spectral normalization for generative adversarial networks").

A kernel W, reshaped to (rest, features), is divided by its largest singular value sigma, which a power iteration
follows from step to step: v = Wu / |Wu|, u = W'v / |W'v| (algorithm 1 there). Here sigma is |Wu| with the newest u,
which is u'W'v for the v that belongs to this u: half an iteration nearer than the v of the same round, and a vector
less to store. As u is a constant to the derivative, that of sigma is the outer product of v and u.

`u` is in the collection `COLLECTION`, as `<layer>/<parameter>_u`. It is a state of the parameters, not of the data: it
advances by one iteration in an `apply` that has this collection mutable, and in no other, be it training or not.
`steps.networks.apply` opens it once an update of the parameters.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genart_jax.nn import conv, embed

COLLECTION = "spectral"
_FIRST = 15
"""Iterations of a fresh u, which else would see an average of the singular values rather than the largest."""


def sigma(matrix: jax.Array, u: jax.Array) -> jax.Array:
    """|matrix @ u|, for a (rest, features) matrix and a unit vector u (features,): at most the largest singular value.

    In float32 and without a matrix product, which a precision policy would round.
    """
    return jnp.sqrt(jnp.sum(jnp.square(jnp.sum(matrix * u, axis=1))) + 1e-24)


def iterate(matrix: jax.Array, u: jax.Array) -> jax.Array:
    """One power iteration: the unit vector u (features,) nearer to the first right singular vector of the matrix."""
    v = jnp.sum(matrix * u, axis=1, keepdims=True)
    v = v / jnp.sqrt(jnp.sum(jnp.square(v)) + 1e-24)
    u = jnp.sum(matrix * v, axis=0)
    return u / jnp.sqrt(jnp.sum(jnp.square(u)) + 1e-24)


class Normalized(nn.Module):
    """A module in which every parameter of two or more axes is divided by its sigma; stored are the undivided ones.

    Attributes:
      axis_name: of `pmap` or `shard_map`, where `u` must be known to be the same on all devices.
    """

    axis_name: str | None = None

    def param(self, name: str, init_fn: Any, *init_args: Any, **kwargs: Any) -> Any:
        """As Flax's, divided."""
        value = super().param(name, init_fn, *init_args, **kwargs)
        if value.ndim < 2:
            return value
        matrix = value.reshape(-1, value.shape[-1])
        fixed = jax.lax.stop_gradient(matrix)
        u = self.variable(COLLECTION, f"{name}_u", self._first, fixed)
        if self.is_mutable_collection(COLLECTION) and not self.is_initializing():
            new = iterate(fixed, u.value)
            u.value = new if self.axis_name is None else jax.lax.pmean(new, self.axis_name)
        return value / sigma(matrix, u.value)

    def _first(self, matrix: jax.Array) -> jax.Array:
        u = jax.random.normal(self.make_rng("params"), matrix.shape[1:])
        return jax.lax.fori_loop(0, _FIRST, lambda _, u: iterate(matrix, u), u)


class Conv(Normalized, conv.Conv):
    """`nn.conv.Conv` with its kernel divided by its sigma, as a (height * width * in, out) matrix."""


class Dense(Normalized, nn.Dense):
    """`flax.linen.Dense` with its kernel divided by its sigma."""


class ConditionEmbed(Normalized, embed.ConditionEmbed):
    """`nn.embed.ConditionEmbed` with each table divided by its sigma."""
