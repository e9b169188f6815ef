"""VQGAN: a vector-quantised autoencoder that a critic of patches and frozen features judge besides.

Esser, Rombach & Ommer 2021, "Taming transformers for high-resolution image synthesis", arXiv:2012.09841: section 3.1
for the losses, eq. 7 for the critic's adaptive weight, table 7 for encoder and decoder (see `nn.autoencoder`). The
codebook follows by moving averages, as that of `vqvae`; the critic's kernels are spectrally normalised instead of
BatchNorm, and the features are those of `nn.judges` instead of LPIPS.

This is the first stage: it draws nothing by itself. `code_prior` is trained on its run.

Presets:

- `default`: `genart train vqgan`, after `genart assets fetch vgg19`. Small, for 32 px art on a CPU. After
  2,000 steps of 16 with `--step.critic-start 200`: 13 CPU minutes, 18.0 dB of test icons (benchmarks/results/vaes.md).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, UserError, VqGan
from genart_jax.nn.autoencoder import Judged, check, down, up
from genart_jax.nn.conv import Conv
from genart_jax.nn.judges import judges
from genart_jax.nn.quantize import VectorQuantizer
from genart_jax.types import Network, Output

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config(Judged):
    """Architecture of a VQGAN."""

    codes: int = 256
    """Vectors in the codebook."""
    code_dim: int = 32
    """Length of a code's vector."""
    decay: float = 0.99
    """Decay of the codebook's moving averages."""
    revive_below: float = 0.03
    """Codes taken less often than this share of an even use are set to an encoding of the batch (0: never)."""


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> vectors (batch, *grid, code_dim)."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        x, aux = down(images, c.widths, c.blocks, c.groups, self.dtype)
        return Conv(c.code_dim, (3, 3), name="out")(x), aux


class Decoder(nn.Module):
    """Vectors (batch, *grid, code_dim) -> images (batch, height, width, channels), about in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        return up(z.astype(self.dtype), c.widths, c.blocks, c.groups, (c.image_shape or ())[-1], self.dtype)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or an option is out of range.
    """
    c, shape = config, config.image_shape or ()
    sizes = c.blocks, c.codes, c.code_dim, c.critic_width, c.critic_depth
    place = check("vqgan", shape, c.widths, c.groups, *sizes)
    if not 0 <= c.decay < 1 or not 0 <= c.revive_below < 1:
        raise UserError("vqgan: decay and revive_below must be 0 to below 1")
    vectors = lambda: (jnp.zeros((2, *place, c.code_dim)),)
    return {
        "encoder": Network(Encoder(c, dtype), lambda: (jnp.zeros((2, *shape)),)),
        "quantizer": Network(VectorQuantizer(c.codes, c.code_dim, c.decay, c.revive_below, axis_name), vectors),
        "decoder": Network(Decoder(c, dtype), vectors),
        **judges(c.features, c.critic_width, shape[-1], dtype, axis_name, c.critic_depth),
    }


PRESETS = {
    "default": Run(
        Config(),
        VqGan(adversarial_weight=0.5, critic_start=1000),
        Optimizer(learning_rate=5e-4),
        Data(),
        Train(steps=3000, batch=32, sample_every=500, save_every=500),
    ),
    "tiny": Run(
        Config(
            widths=(4, 8), groups=2, codes=16, code_dim=4, features="random", critic_width=4, critic_depth=1,
        ),
        VqGan(loss="least_squares", perceptual_weight=0.1, adversarial_weight=0.1),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
