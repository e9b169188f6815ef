"""A KL autoencoder, in the layout of those that latent diffusion models work in.

Rombach, Blattmann, Lorenz, Esser & Ommer 2022, "High-resolution image synthesis with latent diffusion models",
arXiv:2112.10752, section 3.1 and appendix G: the convolutional encoder and decoder of VQGAN (Esser et al. 2021,
arXiv:2012.09841, table 7) with a Gaussian posterior for each place of the code instead of a codebook.

- Stages of residual blocks (GroupNorm, SiLU, 3x3, twice); a stage but the last halves by a 3x3 convolution of stride 2,
  whose padding is on the lower and right side, or doubles by nearest neighbour and a 3x3 convolution.
- The middle has one head of self-attention over all places, between two residual blocks.
- A code is (height / 2^k, width / 2^k, latent_channels), k being the number of stages less one. Latent models take it
  times a factor that makes its deviation 1; of Stable Diffusion's first networks that is 0.18215.

Published weights of this layout (`sd-vae-ft-mse` and its like) are read from their `.safetensors`; see docs/latents.md.
It is trained by the bound alone here: the published ones had a perceptual loss and a critic besides.

Presets:

- `default`: `genart train kl_autoencoder`. Small, for 32 px art on a CPU. Not measured here.
- `stable-diffusion`: the published sizes, for 256 px and a GPU. Not measured here.
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

from genart_jax.config import Data, Optimizer, Run, Train, UserError, Vae
from genart_jax.nn.conv import Conv
from genart_jax.nn.residual import doubled
from genart_jax.types import Network, Output

Condition = Mapping[str, jax.Array] | None
Posterior = tuple[tuple[jax.Array, jax.Array], dict[str, jax.Array]]
"""Mean and log variance, (batch, *grid, latent_channels) each; and named intermediates."""
LOWER_RIGHT = ((0, 1), (0, 1))
_EPSILON = 1e-6
_LOWEST, _HIGHEST = -30.0, 20.0  # of a log variance


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a KL autoencoder."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side a multiple of 2 to the power of the stages less one."""
    widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels of each stage, the largest pictures first."""
    blocks: int = 2
    """Residual blocks of a stage of the encoder; the decoder has one more."""
    latent_channels: int = 4
    """Channels of a code."""
    groups: int = 32
    """Groups of each normalisation; divides every width."""
    outputs: int | None = None
    """Numbers of a pixel that the decoder gives; None: those that the likelihood takes."""


class Block(nn.Module):
    """Two of GroupNorm, SiLU and a 3x3 convolution, added to the input, by way of a 1x1 one where the width changes."""

    width: int
    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same, `width` channels."""
        y = x
        for i in range(2):
            y = nn.silu(nn.GroupNorm(self.groups, epsilon=_EPSILON, dtype=self.dtype, name=f"norm_{i}")(y))
            y = Conv(self.width, (3, 3), dtype=self.dtype, name=f"conv_{i}")(y)
        if x.shape[-1] != self.width:
            x = Conv(self.width, (1, 1), dtype=self.dtype, name="shortcut")(x)
        return x + y


class Attention(nn.Module):
    """x + W_o softmax(q k' / sqrt(channels)) v over all places, of the normalised x; one head."""

    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same."""
        batch, *_, size = x.shape
        y = nn.GroupNorm(self.groups, epsilon=_EPSILON, dtype=self.dtype, name="norm")(x).reshape(batch, -1, size)
        # A bias of the keys adds the same to all products of a query, so the softmax does not see it.
        query, key, value = (
            nn.Dense(size, use_bias=name != "key", dtype=self.dtype, name=name)(y) for name in ("query", "key", "value")
        )
        products = jnp.einsum("bic,bjc->bij", query * size**-0.5, key).astype(jnp.float32)
        y = jnp.einsum("bij,bjc->bic", nn.softmax(products, axis=-1).astype(value.dtype), value)
        return x + nn.Dense(size, dtype=self.dtype, name="out")(y).reshape(x.shape)


class Middle(nn.Module):
    """A block, self-attention, and a block."""

    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same."""
        x = Block(x.shape[-1], self.groups, self.dtype, name="block_0")(x)
        x = Attention(self.groups, self.dtype, name="attention")(x)
        return Block(x.shape[-1], self.groups, self.dtype, name="block_1")(x)


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> mean and log variance of the code at each place.

    Any size whose sides divide, not only the Config's.
    """

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Posterior:
        """Also returns the activations of each stage."""
        c, aux = self.config, dict[str, jax.Array]()
        x = Conv(c.widths[0], (3, 3), dtype=self.dtype, name="in")(images.astype(self.dtype))
        for i, width in enumerate(c.widths):
            for j in range(c.blocks):
                x = Block(width, c.groups, self.dtype, name=f"stage_{i}_block_{j}")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
            if i + 1 < len(c.widths):
                x = Conv(width, (3, 3), (2, 2), LOWER_RIGHT, dtype=self.dtype, name=f"stage_{i}_down")(x)
        x = Middle(c.groups, self.dtype, name="middle")(x)
        x = nn.silu(nn.GroupNorm(c.groups, epsilon=_EPSILON, dtype=self.dtype, name="norm")(x)).astype(jnp.float32)
        x = Conv(2 * c.latent_channels, (3, 3), name="out")(x)
        x = Conv(2 * c.latent_channels, (1, 1), name="moments")(x)
        mean, log_variance = jnp.split(x, 2, axis=-1)
        return (mean, jnp.clip(log_variance, _LOWEST, _HIGHEST)), aux


class Decoder(nn.Module):
    """Codes (batch, *grid, latent_channels) -> images (batch, height, width, channels), about in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c, aux = self.config, dict[str, jax.Array]()
        x = Conv(c.latent_channels, (1, 1), dtype=self.dtype, name="codes")(z.astype(self.dtype))
        x = Conv(c.widths[-1], (3, 3), dtype=self.dtype, name="in")(x)
        x = Middle(c.groups, self.dtype, name="middle")(x)
        for i, width in enumerate(reversed(c.widths)):
            if i:
                x = Conv(x.shape[-1], (3, 3), dtype=self.dtype, name=f"stage_{i - 1}_up")(doubled(x))
            for j in range(c.blocks + 1):
                x = Block(width, c.groups, self.dtype, name=f"stage_{i}_block_{j}")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = nn.silu(nn.GroupNorm(c.groups, epsilon=_EPSILON, dtype=self.dtype, name="norm")(x)).astype(jnp.float32)
        return Conv(c.outputs or (c.image_shape or ())[-1], (3, 3), name="out")(x), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a size is not positive.
    """
    c, shape = config, config.image_shape or ()
    if not c.widths or min(*c.widths, c.blocks, c.latent_channels, c.groups) < 1:
        raise UserError("kl_autoencoder: widths, blocks, latent_channels and groups must be at least 1")
    if wrong := [width for width in c.widths if width % c.groups]:
        raise UserError(f"kl_autoencoder: {wrong[0]} channels do not make {c.groups} groups; set model.groups")
    times = 2 ** (len(c.widths) - 1)
    if len(shape) != 3 or shape[0] % times or shape[1] % times:
        raise UserError(f"kl_autoencoder: image_shape {shape}: sides must be multiples of {times}")
    codes = (2, shape[0] // times, shape[1] // times, c.latent_channels)
    return {
        "encoder": Network(Encoder(c, dtype), (jnp.zeros((2, *shape)),)),
        "decoder": Network(Decoder(c, dtype), (jnp.zeros(codes),)),
    }


PRESETS = {
    "default": Run(
        Config(widths=(32, 64, 64), groups=8, blocks=1),
        Vae(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=3000, batch=32, sample_every=500, save_every=500),
    ),
    "stable-diffusion": Run(
        Config(image_shape=(256, 256, 3)),
        Vae(beta=1e-6, scale="fixed", fixed_scale=1.0),
        Optimizer(learning_rate=4.5e-6, b1=0.5, b2=0.9),
        Data(source="folder:art", image_size=(256,)),
        Train(steps=500_000, batch=12, sample_every=5000, save_every=5000, log_every=100),
    ),
    "tiny": Run(
        Config(widths=(4, 8), groups=2, blocks=1, latent_channels=2),
        Vae(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
