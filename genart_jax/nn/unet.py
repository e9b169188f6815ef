"""A U-Net for pictures of any size, and the small network beside it that sees the whole picture at once.

Ronneberger et al. 2015, "U-Net: convolutional networks for biomedical image segmentation", arXiv:1505.04597, figure 1,
with residual blocks, without normalisation (so that a tile is what the whole picture would be there), and with skips
that are added instead of joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.nn.conv import Conv
from genart_jax.nn.residual import DownConv, UpConv

_init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def multiple(widths: Sequence[int]) -> int:
    """What sides of pictures, and places of tiles, are multiples of: 2^halvings."""
    return 2 ** (len(widths) - 1)


def reach(widths: Sequence[int], blocks: int) -> int:
    """How many pixels away what matters to a pixel may lie, rounded up to whole multiples."""
    levels = len(widths) - 1
    convolutions = 2 * blocks
    pixels = 2 + sum(2**i * (2 * convolutions + 4) for i in range(levels)) + 2**levels * (convolutions + 1)
    return -(-pixels // 2**levels) * 2**levels


def padded(x: jax.Array, side: int) -> jax.Array:
    """(batch, H, W, C) with edge pixels repeated below and to the right, up to multiples of `side`."""
    fill = [(0, 0), (0, -x.shape[1] % side), (0, -x.shape[2] % side), (0, 0)]
    return jnp.pad(x, fill, mode="edge") if any(after for _, after in fill) else x


class Block(nn.Module):
    """x + F(x): two 3x3 convolutions with ReLU between, or, gated, with sigma(a) * elu(b) (Yu et al. 2019, eq. 5).

    What the overview told, (batch, n), scales and shifts the channels in between (Perez et al. 2018, FiLM).
    """

    gated: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, told: jax.Array | None = None) -> jax.Array:
        """(batch, height, width, channels) -> the same."""
        width = x.shape[-1]
        conv = lambda size, name: Conv(size, (3, 3), kernel_init=_init, dtype=self.dtype, name=name)
        y = conv(2 * width if self.gated else width, "conv_0")(x)
        if told is not None:
            terms = nn.Dense(2 * y.shape[-1], dtype=self.dtype, kernel_init=_init, name="told")(told)
            scale, shift = jnp.split(0.1 * terms[:, None, None, :], 2, axis=-1)
            y = y * (1.0 + scale) + shift
        if self.gated:
            gate, value = jnp.split(y, 2, axis=-1)
            y = nn.sigmoid(gate) * nn.elu(value)
        else:
            y = nn.relu(y)
        return x + 0.3 * conv(width, "conv_1")(y)


class UNet(nn.Module):
    """Pictures (batch, height, width, channels) of any size -> (batch, height, width, out), zeros in a new network.

    Attributes:
      widths: channels at each resolution, the largest first; each has half the sides of the one before.
      out: channels of the result.
      blocks: at each resolution, on the way down and on the way up.
      gated: what the blocks are made of; see `Block`.
    """

    widths: Sequence[int]
    out: int
    blocks: int = 1
    gated: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, told: jax.Array | None = None) -> jax.Array:
        """`told` (batch, n): what holds for all of a picture."""
        height, width = images.shape[1:3]
        x = Conv(self.widths[0], (3, 3), kernel_init=_init, dtype=self.dtype, name="first")(
            padded(images, multiple(self.widths))
        )
        block = lambda x, name: Block(self.gated, self.dtype, name=name)(x, told)
        skips = []
        for i, size in enumerate(self.widths):
            if i:
                skips.append(x)
                x = DownConv(size, self.dtype, _init, name=f"down_{i}")(x)
            for j in range(self.blocks):
                x = block(x, f"encode_{i}_{j}")
        for i in reversed(range(len(self.widths) - 1)):
            x = UpConv(self.widths[i], self.dtype, _init, name=f"up_{i}")(x) + skips.pop()
            for j in range(self.blocks):
                x = block(x, f"decode_{i}_{j}")
        x = Conv(self.out, (3, 3), kernel_init=nn.initializers.zeros, dtype=self.dtype, name="out")(x)
        return x[:, :height, :width].astype(jnp.float32)


class Overview(nn.Module):
    """Small pictures (batch, side, side, channels) -> what they tell as a whole, (batch, out) float32.

    Attributes:
      width: channels of the first of three convolutions, each of which halves the sides and doubles the channels.
      out: numbers that are told.
    """

    width: int
    out: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Also returns `pooled`, the mean over places of the last activations."""
        x = images
        for i in range(3):
            conv = Conv(self.width * 2**i, (3, 3), 2, kernel_init=_init, dtype=self.dtype, name=f"conv_{i}")
            x = nn.leaky_relu(conv(x), 0.2)
        pooled = jnp.mean(x.astype(jnp.float32), axis=(1, 2))
        return nn.Dense(self.out, name="out")(pooled), {"pooled": pooled}
