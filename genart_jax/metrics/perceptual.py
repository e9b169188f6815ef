"""Distances between two pictures in a network's activations, as LPIPS takes them (Zhang et al. 2018, eq. 1).

It is called LPIPS only over one of its three trunks (AlexNet, VGG16, SqueezeNet) with the heads published for it. Over
another trunk, or with other heads, it is `lpips_like` with the trunk's name.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from genart_jax.config import UserError

_EPSILON = 1e-10  # of the published code


def lpips(a: Sequence[jax.Array], b: Sequence[jax.Array], heads: Sequence[jax.Array] | None = None) -> jax.Array:
    """Sum over layers of the mean over places of sum_c w_c (a_c / |a| - b_c / |b|)^2: (batch,), 0 of equal pictures.

    Args:
      a, b: activations of the layers, each (batch, height, width, channels).
      heads: the layers' weights (channels,), not negative; None: 1 for every channel, the paper's baseline without
        training.

    Raises:
      UserError: other shapes than these.
    """
    weights = [jnp.ones(x.shape[-1:]) for x in a] if heads is None else list(heads)
    if [x.shape for x in a] != [x.shape for x in b]:
        raise UserError(f"activations of different shapes: {[x.shape for x in a]} and {[x.shape for x in b]}")
    if [w.shape for w in weights] != [x.shape[-1:] for x in a]:
        raise UserError(f"heads of {[w.shape for w in weights]} do not fit layers of {[x.shape for x in a]}")
    parts = [jnp.mean(jnp.square(_unit(x) - _unit(y)) @ w, axis=(1, 2)) for x, y, w in zip(a, b, weights, strict=True)]
    return sum(parts[1:], parts[0])


def _unit(x: jax.Array) -> jax.Array:
    """Each place's channels with length 1."""
    return x / (jnp.sqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True)) + _EPSILON)
