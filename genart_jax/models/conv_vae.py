"""Convolutional variational autoencoder.

Kingma & Welling 2013, "Auto-encoding variational Bayes", arXiv:1312.6114: the encoder gives the mean and log variance
of q(z|x) (eq. 9), the decoder the parameters of p(x|z), and z = mean + deviation * noise (eq. 4). Encoder and decoder
are strided convolutions of kernel 4x4, doubled in channels with every halving, around one dense layer each. With
`blocks`, residual blocks (He et al. 2016, arXiv:1603.05027, ReLU before each convolution) stand at each resolution.
Of volumes, all convolutions are in three dimensions.

Presets, with what benchmarks/results/quality.md measured (two seeds, 2 CPU cores):

- `default`: `genart train conv_vae`. 10 minutes on a busy machine; 7.69 bits a dimension on the art set's test split,
  by the evidence lower bound.
- `residual`: `genart train conv_vae --preset residual`. One residual block at each resolution, and mixtures of logistic
  distributions for 8-bit levels. 3 minutes on one CPU core; 2.98 bits a dimension (benchmarks/results/vaes.md).
- `volumes`: `genart train conv_vae --preset volumes --data shapes3d`. Solid or not, by a Bernoulli likelihood, given
  the classes; `genart evaluate` gives the IoU of reconstructions: 0.89 (two seeds;
  benchmarks/results/volumes.md).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, UserError, Vae, classes_of
from genart_jax.nn.conv import Conv, ConvTranspose
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
Posterior = tuple[tuple[jax.Array, jax.Array], dict[str, jax.Array]]
"""Mean and log variance, (batch, latent_dim) each; and named intermediates."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a convolutional VAE."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), of volumes with the depth in front; each side a multiple of 2 to the power of
    `stages`."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = ()
    """Conditions to give to encoder and decoder; None: all that the data has."""
    latent_dim: int = 64
    """Length of z."""
    width: int = 32
    """Channels of the first stage."""
    stages: int = 2
    """Halvings of the image."""
    hidden: int = 256
    """Units of the dense layers."""
    embed_dim: int = 16
    """Length of a condition's vector."""
    blocks: int = 0
    """Residual blocks after each halving, and before each doubling."""
    outputs: int | None = None
    """Numbers of a pixel that the decoder gives; None: those that the likelihood takes."""


class Residual(nn.Module):
    """Blocks of ReLU, 3x3, ReLU, 3x3, each added to its input; a ReLU at the end."""

    blocks: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same."""
        for i in range(self.blocks):
            sides = (3,) * (x.ndim - 2)
            y = Conv(x.shape[-1], sides, dtype=self.dtype, name=f"block_{i}_0")(nn.relu(x))
            x = x + Conv(x.shape[-1], sides, dtype=self.dtype, name=f"block_{i}_1")(nn.relu(y))
        return nn.relu(x)


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> mean and log variance of z, (batch, latent_dim) each."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Posterior:
        """Also returns the activations of each stage."""
        c = self.config
        x, aux = images.astype(self.dtype), {}
        kernel, strides = ((n,) * (x.ndim - 2) for n in (4, 2))
        for i in range(c.stages):
            x = nn.relu(Conv(c.width * 2**i, kernel, strides, dtype=self.dtype, name=f"down_{i}")(x))
            x = Residual(c.blocks, self.dtype, name=f"residual_{i}")(x) if c.blocks else x
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, x.shape[0]
        )
        x = jnp.concatenate([x.reshape(x.shape[0], -1), *embedded], axis=-1)
        x = nn.relu(nn.Dense(c.hidden, dtype=self.dtype, name="hidden")(x))
        mean, log_variance = jnp.split(nn.Dense(2 * c.latent_dim, name="out")(x.astype(jnp.float32)), 2, axis=-1)
        return (mean, log_variance), aux


class Decoder(nn.Module):
    """(batch, latent_dim) -> numbers of each pixel, as the likelihood takes them: `losses.elbo`."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        *sides, channels = c.image_shape or ()
        shape = *(side // 2**c.stages for side in sides), c.width * 2 ** (c.stages - 1)
        kernel, strides = ((n,) * len(sides) for n in (4, 2))
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, z.shape[0]
        )
        x = jnp.concatenate([z.astype(self.dtype), *embedded], axis=-1)
        x = nn.relu(nn.Dense(c.hidden, dtype=self.dtype, name="hidden")(x))
        x = nn.relu(nn.Dense(math.prod(shape), dtype=self.dtype, name="in")(x)).reshape(-1, *shape)
        x = Residual(c.blocks, self.dtype, name="residual_0")(x) if c.blocks else x
        x = checkpoint_name(x, "stage")
        aux = {"stage_0": x}
        for i in range(1, c.stages):
            features = c.width * 2 ** (c.stages - 1 - i)
            x = nn.relu(ConvTranspose(features, kernel, strides, dtype=self.dtype, name=f"up_{i}")(x))
            x = Residual(c.blocks, self.dtype, name=f"residual_{i}")(x) if c.blocks else x
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = ConvTranspose(c.outputs or channels, kernel, strides, dtype=self.dtype, name="out")(x)
        return x.astype(jnp.float32), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit.
    """
    shape = config.image_shape or ()
    sizes = config.latent_dim, config.width, config.stages, config.hidden, config.embed_dim, config.blocks + 1
    if min(sizes) < 1:
        raise UserError(
            "conv_vae: latent_dim, width, stages, hidden and embed_dim must be at least 1, blocks 0 or more"
        )
    if len(shape) not in (3, 4) or any(side % 2**config.stages for side in shape[:-1]):
        raise UserError(f"conv_vae: image_shape {shape}: sides must be multiples of {2**config.stages} (2 ** stages)")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *shape)), untold(config.conditions))
    return {"encoder": Network(Encoder(config, dtype), images), "decoder": Network(Decoder(config, dtype), latents)}


_ADAM = Optimizer(learning_rate=1e-3)

PRESETS = {
    "default": Run(Config(), Vae(), _ADAM, Data(), Train(steps=3000, batch=128, save_every=1000, log_every=100)),
    "residual": Run(
        Config(blocks=1),
        Vae(likelihood="logistic_mixture", mixtures=3),
        Optimizer(learning_rate=1e-3, warmup_steps=100, clip_norm=200.0),
        Data(),
        Train(steps=4000, batch=16, save_every=1000, log_every=100),
    ),
    "volumes": Run(
        Config(width=16, stages=3, conditions=None),
        Vae(likelihood="bernoulli"),
        _ADAM,
        Data(),
        Train(steps=2000, batch=32, save_every=500, log_every=50),
    ),
    "tiny": Run(
        Config(latent_dim=4, width=4, hidden=16, embed_dim=4),
        Vae(),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
