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

Two things are computed otherwise than they are written, with equal results: a 3x3 convolution after doubling by nearest
neighbour is one transposed 4x4 convolution of stride 2, and a 3x3 convolution before averaging 2x2 is one 4x4
convolution of stride 2; the 4x4 kernel is the 3x3 one summed over a 2x2 window. Both need 2.25 times fewer operations,
and took 1.6 to 2.7 times less time on a CPU. Biases in front of a BatchNorm, which has its own, are left out.

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
from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import spectral
from genart_jax.nn.conv import Conv, conv, conv_transpose
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.pool import avg_pool
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None

# Uniform by Glorot & Bengio 2010; in front of a ReLU with twice the variance.
glorot = nn.initializers.xavier_uniform()
glorot_relu = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


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


def stages(image_shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """Number of halvings, and the (height, width) that they end at: the smaller side is 4 to 7.

    Raises:
      UserError: a side is outside 16 to 128, or the shape does not halve down far enough.
    """
    if len(image_shape) != 3:
        raise UserError(f"sngan: image_shape {tuple(image_shape)}: wanted (height, width, channels)")
    height, width = image_shape[:2]
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    if not all(16 <= side <= 128 for side in image_shape[:2]) or min(height, width) > 7:
        raise UserError(
            f"sngan: image_shape {tuple(image_shape)}: sides must be 16 to 128 and halve evenly down to 4 to 7,"
            " such as 28, 32, 48, 64, 96 or 128; set --data.image-size"
        )
    return count, (height, width)


def channels(config: Config) -> tuple[list[int], list[int], int]:
    """Channels of the generator from its first layer on, those of the critic's blocks, and how many of these halve."""
    shape = config.image_shape or ()
    count, _ = stages(shape)
    if config.layout == "flat" or (config.layout == "auto" and min(shape[:2]) < 48):
        return [config.width] * (count + 1), [config.critic_width] * 4, 2
    growth = [min(16, 2**i) for i in range(count + 1)]
    return [config.width * g for g in reversed(growth)], [config.critic_width * g for g in growth], count


def widened(kernel: jax.Array) -> jax.Array:
    """(3, 3, in, out) -> (4, 4, in, out): its sums over windows of 2x2, with zeros around."""
    for axis in (0, 1):
        before, after = ([(0, 0)] * axis + [pad] + [(0, 0)] * (3 - axis) for pad in ((1, 0), (0, 1)))
        kernel = jnp.pad(kernel, before) + jnp.pad(kernel, after)
    return kernel


class UpConv(nn.Module):
    """Doubling by nearest neighbour, then a 3x3 convolution without bias: (batch, H, W, C) -> (batch, 2H, 2W, .)."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        kernel = self.param("kernel", glorot_relu, (3, 3, x.shape[-1], self.features))
        return conv_transpose(x.astype(self.dtype), widened(kernel).astype(self.dtype), strides=(2, 2))


class DownConv(spectral.Normalized):
    """A normalised 3x3 convolution, then the mean of each 2x2: (batch, H, W, C) -> (batch, H/2, W/2, features)."""

    features: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        kernel = self.param("kernel", glorot_relu, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        y = conv(x.astype(self.dtype), (0.25 * widened(kernel)).astype(self.dtype), strides=2, padding=1)
        return y + bias.astype(self.dtype)


class ConditionalNorm(nn.Module):
    """BatchNorm whose scale and shift have an offset for each condition's class, or for its being hidden."""

    conditions: tuple[tuple[str, int], ...]
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, train: bool) -> jax.Array:
        """(batch, H, W, C) -> the same."""
        size = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones_init(), (size,)).astype(self.dtype)
        shift = self.param("bias", nn.initializers.zeros_init(), (size,)).astype(self.dtype)
        x = nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, use_scale=False, use_bias=False,
            dtype=self.dtype, axis_name=self.axis_name, name="statistics",
        )(x)  # fmt: skip
        offsets = ConditionEmbed(self.conditions, 2 * size, stddev=0.0, dtype=self.dtype, name="offsets")
        for vector in offsets(condition, x.shape[0]):
            scale, shift = scale + vector[:, None, None, :size], shift + vector[:, None, None, size:]
        return x * scale + shift


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c, conditions = self.config, classes_of(self.config.conditions)
        (first, *features), (_, (height, width)) = channels(c)[0], stages(c.image_shape or ())

        def active(x: jax.Array, name: str) -> jax.Array:
            norm = ConditionalNorm(conditions, self.dtype, self.axis_name, name=name)
            return nn.relu(norm(x, condition, train))

        x = nn.Dense(height * width * first, kernel_init=glorot, dtype=self.dtype, name="in")(z.astype(self.dtype))
        x = checkpoint_name(x.reshape(-1, height, width, first), "stage")
        aux = {"stage_0": x}
        for i, size in enumerate(features):
            y = UpConv(size, self.dtype, name=f"block_{i}_up")(active(x, f"block_{i}_norm_0"))
            y = active(y, f"block_{i}_norm_1")
            y = Conv(size, (3, 3), use_bias=False, kernel_init=glorot_relu, dtype=self.dtype, name=f"block_{i}_conv")(y)
            # A 1x1 convolution and the doubling by nearest neighbour may change places.
            x = Conv(size, (1, 1), use_bias=False, kernel_init=glorot, dtype=self.dtype, name=f"block_{i}_skip")(x)
            x = jnp.broadcast_to(x[:, :, None, :, None], (x.shape[0], x.shape[1], 2, x.shape[2], 2, size)).reshape(
                y.shape
            )
            aux[f"stage_{i + 1}"] = x = checkpoint_name(x + y, "stage")
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
        convolve = lambda x, size, side, name: spectral.Conv(
            size, (side, side), dtype=self.dtype, kernel_init=glorot_relu if side == 3 else glorot, name=name,
            axis_name=self.axis_name,
        )(x)  # fmt: skip
        _, features, halving = channels(self.config)
        x, aux = images.astype(self.dtype), {}
        for i, size in enumerate(features):
            down, name = i < halving, f"block_{i}"
            y = nn.relu(convolve(nn.relu(x) if i else x, size, 3, f"{name}_conv_0"))
            if down:
                y = DownConv(features=size, dtype=self.dtype, axis_name=self.axis_name, name=f"{name}_conv_1")(y)
                x = avg_pool(x, (2, 2), (2, 2))  # before the 1x1 convolution: the same sums, fewer operations
            else:
                y = convolve(y, size, 3, f"{name}_conv_1")
            if down or x.shape[-1] != size:
                x = convolve(x, size, 1, f"{name}_skip")
            aux[f"stage_{i}"] = x = checkpoint_name(x + y, "stage")
        pooled = jnp.sum(nn.relu(x), axis=(1, 2), dtype=jnp.float32)
        score = spectral.Dense(1, kernel_init=glorot, axis_name=self.axis_name, name="out")(pooled)[:, 0]
        embed = spectral.ConditionEmbed(
            conditions, pooled.shape[-1], stddev=0.1, axis_name=self.axis_name, name="embed"
        )
        for vector in embed(condition, images.shape[0]):
            score = score + jnp.sum(vector * pooled, axis=-1)
        return score, aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit.
    """
    stages(config.image_shape or ())
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
