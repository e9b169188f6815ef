"""Projected GAN: critics that look at the features of a pretrained network, mixed at random.

Sauer, Chitta, Mueller & Geiger 2021, "Projected GANs converge faster", arXiv:2111.01007.

- Critics D_l score projections P_l of real and of generated pictures, one for each of several resolutions; the losses
  add up (eq. 2), here as a mean over all their scores. The projections never train.
- A projection is the features of EfficientNet-lite0 at four resolutions (role `features`), whose channels random 1x1
  kernels mix (CCM, section 3.2) and whose resolutions random 3x3 kernels and bilinear doubling mix, from the deepest
  up (CSM). These kernels, He's, are drawn once and stay (role `mixing`).
- Each critic halves by convolutions with spectral normalisation to a side of 4 and gives a score for each place.
- The generator is FastGAN's (Liu et al. 2021; see `nn.excitation`). Hinge loss, DiffAugment in front of the features,
  Adam(2e-4, b1 = 0, b2 = 0.99).

Other than in the authors' code: no BatchNorm in the critics, which halve to a side of 4 and score by 3x3 kernels;
mixing kernels of 3x3 before the doubling; and classes beside z, where theirs scale BatchNorm.

Pictures are enlarged by `enlarge` before the features, whose network was trained at 224 px. Conditions come in beside
z, and in each critic by projection (Miyato & Koyama 2018, eq. 8). One channel is shown to the network as grey.

A critic that has seen lite0 is not to be judged by it: its distance is that over VGG19.

Presets:

- `default`: `genart train projected_gan`, after `genart assets fetch efficientnet_lite0`. For 32 px art on a CPU.
  17 CPU minutes; clean pictures, but one for each class (benchmarks/results/gallery.md);
  `--model.conditional-norm` is to mend that, as in `fastgan`.
- `256`: about the published sizes at 256 px, for a GPU. Not measured here.
- `tiny`: over a small random network, for tests.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import spectral
from genart_jax.nn.conv import Conv
from genart_jax.nn.efficientnet import Maps, check_taken
from genart_jax.nn.excitation import Generator, levels_of
from genart_jax.types import Condition, Network, Tree, untold

Levels = tuple[jax.Array, ...]
"""Features (batch, height, width, channels), from the largest to the smallest."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a Projected GAN; of the feature network, one entry a stage where there are several."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), of 1 or 3; each side from 16 to 1024, halving down to 4 to 7."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 256
    """Length of z."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    channel_base: int = 8192
    """Generator's channels times the side of the pictures at each resolution, where channel_max does not cut them."""
    channel_max: int = 1024
    """Most channels at any resolution of the generator."""
    skip: int = 4
    """A resolution of the generator is excited by the one so many doublings below."""
    conditional_norm: bool = False
    """Conditions scale and shift the generator's BatchNorm, and do not stand beside z: then z is not lost in them."""
    critic_width: int = 64
    """Channels of the mixed features at the largest resolution; doubled with each smaller one."""
    enlarge: int = 1
    """Pictures are enlarged so many times before the feature network."""
    features: str = "asset:efficientnet_lite0"
    """Where the feature network's weights are from; empty: random."""
    layers: tuple[str, ...] = ("block_2", "block_4", "block_10", "block_15")
    """What is taken of it, from the largest map to the smallest."""
    widths: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    """Its channels."""
    depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    """Its blocks."""
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    """Side of its depthwise kernels."""
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    """Stride of the first block."""
    expand: int = 6
    """How many times more channels its blocks have inside."""
    stem: int = 32
    """Channels of its first convolution."""


class Mixing(nn.Module):
    """Maps -> maps of the same sizes: random kernels mix the channels of each, and add the smaller ones to the larger.

    Map number l, from the largest, has `width` * 2^l channels.
    """

    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, maps: Levels) -> tuple[Levels, dict[str, jax.Array]]:
        """CCM and CSM. Also returns the maps between the two."""
        init = nn.initializers.he_normal()
        kernel = lambda x, features, side, name: Conv(
            features, (side, side), use_bias=False, kernel_init=init, dtype=self.dtype, name=name
        )(x)
        mixed = [kernel(x, self.width << i, 1, f"channels_{i}") for i, x in enumerate(maps)]
        out, below = [], None
        for i, x in reversed(list(enumerate(mixed))):
            if below is not None:
                x = x + jax.image.resize(below, (*x.shape[:3], below.shape[-1]), "linear")
            # What comes next is added to the map above, so it gets that one's channels here.
            below = kernel(x, max(1, self.width << i >> 1), 3, f"scales_{i}") if i else None
            out.append(x)
        return tuple(reversed(out)), {f"channels_{i}": x for i, x in enumerate(mixed)}


class Critic(nn.Module):
    """Mixed maps, the largest first -> scores (batch, h, w) of the places of each, by name."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, maps: Levels, condition: Condition | None = None, train: bool = False
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Also returns the last activations of each scale."""
        scores, aux = {}, {}
        for i, x in enumerate(maps):
            name = f"scale_{i}"
            scores[name], aux[name] = self._score(x, condition, name)
        return scores, aux

    def _score(self, x: jax.Array, condition: Condition | None, name: str) -> tuple[jax.Array, jax.Array]:
        init, axis, part = nn.initializers.he_normal(), self.axis_name, 0
        conv = lambda x, features, side, stride, name, **options: spectral.Conv(
            features, (side, side), (stride, stride), kernel_init=init, axis_name=axis, name=name, **options
        )(x)
        x = x.astype(self.dtype)
        while part == 0 or min(x.shape[1:3]) >= 8:
            features = min(2 * x.shape[-1], 512) if part else x.shape[-1]
            stride = 2 if min(x.shape[1:3]) >= 8 else 1
            x = nn.leaky_relu(
                conv(x, features, 4 if stride == 2 else 3, stride, f"{name}_{part}", dtype=self.dtype), 0.2
            )
            x, part = checkpoint_name(x, "stage"), part + 1
        wide = x.astype(jnp.float32)  # a bfloat16 score has three digits
        score = conv(wide, 1, 3, 1, f"{name}_out", use_bias=False)[..., 0]
        pooled = jnp.mean(wide, axis=(1, 2))
        embed = spectral.ConditionEmbed(
            classes_of(self.config.conditions), x.shape[-1], stddev=0.1, axis_name=axis, name=f"{name}_embed"
        )
        for vector in embed(condition, x.shape[0]):
            score = score + jnp.sum(vector * pooled, axis=-1)[:, None, None]
        return score, x


def _checked(config: Config) -> None:
    """Raises UserError for what no network can be made of."""
    c, shape = config, config.image_shape or ()
    for name in ("latent_dim", "embed_dim", "channel_base", "channel_max", "skip", "critic_width", "enlarge"):
        if getattr(c, name) < 1:
            raise UserError(f"projected_gan: {name} must be at least 1")
    if not levels_of(shape, c.channel_base, c.channel_max) or shape[-1] not in (1, 3):
        raise UserError(
            f"projected_gan: image_shape {c.image_shape}: wanted (height, width, channels), of 1 or 3, with sides from"
            " 16 to 1024 that halve evenly down to 4 to 7, such as 28, 32, 48, 64, 96 or 128; set --data.image-size"
        )
    check_taken("projected_gan", c)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, a size is not positive, or a layer is unknown.
    """
    _checked(config)
    c, shape = config, config.image_shape or ()
    sizes, told = levels_of(shape, c.channel_base, c.channel_max), classes_of(c.conditions)
    features, mixing = Maps(c, dtype=dtype), Mixing(c.critic_width, dtype)
    images = lambda: (jnp.zeros((2, *shape)),)

    def maps() -> tuple[Levels]:
        return (_zeros(features, *images()),)

    return {
        "generator": Network(
            Generator(sizes, shape[-1], told, c.embed_dim, c.skip, dtype, axis_name, c.conditional_norm),
            lambda: (jnp.zeros((2, c.latent_dim)), untold(told)),
        ),
        "features": Network(features, images, c.features or "random"),
        "mixing": Network(mixing, maps, "random"),
        "critic": Network(Critic(c, dtype, axis_name), lambda: (_zeros(mixing, *maps()), untold(told))),
    }


def _zeros(module: nn.Module, *inputs: Tree) -> Levels:
    """Zeros of the form of what a module makes of these."""
    shapes: Levels = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), *inputs)[0][0])
    return tuple(jnp.zeros(x.shape, x.dtype) for x in shapes)


def _gan(**options: Any) -> Gan:
    fixed = {"loss": "hinge", "augment": "diffaugment", "augment_ops": ("color", "translation", "cutout")}
    return Gan(**{**fixed, **options})


_ADAM = Optimizer(learning_rate=2e-4, b1=0.0, b2=0.99)

PRESETS = {
    "default": Run(
        Config(latent_dim=128, channel_base=512, channel_max=128, skip=2, critic_width=32, enlarge=2),
        _gan(ema_images=10_000),
        dataclasses.replace(_ADAM, learning_rate=4e-4),
        Data(),
        Train(steps=2000, batch=16, sample_every=200, save_every=200),
    ),
    "256": Run(
        Config(image_shape=(256, 256, 3), conditions=()),
        _gan(ema_images=20_000),
        _ADAM,
        Data(source="folder:art", image_size=(256,), flip=True),
        Train(steps=100_000, batch=64, sample_every=1000, save_every=1000),
    ),
    "tiny": Run(
        Config(
            latent_dim=8, embed_dim=4, channel_base=64, channel_max=8, skip=1, critic_width=4, features="",
            layers=("block_0", "block_1"), widths=(4, 8), depths=(1, 1), kernels=(3, 3), strides=(1, 2), expand=2,
            stem=4,
        ),
        _gan(augment_ops=("translation",), ema_decay=0.9),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
