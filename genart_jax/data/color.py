"""The dominant colour of a picture: the classes of the condition `color`. NumPy alone.

Each pixel votes for one colour with its chroma, max(R, G, B) - min(R, G, B), which is saturation times value of HSV
(Smith 1978, "Color gamut transform pairs"): white, grey and black have none, so a background of these does not vote.
Tinted greys (chroma below 28 of 255, or saturation below 0.28) do not vote either. A pixel's colour is that of its
hue, in degrees,

    red 340-10, orange 10-35, yellow 35-65, green 65-160, teal 160-188, blue 188-250, purple 250-305, pink 305-340

but for three that people name apart from their hue:

    orange  hue 35-39 with saturation of 0.9 or more (vivid amber; paler, it is the yellow of a smiley)
    brown   hue 10-48 with value below 0.75; hue 340-10 with value below 0.7 and saturation below 0.6
    pink    hue 315-10 with value of 0.75 or more and saturation below 0.6

The colour with most votes wins. Where all votes together are less than a sixth of the picture's ink (the sum of
255 - min(R, G, B), the distance from white paper), the picture is neutral. So a small red mark on white paper is red,
and the same mark on a large black or grey shape is neutral. The numbers were chosen by looking at the embedded icons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from genart_jax.config import UserError
from genart_jax.runtime.values import Array

COLOR_NAMES = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "neutral")
"""Names of the classes, in the order of their integers."""

_HUE_ENDS = np.array([10, 35, 65, 160, 188, 250, 305, 340], np.float32)  # of the first eight colours; red again above
_RED, _ORANGE, _PINK, _BROWN, _NEUTRAL = (
    COLOR_NAMES.index(name) for name in ("red", "orange", "pink", "brown", "neutral")
)
_CHUNK = 1 << 20  # pixels at a time: bounds the memory, and stays near the cache


def dominant_color(images: ArrayLike) -> Array:
    """The dominant colour of each picture, as defined above.

    Args:
      images: uint8 (N, H, W, 3) RGB or (N, H, W, 1) grey, of any size.

    Returns:
      int32 (N,), indices into COLOR_NAMES. Votes are sums of integers, so no order of summation can change them. Grey
      and empty pictures are neutral; among equal votes the first name wins.

    Raises:
      UserError: another dtype or shape.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(f"images: got {images.shape} {images.dtype}, wanted (N, H, W, 3 or 1) uint8")
    colors = np.full(len(images), _NEUTRAL, np.int32)
    if images.shape[-1] == 3 and images.size:
        step = max(1, _CHUNK // (images.shape[1] * images.shape[2]))
        for start in range(0, len(images), step):
            colors[start : start + step] = _dominant(images[start : start + step])
    return colors


def _dominant(images: Array) -> Array:
    """uint8 (N, H, W, 3) -> int32 (N,)."""
    pixels = images.reshape(len(images), -1, 3)
    low, high = pixels.min(-1), pixels.max(-1)
    chroma = high - low
    owner, place = np.nonzero((chroma >= 28) & (chroma >= 0.28 * high))
    color = _pixel_color(pixels[owner, place], high[owner, place], chroma[owner, place])
    shape = len(images), len(COLOR_NAMES)
    ballot = owner * shape[1] + color
    votes = np.bincount(ballot, chroma[owner, place], shape[0] * shape[1]).reshape(shape)  # integers: exact in float64
    ink = (255 - low).sum(-1, dtype=np.int64)
    total = votes.sum(-1)
    return np.where((total == 0) | (6 * total < ink), _NEUTRAL, votes.argmax(-1)).astype(np.int32)


def _pixel_color(rgb: Array, value: Array, chroma: Array) -> Array:
    """Colours of pixels that vote: uint8 (P, 3), (P,) and (P,) -> intp (P,)."""
    r, g, b = rgb.astype(np.float32).T
    v, c = value.astype(np.float32), chroma.astype(np.float32)
    sector = np.where(r == v, (g - b) / c, np.where(g == v, 2 + (b - r) / c, 4 + (r - g) / c))
    hue = sector * np.float32(60)
    hue[hue < 0] += 360
    color = np.searchsorted(_HUE_ENDS, hue, side="right")
    color[color == len(_HUE_ENDS)] = _RED
    pale = c < 0.6 * v
    color[(hue >= 35) & (hue < 39) & (c >= 0.9 * v)] = _ORANGE
    color[(hue >= 10) & (hue < 48) & (v < 0.75 * 255)] = _BROWN
    color[((hue >= 340) | (hue < 10)) & pale & (v < 0.7 * 255)] = _BROWN
    color[((hue >= 315) | (hue < 10)) & pale & (v >= 0.75 * 255)] = _PINK
    return color
