"""The classification step: cross entropy over the classes of one named condition."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Classifier, Run, UserError
from genart_jax.data.augment import mix
from genart_jax.nn import random
from genart_jax.steps import common, networks, play, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Outcome, Scene, State, Sums, Variables


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a `classifier`.

    Raises:
      UserError: not one condition to classify, or an odd batch to mix pairs of.
    """
    made = Classification(roles, config, axis_name)
    return made.algorithm(uses.table(predict=(made.predict, (uses.pictures(made.spec),))))


class Classification(Family):
    """A classifier, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        self.options: Classifier = config.step
        if len(self.spec.conditions) != 1:
            raise UserError(f"a classifier needs one condition, not {len(self.spec.conditions)}; set --model.label")
        if (self.options.mixup or self.options.cutmix) and config.train.batch % 2:
            raise UserError(f"train.batch {config.train.batch}: mixup and cutmix mix pairs; choose an even number")
        ((self.label, self.classes),) = self.spec.conditions
        player = play.Player("classifier", ("classifier",), self.loss)
        self.game = play.alone(player, config, axis_name, self._draw, self._prepare, self.options.ema_decay)

    def keys(self, key: jax.Array) -> networks.Keys:
        """Its only network has the stream itself."""
        return lambda role: random.stream(key, "init")

    def _prepare(self, batch: Batch, key: jax.Array) -> Batch:
        images, labels = batch["image"], batch["condition"][self.label]
        targets = optax.smooth_labels(jax.nn.one_hot(labels, self.classes), self.options.label_smoothing)
        # What is unlabelled (-1) has no target, and so neither loss nor gradient; a number that is no class has NaN.
        without = jnp.where(labels < self.classes, 0.0, jnp.nan)
        targets = jnp.where(((labels >= 0) & (labels < self.classes))[:, None], targets, without[:, None])
        if self.options.mixup or self.options.cutmix:
            keys = random.example_keys(random.stream(key, "mix"), len(images), self.axis_name)
            images, targets = mix(images, targets, keys, self.options.mixup, self.options.cutmix)
        # So that the mean over the batch is that of what has a target.
        share = jnp.maximum(common.pmean(jnp.mean(jnp.sum(targets, axis=-1)), self.axis_name), 1e-8)
        return {"image": images, "target": targets / share}

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        keys = random.example_keys(random.stream(key, "dropout"), len(batch["image"]), self.axis_name)
        return Scene(batch, {"keys": keys}, key=key)

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        images, targets = scene.batch["image"], scene.batch["target"]
        (logits, _), changed = networks.apply(
            self.roles, at, "classifier", images, train=True, keys=scene.drawn["keys"]
        )
        values = optax.softmax_cross_entropy(logits, targets)
        # Of a mixed example, the label that has more of it counts.
        right = jnp.argmax(logits, axis=-1) == jnp.argmax(targets, axis=-1)
        accuracy = jnp.mean(jnp.sum(targets, axis=-1) * right)
        return Outcome(values, {"loss": jnp.mean(values), "accuracy": accuracy}, {"classifier": changed})

    def _logits_of(self, state: State, images: jax.Array) -> jax.Array:
        logits: jax.Array = networks.apply(self.roles, networks.averaged(state), "classifier", images)[0][0]
        return logits

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums."""
        common.check_batch(batch, self.spec)
        labels, weight = batch["condition"][self.label], common.weights_of(batch, self.spec)
        logits = self._logits_of(state, batch["image"])
        correct = 1.0 * (jnp.argmax(logits, axis=-1) == labels)
        by_class = jax.nn.one_hot(labels, self.classes) * weight[:, None]
        sums = {
            "loss": common.weighted(optax.softmax_cross_entropy_with_integer_labels(logits, labels), weight),
            "accuracy": common.weighted(correct, weight),
            "balanced_accuracy": (jnp.sum(correct[:, None] * by_class, axis=0), jnp.sum(by_class, axis=0)),
        }
        return common.all_sums(sums, self.axis_name)

    def predict(self, state: State, images: jax.Array) -> jax.Array:
        """Log probabilities (batch, classes)."""
        return jax.nn.log_softmax(self._logits_of(state, images))
