"""VGG networks as classifiers: 3x3 convolutions in five stages, then three dense layers.

Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556,
table 1, configurations A (11 layers), B (13), D (16) and E (19), with dropout 0.5 after the first two dense layers
(section 3.1). With `norm`, BatchNorm follows each convolution, which then has no bias (Ioffe & Szegedy 2015,
arXiv:1502.03167). The convolutions are `nn.vgg`, and VGG19's published weights `genart_jax.assets.load("vgg19")`;
those of the dense layers are in torchvision's file (`genart assets fetch vgg19 --from FILE`). Files of torchvision and
timm are read for all of them: `genart predict vgg16.pth PICTURE` (docs/pictures.md).

Presets (sides of at least 2 to the number of stages):

- `default`: `genart train vgg --model.label style`. A small one with BatchNorm for 32 px.
- `11`, `13`, `16`, `19`, and with BatchNorm `11bn`, `13bn`, `16bn`, `19bn`: as published, for 224 px. The name `vgg19`
  stands for the preset `19`. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, UserError, scores_of
from genart_jax.nn.random import Dropout
from genart_jax.nn.vgg import DEPTHS, VGG, WIDTHS
from genart_jax.types import Network

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a VGG network."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); sides of at least 2 to the number of stages."""
    label: str | None = None
    """The condition to classify; None: those of `conditions`, or the data's first."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """(label, number of classes), or the labels alone; several have a head each. None: `label` alone."""
    widths: tuple[int, ...] = WIDTHS
    """Channels of each stage."""
    depths: tuple[int, ...] = DEPTHS
    """Convolutions of each stage; a pooling of 2x2 follows."""
    hidden: tuple[int, ...] = (4096, 4096)
    """Units of the dense layers before the last."""
    dropout: float = 0.5
    """Rate of dropout after each of them."""
    pooling: Literal["max", "avg"] = "max"
    """What a pooling takes of four pixels: the largest, or the mean."""
    norm: bool = False
    """BatchNorm after each convolution, which then has no bias."""


class VGGClassifier(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> logits (batch, classes of all conditions)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`keys` (batch,) for dropout in training. Also returns every intermediate: see `nn.vgg`, and fc6 and fc7."""
        c = self.config
        trunk = VGG(
            c.widths, c.depths, c.pooling, dtype=self.dtype, norm=c.norm, axis_name=self.axis_name, name="trunk"
        )
        nn.share_scope(self, trunk)
        x, aux = trunk(images, train)
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate(c.hidden):
            name = f"fc{len(c.widths) + 1 + i}"
            dense = nn.Dense(units, kernel_init=nn.initializers.he_normal(), dtype=self.dtype, name=name)
            aux[name] = x = nn.relu(dense(x))
            x = Dropout(c.dropout)(x, None if keys is None else jax.vmap(lambda k, i=i: jax.random.fold_in(k, i))(keys))
        return nn.Dense(scores_of(c.conditions), name="out")(x.astype(jnp.float32)), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image is too small, there is nothing to classify, or an option is out of range.
    """
    shape, least = config.image_shape or (), 2 ** len(config.widths)
    if not 0 <= config.dropout < 1 or min((*config.hidden, *config.widths, *config.depths)) < 1:
        raise UserError("vgg: dropout must be 0 to below 1, widths, depths and hidden at least 1")
    if len(config.widths) != len(config.depths):
        raise UserError(f"vgg: {len(config.widths)} widths and {len(config.depths)} depths; give one of each a stage")
    if len(shape) != 3 or min(shape[:2]) < least:
        raise UserError(f"vgg: image_shape {shape}: sides must be at least {least}; set --data.image-size")
    scores_of(config.conditions)
    return {"classifier": Network(VGGClassifier(config, dtype, axis_name), lambda: (jnp.zeros((2, *shape)),))}


# Without BatchNorm, Adam's usual rate is too large at this depth; warm-up keeps the first steps small.
_ADAM = Optimizer(learning_rate=1e-4, schedule="cosine", warmup_steps=200, clip_norm=1.0)
_SGD = Optimizer(name="sgd", learning_rate=0.05, b1=0.9, nesterov=True, schedule="cosine", warmup_steps=50, l2=5e-4)
_DEPTHS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": DEPTHS}

PRESETS = {
    "default": Run(
        Config(widths=(32, 64, 128), depths=(1, 1, 2), hidden=(128,), norm=True),
        Classifier(label_smoothing=0.1),
        _SGD,
        Data(crop=2),
        Train(steps=1500, batch=64, save_every=500),
    ),
    **{
        f"{layers}{'bn' if norm else ''}": Run(
            Config(depths=depths, norm=norm),
            Classifier(),
            _SGD if norm else _ADAM,
            Data(),
            Train(steps=10_000, batch=32, save_every=500),
        )
        for norm in (False, True)
        for layers, depths in _DEPTHS.items()
    },
    "tiny": Run(
        Config(widths=(4, 8), depths=(1, 2), hidden=(8,)),
        Classifier(),
        Optimizer(learning_rate=1e-3),
        Data(),
        Train(steps=4, batch=8, log_every=1, save_every=2, samples=4),
    ),
}
