"""A trained model as a folder in the layout of Hugging Face's hub: weights, configuration, and a card.

model.safetensors holds what sampling uses, moving averages where there are any, by role/collection/path; what a state
carries besides under extra/, and what never trains under frozen/. config.json is a run's, with "hub" beside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import UserError
from genart_jax.runtime.packaged import WEIGHTS
from genart_jax.runtime.values import Array, Json
from genart_jax.steps import common
from genart_jax.types import State, Tree

_FORMAT = 1
DTypes = Literal["float16", "float32"]


def is_folder(path: Path) -> bool:
    """Whether a directory is such a folder, rather than a run's."""
    return (path / WEIGHTS).is_file()


def about(path: Path) -> Json:
    """What config.json says of the weights: step, run (its identity), sha256 (of the state's sums), weights, dtype.

    Raises:
      UserError: it says nothing, or is of another version.
    """
    try:
        said: Json = json.loads((path / "config.json").read_text(encoding="utf-8"))["hub"]
        format_, _ = said["format"], (said["step"], said["run"], said["sha256"], said["weights"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{path}: its config.json says nothing of {WEIGHTS}; export the run again") from None
    if format_ != _FORMAT:
        raise UserError(f"{path} has layout {format_}, this program reads {_FORMAT}")
    return said


def pack(state: State, assets: Mapping[str, str], dtype: DTypes) -> dict[str, Array]:
    """What is stored of a state, by path.

    Parameters are rounded to `dtype`. Statistics stay float32: variances may be smaller than float16 knows. Frozen
    parameters that are published weights (in `assets`: role -> source) are left out, as they are fetched on their own.
    """
    lent = common.lend(state)
    trees: dict[str, Tree] = dict(lent)
    trees |= {f"frozen/{role}": tree for role, tree in state.frozen.items() if role not in assets}
    trees |= {"extra": state.extra} if state.extra else {}
    out = {}
    for name, tree in trees.items():
        for path, leaf in flatten_dict(jax.device_get(tree), sep="/").items():
            value = np.asarray(leaf, order="C")
            rounded = path.startswith("params/") and value.dtype == np.float32
            out[f"{name}/{path}"] = value.astype(dtype) if rounded else value
    return out


def read(path: Path, abstract: State, assets: Mapping[str, str]) -> State:
    """The state of a folder, without an optimizer, in the form that `abstract` has.

    Raises:
      UserError: a file is damaged, or is not of this model.
    """
    said, file = about(path), path / WEIGHTS
    if hashlib.sha256(file.read_bytes()).hexdigest() != said["weights"]:
        raise UserError(f"{file} has changed (its SHA-256 is not the one in config.json); fetch or export it again")
    tree = unflatten_dict(read_tensors(file), sep="/")
    found = {role: dict(tree.get(role, {})) for role in abstract.mutable}
    frozen = tree.get("frozen", {})
    return State(
        step=jnp.asarray(said["step"], jnp.int32),
        params={role: _fit(path, found[role].get("params", {}), like) for role, like in abstract.params.items()},
        mutable={role: _fit(path, found[role], like) for role, like in abstract.mutable.items()},
        opt={},
        ema={},
        extra=_fit(path, tree.get("extra", {}), abstract.extra),
        frozen={r: _fit(path, frozen.get(r, {}), like) for r, like in abstract.frozen.items() if r not in assets},
    )


def _fit(path: Path, found: Tree, wanted: Tree) -> Tree:
    """`wanted`'s leaves out of `found`, in its types."""

    def take(keys: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> Array:
        there: Tree = found
        for key in keys:
            there = there.get(key.key) if isinstance(there, Mapping) else None
        if getattr(there, "shape", None) != leaf.shape:
            name = "/".join(str(key.key) for key in keys)
            raise UserError(f"{path / WEIGHTS}: {name} is {getattr(there, 'shape', 'missing')}, wanted {leaf.shape}")
        return np.asarray(there, leaf.dtype)

    return jax.tree_util.tree_map_with_path(take, wanted)
