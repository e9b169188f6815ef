"""The adversarial step in the latents of a first stage, whose parameters are frozen.

Both players see latents as the first stage encodes pictures, by the means of its posteriors, from which the first
batch's mean is taken and which are divided by its deviation (Rombach et al. 2022, arXiv:2112.10752, appendix G, has the
deviation). Pictures are what the first stage decodes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.config import Run, UserError
from genart_jax.steps import common, gan, networks, posteriors, stages
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Network, State, Tree, untold


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm of a `generator` and a `critic` of latents."""
    made = LatentAdversarial(roles, config, axis_name)
    return gan.algorithm_of(made, made.begin)


class LatentAdversarial(gan.Adversarial):
    """A generator against a critic, of latents."""

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        if config.step.augment != "none":
            raise UserError(
                f"step.augment {config.step.augment}: {config.name} sees latents, no pictures; leave it out"
            )
        first = FirstStage(stages.algorithm_of(stages.first_stage(config.model.tokenizer_config)))
        whole = Network(first, (), stages.frozen(config.model))
        super().__init__({**roles, "tokenizer": whole}, config, axis_name)

    def extra(self) -> dict[str, Tree]:
        """The first batch's mean and deviation, of all numbers."""
        return super().extra() | {"latent_mean": jnp.zeros(()), "latent_scale": jnp.ones(())}

    def begin(self, state: State, batch: Batch) -> State:
        """The state with the units of the first batch's latents."""
        z, _ = networks.run(self.roles, state.variables, "tokenizer", batch["image"])
        return state.replace(extra={**state.extra, "latent_mean": jnp.mean(z), "latent_scale": jnp.std(z) + 1e-6})

    def judged(self, state: State, images: jax.Array) -> jax.Array:
        """Latents of pictures, in units of the first batch."""
        z, _ = networks.run(self.roles, state.variables, "tokenizer", images)
        units: jax.Array = (z - state.extra["latent_mean"]) / state.extra["latent_scale"]
        return units

    def drawn(self, state: State, made: jax.Array) -> jax.Array:
        """Pictures of latents."""
        z = made * state.extra["latent_scale"] + state.extra["latent_mean"]
        images: jax.Array
        images, _ = networks.apply(self.roles, state.variables, "tokenizer", z, method="decode")[0]
        return images


class FirstStage:
    """A whole VAE as one network: pictures -> (the means of their posteriors, {}), and back with method="decode"."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.posterior = posteriors.bind(algorithm.networks)

    def init(self, key: jax.Array) -> dict[str, Tree]:
        """Role -> variables, at random."""
        spec = self.algorithm.batch_spec
        example = {"image": jnp.zeros((2, *spec.image_shape)), "condition": untold(spec.conditions)}
        return common.lend(self.algorithm.init(key, example))

    def apply(self, variables: dict[str, Tree], x: jax.Array, method: str = "encode") -> tuple[jax.Array, Tree]:
        """Pictures or latents (batch, ...) -> the other."""
        state = common.borrow(variables)
        if method == "encode":
            noise = jnp.zeros((len(x), *self.posterior.shape))
            return self.posterior.encode(state.variables, x, {}, noise), {}
        decode = self.algorithm.decode
        assert decode is not None
        return decode(state, x), {}
