"""The autoregressive step: the likelihood of a picture's codes, each given those before it.

The codes are those of a tokenizer, an algorithm of its own whose parameters are frozen (van den Oord et al. 2017,
section 3.3: the prior is fitted when the autoencoder is done).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from genart_jax import registry
from genart_jax.config import Autoregressive, Run, spec_of
from genart_jax.nn import random
from genart_jax.steps import common, play, stages
from genart_jax.types import Algorithm, Batch, Metrics, Outcome, Scene, State, Sums, Variables


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a prior over codes: `networks` has a `prior`."""
    options: Autoregressive = config.step
    spec, prior = spec_of(config), networks.prior
    tokenizer = _tokenizer(stages.first_stage(config.model.tokenizer_config))
    grid, num_codes = tuple(config.model.grid), config.model.codes
    length = math.prod(grid)

    def tokens(frozen: Mapping[str, Any], images: jax.Array) -> jax.Array:
        """A picture's codes, row by row: (batch, length)."""
        assert tokenizer.encode is not None
        codes = tokenizer.encode(common.borrow(frozen["tokenizer"]), images, jax.random.key(0))
        return codes.reshape(codes.shape[0], length)

    def prepare(batch: Batch, key: jax.Array) -> Batch:
        condition = common.conditions_of(batch, spec)
        hidden = common.hide(condition, random.stream(key, "hide"), options.condition_dropout, axis_name)
        return {"image": batch["image"], "condition": hidden}

    def draw(state: State, batch: Batch, key: jax.Array) -> Scene:
        keys = random.example_keys(random.stream(key, "dropout"), batch["image"].shape[0], axis_name)
        return Scene(batch, {"keys": keys}, key=key)

    def loss(at: Variables, scene: Scene) -> Outcome:
        codes = tokens(at.frozen, scene.batch["image"])
        variables, condition = {"params": at.params["prior"]}, scene.batch["condition"]
        logits, _ = prior.apply(variables, codes, condition, train=True, keys=scene.drawn["keys"])
        value = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, codes))
        return Outcome(value, {"loss": value, "accuracy": jnp.mean(1.0 * (jnp.argmax(logits, axis=-1) == codes))})

    game = play.Game(
        (play.Player("prior", ("prior",), loss),),
        {"prior": common.optimizer_of(config)},
        draw,
        prepare,
        averaged=("prior",) if options.ema_decay else (),
        decay=lambda age, images: common.ema_decay(options.ema_decay, age),
        age=config.train.ema_steps,
        chunks=common.chunks_of(config),
        axis_name=axis_name,
    )

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        key, none = random.stream(key, "init"), common.no_condition(spec, 2)
        codes = jnp.zeros((2, length), jnp.int32)
        made = common.init_module(prior, random.stream(key, "prior"), codes, none, train=False)
        hidden = common.no_condition(tokenizer.batch_spec, 2)
        example = {"image": jnp.zeros((2, *spec.image_shape)), "condition": hidden}
        frozen = {"tokenizer": common.lend(tokenizer.init(random.stream(key, "tokenizer"), example))}
        return play.start(game, {"prior": made}, frozen=frozen)

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        return play.step(game, state, batch, key, due)

    def variables_of(state: State) -> dict[str, Any]:
        params, mutable = common.sampling_variables(state, "prior")
        return {"params": params, **mutable}

    def evaluate(state: State, batch: Batch, key: jax.Array) -> Sums:
        common.check_batch(batch, spec)
        weight, codes = common.weights_of(batch, spec), tokens(state.frozen, batch["image"])
        logits, _ = prior.apply(variables_of(state), codes, common.conditions_of(batch, spec), train=False)
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, codes), axis=-1)
        correct = jnp.mean(1.0 * (jnp.argmax(logits, axis=-1) == codes), axis=-1)
        values = {"loss": loss, "bits_per_code": loss / math.log(2.0), "accuracy": correct}
        return common.all_sums({name: common.weighted(v, weight) for name, v in values.items()}, axis_name)

    def decode(state: State, codes: jax.Array, condition: Mapping[str, Any] | None = None) -> jax.Array:
        assert tokenizer.decode is not None
        images: jax.Array = tokenizer.decode(common.borrow(state.frozen["tokenizer"]), codes)
        return images

    def sample(state: State, key: jax.Array, num: int, condition: Mapping[str, Any] | None = None) -> jax.Array:
        key = random.stream(key, "sample")
        wanted = common.wanted_condition(spec, condition, num, key)
        keys, variables = random.example_keys(random.stream(key, "codes"), num), variables_of(state)

        def draw(carry: Any, index: jax.Array) -> tuple[Any, jax.Array]:
            last, cache = carry
            logits, cache = prior.apply(variables, last, index, cache, wanted, method="next")
            here = jax.vmap(lambda key: jax.random.fold_in(key, index))(keys)
            last = jax.vmap(jax.random.categorical)(here, logits / options.temperature).astype(jnp.int32)
            return (last, cache), last

        # The code that begins a picture is the one after the last.
        begin = jnp.full((num,), num_codes, jnp.int32), prior.empty_cache(num)
        _, codes = jax.lax.scan(draw, begin, jnp.arange(length))
        return decode(state, codes.T.reshape(num, *grid))

    def encode(
        state: State, images: jax.Array, key: jax.Array, condition: Mapping[str, Any] | None = None
    ) -> jax.Array:
        return tokens(state.frozen, images).reshape(-1, *grid)

    return Algorithm(
        spec, 1, init, step, evaluate, decode=decode, sample=sample, encode=encode, frozen=stages.frozen(config.model)
    )


def _tokenizer(run: Run) -> Algorithm:
    """The algorithm of the first stage, whole on every device."""
    networks = registry.model_module(run.name).networks(run.model)
    algorithm: Algorithm = registry.step_module(run.name).build(networks, run)
    return algorithm
