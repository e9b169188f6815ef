"""The classification step: cross entropy over the classes of one named condition, or of several at once.

With several, a network has a head for each: its scores (batch, classes of all) lie one after another in the order of
the conditions, and the losses of the heads are added.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Classifier, Run, UserError, heads_of
from genart_jax.data.augment import mix
from genart_jax.losses.margin import with_margin
from genart_jax.nn import random
from genart_jax.steps import common, networks, play, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Metrics, Outcome, Scene, State, Sums, Tree, Variables

LAST = "out"
"""The name of a classifier's last layer."""
TOP = 5
"""Of so many likeliest classes one is to be right, where there are more than twice as many."""


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a `classifier`.

    Raises:
      UserError: no condition to classify, or an odd batch to mix pairs of.
    """
    made = Classification(roles, config, axis_name)
    return made.algorithm(uses.table(predict=(made.predict, (uses.pictures(made.spec),))))


class Classification(Family):
    """A classifier, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        if config.step.probe:  # what does not train does not decay either
            rule = config.optimizer
            rule = dataclasses.replace(rule, decay_paths=rf"^{LAST}/.*(?:{rule.decay_paths})")
            config = dataclasses.replace(config, optimizer=rule)
        super().__init__(roles, config, axis_name)
        self.options: Classifier = config.step
        if not self.spec.conditions:
            raise UserError("a classifier needs a condition to classify; set --model.label")
        if (self.options.mixup or self.options.cutmix) and config.train.batch % 2:
            raise UserError(f"train.batch {config.train.batch}: mixup and cutmix mix pairs; choose an even number")
        if self.options.cutmix and len(self.spec.image_shape) != 3:
            raise UserError(f"step.cutmix is for pictures (height, width, channels), not for {self.spec.image_shape}")
        self.heads = heads_of(self.spec.conditions)
        player = play.Player("classifier", ("classifier",), self.loss)
        player = player._replace(after=self._count) if self.options.balance else player
        self.game = play.alone(player, config, axis_name, self._draw, self._prepare, self.options.ema_decay)

    def keys(self, key: jax.Array) -> networks.Keys:
        """Its only network has the stream itself."""
        return lambda role: random.stream(key, "init")

    def extra(self) -> dict[str, Tree]:
        """How often each class was seen, where that counts: sums over steps of its share of the batch."""
        return {"seen": jnp.zeros(sum(classes for _, classes in self.spec.conditions))} if self.options.balance else {}

    def _prepare(self, batch: Batch, key: jax.Array) -> Batch:
        targets = []
        for name, classes in self.spec.conditions:
            labels = batch["condition"][name]
            smooth = optax.smooth_labels(jax.nn.one_hot(labels, classes), self.options.label_smoothing)
            # What is unlabelled (-1) has no target, and so neither loss nor gradient; a number that is no class has
            # NaN.
            without = jnp.where(labels < classes, 0.0, jnp.nan)
            known = (labels >= 0) & (labels < classes)
            targets.append(jnp.where(known[:, None], smooth, without[:, None]))
        images, target = batch["image"], jnp.concatenate(targets, axis=-1)
        if self.options.mixup or self.options.cutmix:
            keys = random.example_keys(random.stream(key, "mix"), len(images), self.axis_name)
            images, target = mix(images, target, keys, self.options.mixup, self.options.cutmix)
        # So that the mean over the batch is that of what has a target.
        shares = [jnp.mean(jnp.sum(target[:, part], axis=-1)) for part in self.heads.values()]
        scaled = [
            target[:, part] / jnp.maximum(common.pmean(share, self.axis_name), 1e-8)
            for part, share in zip(self.heads.values(), shares, strict=True)
        ]
        return {"image": images, "target": jnp.concatenate(scaled, axis=-1)}

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        keys = random.example_keys(random.stream(key, "dropout"), len(batch["image"]), self.axis_name)
        drawn: dict[str, Tree] = {"keys": keys}
        carried = {}
        if self.options.balance:
            here = common.pmean(jnp.mean(batch["target"], axis=0), self.axis_name)
            carried["weight"] = self._weights(state.extra["seen"] + here)
        return Scene(batch, drawn, carried=carried, key=key)

    def _weights(self, seen: jax.Array) -> jax.Array:
        """A weight for each class, 1 in the mean over the examples seen: (classes of all,)."""
        out = []
        for part in self.heads.values():
            share = seen[part] / jnp.maximum(jnp.sum(seen[part]), 1e-8)
            power = jnp.where(share > 0, jnp.maximum(share, 1e-8) ** -self.options.balance, 0.0)
            out.append(power / jnp.maximum(jnp.sum(share * power), 1e-8))
        return jnp.concatenate(out)

    def _count(self, state: State, metrics: Metrics, found: Tree, num: int) -> tuple[dict[str, Tree], Metrics]:
        return state.extra | {"seen": state.extra["seen"] + found["seen"]}, metrics

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        images, targets = scene.batch["image"], scene.batch["target"]
        scores, changed = self._trained(at, images, scene)
        if self.options.margin:
            o = self.options
            heads = [(scores[:, part], targets[:, part]) for part in self.heads.values()]
            worse = [with_margin(s, t, o.margin, o.margin_size, o.margin_scale) for s, t in heads]
            scores = jnp.concatenate(worse, axis=-1)
        weighted = targets * scene.carried["weight"] if self.options.balance else targets
        parts = self.heads.values()
        each = [optax.softmax_cross_entropy(scores[:, part], weighted[:, part]) for part in parts]
        values = sum(each[1:], each[0])
        # Of a mixed example, the label that has more of it counts.
        right = [jnp.argmax(scores[:, part], axis=-1) == jnp.argmax(targets[:, part], axis=-1) for part in parts]
        shares = [jnp.mean(jnp.sum(targets[:, part], axis=-1) * one) for part, one in zip(parts, right, strict=True)]
        metrics = {"loss": jnp.mean(values), "accuracy": sum(shares[1:], shares[0]) / len(shares)}
        if len(self.heads) > 1:
            metrics |= {f"accuracy_{name}": share for name, share in zip(self.heads, shares, strict=True)}
        found = {"seen": jnp.mean(targets, axis=0)} if self.options.balance else {}
        return Outcome(values, metrics, {"classifier": changed}, found)

    def _trained(self, at: Variables, images: jax.Array, scene: Scene) -> tuple[jax.Array, Tree]:
        """Scores as in training, and the network's collections afterwards."""
        if not self.options.probe:
            (scores, _), changed = networks.apply(
                self.roles, at, "classifier", images, train=True, keys=scene.drawn["keys"]
            )
            return scores, changed
        own = at.params["classifier"]
        held = {name: tree if name == LAST else jax.lax.stop_gradient(tree) for name, tree in own.items()}
        (scores, _), changed = networks.apply(
            self.roles, at._replace(params={**at.params, "classifier": held}), "classifier", images
        )
        return scores, changed

    def _scores_of(self, state: State, images: jax.Array) -> jax.Array:
        if not self.options.mirror:
            return self._seen(state, images)
        both = self._seen(state, images), self._seen(state, jnp.flip(images, axis=-2))
        each = [[jax.nn.log_softmax(one[:, part]) for one in both] for part in self.heads.values()]
        return jnp.concatenate([jnp.logaddexp(*pair) - jnp.log(2.0) for pair in each], axis=-1)

    def _seen(self, state: State, images: jax.Array) -> jax.Array:
        scores: jax.Array = networks.apply(self.roles, networks.averaged(state), "classifier", images)[0][0]
        return self.options.margin_scale * scores if self.options.margin else scores

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums: of one head by their names, of several for each and together.

        Together, `accuracy` is the share of all answers that are right, and `joint_accuracy` that of the pictures with
        a label for every head in which all are.
        """
        common.check_batch(batch, self.spec)
        scores = self._scores_of(state, batch["image"])
        given = batch.get("weight", jnp.ones(len(batch["image"])))
        each, known, right = {}, given, jnp.ones(len(batch["image"]))
        for name, part in self.heads.items():
            labels = batch["condition"][name]
            weight = jnp.where(labels >= 0, given, 0.0)
            each[name] = _figures(scores[:, part], labels, weight)
            known, right = jnp.minimum(known, weight), right * (jnp.argmax(scores[:, part], axis=-1) == labels)
        if len(each) == 1:
            return common.all_sums(next(iter(each.values())), self.axis_name)
        sums: Sums = {f"{figure}_{name}": pair for name, own in each.items() for figure, pair in own.items()}
        added = lambda figure, i: jnp.sum(jnp.stack([own[figure][i] for own in each.values()]))
        sums["loss"] = added("loss", 0), jnp.sum(given)
        sums["accuracy"] = added("accuracy", 0), added("accuracy", 1)
        sums["joint_accuracy"] = common.weighted(right, known)
        return common.all_sums(sums, self.axis_name)

    def predict(self, state: State, images: jax.Array) -> jax.Array:
        """Log probabilities (batch, classes); of several conditions one after another, as `heads_of` says."""
        scores = self._scores_of(state, images)
        return jnp.concatenate([jax.nn.log_softmax(scores[:, part]) for part in self.heads.values()], axis=-1)


def _figures(scores: jax.Array, labels: jax.Array, weight: jax.Array) -> Sums:
    """Of one head: scores (batch, classes), labels (batch,), weights (batch,)."""
    classes = scores.shape[-1]
    correct = 1.0 * (jnp.argmax(scores, axis=-1) == labels)
    own = jnp.take_along_axis(scores, jnp.clip(labels, 0)[:, None], axis=-1)
    sums = {
        "loss": common.weighted(optax.softmax_cross_entropy_with_integer_labels(scores, labels), weight),
        "accuracy": common.weighted(correct, weight),
        "balanced_accuracy": common.by_class(correct, labels, classes, weight),
    }
    if classes > 2 * TOP:
        sums[f"top_{TOP}_accuracy"] = common.weighted(1.0 * (jnp.sum(scores > own, axis=-1) < TOP), weight)
    return sums
