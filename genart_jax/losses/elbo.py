"""The terms of the evidence lower bound, in nats, one value an example."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Float


def kl_normal(
    mean: Float[jax.Array, "batch latent"], log_variance: Float[jax.Array, "batch latent"]
) -> Float[jax.Array, "batch latent"]:
    """KL(N(mean, variance) || N(0, 1)) of each latent dimension: (batch, latent), not summed.

    Kingma & Welling 2013, appendix B, with its sign turned.
    """
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance)


def gaussian_nll(
    x: Float[jax.Array, "batch *shape"], mean: Float[jax.Array, "batch *shape"], scale: jax.Array | float
) -> Float[jax.Array, " batch"]:
    """-log N(x; mean, scale^2), summed over an example's pixels and channels: (batch,).

    A density over the units of x, so it may be negative. Kingma & Welling 2013, appendix C.2.
    """
    squared = jnp.sum(jnp.square(x - mean), axis=tuple(range(1, x.ndim)))
    dimensions = math.prod(x.shape[1:])
    log_scale = jnp.log(scale)
    return 0.5 * squared * jnp.exp(-2.0 * log_scale) + dimensions * (log_scale + 0.5 * math.log(2.0 * math.pi))


def bernoulli_nll(
    x: Float[jax.Array, "batch *shape"], logits: Float[jax.Array, "batch *shape"]
) -> Float[jax.Array, " batch"]:
    """-log Bernoulli(x; sigmoid(logits)), summed over an example's pixels and channels: (batch,).

    Kingma & Welling 2013, eq. 11. For x strictly between 0 and 1 this is a cross entropy and no likelihood.
    """
    # log(1 + e^x) without overflow, with slope 1/2 at 0. `log1p` would take longer, and change a sum of pixels by at
    # most 1e-7 each.
    size = jnp.abs(logits)
    softplus = 0.5 * (logits + size) + jnp.log(1 + jnp.exp(-size))
    nll = (softplus - x * logits).reshape(x.shape[0], math.prod(x.shape[1:]))
    # The sum as a matrix product: XLA on CPU would compute everything that leads to a plain sum in one thread, a fifth
    # of the time of mlp_vae's step.
    return jnp.matmul(nll, jnp.ones(nll.shape[1], nll.dtype), precision=jax.lax.Precision.HIGHEST)


def weighted_bound(log_weight: Float[jax.Array, "batch draws"]) -> Float[jax.Array, " batch"]:
    """-log of the mean weight of an example's draws: (batch,).

    Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders", arXiv:1509.00519, eq. 8. Its gradient is
    that of the weights' logarithms, log p(x, z) - log q(z|x), each times its normalised weight (eq. 14 there).
    """
    return math.log(log_weight.shape[1]) - jax.nn.logsumexp(log_weight, axis=1)


HALF_LEVEL = 1 / 255
"""Half of the distance of two 8-bit levels in units of [-1, 1]."""
_LEAST_LOG_SCALE = -7.0


def discrete_gaussian_nll(x: jax.Array, output: jax.Array) -> jax.Array:
    """-log of the mass that a Gaussian has on each 8-bit level, summed over an example's pixels: (batch,).

    The mass of a level is that between its ends, half a level away; those of the lowest and the highest have no outer
    end (Ho et al. 2020, arXiv:2006.11239, eq. 13).

    Args:
      x: (batch, ..., channels), levels in [-1, 1].
      output: (batch, ..., 2 * channels): means, then logarithms of standard deviations, in units of [-1, 1].
    """
    mean, log_scale = jnp.split(output, 2, axis=-1)
    scale = jnp.exp(-jnp.maximum(log_scale, _LEAST_LOG_SCALE))
    low, high = (x - HALF_LEVEL - mean) * scale, (x + HALF_LEVEL - mean) * scale
    # Mirrored where both ends are above the mean: a difference of small numbers in place of one of numbers near 1.
    low, high = jnp.where(low + high > 0, -high, low), jnp.where(low + high > 0, -low, high)
    upper, lower = jax.scipy.stats.norm.logcdf(high), jax.scipy.stats.norm.logcdf(low)
    inside = upper + jnp.log(-jnp.expm1(jnp.minimum(lower - upper, -1e-7)))
    bottom = jax.scipy.stats.norm.logcdf((x + HALF_LEVEL - mean) * scale)
    top = jax.scipy.stats.norm.logcdf((mean - x + HALF_LEVEL) * scale)
    mass = jnp.where(x < -1 + HALF_LEVEL, bottom, jnp.where(x > 1 - HALF_LEVEL, top, inside))
    return -jnp.sum(mass, axis=tuple(range(1, x.ndim)))


class Mixture(NamedTuple):
    """Logistic distributions of each pixel.

    Attributes:
      logits: (batch, ..., mixtures): their shares.
      means: (batch, ..., mixtures, channels), given the channels before it in the picture where there is one.
      log_scales: the same.
    """

    logits: jax.Array
    means: jax.Array
    log_scales: jax.Array


def mixture_outputs(channels: int, mixtures: int) -> int:
    """How many numbers of a pixel `logistic_mixture` takes."""
    return mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)


def logistic_mixture(output: jax.Array, channels: int, mixtures: int, x: jax.Array | None = None) -> Mixture:
    """A mixture whose means of a channel depend linearly on the channels before it (Salimans et al. 2017,
    arXiv:1701.05517, section 2.2): on those of the picture `x`, or without one on their own means.

    Args:
      output: (batch, ..., `mixture_outputs`).
      channels: of the picture.
      mixtures: how many.
      x: (batch, ..., channels) in [-1, 1], or None.
    """
    parts = output.reshape(*output.shape[:-1], mixtures, -1)
    logits, means = parts[..., 0], parts[..., 1 : 1 + channels]
    log_scales = jnp.maximum(parts[..., 1 + channels : 1 + 2 * channels], _LEAST_LOG_SCALE)
    factors = jnp.tanh(parts[..., 1 + 2 * channels :])
    found: list[jax.Array] = []
    for i in range(channels):
        before = [found[j] if x is None else x[..., None, j] for j in range(i)]
        begin = i * (i - 1) // 2
        found.append(means[..., i] + sum((factors[..., begin + j] * y for j, y in enumerate(before)), jnp.zeros(())))
    return Mixture(logits, jnp.stack(found, axis=-1), log_scales)


def logistic_mixture_nll(x: jax.Array, output: jax.Array, mixtures: int) -> jax.Array:
    """-log of the mass that a mixture of logistic distributions has on each 8-bit level: (batch,).

    Salimans et al. 2017, arXiv:1701.05517, eq. 1 and 2: the lowest and the highest level have no outer end.

    Args:
      x: (batch, ..., channels), levels in [-1, 1].
      output: see `logistic_mixture`.
      mixtures: how many.
    """
    logits, means, log_scales = logistic_mixture(output, x.shape[-1], mixtures, x)
    scale, centred = jnp.exp(-log_scales), x[..., None, :] - means
    high, low = scale * (centred + HALF_LEVEL), scale * (centred - HALF_LEVEL)
    # log(s(high) - s(low)) for the sigmoid s, as a product of factors without a difference of near numbers.
    width = 2 * HALF_LEVEL * scale
    inside = jax.nn.log_sigmoid(high) + jax.nn.log_sigmoid(-low) + jnp.log(-jnp.expm1(-width))
    level = x[..., None, :]
    mass = jnp.where(
        level < -1 + HALF_LEVEL,
        jax.nn.log_sigmoid(high),
        jnp.where(level > 1 - HALF_LEVEL, jax.nn.log_sigmoid(-low), inside),
    )
    shares = jax.nn.log_softmax(logits, axis=-1)
    pixel = jax.nn.logsumexp(shares + jnp.sum(mass, axis=-1), axis=-1)
    return -jnp.sum(pixel, axis=tuple(range(1, pixel.ndim)))


def outputs(likelihood: str, channels: int, mixtures: int) -> int:
    """How many numbers of a pixel a likelihood takes."""
    if likelihood == "logistic_mixture":
        return mixture_outputs(channels, mixtures)
    return 2 * channels if likelihood == "discrete_gaussian" else channels


def picture(likelihood: str, output: jax.Array, channels: int, mixtures: int) -> jax.Array:
    """What is drawn of a decoder's output, (batch, ..., channels) in [-1, 1]: means; of a mixture, its parts' means
    together, each within the range, since what is outside stands for its end.
    """
    if likelihood == "bernoulli":
        return 2.0 * jax.nn.sigmoid(output) - 1.0
    if likelihood == "logistic_mixture":
        found = logistic_mixture(output, channels, mixtures)
        shares = jax.nn.softmax(found.logits, axis=-1)[..., None]
        output = jnp.sum(shares * jnp.clip(found.means, -1.0, 1.0), axis=-2)
    return jnp.clip(output[..., :channels], -1.0, 1.0)


def bits_per_dimension(nats: jax.Array, dimensions: int) -> jax.Array:
    """Nats of a discrete example -> bits a pixel and channel.

    For a density over 8-bit pixels scaled to [-1, 1] and made continuous by uniform noise of one level (Theis et al.
    2016, section 3.1), add log(127.5) nats a dimension first: a level is 1/127.5 wide.
    """
    return nats / (dimensions * math.log(2.0))
