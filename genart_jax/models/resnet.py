"""Residual networks as classifiers.

- He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", arXiv:1512.03385: blocks of two 3x3
  convolutions (figure 5, left) or of 1x1, 3x3 and 1x1 (right), table 1; for small pictures a first 3x3 convolution of
  stride 1 and no pooling (section 4.2). A halving is done by the 3x3 convolution, as all published weights have it.
- He, Zhang, Zhang et al. 2019, "Bag of tricks for image classification with convolutional neural networks",
  arXiv:1812.01187: ResNet-D, whose shortcuts average before they halve, and whose first convolution is three of 3x3
  (figure 2, c and b).
- Huang, Sun, Liu, Sedra & Weinberger 2016, "Deep networks with stochastic depth", arXiv:1603.09382: in training a
  block's branch is left out of an example with a probability that grows with depth (eq. 4); what is kept is divided by
  the probability of keeping it, so that nothing changes in evaluation.

Weights of torchvision and timm are read from a user's file: `genart train resnet --init-from FILE` (docs/pictures.md).

Presets:

- `default`: `genart train resnet --model.label style`. A small one for 32 px.
- `18`, `34`, `50`: as published, for 224 px; 11,689,512, 21,797,672 and 25,557,032 parameters at 1,000 classes.
- `18d`, `50d`: ResNet-D. Not measured here.
- `tiny`: for tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, UserError, scores_of
from genart_jax.nn import random
from genart_jax.nn.conv import Conv
from genart_jax.nn.pool import avg_pool, max_pool
from genart_jax.types import Network, Output

Condition = Mapping[str, jax.Array] | None

he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_STRIDES = {"small": 1, "plain": 4, "deep": 4}


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture of a residual network."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); at the last stage a pixel must be left."""
    label: str | None = None
    """The condition to classify; None: those of `conditions`, or the data's first."""
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    """(label, number of classes), or the labels alone; several have a head each. None: `label` alone."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each stage's 3x3 convolutions; each stage but the first halves the picture."""
    depths: tuple[int, ...] = (1, 1, 1)
    """Blocks of each stage."""
    bottleneck: bool = False
    """Blocks of 1x1, 3x3 and 1x1 convolutions, the last of four times the width, in place of two 3x3."""
    stem: Literal["small", "plain", "deep"] = "small"
    """The first layers: one 3x3 convolution of stride 1; one 7x7 of stride 2 and a pooling; three 3x3 in its place."""
    pooled_shortcut: bool = False
    """Shortcuts average 2x2 before their 1x1 convolution, which then has no stride."""
    drop_path: float = 0.0
    """Probability that the last block's branch is left out of an example in training; linear from 0 for the first."""
    dropout: float = 0.0
    """Rate of dropout before the dense layer."""


class _Layers(nn.Module):
    """A convolution without bias, with its BatchNorm; called "conv_0" and "norm_0" and so on in what uses it."""

    features: int
    side: int
    stride: int = 1
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(batch, height, width, .) -> the same divided by the stride, `features` channels."""
        pad = (self.side // 2, self.side // 2)
        x = Conv(
            self.features, (self.side, self.side), (self.stride, self.stride), padding=(pad, pad), use_bias=False,
            kernel_init=he, dtype=self.dtype, name="conv",
        )(x)  # fmt: skip
        norm = nn.BatchNorm(not train, momentum=0.9, dtype=self.dtype, axis_name=self.axis_name, name="norm")
        normed: jax.Array = norm(x)
        return normed


class Block(nn.Module):
    """relu(shortcut(x) + branch(x)); see the module's docstring."""

    width: int
    stride: int
    config: Config
    drop: float
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, keys: jax.Array | None) -> jax.Array:
        """(batch, height, width, .) -> the same divided by the stride, `width` channels (four times as many)."""
        c = self.config
        options: dict[str, Any] = {"dtype": self.dtype, "axis_name": self.axis_name}
        shapes = [(self.width, 3, self.stride), (self.width, 3, 1)]
        if c.bottleneck:
            shapes = [(self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1)]
        y = x
        for i, (features, side, stride) in enumerate(shapes):
            y = _Layers(features, side, stride, name=f"layer_{i}", **options)(y, train)
            y = nn.relu(y) if i + 1 < len(shapes) else y
        if x.shape != y.shape:
            pooled = c.pooled_shortcut and self.stride > 1
            x = avg_pool(x, (2, 2), (2, 2), _to_even(x)) if pooled else x
            x = _Layers(y.shape[-1], 1, 1 if pooled else self.stride, name="shortcut", **options)(x, train)
        if self.drop and keys is not None:
            kept = random.uniform(keys) >= self.drop
            y = jnp.where(kept[:, None, None, None], y / (1 - self.drop), 0.0).astype(y.dtype)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> logits (batch, classes of all conditions)."""

    config: Config
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition = None, train: bool = False, keys: jax.Array | None = None
    ) -> Output:
        """`keys` (batch,) for what is left out in training. Also returns each stage, and `pooled` (batch, channels).

        A constant "mean" (channels,), 0 in a new network, is subtracted first, for published weights.
        """
        c, aux = self.config, dict[str, jax.Array]()
        options: dict[str, Any] = {"dtype": self.dtype, "axis_name": self.axis_name}
        mean = self.variable("constants", "mean", jnp.zeros, (images.shape[-1],)).value
        x = (images - mean).astype(self.dtype)
        narrow = max(1, c.widths[0] // 2)
        stems = {"small": [(c.widths[0], 3, 1)], "plain": [(c.widths[0], 7, 2)]}
        for i, shape in enumerate(stems.get(c.stem, [(narrow, 3, 2), (narrow, 3, 1), (c.widths[0], 3, 1)])):
            x = nn.relu(_Layers(*shape, name=f"stem_{i}", **options)(x, train))
        x = x if c.stem == "small" else max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        blocks = [(i, j) for i, depth in enumerate(c.depths) for j in range(depth)]
        for index, (i, j) in enumerate(blocks):
            drop = c.drop_path * index / max(1, len(blocks) - 1)
            own = None if keys is None else random.example_streams(keys, f"path_{index}")
            stride = 2 if i and not j else 1
            x = Block(c.widths[i], stride, c, drop, name=f"stage_{i}_block_{j}", **options)(x, train, own)
            x = aux[f"stage_{i}"] = checkpoint_name(x, "stage")
        aux["pooled"] = x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        init = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
        return nn.Dense(scores_of(c.conditions), kernel_init=init, name="out")(random.Dropout(c.dropout)(x, keys)), aux


def _to_even(x: jax.Array) -> tuple[tuple[int, int], ...]:
    """Padding with which windows of 2x2 cover every pixel."""
    return tuple((0, side % 2) for side in x.shape[1:3])


def networks(config: Config, dtype: DTypeLike = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role, for a resolved Config.

    Raises:
      UserError: the image is too small, there is nothing to classify, or an option is out of range.
    """
    c, shape = config, config.image_shape or ()
    least = _STRIDES[c.stem] * 2 ** (len(c.widths) - 1)
    if len(c.widths) != len(c.depths) or min((*c.widths, *c.depths), default=0) < 1:
        raise UserError("resnet: widths and depths must have one entry a stage, of 1 or more")
    if not (0 <= c.drop_path < 1 and 0 <= c.dropout < 1):
        raise UserError("resnet: drop_path and dropout must be 0 to below 1")
    if len(shape) != 3 or min(shape[:2]) < least:
        raise UserError(f"resnet: image_shape {shape}: sides must be at least {least}; set --data.image-size")
    scores_of(c.conditions)
    return {"classifier": Network(ResNet(config, dtype, axis_name), lambda: (jnp.zeros((2, *shape)),))}


_SGD = Optimizer(name="sgd", learning_rate=0.05, b1=0.9, nesterov=True, schedule="cosine", warmup_steps=50, l2=5e-4)
_LARGE = Config(widths=(64, 128, 256, 512), stem="plain")
_DEEP = dataclasses.replace(_LARGE, stem="deep", pooled_shortcut=True)


def _published(config: Config, depths: tuple[int, ...], bottleneck: bool = False) -> Run:
    config = dataclasses.replace(config, depths=depths, bottleneck=bottleneck)
    return Run(config, Classifier(label_smoothing=0.1), _SGD, Data(flip=True), Train(steps=10_000, batch=64))


PRESETS = {
    "default": Run(
        Config(), Classifier(label_smoothing=0.1), _SGD, Data(crop=2), Train(steps=1500, batch=64, save_every=500)
    ),
    "18": _published(_LARGE, (2, 2, 2, 2)),
    "34": _published(_LARGE, (3, 4, 6, 3)),
    "50": _published(_LARGE, (3, 4, 6, 3), bottleneck=True),
    "18d": _published(_DEEP, (2, 2, 2, 2)),
    "50d": _published(_DEEP, (3, 4, 6, 3), bottleneck=True),
    "tiny": Run(
        Config(widths=(4, 8), depths=(1, 1)),
        Classifier(),
        Optimizer(learning_rate=1e-3, eps=1e-4),  # gradients before a BatchNorm are 0 but for rounding
        Data(),
        Train(steps=4, batch=8, log_every=1, save_every=2, samples=4),
    ),
}
