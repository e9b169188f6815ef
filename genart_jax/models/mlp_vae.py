"""Variational autoencoder of fully connected layers, the first that was published.

Kingma & Welling 2013, "Auto-encoding variational Bayes", arXiv:1312.6114, appendix C: encoder and decoder have one
hidden layer with tanh each (C.2 for the encoder's mean and log variance, C.1 for the decoder's Bernoulli). As there,
pictures are taken as probabilities in [0, 1]. The parameters start as Flax's do and Adam trains them, where the paper
has N(0, 0.01) and Adagrad.

Presets, named by the units of the hidden layer and of z, with what benchmarks/results/applied.md measured (two
seeds):

- `default`: `genart train mlp_vae`. 400-20, which on 28x28 grey pictures is the 784-400-20 of many tutorials. A
  Frechet distance over lite0 of 213 to the art set, where its floor is 13.
- `400-32`: `genart train mlp_vae --preset 400-32`. With a mixture of logistics, 3,000 steps: 3.83 bits a dimension and
  a distance of 249 by 1,000 pictures (benchmarks/results/vaes.md, which also has `12288-400-32` on faces).
- `12288-400-32`: `genart train mlp_vae --preset 12288-400-32`, for 64x64 in colour, after `genart data build
  emoji:64`.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, UserError, Vae, classes_of
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
Posterior = tuple[tuple[jax.Array, jax.Array], dict[str, jax.Array]]
"""Mean and log variance, (batch, latent_dim) each; and named intermediates."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a fully connected VAE."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), of any size; of volumes and videos with depth or frames in front."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = ()
    """Conditions to give to encoder and decoder; None: all that the data has."""
    latent_dim: int = 20
    """Length of z."""
    hidden: int = 400
    """Units of the hidden layer of the encoder, and of the decoder."""
    embed_dim: int = 16
    """Length of a condition's vector."""
    outputs: int | None = None
    """Numbers of a pixel that the decoder gives; None: those that the likelihood takes."""


class Encoder(nn.Module):
    """Images (batch, ..., channels) in [-1, 1] -> mean and log variance of z, (batch, latent_dim) each."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Posterior:
        """Also returns the hidden layer."""
        c = self.config
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, images.shape[0]
        )
        x = jnp.concatenate([images.astype(self.dtype).reshape(images.shape[0], -1), *embedded], axis=-1)
        x = nn.tanh(nn.Dense(c.hidden, dtype=self.dtype, name="hidden")(x))
        mean, log_variance = jnp.split(nn.Dense(2 * c.latent_dim, name="out")(x.astype(jnp.float32)), 2, axis=-1)
        return (mean, log_variance), {"hidden": x}


class Decoder(nn.Module):
    """(batch, latent_dim) -> numbers of each pixel, as the likelihood takes them: `losses.elbo`."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the hidden layer."""
        c = self.config
        shape = c.image_shape or ()
        embedded = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")(
            condition, z.shape[0]
        )
        x = jnp.concatenate([z.astype(self.dtype), *embedded], axis=-1)
        x = hidden = nn.tanh(nn.Dense(c.hidden, dtype=self.dtype, name="hidden")(x))
        shape = (*shape[:-1], c.outputs or shape[-1])
        x = nn.Dense(math.prod(shape), dtype=self.dtype, name="out")(x)
        return x.reshape(-1, *shape).astype(jnp.float32), {"hidden": hidden}


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image has no three or four axes.
    """
    shape = config.image_shape or ()
    if len(shape) not in (3, 4):
        wanted = "(height, width, channels), for volumes and videos with depth or frames in front"
        raise UserError(f"mlp_vae: image_shape {shape}: wanted {wanted}")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *shape)), untold(config.conditions))
    return {"encoder": Network(Encoder(config, dtype), images), "decoder": Network(Decoder(config, dtype), latents)}


_VAE = Vae(likelihood="bernoulli")
_ADAM = Optimizer(learning_rate=1e-3)
# In groups, to spare the host's part of each step: it is small, and so are the steps.
_TRAIN = Train(steps=5000, batch=128, save_every=1000, log_every=100, steps_per_dispatch=10)

PRESETS = {
    "default": Run(Config(), _VAE, _ADAM, Data(), _TRAIN),
    "400-32": Run(Config(latent_dim=32), _VAE, _ADAM, Data(), _TRAIN),
    "12288-400-32": Run(Config(latent_dim=32), _VAE, _ADAM, Data(source="emoji:64"), _TRAIN),
    "tiny": Run(
        Config(latent_dim=4, hidden=16, embed_dim=4),
        _VAE,
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
