"""Self-attention over the places of a picture (Zhang et al. 2019, "Self-attention generative adversarial networks")."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genart_jax.nn.pool import max_pool


class SelfAttention(nn.Module):
    """y_j = gamma o_j + x_j, o_j = W_v sum_i beta_ji W_h x_i, beta_ji = softmax over i of (W_f x_i)'(W_g x_j).

    Equations 1 to 3 there, for each place j. The weights are 1x1 convolutions without biases.

    Attributes:
      conv: (x, features, side, name, bias) -> a convolution as a submodule here, such as `residual.Blocks.conv`.
      shrink: channels of the queries and keys, W_g x and W_f x, are so many times fewer.
      shrink_values: likewise those of the values W_h x; 8 as published, 2 in BigGAN (Brock et al. 2019, appendix B).
      gamma: its first value, 0 as published: at first the layer is the identity.
      pool: keys and values are the largest of each 2x2, as in BigGAN: a quarter of the places.
    """

    conv: Callable[[jax.Array, int, int, str, bool], jax.Array]
    shrink: int = 8
    shrink_values: int = 8
    gamma: float = 0.0
    pool: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(batch, H, W, C) -> the same, and beta (batch, places j, places i) in float32; rows add up to 1."""
        batch, size = x.shape[0], x.shape[-1]
        few = max(1, size // self.shrink)
        maps = {"queries": few, "keys": few, "values": max(1, size // self.shrink_values)}
        made = {name: self.conv(x, features, 1, name, False) for name, features in maps.items()}
        if self.pool:
            made |= {name: max_pool(made[name], (2, 2), (2, 2)) for name in ("keys", "values")}
        queries, keys, values = (made[name].reshape(batch, -1, features) for name, features in maps.items())
        products = jnp.einsum("bjc,bic->bji", queries, keys, preferred_element_type=jnp.float32)
        beta = nn.softmax(products, axis=-1)
        out = jnp.einsum("bji,bic->bjc", beta.astype(values.dtype), values)
        out = self.conv(out.reshape(*x.shape[:-1], -1), size, 1, "out", False)
        gamma = self.param("gamma", nn.initializers.constant(self.gamma), ())
        return x + gamma.astype(x.dtype) * out, beta
