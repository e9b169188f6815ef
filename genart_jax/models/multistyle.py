"""Many painters' styles in one small network: convolutions that all styles share, and normalisation of each its own.

Dumoulin, Shlens & Kudlur 2017, "A learned representation for artistic style", arXiv:1610.07629. The network is table 1
there: reflection padding, two strided convolutions, residual blocks, nearest-neighbour upsampling; after each
convolution, instance normalisation with a scale and a shift of each style (equation 5), so that a mixture of styles is
a mixture of these numbers; the last one of a block has no shift, which would change nothing. It is trained by the
losses of Johnson et al. 2016 over VGG19, each relative to its target's size; see `steps.stylize`. The classes of the
data are the styles.

`genart train multistyle --data STYLES --data.other CONTENTS`; `genart stylize CONTENT STYLE... --method multistyle`.
Presets:

- `default`: as published, 1.7 M parameters.
- `small`: 0.4 M.
- `published26`: of the form of the weights `multistyle26`, 26 styles in 0.17 M (`genart assets fetch multistyle26`).
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Run, Stylize, Train, UserError, classes_of
from genart_jax.nn.conv import Conv
from genart_jax.nn.instance import ConditionalInstanceNorm, Moments
from genart_jax.nn.vgg import DEPTHS, VGG, WIDTHS, names
from genart_jax.types import Network

REDUCTION = 4
"""Sides of pictures are multiples of this."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The painting network, and the network whose activations are compared."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the styles that are trained on."""
    other_shape: tuple[int, ...] | None = None
    """Of the contents."""
    label: str | None = None
    """The condition whose classes are the styles; None: the data's first."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """(label, number of styles); filled from the data."""
    contract: tuple[int, ...] = (32, 64, 128)
    """Channels of the first convolution and of the two strided ones."""
    blocks: int = 5
    """Residual blocks."""
    expand: tuple[int, ...] = (64, 32)
    """Channels after each upsampling."""
    features: str = "asset:vgg19"
    """Where the weights of the network that compares are from; empty: random."""
    widths: tuple[int, ...] = WIDTHS
    """Channels of each of its stages."""
    depths: tuple[int, ...] = DEPTHS
    """Convolutions of each of its stages."""
    content_layers: tuple[str, ...] = ("relu3_3",)
    """Layers that hold the content."""
    layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    """Layers that hold the style."""


def reach(config: Config) -> int:
    """How many pixels away what matters to a pixel may lie, but for the moments: a multiple of 4."""
    return 4 * (4 + 2 * config.blocks)


class Painter(nn.Module):
    """Pictures (batch, height, width, channels) in [-1, 1] -> the same, painted. Sides are multiples of 4."""

    config: Config
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        condition: Mapping[str, jax.Array] | None = None,
        train: bool = False,
        share: jax.Array | None = None,
        own: Mapping[str, jax.Array] | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns each normalisation's input's moments, as NAME_mean and NAME_std.

        Args:
          images: what is painted.
          condition: each one's style by its number. One that is not known (-1) gets all of them mixed.
          train: changes nothing.
          share: of each style instead, (batch, styles), or (batch, height, width, styles) of a place each.
          own: such moments, of the whole that the pictures are parts of.
        """
        c, aux = self.config, {}
        ((label, styles),) = classes_of(c.conditions)
        share = shares((condition or {})[label], styles) if share is None else share

        def layer(x: jax.Array, name: str, width: int, size: int = 3, stride: int = 1) -> jax.Array:
            init = nn.initializers.he_normal()
            x = Conv(
                width, (size, size), stride, "REFLECT", use_bias=False, kernel_init=init, dtype=self.dtype, name=name
            )(x)
            there = share if share.ndim == 2 else jax.image.resize(
                share, (share.shape[0], *x.shape[1:3], styles), "linear"
            )  # fmt: skip
            given = None if own is None else Moments(own[f"{name}_mean"], own[f"{name}_std"])
            # What is added at the end of a block goes through convolutions alone, and the next mean takes it away.
            norm = ConditionalInstanceNorm(styles, not name.endswith("_1") or "block" not in name, name=f"{name}_norm")
            x, (aux[f"{name}_mean"], aux[f"{name}_std"]) = norm(x, there, given)
            return x

        x = ((images + 1) / 2).astype(self.dtype)
        for i, width in enumerate(c.contract):
            x = nn.relu(layer(x, f"contract_{i}", width, 3 if i else 9, 2 if i else 1))
        for i in range(c.blocks):
            inside = nn.relu(layer(x, f"block_{i}_0", c.contract[-1]))
            x = x + layer(inside, f"block_{i}_1", c.contract[-1])
        for i, width in enumerate(c.expand):
            x = nn.relu(layer(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), f"expand_{i}", width))
        x = layer(x, f"expand_{len(c.expand)}", images.shape[-1], 9)
        return 2 * nn.sigmoid(x.astype(jnp.float32)) - 1, aux


def shares(style: jax.Array, styles: int) -> jax.Array:
    """Numbers of styles (batch,) -> shares (batch, styles): -1 is all of them, and NaN a number that is no style."""
    style = jnp.asarray(style)
    share = jnp.where((style < 0)[:, None], 1.0 / styles, jax.nn.one_hot(style, styles))
    return jnp.where((style < styles)[:, None], share, jnp.nan)


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: an unknown layer, not one condition, or pictures of other sides than the network makes.
    """
    c, known = config, names(config.depths)
    wanted = (*c.content_layers, *c.layers)
    if not c.content_layers or not c.layers or [name for name in wanted if name not in known]:
        raise UserError(f"multistyle: layers {wanted}: wanted some of {known[0]} to {known[-1]}, for content and style")
    if len(c.conditions or ()) != 1:
        raise UserError(
            f"multistyle: conditions {c.conditions}: wanted one, such as (('painting', 22),); set --model.label"
        )
    if len(c.contract) != 3 or len(c.expand) != 2 or len(c.widths) != len(c.depths):
        raise UserError(
            "multistyle: wanted 3 widths to contract, 2 to expand, and as many widths as depths of features"
        )
    for name, shape in (("image_shape", c.image_shape), ("other_shape", c.other_shape)):
        if shape is None or len(shape) != 3 or any(n % REDUCTION or n < 16 for n in shape[:2]):
            raise UserError(f"multistyle: {name} {shape}: sides must be multiples of {REDUCTION}, at least 16")
    last, contents = max(wanted, key=known.index), (2, *(c.other_shape or ()))
    ((label, _),) = classes_of(c.conditions)
    return {
        "features": Network(
            VGG(c.widths, c.depths, "max", until=last, dtype=dtype),
            lambda: (jnp.zeros((1, *contents[1:])),),
            c.features or "random",
        ),
        "painter": Network(Painter(c, dtype), lambda: (jnp.zeros(contents), {label: jnp.zeros(2, jnp.int32)})),
    }


_ADAM = Optimizer(learning_rate=1e-3, b1=0.9, schedule="cosine", warmup_steps=50)
_TRAIN = Train(steps=4000, batch=8, log_every=20, sample_every=200, save_every=200, samples=4)

PRESETS = {
    "default": Run(Config(), Stylize(), _ADAM, Data(), _TRAIN),
    "small": Run(Config(contract=(24, 48, 64), expand=(32, 16)), Stylize(), _ADAM, Data(), _TRAIN),
    "published26": Run(
        Config(conditions=(("style", 26),), contract=(32, 32, 32), blocks=6, expand=(8, 4)),
        Stylize(), _ADAM, Data(), _TRAIN,
    ),
    "tiny": Run(
        Config(
            contract=(4, 4, 8), blocks=1, expand=(4, 4), features="", widths=(4, 8), depths=(1, 2),
            content_layers=("relu2_2",), layers=("relu1_1", "relu2_1"),
        ),
        Stylize(style="gram", style_weight=1.0),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}  # fmt: skip
