"""The step of a vector-quantised autoencoder (van den Oord et al. 2017, eq. 3, its codebook by moving averages)."""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp

from genart_jax.config import Judged, Run, VectorQuantized
from genart_jax.losses import quantize
from genart_jax.nn import random
from genart_jax.steps import common, judged, networks, play, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import (
    Algorithm,
    Batch,
    Condition,
    Input,
    Metrics,
    Module,
    Outcome,
    Scene,
    State,
    Sums,
    Told,
    Tree,
    Variables,
)


class Quantizer(Module, Protocol):
    """Vectors -> ((quantised, codes), {}); `lookup` takes codes back to vectors."""

    @property
    def codes(self) -> int:
        """How many different codes there are."""


class Made(NamedTuple):
    """What the networks make of pictures.

    Attributes:
      output: reconstructions.
      z: what the encoder says, (batch, *grid, features).
      quantized: the nearest vectors that have a code; the gradient goes straight through to z.
      share: of an example's places that takes each code, (batch, codes).
    """

    output: jax.Array
    z: jax.Array
    quantized: jax.Array
    share: jax.Array


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a VQ-VAE, of an `encoder`, a `quantizer` and a `decoder`.

    Latents are codes, int32 (batch, *grid). It has no prior and so no `sample`: a second stage learns one.

    Raises:
      UserError: an option out of range.
    """
    made = Quantized(roles, config, axis_name)
    codes, condition = Input("latents", "codes", made.grid, made.codes), uses.condition(made.spec)
    encoded = (uses.pictures(made.spec), uses.KEY, condition)
    table = uses.table(
        decode=(made.decode, (codes, condition)),
        encode=(made.encode, encoded),
        transform=(made.transform, encoded),
    )
    return made.algorithm(table)


class Quantized(Family):
    """An autoencoder over a codebook, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(judged.needed(roles, config), config, axis_name)
        self.options: VectorQuantized = config.step
        quantizer, inputs = roles["quantizer"].module, roles["quantizer"].inputs
        self.codes = cast(Quantizer, quantizer).codes
        (vectors,) = jax.eval_shape(inputs) if callable(inputs) else inputs
        made = jax.eval_shape(lambda z: quantizer.init(jax.random.key(0), z), vectors)
        self.learned = bool(jax.tree.leaves(made))
        self.grid: tuple[int, ...] = vectors.shape[1:-1]
        player = play.Player("autoencoder", ("encoder", "decoder"), self.loss, after=self._after)
        draw = lambda state, batch, key: Scene(batch, {}, key=random.stream(key, "codebook"))
        self.game = play.alone(player, config, axis_name, draw, self.told)
        if isinstance(config.step, Judged):
            self.game = judged.Game(self, config.step).game(self.game)

    def _forward(
        self, at: Variables, images: jax.Array, condition: Condition, key: jax.Array | None, train: bool
    ) -> tuple[Made, Tree]:
        """What the networks make of pictures, and changed collections."""
        apply = functools.partial(networks.apply, self.roles, at, train=train)
        (z, _), enc = apply("encoder", images, condition)
        ((quantized, codes), _), book = apply("quantizer", z, key)
        (output, _), dec = apply("decoder", quantized, condition)
        made = Made(output, z, quantized, quantize.usage(codes, self.codes))
        return made, {"encoder": enc, "quantizer": book, "decoder": dec}

    def _values(self, images: jax.Array, made: Made) -> dict[str, jax.Array]:
        """Squared error and commitment (batch,)."""
        values = {"mse": jnp.mean(jnp.square(images - made.output), axis=(1, 2, 3))}
        # Fixed levels need nothing to stay near: they bound what they are given.
        if self.learned:
            values["commitment"] = quantize.commitment(made.z, made.quantized)
        return values

    def made(self, at: Variables, scene: Scene) -> tuple[Made, play.Trees]:
        """See `judged.Autoencoder`."""
        return self._forward(at, scene.batch["image"], scene.batch["condition"], scene.key, True)

    def picture(self, made: Made) -> jax.Array:
        """See `judged.Autoencoder`."""
        return made.output

    def with_picture(self, made: Made, images: jax.Array) -> Made:
        """See `judged.Autoencoder`."""
        return made._replace(output=images)

    def again(self, at: Variables, scene: Scene, made: Made) -> jax.Array:
        """See `judged.Autoencoder`."""
        condition = scene.batch["condition"]
        (output, _), _ = networks.apply(self.roles, at, "decoder", made.quantized, condition, train=True)
        images: jax.Array = output
        return images

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        made, changed = self.made(at, scene)
        return self.outcome(scene, made)._replace(mutable=changed)

    def outcome(self, scene: Scene, made: Made) -> Outcome:
        """The loss of what the networks made."""
        metrics = {name: jnp.mean(value) for name, value in self._values(scene.batch["image"], made).items()}
        metrics["loss"] = metrics["mse"] + self.options.beta * metrics.get("commitment", jnp.zeros(()))
        return Outcome(metrics["loss"], metrics, {}, {"share": jnp.mean(made.share, axis=0)})

    def _after(self, state: State, metrics: Metrics, found: play.Trees, num: int) -> tuple[dict[str, Tree], Metrics]:
        perplexity = quantize.perplexity(found["share"])
        return state.extra, metrics | {"perplexity": perplexity, "code_use": perplexity / self.codes}

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums."""
        common.check_batch(batch, self.spec)
        weight, condition = common.weights_of(batch, self.spec), common.conditions_of(batch, self.spec)
        made, _ = self._forward(networks.averaged(state), batch["image"], condition, None, False)
        values, share = self._values(batch["image"], made), made.share
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        sums["perplexity"] = (weight @ share, jnp.sum(weight))
        return common.all_sums(sums, self.axis_name)

    def decode(self, state: State, latents: jax.Array, condition: Told = None) -> jax.Array:
        """Latents -> pictures."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        apply = functools.partial(networks.apply, self.roles, networks.averaged(state))
        z, _ = apply("quantizer", latents, method="lookup")
        (output, _), _ = apply("decoder", z, wanted)
        return jnp.clip(output, -1.0, 1.0)

    def encode(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """Pictures -> latents."""
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], None)
        apply = functools.partial(networks.apply, self.roles, networks.averaged(state))
        (z, _), _ = apply("encoder", images, wanted)
        ((_, codes), _), _ = apply("quantizer", z)
        return codes

    def transform(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """Reconstructions."""
        return self.decode(state, self.encode(state, images, key, condition), condition)
