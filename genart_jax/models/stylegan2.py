"""StyleGAN2: a generator steered by styles, and its regularisation.

Karras, Laine, Aittala, Hellsten, Lehtinen & Aila 2020, "Analyzing and improving the image quality of StyleGAN",
arXiv:1912.04958: modulated convolution (eq. 1 and 3), noise, skip generator and residual critic (figure 7), path length
penalty (eq. 4), lazy regularisation (appendix B). From Karras et al. 2018, arXiv:1710.10196: equalised learning rates
and the minibatch standard deviation; from Karras et al. 2019, arXiv:1812.04948: the mapping network, style mixing and
truncation; from Karras et al. 2020b, arXiv:2006.06676: conditions (appendix D), the moving average's half-life in
images and its ramp, and the settings of the presets for 32 and 256 pixels (figure 24). Published networks are read by
`ga.load("FILE.safetensors")` (docs/gans.md).

Presets:

- `default`, also called `stylegan2-32`: `genart train stylegan2`. Sized for the art set on 2 CPU cores. 16 to 18
  minutes on one of them (seeds 0 and 1); a Frechet distance over lite0 of 129, where its floor is 13, and the style
  that was asked for in 55 % of 2,000 samples (benchmarks/results/applied.md). It has lost variety by then
  (benchmarks/results/stylegan2.md).
- `stylegan2-64`: the rules by which Karras et al. 2020b choose settings for any resolution, but
  eight mapping layers in place of two. For a GPU; not run here.
- `stylegan2-256`: their 256x256 configuration, with 24,767,458 and 24,001,089 parameters. For a GPU; not run here.
- `cifar`: their configuration for CIFAR-10, without its augmentation. For a GPU; not run here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.config.ranges import Positive, Share
from genart_jax.nn import pyramid
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.resample import upsample
from genart_jax.nn.style import (
    EqualConv,
    EqualDense,
    Form,
    StyleConv,
    layer_noise,
    leaky,
    mapping,
    minibatch_deviation,
    unit_moment,
    wide,
)
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a StyleGAN2."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 8 to 1024, halving down to 4 to 7."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 512
    """Length of z, and of a condition's vector beside it."""
    style_dim: int = 512
    """Length of w, and width of the mapping networks."""
    mapping_layers: int = 8
    """Layers of the mapping networks."""
    mapping_rate: Positive = 0.01
    """The mapping networks learn at this multiple of the learning rate."""
    channel_base: int = 16_384
    """Channels times the side of the pictures at each resolution, where channel_max does not cut them."""
    channel_max: int = 512
    """Most channels at any resolution."""
    critic: Literal["residual", "plain"] = "residual"
    """With connections that skip two convolutions, or without."""
    minibatch_group: int = 4
    """Neighbouring examples over which the critic takes the standard deviation."""
    style_decay: Share = 0.995
    """Decay of the running mean of w, towards which truncation pulls."""
    modulation: Form = "scale"
    """How styles enter convolutions: scaled inputs and outputs, or grouped kernels. Equal; see nn.style."""
    critic_mapping_layers: int = 0
    """Layers of the critic's mapping network, which conditions go through; 0: as many as the generator's."""


def levels(config: Config) -> list[tuple[tuple[int, int], int]]:
    """((height, width), channels) of each resolution, from the smallest, whose shorter side is 4 to 7.

    Raises:
      UserError: a side is outside 8 to 1024, or the shape does not halve down far enough.
    """
    return pyramid.levels("stylegan2", config.image_shape or (), config.channel_base, config.channel_max)


def conditions_vector(config: Config, condition: Condition, batch: int) -> list[jax.Array]:
    """All conditions in one (batch, latent_dim) vector of unit second moment; nothing where there are none."""
    embed = ConditionEmbed(classes_of(config.conditions), config.latent_dim, name="embed")
    vectors = embed(condition, batch)
    return [unit_moment(sum(vectors[1:], vectors[0]))] if vectors else []


class MappingNetwork(nn.Module):
    """(batch, latent_dim) and conditions -> w (batch, style_dim)."""

    config: Config
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition, train: bool, truncation: float | jax.Array) -> jax.Array:
        """In training, moves the running mean of w; else pulls w towards it."""
        c = self.config
        mean = self.variable("moving", "style_mean", jnp.zeros, (c.style_dim,))
        x = jnp.concatenate([unit_moment(z), *conditions_vector(c, condition, z.shape[0])], axis=-1)
        w = mapping(x, [c.style_dim] * c.mapping_layers, c.mapping_rate)
        if not train:
            return mean.value + truncation * (w - mean.value)
        if self.is_mutable_collection("moving") and not self.is_initializing():
            now = jax.lax.stop_gradient(jnp.mean(w, axis=0))
            now = now if self.axis_name is None else jax.lax.pmean(now, self.axis_name)
            mean.value = c.style_decay * mean.value + (1.0 - c.style_decay) * now
        return w


class SynthesisNetwork(nn.Module):
    """Styles (batch, layers, style_dim) -> images: each resolution adds its part to an upsampled picture."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, styles: jax.Array, keys: jax.Array | None) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        sizes = levels(c)
        layer = functools.partial(StyleConv, form=c.modulation, dtype=self.dtype)
        start = self.param("const", nn.initializers.normal(1.0), (*sizes[0][0], sizes[0][1]))
        x = jnp.broadcast_to(start.astype(self.dtype), (styles.shape[0], *start.shape))
        noise = layer_noise(keys, [size for i, (size, _) in enumerate(sizes) for _ in range(2 if i else 1)])
        image, aux = jnp.zeros(()), {}
        for i, (_, channels) in enumerate(sizes):
            if i:  # its style is that of the picture below
                w, drawn = styles[:, 2 * i - 1], noise[2 * i - 1]
                x = layer(channels, up=True, name=f"up_{i}")(x, w, drawn)
            x = layer(channels, name=f"conv_{i}")(x, styles[:, 2 * i], noise[2 * i])
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
            part = layer((c.image_shape or ())[-1], side=1, to_image=True, name=f"image_{i}")(x, styles[:, 2 * i + 1])
            image = (upsample(image) if i else image) + part.astype(wide(self.dtype))
        return image, aux


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels), around [-1, 1] but not cut to it."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    def setup(self) -> None:
        """The two networks."""
        self.styles = MappingNetwork(self.config, self.axis_name)
        self.pictures = SynthesisNetwork(self.config, self.dtype)

    def mapping(
        self, z: jax.Array, condition: Condition = None, train: bool = False, truncation: float | jax.Array = 1.0
    ) -> jax.Array:
        """Styles (batch, layers, style_dim), all layers of an example alike. Truncation: in evaluation only."""
        w = self.styles(z, condition, train, truncation)
        return jnp.broadcast_to(w[:, None], (w.shape[0], 2 * len(levels(self.config)), w.shape[-1]))

    def synthesis(self, styles: jax.Array, keys: jax.Array | None = None) -> Output:
        """Images, and the activations of each stage. Noise comes from one key an example, or is the same for all."""
        return self.pictures(styles, keys)

    def __call__(
        self, z: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> Output:
        """Both, one after the other."""
        return self.synthesis(self.mapping(z, condition, train), keys)


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,), before any sigmoid."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        sizes, residual = levels(c), c.critic == "residual"
        conv = lambda name, features, side, **options: EqualConv(features, side, dtype=self.dtype, name=name, **options)
        x = leaky(conv("in", sizes[-1][1], 1)(images))
        aux = {}
        for i in reversed(range(1, len(sizes))):
            skipped = conv(f"skip_{i}", sizes[i - 1][1], 1, down=True, use_bias=False)(x) if residual else None
            x = leaky(conv(f"conv_{i}", sizes[i][1], 3)(x))
            x = leaky(conv(f"down_{i}", sizes[i - 1][1], 3, down=True)(x))
            x = x if skipped is None else (x + skipped) * 0.5**0.5
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = minibatch_deviation(x, c.minibatch_group, self.axis_name, check=train and not self.is_initializing())
        x = leaky(conv("conv_0", sizes[0][1], 3)(x)).reshape(len(x), -1)
        x = leaky(EqualDense(sizes[0][1], dtype=self.dtype, name="dense")(x))
        vectors = conditions_vector(c, condition, len(x))
        if not vectors:
            return EqualDense(1, name="out")(x.astype(jnp.float32))[:, 0], aux
        # Projection on the mapped condition (Miyato & Koyama 2018, eq. 8; Karras et al. 2020b, appendix D).
        layers = c.critic_mapping_layers or c.mapping_layers
        mapped = mapping(vectors[0], [c.style_dim] * layers, c.mapping_rate)
        x = EqualDense(c.style_dim, name="out")(x.astype(jnp.float32))
        return jnp.sum(x * mapped, axis=-1) * c.style_dim**-0.5, aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a size is not positive.
    """
    levels(config)
    sizes = ("latent_dim", "style_dim", "mapping_layers", "channel_base", "channel_max", "minibatch_group")
    for name in sizes:
        if getattr(config, name) < 1:
            raise UserError(f"stylegan2: {name} must be at least 1")
    if config.critic_mapping_layers < 0:
        raise UserError("stylegan2: critic_mapping_layers must be at least 0")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images, group=config.minibatch_group),
    }


def _optimizer(learning_rate: float) -> Optimizer:
    return Optimizer(learning_rate=learning_rate, b1=0.0, b2=0.99)


_GAN = Gan(lazy_updates="separate", r1_every=16, path_every=4, path_weight=2.0, style_mixing=0.9)
_SMALL = Run(
    Config(latent_dim=128, style_dim=128, mapping_layers=4, channel_base=512, channel_max=128),
    dataclasses.replace(_GAN, r1_gamma=0.1, ema_images=10_000, style_mixing=0.5),
    _optimizer(2.5e-3),
    Data(),
    Train(steps=4000, batch=32, sample_every=500, save_every=500),
)

PRESETS = {
    "default": _SMALL,
    "stylegan2-32": _SMALL,
    "stylegan2-64": Run(
        # Karras et al. 2020b, appendix C: gamma = 0.0002 * r^2 / batch, and half the channels of 1024 pixels.
        Config(image_shape=(64, 64, 3), minibatch_group=4),
        dataclasses.replace(_GAN, r1_gamma=0.0002 * 64**2 / 32, ema_images=10_000),
        _optimizer(2.5e-3),
        Data(source="emoji:64"),
        Train(steps=50_000, batch=32, sample_every=1000, save_every=1000),
    ),
    "stylegan2-256": Run(
        Config(image_shape=(256, 256, 3), conditions=(), minibatch_group=8),
        dataclasses.replace(_GAN, r1_gamma=1.0, ema_images=20_000, ema_ramp=0.0),
        _optimizer(2.5e-3),
        Data(source="folder:ffhq", image_size=(256,), flip=True),
        Train(steps=390_625, batch=64, sample_every=2000, save_every=2000),
    ),
    "cifar": Run(
        Config(
            image_shape=(32, 32, 3), mapping_layers=2, critic_mapping_layers=8, channel_base=32_768, critic="plain",
            minibatch_group=32,
        ),
        dataclasses.replace(_GAN, r1_gamma=0.01, path_weight=0.0, style_mixing=0.0, ema_images=500_000),
        _optimizer(2.5e-3),
        Data(source="tfds:cifar10"),
        Train(steps=1_562_500, batch=64, sample_every=5000, save_every=5000),
    ),
    "tiny": Run(
        Config(
            latent_dim=8, style_dim=8, mapping_layers=2, mapping_rate=0.1, channel_base=64, channel_max=8,
            minibatch_group=2,
        ),
        dataclasses.replace(_GAN, r1_gamma=0.1, r1_every=2, path_every=2, path_weight=0.1, ema_images=100),
        _optimizer(2.5e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
