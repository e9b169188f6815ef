"""Convolution and its transpose, as `lax` has them, over the primitives."""

from collections.abc import Sequence
from typing import Any, cast

import jax
from jax import lax
from jax.extend.core import Primitive

from genart_jax.nn.conv import mapped as mapped  # gives the primitives their rules of `vmap`
from genart_jax.nn.conv import primitives
from genart_jax.nn.conv.context import geometry_here
from genart_jax.nn.conv.direct import swap
from genart_jax.nn.conv.geometry import Geometry, Pair, canonical

Ints = int | Sequence[int] | None
Padding = str | int | Sequence[int | Pair]


def as_tuple(value: Ints, n: int) -> tuple[int, ...]:
    """One number for each of `n` axes."""
    if value is None or isinstance(value, int):
        return (1 if value is None else value,) * n
    return tuple(value)


def _pairs(padding: Padding, n: int) -> str | tuple[Pair, ...]:
    """As in Flax: a name, one int for all sides, or for each axis an int or a (low, high) pair."""
    if isinstance(padding, str):
        return padding
    if isinstance(padding, int):
        return ((padding, padding),) * n
    pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)
    if len(pairs) != n or any(len(p) != 2 for p in pairs):
        raise ValueError(f"padding must be a name, an int, or {n} ints or (low, high) pairs; got {padding!r}")
    return cast(tuple[Pair, ...], pairs)


def _check(x: jax.Array, w: jax.Array, channels: int, what: str) -> int:
    n = x.ndim - 2
    if n < 1 or w.ndim != x.ndim or x.shape[-1] != channels or x.dtype != w.dtype:
        raise ValueError(
            f"{what} wants an image (N, *S, {channels}) and a kernel (*K, in, out) of one dtype and one number of "
            f"spatial axes; got image {x.shape} {x.dtype} and kernel {w.shape} {w.dtype}"
        )
    return n


def _varying(a: jax.Array) -> frozenset[str]:
    """The manual axes that an array varies over inside ``shard_map``."""
    aval: Any = jax.typeof(a)
    return aval.manual_axis_type.varying if hasattr(aval, "manual_axis_type") else aval.vma


def _bind(primitive: Primitive, a: jax.Array, b: jax.Array, g: Geometry) -> jax.Array:
    """Binds after making both operands vary over the same manual axes, as every ``lax`` function does."""
    va, vb = _varying(a), _varying(b)
    if va != vb:
        a = lax.pcast(a, tuple(vb - va), to="varying")
        b = lax.pcast(b, tuple(va - vb), to="varying")
    return primitives.apply(primitive, a, b, geometry=g)


def _explicit(a: jax.Array) -> bool:
    types = getattr(jax.typeof(a).sharding.mesh, "axis_types", ())
    return any(t == jax.sharding.AxisType.Explicit for t in types)


def _fractional(
    x: jax.Array,
    w: jax.Array,
    expand: tuple[int, ...],
    padding: tuple[Pair, ...],
    dilation: tuple[int, ...],
    groups: int,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The stride-1 convolution of x, expanded with zeros, as the transpose of a strided convolution.

    ``w`` is the kernel of that strided convolution: `swap` of the one that slides over the expanded x.
    """
    reach = reach_of(w, dilation)
    axes = list(zip(x.shape[1:-1], expand, padding, reach, strict=True))
    size = tuple((m - 1) * e + 1 + lo + hi - r + 1 for m, e, (lo, hi), r in axes)
    crop = tuple((r - 1 - lo, r - 1 - hi) for _, _, (lo, hi), r in axes)
    g = geometry_here(size, w.shape[:-2], expand, crop, dilation, groups, precision)
    return _bind(primitives.transpose, x, w, g)


def reach_of(w: jax.Array, dilation: tuple[int, ...]) -> tuple[int, ...]:
    """The extent of the dilated kernel."""
    return tuple((k - 1) * d + 1 for k, d in zip(w.shape[:-2], dilation, strict=True))


def conv(
    x: jax.Array,
    w: jax.Array,
    *,
    strides: Ints = 1,
    padding: Padding = "SAME",
    input_dilation: Ints = 1,
    kernel_dilation: Ints = 1,
    groups: int = 1,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Convolution (cross-correlation) of x (N, *S, Ci) with w (*K, Ci / groups, Co) to (N, *O, Co).

    As ``lax.conv_general_dilated``: ``padding`` is "SAME", "VALID", an int, or for each spatial axis an int or a
    (low, high) pair, where negative means cropping.
    """
    n = _check(x, w, w.shape[-2] * groups, "conv")
    precision = _in_force(precision)
    stride, dilation, expand = as_tuple(strides, n), as_tuple(kernel_dilation, n), as_tuple(input_dilation, n)
    pairs = _pairs(padding, n)
    if isinstance(pairs, str):
        if max(expand) > 1:
            raise ValueError(f"padding must be numbers with input_dilation {expand}; got {padding!r}")
        pairs = tuple(lax.padtype_to_pads(x.shape[1:-1], reach_of(w, dilation), stride, pairs))
    if _explicit(x):
        return lax.conv_general_dilated(
            x, w, stride, pairs, expand, dilation, canonical(n), groups, precision=precision
        )
    if max(expand) > 1:
        y = _fractional(x, swap(w, groups), expand, pairs, dilation, groups, precision)
        return y[(slice(None), *(slice(None, None, s) for s in stride))] if max(stride) > 1 else y
    g = geometry_here(x.shape[1:-1], w.shape[:-2], stride, pairs, dilation, groups, precision)
    return _bind(primitives.conv, x, w, g)


def conv_transpose(
    x: jax.Array,
    w: jax.Array,
    *,
    strides: Ints = 1,
    padding: Padding = "SAME",
    kernel_dilation: Ints = 1,
    transpose_kernel: bool = False,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Transposed convolution of x (N, *S, Ci) with w (*K, Ci, Co) to (N, *O, Co), as ``lax.conv_transpose``.

    "SAME" gives O = S * strides; pairs pad x after its expansion by the strides. With ``transpose_kernel`` the
    kernel is that of the convolution whose transpose this is, (*K, Co, Ci).
    """
    n = _check(x, w, w.shape[-1 if transpose_kernel else -2], "conv_transpose")
    precision = _in_force(precision)
    stride, dilation = as_tuple(strides, n), as_tuple(kernel_dilation, n)
    pairs = _pairs(padding, n)
    if isinstance(pairs, str):
        pairs = tuple(_transpose_pads(r, s, pairs) for r, s in zip(reach_of(w, dilation), stride, strict=True))
    if _explicit(x):
        return lax.conv_transpose(x, w, stride, pairs, dilation, canonical(n), transpose_kernel, precision=precision)
    return _fractional(x, w if transpose_kernel else swap(w, 1), stride, pairs, dilation, 1, precision)


def _in_force(precision: lax.PrecisionLike) -> lax.PrecisionLike:
    """`jax.default_matmul_precision` as it is now: the forms are lowered later, when its context is over."""
    return jax.config.values["jax_default_matmul_precision"] if precision is None else precision


def _transpose_pads(reach: int, stride: int, name: str) -> Pair:
    """The padding of the expanded image that ``lax.conv_transpose`` gives these names."""
    if name == "VALID":
        return reach - 1, stride - 1 + max(reach - stride, 0)
    if name != "SAME":
        raise ValueError(f"padding of a transposed convolution is 'SAME', 'VALID' or numbers; got {name!r}")
    low = reach - 1 if stride > reach - 1 else -(-(reach + stride - 2) // 2)
    return low, reach + stride - 2 - low
