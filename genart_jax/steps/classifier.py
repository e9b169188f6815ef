"""The classification step: cross entropy over the classes of one named condition."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Classifier, Run, UserError, spec_of
from genart_jax.data.augment import mix
from genart_jax.nn import random
from genart_jax.optim import make_optimizer
from genart_jax.steps import common
from genart_jax.types import Algorithm, Batch, Metrics, State, Sums, check_images


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a classifier: `networks` has a `classifier`.

    Raises:
      UserError: an option out of range, or not one condition to classify.
    """
    options: Classifier = config.step
    spec = spec_of(config)
    if len(spec.conditions) != 1:
        raise UserError(f"a classifier needs one condition, not {len(spec.conditions)}; set --model.label")
    if not 0 <= options.label_smoothing < 1:
        raise UserError(f"step.label-smoothing {options.label_smoothing}: wanted 0 to below 1")
    if min(options.mixup, options.cutmix) < 0:
        raise UserError("step: mixup and cutmix must not be negative")
    if (options.mixup or options.cutmix) and config.train.batch % 2:
        raise UserError(f"train.batch {config.train.batch}: mixup and cutmix mix pairs; choose an even number")
    ((label, classes),) = spec.conditions
    classifier = networks.classifier
    optimizer = make_optimizer(config.optimizer, config.train.steps)
    chunks = common.chunks_of(config)

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        image = jnp.zeros((2, *spec.image_shape))
        params, mutable = common.init_module(classifier, random.stream(key, "init"), image, None, train=False)
        state = State(
            step=jnp.zeros((), jnp.int32),
            params={"classifier": params},
            mutable={"classifier": mutable},
            opt={"classifier": optimizer.init(params)},
            ema={},
            extra={},
        )
        return common.ema_start(state, ("classifier",), options.ema_decay)

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        key = random.stream(key, "step", state.step)
        labels, mutable = batch["condition"][label], state.mutable["classifier"]
        common.refuse_statistics(mutable, chunks)
        keys = random.example_keys(random.stream(key, "dropout"), len(labels), axis_name)
        params = common.varying(state.params["classifier"], axis_name)

        images, targets = batch["image"], optax.smooth_labels(jax.nn.one_hot(labels, classes), options.label_smoothing)
        # What is unlabelled (-1) has no target, and so neither loss nor gradient; a number that is no class has NaN.
        without = jnp.where(labels < classes, 0.0, jnp.nan)
        targets = jnp.where(((labels >= 0) & (labels < classes))[:, None], targets, without[:, None])
        if options.mixup or options.cutmix:
            mix_keys = random.example_keys(random.stream(key, "mix"), len(labels), axis_name)
            images, targets = mix(images, targets, mix_keys, options.mixup, options.cutmix)

        share = jnp.maximum(common.pmean(jnp.mean(jnp.sum(targets, axis=-1)), axis_name), 1e-8)

        def gradient(images: jax.Array, targets: jax.Array, keys: jax.Array) -> tuple[Any, Any]:
            def objective(params: Any) -> tuple[jax.Array, Any]:
                (logits, _), changed = common.apply(classifier, params, mutable, images, None, train=True, keys=keys)
                value = jnp.mean(optax.softmax_cross_entropy(logits, targets)) / share
                # Of a mixed example, the label that has more of it counts.
                right = jnp.argmax(logits, axis=-1) == jnp.argmax(targets, axis=-1)
                accuracy = jnp.mean(jnp.sum(targets, axis=-1) * right) / share
                return value, ({"loss": value, "accuracy": accuracy}, changed)

            return jax.grad(objective, has_aux=True)(params)

        grads, (metrics, mutable) = common.accumulate(gradient, chunks, images, targets, keys)
        grads, metrics = common.pmean((grads, metrics), axis_name)
        player = "classifier"
        params, opt, norms = common.update(player, optimizer, grads, state.opt[player], state.params[player])
        state = state.replace(params={player: params}, mutable={player: mutable}, opt={player: opt})
        decay = common.ema_decay(options.ema_decay, common.ema_age(config, state))
        ema = common.ema_update(state.ema, state.params, state.mutable, decay)
        return state.replace(step=state.step + 1, ema=ema), metrics | norms

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
