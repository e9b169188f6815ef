"""Maps as pictures to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from genart_jax.runtime.values import Array

_SIGNED = np.array([[33, 102, 172], [146, 197, 222], [255, 255, 255], [244, 165, 130], [178, 24, 43]], float)
_UNSIGNED = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], float)


def heat(maps: ArrayLike, signed: bool) -> Array:
    """Maps (batch, height, width) as uint8 colours (batch, height, width, 3).

    Signed: blue below 0, white at 0, red above. Else from black over red to yellow. Each map has its own scale, which
    ends at the 99th percentile of its absolute values, so that a single pixel does not darken the rest.
    """
    values = np.asarray(maps, np.float64)
    most = np.percentile(np.abs(values), 99, axis=(1, 2), keepdims=True)
    scaled = np.clip(values / np.where(most > 0, most, 1.0), -1 if signed else 0, 1)
    table = _SIGNED if signed else _UNSIGNED
    place = (scaled + 1) / 2 if signed else scaled
    at = place * (len(table) - 1)
    colours = [np.interp(at, np.arange(len(table)), table[:, i]) for i in range(3)]
    return np.round(np.stack(colours, axis=-1)).astype(np.uint8)


def laid_over(images: Array, colours: Array, share: float = 0.6) -> Array:
    """Colours over grey copies of uint8 pictures (batch, height, width, 1 or 3)."""
    grey = np.asarray(images, np.float64).mean(axis=-1, keepdims=True)
    return np.round(share * colours + (1 - share) * grey).astype(np.uint8)
