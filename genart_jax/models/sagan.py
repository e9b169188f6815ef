"""SAGAN: residual networks that look at all places of a picture at once.

Zhang, Goodfellow, Metaxas & Odena 2019, "Self-attention generative adversarial networks", arXiv:1805.08318:
self-attention at the middle feature map of both networks, whose share gamma starts at 0 (eq. 1 to 3, `nn.attention`),
spectral normalisation in both (section 4.1), two learning rates, 1e-4 and 4e-4 for the critic, with one update of each
(section 4.2), hinge loss (eq. 4), Adam with b1 = 0 and b2 = 0.9, conditional BatchNorm in the generator and a
projection critic (section 5). The residual networks are those of Miyato et al. 2018, table 4. How their blocks are
computed, and which biases are left out, is said in `nn.residual`; as in `sngan`, there may be several conditions.

Presets:

- `default`: `genart train sagan`. Smaller networks and larger steps. 14 CPU minutes; on the art set a
  Frechet distance over lite0 of 127 (seed 0; benchmarks/results/gallery.md), where its floor is 13.
- `paper`: `genart train sagan --preset paper`. The published networks and rates, for 128x128. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import spectral
from genart_jax.nn.attention import SelfAttention
from genart_jax.nn.embed import projected
from genart_jax.nn.pyramid import growth, halvings
from genart_jax.nn.residual import Blocks, Condition, ConditionalNorm, glorot
from genart_jax.types import Network, Output, untold


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a SAGAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 128
    """Length of z."""
    width: int = 64
    """Generator's channels next to the image; doubled with every halving, up to 16 times."""
    critic_width: int = 64
    """Critic's channels next to the image, likewise."""
    attention: int = 0
    """Halvings between the picture and the maps that attend to themselves; 0: in the middle."""
    gamma: float = 0.0
    """The share gamma with which attention enters at first; published: 0."""


def attends(config: Config) -> int:
    """How many halvings lie between the picture and the maps with self-attention: 32x32 of 128x128, if not told."""
    count, _ = halvings("sagan", config.image_shape or ())
    return config.attention or count // 2


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage, and the attention's weights (batch, places, places)."""
        c, shape, conditions = self.config, self.config.image_shape or (), classes_of(self.config.conditions)
        count, (height, width) = halvings("sagan", shape)
        first, *features = (c.width * g for g in reversed(growth(count)))
        blocks = Blocks(True, self.dtype, self.axis_name)

        def active(x: jax.Array, name: str) -> jax.Array:
            return nn.relu(ConditionalNorm(conditions, self.dtype, self.axis_name, name=name)(x, condition, train))

        x = spectral.Dense(
            height * width * first, kernel_init=glorot, dtype=self.dtype, axis_name=self.axis_name, name="in"
        )(z.astype(self.dtype))
        x = checkpoint_name(x.reshape(-1, height, width, first), "stage")
        aux = {"stage_0": x}
        for i, size in enumerate(features):
            x = blocks.up(x, size, f"block_{i}", active)
            if i + 1 == count - attends(c):
                x, aux["attention"] = SelfAttention(blocks.conv, gamma=c.gamma, name="attention")(x)
            aux[f"stage_{i + 1}"] = x = checkpoint_name(x, "stage")
        x = blocks.conv(active(x, "norm"), shape[-1], 3, "out")
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each block, and the attention's weights (batch, places, places)."""
        c, blocks = self.config, Blocks(True, self.dtype, self.axis_name)
        count, _ = halvings("sagan", c.image_shape or ())
        x, aux = images.astype(self.dtype), {}
        for i, times in enumerate(growth(count)):
            x = blocks.down(x, c.critic_width * times, f"block_{i}", halve=i < count, first=i == 0)
            if i + 1 == attends(c):
                x, aux["attention"] = SelfAttention(blocks.conv, gamma=c.gamma, name="attention")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        pooled = jnp.sum(nn.relu(x), axis=(1, 2), dtype=jnp.float32)
        score = spectral.Dense(1, kernel_init=glorot, axis_name=self.axis_name, name="out")(pooled)[:, 0]
        embed = spectral.ConditionEmbed(
            classes_of(c.conditions), pooled.shape[-1], stddev=0.1, axis_name=self.axis_name, name="embed"
        )
        return projected(score, pooled, embed(condition, images.shape[0])), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape or the attention's place does not fit.
    """
    count, _ = halvings("sagan", config.image_shape or ())
    if min(config.latent_dim, config.width, config.critic_width) < 1:
        raise UserError("sagan: latent_dim, width and critic_width must be at least 1")
    if not 0 <= config.attention < count:
        raise UserError(f"sagan: attention {config.attention}: wanted 0 (the middle) to {count - 1}")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images),
    }


_ADAM = Optimizer(learning_rate=1e-4, b1=0.0, b2=0.9)
_GAN = Gan(loss="hinge", critic_learning_rate=4e-4, ema_decay=0.99)

PRESETS = {
    "default": Run(
        Config(width=16, critic_width=16, latent_dim=64),
        dataclasses.replace(_GAN, critic_learning_rate=1e-3),
        dataclasses.replace(_ADAM, learning_rate=2.5e-4, schedule="linear"),
        Data(),
        Train(steps=3000, batch=32, sample_every=500, save_every=500),
    ),
    "paper": Run(
        Config(),
        dataclasses.replace(_GAN, ema_decay=0.0),
        _ADAM,
        Data(),
        Train(steps=1_000_000, batch=256, sample_every=5000, save_every=5000, log_every=100),
    ),
    "tiny": Run(
        Config(latent_dim=8, width=4, critic_width=4, gamma=1.0),
        _GAN,
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
