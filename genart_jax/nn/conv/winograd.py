"""Two outputs of each axis at once, by fewer products (Winograd 1980, Lavin & Gray 2016)."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genart_jax.nn.conv.blocks import kernel_blocks, kernel_from_blocks
from genart_jax.nn.conv.chunks import each_chunk, weight_chunks
from genart_jax.nn.conv.direct import conv_lax, swap, transpose_lax, weight_lax
from genart_jax.nn.conv.geometry import Geometry, crop, dot, interleave, pad

POSITIONS = 4096
"""Output positions of one chunk: more than in `chunks`, as these matrix products have a quarter as many rows."""
Parts = dict[tuple[int, ...], jax.Array]
Rows = Sequence[Sequence[float]]


class _Minimal(NamedTuple):
    """A row for each product: of which sum of inputs and of taps it is, to which of two outputs it is added."""

    inputs: Rows
    taps: Rows
    outputs: Rows


_MINIMAL = {
    1: _Minimal(((1, 0), (0, 1)), ((1,), (1,)), ((1, 0), (0, 1))),
    2: _Minimal(((1, -1, 0), (0, 1, 0), (0, -1, 1)), ((1, 0), (1, 1), (0, 1)), ((1, 0), (1, 1), (0, 1))),
    3: _Minimal(
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        ((1, 0), (1, 1), (1, -1), (0, -1)),
    ),
}
"""By the number of taps."""


def _sums(parts: Parts, name: str, g: Geometry) -> Parts:
    """The factors of each product: sums of `inputs` or `taps`, or in the transposes of `outputs`."""
    return _combine(parts, [getattr(_MINIMAL[q], name) for q in g.blocks])


def _back(parts: Parts, name: str, g: Geometry) -> Parts:
    """The transpose of `_sums`: from products to `inputs`, `taps` or `outputs`."""
    return _combine(parts, [list(zip(*getattr(_MINIMAL[q], name), strict=True)) for q in g.blocks])


def _combine(parts: Parts, axes: Sequence[Rows]) -> Parts:
    """Weighted sums of parts, over one axis of their indices after the other."""
    for axis, rows in enumerate(axes):
        sums: Parts = {}
        for index in sorted(parts):
            for row, factors in enumerate(rows):
                if factor := factors[index[axis]]:
                    at = (*index[:axis], row, *index[axis + 1 :])
                    sums[at] = _add(sums.get(at), parts[index], factor)
        parts = sums
    return parts


def _add(total: jax.Array | None, part: jax.Array, factor: float) -> jax.Array:
    """Adds factor * part to the total, without a product where there need be none."""
    part = part if abs(factor) == 1 else part * abs(factor)
    if total is None:
        return part if factor > 0 else -part
    return total + part if factor > 0 else total - part


def _tile_counts(g: Geometry) -> list[int]:
    return [-(-o // 2) for o in g.out]


def _tiles(x: jax.Array, g: Geometry) -> Parts:
    """The blocks that a tile of two outputs in each axis reads, by their place in the tile: (N, *T, *s, C) each."""
    n, counts = g.ndim, _tile_counts(g)
    size = tuple(2 * (t + 1) * s for t, s in zip(counts, g.strides, strict=True))
    x = crop(x, size, tuple(-lo for lo, _ in g.padding))
    x = x.reshape(x.shape[0], *(v for t, s in zip(counts, g.strides, strict=True) for v in (t + 1, 2, s)), x.shape[-1])
    x = x.transpose(*range(2, 3 * n, 3), 0, *range(1, 3 * n, 3), *range(3, 3 * n + 1, 3), 3 * n + 1)
    places = itertools.product(*(range(q + 1) for q in g.blocks))
    window = lambda k: (
        *(i % 2 for i in k),
        slice(None),
        *(slice(i // 2, i // 2 + t) for i, t in zip(k, counts, strict=True)),
    )
    return {k: x[window(k)] for k in places}


def _from_tiles(parts: Parts, g: Geometry) -> jax.Array:
    """The transpose of `_tiles`: blocks that tiles share are added."""
    n, counts = g.ndim, _tile_counts(g)
    for axis in range(n):
        sums: Parts = {}
        for k, part in parts.items():
            pads = [(0, 0, 0)] * part.ndim
            pads[1 + axis] = (k[axis] // 2, 1 - k[axis] // 2, 0)
            at = (*k[:axis], k[axis] % 2, *k[axis + 1 :])
            sums[at] = pad(part, pads) + sums[at] if at in sums else pad(part, pads)
        parts = sums
    x = jnp.stack([parts[k] for k in sorted(parts)])
    x = x.reshape(*(2,) * n, *x.shape[1:])
    x = x.transpose(n, *(a for i in range(n) for a in (n + 1 + i, i, 2 * n + 1 + i)), 3 * n + 1)
    sizes = [2 * (t + 1) * s for t, s in zip(counts, g.strides, strict=True)]
    return crop(x.reshape(x.shape[0], *sizes, x.shape[-1]), g.size, tuple(lo for lo, _ in g.padding))


def _output_parts(y: jax.Array, g: Geometry) -> Parts:
    """Every second output of each axis, by where they begin: (N, *T, C) each."""
    counts = _tile_counts(g)
    y = crop(y, tuple(2 * t for t in counts), (0,) * g.ndim)
    y = y.reshape(y.shape[0], *(v for t in counts for v in (t, 2)), y.shape[-1])
    places = itertools.product(range(2), repeat=g.ndim)
    return {i: y[(slice(None), *(v for j in i for v in (slice(None), j)))] for i in places}


def _kernel_sums(w: jax.Array, g: Geometry) -> Parts:
    """The factors of the kernel, (prod(s) * Ci, Co) each."""
    blocks = kernel_blocks(w, g)
    taps = itertools.product(*map(range, g.blocks))
    return _sums({tap: blocks[tap].reshape(-1, w.shape[-1]) for tap in taps}, "taps", g)


def _input_sums(x: jax.Array, g: Geometry) -> Parts:
    """The factors of x, with the tiles of all images as rows: (N * prod(T), prod(s) * Ci) each."""
    depth = math.prod(g.strides) * x.shape[-1]
    return {k: v.reshape(-1, depth) for k, v in _sums(_tiles(x, g), "inputs", g).items()}


def _output_sums(y: jax.Array, g: Geometry) -> Parts:
    """The factors of y: (N * prod(T), Co) each."""
    return {k: v.reshape(-1, y.shape[-1]) for k, v in _sums(_output_parts(y, g), "outputs", g).items()}


def conv_winograd(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y with 9 products in place of 16 for 2x2 blocks of a stride, 16 in place of 36 for 3x3.

    What they save, the sums beside them cost again but for many channels. Kernels of more blocks go to `lax`.
    """
    if max(g.blocks) > 3:
        return conv_lax(x, w, g)
    shape, n, kernel = (-1, *_tile_counts(g), w.shape[-1]), g.ndim, _kernel_sums(w, g)

    def each(x: jax.Array) -> jax.Array:
        products = {k: dot(v, kernel[k], ((1,), (0,)), g).reshape(shape) for k, v in _input_sums(x, g).items()}
        parts = _back(products, "outputs", g)
        y = jnp.stack([parts[i] for i in sorted(parts)]).astype(x.dtype)
        return crop(interleave(y.reshape(*(2,) * n, *y.shape[1:]), n), g.out, (0,) * n)

    return each_chunk(each, x, g, POSITIONS)


def transpose_winograd(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: the transpose of `conv_winograd`; of stride 1, `conv_winograd` itself with the kernel turned."""
    if max(g.blocks) > 3:
        return transpose_lax(y, w, g)
    if max(g.strides) == 1:
        axes = zip(g.size, g.out, g.reach, g.padding, strict=True)
        padding = tuple((r - 1 - lo, n - o + lo) for n, o, r, (lo, _) in axes)
        return conv_winograd(y, swap(w, 1), dataclasses.replace(g, size=g.out, padding=padding))
    shape, kernel = (-1, *_tile_counts(g), *g.strides, w.shape[-2]), _kernel_sums(w, g)
    products = {k: dot(v, kernel[k], ((1,), (1,)), g).reshape(shape) for k, v in _output_sums(y, g).items()}
    return _from_tiles(_back(products, "inputs", g), g).astype(y.dtype)


def weight_winograd(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: the transpose of `conv_winograd` in the kernel."""
    if max(g.blocks) > 3:
        return weight_lax(x, y, g)
    return weight_chunks(x, y, g, _weight_winograd, POSITIONS)


def _weight_winograd(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    outputs = _output_sums(y, g)
    taps = _back({k: dot(v, outputs[k], ((0,), (0,)), g) for k, v in _input_sums(x, g).items()}, "taps", g)
    w = jnp.stack([taps[q] for q in sorted(taps)]).astype(x.dtype)
    return kernel_from_blocks(w.reshape(*g.blocks, *g.strides, -1, y.shape[-1]), g)
