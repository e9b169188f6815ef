"""The layers, drop-ins for those of Flax."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype, Initializer
from jax import lax

from genart_jax.nn.conv.functions import Ints, Padding, as_tuple, conv, conv_transpose, reach_of


class Conv(nn.Module):
    """Convolution layer, a drop-in for ``flax.linen.Conv`` on (*batch, *S, C) images; see `conv`.

    ``padding`` may also be "CIRCULAR" or "REFLECT", and "CAUSAL" for one spatial axis.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: Ints = 1
    padding: Padding = "SAME"
    input_dilation: Ints = 1
    kernel_dilation: Ints = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: lax.PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(*batch, *S, Ci) -> (*batch, *O, features)."""
        k = as_tuple(self.kernel_size, 1)
        channels, rest = divmod(inputs.shape[-1], self.feature_group_count)
        if rest:
            raise ValueError(f"{inputs.shape[-1]} channels do not make {self.feature_group_count} groups")
        kernel = self.param("kernel", self.kernel_init, (*k, channels, self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        x, padding = _flat(x, len(k)), self.padding
        reach = reach_of(kernel, as_tuple(self.kernel_dilation, len(k)))
        if padding in ("CIRCULAR", "REFLECT"):
            pads = [(0, 0), *(((r - 1) // 2, r // 2) for r in reach), (0, 0)]
            x, padding = jnp.pad(x, pads, mode="wrap" if padding == "CIRCULAR" else "reflect"), "VALID"
        elif padding == "CAUSAL":
            if len(k) != 1:
                raise ValueError("CAUSAL padding is for one spatial axis")
            padding = ((reach[0] - 1, 0),)
        y = conv(
            x, kernel, strides=self.strides, padding=padding, input_dilation=self.input_dilation,
            kernel_dilation=self.kernel_dilation, groups=self.feature_group_count, precision=self.precision,
        )  # fmt: skip
        y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
        return y.reshape(*inputs.shape[: -len(k) - 1], *y.shape[1:])


class ConvTranspose(nn.Module):
    """Transposed convolution layer, a drop-in for ``flax.linen.ConvTranspose``; see `conv_transpose`."""

    features: int
    kernel_size: int | Sequence[int]
    strides: Ints = None
    padding: Padding = "SAME"
    kernel_dilation: Ints = None
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: lax.PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    transpose_kernel: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(*batch, *S, Ci) -> (*batch, *O, features)."""
        k = as_tuple(self.kernel_size, 1)
        channels = (inputs.shape[-1], self.features)
        shape = (*k, *(channels[::-1] if self.transpose_kernel else channels))
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        y = conv_transpose(
            _flat(x, len(k)), kernel, strides=self.strides, padding=self.padding, precision=self.precision,
            kernel_dilation=self.kernel_dilation, transpose_kernel=self.transpose_kernel,
        )  # fmt: skip
        y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
        return y.reshape(*inputs.shape[: -len(k) - 1], *y.shape[1:])


def _flat(x: jax.Array, n: int) -> jax.Array:
    """(*batch, *S, C) -> (N, *S, C)."""
    return x.reshape(-1, *x.shape[-n - 1 :])
