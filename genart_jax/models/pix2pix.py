"""pix2pix: a picture made of another, learnt from pairs of both.

Isola et al. 2017, "Image-to-image translation with conditional adversarial networks", arXiv:1611.07004. The generator
is the U-Net of appendix 6.1.1: 4x4 convolutions that halve, transposed ones that double, and what was on the way down
joined on the way up; its noise is dropout in the first layers of the way up, in use as in training (section 3.2). The
critic of patches (section 3.2.2) sees the input beside the picture: equation 1. What is played for is equation 4,
adversarial_weight * L_cGAN + pixel_weight * L_L1, by the step from picture to picture.

Otherwise than there: normalisation is over each picture alone, as theirs is where a batch is one picture; the critic's
kernels are divided by their largest singular value in place of BatchNorm; an average of the generator is used.

`genart train pix2pix --data pairs:DIR`; then `genart transform RUN PICTURE`. Presets:

- `default`: flat icons to icons in relief (`pairs-emoji`), small enough for minutes on a CPU.
- `paper`: the paper's layers and options; 256 pixels.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, Translate, UserError
from genart_jax.nn import random
from genart_jax.nn.conv import Conv, ConvTranspose
from genart_jax.nn.judges import judges
from genart_jax.types import Network, Translation

_DROPPED = 3
"""Layers of the way up with dropout."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of both networks."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the pictures that something is made of."""
    target_shape: tuple[int, ...] | None = None
    """Of what is made of them: as high and wide."""
    width: int = 32
    """Channels of the generator's first convolution; doubled by each that follows, up to eight times as many."""
    halvings: int = 5
    """How often the way down halves, if the sides can be."""
    dropout: float = 0.5
    """Share of activations that are dropped in the first layers of the way up."""
    features: str = "vgg19"
    """Network of the perceptual loss, where that has a weight: vgg19, lite0 or random."""
    critic_width: int = 16
    """Channels of the critic's first convolution."""
    critic_depth: int = 3
    """How often the critic halves: with 3, a score sees 70x70 pixels; with 2, 34x34."""


class Generator(nn.Module):
    """Pictures (batch, height, width, .) in [-1, 1] -> (batch, height, width, channels) in [-1, 1].

    Attributes:
      halvings: on the way down.
      channels: of what is made.
    """

    config: Config
    halvings: int
    channels: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, keys: jax.Array | None = None, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`keys` (batch,) for dropout; None: without. Also returns `code`, what is between down and up."""
        c, last = self.config, self.halvings - 1
        widths = [c.width * min(8, 2**i) for i in range(self.halvings)]
        init, dtype = nn.initializers.normal(0.02), self.dtype
        skips, x = [], images
        for i, width in enumerate(widths):
            x, bare = nn.leaky_relu(x, 0.2) if i else x, i in (0, last)
            x = Conv(width, (4, 4), 2, use_bias=bare, kernel_init=init, name=f"down_{i}", dtype=dtype)(x)
            x = x if bare else nn.InstanceNorm(name=f"down_{i}_norm", dtype=dtype)(x)
            skips.append(x)
        code = x = skips.pop()
        for i in reversed(range(self.halvings)):
            width = widths[i - 1] if i else self.channels
            up = ConvTranspose(width, (4, 4), (2, 2), use_bias=not i, kernel_init=init, name=f"up_{i}", dtype=dtype)
            x = up(nn.relu(x))
            if i:
                x = nn.InstanceNorm(name=f"up_{i}_norm", dtype=dtype)(x)
                if i > last - _DROPPED:
                    x = random.Dropout(c.dropout)(x, random.example_streams(keys, f"up_{i}"))
                x = jnp.concatenate([x, skips.pop()], axis=-1)
        return jnp.tanh(x.astype(jnp.float32)), {"code": code}


def halved(shape: tuple[int, ...], most: int) -> int:
    """How often both sides of a picture can be halved, `most` times at most."""
    return next(n for n in range(most, -1, -1) if not any(side % 2**n for side in shape[:2]))


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size that is not for it.
    """
    c, given, made = config, config.image_shape or (), config.target_shape or ()
    if min(c.width, c.halvings, c.critic_width, c.critic_depth) < 1 or not 0 <= c.dropout < 1:
        raise UserError("pix2pix: widths, halvings and critic_depth must be at least 1, dropout from 0 to below 1")
    if len(given) != 3 or len(made) != 3 or given[:2] != made[:2]:
        raise UserError(f"pix2pix: image_shape {given}, target_shape {made}: wanted (height, width, channels), as high")
    if not (halvings := halved(given, c.halvings)):
        raise UserError(f"pix2pix: pictures of {given[0]}x{given[1]}: both sides must be even, best multiples of 64")
    generator = Network(
        Generator(c, halvings, made[-1], dtype),
        lambda: (jnp.zeros((2, *given)), jax.random.split(jax.random.key(0), 2)),
        translation=Translation(("keys",)),
    )
    return {
        "generator": generator,
        **judges(c.features, c.critic_width, made[-1], dtype, axis_name, c.critic_depth, sees_input=given[-1]),
    }


_STEP = Translate(pixel_weight=100.0, adversarial_weight=1.0, loss="non_saturating")
_ADAM = Optimizer(learning_rate=2e-4, b1=0.5, b2=0.999, schedule="linear")

PRESETS = {
    "default": Run(
        Config(),
        _STEP,
        dataclasses.replace(_ADAM, learning_rate=5e-4),
        Data(source="pairs-emoji"),
        Train(steps=3_000, batch=4, samples=16, eval_every=2_000, sample_every=1_000, save_every=1_000),
    ),
    "paper": Run(
        Config(width=64, halvings=8, critic_width=64),
        _STEP,
        _ADAM,
        Data(image_size=(256,), flip=True),
        Train(steps=80_000, batch=1, samples=16, eval_every=10_000, sample_every=5_000, save_every=5_000),
    ),
    "tiny": Run(
        Config(width=4, halvings=2, features="random", critic_width=4, critic_depth=1),
        dataclasses.replace(_STEP, pixel_weight=10.0),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
