"""Hierarchical VAE: layers of latents from a few pixels to all of them, each given those above.

Child 2021, "Very deep VAEs generalize autoregressive models and can outperform them on images", arXiv:2011.10650: the
encoder goes down through resolutions and keeps what it sees at each; the decoder begins with a learned map and goes up.
At every layer (section 3, figure 3) the prior p(z | above) and the posterior q(z | above, picture) are Gaussians that
blocks of the state, and of the state beside the encoder's map, say; what is drawn is added to the state by a 1x1
convolution. A ladder of this kind is of Sønderby et al. 2016, arXiv:1602.02282.

- Blocks are GELU and convolutions 1x1, 3x3, 3x3, 1x1, narrower inside; the prior's last is 0 at first, and what is
  added in the depth is scaled by the root of their number (section 3.3).
- Log variances are kept between -6 and 6, softly; the paper skips updates with large gradients instead.
- Latents are the layers' standard normal numbers; see `steps.posteriors`.

Presets:

- `default`: `genart train hvae`. Small, for 32 px art on a CPU; mixtures of logistic distributions for 8-bit levels. In
  batches of 8, with 3 mixtures, 2.67 bits a dimension after 6 CPU minutes (benchmarks/results/vaes.md).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, UserError, Vae, classes_of
from genart_jax.nn.conv import Conv
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.gaussian import kl_normals
from genart_jax.nn.pool import avg_pool
from genart_jax.nn.pyramid import halvings
from genart_jax.nn.residual import doubled
from genart_jax.types import Network, Output, untold

Condition = Mapping[str, jax.Array] | None
Maps = tuple[jax.Array, ...]
"""What the encoder sees, (batch, height, width, width), from the smallest resolution."""
_WIDEST = 6.0  # of a log variance


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a hierarchical VAE."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side from 16 to 128, halving down to 4 to 8."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = ()
    """Conditions to give to encoder and decoder; None: all that the data has."""
    width: int = 48
    """Channels of the state."""
    middle: int = 24
    """Channels inside a block."""
    latent_channels: int = 8
    """Channels of a layer's latents."""
    layers: tuple[int, ...] = (3, 3, 2, 1)
    """Layers at each resolution from the smallest; the last number serves all larger ones."""
    blocks: int = 1
    """The encoder's blocks at each resolution."""
    embed_dim: int = 16
    """Length of a condition's vector."""
    outputs: int | None = None
    """Numbers of a pixel that the decoder gives; None: those that the likelihood takes."""


def grid(config: Config) -> list[tuple[tuple[int, int], int]]:
    """((height, width), layers) of each resolution, from the smallest."""
    count, (height, width) = halvings("hvae", config.image_shape or ())
    most = len(config.layers) - 1
    return [((height << i, width << i), config.layers[min(i, most)]) for i in range(count + 1)]


def latent_size(config: Config) -> int:
    """How many numbers all layers' latents are."""
    return sum(height * width * layers for (height, width), layers in grid(config)) * config.latent_channels


class Block(nn.Module):
    """GELU and a convolution, four times: (batch, height, width, channels) -> (batch, height, width, features)."""

    features: int
    middle: int
    dtype: DTypeLike = jnp.float32
    last: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """See the class."""
        for i, side in enumerate((1, 3, 3)):
            x = Conv(self.middle, (side, side), dtype=self.dtype, name=f"conv_{i}")(nn.gelu(x))
        return Conv(self.features, (1, 1), kernel_init=self.last, dtype=self.dtype, name="conv_3")(nn.gelu(x))


def _scaled(count: int) -> Initializer:
    return nn.initializers.variance_scaling(1.0 / count, "fan_in", "truncated_normal")


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> maps, from the smallest resolution."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False
    ) -> tuple[Maps, dict[str, jax.Array]]:
        """Also returns the maps by name."""
        c, resolutions, found = self.config, len(grid(self.config)), list[jax.Array]()
        x = Conv(c.width, (3, 3), dtype=self.dtype, name="in")(images.astype(self.dtype))
        embed = ConditionEmbed(classes_of(c.conditions), c.width, stddev=0.1, dtype=self.dtype, name="embed")
        for vector in embed(condition, x.shape[0]):
            x = x + vector[:, None, None]
        last = _scaled(resolutions * c.blocks)
        for i in reversed(range(resolutions)):
            for j in range(c.blocks):
                x = x + Block(c.width, c.middle, self.dtype, last, name=f"stage_{i}_block_{j}")(x)
            found.append(checkpoint_name(x, "stage"))
            x = avg_pool(x, (2, 2), (2, 2)) if i else x
        return tuple(reversed(found)), {f"stage_{i}": x for i, x in enumerate(reversed(found))}


class Layer(nn.Module):
    """One layer: draws latents, and adds what they and the prior's features say to the state."""

    config: Config
    count: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, noise: jax.Array, seen: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """State (batch, height, width, width), noise (batch, height, width, latent_channels) and the encoder's map, or
        None -> the state, the KL divergence (batch,), log p(z) - log q(z) at what is drawn, and the noise by which the
        prior draws the same.
        """
        c, zero = self.config, nn.initializers.zeros_init()
        bounded = lambda y: _WIDEST * jnp.tanh(y / _WIDEST)
        prior = Block(2 * c.latent_channels + c.width, c.middle, self.dtype, zero, name="prior")(x).astype(jnp.float32)
        at, log_spread = prior[..., : c.latent_channels], bounded(prior[..., c.latent_channels : 2 * c.latent_channels])
        kl = ratio = jnp.zeros(x.shape[0])
        spread = jnp.exp(0.5 * log_spread)
        if seen is None:
            z = at + spread * noise
        else:
            beside = jnp.concatenate([x, seen], axis=-1)
            posterior = Block(2 * c.latent_channels, c.middle, self.dtype, name="posterior")(beside).astype(jnp.float32)
            mean, log_variance = posterior[..., : c.latent_channels], bounded(posterior[..., c.latent_channels :])
            z = mean + jnp.exp(0.5 * log_variance) * noise
            kl = jnp.sum(kl_normals(mean, log_variance, at, log_spread), axis=(1, 2, 3))
            drawn, noise = noise, (z - at) / spread
            lengths = jnp.square(drawn) - jnp.square(noise) + log_variance - log_spread
            ratio = 0.5 * jnp.sum(lengths, axis=(1, 2, 3))
        x = x + prior[..., 2 * c.latent_channels :].astype(self.dtype)
        last = _scaled(self.count)
        x = x + Conv(c.width, (1, 1), kernel_init=last, dtype=self.dtype, name="drawn")(z.astype(self.dtype))
        x = x + Block(c.width, c.middle, self.dtype, last, name="block")(x)
        return x, kl, ratio, noise


class Decoder(nn.Module):
    """Noise (batch, latents) -> numbers of each pixel, as the likelihood takes them: `losses.elbo`.

    With the encoder's maps the layers are drawn from posteriors.
    """

    config: Config
    dtype: DTypeLike = jnp.float32
    layered: bool = True

    @nn.compact
    def __call__(
        self, noise: jax.Array, condition: Condition = None, maps: Maps | None = None, train: bool = False
    ) -> Output:
        """Also returns what `posteriors.LayeredModule` says, and the state after each resolution."""
        c, resolutions, num = self.config, grid(self.config), noise.shape[0]
        count, begin, index = sum(layers for _, layers in resolutions), 0, 0
        (height, width), _ = resolutions[0]
        first = self.param("first", nn.initializers.normal(0.1), (height, width, c.width)).astype(self.dtype)
        x = jnp.broadcast_to(first, (num, *first.shape))
        embed = ConditionEmbed(classes_of(c.conditions), c.embed_dim, dtype=self.dtype, name="embed")
        for i, vector in enumerate(embed(condition, num)):
            x = x + nn.Dense(c.width, use_bias=False, dtype=self.dtype, name=f"told_{i}")(vector)[:, None, None]
        aux: dict[str, jax.Array] = {}
        kls, ratios, drawn = [], [], []
        for i, ((height, width), layers) in enumerate(resolutions):
            x = doubled(x) if i else x
            for _ in range(layers):
                size = height * width * c.latent_channels
                own = noise[:, begin : begin + size].reshape(num, height, width, -1)
                layer = Layer(c, count, self.dtype, name=f"layer_{index}")
                x, kl, ratio, own = layer(x, own, None if maps is None else maps[i])
                kls.append(kl)
                ratios.append(ratio)
                drawn.append(own.reshape(num, -1))
                begin, index = begin + size, index + 1
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        aux |= {"kl": jnp.stack(kls, axis=-1), "log_ratio": sum(ratios, jnp.zeros(num))}
        aux["latents"] = jnp.concatenate(drawn, axis=-1)
        outputs = c.outputs or (c.image_shape or ())[-1]
        return Conv(outputs, (1, 1), dtype=self.dtype, name="out")(nn.gelu(x)).astype(jnp.float32), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a size is not positive.
    """
    c, shape = config, config.image_shape or ()
    sizes = (c.width, c.middle, c.latent_channels, c.blocks, c.embed_dim, *c.layers)
    if min(sizes) < 1 or not c.layers:
        raise UserError("hvae: width, middle, latent_channels, layers, blocks and embed_dim must be at least 1")
    resolutions, told = grid(c), classes_of(c.conditions)
    images = lambda: (jnp.zeros((2, *shape)), untold(told))
    maps = lambda: tuple(jnp.zeros((2, *place, c.width), dtype) for place, _ in resolutions)
    noise = lambda: (jnp.zeros((2, latent_size(c))), untold(told), maps())
    return {"encoder": Network(Encoder(c, dtype), images), "decoder": Network(Decoder(c, dtype), noise)}


PRESETS = {
    "default": Run(
        Config(),
        Vae(likelihood="logistic_mixture", ema_decay=0.999),
        Optimizer(learning_rate=1e-3, warmup_steps=100, clip_norm=200.0),
        Data(),
        Train(steps=3000, batch=32, sample_every=500, save_every=500),
    ),
    "tiny": Run(
        Config(width=8, middle=4, latent_channels=2, layers=(1,), embed_dim=4),
        Vae(likelihood="logistic_mixture", mixtures=2),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
