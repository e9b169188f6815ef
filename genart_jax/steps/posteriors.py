"""What the variational step asks of a VAE's networks: one latent for an example, or layers of them.

A decoder that is a `LayeredModule` draws layer by layer, each from a prior that depends on the layers above; in
training, from a posterior that also sees what the encoder made of the picture. Its latents are all layers' standard
normal numbers, one after the other, so that "decode" and all that moves latents works as with one.

The layers of a video's may be its frames, each given those before it. Where these are the real ones in training, a
decoder's "latents" are those by which its own frames would be.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp

from genart_jax.losses import elbo
from genart_jax.steps import networks
from genart_jax.steps.networks import Networks
from genart_jax.types import Condition, Tree, Variables

T = TypeVar("T")


@runtime_checkable
class LayeredModule(Protocol):
    """A decoder (noise, condition, maps) -> output, whose intermediates have, with the encoder's maps, "kl" (batch,
    layers), "log_ratio" as `Bound` has it, and "latents": the noise from which it decodes the same without them.
    """

    layered: bool


@runtime_checkable
class ExtendingModule(Protocol):
    """A decoder of videos, each frame from those before it; its latents are the noise of each frame in turn."""

    def extend(self, noise: jax.Array, images: jax.Array, condition: Condition) -> jax.Array:
        """Videos as long as there is noise for, which begin with `images` (batch, frames, height, width, channels)."""


class Asked(NamedTuple):
    """What a pass is of.

    Attributes:
      images: (batch, ...) in [-1, 1].
      condition: what the networks are told.
      noise: (batch * draws, *shape): what the latents are made of, a picture's draws one after the other.
      train: whether the networks are in training.
      weight: (batch * draws,), or None; of one latent alone. With it the gradient by way of a latent is multiplied by
        it, and `log_ratio` has none by way of the posterior's own parameters: with the normalised weights of draws, the
        encoder's gradient of a sum so weighed is the doubly reparametrised one (Tucker et al. 2019, arXiv:1810.04152,
        eq. 8).
    """

    images: jax.Array
    condition: Condition
    noise: jax.Array
    train: bool
    weight: jax.Array | None = None


class Bound(NamedTuple):
    """What one pass gives of a batch.

    Attributes:
      output: numbers of each pixel, for the likelihood.
      kl: (batch, parts): KL divergences, by dimension of one latent, or by layer.
      log_ratio: (batch,): log p(z) - log q(z | picture) at what was drawn.
      changed: the networks' collections by role.
      posterior: z, mean and log variance, (batch, latent) each, of a model with one latent.

    With several draws of each picture all have a row each, a picture's one after the other.
    """

    output: jax.Array
    kl: jax.Array
    log_ratio: jax.Array
    changed: dict[str, Tree]
    posterior: tuple[jax.Array, jax.Array, jax.Array] | None = None


@jax.custom_vjp
def weighed(z: jax.Array, weight: jax.Array) -> jax.Array:
    """Latents (batch, ...) as they are, their gradient times `weight` (batch,)."""
    return z


def _back(weight: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    return gradient * weight.reshape(-1, *[1] * (gradient.ndim - 1)), jnp.zeros_like(weight)


weighed.defvjp(lambda z, weight: (z, weight), _back)


def _repeated(tree: T, draws: int) -> T:
    """Each example as often as it is drawn, neighbours."""
    return tree if draws == 1 else jax.tree.map(lambda x: jnp.repeat(x, draws, axis=0), tree)


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

    def bound(self, at: Variables, asked: Asked) -> Bound:
        """At the latents that the noise makes."""
        images, condition, noise, train, weight = asked
        mean, log_variance, enc = self._posterior(at, images, condition, train)
        mean, log_variance, condition = _repeated((mean, log_variance, condition), len(noise) // len(images))
        z, length = mean + jnp.exp(0.5 * log_variance) * noise, jnp.square(noise)
        spread = log_variance
        if weight is not None:
            z, fixed, spread = weighed(z, weight), *jax.lax.stop_gradient((mean, log_variance))
            length = jnp.square(z - fixed) * jnp.exp(-spread)
        (output, _), dec = networks.apply(self.roles, at, "decoder", z, condition, train=train)
        flat = lambda x: x.reshape(x.shape[0], -1)
        ratio = 0.5 * jnp.sum(flat(length + spread - jnp.square(z)), axis=-1)
        posterior = flat(z), flat(mean), flat(log_variance)
        return Bound(output, elbo.kl_normal(*posterior[1:]), ratio, {"encoder": enc, "decoder": dec}, posterior)

    def encode(self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array) -> jax.Array:
        """Latents of pictures, (batch, *shape)."""
        mean, log_variance, _ = self._posterior(at, images, condition, train=False)
        return mean + jnp.exp(0.5 * log_variance) * noise


class Layered(One):
    """Layers of latents; see `LayeredModule`."""

    def _passed(self, at: Variables, asked: Asked) -> tuple[jax.Array, dict[str, jax.Array], dict[str, Tree]]:
        images, condition, noise, train, _ = asked
        (maps, _), enc = networks.apply(self.roles, at, "encoder", images, condition, train=train)
        maps, condition = _repeated((maps, condition), len(noise) // len(images))
        (output, aux), dec = networks.apply(self.roles, at, "decoder", noise, condition, maps, train=train)
        return output, aux, {"encoder": enc, "decoder": dec}

    def bound(self, at: Variables, asked: Asked) -> Bound:
        """See `One.bound`; without a weight."""
        output, aux, changed = self._passed(at, asked)
        return Bound(output, aux["kl"], aux["log_ratio"], changed)

    def encode(self, at: Variables, images: jax.Array, condition: Condition, noise: jax.Array) -> jax.Array:
        """See `One.encode`."""
        return self._passed(at, Asked(images, condition, noise, train=False))[1]["latents"]


def bind(roles: Networks) -> One:
    """What a model's decoder offers."""
    return (Layered if isinstance(roles["decoder"].module, LayeredModule) else One)(roles)
