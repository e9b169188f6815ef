"""The drifting step (Deng et al. 2026, arXiv:2602.04770): a generator regresses on where its samples are to move.

Its player plays alone, against nothing but the field of `losses.drifting` over what the frozen role `features` makes of
pictures: maps, of which each cell's mean and standard deviation are vectors that drift for themselves. Conditions are
part of a sample: one that differs adds to the distance, so that what matches is the joint distribution.

The field is that of a whole batch. Over an axis name, features of all devices are gathered for it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.config import Drift, Run, UserError
from genart_jax.losses import drifting
from genart_jax.nn import random
from genart_jax.steps import common, generators, networks, play, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Condition, Keys, Outcome, Scene, State, Sums, Told, Tree, Variables

Vectors = list[jax.Array]
"""Features of pictures, each (sets, pictures, features)."""


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a `generator`, by the maps of a frozen role `features`.

    Raises:
      UserError: a batch of one picture, microbatches, no temperature, or no cells.
    """
    made = Drifting(roles, config, axis_name)
    latents, shown = uses.latents(made.generator.latent_dim), (uses.condition(made.spec), *made.generator.options)
    return made.algorithm(
        uses.table(
            decode=(made.decode, (latents, *shown)),
            sample=(made.sample, (uses.KEY, uses.NUM, *shown)),
        )
    )


class Drifting(Family):
    """A generator that follows a field, as a game of one player."""

    trained_first = True

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        self.options: Drift = config.step
        if config.train.microbatch:
            raise UserError(
                f"train.microbatch: {config.name} compares all pictures of a batch, in no parts; set it to 0"
            )
        if config.train.batch < 2:
            raise UserError(f"train.batch: {config.name} compares the pictures of a batch; make it at least 2")
        if not self.options.temperatures or not self.options.cells:
            raise UserError("step.temperatures and step.cells must have at least one entry each")
        self.generator = generators.bind(config.name, roles, config.model.latent_dim, 0.0, 0.0)
        player = play.Player("generator", ("generator",), self.loss)
        self.game = play.alone(player, config, axis_name, self._draw, self.told, self.options.ema_decay)

    def _keys(self, key: jax.Array, num: int) -> Keys:
        return lambda name: random.example_keys(random.stream(key, name), num, self.axis_name)

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        return Scene(batch, self.generator.draw(self._keys(key, len(batch["image"]))), key=key)

    def _vectors(self, at: Variables, images: jax.Array) -> Vectors:
        """What drifts of pictures."""
        (maps, _), _ = networks.apply(self.roles, at, "features", images)
        wide = [x.astype(jnp.float32) for x in maps]
        return [
            part
            for x in wide
            for count in self.options.cells
            if count <= min(x.shape[1:3])
            for part in drifting.cells(x, count)
        ]

    def _gathered(self, tree: Tree, axis: int) -> Tree:
        """Arrays of all devices, one after the other along an axis."""
        if self.axis_name is None:
            return tree
        return jax.tree.map(lambda x: jax.lax.all_gather(x, self.axis_name, axis=axis, tiled=True), tree)

    def _here(self, x: jax.Array, num: int, axis: int) -> jax.Array:
        """The part of this device's `num` examples."""
        if self.axis_name is None:
            return x
        return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(self.axis_name) * num, num, axis)

    def _followed(self, real: Vectors, fake: Vectors, condition: Condition) -> tuple[jax.Array, jax.Array]:
        """The loss, and the size of the drift before it is normalised, of each generated example here (batch,)."""
        told = self._gathered(dict(condition), 0)
        differ = sum((1.0 * (v[:, None] != v[None]) for v in told.values()), start=jnp.zeros(()))
        more = self.options.condition_weight * differ
        num, values, sizes = fake[0].shape[1], [], []
        for x, y in zip(fake, real, strict=True):
            all_real, all_fake = self._gathered(jax.lax.stop_gradient((y, x)), 1)
            found = drifting.moves(all_real, all_fake, self.options.temperatures, (more, more))
            values.append(drifting.regression(x, self._here(found.drift, num, 1), found.scale))
            sizes.append(jnp.sum(self._here(found.size, num, 1), axis=0))
        # The paper adds the losses of all vectors: the mean of them, so that a rate suits however many there are.
        vectors = sum(len(x) for x in fake)
        return sum(values, start=jnp.zeros(())) / vectors, sum(sizes, start=jnp.zeros(())) / vectors

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        condition = scene.batch["condition"]
        images, changed = self.generator.make(at, scene.drawn, condition)
        real = self._vectors(at, scene.batch["image"])
        values, sizes = self._followed(real, self._vectors(at, images), condition)
        metrics = {"loss": jnp.mean(values), "drift": jnp.mean(sizes)}
        return Outcome(values, metrics, {"generator": changed})

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """How far pictures would drift towards test pictures of the same conditions, and how far apart two are."""
        common.check_batch(batch, self.spec)
        weight = common.weights_of(batch, self.spec)
        # Every picture has a part in the field, so padding becomes a copy of the first example.
        real, condition = jax.tree.map(
            lambda x: jnp.where(weight.reshape(-1, *[1] * (x.ndim - 1)) > 0, x, x[:1]),
            (batch["image"], common.conditions_of(batch, self.spec)),
        )
        made = [self._shown(state, random.stream(key, name), condition, len(weight)) for name in ("evaluate", "again")]
        vectors = [self._vectors(state.variables, images) for images in (real, made[0])]
        _, sizes = self._followed(vectors[0], vectors[1], condition)
        values = {"drift": sizes, "variety": common.per_example(jnp.abs(made[0] - made[1]))}
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        return common.all_sums(sums, self.axis_name)

    def _shown(self, state: State, key: jax.Array, condition: Condition, num: int) -> jax.Array:
        drawn = self.generator.draw(self._keys(key, num))
        return self.generator.show(networks.averaged(state), drawn["z"], drawn.get("keys"), condition, 1.0)

    def decode(self, state: State, latents: jax.Array, condition: Told = None, truncation: float = 1.0) -> jax.Array:
        """Pictures of given latents; `truncation` as in `generators`."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        return self.generator.show(networks.averaged(state), latents, None, wanted, truncation)

    def sample(
        self, state: State, key: jax.Array, num: int, condition: Told = None, truncation: float = 1.0
    ) -> jax.Array:
        """Pictures of drawn latents; `truncation` as in `generators`."""
        key = random.stream(key, "sample")
        drawn = self.generator.draw(lambda name: random.example_keys(random.stream(key, name), num))
        wanted = common.wanted_condition(self.spec, condition, num, key)
        return self.generator.show(networks.averaged(state), drawn["z"], drawn.get("keys"), wanted, truncation)
