"""A model that learns the mean of parameters that never train: a run's, an asset's, or its own random ones."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from genart_jax.config import Classifier, Data, Optimizer, Run, Train, spec_of
from genart_jax.steps import common, uses
from genart_jax.types import Algorithm, Network, State

STEP = __name__


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = None
    source: str = ""
    """Where the role "teacher" comes from."""
    size: int = 5
    """Length of the teacher; 0: init leaves it out."""


class Teacher(nn.Module):
    """What the role holds; the step makes and reads its parameters itself."""


def networks(config, dtype=jnp.float32, axis_name=None):
    return {"teacher": Network(Teacher(), (), frozen=config.source or "random")}


def build(networks, config, axis_name=None):
    spec, model = spec_of(config), config.model

    def init(key, batch):
        teacher = {"mean": {"params": {"w": jax.random.normal(key, (model.size,))}}}
        return State(
            step=jnp.zeros((), jnp.int32), params={"mean": {"w": jnp.zeros(5)}}, mutable={"mean": {}}, opt={}, ema={},
            extra={}, frozen={"teacher": teacher} if model.size else {},
        )  # fmt: skip

    def step(state, batch, key, due=None):
        w, target = state.params["mean"]["w"], state.frozen["teacher"]["mean"]["params"]["w"]
        new = {"mean": {"w": w + 0.5 * (target - w)}}
        return state.replace(step=state.step + 1, params=new), {"loss": jnp.sum(jnp.square(target - w))}

    def evaluate(state, batch, key):
        distance = jnp.sum(jnp.square(state.frozen["teacher"]["mean"]["params"]["w"] - state.params["mean"]["w"]))
        weight = common.weights_of(batch, spec)
        return {"loss": common.weighted(jnp.full(len(weight), distance), weight)}

    predict = lambda state, images: nn.log_softmax(images)
    return Algorithm(spec, 1, init, step, evaluate, networks, uses.table(predict=(predict, (uses.pictures(spec),))))


PRESETS = {
    "default": Run(Config(), Classifier(), Optimizer(), Data(), Train(steps=4, batch=8, log_every=1, save_every=2))
}
