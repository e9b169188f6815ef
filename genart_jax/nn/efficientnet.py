"""The convolutions of EfficientNet-lite (Tan & Le 2019), for its classifier and as features of other models.

The block is MBConv of Sandler et al. 2018, arXiv:1801.04381. Parameters have the same paths wherever `trunk` is called,
so published weights fit them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.nn.conv import Conv


class Layers(NamedTuple):
    """Convolution and BatchNorm, named in whatever module calls them."""

    dtype: DTypeLike
    axis_name: str | None
    train: bool

    def __call__(
        self, x: jax.Array, name: str, features: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> jax.Array:
        """(batch, height, width, .) -> the same divided by the stride, `features` channels."""
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        x = Conv(
            features, (kernel, kernel), (stride, stride), feature_group_count=groups, use_bias=False, kernel_init=init,
            dtype=self.dtype, name=name,
        )(x)  # fmt: skip
        return nn.BatchNorm(
            not self.train, momentum=0.99, epsilon=1e-3, use_bias=bias, dtype=self.dtype, axis_name=self.axis_name,
            name=f"{name}_norm",
        )(x)  # fmt: skip


def relu6(x: jax.Array) -> jax.Array:
    """The part of x in [0, 6]."""
    return jnp.clip(x, 0.0, 6.0)


class Block(nn.Module):
    """An inverted residual block: widen by 1x1, filter each channel, narrow by 1x1; the sum where shapes agree."""

    width: int
    kernel: int
    stride: int
    expand: int
    bias: bool = True
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    drop: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, keys: jax.Array | None = None) -> jax.Array:
        """(batch, height, width, channels) -> the same divided by the stride, `width` channels.

        With `keys` (batch,), the branch is left out of an example with probability `drop`, where there is a sum; what
        is kept is divided by the probability of keeping it.
        """
        inputs = x
        layer = Layers(self.dtype, self.axis_name, train)
        if self.expand > 1:
            x = relu6(layer(x, "expand", x.shape[-1] * self.expand, 1))
        x = relu6(layer(x, "depthwise", x.shape[-1], self.kernel, self.stride, x.shape[-1]))
        x = layer(x, "project", self.width, 1, bias=self.bias)
        if x.shape != inputs.shape:
            return x
        if self.drop and keys is not None:
            kept = random.uniform(keys) >= self.drop
            x = jnp.where(kept[:, None, None, None], x / (1 - self.drop), 0.0).astype(x.dtype)
        return x + inputs


def trunk(
    layers: Layers,
    images: jax.Array,
    widths: Sequence[int],
    depths: Sequence[int],
    kernels: Sequence[int],
    strides: Sequence[int],
    expand: int,
    stem: int,
    bias: bool,
    last: str = "",
    drop: float = 0.0,
    keys: jax.Array | None = None,
) -> dict[str, jax.Array]:
    """Stem and blocks on images in [-1, 1], in the module that calls it: stem, block_0, block_1, ... up to `last`.

    `widths` to `strides` have one entry a stage: channels, blocks, side of the depthwise kernels, stride of the first
    block. In training with `keys` (batch,), blocks are left out with a probability that is linear from 0 to `drop` for
    the last (Huang et al. 2016, eq. 4).
    """
    # The published network's input is (pixel - 127) / 128.
    x = (images * (127.5 / 128.0) + 0.5 / 128.0).astype(layers.dtype)
    aux = {"stem": relu6(layers(x, "stem", stem, 3, 2))}
    for stage, (width, depth, kernel, stride) in enumerate(zip(widths, depths, kernels, strides, strict=True)):
        for i in range(depth):
            if last in aux:
                return aux
            name, wider = f"block_{len(aux) - 1}", expand if stage else 1
            share = drop * (len(aux) - 1) / max(1, sum(depths) - 1)
            block = Block(
                width, kernel, stride if i == 0 else 1, wider, bias, layers.dtype, layers.axis_name, share, name=name
            )
            own = random.example_streams(keys, name)
            aux[name] = checkpoint_name(block([*aux.values()][-1], layers.train, own), "stage")
    return aux


class Taken(Protocol):
    """What a model's Config says of a feature network, and of what is taken of it."""

    @property
    def enlarge(self) -> int:
        """Pictures are enlarged so many times before it."""

    @property
    def layers(self) -> tuple[str, ...]:
        """What is taken."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks."""

    @property
    def kernels(self) -> tuple[int, ...]:
        """Side of the depthwise kernels."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of the first block."""

    @property
    def expand(self) -> int:
        """How many times more channels blocks have inside."""

    @property
    def stem(self) -> int:
        """Channels of the first convolution."""


def check_taken(model: str, config: Taken) -> None:
    """Refuses stages that do not fit together, and layers that are not there or not in their order.

    Raises:
      UserError: so it is; `model` is named.
    """
    stages = (config.widths, config.depths, config.kernels, config.strides)
    if len({len(values) for values in stages}) != 1 or min(min(values, default=0) for values in stages) < 1:
        raise UserError(f"{model}: widths, depths, kernels and strides must have one entry a stage, of 1 or more")
    known, layers = ["stem", *(f"block_{i}" for i in range(sum(config.depths)))], config.layers
    if not layers or any(name not in known for name in layers) or sorted(layers, key=known.index) != [*layers]:
        raise UserError(f"{model}: layers {layers}: wanted some of {known[0]} to {known[-1]}, in their order")


class Maps(nn.Module):
    """Images (batch, height, width, 1 or 3) in [-1, 1] -> maps of the layers that are taken, in their order.

    Attributes:
      config: which.
      pixels: the images themselves come before the maps.
    """

    config: Taken
    pixels: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[tuple[jax.Array, ...], dict[str, jax.Array]]:
        """As in evaluation. Also returns every intermediate."""
        c = self.config
        n, height, width, channels = images.shape
        x = images if channels == 3 else jnp.broadcast_to(images, (n, height, width, 3))
        if c.enlarge > 1:
            x = jax.image.resize(x, (n, height * c.enlarge, width * c.enlarge, 3), "linear")
        sizes = c.widths, c.depths, c.kernels, c.strides
        aux = trunk(Layers(self.dtype, None, train=False), x, *sizes, c.expand, c.stem, bias=True, last=c.layers[-1])
        maps = tuple(aux[name] for name in c.layers)
        return ((images, *maps) if self.pixels else maps), aux
