"""Affine maps of pictures, and the interpolation filters behind them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.runtime.values import Array


def midpoint(taps: int) -> Array:
    """Weights of the `taps` nearest samples in Lagrange's interpolation half-way between two: float64 (taps,).

    Interleaved with 0, and 1 in the middle, they are the half-band filter H(z) H(1/z) of Daubechies' wavelets of `taps`
    taps, so of sym2 (4) and sym6 (12), the filters of Karras et al. 2020b (Deslauriers & Dubuc 1989, section 6).
    """
    places = np.arange(taps) - (taps - 1) / 2
    return np.array([np.prod([q / (q - p) for q in places if q != p]) for p in places])


def fold(index: Array, size: int) -> Array:
    """Positions of an image that is mirrored at its edge pixels (these are not repeated) -> 0 to size - 1."""
    period = max(1, 2 * (size - 1))
    index = np.mod(index, period)
    return np.minimum(index, period - index) if size > 1 else 0 * index


@functools.cache
def doubling(size: int) -> Array:
    """The matrix that puts a sample between every two of `size`: float32 (2 size - 1, size), the old ones kept."""
    out = np.zeros((2 * size - 1, size))
    out[np.arange(0, 2 * size - 1, 2), np.arange(size)] = 1.0
    for offset, weight in zip(range(-5, 7), midpoint(12), strict=True):
        left = np.arange(size - 1)
        np.add.at(out, (2 * left + 1, fold(left + offset, size)), weight)
    return out.astype(np.float32)


def warp(images: jax.Array, maps: jax.Array) -> jax.Array:
    """Each example moved by its affine map; what lies beyond the edges is the picture mirrored there.

    The picture is doubled by the half-band filter of sym6 and looked up bilinearly, so that moves by whole pixels are
    exact, and others blur little. Karras et al. (2020b, appendix B) look up at twice the size and filter with sym6
    before and after, which together is the same filter; at 32 pixels on CPU that takes nine times as long. What it
    would spare is some aliasing where a picture is made smaller.

    Args:
      images: float (B, height, width, channels).
      maps: (B, 2, 3), positions of the output -> positions of the input, each (x, y, 1) in pixels from the centre.
    """
    height, width = images.shape[1:3]
    # Whole pictures times constant matrices; gathers of single pixels, one example at a time: the fastest forms on CPU.
    dense = jnp.einsum("yh,nhwc,xw->nyxc", doubling(height), images, doubling(width))
    return jax.vmap(_look_up)(dense, maps)


def _look_up(dense: jax.Array, m: jax.Array) -> jax.Array:
    """One doubled picture (2h - 1, 2w - 1, c) at the places of the map (2, 3): (h, w, c)."""
    rows, columns, channels = dense.shape
    height, width = (rows + 1) // 2, (columns + 1) // 2
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2)[None, :]
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None]
    corner, weight = [], []
    for row, last in ((m[0], columns - 1), (m[1], rows - 1)):
        place = 2.0 * (row[0] * x + row[1] * y + row[2]) + last / 2.0
        place = last - jnp.abs(jnp.mod(place, 2 * last) - last) if last else 0.0 * place
        low = jnp.clip(jnp.floor(place), 0, max(0, last - 1))
        corner.append(low.astype(jnp.int32))
        weight.append((place - low)[..., None])
    index, right, down = corner[1] * columns + corner[0], int(columns > 1), columns * int(rows > 1)
    pixels = dense.reshape(rows * columns, channels)
    at = lambda offset: pixels.at[index + offset].get(mode="promise_in_bounds")
    upper = at(0) + weight[0] * (at(right) - at(0))
    lower = at(down) + weight[0] * (at(down + right) - at(down))
    return upper + weight[1] * (lower - upper)


@functools.cache
def bands(size: int) -> Array:
    """Four octave bands that add up to the identity, as matrices: float32 (4, size, size), the lowest first.

    From the half-band filter L(z) of sym2 and its mirror image L(-z): the bands [pi/2, pi], [pi/4, pi/2], [pi/8, pi/4]
    and [0, pi/8] are L(-z), L(z) L(-z^2), L(z) L(z^2) L(-z^4) and L(z) L(z^2) L(z^4). Edges are mirrored.
    """
    half = np.zeros(7)
    half[::2], half[3] = midpoint(4) / 2, 0.5
    signs = np.array([-1.0, 1.0] * 3 + [-1.0])
    spread = lambda taps, n: np.kron(taps, np.eye(n)[0])[: 6 * n + 1]
    filters: list[Array] = []
    low = np.ones(1)
    for n in (1, 2, 4):
        filters.insert(0, np.convolve(low, spread(half * signs, n)))
        low = np.convolve(low, spread(half, n))
    filters.insert(0, low)
    out = np.zeros((4, size, size))
    for matrix, taps in zip(out, filters, strict=True):
        for offset, weight in enumerate(taps, -(len(taps) // 2)):
            np.add.at(matrix, (np.arange(size), fold(np.arange(size) + offset, size)), weight)
    return out.astype(np.float32)
