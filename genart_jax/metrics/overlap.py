"""How far two volumes are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Float


def iou(a: Float[jax.Array, "batch *shape"], b: Float[jax.Array, "batch *shape"]) -> Float[jax.Array, " batch"]:
    """Intersection over union of what is solid, which is above 0 in [-1, 1]: (batch,); 1 where both are empty."""
    axes = tuple(range(1, a.ndim))
    both, either = (jnp.sum(x, axis=axes) for x in ((a > 0) & (b > 0), (a > 0) | (b > 0)))
    return jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)
