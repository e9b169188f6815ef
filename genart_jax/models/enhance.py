"""Enhancement: low light, noise, a cast of colour and blocks, undone by one network; and beautifying.

A U-Net (see `nn.unet`) adds its correction to the picture. What holds for all of a picture (its light, its cast) a
small network (role `overview`) reads from the whole of it, reduced, and tells every block by scales and shifts of its
channels (Perez et al. 2018, FiLM, arXiv:1709.07871), so that tiles of a large picture get the same correction.

`genart train enhance --data photos`; then `genart transform RUN PICTURE --strength 0.7`. Presets:

- `default`: darkness, cast, noise and blocks, strong ones.
- `beautify`: a picture that nobody has worked on: tone, white balance, contrast, slight noise; and surfaces a little
  smoother, with their edges kept (`step.smooth`). Shapes stay.
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
from genart_jax.types import Network, Translation


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of the network."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the pictures that it is trained on; it enhances any."""
    widths: tuple[int, ...] = (16, 32, 48, 64)
    """Channels at each resolution, the largest first."""
    blocks: int = 1
    """Residual blocks at each resolution, each way."""
    overview_side: int = 32
    """Side of the square that the whole picture is reduced to for what holds everywhere."""
    overview_width: int = 16
    """Channels of the first convolution over it."""
    told: int = 16
    """Numbers that it tells."""
    features: str = "vgg19"
    """Network of the perceptual loss, where that has a weight: vgg19, lite0 or random."""
    critic_width: int = 32
    """Channels of the critic's first convolution, where there is a critic."""


class Generator(nn.Module):
    """Pictures (batch, height, width, channels) in [-1, 1], and what their overview tells -> better ones."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, overview: jax.Array, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`overview` (batch, told). Also returns `correction`, what is added."""
        c = self.config
        net = unet.UNet(c.widths, images.shape[-1], c.blocks, dtype=self.dtype, name="unet")
        correction = net(images, overview)
        return images + correction, {"correction": correction}


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size that is not for it.
    """
    c, shape = config, config.image_shape or ()
    sizes = (*c.widths, c.blocks, c.overview_width, c.told, c.critic_width)
    if not c.widths or min(sizes) < 1 or c.overview_side < 8:
        raise UserError("enhance: widths, blocks, told and critic_width must be at least 1, overview_side at least 8")
    if len(shape) != 3:
        raise UserError(f"enhance: image_shape {shape}: wanted (height, width, channels)")
    side, channels = unet.multiple(c.widths), shape[-1]
    about = Translation(("overview",), reach=unet.reach(c.widths, c.blocks), multiple=side)
    pictures = lambda: (jnp.zeros((2, side, side, channels)), jnp.zeros((2, c.told)))
    small = lambda: (jnp.zeros((2, c.overview_side, c.overview_side, channels)),)
    return {
        "generator": Network(Generator(c, dtype), pictures, translation=about),
        "overview": Network(unet.Overview(c.overview_width, c.told, dtype), small),
        **judges(c.features, c.critic_width, channels, dtype, axis_name),
    }


_ADAM = Optimizer(learning_rate=1e-3, b1=0.9, b2=0.99, schedule="cosine")
_PHOTOS = Data(source="photos", flip=True)
_TRAIN = Train(steps=6_000, batch=8, samples=16, eval_every=2_000, save_every=1_000)

PRESETS = {
    "default": Run(Config(), Translate(degradation="faults", crop=64), _ADAM, _PHOTOS, _TRAIN),
    "beautify": Run(Config(), Translate(degradation="dull", crop=64, smooth=0.5), _ADAM, _PHOTOS, _TRAIN),
    "tiny": Run(
        Config(widths=(4, 4), overview_side=8, overview_width=2, told=2, features="random", critic_width=4),
        Translate(degradation="dull", pixel_weight=10.0),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
