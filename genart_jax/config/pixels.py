"""Options of the step that trains pixels. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Weight


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Options of the step that trains pixels."""

    content_weight: Weight = 1.0
    """Weight of the content loss."""
    style_weight: Weight = 1.0
    """Weight of the style loss."""
    tv_weight: Weight = 1.0
    """Weight of the total variation."""
    keep_color: bool = False
    """Change luminance alone, and compare luminance alone (Gatys et al. 2017, section 5.2)."""
    noise: Weight = 0.01
    """Standard deviation of the noise that the picture starts with, in units of [-1, 1]."""
