"""Dehazing, with the physics of haze inside.

The atmospheric model (Koschmieder 1924; He et al. 2009, equation 1): a hazy picture is I = J t + A (1 - t), of the
scene J, the transmission t of the air in front of each pixel and the airlight A. The network estimates t of each pixel
and A of the whole picture (role `overview`), and the scene follows: J = A + (I - A) / t. So no detail is made up, and
an untrained network, whose t is 1, leaves a picture as it is.

`genart train dehaze --data photos`, on synthetic haze of a smooth depth; then `genart transform RUN PICTURE`. Presets:

- `default`: by L1.
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
    """(height, width, channels) of the pictures that it is trained on; it clears any."""
    widths: tuple[int, ...] = (12, 24, 32, 48, 48)
    """Channels at each resolution, the largest first."""
    blocks: int = 1
    """Residual blocks at each resolution, each way."""
    overview_side: int = 32
    """Side of the square that the whole picture is reduced to for the airlight."""
    overview_width: int = 16
    """Channels of the first convolution over it."""
    features: str = "vgg19"
    """Network of the perceptual loss, where that has a weight: vgg19, lite0 or random."""
    critic_width: int = 32
    """Channels of the critic's first convolution, where there is a critic."""


class Generator(nn.Module):
    """Hazy pictures (batch, height, width, channels) in [-1, 1], and what their overview tells -> the scenes."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, overview: jax.Array, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`overview` (batch, channels): the airlight before its sigmoid.

        Also returns `transmission` (batch, height, width, 1), and `airlight` (batch, channels) in [0, 1].
        """
        c = self.config
        hazy, airlight = 0.5 * (images + 1.0), nn.sigmoid(overview + 1.5)  # mostly light
        net = unet.UNet(c.widths, 1, c.blocks, dtype=self.dtype, name="unet")
        inverse = 1.0 + nn.elu(net(images, airlight))  # 1 / t, more than 0
        light = airlight[:, None, None, :]
        scene = light + (hazy - light) * inverse
        return 2.0 * scene - 1.0, {"transmission": 1.0 / jnp.maximum(inverse, 1.0), "airlight": airlight}


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size that is not for it.
    """
    c, shape = config, config.image_shape or ()
    if not c.widths or min(*c.widths, c.blocks, c.overview_width, c.critic_width) < 1 or c.overview_side < 8:
        raise UserError("dehaze: widths, blocks and critic_width must be at least 1, overview_side at least 8")
    if len(shape) != 3:
        raise UserError(f"dehaze: image_shape {shape}: wanted (height, width, channels)")
    side, channels = unet.multiple(c.widths), shape[-1]
    about = Translation(("overview",), reach=unet.reach(c.widths, c.blocks), multiple=side)
    pictures = lambda: (jnp.zeros((2, side, side, channels)), jnp.zeros((2, channels)))
    small = lambda: (jnp.zeros((2, c.overview_side, c.overview_side, channels)),)
    return {
        "generator": Network(Generator(c, dtype), pictures, translation=about),
        "overview": Network(unet.Overview(c.overview_width, channels, dtype), small),
        **judges(c.features, c.critic_width, channels, dtype, axis_name),
    }


PRESETS = {
    "default": Run(
        Config(),
        Translate(degradation="haze", crop=64),
        Optimizer(learning_rate=1e-3, b1=0.9, b2=0.99, schedule="cosine"),
        Data(source="photos", flip=True),
        Train(steps=6_000, batch=8, samples=16, eval_every=2_000, save_every=1_000),
    ),
    "tiny": Run(
        Config(widths=(4, 4), overview_side=8, overview_width=2, features="random", critic_width=4),
        Translate(degradation="haze", pixel_weight=10.0),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
