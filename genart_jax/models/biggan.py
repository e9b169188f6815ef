"""BigGAN: a class-conditional GAN made to be large.

Brock, Donahue & Simonyan 2019, "Large scale GAN training for high fidelity natural image synthesis", arXiv:1809.11096.
On the networks of SAGAN (spectral normalisation in both, hinge loss, self-attention, projection critic):

- one embedding of the classes, shared by all layers, from which each BatchNorm takes its scale and shift by a linear
  map (section 3.1, "shared embedding");
- z in equal pieces, one for the first layer and one for each block, beside the embedding ("skip-z", a hierarchical
  latent space; appendix B, figure 15);
- orthogonal initialisation of all layers (embeddings are normal here), two critic updates a step, Adam(5e-5, b1 = 0,
  b2 = 0.999) and 2e-4 for the critic;
- orthogonal regularisation of the generator, |W'W (1 - I)|^2 (eq. 3): `step.generator-terms orthogonal=1e-4`. Its
  factor here is of the square itself, and it takes in the embedding, which the authors leave out;
- truncation when sampling: entries of z that are too large are drawn again (section 3.1).

Where there are several conditions, the shared vector is the sum of each one's, and the critic has a projection for
each. At 128x128 with 96 channels and 1,000 classes there are as many parameters as in the published networks,
70,433,988 and 87,982,370, less the biases that `nn.residual` leaves out, and vectors for a hidden condition.

Presets:

- `default`: `genart train biggan`. Small networks and larger steps. 13 CPU minutes; on the art set a
  Frechet distance over lite0 of 130 (seed 0; benchmarks/results/gallery.md), where its floor is 13.
- `paper`: `genart train biggan --preset paper`. The published networks and rates for 128x128. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Gan, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn import spectral
from genart_jax.nn.attention import SelfAttention
from genart_jax.nn.embed import ConditionEmbed, projected
from genart_jax.nn.pyramid import growth, halvings
from genart_jax.nn.residual import Blocks, Condition, standardised
from genart_jax.types import Network, Output, untold

orthogonal = nn.initializers.orthogonal()


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a BigGAN."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 120
    """Length of z: a multiple of the number of halvings and one."""
    width: int = 96
    """Channels next to the image in both networks; doubled with every halving, up to 16 times."""
    embed_dim: int = 128
    """Length of the shared embedding."""
    attention: int = 1
    """Halvings between the picture and the maps that attend to themselves."""
    gamma: float = 0.0
    """The share gamma with which attention enters at first; published: 0."""


def blocks_of(dtype: DTypeLike, axis_name: str | None) -> Blocks:
    """Normalised residual blocks, orthogonal at first."""
    return Blocks(True, dtype, axis_name, lambda side: orthogonal)


class SharedNorm(nn.Module):
    """BatchNorm whose scale and shift are linear in a vector: 1 + W_s v and W_b v, with normalised weights."""

    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, vector: jax.Array, train: bool) -> jax.Array:
        """(batch, H, W, C) and (batch, features) -> (batch, H, W, C)."""
        linear = lambda name: spectral.Dense(
            x.shape[-1], use_bias=False, kernel_init=orthogonal, dtype=self.dtype, axis_name=self.axis_name, name=name
        )(vector)[:, None, None]
        return standardised(x, train, self.dtype, self.axis_name) * (1.0 + linear("scale")) + linear("shift")


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage, and the attention's weights (batch, places, places)."""
        c, shape, blocks = self.config, self.config.image_shape or (), blocks_of(self.dtype, self.axis_name)
        count, (height, width) = halvings("biggan", shape)
        features = [c.width * g for g in reversed(growth(count))]
        first, *pieces = jnp.split(z.astype(self.dtype), count + 1, axis=-1)
        embed = ConditionEmbed(
            classes_of(c.conditions), c.embed_dim, stddev=1 / math.sqrt(c.embed_dim), dtype=self.dtype, name="embed"
        )
        shared = sum(
            embed(condition, z.shape[0]), jnp.zeros((z.shape[0], c.embed_dim if c.conditions else 0), self.dtype)
        )
        x = spectral.Dense(
            height * width * features[0], kernel_init=orthogonal, dtype=self.dtype, axis_name=self.axis_name, name="in"
        )(first)
        x = checkpoint_name(x.reshape(-1, height, width, features[0]), "stage")
        aux = {"stage_0": x}
        for i, (piece, size) in enumerate(zip(pieces, features[1:], strict=True)):
            vector = jnp.concatenate([piece, shared], axis=-1)

            def active(x: jax.Array, name: str, vector: jax.Array = vector) -> jax.Array:
                return nn.relu(SharedNorm(self.dtype, self.axis_name, name=name)(x, vector, train))

            x = blocks.up(x, size, f"block_{i}", active)
            if i + 1 == count - c.attention:
                x, aux["attention"] = SelfAttention(blocks.conv, 8, 2, c.gamma, pool=True, name="attention")(x)
            aux[f"stage_{i + 1}"] = x = checkpoint_name(x, "stage")
        x = nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype, axis_name=self.axis_name,
            name="norm",
        )(x)  # fmt: skip
        x = blocks.conv(nn.relu(x), shape[-1], 3, "out")
        return jnp.tanh(x).astype(jnp.float32), aux

    def truncated(self, z: jax.Array, truncation: float | jax.Array) -> jax.Array:
        """Normal latents -> normal ones within a threshold, which holds the share `truncation` of the normal's mass.

        The distribution is that of drawing again what lies outside (section 3.1): 0.95 is a threshold of 2, 0.68 of 1,
        0.38 of 0.5, and 1 none. The same z moves steadily with the share, and keeps its order: it is drawn by its rank.
        """
        within = math.sqrt(2) * jax.scipy.special.erfinv(truncation * jax.scipy.special.erf(z / math.sqrt(2)))
        return jnp.where(jnp.asarray(truncation) == 1, z, within)


class Critic(nn.Module):
    """Images (batch, height, width, channels) -> scores (batch,)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each block, and the attention's weights (batch, places, places)."""
        c, blocks = self.config, blocks_of(self.dtype, self.axis_name)
        count, _ = halvings("biggan", c.image_shape or ())
        x, aux = images.astype(self.dtype), {}
        for i, times in enumerate(growth(count)):
            x = blocks.down(x, c.width * times, f"block_{i}", halve=i < count, first=i == 0)
            if i + 1 == c.attention:
                x, aux["attention"] = SelfAttention(blocks.conv, 8, 2, c.gamma, pool=True, name="attention")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        pooled = jnp.sum(nn.relu(x), axis=(1, 2), dtype=jnp.float32)
        score = spectral.Dense(1, kernel_init=orthogonal, axis_name=self.axis_name, name="out")(pooled)[:, 0]
        embed = spectral.ConditionEmbed(
            classes_of(c.conditions), pooled.shape[-1], stddev=0.1, axis_name=self.axis_name, name="embed"
        )
        return projected(score, pooled, embed(condition, images.shape[0])), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape, the length of z or the attention's place does not fit.
    """
    count, _ = halvings("biggan", config.image_shape or ())
    if min(config.latent_dim, config.width, config.embed_dim) < 1:
        raise UserError("biggan: latent_dim, width and embed_dim must be at least 1")
    if config.latent_dim % (count + 1):
        near = max(1, round(config.latent_dim / (count + 1))) * (count + 1)
        raise UserError(
            f"biggan: latent_dim {config.latent_dim}: z is cut in {count + 1} equal pieces at {config.image_shape};"
            f" set model.latent-dim to {near}"
        )
    if not 1 <= config.attention < count:
        raise UserError(f"biggan: attention {config.attention}: wanted 1 to {count - 1}")
    latents = lambda: (jnp.zeros((2, config.latent_dim)), untold(config.conditions))
    images = lambda: (jnp.zeros((2, *(config.image_shape or ()))), untold(config.conditions))
    return {
        "generator": Network(Generator(config, dtype, axis_name), latents),
        "critic": Network(Critic(config, dtype, axis_name), images),
    }


_ADAM = Optimizer(learning_rate=5e-5, b1=0.0, b2=0.999)
_GAN = Gan(loss="hinge", d_steps=2, critic_learning_rate=2e-4, ema_decay=0.9999, generator_terms=("orthogonal=1e-4",))

PRESETS = {
    "default": Run(
        Config(width=16, latent_dim=80, embed_dim=32),
        dataclasses.replace(_GAN, critic_learning_rate=1e-3, ema_decay=0.99),
        dataclasses.replace(_ADAM, learning_rate=2.5e-4, schedule="linear"),
        Data(),
        Train(steps=2000, batch=32, sample_every=500, save_every=500),
    ),
    "paper": Run(
        Config(),
        _GAN,
        _ADAM,
        Data(),
        Train(steps=200_000, batch=2048, sample_every=1000, save_every=1000, log_every=100),
    ),
    "tiny": Run(
        Config(latent_dim=12, width=4, embed_dim=4, gamma=1.0),
        dataclasses.replace(_GAN, d_steps=1, generator_terms=("orthogonal=0.001",)),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
