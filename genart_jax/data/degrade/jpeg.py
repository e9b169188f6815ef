"""The blocks of JPEG, differentiable: the coder's arithmetic without its lossless part.

As in ITU-T T.81 and JFIF: YCbCr, chroma at half the size, cosine transform of 8x8 blocks, the tables of T.81's annex K
scaled by the quality as libjpeg does it, rounding; then all of it backwards. Rounding passes gradients straight through
(Bengio et al. 2013).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data.degrade.base import Degraded, Range, draw, signed, unit

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8 for _ in range(4)),
)  # fmt: skip
_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
_DCT = np.array(
    [[np.sqrt((1 if k == 0 else 2) / 8) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)] for k in range(8)],
    np.float32,
)


def jpeg(images: jax.Array, keys: jax.Array, quality: Range = (10.0, 95.0)) -> Degraded:
    """Compressed and read back at a quality as Pillow counts it (1 to 100, rounded down), chroma at half the size.

    Parameters: "quality" (B,).

    Raises:
      UserError: a quality outside of 1 to 100.
    """
    if not 1 <= quality[0] <= quality[1] <= 100:
        raise UserError(f"jpeg: got the qualities {quality}, wanted 1 to 100")
    x = unit(images, keys)
    height, width, channels = x.shape[1:]
    drawn = jnp.floor(draw(keys, "quality", quality))
    fill = [(0, 0), (0, -height % 16), (0, -width % 16), (0, 0)]
    pixels = jnp.pad(_round(255.0 * x), fill, mode="edge")
    with jax.default_matmul_precision("float32"):
        if channels == 1:
            return Degraded(
                signed(_plane(pixels[..., 0], drawn, _LUMA)[:, :height, :width, None] / 255.0), {"quality": drawn}
            )
        turned = _round(pixels @ jnp.array(_TO_YCBCR).T + jnp.array([0.0, 128.0, 128.0]))
        luma = _plane(turned[..., 0], drawn, _LUMA)
        chroma = [_plane(_halve(turned[..., i]), drawn, _CHROMA) for i in (1, 2)]
        size = ((height + 1) // 2, (width + 1) // 2)  # what lies beyond is not looked at when the chroma grows again
        chroma = [_double(plane[:, : size[0], : size[1]])[:, :height, :width] for plane in chroma]
        planes = jnp.stack([luma[:, :height, :width], *(plane - 128.0 for plane in chroma)], axis=-1)
        back = planes @ jnp.asarray(np.linalg.inv(np.array(_TO_YCBCR)).T, jnp.float32)
    return Degraded(signed(_round(back) / 255.0), {"quality": drawn})


def _plane(plane: jax.Array, quality: jax.Array, table: tuple[tuple[int, ...], ...]) -> jax.Array:
    """(B, height, width) in [0, 255] through transform and rounding."""
    scale = jnp.where(quality < 50, jnp.floor(5000.0 / quality), 200.0 - 2.0 * quality)
    steps = jnp.clip(jnp.floor((jnp.array(table) * scale[:, None, None] + 50.0) / 100.0), 1.0, 255.0)
    batch, height, width = plane.shape
    blocks = plane.reshape(batch, height // 8, 8, width // 8, 8) - 128.0
    cosines = jnp.einsum("ui,bhiwj,vj->bhwuv", _DCT, blocks, _DCT)
    steps = steps[:, None, None]
    kept = _round(cosines / steps) * steps
    back = jnp.einsum("ui,bhwuv,vj->bhiwj", _DCT, kept, _DCT).reshape(batch, height, width)
    return _round(jnp.clip(back + 128.0, 0.0, 255.0))


def _halve(plane: jax.Array) -> jax.Array:
    """The mean of each 2x2 pixels; halves go down and up by turns, as in libjpeg."""
    batch, height, width = plane.shape
    sums = plane.reshape(batch, height // 2, 2, width // 2, 2).sum((2, 4))
    rounded = jnp.floor((sums + jnp.where(jnp.arange(width // 2) % 2, 2.0, 1.0)) / 4.0)
    return sums / 4.0 + jax.lax.stop_gradient(rounded - sums / 4.0)


def _double(plane: jax.Array) -> jax.Array:
    """Twice the size by a triangle: three parts of the nearest and one of the next, in each axis."""
    for axis in (1, 2):
        n = plane.shape[axis]
        padded = jnp.pad(plane, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
        before, after = (jax.lax.slice_in_dim(padded, i, i + n, axis=axis) for i in (0, 2))
        pair = jnp.stack([0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after], axis=axis + 1)
        plane = pair.reshape([2 * n if i == axis else s for i, s in enumerate(plane.shape)])
    return plane


def _round(x: jax.Array) -> jax.Array:
    return x + jax.lax.stop_gradient(jnp.round(x) - x)
