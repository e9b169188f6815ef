"""The Frechet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, eq. 6).

It is called FID only over the features of one certain Inception network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats, exact
from genart_jax.metrics.features import check_features


class Moments(NamedTuple):
    """count (), mean (d,), and the sum of (x - mean)(x - mean)' as (d, d); all float64."""

    count: Array  # type: ignore[assignment]  # of features, in place of a tuple's own method
    mean: Array
    comoment: Array


@exact
def empty(dimensions: int) -> Moments:
    """The state of no features."""
    return Moments(jnp.zeros(()), jnp.zeros(dimensions), jnp.zeros((dimensions, dimensions)))


@exact
def update(state: Moments, features: Array, weight: Array | None = None) -> Moments:
    """Adds features (n, d), each counted `weight` (n,) times."""
    features = jnp.asarray(features, jnp.float64)
    weight = jnp.ones(len(features)) if weight is None else jnp.asarray(weight, jnp.float64)
    return _merge(state, _moments(features, weight))


@exact
def merge(a: Moments, b: Moments) -> Moments:
    """The state of both sets of features."""
    return _merge(a, b)


def compute(state: Moments) -> tuple[Floats, Floats]:
    """Mean (d,) and unbiased covariance (d, d).

    Raises:
      UserError: fewer than two features.
    """
    count, mean, comoment = (np.asarray(x, np.float64) for x in state)
    if count < 2:
        raise UserError(f"a covariance needs at least 2 pictures, not {int(count)}")
    return mean, comoment / (count - 1)


@jax.jit
def _moments(features: jax.Array, weight: jax.Array) -> Moments:
    count = jnp.sum(weight)
    mean = weight @ features / jnp.maximum(count, 1)
    centred = features - mean
    return Moments(count, mean, (centred * weight[:, None]).T @ centred)


@jax.jit
def _merge(a: Moments, b: Moments) -> Moments:
    """Chan, Golub & LeVeque 1983, eq. 2.1: nothing large cancels, as it does in a sum of squares."""
    count = a.count + b.count
    share = b.count / jnp.maximum(count, 1)
    shift = jnp.asarray(b.mean - a.mean)
    comoment = a.comoment + b.comoment + a.count * share * jnp.outer(shift, shift)
    return Moments(count, a.mean + share * shift, comoment)


def fit(features: Array) -> Moments:
    """The state of features (n, d) at once."""
    check_features(features=features)
    return update(empty(np.shape(features)[1]), features)


def root(covariance: Floats) -> Floats:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    out: Floats = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return out


def distance(real: Moments, fake: Moments) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), whose last root is of a symmetric matrix."""
    (mean, covariance), (fake_mean, fake_covariance) = compute(real), compute(fake)
    half = root(covariance)
    cross = _trace_of_root(half @ fake_covariance @ half)
    shift = fake_mean - mean
    return float(shift @ shift + np.trace(covariance) + np.trace(fake_covariance) - 2 * cross)


def of_statistics(mean: Array, covariance: Array, count: int = 2) -> Moments:
    """The state whose mean (d,) and covariance (d, d) these are, such as those of a file of published statistics.

    Args:
      mean, covariance: as `compute` gives them.
      count: of how many pictures; nothing here depends on it but merging.
    """
    return Moments(
        np.asarray(count, np.float64), np.asarray(mean, np.float64), np.asarray(covariance, np.float64) * (count - 1)
    )


def of_few(real: Array, fake: Array) -> float:
    """`distance` between two sets of features (m, d) and (n, d), by their products where they are fewer than d.

    With centred rows A / sqrt(m - 1) and B / sqrt(n - 1) the root's trace is the sum of the singular values of A B'.

    Raises:
      UserError: fewer than two of either.
    """
    check_features(real=real, fake=fake)
    (real_mean, a), (fake_mean, b) = (_centred(x) for x in (real, fake))
    shift = fake_mean - real_mean
    cross = np.linalg.svd(a @ b.T, compute_uv=False)
    return float(shift @ shift + np.sum(a * a) + np.sum(b * b) - 2 * np.sum(cross))


def _centred(features: Array) -> tuple[Floats, Floats]:
    """The mean (d,), and rows whose products with themselves add up to the covariance."""
    x = np.asarray(features, np.float64)
    if len(x) < 2:
        raise UserError(f"a covariance needs at least 2 pictures, not {len(x)}")
    mean = x.mean(axis=0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)


def _trace_of_root(matrix: Floats) -> float:
    values = np.linalg.eigvalsh(0.5 * (matrix + matrix.T))
    return float(np.sum(np.sqrt(np.maximum(values, 0))))


def weighted_distances(real: Moments, features: Array, weights: Iterable[Floats]) -> Iterator[float]:
    """`distance` to generated features (n, d), each counted weight (n,) times, for each of many weights.

    The features are multiplied by the real covariance's root once for all, so that each distance takes one product of
    matrices where fitting them anew takes three.
    """
    mean, covariance = compute(real)
    half = root(covariance)
    x = np.asarray(features, np.float64) - mean  # the distance does not change, and nothing large cancels
    rooted = x @ half
    on_host = jax.default_backend() == "cpu"
    for weight in weights:
        # NumPy multiplies a matrix with its own transpose in half the operations and leaves out what does not count;
        # a compiled product wants one shape.
        there = np.flatnonzero(weight) if on_host else np.arange(len(x))
        w, count = weight[there].astype(np.float64), float(np.sum(weight))
        shift = w @ x[there] / count
        spread = np.sqrt(w / (count - 1))[:, None]
        trace = np.sum((spread * (x[there] - shift)) ** 2)
        y = spread * (rooted[there] - shift @ half)
        inner = y.T @ y if on_host else np.asarray(_product(y))
        yield float(shift @ shift + np.trace(covariance) + trace - 2 * _trace_of_root(inner))


@exact
def _product(y: Floats) -> jax.Array:
    return jnp.asarray(y).T @ y


def bootstrap_error(real: Moments, features: Array, replicates: int = 20, seed: int = 0) -> float:
    """The standard deviation of the distance when generated features (n, d) are drawn again with replacement.

    The real features stay as they are: every model is held against the same ones.
    """
    rng, n = np.random.default_rng(seed), len(features)
    weights = (np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(replicates))
    return float(np.std(list(weighted_distances(real, features, weights)), ddof=1))


class Extrapolated(NamedTuple):
    """The distance at infinitely many generated pictures, the error of the fitted line there, and its points."""

    value: float
    fit_error: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def extrapolate(real: Moments, features: Array, points: int = 15, smallest: int = 0, seed: int = 0) -> Extrapolated:
    """The intercept of the distance as a line in 1/n (Chong & Forsyth 2020, section 3.2), n = generated pictures.

    The bias of the real set, which is that of its own size, stays.

    Args:
      real: the real features' moments.
      features: generated features (n, d).
      points: sizes at which the distance is computed, at equal steps up to n, each on a random subset.
      smallest: the least size; 0: a tenth of n as in the paper, or more, up to half of n, to exceed d: with fewer
        pictures than dimensions the distance is not yet a line in 1/n.
      seed: of the subsets.
    """
    n, dimensions = np.shape(features)
    smallest = smallest or max(n // 10, min(n // 2, dimensions + 1))
    sizes = np.unique(np.linspace(smallest, n, points).astype(int))
    if len(sizes) < 3 or smallest < 2:
        raise UserError(f"{n} generated pictures are too few to extrapolate from")
    rng = np.random.default_rng(seed)
    subsets = (np.isin(np.arange(n), rng.permutation(n)[:size]) for size in sizes)
    values = list(weighted_distances(real, features, subsets))
    design = np.stack([np.ones(len(sizes)), 1 / sizes], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, np.array(values), rcond=None)
    residual = np.array(values) - design @ coefficients
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / (len(sizes) - 2)
    return Extrapolated(
        float(coefficients[0]), float(np.sqrt(covariance[0, 0])), tuple(map(int, sizes)), tuple(map(float, values))
    )
