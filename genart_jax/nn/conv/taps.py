"""One strided window of the image for each tap of the kernel."""

import jax
import jax.numpy as jnp

from genart_jax.nn.conv.geometry import Geometry, crop, dot


def padded_image(x: jax.Array, g: Geometry) -> jax.Array:
    """The image padded or cropped to just what the kernel reads."""
    axes = zip(g.out, g.strides, g.reach, strict=True)
    return crop(x, tuple((o - 1) * s + r for o, s, r in axes), tuple(-lo for lo, _ in g.padding))


def tap_window(x: jax.Array, tap: tuple[int, ...], g: Geometry) -> jax.Array:
    """What one tap of the kernel meets of a padded image, (N, *O, Ci)."""
    starts = [k * d for k, d in zip(tap, g.dilation, strict=True)]
    axes = zip(starts, g.out, g.strides, strict=True)
    return x[(slice(None), *(slice(a, a + (o - 1) * s + 1, s) for a, o, s in axes))]


def weight_taps(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: one matrix product for each tap of the kernel."""
    axes, x = tuple(range(g.ndim + 1)), padded_image(x, g)
    w = jnp.stack([dot(tap_window(x, tap, g), y, (axes, axes), g) for tap in g.taps()])
    return w.astype(x.dtype).reshape(*g.kernel, x.shape[-1], y.shape[-1])
