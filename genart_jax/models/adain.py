"""Any picture's style in one pass: adaptive instance normalisation, and a decoder of the features of VGG19.

Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization", arXiv:1703.06868.
The encoder is VGG19 up to relu4_1, which never trains; its features of a content get the means and deviations of those
of a style (equation 8), and a decoder makes a picture of them (figure 2): the encoder backwards, with nearest-neighbour
upsampling in place of poolings, reflection padding and no normalisation. Losses are equations 11 to 13, each relative
to its target's size; see `steps.stylize`.

`genart train adain --data STYLES --data.other CONTENTS`; `genart stylize CONTENT STYLE... --method adain`. Presets:

- `default`: the published decoder, 3.5 M parameters.
- `small`: stages of half the width, 1.2 M.
- `tiny`: two small stages over random kernels, for tests.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Stylize, Train, UserError
from genart_jax.nn.conv import Conv
from genart_jax.nn.vgg import DEPTHS, VGG, WIDTHS, names
from genart_jax.types import Network


@dataclasses.dataclass(frozen=True)
class Config:
    """Encoder and decoder."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the styles that are trained on."""
    other_shape: tuple[int, ...] | None = None
    """Of the contents; all sides must be multiples of the encoder's reduction."""
    features: str = "asset:vgg19"
    """Where the encoder's weights are from; empty: random."""
    widths: tuple[int, ...] = WIDTHS
    """Channels of each stage of the encoder."""
    depths: tuple[int, ...] = DEPTHS
    """Convolutions of each of its stages."""
    layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    """Layers whose moments are the style; the last one is what is decoded."""
    decoder: tuple[int, ...] = (64, 128, 256)
    """Channels of the decoder at the encoder's stages before the last."""
    scale: float = 1000.0
    """What features are divided by before they are decoded: about their root mean square."""


def reduction(config: Config) -> int:
    """How many pixels a side of one place of the decoded layer stands for."""
    return 2 ** sum(name.startswith("pool") for name in layers(config))


def layers(config: Config) -> list[str]:
    """The convolutions and poolings of the encoder up to the decoded layer, in their order."""
    known = names(config.depths)
    return [name for name in known[: known.index(config.layers[-1]) + 1] if not name.startswith("relu")]


def reach(config: Config) -> int:
    """How many pixels away what matters to a pixel may lie, but for the moments: a multiple of the reduction."""
    step, total = 1, 0
    for name in layers(config):
        pools = name.startswith("pool")
        total += step if pools else 2 * step  # a convolution, and the decoder's across from it
        step *= 2 if pools else 1
    return -(-total // step) * step


class Decoder(nn.Module):
    """Features (batch, height, width, channels) -> pictures, `reduction` times as large; not confined to [-1, 1]."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Intermediates are named as those of the encoder that they stand across from."""
        c, aux = self.config, {}
        passed = layers(c)
        widths = {name: c.decoder[int(name[4]) - 2 if name.endswith("_1") else int(name[4]) - 1]
                  for name in passed if name.startswith("conv") and name != "conv1_1"}  # fmt: skip
        x = (features / c.scale).astype(self.dtype)
        for name in reversed(passed):
            if name.startswith("pool"):
                aux[name] = x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
                continue
            first = name == "conv1_1"
            init = nn.initializers.lecun_normal() if first else nn.initializers.he_normal()
            width = (c.image_shape or (3,))[-1] if first else widths[name]
            x = Conv(width, (3, 3), padding="REFLECT", kernel_init=init, dtype=self.dtype, name=name)(x)
            aux[name] = x = x if first else nn.relu(x)
        return x.astype(jnp.float32), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: an unknown layer, widths that do not fit, or sides that are no multiple of the reduction.
    """
    c, known = config, names(config.depths)
    if not c.layers or [name for name in c.layers if name not in known]:
        raise UserError(f"adain: layers {c.layers}: wanted some of {known[0]} to {known[-1]}")
    stage = int(c.layers[-1][4])
    if stage < 2 or c.layers[-1] != f"relu{stage}_1" or known.index(c.layers[-1]) != max(map(known.index, c.layers)):
        raise UserError(
            f"adain: layers {c.layers}: the last one is decoded; wanted the first ReLU of a later stage there"
        )
    if len(c.widths) != len(c.depths) or len(c.decoder) != stage - 1 or c.scale <= 0:
        raise UserError(
            f"adain: wanted as many widths as depths, {stage - 1} widths of the decoder, and a scale above 0"
        )
    side = reduction(c)
    for name, shape in (("image_shape", c.image_shape), ("other_shape", c.other_shape)):
        if shape is None or len(shape) != 3 or any(n % side or n < 2 * side for n in shape[:2]):
            raise UserError(f"adain: {name} {shape}: sides must be multiples of {side}, at least {2 * side}")
    shape = c.other_shape or ()
    code = (2, shape[0] // side, shape[1] // side, c.widths[stage - 1])
    encoder = VGG(c.widths, c.depths, "max", until=c.layers[-1], dtype=dtype)
    return {
        "features": Network(encoder, lambda: (jnp.zeros((1, *shape)),), c.features or "random"),
        "decoder": Network(Decoder(c, dtype), lambda: (jnp.zeros(code),)),
    }


_ADAM = Optimizer(learning_rate=1e-3, b1=0.9, schedule="cosine", warmup_steps=50)
_TRAIN = Train(steps=4000, batch=8, log_every=20, sample_every=200, save_every=200, samples=4)

PRESETS = {
    "default": Run(Config(), Stylize(), _ADAM, Data(), _TRAIN),
    "small": Run(Config(decoder=(32, 64, 128)), Stylize(), _ADAM, Data(), _TRAIN),
    "tiny": Run(
        Config(features="", widths=(4, 8), depths=(1, 2), layers=("relu1_1", "relu2_1"), decoder=(4,), scale=1.0),
        Stylize(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
