"""Distances between two pictures of the same thing: peak signal-to-noise ratio and structural similarity.

On RGB as they are; as papers on restoration give them, on `luma` with a border cut off by `shaved`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError

if TYPE_CHECKING:
    from jaxtyping import Float

RANGE = 2.0
"""Of pictures in [-1, 1]."""


def psnr(a: Float[jax.Array, "batch *shape"], b: Float[jax.Array, "..."]) -> Float[jax.Array, " batch"]:
    """10 log10(range^2 / mean squared error) in decibels: (batch,), of images (batch, ...) in [-1, 1]."""
    _check(a, b)
    error = jnp.mean(jnp.square(a - b), axis=tuple(range(1, a.ndim)))
    return 10 * jnp.log10(RANGE**2 / error)


def luma(images: Float[jax.Array, "*shape channels"]) -> Float[jax.Array, "*shape 1"]:
    """Y of YCbCr by ITU-R BT.601 in its studio range, 16 to 235 of 255: (..., 3) in [-1, 1] -> (..., 1) likewise.

    As MATLAB's rgb2ycbcr, on which papers on super-resolution take PSNR with a peak of 255. Grey is R = G = B.
    """
    weights = jnp.array([65.481, 128.553, 24.966])
    x = 0.5 * (images + 1.0)
    levels = 16.0 + jnp.sum(x * (weights if images.shape[-1] == 3 else jnp.sum(weights)), axis=-1, keepdims=True)
    return levels / 127.5 - 1.0


def shaved(
    images: Float[jax.Array, "batch height width channels"], border: int
) -> Float[jax.Array, "batch inner_height inner_width channels"]:
    """(batch, height, width, channels) without so many pixels at each edge.

    Raises:
      UserError: nothing would be left.
    """
    if 2 * border >= min(images.shape[1:3]):
        raise UserError(f"a border of {border} leaves nothing of {images.shape[1]}x{images.shape[2]} pixels")
    return images[:, border : images.shape[1] - border, border : images.shape[2] - border]


SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM, from the full size to a sixteenth (Wang et al. 2003, section 3.2)."""


def ms_ssim(
    a: Float[jax.Array, "batch height width channels"], b: Float[jax.Array, "batch height width channels"]
) -> Float[jax.Array, " batch"]:
    """Multi-scale structural similarity (Wang et al. 2003, eq. 7) of images (batch, H, W, channels) in [-1, 1].

    One value an example, (batch,).

    The product over five sizes, each half the one before (means of 2x2), of contrast and structure, and at the smallest
    of luminance too, to the powers `SCALES`. What is below 0 counts as 0.

    Raises:
      UserError: shapes differ, or a side is less than 176.
    """
    _check(a, b)
    if a.ndim != 4 or min(a.shape[1:3]) < 11 * 2 ** (len(SCALES) - 1):
        raise UserError(f"ms_ssim: got {a.shape}, wanted (batch, height, width, channels) with sides of at least 176")
    out = jnp.ones(len(a))
    for i, power in enumerate(SCALES):
        both, structure = _similar(a, b, 1.5, 5)
        found = both if i == len(SCALES) - 1 else structure
        out = out * jnp.maximum(found, 0.0) ** power
        a, b = (_halved(x) for x in (a, b))
    return out


def _halved(x: jax.Array) -> jax.Array:
    """Means of 2x2; an odd last row or column is left out."""
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def ssim(
    a: Float[jax.Array, "batch height width channels"],
    b: Float[jax.Array, "..."],
    sigma: float = 1.5,
    radius: int = 5,
) -> Float[jax.Array, " batch"]:
    """Mean structural similarity (Wang et al. 2004, eq. 13) of images (batch, height, width, channels) in [-1, 1].

    Gaussian windows of 2 * radius + 1 pixels that lie wholly inside; (batch,), the mean over places and channels.
    Intensities there begin at 0, so the means are taken of `a` + 1 and `b` + 1: that of two greys is as of their bytes.

    Raises:
      UserError: shapes differ, or a side is smaller than the window.
    """
    _check(a, b)
    size = 2 * radius + 1
    if a.ndim != 4 or min(a.shape[1:3]) < size:
        raise UserError(f"ssim: got {a.shape}, wanted (batch, height, width, channels) with sides of at least {size}")
    return _similar(a, b, sigma, radius)[0]


def _similar(a: jax.Array, b: jax.Array, sigma: float, radius: int) -> tuple[jax.Array, jax.Array]:
    """Structural similarity, and its part of contrast and structure alone: (batch,) each."""
    size = 2 * radius + 1
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-0.5 * (offsets / sigma) ** 2)
    window = window / window.sum()

    def blur(x: jax.Array) -> jax.Array:
        for axis in (1, 2):
            length = x.shape[axis] - size + 1
            parts = [w * jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i, w in enumerate(window.tolist())]
            x = sum(parts[1:], parts[0])
        return x

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    mean_a, mean_b = mean_a + 1.0, mean_b + 1.0  # variances, which a shift leaves alone, are more exact without it
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return jnp.mean(luminance * structure, axis=(1, 2, 3)), jnp.mean(structure, axis=(1, 2, 3))


def _check(a: jax.Array, b: jax.Array) -> None:
    if a.shape != b.shape:
        raise UserError(f"pictures of different shapes: {a.shape} and {b.shape}")
