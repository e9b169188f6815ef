"""The Monge distance: a squared sliced 2-Wasserstein distance between features (Berthet et al. 2026, arXiv:2605.06797).

Over Inception's features it is the MIND. It needs fewer pictures than the Frechet distance, as it fits no covariance;
what few pictures add is small and the same for all models, so that sets of one size are compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.diversity import directions
from genart_jax.metrics.exact import Array, Floats
from genart_jax.metrics.features import check_features

PROJECTIONS = 1000
_BLOCK = 2**22  # values of a block of projections, 32 MiB


class Distance(NamedTuple):
    """An estimate and its standard error."""

    value: float
    standard_error: float


def monge(real: Array, fake: Array, projections: int = PROJECTIONS, seed: int = 0, replicates: int = 20) -> Distance:
    """3 d times the mean over random directions u of W2(u'x, u'y)^2, with the error of a bootstrap over the generated.

    In one dimension W2 pairs quantiles, which for as many x as y is sorting both. d makes up for what a projection
    shrinks a squared distance by; the 3 is the paper's scale. The directions stay, as they do between models.

    Args:
      real, fake: features (m, d) and (n, d); m and n may differ.
      projections: random directions; the paper's M.
      seed: of the directions, and of the bootstrap.
      replicates: of the bootstrap, at least 2; 0: none, and the error is NaN.

    Raises:
      UserError: features of different lengths, or projections below 1.
    """
    check_features(real=real, fake=fake)
    if projections < 1:
        raise UserError(f"projections {projections}: wanted at least 1")
    dimensions, n = np.shape(real)[1], len(fake)
    along = directions(dimensions, projections, seed)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, n, n) for _ in range(replicates)]
    pairs = _pairs(len(real), n)
    block = max(1, _BLOCK // max(len(real), n))
    x, y = (np.asarray(f, np.float64) for f in (real, fake))
    sums = np.zeros(1 + replicates)
    for start in range(0, projections, block):
        part = along[:, start : start + block]
        a, b = (part.T @ f.T for f in (x, y))  # a direction a row
        a = np.sort(a, axis=1)
        sums += [_squared(a, np.sort(b if rows is None else b[:, rows], axis=1), pairs) for rows in (None, *drawn)]
    values = 3 * dimensions * sums / projections
    error = float(np.std(values[1:], ddof=1)) if replicates > 1 else float("nan")
    return Distance(float(values[0]), error)


def _pairs(m: int, n: int) -> tuple[Floats, Floats, Floats]:
    """Which order statistics of m and of n values share a piece of [0, 1], and how long the piece is."""
    ends = np.union1d(np.arange(1, m + 1) * n, np.arange(1, n + 1) * m)  # in 1 / (m n): exact
    starts = np.concatenate([[0], ends[:-1]])
    return starts // n, starts // m, (ends - starts) / (m * n)


def _squared(a: Floats, b: Floats, pairs: tuple[Floats, Floats, Floats]) -> float:
    """The sum over rows of W2^2 between their sorted values."""
    if a.shape == b.shape:
        return float(np.sum((a - b) ** 2) / a.shape[1])
    i, j, weight = pairs
    return float(np.sum((a[:, i] - b[:, j]) ** 2 @ weight))
