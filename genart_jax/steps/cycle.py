"""The step between two sets of pictures that are not paired: a map each way, and a critic on each side.

Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks", arXiv:1703.10593.
The roles `there` and `back` map pictures ("image") to those of the second set ("other") and back; `critic_other` and
`critic_image` tell what they make from what is real. The maps play for equation 3, with the identity loss of section
5.2: adversarial_weight * (equation 1, both ways) + cycle_weight * (equation 2) + identity_weight * identity. The least
squares are halved, as Mao et al. 2017 have them: a weight of 2 is the paper's 1.

The critics are shown pictures made earlier as well (section 4; Shrivastava et al. 2017, section 2.3). The pool is laid
out so that an example changes pictures with slots of its own alone: example i of n with slots i, i + n, i + 2n, ...
These are filled in the first steps; then an example's picture is seen itself, or, with probability one half, takes the
place of an older one that is seen instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Cycle, Run, UserError
from genart_jax.losses.pixel import DISTANCES
from genart_jax.nn import random
from genart_jax.steps import common, networks, play, uses
from genart_jax.steps.critics import Critic, told_apart, value_of
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.steps.pairs import adversarial, cut, in_parts, turned
from genart_jax.types import (
    Algorithm,
    Batch,
    Input,
    Metrics,
    Outcome,
    Scene,
    State,
    Sums,
    Translation,
    Tree,
    Variables,
)

MAPS = "there", "back"
SIDES = "other", "image"
"""What each of the maps makes."""


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of two maps: the uses `transform`, to the second set, and `back`, to the first.

    Raises:
      UserError: an unknown loss.
    """
    made = Cycles(roles, config, axis_name)
    table = uses.table(
        transform=(made.transform, made.inputs("there", "image")), back=(made.back, made.inputs("back", "other"))
    )
    for name, role in (("transform", "there"), ("back", "back")):
        table[name] = table[name]._replace(translation=roles[role].translation or Translation())
    return made.algorithm(table, show=made.show)


class Cycles(Family):
    """Two maps and two critics, as a game of two players."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        if "other" not in self.spec.fields:
            raise UserError(f"{config.name}: there is no second set; its Config names it by other_shape")
        self.options: Cycle = config.step
        self.losses = adversarial(self.options.loss)
        self.distance = DISTANCES[self.options.pixel]
        self.critics = {side: Critic(f"critic_{side}", roles, joint=False) for side in SIDES}
        players = (
            play.Player("critics", tuple(f"critic_{s}" for s in SIDES), self.critics_loss, after=self._kept),
            play.Player("maps", MAPS, self.maps_loss),
        )
        self.game = play.Game(
            players,
            {player.name: self._optimizer(player) for player in players},
            self._draw,
            self._trained_on,
            self._make,
            averaged=MAPS if self.options.ema_decay else (),
            decay=lambda age, images: common.ema_decay(self.options.ema_decay, age),
            age=config.train.ema_steps,
            chunks=common.chunks_of(config),
            axis_name=axis_name,
        )

    def _optimizer(self, player: play.Player) -> optax.GradientTransformationExtraArgs:
        rate = self.options.critic_learning_rate if player.name == "critics" else None
        return common.optimizer_of(self.config, learning_rate=rate)

    def extra(self) -> dict[str, Tree]:
        """The pools, (pictures, height, width, channels) each."""
        pool, crop = self.options.pool, self.options.crop
        shapes = {side: self.spec.fields[side].shape for side in SIDES if pool}
        sized = {side: (crop, crop, shape[-1]) if crop else shape for side, shape in shapes.items()}
        return {f"pool_{side}": jnp.zeros((pool, *shape)) for side, shape in sized.items()}

    def _trained_on(self, batch: Batch, key: jax.Array) -> Batch:
        """Pictures of both sets, cut and turned, each by a key of its own."""
        out = {}
        for side in SIDES:
            images = batch[side]
            drawn = random.example_keys(random.stream(key, side), len(images), self.axis_name)
            if self.options.crop:
                keys = random.stream(drawn, "crop")
                images = cut({"input": images}, {"input": 1}, keys, self.options.crop)["input"]
            out[side] = turned(images, random.stream(drawn, "turns")) if self.options.turns else images
        return out

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        """The round, with what each example may change with the pools."""
        here = len(batch["image"])
        sides = SIDES if self.options.pool else ()
        drawn = {side: self._slots(state, random.stream(key, f"pool_{side}"), here, side) for side in sides}
        return Scene(batch, drawn, carried=state.extra, key=key)

    def _slots(self, state: State, key: jax.Array, here: int, side: str) -> dict[str, jax.Array]:
        """Each example's slot, the picture in it, whether that is seen, and whether a new one is put there."""
        pool, num, index = self.options.pool, here * self._devices(), jnp.arange(here)
        if self.axis_name is not None:
            index = index + jax.lax.axis_index(self.axis_name) * here
        columns = max(1, pool // num)
        drawn = random.example_keys(key, here, self.axis_name)
        filling = state.step < columns
        column = jnp.where(filling, state.step, random.randint(random.stream(drawn, "slot"), columns))
        slot, has_one = index + num * column, index < pool
        seen = has_one & ~filling & (random.uniform(random.stream(drawn, "coin")) < 0.5)
        slot = jnp.minimum(slot, pool - 1)
        return {"slot": slot, "old": state.extra[f"pool_{side}"][slot], "seen": seen, "put": has_one & (filling | seen)}

    def _devices(self) -> int:
        return 1 if self.axis_name is None else int(jax.lax.axis_size(self.axis_name))

    def _kept(
        self, state: State, metrics: Metrics, found: Mapping[str, Tree], num: int
    ) -> tuple[dict[str, Tree], Metrics]:
        """The pools with what was put there: `found` has means over parts and devices, each of which put its own."""
        times = self.game.chunks * self._devices()
        extra = dict(state.extra)
        for name, (sums, put) in found.items():
            extra[name] = jnp.where(put * times > 0.5, sums * times, extra[name])
        return extra, metrics

    def _make(self, at: Variables, scene: Scene) -> tuple[Tree, play.Trees]:
        """Pictures of each side, these mapped round, and what a map makes of its own side's pictures."""
        changed: dict[str, Tree] = {}

        def mapped(role: str, images: jax.Array) -> jax.Array:
            here = at._replace(mutable={**at.mutable, **changed})
            (output, _), changed[role] = networks.apply(self.roles, here, role, images, train=True)
            return output.astype(jnp.float32)

        image, other = scene.batch["image"], scene.batch["other"]
        made = {"other": mapped("there", image), "image": mapped("back", other)}
        made |= {"other_round": mapped("there", made["image"]), "image_round": mapped("back", made["other"])}
        if self.options.identity_weight:
            made |= {"other_same": mapped("there", other), "image_same": mapped("back", image)}
        return made, changed

    def distances(self, made: Mapping[str, jax.Array], batch: Batch) -> dict[str, tuple[float, jax.Array]]:
        """(weight, values (batch,)) of the losses between pictures, by name."""
        o = self.options
        total = lambda what: sum((self.distance(made[f"{s}_{what}"], batch[s]) for s in SIDES), jnp.zeros(()))
        out = {"cycle_loss": (o.cycle_weight, total("round"))}
        return out | ({"identity_loss": (o.identity_weight, total("same"))} if o.identity_weight else {})

    def maps_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Taken for real by the critics; there and back again; and what is there already stays."""
        parts, fooled = self.distances(scene.made, scene.batch), jnp.zeros(())
        for side, critic in self.critics.items():
            key = random.stream(scene.key, f"dropout_{side}")
            fake = critic.score(at, scene.made[side], {}, key)[0]
            real = critic.score(at, scene.batch[side], {}, key)[0] if self.losses.paired else fake
            fooled = fooled + value_of(self.losses.generator, real, fake)
        parts["adversarial_loss"] = (self.options.adversarial_weight, fooled)
        values = sum((weight * value for weight, value in parts.values()), jnp.zeros(()))
        return Outcome(values, {"maps_loss": jnp.mean(values)} | {k: jnp.mean(v) for k, (_, v) in parts.items()})

    def critics_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Real pictures against those made, now or earlier."""
        values, right, mutable, found = jnp.zeros(()), jnp.zeros(()), {}, {}
        for side, critic in self.critics.items():
            fake, drawn = scene.made[side], scene.drawn.get(side)
            if drawn is not None:
                found[f"pool_{side}"] = _put(scene.carried[f"pool_{side}"], fake, drawn)
                fake = jnp.where(drawn["seen"][:, None, None, None], drawn["old"], fake)
            key = random.stream(scene.key, f"dropout_{side}")
            real, fake, mutable[critic.role] = critic.both(at, scene.batch[side], fake, {}, key, advance=True)
            values = values + value_of(self.losses.critic, real, fake)
            right = right + 0.5 * told_apart(self.losses, real, fake)
        metrics = {"critics_loss": jnp.mean(values), "critic_accuracy": jnp.mean(right)}
        return Outcome(values, metrics, mutable, found)

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """How near pictures come back, how near they stay where they should, and how well critics tell them apart."""
        common.check_batch(batch, self.spec)
        weight, at = common.weights_of(batch, self.spec), networks.averaged(state)

        def figures(part: Batch) -> dict[str, jax.Array]:
            made, _ = self._make(at, Scene(part, {}))
            values = {name: value for name, (_, value) in self.distances(made, part).items()}
            pairs = [[c.judged(at, x, {}) for x in (part[s], made[s])] for s, c in self.critics.items()]
            right = [told_apart(self.losses, real, fake) for real, fake in pairs]
            return values | {"critic_accuracy": sum(right[1:], right[0]) / len(right)}

        values = in_parts(figures, {side: batch[side] for side in SIDES})
        return common.all_sums({k: common.weighted(v, weight) for k, v in values.items()}, self.axis_name)

    def inputs(self, role: str, side: str) -> tuple[Input, ...]:
        """What a map takes, besides the state."""
        shape, about = self.spec.fields[side].shape, self.roles[role].translation
        any_size = about is not None and about.reach is not None
        images = Input("images", "pictures", (0, 0, shape[-1]) if any_size else shape)
        return images, uses.KEY, Input("strength", "number")

    def transform(
        self, state: State, images: jax.Array, key: jax.Array, strength: float | jax.Array = 1.0
    ) -> jax.Array:
        """Pictures of the second set, of those of the first. `strength` is the share of the change."""
        return self._mapped(state, "there", images, strength)

    def back(self, state: State, images: jax.Array, key: jax.Array, strength: float | jax.Array = 1.0) -> jax.Array:
        """Pictures of the first set, of those of the second. `strength` is the share of the change."""
        return self._mapped(state, "back", images, strength)

    def _mapped(self, state: State, role: str, images: jax.Array, strength: float | jax.Array = 1.0) -> jax.Array:
        output = networks.run(self.roles, networks.averaged(state), role, images)[0]
        made = jnp.clip(output.astype(jnp.float32), -1.0, 1.0)
        return images + strength * (made - images) if made.shape == images.shape else made

    def show(self, state: State, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Test examples: of each set, what goes in and what comes out."""
        shown = {"input": batch["image"], "output": self._mapped(state, "there", batch["image"])}
        if batch["other"].shape == batch["image"].shape:
            back = self._mapped(state, "back", batch["other"])
            shown |= {"second input": batch["other"], "second output": back}
        return shown


def _put(pool: jax.Array, made: jax.Array, drawn: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """What is put into a pool's slots, zeros elsewhere; and which slots (pool, 1, 1, 1) these are, as 0 and 1."""
    put = drawn["put"].astype(jnp.float32)[:, None, None, None]
    slots = jnp.zeros((len(pool), 1, 1, 1)).at[drawn["slot"]].add(put)
    return jnp.zeros_like(pool).at[drawn["slot"]].add(put * made), slots
