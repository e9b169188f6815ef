"""One convolution, as automatic differentiation would emit it but with canonical dimension numbers."""

import jax
import jax.numpy as jnp
from jax import lax

from genart_jax.nn.conv.geometry import Geometry, convolve


def conv_lax(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y as one convolution."""
    return convolve(x, w, g, g.padding, g.strides, g.dilation, groups=g.groups)


def swap(w: jax.Array, groups: int) -> jax.Array:
    """The kernel of the transpose: (*K, Ci/G, Co) -> (*K, Co/G, Ci), flipped in space."""
    *k, i, o = w.shape
    n = len(k)
    w = lax.rev(w, tuple(range(n))).reshape(*k, i, groups, o // groups)
    return w.transpose(*range(n), n + 2, n + 1, n).reshape(*k, o // groups, groups * i)


def transpose_lax(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x as a convolution of y, expanded with zeros between its pixels."""
    axes = zip(g.size, g.out, g.reach, g.strides, g.padding, strict=True)
    padding = [(r - 1 - lo, n - (o - 1) * s - 1 + lo) for n, o, r, s, (lo, _) in axes]
    return convolve(y, swap(w, g.groups), g, padding, None, g.dilation, g.strides, groups=g.groups)


def weight_lax(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w as a convolution of x with y, which is as large as a kernel can be."""
    # The batch is what is summed over, so it takes the place of the input channels; y is the kernel.
    axes = zip(g.size, g.out, g.reach, g.strides, g.padding, strict=True)
    padding = [(lo, r - n - lo + (o - 1) * s) for n, o, r, s, (lo, _) in axes]
    image, kernel = jnp.moveaxis(x, (-1, 0), (0, -1)), jnp.moveaxis(y, 0, -2)
    w = convolve(image, kernel, g, padding, g.dilation, g.strides, batch_groups=g.groups)
    return jnp.moveaxis(w, 0, -2)
