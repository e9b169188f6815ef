"""The generator of FastGAN, which Projected GAN has too: skip-layer excitation, gated linear units, injected noise.

Liu, Zhu, Song & Elgammal 2021, "Towards faster and stabilized GAN training for high-fidelity few-shot image synthesis",
arXiv:2101.04775, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from genart_jax.nn.conv import Conv, conv, conv_transpose
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.nn.pool import avg_pool
from genart_jax.nn.residual import ConditionalNorm
from genart_jax.nn.style import layer_noise
from genart_jax.types import Condition

Level = tuple[tuple[int, int], int]
"""((height, width), channels) at one resolution."""

kernel_init = nn.initializers.normal(0.02)


def levels_of(shape: tuple[int, ...], base: int, most: int) -> tuple[Level, ...]:
    """The resolutions of pictures (height, width, channels) from the smallest, whose shorter side is 4 to 7.

    Channels are `base` over the side, and at most `most`. Empty where the shape does not halve down so far at least
    twice, or a side is above 1024.
    """
    if len(shape) != 3:
        return ()
    height, width = shape[:2]
    count = 1
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    if max(shape[:2]) > 1024 or not 4 <= min(height, width) <= 7 or count < 3:
        return ()
    return tuple(((height << i, width << i), max(1, min(most, base // (4 << i)))) for i in range(count))


def glu(x: jax.Array) -> jax.Array:
    """Gated linear unit: half of the channels times the sigmoid of the other half (Dauphin et al. 2017)."""
    a, b = jnp.split(x, 2, axis=-1)
    return a * nn.sigmoid(b)


class SkipExcitation(nn.Module):
    """y = F(x_low) * x_high (eq. 1): a low resolution says how strong each channel of a high one is.

    F is average pooling to the smallest resolution, a kernel as large as that, a leaky ReLU of slope 0.1, a linear map
    and a sigmoid.

    Attributes:
      size: (height, width) of the smallest resolution, 4x4 in the paper.
    """

    size: tuple[int, int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, low: jax.Array, high: jax.Array) -> jax.Array:
        """Both (batch, height, width, channels), each of its own; the shape of `high`."""
        window = low.shape[1] // self.size[0], low.shape[2] // self.size[1]
        x = avg_pool(low, window, window).reshape(low.shape[0], -1)
        dense = lambda name, features: nn.Dense(
            features, use_bias=False, kernel_init=kernel_init, dtype=self.dtype, name=name
        )
        x = nn.leaky_relu(dense("squeeze", high.shape[-1])(x), 0.1)
        return high * nn.sigmoid(dense("excite", high.shape[-1])(x))[:, None, None, :]


class Gated(nn.Module):
    """A 3x3 convolution, noise, BatchNorm and a gated linear unit: (batch, H, W, .) -> (batch, H, W, features).

    Attributes:
      up: doubles height and width by nearest neighbour before.
      conditions: that scale and shift BatchNorm.
    """

    features: int
    up: bool = False
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    conditions: tuple[tuple[str, int], ...] = ()

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, noise: jax.Array | None = None, condition: Condition | None = None
    ) -> jax.Array:
        """`noise` (batch or 1, height, width) of the result's size; None: none."""
        kernel = self.param("kernel", kernel_init, (3, 3, x.shape[-1], 2 * self.features))
        if self.up:  # as one transposed convolution, whose kernel is the sum over windows of 2x2
            for axis in (0, 1):
                before, after = ([(0, 0)] * axis + [pad] + [(0, 0)] * (3 - axis) for pad in ((1, 0), (0, 1)))
                kernel = jnp.pad(kernel, before) + jnp.pad(kernel, after)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        x = conv_transpose(x, kernel, strides=2) if self.up else conv(x, kernel)
        if noise is not None:
            x = x + (self.param("noise", nn.initializers.zeros, ()) * noise)[..., None].astype(x.dtype)
        if self.conditions:
            told = ConditionalNorm(self.conditions, self.dtype, self.axis_name, name="norm")
            return glu(told(x, condition or {}, train))
        return glu(norm("norm", train, self.dtype, self.axis_name)(x))


def norm(name: str, train: bool, dtype: DTypeLike, axis_name: str | None) -> nn.BatchNorm:
    """BatchNorm as these networks have it."""
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, axis_name=axis_name, name=name
    )


class Generator(nn.Module):
    """(batch, latent_dim) -> images (batch, height, width, channels) in [-1, 1].

    Each resolution doubles the one before; every other one, from the second on, has a further convolution.

    Attributes:
      levels: see `levels_of`.
      channels: of the pictures.
      embed_dim: length of a condition's vector beside z.
      skip: a resolution is excited by the one so many doublings below it.
      conditional_norm: conditions scale and shift BatchNorm, and z has the first layer for itself.
    """

    levels: tuple[Level, ...]
    channels: int
    conditions: tuple[tuple[str, int], ...]
    embed_dim: int
    skip: int
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    conditional_norm: bool = False
    noisy: ClassVar[bool] = True

    @nn.compact
    def __call__(
        self,
        z: jax.Array,
        condition: Mapping[str, jax.Array] | None = None,
        train: bool = False,
        keys: jax.Array | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`keys` (batch,) for the noise; None: the same for all. Also returns the activations of each stage."""
        options: dict[str, Any] = {"dtype": self.dtype, "axis_name": self.axis_name}
        (size, features), *rest = self.levels
        noise = layer_noise(keys, [at for at, _ in rest for _ in range(2)])
        beside, within = ((), self.conditions) if self.conditional_norm else (self.conditions, ())
        embed = ConditionEmbed(beside, self.embed_dim, dtype=self.dtype, name="embed")
        x = jnp.concatenate([z.astype(self.dtype), *embed(condition, z.shape[0])], axis=-1)
        told: dict[str, Any] = options | {"conditions": within}
        dense = nn.Dense(
            size[0] * size[1] * 2 * features, use_bias=False, kernel_init=kernel_init, dtype=self.dtype, name="in"
        )
        x = dense(x).reshape(-1, *size, 2 * features)
        stages = [checkpoint_name(glu(norm("norm_0", train, **options)(x)), "stage")]
        for i, (_, features) in enumerate(rest, 1):
            x = Gated(features, up=True, name=f"up_{i}", **told)(stages[-1], train, noise[2 * i - 2], condition)
            if i % 2:
                x = Gated(features, name=f"conv_{i}", **told)(x, train, noise[2 * i - 1], condition)
            if i >= self.skip:
                x = SkipExcitation(size, self.dtype, name=f"excite_{i}")(stages[i - self.skip], x)
            stages.append(checkpoint_name(x, "stage"))
        x = Conv(self.channels, (3, 3), kernel_init=kernel_init, dtype=self.dtype, name="out")(stages[-1])
        return jnp.tanh(x).astype(jnp.float32), {f"stage_{i}": stage for i, stage in enumerate(stages)}
