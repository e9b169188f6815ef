"""The convolutional encoder and decoder of VQGAN and of latent diffusion's autoencoders.

Esser, Rombach & Ommer 2021, "Taming transformers for high-resolution image synthesis", arXiv:2012.09841, table 7:
stages of residual blocks of GroupNorm and SiLU, and attention in the middle.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.config import UserError
from genart_jax.nn.conv import Conv
from genart_jax.nn.residual import doubled

LOWER_RIGHT = ((0, 1), (0, 1))
_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Judged:
    """What the Configs of autoencoders with judges share."""

    image_shape: tuple[int, ...] | None = None
    """(height, width, channels); each side a multiple of 2 to the power of the stages less one."""
    widths: tuple[int, ...] = (32, 64, 64)
    """Channels of each stage, the largest pictures first."""
    blocks: int = 1
    """Residual blocks of a stage of the encoder; the decoder has one more."""
    groups: int = 8
    """Groups of each normalisation; divides every width."""
    features: str = "vgg19"
    """Network whose activations are compared: vgg19, lite0, or random."""
    critic_width: int = 32
    """Channels of the critic's first convolution."""
    critic_depth: int = 2
    """How often the critic halves."""


class Block(nn.Module):
    """Two of GroupNorm, SiLU and a 3x3 convolution, added to the input, by way of a 1x1 one where the width changes."""

    width: int
    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same, `width` channels."""
        y = x
        for i in range(2):
            y = nn.silu(nn.GroupNorm(self.groups, epsilon=_EPSILON, dtype=self.dtype, name=f"norm_{i}")(y))
            y = Conv(self.width, (3, 3), dtype=self.dtype, name=f"conv_{i}")(y)
        if x.shape[-1] != self.width:
            x = Conv(self.width, (1, 1), dtype=self.dtype, name="shortcut")(x)
        return x + y


class Attention(nn.Module):
    """x + W_o softmax(q k' / sqrt(channels)) v over all places, of the normalised x; one head."""

    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same."""
        batch, *_, size = x.shape
        y = nn.GroupNorm(self.groups, epsilon=_EPSILON, dtype=self.dtype, name="norm")(x).reshape(batch, -1, size)
        # A bias of the keys adds the same to all products of a query, so the softmax does not see it.
        query, key, value = (
            nn.Dense(size, use_bias=name != "key", dtype=self.dtype, name=name)(y) for name in ("query", "key", "value")
        )
        products = jnp.einsum("bic,bjc->bij", query * size**-0.5, key, preferred_element_type=jnp.float32)
        y = jnp.einsum("bij,bjc->bic", nn.softmax(products, axis=-1).astype(value.dtype), value)
        return x + nn.Dense(size, dtype=self.dtype, name="out")(y).reshape(x.shape)


class Middle(nn.Module):
    """A block, self-attention, and a block."""

    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same."""
        x = Block(x.shape[-1], self.groups, self.dtype, name="block_0")(x)
        x = Attention(self.groups, self.dtype, name="attention")(x)
        return Block(x.shape[-1], self.groups, self.dtype, name="block_1")(x)


def down(
    x: jax.Array, widths: tuple[int, ...], blocks: int, groups: int, dtype: DTypeLike
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Inside a module: images (batch, height, width, channels) -> features of the smallest stage, normalised and
    float32, and each stage's activations by name.
    """
    aux = dict[str, jax.Array]()
    x = Conv(widths[0], (3, 3), dtype=dtype, name="in")(x.astype(dtype))
    for i, width in enumerate(widths):
        for j in range(blocks):
            x = Block(width, groups, dtype, name=f"stage_{i}_block_{j}")(x)
        aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
        if i + 1 < len(widths):
            x = Conv(width, (3, 3), (2, 2), LOWER_RIGHT, dtype=dtype, name=f"stage_{i}_down")(x)
    x = Middle(groups, dtype, name="middle")(x)
    return nn.silu(nn.GroupNorm(groups, epsilon=_EPSILON, dtype=dtype, name="norm")(x)).astype(jnp.float32), aux


def up(
    x: jax.Array, widths: tuple[int, ...], blocks: int, groups: int, channels: int, dtype: DTypeLike
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Inside a module: the smallest stage's features -> images (batch, height, width, `channels`), and each stage's
    activations by name. The last layer is `out`.
    """
    aux = dict[str, jax.Array]()
    x = Conv(widths[-1], (3, 3), dtype=dtype, name="in")(x)
    x = Middle(groups, dtype, name="middle")(x)
    for i, width in enumerate(reversed(widths)):
        if i:
            x = Conv(x.shape[-1], (3, 3), dtype=dtype, name=f"stage_{i - 1}_up")(doubled(x))
        for j in range(blocks + 1):
            x = Block(width, groups, dtype, name=f"stage_{i}_block_{j}")(x)
        aux[f"stage_{i}"] = x = checkpoint_name(x, "stage")
    x = nn.silu(nn.GroupNorm(groups, epsilon=_EPSILON, dtype=dtype, name="norm")(x)).astype(jnp.float32)
    return Conv(channels, (3, 3), name="out")(x), aux


def check(name: str, shape: tuple[int, ...], widths: tuple[int, ...], groups: int, *sizes: int) -> tuple[int, int]:
    """(height, width) of the smallest stage.

    Raises:
      UserError: pictures that do not halve so often, or sizes that do not fit together.
    """
    if not widths or min(*widths, groups, *sizes) < 1:
        raise UserError(f"{name}: widths and all sizes must be at least 1")
    if wrong := [width for width in widths if width % groups]:
        raise UserError(f"{name}: {wrong[0]} channels do not make {groups} groups; set model.groups")
    times = 2 ** (len(widths) - 1)
    if len(shape) != 3 or shape[0] % times or shape[1] % times:
        raise UserError(f"{name}: image_shape {shape}: sides must be multiples of {times}")
    return shape[0] // times, shape[1] // times
