"""WGAN-GP: a critic held near slope 1 by a penalty on its gradient.

Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, "Improved training of Wasserstein GANs", arXiv:1704.00028: the
penalty 10 (|grad D| - 1)^2 between real and generated pictures (eq. 3), five critic updates a step and Adam(1e-4,
b1 = 0, b2 = 0.9) (algorithm 1), no BatchNorm in the critic (section 4), and residual networks (appendix): BatchNorm and
doubling by nearest neighbour in the generator, mean pooling in the critic, the mean over places before the last layer.
How the blocks are computed, and which biases are left out, is said in `nn.residual`; the last layer's would cancel in
the difference of scores, which is all that the loss knows.

Other than published: the critic for 64x64 (`pyramid`) has no LayerNorm, and means over places as that for 32x32.

The paper tells the classes by an auxiliary classifier. Here, where there may be several conditions, the generator has
conditional BatchNorm and the critic projections, as `sngan`: score = psi(phi(x)) + sum_c v_c . phi(x).

Presets:

- `default`: `genart train wgan_gp`. Smaller networks and larger steps;
  benchmarks/results/gallery.md has what it comes to.
- `paper`: `genart train wgan_gp --preset paper`. The residual networks for 32x32, with the linear decay of the learning
  rate from 2e-4 to 0 that goes with them in the appendix. Not measured here.
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
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed, projected
from genart_jax.nn.pyramid import growth, halvings
from genart_jax.nn.residual import Blocks, Condition, ConditionalNorm, glorot
from genart_jax.types import Network, Output, untold


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a WGAN-GP."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 128
    """Length of z."""
    width: int = 128
    """Generator's channels next to the image."""
    critic_width: int = 128
    """Critic's channels next to the image."""
    layout: Literal["auto", "flat", "pyramid"] = "auto"
    """flat: the same channels everywhere, as published for 32x32; pyramid: doubled with every halving, up to 8 times,
    as published for 64x64; auto: flat below 48."""


def channels(config: Config) -> tuple[list[int], list[int], int]:
    """Channels of the generator from its first layer on, those of the critic's blocks, and how many of these halve."""
    shape = config.image_shape or ()
    count, _ = halvings("wgan_gp", shape)
    if config.layout == "flat" or (config.layout == "auto" and min(shape[:2]) < 48):
        return [config.width] * (count + 1), [config.critic_width] * 4, 2
    times = growth(count, 8)
    return [config.width * g for g in reversed(times)], [config.critic_width * g for g in times[1:]], count


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c, conditions = self.config, classes_of(self.config.conditions)
        shape = c.image_shape or ()
        (first, *features), (_, (height, width)) = channels(c)[0], halvings("wgan_gp", shape)

        def active(x: jax.Array, name: str) -> jax.Array:
            return nn.relu(ConditionalNorm(conditions, self.dtype, self.axis_name, name=name)(x, condition, train))

        x = nn.Dense(height * width * first, kernel_init=glorot, dtype=self.dtype, name="in")(z.astype(self.dtype))
        x = checkpoint_name(x.reshape(-1, height, width, first), "stage")
        aux = {"stage_0": x}
        for i, size in enumerate(features):
            x = Blocks(dtype=self.dtype).up(x, size, f"block_{i}", active)
            aux[f"stage_{i + 1}"] = x = checkpoint_name(x, "stage")
        x = Conv(shape[-1], (3, 3), kernel_init=glorot, dtype=self.dtype, name="out")(active(x, "norm"))
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,)."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each block."""
        _, features, halving = channels(self.config)
        x, aux = images.astype(self.dtype), {}
        if halving == len(features):  # the pyramid's critic begins with a convolution
            x = Blocks(dtype=self.dtype).conv(x, self.config.critic_width, 3, "in")
        for i, size in enumerate(features):
            x = Blocks(dtype=self.dtype).down(
                x, size, f"block_{i}", halve=i < halving, first=i == 0 and halving < len(features)
            )
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        pooled = jnp.mean(nn.relu(x), axis=(1, 2), dtype=jnp.float32)
        score = nn.Dense(1, use_bias=False, kernel_init=glorot, name="out")(pooled)[:, 0]
        embed = ConditionEmbed(classes_of(self.config.conditions), pooled.shape[-1], stddev=0.1, name="embed")
        return projected(score, pooled, embed(condition, images.shape[0])), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit.
    """
    halvings("wgan_gp", config.image_shape or ())
    if min(config.latent_dim, config.width, config.critic_width) < 1:
        raise UserError("wgan_gp: latent_dim, width and critic_width must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype), images),
    }


_ADAM = Optimizer(learning_rate=1e-4, b1=0.0, b2=0.9)
_GAN = Gan(loss="wasserstein", d_steps=5, critic_terms=("gp=10",), ema_decay=0.99)

PRESETS = {
    "default": Run(
        Config(width=16, critic_width=16, latent_dim=64, layout="pyramid"),
        _GAN,
        dataclasses.replace(_ADAM, learning_rate=1e-3, schedule="linear"),
        Data(),
        Train(steps=800, batch=32, sample_every=200, save_every=200),
    ),
    "paper": Run(
        Config(),
        dataclasses.replace(_GAN, ema_decay=0.0),
        dataclasses.replace(_ADAM, learning_rate=2e-4, schedule="linear"),
        Data(),
        Train(steps=100_000, batch=64, sample_every=2000, save_every=2000, log_every=100),
    ),
    "tiny": Run(
        Config(latent_dim=8, width=4, critic_width=4, layout="pyramid"),
        dataclasses.replace(_GAN, d_steps=2, critic_terms=("gp=0.1",)),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
