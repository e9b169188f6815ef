"""Super-resolution: a residual network over bicubic interpolation, with sub-pixel upsampling.

Lim et al. 2017, "Enhanced deep residual networks for single image super-resolution" (EDSR), arXiv:1707.02921, figure 3:
residual blocks of convolution, ReLU and convolution without normalisation, and a skip over all of them. The last
convolution gives scale^2 pixels at each place, which are laid side by side (Shi et al. 2016, arXiv:1609.05158,
equation 4); what the network makes is added to the bicubic enlargement, with which an untrained one begins. The GAN
preset adds a perceptual loss and a critic (Ledig et al. 2017, SRGAN, arXiv:1609.04802).

With `growth` it is a residual dense network instead (Zhang et al. 2018, arXiv:1802.08797), and with `compact` a plain
stack of convolutions (Wang et al. 2021, Real-ESRGAN, arXiv:2107.10833; its small networks for animated films), of the
forms that published ones have: `ga.load` and `genart transform` read their files (docs/restoration.md).

`genart train super_resolution --data photos`; then `genart transform RUN PICTURE`. Presets:

- `default`: twice the size, by L1 alone: the highest PSNR. On `photos` in 9.5 CPU minutes 36.35 dB on the luma of test
  scenes, bicubic interpolation 34.40 (benchmarks/results/restoration.md).
- `x3`, `x4`: three and four times.
- `gan`: four times, sharper and less faithful; begin it from a run of `x4` (`--init-from`).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Train, Translate, UserError
from genart_jax.nn.conv import Conv
from genart_jax.nn.judges import judges
from genart_jax.nn.resample import bicubic
from genart_jax.types import Network, Translation

_MADE = 4
"""How many times larger a compact network makes pictures, before they are reduced."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of the network."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the large pictures that it is trained on; it enlarges any."""
    scale: int = 2
    """How many times longer and wider pictures become: 2, 3, 4 or 8."""
    width: int = 32
    """Channels."""
    blocks: int = 6
    """Residual blocks, of two convolutions each; dense ones, of `layers` each."""
    growth: int = 0
    """Channels that each layer of a dense block adds; 0: plain residual blocks."""
    layers: int = 1
    """Layers of each dense block."""
    compact: bool = False
    """Convolutions one after the other, with slopes below zero that are learnt and no skips; what they make is added to
    repeated pixels, at four times the size, and brought to 2 or 3 times."""
    features: str = "vgg19"
    """Network of the perceptual loss, where that has a weight: vgg19, lite0 or random."""
    critic_width: int = 64
    """Channels of the critic's first convolution, where there is a critic."""


class Generator(nn.Module):
    """Pictures (batch, height, width, channels) in [-1, 1] -> (batch, height * scale, width * scale, channels)."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns `detail`, what is added to the bicubic enlargement."""
        c, channels = self.config, images.shape[-1]
        init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        conv = lambda size, name, init=init: Conv(size, (3, 3), kernel_init=init, dtype=self.dtype, name=name)
        x = first = conv(c.width, "first")(images)
        for i in range(c.blocks):
            y = conv(c.width, f"block_{i}_conv_1")(nn.relu(conv(c.width, f"block_{i}_conv_0")(x)))
            x = x + 0.1 * y
        x = conv(c.width, "last")(x) + first
        x = conv(channels * c.scale**2, "out", nn.initializers.zeros)(x).astype(jnp.float32)
        detail = subpixel(x, c.scale)
        return bicubic(images, c.scale) + detail, {"detail": detail}


class DenseGenerator(nn.Module):
    """As `Generator`, by residual dense blocks; the whole picture is made by the network, none of it by interpolation.

    It works on levels from 0 to 255. Its large pixels are repeated small ones of 3 scale^2 channels, convolved.
    """

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns `fused`, the features of all blocks."""
        c, channels = self.config, images.shape[-1]
        conv = lambda size, side, name: Conv(size, (side, side), dtype=self.dtype, name=name)
        first = conv(c.width, 3, "first")(127.5 * (images + 1.0))
        x = conv(c.width, 3, "second")(first)
        blocks = []
        for i in range(c.blocks):
            dense = x
            for j in range(c.layers):
                dense = jnp.concatenate([dense, nn.relu(conv(c.growth, 3, f"block_{i}_{j}")(dense))], axis=-1)
            x = conv(c.width, 1, f"block_{i}_fuse")(dense) + x
            blocks.append(x)
        fused = conv(c.width, 1, "fuse")(jnp.concatenate(blocks, axis=-1))
        x = conv(c.width, 3, "last")(fused) + first
        x = nn.relu(conv(c.width // 2, 3, "up_1")(nn.relu(conv(c.width, 5, "up_0")(x))))
        x = conv(channels * c.scale**2, 3, "up_2")(x)
        x = jnp.repeat(jnp.repeat(x, c.scale, axis=1), c.scale, axis=2)
        x = conv(channels, 3, "out")(x).astype(jnp.float32)
        return x / 127.5 - 1.0, {"fused": fused}


class CompactGenerator(nn.Module):
    """As `Generator`, without skips. It makes pictures of four times the size; those of 2 and 3 times are reduced."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns `detail`, what is added to the repeated pixels."""
        c, channels = self.config, images.shape[-1]
        conv = lambda size, name: Conv(size, (3, 3), dtype=self.dtype, name=name)
        x = (images + 1.0) / 2.0
        given = jnp.repeat(jnp.repeat(x, _MADE, axis=1), _MADE, axis=2)
        for i in range(c.blocks + 1):
            x = conv(c.width, f"block_{i - 1}" if i else "first")(x)
            slope = self.param(f"slope_{i}", _slopes, c.width)["negative_slope"]
            x = jnp.where(x >= 0, x, slope.astype(x.dtype) * x)
        detail = _shuffled(conv(channels * _MADE**2, "out")(x).astype(jnp.float32), _MADE)
        return 2.0 * _reduced(given + detail, c.scale) - 1.0, {"detail": detail}


def _slopes(key: jax.Array, width: int) -> dict[str, jax.Array]:
    return {"negative_slope": jnp.full((width,), 0.25)}  # He et al. 2015, arXiv:1502.01852


def _shuffled(x: jax.Array, scale: int) -> jax.Array:
    """As `subpixel`, of numbers that lie colour by colour: (batch, H, W, C * scale^2)."""
    return subpixel(x.reshape(*x.shape[:3], -1, scale**2).swapaxes(-1, -2).reshape(x.shape), scale)


def _reduced(x: jax.Array, scale: int) -> jax.Array:
    """Pictures of four times a size, of `scale` times it: cubic through four neighbours, with a slope of -0.75.

    As networks are run that were so published, with no filter against aliases.
    """
    for axis in (1, 2) if scale != _MADE else ():
        n = x.shape[axis]
        at = (np.arange(n * scale // _MADE) + 0.5) * _MADE / scale - 0.5
        first = np.floor(at).astype(int) - 1
        terms = []
        for tap in range(4):
            far = np.abs(at - first - tap)
            weight = np.where(far <= 1, (1.25 * far - 2.25) * far**2 + 1, ((-0.75 * far + 3.75) * far - 6) * far + 3)
            shape = [-1 if i == axis else 1 for i in range(4)]
            terms.append(jnp.take(x, np.clip(first + tap, 0, n - 1), axis) * weight.astype(np.float32).reshape(shape))
        x = terms[0] + terms[1] + terms[2] + terms[3]
    return x


def subpixel(x: jax.Array, scale: int) -> jax.Array:
    """(batch, H, W, C * scale^2) -> (batch, H * scale, W * scale, C): each place's numbers as a square of pixels."""
    batch, height, width, size = x.shape
    channels = size // scale**2
    x = x.reshape(batch, height, width, scale, scale, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height * scale, width * scale, channels)


def _form(c: Config) -> type[Generator | DenseGenerator | CompactGenerator]:
    return DenseGenerator if c.growth else CompactGenerator if c.compact else Generator


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a scale or a size that is not for it.
    """
    c, shape = config, config.image_shape or ()
    if c.scale not in (2, 3, 4, 8) or min(c.width, c.blocks, c.critic_width, c.layers, c.growth + 1) < 1:
        raise UserError("super_resolution: scale must be 2, 3, 4 or 8; width, blocks, layers, critic_width at least 1")
    if c.compact and (c.growth or c.scale > _MADE):
        raise UserError("super_resolution: a compact network enlarges 2, 3 or 4 times and has no growth")
    if len(shape) != 3 or min(shape[:2]) < c.scale:
        raise UserError(f"super_resolution: image_shape {shape}: wanted (height, width, channels)")
    # Of a dense one: five convolutions of 3x3 and one of 5x5 at the small size, one of 3x3 at the large one.
    # Of a compact one: its convolutions, and one pixel more for the reduction.
    reach = c.blocks * c.layers + 8 if c.growth else c.blocks + 3 if c.compact else 2 * c.blocks + 3
    about = Translation(scale=c.scale, reach=reach)
    pictures = lambda: (jnp.zeros((2, 16, 16, shape[-1])),)
    generator = Network(_form(c)(c, dtype), pictures, translation=about)
    return {"generator": generator, **judges(c.features, c.critic_width, shape[-1], dtype, axis_name)}


_STEP = Translate(degradation="downsample", crop=32, turns=True, ema_decay=0.999)
_ADAM = Optimizer(learning_rate=1e-3, b1=0.9, b2=0.99, schedule="cosine")
_PHOTOS = Data(source="photos")
_TRAIN = Train(steps=6_000, batch=8, samples=16, sample_every=0, save_every=500)

PRESETS = {
    "default": Run(Config(), _STEP, _ADAM, _PHOTOS, _TRAIN),
    "x3": Run(Config(scale=3), dataclasses.replace(_STEP, crop=24), _ADAM, _PHOTOS, _TRAIN),
    "x4": Run(Config(scale=4), dataclasses.replace(_STEP, crop=24), _ADAM, _PHOTOS, _TRAIN),
    "gan": Run(
        Config(scale=4),
        dataclasses.replace(
            _STEP, crop=24, perceptual_weight=2e-5, adversarial_weight=0.02, loss="relativistic", ema_decay=0.999
        ),
        dataclasses.replace(_ADAM, learning_rate=1e-4),
        _PHOTOS,
        _TRAIN,
    ),
    "tiny": Run(
        Config(width=4, blocks=1, features="random", critic_width=4),
        Translate(
            "downsample",
            crop=6,
            turns=True,
            pixel_weight=10.0,
            perceptual_weight=0.1,
            adversarial_weight=0.1,
            loss="least_squares",
        ),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
