"""Adversarial losses of both players, one value an example.

`critic(real, fake)` and `generator(real, fake)` take the critic's scores (batch,), before any sigmoid, for real and for
generated pictures. A loss that compares the two (`relativistic`) pairs them by position; the others ignore the scores
that they do not name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Loss = Callable[[jax.Array, jax.Array], jax.Array]


class Adversarial(NamedTuple):
    """The two players' losses.

    `paired` says that the generator's needs the scores of real pictures; `threshold` is the score above which the
    critic takes a picture for real, None where scores mean something only beside another.
    """

    critic: Loss
    generator: Loss
    paired: bool = False
    threshold: float | None = 0.0


NON_SATURATING = Adversarial(
    # Goodfellow et al. 2014, eq. 1 for the critic: -log s(real) - log(1 - s(fake)), with s the sigmoid.
    critic=lambda real, fake: jax.nn.softplus(-real) + jax.nn.softplus(fake),
    # Section 3 there: the generator maximises log s(fake) instead of minimising log(1 - s(fake)).
    generator=lambda real, fake: jax.nn.softplus(-fake),
)
MINIMAX = Adversarial(
    # Goodfellow et al. 2014, eq. 1 for both players.
    critic=NON_SATURATING.critic,
    generator=lambda real, fake: -jax.nn.softplus(fake),
)
HINGE = Adversarial(
    # Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17.
    critic=lambda real, fake: jax.nn.relu(1.0 - real) + jax.nn.relu(1.0 + fake),
    generator=lambda real, fake: -fake,
)
LEAST_SQUARES = Adversarial(
    # Mao et al. 2017, eq. 2 with a = 0 (fake), b = 1 (real), c = 1.
    critic=lambda real, fake: 0.5 * (jnp.square(real - 1.0) + jnp.square(fake)),
    generator=lambda real, fake: 0.5 * jnp.square(fake - 1.0),
    threshold=0.5,
)
WASSERSTEIN = Adversarial(
    # Arjovsky et al. 2017, eq. 2: the critic ascends E[D(real)] - E[D(fake)].
    critic=lambda real, fake: fake - real,
    generator=lambda real, fake: -fake,
    threshold=None,
)
RELATIVISTIC = Adversarial(
    # Jolicoeur-Martineau 2019, and Huang et al. 2024, eq. 2: softplus of the paired difference.
    critic=lambda real, fake: jax.nn.softplus(fake - real),
    generator=lambda real, fake: jax.nn.softplus(real - fake),
    paired=True,
    threshold=None,
)

LOSSES = {
    "non_saturating": NON_SATURATING,
    "minimax": MINIMAX,
    "hinge": HINGE,
    "least_squares": LEAST_SQUARES,
    "wasserstein": WASSERSTEIN,
    "relativistic": RELATIVISTIC,
}
