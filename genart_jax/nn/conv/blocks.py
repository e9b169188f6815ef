"""Space to depth makes a strided convolution one of stride 1 with fewer taps and more channels."""

import itertools
import math

import jax
import jax.numpy as jnp

from genart_jax.nn.conv.direct import swap
from genart_jax.nn.conv.geometry import Geometry, convolve, crop, dot, interleave, pad


def to_blocks(x: jax.Array, g: Geometry) -> jax.Array:
    """Space to depth: (N, *S, C) -> (N, *(O + Q - 1), *s, C), padded or cropped to what the kernel reads."""
    counts = [o + q - 1 for o, q in zip(g.out, g.blocks, strict=True)]
    size = tuple(b * s for b, s in zip(counts, g.strides, strict=True))
    x = crop(x, size, tuple(-lo for lo, _ in g.padding))
    x = x.reshape(x.shape[0], *(v for pair in zip(counts, g.strides, strict=True) for v in pair), x.shape[-1])
    n = g.ndim
    return x.transpose(0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1)


def from_blocks(x: jax.Array, g: Geometry) -> jax.Array:
    """The transpose of `to_blocks`: (N, *(O + Q - 1), *s, C) -> (N, *S, C)."""
    n = g.ndim
    x = jnp.moveaxis(x, range(n + 1, 2 * n + 1), range(n))
    return crop(interleave(x, n), g.size, tuple(lo for lo, _ in g.padding))


def kernel_blocks(w: jax.Array, g: Geometry) -> jax.Array:
    """The same for the kernel: (*K, Ci, Co) -> (*Q, *s, Ci, Co), filled with zeros to whole blocks."""
    n = g.ndim
    axes = zip(g.blocks, g.strides, g.reach, g.dilation, strict=True)
    w = pad(w, [(0, q * s - r, d - 1) for q, s, r, d in axes] + [(0, 0, 0)] * 2)
    w = w.reshape(*(v for pair in zip(g.blocks, g.strides, strict=True) for v in pair), *w.shape[-2:])
    return w.transpose(*range(0, 2 * n, 2), *range(1, 2 * n, 2), 2 * n, 2 * n + 1)


def kernel_from_blocks(w: jax.Array, g: Geometry) -> jax.Array:
    """The transpose of `kernel_blocks`."""
    n = g.ndim
    w = w.transpose(*(a for i in range(n) for a in (i, n + i)), 2 * n, 2 * n + 1)
    w = w.reshape(*(q * s for q, s in zip(g.blocks, g.strides, strict=True)), *w.shape[-2:])
    return w[tuple(slice(0, r, d) for r, d in zip(g.reach, g.dilation, strict=True))]


def block_windows(blocks: jax.Array, g: Geometry) -> list[jax.Array]:
    """The part of the blocks that each of the Q taps meets, (N, *O, ...)."""
    return [
        blocks[(slice(None), *(slice(q, q + o) for q, o in zip(tap, g.out, strict=True)))]
        for tap in itertools.product(*map(range, g.blocks))
    ]


def conv_blocks(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: a convolution over blocks."""
    n, depth = g.ndim, math.prod(g.strides) * w.shape[-2]
    blocks = to_blocks(x, g)
    kernel = kernel_blocks(w, g).reshape(*g.blocks, depth, w.shape[-1])
    blocks = blocks.reshape(*blocks.shape[: n + 1], depth)
    return convolve(blocks, kernel, g, ((0, 0),) * n)


def transpose_blocks(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: the blocks of x as a convolution of y."""
    depth = math.prod(g.strides) * w.shape[-2]
    kernel = swap(kernel_blocks(w, g).reshape(*g.blocks, depth, w.shape[-1]), 1)
    x = convolve(y, kernel, g, [(q - 1, q - 1) for q in g.blocks])
    return from_blocks(x.reshape(*x.shape[:-1], *g.strides, w.shape[-2]), g)


def weight_blocks(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """One matrix product for each tap of the blocks."""
    axes = tuple(range(g.ndim + 1))
    windows = block_windows(to_blocks(x, g), g)
    w = jnp.stack([dot(v.reshape(*v.shape[: g.ndim + 1], -1), y, (axes, axes), g) for v in windows])
    return kernel_from_blocks(w.astype(x.dtype).reshape(*g.blocks, *g.strides, -1, y.shape[-1]), g)
