"""A small GAN for icons, whose latents modulate every normalisation; the demo trains it in minutes on two CPU cores.

- Chen, Lucic, Houlsby & Gelly 2019, "On self modulation for generative adversarial networks", arXiv:1810.01365, eq. 3
  to 5: one hidden layer over z and the condition gives scale and shift of every BatchNorm of the generator.
- Odena, Dumoulin & Olah 2016, "Deconvolution and checkerboard artifacts", doi:10.23915/distill.00003: doublings by
  nearest neighbour and a 3x3 convolution, in place of DCGAN's transposed ones.
- The critic is DCGAN's (Radford et al. 2015, arXiv:1511.06434) without BatchNorm, with a projection on the conditions
  (Miyato & Koyama 2018, arXiv:1802.05637, eq. 8). It may see how much neighbouring pictures differ (Karras et al. 2018,
  arXiv:1710.10196, section 3), and score patches beside the whole (Isola et al. 2017, arXiv:1611.07004, section 3.2.2).

The loss is relativistic with a lazy R1 penalty (Huang et al. 2024, arXiv:2501.05441).

Presets:

- `default`: `genart train modgan`. Some 14 CPU minutes; what it reaches, at which truncation, and what was tried on the
  way, is in benchmarks/results/demo_tries.md.
- `quality`: the same for 300,000 steps, 107 minutes of one core, with an average over more of them; it keeps a
  checkpoint for every tenth (benchmarks/results/quality_over_time.md).
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
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed, projected
from genart_jax.nn.pyramid import halvings
from genart_jax.nn.residual import Modulated, UpConv
from genart_jax.nn.style import minibatch_deviation
from genart_jax.types import Network, Output, untold

Aux = dict[str, jax.Array]
Condition = Mapping[str, jax.Array] | None
Scores = jax.Array | dict[str, jax.Array]

he, lecun = nn.initializers.he_normal(), nn.initializers.lecun_normal()


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of both networks."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 64
    """Length of z."""
    width: int = 16
    """The generator's channels next to the image; doubled with every halving."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    style_dim: int = 128
    """Units of the hidden layer between z, the conditions and the scales and shifts."""
    critic_width: int = 32
    """The critic's channels after its first halving; doubled with every further one."""
    minibatch_group: int = 4
    """Neighbouring pictures whose deviation the critic sees as one more channel (1: none)."""
    patches: bool = True
    """A second score for each place of the critic's second stage, that counts as the first does."""
    patch_conditions: bool = False
    """The patches' scores know the conditions, too, by a projection at each place."""


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        count, (height, width) = halvings("modgan", c.image_shape or ())
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, z.shape[0]
        )
        w = jnp.concatenate([z.astype(self.dtype), *embedded], axis=-1)
        w = nn.leaky_relu(nn.Dense(c.style_dim, kernel_init=he, dtype=self.dtype, name="map")(w), 0.2)
        features = c.width * 2**count
        x = nn.Dense(height * width * features, use_bias=False, kernel_init=lecun, dtype=self.dtype, name="in")(w)
        x = x.reshape(-1, height, width, features)
        aux: Aux = {}
        for i in range(count + 1):
            if i:
                x = UpConv(features // 2**i, self.dtype, name=f"up_{i}")(x)
            x = Modulated(train, self.dtype, self.axis_name, name=f"norm_{i}")(x, w)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        channels = (c.image_shape or ())[-1]
        x = Conv(channels, (3, 3), kernel_init=lecun, dtype=self.dtype, name="out")(x)
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores before any sigmoid: (batch,) of the whole, or with patches
    {"image": (batch,), "patches": (batch, height / 4, width / 4)}.
    """

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> tuple[Scores, Aux]:
        """Also returns the activations of each stage."""
        c = self.config
        x = images.astype(self.dtype)
        aux: Aux = {}
        for i in range(halvings("modgan", c.image_shape or ())[0]):
            x = Conv(c.critic_width * 2**i, (4, 4), (2, 2), kernel_init=he, dtype=self.dtype, name=f"down_{i}")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(nn.leaky_relu(x, 0.2), "stage")
        x = x.astype(jnp.float32)  # a bfloat16 score has three digits
        pooled = jnp.sum(x, axis=(1, 2))
        if c.minibatch_group > 1:
            x = minibatch_deviation(x, c.minibatch_group, self.axis_name, check=train and not self.is_initializing())
        score = nn.Dense(1, kernel_init=he, name="out")(x.reshape(len(x), -1))[:, 0]
        embed = ConditionEmbed(classes_of(c.conditions), pooled.shape[-1], stddev=0.02, name="embed")
        score = projected(score, pooled, embed(condition, len(x)))
        if not c.patches:
            return score, aux
        places = aux["stage_1"].astype(jnp.float32)
        patches = Conv(1, (1, 1), kernel_init=he, name="patches")(places)[..., 0]
        told = classes_of(c.conditions) if c.patch_conditions else ()
        embed = ConditionEmbed(told, places.shape[-1], stddev=0.02, name="patch_embed")
        return {"image": score, "patches": projected(patches, places, embed(condition, len(x)))}, aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a number is out of range.
    """
    halvings("modgan", config.image_shape or ())
    for name in ("latent_dim", "width", "embed_dim", "style_dim", "critic_width", "minibatch_group"):
        if getattr(config, name) < 1:
            raise UserError(f"modgan: {name} must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images, group=config.minibatch_group),
    }


_DEFAULT = Run(
    Config(patch_conditions=True),
    Gan(loss="relativistic", r1_gamma=2.0, r1_every=8),
    Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9, schedule="linear"),
    Data(flip=True),
    Train(steps=36_000, batch=16, sample_every=2000, save_every=1000, steps_per_dispatch=10),
)
PRESETS = {
    "default": _DEFAULT,
    "quality": dataclasses.replace(
        _DEFAULT,
        step=dataclasses.replace(_DEFAULT.step, ema_decay=0.9995),
        train=dataclasses.replace(_DEFAULT.train, steps=300_000, sample_every=10_000, save_every=30_000, keep=12),
    ),
    "tiny": Run(
        Config(latent_dim=8, width=4, embed_dim=4, style_dim=8, critic_width=4, minibatch_group=2),
        Gan(r1_gamma=0.5, r1_every=2),
        Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
