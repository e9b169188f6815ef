"""Inpainting: what is missing in a picture, made up from what is around it; and old photographs.

A U-Net of gated convolutions (Yu et al. 2019, "Free-form image inpainting with gated convolution", arXiv:1806.03589,
section 3.1), which sees the picture with its holes and the mask. It adds to a smooth filling by pyramids (Gortler et
al. 1996, "The lumigraph", section 3.4.3: push and pull), with which an untrained one begins; pixels outside of the
holes stay exactly as they are. With a critic of patches fillings are sharper.

`genart train inpaint --data photos`; then `genart transform RUN PICTURE --mask FILE`. Presets:

- `default`: strokes of a brush, by L1 alone: the highest PSNR.
- `gan`: with perceptual loss and critic; begin it from a run of `default` (`--init-from`).
- `old`: old photographs (sepia, fading, grain, scratches). It finds the scratches itself, and takes no mask.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, Translate, UserError
from genart_jax.nn import unet
from genart_jax.nn.judges import judges
from genart_jax.nn.residual import doubled
from genart_jax.types import Network, Translation


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of the network."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the pictures that it is trained on; it fills any."""
    widths: tuple[int, ...] = (16, 24, 32, 48, 64)
    """Channels at each resolution, the largest first."""
    blocks: int = 1
    """Residual blocks at each resolution, each way."""
    masked: bool = True
    """Takes a mask of what is missing; else it finds and mends what is wrong itself."""
    features: str = "vgg19"
    """Network of the perceptual loss, where that has a weight: vgg19, lite0 or random."""
    critic_width: int = 32
    """Channels of the critic's first convolution, where there is a critic."""


class Generator(nn.Module):
    """Pictures (batch, height, width, channels) in [-1, 1], and a mask where it takes one -> the same size."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`mask` (batch, height, width, 1) in [0, 1], 1 in holes. Also returns `start`, what the network adds to."""
        c, channels = self.config, images.shape[-1]
        net = unet.UNet(c.widths, channels, c.blocks, gated=True, dtype=self.dtype, name="unet")
        if mask is None:
            return images + net(images), {"start": images}
        start = filled(images, mask, len(c.widths) - 1)
        made = start + net(jnp.concatenate([start, mask], axis=-1))
        return (1.0 - mask) * images + mask * made, {"start": start}


def filled(images: jax.Array, mask: jax.Array, halvings: int) -> jax.Array:
    """Pictures (batch, H, W, C) whose holes have the colours of what is near, by so many halvings of the sides.

    Each level holds means over 2x2 of the pixels that are known; a hole takes what the next coarser level has there.
    Where even the coarsest knows nothing, 0.
    """
    height, width = images.shape[1:3]
    known = 1.0 - mask
    levels = [(unet.padded(images * known, 2**halvings), unet.padded(known, 2**halvings))]
    for _ in range(halvings):
        total, count = (_means(x) for x in levels[-1])
        share = jnp.minimum(1.0, 4.0 * count)  # a quarter is enough to say what is there
        levels.append((total / jnp.maximum(count, 1e-6) * share, share))
    pixels = levels[-1][0] / jnp.maximum(levels[-1][1], 1e-6)
    for total, count in reversed(levels[:-1]):
        pixels = total + (1.0 - count) * _smooth(doubled(pixels))
    return pixels[:, :height, :width]


def _means(x: jax.Array) -> jax.Array:
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def _smooth(x: jax.Array) -> jax.Array:
    """(1, 2, 1) / 4 along both axes; edge pixels are repeated."""
    for axis in (1, 2):
        ends = [(1, 1) if i == axis else (0, 0) for i in range(4)]
        wide, n = jnp.pad(x, ends, mode="edge"), x.shape[axis]
        parts = [jax.lax.slice_in_dim(wide, i, i + n, axis=axis) for i in range(3)]
        x = 0.25 * parts[0] + 0.5 * parts[1] + 0.25 * parts[2]
    return x


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size that is not for it.
    """
    c, shape = config, config.image_shape or ()
    if not c.widths or min(*c.widths, c.blocks, c.critic_width) < 1:
        raise UserError("inpaint: widths, blocks and critic_width must be at least 1")
    if len(shape) != 3:
        raise UserError(f"inpaint: image_shape {shape}: wanted (height, width, channels)")
    # Filling reaches as far as its coarsest pixels, smoothed at every level.
    side = unet.multiple(c.widths)
    reach = unet.reach(c.widths, c.blocks) + (4 * side if c.masked else 0)
    about = Translation(("mask",) if c.masked else (), reach=reach, multiple=side)
    pictures = lambda: (jnp.zeros((2, side, side, shape[-1])), *([jnp.zeros((2, side, side, 1))] if c.masked else []))
    generator = Network(Generator(c, dtype), pictures, translation=about)
    return {"generator": generator, **judges(c.features, c.critic_width, shape[-1], dtype, axis_name)}


_STEP = Translate(degradation="holes", crop=64, turns=True)
_ADAM = Optimizer(learning_rate=1e-3, b1=0.9, b2=0.99, schedule="cosine")
_PHOTOS = Data(source="photos")
_TRAIN = Train(steps=6_000, batch=8, samples=16, eval_every=2_000, save_every=1_000)

PRESETS = {
    "default": Run(Config(), _STEP, _ADAM, _PHOTOS, _TRAIN),
    "gan": Run(
        Config(),
        dataclasses.replace(_STEP, perceptual_weight=2e-5, adversarial_weight=0.01),
        dataclasses.replace(_ADAM, learning_rate=2e-4),
        _PHOTOS,
        _TRAIN,
    ),
    "old": Run(Config(masked=False), dataclasses.replace(_STEP, degradation="old"), _ADAM, _PHOTOS, _TRAIN),
    "tiny": Run(
        Config(widths=(4, 4), features="random", critic_width=4),
        Translate(degradation="holes", pixel_weight=10.0),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
