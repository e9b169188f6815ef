"""What a convolution is apart from its arrays, and what its forms are made of.

Arrays are channels-last and kernels (*K, I, O): every convolution that is emitted has these dimension numbers, because
XLA on CPU runs the others tens of times slower inside loops.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

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
        """The number of spatial axes."""
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


def pad(x: jax.Array, pads: list[tuple[int, int, int]]) -> jax.Array:
    """`lax.pad` with zeros."""
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def crop(x: jax.Array, size: tuple[int, ...], low: tuple[int, ...]) -> jax.Array:
    """x[:, low : low + size] in each spatial axis, with zeros where that reaches outside."""
    pads = [(-lo, n + lo - m, 0) for n, lo, m in zip(size, low, x.shape[1:-1], strict=True)]
    return pad(x, [(0, 0, 0), *pads, (0, 0, 0)])


def interleave(x: jax.Array, n: int) -> jax.Array:
    """(*s, N, *B, C) -> (N, *(B * s), C): depth to space with the phases in front."""
    order = [n, *(a for i in range(n) for a in (n + 1 + i, i)), 2 * n + 1]
    batch, *blocks, channels = x.shape[n:]
    sizes = [b * s for b, s in zip(blocks, x.shape[:n], strict=True)]
    return x.transpose(order).reshape(batch, *sizes, channels)


def sum_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """Sums of half-precision products are kept in float32, as `lax` does inside a convolution."""
    return jnp.promote_types(dtype, jnp.float32) if jnp.issubdtype(dtype, jnp.floating) else dtype


def dot(a: jax.Array, b: jax.Array, axes: tuple[tuple[int, ...], tuple[int, ...]], g: Geometry) -> jax.Array:
    """`lax.dot_general` over `axes`, summed in `sum_dtype`."""
    numbers = (axes, ((), ()))
    return lax.dot_general(a, b, numbers, g.precision, preferred_element_type=sum_dtype(a.dtype))


_CUT_FIRST = jax.__version_info__ < (0, 12)  # seen in 0.10.2 and 0.11.2, and no longer in 0.12.0.1


def convolve(
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
        x = pad(x, [(0, 0, 0), *((-lo, -hi, 0) for lo, hi in drop), (0, 0, 0)])
    return lax.conv_general_dilated(
        x, w, strides or (1,) * n, padding, expand, dilation, canonical(n), groups, batch_groups, g.precision
    )
