"""A classifier of K classes that is a GAN's critic too: its answer to "real?" is a class K + 1 that has score 0.

Salimans et al. 2016, "Improved techniques for training GANs", arXiv:1606.03498, section 5: with Z the sum of exp(score)
over the K classes, D(x) = Z / (Z + 1). Labelled pictures (label of 0 and more) teach classes, all of them and generated
ones teach D; the generator matches the mean of the classifier's last features (section 3.1).

For `benchmarks.gan_augmentation`: a model and its step, as docs/extending.md has them; it is no model of the zoo.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from genart_jax import Network
from genart_jax.config import Data, Gan, Optimizer, Run, Train, scores_of
from genart_jax.nn import random
from genart_jax.nn.conv import Conv
from genart_jax.nn.pool import max_pool
from genart_jax.nn.resample import upsample
from genart_jax.steps import common, play, uses
from genart_jax.steps import networks as bound
from genart_jax.steps.family import Family
from genart_jax.steps.networks import Networks
from genart_jax.types import Algorithm, Batch, Outcome, Output, Scene, State, Sums, Tree, Variables

STEP = "benchmarks.semi_gan"
Condition = Mapping[str, jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Config:
    """Both networks; sides of the pictures are multiples of 4."""

    image_shape: tuple[int, ...] | None = None
    label: str | None = None
    conditions: tuple[tuple[str, int], ...] | tuple[str, ...] | None = None
    latent_dim: int = 64
    width: int = 32


class Generator(nn.Module):
    """Latents (batch, latent_dim) -> pictures."""

    config: Config

    @nn.compact
    def __call__(self, z: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """By a dense layer at a quarter of the side, and two doublings."""
        height, width, channels = self.config.image_shape or ()
        base = height // 4, width // 4, 2 * self.config.width
        x = nn.Dense(math.prod(base), use_bias=False)(z).reshape(-1, *base)
        for features in (self.config.width, self.config.width // 2):
            x = nn.relu(nn.BatchNorm(not train, momentum=0.9)(x))
            x = Conv(features, (3, 3), use_bias=False)(upsample(x))
        x = nn.relu(nn.BatchNorm(not train, momentum=0.9)(x))
        return jnp.tanh(Conv(channels, (3, 3))(x)), {}


class Classifier(nn.Module):
    """Pictures -> a score of each class."""

    config: Config

    @nn.compact
    def __call__(self, images: jax.Array, condition: Condition = None, train: bool = False) -> Output:
        """Also returns `features` (batch, 4 width)."""
        x = images
        for i in range(3):
            x = max_pool(nn.leaky_relu(Conv(self.config.width * 2**i, (3, 3))(x), 0.2), (2, 2), (2, 2))
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(scores_of(self.config.conditions))(x), {"features": x}


def networks(config: Config, dtype: object = jnp.float32, axis_name: str | None = None) -> dict[str, Network]:
    """By role."""
    return {
        "generator": Network(Generator(config), lambda: (jnp.zeros((2, config.latent_dim)),)),
        "classifier": Network(Classifier(config), lambda: (jnp.zeros((2, *(config.image_shape or ()))),)),
    }


class Semi(Family):
    """The classifier against the generator."""

    trained_first = True

    def __init__(self, roles: Networks, config: Run, axis_name: str | None) -> None:
        super().__init__(roles, config, axis_name)
        ((self.label, _),) = self.spec.conditions
        players = (
            play.Player("classifier", ("classifier",), self.classifier_loss),
            play.Player("generator", ("generator",), self.generator_loss),
        )
        optimizers = {player.name: common.optimizer_of(config) for player in players}
        self.game = play.Game(
            players, optimizers, self.draw, make=self.make, averaged=("classifier",),
            decay=lambda age, images: common.ema_decay(0.99, age), axis_name=axis_name,
        )  # fmt: skip

    def draw(self, state: State, batch: Batch, key: jax.Array) -> Scene:
        """Latents of a round."""
        keys = random.example_keys(random.stream(key, "latent"), len(batch["image"]), self.axis_name)
        return Scene(batch, {"z": random.normal(keys, (self.config.model.latent_dim,))}, key=key)

    def make(self, at: Variables, scene: Scene) -> tuple[Tree, dict[str, Tree]]:
        """Generated pictures."""
        (images, _), changed = bound.apply(self.roles, at, "generator", scene.drawn["z"], train=True)
        return {"fake": images}, {"generator": changed}

    def classifier_loss(self, at: Variables, scene: Scene) -> Outcome:
        """Cross entropy of what is labelled, and softplus of log Z for real and generated pictures."""
        real, fake = (bound.run(self.roles, at, "classifier", x)[0] for x in (scene.batch["image"], scene.made["fake"]))
        labels = scene.batch["condition"][self.label]
        known = labels >= 0
        named = optax.softmax_cross_entropy_with_integer_labels(real, jnp.maximum(labels, 0))
        named = jnp.where(known, named, 0.0) / jnp.maximum(jnp.mean(known), 1e-8)
        z = jax.nn.logsumexp(real, axis=-1)
        values = named + 0.5 * (jax.nn.softplus(z) - z) + 0.5 * jax.nn.softplus(jax.nn.logsumexp(fake, axis=-1))
        return Outcome(values, {"loss": jnp.mean(values), "label_loss": jnp.mean(named)})

    def generator_loss(self, at: Variables, scene: Scene) -> Outcome:
        """The squared distance of mean features."""
        means = [
            jnp.mean(bound.run(self.roles, at, "classifier", x, capture=("features",))[1]["features"], axis=0)
            for x in (scene.batch["image"], scene.made["fake"])
        ]
        value = jnp.mean(jnp.square(means[0] - means[1]))
        return Outcome(value, {"generator_loss": value})

    def _scores(self, state: State, images: jax.Array) -> jax.Array:
        scores: jax.Array = bound.run(self.roles, bound.averaged(state), "classifier", images)[0]
        return scores

    def evaluate(self, state: State, batch: Batch, key: jax.Array) -> Sums:
        """Accuracy on labelled test pictures."""
        labels, weight = batch["condition"][self.label], common.weights_of(batch, self.spec)
        right = 1.0 * (jnp.argmax(self._scores(state, batch["image"]), axis=-1) == labels)
        return common.all_sums({"accuracy": common.weighted(right, weight)}, self.axis_name)

    def predict(self, state: State, images: jax.Array) -> jax.Array:
        """Log probabilities of the K classes."""
        return jax.nn.log_softmax(self._scores(state, images))


def build(roles: Networks, config: Run, axis_name: str | None = None) -> Algorithm:
    """The algorithm."""
    made = Semi(roles, config, axis_name)
    return made.algorithm(uses.table(predict=(made.predict, (uses.pictures(made.spec),))))


PRESETS = {
    "default": Run(
        Config(), Gan(), Optimizer(learning_rate=5e-4, b1=0.5), Data(flip=True, crop=2), Train(steps=2000, batch=64)
    ),
}
