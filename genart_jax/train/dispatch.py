"""Steps on their way to the device: what is compiled for a run, and what each call hands over."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from genart_jax.config import Run
from genart_jax.data.pipeline import Loader, prepare
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.train import parallel
from genart_jax.types import Algorithm, Batch, Metrics, State, Tree


class Trained(Protocol):
    """What a trainer holds that a step takes: the state, the run's key, and the devices."""

    state: State
    key: jax.Array
    mesh: Mesh


def over_members(function: Callable[..., Batch], algorithm: Algorithm) -> Callable[..., Batch]:
    """`function(raw, key)` of one run's batch, for the batches of a sweep's members, (batch, members, ...)."""
    return jax.vmap(function, in_axes=(1, 0), out_axes=1) if algorithm.members else function


def make_dispatch(
    algorithm: Algorithm, loader: Loader, run: Run, place: tuple[Mesh, Tree] | None = None
) -> Callable[[Trained, int, int], tuple[State, Metrics]]:
    """One compiled form for the whole run: single steps with static `due`, or a loop over several.

    The two differ by rounding, so a run never mixes them. `place`: the mesh, and the state's layout there.

    Returns:
      A function (trainer, step, count) -> (state, metrics): `count` steps from `step` on, of the trainer's state.
    """

    def ready(raw: Batch, key: jax.Array) -> Batch:
        return prepare(raw, random.example_keys(key, len(raw["image"])), run.data, algorithm.batch_spec.fields)

    def one(
        state: State, constants: Tree, payload: Tree, key: jax.Array, due: tuple[str, ...] | None
    ) -> tuple[State, Metrics]:
        raw = loader.materialize(constants, payload)
        stream = random.stream(key, "augment", state.step)
        batch = over_members(ready, algorithm)(raw, stream)
        step = lambda state: algorithm.step(state, batch, key, due)
        return parallel.partitioned(step, *place)(state) if place else step(state)

    group = run.train.steps_per_dispatch
    due = None if algorithm.lazy else ()

    def several(
        state: State, constants: Tree, payloads: Tree, key: jax.Array, count: jax.Array
    ) -> tuple[State, Metrics]:
        def body(i: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
            state, metrics = one(carry[0], constants, jax.tree.map(lambda x: x[i], payloads), key, due)
            return state, jax.tree.map(lambda all_, new: all_.at[i].set(new), carry[1], metrics)

        first = jax.tree.map(lambda x: x[0], payloads)
        shapes = jax.eval_shape(lambda: one(state, constants, first, key, due)[1])
        metrics = jax.tree.map(lambda s: jnp.zeros((group, *s.shape), s.dtype), shapes)
        # A loop of a length that only the device knows: the last, shorter group runs the same program.
        return jax.lax.fori_loop(0, count, body, (state, metrics))

    single = compiler.jit(one, donate_argnums=0, static_argnames="due")
    looped = compiler.jit(several, donate_argnums=0)

    def placed(trainer: Trained, payload: Tree, axis: int) -> Tree:
        # One device needs no placing: the call itself does it, at a tenth of the cost to the host.
        if trainer.mesh.size == 1:
            return payload
        return parallel.put(payload, parallel.batch_sharding(trainer.mesh, axis))

    def dispatch(trainer: Trained, step: int, count: int) -> tuple[State, Metrics]:
        if group == 1:
            payload = placed(trainer, loader.next(step), 0)
            return single(trainer.state, loader.constants, payload, trainer.key, due=algorithm.due(step))
        payloads = [loader.next(s) for s in range(step, step + count)]
        payloads += payloads[-1:] * (group - count)
        payload = placed(trainer, jax.tree.map(lambda *leaves: np.stack(leaves), *payloads), 1)
        return looped(trainer.state, loader.constants, payload, trainer.key, np.int32(count))

    return dispatch


@functools.partial(jax.jit, donate_argnums=0)
def advance(state: State) -> State:
    """The state after a step that is left out."""
    return state.replace(step=state.step + 1)


def crossed(step: int, count: int, every: int) -> bool:
    """Whether a multiple of `every` lies in the last `count` steps up to `step`."""
    return every > 0 and step // every > (step - count) // every
