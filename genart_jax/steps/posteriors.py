"""What the variational step asks of a VAE's networks: one latent for an example, or layers of them.

A decoder that is a `LayeredModule` draws layer by layer, each from a prior that depends on the layers above; in
training, from a posterior that also sees what the encoder made of the picture. Its latents are all layers' standard
normal numbers, one after the other, so that "decode" and all that moves latents works as with one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from genart_jax.losses import elbo
from genart_jax.steps import networks
from genart_jax.steps.networks import Networks
from genart_jax.types import Condition, Tree, Variables


@runtime_checkable
class LayeredModule(Protocol):
    """A decoder (noise, condition, maps) -> output, whose intermediates have, with the encoder's maps, "kl" (batch,
    layers), "log_ratio" as `Bound` has it, and "latents": the noise from which it decodes the same without them.
    """

    layered: bool


class Bound(NamedTuple):
    """What one pass gives of a batch.

    Attributes:
      output: numbers of each pixel, for the likelihood.
      kl: (batch, parts): KL divergences, by dimension of one latent, or by layer.
      log_ratio: (batch,): log p(z) - log q(z | picture) at what was drawn.
      changed: the networks' collections by role.
    """

    output: jax.Array
    kl: jax.Array
    log_ratio: jax.Array
    changed: dict[str, Tree]


class One:
    """One latent, a vector or a map, of a standard normal."""

    def __init__(self, roles: Networks) -> None:
        self.roles = roles
        inputs = roles["decoder"].inputs
        (latents, *_) = jax.eval_shape(inputs if callable(inputs) else lambda: inputs)
        self.shape: tuple[int, ...] = tuple(latents.shape[1:])

    def _posterior(
        self, at: Variables, images: jax.Array, condition: Condition, train: bool
    ) -> tuple[jax.Array, jax.Array, Tree]:
        ((mean, log_variance), _), changed = networks.apply(self.roles, at, "encoder", images, condition, train=train)
        return mean, log_variance, changed

    def bound(self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array, train: bool) -> Bound:
        """At the latents that `noise` (batch, *shape) makes."""
        mean, log_variance, enc = self._posterior(at, images, condition, train)
        z = mean + jnp.exp(0.5 * log_variance) * noise
        (output, _), dec = networks.apply(self.roles, at, "decoder", z, condition, train=train)
        flat = lambda x: x.reshape(x.shape[0], -1)
        ratio = 0.5 * jnp.sum(flat(jnp.square(noise) + log_variance - jnp.square(z)), axis=-1)
        return Bound(output, elbo.kl_normal(flat(mean), flat(log_variance)), ratio, {"encoder": enc, "decoder": dec})

    def encode(self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array) -> jax.Array:
        """Latents of pictures, (batch, *shape)."""
        mean, log_variance, _ = self._posterior(at, images, condition, train=False)
        return mean + jnp.exp(0.5 * log_variance) * noise


class Layered(One):
    """Layers of latents; see `LayeredModule`."""

    def _passed(
        self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array, train: bool
    ) -> tuple[jax.Array, dict[str, jax.Array], dict[str, Tree]]:
        (maps, _), enc = networks.apply(self.roles, at, "encoder", images, condition, train=train)
        (output, aux), dec = networks.apply(self.roles, at, "decoder", noise, condition, maps, train=train)
        return output, aux, {"encoder": enc, "decoder": dec}

    def bound(self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array, train: bool) -> Bound:
        """See `One.bound`."""
        output, aux, changed = self._passed(at, images, condition, noise, train)
        return Bound(output, aux["kl"], aux["log_ratio"], changed)

    def encode(self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array) -> jax.Array:
        """See `One.encode`."""
        return self._passed(at, images, condition, noise, train=False)[1]["latents"]


def bind(roles: Networks) -> One:
    """What a model's decoder offers."""
    return (Layered if isinstance(roles["decoder"].module, LayeredModule) else One)(roles)
