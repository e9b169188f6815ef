"""Parameters that never train: the copy of them that a run keeps, as frozen/ROLE.safetensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array
from genart_jax.types import Tree


def path_of(directory: str | Path, role: str) -> Path:
    """Where a run keeps the parameters of a role."""
    return expanded(directory) / "frozen" / f"{role}.safetensors"


def fit(role: str, found: Mapping[str, Tree], wanted: Tree, origin: str) -> Tree:
    """What is `wanted` (arrays or their shapes; None: everything) out of `found`, nested dicts of arrays.

    Raises:
      UserError: something is missing or has another shape.
    """
    if wanted is None:
        return jax.tree.map(np.asarray, dict(found))
    leaves = flatten_dict(dict(found), sep="/")

    def take(keys: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> Array:
        name = "/".join(str(k.key) for k in keys)
        there = getattr(leaves.get(name), "shape", None)
        if there != leaf.shape:
            raise UserError(f"{role} of {origin}: {name} is {there or 'missing'}, the model wants {leaf.shape}")
        return np.asarray(leaves[name], leaf.dtype)

    return jax.tree_util.tree_map_with_path(take, wanted)


def keep(directory: str | Path, frozen: Mapping[str, Tree]) -> dict[str, str]:
    """Writes each role's parameters, whole or not at all; returns role -> SHA-256 of its file."""
    if not frozen:
        return {}
    from safetensors.numpy import save

    hashes = {}
    for role, tree in frozen.items():
        leaves = {k: np.ascontiguousarray(v) for k, v in flatten_dict(jax.device_get(tree), sep="/").items()}
        content = save(leaves)
        hashes[role] = hashlib.sha256(content).hexdigest()
        if jax.process_index() == 0:
            path = path_of(directory, role)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
    return hashes


def kept(directory: str | Path, hashes: Mapping[str, str], wanted: Mapping[str, Tree]) -> dict[str, Tree]:
    """The parameters that a run keeps: role -> nested dict of numpy arrays, in the form of `wanted` where it has one.

    Raises:
      UserError: a file is missing, or is not the one whose SHA-256 config.json has.
    """
    if not hashes:
        return dict(wanted)
    from safetensors.numpy import load

    out = {}
    for role, expected in hashes.items():
        path = path_of(directory, role)
        content = path.read_bytes() if path.is_file() else None
        if content is None or hashlib.sha256(content).hexdigest() != expected:
            state = "is missing" if content is None else "has changed (its SHA-256 is not the one in config.json)"
            raise UserError(f"{path} {state}; restore it from a copy, or train into another --run")
        out[role] = fit(role, unflatten_dict(load(content), sep="/"), wanted.get(role), str(path))
    return out
