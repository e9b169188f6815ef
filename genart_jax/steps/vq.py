"""The step of a vector-quantised autoencoder (van den Oord et al. 2017, eq. 3, its codebook by moving averages)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp

from genart_jax.config import Run, VectorQuantized, spec_of
from genart_jax.losses import quantize
from genart_jax.nn import random
from genart_jax.steps import common, networks, play
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Metrics, Module, Outcome, Scene, State, Sums, Variables, check_images


class Quantizer(Module, Protocol):
    """Vectors -> ((quantised, codes), {}); `lookup` takes codes back to vectors."""

    @property
    def codes(self) -> int:
        """How many different codes there are."""


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a VQ-VAE, of an `encoder`, a `quantizer` and a `decoder`.

    Latents are codes, int32 (batch, *grid). It has no prior and so no `sample`: a second stage learns one.

    Raises:
      UserError: an option out of range.
    """
    made = Quantized(roles, config, axis_name)
    return Algorithm(
        made.spec,
        1,
        made.init,
        made.step,
        made.evaluate,
        roles,
        decode=made.decode,
        encode=made.encode,
        transform=made.transform,
    )


class Quantized:
    """An autoencoder over a codebook, as a game of one player; its methods are those of `types.Algorithm`."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        self.axis_name = axis_name
        self.options: VectorQuantized = config.step
        self.spec = spec_of(config)
        self.roles = roles
        self.codes = cast(Quantizer, roles["quantizer"].module).codes
        self.game = play.Game(
            (play.Player("autoencoder", ("encoder", "decoder"), self.loss, after=self._after),),
            {"autoencoder": common.optimizer_of(config)},
            draw=lambda state, batch, key: Scene(batch, {}, key=random.stream(key, "codebook")),
            prepare=lambda batch, key: {"image": batch["image"], "condition": common.conditions_of(batch, self.spec)},
            chunks=common.chunks_of(config),
            axis_name=self.axis_name,
        )

    def _forward(
        self, at: Variables, images: jax.Array, condition: Any, key: jax.Array | None, train: bool
    ) -> tuple[dict[str, jax.Array], jax.Array, Any]:
        """Squared error and commitment (batch,), shares of the codes (batch, codes), changed collections."""
        apply = functools.partial(networks.apply, self.roles, at, train=train)
        (z, _), enc = apply("encoder", images, condition)
        ((quantized, codes), _), book = apply("quantizer", z, key)
        (output, _), dec = apply("decoder", quantized, condition)
        values = {"mse": jnp.mean(jnp.square(images - output), axis=(1, 2, 3))}
        # Fixed levels need nothing to stay near: they bound what they are given.
        if jax.tree.leaves(at.mutable["quantizer"]):
            values["commitment"] = quantize.commitment(z, quantized)
        return values, quantize.usage(codes, self.codes), {"encoder": enc, "quantizer": book, "decoder": dec}

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        images, condition = scene.batch["image"], scene.batch["condition"]
        values, share, changed = self._forward(at, images, condition, scene.key, True)
        metrics = {name: jnp.mean(value) for name, value in values.items()}
        metrics["loss"] = metrics["mse"] + self.options.beta * metrics.get("commitment", jnp.zeros(()))
        return Outcome(metrics["loss"], metrics, changed, {"share": jnp.mean(share, axis=0)})

    def _after(self, state: State, metrics: Metrics, found: Mapping[str, Any], num: int) -> tuple[Any, Metrics]:
        return state.extra, metrics | {"perplexity": quantize.perplexity(found["share"])}

    def init(self, key: jax.Array, batch: Batch) -> State:
        """The first state, for batches like this one."""
        common.check_batch(batch, self.spec)
        made, frozen = networks.init(self.roles, random.stream(key, "init"))
        return play.start(self.game, made, frozen=frozen)

    def step(
        self, state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None
    ) -> tuple[State, Metrics]:
        """An update."""
        common.check_batch(batch, self.spec)
        return play.step(self.game, state, batch, key, due)

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums."""
        common.check_batch(batch, self.spec)
        weight, condition = common.weights_of(batch, self.spec), common.conditions_of(batch, self.spec)
        values, share, _ = self._forward(networks.averaged(state), batch["image"], condition, None, False)
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        sums["perplexity"] = (weight @ share, jnp.sum(weight))
        return common.all_sums(sums, self.axis_name)

    def decode(self, state: State, codes: jax.Array, condition: Mapping[str, Any] | None = None) -> jax.Array:
        """Latents -> pictures."""
        wanted = common.wanted_condition(self.spec, condition, codes.shape[0], None)
        apply = functools.partial(networks.apply, self.roles, networks.averaged(state))
        z, _ = apply("quantizer", codes, method="lookup")
        (output, _), _ = apply("decoder", z, wanted)
        return jnp.clip(output, -1.0, 1.0)

    def encode(
        self, state: State, images: jax.Array, key: jax.Array, condition: Mapping[str, Any] | None = None
    ) -> jax.Array:
        """Pictures -> latents."""
        check_images(images, self.spec.image_shape)
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], None)
        apply = functools.partial(networks.apply, self.roles, networks.averaged(state))
        (z, _), _ = apply("encoder", images, wanted)
        ((_, codes), _), _ = apply("quantizer", z)
        return cast(jax.Array, codes)

    def transform(
        self, state: State, images: jax.Array, key: jax.Array, condition: Mapping[str, Any] | None = None
    ) -> jax.Array:
        """Reconstructions."""
        return self.decode(state, self.encode(state, images, key, condition), condition)
