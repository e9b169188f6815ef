"""The first state of a model, without the trainer."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.train.checkpoint import batch_shapes, load_frozen
from genart_jax.types import Algorithm, Batch, State

_QUICKLY: dict[str, str | bool | int] = {"xla_backend_optimization_level": 0}
"""Each random array is a loop of its own for LLVM to optimise, for seconds; unoptimised it runs for milliseconds."""


def init(algorithm: Algorithm, key: jax.Array, batch: Batch | None = None) -> State:
    """The first state of a model: what `algorithm.init` and `algorithm.begin` give, compiled, and kept on the disk.

    `algorithm.init` itself, operation by operation, compiles a program for every shape. Parameters that never train are
    loaded as the trainer loads them. The numbers are the trainer's of the same key, to rounding.

    Args:
      algorithm: what `build` gives.
      key: of `jax.random`.
      batch: the first training batch; needed where the algorithm takes something from data (it has `begin`), otherwise
        its form is checked, if it is given.

    Raises:
      UserError: a batch of another form, none where one is needed, or parameters that never train are not there.
    """
    if algorithm.begin is not None and batch is None:
        raise UserError("init: this model takes something from its first batch; give ga.init(algorithm, key, batch)")
    given = _zeros(algorithm) if batch is None else batch
    state: State = _compiled(algorithm.init)(key, given)
    if algorithm.frozen:
        state = state.replace(frozen=state.frozen | load_frozen(algorithm))
    if algorithm.begin is not None:
        state = _compiled(algorithm.begin)(state, given)
    return state


def _zeros(algorithm: Algorithm) -> Batch:
    shapes = batch_shapes(algorithm.batch_spec, 2 * algorithm.batches_per_step)
    zeros: Batch = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return zeros


@functools.lru_cache(maxsize=8)
def _compiled(function: Callable[..., State]) -> Callable[..., State]:
    """Once for a model whose first state is made several times, as with other keys."""
    compiled: Callable[..., State] = compiler.jit(function, once=True, compiler_options=dict(_QUICKLY))
    return compiled
