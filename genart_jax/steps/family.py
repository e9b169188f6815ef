"""What the algorithms of all families have in common: a game over bound networks, with its first state and its step."""

from __future__ import annotations

from typing import Any

import jax

from genart_jax.config import Run, spec_of
from genart_jax.nn import random
from genart_jax.steps import common, networks, play
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Metrics, State, Sums, Tree, Use


class Family:
    """The frame of a family: it sets `game`, and adds `evaluate` and its uses. See `types.Algorithm` for the methods.

    Attributes:
      game: the players and what a round is about.
      trained_first: whether networks are initialised as in training.
    """

    game: play.Game
    trained_first = False

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        self.roles, self.config, self.axis_name, self.spec = roles, config, axis_name, spec_of(config)

    def algorithm(self, uses: dict[str, Use], batches: int | None = None, **more: Any) -> Algorithm:
        """The family's functions together; `batches`: real ones that a step takes, if not one a round."""
        batches = self.game.rounds if batches is None else batches
        functions = self.init, self.step, self.evaluate
        return Algorithm(self.spec, batches, *functions, self.roles, uses, self.game.lazy, **more)

    def keys(self, key: jax.Array) -> networks.Keys:
        """The keys that networks are initialised with, of the run's: a stream by the role's name."""
        return lambda role: random.stream(random.stream(key, "init"), role)

    def extra(self) -> dict[str, Tree]:
        """What `State.extra` has at first, besides what terms carry."""
        return {}

    def init(self, key: jax.Array, batch: Batch) -> State:
        """The first state, for batches like this one."""
        common.check_batch(batch, self.spec)
        made, frozen = networks.init(self.roles, self.keys(key), self.trained_first)
        return play.start(self.game, made, self.extra(), frozen)

    def step(
        self, state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None
    ) -> tuple[State, Metrics]:
        """All updates of all players."""
        common.check_batch(batch, self.spec)
        return play.step(self.game, state, batch, key, due)

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums."""
        raise NotImplementedError

    def told(self, batch: Batch, key: jax.Array, rate: float = 0.0) -> Batch:
        """The batch's fields, each of the conditions hidden with probability `rate`."""
        condition = common.conditions_of(batch, self.spec)
        hidden = common.hide(condition, random.stream(key, "hide"), rate, self.axis_name)
        shown = [name for name, field in self.spec.fields.items() if field.kind != "class"]
        return {name: batch[name] for name in shown} | {"condition": hidden}
