"""The adversarial step (Goodfellow et al. 2014, algorithm 1), for any generator and critic.

One generator forward serves both players: the critic trains on its pictures, and the generator's gradient is the
pullback of the updated critic's gradient with respect to the same pictures.

The critic's spectral normalisation advances once in each of its updates, in the pass over real and generated pictures;
the penalty's pass, the generator's and evaluation take it as it is.

Augmentation is part of the critic, which scores real and generated pictures through it (Karras et al. 2020b, section
2.1). So R1 is evaluated at augmented real pictures, and is the gradient with respect to the pictures before that: what
is to be smooth is the two together, as a function of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Gan, Run, UserError, spec_of
from genart_jax.losses.adversarial import LOSSES
from genart_jax.losses.penalties import slope, squared_gradient
from genart_jax.nn import random
from genart_jax.optim import make_optimizer
from genart_jax.steps import common
from genart_jax.steps.augmentation import Augmentation, View
from genart_jax.types import Algorithm, Batch, Metrics, State, Sums


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a GAN: `networks` has a `generator` and a `critic`.

    Raises:
      UserError: an option out of range.
    """
    gan: Gan = config.step
    spec = spec_of(config)
    latent_dim = config.model.latent_dim
    generator, critic = networks.generator, networks.critic
    loss = LOSSES[gan.loss]
    augment = Augmentation(gan, spec, loss.threshold, axis_name)
    if min(gan.d_steps, gan.g_steps, gan.r1_every) < 1:
        raise UserError("step: d-steps, g-steps and r1-every must be at least 1")
    steps = config.train.steps
    optimizers = {
        "generator": make_optimizer(config.optimizer, steps * gan.g_steps),
        "critic": make_optimizer(config.optimizer, steps * gan.d_steps, gan.critic_learning_rate),
    }
    chunks = common.chunks_of(config)
    lazy = (("r1", gan.r1_every),) if gan.r1_gamma else ()

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        z, image = jnp.zeros((2, latent_dim)), jnp.zeros((2, *spec.image_shape))
        none = common.wanted_condition(spec, None, 2, None)
        key = random.stream(key, "init")
        made = {
            "generator": common.init_module(generator, random.stream(key, "generator"), z, none, train=True),
            "critic": common.init_module(critic, random.stream(key, "critic"), image, none, train=True),
        }
        state = State(
            step=jnp.zeros((), jnp.int32),
            params={role: params for role, (params, _) in made.items()},
            mutable={role: mutable for role, (_, mutable) in made.items()},
            opt={player: tx.init(made[player][0]) for player, tx in optimizers.items()},
            ema={},
            extra={"r1": jnp.zeros(())} | augment.start() if lazy else augment.start(),
        )
        return common.ema_start(state, ("generator",), gan.ema_decay)

    def latents(key: jax.Array, num: int) -> jax.Array:
        return random.normal(random.example_keys(random.stream(key, "latent"), num, axis_name), (latent_dim,))

    def generate(params: Any, mutable: Any, z: jax.Array, condition: Any) -> tuple[jax.Array, Any]:
        (images, _), mutable = common.apply(generator, params, mutable, z, condition, train=True)
        return images, mutable

    def score(
        params: Any, mutable: Any, images: jax.Array, condition: Any, advance: bool = False
    ) -> tuple[jax.Array, Any]:
        (scores, _), mutable = common.apply(critic, params, mutable, images, condition, train=True, advance=advance)
        return scores, mutable

    def score_both(
        params: Any, mutable: Any, real: Any, fake: Any, condition: Any, advance: bool = False
    ) -> tuple[jax.Array, jax.Array, Any]:
        if gan.critic_batch == "separate":
            real_scores, mutable = score(params, mutable, real, condition, advance)
            fake_scores, mutable = score(params, mutable, fake, condition)
            return real_scores, fake_scores, mutable
        # Pairs stay neighbours, so that a batch split over devices is joined without moving pictures between them.
        join = lambda a, b: jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])
        both = join(real, fake), jax.tree.map(join, condition, condition)
        scores, mutable = score(params, mutable, *both, advance)
        return scores[0::2], scores[1::2], mutable

    def penalty(params: Any, mutable: Any, real: Any, condition: Any, view: View) -> jax.Array:
        seen = lambda x: score(params, mutable, augment(x, view, "real"), condition)[0]
        return jnp.mean(squared_gradient(seen, real))

    def penalty_gradient(due: bool | jax.Array, params: Any, *inputs: Any) -> tuple[jax.Array, Any]:
        """R1 and its gradient where it is due, zeros elsewhere; `cond` holds nothing but this."""
        compute = lambda: jax.value_and_grad(penalty)(params, *inputs)
        if due is True:
            return compute()
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(compute))
        return jax.lax.cond(due, compute, lambda: common.varying(zeros, axis_name))

    def critic_gradient(
        state: State, real: jax.Array, fake: jax.Array, condition: Any, view: View, due: bool | jax.Array
    ) -> tuple[Any, Metrics, Any]:
        """The critic's gradient with the penalty's, metrics, and changed statistics; `fake` is augmented already."""
        params, mutable = common.varying(state.params["critic"], axis_name), state.mutable["critic"]
        real_seen = augment(real, view, "real")

        def objective(params: Any) -> tuple[jax.Array, Any]:
            real_scores, fake_scores, changed = score_both(params, mutable, real_seen, fake, condition, True)
            value = jnp.mean(loss.critic(real_scores, fake_scores))
            metrics = {"critic_loss": value, "real_score": jnp.mean(real_scores), "fake_score": jnp.mean(fake_scores)}
            if view is not None:
                metrics |= {
                    "real_sign": jnp.mean(jnp.sign(real_scores - (loss.threshold or 0.0))),
                    "augment_p": jnp.mean(view[1]),
                }
            return value, (metrics, changed)

        grads, (metrics, changed) = jax.grad(objective, has_aux=True)(params)
        if due is not False:
            # Scaled by the updates in between, to keep the penalty's weight while it is computed only so often
            # (Karras et al. 2020, appendix B).
            weight = 0.5 * gan.r1_gamma * gan.r1_every * gan.d_steps
            metrics["r1"], r1_grads = penalty_gradient(due, params, changed, real, condition, view)
            grads = jax.tree.map(lambda g, r: g + weight * r, grads, r1_grads)
        return grads, metrics, changed

    def critic_update(
        state: State, computed: tuple[Any, Metrics, Any], batch: int, due: bool | jax.Array
    ) -> tuple[State, Metrics]:
        grads, metrics, changed = computed
        metrics, extra = common.pmean(metrics, axis_name), state.extra
        if due is not False:
            extra = {**extra, "r1": jnp.where(due, metrics["r1"], extra["r1"])}
        if lazy:
            metrics["r1"] = extra["r1"]
        if augment.on:
            extra = augment.adapted(extra, metrics["real_sign"], batch)
        state, norms = update(state, "critic", grads)
        return state.replace(mutable={**state.mutable, "critic": changed}, extra=extra), metrics | norms

    def generator_gradient(
        state: State, real: jax.Array, fake: jax.Array, condition: Any, view: View, pullback: Any
    ) -> tuple[Any, Metrics]:
        """The pullback of the loss's gradient with respect to the generated pictures, augmented already."""
        params, mutable = common.varying(state.params["critic"], axis_name), state.mutable["critic"]
        real_seen = augment(real, view, "real")

        def objective(fake: jax.Array) -> jax.Array:
            if loss.paired:
                real_scores, fake_scores, _ = score_both(params, mutable, real_seen, fake, condition)
            else:
                fake_scores, _ = score(params, mutable, fake, condition)
                real_scores = fake_scores
            return jnp.mean(loss.generator(real_scores, fake_scores))

        value, cotangent = jax.value_and_grad(objective)(fake)
        return pullback(cotangent)[0], {"generator_loss": value}

    def update(state: State, player: str, grads: Any) -> tuple[State, Metrics]:
        grads = common.pmean(grads, axis_name)
        params = state.params[player]
        updates, opt = optimizers[player].update(grads, state.opt[player], params)
        norms = common.norms(player, grads, updates, params)
        params = {**state.params, player: optax.apply_updates(params, updates)}
        return state.replace(params=params, opt={**state.opt, player: opt}), norms

    def seen(params: Any, mutable: Any, z: jax.Array, condition: Any, view: View) -> tuple[jax.Array, Any]:
        """Generated pictures as the critic sees them, and the generator's statistics."""
        images, mutable = generate(params, mutable, z, condition)
        return augment(images, view, "fake"), mutable

    def forward(state: State, z: jax.Array, condition: Any, view: View) -> tuple[jax.Array, Any, Any]:
        """What the critic sees of generated pictures, the pullback to the generator's parameters, its statistics."""
        params, mutable = common.varying(state.params["generator"], axis_name), state.mutable["generator"]
        return jax.vjp(lambda p: seen(p, mutable, z, condition, view), params, has_aux=True)

    def critic_step(
        state: State, z: jax.Array, real: jax.Array, condition: Any, view: View, due: Any
    ) -> tuple[State, Any]:
        """A critic update in parts: the generator's activations are not kept."""

        def part(z: jax.Array, real: jax.Array, condition: Any, view: View) -> tuple[Any, Metrics, Any]:
            fake, _ = seen(state.params["generator"], state.mutable["generator"], z, condition, view)
            return critic_gradient(state, real, fake, condition, view, due)

        return critic_update(state, common.accumulate(part, chunks, z, real, condition, view), len(real), due)

    def generator_step(
        state: State, z: jax.Array, real: jax.Array, condition: Any, view: View
    ) -> tuple[State, Metrics]:
        """A generator update in parts, with forward passes of its own."""

        def part(z: jax.Array, real: jax.Array, condition: Any, view: View) -> tuple[Any, Metrics, Any]:
            fake, pullback, mutable = forward(state, z, condition, view)
            return *generator_gradient(state, real, fake, condition, view, pullback), mutable

        return generator_update(state, common.accumulate(part, chunks, z, real, condition, view))

    def generator_update(state: State, computed: tuple[Any, Metrics, Any]) -> tuple[State, Metrics]:
        grads, metrics, mutable = computed
        state, norms = update(state, "generator", grads)
        state = state.replace(mutable={**state.mutable, "generator": mutable})
        return state, common.pmean(metrics, axis_name) | norms

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        common.refuse_statistics(state.mutable, chunks)
        key = random.stream(key, "step", state.step)
        r1_due: bool | jax.Array = state.step % gan.r1_every == 0 if due is None else "r1" in due
        r1_due = r1_due if lazy else False

        def inputs(index: int | jax.Array) -> tuple[jax.Array, Any, jax.Array]:
            one, key_i = common.select(batch, index, gan.d_steps), random.stream(key, "round", index)
            condition = common.conditions_of(one, spec)
            hidden = common.hide(condition, random.stream(key_i, "hide"), gan.condition_dropout, axis_name)
            return one["image"], hidden, key_i

        def critic_round(index: int | jax.Array, state: State) -> State:
            real, condition, key_i = inputs(index)
            view = augment.view(state, key_i, len(real))
            return critic_step(state, latents(key_i, len(real)), real, condition, view, False)[0]

        if gan.d_steps > 1:  # compiled once, however many there are
            state = jax.lax.fori_loop(0, gan.d_steps - 1, critic_round, state)
        real, condition, key_i = inputs(gan.d_steps - 1)
        z, view = latents(key_i, len(real)), augment.view(state, key_i, len(real))
        if chunks == 1:
            fake, pullback, mutable = forward(state, z, condition, view)
            computed = critic_gradient(state, real, fake, condition, view, r1_due)
            state, metrics = critic_update(state, computed, len(real), r1_due)
            computed = *generator_gradient(state, real, fake, condition, view, pullback), mutable
            state, g_metrics = generator_update(state, computed)
        else:  # in parts, the activations of one forward pass cannot wait for the critic's update
            state, metrics = critic_step(state, z, real, condition, view, r1_due)
            state, g_metrics = generator_step(state, z, real, condition, view)
        for index in range(1, gan.g_steps):
            key_j = random.stream(key_i, "again", index)
            again, view = latents(key_j, len(real)), augment.view(state, key_j, len(real))
            state, g_metrics = generator_step(state, again, real, condition, view)
        ema = common.ema_update(state.ema, state.params, state.mutable, gan.ema_decay, state.step)
        return state.replace(step=state.step + 1, ema=ema), metrics | g_metrics

    def evaluate(state: State, batch: Batch, key: jax.Array) -> Sums:
        common.check_batch(batch, spec)
        condition, weight = common.conditions_of(batch, spec), common.weights_of(batch)
        z = latents(random.stream(key, "evaluate"), len(weight))
        variables = common.sampling_variables(state, "generator")
        (fake, _), _ = common.apply(generator, *variables, z, condition, train=False)
        critic_of = lambda x: common.apply(
            critic, state.params["critic"], state.mutable["critic"], x, condition, train=False
        )[0][0]
        real_scores, fake_scores = critic_of(batch["image"]), critic_of(fake)
        values = {
            "critic_loss": loss.critic(real_scores, fake_scores),
            "real_score": real_scores,
            "fake_score": fake_scores,
        }
        if loss.threshold is not None:
            right = 1.0 * (real_scores > loss.threshold) + 1.0 * (fake_scores <= loss.threshold)
            values["critic_accuracy"] = 0.5 * right
        # The steepest of a batch's pairs is a Lipschitz constant that the critic at least has.
        steepest = jnp.max(jnp.where(weight > 0, slope(real_scores, fake_scores, batch["image"], fake), 0.0))
        values["critic_lipschitz"] = jnp.broadcast_to(common.pmax(steepest, axis_name), weight.shape)
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        return common.all_sums(sums, axis_name)

    def decode(state: State, z: jax.Array, condition: Mapping[str, Any] | None = None) -> jax.Array:
        wanted = common.wanted_condition(spec, condition, len(z), None)
        images: jax.Array
        (images, _), _ = common.apply(generator, *common.sampling_variables(state, "generator"), z, wanted, train=False)
        return images

    def sample(state: State, key: jax.Array, num: int, condition: Mapping[str, Any] | None = None) -> jax.Array:
        key = random.stream(key, "sample")
        z = random.normal(random.example_keys(random.stream(key, "latent"), num), (latent_dim,))
        return decode(state, z, common.wanted_condition(spec, condition, num, key))

    return Algorithm(spec, gan.d_steps, init, step, evaluate, decode=decode, sample=sample, lazy=lazy)
