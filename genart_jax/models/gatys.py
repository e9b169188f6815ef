"""Style transfer: a picture with one picture's content and another's style, found by descent on its pixels.

Gatys, Ecker & Bethge 2016, "Image style transfer using convolutional neural networks", CVPR. The loss is equation 7,
alpha * content + beta * style, of the activations of VGG19 (conv4_2 for content, equation 1; conv1_1 to conv5_1 with
equal weights for style, equations 3 to 5), and a little total variation. As published: average pooling, L-BFGS, and
the style brought to the content's size. Other than published: the activations are taken after ReLU, each
layer's losses are relative to the target's size (so that neither the picture's size nor the network's scale changes
the balance), and the picture starts as the content, not as noise: what is trained is
its difference from the content, which a finer scale takes from a coarser one.

`genart stylize CONTENT STYLE --out FILE` goes through the scales; each is a run of this model. Presets:

- `default`: VGG19 with its published weights (`genart assets fetch vgg19`).
- `tiny`: two small stages with random kernels, for tests.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Data, Optimizer, Pixels, Run, Train, UserError
from genart_jax.nn.vgg import DEPTHS, VGG, WIDTHS, names
from genart_jax.types import Network


@dataclasses.dataclass(frozen=True)
class Config:
    """The network whose activations are compared."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels) of the picture."""
    features: str = "asset:vgg19"
    """Where the network's weights are from; empty: random."""
    widths: tuple[int, ...] = WIDTHS
    """Channels of each of its stages."""
    depths: tuple[int, ...] = DEPTHS
    """Convolutions of each of its stages."""
    pooling: Literal["max", "avg"] = "avg"
    """What a pooling takes of four pixels: the largest, or the mean."""
    content_layers: tuple[str, ...] = ("relu4_2",)
    """Layers that hold the content."""
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    """Layers that hold the style."""


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: an unknown layer, or a picture that is too small for the last one.
    """
    c, shape = config, config.image_shape or ()
    known, wanted = names(c.depths), (*c.content_layers, *c.style_layers)
    if not c.content_layers or not c.style_layers or len(c.widths) != len(c.depths):
        raise UserError("gatys: wanted a content layer, a style layer, and as many widths as depths")
    for name in wanted:
        if name not in known:
            raise UserError(f"gatys: layer {name!r} is unknown; there are {known[0]} to {known[-1]}")
    last = max(wanted, key=known.index)
    least = 2 ** sum(name.startswith("pool") for name in known[: known.index(last) + 1])
    if len(shape) != 3 or min(shape[:2]) < least:
        raise UserError(f"gatys: image_shape {shape}: sides must be at least {least} for {last}")
    features = VGG(c.widths, c.depths, c.pooling, until=last, dtype=dtype)
    return {"features": Network(features, lambda: (jnp.zeros((1, *shape)),), c.features or "random")}


PRESETS = {
    "default": Run(
        Config(),
        Pixels(),
        Optimizer(name="lbfgs", learning_rate=1.0),
        Data(),
        Train(steps=100, batch=1, log_every=5, sample_every=20, save_every=20, samples=1),
    ),
    "tiny": Run(
        Config(
            features="", widths=(4, 8), depths=(1, 2), content_layers=("relu2_2",), style_layers=("relu1_1", "relu2_1")
        ),
        Pixels(),
        Optimizer(name="lbfgs", learning_rate=1.0),
        Data(),
        Train(steps=4, batch=2, log_every=1, sample_every=2, save_every=2, samples=4),
    ),
}
