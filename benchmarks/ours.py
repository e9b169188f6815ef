"""This package's side of a comparison: the subject that a worker times. See `genart_jax.train.bench`."""

from __future__ import annotations

import time
from typing import Any

from genart_jax.train import bench


class Ours(bench.Subject):
    """A model's step, and the machine's rate of matrix products beside it."""

    def __init__(self, **case: Any) -> None:
        super().__init__(bench.resolved(**case))
        self._peak = peak_memory()  # before the large matrices
        self._matmul = bench.Matmul(self.run.train.precision)

    def matmul(self) -> float:
        """FLOP/s of a matrix product in the step's precision."""
        return self._matmul.rate()

    def device_memory(self) -> int | None:
        """Of the steps; see `peak_memory`."""
        return self._peak


def peak_memory() -> int | None:
    """The most memory of its first device that this process has held, in bytes; None where the device does not say."""
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def prepare(**case: Any) -> Ours:
    """The subject of a case, the arguments of `bench.resolved`."""
    return Ours(**case)


def first_step(**case: Any) -> float:
    """From nothing to a finished first step, as a script of one's own would: import, build, initialise, step.

    Returns the seconds of the step itself, after it was reached.
    """
    import jax

    from genart_jax.api import build
    from genart_jax.runtime import compiler

    run = bench.resolved(**case)
    algorithm, key = build(run), jax.random.key(0)
    batch = bench.random_batch(algorithm.batch_spec, run.train.batch * algorithm.batches_per_step)
    state = compiler.jit(algorithm.init, once=True)(key, batch)
    step = compiler.jit(algorithm.step, donate_argnums=0, static_argnames="due")
    program = step.lower(state, batch, key, due=algorithm.due(0)).compile()
    jax.block_until_ready(state)
    start = time.perf_counter()
    jax.block_until_ready(program(state, batch, key))
    return time.perf_counter() - start
