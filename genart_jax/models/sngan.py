"""SNGAN: residual networks with a spectrally normalised projection critic.

- Miyato, Kataoka, Koyama & Yoshida 2018, "Spectral normalization for generative adversarial networks",
  arXiv:1802.05957: every weight of the critic is divided by its largest singular value (eq. 8, algorithm 1), hinge
  loss (eq. 16 and 17), five critic updates a step, Adam(2e-4, b1 = 0, b2 = 0.9); tables 3 to 5 for the networks.
- Gulrajani et al. 2017, "Improved training of Wasserstein GANs", arXiv:1704.00028, appendix: the residual blocks, and
  the linear decay of the learning rate to 0.
- Miyato & Koyama 2018, "cGANs with projection discriminator", arXiv:1802.05637: score = psi(phi(x)) + sum_c v_c .
  phi(x) (eq. 8), and conditional BatchNorm in the generator (Dumoulin et al. 2017; de Vries et al. 2017).

All of these have one condition. Here there may be several: the offsets of BatchNorm's scale and shift add up over them,
as the critic's projections do, and each has a vector of its own for "hidden".

How the blocks are computed, and which biases are left out, is said in `nn.residual`.

Presets:

- `default`: `genart train sngan`. 15 minutes on 2 busy CPU cores (seed 0); on the art set a Frechet distance over lite0
  of 106 (two seeds), where its floor is 13, and the style that was asked for in 63 % of 2,000 samples
  (benchmarks/results/applied.md).
- `paper`: `genart train sngan --preset paper`. Table 3 of the paper for 32x32: 4,274,435 parameters without conditions,
  which is the published layout's 4,276,739 less 2,304 such biases, and a critic of 1,053,825. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import spectral
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import projected
from genart_jax.nn.pyramid import growth, halvings
from genart_jax.nn.residual import Blocks, Condition, ConditionalNorm, glorot
from genart_jax.types import Network, Output, untold


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of an SNGAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 128
    """Length of z."""
    width: int = 256
    """Generator's channels next to the image."""
    critic_width: int = 128
    """Critic's channels next to the image."""
    layout: Literal["auto", "flat", "pyramid"] = "auto"
    """flat: the same channels everywhere, as published for 32x32; pyramid: doubled with every halving, up to 16 times,
    as published for larger pictures; auto: flat below 48."""


def channels(config: Config) -> tuple[list[int], list[int], int]:
    """Channels of the generator from its first layer on, those of the critic's blocks, and how many of these halve."""
    shape = config.image_shape or ()
    count, _ = halvings("sngan", shape)
    if config.layout == "flat" or (config.layout == "auto" and min(shape[:2]) < 48):
        return [config.width] * (count + 1), [config.critic_width] * 4, 2
    return [config.width * g for g in reversed(growth(count))], [config.critic_width * g for g in growth(count)], count


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c, conditions = self.config, classes_of(self.config.conditions)
        (first, *features), (_, (height, width)) = channels(c)[0], halvings("sngan", c.image_shape or ())

        def active(x: jax.Array, name: str) -> jax.Array:
            norm = ConditionalNorm(conditions, self.dtype, self.axis_name, name=name)
            return nn.relu(norm(x, condition, train))

        x = nn.Dense(height * width * first, kernel_init=glorot, dtype=self.dtype, name="in")(z.astype(self.dtype))
        x = checkpoint_name(x.reshape(-1, height, width, first), "stage")
        aux = {"stage_0": x}
        for i, size in enumerate(features):
            x = Blocks(dtype=self.dtype).up(x, size, f"block_{i}", active)
            aux[f"stage_{i + 1}"] = x = checkpoint_name(x, "stage")
        x = active(x, "norm")
        x = Conv((c.image_shape or ())[-1], (3, 3), kernel_init=glorot, dtype=self.dtype, name="out")(x)
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each block."""
        conditions = classes_of(self.config.conditions)
        blocks = Blocks(True, self.dtype, self.axis_name)
        _, features, halving = channels(self.config)
        x, aux = images.astype(self.dtype), {}
        for i, size in enumerate(features):
            x = blocks.down(x, size, f"block_{i}", halve=i < halving, first=i == 0)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        pooled = jnp.sum(nn.relu(x), axis=(1, 2), dtype=jnp.float32)
        score = spectral.Dense(1, kernel_init=glorot, axis_name=self.axis_name, name="out")(pooled)[:, 0]
        embed = spectral.ConditionEmbed(
            conditions, pooled.shape[-1], stddev=0.1, axis_name=self.axis_name, name="embed"
        )
        return projected(score, pooled, embed(condition, images.shape[0])), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit.
    """
    halvings("sngan", config.image_shape or ())
    if min(config.latent_dim, config.width, config.critic_width) < 1:
        raise UserError("sngan: latent_dim, width and critic_width must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images),
    }


_ADAM = Optimizer(learning_rate=2e-4, b1=0.0, b2=0.9, schedule="linear")

PRESETS = {
    "default": Run(
        Config(width=32, critic_width=32, latent_dim=64),
        Gan(loss="hinge", d_steps=5, critic_learning_rate=5e-4, ema_decay=0.99),
        dataclasses.replace(_ADAM, learning_rate=1e-3),
        Data(),
        Train(steps=1400, batch=32, sample_every=200, save_every=200),
    ),
    "paper": Run(
        Config(),
        Gan(loss="hinge", d_steps=5, ema_decay=0.0),
        _ADAM,
        Data(),
        Train(steps=100_000, batch=64, sample_every=2000, save_every=2000, log_every=100),
    ),
    "tiny": Run(
        Config(latent_dim=8, width=4, critic_width=4, layout="pyramid"),
        Gan(loss="hinge", d_steps=2),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
