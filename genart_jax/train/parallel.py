"""The mesh of devices and where arrays lie on it: the only place that knows about devices.

The mesh is ("data", "model"). A batch is split over all of its devices. Those of one "model" row keep the large
parameters, their optimizer's moments and their averages in parts, one each (fully sharded data parallelism, ZeRO-3:
Rajbhandari et al. 2020, arXiv:1910.02054): a step gathers the parameters, and each device updates its own part.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genart_jax.config import Parallel, UserError
from genart_jax.nn import conv
from genart_jax.steps import common
from genart_jax.types import State, Tree

Rules = Sequence[tuple[str, str]]

RULES: Rules = ((r"^(params|opt|ema)/", "largest"), ("", "whole"))
"""Ordered (regular expression over a leaf's path, layout); the first match wins.

Layouts: "whole", the same on every device of a "model" row; a number, split along that axis; "largest", split along
the largest axis that the row divides, where a leaf has two axes and `SMALL` entries or more.
"""

SMALL = 256  # entries: below, gathering costs more than keeping
LAYOUTS = r"whole|largest|\d"


def all_devices() -> list[jax.Device]:
    """All devices of all processes, by process, so that each holds neighbours in a mesh.

    Raises:
      UserError: JAX has none, as where JAX_PLATFORMS names one whose plugin or driver is missing.
    """
    try:
        return sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    except (RuntimeError, AssertionError) as error:  # a bare assertion, where CUDA is asked for and there is no GPU
        asked = jax.config.values["jax_platforms"]
        why = (str(error).splitlines() or ["no such device, or its plugin for JAX is not installed"])[0]
        how = f"JAX_PLATFORMS={asked} cannot be had; unset it to take what there is" if asked else "JAX has no device"
        raise UserError(f"{how}: {why.partition(' (set JAX_PLATFORMS')[0]}") from None


def describe(devices: Sequence[jax.Device]) -> str:
    """Devices in words, as "2 x NVIDIA H200" or "cpu, 2 cores"."""
    kinds = Counter(str(d.device_kind) for d in devices)
    said = ", ".join(f"{count} x {kind}" if count > 1 else kind for kind, count in kinds.items())
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{said}, {cores} cores" if {d.platform for d in devices} == {"cpu"} else said


def make_mesh(config: Parallel, batch: int) -> Mesh:
    """The mesh ("data", "model") over the first devices of all processes.

    Raises:
      UserError: there are too few devices, or the batch does not divide among them.
    """
    devices = all_devices()  # each process's together: its columns of a batch, and whole "model" rows on its fast links
    data = config.data or max(1, len(devices) // config.model)
    count, found = data * config.model, len(devices)
    if count > found:
        raise UserError(
            f"parallel: {data} x {config.model} devices wanted, {found} found; lower --parallel.data or .model"
        )
    if jax.process_count() > 1 and (count < found or found != jax.process_count() * jax.local_device_count()):
        raise UserError(
            f"parallel: {jax.process_count()} processes with {found} devices must use them all, with equally many each;"
            f" {data} x {config.model} are wanted, {jax.local_device_count()} are here"
        )
    if batch % count:
        raise UserError(f"train.batch {batch} does not divide among {count} devices; choose a multiple of {count}")
    return Mesh(np.array(devices[:count]).reshape(data, config.model), ("data", "model"), (AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Split over all devices along an array's `axis`."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, ("data", "model")))


def state_sharding(mesh: Mesh, abstract: Tree, rules: Rules = ()) -> Tree:
    """The layout of every leaf of a state, by the first rule that its path matches, `RULES` coming last.

    Raises:
      UserError: a rule is no regular expression, has no such layout, or wants an axis that does not divide.
    """
    size = mesh.shape["model"]
    for pattern, wanted in rules:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"parallel.rules: {pattern!r} is no regular expression: {error}") from None
        if not re.fullmatch(LAYOUTS, wanted):
            raise UserError(f"parallel.rules: {pattern!r} has {wanted!r}, wanted whole, largest or an axis's number")

    def layout(keys: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        wanted = next(wanted for pattern, wanted in (*rules, *RULES) if re.search(pattern, path))
        shape, axis = leaf.shape, None
        if wanted.isdecimal():
            axis = int(wanted)
            if axis >= len(shape) or shape[axis] % size:
                raise UserError(f"parallel.rules: axis {axis} of {path} {shape} does not divide among {size} devices")
        elif wanted == "largest" and len(shape) > 1 and leaf.size >= SMALL:
            axis = max((i for i, n in enumerate(shape) if n % size == 0), key=lambda i: (shape[i], i), default=None)
        return NamedSharding(mesh, PartitionSpec(*([None] * axis + ["model"] if axis is not None else [])))

    return jax.tree_util.tree_map_with_path(layout, abstract)


def gathered(state: State, mesh: Mesh) -> State:
    """Inside `jit`: the state with parameters and averages whole on every device, to be computed with.

    What a program does not use is not gathered.
    """
    if mesh.size == 1:
        return state
    return state.replace(params=_whole(state.params, mesh), ema=_whole(state.ema, mesh))


def _whole(tree: Tree, mesh: Mesh) -> Tree:
    return jax.lax.with_sharding_constraint(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def partitioned(
    step: Callable[[State], tuple[State, Tree]], mesh: Mesh, layout: Tree
) -> Callable[..., tuple[State, Tree]]:
    """Inside `jit`: a step (state) -> (state, metrics) of a state that lies on the mesh as `layout` says, and stays so.

    Each device updates its own part of the optimizer's moments and of the averages; these are never whole.
    """
    if mesh.size == 1:
        return step

    def run(state: State) -> tuple[State, Tree]:
        with common.whole_by(lambda tree: _whole(tree, mesh)), conv.divided(mesh.size):
            new, metrics = step(gathered(state, mesh).replace(ema=state.ema))
        bound = jax.lax.with_sharding_constraint(new.replace(frozen={}), layout.replace(frozen={}))
        return bound.replace(frozen=state.frozen), _whole(metrics, mesh)

    return run


def bytes_per_device(abstract: Tree, layout: Tree) -> int:
    """Bytes of a tree that lie on one device."""
    sizes = jax.tree.map(lambda x, s: int(np.prod(s.shard_shape(x.shape))) * x.dtype.itemsize, abstract, layout)
    return sum(jax.tree.leaves(sizes))


def put(tree: Tree, sharding: NamedSharding) -> Tree:
    """This process's part of a batch (or a whole array to replicate) -> global arrays on the mesh."""
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)
