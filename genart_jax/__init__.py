"""A zoo of image-generating models as pure functions on JAX.

The public names are imported when they are first used, so that `import genart_jax` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genart_jax.api import build, configure, run
    from genart_jax.config import BatchSpec, Run, UserError
    from genart_jax.data.grid import make_grid, save_grid
    from genart_jax.data.open import Dataset, degrade, list_data, open_data
    from genart_jax.registry import get_config, list_models, register
    from genart_jax.runtime.compiler import jit
    from genart_jax.train.checkpoint import Model, load, load_frozen
    from genart_jax.train.trainer import fit
    from genart_jax.types import Algorithm, Batch, Metrics, Network, State, to_float, to_uint8
    from genart_jax.use.explain import explain

__version__ = "0.1.0"

_HOMES = {
    "genart_jax.api": ("build", "configure", "run"),
    "genart_jax.runtime.compiler": ("jit",),
    "genart_jax.config": ("BatchSpec", "Run", "UserError"),
    "genart_jax.data.open": ("Dataset", "degrade", "list_data", "open_data"),
    "genart_jax.data.grid": ("make_grid", "save_grid"),
    "genart_jax.registry": ("get_config", "list_models", "register"),
    "genart_jax.train.checkpoint": ("Model", "load", "load_frozen"),
    "genart_jax.train.trainer": ("fit",),
    "genart_jax.use.explain": ("explain",),
    "genart_jax.types": ("Algorithm", "Batch", "Metrics", "Network", "State", "to_float", "to_uint8"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Algorithm", "Batch", "BatchSpec", "Dataset", "Metrics", "Model", "Network", "Run", "State", "UserError", "build",
    "configure", "degrade", "explain", "fit", "get_config", "jit", "list_data", "list_models", "load", "load_frozen",
    "make_grid", "open_data", "register", "run", "save_grid", "to_float", "to_uint8",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genart_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
