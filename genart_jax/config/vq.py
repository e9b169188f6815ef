"""Options of the vector-quantised step. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Weight


@dataclasses.dataclass(frozen=True)
class VectorQuantized:
    """Options of the vector-quantised step."""

    beta: Weight = 0.25
    """Weight of the commitment loss, which keeps encodings near their codes; fixed levels need none."""
