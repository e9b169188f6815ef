"""The layers of style-based generators and of the critics beside them (Karras et al. 2018, 2019, 2020).

Learning rates are equalised: weights start as normal(0, 1) and are scaled by He's constant at run time, so that a step
of Adam changes every layer by as much (Karras et al. 2018, section 4.1). `rate` slows a layer down by that factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.nn.conv import conv
from genart_jax.nn.resample import conv_downsample, upsample_conv

Form = Literal["scale", "grouped"]


def wide(dtype: DTypeLike) -> DTypeLike:
    """The dtype of what half precision is too coarse for."""
    return jnp.promote_types(dtype, jnp.float32)


def leaky(x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2 that keeps the second moment of a symmetric input, nearly: times the root of 2."""
    return nn.leaky_relu(x, 0.2) * math.sqrt(2.0)


def unit_moment(x: jax.Array) -> jax.Array:
    """(batch, features), each row scaled to a mean square of 1 (Karras et al. 2018, section 4.2)."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


class EqualDense(nn.Module):
    """Dense layer with an equalised learning rate: (..., in) -> (..., features)."""

    features: int
    rate: float = 1.0
    bias_start: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Linear, in `dtype`."""
        fan_in = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1.0 / self.rate), (fan_in, self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_start / self.rate), (self.features,))
        kernel, bias = kernel * (self.rate / math.sqrt(fan_in)), bias * self.rate
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


class EqualConv(nn.Module):
    """Convolution with an equalised learning rate, "SAME" padding, and filtered downsampling by 2 if asked for."""

    features: int
    side: int
    down: bool = False
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, in) -> (batch, height, width, features), or half as high and wide."""
        shape = (self.side, self.side, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape) / math.sqrt(math.prod(shape[:3]))
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        x = conv_downsample(x, kernel) if self.down else conv(x, kernel)
        return x + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype) if self.use_bias else x


def modulated_conv(
    x: jax.Array,
    kernel: jax.Array,
    style: jax.Array,
    *,
    demodulate: bool = True,
    up: bool = False,
    form: Form = "scale",
) -> jax.Array:
    """A convolution whose kernel's input channels each example scales by its style (Karras et al. 2020, eq. 1 and 3).

    Demodulation divides each output channel by the L2 norm of its scaled kernel, which gives it unit variance where
    the input has that. `form` is how it is computed: "grouped", one kernel an example as one grouped convolution; or
    "scale", one convolution with input and output channels scaled instead, the same but for rounding. The second is
    faster on CPU (`python -m benchmarks.style_forms`), and its memory does not grow with the kernels.

    Args:
      x: (batch, height, width, in).
      kernel: (side, side, in, out).
      style: (batch, in), float32.
      up: filtered upsampling by 2 in front.
    """
    weight = kernel.astype(wide(x.dtype))
    scale = jnp.ones((x.shape[0], kernel.shape[-1]), weight.dtype)
    if demodulate:  # sum over taps and inputs of (style * kernel)^2
        scale = jax.lax.rsqrt(jnp.square(style) @ jnp.sum(jnp.square(weight), axis=(0, 1)) + 1e-8)
    if form == "scale":
        x = x * style[:, None, None, :].astype(x.dtype)
        x = upsample_conv(x, kernel.astype(x.dtype)) if up else conv(x, kernel.astype(x.dtype))
        return x * scale[:, None, None, :].astype(x.dtype) if demodulate else x
    batch, height, width, inputs = x.shape
    side, outputs = kernel.shape[0], kernel.shape[-1]
    kernels = weight[None] * style[:, None, None, :, None] * scale[:, None, None, None, :]
    kernels = kernels.transpose(1, 2, 3, 0, 4).reshape(side, side, inputs, batch * outputs).astype(x.dtype)
    x = x.transpose(1, 2, 0, 3).reshape(1, height, width, batch * inputs)
    x = upsample_conv(x, kernels, groups=batch) if up else conv(x, kernels, groups=batch)
    return x.reshape(*x.shape[1:3], batch, outputs).transpose(2, 0, 1, 3)


class StyleConv(nn.Module):
    """Modulated convolution, noise, bias and leaky ReLU; or, `to_image`, one with only a bias behind it."""

    features: int
    side: int = 3
    up: bool = False
    to_image: bool = False
    form: Form = "scale"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, noise: jax.Array | None = None) -> jax.Array:
        """(batch, height, width, in), styles (batch, w), and noise of the result's (batch or 1, height, width)."""
        shape = (self.side, self.side, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape) / math.sqrt(math.prod(shape[:3]))
        scales = EqualDense(x.shape[-1], bias_start=1.0, dtype=wide(self.dtype), name="affine")(style)
        x = modulated_conv(
            x.astype(self.dtype), kernel, scales, demodulate=not self.to_image, up=self.up, form=self.form
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if self.to_image:
            return x + bias.astype(x.dtype)
        strength = self.param("noise", nn.initializers.zeros, ())
        if noise is None:
            raise ValueError("a layer within a synthesis network wants noise")
        return leaky(x + (strength * noise)[..., None].astype(x.dtype) + bias.astype(x.dtype))


def layer_noise(keys: jax.Array | None, sizes: Sequence[tuple[int, int]]) -> list[jax.Array]:
    """Standard normal (batch, height, width) of each size, an example's from its key; without keys (1, ...), fixed."""
    ends = np.cumsum([height * width for height, width in sizes])
    if keys is None:
        drawn = jax.random.normal(random.stream(jax.random.key(0), "noise"), (1, int(ends[-1])))
    else:
        drawn = random.normal(keys, (int(ends[-1]),))
    parts = jnp.split(drawn, ends[:-1], axis=1)
    return [part.reshape(-1, *size) for part, size in zip(parts, sizes, strict=True)]


def minibatch_deviation(x: jax.Array, group: int, axis_name: str | None = None, check: bool = True) -> jax.Array:
    """Appends a channel: the standard deviation over `group` neighbouring examples, averaged over all features.

    Karras et al. 2018, section 3, per group of a batch. Neighbours, so that a batch split over devices has the same
    groups. Without an axis name, a batch that is no multiple of `group` has smaller groups, of their greatest common
    divisor.

    Raises:
      UserError: under an axis name, the examples of a device are no whole groups (unless `check` is False).
    """
    batch = len(x)
    if axis_name is not None and check and batch % group:
        raise UserError(
            f"{batch} examples on a device are no groups of {group}; set model.minibatch-group to a divisor"
        )
    group = math.gcd(group, batch)
    grouped = x.reshape(batch // group, group, -1).astype(wide(x.dtype))
    deviation = jnp.sqrt(jnp.var(grouped, axis=1) + 1e-8).mean(axis=-1)
    channel = jnp.repeat(deviation, group).reshape(batch, *[1] * (x.ndim - 1))
    return jnp.concatenate([x, jnp.broadcast_to(channel, (*x.shape[:-1], 1)).astype(x.dtype)], axis=-1)


def mapping(x: jax.Array, features: Sequence[int], rate: float) -> jax.Array:
    """Dense layers with leaky ReLUs, called "dense_0" and so on; for use inside a compact module."""
    for i, count in enumerate(features):
        x = leaky(EqualDense(count, rate, dtype=x.dtype, name=f"dense_{i}")(x))
    return x
