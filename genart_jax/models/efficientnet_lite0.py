"""EfficientNet-lite0: inverted residual blocks of depthwise convolutions, without squeeze-and-excitation.

Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", arXiv:1905.11946, table 1,
in the lite form that its authors published in 2020 (no squeeze-and-excitation, ReLU6 in place of swish, stem and head
not scaled); the block is MBConv of Sandler et al. 2018, arXiv:1801.04381. The published weights, of 1,000 ImageNet
classes at 224 px, are `genart_jax.assets.load("efficientnet_lite0")`; `genart predict efficientnet_lite0 PICTURE`.

Presets:

- `default`: the published network. `genart train efficientnet_lite0 --data folder:DIR --data.image-size 224`.
- `small`: for 32 to 64 px, 13 layers of blocks. `genart train efficientnet_lite0 --preset small`. Not measured here.
- `finetune` and `probe`: from the published weights, all of it or the last layer alone, for few pictures of one's own:
  `genart train efficientnet_lite0 --preset probe --init-from asset:efficientnet_lite0 --data folder:DIR`.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, UserError, scores_of
from genart_jax.nn.efficientnet import Layers, relu6, trunk
from genart_jax.nn.random import Dropout
from genart_jax.nn.resample import bicubic
from genart_jax.types import Network

Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of an EfficientNet-lite; one entry a stage where there are several."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels), of any size."""
    label: str | None = None
    """The condition to classify; None: those of `conditions`, or the data's first."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """(label, number of classes), or the labels alone; several have a head each. None: `label` alone."""
    widths: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    """Channels."""
    depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    """Blocks."""
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    """Side of the depthwise kernels."""
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    """Stride of the first block."""
    expand: int = 6
    """How many times more channels a block has inside (not in the first stage)."""
    stem: int = 32
    """Channels of the first convolution, which has stride 2."""
    head: int = 1280
    """Channels of the last convolution."""
    dropout: float = 0.2
    """Rate of dropout before the dense layer."""
    drop_path: float = 0.0
    """Probability that the last block's branch is left out of an example in training; linear from 0 for the first."""
    project_bias: bool = True
    """A bias in each block's last BatchNorm; it serves the published weights alone, as the next BatchNorm undoes it."""
    enlarge: int = 1
    """Pictures are enlarged so many times before the first convolution; published weights have seen 224 pixels."""


class EfficientNetLite(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> logits (batch, classes of all conditions)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`keys` (batch,) for dropout in training.

        Also returns every intermediate: stem, block_0, block_1, ..., head (after ReLU6), and pooled (batch, head).
        """
        c = self.config
        layers = Layers(self.dtype, self.axis_name, train)
        aux = trunk(
            layers, bicubic(images, c.enlarge), c.widths, c.depths, c.kernels, c.strides, c.expand, c.stem,
            c.project_bias, drop=c.drop_path, keys=keys,
        )  # fmt: skip
        x = [*aux.values()][-1]
        aux["head"] = x = relu6(layers(x, "head", c.head, 1))
        aux["pooled"] = x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        init = nn.initializers.variance_scaling(1.0 / 3.0, "fan_out", "uniform")
        return nn.Dense(scores_of(c.conditions), kernel_init=init, name="out")(Dropout(c.dropout)(x, keys)), aux


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: there is nothing to classify, or an option is out of range.
    """
    c, shape = config, config.image_shape or ()
    stages = (c.widths, c.depths, c.kernels, c.strides)
    if len({len(values) for values in stages}) != 1 or min(min(values, default=0) for values in stages) < 1:
        raise UserError(
            "efficientnet_lite0: widths, depths, kernels and strides must have one entry a stage, of 1 or more"
        )
    if not (0 <= c.dropout < 1 and 0 <= c.drop_path < 1) or min(c.stem, c.head, c.expand, c.enlarge) < 1:
        raise UserError(
            "efficientnet_lite0: dropout and drop_path must be 0 to below 1, stem, head, expand and enlarge at least 1"
        )
    if len(shape) != 3:
        raise UserError(f"efficientnet_lite0: image_shape {shape}: wanted (height, width, channels)")
    scores_of(c.conditions)
    return {"classifier": Network(EfficientNetLite(config, dtype, axis_name), lambda: (jnp.zeros((2, *shape)),))}


_ADAM = Optimizer(learning_rate=1e-3, schedule="cosine", warmup_steps=100)

PRESETS = {
    "default": Run(Config(), Classifier(), _ADAM, Data(), Train(steps=10_000, batch=32, save_every=500)),
    "small": Run(
        Config(
            widths=(16, 24, 40, 80),
            depths=(1, 2, 2, 2),
            kernels=(3, 3, 5, 3),
            strides=(1, 1, 2, 2),
            expand=4,
            head=256,
            drop_path=0.1,
            project_bias=False,
        ),
        Classifier(label_smoothing=0.1),
        Optimizer(learning_rate=2e-3, schedule="cosine", warmup_steps=100, weight_decay=1e-2),
        Data(crop=2),
        Train(steps=1500, batch=64, save_every=500),
    ),
    "finetune": Run(
        Config(drop_path=0.1),
        Classifier(label_smoothing=0.1, ema_decay=0.99),
        Optimizer(learning_rate=3e-4, schedule="cosine", warmup_steps=20),
        Data(image_size=(128,), flip=True, crop=8),
        Train(steps=300, batch=32, save_every=100),
    ),
    "probe": Run(
        Config(),
        Classifier(probe=True, ema_decay=0.99),
        Optimizer(learning_rate=3e-3, schedule="cosine"),
        Data(image_size=(128,), flip=True),
        Train(steps=300, batch=32, save_every=100),
    ),
    "tiny": Run(
        Config(
            widths=(4, 8), depths=(1, 2), kernels=(3, 3), strides=(1, 2), expand=2, stem=4, head=8, project_bias=False
        ),
        Classifier(),
        # Many gradients are 0 but for rounding, before a BatchNorm; a small eps would make full steps of them.
        Optimizer(learning_rate=1e-3, eps=1e-4),
        Data(),
        Train(steps=4, batch=8, log_every=1, save_every=2, samples=4),
    ),
}
