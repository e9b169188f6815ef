"""What a run is guarded against: numbers that are no longer finite, and being told to stop."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils

from genart_jax.config import NotFiniteError, Run
from genart_jax.data.pipeline import Loader
from genart_jax.types import Tree

SLOWER = 0.3  # of the learning rate, after a rollback: most runs that diverge are within a factor of three


@jax.jit
def _finite(leaves: list[jax.Array]) -> list[jax.Array]:
    return [jnp.all(jnp.isfinite(leaf)) for leaf in leaves]


def not_finite(tree: Tree) -> list[str]:
    """The paths of a state's or a batch's leaves that hold NaN or infinity; about one reading of them."""
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    flags = jax.device_get(_finite(list(leaves.values())))
    return [path for path, good in zip(leaves, flags, strict=True) if not good]


def bad_batch(loader: Loader, step: int) -> list[str]:
    """What is not finite in a step's batch; integers, as pictures at rest are, always are."""
    args = loader.constants, loader.next(step)
    shapes = jax.tree.leaves(jax.eval_shape(loader.materialize, *args))
    if not any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in shapes):
        return []
    return not_finite(loader.materialize(*args))


def not_finite_error(step: int, what: str, tried: str, good: Sequence[int], directory: Path) -> NotFiniteError:
    """What to say of `what` at `step`, with the steps of the checkpoints that there are."""
    where = f"the last good checkpoint is step {good[-1]} in {directory}" if good else "no checkpoint yet"
    advice = f"{where}. {tried}Lower --optimizer.learning-rate, or set --optimizer.clip-norm"
    return NotFiniteError(f"step {step}: {what}; {advice}", f"step {step}: {what}", step)


_LAST = ("_grad_norm", "_update_norm", "_param_norm")


def in_order(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Names of metrics as a step computes them: those of `order`, other terms, losses made of them, and then norms.

    A NaN in one is in all that follow, so the first that has one says where it came from.
    """

    def rank(name: str) -> tuple[int, int]:
        if name in order:
            return 0, order.index(name)
        norm = next((i for i, end in enumerate(_LAST) if name.endswith(end)), -1)
        return (2, norm) if norm >= 0 else (1, name.endswith("loss"))

    return sorted(names, key=rank)


def slower(run: Run) -> Run:
    """The configuration with all its learning rates lowered."""
    rates = {
        field.name: SLOWER * value
        for field in dataclasses.fields(run.step)
        if field.name.endswith("learning_rate") and isinstance(value := getattr(run.step, field.name), float)
    }
    optimizer = dataclasses.replace(run.optimizer, learning_rate=SLOWER * run.optimizer.learning_rate)
    return dataclasses.replace(run, optimizer=optimizer, step=dataclasses.replace(run.step, **rates))


class _StopNowError(Exception):
    """A signal came inside `StopSignals.may_cut_off`."""


class StopSignals:
    """Inside its `with`, SIGINT and SIGTERM ask for an end: it is true from then on. A second SIGINT is Python's own.

    In another thread than the main one signals go where the caller has sent them. Of several processes, all must stop
    after the same step: there JAX listens for SIGTERM, and agrees on the step with the others, whichever was told.
    """

    def __init__(self) -> None:
        self._received = self._may_cut_off = False
        self._previous: dict[int, Any] = {}
        self._calls = 0

    def before_step(self) -> bool:
        """Whether to stop now; to be asked before each dispatch, and the same in all processes."""
        if jax.process_count() > 1:
            self._received |= multihost_utils.reached_preemption_sync_point(self._calls)
            self._calls += 1
        return self._received

    def __bool__(self) -> bool:
        return self._received

    @contextlib.contextmanager
    def may_cut_off(self) -> Iterator[None]:
        """What is inside ends at once when a signal comes: for what takes long and can be left out."""
        self._may_cut_off = True
        try:
            yield
        except _StopNowError:
            pass
        finally:
            self._may_cut_off = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if jax.process_count() > 1:  # SIGINT alone comes here
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._received = True
        if self._may_cut_off:
            self._may_cut_off = False
            raise _StopNowError

    def __enter__(self) -> StopSignals:
        with contextlib.suppress(ValueError):  # not the main thread
            for number in (signal.SIGINT, signal.SIGTERM)[: 1 if jax.process_count() > 1 else 2]:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, old in self._previous.items():
            signal.signal(number, old)
