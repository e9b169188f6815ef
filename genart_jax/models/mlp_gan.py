"""The first GAN: two multilayer perceptrons on flattened pictures.

Goodfellow et al. 2014, "Generative adversarial networks", arXiv:1406.2661: the game of eq. 1 with k updates a player
(algorithm 1). The layout is that of the first tutorials: three leaky ReLU layers of 128 in each network, z of 100
normal numbers, Adam(2e-4, b1 = 0.5). As nothing knows of rows and columns, pictures may have any rank: volumes, clips
or vectors as well.

Conditions stand beside z and beside the pixels (Mirza & Osindero 2014, arXiv:1411.1784, eq. 2). Each may be hidden.

Presets:

- `default`: `genart train mlp_gan`. Five updates of each player a step, and R1 (Mescheder et al. 2018, eq. 9). Three
  CPU minutes; grainy pictures of many shapes and colours, at a Frechet distance over lite0 of 219 to the art set (seed
  0; benchmarks/results/gallery.md), where its floor is 13.
- `plain`: `genart train mlp_gan --preset plain`. Without it, as in the tutorials: on the art set the critic's loss is
  below 0.01 after 500 steps, and the pictures are noise.
- `pixel`: `genart train mlp_gan --preset pixel`. The same with the pixel MSE between the two batches, which pulls
  pictures towards the mean picture of their condition (`losses.terms.pixel_mse`).
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

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a GAN of multilayer perceptrons."""

    image_shape: tuple[int, ...] | None = None
    """Any number of axes, such as (height, width, channels)."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 100
    """Length of z."""
    hidden: tuple[int, ...] = (128, 128, 128)
    """Widths of the generator's hidden layers, and of the critic's."""
    slope: float = 0.2
    """Of the leaky ReLU below 0."""
    embed_dim: int = 16
    """Length of a condition's vector."""


class Perceptron(nn.Module):
    """(batch, features) and conditions -> (batch, outputs) in float32."""

    config: Config
    outputs: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition) -> Output:
        """Also returns the activations of each hidden layer."""
        c, init = self.config, nn.initializers.he_normal()
        embed = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")
        x = jnp.concatenate([x.astype(self.dtype), *embed(condition, x.shape[0])], axis=-1)
        aux = {}
        for i, size in enumerate(c.hidden):
            x = nn.Dense(size, kernel_init=init, dtype=self.dtype, name=f"hidden_{i}")(x)
            aux[f"stage_{i}"] = x = nn.leaky_relu(x, c.slope)
        return nn.Dense(self.outputs, name="out")(x.astype(jnp.float32)), aux


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, *image_shape) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each hidden layer."""
        shape = self.config.image_shape or ()
        pixels, aux = Perceptron(self.config, math.prod(shape), self.dtype, name="layers")(z, condition)
        return jnp.tanh(pixels).reshape(-1, *shape), aux


class Critic(nn.Module):
    """Images (batch, *image_shape) -> scores (batch,), before any sigmoid."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each hidden layer."""
        pixels = images.reshape(images.shape[0], -1)
        scores, aux = Perceptron(self.config, 1, self.dtype, name="layers")(pixels, condition)
        return scores[:, 0], aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size below 1.
    """
    if min((config.latent_dim, config.embed_dim, *config.hidden, *(config.image_shape or ()))) < 1:
        raise UserError("mlp_gan: image_shape, latent_dim, hidden and embed_dim must be at least 1")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {"generator": Network(Generator(config, dtype), latents), "critic": Network(Critic(config, dtype), images)}


_ADAM = Optimizer(learning_rate=2e-4, b1=0.5)
_GAN = Gan(d_steps=5, g_steps=5, r1_gamma=1.0, r1_every=4, ema_decay=0.998)
_TRAIN = Train(steps=2000, batch=64, sample_every=500, save_every=500, steps_per_dispatch=10)

PRESETS = {
    "default": Run(Config(), _GAN, _ADAM, Data(), _TRAIN),
    "plain": Run(Config(), dataclasses.replace(_GAN, r1_gamma=0.0), _ADAM, Data(), _TRAIN),
    "pixel": Run(Config(), dataclasses.replace(_GAN, generator_terms=("pixel_mse=1",)), _ADAM, Data(), _TRAIN),
    "tiny": Run(
        Config(latent_dim=8, hidden=(8, 8, 8), embed_dim=4),
        Gan(d_steps=2, g_steps=2, generator_terms=("pixel_mse=1",)),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
