"""What a batch of a model holds. No jax here."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class BatchSpec:
    """What a batch of a model holds: enough to load and use a model without its data."""

    image_shape: tuple[int, ...] = (32, 32, 3)
    """(height, width, channels)."""
    conditions: tuple[tuple[str, int], ...] = ()
    """(name, number of classes) of each integer condition."""
    hidden: tuple[str, ...] = ()
    """The conditions that the model also learns without: of these, -1 (not told) can be asked for."""
