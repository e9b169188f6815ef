"""Options of a sweep. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Decay, Momentum, Natural, Weight


@dataclasses.dataclass(frozen=True)
class SweepOptimizer:
    """Options of the optimizer that a sweep's members differ by: values with commas in between. Each is combined with
    each of the others.
    """

    learning_rate: tuple[Weight, ...] = ()
    """Peak learning rates, such as 1e-4,2e-4 (step.critic-learning-rate, where it is set, stays)."""
    b1: tuple[Momentum, ...] = ()
    """First-moment decays or momenta."""
    b2: tuple[Decay, ...] = ()
    """Second-moment decays."""
    eps: tuple[Weight, ...] = ()
    """What is added to the denominator, or, of rmsprop, under its root."""
    weight_decay: tuple[Weight, ...] = ()
    """Decoupled weight decays."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Several runs trained as one program, which differ by their seed and by options of the optimizer."""

    seeds: Natural = 0
    """How many seeds, from train.seed on, for each setting of the options (0: no sweep, or one seed of each)."""
    optimizer: SweepOptimizer = SweepOptimizer()
