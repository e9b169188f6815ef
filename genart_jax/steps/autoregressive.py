"""The autoregressive step: the likelihood of a picture's codes, each given those before it.

The codes are those of a tokenizer, an algorithm of its own whose parameters are frozen (van den Oord et al. 2017,
section 3.3: the prior is fitted when the autoencoder is done). They are drawn with classifier-free guidance, if it is
asked for (Ho & Salimans 2022, arXiv:2207.12598, eq. 6, where the weight w is `guidance` less 1).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import jax
import jax.numpy as jnp
import optax

from genart_jax.config import Autoregressive, Run, UserError
from genart_jax.nn import random
from genart_jax.steps import common, networks, play, stages, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import (
    HIDDEN,
    Algorithm,
    Batch,
    Input,
    Module,
    Network,
    Outcome,
    Scene,
    State,
    Sums,
    Told,
    Tree,
    Variables,
    untold,
)


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a `prior` over codes."""
    made = Prior(roles, config, axis_name)
    condition = uses.condition(made.spec)
    table = uses.table(
        decode=(made.decode, (made.code, condition)),
        sample=(made.sample, (uses.KEY, uses.NUM, condition, *made.chosen())),
        encode=(made.encode, (uses.pictures(made.spec), uses.KEY, condition)),
    )
    return made.algorithm(table)


class Prior(Family):
    """A prior over a tokenizer's codes, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        tokenizer = stages.algorithm_of(stages.first_stage(config.model.tokenizer_config))
        whole = Network(Whole(tokenizer), (), stages.frozen(config.model))
        super().__init__({**roles, "tokenizer": whole}, config, axis_name)
        self.options: Autoregressive = config.step
        self.code = stages.codes_of(tokenizer)
        self.length = math.prod(self.code.shape)
        player = play.Player("prior", ("prior",), self.loss)
        self.game = play.alone(player, config, axis_name, self._draw, self._prepare, self.options.ema_decay)

    def _tokens(self, frozen: play.Trees, images: jax.Array) -> jax.Array:
        """A picture's codes, row by row: (batch, length)."""
        codes, _ = self.roles["tokenizer"].module.apply(frozen["tokenizer"], images)
        return codes.reshape(codes.shape[0], self.length)

    def chosen(self) -> tuple[Input, ...]:
        """The numbers that samples may choose."""
        number = lambda name, low, high, usual: Input(
            name, "number", low=min(low, usual), high=max(high, usual), default=usual
        )
        temperature = number("temperature", 0.1, 2.0, self.options.temperature)
        if not self.spec.hidden:
            return (temperature,)
        return temperature, number("guidance", 0.0, 10.0, self.options.guidance)

    def _prepare(self, batch: Batch, key: jax.Array) -> Batch:
        told = self.told(batch, key, self.options.condition_dropout)
        if not self.options.unconditional:
            return told
        keys = random.example_keys(random.stream(key, "hide all"), batch["image"].shape[0], self.axis_name)
        alone = random.uniform(keys) < self.options.unconditional
        return {**told, "condition": {n: jnp.where(alone, HIDDEN, value) for n, value in told["condition"].items()}}

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        keys = random.example_keys(random.stream(key, "dropout"), batch["image"].shape[0], self.axis_name)
        return Scene(batch, {"keys": keys}, key=key)

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        codes = self._tokens(at.frozen, scene.batch["image"])
        (logits, _), _ = networks.apply(
            self.roles, at, "prior", codes, scene.batch["condition"], train=True, keys=scene.drawn["keys"]
        )
        value = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, codes))
        return Outcome(value, {"loss": value, "accuracy": jnp.mean(1.0 * (jnp.argmax(logits, axis=-1) == codes))})

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums."""
        common.check_batch(batch, self.spec)
        weight, codes = common.weights_of(batch, self.spec), self._tokens(state.frozen, batch["image"])
        (logits, _), _ = networks.apply(
            self.roles, networks.averaged(state), "prior", codes, common.conditions_of(batch, self.spec)
        )
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, codes), axis=-1)
        correct = jnp.mean(1.0 * (jnp.argmax(logits, axis=-1) == codes), axis=-1)
        values = {"loss": loss, "bits_per_code": loss / math.log(2.0), "accuracy": correct}
        return common.all_sums({name: common.weighted(v, weight) for name, v in values.items()}, self.axis_name)

    def decode(self, state: State, latents: jax.Array, condition: Told = None) -> jax.Array:
        """Latents -> pictures."""
        images, _ = self.roles["tokenizer"].module.apply(state.frozen["tokenizer"], latents, method="decode")
        return images

    def sample(
        self,
        state: State,
        key: jax.Array,
        num: int,
        condition: Told = None,
        temperature: float | jax.Array | None = None,
        guidance: float | jax.Array | None = None,
    ) -> jax.Array:
        """Pictures of drawn latents; `temperature` and `guidance` as in the options, which they are where left out."""
        key = random.stream(key, "sample")
        wanted = common.wanted_condition(self.spec, condition, num, key)
        keys = random.example_keys(random.stream(key, "codes"), num)
        temperature = self.options.temperature if temperature is None else temperature
        logits_of, caches = self._drawing(state, wanted, num, guidance)

        def draw(carry: Tree, index: jax.Array) -> tuple[Tree, jax.Array]:
            last, cache = carry
            logits, cache = logits_of(last, index, cache)
            here = jax.vmap(lambda key: jax.random.fold_in(key, index))(keys)
            last = jax.vmap(jax.random.categorical)(here, logits / temperature).astype(jnp.int32)
            return (last, cache), last

        # The code that begins a picture is the one after the last.
        begin = jnp.full((num,), self.code.classes, jnp.int32), caches
        _, codes = jax.lax.scan(draw, begin, jnp.arange(self.length))
        return self.decode(state, codes.T.reshape(num, *self.code.shape))

    def _drawing(
        self, state: State, wanted: Mapping[str, jax.Array], num: int, guidance: float | jax.Array | None
    ) -> tuple[Callable[[jax.Array, jax.Array, Tree], tuple[jax.Array, Tree]], Tree]:
        """(codes before, place, cache) -> the logits to draw from and the cache; and the empty cache.

        With guidance, those without conditions are computed in the same batch.
        """
        scale = self.options.guidance if guidance is None else guidance
        guided = isinstance(scale, jax.core.Tracer) or scale != 1
        if guided and not (wanted and wanted.keys() <= set(self.spec.hidden)):
            raise UserError(
                "guidance: wanted conditions that training hides at times, by step.condition-dropout or"
                " step.unconditional"
            )
        apply = functools.partial(networks.apply, self.roles, networks.averaged(state), "prior", method="next")
        empty = cast(Cached, self.roles["prior"].module).empty_cache
        if not guided:
            return lambda last, index, cache: apply(last, index, cache, wanted)[0], empty(num)
        both = {name: jnp.concatenate([value, jnp.full_like(value, HIDDEN)]) for name, value in wanted.items()}

        def logits_of(last: jax.Array, index: jax.Array, cache: Tree) -> tuple[jax.Array, Tree]:
            (logits, cache), _ = apply(jnp.concatenate([last, last]), index, cache, both)
            told, untold = jnp.split(logits, 2)
            return untold + scale * (told - untold), cache

        return logits_of, empty(2 * num)

    def encode(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """Pictures -> latents."""
        return self._tokens(state.frozen, images).reshape(-1, *self.code.shape)


class Cached(Module, Protocol):
    """Codes -> (logits, intermediates); `next` takes one more code, and what it keeps of those before."""

    def empty_cache(self, batch: int) -> Tree:
        """What is kept before the first code."""


class Whole:
    """A whole algorithm as one network: pictures -> (latents, {}), and back with method="decode"."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm

    def init(self, key: jax.Array) -> dict[str, Tree]:
        """Role -> variables, at random."""
        spec = self.algorithm.batch_spec
        example = {"image": jnp.zeros((2, *spec.image_shape)), "condition": untold(spec.conditions)}
        return common.lend(self.algorithm.init(key, example))

    def apply(self, variables: play.Trees, x: jax.Array, method: str = "encode") -> tuple[jax.Array, Tree]:
        """Pictures or latents (batch, ...) -> the other."""
        state, (encode, decode) = common.borrow(variables), (self.algorithm.encode, self.algorithm.decode)
        assert encode is not None
        assert decode is not None
        return (encode(state, x, jax.random.key(0)) if method == "encode" else decode(state, x)), {}
