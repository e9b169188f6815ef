"""Vector-quantised variational autoencoder: pictures as grids of codes.

van den Oord, Vinyals & Kavukcuoglu 2017, "Neural discrete representation learning", arXiv:1711.00937: section 4.1 for
the networks (strided 4x4 convolutions and residual blocks of ReLU, 3x3, ReLU, 1x1, and their mirror image), eq. 1 for
the nearest code, eq. 3 for the loss, appendix A.1 for the codebook as a moving average. With `levels`, the codebook is
that of Mentzer et al. 2023, "Finite scalar quantization: VQ-VAE made simple", arXiv:2309.15505.

This is the first stage: it draws nothing by itself. A prior over its codes, such as `code_prior`, is trained on its
run.

Presets:

- `default`: `genart train vqvae`. 10 minutes on one CPU core (seed 0); 19.6 dB on the art set's test split, codes of
  perplexity 180 (seeds 0 and 1; benchmarks/results/vqvae.md).
- `fsq`: `genart train vqvae --preset fsq`. 240 combinations of fixed levels. Not measured.
- `paper`: `genart train vqvae --preset paper`. Sizes and optimizer of the paper's section 4. Not measured.
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

from genart_jax.config import Data, Optimizer, Run, Train, UserError, VectorQuantized
from genart_jax.nn.conv import Conv, ConvTranspose
from genart_jax.nn.quantize import FiniteScalarQuantizer, VectorQuantizer
from genart_jax.types import Network, Output

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a VQ-VAE."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side a multiple of 2 to the power of `stages`."""
    width: int = 64
    """Channels of every hidden layer."""
    stages: int = 2
    """Halvings of the image: 2 make a code of 4x4 pixels."""
    blocks: int = 2
    """Residual blocks on each side of the codes."""
    codes: int = 256
    """Vectors in the codebook."""
    code_dim: int = 32
    """Length of a code's vector."""
    decay: float = 0.99
    """Decay of the codebook's moving averages."""
    revive_below: float = 0.03
    """Codes taken less often than this share of an even use are set to an encoding of the batch (0: never)."""
    levels: tuple[int, ...] = ()
    """Levels of finite scalar quantisation, in place of a learned codebook: 8 5 5 5 make 1000 codes."""


def code_space(config: Config) -> tuple[tuple[int, ...], int]:
    """The grid of codes that a picture becomes, (height, width), and how many codes there are."""
    height, width, _ = config.image_shape or ()
    grid = height // 2**config.stages, width // 2**config.stages
    return grid, math.prod(config.levels) if config.levels else config.codes


class Residual(nn.Module):
    """Blocks of ReLU, 3x3, ReLU, 1x1, each added to its input; a ReLU at the end."""

    blocks: int
    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, `width`) -> the same."""
        for i in range(self.blocks):
            y = Conv(self.width, (3, 3), dtype=self.dtype, name=f"wide_{i}")(nn.relu(x))
            x = x + Conv(self.width, (1, 1), dtype=self.dtype, name=f"narrow_{i}")(nn.relu(y))
            x = checkpoint_name(x, "stage")
        return nn.relu(x)


class Encoder(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> vectors (batch, *grid, code_dim or len(levels))."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        x, aux = images.astype(self.dtype), {}
        for i in range(c.stages):
            x = x if i == 0 else nn.relu(x)
            x = Conv(c.width, (4, 4), (2, 2), dtype=self.dtype, name=f"down_{i}")(x)
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = Residual(c.blocks, c.width, self.dtype, name="residual")(x)
        features = len(c.levels) or c.code_dim
        return Conv(features, (1, 1), name="out")(x.astype(jnp.float32)), aux


class Decoder(nn.Module):
    """Vectors (batch, *grid, features) -> images (batch, height, width, channels), about in [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns the activations of each stage."""
        c = self.config
        x = Conv(c.width, (3, 3), dtype=self.dtype, name="in")(z.astype(self.dtype))
        x = Residual(c.blocks, c.width, self.dtype, name="residual")(x)
        aux = {"stage_0": x}
        for i in range(1, c.stages):
            x = nn.relu(ConvTranspose(c.width, (4, 4), (2, 2), dtype=self.dtype, name=f"up_{i}")(x))
            aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        x = ConvTranspose((c.image_shape or ())[-1], (4, 4), (2, 2), dtype=self.dtype, name="out")(x)
        return x.astype(jnp.float32), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, or an option is out of range.
    """
    c, shape = config, config.image_shape or ()
    if min(c.width, c.stages, c.codes, c.code_dim) < 1 or c.blocks < 0:
        raise UserError("vqvae: width, stages, codes and code_dim must be at least 1, blocks at least 0")
    if c.levels and min(c.levels) < 3:
        raise UserError(f"vqvae: levels {c.levels}: wanted at least 3 each")
    if not 0 <= c.decay < 1 or not 0 <= c.revive_below < 1:
        raise UserError("vqvae: decay and revive_below must be 0 to below 1")
    if len(shape) != 3 or shape[0] % 2**c.stages or shape[1] % 2**c.stages:
        raise UserError(f"vqvae: image_shape {shape}: sides must be multiples of {2**c.stages} (2 ** stages)")
    quantizer: nn.Module = VectorQuantizer(c.codes, c.code_dim, c.decay, c.revive_below, axis_name)
    if c.levels:
        quantizer = FiniteScalarQuantizer(tuple(c.levels))
    vectors = lambda: (jnp.zeros((2, *code_space(c)[0], len(c.levels) or c.code_dim)),)
    return {
        "encoder": Network(Encoder(c, dtype), lambda: (jnp.zeros((2, *shape)),)),
        "quantizer": Network(quantizer, vectors),
        "decoder": Network(Decoder(c, dtype), vectors),
    }


_ADAM = Optimizer(learning_rate=5e-4)
_TRAIN = Train(steps=2000, batch=128, save_every=1000, log_every=100)

PRESETS = {
    "default": Run(Config(), VectorQuantized(), _ADAM, Data(), _TRAIN),
    "fsq": Run(Config(levels=(8, 6, 5)), VectorQuantized(), _ADAM, Data(), _TRAIN),
    "paper": Run(
        Config(width=256, codes=512, code_dim=64, revive_below=0.0),
        VectorQuantized(),
        Optimizer(learning_rate=2e-4),
        Data(),
        Train(steps=250_000, batch=128, save_every=5000),
    ),
    "tiny": Run(
        Config(width=4, blocks=1, codes=16, code_dim=4),
        VectorQuantized(),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
