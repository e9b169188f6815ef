"""Volumes as shaded surfaces: orthographic rays into voxels, lit by the gradient of what is solid."""

from __future__ import annotations

import functools
import math

import numpy as np

from genart_jax.runtime.values import Array

LEVEL = 127.5
"""Of uint8 voxels: above it, they are solid."""
AZIMUTH, ELEVATION = 35.0, 25.0
"""Where one looks from, in degrees: about the upright axis, and above the ground."""
_LEAST = 96  # pixels of a picture's side
_EXTENT = 0.76  # of the cube's side, from the middle to the picture's edge: all of the cube is in it from the side
_STEPS = 1.5  # samples of a ray for each voxel
_WHITE, _COLOR = np.array([245.0, 245.0, 245.0]), np.array([104.0, 148.0, 196.0])
_LIGHT, _AMBIENT = np.array([-0.35, -0.75, -0.55]), 0.35  # towards it: to the right, down, into the picture


def shaded(volumes: Array, azimuth: float = AZIMUTH, elevation: float = ELEVATION) -> Array:
    """Each volume as a picture of its surface at half of the range: uint8 (n, side, side, 3).

    The side is the volume's, times the least whole number that makes it 96 pixels. Light comes from above at the left.
    A volume of three channels is solid where the largest is, and has their colour.

    Args:
      volumes: uint8 (n, size, size, size, 1 or 3), depth first, the top at the first row of its height.
      azimuth: degrees about the upright axis; at 0, one looks along the depth.
      elevation: degrees above the ground.
    """
    size = volumes.shape[1]
    side = size * max(1, -(-_LEAST // size))
    return np.stack([_picture(volume, side, azimuth, elevation) for volume in volumes])


@functools.lru_cache(maxsize=32)
def _rays(size: int, side: int, azimuth: float, elevation: float) -> tuple[Array, Array]:
    """Places along rays in voxels, (3, steps, side, side), nearest first; and the view's right, down and forward."""
    a, e = math.radians(azimuth), math.radians(elevation)
    forward = np.array([math.cos(e) * math.cos(a), math.sin(e), math.cos(e) * math.sin(a)])
    right = np.array([-math.sin(a), 0.0, math.cos(a)])
    down = np.array([-math.sin(e) * math.cos(a), math.cos(e), -math.sin(e) * math.sin(a)])
    across = (np.arange(side) + 0.5) / side * 2 - 1
    along = np.linspace(-1, 1, math.ceil(2 * _EXTENT * _STEPS * size)) * 1.15
    z, y, x = np.meshgrid(along, across, across, indexing="ij")
    view = np.stack([right, down, forward])
    places = np.einsum("pzyx,pc->czyx", np.stack([x, y, z]), view) * (_EXTENT * size) + (size - 1) / 2
    return places.astype(np.float32), view


def _picture(volume: Array, side: int, azimuth: float, elevation: float) -> Array:
    from scipy import ndimage

    solid = volume.max(axis=-1).astype(np.float32)
    canvas = np.broadcast_to(_WHITE, (side, side, 3)).copy()
    if solid.max() <= LEVEL:
        return canvas.astype(np.uint8)
    places, view = _rays(len(solid), side, azimuth, elevation)
    seen = ndimage.map_coordinates(solid, places, order=1, mode="constant", prefilter=False)
    inside = seen > LEVEL
    first, hit = inside.argmax(axis=0), inside.any(axis=0)
    at = _crossing(seen, places, first, hit)
    # Towards less of it, a voxel wide: steps of whole voxels would show as stairs.
    blurred = ndimage.gaussian_filter(solid, 1.0, mode="constant")
    slopes = [ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in np.gradient(blurred)]
    normal = -np.stack(slopes, axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
    light = _LIGHT / np.linalg.norm(_LIGHT) @ view
    shade = _AMBIENT + (1 - _AMBIENT) * np.clip(normal @ light, 0, 1)
    color = _COLOR if volume.shape[-1] == 1 else volume[tuple(np.clip(np.rint(at), 0, len(solid) - 1).astype(int))]
    canvas[hit] = np.clip(1.25 * shade[:, None] * color, 0, 255)
    return canvas.astype(np.uint8)


def _crossing(seen: Array, places: Array, first: Array, hit: Array) -> Array:
    """Where rays cross the surface, (3, hits): between the first sample inside and the one before."""
    rows, columns = np.nonzero(hit)
    i = first[rows, columns]
    before = np.maximum(i - 1, 0)
    high, low = seen[i, rows, columns], seen[before, rows, columns]
    share = np.clip((LEVEL - low) / np.maximum(high - low, 1e-6), 0, 1)
    a, b = places[:, before, rows, columns], places[:, i, rows, columns]
    return np.asarray(a + share * (b - a))
