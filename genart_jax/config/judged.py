"""Options of an autoencoder beside whose own loss others judge. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Natural, Weight
from genart_jax.config.vae import Vae
from genart_jax.config.vq import VectorQuantized


@dataclasses.dataclass(frozen=True)
class Judged:
    """Options of what judges reconstructions, besides the autoencoder's own loss."""

    perceptual_weight: Weight = 1.0
    """Weight of the distance of a frozen network's activations (0: off)."""
    adversarial_weight: Weight = 1.0
    """Weight of what the critic of patches makes of reconstructions (0: no critic)."""
    adaptive: bool = True
    """The critic's weight is also that by which its gradient at the decoder's last layer is as long as that of the rest
    (Esser et al. 2021, eq. 7)."""
    loss: str = "hinge"
    """Adversarial loss of both players: non_saturating, minimax, hinge, least_squares, wasserstein or relativistic."""
    critic_start: Natural = 0
    """Step from which on there is a critic."""
    critic_learning_rate: Weight | None = None
    """The critic's peak learning rate; None: the autoencoder's."""


@dataclasses.dataclass(frozen=True)
class VaeGan(Judged, Vae):
    """Options of the variational step with judges beside it."""


@dataclasses.dataclass(frozen=True)
class VqGan(Judged, VectorQuantized):
    """Options of the vector-quantised step with judges beside it."""
