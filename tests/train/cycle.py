"""A toy family that takes two unpaired sets: a map each way and a critic on each side, two players over four roles."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, spec_of
from genart_jax.steps import common, play
from genart_jax.steps import networks as bound
from genart_jax.types import Network, Outcome, Scene
from tests.train.painter import Map, applied, built, distance

STEP = __name__
softplus = jax.nn.softplus


class Critic(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(1)(jnp.tanh(nn.Dense(8)(images)).mean(axis=(1, 2)))[:, 0], {}


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = None
    other_shape: tuple[int, ...] | None = None


PRESETS = {"default": Run(Config(), Classifier(), Optimizer(), Data(), Train(batch=8, log_every=1, save_every=2))}


def networks(config, dtype=jnp.float32, axis_name=None):
    image, other = (jnp.zeros((2, *shape)) for shape in (config.image_shape, config.other_shape))
    return {
        "there": Network(Map(), (image,)),
        "back": Network(Map(), (other,)),
        "critic_image": Network(Critic(), (image,)),
        "critic_other": Network(Critic(), (other,)),
    }


def build(roles, config, axis_name=None):
    """Zhu et al. 2017 in small: both ways there and round, under the non-saturating loss."""
    spec = spec_of(config)
    sides = "image", "other"

    def make(at, scene):
        there, back = (lambda x, role=role: applied(roles, at, role, x) for role in ("there", "back"))
        other, image = there(scene.batch["image"]), back(scene.batch["other"])
        return {"other": other, "image": image, "image_round": back(other), "other_round": there(image)}, {}

    def criticised(at, scene):
        score = lambda side, x: applied(roles, at, f"critic_{side}", x)
        values = sum(softplus(-score(s, scene.batch[s])) + softplus(score(s, scene.made[s])) for s in sides)
        return Outcome(values, {"critics_loss": jnp.mean(values)})

    def mapped(at, scene):
        fooled = sum(softplus(-applied(roles, at, f"critic_{s}", scene.made[s])) for s in sides)
        cycle = sum(distance(scene.made[f"{s}_round"], scene.batch[s]) for s in sides)
        return Outcome(fooled + 10.0 * cycle, {"cycle": jnp.mean(cycle)})

    players = (
        play.Player("critics", ("critic_image", "critic_other"), criticised),
        play.Player("maps", ("there", "back"), mapped),
    )
    game = play.Game(
        players, {player.name: common.optimizer_of(config) for player in players},
        lambda state, batch, key: Scene(batch, {}, key=key), make=make,
        averaged=("there", "back"), decay=lambda age, images: jnp.float32(0.9), axis_name=axis_name,
    )  # fmt: skip

    def evaluated(at, batch):
        made, _ = make(at, Scene(batch, {}))
        return {"cycle": sum(distance(made[f"{side}_round"], batch[side]) for side in sides)}

    def show(state, batch, key):
        there = applied(roles, bound.averaged(state), "there", batch["image"])
        return {"input": batch["image"], "output": there}

    return built(spec, roles, game, evaluated, show)
