"""The kernel distance: squared maximum mean discrepancy with a polynomial kernel (Binkowski et al. 2018).

Over Inception's features it is the KID. It has no bias at any number of pictures, and may come out below 0.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.metrics.exact import Array, Floats, exact
from genart_jax.metrics.features import check_features

_TILE, _LEAST = 2048, 64
"""Pictures of a side that are taken at once: the most, and the least that others are filled up to."""


class Distance(NamedTuple):
    """An estimate and its standard error."""

    value: float
    standard_error: float


def polynomial(
    real: Array, fake: Array, degree: int = 3, gamma: float | None = None, coefficient: float = 1.0
) -> Distance:
    """The unbiased estimate with k(x, y) = (gamma x'y + coefficient)^degree over all pairs, with a jackknife's error.

    Args:
      real, fake: features (m, d) and (n, d), at least 3 of each.
      degree, gamma, coefficient: of the kernel; gamma None: 1/d.

    Raises:
      UserError: too few features, or of different lengths.
    """
    check_features(real=real, fake=fake)
    if min(len(real), len(fake)) < 3:
        raise UserError(f"a kernel distance needs at least 3 pictures of each, not {len(real)} and {len(fake)}")
    kernel = (degree, 1 / np.shape(real)[1] if gamma is None else gamma, coefficient)
    xx, _ = _sums(real, real, kernel, True)
    yy, _ = _sums(fake, fake, kernel, True)
    xy, yx = _sums(real, fake, kernel, False)
    m, n = len(xx), len(yy)
    within_x, within_y, across = xx.sum() / (m * (m - 1)), yy.sum() / (n * (n - 1)), xy.sum() / (m * n)
    # Without the i-th: a sum over pairs loses its row and its column.
    without_x = (xx.sum() - 2 * xx) / ((m - 1) * (m - 2)) - 2 * (xy.sum() - xy) / ((m - 1) * n)
    without_y = (yy.sum() - 2 * yy) / ((n - 1) * (n - 2)) - 2 * (yx.sum() - yx) / ((n - 1) * m)
    variance = (m - 1) * np.var(without_x) + (n - 1) * np.var(without_y)
    return Distance(float(within_x + within_y - 2 * across), float(np.sqrt(variance)))


def subsets(real: Array, fake: Array, size: int = 1000, count: int = 100, seed: int = 2020) -> Distance:
    """The published protocol: mean over random subsets of `size`, and the standard deviation between subsets.

    That deviation is not the standard error of the mean, as subsets overlap; `polynomial` gives one.
    """
    rng = np.random.RandomState(seed)
    if size > min(len(real), len(fake)):
        raise UserError(f"subsets of {size} pictures need as many of each; there are {len(real)} and {len(fake)}")
    values = []
    for _ in range(count):
        x, y = (features[rng.choice(len(features), size, replace=False)] for features in map(np.asarray, (real, fake)))
        values.append(polynomial(x, y).value)
    return Distance(float(np.mean(values)), float(np.std(values)))


@exact
def _sums(a: Array, b: Array, kernel: tuple[int, float, float], same: bool) -> tuple[Floats, Floats]:
    """Sums of the kernel over rows (len(a),) and columns (len(b),), without the diagonal where both are the same."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    rows, columns = np.zeros(len(a)), np.zeros(len(b))
    for i in range(0, len(a), _TILE):
        for j in range(0, len(b), _TILE):
            left, right = a[i : i + _TILE], b[j : j + _TILE]
            # A program for each power of two, not for each number of pictures that a class has.
            size = 1 << (max(len(left), len(right), _LEAST) - 1).bit_length()
            sums = _tile(*_padded(left, size), *_padded(right, size), kernel, same and i == j)
            row, column = jax.device_get(sums)
            rows[i : i + _TILE] += row[: len(left)]
            columns[j : j + _TILE] += column[: len(right)]
    return rows, columns


def _padded(features: Floats, size: int) -> tuple[Floats, Floats]:
    """Features with zeros below them (size, d), and which are some: 1 or 0, (size,)."""
    missing = size - len(features)
    return np.pad(features, ((0, missing), (0, 0))), np.repeat([1.0, 0.0], [len(features), missing])


@partial(jax.jit, static_argnums=(4, 5))
def _tile(
    a: jax.Array, of_a: jax.Array, b: jax.Array, of_b: jax.Array, kernel: tuple[int, float, float], diagonal: bool
) -> tuple[jax.Array, jax.Array]:
    degree, gamma, coefficient = kernel
    values = (gamma * (a @ b.T) + coefficient) ** degree
    if diagonal:
        values = values * (1 - jnp.eye(len(a), dtype=values.dtype))
    return values @ of_b, of_a @ values
