"""Filtered up- and down-sampling of images (N, *S, C): zeros between samples, a separable FIR filter, every n-th kept.

As in Karras et al. 2020 (and Zhang 2019 for the downward half), the filter is [1, 3, 3, 1] / 8 in each axis. Everything
is made of `nn.conv.conv` with one kernel a channel, so derivatives of every order are as fast, inside loops too.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.nn.conv import conv

FILTER = (1.0, 3.0, 3.0, 1.0)
"""The taps in one axis; they are divided by their sum."""


def upfirdn(
    x: jax.Array, taps: Sequence[float], *, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0)
) -> jax.Array:
    """Each spatial axis: up - 1 zeros between samples, `padding` zeros around, the filter, every `down`-th kept.

    `taps` are convolved with, not correlated, and not normalised. A padding of (len(taps) - 1) on both sides is
    `scipy.signal.upfirdn` along every axis. (N, *S, C) -> (N, *O, C) with O = ((S - 1) * up + 1 + sum(padding) - K) //
    down + 1 for K taps. Negative padding crops.
    """
    n, channels = x.ndim - 2, x.shape[-1]
    line = np.asarray(taps, np.float32)[::-1]
    # In one pass where nothing changes size, else one axis after the other: the fastest on CPU, forward and gradient
    # together (benchmarks/style_forms.py).
    passes = [tuple(range(n))] if up == down == 1 else [(axis,) for axis in range(n)]
    for axes in passes:
        kernel = np.ones((1,) * n, np.float32)
        for axis in axes:
            kernel = kernel * line.reshape([-1 if i == axis else 1 for i in range(n)])
        here = lambda value, other, axes=axes: tuple(value if i in axes else other for i in range(n))
        x = conv(
            x,
            jnp.broadcast_to(jnp.asarray(kernel, x.dtype)[..., None, None], (*kernel.shape, 1, channels)),
            strides=here(down, 1),
            input_dilation=here(up, 1),
            padding=here(padding, (0, 0)),
            groups=channels,
        )
    return x


def _normalised(taps: Sequence[float], gain: float = 1.0) -> list[float]:
    return [gain * tap / sum(taps) for tap in taps]


def _halves(total: int) -> tuple[int, int]:
    return (total + 1) // 2, total // 2


def upsample(x: jax.Array, factor: int = 2, taps: Sequence[float] = FILTER) -> jax.Array:
    """(N, *S, C) -> (N, *(S * factor), C): pixels keep their place and, on average, their brightness."""
    return upfirdn(x, _normalised(taps, factor), up=factor, padding=_halves(len(taps) + factor - 2))


def downsample(x: jax.Array, factor: int = 2, taps: Sequence[float] = FILTER) -> jax.Array:
    """(N, *S, C) -> (N, *(S / factor), C): pixels keep their place and, on average, their brightness."""
    return upfirdn(x, _normalised(taps), down=factor, padding=_halves(len(taps) - factor))


def upsample_conv(x: jax.Array, w: jax.Array, *, taps: Sequence[float] = FILTER, groups: int = 1) -> jax.Array:
    """`upsample` by 2 and then a "SAME" convolution with w (K, K, Ci, Co), in a cheaper order: (N, *(2 * S), Co).

    The transposed convolution multiplies no zeros and comes first; the filter then runs on its result. Convolutions
    commute, so only the outermost pixels, where the padding comes in between, differ from the order of the name.
    """
    side = w.shape[0]
    x = conv(x, w, input_dilation=2, padding=((side - 1, side - 1),) * (x.ndim - 2), groups=groups)
    return upfirdn(x, _normalised(taps, 2), padding=_halves(len(taps) + 1 - side))


def conv_downsample(x: jax.Array, w: jax.Array, *, taps: Sequence[float] = FILTER) -> jax.Array:
    """A "SAME" convolution with w (K, K, Ci, Co) and then `downsample` by 2, in a cheaper order: (N, *(S / 2), Co).

    The filter comes first and the convolution computes only the pixels that are kept; a 1x1 kernel lets the filter skip
    the others too.
    """
    side = w.shape[0]
    if side == 1:
        return conv(downsample(x, 2, taps), w)
    x = upfirdn(x, _normalised(taps), padding=_halves(len(taps) - 3 + side))
    return conv(x, w, strides=2, padding="VALID")


def bicubic(x: jax.Array, factor: int) -> jax.Array:
    """(N, H, W, C) -> (N, H * factor, W * factor, C) by the cubic of Keys 1981 (a = -1/2), as Pillow's BICUBIC.

    It overshoots at edges; what leaves the pixels' range is not clipped.
    """
    if factor == 1:
        return x
    n, height, width, channels = x.shape
    with jax.default_matmul_precision("float32"):
        return jnp.asarray(jax.image.resize(x, (n, height * factor, width * factor, channels), "cubic"))
