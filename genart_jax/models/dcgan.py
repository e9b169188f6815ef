"""DCGAN: deep convolutional generative adversarial network.

Radford, Metz & Chintala 2015, "Unsupervised representation learning with deep convolutional generative adversarial
networks", arXiv:1511.06434: section 3 for the rules (strided convolutions, BatchNorm, ReLU and tanh in the generator,
leaky ReLU of slope 0.2 in the critic), figure 1 for the generator, section 4 for the initialisation normal(0, 0.02)
and Adam(2e-4, b1 = 0.5). Kernels are 4x4, as in the authors' and most later code, so that strides tile them evenly.

Conditions enter the generator beside z (Mirza & Osindero 2014, eq. 2) and the critic by projection, score = psi(phi(x))
+ sum_c v_c . phi(x) (Miyato & Koyama 2018, eq. 8). Each of them can be hidden.

Presets, with what benchmarks/results/applied.md measured (2 CPU cores):

- `default`: `genart train dcgan`. The relativistic loss and a lazy R1 penalty (Huang et al. 2024, "The GAN is dead;
  long live the GAN!", arXiv:2501.05441; Mescheder et al. 2018, eq. 9), for which the critic has no BatchNorm and He's
  initialisation. 6 to 8 minutes; on the art set a Frechet distance over lite0 of 143 (three seeds, 137 to 153), where
  its floor is 13, and the style that was asked for in 79 % of 2,000 samples.
- `non_saturating`: `genart train dcgan --preset non_saturating`. The default until 2026-11-21, at a distance of 180
  with seed 0; for ADA, which reads the sign of the critic's scores, and under the relativistic loss that says nothing.
- `paper`: `genart train dcgan --preset paper`. The published recipe. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn.conv import Conv, ConvTranspose
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
normal = nn.initializers.normal


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a DCGAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 100
    """Length of z."""
    width: int = 64
    """Channels next to the image; doubled with every halving."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    critic_norm: bool = False
    """BatchNorm in the critic, as published; goes with step.critic_batch separate and without R1."""


def stages(image_shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """Number of halvings, and the (height, width) that they end at: the smaller side is 4 to 7.

    Raises:
      UserError: a side is outside 16 to 128, or the shape does not halve down far enough.
    """
    if len(image_shape) != 3:
        raise UserError(f"dcgan: image_shape {tuple(image_shape)}: wanted (height, width, channels)")
    height, width = image_shape[:2]
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    if not all(16 <= side <= 128 for side in image_shape[:2]) or min(height, width) > 7:
        raise UserError(
            f"dcgan: image_shape {tuple(image_shape)}: sides must be 16 to 128 and halve evenly down to 4 to 7,"
            " such as 28, 32, 48, 64, 96 or 128; set --data.image-size"
        )
    return count, (height, width)


def batch_norm(name: str, train: bool, dtype: DTypeLike, axis_name: str | None) -> nn.BatchNorm:
    """BatchNorm as both networks use it, its scale initialised at normal(1, 0.02)."""
    around_one = lambda key, shape, dtype=jnp.float32: 1.0 + 0.02 * jax.random.normal(key, shape, dtype)
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, scale_init=around_one,
        axis_name=axis_name, name=name,
    )  # fmt: skip


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        count, (height, width) = stages(c.image_shape or ())
        norm = lambda name: batch_norm(name, train, self.dtype, self.axis_name)
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, z.shape[0]
        )
        x = jnp.concatenate([z.astype(self.dtype), *embedded], axis=-1)
        features = c.width * 2 ** (count - 1)
        x = nn.Dense(height * width * features, use_bias=False, kernel_init=normal(0.02), dtype=self.dtype, name="in")(
            x
        )
        x = nn.relu(norm("norm_0")(x.reshape(-1, height, width, features)))
        x = checkpoint_name(x, "stage")
        aux = {"stage_0": x}
        for i in range(1, count):
            features //= 2
            x = ConvTranspose(
                features, (4, 4), (2, 2), use_bias=False, kernel_init=normal(0.02), dtype=self.dtype, name=f"up_{i}"
            )(x)
            x = nn.relu(norm(f"norm_{i}")(x))
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        channels = (c.image_shape or ())[-1]
        x = ConvTranspose(channels, (4, 4), (2, 2), kernel_init=normal(0.02), dtype=self.dtype, name="out")(x)
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,), before any sigmoid."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        count, _ = stages(c.image_shape or ())
        # The published deviation of 0.02 counts on BatchNorm; without it, signals would fade from stage to stage.
        init = normal(0.02) if c.critic_norm else nn.initializers.he_normal()
        x = images.astype(self.dtype)
        aux = {}
        for i in range(count):
            normed = c.critic_norm and i > 0  # not on the critic's input layer: section 3 of the paper
            x = Conv(
                c.width * 2**i, (4, 4), (2, 2), use_bias=not normed, kernel_init=init, dtype=self.dtype,
                name=f"down_{i}",
            )(x)  # fmt: skip
            if normed:
                x = batch_norm(f"norm_{i}", train, self.dtype, self.axis_name)(x)
            x = nn.leaky_relu(x, 0.2)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        pooled = jnp.sum(x, axis=(1, 2), dtype=jnp.float32)
        flat = x.reshape(x.shape[0], -1).astype(jnp.float32)  # a bfloat16 score has three digits
        score = nn.Dense(1, kernel_init=init, name="out")(flat)[:, 0]
        embed = ConditionEmbed(classes_of(c.conditions), x.shape[-1], stddev=0.02, name="embed")
        for vector in embed(condition, images.shape[0]):
            score = score + jnp.sum(vector * pooled, axis=-1)
        return score, aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit.
    """
    stages(config.image_shape or ())
    if min(config.latent_dim, config.width, config.embed_dim) < 1:
        raise UserError("dcgan: latent_dim, width and embed_dim must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images),
    }


_ADAM = Optimizer(learning_rate=2e-4, b1=0.5)

PRESETS = {
    "default": Run(
        Config(width=32),
        Gan(loss="relativistic", r1_gamma=0.5, r1_every=8, ema_decay=0.998),
        Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9, schedule="linear"),
        Data(),
        Train(steps=4000, batch=64, sample_every=500, save_every=500, steps_per_dispatch=10),
    ),
    "non_saturating": Run(
        Config(width=32),
        Gan(critic_learning_rate=4e-4, r1_gamma=0.5, r1_every=8, ema_decay=0.998),
        _ADAM,
        Data(),
        Train(steps=4000, batch=64, sample_every=500, save_every=500),
    ),
    "paper": Run(
        Config(width=64, critic_norm=True),
        Gan(critic_batch="separate", ema_decay=0.0),
        _ADAM,
        Data(),
        Train(steps=20_000, batch=128, save_every=1000),
    ),
    "tiny": Run(
        Config(latent_dim=8, width=4, embed_dim=4),
        Gan(r1_gamma=0.5, r1_every=2),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
