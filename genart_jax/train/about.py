"""What a checkpoint says of itself: about.json, read strictly, and the shapes of its leaves."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path

import jax

from genart_jax.runtime.values import Json
from genart_jax.train.manifest import DamageError
from genart_jax.types import Tree


def read_about(folder: Path) -> Json:
    """about.json of a step's folder.

    Raises:
      DamageError: it is missing or no such file.
    """
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        _ = about["step"], about["layout"], about["figures"], about["leaves"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DamageError("about.json is missing or damaged") from None
    return dict(about)


def leaves_of(tree: Tree) -> dict[str, list[list[int] | str]]:
    """Path -> [shape, dtype] of every leaf of a state."""
    return {
        jax.tree_util.keystr(path): [list(leaf.shape), str(leaf.dtype)]
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def versions() -> dict[str, str]:
    """Of Python and the packages that training needs."""
    names = ("genart_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    out = {"python": platform.python_version()}
    for name in names:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out


def difference(there: Json, here: Json) -> str:
    """The first leaves that differ, or ""."""
    words = {path: f"{tuple(leaf[0])} {leaf[1]}" for path, leaf in here.items()}
    others = {path: f"{tuple(leaf[0])} {leaf[1]}" for path, leaf in there.items()}
    lines = [
        f"{path} is {others.get(path, 'missing')} there, {words.get(path, 'missing')} here"
        for path in {**others, **words}
        if others.get(path) != words.get(path)
    ]
    return "; ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")


def read_old(folder: Path) -> Json:
    """The position that a step of the layout before there were sums holds.

    Raises:
      DamageError: its description cannot be read.
    """
    try:
        content = json.loads((folder / "_CHECKPOINT_METADATA").read_text(encoding="utf-8"))
        return {"position": (content.get("custom_metadata") or {}).get("position")}
    except (OSError, ValueError, AttributeError):
        raise DamageError("_CHECKPOINT_METADATA is damaged") from None
