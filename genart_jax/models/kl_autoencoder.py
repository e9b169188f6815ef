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

- `default`: `genart train kl_autoencoder`. Small, for 32 px art on a CPU. With 1,500 steps of 16, 6.71 bits
  a dimension and 22.9 dB (benchmarks/results/vaes.md).
- `stable-diffusion`: the published sizes, for 256 px and a GPU. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, Vae
from genart_jax.nn.autoencoder import check, down, up
from genart_jax.nn.conv import Conv
from genart_jax.types import Network, Output

Condition = Mapping[str, jax.Array] | None
Posterior = tuple[tuple[jax.Array, jax.Array], dict[str, jax.Array]]
"""Mean and log variance, (batch, *grid, latent_channels) each; and named intermediates."""
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


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> mean and log variance of the code at each place.

    Any size whose sides divide, not only the Config's.
    """

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Posterior:
        """Also returns the activations of each stage."""
        c = self.config
        x, aux = down(images, c.widths, c.blocks, c.groups, self.dtype)
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
        c = self.config
        x = Conv(c.latent_channels, (1, 1), dtype=self.dtype, name="codes")(z.astype(self.dtype))
        return up(x, c.widths, c.blocks, c.groups, c.outputs or (c.image_shape or ())[-1], self.dtype)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or a size is not positive.
    """
    c, shape = config, config.image_shape or ()
    place = check("kl_autoencoder", shape, c.widths, c.groups, c.blocks, c.latent_channels)
    codes = (2, *place, c.latent_channels)
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
