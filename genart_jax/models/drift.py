"""Drifting: a generator of one step without a critic, which follows a field over frozen features.

Deng, Li, Li, Du & He 2026, "Generative modeling via drifting", arXiv:2602.04770.

- The drifting field attracts a generated sample to real ones and repels it from generated ones, with weights of a
  kernel k(x, y) = exp(-|x - y| / t): V(x) = E[k(x, y+) k(x, y-) (y+ - y-)] / Z (eq. 8 to 11). It turns its sign when
  the two are swapped, so it vanishes where their distributions are equal.
- The generator f is trained by E |phi(f(z)) - stopgrad(phi(f(z)) + V(phi(f(z))))|^2 over features phi, with a loss for
  each vector of all kinds and cells, which all count the same (appendix A.5; the mean of them in place of their sum),
  normalised as in A.6, eq. 20 to 26 (`losses.drifting`).
- Features here are those of EfficientNet-lite0 (role `features`, frozen) and the pixels themselves, pooled into cells.
  The paper has a masked autoencoder's, trained on the same pictures, and finds that quality hangs on them.
- Each cell of a map is normalised for itself here, where the paper's cells of a map share their scale (A.6).
- Conditions: the paper draws batches of a class. Here a condition that differs adds to a distance.
- The generator is FastGAN's (Liu et al. 2021; see `nn.excitation`), where the paper has a transformer.

A generator that was trained on lite0 is not to be judged by it: its distance is that over VGG19. The paper's batches
are of 4,096; with small ones the field is noisy.

Presets:

- `default`: `genart train drift`, after `genart assets fetch efficientnet_lite0`. For 32 px art on a CPU. 19
  CPU minutes; on the art set sharp outlines, faces and signs, at a Frechet distance over VGG19 at 64 pixels of 1,978,
  where `modgan` is at 1,939 (seed 0; benchmarks/results/gallery.md).
- `quality`: the same for 6,000 steps: 1,837 after 6,045 (seed 0; benchmarks/results/drift.md).
- `tiny`: over a small random network, for tests.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Drift, Optimizer, Run, Train, UserError, classes_of
from genart_jax.nn.efficientnet import Maps, check_taken
from genart_jax.nn.excitation import Generator, levels_of
from genart_jax.types import Network, untold


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of the generator, and of the feature network: one entry a stage where there are several."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), of 1 or 3; each side from 16 to 1024, halving down to 4 to 7."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """Conditions to train on; None: all that the data has."""
    latent_dim: int = 128
    """Length of z."""
    embed_dim: int = 32
    """Length of a condition's vector in the generator."""
    channel_base: int = 512
    """Generator's channels times the side of the pictures at each resolution, where channel_max does not cut them."""
    channel_max: int = 128
    """Most channels at any resolution of the generator."""
    skip: int = 2
    """A resolution of the generator is excited by the one so many doublings below."""
    enlarge: int = 1
    """Pictures are enlarged so many times before the feature network."""
    features: str = "asset:efficientnet_lite0"
    """Where the feature network's weights are from; empty: random."""
    layers: tuple[str, ...] = ("stem", "block_2", "block_4", "block_10")
    """What is taken of it, besides the pixels."""
    widths: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    """Its channels."""
    depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    """Its blocks."""
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    """Side of its depthwise kernels."""
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    """Stride of the first block."""
    expand: int = 6
    """How many times more channels its blocks have inside."""
    stem: int = 32
    """Channels of its first convolution."""


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image's shape does not fit, a size is not positive, or a layer is unknown.
    """
    c, shape = config, config.image_shape or ()
    for name in ("latent_dim", "embed_dim", "channel_base", "channel_max", "skip", "enlarge"):
        if getattr(c, name) < 1:
            raise UserError(f"drift: {name} must be at least 1")
    sizes = levels_of(shape, c.channel_base, c.channel_max)
    if not sizes or shape[-1] not in (1, 3):
        raise UserError(
            f"drift: image_shape {c.image_shape}: wanted (height, width, channels), of 1 or 3, with sides from 16 to"
            " 1024 that halve evenly down to 4 to 7, such as 28, 32, 48, 64, 96 or 128; set --data.image-size"
        )
    check_taken("drift", c)
    told = classes_of(c.conditions)
    generator = Generator(sizes, shape[-1], told, c.embed_dim, c.skip, dtype, axis_name)
    return {
        "generator": Network(generator, lambda: (jnp.zeros((2, c.latent_dim)), untold(told))),
        "features": Network(
            Maps(c, pixels=True, dtype=dtype), lambda: (jnp.zeros((2, *shape)),), c.features or "random"
        ),
    }


_ADAM = Optimizer(learning_rate=1e-3, b1=0.9, b2=0.95)

_SMALL = Run(Config(), Drift(), _ADAM, Data(), Train(steps=3000, batch=64, sample_every=500, save_every=500))

PRESETS = {
    "default": _SMALL,
    "quality": dataclasses.replace(_SMALL, train=dataclasses.replace(_SMALL.train, steps=6000)),
    "tiny": Run(
        Config(
            latent_dim=8, embed_dim=4, channel_base=64, channel_max=8, skip=1, features="", layers=("block_1",),
            widths=(4, 8), depths=(1, 1), kernels=(3, 3), strides=(1, 2), expand=2, stem=4,
        ),
        Drift(temperatures=(0.2,), cells=(1, 2), ema_decay=0.9),
        _ADAM,
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
