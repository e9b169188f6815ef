"""The forms of convolution: exact ways to compute the same sums, of different speed.

A convolution is linear in the image and in the kernel. With x (N, *S, Ci), w (*K, Ci/G, Co) and y (N, *O, Co),
stride s, dilation d and low padding p, three contractions come from the one sum over n, o, k, ci, co of
x[n, o*s + k*d - p, ci] * w[k, ci, co] * y[n, o, co]:

* ``conv``       x, w -> y    the convolution,
* ``transpose``  y, w -> x    its transpose in x, which is also the "transposed convolution" of a generator,
* ``weight``     x, y -> w    its transpose in w, the gradient of the kernel.

Each function here computes one of the three for a `Geometry`; which one runs is decided by `conv.choose`.
The tests hold every form against ``lax``. Arrays are channels-last and kernels (*K, I, O): every convolution that is
emitted has these dimension numbers, because XLA on CPU runs the others tens of times slower inside loops.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Form = Callable[[jax.Array, jax.Array, "Geometry"], jax.Array]
Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What a convolution is apart from its arrays: all static, hashable, one entry for each spatial axis."""

    size: tuple[int, ...]  # of x
    kernel: tuple[int, ...]  # of w
    strides: tuple[int, ...]
    padding: tuple[Pair, ...]  # may be negative: cropping
    dilation: tuple[int, ...]
    groups: int = 1
    precision: lax.PrecisionLike = None
    forms: tuple[tuple[str, str], ...] = ()  # (operation, form) that overrule `conv.choose`
    parts: int = 1  # devices that the batch is split over, one part after another
    eigen: bool = False  # XLA computes convolutions on CPU by Eigen on all threads, not by YNNPACK on one

    @property
    def ndim(self) -> int:
        return len(self.size)

    @property
    def reach(self) -> tuple[int, ...]:
        """The extent of the dilated kernel."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def out(self) -> tuple[int, ...]:
        """The spatial size of y."""
        axes = zip(self.size, self.padding, self.reach, self.strides, strict=True)
        return tuple(max(0, (n + lo + hi - r) // s + 1) for n, (lo, hi), r, s in axes)

    @property
    def blocks(self) -> tuple[int, ...]:
        """The extent of the dilated kernel in blocks of one stride, rounded up."""
        return tuple(-(-r // s) for r, s in zip(self.reach, self.strides, strict=True))

    def taps(self) -> Iterator[tuple[int, ...]]:
        """Every position in the kernel."""
        return itertools.product(*map(range, self.kernel))


def canonical(ndim: int) -> lax.ConvDimensionNumbers:
    """The dimension numbers N...C, ...IO -> N...C."""
    spatial = tuple(range(1, ndim + 1))
    image = (0, ndim + 1, *spatial)
    return lax.ConvDimensionNumbers(image, (ndim + 1, ndim, *range(ndim)), image)


def _pad(x: jax.Array, pads: list[tuple[int, int, int]]) -> jax.Array:
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _accumulate(dtype: jnp.dtype) -> jnp.dtype:
    """Sums of half-precision products are kept in float32, as `lax` does inside a convolution."""
    return jnp.promote_types(dtype, jnp.float32) if jnp.issubdtype(dtype, jnp.floating) else dtype


def _dot(a: jax.Array, b: jax.Array, axes: tuple[tuple[int, ...], tuple[int, ...]], g: Geometry) -> jax.Array:
    numbers = (axes, ((), ()))
    return lax.dot_general(a, b, numbers, g.precision, preferred_element_type=_accumulate(a.dtype))


_CUT_FIRST = jax.__version_info__ < (0, 12)  # seen in 0.10.2 and 0.11.2, and no longer in 0.12.0.1


def _convolve(
    x: jax.Array,
    w: jax.Array,
    g: Geometry,
    padding: Sequence[Pair],
    strides: tuple[int, ...] | None = None,
    dilation: tuple[int, ...] | None = None,
    expand: tuple[int, ...] | None = None,
    groups: int = 1,
    batch_groups: int = 1,
) -> jax.Array:
    """``lax.conv_general_dilated`` in canonical layout.

    Negative padding is cut from the image first where XLA on CPU reads outside of the array with it.
    """
    n = g.ndim
    if _CUT_FIRST and min(min(pair) for pair in padding) < 0:
        # Of an image that is expanded by e, ceil(cut / e) pixels go, and the zeros that went too much come back.
        axes = list(zip(padding, expand or (1,) * n, strict=True))
        drop = [(-(min(lo, 0) // e), -(min(hi, 0) // e)) for (lo, hi), e in axes]
        padding = [(lo + p * e, hi + q * e) for ((lo, hi), e), (p, q) in zip(axes, drop, strict=True)]
        x = _pad(x, [(0, 0, 0), *((-lo, -hi, 0) for lo, hi in drop), (0, 0, 0)])
    return lax.conv_general_dilated(
        x, w, strides or (1,) * n, padding, expand, dilation, canonical(n), groups, batch_groups, g.precision
    )


# --- lax: one convolution, as automatic differentiation would emit it but with canonical dimension numbers


def conv_lax(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y as one convolution."""
    return _convolve(x, w, g, g.padding, g.strides, g.dilation, groups=g.groups)


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
    return _convolve(y, swap(w, g.groups), g, padding, None, g.dilation, g.strides, groups=g.groups)


def weight_lax(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w as a convolution of x with y, which is as large as a kernel can be."""
    # The batch is what is summed over, so it takes the place of the input channels; y is the kernel.
    axes = zip(g.size, g.out, g.reach, g.strides, g.padding, strict=True)
    padding = [(lo, r - n - lo + (o - 1) * s) for n, o, r, s, (lo, _) in axes]
    image, kernel = jnp.moveaxis(x, (-1, 0), (0, -1)), jnp.moveaxis(y, 0, -2)
    w = _convolve(image, kernel, g, padding, g.dilation, g.strides, batch_groups=g.groups)
    return jnp.moveaxis(w, 0, -2)


# --- phases: the transpose of a strided convolution is one stride-1 convolution for each output phase


def transpose_phases(y: jax.Array, w: jax.Array, g: Geometry, each: Form = conv_lax) -> jax.Array:
    """The pixels whose index is i modulo the stride see only every s-th tap of the kernel (no zeros are multiplied)."""
    w = _pad(w, [(0, 0, d - 1) for d in g.dilation] + [(0, 0, 0)] * 2)
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
    return _crop(_interleave(x, g.ndim), g.size, (0,) * g.ndim)


def _interleave(x: jax.Array, n: int) -> jax.Array:
    """(*s, N, *B, C) -> (N, *(B * s), C): depth to space with the phases in front."""
    order = [n, *(a for i in range(n) for a in (n + 1 + i, i)), 2 * n + 1]
    batch, *blocks, channels = x.shape[n:]
    sizes = [b * s for b, s in zip(blocks, x.shape[:n], strict=True)]
    return x.transpose(order).reshape(batch, *sizes, channels)


def _crop(x: jax.Array, size: tuple[int, ...], low: tuple[int, ...]) -> jax.Array:
    """x[:, low : low + size] in each spatial axis, with zeros where that reaches outside."""
    pads = [(-lo, n + lo - m, 0) for n, lo, m in zip(size, low, x.shape[1:-1], strict=True)]
    return _pad(x, [(0, 0, 0), *pads, (0, 0, 0)])


# --- blocks: space to depth makes a strided convolution one of stride 1 with fewer taps and more channels


def _to_blocks(x: jax.Array, g: Geometry) -> jax.Array:
    """Space to depth: (N, *S, C) -> (N, *(O + Q - 1), *s, C), padded or cropped to what the kernel reads."""
    counts = [o + q - 1 for o, q in zip(g.out, g.blocks, strict=True)]
    size = tuple(b * s for b, s in zip(counts, g.strides, strict=True))
    x = _crop(x, size, tuple(-lo for lo, _ in g.padding))
    x = x.reshape(x.shape[0], *(v for pair in zip(counts, g.strides, strict=True) for v in pair), x.shape[-1])
    n = g.ndim
    return x.transpose(0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1)


def _from_blocks(x: jax.Array, g: Geometry) -> jax.Array:
    """The transpose of `_to_blocks`: (N, *(O + Q - 1), *s, C) -> (N, *S, C)."""
    n = g.ndim
    x = jnp.moveaxis(x, range(n + 1, 2 * n + 1), range(n))
    return _crop(_interleave(x, n), g.size, tuple(lo for lo, _ in g.padding))


def _kernel_blocks(w: jax.Array, g: Geometry) -> jax.Array:
    """The same for the kernel: (*K, Ci, Co) -> (*Q, *s, Ci, Co), filled with zeros to whole blocks."""
    n = g.ndim
    axes = zip(g.blocks, g.strides, g.reach, g.dilation, strict=True)
    w = _pad(w, [(0, q * s - r, d - 1) for q, s, r, d in axes] + [(0, 0, 0)] * 2)
    w = w.reshape(*(v for pair in zip(g.blocks, g.strides, strict=True) for v in pair), *w.shape[-2:])
    return w.transpose(*range(0, 2 * n, 2), *range(1, 2 * n, 2), 2 * n, 2 * n + 1)


def _kernel_from_blocks(w: jax.Array, g: Geometry) -> jax.Array:
    """The transpose of `_kernel_blocks`."""
    n = g.ndim
    w = w.transpose(*(a for i in range(n) for a in (i, n + i)), 2 * n, 2 * n + 1)
    w = w.reshape(*(q * s for q, s in zip(g.blocks, g.strides, strict=True)), *w.shape[-2:])
    return w[tuple(slice(0, r, d) for r, d in zip(g.reach, g.dilation, strict=True))]


def conv_blocks(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: a convolution over blocks."""
    n, depth = g.ndim, math.prod(g.strides) * w.shape[-2]
    blocks = _to_blocks(x, g)
    kernel = _kernel_blocks(w, g).reshape(*g.blocks, depth, w.shape[-1])
    blocks = blocks.reshape(*blocks.shape[: n + 1], depth)
    return _convolve(blocks, kernel, g, ((0, 0),) * n)


def transpose_blocks(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: the blocks of x as a convolution of y."""
    depth = math.prod(g.strides) * w.shape[-2]
    kernel = swap(_kernel_blocks(w, g).reshape(*g.blocks, depth, w.shape[-1]), 1)
    x = _convolve(y, kernel, g, [(q - 1, q - 1) for q in g.blocks])
    return _from_blocks(x.reshape(*x.shape[:-1], *g.strides, w.shape[-2]), g)


def _windows(blocks: jax.Array, g: Geometry) -> list[jax.Array]:
    """The part of the blocks that each of the Q taps meets, (N, *O, ...)."""
    return [
        blocks[(slice(None), *(slice(q, q + o) for q, o in zip(tap, g.out, strict=True)))]
        for tap in itertools.product(*map(range, g.blocks))
    ]


def _patches(x: jax.Array, g: Geometry) -> jax.Array:
    """What each output sees: (N, *S, Ci) -> (N, *O, prod(Q) * prod(s) * Ci)."""
    windows = _windows(_to_blocks(x, g), g)
    return jnp.concatenate([v.reshape(*v.shape[: g.ndim + 1], -1) for v in windows], -1)


# --- matmul: one matrix product over all taps, with patches (im2col) or overlap-add (col2im) around it


def conv_matmul(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: patches of x times the kernel."""
    kernel = _kernel_blocks(w, g).reshape(-1, w.shape[-1])
    return _dot(_patches(x, g), kernel, ((g.ndim + 1,), (0,)), g).astype(x.dtype)


def transpose_matmul(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: y times the kernel, and the products added where they overlap."""
    n = g.ndim
    kernel = _kernel_blocks(w, g).reshape(-1, w.shape[-1])
    columns = _dot(y, kernel, ((n + 1,), (1,)), g)
    columns = columns.reshape(*y.shape[:-1], math.prod(g.blocks), *g.strides, w.shape[-2])
    total = None
    for i, tap in enumerate(itertools.product(*map(range, g.blocks))):
        part = lax.index_in_dim(columns, i, n + 1, keepdims=False)
        pads = [(q, b - 1 - q, 0) for q, b in zip(tap, g.blocks, strict=True)]
        part = _pad(part, [(0, 0, 0), *pads, *[(0, 0, 0)] * (n + 1)])
        total = part if total is None else total + part
    assert total is not None
    return _from_blocks(total.astype(y.dtype), g)


def weight_matmul(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: patches of x times y, over all positions of all images."""
    axes = tuple(range(g.ndim + 1))
    w = _dot(_patches(x, g), y, (axes, axes), g).astype(x.dtype)
    return _kernel_from_blocks(w.reshape(*g.blocks, *g.strides, -1, y.shape[-1]), g)


def weight_blocks(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """One matrix product for each tap of the blocks."""
    axes = tuple(range(g.ndim + 1))
    windows = _windows(_to_blocks(x, g), g)
    w = jnp.stack([_dot(v.reshape(*v.shape[: g.ndim + 1], -1), y, (axes, axes), g) for v in windows])
    return _kernel_from_blocks(w.astype(x.dtype).reshape(*g.blocks, *g.strides, -1, y.shape[-1]), g)


# --- taps: one strided window of x for each tap of the kernel


def _padded(x: jax.Array, g: Geometry) -> jax.Array:
    """The image padded or cropped to just what the kernel reads."""
    axes = zip(g.out, g.strides, g.reach, strict=True)
    return _crop(x, tuple((o - 1) * s + r for o, s, r in axes), tuple(-lo for lo, _ in g.padding))


def _window(x: jax.Array, tap: tuple[int, ...], g: Geometry) -> jax.Array:
    starts = [k * d for k, d in zip(tap, g.dilation, strict=True)]
    axes = zip(starts, g.out, g.strides, strict=True)
    return x[(slice(None), *(slice(a, a + (o - 1) * s + 1, s) for a, o, s in axes))]


def weight_taps(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: one matrix product for each tap of the kernel."""
    axes, x = tuple(range(g.ndim + 1)), _padded(x, g)
    w = jnp.stack([_dot(_window(x, tap, g), y, (axes, axes), g) for tap in g.taps()])
    return w.astype(x.dtype).reshape(*g.kernel, x.shape[-1], y.shape[-1])


# --- chunks: a few images at a time, so that what a form writes out in between stays in the cache

POSITIONS = 1024
"""Output positions of one chunk; 512 to 4096 are about as fast."""
SHARED_POSITIONS = 8192
"""The same for kernel gradients by Eigen, which needs enough for all threads; four times it with few input channels."""
WINOGRAD_POSITIONS = 4096
"""The same for `winograd`, whose matrix products have a quarter as many rows."""


def _chunks(x: jax.Array, g: Geometry, positions: int) -> tuple[int, int] | None:
    """How many parts of the batch x has, and the images that a chunk takes from each: a divisor of a part.

    So each device has its share of every chunk. None where one chunk is enough, or the batch's size is not known
    (`jax.export`).
    """
    if not isinstance(x.shape[0], int):
        return None
    parts = g.parts if x.shape[0] % g.parts == 0 else 1
    part, most = x.shape[0] // parts, max(2, positions // max(1, math.prod(g.out)))
    return None if part <= most else (parts, max(c for c in range(1, most + 1) if part % c == 0))


def _cut(x: jax.Array, parts: int, size: int) -> jax.Array:
    """(batch, ...) -> (chunks, parts * size, ...)."""
    return jnp.moveaxis(x.reshape(parts, -1, size, *x.shape[1:]), 1, 0).reshape(-1, parts * size, *x.shape[1:])


def _each_chunk(function: Callable[[jax.Array], jax.Array], a: jax.Array, g: Geometry, positions: int) -> jax.Array:
    """What `function` gives for a few images at a time."""
    if (cut := _chunks(a, g, positions)) is None:
        return function(a)
    b = lax.map(function, _cut(a, *cut))
    return jnp.moveaxis(b.reshape(-1, *cut, *b.shape[2:]), 0, 1).reshape(a.shape[0], *b.shape[2:])


def transpose_chunks(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x by `transpose_matmul`, a few images at a time."""
    return _each_chunk(lambda part: transpose_matmul(part, w, g), y, g, POSITIONS)


def weight_chunks(x: jax.Array, y: jax.Array, g: Geometry, each: Form = weight_lax) -> jax.Array:
    """x, y -> w: the sum of what the form `each` gives for a few images at a time.

    On several devices at once: theirs would be added up after every chunk, which takes longer than chunks save.
    """
    positions = WINOGRAD_POSITIONS if each is _weight_winograd else POSITIONS
    if g.eigen and each is weight_lax:
        positions = SHARED_POSITIONS if x.shape[-1] >= 8 else 4 * SHARED_POSITIONS
    if (cut := _chunks(x, g, positions)) is None or g.parts > 1:
        return each(x, y, g)
    xs, ys = _cut(x, *cut), _cut(y, *cut)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        x, y = (lax.dynamic_index_in_dim(v, i, keepdims=False) for v in (xs, ys))
        return total + each(x, y, g)

    # It starts from the first chunk and not from zeros, which would not vary over the axes of a `shard_map`; and it
    # takes the others by their number, as a `scan` over the rest would first copy that.
    return lax.fori_loop(1, len(xs), add, each(xs[0], ys[0], g))


# --- winograd: two outputs of each axis at once, by fewer products (Winograd 1980, Lavin & Gray 2016)

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
    x = _crop(x, size, tuple(-lo for lo, _ in g.padding))
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
            sums[at] = _pad(part, pads) + sums[at] if at in sums else _pad(part, pads)
        parts = sums
    x = jnp.stack([parts[k] for k in sorted(parts)])
    x = x.reshape(*(2,) * n, *x.shape[1:])
    x = x.transpose(n, *(a for i in range(n) for a in (n + 1 + i, i, 2 * n + 1 + i)), 3 * n + 1)
    sizes = [2 * (t + 1) * s for t, s in zip(counts, g.strides, strict=True)]
    return _crop(x.reshape(x.shape[0], *sizes, x.shape[-1]), g.size, tuple(lo for lo, _ in g.padding))


def _output_parts(y: jax.Array, g: Geometry) -> Parts:
    """Every second output of each axis, by where they begin: (N, *T, C) each."""
    counts = _tile_counts(g)
    y = _crop(y, tuple(2 * t for t in counts), (0,) * g.ndim)
    y = y.reshape(y.shape[0], *(v for t in counts for v in (t, 2)), y.shape[-1])
    places = itertools.product(range(2), repeat=g.ndim)
    return {i: y[(slice(None), *(v for j in i for v in (slice(None), j)))] for i in places}


def _kernel_sums(w: jax.Array, g: Geometry) -> Parts:
    """The factors of the kernel, (prod(s) * Ci, Co) each."""
    blocks = _kernel_blocks(w, g)
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
        products = {k: _dot(v, kernel[k], ((1,), (0,)), g).reshape(shape) for k, v in _input_sums(x, g).items()}
        parts = _back(products, "outputs", g)
        y = jnp.stack([parts[i] for i in sorted(parts)]).astype(x.dtype)
        return _crop(_interleave(y.reshape(*(2,) * n, *y.shape[1:]), n), g.out, (0,) * n)

    return _each_chunk(each, x, g, WINOGRAD_POSITIONS)


def transpose_winograd(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: the transpose of `conv_winograd`; of stride 1, `conv_winograd` itself with the kernel turned."""
    if max(g.blocks) > 3:
        return transpose_lax(y, w, g)
    if max(g.strides) == 1:
        axes = zip(g.size, g.out, g.reach, g.padding, strict=True)
        padding = tuple((r - 1 - lo, n - o + lo) for n, o, r, (lo, _) in axes)
        return conv_winograd(y, swap(w, 1), dataclasses.replace(g, size=g.out, padding=padding))
    shape, kernel = (-1, *_tile_counts(g), *g.strides, w.shape[-2]), _kernel_sums(w, g)
    products = {k: _dot(v, kernel[k], ((1,), (1,)), g).reshape(shape) for k, v in _output_sums(y, g).items()}
    return _from_tiles(_back(products, "inputs", g), g).astype(y.dtype)


def weight_winograd(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: the transpose of `conv_winograd` in the kernel."""
    if max(g.blocks) > 3:
        return weight_lax(x, y, g)
    return weight_chunks(x, y, g, _weight_winograd)


def _weight_winograd(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    outputs = _output_sums(y, g)
    taps = _back({k: _dot(v, outputs[k], ((0,), (0,)), g) for k, v in _input_sums(x, g).items()}, "taps", g)
    w = jnp.stack([taps[q] for q in sorted(taps)]).astype(x.dtype)
    return _kernel_from_blocks(w.reshape(*g.blocks, *g.strides, -1, y.shape[-1]), g)


# --- four: XLA's CPU convolution reads three channels one by one and four at once


def conv_four(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y with empty input channels up to a multiple of four."""
    more = (0, -x.shape[-1] % 4, 0)
    none = [(0, 0, 0)] * g.ndim
    return conv_lax(_pad(x, [(0, 0, 0), *none, more]), _pad(w, [*none, more, (0, 0, 0)]), g)


# --- groups, and shifts: with one kernel for each channel (Ci = groups = Co) a tap is an elementwise product


def split(form: Form, a: jax.Array, b: jax.Array, g: Geometry) -> jax.Array:
    """One convolution a group: every operand and result has its groups in the last axis."""
    one = dataclasses.replace(g, groups=1)
    pairs = zip(jnp.split(a, g.groups, -1), jnp.split(b, g.groups, -1), strict=True)
    return jnp.concatenate([form(*pair, one) for pair in pairs], -1)


def conv_shifts(x: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """x, w -> y: windows of x times the taps."""
    padded, kernel = _padded(x, g).astype(_accumulate(x.dtype)), w.astype(_accumulate(w.dtype))
    taps = [_window(padded, tap, g) * kernel[tap] for tap in g.taps()]
    return functools.reduce(jnp.add, taps).astype(x.dtype)


def transpose_shifts(y: jax.Array, w: jax.Array, g: Geometry) -> jax.Array:
    """y, w -> x: `transpose_phases` over `conv_shifts`."""
    return transpose_phases(y, w, g, conv_shifts)


def weight_shifts(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """x, y -> w: windows of x times y, summed."""

    def each(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
        x = _padded(x, g)
        w = jnp.stack([(_window(x, tap, g) * y).sum(range(g.ndim + 1)) for tap in g.taps()])
        return w.reshape(*g.kernel, 1, y.shape[-1])

    accumulate = _accumulate(x.dtype)
    return weight_chunks(x.astype(accumulate), y.astype(accumulate), g, each).astype(x.dtype)


CONV: dict[str, Form] = {
    "lax": conv_lax,
    "blocks": conv_blocks,
    "matmul": conv_matmul,
    "four": conv_four,
    "winograd": conv_winograd,
}
TRANSPOSE: dict[str, Form] = {
    "lax": transpose_lax,
    "phases": transpose_phases,
    "blocks": transpose_blocks,
    "matmul": transpose_matmul,
    "chunks": transpose_chunks,
    "winograd": transpose_winograd,
}
WEIGHT: dict[str, Form] = {
    "lax": weight_lax,
    "taps": weight_taps,
    "blocks": weight_blocks,
    "matmul": weight_matmul,
    "chunks": weight_chunks,
    "winograd": weight_winograd,
}
FORMS: dict[str, dict[str, Form]] = {"conv": CONV, "transpose": TRANSPOSE, "weight": WEIGHT}
SHIFTS: dict[str, Form] = {"conv": conv_shifts, "transpose": transpose_shifts, "weight": weight_shifts}
