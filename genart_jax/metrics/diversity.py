"""How far pictures lie apart: sliced Wasserstein distance between sets, mean distance within one, and modes found."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats, exact
from genart_jax.metrics.features import check_features
from genart_jax.metrics.neighbours import TILE, squared_distances

Figure = TypeVar("Figure")


def directions(dimensions: int, count: int, seed: int) -> Floats:
    """Unit vectors (dimensions, count), uniform on the sphere."""
    normal = np.random.default_rng(seed).standard_normal((dimensions, count))
    return normal / np.linalg.norm(normal, axis=0)


@exact
def sliced_wasserstein(
    real: Array, fake: Array, projections: int = 128, seed: int = 0, replicates: int = 20
) -> tuple[float, float]:
    """The 1-Wasserstein distance of one-dimensional projections (Rabin et al. 2011), their mean, and its error.

    The error is a bootstrap's over the generated pictures; the directions stay, as they do between models.

    Args:
      real, fake: features (m, d) and (n, d), or pictures as rows; m and n may differ.
      projections: random directions.
      seed: of the directions, and of the bootstrap.
      replicates: of the bootstrap.
    """
    check_features(real=real, fake=fake)
    along = directions(np.shape(real)[1], projections, seed)
    a, b = (np.asarray(jnp.asarray(np.asarray(x, np.float64)) @ along) for x in (real, fake))
    joined = np.concatenate([a, b])
    order = np.argsort(joined, axis=0)
    steps = np.diff(np.take_along_axis(joined, order, axis=0), axis=0)

    def distance(counts: Floats) -> float:
        """The area between the distribution functions, with each generated picture counted so many times."""
        weight = np.concatenate([np.full(len(a), 1 / len(a)), -counts / len(b)])
        return float(np.mean(np.sum(np.abs(np.cumsum(weight[order], axis=0)[:-1]) * steps, axis=0)))

    rng = np.random.default_rng(seed)
    again = [distance(np.bincount(rng.integers(0, len(b), len(b)), minlength=len(b))) for _ in range(replicates)]
    return distance(np.ones(len(b))), float(np.std(again, ddof=1))


@exact
def pairwise(features: Array) -> tuple[float, float]:
    """The mean distance between two different pictures of a set, and its error by a jackknife.

    Raises:
      UserError: fewer than 3 pictures.
    """
    check_features(features=features)
    n = len(features)
    if n < 3:
        raise UserError(f"diversity needs at least 3 pictures, not {n}")
    x = jnp.asarray(np.asarray(features, np.float64) - np.mean(features, axis=0, dtype=np.float64))
    rows = np.zeros(n)
    for i in range(0, n, TILE):
        for j in range(0, n, TILE):
            rows[i : i + TILE] += _row_sums(x[i : i + TILE], x[j : j + TILE], i == j)
    total = rows.sum()
    without = (total - 2 * rows) / ((n - 1) * (n - 2))
    return float(total / (n * (n - 1))), float(np.sqrt((n - 1) * np.var(without)))


@jax.jit
def _row_sums(a: jax.Array, b: jax.Array, diagonal: bool) -> jax.Array:
    distance = jnp.sqrt(squared_distances(a, b))
    own = diagonal & (jnp.arange(len(a))[:, None] == jnp.arange(len(b))[None])
    return jnp.sum(jnp.where(own, 0.0, distance), axis=1)


class Modes(NamedTuple):
    """Modes with at least one picture, and KL(found || wanted) in nats."""

    found: int
    kl: float


def modes(labels: Array, count: int, wanted: Array | None = None) -> Modes:
    """Mode coverage (Metz et al. 2017, section 3.3.1) from each picture's mode, an integer in [0, count).

    `wanted` (count,) is how the data spreads over its modes; None: evenly.
    """
    labels = np.asarray(labels)
    if labels.size == 0 or labels.min() < 0 or labels.max() >= count:
        raise UserError(f"modes: wanted integers in [0, {count}), and at least one")
    found = np.bincount(labels, minlength=count)
    share = found / found.sum()
    target = np.full(count, 1 / count) if wanted is None else np.asarray(wanted) / np.sum(wanted)
    there = share > 0
    if (target[there] == 0).any():
        return Modes(int(there.sum()), float("inf"))
    return Modes(int(there.sum()), float(np.sum(share[there] * np.log(share[there] / target[there]))))


def per_condition(
    metric: Callable[[Floats, Floats], Figure], real: Array, real_labels: Array, fake: Array, fake_labels: Array
) -> dict[int, Figure]:
    """`metric(real, fake)` within each class that both sets have: the intra-class variant of any metric here."""
    shared = np.intersect1d(real_labels, fake_labels)
    if not len(shared):
        raise UserError("real and generated pictures have no class in common")
    return {
        int(label): metric(np.asarray(real)[real_labels == label], np.asarray(fake)[fake_labels == label])
        for label in shared
        if label >= 0
    }
