"""CycleGAN: pictures of one set as those of another, and back, learnt from two sets that are not paired.

Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks", arXiv:1703.10593.
Both maps are the network of appendix 7.2: a 7x7 convolution, two that halve, residual blocks, two that double and a 7x7
one, with reflected borders; both critics see patches of 70x70 pixels. The losses and the pool of earlier pictures are
the step's (`steps/cycle.py`).

Otherwise than there: the critics' kernels are divided by their largest singular value in place of normalised
activations, and averages of the maps are used. Maps that are not `normalized` have no instance normalisation, so that
a tile of a large picture is what the whole would be there; those with `added` make what is added to the picture, begin
as the identity, and learn in fewer steps where the two sets are alike. Their round trips are held together by squared
distances: under the paper's L1, whose gradient does not vanish, they stayed the identity.

`genart train cyclegan --data SOURCE --data.other SOURCE`; then `genart transform RUN PICTURE`, and with `--back` from
the second set to the first. Presets:

- `default`: flat icons and icons in relief (`pairs-emoji:flat`, `pairs-emoji:relief`), small enough for a CPU.
- `paintings`: photographs and paintings (`photos`, `paintings`), on squares cut from them; it takes any size.
- `paper`: the paper's layers and options; 128 pixels.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Cycle, Data, Optimizer, Run, Train, UserError
from genart_jax.nn.conv import Conv
from genart_jax.nn.judges import PatchCritic
from genart_jax.nn.residual import UpConv
from genart_jax.nn.unet import padded
from genart_jax.types import Network, Translation

_HALVINGS = 2
_MULTIPLE = 2**_HALVINGS


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of the two maps and the two critics."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the first set."""
    other_shape: tuple[int, ...] | None = None
    """Of the second."""
    width: int = 16
    """Channels of a map's first convolution; doubled by each of the two that halve."""
    blocks: int = 3
    """Residual blocks of a map."""
    normalized: bool = False
    """A map's activations are normalised over each picture; it then takes pictures of one size."""
    added: bool = True
    """A map makes what is added to the picture; else all of it."""
    critic_width: int = 16
    """Channels of a critic's first convolution."""
    critic_depth: int = 3
    """How often a critic halves: with 3, a score sees 70x70 pixels; with 2, 34x34."""


class Map(nn.Module):
    """Pictures (batch, height, width, .) in [-1, 1] of at least 8 pixels -> (batch, height, width, channels)."""

    config: Config
    channels: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns `blocks`, the last residual block's activations."""
        c = self.config
        init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        init = nn.initializers.normal(0.02) if c.normalized else init

        def conv(x: jax.Array, width: int, side: int, name: str, stride: int = 1) -> jax.Array:
            bias = not c.normalized
            x = Conv(
                width, (side, side), stride, "REFLECT", use_bias=bias, kernel_init=init, dtype=self.dtype, name=name
            )(x)
            return normal(x, name)

        def normal(x: jax.Array, name: str) -> jax.Array:
            return nn.InstanceNorm(dtype=self.dtype, name=f"{name}_norm")(x) if c.normalized else x

        height, width = images.shape[1:3]
        x = nn.relu(conv(padded(images, _MULTIPLE), c.width, 7, "first"))
        for i in range(_HALVINGS):
            x = nn.relu(conv(x, c.width * 2 ** (i + 1), 3, f"down_{i}", 2))
        for i in range(c.blocks):
            y = conv(nn.relu(conv(x, x.shape[-1], 3, f"block_{i}_0")), x.shape[-1], 3, f"block_{i}_1")
            x = x + (y if c.normalized else 0.3 * y)
        last = x
        for i in reversed(range(_HALVINGS)):
            x = nn.relu(normal(UpConv(c.width * 2**i, self.dtype, init, name=f"up_{i}")(x), f"up_{i}"))
        end = nn.initializers.zeros if c.added else init
        x = Conv(self.channels, (7, 7), 1, "REFLECT", kernel_init=end, dtype=self.dtype, name="out")(x)
        x = x[:, :height, :width].astype(jnp.float32)
        return images + x if c.added else jnp.tanh(x), {"blocks": last}


def reach(blocks: int) -> int:
    """How many pixels away what matters to a pixel may lie, in whole multiples of 4."""
    return _MULTIPLE * (6 + 2 * blocks)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: a size that is not for it.
    """
    c, shapes = config, {"image": config.image_shape or (), "other": config.other_shape or ()}
    if min(c.width, c.blocks, c.critic_width, c.critic_depth) < 1:
        raise UserError("cyclegan: widths, blocks and critic_depth must be at least 1")
    for side, shape in shapes.items():
        if len(shape) != 3 or min(shape[:2]) < 8:
            raise UserError(f"cyclegan: {side}_shape {shape}: wanted (height, width, channels), of at least 8 pixels")
    image, other = (shape[-1] for shape in shapes.values())
    if c.added and image != other:
        raise UserError(f"cyclegan: pictures of {image} and of {other} channels; set model.added to False")
    about = Translation(reach=None if c.normalized else reach(c.blocks), multiple=_MULTIPLE)

    def pictures(side: str) -> tuple[jax.Array]:
        return (jnp.zeros((2, *shapes[side])),)

    critic = PatchCritic(c.critic_width, c.critic_depth, dtype=dtype, axis_name=axis_name)
    return {
        "there": Network(Map(c, other, dtype), lambda: pictures("image"), translation=about),
        "back": Network(Map(c, image, dtype), lambda: pictures("other"), translation=about),
        "critic_other": Network(critic, lambda: pictures("other")),
        "critic_image": Network(critic, lambda: pictures("image")),
    }


_ADAM = Optimizer(learning_rate=2e-4, b1=0.5, b2=0.999, schedule="linear")
_SMALL = dataclasses.replace(_ADAM, learning_rate=5e-4)
_CYCLE = Cycle(pixel="l2", adversarial_weight=2.0, critic_learning_rate=1e-3)
_TRAIN = Train(steps=2_500, batch=1, samples=16, eval_every=2_000, sample_every=1_000, save_every=1_000)

PRESETS = {
    "default": Run(
        Config(),
        _CYCLE,
        _SMALL,
        Data(source="pairs-emoji:flat", other="pairs-emoji:relief"),
        _TRAIN,
    ),
    "paintings": Run(
        Config(critic_depth=2),
        dataclasses.replace(_CYCLE, crop=64, cycle_weight=5.0, identity_weight=0.5, adversarial_weight=4.0),
        _SMALL,
        Data(source="photos", other="paintings", flip=True),
        dataclasses.replace(_TRAIN, steps=3_600),
    ),
    "paper": Run(
        Config(width=64, blocks=6, normalized=True, added=False, critic_width=64),
        Cycle(adversarial_weight=2.0),
        _ADAM,
        Data(image_size=(128,), flip=True),
        Train(steps=200_000, batch=1, samples=16, eval_every=20_000, sample_every=5_000, save_every=5_000),
    ),
    "tiny": Run(
        Config(width=4, blocks=1, critic_width=4, critic_depth=1),
        Cycle(pool=32),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
