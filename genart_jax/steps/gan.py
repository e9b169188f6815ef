"""The adversarial step (Goodfellow et al. 2014, algorithm 1), for any generator and critic.

One generator forward serves both players: the critic trains on its pictures, and the generator's gradient is the
pullback of the updated critic's gradient with respect to the same pictures.

The critic's spectral normalisation advances once in each of its updates, in the pass over real and generated pictures;
the penalty's pass, the generator's and evaluation take it as it is.

A generator may offer its two halves, `mapping(z, condition, train, truncation) -> styles (batch, layers, features)` and
`synthesis(styles, keys) -> (images, aux)`, with one key an example for what it draws (None: fixed noise). Then styles
can be mixed, the path length regularised, and samples truncated. A critic whose scores depend on `group` neighbouring
examples says so in an attribute of that name; real and generated pictures are never in one group.

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
from genart_jax.losses.penalties import path_lengths, slope, squared_gradient
from genart_jax.nn import random
from genart_jax.optim import lazy_correction, make_optimizer
from genart_jax.steps import common
from genart_jax.steps.augmentation import Augmentation, View
from genart_jax.steps.common import per_example
from genart_jax.types import Algorithm, Batch, Metrics, State, Sums


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a GAN: `networks` has a `generator` and a `critic`.

    A critic's scores may be of patches, (batch, ...), or a tree of such arrays: losses are taken of each score, and
    averaged over an example's.

    Raises:
      UserError: an option out of range.
    """
    gan: Gan = config.step
    spec = spec_of(config)
    latent_dim = config.model.latent_dim
    generator, critic = networks.generator, networks.critic
    loss = LOSSES[gan.loss]
    augment = Augmentation(gan, spec, loss.threshold, axis_name)
    styled, group = hasattr(generator, "synthesis"), getattr(critic, "group", 1)
    if min(gan.d_steps, gan.g_steps, gan.r1_every, gan.path_every, gan.path_shrink) < 1:
        raise UserError("step: d-steps, g-steps, r1-every, path-every and path-shrink must be at least 1")
    if not styled and (gan.path_weight or gan.style_mixing):
        raise UserError(f"step: {config.name} has no mapping network; set path-weight and style-mixing to 0")
    chunks = common.chunks_of(config)
    every = {name: n for name, n, on in _terms(gan) if on}
    lazy = tuple(every.items())
    carried = (*every, "path_mean") if "path" in every else tuple(every)  # the penalties' last values

    def optimizer(updates: int, term: str, learning_rate: float | None = None) -> optax.GradientTransformationExtraArgs:
        """One player's: its penalty's own updates come on top, with the correction for them."""
        options, steps = config.optimizer, config.train.steps * updates
        if gan.lazy_updates == "separate" and term in every:
            options, learning_rate = lazy_correction(options, every[term] * updates, learning_rate)
            steps += config.train.steps // every[term]
        return make_optimizer(options, steps, learning_rate)

    optimizers = {
        "generator": optimizer(gan.g_steps, "path"),
        "critic": optimizer(gan.d_steps, "r1", gan.critic_learning_rate),
    }

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        z, image = jnp.zeros((2, latent_dim)), jnp.zeros((2, *spec.image_shape))
        none = common.no_condition(spec, 2)
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
            extra={name: jnp.zeros(()) for name in carried} | augment.start(),
        )
        return common.ema_start(state, ("generator",), gan.ema_decay or gan.ema_images)

    def draw(key: jax.Array, num: int, axis_name: str | None = axis_name) -> dict[str, jax.Array]:
        """All that the generator draws for its examples: arrays with a leading batch axis."""
        keys = lambda name: random.example_keys(random.stream(key, name), num, axis_name)
        drawn = {"z": random.normal(keys("latent"), (latent_dim,))}
        if styled:
            drawn["keys"] = keys("noise")
        if gan.style_mixing:
            cut = random.uniform(keys("cut"))
            drawn |= {
                "other": random.normal(keys("other"), (latent_dim,)),
                "cut": jnp.where(random.uniform(keys("mix")) < gan.style_mixing, cut, 1.0),
            }
        return drawn

    def styles_of(params: Any, mutable: Any, drawn: Any, condition: Any) -> tuple[jax.Array, Any]:
        """Styles of each layer, those after a random layer from another z (Karras et al. 2019, section 3.1)."""
        z = drawn["z"]
        if "other" in drawn:  # neighbours in one batch
            z = jnp.stack([z, drawn["other"]], axis=1).reshape(-1, latent_dim)
            condition = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), condition)
        styles, mutable = common.apply(generator, params, mutable, z, condition, train=True, method="mapping")
        if "other" in drawn:
            layers = styles.shape[1]
            first = 1 + jnp.floor(drawn["cut"] * (layers - 1))[:, None]  # `layers` where nothing is mixed
            styles = jnp.where((jnp.arange(layers) < first)[..., None], styles[0::2], styles[1::2])
        return styles, mutable

    def synthesize(params: Any, mutable: Any, styles: jax.Array, keys: jax.Array | None) -> jax.Array:
        images: jax.Array
        images, _ = generator.apply({"params": params, **mutable}, styles, keys, method="synthesis")
        return images

    def generate(params: Any, mutable: Any, drawn: Any, condition: Any) -> tuple[jax.Array, Any]:
        if styled:
            styles, changed = styles_of(params, mutable, drawn, condition)
            return synthesize(params, mutable, styles, drawn["keys"]), changed
        (images, _), mutable = common.apply(generator, params, mutable, drawn["z"], condition, train=True)
        return images, mutable

    def show(state: State, z: jax.Array, keys: jax.Array | None, condition: Any, truncation: float) -> jax.Array:
        """Pictures as they are sampled: by the moving average, without changing anything."""
        params, mutable = common.sampling_variables(state, "generator")
        images: jax.Array
        if styled:
            styles, _ = common.apply(
                generator, params, mutable, z, condition, train=False, truncation=truncation, method="mapping"
            )
            return jnp.clip(synthesize(params, mutable, styles, keys), -1.0, 1.0)
        if not isinstance(truncation, jax.core.Tracer) and truncation != 1.0:
            raise UserError(f"truncation: {config.name} has no mapping network, so no mean style to pull towards")
        (images, _), _ = common.apply(generator, params, mutable, z, condition, train=False)
        return images

    def score(
        params: Any, mutable: Any, images: jax.Array, condition: Any, advance: bool = False
    ) -> tuple[jax.Array, Any]:
        (scores, _), mutable = common.apply(critic, params, mutable, images, condition, train=True, advance=advance)
        return scores, mutable

    def score_both(
        params: Any, mutable: Any, real: Any, fake: Any, condition: Any, advance: bool = False
    ) -> tuple[Any, Any, Any]:
        if gan.critic_batch == "separate":
            real_scores, mutable = score(params, mutable, real, condition, advance)
            fake_scores, mutable = score(params, mutable, fake, condition)
            return real_scores, fake_scores, mutable

        # Pairs stay neighbours, so that a batch split over devices is joined without moving pictures between them.
        if len(real) % group:
            raise UserError(
                f"step.critic-batch joint: {len(real)} examples here are no groups of {group}; use separate"
            )

        def join(a: jax.Array, b: jax.Array) -> jax.Array:
            a, b = (x.reshape(-1, group, *x.shape[1:]) for x in (a, b))
            return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[2:])

        both = join(real, fake), jax.tree.map(join, condition, condition)
        scores, mutable = score(params, mutable, *both, advance)
        part = lambda i: jax.tree.map(
            lambda x: x.reshape(-1, 2, group, *x.shape[1:])[:, i].reshape(-1, *x.shape[1:]), scores
        )
        return part(0), part(1), mutable

    def r1(state: State, real: jax.Array, condition: Any, view: View) -> tuple[Any, dict[str, jax.Array]]:
        """The gradient of the R1 penalty at real pictures, and its value."""
        params, mutable = common.varying(state.params["critic"], axis_name), state.mutable["critic"]
        # Scaled by the updates in between, to keep the penalty's weight while it is computed only so often
        # (Karras et al. 2020, appendix B).
        weight = 0.5 * gan.r1_gamma * gan.r1_every * gan.d_steps

        def part(real: jax.Array, condition: Any, view: View) -> tuple[Any, jax.Array]:
            def penalty(params: Any) -> tuple[jax.Array, jax.Array]:
                seen = lambda x: per_example(score(params, mutable, augment(x, view, "real"), condition)[0])
                value = jnp.mean(squared_gradient(seen, real))
                return weight * value, value

            return jax.grad(penalty, has_aux=True)(params)

        grads, value = common.accumulate(part, chunks, real, condition, view, group=group)
        return common.pmean((grads, {"r1": value}), axis_name)

    def path(state: State, key: jax.Array, num: int, condition: Any) -> tuple[Any, dict[str, jax.Array]]:
        """The gradient of the path length penalty for every `path_shrink`-th example, its value and the new mean."""
        params, mutable = common.varying(state.params["generator"], axis_name), state.mutable["generator"]
        mean = state.extra["path_mean"]
        if num % gan.path_shrink:
            raise UserError(f"step.path-shrink {gan.path_shrink} does not divide the {num} examples here")
        pixels = random.normal(random.example_keys(random.stream(key, "pixels"), num, axis_name), spec.image_shape)
        inputs = jax.tree.map(lambda x: x[:: gan.path_shrink], (draw(key, num), pixels, condition))

        def part(drawn: Any, pixels: jax.Array, condition: Any) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            def penalty(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
                styles, _ = styles_of(params, mutable, drawn, condition)
                lengths = path_lengths(lambda s: synthesize(params, mutable, s, drawn["keys"]), styles, pixels)
                value = jnp.mean(jnp.square(lengths - mean))
                return gan.path_weight * gan.path_every * value, (value, jnp.mean(lengths))

            return jax.grad(penalty, has_aux=True)(params)

        grads, (value, length) = common.pmean(common.accumulate(part, chunks, *inputs), axis_name)
        return grads, {"path": value, "path_mean": mean + gan.path_decay * (length - mean)}

    def regularize(state: State, player: str, due: bool | jax.Array, penalty: Any) -> tuple[Any, State]:
        """Applies a penalty where it is due, `penalty(state)` returning its gradient and entries of `extra`.

        Returns what it adds to the gradient of the player's next update, None for nothing, and the state, in which an
        update of the penalty's own is done. `cond` holds nothing but this.
        """
        if due is False:
            return None, state

        def compute() -> tuple[Any, Any]:
            grads, values = penalty(state)
            # `where` for the sake of donation, which frees only what is used.
            extra = state.extra | {name: jnp.where(due, new, state.extra[name]) for name, new in values.items()}
            if gan.lazy_updates == "joint":
                return grads, extra
            new, _ = update(state, player, grads)
            return (new.params[player], new.opt[player]), extra

        def skip() -> tuple[Any, Any]:
            unchanged = state.params[player]
            if gan.lazy_updates == "joint":
                return jax.tree.map(jnp.zeros_like, unchanged), state.extra
            return (unchanged, state.opt[player]), state.extra

        result, extra = compute() if due is True else jax.lax.cond(due, compute, skip)
        state = state.replace(extra=extra)
        if gan.lazy_updates == "joint":
            return result, state
        params, opt = result
        return None, state.replace(params={**state.params, player: params}, opt={**state.opt, player: opt})

    def critic_gradient(
        state: State, real: jax.Array, fake: jax.Array, condition: Any, view: View
    ) -> tuple[Any, Metrics, Any]:
        """The critic's gradient, metrics, and changed statistics; `fake` is augmented already."""
        params, mutable = common.varying(state.params["critic"], axis_name), state.mutable["critic"]
        real = augment(real, view, "real")

        def objective(params: Any) -> tuple[jax.Array, Any]:
            real_scores, fake_scores, changed = score_both(params, mutable, real, fake, condition, True)
            value = jnp.mean(per_example(jax.tree.map(loss.critic, real_scores, fake_scores)))
            real_scores, fake_scores = per_example(real_scores), per_example(fake_scores)
            metrics = {"critic_loss": value, "real_score": jnp.mean(real_scores), "fake_score": jnp.mean(fake_scores)}
            metrics |= augment.metrics(real_scores, view)
            return value, (metrics, changed)

        grads, (metrics, changed) = jax.grad(objective, has_aux=True)(params)
        return grads, metrics, changed

    def generator_gradient(
        state: State, real: jax.Array, fake: jax.Array, condition: Any, view: View, pullback: Any
    ) -> tuple[Any, Metrics]:
        """The pullback of the loss's gradient with respect to the generated pictures, augmented already."""
        params, mutable = common.varying(state.params["critic"], axis_name), state.mutable["critic"]

        def objective(fake: jax.Array) -> jax.Array:
            seen = augment(real, view, "real") if loss.paired else fake
            if loss.paired and "batch_stats" in mutable:  # scores that depend on the pictures beside them
                real_scores, fake_scores, _ = score_both(params, mutable, seen, fake, condition)
            else:  # apart: no gradient goes back through the real pictures
                fake_scores, _ = score(params, mutable, fake, condition)
                real_scores = score(params, mutable, seen, condition)[0] if loss.paired else fake_scores
            return jnp.mean(per_example(jax.tree.map(loss.generator, real_scores, fake_scores)))

        value, cotangent = jax.value_and_grad(objective)(fake)
        return pullback(cotangent)[0], {"generator_loss": value}

    def update(state: State, player: str, grads: Any) -> tuple[State, Metrics]:
        """An optimizer's update by a gradient that is the same on all devices."""
        params, opt, norms = common.update(player, optimizers[player], grads, state.opt[player], state.params[player])
        return state.replace(params={**state.params, player: params}, opt={**state.opt, player: opt}), norms

    def player_update(
        state: State, player: str, computed: tuple[Any, Metrics, Any], due: bool | jax.Array, penalty: Any
    ) -> tuple[State, Metrics]:
        """A player's update by its gradient, metrics and changed statistics, and its penalty's where that is due."""
        grads, metrics, changed = common.pmean(computed[:2], axis_name) + computed[2:]
        state = state.replace(mutable={**state.mutable, player: changed})
        joint = gan.lazy_updates == "joint"
        added, state = regularize(state, player, due, penalty) if joint else (None, state)
        grads = grads if added is None else jax.tree.map(jnp.add, grads, added)
        state, norms = update(state, player, grads)
        if not joint:
            _, state = regularize(state, player, due, penalty)
        return state, metrics | norms

    def critic_update(
        state: State, computed: tuple[Any, Metrics, Any], real: jax.Array, condition: Any, view: View, due: Any
    ) -> tuple[State, Metrics]:
        state, metrics = player_update(state, "critic", computed, due, lambda s: r1(s, real, condition, view))
        return augment.adapted(state, metrics, len(real)), metrics

    def shown(params: Any, mutable: Any, drawn: Any, condition: Any, view: View) -> tuple[jax.Array, Any]:
        """Generated pictures as the critic sees them, and the generator's statistics."""
        images, mutable = generate(params, mutable, drawn, condition)
        return augment(images, view, "fake"), mutable

    def forward(state: State, drawn: Any, condition: Any, view: View) -> tuple[jax.Array, Any, Any]:
        """Generated pictures as the critic sees them, the pullback to the generator's parameters, and statistics."""
        params, mutable = common.varying(state.params["generator"], axis_name), state.mutable["generator"]
        return jax.vjp(lambda p: shown(p, mutable, drawn, condition, view), params, has_aux=True)

    def critic_step(
        state: State, drawn: Any, real: jax.Array, condition: Any, view: View, due: Any
    ) -> tuple[State, Any]:
        """A critic update in parts: the generator's activations are not kept."""

        def part(drawn: Any, real: jax.Array, condition: Any, view: View) -> tuple[Any, Metrics, Any]:
            fake, _ = shown(state.params["generator"], state.mutable["generator"], drawn, condition, view)
            return critic_gradient(state, real, fake, condition, view)

        computed = common.accumulate(part, chunks, drawn, real, condition, view, group=group)
        return critic_update(state, computed, real, condition, view, due)

    def generator_step(
        state: State, drawn: Any, real: jax.Array, condition: Any, view: View, due: Any, penalty: Any
    ) -> tuple[State, Metrics]:
        """A generator update in parts, with forward passes of its own."""

        def part(drawn: Any, real: jax.Array, condition: Any, view: View) -> tuple[Any, Metrics, Any]:
            fake, pullback, mutable = forward(state, drawn, condition, view)
            return *generator_gradient(state, real, fake, condition, view, pullback), mutable

        computed = common.accumulate(part, chunks, drawn, real, condition, view, group=group)
        return player_update(state, "generator", computed, due, penalty)

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        common.refuse_statistics(state.mutable, chunks)
        key = random.stream(key, "step", state.step)
        is_due = {name: state.step % n == 0 if due is None else name in due for name, n in lazy}
        r1_due, path_due = is_due.get("r1", False), is_due.get("path", False)

        def inputs(index: int | jax.Array) -> tuple[jax.Array, Any, jax.Array]:
            one, key_i = common.select(batch, index, gan.d_steps), random.stream(key, "round", index)
            condition = common.conditions_of(one, spec)
            hidden = common.hide(condition, random.stream(key_i, "hide"), gan.condition_dropout, axis_name)
            return one["image"], hidden, key_i

        def critic_round(index: int | jax.Array, state: State) -> State:
            real, condition, key_i = inputs(index)
            view = augment.view(state, key_i, len(real))
            return critic_step(state, draw(key_i, len(real)), real, condition, view, False)[0]

        if gan.d_steps > 1:  # compiled once, however many there are
            state = jax.lax.fori_loop(0, gan.d_steps - 1, critic_round, state)
        real, condition, key_i = inputs(gan.d_steps - 1)
        drawn, lengths = draw(key_i, len(real)), lambda s: path(s, random.stream(key_i, "path"), len(real), condition)
        view = augment.view(state, key_i, len(real))
        if chunks == 1:
            fake, pullback, mutable = forward(state, drawn, condition, view)
            computed = critic_gradient(state, real, fake, condition, view)
            state, metrics = critic_update(state, computed, real, condition, view, r1_due)
            computed = *generator_gradient(state, real, fake, condition, view, pullback), mutable
            state, g_metrics = player_update(state, "generator", computed, path_due, lengths)
        else:  # in parts, the activations of one forward pass cannot wait for the critic's update
            state, metrics = critic_step(state, drawn, real, condition, view, r1_due)
            state, g_metrics = generator_step(state, drawn, real, condition, view, path_due, lengths)
        for index in range(1, gan.g_steps):
            key_j = random.stream(key_i, "again", index)
            again, view = draw(key_j, len(real)), augment.view(state, key_j, len(real))
            state, g_metrics = generator_step(state, again, real, condition, view, False, None)
        age = common.ema_age(config, state)
        decay = common.ema_decay(gan.ema_decay, age)
        if gan.ema_images:
            images = len(real) * (1 if axis_name is None else jax.lax.axis_size(axis_name))
            decay = common.half_life_decay(gan.ema_images, gan.ema_ramp, images, age)
        ema = common.ema_update(state.ema, state.params, state.mutable, decay)
        return state.replace(step=state.step + 1, ema=ema), metrics | g_metrics | {
            name: state.extra[name] for name in carried
        }

    def evaluate(state: State, batch: Batch, key: jax.Array) -> Sums:
        common.check_batch(batch, spec)
        weight = common.weights_of(batch, spec)
        # Scores may depend on neighbours, so padding becomes a copy of the first example.
        real, condition = jax.tree.map(
            lambda x: jnp.where(weight.reshape(-1, *[1] * (x.ndim - 1)) > 0, x, x[:1]),
            (batch["image"], common.conditions_of(batch, spec)),
        )
        drawn = draw(random.stream(key, "evaluate"), len(weight))
        fake = show(state, drawn["z"], drawn.get("keys"), condition, 1.0)
        critic_of = lambda x: common.apply(
            critic, state.params["critic"], state.mutable["critic"], x, condition, train=False
        )[0][0]
        real_scores, fake_scores = critic_of(real), critic_of(fake)
        values = {"critic_loss": per_example(jax.tree.map(loss.critic, real_scores, fake_scores))}
        if (threshold := loss.threshold) is not None:
            right = lambda real, fake: 1.0 * (real > threshold) + 1.0 * (fake <= threshold)
            values["critic_accuracy"] = 0.5 * per_example(jax.tree.map(right, real_scores, fake_scores))
        real_scores, fake_scores = per_example(real_scores), per_example(fake_scores)
        values |= {"real_score": real_scores, "fake_score": fake_scores}
        # The steepest of a batch's pairs is a Lipschitz constant that the critic at least has.
        steepest = jnp.max(jnp.where(weight > 0, slope(real_scores, fake_scores, real, fake), 0.0))
        values["critic_lipschitz"] = jnp.broadcast_to(common.pmax(steepest, axis_name), weight.shape)
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        return common.all_sums(sums, axis_name)

    def decode(
        state: State, z: jax.Array, condition: Mapping[str, Any] | None = None, truncation: float = 1.0
    ) -> jax.Array:
        """Pictures of given latents. `truncation` scales a style's distance from the mean style (1: as it is)."""
        return show(state, z, None, common.wanted_condition(spec, condition, z.shape[0], None), truncation)

    def sample(
        state: State, key: jax.Array, num: int, condition: Mapping[str, Any] | None = None, truncation: float = 1.0
    ) -> jax.Array:
        """Pictures of drawn latents, and drawn noise; `truncation` as in `decode`."""
        key = random.stream(key, "sample")
        drawn = draw(key, num, None)
        return show(
            state, drawn["z"], drawn.get("keys"), common.wanted_condition(spec, condition, num, key), truncation
        )

    return Algorithm(spec, gan.d_steps, init, step, evaluate, decode=decode, sample=sample, lazy=lazy)


def _terms(gan: Gan) -> tuple[tuple[str, int, bool], ...]:
    """The lazy terms: name, every how many steps, and whether it is switched on."""
    return ("r1", gan.r1_every, gan.r1_gamma > 0), ("path", gan.path_every, gan.path_weight > 0)
