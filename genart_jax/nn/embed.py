"""Embeddings of named conditions, each of which may be hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.types import HIDDEN


class ConditionEmbed(nn.Module):
    """One learned vector a class and condition, and one for a hidden condition.

    Attributes:
      conditions: (name, number of classes) of each.
      features: length of a vector.
      stddev: of the normal initialisation.
      of_layer: whether it is divided by the root of the number of classes, as of a linear layer that takes one-hot
        vectors (He et al. 2015).
    """

    conditions: tuple[tuple[str, int], ...]
    features: int
    stddev: float = 1.0
    dtype: DTypeLike = jnp.float32
    of_layer: bool = False

    @nn.compact
    def __call__(self, condition: Mapping[str, jax.Array] | None, batch: int) -> list[jax.Array]:
        """Integer arrays (batch,) by name -> one (batch, features) array a condition, in the order of `conditions`.

        A condition that is missing, or -1 for an example, is hidden. The vector of a number that is no class is NaN:
        inside a compiled program nothing else can refuse it.
        """
        out = []
        for name, classes in self.conditions:
            stddev = self.stddev * classes**-0.5 if self.of_layer else self.stddev
            table = self.param(name, nn.initializers.normal(stddev), (classes + 1, self.features))
            index = (condition or {}).get(name)
            index = jnp.full((batch,), HIDDEN) if index is None else jnp.asarray(index)
            known = (index >= HIDDEN) & (index < classes)
            row = jnp.where(index < 0, classes, index)
            # A product with one-hot rows: its derivative is a product too, where a gather's is a slow scatter.
            vector = jax.nn.one_hot(row, classes + 1, dtype=self.dtype) @ table.astype(self.dtype)
            out.append(jnp.where(known[:, None], vector, jnp.nan))
        return out


def projected(score: jax.Array, features: jax.Array, vectors: Sequence[jax.Array]) -> jax.Array:
    """Scores (batch, ...) and the products of features (batch, ..., n) with each condition's vector (batch, n).

    The projection critic of Miyato & Koyama 2018, arXiv:1802.05637, eq. 8.
    """
    for vector in vectors:
        place = vector.shape[0], *[1] * (features.ndim - 2), vector.shape[-1]
        score = score + jnp.sum(vector.reshape(place) * features, axis=-1)
    return score
