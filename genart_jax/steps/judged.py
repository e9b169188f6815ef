"""An autoencoder's own loss, composed with a critic of patches and a distance of frozen features.

Esser, Rombach & Ommer 2021, "Taming transformers for high-resolution image synthesis", arXiv:2012.09841, eq. 5 to 7.
The autoencoder is the maker of the game: what its networks make in a round is made once, for it and for the critic.
"""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from genart_jax.config import Judged, Run, UserError
from genart_jax.losses import perceptual
from genart_jax.nn import judges, random
from genart_jax.steps import common, networks, play
from genart_jax.steps.critics import Critic, told_apart, value_of
from genart_jax.steps.networks import Networks
from genart_jax.steps.pairs import adversarial
from genart_jax.types import Outcome, Scene, State, Tree, Variables

_LAST = "out"
"""The decoder's last layer, by its name among the parameters."""
_MOST, _LEAST = 1e4, 1e-4


class Autoencoder(Protocol):
    """What a family offers to be judged."""

    roles: Networks
    config: Run
    axis_name: str | None

    def made(self, at: Variables, scene: Scene) -> tuple[Tree, play.Trees]:
        """What its networks make of a round's examples, floats alone, and their collections by role."""

    def outcome(self, scene: Scene, made: Any) -> Outcome:
        """Its own loss of that."""

    def picture(self, made: Any) -> jax.Array:
        """Reconstructions, (batch, height, width, channels)."""

    def again(self, at: Variables, scene: Scene, made: Any) -> jax.Array:
        """Reconstructions made once more of the same latents."""

    def with_picture(self, made: Any, images: jax.Array) -> Tree:
        """What was made, with other reconstructions."""


def needed(roles: Networks, config: Run) -> Networks:
    """The roles without judges that have no weight; all of them where nothing judges.

    Raises:
      UserError: a weight for a network that the model has not.
    """
    if not isinstance(config.step, Judged):
        return roles
    weights = {"critic": config.step.adversarial_weight, "perceptual": config.step.perceptual_weight}
    for role, weight in weights.items():
        if weight and role not in roles:
            raise UserError(f"{config.name} has no network {role!r}, which a weight of the step asks for")
    return {role: network for role, network in roles.items() if weights.get(role, 1)}


class Game:
    """A critic and an autoencoder, as the players of a game."""

    def __init__(self, family: Autoencoder, options: Judged) -> None:
        self.family, self.options, self.roles = family, options, family.roles
        self.critic = Critic("critic", family.roles, joint=False) if "critic" in family.roles else None
        self.adversarial = adversarial(options.loss)
        if "perceptual" in family.roles:
            self.layers = judges.LAYERS[family.roles["perceptual"].frozen]
        if common.chunks_of(family.config) > 1:
            raise UserError("train.microbatch: what judges an autoencoder is weighed by the whole batch; set it to 0")

    def game(self, alone: play.Game) -> play.Game:
        """The game of the autoencoder alone, with judges."""
        (own,) = alone.players
        players = [own._replace(loss=self.loss, measure=None)]
        optimizers = dict(alone.optimizers)
        if self.critic is not None:
            players.insert(0, play.Player("critic", ("critic",), self.critic_loss))
            rate = self.options.critic_learning_rate
            optimizers["critic"] = common.optimizer_of(self.family.config, learning_rate=rate)

        def draw(state: State, batch: Tree, key: jax.Array) -> Scene:
            scene = alone.draw(state, batch, key)
            return scene._replace(carried={**scene.carried, "step": state.step})

        return alone._replace(players=tuple(players), optimizers=optimizers, draw=draw, make=self.family.made)

    def _on(self, scene: Scene) -> jax.Array:
        return 1.0 * (scene.carried["step"] >= self.options.critic_start)

    def critic_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Pictures against reconstructions."""
        assert self.critic is not None
        key, condition = random.stream(scene.key, "dropout"), scene.batch["condition"]
        pictures = scene.batch["image"], self.family.picture(scene.made)
        real, fake, mutable = self.critic.both(at, *pictures, condition, key, advance=True)
        values = value_of(self.adversarial.critic, real, fake)
        figures = {"critic_loss": values, "critic_accuracy": told_apart(self.adversarial, real, fake)}
        metrics = {name: jnp.mean(value) for name, value in figures.items()}
        return Outcome(self._on(scene) * values, metrics, {"critic": mutable})

    def _perceptual(self, at: Variables, images: jax.Array, output: jax.Array) -> jax.Array:
        """Distance of activations (batch,), the mean over layers of shares of what they are."""
        wide = lambda x: x if x.shape[-1] == 3 else jnp.broadcast_to(x, (*x.shape[:-1], 3))
        found, wanted = (
            networks.run(self.roles, at, "perceptual", wide(x), capture=self.layers)[1] for x in (output, images)
        )
        values = [perceptual.relative(perceptual.content, found[name], wanted[name]) for name in self.layers]
        return sum(values[1:], values[0]) / len(values)

    def _fooled(self, at: Variables, scene: Scene, output: jax.Array) -> jax.Array:
        """The adversarial loss of reconstructions (batch,)."""
        assert self.critic is not None
        key, condition = random.stream(scene.key, "dropout"), scene.batch["condition"]
        fake, _ = self.critic.score(at, output, condition, key)
        real = fake
        if self.adversarial.paired:
            real, _ = self.critic.score(at, scene.batch["image"], condition, key)
        return value_of(self.adversarial.generator, real, fake)

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the autoencoder plays for."""
        output, images = self.family.picture(scene.made), scene.batch["image"]
        own = self.family.outcome(scene, scene.made)
        value, metrics = jnp.mean(own.value), dict(own.metrics)
        if "perceptual" in self.roles:
            metrics["perceptual_loss"] = jnp.mean(self._perceptual(at, images, output))
            value += self.options.perceptual_weight * metrics["perceptual_loss"]
        if self.critic is not None:
            metrics["adversarial_loss"] = jnp.mean(self._fooled(at, scene, output))
            weight = self._on(scene) * self.options.adversarial_weight
            if self.options.adaptive:
                metrics["adaptive_weight"] = self._weight(at, scene)
                weight *= metrics["adaptive_weight"]
            value += weight * metrics["adversarial_loss"]
        return own._replace(value=value, metrics=metrics)

    def _weight(self, at: Variables, scene: Scene) -> jax.Array:
        """How much longer the other losses' gradient is, at the decoder's last layer, than the adversarial one's (eq. 7
        there), without gradient.
        """
        output = self.family.picture(scene.made)

        def near(output: jax.Array) -> jax.Array:
            value = jnp.mean(self.family.outcome(scene, self.family.with_picture(scene.made, output)).value)
            if "perceptual" in self.roles:
                distance = jnp.mean(self._perceptual(at, scene.batch["image"], output))
                value += self.options.perceptual_weight * distance
            return value

        slopes = jax.grad(near)(output), jax.grad(lambda x: jnp.mean(self._fooled(at, scene, x)))(output)
        decoder = at.params["decoder"]
        if _LAST not in decoder:
            raise UserError(f"step.adaptive: the decoder of {self.family.config.name} has no last layer {_LAST!r}")
        moved = lambda last: at._replace(params={**at.params, "decoder": {**decoder, _LAST: last}})
        _, pull = jax.vjp(lambda last: self.family.again(moved(last), scene, scene.made), decoder[_LAST])
        lengths = [common.global_norm(common.pmean(pull(slope)[0], self.family.axis_name)) for slope in slopes]
        return jax.lax.stop_gradient(jnp.clip(lengths[0] / (lengths[1] + _LEAST), 0.0, _MOST))
