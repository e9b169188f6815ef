"""A small GAN in the latents of a VAE that is trained already.

Goodfellow et al. 2014, "Generative adversarial nets", arXiv:1406.2661, of latents in place of pictures: what a VAE's
prior misses of its aggregate posterior, a generator learns. Generator and critic are perceptrons of residual blocks
over all numbers of a latent, a vector or a map; the critic is held by R1.

It is the second stage: `genart train conv_vae --run runs/vae`, then `genart train latent_gan --model.tokenizer
runs/vae`.
The first stage is any model whose latents are numbers, told no conditions.

Presets:

- `default`: `genart train latent_gan --model.tokenizer runs/vae`. With 1,500 steps of 64 over `conv_vae --preset
  residual` a Frechet distance over lite0 of 179, where the VAE alone has 212 (benchmarks/results/vaes.md).
- `tiny`: for tests; its first stage is untrained.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a GAN in latents."""

    tokenizer: str | None = None
    """The run whose latents are learned, such as one of conv_vae. Its parameters are copied once and never train."""
    tokenizer_config: str = ""
    """What that model is, as JSON; filled from its run."""
    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), that model's."""
    latent_shape: tuple[int, ...] | None = None
    """A latent's shape; filled from that model's run."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 64
    """Length of what the generator draws."""
    width: int = 512
    """Units of each layer."""
    blocks: int = 3
    """Residual blocks of two layers, of generator and critic."""
    embed_dim: int = 32
    """Length of a condition's vector."""


class Perceptron(nn.Module):
    """(batch, features) and conditions -> (batch, outputs) in float32."""

    config: Config
    outputs: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition) -> Output:
        """Also returns the activations after each block."""
        c, aux = self.config, dict[str, jax.Array]()
        embed = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")
        x = jnp.concatenate([x.astype(self.dtype), *embed(condition, x.shape[0])], axis=-1)
        x = nn.Dense(c.width, dtype=self.dtype, name="in")(x)
        for i in range(c.blocks):
            y = nn.Dense(c.width, dtype=self.dtype, name=f"block_{i}_0")(nn.leaky_relu(x, 0.2))
            y = nn.Dense(c.width, dtype=self.dtype, name=f"block_{i}_1")(nn.leaky_relu(y, 0.2))
            aux[f"stage_{i}"] = x = (x + y) * 0.5**0.5
        return nn.Dense(self.outputs, name="out")(nn.leaky_relu(x, 0.2).astype(jnp.float32)), aux


class Generator(nn.Module):
    """(batch, latent_dim) -> latents of the first stage, (batch, *latent_shape), in units of their deviation."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations after each block."""
        shape = self.config.latent_shape or ()
        made, aux = Perceptron(self.config, math.prod(shape), self.dtype, name="layers")(z, condition)
        return made.reshape(-1, *shape), aux


class Critic(nn.Module):
    """Latents of the first stage -> scores (batch,), before any sigmoid."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, latents: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations after each block."""
        flat = latents.reshape(latents.shape[0], -1)
        scores, aux = Perceptron(self.config, 1, self.dtype, name="layers")(flat, condition)
        return scores[:, 0], aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size below 1.
    """
    c = config
    if min(c.latent_dim, c.width, c.blocks, c.embed_dim) < 1:
        raise UserError("latent_gan: latent_dim, width, blocks and embed_dim must be at least 1")
    drawn = lambda: (jnp.zeros((2, c.latent_dim)), untold(c.conditions))
    latents = lambda: (jnp.zeros((2, *(c.latent_shape or ()))), untold(c.conditions))
    return {"generator": Network(Generator(c, dtype), drawn), "critic": Network(Critic(c, dtype), latents)}


PRESETS = {
    "default": Run(
        Config(),
        Gan(critic_terms=("r1=0.25",)),
        Optimizer(learning_rate=3e-4, b1=0.0, b2=0.99),
        Data(),
        Train(steps=5000, batch=128, save_every=1000, log_every=100),
    ),
    "tiny": Run(
        Config(tokenizer="untrained:conv_vae/tiny", latent_dim=4, width=16, blocks=1, embed_dim=4),
        Gan(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
