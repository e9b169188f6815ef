"""The convolutions of VGG networks, whose activations style transfer and LPIPS compare.

Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556,
table 1. The published weights are `genart_jax.assets.load("vgg19")`.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.nn.conv import Conv
from genart_jax.nn.pool import avg_pool, max_pool

WIDTHS, DEPTHS = (64, 128, 256, 512, 512), (2, 2, 4, 4, 4)
"""Channels and convolutions of VGG19's stages (configuration E)."""


def names(depths: Sequence[int] = DEPTHS) -> list[str]:
    """The names of the intermediates in their order: conv1_1, relu1_1, ..., pool1, conv2_1, ..."""
    stages = [[f"{kind}{i}_{j + 1}" for j in range(n) for kind in ("conv", "relu")] for i, n in enumerate(depths, 1)]
    return [name for i, stage in enumerate(stages, 1) for name in (*stage, f"pool{i}")]


class VGG(nn.Module):
    """Images (batch, height, width, channels) in [-1, 1] -> the last wanted intermediate, and all up to it by name.

    A constant "mean" (channels,), 0 in a new network, is subtracted first. Each stage ends with a pooling of 2x2.

    Attributes:
      widths, depths: channels and convolutions of each stage.
      pooling: "max", or "avg" as Gatys et al. 2016 advise for synthesis.
      until: name of the last intermediate that is wanted; the layers after it are not there at all. None: all.
      norm: BatchNorm after each convolution, which then has no bias.
      axis_name: of devices that take its statistics together.
    """

    widths: Sequence[int] = WIDTHS
    depths: Sequence[int] = DEPTHS
    pooling: str = "max"
    until: str | None = None
    dtype: DTypeLike = jnp.float32
    norm: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """What a convolution gives (after BatchNorm, if any) is conv1_1, the same after ReLU relu1_1, and what a
        pooling gives pool1.
        """
        aux: dict[str, jax.Array] = {}
        mean = self.variable("constants", "mean", jnp.zeros, (images.shape[-1],)).value
        x = (images - mean).astype(self.dtype)
        pool = max_pool if self.pooling == "max" else avg_pool
        for name in names(self.depths):
            if name.startswith("conv"):
                init, width = nn.initializers.he_normal(), self.widths[int(name[4:].partition("_")[0]) - 1]
                x = Conv(width, (3, 3), use_bias=not self.norm, kernel_init=init, dtype=self.dtype, name=name)(x)
                if self.norm:
                    x = nn.BatchNorm(
                        not train, momentum=0.9, dtype=self.dtype, axis_name=self.axis_name,
                        name=name.replace("conv", "norm"),
                    )(x)  # fmt: skip
            else:
                x = nn.relu(x) if name.startswith("relu") else checkpoint_name(pool(x, (2, 2), (2, 2)), "stage")
            aux[name] = x
            if name == self.until:
                break
        return x, aux
