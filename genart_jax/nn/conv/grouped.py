"""Convolutions in groups, one after another; and shifts, for those with one kernel for each channel.

With Ci = groups = Co a tap is an elementwise product.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from genart_jax.nn.conv.chunks import weight_chunks
from genart_jax.nn.conv.geometry import Form, Geometry, sum_dtype
from genart_jax.nn.conv.phases import transpose_phases
from genart_jax.nn.conv.taps import padded_image, tap_window


def split(form: Form, a: jax.Array, b: jax.Array, g: Geometry) -> jax.Array:
    """One convolution a group: every operand and result has its groups in the last axis."""
    one = dataclasses.replace(g, groups=1)
    pairs = zip(jnp.split(a, g.groups, -1), jnp.split(b, g.groups, -1), strict=True)
    return jnp.concatenate([form(*pair, one) for pair in pairs], -1)


def conv_shifts(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: windows of x times the taps."""
    padded, kernel = padded_image(x, g).astype(sum_dtype(x.dtype)), w.astype(sum_dtype(w.dtype))
    taps = [tap_window(padded, tap, g) * kernel[tap] for tap in g.taps()]
    return functools.reduce(jnp.add, taps).astype(x.dtype)


def transpose_shifts(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: `transpose_phases` over `conv_shifts`."""
    return transpose_phases(y, w, g, conv_shifts)


def weight_shifts(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: windows of x times y, summed."""

    def each(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
        x = padded_image(x, g)
        w = jnp.stack([(tap_window(x, tap, g) * y).sum(range(g.ndim + 1)) for tap in g.taps()])
        return w.reshape(*g.kernel, 1, y.shape[-1])

    accumulate = sum_dtype(x.dtype)
    return weight_chunks(x.astype(accumulate), y.astype(accumulate), g, each).astype(x.dtype)
