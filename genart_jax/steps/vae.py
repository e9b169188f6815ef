"""The variational step: one draw of z an example, and the evidence lower bound (Kingma & Welling 2013, eq. 7)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from genart_jax.config import Run, Vae
from genart_jax.losses import elbo
from genart_jax.nn import random
from genart_jax.steps import common, networks, play, posteriors, uses
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Condition, Metrics, Outcome, Scene, State, Sums, Told, Tree, Variables

LEVEL = 1 / 127.5
"""Width of one 8-bit level in units of [-1, 1]."""
ACTIVE = 0.01
"""Nats that a dimension or layer of the latents must carry, over a batch, to count as in use."""
_SCALE_DECAY = 0.99  # of the moving average that evaluation takes the optimal scale from: about 100 steps


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a VAE, of an `encoder` and a `decoder`.

    The Gaussian likelihood is a density, so 8-bit pixels are made continuous by uniform noise of one level (Theis et
    al. 2016, section 3.1): its ELBO then bounds that of the 8-bit picture, and bits per dimension are comparable.
    """
    made = Variational(roles, config, axis_name)
    latents, condition = uses.latents(*made.posterior.shape), uses.condition(made.spec)
    encoded = (uses.pictures(made.spec), uses.KEY, condition)
    table = uses.table(
        decode=(made.decode, (latents, condition)),
        sample=(made.sample, (uses.KEY, uses.NUM, condition)),
        draw=(made.latents, (uses.KEY, uses.NUM)),
        activate=(made.activate, (latents, condition)),
        encode=(made.encode, encoded),
        transform=(made.transform, encoded),
        weigh=(made.weigh, encoded),
    )
    return made.algorithm(table, order=("reconstruction", "kl"))


class Variational(Family):
    """An encoder and a decoder, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        self.options: Vae = config.step
        self.posterior, self.dimensions = posteriors.bind(roles), math.prod(self.spec.image_shape)
        self.gaussian = self.options.likelihood == "gaussian"
        self.optimal = self.gaussian and self.options.scale == "optimal"
        moved = "encoder", "decoder"
        player = play.Player("vae", moved, self.loss, after=self._after, measure=self._batch_means)
        self.game = play.alone(player, config, axis_name, self._draw, self._prepare, self.options.ema_decay)

    def extra(self) -> dict[str, Tree]:
        """The squared error that evaluation takes the optimal scale from."""
        return {"squared_error": jnp.ones(())} if self.optimal else {}

    def _pixels(self, images: jax.Array, keys: jax.Array) -> jax.Array:
        """What the likelihood is of: levels, or dequantised pixels, in [-1, 1], or probabilities in [0, 1]."""
        if self.options.likelihood in ("discrete_gaussian", "logistic_mixture"):
            return images
        if self.gaussian:
            return images + LEVEL * (random.coarse_uniform(keys, self.spec.image_shape) - 0.5)
        grey = 0.5 * (images + 1.0)
        if self.options.binarize == "threshold":
            return 1.0 * (grey > 0.5)
        if self.options.binarize == "stochastic":
            return 1.0 * (random.coarse_uniform(keys, self.spec.image_shape) < grey)
        return grey

    def _negative_elbo(
        self,
        at: Variables,
        images: jax.Array,
        condition: Condition,
        keys: jax.Array,
        squared_error: jax.Array | None,
        train: bool,
    ) -> tuple[jax.Array, posteriors.Bound, jax.Array]:
        """Reconstruction (batch,), what the networks give, and the mean squared error.

        `squared_error` is what the optimal scale is taken from; None: these examples' own.
        """
        draw = lambda name, shape: random.normal(jax.vmap(lambda k: random.stream(k, name))(keys), shape)
        x = self._pixels(images, jax.vmap(lambda k: random.stream(k, "pixels"))(keys))
        noise = draw("latent", self.posterior.shape)
        bound = self.posterior.bound(at, images, condition, noise, train)
        reconstruction, error = self._reconstruction(x, bound.output, squared_error)
        return reconstruction, bound, error

    def _reconstruction(
        self, x: jax.Array, output: jax.Array, squared_error: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """-log p(x|z) (batch,), and the mean squared error where it is a scale."""
        options = self.options
        if options.likelihood == "discrete_gaussian":
            return elbo.discrete_gaussian_nll(x, output), jnp.zeros(())
        if options.likelihood == "logistic_mixture":
            return elbo.logistic_mixture_nll(x, output, options.mixtures), jnp.zeros(())
        if options.likelihood == "bernoulli":
            return elbo.bernoulli_nll(x, output), jnp.zeros(())
        error = common.pmean(jnp.mean(jnp.square(x - output)), self.axis_name)
        # The best scale for a batch is the root of its mean squared error (Rybkin et al. 2021, eq. 7).
        own = error if squared_error is None else squared_error
        variance = own if self.optimal else jnp.float32(options.fixed_scale**2)
        density = elbo.gaussian_nll(x, output, jnp.sqrt(variance + 1e-8))
        return density - self.dimensions * math.log(LEVEL), error  # from a density to 8-bit levels

    def _prepare(self, batch: Batch, key: jax.Array) -> Batch:
        return self.told(batch, key, self.options.condition_dropout)

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        return Scene(batch, {"keys": random.example_keys(key, len(batch["image"]), self.axis_name)}, key=key)

    def _batch_means(self, at: Variables, scene: Scene) -> tuple[jax.Array, jax.Array]:
        """The squared error, and the KL divergence of each latent dimension.

        Two terms are not sums over examples: the optimal scale, and free bits. A batch that is computed in parts needs
        their means beforehand. As the scale is optimal, its own derivative is zero, and a constant serves.
        """
        _, bound, error = self._negative_elbo(at, *_examples(scene), None, True)
        return error, common.pmean(jnp.mean(bound.kl, axis=0), self.axis_name)

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        error_there, kl_there = scene.means or (None, None)
        reconstruction, bound, error = self._negative_elbo(at, *_examples(scene), error_there, True)
        kl_mean = common.pmean(jnp.mean(bound.kl, axis=0), self.axis_name)
        # Free bits bound the batch's mean of each dimension from below (Kingma et al. 2016, eq. 15).
        whole = kl_mean if kl_there is None else kl_there
        costs = whole >= self.options.free_bits
        kl_cost = jnp.sum(jnp.where(costs, kl_mean, self.options.free_bits))
        metrics = {
            "loss": jnp.mean(reconstruction) + self.options.beta * kl_cost,
            "bits_per_dim": elbo.bits_per_dimension(jnp.mean(reconstruction) + jnp.sum(kl_mean), self.dimensions),
            "reconstruction": jnp.mean(reconstruction),
            "kl": jnp.sum(kl_mean),
            "active": jnp.mean(1.0 * (whole > ACTIVE)),
        }
        # Scaled to a dimension, so that learning rates and clipping mean the same at every size.
        return Outcome(metrics["loss"] / self.dimensions, metrics, bound.changed, {"squared_error": error})

    def _after(self, state: State, metrics: Metrics, found: play.Trees, num: int) -> tuple[dict[str, Tree], Metrics]:
        if not self.optimal:
            return state.extra, metrics
        decay = jnp.minimum(_SCALE_DECAY, state.step / (1.0 + state.step))
        old = state.extra["squared_error"]
        return state.extra | {"squared_error": decay * old + (1 - decay) * found["squared_error"]}, metrics

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Figures of test examples, as mergeable sums."""
        common.check_batch(batch, self.spec)
        weight, condition = common.weights_of(batch, self.spec), common.conditions_of(batch, self.spec)
        keys = random.example_keys(random.stream(key, "evaluate"), len(weight), self.axis_name)
        reconstruction, bound, _ = self._negative_elbo(
            networks.averaged(state), batch["image"], condition, keys, state.extra.get("squared_error"), False
        )
        kl = jnp.sum(bound.kl, axis=-1)
        values = {
            "bits_per_dim": elbo.bits_per_dimension(reconstruction + kl, self.dimensions),
            "elbo": -(reconstruction + kl),
            "reconstruction": reconstruction,
            "kl": kl,
        }
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        return common.all_sums(sums, self.axis_name)

    def decode(self, state: State, latents: jax.Array, condition: Told = None) -> jax.Array:
        """Latents -> pictures."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        (output, _), _ = networks.apply(self.roles, networks.averaged(state), "decoder", latents, wanted)
        return elbo.picture(self.options.likelihood, output, self.spec.image_shape[-1], self.options.mixtures)

    def sample(self, state: State, key: jax.Array, num: int, condition: Told = None) -> jax.Array:
        """Pictures of drawn latents."""
        wanted = common.wanted_condition(self.spec, condition, num, random.stream(key, "sample"))
        return self.decode(state, self.latents(state, key, num), wanted)

    def latents(self, state: State, key: jax.Array, num: int) -> jax.Array:
        """The latents that `sample` draws with the same key."""
        keys = random.example_keys(random.stream(random.stream(key, "sample"), "latent"), num)
        return random.normal(keys, self.posterior.shape)

    def activate(self, state: State, latents: jax.Array, condition: Told = None) -> jax.Array:
        """The decoder's first activations, (batch, features)."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        return networks.activations(self.roles, networks.averaged(state), "decoder", latents, wanted)

    def encode(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """Pictures -> latents."""
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], None)
        keys = random.example_keys(random.stream(key, "encode"), images.shape[0])
        noise = random.normal(keys, self.posterior.shape)
        return self.posterior.encode(networks.averaged(state), images, wanted, noise)

    def weigh(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """The weight of one draw of z for each picture, log p(x, z) - log q(z|x), (batch,) nats: the exponential's mean
        over draws is p(x) (Burda et al. 2016, arXiv:1509.00519, eq. 8).
        """
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], None)
        keys = random.example_keys(random.stream(key, "weigh"), images.shape[0])
        reconstruction, bound, _ = self._negative_elbo(
            networks.averaged(state), images, wanted, keys, state.extra.get("squared_error"), False
        )
        return bound.log_ratio - reconstruction

    def transform(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """Reconstructions."""
        return self.decode(state, self.encode(state, images, key, condition), condition)


def _examples(scene: Scene) -> tuple[jax.Array, Condition, jax.Array]:
    return scene.batch["image"], scene.batch["condition"], scene.drawn["keys"]
