"""An algorithm's own figures over a whole split."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from genart_jax.config import Data
from genart_jax.data.pipeline import evaluation_batches, prepare
from genart_jax.data.source import Split
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.watch import watched
from genart_jax.train import parallel
from genart_jax.types import Algorithm, Batch, State, Sums

_BATCH = 256  # examples, over all devices


def ratios(sums: Sums) -> dict[str, float]:
    """The figures of an evaluation from its sums: see `types.Sums`."""
    out = {}
    for name, pair in sums.items():
        value, weight = (np.asarray(x, np.float64) for x in pair)
        if value.ndim > weight.ndim:
            share = value[value > 0] / weight
            out[name] = float(np.exp(-np.sum(share * np.log(share))))
            continue
        present, reduce = weight > 0, np.min if name.startswith("least_") else np.mean
        out[name] = float(reduce(value[present] / weight[present])) if present.any() else math.nan
    return out


Figures = dict[str, Any]
"""Name -> a float; of a sweep, an array (members,)."""


def make_evaluator(algorithm: Algorithm, data: Data, mesh: Mesh) -> Callable[[State, Split, jax.Array], Figures]:
    """A function (state, split, key) -> figures; compiled once, each example counted once on any number of devices.

    What is drawn for an example follows from its row in the split alone. A figure is a float; of a sweep, an array
    (members,).
    """
    fields = algorithm.batch_spec.fields

    def evaluate(state: State, raw: Batch, key: jax.Array) -> Sums:
        return algorithm.evaluate(parallel.gathered(state, mesh), prepare(raw, None, data, fields), key)

    compiled = compiler.jit(evaluate, out_shardings=parallel.replicated(mesh))
    devices, members = mesh.size, algorithm.members

    def run(state: State, split: Split, key: jax.Array) -> Figures:
        totals: Sums | None = None
        # Draws are by batch and column, so neither may depend on the devices: what they need more is padding.
        columns = min(_BATCH, 1 << max(0, split.size - 1).bit_length())
        columns = -(-columns // devices) * devices
        processes = jax.process_index(), jax.process_count()
        batches = evaluation_batches(split.only(fields), _BATCH, *processes, data.workers, columns)
        for index, raw in enumerate(watched(batches, split.size, "test pictures evaluated", _BATCH)):
            placed = parallel.put(raw, parallel.batch_sharding(mesh))
            sums = jax.device_get(compiled(state, placed, random.stream(key, "evaluation", index)))
            totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
        if not members:
            return ratios(totals or {})
        each = [ratios(jax.tree.map(operator.itemgetter(i), totals or {})) for i in range(members)]
        return {name: np.array([figures[name] for figures in each]) for name in each[0]}

    return run
