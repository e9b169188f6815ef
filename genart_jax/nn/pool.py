"""Pooling that trains at full speed on CPU, in place of ``flax.linen.max_pool`` and ``avg_pool``.

The gradient of XLA's window reductions is slow on CPU (the maximum's scatters, and its derivative gathers). Here a
window is reduced one axis after the other as a few elementwise operations on slices, whose derivatives of every order
are elementwise again: selections for the maximum, sums for the average. It is the same on every backend.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

Padding = str | Sequence[tuple[int, int]]

LONGEST = 32
"""Longest side of an overlapping window that is written out in slices; beyond it Flax's form runs."""


class _Axis(NamedTuple):
    """One spatial axis."""

    at: int  # in the array
    window: int
    stride: int
    pads: tuple[int, int]
    out: int


def max_pool(
    inputs: jax.Array, window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The largest of each window: (*batch, *S, C) -> (*batch, *O, C) in the range of the input.

    As ``flax.linen.max_pool``: strides default to 1, ``padding`` is "VALID", "SAME" or a (low, high) pair for each
    spatial axis and pads with minus infinity, and "VALID" leaves out the rest that fills no window. As in ``lax``,
    NaN is larger than any number, and where several of a window are the largest the first of them, row by row, takes
    the whole gradient.
    """
    axes = _axes(inputs, window_shape, strides, padding)
    if axes is None or not jnp.issubdtype(inputs.dtype, jnp.floating):
        return nn.max_pool(inputs, tuple(window_shape), strides and tuple(strides), padding)
    x = _pad(inputs, axes, -jnp.inf)
    # The last axis comes first: the first largest of each row, then of those the first.
    for axis in reversed(axes):
        x = functools.reduce(_larger, _slices(x, axis))
    return x


def avg_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> jax.Array:
    """The mean of each window: (*batch, *S, C) -> (*batch, *O, C) in the range of the input and 0.

    As ``flax.linen.avg_pool``: strides default to 1, ``padding`` is as in `max_pool` and pads with zeros, which count
    in the mean unless ``count_include_pad`` is False. Half-precision inputs are summed in float32.
    """
    axes = _axes(inputs, window_shape, strides, padding)
    if axes is None or not jnp.issubdtype(inputs.dtype, jnp.floating):
        return nn.avg_pool(inputs, tuple(window_shape), strides and tuple(strides), padding, count_include_pad)
    x = _pad(inputs.astype(jnp.promote_types(inputs.dtype, jnp.float32)), axes, 0.0)
    if all(axis.window == axis.stride for axis in axes):
        for axis in reversed(axes):
            x = _tiles(x, axis)
        x = x.sum(tuple(axis.at + 1 + i for i, axis in enumerate(axes)))
    else:
        for axis in reversed(axes):
            x = functools.reduce(jnp.add, _slices(x, axis))
    count: int | np.ndarray = math.prod(window_shape)
    if not count_include_pad:
        count = functools.reduce(np.multiply.outer, [_inside(axis, inputs.shape[axis.at]) for axis in axes])[..., None]
    return (x / jnp.asarray(count, x.dtype)).astype(inputs.dtype)


def _axes(
    x: jax.Array, window_shape: Sequence[int], strides: Sequence[int] | None, padding: Padding
) -> list[_Axis] | None:
    """Each spatial axis; None where Flax's form must run, for very long windows and for empty results."""
    n = len(window_shape)
    strides = strides or (1,) * n
    if len(strides) != n or x.ndim < n + 1 or (not isinstance(padding, str) and [len(p) for p in padding] != [2] * n):
        raise ValueError(
            f"pooling wants images (*batch, *S, C) and as many strides and (low, high) pads as window sides; "
            f"got shape {x.shape}, window {tuple(window_shape)}, strides {tuple(strides)}, padding {padding!r}"
        )
    size = x.shape[x.ndim - 1 - n : -1]
    pads = lax.padtype_to_pads(size, window_shape, strides, padding) if isinstance(padding, str) else padding
    axes = [
        _Axis(x.ndim - 1 - n + i, k, s, (lo, hi), (m + lo + hi - k) // s + 1)
        for i, (m, k, s, (lo, hi)) in enumerate(zip(size, window_shape, strides, pads, strict=True))
    ]
    short = all(axis.window <= LONGEST or axis.window == axis.stride for axis in axes)
    return axes if short and min(axis.out for axis in axes) > 0 else None


def _pad(x: jax.Array, axes: list[_Axis], value: float) -> jax.Array:
    pads = [(0, 0, 0)] * x.ndim
    for axis in axes:
        pads[axis.at] = (*axis.pads, 0)
    return lax.pad(x, jnp.asarray(value, x.dtype), pads) if any(map(any, pads)) else x


def _tiles(x: jax.Array, axis: _Axis) -> jax.Array:
    """Splits an axis into (windows, positions in a window), for windows that follow each other."""
    x = lax.slice_in_dim(x, 0, axis.out * axis.window, axis=axis.at)
    return x.reshape(*x.shape[: axis.at], axis.out, axis.window, *x.shape[axis.at + 1 :])


def _slices(x: jax.Array, axis: _Axis) -> list[jax.Array]:
    """For each position in a window, what all the windows have there."""
    if axis.window == axis.stride:  # a view, and twice as fast backwards
        tiles = _tiles(x, axis)
        return [lax.index_in_dim(tiles, i, axis.at + 1, keepdims=False) for i in range(axis.window)]
    last = (axis.out - 1) * axis.stride + 1
    return [lax.slice_in_dim(x, i, i + last, axis.stride, axis.at) for i in range(axis.window)]


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The larger, the first of equals, or NaN. ``maximum`` would give each of two equals half of the gradient."""
    return jnp.where((a < b) | (b != b), b, a)


def _inside(axis: _Axis, size: int) -> np.ndarray:
    """How many positions of each window are not padding."""
    starts = np.arange(axis.out) * axis.stride - axis.pads[0]
    return np.maximum(0, np.minimum(starts + axis.window, size) - np.maximum(starts, 0))
