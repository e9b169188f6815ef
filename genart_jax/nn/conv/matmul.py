"""One matrix product over all taps, with patches (im2col) or overlap-add (col2im) around it."""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from genart_jax.nn.conv.blocks import block_windows, from_blocks, kernel_blocks, kernel_from_blocks, to_blocks
from genart_jax.nn.conv.geometry import Geometry, dot, pad


def conv_matmul(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: patches of x times the kernel."""
    kernel = kernel_blocks(w, g).reshape(-1, w.shape[-1])
    return dot(_patches(x, g), kernel, ((g.ndim + 1,), (0,)), g).astype(x.dtype)


def conv_sums(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: each block times all taps of the kernel's blocks at once, and the products added where they meet.

    No patches are copied: what is, is as large as y for each tap, where a patch has the channels of a block.
    """
    n, features = g.ndim, w.shape[-1]
    blocks = to_blocks(x, g)
    kernel = kernel_blocks(w, g).reshape(math.prod(g.blocks), -1, features)
    kernel = jnp.moveaxis(kernel, 0, 1).reshape(kernel.shape[1], -1)
    made = dot(blocks.reshape(*blocks.shape[: n + 1], -1), kernel, ((n + 1,), (0,)), g)
    total = None
    for i, part in enumerate(block_windows(made, g)):
        own = lax.slice_in_dim(part, i * features, (i + 1) * features, axis=n + 1)
        total = own if total is None else total + own
    assert total is not None
    return total.astype(x.dtype)


def transpose_matmul(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: y times the kernel, and the products added where they overlap."""
    n = g.ndim
    kernel = kernel_blocks(w, g).reshape(-1, w.shape[-1])
    columns = dot(y, kernel, ((n + 1,), (1,)), g)
    columns = columns.reshape(*y.shape[:-1], math.prod(g.blocks), *g.strides, w.shape[-2])
    total = None
    for i, tap in enumerate(itertools.product(*map(range, g.blocks))):
        part = lax.index_in_dim(columns, i, n + 1, keepdims=False)
        pads = [(q, b - 1 - q, 0) for q, b in zip(tap, g.blocks, strict=True)]
        part = pad(part, [(0, 0, 0), *pads, *[(0, 0, 0)] * (n + 1)])
        total = part if total is None else total + part
    assert total is not None
    return from_blocks(total.astype(y.dtype), g)


def weight_matmul(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: patches of x times y, over all positions of all images."""
    axes = tuple(range(g.ndim + 1))
    w = dot(_patches(x, g), y, (axes, axes), g).astype(x.dtype)
    return kernel_from_blocks(w.reshape(*g.blocks, *g.strides, -1, y.shape[-1]), g)


def weight_sums(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: all blocks times y at each place where it may meet them: one product, and no patches of x."""
    n = g.ndim
    blocks = to_blocks(x, g)
    blocks = blocks.reshape(-1, math.prod(blocks.shape[n + 1 :]))
    moved = []
    for tap in itertools.product(*map(range, g.blocks)):
        pads = [(q, b - 1 - q, 0) for q, b in zip(tap, g.blocks, strict=True)]
        moved.append(pad(y, [(0, 0, 0), *pads, (0, 0, 0)]).reshape(-1, y.shape[-1]))
    w = dot(jnp.concatenate(moved, -1), blocks, ((0,), (0,)), g).astype(x.dtype)
    w = w.reshape(*g.blocks, y.shape[-1], *g.strides, x.shape[-1])
    return kernel_from_blocks(jnp.moveaxis(w, n, -1), g)


def _patches(x: jax.Array, g: Geometry) -> jax.Array:
    """What each output sees: (N, *S, Ci) -> (N, *O, prod(Q) * prod(s) * Ci)."""
    windows = block_windows(to_blocks(x, g), g)
    return jnp.concatenate([v.reshape(*v.shape[: g.ndim + 1], -1) for v in windows], -1)
