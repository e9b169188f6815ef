"""The mesh of devices and where arrays lie on it: the only place that knows about devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genart_jax.config import Parallel, UserError

Rules = Sequence[tuple[str, PartitionSpec]]

RULES: Rules = ()
"""Ordered (regular expression over a leaf's path, layout); the first match wins, what matches none is replicated."""


def make_mesh(config: Parallel, batch: int) -> Mesh:
    """The mesh ("data", "model") over the first devices of all processes.

    Raises:
      UserError: there are too few devices, or the batch does not divide among them.
    """
    devices = jax.devices()
    if config.model < 1 or config.data < 0:
        raise UserError("parallel: model must be at least 1, data at least 0 (0: all devices)")
    data = config.data or max(1, len(devices) // config.model)
    if data * config.model > len(devices):
        found = len(devices)
        raise UserError(f"parallel: {data} x {config.model} devices wanted, {found} found; lower --parallel.data")
    if batch % data:
        raise UserError(f"train.batch {batch} does not divide among {data} devices; choose a multiple of {data}")
    return jax.make_mesh(
        (data, config.model), ("data", "model"), (AxisType.Auto, AxisType.Auto),
        devices=devices[: data * config.model],
    )  # fmt: skip


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Split over the data axis along an array's `axis`."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def state_sharding(mesh: Mesh, abstract: Any, rules: Rules = RULES) -> Any:
    """The layout of every leaf of a state, by the first rule that its path matches."""

    def layout(keys: Any, leaf: Any) -> NamedSharding:
        path = "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in keys)
        spec = next((spec for pattern, spec in rules if re.search(pattern, path)), PartitionSpec())
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(layout, abstract)


def put(tree: Any, sharding: NamedSharding) -> Any:
    """This process's part of a batch (or a whole array to replicate) -> global arrays on the mesh."""
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)
