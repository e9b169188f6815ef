"""Ways from one latent to another."""

from __future__ import annotations

from typing import Literal

import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime.values import Array
from genart_jax.use.latent.space import Codes

_LEAST = 1e-6  # a sine below which two directions count as one


def lerp(a: Array, b: Array, t: float) -> Array:
    """(1 - t) a + t b."""
    return np.asarray((1.0 - t) * a + t * b, np.float32)


def slerp(a: Array, b: Array, t: float) -> Array:
    """From a to b along the great circle (Shoemake 1985; White 2016, arXiv:1609.04468), over the last axis.

    At t it has gone the share t of the angle, and its norm is (1 - t) |a| + t |b|: that of a normal's latents hardly
    changes, while a straight line passes nearer to 0 than they ever are. Of opposite vectors the circle is not
    determined: it then goes by the axis that they have the least of. From or to 0 it is the straight line.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    norms = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    u, v = (x / np.where(n > 0, n, 1.0) for x, n in zip((a, b), norms, strict=True))
    along = np.sum(u * v, axis=-1, keepdims=True)
    across = v - along * u
    sine = np.linalg.norm(across, axis=-1, keepdims=True)
    axis = np.eye(a.shape[-1])[np.argmin(np.abs(u), axis=-1)]
    other = axis - np.sum(axis * u, axis=-1, keepdims=True) * u
    other /= np.maximum(np.linalg.norm(other, axis=-1, keepdims=True), _LEAST)
    side = np.where(sine > _LEAST, across / np.maximum(sine, _LEAST), other)
    angle = np.arctan2(sine, along) * t
    circle = ((1 - t) * norms[0] + t * norms[1]) * (np.cos(angle) * u + np.sin(angle) * side)
    nothing = np.minimum(*norms) == 0
    return np.asarray(np.where(nothing, (1 - t) * a + t * b, circle), np.float32)


def path(codes: Codes, steps: int, kind: Literal["slerp", "lerp"]) -> list[Codes]:
    """Of each two neighbours the way from one to the other, `steps` codes with both ends.

    Conditions, which have nothing between them, are those of the nearer end.

    Raises:
      UserError: fewer than two codes or steps.
    """
    if len(codes.values) < 2 or steps < 2:
        raise UserError("an interpolation needs two latents or more, and two steps or more")
    between = slerp if kind == "slerp" else lerp
    out = []
    for i in range(len(codes.values) - 1):
        times = [float(t) for t in np.linspace(0.0, 1.0, steps)]
        values = np.stack([between(codes.values[i], codes.values[i + 1], t) for t in times])
        nearer = codes.take([i if t < 0.5 else i + 1 for t in times])
        out.append(
            nearer._replace(values=values, words=tuple(f"{nearer.words[n]}, {t:.2f}" for n, t in enumerate(times)))
        )
    return out
