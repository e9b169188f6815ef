"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020), exact and tiled."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.metrics.exact import Array, Floats, exact
from genart_jax.metrics.features import check_features, error_of_mean
from genart_jax.metrics.neighbours import TILE, nearest, squared_distances


class Support(NamedTuple):
    """Each as (value, standard error over pictures with the balls held fixed)."""

    precision: tuple[float, float]
    recall: tuple[float, float]
    density: tuple[float, float]
    coverage: tuple[float, float]


def compute(real: Array, fake: Array, k: int = 5) -> Support:
    """How the supports of two sets of features overlap; a picture's ball reaches to its k-th nearest of its own set.

    precision: share of the generated pictures in the ball of some real one; recall: the reverse; density: balls of real
    pictures that a generated one lies in, over k; coverage: share of the real balls that hold a generated picture.

    Args:
      real, fake: features (m, d) and (n, d).
      k: neighbours that a ball reaches to: 3 in the first paper, 5 in the second.
    """
    check_features(real=real, fake=fake)
    real_radius, fake_radius = (nearest(x, x, k, same=True)[0][:, -1] for x in (real, fake))
    hits = _hits(real, fake, real_radius, fake_radius)
    parts = hits["fake_in"] > 0, hits["real_in"] > 0, hits["fake_in"] / k, hits["covered"] > 0
    return Support(*((float(np.mean(x)), error_of_mean(x)) for x in parts))


@exact
def _hits(real: Array, fake: Array, real_radius: Floats, fake_radius: Floats) -> dict[str, Floats]:
    """For each generated picture in how many real balls it lies; for each real one in how many generated balls, and how
    many generated pictures lie in its own.
    """
    centre = np.mean(real, axis=0, dtype=np.float64)
    real, fake = (jnp.asarray(np.asarray(x, np.float64) - centre) for x in (real, fake))
    out = {"fake_in": np.zeros(len(fake)), "real_in": np.zeros(len(real)), "covered": np.zeros(len(real))}
    for i in range(0, len(real), TILE):
        for j in range(0, len(fake), TILE):
            rows, columns = slice(i, i + TILE), slice(j, j + TILE)
            fake_in, real_in, covered = _tile(real[rows], fake[columns], real_radius[rows], fake_radius[columns])
            out["fake_in"][columns] += fake_in
            out["real_in"][rows] += real_in
            out["covered"][rows] += covered
    return out


@jax.jit
def _tile(real: jax.Array, fake: jax.Array, real_radius: jax.Array, fake_radius: jax.Array) -> tuple[jax.Array, ...]:
    distance = jnp.sqrt(squared_distances(real, fake))
    in_real, in_fake = distance <= real_radius[:, None], distance <= fake_radius[None]
    return jnp.sum(in_real, axis=0), jnp.sum(in_fake, axis=1), jnp.sum(in_real, axis=1)
