"""The step of a vector-quantised autoencoder (van den Oord et al. 2017, eq. 3, its codebook by moving averages)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from genart_jax.config import Run, VectorQuantized, spec_of
from genart_jax.losses import quantize
from genart_jax.nn import random
from genart_jax.steps import common, play
from genart_jax.types import Algorithm, Batch, Metrics, Outcome, Scene, State, Sums, Variables, check_images


def build(networks: Any, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a VQ-VAE: `networks` has an `encoder`, a `quantizer` and a `decoder`.

    Latents are codes, int32 (batch, *grid). It has no prior and so no `sample`: a second stage learns one.

    Raises:
      UserError: an option out of range.
    """
    options: VectorQuantized = config.step
    spec = spec_of(config)
    encoder, quantizer, decoder = networks.encoder, networks.quantizer, networks.decoder

    def forward(
        params: Any, mutable: Any, images: jax.Array, condition: Any, key: jax.Array | None, train: bool
    ) -> tuple[dict[str, jax.Array], jax.Array, Any]:
        """Squared error and commitment (batch,), shares of the codes (batch, codes), changed collections."""
        (z, _), enc = common.apply(encoder, params["encoder"], mutable["encoder"], images, condition, train=train)
        ((quantized, codes), _), book = common.apply(quantizer, {}, mutable["quantizer"], z, key, train=train)
        (output, _), dec = common.apply(
            decoder, params["decoder"], mutable["decoder"], quantized, condition, train=train
        )
        values = {"mse": jnp.mean(jnp.square(images - output), axis=(1, 2, 3))}
        # Fixed levels need nothing to stay near: they bound what they are given.
        if jax.tree.leaves(mutable["quantizer"]):
            values["commitment"] = quantize.commitment(z, quantized)
        return values, quantize.usage(codes, quantizer.codes), {"encoder": enc, "quantizer": book, "decoder": dec}

    def loss(at: Variables, scene: Scene) -> Outcome:
        images, condition = scene.batch["image"], scene.batch["condition"]
        values, share, changed = forward(at.params, at.mutable, images, condition, scene.key, True)
        metrics = {name: jnp.mean(value) for name, value in values.items()}
        metrics["loss"] = metrics["mse"] + options.beta * metrics.get("commitment", jnp.zeros(()))
        return Outcome(metrics["loss"], metrics, changed, {"share": jnp.mean(share, axis=0)})

    def after(state: State, metrics: Metrics, found: Mapping[str, Any], num: int) -> tuple[Any, Metrics]:
        return state.extra, metrics | {"perplexity": quantize.perplexity(found["share"])}

    game = play.Game(
        (play.Player("autoencoder", ("encoder", "decoder"), loss, after=after),),
        {"autoencoder": common.optimizer_of(config)},
        draw=lambda state, batch, key: Scene(batch, {}, key=random.stream(key, "codebook")),
        prepare=lambda batch, key: {"image": batch["image"], "condition": common.conditions_of(batch, spec)},
        chunks=common.chunks_of(config),
        axis_name=axis_name,
    )

    def init(key: jax.Array, batch: Batch) -> State:
        common.check_batch(batch, spec)
        none, image = common.no_condition(spec, 2), jnp.zeros((2, *spec.image_shape))
        stream = lambda name: random.stream(random.stream(key, "init"), name)
        made = {"encoder": common.init_module(encoder, stream("encoder"), image, none, train=False)}
        encoded = lambda: common.apply(encoder, *made["encoder"], image, none, train=False)[0][0]
        z = jnp.zeros(jax.eval_shape(encoded).shape)
        made["quantizer"] = common.init_module(quantizer, stream("quantizer"), z, None, train=False)
        made["decoder"] = common.init_module(decoder, stream("decoder"), z, none, train=False)
        return play.start(game, made)

    def step(state: State, batch: Batch, key: jax.Array, due: tuple[str, ...] | None = None) -> tuple[State, Metrics]:
        common.check_batch(batch, spec)
        return play.step(game, state, batch, key, due)

    def evaluate(state: State, batch: Batch, key: jax.Array) -> Sums:
        common.check_batch(batch, spec)
        weight, condition = common.weights_of(batch, spec), common.conditions_of(batch, spec)
        values, share, _ = forward(state.params, state.mutable, batch["image"], condition, None, False)
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        sums["perplexity"] = (weight @ share, jnp.sum(weight))
        return common.all_sums(sums, axis_name)

    def decode(state: State, codes: jax.Array, condition: Mapping[str, Any] | None = None) -> jax.Array:
        wanted = common.wanted_condition(spec, condition, codes.shape[0], None)
        z = quantizer.apply(state.mutable["quantizer"], codes, method="lookup")
        params, mutable = state.params["decoder"], state.mutable["decoder"]
        (output, _), _ = common.apply(decoder, params, mutable, z, wanted, train=False)
        return jnp.clip(output, -1.0, 1.0)

    def encode(
        state: State, images: jax.Array, key: jax.Array, condition: Mapping[str, Any] | None = None
    ) -> jax.Array:
        check_images(images, spec.image_shape)
        wanted = common.wanted_condition(spec, condition, images.shape[0], None)
        params, mutable = state.params["encoder"], state.mutable
        (z, _), _ = common.apply(encoder, params, mutable["encoder"], images, wanted, train=False)
        ((_, codes), _), _ = common.apply(quantizer, {}, mutable["quantizer"], z, None, train=False)
        return codes

    def transform(
        state: State, images: jax.Array, key: jax.Array, condition: Mapping[str, Any] | None = None
    ) -> jax.Array:
        """Reconstructions."""
        return decode(state, encode(state, images, key, condition), condition)

    return Algorithm(spec, 1, init, step, evaluate, decode=decode, encode=encode, transform=transform)
