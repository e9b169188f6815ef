"""VAE/GAN: a variational autoencoder that a critic of patches and frozen features judge besides.

Larsen, Sønderby, Larochelle & Winther 2016, "Autoencoding beyond pixels using a learned similarity metric",
arXiv:1512.09300, put a critic beside a VAE's bound. Here the critic sees patches and reconstructions, and its weight
adapts, as Esser et al. 2021, arXiv:2012.09841, eq. 7, have it; features of a frozen network are compared in place of
the critic's own. Encoder and decoder are those of `nn.autoencoder` around a dense layer each, and z is one vector.

Presets:

- `default`: `genart train vae_gan`, after `genart assets fetch vgg19`. Small, for 32 px art on a CPU. After
  2,000 steps of 16, told style, shape and colour, with `--step.critic-start 200`: 13 CPU minutes, 18.7 dB of test icons
  (benchmarks/results/vaes.md).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, VaeGan, classes_of
from genart_jax.nn.autoencoder import Judged, check, down, up
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.judges import judges
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
Posterior = tuple[tuple[jax.Array, jax.Array], dict[str, jax.Array]]
"""Mean and log variance, (batch, latent_dim) each; and named intermediates."""


@dataclasses.dataclass(frozen=True)
class Config(Judged):
    """Architecture of a VAE/GAN."""

    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = ()
    """Conditions to give to encoder and decoder; None: all that the data has."""
    latent_dim: int = 64
    """Length of z."""
    embed_dim: int = 16
    """Length of a condition's vector."""


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> mean and log variance of z, (batch, latent_dim) each."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Posterior:
        """Also returns the activations of each stage."""
        c, num = self.config, len(images)
        x, aux = down(images, c.widths, c.blocks, c.groups, self.dtype)
        told = ConditionEmbed(classes_of(c.conditions), c.embed_dim, name="embed")(condition, num)
        x = jnp.concatenate([x.reshape(num, -1), *told], axis=-1)
        mean, log_variance = jnp.split(nn.Dense(2 * c.latent_dim, name="moments")(x), 2, axis=-1)
        return (mean, log_variance), aux


class Decoder(nn.Module):
    """Latents (batch, latent_dim) -> images (batch, height, width, channels), about in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c, shape = self.config, self.config.image_shape or ()
        place = *(side // 2 ** (len(c.widths) - 1) for side in shape[:2]), c.widths[-1]
        told = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, z.shape[0]
        )
        x = jnp.concatenate([z.astype(self.dtype), *told], axis=-1)
        x = nn.Dense(math.prod(place), dtype=self.dtype, name="place")(x).reshape(-1, *place)
        return up(x, c.widths, c.blocks, c.groups, shape[-1], self.dtype)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a size is not positive.
    """
    c, shape = config, config.image_shape or ()
    check("vae_gan", shape, c.widths, c.groups, c.blocks, c.latent_dim, c.embed_dim, c.critic_width, c.critic_depth)
    return {
        "encoder": Network(Encoder(c, dtype), lambda: (jnp.zeros((2, *shape)), untold(c.conditions))),
        "decoder": Network(Decoder(c, dtype), lambda: (jnp.zeros((2, c.latent_dim)), untold(c.conditions))),
        **judges(c.features, c.critic_width, shape[-1], dtype, axis_name, c.critic_depth),
    }


PRESETS = {
    "default": Run(
        Config(),
        VaeGan(scale="fixed", fixed_scale=0.3, adversarial_weight=0.5, critic_start=1000),
        Optimizer(learning_rate=5e-4),
        Data(),
        Train(steps=3000, batch=32, sample_every=500, save_every=500),
    ),
    "tiny": Run(
        Config(
            latent_dim=4, widths=(4, 8), groups=2, embed_dim=4, features="random", critic_width=4, critic_depth=1,
        ),
        VaeGan(
            scale="fixed", fixed_scale=0.3, loss="least_squares", perceptual_weight=0.1, adversarial_weight=0.1,
        ),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
