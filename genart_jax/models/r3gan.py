"""R3GAN: residual networks without normalisation under a regularised relativistic loss.

Huang, Gokaslan, Kuleshov & Tompkin 2024, "The GAN is dead; long live the GAN! A modern GAN baseline",
arXiv:2501.05441.

- The relativistic loss pairs real and generated pictures (eq. 2), and both gradient penalties are taken in every step:
  gamma/2 |grad D|^2 at real ones, R1, and at generated ones, R2 (eq. 3 and 4).
- Each resolution has two inverted residual blocks (section 4): 1x1 to twice the channels, grouped 3x3, 1x1 back, with
  two biased leaky ReLUs of slope 0.2 in between, and neither normalisation nor modulation.
- Fix-up initialisation (Zhang et al. 2019): a block's last kernel starts at 0, so a block starts as the identity; the
  others are He's, scaled by L^(-1/4) for L blocks, which is L^(-1/(2m - 2)) for a branch of m = 3 layers.
- Pictures change their size by [1, 2, 1] filters, bilinear resampling. The generator begins with a learned 4x4 input,
  scaled channel by channel by a linear map of z; the critic ends with its mirror image, a depthwise 4x4 layer and a
  linear one.
- Conditions are embedded and concatenated to z in the generator, and projected on in the critic (Miyato & Koyama 2018,
  eq. 8), by linear layers initialised as the others, in the critic's by the root of its length smaller. Of several, the
  critic takes the sum.
- Learning rate, b2, gamma, the average's half-life and the augmentation's probability change along a cosine.

Other than published: the augmentation's colour operations come as often as the others (half as often there).

Channels are `channel_base` over the side, and at most `channel_max`; that gives every published row of widths.

Presets:

- `default`: `genart train r3gan`. A sixth of the width and one block a resolution, for 32 px art on a CPU, with both
  penalties in every fourth step. 12 CPU minutes; on the art set a Frechet distance over lite0 of 107 (seed 0;
  benchmarks/results/gallery.md), where its floor is 13.
- `cifar`: `genart train r3gan --preset cifar`. 20.78 M and 21.28 M parameters with ten classes, as published: FID 1.96
  there. For a GPU; not measured here.
- `ffhq-64`, `ffhq-256`: as published, without conditions; 22.43 M and 22.38 M, 23.06 M and 23.01 M parameters.
- `imagenet-32`: as published, with 1,000 classes: 82.9 M and 86.5 M parameters.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import pyramid
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.resample import downsample, upsample
from genart_jax.types import Condition, Network, untold

BILINEAR = (1.0, 2.0, 1.0)
SLOPE = 0.2


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of an R3GAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 8 to 1024, halving down to 4 to 7."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 64
    """Length of z."""
    embed_dim: int = 64
    """Length of a condition's vector in the generator."""
    channel_base: int = 24_576
    """Channels times the side of the pictures at each resolution, where channel_max does not cut them."""
    channel_max: int = 768
    """Most channels at any resolution."""
    blocks: int = 2
    """Residual blocks at each resolution."""
    expansion: int = 2
    """How many times more channels a block has inside."""
    group_width: int = 16
    """Channels of each group of a block's 3x3 convolution; 0: one group."""


def levels(config: Config) -> list[tuple[tuple[int, int], int]]:
    """((height, width), channels) of each resolution, from the smallest, whose shorter side is 4 to 7.

    Raises:
      UserError: a side is outside 8 to 1024, or the shape does not halve down far enough.
    """
    return pyramid.levels("r3gan", config.image_shape or (), config.channel_base, config.channel_max)


def scaled(gain: float) -> nn.initializers.Initializer:
    """Normal, of the deviation gain / sqrt(fan-in)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


class Block(nn.Module):
    """x plus a branch: 1x1 to more channels, grouped 3x3, 1x1 back.

    Attributes:
      depth: how many blocks the whole network has, L.
    """

    expansion: int
    group_width: int
    depth: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same shape; the identity at initialisation."""
        channels = x.shape[-1]
        inside = channels * self.expansion
        init = scaled((2.0 / (1.0 + SLOPE**2)) ** 0.5 * self.depth**-0.25)
        y = Conv(inside, (1, 1), kernel_init=init, dtype=self.dtype, name="expand")(x)
        y = nn.leaky_relu(y, SLOPE)
        groups = max(1, inside // self.group_width) if self.group_width else 1
        y = Conv(inside, (3, 3), feature_group_count=groups, kernel_init=init, dtype=self.dtype, name="grouped")(y)
        y = nn.leaky_relu(y, SLOPE)
        last = Conv(
            channels, (1, 1), use_bias=False, kernel_init=nn.initializers.zeros, dtype=self.dtype, name="project"
        )
        return x + last(y)


class _Layers(NamedTuple):
    """What both networks have at each resolution, named in whatever module calls them."""

    config: Config
    dtype: DTypeLike

    def blocks(self, x: jax.Array, level: int) -> jax.Array:
        """The residual blocks of a resolution."""
        c = self.config
        depth = c.blocks * len(levels(c))
        for i in range(c.blocks):
            x = Block(c.expansion, c.group_width, depth, self.dtype, name=f"block_{level}_{i}")(x)
        return checkpoint_name(x, "stage")

    def mix(self, x: jax.Array, channels: int, name: str) -> jax.Array:
        """A linear map of the channels."""
        return Conv(channels, (1, 1), use_bias=False, kernel_init=scaled(1.0), dtype=self.dtype, name=name)(x)

    def widen(self, x: jax.Array, channels: int, name: str) -> jax.Array:
        """The same, where their number changes."""
        return x if x.shape[-1] == channels else self.mix(x, channels, name)


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels), cut to [-1, 1] where they are not trained on."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: jax.Array, condition: Condition | None = None, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns the activations of each stage."""
        c, layers = self.config, _Layers(self.config, self.dtype)
        sizes = levels(c)
        size, channels = sizes[0]
        embed = ConditionEmbed(classes_of(c.conditions), c.embed_dim, of_layer=True, name="embed")
        style = jnp.concatenate([z, *embed(condition, z.shape[0])], axis=-1)
        scale = nn.Dense(channels, use_bias=False, kernel_init=scaled(1.0), name="in")(style)
        start = self.param("start", nn.initializers.normal(1.0), (*size, channels))
        x = (start * scale[:, None, None, :]).astype(self.dtype)
        aux = {}
        for level, (_, wanted) in enumerate(sizes):
            if level:  # a map of the channels and a filter of the pixels commute
                x = upsample(layers.widen(x, wanted, f"widen_{level}"), taps=BILINEAR)
            aux[f"stage_{level}"] = x = layers.blocks(x, level)
        images = layers.mix(x, (c.image_shape or ())[-1], "out").astype(jnp.float32)
        return images if train else jnp.clip(images, -1.0, 1.0), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,); what matters is the difference of two."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition | None = None, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns the activations of each stage."""
        c, layers = self.config, _Layers(self.config, self.dtype)
        sizes = levels(c)
        x = layers.mix(images.astype(self.dtype), sizes[-1][1], "in")
        aux = {}
        for level in reversed(range(len(sizes))):
            aux[f"stage_{level}"] = x = layers.blocks(x, level)
            if level:
                x = layers.widen(downsample(x, taps=BILINEAR), sizes[level - 1][1], f"widen_{level}")
        (height, width), channels = sizes[0]
        by_place = nn.initializers.normal((height * width) ** -0.5)
        x = x.astype(jnp.float32)  # a bfloat16 score has three digits
        x = jnp.sum(x * self.param("end", by_place, (height, width, channels)), axis=(1, 2))
        conditions = classes_of(c.conditions)
        x = nn.Dense(channels if conditions else 1, use_bias=False, kernel_init=scaled(1.0), name="out")(x)
        if not conditions:
            return x[:, 0], aux
        stddev = (channels * len(conditions)) ** -0.5
        vectors = ConditionEmbed(conditions, channels, stddev, of_layer=True, name="class_embed")(
            condition, len(images)
        )
        return jnp.sum(x * sum(vectors[1:], vectors[0]), axis=-1), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, a size is not positive, or a block's channels are not whole groups.
    """
    for name in ("latent_dim", "embed_dim", "channel_base", "channel_max", "blocks", "expansion"):
        if getattr(config, name) < 1:
            raise UserError(f"r3gan: {name} must be at least 1")
    if config.group_width < 0:
        raise UserError("r3gan: group_width must not be negative")
    for _, channels in levels(config):
        inside = channels * config.expansion
        if config.group_width and inside > config.group_width and inside % config.group_width:
            raise UserError(
                f"r3gan: a block's {inside} channels do not divide into groups of {config.group_width}; change"
                " group_width, channel_base or channel_max (powers of 2 always fit)"
            )
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {"generator": Network(Generator(config, dtype), latents), "critic": Network(Critic(config, dtype), images)}


def published(
    image_shape: tuple[int, ...],
    batch: int,
    gamma: float,
    augment: float,
    average: float,
    images: float,
    source: str,
    **model: Any,
) -> Run:
    """A published run: gamma falls to a tenth, all schedules over `images`; `average` is the half-life at their end."""
    span = round(images / batch)
    weight = f"{gamma / 2:g}..{gamma / 20:g}:cosine@{span}"
    return Run(
        Config(image_shape=image_shape, **model),
        Gan(
            loss="relativistic", critic_terms=(f"r1={gamma / 2:g}", f"r2={gamma / 2:g}"), ema_images=average,
            ema_ramp=0.0, augment="ada", augment_schedule="constant", augment_p=augment,
            augment_ops=("blit", "geometric", "color", "cutout"),
        ),
        Optimizer(learning_rate=2e-4, b1=0.0, b2=0.9),
        Data(source=source, flip=True),
        Train(
            steps=span * 4,
            batch=batch,
            sample_every=1000,
            save_every=1000,
            schedules=(
                f"learning_rate=2e-4..5e-5:cosine@{span}",
                f"b2=0.9..0.99:cosine@{span}",
                f"r1={weight}",
                f"r2={weight}",
                f"ema_images=0..{average:g}:cosine@{span}",
                f"augment_p=0..{augment:g}:cosine@{span}",
            ),
        ),
    )  # fmt: skip


_SMALL = Run(
    Config(latent_dim=64, embed_dim=32, channel_base=512, channel_max=128, blocks=1, group_width=32),
    Gan(loss="relativistic", critic_terms=("r1=1.0@4", "r2=1.0@4"), ema_images=20_000),
    Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9),
    Data(),
    Train(
        steps=3600,
        batch=16,
        sample_every=400,
        save_every=400,
        schedules=("learning_rate=1e-3..2.5e-4", "b2=0.9..0.99", "r1=1.0..0.25", "r2=1.0..0.25"),
    ),
)

PRESETS = {
    "default": _SMALL,
    "cifar": published((32, 32, 3), 512, 0.05, 0.55, 5e6, 20e6, "tfds:cifar10"),
    "ffhq-64": published((64, 64, 3), 256, 2.0, 0.3, 5e5, 20e6, "folder:ffhq", conditions=()),
    "ffhq-256": published((256, 256, 3), 256, 150.0, 0.3, 5e5, 20e6, "folder:ffhq", conditions=()),
    "imagenet-32": published(
        (32, 32, 3), 4096, 0.5, 0.5, 5e7, 200e6, "folder:imagenet", channel_base=49_152, channel_max=1536,
        group_width=32,
    ),
    "tiny": Run(
        Config(latent_dim=8, embed_dim=4, channel_base=128, channel_max=16, blocks=1, group_width=16),
        Gan(loss="relativistic", critic_terms=("r1=0.1", "r2=0.1"), ema_decay=0.9),
        Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9),
        Data(),
        Train(
            steps=4,
            batch=8,
            log_every=1,
            sample_every=2,
            save_every=2,
            samples=4,
            schedules=("r1=0.1..0.05", "r2=0.1..0.05"),
        ),
    ),
}  # fmt: skip
