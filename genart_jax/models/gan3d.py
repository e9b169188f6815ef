"""3D-GAN: volumes of voxels, by transposed convolutions in three dimensions.

Wu, Zhang, Xue, Freeman & Tenenbaum 2016, "Learning a probabilistic latent space of object shapes via 3D
generative-adversarial modeling", arXiv:1610.07584, section 3.1: the generator has transposed convolutions of kernel
4x4x4 and stride 2 with BatchNorm and ReLU, the critic mirrors it with leaky ReLU (0.2); 64x64x64 is the paper's size.
Departures: the last activation is tanh, as volumes are in [-1, 1] here (-1 is air, 1 is solid); the generator starts at
4 to 7 voxels a side by a dense layer; the critic has no BatchNorm, under which a penalty of each example's gradient
would be none; classes are told by an embedding beside z, and to the critic by a projection (Miyato & Koyama 2018,
arXiv:1802.05637, eq. 8).

The paper holds the critic back by training it only below 80 % accuracy, at a learning rate below the generator's. Here
two later remedies are options: the relativistic loss with R1 and R2 (Huang et al. 2024, arXiv:2501.05441), and WGAN-GP
(Gulrajani et al. 2017, arXiv:1704.00028).

Presets:

- `default`: `genart train gan3d --data shapes3d`. 32x32x32; the relativistic loss with R1 and R2.
  benchmarks/volumes.py measures it: 99.8 % of samples have their class after 26 minutes on one core (two seeds).
  With weights of 0.5 in place of 4 the critic told all apart within a hundred steps
  (its loss 0.01).
- `wgan`: the same networks by WGAN-GP, which updates the critic five times a step. At equal time it is behind.
- `large`: 64x64x64 for GPUs, with the paper's channels: `--data shapes3d:64`, once built with `--size 64`.
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
from genart_jax.nn.embed import ConditionEmbed, projected
from genart_jax.nn.style import minibatch_deviation
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None

he, lecun = nn.initializers.he_normal(), nn.initializers.lecun_normal()
_KERNEL, _STRIDES = (4, 4, 4), (2, 2, 2)


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of both networks."""

    image_shape: tuple[int, ...] | None = None
    """(depth, height, width, channels), a cube; its side from 8 to 128, halving down to 4 to 7."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 64
    """Length of z."""
    width: int = 12
    """The generator's channels next to the volume; doubled with every halving."""
    embed_dim: int = 16
    """Length of a condition's vector in the generator."""
    critic_width: int = 12
    """The critic's channels after its first halving; doubled with every further one."""
    minibatch_group: int = 4
    """Neighbouring volumes whose deviation the critic sees as one more channel (1: none)."""


def halvings(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """How often a cube's side halves, and the side that it ends at: 4 to 7.

    Raises:
      UserError: no cube, or a side outside 8 to 128 or that does not halve down far enough.
    """
    side, count = image_shape[0] if len(image_shape) == 4 else 0, 0
    while side % 2 == 0 and side >= 8:
        side, count = side // 2, count + 1
    if (
        image_shape[1:] != (*image_shape[:1] * 2, 1)
        or not 4 <= side <= 7
        or not 1 <= count <= 5
        or image_shape[0] > 128
    ):
        raise UserError(
            f"gan3d: image_shape {tuple(image_shape)}: wanted volumes (n, n, n, 1) whose side is 8 to 128 and"
            " halves down to 4 to 7, such as 16, 32 or 64; genart data build shapes3d makes some"
        )
    return count, side


class Generator(nn.Module):
    """(batch, latent_dim) -> volumes (batch, depth, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c, shape = self.config, self.config.image_shape or ()
        count, side = halvings(shape)

        def active(x: jax.Array, name: str) -> jax.Array:
            norm = nn.BatchNorm(
                not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype, axis_name=self.axis_name, name=name
            )
            return nn.relu(norm(x))

        embed = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")
        x = jnp.concatenate([z.astype(self.dtype), *embed(condition, z.shape[0])], axis=-1)
        features = c.width * 2 ** (count - 1)
        x = nn.Dense(side**3 * features, use_bias=False, kernel_init=lecun, dtype=self.dtype, name="in")(x)
        x = checkpoint_name(active(x.reshape(-1, side, side, side, features), "norm_0"), "stage")
        aux = {"stage_0": x}
        for i in range(1, count):
            x = ConvTranspose(
                features // 2**i, _KERNEL, _STRIDES, use_bias=False, kernel_init=he, dtype=self.dtype, name=f"up_{i}"
            )(x)
            aux[f"stage_{i}"] = x = checkpoint_name(active(x, f"norm_{i}"), "stage")
        # Most of a volume is air, so it begins there: tanh(-1.5) is -0.9.
        air = nn.initializers.constant(-1.5)
        x = ConvTranspose(shape[-1], _KERNEL, _STRIDES, kernel_init=lecun, bias_init=air, dtype=self.dtype, name="out")(
            x
        )
        return jnp.tanh(x).astype(jnp.float32), aux


class Critic(nn.Module):
    """Volumes (batch, depth, height, width, channels) -> scores (batch,), before any sigmoid."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        x, aux = images.astype(self.dtype), {}
        for i in range(halvings(c.image_shape or ())[0]):
            x = Conv(c.critic_width * 2**i, _KERNEL, _STRIDES, kernel_init=he, dtype=self.dtype, name=f"down_{i}")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(nn.leaky_relu(x, 0.2), "stage")
        x = x.astype(jnp.float32)  # a bfloat16 score has three digits
        pooled = jnp.sum(x, axis=(1, 2, 3))
        if c.minibatch_group > 1:
            x = minibatch_deviation(x, c.minibatch_group, self.axis_name, check=train and not self.is_initializing())
        # Without a bias, which would cancel in the differences of scores that both losses are made of.
        score = nn.Dense(1, use_bias=False, kernel_init=he, name="out")(x.reshape(x.shape[0], -1))[:, 0]
        embed = ConditionEmbed(classes_of(c.conditions), pooled.shape[-1], stddev=0.02, name="embed")
        return projected(score, pooled, embed(condition, x.shape[0])), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the volume's shape does not fit, or a number is out of range.
    """
    halvings(config.image_shape or ())
    for name in ("latent_dim", "width", "embed_dim", "critic_width", "minibatch_group"):
        if getattr(config, name) < 1:
            raise UserError(f"gan3d: {name} must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images, group=config.minibatch_group),
    }


_ADAM = Optimizer(learning_rate=1e-3, b1=0.0, b2=0.9, schedule="linear")
_GAN = Gan(loss="relativistic", critic_terms=("r1=4@4", "r2=4@4"), ema_decay=0.995)
_TRAIN = Train(steps=6000, batch=16, sample_every=500, save_every=500)

PRESETS = {
    "default": Run(Config(), _GAN, _ADAM, Data(), _TRAIN),
    "wgan": Run(
        Config(minibatch_group=1),
        Gan(loss="wasserstein", d_steps=5, critic_terms=("gp=10",), ema_decay=0.99),
        _ADAM,
        Data(),
        dataclasses.replace(_TRAIN, steps=1200),
    ),
    "large": Run(
        Config(latent_dim=200, width=64, critic_width=64),
        _GAN,
        dataclasses.replace(_ADAM, learning_rate=5e-4),
        Data(),
        Train(steps=20_000, batch=64, sample_every=2000, save_every=2000, log_every=100),
    ),
    "tiny": Run(
        Config(latent_dim=8, width=4, embed_dim=4, critic_width=4, minibatch_group=2),
        Gan(loss="relativistic", critic_terms=("r1=0.5@2", "r2=0.5@2")),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
