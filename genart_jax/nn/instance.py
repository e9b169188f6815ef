"""Statistics of feature maps over their positions, normalisation by them, and normalisation that takes on others'.

Everything here is computed in float32, whatever the features are: variances of half precision overflow.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-5
"""Added to variances."""


class Moments(NamedTuple):
    """Means and standard deviations of channels, float32, each (B, 1, 1, C) or, of a place each, (B, H, W, C)."""

    mean: jax.Array
    std: jax.Array


def moments(features: jax.Array, epsilon: float = EPSILON) -> Moments:
    """Mean and deviation of each example's channels over all positions: (B, H, W, C) -> (B, 1, 1, C) twice."""
    x = features.astype(jnp.float32)
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), axis=(1, 2), keepdims=True)
    return Moments(mean, jnp.sqrt(variance + epsilon))


def mixed(styles: Moments, share: jax.Array) -> Moments:
    """The moments of a mixture of K styles: a sum that is linear in means and in deviations.

    Args:
      styles: means and deviations, (K, C) each.
      share: of each style, (B, K), or (B, H, W, K) where it depends on the place.
    """
    weights = share.reshape(share.shape[0], *(share.shape[1:3] if share.ndim == 4 else (1, 1)), -1)
    return Moments(*(weights @ table for table in styles))


def adaptive(features: jax.Array, style: Moments, own: Moments | None = None) -> jax.Array:
    """Features with another's moments: (B, H, W, C), of the features' dtype.

    Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization", equation 8.

    Args:
      features: (B, H, W, C).
      style: what the moments become.
      own: the moments of what the features are a part of; None: they are the whole.
    """
    own = moments(features) if own is None else own
    return (style.std * (features - own.mean) / own.std + style.mean).astype(features.dtype)


class ConditionalInstanceNorm(nn.Module):
    """Instance normalisation with a scale and a shift of each style, or of a mixture of them.

    Dumoulin et al. 2017, "A learned representation for artistic style", equation 5.

    Attributes:
      styles: how many there are.
      shifted: whether there is a shift. It would change nothing where convolutions and another normalisation follow.
    """

    styles: int
    shifted: bool = True

    @nn.compact
    def __call__(self, features: jax.Array, share: jax.Array, own: Moments | None = None) -> tuple[jax.Array, Moments]:
        """(B, H, W, C), and each style's share as in `mixed` -> the same shape, and the moments normalised by."""
        shape = (self.styles, features.shape[-1])
        scale = self.param("scale", nn.initializers.ones_init(), shape)
        apart = nn.initializers.normal(0.1)  # so that no two styles begin alike
        shift = self.param("shift", apart, shape) if self.shifted else jnp.zeros(shape)
        own = moments(features) if own is None else own
        return adaptive(features, mixed(Moments(shift, scale), share), own), own
