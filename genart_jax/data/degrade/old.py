"""Old photographs."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.data.degrade.base import Degraded, Range, draw, per_picture, signed, unit
from genart_jax.data.degrade.masks import scratch_mask
from genart_jax.nn.random import normal, stream

_LUMA = (0.299, 0.587, 0.114)
_PAPER = (0.93, 0.87, 0.74)
_INK = (0.16, 0.10, 0.06)


def old_photograph(
    images: jax.Array,
    keys: jax.Array,
    sepia: Range = (0.6, 1.0),
    fading: Range = (0.1, 0.4),
    grain: Range = (0.02, 0.06),
    count: int = 4,
    thickness: Range = (0.005, 0.02),
) -> Degraded:
    """Sepia, then fading, then grain, then up to `count` light scratches.

    Sepia replaces a share of each colour by its luma (ITU-R 601) between a brown ink and a yellowed paper; fading mixes
    a share of that paper in; grain is normal noise, the same in all channels, with pixels in [0, 1]. Grey pictures
    stay grey: the ink is then 0.1 and the paper 0.87.

    Parameters: "mask" of the scratches, "sepia", "fading" and "grain" (B,).
    """
    x = unit(images, keys)
    colors = x.shape[-1] == 3
    paper, ink = (jnp.array(tone) if colors else jnp.array(tone[1:2]) for tone in (_PAPER, _INK))
    luma = x @ jnp.array(_LUMA)[:, None] if colors else x
    drawn = {name: draw(keys, name, between)
             for name, between in (("sepia", sepia), ("fading", fading), ("grain", grain))}  # fmt: skip
    share, faded = per_picture(drawn["sepia"]), per_picture(drawn["fading"])
    x = (1.0 - share) * x + share * (ink + luma * (paper - ink))
    x = (1.0 - faded) * x + faded * paper
    x = x + per_picture(drawn["grain"]) * normal(stream(keys, "grains"), (*x.shape[1:3], 1))
    mask = scratch_mask(stream(keys, "scratches"), (x.shape[1], x.shape[2]), count, thickness).astype(jnp.float32)[
        ..., None
    ]
    return Degraded(signed(jnp.where(mask > 0, paper, x)), drawn | {"mask": mask})
