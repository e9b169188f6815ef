"""A zoo of image-generating models as pure functions on JAX.

The public names are imported when they are first used, so that `import genart_jax` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genart_jax.api import build, configure, run
    from genart_jax.config import (
        Autoregressive,
        BatchSpec,
        Classifier,
        Cycle,
        Data,
        Drift,
        Field,
        Gan,
        NotFiniteError,
        Optimizer,
        Parallel,
        Pixels,
        Run,
        Stylize,
        Sweep,
        SweepOptimizer,
        Train,
        Translate,
        UserError,
        Vae,
        VaeGan,
        VectorQuantized,
        VqGan,
    )
    from genart_jax.config.saved import Saved, read_config
    from genart_jax.data.conditions import draw_conditions
    from genart_jax.data.grid import make_grid, save_grid
    from genart_jax.data.open import Dataset, degrade, list_data, open_data
    from genart_jax.evaluate.compare import compare_runs
    from genart_jax.evaluate.extractors import make_extractor
    from genart_jax.evaluate.figures import evaluate_run
    from genart_jax.evaluate.folders import compare_folders
    from genart_jax.evaluate.originality import originality
    from genart_jax.evaluate.scores import Score, accuracy_score, read_scores, score_run
    from genart_jax.registry import get_config, list_models, register
    from genart_jax.runtime.compiler import jit
    from genart_jax.train.checkpoint import Model, load, load_frozen
    from genart_jax.train.first import init
    from genart_jax.train.log import read_rows
    from genart_jax.train.trainer import Callback, fit
    from genart_jax.types import Algorithm, Batch, Metrics, Network, State, Use, to_float, to_uint8
    from genart_jax.use.coded import decode_codes, encode_picture
    from genart_jax.use.explain import explain
    from genart_jax.use.export import export_run
    from genart_jax.use.latent import latent
    from genart_jax.use.predict import classify, load_classifier
    from genart_jax.use.sample import Samples, draw_samples, write_samples
    from genart_jax.use.styled import stylize
    from genart_jax.use.transform import transform

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "genart_jax.api": ("build", "configure", "run"),
    "genart_jax.config": (
        "Autoregressive",
        "BatchSpec",
        "Classifier",
        "Cycle",
        "Data",
        "Drift",
        "Field",
        "Gan",
        "NotFiniteError",
        "Optimizer",
        "Parallel",
        "Pixels",
        "Run",
        "Stylize",
        "Sweep",
        "SweepOptimizer",
        "Train",
        "Translate",
        "UserError",
        "Vae",
        "VaeGan",
        "VectorQuantized",
        "VqGan",
    ),
    "genart_jax.config.saved": ("Saved", "read_config"),
    "genart_jax.data.conditions": ("draw_conditions",),
    "genart_jax.data.grid": ("make_grid", "save_grid"),
    "genart_jax.data.open": ("Dataset", "degrade", "list_data", "open_data"),
    "genart_jax.evaluate.compare": ("compare_runs",),
    "genart_jax.evaluate.extractors": ("make_extractor",),
    "genart_jax.evaluate.figures": ("evaluate_run",),
    "genart_jax.evaluate.folders": ("compare_folders",),
    "genart_jax.evaluate.originality": ("originality",),
    "genart_jax.evaluate.scores": ("Score", "accuracy_score", "read_scores", "score_run"),
    "genart_jax.registry": ("get_config", "list_models", "register"),
    "genart_jax.runtime.compiler": ("jit",),
    "genart_jax.train.checkpoint": ("Model", "load", "load_frozen"),
    "genart_jax.train.first": ("init",),
    "genart_jax.train.log": ("read_rows",),
    "genart_jax.train.trainer": ("Callback", "fit"),
    "genart_jax.types": ("Algorithm", "Batch", "Metrics", "Network", "State", "Use", "to_float", "to_uint8"),
    "genart_jax.use.coded": ("decode_codes", "encode_picture"),
    "genart_jax.use.explain": ("explain",),
    "genart_jax.use.export": ("export_run",),
    "genart_jax.use.latent": ("latent",),
    "genart_jax.use.predict": ("classify", "load_classifier"),
    "genart_jax.use.sample": ("Samples", "draw_samples", "write_samples"),
    "genart_jax.use.styled": ("stylize",),
    "genart_jax.use.transform": ("transform",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Algorithm", "Autoregressive", "Batch", "BatchSpec", "Callback", "Classifier", "Cycle", "Data", "Dataset", "Drift",
    "Field", "Gan", "Metrics", "Model", "Network", "NotFiniteError", "Optimizer", "Parallel", "Pixels", "Run",
    "Samples", "Saved", "Score", "State", "Stylize", "Sweep", "SweepOptimizer", "Train", "Translate", "Use",
    "UserError", "Vae", "VaeGan", "VectorQuantized", "VqGan", "accuracy_score", "build", "classify", "compare_folders",
    "compare_runs",
    "configure", "decode_codes", "degrade", "draw_conditions", "draw_samples", "encode_picture", "evaluate_run",
    "explain", "export_run", "fit", "get_config", "init", "jit", "latent", "list_data", "list_models", "load",
    "load_classifier", "load_frozen", "make_extractor", "make_grid", "open_data", "originality", "read_config",
    "read_rows", "read_scores", "register", "run", "save_grid", "score_run", "stylize", "to_float", "to_uint8",
    "transform", "write_samples",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genart_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
