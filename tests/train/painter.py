"""A toy family that needs a target: it learns what to make of a picture, pixel by pixel."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, spec_of
from genart_jax.nn import random
from genart_jax.steps import common, play
from genart_jax.steps import networks as bound
from genart_jax.types import Algorithm, Network, Outcome, Scene


class Map(nn.Module):
    """Pictures -> pictures, pixel by pixel."""

    @nn.compact
    def __call__(self, images, train=False):
        return jnp.tanh(nn.Dense(images.shape[-1])(images)), {}


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = None
    target_shape: tuple[int, ...] | None = None


STEP = __name__
PRESETS = {"default": Run(Config(), Classifier(), Optimizer(), Data(), Train(batch=8, log_every=1, save_every=2))}


def networks(config, dtype=jnp.float32, axis_name=None):
    return {"painter": Network(Map(), (jnp.zeros((2, *config.image_shape)),))}


def built(spec, roles, game, evaluated, show):
    """The algorithm of a game whose test figures and pictures these functions give."""

    def init(key, batch):
        common.check_batch(batch, spec)
        made, frozen = bound.init(roles, random.stream(key, "init"))
        return play.start(game, made, frozen=frozen)

    def step(state, batch, key, due=None):
        common.check_batch(batch, spec)
        return play.step(game, state, batch, key, due)

    def evaluate(state, batch, key):
        weight = common.weights_of(batch, spec)
        return {name: common.weighted(x, weight) for name, x in evaluated(bound.averaged(state), batch).items()}

    return Algorithm(spec, 1, init, step, evaluate, roles, show=show)


def applied(roles, at, role, images):
    return bound.apply(roles, at, role, images)[0][0]


def distance(a, b):
    return jnp.mean(jnp.abs(a - b), axis=(1, 2, 3))


def build(roles, config, axis_name=None):
    """The painter: the mean absolute difference to the target (Isola et al. 2017 without their critic)."""
    spec = spec_of(config)

    def painted(at, batch):
        return applied(roles, at, "painter", batch["image"])

    def loss(at, scene):
        values = distance(painted(at, scene.batch), scene.batch["target"])
        return Outcome(values, {"l1": jnp.mean(values)})

    game = play.Game(
        (play.Player("painter", ("painter",), loss),), {"painter": common.optimizer_of(config)},
        lambda state, batch, key: Scene(batch, {}, key=key), axis_name=axis_name,
    )  # fmt: skip

    def show(state, batch, key):
        output = painted(bound.averaged(state), batch)
        return {"input": batch["image"], "output": output, "target": batch["target"]}

    return built(spec, roles, game, lambda at, batch: {"l1": distance(painted(at, batch), batch["target"])}, show)
