"""What the adversarial step asks of a critic: scores of real and of generated pictures, as any tree of arrays.

A critic scores each example by one number, by many (patches: (batch, height, width)) or by a tree of such arrays
(several scales). Losses are taken number by number; an example's value is the mean over its numbers, then over leaves.

Roles `features` and `mixing`, where a model has them, stand in front of its critic and never train: it sees what they
make of the pictures.

A critic whose scores depend on neighbouring examples says so in its `Network.group`; real and generated pictures are
never in one group.

What a critic drops in training, it draws from Flax's stream "dropout", of which each pass of a round has a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.losses.adversarial import Adversarial
from genart_jax.nn import random
from genart_jax.steps import common, networks
from genart_jax.steps.networks import Networks
from genart_jax.types import Condition, Tree, Variables

Scores = Tree
"""A tree of arrays with the batch as leading axis."""


IN_FRONT = ("features", "mixing")

Rebuilt = Mapping[str, tuple[jax.Array, jax.Array]]
"""By name: what a critic's own decoder makes of its features, and what it should make, each (batch, ...)."""


@runtime_checkable
class DecodingModule(Protocol):
    """A critic with decoders: given `keys`, one an example, its intermediates have `rebuilt`, a `Rebuilt`."""

    decodes: bool


def value_of(loss: Callable[..., jax.Array], *scores: Scores) -> jax.Array:
    """A loss of scores, number by number, then the mean of an example's: (batch,)."""
    return common.per_example(jax.tree.map(loss, *scores))


def told_apart(loss: Adversarial, real: Scores, fake: Scores) -> jax.Array:
    """Share of an example's scores that are right, (batch,): of a real and a generated picture each, about the loss's
    threshold; where it has none, of pairs in which the real one has more.
    """
    if (threshold := loss.threshold) is None:
        return value_of(lambda real, fake: 1.0 * (real > fake), real, fake)
    return value_of(lambda real, fake: 0.5 * (real > threshold) + 0.5 * (fake <= threshold), real, fake)


def spread(images: jax.Array) -> jax.Array:
    """How far apart neighbouring pictures are, () : mean |a - b| over pairs of neighbours; 0 for one picture."""
    pairs = images[: len(images) // 2 * 2].reshape(-1, 2, *images.shape[1:])
    return jnp.sum(jnp.abs(pairs[:, 0] - pairs[:, 1])) / max(1, pairs[:, 0].size)


class Critic:
    """A critic and its role; `joint`: it sees real and generated pictures in one batch."""

    def __init__(self, role: str, roles: Networks, joint: bool) -> None:
        self.role, self.roles, self.joint = role, roles, joint
        self.group = roles[role].group

    def score(
        self, at: Variables, images: jax.Array, condition: Condition, key: jax.Array, advance: bool = False
    ) -> tuple[Scores, Tree]:
        """Scores in training, and its collections; `key` for dropout, `advance` as in `networks.apply`."""
        seen = self.seen(at, images)
        (scores, _), mutable = networks.apply(
            self.roles, at, self.role, seen, condition, train=True, advance=advance, rngs={"dropout": key}
        )
        return scores, mutable

    def seen(self, at: Variables, images: jax.Array) -> Tree:
        """What the critic is applied to: the pictures, or what the frozen roles in front of it make of them."""
        for role in IN_FRONT:
            if role in self.roles:
                (images, _), _ = networks.apply(self.roles, at, role, images)
        return images

    def judged(self, at: Variables, images: jax.Array, condition: Condition) -> Scores:
        """Scores as in evaluation."""
        (scores, _), _ = networks.apply(self.roles, at, self.role, self.seen(at, images), condition)
        return scores

    @property
    def decodes(self) -> bool:
        """Whether it has decoders of its own."""
        return isinstance(self.roles[self.role].module, DecodingModule)

    def rebuilt(self, at: Variables, images: jax.Array, condition: Condition, keys: jax.Array) -> Rebuilt:
        """What its decoders make of pictures in training; `keys` (batch,) for what is drawn for that."""
        (_, aux), _ = networks.apply(
            self.roles, at, self.role, self.seen(at, images), condition, train=True, advance=False, keys=keys
        )
        rebuilt: Rebuilt = aux["rebuilt"]
        return rebuilt

    def both(
        self,
        at: Variables,
        real: jax.Array,
        fake: jax.Array,
        condition: Condition,
        key: jax.Array,
        advance: bool = False,
    ) -> tuple[Scores, Scores, Tree]:
        """Scores of real and of generated pictures, and its collections; `key` and `advance` as in `score`.

        Raises:
          UserError: a batch that does not divide into groups.
        """
        if not self.joint:
            of = lambda role: random.stream(key, role)
            real_scores, mutable = self.score(at, real, condition, of("real"), advance)
            at = at._replace(mutable={**at.mutable, self.role: mutable})
            fake_scores, mutable = self.score(at, fake, condition, of("fake"))
            return real_scores, fake_scores, mutable

        # Pairs stay neighbours, so that a batch split over devices is joined without moving pictures between them.
        group = self.group
        if len(real) % group:
            raise UserError(
                f"step.critic-batch joint: {len(real)} examples here are no groups of {group}; use separate"
            )

        def join(a: jax.Array, b: jax.Array) -> jax.Array:
            a, b = (x.reshape(-1, group, *x.shape[1:]) for x in (a, b))
            return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[2:])

        def part(scores: jax.Array, index: int) -> jax.Array:
            return scores.reshape(-1, 2, group, *scores.shape[1:])[:, index].reshape(-1, *scores.shape[1:])

        scores, mutable = self.score(at, join(real, fake), jax.tree.map(join, condition, condition), key, advance)
        real_scores, fake_scores = (jax.tree.map(lambda x, i=i: part(x, i), scores) for i in (0, 1))
        return real_scores, fake_scores, mutable
