"""The classification step: cross entropy over the classes of one named condition."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Classifier, Run, UserError, spec_of
from genart_jax.data.augment import mix
from genart_jax.nn import random
from genart_jax.steps import common, play
from genart_jax.types import Algorithm, Batch, Metrics, Outcome, Scene, State, Sums, Variables, check_images


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a classifier: `networks` has a `classifier`.

    Raises:
      UserError: not one condition to classify, or an odd batch to mix pairs of.
    """
    options: Classifier = config.step
    spec = spec_of(config)
    if len(spec.conditions) != 1:
        raise UserError(f"a classifier needs one condition, not {len(spec.conditions)}; set --model.label")
    if (options.mixup or options.cutmix) and config.train.batch % 2:
        raise UserError(f"train.batch {config.train.batch}: mixup and cutmix mix pairs; choose an even number")
    ((label, classes),) = spec.conditions
    classifier = networks.classifier

    def prepare(batch: Batch, key: jax.Array) -> Batch:
        images, labels = batch["image"], batch["condition"][label]
        targets = optax.smooth_labels(jax.nn.one_hot(labels, classes), options.label_smoothing)
        # What is unlabelled (-1) has no target, and so neither loss nor gradient; a number that is no class has NaN.
        without = jnp.where(labels < classes, 0.0, jnp.nan)
        targets = jnp.where(((labels >= 0) & (labels < classes))[:, None], targets, without[:, None])
        if options.mixup or options.cutmix:
            keys = random.example_keys(random.stream(key, "mix"), len(images), axis_name)
            images, targets = mix(images, targets, keys, options.mixup, options.cutmix)
        # So that the mean over the batch is that of what has a target.
        share = jnp.maximum(common.pmean(jnp.mean(jnp.sum(targets, axis=-1)), axis_name), 1e-8)
        return {"image": images, "target": targets / share}

    def draw(state: State, batch: Batch, key: jax.Array) -> Scene:
        keys = random.example_keys(random.stream(key, "dropout"), len(batch["image"]), axis_name)
        return Scene(batch, {"keys": keys}, key=key)

    def loss(at: Variables, scene: Scene) -> Outcome:
        params, mutable = at.params["classifier"], at.mutable["classifier"]
        images, targets = scene.batch["image"], scene.batch["target"]
        (logits, _), changed = common.apply(
            classifier, params, mutable, images, None, train=True, keys=scene.drawn["keys"]
        )
        values = optax.softmax_cross_entropy(logits, targets)
        # Of a mixed example, the label that has more of it counts.
        right = jnp.argmax(logits, axis=-1) == jnp.argmax(targets, axis=-1)
        accuracy = jnp.mean(jnp.sum(targets, axis=-1) * right)
        return Outcome(values, {"loss": jnp.mean(values), "accuracy": accuracy}, {"classifier": changed})

    game = play.Game(
        (play.Player("classifier", ("classifier",), loss),),
        {"classifier": common.optimizer_of(config)},
        draw,
        prepare,
        averaged=("classifier",) if options.ema_decay else (),
        decay=lambda age, images: common.ema_decay(options.ema_decay, age),
        age=config.train.ema_steps,
        chunks=common.chunks_of(config),
        axis_name=axis_name,
    )

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        image = jnp.zeros((2, *spec.image_shape))
        made = common.init_module(classifier, random.stream(key, "init"), image, None, train=False)
        return play.start(game, {"classifier": made})

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        return play.step(game, state, batch, key, due)

    def logits_of(state: State, images: jax.Array) -> jax.Array:
        variables = common.sampling_variables(state, "classifier")
        logits: jax.Array = common.apply(classifier, *variables, images, None, train=False)[0][0]
        return logits

    def evaluate(state: State, batch: Batch, key: jax.Array) -> Sums:
        common.check_batch(batch, spec)
        labels, weight = batch["condition"][label], common.weights_of(batch, spec)
        logits = logits_of(state, batch["image"])
        correct = 1.0 * (jnp.argmax(logits, axis=-1) == labels)
        by_class = jax.nn.one_hot(labels, classes) * weight[:, None]
        sums = {
            "loss": common.weighted(optax.softmax_cross_entropy_with_integer_labels(logits, labels), weight),
            "accuracy": common.weighted(correct, weight),
            "balanced_accuracy": (jnp.sum(correct[:, None] * by_class, axis=0), jnp.sum(by_class, axis=0)),
        }
        return common.all_sums(sums, axis_name)

    def predict(state: State, images: jax.Array) -> jax.Array:
        check_images(images, spec.image_shape)
        return jax.nn.log_softmax(logits_of(state, images))

    return Algorithm(spec, 1, init, step, evaluate, predict=predict)
