"""Drifting: where generated samples are to move, by kernels over features (Deng et al. 2026, arXiv:2602.04770).

Samples x of q are attracted by real samples and repelled by generated ones:

    V(x) = E_{y+ ~ p, y- ~ q} [ k(x, y+) k(x, y-) (y+ - y-) ] / Z(x)

with a kernel k, by default exp(-|x - y| / temperature). Swapping p and q turns its sign, so V = 0 where p = q. A
generator regresses on x + V, which is held fixed (stop-gradient); it has no critic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

Kernel = Callable[[jax.Array, float], jax.Array]
"""Distances and a temperature -> the logarithm of the kernel."""


def laplace(distance: jax.Array, temperature: float) -> jax.Array:
    """The logarithm of exp(-d / t), the paper's."""
    return -distance / temperature


def gaussian(distance: jax.Array, temperature: float) -> jax.Array:
    """That of exp(-d^2 / (2 t^2)), with which V is a difference of scores of smoothed densities, times t^2."""
    return -jnp.square(distance) / (2 * temperature**2)


def distances(a: jax.Array, b: jax.Array, more: jax.Array | float = 0.0) -> jax.Array:
    """(..., n, m): sqrt(|a - b|^2 + more), for a (..., n, features) and b (..., m, features)."""
    square = lambda x: jnp.sum(jnp.square(x), axis=-1)
    products = jnp.einsum("...nc,...mc->...nm", a, b)
    return jnp.sqrt(jnp.maximum(square(a)[..., :, None] + square(b)[..., None, :] - 2 * products, 0.0) + more)


def field(
    x: jax.Array,
    real: jax.Array,
    fake: jax.Array,
    temperature: float,
    *,
    kernel: Kernel = laplace,
    together: bool = True,
    own: bool = False,
    more: tuple[jax.Array | float, jax.Array | float] = (0.0, 0.0),
) -> jax.Array:
    """V at x, (..., n, features); no gradient is meant to go through it.

    The kernel is normalised over the samples: over real and generated ones each, so that V is the difference of two
    mean shifts (eq. 8 to 11 of the paper); or over all of them `together`, and over the x as well, as the geometric
    mean of the two (its algorithm 2, in appendix A.1).

    Args:
      x: (..., n, features).
      real, fake: (..., p, features) and (..., q, features).
      temperature: of the kernel.
      kernel: its logarithm.
      together: see above.
      own: x are the `fake` ones, each of which ignores itself.
      more: what is added to the squared distances from x to `real`, and to `fake`.
    """
    near = kernel(distances(x, real, more[0]), temperature)
    far = kernel(distances(x, fake, more[1]), temperature)
    if own:
        far = jnp.where(jnp.eye(far.shape[-1], dtype=bool), -jnp.inf, far)
    if together:
        logits = jnp.concatenate([near, far], axis=-1)
        rows, columns = jax.nn.log_softmax(logits, axis=-1), jax.nn.log_softmax(logits, axis=-2)
        attracting, repelling = jnp.split(jnp.exp(0.5 * (rows + columns)), [real.shape[-2]], axis=-1)
    else:
        attracting, repelling = jax.nn.softmax(near, axis=-1), jax.nn.softmax(far, axis=-1)
    total = lambda weights: jnp.sum(weights, axis=-1, keepdims=True)
    towards = jnp.einsum("...nm,...mc->...nc", attracting * total(repelling), real)
    return towards - jnp.einsum("...nm,...mc->...nc", repelling * total(attracting), fake)


class Moves(NamedTuple):
    """Where generated samples are to move.

    Attributes:
      scale: (..., 1, 1), by which features are divided before they are compared: then a mean distance is the root of
        their number.
      drift: (..., n, features), of the divided ones: each temperature's has a mean square of 1, and they are added.
      size: (..., n): the norm of V, over the mean distance, before it is normalised; a mean over temperatures.
    """

    scale: jax.Array
    drift: jax.Array
    size: jax.Array


def moves(
    real: jax.Array,
    fake: jax.Array,
    temperatures: Sequence[float],
    more: tuple[jax.Array | float, jax.Array | float] = (0.0, 0.0),
) -> Moves:
    """The normalised drift of all generated samples (appendix A.6 of the paper): no gradient goes through it.

    Args:
      real, fake: features (..., p, features) and (..., n, features); sets along the leading axes drift for themselves.
      temperatures: in mean distances.
      more: as `field`'s, in mean squared distances.
    """
    real, fake = jax.lax.stop_gradient((real, fake))
    features = fake.shape[-1]
    pairs = jnp.concatenate([distances(fake, real), distances(fake, fake)], axis=-1)
    mean = jnp.mean(pairs, axis=(-2, -1), keepdims=True) + 1e-6
    fake, real = fake / mean, real / mean
    drift = jnp.zeros_like(fake)
    size = jnp.zeros(fake.shape[:-1])
    for temperature in temperatures:
        found = field(fake, real, fake, temperature, own=True, more=more)
        size += jnp.sqrt(jnp.sum(jnp.square(found), axis=-1)) / len(temperatures)
        # Where generated samples are far nearer to one another than to real ones, all of it is tiny, but not alike.
        found = found / (jnp.max(jnp.abs(found), axis=(-2, -1), keepdims=True) + 1e-30)
        drift += found / jnp.sqrt(jnp.mean(jnp.square(found), axis=(-2, -1), keepdims=True) + 1e-12)
    return Moves(mean / features**0.5, drift, size)


def regression(x: jax.Array, drift: jax.Array, scale: jax.Array) -> jax.Array:
    """(n,): the squared distance of x / scale from where it is to be, x / scale + drift, held fixed.

    A mean over features and a sum over the leading axes of x (..., n, features), which are vectors with a loss each
    (eq. 26 of the paper). Its value is the drift's alone, so it says nothing of how good samples are.
    """
    x = x / scale
    apart = jnp.mean(jnp.square(x - jax.lax.stop_gradient(x + drift)), axis=-1)
    return jnp.sum(apart, axis=tuple(range(apart.ndim - 1)))


def cells(maps: jax.Array, count: int) -> list[jax.Array]:
    """Means, and standard deviations where they are of several places, of count x count cells: (count^2, n, channels).

    Maps (n, height, width, channels); what does not divide evenly is cut off at the lower and right end.
    """
    n, height, width, channels = maps.shape
    high, wide = height // count, width // count
    parts = maps[:, : high * count, : wide * count].reshape(n, count, high, count, wide, channels)
    parts = parts.transpose(1, 3, 0, 2, 4, 5).reshape(count * count, n, high * wide, channels)
    mean = jnp.mean(parts, axis=2)
    if high * wide == 1:
        return [mean]
    return [mean, jnp.sqrt(jnp.mean(jnp.square(parts - mean[:, :, None]), axis=2) + 1e-6)]
