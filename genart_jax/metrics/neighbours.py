"""Exact nearest neighbours, a tile of distances at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats, exact
from genart_jax.metrics.features import check_features

if TYPE_CHECKING:
    from jaxtyping import Float

TILE = 2048
"""Rows and columns of a tile: 32 MiB of float64."""
Best = tuple[jax.Array, jax.Array]


def squared_distances(a: Float[jax.Array, "n d"], b: Float[jax.Array, "m d"]) -> Float[jax.Array, "n m"]:
    """|a_i - b_j|^2 (len(a), len(b)), never below 0."""
    return jnp.maximum(jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None] - 2 * (a @ b.T), 0)


@exact
def nearest(queries: Array, keys: Array, k: int = 1, same: bool = False) -> tuple[Floats, Floats]:
    """Euclidean distances (n, k) and indices (n, k) of each query's k nearest keys, the nearest first.

    Equal rows are 0 apart; in the order, what differs by rounding alone counts as equal.

    Args:
      queries, keys: features (n, d) and (m, d).
      k: how many.
      same: queries are the keys, and none counts as its own neighbour.

    Raises:
      UserError: fewer than k keys, or features of different lengths.
    """
    check_features(queries=queries, keys=keys)
    if len(keys) - same < k:
        raise UserError(f"{k} nearest neighbours of {len(keys)} pictures: too few of them")
    centre = np.mean(keys, axis=0, dtype=np.float64)  # large common offsets would cancel
    queries, keys = (jnp.asarray(np.asarray(x, np.float64) - centre) for x in (queries, keys))
    distances, indices = [], []
    for i in range(0, len(queries), TILE):
        block = queries[i : i + TILE]
        best = jnp.full((len(block), k), jnp.inf), jnp.full((len(block), k), -1)
        for j in range(0, len(keys), TILE):
            best = _closer(best, block, keys[j : j + TILE], j, i if same else -1, k)
        # Of the pairs themselves: as |a|^2 + |b|^2 - 2 ab, equal ones can be apart by a rounding error.
        distances.append(np.stack([_between(block, keys[best[1][:, c]]) for c in range(k)], axis=1))
        indices.append(np.asarray(best[1]))
    return np.concatenate(distances), np.concatenate(indices)


@jax.jit
def _between(a: jax.Array, b: jax.Array) -> jax.Array:
    """|a_i - b_i| (n,); 0 where they are equal."""
    return jnp.sqrt(jnp.sum(jnp.square(a - b), axis=1))


@partial(jax.jit, static_argnums=5)
def _closer(best: Best, queries: jax.Array, keys: jax.Array, first: int, own: int, k: int) -> Best:
    """The k nearest of those known and of `keys`, the first of which has the index `first`."""
    squared = squared_distances(queries, keys)
    index = first + jnp.arange(len(keys))
    mine = own + jnp.arange(len(queries))
    squared = jnp.where((own >= 0) & (index[None] == mine[:, None]), jnp.inf, squared)
    known, where = best
    for _ in range(min(k, len(keys))):  # k is small, and a whole sort of a row would take longer
        place = jnp.argmin(squared, axis=1)
        known = jnp.concatenate([known, jnp.min(squared, axis=1)[:, None]], axis=1)
        where = jnp.concatenate([where, index[place][:, None]], axis=1)
        squared = jnp.where(jnp.arange(len(keys))[None] == place[:, None], jnp.inf, squared)
    order = jnp.argsort(known, axis=1, stable=True)[:, :k]
    return jnp.take_along_axis(known, order, axis=1), jnp.take_along_axis(where, order, axis=1)
