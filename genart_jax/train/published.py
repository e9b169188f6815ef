"""A file of published weights in the place of a run: to sample from, and to take parameters from.

Nothing says which data its networks have seen, so what needs that (evaluation, say) asks for a run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp

from genart_jax import registry
from genart_jax.api import build
from genart_jax.assets import stylegan2
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import Run, UserError
from genart_jax.config.saved import Saved
from genart_jax.runtime.paths import expanded
from genart_jax.types import Algorithm, State

AGE = 1_000_000
"""Steps that such networks are taken to have behind them, so that a moving average does not forget them."""


def is_file(path: str | Path) -> bool:
    """Whether a path is a file of weights rather than a run directory."""
    return expanded(path).is_file()


def read(path: str | Path) -> tuple[Run, State]:
    """The configuration that a `.safetensors` file of a published StyleGAN2 says, and its state without an optimizer.

    Raises:
      UserError: another file; says what is wrong with it.
    """
    path = expanded(path)
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: wanted a run directory, or published weights as .safetensors (docs/gans.md)")
    found = stylegan2.read(read_tensors(path), str(path))
    run = registry.get_config("stylegan2")
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, **found.options))
    live = {"generator": dict(found.generator)} | ({"critic": dict(found.critic)} if found.critic else {})
    params = {role: variables.pop("params") for role, variables in live.items()}
    state = State(jnp.zeros((), jnp.int32), params, live, {}, {"generator": dict(found.average)}, {})
    return run, state


def model(path: str | Path) -> tuple[Algorithm, State]:
    """The algorithm of a file's networks and their state, on the default device."""
    run, state = read(path)
    return build(run), jax.device_put(state, jax.devices()[0])


def words(path: str | Path) -> str:
    """The options of `genart train stylegan2` that build a file's networks."""
    model = read(path)[0].model
    names = (
        "latent_dim",
        "style_dim",
        "mapping_layers",
        "critic_mapping_layers",
        "channel_base",
        "channel_max",
        "critic",
    )
    return " ".join(f"--model.{name.replace('_', '-')} {getattr(model, name)}" for name in names)


def described(path: str | Path) -> Saved:
    """What config.json would hold, were the file a run."""
    run, _ = read(path)
    names = {name: [str(i) for i in range(classes)] for name, classes in run.model.conditions}
    return Saved(run, {"class_names": names, "condition_table": []})
