"""The transpose of a strided convolution is one stride-1 convolution for each output phase."""

import itertools

import jax
import jax.numpy as jnp

from genart_jax.nn.conv.direct import conv_lax, swap
from genart_jax.nn.conv.geometry import Form, Geometry, crop, interleave, pad


def transpose_phases(y: jax.Array, w: jax.Array, g: Geometry, each: Form = conv_lax) -> jax.Array:
    """The pixels whose index is i modulo the stride see only every s-th tap of the kernel (no zeros are multiplied)."""
    w = pad(w, [(0, 0, d - 1) for d in g.dilation] + [(0, 0, 0)] * 2)
    counts = [-(-n // s) for n, s in zip(g.size, g.strides, strict=True)]
    ones, parts = (1,) * g.ndim, []
    for phase in itertools.product(*map(range, g.strides)):
        starts = [i + lo for i, (lo, _) in zip(phase, g.padding, strict=True)]
        part = w[tuple(slice(a % s, None, s) for a, s in zip(starts, g.strides, strict=True))]
        if 0 in part.shape:
            parts.append(jnp.zeros((y.shape[0], *counts, w.shape[-2] * g.groups), y.dtype))
            continue
        axes = zip(part.shape, starts, g.strides, counts, g.out, strict=False)
        padding = tuple((q - 1 - a // s, m + a // s - o) for q, a, s, m, o in axes)
        one = Geometry(g.out, part.shape[: g.ndim], ones, padding, ones, g.groups, g.precision)
        parts.append(each(y, swap(part, g.groups), one))
    x = jnp.stack(parts).reshape(*g.strides, *parts[0].shape)
    return crop(interleave(x, g.ndim), g.size, (0,) * g.ndim)
