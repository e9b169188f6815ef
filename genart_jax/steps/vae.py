"""The variational step: the evidence lower bound (Kingma & Welling 2013, eq. 7), and what else is made of its terms."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from genart_jax.config import Judged, Run, UserError, Vae
from genart_jax.data.media import is_volume
from genart_jax.losses import aggregate, elbo
from genart_jax.metrics.overlap import iou
from genart_jax.nn import random
from genart_jax.steps import common, judged, networks, play, posteriors, uses
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
    if isinstance(roles["decoder"].module, posteriors.ExtendingModule):
        images, frames = uses.beginning(made.spec)
        table |= uses.table(extend=(made.extend, (images, uses.KEY, condition, frames)))
    return made.algorithm(table, order=("reconstruction", "kl"))


class Variational(Family):
    """An encoder and a decoder, as a game of one player."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(judged.needed(roles, config), config, axis_name)
        self.options: Vae = config.step
        self.posterior, self.dimensions = posteriors.bind(self.roles), math.prod(self.spec.image_shape)
        self.gaussian = self.options.likelihood == "gaussian"
        self.optimal = self.gaussian and self.options.scale == "optimal"
        _check(config, self.posterior)
        moved = "encoder", "decoder"
        player = play.Player("vae", moved, self.loss, after=self._after, measure=self._batch_means)
        self.game = play.alone(player, config, axis_name, self._draw, self._prepare, self.options.ema_decay)
        if isinstance(config.step, Judged):
            self.game = judged.Game(self, config.step).game(self.game)

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

    def _bound(
        self,
        at: Variables,
        images: jax.Array,
        condition: Condition,
        keys: jax.Array,
        draws: int | None = None,
        weight: jax.Array | None = None,
    ) -> posteriors.Bound:
        """What the networks give at latents drawn by the keys: one an example in evaluation, in training `draws`."""
        several = () if draws in (None, 1) else (draws,)
        noise = random.normal(_streams(keys, "latent"), (*several, *self.posterior.shape))
        noise = noise.reshape(-1, *self.posterior.shape)
        asked = posteriors.Asked(images, condition, noise, draws is not None, weight)
        return self.posterior.bound(at, asked)

    def _negative_elbo(
        self,
        at: Variables,
        images: jax.Array,
        condition: Condition,
        keys: jax.Array,
        squared_error: jax.Array | None,
    ) -> tuple[jax.Array, posteriors.Bound]:
        """Reconstruction (batch,), and what the networks give, in evaluation."""
        bound = self._bound(at, images, condition, keys)
        return self._fit(images, keys, bound, squared_error)[0], bound

    def _fit(
        self, images: jax.Array, keys: jax.Array, bound: posteriors.Bound, squared_error: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """-log p(x|z) of each draw, and the mean squared error.

        `squared_error` is what the optimal scale is taken from; None: these examples' own.
        """
        x = self._pixels(images, _streams(keys, "pixels"))
        if draws := len(bound.output) // len(x) - 1:
            x = jnp.repeat(x, draws + 1, axis=0)
        return self._reconstruction(x, bound.output, squared_error)

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
        if self.options.objective != "elbo":  # of a bound by draws that derivative is not zero: a constant all the same
            error = jax.lax.stop_gradient(error)
        own = error if squared_error is None else squared_error
        variance = own if self.optimal else jnp.float32(options.fixed_scale**2)
        density = elbo.gaussian_nll(x, output, jnp.sqrt(variance + 1e-8))
        return density - self.dimensions * math.log(LEVEL), error  # from a density to 8-bit levels

    def _prepare(self, batch: Batch, key: jax.Array) -> Batch:
        return self.told(batch, key, self.options.condition_dropout)

    def _draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        keys = random.example_keys(key, len(batch["image"]), self.axis_name)
        return Scene(batch, {"keys": keys}, carried={"capacity": self._capacity(state.step)}, key=key)

    def _capacity(self, step: jax.Array) -> jax.Array:
        """Nats that the divergence is held at (Burgess et al. 2018, arXiv:1804.03599, eq. 8)."""
        over = self.options.capacity_steps or max(1, self.config.train.steps // 2)
        return self.options.capacity * jnp.minimum(1.0, step / over)

    def _batch_means(self, at: Variables, scene: Scene) -> tuple[jax.Array, jax.Array]:
        """The squared error, and the KL divergence of each latent dimension.

        Some terms are not sums over examples: the optimal scale, free bits, a capacity. A batch that is computed in
        parts needs their means beforehand. As the scale is optimal, its own derivative is zero, and a constant serves.
        """
        bound = self.passed(at, scene)
        _, error = self._fit(scene.batch["image"], scene.drawn["keys"], bound, None)
        return error, common.pmean(jnp.mean(bound.kl, axis=0), self.axis_name)

    def passed(self, at: Variables, scene: Scene, weight: jax.Array | None = None) -> posteriors.Bound:
        """What the networks give of a round's examples, in training; `weight` as in `posteriors.Asked`."""
        return self._bound(at, *_examples(scene), self.options.draws, weight)

    def loss(self, at: Variables, scene: Scene) -> Outcome:
        """What the player plays for."""
        weight = None
        if self.options.objective == "dreg":  # the same pass as the next: compiled once
            weight = self._weights(scene, self.passed(at, scene))
        return self.outcome(scene, self.passed(at, scene, weight))

    def made(self, at: Variables, scene: Scene) -> tuple[posteriors.Bound, play.Trees]:
        """See `judged.Autoencoder`."""
        bound = self.passed(at, scene)
        return bound._replace(changed={}), bound.changed

    def picture(self, made: posteriors.Bound) -> jax.Array:
        """See `judged.Autoencoder`."""
        return made.output

    def with_picture(self, made: posteriors.Bound, images: jax.Array) -> posteriors.Bound:
        """See `judged.Autoencoder`."""
        return made._replace(output=images)

    def again(self, at: Variables, scene: Scene, made: posteriors.Bound) -> jax.Array:
        """See `judged.Autoencoder`."""
        assert made.posterior is not None
        z = made.posterior[0].reshape(-1, *self.posterior.shape)
        (output, _), _ = networks.apply(self.roles, at, "decoder", z, scene.batch["condition"], train=True)
        images: jax.Array = output
        return images

    def _weights(self, scene: Scene, bound: posteriors.Bound) -> jax.Array:
        """The normalised weights of an example's draws, (batch * draws,), without gradient."""
        error, _ = scene.means or (None, None)
        log_weight = bound.log_ratio - self._fit(scene.batch["image"], scene.drawn["keys"], bound, error)[0]
        shares = jax.nn.softmax(log_weight.reshape(-1, self.options.draws), axis=-1)
        return jax.lax.stop_gradient(shares.reshape(-1))

    def outcome(self, scene: Scene, bound: posteriors.Bound) -> Outcome:
        """The loss of what the networks gave."""
        error_there, kl_there = scene.means or (None, None)
        reconstruction, error = self._fit(scene.batch["image"], scene.drawn["keys"], bound, error_there)
        kl_mean = common.pmean(jnp.mean(bound.kl, axis=0), self.axis_name)
        whole = kl_mean if kl_there is None else kl_there
        metrics = {
            "reconstruction": jnp.mean(reconstruction),
            "kl": jnp.sum(kl_mean),
            "active": jnp.mean(1.0 * (whole > ACTIVE)),
        }
        if self.options.objective == "elbo":
            cost, more = self._cost(scene, bound, kl_mean, whole)
            metrics |= more | {"loss": metrics["reconstruction"] + cost}
            nats = metrics["reconstruction"] + metrics["kl"]
        else:
            log_weight = (bound.log_ratio - reconstruction).reshape(-1, self.options.draws)
            metrics["loss"] = nats = jnp.mean(elbo.weighted_bound(log_weight))
        metrics["bits_per_dim"] = elbo.bits_per_dimension(nats, self.dimensions)
        # Scaled to a dimension, so that learning rates and clipping mean the same at every size.
        return Outcome(metrics["loss"] / self.dimensions, metrics, bound.changed, {"squared_error": error})

    def _cost(
        self, scene: Scene, bound: posteriors.Bound, kl_mean: jax.Array, whole: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """What is paid for the latents in nats, from the batch's mean divergences here and as a whole (parts,)."""
        o, metrics = self.options, dict[str, jax.Array]()
        # Free bits bound the batch's mean of each dimension from below (Kingma et al. 2016, eq. 15).
        free = lambda values: jnp.sum(jnp.where(whole >= o.free_bits, values, o.free_bits))
        cost = free(kl_mean)
        if o.capacity:
            metrics["capacity"] = scene.carried["capacity"]
            cost = jnp.sign(free(whole) - metrics["capacity"]) * (cost - metrics["capacity"])
        cost = o.beta * cost
        if not (o.total_correlation or o.mmd):
            return cost, metrics
        assert bound.posterior is not None
        z, mean, log_variance = bound.posterior
        if o.total_correlation:
            values = aggregate.total_correlation(z, *common.of_all((mean, log_variance), self.axis_name))
            metrics["total_correlation"] = jnp.mean(values)
            cost += o.total_correlation * metrics["total_correlation"]
        if o.mmd:
            drawn = random.normal(_streams(scene.drawn["keys"], "prior"), (o.draws, z.shape[1])).reshape(z.shape)
            values = aggregate.discrepancy(z, drawn, *common.of_all((z, drawn), self.axis_name))
            metrics["mmd"] = jnp.mean(values)
            cost += o.mmd * metrics["mmd"]
        return cost, metrics

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
        reconstruction, bound = self._negative_elbo(
            networks.averaged(state), batch["image"], condition, keys, state.extra.get("squared_error")
        )
        kl = jnp.sum(bound.kl, axis=-1)
        values = {
            "bits_per_dim": elbo.bits_per_dimension(reconstruction + kl, self.dimensions),
            "elbo": -(reconstruction + kl),
            "reconstruction": reconstruction,
            "kl": kl,
        }
        if is_volume(self.spec.image_shape):
            values["iou"] = iou(self._picture(bound.output), batch["image"])
        sums = {name: common.weighted(value, weight) for name, value in values.items()}
        return common.all_sums(sums, self.axis_name)

    def decode(self, state: State, latents: jax.Array, condition: Told = None) -> jax.Array:
        """Latents -> pictures."""
        wanted = common.wanted_condition(self.spec, condition, latents.shape[0], None)
        (output, _), _ = networks.apply(self.roles, networks.averaged(state), "decoder", latents, wanted)
        return self._picture(output)

    def _picture(self, output: jax.Array) -> jax.Array:
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

    def extend(
        self, state: State, images: jax.Array, key: jax.Array, condition: Told = None, frames: float | None = None
    ) -> jax.Array:
        """First frames -> videos of so many `frames`, a number that is static; None: as many as in training."""
        length = uses.number_of_frames(self.spec.image_shape[0] if frames is None else frames, images.shape[1])
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], None)
        keys = random.example_keys(random.stream(key, "extend"), images.shape[0])
        each = self.posterior.shape[0] // self.spec.image_shape[0]
        noise = [random.normal(random.stream(keys, "frame", t), (each,)) for t in range(length)]
        videos, _ = networks.apply(
            self.roles, networks.averaged(state), "decoder", jnp.concatenate(noise, axis=-1), images, wanted,
            method="extend",
        )  # fmt: skip
        return jnp.clip(videos, -1.0, 1.0)

    def weigh(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """The weight of one draw of z for each picture, log p(x, z) - log q(z|x), (batch,) nats: the exponential's mean
        over draws is p(x) (Burda et al. 2016, arXiv:1509.00519, eq. 8).
        """
        wanted = common.wanted_condition(self.spec, condition, images.shape[0], None)
        keys = random.example_keys(random.stream(key, "weigh"), images.shape[0])
        reconstruction, bound = self._negative_elbo(
            networks.averaged(state), images, wanted, keys, state.extra.get("squared_error")
        )
        return bound.log_ratio - reconstruction

    def transform(self, state: State, images: jax.Array, key: jax.Array, condition: Told = None) -> jax.Array:
        """Reconstructions."""
        return self.decode(state, self.encode(state, images, key, condition), condition)


def _examples(scene: Scene) -> tuple[jax.Array, Condition, jax.Array]:
    return scene.batch["image"], scene.batch["condition"], scene.drawn["keys"]


def _streams(keys: jax.Array, name: str) -> jax.Array:
    return jax.vmap(lambda key: random.stream(key, name))(keys)


def _check(config: Run, posterior: posteriors.One) -> None:
    """Raises UserError for options that have no meaning together."""
    o: Vae = config.step
    compared = [name for name in ("total_correlation", "mmd") if getattr(o, name)]
    named = ", ".join(name.replace("_", "-") for name in compared)
    if o.objective != "elbo" and (o.beta != 1 or o.free_bits or o.capacity or compared):
        raise UserError(
            f"step.objective {o.objective} weighs no divergence: leave beta at 1, and free-bits, capacity, "
            "total-correlation and mmd at 0"
        )
    if isinstance(posterior, posteriors.Layered) and (compared or o.objective == "dreg"):
        raise UserError(f"step: {named or 'objective dreg'} is of one latent, and {config.name} has layers of them")
    layered = isinstance(posterior, posteriors.Layered)
    if isinstance(o, Judged) and (o.likelihood != "gaussian" or o.objective != "elbo" or o.draws > 1 or layered):
        raise UserError(f"step: {config.name} has judges, which look at one picture: a gaussian likelihood of one draw")
    if compared and common.chunks_of(config) > 1:
        raise UserError(f"train.microbatch: step.{named} compares all examples of a batch; set it to 0")
